#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh-pzone: what it shows and changes, of the XML and of a (faked) device."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

TWO = """<pzones xmlns='urn:pzone:libvirt:domain:1.0'>
  <class name='web' pool='ua-fast'>
    <size unit='MiB'>64</size>
    <guarantee unit='MiB'>32</guarantee>
    <limit unit='MiB'>128</limit>
  </class>
  <class name='db' pool='ua-fast'><size unit='MiB'>256</size></class>
</pzones>
"""
ONE = "<class name='web' pool='ua-fast'><size unit='MiB'>64</size></class>\n"
DB_ADDR = 0x120000000
BATCH_ADDR = 0x140000000


def db(size=512, **kw):
    """Class db with its bounds as in node.xml."""
    kw.setdefault("guarantee", 256)
    kw.setdefault("limit", 768)
    return device_class("db", size, **kw)


def batch(**kw):
    """Class batch as in node.xml."""
    return device_class("batch", 128, ident=2, addr=BATCH_ADDR, **kw)


def fast(*classes, **kw):
    """What query-pzone says with these classes in ua-fast."""
    return [device_pool(list(classes), **kw),
            device_pool([], ident="ua-slow", size=1024, requested=1024, addr=0x200000000)]


SETTLED = fast(db(free=212, anon=200, file=100, cgroups=2, refaults=17, pressure_us=1500000,
                  oom=1), batch(free=127, anon=1))

# ---- what the XML says ----
golden("list-off", ["pzone-list", "off"])
golden("list-off-bytes", ["pzone-list", "off", "--bytes"])
golden("list-quiet", ["-q", "pzone-list", "off"])
golden("list-none", ["pzone-list", "transient"], qmp=[fast()])
golden("list-no-monitor", ["pzone-list", "demo"])
golden("list-readonly", ["-r", "pzone-list", "demo"])
golden("info-off", ["pzone-info", "off", "db"])
golden("pool-list-off", ["pzone-pool-list", "off"])
golden("pool-list-all", ["pzone-pool-list", "mem", "--all"])
golden("define-config", ["pzone-define", "off", "two.xml", "--config"], changed=True,
       files={"two.xml": TWO})
golden("define-current-off", ["pzone-define", "off", "one.xml"], changed=True,
       files={"one.xml": ONE})
golden("define-stdin", ["pzone-define", "off", "-"], changed=True, stdin=ONE)
golden("define-config-running", ["pzone-define", "demo", "one.xml", "--config"], changed=True,
       files={"one.xml": ONE})
golden("undefine-config", ["pzone-undefine", "off", "db", "--config"], changed=True)
golden("resize-config", ["pzone-resize", "off", "db", "256MiB", "--config"], changed=True)
golden("resize-current-off", ["pzone-resize", "off", "db", "256MiB", "--current"], changed=True)
golden("resize-config-running", ["pzone-resize", "demo", "db", "262144", "--config"],
       changed=True)
golden("set-config", ["pzone-set", "off", "db", "--guarantee", "128MiB", "--limit", "640MiB"],
       changed=True)
golden("set-weight", ["pzone-set", "off", "db", "--weight", "200"], changed=True)
golden("set-weight-live", ["pzone-set", "demo", "db", "--weight", "200", "--live"], changed=True,
       qmp=[[device_pool([device_class("db", 512, guarantee=256, limit=768)])]])
# what was defined is there afterwards, and the neighbours' metadata are untouched
out = run(["pzone-define off one.xml --config; pzone-list off"], files={"one.xml": ONE})[0]
ok(" web " in out and " db " in out, "define, then list", out)
out = run(["pzone-undefine off db; pzone-list off"])[0]
ok("db " not in out.split("\n\n", 1)[1], "undefine, then list", out)

# ---- what the device says ----
golden("list-running", ["pzone-list", "demo"], qmp=[SETTLED])
golden("list-running-bytes", ["pzone-list", "demo", "--bytes"], qmp=[SETTLED])
golden("list-pool", ["pzone-list", "demo", "--pool", "ua-slow"], qmp=[SETTLED])
golden("list-busy", ["pzone-list", "demo"], qmp=[fast(
    db(640, actual=512, state="growing", wanted=[(DB_ADDR, 640)], free=3),
    batch(actual=64, state="shrinking"),
    device_class("in-pieces", 96, ident=3, state="partial", actual=98,
                 extents=[(0x150000000, 50), (0x160000000, 20), (0x170000000, 28)], free=0),
    device_class("ending", 0, ident=4, actual=32, state="destroying", addr=0x178000000))])
