// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * confirm.c: is what was planned still to be done a moment later?
 *
 * pzone-set tells the device first and writes the XML then (pzone_domain_set() says
 * why). Who reads the XML before and the device after the first step sees a class whose
 * cookie is not its definition's; to set it would undo the change, and take from the
 * class the size that it has grown to. So a class is set only if two looks, some time
 * apart, ask for the same. It costs a change made in the XML alone this time.
 */
#include <string.h>
#include <time.h>
#include "confirm.h"
#include "libpzone.h"

#define CONFIRM_MS	500

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

	if (!sets(plan))
		return true;
	nanosleep(&pause, NULL);
	if (!pzone_config_get(dom, VIR_DOMAIN_AFFECT_LIVE, &defs, NULL) &&
	    !pzone_live_query(dom, &live, NULL) && !policy_make(defs, live, &again)) {
		confirmed = true;
		for (size_t i = 0; i < plan->nr; i++)
			if (plan->actions[i].verb == POLICY_SET)
				confirmed &= has(&again, &plan->actions[i]);
	}
	policy_free(&again);
	pzone_live_free(live);
	pzone_defs_free(defs);
	return confirmed;
}
