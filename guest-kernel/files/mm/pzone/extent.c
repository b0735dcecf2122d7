// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: moving blocks between a pool and the zone of a class.
 *
 * The memory map of the whole pool is added once, when the pool comes up, from
 * the pool's own memory. From then on a resize is pageblock work: no section, no
 * memory-block device, no zonelist is touched.
 *
 * Pages that no class has are parked: PageOffline, reference count 0, linked to
 * the pool's own node ("park"), whose zone spans the region with present and
 * managed 0, so that no iterator over populated zones ever looks at it.
 *
 * Only the pool's worker calls this, one pool's work never touches another's
 * pages, and each zone here belongs to one pool. get_online_mems() keeps memory
 * hotplug out. The zone's and node's span is written under pgdat_resize_lock
 * (interrupts off: bad_range() reads the span in interrupts) and
 * zone_span_writelock.
 */
#define pr_fmt(fmt) "pzone: " fmt

#include <linux/ioport.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-isolation.h>
#include <linux/slab.h>

#include "../internal.h"
#include "internal.h"

/*
 * Isolate and empty at most this many blocks in one go. Isolating much at once
 * keeps freed pages from being allocated again just ahead of us; the bound
 * keeps what a class lacks for that time small.
 */
#define PZONE_TAKE_BLOCKS	512

/* Hold zone->lock for at most this many blocks at a time. */
#define PZONE_UNLINK_BLOCKS	16

/* Tries to empty an isolated range before it counts as stuck. */
#define PZONE_TAKE_TRIES	5

static unsigned long block_pfn(const struct pzone_pool *pool, u32 block)
{
	return PHYS_PFN(pool->addr) + block * pool->block_pages;
}

static void link_pages(unsigned long start, unsigned long end, int nid)
{
	unsigned long pfn;

	for (pfn = start; pfn < end; pfn++)
		set_page_links(pfn_to_page(pfn), ZONE_MOVABLE, nid, pfn);
}

/*
 * Set the span of the class's zone to what it has. The span must cover the
 * pages whenever their links say that they are in the zone, so it grows before
 * pages are linked and shrinks after they were unlinked.
 */
static void set_span(struct zone *zone, unsigned long start, unsigned long end)
{
	struct pglist_data *pgdat = zone->zone_pgdat;
	unsigned long flags;

	pgdat_resize_lock(pgdat, &flags);
	zone_span_writelock(zone);
	zone->zone_start_pfn = start;
	zone->spanned_pages = end - start;
	zone_span_writeunlock(zone);
	pgdat->node_start_pfn = start;
	pgdat->node_spanned_pages = end - start;
	pgdat_resize_unlock(pgdat, &flags);
}

/**
 * pzone_map_pool - add the memory map of a pool
 * @pool: the pool
 * @first: first of the blocks that hold the memory map
 * @nr: number of those; they are plugged
 *
 * All other pages of the pool end up parked. Returns 0 or an errno; nothing
 * has changed on failure.
 */
