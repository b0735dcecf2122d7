#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzoned: not there, killed, started again. Nothing is lost and nothing done twice."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll                 # noqa: E402
from pzone_domain import MiB, NS, SLOW      # noqa: E402
from pzone_test import run                  # noqa: E402

CLASS = "<class name='%s' pool='ua-fast'><size unit='MiB'>%d</size><limit unit='MiB'>1024</limit></class>"


def test(t, host):
    d = t.domain()
    t.boot(d, classes=())
    time.sleep(1)
    t.equal(d.query()[0]["classes"], [], "without pzoned a start creates no class")
    out = t.virsh_ok("pzone-list", "demo")
    t.equal(out.count("not applied"), 2, "... and pzone-list says 'not applied' of both", out)
    t.virsh_fails(("pzone-resize", "demo", "db", "512MiB"), 1, "db",
                  "pzone-resize of a class that is not applied fails and names it")

    host.start_pzoned()
    d.wait_settled(("db", "batch"))
    t.ok(True, "pzoned, started later, applies the classes of a running domain")

    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait")
    t.equal(host.stop_pzoned(signal.SIGKILL), -signal.SIGKILL, "pzoned is killed with SIGKILL")
    t.virsh_ok("pzone-resize", "demo", "db", "384MiB", "--wait",
               what="pzone-resize works without pzoned")
    t.equal(d.figure("db", "size"), 384 * MiB, "... and the guest follows")
    t.virsh_ok("metadata", "demo", NS, "--key", "pzone", "--live", "--set",
               "<pzones>%s%s%s</pzones>" % (CLASS % ("db", 256), CLASS % ("batch", 192), CLASS % ("new", 64)),
               what="the XML is edited meanwhile: batch larger, a new class, db as it was")
    time.sleep(1)
    t.equal(d.figure("batch", "size"), 128 * MiB, "nobody follows it yet")

    host.start_pzoned()
    poll("pzoned catches up", 60 * SLOW, lambda: d.settled(("db", "batch", "new")))
    t.equal(d.figure("batch", "size"), 192 * MiB, "pzoned, started again, applies what was edited")
    t.equal(d.figure("new", "size"), 64 * MiB, "... and creates what is new")
    t.equal(d.figure("db", "size"), 384 * MiB, "... and db, whose definition says what it said, keeps its size")

    t.virsh_ok("pzone-resize", "demo", "db", "320MiB", "--wait")
    host.stop_pzoned(signal.SIGKILL)
    generation = d.query()[0]["generation"]
    host.start_pzoned()
    time.sleep(2 * SLOW)
    t.equal(d.figure("db", "size"), 320 * MiB, "a restart alone changes no size")
    t.equal(d.query()[0]["generation"], generation, "... nor anything else in the device")

    t.equal(host.stop_pzoned(), 0, "SIGTERM ends pzoned with status 0")
    t.ok(d.settled(("db", "batch", "new")), "... and the classes stay")


run(test, pzoned=False)
