/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pseudo-zones of a virtio-mem device: the device half.  Properties, request
 * queue, plugging and unplugging on behalf of pz_core, migration.
 *
 * The QMP half is in virtio-mem-pzone-qmp.c; the wire format is described in
 * pzone/virtio_pzone.h, the rules that the layouts keep in pz_core.h.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-mem.h"
#include "hw/virtio/virtio-mem-pzone.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "pz_core.h"
#include "pzone-core/trace.h"

/*
 * The guest's memory map is added in units of sections, and a section that
 * only partly belongs to a pool could not be given to classes.
 */
#define PZONE_SECTION_SIZE (128 * MiB)

/* Classes are handled in pageblocks of the guest. */
#define PZONE_MIN_BLOCK_SIZE (2 * MiB)

#define PZONE_QUEUE_SIZE 128

/* Leave the queue for later after this long; one request is always done. */
#define PZONE_QUEUE_TIME_NS (5 * SCALE_MS)

/* Between two pieces of memory that are populated for one request. */
#define PZONE_PAUSE_MS 1

/*
 * A guest that was answered BUSY tries again after longer and longer times.
 * How often we look meanwhile whether it need not wait any longer.
 */
#define PZONE_BUSY_LOOK_MS 100

/* The largest of the entries, so that a private copy holds any request. */
#define PZONE_REQ_MAX (sizeof(struct virtio_pzone_req) + \
                       VIRTIO_PZONE_MAX_ENTRIES * \
                       sizeof(struct virtio_pzone_report))
#define PZONE_RESP_MAX (sizeof(struct virtio_pzone_resp) + \
                        VIRTIO_PZONE_MAX_ENTRIES * \
                        sizeof(struct virtio_pzone_class))

/*
 * More than the largest class table and the worst fragmentation take, up to
 * 5 million blocks.
 */
#define PZONE_BLOB_MAX (64 * MiB)

VirtIOMEMPzoneList virtio_mem_pzone_pools =
    QLIST_HEAD_INITIALIZER(virtio_mem_pzone_pools);

static uint64_t pzone_region_size(const VirtIOMEM *vmem)
{
    return memory_region_size(&vmem->memdev->mr);
}

/*
 * Who drives the device
 */

static bool pzone_negotiated(const VirtIOMEM *vmem)
{
    return virtio_vdev_has_feature(VIRTIO_DEVICE(vmem), VIRTIO_MEM_F_PZONE);
}

PzoneGuest virtio_mem_pzone_guest(const VirtIOMEM *vmem, uint8_t status)
{
    if (!(status & VIRTIO_CONFIG_S_DRIVER_OK) ||
        VIRTIO_DEVICE(vmem)->broken) {
        return PZONE_GUEST_NONE;
    }
    return pzone_negotiated(vmem) ? PZONE_GUEST_READY : PZONE_GUEST_PLAIN;
}

/*
 * A driver without pzone support plugs and unplugs as it likes, so what the
 * classes had is just plugged memory from now on.  A driver with pzone support
 * that comes later sends UNPLUG_ALL first.
 */
static void pzone_disown(VirtIOMEMPzone *pz)
{
    struct pz_pool_info info;

    pz_pool_info(pz->core, &info);
    if (info.plugged) {
        pz_pool_all_unplugged(pz->core);
        virtio_mem_pzone_changed(pz, 0);
    }
}

bool virtio_mem_pzone_owns_blocks(VirtIOMEM *vmem)
{
    if (!vmem->pz) {
        return false;
    }
    if (pzone_negotiated(vmem)) {
        return true;
    }
    pzone_disown(vmem->pz);
    virtio_mem_pzone_flush_notices(vmem->pz);
    return false;
}

