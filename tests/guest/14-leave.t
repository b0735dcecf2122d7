#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Directed reclaim from inside, the switch for moving memory, a class that goes with
# tasks inside, and who is killed when memory stayed behind.
from guest_test import run, Pool, MiB

CG = '/sys/fs/cgroup'
PZ = '/sys/kernel/mm/pzone/class'


def test(t, vm):
    vm.create('fast', 'db', '96M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt')

    def where(pid):
        return {place: n for (place, kind), n in t.walk_pid(pid).items() if kind == 'anon'}

    # directed reclaim
    vm.sh('pz-exec batch pz-hog -x -f /mnt/f 40; sync; pz-exec db pz-hog -x -f /mnt/g 16; sync')
    before, other = t.cls('batch').file, t.cls('db').file
    r = vm.run('echo 16M > %s/batch/reclaim' % PZ)
    after = t.cls('batch').file
    t.equal(r.status, 0, 'a class gives up memory when told to')
    # what the file system keeps about the file counts too, and lies elsewhere
    t.ok(after <= before - 12 * MiB, 'as much as was asked for', before, after)
    t.ok(t.cls('batch').reclaim >= 16 * MiB, 'and says how much', t.cls('batch').reclaim)
    t.ok(abs(t.cls('db').file - other) < MiB, 'the other class gives up nothing')
    job = t.start('batch', 'pz-hog -N 16', 'holding')
    r = vm.run('echo 1G > %s/batch/reclaim' % PZ, 60)
    t.ok(r.status and 'temporarily unavailable' in r.err, 'an order that can not be met fails', r)
    t.ok(0 < t.cls('batch').reclaim < 64 * MiB, 'with what it got to be read', t.cls('batch').reclaim)
    t.ends_well(job, 'memory in use is what was written')
    for bad in ('lots', '-1x', '""'):
        t.ok(vm.run('echo %s > %s/batch/reclaim' % (bad, PZ)).status, 'an order for %s is refused' % bad)

    # the switch of one class
    vm.sh('cd %s; mkdir -p a b plain; echo db > a/pzone.class; echo batch > b/pzone.class; '
          'echo 0 > %s/batch/move_memory' % (CG, PZ))
    job = t.start(None, 'pz-hog -N 16', 'holding', group='a')
    vm.sh('echo %d > %s/b/cgroup.procs; sleep 1' % (job.pid, CG))
    t.ok(set(k for k, n in where(job.pid).items() if n > 64) == {'db'},
         'switched off in the class, memory does not follow into it', where(job.pid))
    vm.sh('echo 1 > %s/batch/move_memory; echo %d > %s/a/cgroup.procs; echo %d > %s/b/cgroup.procs'
          % (PZ, job.pid, CG, job.pid, CG))
    vm.wait(lambda: set(k for k, n in where(job.pid).items() if n > 64) == {'batch'},
            'switched on it does', 20)
    stat = dict(x.split() for x in vm.sh('cat %s/b/pzone.stat' % CG).splitlines())
    t.equal(stat['move_pending'], '0', 'no move is under way')
    t.ends_well(job, 'it holds what was written')

    # out of memory: who counts is who has memory in the class. The outsider left the
    # class and its memory stayed; the giant has most of its memory elsewhere.
    vm.sh('echo 0 > %s/db/move_memory; echo 0 > %s/batch/move_memory' % (PZ, PZ))
    outsider = t.start(None, 'pz-hog -N 48', 'holding', group='a')
    vm.sh('echo %d > %s/plain/cgroup.procs' % (outsider.pid, CG))
    giant = t.start(None, 'pz-hog -N 120', 'holding', group='plain')
    vm.sh('echo %d > %s/a/cgroup.procs' % (giant.pid, CG))
    small = t.start('db', 'pz-hog -N -s 2 12', 'holding', group='a')
    hog = t.start('db', 'pz-hog -N -s 2 44', 'pid', group='a')
    vm.wait(lambda: t.events('a')['oom_kill'] or hog.done(), 'the class runs out', 60)
    vm.wait(lambda: any(j.done() for j in (outsider, giant, small, hog)), 'somebody ends', 30)
    t.ok(outsider.done(), 'who has most of the class is killed, though not in it any more',
         'killed: %s' % [n for n, j in (('giant', giant), ('small', small), ('hog', hog)) if j.done()])
    t.ok(not giant.done() and not small.done(), 'who has little there lives')
    hog.wait_output('holding', 60)
    second = t.start('db', 'pz-hog -N -s 2 60', 'pid', group='a')
    vm.wait(lambda: t.events('a')['oom_kill'] >= 2 or second.done(), 'it runs out again', 60)
    vm.wait(lambda: hog.done() or second.done(), 'somebody ends', 30)
    t.ok(not giant.done(), 'much memory elsewhere is no reason to be killed')
    for j in (hog, second):
        vm.run('kill %d' % j.pid)
        j.wait(60)
    t.ends_well(giant, 'the giant holds what was written')
    t.ends_well(small, 'so does the small one')
    vm.sh('echo 1 > %s/db/move_memory; echo 1 > %s/batch/move_memory' % (PZ, PZ))

    # a class inside another's cgroup: who loses it stays with the parent's class
    vm.create('fast', 'inner', '64M')
    vm.settle()
    vm.sh('cd %s/a; mkdir in; echo inner > in/pzone.class' % CG)
    job = t.start(None, 'pz-hog -N 24', 'holding', group='a/in')
    t.ok(where(job.pid).get('inner', 0) >= 24 * 256, 'a cgroup of a cgroup has its own class')
    vm.destroy('fast', 'inner')
    vm.wait(lambda: 'inner' not in vm.classes(), 'the class goes with a task inside', 30)
    t.equal(vm.sh('cat %s/a/in/pzone.class.effective' % CG), 'db', "the parent's class is in effect")
    more = t.start(None, 'pz-hog -N 8', 'holding', group='a/in')
    t.ok(where(more.pid).get('db', 0) >= 8 * 256, 'and new memory is of it', where(more.pid))
    t.ends_well(more, 'which holds what was written')
    t.ends_well(job, 'the task of the class that went holds what was written')
    vm.sh('echo none > %s/a/in/pzone.class' % CG)
    t.equal(vm.sh('cat %s/a/in/pzone.class.effective' % CG), 'none', 'none is none')
    vm.sh('rmdir %s/a/in' % CG)
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='256M')
