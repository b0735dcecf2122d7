#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Random growth, shrinkage, creation, destruction and task moves under load, with
# every byte verified. PZONE_SEED repeats a run, PZONE_STRESS_S or _OPS makes it longer.
import os
import random
import time
from guest_test import run, Pool, MiB

SEED = int(os.environ.get('PZONE_SEED', '0')) or int(time.time())
# so many operations, or so many seconds
OPS = int(os.environ.get('PZONE_STRESS_OPS', '0'))
SECONDS = OPS * 2.0 if OPS else float(os.environ.get('PZONE_STRESS_S', '20'))
NAMES = ['k0', 'k1', 'k2', 'k3', 'k4']
CG = '/sys/fs/cgroup'


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
    for n in NAMES:
        vm.create('fast', n, '64M', guarantee='2M', limit='512M')
    vm.settle()
    jobs = []
    for n in NAMES:
        jobs.append(t.start(n, 'pz-verify -r 50 %s 12' % rnd.choice(('', '-T')), 'filled'))
    for i, n in enumerate(NAMES[:3] + [None]):
        jobs.append(t.start(n, 'pz-stress -k -t %d -j 1 -m 20 -s %d' % (SECONDS, SEED + i), 'pid'))
    count = dict.fromkeys(('resize', 'destroy', 'create', 'move', 'compact', 'walk', 'refused'), 0)
    extra = 0
    end = time.monotonic() + SECONDS
    ops = 0
    while ops < OPS if OPS else time.monotonic() < end:
        ops += 1
        if ops % 100 == 0:
            t.diag('%d operations' % ops)
        op = rnd.choices(('resize', 'recreate', 'move', 'compact', 'walk', 'nap'),
                         (50, 10, 15, 4, 2, 10))[0]
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
        elif op == 'compact':
            count['compact'] += 1
            vm.run('echo 1 > /proc/sys/vm/compact_memory')
        elif op == 'walk':
            count['walk'] += 1
            vm.run('pz-walk >/dev/null; cat /proc/zoneinfo /proc/pagetypeinfo >/dev/null')
        else:
            time.sleep(rnd.random() * 0.1)
    t.diag(', '.join('%s %d' % kv for kv in count.items()))
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
