#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Swap: a class that is full can swap to zram, at no other class's expense; what comes
# back is where it belongs, whoever brings it. No hibernation with classes.
from guest_test import run, Pool, MiB, USER, IDLE


def test(t, vm):
    vm.create('fast', 'db', '96M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    r = vm.run('echo disk > /sys/power/state')
    t.ok(r.status, 'hibernation is refused', r)
    t.ok('hibernation is not possible' in vm.console(), 'with the reason on the console')

    vm.sh('echo 256M > /sys/block/zram0/disksize && mkswap /dev/zram0 && swapon /dev/zram0')

    def zram():
        return int(vm.sh('cat /sys/block/zram0/mm_stat').split()[2])

    def where(pid):
        return {place: n for (place, kind), n in t.walk_pid(pid).items() if kind == 'anon'}

    # a class that is too small swaps, though it is full and nothing compresses;
    # what zram needs is neither its own nor another class's
    db = t.cls('db').free
    job = t.start('batch', 'pz-hog -N -s 2 56', 'holding')
    more = t.start('batch', 'pz-hog -N -s 2 30', 'holding', timeout=60)
    t.ok(zram() > 16 * MiB, 'a class that is too small swaps', zram())
    rows = [r for r in t.walk() if r[0] in ('db', 'batch') and r[1] not in USER + IDLE]
    t.equal(rows, [], "zram's pages are not of a class")
    t.ok(db - t.cls('db').free < MiB, 'the other class pays nothing', db, t.cls('db').free)
    t.equal(t.events('batch')['oom_kill'], 0, 'nobody is killed')
    for j in (job, more):
        t.ends_well(j, 'it holds what was written')

    # swapoff, by a task of another class, brings pages to where they belong
    job = t.start('db', 'pz-hog -N 24', 'holding')
    vm.sh('echo 20M > /sys/kernel/mm/pzone/class/db/reclaim')
    gone = 24 * 256 - where(job.pid).get('db', 0)
    t.ok(gone > 10 * 256, 'a class is told to swap out', gone)
    t.equal(vm.run('pz-exec batch swapoff /dev/zram0', 60).status, 0, "another class's task ends swap")
    w = where(job.pid)
    t.ok(w.get('db', 0) >= 24 * 256 and sum(n for p, n in w.items() if p != 'db') < 64,
         'pages are back in their class', w)
    t.ends_well(job, 'and hold what was written')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')])
