// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_reloc.c: relocation: drawn by hand, and on random small pools against a model
 * that tries all places: with a guest that obeys, every class ends in one extent where
 * there is a place for it that moves nobody else; with any guest it ends, the class has
 * its size, and the guest never gets more than `requested`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

#define NR	96
#define USABLE	(NR - 2)

static void make(struct sim *sim, const char *name, uint32_t size, uint32_t align)
{
	const struct pz_class_spec spec = { name, size, 0, size, align, NULL };
	struct pz_error err;

	if (pz_class_create(sim->pool, &spec, NULL, &err))
		fail_msg("%s", err.msg);
}

static void resize(struct sim *sim, const char *name, uint32_t size)
{
	assert_int_equal(pz_class_set(sim->pool, name, size, 0, size, NULL, NULL), 0);
}

static struct pz_class_info info_of(const struct sim *sim, const char *name)
{
	struct pz_class_info info;

	assert_int_equal(pz_class_find(sim->pool, name, &info), 0);
	return info;
}

static void within_requested(const struct sim *sim)
{
	struct pz_pool_info info;

	pz_pool_info(sim->pool, &info);
	assert_true(info.plugged <= info.requested);
}

/* Until nothing changes any more; returns the rounds, which must end. */
static uint32_t follow(struct sim *sim, unsigned int skip_percent)
{
	uint32_t rounds, quiet = 0, before;

	for (rounds = 0; quiet < 8; rounds++) {
		assert_true(rounds < 4000);
		before = sim_generation(sim);
		sim_follow(sim, skip_percent);
		within_requested(sim);
		quiet = sim_generation(sim) == before && (skip_percent || sim->pinned != UINT32_MAX ||
						      sim_settled(sim)) ? quiet + 1 : 0;
	}
	return rounds;
}

/* "a" has 10 blocks at 0 and 50 at 40; 10..39 is free, and `spare` blocks are left. */
static void open_split(struct sim *sim, uint32_t spare)
{
	sim_open(sim, NR, NR);
	make(sim, "a", 10, 1);
	make(sim, "b", 30, 1);
	make(sim, "c", 4, 1);
	pz_pool_set_relocation(sim->pool, false);
	follow(sim, 0);
	resize(sim, "a", 60);		/* 50 of them behind c */
	follow(sim, 0);
	assert_int_equal(info_of(sim, "a").extents, 2);
	assert_int_equal(pz_class_destroy(sim->pool, "c", NULL), 0);
	assert_int_equal(pz_class_destroy(sim->pool, "b", NULL), 0);
	follow(sim, 0);
	assert_int_equal(info_of(sim, "a").extents, 2);
	assert_int_equal(pz_pool_set_requested(sim->pool, 62 + spare, NULL), 0);
	pz_pool_set_relocation(sim->pool, true);
}

static void in_steps(void **state)
{
	uint32_t spare, rounds, last = UINT32_MAX;
	struct pz_class_info a;
	struct sim sim;

	(void)state;
	for (spare = 1; spare <= 16; spare *= 4) {
		open_split(&sim, spare);
		sim.blocks_plugged = 0;
		sim_follow(&sim, 0);
		a = info_of(&sim, "a");
		assert_true(a.relocating);
		assert_true(a.published > 60 && a.published <= 60 + spare);
		assert_int_equal(a.plugged, 60);
		rounds = follow(&sim, 0);
		a = info_of(&sim, "a");
		assert_false(a.relocating);
		assert_int_equal(a.extents, 1);
		assert_int_equal(a.plugged, 60);
		/* The place that moves the fewest blocks. */
		assert_int_equal(sim.blocks_plugged, 10);
		assert_true(rounds < last);
		last = rounds;
		sim_close(&sim);
	}
	/* Nothing to do it with, or not wished. */
	open_split(&sim, 0);
	follow(&sim, 0);
	assert_int_equal(info_of(&sim, "a").extents, 2);
	pz_pool_set_relocation(sim.pool, false);
	assert_int_equal(pz_pool_set_requested(sim.pool, 80, NULL), 0);
	follow(&sim, 0);
	assert_int_equal(info_of(&sim, "a").extents, 2);
	pz_pool_set_relocation(sim.pool, true);
	sim_follow(&sim, 0);
	assert_true(info_of(&sim, "a").relocating);
	pz_pool_set_relocation(sim.pool, false);
	assert_false(info_of(&sim, "a").relocating);
	assert_int_equal(info_of(&sim, "a").published, 60);
	follow(&sim, 0);
	assert_int_equal(info_of(&sim, "a").extents, 2);
	sim_close(&sim);
}

