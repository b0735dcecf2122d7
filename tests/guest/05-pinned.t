#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory that can't move: a shrink ends with a partial result that says how
# much, stays wanted, and finishes when the pin is gone.
import time
from guest_test import run, Pool, MiB


def test(t, vm):
    vm.create('fast', 'db', '128M', guarantee='2M')
    vm.settle()
    # 12 MiB, every page pinned
    job = t.start('db', 'pz-pin 12', 'pinned')
    t.ok(t.walk_pid(job.pid).get(('db', 'anon'), 0) >= 12 * 256, 'short-term pins stay in the class')
    began = time.monotonic()
    vm.resize('fast', 'db', '2M')
    vm.wait(lambda: vm.classes()['db']['state'] == 'partial', 'the shrink reports partial', 30)
    t.diag('partial after %.2f s' % (time.monotonic() - began))
    c = vm.classes()['db']
    t.between(c['actual'] >> 20, 12, 64, 'what is pinned stays, the rest goes')
    t.ok(c['report']['stuck'] > 0, 'the host hears how much is stuck', c['report'])
    t.ok(c['report']['pinned'] > 0, 'and how much refused to move', c['report'])
    t.equal(t.cls('db').state, 'partial', 'sysfs says partial')
    t.agrees('sysfs, QEMU and arithmetic agree')

    # it does not get in the way of others
    vm.create('fast', 'batch', '256M')
    vm.wait(lambda: vm.classes()['batch']['state'] == 'settled', 'another class comes', 30)
    t.equal(vm.run('pz-exec batch pz-hog -x 200', 60).status, 0, 'and works')

    t.ends_well(job, 'pinned memory is what was written')
    vm.settle(60)
    t.equal(t.cls('db').size, 2 * MiB, 'without the pin the shrink finishes by itself')

    # one pinned page in a destroyed class
    vm.resize('fast', 'db', '128M')
    vm.settle()
    job = t.start('db', 'pz-pin -e 100000 4', 'pinned')
    vm.destroy('fast', 'db')
    vm.wait(lambda: 'partial' in str(vm.classes().get('db', {})) or
            vm.classes()['db']['actual'] < 16 * MiB, 'a destroyed class gives back the rest', 30)
    c = vm.classes()['db']
    t.between(c['actual'] >> 20, 2, 8, 'destroying: the block with the pin remains')
    t.ends_well(job, 'and holds what was written')
    vm.wait(lambda: 'db' not in vm.classes(), 'and then the class is gone', 60)
    t.equal(t.cls('db'), None, 'from sysfs, too')

    # long-term pins leave the class: the kernel moves them out of ZONE_MOVABLE first
    vm.create('fast', 'db', '64M', guarantee='2M')
    vm.settle()
    job = t.start('db', 'pz-pin -l 8', 'pinned')
    w = t.walk_pid(job.pid)
    t.ok(w.get(('base', 'anon'), 0) >= 8 * 256, 'long-term pins end in base memory', w)
    vm.resize('fast', 'db', '4M')
    vm.settle(60)
    t.ok(True, 'and so they stop no shrink')
    t.ends_well(job, 'they hold what was written')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')])
