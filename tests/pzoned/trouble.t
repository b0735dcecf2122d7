#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMUs that hang, many at once; guests that never answer; domains that vanish, and a libvirtd that
does: each is said once, tried again less and less often, and holds up nobody else.

What hangs are QEMUs of 64 MiB without a guest, stopped with SIGSTOP, which is what a QEMU looks like to
libvirt whose main loop waits for a disk that does not answer.
"""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
os.environ.setdefault("PZONE_TEST_TIMEOUT", "900")
from pzone_host import HostError, poll              # noqa: E402
from pzone_domain import MiB, NS, QEMU, SLOW        # noqa: E402
from pzone_test import run                          # noqa: E402

HUNG = 14
CLASS = """<class name='db' pool='ua-fast'><size unit='MiB'>%d</size><guarantee unit='MiB'>64</guarantee>
<limit unit='MiB'>1024</limit></class>"""
TINY = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>%s</name>
<metadata><pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'><pzone:class name='c' pool='ua-fast'>
<pzone:size unit='MiB'>16</pzone:size></pzone:class></pzone:pzones></metadata>
<maxMemory slots='2' unit='GiB'>1</maxMemory><memory unit='MiB'>192</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>
<devices><emulator>%s</emulator><memory model='virtio-mem'><target><size unit='MiB'>128</size><node>0</node>
<block unit='MiB'>2</block><requested unit='MiB'>128</requested></target><alias name='ua-fast'/></memory>
<controller type='usb' model='none'/><memballoon model='none'/></devices>
<qemu:override><qemu:device alias='ua-fast'><qemu:frontend><qemu:property name='pzone' type='bool' value='true'/>
</qemu:frontend></qemu:device></qemu:override></domain>"""


def log(host):
    with open(os.path.join(host.work, "pzoned.log")) as f:
        return f.read()


def set_xml(t, host, name, xml):
    r = host.run(["/usr/bin/virsh", "metadata", name, NS, "--key", "pzone", "--live", "--set", "<pzones>%s</pzones>" % xml])
    if r.returncode:
        raise RuntimeError(r.stderr)


def start_tiny(host, name):
    path = os.path.join(host.work, name + ".xml")
    with open(path, "w") as f:
        f.write(TINY % (name, QEMU))
    r = host.run(["/usr/bin/virsh", "create", path, "--paused"])
    if r.returncode:
        raise RuntimeError(r.stderr)


def still_works(t, host, d, when):
    """A guest that runs short gets memory, and an edit of its XML is followed."""
    killed = len(re.findall("Killed process", d.console()))
    r = d.try_sh("pz-exec db pz-hog -x 400", 120)
    t.ok(r.status == 0 and len(re.findall("Killed process", d.console())) == killed,
         "%s: a program in another VM gets the memory that it asks for" % when, r.out[-300:], host.log_tail("pzoned", 5))
    for size in (256, 128):
        set_xml(t, host, d.name, CLASS % size)
        poll("%d MiB" % size, 60 * SLOW, lambda: d.figure("db", "size") == size * MiB)
    t.ok(True, "... and a change of its XML is followed")


def hung_monitors(t, host, d, names):
    pids = [host.qemu_pid(n) for n in names]
    for pid in pids[:1]:
        os.kill(pid, signal.SIGSTOP)
    poll("it is said", 60 * SLOW, lambda: "domain '%s': its QEMU, or libvirt, has not answered" % names[0] in log(host))
    still_works(t, host, d, "with one QEMU that hangs")
    for pid in pids[1:]:
        os.kill(pid, signal.SIGSTOP)
    still_works(t, host, d, "with %d QEMUs that hang" % len(names))
    poll("all are said", 90 * SLOW, lambda: all("domain '%s': its QEMU" % n in log(host) for n in names))
    still_works(t, host, d, "when all of them are known")
    time.sleep(3 * SLOW)
    t.equal([log(host).count("domain '%s': its QEMU" % n) for n in names], [1] * len(names), "each is said once")
    t.ok("\npzoned_domains_hanging %d\n" % len(names) in host.ask_pzoned("/metrics"), "... and /metrics has their number")

    began = len(log(host))
    host.stop_pzoned(signal.SIGKILL)
    host.start_pzoned("--config", os.path.join(host.work, "pzoned.conf"))
    poll("the new one says so too", 90 * SLOW, lambda: all("domain '%s': its QEMU has not answered" % n in log(host)[began:] for n in names))
    t.ok(True, "a pzoned started meanwhile finds out that they hang without asking them")
    still_works(t, host, d, "after that")
    t.equal([log(host)[began:].count("domain '%s': its QEMU" % n) for n in names], [1] * len(names), "... and says it once")
    t.ok(not re.search("calls of libvirt have no answer", log(host)), "it never ran out of calls")

    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    poll("they are well again", 120 * SLOW, lambda: all("domain '%s': is as its XML wants it again" % n in log(host)[began:] for n in names))
    t.ok(True, "when they go on, all are found well again")


