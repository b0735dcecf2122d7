/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pseudo-zones of virtio-mem devices: the QMP and HMP half.  Looking at pools
 * and classes, changing what is wanted, events.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-pzone.h"
#include "qapi/qapi-events-pzone.h"
#include "qobject/qdict.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-mem.h"
#include "hw/virtio/virtio-mem-pzone.h"
#include "pz_core.h"

/* At most four events of a kind per class and second. */
#define PZONE_NOTICE_INTERVAL_MS 250

/*
 * A look at a pool
 */

typedef struct PzoneView {
    struct pz_pool_info info;
    PzoneGuest guest;
    struct pz_extent *wanted;
    struct pz_extent *actual;
    uint32_t nr_wanted;
    uint32_t nr_actual;
    /* class id -> blocks that the class has and should not have */
    GHashTable *misplaced;
} PzoneView;

/* Both lists are sorted by block, and no extents of one list overlap. */
static void pzone_view_find_misplaced(PzoneView *view)
{
    uint32_t w = 0, a;

    for (a = 0; a < view->nr_actual; a++) {
        const struct pz_extent *have = &view->actual[a];
        const gpointer key = GUINT_TO_POINTER(have->class_id);
        const uint64_t end = (uint64_t)have->first + have->nr;
        uint64_t excess = have->nr;
        uint32_t i;

        while (w < view->nr_wanted && (uint64_t)view->wanted[w].first +
               view->wanted[w].nr <= have->first) {
            w++;
        }
        for (i = w; i < view->nr_wanted && view->wanted[i].first < end; i++) {
            const struct pz_extent *want = &view->wanted[i];

            if (want->class_id == have->class_id) {
                excess -= MIN(end, (uint64_t)want->first + want->nr) -
                          MAX(have->first, want->first);
            }
        }
        if (excess) {
            excess += GPOINTER_TO_UINT(g_hash_table_lookup(view->misplaced,
                                                           key));
            g_hash_table_insert(view->misplaced, key,
                                GUINT_TO_POINTER((guint)excess));
        }
    }
}

static void pzone_view_init(PzoneView *view, const VirtIOMEMPzone *pz)
{
    const VirtIODevice *vdev = VIRTIO_DEVICE(pz->vmem);

    pz_pool_info(pz->core, &view->info);
    view->guest = virtio_mem_pzone_guest(pz->vmem, vdev->status);
    view->nr_wanted = pz_pool_wanted(pz->core, 0, NULL, 0);
    view->wanted = g_new(struct pz_extent, view->nr_wanted);
    pz_pool_wanted(pz->core, 0, view->wanted, view->nr_wanted);
    view->nr_actual = pz_pool_actual(pz->core, 0, NULL, 0);
    view->actual = g_new(struct pz_extent, view->nr_actual);
    pz_pool_actual(pz->core, 0, view->actual, view->nr_actual);
    view->misplaced = g_hash_table_new(NULL, NULL);
    pzone_view_find_misplaced(view);
}

static void pzone_view_done(PzoneView *view)
{
    g_free(view->wanted);
    g_free(view->actual);
    g_hash_table_destroy(view->misplaced);
}

static PzoneState pzone_class_state(const PzoneView *view,
                                    const struct pz_class_info *class)
{
    /* What the guest says of a layout that is no longer wanted is old news. */
    const bool partial = class->report.valid &&
        class->report.state == VIRTIO_PZONE_STATE_PARTIAL &&
        view->info.guest_generation == view->info.generation;

    if (view->guest != PZONE_GUEST_READY) {
        return PZONE_STATE_WAITING;
    }
    if (class->dying) {
        return PZONE_STATE_DESTROYING;
    }
    if (class->plugged > class->size ||
        g_hash_table_contains(view->misplaced, GUINT_TO_POINTER(class->id))) {
        return partial ? PZONE_STATE_PARTIAL : PZONE_STATE_SHRINKING;
    }
    if (class->plugged < class->size) {
        return partial ? PZONE_STATE_PARTIAL : PZONE_STATE_GROWING;
    }
    return PZONE_STATE_SETTLED;
}

