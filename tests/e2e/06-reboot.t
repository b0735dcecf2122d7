#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest reboots, more than once and by force: its classes are there again."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import GiB, MiB, SLOW     # noqa: E402
from pzone_test import run                  # noqa: E402


def test(t, host):
    d = t.domain()
    t.boot(d)
    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait")
    hog = d.agent.start("exec pz-exec db pz-hog 400")
    hog.wait_output("holding", 60 * SLOW)
    qemu = host.qemu_pid("demo")
    full = host.pool_rss_bytes("demo", 2 * GiB)
    t.ok(full > 400 * MiB, "a program in db uses 400 MiB of the pool", full)

    for how, command in (("reboots", "reboot -f"), ("is reset by force", None)):
        boot_id = d.sh("cat /proc/sys/kernel/random/boot_id")
        hellos = d.agent.hellos
        if command:
            d.agent.start(command)
        else:
            t.virsh_ok("reset", "demo")
        d.agent.wait_hello(hellos + 1, 90 * SLOW)
        t.ok(d.sh("cat /proc/sys/kernel/random/boot_id") != boot_id, "the guest %s" % how)
        d.wait_settled(("db", "batch"))
        t.equal(sorted(d.classes()), ["batch", "db"], "... and has both classes again")
        t.equal(d.figure("db", "size"), 512 * MiB, "... db with the size that it had")
        t.equal(d.figure("batch", "size"), 128 * MiB, "... and batch with its own")
        t.equal(host.qemu_pid("demo"), qemu, "... in the same QEMU")
        t.ok(d.figure("db", "free") > 500 * MiB, "... and they are empty")
        rss = host.pool_rss_bytes("demo", 2 * GiB)
        # the memory map of 2 GiB has 32 MiB, and is touched
        t.ok(rss < 48 * MiB, "... in the host, too, which has the memory back", "%d MiB" % (rss // MiB))

    hog = d.agent.start("exec pz-exec batch pz-hog 300")
    r = hog.wait(60 * SLOW)
    took = [int(n) for n in re.findall(r"took (\d+)", r.out)]
    t.ok(r.status == 137 and took and took[-1] <= 128, "batch isolates as before", r)


run(test)
