#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Live migration under TCG while the guest writes to a pool: no write may get
lost, wherever the pool is among QEMU's RAM blocks. What is tested is the patch
"migration/ram: under TCG, watch the pages whose dirty bits were taken".
"""
from pzqemu import *

ADDR = 4 * GiB
HERE = os.path.dirname(os.path.abspath(__file__))


def build_firmware(tmp):
    for cmd in (["as", "--32", "-o", tmp + "/count.o", HERE + "/count.S"],
                ["ld", "-m", "elf_i386", "-Ttext=0", "-e", "0", "-o", tmp + "/count.elf", tmp + "/count.o"],
                ["objcopy", "-O", "binary", tmp + "/count.elf", tmp + "/count.rom"]):
        subprocess.run(cmd, check=True)
    return tmp + "/count.rom"


def counters(q):
    """In the machine's RAM, in the pool."""
    return tuple(int.from_bytes(q.read(at, 4), "little") for at in (0x2000, ADDR))


def wait_for(what, q, condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if q.died():
            raise EOFError("QEMU has gone: " + q.stderr())
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


def rounds(q):
    """How often the migration looked for dirty pages; many when it ended before."""
    info = q.qmp("query-migrate")
    return 1000 if info["status"] == "completed" else info.get("ram", {}).get("dirty-sync-count", 0)


def migrate(what, tmp, rom, **pool):
    args = ["-bios", rom, "-S", *pool_args(addr=ADDR, **pool)]
    uri = "unix:" + tmp + "/migrate"
    with Qemu(*args, accel="tcg") as src, Qemu("-incoming", uri, *args, accel="tcg") as dst:
        src.qmp("pzone-create", pool="p0", name="db", size=64 * MiB)
        src.qmp("cont")
        Driver(src).start().converge()
        wait_for("the guest does not count", src, lambda: min(counters(src)) > 1000)
        try:
            # Slow, so that memory is looked through several times while the guest runs.
            src.qmp("migrate-set-parameters", max_bandwidth=MiB, downtime_limit=1)
            src.qmp("migrate", uri=uri)
            wait_for("the migration does not go on", src, lambda: rounds(src) > 5)
            src.qmp("migrate-set-parameters", max_bandwidth=GiB, downtime_limit=2000)
            wait_for("the migration does not end", src,
                     lambda: src.qmp("query-migrate").get("status") in ("completed", "failed"))
        except (EOFError, BrokenPipeError) as e:
            ok(False, what + ": QEMU survives it", e)
            return
        same(src.qmp("query-migrate")["status"], "completed", what + ": it completes")
        wait_for("the VM does not arrive", dst, lambda: dst.qmp("query-status")["status"] == "paused")
        ram, pool = counters(dst)
        ok(0 <= ram - pool <= 1, what + ": what the guest wrote last has arrived", "RAM %d, pool %d" % (ram, pool))
        dst.qmp("cont")
        wait_for("the guest does not go on", dst, lambda: counters(dst)[1] > pool + 1000)
        ok(True, what + ": and the guest goes on")


tmp = tempfile.mkdtemp(prefix="pzone-device-")
try:
    rom = build_firmware(tmp)
    migrate("a pool larger than the machine's RAM", tmp, rom)
    migrate("a smaller pool", tmp, rom, size=128 * MiB, requested=128 * MiB)
finally:
    shutil.rmtree(tmp)
done()
