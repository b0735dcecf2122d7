#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pzoned as an ordinary user, who may use libvirt's socket and nothing else."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB, NS, SLOW      # noqa: E402
from pzone_host import BUILD, poll          # noqa: E402
from pzone_test import run                  # noqa: E402

# every Debian has them
USER, GROUP, OTHER = "daemon", "games", "nobody"
CLASS = """<class name='%s' pool='ua-fast'><size unit='MiB'>%d</size><guarantee unit='MiB'>64</guarantee>
<limit unit='MiB'>1024</limit></class>"""


def start(host, user, group, directory):
    """pzoned of that user; returns the process, its log is in DIRECTORY/log."""
    os.makedirs(directory, exist_ok=True)
    shutil.chown(directory, user, group)
    # the build directory may be one that only its owner can enter
    program = os.path.join(host.work, "pzoned-copy")
    shutil.copy2(os.path.join(BUILD, "bin/pzoned"), program)
    with open(os.path.join(directory, "log"), "wb") as log:
        return subprocess.Popen(["setpriv", "--reuid=" + user, "--regid=" + group, "--clear-groups", "--no-new-privs",
                                 "--bounding-set=-all", "env", "-i", "LC_ALL=C.UTF-8", program, "-c", "qemu:///system",
                                 "--runtime-dir", directory], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


def log(directory):
    with open(os.path.join(directory, "log")) as f:
        return f.read()


def test(t, host):
    if not host.system:
        t.ok(True, "a libvirtd that is another user's # SKIP not root")
        return
    host.stop_libvirtd()
    host.start_libvirtd("0770", socket_group=GROUP)
    os.chmod("/run/libvirt", 0o755)
    d = t.domain()
    t.boot(d, classes=())
    run_dir = os.path.join(host.work, "run-of-user")
    proc = start(host, USER, GROUP, run_dir)
    d.wait_settled(("db", "batch"))
    with open("/proc/%d/status" % proc.pid) as f:
        status = f.read()
    t.ok(re.search(r"^Uid:\t1\t1\t", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M),
         "a pzoned of user '%s', without any capability, applies the classes of a domain" % USER, status)
    host.run(["/usr/bin/virsh", "metadata", "demo", NS, "--key", "pzone", "--live", "--set",
              "<pzones>%s%s</pzones>" % (CLASS % ("db", 128), CLASS % ("batch", 64))])
    d.wait_settled(("db", "batch"))
    poll("they have the new size", 60 * SLOW, lambda: d.figure("db", "size") == 128 * MiB)
    d.sh("echo 10000 > /sys/kernel/mm/pzone/oom_wait_ms")
    t.ok(d.try_sh("pz-exec db pz-hog -x 300", 120).status == 0,
         "... follows an edit, and a class grows when its guest runs short", log(run_dir))
    t.ok(oct(os.stat(run_dir + "/pzoned.sock").st_mode & 0o777) == "0o660", "its socket is for it and its group")
    proc.terminate()
    t.equal(proc.wait(30), 0, "SIGTERM ends it")
    other_dir = os.path.join(host.work, "run-of-other")
    proc = start(host, OTHER, "nogroup", other_dir)
    poll("it says so", 30 * SLOW, lambda: "can't connect to libvirt" in log(other_dir))
    t.ok("Permission denied" in log(other_dir) and proc.poll() is None,
         "one of a user who may not use the socket says so, and waits", log(other_dir))
    proc.kill()
    proc.wait()


run(test, pzoned=False)
