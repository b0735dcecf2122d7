/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pseudo-zones: the hooks that the rest of the kernel calls.
 *
 * A pzone is a node id of its own, reserved at boot, whose only populated zone
 * is ZONE_MOVABLE and which is never in N_MEMORY: no zonelist, cpuset, memory
 * policy or hugetlb pool of anybody else can name it. A task whose cgroup has
 * a class allocates its movable pages from the class's pzone and nowhere else.
 *
 * Everything here compiles to nothing without CONFIG_PZONE, and costs one
 * static branch as long as no class exists. See mm/pzone/ and
 * Documentation/admin-guide/mm/pzone.rst.
 */
#ifndef _LINUX_PZONE_H
#define _LINUX_PZONE_H

#include <linux/gfp.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sched.h>

struct oom_control;

#ifdef CONFIG_PZONE

DECLARE_STATIC_KEY_FALSE(pzone_enabled);

extern int pzone_first_nid;
extern unsigned int pzone_nr_nids;

/* Is this node id one of those reserved for pzones? */
static inline bool node_is_pzone(int nid)
{
	return static_branch_unlikely(&pzone_enabled) &&
	       (unsigned int)(nid - pzone_first_nid) < pzone_nr_nids;
}

void pzone_reserve_nodes(nodemask_t *possible);

struct zonelist *__pzone_route(int preferred_nid);

/*
 * The zonelist that this allocation must use, or NULL for the ordinary ones.
 * Only what may live in ZONE_MOVABLE goes to a pzone.
 */
static inline struct zonelist *pzone_route(gfp_t gfp, int preferred_nid)
{
	if (!static_branch_unlikely(&pzone_enabled) ||
	    gfp_zone(gfp) != ZONE_MOVABLE)
		return NULL;
	return __pzone_route(preferred_nid);
}

bool __zonelist_is_pzone(const struct zonelist *zonelist);

/* Is this a zonelist that pzone_route() returned? */
static inline bool zonelist_is_pzone(struct zonelist *zonelist)
{
	return static_branch_unlikely(&pzone_enabled) &&
	       __zonelist_is_pzone(zonelist);
}

bool __pzone_before_oom(gfp_t gfp, unsigned int order, struct zonelist **zonelist);

/*
 * Reclaim has failed and the OOM killer is next. True if the allocation should
 * be tried again because its class grew or went away meanwhile; *zonelist is
 * then the one to use. May sleep for the class's oom_wait_ms.
 */
static inline bool pzone_before_oom(gfp_t gfp, unsigned int order,
				    struct zonelist **zonelist)
{
	return zonelist_is_pzone(*zonelist) &&
	       __pzone_before_oom(gfp, order, zonelist);
}

bool pzone_oom(const struct oom_control *oc);
unsigned long pzone_oom_totalpages(const struct oom_control *oc);
bool pzone_oom_eligible(struct task_struct *task, const struct oom_control *oc);
void pzone_oom_killed(const struct oom_control *oc);
void pzone_oom_nobody(const struct oom_control *oc);

/*
 * Allocations made on behalf of a page follow the page: between these two the
 * class of the running task is not looked at. They nest; the return value of
 * the first goes into the second.
 */
static inline bool pzone_bypass_begin(void)
{
	bool old = current->pzone_bypass;

	current->pzone_bypass = 1;
	return old;
}

static inline void pzone_bypass_end(bool old)
{
	current->pzone_bypass = old;
}

int pzone_mm_nid(struct mm_struct *mm);

/*
 * An allocation for an address space follows its owner: when @mm is not the
 * running task's (ptrace, process_vm_writev(), KSM), *@nid is set to the node of
 * the owner's class, if there is one, and the running task's class is not looked
 * at until pzone_bypass_end() gets the return value.
 */
static inline bool pzone_mm_begin(struct mm_struct *mm, int *nid)
{
	bool old = current->pzone_bypass;

	if (static_branch_unlikely(&pzone_enabled) && current->mm != mm)
		*nid = pzone_mm_nid(mm);
	return old;
}

bool __pzone_may_migrate(struct folio *folio, int *nid, gfp_t gfp);

/*
 * May @folio migrate to a page of node *@nid? What is in a class stays in it: a
 * request for a certain other node (__GFP_THISNODE: move_pages(), mbind()) is
 * refused, any other is turned to the page's own node. Only the memory of a task
 * that changes its class leaves (mm/pzone/move.c).
 */
static inline bool pzone_may_migrate(struct folio *folio, int *nid, gfp_t gfp)
{
	return !static_branch_unlikely(&pzone_enabled) ||
	       folio_nid(folio) == *nid || __pzone_may_migrate(folio, nid, gfp);
}

/* Has a page left the zone that it was found in? For scanners by pageblock. */
static inline bool pzone_moved(struct page *page, struct zone *zone)
{
	return static_branch_unlikely(&pzone_enabled) && page_zone(page) != zone;
}

/* Nodes that have an LRU: those in N_MEMORY and the pzones. */
#define for_each_lru_node(nid)	for_each_online_node(nid)

/* Pzones that have memory; none without a class. */
#define for_each_pzone_nid(nid)						\
	for ((nid) = pzone_first_nid;					\
	     static_branch_unlikely(&pzone_enabled) &&			\
	     (nid) < pzone_first_nid + (int)pzone_nr_nids; (nid)++)	\
		if (node_online(nid) && node_present_pages(nid))

#else /* CONFIG_PZONE */

static inline bool node_is_pzone(int nid)
{
	return false;
}

static inline void pzone_reserve_nodes(nodemask_t *possible)
{
}

static inline struct zonelist *pzone_route(gfp_t gfp, int preferred_nid)
{
	return NULL;
}

static inline bool zonelist_is_pzone(struct zonelist *zonelist)
{
	return false;
}

static inline bool pzone_before_oom(gfp_t gfp, unsigned int order,
				    struct zonelist **zonelist)
{
	return false;
}

static inline bool pzone_oom(const struct oom_control *oc)
{
	return false;
}

static inline unsigned long pzone_oom_totalpages(const struct oom_control *oc)
{
	return 0;
}

static inline bool pzone_oom_eligible(struct task_struct *task,
				      const struct oom_control *oc)
{
	return true;
}

static inline void pzone_oom_killed(const struct oom_control *oc)
{
}

static inline bool pzone_bypass_begin(void)
{
	return false;
}

static inline void pzone_bypass_end(bool old)
{
}

static inline bool pzone_mm_begin(struct mm_struct *mm, int *nid)
{
	return false;
}

static inline bool pzone_may_migrate(struct folio *folio, int *nid, gfp_t gfp)
{
	return true;
}

static inline bool pzone_moved(struct page *page, struct zone *zone)
{
	return false;
}

static inline void pzone_oom_nobody(const struct oom_control *oc)
{
}

#define for_each_lru_node(nid)	for_each_node_state(nid, N_MEMORY)
#define for_each_pzone_nid(nid)	for (; 0;)

#endif /* CONFIG_PZONE */
#endif /* _LINUX_PZONE_H */
