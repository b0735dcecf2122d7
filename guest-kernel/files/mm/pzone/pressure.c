// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: how short of memory a class is, and telling the host.
 *
 * Time in direct reclaim for an allocation from a class, and waiting for the host
 * when that failed, is the class's stall time. Much of it in a short time is
 * pressure. Both pressure and an OOM are events for the host; what can't be sent
 * now is sent later, and never more than one of a kind is on its way.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "internal.h"

/* This much stalled within the window is pressure, said once in a window. */
#define PRESSURE_US		(100 * USEC_PER_MSEC)
#define PRESSURE_WINDOW		HZ

/*
 * A class asks for at least this part of its size, and so much, or a growing one
 * would come back for every block; and for no more than its size again.
 */
#define WANTED_PART		16
#define WANTED_MIN		PHYS_PFN(SZ_4M)

/* Try to send an event again. */
#define EVENT_RETRY		(HZ / 10)

static void send_events(struct work_struct *work);
static DECLARE_DELAYED_WORK(event_work, send_events);

/* Pages that were in the class, were reclaimed and then wanted again. */
unsigned long pzone_refaults(const struct pzone_node *node)
{
	struct pglist_data *pgdat = NODE_DATA(node->nid);
	unsigned long now = node_page_state(pgdat, WORKINGSET_REFAULT_ANON) +
			    node_page_state(pgdat, WORKINGSET_REFAULT_FILE);

	/* The node id may have had another class before. */
	return now - node->refault_base;
}

/* A class moves in. */
void pzone_pressure_reset(struct pzone_node *node)
{
	node->refault_base = 0;
	node->refault_base = pzone_refaults(node);
	node->refault_told = 0;
	node->oom_pages = 0;
	atomic64_set(&node->stall_us, 0);
	atomic_set(&node->events_pending, 0);
	spin_lock(&node->pressure_lock);
	node->window_us = 0;
	node->window_end = jiffies;
	node->pressure_again = jiffies;
	spin_unlock(&node->pressure_lock);
}

/* Has the class stalled so much that the host should know? */
static bool pressure(struct pzone_node *node, u64 us)
{
	unsigned long now = jiffies;
	bool tell;

	spin_lock(&node->pressure_lock);
	if (time_after_eq(now, node->window_end)) {
		node->window_us = 0;
		node->window_end = now + PRESSURE_WINDOW;
	}
	node->window_us += us;
	tell = node->window_us >= PRESSURE_US && time_after_eq(now, node->pressure_again);
	if (tell)
		node->pressure_again = now + PRESSURE_WINDOW;
	spin_unlock(&node->pressure_lock);
	return tell;
}

/* A task was held up from @start on for want of memory in the class. */
void pzone_stalled(struct pzone_node *node, u64 start)
{
	u64 us = div_u64(ktime_get_ns() - start, NSEC_PER_USEC);

	atomic64_add(us, &node->stall_us);
	if (pressure(node, us))
		pzone_tell_host(node, VIRTIO_PZONE_EVENT_PRESSURE);
}

void __pzone_stall_begin(struct pzone_stall *stall, const struct zonelist *zonelist)
{
	const struct pzone_node *node = pzone_zonelist_node(zonelist);

	/*
	 * What reclaim allocates itself (zram) is ordinary memory, as it is for kswapd:
	 * a class that is full could not swap out otherwise.
	 */
	pzone_act(PZONE_ACT_NONE);
	stall->start = node ? ktime_get_ns() : 0;
}

void __pzone_stall_end(const struct pzone_stall *stall, const struct zonelist *zonelist)
{
	struct pzone_node *node = pzone_zonelist_node(zonelist);

	pzone_act_end(stall->acting);
	/* The first class may have come in between. */
	if (node && stall->start)
		pzone_stalled(node, stall->start);
}

/**
 * pzone_tell_host - send an event about a class, soon
 * @node: the class's node
 * @kind: VIRTIO_PZONE_EVENT_*
 *
 * Needs no memory and does not sleep: an allocation that failed comes here.
 */
void pzone_tell_host(struct pzone_node *node, unsigned int kind)
{
	atomic_or(BIT(kind), &node->events_pending);
	pzone_events_kick();
}

/*
 * How much the class should grow: by what the failed allocation and the watermarks
 * lack, and by what was thrown out and read again since the last event, which
 * would have stayed in a class larger by as much.
 */
static u32 wanted_blocks(struct pzone_node *node, const struct pzone_class *class)
{
	struct zone *zone = pzone_zone(node);
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);
	unsigned long refaults = pzone_refaults(node);
	unsigned long size = class->given_blocks * class->pool->block_pages;
	unsigned long pages = xchg(&node->oom_pages, 0);

	if (free < high_wmark_pages(zone))
		pages += high_wmark_pages(zone) - free;
	pages += refaults - node->refault_told;
	node->refault_told = refaults;
	pages = clamp(pages, max(size / WANTED_PART, WANTED_MIN), max(size, WANTED_MIN));
	return max_t(u32, DIV_ROUND_UP(pages, class->pool->block_pages), 1);
}

/* Send one event. An error says that it has to be tried again. */
static int send_event(struct pzone_node *node, unsigned int kind)
{
	struct pzone_pool *pool;
	u32 id, wanted;
	int rc;

	mutex_lock(&pzone_mutex);
	if (!node->class) {
		mutex_unlock(&pzone_mutex);
		return 0;
	}
	pool = node->class->pool;
	id = node->class->id;
	wanted = wanted_blocks(node, node->class);
	rc = pool->stopped ? -ESHUTDOWN : 0;
	mutex_unlock(&pzone_mutex);
	/* The pool stays: pzone_pool_stop() waits for this work. */
	if (!rc)
		rc = pool->transport->event(pool->priv, id, kind, wanted);
	/* A host that refuses it (the class is gone there) will do so again. */
	return rc == -EIO ? 0 : rc;
}

/* All that is pending; tried again as long as something could not be sent. */
static void send_events(struct work_struct *work)
{
	bool again = false;
	unsigned int i;
	int rc;

	for (i = 0; i < pzone_nr_nids; i++) {
		struct pzone_node *node = pzone_node_of(pzone_first_nid + i);
		unsigned long pending = atomic_xchg(&node->events_pending, 0);

		/* An OOM says it all. */
		if (pending & BIT(VIRTIO_PZONE_EVENT_OOM))
			pending = BIT(VIRTIO_PZONE_EVENT_OOM);
		if (!pending)
			continue;
		rc = send_event(node, __ffs(pending));
		if (!rc)
			continue;
		atomic_or(pending, &node->events_pending);
		/* pzone_pool_resume() tries again. */
		again |= rc != -ESHUTDOWN;
	}
	if (again)
		queue_delayed_work(system_unbound_wq, &event_work, EVENT_RETRY);
}

/* Send what is pending. */
void pzone_events_kick(void)
{
	mod_delayed_work(system_unbound_wq, &event_work, 0);
}

/* Wait until no event is on its way through a transport. */
void pzone_events_flush(void)
{
	flush_delayed_work(&event_work);
}

#include "tests/pressure-kunit.h"
