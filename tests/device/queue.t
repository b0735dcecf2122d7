#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a guest can say to a pool, with a driver in Python instead of a kernel:
the way of a good one, and what a bad one gets.
"""
from pzqemu import *

BLOCK = 2 * MiB
ADDR = 4 * GiB


def owner_rule(q, pool="p0"):
    """No block is in two extents, and plugged is the sum of what there is."""
    p = q.pool(pool)
    spans = sorted((e["addr"], e["addr"] + e["size"]) for c in p["classes"] for e in c["extents"])
    return all(a[1] <= b[0] for a, b in zip(spans, spans[1:]))


def good_guest():
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=512 * MiB, guarantee=0, limit=GiB)
        d = Driver(q).start()
        same(q.pool("p0")["guest"], "ready", "a driver with the feature: the guest is ready")
        same(d.mem(2), 0, "UNPLUG_ALL works, as a driver sends it first")
        same(d.mem(0, ADDR, 1), 3, "queue 0: PLUG is refused")
        same(d.mem(1, ADDR, 1), 3, "queue 0: UNPLUG is refused")
        same(d.mem(3, ADDR, 1), 0, "queue 0: STATE works")

        classes = d.classes()
        same(sorted(classes), ["db", "memmap"], "CLASSES names them")
        db = classes["db"][0]
        same((classes["db"][2], classes["db"][4]), (256, 512), "CLASSES: wanted and limit in blocks")
        layout = d.layout()
        same({c for c, _, _ in layout}, {0, db}, "LAYOUT has extents of both")
        mm = next(e for e in layout if e[0] == 0)
        same(mm[1] + mm[2], GiB // MiB, "the memory map is at the end of the region")
        same(d.actual(), [], "STATE: nothing plugged")
        same(q.klass("p0", "db")["state"], "growing", "the class is growing")

        q.events("PZONE_CHANGED", 0.5)
        q.events("MEMORY_DEVICE_SIZE_CHANGE")
        same(d.converge(), ACK, "a good guest converges")
        same(sorted(d.actual()), sorted(layout), "STATE: what was wanted is plugged")
        c = q.klass("p0", "db")
        same((c["actual"], c["state"], c["extents"]), (512 * MiB, "settled", c["wanted-extents"]),
             "query-pzone: settled")
        same(q.pool("p0")["guest-generation"], q.pool("p0")["generation"], "query-pzone: the guest is at this layout")
        same(c["report"]["free"], 0, "query-pzone: it has reported")
        events = q.events_until("PZONE_CHANGED", lambda e: e["state"] == "settled")
        same((events[-1]["state"], events[-1]["actual"]), ("settled", 512 * MiB), "the last event says settled")
        info = q.qmp("query-memory-devices")[0]["data"]
        same(info["size"], 512 * MiB + mm[2] * BLOCK, "query-memory-devices: classes and memory map")
        ok(0 < len(q.events("MEMORY_DEVICE_SIZE_CHANGE")) <= 3, "few memory-device events")

        gen = d.generation()
        q.qmp("pzone-resize", pool="p0", name="db", size=256 * MiB)
        ok(d.generation() != gen, "a resize moves the generation")
        same(q.klass("p0", "db")["state"], "shrinking", "less wanted than plugged: shrinking")
        d.report({"id": db, "state": PARTIAL, "stuck": 100})
        c = q.klass("p0", "db")
        same((c["state"], c["report"]["stuck"]), ("partial", 200 * MiB), "REPORT partial: how much is stuck")
        like(c.get("last-error", ""), ["'p0'", "'db'", "200 MiB"], "... and last-error says so to people")
        q.qmp("pzone-resize", pool="p0", name="db", size=300 * MiB)
        same("last-error" in q.klass("p0", "db"), False, "... until something else is wanted")
        same(q.klass("p0", "db")["state"], "shrinking", "partial is forgotten when something else is wanted")
        d.converge()
        same((q.klass("p0", "db")["actual"], q.klass("p0", "db")["state"]), (300 * MiB, "settled"), "shrunk")

        # a second class in what the first gave back
        q.qmp("pzone-create", pool="p0", name="batch", size=512 * MiB)
        d.converge()
        same((q.klass("p0", "batch")["state"], owner_rule(q)), ("settled", True), "a second class has its own blocks")

        # events
        q.events("PZONE_SHORTAGE")
        d.pz(EVENT, [EVENT_ENTRY.pack(db, 0, 8, 0)])
        same(q.events("PZONE_SHORTAGE", 2), [{"pool": "p0", "name": "db", "oom": False, "wanted": 16 * MiB}],
             "EVENT pressure: QMP says so")
        start = time.monotonic()
        d.pz(EVENT, [EVENT_ENTRY.pack(db, 1, 4, 0)])
        for _ in range(50):
            d.pz(EVENT, [EVENT_ENTRY.pack(db, 0, 2, 0)])
        d.pz(EVENT, [EVENT_ENTRY.pack(db, 1, 6, 0), EVENT_ENTRY.pack(db, 0, 2, 0)])
        events = q.events_until("PZONE_SHORTAGE", lambda e: e["wanted"] == 12 * MiB)
        elapsed = time.monotonic() - start
        ok(len(events) <= 4 * elapsed + 2, "EVENT: a flood becomes a few (%.1f s)" % elapsed, events)
        same((events[-1]["oom"], events[-1]["wanted"]), (True, 12 * MiB), "EVENT: ... and the worst is not lost")

        # directed reclaim
        q.qmp("pzone-reclaim", pool="p0", name="db", size=3 * MiB)
        c = d.classes()["db"]
        ok(c[5] > 0 and c[6] == 3 * MiB, "reclaim: the guest gets a number and a size", c)
        d.report({"id": db, "done_seq": c[5], "reclaimed": 2 * MiB})
        same(q.klass("p0", "db")["report"]["reclaimed"], 2 * MiB, "reclaim: its answer is shown")

        # destroy while it holds memory
        q.qmp("pzone-destroy", pool="p0", name="batch")
        same(q.klass("p0", "batch")["state"], "destroying", "destroy: it stays until its memory is back")
        q.events("PZONE_CHANGED", 0.5)
        d.converge()
        same(q.klass("p0", "batch"), None, "destroy: ... and is gone then")
        events = q.events_until("PZONE_CHANGED", lambda e: e["gone"])
        ok([e for e in events if e["name"] == "batch" and e["gone"]], "destroy: ... which an event says", events)

        # requested can't go below what is laid out, also by way of the guest
        plugged = q.pool("p0")["plugged"]
        same(plugged, 332 * MiB, "plugged: memory map and class")
        q.reset()
        p = q.pool("p0")
        same((p["plugged"], p["guest"], p["classes"][0]["actual"], p["classes"][0]["state"]),
             (0, "none", 0, "waiting"), "reset: nothing plugged, no guest, the class waits")
        d = Driver(q).start()
        same(d.actual(), [], "reset: STATE is empty")
        d.converge()
        same(q.klass("p0", "db")["state"], "settled", "reset: the next guest converges")


def in_pieces(q):
    """A driver, and a class "db" of 128 MiB in pieces, with room to become one."""
    for name, size in (("db", 64), ("batch", 64), ("rest", 312)):
        q.qmp("pzone-create", pool="p0", name=name, size=size * MiB, guarantee=0, limit=GiB // 2)
    d = Driver(q).start()
    d.converge()
    q.qmp("pzone-resize", pool="p0", name="db", size=128 * MiB)
    d.converge()
    ok(q.klass("p0", "db")["nr-extents"] > 1, "relocation: a class in pieces")
    q.qmp("pzone-destroy", pool="p0", name="rest")
    d.converge()
    return d


def relocation():
    """A class in pieces comes together as soon as there is room, and says so."""
    args = {"addr": ADDR, "size": 512 * MiB, "requested": 512 * MiB}
    with Qemu(*pool_args(**args, pzone_relocate="off")) as q:
        d = in_pieces(q)
        for _ in range(10):
            d.converge()
        c = q.klass("p0", "db")
        same((c["nr-extents"] > 1, c["relocating"], c["state"]), (True, False, "settled"),
             "relocation: with pzone-relocate=off it stays as it is")
    with Qemu(*pool_args(**args)) as q:
        d = in_pieces(q)
        steps, seen, pieces = 0, [], []
        while steps < 20:
            c = q.klass("p0", "db")
            seen.append((c["relocating"], c["state"]))
            pieces.append(c["nr-extents"])
            if c["state"] == "settled" and not c["relocating"] and c["nr-extents"] == 1 and c["actual"] == 128 * MiB:
                break
            d.converge()
            steps += 1
        same((c["nr-extents"], c["actual"], owner_rule(q)), (1, 128 * MiB, True),
             "relocation: one extent in the end (%s)" % pieces)
        ok([r for r, _ in seen if r], "relocation: query-pzone says so meanwhile", seen)
        ok(all(state != "shrinking" for _, state in seen), "relocation: ... and does not call it shrinking", seen)
        same(books(q, d), [], "relocation: the books agree")


def bad_guest():
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=256 * MiB, guarantee=0, limit=900 * MiB)
        q.qmp("pzone-create", pool="p0", name="batch", size=256 * MiB, guarantee=0, limit=900 * MiB)
        d = Driver(q).start()
        classes = d.classes()
        db, batch = classes["db"][0], classes["batch"][0]
        where = {}
        for c, first, nr in d.layout():
            where.setdefault(c, (first, nr))
        dbf, dbn = where[db]
        baf, ban = where[batch]
        mmf, mmn = where[0]

        # memmap first: it is a precondition of classes
        same(d.change(PLUG, [(0, mmf, mmn)]), (ACK, [OK]), "PLUG: the memory map")
        before = (q.pool("p0")["plugged"], d.actual())
        one = EXTENT.pack(db, dbf, 1, 0)

        same(d.change(PLUG, [(db, dbf, 1)], generation=d.generation() - 1)[0], NACK, "PLUG: a stale generation")
        same(d.change(PLUG, [(db, dbf, 1)], generation=d.generation() + 1)[0], NACK, "PLUG: one of the future")
        for what, kind, extents in (
                ("PLUG: blocks of another class", PLUG, [(db, baf, 1)]),
                ("PLUG: the right place, and one block more", PLUG, [(db, dbf, dbn + 1)]),
                ("PLUG: an unknown class", PLUG, [(12345, dbf, 1)]),
                ("PLUG: no blocks", PLUG, [(db, dbf, 0)]),
                ("PLUG: past the end", PLUG, [(db, 1024, 1)]),
                ("PLUG: over the end of 32 bits", PLUG, [(db, 0xffffffff, 2)]),
                ("PLUG: 2^32 - 1 blocks", PLUG, [(db, dbf, 0xffffffff)]),
                ("PLUG: one block twice", PLUG, [(db, dbf, 1), (db, dbf, 1)]),
                ("PLUG: overlapping extents", PLUG, [(db, dbf, 4), (db, dbf + 3, 4)]),
                ("PLUG: one good extent, one bad", PLUG, [(db, dbf, 1), (db, baf, 1)]),
                ("PLUG: what is plugged", PLUG, [(0, mmf, 1)]),
                ("UNPLUG: what is not plugged", UNPLUG, [(db, dbf, 1)]),
                ("UNPLUG: memory of another class", UNPLUG, [(db, mmf, 1)]),
                ("UNPLUG: past the end", UNPLUG, [(0, mmf, mmn + 1)])):
            same(d.change(kind, extents)[0], ERROR, what)
        for what, args in (
                ("an unknown type", dict(kind=7)),
                ("the largest type", dict(kind=0xffff)),
                ("more entries announced than there are", dict(kind=PLUG, entries=[one], nr=2)),
                ("fewer entries announced than there are", dict(kind=PLUG, entries=[one, one], nr=1)),
                ("65535 entries announced", dict(kind=PLUG, entries=[one], nr=0xffff)),
                ("257 entries", dict(kind=PLUG, entries=[EXTENT.pack(db, dbf + i % dbn, 1, 0) for i in range(257)])),
                ("half an entry", dict(kind=PLUG, entries=[one[:8]])),
                ("no entries", dict(kind=PLUG)),
                ("a query with entries", dict(kind=LAYOUT, entries=[one])),
                ("a report of an unknown state", dict(kind=REPORT, entries=[
                    REPORT_ENTRY.pack(db, 99, *[0] * 13)])),
                ("an event of an unknown kind", dict(kind=EVENT, entries=[EVENT_ENTRY.pack(db, 99, 0, 0)])),
                ("a reserved field that is not 0", dict(kind=PLUG, entries=[EXTENT.pack(db, dbf, 1, 1)]))):
            same(d.pz(**args)[0], ERROR, "answered ERROR: " + what)
        same(RESP.unpack_from(d.raw(1, b"", 64))[0], ERROR, "answered ERROR: nothing to read")
        same(RESP.unpack_from(d.raw(1, REQ.pack(PLUG, 1, 0, 0, 0)[:10], 64))[0], ERROR,
             "answered ERROR: a header cut off")
        same(RESP.unpack_from(d.raw(1, REQ.pack(PLUG, 0xffff, d.generation(), 0, 0), 64, req_len=8 * MiB))[0], ERROR,
             "answered ERROR: a request of 8 MiB")
        same(d.pz(LAYOUT, first=0xffffffff)[0] in (ACK, ERROR), True, "a query far past the end is answered")
        same(d.pz(PLUG, [one], room=RESP.size)[0], ERROR, "PLUG without room for the status is refused")
        same(d.pz(LAYOUT, room=RESP.size)[2], 3, "a query with room for the header only says how many there are")
        same((q.pool("p0")["plugged"], d.actual()), before, "nothing of all this changed anything")

        # what the classes hold together is bounded by requested, whatever the order
        d.converge()
        q.qmp("pzone-resize", pool="p0", name="db", size=0)
        q.qmp("pzone-resize", pool="p0", name="batch", size=900 * MiB)
        take = [e for e in d.layout() if e[0] == batch]
        have = {b for c, f, n in d.actual() for b in range(f, f + n)}
        for c, f, n in take:
            for b in range(f, f + n):
                if b not in have:
                    d.change(PLUG, [(c, b, 1)])
        ok(q.pool("p0")["plugged"] <= GiB, "a guest that gives nothing back gets no more than requested",
           q.pool("p0")["plugged"])
        ok(owner_rule(q), "... and no block has two owners")
        d.converge()
        d.converge()
        same((q.klass("p0", "batch")["state"], q.klass("p0", "batch")["actual"]), ("settled", 900 * MiB),
             "... and all of it once it does")

        # ... also when requested is lowered while somebody holds more than wanted
        q.qmp("pzone-resize", pool="p0", name="batch", size=0)
        q.qmp("pzone-resize", pool="p0", name="db", size=64 * MiB)
        q.qmp("qom-set", path="/machine/peripheral/p0", property="requested-size", value=96 * MiB)
        take = [e for e in d.layout() if e[0] == db]
        same(sum(e[2] for e in take), 32, "a class is laid out where another has not given back all")
        same(d.change(PLUG, take), (ACK, [AGAIN] * len(take)), "... and gets it when that is done")
        q.qmp("qom-set", path="/machine/peripheral/p0", property="requested-size", value=GiB)
        q.qmp("pzone-resize", pool="p0", name="batch", size=900 * MiB)
        d.converge()
        d.converge()

        # a full ring at one kick, twice as fast as it is read
        resps = []
        for i in range(7):
            resps.append(d.add(1, REQ.pack(STATE, 0, 0, 0, 0), 64))
        d.kick(1)
        for _ in resps:
            d.wait(1)
        same([RESP.unpack_from(q.read(r, 16))[0] for r in resps], [ACK] * 7, "seven requests at one kick")

        try:
            d.raw(1, REQ.pack(STATE, 0, 0, 0, 0), RESP.size - 1)
            ok(False, "no room for a reply breaks the ring")
        except NoAnswer:
            ok(d.status & NEEDS_RESET, "no room for a reply breaks the ring")
        like(q.stderr(), ["not enough space"], "... and the log says why")
        same(q.pool("p0")["guest"], "none", "... and nobody follows the layout then")
        d = Driver(q).start()
        same((q.pool("p0")["guest"], q.klass("p0", "batch")["actual"]), ("ready", 900 * MiB),
             "a reset of the device repairs it, and memory stays where it is")
        same(d.mem(2), 0, "UNPLUG_ALL")
        same((q.pool("p0")["plugged"], d.actual()), (0, []), "... takes everything from everybody")


def plain_guest():
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=256 * MiB)
        d = Driver(q).start(pzone=False)
        p = q.pool("p0")
        same((p["guest"], p["classes"][0]["state"]), ("plain", "waiting"), "without the feature: plain, classes wait")
        same(d.mem(0, ADDR, 64), 0, "plain: PLUG works")
        same((q.pool("p0")["plugged"], q.klass("p0", "db")["actual"]), (128 * MiB, 0),
             "plain: the pool has memory, the class has not")
        same(d.mem(0, ADDR + GiB, 0), 3, "plain: virtio-mem's own checks work")
        same(d.mem(0, ADDR + 512 * MiB, 449), 1, "plain: requested-size is the limit")

        # kexec into a kernel with pzone that forgets UNPLUG_ALL, then remembers
        d = Driver(q).start()
        same(q.pool("p0")["guest"], "ready", "plain, then patched, without a reset of the machine")
        db = d.classes()["db"][0]
        _, first, nr = next(e for e in d.layout() if e[0] == db)
        same(d.change(PLUG, [next(e for e in d.layout() if not e[0])]), (ACK, [OK]), "... the memory map finds room")
        assert first < 64, "the class does not begin where the plain driver plugged"
        same(d.change(PLUG, [(db, first, 1)]), (ACK, [AGAIN]), "... memory that the plain one left is not plugged twice")
        same(d.mem(1, ADDR, 1), 3, "... nor taken on queue 0")
        same(d.mem(2), 0, "UNPLUG_ALL")
        d.converge()
        same(q.klass("p0", "db")["state"], "settled", "... then it converges")

        # and back
        plugged = q.pool("p0")["plugged"]
        d = Driver(q).start(pzone=False)
        same((q.pool("p0")["guest"], q.pool("p0")["plugged"], q.klass("p0", "db")["actual"]), ("plain", plugged, 0),
             "patched, then plain: memory stays, and is nobody's")
        same(d.mem(1, ADDR + first * BLOCK, 1), 0, "... and can be unplugged")
        d = Driver(q).start()
        d.mem(2)
        d.converge()
        same((q.klass("p0", "db")["state"], q.klass("p0", "db")["actual"]), ("settled", 256 * MiB), "and patched again")

    # a device whose features nobody settled
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=256 * MiB)
        d = Driver(q).start()
        d.converge()
        first = next(e for e in d.actual() if e[0] != 0)[1]
        d.negotiate(F_VERSION_1 | F_UNPLUGGED_INACCESSIBLE)
        d.rings = {}
        d._setup_queue(0)
        d._setup_queue(1)
        same(d.mem(1, ADDR + first * BLOCK, 1), 0, "without the feature and before DRIVER_OK: UNPLUG on queue 0")
        same(q.klass("p0", "db")["actual"], 0, "... takes the blocks from their owner first")
        d._put(22, 1, 2)
        try:
            d.pz(STATE, generation=0)
            ok(False, "queue 1 without the feature breaks the device")
        except NoAnswer:
            ok(d.status & NEEDS_RESET, "queue 1 without the feature breaks the device")


def required():
    with Qemu(*pool_args(addr=ADDR, pzone_required="on")) as q:
        d = Driver(q)
        ok(not d.negotiate(F_VERSION_1 | F_UNPLUGGED_INACCESSIBLE), "pzone-required: no FEATURES_OK without it")
        like(q.stderr(), ["'p0'", "'pzone-required'"], "... and the log names the property")
        d.status = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
        ok(q.pool("p0")["guest"] != "plain", "... nor does DRIVER_OK help", q.pool("p0"))
        d.status = ACKNOWLEDGE | DRIVER | DRIVER_OK
        ok(q.pool("p0")["guest"] != "plain", "... in any order", q.pool("p0"))
        Driver(q).start()
        same(q.pool("p0")["guest"], "ready", "pzone-required: a driver with the feature is welcome")


good_guest()
relocation()
bad_guest()
plain_guest()
required()
done()
