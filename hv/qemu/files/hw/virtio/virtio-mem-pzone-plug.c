/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pseudo-zones of a virtio-mem device: the host's memory behind a request.
 *
 * With prealloc=on the memory of a PLUG is there before the guest is told so.
 * Many GiB of it take seconds, in which QEMU must do other things as well.  So
 * the request waits while virtio_mem_pzone_populate() is called again and
 * again, and is handled when all memory has been asked for.  A lot can have
 * changed by then, as nothing stands still meanwhile: the request is checked
 * then as if it had just come, and memory that was populated and is not
 * plugged in the end is given back.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "system/hostmem.h"
/* For ram_block_discard_range(), which QEMU has moved since 10.0. */
#if __has_include("system/ramblock.h")
#include "system/ramblock.h"
#else
#include "exec/cpu-common.h"
#endif
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-mem.h"
#include "hw/virtio/virtio-mem-pzone.h"
#include "pz_core.h"
#include "pzone-core/trace.h"

/*
 * What is populated in one go, while nothing else happens: at most this for
 * each thread (QEMU takes no second one for less than twice as much), and less
 * where it takes too long, down to the size of a page.
 */
#define PZONE_PIECE_MAX (64 * MiB)
#define PZONE_PIECE_MIN (8 * MiB)
#define PZONE_PIECE_SLOW_NS (40 * SCALE_MS)
#define PZONE_PIECE_FAST_NS (10 * SCALE_MS)

typedef struct PzoneChange {
    uint32_t class_id;
    uint32_t first;
    uint32_t nr;
    /* bytes populated, from its start on */
    uint64_t populated;
    /* why there is no memory for it */
    Error *err;
    /* handled, with this result */
    bool handled;
    int ret;
} PzoneChange;

/* One request to plug or unplug. */
struct PzoneChanges {
    bool plug;
    uint32_t nr;
    uint32_t next;          /* all before it are populated, or will not be */
    uint64_t piece;         /* bytes to populate in one go */
    PzoneChange change[VIRTIO_PZONE_MAX_ENTRIES];
};

static uint64_t pzone_change_size(const VirtIOMEM *vmem, const PzoneChange *c)
{
    return c->nr * vmem->block_size;
}

static uint64_t pzone_change_offset(const VirtIOMEM *vmem,
                                    const PzoneChange *c)
{
    return c->first * vmem->block_size;
}

void virtio_mem_pzone_changes_init(VirtIOMEMPzone *pz)
{
    pz->changes = g_new0(PzoneChanges, 1);
    pz->changes->piece = PZONE_PIECE_MAX;
}

void virtio_mem_pzone_changes_begin(VirtIOMEMPzone *pz, size_t req_len)
{
    PzoneChanges *changes = pz->changes;
    struct pz_extent extents[VIRTIO_PZONE_MAX_ENTRIES];
    uint32_t i;

    changes->next = 0;
    changes->nr = pz_pool_changes(pz->core, pz->req, req_len, &changes->plug,
                                  extents);
    for (i = 0; i < changes->nr; i++) {
        changes->change[i] = (PzoneChange) {
            .class_id = extents[i].class_id,
            .first = extents[i].first,
            .nr = extents[i].nr,
        };
    }
}

/* Within what the VM may have, memory that is populated already included? */
static bool pzone_fits(const VirtIOMEMPzone *pz, const PzoneChange *change)
{
    const VirtIOMEM *vmem = pz->vmem;
    uint64_t size = vmem->size + pzone_change_size(vmem, change);
    uint32_t i;

    for (i = 0; i < pz->changes->next; i++) {
        size += pz->changes->change[i].populated;
    }
    return size <= vmem->requested_size;
}

static void pzone_discard(VirtIOMEM *vmem, PzoneChange *change)
{
    /* It complains by itself, and there is nothing that we could do better. */
    ram_block_discard_range(vmem->memdev->mr.ram_block,
                            pzone_change_offset(vmem, change),
                            pzone_change_size(vmem, change));
    change->populated = 0;
}

/* The host may be fast or slow, and busy or not. */
static void pzone_adapt_piece(PzoneChanges *changes, uint64_t max,
                              int64_t elapsed_ns)
{
    if (elapsed_ns > PZONE_PIECE_SLOW_NS) {
        changes->piece = MAX(changes->piece / 2, PZONE_PIECE_MIN);
    } else if (elapsed_ns < PZONE_PIECE_FAST_NS) {
        changes->piece = MIN(changes->piece * 2, max);
    }
}

