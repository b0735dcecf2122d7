#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh-pzone pzone-pool-add, as far as it goes without QEMU: libvirt's test
driver is refused, with everything else that can be wrong. What it does when all
is well is in tests/e2e/40-pool-add.t and tests/unit/libpzone/test_pooladd.c."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

ADD = ["pzone-pool-add", "bare"]
QEMU = ["--emulator", "/usr/lib/pzone/qemu-system-x86_64"]

refused("pool-add-no-size", ADD)
refused("pool-add-bad-size", ADD + ["1.5GiB", *QEMU])
refused("pool-add-bad-node", ADD + ["1GiB", "--node", "first", *QEMU])
refused("pool-add-bad-emulator", ADD + ["1GiB", "--emulator", "qemu-system-x86_64"])
refused("pool-add-both-prints", ADD + ["1GiB", "--print-xml", "--print-diff", *QEMU])
refused("pool-add-live", ["pzone-pool-add", "demo", "1GiB", "--live", *QEMU])
refused("pool-add-current-running", ["pzone-pool-add", "demo", "1GiB", "--current", *QEMU])
refused("pool-add-transient", ["pzone-pool-add", "transient", "1GiB", *QEMU])
refused("pool-add-transient-live", ["pzone-pool-add", "transient", "1GiB", "--live", *QEMU])
refused("pool-add-transient-print", ["pzone-pool-add", "transient", "1GiB", "--print-xml", *QEMU])
refused("pool-add-no-qemu", ADD + ["1GiB", *QEMU])
done()
