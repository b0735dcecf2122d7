#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzoned's settings file and what it serves. With libvirt's test driver: no VM.

How elastic classes and budgets act on real domains: tests/e2e/50-elastic.t.
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../lib"))
from tap import done, ok        # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(HERE, "../../../build"))
PZONED = os.path.join(BUILD, "bin/pzoned")
work = tempfile.mkdtemp(prefix="pzoned-")

def write(name, text):
    path = os.path.join(work, name)
    with open(path, "w") as f:
        f.write(text)
    return path


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("pzoned", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(method, url, body=None, conn=None):
    conn = conn or UnixConnection(os.path.join(work, "run/pzoned.sock"))
    conn.request(method, url, body)
    r = conn.getresponse()
    return r.status, r.read().decode(), r.getheader("Content-Type")


def start(config, *more):
    log = open(os.path.join(work, "log"), "wb")
    proc = subprocess.Popen([PZONED, "-c", "test:///default", "--runtime-dir", os.path.join(work, "run"),
                             "--config", config, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for _ in range(100):
        if b"connected to libvirt" in open(os.path.join(work, "log"), "rb").read() or proc.poll() is not None:
            return proc
        time.sleep(0.1)
    return proc


def log_has(pattern):
    for _ in range(100):
        if re.search(pattern, open(os.path.join(work, "log")).read()):
            return True
        time.sleep(0.1)
    return False


# --- the settings file ---

WRONG = [
    ("[elastic]\nperiod=5\n", r"\[elastic\] has no key 'period'"),
    ("[elastic]\nperiod-ms=5\n", r"\[elastic\] period-ms=5: it must be a whole number from 100 to 60000"),
    ("[elastic]\nperiod-ms=1e3\n", r"period-ms=1e3: it must be"),
    ("[elastic]\nenabled=maybe\n", r"enabled=maybe: it must be true or false"),
    ("[Elastic]\nenabled=true\n", r"no group \[Elastic\]; there are \[daemon\], \[elastic\] and \[budget NAME\]"),
    ("[budget ]\nsize=1GiB\n", r"no group \[budget \]"),
    ("[budget a]\nnode=0\n", r"\[budget a\] has no size=; write for example size=64GiB"),
    ("[budget a]\nsize=lots\n", r"\[budget a\] size=lots: it must be a size such as 64GiB"),
    ("[budget a]\nsize=1GiB\nnode=-1\n", r"node=-1: it must be the number of a NUMA node"),
    ("[budget a]\nsize=1GiB\npage-size=0\n", r"page-size=0: it must be a page size"),
    ("[daemon]\nmetrics-address=0.0.0.0:9100\n", r"metrics-address=0.0.0.0:9100: it must be 127.0.0.1:PORT"),
    ("[daemon]\nmetrics-address=127.0.0.1:x\n", r"127.0.0.1:PORT or \[::1\]:PORT"),
    ("[daemon]\nsocket=pzoned.sock\n", r"socket=pzoned.sock: it must be an absolute path"),
    ("[daemon]\ncalls=2\n", r"calls=2: it must be a whole number from 4 to 1000"),
    ("size=1GiB\n", r"wrong.conf: "),
]


def test_settings():
    for text, pattern in WRONG:
        path = write("wrong.conf", text)
        r = subprocess.run([PZONED, "-c", "test:///default", "--runtime-dir", os.path.join(work, "run"),
                            "--config", path], capture_output=True, text=True, timeout=20)
        lines = r.stderr.splitlines()
        ok(r.returncode == 1 and len(lines) == 1 and path in lines[0] and re.search(pattern, lines[0]),
           "refused: %s" % text.replace("\n", " "), r.returncode, r.stderr)
    r = subprocess.run([PZONED, "--runtime-dir", os.path.join(work, "run"), "--config",
                        os.path.join(work, "absent.conf")], capture_output=True, text=True, timeout=20)
    ok(r.returncode == 1 and "absent.conf" in r.stderr, "a settings file that is named must be there", r.stderr)


# --- what it serves ---

DOMAIN = """<domain type='qemu'><name>x</name><uuid>%s</uuid>
<metadata><pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'>
<pzone:class name='db' pool='ua-fast'><pzone:size unit='MiB'>%d</pzone:size>
<pzone:guarantee unit='MiB'>%d</pzone:guarantee></pzone:class>
<pzone:class name='other' pool='ua-slow'><pzone:size unit='MiB'>512</pzone:size></pzone:class>
</pzone:pzones></metadata>
<devices>%s</devices>
<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<qemu:device alias='ua-fast'><qemu:frontend><qemu:property name='pzone' type='bool' value='true'/></qemu:frontend></qemu:device>
<qemu:device alias='ua-slow'><qemu:frontend><qemu:property name='pzone' type='bool' value='true'/></qemu:frontend></qemu:device>
</qemu:override></domain>"""
POOL = """<memory model='virtio-mem'><source>%s</source><target><size unit='GiB'>2</size><node>0</node>
<block unit='MiB'>2</block><requested unit='GiB'>2</requested></target><alias name='ua-%s'/></memory>"""
POOLS = POOL % ("<nodemask>0</nodemask>", "fast") + POOL % ("<pagesize unit='MiB'>2</pagesize>", "slow")
UUIDS = ["00000000-0000-0000-0000-%012d" % i for i in range(4)]


def admit(uuid, size, guarantee):
    status, text, _ = ask("POST", "/v1/admit", DOMAIN % (uuid, size, guarantee, POOLS))
    return json.loads(text) if status == 200 else (status, text)


def test_admission():
    # ua-slow is in "huge", ua-fast in "rest"; a memory map is 32 MiB
    ok(admit(UUIDS[0], 1500, 568) == {"admit": True}, "a domain that fits its budgets is admitted")
    ok(admit(UUIDS[0], 1500, 568) == {"admit": True}, "asked again for the same domain, it counts once")
    r = admit(UUIDS[1], 1500, 400)
    ok(r.get("admit") is False and
       re.search(r"class 'db' in pool 'ua-fast' needs 400 MiB, and budget 'rest' of this host has 368 MiB left of 1000 MiB",
                 r.get("error", "")), "one that does not is refused, with class, wanted and available", r)
    ok(admit(UUIDS[1], 1500, 368) == {"admit": True}, "what is left can be had")
    r = admit(UUIDS[2], 64, 2)
    ok(r.get("admit") is False and "memory map of pool 'ua-fast'" in r.get("error", ""), "then nothing is", r)
    r = ask("POST", "/v1/admit", "<domain")
    ok(r[0] == 200 and json.loads(r[1])["admit"] is True and "error" in json.loads(r[1]),
       "XML that can't be read is no reason to refuse a start", r)


def fits(uuid, guarantee, pool):
    """What /v1/fits says of a domain with one class in one pool."""
    xml = """<domain type='qemu'><name>y</name><uuid>%s</uuid>
<metadata><pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'><pzone:class name='db' pool='ua-fast'>
<pzone:size unit='MiB'>1024</pzone:size><pzone:guarantee unit='MiB'>%d</pzone:guarantee></pzone:class></pzone:pzones></metadata>
<devices>%s</devices><qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:device alias='ua-fast'><qemu:frontend>
<qemu:property name='pzone' type='bool' value='true'/></qemu:frontend></qemu:device></qemu:override></domain>""" % (uuid, guarantee, POOL % (pool, "fast"))
    status, text, _ = ask("POST", "/v1/fits", xml)
    r = json.loads(text)
    return re.sub(r".*(budget '[^']*').* (has .* left of [0-9A-Za-z ]*).*", r"\1 \2", r.get("error", "")) if status == 200 and not r["admit"] else r


def test_places():
    """Budgets of a NUMA node, of a page size, of both: a pool belongs to the first that it matches."""
    proc = start(write("places.conf", "[budget huge0]\nnode=0\npage-size=2MiB\nsize=100MiB\n"
                       "[budget node0]\nnode=0\nsize=200MiB\n[budget huge]\npage-size=2MiB\nsize=300MiB\n"
                       "[budget giant]\npage-size=1GiB\nsize=400MiB\n"))
    node, huge, giant = "<nodemask>%s</nodemask>", "<pagesize unit='MiB'>2</pagesize>", "<pagesize unit='GiB'>1</pagesize>"
    for source, budget, mib in ((huge + node % 0, "huge0", 100), (node % 0, "node0", 200), (giant + node % 0, "node0", 200),
                                (huge, "huge", 300), (huge + node % 1, "huge", 300), (huge + node % "0-1", "huge", 300),
                                (giant + node % 1, "giant", 400)):
        what = re.sub(r"<pagesize unit='(...)'>(\d)</pagesize>", r"pages of \2 \1 ", source)
        what = re.sub(r"<nodemask>(.*)</nodemask>", r"node \1", what)
        for _ in range(2):      # asked only: nothing is kept for it
            ok(fits(UUIDS[0], mib - 32, source) == {"admit": True}, "%s: fits budget '%s'" % (what, budget))
        r = fits(UUIDS[0], mib - 30, source)
        ok(r == "budget '%s' has %d MiB left of %d MiB" % (budget, mib - 32, mib), "... and no more than that", r)
    for source in ("", node % 1, "<pagesize unit='KiB'>4</pagesize>"):
        ok(fits(UUIDS[0], 1024, source) == {"admit": True}, "'%s' is in no budget" % source)
    proc.terminate()
    proc.wait(20)


def test_server(proc):
    status, text, kind = ask("GET", "/metrics")
    ok(status == 200 and kind.startswith("application/openmetrics-text"), "/metrics answers", status, kind)
    ok(text.endswith("# EOF\n") and "pzoned_budget_bytes{budget=\"rest\"} 1048576000" in text, "... with the budgets", text)
    families = re.findall(r"^# TYPE (\S+) ", text, re.M)
    ok(len(families) == len(set(families)) and len(families) > 20, "... and each family once", families)
    for line in text.splitlines():
        if not line.startswith("#") and not re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.]+', line):
            ok(False, "a line of /metrics is well formed", line)
    status, text, kind = ask("GET", "/v1/status")
    ok(status == 200 and kind == "application/json" and json.loads(text)["domains"] == [], "/v1/status answers", text)
    ok(ask("GET", "/v1/fits")[0] == 405 and ask("GET", "/v1/admit")[0] == 405 and ask("POST", "/metrics")[0] == 405 and ask("GET", "/x")[0] == 404,
       "the wrong method and the wrong path are refused")
    mode = os.stat(os.path.join(work, "run/pzoned.sock")).st_mode & 0o777
    ok(mode == 0o660, "the socket is for user and group", oct(mode))


def test_documents():
    """What is shipped beside the program says what the program does."""
    source = os.path.join(HERE, "../../../hv/pzoned")
    with open(os.path.join(source, "pzoned.conf.example")) as f:
        example = f.read()
    path = write("example.conf", re.sub(r"^#(?=[\[a-z])", "", example, flags=re.M))
    proc = start(path)
    text = ask("GET", "/metrics")[1]
    ok(proc.poll() is None and "pzoned_budget_bytes{budget=\"host\"} 68719476736" in text,
       "the example, with everything switched on, is understood")
    proc.terminate()
    proc.wait(20)
    known = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    known |= {name + "_total" for name in re.findall(r"^# TYPE (\S+) counter", text, re.M)}
    with open(os.path.join(source, "grafana-dashboard.json")) as f:
        exprs = [t["expr"] for p in json.load(f)["panels"] for t in p["targets"]]
    used = set(re.findall(r"\bpzone[a-z_]+", " ".join(exprs)))
    ok(used and used <= known, "the Grafana dashboard asks for metrics that there are", used - known)
    with open(os.path.join(source, "pzoned.conf.5")) as f:
        page = f.read().replace("\\-", "-")
    keys = re.findall(r"^#([a-z-]+)=", example, re.M)
    ok(len(keys) > 10 and all(k in page for k in keys), "its manual page has each key", [k for k in keys if k not in page])


def test_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    proc = start(write("port.conf", "[daemon]\nmetrics-address=127.0.0.1:%d\n" % port))
    status, text, _ = ask("GET", "/metrics", conn=http.client.HTTPConnection("127.0.0.1", port, timeout=10))
    ok(status == 200 and text.endswith("# EOF\n"), "metrics on a loopback port")
    status = ask("GET", "/v1/status", conn=http.client.HTTPConnection("127.0.0.1", port, timeout=10))[0]
    ok(status == 404, "... and nothing else there")
    proc.terminate()
    proc.wait(20)


def test_reload(proc, path):
    write("pzoned.conf", "[budget rest]\nsize=5GiB\n")
    proc.send_signal(signal.SIGHUP)
    log_has("SIGHUP: reading")
    for _ in range(50):
        if "pzoned_budget_bytes{budget=\"rest\"} 5368709120" in ask("GET", "/metrics")[1]:
            break
        time.sleep(0.1)
    else:
        ok(False, "SIGHUP reads the settings")
        return
    ok(True, "SIGHUP reads the settings")
    write("pzoned.conf", "[budget rest]\nsize=\n")
    proc.send_signal(signal.SIGHUP)
    ok(log_has(r"\[budget rest\] size=: it must be a size.*; the old settings stay in force"),
       "a mistake in them is named, and the old ones stay")
    ok("pzoned_budget_bytes{budget=\"rest\"} 5368709120" in ask("GET", "/metrics")[1], "... as /metrics shows")


try:
    test_settings()
    conf = write("pzoned.conf", "# two budgets\n[budget huge]\npage-size=2MiB\nsize=4GiB\n\n"
                 "[budget rest]\nsize=1000MiB\n[elastic]\nperiod-ms=200\n")
    daemon = start(conf)
    try:
        test_admission()
        test_server(daemon)
        test_reload(daemon, conf)
    finally:
        daemon.terminate()
        ok(daemon.wait(20) == 0, "SIGTERM ends it with 0")
    ok(not os.path.exists(os.path.join(work, "run/pzoned.sock")), "... and the socket is gone")
    test_port()
    test_places()
    test_documents()
finally:
    shutil.rmtree(work, ignore_errors=True)
done()
