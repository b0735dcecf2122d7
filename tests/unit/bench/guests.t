#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# The guests that the benchmark boots are what it says.
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../bench'))
sys.path.insert(0, os.path.join(HERE, '../../guest'))
import benchlib                     # noqa: E402
from guest_test import Tap          # noqa: E402

t = Tap()
# any files: nothing is booted
os.environ.update({v: sys.executable for v in ('PZONE_KERNEL', 'PZONE_QEMU', 'PZONE_INITRAMFS')})


def numa(directory, **more):
    vm = benchlib.BenchVM(**more)
    vm.dir = directory
    cmd = vm.command_line()
    return [w for before, w in zip(cmd, cmd[1:]) if before == '-numa'], cmd[cmd.index('-smp') + 1], cmd


with tempfile.TemporaryDirectory() as d:
    nodes, smp, _ = numa(d, mem='512M')
    t.equal((nodes, smp), (['node,nodeid=0,memdev=ram0,cpus=0,cpus=1'], '2,sockets=1'), 'one node has all CPUs')
    nodes, smp, cmd = numa(d, peer=True, mem='1G', nodes=8)
    t.equal([n.split('cpus=')[1:] for n in nodes], [['0'], ['1']] + 6 * [[]], 'eight nodes share two CPUs')
    t.equal(smp, '2,sockets=2', 'no socket is in two nodes')
    t.equal(sum('size=%d' % (128 * benchlib.MiB) in w for w in cmd), 8, 'and the memory evenly')
t.done()