int virtio_mem_pzone_validate_features(VirtIODevice *vdev)
{
    VirtIOMEM *vmem = VIRTIO_MEM(vdev);

    if (vmem->pz && vmem->pzone_required && !pzone_negotiated(vmem)) {
        /* Once: a guest can try as often as it likes. */
        error_report_once("pool '%s': the guest's driver knows no memory"
                          " classes and is refused because of property '%s'",
                          vmem->pz->name, VIRTIO_MEM_PZONE_REQUIRED_PROP);
        return -EINVAL;
    }
    return 0;
}

/*
 * What the core asks of us
 */

static bool pzone_busy(void *opaque)
{
    VirtIOMEMPzone *pz = opaque;

    if (!virtio_mem_is_busy()) {
        return false;
    }
    timer_mod(pz->busy_timer, PZONE_BUSY_LOOK_MS +
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME));
    return true;
}

/*
 * When the migration is over and the VM is (still or now) here, the guest hears
 * of it.
 */
static void pzone_busy_look(void *opaque)
{
    VirtIOMEMPzone *pz = opaque;

    if (!pzone_busy(pz)) {
        virtio_notify_config(VIRTIO_DEVICE(pz->vmem));
    }
}

static void pzone_layout_changed(void *opaque)
{
    VirtIOMEMPzone *pz = opaque;
    struct pz_pool_info info;

    pz_pool_info(pz->core, &info);
    trace_pzone_layout(pz->name, info.generation);
    virtio_notify_config(VIRTIO_DEVICE(pz->vmem));
}

static void pzone_reported(void *opaque, uint32_t class_id)
{
    VirtIOMEMPzone *pz = opaque;
    struct pz_class_info class;

    if (trace_event_get_state_backends(TRACE_PZONE_REPORT) &&
        !pz_class_by_id(pz->core, class_id, &class) && class.report.valid) {
        trace_pzone_report(pz->name, class_id, class.report.state,
                           class.report.stuck_blocks,
                           class.report.pinned_bytes);
    }
    virtio_mem_pzone_changed(pz, class_id);
}

static void pzone_event(void *opaque, uint32_t class_id, uint32_t kind,
                        uint32_t wanted)
{
    VirtIOMEMPzone *pz = opaque;

    trace_pzone_event(pz->name, class_id, kind, wanted);
    virtio_mem_pzone_shortage(pz, class_id, kind == VIRTIO_PZONE_EVENT_OOM,
                              wanted * pz->vmem->block_size);
}

static const struct pz_ops pzone_ops = {
    .plug = virtio_mem_pzone_plug,
    .unplug = virtio_mem_pzone_unplug,
    .busy = pzone_busy,
    .layout_changed = pzone_layout_changed,
    .reported = pzone_reported,
    .event = pzone_event,
};

/*
 * Requests
 */

/* Length of the reply in pz->resp, or -EINVAL if there is no room for one. */
static ssize_t pzone_reply(VirtIOMEMPzone *pz, size_t req_len, size_t resp_len)
{
    struct virtio_pzone_resp *resp = (void *)pz->resp;
    const struct virtio_pzone_req *req = (void *)pz->req;
    struct pz_pool_info info;
    ssize_t ret;

    if (resp_len < sizeof(*resp)) {
        return -EINVAL;
    }
    if (req_len > PZONE_REQ_MAX) {
        pz_pool_info(pz->core, &info);
        memset(resp, 0, sizeof(*resp));
        resp->type = cpu_to_le16(VIRTIO_PZONE_RESP_ERROR);
        resp->generation = cpu_to_le32(info.generation);
        ret = sizeof(*resp);
    } else {
        ret = pz_pool_handle_request(pz->core, pz->req, req_len, pz->resp,
                                     MIN(resp_len, PZONE_RESP_MAX));
    }
    if (ret > 0 && req_len >= sizeof(*req)) {
        trace_pzone_request(pz->name, le16_to_cpu(req->type),
                            le16_to_cpu(req->nr),
                            le32_to_cpu(req->generation),
                            le16_to_cpu(resp->type));
    }
    return ret;
}

