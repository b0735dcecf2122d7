#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo, interrupted in the middle, leaves no process and no file behind."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from pzone_host import poll     # noqa: E402
from tap import done, ok        # noqa: E402

SLOW = float(os.environ.get("PZONE_SLOW", "1"))


def stat(pid):
    """(parent, start time) of a process, or None."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[1]), fields[19]
    except (OSError, ValueError):
        return None


def descendants(root):
    """{pid: (start time, name)} of all processes below root. The first process
    of the demo's namespace adopts the daemons, so that none gets away."""
    stats = {int(p): stat(int(p)) for p in os.listdir("/proc") if p.isdigit()}
    below = {root}
    while True:
        more = {p for p, s in stats.items() if s and s[0] in below} - below
        if not more:
            break
        below |= more
    found = {}
    for pid in below:
        try:
            with open("/proc/%d/comm" % pid) as f:
                found[pid] = (stats[pid][1], f.read().strip())
        except (OSError, TypeError):
            pass
    return found


def alive(processes):
    return [p for p, (start, _name) in processes.items() if (stat(p) or (0, None))[1] == start]


def interrupted(sig, whom):
    temp = tempfile.mkdtemp(prefix="pzone-leaves-", dir="/var/tmp")
    log = os.path.join(temp, "log")
    with open(log, "wb") as out:
        # a session of its own, as a terminal has: the whole group gets Ctrl-C
        demo = subprocess.Popen([os.path.join(TOP, "tests/e2e/demo")], stdin=subprocess.DEVNULL,
                                stdout=out, stderr=out, start_new_session=True,
                                env=dict(os.environ, TMPDIR=temp))
    try:
        def text():
            with open(log, errors="replace") as f:
                return f.read()
        poll("the demo starts its VM", 90 * SLOW,
             lambda: demo.poll() is not None or "Domain 'demo' started" in text())
        time.sleep(0.5)
        running = descendants(demo.pid)
        names = " ".join(name for _start, name in running.values())
        ok(demo.poll() is None and "qemu-system" in names and "libvirtd" in names and "pzoned" in names,
           "the demo runs libvirtd, pzoned and QEMU", names + "\n" + text()[-1500:])
        if whom == "group":
            os.killpg(demo.pid, sig)
        else:
            os.kill(demo.pid, sig)
        status = demo.wait(30 * SLOW)
        ok(status in (130, -sig), "it ends soon after %s" % signal.Signals(sig).name, "status %d" % status)
        try:
            poll("no process", 10, lambda: not alive(running))
        except TimeoutError:
            pass
        ok(not alive(running), "... and leaves no process behind", [running[p] for p in alive(running)])
        left = [n for n in os.listdir(temp) if n != "log"]
        if sig != signal.SIGKILL:
            ok(not left, "... and no file", left)
        with open("/proc/self/mountinfo") as f:
            ok(not re.search(re.escape(temp), f.read()), "... and nothing mounted")
    finally:
        if demo.poll() is None:
            demo.kill()
            demo.wait()
        subprocess.call(["rm", "-rf", temp])


interrupted(signal.SIGINT, "group")
interrupted(signal.SIGTERM, "process")
interrupted(signal.SIGKILL, "process")
done()
