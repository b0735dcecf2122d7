#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""device_seeds.py DIR: inputs for the fuzz target virtio-mem-pzone to start from.

Each takes the pool to a place that takes several right steps; they are steps of
virtio_mem_pzone_fuzz.c, by their names. It starts with two classes, "a" and "b".
"""
import os
import re
import sys

SOURCE = "hv/qemu/files/tests/qtest/fuzz/virtio_mem_pzone_fuzz.c"
top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(os.path.join(top, SOURCE)) as f:
    body = re.search(r"steps\[\]\)\(.*?\) = \{(.*?)\};", f.read(), re.S).group(1)
steps = {name: n for n, name in enumerate(re.findall(r"step_(\w+),", body))}

A, B, C = range(3)
PLAIN, PZONE = range(2)
MEM_PLUG, MEM_UNPLUG, MEM_UNPLUG_ALL, MEM_STATE = range(4)
CLASSES, LAYOUT, STATE, PLUG, UNPLUG, REPORT, EVENT = range(7)


def step(name, *args):
    return bytes([steps[name], *args])


converge, query = step("converge", 0), step("query")
seeds = {
    "settled": converge + query,
    "grow-and-shrink": converge + step("resize", A, 40) + converge + step("resize", A, 3) + converge + query,
    "memory-moves": converge + step("resize", A, 0) + step("resize", B, 60) + converge + converge + query,
    "destroy-and-create": converge + step("destroy", A) + step("create", C, 0, 20) + converge + converge + query,
    "aligned": converge + step("create", C, 7, 16, 0, 32, 3) + converge + step("resize", A, 0) + converge +
               step("resize", C, 32) + converge + query,
    "half-way": converge + step("resize", A, 2) + step("create", C, 0, 60) + step("converge", 0xff) + query +
                step("driver", PZONE) + converge,
    "reclaim-and-report": converge + step("reclaim", A, 4) + step("request", REPORT, 0, 2, 7, 0, 1, 9, 1, 2) + query,
    "event": converge + step("request", EVENT, 0, 1, 0, 1, 3) + query,
    "plain-driver-left-blocks": step("driver", PLAIN) + step("mem_request", MEM_PLUG, 16, 47) +
                                step("mem_request", MEM_PLUG, 79, 21) + step("driver", PZONE) + converge +
                                step("mem_request", MEM_UNPLUG_ALL, 0, 0) + converge,
    "requested-goes-down": converge + step("resize", A, 1) + step("requested", 20) + step("converge", 2) + query +
                           step("requested", 90),
    # c lies around b, and comes together when b goes; then with a guest that does not follow
    "relocation": converge + step("create", C, 0, 62) + converge + converge + step("destroy", B) + converge * 8 + query,
    "relocation-given-up": converge + step("create", C, 0, 62) + converge + converge + step("destroy", B) + converge +
                           step("converge", 0xff) * 8 + query,
    "relocation-ends-early": converge + step("create", C, 0, 62) + converge + converge + step("destroy", B) + converge +
                             step("resize", C, 50) + converge + query + step("system_reset", 0) + converge,
    "stopped": step("stop_or_go_on") + converge + step("resize", A, 30) + step("stop_or_go_on") + converge,
    "reset": converge + step("resize", B, 4) + step("system_reset", 0) + converge + step("system_reset", 1) +
             step("mem_request", MEM_STATE, 0, 1),
    "many-entries": converge + step("long_request", UNPLUG, 255, 0, 0) + step("long_request", PLUG, 44, 1, 0),
}
for name, data in seeds.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
