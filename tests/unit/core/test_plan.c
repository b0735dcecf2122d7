// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_plan.c: where the planner puts classes, in situations drawn by hand. The
 * bound on fragmentation is tested on random ones in test_random.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

/* 128 blocks, the last two memmap's. */
#define AREA	126

static void make(struct sim *sim, const char *name, uint32_t size, uint32_t limit)
{
	struct pz_error err;

	if (sim_create(sim->pool, name, size, 0, limit, NULL, NULL, &err))
		fail_msg("%s", err.msg);
	pz_pool_check(sim->pool);
}

static void resize(struct sim *sim, const char *name, uint32_t size)
{
	struct pz_error err;

	if (pz_class_set(sim->pool, name, size, 0, size, NULL, &err))
		fail_msg("%s", err.msg);
	pz_pool_check(sim->pool);
}

static void settle(struct sim *sim)
{
	unsigned int i;

	for (i = 0; i < 4 && !sim_settled(sim); i++)
		sim_converge(sim, 0);
	assert_true(sim_settled(sim));
}

static struct pz_class_info info_of(const struct sim *sim, const char *name)
{
	struct pz_class_info info;

	assert_int_equal(pz_class_find(sim->pool, name, &info), 0);
	return info;
}

/* The class's wanted extents are exactly these, as first, nr, first, nr, ..., 0, 0 */
static void is_at(const struct sim *sim, const char *name, ...)
{
	struct pz_class_info info = info_of(sim, name);
	struct pz_extent e;
	uint32_t i, first, nr;
	va_list ap;

	va_start(ap, name);
	for (i = 0; i < pz_pool_wanted(sim->pool, i, &e, 1); i++) {
		if (e.class_id != info.id)
			continue;
		first = va_arg(ap, uint32_t);
		nr = va_arg(ap, uint32_t);
		if (e.first != first || e.nr != nr)
			fail_msg("%s has %u+%u, expected %u+%u", name, e.first, e.nr, first, nr);
	}
	first = va_arg(ap, uint32_t);
	nr = va_arg(ap, uint32_t);
	if (first || nr)
		fail_msg("%s lacks %u+%u", name, first, nr);
	va_end(ap);
}

static void best_fit(void **state)
{
	struct pz_error err;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 10, 10);
	make(&sim, "h1", 8, 8);
	make(&sim, "b", 10, 10);
	make(&sim, "h2", 5, 5);
	make(&sim, "c", 10, 10);
	settle(&sim);
	is_at(&sim, "c", 33, 10, 0, 0);
	assert_int_equal(pz_class_destroy(sim.pool, "h1", &err), 0);
	assert_int_equal(pz_class_destroy(sim.pool, "h2", &err), 0);
	settle(&sim);
	make(&sim, "five", 5, 5);
	is_at(&sim, "five", 28, 5, 0, 0);
	make(&sim, "six", 6, 6);
	is_at(&sim, "six", 10, 6, 0, 0);
	make(&sim, "big", 83, 83);
	is_at(&sim, "big", 43, 83, 0, 0);
	sim_close(&sim);
}

static void in_place(void **state)
{
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 10, 10);
	make(&sim, "b", 20, 20);
	make(&sim, "c", 10, 10);
	settle(&sim);
	resize(&sim, "b", 5);		/* [10, 15), and c from 30 on */
	settle(&sim);
	is_at(&sim, "b", 10, 5, 0, 0);
	resize(&sim, "a", 9);
	settle(&sim);
	resize(&sim, "c", 20);		/* behind */
	is_at(&sim, "c", 30, 20, 0, 0);
	settle(&sim);
	resize(&sim, "c", 100);		/* 76 behind, 4 before */
	settle(&sim);
	is_at(&sim, "c", 26, 100, 0, 0);
	resize(&sim, "b", 16);		/* 11 behind, 0 before */
	is_at(&sim, "b", 10, 16, 0, 0);
	settle(&sim);
	resize(&sim, "b", 17);
	is_at(&sim, "b", 9, 17, 0, 0);
	sim_close(&sim);
}

