#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP without a guest: classes come and go, wrong wishes change nothing and name the value."""
import math

from pzqemu import *

with Qemu() as q:
    same(q.qmp("query-pzone"), [], "no pool: nothing to see")
    like(q.refused("pzone-create", pool="p0", name="db", size=2 * MiB), ["'p0'", "pzone=on"],
         "no pool: the message says what is missing")

with Qemu(*pool_args("p0"), *pool_args("p1", size=GiB, requested=512 * MiB, slot=5)) as q:
    pools = q.qmp("query-pzone")
    same([p["id"] for p in pools], ["p0", "p1"], "query-pzone: pools in the order of the command line")
    p = pools[0]
    memmap = math.ceil(2 * GiB // 64 / (2 * MiB)) * 2 * MiB
    same((p["size"], p["block-size"], p["requested"], p["plugged"], p["memmap"]),
         (2 * GiB, 2 * MiB, GiB, 0, memmap), "query-pzone: sizes of a pool")
    same(p["available"], GiB - memmap, "query-pzone: available = requested - memory map")
    same((p["guest"], p["classes"]), ("none", []), "query-pzone: no guest, no classes")

    # create
    q.events("PZONE_CHANGED")
    q.qmp("pzone-create", pool="p0", name="db", size=512 * MiB, guarantee=256 * MiB, limit=768 * MiB, cookie="c1")
    c = q.klass("p0", "db")
    same((c["size"], c["actual"], c["guarantee"], c["limit"], c["cookie"], c["state"]),
         (512 * MiB, 0, 256 * MiB, 768 * MiB, "c1", "waiting"), "create: the class waits for a guest")
    same(sum(e["size"] for e in c["wanted-extents"]), 512 * MiB, "create: it has a place")
    same(len(c["wanted-extents"]), 1, "create: ... in one piece")
    ok(all(e["addr"] >= p["addr"] and e["addr"] + e["size"] <= p["addr"] + p["size"] for e in c["wanted-extents"]),
       "create: ... inside the pool")
    same((c["extents"], "report" in c), ([], False), "create: nothing plugged, nothing reported")
    same(q.events("PZONE_CHANGED", 2),
         [{"pool": "p0", "name": "db", "size": 512 * MiB, "actual": 0, "state": "waiting", "gone": False}],
         "create: one event")
    same(q.pool("p0")["available"], GiB - memmap - 512 * MiB, "create: available goes down")
    q.qmp("pzone-create", pool="p0", name="batch", size=64 * MiB)
    c = q.klass("p0", "batch")
    same((c["guarantee"], c["limit"], c["cookie"]), (64 * MiB, 64 * MiB, ""), "create: defaults")

    before = q.qmp("query-pzone")
    for what, parts, args in (
            ("an unknown pool", ["'nope'", "'p0'", "'p1'"], dict(pool="nope", name="x", size=2 * MiB)),
            ("a name that exists", ["db"], dict(pool="p0", name="db", size=2 * MiB)),
            ("a name that exists in another pool", ["'db'", "'p0'"], dict(pool="p1", name="db", size=2 * MiB)),
            ("upper case", ["DB"], dict(pool="p0", name="DB", size=2 * MiB)),
            ("an empty name", [], dict(pool="p0", name="", size=2 * MiB)),
            ("a reserved name", ["memmap"], dict(pool="p0", name="memmap", size=2 * MiB)),
            ("32 characters", ["a" * 32], dict(pool="p0", name="a" * 32, size=2 * MiB)),
            ("a size between two blocks", ["500000000", "'x'", "2 MiB", "2097152", "499122176", "501219328"],
             dict(pool="p0", name="x", size=500000000)),
            ("a guarantee between two blocks", ["guarantee", "3000000"],
             dict(pool="p0", name="x", size=4 * MiB, guarantee=3000000)),
            ("a limit between two blocks", ["limit", "5000000"],
             dict(pool="p0", name="x", size=4 * MiB, limit=5000000)),
            ("more than requested", ["x"], dict(pool="p0", name="x", size=GiB)),
            ("more than the region", [str(1 << 50), str(2 * GiB)], dict(pool="p0", name="x", size=1 << 50)),
            ("the largest number", [str((1 << 64) - 1)], dict(pool="p0", name="x", size=(1 << 64) - 1)),
            ("a guarantee above the size", [], dict(pool="p0", name="x", size=4 * MiB, guarantee=8 * MiB)),
            ("a limit below the size", [], dict(pool="p0", name="x", size=8 * MiB, limit=4 * MiB)),
            ("a cookie of 65 characters", [], dict(pool="p0", name="x", size=4 * MiB, cookie="c" * 65))):
        text = q.refused("pzone-create", **args)
        ok(text and all(p in text for p in parts), "create: refused: " + what, text)
    same(q.qmp("query-pzone"), before, "create: ... and nothing changed")

    # resize
    q.qmp("pzone-resize", pool="p0", name="db", size=600 * MiB)
    c = q.klass("p0", "db")
    same((c["size"], c["state"], sum(e["size"] for e in c["wanted-extents"])), (600 * MiB, "waiting", 600 * MiB),
         "resize: up")
    q.qmp("pzone-resize", pool="p0", name="db", size=256 * MiB)
    same(q.klass("p0", "db")["size"], 256 * MiB, "resize: down")
    before = q.qmp("query-pzone")
    for what, parts, args in (
            ("an unknown pool", ["'nope'"], dict(pool="nope", name="db", size=2 * MiB)),
            ("an unknown class", ["nope"], dict(pool="p0", name="nope", size=2 * MiB)),
            ("a class of the other pool", ["db"], dict(pool="p1", name="db", size=2 * MiB)),
            ("below the guarantee", ["db"], dict(pool="p0", name="db", size=128 * MiB)),
            ("above the limit", ["db"], dict(pool="p0", name="db", size=800 * MiB)),
            ("between two blocks", ["300000000", "299892736", "301989888"],
             dict(pool="p0", name="db", size=300000000))):
        text = q.refused("pzone-resize", **args)
        ok(text and all(p in text for p in parts), "resize: refused: " + what, text)
    same(q.qmp("query-pzone"), before, "resize: ... and nothing changed")

    # set
    q.qmp("pzone-set", pool="p0", name="db", size=128 * MiB, guarantee=64 * MiB, limit=GiB // 2, cookie="c2")
    c = q.klass("p0", "db")
    same((c["size"], c["guarantee"], c["limit"], c["cookie"]), (128 * MiB, 64 * MiB, GiB // 2, "c2"), "set: all")
    q.qmp("pzone-set", pool="p0", name="db", cookie="c3")
    c2 = q.klass("p0", "db")
    same(dict(c2, cookie="c2"), c, "set: one thing leaves the others alone")
    for what, args in (("guarantee above size", dict(guarantee=256 * MiB)), ("limit below size", dict(limit=64 * MiB)),
                       ("half a block", dict(size=MiB))):
        ok(q.refused("pzone-set", pool="p0", name="db", **args), "set: refused: " + what)
    ok("nope" in q.refused("pzone-set", pool="p0", name="nope", size=2 * MiB), "set: refused: an unknown class")
    same(q.klass("p0", "db"), c2, "set: ... and nothing changed")

    # requested-size
    text = q.refused("qom-set", path="/machine/peripheral/p0", property="requested-size", value=64 * MiB)
    like(text, ["p0"], "requested-size: not below what is laid out")
    same(q.pool("p0")["requested"], GiB, "requested-size: ... and nothing changed")
    q.qmp("qom-set", path="/machine/peripheral/p0", property="requested-size", value=2 * GiB)
    same(q.pool("p0")["available"], 2 * GiB - memmap - 192 * MiB, "requested-size: more is available")

    # a reset leaves what is wanted alone
    wanted = q.klass("p0", "db")
    q.reset()
    same(q.klass("p0", "db"), wanted, "reset: wishes stay")

    like(q.hmp("info pzone"), ["pool p0", "pool p1", "class db", "128 MiB", "waiting"], "info pzone")

    # destroy
    q.events("PZONE_CHANGED", 0.5)
    q.qmp("pzone-destroy", pool="p0", name="db")
    same(q.klass("p0", "db"), None, "destroy: a class that has nothing is gone at once")
    events = q.events("PZONE_CHANGED", 2)
    ok([e for e in events if e["gone"] and e["name"] == "db"], "destroy: the event says so", events)
    ok("db" in q.refused("pzone-destroy", pool="p0", name="db"), "destroy: refused: a class that is not there")
    q.qmp("pzone-create", pool="p1", name="db", size=2 * MiB)
    same(q.klass("p1", "db")["size"], 2 * MiB, "destroy: the name is free again, in any pool")

    # The end of one comes before the beginning of the next, however fast they follow.
    q.events("PZONE_CHANGED", 0.5)
    for _ in range(2):
        q.qmp("pzone-create", pool="p0", name="brief", size=2 * MiB)
        q.qmp("pzone-destroy", pool="p0", name="brief")
    events = [e["gone"] for e in q.events("PZONE_CHANGED", 1) if e["name"] == "brief"]
    same(events, [False, True, False, True], "destroy: events in the right order")

    # reclaim
    q.qmp("pzone-reclaim", pool="p0", name="batch", size=MiB)
    ok("nope" in q.refused("pzone-reclaim", pool="p0", name="nope", size=MiB), "reclaim: refused: an unknown class")

    # Four events a second at most, and the last one is right.
    q.qmp("pzone-set", pool="p0", name="batch", guarantee=0, limit=512 * MiB)
    q.events("PZONE_CHANGED", 0.5)
    time.sleep(0.3)
    start = time.monotonic()
    n = 0
    while time.monotonic() - start < 1:
        n += 1
        q.qmp("pzone-resize", pool="p0", name="batch", size=(n % 100 + 1) * 2 * MiB)
    q.qmp("pzone-resize", pool="p0", name="batch", size=300 * MiB)
    events = q.events_until("PZONE_CHANGED", lambda e: e["size"] == 300 * MiB)
    elapsed = time.monotonic() - start
    ok(len(events) <= 4 * elapsed + 2, "%d resizes in %.1f s make a few events" % (n, elapsed), len(events))
    same(events[-1]["size"], 300 * MiB, "... of which the last has the last size")

# align
with Qemu(*pool_args("p0", addr=5 * GiB, size=4 * GiB, requested=3 * GiB),
          *pool_args("p1", addr=9 * GiB + 128 * MiB, size=GiB, requested=GiB, slot=5)) as q:
    q.qmp("pzone-create", pool="p0", name="first", size=66 * MiB)
    q.qmp("pzone-create", pool="p0", name="huge", size=GiB, guarantee=0, limit=2 * GiB, align=GiB)
    c = q.klass("p0", "huge")
    same(([e["addr"] % GiB for e in c["wanted-extents"]], c["align"]), ([0], GiB), "align: 1 GiB at a multiple of 1 GiB")
    same(q.klass("p0", "first")["align"], 2 * MiB, "align: the block size if nothing is said")
    like(q.hmp("info pzone"), ["class huge", "aligned to 1 GiB"], "align: info pzone")
    before = q.qmp("query-pzone")
    for what, parts, args in (
            ("no power of two", ["'x'", str(6 * MiB), "'p0'"], dict(pool="p0", name="x", size=6 * MiB, align=6 * MiB)),
            ("below the block size", ["'x'", str(MiB), str(2 * MiB)], dict(pool="p0", name="x", size=2 * MiB, align=MiB)),
            ("0", ["'x'", "align 0"], dict(pool="p0", name="x", size=2 * MiB, align=0)),
            ("2 GiB", ["'x'", str(2 * GiB), str(GiB)], dict(pool="p0", name="x", size=2 * GiB, align=2 * GiB)),
            ("a size that is no multiple of it", ["'x'", "6 MiB", "4 MiB"],
             dict(pool="p0", name="x", size=6 * MiB, align=4 * MiB)),
            ("a pool at another address", ["'x'", str(GiB), "0x248000000", "'p1'", "'memaddr'"],
             dict(pool="p1", name="x", size=GiB, align=GiB))):
        text = q.refused("pzone-create", **args)
        ok(text and all(p in text for p in parts), "align: refused: " + what, text)
    ok(q.refused("pzone-resize", pool="p0", name="huge", size=GiB + 2 * MiB), "align: refused: a size between two")
    same(q.qmp("query-pzone"), before, "align: ... and nothing changed")
    q.qmp("pzone-create", pool="p1", name="y", size=256 * MiB, align=128 * MiB)
    same([e["addr"] % (128 * MiB) for e in q.klass("p1", "y")["wanted-extents"]], [0], "align: as far as the pool's own")

done()
