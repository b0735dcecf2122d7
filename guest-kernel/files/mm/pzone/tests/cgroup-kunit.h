/* SPDX-License-Identifier: GPL-2.0 */
/* Pseudo-zones: KUnit tests of cgroup.c: names that a class may have. */
#ifdef CONFIG_PZONE_KUNIT_TEST

#ifndef _MM_PZONE_TESTS_CGROUP_H
#define _MM_PZONE_TESTS_CGROUP_H

#include <kunit/test.h>

static void names(struct kunit *test)
{
	static const char * const good[] = { "a", "0", "db", "db-1.x_y", "none" };
	static const char * const bad[] = { "", "-a", ".a", "_a", "Db", "d b", "d/b", "db\n",
					    "\xc3\xa4", "shared", "memmap" };
	char name[PZONE_NAME_LEN + 1] = "";
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		KUNIT_EXPECT_TRUE_MSG(test, valid_name(good[i]), "'%s'", good[i]);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_FALSE_MSG(test, valid_name(bad[i]), "'%s'", bad[i]);
	memset(name, 'x', VIRTIO_PZONE_NAME_MAX);
	KUNIT_EXPECT_TRUE(test, valid_name(name));
	name[VIRTIO_PZONE_NAME_MAX] = 'x';
	KUNIT_EXPECT_FALSE(test, valid_name(name));
}

/* The nearest setting counts. A class that is not there is nobody's. */
static void inheritance(struct kunit *test)
{
	struct pzone_css top = {}, child = { .css.parent = &top.css };
	const char *effective;

	mutex_lock(&cgroup_name_mutex);
	KUNIT_EXPECT_STREQ(test, nearest_name(&child), "none");
	strscpy(top.name, "kunit-top");
	KUNIT_EXPECT_STREQ(test, nearest_name(&child), "kunit-top");
	strscpy(child.name, "none");
	KUNIT_EXPECT_STREQ(test, nearest_name(&child), "none");
	strscpy(child.name, "kunit-child");
	KUNIT_EXPECT_STREQ(test, nearest_name(&child), "kunit-child");
	KUNIT_EXPECT_EQ(test, effective_nid(&child, &effective), NUMA_NO_NODE);
	KUNIT_EXPECT_STREQ(test, effective, "none");
	mutex_unlock(&cgroup_name_mutex);
}

static struct kunit_case cgroup_cases[] = {
	KUNIT_CASE(names), KUNIT_CASE(inheritance),
	{ }
};

static struct kunit_suite cgroup_suite = {
	.name = "pzone-cgroup", .test_cases = cgroup_cases,
};

kunit_test_suite(cgroup_suite);

#endif /* _MM_PZONE_TESTS_CGROUP_H */
#endif /* CONFIG_PZONE_KUNIT_TEST */
