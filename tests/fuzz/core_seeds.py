#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""core_seeds.py DIR: inputs for core_fuzz to start from.

Each is a short life of a pool: the steps of core_fuzz.c, by their names.
"""
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "core_fuzz.c")) as f:
    body = re.search(r"enum step \{(.*?)\};", f.read(), re.S).group(1)
steps = {name: n for n, name in enumerate(re.findall(r"STEP_(\w+)", body))}


def step(name, *args):
    out = bytes([steps[name.upper()]])
    for arg in args:
        out += arg if isinstance(arg, bytes) else bytes([arg])
    return out


def le(value, size):
    return value.to_bytes(size, "little")


def raw(kind, nr, entries=b"", generation=1, room=255):
    request = le(kind, 2) + le(nr, 2) + le(generation, 4) + bytes(8) + entries
    return step("raw", len(request), room, request)


PLUG, UNPLUG = 8, 0     # of STEP_CHANGE's flags
take = step("converge", 0)
two = step("create", 0, 40, 0, 0, 80, 5) + step("create", 1, 30, 0, 10, 30, 0)
split = (step("create", 1, 20, 0, 0, 20, 0) + step("create", 2, 30, 0, 0, 30, 0) +
         step("create", 3, 4, 0, 0, 4, 0) + take + step("set", 1, 50, 0, 50, 0) + take +
         step("destroy", 2) + step("requested", 62) + take)
seeds = {
    "life": two + take + step("resize", 0, 10) + take + step("destroy", 1) + take,
    "elastic": two + take + step("resize", 0, 10) + step("converge", 0x55) +
    step("resize", 0, 45) + take + step("set", 1, 20, 5, 60, 9) + take,
    "short": step("create", 0, 100, 0, 0, 126, 0) + take + step("resize", 0, 10) +
    step("create", 1, 90, 0, 0, 126, 0) + step("converge", 0x33) + step("converge", 0x0f) + take,
    "pieces": step("create", 0, 126, 0, 0, 126, 0) + take +
    b"".join(step("change", 1 | UNPLUG, 1, i, 1) for i in range(1, 120, 3)) +
    step("resize", 0, 20) + step("resize", 0, 90) + step("create", 1, 30, 0, 0, 60, 0) + take,
    "requested": two + take + step("requested", 72) + step("resize", 1, 10) +
    step("requested", 60) + take + step("destroy", 0) + step("destroy", 1) + take +
    step("requested", 0) + take + step("requested", 128) + take,
    # class 1 grows behind class 2, which goes; then it is brought together in steps
    "relocation": split + take * 12,
    # the guest does not follow: before the new blocks are plugged, before the old are given back
    "gives-up": split + take + step("report", 0) * 7 + take * 2 + step("resize", 1, 49) +
    take * 2 + step("report", 0) * 7 + take * 4,
    "refused": step("create", 1, 20, 0, 0, 20, 0) + step("create", 2, 20, 0, 0, 20, 0) + take +
    step("set", 1, 60, 0, 60, 0) + take + step("destroy", 2) + take * 2 + step("converge", 0xee) * 12 +
    step("relocation", 0) + take * 2 + step("relocation", 1) + take * 3,
    "aligned": step("create", 1, 5, 0, 0, 5, 0) + step("create", 2, 32, 4, 0, 64, 0) + take +
    step("resize", 2, 64) + step("create", 3, 48, 4, 0, 48, 0) + take + step("resize", 2, 16) +
    step("change", 2, 2, 34, 9, 2, 45, 3) + step("resize", 2, 32) + take * 2,
    "changes": two + step("change", 1 | PLUG, 0, 126, 2) + step("change", 2 | PLUG, 1, 0, 20, 2, 80, 5) +
    step("change", 1 | UNPLUG, 1, 0, 20) + step("change", 1 | PLUG | 0x10, 0xf0, 1, 0, 1) +
    step("change", 7 | PLUG) + step("change", 1 | PLUG | 0x40, 1, 0, 1),
    "moods": two + step("mood", 0, 0x5a) + take + take + step("mood", 1, 0) + take +
    step("mood", 0, 0) + take + step("reset") + take,
    "migrate": two + take + step("resize", 0, 10) + step("migrate", 50) + take +
    step("migrate_broken", 2, 60, 0, 1, 200, 1, 8, 7) + take,
    "reports": two + take + step("report", 2, 1, 0, 9, 2, 2, 0) + step("report", 1, 1, 9, 0) +
    step("event", 2, 1, 0, 5, 2, 1, 7) + step("reclaim", 0, 77) + step("query", 0, 0, 60) +
    step("query", 1, 1, 30) + step("query", 2, 0, 8) + step("query", 0, 0, 7),
    "raw": raw(0, 0) + raw(1, 0) + raw(2, 0) + raw(3, 1, le(0, 4) + le(126, 4) + le(2, 4) + bytes(4)) +
    raw(6, 1, le(1, 4) + bytes(12)) + raw(5, 1, bytes(96)) + raw(7, 0) + raw(3, 2, bytes(16)) +
    raw(0, 0, room=3),
    "load": step("load", le(0x314e5a50, 4), le(2, 4), le(128, 4), le(128, 4), le(2 << 20, 8),
                 le(7, 4), le(0, 4), le(9, 4), le(0, 4), le(1, 4), le(0, 4), bytes(32),
                 le(0, 4), le(126, 4), le(2, 4)),
    # found once: a layout with its most extents was not planned again when it had fewer
    "most-extents": bytes.fromhex(
        "06007e00007e0003000101010101010101040101010107010101010a010101014b0101010110010101011301010101160101"
        "01013d0101010140010101014301010101460101490101010101014f01010101520101010155010101016101010101640101"
        "010167010101016a010101016d0101010170010101017301010101760108001408005a06011e00003c000101017601080014"
        "08005a0101015e01ffff0000"),
    # found once: a stream with a relocation, while another class lacked blocks, was taken
    "relocating-and-lacking": bytes.fromhex(
        "0601140000140006021e00001e0026036d650004001408010000010007061010101010100601140000140006031e00001e00"
        "06030400000400030007013200321800030001020b3e030803000400040601140010061010601003040000140006021e0000"
        "1e000660040000043e03000300040004000400040004000400040003000300080131030003040004000400040000"),
    "names": step("create", 0xf1, b"abc", 5, 0, 0, 5, 0) + step("create", 0xf2, b"a.b-_9", 5, 0, 0, 5, 70) +
    step("create", 0xff, b"x" * 45, 5, 0, 0, 5, 0) + step("create", 0xf0, 5, 0, 5, 0),
}

os.makedirs(sys.argv[1])
for name, data in seeds.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
