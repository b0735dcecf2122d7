// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy for elastic classes: its promises under random load, and the cases
 * that people will ask about. The guest here is a toy: it uses what it needs as far
 * as it has it, stalls for the rest, and gives back as told, or late, or never.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "balance.h"

#define MiB		(1ull << 20)
#define BLOCK		(2 * MiB)
#define SECOND		1000000ull

struct toy {
	struct balance_class *cls;
	uint64_t need;		/* bytes that it would use */
	uint64_t cache;		/* and this much that it fills with what it reads once */
	bool stubborn;		/* gives nothing back */
};

static struct balance_class elastic(const char *name, uint64_t guarantee, uint64_t limit)
{
	return (struct balance_class){
		.name = name, .guarantee = guarantee, .limit = limit, .size = guarantee,
		.actual = guarantee, .unit = BLOCK, .weight = BALANCE_WEIGHT_DEFAULT,
		.elastic = true, .free = guarantee,
	};
}

/* One second in the life of a toy guest, and what it reports at its end. */
static void live(struct toy *toy, uint64_t now)
{
	struct balance_class *cls = toy->cls;
	uint64_t uses;

	cls->sampled_us = now;
	if (cls->reclaim)
		toy->cache -= toy->cache < cls->reclaim ? toy->cache : cls->reclaim;
	if (cls->actual < cls->size || !toy->stubborn)
		cls->actual = cls->size;
	uses = toy->need + toy->cache;
	if (uses > cls->actual)
		uses = cls->actual;
	cls->free = cls->actual - uses;
	if (toy->need > cls->actual)
		cls->stall_us += SECOND / 2;
}

static void check_pool(const struct balance_pool *pool)
{
	uint64_t before = 0, after = 0;

	for (size_t i = 0; i < pool->nr_classes; i++) {
		const struct balance_class *cls = &pool->classes[i];

		before += cls->size;
		after += cls->new_size;
		if (!cls->elastic) {
			assert_int_equal(cls->new_size, cls->size);
			continue;
		}
		assert_true(cls->new_size >= cls->guarantee);
		assert_true(cls->new_size <= cls->limit);
		assert_int_equal(cls->new_size % cls->unit, 0);
		assert_true(cls->reclaim <= cls->new_size - cls->guarantee);
	}
	if (after > before)
		assert_true(after <= pool->capacity);
}

static void round_of(struct balance_pool *pool, struct toy *toys, uint64_t *now)
{
	*now += SECOND;
	for (size_t i = 0; i < pool->nr_classes; i++)
		live(&toys[i], *now);
	balance_round(pool, 1, NULL, 0, &balance_defaults, *now);
	check_pool(pool);
	for (size_t i = 0; i < pool->nr_classes; i++)
		pool->classes[i].size = pool->classes[i].new_size;
}

/* 2006: 1024 MiB; four classes of 128 to 512, two of 256 to 768; all combinations. */
static void run_2006(uint64_t capacity)
{
	for (unsigned int busy = 0; busy < 64; busy++) {
		struct balance_class c[6];
		struct toy toys[6];
		struct balance_pool pool = { .capacity = capacity, .group = BALANCE_NO_GROUP,
					     .classes = c, .nr_classes = 6 };
		uint64_t now = SECOND, spare = capacity, want = 0, got = 0;

		for (int i = 0; i < 6; i++) {
			c[i] = i < 4 ? elastic("small", 128 * MiB, 512 * MiB) :
				       elastic("big", 256 * MiB, 768 * MiB);
			toys[i] = (struct toy){ .cls = &c[i],
						.need = busy >> i & 1 ? c[i].limit : 16 * MiB };
		}
		for (int r = 0; r < 120; r++)
			round_of(&pool, toys, &now);
		for (int i = 0; i < 6; i++) {
			spare -= c[i].guarantee;
			if (busy >> i & 1) {
				want += c[i].limit - c[i].guarantee;
				got += c[i].size - c[i].guarantee;
			} else {
				assert_int_equal(c[i].size, c[i].guarantee);
			}
		}
		/* All that is above the guarantees goes to the busy, but for rounding. */
		if (want > spare)
			want = spare;
		assert_true(got <= want);
		assert_true(want - got <= 6 * BLOCK);
	}
}

static void test_2006(void **state)
{
	(void)state;
	run_2006(1024 * MiB);
	run_2006(1536 * MiB);
	run_2006(4096 * MiB);
}

