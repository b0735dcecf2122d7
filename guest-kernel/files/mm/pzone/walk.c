// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: adding up what an address space maps, page by page.
 */
#include <linux/mm.h>
#include <linux/pagewalk.h>

#include "internal.h"

struct walk {
	pzone_weigh_t *weigh;
	int nid;
	bool may_sleep;
	u64 sum;
};

static int walk_pmd(pmd_t *pmd, unsigned long addr, unsigned long next, struct mm_walk *mm_walk)
{
	struct walk *walk = mm_walk->private;
	spinlock_t *ptl = pmd_trans_huge_lock(pmd, mm_walk->vma);
	struct page *page;
	pte_t *start, *pte;

	if (ptl) {
		page = pmd_present(*pmd) ? vm_normal_page_pmd(mm_walk->vma, addr, *pmd) : NULL;
		if (page)
			walk->sum += walk->weigh(page, HPAGE_PMD_NR, walk->nid);
		spin_unlock(ptl);
		return 0;
	}
	start = pte_offset_map_lock(mm_walk->mm, pmd, addr, &ptl);
	if (!start) {
		/* It was made huge, or freed, just now. */
		mm_walk->action = ACTION_AGAIN;
		return 0;
	}
	for (pte = start; addr < next; pte++, addr += PAGE_SIZE) {
		page = pte_present(*pte) ? vm_normal_page(mm_walk->vma, addr, *pte) : NULL;
		if (page)
			walk->sum += walk->weigh(page, 1, walk->nid);
	}
	pte_unmap_unlock(start, ptl);
	if (walk->may_sleep)
		cond_resched();
	return 0;
}

/**
 * pzone_walk - add up what an address space maps
 * @mm: the address space; its mmap_lock is held
 * @weigh: what so many pages from this one on count; called under a spinlock
 * @nid: goes to @weigh
 * @may_sleep: a long walk gives way to others
 */
u64 pzone_walk(struct mm_struct *mm, pzone_weigh_t *weigh, int nid, bool may_sleep)
{
	static const struct mm_walk_ops ops = {
		.pmd_entry = walk_pmd,
		.walk_lock = PGWALK_RDLOCK,
	};
	struct walk walk = { .weigh = weigh, .nid = nid, .may_sleep = may_sleep };

	mmap_assert_locked(mm);
	walk_page_range(mm, 0, TASK_SIZE_MAX, &ops, &walk);
	return walk.sum;
}
