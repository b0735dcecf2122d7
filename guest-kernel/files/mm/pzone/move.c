// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: a task that gets another class takes its memory along.
 *
 * Done in the background, a process at a time, by page migration: anonymous memory
 * that only this process maps goes from the zone of the old class (or the ordinary
 * ones) to that of the new. Page cache is of whoever read it and stays, as does what
 * is shared, pinned, or finds no room.
 */
#include <linux/mempolicy.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "internal.h"

/*
 * Off: what a task has stays where it is, only new memory is of the new class. The
 * class that it goes to (or comes from, if it goes to none) has a switch, too.
 */
bool pzone_move_memory = true;

struct move {
	struct work_struct work;
	struct mm_struct *mm;
	int from, to;			/* node ids; NUMA_NO_NODE: the ordinary nodes */
};

static struct workqueue_struct *move_wq;

static nodemask_t node_mask(int nid)
{
	return nid == NUMA_NO_NODE ? node_states[N_MEMORY] : nodemask_of_node(nid);
}

/* A task changes its class: does this page come along? */
static bool may_move(struct folio *folio, int *nid)
{
	struct pzone_node *node = pzone_node_of(*nid);
	struct zone *zone;

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

static void move_work(struct work_struct *work)
{
	struct move *move = container_of(work, struct move, work);
	struct pzone_node *node = pzone_node_of(move->to);
	nodemask_t from = node_mask(move->from), to = node_mask(move->to);
	unsigned int acting;
	int left = 0;

	/* The class may have gone meanwhile. */
	if (!node || READ_ONCE(node->live)) {
		acting = pzone_act(PZONE_ACT_MOVE);
		left = do_migrate_pages(move->mm, &from, &to, MPOL_MF_MOVE);
		pzone_act_end(acting);
	}
	if (node) {
		atomic_dec(&node->moves_pending);
		atomic64_inc(&node->moves);
		/* An error says that there was no room, not how much stayed. */
		if (left)
			atomic64_add(left > 0 ? left : 1, &node->move_failed);
	}
	mmput(move->mm);
	kfree(move);
}

/**
 * pzone_move_task - let a task's memory follow it to another class
 * @leader: the task; only a thread group's leader moves memory
 * @from: node id of its old class, NUMA_NO_NODE for none
 * @to: of its new class
 *
 * Starts it and does not wait.
 */
void pzone_move_task(struct task_struct *leader, int from, int to)
{
	struct pzone_node *old = pzone_node_of(from), *new = pzone_node_of(to);
	struct mm_struct *mm;
	struct move *move;

	/* What a class had that goes away is moved by pzone_take(). */
	if (from == to || (old && !READ_ONCE(old->live)))
		return;
	if (old)
		WRITE_ONCE(old->left_behind, true);
	if (!READ_ONCE(pzone_move_memory) || !READ_ONCE((new ?: old)->move_memory))
		return;
	mm = get_task_mm(leader);
	if (!mm)
		return;
	move = kmalloc(sizeof(*move), GFP_KERNEL);
	if (!move) {
		mmput_async(mm);
		return;
	}
	*move = (struct move) { .mm = mm, .from = from, .to = to };
	if (new)
		atomic_inc(&new->moves_pending);
	INIT_WORK(&move->work, move_work);
	queue_work(move_wq, &move->work);
}

static int __init pzone_move_init(void)
{
	/* Ordered: one migration at a time is load enough. */
	move_wq = alloc_ordered_workqueue("pzone-move", WQ_FREEZABLE);
	return move_wq ? 0 : -ENOMEM;
}
core_initcall(pzone_move_init);
