#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A benchmark of which nothing works: no guest boots, no plot is drawn. Each part says
# so, the report is written all the same, and the exit status is not 0.
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../guest'))
from guest_test import Tap          # noqa: E402

BENCH = os.path.join(HERE, '../../bench/bench')
PARTS = ['counts', 'faults', 'table', 'shrink', 'isolation']    # lifecycle starts a libvirtd
FILES = {'kernel/bzImage': '', 'kernel-peer/bzImage': '', 'guest/initramfs.cpio.gz': '', 'bench/insn.so': '',
         'bench/discard': 'echo touch_us 1 discard_us 1 back_mib 0',
         'qemu/bin/qemu-system-x86_64': 'echo no such machine >&2; exit 1',
         'qemu-plugins/bin/qemu-system-x86_64': 'echo no such machine >&2; exit 1',
         'path/strace': 'exit 1', 'path/gnuplot': 'echo no such plot >&2; exit 1'}
t = Tap()


def bench(directory, *words):
    env = dict(os.environ, PZONE_BUILD=directory, PZONE_ACCEL='tcg', PATH=directory + '/path:' + os.environ['PATH'])
    for v in ('PZONE_KERNEL', 'PZONE_QEMU', 'PZONE_INITRAMFS', 'PZONE_PEER_KERNEL'):
        env.pop(v, None)
    return subprocess.run([BENCH, *words], env=env, capture_output=True, text=True, timeout=300)


with tempfile.TemporaryDirectory() as d:
    r = bench(d)
    t.ok(r.returncode == 1 and 'missing: ' in r.stderr and d + '/kernel/bzImage' in r.stderr, 'what is not built is named', r)
    for name, script in FILES.items():
        path = os.path.join(d, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write('#!/bin/sh\n%s\n' % script)
        os.chmod(path, 0o755)
    r = bench(d, '--only', ','.join(PARTS))
    t.ok(r.returncode == 1 and 'points were not measured' in r.stderr, 'that nothing was measured is an error', r)
    after = dict(zip(PARTS, r.stdout.split('==> ')[1:]))
    for part in PARTS:
        t.ok('FAILED: ' in after.get(part, ''), '%s says that it failed' % part, r)
    with open(os.path.join(d, 'bench/quick/report.md')) as f:
        report = f.read()
    t.ok('no such machine' in report, 'the report says why')
    t.ok('plot_sizes never' in report and '.svg' not in report, 'and which plots it lacks', report)
    measured = [line.split('|')[2].split(':')[0].strip() for line in report.splitlines() if line.startswith('| measured')]
    t.equal(measured, ['shrink'], 'only what the host does alone was measured')
    r = bench(d, '--only', 'nothing')
    t.ok(r.returncode and "'nothing' is no part; there are: counts" in r.stderr, 'a part that does not exist is refused', r)
t.done()