/* Where one extent is not to be had: as few as possible, the largest runs. */
static void few_extents(void **state)
{
	struct pz_error err;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "h1", 10, 10);
	make(&sim, "a", 10, 10);
	make(&sim, "h2", 20, 20);
	make(&sim, "b", 10, 10);
	make(&sim, "h3", 30, 30);
	make(&sim, "c", 46, 46);
	settle(&sim);
	assert_int_equal(pz_class_destroy(sim.pool, "h1", &err), 0);
	assert_int_equal(pz_class_destroy(sim.pool, "h2", &err), 0);
	assert_int_equal(pz_class_destroy(sim.pool, "h3", &err), 0);
	settle(&sim);			/* free: 10 at 0, 20 at 20, 30 at 50 */
	make(&sim, "d", 35, 35);
	is_at(&sim, "d", 0, 5, 50, 30, 0, 0);
	settle(&sim);
	/* d's neighbour first, which costs no extent; then the largest run */
	resize(&sim, "d", 42);
	is_at(&sim, "d", 0, 10, 20, 2, 50, 30, 0, 0);
	settle(&sim);
	/* Shrinks from its smallest extents. */
	resize(&sim, "d", 41);
	is_at(&sim, "d", 0, 10, 20, 1, 50, 30, 0, 0);
	resize(&sim, "d", 35);
	is_at(&sim, "d", 0, 5, 50, 30, 0, 0);
	resize(&sim, "d", 29);
	is_at(&sim, "d", 50, 29, 0, 0);
	sim_close(&sim);
}

/* A gap between two extents of the class is filled before anything else. */
static void bridge(void **state)
{
	struct pz_error err;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 10, 10);
	make(&sim, "b", 10, 10);
	make(&sim, "c", 106, 106);
	settle(&sim);
	resize(&sim, "c", 96);
	settle(&sim);
	is_at(&sim, "c", 20, 96, 0, 0);
	resize(&sim, "a", 15);
	is_at(&sim, "a", 0, 10, 116, 5, 0, 0);
	settle(&sim);
	make(&sim, "d", 4, 4);
	settle(&sim);
	assert_int_equal(pz_class_destroy(sim.pool, "c", &err), 0);
	assert_int_equal(pz_class_destroy(sim.pool, "b", &err), 0);
	settle(&sim);
	resize(&sim, "a", 121);
	is_at(&sim, "a", 0, 121, 0, 0);
	sim_close(&sim);
}

/* Two elastic classes that grow in turns do not cut each other into pieces. */
static void in_turns(void **state)
{
	struct pz_error err;
	struct sim sim;
	uint32_t i;

	(void)state;
	sim_open(&sim, 1024, 1024);
	make(&sim, "a", 10, 500);
	make(&sim, "b", 10, 500);
	settle(&sim);
	for (i = 11; i <= 500; i++) {
		assert_int_equal(pz_class_resize(sim.pool, "a", i, &err), 0);
		assert_int_equal(pz_class_resize(sim.pool, "b", i, &err), 0);
		settle(&sim);
	}
	assert_int_equal(info_of(&sim, "a").extents, 1);
	assert_int_equal(info_of(&sim, "b").extents, 1);
	sim_close(&sim);

	/* Without limits to go by: still only a few. */
	sim_open(&sim, 1024, 1024);
	make(&sim, "a", 10, 10);
	make(&sim, "b", 10, 10);
	settle(&sim);
	for (i = 11; i <= 500; i++) {
		resize(&sim, "a", i);
		resize(&sim, "b", i);
		settle(&sim);
	}
	assert_true(info_of(&sim, "a").extents <= 8);
	assert_true(info_of(&sim, "b").extents <= 8);
	sim_close(&sim);
}

