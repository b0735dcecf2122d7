// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_table.c: the pool and the class table: every error of every call, and that
 * an error changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

#define MIB	(1ull << 20)

/* The state as bytes: equal when nothing has changed. */
static void same(const struct sim *sim, const uint8_t *buf, size_t len)
{
	uint8_t *now;
	size_t now_len;

	assert_int_equal(pz_pool_save(sim->pool, &now, &now_len), 0);
	assert_int_equal(len, now_len);
	assert_memory_equal(buf, now, len);
	free(now);
}

static void names(void **state)
{
	static const struct { const char *name; bool valid; } rows[] = {
		{ "a", true }, { "0", true }, { "db", true }, { "a_b.c-d", true }, { "0-9", true },
		{ "abcdefghijklmnopqrstuvwxyz01234", true },	/* 31 */
		{ "abcdefghijklmnopqrstuvwxyz012345", false },
		{ "", false }, { "A", false }, { "dB", false }, { "_a", false }, { ".a", false },
		{ "-a", false }, { "a b", false }, { "a/b", false }, { "a\n", false },
		{ "\xc3\xa4", false }, { "shared", true }, { "none", false }, { "memmap", false },
		{ "shared1", true }, { "sharee", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (pz_name_valid(rows[i].name) != rows[i].valid)
			fail_msg("name '%s'", rows[i].name);
}

static void new_pool(void **state)
{
	static const struct {
		uint32_t nr_blocks;
		uint64_t block_bytes;
		uint32_t requested;
		int rc;
	} rows[] = {
		{ 1024, 2 * MIB, 1024, 0 },
		{ 1024, 2 * MIB, 0, 0 },
		{ 2, MIB, 2, 0 },
		{ 524288, 2 * MIB, 524288, 0 },
		{ 1024, 2 * MIB, 1025, -EINVAL },
		{ 1024, 0, 0, -EINVAL },
		{ 1024, 3 * MIB, 0, -EINVAL },
		{ 1024, MIB / 2, 0, -EINVAL },
		{ 0, MIB, 0, -EINVAL },
		{ 1, MIB, 0, -EINVAL },
		{ UINT32_MAX, MIB, 0, -EINVAL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct pz_pool *pool = (void *)&rows, *before = pool;
		struct pz_error err = { "" };
		int rc = pz_pool_new(rows[i].nr_blocks, rows[i].block_bytes, rows[i].requested,
				     NULL, NULL, &pool, &err);

		assert_int_equal(rc, rows[i].rc);
		assert_true(rc ? pool == before && *err.msg : pool != before);
		if (!rc) {
			pz_pool_check(pool);
			assert_null(pz_pool_free(pool));
		}
	}
	assert_null(pz_pool_free(NULL));
}

static void memmap(void **state)
{
	struct pz_pool_info info;
	struct pz_error err;
	struct pz_extent e;
	struct sim sim;

	(void)state;
	assert_int_equal(pz_memmap_blocks(1024, 2 * MIB), 16);
	assert_int_equal(pz_memmap_blocks(64, 2 * MIB), 1);
	assert_int_equal(pz_memmap_blocks(65, 2 * MIB), 2);
	assert_int_equal(pz_memmap_blocks(524288, 2 * MIB), 8192);
	assert_int_equal(pz_memmap_blocks(INT32_MAX, 1ull << 31), (1u << 25));

	sim_open(&sim, 1024, 15);
	assert_int_equal(pz_pool_wanted(sim.pool, 0, NULL, 0), 0);
	assert_int_equal(sim_create(sim.pool, "a", 0, 0, 0, NULL, NULL, &err), -ENOSPC);
	assert_int_equal(pz_pool_set_requested(sim.pool, 16, &err), 0);
	assert_int_equal(sim.layout_changed, 1);
	assert_int_equal(pz_pool_wanted(sim.pool, 0, &e, 1), 1);
	assert_int_equal(e.class_id, 0);
	assert_int_equal(e.first, 1008);
	assert_int_equal(e.nr, 16);
	pz_pool_info(sim.pool, &info);
	assert_int_equal(info.allocated, 16);
	/* Without classes it may go again; with one it may not. */
	assert_int_equal(pz_pool_set_requested(sim.pool, 0, &err), 0);
	assert_int_equal(pz_pool_wanted(sim.pool, 0, NULL, 0), 0);
	assert_int_equal(pz_pool_set_requested(sim.pool, 17, &err), 0);
	assert_int_equal(sim_create(sim.pool, "a", 1, 0, 1, NULL, NULL, &err), 0);
	assert_int_equal(pz_pool_set_requested(sim.pool, 0, &err), -ENOSPC);
	assert_int_equal(pz_pool_set_requested(sim.pool, 16, &err), -ENOSPC);
	assert_int_equal(pz_pool_set_requested(sim.pool, 1025, &err), -EINVAL);
	pz_pool_check(sim.pool);
	sim_close(&sim);
}

/* A pool of 1024 blocks, 16 of them memmap's; db has 100 (50 to 200). */
static void open_with_db(struct sim *sim)
{
	struct pz_error err;

	sim_open(sim, 1024, 1000);
	assert_int_equal(sim_create(sim->pool, "db", 100, 50, 200, "v1", NULL, &err), 0);
	sim_converge(sim, 0);
	assert_true(sim_settled(sim));
	/* and one that is going, but still there */
	assert_int_equal(sim_create(sim->pool, "old", 10, 10, 10, NULL, NULL, &err), 0);
	sim_converge(sim, 0);
	assert_int_equal(pz_class_destroy(sim->pool, "old", &err), 0);
	sim_forget_calls(sim);
}

static char long_cookie[PZ_COOKIE_MAX + 2];

static void create_errors(void **state)
{
	const struct {
		const char *name;
		uint32_t size, guarantee, limit;
		const char *cookie;
		int rc;
		const char *says;
	} rows[] = {
		{ "X", 1, 0, 1, NULL, -EINVAL, "'X'" },
		{ "none", 1, 0, 1, NULL, -EINVAL, "'none'" },
		{ "a", 1, 0, 1, long_cookie, -EINVAL, "cookie" },
		{ "a", 1, 2, 3, NULL, -ERANGE, "guarantee 4 MiB" },
		{ "a", 4, 2, 3, NULL, -ERANGE, "limit 6 MiB" },
		{ "db", 1, 0, 1, NULL, -EEXIST, "'db'" },
		{ "old", 1, 0, 1, NULL, -EEXIST, "still being destroyed" },
		{ "a", 885, 0, 885, NULL, -ENOSPC, "1768 MiB" },	/* 1000 - 16 - 100 */
		{ "a", UINT32_MAX, 0, UINT32_MAX, NULL, -ENOSPC, "does not fit" },
	};
	struct sim sim;
	uint8_t *before;
	size_t len, i;

	(void)state;
	memset(long_cookie, 'c', sizeof(long_cookie) - 1);
	open_with_db(&sim);
	assert_int_equal(pz_pool_save(sim.pool, &before, &len), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct pz_error err = { "" };
		uint32_t id = 77;
		int rc = sim_create(sim.pool, rows[i].name, rows[i].size, rows[i].guarantee,
					 rows[i].limit, rows[i].cookie, &id, &err);

		assert_int_equal(rc, rows[i].rc);
		assert_int_equal(id, 77);
		if (!strstr(err.msg, rows[i].says))
			fail_msg("row %zu says: %s", i, err.msg);
		same(&sim, before, len);
	}
	assert_int_equal(sim.layout_changed, 0);
	assert_int_equal(sim_create(sim.pool, "a", 884, 0, 884, NULL, NULL, NULL), 0);
	assert_int_equal(sim_create(sim.pool, "b", 1, 0, 1, NULL, NULL, NULL), -ENOSPC);
	free(before);
	sim_close(&sim);
}

static void change_errors(void **state)
{
	struct pz_error err;
	struct sim sim;
	uint8_t *before;
	size_t len;

	(void)state;
	open_with_db(&sim);
	assert_int_equal(pz_pool_save(sim.pool, &before, &len), 0);
	assert_int_equal(pz_class_resize(sim.pool, "no", 1, &err), -ENOENT);
	assert_int_equal(pz_class_resize(sim.pool, "memmap", 1, &err), -ENOENT);
	assert_int_equal(pz_class_resize(sim.pool, "db", 49, &err), -ERANGE);
	assert_non_null(strstr(err.msg, "98 MiB"));
	assert_int_equal(pz_class_resize(sim.pool, "db", 201, &err), -ERANGE);
	assert_int_equal(pz_class_resize(sim.pool, "old", 1, &err), -EBUSY);
	assert_int_equal(pz_class_set(sim.pool, "no", 1, 1, 1, NULL, &err), -ENOENT);
	assert_int_equal(pz_class_set(sim.pool, "old", 0, 0, 0, NULL, &err), -EBUSY);
	assert_int_equal(pz_class_set(sim.pool, "db", 100, 101, 200, NULL, &err), -ERANGE);
	assert_int_equal(pz_class_set(sim.pool, "db", 100, 50, 99, NULL, &err), -ERANGE);
	assert_int_equal(pz_class_set(sim.pool, "db", 985, 50, 985, NULL, &err), -ENOSPC);
	assert_int_equal(pz_class_set(sim.pool, "db", 100, 50, 200, long_cookie, &err), -EINVAL);
	assert_int_equal(pz_class_destroy(sim.pool, "no", &err), -ENOENT);
	assert_int_equal(pz_class_destroy(sim.pool, "memmap", &err), -ENOENT);
	assert_int_equal(pz_class_reclaim(sim.pool, "no", 1, &err), -ENOENT);
	assert_int_equal(pz_class_reclaim(sim.pool, "old", 1, &err), -EBUSY);
	assert_int_equal(pz_pool_set_requested(sim.pool, 115, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "230 MiB"));
	assert_non_null(strstr(err.msg, "232 MiB"));
	same(&sim, before, len);
	/* No change is no news; destroying twice is fine. */
	assert_int_equal(pz_class_resize(sim.pool, "db", 100, &err), 0);
	assert_int_equal(pz_class_destroy(sim.pool, "old", &err), 0);
	same(&sim, before, len);
	assert_int_equal(sim.layout_changed, 0);
	free(before);
	sim_close(&sim);
}

/* What an alignment may be, and what it asks of size and bounds. */
static void align_errors(void **state)
{
	static const struct {
		uint32_t size, guarantee, limit, align;
		int rc;
		const char *says;
	} rows[] = {
		{ 32, 16, 48, 16, 0, "" }, { 0, 0, 0, 512, 0, "" },
		{ 32, 16, 48, 12, -EINVAL, "24 MiB" }, { 0, 0, 0, 1024, -EINVAL, "2 GiB" },
		{ 0, 0, 0, 1u << 31, -EINVAL, "alignment" },
		{ 33, 16, 48, 16, -ERANGE, "size 66 MiB" }, { 32, 8, 48, 16, -ERANGE, "guarantee 16 MiB" },
		{ 32, 16, 40, 16, -ERANGE, "limit 80 MiB" },
	};
	struct pz_error err = { "" };
	struct sim sim;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pz_class_spec spec = {
			.name = "a", .size = rows[i].size, .guarantee = rows[i].guarantee,
			.limit = rows[i].limit, .align = rows[i].align
		};

		sim_open(&sim, 1024, 1000);
		err.msg[0] = 0;
		assert_int_equal(pz_class_create(sim.pool, &spec, NULL, &err), rows[i].rc);
		if (!strstr(err.msg, rows[i].says))
			fail_msg("row %zu says: %s", i, err.msg);
		if (!rows[i].rc && rows[i].size) {
			assert_int_equal(pz_class_resize(sim.pool, "a", 24, &err), -ERANGE);
			assert_int_equal(pz_class_set(sim.pool, "a", 16, 0, 24, NULL, &err), -ERANGE);
			assert_int_equal(pz_class_resize(sim.pool, "a", 48, &err), 0);
		}
		sim_close(&sim);
	}
}

static void too_many(void **state)
{
	struct pz_error err;
	struct pz_class_info info;
	struct sim sim;
	char name[32];
	uint32_t i;

	(void)state;
	sim_open(&sim, 2048, 2048);
	for (i = 0; i < PZ_MAX_CLASSES - 1; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(sim_create(sim.pool, name, 1, 0, 1, NULL, NULL, &err), 0);
	}
	pz_pool_check(sim.pool);
	assert_int_equal(sim_create(sim.pool, "last", 1, 0, 1, NULL, NULL, &err), -E2BIG);
	/* In order of creation, each number used once. */
	assert_int_equal(pz_class_destroy(sim.pool, "c500", &err), 0);
	assert_int_equal(sim_create(sim.pool, "c500", 1, 0, 1, NULL, &i, &err), 0);
	assert_int_equal(i, PZ_MAX_CLASSES);
	assert_int_equal(pz_class_get(sim.pool, PZ_MAX_CLASSES - 2, &info), 0);
	assert_string_equal(info.name, "c500");
	assert_int_equal(pz_class_get(sim.pool, 500, &info), 0);
	assert_string_equal(info.name, "c501");
	assert_int_equal(pz_class_get(sim.pool, PZ_MAX_CLASSES - 1, &info), -ENOENT);
	assert_int_equal(pz_class_find(sim.pool, "c499", &info), 0);
	assert_int_equal(pz_class_by_id(sim.pool, info.id, &info), 0);
	assert_string_equal(info.name, "c499");
	assert_int_equal(pz_class_by_id(sim.pool, 501, &info), -ENOENT);	/* c500 was it */
	sim_close(&sim);
}

/* Everything that the guest should see moves the generation, by one. */
static void generation(void **state)
{
	struct pz_pool_info info;
	struct pz_error err;
	uint32_t at;
	struct sim sim;

	(void)state;
	sim_open(&sim, 1024, 1000);
	pz_pool_info(sim.pool, &info);
	at = info.generation;
#define MOVES(call) do { \
		sim_forget_calls(&sim); \
		assert_int_equal(call, 0); \
		pz_pool_info(sim.pool, &info); \
		assert_int_equal(info.generation, ++at); \
		assert_int_equal(sim.layout_changed, 1); \
	} while (0)
	MOVES(sim_create(sim.pool, "a", 10, 5, 20, "c", NULL, &err));
	MOVES(sim_create(sim.pool, "empty", 0, 0, 0, NULL, NULL, &err));
	MOVES(pz_class_resize(sim.pool, "a", 11, &err));
	MOVES(pz_class_set(sim.pool, "a", 11, 4, 20, NULL, &err));
	MOVES(pz_class_set(sim.pool, "a", 11, 4, 21, NULL, &err));
	MOVES(pz_class_reclaim(sim.pool, "a", 1 << 20, &err));
	sim_forget_calls(&sim);
	/* The cookie is the controller's own business. */
	assert_int_equal(pz_class_set(sim.pool, "a", 11, 4, 21, "d", &err), 0);
	assert_int_equal(sim.layout_changed, 0);
	sim_close(&sim);
}

/* Dying, still plugged, then gone: the name is free only at the end. */
static void destroy(void **state)
{
	struct pz_class_info info;
	struct pz_error err;
	struct pz_extent e;
	uint32_t id;
	struct sim sim;

	(void)state;
	sim_open(&sim, 1024, 1000);
	assert_int_equal(sim_create(sim.pool, "a", 10, 0, 10, "c", &id, &err), 0);
	sim_converge(&sim, 0);
	assert_int_equal(pz_class_destroy(sim.pool, "a", &err), 0);
	assert_int_equal(pz_class_find(sim.pool, "a", &info), 0);
	assert_true(info.dying);
	assert_int_equal(info.size, 0);
	assert_int_equal(info.published, 0);
	assert_int_equal(info.plugged, 10);
	e = (struct pz_extent) { id, 0, 9 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(pz_class_find(sim.pool, "a", &info), 0);
	sim_forget_calls(&sim);
	e = (struct pz_extent) { id, 9, 1 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(pz_class_find(sim.pool, "a", &info), -ENOENT);
	assert_int_equal(sim.layout_changed, 1);
	assert_int_equal(sim.reported_last, id);
	assert_int_equal(sim_create(sim.pool, "a", 10, 0, 10, NULL, &id, &err), 0);
	assert_int_equal(id, 2);
	/* Nothing plugged: at once. */
	assert_int_equal(pz_class_destroy(sim.pool, "a", &err), 0);
	assert_int_equal(pz_class_find(sim.pool, "a", &info), -ENOENT);
	pz_pool_check(sim.pool);
	sim_close(&sim);
}

/* The device may leave out any of the calls, or all. */
static void no_ops(void **state)
{
	static const struct pz_ops none = { 0 };
	const struct pz_ops *ops[] = { NULL, &none };
	struct pz_class_info info;
	struct sim sim;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		sim_open(&sim, 128, 128);
		pz_pool_free(sim.pool);
		assert_int_equal(pz_pool_new(128, SIM_BLOCK, 128, ops[i], NULL, &sim.pool, NULL), 0);
		assert_int_equal(sim_create(sim.pool, "a", 10, 0, 10, NULL, NULL, NULL), 0);
		sim_converge(&sim, 0);
		assert_true(sim_settled(&sim));
		assert_int_equal(sim_report(&sim, 1, NULL, 0), VIRTIO_PZONE_RESP_ACK);
		assert_int_equal(pz_class_destroy(sim.pool, "a", NULL), 0);
		sim_converge(&sim, 0);
		assert_int_equal(pz_class_find(sim.pool, "a", &info), -ENOENT);
		pz_pool_all_unplugged(sim.pool);
		pz_pool_check(sim.pool);
		sim_close(&sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names), cmocka_unit_test(new_pool), cmocka_unit_test(memmap),
		cmocka_unit_test(create_errors), cmocka_unit_test(change_errors),
		cmocka_unit_test(align_errors), cmocka_unit_test(too_many), cmocka_unit_test(generation), cmocka_unit_test(destroy),
		cmocka_unit_test(no_ops),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("pool and class table", tests, NULL, NULL);
}
