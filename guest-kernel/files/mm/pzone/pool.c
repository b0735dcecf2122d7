// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: pools and classes, and how they follow the host's layout.
 *
 * One worker per pool compares what the host wants with what there is and moves
 * each block along
 *
 *	  UNPLUGGED --plug--> PARKED --give--> GIVEN
 *	  UNPLUGGED <-unplug- PARKED <-take--- GIVEN
 *
 * until its owner is the one in the layout. A pass can be cut short anywhere (the
 * host changed its mind, is busy, has no memory; a page is pinned): the next pass
 * starts from the states that are, so there is nothing to undo and no message
 * that could be lost.
 */
#define pr_fmt(fmt) "pzone: " fmt

#include <linux/export.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include "../internal.h"
#include "internal.h"

/* Try again after this long, doubling, when a pass could not finish. */
#define PZONE_RETRY_MIN_MS	200
#define PZONE_RETRY_MAX_MS	10000

/* Counters are compared this often and sent when they changed. */
#define PZONE_REPORT_MS		1000

/* Every so many times all are sent. */
#define PZONE_REPORT_ALL	10

/* Tell the host of parked blocks at least this often during a long shrink. */
#define PZONE_FLUSH_MS		100

/* Move pages out of the way for at most this long in one pass. */
#define PZONE_TAKE_TIME		(10 * HZ)
#define PZONE_RETAKE_TIME	HZ

/*
 * Old blocks of a class are exchanged for new ones in such steps. A class that is full has
 * so much beyond its size meanwhile.
 */
#define PZONE_EXCHANGE_BYTES	SZ_32M

/* See internal.h for what it keeps. */
DEFINE_MUTEX(pzone_mutex);
LIST_HEAD(pzone_pools);

/* Call with pzone_mutex held, here and in the next ones. */
struct pzone_class *pzone_find_class(const char *name)
{
	struct pzone_pool *pool;
	struct pzone_class *class;

	lockdep_assert_held(&pzone_mutex);
	list_for_each_entry(pool, &pzone_pools, list)
		list_for_each_entry(class, &pool->classes, list)
			if (!class->dying && !strcmp(class->name, name))
				return class;
	return NULL;
}

static struct pzone_class *find_class_id(struct pzone_pool *pool, u32 id)
{
	struct pzone_class *class;

	list_for_each_entry(class, &pool->classes, list)
		if (class->id == id)
			return class;
	return NULL;
}

/* Free memory of a class: on the free lists, and in the lists of each CPU. */
u64 pzone_class_free_bytes(const struct pzone_class *class)
{
	struct zone *zone;
	unsigned long pages;
	int cpu;

	if (!class->node)
		return 0;
	zone = pzone_zone(class->node);
	pages = zone_page_state_snapshot(zone, NR_FREE_PAGES);
	for_each_online_cpu(cpu)
		pages += READ_ONCE(per_cpu_ptr(zone->per_cpu_pageset, cpu)->count);
	return min((u64)pages << PAGE_SHIFT,
		   pzone_bytes(class->pool, READ_ONCE(class->given_blocks)));
}

/*
 * Bytes that a node counts in pages, with what each CPU has not added yet: as free memory,
 * so that the figures of a class add up.
 */
static u64 node_bytes(struct pglist_data *pgdat, enum node_stat_item item)
{
	long pages = atomic_long_read(&pgdat->vm_stat[item]);
	int cpu;

	for_each_online_cpu(cpu)
		pages += READ_ONCE(per_cpu_ptr(pgdat->per_cpu_nodestats,
					       cpu)->vm_node_stat_diff[item]);
	return (u64)max(pages, 0L) << PAGE_SHIFT;
}

/* The kernel counts the swap cache as pages of files. */
static u64 page_cache_bytes(struct pglist_data *pgdat)
{
	u64 bytes = node_bytes(pgdat, NR_FILE_PAGES);

#ifdef CONFIG_SWAP
	bytes -= min(bytes, node_bytes(pgdat, NR_SWAPCACHE));
#endif
	return bytes;
}

void pzone_class_report(struct pzone_class *class, struct pzone_class_report *report)
{
	struct pglist_data *pgdat;

	*report = (struct pzone_class_report) {
		.class_id = class->id,
		.state = READ_ONCE(class->state),
		.stuck_blocks = READ_ONCE(class->stuck_blocks),
		.pinned_bytes = READ_ONCE(class->pinned_bytes),
		.reclaim_done_seq = READ_ONCE(class->reclaim_done_seq),
		.reclaimed_bytes = READ_ONCE(class->reclaimed_bytes),
		.nr_cgroups = READ_ONCE(class->nr_cgroups),
	};
	if (!class->node)
		return;
	pgdat = NODE_DATA(class->node->nid);
	report->free_bytes = pzone_class_free_bytes(class);
	report->anon_bytes = node_bytes(pgdat, NR_ANON_MAPPED);
	report->file_bytes = page_cache_bytes(pgdat);
	report->refault_pages = pzone_refaults(class->node);
	report->pressure_us = atomic64_read(&class->node->stall_us);
	report->oom_events = atomic64_read(&class->node->oom_events);
	report->oom_kills = atomic64_read(&class->node->oom_kills);
}

