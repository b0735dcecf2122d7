#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A task that gets another class takes its memory along, as far as there is room.
import re

from guest_test import run, Pool, VMError

CG = '/sys/fs/cgroup'
PZ = '/sys/kernel/mm/pzone'


def test(t, vm):
    vm.create('fast', 'db', '128M')
    vm.create('fast', 'batch', '128M')
    vm.create('fast', 'small', '16M', limit='32M')
    vm.settle()

    def anon(pid):
        return {place: n for (place, kind), n in t.walk_pid(pid).items() if kind == 'anon'}

    def lies_in(pid, place, what, seconds=20):
        def there():
            where = anon(pid)
            return set(k for k, n in where.items() if n > 64) == {place}
        try:
            vm.wait(there, 'memory follows', seconds)
            t.ok(True, what)
        except Exception as e:
            t.ok(False, what, e, anon(pid))

    def stat(group):
        return dict((k, int(v)) for k, v in
                    (line.split() for line in vm.sh('cat %s/%s/pzone.stat' % (CG, group)).splitlines()))

    vm.sh('cd %s; mkdir -p a b plain; echo db > a/pzone.class; echo batch > b/pzone.class' % CG)

    for flag, kind in ('-N', 'small pages'), ('-T', 'huge pages'):
        job = t.start(None, 'pz-hog %s 48' % flag, 'holding', group='plain')
        lies_in(job.pid, 'base', '%s: no class, ordinary memory' % kind)
        vm.sh('echo %d > %s/a/cgroup.procs' % (job.pid, CG))
        lies_in(job.pid, 'db', '%s: into a class' % kind)
        vm.sh('echo %d > %s/b/cgroup.procs' % (job.pid, CG))
        lies_in(job.pid, 'batch', '%s: from class to class' % kind)
        vm.sh('echo db > %s/b/pzone.class' % CG)
        lies_in(job.pid, 'db', '%s: the setting of its cgroup changes' % kind)
        vm.sh('echo batch > %s/b/pzone.class; echo %d > %s/plain/cgroup.procs' % (CG, job.pid, CG))
        lies_in(job.pid, 'base', '%s: out of all classes' % kind)
        t.ends_well(job, '%s hold what was written' % kind)

    # a class that appears later
    vm.sh('mkdir %s/c; echo later > %s/c/pzone.class' % (CG, CG))
    job = t.start(None, 'pz-hog 32', 'holding', group='c')
    lies_in(job.pid, 'base', 'a name that no class has: ordinary memory')
    vm.create('fast', 'later', '64M')
    lies_in(job.pid, 'later', 'it follows when the class appears')
    t.equal(t.events('c'), {'oom': 0, 'oom_kill': 0}, 'without running out of memory on the way')
    vm.destroy('fast', 'later')
    lies_in(job.pid, 'base', 'and comes back when the class goes')
    t.ends_well(job, 'and holds what was written')

    # many moves of one task: those that are outdated are not made, nor do they keep its memory
    job = t.start(None, 'pz-hog -N 64', 'holding', group='a')
    vm.sh('cd %s; i=0; while [ $i -lt 100 ]; do for g in b a; do echo %d > $g/cgroup.procs; done; '
          'i=$((i+1)); done' % (CG, job.pid))
    pending = stat('a')['move_pending'] + stat('b')['move_pending']
    t.ok(pending <= 2, 'one move is at work and one is to come, however often a task goes to and fro', pending)
    lies_in(job.pid, 'db', 'its memory is where it ended')
    vm.sh('cd %s; for g in b a b a b; do echo %d > $g/cgroup.procs; done' % (CG, job.pid))
    t.ends_well(job, 'it holds what was written')
    vm.wait(lambda: stat('a')['anon'] + stat('b')['anon'] < 2 << 20, 'memory of a task that has ended', 20)
    t.equal((stat('a')['move_failed'], stat('b')['move_failed']), (0, 0), 'a move that is given up has not failed')

    # processes that are not as others
    vm.sh('echo 1 > /proc/sys/vm/nr_hugepages')
    job = t.start(None, 'pz-hog -N -H 24', 'holding', group='plain')
    vm.sh('echo %d > %s/a/cgroup.procs' % (job.pid, CG))
    where = {}

    def all_but_it():
        where.update(anon(job.pid))
        return where.get('base', 0) < 576 and where.get('db', 0) >= 24 * 256
    try:
        vm.wait(all_but_it, 'memory follows', 20)
    except VMError:
        pass
    t.ok(all_but_it() and where['base'] >= 512, 'a page of the hugetlb pool stays, and keeps nothing else from moving', where)
    t.ends_well(job, 'it holds what was written')
    vm.sh('echo 0 > /proc/sys/vm/nr_hugepages')
    job = t.start(None, 'pz-hog -N -L 24', 'holding', group='plain')
    vm.sh('echo %d > %s/a/cgroup.procs' % (job.pid, CG))
    other = [x for x in vm.sh('ls /proc/%d/task' % job.pid).split() if int(x) != job.pid]
    lies_in(int(other[0]), 'db', 'the first thread has ended, another one is there')
    t.ends_well(job, 'it holds what was written')
    job = t.start(None, 'pz-hog -N -c %s/b/cgroup.procs 24' % CG, 'child', group='a')
    vm.wait(lambda: stat('b')['move_pending'] == 0, 'the move that is none', 20)
    t.ok(re.search(r'child \d+', job.text()).group().split()[1] in vm.sh('cat %s/b/cgroup.procs' % CG).split(),
         'a child of vfork() is in another class')
    lies_in(job.pid, 'db', 'the memory that it has for now is its parent\'s, and stays')
    vm.sh('kill %s' % re.search(r'child (\d+)', job.text()).group(1))
    t.ends_well(job, 'which holds what was written', signal_first=False)

    # the class that a task comes from goes away while its memory waits for its turn
    vm.create('fast', 'gone', '64M')
    vm.settle()
    vm.sh('mkdir %s/g; echo gone > %s/g/pzone.class' % (CG, CG))
    first = t.start(None, 'pz-hog -N 64', 'holding', group='plain')
    job = t.start(None, 'pz-hog -N 24', 'holding', group='g')
    vm.sh('cd %s; echo %d > a/cgroup.procs; echo %d > b/cgroup.procs' % (CG, first.pid, job.pid))
    vm.destroy('fast', 'gone')
    lies_in(job.pid, 'batch', 'from a class that goes away before its turn')
    t.ends_well(job, 'it holds what was written')
    t.ends_well(first, 'so does the one before it')
    vm.wait(lambda: 'gone' not in vm.classes(), 'the class is gone', 20)

    # a target without room
    vm.sh('mkdir %s/s; echo small > %s/s/pzone.class' % (CG, CG))
    def huge_pages(pid):
        return int(re.search(r'AnonHugePages: *(\d+) kB', vm.sh('cat /proc/%d/smaps_rollup' % pid)).group(1)) // 4

    job = t.start(None, 'pz-hog -T 48', 'holding', group='a')
    before, huge = stat('a')['move'], huge_pages(job.pid)
    vm.sh('echo %d > %s/s/cgroup.procs' % (job.pid, CG))
    vm.wait(lambda: stat('s')['move'] == 1, 'the move is tried', 20)
    where = anon(job.pid)
    t.ok(where.get('db', 0) > 20 * 256, 'a full class leaves the rest behind', where)
    # but for the one that only a part of had room (a kernel without huge pages has none before, either)
    t.ok(huge_pages(job.pid) >= min(huge, where['db']) - 512, 'and its huge pages whole',
         huge, huge_pages(job.pid), where)
    t.ok(stat('s')['move_failed'] > 0, 'and says so', stat('s'))
    t.equal(stat('a')['move'], before, 'the old class counts nothing')
    t.equal(t.events('s')['oom_kill'], 0, 'nobody is killed for a move')
    # in a full class the next page it needs would end it
    vm.sh('echo %d > %s/a/cgroup.procs' % (job.pid, CG))
    lies_in(job.pid, 'db', 'it can go back')
    t.ends_well(job, 'it holds what was written')

    # one that waits in a full class for the host to help
    vm.sh('echo 60000 > %s/oom_wait_ms' % PZ)      # longer than any wait below, also where all is slow
    for size, how, command in ((18, 'gets another cgroup', 'echo {0.pid} > a/cgroup.procs'),
                               (20, "its cgroup's class changes", 'echo db > s/pzone.class')):
        # a class that grows is not the one any more whose shortage was told
        vm.resize('fast', 'small', '%dM' % size)
        vm.settle()
        told = t.events('s')['oom']
        job = t.start(None, 'pz-hog -N -s 2 48', 'pid', group='s')
        vm.wait(lambda: t.events('s')['oom'] > told, 'the class is full', 10)
        vm.sh('cd %s; %s' % (CG, command.format(job)))
        vm.wait(lambda: 'holding' in job.text() or job.done(), 'the task goes on', 10)
        lies_in(job.pid, 'db', 'a task waits in a full class and %s: it goes on there at once' % how)
        t.equal(t.events('s')['oom_kill'], 0, 'and nobody is killed')
        t.ends_well(job, 'it holds what was written')
    vm.sh('echo 100 > %s/oom_wait_ms; echo small > %s/s/pzone.class' % (PZ, CG))

    # the switch
    vm.sh('echo 0 > %s/move_memory' % PZ)
    job = t.start(None, 'pz-hog 16', 'holding', group='a')
    vm.sh('echo %d > %s/b/cgroup.procs; sleep 1' % (job.pid, CG))
    lies_in(job.pid, 'db', 'switched off, memory stays', 2)
    vm.sh('echo 1 > %s/move_memory' % PZ)
    t.ends_well(job, 'and holds what was written')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')])
