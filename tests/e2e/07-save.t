#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh save and restore: classes, their places and their contents survive."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB, SLOW  # noqa: E402
from pzone_test import run          # noqa: E402


def test(t, host):
    d = t.domain()
    t.boot(d)
    t.virsh_ok("pzone-resize", "demo", "db", "320MiB", "--wait")
    # holds a pattern; its own log, because an agent's client goes away
    d.sh("pz-exec db pz-hog 150 > /tmp/db.log 2>&1 & "
         "pz-exec batch pz-hog 60 > /tmp/batch.log 2>&1 &")
    d.sh("while ! grep -q holding /tmp/db.log || ! grep -q holding /tmp/batch.log; do sleep 0.1; done", 60)
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
        d.sh("kill -USR1 $(sed -n 's/^pid //p' /tmp/%s.log)" % c)
        d.sh("for i in $(seq 300); do grep -q 'verified\\|CORRUPT' /tmp/%s.log && break; sleep 0.1; done" % c, 60)
        log = d.sh("cat /tmp/%s.log" % c)
        t.ok(re.search(r"^verified \d+", log, re.M) and "CORRUPT" not in log,
             "... and the %s program finds all it had written" % c, log[-500:])

    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait", what="db still grows")
    t.equal(d.figure("db", "size"), 512 * MiB, "... in the guest, too")
    t.virsh_ok("pzone-resize", "demo", "db", "192MiB", "--wait", what="... and shrinks")
    d.sh("kill -TERM $(sed -n 's/^pid //p' /tmp/db.log)")
    d.sh("for i in $(seq 300); do [ -d /proc/$(sed -n 's/^pid //p' /tmp/db.log) ] || break; sleep 0.1; done", 60)
    t.ok("CORRUPT" not in d.sh("cat /tmp/db.log"), "... with all its contents")
    out = t.virsh_ok("pzone-list", "demo")
    t.equal(out.count("settled"), 2, "pzone-list shows both settled", out)


run(test)
