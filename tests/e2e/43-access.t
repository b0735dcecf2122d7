#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may not, is told so in libvirt's own words, and nothing changes: the
read-only socket, a socket that is another's, and polkit's rules (libvirt's access
driver, with a polkitd and a bus of the test's own)."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB, NS                # noqa: E402
from pzone_host import MS_BIND, _mount, poll    # noqa: E402
from pzone_test import run                  # noqa: E402

# users that every Debian has
READER, OPERATOR, NOBODY = "games", "daemon", "nobody"

# root may always
RULES = """polkit.addRule(function(action, subject) {
    var look = ["connect.getattr", "connect.search-domains", "domain.getattr", "domain.read"];
    var work = look.concat(["connect.write", "domain.write", "domain.save"]);
    if (action.id.indexOf("org.libvirt.") != 0)
        return polkit.Result.NOT_HANDLED;
    var may = { "%s": look, "%s": work }[subject.user] || [];
    return may.indexOf(action.id.replace("org.libvirt.api.", "")) >= 0 ? polkit.Result.YES : polkit.Result.NO;
});
""" % (READER, OPERATOR)


def virsh_as(host, user, *args):
    """virsh of another user, who has nothing but the URI."""
    return host.run(["setpriv", "--reuid=" + user, "--regid=65534", "--clear-groups", "env",
                     *["%s=/nonexistent" % v for v in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")],
                     "virsh", *args], cwd="/")


def state(host, d):
    return (host.virsh("metadata", "demo", NS).stdout, host.virsh("dumpxml", "demo", "--inactive").stdout,
            [(c["name"], c["size"]) for c in d.query()[0]["classes"]])


CHANGES = (("pzone-define", "demo", "FILE", "--live"), ("pzone-define", "demo", "FILE", "--config"),
           ("pzone-resize", "demo", "db", "64MiB"), ("pzone-set", "demo", "db", "--limit", "1GiB"),
           ("pzone-undefine", "demo", "db"), ("pzone-reclaim", "demo", "db", "1MiB"),
           ("pzone-pool-add", "demo", "1GiB"))


def changes_refused(t, host, d, who, pattern, call):
    """Each command that changes something says why it can't, and does not."""
    path = os.path.join(host.work, "web.xml")
    with open(path, "w") as f:
        f.write("<class name='web' pool='ua-fast'><size unit='MiB'>64</size></class>")
    before = state(host, d)
    for args in CHANGES:
        r = call(*[path if a == "FILE" else a for a in args])
        lines = [l for l in r.stderr.splitlines() if l.strip()]
        t.ok(r.returncode == 1 and len(lines) == 1 and re.search(pattern, r.stderr), "%s: %s" % (who, " ".join(args)),
             r.stdout[-300:], r.stderr)
    t.equal(state(host, d), before, "... and nothing has changed")


def read_only(t, host, d):
    r = host.virsh("-r", "pzone-list", "demo")
    t.ok(r.returncode == 0 and re.search(r"db\s+ua-fast\s+256 MiB.*unseen", r.stdout) and "read-only" in r.stderr,
         "read-only: pzone-list shows what the XML says, and that it is no more", r.stdout, r.stderr)
    changes_refused(t, host, d, "read-only", "(read only|read-only) ", lambda *a: host.virsh("-r", "-q", *a))


def others_socket(t, host):
    r = virsh_as(host, NOBODY, "pzone-list", "demo")
    t.ok(r.returncode == 1 and "Failed to connect socket to" in r.stderr and "Permission denied" in r.stderr,
         "a socket that one may not use: as libvirt says it", r.stderr)


def start_polkit(host):
    """A system bus and a polkitd; /run is this host's own already."""
    rules = os.path.join(host.work, "rules.d")
    os.makedirs(rules, mode=0o755)
    with open(rules + "/10-pzone-test.rules", "w") as f:
        f.write(RULES)
    _mount(rules, "/etc/polkit-1/rules.d", None, MS_BIND)
    os.makedirs("/run/dbus", exist_ok=True)
    with open(os.path.join(host.work, "polkit.log"), "ab") as log:
        for argv, there in ((["dbus-daemon", "--system", "--nofork", "--nopidfile"],
                             lambda: os.path.exists("/run/dbus/system_bus_socket")),
                            (["/usr/lib/polkit-1/polkitd", "--no-debug"],
                             lambda: host.run(["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.PolicyKit1",
                                               "/org/freedesktop/PolicyKit1/Authority",
                                               "org.freedesktop.DBus.Peer.Ping"]).returncode == 0)):
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
            poll("%s answers" % argv[0], 30, there)


def polkit(t, host, d):
    host.stop_libvirtd()        # the VM goes on
    start_polkit(host)
    host.start_libvirtd("0777", "polkit")
    t.virsh_ok("pzone-list", "demo", what="polkit: root may")
    r = virsh_as(host, NOBODY, "pzone-list", "demo")
    t.ok(r.returncode == 1 and "access denied: 'QEMU' denied access" in r.stderr, "who may nothing can't even connect", r.stderr)
    r = virsh_as(host, READER, "pzone-list", "demo")
    t.ok(r.returncode == 0 and re.search(r"db\s+ua-fast\s+256 MiB.*unseen", r.stdout) and "access denied" in r.stderr,
         "who may look sees what the XML says, and why it is no more", r.stdout, r.stderr)
    changes_refused(t, host, d, "who may look", "access denied: 'QEMU' denied access",
                    lambda *a: virsh_as(host, READER, "-q", *a))
    r = virsh_as(host, OPERATOR, "pzone-set", "demo", "db", "--limit", "768MiB", "--config")
    t.ok(r.returncode == 0 and "768" in host.virsh("dumpxml", "demo", "--inactive").stdout,
         "who may write definitions does", r.stdout, r.stderr)
    r = virsh_as(host, OPERATOR, "pzone-resize", "demo", "db", "512MiB", "--wait")
    t.ok(r.returncode == 0 and d.device_class("db")["size"] == 512 * MiB,
         "... and resizes: for libvirt the monitor is part of writing to the domain", r.stdout, r.stderr)


def test(t, host):
    if not host.system:
        t.ok(True, "access to the system's instance # SKIP not root")
        return
    d = t.domain()
    t.boot(d)
    read_only(t, host, d)
    others_socket(t, host)
    polkit(t, host, d)


run(test)
