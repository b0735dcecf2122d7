#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Classes come and go at run time, a hundred times, in use and idle; at the end
# everything is back where it was.
import time
from guest_test import run, Pool, MiB
from vm import QMPError


def test(t, vm):
    vm.wait(lambda: vm.pool('fast')['guest'] == 'ready', 'the driver is ready', 20)
    def gone():
        # QEMU forgets a class when its memory is back; the guest hears of it after that
        pool = vm.pool('fast')
        return not pool['classes'] and pool['guest-generation'] == pool['generation']

    vm.create('fast', 'first', '64M')       # what is made once is made now
    vm.settle()
    vm.destroy('fast', 'first')
    vm.wait(gone, 'the first class goes', 20)
    pool = vm.pool('fast')
    base = t.base_free()
    began = time.monotonic()

    for n in range(20):
        names = ['c%d.%d' % (n, i) for i in range(5)]
        for i, name in enumerate(names):
            vm.create('fast', name, (2 + 6 * i) * MiB)
        if n % 4 != 3:
            vm.settle()
        if n % 4 == 0:
            vm.sh('pz-exec -g g %s pz-hog -x 12' % names[3])
        if n % 4 == 1:
            # destroyed with a task inside: it must give back all the same
            job = t.start(names[4], 'pz-hog 10', 'holding', group='g')
        for name in reversed(names):
            vm.destroy('fast', name)
        if n % 4 == 1:
            vm.wait(lambda: set(vm.classes()) <= {names[4]}, 'the idle ones go', 30)
            vm.run('kill -9 %d' % job.pid)
            job.wait()
        vm.wait(gone, lambda: 'classes remain: %s' % vm.classes(), 30)
    t.ok(True, '100 classes created and destroyed')
    t.diag('%.1f s' % (time.monotonic() - began))
    after = vm.pool('fast')
    for k in ('plugged', 'available', 'requested', 'memmap'):
        t.equal(after[k], pool[k], '%s is what it was' % k)
    t.equal(t.class_names(), [], 'no class in sysfs')
    t.ok(base - t.base_free() < 12 * MiB, 'base memory is what it was',
         'it lost %d KiB' % ((base - t.base_free()) >> 10))
    t.agrees('sysfs, QEMU and arithmetic agree')

    # the same name again, at once and after a while
    again = 0
    for n in range(20):
        try:
            vm.create('fast', 'same', '%dM' % (2 + 2 * (n % 5)))
        except QMPError as e:
            again += 1
            if 'same' not in e.desc:
                raise
            vm.wait(gone, lambda: 'same remains: %s' % vm.classes(), 30)
            continue
        if n % 3:
            vm.settle()
        vm.destroy('fast', 'same')
    vm.wait(gone, lambda: 'same remains: %s' % vm.classes(), 30)
    t.ok(True, 'a name is used again and again')
    t.diag('%d times the old class was still there' % again)

    # more classes than the guest has spare node ids
    names = ['m%d' % i for i in range(24)]
    for name in names:
        vm.create('fast', name, '4M')
    time.sleep(1)
    settled = [c for c in vm.classes().values() if c['name'] in names and c['state'] == 'settled']
    t.ok(8 <= len(settled), 'with too many classes, the first ones work', len(settled))
    t.diag('%d of 24 classes found a node' % len(settled))
    for name in names[:16]:
        vm.destroy('fast', name)
    vm.settle(30)
    t.equal(t.class_names(), sorted(names[16:]), 'the others follow when there is room')
    for name in names[16:]:
        vm.destroy('fast', name)
    vm.wait(gone, lambda: 'classes remain: %s' % list(vm.classes()), 30)

    # bad input changes nothing
    vm.settle()
    before = vm.pool('fast')
    for args, pattern in (
            (('fast', 'Big', '4M'), 'Big'),
            (('fast', 'none', '4M'), 'none'),
            (('fast', 'memmap', '4M'), 'memmap'),
            (('fast', 'x', 3 * MiB), r'3145728|2 ?MiB|4 ?MiB|2097152'),
            (('fast', 'x', '1G'), r'.'),
            (('slow', 'x', '4M'), 'slow')):
        t.fails(lambda: vm.create(*args), pattern, 'refused: %s %s %s' % args)
    t.fails(lambda: vm.destroy('fast', 'nobody'), 'nobody', 'refused: an unknown class')
    t.equal(vm.pool('fast'), before, 'and nothing changed')


run(test, pools=[Pool('fast')])
