// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_random.c: random calls of the host, and of guests good and bad, against a
 * naive model that knows the owner of each block.
 *
 * The model foresees the result of each call and request. Where a class lies is
 * the planner's affair; there the model holds the rules: who may not move, what
 * may not be promised, and that the guest is told of each change.
 *
 * PZ_SEED=N repeats a run, PZ_STEPS=N makes it longer.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

#define NR		160
#define MEMMAP		3
#define USABLE		(NR - MEMMAP)
#define NOBODY		UINT32_MAX
#define MAX_MODEL	16

struct model_class {
	char name[PZ_NAME_MAX + 1];
	char cookie[PZ_COOKIE_MAX + 1];
	uint32_t id, size, guarantee, limit, align, reclaim_seq;
	bool dying, relocating;
};

struct model {
	struct sim sims[2], *sim;	/* the other one is for migration */
	struct model_class classes[MAX_MODEL];
	uint32_t nr, last_id, requested;
	uint32_t have[NR];		/* the class for which a block is plugged */
	/* as the core had them after the last step */
	uint32_t want[NR], generation, used;
	struct model_class before[MAX_MODEL];
	uint32_t nr_before, published_before[MAX_MODEL];
	bool reset;			/* this step: the guest has gone */
	const char *what;		/* this step, for messages */
	/* how much was done, to see that it was not nothing */
	uint32_t calls, refused, replies[4], failed, moved_blocks, short_steps;
	uint32_t relocations, given_up, one_extent;
};

static uint32_t below(struct model *m, uint32_t n)
{
	return sim_random(m->sim, n);
}

static void owners(const struct sim *sim, bool wanted, uint32_t *ret)
{
	struct pz_extent e;
	uint32_t i, j;

	memset(ret, 0xff, NR * sizeof(*ret));
	for (i = 0; i < (wanted ? pz_pool_wanted : pz_pool_actual)(sim->pool, i, &e, 1); i++)
		for (j = e.first; j < e.first + e.nr; j++) {
			assert_int_equal(ret[j], NOBODY);
			ret[j] = e.class_id;
		}
}

static uint32_t count(const uint32_t *map, uint32_t id)
{
	uint32_t i, n = 0;

	for (i = 0; i < NR; i++)
		n += map[i] == id;
	return n;
}

static uint32_t plugged(const struct model *m)
{
	return NR - count(m->have, NOBODY);
}

static uint32_t sizes(const struct model *m)
{
	uint32_t i, n = m->requested >= MEMMAP ? MEMMAP : 0;

	for (i = 0; i < m->nr; i++)
		n += m->classes[i].size;
	return n;
}

static struct model_class *by_name(struct model *m, const char *name)
{
	uint32_t i;

	for (i = 0; i < m->nr; i++)
		if (!strcmp(m->classes[i].name, name))
			return &m->classes[i];
	return NULL;
}

static bool exists(const struct model *m, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < m->nr; i++)
		if (m->classes[i].id == id)
			return true;
	return !id;
}

/* Classes that were going and are gone now. */
static void forget(struct model *m)
{
	uint32_t i, n = 0;

	for (i = 0; i < m->nr; i++)
		if (!m->classes[i].dying || count(m->have, m->classes[i].id))
			m->classes[n++] = m->classes[i];
	m->nr = n;
}

/* --- the rules --- */

#define RULE(x)	do { if (!(x)) fail_msg("after %s: not so: " #x, m->what); } while (0)

/* Is there a free unit of this alignment? */
static bool has_place(const struct model *m, const uint32_t *want, uint32_t align)
{
	uint32_t at, i;

	for (at = 0; at + align <= USABLE; at += align) {
		for (i = at; i < at + align && want[i] == NOBODY && m->have[i] == NOBODY; i++)
			;
		if (i == at + align)
			return true;
	}
	return false;
}

