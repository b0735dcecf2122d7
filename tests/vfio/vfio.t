#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
VFIO: a device that is assigned to a VM reaches what is plugged in its pools,
and nothing else.

This machine has no IOMMU to spare, so there are two VMs. The outer one has an
emulated Intel IOMMU, an emulated PCI device with DMA ("edu") and Debian's stock
kernel. In it runs our QEMU with that device assigned and a pool. First no CPU
runs in the inner VM, and we are the driver of its virtio-mem device and of edu
(the sockets of pzqemu.py go through virtio-serial ports of the outer VM); then
it is a Linux guest that follows by itself.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../device", HERE + "/../guest"]
import socket   # noqa: E402
from pzqemu import MiB, GiB, Driver, Qemu, done, like, ok, pool_args, same     # noqa: E402
from vm import BUILD, SLOW, VM  # noqa: E402

ADDR = 4 * GiB
EDU_SLOT = 5
OUTER_SLOT = "0000:00:1d.0"
PORTS = ("qmp", "qtest")


class Outer(VM):
    """The VM with the IOMMU."""

    def __init__(self):
        args = ["-device", "intel-iommu,aw-bits=48,intremap=off",
                "-device", "edu,addr=1d.0,dma_mask=%d" % (2 ** 64 - 1)]
        for port in PORTS:
            args += ["-chardev", "socket,id=%s,path=@DIR@/%s.port,server=on,wait=off" % (port, port),
                     "-device", "virtserialport,bus=vser.0,chardev=%s,name=%s" % (port, port)]
        super().__init__(mem="2G", cpus=2, kernel=BUILD + "/vfio/vmlinuz", boot_timeout=180, args=args,
                         cmdline="rdinit=/sbin/vfio-init intel_iommu=on iommu.strict=1")

    def command_line(self):
        os.environ["PZONE_INITRAMFS"] = BUILD + "/vfio/outer.cpio.gz"
        return [word.replace("@DIR@", self.dir) for word in super().command_line()]

    def assign(self):
        """Take edu from whatever has it and give it to vfio-pci."""
        # this IOMMU does not remap interrupts; there is nobody to be safe from
        self.sh("echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts; "
                "echo vfio-pci > /sys/bus/pci/devices/%s/driver_override; "
                "echo %s > /sys/bus/pci/drivers_probe; ls /dev/vfio/[0-9]*" % (OUTER_SLOT, OUTER_SLOT))

    def port(self, name):
        return self.sh("for p in /sys/class/virtio-ports/*; do [ $(cat $p/name) = %s ] && basename $p; done; true"
                       % name)

    def locked(self, pid):
        """Bytes that VFIO has pinned for a process."""
        text = self.sh("cat /proc/%d/status" % pid)
        return 1024 * int(re.search(r"^VmLck:\s+(\d+) kB", text, re.M).group(1))


class Inner(Qemu):
    """Our QEMU in the outer VM; what Qemu does by itself goes through there."""

    def __init__(self, outer, *args):
        self.outer = outer
        self.qmp_buf = self.qtest_buf = b""
        self.pending = []
        self.qmp_sock, self.qtest_sock = (self._connect(outer.path(p + ".port")) for p in PORTS)
        command = "exec qemu -nodefaults -no-user-config -display none -machine pc " \
                  "-chardev pipe,id=qmp,path=/dev/%s -mon chardev=qmp,mode=control " \
                  "-device vfio-pci,host=%s,bus=pci.0,addr=%d,id=edu %s 2>/inner.log" % (
                      outer.port("qmp"), OUTER_SLOT, EDU_SLOT, " ".join(args))
        self.job = outer.bg("echo pid $$; " + command, "pid ")
        self.pid = int(self.job.text().split()[1])
        self._qmp_read(120 * SLOW)
        self.qmp("qmp_capabilities")

    @staticmethod
    def _connect(path):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(path)
        return sock

    def stderr(self):
        return self.outer.sh("cat /inner.log")

    def close(self):
        self.qmp("quit")
        self.job.wait(60 * SLOW)
        self.qmp_sock.close()
        self.qtest_sock.close()

    def locked(self):
        return self.outer.locked(self.pid)


class Edu:
    """The assigned device, driven from inside the inner VM."""

    def __init__(self, q):
        self.q = q
        self.bar = 0xe8000000
        for reg, value in ((0x10, self.bar), (0x04, 0x6)):
            q.out(0xcf8, 0x80000000 | EDU_SLOT << 11 | reg)
            q.out(0xcfc, value)

    def _put(self, reg, value):
        self.q.write(self.bar + reg, value.to_bytes(8, "little"))

    def _dma(self, source, target, size, command):
        for reg, value in ((0x80, source), (0x88, target), (0x90, size), (0x98, command)):
            self._put(reg, value)
        while int.from_bytes(self.q.read(self.bar + 0x98, 8), "little") & 1:
            pass

    def fetch(self, addr, size):
        """From memory into the device."""
        self._dma(addr, 0x40000, size, 1)

    def store(self, addr, size):
        """From the device into memory."""
        self._dma(0x40000, addr, size, 3)

    def copy(self, source, target, size=64):
        self.fetch(source, size)
        self.store(target, size)


