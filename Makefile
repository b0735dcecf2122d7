# SPDX-License-Identifier: GPL-2.0-or-later
#
# pzone: the one entry point. 'make' alone says what there is.
#
# Everything that is built goes to build/. Each part has its own script or
# Makefile, which does only what is not done yet; this file puts them in order.

help:
	@echo 'pzone: classes of memory for virtual machines. Targets:'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 27
	@echo
	@echo 'Variables:'
	@echo '  JOBS=N              compile N files at a time (default: $(JOBS), the number of CPUs)'
	@echo '  PZONE_ACCEL=kvm|tcg run guests with KVM or without (default: KVM where it works)'
	@echo '  TESTS="FILE..."     make test: only these'

.PHONY: help deps kernel qemu tools tools-xen guest all demo test test-unit test-device \
	test-guest test-e2e test-libvirt-13 test-vfio test-qemu-versions test-series test-configs test-many test-kunit test-selftests test-debug fuzz fuzz-coverage fuzz-device sim sim-real test-pzoned test-xen demo-xen bench bench-full bench-build bench-core bench-pzoned check clean distclean \
	install install-tools install-qemu install-xen install-guest uninstall deb test-deb

export BUILD := $(CURDIR)/build
export PZONE_BUILD := $(BUILD)
JOBS ?= $(shell nproc)
export PZONE_JOBS := $(JOBS)
export LC_ALL := C.UTF-8
export PYTHONDONTWRITEBYTECODE := 1

# One after the other: kernel and QEMU use all CPUs by themselves.
.NOTPARALLEL:

say = @printf '==> %s\n' '$(1)'
SUBMAKE = $(MAKE) -s --no-print-directory -j$(JOBS) BUILD=$(BUILD)

deps: ## install missing Debian packages (root or sudo; 2 min the first time)
	$(call say,packages: $(CURDIR)/.ci/packages)
	@.ci/install-packages

kernel: deps ## build the guest kernel (7 min on 2 CPUs the first time)
	$(call say,guest kernel: linux-source-6.12 + guest-kernel/ (about 7 minutes the first time))
	@guest-kernel/build

qemu: deps ## build QEMU (5 min on 2 CPUs the first time)
	$(call say,QEMU: source package of Debian + hv/qemu/ (about 5 minutes the first time))
	@hv/qemu/build

tools: deps ## build virsh-pzone, pzoned and their libraries (seconds)
	$(call say,host tools (seconds))
	@$(SUBMAKE) -C hv/core
	@$(SUBMAKE) -C libvirt-plugin/lib
	@$(SUBMAKE) -C libvirt-plugin/virsh
	@$(SUBMAKE) -C libvirt-plugin/hook
	@$(SUBMAKE) -C hv/pzoned

tools-xen: deps ## build pzone-xend, for Xen hosts (seconds; needs Debian's libxen-dev)
	@.ci/install-packages .ci/packages-xen-dev
	$(call say,pzone-xend (seconds))
	@$(SUBMAKE) -C hv/xen

guest: deps ## build the test guest's initramfs (seconds)
	$(call say,guest user space (seconds))
	@tests/guest/build

all: tools guest qemu kernel ## build everything

demo: all ## build what is missing, boot a VM with memory classes and show them (2 min)
	@exec tests/e2e/demo

