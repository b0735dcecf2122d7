// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pool.c: the pool and its table of classes: what the host wishes, and looking.
 */
#undef NDEBUG		/* pz_pool_check() is nothing without it */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pz_internal.h"
#include "virtio_pzone.h"

_Static_assert(PZ_NAME_MAX == VIRTIO_PZONE_NAME_MAX, "one limit for names");

int pz_err(struct pz_error *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
	}
	return rc;
}

/* "512 MiB": for messages. */
static const char *show(const struct pz_pool *pool, uint32_t blocks, char buf[32])
{
	uint64_t bytes = blocks * pool->block_bytes;

	if (bytes && !(bytes & ((1ull << 30) - 1)))
		snprintf(buf, 32, "%llu GiB", (unsigned long long)bytes >> 30);
	else
		snprintf(buf, 32, "%llu MiB", (unsigned long long)bytes >> 20);
	return buf;
}

bool pz_name_valid(const char *name)
{
	size_t len = strnlen(name, PZ_NAME_MAX + 1);

	if (!len || len > PZ_NAME_MAX || strchr("_.-", name[0]))
		return false;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != len)
		return false;
	return strcmp(name, "none") && strcmp(name, "memmap");
}

uint32_t pz_memmap_blocks(uint32_t nr_blocks, uint64_t block_bytes)
{
	/* struct page is 64 bytes for 4 KiB on x86-64: 1/64 of the region. */
	uint64_t bytes = nr_blocks * block_bytes / 64;

	return (bytes + block_bytes - 1) / block_bytes;
}

static struct pz_class *find_name(const struct pz_pool *pool, const char *name)
{
	uint32_t i;

	for (i = 0; i < pool->nr_classes; i++)
		if (!strcmp(pool->classes[i].name, name))
			return &pool->classes[i];
	return NULL;
}

/* memmap included. The table is in order of creation, so ids ascend. */
struct pz_class *pz_class_id(const struct pz_pool *pool, uint32_t id)
{
	uint32_t lo = 0, hi = pool->nr_classes;

