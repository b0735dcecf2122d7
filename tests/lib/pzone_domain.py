# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone_domain: a libvirt domain with a pool and classes, and its guest.

The domain runs on a pzone_host.Host, with our QEMU, our kernel and the test
guest of tests/guest, whose command agent answers on a virtio-serial channel.
"""
import copy
import os
import re
import sys
import time

from pzone_host import BUILD, TOP, HostError, need, poll

sys.path.insert(0, os.path.join(TOP, "tests/guest"))
from agent import Agent, AgentError     # noqa: E402
import vm as guest_vm                   # noqa: E402  what a sick kernel says

MiB = 1 << 20
GiB = 1 << 30
SLOW = float(os.environ.get("PZONE_SLOW", "1"))
NS = "urn:pzone:libvirt:domain:1.0"
CLASS_DIR = "/sys/kernel/mm/pzone/class"
POOL_DIR = "/sys/kernel/mm/pzone/pool"

QEMU = os.path.join(BUILD, "qemu/bin/qemu-system-x86_64")
KERNEL = os.path.join(BUILD, "kernel/bzImage")
INITRD = os.path.join(BUILD, "guest/initramfs.cpio.gz")


def read(path):
    """Text of a log; "" if there is none."""
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


class Domain:
    """One domain. Nothing is defined or started before you say so."""

    def __init__(self, host, name="demo", cmdline="", edit=None):
        self.host = host
        self.name = name
        self.console_path = os.path.join(host.work, name + "-console.log")
        self.agent_path = os.path.join(host.work, name + "-agent.sock")
        self.xml_path = os.path.join(host.work, name + ".xml")
        self.agent = None
        # for complaints()
        self.expected = []      # those that a test provokes
        self.checked = 0        # console bytes already looked at
        self.killed = set()     # processes that were out of memory
        need("bin/virsh", "bin/virsh-pzone", "bin/pzoned", "qemu/bin/qemu-system-x86_64",
             "kernel/bzImage", "guest/initramfs.cpio.gz")
        with open(os.path.join(TOP, "tests/lib/domain.xml.in")) as f:
            xml = f.read()
        words = {
            "TYPE": "kvm" if host.accel == "kvm" else "qemu", "NAME": name,
            "KERNEL": KERNEL, "INITRD": INITRD, "EMULATOR": QEMU,
            "CMDLINE": " " + cmdline if cmdline else "",
            "CONSOLE": self.console_path, "AGENT": self.agent_path,
        }
        for word, value in words.items():
            xml = xml.replace("@%s@" % word, value)
        # the comment is about the template
        xml = re.sub(r"<!--.*?-->\n", "", xml, count=1, flags=re.S)
        if edit:
            xml = edit(xml)
        with open(self.xml_path, "w") as f:
            f.write(xml)

    def moved_to(self, host):
        """This running domain as it will be on another host, with its own files there."""
        d = copy.copy(self)
        d.host = host
        d.agent = None
        d.checked = 0
        for name in ("console_path", "agent_path", "xml_path"):
            setattr(d, name, getattr(self, name).replace(self.host.work, host.work))
        xml = self.host.virsh("dumpxml", "--migratable", self.name).stdout
        with open(d.xml_path, "w") as f:
            f.write(xml.replace(self.host.work, host.work))
        return d

    # --- the guest ---

    def connect(self, timeout_s=90):
        """Wait until the guest's agent answers."""
        deadline = time.monotonic() + timeout_s * SLOW
        while True:
            try:
                self.agent = Agent(self.agent_path, 2)
                return self.agent
            except AgentError as e:
                if self.host.domain_state(self.name) != "running":
                    raise HostError("domain '%s' does not run:\n%s" % (self.name, self.console()[-2000:])) from e
                if time.monotonic() > deadline:
                    raise HostError("the guest of domain '%s' did not boot in %g s:\n%s" %
                                    (self.name, timeout_s * SLOW, self.console()[-2000:])) from e

    def disconnect(self):
        if self.agent:
            self.agent.close()
            self.agent = None

    def sh(self, command, timeout_s=60):
        """stdout of a guest command that must succeed."""
        return self.agent.run(command, timeout_s * SLOW).out.rstrip("\n")

    def try_sh(self, command, timeout_s=60):
        """Result(out, err, status) of a guest command."""
        return self.agent.run(command, timeout_s * SLOW, check=False)

    def classes(self):
        """Names of the classes that the guest has."""
        return self.sh("ls %s" % CLASS_DIR).split()

    def figure(self, cls, name):
        """A figure of a class from the guest's sysfs; a number if it is one."""
        text = self.sh("cat %s/%s/%s" % (CLASS_DIR, cls, name))
        return int(text) if text.isdigit() else text

    def base_free(self):
        """Free memory of node 0, the guest's ordinary memory."""
        text = self.sh("cat /sys/devices/system/node/node0/meminfo")
        return 1024 * int(re.search(r"MemFree:\s+(\d+) kB", text).group(1))

    def make_cgroup(self, cgroup, cls=None):
        self.sh("mkdir -p /sys/fs/cgroup/%s" % cgroup)
        if cls is not None:
            self.sh("echo %s > /sys/fs/cgroup/%s/pzone.class" % (cls, cgroup))

    def hold(self, cls, mib):
        """Start a program that keeps @mib MiB of a pattern in class @cls.

        It has a log of its own, because the agent's client may go away.
        """
        self.sh("pz-exec %s pz-hog %d > /tmp/hold.%s 2>&1 &" % (cls, mib, cls))
        self.sh("until grep -q holding /tmp/hold.%s; do sleep 0.1; done" % cls)

    def verify(self, cls):
        """What that program now finds: "verified ..." or "CORRUPT ..."."""
        return self.sh("log=/tmp/hold.%s; lines=$(wc -l < $log); kill -USR1 $(sed -n 's/^pid //p' $log); "
                       "until [ $(wc -l < $log) -gt $lines ]; do sleep 0.1; done; tail -n 1 $log" % cls)

    def console(self):
        return read(self.console_path).replace("\r", "")

    def qemu_log(self):
        """What libvirt keeps of QEMU's command line and messages."""
        return read(os.path.join(self.host.work, "root/var/log/libvirt" if self.host.system else "cache/libvirt",
                                 "qemu/%s.log" % self.name))

    # what the tests of the guest alone take for a bug: same console, same rules
    complaints = guest_vm.VM.complaints

    # --- the device ---

    def query(self):
        return self.host.qmp(self.name, "query-pzone")

    def device_class(self, name):
        """PzoneClass of the device, or None."""
        for pool in self.query():
            for cls in pool["classes"]:
                if cls["name"] == name:
                    return cls
        return None

    def settled(self, names=None):
        """Have all classes (of names: exactly these) what the host wants?"""
        found = {c["name"]: c for p in self.query() for c in p["classes"] if c["name"] != "memmap"}
        if names is not None and set(names) != set(found):
            return False
        return all(c["state"] == "settled" and c["actual"] == c["size"] for c in found.values())

    def wait_settled(self, names=None, timeout_s=60):
        poll("classes %s settle" % (" ".join(sorted(names)) if names else ""), timeout_s * SLOW,
             lambda: self.settled(names))
