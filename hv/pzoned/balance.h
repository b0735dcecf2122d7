/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balance.h: how big each elastic class should be. The policy, and nothing else:
 * no libvirt, no clock, no thread; pzoned feeds it with what devices report, and
 * the simulator (tests/sim) with what it makes up.
 *
 * Concepts
 *   elastic  a class with guarantee < limit; its size floats between them. All
 *            others are fixed: they keep their size and only take up room.
 *   pool     what the classes of one device share. Capacity is what it may have
 *            plugged (requested) without the memory map.
 *   budget   what a group of pools on one host shares: bytes of memory of one
 *            NUMA node and page size, memory maps included.
 *   pressed  a class that stalls in reclaim, reads back what it dropped, or said
 *            that it runs out. It wants to grow.
 *   calm     a class that has not been pressed for a while. What it has free beyond
 *            some headroom it does not need.
 *   round    one call of balance_round(): looks at all, and gives each class the
 *            size that it should have now.
 *
 * What a round promises, whatever the classes do:
 *   guarantee <= new_size <= limit for an elastic class, new_size == size for a fixed one;
 *   the new sizes of a pool come to no more than its capacity, and those of a group to
 *   no more than its budget, where memory that a class still holds counts too; unless
 *   it is so before the round already: then nothing grows there.
 *
 * Units: bytes, microseconds.
 */
#ifndef PZONED_BALANCE_H
#define PZONED_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BALANCE_WEIGHT_DEFAULT	100	/* 1..10000, as cgroup v2 has them */
#define BALANCE_NO_GROUP	SIZE_MAX
#define BALANCE_NO_BUDGET	UINT64_MAX

struct balance_tunables {
	unsigned int pressure_permille;	/* of the time stalled in reclaim: pressed */
	unsigned int refault_permille;	/* of its pages read back per second: pressed */
	unsigned int grow_percent;	/* of its size: the first step; each further one doubles */
	unsigned int headroom_percent;	/* of what it uses: left free to a calm class */
	uint64_t headroom_bytes;	/* and at least this */
	uint64_t quiet_us;		/* after pressure, before it counts as calm */
	uint64_t calm_us;		/* not needed for so long: given back unasked */
	unsigned int give_percent;	/* of what it does not need, at a time */
	unsigned int probe_percent;	/* of its size: reclaimed at a time to find what is idle */
};

extern const struct balance_tunables balance_defaults;

/* What one round leaves for the next. All zeroes is a class never seen before;
 * forgetting it costs time, never memory. */
struct balance_memory {
	uint64_t seen_us;		/* when the counters below were taken; 0: never */
	uint64_t stall_us, refaults, oom;
	uint64_t pressed_us;		/* when it was last pressed; 0: never */
	uint64_t calm_since_us;		/* 0: is pressed, or was a moment ago */
	uint64_t step_bytes;		/* last growth while pressed */
	uint64_t window_us;		/* when this window of calm_us began */
	uint64_t used_max, used_max_before;	/* most used in this window, and in the last */
};

enum balance_reason {
	BALANCE_KEEP,		/* nothing to do */
	BALANCE_OOM,		/* grows: was about to kill */
	BALANCE_PRESSED,	/* grows: reclaims hard */
	BALANCE_REGAIN,		/* grows: up to its guarantee */
	BALANCE_IDLE,		/* shrinks: has not needed it for a while */
	BALANCE_OFFERED,	/* shrinks: has it free, and others are short */
	BALANCE_SHARED,		/* shrinks: above its share, and others are short */
};
const char *balance_reason_text(enum balance_reason reason);

struct balance_class {
	/* what it is */
	const char *name;
	uint64_t guarantee, limit;	/* multiples of unit */
	uint64_t size;			/* that it should have */
	uint64_t actual;		/* that it had when it was looked at */
	uint64_t may_have;		/* by now, if that is more: it was to grow then, or since */
	uint64_t unit;			/* sizes are multiples of this; > 0 */
	unsigned int weight;
	bool elastic;			/* may be resized; needs a guest that reports */
	/* what its guest last said, and when; counters only ever grow */
	uint64_t sampled_us;
	uint64_t free;
	uint64_t stall_us, refaults, oom;
	uint64_t shortage;		/* more than it has, asked for by events since the last round */
	bool dying;			/* it is about to kill for that */
	struct balance_memory memory;
	/* what the round says */
	uint64_t want;			/* that it could use now */
	uint64_t new_size;
	uint64_t reclaim;		/* order a directed reclaim of this; 0: none */
	enum balance_reason reason;
};

struct balance_pool {
	uint64_t capacity;
	uint64_t memmap;		/* beside it; counts in the group's budget */
	size_t group;			/* index of its group, or BALANCE_NO_GROUP */
	struct balance_class *classes;
	size_t nr_classes;
	/* what the round says */
	bool is_short;			/* its classes want more than there is */
	uint64_t level, left;		/* scratch */
};

struct balance_group {
	uint64_t budget;		/* BALANCE_NO_BUDGET: none */
	bool is_short;			/* as above */
};

/* Sets `want`, `new_size`, `reclaim`, `reason` and `memory` of all classes. */
void balance_round(struct balance_pool *pools, size_t nr_pools, struct balance_group *groups,
		   size_t nr_groups, const struct balance_tunables *tunables, uint64_t now_us);

#endif