/* A change of any class comes first. */
static void yields(void **state)
{
	uint32_t steps, what;
	struct sim sim;

	(void)state;
	for (steps = 1; steps < 12; steps++) {
		for (what = 0; what < 4; what++) {
			open_split(&sim, 8);
			while (steps > 0 && !info_of(&sim, "a").relocating)
				sim_follow(&sim, 0);
			for (uint32_t i = 1; i < steps; i++)
				sim_follow(&sim, 0);
			if (what == 0)
				make(&sim, "new", 8, 1);
			else if (what == 1)
				resize(&sim, "a", 68);
			else if (what == 2)
				assert_int_equal(pz_pool_set_requested(sim.pool, 62, NULL), 0);
			else
				assert_int_equal(pz_class_destroy(sim.pool, "a", NULL), 0);
			pz_pool_check(sim.pool);
			if (what < 3) {
				assert_false(info_of(&sim, "a").relocating);
				assert_true(info_of(&sim, "a").published <= (what == 1 ? 68 : 60));
			}
			follow(&sim, 0);
			if (what == 0)
				assert_int_equal(info_of(&sim, "new").plugged, 8);
			if (what < 3)
				assert_int_equal(info_of(&sim, "a").plugged, what == 1 ? 68 : 60);
			sim_close(&sim);
		}
	}
}

/* Reset and migration at every step. */
static void anywhere(void **state)
{
	struct sim sim, to;
	uint32_t steps, i;
	uint8_t *buf;
	size_t len;

	(void)state;
	for (steps = 1; steps < 16; steps++) {
		open_split(&sim, 8);
		for (i = 0; i < steps; i++)
			sim_follow(&sim, i % 3 ? 0 : 50);
		sim_open(&to, NR, 0);
		assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
		assert_int_equal(pz_pool_load(to.pool, buf, len, NULL), 0);
		assert_int_equal(info_of(&to, "a").relocating, info_of(&sim, "a").relocating);
		free(buf);
		memcpy(to.plugged, sim.plugged, NR * sizeof(*to.plugged));
		follow(&to, 0);
		assert_int_equal(info_of(&to, "a").extents, 1);
		assert_int_equal(info_of(&to, "a").plugged, 60);
		sim_close(&to);
		memset(sim.plugged, 0, NR * sizeof(*sim.plugged));
		pz_pool_all_unplugged(sim.pool);
		pz_pool_check(sim.pool);
		assert_false(info_of(&sim, "a").relocating);
		assert_int_equal(info_of(&sim, "a").extents, 1);
		follow(&sim, 0);
		sim_close(&sim);
	}
}

/* A block that can't go, wherever it is: it ends, and the class has its size. */
static void pinned(void **state)
{
	uint32_t block, at, given_up = 0;
	struct pz_class_info a;
	struct sim sim;

	(void)state;
	for (block = 0; block < USABLE; block++) {
		open_split(&sim, 8);
		if (!sim.plugged[block]) {
			sim_close(&sim);
			continue;
		}
		sim.pinned = block;
		follow(&sim, 0);
		a = info_of(&sim, "a");
		assert_false(a.relocating);
		assert_int_equal(a.plugged, 60);
		assert_int_equal(a.published, 60);
		assert_true(sim.plugged[block]);
		assert_true(sim_settled(&sim));
		given_up += a.extents > 1;
		/* It is not tried again, until the class changes. */
		at = sim_generation(&sim);
		follow(&sim, 0);
		assert_int_equal(sim_generation(&sim), at);
		sim.pinned = UINT32_MAX;
		follow(&sim, 0);
		assert_int_equal(sim_generation(&sim), at);
		resize(&sim, "a", 59);
		follow(&sim, 0);
		assert_int_equal(info_of(&sim, "a").extents, 1);
		sim_close(&sim);
	}
	assert_true(given_up > 0);

	/* A host without memory, a guest that does nothing. */
	open_split(&sim, 8);
	sim.fail = -ENOMEM;
	follow(&sim, 0);
	assert_false(info_of(&sim, "a").relocating);
	assert_int_equal(info_of(&sim, "a").published, 60);
	sim.fail = 0;
	follow(&sim, 0);
	assert_true(sim_settled(&sim));
	sim_close(&sim);
	open_split(&sim, 8);
	follow(&sim, 100);
	assert_false(info_of(&sim, "a").relocating);
	assert_int_equal(info_of(&sim, "a").published, 60);
	sim_close(&sim);
}

/* --- random pools --- */

/* Could the class lie in one extent, with all others where they are? Every place. */
static bool could_be_one(const struct sim *sim, const struct pz_class_info *class)
{
	uint32_t want[NR], at, i, n;
	struct pz_extent e;

	memset(want, 0xff, sizeof(want));
	for (i = 0; i < pz_pool_wanted(sim->pool, i, &e, 1); i++)
		for (n = e.first; n < e.first + e.nr; n++)
			want[n] = e.class_id;
	for (at = 0; at + class->size <= USABLE; at += class->align) {
		for (i = at; i < at + class->size && (want[i] == UINT32_MAX || want[i] == class->id);
		     i++)
			;
		if (i == at + class->size)
			return true;
	}
	return false;
}

