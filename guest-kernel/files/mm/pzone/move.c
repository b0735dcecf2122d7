// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: a task that gets another class takes its memory along.
 *
 * Done in the background, a process at a time, by page migration: anonymous memory
 * that only this process maps goes from the zone of the old class (or the ordinary
 * ones) to that of the new. Page cache is of whoever read it and stays, as does what
 * is shared, pinned, or finds no room.
 */
#include <linux/cpuset.h>
#include <linux/hashtable.h>
#include <linux/hugetlb_inline.h>
#include <linux/mempolicy.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/oom.h>
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
	nodemask_t from;
	int to;				/* node id; NUMA_NO_NODE: the ordinary nodes */
	bool off;			/* the class that the task has wants none to come */
	bool redirected;		/* since it is at work */
};

static DEFINE_SPINLOCK(move_lock);	/* the two below, and what is in each move */
static LIST_HEAD(waiting);		/* in the order they came */
static DEFINE_HASHTABLE(moves, 8);	/* by task: those that wait, and that at work */

static struct workqueue_struct *move_wq;

/* The move at work; of the worker alone. */
static struct running {
	const struct move *move;
	struct mm_struct *mm;
	const struct pzone_node *node;	/* goes there, NULL: to the ordinary nodes */
} running;

static nodemask_t node_mask(int nid)
{
	return nid == NUMA_NO_NODE ? node_states[N_MEMORY] : nodemask_of_node(nid);
}

/*
 * The task has another class or has ended, or that class is gone: what did not come yet
 * need not come. A task that falls to another class by that is redirected, too.
 */
static bool given_up(const struct running *run)
{
	return READ_ONCE(run->move->redirected) || atomic_read(&run->mm->mm_users) == 1 ||
	       (run->node && !READ_ONCE(run->node->live));
}

/* Leave what the class needs to work with, or its next fault is an OOM. */
static bool has_room(const struct pzone_node *node, unsigned int order)
{
	struct zone *zone = pzone_zone(node);

	return zone_watermark_ok(zone, order, high_wmark_pages(zone), ZONE_MOVABLE, 0);
}

/* Then migration does not split the huge pages that stay where they are. */
bool __pzone_move_ends(void)
{
	return given_up(&running) || (running.node && !has_room(running.node, 0));
}

/* Neither page cache nor the hugetlb pool, which has no pages in classes, comes along. */
bool __pzone_vma_stays(struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_SHARED) || is_vm_hugetlb_page(vma);
}