def too_many(t, host, d, names):
    """More than may hang: that is said, once, and over when they go on."""
    with open(os.path.join(host.work, "few.conf"), "w") as f:
        f.write("[daemon]\ncalls=4\n[elastic]\nperiod-ms=500\n")
    host.stop_pzoned()
    host.start_pzoned("--config", os.path.join(host.work, "few.conf"))
    began = len(log(host))
    poll("it has looked at all", 30 * SLOW, lambda: "domains run" in log(host)[began - 200:])
    time.sleep(4 * SLOW)
    pids = [host.qemu_pid(n) for n in names[:5]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    poll("it says that it has no call left", 60 * SLOW, lambda: "4 calls of libvirt have no answer" in log(host)[began:])
    time.sleep(3 * SLOW)
    t.equal(log(host)[began:].count("calls of libvirt have no answer"), 1, "with calls=4, four that hang are too many, and it says so once")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    still_works(t, host, d, "when they go on")
    host.stop_pzoned()


def never_answers(t, host, d):
    """A VM that is paused is a guest that never answers."""
    began = len(log(host))
    host.run(["/usr/bin/virsh", "suspend", d.name])
    set_xml(t, host, d.name, CLASS % 64)
    poll("it is said", 120 * SLOW, lambda: "class 'db' should have another size for long, and its guest does nothing about it" in log(host)[began:])
    t.equal(d.device_class("db")["state"], "shrinking", "a guest that never answers: the class shrinks for ever")
    time.sleep(5 * SLOW)
    t.equal(log(host)[began:].count("should have another size"), 1, "... which is said once")
    host.run(["/usr/bin/virsh", "resume", d.name])
    poll("it follows", 60 * SLOW, lambda: d.figure("db", "size") == 64 * MiB)
    poll("that is said", 60 * SLOW, lambda: "domain 'demo': is as its XML wants it again" in log(host)[began:])
    t.ok(True, "... until the guest goes on")


def vanishes(t, host, d):
    """Destroyed in the middle of a resize."""
    began = len(log(host))
    host.run(["/usr/bin/virsh", "suspend", d.name])
    set_xml(t, host, d.name, CLASS % 512)
    poll("the device knows", 30 * SLOW, lambda: d.device_class("db")["size"] == 512 * MiB)
    host.run(["/usr/bin/virsh", "destroy", d.name])
    time.sleep(4 * SLOW)
    t.ok("domain 'demo': " not in re.sub(r".*domain 'demo': (set|created|resized) .*", "", log(host)[began:]),
         "a VM that is destroyed in mid-resize is no error", log(host)[began:])
    t.ok(host.pzoned.poll() is None, "... and pzoned goes on")
    t.virsh_ok("start", "demo")
    d.connect()
    set_xml(t, host, d.name, CLASS % 128)
    poll("its classes", 60 * SLOW, lambda: "db" in d.classes() and d.figure("db", "size") == 128 * MiB)
    t.ok(True, "started again, it has its classes")


def libvirtd_restarts(t, host, d):
    for gone_s in (0, 3):
        began = len(log(host))
        host.stop_libvirtd()
        time.sleep(gone_s)
        host.start_libvirtd()
        poll("pzoned is back", 60 * SLOW, lambda: "connected to libvirt" in log(host)[began:])
        still_works(t, host, d, "libvirtd restarted, %d s away" % gone_s)
        text = log(host)[began:]
        t.ok(text.count("the connection to libvirt broke") == 1 and text.count("can't connect to libvirt at") <= 1 and
             "is as its XML wants it again" not in text, "... which is said once, and of no domain", text)


def test(t, host):
    with open(os.path.join(host.work, "pzoned.conf"), "w") as f:
        f.write("[elastic]\nperiod-ms=500\n[budget host]\nsize=8GiB\n")
    d = t.domain(edit=lambda xml: re.sub(r"<pzone:class.*</pzone:class>", re.sub(r"<(/?)(\w)", r"<\1pzone:\2", CLASS % 128), xml, flags=re.S))
    host.start_pzoned("--config", os.path.join(host.work, "pzoned.conf"))
    t.boot(d, classes=("db",))
    d.sh("echo %d > /sys/kernel/mm/pzone/oom_wait_ms" % (10000 * SLOW))
    still_works(t, host, d, "to begin with")
    first = host.pzoned
    try:
        host.start_pzoned()
        t.ok(False, "a second pzoned on this host refuses to start")
    except HostError as e:
        t.ok("another pzoned (process" in str(e), "a second pzoned on this host refuses to start", e)
    host.pzoned = first
    names = ["tiny%d" % i for i in range(HUNG)]
    for name in names:
        start_tiny(host, name)
    poll("they have their class", 60 * SLOW, lambda: all("domain '%s': created class 'c'" % n in log(host) for n in names))
    hung_monitors(t, host, d, names)
    too_many(t, host, d, names)
    host.start_pzoned("--config", os.path.join(host.work, "pzoned.conf"))
    for name in names:
        host.run(["/usr/bin/virsh", "destroy", name])
    libvirtd_restarts(t, host, d)
    never_answers(t, host, d)
    vanishes(t, host, d)


run(test, pzoned=False)
