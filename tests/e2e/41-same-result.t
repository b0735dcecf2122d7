#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""However the classes get into a domain (virsh pzone-define, virsh edit, virsh
metadata, a Python program, virt-install), the result is the same, and metadata of
others is not touched. Each with the real tool."""
import os
import re
import sys
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import INITRD, KERNEL, NS, QEMU   # noqa: E402
from pzone_test import run                          # noqa: E402

# as libvirt writes it, so that it can be looked for in its XML
FOREIGN = '<f:x xmlns:f="urn:foreign" a="1"> text <f:y/></f:x>'
CLASSES = """<pzones>
  <class name='db' pool='ua-fast'>
    <size unit='MiB'>256</size>
    <limit unit='GiB'>1</limit>
    <weight>200</weight>
  </class>
  <class name='batch' pool='ua-fast'>
    <size unit='MiB'>128</size>
  </class>
</pzones>
"""
# what a person types into an editor
PREFIXED = re.sub(r"<(/?)(?=\w)", r"<\1pzone:", CLASSES).replace("<pzone:pzones", "<pzone:pzones xmlns:pzone='%s'" % NS)

PYTHON = """
import sys, libvirt
domain = libvirt.open().lookupByName(sys.argv[1])
with open(sys.argv[2]) as f:
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, f.read(), "pzone", "%s", libvirt.VIR_DOMAIN_AFFECT_CONFIG)
""" % NS

# $EDITOR MARK TEXT FILE: put TEXT in front of MARK, or in place of all if MARK is -
EDITOR = """import sys
mark, text, path = sys.argv[1:]
with open(path) as f:
    old = f.read()
with open(text) as f:
    new = f.read()
assert mark == "-" or old.count(mark) == 1, old
with open(path, "w") as f:
    f.write(new if mark == "-" else old.replace(mark, new + mark))
"""


class Ways:
    """Each puts CLASSES into the persistent definition of a domain."""

    def __init__(self, host):
        self.host = host
        self.classes = self.file("classes.xml", CLASSES)
        self.prefixed = self.file("prefixed.xml", PREFIXED)
        self.program = self.file("program.py", PYTHON)
        self.script = self.file("editor.py", EDITOR)

    def file(self, name, text):
        path = os.path.join(self.host.work, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def editor(self, mark, text, *command):
        editor = "/usr/bin/python3 %s %s %s" % (self.script, mark, text)
        return self.host.run(["env", "VISUAL=" + editor, "virsh", *command])

    def pzone_define(self, name):
        return self.host.virsh("pzone-define", name, self.classes, "--config")

    def virsh_edit(self, name):
        return self.editor("'</metadata>'", self.prefixed, "edit", name)

    def virsh_metadata_set(self, name):
        return self.host.virsh("metadata", name, NS, "--config", "--key", "pzone", "--set", CLASSES)

    def virsh_metadata_edit(self, name):
        # there has to be something to edit
        self.host.virsh("metadata", name, NS, "--config", "--key", "pzone", "--set", "<pzones/>")
        return self.editor("-", self.classes, "metadata", name, NS, "--config", "--key", "pzone", "--edit")

    def python(self, name):
        return self.host.run(["/usr/bin/python3", self.program, name, self.classes])


WAYS = ("pzone_define", "virsh_edit", "virsh_metadata_set", "virsh_metadata_edit", "python")


def result(host, name):
    """What the domain's classes are, blanks aside, and what our tools make of them."""
    text = host.virsh("metadata", name, NS, "--config").stdout
    meaning = ET.canonicalize(text, strip_text=True) if text.strip() else ""
    return meaning, host.virsh("-q", "pzone-list", name, "--bytes").stdout


def foreign_is_there(t, host, name):
    xml = host.virsh("dumpxml", name, "--inactive").stdout
    t.ok(FOREIGN in xml, "... and metadata of others is as it was", xml)


def by_commands(t, host):
    """Returns the one result."""
    ways, first = Ways(host), None
    for way in WAYS:
        name = way.replace("_", "-")
        d = t.domain(name=name, edit=lambda x: re.sub("(?s)<metadata>.*?</metadata>",
                                                      "<metadata>%s</metadata>" % FOREIGN, x))
        t.domains.remove(d)         # it never runs
        host.virsh("define", d.xml_path)
        r = getattr(ways, way)(name)
        t.ok(r.returncode == 0, "classes by " + name, r.stdout, r.stderr)
        got = result(host, name)
        first = first or got
        t.ok(got == first and "<weight>200</weight>" in got[0] and "268435456" in got[1],
             "... the same as by any other way", got, first)
        foreign_is_there(t, host, name)
        t.virsh_ok("pzone-undefine", name, "batch", "--config", what="... and our command removes one of them")
        foreign_is_there(t, host, name)
        t.virsh_ok("metadata", name, NS, "--config", "--remove", what="... and virsh metadata --remove all")
        t.equal(result(host, name)[1].strip(), "", "... so that there is none")
        foreign_is_there(t, host, name)
    return first


