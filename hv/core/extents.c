// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * extents.c: sorted sets of extents, and walking two of them side by side.
 *
 * A class seldom has more than one extent, so a set has about as many entries as
 * there are classes, and never more than PZ_MAX_EXTENTS: its users see to that. Looking
 * is a binary search; a change of any number of places is one pass that writes the
 * set anew.
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

/* Make room, so that so many pz_map_append() can't fail. */
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
	free(map->spare);
	*map = (struct pz_map) { .nr = 0 };
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

/* Add blocks behind all others, where room has been reserved. */
void pz_map_append(struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr)
{
	struct pz_extent *last = map->nr ? &map->e[map->nr - 1] : NULL;

	if (last && last->class_id == class_id && extent_end(last) == first) {
		last->nr += nr;
		return;
	}
	assert(map->nr < map->cap);
	map->e[map->nr++] = (struct pz_extent) { class_id, first, nr };
}

/* Make sure that pz_map_apply() with so many edits can't fail. */
int pz_map_prepare(struct pz_map *map, uint32_t edits)
{
	/* Each can cut one extent in two and be one itself. */
	uint32_t need = map->nr + 2 * edits;
	struct pz_extent *e;

	if (need <= map->spare_cap)
		return 0;
	need += need / 2;
	e = realloc(map->spare, need * sizeof(*e));
	if (!e)
		return -ENOMEM;
	map->spare = e;
	map->spare_cap = need;
	return 0;
}

/*
 * Give the blocks of all edits (sorted, disjoint) to their classes, whoever had
 * them; those of PZ_EMPTY to nobody. One pass, for any number of edits.
 */
void pz_map_apply(struct pz_map *map, const struct pz_map *edits)
{
	struct pz_map to = { .e = map->spare, .cap = map->spare_cap };
	struct pz_walk walk;

	pz_walk_start(&walk, map, edits, UINT32_MAX);
	while (pz_walk_next(&walk)) {
		uint32_t id = walk.in_b == PZ_NOBODY ? walk.in_a : walk.in_b;

		if (id != PZ_NOBODY && id != PZ_EMPTY)
			pz_map_append(&to, id, walk.first, walk.nr);
	}
	to.spare = map->e;
	to.spare_cap = map->cap;
	*map = to;
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

/* How many extents more there are when these blocks, of one extent, are taken out of it.
 * Of several at once: the sum, or fewer. */
int pz_map_split(const struct pz_map *map, uint32_t first, uint32_t nr)
{
	const struct pz_extent *e = &map->e[find(map, first)];

	return (e->first < first) + (extent_end(e) > first + nr) - 1;
}

/* The same when these blocks, nobody's so far, are given to a class. */
int pz_map_join(const struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr)
{
	uint32_t i = find(map, first);
	int more = 1;

	if (i && map->e[i - 1].class_id == class_id && extent_end(&map->e[i - 1]) == first)
		more--;
	if (i < map->nr && map->e[i].class_id == class_id && map->e[i].first == first + nr)
		more--;
	return more;
}

void pz_walk_start(struct pz_walk *walk, const struct pz_map *a, const struct pz_map *b,
		   uint32_t nr_blocks)
{
	*walk = (struct pz_walk) { .a = a, .b = b, .end = nr_blocks };
}

/* Only the blocks from `first` up to `end`. */
void pz_walk_from(struct pz_walk *walk, const struct pz_map *a, const struct pz_map *b,
		  uint32_t first, uint32_t end)
{
	*walk = (struct pz_walk) {
		.a = a, .b = b, .ia = find(a, first), .ib = find(b, first), .at = first, .end = end
	};
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
