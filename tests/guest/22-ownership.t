#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# What static and partial ownership would charge to a class, against what /proc says.
from guest_test import run, Pool, MiB

CG = '/sys/fs/cgroup'


def test(t, vm):
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt; '
          'dd if=/dev/urandom of=/mnt/both bs=1M count=12 2>/dev/null; sync; '
          'umount /mnt; mount -t ext4 /dev/vda /mnt')
    for name, size in (('db', '96M'), ('batch', '96M'), ('shared', '32M')):
        vm.create('fast', name, size)
    vm.settle()

    def ownership(cls):
        return {k: int(v) for k, v in
                (line.split() for line in vm.sh('cat %s/%s/pzone.ownership' % (CG, cls)).splitlines())}

    def pss(cls):
        """What smaps says of all processes of the class."""
        text = vm.sh('for p in $(cat %s/%s/cgroup.procs); do grep ^Pss: /proc/$p/smaps_rollup; done' % (CG, cls))
        return sum(int(line.split()[1]) for line in text.splitlines()) * 1024

    jobs = [t.start('db', 'pz-hog -N 16', 'holding'), t.start('db', 'pz-hog -T 16', 'holding')]
    jobs.append(t.start('db', 'pz-lock -m /mnt/both', 'holding'))
    alone = {'db': ownership('db')}
    t.ok(alone['db']['partial'] >= 44 * MiB, 'what one class maps alone is all its own', alone)
    jobs += [t.start('batch', 'pz-lock -m /mnt/both', 'holding') for _ in range(3)]
    vm.wait(lambda: t.cls('shared').file >= 11 * MiB,
            lambda: 'the file of both is in "shared": %s, %s' % (dict(t.cls('shared')), t.walk_pid(jobs[2].pid)), 20)
    both = {c: ownership(c) for c in ('db', 'batch')}
    t.between((alone['db']['partial'] - both['db']['partial']) / MiB, 8.5, 9.5,
              'a file that four map is a quarter of each: 9 of 12 MiB less')
    for c in both:
        real = pss(c)
        t.between(both[c]['partial'], real - 256 * 1024, real + 256 * 1024, '%s: partial is the sum of PSS' % c)
    used = {c: t.cls(c).used for c in both}
    own = {c: both[c]['static'] - used[c] for c in both}
    t.ok(own['db'] >= 11 * MiB and own['batch'] < 2 * MiB,
         'static charges the file to the class that read it first', own)
    t.between(sum(own.values()), 11 * MiB, t.cls('shared').used, 'and "shared" to somebody, once')
    r = vm.run("pz-exec -g db -u 1000 - cat %s/db/pzone.ownership" % CG)
    t.ok(r.status, 'not everybody may ask', r)
    for j in jobs:
        t.ends_well(j, 'the programs end well')
    vm.wait(lambda: ownership('batch')['partial'] == 0, lambda: 'without programs: %s' % ownership('batch'), 20)
    t.ok(True, 'a class without programs maps nothing')
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='64M')
