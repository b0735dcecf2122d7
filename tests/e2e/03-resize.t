#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh pzone-resize up and down: guest, device and the host's memory follow."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll                 # noqa: E402
from pzone_domain import GiB, MiB, SLOW     # noqa: E402
from pzone_test import run                  # noqa: E402


def test(t, host):
    d = t.domain()
    t.boot(d)
    start = host.qemu_rss_bytes("demo")

    r = host.virsh("pzone-resize", "demo", "db", "512MiB", "--wait", "--verbose")
    t.equal(r.returncode, 0, "virsh pzone-resize demo db 512MiB --wait --verbose", r.stdout, r.stderr)
    t.ok(re.search(r"100\s*%", r.stdout + r.stderr), "... shows its progress", r.stdout, r.stderr)
    t.equal(d.figure("db", "size"), 512 * MiB, "the guest's class has grown when --wait is over")
    t.equal(d.device_class("db")["actual"], 512 * MiB, "... so has the device's")
    t.equal(d.figure("batch", "size"), 128 * MiB, "batch has not changed")

    hog = d.agent.start("exec pz-exec db pz-hog 450")
    hog.wait_output("holding", 90 * SLOW)
    high = host.qemu_rss_bytes("demo")
    t.ok(high - start > 420 * MiB, "the host's resident memory of QEMU goes up when the guest uses it",
         "%d -> %d MiB" % (start // MiB, high // MiB))
    d.sh("kill -TERM %s" % re.search(r"pid (\d+)", hog.text()).group(1))
    t.equal(hog.wait(60 * SLOW).status, 0, "a program in db used 450 MiB of it and found them right")

    t.virsh_ok("pzone-resize", "demo", "db", "64MiB", "--wait", "--verbose")
    t.equal(d.figure("db", "size"), 64 * MiB, "the guest's class has shrunk")
    low = host.qemu_rss_bytes("demo")
    t.ok(high - low > 350 * MiB, "the host has the memory back at once",
         "%d -> %d MiB" % (high // MiB, low // MiB))
    t.ok(host.pool_rss_bytes("demo", 2 * GiB) <= (64 + 128 + 32) * MiB,
         "... all but what the classes and the memory map have")

    # with a program's memory in the way, which has to move
    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait")
    busy = d.agent.start("exec pz-exec db pz-verify 100")
    busy.wait_output("filled", 60 * SLOW)
    for size in (256, 128, 384, 128):
        r = host.virsh("pzone-resize", "demo", "db", "%dMiB" % size, "--wait", "--timeout", str(int(60 * SLOW)))
        t.equal((r.returncode, d.figure("db", "size")), (0, size * MiB),
                "resize to %d MiB under a program that uses 100 MiB" % size)
    d.sh("kill -TERM %s" % re.search(r"pid (\d+)", busy.text()).group(1))
    t.equal(busy.wait(60 * SLOW).status, 0, "... which found all its memory right, all the time")

    # without --wait
    t.virsh_ok("pzone-resize", "demo", "batch", "130MiB", "--live",
               what="batch has no <limit>, which then follows its size")
    poll("batch follows", 30 * SLOW, lambda: d.figure("batch", "size") == 130 * MiB)
    t.ok(True, "... without --wait, too")

    # the XML
    meta = t.virsh_ok("metadata", "demo", "urn:pzone:libvirt:domain:1.0", "--config")
    t.ok(re.search(r"<size unit=.MiB.>256</size>", meta), "--live leaves the XML alone", meta)
    t.virsh_ok("pzone-resize", "demo", "db", "320MiB", "--config")
    t.equal(d.figure("db", "size"), 128 * MiB, "--config leaves the running class alone")
    t.virsh_ok("destroy", "demo")
    d.disconnect()
    t.virsh_ok("start", "demo")
    d.connect()
    d.wait_settled(("db", "batch"))
    t.equal(d.figure("db", "size"), 320 * MiB, "... and is the size of the next start")


run(test)
