#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# The guests that the benchmark boots are what it says: nodes, and an initramfs that
# holds programs of the host.
import os
import sys
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../bench'))
sys.path.insert(0, os.path.join(HERE, '../../guest'))
import benchlib                     # noqa: E402
import isolation                    # noqa: E402
from guest_test import Tap          # noqa: E402

t = Tap()
# any files: nothing is booted
os.environ.update({v: sys.executable for v in ('PZONE_KERNEL', 'PZONE_QEMU', 'PZONE_INITRAMFS')})


def numa(directory, **more):
    vm = benchlib.BenchVM(**more)
    vm.dir = directory
    cmd = vm.command_line()
    return [w for before, w in zip(cmd, cmd[1:]) if before == '-numa'], cmd[cmd.index('-smp') + 1], cmd


def members(path):
    """What the kernel unpacks: archives one after the other, each compressed, or at an offset that four divides."""
    with open(path, 'rb') as f:
        data = f.read()
    at, out = 0, b''
    while at < len(data):
        if data[at:at + 1] == b'0' and at % 4 == 0:
            return out + data[at:]
        unzip = zlib.decompressobj(wbits=31)
        out += unzip.decompress(data[at:])
        at = len(data) - len(unzip.unused_data)
    return out


with tempfile.TemporaryDirectory() as d:
    nodes, smp, _ = numa(d, mem='512M')
    t.equal((nodes, smp), (['node,nodeid=0,memdev=ram0,cpus=0,cpus=1'], '2,sockets=1'), 'one node has all CPUs')
    nodes, smp, cmd = numa(d, peer=True, mem='1G', nodes=8)
    t.equal([n.split('cpus=')[1:] for n in nodes], [['0'], ['1']] + 6 * [[]], 'eight nodes share two CPUs')
    t.equal(smp, '2,sockets=2', 'no socket is in two nodes')
    t.equal(sum('size=%d' % (128 * benchlib.MiB) in w for w in cmd), 8, 'and the memory evenly')

    isolation.BUILD, isolation.INITRAMFS = d, os.path.join(d, 'bench/redis.gz')
    isolation.shutil.which = lambda program: sys.executable
    os.mkdir(os.path.join(d, 'guest'))
    for size in range(4):           # wherever the first archive ends
        pack = zlib.compressobj(wbits=31)
        with open(os.path.join(d, 'guest/initramfs.cpio.gz'), 'wb') as f:
            f.write(pack.compress(os.urandom(100 + size)) + pack.flush())
        isolation.make_initramfs()
        try:
            got = members(isolation.INITRAMFS)
        except zlib.error as e:
            got = str(e).encode()
        t.ok(b'/ld-linux' in got and b'libc.so' in got, 'programs and their libraries are in the initramfs', got[:100])
t.done()