# Each suite is one Makefile (C unit tests) or one executable .t file.
unit = $(sort $(wildcard tests/unit/*/Makefile tests/unit/*/*.t))
device = $(sort $(wildcard tests/device/*.t))
guest = $(sort $(wildcard tests/guest/*.t))
e2e = $(sort $(wildcard tests/e2e/*.t))
prove = prove --timer --exec tests/lib/run-test

test: all ## build what is missing and run all tests (10 min)
	@exec $(prove) $(or $(TESTS),$(unit) $(device) $(guest) $(e2e))

test-unit: tools ## tests without a VM (a minute)
	@exec $(prove) $(unit)

test-device: tools qemu ## tests of the device: QEMU without a guest system (half a minute)
	@exec $(prove) $(device)

test-guest: qemu kernel guest ## tests of the guest kernel: QEMU without libvirt (5 min)
	@exec $(prove) $(guest)

test-e2e: all ## tests of the whole: libvirt, QEMU, guest, pzoned (5 min)
	@exec $(prove) $(e2e)

test-qemu-versions: deps ## tests of the device with other versions of QEMU (10 min each the first time)
	@hv/qemu/test-versions

test-vfio: all ## tests of an assigned device: an IOMMU in a VM around ours (5 min, 100 MB)
	@tests/vfio/build
	@exec $(prove) tests/vfio/vfio.t

test-series: deps ## the kernel patches: each compiles, no code without CONFIG_PZONE, checkpatch (20 min)
	@.ci/install-packages .ci/packages-series
	@tests/kernel/series

test-configs: qemu guest ## the guest kernel without memcg, cpusets, swap, ... (an hour; can be stopped and goes on)
	@tests/kernel/configs

test-many: qemu guest ## 256 classes in one guest, on a kernel with NODES_SHIFT 9 (10 min the first time)
	@guest-kernel/build many
	@PZONE_KERNEL=$(BUILD)/kernel-many/bzImage PZONE_TEST_TIMEOUT=1200 $(prove) tests/kernel/many.t

test-kunit: qemu guest ## KUnit tests of mm/pzone, in a small kernel with lockdep (5 min the first time)
	@guest-kernel/build kunit
	@PZONE_KERNEL=$(BUILD)/kernel-kunit/bzImage $(prove) tests/kernel/kunit.t

test-selftests: kernel qemu guest ## the kernel's own tests of mm and cgroup, unpatched and patched (an hour; goes on)
	@.ci/install-packages .ci/packages-selftests
	@tests/bench/build-peers kernel
	@tests/kernel/selftests-build
	@tests/kernel/selftests --class $(TESTS)

test-debug: qemu guest ## 10,000 random operations on a kernel with KASAN and lockdep (one to two hours)
	@guest-kernel/build debug
	@PZONE_KERNEL=$(BUILD)/kernel-debug/bzImage PZONE_MEM=2G PZONE_SLOW=4 PZONE_TEST_TIMEOUT=10800 \
		PZONE_STRESS_OPS=$(or $(OPS),10000) $(prove) tests/guest/08-stress.t

test-libvirt-13: deps ## the tools, and VMs if QEMU and kernel are built, with Debian 13's libvirt 11.3 (root; 10 min)
	@tests/lib/libvirt-13

fuzz: ## fuzz hv/core for FUZZ_SECONDS (default 60)
	@.ci/install-packages .ci/packages-fuzz
	@$(SUBMAKE) -C tests/fuzz fuzz

fuzz-coverage: ## which lines of hv/core the fuzzer's corpus reaches
	@.ci/install-packages .ci/packages-fuzz
	@$(SUBMAKE) -C tests/fuzz coverage

fuzz-device: deps ## fuzz the device in a QEMU of its own for FUZZ_SECONDS, three times (20 min the first time)
	@.ci/install-packages .ci/packages-fuzz
	@tests/fuzz/fuzz-device

test-pzoned: all ## pzoned killed at every step, QEMUs that hang, three VMs in permanent OOM (25 min)
	@exec $(prove) tests/pzoned/*.t

test-xen: tools guest ## Xen: a PVH domain of a nested Xen has classes (10 min, a kernel and 90 MB more the first time)
	@tests/xen/run $(prove) tests/xen/*.t

demo-xen: tools guest ## Xen: boot it inside QEMU and show a domain with classes (3 min, the same)
	@tests/xen/run tests/xen/demo

sim: ## pzoned's policy on a simulated host of 2,000 VMs (2 min)
	@.ci/install-packages .ci/packages-sim
	@$(SUBMAKE) -C tests/sim run

sim-real: all ## the same trace in the simulator and in three VMs, side by side (6 min)
	@.ci/install-packages .ci/packages-sim
	@$(SUBMAKE) -C tests/sim
	@tests/sim/real

bench-pzoned: all ## from out of memory to memory, in ms; what a look costs (6 min)
	@tests/pzoned/oom-latency
	@tests/pzoned/sampling-cost

bench-build: all # what the benchmark needs beside the build
	@.ci/install-packages .ci/packages-bench
	@tests/bench/build-peers

bench: bench-build ## measure pzone beside balloon, virtio-mem, memcg, ... (minutes, and 15 to build the first time)
	@$(SUBMAKE) -C tests/unit/core bench
	@exec tests/bench/bench $(BENCH)

bench-full: bench-build ## ... at all points, and write docs/benchmarks.md (about an hour; goes on where it was stopped)
	@guest-kernel/build many
	@$(SUBMAKE) -C tests/unit/core bench
	@exec tests/bench/bench --full $(BENCH)

bench-core: ## what the calls of hv/core cost with 1,023 classes (a minute)
	@$(SUBMAKE) -C tests/unit/core bench

# Nothing is built here that takes long, and nothing downloaded: installing is root's.
prefix ?= /usr/local
pkglibdir ?= $(prefix)/lib/pzone
emulator = $(BUILD)/qemu/bin/qemu-system-x86_64

install: install-tools install-qemu $(if $(wildcard $(BUILD)/bin/pzone-xend),install-xen) ## install what a host needs to DESTDIR and prefix (/usr/local)

install-tools: ## ... virsh-pzone, pzoned, libpzone, hook, manual pages, completion
	@$(SUBMAKE) -C libvirt-plugin/lib install
	@$(SUBMAKE) -C libvirt-plugin/virsh install
	@$(SUBMAKE) -C libvirt-plugin/hook install
	@$(SUBMAKE) -C hv/pzoned install

install-qemu: ## ... QEMU, beside the distribution's: prefix/lib/pzone/qemu-system-x86_64
	@[ -x $(emulator) ] || { echo '$(emulator) is missing; run "make qemu" first' >&2; exit 1; }
	@install -D -m 755 $(emulator) $(DESTDIR)$(pkglibdir)/qemu-system-x86_64

install-xen: ## ... pzone-xend, its manual page and unit; part of install if it is built
	@$(SUBMAKE) -C hv/xen install

install-guest: ## ... in a guest: pzone-exec
	@$(SUBMAKE) -C guest-kernel/tools install

# What an installation with the same variables would put there now.
uninstall: ## remove what the three put there
	@list=$$(mktemp -d) && trap 'rm -rf "$$list"' EXIT && \
	$(MAKE) -s --no-print-directory install-tools install-guest \
		$(if $(wildcard $(BUILD)/bin/pzone-xend),install-xen) \
		$(if $(wildcard $(emulator)),install-qemu) DESTDIR=$$list && \
	(cd $$list && find . ! -type d) | sed 's|^\.|$(DESTDIR)|' | xargs -r -d '\n' rm -f
	@for d in $(pkglibdir)/bin $(pkglibdir) $(prefix)/share/pzone/schema $(prefix)/share/pzone $(prefix)/share/doc/pzone; do \
		rmdir "$(DESTDIR)$$d" 2> /dev/null || true; done

deb: tools qemu ## Debian packages in build/deb, and the kernel in them (15 min more the first time)
	@.ci/install-packages .ci/packages-deb
	$(call say,the kernel of the package: as guest-kernel/config/debian.config says)
	@guest-kernel/build debian
	@.ci/deb/build

test-deb: ## install, use and remove the packages in fresh Debian systems (root; 10 min)
	@.ci/install-packages .ci/packages-deb
	@exec tests/deb/test-deb

check: ## cheap checks of scripts and file headers
	@tests/lib/check-tree

clean: ## remove what takes seconds to build (all but QEMU and the kernel)
	rm -rf $(BUILD)/bin $(BUILD)/lib $(BUILD)/obj $(BUILD)/guest

distclean: ## remove build/
	rm -rf $(BUILD)
