#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A crash: each class's memory is read back from QEMU's dump of the guest, and from the
# /proc/vmcore of the kernel that takes over, which leaves the layout alone.
import os
import struct

import kexec
from guest_test import run, Pool, MiB, PAGE

STEP = 0x9e3779b97f4a7c15
HOLDS = {'db': 24, 'batch': 16}


def loads(f):
    """(physical address, bytes, offset) of the parts of an ELF core."""
    ehdr = struct.unpack('<16sHHIQQQIHHHHHH', f.read(64))
    for i in range(ehdr[9]):
        f.seek(ehdr[5] + i * ehdr[8])
        kind, _, offset, _, paddr, filesz, _, _ = struct.unpack('<IIQQQQQQ', f.read(56))
        if kind == 1:
            yield paddr, filesz, offset


def ours(page):
    w = struct.unpack('<512Q', page)
    return all((b - a) % 2 ** 64 == STEP for a, b in zip(w, w[1:]))


def pages_in(path, extents):
    n = 0
    with open(path, 'rb') as f:
        for paddr, filesz, offset in list(loads(f)):
            for start, size in extents:
                for a in range(max(start, paddr), min(start + size, paddr + filesz), PAGE):
                    f.seek(offset + a - paddr)
                    n += ours(f.read(PAGE))
    return n


def test(t, vm):
    for name in HOLDS:
        vm.create('fast', name, '64M', guarantee=0, limit='64M')
    vm.settle()
    # an extent of each class behind a hole
    vm.resize('fast', 'db', '48M')
    vm.settle()
    p = vm.pool('fast')
    line = '%08x-%08x : System RAM (virtio_mem)' % (p['addr'], p['addr'] + p['size'] - 1)
    t.ok(line in vm.sh('cat /proc/iomem'), "the kernel's resources have the pool", line)
    jobs = {name: t.start(name, 'pz-hog -N %d' % mib, 'holding') for name, mib in HOLDS.items()}
    extents = {name: t.cls(name).extents for name in HOLDS}

    vm.qmp.command('stop')
    dump = vm.path('dump')
    vm.qmp.command('dump-guest-memory', paging=False, protocol='file:' + dump, timeout=120)
    t.equal({n: pages_in(dump, extents[n]) for n in HOLDS}, {n: m * 256 for n, m in HOLDS.items()},
            "QEMU's dump has what each class's program wrote")
    os.unlink(dump)
    vm.qmp.command('cont')
    for job in jobs.values():
        t.ok(job.status is None, 'the programs go on')

    # the kernel that takes over, with the same initramfs
    r = vm.run(kexec.command(vm, 'console=ttyS0 panic=-1 nr_cpus=1', crash=True), 60)
    if not t.ok(r.status == 0, 'a kernel for the crash is loaded', r):
        return
    before = vm.pool('fast')
    vm.expected += ['sysrq triggered crash', 'Kernel panic', 'Call Trace', 'BUG:|Oops']
    hellos = vm.agent.hellos
    vm.bg('echo c > /proc/sysrq-trigger')
    vm.agent.wait_hello(hellos + 1, 120)
    t.ok(vm.sh('ls /proc/vmcore'), 'it takes over in a crash')
    t.equal(vm.run('ls /sys/kernel/mm/pzone/class').out.split(), [], 'and makes no classes of its own')
    found = {}
    for name in HOLDS:
        found[name] = sum(int(vm.sh('pz-vmcore /proc/vmcore %#x %d' % e, 120).split()[1]) for e in extents[name])
    t.equal(found, {n: m * 256 for n, m in HOLDS.items()}, "/proc/vmcore has what each class's program wrote")
    after = vm.pool('fast')
    keep = 'addr', 'size', 'plugged', 'available', 'memmap', 'generation'
    t.equal([after[k] for k in keep], [before[k] for k in keep], 'and the layout is as it was')
    t.equal({n: (vm.classes()[n]['size'], vm.classes()[n]['actual']) for n in HOLDS},
            {'db': (48 * MiB,) * 2, 'batch': (64 * MiB,) * 2}, 'of each class')
    t.equal({n: sorted((e['addr'], e['size']) for e in vm.classes()[n]['extents']) for n in HOLDS},
            {n: sorted(extents[n]) for n in HOLDS}, '... and where it lies')


run(test, pools=[Pool('fast', size='1G', requested='1G')], mem='1G', cmdline='crashkernel=256M',
    args=kexec.disks())
