#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh pzone-pool-add turns an ordinary domain into one with a pool: libvirt
takes the XML, the guest boots with it, and classes live in it."""
import os
import pty
import re
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB, QEMU  # noqa: E402
from pzone_test import run          # noqa: E402

FOREIGN = "<f:x xmlns:f=\"urn:foreign\" a=\"1\"> text <f:y/></f:x>"


def ordinary(xml):
    """The tests' domain without anything that has to do with pools, as other
    people's domains are: with a balloon, a foreign element, a foreign argument."""
    for part in (r"<metadata>.*?</metadata>", r"<maxMemory.*?</maxMemory>", r"<memory model.*?</memory>",
                 r"<qemu:override>.*?</qemu:override>", r"<features>.*?</features>", r"<cpu>.*?</cpu>"):
        xml = re.sub("(?s)" + part, "", xml)
    xml = xml.replace("<memory unit='MiB'>2560<", "<metadata>%s</metadata><memory unit='MiB'>512<" % FOREIGN)
    xml = xml.replace("<memballoon model='none'/>", "<memballoon model='virtio'/>")
    return xml.replace("</domain>", "<qemu:commandline><qemu:arg value='-name'/><qemu:arg value='kept'/>"
                       "</qemu:commandline></domain>")


def on_terminal(host, args, answer):
    """Run virsh on a terminal and answer the question; (what it shows, status)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("virsh", ["virsh", *args], host.env)
    shown = b""
    while True:
        if not select.select([fd], [], [], 60)[0]:
            raise RuntimeError("no question came: %r" % shown)
        try:
            data = os.read(fd, 4096)
        except OSError:         # the last one closed the terminal
            break
        shown += data
        if answer and shown.endswith(b"[y/N] "):
            os.write(fd, answer)
            answer = None
    return shown.decode().replace("\r", ""), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def without(xml, *parts):
    for part in parts:
        xml = re.sub(r"(?ms)^\s*" + part + r"\n", "", xml)
    return xml


def plan(t, host, d):
    """Nothing changes before somebody says yes."""
    def config():
        return t.host.virsh("dumpxml", d.name, "--inactive").stdout
    before = config()
    diff = t.virsh_ok("pzone-pool-add", d.name, "2GiB", "--print-diff", what="--print-diff")
    changed = [line for line in diff.splitlines() if re.match(r"[+-][^+-]", line)]
    t.ok(diff.startswith("--- before\n+++ after\n@@") and all(line[0] == "+" or re.search("<domain |<memory ", line)
                                                         for line in changed),
         "... is a unified diff that takes nothing away but the old sum of memory", *changed)
    t.equal(config(), before, "... and changes nothing")
    new = os.path.join(host.work, "new.xml")
    with open(new, "w") as f:
        f.write(t.virsh_ok("pzone-pool-add", d.name, "2GiB", "--name", "ua-fast", "--print-xml", what="--print-xml"))
    r = host.run(["virt-xml-validate", new])
    t.ok(r.returncode == 0, "... is valid by libvirt's own schema", r.stdout, r.stderr)
    t.equal(config(), before, "... and changes nothing")
    shown, status = on_terminal(host, ["pzone-pool-add", d.name, "2GiB"], b"n\n")
    t.ok(status == 1 and "+    <memory model=\"virtio-mem\">" in shown and "nothing was changed" in shown,
         "on a terminal it shows the difference and asks; 'n' is no", shown)
    t.equal(config(), before, "... and changes nothing")
    t.virsh_fails(("-r", "-q", "pzone-pool-add", d.name, "2GiB"), 1, "read only access prevents",
                  "a read-only connection is refused, in libvirt's words")
    t.virsh_fails(("-q", "pzone-pool-add", d.name, "2GiB", "--emulator", "/nonexistent/qemu"), 1,
                  "/nonexistent/qemu", "so is an emulator that is not there")
    t.equal(config(), before, "... and changes nothing")
    return before


def add(t, host, d, before):
    shown, status = on_terminal(host, ["pzone-pool-add", d.name, "1GiB", "--name", "ua-fast"], b"y\n")
    t.ok(status == 0 and "Pool 'ua-fast' added to domain 'demo': 1008 MiB for classes, 16 MiB for the guest's memory map"
         in shown, "'y' adds it, and says what there is for classes", shown)
    out = t.virsh_ok("-q", "pzone-pool-add", d.name, "1GiB", "--requested", "512MiB", what="a second pool, in a pipe")
    t.equal(out.strip(), "", "... quietly")
    after = host.virsh("dumpxml", d.name, "--inactive").stdout
    t.ok(FOREIGN in after and "<qemu:arg value='kept'/>" in after, "foreign metadata and arguments are as they were", after)
    # what is new taken away, it is the domain that it was; PCI ports for new
    # devices are libvirt's own doing
    ports = (r"<controller type='pci'[^\n]*/>", r"<controller type='pci'.*?</controller>")
    t.equal(without(after, *ports, r"<maxMemory[^\n]*", r"<memory unit[^\n]*", r"<memory model.*?</memory>", r"<numa>.*?</numa>",
                    r"<features>.*?</features>", r"<qemu:override>.*?</qemu:override>"),
            without(before, *ports, r"<memory unit[^\n]*"), "... and so is all the rest")
    with open(os.path.join(host.work, "after.xml"), "w") as f:
        f.write(after)
    r = host.run(["virt-xml-validate", os.path.join(host.work, "after.xml")])
    t.ok(r.returncode == 0, "the domain is valid by libvirt's own schema", r.stdout, r.stderr)
    pools = t.virsh_ok("-q", "pzone-pool-list", d.name)
    t.equal(re.findall(r"^ *(\S+)", pools, re.M), ["ua-fast", "ua-pool0"], "pzone-pool-list has both pools")


def boot(t, host, d):
    path = os.path.join(host.work, "classes.xml")
    with open(path, "w") as f:
        f.write("<pzones><class name='db' pool='ua-fast'><size unit='MiB'>256</size></class>"
                "<class name='batch' pool='ua-pool0'><size unit='MiB'>128</size></class></pzones>")
    t.virsh_ok("pzone-define", d.name, path, "--config", what="classes in both pools")
    t.virsh_ok("start", d.name)
    d.connect()
    d.wait_settled(("db", "batch"))
    t.equal(sorted(d.classes()), ["batch", "db"], "the guest has the classes")
    t.equal((d.figure("db", "pool"), d.figure("batch", "pool")), ("ua-fast", "ua-pool0"), "... each in its pool")
    total = 1024 * int(re.search(r"MemTotal:\s+(\d+)", d.sh("cat /sys/devices/system/node/node0/meminfo")).group(1))
    t.ok(400 * MiB < total <= 512 * MiB, "its ordinary memory is what it was", total)
    free = d.base_free()
    d.make_cgroup("db", "db")
    d.sh("sh -c 'echo $$ > /sys/fs/cgroup/db/cgroup.procs; exec pz-hog 100' > /dev/null & sleep 3; echo")
    t.ok(d.figure("db", "used") > 90 * MiB and free - d.base_free() < 32 * MiB, "a task of the class takes its memory there",
         d.figure("db", "used"), free - d.base_free())


def running(t, host, d):
    live = host.virsh("dumpxml", d.name).stdout
    t.virsh_fails(("pzone-pool-add", d.name, "1GiB", "--live"), 1, "only when it starts QEMU",
                  "a running domain can't get one at once, and it says why")
    out = t.virsh_ok("pzone-pool-add", d.name, "1GiB", "--config", what="... but for its next start")
    t.ok("Domain 'demo' runs: it has the pool when it was shut down and started again" in out, "... and it says when", out)
    t.equal(host.virsh("dumpxml", d.name).stdout, live, "... and the running domain is as it was")
    t.ok("ua-pool1" in host.virsh("dumpxml", d.name, "--inactive").stdout, "... and the definition has it")


def transient(t, host):
    """A domain that exists only as long as it runs: its XML with a pool, and created anew."""
    # libvirt 9.0 can't start this QEMU without ACPI
    d = t.domain(name="brief", edit=lambda x: ordinary(x).replace("<devices>", "<features><acpi/></features><devices>"))
    t.virsh_ok("create", d.xml_path, what="a transient domain")
    t.virsh_fails(("-q", "pzone-pool-add", d.name, "1GiB"), 1, "transient .* --print-xml",
                  "... can't get a pool, and it says what to do")
    xml = t.virsh_ok("-q", "pzone-pool-add", d.name, "1GiB", "--print-xml", what="--print-xml shows its XML with one")
    t.virsh_ok("destroy", d.name)
    path = os.path.join(host.work, "brief.xml")
    with open(path, "w") as f:
        f.write(xml)
    t.virsh_ok("create", path, what="... from which it is created anew")
    out = t.virsh_ok("-q", "pzone-pool-list", d.name)
    t.ok(re.search(r"ua-pool0 +1 GiB", out), "... with the pool", out)
    d.connect()
    path = os.path.join(host.work, "class.xml")
    with open(path, "w") as f:
        f.write("<class name='web' pool='ua-pool0'><size unit='MiB'>64</size></class>")
    t.virsh_ok("pzone-define", d.name, path, "--wait", what="a class in it")
    t.equal(d.figure("web", "size"), 64 * MiB, "... that the guest has")
    t.virsh_fails(("-q", "pzone-define", d.name, path, "--config"), 1, "is transient and has no persistent definition",
                  "--config is refused, in one sentence")
    t.virsh_ok("destroy", d.name)


def test(t, host):
    d = t.domain(edit=ordinary)
    t.virsh_ok("define", d.xml_path, what="an ordinary domain")
    t.equal(re.search("<emulator>(.*?)<", open(d.xml_path).read()).group(1), QEMU, "(its QEMU knows pools)")
    before = plan(t, host, d)
    add(t, host, d, before)
    boot(t, host, d)
    running(t, host, d)
    t.virsh_ok("destroy", d.name)
    transient(t, host)


run(test)