/* Take the next request from the queue; false if there is none. */
static bool pzone_take(VirtIOMEMPzone *pz)
{
    VirtQueueElement *elem = virtqueue_pop(pz->vq, sizeof(VirtQueueElement));

    if (!elem) {
        return false;
    }
    /* The one look at guest memory: nothing below can change under us. */
    pz->req_len = iov_size(elem->out_sg, elem->out_num);
    iov_to_buf(elem->out_sg, elem->out_num, 0, pz->req,
               MIN(pz->req_len, PZONE_REQ_MAX));
    pz->elem = elem;
    virtio_mem_pzone_changes_begin(pz, MIN(pz->req_len, PZONE_REQ_MAX));
    return true;
}

/*
 * Drop the request that waits for its memory: for good, or to be taken again
 * when the VM goes on.
 */
static void pzone_untake(VirtIOMEMPzone *pz, bool for_good)
{
    if (!pz->elem) {
        return;
    }
    if (for_good) {
        virtqueue_detach_element(pz->vq, pz->elem, 0);
    } else {
        virtqueue_unpop(pz->vq, pz->elem, 0);
    }
    g_free(pz->elem);
    pz->elem = NULL;
    timer_del(pz->populate_timer);
    virtio_mem_pzone_changes_end(pz);
}

/* The request that was taken.  False when the ring is broken. */
static bool pzone_handle_one(VirtIOMEMPzone *pz)
{
    VirtIOMEM *vmem = pz->vmem;
    VirtIODevice *vdev = VIRTIO_DEVICE(vmem);
    const uint64_t old_size = vmem->size;
    g_autofree VirtQueueElement *elem = g_steal_pointer(&pz->elem);
    const size_t resp_len = iov_size(elem->in_sg, elem->in_num);
    ssize_t len;

    len = pzone_reply(pz, pz->req_len, resp_len);
    virtio_mem_pzone_changes_end(pz);
    if (len < 0) {
        virtio_error(vdev, "virtio-mem protocol violation: not enough space"
                     " for response: %zu", resp_len);
        virtqueue_detach_element(pz->vq, elem, 0);
        return false;
    }

    iov_from_buf(elem->in_sg, elem->in_num, 0, pz->resp, len);
    virtqueue_push(pz->vq, elem, len);
    virtio_notify(vdev, pz->vq);

    /* Once per request, not per extent. */
    if (vmem->size != old_size) {
        notifier_list_notify(&vmem->size_change_notifiers, &vmem->size);
    }
    return true;
}

static void pzone_handle_queue(VirtIOMEMPzone *pz)
{
    const int64_t until_ns = get_clock() + PZONE_QUEUE_TIME_NS;

    /* A stopped VM's memory stays as it is; set_status() schedules us again. */
    if (!VIRTIO_DEVICE(pz->vmem)->vm_running || !pzone_negotiated(pz->vmem)) {
        return;
    }
    while (pz->elem || pzone_take(pz)) {
        if (!virtio_mem_pzone_populate(pz)) {
            /* A pause, because who waits for the BQL is slower than we are. */
            timer_mod(pz->populate_timer, PZONE_PAUSE_MS +
                      qemu_clock_get_ms(QEMU_CLOCK_REALTIME));
            break;
        }
        if (!pzone_handle_one(pz)) {
            break;
        }
        if (get_clock() >= until_ns) {
            /* Give others their turn when a guest keeps the queue full. */
            qemu_bh_schedule(pz->bh);
            break;
        }
    }
    virtio_mem_pzone_flush_notices(pz);
}

static void pzone_handle_kick(VirtIODevice *vdev, VirtQueue *vq)
{
    VirtIOMEM *vmem = VIRTIO_MEM(vdev);

    if (!pzone_negotiated(vmem)) {
        if (!virtio_queue_empty(vq)) {
            virtio_error(vdev, "virtio-mem protocol violation: request on"
                         " queue 1 without VIRTIO_MEM_F_PZONE");
        }
    } else if (!vmem->pz->elem) {
        pzone_handle_queue(vmem->pz);
    }
}

