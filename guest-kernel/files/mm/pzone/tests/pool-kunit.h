/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pseudo-zones: KUnit tests of pool.c: layouts, runs of blocks, lists of extents, and
 * what a transport may offer. The transport here is a fake; no memory is touched.
 */
#ifdef CONFIG_PZONE_KUNIT_TEST

#ifndef _MM_PZONE_TESTS_POOL_H
#define _MM_PZONE_TESTS_POOL_H

#include <kunit/test.h>

#define TEST_BLOCKS	16

static struct pzone_pool *test_pool(struct kunit *test)
{
	struct pzone_pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pool);
	INIT_LIST_HEAD(&pool->classes);
	strscpy(pool->name, "kunit");
	pool->nr_blocks = TEST_BLOCKS;
	pool->block_size = SZ_2M;
	pool->size = TEST_BLOCKS * pool->block_size;
	pool->owner = kunit_kmalloc_array(test, TEST_BLOCKS, sizeof(u32), GFP_KERNEL);
	pool->wanted = kunit_kmalloc_array(test, TEST_BLOCKS, sizeof(u32), GFP_KERNEL);
	pool->state = kunit_kzalloc(test, TEST_BLOCKS, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pool->owner);
	KUNIT_ASSERT_NOT_NULL(test, pool->wanted);
	KUNIT_ASSERT_NOT_NULL(test, pool->state);
	memset32(pool->owner, PZONE_NO_CLASS, TEST_BLOCKS);
	memset32(pool->wanted, PZONE_NO_CLASS, TEST_BLOCKS);
	return pool;
}

static struct pzone_class *test_class(struct kunit *test, struct pzone_pool *pool, u32 id)
{
	struct pzone_class *class = kunit_kzalloc(test, sizeof(*class), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, class);
	class->pool = pool;
	class->id = id;
	strscpy(class->name, "kunit-class");
	list_add_tail(&class->list, &pool->classes);
	return class;
}

static void set_blocks(struct pzone_pool *pool, u32 first, u32 nr, u8 state, u32 owner, u32 wanted)
{
	memset(pool->state + first, state, nr);
	memset32(pool->owner + first, owner, nr);
	memset32(pool->wanted + first, wanted, nr);
}

static int try_layout(struct pzone_pool *pool, struct pzone_extent *extents, u32 nr)
{
	struct pzone_layout_class memmap = {
		.id = VIRTIO_PZONE_CLASS_MEMMAP,
		.wanted_blocks = 1,
	};
	const struct pzone_layout layout = {
		.generation = 5,
		.nr_classes = 1,
		.classes = &memmap,
		.nr_extents = nr,
		.extents = extents,
	};

	return apply_layout(pool, &layout);
}

static void layout_good(struct kunit *test)
{
	struct pzone_pool *pool = test_pool(test);
	struct pzone_extent extents[] = {
		{ 7, 4, 2 }, { 9, 0, 4 }, { VIRTIO_PZONE_CLASS_MEMMAP, TEST_BLOCKS - 1, 1 },
	};

	KUNIT_EXPECT_EQ(test, try_layout(pool, extents, ARRAY_SIZE(extents)), 0);
	KUNIT_EXPECT_EQ(test, pool->generation, 5);
	KUNIT_EXPECT_EQ(test, pool->memmap_blocks, 1);
	KUNIT_EXPECT_EQ(test, pool->wanted[0], 9);
	KUNIT_EXPECT_EQ(test, pool->wanted[3], 9);
	KUNIT_EXPECT_EQ(test, pool->wanted[4], 7);
	KUNIT_EXPECT_EQ(test, pool->wanted[5], 7);
	KUNIT_EXPECT_EQ(test, pool->wanted[6], PZONE_NO_CLASS);
	KUNIT_EXPECT_EQ(test, pool->wanted[TEST_BLOCKS - 1], VIRTIO_PZONE_CLASS_MEMMAP);
	/* Without the memory map there is no class yet. */
	KUNIT_EXPECT_TRUE(test, list_empty(&pool->classes));
	/* No extent at all is a layout, too. */
	KUNIT_EXPECT_EQ(test, try_layout(pool, NULL, 0), 0);
	KUNIT_EXPECT_EQ(test, pool->wanted[4], PZONE_NO_CLASS);
}

