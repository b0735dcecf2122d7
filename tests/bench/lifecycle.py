# SPDX-License-Identifier: GPL-2.0-or-later
"""Part 4: creating and destroying a class, beside adding and removing a device.

A class of 128 MiB, by QMP and by virsh; a virtio-mem device of 128 MiB, hot-plugged on a root port; a
pc-dimm of 128 MiB. Created means: the guest can use the memory; destroyed: the object
is gone from QEMU. 256 classes of 4 MiB run on the kernel with NODES_SHIFT 9 of "guest-kernel/build many",
which "make bench-full" builds.
"""
import os
import subprocess
import time

from benchlib import BenchVM, Pool, Results, BUILD, HERE, MiB

SIZE = 128 * MiB
MANY_KERNEL = os.path.join(BUILD, 'kernel-many/bzImage')


class Kind:
    """What is created and destroyed."""

    def ready(self, vm):
        """The guest is through with the last one's end. Not timed."""


class Classes(Kind):
    """Classes by QMP. With several: all are asked for, then waited for."""
    name, peer = 'class', False
    size = SIZE
    kernel = {}

    def vm_args(self, number):
        size = (number * self.size * 66 // 64 + 127 * MiB) // (128 * MiB) * 128 * MiB + 128 * MiB
        return {'pools': [Pool('p', size=size, requested=size)], 'cmdline': 'pzone_nodes=%d' % (number + 2), **self.kernel}

    def create(self, vm, i):
        vm.create('p', 'c%d' % i, self.size)

    def created(self, vm, number):
        pool = vm.qmp.command('query-pzone')[0]
        if pool['guest-generation'] != pool['generation']:
            return False        # plugged, and not yet in the classes
        return sum(c['state'] == 'settled' and c['name'] != 'memmap' and c['actual'] == self.size
                   for c in pool['classes']) == number

    def destroy(self, vm, i):
        vm.destroy('p', 'c%d' % i)

    def destroyed(self, vm, number):
        return not any(c['name'] != 'memmap' for c in vm.qmp.command('query-pzone')[0]['classes'])


class ManyClasses(Classes):
    name = 'class of 4 MiB'
    size = 4 * MiB
    kernel = {'kernel': MANY_KERNEL}


class VirtioMem(Kind):
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


class Dimm(Kind):
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
        vm.ejected = gone(vm, number)
        return vm.ejected

    def ready(self, vm):
        # one that comes into the slot before the guest has looked whether it is empty is taken for the old one
        if getattr(vm, 'ejected', False):
            vm.qmp.wait_event('ACPI_DEVICE_OST', 60, lambda d: d['info']['source'] == 3 and d['info']['status'] == 0)
            vm.ejected = False


def gone(vm, number):
    left = {d['name'] for d in vm.qmp.command('qom-list', path='/machine/peripheral')}
    if any('d%d' % i in left for i in range(number)):
        return False
    for i in range(number):
        vm.qmp.command('object-del', id='m%d' % i)
    return True


def once(vm, kind, number, pause, gauge):
    """By how much the gauge moves until all are created, and until all are gone."""
    took = []
    kind.ready(vm)
    for act, done in ((kind.create, kind.created), (kind.destroy, kind.destroyed)):
        before = gauge()
        for i in range(number):
            act(vm, i)
        vm.wait(lambda: done(vm, number), '%s: %s' % (kind.name, act.__name__), 120, pause)
        took.append(gauge() - before)
    return took


def timed(vm, kind, number):
    """Milliseconds."""
    # looking at many takes the monitor a while
    return once(vm, kind, number, 0.001 * max(1, number // 16), lambda: time.perf_counter() * 1e3)


def counted(vm, kind, number):
    """Guest instructions, of the kernel only."""
    return once(vm, kind, number, 0.1, lambda: vm.instructions()[0])


def measure(bench, results, kind, number, runs):
    for counting in (False, True):
        wanted = range(runs) if not counting else ['count']
        todo = [r for r in wanted if not results.has(kind=kind.name, number=number, run=r)]
        if not todo:
            continue
        with BenchVM(peer=kind.peer, counting=counting, mem='512M', cpus=2, **kind.vm_args(number)) as vm:
            timed(vm, kind, number)
            for run in todo:
                bench.progress.step('create and destroy: %d x %s%s' % (
                    number, kind.name, ', counted' if counting else ''))
                made, gone_ = (counted if counting else timed)(vm, kind, number)
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
    plan = [(k, 1) for k in (Classes(), VirtioMem(), Dimm())] + [(Classes(), 16)]
    if os.path.exists(MANY_KERNEL):
        plan.append((ManyClasses(), 256))
    elif bench.full:
        bench.skip('lifecycle, 256 classes', 'there is no %s: guest-kernel/build many' % MANY_KERNEL)
    bench.progress.expect(len(plan) * (runs + 1) + 1)
    for kind, number in plan:
        try:
            measure(bench, results, kind, number, runs)
        except Exception as e:
            bench.failed('lifecycle: %d x %s' % (number, kind.name), e)
    by_virsh(bench, results, runs)
