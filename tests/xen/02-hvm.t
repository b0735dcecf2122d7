#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# A HVM domain of a real Xen (under emulation), with a device model, has memory classes
# as a PVH domain has them.
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from twopools import TwoPools  # noqa: E402


class Test(TwoPools):
    def appear(self):
        self.ok('xen-qemu-system' in self.host.sh('ps'), 'it has a device model')
        super().appear()


# Its BIOS reads kernel and initramfs through the device model: that takes a minute or more.
Test('hvm', 'vga="none"\nvnc=0\nusb=0\n', patience=900).run(
    'appear', 'isolate', 'resize', 'killed', 'saved')
