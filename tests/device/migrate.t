#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pools in the migration stream: what arrives, what is refused, and that pzone=off adds nothing to it."""
from pzqemu import *

ADDR = 4 * GiB
TWO_NODES = ("-object", "memory-backend-ram,id=n0,size=128M", "-object", "memory-backend-ram,id=n1,size=128M",
             "-numa", "node,memdev=n0", "-numa", "node,memdev=n1")


def wait_migration(q, wanted="completed"):
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        status = q.qmp("query-migrate").get("status")
        if status in ("completed", "failed", "cancelled"):
            return same(status, wanted, "migration is " + wanted)
        time.sleep(0.05)
    return ok(False, "migration is " + wanted, status)


def save(q, path):
    """To a file, at full speed; returns the stream."""
    q.qmp("migrate-set-parameters", max_bandwidth=1 << 40)
    q.qmp("migrate", uri="file:" + path)
    wait_migration(q)
    with open(path, "rb") as f:
        return f.read()


def essence(p):
    """A pool as far as it travels: the guest reports again by itself."""
    classes = [{k: v for k, v in c.items() if k != "report"} for c in p["classes"]]
    return dict(p, classes=classes)


def load(path, *args):
    q = Qemu("-incoming", "defer", *args)
    if not q.up:
        raise RuntimeError(q.stderr())
    q.path = path
    return q


def incoming(q):
    """Returns True when everything arrived."""
    q.qmp("migrate-incoming", uri="file:" + q.path)
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        try:
            status = q.qmp("query-migrate").get("status")
        except (EOFError, BrokenPipeError):
            return False
        if status == "completed":
            return True
        if status == "failed":
            return False
        time.sleep(0.05)
    return False


def round_trip(early, tmp):
    what = "early-migration=%s: " % early
    args = pool_args(addr=ADDR, **{"x_early_migration": early})
    path = tmp + "/stream-" + early
    with Qemu(*args) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=512 * MiB, guarantee=256 * MiB, limit=768 * MiB, cookie="c1")
        q.qmp("pzone-create", pool="p0", name="batch", size=128 * MiB, guarantee=0)
        d = Driver(q).start()
        d.converge()
        # half way through something
        q.qmp("pzone-destroy", pool="p0", name="batch")
        q.qmp("pzone-resize", pool="p0", name="db", size=600 * MiB)
        q.qmp("pzone-reclaim", pool="p0", name="db", size=MiB)
        before = q.pool("p0")
        stream = save(q, path)
        ok(b"virtio-mem-device/pzone" in stream, what + "the stream has a section of ours")
        like(q.refused("pzone-resize", pool="p0", name="db", size=300 * MiB), ["'p0'", "migrated"],
             what + "after it was sent, a change is refused")
        like(q.refused("qom-set", path="/machine/peripheral/p0", property="requested-size", value=2 * GiB),
             ["'p0'", "migrated"], what + "... also of requested-size")
        q.qmp("cont")
        q.qmp("pzone-resize", pool="p0", name="db", size=600 * MiB)
        ok(True, what + "... until the source goes on")
    with load(path, *args) as q:
        like(q.refused("pzone-create", pool="p0", name="x", size=2 * MiB), ["'p0'", "comes in"],
             what + "while it comes in, a change is refused")
        ok(incoming(q), what + "it arrives", q.stderr())
        same(essence(q.pool("p0")), essence(before), what + "pool and classes are as they were")
        # qtest has no CPU to run, but the machine's state is "running" or "paused" all the same
        q.qmp("cont")
        d2 = Driver(q)
        d2.rings = d.rings
        same(q.pool("p0")["guest"], "ready", what + "the driver is still there")
        same(d2.converge(), ACK, what + "and converges here")
        c = q.klass("p0", "db")
        same((c["state"], c["actual"], q.klass("p0", "batch")), ("settled", 600 * MiB, None), what + "settled")


