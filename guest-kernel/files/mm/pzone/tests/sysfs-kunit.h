/* SPDX-License-Identifier: GPL-2.0 */
/* Pseudo-zones: KUnit tests of sysfs.c: what may be written, and lists that are long. */
#ifdef CONFIG_PZONE_KUNIT_TEST

#ifndef _MM_PZONE_TESTS_SYSFS_H
#define _MM_PZONE_TESTS_SYSFS_H

#include <kunit/test.h>

/* Every other one of these is more lines of "extents" than a page holds. */
#define TEST_BLOCKS	1024

struct sysfs_test {
	struct pzone_pool pool;
	struct pzone_class class;
	struct pzone_node node;
	u32 owner[TEST_BLOCKS];
	u8 state[TEST_BLOCKS];
	char *page;
};

static int sysfs_test_init(struct kunit *test)
{
	struct sysfs_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->page = (char *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->page);
	t->pool.addr = SZ_1G;
	t->pool.block_size = SZ_2M;
	t->pool.nr_blocks = TEST_BLOCKS;
	t->pool.owner = t->owner;
	t->pool.state = t->state;
	t->class.pool = &t->pool;
	t->class.id = 7;
	test->priv = t;
	return 0;
}

static void sysfs_test_exit(struct kunit *test)
{
	struct sysfs_test *t = test->priv;

	if (t)
		free_page((unsigned long)t->page);
}

static void give_block(struct sysfs_test *t, u32 block, u32 class)
{
	t->owner[block] = class;
	t->state[block] = PZONE_BLOCK_GIVEN;
}

static void extents(struct kunit *test)
{
	struct sysfs_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, class_extents_show(&t->class, t->page), 0);
	/* Two in a row, one of another class, one parked, and the last one. */
	give_block(t, 0, 7);
	give_block(t, 1, 7);
	give_block(t, 2, 8);
	t->owner[3] = 7;
	t->state[3] = PZONE_BLOCK_PARKED;
	give_block(t, TEST_BLOCKS - 1, 7);
	class_extents_show(&t->class, t->page);
	KUNIT_EXPECT_STREQ(test, t->page, "0x40000000 4194304\n0xbfe00000 2097152\n");
}

/* More than a page holds: whole lines only, in order. */
static void many_extents(struct kunit *test)
{
	struct sysfs_test *t = test->priv;
	ssize_t len;
	u32 i;

	for (i = 0; i < TEST_BLOCKS; i += 2)
		give_block(t, i, 7);
	len = class_extents_show(&t->class, t->page);
	KUNIT_EXPECT_GT(test, len, PAGE_SIZE / 2);
	KUNIT_EXPECT_LT(test, len, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, t->page[len - 1], '\n');
	KUNIT_EXPECT_NOT_NULL(test, strstr(t->page, "0x40000000 2097152\n0x40400000 2097152\n"));
}

static void states(struct kunit *test)
{
	struct sysfs_test *t = test->priv;

	KUNIT_EXPECT_STREQ(test, class_state(&t->class), "no-node");
	t->class.node = &t->node;
	KUNIT_EXPECT_STREQ(test, class_state(&t->class), "settled");
	t->class.wanted_blocks = 1;
	KUNIT_EXPECT_STREQ(test, class_state(&t->class), "converging");
	t->class.state = VIRTIO_PZONE_STATE_PARTIAL;
	KUNIT_EXPECT_STREQ(test, class_state(&t->class), "partial");
	t->class.dying = true;
	KUNIT_EXPECT_STREQ(test, class_state(&t->class), "destroying");
}

static void reclaim(struct kunit *test)
{
	static const char * const bad[] = { "", "\n", "M", "x", "1x", "4M 4M", "-" };
	struct sysfs_test *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, class_reclaim_store(&t->class, bad[i], strlen(bad[i])),
				    -EINVAL, "'%s'", bad[i]);
	/* Nothing is there to be reclaimed; all of nothing is what was asked for. */
	KUNIT_EXPECT_EQ(test, class_reclaim_store(&t->class, "4M\n", 3), -EAGAIN);
	KUNIT_EXPECT_EQ(test, class_reclaim_store(&t->class, "0\n", 2), 2);
}

static void move_memory(struct kunit *test)
{
	struct sysfs_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, class_move_memory_store(&t->class, "maybe", 5), -EINVAL);
	KUNIT_EXPECT_EQ(test, class_move_memory_store(&t->class, "1", 1), -ENODEV);
	t->class.node = &t->node;
	KUNIT_EXPECT_EQ(test, class_move_memory_store(&t->class, "1\n", 2), 2);
	KUNIT_EXPECT_TRUE(test, t->node.move_memory);
	KUNIT_EXPECT_EQ(test, class_move_memory_store(&t->class, "0\n", 2), 2);
	KUNIT_EXPECT_FALSE(test, t->node.move_memory);
}

static void oom_wait_ms(struct kunit *test)
{
	const unsigned int saved = pzone_oom_wait_ms;

	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "", 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "-1", 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "100ms", 5), -EINVAL);
	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "60001", 5), -ERANGE);
	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "4294967296", 10), -ERANGE);
	KUNIT_EXPECT_EQ(test, pzone_oom_wait_ms, saved);
	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "60000\n", 6), 6);
	KUNIT_EXPECT_EQ(test, pzone_oom_wait_ms, 60000);
	KUNIT_EXPECT_EQ(test, oom_wait_ms_store(NULL, NULL, "0\n", 2), 2);
	KUNIT_EXPECT_EQ(test, pzone_oom_wait_ms, 0);
	pzone_oom_wait_ms = saved;
}

static struct kunit_case sysfs_cases[] = {
	KUNIT_CASE(extents), KUNIT_CASE(many_extents), KUNIT_CASE(states), KUNIT_CASE(reclaim),
	KUNIT_CASE(move_memory), KUNIT_CASE(oom_wait_ms),
	{ }
};

static struct kunit_suite sysfs_suite = {
	.name = "pzone-sysfs", .init = sysfs_test_init, .exit = sysfs_test_exit,
	.test_cases = sysfs_cases,
};

kunit_test_suite(sysfs_suite);

#endif /* _MM_PZONE_TESTS_SYSFS_H */
#endif /* CONFIG_PZONE_KUNIT_TEST */
