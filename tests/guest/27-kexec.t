#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Another kernel in the same machine, without a reset in between: it takes the pool over
# and has the classes as the host wants them. (26-dump.t: a kernel that follows a crash.)
import os
from guest_test import run, Pool, MiB
from vm import BUILD

POOL = Pool('fast', size='512M', requested='512M')
FILES = {'kernel': os.environ.get('PZONE_KERNEL') or os.path.join(BUILD, 'kernel/bzImage'),
         'initrd': os.environ.get('PZONE_INITRAMFS') or os.path.join(BUILD, 'guest/initramfs.cpio.gz')}


def disks():
    """The two files as disks vda and vdb, padded to whole sectors by QEMU."""
    out = []
    for name, path in FILES.items():
        out += ['-blockdev', 'driver=raw,node-name=%s,read-only=on,file.driver=file,file.filename=%s' % (name, path),
                '-device', 'virtio-blk-pci,drive=' + name]
    return out


def load(vm, cmdline):
    for disk, (name, path) in zip('ab', FILES.items()):
        vm.sh('head -c %d /dev/vd%s > /tmp/%s' % (os.path.getsize(path), disk, name), 60)
    return "pz-kexec /tmp/kernel /tmp/initrd '%s'" % cmdline


def sizes(vm):
    return {n: (c['actual'] // MiB, c['state']) for n, c in vm.classes().items() if n != 'memmap'}


def other_kernel(vm, do):
    seen = vm.agent.hellos
    do()
    vm.agent.wait_hello(seen + 1, 120)


def by_kexec(t, vm):
    t.leave('db', 'db', 'pz-verify 40', 'filled')
    command = load(vm, 'console=ttyS0 panic=-1 pzone.second')
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


run(test, pools=[POOL], reboot=True, args=disks())
