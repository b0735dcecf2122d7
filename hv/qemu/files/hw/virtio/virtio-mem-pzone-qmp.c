/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pseudo-zones of virtio-mem devices: the QMP and HMP half.  Looking at pools
 * and classes, changing what is wanted, events.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
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

/* At most four events of a kind per class and second... */
#define PZONE_NOTICE_INTERVAL_MS 250
/* ... except when a class that has just grown is out of memory again. */
#define PZONE_NOTICE_URGENT_MS 20

/* Extents of a class that query-pzone lists if it is not told. */
#define PZONE_MAX_EXTENTS 64
/* What a person is shown of them. */
#define PZONE_MAX_EXTENTS_HMP 4

/*
 * A look at a pool
 */

/* What the two layouts say of a class. */
typedef struct PzoneSpread {
    uint32_t nr_wanted;
    uint32_t nr_actual;
    PzoneExtentList *wanted;
    PzoneExtentList *actual;
    PzoneExtentList **wanted_tail;
    PzoneExtentList **actual_tail;
    /* blocks that the class has and should not have */
    uint32_t misplaced;
} PzoneSpread;

typedef struct PzoneView {
    struct pz_pool_info info;
    PzoneGuest guest;
    /* class id -> PzoneSpread */
    GHashTable *spread;
} PzoneView;

static void pzone_spread_free(gpointer data)
{
    PzoneSpread *spread = data;

    qapi_free_PzoneExtentList(spread->wanted);
    qapi_free_PzoneExtentList(spread->actual);
    g_free(spread);
}

static PzoneSpread *pzone_spread(const PzoneView *view, uint32_t class_id)
{
    const gpointer key = GUINT_TO_POINTER(class_id);
    PzoneSpread *spread = g_hash_table_lookup(view->spread, key);

    if (!spread) {
        spread = g_new0(PzoneSpread, 1);
        spread->wanted_tail = &spread->wanted;
        spread->actual_tail = &spread->actual;
        g_hash_table_insert(view->spread, key, spread);
    }
    return spread;
}

static PzoneExtent *pzone_extent(const VirtIOMEM *vmem,
                                 const struct pz_extent *extent)
{
    PzoneExtent *ret = g_new0(PzoneExtent, 1);

    ret->addr = vmem->addr + extent->first * vmem->block_size;
    ret->size = extent->nr * vmem->block_size;
    return ret;
}

/* Of each class the first @max extents are listed, and all are counted. */
static void pzone_view_extents(PzoneView *view, const VirtIOMEM *vmem,
                               const struct pz_extent *wanted,
                               uint32_t nr_wanted,
                               const struct pz_extent *actual,
                               uint32_t nr_actual, uint32_t max)
{
    PzoneSpread *spread;
    uint32_t i;

    for (i = 0; i < nr_wanted; i++) {
        spread = pzone_spread(view, wanted[i].class_id);
        if (spread->nr_wanted++ < max) {
            QAPI_LIST_APPEND(spread->wanted_tail,
                             pzone_extent(vmem, &wanted[i]));
        }
    }
    for (i = 0; i < nr_actual; i++) {
        spread = pzone_spread(view, actual[i].class_id);
        if (spread->nr_actual++ < max) {
            QAPI_LIST_APPEND(spread->actual_tail,
                             pzone_extent(vmem, &actual[i]));
        }
    }
}

static void pzone_view_misplaced(void *opaque, uint32_t class_id,
                                 uint32_t blocks)
{
    pzone_spread(opaque, class_id)->misplaced += blocks;
}

