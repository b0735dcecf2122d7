#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# What the host's controller goes by: stall time, refaults, events of pressure and
# of running out of memory, each of the class that has it. A class that is given
# memory on its event loses nobody.
import re
import time

from guest_test import run, Pool, MiB

CONVERGING, PARTIAL = 1, 2    # VIRTIO_PZONE_STATE_*


def test(t, vm):
    def reported(name):
        return vm.classes()[name].get('report') or {}

    def events(oom, name=None):
        return [e['data'] for e in vm.qmp.events if e['event'] == 'PZONE_SHORTAGE' and
                e['data']['oom'] == oom and e['data']['name'] == (name or e['data']['name'])]

    vm.qmp.command('pzone-create', pool='fast', name='db', size=32 * MiB, guarantee=0,
                   limit=600 * MiB)
    vm.create('fast', 'batch', '64M')
    vm.settle()
    vm.sh('mke2fs -q /dev/vda 2>/dev/null >/dev/null; mount -t ext4 /dev/vda /mnt')

    # page cache that does not fit: read again and again
    vm.sh('dd if=/dev/zero of=/mnt/f bs=1M count=120 2>/dev/null; sync; '
          'echo 3 > /proc/sys/vm/drop_caches')
    began = time.monotonic()
    r = vm.run('pz-exec batch sh -c "for i in 1 2 3; do cat /mnt/f > /dev/null; done"', 120)
    t.equal(r.status, 0, 'a file larger than the class is read three times')
    f = t.cls('batch')
    t.ok(f.refault > 60 * 256, 'refaults of the class are counted', f.refault)
    vm.wait(lambda: reported('batch').get('refaults', 0) >= f.refault, 'the report')
    t.equal(t.cls('db').refault, 0, 'the other class has none')

    # memory that has to be fought for: writes to more than the class holds
    r = vm.run('pz-exec batch pz-hog -x -m -f /mnt/g 100', 120)
    took = time.monotonic() - began
    f = t.cls('batch')
    t.between(f.stall_us, 1000, 4 * took * 1e6, 'the time of stalls is counted')
    vm.wait(lambda: reported('batch').get('pressure-us', 0) >= f.stall_us, 'the report')
    t.equal(reported('batch')['pressure-us'] > 0 and reported('db')['pressure-us'], 0,
            'and reported, for that class only')
    stat = dict(x.split() for x in vm.sh('pz-exec batch cat /sys/fs/cgroup/batch/pzone.stat')
                .splitlines())
    t.equal(int(stat['stall_us']), t.cls('batch').stall_us, 'pzone.stat says the same')

    # a task that holds nearly all of the class, and so many that read through the rest
    # that the class's kswapd does not keep up, however fast the machine is
    vm.qmp.events.clear()
    began = time.monotonic()
    hold = t.start('batch', 'pz-hog -N 52', 'holding')
    load = vm.bg("exec pz-exec batch sh -c 'for i in $(seq 16); do "
                 "(until [ -e /tmp/enough ]; do cat /mnt/f > /dev/null; done) & done; wait'")
    try:
        e = vm.qmp.wait_event('PZONE_SHORTAGE', 40, lambda d: not d['oom'])['data']
    except Exception as problem:
        e = {'name': str(problem), 'wanted': 0}
    time.sleep(3)
    vm.qmp.command('query-pzone')   # takes in what has come
    took = time.monotonic() - began
    vm.sh('touch /tmp/enough')
    t.equal(e['name'], 'batch', 'hard reclaim is an event of its class')
    t.ok(4 * MiB <= e['wanted'] <= 64 * MiB and e['wanted'] % (2 * MiB) == 0,
         'that asks for more, and not for the moon', e)
    t.ok(len(events(False)) <= took + 1, 'events are limited to one a second', len(events(False)), took)
    t.equal(events(False, 'db'), [], 'the idle class sends none')
    t.ends_well(hold, 'the task holds what was written')
    load.wait(120)

    # out of memory: the host grows the class on the event, by what it asks for
    vm.sh('echo 10000 > /sys/kernel/mm/pzone/oom_wait_ms')
    vm.qmp.events.clear()
    job = vm.bg('exec pz-exec db pz-hog -N -s 8 256', 'pid')
    size, told, asked = 32 * MiB, 0, []
    while not job.done() and 'holding' not in job.text() and told < 40:
        try:
            e = vm.qmp.wait_event('PZONE_SHORTAGE', 1, lambda d: d['oom'])['data']
        except Exception:
            continue
        told += 1
        asked.append(e['wanted'] >> 20)
        size += max(e['wanted'], size // 2) // (2 * MiB) * 2 * MiB
        vm.qmp.command('pzone-resize', pool='fast', name='db', size=min(size, 600 * MiB))
    t.ok('holding' in job.text(), 'a task that takes eight times the class gets it', job.text()[-200:])
    t.ok(2 <= told <= 12, 'with an event for each time', told)
    t.ok(asked and min(asked) >= 4, 'that asks for some MiB', asked)
    t.equal(t.events('db')['oom_kill'], 0, 'and nobody was killed')
    t.ok(t.cls('db').stall_us > 0, 'the wait counts as stalled')
    vm.sh('kill $(pidof pz-hog)')
    job.wait(60)
    vm.sh('echo 100 > /sys/kernel/mm/pzone/oom_wait_ms')

    # a class of the same node id starts from nothing (there are three ids in all)
    node = t.cls('batch').node
    vm.destroy('fast', 'batch')
    vm.wait(lambda: 'batch' not in vm.classes(), 'batch is gone')
    vm.create('fast', 'later', '32M', guarantee=0, limit='64M')
    vm.settle()
    f = t.cls('later')
    t.equal(f.node, node, 'a later class has the node id of one that is gone')
    t.equal((f.refault, f.stall_us, t.cls('later')['events']), (0, 0, 'oom 0\noom_kill 0'),
            'and none of its counts')

    # what was partial is converging again as soon as the host wants something else
    vm.resize('fast', 'later', '64M')
    vm.settle()
    pin = t.start('later', 'pz-pin 40', 'pinned')
    vm.resize('fast', 'later', '16M')
    vm.wait(lambda: t.cls('later').state == 'partial', 'pinned memory stays')

    def counted():
        # each new try begins to count from nothing
        f = t.cls('later')
        return f.stuck >= 24 * MiB and f.pinned >= 20 * MiB
    vm.wait(counted, 'it is counted')
    t.ok(True, 'and is counted')
    # seen in what it reports: in the guest, a try that moves nothing is soon over
    vm.qmp.command('trace-event-set-state', name='pzone_report', enable=True)
    ident = vm.classes()['later']['id']
    states = []
    with open(vm.path('qemu.log')) as log:
        def seen(wanted):
            states.extend(int(x) for x in re.findall(
                r'pzone_report pool=fast class=%d state=(\d) ' % ident, log.read()))
            return wanted()
        log.seek(0, 2)
        vm.wait(lambda: seen(lambda: len(states) >= 3), 'reports of tries of the same size')
        t.equal(set(states), {PARTIAL}, 'the same size tried again is no news')
        states.clear()
        vm.resize('fast', 'later', '18M')
        vm.wait(lambda: seen(lambda: CONVERGING in states and states[-1] == PARTIAL),
                'reports of the new size')
        t.ok(True, 'a new size is a new try')
    t.ends_well(pin, 'the pinned memory is what was written')
    vm.settle()
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')], disk='300M', cmdline='pzone_nodes=3')
