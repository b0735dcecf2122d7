// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * relocate.c: bringing a class that lies in pieces back to one extent while it is in use.
 *
 * The rule: a class of several extents is moved when some run of blocks that are free or
 * its own holds all of it, aligned as it must be; it goes to the place that moves the
 * fewest blocks. Nobody else is moved for it, and nothing that would still leave several
 * extents is done: half a relocation costs as much and gains nothing.
 *
 * A step moves as much as `requested` leaves unallocated, at most one gap of the new place:
 *   adding    the new blocks are wanted as well as the old ones; the guest plugs them.
 *   dropping  as many old blocks are wanted no longer; the guest moves its pages and
 *             unplugs them, as in any shrink.
 * Then the next step is found by looking afresh: each one leaves more of the class in its
 * place, so the same place is found again, and it ends. Only the step is remembered.
 *
 * When it runs. By itself, because nobody else would: an operator sees extents only when
 * huge pages do not come, and the controller knows sizes, not places. It costs the guest a
 * copy of the moved pages, once. It runs only in a settled pool, one class at a time, and
 * each step begins with a REPORT of the current generation, so it takes nothing from a
 * guest that is behind. Who does not want it switches it off (pz_pool_set_relocation()).
 *
 * It yields: whatever changes the size of any class, or `requested`, ends it at once; the
 * extra blocks are wanted no longer, and what has been moved stays moved. A guest that can't
 * follow (a pinned page, a host without memory) is asked MAX_TRIES times from when it last
 * got on; then the class gets back the old blocks that are stuck, for as many new ones, and
 * is left alone until it is resized or the guest starts anew.
 */
#include <stdlib.h>
#include <string.h>

#include "pz_internal.h"
#include "virtio_pzone.h"

#define MAX_TRIES	5	/* reports without progress */
#define MAX_LOOKS	8	/* classes looked at for one report */

/* Blocks that the class may have beyond its size for now. */
uint32_t pz_reloc_extra(const struct pz_pool *pool, const struct pz_class *class)
{
	return pool->reloc.adding && pool->reloc.class_id == class->id ? pool->reloc.nr : 0;
}

/* A relocation goes on only while each class is promised all of its size. */
bool pz_reloc_allows(const struct pz_pool *pool, const struct pz_class *class)
{
	return !class->dying && class->published == class->size + pz_reloc_extra(pool, class);
}

/* Want these blocks, for the class or (PZ_EMPTY) no longer. */
static bool want(struct pz_pool *pool, uint32_t id, uint32_t first, uint32_t nr)
{
	struct pz_extent e = { id, first, nr };
	struct pz_map edits = { .e = &e, .nr = 1 };

	return pz_pool_edit(pool, &edits);
}

/* Blocks of the class that are where they should not be, or not where they should be. */
static uint32_t misplaced(const struct pz_pool *pool, const struct pz_class *class)
{
	struct pz_walk walk;
	uint32_t n = 0;

	pz_walk_start(&walk, &pool->wanted, &pool->actual, pool->nr_blocks);
	while (pz_walk_next(&walk))
		if ((walk.in_a == class->id) != (walk.in_b == class->id))
			n += walk.nr;
	return n;
}

bool pz_reloc_cancel(struct pz_pool *pool)
{
	struct pz_class *class = pz_class_id(pool, pool->reloc.class_id);
	bool adding = pool->reloc.adding;

	if (!pool->reloc.class_id)
		return false;
	if (adding) {
		if (!want(pool, PZ_EMPTY, pool->reloc.first, pool->reloc.nr))
			return false;	/* no memory: the next one tries again */
		class->published -= pool->reloc.nr;
	}
	pool->reloc = (struct pz_reloc) { 0 };
	return adding;
}

/* --- where to --- */

/* Counts blocks of a class below a place, for places that ascend. */
struct below {
	const struct pz_map *own;
	uint32_t i, sum;
};

static uint32_t below(struct below *b, uint32_t place)
{
	const struct pz_extent *e = b->own->e;

	while (b->i < b->own->nr && e[b->i].first + e[b->i].nr <= place)
		b->sum += e[b->i++].nr;
	return b->sum + (b->i < b->own->nr && e[b->i].first < place ? place - e[b->i].first : 0);
}

static uint32_t clamp(int64_t value, uint32_t low, uint32_t high)
{
	return value < low ? low : value > high ? high : value;
}

