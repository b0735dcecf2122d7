#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A VM with classes is saved to a file and goes on in another QEMU: classes,
# sizes and contents are there, and a resize that was under way is finished.
import os
from guest_test import run, Pool, VM, MiB

POOLS = [Pool('fast')]


def test(t, vm):
    vm.create('fast', 'db', '128M', limit='512M', guarantee='2M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    t.leave('db', 'db', 'pz-verify 60', 'filled')
    t.leave('batch', 'batch', 'pz-hog 40', 'holding')
    t.leave('batch', 'pin', 'pz-pin 4', 'pinned')
    before = vm.classes()
    vm.resize('fast', 'db', '320M')
    vm.qmp.command('stop')      # as virsh save does
    image = vm.path('image')
    vm.qmp.command('migrate', uri='file:' + image)
    vm.wait_migration('completed', timeout=120)
    t.diag('the image has %d MiB' % (os.path.getsize(image) >> 20))
    vm.agent.close()

    with VM(pools=POOLS, args=['-incoming', 'defer'], agent=False) as vm2:
        vm2.expect('file:' + image)
        vm2.arrive(120)
        t2 = t.on(vm2)
        vm2.settle(60)
        after = vm2.classes()
        t.equal(after['db']['size'], 320 * MiB, 'the resize that was under way is done')
        t.equal(t2.cls('db').size, 320 * MiB, 'and the guest has it')
        t.equal([after[c]['id'] for c in before], [before[c]['id'] for c in before],
                'the classes are the same ones')
        t.equal(after['batch']['extents'], before['batch']['extents'], 'in the same places')
        t2.agrees('sysfs, QEMU and arithmetic agree')
        t2.left_well('db', 'batch', 'pin')
        vm2.resize('fast', 'db', '32M')
        vm2.create('fast', 'new', '64M')
        vm2.settle(60)
        t.ok(True, 'and classes can be resized and made')
        bad = vm2.complaints()
        t.ok(not bad, 'the kernel has nothing to complain of after it went on', *bad[:10])


run(test, pools=POOLS)