static void pzone_view_init(PzoneView *view, const VirtIOMEMPzone *pz,
                            uint32_t max_extents)
{
    const VirtIODevice *vdev = VIRTIO_DEVICE(pz->vmem);
    const uint32_t nr_wanted = pz_pool_wanted(pz->core, 0, NULL, 0);
    const uint32_t nr_actual = pz_pool_actual(pz->core, 0, NULL, 0);
    g_autofree struct pz_extent *wanted = g_new(struct pz_extent, nr_wanted);
    g_autofree struct pz_extent *actual = g_new(struct pz_extent, nr_actual);

    pz_pool_info(pz->core, &view->info);
    view->guest = virtio_mem_pzone_guest(pz->vmem, vdev->status);
    pz_pool_wanted(pz->core, 0, wanted, nr_wanted);
    pz_pool_actual(pz->core, 0, actual, nr_actual);
    view->spread = g_hash_table_new_full(NULL, NULL, NULL, pzone_spread_free);
    pzone_view_extents(view, pz->vmem, wanted, nr_wanted, actual, nr_actual,
                       max_extents);
    pz_misplaced(wanted, nr_wanted, actual, nr_actual, pzone_view_misplaced,
                 view);
}

static void pzone_view_done(PzoneView *view)
{
    g_hash_table_destroy(view->spread);
}

/* @failed: the host could not plug or unplug something of it. */
static PzoneState pzone_class_state(const PzoneView *view,
                                    const struct pz_class_info *class,
                                    bool failed)
{
    static const PzoneState states[] = {
        [PZ_CLASS_SETTLED] = PZONE_STATE_SETTLED,
        [PZ_CLASS_GROWING] = PZONE_STATE_GROWING,
        [PZ_CLASS_SHRINKING] = PZONE_STATE_SHRINKING,
        [PZ_CLASS_PARTIAL] = PZONE_STATE_PARTIAL,
        [PZ_CLASS_DESTROYING] = PZONE_STATE_DESTROYING,
        [PZ_CLASS_WAITING] = PZONE_STATE_WAITING,
    };

    return states[pz_class_state(&view->info, class,
                                 pzone_spread(view, class->id)->misplaced,
                                 view->guest == PZONE_GUEST_READY, failed)];
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

    /* PZONE_SHORTAGE: to be sent; when one was; what it says; got more since */
    bool shortage;
    int64_t shortage_ms;
    bool oom;
    uint64_t wanted;
    bool backed;

    /* why the host could not do what the guest asked for last; NULL: it could */
    char *error;

    /* PZONE_NOMEM, which also says @error; bytes that there was none for */
    bool nomem;
    int64_t nomem_ms;
    uint64_t missing;
} PzoneNotice;

static void pzone_notice_free(gpointer data)
{
    PzoneNotice *notice = data;

    g_free(notice->error);
    g_free(notice);
}

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

void virtio_mem_pzone_backed(VirtIOMEMPzone *pz, uint32_t class_id)
{
    PzoneNotice *notice = pzone_notice_get(pz, class_id);

    if (notice) {
        g_clear_pointer(&notice->error, g_free);
        notice->nomem = false;
        notice->missing = 0;
        notice->backed = true;
    }
}

void virtio_mem_pzone_failed(VirtIOMEMPzone *pz, uint32_t class_id, bool plug,
                             bool nomem, uint64_t size, const char *why)
{
    PzoneNotice *notice = pzone_notice_get(pz, class_id);
    g_autofree char *amount = size_to_str(size);

    if (!notice) {
        /* The memory map's: no class is without memory because of it. */
        warn_report_once("pool '%s': the host can't %s %s of the memory map%s"
                         "%s", pz->name, plug ? "provide" : "take back",
                         amount, why ? ": " : "", why ?: "");
        return;
    }
    g_free(notice->error);
    notice->error = g_strdup_printf("pool '%s': the host %s %s %s class '%s'"
                                    "%s%s", pz->name,
                                    nomem ? "has no memory for" :
                                    plug ? "can't plug" : "can't take back",
                                    amount, plug ? "more of" : "of",
                                    notice->name, why ? ": " : "", why ?: "");
    if (nomem) {
        notice->missing = notice->nomem ? MAX(notice->missing, size) : size;
        notice->nomem = true;
    }
    notice->suspect = true;
}

void virtio_mem_pzone_forget_errors(VirtIOMEMPzone *pz)
{
    GHashTableIter iter;
    gpointer value;

    if (!pz->notices) {
        return;
    }
    g_hash_table_iter_init(&iter, pz->notices);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PzoneNotice *notice = value;

        g_clear_pointer(&notice->error, g_free);
        notice->nomem = false;
    }
}