struct place {
	uint32_t first;
	uint32_t held;		/* blocks of it that the class has */
	bool found;
};

/* The best place for `size` blocks inside a run. It begins where an extent of the class
 * begins or ends where one ends, or could be moved without loss until it does. */
static void look_in_run(const struct pz_map *own, uint32_t size, uint32_t first, uint32_t end,
			struct place *best)
{
	struct below from[2] = { { own, 0, 0 }, { own, 0, 0 } };
	struct below to[2] = { { own, 0, 0 }, { own, 0, 0 } };
	uint32_t i, which;

	if (end < first || end - first < size)
		return;
	if (!best->found)
		*best = (struct place) { first, 0, true };
	for (i = 0; i < own->nr; i++) {
		const struct pz_extent *e = &own->e[i];
		const int64_t places[2] = { e->first, (int64_t)e->first + e->nr - size };

		for (which = 0; which < 2; which++) {
			uint32_t at = clamp(places[which], first, end - size);
			uint32_t held = below(&to[which], at + size) - below(&from[which], at);

			if (held > best->held)
				*best = (struct place) { at, held, true };
		}
	}
}

/* Where all of the class could lie, moving nobody else, in a settled pool. */
static bool find_place(const struct pz_pool *pool, const struct pz_class *class,
		       struct place *best)
{
	const uint32_t mask = class->align - 1;
	struct pz_map own = { 0 };
	uint32_t start = 0, end, i;

	*best = (struct place) { .found = false };
	if (pz_map_reserve(&own, pool->wanted.nr))
		return false;
	for (i = 0; i <= pool->wanted.nr; i++) {
		const struct pz_extent *e = &pool->wanted.e[i];

		if (i < pool->wanted.nr && e->class_id == class->id) {
			own.e[own.nr++] = *e;
			continue;
		}
		end = i < pool->wanted.nr ? e->first : pool->nr_blocks - pool->memmap_blocks;
		look_in_run(&own, class->size, (start + mask) & ~mask, end & ~mask, best);
		own.nr = 0;
		if (i == pool->wanted.nr || e->class_id == VIRTIO_PZONE_CLASS_MEMMAP)
			break;
		start = e->first + e->nr;
	}
	pz_map_done(&own);
	return best->found;
}

/* The first blocks of the place that the class lacks, at most `most`. */
static void first_gap(const struct pz_pool *pool, const struct pz_class *class, uint32_t place,
		      uint32_t most, struct pz_reloc *step)
{
	struct pz_walk walk;

	pz_walk_from(&walk, &pool->wanted, &pool->actual, place, place + class->size);
	while (pz_walk_next(&walk)) {
		if (walk.in_a == class->id)
			continue;
		step->first = walk.first;
		step->nr = walk.nr < most ? walk.nr : most;
		return;
	}
}

/* --- step by step --- */

static bool settled(const struct pz_pool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->nr_classes; i++)
		if (!pz_reloc_allows(pool, &pool->classes[i]))
			return false;
	return pool->wanted.nr == pool->actual.nr &&
	       !memcmp(pool->wanted.e, pool->actual.e, pool->wanted.nr * sizeof(*pool->wanted.e));
}

/* Begin a step with this class if there is one to be made. */
static bool add(struct pz_pool *pool, struct pz_class *class)
{
	uint32_t room = (pool->requested - pz_pool_plugged(pool)) & ~(class->align - 1);
	struct pz_reloc step = { .class_id = class->id, .adding = true };
	struct place place;

	if (!room || !find_place(pool, class, &place))
		return false;
	step.place = place.first;
	first_gap(pool, class, place.first, room, &step);
	if (!step.nr || !want(pool, class->id, step.first, step.nr))
		return false;
	class->published += step.nr;
	step.left = step.nr;
	pool->reloc = step;
	return true;
}

