# SPDX-License-Identifier: GPL-2.0-or-later
"""Part 1: taking memory from a guest and giving it back, by four ways.

All four guests run at the same time, idle but the one that is measured; one run of a
point goes through the peers one after the other, the host's bare discard among them.
What is taken is S (or the part of it that the state leaves free), from a guest that
has 512 MiB and S beside it: as a class, as a virtio-mem device in ZONE_MOVABLE, or as
plain memory for the balloon. One vCPU: with two, one of them spins for the other whenever the
host has no CPU for it, and on a busy host that is all one measures.
"""
import re
import subprocess
import time

from benchlib import BenchVM, Pool, Results, Syscalls, DISCARD, MiB, SLOW

BASE = 512 * MiB
SLACK = 64 * MiB                # what is left of a class or device that gives up S
LIMIT_S = 120                   # that long a shrink may take
HOLE = '/mnt/hole'

BACKENDS = {                    # QEMU's object, and the host's kind of page
    'anon': ('memory-backend-ram', False),
    'thp': ('memory-backend-ram', True),
    'memfd': ('memory-backend-memfd', False),
    'hugetlb': ('memory-backend-memfd,hugetlb=on,hugetlbsize=2M', False),
}
# what is in the memory, and the part of S that is taken then
STATES = {'never': 1, 'touched': 1, 'half': 3 / 8, 'cache': 1 / 2}


def round_up(value, unit):
    return (value + unit - 1) // unit * unit


class Peer:
    """A way to resize a guest's memory."""
    kernel_peer = True
    cls = None

    def __init__(self, name):
        self.name = name

    def vm_args(self, size, backend):
        raise NotImplementedError

    def main_size(self, size):
        """Size of the memory backend that is measured."""
        raise NotImplementedError

    def fill_mib(self, vm, size):
        """So much is touched that all that is taken was."""
        return (size + SLACK) // MiB


