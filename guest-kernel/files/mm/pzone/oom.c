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
#include <linux/sched/mm.h>
#include <linux/swap.h>
#include <linux/timekeeping.h>

#include "internal.h"

/* How long an allocation waits for the host; 0 does not wait. */
unsigned int pzone_oom_wait_ms = 100;

/* After a wait in vain, don't hold up the class again for this long. */
#define OOM_WAIT_PAUSE	(2 * HZ)

/* When the host's answer is on its way into the class, wait this long for it. */
#define OOM_GROW_TIME	HZ

static struct pzone_node *oom_node(const struct oom_control *oc)
{
	if (!oc->zonelist || !zonelist_is_pzone(oc->zonelist))
		return NULL;
	return pzone_zonelist_node(oc->zonelist);
}

void pzone_oom_reset(struct pzone_node *node)
{
	atomic64_set(&node->oom_events, 0);
	atomic64_set(&node->oom_kills, 0);
	atomic64_set(&node->moves, 0);
	atomic64_set(&node->move_failed, 0);
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
	node->oom_until = jiffies;
	node->oom_again = node->oom_until;
	spin_unlock(&node->oom_lock);
	atomic_inc(&node->grown);
	wake_up_all(&node->oom_wait);
}

/* A task got another class: if it waits for memory of this one, it need not. */
void pzone_oom_moved(int nid)
{
	struct pzone_node *node = pzone_node_of(nid);

	if (node)
		wake_up_all(&node->oom_wait);
}

static void tell_host(struct pzone_node *node)
{
	atomic64_inc(&node->oom_events);
	pzone_tell_host(node, VIRTIO_PZONE_EVENT_OOM);
}

