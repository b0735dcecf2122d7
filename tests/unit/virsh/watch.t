#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh-pzone: reclaim, stats, map and event, of a (faked) device."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

FAST = 0x100000000


def db(**kw):
    """Class db as in node.xml."""
    for key, value in (("guarantee", 256), ("limit", 768), ("addr", FAST)):
        kw.setdefault(key, value)
    return device_class("db", kw.pop("size", 512), **kw)


def batch(**kw):
    """Class batch as in node.xml."""
    kw.setdefault("addr", FAST + 512 * MIB)
    return device_class("batch", 128, ident=2, **kw)


def fast(*classes, **kw):
    """What query-pzone says with these classes in ua-fast."""
    return [device_pool(list(classes), **kw)]


# ---- reclaim ----
RECLAIM = ["pzone-reclaim", "demo", "db", "64MiB"]
IDLE = fast(db(reclaim_seq=0, free=10), batch())
ASKED = fast(db(reclaim_seq=3, free=10, reclaim_done_seq=2), batch())


def done_with(mib):
    """Order 3 is carried out and got so much."""
    return fast(db(reclaim_seq=3, free=10, reclaim_done_seq=3, reclaimed=mib), batch())


golden("reclaim", RECLAIM, changed=True, qmp=[IDLE])
golden("reclaim-quiet", ["-q"] + RECLAIM, changed=True, qmp=[IDLE])
golden("reclaim-wait", RECLAIM + ["--wait"], changed=True, qmp=[IDLE, ASKED, ASKED, done_with(64)])
golden("reclaim-more", RECLAIM + ["--wait"], changed=True, qmp=[IDLE, ASKED, done_with(70)])
golden("reclaim-part", RECLAIM + ["--wait"], status=3, changed=True,
       qmp=[IDLE, ASKED, ASKED, done_with(12)])
golden("reclaim-nothing", RECLAIM + ["--wait"], status=3, changed=True,
       qmp=[IDLE, ASKED, done_with(0)])
golden("reclaim-timeout", RECLAIM + ["--timeout", "1"], status=1, changed=True, qmp=[IDLE, ASKED])
golden("reclaim-verbose", RECLAIM + ["--wait", "--verbose"], changed=True,
       qmp=[IDLE, ASKED, ASKED, done_with(64)])
golden("reclaim-old-qemu", RECLAIM + ["--wait"], status=1, changed=True,
       qmp=[fast(db(free=1), batch())])
golden("reclaim-class-gone", RECLAIM + ["--wait"], status=1, changed=True,
       qmp=[IDLE, ASKED, ASKED, fast(batch())])
refused("reclaim-zero", ["pzone-reclaim", "demo", "db", "0"], qmp=[IDLE])
refused("reclaim-words", ["pzone-reclaim", "demo", "db", "some"], qmp=[IDLE])
refused("reclaim-off", ["pzone-reclaim", "off", "db", "64MiB"])
refused("reclaim-no-class", ["pzone-reclaim", "demo", "nosuch", "64MiB"], qmp=[IDLE])
refused("reclaim-no-guest", RECLAIM, qmp=[fast(db(), guest="none")])
refused("reclaim-plain-guest", RECLAIM, qmp=[fast(db(), guest="plain")])
refused("reclaim-readonly", ["-r"] + RECLAIM)
text, code = on_terminal(RECLAIM + ["--wait"], qmp=[IDLE, ASKED, ASKED, done_with(64)])
ok("db: reclaiming 64 MiB" in text and text.endswith("\033[KClass 'db' reclaimed 64 MiB\r\n\r\n"),
   "reclaim on a terminal: a line that is wiped", repr(text))

# ---- stats ----
FIRST = fast(db(free=212, anon=200, file=100, refaults=1000, pressure_us=2500000, oom=1),
             batch(free=127, anon=1))
LATER = fast(db(free=112, anon=300, file=100, refaults=1500, pressure_us=3000000, oom=2,
                oom_kill=1), batch(free=127, anon=1))
golden("stats", ["pzone-stats", "demo"], qmp=[FIRST])
golden("stats-wide", ["pzone-stats", "demo"], qmp=[fast(
    db(size=100 * 1024, actual=98765, free=1234, anon=87654, file=54321, refaults=12345678,
       pressure_us=4321000000, oom=12345, oom_kill=1234),
    device_class("web-shop", 2, ident=3, free=1, anon=1))])