class Pzone(Peer):
    kernel_peer = False
    cls = 'db'

    def main_size(self, size):
        return round_up((size + SLACK) * 66 // 64 + 8 * MiB, 128 * MiB)

    def vm_args(self, size, backend):
        return {'pools': [Pool('p', size=self.main_size(size), requested=self.main_size(size),
                               backend=backend)]}

    def fill_mib(self, vm, size):
        return int(vm.sh('cat /sys/kernel/mm/pzone/class/db/free')) // MiB - 12

    def prepare(self, vm, size):
        vm.create('p', 'db', size + SLACK, guarantee=0, limit=size + SLACK)
        vm.settle()

    def ask(self, vm, size, take):
        vm.qmp.command('pzone-resize', pool='p', name='db', size=size + SLACK - take)

    def reached(self, vm, size, take):
        pool = vm.qmp.command('query-pzone', max_extents=0)[0]
        c = next(c for c in pool['classes'] if c['name'] == 'db')
        if c['actual'] != size + SLACK - take or c['state'] != 'settled':
            return False
        # the device is through with a grow before the class has the memory
        return take > 0 or pool['guest-generation'] == pool['generation']


class VirtioMem(Peer):
    def main_size(self, size):
        return round_up(size + SLACK, 128 * MiB)

    def vm_args(self, size, backend):
        return {'pools': [Pool('p', size=self.main_size(size), requested=size + SLACK, pzone=False,
                               backend=backend)],
                'cmdline': 'memhp_default_state=online_movable'}

    def prepare(self, vm, size):
        vm.wait(lambda: self.reached(vm, size, 0), 'virtio-mem plugs its memory')

    def ask(self, vm, size, take):
        vm.qmp.command('qom-set', path='/machine/peripheral/p', property='requested-size',
                       value=size + SLACK - take)

    def reached(self, vm, size, take):
        return vm.qmp.command('qom-get', path='/machine/peripheral/p',
                              property='size') == size + SLACK - take


class Balloon(Peer):
    option = ''

    def main_size(self, size):
        return BASE + size

    def vm_args(self, size, backend):
        return {'mem': BASE + size, 'backend': backend,
                'args': ['-device', 'virtio-balloon-pci,id=balloon' + self.option]}

    def fill_mib(self, vm, size):
        """All but what the kernel keeps back in a zone, which grows with the memory."""
        free, available = re.findall(r'(?:MemFree|MemAvailable): *(\d+) kB', vm.sh('cat /proc/meminfo'))
        return min(int(free) // 1024 - 48, int(available) // 1024 - 16)

    def prepare(self, vm, size):
        vm.wait(lambda: self.reached(vm, size, 0), 'the balloon is there')

    def ask(self, vm, size, take):
        vm.qmp.command('balloon', value=BASE + size - take)

    def reached(self, vm, size, take):
        return vm.qmp.command('query-balloon')['actual'] == BASE + size - take


class Reporting(Balloon):
    option = ',free-page-reporting=on'


PEERS = [Pzone('pzone'), VirtioMem('virtio-mem'), Balloon('balloon'), Reporting('balloon+fpr')]

TIMES = ['shrink_ms', 'grow_ms', 'back_mib', 'shrink_vcpu_ms', 'shrink_qemu_ms', 'grow_vcpu_ms',
         'grow_qemu_ms', 'idle_back_ms', 'ended']
COUNTS = ['shrink_insn', 'grow_insn', 'shrink_notify', 'grow_notify', 'shrink_discards',
          'shrink_syscalls', 'grow_syscalls', 'taken_mib', 'ended']


class Shrink:
    """Measures one point: a backend, a state and a size."""

    def __init__(self, bench, backend, state, size_mib):
        self.bench, self.backend, self.state = bench, backend, state
        self.size = size_mib * MiB
        self.take = int(self.size * STATES[state]) // (2 * MiB) * 2 * MiB
        self.key = {'backend': backend, 'state': state, 'size_mib': size_mib}

    def boot(self, peer, counting=False, profile=False):
        args = {'mem': BASE, 'cpus': 1}
        args.update(peer.vm_args(self.size, BACKENDS[self.backend][0]))
        vm = BenchVM(peer=peer.kernel_peer, huge=BACKENDS[self.backend][1], counting=counting,
                     profile=profile, **args)
        vm.start()
        peer.prepare(vm, self.size)
        # a file that is all hole: page cache without a disk
        vm.sh('mke2fs -F /dev/ram0 >/dev/null 2>&1 && mount -t ext4 /dev/ram0 /mnt && '
              'truncate -s %d %s' % (self.size, HOLE))
        return vm

    def held(self, vm, peer):
        return vm.held_mib(peer.main_size(self.size))

    def fill(self, vm, peer):
        """Bring the memory into its state. Returns what ends that."""
        run = lambda command: vm.in_group('g', peer.cls, 'pz-touch ' + command)
        if self.state == 'touched':
            vm.sh(run('-T %d' % peer.fill_mib(vm, self.size)), 120)
        elif self.state == 'half':
            job = vm.bg('exec ' + run('-H %d' % peer.fill_mib(vm, self.size)), 'holding', 300)
            return lambda: (vm.sh('kill %s' % re.search(r'pid (\d+)', job.text()).group(1)), job.wait(60))
        elif self.state == 'cache':
            vm.sh(run('-f %s %d' % (HOLE, self.size // MiB)), 300)
            return lambda: vm.sh('echo 3 > /proc/sys/vm/drop_caches', 60)
        return lambda: None

    def reported(self, vm, peer, before):
        """Free page reporting gives memory back when it likes: wait for the end of that."""
        began = time.monotonic()
        if peer.name != 'balloon+fpr' or self.state != 'touched':
            return ''
        held = self.held(vm, peer)
        while time.monotonic() < began + 60:
            time.sleep(1)
            now = self.held(vm, peer)
            if now <= before + 64 or (time.monotonic() > began + 6 and held - now < 1):
                break
            held = now
        return (time.monotonic() - began) * 1e3

    def change(self, vm, peer, take, pause):
        """Ask, wait until it is done. Returns milliseconds, or None if it never was."""
        began = time.perf_counter()
        peer.ask(vm, self.size, take)
        while not peer.reached(vm, self.size, take):
            if time.perf_counter() - began > LIMIT_S * SLOW:
                return None
            time.sleep(pause)
        return (time.perf_counter() - began) * 1e3

    def timed(self, vm, peer):
        row = {}
        before = self.held(vm, peer)
        leave = self.fill(vm, peer)
        row['idle_back_ms'] = self.reported(vm, peer, before)
        held = self.held(vm, peer)
        cpu = vm.cpu_ms()
        row['shrink_ms'] = self.change(vm, peer, self.take, 0.001)
        now = vm.cpu_ms()
        row['shrink_vcpu_ms'], row['shrink_qemu_ms'] = now[0] - cpu[0], now[1] - cpu[1]
        row['back_mib'] = held - self.held(vm, peer)
        row['ended'] = int(row['shrink_ms'] is not None)
        leave()
        cpu = vm.cpu_ms()
        row['grow_ms'] = self.change(vm, peer, 0, 0.001)
        now = vm.cpu_ms()
        row['grow_vcpu_ms'], row['grow_qemu_ms'] = now[0] - cpu[0], now[1] - cpu[1]
        return {k: '' if v is None else v for k, v in row.items()}

    def count_change(self, vm, peer, take):
        """(instructions, notifications, system calls by name, done?) of a resize."""
        lines = vm.log_from_here()
        with Syscalls(vm.proc.pid) as calls:
            before = sum(vm.instructions())
            done = self.change(vm, peer, take, 0.2) is not None
            insn = sum(vm.instructions()) - before
        notes = sum('virtio_queue_notify' in line for line in lines())
        return insn, notes, calls.count, done

    def counted(self, vm, peer):
        before = self.held(vm, peer)
        leave = self.fill(vm, peer)
        self.reported(vm, peer, before)
        time.sleep(0.5)
        insn, notes, calls, done = self.count_change(vm, peer, self.take)
        row = {'shrink_insn': insn, 'shrink_notify': notes, 'ended': int(done),
               'shrink_discards': calls.get('madvise', 0) + calls.get('fallocate', 0),
               'shrink_syscalls': sum(calls.values()), 'taken_mib': self.take // MiB}
        leave()
        time.sleep(0.5)
        row['grow_insn'], row['grow_notify'], calls, _ = self.count_change(vm, peer, 0)
        row['grow_syscalls'] = sum(calls.values())
        return row

    def bare(self):
        """The host's own discard of what is taken."""
        words = subprocess.run(
            [DISCARD, self.backend, str(self.take // MiB)] + ['untouched'] * (self.state == 'never'),
            capture_output=True, text=True, check=True).stdout.split()
        return {'shrink_ms': float(words[3]) / 1e3, 'back_mib': int(words[5]), 'ended': 1}

    # --- all runs of the point ---

    def time_all(self, results, runs):
        todo = [(run, p) for run in range(runs) for p in [None] + PEERS
                if not results.has(**self.key, peer=p.name if p else 'host', run=run)]
        vms = {}
        try:
            for run, peer in todo:
                name = peer.name if peer else 'host'
                self.bench.progress.step('shrink: %s, %s, %d MiB, %s, run %d' % (
                    self.backend, self.state, self.size // MiB, name, run + 1))
                if peer and name not in vms:
                    vms[name] = self.boot(peer)
                    self.timed(vms[name], peer)     # the first is no measurement
                row = self.timed(vms[name], peer) if peer else self.bare()
                results.add(**self.key, peer=name, run=run, **row)
        finally:
            for vm in vms.values():
                vm.stop()

    def count_all(self, results, runs):
        for peer in PEERS:
            todo = [r for r in range(runs) if not results.has(**self.key, peer=peer.name, run=r)]
            if not todo:
                continue
            vm = self.boot(peer, counting=True)
            try:
                vm.qmp.command('trace-event-set-state', name='virtio_queue_notify', enable=True)
                self.change(vm, peer, self.take, 0.01)
                self.change(vm, peer, 0, 0.01)
                for run in todo:
                    self.bench.progress.step('count: %s, %s, %d MiB, %s' % (
                        self.backend, self.state, self.size // MiB, peer.name))
                    results.add(**self.key, peer=peer.name, run=run, **self.counted(vm, peer))
            finally:
                vm.stop()


def points(full):
    """(backend, state, MiB, runs): the first ones say most."""
    if not full:
        return [('thp', s, 256, 3) for s in STATES] + [('memfd', 'touched', 256, 3)]
    return ([('thp', s, 256, 9) for s in ('never', 'touched')] +
            [('thp', s, 256, 9) for s in ('half', 'cache')] +
            [(b, 'touched', 256, 9) for b in ('anon', 'memfd', 'hugetlb')] +
            [('thp', s, m, 9) for m in (1024, 4096) for s in ('never', 'touched')])


def counted_points(full):
    return [('thp', s, 256, 3 if full else 1) for s in STATES] + \
        ([('thp', 'never', 1024, 1)] if full else [])


HUGE = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages'


def set_huge_pages(number):
    """Returns how many the host has then."""
    try:
        with open(HUGE, 'r+') as f:
            f.write(str(number))
    except OSError:
        pass        # none at all, or not ours to set
    return huge_pages()


def huge_pages():
    try:
        with open(HUGE) as f:
            return int(f.read())
    except OSError:
        return 0


def measure(bench, results, plan, act):
    """act(point, runs) for each point of a plan."""
    bench.progress.expect(sum(runs for *_, runs in plan) * (len(PEERS) + (act == Shrink.time_all)))
    for backend, state, mib, runs in plan:
        before = huge_pages()
        need = 5 * (mib + 256) // 2 if backend == 'hugetlb' else 0
        try:
            if need and set_huge_pages(before + need) < before + need:
                bench.skip('shrink, hugetlb', 'this host does not reserve %d huge pages of 2 MiB' % need)
            else:
                act(Shrink(bench, backend, state, mib), results, runs)
        except Exception as e:
            bench.failed('shrink: %s, %s, %d MiB' % (backend, state, mib), e)
        finally:
            if need:
                set_huge_pages(before)


KEYS = ['backend', 'state', 'size_mib', 'peer', 'run']


def run(bench):
    measure(bench, Results(bench.csv('shrink'), KEYS, TIMES), points(bench.full), Shrink.time_all)


def run_counts(bench):
    measure(bench, Results(bench.csv('shrink-counts'), KEYS, COUNTS), counted_points(bench.full), Shrink.count_all)
