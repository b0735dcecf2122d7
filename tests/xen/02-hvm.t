#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A HVM domain of a real Xen (under emulation), with a device model and two pools, has
# memory classes as a PVH domain has them.
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from xentest import XenTest, MiB  # noqa: E402

CLASSES = """
 <class name='db' pool='ua'><size unit='MiB'>64</size><limit unit='MiB'>96</limit></class>
 <class name='web' pool='ub'><size unit='MiB'>32</size><limit unit='MiB'>96</limit></class>"""
ALLOWED = {'db': ['/db'], 'web': ['/web']}


class Test(XenTest):
    def prepare(self, host):
        host.configure('hvm', {'ua': ('128MiB', '128MiB'), 'ub': ('128MiB', '128MiB')}, CLASSES)
        host.start_xend()
        # Its BIOS reads kernel and initramfs byte by byte: that takes minutes.
        self.vm = host.create('hvm', kind='hvm', config='vga="none"\nvnc=0\nusb=0\n', patience=900)

    def appear(self):
        self.equal(self.vm.sh('cat /sys/hypervisor/guest_type'), 'HVM', 'the guest is a HVM domain')
        self.ok('xen-qemu-system' in self.host.sh('ps'), 'with a device model')
        self.host.settle('hvm', 90)
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

    def resize(self):
        host = self.host
        free, mem = host.free_mib(), host.mem_mib('hvm')
        self.virsh_ok('pzone-resize', 'hvm', 'db', '96MiB', '--wait', '--timeout', '90')
        self.virsh_ok('pzone-resize', 'hvm', 'web', '96MiB', '--wait', '--timeout', '90')
        self.accounts('grown')
        self.between(host.mem_mib('hvm') - mem, 95, 97, 'xl list shows 96 MiB more')
        self.between(free - host.free_mib(), 90, 102, 'xl info shows as much less free')
        self.virsh_ok('pzone-resize', 'hvm', 'db', '32MiB', '--wait', '--timeout', '90')
        self.virsh_ok('pzone-resize', 'hvm', 'web', '32MiB', '--wait', '--timeout', '90')
        self.accounts('shrunk')
        self.between(mem - host.mem_mib('hvm'), 31, 33, 'xl list shows it coming back')
        self.between(host.free_mib() - free, 26, 38, 'and xl info has it free')

    def saved(self):
        host = self.host
        job = self.leave('db', 'saved', 'pz-hog 16', 'holding')
        before = {n: c['actual'] for n, c in host.settle('hvm').items()}, host.mem_mib('hvm')
        host.kill_xend()
        host.start_xend()
        host.sh('mkdir -p /save && mount -t tmpfs -o size=450m tmpfs /save && '
                'xl save hvm /save/f && xl restore /save/f; status=$?; umount /save; exit $status', 300)
        self.vm.connect()
        self.equal(({n: c['actual'] for n, c in host.settle('hvm', 90).items()}, host.mem_mib('hvm')),
                   before, 'saved and restored with both pools, it is as large as before')
        self.virsh_ok('pzone-resize', 'hvm', 'web', '64MiB', '--wait', '--timeout', '90')
        self.accounts('after that')
        self.left_well('saved')


Test().run('appear', 'isolate', 'resize', 'saved')