	if (id == VIRTIO_PZONE_CLASS_MEMMAP)
		return (struct pz_class *)&pool->memmap;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (pool->classes[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < pool->nr_classes && pool->classes[lo].id == id ? &pool->classes[lo] : NULL;
}

/* memmap and the sizes of all classes. */
static uint32_t allocated(const struct pz_pool *pool)
{
	uint32_t i, n = pool->memmap.size;

	for (i = 0; i < pool->nr_classes; i++)
		n += pool->classes[i].size;
	return n;
}

/* What all classes have, memmap too. */
uint32_t pz_pool_plugged(const struct pz_pool *pool)
{
	uint32_t i, n = pool->memmap.plugged;

	for (i = 0; i < pool->nr_classes; i++)
		n += pool->classes[i].plugged;
	return n;
}

/* Drop dying classes of which nothing is plugged any more. */
void pz_pool_forget(struct pz_pool *pool)
{
	bool changed = false;
	uint32_t i = 0;

	while (i < pool->nr_classes) {
		struct pz_class *class = &pool->classes[i];
		uint32_t id = class->id;

		if (!class->dying || class->plugged) {
			i++;
			continue;
		}
		memmove(class, class + 1, (pool->nr_classes - i - 1) * sizeof(*class));
		pool->nr_classes--;
		changed = true;
		if (pool->ops && pool->ops->reported)
			pool->ops->reported(pool->opaque, id);
	}
	if (changed)
		pz_pool_replan(pool, true);
}

/* --- life --- */

int pz_pool_new(uint32_t nr_blocks, uint64_t block_bytes, uint32_t requested,
		const struct pz_ops *ops, void *opaque,
		struct pz_pool **ret_pool, struct pz_error *err)
{
	struct pz_pool *pool;

	if (block_bytes < (1u << 20) || (block_bytes & (block_bytes - 1)))
		return pz_err(err, -EINVAL, "the block size %llu is no power of two of at least 1 MiB",
			      (unsigned long long)block_bytes);
	if (nr_blocks < 2 || nr_blocks > INT32_MAX)
		return pz_err(err, -EINVAL, "a pool of %u blocks is not possible; it takes 2 to %u",
			      nr_blocks, INT32_MAX);
	if (requested > nr_blocks)
		return pz_err(err, -EINVAL, "requested %u blocks of a region that has %u",
			      requested, nr_blocks);

	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return pz_err(err, -ENOMEM, "no memory for the pool's tables");
	pool->nr_blocks = nr_blocks;
	pool->block_bytes = block_bytes;
	pool->requested = requested;
	pool->memmap_blocks = pz_memmap_blocks(nr_blocks, block_bytes);
	pool->relocation = true;
	pool->next_id = VIRTIO_PZONE_CLASS_MEMMAP + 1;
	strcpy(pool->memmap.name, "memmap");
	pool->memmap.align = 1;
	if (pz_map_reserve(&pool->wanted, 8) || pz_map_reserve(&pool->actual, 8)) {
		pz_pool_free(pool);
		return pz_err(err, -ENOMEM, "no memory for the pool's tables");
	}
	/* Before the ops are set: nobody is to hear of the first layout. */
	pz_pool_replan(pool, false);
	pool->generation = 1;
	pool->ops = ops;
	pool->opaque = opaque;
	*ret_pool = pool;
	return 0;
}

struct pz_pool *pz_pool_free(struct pz_pool *pool)
{
	if (pool) {
		pz_map_done(&pool->wanted);
		pz_map_done(&pool->actual);
		free(pool->classes);
		free(pool);
	}
	return NULL;
}

/* --- the host's wishes --- */

/* What a class may be; `had` is what it has of the pool now. */
static int check_bounds(const struct pz_pool *pool, const struct pz_class_spec *spec,
			uint32_t had, struct pz_error *err)
{
	uint32_t free_blocks = pool->requested - allocated(pool) + had;
	char a[32], b[32], c[32], d[32];

	if (spec->size < spec->guarantee || spec->size > spec->limit)
		return pz_err(err, -ERANGE, "class '%s': size %s is not between guarantee %s and limit %s",
			      spec->name, show(pool, spec->size, a), show(pool, spec->guarantee, b),
			      show(pool, spec->limit, c));
	if ((spec->size | spec->guarantee | spec->limit) & (spec->align - 1))
		return pz_err(err, -ERANGE,
			      "class '%s': size %s, guarantee %s and limit %s must be multiples of its alignment %s",
			      spec->name, show(pool, spec->size, a), show(pool, spec->guarantee, b),
			      show(pool, spec->limit, c), show(pool, spec->align, d));
	if (!pool->memmap.size)
		return pz_err(err, -ENOSPC,
			      "class '%s': the pool's requested size %s is too small for its memory map (%s); raise it first",
			      spec->name, show(pool, pool->requested, a),
			      show(pool, pool->memmap_blocks, b));
	if (spec->size > free_blocks)
		return pz_err(err, -ENOSPC,
			      "class '%s': %s does not fit; of the pool's requested %s, %s is not given to another class",
			      spec->name, show(pool, spec->size, a), show(pool, pool->requested, b),
			      show(pool, free_blocks, c));
	return 0;
}

bool pz_align_valid(uint32_t align, uint64_t block_bytes)
{
	return align && !(align & (align - 1)) &&
	       (align == 1 || align * block_bytes <= PZ_MAX_ALIGN_BYTES);
}

/* Do the class's size and bounds keep to its alignment? */
bool pz_aligned(const struct pz_class *class)
{
	return !((class->size | class->guarantee | class->limit) & (class->align - 1));
}

static int check_cookie(const char *name, const char *cookie, struct pz_error *err)
{
	if (cookie && strnlen(cookie, PZ_COOKIE_MAX + 1) > PZ_COOKIE_MAX)
		return pz_err(err, -EINVAL, "class '%s': the cookie is longer than %d characters",
			      name, PZ_COOKIE_MAX);
	return 0;
}

/* Everything of a new class but its size and bounds. */
static int check_new(const struct pz_pool *pool, const struct pz_class_spec *spec,
		     struct pz_error *err)
{
	const struct pz_class *class;
	char a[32], b[32];

	if (!pz_name_valid(spec->name))
		return pz_err(err, -EINVAL,
			      "'%.40s' can't be the name of a class; it takes 1 to %d of a-z 0-9 _ . -, starts with a letter or digit, and is not none or memmap",
			      spec->name, PZ_NAME_MAX);
	class = find_name(pool, spec->name);
	if (class && class->dying)
		return pz_err(err, -EEXIST, "class '%s' is still being destroyed; try again when it is gone",
			      spec->name);
	if (class)
		return pz_err(err, -EEXIST, "class '%s' exists already", spec->name);
	if (pool->nr_classes == PZ_MAX_CLASSES - 1)
		return pz_err(err, -E2BIG, "class '%s': the pool has %u classes, which is the most",
			      spec->name, pool->nr_classes);
	if (pool->next_id >= PZ_EMPTY)
		return pz_err(err, -E2BIG, "class '%s': the pool has used up all class numbers; only a restart of the VM helps",
			      spec->name);
	if (!pz_align_valid(spec->align, pool->block_bytes))
		return pz_err(err, -EINVAL,
			      "class '%s': the alignment %s is no power of two of at least a block (%s) and at most %llu GiB",
			      spec->name, show(pool, spec->align, a),
			      show(pool, 1, b),
			      PZ_MAX_ALIGN_BYTES >> 30);
	return check_cookie(spec->name, spec->cookie, err);
}

static int grow_table(struct pz_pool *pool)
{
	uint32_t cap = pool->cap_classes ? pool->cap_classes * 2 : 8;
	struct pz_class *classes;

	if (pool->nr_classes < pool->cap_classes)
		return 0;
	classes = realloc(pool->classes, cap * sizeof(*classes));
	if (!classes)
		return -ENOMEM;
	pool->classes = classes;
	pool->cap_classes = cap;
	return 0;
}

int pz_class_create(struct pz_pool *pool, const struct pz_class_spec *spec,
		    uint32_t *ret_id, struct pz_error *err)
{
	struct pz_class_spec new = *spec;
	struct pz_class *class;
	int rc;

	if (!new.align)
		new.align = 1;
	rc = check_new(pool, &new, err);
	if (rc)
		return rc;
	rc = check_bounds(pool, &new, 0, err);
	if (rc)
		return rc;
	rc = grow_table(pool);
	if (rc)
		return pz_err(err, rc, "class '%s': the host has no memory for it", new.name);
	pz_reloc_cancel(pool);
	class = &pool->classes[pool->nr_classes++];
	*class = (struct pz_class) {
		.id = pool->next_id++, .size = new.size, .guarantee = new.guarantee,
		.limit = new.limit, .align = new.align,
	};
	strcpy(class->name, new.name);
	strcpy(class->cookie, new.cookie ? new.cookie : "");
	if (ret_id)
		*ret_id = class->id;
	pz_pool_replan(pool, true);
	return 0;
}

/* The class, if it can be changed. */
static int find_live(struct pz_pool *pool, const char *name, struct pz_class **ret_class,
		     struct pz_error *err)
{
	struct pz_class *class = find_name(pool, name);

	if (!class)
		return pz_err(err, -ENOENT, "there is no class '%.40s' in the pool", name);
	if (class->dying)
		return pz_err(err, -EBUSY, "class '%s' is being destroyed", name);
	*ret_class = class;
	return 0;
}

int pz_class_set(struct pz_pool *pool, const char *name, uint32_t size, uint32_t guarantee,
		 uint32_t limit, const char *cookie, struct pz_error *err)
{
	struct pz_class *class;
	bool changed;
	int rc;

	rc = find_live(pool, name, &class, err);
	if (rc)
		return rc;
	rc = check_cookie(name, cookie, err);
	if (rc)
		return rc;
	rc = check_bounds(pool, &(struct pz_class_spec) {
		.name = name, .size = size, .guarantee = guarantee, .limit = limit,
		.align = class->align
	}, class->size, err);
	if (rc)
		return rc;
	changed = class->size != size || class->guarantee != guarantee || class->limit != limit;
	if (class->size != size) {
		pz_reloc_cancel(pool);
		class->resized = true;
		class->stay = false;
	}
	class->size = size;
	class->guarantee = guarantee;
	class->limit = limit;
	if (cookie)
		strcpy(class->cookie, cookie);
	pz_pool_replan(pool, changed);
	return 0;
}

int pz_class_resize(struct pz_pool *pool, const char *name, uint32_t size, struct pz_error *err)
{
	struct pz_class *class;
	int rc;

	rc = find_live(pool, name, &class, err);
	if (rc)
		return rc;
	return pz_class_set(pool, name, size, class->guarantee, class->limit, NULL, err);
}

int pz_class_destroy(struct pz_pool *pool, const char *name, struct pz_error *err)
{
	struct pz_class *class = find_name(pool, name);

	if (!class)
		return pz_err(err, -ENOENT, "there is no class '%.40s' in the pool", name);
	if (class->dying)
		return 0;
	pz_reloc_cancel(pool);
	class->dying = true;
	class->size = 0;
	pz_pool_replan(pool, true);
	pz_pool_forget(pool);
	return 0;
}

int pz_class_reclaim(struct pz_pool *pool, const char *name, uint64_t bytes, struct pz_error *err)
{
	struct pz_class *class;
	int rc;

	rc = find_live(pool, name, &class, err);
	if (rc)
		return rc;
	class->reclaim_seq++;
	class->reclaim_bytes = bytes;
	pz_pool_replan(pool, true);
	return 0;
}

int pz_pool_set_requested(struct pz_pool *pool, uint32_t requested, struct pz_error *err)
{
	uint32_t used = allocated(pool);
	char a[32], b[32];

	if (requested > pool->nr_blocks)
		return pz_err(err, -EINVAL, "requested size %s is more than the pool's region of %s",
			      show(pool, requested, a), show(pool, pool->nr_blocks, b));
	/* Without classes the memory map may go too. */
	if (requested < used && (pool->nr_classes || requested))
		return pz_err(err, -ENOSPC,
			      "requested size %s is less than the %s that memory map and classes have; shrink or destroy classes first",
			      show(pool, requested, a), show(pool, used, b));
	pz_reloc_cancel(pool);
	pool->requested = requested;
	pz_pool_replan(pool, true);
	return 0;
}

void pz_pool_set_relocation(struct pz_pool *pool, bool on)
{
	pool->relocation = on;
	if (!on && pz_reloc_cancel(pool))
		pz_pool_replan(pool, true);
}

void pz_pool_all_unplugged(struct pz_pool *pool)
{
	uint32_t i;

	pz_reloc_cancel(pool);
	pool->actual.nr = 0;
	pool->memmap.plugged = 0;
	pool->memmap.report = (struct pz_report) { .valid = false };
	pool->guest_generation = 0;
	for (i = 0; i < pool->nr_classes; i++) {
		pool->classes[i].plugged = 0;
		pool->classes[i].report = (struct pz_report) { .valid = false };
		/* An order to reclaim was for the guest that is gone. */
		pool->classes[i].reclaim_bytes = 0;
		pool->classes[i].stay = false;
	}
	pz_pool_replan(pool, true);
	pz_pool_forget(pool);
	for (i = 0; pool->ops && pool->ops->reported && i < pool->nr_classes; i++)
		pool->ops->reported(pool->opaque, pool->classes[i].id);
}

/* --- looking --- */

void pz_pool_info(const struct pz_pool *pool, struct pz_pool_info *ret)
{
	*ret = (struct pz_pool_info) {
		.nr_blocks = pool->nr_blocks,
		.block_bytes = pool->block_bytes,
		.requested = pool->requested,
		.memmap = pool->memmap_blocks,
		.allocated = allocated(pool),
		.plugged = pz_pool_plugged(pool),
		.nr_classes = pool->nr_classes,
		.generation = pool->generation,
		.guest_generation = pool->guest_generation,
		.relocation = pool->relocation,
	};
}

static void fill_info(const struct pz_pool *pool, const struct pz_class *class,
		      struct pz_class_info *ret)
{
	uint32_t i;

	*ret = (struct pz_class_info) {
		.id = class->id,
		.dying = class->dying,
		.size = class->size,
		.guarantee = class->guarantee,
		.limit = class->limit,
		.align = class->align,
		.published = class->published,
		.plugged = class->plugged,
		.reclaim_seq = class->reclaim_seq,
		.reclaim_bytes = class->reclaim_bytes,
		.report = class->report,
		.relocating = pool->reloc.class_id == class->id && class->id,
	};
	strcpy(ret->name, class->name);
	strcpy(ret->cookie, class->cookie);
	for (i = 0; i < pool->wanted.nr; i++)
		ret->extents += pool->wanted.e[i].class_id == class->id;
}

int pz_class_get(const struct pz_pool *pool, uint32_t index, struct pz_class_info *ret)
{
	if (index >= pool->nr_classes)
		return -ENOENT;
	fill_info(pool, &pool->classes[index], ret);
	return 0;
}

int pz_class_find(const struct pz_pool *pool, const char *name, struct pz_class_info *ret)
{
	const struct pz_class *class = find_name(pool, name);

	if (!class)
		return -ENOENT;
	fill_info(pool, class, ret);
	return 0;
}

int pz_class_by_id(const struct pz_pool *pool, uint32_t id, struct pz_class_info *ret)
{
	const struct pz_class *class = pz_class_id(pool, id);

	if (!class)
		return -ENOENT;
	fill_info(pool, class, ret);
	return 0;
}

static uint32_t copy_map(const struct pz_map *map, uint32_t from, struct pz_extent *ret, uint32_t max)
{
	uint32_t n = 0;

	if (from < map->nr)
		n = map->nr - from < max ? map->nr - from : max;
	if (n)
		memcpy(ret, map->e + from, n * sizeof(*ret));
	return map->nr;
}

uint32_t pz_pool_wanted(const struct pz_pool *pool, uint32_t from, struct pz_extent *ret, uint32_t max)
{
	return copy_map(&pool->wanted, from, ret, max);
}

uint32_t pz_pool_actual(const struct pz_pool *pool, uint32_t from, struct pz_extent *ret, uint32_t max)
{
	return copy_map(&pool->actual, from, ret, max);
}

/* --- the rules --- */

static void check_map(const struct pz_pool *pool, const struct pz_map *map)
{
	uint32_t i;

	for (i = 0; i < map->nr; i++) {
		const struct pz_extent *e = &map->e[i];

		assert(e->nr && e->first < pool->nr_blocks && e->nr <= pool->nr_blocks - e->first);
		assert(pz_class_id(pool, e->class_id));
		assert(e->class_id == VIRTIO_PZONE_CLASS_MEMMAP ?
		       e->first >= pool->nr_blocks - pool->memmap_blocks :
		       e->first + e->nr <= pool->nr_blocks - pool->memmap_blocks);
		if (map == &pool->wanted)
			assert(!((e->first | e->nr) & (pz_class_id(pool, e->class_id)->align - 1)));
		if (!i)
			continue;
		assert(e[-1].first + e[-1].nr <= e->first);
		assert(e[-1].first + e[-1].nr < e->first || e[-1].class_id != e->class_id);
	}
}

static void check_class(const struct pz_pool *pool, const struct pz_class *class)
{
	assert(class->published <= class->size + pz_reloc_extra(pool, class));
	assert(class->published == pz_map_count(&pool->wanted, class->id));
	assert(class->plugged == pz_map_count(&pool->actual, class->id));
}

static void check_reloc(const struct pz_pool *pool)
{
	const struct pz_reloc *step = &pool->reloc;
	const struct pz_class *class = pz_class_id(pool, step->class_id);
	uint32_t i;

	if (!step->class_id)
		return assert(!step->adding);
	assert(class && step->nr && step->nr <= class->size);
	for (i = 0; i < pool->nr_classes; i++)
		assert(pz_reloc_allows(pool, &pool->classes[i]));
	assert(step->first >= step->place && step->first + step->nr <= step->place + class->size);
	assert(pz_map_covers(&pool->wanted, class->id, step->first, step->nr));
}

void pz_pool_check(const struct pz_pool *pool)
{
	struct pz_walk walk;
	uint32_t i, j, promised;

	assert(pool->wanted.nr <= PZ_MAX_EXTENTS && pool->actual.nr <= PZ_MAX_EXTENTS);
	check_reloc(pool);
	check_map(pool, &pool->wanted);
	check_map(pool, &pool->actual);
	check_class(pool, &pool->memmap);
	assert(pool->memmap.published == pool->memmap.size);
	assert(pool->memmap.size == (pool->requested < pool->memmap_blocks ? 0 : pool->memmap_blocks));
	if (pool->memmap.size)
		assert(pz_map_covers(&pool->wanted, VIRTIO_PZONE_CLASS_MEMMAP,
				     pool->nr_blocks - pool->memmap_blocks, pool->memmap_blocks));
	for (i = 0; i < pool->nr_classes; i++) {
		const struct pz_class *class = &pool->classes[i];

		check_class(pool, class);
		assert(class->id && class->id < pool->next_id);
		assert(pz_name_valid(class->name));
		if (class->dying)
			assert(!class->size && class->plugged);
		else
			assert(class->guarantee <= class->size && class->size <= class->limit);
		assert(pz_align_valid(class->align, pool->block_bytes) && pz_aligned(class));
		for (j = 0; j < i; j++)
			assert(class->id > pool->classes[j].id &&
			       strcmp(class->name, pool->classes[j].name));
	}
	assert(allocated(pool) <= pool->requested);
	/* What a class lacks is in the hands of others, or they lie in the way. */
	promised = pz_pool_promised(pool);
	for (i = 0; i < pool->nr_classes; i++) {
		const struct pz_class *class = &pool->classes[i];

		if (class->published < class->size && !pool->behind &&
		    pool->wanted.nr < PZ_MAX_EXTENTS)
			assert(promised + class->align > pool->requested ||
			       !pz_pool_has_place(pool, class->align));
	}
	pz_walk_start(&walk, &pool->wanted, &pool->actual, pool->nr_blocks);
	while (pz_walk_next(&walk)) {
		if (walk.in_a != PZ_NOBODY && walk.in_b != PZ_NOBODY)
			assert(walk.in_a == walk.in_b);
	}
}
