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

#include <linux/cgroup.h>
#include <linux/gfp.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sched.h>

struct file;
struct oom_control;

/*
 * Whose memory the running task allocates, in current->pzone_acting. These nest:
 * what pzone_act() returns goes into pzone_act_end().
 */
enum {
	/* of its own class */
	PZONE_ACT_SELF,
	/* Made on behalf of a page: that of the node asked for, a pzone or not. */
	PZONE_ACT_PAGE,
	/* The same, and the page may leave its class (mm/pzone/move.c). */
	PZONE_ACT_MOVE,
	/* The same, for pages that the task itself has isolated (mm/pzone/extent.c). */
	PZONE_ACT_TAKE,
	/* Ordinary memory; and from here on of the pzone PZONE_ACT_NODE + id. */
	PZONE_ACT_NONE,
	PZONE_ACT_NODE,
};

#ifdef CONFIG_PZONE

DECLARE_STATIC_KEY_FALSE(pzone_enabled);

/* For what compilers inline without us, and would no longer: the allocator's fast path. */
#define __pzone_inline	__always_inline

extern int pzone_first_nid;
extern unsigned int pzone_nr_nids;

/* Is this node id one of those reserved for pzones? */
static inline bool node_is_spare(int nid)
{
	return (unsigned int)(nid - pzone_first_nid) < pzone_nr_nids;
}

/* The same where it matters only when there are classes: costs less. */
static inline bool node_is_pzone(int nid)
{
	return static_branch_unlikely(&pzone_enabled) && node_is_spare(nid);
}

void pzone_reserve_nodes(nodemask_t *possible);

int __pzone_near_node(int nid);

/* The node that a pzone's memory is near to; any other node is near itself. */
static inline int pzone_near_node(int nid)
{
	return node_is_pzone(nid) ? __pzone_near_node(nid) : nid;
}

/*
 * In the gfp_mask of a mapping, and so of what is allocated for its page cache:
 * more than one class uses the file. A bit that nobody else has; as a flag it says
 * nothing to the allocator but to __pzone_route().
 */
#define __GFP_PZONE_SHARED	((__force gfp_t)BIT(___GFP_UNUSED_BIT))

/* What the allocator must know of a cgroup. */
struct pzone_css_route {
	struct cgroup_subsys_state css;
	/* Of its class; NULL: it has none. */
	struct zonelist *zonelist;
};

/* The zonelist of the running task's class, or NULL. */
static inline struct zonelist *pzone_current_zonelist(void)
{
	const struct cgroup_subsys_state *css;
	struct zonelist *zonelist;

	rcu_read_lock();
	css = task_css(current, pzone_cgrp_id);
	zonelist = READ_ONCE(container_of(css, struct pzone_css_route, css)->zonelist);
	rcu_read_unlock();
	return zonelist;
}

struct zonelist *__pzone_route(gfp_t gfp, int preferred_nid);

/*
 * __pzone_route(), and what it would do for most page faults. Each instruction here is one
 * of a fault: hence a line for each condition, which compilers would combine otherwise.
 * Spare node ids are behind all others.
 */
static inline struct zonelist *pzone_find_route(gfp_t gfp, int preferred_nid)
{
	if (unlikely(gfp & __GFP_PZONE_SHARED))
		return __pzone_route(gfp, preferred_nid);
	if (unlikely(!in_task()))
		return __pzone_route(gfp, preferred_nid);
	if (unlikely(preferred_nid >= pzone_first_nid))
		return __pzone_route(gfp, preferred_nid);
	if (unlikely(current->pzone_acting != PZONE_ACT_SELF))
		return __pzone_route(gfp, preferred_nid);
	return pzone_current_zonelist();
}

/*
 * Must this allocation use a pzone's zonelist? Then it is *@zonelist. Only what may
 * live in ZONE_MOVABLE goes to a pzone.
 */
