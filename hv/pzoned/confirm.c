// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * confirm.c: is what was planned what a second look asks for, too?
 *
 * A look has the XML from before it asks the device, so who changes both can be seen half way:
 *
 * - pzone-define and pzone-undefine write the XML first. What was planned is wrong if the
 *   XML was old, kept from an earlier look or read a moment too early. The second look reads
 *   it after the first has heard of the device, so all that is done there is in it.
 * - pzone-set tells the device first (pzone_domain_set() says why). To set the class again
 *   would undo the change, and take from it the size that it has grown to. Only time helps:
 *   the two looks are some time apart, which is what a change made in the XML alone waits.
 */
#include <string.h>
#include <time.h>
#include "confirm.h"
#include "libpzone.h"

#define CONFIRM_MS	500

/* The cookie says all that a definition does. */
static bool same(const struct policy_action *a, const struct policy_action *b)
{
	return a->verb == b->verb && !strcmp(a->pool, b->pool) && !strcmp(a->name, b->name) &&
	       !strcmp(a->cookie, b->cookie);
}

static bool has(const struct policy_plan *plan, const struct policy_action *a)
{
	for (size_t i = 0; i < plan->nr; i++)
		if (same(&plan->actions[i], a))
			return true;
	return false;
}

static bool sets(const struct policy_plan *plan)
{
	for (size_t i = 0; i < plan->nr; i++)
		if (plan->actions[i].verb == POLICY_SET)
			return true;
	return false;
}

bool confirm_plan(virDomainPtr dom, const struct policy_plan *plan)
{
	const struct timespec pause = { .tv_nsec = CONFIRM_MS * 1000000L };
	struct policy_plan again = { 0 };
	struct pzone_defs *defs = NULL;
	struct pzone_live *live = NULL;
	bool confirmed = false;

	if (sets(plan))
		nanosleep(&pause, NULL);
	if (!pzone_config_get(dom, VIR_DOMAIN_AFFECT_LIVE, &defs, NULL) &&
	    !pzone_live_query(dom, &live, NULL) && !policy_make(defs, live, &again)) {
		confirmed = true;
		for (size_t i = 0; i < plan->nr; i++)
			confirmed &= has(&again, &plan->actions[i]);
	}
	policy_free(&again);
	pzone_live_free(live);
	pzone_defs_free(defs);
	return confirmed;
}