def while_active(tmp):
    """A migration that takes its time, and is given up."""
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, limit=512 * MiB)
        d = Driver(q).start()
        d.converge()
        q.qmp("migrate-set-parameters", max_bandwidth=10000)  # a minute for all the zero pages
        q.qmp("migrate", uri="file:" + tmp + "/slow")
        while q.qmp("query-migrate").get("status") in (None, "setup"):
            time.sleep(0.01)
        q.qmp("pzone-resize", pool="p0", name="db", size=128 * MiB)
        db, first, nr = next(e for e in d.layout() if e[0] != 0)
        same(q.qmp("query-migrate")["status"], "active", "while a migration is active")
        same(d.change(PLUG, [(db, first + nr - 1, 1)])[0], BUSY, "... PLUG is answered BUSY")
        same(d.change(UNPLUG, [(db, first, 1)])[0] in (BUSY, ERROR), True, "... UNPLUG does not work")
        same(d.mem(2), 2, "... UNPLUG_ALL is answered BUSY")
        same((q.klass("p0", "db")["size"], q.klass("p0", "db")["actual"], q.klass("p0", "db")["state"]),
             (128 * MiB, 64 * MiB, "growing"), "... a wish is taken down")
        actual = d.actual()
        q.reset()
        d = Driver(q).start()
        same(d.actual(), actual, "... a reset can't unplug, and who owns what stays known")
        d.told_of_config()
        q.qmp("migrate_cancel")
        wait_migration(q, "cancelled")
        end = time.monotonic() + 5  # the device looks ten times a second; a guest's own patience is ten seconds
        told = False
        while not told and time.monotonic() < end:
            told = d.told_of_config()
            time.sleep(0.01)
        ok(told, "... when it is given up, the guest is told to try again")
        same(d.mem(2), 0, "... after it the driver's UNPLUG_ALL works")
        d.converge()
        same((q.klass("p0", "db")["actual"], q.klass("p0", "db")["state"]), (128 * MiB, "settled"),
             "... and the wish is fulfilled")


def follows(tmp, postcopy=False):
    """A resize in the middle of a live migration to another QEMU."""
    what = "postcopy: " if postcopy else "live: "
    uri = "unix:%s/live" % tmp
    args = pool_args(addr=ADDR)
    with Qemu(*args) as src, Qemu("-incoming", "defer", *args) as dst:
        try:
            for q in (src, dst):
                q.qmp("migrate-set-capabilities", capabilities=[
                    {"capability": "postcopy-ram", "state": postcopy}, {"capability": "events", "state": True}])
        except QmpError as e:
            ok(True, what + "# SKIP %s" % e)  # no userfaultfd for us
            return
        dst.qmp("migrate-incoming", uri=uri)
        src.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0, limit=512 * MiB)
        src.qmp("pzone-create", pool="p0", name="old", size=32 * MiB)
        d = Driver(src).start()
        d.converge()
        db = d.classes()["db"][0]
        addr = next(e["addr"] for e in src.klass("p0", "db")["extents"])
        src.write(addr, b"contents of a class")
        src.qmp("migrate-set-parameters", max_bandwidth=10000)
        src.qmp("migrate", uri=uri)
        while src.qmp("query-migrate").get("status") in (None, "setup"):
            time.sleep(0.01)
        src.qmp("pzone-resize", pool="p0", name="db", size=128 * MiB)
        src.qmp("pzone-destroy", pool="p0", name="old")
        src.qmp("pzone-create", pool="p0", name="new", size=32 * MiB)
        p = src.pool("p0")
        same((p["busy"], {c["name"]: c["state"] for c in p["classes"]}),
             (True, {"db": "growing", "old": "destroying", "new": "growing"}),
             what + "wishes during a migration are taken down, and the pool is busy")
        generation = d.generation()
        seen = d.layout()
        ok(sum(n for c, _, n in seen if c == db) == 64, what + "... the guest sees them", seen)
        same(d.change(PLUG, [e for e in seen if e[0] not in (0, db)])[0], BUSY, what + "... and has to wait")
        d.report()
        d.told_of_config()
        src.qmp("migrate-set-parameters", max_bandwidth=GiB)
        if postcopy:
            src.qmp("migrate-start-postcopy")
        wait_migration(src)
        same({"status": "postcopy-active"} in src.events("MIGRATION"), postcopy, what + "by this way")
        dst.events("RESUME", 5)
        same(dst.qmp("query-status")["status"], "running", what + "the VM goes on at the destination")
        like(src.refused("pzone-resize", pool="p0", name="db", size=64 * MiB), ["'p0'", "migrated"],
             what + "... and only there can its pool be changed")
        while dst.pool("p0")["busy"]:
            time.sleep(0.05)
        d2 = Driver(dst)
        d2.rings = d.rings
        same(d2.generation(), generation, what + "the wishes have come along")
        if not postcopy:    # there its own tries find out
            ok(d2.told_of_config(), what + "the guest is reminded of them")
        d2.converge()
        p = dst.pool("p0")
        same((p["busy"], {c["name"]: (c["state"], c["actual"]) for c in p["classes"]}),
             (False, {"db": ("settled", 128 * MiB), "new": ("settled", 32 * MiB)}), what + "... and are fulfilled")
        same(dst.read(addr, 19), b"contents of a class", what + "the class's contents are there")
        same(books(dst, d2), [], what + "the books agree")


def refused(what, parts, path, *args):
    with load(path, *args) as q:
        ok(not incoming(q), "not loaded: " + what)
        like(q.stderr(), parts, "... and the log says why")


