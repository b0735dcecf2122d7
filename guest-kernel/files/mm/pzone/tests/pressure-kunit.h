/* SPDX-License-Identifier: GPL-2.0 */
/* Pseudo-zones: KUnit tests of pressure.c: when stalls are pressure. */
#ifdef CONFIG_PZONE_KUNIT_TEST

#ifndef _MM_PZONE_TESTS_PRESSURE_H
#define _MM_PZONE_TESTS_PRESSURE_H

#include <kunit/test.h>

static struct pzone_node *test_node(struct kunit *test)
{
	struct pzone_node *node = kunit_kzalloc(test, sizeof(*node), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, node);
	spin_lock_init(&node->pressure_lock);
	node->window_end = jiffies;
	node->pressure_again = jiffies;
	return node;
}

/* The window that is open stays so for as long as the test needs. */
static void hold_window(struct pzone_node *node)
{
	node->window_end = jiffies + 1000 * HZ;
}

static void stalls_add_up(struct kunit *test)
{
	struct pzone_node *node = test_node(test);

	KUNIT_EXPECT_FALSE(test, pressure(node, PRESSURE_US / 2));
	hold_window(node);
	KUNIT_EXPECT_FALSE(test, pressure(node, PRESSURE_US / 2 - 1));
	KUNIT_EXPECT_TRUE(test, pressure(node, 1));
	/* Said once; */
	node->pressure_again = jiffies + 1000 * HZ;
	KUNIT_EXPECT_FALSE(test, pressure(node, PRESSURE_US));
	/* and once more when it is time. */
	node->pressure_again = jiffies;
	KUNIT_EXPECT_TRUE(test, pressure(node, 0));
}

static void a_window_forgets(struct kunit *test)
{
	struct pzone_node *node = test_node(test);

	KUNIT_EXPECT_FALSE(test, pressure(node, PRESSURE_US - 1));
	node->window_end = jiffies;
	KUNIT_EXPECT_FALSE(test, pressure(node, PRESSURE_US - 1));
	KUNIT_EXPECT_EQ(test, node->window_us, PRESSURE_US - 1);
	KUNIT_EXPECT_TRUE(test, time_after(node->window_end, jiffies - HZ));
}

/* One stall that is long enough is pressure by itself. */
static void a_long_stall(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, pressure(test_node(test), PRESSURE_US));
}

static struct kunit_case pressure_cases[] = {
	KUNIT_CASE(stalls_add_up), KUNIT_CASE(a_window_forgets), KUNIT_CASE(a_long_stall),
	{ }
};

static struct kunit_suite pressure_suite = {
	.name = "pzone-pressure", .test_cases = pressure_cases,
};

kunit_test_suite(pressure_suite);

#endif /* _MM_PZONE_TESTS_PRESSURE_H */
#endif /* CONFIG_PZONE_KUNIT_TEST */
