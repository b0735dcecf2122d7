/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * virtio_pzone.h: the pzone extension of virtio-mem, as guest and device see it.
 *
 * Concepts
 *
 *   pool     one virtio-mem device on which VIRTIO_MEM_F_PZONE was negotiated.
 *   block    the device's block size (struct virtio_mem_config.block_size).
 *            Every size and place below is counted in blocks from the start of
 *            the device's region.
 *   extent   a run of blocks of one class.
 *   class    a named share of the pool. Class 0 is "memmap": the blocks that
 *            hold the guest's memory map of the whole region. It is plugged
 *            before any other class.
 *   wanted layout  which extents the host wants each class to have. The
 *            device publishes it under a generation number.
 *   actual layout  which blocks are plugged, and for which class. Only the
 *            device keeps it; PLUG and UNPLUG change it, UNPLUG_ALL and a
 *            system reset empty it.
 *
 * The protocol is level-triggered. A config change interrupt says that
 * `generation` moved; the driver pulls the layout, unplugs what a class no
 * longer has, plugs what it got, and reports. Losing an interrupt, a reboot or
 * a migration can only delay convergence: both sides compare wanted with
 * actual and nothing else.
 *
 * Queue 0 is virtio-mem's own. With the feature negotiated its PLUG and UNPLUG
 * requests get VIRTIO_MEM_RESP_ERROR; STATE and UNPLUG_ALL work as ever.
 * Queue 1 carries the requests below. A request is one descriptor chain:
 * struct virtio_pzone_req and `nr` entries to read, then room for
 * struct virtio_pzone_resp and its entries to write. All fields little endian.
 *
 * The same file serves QEMU, hv/core and the guest kernel (where it is
 * include/uapi/linux/virtio_pzone.h).
 */
#ifndef _UAPI_LINUX_VIRTIO_PZONE_H
#define _UAPI_LINUX_VIRTIO_PZONE_H

#include <linux/types.h>

/* Feature bit of virtio-mem; out of the way of the ones its spec assigns. */
#define VIRTIO_MEM_F_PZONE		20

/* Longest class or pool name, without the terminating NUL. */
#define VIRTIO_PZONE_NAME_MAX		31

/* The class that owns the pool's memory map. */
#define VIRTIO_PZONE_CLASS_MEMMAP	0

/* Most entries in one request or one reply; the config may say fewer. */
#define VIRTIO_PZONE_MAX_ENTRIES	256

/*
 * Follows struct virtio_mem_config in config space. Nothing here but
 * `generation` changes while the device lives.
 */
struct virtio_mem_pzone_config {
	__le32 generation;	/* of the wanted layout; any change counts */
	__le32 max_classes;	/* most classes that the device will publish */
	__le32 max_entries;	/* most entries that it takes in one request */
	__le32 reserved;
	__u8 pool[VIRTIO_PZONE_NAME_MAX + 1]; /* name of the pool, NUL-padded */
};

/* --- request types --- */

/* reply: struct virtio_pzone_class, from class index `first` on */
#define VIRTIO_PZONE_REQ_CLASSES	0
/* reply: struct virtio_pzone_extent, the wanted layout from index `first` on */
#define VIRTIO_PZONE_REQ_LAYOUT		1
/* reply: struct virtio_pzone_extent, the actual layout from index `first` on */
#define VIRTIO_PZONE_REQ_STATE		2
/* entries: struct virtio_pzone_extent; reply: one __le32 status per extent */
#define VIRTIO_PZONE_REQ_PLUG		3
#define VIRTIO_PZONE_REQ_UNPLUG		4
/* entries: struct virtio_pzone_report; reply: header only */
#define VIRTIO_PZONE_REQ_REPORT		5
/* entries: struct virtio_pzone_event; reply: header only */
#define VIRTIO_PZONE_REQ_EVENT		6

