#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pools the device refuses to be, and what it says; what pzone=off leaves alone."""
from pzqemu import *

ADDR = 4 * GiB


def refuses(what, parts, *args, **kwargs):
    """The emulator must end with one line that holds the parts."""
    with Qemu(*args, **kwargs) as q:
        if q.up:
            ok(False, "refused: " + what, "the emulator started")
            return
        q.proc.wait(10)
        text = q.stderr().strip()
        # libraries may warn; an error of ours is one line
        lines = [l for l in text.splitlines() if "warning:" not in l]
        like(text, parts, "refused: " + what)
        ok(len(lines) == 1 and q.proc.returncode == 1, "... in one line, with exit status 1", text)


refuses("a region that is no multiple of 128 MiB", ["'pzone'", "0x100000000", "0x4200000", "0x8000000"],
        *pool_args(size=66 * MiB, requested=0, addr=ADDR))
refuses("an address that is no multiple of 128 MiB", ["0x102000000", "0x80000000", "0x8000000"],
        *pool_args(addr=ADDR + 32 * MiB))
refuses("a block size below 2 MiB", ["'block-size'", "0x200000", "0x100000"], *pool_args(block_size=MiB))
refuses("a block size that is no power of two", ["power of two"], *pool_args(block_size=3 * MiB))
refuses("readable unplugged memory", ["'pzone'", "'unplugged-inaccessible'"],
        *pool_args(unplugged_inaccessible="off"))
refuses("more requested than there is", ["'requested-size'", "0xc0000000", "0x80000000"],
        *pool_args(requested=3 * GiB))
refuses("a device without an id", ["'pzone'", "'id'"],
        "-object", "memory-backend-ram,id=m,size=2G,reserve=off",
        "-device", "virtio-mem-pci,memdev=m,pzone=on")
refuses("an id of 32 characters", ["a" * 32, "31"], *pool_args(name="a" * 32))
refuses("pzone-required without pzone", ["'pzone-required'", "'pzone'"],
        *pool_args(pzone=None, pzone_required="on"))

with Qemu(*pool_args(name="a" * 31)) as q:
    ok(q.up, "an id of 31 characters is taken", q.stderr())

with Qemu(*pool_args(requested=0)) as q:
    same(q.pool("p0")["available"], 0, "a pool of which nothing is requested")
    like(q.refused("pzone-create", pool="p0", name="db", size=2 * MiB), ["db"], "... takes no class")

with Qemu(*pool_args(block_size=1 << 30, size=2 * GiB, requested=GiB)) as q:
    ok(q.up and q.pool("p0")["block-size"] == GiB, "blocks of 1 GiB")

with Qemu("-global", "virtio-mem.pzone=on", *pool_args(pzone=None)) as q:
    same(q.pool("p0")["id"], "p0", "-global virtio-mem.pzone=on makes a pool")

with Qemu(*pool_args()) as q:
    d = Driver(q)
    same(d.num_queues(), 2, "pzone=on: two queues")
    ok(d.device_features() & F_PZONE, "pzone=on: the feature is offered")
    same(d.config32(PZONE_CONFIG_OFFSET + 8), 256, "pzone=on: config space says max_entries")
    same(q.read(d.config + PZONE_CONFIG_OFFSET + 16, 32).rstrip(b"\0"), b"p0", "pzone=on: ... and the pool's name")
    same(d.config32(PZONE_CONFIG_OFFSET + 48), 0xffffffff, "pzone=on: ... and nothing behind it")
    same(int.from_bytes(q.read(d.config + 32, 8), "little"), 2 * GiB, "pzone=on: the whole region is usable")

for pzone in (None, "off"):
    with Qemu(*pool_args(pzone=pzone)) as q:
        d = Driver(q)
        what = "pzone=off: " if pzone else "no pzone property: "
        same(d.num_queues(), 1, what + "one queue")
        ok(not d.device_features() & F_PZONE, what + "the feature is not offered")
        ok(d.config32(PZONE_CONFIG_OFFSET - 4) != 0xffffffff and d.config32(PZONE_CONFIG_OFFSET) == 0xffffffff,
           what + "config space ends where virtio-mem's does")
        same(int.from_bytes(q.read(d.config + 32, 8), "little"), GiB + 256 * MiB,
             what + "the usable region is virtio-mem's")
        same(q.qmp("query-pzone"), [], what + "query-pzone shows nothing")
        d.start(pzone=False)
        same(d.mem(0, ADDR, 4), 0, what + "PLUG works")
        same(d.mem(1, ADDR, 4), 0, what + "UNPLUG works")

# Hotplug takes the same path; a refused device leaves nothing behind.
with Qemu("-object", "memory-backend-ram,id=m,size=2G,reserve=off") as q:
    text = q.refused("device_add", driver="virtio-mem-pci", id="p1", memdev="m", pzone=True, block_size=MiB)
    like(text, ["'block-size'"], "device_add: a bad pool is refused")
    q.qmp("device_add", driver="virtio-mem-pci", id="p1", memdev="m", pzone=True)
    same(q.pool("p1")["guest"], "none", "device_add: a good one is not, with the same backend")
    for again in ("", " again"):
        q.qmp("qom-set", path="/machine/peripheral/p1", property="requested-size", value=GiB)
        q.qmp("pzone-create", pool="p1", name="db", size=2 * MiB)
        like(q.refused("device_del", id="p1"), ["requested-size"], "device_del: a pool with classes stays" + again)
        q.qmp("pzone-destroy", pool="p1", name="db")
        q.qmp("qom-set", path="/machine/peripheral/p1", property="requested-size", value=0)
        q.qmp("device_del", id="p1")
        slot = next(d["slot"] for b in q.qmp("query-pci") for d in b["devices"] if d["qdev_id"] == "p1")
        q.out(0xae10, 0)  # ACPI hotplug: the guest lets the device go
        q.out(0xae08, 1 << slot)
        ok(q.events("DEVICE_DELETED", 5), "device_del: an empty one goes" + again)
        same(q.qmp("query-pzone"), [], "device_del: ... and is no pool any more" + again)
        q.qmp("device_add", driver="virtio-mem-pci", id="p1", memdev="m", pzone=True)

done()
