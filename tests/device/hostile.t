#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A hostile guest: rings and descriptors of every bad shape, replays, floods, and
a long random walk of everything a guest and a host can do, after each step of
which all books of the pool must agree and no memory may be anybody else's.
PZ_SEED=N repeats a walk, PZ_STEPS=N makes it longer.
"""
import random

from pzqemu import *

BLOCK = 2 * MiB
ADDR = 4 * GiB


def setup(q):
    q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0, limit=900 * MiB)
    q.qmp("pzone-create", pool="p0", name="batch", size=64 * MiB, guarantee=0, limit=900 * MiB)
    d = Driver(q).start()
    d.converge()
    return d


def descriptors():
    """Shapes of a chain: how it is cut must not matter, and a bad one breaks the device and nothing else."""
    with Qemu(*pool_args(addr=ADDR)) as q:
        d = setup(q)
        ring = d.rings[1]
        req, resp = ring["req"] + 0x80000, ring["resp"] + 0x90000
        before = (q.pool("p0")["plugged"], d.actual())

        def query(descs, **kw):
            q.write(req, REQ.pack(STATE, 0, 0, 0, 0))
            q.write(resp, b"\xaa" * 0x1000)
            n = d.chain(1, descs, **kw)
            return n, RESP.unpack_from(q.read(resp, 16))[0]

        whole = 16 + 16 * len(d.actual())
        for what, descs, kw, wanted in (
                ("the header byte by byte", [(req + i, 1, 0) for i in range(16)] + [(resp, 0x1000, 2)], {}, whole),
                ("the reply byte by byte", [(req, 16, 0)] + [(resp + i, 1, 2) for i in range(64)], {}, None),
                ("an indirect table", [(req, 16, 0), (resp, 0x1000, 2)], dict(indirect=True), whole),
                ("an indirect table of 100", [(req, 16, 0)] + [(resp + i, 1, 2) for i in range(99)],
                 dict(indirect=True), None)):
            n, kind = query(descs, **kw)
            same((kind, n if wanted else 0), (ACK, wanted or 0), "a query is answered: " + what)
        for what, descs, kw in (
                ("a reply of 4 GiB", [(req, 16, 0), (resp, 0xffffffff, 2)], {}),
                ("a request outside of memory", [(1 << 60, 16, 0), (resp, 64, 2)], {}),
                ("a reply outside of memory", [(req, 16, 0), (1 << 60, 64, 2)], {}),
                ("a descriptor of no bytes", [(req, 0, 0), (resp, 64, 2)], {}),
                ("a chain that bites its tail", [(req, 16, 0), (req, 16, 0, 2 * d.SLOTS)], {}),
                ("a chain that leaves the table", [(req, 16, 0, 5000)], {}),
                ("a head that is not in the table", [(req, 16, 0), (resp, 64, 2)], dict(head=5000)),
                ("first to write, then to read", [(resp, 64, 2), (req, 16, 0)], {}),
                ("an indirect table of no bytes", [], dict(indirect=True)),
                ("nothing to write", [(req, 16, 0)], {}),
                ("15 bytes to write", [(req, 16, 0), (resp, 15, 2)], {})):
            try:
                _, kind = query(descs, **kw)
                # (a reply to nowhere leaves 0xaaaa behind)
                same(kind in (ACK, ERROR, 0xaaaa), True, "answered or refused: " + what)
            except NoAnswer:
                ok(d.status & NEEDS_RESET, "the device needs a reset: " + what)
            d = Driver(q).start()
            same((q.pool("p0")["plugged"], d.actual(), books(q, d)), (*before, []), "... and nothing has changed")


def replays():
    """Each request that changed something, once more, byte for byte."""
    with Qemu(*pool_args(addr=ADDR)) as q:
        d = setup(q)
        q.qmp("pzone-resize", pool="p0", name="db", size=128 * MiB)
        gen = d.generation()
        db = d.classes()["db"][0]
        have = {b for c, f, n in d.actual() for b in range(f, f + n)}
        new = next((c, b, 1) for c, f, n in d.layout() if c == db for b in range(f, f + n) if b not in have)
        same([d.change(PLUG, [new], gen) for _ in range(2)], [(ACK, [OK]), (ERROR, [])], "a PLUG works once")
        same([d.change(UNPLUG, [new], gen) for _ in range(2)], [(ACK, [OK]), (ERROR, [])], "an UNPLUG works once")
        q.qmp("pzone-resize", pool="p0", name="db", size=64 * MiB)
        same(d.change(PLUG, [new], gen)[0], NACK, "a PLUG of yesterday is stale")
        q.reset()
        d = Driver(q).start()
        same(d.change(PLUG, [new], gen)[0], NACK, "... also after a reset")
        same(books(q, d), [], "the books agree")


def floods():
    """As fast as a guest can; the monitor stays usable, and the last word counts."""
    with Qemu(*pool_args(addr=ADDR)) as q:
        d = setup(q)
        db = d.classes()["db"][0]
        q.events("PZONE_CHANGED")
        q.events("PZONE_SHORTAGE")
        start = time.monotonic()
        for i in range(300):
            for n in range(d.SLOTS):
                d.add(1, REQ.pack(REPORT, 1, 0, 0, 0) +
                      REPORT_ENTRY.pack(db, i % 3, n, 0, 0, 0, 0, i * d.SLOTS + n, *[0] * 7), 16)
            d.kick(1)
            for _ in range(d.SLOTS):
                d.wait(1)
        d.report({"id": db, "free": 77})
        same(q.klass("p0", "db")["report"]["free"], 77, "2400 reports: the last one counts")
        time.sleep(0.3)
        events = [e for e in q.events("PZONE_CHANGED", 2) if e["name"] == "db"]
        elapsed = time.monotonic() - start
        ok(0 < len(events) <= 4 * elapsed + 2, "... in few events (%.1f s)" % elapsed, len(events))
        for i in range(300):
            d.pz(EVENT, [EVENT_ENTRY.pack(db, i % 2, i + 1, 0)] * 256)
        events = q.events_until("PZONE_SHORTAGE", lambda e: e["wanted"] == 300 * BLOCK)
        elapsed = time.monotonic() - start
        ok(len(events) <= 4 * elapsed + 2, "76800 events become few (%.1f s)" % elapsed, len(events))
        same((events[-1]["oom"], events[-1]["wanted"]), (True, 300 * BLOCK), "... and the worst is not lost")
        same(books(q, d), [], "the books agree")


# A class that has just grown and is short again must not wait for the limiter:
# its guest waits for 100 ms before it kills.
def urgent():
    with Qemu(*pool_args(addr=ADDR)) as q:
        d = setup(q)
        db = d.classes()["db"][0]
        q.events("PZONE_SHORTAGE")
        stamps = []
        for i in range(5):
            q.qmp("pzone-resize", pool="p0", name="db", size=(40 + i) * BLOCK)
            d.converge()
            d.pz(EVENT, [EVENT_ENTRY.pack(db, 1, i + 1, 0)])
            same([e["wanted"] for e in q.events("PZONE_SHORTAGE", 2)], [(i + 1) * BLOCK],
                 "out of memory again after it grew: each time an event")
            stamps.append(time.monotonic())
        print("# %.0f ms between them" % ((stamps[-1] - stamps[0]) / 4 * 1000))


def skipped():
    with Qemu(*pool_args(addr=ADDR)) as q:
        d = setup(q)
        ids = {n: c[0] for n, c in d.classes().items()}
        q.events("PZONE_SHORTAGE")
        entries = [EVENT_ENTRY.pack(12345, 1, 1, 0), EVENT_ENTRY.pack(ids["db"], 1, 3, 0)]
        same(d.pz(EVENT, entries)[0], ACK, "an event of a class that has gone does no harm")
        same([(e["name"], e["wanted"]) for e in q.events("PZONE_SHORTAGE", 2)], [("db", 3 * BLOCK)],
             "... and the others of the request count")


class Walk:
    """Random deeds of a guest and a host."""

    def __init__(self, q, rng):
        self.q, self.rng = q, rng
        self.d = Driver(q).start()
        self.d.mem(2)
        self.answers = {}

    def block(self):
        return self.rng.choice((self.rng.randrange(64), self.rng.randrange(64), 0, 63, 64, 0xffffffff))

    def extents(self, source):
        """Mostly such as there are, some pieces of them, some nonsense."""
        ret = []
        for c, f, n in self.rng.sample(source, min(len(source), self.rng.randrange(1, 4))):
            if self.rng.random() < 0.5:
                cut = self.rng.randrange(n)
                f, n = f + cut, self.rng.randrange(1, n - cut + 1)
            ret.append((c, f, n))
        if not ret or self.rng.random() < 0.2:
            ret.append((self.rng.randrange(5), self.block(), self.rng.choice((1, 2, 0, 0xffffffff))))
        return ret

    def guest_plug(self):
        have = {b for c, f, n in self.d.actual() for b in range(f, f + n)}
        gaps = []
        for c, f, n in self.d.layout():
            free = [b for b in range(f, f + n) if b not in have]
            if free:
                gaps.append((c, free[0], next((i for i, b in enumerate(free) if b != free[0] + i), len(free))))
        return self.change(PLUG, gaps)

    def guest_unplug(self):
        return self.change(UNPLUG, self.d.actual())

    def change(self, kind, source):
        gen = self.d.generation() - (self.rng.random() < 0.1)
        return self.d.change(kind, self.extents(source), gen & 0xffffffff)[0]

    def guest_converge(self):
        return self.d.converge()

    def guest_report(self):
        return self.d.report({"id": self.rng.randrange(5), "state": self.rng.randrange(3), "stuck": self.block()})

    def guest_event(self):
        return self.d.pz(EVENT, [EVENT_ENTRY.pack(self.rng.randrange(1, 5), self.rng.randrange(2), self.block(), 0)])[0]

    def guest_plain_requests(self):
        self.d.mem(self.rng.randrange(2), ADDR + self.rng.randrange(64) * BLOCK, self.rng.randrange(8))
        if self.rng.random() < 0.1:
            self.d.mem(2)

    def guest_restart(self):
        self.d = Driver(self.q).start()

    def guest_plain(self):
        """A kernel without pzone comes by, and goes."""
        d = Driver(self.q).start(pzone=False, queues=1)
        d.mem(0, ADDR + self.rng.randrange(64) * BLOCK, self.rng.randrange(1, 8))
        self.guest_restart()
        self.d.mem(2)

    def host_reset(self):
        self.q.reset()
        self.guest_restart()

    def host_resize(self):
        self.host("pzone-resize", size=self.rng.randrange(50) * BLOCK)

    def host_create(self):
        align = self.rng.choice((1, 1, 2, 8)) * BLOCK
        self.host("pzone-create", size=self.rng.randrange(30 * BLOCK // align) * align, guarantee=0,
                  limit=64 * BLOCK, align=align)

    def host_destroy(self):
        self.host("pzone-destroy")

    def host_requested(self):
        try:
            self.q.qmp("qom-set", path="/machine/peripheral/p0", property="requested-size",
                       value=self.rng.randrange(8, 65) * BLOCK)
        except QmpError:
            pass

    def host(self, command, **args):
        try:
            self.q.qmp(command, pool="p0", name="c%d" % self.rng.randrange(4), **args)
        except QmpError:
            pass

    DEEDS = ((guest_plug, 8), (guest_unplug, 5), (guest_converge, 3), (guest_report, 2), (guest_event, 1),
             (guest_plain_requests, 1), (guest_restart, 0.3), (guest_plain, 0.3), (host_reset, 0.3),
             (host_resize, 6), (host_create, 4), (host_destroy, 2), (host_requested, 1))

    def step(self):
        deed = self.rng.choices([f for f, _ in self.DEEDS], [w for _, w in self.DEEDS])[0]
        reply = deed(self)
        name = deed.__name__ + ("" if reply is None else " " + ("ACK", "NACK", "BUSY", "ERROR")[reply])
        self.answers[name] = self.answers.get(name, 0) + 1
        return name


def walk(what, seed, steps, **more):
    """128 MiB in 64 blocks."""
    requested = 128 * MiB
    with Qemu(*pool_args(size=128 * MiB, requested=requested, addr=ADDR, **more)) as q:
        w = Walk(q, random.Random(seed))
        for i in range(steps):
            name = w.step()
            wrong = books(q, w.d)
            if wrong:
                ok(False, "%s: step %d, %s; PZ_SEED=%d" % (what, i, name, seed), *wrong)
                return
        ok(True, "%s: the books agree after each of %d steps" % (what, steps))
        print("# PZ_SEED=%d: %s" % (seed, ", ".join("%s %d" % a for a in sorted(w.answers.items()))))


seed = int(os.environ.get("PZ_SEED", "0")) or random.randrange(1, 1 << 31)
steps = int(os.environ.get("PZ_STEPS", "300"))
descriptors()
replays()
floods()
urgent()
skipped()
walk("a random walk", seed, steps)
walk("... with prealloc and dynamic-memslots", seed + 1, steps, prealloc="on", dynamic_memslots="on")
done()
