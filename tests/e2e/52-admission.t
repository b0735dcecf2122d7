#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone-define and pzone-set ask pzoned whether the host has room for new guarantees."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll                     # noqa: E402
from pzone_domain import MiB, NS, SLOW          # noqa: E402
from pzone_test import run                      # noqa: E402

CLASS = """<class name='%s' pool='ua-fast'><size unit='MiB'>%d</size><guarantee unit='MiB'>%d</guarantee>
<limit unit='MiB'>1024</limit></class>"""


def test(t, host):
    # where the tools look for it
    directory = "/run/pzone" if host.system else os.path.join(host.env["XDG_RUNTIME_DIR"], "pzone")
    os.makedirs(directory, exist_ok=True)
    config, file = os.path.join(host.work, "pzoned.conf"), os.path.join(host.work, "class.xml")
    with open(config, "w") as f:
        f.write("[daemon]\nsocket=%s/pzoned.sock\n[elastic]\nenabled=false\n[budget host]\nsize=600MiB\n" % directory)
    d = t.domain()          # db 256 MiB, batch 128 MiB; 32 MiB for the memory map
    other = t.domain(name="other")
    t.virsh_ok("define", other.xml_path)

    def define(*args):
        with open(file, "w") as f:
            f.write(CLASS % args)
        return file

    def refused(pattern, what, *args):
        before = host.virsh("dumpxml", args[1], "--inactive").stdout, host.virsh("metadata", "demo", NS).stdout
        t.virsh_fails(args, 1, pattern, what)
        t.equal((host.virsh("dumpxml", args[1], "--inactive").stdout, host.virsh("metadata", "demo", NS).stdout), before,
                "... and nothing has changed")

    host.start_pzoned("--config", config)
    t.boot(d)
    refused("the guarantee of class 'web' in pool 'ua-fast' needs 200 MiB, and budget 'host' of this host has 184 MiB left of 600 MiB",
            "pzone-define of more than there is: class, wanted, available", "pzone-define", "demo", define("web", 200, 200))
    t.ok(d.device_class("web") is None, "... and the device has no such class")
    t.virsh_ok("pzone-define", "demo", define("web", 200, 84), what="pzone-define of what fits")
    d.wait_settled(("db", "batch", "web"))
    refused("class 'web' in pool 'ua-fast' needs 186 MiB, and budget 'host' of this host has 184 MiB left",
            "pzone-set of a guarantee that is too much", "pzone-set", "demo", "web", "--guarantee", "186MiB")
    t.virsh_ok("pzone-set", "demo", "web", "--guarantee", "100MiB")
    t.equal(d.device_class("web")["guarantee"], 100 * MiB, "one that fits is set")
    # 600 - 32 - 256 - 128 - 100 = 84 are left, and the other domain's memory map takes 32
    refused("class '(db|batch)' in pool 'ua-fast' needs (256|128) MiB, and budget 'host' of this host has [0-9]+ MiB left",
            "a domain that is shut off is asked for as if it were started", "pzone-define", "other", define("more", 64, 64))
    t.virsh_ok("pzone-set", "demo", "web", "--guarantee", "10MiB", what="less is never refused")
    with open(config, "w") as f:
        f.write("[daemon]\nsocket=%s/pzoned.sock\n[budget host]\nsize=100MiB\n" % directory)
    host.pzoned.send_signal(signal.SIGHUP)
    poll("pzoned has read the smaller budget", 30 * SLOW, lambda: re.search(
        r"budget 'host' of this host has .* left of 100 MiB", host.virsh("pzone-set", "demo", "web", "--guarantee", "12MiB").stderr))
    t.virsh_ok("pzone-set", "demo", "web", "--guarantee", "8MiB", what="... not even where there is too little for what is")
    t.virsh_ok("pzone-set", "demo", "web", "--weight", "200", what="nor is what guarantees nothing more")

    host.pzoned.send_signal(signal.SIGSTOP)
    t.virsh_ok("pzone-set", "demo", "web", "--guarantee", "64MiB", what="a pzoned that does not answer holds up nobody")
    host.pzoned.send_signal(signal.SIGCONT)
    host.stop_pzoned()
    t.virsh_ok("pzone-set", "demo", "web", "--guarantee", "96MiB", what="without pzoned there is no budget")
    t.virsh_ok("pzone-define", "other", define("more", 64, 64), what="... for nobody")


run(test, pzoned=False)