static void pzone_go_on(void *opaque)
{
    pzone_handle_queue(opaque);
}

static void pzone_set_status(VirtIOMEMPzone *pz, uint8_t val)
{
    VirtIOMEM *vmem = pz->vmem;
    VirtIODevice *vdev = VIRTIO_DEVICE(vmem);
    struct pz_pool_info info;
    PzoneGuest guest;

    guest = virtio_mem_pzone_guest(vmem, val);
    if (guest == PZONE_GUEST_PLAIN) {
        if (vmem->pzone_required) {
            /* It went on although it was not granted FEATURES_OK. */
            virtio_error(vdev, "pool '%s': a driver without memory classes is"
                         " refused because of property '%s'", pz->name,
                         VIRTIO_MEM_PZONE_REQUIRED_PROP);
            guest = PZONE_GUEST_NONE;
        } else {
            pzone_disown(pz);
        }
    }

    if (guest != PZONE_GUEST_READY || !vdev->vm_running) {
        pzone_untake(pz, guest != PZONE_GUEST_READY);
    } else {
        /*
         * Also called when the VM goes on, maybe on another host: look at
         * requests that nobody will kick again for, and remind a guest that
         * has not followed yet, or could not because of the migration.
         */
        qemu_bh_schedule(pz->bh);
        pz_pool_info(pz->core, &info);
        if (info.guest_generation != info.generation ||
            info.plugged != info.allocated) {
            virtio_notify_config(vdev);
        }
    }

    if (guest != pz->guest) {
        trace_pzone_guest(pz->name, PzoneGuest_str(guest));
        pz->guest = guest;
        virtio_mem_pzone_changed(pz, 0);
    }
    virtio_mem_pzone_flush_notices(pz);
}

PzoneSetStatus virtio_mem_pzone_set_status(VirtIODevice *vdev, uint8_t val)
{
    VirtIOMEM *vmem = VIRTIO_MEM(vdev);

    if (vmem->pz) {
        pzone_set_status(vmem->pz, val);
    }
    return (PzoneSetStatus)0;
}

/*
 * Config space and properties
 */

size_t virtio_mem_pzone_config_size(const VirtIOMEM *vmem)
{
    return vmem->pz ? sizeof(struct virtio_mem_pzone_config) : 0;
}

void virtio_mem_pzone_get_config(VirtIOMEM *vmem, uint8_t *config)
{
    struct virtio_mem_pzone_config cfg = {
        .max_classes = cpu_to_le32(PZ_MAX_CLASSES),
        .max_entries = cpu_to_le32(VIRTIO_PZONE_MAX_ENTRIES),
    };
    struct pz_pool_info info;

    if (!vmem->pz) {
        return;
    }
    pz_pool_info(vmem->pz->core, &info);
    cfg.generation = cpu_to_le32(info.generation);
    pstrcpy((char *)cfg.pool, sizeof(cfg.pool), vmem->pz->name);
    memcpy(config, &cfg, sizeof(cfg));
}

bool virtio_mem_pzone_set_requested(VirtIOMEM *vmem, uint64_t size,
                                    Error **errp)
{
    VirtIOMEMPzone *pz = vmem->pz;
    struct pz_error err;

    if (!pz) {
        return true;
    }
    if (!virtio_mem_pzone_may_change(pz, errp)) {
        return false;
    }
    if (pz_pool_set_requested(pz->core, size / vmem->block_size, &err)) {
        error_setg(errp, "pool '%s': %s", pz->name, err.msg);
        return false;
    }
    return true;
}