/* Each extent of a class begins and ends on its alignment. */
static void check_align(const struct model *m, const uint32_t *want, const struct model_class *c)
{
	uint32_t i;

	for (i = 1; i <= NR; i++)
		RULE(i % c->align == 0 ||
		     (want[i - 1] == c->id) == (i < NR && want[i] == c->id));
}

static void check_classes(struct model *m, const uint32_t *want)
{
	struct pz_class_info info;
	bool lacks = false;
	uint32_t i, used = 0;

	for (i = 0; i < m->nr; i++) {
		struct model_class *c = &m->classes[i];

		RULE(pz_class_get(m->sim->pool, i, &info) == 0);
		RULE(info.id == c->id && !strcmp(info.name, c->name));
		RULE(!strcmp(info.cookie, c->cookie));
		RULE(info.size == c->size && info.dying == c->dying);
		RULE(info.guarantee == c->guarantee && info.limit == c->limit);
		RULE(info.reclaim_seq == c->reclaim_seq);
		RULE(info.published == count(want, c->id));
		RULE(info.plugged == count(m->have, c->id));
		RULE(info.published <= c->size || info.relocating);
		RULE(!info.relocating || (!c->dying && info.published >= c->size));
		if (c->relocating && !info.relocating)
			*(info.extents == 1 ? &m->one_extent : &m->given_up) += 1;
		m->relocations += info.relocating && !c->relocating;
		c->relocating = info.relocating;
		RULE(info.align == c->align);
		check_align(m, want, c);
	}
	RULE(pz_class_get(m->sim->pool, i, &info) == -ENOENT);

	for (i = 0; i < NR; i++) {
		RULE(want[i] == NOBODY || m->have[i] == NOBODY || want[i] == m->have[i]);
		RULE(exists(m, want[i]) || want[i] == NOBODY);
		RULE(exists(m, m->have[i]) || m->have[i] == NOBODY);
		RULE(i < USABLE ? want[i] && m->have[i] :
		     want[i] == (m->requested >= MEMMAP ? 0 : NOBODY));
		RULE(m->sim->plugged[i] == (m->have[i] != NOBODY));
		used += want[i] != NOBODY || m->have[i] != NOBODY;
	}
	RULE(used <= m->requested || used <= m->used);
	for (i = 0; i < m->nr; i++) {
		const struct model_class *c = &m->classes[i];

		if (count(want, c->id) >= c->size)
			continue;
		lacks = true;
		RULE(used + c->align > m->requested || !has_place(m, want, c->align));
	}
	m->short_steps += lacks;
	m->used = used;
}

/* Who has moved that should not? */
static void check_moves(struct model *m, const uint32_t *want)
{
	bool any = false;
	uint32_t i, b;

	for (i = 0; i < m->nr; i++)
		any |= count(m->have, m->classes[i].id) > 0;
	for (i = 0; i < m->nr_before; i++) {
		const struct model_class *c = &m->before[i];
		const struct model_class *now = by_name(m, c->name);
		bool settled = now && now->id == c->id && now->size == c->size &&
			       m->published_before[i] == c->size;

		if (!now || now->id != c->id || !any || m->reset || c->relocating || now->relocating)
			continue;
		for (b = 0; b < NR; b++) {
			if (settled)
				RULE((m->want[b] == c->id) == (want[b] == c->id));
			/* what it has and keeps is not taken from it to get more */
			if (now->size >= c->size && m->want[b] == c->id && m->have[b] == c->id)
				RULE(want[b] == c->id);
		}
	}
}