/* Blocks that are still somebody else's are promised only when they are given back. */
static void waits(void **state)
{
	struct pz_error err;
	struct pz_extent e;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 100, 100);
	settle(&sim);
	resize(&sim, "a", 50);
	make(&sim, "b", 60, 60);
	assert_int_equal(info_of(&sim, "b").published, 26);
	e = (struct pz_extent) { info_of(&sim, "a").id, 90, 10 };
	sim_forget_calls(&sim);
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim.layout_changed, 1);
	is_at(&sim, "b", 90, 36, 0, 0);
	settle(&sim);
	is_at(&sim, "b", 66, 60, 0, 0);
	assert_int_equal(info_of(&sim, "b").plugged, 60);
	assert_int_equal(pz_class_destroy(sim.pool, "b", &err), 0);
	sim_close(&sim);
}

/* Never more in the guest's hands than `requested`, though there is free space. */
static void budget(void **state)
{
	struct pz_error err;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 62);
	make(&sim, "a", 60, 60);
	settle(&sim);
	resize(&sim, "a", 20);
	make(&sim, "b", 40, 40);
	assert_int_equal(info_of(&sim, "b").published, 0);
	settle(&sim);
	assert_int_equal(info_of(&sim, "b").plugged, 40);
	assert_int_equal(info_of(&sim, "b").extents, 1);
	sim_close(&sim);

	/* `requested` below what is plugged: the guest has to give back first. */
	sim_open(&sim, 128, 62);
	make(&sim, "a", 40, 40);
	settle(&sim);
	resize(&sim, "a", 10);
	make(&sim, "b", 20, 20);
	assert_int_equal(info_of(&sim, "b").published, 20);
	assert_int_equal(pz_pool_set_requested(sim.pool, 40, &err), 0);
	{
		struct pz_class_info b = info_of(&sim, "b");
		struct pz_extent e, found = { 0 };
		uint32_t i;

		for (i = 0; i < pz_pool_wanted(sim.pool, i, &e, 1); i++)
			if (e.class_id == b.id)
				found = e;
		assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_PLUG, &found, 1),
				 VIRTIO_PZONE_RESP_ACK);
		assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_AGAIN);
	}
	settle(&sim);
	sim_close(&sim);
}

/* Giving up on a shrink gives back exactly what could not go. */
static void give_up(void **state)
{
	struct pz_error err;
	struct pz_extent e[2];
	struct sim sim;
	uint32_t id;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 50, 50);
	make(&sim, "b", 30, 30);
	settle(&sim);
	id = info_of(&sim, "a").id;
	resize(&sim, "a", 10);
	/* Blocks 20..24 and 40 are pinned. */
	e[0] = (struct pz_extent) { id, 10, 10 };
	e[1] = (struct pz_extent) { id, 25, 15 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, e, 2), VIRTIO_PZONE_RESP_ACK);
	e[0] = (struct pz_extent) { id, 41, 9 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(info_of(&sim, "a").plugged, 16);
	resize(&sim, "a", 16);
	assert_true(sim_settled(&sim));
	is_at(&sim, "a", 0, 10, 20, 5, 40, 1, 0, 0);

	/* The same with another class waiting for these very blocks. */
	resize(&sim, "a", 10);
	make(&sim, "c", 86, 86);
	assert_int_equal(info_of(&sim, "c").published, 80);
	assert_int_equal(pz_class_set(sim.pool, "a", 16, 0, 16, NULL, &err), -ENOSPC);
	resize(&sim, "c", 80);
	resize(&sim, "a", 16);
	settle(&sim);
	assert_int_equal(info_of(&sim, "a").plugged, 16);
	is_at(&sim, "a", 0, 10, 20, 5, 40, 1, 0, 0);
	sim_close(&sim);
}

