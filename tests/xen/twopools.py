# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of each kind of domain: two pools with a class each, isolation, both
ways of a resize with the memory seen at the hypervisor, save and restore.

    TwoPools('hvm', 'vga="none"').run('appear', ...)
"""
from xentest import XenTest, MiB  # noqa: F401

CLASSES = """
 <class name='db' pool='ua'><size unit='MiB'>64</size><limit unit='MiB'>96</limit></class>
 <class name='web' pool='ub'><size unit='MiB'>32</size><limit unit='MiB'>96</limit></class>"""
ALLOWED = {'db': ['/db'], 'web': ['/web']}


class TwoPools(XenTest):
    def __init__(self, kind, config='', patience=90):
        super().__init__()
        self.kind, self.config, self.patience = kind, config, patience

    def prepare(self, host):
        host.configure('demo', {'ua': ('128MiB', '128MiB'), 'ub': ('128MiB', '128MiB')}, CLASSES)
        host.start_xend()
        self.vm = host.create('demo', kind=self.kind, config=self.config, patience=self.patience)

    def appear(self):
        self.equal(self.vm.sh('cat /sys/hypervisor/guest_type'), self.kind.upper(),
                   'the guest is a domain of this kind')
        self.host.settle('demo', 90)
        self.equal(self.class_names(), ['db', 'web'], 'the classes of the file are in the guest')
        self.equal([self.pool(p).addr >> 30 for p in ('ua', 'ub')], [4, 5], 'each pool has its place')
        self.accounts('at the start')

    def isolate(self):
        job = self.start('db', 'pz-hog 40', 'holding', timeout=60)
        web = self.start('web', 'pz-hog 16', 'holding', timeout=60)
        other = self.start(None, 'pz-hog 30', 'holding', timeout=60)
        rows = self.walk()
        self.no_leak_in(ALLOWED, 'nobody else is in a class', rows)
        self.no_leak_out(ALLOWED, 'no page of a class is outside', rows)
        self.ends_well(other, 'memory outside is what was written', timeout=60)
        self.ends_well(web, 'memory in the class is what was written', timeout=60)
        self.ends_well(job, 'and in the other one', timeout=60)

    def comes_to(self, figure, want, what):
        """A PV domain gives back only after the host's reply."""
        self.until(lambda: abs(figure() - want) <= 6)
        self.between(figure(), want - 6, want + 6, what)

    def resize(self):
        host = self.host
        free, mem = host.free_mib(), host.mem_mib('demo')
        for cls in ('db', 'web'):
            self.virsh_ok('pzone-resize', 'demo', cls, '96MiB', '--wait', '--timeout', '90')
        self.comes_to(lambda: host.mem_mib('demo'), mem + 96, 'xl list shows 96 MiB more')
        self.comes_to(host.free_mib, free - 96, 'xl info shows as much less free')
        self.accounts('grown')
        job = self.start('db', 'pz-hog 80', 'holding', timeout=60)
        self.ends_well(job, 'and it is real memory', timeout=60)
        for cls in ('db', 'web'):
            self.virsh_ok('pzone-resize', 'demo', cls, '32MiB', '--wait', '--timeout', '90')
        self.comes_to(lambda: host.mem_mib('demo'), mem - 32, 'xl list shows it coming back')
        self.comes_to(host.free_mib, free + 32, 'and xl info has it free')
        self.accounts('shrunk')

    def killed(self):
        job = self.start('db', 'pz-hog 20', 'holding', timeout=60)
        for i, size in enumerate((96, 32)):
            r = self.host.virsh('pzone-resize', 'demo', 'db', '%dMiB' % size)
            self.host.sh('usleep %d' % (i * 150000))
            self.host.kill_xend()
            self.host.start_xend()
            now = self.host.settle('demo', 90)
            self.equal((r.status, now['db']['actual']), (0, size * MiB),
                       'pzone-xend killed during a resize to %d MiB, it ends there' % size)
        self.ends_well(job, 'memory in use was not touched', timeout=60)

    def saved(self):
        host = self.host
        self.leave('db', 'saved', 'pz-hog 16', 'holding')
        before = {n: c['actual'] for n, c in host.settle('demo').items()}, host.mem_mib('demo')
        host.kill_xend()
        host.start_xend()
        host.sh('mkdir -p /save && mount -t tmpfs -o size=450m tmpfs /save && '
                'xl save demo /save/f && xl restore /save/f; status=$?; umount /save; exit $status', 300)
        self.vm.connect()
        self.equal(({n: c['actual'] for n, c in host.settle('demo', 90).items()}, host.mem_mib('demo')),
                   before, 'saved and restored with both pools, it is as large as before')
        self.virsh_ok('pzone-resize', 'demo', 'web', '64MiB', '--wait', '--timeout', '90')
        self.accounts('after that')
        self.left_well('saved')