/* --- talking to the host --- */

/* Send what changed since last time, or everything. */
static void send_reports(struct pzone_pool *pool, bool all)
{
	struct pzone_class_report *reports;
	struct pzone_class *class;
	const unsigned int limit = pzone_nr_nids;
	unsigned int nr = 0, i, n;

	reports = kvcalloc(limit, sizeof(*reports), GFP_KERNEL);
	if (!reports)
		return;
	mutex_lock(&pool->report_mutex);
	mutex_lock(&pzone_mutex);
	list_for_each_entry(class, &pool->classes, list) {
		struct pzone_class_report report;

		pzone_class_report(class, &report);
		if (!all && !memcmp(&report, &class->last_report, sizeof(report)))
			continue;
		class->last_report = report;
		reports[nr++] = report;
		if (nr == limit)
			break;		/* the others in a second */
	}
	mutex_unlock(&pzone_mutex);

	/* Without a class, too: the host waits for the generation. */
	for (i = 0; i < nr || (all && !i); i += n) {
		n = min(nr - i, pool->max_entries);
		if (pool->transport->report(pool->priv, pool->done_generation, reports + i, n) ||
		    !n)
			break;
	}
	mutex_unlock(&pool->report_mutex);
	kvfree(reports);
}

static void report_work(struct work_struct *work)
{
	struct pzone_pool *pool = container_of(to_delayed_work(work), struct pzone_pool,
					       report_work);

	/* All of them now and then: a host that was restored has forgotten. */
	send_reports(pool, !(++pool->report_ticks % PZONE_REPORT_ALL));
	if (!READ_ONCE(pool->stopped))
		queue_delayed_work(pool->wq, &pool->report_work,
				   msecs_to_jiffies(PZONE_REPORT_MS));
}

/* A list of extents on its way to the host. */
struct batch {
	struct pzone_pool *pool;
	bool plug;
	unsigned int nr;
	struct pzone_extent *extents;
	u32 *status;
	/* Some extents have to be tried again later. */
	bool again;
};

static int batch_init(struct batch *batch, struct pzone_pool *pool, bool plug)
{
	*batch = (struct batch) { .pool = pool, .plug = plug };
	batch->extents = kvcalloc(pool->max_entries, sizeof(*batch->extents), GFP_KERNEL);
	batch->status = kvcalloc(pool->max_entries, sizeof(*batch->status), GFP_KERNEL);
	if (batch->extents && batch->status)
		return 0;
	kvfree(batch->extents);
	kvfree(batch->status);
	return -ENOMEM;
}

static void batch_done(struct batch *batch)
{
	kvfree(batch->extents);
	kvfree(batch->status);
}

static int batch_send(struct batch *batch)
{
	struct pzone_pool *pool = batch->pool;
	const struct pzone_transport *transport = pool->transport;
	unsigned int i;
	int rc;

	if (!batch->nr)
		return 0;
	rc = (batch->plug ? transport->plug : transport->unplug)(pool->priv, pool->generation,
								 batch->extents, batch->nr,
								 batch->status);
	for (i = 0; !rc && i < batch->nr; i++) {
		const struct pzone_extent *extent = &batch->extents[i];
		u32 b;

		if (batch->status[i] != VIRTIO_PZONE_OK) {
			batch->again = true;
			continue;
		}
		for (b = extent->first_block; b < extent->first_block + extent->nr_blocks; b++) {
			pool->state[b] = batch->plug ? PZONE_BLOCK_PARKED : PZONE_BLOCK_UNPLUGGED;
			pool->owner[b] = batch->plug ? extent->class_id : PZONE_NO_CLASS;
		}
		if (batch->plug)
			pool->plugged_blocks += extent->nr_blocks;
		else
			pool->plugged_blocks -= extent->nr_blocks;
	}
	batch->nr = 0;
	return rc;
}

static int batch_add(struct batch *batch, u32 class_id, u32 first, u32 nr)
{
	batch->extents[batch->nr++] = (struct pzone_extent) { class_id, first, nr };
	return batch->nr == batch->pool->max_entries ? batch_send(batch) : 0;
}

/* --- classes --- */

