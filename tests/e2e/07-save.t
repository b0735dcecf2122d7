#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh save and restore: classes, their places and their contents survive."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB    # noqa: E402
from pzone_test import run          # noqa: E402


def test(t, host):
    d = t.domain()
    t.boot(d)
    t.virsh_ok("pzone-resize", "demo", "db", "320MiB", "--wait")
    d.hold("db", 150)
    d.hold("batch", 60)
    before = {c: (d.figure(c, "size"), d.figure(c, "extents")) for c in ("db", "batch")}
    free = {c: d.figure(c, "free") for c in ("db", "batch")}
    d.disconnect()

    image = os.path.join(host.work, "demo.save")
    t.virsh_ok("save", "demo", image)
    t.equal(host.domain_state("demo"), "shut off", "the domain is saved")
    t.virsh_ok("restore", image)
    d.connect()
    d.wait_settled(("db", "batch"))
    t.equal(sorted(d.classes()), ["batch", "db"], "the restored guest has its classes")
    for c in ("db", "batch"):
        t.equal((d.figure(c, "size"), d.figure(c, "extents")), before[c],
                "%s has the size and the places that it had" % c)
        t.near(d.figure(c, "free"), free[c], 2 * MiB, "... and what it had free")
    t.intact(d, ("db", "batch"), "after it was restored")

    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait", what="db still grows")
    t.equal(d.figure("db", "size"), 512 * MiB, "... in the guest, too")
    t.virsh_ok("pzone-resize", "demo", "db", "192MiB", "--wait", what="... and shrinks")
    t.intact(d, ("db",), "after it was moved together")
    out = t.virsh_ok("pzone-list", "demo")
    t.equal(out.count("settled"), 2, "pzone-list shows both settled", out)


run(test)