/* Why the class does not have its size as far as the host knows, or NULL. */
static const char *pzone_error(const VirtIOMEMPzone *pz,
                               const struct pz_class_info *class)
{
    const PzoneNotice *notice = NULL;

    if (pz->notices && class->plugged != class->size) {
        notice = g_hash_table_lookup(pz->notices, GUINT_TO_POINTER(class->id));
    }
    return notice ? notice->error : NULL;
}

/* Returns whether it is time; else lowers @next_ms to when it is. */
static bool pzone_due_after(int64_t last_ms, int64_t interval_ms,
                            int64_t now_ms, int64_t *next_ms)
{
    const int64_t due_ms = last_ms + interval_ms;

    if (!last_ms || now_ms >= due_ms) {
        return true;
    }
    *next_ms = MIN(*next_ms, due_ms);
    return false;
}

static bool pzone_changed_due(const PzoneNotice *notice, int64_t now_ms,
                              int64_t *next_ms)
{
    return pzone_due_after(notice->changed_ms, PZONE_NOTICE_INTERVAL_MS,
                           now_ms, next_ms);
}

/* A guest that got something and wants more is about to kill somebody. */
static bool pzone_shortage_due(const PzoneNotice *notice, int64_t now_ms,
                               int64_t *next_ms)
{
    return pzone_due_after(notice->shortage_ms, notice->backed && notice->oom ?
                           PZONE_NOTICE_URGENT_MS : PZONE_NOTICE_INTERVAL_MS,
                           now_ms, next_ms);
}

static bool pzone_nomem_due(const PzoneNotice *notice, int64_t now_ms,
                            int64_t *next_ms)
{
    return pzone_due_after(notice->nomem_ms, PZONE_NOTICE_INTERVAL_MS,
                           now_ms, next_ms);
}

static void pzone_send_shortage(VirtIOMEMPzone *pz, PzoneNotice *notice,
                                int64_t now_ms)
{
    qapi_event_send_pzone_shortage(pz->name, notice->name, notice->oom,
                                   notice->wanted);
    notice->shortage = false;
    notice->shortage_ms = now_ms;
    notice->backed = false;
}

static void pzone_send_nomem(VirtIOMEMPzone *pz, PzoneNotice *notice,
                             uint64_t size, uint64_t actual, int64_t now_ms)
{
    qapi_event_send_pzone_nomem(pz->name, notice->name, size, actual,
                                notice->missing, notice->error);
    notice->nomem = false;
    notice->nomem_ms = now_ms;
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
        : pzone_class_state(view, &class, pzone_error(pz, &class));

    if (notice->suspect &&
        (gone || !notice->changed_ms || size != notice->sent_size ||
         actual != notice->sent_actual || state != notice->sent_state)) {
        notice->changed = true;
    }
    notice->suspect = false;

    if (gone) {
        notice->shortage = notice->nomem = false;
    }
    if (notice->shortage && pzone_shortage_due(notice, now_ms, next_ms)) {
        pzone_send_shortage(pz, notice, now_ms);
    }
    if (notice->nomem && pzone_nomem_due(notice, now_ms, next_ms)) {
        pzone_send_nomem(pz, notice, size, actual, now_ms);
    }

    if (!notice->changed || !pzone_changed_due(notice, now_ms, next_ms)) {
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
               pzone_changed_due(notice, now_ms, &next_ms)) ||
              (notice->shortage &&
               pzone_shortage_due(notice, now_ms, &next_ms)) ||
              (notice->nomem && pzone_nomem_due(notice, now_ms, &next_ms));
    }
    if (!any) {
        if (next_ms != INT64_MAX) {
            timer_mod_anticipate(pz->notice_timer, next_ms);
        }
        return;
    }

    pzone_view_init(&view, pz, 0);
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
    pz->notices = g_hash_table_new_full(NULL, NULL, NULL,
                                        pzone_notice_free);
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

