#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Where classes meet the rest of memory management: memory cgroup limits, hugetlb,
# allocations bound to a node, pages made for another process, an OOM that growth answers.
import time

from guest_test import run, Pool, MiB, GiB

CG = '/sys/fs/cgroup'


def test(t, vm):
    vm.qmp.command('pzone-create', pool='fast', name='db', size=128 * MiB, guarantee=0,
                   limit=512 * MiB)
    vm.create('fast', 'batch', '128M')
    vm.settle()
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt')

    # a memory cgroup's limit in a class reclaims the class's page cache, not the task
    vm.sh('mkdir -p %s/m; echo batch > %s/m/pzone.class; echo 32M > %s/m/memory.max' % (CG, CG, CG))
    r = vm.run("pz-exec -g m - sh -c 'dd if=/dev/zero of=/mnt/f bs=1M count=96 2>/dev/null; "
               "cat /mnt/f > /dev/null'", 60)
    t.equal(r.status, 0, 'a file three times memory.max is written and read in a class')
    events = dict(x.split() for x in vm.sh('cat %s/m/memory.events' % CG).splitlines())
    t.ok(int(events['max']) > 0, 'memory.max was met', events)
    t.equal(int(events['oom_kill']), 0, 'and nobody was killed')
    t.ok(t.cls('batch').file > 8 * MiB, 'its page cache lies in the class', dict(t.cls('batch')))
    before = t.cls('batch').file
    vm.run('echo 16M > %s/m/memory.reclaim' % CG)
    t.ok(t.cls('batch').file < before - 8 * MiB, 'memory.reclaim reaches it',
         before, t.cls('batch').file)

    # hugetlb pools are nobody's, and a node without memory has none
    nodes = vm.sh('ls -d /sys/devices/system/node/node[0-9]*').split()
    for n in nodes[1:]:
        vm.run('echo 1 > %s/hugepages/hugepages-2048kB/nr_hugepages' % n)
    t.equal([vm.sh('cat %s/hugepages/hugepages-2048kB/nr_hugepages' % n).strip() for n in nodes[1:]],
            ['0'] * (len(nodes) - 1), 'no huge page of the hugetlb pool in a class')
    r = vm.run("pz-exec db sh -c 'echo 2 > /proc/sys/vm/nr_hugepages'")
    t.equal(vm.sh('cat /proc/sys/vm/nr_hugepages').strip(), '2', 'a task of a class fills the pool')
    t.equal(vm.sh('cat %s/hugepages/hugepages-2048kB/nr_hugepages' % nodes[0]).strip(), '2',
            'of node 0')
    vm.sh('echo 0 > /proc/sys/vm/nr_hugepages')

    # each OOM is told, and one that growth answers kills nobody
    vm.sh('echo 20000 > /sys/kernel/mm/pzone/oom_wait_ms')
    size = 128
    job = vm.bg('exec pz-exec db pz-hog -N -d 10 -s 8 300', 'pid')
    told = 0
    end = time.time() + 90
    while time.time() < end and not job.done() and 'holding' not in job.text():
        n = t.events('db')['oom']
        if n > told:
            told = n
            size += 64
            vm.qmp.command('pzone-resize', pool='fast', name='db', size=size * MiB)
        time.sleep(0.05)
    t.ok('holding' in job.text(), 'a hog whose class grows in time gets all it wants',
         job.text()[-200:], t.events('db'))
    t.ok(told >= 2, 'each time the host was told', told)
    t.equal(t.events('db')['oom_kill'], 0, 'and nobody was killed')
    vm.sh('echo 100 > /sys/kernel/mm/pzone/oom_wait_ms; kill $(pidof pz-hog); true')
    job.wait(60)

    # a class that nobody in can be killed for: its task waits, the others live
    vm.sh('mkdir -p %s/u; echo batch > %s/u/pzone.class' % (CG, CG))
    job = vm.bg("exec pz-exec -g u - sh -c 'echo -1000 > /proc/self/oom_score_adj; exec pz-hog -N 300'",
                'took 8')
    time.sleep(6)
    t.ok(vm.run('echo alive', 5).out.strip() == 'alive', 'a class with nobody to kill stops nobody else')
    vm.sh('kill -9 $(pidof pz-hog)')
    job.wait(60)
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='256M')