void virtio_mem_pzone_unplugged_all(VirtIOMEM *vmem)
{
    if (!vmem->pz) {
        return;
    }
    pz_pool_all_unplugged(vmem->pz->core);
    virtio_mem_pzone_forget_errors(vmem->pz);
    virtio_mem_pzone_changed(vmem->pz, 0);
    virtio_mem_pzone_flush_notices(vmem->pz);
}

/* The guest makes a file name of it. */
static bool pzone_pool_name_valid(const char *name)
{
    const char *p;

    for (p = name; *p; p++) {
        if (!g_ascii_isgraph(*p) || *p == '/') {
            return false;
        }
    }
    return *name && *name != '.' && p - name <= VIRTIO_PZONE_NAME_MAX;
}

static bool pzone_check_properties(VirtIOMEM *vmem, const char *name,
                                   Error **errp)
{
    const uint64_t region_size = pzone_region_size(vmem);

    if (!name) {
        error_setg(errp, "'%s' needs a device with an 'id': it is the name of"
                   " the pool", VIRTIO_MEM_PZONE_PROP);
        return false;
    }
    if (!pzone_pool_name_valid(name)) {
        error_setg(errp, "id '%s' can't be the name of a pool: at most %d"
                   " printable ASCII characters, without '/' and not starting"
                   " with '.'", name, VIRTIO_PZONE_NAME_MAX);
        return false;
    }
    if (vmem->unplugged_inaccessible != ON_OFF_AUTO_ON) {
        error_setg(errp, "'%s' requires '%s' to be 'on'",
                   VIRTIO_MEM_PZONE_PROP,
                   VIRTIO_MEM_UNPLUGGED_INACCESSIBLE_PROP);
        return false;
    }
    if (vmem->block_size < PZONE_MIN_BLOCK_SIZE ||
        !is_power_of_2(vmem->block_size)) {
        error_setg(errp, "'%s' requires '%s' to be a power of two and at least"
                   " 0x%" PRIx64 ", not 0x%" PRIx64, VIRTIO_MEM_PZONE_PROP,
                   VIRTIO_MEM_BLOCK_SIZE_PROP, PZONE_MIN_BLOCK_SIZE,
                   vmem->block_size);
        return false;
    }
    if (!QEMU_IS_ALIGNED(vmem->addr, PZONE_SECTION_SIZE) ||
        !QEMU_IS_ALIGNED(region_size, PZONE_SECTION_SIZE)) {
        error_setg(errp, "'%s' requires '%s' (0x%" PRIx64 ") and the size of"
                   " '%s' (0x%" PRIx64 ") to be multiples of 0x%" PRIx64,
                   VIRTIO_MEM_PZONE_PROP, VIRTIO_MEM_ADDR_PROP, vmem->addr,
                   VIRTIO_MEM_MEMDEV_PROP, region_size, PZONE_SECTION_SIZE);
        return false;
    }
    if (vmem->requested_size > region_size) {
        error_setg(errp, "'%s' (0x%" PRIx64 ") cannot exceed the size of '%s'"
                   " (0x%" PRIx64 ")", VIRTIO_MEM_REQUESTED_SIZE_PROP,
                   vmem->requested_size, VIRTIO_MEM_MEMDEV_PROP, region_size);
        return false;
    }
    if (region_size / vmem->block_size > INT32_MAX) {
        /* Far from anything that can be mapped; the core counts in 32 bits. */
        error_setg(errp, "'%s': 0x%" PRIx64 " bytes are too many blocks of 0x%"
                   PRIx64, VIRTIO_MEM_PZONE_PROP, region_size,
                   vmem->block_size);
        return false;
    }
    return true;
}

