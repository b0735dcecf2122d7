#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Elastic classes: they grow when their guest runs short, and give back what is idle."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll             # noqa: E402
from pzone_domain import MiB, SLOW      # noqa: E402
from pzone_test import run              # noqa: E402

CLASS = """<pzone:class name='%s' pool='ua-fast'><pzone:size unit='MiB'>%d</pzone:size>
<pzone:guarantee unit='MiB'>%d</pzone:guarantee><pzone:limit unit='MiB'>%d</pzone:limit></pzone:class>"""
CLASSES = (("db", 128, 128, 1024), ("batch", 128, 128, 1536), ("fixed", 256, 256, 256))

CONFIG = """[elastic]
period-ms = 500
calm-seconds = %d
give-percent = 50
[budget host]
size = %s
"""


def edit(xml):
    return re.sub(r"<pzone:class.*</pzone:class>", "".join(CLASS % c for c in CLASSES), xml, flags=re.S)


def pid(job):
    return int(re.search(r"pid (\d+)", job.text()).group(1))


def test(t, host):
    config = os.path.join(host.work, "pzoned.conf")

    def configure(calm_s, budget):
        with open(config, "w") as f:
            f.write(CONFIG % (calm_s, budget))

    configure(3600, "1500MiB")
    host.start_pzoned("--config", config)
    d = t.domain(edit=edit)
    t.boot(d, classes=("db", "batch", "fixed"))
    # the policy is tested here, not how fast this machine is
    d.sh("echo %d > /sys/kernel/mm/pzone/oom_wait_ms" % (3000 * SLOW))

    db = d.agent.start("exec pz-exec db pz-hog 600")
    db.wait_output("holding", 90 * SLOW)
    size = d.figure("db", "size")
    t.ok(600 * MiB <= size <= 1024 * MiB, "a program in db gets 600 MiB, where db began with 128", "%d MiB" % (size // MiB))
    t.ok(not db.done(), "... and nobody killed it")
    t.equal([d.figure(c, "size") // MiB for c in ("batch", "fixed")], [128, 256], "the others keep what they have")
    log = host.log_tail("pzoned", 100)
    t.ok(re.search(r"resized class 'db' of pool 'ua-fast' from 128 MiB to .*because it runs out of memory", log),
         "pzoned's log says what it did and why", log)

    batch = d.agent.start("exec pz-exec batch pz-hog 1400")
    r = batch.wait(120 * SLOW)
    t.equal(r.status, 137, "a program in batch that wants 1400 MiB is killed: the host's budget is 1500")
    held = sum(c["size"] for p in d.query() for c in p["classes"])
    t.ok(held <= 1500 * MiB, "... and the classes keep within the budget", "%d MiB" % (held // MiB))
    t.ok(d.device_class("db")["size"] >= 128 * MiB, "db has its guarantee")
    t.ok(not db.done(), "the program in db lives")

    d.agent.run("kill -TERM %d" % pid(db))
    t.equal(db.wait(60 * SLOW).status, 0, "its memory was all there")
    configure(2, "1500MiB")
    host.pzoned.send_signal(signal.SIGHUP)
    poll("classes give back", 60 * SLOW, lambda: d.figure("db", "size") <= 160 * MiB and
         d.figure("batch", "size") <= 160 * MiB)
    t.ok(True, "with calm-seconds=2 after SIGHUP idle classes fall back to their guarantees")
    t.ok(all(d.device_class(c)["size"] >= 128 * MiB for c in ("db", "batch")), "... and not below")
    t.equal(d.device_class("fixed")["size"], 256 * MiB, "the fixed class never moved")

    with open(config, "w") as f:
        f.write("[elastic]\nperiod=5\n")
    host.pzoned.send_signal(signal.SIGHUP)
    poll("pzoned complains", 10 * SLOW, lambda: "has no key 'period'" in host.log_tail("pzoned", 50))
    t.ok(True, "a mistake in the file is named, and pzoned goes on with the old settings")
    t.equal(host.stop_pzoned(), 0, "SIGTERM ends pzoned with status 0")


run(test, pzoned=False)
