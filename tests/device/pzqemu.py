# SPDX-License-Identifier: GPL-2.0-or-later
"""
pzqemu: drive our QEMU without a guest kernel.

Qemu starts an emulator with "-accel qtest" (no CPU ever runs) and speaks QMP
and the qtest protocol with it. Driver is a virtio driver in Python, on the
other side of a real virtio-pci device: it says what a guest kernel could say,
and what a hostile one could. ok/same/like/done write TAP.
"""
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

MiB = 1 << 20
GiB = 1 << 30
TIMEOUT_S = 60

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EMULATOR = os.environ.get("PZONE_QEMU", TOP + "/build/qemu/bin/qemu-system-x86_64")

# --- TAP ---

_count = 0
_failed = 0


def ok(good, name, *diag):
    global _count, _failed
    _count += 1
    print("%s %d - %s" % ("ok" if good else "not ok", _count, name), flush=True)
    if not good:
        _failed += 1
        for line in diag:
            print("# " + str(line).replace("\n", "\n# "), flush=True)
    return good


def same(got, wanted, name):
    return ok(got == wanted, name, "got:    %r" % (got,), "wanted: %r" % (wanted,))


def like(text, parts, name):
    """All of the parts are in the text: what a person must be told."""
    missing = [p for p in parts if p not in text]
    return ok(not missing, name, "text:    %r" % text, "missing: %r" % missing)


def done():
    print("1..%d" % _count, flush=True)
    sys.exit(1 if _failed else 0)


def need_emulator():
    if not os.access(EMULATOR, os.X_OK):
        sys.exit("%s is missing; run hv/qemu/build or set PZONE_QEMU" % EMULATOR)


# --- the emulator ---

class QmpError(Exception):
    pass


