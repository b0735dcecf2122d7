#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Without root: a VM with classes on an ordinary user's qemu:///session, and all
commands through a URI that names nothing but a socket (qemu+unix://), as from
another machine."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB, QEMU          # noqa: E402
from pzone_host import BUILD, TOP           # noqa: E402
from pzone_test import run                  # noqa: E402

NOBODY = "65534"


def drop_root():
    """Go on as somebody who is nobody, if the tree can be read like that."""
    if os.geteuid() != 0:
        return
    drop = ["setpriv", "--reuid=" + NOBODY, "--regid=" + NOBODY, "--clear-groups", "--"]
    if subprocess.run(drop + ["test", "-r", QEMU, "-a", "-r", __file__], check=False).returncode:
        print("ok 1 - the tree can be read by root alone # SKIP run it as an ordinary user\n1..1")
        sys.exit(0)
    os.execvp(drop[0], drop + ["/usr/bin/python3", os.path.abspath(__file__)])


class Elsewhere:
    """A client that knows a URI and shares no directory with the domain's host."""

    def __init__(self, host):
        self.host = host
        self.home = os.path.join(host.work, "elsewhere")
        os.makedirs(self.home)
        self.env = {"PATH": host.env["PATH"], "LC_ALL": "C.UTF-8", "HOME": self.home, "XDG_RUNTIME_DIR": self.home,
                    "XDG_CONFIG_HOME": self.home, "XDG_CACHE_HOME": self.home}

    def virsh(self, *args):
        return subprocess.run(["virsh", "-c", self.host.address, *args], env=self.env, cwd=self.home, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False)

    def file(self, name, text):
        with open(os.path.join(self.home, name), "w") as f:
            f.write(text)
        return name


def session(t, host, d):
    t.ok(os.geteuid() != 0 and host.uri == "qemu:///session", "this is an ordinary user's session instance")
    t.boot(d)
    with open("/proc/%d/status" % host.qemu_pid(d.name)) as f:
        t.equal(re.search(r"^Uid:\s+(\d+)", f.read(), re.M).group(1), str(os.geteuid()), "the VM runs as that user")
    t.equal(sorted(d.classes()), ["batch", "db"], "its guest has the classes, by that user's pzoned")
    t.virsh_ok("pzone-resize", "demo", "db", "512MiB", "--wait")
    t.equal(d.figure("db", "size"), 512 * MiB, "... and a resize reaches the guest")


def remote(t, host, d):
    away = Elsewhere(host)

    def ok(*args, find=None):
        r = away.virsh(*args)
        t.ok(r.returncode == 0 and (not find or re.search(find, r.stdout)), "from elsewhere: virsh " + " ".join(args),
             r.stdout, r.stderr)
        return r.stdout
    ok("pzone-list", "demo", find=r"db\s+ua-fast\s+512 MiB")
    ok("pzone-info", "demo", "db", find=r"State:\s+settled")
    ok("pzone-pool-list", "demo", find="ready")
    away.file("web.xml", "<class name='web' pool='ua-fast'><size unit='MiB'>64</size></class>")
    ok("pzone-define", "demo", "web.xml", "--live", "--config", "--wait", find="defined from web.xml")
    t.equal(d.figure("web", "size"), 64 * MiB, "... the file was the client's, the class is the guest's")
    ok("pzone-set", "demo", "web", "--limit", "256MiB", "--live", "--config")
    ok("pzone-resize", "demo", "web", "128MiB", "--wait")
    t.equal(d.figure("web", "size"), 128 * MiB, "... the guest followed")
    ok("pzone-undefine", "demo", "web", "--live", "--config", "--wait")
    ok("pzone-pool-add", "demo", "1GiB", "--print-diff", find="ua-pool0")
    ok("pzone-pool-add", "demo", "1GiB", find="Pool 'ua-pool0' added")
    ok("-r", "pzone-list", "demo", find="unseen")
    r = away.virsh("pzone-list", "nobody")
    t.ok(r.returncode == 1 and "failed to get domain 'nobody'" in r.stderr, "... errors are the same", r.stderr)
    away.host = type("Gone", (), {"address": "qemu+unix:///session?socket=/nonexistent/sock"})
    r = away.virsh("pzone-list", "demo")
    t.ok(r.returncode == 1 and "/nonexistent/sock" in r.stderr, "... and a host that is not there is named", r.stderr)


def examples(t, host, d):
    """The example programs of libpzone, in C and in Python, on this domain."""
    where = os.path.join(TOP, "libvirt-plugin/examples")
    host.env["LD_LIBRARY_PATH"] = os.path.join(BUILD, "lib")
    program = os.path.join(host.work, "shrink-idle")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libvirt"], capture_output=True, text=True, check=True).stdout
    r = host.run(["cc", "-Wall", "-Wextra", "-Werror", "-I" + os.path.join(TOP, "libvirt-plugin/lib"),
                  where + "/pzone-shrink-idle.c", "-L" + os.path.join(BUILD, "lib"), "-lpzone", *flags.split(), "-o", program])
    t.ok(r.returncode == 0, "the example in C compiles without a warning", r.stderr)
    t.virsh_ok("pzone-set", "demo", "db", "--guarantee", "64MiB", "--live")
    d.wait_settled()
    r = host.run([program, "--shrink", "demo"])
    t.ok(r.returncode == 0 and re.search(r"^batch settled 128 MiB$", r.stdout, re.M) and
         re.search(r"^db: to ", r.stdout, re.M), "... and shrinks what is idle", r.stdout, r.stderr)
    d.wait_settled()
    t.ok(d.figure("db", "size") < 512 * MiB, "... which the guest follows", d.figure("db", "size"))
    path = os.path.join(host.work, "py.xml")
    with open(path, "w") as f:
        f.write("<class name='py' pool='ua-fast'><size unit='MiB'>64</size><weight>7</weight></class>")
    r = host.run(["/usr/bin/python3", where + "/pzone_classes.py", "demo", path])
    t.ok(r.returncode == 0 and "py ua-fast 67108864 7\n" in r.stdout and "db ua-fast 268435456 100\n" in r.stdout,
         "the example in Python defines a class and shows all", r.stdout, r.stderr)
    with open(path, "w") as f:
        f.write("<class name='py' pool='ua-slow'><size unit='MiB'>64</size></class>")
    r = host.run(["/usr/bin/python3", where + "/pzone_classes.py", "demo", path])
    t.ok(r.returncode == 1 and r.stderr.startswith("error: class 'py' names pool 'ua-slow'"), "... an error is libpzone's sentence",
         r.stdout, r.stderr)


def test(t, host):
    d = t.domain()
    session(t, host, d)
    remote(t, host, d)
    examples(t, host, d)


drop_root()
run(test)
