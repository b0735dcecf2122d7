#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh-pzone -c xl:/// against a fake pzone-xend (one JSON object a line over a unix socket).

With the real one, and a domain of Xen: tests/xen/01-pvh.t.
"""
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", os.path.join(HERE, "../../../build"))
M = 1 << 20
DEFS = "<pzones xmlns='urn:pzone:libvirt:domain:1.0'><class name='db' pool='ua'><size unit='MiB'>96</size></class></pzones>"
count = failed = 0


def ok(good, what, *details):
    global count, failed
    count += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what), flush=True)
    for d in details if not good else ():
        print("\n".join("# " + line for line in str(d).splitlines()), flush=True)


# hv/xen/command.c writes it; this much of it libpzone has to have
DB = {"id": 1, "name": "db", "size": 64 * M, "actual": 64 * M, "guarantee": 64 * M, "limit": 256 * M, "align": 2 * M,
      "cookie": "", "state": "settled", "relocating": False, "reclaim-seq": 0, "extents": [{"addr": 4096 * M, "size": 64 * M}],
      "nr-extents": 1, "wanted-extents": [{"addr": 4096 * M, "size": 64 * M}], "nr-wanted-extents": 1}
POOL = {"id": "ua", "addr": 4096 * M, "size": 512 * M, "block-size": 2 * M, "requested": 512 * M, "plugged": 72 * M,
        "memmap": 8 * M, "available": 440 * M, "generation": 3, "guest-generation": 3, "guest": "ready", "busy": False,
        "classes": [DB]}


class Fake(socketserver.StreamRequestHandler):
    asked = []
    trouble = None      # what it answers to all but query-domains

    def handle(self):
        for line in self.rfile:
            request = json.loads(line)
            Fake.asked.append(request)
            if request["execute"] == "query-domains":
                answer = {"return": [{"name": "demo", "uuid": "6c1a1c66-7f05-4e0a-9d6b-0a4c2f3f0001", "id": 5,
                                      "memory": 256 * M, "classes": DEFS}]}
            elif Fake.trouble is not None:
                self.wfile.write(Fake.trouble)
                return
            else:
                answer = {"return": [POOL] if request["execute"] == "query-pzone" else {}}
            # in two pieces, as a long answer comes
            text = json.dumps(answer).encode() + b"\n"
            self.wfile.write(text[:10])
            self.wfile.write(text[10:])


def virsh(*args):
    r = subprocess.run([os.path.join(BUILD, "bin/virsh-pzone"), "-c", "xl:///", *args], capture_output=True, text=True,
                       timeout=60, stdin=subprocess.DEVNULL, env=dict(os.environ, PZONE_XEN_SOCKET=path))
    return r.returncode, r.stdout, r.stderr


with tempfile.TemporaryDirectory() as work:
    path = os.path.join(work, "sock")
    status, out, err = virsh("pzone-list", "demo")
    ok(status == 1 and "can't reach pzone-xend on '%s'" % path in err and "does it run?" in err,
       "a pzone-xend that does not run is named", status, out, err)
    server = socketserver.ThreadingUnixStreamServer(path, Fake)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = {n for n in os.listdir("/tmp") if n.startswith("pzone-xl.")}
    status, out, err = virsh("pzone-list", "demo")
    ok(status == 0 and "64 MiB" in out and "settled" in out, "pzone-list shows what pzone-xend says", status, out, err)
    ok(Fake.asked[-1]["execute"] == "query-pzone" and Fake.asked[-1]["domain"] == "demo",
       "it was asked for the domain by name", Fake.asked)
    status, out, err = virsh("pzone-list", "demo", "--format", "json")
    classes = json.loads(out)["classes"] if status == 0 else []
    ok([(c["name"], c["actual"], c["start_size"], c["in_live_xml"]) for c in classes] == [("db", 64 * M, 96 * M, True)],
       "the definitions are those that pzone-xend has read", status, out, err)
    status, out, err = virsh("pzone-resize", "demo", "db", "128MiB")
    ok(status == 0 and {"execute": "pzone-resize", "domain": "demo", "arguments": {
        "pool": "ua", "name": "db", "size": 128 * M}} in Fake.asked, "pzone-resize is sent", status, out, err, Fake.asked)
    status, out, err = virsh("pzone-resize", "demo", "db", "128MiB", "--config")
    ok(status == 1 and "/etc/pzone/xen.d/demo.xml" in err, "a definition is not written: the file is named", status, err)
    status, out, err = virsh("pzone-list", "nosuch")
    ok(status == 1 and "nosuch" in err, "an unknown domain is refused", status, err)
    for trouble, words in ((b'{"error": {"class": "GenericError", "desc": "no, not now"}}\n', "no, not now"),
                           (b"garbage\n", "no JSON"), (b"", "gave no answer: Connection reset by peer")):
        Fake.trouble = trouble
        status, out, err = virsh("pzone-resize", "demo", "db", "128MiB")
        ok(status == 1 and words in err, "answered %r: an error that says so" % trouble[:20], status, out, err)
    ok({n for n in os.listdir("/tmp") if n.startswith("pzone-xl.")} == before, "no file is left in /tmp")
    server.shutdown()
    server.server_close()
path = "/tmp/" + 200 * "x"
status, out, err = virsh("pzone-list", "demo")
ok(status == 1 and "too long a path" in err, "a path that no socket can have is refused", err)
print("1..%d" % count)
sys.exit(1 if failed else 0)
