// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * plan.c: the planner, which decides where classes live.
 *
 * A class that lacks blocks takes, in this order,
 *   1. blocks still plugged for it though no longer wanted: growing again after a
 *      shrink that did not finish costs nothing and moves nothing;
 *   2. free blocks beside what it has: gaps between two of its extents, then the
 *      blocks behind one, then those before one;
 *   3. the smallest free run that holds what is left; if there is none, the
 *      largest free runs, until one holds the rest.
 * A class of which nothing is plugged may be moved as a whole instead of 3, if
 * that makes it one extent: it costs nobody anything. While nothing of any class
 * is plugged, all of them are one extent each.
 *
 * Inside a free run a new extent leaves room for the class in front of it and for
 * its own: two elastic classes that grow in turns would otherwise cut each other
 * into pieces. Classes that can't grow (limit == size) are packed tightly.
 *
 * A class gives up its smallest extents first, which leaves the fewest, and of
 * the last one the end that joins free blocks (the upper one if in doubt: it grew
 * there).
 *
 * For an aligned class all of this goes by what of a run begins and ends on its
 * alignment.
 *
 * All of it is a few passes over the extents for each class that gets something,
 * and a sort if it gets several pieces; the extents are at most PZ_MAX_EXTENTS, and
 * PZ_MAX_WORK bounds how many classes get something in one call. Bringing a class in
 * several extents together again is relocate.c's.
 */
#include <stdlib.h>

#include "pz_internal.h"
#include "virtio_pzone.h"

/* A run of blocks that a class might take. */
struct run {
	uint32_t first, nr;
	uint32_t left, right;	/* whose wanted blocks lie beside it */
	unsigned int rank;	/* lower goes first */
	uint32_t cost;		/* blocks of it that are not promised yet */
};

enum {
	RANK_BRIDGE,		/* joins two extents of the class */
	RANK_BEHIND,		/* behind an extent of the class */
	RANK_BEFORE,
	RANK_ELSEWHERE,
};

enum kind {
	RUN_FREE,		/* nobody's */
	RUN_OWN,		/* plugged for the class and wanted by nobody */
};

