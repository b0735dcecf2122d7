#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone-reclaim, -stats, -map and -event on a real domain; one that stops in the middle."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll         # noqa: E402
from pzone_domain import MiB, SLOW  # noqa: E402
from pzone_test import run          # noqa: E402


def start(host, path, *args):
    """virsh in the background, with its output in a file."""
    with open(path, "w") as out:
        return subprocess.Popen(["virsh", *args], env=host.env, stdin=subprocess.DEVNULL,
                                stdout=out, stderr=subprocess.STDOUT)


def text(path):
    with open(path) as f:
        return f.read()


def test(t, host):
    d = t.domain()
    t.boot(d)

    # reclaim: what it got, by --wait
    r = host.virsh("pzone-reclaim", "demo", "db", "16MiB", "--wait", "--timeout", str(int(30 * SLOW)))
    t.ok(r.returncode in (0, 3) and "Class 'db' reclaimed " in r.stdout + r.stderr,
         "pzone-reclaim --wait says what was got", "status %d" % r.returncode, r.stdout, r.stderr)
    report = d.device_class("db")["report"]
    t.equal(r.returncode, 0 if report["reclaimed"] >= 16 * MiB else 3, "... with the status for it")
    t.equal(report["reclaim-done-seq"], d.device_class("db")["reclaim-seq"],
            "... and not before the guest has done it")
    t.equal(d.figure("db", "size"), 256 * MiB, "... and the class keeps its size")

    # stats
    hog = d.agent.start("exec pz-exec db pz-hog 100")
    hog.wait_output("holding", 60 * SLOW)

    def anon():
        out = host.virsh("pzone-stats", "demo", "db", "--format", "json").stdout
        return json.loads(out)["classes"][0]["report"]["anon"]
    poll("pzone-stats has the memory of a program", 30 * SLOW, lambda: anon() >= 100 * MiB)
    t.ok(True, "pzone-stats has the memory of a program in the class")
    out = t.virsh_ok("pzone-stats", "demo", "--interval", "1", "--count", "2")
    t.equal(out.count(" db "), 2, "--interval and --count", out)

    # map: the range in the picture is that of the device
    out = t.virsh_ok("pzone-map", "demo")
    t.ok(max(len(line) for line in out.splitlines()) <= 80, "pzone-map fits into 80 columns", out)
    cells = "".join(line.split()[1] for line in out.splitlines() if line.strip().startswith("0x"))
    pool = [p for p in d.query() if p["id"] == "ua-fast"][0]
    first = (d.device_class("db")["extents"][0]["addr"] - pool["addr"]) // (2 * MiB)
    t.equal((cells.count("D"), cells.find("D")), (128, first),
            "... with all blocks of db where they are", out)
    svg = os.path.join(host.work, "map.svg")
    t.virsh_ok("pzone-map", "demo", "--svg", svg)
    t.ok(text(svg).endswith("</svg>\n") and "db" in text(svg), "... and as SVG")

    # events, and a domain that stops while somebody looks
    events, watching = (os.path.join(host.work, name) for name in ("events", "stats"))
    listener = start(host, events, "pzone-event", "--domain", "demo", "--event", "changed", "--loop",
                     "--timeout", str(int(60 * SLOW)), "--format", "json")
    watcher = start(host, watching, "pzone-stats", "demo", "--interval", "1")
    poll("pzone-stats --interval prints", 30 * SLOW, lambda: "db" in text(watching))
    # the listener says nothing when it is ready: resize until it has heard of one
    sizes = iter([258, 256] * 50)

    def heard():
        t.host.virsh("pzone-resize", "demo", "batch", "%dMiB" % next(sizes), "--wait")
        return any(json.loads(line)["class"] == "batch" for line in text(events).splitlines() if line)
    poll("pzone-event hears of a resize", 60 * SLOW, heard)
    t.ok(True, "pzone-event hears of a resize")
    t.virsh_ok("destroy", "demo")
    t.equal(watcher.wait(30 * SLOW), 1, "pzone-stats --interval ends when the domain stops")
    t.ok("not running" in text(watching), "... and says so", text(watching)[-300:])
    listener.terminate()
    t.equal(listener.wait(10), 0, "SIGTERM ends pzone-event, which had heard something")
    t.virsh_fails(("pzone-map", "demo"), 1, "not running", "no map of a domain that does not run")
    t.virsh_fails(("pzone-reclaim", "demo", "db", "1MiB"), 1, "not running", "... and no reclaim")


run(test)