static void check(struct model *m)
{
	uint32_t want[NR], have[NR], i;
	struct pz_pool_info info;

	pz_pool_check(m->sim->pool);
	owners(m->sim, true, want);
	owners(m->sim, false, have);
	RULE(!memcmp(have, m->have, sizeof(have)));
	check_classes(m, want);
	check_moves(m, want);

	pz_pool_info(m->sim->pool, &info);
	RULE(info.requested == m->requested);
	RULE(info.allocated == sizes(m));
	RULE(info.plugged == plugged(m));
	RULE(info.nr_classes == m->nr);
	if (info.generation == m->generation) {
		RULE(!memcmp(want, m->want, sizeof(want)));
		RULE(m->nr == m->nr_before);
		for (i = 0; i < m->nr; i++) {
			const struct model_class *a = &m->classes[i], *b = &m->before[i];

			RULE(a->id == b->id && a->size == b->size && a->limit == b->limit &&
			     a->guarantee == b->guarantee && a->dying == b->dying &&
			     a->reclaim_seq == b->reclaim_seq);
		}
	} else {
		RULE(info.generation > m->generation);
		RULE(m->sim->layout_changed);
	}

	m->generation = info.generation;
	memcpy(m->want, want, sizeof(want));
	memcpy(m->before, m->classes, sizeof(m->before));
	m->nr_before = m->nr;
	for (i = 0; i < m->nr; i++)
		m->published_before[i] = count(want, m->classes[i].id);
	m->reset = false;
	sim_forget_calls(m->sim);
}

/* --- the host --- */

static const char *const names[] = {
	"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "a-name-that-is-as-long-as-can-be",
	"Bad", "none", "", "a-name-that-is-longer-than-a-name-can-be",
};

static char long_cookie[PZ_COOKIE_MAX + 2];

/* The state as bytes, to see that an error changes nothing. */
static uint8_t *save(struct model *m, size_t *ret_len)
{
	uint8_t *buf;

	assert_int_equal(pz_pool_save(m->sim->pool, &buf, ret_len), 0);
	return buf;
}

static int bounds(struct model *m, uint32_t size, uint32_t guarantee, uint32_t limit,
		  uint32_t align, uint32_t had)
{
	if (size < guarantee || size > limit || size % align || guarantee % align || limit % align)
		return -ERANGE;
	if (m->requested < MEMMAP || size > m->requested - (sizes(m) - had))
		return -ENOSPC;
	return 0;
}

static void random_bounds(struct model *m, uint32_t align, uint32_t *size, uint32_t *guarantee,
			  uint32_t *limit)
{
	uint32_t most = below(m, 4) ? 30 : NR + 10;

	*size = below(m, most);
	*guarantee = below(m, 8) ? below(m, *size + 1) : below(m, most);
	*limit = below(m, 8) ? *size + below(m, 3) * below(m, most) : below(m, most);
	if (below(m, 50)) {
		*size -= *size % align;
		*guarantee -= *guarantee % align;
		*limit -= *limit % align;
	}
	if (!below(m, 200))
		*size = *limit = UINT32_MAX - below(m, 3);
}

static int host_create(struct model *m, const char *name)
{
	const char *cookie = below(m, 3) ? NULL : below(m, 20) ? "cookie" : long_cookie;
	struct model_class c = { .align = below(m, 3) ? 1 : 1u << below(m, 6) };
	struct pz_class_spec spec;
	struct pz_error err = { "" };
	int rc, expect;

	random_bounds(m, c.align, &c.size, &c.guarantee, &c.limit);
	if (by_name(m, name))
		expect = -EEXIST;
	else if (!pz_name_valid(name) || cookie == long_cookie)
		expect = -EINVAL;
	else
		expect = bounds(m, c.size, c.guarantee, c.limit, c.align, 0);
	spec = (struct pz_class_spec) { name, c.size, c.guarantee, c.limit, c.align, cookie };
	rc = pz_class_create(m->sim->pool, &spec, &c.id, &err);
	assert_int_equal(rc, expect);
	assert_true(!rc == !*err.msg);
	if (!rc) {
		RULE(c.id > m->last_id);
		m->last_id = c.id;
		strcpy(c.name, name);
		strcpy(c.cookie, cookie ? cookie : "");
		assert_true(m->nr < MAX_MODEL);
		m->classes[m->nr++] = c;
	}
	return rc;
}

