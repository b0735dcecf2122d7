#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A pool's life: a reset of the machine and of the device at every stage of a
driver, two pools side by side, a pool that comes and goes while another works.
"""
from pzqemu import *

BLOCK = 2 * MiB
ADDR = 4 * GiB


def stages(q):
    """A driver's way, one step at a time, with wishes of the host in between."""
    d = Driver(q)
    yield d, "nothing"
    d.negotiate(F_VERSION_1 | F_UNPLUGGED_INACCESSIBLE | F_PZONE)
    yield d, "features"
    d.start()
    yield d, "DRIVER_OK"
    assert d.mem(2) == 0
    yield d, "UNPLUG_ALL"
    layout = d.layout()
    assert d.change(PLUG, [e for e in layout if not e[0]])[0] == ACK
    yield d, "the memory map plugged"
    db = next(e for e in layout if e[0])
    assert d.change(PLUG, [(db[0], db[1], db[2] // 2)])[0] == ACK
    yield d, "half a class plugged"
    d.converge()
    yield d, "settled"
    q.qmp("pzone-resize", pool="p0", name="db", size=32 * MiB)
    q.qmp("pzone-create", pool="p0", name="batch", size=64 * MiB)
    yield d, "one to shrink, one to grow"
    have = next(e for e in d.actual() if e[0] == db[0])
    assert d.change(UNPLUG, [(have[0], have[1] + have[2] - 4, 4)])[0] == ACK
    yield d, "half of it given back"
    d.report({"id": db[0], "state": PARTIAL, "stuck": 4})
    yield d, "stuck"
    q.qmp("pzone-destroy", pool="p0", name="db")
    yield d, "a class to be destroyed"
    d.converge()
    yield d, "gone"


def at_every_stage(what, deed, kept):
    """Each stage, then the deed, then a driver that starts anew. kept: is memory still plugged after it?"""
    n = 0
    while True:
        with Qemu(*pool_args(addr=ADDR)) as q:
            q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0)
            way = stages(q)
            for _ in range(n + 1):
                d, name = next(way, (None, None))
            if not d:
                return
            before = q.pool("p0")
            deed(q, d)
            p = q.pool("p0")
            same((p["guest"], p["plugged"]), ("none", before["plugged"] if kept else 0),
                 "%s after: %s" % (what, name))
            sizes = {c["name"]: c["size"] for c in before["classes"] if kept or c["state"] != "destroying"}
            same({c["name"]: c["size"] for c in p["classes"]}, sizes, "... classes and sizes stay")
            d = Driver(q).start()
            wrong = books(q, d)
            d.mem(2)
            d.converge()
            p = q.pool("p0")
            same((wrong + books(q, d), {c["state"] for c in p["classes"]}, [c["actual"] for c in p["classes"]]),
                 ([], {"settled"}, [c["size"] for c in p["classes"]]), "... and the next driver converges")
        n += 1


def system_reset(q, d):
    q.reset()


def device_reset(q, d):
    d.reset()


def two_pools():
    with Qemu(*pool_args("p0", addr=ADDR, requested=256 * MiB),
              *pool_args("p1", addr=ADDR + 2 * GiB, requested=256 * MiB, slot=5)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0)
        q.qmp("pzone-create", pool="p1", name="batch", size=64 * MiB, guarantee=0)
        d0, d1 = Driver(q, slot=4).start(), Driver(q, slot=5).start()
        d0.converge()
        d1.converge()
        same([[(c["name"], c["state"]) for c in p["classes"]] for p in q.qmp("query-pzone")],
             [[("db", "settled")], [("batch", "settled")]], "two pools: each has its class")
        same(sorted(d0.classes()) + sorted(d1.classes()), ["db", "memmap", "batch", "memmap"],
             "two pools: and each guest sees its own")
        gen = d1.generation()
        q.qmp("pzone-resize", pool="p0", name="db", size=32 * MiB)
        same(d1.generation(), gen, "two pools: a change of one is no news for the other")
        d1.reset()
        same([p["guest"] for p in q.qmp("query-pzone")], ["ready", "none"], "two pools: a driver of one alone goes")
        d0.converge()
        same((q.klass("p0", "db")["actual"], q.klass("p1", "batch")["actual"]), (32 * MiB, 64 * MiB),
             "two pools: ... and the other one works on")
        d1.start()
        same((books(q, d0, "p0"), books(q, d1, "p1")), ([], []), "two pools: the books agree")

        # One with the feature, one driver without.
        d1.start(pzone=False)
        same([p["guest"] for p in q.qmp("query-pzone")], ["ready", "plain"], "two pools: one patched, one plain")
        q.reset()
        same([p["plugged"] for p in q.qmp("query-pzone")], [0, 0], "two pools: a system reset empties both")


def unplug(q, name, slot):
    """ACPI hot-unplug, as a guest lets the device go."""
    q.qmp("device_del", id=name)
    q.out(0xae10, 0)
    q.out(0xae08, 1 << slot)
    return q.events("DEVICE_DELETED", 5)


def hotplug():
    with Qemu(*pool_args("p0", addr=ADDR),
              "-object", "memory-backend-ram,id=m,size=1G,reserve=off") as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB)
        d0 = Driver(q).start()
        d0.converge()
        q.qmp("device_add", driver="virtio-mem-pci", id="p1", memdev="m", pzone=True, bus="pci.0", addr="5",
              memaddr=ADDR + 4 * GiB, **{"requested_size": 512 * MiB})
        like(q.refused("pzone-create", pool="p1", name="db", size=2 * MiB), ["'db'", "'p0'"],
             "hotplug: names are one VM's, not one pool's")
        q.qmp("pzone-create", pool="p1", name="late", size=64 * MiB, guarantee=0)
        d1 = Driver(q, slot=5).start()
        d1.converge()
        same((q.klass("p1", "late")["state"], q.klass("p0", "db")["state"]), ("settled", "settled"),
             "hotplug: a pool more, at work")
        like(q.refused("device_del", id="p1"), ["still plugged"], "hot-unplug: not while it has classes")
        q.qmp("pzone-destroy", pool="p1", name="late")
        d1.converge()
        q.qmp("qom-set", path="/machine/peripheral/p1", property="requested-size", value=0)
        like(q.refused("device_del", id="p1"), ["still plugged"], "hot-unplug: not while the memory map is plugged")
        d1.converge()
        same(q.pool("p1")["plugged"], 0, "hot-unplug: the driver gives back the memory map when nothing is requested")
        ok(unplug(q, "p1", 5), "hot-unplug: an empty pool goes, with its driver at work")
        same([p["id"] for p in q.qmp("query-pzone")], ["p0"], "hot-unplug: ... and is no pool any more")
        q.qmp("object-del", id="m")
        q.qmp("pzone-resize", pool="p0", name="db", size=64 * MiB)
        same(books(q, d0), [], "hot-unplug: the other pool works on")


at_every_stage("system reset", system_reset, kept=False)
at_every_stage("device reset", device_reset, kept=True)
two_pools()
hotplug()
done()