def addr_of(q, name, block=0):
    return q.klass("p0", name)["extents"][0]["addr"] + block * 2 * MiB


def pinned_is_plugged(q, base, what):
    plugged = q.pool("p0")["plugged"]
    return same(q.locked() - base, plugged, "pinned is what is plugged, %d MiB: %s" % (plugged // MiB, what))


def by_hand(outer):
    """No CPU runs in the inner VM: we are its drivers."""
    with Inner(outer, "-accel qtest -m size=64M,maxmem=8G,slots=4 -chardev pipe,id=qtest,path=/dev/%s "
               "-object qtest,id=qtest0,chardev=qtest,log=/dev/null" % outer.port("qtest"),
               *pool_args(addr=ADDR, size=GiB, requested=GiB)) as q:
        base = q.locked()
        ok(60 * MiB <= base < 80 * MiB, "to begin with the inner VM's own RAM is pinned, and nothing of the 1 GiB pool",
           "%d MiB" % (base // MiB))
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, limit=256 * MiB, guarantee=0)
        q.qmp("pzone-create", pool="p0", name="batch", size=32 * MiB, guarantee=0)
        same(q.locked(), base, "what is only promised is not pinned")
        d = Driver(q).start()
        d.converge()
        pinned_is_plugged(q, base, "two classes")

        edu = Edu(q)
        db, batch = addr_of(q, "db"), addr_of(q, "batch")
        q.write(db, b"from db" * 8)
        edu.copy(db, batch)
        same(q.read(batch, 56), b"from db" * 8, "the assigned device copies from class to class")

        q.qmp("pzone-resize", pool="p0", name="db", size=128 * MiB)
        d.converge()
        pinned_is_plugged(q, base, "db has grown")
        last = addr_of(q, "db", 63)
        edu.copy(db, last)
        same(q.read(last, 56), b"from db" * 8, "... and the device reaches what is new")

        q.qmp("pzone-resize", pool="p0", name="db", size=32 * MiB)
        d.converge()
        pinned_is_plugged(q, base, "db has shrunk")
        outer.sh("dmesg -c >/dev/null")
        edu.store(last, 64)
        like(outer.sh("dmesg"), ["DMAR", "fault addr 0x%x" % (last & ~0xfff)],
             "the IOMMU stops the device at what is not plugged any more")
        q.qmp("pzone-resize", pool="p0", name="db", size=128 * MiB)
        d.converge()
        pinned_is_plugged(q, base, "db has grown again")
        same(q.read(last, 56), bytes(56), "... and is empty there")
        edu.copy(db, last)
        same(q.read(last, 56), b"from db" * 8, "... device and processor see the same memory")

        q.qmp("pzone-destroy", pool="p0", name="batch")
        d.converge()
        pinned_is_plugged(q, base, "batch is gone")
        said = q.refused("migrate", uri="file:/state")
        like(said, ["VFIO"], "a VM with an assigned device is not migrated, and told why")
        q.reset()
        same((q.pool("p0")["plugged"], q.locked()), (0, base), "after a system reset nothing of the pool is pinned")


def by_linux(outer):
    """A guest that boots and follows by itself, in emulation inside emulation."""
    with Inner(outer, "-accel tcg -m size=256M,maxmem=8G,slots=4 -smp 1 -kernel /inner/bzImage -initrd /inner/initramfs "
               "-append 'console=ttyS0 panic=-1' -serial file:/inner.console",
               *pool_args(addr=ADDR, size=512 * MiB, requested=512 * MiB)) as q:
        base = q.locked()
        q.qmp("pzone-create", pool="p0", name="db", size=64 * MiB, limit=256 * MiB, guarantee=0)

        def settle(what, limit_s):
            def settled():
                c = q.klass("p0", "db")
                return c["state"] == "settled" and c["actual"] == c["size"]
            try:
                outer.wait(settled, "the inner guest settles", limit_s, 1)
            finally:
                print("# " + outer.sh("tail -n 3 /inner.console").replace("\n", "\n# "), flush=True)
            # it maps some of its own devices while it boots
            plugged = q.pool("p0")["plugged"]
            moved = q.locked() - base - plugged
            ok(abs(moved) < 4 * MiB, "with Linux: pinned is what is plugged, %d MiB: %s" % (plugged // MiB, what),
               "%d KiB more or less" % (moved // 1024))
        settle("it has booted", 1200)
        q.qmp("pzone-resize", pool="p0", name="db", size=192 * MiB)
        settle("db has grown", 300)
        q.qmp("pzone-resize", pool="p0", name="db", size=16 * MiB)
        settle("db has shrunk", 300)


with Outer() as outer:
    print("# the outer VM booted in %.0f s" % outer.boot_seconds, flush=True)
    outer.expected.append("DMAR|DRHD")
    outer.assign()
    by_hand(outer)
    by_linux(outer)
done()