static int host_set(struct model *m, const char *name)
{
	const char *cookie = below(m, 2) ? NULL : below(m, 20) ? "other" : long_cookie;
	struct model_class *c = by_name(m, name);
	uint32_t size, guarantee, limit;
	struct pz_error err = { "" };
	int rc, expect;

	random_bounds(m, c ? c->align : 1, &size, &guarantee, &limit);
	if (!c)
		expect = -ENOENT;
	else if (c->dying)
		expect = -EBUSY;
	else if (cookie == long_cookie)
		expect = -EINVAL;
	else
		expect = bounds(m, size, guarantee, limit, c->align, c->size);
	rc = pz_class_set(m->sim->pool, name, size, guarantee, limit, cookie, &err);
	assert_int_equal(rc, expect);
	assert_true(!rc == !*err.msg);
	if (!rc) {
		c->size = size;
		c->guarantee = guarantee;
		c->limit = limit;
		if (cookie)
			strcpy(c->cookie, cookie);
	}
	return rc;
}

static int host_resize(struct model *m, const char *name)
{
	struct model_class *c = by_name(m, name);
	uint32_t size = below(m, 60);
	int rc, expect;

	if (c && !c->dying && below(m, 4))
		size = c->guarantee + below(m, c->limit - c->guarantee + 1);
	if (c && !c->dying && !below(m, 8))	/* giving up: what is there already */
		size = count(m->have, c->id);
	if (c && below(m, 50))
		size -= size % c->align;
	expect = !c ? -ENOENT : c->dying ? -EBUSY :
		 bounds(m, size, c->guarantee, c->limit, c->align, c->size);
	rc = pz_class_resize(m->sim->pool, name, size, NULL);
	assert_int_equal(rc, expect);
	if (!rc)
		c->size = size;
	return rc;
}

static int host_destroy(struct model *m, const char *name)
{
	struct model_class *c = by_name(m, name);
	int rc = pz_class_destroy(m->sim->pool, name, NULL);

	assert_int_equal(rc, c ? 0 : -ENOENT);
	if (c) {
		c->dying = true;
		c->size = 0;
		forget(m);
	}
	return rc;
}

static int host_reclaim(struct model *m, const char *name)
{
	struct model_class *c = by_name(m, name);
	int rc = pz_class_reclaim(m->sim->pool, name, below(m, 1u << 30), NULL);

	assert_int_equal(rc, !c ? -ENOENT : c->dying ? -EBUSY : 0);
	if (!rc)
		c->reclaim_seq++;
	return rc;
}

static int host_requested(struct model *m)
{
	uint32_t to = below(m, 4) ? sizes(m) + below(m, NR - sizes(m) + 1) : below(m, NR + 5);
	int rc, expect = 0;

	if (!below(m, 10))
		to = 0;
	if (to > NR)
		expect = -EINVAL;
	else if (to < sizes(m) && (m->nr || to))
		expect = -ENOSPC;
	rc = pz_pool_set_requested(m->sim->pool, to, NULL);
	assert_int_equal(rc, expect);
	if (!rc)
		m->requested = to;
	return rc;
}

/* --- the guest --- */

/* What the answer must be, by looking at each block. */
static uint16_t foresee(struct model *m, bool plug, uint32_t generation,
			const struct pz_extent *e, uint32_t nr)
{
	bool seen[NR] = { false };
	uint32_t i, b;

	if (!nr)
		return VIRTIO_PZONE_RESP_ERROR;
	if (generation != m->generation)
		return VIRTIO_PZONE_RESP_NACK;
	for (i = 0; i < nr; i++) {
		if (!exists(m, e[i].class_id) || !e[i].nr || e[i].first >= NR ||
		    e[i].nr > NR - e[i].first)
			return VIRTIO_PZONE_RESP_ERROR;
		for (b = e[i].first; b < e[i].first + e[i].nr; b++) {
			if (seen[b])
				return VIRTIO_PZONE_RESP_ERROR;
			seen[b] = true;
			if (plug ? m->want[b] != e[i].class_id || m->have[b] != NOBODY :
				   m->have[b] != e[i].class_id)
				return VIRTIO_PZONE_RESP_ERROR;
		}
		/* memmap first, memmap last */
		if (plug && e[i].class_id && count(m->have, 0) != MEMMAP)
			return VIRTIO_PZONE_RESP_ERROR;
		if (!plug && !e[i].class_id && count(m->have, 0) != plugged(m))
			return VIRTIO_PZONE_RESP_ERROR;
	}
	return m->sim->busy ? VIRTIO_PZONE_RESP_BUSY : VIRTIO_PZONE_RESP_ACK;
}

