// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: what happens when a class runs out of memory.
 *
 * First the host is told, and the allocation waits, a bounded time and without
 * any lock of the OOM killer, for the class to grow. Only then is something
 * killed, and only among the tasks of that class: nobody else's death would
 * give it a page.
 */
#define pr_fmt(fmt) "pzone: " fmt

#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/swap.h>

#include "internal.h"

/* How long an allocation waits for the host; 0 does not wait. */
unsigned int pzone_oom_wait_ms = 100;

/* After a wait in vain, don't hold up the class again for this long. */
#define OOM_WAIT_PAUSE	(2 * HZ)

static struct pzone_node *zonelist_node(struct zonelist *zonelist)
{
	if (!zonelist || !zonelist_is_pzone(zonelist))
		return NULL;
	return pzone_node_of(zonelist_node_idx(&zonelist->_zonerefs[0]));
}

void pzone_oom_reset(struct pzone_node *node)
{
	atomic64_set(&node->oom_events, 0);
	atomic64_set(&node->oom_kills, 0);
	atomic64_set(&node->moves, 0);
	atomic64_set(&node->move_failed, 0);
	atomic_set(&node->oom_event_pending, 0);
	atomic_set(&node->oom_told, 0);
	atomic_set(&node->oom_nobody, 0);
	spin_lock(&node->oom_lock);
	node->oom_waiting = false;
	node->oom_again = jiffies;
	spin_unlock(&node->oom_lock);
}

/* The class got memory: who waits for it goes on, and the next OOM is a new one. */
void pzone_oom_grown(struct pzone_node *node)
{
	spin_lock(&node->oom_lock);
	node->oom_waiting = false;
	node->oom_until = node->oom_again = jiffies;
	spin_unlock(&node->oom_lock);
	atomic_inc(&node->grown);
	wake_up_all(&node->oom_wait);
}

static void tell_host(struct pzone_node *node)
{
	atomic64_inc(&node->oom_events);
	atomic_set(&node->oom_event_pending, 1);
	queue_work(system_unbound_wq, &pzone_event_work);
}

/* Jiffies that this OOM may wait; the first one of an episode tells the host. */
static long wait_budget(struct pzone_node *node)
{
	unsigned long now = jiffies;
	bool first = false;
	long left;

	spin_lock(&node->oom_lock);
	if (!node->oom_waiting && time_after_eq(now, node->oom_again)) {
		node->oom_waiting = first = true;
		node->oom_until = now + msecs_to_jiffies(READ_ONCE(pzone_oom_wait_ms));
		node->oom_again = node->oom_until + OOM_WAIT_PAUSE;
	}
	left = node->oom_until - now;
	if (left <= 0)
		node->oom_waiting = false;
	spin_unlock(&node->oom_lock);

	if (first) {
		atomic_set(&node->oom_told, 1);
		tell_host(node);
	}
	return left;
}

/*
 * The slow path's last stop before the OOM killer. A class that is gone sends
 * the allocation to the ordinary zones; a class that grew lets it try again.
 */
bool __pzone_before_oom(gfp_t gfp, unsigned int order, struct zonelist **zonelist)
{
	struct pzone_node *node = zonelist_node(*zonelist);
	int grown;
	long left;

	if (!READ_ONCE(node->live)) {
		*zonelist = node_zonelist(numa_mem_id(), gfp);
		return true;
	}
	/* These fail instead of killing; let them. */
	if (order > PAGE_ALLOC_COSTLY_ORDER || (gfp & (__GFP_RETRY_MAYFAIL | __GFP_THISNODE)))
		return false;

	/* What is being taken from the class would help; the shrink can wait. */
	if (READ_ONCE(node->taking)) {
		WRITE_ONCE(node->want_back, true);
		wait_event_killable_timeout(node->oom_wait, !READ_ONCE(node->taking), HZ);
		return !fatal_signal_pending(current);
	}
	/* Nobody can be killed: who must not fail goes elsewhere, the others are
	 * kept from trying in a loop. */
	if (atomic_xchg(&node->oom_nobody, 0)) {
		if (gfp & __GFP_NOFAIL) {
			*zonelist = node_zonelist(numa_mem_id(), gfp);
			return true;
		}
		schedule_timeout_killable(HZ / 10);
	}

	grown = atomic_read(&node->grown);
	left = wait_budget(node);
	if (left <= 0)
		return false;
	wait_event_killable_timeout(node->oom_wait,
				    atomic_read(&node->grown) != grown || !READ_ONCE(node->live),
				    left);
	return atomic_read(&node->grown) != grown || !READ_ONCE(node->live);
}

/* Is this the OOM of a class? */
bool pzone_oom(const struct oom_control *oc)
{
	return zonelist_node(oc->zonelist);
}

/* What badness is measured against: all that the class's tasks could use. */
unsigned long pzone_oom_totalpages(const struct oom_control *oc)
{
	return node_present_pages(zonelist_node(oc->zonelist)->nid) + total_swap_pages;
}

/* May this task die for the OOM? Outside the class it would help nobody. */
bool pzone_oom_eligible(struct task_struct *task, const struct oom_control *oc)
{
	const struct pzone_node *node = zonelist_node(oc->zonelist);
	struct task_struct *thread;
	bool eligible = !node;

	if (eligible)
		return true;
	rcu_read_lock();
	for_each_thread(task, thread) {
		eligible = pzone_task_nid(thread) == node->nid;
		if (eligible)
			break;
	}
	rcu_read_unlock();
	return eligible;
}

/* There was nobody to kill. */
void pzone_oom_nobody(const struct oom_control *oc)
{
	struct pzone_node *node = zonelist_node(oc->zonelist);

	pr_warn_ratelimited("node %d is out of memory and no task of its class can be killed\n",
			    node->nid);
	atomic_set(&node->oom_nobody, 1);
}

void pzone_oom_killed(const struct oom_control *oc)
{
	struct pzone_node *node = zonelist_node(oc->zonelist);

	if (!node)
		return;
	atomic64_inc(&node->oom_kills);
	/* One event for each kill, also when there was no waiting for the host. */
	if (!atomic_xchg(&node->oom_told, 0))
		tell_host(node);
}
