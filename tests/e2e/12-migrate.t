#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh migrate --live to another libvirt, while classes are being resized.

The other libvirtd has directories, a host name and a UUID of its own, so that
libvirt takes it for another host. A destination that is not the same is
refused, and the guest goes on where it is.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_host import poll                 # noqa: E402
from pzone_domain import MiB, SLOW          # noqa: E402
from pzone_test import run                  # noqa: E402

BOTH = ("db", "batch")
SLOW_MIBPS, FAST_MIBPS = 16, 4096


def job(host, *options):
    """The figures of virsh domjobinfo in bytes, or in pages where it says so."""
    out = host.virsh("domjobinfo", "demo", *options).stdout
    unit = {"B": 1, "KiB": 1 << 10, "MiB": MiB, "GiB": 1 << 30}
    return {name: float(value) * unit.get(word, 1)
            for name, value, word in re.findall(r"^(.+?): +([\d.]+) *(\S*) *$", out, re.M)}


def migrate(d, to, *options):
    """virsh migrate of @d to where @to is, in the background."""
    return subprocess.Popen(["virsh", "migrate", "--live", *options, "--xml", to.xml_path, d.name, to.host.address,
                             "unix://%s/migrate.sock" % to.host.work],
                            env=d.host.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def resized_on_the_way(t, d, d2):
    """The migration is slow until all questions are asked."""
    host = d.host
    places = {c: d.device_class(c)["extents"] for c in BOTH}
    plugged = d.query()[0]["plugged"]
    d.disconnect()
    t.virsh_ok("pzone-resize", "demo", "db", "288MiB", what="a shrink is asked for, and a migration starts")
    moving = migrate(d, d2, "--bandwidth", str(SLOW_MIBPS))
    poll("migration is under way", 30 * SLOW, lambda: job(host).get("Memory processed"))
    t.virsh_ok("pzone-resize", "demo", "db", "448MiB", what="a class may be asked to grow meanwhile")
    t.virsh_ok("pzone-resize", "demo", "batch", "64MiB", what="... and another one to shrink")
    now = {c["name"]: c for c in d.query()[0]["classes"]}
    t.equal((now["batch"]["size"], now["batch"]["actual"], now["batch"]["state"]),
            (64 * MiB, 128 * MiB, "shrinking"), "... which it does not yet")
    t.equal((now["db"]["size"], now["db"]["state"]), (448 * MiB, "growing"), "... neither does the first")
    t.ok(moving.poll() is None and now["db"]["actual"] <= 320 * MiB, "... as long as the migration is under way", now)
    t.virsh_ok("migrate-setspeed", "demo", FAST_MIBPS)
    said = moving.communicate()[0]
    t.equal(moving.returncode, 0, "the migration succeeds", said)
    done = job(host, "--completed")
    sent = 4096 * (done["Constant pages"] + done["Normal pages"])
    total = done["Memory total"]
    t.ok(512 * MiB < sent < 512 * MiB + plugged + 64 * MiB < total,
         "pages were sent of base memory and of what is plugged, and of nothing else",
         "%d MiB sent, %d MiB plugged, %d MiB in all" % (sent // MiB, plugged // MiB, total // MiB))

    d2.connect()
    d2.wait_settled(BOTH)
    t.equal({c: d2.figure(c, "size") for c in BOTH}, {"db": 448 * MiB, "batch": 64 * MiB},
            "over there the guest does what it was asked for")
    t.intact(d2, BOTH, "after the migration")
    t.equal([d2.device_class(c)["extents"][0]["addr"] for c in BOTH], [places[c][0]["addr"] for c in BOTH],
            "the classes are where they were")
    return {c: d2.device_class(c) for c in BOTH}


def refused(t, d, d2, what, change, pattern):
    """A destination that is not the same; the guest must not notice."""
    to = d2.moved_to(d.host)
    with open(to.xml_path) as f:
        xml = f.read()
    with open(to.xml_path, "w") as f:
        f.write(re.sub(change[0], change[1], xml, flags=re.S))
    moving = migrate(d2, to)
    # libvirt passes on what the QEMU over there says only if that is faster than its end
    said = moving.communicate()[0] + to.qemu_log()[-1000:]
    t.ok(moving.returncode == 1 and re.search(pattern, said), "refused: " + what,
         "exit status %d; should be like /%s/" % (moving.returncode, pattern), said)


def test(t, host):
    d = t.domain()
    t.boot(d)
    other = host.second_host()
    other.start_libvirtd()
    other.start_pzoned()
    t.virsh_ok("pzone-resize", "demo", "db", "320MiB", "--wait")
    d.hold("db", 150)
    d.hold("batch", 40)
    d2 = t.move(d, other)
    classes = resized_on_the_way(t, d, d2)
    t.equal(host.domain_state("demo"), "shut off", "the source has it no more")
    out = other.virsh("pzone-list", "demo").stdout
    t.equal((out.count("settled"), out.count("demo")), (2, 0), "pzone-list knows the classes over there", out)

    refused(t, d, d2, "a pool with other blocks", (r"(<block unit='KiB'>)2048<", r"\g<1>4096<"),
            r"block size '4096' doesn't match source.* '2048'")
    refused(t, d, d2, "no pool, but a plain virtio-mem device", (r"<qemu:override>.*</qemu:override>", ""),
            r"'pzone' is 'off' here and 'on'")
    d2.wait_settled(BOTH)
    t.equal({c: d2.device_class(c) for c in BOTH}, classes, "after that all is as it was")
    r = other.virsh("pzone-resize", "demo", "db", "192MiB", "--wait")
    t.equal(r.returncode, 0, "... and db still shrinks", r.stdout, r.stderr)
    t.intact(d2, BOTH, "after all")


run(test)
