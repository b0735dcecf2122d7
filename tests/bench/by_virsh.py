#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""by_virsh: how long virsh pzone-define and pzone-undefine take, on a private libvirt host.

usage: by_virsh.py FILE RUNS
Writes lines "define MS undefine MS" to FILE. --wait makes virsh wait until the guest has
the class, or has given it back. Part of lifecycle.py, and a program of its own, because the
host has namespaces of its own.
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../lib'))
import pzone_test                   # noqa: E402

CLASS = "<class name='x' pool='ua-fast'><size unit='MiB'>128</size></class>"


def timed(host, *words):
    began = time.perf_counter()
    r = host.virsh(*words, '--live', '--wait')
    if r.returncode:
        raise RuntimeError('virsh %s: %s' % (words[0], r.stderr.strip()))
    return (time.perf_counter() - began) * 1e3


def measure(t, host):
    d = t.domain()
    t.boot(d)
    xml = os.path.join(host.work, 'x.xml')
    with open(xml, 'w') as f:
        f.write(CLASS)
    with open(sys.argv[1], 'w') as out:
        for _ in range(int(sys.argv[2])):
            out.write('define %.1f undefine %.1f\n' % (timed(host, 'pzone-define', 'demo', xml),
                                                       timed(host, 'pzone-undefine', 'demo', 'x')))
    t.ok(True, 'measured')


if len(sys.argv) != 3 or not sys.argv[2].isdigit():
    sys.exit(__doc__.split('\n\n')[1])
pzone_test.run(measure)