/* Look for a class to bring together; a few at a time, all of them in turns. */
static bool start(struct pz_pool *pool)
{
	uint32_t extents[PZ_MAX_CLASSES] = { 0 }, looks = 0, i;

	if (!pool->relocation || pool->behind || !settled(pool) ||
	    pool->requested <= pz_pool_plugged(pool) || pool->wanted.nr <= 1 + pool->nr_classes / 2)
		return false;
	if (pool->ops && pool->ops->busy && pool->ops->busy(pool->opaque))
		return false;
	for (i = 0; i < pool->wanted.nr; i++)
		if (pool->wanted.e[i].class_id != VIRTIO_PZONE_CLASS_MEMMAP)
			extents[pz_class_id(pool, pool->wanted.e[i].class_id) - pool->classes]++;
	for (i = 0; i < pool->nr_classes && looks < MAX_LOOKS; i++) {
		struct pz_class *class;

		if (pool->reloc_next >= pool->nr_classes)
			pool->reloc_next = 0;
		class = &pool->classes[pool->reloc_next];
		if (extents[pool->reloc_next] > 1 && !class->stay) {
			looks++;
			if (add(pool, class))
				return true;
		}
		pool->reloc_next++;
	}
	return false;
}

static int compare_size(const void *a, const void *b)
{
	const struct pz_extent *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->first < y->first ? -1 : 1;
}

/* The new blocks are there: want as many old ones no longer, the smallest pieces first. */
static bool drop(struct pz_pool *pool, struct pz_class *class)
{
	const uint32_t begin = pool->reloc.place, end = begin + class->size;
	uint32_t excess = pool->reloc.nr, nr = 0, i;
	struct pz_map edits = { 0 };
	bool done;

	if (pz_map_reserve(&edits, pool->wanted.nr + 1))
		return false;
	/* Only one extent of the class can reach into the place from either side. */
	for (i = 0; i < pool->wanted.nr; i++) {
		const struct pz_extent *e = &pool->wanted.e[i];
		uint32_t e_end = e->first + e->nr;

		if (e->class_id != class->id)
			continue;
		if (e->first < begin)
			edits.e[edits.nr++] = (struct pz_extent) {
				PZ_EMPTY, e->first, (e_end < begin ? e_end : begin) - e->first
			};
		if (e_end > end) {
			uint32_t from = e->first > end ? e->first : end;

			edits.e[edits.nr++] = (struct pz_extent) { PZ_EMPTY, from, e_end - from };
		}
	}
	qsort(edits.e, edits.nr, sizeof(*edits.e), compare_size);
	for (nr = 0; nr < edits.nr && excess; nr++) {
		struct pz_extent *e = &edits.e[nr];

		if (e->nr > excess) {
			if (e->first >= end)	/* from the far end */
				e->first += e->nr - excess;
			e->nr = excess;
		}
		excess -= e->nr;
	}
	edits.nr = nr;
	done = pz_pool_edit(pool, &edits);
	if (done) {
		class->published -= pool->reloc.nr;
		pool->reloc.adding = false;
		pool->reloc.left = pool->reloc.nr;
		pool->reloc.tries = 0;
	}
	pz_map_done(&edits);
	return done;
}

/* The guest can't: the class has its size, and is left where it is. */
static bool give_up(struct pz_pool *pool, struct pz_class *class)
{
	const struct pz_reloc step = pool->reloc;
	uint32_t got = class->published;

	class->stay = true;
	if (step.adding)
		return pz_reloc_cancel(pool);
	/* What is stuck is wanted again, and as many of the new blocks no longer. */
	pz_plan_take_back(pool, class, step.nr);
	got = class->published - got;
	pool->reloc = (struct pz_reloc) { 0 };
	if (!got)
		return false;
	if (want(pool, PZ_EMPTY, step.first + step.nr - got, got))
		class->published -= got;
	return true;	/* else the next plan shrinks it */
}

static bool advance(struct pz_pool *pool)
{
	struct pz_class *class = pz_class_id(pool, pool->reloc.class_id);
	uint32_t left = misplaced(pool, class);

	if (!pool->relocation)
		return pz_reloc_cancel(pool);
	if (!left) {
		if (pool->reloc.adding)
			return drop(pool, class);
		pool->reloc = (struct pz_reloc) { 0 };
		return start(pool);
	}
	if (left < pool->reloc.left) {
		pool->reloc.left = left;
		pool->reloc.tries = 0;
		return false;
	}
	return ++pool->reloc.tries >= MAX_TRIES && give_up(pool, class);
}

/* The guest has worked through the current layout, as well as it could. */
void pz_reloc_reported(struct pz_pool *pool)
{
	if (pool->reloc.class_id ? advance(pool) : start(pool))
		pz_pool_publish(pool);
}