/* Give the class a node id, if there is one. Tried again with every layout. */
static void attach_node(struct pzone_class *class)
{
	struct pzone_node *node;

	mutex_lock(&pzone_mutex);
	node = pzone_node_get();
	mutex_unlock(&pzone_mutex);
	if (node && pzone_node_start(node, class->pool->nid)) {
		mutex_lock(&pzone_mutex);
		pzone_node_put(node);
		mutex_unlock(&pzone_mutex);
		node = NULL;
	}
	if (!node)
		return;

	node->move_memory = true;
	node->left_behind = false;
	node->growing = false;
	pzone_oom_reset(node);
	pzone_pressure_reset(node);
	mutex_lock(&pzone_mutex);
	node->class = class;
	class->node = node;
	mutex_unlock(&pzone_mutex);
	pr_info("%s: class %s is node %d\n", class->pool->name, class->name, node->nid);
}

static struct pzone_class *create_class(struct pzone_pool *pool,
					const struct pzone_layout_class *from)
{
	struct pzone_class *class = kzalloc(sizeof(*class), GFP_KERNEL);

	if (!class)
		return NULL;
	class->pool = pool;
	class->id = from->id;
	strscpy(class->name, from->name);
	/* Orders given before we knew the class are not replayed. */
	class->reclaim_seq = from->reclaim_seq;
	class->reclaim_done_seq = from->reclaim_seq;
	mutex_lock(&pzone_mutex);
	list_add_tail(&class->list, &pool->classes);
	mutex_unlock(&pzone_mutex);
	pzone_sysfs_add_class(class);
	/* For good: an allocation may be under way when the last class goes. */
	static_branch_enable(&pzone_enabled);
	attach_node(class);
	if (!class->node)
		pr_err("%s: no node id is left for class %s; destroy another, or boot with pzone_nodes= more than %u\n",
		       pool->name, class->name, pzone_nr_nids);
	return class;
}

/* From now on allocations go elsewhere, and so does what migrates. */
static void quiesce_class(struct pzone_class *class)
{
	if (class->dying)
		return;
	mutex_lock(&pzone_mutex);
	class->dying = true;
	mutex_unlock(&pzone_mutex);
	if (class->node) {
		WRITE_ONCE(class->node->live, false);
		wake_up_all(&class->node->oom_wait);
	}
	pzone_rebind_cgroups();
}

/* Forget a class that has no memory. */
static void destroy_class(struct pzone_class *class)
{
	quiesce_class(class);
	pzone_sysfs_del_class(class);
	if (class->node)
		pzone_node_stop(class->node);
	mutex_lock(&pzone_mutex);
	list_del(&class->list);
	if (class->node) {
		class->node->class = NULL;
		pzone_node_put(class->node);
	}
	mutex_unlock(&pzone_mutex);
	pr_info("%s: class %s is gone\n", class->pool->name, class->name);
	/* Another pool may have a class of that name. */
	pzone_rebind_cgroups();
	kfree(class);
}

static bool class_has_blocks(const struct pzone_class *class)
{
	const struct pzone_pool *pool = class->pool;
	u32 i;

	if (class->given_blocks)
		return true;
	for (i = 0; i < pool->nr_blocks; i++)
		if (pool->state[i] != PZONE_BLOCK_UNPLUGGED && pool->owner[i] == class->id)
			return true;
	return false;
}

/* --- convergence --- */

/* Blocks in a row that are alike. */
struct run {
	u32 first, nr;
	u32 owner, wanted;
	u8 state;
};

/* The next run at or behind @from of blocks alike in owner, wanted and state. */
static bool next_run(const struct pzone_pool *pool, u32 from, struct run *run)
{
	u32 i = from;

	if (from >= pool->nr_blocks)
		return false;
	*run = (struct run) { .first = from, .owner = pool->owner[from],
			      .wanted = pool->wanted[from], .state = pool->state[from] };
	while (i < pool->nr_blocks && pool->owner[i] == run->owner &&
	       pool->wanted[i] == run->wanted && pool->state[i] == run->state)
		i++;
	run->nr = i - from;
	return true;
}

#define for_each_run(pool, run)					\
	for (u32 __i = 0; next_run(pool, __i, run); __i = (run)->first + (run)->nr)

/* Is there plugged memory that the class is to have and was not given yet? */
static bool has_parked(const struct pzone_pool *pool, const struct pzone_class *class)
{
	struct run run;

	for_each_run(pool, &run)
		if (run.state == PZONE_BLOCK_PARKED && run.owner == class->id &&
		    run.wanted == class->id)
			return true;
	return false;
}