static PzoneReport *pzone_report(const VirtIOMEM *vmem,
                                 const struct pz_class_info *class)
{
    const struct pz_report *report = &class->report;
    const uint64_t actual = class->plugged * vmem->block_size;
    PzoneReport *ret = g_new0(PzoneReport, 1);

    ret->cgroups = report->nr_cgroups;
    ret->free = report->free_bytes;
    ret->used = actual - MIN(actual, report->free_bytes);
    ret->anon = report->anon_bytes;
    ret->file = report->file_bytes;
    ret->stuck = report->stuck_blocks * vmem->block_size;
    ret->pinned = report->pinned_bytes;
    ret->refaults = report->refault_pages;
    ret->pressure_us = report->pressure_us;
    ret->oom = report->oom_events;
    ret->oom_kill = report->oom_kills;
    ret->reclaimed = report->reclaimed_bytes;
    ret->reclaim_done_seq = report->reclaim_done_seq;
    return ret;
}

/* Why the class does not have its size, or NULL. */
static char *pzone_last_error(const VirtIOMEMPzone *pz,
                              const struct pz_class_info *class,
                              PzoneState state)
{
    const uint64_t stuck = class->report.stuck_blocks * pz->vmem->block_size;
    const char *error = pzone_error(pz, class);
    g_autofree char *size = size_to_str(stuck);

    if (error || state != PZONE_STATE_PARTIAL || !stuck) {
        return g_strdup(error);
    }
    return g_strdup_printf("pool '%s': the guest still uses %s that class '%s'"
                           " is to give back", pz->name, size, class->name);
}

static PzoneClass *pzone_class(const VirtIOMEMPzone *pz, const PzoneView *view,
                               const struct pz_class_info *class)
{
    const VirtIOMEM *vmem = pz->vmem;
    PzoneSpread *spread = pzone_spread(view, class->id);
    PzoneClass *ret = g_new0(PzoneClass, 1);

    ret->id = class->id;
    ret->name = g_strdup(class->name);
    ret->size = class->size * vmem->block_size;
    ret->actual = class->plugged * vmem->block_size;
    ret->guarantee = class->guarantee * vmem->block_size;
    ret->limit = class->limit * vmem->block_size;
    ret->align = class->align * vmem->block_size;
    ret->relocating = class->relocating;
    ret->cookie = g_strdup(class->cookie);
    ret->state = pzone_class_state(view, class, pzone_error(pz, class));
    ret->last_error = pzone_last_error(pz, class, ret->state);
    ret->reclaim_seq = class->reclaim_seq;
    ret->nr_wanted_extents = spread->nr_wanted;
    ret->nr_extents = spread->nr_actual;
    ret->wanted_extents = g_steal_pointer(&spread->wanted);
    ret->extents = g_steal_pointer(&spread->actual);
    if (class->report.valid) {
        ret->report = pzone_report(vmem, class);
    }
    return ret;
}

static PzonePool *pzone_pool(const VirtIOMEMPzone *pz, uint32_t max_extents)
{
    const VirtIOMEM *vmem = pz->vmem;
    PzonePool *ret = g_new0(PzonePool, 1);
    PzoneClassList **tail = &ret->classes;
    struct pz_class_info class;
    PzoneView view;
    uint32_t i;

    pzone_view_init(&view, pz, max_extents);
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
    ret->busy = virtio_mem_is_busy();
    for (i = 0; !pz_class_get(pz->core, i, &class); i++) {
        QAPI_LIST_APPEND(tail, pzone_class(pz, &view, &class));
    }
    pzone_view_done(&view);
    return ret;
}