bool virtio_mem_pzone_realize(VirtIOMEM *vmem, Error **errp)
{
    DeviceState *dev = DEVICE(vmem);
    /* The id is the transport's: ours is the inner one of two devices. */
    const char *name = dev->id ?: qdev_get_parent_bus(dev)->parent->id;
    VirtIOMEMPzone *pz;
    struct pz_error err;

    if (!vmem->pzone) {
        if (vmem->pzone_required) {
            error_setg(errp, "'%s' requires '%s' to be 'on'",
                       VIRTIO_MEM_PZONE_REQUIRED_PROP, VIRTIO_MEM_PZONE_PROP);
            return false;
        }
        return true;
    }
    if (!pzone_check_properties(vmem, name, errp)) {
        return false;
    }

    virtio_mem_pzone_finalize(vmem);
    pz = g_new0(VirtIOMEMPzone, 1);
    if (pz_pool_new(pzone_region_size(vmem) / vmem->block_size,
                    vmem->block_size, vmem->requested_size / vmem->block_size,
                    &pzone_ops, pz, &pz->core, &err)) {
        error_setg(errp, "pool '%s': %s", name, err.msg);
        g_free(pz);
        return false;
    }
    pz_pool_set_relocation(pz->core, vmem->pzone_relocate);
    pz->vmem = vmem;
    pz->name = g_strdup(name);
    pz->req = g_malloc0(PZONE_REQ_MAX);
    pz->resp = g_malloc0(PZONE_RESP_MAX);
    virtio_mem_pzone_changes_init(pz);
    vmem->pz = pz;
    return true;
}

void virtio_mem_pzone_add_queue(VirtIOMEM *vmem)
{
    VirtIOMEMPzone *pz = vmem->pz;

    if (!pz) {
        return;
    }
    pz->vq = virtio_add_queue(VIRTIO_DEVICE(vmem), PZONE_QUEUE_SIZE,
                              pzone_handle_kick);
    pz->bh = virtio_bh_new_guarded(DEVICE(vmem), pzone_go_on, pz);
    pz->populate_timer = timer_new_ms(QEMU_CLOCK_REALTIME, pzone_go_on, pz);
    pz->busy_timer = timer_new_ms(QEMU_CLOCK_REALTIME, pzone_busy_look, pz);
    virtio_mem_pzone_notices_init(pz);
    QLIST_INSERT_HEAD(&virtio_mem_pzone_pools, pz, next);
}

void virtio_mem_pzone_unrealize(VirtIOMEM *vmem)
{
    VirtIOMEMPzone *pz = vmem->pz;

    if (!pz) {
        return;
    }
    QLIST_REMOVE(pz, next);
    pzone_untake(pz, true);
    virtio_mem_pzone_notices_cleanup(pz);
    timer_free(pz->busy_timer);
    timer_free(pz->populate_timer);
    qemu_bh_delete(pz->bh);
    virtio_del_queue(VIRTIO_DEVICE(vmem), 1);
    virtio_mem_pzone_finalize(vmem);
}

void virtio_mem_pzone_finalize(VirtIOMEM *vmem)
{
    VirtIOMEMPzone *pz = vmem->pz;

    if (!pz) {
        return;
    }
    vmem->pz = NULL;
    pz_pool_free(pz->core);
    g_free(pz->name);
    g_free(pz->req);
    g_free(pz->resp);
    g_free(pz->changes);
    g_free(pz->blob);
    g_free(pz);
}

/*
 * Migration
 *
 * The class table and both layouts travel as one blob of the core's.  It is
 * sent with the device state, that is after the RAM: until then the host may
 * still change what it wants, while the guest's requests to plug and unplug
 * are answered BUSY (virtio_mem_is_busy()), so the actual layout in the blob
 * is the one that virtio-mem's bitmap describes, also when the bitmap went
 * ahead with "x-early-migration=on".  From the moment the device state is
 * sent, a change of the wanted layout would be lost and is refused
 * (virtio_mem_pzone_may_change()).
 */

bool virtio_mem_pzone_may_change(const VirtIOMEMPzone *pz, Error **errp)
{
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "the layout of pool '%s' can't be changed while the"
                   " virtual machine comes in", pz->name);
        return false;
    }
    if (runstate_check(RUN_STATE_FINISH_MIGRATE) ||
        runstate_check(RUN_STATE_POSTMIGRATE)) {
        error_setg(errp, "the layout of pool '%s' can't be changed here: the"
                   " virtual machine has been migrated or saved", pz->name);
        return false;
    }
    return true;
}