/*
 * Events
 */

typedef struct PzoneNotice {
    char name[PZ_NAME_MAX + 1];

    /* PZONE_CHANGED: to be sent; to be sent if something differs */
    bool changed;
    bool suspect;
    /* when the last one was sent (0: never) and what it said */
    int64_t changed_ms;
    uint64_t sent_size;
    uint64_t sent_actual;
    PzoneState sent_state;

    /* PZONE_SHORTAGE */
    bool shortage;
    int64_t shortage_ms;
    bool oom;
    uint64_t wanted;
} PzoneNotice;

static PzoneNotice *pzone_notice_get(VirtIOMEMPzone *pz, uint32_t class_id)
{
    const gpointer key = GUINT_TO_POINTER(class_id);
    struct pz_class_info class;
    PzoneNotice *notice;

    if (class_id == VIRTIO_PZONE_CLASS_MEMMAP) {
        return NULL;
    }
    notice = g_hash_table_lookup(pz->notices, key);
    if (!notice && !pz_class_by_id(pz->core, class_id, &class)) {
        notice = g_new0(PzoneNotice, 1);
        pstrcpy(notice->name, sizeof(notice->name), class.name);
        g_hash_table_insert(pz->notices, key, notice);
    }
    return notice;
}

void virtio_mem_pzone_changed(VirtIOMEMPzone *pz, uint32_t class_id)
{
    struct pz_class_info class;
    PzoneNotice *notice;
    GHashTableIter iter;
    gpointer value;
    uint32_t i;

    if (!pz->notices) {
        return;
    }
    if (class_id) {
        notice = pzone_notice_get(pz, class_id);
        if (notice) {
            notice->changed = true;
            if (pz_class_by_id(pz->core, class_id, &class)) {
                /* Gone: say so before the name can be in use again. */
                notice->changed_ms = 0;
            }
        }
        return;
    }
    /* Those that exist, and those that may just have gone. */
    for (i = 0; !pz_class_get(pz->core, i, &class); i++) {
        pzone_notice_get(pz, class.id);
    }
    g_hash_table_iter_init(&iter, pz->notices);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        notice = value;
        notice->suspect = true;
    }
}

void virtio_mem_pzone_shortage(VirtIOMEMPzone *pz, uint32_t class_id, bool oom,
                               uint64_t wanted)
{
    PzoneNotice *notice = pzone_notice_get(pz, class_id);

    if (notice) {
        /* Several since the last event become one: the worst of them. */
        notice->oom = oom || (notice->shortage && notice->oom);
        notice->wanted = notice->shortage ? MAX(wanted, notice->wanted)
                                          : wanted;
        notice->shortage = true;
    }
}

/* Returns whether it is time; else lowers @next_ms to when it is. */
static bool pzone_notice_due(int64_t last_ms, int64_t now_ms, int64_t *next_ms)
{
    const int64_t due_ms = last_ms + PZONE_NOTICE_INTERVAL_MS;

    if (!last_ms || now_ms >= due_ms) {
        return true;
    }
    *next_ms = MIN(*next_ms, due_ms);
    return false;
}

/* Returns true when the notice is done with for good. */
static bool pzone_notice_flush(VirtIOMEMPzone *pz, const PzoneView *view,
                               uint32_t class_id, PzoneNotice *notice,
                               int64_t now_ms, int64_t *next_ms)
{
    struct pz_class_info class = {};
    const bool gone = pz_class_by_id(pz->core, class_id, &class);
    const uint64_t size = class.size * pz->vmem->block_size;
    const uint64_t actual = class.plugged * pz->vmem->block_size;
    const PzoneState state = gone ? PZONE_STATE_DESTROYING
                                  : pzone_class_state(view, &class);

    if (notice->suspect &&
        (gone || !notice->changed_ms || size != notice->sent_size ||
         actual != notice->sent_actual || state != notice->sent_state)) {
        notice->changed = true;
    }
    notice->suspect = false;

    if (notice->shortage && gone) {
        notice->shortage = false;
    }
    if (notice->shortage &&
        pzone_notice_due(notice->shortage_ms, now_ms, next_ms)) {
        qapi_event_send_pzone_shortage(pz->name, notice->name, notice->oom,
                                       notice->wanted);
        notice->shortage = false;
        notice->shortage_ms = now_ms;
    }

    if (!notice->changed ||
        !pzone_notice_due(notice->changed_ms, now_ms, next_ms)) {
        return false;
    }
    qapi_event_send_pzone_changed(pz->name, notice->name, size, actual, state,
                                  gone);
    notice->changed = false;
    notice->changed_ms = now_ms;
    notice->sent_size = size;
    notice->sent_actual = actual;
    notice->sent_state = state;
    return gone;
}