golden("list-plain", ["pzone-list", "demo"], qmp=[fast(
    db(state="waiting", actual=0), batch(state="waiting", actual=0), guest="plain")])
golden("list-no-guest", ["pzone-list", "demo"], qmp=[fast(
    db(state="waiting", actual=0), batch(state="waiting", actual=0), guest="none")])
golden("list-not-applied", ["pzone-list", "demo"], qmp=[fast(db(free=1))])
golden("list-next-start", ["pzone-define demo one.xml --config; pzone-list demo"], changed=True,
       qmp=[SETTLED], files={"one.xml": ONE})
golden("info-running", ["pzone-info", "demo", "db"], qmp=[SETTLED])
golden("info-running-bytes", ["pzone-info", "demo", "db", "--bytes"], qmp=[SETTLED])
golden("info-partial", ["pzone-info", "demo", "db"], qmp=[fast(
    db(256, actual=320, state="partial", wanted=[(DB_ADDR, 256)],
       extents=[(DB_ADDR, 300), (DB_ADDR + 400 * MIB, 20)], stuck=64, pinned=12, anon=320))])
golden("list-json", ["pzone-list", "demo", "--format", "json"], qmp=[SETTLED])
golden("list-json-off", ["pzone-list", "off", "--format=json"])
golden("info-json", ["pzone-info", "demo", "batch", "--format", "json"], qmp=[SETTLED])
golden("list-json-readonly", ["-r", "pzone-list", "demo", "--format", "json"])
refused("list-format", ["pzone-list", "demo", "--format", "yaml"])
refused("list-name-json", ["pzone-list", "demo", "--name", "--format", "json"])
golden("pool-list-running", ["pzone-pool-list", "demo"], qmp=[SETTLED])
golden("pool-list-json", ["pzone-pool-list", "demo", "--format", "json"], qmp=[SETTLED])
golden("pool-list-json-off", ["pzone-pool-list", "off", "--format=json"])
golden("pool-list-json-all", ["pzone-pool-list", "mem", "--all", "--format=json"])
golden("pool-list-json-readonly", ["-r", "pzone-pool-list", "demo", "--format", "json"])
refused("pool-list-format", ["pzone-pool-list", "demo", "--format", "xml"])
golden("pool-list-running-bytes", ["pzone-pool-list", "demo", "--bytes"], qmp=[SETTLED])

# ---- changes in the device ----
golden("resize-live", ["pzone-resize", "demo", "db", "640MiB"], changed=True, qmp=[SETTLED])
golden("resize-live-config", ["pzone-resize", "demo", "db", "640MiB", "--live", "--config"],
       changed=True, qmp=[SETTLED])
golden("resize-quiet", ["-q", "pzone-resize", "demo", "db", "640MiB"], changed=True,
       qmp=[SETTLED])
golden("define-live", ["pzone-define", "demo", "one.xml"], changed=True, qmp=[SETTLED],
       files={"one.xml": ONE})
golden("define-live-change", ["pzone-define", "demo", "two.xml", "--live", "--config"],
       changed=True, qmp=[SETTLED], files={"two.xml": TWO})
golden("undefine-live", ["pzone-undefine", "demo", "batch"], changed=True, qmp=[SETTLED])
golden("set-live", ["pzone-set", "demo", "db", "--limit", "800MiB"], changed=True, qmp=[SETTLED])
refused("set-live-limit-above-pool", ["pzone-set", "demo", "db", "--limit", "99999GiB"], qmp=[SETTLED])
refused("define-live-limit-above-pool", ["pzone-define", "demo", "one.xml", "--live"], qmp=[SETTLED],
        files={"one.xml": ONE.replace("</class>", "<limit unit='GiB'>3</limit></class>")})
refused("live-not-block", ["pzone-resize", "demo", "db", "511MiB"], qmp=[SETTLED])
refused("live-above-requested", ["pzone-resize", "demo", "batch", "2GiB"], qmp=[SETTLED])
refused("live-unknown-class", ["pzone-resize", "demo", "nosuch", "64MiB"], qmp=[SETTLED])
golden("live-device-refuses", ["pzone-resize", "demo", "db", "640MiB"], status=1, changed=True,
       qmp=[SETTLED], refuse="pool 'ua-fast': class 'db': not now")

