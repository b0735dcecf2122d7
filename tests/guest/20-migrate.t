#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A running guest is migrated from QEMU to QEMU while its classes change: given
# up, live, and with postcopy; and a snapshot is taken behind its back. What is
# not plugged is never read: the pools are memfds, where reading would allocate.
import os
from guest_test import run, Pool, VM, MiB

POOLS = [Pool('fast', size='1G', requested='1G', backend='memory-backend-memfd')]
SLOW_BPS = 16 * MiB


def incoming():
    return VM(pools=POOLS, args=['-incoming', 'defer'], agent=False)


def start(vm, uri, *capabilities):
    vm.capabilities(*capabilities)
    vm.qmp.command('migrate', uri=uri)
    vm.wait_migration('active', 'completed')


def sizes(vm):
    return {c['name']: (c['size'], c['actual'], c['state']) for c in vm.pool('fast')['classes']
            if c['name'] != 'memmap'}


def nothing_read(t, vm, what):
    t.between(vm.memfd_bytes('fast'), 0, vm.pool('fast')['plugged'],
              'the host has no memory but for what is plugged, ' + what)


def given_up(t, vm):
    """What is asked for during a migration that is cancelled follows at the source."""
    vm.qmp.command('migrate-set-parameters', max_bandwidth=SLOW_BPS)
    start(vm, 'file:' + vm.path('cancelled'))
    vm.resize('fast', 'db', '192M')
    vm.resize('fast', 'batch', '32M')
    vm.destroy('fast', 'old')
    vm.create('fast', 'new', '16M')
    vm.wait(lambda: sizes(vm).get('new'), 'the device knows the new class')
    t.equal(sizes(vm), {'db': (192 * MiB, 128 * MiB, 'growing'), 'batch': (32 * MiB, 64 * MiB, 'shrinking'),
                        'old': (0, 32 * MiB, 'destroying'), 'new': (16 * MiB, 0, 'growing')},
            'while a migration is under way, changes are taken down and wait')
    vm.qmp.command('migrate_cancel')
    vm.wait_migration('cancelled')
    vm.settle()
    t.equal(sizes(vm), {'db': (192 * MiB, 192 * MiB, 'settled'), 'batch': (32 * MiB, 32 * MiB, 'settled'),
                        'new': (16 * MiB, 16 * MiB, 'settled')}, 'when it is given up, they follow')
    nothing_read(t, vm, 'after a migration that was given up')


def live(t, vm, vm2):
    """... and at the destination of one that succeeds."""
    uri = 'unix:' + vm2.path('migrate.sock')
    vm2.capabilities('multifd')
    vm2.expect(uri)
    start(vm, uri, 'multifd')
    for size in ('256M', '64M', '160M'):
        vm.resize('fast', 'db', size)
    t.equal(sizes(vm)['db'], (160 * MiB, 192 * MiB, 'shrinking'), 'live migration with multifd: db has to shrink')
    vm.qmp.command('migrate-set-parameters', max_bandwidth=1 << 40)
    vm.wait_migration('completed')
    vm.agent.close()
    vm2.arrive()
    vm2.settle()
    t2 = t.on(vm2)
    t.equal(t2.cls('db').size, 160 * MiB, '... and does so at the destination')
    t2.agrees('sysfs, QEMU and arithmetic agree')
    nothing_read(t, vm, 'at the source')
    nothing_read(t, vm2, 'at the destination')


def postcopy(t, vm, vm2):
    uri = 'unix:' + vm2.path('migrate.sock')
    vm2.capabilities('postcopy-ram')
    vm2.expect(uri)
    vm.qmp.command('migrate-set-parameters', max_bandwidth=SLOW_BPS)
    start(vm, uri, 'postcopy-ram')
    vm.resize('fast', 'db', '224M')
    vm.qmp.command('migrate-start-postcopy')
    vm.wait_migration('postcopy-active', 'completed')
    vm2.wait(lambda: vm2.qmp.command('query-status')['running'], 'the guest runs at the destination')
    vm2.resize('fast', 'batch', '48M')
    t.equal((vm2.migration(), sizes(vm2)['db'], sizes(vm2)['batch']),
            ('postcopy-active', (224 * MiB, 160 * MiB, 'growing'), (48 * MiB, 32 * MiB, 'growing')),
            'postcopy: the guest runs at the destination, where changes are taken down and wait')
    vm.qmp.command('migrate-set-parameters', max_bandwidth=1 << 40, max_postcopy_bandwidth=1 << 40)
    vm.wait_migration('completed')
    vm2.wait_migration('completed')
    vm.agent.close()
    vm2.arrive()
    vm2.settle()
    t2 = t.on(vm2)
    t.equal((t2.cls('db').size, t2.cls('batch').size), (224 * MiB, 48 * MiB), '... and follow')
    t2.agrees('sysfs, QEMU and arithmetic agree after postcopy')
    nothing_read(t, vm2, 'after postcopy')


def background_snapshot(t, vm):
    image = vm.path('image')
    vm.qmp.command('migrate-set-parameters', max_bandwidth=32 * MiB)
    start(vm, 'file:' + image, 'background-snapshot')
    vm.resize('fast', 'db', '64M')
    t.equal((vm.migration(), sizes(vm)['db']), ('active', (64 * MiB, 224 * MiB, 'shrinking')),
            'background snapshot: the guest runs, a change waits')
    vm.qmp.command('migrate-set-parameters', max_bandwidth=1 << 40)
    vm.wait_migration('completed')
    vm.settle()
    t.equal(t.cls('db').size, 64 * MiB, '... and follows')
    t.between(os.path.getsize(image), 1, 512 * MiB, 'the snapshot holds what the guest has written to')
    nothing_read(t, vm, 'after a background snapshot')
    return image


def restore(t, image):
    with incoming() as vm:
        vm.expect('file:' + image)
        vm.arrive()
        vm.settle()
        t2 = t.on(vm)
        t.equal(sizes(vm)['db'], (224 * MiB, 224 * MiB, 'settled'), 'the snapshot is of the time when it was begun')
        t2.left_well('db', 'batch')
        t2.agrees('sysfs, QEMU and arithmetic agree in what was restored')
        nothing_to_complain_of(t, vm)


def nothing_to_complain_of(t, vm):
    bad = vm.complaints()
    t.ok(not bad, 'the kernel has nothing to complain of on its way', *bad[:10])


def userfaultfd():
    """May QEMU handle page faults of its own, the kernel's included?"""
    with open('/proc/sys/vm/unprivileged_userfaultfd') as f:
        return os.geteuid() == 0 or f.read().strip() == '1'


def test(t, vm):
    for name, size in (('db', '128M'), ('batch', '64M'), ('old', '32M')):
        vm.create('fast', name, size, limit='512M', guarantee='2M')
    vm.settle()
    t.leave('db', 'db', 'pz-verify 30', 'filled')
    t.leave('batch', 'batch', 'pz-hog 20', 'holding')
    nothing_read(t, vm, 'to begin with')
    given_up(t, vm)
    with incoming() as vm2:
        live(t, vm, vm2)
        if userfaultfd():
            with incoming() as vm3:
                postcopy(t, vm2, vm3)
                restore(t, background_snapshot(t.on(vm3), vm3))
                t.on(vm3).left_well('db', 'batch')
                nothing_to_complain_of(t, vm3)
        else:
            t.skip('postcopy and background snapshot', 'needs root or vm.unprivileged_userfaultfd=1')
            t.on(vm2).left_well('db', 'batch')
        nothing_to_complain_of(t, vm2)


run(test, pools=POOLS)
