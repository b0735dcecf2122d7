#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input on a live domain: one sentence that names the value, a non-zero
exit, and nothing changed."""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import NS         # noqa: E402
from pzone_test import run          # noqa: E402


def state(d, host):
    """All that a refused command must leave as it is."""
    pools = d.query()
    for p in pools:
        for c in p["classes"]:
            c.pop("report", None)   # the guest's figures move by themselves
    return (json.dumps(pools, sort_keys=True),
            host.virsh("metadata", "demo", NS).stdout,
            host.virsh("metadata", "demo", NS, "--config").stdout,
            sorted(d.classes()))


def test(t, host):
    d = t.domain()
    t.boot(d)
    # a second domain, without a pool
    plain = t.domain(name="plain", edit=lambda x: re.sub(
        r"(?s)<metadata>.*?</metadata>|<memory model.*?</memory>|<qemu:override>.*?</qemu:override>", "", x)
        .replace("<memory unit='MiB'>2560<", "<memory unit='MiB'>512<"))
    t.virsh_ok("define", plain.xml_path, what="define a domain without a pool")
    t.domains.remove(plain)     # it never runs, there is no console to look at

    before = state(d, host)

    def refused(what, args, pattern):
        t.virsh_fails(args, 1, pattern, what)
        t.equal(state(d, host), before, "... and nothing has changed")

    def xml(name, text):
        path = os.path.join(host.work, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    cls = "<class name='%s' pool='%s'><size unit='%s'>%s</size></class>"
    refused("a class name that is not allowed", ("pzone-define", "demo", xml("a.xml", cls % ("Web!", "ua-fast", "MiB", 64))),
            r"Web!")
    refused("a reserved class name", ("pzone-define", "demo", xml("b.xml", cls % ("memmap", "ua-fast", "MiB", 64))),
            r"memmap")
    refused("an unknown pool", ("pzone-define", "demo", xml("c.xml", cls % ("web", "ua-slow", "MiB", 64))), r"ua-slow")
    refused("a size that is no multiple of the block: says which two are",
            ("pzone-define", "demo", xml("d.xml", cls % ("web", "ua-fast", "MiB", 65))), r"(?s)65.*64.*66")
    refused("a sum above the pool's requested size",
            ("pzone-define", "demo", xml("e.xml", cls % ("web", "ua-fast", "GiB", 3))), r"3|requested")
    refused("malformed XML: says file and line",
            ("pzone-define", "demo", xml("f.xml", "<class name='web'\n  pool='ua-fast'>\n<size unit='MiB'>64</siz>\n</class>\n")),
            r"f\.xml:\d+")
    refused("an element that the schema has not",
            ("pzone-define", "demo", xml("g.xml", "<class name='web' pool='ua-fast'>\n<sise unit='MiB'>64</sise></class>")),
            r"g\.xml:2.*sise")
    refused("a file that is not there", ("pzone-define", "demo", host.work + "/nowhere.xml"), r"nowhere\.xml")
    refused("resize to no multiple of the block", ("pzone-resize", "demo", "db", "257MiB"), r"(?s)257.*256.*258")
    refused("resize to something that is no size", ("pzone-resize", "demo", "db", "lots"), r"lots")
    refused("resize above the limit", ("pzone-resize", "demo", "db", "1026MiB"), r"1026|limit")
    refused("resize above what the pool has", ("pzone-resize", "demo", "batch", "2GiB"), r"2 GiB|requested|2147483648")
    refused("resize of a class that is not there", ("pzone-resize", "demo", "cache", "64MiB"), r"cache")
    refused("undefine of a class that is not there", ("pzone-undefine", "demo", "cache"), r"cache")
    refused("a domain that is not there", ("pzone-resize", "nobody", "db", "64MiB"), r"nobody")
    refused("a domain without a pool", ("pzone-list", "plain"), r"plain.*no pool")
    refused("... to define a class in", ("pzone-define", "plain", xml("h.xml", cls % ("web", "ua-fast", "MiB", 64))),
            r"ua-fast|no pool")
    refused("a domain that is shut off", ("pzone-resize", "plain", "db", "64MiB"), r"plain.*shut off")
    refused("a command without its arguments", ("pzone-resize", "demo"), r"class")
    refused("--live and --current at once", ("pzone-resize", "demo", "db", "256MiB", "--live", "--current"),
            r"mutually exclusive")

    # the same, past our tools: metadata that is wrong can't be refused by
    # libvirt; pzoned must leave the device alone
    r = host.virsh("metadata", "demo", NS, "--key", "pzone", "--live", "--set",
                   "<pzones>" + cls % ("Web!", "ua-fast", "MiB", 64) + "</pzones>")
    t.equal(r.returncode, 0, "libvirt takes wrong metadata: nothing can veto that")
    time.sleep(2)
    t.equal(state(d, host)[0], before[0], "... pzoned leaves the device alone")
    t.ok("Web!" in host.log_tail("pzoned"), "... and says why", host.log_tail("pzoned"))

    # all is well again once the metadata is
    host.virsh("metadata", "demo", NS, "--key", "pzone", "--live", "--set",
               "<pzones>" + "".join(cls % (n, "ua-fast", "MiB", m) for n, m in (("db", 256), ("batch", 128))) +
               "</pzones>")
    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait", what="the device still works")


run(test)
