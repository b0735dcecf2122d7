// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: page cache of files that more than one class uses.
 *
 * It is kept in the class of the name "shared", if the host made one; no task can
 * be in that. The rule: a regular file is of the first class whose task opens it.
 * When a task of another class opens it, it is shared, for as long as its inode is
 * in memory. What tasks of a class read or write of it from then on is allocated in
 * "shared"; what classes have of it already is moved there once, as far as there is
 * room. Tasks without a class do not count and allocate ordinary memory as ever.
 *
 * "shared" reclaims itself as each class does. When that does not help, an
 * allocation falls back to the class of the task that makes it, so who fills
 * "shared" takes cache from the others, and nothing else.
 *
 * A file's class is kept in unused bits of its mapping's flags, and that it is
 * shared in the gfp_mask that its page cache is allocated with: there is no
 * hook where page cache is looked up or allocated.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/path.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/workqueue.h>

#include "../internal.h"
#include "internal.h"

/* In mapping->flags, behind AS_FOLIO_ORDER_MAX: 1 + node id of the first class. */
#define AS_CLASS_SHIFT	32
#define AS_CLASS_MASK	GENMASK_ULL(AS_CLASS_SHIFT + 10, AS_CLASS_SHIFT)

/* The node id of "shared"; NUMA_NO_NODE: there is none. */
int pzone_shared_nid = NUMA_NO_NODE;

struct shared_file {
	struct work_struct work;
	/* Keeps the file system mounted, too. */
	struct path path;
};

static struct workqueue_struct *shared_wq;

/* The first class of a file; @nid if it has none yet, or one that is gone. */
static int first_class(struct address_space *mapping, int nid)
{
	unsigned long old = READ_ONCE(mapping->flags), new;
	const struct pzone_node *node;

	do {
		node = pzone_node_of((int)((old & AS_CLASS_MASK) >> AS_CLASS_SHIFT) - 1);
		if (node && READ_ONCE(node->live))
			return node->nid;
		new = (old & ~AS_CLASS_MASK) | ((unsigned long)(nid + 1) << AS_CLASS_SHIFT);
	} while (!try_cmpxchg(&mapping->flags, &old, new));
	return nid;
}

static struct folio *alloc_shared(struct folio *src, unsigned long private)
{
	const struct pzone_node *node = pzone_node_of((int)private);
	struct zone *zone = pzone_zone(node);
	unsigned int acting;
	struct folio *folio;

	/*
	 * Not at the cost of what is in use there. When "shared" has gone, its node id
	 * may be another class's.
	 */
	if (node->nid != READ_ONCE(pzone_shared_nid) || !READ_ONCE(node->live) ||
	    !zone_watermark_ok(zone, folio_order(src), high_wmark_pages(zone), ZONE_MOVABLE, 0))
		return NULL;
	acting = pzone_act(PZONE_ACT_PAGE);
	folio = __folio_alloc(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN | __GFP_COMP,
			      folio_order(src), node->nid, NULL);
	pzone_act_end(acting);
	return folio;
}

/* Isolate what classes other than @nid have. */
static void isolate_batch(struct folio_batch *batch, int nid, struct list_head *list)
{
	unsigned int i;

	for (i = 0; i < folio_batch_count(batch); i++) {
		struct folio *folio = batch->folios[i];

		if (!node_is_spare(folio_nid(folio)) || folio_nid(folio) == nid ||
		    !folio_isolate_lru(folio))
			continue;
		list_add_tail(&folio->lru, list);
		node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio),
				    folio_nr_pages(folio));
	}
}

static void move_file(struct address_space *mapping, int nid)
{
	struct folio_batch batch;
	LIST_HEAD(list);
	pgoff_t index = 0;
	int rc = 0;

	folio_batch_init(&batch);
	/* Pages that were just read are still on their way to the LRU. */
	lru_add_drain_all();
	while (!rc && filemap_get_folios(mapping, &index, ULONG_MAX, &batch)) {
		isolate_batch(&batch, nid, &list);
		folio_batch_release(&batch);
		if (!list_empty(&list))
			/* Waits for no read or write-out: one dead server would hold up all. */
			rc = migrate_pages(&list, alloc_shared, NULL, nid, MIGRATE_SYNC_LIGHT,
					   MR_SYSCALL, NULL);
		putback_movable_pages(&list);
		/* So many are in use just now; only want of room ends it. */
		rc = min(rc, 0);
		cond_resched();
	}
}

static void move_work(struct work_struct *work)
{
	struct shared_file *file = container_of(work, struct shared_file, work);
	const int nid = READ_ONCE(pzone_shared_nid);

	if (pzone_node_of(nid))
		move_file(d_inode(file->path.dentry)->i_mapping, nid);
	path_put(&file->path);
	kfree(file);
}

/**
 * __pzone_file_opened - a task opened a file: is it shared now?
 * @file: the file
 */
void __pzone_file_opened(struct file *file)
{
	struct address_space *mapping = file->f_mapping;
	const struct pzone_node *node = pzone_current_node();
	struct shared_file *shared;

	/* tmpfs can't be reclaimed without swap, and stays with who fills it. */
	if (!node || !S_ISREG(file_inode(file)->i_mode) ||
	    shmem_mapping(mapping) || is_file_hugepages(file) || dax_mapping(mapping))
		return;
	if (first_class(mapping, node->nid) == node->nid ||
	    mapping->gfp_mask & __GFP_PZONE_SHARED ||
	    !pzone_node_of(READ_ONCE(pzone_shared_nid)))
		return;
	mapping_set_gfp_mask(mapping, mapping_gfp_mask(mapping) | __GFP_PZONE_SHARED);
	if (!mapping->nrpages)
		return;
	shared = kmalloc(sizeof(*shared), GFP_KERNEL | __GFP_NOWARN);
	if (!shared)
		return;		/* it stays where it is until it is reclaimed */
	shared->path = file->f_path;
	path_get(&shared->path);
	INIT_WORK(&shared->work, move_work);
	queue_work(shared_wq, &shared->work);
}

static int __init pzone_shared_init(void)
{
	/* Ordered: one migration at a time is load enough. */
	shared_wq = alloc_ordered_workqueue("pzone-shared", WQ_FREEZABLE);
	return shared_wq ? 0 : -ENOMEM;
}
core_initcall(pzone_shared_init);