void virtio_mem_pzone_flush_notices(VirtIOMEMPzone *pz)
{
    const int64_t now_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    int64_t next_ms = INT64_MAX;
    PzoneNotice *notice;
    GHashTableIter iter;
    gpointer key, value;
    PzoneView view;
    bool any = false;

    if (!pz->notices) {
        return;
    }
    /*
     * A look at the pool costs as much as the guest has made of its layout:
     * not before something may be sent.
     */
    g_hash_table_iter_init(&iter, pz->notices);
    while (!any && g_hash_table_iter_next(&iter, NULL, &value)) {
        notice = value;
        any = ((notice->changed || notice->suspect) &&
               pzone_notice_due(notice->changed_ms, now_ms, &next_ms)) ||
              (notice->shortage &&
               pzone_notice_due(notice->shortage_ms, now_ms, &next_ms));
    }
    if (!any) {
        if (next_ms != INT64_MAX) {
            timer_mod_anticipate(pz->notice_timer, next_ms);
        }
        return;
    }

    pzone_view_init(&view, pz);
    g_hash_table_iter_init(&iter, pz->notices);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (pzone_notice_flush(pz, &view, GPOINTER_TO_UINT(key), value, now_ms,
                               &next_ms)) {
            g_hash_table_iter_remove(&iter);
        }
    }
    pzone_view_done(&view);

    if (next_ms != INT64_MAX) {
        timer_mod_anticipate(pz->notice_timer, next_ms);
    }
}

static void pzone_notice_timer(void *opaque)
{
    virtio_mem_pzone_flush_notices(opaque);
}

void virtio_mem_pzone_notices_init(VirtIOMEMPzone *pz)
{
    pz->notices = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    /* Real time: a stopped VM's events go out as well. */
    pz->notice_timer = timer_new_ms(QEMU_CLOCK_REALTIME, pzone_notice_timer,
                                    pz);
}

void virtio_mem_pzone_notices_cleanup(VirtIOMEMPzone *pz)
{
    timer_free(pz->notice_timer);
    pz->notice_timer = NULL;
    g_hash_table_destroy(pz->notices);
    pz->notices = NULL;
}

/*
 * Looking
 */

static PzoneExtentList *pzone_extent_list(const VirtIOMEM *vmem,
                                          const struct pz_extent *extents,
                                          uint32_t nr, uint32_t class_id)
{
    PzoneExtentList *list = NULL, **tail = &list;
    uint32_t i;

    for (i = 0; i < nr; i++) {
        PzoneExtent *ext;

        if (extents[i].class_id != class_id) {
            continue;
        }
        ext = g_new0(PzoneExtent, 1);
        ext->addr = vmem->addr + extents[i].first * vmem->block_size;
        ext->size = extents[i].nr * vmem->block_size;
        QAPI_LIST_APPEND(tail, ext);
    }
    return list;
}

