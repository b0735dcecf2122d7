#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirt's driver for Xen (under emulation): a domain's classes are its metadata, pzoned
# applies them, and the commands are those for KVM.
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from xentest import XenTest, MiB  # noqa: E402
from xenhost import Guest  # noqa: E402

DOMAIN = """<domain type='xen'>
 <name>demo</name>
 <memory unit='MiB'>256</memory>
 <vcpu>1</vcpu>
 <metadata><pzones xmlns='urn:pzone:libvirt:domain:1.0'>
  <class name='db' pool='ua'><size unit='MiB'>64</size><limit unit='MiB'>256</limit></class>
 </pzones></metadata>
 <os><type arch='x86_64' machine='xenpvh'>xenpvh</type>
  <kernel>/guest/bzImage</kernel><initrd>/guest/initramfs.cpio.gz</initrd>
  <cmdline>console=hvc0 loglevel=4 panic=-1</cmdline></os>
 <devices><console type='pty'><target type='xen' port='0'/></console></devices>
</domain>"""
WEB = """<pzones xmlns='urn:pzone:libvirt:domain:1.0'>
 <class name='web' pool='ua'><size unit='MiB'>32</size></class></pzones>"""


class Test(XenTest):
    def prepare(self, host):
        host.configure('demo', {'ua': ('512MiB', '480MiB')})
        host.start_xend()
        host.start_libvirt()
        host.put('/tmp/demo.xml', DOMAIN.encode(), '644')
        host.put('/tmp/web.xml', WEB.encode(), '644')
        host.sh('virsh -c xen:///system define /tmp/demo.xml && virsh -c xen:///system start demo', 300)
        self.vm = Guest(host, 'demo')
        self.vm.connect()

    def come(self, names):
        """pzoned learns of changes from libvirt, and looks by itself now and then."""
        self.until(lambda: sorted(self.host.classes('demo')) == names, 120)
        self.host.settle('demo', 90)
        self.equal(self.class_names(), names, 'the classes of the metadata are in the guest')

    def appear(self):
        self.come(['db'])
        self.accounts('at the start')
        self.ok('ua' in self.virsh_ok('pzone-pool-list', 'demo'), 'which shows the pool')

    def resize(self):
        free = self.host.free_mib()
        self.virsh_ok('pzone-resize', 'demo', 'db', '128MiB', '--live', '--config', '--wait', '--timeout', '90')
        self.accounts('grown')
        self.between(free - self.host.free_mib(), 60, 68, 'xl info shows as much less free')
        xml = self.host.sh('virsh -c xen:///system dumpxml --inactive demo')
        self.ok('unit="MiB">128<' in xml, 'its persistent definition says the new size', xml)
        self.virsh_fails(('pzone-resize', 'demo', 'db', '450MiB'), 'limit', 'more than the limit is refused')

    def define(self):
        self.virsh_ok('pzone-define', 'demo', '/tmp/web.xml', '--live', '--config')
        self.come(['db', 'web'])
        self.virsh_ok('pzone-undefine', 'demo', 'web', '--live', '--config')
        self.come(['db'])

    def again(self):
        host = self.host
        self.vm.close()
        host.sh('virsh -c xen:///system destroy demo && virsh -c xen:///system start demo', 300)
        self.vm.connect()
        self.come(['db'])
        self.equal(host.classes('demo')['db']['actual'], 128 * MiB,
                   'started anew it has the size of its persistent definition')
        host.kill_xend()
        self.virsh_fails(('pzone-resize', 'demo', 'db', '64MiB'), 'pzone-xend', 'without pzone-xend that is said')
        host.start_xend()
        self.virsh_ok('pzone-resize', 'demo', 'db', '64MiB', '--wait', '--timeout', '90')
        self.accounts('at the end')


Test().run('appear', 'resize', 'define', 'again')