/* The pool @name; else NULL with @errp set. */
static VirtIOMEMPzone *pzone_find_pool(const char *name, Error **errp)
{
    g_autoptr(GString) known = g_string_new(NULL);
    VirtIOMEMPzone *pz;

    QLIST_FOREACH(pz, &virtio_mem_pzone_pools, next) {
        if (g_str_equal(pz->name, name)) {
            return pz;
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

PzonePoolList *qmp_query_pzone(const char *pool, bool has_max_extents,
                               uint32_t max_extents, Error **errp)
{
    PzonePoolList *list = NULL;
    VirtIOMEMPzone *pz;

    if (!has_max_extents) {
        max_extents = PZONE_MAX_EXTENTS;
    }
    if (pool) {
        pz = pzone_find_pool(pool, errp);
        if (pz) {
            QAPI_LIST_PREPEND(list, pzone_pool(pz, max_extents));
        }
        return list;
    }
    /* The youngest pool is first in our list, and so the last of this one. */
    QLIST_FOREACH(pz, &virtio_mem_pzone_pools, next) {
        QAPI_LIST_PREPEND(list, pzone_pool(pz, max_extents));
    }
    return list;
}

static void pzone_print_extents(Monitor *mon, const char *what,
                                const PzoneExtentList *list, uint64_t nr)
{
    for (; list; list = list->next, nr--) {
        g_autofree char *size = size_to_str(list->value->size);

        monitor_printf(mon, "    %s 0x%" PRIx64 "-0x%" PRIx64 " (%s)\n", what,
                       list->value->addr,
                       list->value->addr + list->value->size - 1, size);
    }
    if (nr) {
        monitor_printf(mon, "    %s %" PRIu64 " more extents\n", what, nr);
    }
}

static void pzone_print_report(Monitor *mon, const PzoneReport *report)
{
    g_autofree char *used = size_to_str(report->used);
    g_autofree char *anon = size_to_str(report->anon);
    g_autofree char *file = size_to_str(report->file);
    g_autofree char *stuck = size_to_str(report->stuck);
    g_autofree char *pinned = size_to_str(report->pinned);

    monitor_printf(mon, "    guest: used %s (anonymous %s, file %s), stuck %s,"
                   " pinned %s, %" PRIu32 " cgroups\n", used, anon, file,
                   stuck, pinned, report->cgroups);
    monitor_printf(mon, "    guest: pressure %" PRIu64 " us, refaults %" PRIu64
                   ", out of memory %" PRIu64 " times, %" PRIu64 " killed\n",
                   report->pressure_us, report->refaults, report->oom,
                   report->oom_kill);
}

static void pzone_print_class(Monitor *mon, const PzoneClass *class)
{
    g_autofree char *size = size_to_str(class->size);
    g_autofree char *actual = size_to_str(class->actual);
    g_autofree char *guarantee = size_to_str(class->guarantee);
    g_autofree char *limit = size_to_str(class->limit);
    g_autofree char *align = size_to_str(class->align);

    monitor_printf(mon, "  class %s: has %s, wanted %s (%s to %s), aligned to"
                   " %s, %s%s\n", class->name, actual, size, guarantee,
                   limit, align, PzoneState_str(class->state),
                   class->relocating ? ", relocating" : "");
    if (class->last_error) {
        monitor_printf(mon, "    error: %s\n", class->last_error);
    }
    if (class->report) {
        pzone_print_report(mon, class->report);
    }
    pzone_print_extents(mon, "has", class->extents, class->nr_extents);
    pzone_print_extents(mon, "wanted", class->wanted_extents,
                        class->nr_wanted_extents);
}

static void pzone_print_pool(Monitor *mon, const PzonePool *pool)
{
    g_autofree char *block = size_to_str(pool->block_size);
    g_autofree char *requested = size_to_str(pool->requested);
    g_autofree char *plugged = size_to_str(pool->plugged);
    g_autofree char *available = size_to_str(pool->available);
    g_autofree char *memmap = size_to_str(pool->memmap);
    const PzoneClassList *class;

    monitor_printf(mon, "pool %s: 0x%" PRIx64 "-0x%" PRIx64 "%s\n", pool->id,
                   pool->addr, pool->addr + pool->size - 1,
                   pool->busy ? ", busy with a migration" : "");
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
    g_autoptr(PzonePoolList) list = qmp_query_pzone(NULL, true,
                                                    PZONE_MAX_EXTENTS_HMP,
                                                    &error_abort);
    const PzonePoolList *pool;

    for (pool = list; pool; pool = pool->next) {
        pzone_print_pool(mon, pool->value);
    }
}

/*
 * Changing
 */

/* The pool @name, if its layout may be changed; else NULL with @errp set. */
static VirtIOMEMPzone *pzone_changeable_pool(const char *name, Error **errp)
{
    VirtIOMEMPzone *pz = pzone_find_pool(name, errp);

    return pz && virtio_mem_pzone_may_change(pz, errp) ? pz : NULL;
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

/* An alignment is one of guest-physical addresses, the core's is one of blocks. */
static bool pzone_align(const VirtIOMEMPzone *pz, const char *class,
                        uint64_t bytes, uint32_t *ret_blocks, Error **errp)
{
    const VirtIOMEM *vmem = pz->vmem;

    if (!is_power_of_2(bytes) || bytes < vmem->block_size ||
        bytes > PZ_MAX_ALIGN_BYTES) {
        error_setg(errp, "align %" PRIu64 " of class '%s' is no power of two"
                   " from the block size of pool '%s' (%" PRIu64 ") to %llu",
                   bytes, class, pz->name, vmem->block_size,
                   PZ_MAX_ALIGN_BYTES);
        return false;
    }
    if (!QEMU_IS_ALIGNED(vmem->addr, bytes)) {
        error_setg(errp, "align %" PRIu64 " (0x%" PRIx64 ") of class '%s': the"
                   " address 0x%" PRIx64 " of pool '%s' is no multiple of it;"
                   " give the device another '%s'", bytes, bytes, class,
                   vmem->addr, pz->name, VIRTIO_MEM_ADDR_PROP);
        return false;
    }
    *ret_blocks = bytes / vmem->block_size;
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
                      uint64_t limit, bool has_align, uint64_t align,
                      const char *cookie, Error **errp)
{
    uint32_t size_blocks, guarantee_blocks, limit_blocks, id;
    uint32_t align_blocks = 1;
    VirtIOMEMPzone *pz = pzone_changeable_pool(pool, errp);
    struct pz_class_info info;
    VirtIOMEMPzone *other;
    struct pz_error err;
    int ret;

    if (!pz ||
        !pzone_blocks(pz, "size", name, size, &size_blocks, errp) ||
        !pzone_blocks(pz, "guarantee", name, has_guarantee ? guarantee : size,
                      &guarantee_blocks, errp) ||
        !pzone_blocks(pz, "limit", name, has_limit ? limit : size,
                      &limit_blocks, errp) ||
        (has_align &&
         !pzone_align(pz, name, align, &align_blocks, errp))) {
        return;
    }
    QLIST_FOREACH(other, &virtio_mem_pzone_pools, next) {
        if (other != pz && !pz_class_find(other->core, name, &info)) {
            error_setg(errp, "class '%s' exists already, in pool '%s'", name,
                       other->name);
            return;
        }
    }
    ret = pz_class_create(pz->core, &(struct pz_class_spec) {
        .name = name,
        .size = size_blocks,
        .guarantee = guarantee_blocks,
        .limit = limit_blocks,
        .align = align_blocks,
        .cookie = cookie,
    }, &id, &err);
    pzone_finish(pz, ret, name, &err, errp);
}

void qmp_pzone_resize(const char *pool, const char *name, uint64_t size,
                      Error **errp)
{
    VirtIOMEMPzone *pz = pzone_changeable_pool(pool, errp);
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
    VirtIOMEMPzone *pz = pzone_changeable_pool(pool, errp);
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
    VirtIOMEMPzone *pz = pzone_changeable_pool(pool, errp);
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
    VirtIOMEMPzone *pz = pzone_changeable_pool(pool, errp);
    struct pz_error err;
    int ret;

    if (!pz) {
        return;
    }
    ret = pz_class_reclaim(pz->core, name, size, &err);
    pzone_finish(pz, ret, name, &err, errp);
}
