// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * policy.c: the rules that pzoned keeps. All of them are here.
 *
 *   1. A class that a definition made (its cookie says so) and that no
 *      definition names any more is destroyed. One made by hand stays.
 *   2. A defined class that the device has not is created.
 *   3. A class whose cookie is not its definition's gets size, bounds and cookie
 *      of the definition, in one step; also one made by hand that a definition
 *      has come to name.
 *   4. A class with its definition's cookie keeps the size that it has: somebody
 *      resized it since, and <size> is only the size to begin with.
 *   5. A definition that has moved to another pool is destroyed in the old pool,
 *      and created in the new one when it is gone from the old.
 *
 * What frees memory comes first: destroy, shrink, grow, create.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy.h"

static void say(struct policy_plan *plan, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct policy_plan *plan, const char *fmt, ...)
{
	size_t len = strlen(plan->why), room = sizeof(plan->why) - len;
	va_list ap;

	if (len && room > 2) {
		memcpy(plan->why + len, "; ", 3);
		len += 2;
		room -= 2;
	}
	va_start(ap, fmt);
	vsnprintf(plan->why + len, room, fmt, ap);
	va_end(ap);
}

static struct policy_action *add(struct policy_plan *plan, enum policy_verb verb,
				 const char *pool, const char *name, const char *reason)
{
	struct policy_action *a = &plan->actions[plan->nr++];

	a->verb = verb;
	a->pool = pool;
	a->name = name;
	a->reason = reason;
	return a;
}

static void add_def(struct policy_plan *plan, enum policy_verb verb,
		    const struct pzone_def *def, const char *reason)
{
	struct policy_action *a = add(plan, verb, def->pool, def->name, reason);

	a->size_bytes = def->size_bytes;
	a->guarantee_bytes = def->guarantee_bytes;
	a->limit_bytes = def->limit_bytes;
	a->align_bytes = def->align_bytes;
	pzone_def_cookie(def, a->cookie);
}

/* The class in that pool, and the one of that name in another pool. */
static const struct pzone_live_class *find(const struct pzone_live *live, const char *pool,
					   const char *name,
					   const struct pzone_live_class **ret_elsewhere)
{
	const struct pzone_live_class *cls, *found = NULL;

	*ret_elsewhere = NULL;
	for (size_t p = 0; p < pzone_live_pool_count(live); p++)
		for (size_t c = 0; (cls = pzone_live_class_at(live, p, c)); c++) {
			if (strcmp(cls->name, name))
				continue;
			if (!strcmp(cls->pool, pool))
				found = cls;
			else
				*ret_elsewhere = cls;
		}
	return found;
}

static void plan_destroy(struct policy_plan *plan, const struct pzone_defs *defs,
			 const struct pzone_live_class *cls)
{
	const struct pzone_def *def = pzone_defs_find(defs, cls->name);

	if (cls->state == PZONE_STATE_DESTROYING || !pzone_cookie_is_ours(cls->cookie))
		return;
	if (!def)
		add(plan, POLICY_DESTROY, cls->pool, cls->name, "the XML no longer defines it");
	else if (strcmp(def->pool, cls->pool))
		add(plan, POLICY_DESTROY, cls->pool, cls->name,
		    "the XML defines it in another pool now");
}

static bool same_cookie(const struct pzone_def *def, const struct pzone_live_class *cls)
{
	char cookie[PZONE_COOKIE_MAX + 1];

	pzone_def_cookie(def, cookie);
	return !strcmp(cookie, cls->cookie);
}

/* The align is for a class's life. A QEMU that says nothing of it knows none. */
static bool other_align(const struct pzone_def *def, const struct pzone_live_class *cls)
{
	return def->align_bytes && cls->align_bytes && def->align_bytes != cls->align_bytes;
}

/* A class that has what it was told and is not there: only the guest can help. */
static void explain(struct policy_plan *plan, const struct pzone_live_class *cls)
{
	char size[32], actual[32], pinned[32];

	if (cls->state != PZONE_STATE_PARTIAL)
		return;
	say(plan, "class '%s' has %s and should have %s, and the guest can't do it yet (%s pinned)",
	    cls->name, pzone_size_format(cls->actual_bytes, false, actual, sizeof(actual)),
	    pzone_size_format(cls->size_bytes, false, size, sizeof(size)),
	    pzone_size_format(cls->report ? cls->report->pinned_bytes : 0, false, pinned,
			      sizeof(pinned)));
}

/* pass 0: sets that take nothing more; 1: sets that do; 2: new classes */
static void plan_def(struct policy_plan *plan, const struct pzone_def *def,
		     const struct pzone_live *live, int pass)
{
	const struct pzone_live_class *elsewhere;
	const struct pzone_live_class *cls = find(live, def->pool, def->name, &elsewhere);

	if (cls && cls->state == PZONE_STATE_DESTROYING) {
		if (pass == 2) {
			say(plan, "class '%s' waits until the older one of that name is gone",
			    def->name);
			plan->again = true;
		}
		return;
	}
	if (cls) {
		bool more = def->size_bytes > cls->size_bytes;

		if (same_cookie(def, cls)) {
			if (pass == 2)
				explain(plan, cls);
		} else if (other_align(def, cls)) {
			if (pass == 2)
				say(plan, "class '%s' is defined with another <align> than it was made with, which can't be changed: undefine it, and define it again",
				    def->name);
		} else if (pass == (more ? 1 : 0)) {
			add_def(plan, POLICY_SET, def, pzone_cookie_is_ours(cls->cookie) ?
				"the XML has changed" : "the XML defines it now");
		}
		return;
	}
	if (pass != 2)
		return;
	if (!pzone_live_pool_find(live, def->pool)) {
		say(plan, "class '%s' names pool '%s', which the running domain has not",
		    def->name, def->pool);
	} else if (elsewhere) {
		say(plan, "class '%s' waits until it is gone from pool '%s'", def->name,
		    elsewhere->pool);
		/* One made by hand goes when somebody destroys it, not soon. */
		plan->again |= elsewhere->state == PZONE_STATE_DESTROYING ||
			       pzone_cookie_is_ours(elsewhere->cookie);
	} else {
		add_def(plan, POLICY_CREATE, def, "the XML defines it");
	}
}

int policy_make(const struct pzone_defs *defs, const struct pzone_live *live,
		struct policy_plan *ret_plan)
{
	const struct pzone_live_class *cls;
	const struct pzone_live_pool *pool;
	struct policy_plan plan = { 0 };
	size_t room = pzone_defs_count(defs) + 1;
	const struct pzone_def *def;

	for (size_t p = 0; (pool = pzone_live_pool_at(live, p)); p++)
		room += pool->nr_classes;
	/* At most one action for each definition and one for each class. */
	plan.actions = calloc(room, sizeof(*plan.actions));
	if (!plan.actions)
		return -ENOMEM;
	for (size_t p = 0; (pool = pzone_live_pool_at(live, p)); p++) {
		for (size_t c = 0; (cls = pzone_live_class_at(live, p, c)); c++)
			plan_destroy(&plan, defs, cls);
		if (pool->guest == PZONE_GUEST_PLAIN)
			say(&plan, "pool '%s' is driven by a guest kernel without pzone, so its classes isolate nothing",
			    pool->name);
	}
	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++)
			plan_def(&plan, def, live, pass);
	*ret_plan = plan;
	return 0;
}

void policy_free(struct policy_plan *plan)
{
	free(plan->actions);
	memset(plan, 0, sizeof(*plan));
}
