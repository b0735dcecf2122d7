// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * extents.c: sorted sets of extents, and walking two of them side by side.
 *
 * A class seldom has more than one extent, so a set has about as many entries as
 * there are classes, and a binary search plus a memmove beats any tree.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pz_internal.h"

static uint32_t extent_end(const struct pz_extent *e)
{
	return e->first + e->nr;
}

/* Make room, so that the pz_map_set() calls that follow can't fail: each needs at
 * most two entries more than there are. */
int pz_map_reserve(struct pz_map *map, uint32_t more)
{
	uint32_t cap = map->nr + more;
	struct pz_extent *e;

	if (cap <= map->cap)
		return 0;
	cap += cap / 2;
	e = realloc(map->e, cap * sizeof(*e));
	if (!e)
		return -ENOMEM;
	map->e = e;
	map->cap = cap;
	return 0;
}

void pz_map_done(struct pz_map *map)
{
	free(map->e);
	*map = (struct pz_map) { NULL, 0, 0 };
}

/* Index of the first extent that ends behind this block. */
static uint32_t find(const struct pz_map *map, uint32_t block)
{
	uint32_t lo = 0, hi = map->nr;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (extent_end(&map->e[mid]) > block)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Replace map->e[at, at + del) by nr entries. */
static void splice(struct pz_map *map, uint32_t at, uint32_t del,
		   const struct pz_extent *ins, uint32_t nr)
{
	assert(map->nr - del + nr <= map->cap);
	memmove(map->e + at + nr, map->e + at + del,
		(map->nr - at - del) * sizeof(*map->e));
	if (nr)
		memcpy(map->e + at, ins, nr * sizeof(*ins));
	map->nr = map->nr - del + nr;
}

/*
 * Give the blocks to a class, whoever had them; PZ_NOBODY empties them. Room must
 * have been reserved.
 */
void pz_map_set(struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr)
{
	uint32_t end = first + nr, at, last, n = 0;
	struct pz_extent ins[3];

	/* One block further on both sides, to merge with neighbours. */
	at = find(map, first ? first - 1 : 0);
	for (last = at; last < map->nr && map->e[last].first <= end; last++)
		;
	if (at < last && map->e[at].first < first && map->e[at].class_id != class_id) {
		ins[n++] = (struct pz_extent) {
			map->e[at].class_id, map->e[at].first,
			(extent_end(&map->e[at]) < first ? extent_end(&map->e[at]) : first) -
			map->e[at].first
		};
	}
	if (class_id != PZ_NOBODY) {
		uint32_t from = first, to = end;

		if (at < last && map->e[at].class_id == class_id && map->e[at].first < from)
			from = map->e[at].first;
		if (at < last && map->e[last - 1].class_id == class_id &&
		    extent_end(&map->e[last - 1]) > to)
			to = extent_end(&map->e[last - 1]);
		ins[n++] = (struct pz_extent) { class_id, from, to - from };
	}
	if (at < last && extent_end(&map->e[last - 1]) > end &&
	    map->e[last - 1].class_id != class_id) {
		uint32_t from = map->e[last - 1].first > end ? map->e[last - 1].first : end;

		ins[n++] = (struct pz_extent) {
			map->e[last - 1].class_id, from, extent_end(&map->e[last - 1]) - from
		};
	}
	splice(map, at, last - at, ins, n);
}

/* Blocks of one class. */
uint32_t pz_map_count(const struct pz_map *map, uint32_t class_id)
{
	uint32_t i, n = 0;

	for (i = 0; i < map->nr; i++)
		if (map->e[i].class_id == class_id)
			n += map->e[i].nr;
	return n;
}

/* Do all these blocks belong to this class? Neighbours are merged, so one
 * extent must hold them. */
bool pz_map_covers(const struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr)
{
	uint32_t i = find(map, first);

	return i < map->nr && map->e[i].class_id == class_id && map->e[i].first <= first &&
	       extent_end(&map->e[i]) - first >= nr;
}

bool pz_map_empty(const struct pz_map *map, uint32_t first, uint32_t nr)
{
	uint32_t i = find(map, first);

	return i == map->nr || (map->e[i].first >= first && map->e[i].first - first >= nr);
}

void pz_walk_start(struct pz_walk *walk, const struct pz_map *a, const struct pz_map *b,
		   uint32_t nr_blocks)
{
	*walk = (struct pz_walk) { .a = a, .b = b, .end = nr_blocks };
}

/* Who has block `at`, and up to where is that so? */
static uint32_t look(const struct pz_map *map, uint32_t *i, uint32_t at, uint32_t *until)
{
	uint32_t end;

	while (*i < map->nr && extent_end(&map->e[*i]) <= at)
		(*i)++;
	if (*i == map->nr)
		return PZ_NOBODY;
	if (map->e[*i].first > at) {
		if (map->e[*i].first < *until)
			*until = map->e[*i].first;
		return PZ_NOBODY;
	}
	end = extent_end(&map->e[*i]);
	if (end < *until)
		*until = end;
	return map->e[*i].class_id;
}

/* The next run; false at the end of the pool. */
bool pz_walk_next(struct pz_walk *walk)
{
	uint32_t until = walk->end;

	if (walk->at >= walk->end)
		return false;
	walk->in_a = look(walk->a, &walk->ia, walk->at, &until);
	walk->in_b = look(walk->b, &walk->ib, walk->at, &until);
	walk->first = walk->at;
	walk->nr = until - walk->at;
	walk->at = until;
	return true;
}