int pzone_map_pool(struct pzone_pool *pool, u32 first, u32 nr)
{
	const unsigned long start = PHYS_PFN(pool->addr);
	const unsigned long nr_pages = PHYS_PFN(pool->size);
	const unsigned long map = block_pfn(pool, first);
	const unsigned long map_end = block_pfn(pool, first + nr);
	/* The kernel wants base_pfn to be the start; reserve leads to our blocks. */
	const struct vmem_altmap altmap = {
		.base_pfn = start,
		.end_pfn = start + nr_pages - 1,
		.reserve = map - start,
		.free = map_end - map,
	};
	struct mhp_params params = { .pgprot = pgprot_mhp(PAGE_KERNEL) };
	struct memory_notify notify = {
		.start_pfn = start,
		.nr_pages = nr_pages,
		.status_change_nid = NUMA_NO_NODE,
		.status_change_nid_normal = NUMA_NO_NODE,
	};
	unsigned long pfn;
	int rc;

	if (map_end != start + nr_pages ||
	    (map_end - map) * PAGE_SIZE < nr_pages * sizeof(struct page)) {
		pr_err("%s: blocks %u+%u can't hold the memory map of %llu bytes\n",
		       pool->name, first, nr, pool->size);
		return -EINVAL;
	}

	rc = pzone_node_prepare(pool->park);
	if (rc)
		return rc;

	if (!pool->ordinary_memmap) {
		pool->altmap = kmemdup(&altmap, sizeof(altmap), GFP_KERNEL);
		if (!pool->altmap)
			return -ENOMEM;
	}
	params.altmap = pool->altmap;

	rc = -EBUSY;
	/* Driver-managed: in crash dumps, and not in kexec's memory map. */
	pool->resource = __request_region(&iomem_resource, pool->addr, pool->size,
					  "System RAM (virtio_mem)",
					  IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY |
					  IORESOURCE_SYSRAM_DRIVER_MANAGED);
	if (!pool->resource) {
		pr_err("%s: [mem %#llx-%#llx] is in use by somebody else\n", pool->name,
		       pool->addr, pool->addr + pool->size - 1);
		goto out_altmap;
	}

	mem_hotplug_begin();
	rc = arch_add_memory(pool->nid, pool->addr, pool->size, &params);
	if (rc)
		goto out_hotplug;
	move_pfn_range_to_zone(pzone_zone(pool->park), start, nr_pages, NULL, MIGRATE_MOVABLE);

	/* Who keeps data beside the memory map (KASAN, page_ext) sets it up now. */
	rc = notifier_to_errno(memory_notify(MEM_GOING_ONLINE, &notify));
	if (rc) {
		memory_notify(MEM_CANCEL_ONLINE, &notify);
		goto out_remove;
	}
	/* As mhp_init_memmap_on_memory(): the map's own pages are not offline. */
	for (pfn = map; pool->altmap && pfn < map_end; pfn++) {
		__ClearPageOffline(pfn_to_page(pfn));
		SetPageVmemmapSelfHosted(pfn_to_page(pfn));
	}
	/* Parked pages have no reference: nobody can take one speculatively. */
	for (pfn = start; pfn < (pool->altmap ? map : map_end); pfn++)
		set_page_count(pfn_to_page(pfn), 0);
	online_mem_sections(start, start + nr_pages);
	memory_notify(MEM_ONLINE, &notify);
	mem_hotplug_done();
	pool->mapped = true;
	return 0;

out_remove:
	remove_pfn_range_from_zone(pzone_zone(pool->park), start, nr_pages);
	arch_remove_memory(pool->addr, pool->size, pool->altmap, NULL);
out_hotplug:
	mem_hotplug_done();
	__release_region(&iomem_resource, pool->addr, pool->size);
	pool->resource = NULL;
out_altmap:
	kfree(pool->altmap);
	pool->altmap = NULL;
	return rc;
}

/* The reverse. Every block but the memory map's is parked or unplugged. */
void pzone_unmap_pool(struct pzone_pool *pool)
{
	const unsigned long start = PHYS_PFN(pool->addr);
	const unsigned long nr_pages = PHYS_PFN(pool->size);
	struct memory_notify notify = {
		.start_pfn = start,
		.nr_pages = nr_pages,
		.status_change_nid = NUMA_NO_NODE,
		.status_change_nid_normal = NUMA_NO_NODE,
	};

	if (!pool->mapped)
		return;
	mem_hotplug_begin();
	/* Nothing is in use any more: nobody has a reason to object. */
	memory_notify(MEM_GOING_OFFLINE, &notify);
	offline_mem_sections(start, start + nr_pages);
	memory_notify(MEM_OFFLINE, &notify);
	remove_pfn_range_from_zone(pzone_zone(pool->park), start, nr_pages);
	arch_remove_memory(pool->addr, pool->size, pool->altmap, NULL);
	mem_hotplug_done();
	__release_region(&iomem_resource, pool->addr, pool->size);
	pool->resource = NULL;
	kfree(pool->altmap);
	pool->altmap = NULL;
	pool->mapped = false;
}

static bool any_poisoned(unsigned long pfn, unsigned int order)
{
	unsigned long end = pfn + (1UL << order);

	while (pfn < end && !PageHWPoison(pfn_to_page(pfn)))
		pfn++;
	return pfn < end;
}

/*
 * A poisoned page stays with a reference, as memory_failure() leaves those that it takes
 * off a free list: it is of the zone, but never free.
 */
static void keep_poisoned(struct page *page)
{
	__ClearPageOffline(page);
	set_page_count(page, 1);
	adjust_managed_page_count(page, 1);
}