class Qemu:
    """One emulator. machine_args come after the pieces that all tests share."""

    def __init__(self, *args, ram=256 * MiB, max_ram=16 * GiB, accel="qtest"):
        need_emulator()
        self.tmp = tempfile.mkdtemp(prefix="pzone-device-")
        self.errors = open(self.tmp + "/stderr", "w+")
        qmp, qmp_far = socket.socketpair()
        qtest, qtest_far = socket.socketpair()
        argv = [EMULATOR, "-nodefaults", "-no-user-config", "-display", "none",
                "-machine", "pc", "-accel", accel,
                "-m", "size=%dB,maxmem=%dB,slots=4" % (ram, max_ram),
                "-chardev", "socket,id=qmp,fd=%d" % qmp_far.fileno(),
                "-mon", "chardev=qmp,mode=control",
                "-chardev", "socket,id=qtest,fd=%d" % qtest_far.fileno(),
                "-object", "qtest,id=qtest0,chardev=qtest,log=/dev/null", *args]
        self.proc = subprocess.Popen(argv, stderr=self.errors, stdin=subprocess.DEVNULL,
                                     pass_fds=(qmp_far.fileno(), qtest_far.fileno()))
        qmp_far.close()
        qtest_far.close()
        self.qmp_sock, self.qtest_sock = qmp, qtest
        self.qmp_buf = self.qtest_buf = b""
        self.pending = []
        try:
            self._qmp_read()
            self.qmp("qmp_capabilities")
            self.up = True
        except (EOFError, BrokenPipeError):
            self.up = False  # refused its command line; see stderr()

    def stderr(self):
        self.errors.flush()
        with open(self.tmp + "/stderr") as f:
            return f.read()

    def died(self):
        """Whether the emulator is gone; it is given a moment to go."""
        try:
            self.proc.wait(0.2)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                self.proc.kill()
        self.proc.wait()
        self.qmp_sock.close()
        self.qtest_sock.close()
        self.errors.close()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # QMP

    def _qmp_read(self, timeout=TIMEOUT_S):
        while b"\n" not in self.qmp_buf:
            if not select.select([self.qmp_sock], [], [], timeout)[0]:
                raise TimeoutError("QMP says nothing for %s s; stderr: %s" % (timeout, self.stderr()))
            try:
                data = self.qmp_sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError("QMP is closed; stderr: " + self.stderr())
            self.qmp_buf += data
        line, self.qmp_buf = self.qmp_buf.split(b"\n", 1)
        return json.loads(line)

    def qmp(self, command, **args):
        """Run a command; "_" in argument names stands for "-"."""
        msg = {"execute": command}
        if args:
            msg["arguments"] = {k.replace("_", "-"): v for k, v in args.items()}
        self.qmp_sock.sendall(json.dumps(msg).encode() + b"\n")
        while True:
            reply = self._qmp_read()
            if "event" in reply:
                self.pending.append(reply)
            elif "error" in reply:
                raise QmpError(reply["error"]["desc"])
            else:
                return reply["return"]

    def refused(self, command, **args):
        """The error of a command that must fail; "" if it did not."""
        try:
            self.qmp(command, **args)
        except QmpError as e:
            return str(e)
        return ""

    def events(self, name, timeout=0.0):
        """Take the events of that name, waiting until there is one."""
        end = time.monotonic() + timeout
        while True:
            while b"\n" in self.qmp_buf or select.select([self.qmp_sock], [], [], 0)[0]:
                reply = self._qmp_read()
                if "event" in reply:
                    self.pending.append(reply)
            found = [e.get("data", {}) for e in self.pending if e["event"] == name]
            if found or time.monotonic() >= end:
                self.pending = [e for e in self.pending if e["event"] != name]
                return found
            time.sleep(0.01)

    def events_until(self, name, last, timeout=20.0):
        """Take the events of that name up to one for which last() is true."""
        end = time.monotonic() + timeout
        found = []
        while not (found and last(found[-1])) and time.monotonic() < end:
            found += self.events(name, 0.1)
        return found

    def pool(self, name):
        return next(p for p in self.qmp("query-pzone") if p["id"] == name)

    def klass(self, pool, name):
        return next((c for c in self.pool(pool)["classes"] if c["name"] == name), None)

    def reset(self):
        self.events("RESET")
        self.qmp("system_reset")
        assert self.events("RESET", TIMEOUT_S), "no RESET event"

    def hmp(self, line):
        return self.qmp("human-monitor-command", command_line=line)

    # qtest

    def qtest(self, line):
        self.qtest_sock.sendall(line.encode() + b"\n")
        while True:
            while b"\n" not in self.qtest_buf:
                if not select.select([self.qtest_sock], [], [], TIMEOUT_S)[0]:
                    raise TimeoutError("qtest does not answer %r" % line)
                data = self.qtest_sock.recv(1 << 20)
                if not data:
                    raise EOFError("qtest is closed; stderr: " + self.stderr())
                self.qtest_buf += data
            reply, self.qtest_buf = self.qtest_buf.split(b"\n", 1)
            words = reply.decode().split()
            if words and words[0] == "OK":
                return words[1] if len(words) > 1 else None
            if not words or words[0] != "IRQ":
                raise RuntimeError("qtest: %r -> %r" % (line, reply))

    def out(self, port, value, size="l"):
        self.qtest("out%s 0x%x 0x%x" % (size, port, value))

    def inl(self, port):
        return int(self.qtest("inl 0x%x" % port), 16)

    def write(self, addr, data):
        if data:
            self.qtest("write 0x%x 0x%x 0x%s" % (addr, len(data), data.hex()))

    def read(self, addr, size):
        return bytes.fromhex(self.qtest("read 0x%x 0x%x" % (addr, size))[2:])


def pool_args(name="p0", size=2 * GiB, requested=GiB, addr=None, pzone="on", backend=None, slot=4, **more):
    """Arguments for a backend and a virtio-mem device at PCI slot `slot`."""
    dev = ["virtio-mem-pci", "memdev=%s-mem" % name, "requested-size=%d" % requested,
           "bus=pci.0", "addr=%d" % slot]
    if name:
        dev.append("id=%s" % name)
    if pzone is not None:
        dev.append("pzone=%s" % pzone)
    if addr is not None:
        dev.append("memaddr=0x%x" % addr)
    dev += ["%s=%s" % (k.replace("_", "-"), v) for k, v in more.items()]
    return ["-object", backend or "memory-backend-ram,id=%s-mem,size=%d,reserve=off" % (name, size),
            "-device", ",".join(dev)]


