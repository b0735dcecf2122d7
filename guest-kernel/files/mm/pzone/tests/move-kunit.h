/* SPDX-License-Identifier: GPL-2.0 */
/* Pseudo-zones: KUnit tests of move.c: moves that wait. */
#ifdef CONFIG_PZONE_KUNIT_TEST

#ifndef _MM_PZONE_TESTS_MOVE_H
#define _MM_PZONE_TESTS_MOVE_H

#include <kunit/test.h>
#include <kunit/test-bug.h>

/* The tasks are none: nothing is done with them here. */
static struct move *new_move(struct kunit *test, int task, int from, int to)
{
	struct move *move = kunit_kzalloc(test, sizeof(*move), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, move);
	*move = (struct move) {
		.task = ERR_PTR(-task), .from = nodemask_of_node(from), .to = to
	};
	return move;
}

static void add(struct move *move)
{
	guard(spinlock)(&move_lock);
	KUNIT_EXPECT_NULL(kunit_get_current_test(), find_move(move->task));
	add_move(move);
}

static void turn(struct move *move, int from, int to)
{
	const nodemask_t mask = nodemask_of_node(from);

	guard(spinlock)(&move_lock);
	KUNIT_EXPECT_PTR_EQ(kunit_get_current_test(), find_move(move->task), move);
	redirect(move, &mask, to, false);
}

/* @move is next, and goes from these two node ids. */
static void begins(struct kunit *test, const struct move *move, int from, int also, int to)
{
	nodemask_t want = nodemask_of_node(from);
	struct move now = { .to = NUMA_NO_NODE };

	node_set(also, want);
	KUNIT_EXPECT_PTR_EQ(test, begin_move(&now), move);
	KUNIT_EXPECT_TRUE(test, nodes_equal(now.from, want));
	KUNIT_EXPECT_EQ(test, now.to, to);
	KUNIT_EXPECT_FALSE(test, now.off);
}

static void nothing_waits(struct kunit *test)
{
	struct move now;

	KUNIT_EXPECT_PTR_EQ(test, begin_move(&now), NULL);
	KUNIT_EXPECT_TRUE(test, hash_empty(moves));
}

/* Tasks are served in the order they came, also when one changes its class again. */
static void order(struct kunit *test)
{
	struct move *a = new_move(test, 1, 1, 2), *b = new_move(test, 2, 1, 2);

	add(a);
	add(b);
	turn(a, 2, 3);
	begins(test, a, 1, 2, 3);
	KUNIT_EXPECT_TRUE(test, end_move(a));
	begins(test, b, 1, 1, 2);
	KUNIT_EXPECT_TRUE(test, end_move(b));
	nothing_waits(test);
}

/* From class 1 over 2 to 3: what is in 1 or 2 goes to 3. Back to 1: what is in 2 or 3. */
static void joined(struct kunit *test)
{
	struct move *move = new_move(test, 1, 1, 2);

	add(move);
	turn(move, 2, 3);
	turn(move, 3, 1);
	begins(test, move, 2, 3, 1);
	KUNIT_EXPECT_TRUE(test, end_move(move));
	nothing_waits(test);
}

/* While it is at work: it is given up, and waits again with what it had not brought. */
static void redirected(struct kunit *test)
{
	struct move *move = new_move(test, 1, 1, 2), *other = new_move(test, 2, 3, 1);
	struct mm_struct *mm = kunit_kzalloc(test, sizeof(*mm), GFP_KERNEL);
	struct pzone_node node = { .live = true };
	const struct running run = { .move = move, .mm = mm, .node = &node };

	KUNIT_ASSERT_NOT_NULL(test, mm);
	atomic_set(&mm->mm_users, 2);
	add(move);
	begins(test, move, 1, 1, 2);
	KUNIT_EXPECT_FALSE(test, given_up(&run));
	add(other);
	turn(move, 2, 3);
	KUNIT_EXPECT_TRUE(test, given_up(&run));
	KUNIT_EXPECT_FALSE(test, end_move(move));
	begins(test, other, 3, 3, 1);
	KUNIT_EXPECT_TRUE(test, end_move(other));
	begins(test, move, 1, 2, 3);
	KUNIT_EXPECT_FALSE(test, given_up(&run));
	/* There and back is not where it was. */
	turn(move, 3, 2);
	turn(move, 2, 3);
	KUNIT_EXPECT_TRUE(test, given_up(&run));
	KUNIT_EXPECT_FALSE(test, end_move(move));
	begins(test, move, 1, 2, 3);
	/* The class is gone. */
	node.live = false;
	KUNIT_EXPECT_TRUE(test, given_up(&run));
	node.live = true;
	/* The task has ended. */
	atomic_set(&mm->mm_users, 1);
	KUNIT_EXPECT_TRUE(test, given_up(&run));
	KUNIT_EXPECT_TRUE(test, end_move(move));
	nothing_waits(test);
}

/* By way of a class that wants no memory to come: nothing does while it is there. */
static void off(struct kunit *test)
{
	struct move *move = new_move(test, 1, 1, 2);
	const nodemask_t mask = nodemask_of_node(2);
	struct move now = {};

	add(move);
	spin_lock(&move_lock);
	redirect(move, &mask, 3, true);
	spin_unlock(&move_lock);
	KUNIT_EXPECT_PTR_EQ(test, begin_move(&now), move);
	KUNIT_EXPECT_TRUE(test, now.off);
	turn(move, 3, 2);
	KUNIT_EXPECT_FALSE(test, end_move(move));
	begins(test, move, 1, 3, 2);
	KUNIT_EXPECT_TRUE(test, end_move(move));
	nothing_waits(test);
}

static struct kunit_case move_cases[] = {
	KUNIT_CASE(order), KUNIT_CASE(joined), KUNIT_CASE(redirected), KUNIT_CASE(off),
	{ }
};

static struct kunit_suite move_suite = {
	.name = "pzone-move", .test_cases = move_cases,
};

kunit_test_suite(move_suite);

#endif /* _MM_PZONE_TESTS_MOVE_H */
#endif /* CONFIG_PZONE_KUNIT_TEST */
