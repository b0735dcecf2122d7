/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reconcile.h: bring one domain from what it is to what its XML says.
 */
#ifndef PZONED_RECONCILE_H
#define PZONED_RECONCILE_H

#include <stddef.h>
#include <libvirt/libvirt.h>
#include "libpzone.h"

enum reconcile_result {
	RECONCILE_DONE,		/* nothing to do until something changes */
	RECONCILE_GONE,		/* not there or not running: forget it */
	RECONCILE_AGAIN,	/* well so far, look again soon */
	RECONCILE_RETRY,	/* failed: try again, less and less often */
	RECONCILE_WRONG,	/* failed, and only a change by somebody can help */
};

/* What is known of a domain's XML; all zeroes: nothing. */
struct reconcile_xml {
	struct pzone_defs *defs;
	struct pzone_pools *pools;
};
void reconcile_xml_free(struct reconcile_xml *xml);

/*
 * Blocks as long as libvirt does. Reads the XML when xml is empty, and before it changes
 * anything because of it; keeps it there for the next look. why (why_len > 0) gets the
 * reasons for which the domain is not as its XML wants it, or "".
 */
enum reconcile_result reconcile_domain(virConnectPtr conn, const char *uuid,
				       struct reconcile_xml *xml, char *why, size_t why_len);

#endif