static void test_weights(void **state)
{
	struct balance_class c[3] = { elastic("one", 128 * MiB, 4096 * MiB),
				      elastic("two", 128 * MiB, 4096 * MiB),
				      elastic("three", 128 * MiB, 4096 * MiB) };
	struct toy toys[3];
	struct balance_pool pool = { .capacity = (384 + 600) * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 3 };
	uint64_t now = SECOND;

	(void)state;
	for (int i = 0; i < 3; i++) {
		c[i].weight = 100 * (i + 1);
		toys[i] = (struct toy){ .cls = &c[i], .need = 4096 * MiB };
	}
	for (int r = 0; r < 60; r++)
		round_of(&pool, toys, &now);
	for (int i = 0; i < 3; i++) {
		uint64_t want = 128 * MiB + 100 * (i + 1) * MiB;

		assert_true(c[i].size <= want);
		assert_true(want - c[i].size <= want / 32);
	}
}

/* A class that comes late gets its share from those that took it all. */
static void test_late_comer(void **state)
{
	struct balance_class c[2] = { elastic("early", 64 * MiB, 1024 * MiB),
				      elastic("late", 64 * MiB, 1024 * MiB) };
	struct toy toys[2] = { { .cls = &c[0], .need = 1024 * MiB },
			       { .cls = &c[1], .need = 16 * MiB } };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 2 };
	uint64_t now = SECOND;

	(void)state;
	for (int r = 0; r < 60; r++)
		round_of(&pool, toys, &now);
	assert_true(c[0].size >= 900 * MiB);
	toys[1].need = 1024 * MiB;
	for (int r = 0; r < 20; r++)
		round_of(&pool, toys, &now);
	assert_true(c[1].size >= 490 * MiB);
	assert_true(c[0].size <= 534 * MiB && c[0].size >= 490 * MiB);
}

/* What is idle comes back by itself, but not at once. */
static void test_idle(void **state)
{
	struct balance_class c[1] = { elastic("c", 64 * MiB, 1024 * MiB) };
	struct toy toys[1] = { { .cls = &c[0], .need = 800 * MiB } };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 1 };
	uint64_t now = SECOND, high;

	(void)state;
	for (int r = 0; r < 60; r++)
		round_of(&pool, toys, &now);
	high = c[0].size;
	assert_true(high >= 800 * MiB);
	assert_true(high <= 800 * MiB + 800 * MiB / 4);
	toys[0].need = 100 * MiB;
	for (int r = 0; r < 10; r++)
		round_of(&pool, toys, &now);
	assert_true(c[0].size > 700 * MiB);
	for (int r = 0; r < 120; r++)
		round_of(&pool, toys, &now);
	assert_true(c[0].size >= 110 * MiB);
	assert_true(c[0].size <= 140 * MiB);
}

/* A load that comes and goes faster than calm_us costs no resizes after the first. */
static void test_no_flapping(void **state)
{
	struct balance_class c[1] = { elastic("c", 64 * MiB, 1024 * MiB) };
	struct toy toys[1] = { { .cls = &c[0] } };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 1 };
	uint64_t now = SECOND, last = 0;
	int resizes = 0;

	(void)state;
	for (int r = 0; r < 400; r++) {
		toys[0].need = (r / 10 % 2 ? 100 : 500) * MiB;
		round_of(&pool, toys, &now);
		if (r >= 40)
			resizes += c[0].size != last;
		last = c[0].size;
	}
	assert_true(resizes <= 360 / 30);
}

/* Cold cache of a calm class is found by asking it, and goes to who is short. */
static void test_probe(void **state)
{
	struct balance_class c[2] = { elastic("cold", 64 * MiB, 1024 * MiB),
				      elastic("busy", 64 * MiB, 1024 * MiB) };
	struct toy toys[2] = { { .cls = &c[0], .need = 32 * MiB, .cache = 450 * MiB },
			       { .cls = &c[1], .need = 900 * MiB } };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 2 };
	uint64_t now = SECOND;

	(void)state;
	c[0].size = c[0].actual = 512 * MiB;
	for (int r = 0; r < 240; r++)
		round_of(&pool, toys, &now);
	assert_true(c[0].size < 200 * MiB);
	assert_true(c[1].size > 800 * MiB);
}

/* The first look must not take counters since boot for what happens now. */
static void test_first_look(void **state)
{
	struct balance_class c[1] = { elastic("c", 64 * MiB, 1024 * MiB) };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 1 };

	(void)state;
	c[0].stall_us = 1000 * SECOND;
	c[0].refaults = 1u << 30;
	c[0].oom = 77;
	balance_round(&pool, 1, NULL, 0, &balance_defaults, 5 * SECOND);
	assert_int_equal(c[0].new_size, c[0].size);
}

/* No news is not good news: a look between two reports of the guest changes nothing. */
static void test_no_news(void **state)
{
	struct balance_class c[1] = { elastic("c", 64 * MiB, 1024 * MiB) };
	struct toy toys[1] = { { .cls = &c[0], .need = 1024 * MiB } };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 1 };
	uint64_t now = SECOND, size, step;

	(void)state;
	round_of(&pool, toys, &now);
	round_of(&pool, toys, &now);
	c[0].actual = size = c[0].size;
	step = c[0].memory.step_bytes;
	assert_true(size > 64 * MiB);
	balance_round(&pool, 1, NULL, 0, &balance_defaults, now + SECOND / 2);
	assert_int_equal(c[0].new_size, size);
	assert_int_equal(c[0].memory.step_bytes, step);
	round_of(&pool, toys, &now);
	assert_true(c[0].size > size + step);
}