static uint32_t min_blocks(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t round_down(uint32_t blocks, uint32_t align)
{
	return blocks & ~(align - 1);
}

static uint32_t round_up(uint32_t blocks, uint32_t align)
{
	return round_down(blocks + align - 1, align);
}

static uint32_t count_extents(const struct pz_pool *pool, uint32_t class_id)
{
	uint32_t i, n = 0;

	for (i = 0; i < pool->wanted.nr; i++)
		n += pool->wanted.e[i].class_id == class_id;
	return n;
}

/* Blocks that are wanted or plugged: what the guest has or may take. */
uint32_t pz_pool_promised(const struct pz_pool *pool)
{
	struct pz_walk walk;
	uint32_t n = 0;

	pz_walk_start(&walk, &pool->wanted, &pool->actual, pool->nr_blocks);
	while (pz_walk_next(&walk))
		if (walk.in_a != PZ_NOBODY || walk.in_b != PZ_NOBODY)
			n += walk.nr;
	return n;
}

/* Cut a run down to what begins and ends on multiples of `align`. */
static bool trim(struct run *run, uint32_t align)
{
	uint32_t first = round_up(run->first, align), end = run->first + run->nr;

	if (first != run->first)
		run->left = PZ_NOBODY;
	if (end != round_down(end, align))
		run->right = PZ_NOBODY;
	end = round_down(end, align);
	run->nr = end > first ? end - first : 0;
	run->first = first;
	run->cost = run->nr;
	return run->nr;
}

/* Is there a free place for one unit of this alignment? */
bool pz_pool_has_place(const struct pz_pool *pool, uint32_t align)
{
	struct pz_walk walk;

	pz_walk_start(&walk, &pool->wanted, &pool->actual,
		      pool->nr_blocks - pool->memmap_blocks);
	while (pz_walk_next(&walk)) {
		struct run run = { .first = walk.first, .nr = walk.nr };

		if (walk.in_a == PZ_NOBODY && walk.in_b == PZ_NOBODY && trim(&run, align))
			return true;
	}
	return false;
}

/* All runs of a kind, in order, with room for twice as many; malloc'ed. */
static int collect(const struct pz_pool *pool, const struct pz_class *class, enum kind kind,
		   struct run **ret_runs, uint32_t *ret_nr)
{
	const uint32_t who = kind == RUN_OWN ? class->id : PZ_NOBODY;
	const uint32_t align = kind == RUN_OWN ? 1 : class->align;
	uint32_t before = PZ_NOBODY, nr = 0, i, kept = 0;
	struct run *runs, *last = NULL;
	struct pz_walk walk;

	/* Between any two runs there is an extent. */
	runs = malloc(2 * ((size_t)pool->wanted.nr + pool->actual.nr + 1) * sizeof(*runs));
	if (!runs)
		return -1;
	pz_walk_start(&walk, &pool->wanted, &pool->actual,
		      pool->nr_blocks - pool->memmap_blocks);
	while (pz_walk_next(&walk)) {
		if (last)
			last->right = walk.in_a;
		last = NULL;
		if (walk.in_a == PZ_NOBODY && walk.in_b == who) {
			last = &runs[nr++];
			*last = (struct run) { walk.first, walk.nr, before, PZ_NOBODY, 0, 0 };
		}
		before = walk.in_a;
	}
	for (i = 0; i < nr; i++)
		if (align == 1 || trim(&runs[i], align))
			runs[kept++] = runs[i];
	*ret_runs = runs;
	*ret_nr = kept;
	return 0;
}

/* Can the class have this unit of its alignment, some of which is plugged for it?
 * *ret_cost: the blocks of it that are not. */
static bool unit_is_own(const struct pz_pool *pool, const struct pz_class *class,
			uint32_t first, uint32_t *ret_cost)
{
	uint32_t end = first + class->align;
	struct pz_walk walk;

	if (end > pool->nr_blocks - pool->memmap_blocks)
		return false;
	*ret_cost = 0;
	pz_walk_from(&walk, &pool->wanted, &pool->actual, first, end);
	while (pz_walk_next(&walk)) {
		if (walk.in_a != PZ_NOBODY ||
		    (walk.in_b != PZ_NOBODY && walk.in_b != class->id))
			return false;
		if (walk.in_b == PZ_NOBODY)
			*ret_cost += walk.nr;
	}
	return true;
}

/*
 * What is plugged for the class and wanted by nobody, in whole units of its alignment.
 * The guest may have cut through a unit: the rest of it is taken, too, where it is free.
 */
static int collect_own(const struct pz_pool *pool, const struct pz_class *class,
		       struct run **ret_runs, uint32_t *ret_nr)
{
	const uint32_t align = class->align;
	uint32_t nr, nr_units = 0, done = 0, i;
	struct run *runs, *units;

	if (collect(pool, class, RUN_OWN, &runs, &nr))
		return -1;
	if (align == 1) {
		*ret_runs = runs;
		*ret_nr = nr;
		return 0;
	}
	units = malloc((3 * (size_t)nr + 1) * sizeof(*units));
	for (i = 0; units && i < nr; i++) {
		uint32_t at = round_down(runs[i].first, align), end = runs[i].first + runs[i].nr;

		/* The unit it begins in, whole ones in between, the one it ends in. */
		for (at = at > done ? at : done; at < end; at = done) {
			struct run unit = { at, align, PZ_NOBODY, PZ_NOBODY, 0, 0 };

			if (at >= runs[i].first && end - at >= align)
				unit.nr = round_down(end - at, align);
			done = at + unit.nr;
			if (unit.nr > align || unit_is_own(pool, class, at, &unit.cost))
				units[nr_units++] = unit;
		}
	}
	free(runs);
	*ret_runs = units;
	*ret_nr = nr_units;
	return units ? 0 : -1;
}

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->nr != y->nr)
		return (x->nr < y->nr) == (x->rank == RANK_BRIDGE) ? -1 : 1;
	return x->first < y->first ? -1 : 1;
}

/* Least useful first. */
static int compare_size(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->first > y->first ? -1 : 1;
}

static int compare_first(const void *a, const void *b)
{
	const struct pz_extent *x = a, *y = b;

	return x->first < y->first ? -1 : 1;
}

/* Change the wanted layout; false for lack of memory, with nothing done. */
bool pz_pool_edit(struct pz_pool *pool, struct pz_map *edits)
{
	qsort(edits->e, edits->nr, sizeof(*edits->e), compare_first);
	if (pz_map_prepare(&pool->wanted, edits->nr))
		return false;
	pz_map_apply(&pool->wanted, edits);
	return true;
}

static unsigned int rank(const struct run *run, uint32_t id, uint32_t lack)
{
	if (run->left == id && run->right == id && run->nr <= lack)
		return RANK_BRIDGE;
	if (run->left == id)
		return RANK_BEHIND;
	return run->right == id ? RANK_BEFORE : RANK_ELSEWHERE;
}

