/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pseudo-zones: what the files of mm/pzone share.
 *
 * Who owns what:
 *   struct pzone_node   a spare node id. Never freed, so that an allocation in
 *                       flight can hold on to its zonelist.
 *   struct pzone_pool   the memory of one device. Its worker (pool.c) is the
 *                       only one that changes owner[], state[] and the zones.
 *   struct pzone_class  one class of one pool, bound to one node id.
 *
 * pzone_mutex keeps the lists of pools and classes, the names, and the binding
 * of node ids constant. It is held briefly and never around a call to the host
 * or a page migration.
 */
#ifndef _MM_PZONE_INTERNAL_H
#define _MM_PZONE_INTERNAL_H

#include <linux/atomic.h>
#include <linux/cgroup.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/pzone.h>
#include <linux/pzone_pool.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define PZONE_NAME_LEN	(VIRTIO_PZONE_NAME_MAX + 1)

struct pzone_class;
struct cgroup_subsys_state;

/* A spare node id and its zone. */
struct pzone_node {
	int nid;
	/* The real node that the memory of its class or pool is near to. */
	int near;
	/* Online, with pageset, for good. */
	bool prepared;
	/* Taken by a class or as a pool's park; pzone_mutex. */
	bool used;
	/*
	 * Allocations are routed here: from when the class first has memory until
	 * it is destroyed. Written by the worker, read locklessly.
	 */
	bool live;
	/* One entry: the node's ZONE_MOVABLE, populated or not. */
	struct zonelist *zonelist;
	/* The class that lives here, or NULL; pzone_mutex. */
	struct pzone_class *class;

	/* Counters and OOM handshake; reset when a class moves in. */
	atomic64_t oom_events;
	atomic64_t oom_kills;
	/* Tasks take their memory along to here. */
	bool move_memory;
	/* A task left, maybe without all of its memory. */
	bool left_behind;
	/*
	 * Processes whose memory came along, those that wait for it, and pages
	 * that they left behind.
	 */
	atomic64_t moves;
	atomic_t moves_pending;
	atomic64_t move_failed;
	/* See pressure.c. */
	atomic64_t stall_us;
	spinlock_t pressure_lock;	/* the window */
	u64 window_us;
	unsigned long window_end, pressure_again;
	unsigned long refault_base, refault_told;
	/* The host gave it more, which is on its way. */
	bool growing;
	/* Moves on when blocks were given; wakes oom_wait. */
	atomic_t grown;
	wait_queue_head_t oom_wait;
	/* Until when (jiffies) an OOM waits for the host, and when it may again. */
	spinlock_t oom_lock;
	bool oom_waiting;
	unsigned long oom_until;
	unsigned long oom_again;
	/* Most pages that a failed allocation wanted since the last event. */
	unsigned long oom_pages;
	/* BIT(VIRTIO_PZONE_EVENT_*) that the host has to be told. */
	atomic_t events_pending;
	/* The last OOM found nobody to kill. */
	atomic_t oom_nobody;
	/* Blocks are being taken; an OOM meanwhile wants them back. */
	bool taking;
	bool want_back;
	/* The OOM under way is counted and told; the kill that ends it clears it. */
	atomic_t oom_told;
};

/* What has become of a block. owner[] says for which class. */
enum pzone_block_state {
	/* Not plugged. Its struct pages are there, offline. */
	PZONE_BLOCK_UNPLUGGED = 0,
	/* Plugged, its pages parked offline. */
	PZONE_BLOCK_PARKED,
	/* Plugged, its pages belong to the class's zone. */
	PZONE_BLOCK_GIVEN,
	/* Plugged, holds the memory map. */
	PZONE_BLOCK_MEMMAP,
};

struct pzone_pool {
	struct list_head list;			/* pzone_pools; pzone_mutex */
	struct list_head classes;		/* pzone_mutex; worker changes it */
	struct kobject *kobj;
	char name[PZONE_NAME_LEN];

	const struct pzone_transport *transport;
	void *priv;
	unsigned int max_entries;

	u64 addr, size, block_size;
	u32 nr_blocks;
	unsigned long block_pages;
	int nid;

	/* Set once the memory map is there. */
	bool mapped;
	struct pzone_node *park;		/* whose zone parked pages belong to */
	struct vmem_altmap *altmap;	/* NULL with ordinary_memmap */
	bool ordinary_memmap;
	struct resource *resource;

	/* One entry per block; written by the worker only. */
	u32 *owner;
	u32 *wanted;
	u8 *state;

	u32 generation;				/* of the layout pulled last */
	u32 done_generation;			/* of the layout last gone through */
	unsigned int report_ticks;
	u32 memmap_blocks;
	u32 plugged_blocks;
	bool need_unplug_all;
	bool stopped;
	atomic_t kicked;			/* the layout may have moved on */
	struct pzone_node *taking;		/* node that blocks are taken from */
	unsigned long take_until;		/* jiffies; then only what is free */
	unsigned int retry_ms;

	struct workqueue_struct *wq;
	struct delayed_work work;		/* converge */
	struct delayed_work report_work;	/* fresh counters for the host */
	struct mutex report_mutex;		/* last_report of the classes */
};