static PzoneReport *pzone_report(const VirtIOMEM *vmem,
                                 const struct pz_report *report)
{
    PzoneReport *ret = g_new0(PzoneReport, 1);

    ret->cgroups = report->nr_cgroups;
    ret->free = report->free_bytes;
    ret->anon = report->anon_bytes;
    ret->file = report->file_bytes;
    ret->stuck = report->stuck_blocks * vmem->block_size;
    ret->pinned = report->pinned_bytes;
    ret->refaults = report->refault_pages;
    ret->pressure_us = report->pressure_us;
    ret->oom = report->oom_events;
    ret->oom_kill = report->oom_kills;
    ret->reclaimed = report->reclaimed_bytes;
    return ret;
}

static PzoneClass *pzone_class(const VirtIOMEM *vmem, const PzoneView *view,
                               const struct pz_class_info *class)
{
    PzoneClass *ret = g_new0(PzoneClass, 1);

    ret->id = class->id;
    ret->name = g_strdup(class->name);
    ret->size = class->size * vmem->block_size;
    ret->actual = class->plugged * vmem->block_size;
    ret->guarantee = class->guarantee * vmem->block_size;
    ret->limit = class->limit * vmem->block_size;
    ret->cookie = g_strdup(class->cookie);
    ret->state = pzone_class_state(view, class);
    ret->wanted_extents = pzone_extent_list(vmem, view->wanted,
                                            view->nr_wanted, class->id);
    ret->extents = pzone_extent_list(vmem, view->actual, view->nr_actual,
                                     class->id);
    if (class->report.valid) {
        ret->report = pzone_report(vmem, &class->report);
    }
    return ret;
}

static PzonePool *pzone_pool(const VirtIOMEMPzone *pz)
{
    const VirtIOMEM *vmem = pz->vmem;
    PzonePool *ret = g_new0(PzonePool, 1);
    PzoneClassList **tail = &ret->classes;
    struct pz_class_info class;
    PzoneView view;
    uint32_t i;

    pzone_view_init(&view, pz);
    ret->id = g_strdup(pz->name);
    ret->addr = vmem->addr;
    ret->size = view.info.nr_blocks * vmem->block_size;
    ret->block_size = vmem->block_size;
    ret->requested = vmem->requested_size;
    ret->plugged = vmem->size;
    ret->memmap = view.info.memmap * vmem->block_size;
    if (view.info.requested > view.info.allocated) {
        ret->available = (view.info.requested - view.info.allocated) *
                         vmem->block_size;
    }
    ret->generation = view.info.generation;
    ret->guest_generation = view.info.guest_generation;
    ret->guest = view.guest;
    for (i = 0; !pz_class_get(pz->core, i, &class); i++) {
        QAPI_LIST_APPEND(tail, pzone_class(vmem, &view, &class));
    }
    pzone_view_done(&view);
    return ret;
}

PzonePoolList *qmp_query_pzone(Error **errp)
{
    PzonePoolList *list = NULL;
    VirtIOMEMPzone *pz;

    /* The youngest pool is first in our list, and so the last of this one. */
    QLIST_FOREACH(pz, &virtio_mem_pzone_pools, next) {
        QAPI_LIST_PREPEND(list, pzone_pool(pz));
    }
    return list;
}

static void pzone_print_extents(Monitor *mon, const char *what,
                                const PzoneExtentList *list)
{
    for (; list; list = list->next) {
        g_autofree char *size = size_to_str(list->value->size);

        monitor_printf(mon, "    %s 0x%" PRIx64 "-0x%" PRIx64 " (%s)\n", what,
                       list->value->addr,
                       list->value->addr + list->value->size - 1, size);
    }
}

static void pzone_print_class(Monitor *mon, const PzoneClass *class)
{
    g_autofree char *size = size_to_str(class->size);
    g_autofree char *actual = size_to_str(class->actual);
    g_autofree char *guarantee = size_to_str(class->guarantee);
    g_autofree char *limit = size_to_str(class->limit);

    monitor_printf(mon, "  class %s: has %s, wanted %s (%s to %s), %s\n",
                   class->name, actual, size, guarantee, limit,
                   PzoneState_str(class->state));
    pzone_print_extents(mon, "has", class->extents);
    pzone_print_extents(mon, "wanted", class->wanted_extents);
}