/* Rank all runs and move those beside the class to the front. How many are they? */
static uint32_t rank_all(struct run *runs, uint32_t nr, uint32_t id, uint32_t lack)
{
	uint32_t i, beside = 0;

	for (i = 0; i < nr; i++) {
		runs[i].rank = rank(&runs[i], id, lack);
		if (runs[i].rank != RANK_ELSEWHERE) {
			struct run run = runs[i];

			runs[i] = runs[beside];
			runs[beside++] = run;
		}
	}
	return beside;
}

static const struct run *smallest_fit(const struct run *runs, uint32_t nr, uint32_t lack)
{
	const struct run *best = NULL;
	uint32_t i;

	for (i = 0; i < nr; i++)
		if (runs[i].nr >= lack && (!best || runs[i].nr < best->nr ||
					   (runs[i].nr == best->nr && runs[i].first < best->first)))
			best = &runs[i];
	return best;
}

/* Blocks by which a class may be expected to grow: up to its limit, or, if it has
 * outgrown its place before, to twice its size. */
static uint64_t headroom(const struct pz_pool *pool, uint32_t id)
{
	const struct pz_class *class = id == PZ_NOBODY ? NULL : pz_class_id(pool, id);
	uint64_t room;

	if (!class || class->dying || id == VIRTIO_PZONE_CLASS_MEMMAP)
		return 0;
	room = class->limit - class->size;
	if (room < class->size && count_extents(pool, id) > 1)
		room = class->size;
	return room;
}

/* How far into a free run `lack` blocks are put. */
static uint32_t offset(const struct pz_pool *pool, const struct pz_class *class,
		       const struct run *run, uint32_t lack)
{
	uint64_t slack = run->nr > lack ? run->nr - lack : 0;
	uint64_t theirs = slack ? headroom(pool, run->left) : 0;
	uint64_t ours;

	if (!theirs)
		return 0;
	ours = class->limit - class->size;
	if (class->published && ours < class->size)
		ours = class->size;
	if (theirs + ours > slack)
		theirs = slack * theirs / (theirs + ours);
	return round_down(theirs, class->align);
}

/* May the layout have one piece more? If it has its most, the class gets the rest when
 * there are fewer: some of these may join, or those that another class gets. */
static bool may_cut(struct pz_pool *pool, const struct pz_map *edits)
{
	bool may = pool->wanted.nr + edits->nr < PZ_MAX_EXTENTS;

	pool->plan_again |= !may;
	return may;
}

/* Take back what is plugged for the class and no longer wanted. What that promises
 * anew must fit in `room`. Returns how much that is; *changed if anything. */
static uint32_t take_own(struct pz_pool *pool, struct pz_class *class, uint32_t lack,
			 uint32_t room, bool *changed)
{
	uint32_t got = 0, cost = 0, nr, i;
	struct pz_map edits = { 0 };
	struct run *runs;

	if (collect_own(pool, class, &runs, &nr))
		return 0;
	if (pz_map_reserve(&edits, nr))
		goto out;
	for (i = 0; i < nr && lack > got && may_cut(pool, &edits); i++) {
		uint32_t n = min_blocks(runs[i].nr, lack - got);

		if (runs[i].cost > room - cost) {
			class->resized = true;	/* later, then */
			continue;
		}
		edits.e[edits.nr++] = (struct pz_extent) { class->id, runs[i].first, n };
		cost += runs[i].cost;
		got += n;
	}
	if (!got || !pz_pool_edit(pool, &edits)) {
		cost = 0;
		goto out;
	}
	class->published += got;
	*changed = true;
out:
	pz_map_done(&edits);
	free(runs);
	return cost;
}

/* Give the class what it lacks out of free runs, but no more than `room` now. Returns
 * how much it got. */
