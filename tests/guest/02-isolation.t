#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Page-level truth: a class's tasks take movable pages from its extents and
# nowhere else, and nobody else ever does.
from guest_test import run, Pool, MiB, PAGE, SLOW

ALLOWED = {'db': ['/db'], 'batch': ['/batch']}


def test(t, vm):
    vm.create('fast', 'db', '256M')
    vm.create('fast', 'batch', '128M')
    vm.settle()

    # out: anonymous memory, small and huge pages
    for flag, what in (('-N', 'small pages'), ('-T', 'huge pages')):
        job = t.start('db', 'pz-hog %s 100' % flag, 'holding')
        w = t.walk_pid(job.pid)
        t.ok(w.get(('db', 'anon'), 0) >= 100 * MiB // PAGE, '%s come from the class' % what, w)
        t.equal([k for k in w if k[1] == 'anon' and k[0] != 'db'], [],
                '%s: nothing anonymous lies elsewhere' % what)
        rows = t.walk()
        t.no_leak_in(ALLOWED, '%s: only the class in its extents' % what, rows)
        t.no_leak_out(ALLOWED, '%s: no page of the class outside' % what, rows)
        t.ends_well(job, '%s hold what was written' % what)

    # out: page cache, tmpfs, mappings of files. Every page of the file itself, seen
    # through a mapping of somebody else's, must be in the class. What else is charged
    # to the class as page cache may be pages that the file system asks for as
    # unmovable (ext4's buddy bitmaps): few, and rightly in ordinary memory.
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt')
    for what, path, mib, flag in (
            ('page cache', '/mnt/a', 60, ''),
            ('a mapped file', '/mnt/b', 40, '-m'),
            ('tmpfs', '/tmp/c', 30, '')):
        r = vm.run('pz-exec batch pz-hog -x %s -f %s %d' % (flag, path, mib), 60)
        t.equal(r.status, 0, '%s: written and read back' % what)
        rows = t.walk()
        reader = t.start(None, 'pz-hog -m -F %s %d' % (path, mib), 'holding')
        w = t.walk_pid(reader.pid)
        t.ok(w.get(('batch', 'file'), 0) >= mib * MiB // PAGE, '%s lies in the class' % what, w)
        t.ends_well(reader, '%s: somebody else reads what was written' % what)
        t.no_leak_in(ALLOWED, '%s: only the class in its extents' % what, rows)
        t.no_leak_out(ALLOWED, '%s: no page of the class outside' % what, rows, unmovable=64)
        vm.sh('rm -f /mnt/a /mnt/b /tmp/c; sync; echo 3 > /proc/sys/vm/drop_caches')

    # in: everybody else, under load, with all that moves pages about. Without swap:
    # its read-ahead is known to bring in pages of other classes.
    vm.sh('''cd /sys/kernel/mm/transparent_hugepage && echo always > enabled && echo always > defrag &&
        echo 100 > khugepaged/scan_sleep_millisecs && echo 100 > khugepaged/alloc_sleep_millisecs
        cd /sys/kernel/mm/ksm; echo 1000 > pages_to_scan; echo 1 > run''')
    busy = t.start('db', 'pz-verify 60', 'filled')
    stress = t.start('batch', 'pz-stress -t 8 -j 2 -m 32 -s 7', 'pid')
    other = t.start(None, 'pz-stress -t 8 -j 2 -m 48 -s 8', 'pid')
    load = vm.bg('''mkdir -p /mnt/t && for i in 1 2 3; do
        dd if=/dev/zero of=/mnt/t/$i bs=1M count=24 2>/dev/null; cp -r /bin /sbin /mnt/t/b$i;
        dd if=/dev/zero of=/tmp/t$i bs=1M count=8 2>/dev/null;
        echo 1 > /proc/sys/vm/compact_memory; cat /mnt/t/* >/dev/null 2>&1;
        find / -xdev -type f >/dev/null; for k in 1 2 3 4 5 6 7 8; do (sleep 0.1 &); done;
        echo 3 > /proc/sys/vm/drop_caches; rm -rf /mnt/t/* /tmp/t?; done''')
    for i in range(4):
        rows = t.walk()
        t.no_leak_in(ALLOWED, 'under load: only the class in its extents (%d)' % i, rows)
    load.wait(60 * SLOW, check=True)
    t.ends_well(stress, 'random operations in a class find no fault', signal_first=False)
    t.ends_well(other, 'random operations beside it neither', signal_first=False)
    rows = t.walk()
    t.no_leak_in(ALLOWED, 'after the load: only the class in its extents', rows)
    t.no_leak_out(ALLOWED, 'after the load: no page of a class outside', rows, unmovable=64)
    t.ends_well(busy, 'memory of the busy class is what it was')

    # in: by name. A privileged task without the class asks for the nodes.
    nodes = [t.cls(c).node for c in ALLOWED]
    online = vm.sh('cat /sys/devices/system/node/has_memory')
    t.ok(not any(str(n) in online.replace('-', ',').split(',') for n in nodes),
         'no class is among the nodes with memory', online)
    for n in nodes:
        if 'cpuset' not in vm.sh('cat /sys/fs/cgroup/cgroup.controllers').split():
            t.skip('no cpuset can name a class', 'this kernel has no cpusets')
            continue
        r = vm.run('mkdir -p /sys/fs/cgroup/cs; echo %d > /sys/fs/cgroup/cs/cpuset.mems' % n)
        eff = vm.sh('cat /sys/fs/cgroup/cs/cpuset.mems.effective')
        t.ok(r.status or str(n) not in eff.split(','), 'no cpuset can name a class', eff)
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='384M')
