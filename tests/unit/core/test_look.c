// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_look.c: what people are told of a class, from the two layouts and the report.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "pz_core.h"
#include "virtio_pzone.h"

#define NR(list) (sizeof(list) / sizeof((list)[0]))

static void add(void *opaque, uint32_t class_id, uint32_t blocks)
{
	uint32_t *sum = opaque;

	sum[class_id] += blocks;
}

static void misplaced(void **state)
{
	/* class, first, nr: 1 has moved by two, 2 is where it should be, 3 is gone */
	static const struct pz_extent wanted[] = {
		{ 1, 2, 6 }, { 2, 10, 5 }, { 1, 20, 10 }, { 2, 30, 2 },
	};
	static const struct pz_extent actual[] = {
		{ 1, 0, 6 }, { 2, 11, 3 }, { 1, 15, 10 }, { 2, 25, 7 }, { 3, 40, 9 },
	};
	uint32_t sum[4] = { 0 };

	(void)state;
	pz_misplaced(wanted, NR(wanted), actual, NR(actual), add, sum);
	assert_int_equal(sum[1], 2 + 5);
	assert_int_equal(sum[2], 5);
	assert_int_equal(sum[3], 9);
}

static void misplaced_spanning(void **state)
{
	/* One extent over several wanted ones, and the other way round. */
	static const struct pz_extent many[] = { { 1, 0, 2 }, { 2, 2, 2 }, { 1, 4, 2 }, { 1, 8, 2 } };
	static const struct pz_extent one[] = { { 1, 1, 8 } };
	uint32_t sum[3] = { 0 };

	(void)state;
	pz_misplaced(many, NR(many), one, NR(one), add, sum);
	assert_int_equal(sum[1], 8 - 1 - 2 - 1);
	sum[1] = 0;
	pz_misplaced(one, NR(one), many, NR(many), add, sum);
	assert_int_equal(sum[1], 1 + 0 + 1);
	assert_int_equal(sum[2], 2);
	sum[1] = 0;
	pz_misplaced(NULL, 0, one, NR(one), add, sum);
	assert_int_equal(sum[1], 8);
	pz_misplaced(many, NR(many), NULL, 0, add, sum);
	assert_int_equal(sum[1], 8);
}

static void misplaced_at_the_end(void **state)
{
	static const struct pz_extent wanted[] = { { 1, UINT32_MAX - 1, 1 } };
	static const struct pz_extent actual[] = { { 1, UINT32_MAX - 2, 2 } };
	uint32_t sum[2] = { 0 };

	(void)state;
	pz_misplaced(wanted, 1, actual, 1, add, sum);
	assert_int_equal(sum[1], 1);
}

static enum pz_class_state at(uint32_t size, uint32_t plugged, bool failed)
{
	struct pz_pool_info pool = { 0 };
	struct pz_class_info class = { .size = size, .plugged = plugged };

	return pz_class_state(&pool, &class, 0, true, failed);
}

static void sizes(void **state)
{
	(void)state;
	assert_int_equal(at(4, 4, false), PZ_CLASS_SETTLED);
	assert_int_equal(at(4, 4, true), PZ_CLASS_SETTLED);
	assert_int_equal(at(4, 2, false), PZ_CLASS_GROWING);
	assert_int_equal(at(4, 2, true), PZ_CLASS_PARTIAL);
	assert_int_equal(at(4, 6, false), PZ_CLASS_SHRINKING);
	assert_int_equal(at(4, 6, true), PZ_CLASS_PARTIAL);
}

static void words(void **state)
{
	struct pz_pool_info pool = { .generation = 7, .guest_generation = 7 };
	struct pz_class_info class = { .size = 4, .plugged = 4 };

	(void)state;
	/* As many as it should have, but others. */
	assert_int_equal(pz_class_state(&pool, &class, 1, true, false), PZ_CLASS_SHRINKING);
	class.relocating = true;
	assert_int_equal(pz_class_state(&pool, &class, 1, true, false), PZ_CLASS_SETTLED);
	class.relocating = false;
	class.report.valid = true;
	class.report.state = VIRTIO_PZONE_STATE_PARTIAL;
	assert_int_equal(pz_class_state(&pool, &class, 1, true, false), PZ_CLASS_PARTIAL);
	/* Said of a layout that has changed since. */
	pool.guest_generation = 6;
	assert_int_equal(pz_class_state(&pool, &class, 1, true, false), PZ_CLASS_SHRINKING);
	class.dying = true;
	assert_int_equal(pz_class_state(&pool, &class, 1, true, true), PZ_CLASS_DESTROYING);
	assert_int_equal(pz_class_state(&pool, &class, 1, false, true), PZ_CLASS_WAITING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misplaced),
		cmocka_unit_test(misplaced_spanning),
		cmocka_unit_test(misplaced_at_the_end),
		cmocka_unit_test(sizes),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