static uint32_t take(struct pz_pool *pool, struct pz_class *class, uint32_t room)
{
	uint32_t lack = class->size - class->published, got = 0, nr, beside, i, j, n;
	struct pz_map edits = { 0 };
	struct run *runs;

	room = round_down(room, class->align);
	if (!room || collect(pool, class, RUN_FREE, &runs, &nr))
		return 0;	/* the next replan tries again */
	if (pz_map_reserve(&edits, nr))
		goto out;
	beside = rank_all(runs, nr, class->id, lack);
	qsort(runs, beside, sizeof(*runs), compare_runs);

	for (i = 0; i < nr && got < room && lack && may_cut(pool, &edits); i++) {
		const struct run *run = &runs[i];
		uint32_t at;

		if (i == beside) {
			/* Mostly one holds all; there may be many, so sort only if not. */
			run = smallest_fit(runs + i, nr - i, lack);
			if (!run) {
				qsort(runs + i, nr - i, sizeof(*runs), compare_runs);
				run = &runs[i];
			}
		}
		/* If this one is larger than needed: the smallest one that will do. */
		for (j = i + 1; i != beside && run->rank != RANK_BRIDGE && run->nr > lack &&
				j < nr && runs[j].rank == run->rank && runs[j].nr >= lack; j++)
			run = &runs[j];
		n = min_blocks(min_blocks(run->nr, lack), room - got);
		at = run->first;
		if (run->rank == RANK_BEFORE)
			at += run->nr - n;
		else if (run->rank == RANK_ELSEWHERE)
			at += offset(pool, class, run, lack);
		edits.e[edits.nr++] = (struct pz_extent) { class->id, at, n };
		got += n;
		lack -= n;
	}
	if (got && !pz_pool_edit(pool, &edits))
		got = 0;
	class->published += got;
out:
	pz_map_done(&edits);
	free(runs);
	return got;
}

/* Want again up to so many blocks that are still plugged for a class. */
void pz_plan_take_back(struct pz_pool *pool, struct pz_class *class, uint32_t most)
{
	uint32_t promised = pz_pool_promised(pool);
	bool changed;

	take_own(pool, class, most, pool->requested - min_blocks(promised, pool->requested),
		 &changed);
}

/* Want nothing of the class for a moment. */
static bool withdraw(struct pz_pool *pool, struct pz_class *class)
{
	struct pz_map edits = { 0 };
	uint32_t i;
	bool done = false;

	if (pz_map_reserve(&edits, pool->wanted.nr))
		return false;
	for (i = 0; i < pool->wanted.nr; i++) {
		if (pool->wanted.e[i].class_id != class->id)
			continue;
		edits.e[edits.nr] = pool->wanted.e[i];
		edits.e[edits.nr++].class_id = PZ_EMPTY;
	}
	done = pz_pool_edit(pool, &edits);
	if (done)
		class->published = 0;
	pz_map_done(&edits);
	return done;
}

/*
 * A class of which nothing is plugged can start again somewhere else. Worth it
 * if it becomes one extent by that and would not be one where it is.
 */
static bool better_elsewhere(const struct pz_pool *pool, const struct pz_class *class)
{
	uint32_t free_run = 0, own = 0, extents = 0, start = 0;
	bool in_place = false, fits = false;
	struct pz_walk walk;
	struct run run;
	bool more = true;

	pz_walk_start(&walk, &pool->wanted, &pool->actual,
		      pool->nr_blocks - pool->memmap_blocks);
	while (more) {
		more = pz_walk_next(&walk);
		if (more && walk.in_b == PZ_NOBODY &&
		    (walk.in_a == PZ_NOBODY || walk.in_a == class->id)) {
			if (!free_run)
				start = walk.first;
			free_run += walk.nr;
			if (walk.in_a == class->id) {
				own += walk.nr;
				extents++;
			}
			continue;
		}
		run = (struct run) { .first = start, .nr = free_run };
		trim(&run, class->align);
		fits |= run.nr >= class->size;
		in_place |= own && own == class->published && run.nr >= class->size;
		free_run = own = 0;
	}
	return fits && !(in_place && extents == 1);
}

/*
 * Give a class what it lacks, as far as there is something. *used is what is
 * wanted or plugged of the pool, and is kept up to date.
 */
static bool grow(struct pz_pool *pool, struct pz_class *class, uint32_t *used)
{
	bool changed = false;
	uint32_t got;

	/* What is plugged for it already is promised already. Only a class whose size
	 * has changed can have such blocks: one that still lacks some has them back. */
	if (class->resized && class->plugged) {
		class->resized = false;
		*used += take_own(pool, class, class->size - class->published,
				  pool->requested - min_blocks(*used, pool->requested), &changed);
	}
	/* No more than `requested` in the guest's hands, not even for a moment. */
	if (class->published == class->size || *used >= pool->requested)
		return changed;
	if (class->published && !class->plugged && better_elsewhere(pool, class)) {
		got = class->published;
		if (!withdraw(pool, class))
			return changed;
		*used -= got;
		changed = true;
	}
	got = take(pool, class, pool->requested - *used);
	*used += got;
	return changed || got;
}