struct virtio_pzone_req {
	__le16 type;		/* VIRTIO_PZONE_REQ_* */
	__le16 nr;		/* entries that follow; 0 for the three queries */
	__le32 generation;	/* that the driver works on; PLUG and UNPLUG need
				 * the current one; REPORT names the one that
				 * the guest last finished */
	__le32 first;		/* queries: index of the first entry wanted */
	__le32 reserved;	/* 0 */
};

/* --- response types --- */

/* done; PLUG and UNPLUG: look at each extent's status */
#define VIRTIO_PZONE_RESP_ACK		0
/* stale generation, nothing done: pull the layout and start again */
#define VIRTIO_PZONE_RESP_NACK		1
/* the device can't change memory now (migration), nothing done: retry later */
#define VIRTIO_PZONE_RESP_BUSY		2
/* the request is wrong, nothing done */
#define VIRTIO_PZONE_RESP_ERROR		3

struct virtio_pzone_resp {
	__le16 type;		/* VIRTIO_PZONE_RESP_* */
	__le16 nr;		/* entries that follow */
	__le32 generation;	/* current one; a query that spans several
				 * requests starts again when it changes */
	__le32 total;		/* queries: entries there are in all */
	__le32 reserved;
};

/* --- entries --- */

/* the class is going away: `wanted_blocks` is 0, and it is forgotten once
 * nothing of it is plugged */
#define VIRTIO_PZONE_CLASS_F_DYING	(1 << 0)

struct virtio_pzone_class {
	__le32 id;		/* never used again while the pool lives */
	__le32 flags;		/* VIRTIO_PZONE_CLASS_F_* */
	__le32 wanted_blocks;	/* size the host wants; the extents published
				 * may still be fewer */
	__le32 guarantee_blocks;
	__le32 limit_blocks;
	__le32 reclaim_seq;	/* directed reclaim: a new number is a new order */
	__le64 reclaim_bytes;
	__u8 name[VIRTIO_PZONE_NAME_MAX + 1]; /* NUL-padded */
};

struct virtio_pzone_extent {
	__le32 class_id;
	__le32 first_block;
	__le32 nr_blocks;	/* > 0 */
	__le32 reserved;	/* 0 */
};

/* status of one extent of PLUG or UNPLUG */
#define VIRTIO_PZONE_OK			0
/* the host has no memory for it now: retry later */
#define VIRTIO_PZONE_NOMEM		1
/* the host could not do it now: retry later */
#define VIRTIO_PZONE_AGAIN		2

/* what the guest says of a class */
#define VIRTIO_PZONE_STATE_SETTLED	0 /* has what the layout says */
#define VIRTIO_PZONE_STATE_CONVERGING	1 /* at work */
#define VIRTIO_PZONE_STATE_PARTIAL	2 /* could not finish; tries again later */

struct virtio_pzone_report {
	__le32 class_id;
	__le32 state;		/* VIRTIO_PZONE_STATE_* */
	__le32 nr_cgroups;	/* cgroups that name the class */
	__le32 stuck_blocks;	/* wanted back, and still in use */
	__le32 reclaim_done_seq;
	__le32 reserved;
	__le64 reclaimed_bytes;	/* of reclaim_done_seq */
	__le64 free_bytes;
	__le64 anon_bytes;
	__le64 file_bytes;
	__le64 pinned_bytes;	/* pages that refused to move, last try */
	__le64 refault_pages;	/* since the class exists */
	__le64 pressure_us;	/* stalled in reclaim, since the class exists */
	__le64 oom_events;
	__le64 oom_kills;
};

#define VIRTIO_PZONE_EVENT_PRESSURE	0 /* reclaims hard */
#define VIRTIO_PZONE_EVENT_OOM		1 /* about to kill inside the class */

struct virtio_pzone_event {
	__le32 class_id;
	__le32 kind;		/* VIRTIO_PZONE_EVENT_* */
	__le32 wanted_blocks;	/* more than it has */
	__le32 reserved;
};

#endif /* _UAPI_LINUX_VIRTIO_PZONE_H */
