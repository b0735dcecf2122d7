#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""libpzone's ABI is what data/abi says: functions, and where the members of the structs are.

What is written there stays as it is; what is new goes behind it (UPDATE=1 writes
the file anew: then read the difference, in which no line may go or change).
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from tap import done, ok        # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
HEADER = os.path.join(TOP, "libvirt-plugin/lib/libpzone.h")
RECORD = os.path.join(HERE, "data/abi")


def members():
    """(struct, member) of all that the header lays open, and its enumerators."""
    with open(HEADER, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    for struct, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.S | re.M):
        for declaration in body.split(";"):
            for name in declaration.split(","):
                found = re.search(r"(\w+)\s*(?:\[.*\])?\s*$", name)
                if found:
                    yield struct, found.group(1)
    for body in re.findall(r"^enum \w+ \{\n(.*?)^\};", text, re.S | re.M):
        for name in re.findall(r"^\s*(\w+)", body, re.M):
            if not name.endswith("_LAST"):      # it moves when another one comes
                yield None, name


def layout():
    """The lines that the compiler makes of it."""
    lines = ['printf("%s %%d\\n", %s);' % (m, m) if not s else
             'printf("struct %s.%s at %%zu, %%zu bytes\\n", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));' % (s, m, s, m, s, m)
             for s, m in members()]
    program = '#include <stdio.h>\n#include "libpzone.h"\nint main(void) {\n%s\nreturn 0; }\n' % "\n".join(lines)
    flags = subprocess.run(["pkg-config", "--cflags", "libvirt"], check=True, capture_output=True, text=True).stdout.split()
    with tempfile.TemporaryDirectory() as work:
        with open(work + "/a.c", "w", encoding="utf-8") as f:
            f.write(program)
        subprocess.run(["gcc", "-I", os.path.dirname(HEADER), *flags, "-o", work + "/a", work + "/a.c"], check=True)
        return subprocess.run([work + "/a"], check=True, capture_output=True, text=True).stdout.splitlines()


def functions():
    out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "lib/libpzone.so")], check=True,
                         capture_output=True, text=True).stdout
    return sorted("function " + name for name in re.findall(r" T (\S+)", out))


now = functions() + layout()
if os.environ.get("UPDATE"):
    with open(RECORD, "w", encoding="utf-8") as f:
        f.write("\n".join(now) + "\n")
with open(RECORD, encoding="utf-8") as f:
    recorded = f.read().splitlines()
lost = [line for line in recorded if line not in now]
ok(not lost, "nothing that programs may use has gone or moved", *lost)
new = [line for line in now if line not in recorded]
ok(not new, "... and data/abi has all that there is", *new)
ok(all("@@LIBPZONE_0" in line for line in now if line.startswith("function")), "each function has its version",
   [line for line in now if line.startswith("function") and "@@LIBPZONE_0" not in line])
ok(len(now) > 200, "(there is something to compare: %d lines)" % len(now))
done()
