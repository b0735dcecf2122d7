#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the host is shown: lists of bounded length with the real counts, what the
guest says, trace events; and that a shrink costs as many requests and discards
as it has extents, not blocks.
"""
import re

from pzqemu import *

ADDR = 4 * GiB
BLOCK = 2 * MiB


def bounded():
    """A guest that cuts its memory into pieces can't make an answer of any length of it."""
    with Qemu(*pool_args(addr=ADDR), *pool_args("p1", size=256 * MiB, requested=0, slot=5)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=512 * MiB, guarantee=0)
        d = Driver(q).start()
        d.converge()
        _, first, nr = next(e for e in d.actual() if e[0])
        db = d.classes()["db"][0]
        d.change(UNPLUG, [(db, first + i, 1) for i in range(1, 201, 2)])
        c = q.klass("p0", "db")
        same((c["nr-extents"], len(c["extents"])), (101, 64), "64 extents of 101 are listed")
        same((c["nr-wanted-extents"], len(c["wanted-extents"])), (1, 1), "... and the one that is wanted")
        same([e["addr"] for e in c["extents"]], [ADDR + (first + 2 * i) * BLOCK for i in range(64)],
             "... the first ones, in order")
        for limit, listed in ((0, 0), (1, 1), (101, 101), (0xffffffff, 101)):
            p, = q.qmp("query-pzone", pool="p0", max_extents=limit)
            c = p["classes"][0]
            same((len(c["extents"]), c["nr-extents"]), (listed, 101), "max-extents=%d" % limit)
        same([p["id"] for p in q.qmp("query-pzone", pool="p1")], ["p1"], "one pool alone")
        like(q.refused("query-pzone", pool="nope"), ["'nope'", "'p0'", "'p1'"], "one that is not there")
        like(q.hmp("info pzone"), ["has 97 more extents"], "info pzone: four, and how many more")


def observed():
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0)
        d = Driver(q).start()
        d.converge()
        db = d.classes()["db"][0]
        same("report" in q.klass("p0", "db"), True, "the guest has reported")
        entry = REPORT_ENTRY.pack(db, PARTIAL, 3, 2, 0, 0, 0, 10 * MiB, 20 * MiB, 30 * MiB, 4 * MiB, 55, 66, 7, 8)
        d.pz(REPORT, [entry])
        r = q.klass("p0", "db")["report"]
        same((r["free"], r["used"], r["anon"], r["file"], r["stuck"], r["pinned"], r["cgroups"], r["refaults"],
              r["pressure-us"], r["oom"], r["oom-kill"]),
             (10 * MiB, 54 * MiB, 20 * MiB, 30 * MiB, 4 * MiB, 4 * MiB, 3, 55, 66, 7, 8), "what it says is shown")
        like(q.hmp("info pzone"), ["used 54 MiB", "anonymous 20 MiB", "file 30 MiB", "stuck 4 MiB", "pinned 4 MiB",
                                   "3 cgroups", "pressure 66 us", "refaults 55", "7 times", "8 killed"],
             "... to people, too")
        d.report({"id": db, "free": 1 << 63})
        same(q.klass("p0", "db")["report"]["used"], 0, "a guest that has more free than it has uses nothing")
        same(q.klass("p0", "db")["reclaim-seq"], 0, "no order to reclaim yet")
        q.qmp("pzone-reclaim", pool="p0", name="db", size=MiB)
        c = q.klass("p0", "db")
        ok(c["reclaim-seq"] != c["report"]["reclaim-done-seq"], "an order to reclaim is open")
        d.report({"id": db, "done_seq": c["reclaim-seq"], "reclaimed": MiB})
        c = q.klass("p0", "db")
        same((c["reclaim-seq"], c["report"]["reclaimed"]), (c["report"]["reclaim-done-seq"], MiB), "... and done")
        same(q.pool("p0")["busy"], False, "not busy")


def counted(tmp):
    """Grow and shrink by 1 GiB, that is by 512 blocks."""
    with Qemu("-trace", "enable=pzone_*", "-D", tmp + "/trace",
              *pool_args(addr=ADDR, size=4 * GiB, requested=2 * GiB)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0, limit=2 * GiB)
        d = Driver(q).start()
        d.converge()
        db = d.classes()["db"][0]
        trace = open(tmp + "/trace")

        def resize(size):
            """What the trace says of it: layouts, requests of this type, extents carried out."""
            trace.read()
            q.qmp("pzone-resize", pool="p0", name="db", size=size)
            d.converge()
            lines = trace.read().splitlines()
            return [[l for l in lines if re.search(what, l)]
                    for what in ("pzone_layout ", "pzone_request .* type=[34] ", "pzone_(un)?plug ")]

        layouts, requests, extents = resize(64 * MiB + GiB)
        same((len(layouts), len(requests), len(extents)), (1, 1, 1), "1 GiB more: one layout, one request, one extent")
        like(extents[0], ["pzone_plug ", "pool=p0", "class=%d" % db, "nr=512", "ret=0"],
             "... which a trace event describes")
        layouts, requests, extents = resize(64 * MiB)
        same((len(layouts), len(requests), len(extents)), (1, 1, 1), "1 GiB less: one layout, one request, one discard")
        like(extents[0], ["pzone_unplug ", "nr=512", "ret=0"], "... of all of it")
        d.pz(EVENT, [EVENT_ENTRY.pack(db, 1, 3, 0)])
        like(trace.read(), ["pzone_event pool=p0 class=%d kind=1 wanted=3" % db], "events are traced")
        d.report({"id": db, "state": 2, "stuck": 7, "pinned": 5 * MiB})
        like(trace.read(), ["pzone_report pool=p0 class=%d state=2 stuck=7 pinned=%d" % (db, 5 * MiB)],
             "... and reports")
        trace.close()


tmp = tempfile.mkdtemp(prefix="pzone-device-")
try:
    bounded()
    observed()
    counted(tmp)
finally:
    shutil.rmtree(tmp)
done()
