// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: a task that gets another class takes its memory along.
 *
 * Done in the background, a process at a time, by page migration: anonymous memory
 * that only this process maps goes from the zone of the old class (or the ordinary
 * ones) to that of the new. Page cache is of whoever read it and stays, as does what
 * is shared, pinned, or finds no room.
 */
#include <linux/hashtable.h>
#include <linux/mempolicy.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "internal.h"

/*
 * Off: what a task has stays where it is, only new memory is of the new class. The
 * class that it goes to (or comes from, if it goes to none) has a switch, too.
 */
bool pzone_move_memory = true;

/*
 * One for each task that waits, with the task and not its memory: that is free as soon
 * as the task has ended. A task that changes its class again redirects its move.
 */
struct move {
	struct list_head list;		/* empty while it is at work */
	struct hlist_node hash;
	struct task_struct *task;
	nodemask_t from;		/* empty: called off */
	int to;				/* node id; NUMA_NO_NODE: the ordinary nodes */
	bool redirected;		/* since it is at work */
};

static DEFINE_SPINLOCK(move_lock);	/* the two below, and what is in each move */
static LIST_HEAD(waiting);		/* in the order they came */
static DEFINE_HASHTABLE(moves, 8);	/* by task: those that wait, and that at work */

static struct workqueue_struct *move_wq;

/* The move at work, and the memory that it moves; of the worker alone. */
static const struct move *moving;
static struct mm_struct *moving_mm;

static nodemask_t node_mask(int nid)
{
	return nid == NUMA_NO_NODE ? node_states[N_MEMORY] : nodemask_of_node(nid);
}

/* The task has another class, or has ended: what it has need not come here. */
static bool given_up(const struct move *move, const struct mm_struct *mm)
{
	return READ_ONCE(move->redirected) || atomic_read(&mm->mm_users) == 1;
}

/* A task changes its class: does this page come along? */
static bool may_move(struct folio *folio, int *nid)
{
	struct pzone_node *node = pzone_node_of(*nid);
	struct zone *zone;

	/* The end of the migration. A large folio would be split for nothing by this. */
	if (!folio_test_large(folio) && given_up(moving, moving_mm))
		return false;
	/*
	 * Page cache is of whoever read it. Refusing would end the migration of
	 * all that is behind it, so give it another page where it is.
	 */
	if (!folio_test_anon(folio)) {
		*nid = folio_nid(folio);
		return true;
	}
	if (!node)
		return true;
	/* Leave what the class needs to work with, or its next fault is an OOM. */
	zone = pzone_zone(node);
	return READ_ONCE(node->live) &&
	       zone_watermark_ok(zone, folio_order(folio), high_wmark_pages(zone), ZONE_MOVABLE, 0);
}

bool __pzone_may_migrate(struct folio *folio, int *nid, gfp_t gfp)
{
	if (current->pzone_acting == PZONE_ACT_MOVE)
		return may_move(folio, nid);
	if (!node_is_pzone(folio_nid(folio)))
		return true;
	*nid = folio_nid(folio);
	return !(gfp & __GFP_THISNODE);
}

static void count_pending(int nid, int n)
{
	struct pzone_node *node = pzone_node_of(nid);

	if (node)
		atomic_add(n, &node->moves_pending);
}

static struct move *find_move(const struct task_struct *task)
{
	struct move *move;

	lockdep_assert_held(&move_lock);
	hash_for_each_possible(moves, move, hash, (unsigned long)task)
		if (move->task == task)
			return move;
	return NULL;
}

static void add_move(struct move *move)
{
	lockdep_assert_held(&move_lock);
	list_add_tail(&move->list, &waiting);
	hash_add(moves, &move->hash, (unsigned long)move->task);
	count_pending(move->to, 1);
}

/*
 * The task has another class now. What lies in @from is to come there, and what the move
 * has not brought yet; NULL: neither.
 */
