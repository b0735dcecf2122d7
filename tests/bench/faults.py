# SPDX-License-Identifier: GPL-2.0-or-later
"""Part 3: what a page costs: a page fault, a page read into the page cache, a free.
And what it costs to open (and close) a file, at which classes look at who uses it.

Counted: kernel instructions between two marks of pz-touch, 512 pages apart, with one
vCPU whose clock follows the instructions (-icount), so that a timer tick falls into few
of the intervals; the median interval has none. Timed: the same program in guests
without plugin, one run of each variant after the other.
"""
import re

from benchlib import BenchVM, Pool, Results, MiB, median

MIB = 64            # a run touches so much
CHUNK = 512         # pages between two marks
HOLE = '/mnt/hole'
PATHS = {           # pz-touch's words
    'fault': '',
    'fault-thp': '-T ',
    'cache': '-f %s ' % HOLE,
    'open': '-o %s ' % HOLE,
}


class Variant:
    def __init__(self, name, patched, pool=False, cls=None, memcg=False, cpuset=False):
        self.name, self.patched, self.pool, self.cls = name, patched, pool, cls
        self.memcg, self.cpuset = memcg, cpuset


VARIANTS = [
    Variant('unpatched', False),
    Variant('no pool', True),
    Variant('other class', True, pool=True),
    Variant('class', True, pool=True, cls='db'),
    Variant('unpatched, memcg', False, memcg=True),
    Variant('no pool, memcg', True, memcg=True),
    Variant('class, memcg', True, pool=True, cls='db', memcg=True),
    Variant('fake NUMA + cpuset', False, cpuset=True),
]


def boot(variant, counting):
    pools = [Pool('p', size='1G', requested='640M')] if variant.pool else []
    vm = BenchVM(peer=not variant.patched, counting=counting, marks=counting, mem='1G' if variant.cpuset else '512M', nodes=2 if variant.cpuset else 1,
                 cpus=1 if counting else 2, pools=pools,
                 cmdline='' if variant.memcg else 'pzone.nomemcg',
                 args=['-icount', 'shift=0'] if counting else [])
    vm.start()
    if variant.pool:
        vm.create('p', 'db', '512M')      # as large as the zone of the others
        vm.settle()
    vm.sh('mke2fs -F /dev/ram0 >/dev/null 2>&1 && mount -t ext4 /dev/ram0 /mnt && '
          'truncate -s %dM %s && mkdir /sys/fs/cgroup/g' % (MIB, HOLE))
    if variant.cpuset:
        vm.sh('cd /sys/fs/cgroup && echo +cpuset > cgroup.subtree_control && echo 1 > g/cpuset.mems')
    if variant.memcg:
        vm.sh('echo 256M > /sys/fs/cgroup/g/memory.max')
    return vm


def once(vm, variant, path):
    """Run pz-touch. Returns its lines, and the plugin's marks of it."""
    marks = vm.path('marks')
    at = len(open(marks).readlines()) if vm.marks else 0
    said = vm.sh(vm.in_group('g', variant.cls, 'pz-touch -m -c %d %s%d' % (CHUNK, PATHS[path], MIB)), 120)
    if path == 'cache':
        vm.sh('echo 3 > /proc/sys/vm/drop_caches')
    return said, [int(line.split()[0]) for line in open(marks).readlines()[at:]] if vm.marks else []


def insn_per_page(marks, chunks):
    """(of a touch, of a free) from the kernel's counts at the marks."""
    steps = [b - a for a, b in zip(marks, marks[1:])]
    touch = median(steps[:chunks]) / CHUNK
    free = steps[chunks + 1] / (chunks * CHUNK) if len(steps) > chunks + 1 else ''
    return touch, free


def run(bench):
    keys = ['path', 'variant', 'run']
    counts = Results(bench.csv('faults-counts'), keys, ['insn_per_page', 'free_insn_per_page'])
    times = Results(bench.csv('faults'), keys, ['ns_per_page', 'free_ns_per_page'])
    n_counts, n_times = (7, 9) if bench.full else (3, 3)
    bench.progress.expect(len(VARIANTS) * len(PATHS) * (n_counts + n_times))
    chunks = MIB * MiB // 4096 // CHUNK
    for v in VARIANTS:
        todo = [(r, p) for r in range(n_counts) for p in PATHS
                if not counts.has(path=p, variant=v.name, run=r)]
        if todo:
            with_vm(bench, v, lambda vm: count(bench, counts, vm, v, todo, chunks))
    time_all(bench, times, n_times)


def with_vm(bench, variant, work):
    try:
        vm = boot(variant, True)
        try:
            work(vm)
        finally:
            vm.stop()
    except Exception as e:
        bench.failed('faults: ' + variant.name, e)


def count(bench, counts, vm, v, todo, chunks):
    for path in {p for _, p in todo}:
        once(vm, v, path)       # page tables, per-CPU lists
    for r, path in todo:
        bench.progress.step('count: %s, %s' % (path, v.name))
        _, marks = once(vm, v, path)
        touch, free = insn_per_page(marks, chunks)
        counts.add(path=path, variant=v.name, run=r, insn_per_page='%.2f' % touch,
                   free_insn_per_page='%.2f' % free if free else '')


def time_all(bench, times, runs):
    todo = [(r, p, v) for r in range(runs) for p in PATHS for v in VARIANTS
            if not times.has(path=p, variant=v.name, run=r)]
    vms, broken = {}, set()
    try:
        for r, path, v in todo:
            bench.progress.step('time: %s, %s, run %d' % (path, v.name, r + 1))
            if v.name in broken:
                continue
            try:
                if v.name not in vms:
                    vms[v.name] = boot(v, False)
                    for p in PATHS:
                        once(vms[v.name], v, p)
                said, _ = once(vms[v.name], v, path)
                touch = [float(x) for x in re.search(r'chunk_us (.*)', said).group(1).split()]
                free = re.search(r'freed_us (\d+)', said)
                times.add(path=path, variant=v.name, run=r, ns_per_page=median(touch) * 1e3 / CHUNK,
                          free_ns_per_page=float(free.group(1)) * 1e3 / (MIB * 256) if free else '')
            except Exception as e:
                bench.failed('faults, timed: ' + v.name, e)
                broken.add(v.name)
    finally:
        for vm in vms.values():
            vm.stop()
