#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# What a resize costs between a real guest and the device, counted by QEMU's own
# trace events: extents, not blocks. And with prealloc=on the memory is there when
# the guest has it, and gone when it has given it back.
import re
from guest_test import run, Pool, MiB, GiB

POOL = Pool('fast', size='3G', requested='2G', backend='memory-backend-memfd', props='prealloc=on')


def resize(vm, size):
    """The lines that the trace has of it."""
    with open(vm.path('qemu.log')) as log:
        log.seek(0, 2)
        vm.resize('fast', 'db', size)
        vm.settle(60)
        return log.read().splitlines()


def count(lines, what):
    return sum(1 for line in lines if re.search(what, line))


def test(t, vm):
    vm.create('fast', 'db', '64M', guarantee='0', limit='2G')
    vm.settle()
    vm.qmp.command('trace-event-set-state', name='pzone_*', enable=True)
    lines = resize(vm, 64 * MiB + GiB)
    t.equal((count(lines, 'pzone_plug '), count(lines, 'pzone_request .* type=3 .* resp=0')), (1, 1),
            '1 GiB more, 512 blocks: one extent in one request')
    t.equal(vm.memfd_bytes('fast'), vm.pool('fast')['plugged'],
              'the host has all memory that is plugged, used or not')
    lines = resize(vm, 64 * MiB)
    t.equal((count(lines, 'pzone_unplug '), count(lines, 'pzone_request .* type=4 .* resp=0')), (1, 1),
            '1 GiB less, free: one discard in one request')
    t.between(count(lines, 'pzone_request '), 1, 12, 'and a handful of requests in all')
    t.equal(vm.memfd_bytes('fast'), vm.pool('fast')['plugged'],
              'the host has the memory back')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[POOL])