static void free_range(unsigned long start, unsigned long end)
{
	unsigned long pfn;
	unsigned int order;

	for (pfn = start; pfn < end; pfn += 1UL << order) {
		order = min_t(unsigned int, MAX_PAGE_ORDER, __ffs(pfn));
		while (pfn + (1UL << order) > end)
			order--;
		/* At the last moment: once it is free, memory_failure() takes it away. */
		while (order && any_poisoned(pfn, order))
			order--;
		if (unlikely(PageHWPoison(pfn_to_page(pfn))))
			keep_poisoned(pfn_to_page(pfn));
		else
			__free_pages_core(pfn_to_page(pfn), order, MEMINIT_HOTPLUG);
		cond_resched();
	}
}

/**
 * pzone_give - give parked blocks to the zone of their class
 * @pool: the pool
 * @class: the class; it has a node
 * @first: first block
 * @nr: number of blocks, all plugged for @class and parked
 *
 * The caller recomputes watermarks and contiguity with pzone_zone_changed() when
 * it is through with all extents. Can't fail.
 */
void pzone_give(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr)
{
	struct zone *zone = pzone_zone(class->node);
	const unsigned long start = block_pfn(pool, first);
	const unsigned long end = block_pfn(pool, first + nr);
	unsigned long span_start = start, span_end = end, pfn;

	get_online_mems();
	clear_zone_contiguous(zone);
	if (!zone_is_empty(zone)) {
		span_start = min(span_start, zone->zone_start_pfn);
		span_end = max(span_end, zone_end_pfn(zone));
	}
	set_span(zone, span_start, span_end);
	link_pages(start, end, class->node->nid);
	for (pfn = start; pfn < end; pfn += pageblock_nr_pages)
		set_pageblock_migratetype(pfn_to_page(pfn), MIGRATE_MOVABLE);
	adjust_present_page_count(pfn_to_page(start), NULL, end - start);
	free_range(start, end);
	put_online_mems();

	memset(pool->state + first, PZONE_BLOCK_GIVEN, nr);
	WRITE_ONCE(class->given_blocks, class->given_blocks + nr);
}

/*
 * Poisoned and out of use: nobody will ever free it. Its block can go without it. While it
 * is locked, memory_failure() is not through with it.
 */
static bool is_dead(struct page *page)
{
	return PageHWPoison(page) && page_count(page) <= 1 && !PageLocked(page) &&
	       !PageLRU(page) && !PageCompound(page) && !page_mapped(page) &&
	       !page_memcg_check(page);
}

/* How far does the free block, or the poisoned page, reach? */
static unsigned long free_pages_at(struct page *page)
{
	return PageBuddy(page) ? 1UL << buddy_order(page) : 1;
}

/* Take the pages of isolated, free blocks off the free lists. */
static bool unlink_free(struct zone *zone, unsigned long start, unsigned long end)
{
	unsigned long pfn, flags;
	bool all_free = true;

	spin_lock_irqsave(&zone->lock, flags);
	/* Nothing frees or allocates here any more, but look before touching. */
	for (pfn = start; pfn < end;) {
		struct page *page = pfn_to_page(pfn);

		if (page_zone(page) != zone || (!PageBuddy(page) && !is_dead(page)) ||
		    pfn + free_pages_at(page) > end) {
			all_free = false;
			break;
		}
		pfn += free_pages_at(page);
	}
	for (pfn = start; all_free && pfn < end;) {
		struct page *page = pfn_to_page(pfn);

		if (PageBuddy(page))
			pfn += __isolate_free_page(page, buddy_order(page));
		else
			pfn++;
	}
	if (all_free)
		zone->nr_isolate_pageblock -= (end - start) / pageblock_nr_pages;
	spin_unlock_irqrestore(&zone->lock, flags);
	return all_free;
}

/* Leave nothing of its last use in a poisoned page but that it is poisoned. */
static void lay_out(struct page *page)
{
	page->flags &= ~PAGE_FLAGS_CHECK_AT_PREP;
	page->mapping = NULL;
	set_page_private(page, 0);
	set_page_count(page, 0);
}

/* Park pages that were just taken off the free lists of a class's zone. */
static void park(struct pzone_pool *pool, unsigned long start, unsigned long end)
{
	const long nr_pages = end - start;
	const int nid = pool->park->nid;
	unsigned long pfn;

	/* While the links still name the class's zone. */
	adjust_managed_page_count(pfn_to_page(start), -nr_pages);
	adjust_present_page_count(pfn_to_page(start), NULL, -nr_pages);
	/* Whoever reads memory in place (/proc/kcore) must not be at it. */
	page_offline_begin();
	for (pfn = start; pfn < end; pfn++) {
		struct page *page = pfn_to_page(pfn);

		if (unlikely(PageHWPoison(page)))
			lay_out(page);
		__SetPageOffline(page);
		set_page_links(page, ZONE_MOVABLE, nid, pfn);
	}
	page_offline_end();
}

