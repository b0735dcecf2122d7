#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzoned: not there, killed, started again. Nothing is lost and nothing done twice."""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from pzone_host import poll                 # noqa: E402
from pzone_domain import MiB, NS, SLOW      # noqa: E402
from pzone_test import run                  # noqa: E402

CLASS = "<class name='%s' pool='ua-fast'><size unit='MiB'>%d</size><limit unit='MiB'>1024</limit></class>"

NEW = "<class name='new' pool='ua-fast'><size unit='MiB'>64</size></class>"
TRIES = 40


def slow_set(t, host, d):
    """pzone-set tells the device first and writes the XML then: pzoned, which looks in between, has
    to leave the class alone. A try in which the two were too far apart says nothing and is
    repeated: pzoned waits half a second before it believes what it sees."""
    shim, log = os.path.join(host.work, "slow.so"), os.path.join(host.work, "slow.log")
    flags = host.run(["pkg-config", "--cflags", "libvirt"]).stdout.split()
    r = host.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, os.path.join(HERE, "slow-metadata.c"), *flags, "-ldl"])
    t.equal(r.returncode, 0, "(something that makes pzone-set slow)", r.stderr)
    t.virsh_ok("pzone-resize", "demo", "new", "128MiB", "--wait")
    told = host.log_tail("pzoned", 10000).count("set class 'new'")
    good = 0
    for n in range(TRIES):
        r = host.run(["env", "LD_PRELOAD=" + shim, "SLOW_LOG=" + log, "virsh-pzone", "pzone-set", "demo", "new",
                      "--limit", "%dMiB" % (256 + 2 * n)])
        with open(log) as f:
            took_ms = int(f.read())
        if r.returncode or took_ms < 450:
            good += r.returncode == 0
            if r.returncode or good == 5:
                break
        else:
            # pzoned may have set it: back to where we were
            t.diag("%d ms between the two steps: not counted" % took_ms)
            time.sleep(2)
            host.virsh("pzone-resize", "demo", "new", "128MiB", "--wait")
            told = host.log_tail("pzoned", 10000).count("set class 'new'")
    t.equal((r.returncode, good), (0, 5), "five times pzone-set with a gap between device and XML", r.stderr)
    time.sleep(2 * SLOW)
    t.equal(host.log_tail("pzoned", 10000).count("set class 'new'"), told, "... and pzoned sets nothing back")
    t.equal(d.figure("new", "size"), 128 * MiB, "... so that the class keeps the size that it was given")


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
               "<pzones>%s%s%s</pzones>" % (CLASS % ("db", 256), CLASS % ("batch", 192), NEW),
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

    slow_set(t, host, d)
    t.equal(host.stop_pzoned(), 0, "SIGTERM ends pzoned with status 0")
    t.ok(d.settled(("db", "batch", "new")), "... and the classes stay")


run(test, pzoned=False)
