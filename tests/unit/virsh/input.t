#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh-pzone: wrong input. One sentence, exit status 1, nothing changed."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

def cls(name="new", pool="ua-fast", size="<size unit='MiB'>64</size>", attrs=""):
    """A file with one class."""
    return {"new.xml": "<class name='%s' pool='%s'%s>\n  %s\n</class>\n" % (name, pool, attrs, size)}


DEFINE = ["pzone-define", "off", "new.xml", "--config"]

# domains and connections
refused("domain-unknown", ["pzone-list", "nosuch"])
refused("domain-no-pool-list", ["pzone-list", "bare"])
refused("domain-no-pool-pool-list", ["pzone-pool-list", "bare"])
refused("domain-no-pool-define", ["pzone-define", "bare", "new.xml", "--config"], files=cls())
refused("domain-plain-device-list", ["pzone-list", "mem"])
refused("domain-plain-device-define", ["pzone-define", "mem", "new.xml", "--config"],
        files=cls(pool="ua-plain"))
refused("domain-off-resize", ["pzone-resize", "off", "db", "256MiB"])
refused("domain-off-resize-live", ["pzone-resize", "off", "db", "256MiB", "--live"])
refused("domain-off-define-live", ["pzone-define", "off", "new.xml", "--live"], files=cls())
refused("domain-off-undefine-live", ["pzone-undefine", "off", "db", "--live"])
refused("domain-off-set-live", ["pzone-set", "off", "db", "--limit", "768MiB", "--live"])
refused("domain-transient-config", ["pzone-define", "transient", "new.xml", "--config"],
        files=cls())
refused("domain-broken-list", ["pzone-list", "broken"])
refused("domain-broken-define", ["pzone-define", "broken", "new.xml", "--config"], files=cls())
refused("no-monitor-resize", ["pzone-resize", "demo", "db", "256MiB"])
refused("no-monitor-define", ["pzone-define", "demo", "new.xml"], files=cls())
refused("readonly-resize", ["-r", "pzone-resize", "demo", "db", "256MiB"])
refused("readonly-define", ["-r"] + DEFINE, files=cls())
refused("readonly-undefine", ["-r", "pzone-undefine", "off", "db", "--config"])
refused("readonly-set", ["-r", "pzone-set", "off", "db", "--limit", "1GiB", "--config"])
out, err, code, changes = run(["-c", "nosuch:///nowhere", "pzone-list", "demo"])
ok(code == 1 and not out.strip() and not changes and
   err.startswith("error: failed to connect to the hypervisor\nerror: "), "a URI that is none", err)

# classes
refused("class-unknown-info", ["pzone-info", "demo", "nosuch"])
refused("class-unknown-resize", ["pzone-resize", "off", "nosuch", "256MiB", "--config"])
refused("class-unknown-undefine", ["pzone-undefine", "off", "nosuch"])
refused("class-unknown-set", ["pzone-set", "off", "nosuch", "--limit", "256MiB"])
refused("class-empty", ["pzone-info", "demo", ""])
for case, name in (("upper", "Db"), ("space", "my db"), ("slash", "a/b"), ("long", "a" * 32),
                   ("dash", "-db"), ("reserved-none", "none"),
                   ("reserved-memmap", "memmap"), ("empty", ""), ("utf8", "d\u00f6b")):
    refused("name-" + case, DEFINE, files=cls(name=name))
refused("pool-unknown", DEFINE, files=cls(pool="ua-nosuch"))
refused("pool-unknown-list", ["pzone-list", "demo", "--pool", "ua-nosuch"])
refused("pool-empty-list", ["pzone-list", "demo", "--pool", ""])

# sizes
for case, size in (("words", "much"), ("suffix", "12zz"), ("negative", "-5MiB"), ("blank", " 5MiB"),
                   ("fraction", "1.5GiB"), ("huge", "99999999999999999999"),
                   ("overflow", "20EiB"), ("hex", "0x100"), ("empty", "")):
    refused("size-" + case, ["pzone-resize", "off", "db", size, "--config"])
refused("size-not-block", ["pzone-resize", "off", "db", "257MiB", "--config"])
refused("size-kib-default", ["pzone-resize", "off", "db", "257", "--config"])
refused("size-zero", ["pzone-resize", "off", "db", "0", "--config"])
refused("size-above-requested", ["pzone-resize", "off", "db", "1GiB", "--config"])
refused("size-above-limit", ["pzone-resize", "demo", "db", "800MiB", "--config"])
refused("size-below-guarantee", ["pzone-resize", "demo", "db", "128MiB", "--config"])
refused("define-not-block", DEFINE, files=cls(size="<size unit='MiB'>63</size>"))
refused("define-above-requested", DEFINE, files=cls(size="<size unit='MiB'>512</size>"))
refused("define-no-size", DEFINE, files=cls(size=""))
refused("define-two-sizes", DEFINE,
        files=cls(size="<size unit='MiB'>64</size><size unit='MiB'>64</size>"))