/* A run of blocks alike, or a piece of one; sometimes not quite right. */
static struct pz_extent pick(struct model *m, bool plug)
{
	const uint32_t *from = plug ? m->want : m->have;
	struct pz_extent e = { 0, below(m, NR), 1 };
	uint32_t tries;

	for (tries = 0; tries < 20 && (from[e.first] == NOBODY ||
				       (plug && m->have[e.first] != NOBODY)); tries++)
		e.first = below(m, NR);
	e.class_id = from[e.first] == NOBODY ? below(m, m->last_id + 2) : from[e.first];
	while (e.first + e.nr < NR && from[e.first + e.nr] == e.class_id &&
	       (!plug || m->have[e.first + e.nr] == NOBODY) && below(m, 10))
		e.nr++;
	if (!below(m, 12))
		e.nr += below(m, 4);
	if (!below(m, 40))
		e.class_id = below(m, m->last_id + 2);
	if (!below(m, 60))
		e.first = below(m, 2) ? below(m, NR + 2) : UINT32_MAX - below(m, 3);
	if (!below(m, 60))
		e.nr = below(m, 2) ? 0 : UINT32_MAX - below(m, NR);
	return e;
}

static void request_change(struct model *m, bool plug, uint32_t generation,
			   const struct pz_extent *e, uint32_t nr)
{
	uint16_t type, expect = foresee(m, plug, generation, e, nr);
	uint32_t i, b, calls = 0;

	type = sim_change_at(m->sim, plug ? VIRTIO_PZONE_REQ_PLUG : VIRTIO_PZONE_REQ_UNPLUG,
			     generation, e, nr);
	assert_int_equal(type, expect);
	m->replies[type]++;
	assert_int_equal(sim_header(m->sim).nr, type == VIRTIO_PZONE_RESP_ACK ? nr : 0);
	if (type != VIRTIO_PZONE_RESP_ACK) {
		assert_int_equal(m->sim->changes, 0);
		return;
	}
	for (i = 0; i < nr; i++) {
		uint32_t status = VIRTIO_PZONE_AGAIN;

		/* more than `requested`: the device is not even asked */
		if (!plug || plugged(m) + e[i].nr <= m->requested) {
			int rc = m->sim->results[calls++];

			status = !rc ? VIRTIO_PZONE_OK :
				 rc == -ENOMEM ? VIRTIO_PZONE_NOMEM : VIRTIO_PZONE_AGAIN;
		}
		assert_int_equal(sim_status(m->sim, i), status);
		m->failed += status != VIRTIO_PZONE_OK;
		m->moved_blocks += status ? 0 : e[i].nr;
		for (b = e[i].first; !status && b < e[i].first + e[i].nr; b++)
			m->have[b] = plug ? e[i].class_id : NOBODY;
	}
	assert_int_equal(m->sim->changes, calls);
	forget(m);
}

static void guest_change(struct model *m)
{
	const bool plug = below(m, 2);
	struct pz_extent e[6];
	uint32_t nr = 1 + below(m, below(m, 3) ? 2 : 6), i;

	for (i = 0; i < nr; i++)
		e[i] = pick(m, plug);
	if (!below(m, 100))
		nr = 0;
	request_change(m, plug, m->generation - !below(m, 15), e, nr);
}

