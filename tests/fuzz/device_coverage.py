# SPDX-License-Identifier: GPL-2.0-or-later
"""Print, from "llvm-cov export -summary-only" on stdin, what was reached of the files that make a pool."""
import json
import os
import re
import sys

OURS = re.compile(r"/hw/virtio/(pzone-core/\w+|virtio-mem(-pzone(-\w+)?)?)\.c$")

for f in json.load(sys.stdin)["data"][0]["files"]:
    if OURS.search(f["filename"]):
        parts = ["%5d of %4d %s (%3.0f%%)" % (s["covered"], s["count"], what, s["percent"])
                 for what in ("functions", "lines") for s in [f["summary"][what]]]
        print("  %-22s%s" % (os.path.basename(f["filename"]), "".join(parts)))
