#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# The benchmark measures what it says: 64 MiB are taken from a class in each of its
# states, the host has what was touched back, and the class its size again.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../bench'))
import guest_test                   # noqa: E402
import shrink                       # noqa: E402
from guest_test import run, MiB     # noqa: E402

PEER = shrink.PEERS[0]
SIZE = 64 * MiB


def test(t, vm):
    vm.expected.remove('.')         # a benchmark goes on when the kernel complains, a test does not
    PEER.prepare(vm, SIZE)
    vm.sh('mke2fs -F /dev/ram0 >/dev/null 2>&1 && mount -t ext4 /dev/ram0 /mnt && truncate -s %d %s' % (
        SIZE, shrink.HOLE))
    for state, part in shrink.STATES.items():
        point = shrink.Shrink(None, 'memfd', state, SIZE // MiB)
        row = point.timed(vm, PEER)
        t.equal(row['ended'], 1, '%s: the shrink ends' % state)
        back = round(row['back_mib'])
        if state == 'never':
            t.equal(back, 0, 'never: there was nothing to come back')
        elif state == 'touched':
            # of what is free fill_mib() leaves 12 MiB; a little is in use before
            t.between(back, point.take // MiB - 14, point.take // MiB, 'touched: the host has back what was touched of it')
        # nobody has touched yet what it grew by
        most = (SIZE + shrink.SLACK - point.take + vm.pool('p')['memmap']) // MiB
        t.between(point.held(vm, PEER), 0, most, '%s: the host has all back that the class gave up' % state)
        t.ok(row['shrink_ms'] > 0 and row['shrink_vcpu_ms'] > 0 and row['grow_ms'] > 0, '%s: it took some time' % state, row)
        t.equal(t.cls('db').size, SIZE + shrink.SLACK, '%s: the class has its size again' % state)
    t.agrees('sysfs, QEMU and arithmetic agree')


guest_test.VM = shrink.BenchVM
args = PEER.vm_args(SIZE, 'memory-backend-memfd')
run(test, cpus=1, **args)
