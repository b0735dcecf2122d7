#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain with two classes: define, start, and what host and guest see of it."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB        # noqa: E402
from pzone_test import run          # noqa: E402


def table(text):
    """Rows of a virsh table, as lists of cells."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[2:] if line.strip()]


def test(t, host):
    d = t.domain()
    t.virsh_ok("define", d.xml_path, what="stock libvirt takes the XML with pool and classes")
    rows = table(t.virsh_ok("pzone-list", "demo", what="pzone-list of a domain that is shut off"))
    t.equal(sorted((r[0], r[-1]) for r in rows), [("batch", "not running"), ("db", "not running")],
            "... names the classes of the XML and says that it does not run")
    t.virsh_ok("start", "demo")
    d.connect()
    d.wait_settled(("db", "batch"))
    t.ok(True, "pzoned applies the classes and the guest follows")

    t.equal(sorted(d.classes()), ["batch", "db"], "the guest's sysfs has both classes")
    rows = {r[0]: r for r in table(t.virsh_ok("pzone-list", "demo"))}
    raw = {r[0]: r for r in table(t.virsh_ok("pzone-list", "demo", "--bytes"))}
    for name, size in (("db", 256 * MiB), ("batch", 128 * MiB)):
        t.equal(d.figure(name, "size"), size, "the guest has class %s with its size" % name)
        t.equal(d.figure(name, "wanted"), size, "... and it is what is wanted")
        t.equal(d.figure(name, "pool"), "ua-fast", "... in the pool of the XML")
        t.ok(d.figure(name, "free") > size * 0.95, "... nearly all of it free")
        extents = d.figure(name, "extents").splitlines()
        t.equal(len(extents), 1, "... in one contiguous range")
        start, length = extents[0].split()
        wanted_range = "0x%x-0x%x" % (int(start, 0), int(start, 0) + int(length) - 1)
        row = rows.get(name, ["?"] * 6)
        t.equal(row[1], "ua-fast", "pzone-list shows the pool of %s" % name)
        t.equal(row[4], wanted_range, "... and the guest-physical range that the guest sees, too")
        t.equal(row[5], "settled", "... and its state")
        t.equal(raw.get(name, ["?"] * 6)[2], str(size), "... and, with --bytes, the exact size")
        t.equal(d.device_class(name)["size"], size, "... and QEMU agrees")
    t.near(d.figure("db", "free"), int(raw["db"][2]) - int(raw["db"][3]), 4 * MiB,
           "Used of pzone-list is size - free of the guest")

    pool = d.query()[0]
    t.equal((pool["id"], pool["guest"]), ("ua-fast", "ready"), "the pool is driven by our guest driver")
    t.equal(pool["available"], pool["requested"] - pool["memmap"] - 384 * MiB,
            "what is available is requested - memory map - classes")
    info = t.virsh_ok("pzone-info", "demo", "db")
    t.ok(re.search(r"^State:\s+settled$", info, re.M) and re.search(r"^Limit:\s+1.*GiB$", info, re.M),
         "pzone-info shows state and limit", info)
    t.ok("db" in t.virsh_ok("dumpxml", "demo"), "commands that are not ours go to the system's virsh")
    t.ok(d.sh("cat /sys/fs/cgroup/pzone.class 2>/dev/null; echo") == "",
         "the root cgroup has no pzone.class")
    d.sh("mkdir /sys/fs/cgroup/x")
    t.equal(d.sh("cat /sys/fs/cgroup/x/pzone.class"), "", "any other has, and it starts empty")
    t.virsh_ok("destroy", "demo")
    rows = table(t.virsh_ok("pzone-list", "demo"))
    t.equal(sorted(r[-1] for r in rows), ["not running"] * 2, "after destroy the classes are 'not running'")


run(test)
