#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three VMs under one budget, two classes of each in permanent OOM: the third has its guarantee.

Sampled all the while: no class below its guarantee or above its limit, and no more memory in all classes'
and memory maps' hands than the budget. For a sample all VMs are stopped first: a device takes no request of a
guest that is stopped, so that what the three have, they have at one moment.
"""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll             # noqa: E402
from pzone_domain import MiB, SLOW      # noqa: E402
from pzone_test import run              # noqa: E402

GUARANTEE, LIMIT, BUDGET = 96, 768, 1060
CLASSES = ("quiet", "hog1", "hog2")
CLASS = """<pzone:class name='%s' pool='ua-fast'><pzone:size unit='MiB'>%d</pzone:size>
<pzone:guarantee unit='MiB'>%d</pzone:guarantee><pzone:limit unit='MiB'>%d</pzone:limit></pzone:class>"""
SECONDS = 40


def edit(xml):
    xml = re.sub(r"<pzone:class.*</pzone:class>",
                 "".join(CLASS % (name, GUARANTEE, GUARANTEE, LIMIT) for name in CLASSES), xml, flags=re.S)
    # a class that is moved to one extent has more than its size for a while, and no budget foresees that
    xml = re.sub(r"(<qemu:property name='pzone' .*?/>)", r"\1<qemu:property name='pzone-relocate' type='bool' value='false'/>", xml)
    xml = xml.replace("<memory unit='MiB'>2560</memory>", "<memory unit='MiB'>1536</memory>")
    return re.sub(r"<(size|requested) unit='GiB'>2<", r"<\1 unit='GiB'>1<", xml)


def test(t, host):
    config = os.path.join(host.work, "pzoned.conf")
    with open(config, "w") as f:
        f.write("[elastic]\nperiod-ms=500\ncalm-seconds=5\n[budget host]\nsize=%dMiB\n" % BUDGET)
    host.start_pzoned("--config", config)
    vms = [t.domain(name="vm%d" % i, edit=edit) for i in range(3)]
    for d in vms:
        t.boot(d, classes=CLASSES)
    t.ok(True, "three VMs with three classes each")

    for d in vms:
        for hog in CLASSES[1:]:
            d.agent.start("while :; do pz-exec %s pz-hog 700 > /dev/null 2>&1; done" % hog)
    held, wrong, grown, quiet = [], [], set(), []
    began = time.monotonic()
    while time.monotonic() - began < SECONDS * SLOW:
        if not quiet and time.monotonic() - began > SECONDS * SLOW / 2:
            # in the middle of it: what the guarantee promises, at once
            quiet = [d.agent.start("exec pz-exec quiet pz-hog %d" % (GUARANTEE - 12)) for d in vms]
        for d in vms:
            host.run(["/usr/bin/virsh", "suspend", d.name])
        pools = [(d, d.query()[0]) for d in vms]
        for d in vms:
            host.run(["/usr/bin/virsh", "resume", d.name])
        held.append(sum(pool["plugged"] for _, pool in pools))
        for d, pool in pools:
            for c in pool["classes"]:
                if c["name"] == "memmap":
                    continue
                if not GUARANTEE * MiB <= c["size"] <= LIMIT * MiB or c["actual"] < GUARANTEE * MiB:
                    wrong.append((d.name, c["name"], c["size"] // MiB, c["actual"] // MiB))
                if c["size"] > GUARANTEE * MiB:
                    grown.add((d.name, c["name"]))
        time.sleep(0.2)     # let them do harm
    t.ok(len(held) > 10, "they were looked at %d times" % len(held))
    t.equal(wrong, [], "never was a class below its guarantee or above its limit")
    t.ok(max(held) <= BUDGET * MiB, "never did the three hold more than the budget", "%d MiB" % (max(held) // MiB))
    t.ok("its pools hold" not in host.log_tail("pzoned", 100000), "... nor did pzoned ever think so")
    t.ok(max(held) > 0.9 * BUDGET * MiB, "... which was used", "%d MiB" % (max(held) // MiB))
    t.ok(len(grown) >= 4, "what is above the guarantees goes to those that are short", sorted(grown))
    for d, job in zip(vms, quiet):
        job.wait_output("holding", 60 * SLOW)
        t.ok(not job.done(), "the quiet class of %s gets all that it was guaranteed, and keeps it" % d.name, job.text())
        events = d.sh("cat /sys/fs/cgroup/quiet/pzone.events 2>/dev/null || cat /sys/kernel/mm/pzone/class/quiet/events")
        t.ok(re.search(r"^oom_kill 0$", events, re.M), "... and nothing in it was killed", events)
        killed = int(re.search(r"^oom_kill (\d+)$", d.sh("cat /sys/kernel/mm/pzone/class/hog1/events"), re.M)[1])
        t.ok(killed > 0, "... while its neighbour ran out of memory %d times" % killed)
        d.killed.update(int(p) for p in re.findall(r"Killed process (\d+)", d.console()))


run(test, pzoned=False)
