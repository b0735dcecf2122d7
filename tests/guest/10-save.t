#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A VM with classes is saved to a file and goes on in another QEMU: classes,
# sizes and contents are there, and a resize that was under way is finished.
import os
from guest_test import run, Pool, VM, MiB

POOLS = [Pool('fast')]
STAY = 'setsid pz-exec %s %s >/tmp/%s.log 2>&1 </dev/null & '


def test(t, vm):
    vm.create('fast', 'db', '128M', limit='512M', guarantee='2M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    # they outlive the connection to the agent, so they write to files
    vm.sh(STAY % ('db', 'pz-verify 60', 'db') + STAY % ('batch', 'pz-hog 40', 'batch') +
          STAY % ('batch', 'pz-pin 4', 'pin') +
          'until grep -q filled /tmp/db.log && grep -q holding /tmp/batch.log && '
          'grep -q pinned /tmp/pin.log; do usleep 100000; done', 60)
    before = vm.classes()
    vm.resize('fast', 'db', '320M')
    # Stopped first, as virsh save does. (A running one under TCG trips over QEMU 10.0
    # itself: cpu_physical_memory_sync_dirty_bitmap() forgets the RAM block's offset.)
    vm.qmp.command('stop')
    image = vm.path('image')
    vm.qmp.command('migrate', uri='file:' + image)

    def saved():
        status = vm.qmp.command('query-migrate').get('status')
        if status == 'failed':
            raise RuntimeError(vm.qmp.command('query-migrate'))
        return status == 'completed'

    vm.wait(saved, 'the state is saved', 120)
    t.diag('the image has %d MiB' % (os.path.getsize(image) >> 20))
    vm.agent.close()

    with VM(pools=POOLS, args=['-incoming', 'defer'], agent=False) as vm2:
        vm2.qmp.command('migrate-incoming', uri='file:' + image)
        vm2.wait(lambda: vm2.qmp.command('query-status')['status'] not in
                 ('inmigrate', 'restore-vm'), 'the state is read', 120)
        if not vm2.qmp.command('query-status')['running']:
            vm2.qmp.command('cont')
        vm2.connect()
        t2 = t.on(vm2)
        vm2.settle(60)
        after = vm2.classes()
        t.equal(after['db']['size'], 320 * MiB, 'the resize that was under way is done')
        t.equal(t2.cls('db').size, 320 * MiB, 'and the guest has it')
        t.equal([after[c]['id'] for c in before], [before[c]['id'] for c in before],
                'the classes are the same ones')
        t.equal(after['batch']['extents'], before['batch']['extents'], 'in the same places')
        t2.agrees('sysfs, QEMU and arithmetic agree')
        vm2.sh('killall pz-verify pz-hog pz-pin; sleep 1; while pidof pz-verify pz-hog pz-pin; '
               'do usleep 100000; done', 60)
        for name in ('db', 'batch', 'pin'):
            log = vm2.sh('tail -n 1 /tmp/%s.log' % name)
            t.ok(log.startswith('ok'), 'memory of %s is what was written' % name, log)
        vm2.resize('fast', 'db', '32M')
        vm2.create('fast', 'new', '64M')
        vm2.settle(60)
        t.ok(True, 'and classes can be resized and made')
        bad = vm2.complaints()
        t.ok(not bad, 'the kernel has nothing to complain of after it went on', *bad[:10])


run(test, pools=POOLS)
