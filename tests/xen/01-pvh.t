#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A PVH domain of a real Xen (under emulation) has memory classes: isolation, both
# ways of a resize with the memory seen at the hypervisor, life and death of classes,
# a controller that is killed, a host that is full, a guest that lies.
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from xentest import XenTest, MiB, SLOW  # noqa: E402

CLASSES = """
 <class name='db' pool='ua'><size unit='MiB'>128</size>
  <guarantee unit='MiB'>32</guarantee><limit unit='MiB'>400</limit></class>
 <class name='batch' pool='ua'><size unit='MiB'>64</size>
  <guarantee unit='MiB'>16</guarantee><limit unit='MiB'>128</limit></class>"""
ALLOWED = {'db': ['/db'], 'batch': ['/batch']}


class Test(XenTest):
    def prepare(self, host):
        host.configure('demo', {'ua': ('512MiB', '480MiB')}, CLASSES)
        host.configure('liar', {'lp': ('128MiB', '128MiB')},
                       "<class name='c' pool='lp'><size unit='MiB'>32</size></class>")
        host.configure('late', {'lt': ('128MiB', '128MiB')},
                       "<class name='c' pool='lt'><size unit='MiB'>96</size></class>")
        host.configure('saver', {'sp': ('128MiB', '128MiB')},
                       "<class name='db' pool='sp'><size unit='MiB'>32</size></class>")
        host.start_xend()
        self.vm = host.create('demo')

    # --- the steps ---

    def appear(self):
        now = self.host.settle('demo', 90)
        self.equal(sorted(now), ['batch', 'db'], 'the classes of the file are there')
        self.equal(self.class_names(), ['batch', 'db'], 'and in the guest')
        self.accounts('at the start')
        out = self.virsh_ok('pzone-list', 'demo')
        self.ok(re.search(r'db +ua +128 MiB .*settled', out), 'pzone-list shows them', out)
        pool = self.pool('ua')
        self.equal(pool.addr, 4 << 30, 'the pool lies at 4 GiB, behind the memory of the domain')

    def isolate(self):
        job = self.start('db', 'pz-hog 80', 'holding', timeout=60)
        w = self.walk_pid(job.pid)
        self.ok(w.get(('db', 'anon'), 0) >= 80 * 256, 'a task of a class allocates in it', w)
        self.equal([k for k in w if k[1] == 'anon' and k[0] != 'db'], [], 'and nowhere else')
        other = self.start(None, 'pz-hog 40', 'holding', timeout=60)
        rows = self.walk()
        self.no_leak_in(ALLOWED, 'nobody else is in a class', rows)
        self.no_leak_out(ALLOWED, 'no page of a class is outside', rows)
        r = self.vm.run('pz-exec batch pz-hog 200', 60)
        self.equal(r.status, 137, 'who wants more than the class has is killed')
        self.ok(not job.done() and not other.done(), 'and nobody else')
        self.ends_well(other, 'memory outside is what was written', timeout=60)
        self.ends_well(job, 'memory in the class is what was written', timeout=60)

    def resize(self):
        free, mem = self.host.free_mib(), self.host.mem_mib('demo')
        self.virsh_ok('pzone-resize', 'demo', 'db', '256MiB', '--wait', '--timeout', '60')
        self.accounts('grown')
        self.between(self.host.mem_mib('demo') - mem, 127, 129, 'xl list shows 128 MiB more')
        self.between(free - self.host.free_mib(), 120, 136, 'xl info shows as much less free')
        job = self.start('db', 'pz-hog 200', 'holding', timeout=90)
        self.ends_well(job, 'and it is real memory', timeout=90)
        self.virsh_ok('pzone-resize', 'demo', 'db', '64MiB', '--wait', '--timeout', '90')
        self.accounts('shrunk')
        self.between(mem - self.host.mem_mib('demo'), 63, 65, 'xl list shows it coming back')
        self.between(self.host.free_mib() - free, 56, 72, 'and xl info has it free')

    def create_and_destroy(self):
        host = self.host
        host.configure('demo', {'ua': ('512MiB', '480MiB')}, CLASSES +
                       "<class name='web' pool='ua'><size unit='MiB'>32</size></class>")
        host.sh('kill -HUP $(cat /tmp/xend.pid)')
        self.until(lambda: 'web' in host.classes('demo'))
        host.settle('demo')
        self.equal(self.class_names(), ['batch', 'db', 'web'], 'a class created at run time is in the guest')
        r = self.vm.run('pz-exec web pz-hog 8 >/tmp/web.log 2>&1 & sleep 2; pz-walk | grep web', 30)
        self.ok('web' in r.out, 'and is used', r.out)
        self.vm.run('kill $(pidof pz-hog)')
        self.equal(host.classes('demo')['db']['size'], 64 * MiB,
                   'who was resized keeps its size when the file is read again')
        free = host.free_mib()
        host.configure('demo', {'ua': ('512MiB', '480MiB')}, CLASSES)
        host.sh('kill -HUP $(cat /tmp/xend.pid)')
        self.until(lambda: 'web' not in host.classes('demo'))
        self.equal(self.class_names(), ['batch', 'db'], 'a class that is taken out of the file is destroyed')
        self.between(host.free_mib() - free, 28, 36, 'and the hypervisor has its memory')

    def killed(self):
        host = self.host
        job = self.start('db', 'pz-hog 40', 'holding', timeout=60)
        before = {n: (c['size'], c['actual']) for n, c in host.classes('demo').items()}
        host.kill_xend()
        self.virsh_fails(('pzone-list', 'demo'), 'does it run', 'without pzone-xend the tools say so')
        host.start_xend()
        now = host.settle('demo')
        self.equal({n: (c['size'], c['actual']) for n, c in now.items()}, before,
                   'killed and started again it knows everything')
        # killed in the middle of a resize, at different places
        for i, size in enumerate((200, 80, 240, 64)):
            r = host.virsh('pzone-resize', 'demo', 'db', '%dMiB' % size)
            host.sh('usleep %d' % (i * 120000))
            host.kill_xend()
            host.start_xend()
            now = host.settle('demo', 90)
            self.equal((r.status, now['db']['actual']), (0, size * MiB),
                       'killed during a resize to %d MiB, it ends there' % size)
        self.accounts('after four kills')
        self.ends_well(job, 'memory in use was not touched', timeout=60)
        r = host.run('timeout 5 pzone-xend; echo $?')
        self.ok('another one' in r.err, 'a second pzone-xend refuses to start', r.out, r.err)

    def full_host(self):
        """Another domain takes what the host has left."""
        host = self.host
        size = host.free_mib() - 200
        host.create('big', memory=size, wait=False)
        self.ok(host.free_mib() < 210, 'the host is nearly full', host.free_mib())
        self.virsh_ok('pzone-resize', 'demo', 'db', '320MiB')
        self.until(lambda: host.classes('demo')['db']['state'] == 'partial')
        c = host.classes('demo')['db']
        self.equal(c['state'], 'partial', 'what the host has no memory for is refused')
        self.ok('no memory' in (c.get('last_error') or ''), 'with the reason', c)
        self.equal(c['actual'], 64 * MiB, 'the class keeps what it has')
        job = self.start('db', 'pz-hog 30', 'holding', timeout=60)
        self.ends_well(job, 'and works', timeout=60)
        late = host.create('late', memory=128)
        self.until(lambda: host.classes('late')['c']['state'] == 'partial')
        c = host.classes('late')['c']
        self.ok(c['state'] == 'partial' and 'no memory' in (c.get('last_error') or ''),
                'a domain that the host has room for, but not for its class, runs without', c)
        self.equal(int(late.sh('cat /sys/kernel/mm/pzone/class/c/size')), 0, 'its class is there, and empty')
        host.sh('xl destroy big')
        now = host.settle('demo', 90)
        self.equal(now['db']['actual'], 320 * MiB, 'when the host has memory again, it comes')
        self.equal(host.settle('late', 90)['c']['actual'], 96 * MiB, 'to the other one, too')
        late.destroy()
        self.virsh_ok('pzone-resize', 'demo', 'db', '64MiB', '--wait', '--timeout', '90')

    # --- saved and restored: a small domain, for dom0 has to hold the file ---

    def saver(self):
        """A domain with memory of a class in use."""
        host = self.host
        vm = host.create('saver', memory=128)
        host.settle('saver', 90)
        self.on(vm).leave('db', 'saved', 'pz-hog 16', 'holding')
        host.sh('mkdir -p /save && mount -t tmpfs -o size=450m tmpfs /save')
        return vm

    def what_it_has(self):
        return ({n: (c['size'], c['actual']) for n, c in self.host.settle('saver', 90).items()},
                self.host.mem_mib('saver'))

    def restored(self, vm, before, what):
        """Sizes are as before, and can be changed."""
        vm.connect()
        now = self.what_it_has()
        self.equal(now, before, what + ': the classes and the domain are as large as before')
        for size in ('64MiB', '32MiB'):
            self.virsh_ok('pzone-resize', 'saver', 'db', size, '--wait', '--timeout', '90')

    def saver_ends(self, vm):
        self.on(vm).left_well('saved')
        bad = vm.complaints()
        self.ok(not bad, 'the restored kernel has nothing to complain of', *bad[:10])
        vm.destroy()
        self.host.sh('umount /save')

    def saved(self):
        """xl save and restore, and pzone-xend killed and started when it hurts most."""
        host = self.host
        vm = self.saver()
        before = self.what_it_has()
        host.sh('xl save saver /save/f', 300)
        self.ok('saver' not in host.sh('xl list'), 'the domain is saved and gone')
        host.kill_xend()
        host.start_xend()
        host.sh('xl restore /save/f', 300)
        self.restored(vm, before, 'saved and restored')

        host.kill_xend()
        host.sh('xl save saver /save/f', 300)
        r = host.run('xl restore /save/f', 300)
        self.ok(r.status, 'without pzone-xend it is saved, but not restored', r.out, r.err)
        host.start_xend()
        self.ok('may have been saved' in host.sh('tail -n 5 /tmp/xend.log'),
                'pzone-xend keeps what it knows of a domain that it has not seen go')
        host.sh('xl restore /save/f', 300)
        self.restored(vm, before, 'then with it')

        host.sh('xl save saver /save/f >/tmp/save.log 2>&1 & echo $! >/tmp/save.pid; '
                'until xenstore-read /tool/pzone/$(xl list -v | awk \'$1 == "saver" { print $7 }\')/saved '
                '>/dev/null 2>&1; do usleep 1000; done', 60)
        host.kill_xend()
        host.start_xend()
        host.sh('while [ -d /proc/$(cat /tmp/save.pid) ]; do usleep 50000; done; '
                '! xl domid saver 2>/dev/null', 300)
        host.sh('xl restore /save/f >/tmp/restore.log 2>&1 & echo $! >/tmp/restore.pid; '
                'until xl domid saver >/dev/null 2>&1; do usleep 1000; done', 60)
        host.kill_xend()
        host.start_xend()
        host.sh('while [ -d /proc/$(cat /tmp/restore.pid) ]; do usleep 50000; done', 300)
        if host.run('xl domid saver').status:
            self.diag('killed while restoring: xl says it failed, and is called again',
                      host.sh('tail -n 3 /tmp/restore.log'))
            host.sh('xl restore /save/f', 300)
        self.restored(vm, before, 'killed while saving and while restoring')
        self.saver_ends(vm)

    def lost(self):
        """What is in the store does not fit the file, or is gone."""
        host = self.host
        vm = self.saver()
        host.sh('xl save -c saver /save/f', 300)
        vm.connect()
        self.virsh_ok('pzone-resize', 'saver', 'db', '64MiB', '--wait', '--timeout', '90')
        host.sh('xl save saver /save/g', 300)
        keys = host.sh('xenstore-ls /tool/pzone')
        host.sh('xl restore /save/f', 300)
        vm.connect()
        self.virsh_fails(('pzone-list', 'saver'), 'of another time',
                         'a file of another time than the store is told from the right one')
        self.equal(host.sh('xenstore-ls /tool/pzone'), keys, 'and nothing in the store was changed')
        self.equal(int(vm.sh('cat /sys/kernel/mm/pzone/class/db/size')), 32 * MiB,
                   'its classes still have their memory')
        host.sh('xl destroy saver; xl restore /save/g', 300)
        vm.connect()
        self.equal(host.settle('saver', 90)['db']['actual'], 64 * MiB, 'the right file is restored')
        host.sh('rm /save/f /save/g; xl save saver /save/f', 300)
        # As on another host: nothing is known, and xl is told to allow more memory.
        host.sh('xenstore-rm /tool/pzone')
        host.sh('sed "s/^memory=.*/memory=256/" /tmp/saver.cfg >/tmp/saver2.cfg; '
                'xl restore /tmp/saver2.cfg /save/f', 300)
        vm.connect()
        self.ok(self.until(lambda: 'has lost what it knew' in vm.console()),
                'a guest whose host has forgotten it says so')
        vm.expected.append('has lost what it knew')
        self.equal(int(vm.sh('cat /sys/kernel/mm/pzone/class/db/size')), 64 * MiB,
                   'and its classes keep their memory')
        self.saver_ends(vm)

    def rebooted(self):
        """A new domain with the same UUID: its classes are as defined, not as they were."""
        host = self.host
        vm = host.create('saver', memory=128)
        host.settle('saver', 90)
        self.virsh_ok('pzone-resize', 'saver', 'db', '64MiB', '--wait', '--timeout', '90')
        old = vm.domid()
        host.sh('xl reboot saver')
        self.ok(self.until(lambda: host.run('xl domid saver').out.strip() not in ('', str(old)), 120),
                'the domain is rebooted')
        vm.connect()
        self.ok(self.until(lambda: host.run('virsh-pzone -c xl:/// pzone-list saver').status == 0),
                'pzone-xend has it')
        self.equal(host.settle('saver', 90)['db']['actual'], 32 * MiB,
                   'its class has the size that the file says')
        plugged = int(vm.sh('cat /sys/kernel/mm/pzone/pool/sp/plugged')) >> 20
        self.between(host.mem_mib('saver') - plugged, 122, 130, 'and it has no memory of its former life')
        vm.destroy()
        self.ok(self.until(lambda: len(host.sh('xenstore-list /tool/pzone').split()) == 1),
                'nothing is left of it in the store', host.sh('xenstore-list /tool/pzone'))

    def damaged(self):
        """State that can't be loaded: the domain is left alone until it is mended."""
        host = self.host
        own = '/tool/pzone/' + host.sh("xl list -v | awk '$1 == \"demo\" { print $7 }'")
        dump = 'xenstore-ls -fp | grep -e %s -e domain/%d/pzone/ | grep -v /guest/' % (
            own, self.vm.domid())
        job = self.start('db', 'pz-hog 30', 'holding', timeout=60)
        for key, bad, said in (('pool/ua/state-0', 'AAAA', 'state: '), ('base-kib', 'much', 'base-kib'),
                               ('pool/ua/size', '12345', 'addr and size'),
                               ('pool/ua/pending', '250+10', 'pending'),
                               ('pool/ua/reply', 'hello', 'reply')):
            host.kill_xend()
            good = host.run('xenstore-read %s/%s' % (own, key))
            host.sh('xenstore-write %s/%s %s' % (own, key, bad))
            before = host.sh(dump), host.mem_mib('demo')
            host.start_xend()
            self.virsh_fails(('pzone-list', 'demo'), re.escape(said), 'damaged %s is told' % key)
            self.equal((host.sh(dump), host.mem_mib('demo')), before,
                       'and nothing of the domain was changed')
            host.sh('xenstore-%s %s/%s %s' % ('rm' if good.status else 'write', own, key,
                                             '' if good.status else "'%s'" % good.out.strip()))
            host.settle('demo', 90)
        self.ok(host.sh('grep -c "left alone" /tmp/xend.log') == '5', 'each is said once, not each second')
        self.accounts('mended')
        self.ends_well(job, 'memory in use was not touched', timeout=60)

    def refusals(self):
        self.virsh_fails(('pzone-resize', 'demo', 'db', '450MiB'), 'limit', 'more than the limit is refused')
        self.virsh_fails(('pzone-resize', 'demo', 'db', '33MiB'), 'multiple', 'an odd size is refused')
        self.virsh_fails(('pzone-resize', 'demo', 'nix', '32MiB'), "nix", 'an unknown class is refused')
        self.virsh_fails(('pzone-list', 'nix'), "nix", 'an unknown domain is refused')
        self.virsh_fails(('pzone-resize', 'demo', 'db', '96MiB', '--config'), 'file of pzone-xend',
                         'a change of the file is refused, with the way to do it')

    def lies(self):
        """A guest without a driver of ours writes what it likes; root of dom0 plays it."""
        host = self.host
        fake = host.create('liar', memory=128, ramdisk='', wait=False)
        host.sh('xl pause liar')
        base = '/local/domain/%d/pzone/lp' % fake.domid()
        self.until(lambda: not host.run('xenstore-read %s/generation' % base).status)
        owner = host.sh('xenstore-ls -p %s | grep guest' % base)
        self.ok(re.search(r'\(n%d\)' % fake.domid(), owner), 'guest/ belongs to the guest', owner)
        # "(n0,r5)": the owner, with what all others may, and then who may what
        perms = host.sh('xenstore-ls -p %s | grep -v guest' % base)
        self.ok('(n0,r%d)' % fake.domid() in perms, 'the guest can read the rest', perms)
        self.ok(not re.search(r'\((n%d\b|[^()]*[bw]\d)' % fake.domid(), perms),
                'and write nothing of it', perms)
        own = host.sh('xenstore-ls -p /tool/pzone')
        self.ok('state-0' in own and not re.search(r'\([^()]*([rbw]\d|n%d\b)' % fake.domid(), own),
                'what the controller keeps it can not even read', own)
        mem = host.mem_mib('liar')
        seq = 0

        def ask(text):
            nonlocal seq
            seq += 1
            host.sh("xenstore-write %s/guest/request '%d %s'" % (base, seq, text))
            for _ in range(100):
                reply = host.run('xenstore-read %s/reply' % base).out.strip()
                if reply.startswith('%d ' % seq):
                    return reply.split()[1]
                time.sleep(0.1)
            return 'none'

        gen = host.sh('xenstore-read %s/generation' % base)
        self.equal(ask('unplug-all'), 'ack', 'a right request is acknowledged')
        gen = host.sh('xenstore-read %s/generation' % base)
        for text in ('plug', 'plug x', 'plug %s 1:0+1' % gen, 'plug %s 7:0+1' % gen,
                     'plug %s 0:4294967295+4294967295' % gen, 'plug %s 0:0+0' % gen,
                     'plug %s 0:62+2 0:62+2' % gen, 'unplug %s 1:0+16' % gen, 'destroy 1',
                     'plug %s%s' % (gen, ' 0:62+2' * 200)):
            self.equal(ask(text), 'error', 'refused: "%.40s"' % text)
        self.equal(ask('plug 12345 0:62+2'), 'nack', 'an old generation is told so')
        self.equal(host.mem_mib('liar'), mem, 'and none of it got a page')
        host.sh("for i in 0 1 2 9 x ../..; do xenstore-write %s/guest/report/$i 'state=99 free=-1'; "
                "xenstore-write %s/guest/event/$i 'oom oom oom'; done 2>/dev/null; "
                "xenstore-write %s/guest/done 18446744073709551616; "
                "xenstore-write %s/guest/request garbage; xenstore-rm %s/guest" % ((base,) * 5), check=False)
        self.equal(host.classes('demo')['db']['actual'], 64 * MiB, 'pzone-xend goes on')
        host.sh('xl destroy liar')


Test().run('appear', 'isolate', 'resize', 'create_and_destroy', 'killed', 'damaged', 'saved',
           'lost', 'rebooted', 'full_host', 'refusals', 'lies')
