// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_state.c: saving and loading a pool, and what loading makes of bytes that
 * somebody has changed.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

/* A pool with a bit of everything: settled, short, dying, fragmented, reported. */
static void open_busy(struct sim *sim)
{
	struct virtio_pzone_report r = { .class_id = htole32(1), .stuck_blocks = htole32(7),
					 .oom_kills = htole64(3) };
	struct pz_error err;
	struct pz_extent e;

	sim_open(sim, 128, 120);
	assert_int_equal(sim_create(sim->pool, "a", 40, 10, 50, "cookie", NULL, &err), 0);
	assert_int_equal(sim_create(sim->pool, "b", 30, 30, 30, NULL, NULL, &err), 0);
	assert_int_equal(sim_create(sim->pool, "gone", 30, 30, 30, NULL, NULL, &err), 0);
	sim_converge(sim, 0);
	assert_true(sim_settled(sim));
	assert_int_equal(pz_class_resize(sim->pool, "a", 20, &err), 0);
	e = (struct pz_extent) { 1, 24, 5 };
	assert_int_equal(sim_change(sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(pz_class_destroy(sim->pool, "gone", &err), 0);
	assert_int_equal(sim_create(sim->pool, "c", 60, 0, 60, "x", NULL, &err), 0);
	assert_int_equal(pz_class_reclaim(sim->pool, "b", 4096, &err), 0);
	assert_int_equal(sim_report(sim, 3, &r, 1), VIRTIO_PZONE_RESP_ACK);
	pz_pool_check(sim->pool);
}

static void round_trip(void **state)
{
	struct pz_class_info a, b;
	struct pz_pool_info pa, pb;
	struct pz_error err;
	struct sim sim, to;
	uint8_t *buf, *again;
	size_t len, again_len;
	uint32_t i;

	(void)state;
	open_busy(&sim);
	sim_open(&to, 128, 0);
	assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), 0);
	pz_pool_check(to.pool);
	assert_int_equal(to.layout_changed, 0);
	assert_int_equal(pz_pool_save(to.pool, &again, &again_len), 0);
	assert_int_equal(len, again_len);
	assert_memory_equal(buf, again, len);
	pz_pool_info(sim.pool, &pa);
	pz_pool_info(to.pool, &pb);
	assert_memory_equal(&pa, &pb, sizeof(pa));
	for (i = 0; !pz_class_get(sim.pool, i, &a); i++) {
		assert_int_equal(pz_class_get(to.pool, i, &b), 0);
		assert_string_equal(a.name, b.name);
		assert_string_equal(a.cookie, b.cookie);
		assert_int_equal(a.published, b.published);
		assert_int_equal(a.plugged, b.plugged);
		assert_int_equal(a.reclaim_bytes, b.reclaim_bytes);
		assert_int_equal(a.report.valid, b.report.valid);
		assert_int_equal(a.report.stuck_blocks, b.report.stuck_blocks);
		assert_int_equal(a.report.oom_kills, b.report.oom_kills);
	}
	assert_int_equal(i, 4);

	/* And life goes on there. */
	memcpy(to.plugged, sim.plugged, 128 * sizeof(*sim.plugged));
	for (i = 0; i < 5; i++)
		sim_converge(&to, 0);
	assert_true(sim_settled(&to));
	assert_int_equal(pz_class_find(to.pool, "gone", &a), -ENOENT);
	assert_int_equal(pz_class_find(to.pool, "c", &a), 0);
	assert_int_equal(a.plugged, 60);
	free(buf);
	free(again);
	sim_close(&sim);
	sim_close(&to);
}

static void other_pool(void **state)
{
	struct pz_error err;
	struct sim sim, to;
	uint8_t *buf;
	size_t len, n;

	(void)state;
	open_busy(&sim);
	assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
	sim_open(&to, 256, 0);
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "256 blocks"));
	sim_close(&to);
	/* Cut anywhere, or with more behind it. */
	sim_open(&to, 128, 0);
	for (n = 0; n < len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, buf, n);
		assert_int_equal(pz_pool_load(to.pool, cut, n, &err), -EINVAL);
		free(cut);
	}
	buf = realloc(buf, len + 1);
	buf[len] = 0;
	assert_int_equal(pz_pool_load(to.pool, buf, len + 1, &err), -EINVAL);
	sim_close(&to);
	free(buf);
	sim_close(&sim);
}