static const struct pzone_layout_class *layout_class(const struct pzone_layout *layout, u32 id)
{
	unsigned int i;

	for (i = 0; i < layout->nr_classes; i++)
		if (layout->classes[i].id == id)
			return &layout->classes[i];
	return NULL;
}

static int apply_layout(struct pzone_pool *pool, const struct pzone_layout *layout)
{
	u32 *wanted = pool->wanted;
	struct pzone_class *class, *next;
	unsigned int i;
	u32 b;

	/* The host is trusted with our memory, but not to be free of mistakes. */
	memset32(wanted, PZONE_NO_CLASS, pool->nr_blocks);
	for (i = 0; i < layout->nr_extents; i++) {
		const struct pzone_extent *extent = &layout->extents[i];

		if (!extent->nr_blocks || extent->first_block >= pool->nr_blocks ||
		    extent->nr_blocks > pool->nr_blocks - extent->first_block)
			goto bad;
		for (b = 0; b < extent->nr_blocks; b++) {
			if (wanted[extent->first_block + b] != PZONE_NO_CLASS)
				goto bad;
			wanted[extent->first_block + b] = extent->class_id;
		}
	}

	/* What is gone goes first: its name may be in use again. */
	list_for_each_entry_safe(class, next, &pool->classes, list) {
		const struct pzone_layout_class *to = layout_class(layout, class->id);

		if (!to || to->dying)
			quiesce_class(class);
		if (!to && !class_has_blocks(class))
			destroy_class(class);
	}
	for (i = 0; i < layout->nr_classes; i++) {
		const struct pzone_layout_class *to = &layout->classes[i];

		if (to->id == VIRTIO_PZONE_CLASS_MEMMAP) {
			pool->memmap_blocks = to->wanted_blocks;
			continue;
		}
		class = find_class_id(pool, to->id);
		/* Classes need the memory map first. */
		if (!class && !to->dying && pool->mapped) {
			class = create_class(pool, to);
			if (!class)
				return -ENOMEM;
		}
		if (!class)
			continue;
		if (!class->node && !to->dying)
			attach_node(class);
		WRITE_ONCE(class->wanted_blocks, to->wanted_blocks);
		WRITE_ONCE(class->guarantee_blocks, to->guarantee_blocks);
		WRITE_ONCE(class->limit_blocks, to->limit_blocks);
		class->reclaim_seq = to->reclaim_seq;
		class->reclaim_bytes = to->reclaim_bytes;
	}
	if (pool->generation != layout->generation)
		pool->retry_ms = PZONE_RETRY_MIN_MS;
	pool->generation = layout->generation;
	return 0;

bad:
	pr_err("%s: the host's layout %u has a bad extent: class %u, blocks %u+%u of %u\n",
	       pool->name, layout->generation, layout->extents[i].class_id,
	       layout->extents[i].first_block, layout->extents[i].nr_blocks, pool->nr_blocks);
	return -EIO;
}

static int pull(struct pzone_pool *pool)
{
	struct pzone_layout layout = {};
	int rc;

	atomic_set(&pool->kicked, 0);
	rc = pool->transport->pull(pool->priv, &layout);
	if (!rc)
		rc = apply_layout(pool, &layout);
	kvfree(layout.classes);
	kvfree(layout.extents);
	return rc;
}

static int plug_memmap(struct pzone_pool *pool)
{
	struct batch batch;
	struct run run;
	u32 first = 0, nr = 0;
	int rc;

	for_each_run(pool, &run) {
		if (run.wanted == VIRTIO_PZONE_CLASS_MEMMAP) {
			first = nr ? first : run.first;
			nr += run.nr;
		}
	}
	if (!nr)
		return 0;	/* the host gives us nothing yet */

	rc = batch_init(&batch, pool, true);
	if (rc)
		return rc;
	for_each_run(pool, &run) {
		if (run.wanted == VIRTIO_PZONE_CLASS_MEMMAP &&
		    run.state == PZONE_BLOCK_UNPLUGGED) {
			rc = batch_add(&batch, run.wanted, run.first, run.nr);
			if (rc)
				break;
		}
	}
	if (!rc)
		rc = batch_send(&batch);
	if (!rc && batch.again)
		rc = -EBUSY;
	batch_done(&batch);
	if (rc)
		return rc;
	rc = pzone_map_pool(pool, first, nr);
	if (!rc) {
		memset(pool->state + first, PZONE_BLOCK_MEMMAP, nr);
		/* The classes were waiting for this. */
		atomic_set(&pool->kicked, 1);
	}
	return rc;
}