/* Free isolated neighbours are one buddy of up to MAX_ORDER: don't end inside of one. */
static unsigned long next_step(const struct pzone_pool *pool, unsigned long pfn,
			       unsigned long end)
{
	const unsigned long step = max(PZONE_UNLINK_BLOCKS * pool->block_pages,
				       MAX_ORDER_NR_PAGES);

	return min(round_down(pfn + step, MAX_ORDER_NR_PAGES), end);
}

/* Take isolated blocks that are free. False, and nothing has changed, if they are not. */
static bool unlink_and_park(struct pzone_pool *pool, struct zone *zone, unsigned long start,
			    unsigned long end)
{
	if (!unlink_free(zone, start, end))
		return false;
	park(pool, start, end);
	memset(pool->state + (start - PHYS_PFN(pool->addr)) / pool->block_pages,
	       PZONE_BLOCK_PARKED, (end - start) / pool->block_pages);
	cond_resched();
	return true;
}

/* With zone->lock: the free piece of at least a pageblock that has this page, if any. */
static struct page *large_buddy(const struct zone *zone, unsigned long pfn)
{
	unsigned int order;

	for (order = pageblock_order; order <= MAX_PAGE_ORDER; order++) {
		struct page *page = pfn_to_page(round_down(pfn, 1UL << order));

		if (page_zone(page) == zone && PageBuddy(page) && buddy_order(page) >= order)
			return page;
	}
	return NULL;
}

/* With zone->lock: is all of this block free, in pieces of at least a pageblock? */
static bool is_free(const struct pzone_pool *pool, const struct zone *zone, unsigned long pfn)
{
	const unsigned long end = pfn + pool->block_pages;

	while (pfn < end) {
		struct page *page = large_buddy(zone, pfn);

		if (!page || is_migrate_isolate_page(pfn_to_page(pfn)))
			return false;
		pfn = page_to_pfn(page) + (1UL << buddy_order(page));
	}
	return true;
}

/*
 * Isolate free blocks from the front of [start, end) on, and return where they end.
 * start_isolate_page_range() would look at every page of them for one that can't move.
 */
static unsigned long isolate_free(const struct pzone_pool *pool, struct zone *zone,
				  unsigned long start, unsigned long end)
{
	unsigned long flags, pfn = start, block_end;

	spin_lock_irqsave(&zone->lock, flags);
	while (pfn < end && is_free(pool, zone, pfn)) {
		block_end = pfn + pool->block_pages;
		for (; pfn < block_end; pfn += pageblock_nr_pages) {
			WARN_ON_ONCE(!move_freepages_block_isolate(zone, pfn_to_page(pfn),
								   MIGRATE_ISOLATE));
			zone->nr_isolate_pageblock++;
		}
	}
	spin_unlock_irqrestore(&zone->lock, flags);
	return pfn;
}

/* Take free blocks from the front of [first, first + nr) on. Returns how many. */
static u32 take_free(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr)
{
	struct zone *zone = pzone_zone(class->node);
	const unsigned long start = block_pfn(pool, first);
	const unsigned long end = block_pfn(pool, first + nr);
	unsigned long pfn, next;

	for (pfn = start; pfn < end; pfn = next) {
		next = isolate_free(pool, zone, pfn, next_step(pool, pfn, end));
		if (next == pfn)
			break;
		if (!unlink_and_park(pool, zone, pfn, next)) {
			undo_isolate_page_range(pfn, next, MIGRATE_MOVABLE);
			break;
		}
	}
	return (pfn - start) / pool->block_pages;
}

/* How many blocks at the end of [first, first + nr) look free? */
static u32 free_at_end(const struct pzone_pool *pool, const struct pzone_class *class, u32 first,
		       u32 nr)
{
	struct zone *zone = pzone_zone(class->node);
	unsigned long flags;
	u32 n = 0;

	spin_lock_irqsave(&zone->lock, flags);
	while (n < nr && is_free(pool, zone, block_pfn(pool, first + nr - n - 1)))
		n++;
	spin_unlock_irqrestore(&zone->lock, flags);
	return n;
}

