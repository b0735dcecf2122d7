#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Another kernel in the same machine, without a reset in between. One that is started by
# kexec takes the pool over and has the classes as the host wants them. One that is
# started by a crash leaves the layout alone and finds each class's memory in the dump.
import os
from guest_test import run, Pool, MiB
from vm import BUILD

POOL = Pool('fast', size='512M', requested='512M')
FILES = {'kernel': os.environ.get('PZONE_KERNEL') or os.path.join(BUILD, 'kernel/bzImage'),
         'initrd': os.environ.get('PZONE_INITRAMFS') or os.path.join(BUILD, 'guest/initramfs.cpio.gz')}
PAGE = 4096


def disks():
    """The two files as disks vda and vdb, padded to whole sectors by QEMU."""
    out = []
    for name, path in FILES.items():
        out += ['-blockdev', 'driver=raw,node-name=%s,read-only=on,file.driver=file,file.filename=%s' % (name, path),
                '-device', 'virtio-blk-pci,drive=' + name]
    return out


def load(vm, option, cmdline):
    for disk, (name, path) in zip('ab', FILES.items()):
        vm.sh('head -c %d /dev/vd%s > /tmp/%s' % (os.path.getsize(path), disk, name), 60)
    return "pz-kexec %s /tmp/kernel /tmp/initrd '%s'" % (option, cmdline)


def sizes(vm):
    return {n: (c['actual'] // MiB, c['state']) for n, c in vm.classes().items() if n != 'memmap'}


def extents(vm, name):
    return sorted((e['addr'], e['size']) for e in vm.classes()[name]['extents'])


def other_kernel(vm, do):
    seen = vm.agent.hellos
    do()
    vm.agent.wait_hello(seen + 1, 120)


def by_kexec(t, vm):
    t.leave('db', 'db', 'pz-verify 40', 'filled')
    command = load(vm, '', 'console=ttyS0 panic=-1 crashkernel=128M pzone.second')
    vm.resize('fast', 'batch', '64M')
    other_kernel(vm, lambda: vm.bg(command))
    t.ok('pzone.second' in vm.sh('cat /proc/cmdline'), 'kexec starts another kernel')
    vm.settle(60)
    t.equal(sizes(vm), {'db': (128, 'settled'), 'batch': (64, 'settled')}, 'it has the classes that the host wants')
    t.agrees('sysfs, QEMU and arithmetic agree')
    t.ends_well(t.start('db', 'pz-hog 100', 'holding'), 'and memory of a class can be used')


def by_crash(t, vm):
    vm.sh(load(vm, '-p', 'console=ttyS0 panic=-1 nr_cpus=1 reset_devices'), 60)
    t.equal(vm.sh('cat /sys/kernel/kexec_crash_loaded'), '1', 'a crash kernel is loaded')
    for name in ('db', 'batch'):
        t.leave(name, name, 'pz-mark of-%s 32' % name, 'marked')
    before, plugged = {n: extents(vm, n) for n in ('db', 'batch')}, vm.pool('fast')['plugged']
    vm.expected += ['sysrq triggered crash', 'Kernel panic', 'Call Trace:']
    other_kernel(vm, lambda: vm.bg('echo c > /proc/sysrq-trigger'))
    t.ok(vm.run('[ -s /proc/vmcore ]').status == 0, 'a crash starts the crash kernel, which has a dump')
    t.equal(vm.pool('fast')['plugged'], plugged, 'it leaves in the device what is plugged')
    t.equal({n: extents(vm, n) for n in before}, before, '... and the classes where they are')
    t.equal(vm.run('ls /sys/kernel/mm/pzone/class').out.split(), [], '... and makes no classes of its own')
    for name in before:
        said = [vm.sh('pz-mark -c of-%s %#x %#x' % (name, addr, size), 120).split() for addr, size in before[name]]
        marked, missing = (sum(int(words[n]) for words in said) for n in (1, 3))
        t.equal((marked, missing), (32 * MiB // PAGE, 0), 'all that a program wrote into %s is in the dump' % name)
    base = vm.sh("sed -n 's/^0*\\([0-9a-f]*\\)-.*System RAM (virtio_mem)/\\1/p' /proc/iomem")
    t.equal(base, '', "and none of the pool is the crash kernel's own memory")


def back(t, vm):
    other_kernel(vm, lambda: vm.bg('reboot -f'))
    vm.settle(60)
    t.equal(sizes(vm), {'db': (128, 'settled'), 'batch': (64, 'settled')}, 'after the dump a reboot brings all back')
    t.agrees('sysfs, QEMU and arithmetic agree')


def test(t, vm):
    vm.create('fast', 'db', '128M', limit='256M', guarantee='2M')
    vm.create('fast', 'batch', '32M', limit='256M', guarantee='2M')
    vm.settle()
    by_kexec(t, vm)
    by_crash(t, vm)
    back(t, vm)


run(test, pools=[POOL], mem='768M', reboot=True, cmdline='crashkernel=128M', args=disks())