/* All that a guest which does as it is told would do at once, but for some of it. */
static void guest_converge_one(struct model *m, bool plug, bool memmap, uint32_t skip_percent)
{
	struct pz_extent e[NR];
	uint32_t nr = 0, i, end;

	for (i = 0; i < NR; i = end) {
		const uint32_t id = plug ? m->want[i] : m->have[i];

		for (end = i + 1; end < NR && m->want[end] == m->want[i] &&
				  m->have[end] == m->have[i]; end++)
			;
		if (m->want[i] == m->have[i] || id == NOBODY || !id != memmap ||
		    below(m, 100) < skip_percent)
			continue;
		if (skip_percent && below(m, 2))
			end = i + 1 + below(m, end - i);
		e[nr++] = (struct pz_extent) { id, i, end - i };
	}
	if (nr)
		request_change(m, plug, m->generation, e, nr);
}

static void guest_converge(struct model *m)
{
	const uint32_t skip_percent = below(m, 2) ? 0 : below(m, 100);

	/* Each is a step of its own: the rules hold after each. */
	guest_converge_one(m, false, false, skip_percent);
	check(m);
	guest_converge_one(m, true, true, skip_percent);
	check(m);
	if (count(m->have, 0) == MEMMAP)
		guest_converge_one(m, true, false, skip_percent);
	else if (count(m->have, 0) == plugged(m))
		guest_converge_one(m, false, true, skip_percent);
}

static void guest_report(struct model *m)
{
	struct virtio_pzone_report r = {
		.class_id = htole32(below(m, m->last_id + 2)), .state = htole32(below(m, 3)),
		.free_bytes = htole64(below(m, 1u << 30)),
	};
	struct pz_class_info info;
	struct pz_pool_info pool;

	assert_int_equal(sim_report(m->sim, m->generation, &r, 1), VIRTIO_PZONE_RESP_ACK);
	pz_pool_info(m->sim->pool, &pool);
	assert_int_equal(pool.guest_generation, m->generation);
	if (exists(m, le32toh(r.class_id))) {
		assert_int_equal(pz_class_by_id(m->sim->pool, le32toh(r.class_id), &info), 0);
		assert_true(info.report.valid);
		assert_int_equal(info.report.free_bytes, le64toh(r.free_bytes));
	}
}

/* Pull the whole layout in pages of any size, as a driver does. */
static void guest_pull(struct model *m)
{
	const bool wanted = below(m, 2);
	const uint32_t *map = wanted ? m->want : m->have;
	uint32_t seen[NR], first = 0, total = 1, i, b;

	memset(seen, 0xff, sizeof(seen));
	while (first < total) {
		uint32_t fits = 1 + below(m, 5);

		assert_int_equal(sim_query(m->sim, wanted ? VIRTIO_PZONE_REQ_LAYOUT :
					   VIRTIO_PZONE_REQ_STATE, first,
					   16 + fits * 16 + below(m, 16)), VIRTIO_PZONE_RESP_ACK);
		total = sim_header(m->sim).total;
		assert_int_equal(sim_header(m->sim).generation, m->generation);
		assert_int_equal(sim_header(m->sim).nr,
				 total - first < fits ? total - first : fits);
		for (i = 0; i < sim_header(m->sim).nr; i++) {
			struct virtio_pzone_extent e;

			memcpy(&e, m->sim->resp + 16 + i * 16, sizeof(e));
			for (b = 0; b < le32toh(e.nr_blocks); b++)
				seen[le32toh(e.first_block) + b] = le32toh(e.class_id);
		}
		first += sim_header(m->sim).nr;
	}
	assert_memory_equal(seen, map, sizeof(seen));
}

static void guest_reset(struct model *m)
{
	memset(m->sim->plugged, 0, NR * sizeof(*m->sim->plugged));
	memset(m->have, 0xff, sizeof(m->have));
	pz_pool_all_unplugged(m->sim->pool);
	forget(m);
	m->reset = true;
}