def refused(t, host):
    """What an editor lets through, our tools refuse by name, and leave alone."""
    ways = Ways(host)
    bad = ways.file("bad.xml", PREFIXED.replace("pzone:limit", "pzone:limmit"))
    r = ways.editor("'</metadata>'", bad, "edit", "python")
    t.equal(r.returncode, 0, "libvirt takes any metadata from an editor")
    before = host.virsh("dumpxml", "python", "--inactive").stdout
    t.virsh_fails(("pzone-list", "python"), 1, "<class> has no element <pzone:limmit>|<class> has no element <limmit>",
                  "... our tools name the element that they don't know")
    t.virsh_fails(("pzone-undefine", "python", "db", "--config"), 1, "limmit", "... and change nothing then")
    t.equal(host.virsh("dumpxml", "python", "--inactive").stdout, before, "... nothing at all")


def by_virt_install(t, host, wanted):
    """A new VM with pool and classes from one command line; it runs."""
    d = t.domain(name="inst")
    pool = "./qemu:override/qemu:device"
    cls = "./metadata/pzones/class"
    xml = [pool + "/@alias=ua-fast", pool + "/qemu:frontend/qemu:property/@name=pzone",
           pool + "/qemu:frontend/qemu:property/@type=bool", pool + "/qemu:frontend/qemu:property/@value=true",
           "./metadata/pzones/@xmlns=" + NS,
           cls + "[1]/@name=db", cls + "[1]/@pool=ua-fast", cls + "[1]/size=256", cls + "[1]/size/@unit=MiB",
           cls + "[1]/limit=1", cls + "[1]/limit/@unit=GiB", cls + "[1]/weight=200",
           cls + "[2]/@name=batch", cls + "[2]/@pool=ua-fast", cls + "[2]/size=128", cls + "[2]/size/@unit=MiB"]
    r = host.run(["virt-install", "--name", d.name, "--virt-type", "kvm" if host.accel == "kvm" else "qemu",
                  "--osinfo", "detect=off,require=off", "--import", "--disk", "none", "--network", "none",
                  "--graphics", "none", "--controller", "usb,model=none", "--noautoconsole", "--machine", "q35",
                  "--boot", "kernel=%s,initrd=%s,kernel_args=console=ttyS0 panic=-1 no_timer_check,emulator=%s" % (KERNEL, INITRD, QEMU),
                  "--serial", "file,path=" + d.console_path,
                  "--channel", "unix,source.mode=bind,source.path=%s,target.type=virtio,target.name=org.pzone.agent.0" %
                  d.agent_path,
                  "--vcpus", "2", "--memory", "2560,maxMemory=8192,maxMemory.slots=4",
                  "--cpu", "qemu64,numa.cell0.id=0,numa.cell0.cpus=0-1,numa.cell0.memory=512,numa.cell0.unit=MiB",
                  "--memdev", "model=virtio-mem,target.size=2048,target.node=0,target.block=2048,"
                  "target.requested=2097152,alias.name=ua-fast"] + [a for x in xml for a in ("--xml", x)])
    t.ok(r.returncode == 0, "virt-install makes a VM with a pool and classes", r.stdout, r.stderr)
    t.ok(result(host, "inst")[0] == wanted[0], "... the same definition", result(host, "inst"),
         wanted)
    d.connect()
    d.wait_settled(("db", "batch"))
    t.equal(sorted(d.classes()), ["batch", "db"], "... it runs, and its guest has the classes")


def test(t, host):
    # virt-install asks libvirt what the host has, and libvirt looks in PATH
    os.mkdir(host.work + "/bin")
    os.symlink(QEMU, host.work + "/bin/qemu-system-x86_64")
    host.env["PATH"] += ":" + host.work + "/bin"
    host.stop_libvirtd()
    host.start_libvirtd()
    wanted = by_commands(t, host)
    refused(t, host)
    by_virt_install(t, host, wanted)


run(test)
