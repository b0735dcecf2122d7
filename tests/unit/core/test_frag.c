// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_frag.c: the bound on fragmentation, on random small pools, with the fewest
 * runs found by trying all sets of them:
 *
 *   - a class that is created is one extent whenever one free run holds it, and
 *     lies in the smallest such run; else it takes the fewest runs that hold it;
 *   - a class that grows takes the runs beside it first, and of the others the
 *     fewest that hold the rest;
 *   - nobody else's blocks move (nor does what is plugged of its own).
 *
 * Of the last two the pools here are settled, or hold blocks that a guest has not
 * given back yet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

#define NR		192
#define USABLE		(NR - 3)	/* without the memory map */
#define MAX_RUNS	14		/* more would take long to try out */

struct run {
	uint32_t first, nr;
	bool beside;	/* the class that grows */
};

static void owners(const struct sim *sim, bool wanted, uint32_t *ret)
{
	struct pz_extent e;
	uint32_t i, j;

	memset(ret, 0xff, NR * sizeof(*ret));
	for (i = 0; i < (wanted ? pz_pool_wanted : pz_pool_actual)(sim->pool, i, &e, 1); i++)
		for (j = e.first; j < e.first + e.nr; j++)
			ret[j] = e.class_id;
}

/* The free runs, as one sees them by looking at each block. */
static uint32_t free_runs(const uint32_t *want, const uint32_t *have, uint32_t id,
			  struct run *runs, uint32_t max)
{
	uint32_t i, end, n = 0;

	for (i = 0; i < USABLE; i = end) {
		end = i + 1;
		if (want[i] != UINT32_MAX || have[i] != UINT32_MAX)
			continue;
		while (end < USABLE && want[end] == UINT32_MAX && have[end] == UINT32_MAX)
			end++;
		if (n < max)
			runs[n] = (struct run) {
				i, end - i, (i && want[i - 1] == id) || (end < NR && want[end] == id)
			};
		n++;
	}
	return n;
}

/* The least number of these runs that hold so much; all subsets are tried. */
static uint32_t fewest(const struct run *runs, uint32_t nr, uint32_t need)
{
	uint32_t set, best = UINT32_MAX, i;

	for (set = 0; set < 1u << nr; set++) {
		uint32_t sum = 0, n = 0;

		for (i = 0; i < nr; i++)
			if (set & 1u << i) {
				sum += runs[i].nr;
				n++;
			}
		if (sum >= need && n < best)
			best = n;
	}
	return best;
}

/* A pool with some classes and holes; `settled`: nothing is left to give back. */
static void scatter(struct sim *sim, uint64_t seed, bool settled)
{
	char name[16];
	uint32_t i;

	sim_open(sim, NR, NR);
	sim->seed = seed;
	for (i = 0; i < 16; i++) {
		uint32_t size = sim_random(sim, 20), limit = size + sim_random(sim, 3) * 10;

		snprintf(name, sizeof(name), "c%u", i);
		sim_create(sim->pool, name, size, 0, limit, NULL, NULL, NULL);
		if (sim_random(sim, 2))
			sim_converge(sim, 0);
	}
	sim_converge(sim, 0);
	for (i = 0; i < 16; i++) {
		struct pz_class_info info;

		snprintf(name, sizeof(name), "c%u", i);
		if (pz_class_find(sim->pool, name, &info))
			continue;
		if (sim_random(sim, 2))
			pz_class_destroy(sim->pool, name, NULL);
		else if (!sim_random(sim, 3))
			pz_class_resize(sim->pool, name, sim_random(sim, info.size + 1), NULL);
	}
	for (i = 0; i < 3 || (settled && !sim_settled(sim)); i++)
		sim_converge(sim, settled ? 0 : 40);
}

static uint32_t room(const struct sim *sim, const uint32_t *want, const uint32_t *have)
{
	struct pz_pool_info info;
	uint32_t i, used = 0;

	for (i = 0; i < NR; i++)
		used += want[i] != UINT32_MAX || have[i] != UINT32_MAX;
	pz_pool_info(sim->pool, &info);
	assert_true(used <= info.requested);
	return info.requested - used;
}

/* Blocks of `id` in a run, now. */
static uint32_t taken(const uint32_t *want, const struct run *run, uint32_t id)
{
	uint32_t i, n = 0;

	for (i = run->first; i < run->first + run->nr; i++)
		n += want[i] == id;
	return n;
}

static uint32_t seed_number(void)
{
	const char *text = getenv("PZ_SEED");

	return text ? strtoul(text, NULL, 0) : 1;
}

