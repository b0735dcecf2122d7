#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The host's memory behind a pool: what a class gives back is gone from the
backend, whatever kind that is; with prealloc=on it is there before the guest
is told; and what a host without memory does.
"""
import contextlib

from pzqemu import *

ADDR = 4 * GiB
BLOCK = 2 * MiB
POOL = 512 * MiB
MEMMAP = 8 * MiB
HUGEPAGES = "/proc/sys/vm/nr_hugepages"


def anonymous_bytes(q):
    """Anonymous memory in mappings of the pool's size."""
    total = 0
    with open("/proc/%d/smaps" % q.proc.pid) as f:
        for line in f:
            word, value = line.split()[:2]
            if word == "Size:":
                size = int(value) * 1024
            elif word == "Anonymous:" and size == POOL:
                total += int(value) * 1024
    return total


def file_bytes(q, name):
    """What is allocated of an open file whose path has this name in it."""
    fds = "/proc/%d/fd/" % q.proc.pid
    found = [os.stat(fds + fd).st_blocks * 512 for fd in os.listdir(fds) if name in os.readlink(fds + fd)]
    return sum(found)


# kind: (backend without id and size, bytes of host memory that QEMU has for guest memory)
def backends(tmp):
    return {
        "anonymous": ("memory-backend-ram", anonymous_bytes),
        "memfd, shared": ("memory-backend-memfd,share=on", lambda q: file_bytes(q, "memfd:memory-backend-memfd")),
        "memfd, private": ("memory-backend-memfd,share=off",
                           lambda q: anonymous_bytes(q) + file_bytes(q, "memfd:memory-backend-memfd")),
        "file, shared": ("memory-backend-file,share=on,mem-path=%s/file" % tmp, lambda q: file_bytes(q, tmp + "/file")),
        "hugetlb": ("memory-backend-memfd,share=on,hugetlb=on,hugetlbsize=2M",
                    lambda q: file_bytes(q, "memfd:memory-backend-memfd")),
    }


def args(backend, requested=POOL, **more):
    kind, *rest = backend.split(",")
    return pool_args(size=POOL, requested=requested, addr=ADDR, backend=",".join(
        [kind, "id=p0-mem", "size=%d" % POOL, "reserve=off", *rest]), **more)


@contextlib.contextmanager
def hugepages(nr):
    """So many free huge pages of 2 MiB; yields whether there are."""
    try:
        with open(HUGEPAGES) as f:
            before = f.read()
        with open(HUGEPAGES, "w") as f:
            f.write("%d" % (int(before) + nr))
        with open(HUGEPAGES) as f:
            got = int(f.read()) - int(before)
    except OSError as e:
        print("# no huge pages: %s" % e)
        yield False
        return
    try:
        yield got == nr
    finally:
        with open(HUGEPAGES, "w") as f:
            f.write(before)


def skip(name, why):
    ok(True, "%s # SKIP %s" % (name, why))


def place(q):
    """Where the class db is."""
    e, = q.klass("p0", "db")["extents"]
    return e["addr"], e["size"]


def given_back(what, backend, used, **more):
    with Qemu(*args(backend, **more)) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0)
        d = Driver(q).start()
        empty = used(q)
        d.converge()
        addr, size = place(q)
        if more.get("prealloc"):
            ok(used(q) - empty >= 64 * MiB, what + ": with prealloc memory is there before it is used", used(q) - empty)
        q.qtest("memset 0x%x 0x%x 0xaa" % (addr, size))
        full = used(q)
        ok(full - empty >= 64 * MiB, what + ": the class's memory is the host's", full - empty)
        q.qmp("pzone-resize", pool="p0", name="db", size=16 * MiB)
        d.converge()
        # (A private mapping of a file has two pages for each.)
        memmap = MEMMAP if "prealloc" in more else 0
        same((full - used(q)) / (full - empty - memmap), 0.75, what + ": what it gives back is gone")
        addr, size = place(q)
        same((size, set(q.read(addr + size - BLOCK, BLOCK))), (16 * MiB, {0xaa}), what + ": ... and the rest is what it was")
        q.qmp("pzone-resize", pool="p0", name="db", size=64 * MiB)
        d.converge()
        addr, size = place(q)
        same(size, 64 * MiB, what + ": it can have it again")
        q.qtest("memset 0x%x 0x%x 0xbb" % (addr, size))
        same(set(q.read(addr + size - BLOCK, BLOCK)), {0xbb}, what + ": ... and write to it")
        q.reset()
        same(used(q), empty, what + ": a system reset gives back everything")


