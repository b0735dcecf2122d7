#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every piece of XML in the documentation and among the examples is valid: classes
by pzone.rng, domains and parts of them by virt-xml-validate, libvirt's own."""
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from tap import done, ok        # noqa: E402

SCHEMA = os.path.join(TOP, "libvirt-plugin/schema/pzone.rng")
QEMU_NS = "http://libvirt.org/schemas/domain/qemu/1.0"
NS = "urn:pzone:libvirt:domain:1.0"
work = tempfile.TemporaryDirectory(prefix="pzone-schema-")


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def file_of(xml):
    path = os.path.join(work.name, "%d.xml" % len(os.listdir(work.name)))
    with open(path, "w", encoding="utf-8") as f:
        f.write(xml)
    return path


# a domain around a part: what a part needs beside itself, where the part is not that
FRAME = {"maxMemory": "<maxMemory slots='4' unit='GiB'>8</maxMemory>", "memory": "<memory unit='GiB'>1</memory>",
         "features": "<features><acpi/></features>",
         "cpu": "<cpu><numa><cell id='0' cpus='0' memory='1' unit='GiB'/></numa></cpu>"}


def domain(parts):
    """A whole domain of {where: xml}; where: root, devices or metadata."""
    root = parts.get("root", "")
    frame = "".join(x for tag, x in FRAME.items() if "<%s" % tag not in root)
    return ("<domain type='kvm' xmlns:qemu='%s'><name>x</name>%s<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm"
            "</type></os><metadata>%s</metadata>%s<devices>%s</devices></domain>" %
            (QEMU_NS, frame, parts.get("metadata", ""), root, parts.get("devices", "")))


def libvirt_takes(xml, what):
    p = run("virt-xml-validate", file_of(xml), "domain")
    ok(p.returncode == 0, what, p.stdout + p.stderr + xml)


def classes_valid(xml, what):
    p = run("xmllint", "--noout", "--nonet", "--relaxng", SCHEMA, file_of(xml))
    ok(p.returncode == 0, what + ": classes, by pzone.rng", p.stderr + xml)
    inside = re.sub(r"<!--.*?-->", "", xml, flags=re.S)
    if "<class" in inside and "<pzones" not in inside:
        inside = "<pzones xmlns='%s'>%s</pzones>" % (NS, inside)
    elif "xmlns" not in inside:
        inside = inside.replace("<pzones", "<pzones xmlns='%s'" % NS, 1)
    libvirt_takes(domain({"metadata": inside}), what + ": a domain with it, by virt-xml-validate")


def check(xml, what):
    """One piece, by what it starts with."""
    tag = re.search(r"<([a-zA-Z:]+)", re.sub(r"<!--.*?-->", "", xml, flags=re.S)).group(1)
    if tag in ("pzone:pzones", "pzones", "class", "pzone:class"):
        classes_valid(xml, what)
    elif tag == "metadata":
        classes_valid(re.search(r"(?s)<metadata>(.*)</metadata>", xml).group(1).strip(), what)
    elif tag == "domain":
        # "..." stands for what a reader has already
        need = "<name>x</name><memory>1</memory><os><type>hvm</type></os>" if "..." in xml else ""
        libvirt_takes(xml.replace("...", "").replace("<maxMemory", need + "<maxMemory", 1), what + ": a domain")
    elif tag == "emulator":
        libvirt_takes(domain({"devices": xml}), what + ": part of a device list")
    elif tag == "memory":
        parts = dict(zip(("devices", "root"), re.split(r"\n\.\.\.\n", xml)))
        libvirt_takes(domain(parts), what + ": a device")
    elif tag.startswith("qemu:"):
        libvirt_takes(domain({"root": xml}), what + ": part of a domain")
    else:
        ok(False, what + ": XML that this test does not know", xml)


def markdown(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for found in re.finditer(r"(?ms)^( *)```(\w*)\n(.*?)^ *```", text):
        xml = re.sub("(?m)^" + found.group(1), "", found.group(3))
        if found.group(2) == "xml" or xml.startswith("<"):
            yield text[:found.start()].count("\n") + 2, xml


def indented(path):
    """XML in plain text: lines behind two tabs."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for found in re.finditer(r"(?m)(?:^\t\t<.*\n(?:^\t\t.*\n)*)", text):
        yield text[:found.start()].count("\n") + 1, found.group(0).replace("\t\t", "")


def man(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for found in re.finditer(r"(?ms)^\.EX\n(.*?)^\.EE", text):
        xml = found.group(1).replace("\\(aq", "'").replace("\\-", "-")
        if xml.startswith("<"):
            yield text[:found.start()].count("\n") + 2, xml


pieces = 0
for pattern, reader in (("README.md", markdown), ("docs/*.md", markdown), ("*/*/*.[1-9]", man), ("*/*/*/*.[1-9]", man),
                        (".ci/deb/debian/*README.Debian", indented)):
    for path in sorted(glob.glob(os.path.join(TOP, pattern))):
        if not os.path.isfile(path) or path.startswith(os.path.join(TOP, "build/")):
            continue
        for line, xml in reader(path):
            pieces += 1
            check(xml, "%s:%d" % (os.path.relpath(path, TOP), line))
for path in sorted(glob.glob(os.path.join(TOP, "libvirt-plugin/schema/examples/*.xml"))):
    with open(path, encoding="utf-8") as f:
        pieces += 1
        check(f.read(), os.path.relpath(path, TOP))
ok(pieces >= 8, "there is XML to look at: %d pieces" % pieces)
with open(os.path.join(TOP, "tests/lib/domain.xml.in"), encoding="utf-8") as f:
    libvirt_takes(re.sub(r"@TYPE@", "qemu", f.read()).replace("@", "/"), "tests/lib/domain.xml.in")

# the test can fail; who is named is the parser's business (test_xml.c)
p = run("xmllint", "--noout", "--relaxng", SCHEMA, file_of("<pzones><class name='a' pool='p'><sise>1</sise></class></pzones>"))
ok(p.returncode != 0, "pzone.rng refuses an element that it has not", p.stderr)
p = run("virt-xml-validate", file_of(domain({"devices": "<memory model='virtio-mom'/>"})), "domain")
ok(p.returncode != 0, "virt-xml-validate refuses what is wrong", p.stdout)
done()