with open(os.path.join(HERE, "expected", "stats-wide"), encoding="utf-8") as f:
    ok(max(map(len, f.read().splitlines())) <= 80, "a full table fits 80 columns")
golden("stats-class", ["pzone-stats", "demo", "batch"], qmp=[FIRST])
golden("stats-raw", ["pzone-stats", "demo", "--raw"], qmp=[FIRST])
golden("stats-quiet", ["-q", "pzone-stats", "demo", "--raw"], qmp=[FIRST])
golden("stats-json", ["pzone-stats", "demo", "db", "--format", "json"], qmp=[FIRST])
golden("stats-off", ["pzone-stats", "off"])
golden("stats-no-report", ["pzone-stats", "demo"], qmp=[fast(db(), batch())])
golden("stats-off-interval", ["pzone-stats", "off", "--interval", "100"])
refused("stats-no-class", ["pzone-stats", "demo", "nosuch"], qmp=[FIRST])
refused("stats-other-pool", ["pzone-stats", "demo", "db", "--pool", "ua-slow"], qmp=[FIRST])
refused("stats-no-pool", ["pzone-stats", "demo", "--pool", "nosuch"], qmp=[FIRST])
refused("stats-format", ["pzone-stats", "demo", "--format", "xml"], qmp=[FIRST])
for case, option in (("interval", "--interval"), ("count", "--count")):
    for value in ("0", "-1", "often"):
        refused("stats-%s-%s" % (case, value.strip("-")), ["pzone-stats", "demo", option, value],
                qmp=[FIRST])
out, err, code, _ = run(["pzone-stats", "demo", "--interval", "1", "--count", "2"],
                        qmp=[FIRST, LATER])
rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if line.startswith(" db ")]
ok(code == 0 and not err and len(rows) == 2, "--interval 1 --count 2 prints two tables", out + err)
ok(rows and rows[0][5:] == ["-"] * 4, "the first has no rates yet", rows)
# half a second stalled and 500 refaults in a second that took a little longer
ok(len(rows) == 2 and 250 < float(rows[1][5]) <= 500 and 25 < float(rows[1][6]) <= 50 and
   rows[1][7:] == ["1", "1"], "the second has what happened since", rows)
out, err, code, _ = run(["pzone-stats", "demo", "--count", "2", "--format", "json"],
                        qmp=[FIRST, LATER])
lines = [json.loads(line) for line in out.splitlines() if line]
ok(code == 0 and [d["classes"][1]["report"]["refaults"] for d in lines] == [1000, 1500],
   "JSON: one line for each time, with totals", out + err)
text, code = on_terminal(["pzone-stats", "demo", "--interval", "100"], qmp=[FIRST],
                         interrupt_at="batch")
ok(code == 0, "Ctrl-C ends it well", repr(text))

# ---- map ----
golden("map", ["pzone-map", "demo"], qmp=[fast(db(free=1), batch(free=1))])
golden("map-moving", ["pzone-map", "demo"], qmp=[fast(
    db(size=640, actual=512, state="growing", wanted=[(FAST, 640)], extents=[(FAST, 512)]),
    batch(actual=160, state="shrinking", wanted=[(FAST + 800 * MIB, 128)],
          extents=[(FAST + 800 * MIB, 160)]),
    device_class("database", 96, ident=3, nr_extents=70,
                 extents=[(FAST + 1024 * MIB, 32), (FAST + 1088 * MIB, 64)],
                 wanted=[(FAST + 1024 * MIB, 32), (FAST + 1088 * MIB, 64)]),
    device_class("ending", 0, ident=4, actual=32, state="destroying", wanted=[],
                 extents=[(FAST + 1600 * MIB, 32)]))])
golden("map-tiny", ["pzone-map", "demo"], qmp=[fast(
    device_class("dot", 2, addr=FAST + 4 * MIB), size=65536, requested=65536)])
golden("map-none", ["pzone-map", "demo"], qmp=[fast()])
golden("map-plain", ["pzone-map", "demo"], qmp=[fast(db(actual=0, state="waiting"), guest="plain")])
TWO = fast(db()) + [device_pool([], ident="ua-slow", size=1024, requested=1024, addr=0x200000000)]
golden("map-two-pools", ["pzone-map", "demo"], qmp=[TWO])
golden("map-pool", ["pzone-map", "demo", "--pool", "ua-slow"], qmp=[TWO])
golden("map-svg", ["pzone-map", "demo", "--svg", "-"], qmp=[fast(
    db(size=640, actual=512, state="growing", wanted=[(FAST, 640)], extents=[(FAST, 512)]),
    batch(actual=160, state="shrinking", wanted=[(FAST + 800 * MIB, 128)],
          extents=[(FAST + 800 * MIB, 160)]))])
