# SPDX-License-Identifier: GPL-2.0-or-later
"""tap: results of a test that is one program, as TAP. Of those with VMs: pzone_test.py."""
import os
import sys

_count = _failed = 0


def ok(good, what, *details):
    """One result; details are shown when it is bad."""
    global _count, _failed
    _count += 1
    print("%s %d - %s" % ("ok" if good else "not ok", _count, what), flush=True)
    if not good:
        _failed += 1
        # to stderr, where prove lets people see it
        for text in ("%s: failed %d - %s" % (os.path.basename(sys.argv[0]), _count, what), *details):
            print("# " + str(text).rstrip("\n").replace("\n", "\n# "), file=sys.stderr, flush=True)


def done():
    """Ends the program."""
    print("1..%d" % _count)
    sys.exit(1 if _failed else 0)