def no_memory(what, backend, used, more_memory):
    """Memory for 16 MiB and the memory map, and no more until more_memory()."""
    with Qemu(*args(backend, prealloc="on")) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=8 * MiB, guarantee=0, limit=256 * MiB)
        d = Driver(q).start()
        d.converge()
        c = q.klass("p0", "db")
        same((c["actual"], c["state"], "last-error" in c), (8 * MiB, "settled", False), what + ": a class that fits")
        before = used(q)
        q.qmp("pzone-resize", pool="p0", name="db", size=72 * MiB)
        new = [(c, f, n) for c, f, n in d.layout() if c]
        have = sum(n for c, f, n in d.actual() if c)
        db, first, nr = new[0]
        same(d.change(PLUG, [(db, first + have, nr - have)]), (ACK, [NOMEM]), what + ": more than there is gets NOMEM")
        same(used(q), before, what + ": ... and nothing of it stays behind")
        c = q.klass("p0", "db")
        same((c["actual"], c["state"]), (8 * MiB, "partial"), what + ": ... the class keeps what it has")
        like(c.get("last-error", ""), ["'p0'", "'db'", "64 MiB", "no memory"], what + ": ... and says why")
        like(q.hmp("info pzone"), ["error: pool 'p0'", "64 MiB"], what + ": ... to people, too")
        events = q.events("PZONE_NOMEM", 2)
        same([(e["pool"], e["name"], e["size"], e["actual"], e["wanted"]) for e in events],
             [("p0", "db", 72 * MiB, 8 * MiB, 64 * MiB)], what + ": ... in an event, too")
        same(d.change(PLUG, [(db, first + have, 2), (db, first + have + 2, nr - have - 2)]), (ACK, [OK, NOMEM]),
             what + ": each extent as a whole or not at all")
        same(q.klass("p0", "db")["actual"], 12 * MiB, what + ": ... and what there is counts")
        start = time.monotonic()
        for _ in range(40):
            d.change(PLUG, [(db, first + have + 2, nr - have - 2)])
        events = q.events("PZONE_NOMEM", 2)
        ok(0 < len(events) <= 4 * (time.monotonic() - start) + 2, what + ": 40 tries make a few events", len(events))
        more_memory()
        same(d.converge(), ACK, what + ": when there is memory again")
        c = q.klass("p0", "db")
        same((c["actual"], c["state"], "last-error" in c), (72 * MiB, "settled", False), what + ": ... it gets it")