/* A shrink makes tasks wait; to grow for that would undo it. To the end of a class's memory it is not. */
static void test_shrink_is_no_pressure(void **state)
{
	struct balance_class c[1] = { elastic("c", 64 * MiB, 1024 * MiB) };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 1 };

	(void)state;
	c[0].actual = 256 * MiB;	/* of which it should have 64 */
	c[0].free = 0;
	for (int r = 1; r < 10; r++) {
		c[0].sampled_us = r * SECOND;
		c[0].stall_us += SECOND / 2;
		c[0].shortage = 32 * MiB;
		balance_round(&pool, 1, NULL, 0, &balance_defaults, r * SECOND);
		assert_int_equal(c[0].new_size, 64 * MiB);
	}
	c[0].shortage = 256 * MiB;
	c[0].dying = true;
	balance_round(&pool, 1, NULL, 0, &balance_defaults, 10 * SECOND);
	assert_true(c[0].new_size > 64 * MiB);
}

static void test_oom_event(void **state)
{
	struct balance_class c[2] = { elastic("dies", 64 * MiB, 1024 * MiB),
				      elastic("presses", 64 * MiB, 1024 * MiB) };
	struct balance_pool pool = { .capacity = 160 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 2 };

	(void)state;
	c[0].free = c[1].free = 0;
	c[1].shortage = 32 * MiB;
	c[0].shortage = 32 * MiB;
	c[0].dying = true;
	balance_round(&pool, 1, NULL, 0, &balance_defaults, 5 * SECOND);
	check_pool(&pool);
	assert_int_equal(c[0].reason, BALANCE_OOM);
	assert_true(c[0].new_size > c[0].size);
	assert_true(c[0].new_size + c[1].new_size == 160 * MiB);
	/* said once, not for ever */
	assert_false(c[0].dying);
	assert_int_equal(c[0].shortage, 0);
}

/* Fixed classes are room that is taken, nothing else. */
static void test_fixed(void **state)
{
	struct balance_class c[2] = { elastic("fixed", 512 * MiB, 512 * MiB),
				      elastic("busy", 64 * MiB, 4096 * MiB) };
	struct toy toys[2] = { { .cls = &c[0], .need = 4096 * MiB },
			       { .cls = &c[1], .need = 4096 * MiB } };
	struct balance_pool pool = { .capacity = 1024 * MiB, .group = BALANCE_NO_GROUP,
				     .classes = c, .nr_classes = 2 };
	uint64_t now = SECOND;

	(void)state;
	c[0].elastic = false;
	for (int r = 0; r < 60; r++)
		round_of(&pool, toys, &now);
	assert_int_equal(c[0].size, 512 * MiB);
	assert_int_equal(c[1].size, 512 * MiB);
}

/* Two pools, one budget: the stubborn one delays the other, and never breaks the budget. */
static void test_budget_waits(void **state)
{
	struct balance_class c[2] = { elastic("stubborn", 64 * MiB, 1024 * MiB),
				      elastic("busy", 64 * MiB, 1024 * MiB) };
	struct toy toys[2] = { { .cls = &c[0], .need = 32 * MiB, .stubborn = true },
			       { .cls = &c[1], .need = 1000 * MiB } };
	struct balance_group group = { .budget = 1024 * MiB };
	struct balance_pool pools[2] = {
		{ .capacity = 1024 * MiB, .memmap = 16 * MiB, .classes = &c[0], .nr_classes = 1 },
		{ .capacity = 1024 * MiB, .memmap = 16 * MiB, .classes = &c[1], .nr_classes = 1 },
	};
	uint64_t now = SECOND;

	(void)state;
	c[0].size = c[0].actual = 800 * MiB;
	for (int r = 0; r < 100; r++) {
		now += SECOND;
		for (int i = 0; i < 2; i++)
			live(&toys[i], now);
		assert_true(c[0].actual + c[1].actual + 32 * MiB <= group.budget);
		if (r == 60) {
			assert_int_equal(c[1].actual, 192 * MiB);
			toys[0].stubborn = false;
		}
		balance_round(pools, 2, &group, 1, &balance_defaults, now);
		for (int i = 0; i < 2; i++) {
			check_pool(&pools[i]);
			c[i].size = c[i].new_size;
		}
	}
	assert_int_equal(c[0].size, 64 * MiB);
	assert_true(c[1].size >= 900 * MiB);
}