tmp = tempfile.mkdtemp(prefix="pzone-device-")
try:
    round_trip("on", tmp)
    round_trip("off", tmp)

    on, off = tmp + "/on", tmp + "/off"
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=512 * MiB)
        Driver(q).start().converge()
        extents = [(e["addr"], e["size"]) for e in q.klass("p0", "db")["extents"]]
        requested = q.pool("p0")["requested"]
        save(q, on)
    with Qemu(*pool_args(addr=ADDR, pzone=None)) as q:
        stream = save(q, off)
        ok(b"virtio-mem-device" in stream and b"pzone" not in stream, "pzone=off: nothing of ours in the stream")
    with load(off, *pool_args(addr=ADDR, pzone="off")) as q:
        ok(incoming(q), "pzone=off: loads", q.stderr())
    refused("a stream with pzone=on into a device with pzone=off", ["'pzone'", "0x100000000"], on,
            *pool_args(addr=ADDR, pzone="off"))
    refused("a stream with pzone=off into a device with pzone=on", ["'p0'", "'pzone'"], off, *pool_args(addr=ADDR))
    refused("another size", ["0x80000000", "0x100000000"], on, *pool_args(addr=ADDR, size=4 * GiB))

    refused("another address", ["addr", "0x180000000", "0x100000000"], on, *pool_args(addr=6 * GiB))
    with Qemu(*pool_args(addr=ADDR), *TWO_NODES) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB)
        save(q, tmp + "/node")
    refused("another node", ["'node' changed from 0 to 1"], tmp + "/node", *pool_args(addr=ADDR, node=1), *TWO_NODES)

    # Streams that lie about virtio-mem's bitmap, which is 64 bits at a time, big-endian.
    plugged = set()
    for addr, size in extents:
        plugged.update(range((addr - ADDR) // (2 * MiB), (addr - ADDR + size) // (2 * MiB)))
    plugged.update(range(1024 - 16, 1024))  # the memory map

    def bitmap(blocks):
        words = [sum(1 << b % 64 for b in blocks if b // 64 == w) for w in range(16)]
        return struct.pack(">16Q", *words)

    with open(on, "rb") as f:
        stream = f.read()
    same(stream.count(bitmap(plugged)), 1, "the bitmap is in the stream as we think")
    free = next(b for b in range(1024) if b not in plugged)
    for what, blocks, parts in (
            ("a block of a class that is not plugged", plugged - {min(plugged)},
             ["'p0'", "block %d " % min(plugged), "not plugged"]),
            ("a block of the memory map that is not plugged", plugged - {1023}, ["block 1023 ", "not plugged"]),
            ("a plugged block of no class", plugged | {free}, ["block %d " % free, "no class"])):
        with open(tmp + "/lie", "wb") as f:
            f.write(stream.replace(bitmap(plugged), bitmap(blocks)))
        refused(what, parts, tmp + "/lie", *pool_args(addr=ADDR))

    # ... and about its sizes: "size" lies before the bitmap, the usable size before the requested one.
    size = struct.pack(">Q", len(plugged) * 2 * MiB)
    usable = struct.pack(">QQ", 2 * GiB, requested)
    for what, true, lie, parts in (
            ("less plugged than the bitmap says", size + bitmap(plugged), bytes(8) + bitmap(plugged),
             ["'p0'", "'size' is 0x0", "0x%x" % (len(plugged) * 2 * MiB)]),
            ("a usable size beyond the region", usable, struct.pack(">QQ", 1 << 40, requested),
             ["'p0'", "0x10000000000", "0x80000000"])):
        same(stream.count(true), 1, "this is in the stream as we think: " + what)
        with open(tmp + "/lie", "wb") as f:
            f.write(stream.replace(true, lie))
        refused(what, parts, tmp + "/lie", *pool_args(addr=ADDR))

    while_active(tmp)
    follows(tmp)
    follows(tmp, postcopy=True)

    # What a plain driver plugged is nobody's, and travels all the same.
    plain = tmp + "/plain"
    with Qemu(*pool_args(addr=ADDR)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB)
        d = Driver(q).start(pzone=False, queues=1)
        same(d.mem(0, ADDR, 8), 0, "a plain driver plugs")
        before = q.pool("p0")
        save(q, plain)
    with load(plain, *pool_args(addr=ADDR)) as q:
        ok(incoming(q), "... and arrives", q.stderr())
        q.qmp("cont")
        same(essence(q.pool("p0")), essence(before), "... as it was")
        d2 = Driver(q)
        d2.rings = d.rings
        same(d2.mem(1, ADDR, 8), 0, "... and can unplug here")
finally:
    shutil.rmtree(tmp)
done()
