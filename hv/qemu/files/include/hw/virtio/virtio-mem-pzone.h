/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pseudo-zones of a virtio-mem device: what virtio-mem.c calls, and what the
 * two files of the feature share.
 *
 * Concepts
 *
 *   A virtio-mem device with pzone=on is a pool.  vmem->pz is then set from
 *   realize to unrealize, and NULL for every other device: each hook below
 *   does nothing in that case, so that a plain virtio-mem device stays what
 *   it is, including its config space, its queues and its migration stream.
 *
 *   All decoding of guest requests, all range checks and all planning is in
 *   pz_core (pzone-core/); this code connects it to QEMU.  Everything here
 *   runs under the BQL.
 */

#ifndef HW_VIRTIO_MEM_PZONE_H
#define HW_VIRTIO_MEM_PZONE_H

#include "hw/virtio/virtio-mem.h"
#include "qapi/qapi-types-pzone.h"
#include "pzone/virtio_pzone.h"

#define VIRTIO_MEM_PZONE_PROP "pzone"
#define VIRTIO_MEM_PZONE_REQUIRED_PROP "pzone-required"
#define VIRTIO_MEM_PZONE_RELOCATE_PROP "pzone-relocate"

typedef struct PzoneChanges PzoneChanges;

struct VirtIOMEMPzone {
    VirtIOMEM *vmem;

    /* layout, class table, actual layout; all sizes in blocks */
    struct pz_pool *core;

    /* id of the device */
    char *name;

    /* guest -> host requests, VIRTIO_PZONE_REQ_* */
    VirtQueue *vq;

    /* goes on with the queue when one kick brought too much */
    QEMUBH *bh;

    /* private copies of one request and its reply */
    uint8_t *req;
    uint8_t *resp;

    /*
     * The request at work: NULL, except while it waits for its memory to be
     * populated; its length; what it plugs or unplugs.
     */
    VirtQueueElement *elem;
    size_t req_len;
    PzoneChanges *changes;
    QEMUTimer *populate_timer;

    /* who drove the pool when we looked last */
    PzoneGuest guest;

    /* class id -> PzoneNotice: events that went out or wait, last errors */
    GHashTable *notices;
    QEMUTimer *notice_timer;

    /*
     * Migration: the core's state, of the last one that was sent; whether
     * there is plugged memory without an owner (left by a driver without pzone
     * support until UNPLUG_ALL); whether the stream brought all this.
     */
    uint8_t *blob;
    uint32_t blob_len;
    bool unowned;
    bool loaded;

    /* runs while a guest that was answered BUSY would be again */
    QEMUTimer *busy_timer;

    QLIST_ENTRY(VirtIOMEMPzone) next;
};

typedef QLIST_HEAD(, VirtIOMEMPzone) VirtIOMEMPzoneList;

/* All realized pools. */
extern VirtIOMEMPzoneList virtio_mem_pzone_pools;

/*
 * Called by virtio-mem.c.
 */

/* Check the properties and create the pool; false with @errp set otherwise. */
bool virtio_mem_pzone_realize(VirtIOMEM *vmem, Error **errp);
/* Second half, which can't fail: after virtio_init(). */
void virtio_mem_pzone_add_queue(VirtIOMEM *vmem);
void virtio_mem_pzone_unrealize(VirtIOMEM *vmem);
/* Free what a failed realize left behind. */
void virtio_mem_pzone_finalize(VirtIOMEM *vmem);

/* Bytes that follow struct virtio_mem_config in config space. */
size_t virtio_mem_pzone_config_size(const VirtIOMEM *vmem);
void virtio_mem_pzone_get_config(VirtIOMEM *vmem, uint8_t *config);

