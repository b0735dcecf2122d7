/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_qemu.h: a FAKE of what libpzone asks of a QEMU domain, put under libvirt's
 * test driver by the linker (--wrap): that driver has metadata and a state, and
 * no monitor and no virtio-mem. It keeps a class table of its own with the rules
 * of the sum and the bounds; the real device is tested in tests/device and
 * tests/e2e.
 */
#ifndef FAKE_QEMU_H
#define FAKE_QEMU_H

#include <stdbool.h>
#include <stdint.h>

enum fake_trouble {
	FAKE_FINE,
	FAKE_NO_COMMAND,	/* a QEMU without pzone */
	FAKE_BUSY,		/* libvirt: somebody has the domain's job */
	FAKE_NONSENSE,		/* a reply that is no JSON */
	FAKE_READ_ONLY,		/* libvirt: a read-only connection */
};

struct fake_class {
	char name[64], cookie[80];
	uint64_t size, guarantee, limit, actual;
	uint64_t align;		/* 0: it was not asked for, and is not said */
	const char *state;
	uint64_t free_bytes;	/* reported, when has_report */
	bool has_report;
};

struct fake_qemu {
	enum fake_trouble trouble;
	bool no_pool;
	const char *guest;		/* "ready" */
	const char *refuse;		/* name of a class that create and set refuse */
	unsigned int polls_to_settle;	/* queries until actual follows size */
	unsigned int generation, guest_generation;
	uint64_t available;
	struct fake_class classes[16];
	unsigned int nr;
	unsigned int commands;		/* that change something, and were asked for */
};

extern struct fake_qemu fake;

/* All good, 1 GiB available, no class. */
void fake_reset(void);
struct fake_class *fake_find(const char *name);
struct fake_class *fake_add(const char *name, uint64_t size, const char *cookie);

#endif
