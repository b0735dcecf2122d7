#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone-top against a fake pzoned (a status file over HTTP on a unix socket).

With the real one, and a VM: tests/e2e/50-elastic.t.
"""
import http.server
import json
import os
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../lib"))
from tap import done, ok        # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(HERE, "../../../build"))
M = 1 << 20

def cls(name, size, actual, free, limit, **more):
    return dict(name=name, size=size * M, actual=actual * M, free=free * M, limit=limit * M,
                guarantee=64 * M, **more)


class Fake(http.server.BaseHTTPRequestHandler):
    answers = 0

    def do_GET(self):
        Fake.answers += 1
        status = {"domains": [{"name": "a-domain-with-a-long-name", "uuid": "u", "pools": [{"name": "ua-fast", "classes": [
            cls("db", 512, 384, 128, 1024, **{"pressure-us": 100000 * Fake.answers, "last-resize": {
                "when-ms": int(time.time() * 1000) - 5000, "from": 384 * M, "to": 512 * M, "reason": "it reclaims hard"}}),
            cls("batch", 64, 64, 64, 64, **{"pressure-us": 0})]}]},
            {"name": "d\u00f6m\u00e4ne-m\u00fcnchen", "uuid": "v", "pools": [{"name": "ua-fast", "classes": [
                cls("a-name-as-long-as-it-may-be-abc", 12800, 12800, 12800, 99 * 1024, **{"pressure-us": 0, "last-resize": {
                    "when-ms": int(time.time() * 1000) - 75000, "from": 0, "to": 12800 * M, "reason": "x"}})]}]}],
            "budgets": [{"name": "host", "size": 1536 * M, "held": 600 * M, "guaranteed": 160 * M, "short": True}]}
        body = json.dumps(status).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_args):
        pass


def top(*args):
    r = subprocess.run([os.path.join(BUILD, "bin/virsh-pzone"), "pzone-top", *args], capture_output=True, text=True,
                       timeout=30, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


with tempfile.TemporaryDirectory() as work:
    path = os.path.join(work, "sock")
    server = socketserver.ThreadingUnixStreamServer(path, Fake)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    status, out, err = top("--socket", path, "--interval", "1")
    lines = out.rstrip("\n").splitlines()     # virsh ends with an empty line
    ok(status == 0 and len(lines) == 6, "in a pipe it prints one screen and ends", status, out, err)
    ok(all(len(line) <= 80 for line in lines), "... of at most 80 columns", out)
    ok("2 domains, 3 classes" in lines[0], "it counts domains and classes", lines[0])
    ok(lines[1] == "budget host: 600M of 1.5G held, 160M guaranteed, SHORT", "it shows the budgets", lines[1])
    m = re.match(r"a-domain-wit db +512M +256M +1.0G \[(#+)(=+)(-+)( +)\] +(\d+)% \+128M \ds$", lines[3])
    ok(m and abs(len(m[1]) - 2 * len(m[2])) <= 1 and abs(len(m[2]) - len(m[3])) <= 1 and abs(len(m[4]) - 2 * len(m[1])) <= 1,
       "a class: sizes, a bar to scale, and what was last done", lines[3])
    ok(m and 5 <= int(m[5]) <= 12, "... and the part of the time that its tasks waited: about 10 %", lines[3])
    ok(re.match(r"a-domain-wit batch +64M +0 +64M \[=+\] +0% -$", lines[4]), "one that nobody uses", lines[4])
    ok(re.match("d\u00f6m\u00e4ne-m\u00fcnch a-name-as-lo 12.5G +0 99.0G \\[=+ +\\] +0% \\+12.5G 7[5-9]s$", lines[5]),
       "names are cut by what is seen of them", lines[5])
    server.shutdown()
    server.server_close()
    ok(top("--socket", path)[0] == 1 and "nobody listens there; does it run?" in top("--socket", path)[2],
       "a dead socket is named", top("--socket", path))
status, out, err = top("--socket", "/nowhere/sock")
ok(status == 1 and err == "error: can't reach pzoned on '/nowhere/sock': there is no such socket; does it run?\n",
   "so is one that is not there", err)
status, out, err = top("--interval", "x")
ok(status == 1 and "interval" in err, "a wrong interval is refused", err)
done()
