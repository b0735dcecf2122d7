#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Another kernel in the same machine, without a reset in between: it takes the pool over
# and has the classes as the host wants them. (26-dump.t: a kernel that follows a crash.)
import kexec
from guest_test import run, Pool, MiB

POOL = Pool('fast', size='512M', requested='512M')


def sizes(vm):
    return {n: (c['actual'] // MiB, c['state']) for n, c in vm.classes().items() if n != 'memmap'}


def other_kernel(vm, do):
    seen = vm.agent.hellos
    do()
    vm.agent.wait_hello(seen + 1, 120)


def by_kexec(t, vm):
    t.leave('db', 'db', 'pz-verify 40', 'filled')
    command = kexec.command(vm, 'console=ttyS0 panic=-1 pzone.second')
    vm.resize('fast', 'batch', '64M')
    other_kernel(vm, lambda: vm.bg(command))
    t.ok('pzone.second' in vm.sh('cat /proc/cmdline'), 'kexec starts another kernel')
    vm.settle(60)
    t.equal(sizes(vm), {'db': (128, 'settled'), 'batch': (64, 'settled')}, 'it has the classes that the host wants')
    t.agrees('sysfs, QEMU and arithmetic agree')
    t.ends_well(t.start('db', 'pz-hog 100', 'holding'), 'and memory of a class can be used')


def back(t, vm):
    other_kernel(vm, lambda: vm.bg('reboot -f'))
    vm.settle(60)
    t.equal(sizes(vm), {'db': (128, 'settled'), 'batch': (64, 'settled')}, 'a reboot goes back to the first kernel, and to all classes')
    t.agrees('sysfs, QEMU and arithmetic agree')


def test(t, vm):
    vm.create('fast', 'db', '128M', limit='256M', guarantee='2M')
    vm.create('fast', 'batch', '32M', limit='256M', guarantee='2M')
    vm.settle()
    by_kexec(t, vm)
    back(t, vm)


run(test, pools=[POOL], reboot=True, args=kexec.disks())
