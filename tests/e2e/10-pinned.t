#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A shrink that can't finish: a partial result, honestly told, that stays wanted."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll         # noqa: E402
from pzone_domain import MiB, SLOW  # noqa: E402
from pzone_test import run          # noqa: E402


def test(t, host):
    d = t.domain()
    t.boot(d)
    pin = d.agent.start("exec pz-exec db pz-pin 160")
    pin.wait_output("pinned", 60 * SLOW)
    r = host.virsh("pzone-resize", "demo", "db", "64MiB", "--wait", "--timeout", str(int(20 * SLOW)))
    got = d.device_class("db")["actual"]
    t.equal(r.returncode, 3, "a shrink below what is pinned ends with status 3", )
    t.diag("stdout: " + r.stdout)
    t.diag("stderr: " + r.stderr)
    t.ok(160 * MiB <= got < 256 * MiB, "it got what it could", "%d MiB left" % (got // MiB))
    t.ok(str(got // MiB) in r.stdout + r.stderr, "... and says how much the class still has", r.stdout, r.stderr)
    t.equal(d.device_class("db")["size"], 64 * MiB, "the new size stays wanted")
    t.equal(d.device_class("db")["state"], "partial", "... and the state is partial")
    t.ok("partial" in t.virsh_ok("pzone-list", "demo"), "... in pzone-list, too")
    t.equal(d.figure("db", "size"), got, "the guest says the same size")
    t.equal(d.figure("batch", "size"), 128 * MiB, "batch has not changed")

    d.sh("kill -TERM %s" % re.search(r"pid (\d+)", pin.text()).group(1))
    t.equal(pin.wait(60 * SLOW).status, 0, "the pinned memory was not touched")
    poll("the shrink goes on", 60 * SLOW, lambda: d.settled(("db", "batch")))
    t.equal(d.figure("db", "size"), 64 * MiB, "when the pins are gone, the rest follows by itself")


run(test)
