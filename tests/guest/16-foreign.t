#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# One task works on another's memory, and asks for nodes by number: pages are of the
# class of whom they are for, and stay there.
import re

from guest_test import run, Pool, MiB, PAGE

N = 16 * MiB // PAGE


def test(t, vm):
    vm.create('fast', 'db', '64M')
    vm.create('fast', 'batch', '64M')
    vm.settle()
    node = {c: t.cls(c).node for c in ('db', 'batch')}
    node['base'] = 0

    def where(job):
        return {place: n for (place, kind), n in t.walk_pid(job.pid).items()
                if kind == 'anon' and n > 64}

    def hold(cls, what, more=''):
        job = t.start(cls, 'pz-foreign %s 16%s' % (what, more), 'holding')
        job.at = re.search(r'^at (\S+)', job.text(), re.M).group(1)
        return job

    # writes from outside
    for target, writer in (('db', None), ('db', 'batch'), (None, 'batch')):
        job = hold(target, 'hold')
        r = vm.run('pz-exec %s pz-foreign write %d %s 16' % (writer or '-g none none', job.pid, job.at))
        w = where(job)
        t.equal((r.status, list(w)), (0, [target or 'base']),
                'process_vm_writev from %s: memory of %s' % (writer, target))
        t.ok(w.get(target or 'base', 0) >= N, 'all of it', w)
        t.ends_well(job, 'and the task goes on')

    job = hold('db', 'uffd')
    t.ok(where(job).get('db', 0) >= N, 'a userfaultfd fills it from the class', where(job))
    t.ends_well(job, 'and the task goes on')

    # by number: a privileged task and a plain one, into a class and out of it
    for user in ('', '-u 1000 '):
        who = user and 'an ordinary task' or 'root'
        for place, to in (('db', 'base'), ('db', 'batch'), (None, 'batch')):
            job = hold(place, 'uffd')
            before = where(job)
            r = vm.run('pz-exec -g plain %s- pz-foreign move %d %s 16 %d' % (
                user, job.pid, job.at, node[to]))
            t.equal(where(job), before, '%s: move_pages and migrate_pages from %s to %s move nothing' %
                    (who, place, to))
            t.equal(r.out.strip(), 'moved 0', 'and say so') if not user else None
            t.ends_well(job, 'the task goes on')
    for place, to in (('db', 'batch'), (None, 'batch'), ('db', 'base')):
        job = hold(place, 'bind', ' %d' % node[to])
        t.equal(list(where(job)), [place or 'base'], 'mbind of memory of %s to %s moves nothing' % (place, to))
        t.ends_well(job, 'the task goes on')
    rows = t.walk()
    t.no_leak_in({'db': ['/db'], 'batch': ['/batch']}, 'nothing leaked in', rows)
    t.no_leak_out({'db': ['/db'], 'batch': ['/batch']}, 'nothing leaked out', rows)
    t.agrees('sysfs, QEMU and arithmetic agree')


run(test, pools=[Pool('fast')])
