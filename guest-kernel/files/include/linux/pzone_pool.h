/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pseudo-zones: what a transport (virtio-mem, a hypervisor's store) offers to
 * mm/pzone, and what it may call.
 *
 * The pool code owns the convergence: it pulls the layout that the host wants,
 * compares it with what it has, takes memory out of classes, tells the host,
 * asks for new memory, gives it to classes, and reports. The transport only
 * carries these messages. Blocks are counted from the start of the region.
 */
#ifndef _LINUX_PZONE_POOL_H
#define _LINUX_PZONE_POOL_H

#include <linux/types.h>
#include <uapi/linux/virtio_pzone.h>

struct pzone_pool;

/* No class: the owner of a block that nobody has. */
#define PZONE_NO_CLASS		U32_MAX

struct pzone_layout_class {
	u32 id;
	bool dying;
	u32 wanted_blocks;
	u32 guarantee_blocks;
	u32 limit_blocks;
	u32 reclaim_seq;
	u64 reclaim_bytes;
	char name[VIRTIO_PZONE_NAME_MAX + 1];
};

struct pzone_extent {
	u32 class_id;
	u32 first_block;
	u32 nr_blocks;
};

struct pzone_layout {
	u32 generation;
	u32 nr_classes;
	u32 nr_extents;
	struct pzone_layout_class *classes;	/* kvmalloc'ed; the pool frees */
	struct pzone_extent *extents;		/* kvmalloc'ed; the pool frees */
};

struct pzone_class_report {
	u32 class_id;
	u32 state;			/* VIRTIO_PZONE_STATE_* */
	u32 nr_cgroups;
	u32 stuck_blocks;
	u32 reclaim_done_seq;
	u64 reclaimed_bytes;
	u64 free_bytes, anon_bytes, file_bytes, pinned_bytes;
	u64 refault_pages, pressure_us;
	u64 oom_events, oom_kills;
};

/*
 * All are called in process context and may sleep. They return 0 or:
 *   -ESTALE  the generation is not the current one: pull again
 *   -EBUSY   the host can't now: try later
 *   -EIO     the host refused or is gone: give up until kicked
 */
struct pzone_transport {
	/* Forget every plugged block; called once, before all others. */
	int (*unplug_all)(void *priv);
	int (*pull)(void *priv, struct pzone_layout *layout);
	/* status[i]: VIRTIO_PZONE_OK, _NOMEM or _AGAIN; at most max_entries extents. */
	int (*plug)(void *priv, u32 generation, const struct pzone_extent *extents,
		    unsigned int nr, u32 *status);
	int (*unplug)(void *priv, u32 generation, const struct pzone_extent *extents,
		      unsigned int nr, u32 *status);
	int (*report)(void *priv, u32 generation,
		      const struct pzone_class_report *reports, unsigned int nr);
	int (*event)(void *priv, u32 class_id, u32 kind, u32 wanted_blocks);
};

struct pzone_pool_params {
	const char *name;
	u64 addr;			/* of the region; section aligned */
	u64 size;			/* of the region; section aligned */
	u64 block_size;			/* at least a pageblock, a power of two */
	int nid;			/* node that the memory is near to */
	unsigned int max_entries;	/* of one plug, unplug or report */
	/* The memory map is ordinary memory, and the pool's blocks for it stay unused. */
	bool ordinary_memmap;
};

/* Are there node ids for pzones in this kernel and boot? */
bool pzone_available(void);

/**
 * pzone_pool_register - start to follow the layout of a pool
 * @params: what it is
 * @transport: how to talk to the host
 * @priv: passed to @transport
 *
 * The pool's worker starts at once. Returns the pool or an ERR_PTR.
 */
struct pzone_pool *pzone_pool_register(const struct pzone_pool_params *params,
				       const struct pzone_transport *transport,
				       void *priv);

/**
 * pzone_pool_kick - the host's layout may have changed
 * @pool: the pool
 *
 * Any context.
 */
void pzone_pool_kick(struct pzone_pool *pool);

/**
 * pzone_pool_stop - stop following the layout
 * @pool: the pool
 *
 * On return no callback runs or will run. The classes stay as they are.
 */
void pzone_pool_stop(struct pzone_pool *pool);

/**
 * pzone_pool_resume - follow the layout again after pzone_pool_stop()
 * @pool: the pool
 */
void pzone_pool_resume(struct pzone_pool *pool);

/**
 * pzone_pool_unregister - take all memory out of the pool's classes and free it
 * @pool: the pool; stopped
 *
 * Returns 0, or -EBUSY if some of the memory is in use and can't be moved. The
 * pool is then left as it is, cut off from its transport, until reboot.
 */
int pzone_pool_unregister(struct pzone_pool *pool);

#endif /* _LINUX_PZONE_POOL_H */
