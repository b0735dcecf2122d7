#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest kernel without pzone support sees a plain virtio-mem device, and the
tools say so.

It is our kernel with pzone=off, which makes the virtio-mem driver leave the
feature alone, as an unpatched one does.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll                 # noqa: E402
from pzone_domain import GiB, MiB, SLOW     # noqa: E402
from pzone_test import run                  # noqa: E402


def test(t, host):
    d = t.domain(cmdline="pzone=off memhp_default_state=online_movable")
    t.boot(d, classes=())
    t.equal(d.try_sh("ls /sys/kernel/mm/pzone/class").out.strip(), "", "the guest has no classes")
    poll("the guest plugs ordinary memory", 60 * SLOW, lambda: d.query()[0]["plugged"] > 1 * GiB)
    t.ok(True, "the guest gets the pool's memory as ordinary memory")
    t.equal(d.query()[0]["guest"], "plain", "the device says that the guest is plain")
    total = 1024 * int(d.sh("awk '/^MemTotal/ {print $2}' /proc/meminfo"))
    t.ok(total > 1.2 * GiB, "... in MemTotal, too", "MemTotal %d MiB" % (total // MiB))
    r = host.virsh("pzone-list", "demo")
    t.equal(r.returncode, 0, "pzone-list works")
    t.equal(r.stdout.count("plain guest"), 2, "... and says 'plain guest' of both classes", r.stdout)
    t.ok("isolate nothing" in r.stderr, "... and that they isolate nothing", r.stderr)
    r = host.virsh("pzone-resize", "demo", "db", "512MiB", "--wait", "--timeout", "10")
    t.ok(r.returncode == 1 and "pzone" in r.stderr, "pzone-resize --wait does not wait for nothing, and says why",
         r.returncode, r.stdout, r.stderr)
    hog = d.try_sh("exec pz-hog -x 600", 90)
    t.equal(hog.status, 0, "a program uses more than base memory has")


run(test)
