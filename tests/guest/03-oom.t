#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A class that runs out of memory reclaims itself, then kills inside itself;
# bystanders lose nothing. The host hears of it.
import re
from guest_test import run, Pool, MiB

ALLOWED = {'db': ['/db'], 'batch': ['/batch']}


def last_took(text):
    return int((re.findall(r'^took (\d+)', text, re.M) or ['0'])[-1])


def test(t, vm):
    vm.create('fast', 'db', '128M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    db = t.start('db', 'pz-verify 80', 'filled')
    none = t.start(None, 'pz-verify 32', 'filled')
    small = t.start('batch', 'pz-verify 8', 'filled')
    base = t.base_free()
    db_used = t.cls('db').used

    for n, flag in enumerate(('-N', '-T', '-N'), 1):
        r = vm.run('pz-exec batch pz-hog -s 4 %s 256' % flag, 60)
        t.equal(r.status, 137, 'a hog is killed (%s, %d)' % (flag, n))
        t.between(last_took(r.out), 36, 60, 'at the size of its class')
        e = t.events('batch')
        t.ok(e['oom'] >= n and e['oom_kill'] >= n, 'pzone.events counts', e)
    t.equal(t.events('db'), {'oom': 0, 'oom_kill': 0}, 'no event in the other class')
    # on a slow machine it was told of pressure before
    vm.qmp.wait_event('PZONE_SHORTAGE', 10, lambda d: d['name'] == 'batch' and d['oom'])
    t.ok(True, 'the host was told')
    t.ok(abs(t.cls('db').used - db_used) < 2 * MiB, 'the other class lost nothing')
    t.ok(base - t.base_free() < 12 * MiB, 'base memory lost nothing',
         '%d KiB' % ((base - t.base_free()) >> 10))
    t.ok(all(j.done() is False for j in (db, none, small)), 'bystanders run')
    rows = t.walk()
    t.no_leak_in(ALLOWED, 'nothing leaked in', rows)
    t.no_leak_out(ALLOWED, 'nothing leaked out', rows)

    # several at once, and a shell that must not hang behind them
    jobs = [t.start('batch', 'pz-hog -s 2 -x 60', 'pid') for _ in range(3)]
    statuses = [j.wait(60).status for j in jobs]
    t.ok(set(statuses) <= {0, 137} and 137 in statuses, 'three hogs in one class: they end',
         statuses)
    t.equal(vm.run('pz-exec batch pz-hog -x 8', 20).status, 0, 'the class is usable afterwards')

    # page cache does not kill: it is reclaimed inside
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt')
    kills = t.events('batch')['oom_kill']
    db_used, base_file = t.cls('db').used, t.base_free()
    r = vm.run('pz-exec batch pz-hog -x -f /mnt/f 120', 90)
    t.equal(r.status, 0, 'a file larger than the class is written and read back')
    t.equal(t.events('batch')['oom_kill'], kills, 'without a kill')
    t.ok(t.cls('batch').file <= 64 * MiB, 'its page cache fits the class')
    t.ok(abs(t.cls('db').used - db_used) < 2 * MiB, 'the other class lost nothing')
    rows = t.walk()
    t.no_leak_in(ALLOWED, 'nothing leaked in', rows)
    t.no_leak_out(ALLOWED, 'nothing leaked out', rows, unmovable=64)

    # a class of one block can't hold anything for long, and must not hang
    vm.create('fast', 'tiny', '2M')
    vm.settle()
    r = vm.run('pz-exec tiny pz-hog -s 1 64', 30)
    t.ok(r.status != 0, 'a class of 2 MiB stops a hog', r)

    t.ends_well(db, 'the other class holds what was written')
    t.ends_well(none, 'so does memory of no class')
    t.ends_well(small, 'so does the small task of the same class')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='256M')
