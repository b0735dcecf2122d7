#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A PV domain of a real Xen (under emulation) has memory classes. It fetches the memory
# of its pools itself: nobody else can put it in its place.
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from twopools import TwoPools, MiB  # noqa: E402


class Test(TwoPools):
    def appear(self):
        # TCG's CPU lacks a register that others of its kind have. The kernel of a PV domain
        # says so at boot, with a call trace.
        self.vm.log = re.sub(r'\[[^\n]*unchecked MSR access error: RDMSR from 0xc0010055.*?</TASK>\n', '',
                             self.vm.console(), count=1, flags=re.S)
        super().appear()

    def full_host(self):
        host = self.host
        host.create('big', memory=host.free_mib() - 60, wait=False)
        self.virsh_ok('pzone-resize', 'demo', 'db', '96MiB')
        self.virsh_ok('pzone-resize', 'demo', 'web', '96MiB')
        self.until(lambda: any(c['state'] == 'partial' for c in host.classes('demo').values()))
        now = host.classes('demo')
        self.ok(any(c['state'] == 'partial' for c in now.values()),
                'what the host has no memory for is refused', now)
        job = self.start('db', 'pz-hog 20', 'holding', timeout=60)
        self.ends_well(job, 'the classes work on', timeout=60)
        host.sh('xl destroy big')
        now = host.settle('demo', 90)
        self.equal([now[c]['actual'] for c in ('db', 'web')], [96 * MiB] * 2,
                   'when the host has memory again, it comes')
        for cls in ('db', 'web'):
            self.virsh_ok('pzone-resize', 'demo', cls, '32MiB', '--wait', '--timeout', '90')

    def taken(self):
        """The host says yes, and somebody else is faster: the guest gives back what it can't fill."""
        host = self.host
        host.settle('demo', 90)
        # A maximum below what the domain has. xl wants the balloon's target to be no more
        # than that, and the balloon is not to see it.
        target = '/local/domain/%d/memory/target' % self.vm.domid()
        host.sh('xl pause demo && old=$(xenstore-read %s) && xenstore-write %s 102400 && xl mem-max demo 100 && '
                'xenstore-write %s $old; status=$?; xl unpause demo; exit $status' % ((target,) * 3))
        self.ok(self.until(lambda: 'its maximum was set to 101 MiB' in host.sh('tail -n 9 /tmp/xend.log')),
                'the domain may have less than it has')
        self.virsh_ok('pzone-resize', 'demo', 'db', '96MiB')
        self.until(lambda: host.classes('demo')['db']['state'] == 'partial')
        c = host.classes('demo')['db']
        self.ok(c['state'] == 'partial' and c['actual'] < 96 * MiB, 'what it could not fetch is not plugged', c)
        host.sh('xl mem-max demo 256')
        self.equal(host.settle('demo', 90)['db']['actual'], 96 * MiB, 'when it may, it comes')
        self.accounts('then')


Test('pv').run('appear', 'isolate', 'resize', 'killed', 'full_host', 'taken', 'saved')
