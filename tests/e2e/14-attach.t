#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh attach-device: a pool is plugged into a running domain.

libvirt applies <qemu:override> only to a command line, so the switch that makes
a pool of it is QEMU's -global, which is for all virtio-mem devices of a domain.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB    # noqa: E402
from pzone_test import run      # noqa: E402

GLOBAL = """<qemu:commandline>
    <qemu:arg value='-global'/><qemu:arg value='virtio-mem.pzone=on'/>
  </qemu:commandline>
  <qemu:override>"""
PORTS = "<controller type='pci' index='0' model='pcie-root'/>" + \
    "".join("<controller type='pci' index='%d' model='pcie-root-port'/>" % i for i in range(1, 9))
LATE = """<memory model='virtio-mem'>
  <target>
    <size unit='MiB'>512</size><node>0</node>
    <block unit='MiB'>2</block><requested unit='MiB'>512</requested>
  </target>
  <alias name='ua-late'/>
</memory>
"""


def edit(xml):
    return xml.replace("<qemu:override>", GLOBAL).replace("<memory model='virtio-mem'>",
                                                          PORTS + "<memory model='virtio-mem'>", 1)


def test(t, host):
    d = t.domain(edit=edit)
    t.boot(d)
    path = os.path.join(host.work, "late.xml")
    with open(path, "w") as f:
        f.write(LATE)
    t.virsh_ok("attach-device", "demo", path, "--live")
    t.equal(sorted(p["id"] for p in d.query()), ["ua-fast", "ua-late"], "what was attached is a pool")
    # this guest's kernel has no PCI hot-plug: it has to be told to look
    if d.try_sh("zcat /proc/config.gz | grep -q ^CONFIG_HOTPLUG_PCI_ACPI=y").status:
        d.sh("echo 1 > /sys/bus/pci/rescan")
    host.qmp("demo", "pzone-create", pool="ua-late", name="late", size=128 * MiB)
    d.wait_settled(("db", "batch", "late"))
    t.equal(d.figure("late", "size"), 128 * MiB, "the guest has a class in it")
    d.hold("late", 60)
    t.intact(d, ("late",), "in the attached pool")
    out = t.virsh_ok("pzone-pool-list", "demo")
    t.ok(any(l.split()[0] == "ua-late" and "ready" in l for l in out.splitlines() if l.strip()), "... which shows it", out)
    r = host.virsh("detach-device", "demo", path, "--live")
    t.ok(r.returncode and "still plugged" in r.stderr, "it is not detached while it is in use, and libvirt passes on why",
         r.stdout, r.stderr)


run(test)