def in_pieces(backend, used):
    """A PLUG that takes its time, and what can come in between."""
    size = 400 * MiB
    what = "in pieces: "
    with Qemu(*args(backend + ",prealloc-threads=1", prealloc="on")) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=size, guarantee=0)
        d = Driver(q).start()
        db, first, nr = next(e for e in d.layout() if e[0])
        d.change(PLUG, [next(e for e in d.layout() if not e[0])])
        empty = used(q)

        def plug():
            data = REQ.pack(PLUG, 1, d.generation(), 0, 0) + EXTENT.pack(db, first, nr, 0)
            resp = d.add(1, data, 0x100)
            d.kick(1)
            return resp

        def answer(resp):
            return RESP.unpack_from(q.read(resp, d.wait(1)))[0]

        resp = plug()
        q.qmp("stop")
        same(q.klass("p0", "db")["actual"], 0, what + "the VM can be stopped before it is through")
        same(used(q), empty, what + "... and nothing stays behind")
        q.qmp("cont")
        same((answer(resp), q.klass("p0", "db")["actual"]), (ACK, size), what + "... and it starts again with the VM")
        d.change(UNPLUG, [(db, first, nr)])

        resp = plug()
        q.qmp("pzone-resize", pool="p0", name="db", size=size - BLOCK)
        same((answer(resp), q.klass("p0", "db")["actual"]), (NACK, 0), what + "a new layout makes it stale")
        same(used(q), empty, what + "... and nothing stays behind")
        nr -= 1

        plug()
        d.start()
        same(q.klass("p0", "db")["actual"], 0, what + "the driver can reset the device")
        same(used(q), empty, what + "... and nothing stays behind")

        plug()
        q.reset()
        same(used(q), 0, what + "a system reset")
        d = Driver(q).start()
        d.change(PLUG, [next(e for e in d.layout() if not e[0])])
        db, first, nr = next(e for e in d.layout() if e[0])

        resp = plug()
        q.qmp("migrate-set-parameters", max_bandwidth=10000)
        q.qmp("migrate", uri="file:" + q.tmp + "/stream")
        same((answer(resp), q.klass("p0", "db")["actual"]), (BUSY, 0), what + "a migration begins")
        same(used(q), empty, what + "... and nothing stays behind")
        q.qmp("migrate_cancel")
        while q.qmp("query-migrate")["status"] == "cancelling":
            time.sleep(0.05)

        start = time.monotonic()
        resp = plug()
        longest = n = 0
        while q.klass("p0", "db")["actual"] == 0:
            one = time.monotonic()
            q.qmp("query-status")
            longest = max(longest, time.monotonic() - one)
            n += 1
        same(answer(resp), ACK, what + "undisturbed")
        ok(n > 1, what + "QMP works meanwhile", n)
        print("# %d MiB in %.0f ms; %d QMP commands meanwhile, the slowest took %.0f ms" %
              (size >> 20, (time.monotonic() - start) * 1000, n, longest * 1000))


def memslots(backend, used):
    """Only memslots with something in them are mapped."""
    with Qemu(*args(backend, dynamic_memslots="on")) as q:
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, guarantee=0)
        d = Driver(q).start()
        same(q.hmp("info mtree -f").count("memslot"), 0, "dynamic-memslots: nothing is mapped of an empty pool")
        d.converge()
        ok(q.hmp("info mtree").count("memslot"), "dynamic-memslots: what is plugged is mapped")
        d.mem(2)
        same(q.hmp("info mtree -f").count("memslot"), 0, "dynamic-memslots: and no more when it is not")


@contextlib.contextmanager
def small_tmpfs(tmp, size):
    os.mkdir(tmp + "/small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "tmpfs", tmp + "/small"],
                      stderr=subprocess.DEVNULL).returncode:
        yield None
        return
    try:
        yield tmp + "/small"
    finally:
        subprocess.run(["umount", tmp + "/small"])


def main(tmp):
    kinds = backends(tmp)
    anonymous = kinds["anonymous"]
    for what, kind in kinds.items():
        if what == "hugetlb":
            continue
        given_back(what, *kind)
    given_back("anonymous, prealloc", *anonymous, prealloc="on")
    given_back("anonymous, dynamic-memslots", *anonymous, dynamic_memslots="on")
    given_back("file, prealloc", *kinds["file, shared"], prealloc="on")
    memslots(*anonymous)
    in_pieces(*anonymous)

    with hugepages(80) as there:
        if there:
            given_back("hugetlb", *kinds["hugetlb"])
            given_back("hugetlb, prealloc", *kinds["hugetlb"], prealloc="on")
        else:
            skip("hugetlb", "80 huge pages can't be had")
    with hugepages((MEMMAP + 16 * MiB) // (2 * MiB)) as there:
        if there:
            with contextlib.ExitStack() as stack:
                no_memory("hugetlb", *kinds["hugetlb"], lambda: stack.enter_context(hugepages(40)))
        else:
            skip("hugetlb: no memory", "12 huge pages can't be had")

    with small_tmpfs(tmp, MEMMAP + 16 * MiB) as path:
        if path:
            def more():
                subprocess.run(["mount", "-o", "remount,size=%d" % (128 * MiB), path], check=True)
            no_memory("a full tmpfs", "memory-backend-file,share=on,mem-path=%s/file" % path,
                      lambda q: file_bytes(q, path + "/file"), more)
        else:
            skip("a full tmpfs", "not allowed to mount one")


tmp = tempfile.mkdtemp(prefix="pzone-device-", dir="/dev/shm")
try:
    main(tmp)
finally:
    shutil.rmtree(tmp)
done()
