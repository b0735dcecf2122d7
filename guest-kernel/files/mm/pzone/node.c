// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: the spare node ids, and which allocation goes to which.
 *
 * Node ids for pzones are added to node_possible_map at boot, behind the real
 * ones, and are never in N_MEMORY. That alone keeps everybody else out: zonelist
 * building, cpusets, memory policies, hugetlb and demotion all start from
 * N_MEMORY. What lets the class's own tasks in is __pzone_route(), called from
 * prepare_alloc_pages(), and a zonelist per node that holds the node's
 * ZONE_MOVABLE and nothing else, populated or not.
 */
#define pr_fmt(fmt) "pzone: " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/migrate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swap.h>
/* wants the others */
#include <linux/compaction.h>

#include "../internal.h"
#include "internal.h"

DEFINE_STATIC_KEY_FALSE(pzone_enabled);

int pzone_first_nid __ro_after_init = NUMA_NO_NODE;
unsigned int pzone_nr_nids __ro_after_init;

static unsigned int pzone_nodes_wanted __initdata = CONFIG_PZONE_NODES;
static struct pzone_node *pzone_nodes __ro_after_init;

static int __init pzone_nodes_param(char *arg)
{
	return kstrtouint(arg, 0, &pzone_nodes_wanted);
}
early_param("pzone_nodes", pzone_nodes_param);

static int __init pzone_param(char *arg)
{
	if (!arg || strcmp(arg, "off"))
		return -EINVAL;
	pzone_nodes_wanted = 0;
	return 0;
}
early_param("pzone", pzone_param);

/**
 * pzone_reserve_nodes - add the spare node ids to the possible ones
 * @possible: map of the real nodes; the ids behind its last one are added
 *
 * May be called again with a fresh map: the firmware's tables are tried in turn.
 */
void __init pzone_reserve_nodes(nodemask_t *possible)
{
	unsigned int nid = find_last_bit(possible->bits, MAX_NUMNODES) + 1;

	pzone_first_nid = nid;
	for (pzone_nr_nids = 0;
	     pzone_nr_nids < pzone_nodes_wanted && nid < MAX_NUMNODES;
	     pzone_nr_nids++)
		node_set(nid++, *possible);
}

/**
 * pzone_available - are there node ids for pzones in this boot?
 */
bool pzone_available(void)
{
	return pzone_nodes;
}
EXPORT_SYMBOL_GPL(pzone_available);

/* The pzone that a zonelist is the one of, or NULL. */
struct pzone_node *pzone_zonelist_node(const struct zonelist *zonelist)
{
	/* Empty lists have no zone at all. */
	struct zone *zone = zonelist->_zonerefs[0].zone;
	struct pzone_node *node = zone ? pzone_node_of(zone_to_nid(zone)) : NULL;

	return node && node->zonelist == zonelist ? node : NULL;
}

bool __zonelist_is_pzone(const struct zonelist *zonelist)
{
	return pzone_zonelist_node(zonelist);
}

struct pzone_node *pzone_node_of(int nid)
{
	unsigned int i = nid - pzone_first_nid;

	return i < pzone_nr_nids ? &pzone_nodes[i] : NULL;
}

/*
 * Take a spare node id. Call with pzone_mutex held. NULL: none left. They are used
 * in turn: an allocation that is still in the slow path for a class that is gone
 * must not find the next class's memory.
 */
struct pzone_node *pzone_node_get(void)
{
	static unsigned int last;
	unsigned int n;

	lockdep_assert_held(&pzone_mutex);
	for (n = 0; n < pzone_nr_nids; n++) {
		struct pzone_node *node = &pzone_nodes[(last + n) % pzone_nr_nids];

		if (!node->used) {
			node->used = true;
			last = node - pzone_nodes + 1;
			return node;
		}
	}
	return NULL;
}

void pzone_node_put(struct pzone_node *node)
{
	lockdep_assert_held(&pzone_mutex);
	node->used = false;
}

static void zoneref_set(struct zone *zone, struct zoneref *zoneref)
{
	zoneref->zone = zone;
	zoneref->zone_idx = zone_idx(zone);
}

/*
 * Make the node able to hold memory. The part that can't be undone (the node
 * goes online: iterators over zones only see online nodes) is done once.
 */
int pzone_node_prepare(struct pzone_node *node)
{
	struct zone *zone;
	int rc;

	if (node->prepared)
		return 0;
	rc = pzone_memcg_add_node(node->nid);
	if (rc)
		return rc;
	rc = try_online_node(node->nid);
	if (rc < 0)
		return rc;
	zone = pzone_zone(node);
	mem_hotplug_begin();
	init_currently_empty_zone(zone, 0, 0);
	setup_zone_pageset(zone);
	mem_hotplug_done();
	zoneref_set(zone, &node->zonelist->_zonerefs[0]);
	node->prepared = true;
	return 0;
}

int __pzone_near_node(int nid)
{
	return READ_ONCE(pzone_node_of(nid)->near);
}

