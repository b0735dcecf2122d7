#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's hook: a domain whose classes can't fit is not started, with the
reason; any other is, and a VM that runs is left alone."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import NS                     # noqa: E402
from pzone_host import BUILD, TOP, poll         # noqa: E402
from pzone_test import run                      # noqa: E402

CLASS = "<class name='%s' pool='%s'><size unit='MiB'>%d</size></class>"


def install(host):
    """The real files; /etc/libvirt is this host's own."""
    prefix = os.path.join(host.work, "installed")
    r = host.run(["make", "-s", "-C", os.path.join(TOP, "libvirt-plugin/hook"), "install",
                  "BUILD=" + BUILD, "prefix=" + prefix])
    if r.returncode:
        raise RuntimeError(r.stderr)
    return prefix + "/sbin/pzone-hook"


def test(t, host):
    if not host.system:
        t.ok(True, "hooks are in /etc/libvirt # SKIP not root")
        return
    d = t.domain()
    t.virsh_ok("define", d.xml_path, what="a domain")

    def metadata(classes, which):
        """Past our own tools, which would refuse it."""
        t.virsh_ok("metadata", "demo", NS, "--key", "pzone", which, "--set", "<pzones>%s</pzones>" %
                   "".join(CLASS % c for c in classes), what="%s metadata: %s" % (which[2:], classes))

    def starts(what):
        r = host.virsh("start", "demo")
        t.ok(r.returncode == 0 and host.domain_state("demo") == "running", what, r.stderr)
        host.virsh("destroy", "demo")

    too_much = [("db", "ua-fast", 1024), ("batch", "ua-fast", 1024)]
    metadata(too_much, "--config")
    starts("without the hook a domain starts whose classes can't fit")

    program = install(host)
    host.stop_libvirtd()
    host.start_libvirtd()       # it looks for hooks when it starts
    r = host.virsh("start", "demo")
    t.ok(r.returncode == 1 and "class 'batch' wants 1 GiB where 992 MiB are left" in r.stderr and
         "domain 'demo' is not started" in r.stderr, "with it the start fails and says which class, how much, and what there is",
         r.stderr)
    t.equal(host.domain_state("demo"), "shut off", "... and the domain is shut off")
    metadata([("Web!", "ua-fast", 64)], "--config")
    starts("metadata that nobody understands is no veto: pzoned says what is wrong with it")
    metadata([("db", "ua-slow", 64)], "--config")
    starts("nor is a pool that is not there")
    metadata(too_much, "--config")
    os.rename(program, program + ".gone")
    starts("nor a program that has gone")
    with open(program, "w") as f:
        f.write("#!/bin/sh\nexit 127\n")
    os.chmod(program, 0o755)
    starts("nor one that can't run")
    os.rename(program + ".gone", program)

    # a VM that runs outlives a restart of libvirtd, whatever its XML says by now
    metadata([("db", "ua-fast", 992), ("batch", "ua-fast", 1024)], "--config")
    t.virsh_ok("start", "demo", what="992 + 1024 MiB and 32 for the memory map are all of 2 GiB: it starts")
    metadata(too_much, "--live")
    pid = host.qemu_pid("demo")
    host.stop_libvirtd()
    host.start_libvirtd()
    poll("libvirtd knows the domain", 30, lambda: host.domain_state("demo"))
    t.equal(host.domain_state("demo"), "running", "a running VM outlives libvirtd's restart with XML that would not start")
    t.equal(host.qemu_pid("demo"), pid, "... the same QEMU")
    t.equal(subprocess.call([program, "demo", "reconnect", "begin", "-"], stdin=subprocess.DEVNULL), 0,
            "the hook says nothing to a reconnect")
    host.virsh("destroy", "demo")

    # the host's budget, if pzoned runs
    metadata([("db", "ua-fast", 256), ("batch", "ua-fast", 128)], "--config")
    os.makedirs("/run/pzone", exist_ok=True)
    config = os.path.join(host.work, "pzoned.conf")
    with open(config, "w") as f:
        f.write("[daemon]\nsocket=/run/pzone/pzoned.sock\n[budget host]\nsize=400MiB\n")
    host.start_pzoned("--config", config)
    r = host.virsh("start", "demo")
    t.ok(r.returncode == 1 and "the guarantee of class 'batch' in pool 'ua-fast' needs 128 MiB, and budget 'host' of this host has 112 MiB left of 400 MiB" in r.stderr,
         "a domain that the host's budget has no room for is not started: class, wanted, available", r.stderr)
    metadata([("db", "ua-fast", 256), ("batch", "ua-fast", 112)], "--config")
    starts("one that fits is")
    metadata([("db", "ua-fast", 256), ("batch", "ua-fast", 128)], "--config")
    host.pzoned.send_signal(signal.SIGSTOP)
    starts("a pzoned that does not answer holds up nobody")
    host.pzoned.send_signal(signal.SIGCONT)
    host.stop_pzoned()
    starts("nor one that is not there")


run(test, pzoned=False)
