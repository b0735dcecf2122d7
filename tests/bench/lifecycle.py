# SPDX-License-Identifier: GPL-2.0-or-later
"""Part 4: creating and destroying a class, beside adding and removing a device.

A class of 128 MiB, by QMP and by virsh; a virtio-mem device of 128 MiB, hot-plugged on a root port; a
pc-dimm of 128 MiB. Created means: the guest can use the memory; destroyed: the object
is gone from QEMU. 256 classes need a kernel with CONFIG_NODES_SHIFT=9: PZONE_BENCH_CLASSES=256
with PZONE_KERNEL naming one.
"""
import os
import subprocess
import time

from benchlib import BenchVM, Pool, Results, HERE, MiB

SIZE = 128 * MiB
MANY = int(os.environ.get('PZONE_BENCH_CLASSES', '16'))


class Classes:
    """Classes by QMP. With many: all are asked for, then waited for."""
    name, peer = 'class', False

    def vm_args(self, number):
        size = (number * SIZE * 66 // 64 + 127 * MiB) // (128 * MiB) * 128 * MiB + 128 * MiB
        return {'pools': [Pool('p', size=size, requested=size)], 'cmdline': 'pzone_nodes=%d' % (number + 2)}

    def create(self, vm, i):
        vm.create('p', 'c%d' % i, SIZE)

    def created(self, vm, number):
        pool = vm.qmp.command('query-pzone')[0]
        if pool['guest-generation'] != pool['generation']:
            return False        # plugged, and not yet in the classes
        return sum(c['state'] == 'settled' and c['name'] != 'memmap' and c['actual'] == SIZE
                   for c in pool['classes']) == number

    def destroy(self, vm, i):
        vm.destroy('p', 'c%d' % i)

    def destroyed(self, vm, number):
        return not any(c['name'] != 'memmap' for c in vm.qmp.command('query-pzone')[0]['classes'])


class VirtioMem:
    """Destroyed is: unplugged, the device removed, its backend deleted."""
    name, peer = 'virtio-mem', True

    def vm_args(self, number):
        ports = []
        for i in range(number):
            ports += ['-device', 'pcie-root-port,id=rp%d,chassis=%d,slot=%d' % (i, i + 1, i + 1)]
        return {'args': ports, 'cmdline': 'memhp_default_state=online_movable'}

    def create(self, vm, i):
        vm.qmp.command('object-add', qom_type='memory-backend-ram', id='m%d' % i, size=SIZE)
        vm.qmp.command('device_add', driver='virtio-mem-pci', id='d%d' % i, memdev='m%d' % i,
                       bus='rp%d' % i, node=0, block_size=2 * MiB, requested_size=SIZE)

    def created(self, vm, number):
        return all(vm.qmp.command('qom-get', path='/machine/peripheral/d%d' % i, property='size') == SIZE
                   for i in range(number))

    def destroy(self, vm, i):
        vm.qmp.command('qom-set', path='/machine/peripheral/d%d' % i, property='requested-size', value=0)
        vm.wait(lambda: vm.qmp.command('qom-get', path='/machine/peripheral/d%d' % i,
                                       property='size') == 0, 'virtio-mem unplugs', 60, 0.001)
        vm.qmp.command('device_del', id='d%d' % i)

    def destroyed(self, vm, number):
        return gone(vm, number)


class Dimm:
    name, peer = 'pc-dimm', True

    def blocks(self, vm):
        return int(vm.sh('cat /sys/devices/system/memory/memory*/state | grep -c online'))

    def vm_args(self, number):
        return {'cmdline': 'memhp_default_state=online_movable'}

    def create(self, vm, i):
        if not hasattr(vm, 'online'):
            vm.online = self.blocks(vm)
        vm.qmp.command('object-add', qom_type='memory-backend-ram', id='m%d' % i, size=SIZE)
        vm.qmp.command('device_add', driver='pc-dimm', id='d%d' % i, memdev='m%d' % i)

    def created(self, vm, number):
        return self.blocks(vm) == vm.online + number

    def destroy(self, vm, i):
        vm.qmp.command('device_del', id='d%d' % i)

    def destroyed(self, vm, number):
        return gone(vm, number)


def gone(vm, number):
    left = {d['name'] for d in vm.qmp.command('qom-list', path='/machine/peripheral')}
    if any('d%d' % i in left for i in range(number)):
        return False
    for i in range(number):
        vm.qmp.command('object-del', id='m%d' % i)
    return True


def once(vm, kind, number, pause):
    """(milliseconds until created, until destroyed)"""
    took = []
    for act, done in ((kind.create, kind.created), (kind.destroy, kind.destroyed)):
        began = time.perf_counter()
        for i in range(number):
            act(vm, i)
        vm.wait(lambda: done(vm, number), '%s: %s' % (kind.name, act.__name__), 120, pause)
        took.append((time.perf_counter() - began) * 1e3)
    return took


def count_once(vm, kind, number):
    """Guest instructions for the same, kernel only."""
    took = []
    for act, done in ((kind.create, kind.created), (kind.destroy, kind.destroyed)):
        before = vm.instructions()[0]
        for i in range(number):
            act(vm, i)
        vm.wait(lambda: done(vm, number), '%s: %s' % (kind.name, act.__name__), 120, 0.1)
        took.append(vm.instructions()[0] - before)
    return took


def measure(bench, results, kind, number, runs):
    for counting in (False, True):
        wanted = range(runs) if not counting else ['count']
        todo = [r for r in wanted if not results.has(kind=kind.name, number=number, run=r)]
        if not todo:
            continue
        with BenchVM(peer=kind.peer, counting=counting, mem='512M', cpus=2, **kind.vm_args(number)) as vm:
            once(vm, kind, number, 0.001)
            for run in todo:
                bench.progress.step('create and destroy: %d x %s%s' % (
                    number, kind.name, ', counted' if counting else ''))
                made, gone_ = count_once(vm, kind, number) if counting else once(vm, kind, number, 0.001)
                results.add(kind=kind.name, number=number, run=run,
                            **({'create_insn': made, 'destroy_insn': gone_} if counting else
                               {'create_ms': made, 'destroy_ms': gone_}))


def by_virsh(bench, results, runs):
    """The same class by virsh pzone-define --wait and pzone-undefine --wait."""
    if results.has(kind='class, by virsh', number=1, run=runs - 1):
        return
    bench.progress.step('create and destroy: 1 x class, by virsh')
    out = bench.csv('virsh') + '.tmp'
    r = subprocess.run([os.path.join(HERE, 'by_virsh.py'), out, str(runs)], capture_output=True, text=True)
    if r.returncode:
        bench.failed('lifecycle: by virsh', r.stdout[-500:] + r.stderr[-1500:])
        return
    with open(out) as f:
        for n, words in enumerate(line.split() for line in f):
            results.add(kind='class, by virsh', number=1, run=n, create_ms=float(words[1]), destroy_ms=float(words[3]))
    os.unlink(out)


def run(bench):
    results = Results(bench.csv('lifecycle'), ['kind', 'number', 'run'],
                      ['create_ms', 'destroy_ms', 'create_insn', 'destroy_insn'])
    runs = 9 if bench.full else 3
    plan = [(k, 1) for k in (Classes(), VirtioMem(), Dimm())] + [(Classes(), MANY)]
    bench.progress.expect(len(plan) * (runs + 1) + 1)
    for kind, number in plan:
        try:
            measure(bench, results, kind, number, runs)
        except Exception as e:
            bench.failed('lifecycle: %d x %s' % (number, kind.name), e)
    by_virsh(bench, results, runs)
