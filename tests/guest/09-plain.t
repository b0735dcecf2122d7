#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest that does not take part: with pzone=off (as with an unpatched kernel)
# the pool is plain virtio-mem, and QEMU says so. And the other way round: our
# kernel on a virtio-mem device without the feature.
from guest_test import run, Pool, MiB


def plain(t, vm):
    p = vm.wait(lambda: vm.pool('fast')['guest'] == 'plain' and vm.pool('fast'),
                'the driver does without the feature', 20)
    t.equal(p['guest'], 'plain', 'QEMU knows that the guest is plain')
    t.equal(vm.run('ls /sys/kernel/mm/pzone/class/*').status != 0, True, 'no classes in sysfs')
    vm.create('fast', 'db', '64M')
    t.equal(vm.classes()['db']['state'], 'waiting', 'a class waits for a guest that never comes')
    # the other device: no feature at all
    t.ok('other' not in [q['id'] for q in vm.qmp.command('query-pzone')],
         'a device without pzone=on is no pool')
    vm.wait(lambda: t.meminfo('MemTotal') > 1000 * MiB,
            lambda: 'MemTotal is %d MiB' % (t.meminfo('MemTotal') >> 20), 30)
    t.ok(True, 'both are ordinary memory')
    t.equal(vm.run('pz-hog -x 600', 60).status, 0, 'that can be used')


run(plain, pools=[Pool('fast', size='1G', requested='512M'),
                  Pool('other', size='1G', requested='256M', pzone=False)],
    cmdline='pzone=off memhp_default_state=online_movable')