# ---- waiting ----
DOWN = ["pzone-resize", "demo", "db", "256MiB", "--wait"]
UP = ["pzone-resize", "demo", "db", "640MiB", "--wait"]


def shrinking(actual, state="shrinking", **kw):
    """db on its way from 512 to 256 MiB."""
    return fast(db(256, actual=actual, state=state, wanted=[(DB_ADDR, 256)], **kw), batch())


STEPS = [SETTLED, SETTLED, shrinking(512), shrinking(400), shrinking(400),
         shrinking(256, "settled")]
golden("wait-shrink", DOWN, changed=True, qmp=STEPS)
golden("wait-grow", UP, changed=True, qmp=[SETTLED, SETTLED,
       fast(db(640, actual=576, state="growing"), batch()), fast(db(640), batch())])
golden("wait-partial", DOWN, status=3, changed=True, qmp=[SETTLED, SETTLED, shrinking(400),
       shrinking(320, "partial", stuck=64, pinned=12)])
golden("wait-partial-in-use", DOWN, status=3, changed=True, qmp=[SETTLED, SETTLED,
       shrinking(320, "partial", stuck=64)])
golden("wait-partial-nothing-got", DOWN, status=3, changed=True, qmp=[SETTLED, SETTLED,
       shrinking(512, "partial", stuck=256, pinned=256)])
golden("wait-timeout", DOWN + ["--timeout", "1"], status=3, changed=True,
       qmp=[SETTLED, SETTLED, shrinking(512)])
golden("wait-timeout-partial", DOWN + ["--timeout", "1"], status=3, changed=True,
       qmp=[SETTLED, SETTLED, shrinking(320, "partial", stuck=64, pinned=12)])
golden("wait-timeout-grow", UP + ["--timeout", "1"], status=1, changed=True,
       qmp=[SETTLED, SETTLED, fast(db(640, actual=576, state="growing"), batch())])
golden("wait-plain-guest", UP, status=1, changed=True, qmp=[fast(
    db(640, actual=0, state="waiting"), batch(), guest="plain")])
golden("wait-destroyed-meanwhile", UP, status=1, changed=True, qmp=[SETTLED, SETTLED,
       fast(batch())])
golden("wait-undefine", ["pzone-undefine", "demo", "batch", "--wait"], changed=True,
       qmp=[SETTLED, SETTLED, fast(db(), device_class("batch", 0, actual=64, state="destroying")),
            fast(db())])
golden("wait-undefine-partial", ["pzone-undefine", "demo", "batch", "--timeout", "1"], status=3,
       changed=True, qmp=[SETTLED, SETTLED, fast(db(), device_class(
           "batch", 0, actual=64, state="destroying", stuck=64, pinned=8))])

# a QEMU that does not answer, where nobody waits and where somebody does
HANGS = {"FAKE_HANG": "1", "PZONE_MONITOR_TIMEOUT": "1"}
golden("hang-list", ["pzone-list", "demo"], status=1, env=HANGS)
golden("hang-resize", DOWN + ["--timeout", "5"], status=1, env=HANGS)

# progress: lines with --verbose in a pipe, one rewritten line on a terminal
err = run(DOWN + ["--verbose"], qmp=STEPS)[1].splitlines()
ok(len(err) >= 2 and all(line.startswith("db: [") and "256 MiB" in line for line in err),
   "--verbose prints a line for each change", "\n".join(err))
ok(len(set(err)) == len(err), "and no line twice", "\n".join(err))
ok(run(DOWN, qmp=STEPS)[1] == "", "no progress in a pipe without --verbose")
text, code = on_terminal(DOWN, qmp=STEPS)
ok(code == 0 and text.count("\r\033[K") >= 3 and "\n" not in text.split("Class")[0],
   "on a terminal one line is rewritten", repr(text))
ok(text.endswith("\033[KClass 'db' has 256 MiB\r\n\r\n"), "and wiped at the end", repr(text))
text, code = on_terminal(["-q"] + DOWN, qmp=STEPS)
ok(text == "" and code == 0, "nothing with -q", repr(text))
text, code = on_terminal(DOWN, qmp=[SETTLED, SETTLED, shrinking(400)], interrupt_at="db: [")
ok(code == 1 and "Stopped waiting: class 'db' has 400 MiB" in text, "Ctrl-C ends the wait",
   repr(text))
done()
