#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Random growth, shrinkage, creation, destruction, reclaim and task moves under load, with
# every byte verified, and all counters after each hundred operations; where the kernel has
# fault injection, some allocations fail. PZONE_SEED repeats a run, PZONE_STRESS_S or _OPS
# makes it longer.
import collections
import os
import random
import time
from guest_test import run, Pool, MiB, SYSFS

SEED = int(os.environ.get('PZONE_SEED', '0')) or int(time.time())
# so many operations, or so many seconds
OPS = int(os.environ.get('PZONE_STRESS_OPS', '0'))
SECONDS = OPS * 2.0 if OPS else float(os.environ.get('PZONE_STRESS_S', '20'))
NAMES = ['k0', 'k1', 'k2', 'k3', 'k4']
CG = '/sys/fs/cgroup'
FAULTS = ['/sys/kernel/debug/fail_page_alloc', '/sys/kernel/debug/failslab']


def freeze(vm, on):
    """All tasks in classes stand still; when this returns, they do."""
    vm.sh('for c in %s; do echo %d > %s/$c/cgroup.freeze; done' % (' '.join(NAMES), on, CG))
    if on:
        vm.wait(lambda: all('frozen 1' in vm.sh('cat %s/%s/cgroup.events' % (CG, n)) for n in NAMES),
                'all tasks in classes are frozen', 60)


def wrong_counts(t, rows):
    bad = []
    for n in NAMES:
        f = t.cls(n)
        for kind, kinds in (('anon', ('anon',)), ('file', ('file', 'shmem'))):
            seen = sum(r[3] for r in rows if r[0] == n and r[1] in kinds) * 4096
            if abs(seen - f[kind]) > MiB:
                bad.append('%s: %s is %d, and the pages are %d' % (n, kind, f[kind], seen))
    return bad


def counters(t, vm, when):
    """What sysfs, QEMU and the pages themselves say, while no class's task runs."""
    vm.settle(120, partial=True)
    freeze(vm, True)
    allowed = dict.fromkeys(NAMES, ['/' + n for n in NAMES])
    good = t.agrees('%s: sysfs, QEMU and arithmetic agree' % when)
    # What a task swaps out by itself (MADV_PAGEOUT) is of its class as zram's pages, too.
    rows = t.walk('-c')
    mine = [r for r in rows if r[0] in NAMES and r[1:3] == ('kernel', '-')]
    zram = int(vm.sh('cat /sys/block/zram0/mm_stat').split()[2]) // 4096
    good &= t.ok(sum(r[3] for r in mine) <= zram, "%s: the kernel's pages in classes are zram's" % when,
                 mine, 'zram has %d' % zram)
    good &= t.no_leak_in(allowed, '%s: only tasks of classes are in a class' % when,
                         [r for r in rows if r not in mine])
    for _ in range(5):
        bad = wrong_counts(t, rows)
        if not bad:
            break
        rows = t.walk('-c')     # the memory of a task that was moved may still be on its way
    good &= t.ok(not bad, '%s: as many pages of each kind as the counters say' % when, *bad)
    freeze(vm, False)
    return good


def prepare_faults(vm):
    """The kernel's own threads and pz-stress, and what they start, are those that may fail."""
    vm.sh("""for p in /proc/[0-9]*; do
               read -r name < $p/comm; [ "$(tr -d '\\0' < $p/cmdline)" ] && [ "$name" != pz-stress ] && continue
               echo 1 > $p/make-it-fail
             done 2>/dev/null
             for d in %s; do
               cd $d && echo Y > task-filter && echo N > ignore-gfp-wait && echo 0 > verbose &&
               echo -1 > times || exit 1
             done
             echo 0 > %s/min-order""" % (' '.join(FAULTS), FAULTS[0]), 60)


def inject(vm, percent):
    vm.sh('for d in %s; do echo %d > $d/probability; done' % (' '.join(FAULTS), percent))