def books(q, d, pool="p0"):
    """
    What is wrong with the books of a pool: query-pzone, STATE and virtio-mem's
    bitmap must agree, and no block may be two classes'. [] if all is well.
    """
    p, = q.qmp("query-pzone", pool=pool, max_extents=1 << 20)
    bs = p["block-size"]
    ids = {c["id"]: c for c in p["classes"]}
    actual = d.actual()
    wrong = []
    at = 0
    for c, first, nr in actual + [(None, p["size"] // bs, 0)]:
        if first < at:
            wrong.append("STATE: block %d is in two extents" % first)
        elif first > at and d.mem_state(p["addr"] + at * bs, first - at) != "unplugged":
            wrong.append("blocks %d+%d are nobody's and not unplugged" % (at, first - at))
        if nr and d.mem_state(p["addr"] + first * bs, nr) != "plugged":
            wrong.append("blocks %d+%d are of class %d and not plugged" % (first, nr, c))
        at = first + nr
    for c in p["classes"]:
        mine = [(e[1] * bs + p["addr"], e[2] * bs) for e in actual if e[0] == c["id"]]
        if mine != [(e["addr"], e["size"]) for e in c["extents"]]:
            wrong.append("STATE and query-pzone differ for class %s" % c["name"])
        if c["actual"] != sum(e[1] for e in mine):
            wrong.append("class %s has %d, its extents have %d" % (c["name"], c["actual"], sum(e[1] for e in mine)))
        if any((e["addr"] | e["size"]) % c["align"] for e in c["wanted-extents"]):
            wrong.append("class %s: wanted extents are not aligned to %d" % (c["name"], c["align"]))
        if len(mine) != c["nr-extents"]:
            wrong.append("class %s: nr-extents is %d" % (c["name"], c["nr-extents"]))
    plugged = sum(e[2] for e in actual) * bs
    if plugged != p["plugged"]:
        wrong.append("plugged is %d, the extents have %d" % (p["plugged"], plugged))
    if [c for c, _, _ in actual if c and c not in ids]:
        wrong.append("STATE has a class that is not there")
    owner = {b: c for c, f, n in actual for b in range(f, f + n)}
    for c, first, nr in d.layout():
        if any(owner.get(b, c) != c for b in range(first, first + nr)):
            wrong.append("blocks %d+%d are wanted by class %d and another has some" % (first, nr, c))
    return wrong


# --- a virtio-mem driver ---

F_UNPLUGGED_INACCESSIBLE = 1 << 1
F_PZONE = 1 << 20
F_VERSION_1 = 1 << 32

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 64

# of virtio_pzone.h
CLASSES, LAYOUT, STATE, PLUG, UNPLUG, REPORT, EVENT = range(7)
ACK, NACK, BUSY, ERROR = range(4)
OK, NOMEM, AGAIN = range(3)
SETTLED, CONVERGING, PARTIAL = range(3)
REQ, RESP = struct.Struct("<HHIII"), struct.Struct("<HHIII")
EXTENT, CLASS = struct.Struct("<IIII"), struct.Struct("<IIIIIIQ32s")
REPORT_ENTRY, EVENT_ENTRY = struct.Struct("<IIIIIIQQQQQQQQQ"), struct.Struct("<IIII")
PZONE_CONFIG_OFFSET = 56  # sizeof(struct virtio_mem_config)


class NoAnswer(Exception):
    pass


class Driver:
    """A driver for the virtio-mem device at a PCI slot of a Qemu."""

    QUEUE = 128  # descriptors: two for each of the SLOTS, the others for chain()
    SLOTS = 8
    MEMORY = 0x100000  # of the rings and buffers, in the guest's RAM

    def __init__(self, qemu, slot=4):
        self.q = qemu
        self.slot = slot
        self.bar = 0xe0000000 + slot * 0x100000
        self.caps = {}
        self._find()

    # PCI

    def _conf_read(self, reg):
        self.q.out(0xcf8, 0x80000000 | self.slot << 11 | reg)
        return self.q.inl(0xcfc)

    def _conf_write(self, reg, value):
        self.q.out(0xcf8, 0x80000000 | self.slot << 11 | reg)
        self.q.out(0xcfc, value)

    def _conf_bytes(self, reg, size):
        first = reg & ~3
        data = b"".join(struct.pack("<I", self._conf_read(r)) for r in range(first, reg + size, 4))
        return data[reg - first:reg - first + size]

    def _find(self):
        assert self._conf_read(0) & 0xffff == 0x1af4, "no virtio device in PCI slot %d" % self.slot
        at = self._conf_bytes(0x34, 1)[0]
        bar_index = None
        while at:
            cap, at_next, length, kind, bar = self._conf_bytes(at, 5)
            if cap == 0x09 and kind in (1, 2, 3, 4):
                offset, = struct.unpack("<I", self._conf_bytes(at + 8, 4))
                self.caps[kind] = self.bar + offset
                bar_index = bar
                if kind == 2:
                    self.notify_multiplier, = struct.unpack("<I", self._conf_bytes(at + 16, 4))
            at = at_next
        self._conf_write(0x10 + 4 * bar_index, self.bar)
        self._conf_write(0x14 + 4 * bar_index, 0)
        self._conf_write(0x04, 0x6)
        self.common, self.notify, self.isr, self.config = (self.caps[kind] for kind in (1, 2, 3, 4))

    def _put(self, offset, value, size):
        self.q.write(self.common + offset, value.to_bytes(size, "little"))

    def _get(self, offset, size):
        return int.from_bytes(self.q.read(self.common + offset, size), "little")

    # virtio

    @property
    def status(self):
        return self._get(20, 1)

    @status.setter
    def status(self, value):
        self._put(20, value, 1)

    def device_features(self):
        value = 0
        for i in range(2):
            self._put(0, i, 4)
            value |= self._get(4, 4) << 32 * i
        return value

    def num_queues(self):
        return self._get(18, 2)

    def config32(self, offset):
        return int.from_bytes(self.q.read(self.config + offset, 4), "little")

    def generation(self):
        return self.config32(PZONE_CONFIG_OFFSET)

    def told_of_config(self):
        """Whether there was a config interrupt since the last call."""
        return bool(self.q.read(self.isr, 1)[0] & 2)

    def reset(self):
        self.status = 0

    def negotiate(self, features):
        """Up to FEATURES_OK; returns whether the device agreed."""
        self.reset()
        self.status = ACKNOWLEDGE
        self.status = ACKNOWLEDGE | DRIVER
        for i in range(2):
            self._put(8, i, 4)
            self._put(12, features >> 32 * i & 0xffffffff, 4)
        self.status = ACKNOWLEDGE | DRIVER | FEATURES_OK
        return bool(self.status & FEATURES_OK)

    def start(self, pzone=True, queues=None):
        features = F_VERSION_1 | F_UNPLUGGED_INACCESSIBLE | (F_PZONE if pzone else 0)
        agreed = self.negotiate(features)
        assert agreed, "the device refuses features 0x%x" % features
        self.rings = {}
        for i in range(self.num_queues() if queues is None else queues):
            self._setup_queue(i)
        self.status = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
        return self

    def _setup_queue(self, i):
        base = self.MEMORY + (self.slot * 4 + i) * 0x200000
        ring = {"desc": base, "avail": base + 0x1000, "used": base + 0x2000, "next": 0, "seen": 0,
                "req": base + 0x10000, "resp": base + 0x100000}
        self.q.write(base, bytes(0x3000))
        self._put(22, i, 2)
        self._put(24, self.QUEUE, 2)
        ring["notify"] = self.notify + self._get(30, 2) * self.notify_multiplier
        self._put(32, ring["desc"], 8)
        self._put(40, ring["avail"], 8)
        self._put(48, ring["used"], 8)
        self._put(28, 1, 2)
        self.rings[i] = ring

    def kick(self, queue):
        self.q.write(self.rings[queue]["notify"], queue.to_bytes(2, "little"))

    def add(self, queue, data, room, req_len=None):
        """Put one chain into the ring without telling the device."""
        ring = self.rings[queue]
        slot = ring["next"] % self.SLOTS
        req, resp = ring["req"] + slot * 0x10000, ring["resp"] + slot * 0x10000
        self.q.write(req, data)
        self.q.write(resp, b"\xaa" * min(room, 0x8000))
        req_len = len(data) if req_len is None else req_len
        desc = []
        if req_len:
            desc.append([req, req_len, 0])
        if room:
            desc.append([resp, room, 2])
        table = b""
        for n, (addr, length, flags) in enumerate(desc):
            last = n == len(desc) - 1
            table += struct.pack("<QIHH", addr, length, flags | (0 if last else 1),
                                 0 if last else slot * 2 + n + 1)
        self.q.write(ring["desc"] + slot * 32, table)
        self._avail(ring, slot * 2)
        return resp

    def _avail(self, ring, head):
        self.q.write(ring["avail"] + 4 + 2 * (ring["next"] % self.QUEUE), struct.pack("<H", head))
        ring["next"] = (ring["next"] + 1) & 0xffff
        self.q.write(ring["avail"] + 2, struct.pack("<H", ring["next"]))

    def chain(self, queue, descs, indirect=False, head=None):
        """Kick with descriptors (address, length, flags[, next]) as they are; returns the bytes written."""
        ring = self.rings[queue]
        first = 0 if indirect else 2 * self.SLOTS
        table = b""
        for n, (addr, length, flags, *follows) in enumerate(descs):
            last = n == len(descs) - 1
            table += struct.pack("<QIHH", addr, length, flags | (0 if last and not follows else 1),
                                 follows[0] if follows else 0 if last else first + n + 1)
        if indirect:
            self.q.write(ring["resp"] + 0x80000, table)
            table = struct.pack("<QIHH", ring["resp"] + 0x80000, len(table), 4, 0)
        self.q.write(ring["desc"] + 2 * self.SLOTS * 16, table)
        self._avail(ring, 2 * self.SLOTS if head is None else head)
        self.kick(queue)
        return self.wait(queue)

    def wait(self, queue, timeout=TIMEOUT_S):
        """The number of bytes written to the chain that is used next."""
        ring = self.rings[queue]
        end = time.monotonic() + timeout
        while int.from_bytes(self.q.read(ring["used"] + 2, 2), "little") == ring["seen"]:
            if time.monotonic() > end or self.status & NEEDS_RESET:
                raise NoAnswer("queue %d, device status 0x%x" % (queue, self.status))
        at = ring["used"] + 4 + 8 * (ring["seen"] % self.QUEUE)
        ring["seen"] = (ring["seen"] + 1) & 0xffff
        return struct.unpack("<II", self.q.read(at, 8))[1]

    def raw(self, queue, data, room, req_len=None):
        """One request of any shape; returns what the device wrote."""
        resp = self.add(queue, data, room, req_len)
        self.kick(queue)
        return self.q.read(resp, self.wait(queue))

    # virtio-mem's own queue

    def mem(self, kind, gpa=0, nr=0):
        """PLUG 0, UNPLUG 1, UNPLUG_ALL 2, STATE 3; returns the response type."""
        return struct.unpack_from("<H", self.raw(0, struct.pack("<HHHHQHHHH", kind, 0, 0, 0, gpa, nr, 0, 0, 0),
                                                 10))[0]

    def mem_state(self, gpa, nr):
        """Of blocks, by virtio-mem's own book: "plugged", "unplugged" or "mixed"."""
        reply = self.raw(0, struct.pack("<HHHHQHHHH", 3, 0, 0, 0, gpa, nr, 0, 0, 0), 10)
        assert reply[:2] == b"\0\0", "STATE is answered %r" % reply
        return ("plugged", "unplugged", "mixed")[struct.unpack_from("<H", reply, 8)[0]]

    # queue 1

    def pz(self, kind, entries=(), generation=None, first=0, room=0x8000, nr=None):
        """One pzone request; returns (response type, generation, total, bytes after the header)."""
        data = b"".join(entries)
        gen = self.generation() if generation is None else generation
        reply = self.raw(1, REQ.pack(kind, len(entries) if nr is None else nr, gen, first, 0) + data, room)
        resp, n, gen, total, _ = RESP.unpack_from(reply)
        return resp, gen, total, reply[RESP.size:]

    def change(self, kind, extents, generation=None):
        """PLUG or UNPLUG (class, first, nr) extents; returns (response type, statuses)."""
        resp, _, _, body = self.pz(kind, [EXTENT.pack(*e, 0) for e in extents], generation)
        return resp, list(struct.unpack("<%dI" % (len(body) // 4), body))

    def _list(self, kind, unpack):
        ret = []
        while True:
            resp, _, total, body = self.pz(kind, first=len(ret))
            assert resp == ACK, "query %d is answered %d" % (kind, resp)
            ret += list(unpack.iter_unpack(body))
            if len(ret) >= total:
                return ret

    def layout(self):
        return [e[:3] for e in self._list(LAYOUT, EXTENT)]

    def actual(self):
        return [e[:3] for e in self._list(STATE, EXTENT)]

    def classes(self):
        return {c[7].rstrip(b"\0").decode(): c for c in self._list(CLASSES, CLASS)}

    def report(self, *reports, generation=None):
        """reports: dicts with id, state, stuck, free"""
        entries = [REPORT_ENTRY.pack(r["id"], r.get("state", SETTLED), r.get("cgroups", 0), r.get("stuck", 0),
                                     r.get("done_seq", 0), 0, r.get("reclaimed", 0), r.get("free", 0),
                                     0, 0, r.get("pinned", 0), 0, 0, 0, 0) for r in reports]
        return self.pz(REPORT, entries, generation)[0]

    def converge(self):
        """What a good guest does: unplug what is not wanted, plug what is, report. A new layout: once more."""
        for _ in range(50):
            if self._follow(self.generation()):
                reports = [{"id": c[0]} for c in self.classes().values() if c[0]]
                return self.report(*reports)
        raise NoAnswer("the layout does not come to rest")

    def _follow(self, generation):
        """False when that is not the current layout any more."""
        blocks = {}
        for c, first, nr in self.layout():
            blocks.update((b, c) for b in range(first, first + nr))
        have = {}
        for c, first, nr in self.actual():
            have.update((b, c) for b in range(first, first + nr))
        give = [(c, b, 1) for b, c in have.items() if blocks.get(b) != c]
        take = [(c, b, 1) for b, c in blocks.items() if have.get(b) != c]
        # the memory map comes first and goes last, in a request of its own
        for kind, todo in ((UNPLUG, [e for e in give if e[0]]), (UNPLUG, [e for e in give if not e[0]]),
                           (PLUG, [e for e in take if not e[0]]), (PLUG, [e for e in take if e[0]])):
            runs = []
            for c, b, n in sorted(todo, key=lambda e: e[1]):
                if runs and runs[-1][0] == c and runs[-1][1] + runs[-1][2] == b:
                    runs[-1][2] += 1
                else:
                    runs.append([c, b, n])
            for i in range(0, len(runs), 200):
                resp, _ = self.change(kind, runs[i:i + 200], generation)
                if resp == NACK:
                    return False
                assert resp == ACK, "change %d is answered %d" % (kind, resp)
        return True
