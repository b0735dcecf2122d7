# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone_test: TAP for the end-to-end tests.

    def test(t, host):
        d = t.domain()
        t.boot(d)
        t.ok(..., "...")
    run(test)

A test that raises or runs longer than PZONE_TEST_TIMEOUT seconds has failed,
and shows the ends of all logs. So has one whose guest kernel complained.
"""
import os
import signal
import sys
import traceback

import pzone_host
from pzone_domain import Domain, SLOW

TIMEOUT_S = int(float(os.environ.get("PZONE_TEST_TIMEOUT", "300")) * SLOW)


class Test:
    def __init__(self, host):
        self.host = host
        self.count = 0
        self.failed = 0
        self.domains = []

    def diag(self, text, file=None):
        for line in str(text).rstrip("\n").splitlines():
            print("# " + line, file=file or sys.stdout, flush=True)

    def complain(self, text):
        """Goes to stderr, where prove lets people see it."""
        self.diag(text, sys.stderr)

    def ok(self, good, what, *details):
        """One result; @details are shown when it is bad."""
        self.count += 1
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, what), flush=True)
        if not good:
            self.failed += 1
            self.complain("%s: failed %d - %s" % (os.path.basename(sys.argv[0]), self.count, what))
            for d in details:
                self.complain(d)
        return bool(good)

    def equal(self, got, wanted, what, *details):
        return self.ok(got == wanted, what, "got:    %r" % (got,), "wanted: %r" % (wanted,), *details)

    def near(self, got, wanted, tolerance, what):
        return self.ok(abs(got - wanted) <= tolerance, what,
                       "got:    %d" % got, "wanted: %d, within %d" % (wanted, tolerance))

    def virsh_ok(self, *args, what=None, **kwargs):
        """virsh that must succeed; returns its stdout."""
        r = self.host.virsh(*args, **kwargs)
        self.ok(r.returncode == 0, what or "virsh " + " ".join(map(str, args)),
                "exit status %d" % r.returncode, r.stdout, r.stderr)
        return r.stdout

    def virsh_fails(self, args, status, pattern, what):
        """virsh that must fail with @status and one sentence like @pattern."""
        import re
        r = self.host.virsh(*args)
        lines = [l for l in r.stderr.splitlines() if l.strip()]
        self.ok(r.returncode == status and re.search(pattern, r.stderr) and len(lines) == 1, what,
                "exit status %d, wanted %d; stderr should be one line like /%s/" %
                (r.returncode, status, pattern), r.stdout, r.stderr)

    def domain(self, **kwargs):
        d = Domain(self.host, **kwargs)
        self.domains.append(d)
        return d

    def move(self, d, host):
        """@d as it will be on @host, where virsh migrate is about to bring it."""
        d2 = d.moved_to(host)
        self.domains.append(d2)
        return d2

    def intact(self, d, classes, when):
        """The programs of d.hold() find what they have written."""
        for cls in classes:
            said = d.verify(cls)
            self.ok(said.startswith("verified"), "the program in %s finds all that it wrote, %s" % (cls, when), said)

    def boot(self, d, classes=("db", "batch"), timeout_s=60):
        """Define and start @d, wait for its guest and (if any) its classes."""
        for args in (("define", d.xml_path), ("start", d.name)):
            r = self.host.virsh(*args)
            if r.returncode:
                raise RuntimeError("virsh %s: %s" % (args[0], r.stderr.strip()))
        d.connect()
        if classes:
            d.wait_settled(classes, timeout_s)

    def show_logs(self):
        for host in {self.host, *(d.host for d in self.domains)}:
            for name in ("pzoned", "libvirtd"):
                self.complain("--- %s%s" % (name, " of host " + host.name if host.name else ""))
                self.complain(host.log_tail(name, 12))
        for d in self.domains:
            self.complain("--- console of %s" % d.name)
            self.complain("\n".join(d.console().splitlines()[-25:]))
            self.complain("--- QEMU of %s" % d.name)
            self.complain("\n".join(d.qemu_log().splitlines()[-10:]))


class TookTooLong(BaseException):
    """Nobody on the way may take this for an error of his own."""


def _timeout(_sig, _frame):
    raise TookTooLong("the test took longer than %d s" % TIMEOUT_S)


def run(test, pzoned=True):
    """Run test(t, host) on a private host with libvirtd and (default) pzoned."""
    def main(host):
        t = Test(host)
        signal.signal(signal.SIGALRM, _timeout)
        signal.alarm(TIMEOUT_S)
        try:
            t.diag("guests run with %s: %s" % (host.accel, host.accel_why))
            host.start_libvirtd()
            if pzoned:
                host.start_pzoned()
            test(t, host)
            for d in t.domains:
                bad = d.complaints()
                t.ok(not bad, "the guest kernel of %s has nothing to complain of" % d.name, *bad[:10])
        except KeyboardInterrupt:
            raise
        except BaseException:
            signal.alarm(0)
            t.ok(False, "the test runs to its end", traceback.format_exc())
        signal.alarm(0)
        if t.failed:
            t.show_logs()
        print("1..%d" % t.count, flush=True)
        return 1 if t.failed else 0
    pzone_host.run(main)
