# SPDX-License-Identifier: GPL-2.0-or-later
"""The test's own kernel and initramfs inside the guest, for the kernel that follows.

    run(test, args=kexec.disks())       # they are vda and vdb
    vm.bg(kexec.command(vm, 'console=ttyS0'))
"""
import os

from vm import product


def files():
    return {'kernel': product('PZONE_KERNEL', 'kernel/bzImage'),
            'initrd': product('PZONE_INITRAMFS', 'guest/initramfs.cpio.gz')}


def disks():
    """QEMU's options; QEMU pads the files to whole sectors."""
    out = []
    for name, path in files().items():
        out += ['-blockdev', 'driver=raw,node-name=%s,read-only=on,file.driver=file,file.filename=%s' % (name, path),
                '-device', 'virtio-blk-pci,drive=' + name]
    return out


def command(vm, cmdline, crash=False):
    """What to run in the guest to go on with them, or (crash) to have them ready."""
    for disk, (name, path) in zip('ab', files().items()):
        vm.sh('head -c %d /dev/vd%s > /tmp/%s' % (os.path.getsize(path), disk, name), 60)
    return "pz-kexec %s /tmp/kernel /tmp/initrd 'no_timer_check %s'" % ('-p' if crash else '', cmdline)