static inline bool pzone_route(gfp_t gfp, int preferred_nid, struct zonelist **zonelist)
{
	struct zonelist *route;

	if (!static_branch_unlikely(&pzone_enabled) ||
	    gfp_zone(gfp) != ZONE_MOVABLE)
		return false;
	route = pzone_find_route(gfp, preferred_nid);
	if (!route)
		return false;
	*zonelist = route;
	return true;
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
long pzone_oom_badness(struct task_struct *task, const struct oom_control *oc, long points);
void pzone_oom_killed(const struct oom_control *oc);
void pzone_oom_nobody(const struct oom_control *oc);

static inline unsigned int pzone_act(unsigned int whom)
{
	unsigned int old = current->pzone_acting;

	current->pzone_acting = whom;
	return old;
}

static inline void pzone_act_end(unsigned int old)
{
	current->pzone_acting = old;
}

unsigned int __pzone_act_for_owner(struct mm_struct *mm);

/* Allocate for an address space: what its owner's class is decides. */
static inline unsigned int pzone_act_for_owner(struct mm_struct *mm)
{
	if (static_branch_unlikely(&pzone_enabled))
		return __pzone_act_for_owner(mm);
	return current->pzone_acting;
}

/*
 * The same where only another task's address space matters: ptrace,
 * process_vm_writev(), KSM, swapoff.
 */
static inline unsigned int pzone_act_for(struct mm_struct *mm)
{
	if (current->mm == mm)
		return current->pzone_acting;
	return pzone_act_for_owner(mm);
}

/* A page fault in the address space of somebody else: whose class is the owner's. */
static inline bool pzone_foreign(const struct vm_area_struct *vma)
{
	return static_branch_unlikely(&pzone_enabled) && current->mm != vma->vm_mm &&
	       current->pzone_acting == PZONE_ACT_SELF;
}

struct folio *pzone_vma_alloc_folio(gfp_t gfp, int order, struct vm_area_struct *vma,
				    unsigned long addr, bool hugepage);

void __pzone_file_opened(struct file *file);

/* A task opened a file: one that more than one class uses is cached in "shared". */
static inline void pzone_file_opened(struct file *file)
{
	if (static_branch_unlikely(&pzone_enabled))
		__pzone_file_opened(file);
}

/* Are there classes? Then what lies side by side in swap may be of several. */
static inline bool pzone_in_use(void)
{
	return static_branch_unlikely(&pzone_enabled);
}

/* Direct reclaim for an allocation: its time, and whom the task acted for before. */
struct pzone_stall {
	unsigned int acting;
	u64 start;
};

void __pzone_stall_begin(struct pzone_stall *stall, const struct zonelist *zonelist);
void __pzone_stall_end(const struct pzone_stall *stall, const struct zonelist *zonelist);

static inline void pzone_stall_begin(struct pzone_stall *stall, const struct zonelist *zonelist)
{
	stall->acting = current->pzone_acting;
	if (static_branch_unlikely(&pzone_enabled))
		__pzone_stall_begin(stall, zonelist);
}

static inline void pzone_stall_end(const struct pzone_stall *stall,
				   const struct zonelist *zonelist)
{
	if (static_branch_unlikely(&pzone_enabled))
		__pzone_stall_end(stall, zonelist);
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

bool __pzone_move_ends(void);
bool __pzone_vma_stays(struct vm_area_struct *vma);

/* A task changes its class: is no more to come there? Then nothing is worth splitting. */
static inline bool pzone_move_ends(void)
{
	return current->pzone_acting == PZONE_ACT_MOVE && __pzone_move_ends();
}

/* A task changes its class: does what is mapped here stay? */
static inline bool pzone_vma_stays(struct vm_area_struct *vma)
{
	return current->pzone_acting == PZONE_ACT_MOVE && __pzone_vma_stays(vma);
}

/* Has a page left the zone that it was found in? For scanners by pageblock. */
static inline bool pzone_moved(struct page *page, struct zone *zone)
{
	return static_branch_unlikely(&pzone_enabled) && page_zone(page) != zone;
}

bool __pzone_put_back(struct page *page);

/* Puts back a movable page (zsmalloc) that was isolated and is of another zone. */
static inline bool pzone_put_back(struct page *page, struct zone *zone)
{
	return pzone_moved(page, zone) && __pzone_put_back(page);
}

/* Would compaction wait for pages that the running task has isolated? */
static inline bool pzone_must_not_compact(void)
{
	return current->pzone_acting == PZONE_ACT_TAKE;
}

/* Nodes that have an LRU: those in N_MEMORY and the pzones. */
#define for_each_lru_node(nid)	for_each_online_node(nid)

/* Nodes that a memory cgroup has data for: not the spare ids that were never used. */
#ifdef CONFIG_MEMCG
#define for_each_memcg_node(memcg, nid)					\
	for_each_node(nid)						\
		if (!(memcg) || (memcg)->nodeinfo[nid])
#else
#define for_each_memcg_node(memcg, nid)	for_each_node(nid)
#endif

bool pzone_memcg_needs(int nid);
bool pzone_memcg_alloc(struct mem_cgroup *memcg, int nid);

/* Pzones that have memory; none without a class. */
#define for_each_pzone_nid(nid)						\
	for ((nid) = pzone_first_nid;					\
	     static_branch_unlikely(&pzone_enabled) &&			\
	     (nid) < pzone_first_nid + (int)pzone_nr_nids; (nid)++)	\
		if (node_online(nid) && node_present_pages(nid))

#else /* CONFIG_PZONE */

#define __pzone_inline	inline

static inline bool node_is_spare(int nid)
{
	return false;
}

static inline bool node_is_pzone(int nid)
{
	return false;
}

static inline void pzone_reserve_nodes(nodemask_t *possible)
{
}

static inline int pzone_near_node(int nid)
{
	return nid;
}

static inline bool pzone_route(gfp_t gfp, int preferred_nid, struct zonelist **zonelist)
{
	return false;
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

static inline unsigned int pzone_act(unsigned int whom)
{
	return 0;
}

static inline void pzone_act_end(unsigned int old)
{
}

static inline unsigned int pzone_act_for_owner(struct mm_struct *mm)
{
	return 0;
}

static inline unsigned int pzone_act_for(struct mm_struct *mm)
{
	return 0;
}

static inline bool pzone_foreign(const struct vm_area_struct *vma)
{
	return false;
}

static inline struct folio *pzone_vma_alloc_folio(gfp_t gfp, int order,
						  struct vm_area_struct *vma,
						  unsigned long addr, bool hugepage)
{
	return NULL;
}

static inline void pzone_file_opened(struct file *file)
{
}

static inline bool pzone_in_use(void)
{
	return false;
}

struct pzone_stall { };

static inline void pzone_stall_begin(struct pzone_stall *stall, const struct zonelist *zonelist)
{
}

static inline void pzone_stall_end(const struct pzone_stall *stall,
				   const struct zonelist *zonelist)
{
}

static inline bool pzone_may_migrate(struct folio *folio, int *nid, gfp_t gfp)
{
	return true;
}

/* A constant: as a function it changed what the compiler makes of its caller. */
#define pzone_move_ends()	false

static inline bool pzone_vma_stays(struct vm_area_struct *vma)
{
	return false;
}

static inline bool pzone_moved(struct page *page, struct zone *zone)
{
	return false;
}

static inline bool pzone_put_back(struct page *page, struct zone *zone)
{
	return false;
}

static inline bool pzone_must_not_compact(void)
{
	return false;
}

static inline long pzone_oom_badness(struct task_struct *task,
				     const struct oom_control *oc, long points)
{
	return points;
}

static inline void pzone_oom_nobody(const struct oom_control *oc)
{
}

static inline bool pzone_memcg_needs(int nid)
{
	return true;
}

#define for_each_lru_node(nid)	for_each_node_state(nid, N_MEMORY)
#define for_each_memcg_node(memcg, nid)	for_each_node(nid)
#define for_each_pzone_nid(nid)	for (; 0;)

#endif /* CONFIG_PZONE */
#endif /* _LINUX_PZONE_H */
