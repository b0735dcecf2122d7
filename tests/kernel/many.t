#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# 256 classes in one guest: created, used and destroyed. Says what a class, and what a
# memory cgroup costs. For a kernel with guest-kernel/config/many.config.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../guest'))
from guest_test import run, Pool, MiB, SYSFS  # noqa: E402

N = int(os.environ.get('PZONE_MANY', '256'))
CG = '/sys/fs/cgroup'


def free_kib(vm):
    """Ordinary memory that is free, without caches."""
    vm.sh('echo 3 > /proc/sys/vm/drop_caches; sleep 1')
    return int(vm.sh("awk '/MemFree/ { print $4 }' /sys/devices/system/node/node0/meminfo"))


def remove_cgroups(vm):
    vm.sh('find %s -mindepth 1 -depth -type d -exec rmdir {} +' % CG)
    # a memory cgroup is freed late
    vm.wait(lambda: 'nr_dying_descendants 0' in vm.sh('cat %s/cgroup.stat' % CG), 'the control groups are gone', 60)


def memcg_kib(vm):
    """Ordinary memory that a memory cgroup takes. The first 16 fill what the slab allocator has begun."""
    def make(first, last):
        vm.sh('for i in $(seq %d %d); do mkdir %s/m$i; done' % (first, last, CG))
        return free_kib(vm)

    base = make(1, 16)
    cost = (base - make(17, 80)) / 64
    remove_cgroups(vm)
    return cost


def test(t, vm):
    vm.wait(lambda: vm.pool('fast')['guest'] == 'ready', 'the driver is ready', 60)
    before = vm.pool('fast')
    memcg_before = memcg_kib(vm)
    base = free_kib(vm)
    names = ['c%d' % i for i in range(N)]
    for name in names:
        vm.create('fast', name, '4M')
    vm.settle(300)
    t.equal(len(t.class_names()), N, '%d classes are there' % N)
    sizes = vm.sh('cat /sys/kernel/mm/pzone/class/*/size').split()
    t.equal(sizes, [str(4 * MiB)] * N, 'each of 4 MiB')
    per_class = (base - free_kib(vm)) / N
    memcg_after = memcg_kib(vm)
    t.diag('ordinary memory: a class costs %.0f KiB; a memory cgroup %.0f KiB, and %.0f KiB with %d classes' %
           (per_class, memcg_before, memcg_after, N))
    t.ok(memcg_before < memcg_after / 4, 'a node id that no class has had costs a memory cgroup next to nothing',
         '%.0f KiB, and %.0f KiB' % (memcg_before, memcg_after))
    nodes = vm.sh('cat /sys/kernel/mm/pzone/class/*/node').split()
    t.equal(len(set(nodes)), N, 'each with a node id of its own')

    # a program in each: 2 MiB, one after the other, and then eight at a time
    r = vm.sh('for i in $(seq 0 %d); do pz-exec -g g c$i pz-hog -x -s 1 2 >/dev/null || echo $i; done' % (N - 1), 600)
    t.equal(r, '', 'a program in each takes and verifies 2 MiB')
    jobs = {c: t.start(c, 'pz-hog -N -s 1 2', 'holding') for c in names[::N // 8]}
    for c, j in jobs.items():
        w = t.walk_pid(j.pid)
        t.ok(w.get((c, 'anon'), 0) >= 2 * 256, '%s: its memory is of its class' % c, w)
    # an out of memory in one is its own
    r = vm.run('pz-exec -g g %s pz-hog -x 16' % names[1], 60)
    t.ok(r.status, 'a class that is full ends its own program', r)
    for j in jobs.values():
        t.ends_well(j, 'the others live')
    # agrees() reads each file by itself: minutes for so many
    seen = vm.sh('cd %s/class; grep . */size */extents' % SYSFS, 120).splitlines()
    want = {'%s/size:%d' % (c['name'], c['actual']) for c in vm.classes().values()} | {
        '%s/extents:0x%x %d' % (c['name'], e['addr'], e['size']) for c in vm.classes().values() for e in c['extents']}
    t.equal(set(seen), {w for w in want if not w.startswith('memmap/')}, 'sysfs and QEMU agree on sizes and extents')

    for name in names:
        vm.destroy('fast', name)
    # the host forgets a class when its memory is back, the guest when its threads are gone
    vm.wait(lambda: not vm.run('ls %s/class' % SYSFS).out.strip() and
            not [c for c in vm.classes() if c != 'memmap'],
            lambda: '%d classes remain' % len(vm.classes()), 300)
    after = vm.pool('fast')
    t.equal([after[k] for k in ('plugged', 'available', 'memmap')],
            [before[k] for k in ('plugged', 'available', 'memmap')], 'everything is back')
    remove_cgroups(vm)
    left = base - free_kib(vm)
    t.diag('%.0f KiB for each class stay with its node id for the next one' % (left / N))


run(test, pools=[Pool('fast', size='2G', requested='2G')], mem='1G', boot_timeout=120)