/* Jiffies that this OOM may wait; the first one of an episode tells the host. */
static long wait_budget(struct pzone_node *node)
{
	unsigned long now = jiffies;
	bool first = false;
	long left;

	spin_lock(&node->oom_lock);
	if (!node->oom_waiting && time_after_eq(now, node->oom_again)) {
		first = true;
		node->oom_waiting = true;
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

static struct zonelist *own_zonelist(gfp_t gfp)
{
	return __pzone_route(gfp & ~__GFP_PZONE_SHARED, NUMA_NO_NODE) ?:
	       node_zonelist(numa_mem_id(), gfp);
}

/*
 * Where an allocation that waits for @node would go if it began now, or NULL if it
 * would still go there: its task may have got another class, and the class may be
 * gone. What is allocated on behalf of a page is not asked about the task.
 */
static struct zonelist *new_route(const struct pzone_node *node, gfp_t gfp)
{
	const unsigned int acting = current->pzone_acting;
	const bool for_page = acting >= PZONE_ACT_PAGE && acting < PZONE_ACT_NONE;
	struct zonelist *now;

	if (READ_ONCE(node->live) && (for_page || node->nid == READ_ONCE(pzone_shared_nid)))
		return NULL;
	now = own_zonelist(gfp);
	return now == node->zonelist ? NULL : now;
}

/* Wait for the class to grow, to go, or not to be the task's any more. False if it did not. */
static bool wait_for_host(struct pzone_node *node, gfp_t gfp, long budget)
{
	const int grown = atomic_read(&node->grown);
	const u64 start = ktime_get_ns();
#define HELPED	(atomic_read(&node->grown) != grown || new_route(node, gfp))

	wait_event_killable_timeout(node->oom_wait, HELPED, budget);
	if (READ_ONCE(node->growing))
		wait_event_killable_timeout(node->oom_wait, HELPED || !READ_ONCE(node->growing),
					    OOM_GROW_TIME);
	pzone_stalled(node, start);
	return HELPED;
#undef HELPED
}

/*
 * The slow path's last stop before the OOM killer. A class that is gone, or that is
 * not the task's any more, sends the allocation to where it belongs now; a class
 * that grew lets it try again.
 */
bool __pzone_before_oom(gfp_t gfp, unsigned int order, struct zonelist **zonelist)
{
	struct pzone_node *node = pzone_zonelist_node(*zonelist);
	struct zonelist *elsewhere = new_route(node, gfp);
	bool helped;
	long left;

	if (elsewhere) {
		*zonelist = elsewhere;
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
	/*
	 * Nobody can be killed: who must not fail goes elsewhere, the others are
	 * kept from trying in a loop.
	 */
	if (atomic_xchg(&node->oom_nobody, 0)) {
		if (gfp & __GFP_NOFAIL) {
			*zonelist = node_zonelist(numa_mem_id(), gfp);
			return true;
		}
		schedule_timeout_killable(HZ / 10);
	}

	WRITE_ONCE(node->oom_pages, max(READ_ONCE(node->oom_pages), 1UL << order));
	left = wait_budget(node);
	helped = left > 0 && wait_for_host(node, gfp, left);
	elsewhere = new_route(node, gfp);
	if (elsewhere)
		*zonelist = elsewhere;
	if (elsewhere || helped)
		return true;
	/* No task is in "shared" that could be killed: what does not fit is the reader's. */
	if (node->nid == READ_ONCE(pzone_shared_nid)) {
		*zonelist = own_zonelist(gfp);
		return true;
	}
	return false;
}

/* Is this the OOM of a class? */
bool pzone_oom(const struct oom_control *oc)
{
	return oom_node(oc);
}

/* What badness is measured against: all that the class's tasks could use. */
unsigned long pzone_oom_totalpages(const struct oom_control *oc)
{
	return node_present_pages(oom_node(oc)->nid) + total_swap_pages;
}

static u64 pages_of_node(struct page *page, unsigned long nr_pages, int nid)
{
	return page_to_nid(page) == nid ? nr_pages : 0;
}

/* Pages of the class that an address space maps; -1: it can't be looked at now. */
static long mm_pages_in(struct mm_struct *mm, const struct pzone_node *node)
{
	long pages;

	/* Who waits for memory may hold it, and we may not sleep. */
	if (!mmap_read_trylock(mm))
		return -1;
	pages = pzone_walk(mm, pages_of_node, node->nid, false);
	mmap_read_unlock(mm);
	return pages;
}

static bool in_class(struct task_struct *task, const struct pzone_node *node)
{
	struct task_struct *thread;
	bool in = false;

	rcu_read_lock();
	for_each_thread(task, thread) {
		in = pzone_task_nid(thread) == node->nid;
		if (in)
			break;
	}
	rcu_read_unlock();
	return in;
}

/*
 * Badness by what the task has in the class; @points is by all that it has. A task
 * that left the class may have left memory behind. LONG_MIN: its death would not
 * help.
 */
long pzone_oom_badness(struct task_struct *task, const struct oom_control *oc, long points)
{
	const struct pzone_node *node = oom_node(oc);
	struct task_struct *p;
	struct mm_struct *mm;
	bool member;
	long pages;

	if (!node || points == LONG_MIN)
		return points;
	member = in_class(task, node);
	if (!member && !READ_ONCE(node->left_behind))
		return LONG_MIN;
	p = find_lock_task_mm(task);
	if (!p)
		return LONG_MIN;
	mm = p->mm;
	mmget(mm);
	task_unlock(p);
	/* Without the mm's lock a member counts with all that it has. */
	pages = mm_pages_in(mm, node);
	if (pages >= 0)
		points += pages - (long)get_mm_rss(mm);
	mmput_async(mm);
	return member || pages > 0 ? points : LONG_MIN;
}

/* May this task die for the OOM without looking for a better one? */
bool pzone_oom_eligible(struct task_struct *task, const struct oom_control *oc)
{
	const struct pzone_node *node = oom_node(oc);

	return !node || in_class(task, node) || READ_ONCE(node->left_behind);
}

/* There was nobody to kill. */
void pzone_oom_nobody(const struct oom_control *oc)
{
	struct pzone_node *node = oom_node(oc);

	pr_warn_ratelimited("node %d is out of memory and no task of its class can be killed\n",
			    node->nid);
	atomic_set(&node->oom_nobody, 1);
}

void pzone_oom_killed(const struct oom_control *oc)
{
	struct pzone_node *node = oom_node(oc);

	if (!node)
		return;
	atomic64_inc(&node->oom_kills);
	/* One event for each kill, also when there was no waiting for the host. */
	if (!atomic_xchg(&node->oom_told, 0))
		tell_host(node);
}

#include "tests/oom-kunit.h"