/* The next piece of an extent. */
static void pzone_populate(VirtIOMEM *vmem, PzoneChanges *changes,
                           PzoneChange *change)
{
    HostMemoryBackend *memdev = vmem->memdev;
    const uint64_t page_size = host_memory_backend_pagesize(memdev);
    const uint64_t offset = pzone_change_offset(vmem, change) +
                            change->populated;
    const uint64_t size = MIN(MAX(changes->piece, page_size),
                              pzone_change_size(vmem, change) -
                              change->populated);
    const int64_t start_ns = get_clock();

    if (!qemu_prealloc_mem(memory_region_get_fd(&vmem->memdev->mr),
                           memory_region_get_ram_ptr(&vmem->memdev->mr) +
                           offset, size, memdev->prealloc_threads,
                           memdev->prealloc_context, false, &change->err)) {
        pzone_discard(vmem, change);
        return;
    }
    change->populated += size;
    pzone_adapt_piece(changes, PZONE_PIECE_MAX * memdev->prealloc_threads,
                      get_clock() - start_ns);
}

bool virtio_mem_pzone_populate(VirtIOMEMPzone *pz)
{
    PzoneChanges *changes = pz->changes;
    VirtIOMEM *vmem = pz->vmem;
    PzoneChange *change = &changes->change[changes->next];

    if (!changes->plug || !vmem->prealloc || changes->next == changes->nr ||
        virtio_mem_is_busy()) {
        return true;
    }
    if (pzone_fits(pz, change)) {
        pzone_populate(vmem, changes, change);
        if (!change->err &&
            change->populated < pzone_change_size(vmem, change)) {
            return false;
        }
    }
    return ++changes->next == changes->nr;
}

void virtio_mem_pzone_changes_end(VirtIOMEMPzone *pz)
{
    PzoneChanges *changes = pz->changes;
    VirtIOMEM *vmem = pz->vmem;
    PzoneChange *change;
    uint32_t i;

    for (i = 0; i < changes->nr; i++) {
        change = &changes->change[i];
        if (change->populated && !(change->handled && !change->ret)) {
            pzone_discard(vmem, change);
        }
        if (change->handled && !change->ret) {
            virtio_mem_pzone_backed(pz, change->class_id);
        }
    }
    /* After the good ones, so that a class with both is one that failed. */
    for (i = 0; i < changes->nr; i++) {
        change = &changes->change[i];
        if (change->handled && change->ret) {
            virtio_mem_pzone_failed(pz, change->class_id, changes->plug,
                                    change->ret == -ENOMEM,
                                    pzone_change_size(vmem, change),
                                    change->err ?
                                    error_get_pretty(change->err) : NULL);
        }
        error_free(change->err);
    }
    changes->nr = 0;
}

/*
 * Called by the core, for the extents of the request in their order; it leaves
 * out those that it has no room for.
 */

static PzoneChange *pzone_change_find(PzoneChanges *changes, uint32_t first)
{
    uint32_t i;

    for (i = 0; i < changes->nr; i++) {
        if (changes->change[i].first == first) {
            return &changes->change[i];
        }
    }
    g_assert_not_reached();
}

static int pzone_set_plugged(VirtIOMEM *vmem, const PzoneChange *change,
                             bool plug)
{
    const uint64_t size = pzone_change_size(vmem, change);
    const bool prealloc = vmem->prealloc;
    int ret;

    /* Done already, in pieces. */
    vmem->prealloc = false;
    ret = virtio_mem_set_block_state(vmem, vmem->addr +
                                     pzone_change_offset(vmem, change),
                                     size, plug);
    vmem->prealloc = prealloc;
    if (!ret) {
        vmem->size += plug ? size : -size;
    }
    return ret;
}

int virtio_mem_pzone_plug(void *opaque, uint32_t first, uint32_t nr)
{
    VirtIOMEMPzone *pz = opaque;
    VirtIOMEM *vmem = pz->vmem;
    PzoneChange *change = pzone_change_find(pz->changes, first);
    const unsigned long end = (unsigned long)first + nr;

    if (change->err) {
        change->ret = -ENOMEM;
        change->handled = true;
    } else if (find_next_bit(vmem->bitmap, end, first) < end) {
        /* A driver without pzone support left it; UNPLUG_ALL is due. */
        change->ret = -EBUSY;
    } else if (vmem->size + pzone_change_size(vmem, change) >
               vmem->requested_size ||
               (vmem->prealloc &&
                change->populated < pzone_change_size(vmem, change))) {
        /*
         * The wanted layout never exceeds the requested size, but with what
         * the guest has not given back yet the sum can; or it did when it was
         * time to populate this.
         */
        change->ret = -EBUSY;
    } else {
        change->ret = pzone_set_plugged(vmem, change, true);
        change->handled = true;
    }
    trace_pzone_plug(pz->name, change->class_id, first, nr, change->ret);
    return change->ret;
}

int virtio_mem_pzone_unplug(void *opaque, uint32_t first, uint32_t nr)
{
    VirtIOMEMPzone *pz = opaque;
    PzoneChange *change = pzone_change_find(pz->changes, first);

    change->ret = pzone_set_plugged(pz->vmem, change, false);
    change->handled = true;
    trace_pzone_unplug(pz->name, change->class_id, first, nr, change->ret);
    return change->ret;
}