/* Start the node's reclaim and compaction threads, on the CPUs of the node it is near to. */
int pzone_node_start(struct pzone_node *node, int near)
{
	struct pglist_data *pgdat = NODE_DATA(node->nid);
	const bool moved = node->prepared && node->near != near;
	const struct cpumask *cpus;
	int rc;

	WRITE_ONCE(node->near, near);
	rc = pzone_node_prepare(node);
	if (rc)
		return rc;
	if (moved) {
		/* What leaves the class goes to the nearest nodes: their order is another. */
		mem_hotplug_begin();
		build_all_zonelists(NULL);
		mem_hotplug_done();
	}
	kswapd_run(node->nid);
	kcompactd_run(node->nid);
	cpus = cpumask_of_node(near);
	if (!cpumask_empty(cpus)) {
		if (pgdat->kswapd)
			set_cpus_allowed_ptr(pgdat->kswapd, cpus);
		if (pgdat->kcompactd)
			set_cpus_allowed_ptr(pgdat->kcompactd, cpus);
	}
	return 0;
}

void pzone_node_stop(struct pzone_node *node)
{
	kcompactd_stop(node->nid);
	kswapd_stop(node->nid);
}

/*
 * Which zonelist does a movable allocation use? An allocation on behalf of a
 * page (migration) names the page's node and follows it; otherwise whom the
 * running task acts for, mostly itself, decides by its class. A class that goes
 * away takes no new pages, and what it had moves to the ordinary zones. Page cache
 * of a file that several classes use goes to "shared", if there is one.
 */
struct zonelist *__pzone_route(gfp_t gfp, int preferred_nid)
{
	const unsigned int acting = in_task() ? current->pzone_acting : PZONE_ACT_PAGE;
	const struct pzone_node *node;

	if (acting == PZONE_ACT_SELF && !node_is_spare(preferred_nid))
		node = pzone_current_node();
	else if (acting >= PZONE_ACT_NONE)
		node = pzone_node_of((int)acting - PZONE_ACT_NODE);
	else
		node = pzone_node_of(preferred_nid);
	if (!node || !READ_ONCE(node->live))
		return NULL;
	if (gfp & __GFP_PZONE_SHARED) {
		const struct pzone_node *shared = pzone_node_of(READ_ONCE(pzone_shared_nid));

		if (shared && READ_ONCE(shared->live))
			node = shared;
	}
	return node->zonelist;
}

/**
 * pzone_reclaim - free memory inside one pzone
 * @node: the pzone
 * @bytes: how much
 * @pool: its pool: stops when that is in a hurry; NULL: stops at a signal
 *
 * Direct reclaim, as an allocation in the pzone would do it. Returns the bytes
 * that it got, which are fewer when nothing more can be had.
 */
u64 pzone_reclaim(struct pzone_node *node, u64 bytes, const struct pzone_pool *pool)
{
	unsigned int noreclaim, acting;
	u64 got = 0;

	noreclaim = memalloc_noreclaim_save();
	acting = pzone_act(PZONE_ACT_NONE);
	while (got < bytes && READ_ONCE(node->live) &&
	       !(pool ? pzone_in_a_hurry(pool) : signal_pending(current))) {
		unsigned long pages = try_to_free_pages(node->zonelist, 0,
							GFP_HIGHUSER_MOVABLE, NULL);

		if (!pages)
			break;
		got += (u64)pages << PAGE_SHIFT;
		cond_resched();
	}
	pzone_act_end(acting);
	memalloc_noreclaim_restore(noreclaim);
	return got;
}

/*
 * Compaction isolated a page of a zone that it is not working on: the block has
 * changed hands since it was chosen. Always true.
 */
bool __pzone_put_back(struct page *page)
{
	LIST_HEAD(list);

	list_add(&page->lru, &list);
	putback_movable_pages(&list);
	return true;
}

static int __init pzone_nodes_init(void)
{
	/* A zonelist is sized for all nodes; these have one zone and an end. */
	const size_t zonelist_size = offsetof(struct zonelist, _zonerefs[2]);
	unsigned int i;

	if (!pzone_nr_nids)
		return 0;
	pzone_nodes = kcalloc(pzone_nr_nids, sizeof(*pzone_nodes), GFP_KERNEL);
	if (!pzone_nodes)
		goto out_none;
	for (i = 0; i < pzone_nr_nids; i++) {
		struct pzone_node *node = &pzone_nodes[i];

		node->nid = pzone_first_nid + i;
		node->near = node->nid;
		spin_lock_init(&node->oom_lock);
		spin_lock_init(&node->pressure_lock);
		init_waitqueue_head(&node->oom_wait);
		node->zonelist = kzalloc(zonelist_size, GFP_KERNEL);
		if (!node->zonelist)
			goto out_free;
	}
	pr_info("node ids %d-%d are reserved for memory classes\n",
		pzone_first_nid, pzone_first_nid + pzone_nr_nids - 1);
	return 0;

out_free:
	while (i--)
		kfree(pzone_nodes[i].zonelist);
	kfree(pzone_nodes);
	pzone_nodes = NULL;
out_none:
	pr_err("no memory for the node ids: there will be no memory classes\n");
	pzone_nr_nids = 0;
	return -ENOMEM;
}
subsys_initcall(pzone_nodes_init);