static void redirect(struct move *move, const nodemask_t *from, int to)
{
	const nodemask_t there = node_mask(to);

	lockdep_assert_held(&move_lock);
	if (from) {
		nodes_or(move->from, move->from, *from);
		nodes_andnot(move->from, move->from, there);
	} else {
		nodes_clear(move->from);
	}
	count_pending(move->to, -1);
	count_pending(to, 1);
	move->to = to;
	WRITE_ONCE(move->redirected, true);
}

/* The next one to work on, or NULL. @from and @to are what it is now. */
static struct move *begin_move(nodemask_t *from, int *to)
{
	struct move *move;

	guard(spinlock)(&move_lock);
	move = list_first_entry_or_null(&waiting, struct move, list);
	if (!move)
		return NULL;
	list_del_init(&move->list);
	move->redirected = false;
	*from = move->from;
	*to = move->to;
	return move;
}

/* True if that was all: @move is the caller's. Else it waits once more. */
static bool end_move(struct move *move)
{
	guard(spinlock)(&move_lock);
	if (move->redirected) {
		list_add_tail(&move->list, &waiting);
		return false;
	}
	hash_del(&move->hash);
	count_pending(move->to, -1);
	return true;
}

static void move_memory(const struct move *move, const nodemask_t *from, int to)
{
	struct pzone_node *node = pzone_node_of(to);
	struct mm_struct *mm = get_task_mm(move->task);
	const nodemask_t there = node_mask(to);
	unsigned int acting;
	int left;

	if (!mm)
		return;
	moving = move;
	moving_mm = mm;
	acting = pzone_act(PZONE_ACT_MOVE);
	left = do_migrate_pages(mm, from, &there, MPOL_MF_MOVE);
	pzone_act_end(acting);
	if (node && !given_up(move, mm)) {
		atomic64_inc(&node->moves);
		/* An error says that there was no room, not how much stayed. */
		atomic64_add(left < 0 ? 1 : left, &node->move_failed);
	}
	mmput(mm);
}

static void move_work(struct work_struct *work)
{
	struct move *move;
	nodemask_t from;
	int to;

	move = begin_move(&from, &to);
	if (!move)
		return;
	if (!nodes_empty(from))
		move_memory(move, &from, to);
	if (end_move(move)) {
		put_task_struct(move->task);
		kfree(move);
	}
	/* One at a time, for the freezer's sake. */
	queue_work(move_wq, work);
}

static DECLARE_WORK(mover, move_work);

/**
 * pzone_move_task - let a task's memory follow it to another class
 * @leader: the task; only a thread group's leader moves memory
 * @from: node id of its old class, NUMA_NO_NODE for none
 * @to: of its new class
 *
 * Starts it and does not wait. Calls for one task come in the order of its classes.
 */
void pzone_move_task(struct task_struct *leader, int from, int to)
{
	struct pzone_node *old = pzone_node_of(from), *new = pzone_node_of(to);
	/* What a class had that goes away is moved by pzone_take(). */
	const bool gone = old && !READ_ONCE(old->live);
	const nodemask_t mask = gone ? NODE_MASK_NONE : node_mask(from);
	struct move *move, *another = NULL;
	bool comes;

	if (from == to)
		return;
	if (old && !gone)
		WRITE_ONCE(old->left_behind, true);
	comes = READ_ONCE(pzone_move_memory) && READ_ONCE((new ?: old)->move_memory);
	if (comes && !gone) {
		another = kmalloc(sizeof(*another), GFP_KERNEL);
		if (!another && new)
			atomic64_inc(&new->move_failed);
	}
	if (another)
		*another = (struct move) { .task = leader, .from = mask, .to = to };
	scoped_guard(spinlock, &move_lock) {
		move = find_move(leader);
		if (move) {
			redirect(move, comes ? &mask : NULL, to);
		} else if (another) {
			get_task_struct(leader);
			add_move(another);
			another = NULL;
		}
	}
	kfree(another);
	queue_work(move_wq, &mover);
}

static int __init pzone_move_init(void)
{
	/* Ordered: one migration at a time is load enough. */
	move_wq = alloc_ordered_workqueue("pzone-move", WQ_FREEZABLE);
	return move_wq ? 0 : -ENOMEM;
}
core_initcall(pzone_move_init);

#include "tests/move-kunit.h"
