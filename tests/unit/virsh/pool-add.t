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

# what it makes of a domain of QEMU's, and what it refuses there
KVM = {"FAKE_KVM": "1"}


def kvm(case, *args, domain="bare"):
    """Right ones, which only show."""
    golden(case, ["pzone-pool-add", domain, *args, *QEMU], env=KVM, pools=None)


def kvm_refused(case, *args, domain="bare"):
    """Wrong ones."""
    refused(case, ["pzone-pool-add", domain, *args, *QEMU], env=KVM, pools=None)


kvm("pool-add-diff", "1GiB", "--print-diff")
kvm("pool-add-xml", "1GiB", "--name", "ua-fast", "--requested", "512MiB", "--block", "4MiB", "--node", "0", "--print-xml")
kvm("pool-add-second", "--size", "1GiB", "--print-diff", domain="off")
kvm("pool-add-transient-xml", "1GiB", "--print-xml", domain="transient")
for case, size in (("zero", "0"), ("no-multiple", "100MiB"), ("huge", "8EiB"), ("decimal", "1GB")):
    kvm_refused("pool-add-size-" + case, size, "--print-diff")
for case, name in (("no-ua", "fast"), ("short", "ua-"), ("blank", "ua-x y"), ("long", "ua-" + 30 * "a"),
                   ("utf8", "ua-d\u00f6b"), ("empty", "")):
    kvm_refused("pool-add-name-" + case, "1GiB", "--name", name, "--print-diff")
kvm_refused("pool-add-name-taken", "1GiB", "--name", "ua-fast", "--print-diff", domain="off")
for case, value in (("more", "2GiB"), ("zero", "0"), ("memmap", "16MiB"), ("no-block", "3MiB")):
    kvm_refused("pool-add-requested-" + case, "1GiB", "--requested", value, "--print-diff")
for case, value in (("odd", "3MiB"), ("zero", "0"), ("small", "4KiB"), ("large", "2GiB")):
    kvm_refused("pool-add-block-" + case, "1GiB", "--block", value, "--print-diff")
kvm_refused("pool-add-node-none", "1GiB", "--node", "7", "--print-diff")
refused("pool-add-no-qemu", ADD + ["1GiB", *QEMU])
done()