/* Does the wanted layout leave the block before (or at) this place free? */
static bool gap_before(const struct pz_pool *pool, uint32_t i)
{
	const struct pz_extent *e = pool->wanted.e;

	return i ? e[i - 1].first + e[i - 1].nr < e[i].first : e[i].first > 0;
}

static bool gap_behind(const struct pz_pool *pool, uint32_t i)
{
	const struct pz_extent *e = pool->wanted.e;

	return i + 1 < pool->wanted.nr && e[i].first + e[i].nr < e[i + 1].first;
}

/* Want less of a class. */
static bool shrink(struct pz_pool *pool, struct pz_class *class)
{
	uint32_t excess, i, n, nr = 0;
	struct pz_map edits = { 0 };
	struct run *runs = NULL;
	bool changed = false;

	if (class->published <= class->size + pz_reloc_extra(pool, class))
		return false;
	excess = class->published - class->size - pz_reloc_extra(pool, class);
	runs = malloc(pool->wanted.nr * sizeof(*runs));
	if (!runs || pz_map_reserve(&edits, pool->wanted.nr))
		goto out;
	for (i = 0; i < pool->wanted.nr; i++) {
		const struct pz_extent *e = &pool->wanted.e[i];

		if (e->class_id == class->id)
			runs[nr++] = (struct run) {
				e->first, e->nr, 0, 0,
				gap_before(pool, i) && !gap_behind(pool, i), 0
			};
	}
	qsort(runs, nr, sizeof(*runs), compare_size);
	for (i = 0; i < nr && excess; i++) {
		n = min_blocks(runs[i].nr, excess);
		edits.e[edits.nr++] = (struct pz_extent) {
			PZ_EMPTY, runs[i].rank ? runs[i].first : runs[i].first + runs[i].nr - n, n
		};
		excess -= n;
	}
	changed = pz_pool_edit(pool, &edits);
	if (changed)
		class->published = class->size + pz_reloc_extra(pool, class);
out:
	pz_map_done(&edits);
	free(runs);
	return changed;
}

static bool plan_memmap(struct pz_pool *pool)
{
	uint32_t size = pool->requested >= pool->memmap_blocks ? pool->memmap_blocks : 0;
	/* Only the end of the region will do; nothing else is ever put there. */
	struct pz_extent end = {
		size ? VIRTIO_PZONE_CLASS_MEMMAP : PZ_EMPTY,
		pool->nr_blocks - pool->memmap_blocks, pool->memmap_blocks
	};
	struct pz_map edits = { .e = &end, .nr = 1 };

	pool->memmap.size = size;
	if (pool->memmap.published == size || !pz_pool_edit(pool, &edits))
		return false;
	pool->memmap.published = size;
	return true;
}

/* True if some class has more than one extent or lacks blocks. */
static bool untidy(const struct pz_pool *pool)
{
	uint32_t i, nr = pool->memmap.published ? 1 : 0;

	for (i = 0; i < pool->nr_classes; i++) {
		if (pool->classes[i].published != pool->classes[i].size)
			return true;
		nr += pool->classes[i].published ? 1 : 0;
	}
	return pool->wanted.nr > nr;
}

struct order {
	uint32_t align, index;
};

static int compare_align(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->align != y->align)
		return x->align > y->align ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

/* Packed tightly, from the largest alignment to the smallest: so no block is lost. */
static void place_tightly(const struct pz_pool *pool, struct pz_map *edits)
{
	struct order order[PZ_MAX_CLASSES];
	uint32_t i, at = 0;

	for (i = 0; i < edits->nr; i++)
		order[i] = (struct order) { pz_class_id(pool, edits->e[i].class_id)->align, i };
	qsort(order, edits->nr, sizeof(*order), compare_align);
	for (i = 0; i < edits->nr; i++) {
		edits->e[order[i].index].first = at;
		at += edits->e[order[i].index].nr;
	}
}

/* Find places for these extents: in their order, with what room there is in between. */
static void place(const struct pz_pool *pool, struct pz_map *edits)
{
	const uint32_t end = pool->nr_blocks - pool->memmap_blocks;
	uint64_t hopes = 0, slack = end, at = 0;
	uint32_t i;

	/* Alignment may cost up to a unit each; a class's room is whole units, too. */
	for (i = 0; i < edits->nr; i++) {
		uint32_t id = edits->e[i].class_id, lost = pz_class_id(pool, id)->align - 1;

		if (edits->e[i].nr + lost > slack)
			return place_tightly(pool, edits);
		slack -= edits->e[i].nr + lost;
		hopes += headroom(pool, id);
	}
	for (i = 0; i < edits->nr; i++) {
		const struct pz_class *class = pz_class_id(pool, edits->e[i].class_id);
		uint64_t hope = headroom(pool, class->id);

		at = round_up(at, class->align);
		edits->e[i].first = at;
		at += class->size + (hopes <= slack ? hope : slack * hope / hopes);
	}
}

