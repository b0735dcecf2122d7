#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Page cache of files that more than one class uses lies in the class "shared", and
# who fills that takes nothing else from the others.
from guest_test import run, Pool, MiB

CG = '/sys/fs/cgroup'


def test(t, vm):
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt; '
          'for f in one two three own; do dd if=/dev/urandom of=/mnt/$f bs=1M count=12 2>/dev/null; done; '
          'dd if=/dev/zero of=/mnt/big bs=1M count=64 2>/dev/null; sync; md5sum /mnt/one > /tmp/sum')
    vm.create('fast', 'db', '64M')
    vm.create('fast', 'batch', '64M')
    vm.settle()

    def forget():
        # the inodes, too: which class a file is of is known as long as they are there
        vm.sh('umount /mnt; echo 3 > /proc/sys/vm/drop_caches; mount -t ext4 /dev/vda /mnt')

    def read(cls, *files):
        r = vm.run('pz-exec %s cat %s > /dev/null' % (cls, ' '.join('/mnt/' + f for f in files)), 90)
        return t.equal(r.status, 0, '%s reads %s' % (cls, ', '.join(files))) if r.status else None

    def cache(*classes):
        return [t.cls(c).file // MiB for c in classes]

    def rises(cls, mib, what):
        try:
            vm.wait(lambda: t.cls(cls).file >= mib * MiB, what, 20)
            t.ok(True, what)
        except Exception as e:
            t.ok(False, what, e, cache('db', 'batch', cls))

    # without it all is as ever
    forget()
    read('db', 'one')
    read('batch', 'one')
    t.equal(cache('db', 'batch')[0] >= 12, True, 'there is no "shared": a file is of the class that read it')

    vm.create('fast', 'shared', '32M')
    vm.settle()
    forget()
    read('db', 'one', 'own')
    t.ok(t.cls('db').file >= 24 * MiB and t.cls('shared').file < MiB, 'what one class uses is its own',
         cache('db', 'shared'))
    read('batch', 'one')
    # a page that is in use at that moment stays
    rises('shared', 11, 'what another opens moves to "shared"')
    t.ok(12 * MiB <= t.cls('db').file < 16 * MiB, 'out of the class that read it, which keeps the rest',
         cache('db', 'batch', 'shared'))
    r = vm.run('pz-exec batch md5sum -c /tmp/sum')
    t.equal(r.status, 0, 'the file holds what was written')

    # from then on it is read into "shared"
    vm.sh('echo 1 > /proc/sys/vm/drop_caches')
    before = cache('db', 'batch')
    read('db', 'one')
    rises('shared', 11, 'read anew, it goes there')
    t.equal(cache('db', 'batch'), before, 'and at once: the class that reads it gets none')
    # nobody's reading does not count
    vm.sh('cat /mnt/own /mnt/two > /dev/null')
    read('batch', 'two')
    t.ok(t.cls('shared').file < 16 * MiB, 'a task of no class does not count as another',
         cache('db', 'batch', 'shared'))
    rows = t.walk()
    t.no_leak_in({'db': ['/db'], 'batch': ['/batch'], 'shared': ['/db', '/batch']}, 'nothing leaked in', rows)

    # nobody can be in it
    r = vm.run('mkdir %s/s; echo shared > %s/s/pzone.class' % (CG, CG))
    t.ok(r.status, 'no task can be of the class "shared"', r)

    # one fills it: it reclaims itself, and the other keeps what it has
    hold = t.start('db', 'pz-hog -N 40', 'holding')
    used, refault = t.cls('db').used, t.cls('db').refault
    read('batch', 'big')
    read('db', 'big')
    read('batch', 'big')
    f = t.cls('shared')
    t.ok(f.used <= f.size and f.file > 16 * MiB, 'a file larger than "shared" is read through it', dict(f))
    events = {c: t.cls(c)['events'] for c in ('db', 'batch', 'shared')}
    t.equal([e.split()[3] for e in events.values()], ['0'] * 3, 'nobody is killed for that')
    job = t.start('batch', 'pz-lock /mnt/big', 'holding', timeout=90)
    lock = t.walk_pid(job.pid)
    t.ok(lock.get(('shared', 'file'), 0) > 16 * 256, 'one locks what is in it', lock)
    t.ok(lock.get(('batch', 'file'), 0) > 24 * 256 and not lock.get(('db', 'file')),
         'and has what does not fit itself', lock)
    read('batch', 'three')
    read('db', 'three')
    t.ok(True, 'the other still reads a file of both')
    t.ok(t.cls('db').used >= used - 13 * MiB and t.cls('db').used <= used + 13 * MiB,
         'and its class is its own', used, t.cls('db').used)
    t.equal(t.events('db')['oom_kill'] + t.events('batch')['oom_kill'], 0, 'nobody is killed')
    t.ends_well(hold, 'its memory holds what was written')
    t.ends_well(job, 'the locked file, too')

    # and when it goes
    vm.destroy('fast', 'shared')
    vm.wait(lambda: 'shared' not in vm.classes(), '"shared" is gone', 60)
    t.ok(True, '"shared" can be destroyed')
    forget()
    read('db', 'one')
    r = vm.run('pz-exec db md5sum -c /tmp/sum')
    t.ok(r.status == 0 and t.cls('db').file >= 12 * MiB, 'then a file is of the class that reads it', r)
    vm.sh('umount /mnt')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='256M')
