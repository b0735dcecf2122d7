# SPDX-License-Identifier: GPL-2.0-or-later
"""Part 5: what the SoftwareZones table needs and the other parts do not measure.

Two guests: a patched one with a pool, and an unpatched one with eight NUMA nodes that stands
for the other three columns: memcg (a page has one owner: who touched it first), PSS
(a shared page is divided by its users) and fake NUMA + cpuset. Each row of table.csv
is a cell: its text, and how that was found.
"""
import os
import re
import subprocess
import time

from benchlib import BenchVM, Pool, Results, QMPError, BUILD, TOP, MiB

PART_MIB = 128                  # a partition
HOLE = '/mnt/hole'


class Table:
    def __init__(self, bench):
        self.bench = bench
        self.results = Results(bench.csv('table'), ['criterion', 'school'], ['cell', 'method'])

    def cell(self, criterion, school, text, method):
        if not self.results.has(criterion=criterion, school=school):
            self.results.add(criterion=criterion, school=school, cell=text, method=method)


def boot_unpatched():
    vm = BenchVM(peer=True, mem='1G', nodes=8)
    return ready(vm)


def boot_patched():
    vm = ready(BenchVM(mem='512M', pools=[Pool('p', size='1G', requested='768M')]))
    for name in ('a', 'b'):
        vm.create('p', name, PART_MIB * MiB, guarantee=0, limit=256 * MiB)
    vm.settle()
    vm.sh('cd /sys/fs/cgroup && echo a > a/pzone.class && echo b > b/pzone.class')
    return vm


def ready(vm):
    vm.start()
    vm.sh('mke2fs -F /dev/ram0 >/dev/null 2>&1 && mount -t ext4 /dev/ram0 /mnt && truncate -s 256M %s && '
          'mkdir /sys/fs/cgroup/a /sys/fs/cgroup/b' % HOLE)
    return vm


def unlimited(vm):
    """Each step begins so, whatever the one before it has left."""
    for g in ('a', 'b'):
        put(vm, g, 'memory.max', 'max')
        put(vm, g, 'cpuset.mems', '0-7')


def put(vm, group, file, value):
    vm.sh('echo %s > /sys/fs/cgroup/%s/%s' % (value, group, file))


def took(vm):
    """How many MiB a program of group a got that wants 200."""
    r = vm.run('pz-exec -g a - pz-hog -N -x -s 1 200', 120)
    steps = [int(n) for n in re.findall(r'^took (\d+)', r.out, re.M)]
    return max(steps or [0]), r.status


def guest_ms(vm, command, times=20):
    """Milliseconds of a guest command, by the guest's own clock."""
    text = vm.sh("s=$(cut -d' ' -f1 /proc/uptime); for i in $(seq %d); do %s; done; "
                 "e=$(cut -d' ' -f1 /proc/uptime); echo $s $e" % (times, command), 120)
    s, e = text.split()[-2:]
    return (float(e) - float(s)) * 1e3 / times


def shared(vm, what):
    """What each of two groups is charged for 32 MiB of a file that both map."""
    vm.sh('truncate -s 32M /mnt/shared')
    jobs = []
    for g in ('a', 'b'):
        jobs.append(vm.bg('exec pz-exec -g %s - pz-hog -m -F /mnt/shared 32' % g, 'holding', 60))
    pids = [re.search(r'^pid (\d+)', j.text(), re.M).group(1) for j in jobs]
    got = what(pids)
    for j, pid in zip(jobs, pids):
        vm.run('kill %s' % pid)
        j.wait(30)
    vm.sh('echo 3 > /proc/sys/vm/drop_caches')
    return got


def number(vm, path, key):
    return int(re.search(r'^%s:?\s+(\d+)' % key, vm.sh('cat ' + path), re.M).group(1))


def limits(t, row, p, u):
    got, status = took(p)
    t.cell(row, 'pzone', 'yes: got %d of %d MiB' % (got, PART_MIB), 'a program that wants 200 MiB in a class of %d' % PART_MIB)
    put(u, 'a', 'memory.max', '%dM' % PART_MIB)
    got, status = took(u)
    put(u, 'a', 'memory.max', 'max')
    t.cell(row, 'memcg', 'yes: got %d of %d MiB' % (got, PART_MIB), 'the same with memory.max')
    got, status = took(u)
    t.cell(row, 'PSS', 'no: got %d' % got, 'the same with nothing to set: PSS is a figure in /proc')
    put(u, 'a', 'cpuset.mems', '7')
    got, status = took(u)
    t.cell(row, 'fake NUMA + cpuset', 'yes: got %d of %d MiB' % (got, PART_MIB),
           'the same with cpuset.mems of one fake node')


