/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The pzone monitor commands of an emulator that has no virtio-mem.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-pzone.h"
#include "monitor/hmp.h"

static void pzone_unsupported(Error **errp)
{
    error_setg(errp, "this emulator has no virtio-mem devices");
}

PzonePoolList *qmp_query_pzone(const char *pool, bool has_max_extents,
                               uint32_t max_extents, Error **errp)
{
    return NULL;
}

void hmp_info_pzone(Monitor *mon, const QDict *qdict)
{
}

void qmp_pzone_create(const char *pool, const char *name, uint64_t size,
                      bool has_guarantee, uint64_t guarantee, bool has_limit,
                      uint64_t limit, bool has_align, uint64_t align,
                      const char *cookie, Error **errp)
{
    pzone_unsupported(errp);
}

void qmp_pzone_resize(const char *pool, const char *name, uint64_t size,
                      Error **errp)
{
    pzone_unsupported(errp);
}

void qmp_pzone_set(const char *pool, const char *name, bool has_size,
                   uint64_t size, bool has_guarantee, uint64_t guarantee,
                   bool has_limit, uint64_t limit, const char *cookie,
                   Error **errp)
{
    pzone_unsupported(errp);
}

void qmp_pzone_destroy(const char *pool, const char *name, Error **errp)
{
    pzone_unsupported(errp);
}

void qmp_pzone_reclaim(const char *pool, const char *name, uint64_t size,
                       Error **errp)
{
    pzone_unsupported(errp);
}