/* 0, or -EINVAL when the guest left out what the properties demand. */
int virtio_mem_pzone_validate_features(VirtIODevice *vdev);
/* void before QEMU 10.1, from there on an int that is 0 */
typedef typeof(((VirtioDeviceClass *)NULL)->set_status(NULL, 0)) PzoneSetStatus;
PzoneSetStatus virtio_mem_pzone_set_status(VirtIODevice *vdev, uint8_t val);

/*
 * True when plugging and unplugging goes through the pool's own queue.  When
 * false, the caller may change the state of blocks: no class owns any.
 */
bool virtio_mem_pzone_owns_blocks(VirtIOMEM *vmem);

/* Tell the planner; false with @errp set, and nothing done, if it objects. */
bool virtio_mem_pzone_set_requested(VirtIOMEM *vmem, uint64_t size,
                                    Error **errp);

/* All memory was unplugged, by the guest or by a system reset. */
void virtio_mem_pzone_unplugged_all(VirtIOMEM *vmem);

/* Refuses the queues of a pool in a device that is none: -EINVAL. */
int virtio_mem_pzone_pre_load_queues(VirtIODevice *vdev, uint32_t nr);

/* Is what was loaded complete and consistent?  0 or -EINVAL. */
int virtio_mem_pzone_post_load(VirtIOMEM *vmem);
extern const VMStateDescription vmstate_virtio_mem_pzone;

/*
 * Provided by virtio-mem.c.
 */

bool virtio_mem_is_busy(void);
/* Does not touch vmem->size and tells nobody about the change. */
int virtio_mem_set_block_state(VirtIOMEM *vmem, uint64_t start_gpa,
                               uint64_t size, bool plug);

/*
 * virtio-mem-pzone-plug.c, for virtio-mem-pzone.c.
 */

void virtio_mem_pzone_changes_init(VirtIOMEMPzone *pz);
/* Note what the request in pz->req will plug or unplug. */
void virtio_mem_pzone_changes_begin(VirtIOMEMPzone *pz, size_t req_len);
/* Make a piece of its memory ready; true when there is nothing left to do. */
bool virtio_mem_pzone_populate(VirtIOMEMPzone *pz);
/* The request was handled, or will not be. */
void virtio_mem_pzone_changes_end(VirtIOMEMPzone *pz);

/* struct pz_ops */
int virtio_mem_pzone_plug(void *opaque, uint32_t first, uint32_t nr);
int virtio_mem_pzone_unplug(void *opaque, uint32_t first, uint32_t nr);

/*
 * virtio-mem-pzone-qmp.c, for the two others.
 */

/* Who drives the device, going by @status. */
PzoneGuest virtio_mem_pzone_guest(const VirtIOMEM *vmem, uint8_t status);

void virtio_mem_pzone_notices_init(VirtIOMEMPzone *pz);
void virtio_mem_pzone_notices_cleanup(VirtIOMEMPzone *pz);
/* A class changed or is gone.  @class_id 0: look at all of them. */
void virtio_mem_pzone_changed(VirtIOMEMPzone *pz, uint32_t class_id);
void virtio_mem_pzone_shortage(VirtIOMEMPzone *pz, uint32_t class_id, bool oom,
                               uint64_t wanted);
/* The host plugged something of a class. */
void virtio_mem_pzone_backed(VirtIOMEMPzone *pz, uint32_t class_id);
/* The host could not plug or unplug @size bytes; @nomem: for lack of memory. */
void virtio_mem_pzone_failed(VirtIOMEMPzone *pz, uint32_t class_id, bool plug,
                             bool nomem, uint64_t size, const char *why);
void virtio_mem_pzone_forget_errors(VirtIOMEMPzone *pz);
/*
 * Send the events that are due and plan the others.  The functions above
 * only take notes, because they are called in the middle of changes.
 */
void virtio_mem_pzone_flush_notices(VirtIOMEMPzone *pz);

/* False with @errp set while a change of the layout could get lost. */
bool virtio_mem_pzone_may_change(const VirtIOMEMPzone *pz, Error **errp);

#endif