/* Hand parked memory to its class until that has so many blocks. */
static void give_up_to(struct pzone_pool *pool, struct pzone_class *class, u32 blocks)
{
	bool gave = false;
	struct run run;

	for_each_run(pool, &run) {
		if (class->given_blocks >= blocks)
			break;
		if (run.state != PZONE_BLOCK_PARKED || run.owner != class->id ||
		    run.wanted != class->id)
			continue;
		run.nr = min(run.nr, blocks - class->given_blocks);
		pzone_give(pool, class, run.first, run.nr);
		gave = true;
	}
	if (!gave)
		return;
	pzone_zone_changed(pool, class);
	/* Not before there is memory: tasks that name it are waiting. */
	if (!class->node->live) {
		WRITE_ONCE(class->node->live, true);
		pzone_rebind_cgroups();
	}
	pzone_oom_grown(class->node);
}

/* Between these two an OOM of the class asks for what is being taken from it, and waits. */
static void begin_take(struct pzone_pool *pool, struct pzone_class *class)
{
	pool->taking = class->node;
	WRITE_ONCE(class->node->want_back, false);
	WRITE_ONCE(class->node->taking, true);
}

static void end_take(struct pzone_pool *pool, struct pzone_class *class)
{
	WRITE_ONCE(class->node->taking, false);
	wake_up_all(&class->node->oom_wait);
	pool->taking = NULL;
}

/* Is there free memory for all that may be in so many blocks of the class? */
static bool has_room(const struct pzone_pool *pool, const struct pzone_class *class, u32 blocks)
{
	struct zone *zone = pzone_zone(class->node);

	return zone_page_state(zone, NR_FREE_PAGES) >=
	       blocks * pool->block_pages + high_wmark_pages(zone);
}

/*
 * Take a run of blocks from its class. A class that the host brings together has more
 * blocks than its size for a while, old ones and new ones. What is beyond its size stays
 * parked, or its tasks would fill it; but the pages of old blocks need a place to go to.
 * So the two are exchanged bit by bit: old ones first, or new ones first if the class is
 * too full for that. Returns the number of blocks that are stuck.
 */
static u32 take_run(struct pzone_pool *pool, struct pzone_class *class, const struct run *run)
{
	const u32 end = run->first + run->nr;
	u32 step = max_t(u32, PZONE_EXCHANGE_BYTES / pool->block_size, 1);
	u32 stuck = 0, first, nr;
	bool exchange = !class->dying && has_parked(pool, class);

	if (!exchange)
		step = run->nr;
	for (first = run->first; first < end; first += nr) {
		nr = min(end - first, step);
		if (exchange && !has_room(pool, class, nr))
			give_up_to(pool, class, class->wanted_blocks + nr);
		begin_take(pool, class);
		stuck += pzone_take(pool, class, first, nr);
		pzone_zone_changed(pool, class);
		if (exchange)
			give_up_to(pool, class, class->wanted_blocks);
		end_take(pool, class);
		if (atomic_read(&pool->kicked))
			break;
	}
	return stuck;
}

/* Take what classes have and should not have, and tell the host. */
static int take_and_unplug(struct pzone_pool *pool, bool *again)
{
	unsigned long flush_at = jiffies + msecs_to_jiffies(PZONE_FLUSH_MS);
	struct pzone_class *class;
	struct batch batch;
	struct run run;
	int rc;

	list_for_each_entry(class, &pool->classes, list) {
		class->stuck_blocks = 0;
		class->pinned_bytes = 0;
	}
	rc = batch_init(&batch, pool, false);
	if (rc)
		return rc;
	/* What did not move for this layout before seldom does now. */
	pool->take_until = jiffies + (pool->generation == pool->done_generation ?
				      PZONE_RETAKE_TIME : PZONE_TAKE_TIME);
	for_each_run(pool, &run) {
		u32 i;

		if (run.owner == run.wanted || run.state == PZONE_BLOCK_UNPLUGGED ||
		    run.state == PZONE_BLOCK_MEMMAP)
			continue;
		class = find_class_id(pool, run.owner);
		if (run.state == PZONE_BLOCK_GIVEN) {
			u32 stuck = take_run(pool, class, &run);

			WRITE_ONCE(class->stuck_blocks, class->stuck_blocks + stuck);
			for (i = run.first; i < run.first + run.nr && stuck; i++) {
				if (pool->state[i] != PZONE_BLOCK_GIVEN)
					continue;
				WRITE_ONCE(class->pinned_bytes, class->pinned_bytes +
					   pzone_used_bytes(pool, i, 1));
			}
		}
		/* All of it or parts were taken. */
		for (i = run.first; i < run.first + run.nr;) {
			u32 from = i;

			while (i < run.first + run.nr && pool->state[i] == PZONE_BLOCK_PARKED)
				i++;
			if (i > from)
				rc = batch_add(&batch, run.owner, from, i - from);
			if (rc)
				goto out;
			while (i < run.first + run.nr && pool->state[i] != PZONE_BLOCK_PARKED)
				i++;
		}
		if (time_after(jiffies, flush_at)) {
			rc = batch_send(&batch);
			if (rc)
				goto out;
			flush_at = jiffies + msecs_to_jiffies(PZONE_FLUSH_MS);
		}
		if (atomic_read(&pool->kicked)) {
			rc = -ESTALE;
			break;
		}
	}
	/* Also when we were interrupted: what is parked can go. */
	if (!rc || rc == -ESTALE) {
		int rc2 = batch_send(&batch);

		rc = rc ? rc : rc2;
	}
out:
	*again |= batch.again;
	batch_done(&batch);
	return rc;
}

