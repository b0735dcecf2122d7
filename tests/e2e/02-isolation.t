#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Neither takes from the other: class from class, class from base, base from class."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from pzone_domain import MiB, SLOW  # noqa: E402
from pzone_test import run          # noqa: E402


def took_mib(job):
    steps = re.findall(r"^took (\d+)$", job.out.decode(), re.M)
    return int(steps[-1]) if steps else 0


def pid(job):
    return int(re.search(r"pid (\d+)", job.text()).group(1))


def finish(job):
    """End a program of ours, which then verifies its memory; its status."""
    job.agent.run("kill -TERM %d" % pid(job))
    return job.wait(60 * SLOW).status


def test(t, host):
    d = t.domain()
    t.boot(d)
    agent = d.agent

    db = agent.start("exec pz-exec db pz-hog 200")
    db.wait_output("holding", 60 * SLOW)
    base = agent.start("exec pz-hog 64")
    base.wait_output("holding", 60 * SLOW)
    db_free, base_free = d.figure("db", "free"), d.base_free()
    t.ok(db_free < 60 * MiB, "200 MiB of a program in db lie in db", "free: %d" % db_free)
    t.near(d.figure("batch", "free"), d.figure("batch", "size"), 6 * MiB, "... and none of it in batch")
    walk = d.sh("pz-walk -p %d" % pid(db))
    in_db = sum(int(n) for n in re.findall(r"^pid \d+ db anon (\d+)$", walk, re.M))
    elsewhere = re.findall(r"^pid \d+ (?!db )\S+ anon (\d+)$", walk, re.M)
    t.ok(in_db >= 200 * 256 and sum(map(int, elsewhere)) <= 16,
         "page by page: its anonymous memory is in db's range", walk)

    batch = agent.start("exec pz-exec batch pz-hog 512")
    r = batch.wait(90 * SLOW)
    got = took_mib(batch)
    t.equal(r.status, 137, "a program in batch that wants 512 MiB is killed")
    t.ok(100 <= got <= 128, "... at the size of its class, 128 MiB", "took %d MiB" % got)
    t.near(d.figure("db", "free"), db_free, 1 * MiB, "db lost nothing")
    t.near(d.base_free(), base_free, 12 * MiB, "the rest of the guest lost nothing")
    t.near(d.figure("batch", "free"), d.figure("batch", "size"), 6 * MiB, "batch is free again")
    t.ok(db.status is None and not db.done() and not base.done(), "nobody else was killed")

    hog = agent.start("exec pz-hog 700")
    r = hog.wait(90 * SLOW)
    t.equal(r.status, 137, "a program without a class that wants 700 MiB is killed")
    t.ok(took_mib(hog) < 512, "... before it got more than base memory has", "took %d MiB" % took_mib(hog))
    t.near(d.figure("db", "free"), db_free, 1 * MiB, "it took nothing from db")
    t.near(d.figure("batch", "free"), d.figure("batch", "size"), 6 * MiB, "... and nothing from batch")

    cache = agent.run("mount -t tmpfs -o size=90m none /mnt && "
                      "exec pz-exec batch dd if=/dev/zero of=/mnt/f bs=1M count=64 2>/dev/null",
                      60 * SLOW, check=False)
    t.equal(cache.status, 0, "a program in batch writes a file of 64 MiB to memory")
    t.ok(d.figure("batch", "free") < 70 * MiB, "... and the file lies in batch",
         "free: %d" % d.figure("batch", "free"))
    t.near(d.figure("db", "free"), db_free, 1 * MiB, "... not in db")
    d.sh("umount /mnt")

    t.equal(finish(db), 0, "db's program finds all its memory as it wrote it")
    if not base.done():
        t.equal(finish(base), 0, "so does the one without a class")
    else:
        t.diag("the program without a class was the victim of the one that wanted 700 MiB")


run(test)