golden("map-svg-file", ["pzone-map", "demo", "--svg", "map.svg"], qmp=[fast(db())])
# more classes than colours: numbers, in the boxes where a name has no room and in the legend
out = run(["pzone-map", "demo", "--svg", "-"], qmp=[fast(*[
    device_class("a-long-name-%d" % i, 16, ident=i + 1, addr=FAST + 32 * i * MIB) for i in range(9)])])[0]
ok(all(out.count(">%d</text>" % i) == 2 for i in range(1, 10)), "SVG: nine classes have numbers", out)
refused("map-svg-two-pools", ["pzone-map", "demo", "--svg", "-"], qmp=[TWO])
refused("map-svg-nowhere", ["pzone-map", "demo", "--svg", "no/such/dir.svg"], qmp=[fast(db())])
refused("map-svg-full", ["pzone-map", "demo", "--svg", "/dev/full"], qmp=[fast(db())])
refused("map-off", ["pzone-map", "off"])
refused("map-readonly", ["-r", "pzone-map", "demo"])
refused("map-no-pool", ["pzone-map", "demo", "--pool", "nosuch"], qmp=[fast(db())])
# 26 letters do not do for 30 classes
many = fast(*[device_class("c%02d" % i, 32, ident=i + 1, addr=FAST + 32 * i * MIB)
              for i in range(30)], requested=2048)
out = run(["pzone-map", "demo"], qmp=[many])[0]
ok(max(map(len, out.splitlines())) <= 80 and "@" in out, "30 classes, in 80 columns", out)

# ---- top: what can be wrong; the rest is in top.t ----
refused("top-argument", ["pzone-top", "demo"])
refused("top-no-socket", ["pzone-top", "--socket", "/nonexistent/x", "--once"])
refused("top-interval", ["pzone-top", "--interval", "0", "--once"])

# ---- event ----
EVENTS = {"events": """\
demo PZONE_CHANGED {"pool":"ua-fast","name":"db","size":671088640,"actual":536870912,"state":"growing","gone":false}
off PZONE_SHORTAGE {"pool":"ua-fast","name":"web","oom":true,"wanted":4194304}
demo PZONE_SHORTAGE {"pool":"ua-fast","name":"db","oom":false,"wanted":2097152}
demo PZONE_NOMEM {"pool":"ua-fast","name":"db","size":671088640,"actual":536870912,"wanted":134217728,"error":"out of huge pages"}
demo PZONE_CHANGED {"pool":"ua-fast","name":"db","size":536870912,"actual":536870912,"state":"settled","gone":false}
demo PZONE_CHANGED {"pool":"ua-fast","name":"batch","size":0,"actual":0,"state":"settled","gone":true}
demo PZONE_NEWS {"pool":"ua-fast","name":"db"}
"""}
ENV = {"FAKE_EVENTS": "events"}
LISTEN = ["pzone-event", "--all", "--loop", "--timeout", "1"]


def event(case, args, **kw):
    """A golden case with all these events."""
    golden(case, args, files=EVENTS, env=ENV, **kw)


event("event-all", LISTEN)
event("event-timestamp", LISTEN + ["--timestamp"])
event("event-json", LISTEN + ["--format", "json"])
event("event-one", ["pzone-event", "--all"])
event("event-kind", ["pzone-event", "--event", "shortage", "--loop", "--timeout", "1"])
event("event-domain", LISTEN + ["--domain", "off"])
event("event-timed-out", ["pzone-event", "--event", "nomem", "--domain", "off", "--timeout", "1"],
      status=1)
event("event-quiet", ["-q"] + LISTEN)
golden("event-list", ["pzone-event", "--list"])
refused("event-nothing", ["pzone-event"])
refused("event-unknown", ["pzone-event", "--event", "lifecycle"])
refused("event-both", ["pzone-event", "--event", "changed", "--all"])
refused("event-no-domain", ["pzone-event", "--all", "--domain", "nosuch"])
refused("event-timeout", ["pzone-event", "--all", "--timeout", "soon"])
refused("event-test-driver", ["pzone-event", "--all"])
done()
