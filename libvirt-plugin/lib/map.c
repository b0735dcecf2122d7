// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * map.c: a pool's guest-physical layout as one list of ranges.
 *
 * Wanted and actual extents overlap. So each of them is cut where any other one
 * begins or ends, and what holds in each piece is found by two lookups.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

/* An extent and whose it is. */
struct owned {
	uint64_t from, to;
	size_t cls;
};

/* One list of all classes, by address; extents of one list do not overlap. */
struct layer {
	struct owned *list;
	size_t nr;
};

static int by_address(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void add(struct layer *layer, const struct pzone_extent *list, size_t nr, size_t cls)
{
	for (size_t i = 0; i < nr; i++)
		layer->list[layer->nr++] = (struct owned){
			list[i].addr, list[i].addr + list[i].size_bytes, cls };
}

/* Who has this address; NULL: nobody. */
static const struct owned *at(const struct layer *layer, uint64_t addr)
{
	size_t low = 0, high = layer->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (layer->list[mid].to <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < layer->nr && layer->list[low].from <= addr ? &layer->list[low] : NULL;
}

/* What the piece that starts here is. */
static struct pzone_map_range judge(const struct layer *wanted, const struct layer *has,
				    uint64_t addr, uint64_t memmap_from)
{
	const struct owned *w = at(wanted, addr), *h = at(has, addr);
	struct pzone_map_range range = { .addr = addr };

	if (addr >= memmap_from)
		range.kind = PZONE_MAP_MEMMAP;
	else if (h)
		range.kind = w && w->cls == h->cls ? PZONE_MAP_CLASS : PZONE_MAP_LEAVING;
	else if (w)
		range.kind = PZONE_MAP_WANTED;
	if (range.kind >= PZONE_MAP_CLASS)
		range.class_index = h ? h->cls : w->cls;
	return range;
}

static bool same(const struct pzone_map_range *a, const struct pzone_map_range *b)
{
	return a->kind == b->kind && a->class_index == b->class_index;
}

static size_t cut(const struct layer *wanted, const struct layer *has, uint64_t *cuts,
		  const struct pzone_live_pool *pool, uint64_t memmap_from,
		  struct pzone_map_range *ranges)
{
	uint64_t end = pool->addr + pool->size_bytes;
	size_t nr_cuts = 0, nr = 0;

	cuts[nr_cuts++] = pool->addr;
	cuts[nr_cuts++] = memmap_from;
	for (const struct layer *l = wanted; l; l = l == wanted ? has : NULL)
		for (size_t i = 0; i < l->nr; i++) {
			cuts[nr_cuts++] = l->list[i].from;
			cuts[nr_cuts++] = l->list[i].to;
		}
	qsort(cuts, nr_cuts, sizeof(*cuts), by_value);
	for (size_t i = 0; i < nr_cuts; i++) {
		uint64_t next = i + 1 < nr_cuts && cuts[i + 1] < end ? cuts[i + 1] : end;
		struct pzone_map_range range;

		/* outside of the pool: an answer that makes no sense is no reason to die */
		if (cuts[i] < pool->addr || cuts[i] >= next)
			continue;
		range = judge(wanted, has, cuts[i], memmap_from);
		range.size_bytes = next - cuts[i];
		if (nr && same(&ranges[nr - 1], &range))
			ranges[nr - 1].size_bytes += range.size_bytes;
		else
			ranges[nr++] = range;
	}
	return nr;
}

int pzone_live_map(const struct pzone_live *live, const char *pool_name,
		   struct pzone_map_range **ret_ranges, size_t *ret_nr, struct pzone_error *err)
{
	const struct pzone_live_class *cls;
	const struct pzone_live_pool *pool;
	struct layer wanted = { 0 }, has = { 0 };
	struct pzone_map_range *ranges;
	uint64_t *cuts;
	size_t index = 0, room = 2;

	while ((pool = pzone_live_pool_at(live, index)) && strcmp(pool->name, pool_name))
		index++;
	if (!pool)
		return pzl_error(err, -ENOENT, PZONE_ERR_NO_POOL, "there is no pool '%s'",
				 pool_name);
	for (size_t i = 0; (cls = pzone_live_class_at(live, index, i)); i++)
		room += 2 * (cls->nr_wanted + cls->nr_extents);
	wanted.list = calloc(room, sizeof(*wanted.list));
	has.list = calloc(room, sizeof(*has.list));
	cuts = calloc(room, sizeof(*cuts));
	ranges = calloc(room, sizeof(*ranges));
	if (wanted.list && has.list && cuts && ranges) {
		for (size_t i = 0; (cls = pzone_live_class_at(live, index, i)); i++) {
			add(&wanted, cls->wanted, cls->nr_wanted, i);
			add(&has, cls->extents, cls->nr_extents, i);
		}
		qsort(wanted.list, wanted.nr, sizeof(*wanted.list), by_address);
		qsort(has.list, has.nr, sizeof(*has.list), by_address);
		*ret_nr = cut(&wanted, &has, cuts, pool,
			      pool->addr + pool->size_bytes - pool->memmap_bytes, ranges);
		*ret_ranges = ranges;
		ranges = NULL;
		index = SIZE_MAX;	/* done */
	}
	free(wanted.list);
	free(has.list);
	free(cuts);
	free(ranges);
	return index == SIZE_MAX ? 0 : pzl_nomem(err);
}