/*
 * While nothing of any class is plugged, one extent each: in the order in which
 * they lie, with what room there is between them.
 */
static bool repack(struct pz_pool *pool)
{
	struct pz_map edits = { 0 };
	uint32_t i, nr;

	if (!untidy(pool))
		return false;
	for (i = 0; i < pool->nr_classes; i++) {
		if (pool->classes[i].plugged)
			return false;
	}
	if (pz_map_reserve(&edits, pool->nr_classes + 1) ||
	    pz_map_reserve(&pool->wanted, pool->nr_classes + 1)) {
		pz_map_done(&edits);
		return false;
	}

	/* Where each begins now; one that has nothing comes last. */
	for (i = 0; i < pool->nr_classes; i++) {
		struct pz_class *class = &pool->classes[i];
		uint32_t j;

		if (!class->size)
			continue;
		for (j = 0; j < pool->wanted.nr && pool->wanted.e[j].class_id != class->id; j++)
			;
		edits.e[edits.nr++] = (struct pz_extent) {
			class->id,
			j < pool->wanted.nr ? pool->wanted.e[j].first : pool->nr_blocks + i,
			class->size
		};
	}
	qsort(edits.e, edits.nr, sizeof(*edits.e), compare_first);
	place(pool, &edits);
	qsort(edits.e, edits.nr, sizeof(*edits.e), compare_first);
	if (pool->memmap.published)
		edits.e[edits.nr++] = (struct pz_extent) {
			VIRTIO_PZONE_CLASS_MEMMAP, pool->nr_blocks - pool->memmap_blocks,
			pool->memmap_blocks
		};
	for (nr = 0; nr < edits.nr; nr++)
		pool->wanted.e[nr] = edits.e[nr];
	pool->wanted.nr = nr;
	for (i = 0; i < pool->nr_classes; i++)
		pool->classes[i].published = pool->classes[i].size;
	pool->reloc = (struct pz_reloc) { 0 };
	pool->behind = false;
	pool->plan_next = 0;
	pz_map_done(&edits);
	return true;
}

/* Tell the guest that there is something new. */
void pz_pool_publish(struct pz_pool *pool)
{
	pool->generation++;
	if (pool->ops && pool->ops->layout_changed)
		pool->ops->layout_changed(pool->opaque);
}

/*
 * Give classes what they lack, one after the other, until all of them have been looked
 * at or it has been enough for one call: one large extent that comes free may be what a
 * thousand classes wait for. pz_pool_go_on() goes on from there.
 */
static bool grow_all(struct pz_pool *pool)
{
	uint32_t i, used = 0, work = 0;
	bool changed = false, counted = false;

	for (i = pool->plan_next; i < pool->nr_classes; i++) {
		struct pz_class *class = &pool->classes[i];

		if (class->published >= class->size)
			continue;
		if (work >= PZ_MAX_WORK) {
			pool->behind = true;
			pool->plan_next = i;
			return changed;
		}
		if (!counted)
			used = pz_pool_promised(pool);
		counted = true;
		if (class->resized || used < pool->requested)
			work += pool->wanted.nr + pool->actual.nr;
		changed |= grow(pool, class, &used);
	}
	pool->behind = pool->plan_again;
	pool->plan_again = false;
	pool->plan_next = 0;
	return changed;
}

void pz_pool_go_on(struct pz_pool *pool)
{
	if (pool->behind && grow_all(pool))
		pz_pool_publish(pool);
}

/* Bring the wanted layout up to date; tell the guest if it, or what the caller
 * changed beside it, differs. */
void pz_pool_replan(struct pz_pool *pool, bool changed)
{
	uint32_t i;

	changed |= plan_memmap(pool);
	for (i = 0; i < pool->nr_classes; i++)
		changed |= shrink(pool, &pool->classes[i]);
	/* Those that had their turn before may find something now. */
	pool->plan_again = pool->behind && pool->plan_next;
	changed |= grow_all(pool);
	changed |= repack(pool);
	if (changed)
		pz_pool_publish(pool);
}