/* The pool goes to another host. */
static void migrate(struct model *m)
{
	struct sim *from = m->sim, *to = &m->sims[from == m->sims];
	uint8_t *buf, *again;
	struct pz_error err;
	size_t len, again_len;

	buf = save(m, &len);
	sim_open(to, NR, below(m, NR + 1));
	to->seed = from->seed;
	to->busy = from->busy;
	to->fail_percent = from->fail_percent;
	memcpy(to->plugged, from->plugged, NR * sizeof(*to->plugged));
	if (pz_pool_load(to->pool, buf, len, &err))
		fail_msg("%s", err.msg);
	m->sim = to;
	again = save(m, &again_len);
	assert_int_equal(len, again_len);
	assert_memory_equal(buf, again, len);
	free(buf);
	free(again);
	sim_close(from);
}

static void step(struct model *m)
{
	const char *name = names[below(m, below(m, 20) ? 10 : sizeof(names) / sizeof(*names))];
	uint32_t what = below(m, 100);
	size_t len, after_len;
	uint8_t *before = save(m, &len), *after;
	int rc = 0;

#define DO(doing, call)	do { m->what = doing; call; } while (0)
	if (what < 14)
		DO("create", rc = host_create(m, name));
	else if (what < 20)
		DO("set", rc = host_set(m, name));
	else if (what < 34)
		DO("resize", rc = host_resize(m, name));
	else if (what < 39)
		DO("destroy", rc = host_destroy(m, name));
	else if (what < 41)
		DO("reclaim", rc = host_reclaim(m, name));
	else if (what < 44)
		DO("requested", rc = host_requested(m));
	else if (what < 70)
		DO("change", guest_change(m));
	else if (what < 86)
		DO("converge", guest_converge(m));
	else if (what < 90)
		DO("report", guest_report(m));
	else if (what < 94)
		DO("pull", guest_pull(m));
	else if (what < 97)
		DO("mood", m->sim->busy = !below(m, 5);
			   m->sim->fail_percent = below(m, 3) ? 0 : below(m, 100));
	else if (what < 99)
		DO("migrate", migrate(m));
	else
		DO("reset", guest_reset(m));
	m->calls += what < 44;
	if (rc) {
		m->refused++;
		after = save(m, &after_len);
		RULE(len == after_len && !memcmp(before, after, len));
		free(after);
	}
	free(before);
	check(m);
}

static void run(uint64_t seed)
{
	const char *text = getenv("PZ_STEPS");
	uint32_t steps = text ? strtoul(text, NULL, 0) : 20000, i;
	struct model *m = calloc(1, sizeof(*m));

	memset(long_cookie, 'c', sizeof(long_cookie) - 1);
	print_message("# PZ_SEED=%llu\n", (unsigned long long)seed);
	m->sim = &m->sims[0];
	sim_open(m->sim, NR, NR);
	m->sim->seed = seed * 0x9e3779b97f4a7c15ull;
	m->requested = m->used = NR;
	memset(m->have, 0xff, sizeof(m->have));
	m->what = "start";
	m->sim->layout_changed = 1;
	check(m);
	for (i = 0; i < steps; i++)
		step(m);
	print_message("# %u calls, %u of them refused; PLUG and UNPLUG: %u ACK, %u NACK, %u BUSY, %u ERROR;"
		      " %u extents failed, %u blocks changed; a class was short for %u steps;"
		      " %u relocations, %u to the end\n",
		      m->calls, m->refused, m->replies[0], m->replies[1], m->replies[2], m->replies[3],
		      m->failed, m->moved_blocks, m->short_steps, m->relocations, m->one_extent);
	sim_close(m->sim);
	free(m);
}

static void same_seed(void **state)
{
	(void)state;
	run(1);
}

static void new_seed(void **state)
{
	const char *text = getenv("PZ_SEED");

	(void)state;
	run(text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_seed), cmocka_unit_test(new_seed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