/* Ask the host for what classes should have. */
static int plug(struct pzone_pool *pool, bool *again)
{
	struct batch batch;
	struct run run;
	int rc;

	rc = batch_init(&batch, pool, true);
	if (rc)
		return rc;
	for_each_run(pool, &run) {
		const struct pzone_class *class;

		if (run.state != PZONE_BLOCK_UNPLUGGED || run.wanted == PZONE_NO_CLASS)
			continue;
		class = find_class_id(pool, run.wanted);
		if (!class || !class->node || class->dying)
			continue;
		rc = batch_add(&batch, run.wanted, run.first, run.nr);
		if (rc)
			goto out;
	}
	rc = batch_send(&batch);
out:
	*again |= batch.again;
	batch_done(&batch);
	return rc;
}

/* Hand memory to its class. */
static void give(struct pzone_pool *pool)
{
	struct pzone_class *class;

	list_for_each_entry(class, &pool->classes, list) {
		if (class->node && !class->dying)
			give_up_to(pool, class, class->wanted_blocks);
	}
}

/* An OOM in a class that is to get blocks waits for them. */
static void mark_growing(struct pzone_pool *pool)
{
	const struct pzone_class *class;
	struct run run;

	for_each_run(pool, &run) {
		if (run.wanted == PZONE_NO_CLASS || run.wanted == run.owner)
			continue;
		class = find_class_id(pool, run.wanted);
		if (class && class->node)
			WRITE_ONCE(class->node->growing, true);
	}
}

static void done_growing(struct pzone_pool *pool)
{
	const struct pzone_class *class;

	list_for_each_entry(class, &pool->classes, list) {
		if (!class->node || !class->node->growing)
			continue;
		WRITE_ONCE(class->node->growing, false);
		wake_up_all(&class->node->oom_wait);
	}
}

/* Carry out orders to reclaim inside a class. */
static void directed_reclaim(struct pzone_pool *pool)
{
	struct pzone_class *class;

	pool->take_until = jiffies + PZONE_TAKE_TIME;
	list_for_each_entry(class, &pool->classes, list) {
		if (class->reclaim_seq == class->reclaim_done_seq)
			continue;
		WRITE_ONCE(class->reclaimed_bytes, class->node ?
			   pzone_reclaim(class->node, class->reclaim_bytes, pool) : 0);
		WRITE_ONCE(class->reclaim_done_seq, class->reclaim_seq);
	}
}

/* True if all classes have what the layout says; the others get @unsettled. */
static bool judge(struct pzone_pool *pool, u32 unsettled)
{
	struct pzone_class *class;
	struct run run;
	bool settled = true;

	list_for_each_entry(class, &pool->classes, list) {
		WRITE_ONCE(class->state, VIRTIO_PZONE_STATE_SETTLED);
		WRITE_ONCE(class->nr_cgroups, pzone_count_cgroups(class->name));
	}
	for_each_run(pool, &run) {
		u32 id = run.state == PZONE_BLOCK_UNPLUGGED ? run.wanted : run.owner;

		if (run.owner == run.wanted &&
		    (run.state == PZONE_BLOCK_GIVEN || run.state == PZONE_BLOCK_MEMMAP))
			continue;
		class = find_class_id(pool, id);
		if (!class)
			continue;
		/* Beyond its size: that it is there is all that the host wants. */
		if (run.owner == run.wanted && run.state == PZONE_BLOCK_PARKED &&
		    class->given_blocks >= class->wanted_blocks)
			continue;
		WRITE_ONCE(class->state, unsettled);
		settled = false;
	}
	return settled;
}