/*
 * Empty an isolated range: reclaim clean page cache, migrate the rest. No target page is
 * worth much effort, for there is a next try. A large folio that finds no room is split:
 * to compact the zone for one would wait until fewer pages are isolated, and those that
 * are can be ours (PZONE_ACT_TAKE).
 */
static int empty_range(const struct pzone_pool *pool, struct zone *zone,
		       unsigned long start, unsigned long end)
{
	struct compact_control cc = {
		.order = -1,
		.zone = zone,
		.mode = MIGRATE_SYNC,
		.ignore_skip_hint = true,
		.no_set_skip_hint = true,
		.alloc_contig = true,
		.gfp_mask = GFP_USER | __GFP_MOVABLE | __GFP_NORETRY | __GFP_NOWARN,
	};
	unsigned int acting;
	int tries, rc = 0;

	INIT_LIST_HEAD(&cc.migratepages);
	for (tries = 0; test_pages_isolated(start, end, MEMORY_OFFLINE); tries++) {
		if (tries == PZONE_TAKE_TRIES || pzone_in_a_hurry(pool))
			return -EBUSY;
		acting = pzone_act(PZONE_ACT_TAKE);
		rc = __alloc_contig_migrate_range(&cc, start, end, MIGRATE_MOVABLE);
		pzone_act_end(acting);
		if (rc && rc != -EBUSY)
			return rc;
		drain_all_pages(zone);
	}
	return 0;
}

/*
 * Take blocks from the front of [first, first + nr) on, as far as it goes: all,
 * unless a page stays. With @free_only nothing is moved out of the way.
 */
static int take_range(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr,
		      bool free_only)
{
	struct zone *zone = pzone_zone(class->node);
	const unsigned long start = block_pfn(pool, first);
	const unsigned long end = block_pfn(pool, first + nr);
	unsigned long pfn = start, next;
	int rc;

	rc = start_isolate_page_range(start, end, MIGRATE_MOVABLE, 0,
				      GFP_USER | __GFP_MOVABLE | __GFP_RETRY_MAYFAIL);
	if (rc)
		return rc;
	drain_all_pages(zone);
	if (free_only)
		rc = test_pages_isolated(start, end, MEMORY_OFFLINE);
	else
		rc = empty_range(pool, zone, start, end);
	for (; !rc && pfn < end; pfn = next) {
		next = next_step(pool, pfn, end);
		if (!unlink_and_park(pool, zone, pfn, next)) {
			rc = -EBUSY;
			break;
		}
	}
	if (rc)
		undo_isolate_page_range(pfn, end, MIGRATE_MOVABLE);
	return rc;
}

/*
 * Nothing may be moved out of the way: late, the host changed its mind, or the
 * class would kill somebody for want of what is being taken.
 */
bool pzone_in_a_hurry(const struct pzone_pool *pool)
{
	return atomic_read(&pool->kicked) || time_after(jiffies, pool->take_until) ||
	       (pool->taking && READ_ONCE(pool->taking->want_back));
}

/*
 * Take [first, first + nr), in halves where the whole does not go. Once the class
 * had no room to move pages to, @free_only is set for the rest.
 */
static u32 take_halves(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr,
		       bool *free_only)
{
	u32 left = 0, i;
	int rc;

	if (!nr)
		return 0;
	rc = take_range(pool, class, first, nr, *free_only || pzone_in_a_hurry(pool));
	if (!rc)
		return 0;
	if (rc == -ENOMEM && !*free_only) {
		*free_only = !pzone_reclaim(class->node, pzone_bytes(pool, nr), pool);
		rc = take_range(pool, class, first, nr, *free_only);
		if (!rc)
			return 0;
		*free_only |= rc == -ENOMEM;
	}
	for (i = first; i < first + nr; i++)
		left += pool->state[i] == PZONE_BLOCK_GIVEN;
	if (left <= 1)
		return left;
	first += nr - left;
	return take_halves(pool, class, first, left / 2, free_only) +
	       take_halves(pool, class, first + left / 2, left - left / 2, free_only);
}

/*
 * Take [first, first + nr): first what is free at both ends, which is cheap, and which
 * nothing from between is to be moved to.
 */