/*
 * What virtio-mem itself loaded and then relies on: the bitmap is indexed up to
 * the usable size, and the size is what keeps the guest within the requested
 * one.
 */
static bool pzone_check_sizes(const VirtIOMEMPzone *pz)
{
    const VirtIOMEM *vmem = pz->vmem;
    const uint64_t region_size = pzone_region_size(vmem);
    const uint64_t plugged = vmem->block_size *
        (uint64_t)bitmap_count_one(vmem->bitmap, vmem->bitmap_size);

    if (vmem->usable_region_size != region_size) {
        error_report("pool '%s': the usable size is 0x%" PRIx64 " but the"
                     " region has 0x%" PRIx64, pz->name,
                     vmem->usable_region_size, region_size);
        return false;
    }
    if (vmem->size != plugged) {
        error_report("pool '%s': '%s' is 0x%" PRIx64 " but blocks of 0x%"
                     PRIx64 " are plugged", pz->name, VIRTIO_MEM_SIZE_PROP,
                     vmem->size, plugged);
        return false;
    }
    return true;
}

/* Is the actual layout what the bitmap says, or (unowned) a part of it? */
static bool pzone_check_bitmap(VirtIOMEMPzone *pz)
{
    VirtIOMEM *vmem = pz->vmem;
    const unsigned long nr_blocks = vmem->bitmap_size;
    const uint32_t nr = pz_pool_actual(pz->core, 0, NULL, 0);
    g_autofree struct pz_extent *actual = g_new(struct pz_extent, nr);
    g_autofree unsigned long *left = bitmap_new(nr_blocks);
    unsigned long block, end;
    uint32_t i;

    pz_pool_actual(pz->core, 0, actual, nr);
    bitmap_copy(left, vmem->bitmap, nr_blocks);
    for (i = 0; i < nr; i++) {
        end = (unsigned long)actual[i].first + actual[i].nr;
        block = find_next_zero_bit(vmem->bitmap, end, actual[i].first);
        if (block < end) {
            error_report("pool '%s': block %lu belongs to class %" PRIu32
                         " but is not plugged", pz->name, block,
                         actual[i].class_id);
            return false;
        }
        bitmap_clear(left, actual[i].first, actual[i].nr);
    }
    block = find_first_bit(left, nr_blocks);
    if (block < nr_blocks && !pz->unowned) {
        error_report("pool '%s': block %lu is plugged but belongs to no class",
                     pz->name, block);
        return false;
    }
    return true;
}

int virtio_mem_pzone_post_load(VirtIOMEM *vmem)
{
    VirtIOMEMPzone *pz = vmem->pz;
    struct pz_pool_info info;

    if (!pz) {
        return 0;
    }
    if (!pz->loaded) {
        error_report("pool '%s': property '%s' is 'on' here and 'off' where"
                     " the virtual machine comes from", pz->name,
                     VIRTIO_MEM_PZONE_PROP);
        return -EINVAL;
    }
    pz->loaded = false;

    pz_pool_info(pz->core, &info);
    if (info.requested * vmem->block_size != vmem->requested_size) {
        error_report("pool '%s': '%s' is 0x%" PRIx64 " but the classes were"
                     " laid out in 0x%" PRIx64, pz->name,
                     VIRTIO_MEM_REQUESTED_SIZE_PROP, vmem->requested_size,
                     info.requested * vmem->block_size);
        return -EINVAL;
    }
    return pzone_check_bitmap(pz) && pzone_check_sizes(pz) ? 0 : -EINVAL;
}

