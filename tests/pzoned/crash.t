#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzoned is killed at every step of every operation, and started again: it converges, no class is ever
above its limit or below its guarantee, and nothing is done twice.

A step is a call that leaves pzoned (tests/pzoned/crashpoint.c, which does the killing, says which are counted).
For each operation the step to die at goes from 1 up, until the operation is complete before it is reached.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
os.environ.setdefault("PZONE_TEST_TIMEOUT", "3000")
from pzone_host import BUILD, TOP, poll     # noqa: E402
from pzone_domain import MiB, NS, SLOW      # noqa: E402
from pzone_test import run                  # noqa: E402

QUIET_S = 2.5       # no step for so long: pzoned has nothing more to do


def definition(name, size, guarantee=None, limit=None):
    bounds = ""
    for tag, mib in (("guarantee", guarantee), ("limit", limit)):
        if mib is not None:
            bounds += "<%s unit='MiB'>%d</%s>" % (tag, mib, tag)
    return "<class name='%s' pool='ua-fast'><size unit='MiB'>%d</size>%s</class>" % (name, size, bounds)


class Daemon:
    """A pzoned that dies at step `at` (0: never); `arm`: steps count from when arm() was called."""

    def __init__(self, host, log, config, at=0, arm=False):
        self.host = host
        self.arm_path = os.path.join(host.work, "armed")
        if os.path.exists(self.arm_path):
            os.unlink(self.arm_path)
        env = dict(host.env, LD_PRELOAD=os.path.join(BUILD, "bin-test/crashpoint.so"), CRASH_AT=str(at), CRASH_LOG=log)
        if arm:
            env["CRASH_ARM"] = self.arm_path
        with open(os.path.join(host.work, "pzoned.log"), "ab") as out:
            self.proc = subprocess.Popen([os.path.join(BUILD, "bin/pzoned"), "--connect", host.uri, "--config", config,
                                          "--runtime-dir", os.path.join(host.work, "pzoned")], env=env,
                                         stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")

    def arm(self):
        open(self.arm_path, "w").close()

    def died(self):
        status = self.proc.poll()
        if status is not None and status != -signal.SIGKILL:
            raise RuntimeError("pzoned ended with %d" % status)
        return status is not None

    def kill(self):
        self.proc.kill()
        self.proc.wait()


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except FileNotFoundError:
        return ""


def commands(log):
    """(VM, command, class, size, guarantee, limit) of each command that was carried out, in order."""
    found = []
    for vm, text in re.findall(r"^0 did (\S+) (.*)$", read(log), re.M):
        c = json.loads(text)
        a = c["arguments"]
        found.append((vm, c["execute"], a["name"], a.get("size"), a.get("guarantee"), a.get("limit")))
    return found


class Watch:
    """The device, asked all the time: what may never be."""

    def __init__(self, vms, floor):
        self.vms = vms
        self.floor = floor          # name -> MiB that it always has
        self.wrong = []

    def classes(self, d):
        found = {c["name"]: c for p in d.query() for c in p["classes"] if c["name"] != "memmap"}
        for name, c in found.items():
            if c["state"] == "destroying":
                continue        # its size is 0
            if not c["guarantee"] <= c["size"] <= c["limit"] or c["actual"] < self.floor.get(name, 0) * MiB:
                self.wrong.append((d.name, name, {k: c[k] // MiB for k in ("guarantee", "size", "actual", "limit")}))
        return found

    def look(self):
        return [self.classes(d) for d in self.vms]


def settled(classes, wanted):
    """wanted: name -> (size, guarantee, limit) in MiB"""
    return set(classes) == set(wanted) and all(
        (c["size"], c["guarantee"], c["limit"]) == tuple(v * MiB for v in wanted[n]) and
        c["actual"] == c["size"] and c["state"] == "settled" for n, c in classes.items())


def note(t, what, n, wrong, twice, steps):
    t.ok(not wrong, "%s: no class above its limit, below its guarantee, or without what it had throughout" % what, wrong[:5])
    t.ok(not twice, "... and nothing was done twice", twice[:5])
    t.ok(n > 10, "... in %d steps, each of which it died at" % (n - 1), steps)


# --- definitions change ---

def xml_trial(t, host, d, config, xml, wanted, floor, n):
    """Die at step n of what it takes to get from what is to `wanted`. (died, wrong, done twice, steps)"""
    log = os.path.join(host.work, "crash-%d.log" % time.monotonic_ns())
    watch = Watch([d], floor)
    t.host.run(["/usr/bin/virsh", "metadata", d.name, NS, "--key", "pzone", "--live", "--set", "<pzones>%s</pzones>" % xml])
    daemon = Daemon(host, log, config, at=n)
    quiet_since, seen = time.monotonic(), ""

    def ended():
        nonlocal quiet_since, seen
        if daemon.died():
            return True
        done, text = settled(watch.look()[0], wanted), read(log)
        if not done or text != seen:
            quiet_since, seen = time.monotonic(), text
        return done and time.monotonic() - quiet_since > QUIET_S * SLOW
    poll("pzoned dies at step %d or is done" % n, 90 * SLOW, ended, 0.03)
    died = daemon.died()
    if died:
        daemon = Daemon(host, log, config)
        poll("it converges after a death at step %d" % n, 90 * SLOW, lambda: settled(watch.look()[0], wanted), 0.03)
    daemon.kill()
    done = commands(log)
    return died, watch.wrong, [c for c in done if done.count(c) > 1], read(log)


def xml_operation(t, host, d, config, there, back):
    """Both ways, step by step. Each: (what, definitions, wanted, floor)."""
    ways = [dict(zip(("what", "xml", "wanted", "floor"), way), n=0, end=0, wrong=[], twice=[], steps="") for way in (there, back)]
    step = 0
    while not all(w["end"] for w in ways):
        step += 1
        for w in ways:
            died, wrong, twice, w["steps"] = xml_trial(t, host, d, config, w["xml"], w["wanted"], w["floor"],
                                                       0 if w["end"] else step)
            w["wrong"] += [(step, x) for x in wrong]
            w["twice"] += [(step, x) for x in twice]
            if not died and not w["end"]:
                w["end"] = step
    for w in ways:
        note(t, w["what"], w["end"], w["wrong"], w["twice"], w["steps"])


def xml_operations(t, host, d, config):
    db, other = definition("db", 128), definition("other", 64)
    one, two = {"db": (128,) * 3}, {"db": (128,) * 3, "other": (64,) * 3}
    xml_operation(t, host, d, config, ("create", db + other, two, {"db": 128}), ("destroy", db, one, {"db": 128}))
    xml_operation(t, host, d, config, ("grow", definition("db", 256), {"db": (256,) * 3}, {"db": 128}),
                  ("shrink", db, one, {"db": 128}))
    xml_operation(t, host, d, config,
                  ("bounds", definition("db", 128, 64, 512), {"db": (128, 64, 512)}, {"db": 128}),
                  ("bounds again", db, one, {"db": 128}))
    # The pool has room for one of them only: what grows waits for what shrinks.
    big, small = definition("db", 1600) + other, db + definition("other", 1600)
    xml_operation(t, host, d, config,
                  ("one shrinks for another", big, {"db": (1600,) * 3, "other": (64,) * 3}, {"db": 128}),
                  ("the other way round", small, {"db": (128,) * 3, "other": (1600,) * 3}, {"db": 128, "other": 64}))


# --- sizes float ---

def elastic_trial(t, host, vms, config, sizes, wants, n):
    """A program in `busy` of the first VM takes more than the class has, and pzoned dies at step n meanwhile."""
    log = os.path.join(host.work, "crash-%d.log" % time.monotonic_ns())
    for d in vms:
        for name, mib in sorted(sizes[d.name].items(), key=lambda s: s[0] == "idle"):
            d.host.virsh("pzone-resize", d.name, name, "%dMiB" % mib, "--wait")
    watch = Watch(vms, {"busy": 64, "idle": 64})
    daemon = Daemon(host, log, config, at=n, arm=True)

    def known():
        found = json.loads(host.ask_pzoned("/v1/status") or "null")
        return found and sum(c["elastic"] for d in found["domains"] for p in d["pools"] for c in p["classes"]) == \
            sum(len(s) for s in sizes.values())
    poll("pzoned knows all classes", 60 * SLOW, known, 0.05)
    time.sleep(1)       # and has a first figure of each
    daemon.arm()
    # One that is killed, because pzoned was away for longer than the guest waits, comes again.
    job = vms[0].agent.start("until pz-exec busy pz-hog -x %d; do :; done" % wants)
    died = False

    def done():
        nonlocal daemon, died
        watch.look()
        if not died and daemon.died():
            died = True
            daemon = Daemon(host, log, config)
        return job.done()
    poll("the program gets its memory after a death at step %d" % n, 120 * SLOW, done, 0.05)
    daemon.kill()
    resizes = [c[:4] for c in commands(log) if c[1] == "pzone-resize"]
    return died, watch.wrong, [c for c in resizes if resizes.count(c) > 1], read(log)


def elastic_operation(t, host, what, vms, config, sizes, wants):
    n, wrong, twice, steps, died = 0, [], [], "", True
    while died:
        n += 1
        died, more_wrong, more_twice, steps = elastic_trial(t, host, vms, config, sizes, wants, n)
        wrong += [(n, x) for x in more_wrong]
        twice += [(n, x) for x in more_twice]
    note(t, what, n, wrong, twice, steps)


def settings(config, period_ms, budget):
    with open(config, "w") as f:
        f.write("[elastic]\nperiod-ms=%d\ncalm-seconds=3600\n[budget host]\nsize=%s\n" % (period_ms, budget))


def elastic_operations(t, host, d, config):
    busy, idle = (definition(name, size, 64, 1024) for name, size in (("busy", 128), ("idle", 512)))
    d.sh("echo 3000 > /sys/kernel/mm/pzone/oom_wait_ms")
    settings(config, 60000, "8GiB")
    xml_trial(t, host, d, config, busy + idle, {"busy": (128, 64, 1024), "idle": (512, 64, 1024)}, {}, 0)
    # 32 MiB of the budget are the memory map's, 640 the classes': 32 are left.
    settings(config, 500, "704MiB")
    elastic_operation(t, host, "one class grows from what another has idle", [d], config,
                      {"demo": {"busy": 128, "idle": 512}}, 160)

    e = t.domain(name="second", edit=lambda xml: re.sub(r"<pzone:pzones.*</pzone:pzones>", "", xml, flags=re.S))
    t.boot(e, classes=())
    settings(config, 60000, "8GiB")
    t.virsh_ok("pzone-resize", "demo", "busy", "128MiB", "--wait", what="128 MiB again")
    xml_trial(t, host, d, config, busy, {"busy": (128, 64, 1024)}, {}, 0)
    xml_trial(t, host, e, config, idle, {"idle": (512, 64, 1024)}, {}, 0)
    settings(config, 500, "736MiB")     # two memory maps
    elastic_operation(t, host, "a class grows from what another VM has idle", [d, e], config,
                      {"demo": {"busy": 128}, "second": {"idle": 512}}, 160)


def test(t, host):
    make_env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    subprocess.run(["make", "-s", "-C", os.path.join(TOP, "tests/pzoned"), "BUILD=" + BUILD], check=True, env=make_env,
                   stdout=sys.stderr)
    config = os.path.join(host.work, "pzoned.conf")
    with open(config, "w") as f:
        f.write("[elastic]\nperiod-ms=60000\ncalm-seconds=3600\n")
    d = t.domain(edit=lambda xml: re.sub(r"<pzone:pzones.*</pzone:pzones>", "", xml, flags=re.S))
    t.boot(d, classes=())
    xml_trial(t, host, d, config, definition("db", 128), {"db": (128,) * 3}, {}, 0)
    only = os.environ.get("PZONE_CRASH", "xml elastic")
    if "xml" in only:
        xml_operations(t, host, d, config)
    if "elastic" in only:
        elastic_operations(t, host, d, config)
    for vm in t.domains:
        vm.killed.update(int(p) for p in re.findall(r"Killed process (\d+)", vm.console()))


run(test, pzoned=False)