static void pzone_print_pool(Monitor *mon, const PzonePool *pool)
{
    g_autofree char *block = size_to_str(pool->block_size);
    g_autofree char *requested = size_to_str(pool->requested);
    g_autofree char *plugged = size_to_str(pool->plugged);
    g_autofree char *available = size_to_str(pool->available);
    g_autofree char *memmap = size_to_str(pool->memmap);
    const PzoneClassList *class;

    monitor_printf(mon, "pool %s: 0x%" PRIx64 "-0x%" PRIx64 "\n", pool->id,
                   pool->addr, pool->addr + pool->size - 1);
    monitor_printf(mon, "  requested %s, plugged %s, available %s, memory map"
                   " %s, block size %s\n", requested, plugged, available,
                   memmap, block);
    monitor_printf(mon, "  guest driver: %s; layout %" PRIu32 ", guest is at %"
                   PRIu32 "\n", PzoneGuest_str(pool->guest), pool->generation,
                   pool->guest_generation);
    for (class = pool->classes; class; class = class->next) {
        pzone_print_class(mon, class->value);
    }
}

void hmp_info_pzone(Monitor *mon, const QDict *qdict)
{
    g_autoptr(PzonePoolList) list = qmp_query_pzone(&error_abort);
    const PzonePoolList *pool;

    for (pool = list; pool; pool = pool->next) {
        pzone_print_pool(mon, pool->value);
    }
}

/*
 * Changing
 */

/* The pool @name, if its layout may be changed; else NULL with @errp set. */
static VirtIOMEMPzone *pzone_find_pool(const char *name, Error **errp)
{
    g_autoptr(GString) known = g_string_new(NULL);
    VirtIOMEMPzone *pz;

    QLIST_FOREACH(pz, &virtio_mem_pzone_pools, next) {
        if (g_str_equal(pz->name, name)) {
            return virtio_mem_pzone_may_change(pz, errp) ? pz : NULL;
        }
        g_string_append_printf(known, "%s'%s'", known->len ? ", " : "",
                               pz->name);
    }
    if (known->len) {
        error_setg(errp, "there is no pool '%s'; the pools are: %s", name,
                   known->str);
    } else {
        error_setg(errp, "there is no pool '%s': no device has '%s=on'", name,
                   VIRTIO_MEM_PZONE_PROP);
    }
    return NULL;
}

/* @what and @class are for the message. */
static bool pzone_blocks(const VirtIOMEMPzone *pz, const char *what,
                         const char *class, uint64_t bytes,
                         uint32_t *ret_blocks, Error **errp)
{
    const uint64_t region_size = memory_region_size(&pz->vmem->memdev->mr);
    const uint64_t block_size = pz->vmem->block_size;
    const uint64_t below = QEMU_ALIGN_DOWN(bytes, block_size);

    if (bytes > region_size) {
        error_setg(errp, "%s %" PRIu64 " of class '%s' is more than the whole"
                   " pool '%s' has (%" PRIu64 ")", what, bytes, class, pz->name,
                   region_size);
        return false;
    }
    if (bytes != below) {
        g_autofree char *block = size_to_str(block_size);

        error_setg(errp, "%s %" PRIu64 " of class '%s' is no multiple of the"
                   " block size %s (%" PRIu64 "); the nearest are %" PRIu64
                   " and %" PRIu64, what, bytes, class, block, block_size,
                   below, below + block_size);
        return false;
    }
    *ret_blocks = bytes / block_size;
    return true;
}

/* Pass on what the core says, or send what follows from a change. */
static void pzone_finish(VirtIOMEMPzone *pz, int ret, const char *class,
                         const struct pz_error *err, Error **errp)
{
    struct pz_class_info info;

    if (ret) {
        error_setg(errp, "pool '%s': %s", pz->name, err->msg);
        return;
    }
    if (!pz_class_find(pz->core, class, &info)) {
        virtio_mem_pzone_changed(pz, info.id);
    }
    virtio_mem_pzone_flush_notices(pz);
}

