/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pz_internal.h: what the files of hv/core share.
 */
#ifndef PZ_INTERNAL_H
#define PZ_INTERNAL_H

#include "pz_core.h"

/* A set of extents: sorted by first block, disjoint, neighbours of one class
 * merged. The wanted and the actual layout are one each. */
struct pz_map {
	struct pz_extent *e;
	uint32_t nr, cap;
	struct pz_extent *spare;	/* where pz_map_apply() writes the next state */
	uint32_t spare_cap;
};

struct pz_class {
	uint32_t id;
	char name[PZ_NAME_MAX + 1];
	char cookie[PZ_COOKIE_MAX + 1];
	bool dying;
	bool resized;			/* since it was last planned for */
	bool stay;			/* relocation was given up */
	uint32_t size, guarantee, limit;
	uint32_t align;			/* a power of two */
	uint32_t published;		/* blocks in the wanted map */
	uint32_t plugged;		/* blocks in the actual map */
	uint32_t reclaim_seq;
	uint64_t reclaim_bytes;
	struct pz_report report;
};

/* The step of a relocation that is under way; see relocate.c. */
struct pz_reloc {
	uint32_t class_id;		/* 0: none */
	bool adding;			/* else dropping */
	uint32_t place;			/* where all of the class is to lie */
	uint32_t first, nr;		/* the new blocks of this step */
	uint32_t left, tries;		/* least that was left to do; reports since */
};

struct pz_pool {
	uint32_t nr_blocks;
	uint64_t block_bytes;
	uint32_t requested;
	uint32_t memmap_blocks;
	uint32_t generation, guest_generation;
	uint32_t next_id;

	struct pz_class memmap;
	struct pz_class *classes;	/* in order of creation */
	uint32_t nr_classes, cap_classes;
	struct pz_map wanted, actual;

	bool behind;			/* the planner is not through, */
	bool plan_again;		/* and begins anew when it is; */
	uint32_t plan_next;		/* the class it goes on with */
	bool relocation;		/* wished */
	struct pz_reloc reloc;
	uint32_t reloc_next;		/* class to be looked at first */

	const struct pz_ops *ops;
	void *opaque;
};

/* A way through two maps at once: runs of blocks that are alike in both. */
struct pz_walk {
	const struct pz_map *a, *b;
	uint32_t ia, ib;
	uint32_t at, end;
	/* The run found: PZ_NOBODY where no extent is. */
	uint32_t first, nr, in_a, in_b;
};

/* Extents that the planner looks at in one call, before the rest waits for the next. */
#ifndef PZ_MAX_WORK		/* tests set a lower one */
#define PZ_MAX_WORK	8192
#endif

#define PZ_NOBODY	UINT32_MAX
#define PZ_EMPTY	(UINT32_MAX - 1)	/* of an edit: nobody's from now on */

/* extents.c */
int pz_map_reserve(struct pz_map *map, uint32_t more);
void pz_map_done(struct pz_map *map);
int pz_map_split(const struct pz_map *map, uint32_t first, uint32_t nr);
int pz_map_join(const struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr);
void pz_map_append(struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr);
int pz_map_prepare(struct pz_map *map, uint32_t edits);
void pz_map_apply(struct pz_map *map, const struct pz_map *edits);
uint32_t pz_map_count(const struct pz_map *map, uint32_t class_id);
bool pz_map_covers(const struct pz_map *map, uint32_t class_id, uint32_t first, uint32_t nr);
bool pz_map_empty(const struct pz_map *map, uint32_t first, uint32_t nr);
void pz_walk_start(struct pz_walk *walk, const struct pz_map *a, const struct pz_map *b,
		   uint32_t nr_blocks);
void pz_walk_from(struct pz_walk *walk, const struct pz_map *a, const struct pz_map *b,
		  uint32_t first, uint32_t end);
bool pz_walk_next(struct pz_walk *walk);

/* plan.c */
void pz_pool_replan(struct pz_pool *pool, bool changed);
void pz_pool_go_on(struct pz_pool *pool);
void pz_pool_publish(struct pz_pool *pool);
bool pz_pool_edit(struct pz_pool *pool, struct pz_map *edits);
void pz_plan_take_back(struct pz_pool *pool, struct pz_class *class, uint32_t most);
uint32_t pz_pool_promised(const struct pz_pool *pool);
bool pz_pool_has_place(const struct pz_pool *pool, uint32_t align);

/* relocate.c */
uint32_t pz_reloc_extra(const struct pz_pool *pool, const struct pz_class *class);
bool pz_reloc_allows(const struct pz_pool *pool, const struct pz_class *class);
bool pz_reloc_cancel(struct pz_pool *pool);
void pz_reloc_reported(struct pz_pool *pool);

/* pool.c */
bool pz_align_valid(uint32_t align, uint64_t block_bytes);
uint32_t pz_pool_plugged(const struct pz_pool *pool);
bool pz_aligned(const struct pz_class *class);
struct pz_class *pz_class_id(const struct pz_pool *pool, uint32_t id);
void pz_pool_forget(struct pz_pool *pool);
int pz_err(struct pz_error *err, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