static int pzone_pre_save(void *opaque)
{
    VirtIOMEMPzone *pz = opaque;
    struct pz_pool_info info;
    uint8_t *buf;
    size_t len;
    int ret;

    ret = pz_pool_save(pz->core, &buf, &len);
    if (ret) {
        error_report("pool '%s': can't save its layout: %s", pz->name,
                     strerror(-ret));
        return ret;
    }
    if (len > PZONE_BLOB_MAX) {
        /* Only the guest can cut its memory into that many pieces. */
        error_report("pool '%s': its layout takes %zu bytes, and no more than"
                     " %" PRIu64 " can be saved; the guest has cut its memory"
                     " into too many pieces", pz->name, len, PZONE_BLOB_MAX);
        free(buf);
        return -EFBIG;
    }
    g_free(pz->blob);
    pz->blob = g_memdup2(buf, len);
    pz->blob_len = len;
    free(buf);

    pz_pool_info(pz->core, &info);
    pz->unowned = info.plugged * pz->vmem->block_size != pz->vmem->size;
    return 0;
}

static int pzone_pre_load(void *opaque)
{
    VirtIOMEMPzone *pz = opaque;

    g_free(pz->blob);
    pz->blob = NULL;
    return 0;
}

static int pzone_state_post_load(void *opaque, int version_id)
{
    VirtIOMEMPzone *pz = opaque;
    struct pz_error err;
    int ret;

    ret = pz_pool_load(pz->core, pz->blob, pz->blob_len, &err);
    g_free(pz->blob);
    pz->blob = NULL;
    if (ret) {
        error_report("pool '%s': %s", pz->name, err.msg);
        return ret;
    }
    pz->loaded = true;
    /* Known classes, for the events to come; sent when the VM starts. */
    virtio_mem_pzone_changed(pz, 0);
    return 0;
}

static bool pzone_blob_len_valid(void *opaque, int version_id)
{
    VirtIOMEMPzone *pz = opaque;

    return pz->blob_len && pz->blob_len <= PZONE_BLOB_MAX;
}

static const VMStateDescription vmstate_pzone_state = {
    .name = "virtio-mem-device/pzone/state",
    .minimum_version_id = 1,
    .version_id = 1,
    .pre_save = pzone_pre_save,
    .pre_load = pzone_pre_load,
    .post_load = pzone_state_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(unowned, VirtIOMEMPzone),
        VMSTATE_UINT32(blob_len, VirtIOMEMPzone),
        VMSTATE_VALIDATE("pzone layout length", pzone_blob_len_valid),
        VMSTATE_VBUFFER_ALLOC_UINT32(blob, VirtIOMEMPzone, 0, NULL, blob_len),
        VMSTATE_END_OF_LIST()
    },
};

static bool pzone_needed(void *opaque)
{
    return VIRTIO_MEM(opaque)->pz;
}

/* A stream of a pool is of no use to a device that is none. */
static int pzone_device_pre_load(void *opaque)
{
    VirtIOMEM *vmem = VIRTIO_MEM(opaque);

    if (!vmem->pz) {
        error_report("the virtio-mem device at 0x%" PRIx64 ": property '%s' is"
                     " 'off' here and 'on' where the virtual machine comes"
                     " from", vmem->addr, VIRTIO_MEM_PZONE_PROP);
        return -EINVAL;
    }
    return 0;
}

/* Says so before QEMU 11 complains of a queue that it does not know. */
int virtio_mem_pzone_pre_load_queues(VirtIODevice *vdev, uint32_t nr)
{
    return nr > 1 ? pzone_device_pre_load(vdev) : 0;
}

const VMStateDescription vmstate_virtio_mem_pzone = {
    .name = "virtio-mem-device/pzone",
    .minimum_version_id = 1,
    .version_id = 1,
    .needed = pzone_needed,
    .pre_load = pzone_device_pre_load,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_POINTER(pz, VirtIOMEM, vmstate_pzone_state,
                               VirtIOMEMPzone),
        VMSTATE_END_OF_LIST()
    },
};
