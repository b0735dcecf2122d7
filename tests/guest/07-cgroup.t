#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# pzone.class: inherited, none, unknown names, who may write; moving a task.
from guest_test import run, Pool, MiB, PAGE, VMError

CG = '/sys/fs/cgroup'


def test(t, vm):
    vm.create('fast', 'db', '128M')
    vm.create('fast', 'batch', '128M')
    vm.settle()

    def write(group, text):
        return vm.run("echo '%s' > %s/%s/pzone.class" % (text, CG, group))

    def shows(group):
        return vm.sh('cat %s/%s/pzone.class' % (CG, group))

    def places(job):
        """Classes and "base" in which the task has anonymous memory."""
        return {place for (place, kind), n in t.walk_pid(job.pid).items()
                if kind == 'anon' and place != 'swap' and n > 64}

    def hog(group, mib=8):
        return t.start(None, 'pz-hog %d' % mib, 'holding', group=group)

    def lives(group, want, what):
        job = hog(group)
        t.equal(places(job), want, what)
        t.ends_well(job, what + ': verified')

    vm.sh('mkdir -p %s/a/b/c %s/d' % (CG, CG))
    t.equal(vm.run('test -e %s/pzone.class' % CG).status, 1, 'the root cgroup has no pzone.class')
    t.equal(shows('a/b/c'), '', 'empty at first')
    lives('a/b/c', {'base'}, 'no class: ordinary memory')

    t.equal(write('a', 'db').status, 0, 'a name is taken')
    t.equal(shows('a'), 'db', 'and shown')
    t.equal(shows('a/b/c'), '', 'a child stays empty')
    lives('a', {'db'}, 'the cgroup has the class')
    lives('a/b/c', {'db'}, 'and so have its children')
    write('a/b', 'none')
    lives('a/b/c', {'base'}, 'none: no class from here down')
    write('a/b/c', 'batch')
    lives('a/b/c', {'batch'}, 'a child can have another class')
    write('a/b/c', '')
    lives('a/b/c', {'base'}, 'empty: inherits again')
    write('a/b', '')
    lives('a/b/c', {'db'}, 'all the way up')
    vm.sh('mkdir %s/a/late' % CG)
    lives('a/late', {'db'}, 'a cgroup made later inherits')

    # bad names
    for bad in ('Db', '-x', 'a' * 32, 'a b', 'memmap'):
        t.ok(write('a', bad).status != 0, "refused: '%s'" % bad)
    t.equal(shows('a'), 'db', 'and nothing changed')

    # a name that nobody has yet
    t.equal(write('d', 'later').status, 0, 'an unknown name is accepted')
    lives('d', {'base'}, 'and means no class for now')
    vm.create('fast', 'later', '64M')
    vm.settle()
    lives('d', {'later'}, 'and binds when the class appears')
    vm.destroy('fast', 'later')
    vm.wait(lambda: 'later' not in vm.classes(), 'the class goes', 20)
    t.equal(shows('d'), 'later', 'the name stays when the class goes')
    lives('d', {'base'}, 'and means no class again')
    vm.create('fast', 'later', '64M')
    vm.settle()
    lives('d', {'later'}, 'and binds again')

    # who may write
    vm.sh('chmod 666 %s/d/pzone.class; chown 1000 %s/d/pzone.class' % (CG, CG))
    r = vm.run("pz-exec -g d -u 1000 - sh -c 'echo db > %s/d/pzone.class'" % CG)
    t.ok(r.status != 0, 'a user may not write, whatever the mode of the file says', r)
    r = vm.run("unshare -U -r sh -c 'echo db > %s/d/pzone.class'" % CG)
    t.ok(r.status != 0, 'nor may root of a user namespace', r)
    t.equal(shows('d'), 'later', 'and nothing changed')

    # figures
    job = hog('a', 32)
    t.between(int(vm.sh('cat %s/a/pzone.current' % CG)), 32 * MiB, 40 * MiB,
              'pzone.current shows what the class uses')
    stat = dict(line.split() for line in vm.sh('cat %s/a/pzone.stat' % CG).splitlines())
    t.between(int(stat['anon']), 32 * MiB, 40 * MiB, 'pzone.stat shows anonymous memory')
    t.ends_well(job, 'the hog is well')

    # moving tasks to and fro: nothing is corrupted, new memory comes from the new class
    vm.sh('echo db > %s/a/pzone.class; echo batch > %s/d/pzone.class' % (CG, CG))
    run_ = t.start(None, 'pz-verify 24', 'filled', group='a')
    forks = t.start(None, 'pz-stress -t 6 -j 2 -m 24 -k', 'pid', group='a')
    r = vm.run('''i=0; while [ $i -lt 60 ]; do for g in a d a/b .; do
        echo %d > %s/$g/cgroup.procs; echo %d > %s/$g/cgroup.procs;
        for p in $(cat %s/$g/cgroup.procs); do :; done;
        usleep 20000; i=$((i+1)); done; done; echo %d > %s/d/cgroup.procs''' %
               (run_.pid, CG, forks.pid, CG, CG, run_.pid, CG), 60)
    t.equal(r.status, 0, 'a running task moves between classes')
    t.ok(run_.done() is False, 'and lives')
    t.ends_well(run_, 'memory is what was written')
    t.ends_well(forks, 'so is that of a forking one', signal_first=False)
    grow = t.start(None, 'pz-hog -s 4 -d 150 60', 'took 8', group='a')
    vm.sh('echo %d > %s/d/cgroup.procs' % (grow.pid, CG))
    grow.wait_output('holding', 60)
    w = t.walk_pid(grow.pid)
    t.ok(w.get(('batch', 'anon'), 0) > 30 * 256, 'after a move, new memory is of the new class', w)
    t.ends_well(grow, 'all of it is what was written')

    # what the task has moves along
    def at(job):
        return {place: n * PAGE // MiB for (place, kind), n in t.walk_pid(job.pid).items()
                if kind == 'anon' and n * PAGE >= MiB}

    def follows(job, want, what):
        w = {}

        def there():
            w.clear()
            w.update(at(job))
            return set(w) == {want} and w[want] >= 40       # a page that is just moving is nowhere
        try:
            vm.wait(there, '', 15)
            t.ok(True, what)
        except VMError:
            t.ok(False, what, w, vm.sh('cat %s/*/pzone.stat; for p in /proc/[0-9]*; do grep -H pzone $p/comm $p/wchan; '
                                       'grep -q pzone-move $p/comm && cat $p/stack; done; true' % CG))

    job = hog('a', 40)
    vm.sh('echo %d > %s/d/cgroup.procs' % (job.pid, CG))
    follows(job, 'batch', "a task's memory follows it to another class")
    vm.sh('echo %d > %s/cgroup.procs' % (job.pid, CG))
    follows(job, 'base', 'to ordinary memory')
    vm.sh('echo %d > %s/a/cgroup.procs' % (job.pid, CG))
    follows(job, 'db', 'and back')
    write('a', 'batch')
    follows(job, 'batch', 'another class for its cgroup does the same')
    # 'later' has 64 MiB, 40 of them taken: no room for all. A class that is full to the
    # last page kills who asks for one more, so nothing here may: the way to verify is
    # walked once before.
    def verified(job, count):
        vm.run('kill -USR1 %d' % job.pid)
        try:
            vm.wait(lambda: job.done() or job.text().count('verified 40') == count, '', 15)
        except VMError:
            pass
        return job.text().count('verified 40') == count

    other = t.start('later', 'pz-hog 40', 'holding', group='e')
    t.ok(verified(job, 1) and verified(other, 1), 'both hold what was written')
    vm.sh('mkdir -p %s/f; echo later > %s/f/pzone.class; echo %d > %s/f/cgroup.procs' %
          (CG, CG, job.pid, CG))
    vm.wait(lambda: at(job).get('later', 0) > 10, 'some of it moves', 15)
    vm.wait(lambda: 'move_failed 0' not in vm.sh('cat %s/f/pzone.stat' % CG),
            'pzone.stat says that some did not', 15)
    w = at(job)
    t.ok(w.get('later', 0) < 30 and w.get('batch', 0) > 10,
         'a full class takes what it has room for, the rest stays', w)
    t.ok(verified(job, 2), 'what moved is what was written', job.text())
    t.ok(verified(other, 2), 'and who was there lost nothing', other.text())
    vm.run('kill -9 %d' % job.pid)
    job.wait()
    t.ends_well(other, 'and ends well')

    # an emptied cgroup can go while its class stays
    vm.sh('rmdir %s/a/late %s/a/b/c %s/a/b' % (CG, CG, CG))
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')])