void qmp_pzone_create(const char *pool, const char *name, uint64_t size,
                      bool has_guarantee, uint64_t guarantee, bool has_limit,
                      uint64_t limit, const char *cookie, Error **errp)
{
    uint32_t size_blocks, guarantee_blocks, limit_blocks, id;
    VirtIOMEMPzone *pz = pzone_find_pool(pool, errp);
    struct pz_class_info info;
    VirtIOMEMPzone *other;
    struct pz_error err;
    int ret;

    if (!pz ||
        !pzone_blocks(pz, "size", name, size, &size_blocks, errp) ||
        !pzone_blocks(pz, "guarantee", name, has_guarantee ? guarantee : size,
                      &guarantee_blocks, errp) ||
        !pzone_blocks(pz, "limit", name, has_limit ? limit : size,
                      &limit_blocks, errp)) {
        return;
    }
    QLIST_FOREACH(other, &virtio_mem_pzone_pools, next) {
        if (other != pz && !pz_class_find(other->core, name, &info)) {
            error_setg(errp, "class '%s' exists already, in pool '%s'", name,
                       other->name);
            return;
        }
    }
    ret = pz_class_create(pz->core, name, size_blocks, guarantee_blocks,
                          limit_blocks, cookie ?: "", &id, &err);
    pzone_finish(pz, ret, name, &err, errp);
}

void qmp_pzone_resize(const char *pool, const char *name, uint64_t size,
                      Error **errp)
{
    VirtIOMEMPzone *pz = pzone_find_pool(pool, errp);
    struct pz_error err;
    uint32_t blocks;
    int ret;

    if (!pz || !pzone_blocks(pz, "size", name, size, &blocks, errp)) {
        return;
    }
    ret = pz_class_resize(pz->core, name, blocks, &err);
    pzone_finish(pz, ret, name, &err, errp);
}

void qmp_pzone_set(const char *pool, const char *name, bool has_size,
                   uint64_t size, bool has_guarantee, uint64_t guarantee,
                   bool has_limit, uint64_t limit, const char *cookie,
                   Error **errp)
{
    VirtIOMEMPzone *pz = pzone_find_pool(pool, errp);
    struct pz_class_info info;
    struct pz_error err;
    int ret;

    if (!pz) {
        return;
    }
    if (pz_class_find(pz->core, name, &info)) {
        error_setg(errp, "there is no class '%s' in pool '%s'", name, pool);
        return;
    }
    if ((has_size &&
         !pzone_blocks(pz, "size", name, size, &info.size, errp)) ||
        (has_guarantee &&
         !pzone_blocks(pz, "guarantee", name, guarantee, &info.guarantee,
                       errp)) ||
        (has_limit &&
         !pzone_blocks(pz, "limit", name, limit, &info.limit, errp))) {
        return;
    }
    ret = pz_class_set(pz->core, name, info.size, info.guarantee, info.limit,
                       cookie, &err);
    pzone_finish(pz, ret, name, &err, errp);
}

void qmp_pzone_destroy(const char *pool, const char *name, Error **errp)
{
    VirtIOMEMPzone *pz = pzone_find_pool(pool, errp);
    struct pz_class_info info;
    struct pz_error err;
    int ret;

    if (!pz) {
        return;
    }
    if (pz_class_find(pz->core, name, &info)) {
        error_setg(errp, "there is no class '%s' in pool '%s'", name, pool);
        return;
    }
    ret = pz_class_destroy(pz->core, name, &err);
    if (!ret) {
        /* By its id: the class may be gone already. */
        virtio_mem_pzone_changed(pz, info.id);
    }
    pzone_finish(pz, ret, name, &err, errp);
}

void qmp_pzone_reclaim(const char *pool, const char *name, uint64_t size,
                       Error **errp)
{
    VirtIOMEMPzone *pz = pzone_find_pool(pool, errp);
    struct pz_error err;
    int ret;

    if (!pz) {
        return;
    }
    ret = pz_class_reclaim(pz->core, name, size, &err);
    pzone_finish(pz, ret, name, &err, errp);
}