static void layout_bad(struct kunit *test)
{
	struct pzone_extent bad[][2] = {
		/* empty; behind the end; across it; so long that the sum overflows */
		{ { 7, 0, 1 }, { 7, 1, 0 } },
		{ { 7, 0, 1 }, { 7, TEST_BLOCKS, 1 } },
		{ { 7, 0, 1 }, { 7, TEST_BLOCKS - 1, 2 } },
		{ { 7, 0, 1 }, { 7, 1, U32_MAX } },
		{ { 7, 0, 1 }, { 7, U32_MAX, 1 } },
		/* the same twice; one inside another; two classes' overlap by a block */
		{ { 7, 3, 2 }, { 7, 3, 2 } },
		{ { 7, 2, 8 }, { 9, 4, 1 } },
		{ { 7, 0, 4 }, { 9, 3, 4 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pzone_pool *pool = test_pool(test);

		KUNIT_EXPECT_EQ_MSG(test, try_layout(pool, bad[i], 2), -EIO, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, pool->generation, 0, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, pool->memmap_blocks, 0, "case %u", i);
	}
}

/* A class that the host no longer names goes; one that is dying there stays until it is gone. */
static void layout_classes(struct kunit *test)
{
	struct pzone_pool *pool = test_pool(test);
	struct pzone_class *class = test_class(test, pool, 7);
	struct pzone_layout_class to = {
		.id = 7, .wanted_blocks = 3, .guarantee_blocks = 1, .limit_blocks = 4,
		.reclaim_seq = 2, .reclaim_bytes = SZ_4M, .dying = true,
	};
	struct pzone_extent extent = { 7, 0, 3 };
	struct pzone_layout layout = {
		.generation = 1, .nr_classes = 1, .classes = &to, .nr_extents = 1,
		.extents = &extent,
	};

	set_blocks(pool, 0, 3, PZONE_BLOCK_PARKED, 7, 7);
	KUNIT_EXPECT_EQ(test, apply_layout(pool, &layout), 0);
	KUNIT_EXPECT_TRUE(test, class->dying);
	KUNIT_EXPECT_EQ(test, class->wanted_blocks, 3);
	KUNIT_EXPECT_EQ(test, class->guarantee_blocks, 1);
	KUNIT_EXPECT_EQ(test, class->limit_blocks, 4);
	KUNIT_EXPECT_EQ(test, class->reclaim_bytes, SZ_4M);
	/* It has blocks still: not forgotten, even when the layout has done so. */
	layout.nr_classes = 0;
	layout.nr_extents = 0;
	KUNIT_EXPECT_EQ(test, apply_layout(pool, &layout), 0);
	KUNIT_EXPECT_PTR_EQ(test, find_class_id(pool, 7), class);
}

static void runs(struct kunit *test)
{
	struct pzone_pool *pool = test_pool(test);
	struct run run;
	u32 nr = 0;

	KUNIT_ASSERT_TRUE(test, next_run(pool, 0, &run));
	KUNIT_EXPECT_EQ(test, run.first, 0);
	KUNIT_EXPECT_EQ(test, run.nr, TEST_BLOCKS);
	KUNIT_EXPECT_FALSE(test, next_run(pool, TEST_BLOCKS, &run));

	/* Each of owner, wanted and state ends a run. */
	set_blocks(pool, 0, 4, PZONE_BLOCK_GIVEN, 7, 7);
	set_blocks(pool, 4, 2, PZONE_BLOCK_GIVEN, 7, PZONE_NO_CLASS);
	set_blocks(pool, 6, 2, PZONE_BLOCK_PARKED, 7, PZONE_NO_CLASS);
	set_blocks(pool, 8, 2, PZONE_BLOCK_PARKED, 9, PZONE_NO_CLASS);
	set_blocks(pool, TEST_BLOCKS - 1, 1, PZONE_BLOCK_MEMMAP, 1, 1);
	for_each_run(pool, &run) {
		static const u32 first[] = { 0, 4, 6, 8, 10, TEST_BLOCKS - 1 };

		KUNIT_ASSERT_LT(test, nr, ARRAY_SIZE(first));
		KUNIT_EXPECT_EQ(test, run.first, first[nr]);
		nr++;
	}
	KUNIT_EXPECT_EQ(test, nr, 6);
	KUNIT_EXPECT_EQ(test, run.first + run.nr, TEST_BLOCKS);
	/* From the middle of a run on it is the rest of it. */
	KUNIT_ASSERT_TRUE(test, next_run(pool, 2, &run));
	KUNIT_EXPECT_EQ(test, run.nr, 2);
}

static void judging(struct kunit *test)
{
	struct pzone_pool *pool = test_pool(test);
	struct pzone_class *class = test_class(test, pool, 7);

	class->wanted_blocks = 2;
	class->given_blocks = 2;
	set_blocks(pool, 0, 2, PZONE_BLOCK_GIVEN, 7, 7);
	KUNIT_EXPECT_TRUE(test, judge(pool, VIRTIO_PZONE_STATE_PARTIAL));
	KUNIT_EXPECT_EQ(test, class->state, VIRTIO_PZONE_STATE_SETTLED);
	KUNIT_EXPECT_FALSE(test, has_parked(pool, class));
	/* Parked beyond its size is as it should be; within it, not. */
	set_blocks(pool, 2, 1, PZONE_BLOCK_PARKED, 7, 7);
	KUNIT_EXPECT_TRUE(test, has_parked(pool, class));
	KUNIT_EXPECT_TRUE(test, judge(pool, VIRTIO_PZONE_STATE_PARTIAL));
	class->wanted_blocks = 3;
	KUNIT_EXPECT_FALSE(test, judge(pool, VIRTIO_PZONE_STATE_PARTIAL));
	KUNIT_EXPECT_EQ(test, class->state, VIRTIO_PZONE_STATE_PARTIAL);
	/* Not plugged yet, and not taken yet. */
	set_blocks(pool, 2, 1, PZONE_BLOCK_UNPLUGGED, PZONE_NO_CLASS, 7);
	KUNIT_EXPECT_FALSE(test, judge(pool, VIRTIO_PZONE_STATE_CONVERGING));
	KUNIT_EXPECT_EQ(test, class->state, VIRTIO_PZONE_STATE_CONVERGING);
	set_blocks(pool, 2, 1, PZONE_BLOCK_GIVEN, 7, PZONE_NO_CLASS);
	KUNIT_EXPECT_FALSE(test, judge(pool, VIRTIO_PZONE_STATE_PARTIAL));
	/* A block of a class that nobody knows is nobody's fault. */
	set_blocks(pool, 2, 1, PZONE_BLOCK_UNPLUGGED, PZONE_NO_CLASS, 8);
	class->wanted_blocks = 2;
	KUNIT_EXPECT_TRUE(test, judge(pool, VIRTIO_PZONE_STATE_PARTIAL));
}

/* A host that answers with what the test says. */
struct fake_host {
	unsigned int calls, last_nr;
	u32 status[2];
	int rc;
};

static int fake_plug(void *priv, u32 generation, const struct pzone_extent *extents,
		     unsigned int nr, u32 *status)
{
	struct fake_host *host = priv;

	host->calls++;
	host->last_nr = nr;
	memcpy(status, host->status, nr * sizeof(*status));
	return host->rc;
}

static const struct pzone_transport fake_transport = {
	.plug = fake_plug,
	.unplug = fake_plug,
};

static void batches(struct kunit *test)
{
	struct fake_host host = { .status = { VIRTIO_PZONE_OK, VIRTIO_PZONE_NOMEM } };
	struct pzone_pool *pool = test_pool(test);
	struct batch batch;

	pool->transport = &fake_transport;
	pool->priv = &host;
	pool->max_entries = 2;
	KUNIT_ASSERT_EQ(test, batch_init(&batch, pool, true), 0);
	/* Nothing to send is not sent; a full list goes by itself. */
	KUNIT_EXPECT_EQ(test, batch_send(&batch), 0);
	KUNIT_EXPECT_EQ(test, host.calls, 0);
	KUNIT_EXPECT_EQ(test, batch_add(&batch, 7, 0, 3), 0);
	KUNIT_EXPECT_EQ(test, host.calls, 0);
	KUNIT_EXPECT_EQ(test, batch_add(&batch, 9, 8, 4), 0);
	KUNIT_EXPECT_EQ(test, host.calls, 1);
	/* What the host had no memory for stays unplugged. */
	KUNIT_EXPECT_TRUE(test, batch.again);
	KUNIT_EXPECT_EQ(test, pool->plugged_blocks, 3);
	KUNIT_EXPECT_EQ(test, pool->state[2], PZONE_BLOCK_PARKED);
	KUNIT_EXPECT_EQ(test, pool->owner[2], 7);
	KUNIT_EXPECT_EQ(test, pool->state[8], PZONE_BLOCK_UNPLUGGED);
	KUNIT_EXPECT_EQ(test, pool->owner[8], PZONE_NO_CLASS);
	/* A host that can't now has changed nothing. */
	host.rc = -EBUSY;
	KUNIT_EXPECT_EQ(test, batch_add(&batch, 9, 8, 4), 0);
	KUNIT_EXPECT_EQ(test, batch_send(&batch), -EBUSY);
	KUNIT_EXPECT_EQ(test, host.last_nr, 1);
	KUNIT_EXPECT_EQ(test, pool->plugged_blocks, 3);
	batch_done(&batch);

	host.rc = 0;
	KUNIT_ASSERT_EQ(test, batch_init(&batch, pool, false), 0);
	KUNIT_EXPECT_EQ(test, batch_add(&batch, 7, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, batch_send(&batch), 0);
	KUNIT_EXPECT_EQ(test, pool->plugged_blocks, 1);
	KUNIT_EXPECT_EQ(test, pool->state[1], PZONE_BLOCK_UNPLUGGED);
	KUNIT_EXPECT_EQ(test, pool->owner[1], PZONE_NO_CLASS);
	KUNIT_EXPECT_EQ(test, pool->state[2], PZONE_BLOCK_PARKED);
	KUNIT_EXPECT_FALSE(test, batch.again);
	batch_done(&batch);
}

/* A pool that can't be used is refused before anything is done for it. */
static void bad_pools(struct kunit *test)
{
	const u64 section = (u64)PAGES_PER_SECTION << PAGE_SHIFT, addr = 64 * section;
	const struct { struct pzone_pool_params params; int rc; } bad[] = {
		{ { "a", addr + SZ_2M, section, SZ_2M, 0, 8 }, -EINVAL },
		{ { "b", addr, section + SZ_2M, SZ_2M, 0, 8 }, -EINVAL },
		{ { "c", addr, section, 3 * SZ_2M, 0, 8 }, -EINVAL },
		{ { "d", addr, section, PAGE_SIZE, 0, 8 }, -EINVAL },
		{ { "e", addr, section, 2 * section, 0, 8 }, -EINVAL },
		{ { "f", addr, section, SZ_2M, 0, 0 }, -EINVAL },
		/* more than the machine can map; and nothing */
		{ { "g", U64_MAX - section + 1, section, SZ_2M, 0, 8 }, -E2BIG },
		{ { "h", addr, 0, SZ_2M, 0, 8 }, -E2BIG },
	};
	unsigned int i;

	if (!pzone_available())
		kunit_skip(test, "booted without node ids for classes");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    PTR_ERR_OR_ZERO(pzone_pool_register(&bad[i].params,
									&fake_transport, NULL)),
				    bad[i].rc, "pool %s", bad[i].params.name);
}

static struct kunit_case pool_cases[] = {
	KUNIT_CASE(layout_good), KUNIT_CASE(layout_bad), KUNIT_CASE(layout_classes),
	KUNIT_CASE(runs), KUNIT_CASE(judging), KUNIT_CASE(batches), KUNIT_CASE(bad_pools),
	{ }
};

static struct kunit_suite pool_suite = { .name = "pzone-pool", .test_cases = pool_cases };

kunit_test_suite(pool_suite);

#endif /* _MM_PZONE_TESTS_POOL_H */
#endif /* CONFIG_PZONE_KUNIT_TEST */
