/* SPDX-License-Identifier: GPL-2.0 */
/* Pseudo-zones: KUnit tests of oom.c: how long an OOM waits, and what the host is told. */
#ifdef CONFIG_PZONE_KUNIT_TEST

#ifndef _MM_PZONE_TESTS_OOM_H
#define _MM_PZONE_TESTS_OOM_H

#include <kunit/test.h>

static unsigned int saved_wait_ms;

static int oom_test_init(struct kunit *test)
{
	struct pzone_node *node = kunit_kzalloc(test, sizeof(*node), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, node);
	node->nid = NUMA_NO_NODE;
	spin_lock_init(&node->oom_lock);
	init_waitqueue_head(&node->oom_wait);
	pzone_oom_reset(node);
	test->priv = node;
	saved_wait_ms = pzone_oom_wait_ms;
	/* So long that no machine is too slow for what is checked meanwhile. */
	pzone_oom_wait_ms = 1000 * MSEC_PER_SEC;
	return 0;
}

static void oom_test_exit(struct kunit *test)
{
	pzone_oom_wait_ms = saved_wait_ms;
}

static u64 events(const struct pzone_node *node)
{
	return atomic64_read(&node->oom_events);
}

/* All that run into one OOM wait for the same end, and the host hears of it once. */
static void one_episode(struct kunit *test)
{
	struct pzone_node *node = test->priv;
	const long all = msecs_to_jiffies(pzone_oom_wait_ms);
	long first = wait_budget(node), second = wait_budget(node);

	KUNIT_EXPECT_GT(test, first, 0L);
	KUNIT_EXPECT_LE(test, first, all);
	KUNIT_EXPECT_LE(test, second, first);
	KUNIT_EXPECT_EQ(test, events(node), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&node->oom_told), 1);
}

/* After a wait in vain there is none for a while, and then a new one. */
static void a_pause(struct kunit *test)
{
	struct pzone_node *node = test->priv;

	wait_budget(node);
	node->oom_until = jiffies - 1;
	node->oom_again = jiffies + 1000 * HZ;
	KUNIT_EXPECT_LE(test, wait_budget(node), 0L);
	KUNIT_EXPECT_FALSE(test, node->oom_waiting);
	KUNIT_EXPECT_LE(test, wait_budget(node), 0L);
	KUNIT_EXPECT_EQ(test, events(node), 1);
	node->oom_again = jiffies;
	KUNIT_EXPECT_GT(test, wait_budget(node), 0L);
	KUNIT_EXPECT_EQ(test, events(node), 2);
}

/* Whoever waited and got memory starts anew next time. */
static void growing_ends_it(struct kunit *test)
{
	struct pzone_node *node = test->priv;
	const int grown = atomic_read(&node->grown);

	wait_budget(node);
	pzone_oom_grown(node);
	KUNIT_EXPECT_EQ(test, atomic_read(&node->grown), grown + 1);
	KUNIT_EXPECT_FALSE(test, node->oom_waiting);
	KUNIT_EXPECT_GT(test, wait_budget(node), 0L);
	KUNIT_EXPECT_EQ(test, events(node), 2);
}

/* oom_wait_ms 0: no waiting, but the host hears of it. */
static void no_wait(struct kunit *test)
{
	struct pzone_node *node = test->priv;

	pzone_oom_wait_ms = 0;
	KUNIT_EXPECT_LE(test, wait_budget(node), 0L);
	KUNIT_EXPECT_EQ(test, events(node), 1);
	KUNIT_EXPECT_FALSE(test, node->oom_waiting);
}

/* What the budget leaves, a class that is gone does not use. */
static void nobody_waits_for_what_is_gone(struct kunit *test)
{
	struct pzone_node *node = test->priv;

	spin_lock_init(&node->pressure_lock);
	KUNIT_ASSERT_FALSE(test, node->live);
	KUNIT_EXPECT_TRUE(test, wait_for_host(node, GFP_HIGHUSER_MOVABLE, 1000 * HZ));
}

/* Nor a task for a class that is not its own; but for a page it does. */
static void nobody_waits_for_what_is_not_his(struct kunit *test)
{
	struct pzone_node *node = test->priv;
	unsigned int acting;

	node->nid = 0;	/* NUMA_NO_NODE is that of a "shared" that is not there */
	node->live = true;
	KUNIT_EXPECT_NOT_NULL(test, new_route(node, GFP_HIGHUSER_MOVABLE));
	acting = pzone_act(PZONE_ACT_PAGE);
	KUNIT_EXPECT_NULL(test, new_route(node, GFP_HIGHUSER_MOVABLE));
	node->live = false;
	KUNIT_EXPECT_NOT_NULL(test, new_route(node, GFP_HIGHUSER_MOVABLE));
	pzone_act_end(acting);
}

static struct kunit_case oom_cases[] = {
	KUNIT_CASE(one_episode), KUNIT_CASE(a_pause), KUNIT_CASE(growing_ends_it),
	KUNIT_CASE(no_wait), KUNIT_CASE(nobody_waits_for_what_is_gone),
	KUNIT_CASE(nobody_waits_for_what_is_not_his),
	{ }
};

static struct kunit_suite oom_suite = {
	.name = "pzone-oom", .init = oom_test_init, .exit = oom_test_exit,
	.test_cases = oom_cases,
};

kunit_test_suite(oom_suite);

#endif /* _MM_PZONE_TESTS_OOM_H */
#endif /* CONFIG_PZONE_KUNIT_TEST */