static u32 take_blocks(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr,
		       bool *free_only)
{
	const u32 end = first + nr;
	u32 middle_end, rest;

	first += take_free(pool, class, first, nr);
	middle_end = end - free_at_end(pool, class, first, end - first);
	rest = middle_end + take_free(pool, class, middle_end, end - middle_end);
	return take_halves(pool, class, first, middle_end - first, free_only) +
	       take_halves(pool, class, rest, end - rest, free_only);
}

/**
 * pzone_take - take blocks out of the zone of their class and park them
 * @pool: the pool
 * @class: the class that has them
 * @first: first block
 * @nr: number of blocks, all given to @class
 *
 * Takes what can be taken: a range with a page that can be neither freed nor
 * moved is tried again in halves, down to a block. After pool->take_until, or
 * when the host wants something else (pool->kicked), only what is free is taken.
 * The caller has said so in pool->taking and node->taking.
 *
 * Returns the number of blocks that stayed; pool->state says which.
 */
u32 pzone_take(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr)
{
	const u32 end = first + nr;
	bool free_only = false;
	u32 stuck = 0, n;

	get_online_mems();
	clear_zone_contiguous(pzone_zone(class->node));
	drain_all_pages(pzone_zone(class->node));
	for (; first < end; first += n) {
		n = min_t(u32, end - first, PZONE_TAKE_BLOCKS);
		stuck += take_blocks(pool, class, first, n, &free_only);
	}
	put_online_mems();
	WRITE_ONCE(class->given_blocks, class->given_blocks - (nr - stuck));
	return stuck;
}

/**
 * pzone_zone_changed - after the last of a batch of pzone_give() and pzone_take()
 * @pool: the pool
 * @class: the class
 */
void pzone_zone_changed(struct pzone_pool *pool, struct pzone_class *class)
{
	struct zone *zone = pzone_zone(class->node);
	u32 first = pool->nr_blocks, last = 0, i;

	for (i = 0; i < pool->nr_blocks; i++) {
		if (pool->state[i] != PZONE_BLOCK_GIVEN || pool->owner[i] != class->id)
			continue;
		first = min(first, i);
		last = i + 1;
	}
	get_online_mems();
	if (last)
		set_span(zone, block_pfn(pool, first), block_pfn(pool, last));
	else
		set_span(zone, 0, 0);
	set_zone_contiguous(zone);
	put_online_mems();
}

/* Memory in use in these blocks: what stood in the way of taking them. */
u64 pzone_used_bytes(struct pzone_pool *pool, u32 first, u32 nr)
{
	const unsigned long end = block_pfn(pool, first + nr);
	unsigned long pfn, used = 0;

	for (pfn = block_pfn(pool, first); pfn < end;) {
		struct page *page = pfn_to_page(pfn);
		unsigned int order = 0;

		/* Racy, as for any walker of free pages; only a figure. */
		if (PageBuddy(page))
			order = min_t(unsigned int, buddy_order_unsafe(page), MAX_PAGE_ORDER);
		else
			used += page_count(page) > 0;
		pfn += 1UL << order;
	}
	return (u64)used << PAGE_SHIFT;
}

/**
 * pzone_next_poisoned - find a poisoned page
 * @pool: the pool
 * @addr: where to start, a guest-physical address in the pool
 * @class: look in the extents of this class only; NULL: in all of the pool
 *
 * Returns the page's address, or the pool's end if there is none.
 */
u64 pzone_next_poisoned(struct pzone_pool *pool, u64 addr, const struct pzone_class *class)
{
	const u64 end = pool->addr + pool->size;
	u64 block_end;
	u32 block;

	/* Reading the flags of every page is for when there is something to find. */
	if (!pool->mapped || !IS_ENABLED(CONFIG_MEMORY_FAILURE) ||
	    !atomic_long_read(&num_poisoned_pages))
		return end;
	for (; addr < end; addr = block_end) {
		block = div64_u64(addr - pool->addr, pool->block_size);
		block_end = pool->addr + pzone_bytes(pool, block + 1);
		if (READ_ONCE(pool->state[block]) == PZONE_BLOCK_MEMMAP)
			return end;
		if (class && (READ_ONCE(pool->state[block]) != PZONE_BLOCK_GIVEN ||
			      READ_ONCE(pool->owner[block]) != class->id))
			continue;
		for (; addr < block_end; addr += PAGE_SIZE)
			if (PageHWPoison(pfn_to_page(PHYS_PFN(addr))))
				return addr;
		cond_resched();
	}
	return end;
}
