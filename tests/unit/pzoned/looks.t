#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzoned does what two looks at a domain ask for, and nothing that only one does.

With the fake device of tests/unit/virsh/fake-domain.c, whose answers change between the looks, as
they do when somebody changes XML and device meanwhile. With real ones: tests/e2e/05-pzoned.t.
"""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../virsh"))
from golden import NODE, BIN, device_class, device_pool, done, ok, run      # noqa: E402

OTHER = "pz1-" + 32 * "0"
work = tempfile.TemporaryDirectory(prefix="pzoned-looks-")
with open(NODE, encoding="utf-8") as f, open(work.name + "/node.xml", "w", encoding="utf-8") as one:
    # its first domain alone, to which all answers go
    one.write(f.read().partition("</domain>")[0] + "</domain></node>")


def pzoned(*looks):
    """[(command, class)] of what it does when the device answers so, look by look."""
    _, err, status, changes = run(["--once", "-c", "test://" + one.name, "--runtime-dir", "run"],
                                  program=os.path.join(BIN, "pzoned"),
                                  qmp=[[device_pool(look), device_pool([], ident="ua-slow")] for look in looks])
    ok(status == 0, "(pzoned --once succeeds)", err)
    return re.findall(r'"(pzone-\w+)".*"name": "(\w+)"', changes), dict(re.findall(r'"name": "(\w+)".*"cookie": "([^"]*)"', changes))


did, cookies = pzoned([])
ok(did == [("pzone-create", "db"), ("pzone-create", "batch")], "what the XML defines is created", did)
db = device_class("db", 512, guarantee=256, limit=768, cookie=cookies["db"])
batch = device_class("batch", 128, ident=2, cookie=cookies["batch"])
other_db = dict(db, cookie=OTHER)
gone = device_class("gone", 64, ident=3, cookie=OTHER)
for what, first, then, wanted in (
        ("as the XML says", [db, batch], [db, batch], []),
        ("a class that the XML does not define", [db, batch, gone], [db, batch, gone], [("pzone-destroy", "gone")]),
        ("... only in the first look", [db, batch, gone], [db, batch], []),
        ("a class that is not there", [db], [db], [("pzone-create", "batch")]),
        ("... only in the first look", [db], [db, batch], []),
        ("a class of another definition", [other_db, batch], [other_db, batch], [("pzone-set", "db")]),
        ("... only in the first look", [other_db, batch], [db, batch], []),
        ("one that stays so, and one that is there in the second look", [other_db], [other_db, batch], []),
        ("one that stays so, and one that is gone in the second look", [other_db, batch, gone], [other_db, batch], []),
        ("one that comes with the second look", [db, batch], [db, batch, gone], [])):
    did, _ = pzoned(first, then)
    ok(did == wanted, "%s: %s" % (what, " ".join(sum(wanted, ())) or "nothing is done"), did)
done()