/* A task changes its class: does this page come along? */
static bool may_move(struct folio *folio, int *nid)
{
	const struct pzone_node *node = pzone_node_of(*nid);

	if (given_up(&running))
		return false;
	/*
	 * Page cache is of whoever read it. Refusing would end the migration of
	 * all that is behind it, so give it another page where it is.
	 */
	if (!folio_test_anon(folio)) {
		*nid = folio_nid(folio);
		return true;
	}
	return !node || has_room(node, folio_order(folio));
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
 * has not brought yet, or brought to where it should not be any more; or nothing (@off).
 */
static void redirect(struct move *move, const nodemask_t *from, int to, bool off)
{
	const nodemask_t brought = node_mask(move->to), there = node_mask(to);

	lockdep_assert_held(&move_lock);
	nodes_or(move->from, move->from, brought);
	nodes_or(move->from, move->from, *from);
	nodes_andnot(move->from, move->from, there);
	count_pending(move->to, -1);
	count_pending(to, 1);
	move->to = to;
	move->off = off;
	WRITE_ONCE(move->redirected, true);
}

/* The next one to work on, or NULL. *@ret is what it is now. */
static struct move *begin_move(struct move *ret)
{
	struct move *move;

	guard(spinlock)(&move_lock);
	move = list_first_entry_or_null(&waiting, struct move, list);
	if (!move)
		return NULL;
	list_del_init(&move->list);
	move->redirected = false;
	*ret = *move;
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

/*
 * The memory of a class that goes away is on its way to the ordinary nodes: what is to
 * come from there may be here still, and the other way round.
 */
static void add_dying(nodemask_t *from)
{
	const bool ordinary = nodes_intersects(*from, node_states[N_MEMORY]);
	const nodemask_t asked = *from;
	int nid;

	for_each_node_mask(nid, asked) {
		if (node_is_pzone(nid) && !READ_ONCE(pzone_node_of(nid)->live))
			nodes_or(*from, *from, node_states[N_MEMORY]);
	}
	if (!ordinary)
		return;
	for_each_pzone_nid(nid) {
		if (!READ_ONCE(pzone_node_of(nid)->live))
			node_set(nid, *from);
	}
}

/* The address space of a process, if it is its own: a child of vfork() has its parent's. */
static struct mm_struct *get_own_mm(struct task_struct *leader)
{
	/* Any thread that is left. */
	struct task_struct *task = find_lock_task_mm(leader);
	struct mm_struct *mm = NULL;

	if (!task)
		return NULL;
	if (!in_vfork(task) && !(task->flags & PF_KTHREAD)) {
		mm = task->mm;
		mmget(mm);
	}
	task_unlock(task);
	return mm;
}

/* As do_migrate_pages(): pages that stayed, or an error. */
static int migrate_to(int nid, nodemask_t *from)
{
	const nodemask_t there = nodemask_of_node(nid);

	add_dying(from);
	node_clear(nid, *from);
	return do_migrate_pages(running.mm, from, &there, MPOL_MF_MOVE);
}

/* To those of the ordinary nodes that the task may use, its own first, while there is room. */
static int migrate_to_ordinary(nodemask_t *from)
{
	struct task_struct *task = running.move->task;
	nodemask_t allowed = cpuset_mems_allowed(task);
	int nid, n, left = -ENOMEM;

	nodes_and(allowed, allowed, node_states[N_MEMORY]);
	/* The first one from its own on: the search begins behind what it is given. */
	nid = next_node_in(cpu_to_mem(task_cpu(task)) - 1, allowed);
	for (n = nodes_weight(allowed); n && left < 0 && !given_up(&running); n--) {
		const nodemask_t there = nodemask_of_node(nid);

		left = do_migrate_pages(running.mm, from, &there, MPOL_MF_MOVE);
		nid = next_node_in(nid, allowed);
	}
	return left;
}

static void move_memory(const struct move *move, struct move *now)
{
	struct pzone_node *node = pzone_node_of(now->to);
	unsigned int acting;
	int left = 0;

	running = (struct running) { .move = move, .mm = get_own_mm(move->task), .node = node };
	if (!running.mm)
		return;
	if (!given_up(&running)) {
		acting = pzone_act(PZONE_ACT_MOVE);
		left = node ? migrate_to(now->to, &now->from) : migrate_to_ordinary(&now->from);
		pzone_act_end(acting);
	}
	if (node && !given_up(&running)) {
		atomic64_inc(&node->moves);
		/* An error says that there was no room, not how much stayed. */
		atomic64_add(left < 0 ? 1 : left, &node->move_failed);
	}
	mmput(running.mm);
}

static void move_work(struct work_struct *work)
{
	struct move now, *move = begin_move(&now);

	if (!move)
		return;
	if (!now.off)
		move_memory(move, &now);
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
 * @leader: of the task's thread group
 * @from: node id of its old class, NUMA_NO_NODE for none
 * @to: of its new class
 *
 * Starts it and does not wait. The caller holds what keeps the settings of cgroups
 * constant, so calls for one task come in the order of its classes.
 */
void pzone_move_task(struct task_struct *leader, int from, int to)
{
	struct pzone_node *old = pzone_node_of(from), *new = pzone_node_of(to);
	/* What a class had that goes away is moved by pzone_take(). */
	const bool gone = old && !READ_ONCE(old->live);
	const nodemask_t mask = gone ? NODE_MASK_NONE : node_mask(from);
	struct move *move, *another = NULL;
	bool off;

	if (from == to)
		return;
	if (old && !gone)
		WRITE_ONCE(old->left_behind, true);
	off = !READ_ONCE(pzone_move_memory) || !READ_ONCE((new ?: old)->move_memory);
	if (!off && !gone) {
		another = kmalloc(sizeof(*another), GFP_KERNEL);
		if (another)
			*another = (struct move) { .task = leader, .from = mask, .to = to };
	}
	scoped_guard(spinlock, &move_lock) {
		move = find_move(leader);
		if (move) {
			redirect(move, &mask, to, off);
		} else if (another) {
			get_task_struct(leader);
			add_move(another);
			another = NULL;
		} else if (new && !off && !gone) {
			atomic64_inc(&new->move_failed);
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
