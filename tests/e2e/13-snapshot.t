#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh managedsave, an external snapshot, and dumps: classes keep their sizes,
places and contents, and what is not plugged is in none of the files.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB        # noqa: E402
from pzone_test import run          # noqa: E402

BOTH = ("db", "batch")
DISK = """<disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='%s'/><target dev='vda' bus='virtio'/>
    </disk>
    <memory model='virtio-mem'>"""


def elf_ranges(path):
    """[(guest-physical address, bytes)] of the memory in a dump."""
    with open(path, "rb") as f:
        ident = f.read(64)
        offset, = struct.unpack_from("<Q", ident, 32)
        size, count = struct.unpack_from("<HH", ident, 54)
        f.seek(offset)
        headers = [struct.unpack("<IIQQQQQQ", f.read(size)) for _ in range(count)]
    # p_type PT_LOAD; p_paddr, p_filesz
    return sorted((h[4], h[5]) for h in headers if h[0] == 1)


def merged(ranges):
    out = []
    for addr, size in sorted(ranges):
        if out and out[-1][0] + out[-1][1] == addr:
            out[-1] = (out[-1][0], out[-1][1] + size)
        else:
            out.append((addr, size))
    return out


class Keeps:
    """What a guest has before something is done to it, and must have after it."""

    def __init__(self, t, d):
        self.t, self.d = t, d
        self.sizes = self.look()

    def look(self):
        return {c: (self.d.figure(c, "size"), self.d.figure(c, "extents"), self.d.device_class(c)["cookie"])
                for c in BOTH}

    def check(self, when):
        self.d.connect()
        self.d.wait_settled(BOTH)
        self.t.equal(self.look(), self.sizes, "sizes and places of the classes are what they were, " + when)
        self.t.intact(self.d, BOTH, when)


def test(t, host):
    disk = os.path.join(host.work, "disk.raw")
    with open(disk, "wb") as f:
        f.truncate(16 * MiB)
    d = t.domain(edit=lambda xml: xml.replace("<memory model='virtio-mem'>", DISK % disk))
    t.boot(d)
    t.virsh_ok("pzone-resize", "demo", "db", "320MiB", "--wait")
    d.hold("db", 150)
    d.hold("batch", 40)
    guest = Keeps(t, d)
    d.sh("echo before >/dev/vda; sync")

    def file(name):
        return os.path.join(host.work, name)

    # dumps: the guest goes on
    pool = d.query()[0]
    d.disconnect()
    t.virsh_ok("dump", "demo", file("core"), "--memory-only")
    ranges = elf_ranges(file("core"))
    in_pool = merged(r for r in ranges if pool["addr"] <= r[0] < pool["addr"] + pool["size"])
    plugged = merged([(e["addr"], e["size"]) for c in pool["classes"] for e in c["extents"]] +
                     [(pool["addr"] + pool["size"] - pool["memmap"], pool["memmap"])])
    t.equal(in_pool, plugged, "a core dump has of the pool what is plugged, no less and no more")
    t.ok(os.path.getsize(file("core")) < 512 * MiB + pool["plugged"] + 64 * MiB, "... also judged by its size",
         "%d MiB" % (os.path.getsize(file("core")) // MiB))
    guest.check("after a core dump")
    d.disconnect()
    t.virsh_ok("dump", "demo", file("dump"))
    t.equal(host.domain_state("demo"), "running", "after a plain dump the guest runs")
    guest.check("after a plain dump")
    t.ok(os.path.getsize(file("dump")) < 512 * MiB, "it has only pages that the guest has written to",
         "%d MiB" % (os.path.getsize(file("dump")) // MiB))

    d.disconnect()
    t.virsh_ok("managedsave", "demo")
    t.equal(host.domain_state("demo"), "shut off", "managedsave: the guest is saved")
    t.virsh_ok("start", "demo")
    guest.check("after managedsave and start")

    d.disconnect()
    t.virsh_ok("snapshot-create-as", "demo", "s1", "--memspec", "file=%s,snapshot=external" % file("s1.mem"),
               "--diskspec", "vda,snapshot=external,file=%s" % file("s1.qcow2"), "--live")
    d.connect()
    t.intact(d, BOTH, "at the snapshot's side")
    # time goes on, and is then turned back
    d.sh("echo after >/dev/vda; sync")
    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait")
    d.disconnect()
    t.virsh_ok("destroy", "demo")
    t.virsh_ok("restore", file("s1.mem"))
    guest.check("back at the snapshot")
    t.equal(d.sh("head -n 1 /dev/vda"), "before", "... and so is the disk")


run(test)