def test(t, vm):
    rnd = random.Random(SEED)
    t.diag('PZONE_SEED=%d' % SEED)
    vm.wait(lambda: vm.pool('fast')['guest'] == 'ready', 'the driver is ready', 20)
    pool = vm.pool('fast')
    # With swap, so that a class shrinks below what its tasks use. A full class has no
    # page left for what zram makes of its own pages; that swap-out fails and says so.
    vm.expected.append(r'page allocation failure: order:0, mode:\S*\(GFP_NOIO\|__GFP_HIGHMEM')
    vm.sh('echo 128M > /sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && '
          'swapon /dev/zram0')
    # every second seed with folios of 16 and 32 KiB, which the kernel does not make by itself
    mthp = SEED % 2
    if mthp:
        vm.sh('cd /sys/kernel/mm/transparent_hugepage; for s in 16 32; do echo always > hugepages-${s}kB/enabled; done')
    t.diag('folios of 16 and 32 KiB: %s' % ('yes' if mthp else 'no'))
    for n in NAMES:
        vm.create('fast', n, '64M', guarantee='2M', limit='512M')
    vm.settle()
    jobs = []
    for n in NAMES:
        jobs.append(t.start(n, 'pz-verify -r 50 %s 12' % rnd.choice(('', '-T')), 'filled'))
    for i, n in enumerate(NAMES[:3] + [None]):
        jobs.append(t.start(n, 'pz-stress -k -t %d -j 1 -m 20 -s %d' % (SECONDS, SEED + i), 'pid'))
    count = dict.fromkeys(('resize', 'destroy', 'create', 'move', 'reclaim', 'compact', 'walk', 'fault',
                           'refused'), 0)
    can_fail = vm.run('test -d %s' % FAULTS[0]).status == 0
    if can_fail:
        prepare_faults(vm)
    t.diag('fault injection: %s' % ('yes' if can_fail else 'this kernel has none'))
    spent = collections.Counter()       # seconds
    op, began = None, 0
    extra = 0
    end = time.monotonic() + SECONDS
    ops = 0
    while ops < OPS if OPS else time.monotonic() < end:
        ops += 1
        if op:
            spent[op] += time.monotonic() - began
        if ops % 100 == 0 and not counters(t, vm, '%d operations' % ops):
            break
        op = rnd.choices(('resize', 'recreate', 'move', 'reclaim', 'compact', 'walk', 'fault', 'nap'),
                         (100, 20, 30, 6, 6, 1, 4, 20))[0]
        began = time.monotonic()
        if op == 'resize':
            count['resize'] += 1
            # seldom below what the tasks need
            try:
                vm.resize('fast', rnd.choice(NAMES), rnd.randrange(2, 128) * 2 * MiB)
            except Exception as e:
                if 'pzone-resize' not in str(e):
                    raise
                count['refused'] += 1
        elif op == 'recreate':
            # short-lived classes: destroyed while something may run inside
            extra += 1
            name = 'x%d' % extra
            count['create'] += 1
            try:
                vm.create('fast', name, rnd.randrange(1, 16) * 2 * MiB)
            except Exception as e:
                if 'pzone-create' not in str(e):
                    raise
                count['refused'] += 1
                continue
            vm.bg('exec pz-exec -g xx %s pz-hog -x 6' % name)
            if rnd.random() < 0.5:
                time.sleep(rnd.random() * 0.3)
            vm.destroy('fast', name)
            count['destroy'] += 1
        elif op == 'move':
            count['move'] += 1
            job = rnd.choice(jobs[:len(NAMES)])
            vm.run('echo %d > %s/%s/cgroup.procs' % (job.pid, CG, rnd.choice(NAMES)))
        elif op == 'reclaim':
            count['reclaim'] += 1       # what is not there is EAGAIN
            vm.run('echo %dM > %s/class/%s/reclaim' % (rnd.randrange(1, 32), SYSFS, rnd.choice(NAMES)))
        elif op == 'fault' and can_fail:
            count['fault'] += 1
            inject(vm, 1)
            time.sleep(rnd.random())
            inject(vm, 0)
        elif op == 'compact':
            count['compact'] += 1
            vm.run('echo 1 > /proc/sys/vm/compact_memory')
        elif op == 'walk':
            count['walk'] += 1
            vm.run('pz-walk -c >/dev/null; cat /proc/zoneinfo /proc/pagetypeinfo >/dev/null')
        else:
            time.sleep(rnd.random() * 0.1)
    t.diag(', '.join('%s %d' % kv for kv in count.items()))
    t.diag('seconds: ' + ', '.join('%s %.1f' % kv for kv in spent.most_common()))
    t.diag('swapped out: %s pages' % vm.sh("awk '/^pswpout/ { print $2 }' /proc/vmstat"))
    killed = 0
    for job in jobs:
        if job.done() and job.status == 137:
            killed += 1         # its class was shrunk below what it needs
            continue
        t.ends_well(job, 'no fault: %s' % job.command[:60])
    t.diag('%d verifiers were killed for lack of memory' % killed)
    t.ok(killed <= 3, 'most verifiers lived')

    for n in NAMES:
        vm.resize('fast', n, '32M')
    vm.settle(60)
    t.agrees('quiet again: sysfs, QEMU and arithmetic agree')
    for n in NAMES:
        vm.destroy('fast', n)
    vm.wait(lambda: not [c for c in vm.classes() if c != 'memmap'],
            lambda: 'classes remain: %s' % vm.classes(), 60)
    after = vm.pool('fast')
    t.equal([after[k] for k in ('plugged', 'available', 'memmap')],
            [pool[k] for k in ('plugged', 'available', 'memmap')], 'everything is back')
    t.agrees('and the pool agrees')
    vm.sh('swapoff /dev/zram0', 60)


run(test, pools=[Pool('fast')])
