// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * state.c: the pool's state as bytes, for the migration stream.
 *
 * Little endian, in this order: the header below, the class records, the extents
 * of the wanted and of the actual layout. A stream comes from another host, so
 * loading takes nothing on trust: it builds a second pool, checks every rule of
 * pz_core.h on it, and only then puts it in the place of the first.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pz_internal.h"
#include "virtio_pzone.h"

#define PZ_STATE_MAGIC		0x314e5a50	/* "PZN1" */
#define PZ_STATE_VERSION	2

struct state_header {
	uint32_t magic, version;
	uint32_t nr_blocks, requested;
	uint64_t block_bytes;
	uint32_t generation, guest_generation, next_id;
	uint32_t nr_classes, nr_wanted, nr_actual;
	/* of struct pz_reloc */
	uint32_t reloc_class, reloc_adding, reloc_place, reloc_first, reloc_nr, reloc_left;
	uint32_t reloc_tries, pad;
};

struct state_class {
	uint32_t id, dying;
	uint32_t size, guarantee, limit, reclaim_seq;
	uint64_t reclaim_bytes;
	char name[PZ_NAME_MAX + 1];
	char cookie[PZ_COOKIE_MAX + 1];
	uint8_t stay, resized, pad;
	uint32_t align;
	/* what the guest last said; see struct pz_report */
	uint32_t report_valid, report_state, nr_cgroups, stuck_blocks, reclaim_done_seq, pad2;
	uint64_t reclaimed_bytes, free_bytes, anon_bytes, file_bytes, pinned_bytes;
	uint64_t refault_pages, pressure_us, oom_events, oom_kills;
};

struct state_extent {
	uint32_t class_id, first, nr;
};

_Static_assert(sizeof(struct state_header) == 80, "no holes");
_Static_assert(sizeof(struct state_class) == 232, "no holes");
_Static_assert(sizeof(struct state_extent) == 12, "no holes");

