#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The policy for elastic classes on a simulated host: promises kept, the same each time."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../lib"))
from tap import done, ok        # noqa: E402

TOP = os.path.abspath(os.path.join(HERE, "../../.."))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
subprocess.run(["make", "-s", "-C", os.path.join(TOP, "tests/sim"), "BUILD=" + BUILD], check=True, env=env,
               stdout=sys.stderr)

def sim(*args):
    r = subprocess.run([os.path.join(BUILD, "bin-test/pzoned_sim"), *map(str, args)], capture_output=True,
                       text=True, timeout=120)
    return r.returncode, r.stdout, r.stderr


def figures(text):
    """The figures that do not depend on how fast this machine is."""
    return {k: v for k, v in json.loads(text).items() if "cpu" not in k}


for budget in (40, 20, 17, 1):
    args = ("--vms", 150, "--seconds", 400, "--budget-percent", budget)
    status, out, err = sim(*args)
    r = json.loads(out)
    ok(status == 0 and not any(v for k, v in r.items() if k.endswith("violations")),
       "no guarantee, limit, pool or budget is broken with a budget of %d %%" % budget, out, err)
    ok(figures(sim(*args)[1]) == figures(out), "... and the run is the same again")
    if budget == 40:
        ok(r["stalled-percent"] < 2, "with ample memory classes seldom wait", out)
        ok(r["saved-percent"] > 15, "... and it takes less than static sizing", out)
    if budget == 17:
        ok(r["jain-rounds"] > 100 and r["jain-mean"] > 0.9, "with too little, what there is is shared evenly", out)
ok(sim("--trace", "/nowhere")[0] == 2, "a trace that is not there is an error")
done()