struct pzone_class {
	struct list_head list;			/* pool->classes */
	struct pzone_pool *pool;
	struct pzone_node *node;		/* NULL: no spare node id was left */
	struct kobject *kobj;
	char name[PZONE_NAME_LEN];
	u32 id;
	bool dying;
	u32 nr_cgroups;
	u32 wanted_blocks, guarantee_blocks, limit_blocks;
	u32 given_blocks;
	u32 stuck_blocks;
	u64 pinned_bytes;
	u32 reclaim_seq, reclaim_done_seq;
	u64 reclaim_bytes, reclaimed_bytes;
	u64 user_reclaimed_bytes;		/* the last order through sysfs */
	u32 state;				/* VIRTIO_PZONE_STATE_* */
	struct pzone_class_report last_report;	/* pool->report_mutex */
};

extern struct mutex pzone_mutex;
extern struct list_head pzone_pools;
extern unsigned int pzone_oom_wait_ms;
extern bool pzone_move_memory;

/* What the controller knows of a cgroup. */
struct pzone_css {
	union {
		struct cgroup_subsys_state css;
		struct pzone_css_route route;
	};
	/* The setting: "" inherits, "none" is no class. */
	char name[PZONE_NAME_LEN];
	/* What is in effect; NULL: no class, or none of that name yet. */
	struct pzone_node *node;
};

/* The pzone of the running task's class, or NULL. */
static inline const struct pzone_node *pzone_current_node(void)
{
	const struct cgroup_subsys_state *css;
	const struct pzone_node *node;

	rcu_read_lock();
	css = task_css(current, pzone_cgrp_id);
	node = READ_ONCE(container_of(css, struct pzone_css, css)->node);
	rcu_read_unlock();
	return node;
}

/* node.c */
static inline struct zone *pzone_zone(const struct pzone_node *node)
{
	return &NODE_DATA(node->nid)->node_zones[ZONE_MOVABLE];
}

struct pzone_node *pzone_node_of(int nid);
struct pzone_node *pzone_zonelist_node(const struct zonelist *zonelist);
struct pzone_node *pzone_node_get(void);
void pzone_node_put(struct pzone_node *node);
int pzone_node_prepare(struct pzone_node *node);
int pzone_node_start(struct pzone_node *node, int near);
void pzone_node_stop(struct pzone_node *node);
u64 pzone_reclaim(struct pzone_node *node, u64 bytes, const struct pzone_pool *pool);

/* extent.c */
int pzone_map_pool(struct pzone_pool *pool, u32 first, u32 nr);
void pzone_unmap_pool(struct pzone_pool *pool);
void pzone_give(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr);
u32 pzone_take(struct pzone_pool *pool, struct pzone_class *class, u32 first, u32 nr);
bool pzone_in_a_hurry(const struct pzone_pool *pool);
void pzone_zone_changed(struct pzone_pool *pool, struct pzone_class *class);
u64 pzone_used_bytes(struct pzone_pool *pool, u32 first, u32 nr);
u64 pzone_next_poisoned(struct pzone_pool *pool, u64 addr, const struct pzone_class *class);

/* pool.c */
struct pzone_class *pzone_find_class(const char *name);
u64 pzone_class_free_bytes(const struct pzone_class *class);
void pzone_class_report(struct pzone_class *class, struct pzone_class_report *report);

static inline u64 pzone_bytes(const struct pzone_pool *pool, u32 blocks)
{
	return (u64)blocks * pool->block_size;
}

/* cgroup.c */
int pzone_task_nid(struct task_struct *task);
unsigned int pzone_count_cgroups(const char *name);
void pzone_rebind_cgroups(void);

int pzone_css_nid(const struct cgroup_subsys_state *css);

/* ownership.c */
int pzone_ownership(const struct pzone_node *node, u64 used, u64 *stat, u64 *partial);

/* walk.c */
typedef u64 pzone_weigh_t(struct page *page, unsigned long nr_pages, int nid);
u64 pzone_walk(struct mm_struct *mm, pzone_weigh_t *weigh, int nid, bool may_sleep);

/* memcg.c */
#ifdef CONFIG_MEMCG
/* Of shrinker.c, which has no header for it. */
extern struct mutex shrinker_mutex;
int pzone_memcg_add_node(int nid);
#else
static inline int pzone_memcg_add_node(int nid)
{
	return 0;
}
#endif

/* move.c */
void pzone_move_task(struct task_struct *leader, int from, int to);

/* shared.c */
extern int pzone_shared_nid;

/* sysfs.c */
int pzone_sysfs_add_pool(struct pzone_pool *pool);
void pzone_sysfs_del_pool(struct pzone_pool *pool);
int pzone_sysfs_add_class(struct pzone_class *class);
void pzone_sysfs_del_class(struct pzone_class *class);

/* oom.c */
void pzone_oom_reset(struct pzone_node *node);
void pzone_oom_grown(struct pzone_node *node);
void pzone_oom_moved(int nid);

/* pressure.c */
void pzone_pressure_reset(struct pzone_node *node);
unsigned long pzone_refaults(const struct pzone_node *node);
void pzone_stalled(struct pzone_node *node, u64 start);
void pzone_tell_host(struct pzone_node *node, unsigned int kind);
void pzone_events_kick(void);
void pzone_events_flush(void);

#endif /* _MM_PZONE_INTERNAL_H */