static uint8_t *put(uint8_t *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

static uint8_t *put_map(uint8_t *to, const struct pz_map *map)
{
	uint32_t i;

	for (i = 0; i < map->nr; i++) {
		struct state_extent e = {
			htole32(map->e[i].class_id), htole32(map->e[i].first), htole32(map->e[i].nr)
		};

		to = put(to, &e, sizeof(e));
	}
	return to;
}

static void save_report(struct state_class *c, const struct pz_report *report)
{
	c->report_valid = htole32(report->valid);
	c->report_state = htole32(report->state);
	c->nr_cgroups = htole32(report->nr_cgroups);
	c->stuck_blocks = htole32(report->stuck_blocks);
	c->reclaim_done_seq = htole32(report->reclaim_done_seq);
	c->reclaimed_bytes = htole64(report->reclaimed_bytes);
	c->free_bytes = htole64(report->free_bytes);
	c->anon_bytes = htole64(report->anon_bytes);
	c->file_bytes = htole64(report->file_bytes);
	c->pinned_bytes = htole64(report->pinned_bytes);
	c->refault_pages = htole64(report->refault_pages);
	c->pressure_us = htole64(report->pressure_us);
	c->oom_events = htole64(report->oom_events);
	c->oom_kills = htole64(report->oom_kills);
}

int pz_pool_save(const struct pz_pool *pool, uint8_t **ret_buf, size_t *ret_len)
{
	const struct state_header header = {
		.magic = htole32(PZ_STATE_MAGIC),
		.version = htole32(PZ_STATE_VERSION),
		.nr_blocks = htole32(pool->nr_blocks),
		.requested = htole32(pool->requested),
		.block_bytes = htole64(pool->block_bytes),
		.generation = htole32(pool->generation),
		.guest_generation = htole32(pool->guest_generation),
		.next_id = htole32(pool->next_id),
		.nr_classes = htole32(pool->nr_classes),
		.nr_wanted = htole32(pool->wanted.nr),
		.nr_actual = htole32(pool->actual.nr),
		.reloc_class = htole32(pool->reloc.class_id),
		.reloc_adding = htole32(pool->reloc.adding),
		.reloc_place = htole32(pool->reloc.place),
		.reloc_first = htole32(pool->reloc.first),
		.reloc_nr = htole32(pool->reloc.nr),
		.reloc_left = htole32(pool->reloc.left),
		.reloc_tries = htole32(pool->reloc.tries),
	};
	size_t len = sizeof(header) + pool->nr_classes * sizeof(struct state_class) +
		     ((size_t)pool->wanted.nr + pool->actual.nr) * sizeof(struct state_extent);
	uint8_t *buf = malloc(len), *to = buf;
	uint32_t i;

	if (!buf)
		return -ENOMEM;
	to = put(to, &header, sizeof(header));
	for (i = 0; i < pool->nr_classes; i++) {
		const struct pz_class *class = &pool->classes[i];
		struct state_class c = {
			.id = htole32(class->id),
			.dying = htole32(class->dying),
			.size = htole32(class->size),
			.guarantee = htole32(class->guarantee),
			.limit = htole32(class->limit),
			.align = htole32(class->align),
			.stay = class->stay,
			.resized = class->resized,
			.reclaim_seq = htole32(class->reclaim_seq),
			.reclaim_bytes = htole64(class->reclaim_bytes),
		};

		strcpy(c.name, class->name);
		strcpy(c.cookie, class->cookie);
		save_report(&c, &class->report);
		to = put(to, &c, sizeof(c));
	}
	to = put_map(to, &pool->wanted);
	put_map(to, &pool->actual);
	*ret_buf = buf;
	*ret_len = len;
	return 0;
}

/* --- loading --- */

static struct pz_report load_report(const struct state_class *c)
{
	return (struct pz_report) {
		.valid = c->report_valid,
		.state = le32toh(c->report_state),
		.nr_cgroups = le32toh(c->nr_cgroups),
		.stuck_blocks = le32toh(c->stuck_blocks),
		.reclaim_done_seq = le32toh(c->reclaim_done_seq),
		.reclaimed_bytes = le64toh(c->reclaimed_bytes),
		.free_bytes = le64toh(c->free_bytes),
		.anon_bytes = le64toh(c->anon_bytes),
		.file_bytes = le64toh(c->file_bytes),
		.pinned_bytes = le64toh(c->pinned_bytes),
		.refault_pages = le64toh(c->refault_pages),
		.pressure_us = le64toh(c->pressure_us),
		.oom_events = le64toh(c->oom_events),
		.oom_kills = le64toh(c->oom_kills),
	};
}

static int load_classes(struct pz_pool *pool, const uint8_t *from, uint32_t nr,
			struct pz_error *err)
{
	uint64_t sum = pool->memmap.size;
	uint32_t i, j;

	pool->classes = calloc(nr ? nr : 1, sizeof(*pool->classes));
	if (!pool->classes)
		return pz_err(err, -ENOMEM, "no memory for %u classes", nr);
	pool->cap_classes = nr ? nr : 1;
	for (i = 0; i < nr; i++) {
		struct pz_class *class = &pool->classes[i];
		struct state_class c;

		memcpy(&c, from + i * sizeof(c), sizeof(c));
		if (!memchr(c.name, 0, sizeof(c.name)) || !pz_name_valid(c.name) ||
		    !memchr(c.cookie, 0, sizeof(c.cookie)))
			return pz_err(err, -EINVAL, "class number %u has a bad name or cookie", i);
		*class = (struct pz_class) {
			.id = le32toh(c.id),
			.dying = c.dying,
			.resized = c.resized,
			.size = le32toh(c.size),
			.guarantee = le32toh(c.guarantee),
			.limit = le32toh(c.limit),
			.align = le32toh(c.align),
			.stay = c.stay,
			.reclaim_seq = le32toh(c.reclaim_seq),
			.reclaim_bytes = le64toh(c.reclaim_bytes),
		};
		strcpy(class->name, c.name);
		strcpy(class->cookie, c.cookie);
		class->report = load_report(&c);
		if (le32toh(c.dying) > 1 || c.stay > 1 || c.resized > 1 || le32toh(c.report_valid) > 1 ||
		    class->report.state > VIRTIO_PZONE_STATE_PARTIAL)
			return pz_err(err, -EINVAL, "class '%s' has a flag or state that is not known",
				      class->name);
		if (i && class->id <= class[-1].id)
			return pz_err(err, -EINVAL, "class '%s' has the number %u, but the one before it has %u",
				      class->name, class->id, class[-1].id);
		if (!class->id || class->id >= pool->next_id)
			return pz_err(err, -EINVAL, "class '%s' has the number %u, which was never given",
				      class->name, class->id);
		if (class->dying ? class->size :
		    (class->size < class->guarantee || class->size > class->limit))
			return pz_err(err, -EINVAL, "class '%s' has a size of %u blocks against its bounds",
				      class->name, class->size);
		if (!pz_align_valid(class->align, pool->block_bytes) || !pz_aligned(class))
			return pz_err(err, -EINVAL, "class '%s' has an alignment of %u blocks, and sizes of %u, %u and %u",
				      class->name, class->align, class->size, class->guarantee,
				      class->limit);
		for (j = 0; j < i; j++)
			if (!strcmp(pool->classes[j].name, class->name))
				return pz_err(err, -EINVAL, "class '%s' is there twice", class->name);
		sum += class->size;
		pool->nr_classes++;
	}
	if (sum > pool->requested)
		return pz_err(err, -EINVAL, "the classes have %llu blocks, but only %u are requested",
			      (unsigned long long)sum, pool->requested);
	return 0;
}

/* Extents in order, disjoint, of classes that there are. */
static int load_map(struct pz_pool *pool, struct pz_map *map, const uint8_t *from, uint32_t nr,
		    bool wanted, struct pz_error *err)
{
	const char *which = wanted ? "wanted" : "actual";
	uint32_t end = pool->nr_blocks - pool->memmap_blocks, at = 0, i;

	if (pz_map_reserve(map, nr))
		return pz_err(err, -ENOMEM, "no memory for %u extents", nr);
	for (i = 0; i < nr; i++) {
		struct pz_class *class;
		struct state_extent e;

		memcpy(&e, from + i * sizeof(e), sizeof(e));
		e.class_id = le32toh(e.class_id);
		e.first = le32toh(e.first);
		e.nr = le32toh(e.nr);
		class = pz_class_id(pool, e.class_id);
		if (!class)
			return pz_err(err, -EINVAL, "%s block %u is of class %u, which is not there",
				      which, e.first, e.class_id);
		if (!e.nr || e.first < at || e.first >= pool->nr_blocks ||
		    e.nr > pool->nr_blocks - e.first)
			return pz_err(err, -EINVAL, "%s blocks %u+%u overlap others or the end of the pool",
				      which, e.first, e.nr);
		/* The end of the region is the memory map's and holds nothing else. */
		if (class == &pool->memmap ? e.first < end : e.first + e.nr > end)
			return pz_err(err, -EINVAL, "%s blocks %u+%u: class %u has no place there",
				      which, e.first, e.nr, e.class_id);
		if (wanted && ((e.first | e.nr) & (class->align - 1)))
			return pz_err(err, -EINVAL, "%s blocks %u+%u: class '%s' is aligned to %u blocks",
				      which, e.first, e.nr, class->name, class->align);
		pz_map_append(map, e.class_id, e.first, e.nr);
		*(wanted ? &class->published : &class->plugged) += e.nr;
		at = e.first + e.nr;
	}
	return 0;
}

/* The rules that need both layouts. */
static int load_check(const struct pz_pool *pool, struct pz_error *err)
{
	struct pz_walk walk;
	uint32_t i;

	if (pool->memmap.published != pool->memmap.size)
		return pz_err(err, -EINVAL, "the wanted layout lacks the memory map");
	for (i = 0; i < pool->nr_classes; i++) {
		const struct pz_class *class = &pool->classes[i];

		if (class->published > class->size + pz_reloc_extra(pool, class))
			return pz_err(err, -EINVAL, "class '%s' is to have %u blocks, its layout has %u",
				      class->name, class->size, class->published);
		if (class->dying && !class->plugged)
			return pz_err(err, -EINVAL, "class '%s' is gone and still there", class->name);
		/* Whatever changes a class ends a relocation first. */
		if (pool->reloc.class_id && !pz_reloc_allows(pool, class))
			return pz_err(err, -EINVAL,
				      "class %u is being relocated while class '%s' has %u of %u blocks",
				      pool->reloc.class_id, class->name, class->published, class->size);
	}
	pz_walk_start(&walk, &pool->wanted, &pool->actual, pool->nr_blocks);
	while (pz_walk_next(&walk))
		if (walk.in_a != PZ_NOBODY && walk.in_b != PZ_NOBODY && walk.in_a != walk.in_b)
			return pz_err(err, -EINVAL, "block %u is plugged for class %u and promised to class %u",
				      walk.first, walk.in_b, walk.in_a);
	return 0;
}

/* The step of a relocation is one that there can be. */
static int load_reloc(struct pz_pool *pool, const struct state_header *h, struct pz_error *err)
{
	const struct pz_class *class = pz_class_id(pool, h->reloc_class);

	if (!h->reloc_class)
		return 0;
	if (!class || class->dying || h->reloc_adding > 1 || !h->reloc_nr ||
	    h->reloc_nr > class->size || h->reloc_place > pool->nr_blocks - class->size ||
	    h->reloc_first < h->reloc_place ||
	    h->reloc_first - h->reloc_place > class->size - h->reloc_nr ||
	    ((h->reloc_place | h->reloc_first | h->reloc_nr) & (class->align - 1)) ||
	    class->published != class->size + (h->reloc_adding ? h->reloc_nr : 0) ||
	    !pz_map_covers(&pool->wanted, class->id, h->reloc_first, h->reloc_nr))
		return pz_err(err, -EINVAL, "the relocation of class %u, %u blocks to %u, is not possible",
			      h->reloc_class, h->reloc_nr, h->reloc_first);
	pool->reloc = (struct pz_reloc) {
		.class_id = h->reloc_class, .adding = h->reloc_adding, .place = h->reloc_place,
		.first = h->reloc_first, .nr = h->reloc_nr, .left = h->reloc_left,
		.tries = h->reloc_tries,
	};
	return 0;
}

static int load_header(const struct pz_pool *pool, const uint8_t *buf, size_t len,
		       struct state_header *ret, struct pz_error *err)
{
	struct state_header h = { 0 };

	if (len < sizeof(h))
		return pz_err(err, -EINVAL, "the state has %zu bytes, too few for its header", len);
	memcpy(&h, buf, sizeof(h));
	h = (struct state_header) {
		le32toh(h.magic), le32toh(h.version), le32toh(h.nr_blocks), le32toh(h.requested),
		le64toh(h.block_bytes), le32toh(h.generation), le32toh(h.guest_generation),
		le32toh(h.next_id), le32toh(h.nr_classes), le32toh(h.nr_wanted),
		le32toh(h.nr_actual), le32toh(h.reloc_class), le32toh(h.reloc_adding),
		le32toh(h.reloc_place), le32toh(h.reloc_first), le32toh(h.reloc_nr),
		le32toh(h.reloc_left), le32toh(h.reloc_tries), 0
	};
	if (h.magic != PZ_STATE_MAGIC || h.version != PZ_STATE_VERSION)
		return pz_err(err, -EINVAL, "the state has version %u; this is version %d",
			      h.version, PZ_STATE_VERSION);
	if (h.nr_blocks != pool->nr_blocks || h.block_bytes != pool->block_bytes)
		return pz_err(err, -EINVAL,
			      "the pool has %u blocks of %llu bytes here, but %u of %llu where it comes from",
			      pool->nr_blocks, (unsigned long long)pool->block_bytes,
			      h.nr_blocks, (unsigned long long)h.block_bytes);
	if (h.requested > h.nr_blocks || h.nr_classes >= PZ_MAX_CLASSES ||
	    h.nr_wanted > PZ_MAX_EXTENTS || h.nr_actual > PZ_MAX_EXTENTS || !h.next_id ||
	    h.next_id > PZ_EMPTY)
		return pz_err(err, -EINVAL, "the state's header has numbers out of range");
	if (len != sizeof(h) + h.nr_classes * sizeof(struct state_class) +
		   ((size_t)h.nr_wanted + h.nr_actual) * sizeof(struct state_extent))
		return pz_err(err, -EINVAL, "the state has %zu bytes, which is not what its header says",
			      len);
	*ret = h;
	return 0;
}

int pz_pool_load(struct pz_pool *pool, const uint8_t *buf, size_t len, struct pz_error *err)
{
	struct pz_pool *load = NULL, tmp;
	struct state_header h = { 0 };
	const uint8_t *wanted, *actual;
	uint32_t i;
	int rc;

	rc = load_header(pool, buf, len, &h, err);
	if (rc)
		return rc;
	rc = pz_pool_new(h.nr_blocks, h.block_bytes, h.requested, NULL, NULL, &load, err);
	if (rc)
		return rc;
	/* pz_pool_new() laid out the memory map; the stream says where it is. */
	load->wanted.nr = 0;
	load->memmap.published = 0;
	load->generation = h.generation;
	load->guest_generation = h.guest_generation;
	load->next_id = h.next_id;

	rc = load_classes(load, buf + sizeof(h), h.nr_classes, err);
	if (rc)
		goto out;
	wanted = buf + sizeof(h) + h.nr_classes * sizeof(struct state_class);
	actual = wanted + h.nr_wanted * sizeof(struct state_extent);
	rc = load_map(load, &load->wanted, wanted, h.nr_wanted, true, err);
	if (!rc)
		rc = load_map(load, &load->actual, actual, h.nr_actual, false, err);
	if (!rc)
		rc = load_reloc(load, &h, err);
	if (!rc)
		rc = load_check(load, err);
	if (rc)
		goto out;

	/* Whether a class could have more is not known: the next request looks. */
	for (i = 0; i < load->nr_classes; i++)
		load->behind |= load->classes[i].published < load->classes[i].size;
	load->relocation = pool->relocation;
	load->ops = pool->ops;
	load->opaque = pool->opaque;
	tmp = *pool;
	*pool = *load;
	*load = tmp;
out:
	pz_pool_free(load);
	return rc;
}
