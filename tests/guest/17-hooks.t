#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Work that the kernel does for a class behind its back: huge pages that khugepaged
# makes, what lies beside in swap, memory of a compressed disk that a class writes.
from guest_test import run, Pool, MiB

CG = '/sys/fs/cgroup'
THP = '/sys/kernel/mm/transparent_hugepage'


def vmstat(vm, key):
    return int(vm.sh("awk '$1 == \"%s\" { print $2 }' /proc/vmstat" % key) or 0)


def khugepaged(t, vm):
    """A task whose small pages stayed in another class gets huge ones of its own."""
    vm.sh('cd %s/khugepaged; echo 1 > defrag; echo 10 > scan_sleep_millisecs; echo 10 > alloc_sleep_millisecs; '
          'echo 4096 > pages_to_scan' % THP)
    vm.sh('echo 0 > /sys/kernel/mm/pzone/move_memory; mkdir -p %s/batch; echo batch > %s/batch/pzone.class' %
          (CG, CG))
    job = t.start('db', 'pz-huge 8', 'holding')
    vm.sh('echo %d > %s/batch/cgroup.procs' % (job.pid, CG))
    small = t.walk_pid(job.pid)
    made = vmstat(vm, 'thp_collapse_alloc')
    vm.sh('kill -USR1 %d' % job.pid)
    job.wait_output('allowed', 30)

    def huge():
        return sum(int(line.split()[1]) for line in
                   vm.sh('grep AnonHugePages: /proc/%d/smaps_rollup' % job.pid).splitlines()) // 1024
    vm.wait(lambda: huge() == 8, lambda: 'khugepaged made %d of 8 MiB huge' % huge(), 60)
    w = t.walk_pid(job.pid)
    t.ok(small.get(('db', 'anon'), 0) >= 2048, 'small pages of the class that it was in', small)
    t.ok(vmstat(vm, 'thp_collapse_alloc') >= made + 4, 'khugepaged makes them huge')
    t.ok(w.get(('batch', 'anon'), 0) >= 2048 and w.get(('db', 'anon'), 0) < 64,
         'which are of the class that it is in now', w)
    t.ends_well(job, 'and hold what was written')
    vm.sh('echo 1 > /sys/kernel/mm/pzone/move_memory')


def read_ahead(t, vm):
    """What lies beside a page in swap is of another class, and is not read with it."""
    vm.sh('mkswap /dev/vda >/dev/null && swapon /dev/vda && echo 6 > /proc/sys/vm/page-cluster')
    # the kind that reads by place in swap: that of disks that turn
    vm.run('echo false > /sys/kernel/mm/swap/vma_ra_enabled')
    jobs = {c: t.start(c, 'pz-hog -N 16', 'holding') for c in ('db', 'batch')}
    for _ in range(80):
        for c in jobs:
            vm.run('echo 128K > /sys/kernel/mm/pzone/class/%s/reclaim' % c)
    swapped = {c: 16 * 256 - sum(n for (_, kind), n in t.walk_pid(j.pid).items() if kind == 'anon')
               for c, j in jobs.items()}
    t.ok(all(n > 5 * 256 for n in swapped.values()), 'two classes swap in turn', swapped)
    ra = vmstat(vm, 'swap_ra')
    vm.sh('kill -USR1 %d' % jobs['db'].pid)
    jobs['db'].wait_output('verified', 60)
    t.equal(vmstat(vm, 'swap_ra') - ra, 0, 'swapping in reads nothing beside what is wanted')
    allowed = {'db': ['/db'], 'batch': ['/batch']}
    t.no_leak_in(allowed, 'and what comes in is of the class that wanted it')
    for j in jobs.values():
        t.ends_well(j, 'it holds what was written')
    vm.sh('swapoff /dev/vda', 60)


def zspages(t, vm):
    """A class writes to a compressed disk by itself, past the page cache: memory of that
    is movable, of the class, and in the way of nothing."""
    vm.sh('echo 128M > /sys/block/zram0/disksize')
    used = t.cls('db').used
    vm.sh('head -c 25165824 /dev/urandom > /tmp/noise')
    r = vm.run('pz-exec db dd if=/tmp/noise of=/dev/zram0 bs=1M oflag=direct', 60)
    t.equal(r.status, 0, 'a class writes to zram')
    grown = t.cls('db').used - used
    t.ok(grown > 16 * MiB, 'the memory for that is its own', grown)
    moved = vmstat(vm, 'pgmigrate_success')
    vm.sh('echo 1 > /proc/sys/vm/compact_memory', 60)
    vm.resize('fast', 'db', '32M')
    vm.settle(60)
    t.ok(vmstat(vm, 'pgmigrate_success') > moved, 'compaction and a shrink move it')
    r = vm.run('dd if=/dev/zram0 bs=1M count=24 2>/dev/null | cmp - /tmp/noise', 60)
    t.equal(r.status, 0, 'and the disk holds what was written')
    vm.sh('echo 1 > /sys/block/zram0/reset; rm /tmp/noise')


def test(t, vm):
    vm.create('fast', 'db', '64M', guarantee='2M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    khugepaged(t, vm)
    read_ahead(t, vm)
    zspages(t, vm)
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='128M')
