#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A PVH domain of a real Xen (under emulation) has memory classes: isolation, both
# ways of a resize with the memory seen at the hypervisor, life and death of classes,
# a controller that is killed, a host that is full, a guest that lies.
import os
import re
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from xenhost import XenHost, MiB, SLOW, TOP  # noqa: E402
sys.path.insert(0, os.path.join(TOP, 'tests/guest'))
from guest_test import Tap  # noqa: E402

CLASSES = """
 <class name='db' pool='ua'><size unit='MiB'>128</size>
  <guarantee unit='MiB'>32</guarantee><limit unit='MiB'>400</limit></class>
 <class name='batch' pool='ua'><size unit='MiB'>64</size>
  <guarantee unit='MiB'>16</guarantee><limit unit='MiB'>128</limit></class>"""
ALLOWED = {'db': ['/db'], 'batch': ['/batch']}


class Test(Tap):
    def virsh_ok(self, *args):
        r = self.host.virsh(*args)
        self.ok(r.status == 0, 'virsh-pzone -c xl:/// ' + ' '.join(map(str, args)), r.out, r.err)
        return r.out

    def virsh_fails(self, args, pattern, what):
        r = self.host.virsh(*args)
        self.ok(r.status != 0 and re.search(pattern, r.err), what,
                'status %d' % r.status, r.out, r.err)

    def accounts(self, what):
        """Guest, controller and hypervisor say the same of the domain's memory."""
        now = self.host.classes('demo')
        for name, c in now.items():
            f = self.cls(name)
            self.ok(f and f.size == c['actual'] == c['size'], '%s: class %s has the same size everywhere'
                    % (what, name), dict(f or {}), c)
        plugged = self.pool('ua').plugged >> 20
        self.between(self.host.mem_mib('demo') - plugged, 250, 258,
                     '%s: xl list shows what is plugged, and the base' % what)

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
        end = time.monotonic() + 60 * SLOW
        while 'web' not in host.classes('demo') and time.monotonic() < end:
            time.sleep(0.3)
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
        end = time.monotonic() + 60 * SLOW
        while 'web' in host.classes('demo') and time.monotonic() < end:
            time.sleep(0.3)
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
        size = host.free_mib() - 100
        host.create('big', memory=size, wait=False)
        self.ok(host.free_mib() < 110, 'the host is nearly full', host.free_mib())
        self.virsh_ok('pzone-resize', 'demo', 'db', '320MiB')
        end = time.monotonic() + 60 * SLOW
        while host.classes('demo')['db']['state'] != 'partial' and time.monotonic() < end:
            time.sleep(0.5)
        c = host.classes('demo')['db']
        self.equal(c['state'], 'partial', 'what the host has no memory for is refused')
        self.ok('no memory' in (c.get('last_error') or ''), 'with the reason', c)
        self.equal(c['actual'], 64 * MiB, 'the class keeps what it has')
        job = self.start('db', 'pz-hog 30', 'holding', timeout=60)
        self.ends_well(job, 'and works', timeout=60)
        host.sh('xl destroy big')
        now = host.settle('demo', 90)
        self.equal(now['db']['actual'], 320 * MiB, 'when the host has memory again, it comes')
        self.virsh_ok('pzone-resize', 'demo', 'db', '64MiB', '--wait', '--timeout', '90')

    def saved(self):
        """xl save and restore, with a class in use. A small one: dom0 has to hold the file."""
        host = self.host
        vm = host.create('saver', memory=128)
        before = host.settle('saver', 90)['db']['actual']
        vm.sh('setsid pz-exec db pz-hog 16 >/tmp/saved.log 2>&1 </dev/null & '
              'until grep -q holding /tmp/saved.log; do usleep 100000; done', 60)
        mem = host.mem_mib('saver')
        host.sh('mkdir -p /save && mount -t tmpfs -o size=300m tmpfs /save && xl save saver /save/f', 300)
        self.ok('saver' not in host.sh('xl list'), 'the domain is saved and gone')
        host.kill_xend()
        host.start_xend()
        host.sh('xl restore /save/f; status=$?; umount /save; exit $status', 300)
        vm.connect()
        self.equal(host.settle('saver', 90)['db']['actual'], before, 'restored, the class is what it was')
        self.between(host.mem_mib('saver') - mem, -1, 1, 'and the domain as large')
        for size in ('64MiB', '32MiB'):
            self.virsh_ok('pzone-resize', 'saver', 'db', size, '--wait', '--timeout', '90')
        said = vm.sh("pid=$(sed -n 's/^pid //p' /tmp/saved.log); kill $pid; while [ -d /proc/$pid ]; "
                     'do usleep 100000; done; tail -n 1 /tmp/saved.log', 60)
        self.ok(said.startswith('ok'), 'memory in the class is what was written before', said)
        bad = vm.complaints()
        self.ok(not bad, 'the restored kernel has nothing to complain of', *bad[:10])
        host.sh('xl destroy saver')

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
        end = time.monotonic() + 30 * SLOW
        base = '/local/domain/%d/pzone/lp' % fake.domid()
        while host.run('xenstore-read %s/generation' % base).status and time.monotonic() < end:
            time.sleep(0.3)
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


def main():
    t = Test()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError('too late')))
    signal.alarm(int(float(os.environ.get('PZONE_TEST_TIMEOUT', '1500')) * SLOW))
    try:
        with XenHost() as host:
            t.host = host
            t.diag('Xen and dom0 booted in %.0f s' % host.boot_seconds)
            host.configure('demo', {'ua': ('512MiB', '480MiB')}, CLASSES)
            host.configure('liar', {'lp': ('128MiB', '128MiB')},
                           "<class name='c' pool='lp'><size unit='MiB'>32</size></class>")
            host.configure('saver', {'sp': ('128MiB', '128MiB')},
                           "<class name='db' pool='sp'><size unit='MiB'>32</size></class>")
            host.start_xend()
            t.vm = host.create('demo')
            steps = (t.appear, t.isolate, t.resize, t.create_and_destroy, t.killed, t.full_host,
                     t.refusals, t.lies)
            # "saved" was seen to pass by hand, and has not run in here to its end
            if 'saved' in sys.argv[1:]:
                steps += (t.saved,)
            try:
                for step in steps:
                    if len(sys.argv) < 2 or step.__name__ in sys.argv[1:]:
                        t.diag(step.__name__)
                        step()
                bad = t.vm.complaints()
                t.ok(not bad, 'the guest kernel has nothing to complain of', *bad[:10])
            finally:
                if t.failed or sys.exc_info()[0]:
                    t.diag(host.sh('tail -n 30 /tmp/xend.log', check=False))
    except Exception:
        t.ok(False, 'the test runs to its end', traceback.format_exc())
    signal.alarm(0)
    t.done()


main()