static void create(void **state)
{
	uint32_t want[NR], have[NR], after[NR], seed, ones = 0, cut = 0, i;

	(void)state;
	for (seed = seed_number(); seed < seed_number() + 3000; seed++) {
		uint32_t nr, size, id, best = UINT32_MAX, least, used = 0, extents = 0;
		struct run runs[MAX_RUNS];
		struct pz_class_info info;
		struct sim sim;

		scatter(&sim, seed * 0x9e3779b97f4a7c15ull, seed % 3);
		owners(&sim, true, want);
		owners(&sim, false, have);
		nr = free_runs(want, have, UINT32_MAX - 1, runs, MAX_RUNS);
		pz_class_get(sim.pool, 0, &info);
		size = room(&sim, want, have);
		if (nr > MAX_RUNS || !size)
			goto next;
		size = 1 + sim_random(&sim, sim_random(&sim, 2) ? size : size / 2 + 1);
		if (size > room(&sim, want, have) ||
		    sim_create(sim.pool, "new", size, 0, size, NULL, &id, NULL))
			goto next;	/* it may be that nothing is plugged and all moved */
		pz_pool_check(sim.pool);
		pz_class_by_id(sim.pool, id, &info);
		assert_int_equal(info.published, size);
		owners(&sim, true, after);
		least = fewest(runs, nr, size);
		for (i = 0; i < nr; i++) {
			if (runs[i].nr >= size && runs[i].nr < best)
				best = runs[i].nr;
			used += !!taken(after, &runs[i], id);
		}
		for (i = 0; i < NR; i++)
			extents += after[i] == id && (!i || after[i - 1] != id);
		if (used != least || extents != least || info.extents != least)
			fail_msg("PZ_SEED=%u: %u blocks take %u runs in %u extents; %u will do",
				 seed, size, used, extents, least);
		for (i = 0; i < nr; i++)
			if (least == 1 && taken(after, &runs[i], id) && runs[i].nr != best)
				fail_msg("PZ_SEED=%u: %u blocks in a run of %u, though one has %u",
					 seed, size, runs[i].nr, best);
		for (i = 0; i < NR; i++)
			if (want[i] != after[i] && after[i] != id)
				fail_msg("PZ_SEED=%u: block %u of class %u moved", seed, i, want[i]);
		ones += least == 1;
		cut += least > 1;
next:
		sim_close(&sim);
	}
	print_message("# %u created in one extent, %u in more\n", ones, cut);
	assert_true(ones > 500 && cut > 200);
}

static void grow(void **state)
{
	uint32_t want[NR], have[NR], after[NR], seed, in_place = 0, elsewhere = 0, i;

	(void)state;
	for (seed = seed_number(); seed < seed_number() + 3000; seed++) {
		uint32_t nr, others = 0, beside = 0, need, least, used = 0, stuck = 0;
		struct run runs[MAX_RUNS], rest[MAX_RUNS];
		struct pz_class_info info;
		struct sim sim;

		scatter(&sim, seed * 0x9e3779b97f4a7c15ull, seed % 3);
		/* One that has something plugged: such a class never moves. */
		for (i = sim_random(&sim, 8); !pz_class_get(sim.pool, i, &info); i++)
			if (!info.dying && info.plugged && info.published == info.size)
				break;
		owners(&sim, true, want);
		owners(&sim, false, have);
		if (pz_class_get(sim.pool, i, &info))
			goto next;
		nr = free_runs(want, have, info.id, runs, MAX_RUNS);
		for (i = 0; i < NR; i++)
			stuck += have[i] == info.id && want[i] == UINT32_MAX;
		need = room(&sim, want, have);
		if (nr > MAX_RUNS || stuck || !need)
			goto next;
		need = 1 + sim_random(&sim, need);
		if (pz_class_set(sim.pool, info.name, info.size + need, 0, info.size + need, NULL, NULL))
			goto next;
		pz_pool_check(sim.pool);
		owners(&sim, true, after);
		for (i = 0; i < nr; i++) {
			if (runs[i].beside) {
				beside += runs[i].nr;
				continue;
			}
			rest[others++] = runs[i];
			used += !!taken(after, &runs[i], info.id);
		}
		least = need > beside ? fewest(rest, others, need - beside) : 0;
		if (used != least)
			fail_msg("PZ_SEED=%u: %u more blocks, %u beside it, %u runs elsewhere; %u will do",
				 seed, need, beside, used, least);
		for (i = 0; i < nr; i++)
			if (least && runs[i].beside && taken(after, &runs[i], info.id) != runs[i].nr)
				fail_msg("PZ_SEED=%u: went elsewhere with blocks left at %u",
					 seed, runs[i].first);
		for (i = 0; i < NR; i++)
			if (want[i] != after[i] && (want[i] != UINT32_MAX || after[i] != info.id))
				fail_msg("PZ_SEED=%u: block %u of class %u moved", seed, i, want[i]);
		in_place += !least;
		elsewhere += !!least;
next:
		sim_close(&sim);
	}
	print_message("# %u grew in place, %u elsewhere too\n", in_place, elsewhere);
	assert_true(in_place > 200 && elsewhere > 200);
}

/* A shrink leaves the fewest extents that there can be. */
static void shrink(void **state)
{
	uint32_t seed, i, several = 0;

	(void)state;
	for (seed = seed_number(); seed < seed_number() + 3000; seed++) {
		struct run runs[MAX_RUNS];
		struct pz_class_info info;
		uint32_t n = 0, size, found = 0;
		struct pz_extent e;
		struct sim sim;

		scatter(&sim, seed * 0x9e3779b97f4a7c15ull, true);
		size = 0;
		for (i = 0; !pz_class_get(sim.pool, i, &info); i++)
			size += info.size;
		sim_create(sim.pool, "new", USABLE - size, 0, NR, NULL, &found, NULL);
		sim_converge(&sim, 0);
		if (pz_class_by_id(sim.pool, found, &info) || !info.published)
			goto next;
		for (i = 0; i < pz_pool_wanted(sim.pool, i, &e, 1) && n < MAX_RUNS; i++)
			if (e.class_id == info.id)
				runs[n++] = (struct run) { e.first, e.nr, false };
		if (n != info.extents)
			goto next;
		size = sim_random(&sim, info.size);
		assert_int_equal(pz_class_resize(sim.pool, "new", size, NULL), 0);
		pz_pool_check(sim.pool);
		pz_class_by_id(sim.pool, info.id, &info);
		assert_int_equal(info.published, size);
		if (info.extents != fewest(runs, n, size))
			fail_msg("PZ_SEED=%u: %u extents are left of %u; %u hold %u blocks", seed,
				 info.extents, n, fewest(runs, n, size), size);
		several += n > 1;
next:
		sim_close(&sim);
	}
	print_message("# %u classes of several extents shrunk\n", several);
	assert_true(several > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create), cmocka_unit_test(grow), cmocka_unit_test(shrink),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fragmentation", tests, NULL, NULL);
}
