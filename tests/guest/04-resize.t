#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Classes grow and shrink while tasks use them: nothing is lost, what is in the
# way moves or is reclaimed, and what can't be done is said and done later.
import random
from guest_test import run, Pool, MiB

ALLOWED = {'db': ['/db'], 'batch': ['/batch']}


def test(t, vm):
    vm.create('fast', 'db', '128M', guarantee='2M', limit='512M')
    vm.create('fast', 'batch', '64M', guarantee='2M', limit='256M')
    vm.settle()
    watch = t.start('db', 'pz-verify 48', 'filled')
    huge = t.start('batch', 'pz-verify -T 24', 'filled')
    t.agrees('at the start, sysfs, QEMU and arithmetic agree')

    vm.resize('fast', 'db', '384M')
    vm.settle()
    db = t.cls('db')
    t.equal((db.size, db.state), (384 * MiB, 'settled'), 'it grows')
    job = t.start('db', 'pz-hog 260', 'holding', timeout=60)
    t.ok(t.walk_pid(job.pid)[('db', 'anon')] >= 260 * 256, 'and the memory is usable')
    t.ends_well(job, 'and holds what is written')

    vm.resize('fast', 'db', '128M')
    vm.settle()
    t.equal(t.cls('db').size, 128 * MiB, 'it shrinks when it is free')
    t.agrees('sysfs, QEMU and arithmetic agree')
    r = vm.run('pz-exec db pz-hog 260', 60)
    t.equal(r.status, 137, 'and the new size holds')

    # spread over the whole class, then leave holes
    vm.resize('fast', 'db', '320M')
    vm.settle()
    jobs = [t.start('db', 'pz-hog -N -s 2 -d 2 30', 'holding', timeout=60) for _ in range(8)]
    for j in jobs[::2]:
        t.ends_well(j, 'a neighbour ends')
    used = t.cls('db').used
    vm.resize('fast', 'db', '200M')
    vm.settle(60)
    t.equal(t.cls('db').size, 200 * MiB, 'it shrinks with %d MiB in use: pages move' % (used >> 20))
    rows = t.walk()
    t.no_leak_in(ALLOWED, 'only the class in its extents', rows)
    t.no_leak_out(ALLOWED, 'no page of the class outside', rows)
    for j in jobs[1::2]:
        t.ends_well(j, 'moved memory is what was written')

    # page cache in the way is dropped
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt')
    vm.sh('pz-exec db pz-hog -x -f /mnt/f 120; sync', 60)
    t.ok(t.cls('db').file > 80 * MiB, 'page cache fills the class', dict(t.cls('db')))
    vm.resize('fast', 'db', '80M')
    vm.settle(60)
    t.equal(t.cls('db').size, 80 * MiB, 'page cache in the way of a shrink goes')
    t.equal(vm.run('pz-hog -x -F /mnt/f 120', 60).status, 0, 'the file is what was written')
    vm.sh('rm /mnt/f; sync')

    # more in use than the new size has room for: partial, then later
    vm.resize('fast', 'db', '256M')
    vm.settle()
    job = t.start('db', 'pz-hog 120', 'holding', timeout=60)
    vm.resize('fast', 'db', '64M')
    vm.wait(lambda: vm.classes()['db']['state'] == 'partial', 'the shrink reports partial', 60)
    c = vm.classes()['db']
    t.between(c['actual'] >> 20, 120, 254, 'a shrink below what is in use is partial')
    t.equal(c['size'], 64 * MiB, 'and stays wanted')
    t.equal(t.cls('db').state, 'partial', "the guest's sysfs says so, too")
    t.ok(job.done() is False and watch.done() is False, 'nobody is killed for a shrink')
    t.ends_well(job, 'its memory is what was written')
    vm.settle(60)
    t.equal(t.cls('db').size, 64 * MiB, 'it is finished when the memory is free')

    # a growth while a shrink can't finish: the last word counts
    job = t.start('db', 'pz-hog 8', 'holding')
    vm.resize('fast', 'db', '4M')
    vm.resize('fast', 'db', '200M')
    vm.settle()
    t.equal(t.cls('db').size, 200 * MiB, 'the last of two resizes counts')
    t.ends_well(job, 'nothing lost')

    # faster than the guest can follow
    rnd = random.Random(4)
    for _ in range(150):
        vm.resize('fast', 'db', rnd.randrange(32, 200) * 2 * MiB)
        vm.resize('fast', 'batch', rnd.randrange(16, 100) * 2 * MiB)
    vm.resize('fast', 'db', '96M')
    vm.resize('fast', 'batch', '40M')
    vm.settle(60)
    t.equal((t.cls('db').size, t.cls('batch').size), (96 * MiB, 40 * MiB),
            'after 300 resizes in a hurry, the last ones count')
    t.agrees('and sysfs, QEMU and arithmetic agree')

    t.ends_well(watch, 'memory was right all the time')
    t.ends_well(huge, 'so was the neighbour with huge pages')
    t.agrees('at the end, sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='256M')
