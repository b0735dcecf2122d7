// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * look.c: how a class is shown to people, the same by every host that keeps pools.
 */
#include "pz_core.h"
#include "virtio_pzone.h"

static uint64_t extent_end(const struct pz_extent *extent)
{
	return (uint64_t)extent->first + extent->nr;
}

/* How many blocks of both are the same class's. */
static uint32_t overlap(const struct pz_extent *a, const struct pz_extent *b)
{
	const uint64_t first = a->first > b->first ? a->first : b->first;
	const uint64_t end = extent_end(a) < extent_end(b) ? extent_end(a) : extent_end(b);

	return a->class_id == b->class_id && end > first ? end - first : 0;
}

void pz_misplaced(const struct pz_extent *wanted, uint32_t nr_wanted,
		  const struct pz_extent *actual, uint32_t nr_actual,
		  void (*add)(void *opaque, uint32_t class_id, uint32_t blocks), void *opaque)
{
	uint32_t w = 0;

	for (uint32_t a = 0; a < nr_actual; a++) {
		const struct pz_extent *have = &actual[a];
		uint32_t excess = have->nr;

		while (w < nr_wanted && extent_end(&wanted[w]) <= have->first)
			w++;
		for (uint32_t i = w; i < nr_wanted && wanted[i].first < extent_end(have); i++)
			excess -= overlap(have, &wanted[i]);
		if (excess)
			add(opaque, have->class_id, excess);
	}
}

enum pz_class_state pz_class_state(const struct pz_pool_info *pool,
				   const struct pz_class_info *class, uint32_t misplaced,
				   bool guest_ready, bool failed)
{
	/* What the guest says of a layout that is no longer wanted is old news. */
	const bool partial = failed || (class->report.valid &&
		class->report.state == VIRTIO_PZONE_STATE_PARTIAL &&
		pool->guest_generation == pool->generation);

	if (!guest_ready)
		return PZ_CLASS_WAITING;
	if (class->dying)
		return PZ_CLASS_DESTROYING;
	/* On its way to one extent it has more for a while, or elsewhere. */
	if (!class->relocating && (class->plugged > class->size || misplaced))
		return partial ? PZ_CLASS_PARTIAL : PZ_CLASS_SHRINKING;
	if (class->plugged < class->size)
		return partial ? PZ_CLASS_PARTIAL : PZ_CLASS_GROWING;
	return PZ_CLASS_SETTLED;
}
