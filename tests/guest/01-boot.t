#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A pool and its classes come up, sysfs says what QEMU says, the memory map does
# not come out of base memory, a reboot ends in the same place.
from guest_test import run, Pool, MiB, GiB


def test(t, vm):
    p = vm.wait(lambda: vm.pool('fast')['guest'] == 'ready' and vm.pool('fast'),
                'the driver accepts the feature', 20)
    t.equal(t.class_names(), [], 'no class before one is created')
    g = t.pool('fast')
    t.equal((g.addr, g.size, g.block_size), (p['addr'], 2 * GiB, 2 * MiB),
            'the pool has its address, size and block size')
    before = t.base_free()
    vm.create('fast', 'db', '256M')
    vm.create('fast', 'batch', '128M')
    vm.settle()
    t.equal(t.class_names(), ['batch', 'db'], 'two classes')
    db = t.cls('db')
    t.equal((db.size, db.wanted, db.pool, db.state), (256 * MiB, 256 * MiB, 'fast', 'settled'),
            'a class has its size')
    t.equal((db.guarantee, db.limit), (256 * MiB, 256 * MiB), 'bounds default to the size')
    t.ok(db.free > db.size * 98 // 100, 'and is free', dict(db))
    t.equal(len(db.extents), 1, 'it is one extent')
    t.ok(db.node != t.cls('batch').node and db.id != t.cls('batch').id,
         'classes have nodes and ids of their own')
    t.agrees('sysfs, QEMU and arithmetic agree')
    t.ok(before - t.base_free() < 16 * MiB, 'base memory pays next to nothing for 2 GiB',
         'it lost %d KiB' % ((before - t.base_free()) >> 10))
    t.ok(t.pool('fast').memmap >= 2 * GiB // 64, 'the memory map is in the pool')
    iomem = vm.sh('cat /proc/iomem')
    t.ok('System RAM (virtio_mem)' in iomem, '/proc/iomem names it driver-managed RAM', iomem)

    vm.bg('reboot -f')
    vm.wait_reboot()
    vm.settle()
    t.equal(t.class_names(), ['batch', 'db'], 'a reboot brings the classes back')
    t.agrees('and sysfs, QEMU and arithmetic agree')

    vm.qmp.command('system_reset')
    vm.wait_reboot()
    vm.settle()
    t.agrees('a hard reset, too')


run(test, pools=[Pool('fast')], reboot=True)
