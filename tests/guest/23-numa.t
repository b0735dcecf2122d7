#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with two NUMA nodes and a pool near to each: a class is as far away as the node
# behind its pool, and its threads run there.
from guest_test import run, Pool

NODE = '/sys/devices/system/node'


def leave(t, vm, pool, cls, near):
    """A class is destroyed: what a program had in it goes to that node."""
    job = t.start(cls, 'pz-hog -N 32', 'holding')
    vm.destroy(pool, cls)
    vm.wait(lambda: cls not in vm.classes() and cls not in t.class_names(), 'the class is gone', 60)
    nodes = vm.sh("grep -o 'N[0-9]*=[0-9]*' /proc/%d/numa_maps" % job.pid).split()
    pages = {}
    for n, count in (word[1:].split('=') for word in nodes):
        pages[int(n)] = pages.get(int(n), 0) + int(count)
    t.ok(pages.get(near, 0) >= 31 * 256, 'what class %s had goes to the node that is near to it' % cls, pages)
    t.ends_well(job, 'and holds what was written')


def test(t, vm):
    vm.create('fast', 'db', '64M')
    vm.create('slow', 'batch', '64M')
    vm.settle()
    t.equal((t.pool('fast').node, t.pool('slow').node), (0, 1), 'each pool knows its node')
    node = {c: t.cls(c).node for c in ('db', 'batch')}
    far = [int(d) for d in vm.sh('cat %s/node0/distance' % NODE).split()]
    t.equal((far[0], far[1]), (10, 42), 'the distances of the machine')
    t.equal((far[node['db']], far[node['batch']]), (10, 42), 'a class is as far away as the node behind its pool')
    far = [int(d) for d in vm.sh('cat %s/node%d/distance' % (NODE, node['batch'])).split()]
    t.equal((far[0], far[1], far[node['db']], far[node['batch']]), (42, 10, 42, 10),
            'seen from the class, too')
    for cls, cpu in ('db', '0'), ('batch', '1'):
        for thread in 'kswapd', 'kcompactd':
            cpus = vm.sh("pid=$(ps | sed -n 's/^ *\\([0-9]*\\) .*\\[%s%d\\]$/\\1/p'); "
                         "sed -n 's/^Cpus_allowed_list:\\t//p' /proc/$pid/status" % (thread, node[cls]))
            t.equal(cpus, cpu, '%s of %s runs near to it' % (thread, cls))
    t.equal(vm.sh('cat %s/has_memory' % NODE), '0-1', 'for all others there are two nodes')
    for cls in node:
        job = t.start(cls, 'pz-hog 32', 'holding')
        t.ok(t.walk_pid(job.pid).get((cls, 'anon'), 0) >= 32 * 256, '%s: memory is of the class' % cls)
        t.ends_well(job, 'and holds what was written')
    # who leaves a class that goes finds the near node first
    leave(t, vm, 'slow', 'batch', 1)
    # also where another class, near to another node, had the node id before
    vm.create('fast', 'next', '64M')
    vm.settle()
    t.equal(t.cls('next').node, node['batch'], 'the node id is used again, by a class near to node 0')
    far = [int(d) for d in vm.sh('cat %s/node%d/distance' % (NODE, node['batch'])).split()]
    t.equal((far[0], far[1]), (10, 42), '... which is as far away as the one behind its pool')
    leave(t, vm, 'fast', 'next', 0)
    t.agrees('sysfs, QEMU and arithmetic agree')


# node ids for two pools and two classes, so that the next class has that of one that is gone
run(test, pools=[Pool('fast'), Pool('slow', node=1)], nodes=2, mem='768M', cmdline='pzone_nodes=4',
    args=('-numa', 'dist,src=0,dst=1,val=42'))