static int converge(struct pzone_pool *pool)
{
	struct pzone_class *class, *next;
	bool again = false, freed_node = false;
	int rc;

	if (pool->need_unplug_all) {
		rc = pool->transport->unplug_all(pool->priv);
		if (rc)
			return rc;
		pool->need_unplug_all = false;
	}
	rc = pull(pool);
	if (rc)
		return rc;
	if (!pool->mapped) {
		rc = plug_memmap(pool);
		if (rc || !pool->mapped)
			return rc;
		return -ESTALE;
	}
	mark_growing(pool);
	/* A retry of what did not work is no news. */
	if (pool->generation != pool->done_generation &&
	    !judge(pool, VIRTIO_PZONE_STATE_CONVERGING))
		send_reports(pool, false);
	rc = take_and_unplug(pool, &again);
	if (!rc)
		rc = plug(pool, &again);
	give(pool);
	done_growing(pool);
	init_per_zone_wmark_min();
	list_for_each_entry_safe(class, next, &pool->classes, list) {
		if (class->dying && !class_has_blocks(class)) {
			destroy_class(class);
			freed_node = true;
		}
	}
	if (rc)
		return rc;
	/* A class may have been waiting for the node id. */
	list_for_each_entry(class, &pool->classes, list)
		if (freed_node && !class->node && !class->dying)
			atomic_set(&pool->kicked, 1);
	directed_reclaim(pool);
	if (!judge(pool, VIRTIO_PZONE_STATE_PARTIAL) || again)
		rc = -EAGAIN;
	WRITE_ONCE(pool->done_generation, pool->generation);
	send_reports(pool, true);
	return rc;
}

static void converge_work(struct work_struct *work)
{
	struct pzone_pool *pool = container_of(to_delayed_work(work), struct pzone_pool, work);
	int rc;

	do {
		rc = READ_ONCE(pool->stopped) ? 0 : converge(pool);
		cond_resched();
	} while (rc == -ESTALE || (atomic_read(&pool->kicked) && !READ_ONCE(pool->stopped) &&
				   rc != -EIO && rc != -EBUSY));

	switch (rc) {
	case 0:
		pool->retry_ms = PZONE_RETRY_MIN_MS;
		break;
	case -EIO:
		pr_err("%s: the host does not answer or refused; waiting for a new layout\n",
		       pool->name);
		break;
	default:
		/* Pinned pages, a busy host, no memory. */
		if (!READ_ONCE(pool->stopped))
			queue_delayed_work(pool->wq, &pool->work,
					   msecs_to_jiffies(pool->retry_ms));
		pool->retry_ms = min(pool->retry_ms * 2, PZONE_RETRY_MAX_MS);
	}
}

/* --- what the transport calls --- */

struct pzone_pool *pzone_pool_register(const struct pzone_pool_params *params,
				       const struct pzone_transport *transport, void *priv)
{
	const u64 section = (u64)PAGES_PER_SECTION << PAGE_SHIFT;
	struct pzone_pool *pool;
	int rc = -EINVAL;

	if (!pzone_available())
		return ERR_PTR(-EOPNOTSUPP);
	if (!mhp_range_allowed(params->addr, params->size, true)) {
		pr_err("%s: [mem %#llx-%#llx] is more than this machine can map\n", params->name,
		       params->addr, params->addr + params->size - 1);
		return ERR_PTR(-E2BIG);
	}
	if (!IS_ALIGNED(params->addr, section) || !IS_ALIGNED(params->size, section) ||
	    !params->size || !is_power_of_2(params->block_size) ||
	    params->block_size < PAGE_SIZE * pageblock_nr_pages ||
	    params->block_size > section || !params->max_entries ||
	    params->size / params->block_size > U32_MAX) {
		pr_err("%s: can't use [mem %#llx-%#llx] in blocks of %llu bytes\n", params->name,
		       params->addr, params->addr + params->size - 1, params->block_size);
		return ERR_PTR(-EINVAL);
	}

	pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&pool->classes);
	INIT_DELAYED_WORK(&pool->work, converge_work);
	INIT_DELAYED_WORK(&pool->report_work, report_work);
	mutex_init(&pool->report_mutex);
	strscpy(pool->name, params->name);
	pool->transport = transport;
	pool->priv = priv;
	pool->addr = params->addr;
	pool->size = params->size;
	pool->block_size = params->block_size;
	pool->nr_blocks = div64_u64(params->size, params->block_size);
	pool->block_pages = params->block_size >> PAGE_SHIFT;
	pool->nid = params->nid;
	pool->max_entries = params->max_entries;
	pool->ordinary_memmap = params->ordinary_memmap;
	pool->need_unplug_all = true;
	pool->retry_ms = PZONE_RETRY_MIN_MS;

	rc = -ENOMEM;
	pool->owner = kvmalloc_array(pool->nr_blocks, sizeof(*pool->owner), GFP_KERNEL);
	pool->wanted = kvmalloc_array(pool->nr_blocks, sizeof(*pool->wanted), GFP_KERNEL);
	pool->state = kvzalloc(pool->nr_blocks, GFP_KERNEL);
	pool->wq = alloc_workqueue("pzone-%s", WQ_UNBOUND | WQ_FREEZABLE, 0, pool->name);
	if (!pool->owner || !pool->wanted || !pool->state || !pool->wq)
		goto err;
	memset32(pool->owner, PZONE_NO_CLASS, pool->nr_blocks);
	memset32(pool->wanted, PZONE_NO_CLASS, pool->nr_blocks);

	mutex_lock(&pzone_mutex);
	pool->park = pzone_node_get();
	if (pool->park)
		WRITE_ONCE(pool->park->near, pool->nid);
	mutex_unlock(&pzone_mutex);
	rc = -ENOSPC;
	if (!pool->park) {
		pr_err("%s: no node id left for the pool; boot with pzone_nodes= more than %u\n",
		       pool->name, pzone_nr_nids);
		goto err;
	}
	rc = pzone_sysfs_add_pool(pool);
	if (rc)
		goto err;
	mutex_lock(&pzone_mutex);
	list_add_tail(&pool->list, &pzone_pools);
	mutex_unlock(&pzone_mutex);
	queue_delayed_work(pool->wq, &pool->work, 0);
	queue_delayed_work(pool->wq, &pool->report_work, msecs_to_jiffies(PZONE_REPORT_MS));
	return pool;

