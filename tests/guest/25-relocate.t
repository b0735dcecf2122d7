#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A class in pieces is brought back to one extent while a task uses it: in steps
# of what the pool has free, without losing a byte; a pin ends it, a resize of
# another class comes first.
from guest_test import run, Pool, MiB


def cls(vm, name='db'):
    return vm.classes()[name]


def split(vm):
    """db in two extents with room between them, and nothing that no class has."""
    vm.qmp.command('qom-set', path='/machine/peripheral/fast', property='requested-size', value=1024 * MiB)
    vm.create('fast', 'db', '64M', limit='64M', guarantee='0')
    vm.create('fast', 'gap', '256M')
    vm.create('fast', 'wall', '16M')
    vm.settle()
    used = vm.pool('fast')['memmap'] + (64 + 256 + 16 + 128) * MiB
    vm.qmp.command('qom-set', path='/machine/peripheral/fast', property='requested-size', value=used)
    vm.qmp.command('pzone-set', pool='fast', name='db', limit=512 * MiB)
    vm.resize('fast', 'db', '192M')
    vm.settle()
    return used


def grown_together(t, vm):
    used = split(vm)
    t.equal(cls(vm)['nr-extents'], 2, 'a class that could not grow in place has two extents')
    # 96 MiB in it, and a verifying task
    watch = t.start('db', 'pz-verify 32', 'filled')
    hog = t.start('db', 'pz-hog 96', 'holding', timeout=60)
    most = vm.bg('until [ -e /tmp/enough ]; do cat /sys/kernel/mm/pzone/class/db/size; done | sort -n | tail -n 1')
    vm.destroy('fast', 'gap')
    vm.wait(lambda: cls(vm)['nr-extents'] == 1 and not cls(vm)['relocating'],
            'the class is one extent again', 60)
    vm.settle()
    c = cls(vm)
    t.equal((c['size'], c['actual'], c['state']), (192 * MiB, 192 * MiB, 'settled'),
            'when there is room it is brought together, and has its size')
    t.ok(vm.pool('fast')['plugged'] <= used, 'within what is requested')
    vm.sh('touch /tmp/enough')
    # PZONE_EXCHANGE_BYTES; the host had promised it up to 128 MiB more
    t.between(int(most.wait(30).out) // MiB, 192, 192 + 32, 'meanwhile its tasks could use hardly more than its size')
    t.ends_well(hog, 'moved memory is what was written')
    t.ends_well(watch, 'and the verifying task saw nothing')
    t.agrees('sysfs, QEMU and arithmetic agree')
    vm.destroy('fast', 'db')
    vm.destroy('fast', 'wall')
    vm.settle()


def pinned(t, vm):
    split(vm)
    job = t.start('db', 'pz-pin -e 100000 160', 'pinned', timeout=60)
    vm.destroy('fast', 'gap')
    vm.wait(lambda: cls(vm)['relocating'], 'a relocation begins', 30)
    vm.wait(lambda: not cls(vm)['relocating'], 'and ends', 120)
    vm.settle(60)
    c = cls(vm)
    t.equal((c['size'], c['actual'], c['state']), (192 * MiB, 192 * MiB, 'settled'),
            'with memory pinned the relocation ends, and the class has its size')
    t.ends_well(job, 'pinned memory is what was written')
    vm.create('fast', 'other', '128M')
    vm.settle()
    t.agrees('another class gets its memory; sysfs, QEMU and arithmetic agree')


def test(t, vm):
    grown_together(t, vm)
    pinned(t, vm)


run(test, pools=[Pool('fast', size='1G', requested='1G')])
