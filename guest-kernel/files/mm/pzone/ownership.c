// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: what two other ways of accounting would charge to a class.
 *
 * Static ownership: each page is of who allocated it first. That is what lies in the
 * class's zone, and of the page cache in "shared" what its cgroups were charged for.
 * Partial ownership: each page that is mapped is divided by the number of its
 * mappings, as the PSS in /proc/PID/smaps. Both are counted when somebody asks.
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "../internal.h"
#include "internal.h"

/* As in /proc/PID/smaps: a part of a page in 1/4096 bytes. */
#define PSS_SHIFT	12

/* A page divided by the number of its mappings. */
static u64 page_pss(struct page *page)
{
	struct folio *folio = page_folio(page);
	int mapcount = atomic_read(&page->_mapcount) + 1;

	/* Of a large folio, that its whole is mapped counts for each page, too. */
	if (folio_test_large(folio))
		mapcount += folio_entire_mapcount(folio);
	return div_u64((u64)PAGE_SIZE << PSS_SHIFT, max(mapcount, 1));
}

/* Wherever they lie: node ids don't matter here. */
static u64 pages_pss(struct page *page, unsigned long nr_pages, int nid)
{
	u64 pss = 0;

	while (nr_pages--)
		pss += page_pss(page++);
	return pss;
}

/* A process of the class whose memory was not counted yet, or NULL; @seen has those. */
static struct mm_struct *next_mm(int nid, struct xarray *seen)
{
	struct task_struct *task;
	struct mm_struct *mm;

	rcu_read_lock();
	for_each_process(task) {
		if (task->flags & PF_KTHREAD || pzone_task_nid(task) != nid)
			continue;
		mm = get_task_mm(task);
		if (!mm)
			continue;
		if (!xa_load(seen, (unsigned long)mm)) {
			rcu_read_unlock();
			return mm;
		}
		mmput_async(mm);
	}
	rcu_read_unlock();
	return NULL;
}

static int partial_bytes(int nid, u64 *bytes)
{
	struct mm_struct *mm;
	struct xarray seen;
	unsigned long i;
	u64 pss = 0;
	int rc = 0;

	xa_init(&seen);
	while (!rc && (mm = next_mm(nid, &seen))) {
		/* mm_count keeps the address from being used for another meanwhile. */
		mmgrab(mm);
		rc = xa_err(xa_store(&seen, (unsigned long)mm, mm, GFP_KERNEL));
		if (rc)
			mmdrop(mm);
		if (!rc && !mmap_read_lock_killable(mm)) {
			pss += pzone_walk(mm, pages_pss, nid, true);
			mmap_read_unlock(mm);
		}
		mmput(mm);
		if (signal_pending(current))
			rc = -EINTR;
	}
	xa_for_each(&seen, i, mm)
		mmdrop(mm);
	xa_destroy(&seen);
	*bytes = pss >> PSS_SHIFT;
	return rc;
}

/* Is this page charged to a memory cgroup of the class? */
static bool charged_to(struct page *page, int nid)
{
	bool is = false;
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;
	struct cgroup *cgroup;

	rcu_read_lock();
	memcg = page_memcg_check(page);
	cgroup = memcg ? memcg->css.cgroup : NULL;
	is = cgroup && pzone_css_nid(rcu_dereference(cgroup->subsys[pzone_cgrp_id])) == nid;
	rcu_read_unlock();
#endif
	return is;
}

/* Pages in "shared" that the class was the first to read. */
static u64 bytes_in_shared(int nid)
{
	struct pzone_node *shared = pzone_node_of(READ_ONCE(pzone_shared_nid));
	struct zone *zone = shared ? pzone_zone(shared) : NULL;
	unsigned long start, end, pfn, pages = 0;
	unsigned int seq;

	if (!shared || shared->nid == nid)
		return 0;
	get_online_mems();
	/* Both of one resize, or they could lead out of the pool, where no struct page is. */
	do {
		seq = zone_span_seqbegin(zone);
		start = zone->zone_start_pfn;
		end = zone_end_pfn(zone);
	} while (zone_span_seqretry(zone, seq));
	for (pfn = start; pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);
		struct folio *folio;

		if (!(pfn % 1024))
			cond_resched();
		/* Racy, as for any walker of pages without a reference; only a figure. */
		if (page_zone(page) != zone || !page_count(page))
			continue;
		folio = page_folio(page);
		if (&folio->page == page && folio_test_lru(folio) && charged_to(page, nid))
			pages += folio_nr_pages(folio);
	}
	put_online_mems();
	return (u64)pages << PAGE_SHIFT;
}

/**
 * pzone_ownership - count what a class would be charged for
 * @node: the class's node
 * @used: memory in use in its zone
 * @stat: static ownership, in bytes
 * @partial: partial ownership, in bytes
 *
 * Walks the page tables of all processes of the class. Returns 0 or an errno.
 */
int pzone_ownership(const struct pzone_node *node, u64 used, u64 *stat, u64 *partial)
{
	*stat = used + bytes_in_shared(node->nid);
	return partial_bytes(node->nid, partial);
}
