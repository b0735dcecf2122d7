# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP for tests on a nested Xen host.

    class Test(XenTest):
        def prepare(self, host):
            host.configure(...)
            self.vm = host.create('demo')

        def one(self):
            self.virsh_ok('pzone-list', 'demo')

    Test().run('one', ...)

Names of steps as arguments of the program: only these.
"""
import os
import re
import signal
import sys
import time
import traceback

from xenhost import XenHost, MiB, SLOW, TOP  # noqa: F401
sys.path.insert(0, os.path.join(TOP, 'tests/guest'))
from guest_test import Tap  # noqa: E402

TIMEOUT_S = float(os.environ.get('PZONE_TEST_TIMEOUT', '1500'))


def _too_late(*_):
    raise TimeoutError('too late')


class XenTest(Tap):
    host = None

    def prepare(self, host):
        """Make self.vm, the domain that the steps are about."""
        raise NotImplementedError

    def virsh_ok(self, *args):
        r = self.host.virsh(*args)
        self.ok(r.status == 0, 'virsh-pzone -c %s %s' % (self.host.uri, ' '.join(map(str, args))),
                r.out, r.err)
        return r.out

    def virsh_fails(self, args, pattern, what):
        r = self.host.virsh(*args)
        self.ok(r.status != 0 and re.search(pattern, r.err), what,
                'status %d' % r.status, r.out, r.err)

    def until(self, condition, timeout=60):
        """Wait; returns whether it came true."""
        end = time.monotonic() + timeout * SLOW
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.3)
        return True

    def accounts(self, what, base_mib=256):
        """Guest, controller and hypervisor say the same of the domain's memory."""
        name = self.vm.name
        classes = self.host.classes(name)
        for cls, c in classes.items():
            f = self.cls(cls)
            self.ok(f and f.size == c['actual'] == c['size'],
                    '%s: class %s has the same size everywhere' % (what, cls), dict(f or {}), c)
        pools = sorted({c['pool'] for c in classes.values()})
        plugged = sum(self.pool(p).plugged for p in pools) >> 20
        self.between(self.host.mem_mib(name) - plugged, base_mib - 6, base_mib + 2,
                     '%s: xl list shows what is plugged, and the base' % what)

    def steps(self, names):
        for name in names:
            if len(sys.argv) < 2 or name in sys.argv[1:]:
                self.diag(name)
                getattr(self, name)()
        bad = self.vm.complaints()
        lines = self.vm.console().splitlines()
        at = lines.index(bad[0]) if bad and bad[0] in lines else len(lines)
        self.ok(not bad, 'the guest kernel has nothing to complain of', *bad[:10], *lines[max(0, at - 5):at + 30])

    def run(self, *names):
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(int(TIMEOUT_S * SLOW))
        try:
            with XenHost() as host:
                self.host = host
                self.diag('Xen and dom0 booted in %.0f s' % host.boot_seconds)
                try:
                    self.prepare(host)
                    self.steps(names)
                finally:
                    if self.failed or sys.exc_info()[0]:
                        self.diag(host.sh('tail -n 30 /tmp/xend.log', check=False))
        except Exception:
            self.ok(False, 'the test runs to its end', traceback.format_exc())
        signal.alarm(0)
        self.done()