static void scatter(struct sim *sim, uint64_t seed)
{
	char name[16];
	uint32_t i;

	sim_open(sim, NR, NR);
	sim->seed = seed;
	for (i = 0; i < 40; i++) {
		uint32_t align = sim_random(sim, 3) ? 1 : 1u << sim_random(sim, 4);
		uint32_t size = sim_random(sim, 20) & ~(align - 1);
		struct pz_class_spec spec = { name, size, 0, size, align, NULL };
		struct pz_class_info info;

		snprintf(name, sizeof(name), "c%u", sim_random(sim, 8));
		if (pz_class_find(sim->pool, name, &info))
			pz_class_create(sim->pool, &spec, NULL, NULL);
		else if (sim_random(sim, 3))
			pz_class_set(sim->pool, name, size & ~(info.align - 1), 0,
				     size & ~(info.align - 1), NULL, NULL);
		else
			pz_class_destroy(sim->pool, name, NULL);
		sim_converge(sim, 0);
	}
}

static void random_pools(void **state)
{
	const char *text = getenv("PZ_SEED");
	uint32_t seed = text ? strtoul(text, NULL, 0) : 1, end = seed + 2000, i;
	uint32_t moved = 0, stayed = 0, left = 0;

	(void)state;
	for (; seed < end; seed++) {
		struct pz_class_info info;
		struct pz_pool_info pool;
		uint32_t split = 0, after = 0;
		const int guest = seed % 4;
		struct sim sim;

		scatter(&sim, seed * 0x9e3779b97f4a7c15ull);
		for (i = 0; !pz_class_get(sim.pool, i, &info); i++)
			split += info.extents > 1;
		if (guest == 1)			/* lags, and sometimes fails */
			for (i = 0; i < 50; i++)
				sim_follow(&sim, 60);
		if (guest == 2)			/* has something that can't go */
			sim.pinned = sim_random(&sim, USABLE);
		if (guest == 3)			/* resets at any time */
			for (i = 0; i < 20; i++) {
				sim_follow(&sim, 30);
				if (sim_random(&sim, 8))
					continue;
				memset(sim.plugged, 0, NR * sizeof(*sim.plugged));
				pz_pool_all_unplugged(sim.pool);
			}
		follow(&sim, 0);
		pz_pool_info(sim.pool, &pool);
		for (i = 0; !pz_class_get(sim.pool, i, &info); i++) {
			assert_false(info.relocating);
			assert_true(info.published <= info.size);
			after += info.extents > 1;
			if (info.extents < 2 || guest == 1 || guest == 2)
				continue;
			/* Some class lacks blocks, or there is nothing to do it with. */
			if (!sim_settled(&sim) || pool.allocated + info.align > pool.requested)
				continue;
			if (could_be_one(&sim, &info)) {
				struct pz_class_info other;
				bool lacks = false;
				uint32_t j;

				for (j = 0; !pz_class_get(sim.pool, j, &other); j++)
					lacks |= other.published < other.size;
				if (!lacks)
					fail_msg("PZ_SEED=%u: class %s is left in %u extents", seed,
						 info.name, info.extents);
			}
			left++;
		}
		moved += after < split;
		stayed += after && after >= split;
		sim_close(&sim);
	}
	print_message("# fewer classes in pieces: %u pools; as many: %u; %u had no place\n",
		      moved, stayed, left);
	assert_true(moved > 100);
}

/* A stream says that a class lacks blocks in the middle of another's relocation. */
static void not_while_lacking(void **state)
{
	/* bytes of the saved state: see struct state_header, struct state_class */
	enum { HEADER = 80, CLASS = 232, SIZE = 8, LIMIT = 16 };
	struct pz_error err = { "" };
	struct sim sim, to;
	uint8_t *buf, *z;
	size_t len;

	(void)state;
	open_split(&sim, 8);
	pz_pool_set_relocation(sim.pool, false);
	make(&sim, "z", 0, 1);
	follow(&sim, 0);
	pz_pool_set_relocation(sim.pool, true);
	sim_follow(&sim, 0);
	assert_true(info_of(&sim, "a").relocating);
	sim_open(&to, NR, NR);
	assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), 0);
	z = buf + HEADER + CLASS;
	assert_int_equal(z[SIZE], 0);
	z[SIZE] = z[LIMIT] = 1;
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "'z' has 0 of 1 blocks"));
	free(buf);
	sim_close(&sim);
	sim_close(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_steps), cmocka_unit_test(yields), cmocka_unit_test(anywhere),
		cmocka_unit_test(pinned), cmocka_unit_test(random_pools),
		cmocka_unit_test(not_while_lacking),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("relocation", tests, NULL, NULL);
}