err:
	if (pool->park) {
		mutex_lock(&pzone_mutex);
		pzone_node_put(pool->park);
		mutex_unlock(&pzone_mutex);
	}
	if (pool->wq)
		destroy_workqueue(pool->wq);
	kvfree(pool->owner);
	kvfree(pool->wanted);
	kvfree(pool->state);
	kfree(pool);
	return ERR_PTR(rc);
}
EXPORT_SYMBOL_GPL(pzone_pool_register);

void pzone_pool_kick(struct pzone_pool *pool)
{
	atomic_set(&pool->kicked, 1);
	if (!READ_ONCE(pool->stopped))
		mod_delayed_work(pool->wq, &pool->work, 0);
}
EXPORT_SYMBOL_GPL(pzone_pool_kick);

void pzone_pool_stop(struct pzone_pool *pool)
{
	mutex_lock(&pzone_mutex);
	WRITE_ONCE(pool->stopped, true);
	mutex_unlock(&pzone_mutex);
	atomic_set(&pool->kicked, 1);	/* cut a long pass short */
	cancel_delayed_work_sync(&pool->work);
	cancel_delayed_work_sync(&pool->report_work);
	pzone_events_flush();
}
EXPORT_SYMBOL_GPL(pzone_pool_stop);

void pzone_pool_resume(struct pzone_pool *pool)
{
	mutex_lock(&pzone_mutex);
	WRITE_ONCE(pool->stopped, false);
	mutex_unlock(&pzone_mutex);
	pzone_pool_kick(pool);
	pzone_events_kick();
	queue_delayed_work(pool->wq, &pool->report_work, msecs_to_jiffies(PZONE_REPORT_MS));
}
EXPORT_SYMBOL_GPL(pzone_pool_resume);

int pzone_pool_unregister(struct pzone_pool *pool)
{
	struct pzone_class *class, *next;
	struct run run;
	u32 stuck = 0;

	atomic_set(&pool->kicked, 0);
	pool->take_until = jiffies + PZONE_TAKE_TIME;
	list_for_each_entry(class, &pool->classes, list)
		quiesce_class(class);
	for_each_run(pool, &run) {
		if (run.state != PZONE_BLOCK_GIVEN)
			continue;
		class = find_class_id(pool, run.owner);
		begin_take(pool, class);
		stuck += pzone_take(pool, class, run.first, run.nr);
		pzone_zone_changed(pool, class);
		end_take(pool, class);
	}
	if (stuck) {
		pr_warn("%s: %llu bytes are in use and can't be moved: the pool stays until reboot\n",
			pool->name, pzone_bytes(pool, stuck));
		return -EBUSY;
	}
	list_for_each_entry_safe(class, next, &pool->classes, list)
		destroy_class(class);
	/* First: "poisoned" reads the memory map. */
	pzone_sysfs_del_pool(pool);
	pzone_unmap_pool(pool);
	mutex_lock(&pzone_mutex);
	list_del(&pool->list);
	pzone_node_put(pool->park);
	mutex_unlock(&pzone_mutex);
	destroy_workqueue(pool->wq);
	kvfree(pool->owner);
	kvfree(pool->wanted);
	kvfree(pool->state);
	kfree(pool);
	return 0;
}
EXPORT_SYMBOL_GPL(pzone_pool_unregister);

#include "tests/pool-kunit.h"