/* What is not plugged may move for nothing; what is plugged never moves. */
static void moves(void **state)
{
	struct pz_error err;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 40, 40);
	make(&sim, "b", 20, 20);
	make(&sim, "c", 30, 30);
	assert_int_equal(pz_class_destroy(sim.pool, "a", &err), 0);
	make(&sim, "d", 70, 70);	/* 40 + 36 are free, in two runs */
	assert_int_equal(info_of(&sim, "d").extents, 1);
	settle(&sim);
	sim_close(&sim);

	sim_open(&sim, 128, 128);
	make(&sim, "a", 40, 40);
	make(&sim, "b", 20, 20);
	make(&sim, "c", 30, 30);
	settle(&sim);
	assert_int_equal(pz_class_destroy(sim.pool, "a", &err), 0);
	settle(&sim);
	make(&sim, "d", 30, 30);
	is_at(&sim, "d", 90, 30, 0, 0);
	/* what d has counts as its own when it moves: 2 + 20 + 30 + 38 */
	assert_int_equal(pz_pool_set_requested(sim.pool, 90, &err), 0);
	resize(&sim, "d", 38);		/* nothing of it is plugged: elsewhere */
	is_at(&sim, "d", 0, 38, 0, 0);
	settle(&sim);
	assert_int_equal(pz_pool_set_requested(sim.pool, 128, &err), 0);
	resize(&sim, "d", 60);
	is_at(&sim, "d", 0, 40, 90, 20, 0, 0);
	is_at(&sim, "b", 40, 20, 0, 0);
	is_at(&sim, "c", 60, 30, 0, 0);
	settle(&sim);
	/* A reset makes all of them one extent. */
	memset(sim.plugged, 0, 128);
	pz_pool_all_unplugged(sim.pool);
	pz_pool_check(sim.pool);
	/* d has outgrown its place once and gets the room there is: 16. */
	is_at(&sim, "d", 0, 60, 0, 0);
	is_at(&sim, "b", 76, 20, 0, 0);
	is_at(&sim, "c", 96, 30, 0, 0);
	settle(&sim);
	sim_close(&sim);
}

static void make_aligned(struct sim *sim, const char *name, uint32_t size, uint32_t align)
{
	const struct pz_class_spec spec = {
		.name = name, .size = size, .limit = size, .align = align
	};
	struct pz_error err;

	if (pz_class_create(sim->pool, &spec, NULL, &err))
		fail_msg("%s", err.msg);
	pz_pool_check(sim->pool);
}