/* What was on its way to a class that is to shrink again may have arrived: nobody else gets it yet. */
static void test_budget_on_its_way(void **state)
{
	struct balance_class c[2] = { elastic("was to grow", 64 * MiB, 1024 * MiB),
				      elastic("dies", 64 * MiB, 1024 * MiB) };
	struct balance_group group = { .budget = 512 * MiB };
	struct balance_pool pools[2] = {
		{ .capacity = 1024 * MiB, .classes = &c[0], .nr_classes = 1 },
		{ .capacity = 1024 * MiB, .classes = &c[1], .nr_classes = 1 },
	};

	(void)state;
	c[0].size = c[0].may_have = 448 * MiB;	/* and had 64 when it was looked at */
	c[0].memory.calm_since_us = 1;
	c[1].shortage = 400 * MiB;
	c[1].dying = true;
	balance_round(pools, 2, &group, 1, &balance_defaults, 60 * SECOND);
	assert_true(c[0].new_size < 448 * MiB);
	assert_int_equal(c[1].new_size, 64 * MiB);
	c[0].size = c[0].may_have = c[0].new_size;	/* looked at again: it had not arrived */
	c[1].shortage = 400 * MiB;
	c[1].dying = true;
	balance_round(pools, 2, &group, 1, &balance_defaults, 61 * SECOND);
	assert_int_equal(c[1].new_size, 512 * MiB - c[0].size);
}

static uint64_t rnd(uint64_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return n ? x % n : 0;
}

/* Whatever classes do: bounds, capacities and budgets hold, in every single round. */
static void test_random(void **state)
{
	(void)state;
	for (int world = 0; world < 300; world++) {
		struct balance_class c[24] = { 0 };
		struct toy toys[24];
		struct balance_pool pools[4] = { 0 };
		struct balance_group groups[2];
		uint64_t now = SECOND;

		groups[0].budget = (64 + rnd(2048)) * MiB;
		groups[1].budget = BALANCE_NO_BUDGET;
		for (int p = 0; p < 4; p++) {
			pools[p].classes = &c[6 * p];
			pools[p].nr_classes = rnd(7);
			pools[p].group = rnd(3) ? rnd(2) : BALANCE_NO_GROUP;
			pools[p].memmap = rnd(3) * BLOCK;
			for (size_t i = 0; i < pools[p].nr_classes; i++) {
				struct balance_class *cls = &pools[p].classes[i];
				uint64_t guarantee = rnd(50) * BLOCK;

				*cls = elastic("c", guarantee, guarantee + rnd(200) * BLOCK);
				cls->weight = 1 + rnd(rnd(2) ? 10000 : 10);
				cls->elastic = rnd(4);
				pools[p].capacity += cls->size;
				toys[6 * p + i] = (struct toy){ .cls = cls, .stubborn = !rnd(4) };
			}
			pools[p].capacity += rnd(300) * BLOCK;
		}
		for (int r = 0; r < 60; r++) {
			uint64_t held[2] = { 0 };

			now += SECOND;
			for (int p = 0; p < 4; p++)
				for (size_t i = 0; i < pools[p].nr_classes; i++) {
					struct toy *toy = &toys[6 * p + i];

					if (!rnd(8)) {
						toy->need = rnd(400) * BLOCK;
						toy->cache = rnd(3) ? 0 : rnd(100) * BLOCK;
					}
					live(toy, now);
					if (!rnd(10)) {
						toy->cls->shortage = rnd(60) * BLOCK;
						toy->cls->dying = rnd(2);
					}
				}
			balance_round(pools, 4, groups, 2, &balance_defaults, now);
			for (int p = 0; p < 4; p++) {
				check_pool(&pools[p]);
				if (pools[p].group == BALANCE_NO_GROUP)
					continue;
				held[pools[p].group] += pools[p].memmap;
				for (size_t i = 0; i < pools[p].nr_classes; i++) {
					struct balance_class *cls = &pools[p].classes[i];

					held[pools[p].group] += cls->new_size > cls->actual ?
								cls->new_size : cls->actual;
				}
			}
			for (int p = 0; p < 4; p++)
				for (size_t i = 0; i < pools[p].nr_classes; i++) {
					struct balance_class *cls = &pools[p].classes[i];

					/* Over budget only as far as it was before. */
					if (pools[p].group != BALANCE_NO_GROUP &&
					    cls->new_size > cls->size &&
					    cls->new_size > cls->actual)
						assert_true(held[pools[p].group] <=
							    groups[pools[p].group].budget);
					cls->size = cls->new_size;
				}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_2006),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_late_comer),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_no_flapping),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_first_look),
		cmocka_unit_test(test_no_news),
		cmocka_unit_test(test_shrink_is_no_pressure),
		cmocka_unit_test(test_oom_event),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_budget_waits),
		cmocka_unit_test(test_budget_on_its_way),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
