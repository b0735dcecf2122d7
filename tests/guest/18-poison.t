#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory that is bad: a page that is poisoned, in use or while no class has it, is given
# to nobody again; all around it is, and neither a shrink nor a destroy stops at it.
import re

from guest_test import run, Pool, MiB, PAGE

MEMORY = '/sys/devices/system/memory'


def test(t, vm):
    before = vm.wait(lambda: (p := vm.pool('fast'))['guest'] == 'ready' and p, 'the driver is ready')
    vm.create('fast', 'db', '32M', guarantee=0, limit='64M')
    vm.settle()
    bad = []

    def named(what):
        t.equal(sorted(vm.sh('cat /sys/kernel/mm/pzone/pool/fast/poisoned').split()), sorted(bad),
                what + ': the pool names the pages')

    for how in 'hard', 'soft':
        job = t.start('db', 'pz-poison %s 8' % how, 'holding')
        bad.append(re.search(r'^poisoned (\S+)', job.text(), re.M).group(1))
        t.equal(t.cls('db').poisoned, len(bad) * PAGE, '%s: the class counts it' % how)
        named(how)
        t.ends_well(job, '%s: the program has its other pages' % how)
    t.equal(t.cls('db').used >= 2 * PAGE, True, 'poisoned memory is not free')
    t.agrees('sysfs, QEMU and arithmetic agree')

    # they do not hold anything up
    vm.resize('fast', 'db', '64M')
    vm.settle()
    for size in 2, 64, 0, 64:
        vm.resize('fast', 'db', size * MiB)
        vm.settle()
    t.ok(True, 'the class shrinks and grows over them')
    vm.destroy('fast', 'db')
    vm.wait(lambda: 'db' not in vm.classes(), 'the class is gone', 60)
    t.ok(True, 'and can be destroyed')
    named('nobody has them')

    # nobody gets them again, nor one that is found while it is parked
    lost = before['addr'] + 20 * MiB + 5 * PAGE
    vm.run('echo %#x > %s/hard_offline_page' % (lost, MEMORY))
    bad.append('%#x' % lost)
    named('a page of no class')
    size = before['size'] // 4
    vm.create('fast', 'all', size)
    vm.settle()
    f = t.cls('all')
    inside = [a for a in bad if any(start <= int(a, 16) < start + n for start, n in f.extents)]
    t.equal(sorted(inside), sorted(bad), 'a class has the blocks that they are in')
    t.equal((f.size, f.poisoned), (size, len(bad) * PAGE), 'all of them, and counts the pages')
    job = t.start('all', 'pz-hog -N %d' % (f.free // MiB - 8), 'holding', timeout=90)
    # two words each, the lower one first
    flags = vm.sh('; '.join("dd if=/proc/kpageflags bs=8 count=1 skip=$((%s / 4096)) 2>/dev/null | hexdump -e '\"%%x\\n\"'"
                            % a for a in bad)).split()
    t.equal([int(f, 16) & (1 << 19 | 1 << 12 | 1 << 11 | 1 << 5) for f in flags[::2]], [1 << 19] * 3,
            'a program that takes the whole class has none of them: poisoned, not in use')
    t.ends_well(job, 'and holds what was written', timeout=120)
    named('after all that')

    # a false alarm: back they go
    free = t.cls('all').free
    for a in bad:
        vm.run('echo %#x > /sys/kernel/debug/hwpoison/unpoison-pfn' % (int(a, 16) // PAGE))
    bad = []
    t.equal(t.cls('all').poisoned, 0, 'unpoisoned, they are of the class')
    named('none')
    t.ok(t.cls('all').free >= free, 'which can use them', t.cls('all').free, free)
    t.agrees('sysfs, QEMU and arithmetic agree')
    vm.destroy('fast', 'all')
    vm.wait(lambda: 'all' not in vm.classes(), 'the class is gone', 60)
    after = vm.pool('fast')
    t.equal([after[k] for k in ('plugged', 'available', 'memmap')],
            [before[k] for k in ('plugged', 'available', 'memmap')], 'everything is back')


run(test, pools=[Pool('fast', size='1G', requested='1G')])