refused("define-bad-size", DEFINE, files=cls(size="<size unit='MiB'>sixty</size>"))
refused("define-bad-unit", DEFINE, files=cls(size="<size unit='MoB'>64</size>"))
refused("define-bounds", DEFINE, files=cls(
    size="<size unit='MiB'>64</size>\n  <guarantee unit='MiB'>128</guarantee>"))
for case, value in (("zero", "0"), ("more", "10001"), ("words", "heavy"), ("negative", "-5"), ("fraction", "1.5"),
                    ("huge", "99999999999999999999"), ("empty", "")):
    refused("set-weight-" + case, ["pzone-set", "off", "db", "--weight", value])
refused("set-weight-class", ["pzone-set", "off", "nosuch", "--weight", "5"])
refused("set-limit-above-pool", ["pzone-set", "off", "db", "--limit", "3GiB"])
refused("define-limit-above-pool", DEFINE, files=cls(
    size="<size unit='MiB'>64</size>\n  <limit unit='GiB'>3</limit>"))
refused("set-nothing", ["pzone-set", "off", "db"])
refused("set-words", ["pzone-set", "off", "db", "--limit", "much"])
refused("set-not-block", ["pzone-set", "off", "db", "--limit", "769MiB"])
refused("set-limit-below-size", ["pzone-set", "off", "db", "--limit", "256MiB"])
refused("set-guarantee-above-size", ["pzone-set", "off", "db", "--guarantee", "768MiB"])

# files
refused("file-missing", ["pzone-define", "off", "nosuch.xml"])
refused("file-directory", ["pzone-define", "off", "."])
refused("file-empty", DEFINE, files={"new.xml": ""})
refused("file-no-xml", DEFINE, files={"new.xml": "db 512MiB\n"})
refused("file-malformed", DEFINE, files={
    "new.xml": "<pzones>\n  <class name='new' pool='ua-fast'>\n    <size>65536</sizze>\n"
               "  </class>\n</pzones>\n"})
refused("file-cut-off", DEFINE, files={"new.xml": "<pzones>\n  <class name='new'"})
refused("file-other-root", DEFINE, files={"new.xml": "<domain/>\n"})
refused("file-other-namespace", DEFINE, files={
    "new.xml": "<pzones xmlns='urn:somebody:else'/>\n"})
refused("file-no-class", DEFINE, files={"new.xml": "<pzones/>\n"})
refused("file-unknown-element", DEFINE, files=cls(
    size="<size unit='MiB'>64</size>\n  <priority>5</priority>"))
refused("file-unknown-attribute", DEFINE, files=cls(attrs=" colour='red'"))
refused("file-no-pool-attribute", DEFINE, files={
    "new.xml": "<class name='new'><size unit='MiB'>64</size></class>\n"})
refused("file-same-name-twice", DEFINE, files={
    "new.xml": "<pzones>\n" + 2 * (cls()["new.xml"]) + "</pzones>\n"})
refused("file-entity", DEFINE, files={
    "new.xml": "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>\n"
               "<class name='new' pool='ua-fast'><size>&e;</size></class>\n"})
# one wrong class: the right one beside it is not defined either
refused("file-second-wrong", DEFINE, files={
    "new.xml": "<pzones>\n" + cls()["new.xml"] + cls(name="Bad")["new.xml"] + "</pzones>\n"})
refused("stdin-malformed", ["pzone-define", "off", "-", "--config"], stdin="<pzones>\n<class\n")

# options that exclude each other
refused("flags-current-live", ["pzone-resize", "off", "db", "256MiB", "--current", "--live"])
refused("flags-current-config", ["pzone-set", "off", "db", "--limit", "1GiB", "--config",
                                 "--current"])
# ... of each command that has them
for command, rest in (("define", ["new.xml"]), ("undefine", ["db"]), ("resize", ["db", "256MiB"]),
                      ("set", ["db", "--limit", "1GiB"]),
                      ("pool-add", ["1GiB", "--emulator", "/usr/lib/pzone/qemu-system-x86_64"])):
    for other in ("live", "config"):
        refused("flags-%s-%s" % (command, other),
                ["pzone-" + command, "off", *rest, "--current", "--" + other], files=cls())
refused("flags-wait-config", ["pzone-resize", "off", "db", "256MiB", "--config", "--wait"])
refused("flags-verbose-alone", ["pzone-resize", "demo", "db", "256MiB", "--verbose"])
refused("flags-name-bytes", ["pzone-list", "demo", "--name", "--bytes"])
for case, value in (("words", "soon"), ("zero", "0"), ("negative", "-3"), ("huge", "99999999999"),
                    ("unit", "5s")):
    refused("timeout-" + case, ["pzone-resize", "demo", "db", "256MiB", "--timeout", value])
done()