def sharing(t, row, p, u):
    mib = lambda file, key: [number(p, '/sys/fs/cgroup/%s/%s' % (g, file), key) // MiB for g in 'ab']
    a, b, c, d = shared(p, lambda _: mib('pzone.stat', 'file') + mib('pzone.ownership', 'partial'))
    t.cell(row, 'pzone', 'when asked: %d and %d MiB; who read it first has it: %d and %d MiB' % (c, d, a, b),
           '32 MiB of a file mapped in two classes, "partial" of pzone.ownership, "file" of pzone.stat; there was no class "shared"')
    a, b = shared(u, lambda _: [number(u, '/sys/fs/cgroup/%s/memory.stat' % g, 'file') // MiB for g in 'ab'])
    t.cell(row, 'memcg', 'no: %d and %d MiB' % (a, b), 'the same, memory.stat')
    a, b = shared(u, lambda pids: [number(u, '/proc/%s/smaps_rollup' % i, 'Pss_File') // 1024 for i in pids])
    t.cell(row, 'PSS', 'yes: %d and %d MiB' % (a, b), 'the same, Pss_File of smaps_rollup')
    put(u, 'a', 'cpuset.mems', '6')
    put(u, 'b', 'cpuset.mems', '7')
    used = lambda: [number(u, '/sys/devices/system/node/node%d/meminfo' % n, r'Node %d FilePages' % n) // 1024 for n in (6, 7)]
    before = used()
    after = shared(u, lambda _: used())
    t.cell(row, 'fake NUMA + cpuset', 'no: %d and %d MiB' % (after[0] - before[0], after[1] - before[1]),
           'the same, FilePages of the two nodes')


def overcommit(t, row, p, u):
    free = p.qmp.command('query-pzone')[0]['available']
    total = sum(c['limit'] for c in p.qmp.command('query-pzone')[0]['classes'])
    try:
        p.qmp.command('pzone-set', pool='p', name='a', limit=704 * MiB)
        p.qmp.command('pzone-set', pool='p', name='b', limit=704 * MiB)
        text = 'yes, with a controller: limits of 2 x 704 MiB in a pool of 768; sizes never exceed the pool'
    except QMPError as e:
        text = 'no: %s' % e.desc
    t.cell(row, 'pzone', text, 'pzone-set --limit of two classes (%d MiB were free, limits %d)' % (free // MiB, total // MiB))
    put(u, 'a', 'memory.max', '900M')
    put(u, 'b', 'memory.max', '900M')
    t.cell(row, 'memcg', 'yes: 2 x 900 MiB in a guest of 1 GiB', 'memory.max of two groups accepted')
    put(u, 'a', 'memory.max', 'max')
    put(u, 'b', 'memory.max', 'max')
    t.cell(row, 'PSS', 'nothing is committed', 'there is no limit to exceed')
    put(u, 'a', 'cpuset.mems', '6-7')
    put(u, 'b', 'cpuset.mems', '6-7')
    t.cell(row, 'fake NUMA + cpuset', 'no: a node that two cpusets name is shared, and limits neither',
           'cpuset.mems of two groups name the same nodes: accepted')


def resize(t, row, p, u):
    """A full partition gives up half of it. What does the host get?"""
    def host(vm, size, act, settled):
        before, began = vm.held_mib(size), time.perf_counter()
        act()
        settled()
        return (time.perf_counter() - began) * 1e3, before - vm.held_mib(size)

    p.sh('pz-exec -g a - pz-touch -f %s 256' % HOLE, 60)
    ms, back = host(p, 0, lambda: p.resize('p', 'a', 64 * MiB), lambda: p.settle(60))
    t.cell(row, 'pzone', 'yes, by 2 MiB: 64 MiB less in %.0f ms, the host has %d MiB back' % (ms, max(back, 0)),
           'a class full of page cache, pzone-resize until settled; memory of the QEMU process')
    p.resize('p', 'a', PART_MIB * MiB)
    p.settle()
    put(u, 'a', 'memory.max', '128M')
    u.sh('pz-exec -g a - pz-touch -f %s 256' % HOLE, 60)
    ms, back = host(u, 0, lambda: put(u, 'a', 'memory.max', '64M'), lambda: None)
    put(u, 'a', 'memory.max', 'max')
    t.cell(row, 'memcg', 'yes, by a page: 64 MiB less in %.0f ms, the host has %d MiB back' % (ms, max(back, 0)),
           'the same with memory.max')
    t.cell(row, 'PSS', 'there is no size', 'an accounting rule')
    u.sh('echo 3 > /proc/sys/vm/drop_caches')
    put(u, 'a', 'cpuset.mems', '6-7')
    job = u.bg('exec pz-exec -g a - pz-hog -N 64', 'holding', 60)
    ms, back = host(u, 0, lambda: put(u, 'a', 'cpuset.mems', '6'), lambda: None)
    u.run('kill %s' % re.search(r'^pid (\d+)', job.text(), re.M).group(1))
    job.wait(30)
    t.cell(row, 'fake NUMA + cpuset', 'by whole nodes (here %d MiB): one less in %.0f ms, the host has %d MiB back' % (
        PART_MIB, ms, max(back, 0)), '64 MiB in use, cpuset.mems of two nodes cut to one')


def creation(t, row, p, u):
    ms = guest_ms(u, 'mkdir /sys/fs/cgroup/x && echo 128M > /sys/fs/cgroup/x/memory.max && rmdir /sys/fs/cgroup/x')
    t.cell(row, 'memcg', 'yes: %.1f ms with its end' % ms, 'mkdir, memory.max, rmdir in a shell of the guest, mean of 20')
    t.cell(row, 'PSS', 'yes: whatever is summed', 'any set of processes')
    ms = guest_ms(u, 'mkdir /sys/fs/cgroup/x && echo 7 > /sys/fs/cgroup/x/cpuset.mems && rmdir /sys/fs/cgroup/x')
    r = u.run('ls /sys/devices/system/node/possible && cat /sys/devices/system/node/possible')
    t.cell(row, 'fake NUMA + cpuset', 'cpusets yes (%.1f ms); nodes no, they are made at boot' % ms,
           'mkdir, cpuset.mems, rmdir; numa=fake and QEMU make nodes before boot, possible nodes: %s' % r.out.split()[-1])


def base_used(vm):
    """KiB of ordinary memory in use, per-CPU lists drained."""
    vm.sh('echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory')
    text = vm.sh('cat /sys/devices/system/node/node0/meminfo')
    return int(re.search(r'MemTotal:\s+(\d+)', text).group(1)) - int(re.search(r'MemFree:\s+(\d+)', text).group(1))


def per_cgroup_kib(vm):
    before = number(vm, '/proc/meminfo', 'Slab') + number(vm, '/proc/meminfo', 'Percpu')
    vm.sh('for i in $(seq 100); do mkdir /sys/fs/cgroup/m$i; done', 60)
    after = number(vm, '/proc/meminfo', 'Slab') + number(vm, '/proc/meminfo', 'Percpu')
    vm.sh('for i in $(seq 100); do rmdir /sys/fs/cgroup/m$i; done', 60)
    return (after - before) / 100


def total_kib(peer, cmdline):
    """(MemTotal, cost of a cgroup) of a guest of 512 MiB."""
    with BenchVM(peer=peer, mem='512M', cmdline=cmdline) as vm:
        return number(vm, '/proc/meminfo', 'MemTotal'), per_cgroup_kib(vm)


def node_kib():
    """Cost of a NUMA node of a guest of 1 GiB."""
    total = []
    for nodes in (2, 8):
        with BenchVM(peer=True, mem='1G', nodes=nodes) as vm:
            total.append(number(vm, '/proc/meminfo', 'MemTotal'))
    return (total[0] - total[1]) / 6


def storage(t, row, p, u):
    plain, group = total_kib(True, '')
    off, _ = total_kib(False, 'pzone=off')
    on, group_on = total_kib(False, '')
    before = base_used(p)
    for i in range(8):
        p.create('p', 'x%d' % i, 4 * MiB)
    p.settle()
    each = (base_used(p) - before) / 8
    for i in range(8):
        p.destroy('p', 'x%d' % i)
    p.settle()
    t.cell(row, 'pzone', '%d KiB at boot (16 spare ids), %.0f KiB a class, 1/64 of the pool (its struct pages), '
           '%.1f KiB more a memcg' % (plain - on, each, group_on - group),
           'MemTotal of 512 MiB, unpatched less patched (with pzone=off: %d KiB); node 0 with 8 more classes; '
           'Slab + Percpu of 100 cgroups' % (plain - off))
    t.cell(row, 'memcg', '%.1f KiB a cgroup, 8 bytes in each struct page' % group,
           'Slab + Percpu of 100 cgroups; memcg_data in struct page')
    t.cell(row, 'PSS', 'none: computed when read', 'from page tables and map counts')
    t.cell(row, 'fake NUMA + cpuset', '%.0f KiB a node, used or not' % node_kib(),
           'MemTotal of 1 GiB with two nodes and with eight')


def runtime(t, row, _p, u):
    job = u.bg('exec pz-exec -g a - pz-hog -N 128', 'holding', 60)
    pid = re.search(r'^pid (\d+)', job.text(), re.M).group(1)
    ms = guest_ms(u, 'cat /proc/%s/smaps_rollup >/dev/null' % pid) - guest_ms(u, 'cat /proc/%s/limits >/dev/null' % pid)
    u.run('kill %s' % pid)
    job.wait(30)
    t.cell(row, 'PSS', 'none for a page; %.0f ns a page each time it is read' % max(ms * 1e6 / 32768, 0),
           'smaps_rollup of 128 MiB, mean of 20 reads')


# --- code ---

def text_bytes(obj, names):
    """Sum of .text of object files that are there."""
    total = 0
    for n in names:
        path = os.path.join(obj, n)
        if os.path.exists(path):
            out = subprocess.run(['size', '-A', path], capture_output=True, text=True, check=True).stdout
            total += sum(int(m) for m in re.findall(r'^\.(?:text|init\.text|ref\.text|exit\.text)\S*\s+(\d+)', out, re.M))
    return total


def symbols(obj, name, pattern):
    out = subprocess.run(['nm', '-S', os.path.join(obj, name)], capture_output=True, text=True, check=True).stdout
    return sum(int(m.group(1), 16) for m in re.finditer(r'^\w+ (\w+) [tT] (%s)' % pattern, out, re.M))


def code(t):
    row = 'code overhead'
    patches = os.path.join(TOP, 'guest-kernel/patches')
    text = ''.join(open(os.path.join(patches, p)).read() for p in sorted(os.listdir(patches)))
    added = len(re.findall(r'^\+(?!\+\+ )', text, re.M))
    removed = len(re.findall(r'^-(?!-- |- $|-$)', text, re.M))
    files = {m for m in re.findall(r'^\+\+\+ b/(\S+)', text, re.M)}
    ours = subprocess.run("find %s -name '*.[ch]' | xargs cat | wc -l" % os.path.join(TOP, 'guest-kernel/files'),
                          shell=True, capture_output=True, text=True).stdout.strip()
    mine, peer = os.path.join(BUILD, 'kernel/obj'), os.path.join(BUILD, 'kernel-peer/obj')
    unpatched = os.path.exists(os.path.join(peer, 'vmlinux'))
    if not unpatched:
        peer = mine
    if not os.path.exists(os.path.join(mine, 'mm/pzone')):
        t.bench.skip('code overhead', '%s has no object files' % mine)
        return
    own = ['mm/pzone/' + f for f in os.listdir(os.path.join(mine, 'mm/pzone'))
           if f.endswith('.o') and not f.startswith('built')] + ['drivers/virtio/virtio_mem_pzone.o']
    touched = [f[:-2] + '.o' for f in files if f.endswith('.c')]
    hooks = '%.1f' % ((text_bytes(mine, touched) - text_bytes(peer, touched)) / 1024) if unpatched else '(hooks not measured)'
    t.cell(row, 'pzone', '%d lines in %d files of the kernel, %s lines in files of its own; %s + %.1f KiB of code' % (
        added, len(files), ours, hooks, text_bytes(mine, own) / 1024),
        'lines added by the patches (%d removed); .text of the touched files, patched less unpatched, and of our own' % removed)
    t.cell(row, 'memcg', '%.0f KiB of code' % (text_bytes(peer, [
        'mm/memcontrol.o', 'mm/memcontrol-v1.o', 'mm/page_counter.o', 'mm/vmpressure.o', 'mm/swap_cgroup.o']) / 1024),
        '.text of mm/memcontrol.o, page_counter.o, vmpressure.o, swap_cgroup.o; in the kernel already')
    t.cell(row, 'PSS', '%.1f KiB of code' % (symbols(peer, 'fs/proc/task_mmu.o', r'.*smap\S*|m_next|m_start') / 1024),
           'functions named smap* in fs/proc/task_mmu.o; in the kernel already')
    t.cell(row, 'fake NUMA + cpuset', '%.0f KiB of code' % (text_bytes(peer, [
        'kernel/cgroup/cpuset.o', 'kernel/cgroup/cpuset-v1.o']) / 1024),
        '.text of cpuset.o; in the kernel already')


STEPS = {'enforces memory limits': limits, 'recognizes page sharing': sharing, 'supports overcommit': overcommit,
         'resize at runtime': resize, 'creation at runtime': creation, 'storage overhead': storage,
         'runtime overhead': runtime}


def run(bench):
    t = Table(bench)
    bench.progress.expect(len(STEPS))
    code(t)
    todo = [row for row, step in STEPS.items()
            if not t.results.has(criterion=row, school='PSS' if step == runtime else 'fake NUMA + cpuset')]
    if not todo:
        return
    p, u = boot_patched(), boot_unpatched()
    try:
        for row in todo:
            bench.progress.step('table: ' + row)
            try:
                unlimited(u)
                STEPS[row](t, row, p, u)
            except Exception as e:
                bench.failed('table: ' + row, e)
    finally:
        p.stop()
        u.stop()