/* An aligned class begins and ends on its alignment, whatever lies beside it. */
static void align(void **state)
{
	struct pz_error err;
	struct pz_extent e;
	struct sim sim;
	uint32_t id;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 3, 3);
	settle(&sim);
	make_aligned(&sim, "huge", 32, 16);
	assert_int_equal(info_of(&sim, "huge").align, 16);
	is_at(&sim, "huge", 16, 32, 0, 0);
	settle(&sim);
	resize(&sim, "a", 5);
	is_at(&sim, "a", 0, 5, 0, 0);
	settle(&sim);
	resize(&sim, "huge", 48);
	is_at(&sim, "huge", 16, 48, 0, 0);
	settle(&sim);
	resize(&sim, "huge", 16);
	is_at(&sim, "huge", 16, 16, 0, 0);
	/* The guest gives back all but one block: giving up takes its whole unit. */
	id = info_of(&sim, "huge").id;
	e = (struct pz_extent) { id, 34, 30 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	e = (struct pz_extent) { id, 32, 1 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(pz_class_set(sim.pool, "huge", 32, 0, 32, NULL, &err), 0);
	is_at(&sim, "huge", 16, 32, 0, 0);
	settle(&sim);
	/* 11 blocks are left before it and 78 behind, 64 of them in whole units. */
	make_aligned(&sim, "more", 80, 16);
	assert_int_equal(info_of(&sim, "more").published, 64);
	settle(&sim);
	/* Nobody is moved for it; it gets its place when one comes free. */
	assert_int_equal(pz_class_destroy(sim.pool, "a", &err), 0);
	settle(&sim);
	assert_int_equal(info_of(&sim, "more").published, 80);
	settle(&sim);
	sim_close(&sim);

	/* With nothing plugged all fit that fit at all, whatever their order. */
	sim_open(&sim, 128, 128);
	make(&sim, "a", 15, 15);
	make_aligned(&sim, "b", 32, 32);
	make(&sim, "c", 15, 15);
	make_aligned(&sim, "d", 64, 64);
	is_at(&sim, "d", 0, 64, 0, 0);
	assert_int_equal(info_of(&sim, "a").extents, 1);
	assert_int_equal(info_of(&sim, "b").extents, 1);
	assert_int_equal(info_of(&sim, "c").extents, 1);
	settle(&sim);
	sim_close(&sim);
}

/* The rest of a unit that the guest has cut through counts in `requested`. */
static void cut_unit(void **state)
{
	struct pz_error err;
	struct pz_extent e;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make_aligned(&sim, "huge", 32, 16);
	make(&sim, "other", 40, 40);
	settle(&sim);
	resize(&sim, "huge", 16);
	e = (struct pz_extent) { info_of(&sim, "huge").id, 17, 15 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	resize(&sim, "other", 20);
	/* 2 + 16 + 1 + 40 are out, 54 may be. */
	assert_int_equal(pz_pool_set_requested(sim.pool, 54, &err), 0);
	resize(&sim, "huge", 32);
	is_at(&sim, "huge", 0, 16, 0, 0);
	/* 39 when the other one has given back: the unit with the stuck block it is. */
	e = (struct pz_extent) { info_of(&sim, "other").id, 52, 20 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	is_at(&sim, "huge", 0, 32, 0, 0);
	settle(&sim);
	sim_close(&sim);
}

static void reset(void **state)
{
	struct virtio_pzone_report r = { .class_id = 1, .free_bytes = 5 };
	struct pz_pool_info before, after;
	struct pz_error err;
	struct sim sim;

	(void)state;
	sim_open(&sim, 128, 128);
	make(&sim, "a", 100, 100);
	make(&sim, "old", 10, 10);
	settle(&sim);
	assert_int_equal(pz_class_destroy(sim.pool, "old", &err), 0);
	resize(&sim, "a", 20);
	make(&sim, "b", 90, 90);
	assert_int_equal(pz_class_reclaim(sim.pool, "a", 4096, &err), 0);
	pz_pool_info(sim.pool, &before);
	assert_int_equal(sim_report(&sim, before.generation, &r, 1), VIRTIO_PZONE_RESP_ACK);
	assert_true(info_of(&sim, "a").report.valid);
	assert_true(info_of(&sim, "b").published < 90);
	memset(sim.plugged, 0, 128);
	pz_pool_all_unplugged(sim.pool);
	pz_pool_check(sim.pool);
	pz_pool_info(sim.pool, &after);
	assert_true(after.generation != before.generation);
	assert_int_equal(after.plugged, 0);
	assert_int_equal(after.guest_generation, 0);
	assert_int_equal(after.nr_classes, 2);
	assert_int_equal(info_of(&sim, "b").published, 90);
	assert_int_equal(info_of(&sim, "b").extents, 1);
	assert_false(info_of(&sim, "a").report.valid);
	assert_int_equal(info_of(&sim, "a").reclaim_bytes, 0);
	assert_int_equal(info_of(&sim, "a").reclaim_seq, 1);
	settle(&sim);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(best_fit), cmocka_unit_test(in_place), cmocka_unit_test(few_extents),
		cmocka_unit_test(bridge), cmocka_unit_test(in_turns), cmocka_unit_test(waits),
		cmocka_unit_test(budget), cmocka_unit_test(give_up), cmocka_unit_test(moves),
		cmocka_unit_test(align), cmocka_unit_test(cut_unit),
		cmocka_unit_test(reset),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("planner", tests, NULL, NULL);
}