/* Two owners of one block: refused, and the block is named. */
static void two_owners(void **state)
{
	uint8_t *buf, *before, *after;
	struct pz_error err = { "" };
	size_t len, before_len, after_len;
	struct sim sim, to;
	uint32_t v;

	(void)state;
	sim_open(&sim, 128, 128);
	assert_int_equal(sim_create(sim.pool, "a", 40, 0, 40, NULL, NULL, &err), 0);
	assert_int_equal(sim_create(sim.pool, "b", 40, 0, 40, NULL, NULL, &err), 0);
	sim_converge(&sim, 0);
	assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
	/* Its last three extents are a 0+40, b 40+40, memmap: let a reach into b's. */
	v = htole32(37);
	memcpy(buf + len - 2 * 12 + 4, &v, 4);
	v = htole32(43);
	memcpy(buf + len - 2 * 12 + 8, &v, 4);
	v = htole32(37);
	memcpy(buf + len - 3 * 12 + 8, &v, 4);
	sim_open(&to, 128, 100);
	assert_int_equal(sim_create(to.pool, "x", 40, 0, 40, NULL, NULL, &err), 0);
	assert_int_equal(pz_pool_save(to.pool, &before, &before_len), 0);
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "block 37"));
	assert_int_equal(pz_pool_save(to.pool, &after, &after_len), 0);
	assert_int_equal(before_len, after_len);
	assert_memory_equal(before, after, after_len);
	free(before);
	free(after);
	free(buf);
	sim_close(&to);
	sim_close(&sim);
}

/* Numbers go up from class to class: looking for one relies on it. */
static void order(void **state)
{
	const size_t header = 48, record = 232;
	uint8_t *buf, tmp[232];
	struct pz_error err = { "" };
	struct sim sim, to;
	size_t len;

	(void)state;
	open_busy(&sim);
	assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
	sim_open(&to, 128, 0);
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), 0);
	memcpy(tmp, buf + header, record);
	memcpy(buf + header, buf + header + record, record);
	memcpy(buf + header + record, tmp, record);
	assert_int_equal(pz_pool_load(to.pool, buf, len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "class 'a' has the number 1"));
	pz_pool_check(to.pool);
	free(buf);
	sim_close(&to);
	sim_close(&sim);
}

static int guarded_load(struct sim *to, const uint8_t *buf, size_t len)
{
	struct pz_error err = { "" };
	int rc = pz_pool_load(to->pool, buf, len, &err);

	pz_pool_check(to->pool);
	if (rc)
		assert_true(*err.msg);
	return rc;
}

/* Each byte replaced: refused with a reason, or a pool that keeps the rules. */
static void flipped(void **state)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff, 0x10 };
	unsigned int refused = 0, taken = 0;
	struct sim sim, to;
	uint8_t *buf;
	size_t len, i, f;

	(void)state;
	open_busy(&sim);
	assert_int_equal(pz_pool_save(sim.pool, &buf, &len), 0);
	for (i = 0; i < len; i++) {
		for (f = 0; f < sizeof(flips); f++) {
			sim_open(&to, 128, 0);
			buf[i] ^= flips[f];
			if (guarded_load(&to, buf, len))
				refused++;
			else if (i < 12 || (i >= 16 && i < 24) || (i >= 36 && i < 48))
				fail_msg("magic, version, sizes or counts: byte %zu ^ %#x", i, flips[f]);
			else
				taken++;
			buf[i] ^= flips[f];
			sim_close(&to);
		}
	}
	print_message("# %zu bytes: %u changes refused, %u harmless\n", len, refused, taken);
	/* Several at once. */
	for (i = 0; i < 20000; i++) {
		uint8_t *bad = malloc(len);
		uint32_t n = 1 + sim_random(&sim, 6);

		memcpy(bad, buf, len);
		while (n--)
			bad[sim_random(&sim, len)] = sim_random(&sim, 256);
		sim_open(&to, 128, 0);
		guarded_load(&to, bad, len);
		sim_close(&to);
		free(bad);
	}
	free(buf);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(other_pool),
		cmocka_unit_test(two_owners), cmocka_unit_test(order), cmocka_unit_test(flipped),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
