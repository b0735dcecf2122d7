#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Classes that come and go while the domain runs."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll                 # noqa: E402
from pzone_domain import MiB, NS, SLOW      # noqa: E402
from pzone_test import run                  # noqa: E402

CLASS = "<class name='%s' pool='ua-fast'><size unit='MiB'>%d</size></class>"


def test(t, host):
    d = t.domain()
    t.boot(d)

    # a cgroup may name a class before there is one
    d.make_cgroup("web", "web")
    early = d.agent.start("exec pz-exec web pz-hog 8")
    early.wait_output("holding", 30 * SLOW)
    t.ok(True, "a cgroup names a class that is not there yet, and its program runs")

    xml = os.path.join(host.work, "web.xml")
    with open(xml, "w") as f:
        f.write(CLASS % ("web", 64))
    t.virsh_ok("pzone-define", "demo", xml, "--live", "--wait")
    d.wait_settled(("db", "batch", "web"))
    t.equal(d.figure("web", "size"), 64 * MiB, "pzone-define creates a class in the running guest")
    poll("the program's memory moves", 30 * SLOW, lambda: d.figure("web", "anon") >= 8 * MiB)
    t.ok(True, "the program that named it before has its memory there now")
    r = d.try_sh("exec pz-exec web pz-hog -x 40")
    t.equal(r.status, 0, "a program of that cgroup runs in it", r.out, r.err)
    hog = d.agent.start("exec pz-exec web pz-hog 200")
    t.equal(hog.wait(60 * SLOW).status, 137, "... and is stopped at its size")
    t.ok(NS in t.virsh_ok("dumpxml", "demo") and "web" in t.virsh_ok("metadata", "demo", NS),
         "the live XML has it")
    t.ok("web" not in t.virsh_ok("metadata", "demo", NS, "--config"), "--live leaves the persistent XML alone")

    # with stock virsh only: pzoned follows the metadata
    both = "<pzones>%s%s%s</pzones>" % (CLASS % ("db", 256), CLASS % ("batch", 160), CLASS % ("logs", 32))
    t.virsh_ok("metadata", "demo", NS, "--key", "pzone", "--set", both, "--live",
               what="virsh metadata --set: logs is new, web is gone, batch is larger")
    poll("pzoned follows", 60 * SLOW, lambda: d.settled(("db", "batch", "logs")))
    t.equal(sorted(d.classes()), ["batch", "db", "logs"], "pzoned carries that to the device and the guest follows")
    t.equal(d.figure("batch", "size"), 160 * MiB, "... sizes too")
    t.equal(d.figure("logs", "size"), 32 * MiB, "... and the new class")

    # the program that named web lives on in base memory
    t.ok(not early.done(), "a program of the class that is gone lives on")
    d.sh("kill -TERM %s" % re.search(r"pid (\d+)", early.text()).group(1))
    t.equal(early.wait(30 * SLOW).status, 0, "... with its memory")

    # destroy a class that is in use: its memory moves out
    busy = d.agent.start("exec pz-exec logs pz-hog 20")
    busy.wait_output("holding", 30 * SLOW)
    t.virsh_ok("pzone-undefine", "demo", "logs", "--live", "--wait")
    d.wait_settled(("db", "batch"))
    t.equal(sorted(d.classes()), ["batch", "db"], "pzone-undefine destroys a class that is in use")
    d.sh("kill -TERM %s" % re.search(r"pid (\d+)", busy.text()).group(1))
    t.equal(busy.wait(30 * SLOW).status, 0, "... and its program keeps its memory")

    # many times
    before = d.query()[0]["available"]
    with open(xml, "w") as f:
        f.write(CLASS % ("x", 96))
    for _ in range(5):
        host.virsh("pzone-define", "demo", xml, "--live", "--wait")
        d.try_sh("exec pz-exec x pz-hog -x 60")
        host.virsh("pzone-undefine", "demo", "x", "--live", "--wait")
    d.wait_settled(("db", "batch"))
    t.equal(d.query()[0]["available"], before, "five times created, used and destroyed: nothing is lost")


run(test)
