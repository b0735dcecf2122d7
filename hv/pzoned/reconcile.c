// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * reconcile.c: look, plan, act, for one domain. Keeps nothing between calls;
 * elastic.c does, for the classes whose size floats.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>
#include "confirm.h"
#include "elastic.h"
#include "libpzone.h"
#include "log.h"
#include "policy.h"
#include "reconcile.h"

static int act(virDomainPtr dom, const struct policy_action *a, struct pzone_error *err)
{
	switch (a->verb) {
	case POLICY_DESTROY:
		return pzone_live_destroy(dom, a->pool, a->name, err);
	case POLICY_SET:
		return pzone_live_set(dom, a->pool, a->name, a->size_bytes, a->guarantee_bytes,
				      a->limit_bytes, a->cookie, err);
	case POLICY_CREATE:
		return pzone_live_create(dom, a->pool, a->name, a->size_bytes, a->guarantee_bytes,
					 a->limit_bytes, a->align_bytes, a->cookie, err);
	}
	return -EINVAL;
}

static void log_action(const char *who, const struct policy_action *a)
{
	char size[32], guarantee[32], limit[32];

	if (a->verb == POLICY_DESTROY) {
		log_info("domain '%s': destroyed class '%s' of pool '%s', because %s", who, a->name,
			 a->pool, a->reason);
		return;
	}
	log_info("domain '%s': %s class '%s' of pool '%s' with %s (guarantee %s, limit %s), because %s",
		 who, a->verb == POLICY_SET ? "set" : "created", a->name, a->pool,
		 pzone_size_format(a->size_bytes, false, size, sizeof(size)),
		 pzone_size_format(a->guarantee_bytes, false, guarantee, sizeof(guarantee)),
		 pzone_size_format(a->limit_bytes, false, limit, sizeof(limit)), a->reason);
}

static void append(char *why, size_t why_len, const char *text)
{
	size_t len = strlen(why);

	snprintf(why + len, why_len - len, "%s%s", len ? "; " : "", text);
}

/* What a failure of looking at the domain means. */
static enum reconcile_result failed(const struct pzone_error *err, char *why, size_t why_len)
{
	if (err->code == PZONE_ERR_NOT_RUNNING || err->libvirt_code == VIR_ERR_NO_DOMAIN)
		return RECONCILE_GONE;
	append(why, why_len, err->message);
	switch (err->code) {
	case PZONE_ERR_XML:
	case PZONE_ERR_NAME:
	case PZONE_ERR_SIZE:
	case PZONE_ERR_BOUNDS:
	case PZONE_ERR_EXISTS:
	case PZONE_ERR_NO_POOL:
	case PZONE_ERR_NO_SUPPORT:
		return RECONCILE_WRONG;
	}
	return RECONCILE_RETRY;
}

static bool any_enabled(const struct pzone_pools *pools)
{
	const struct pzone_pool *pool;

	for (size_t i = 0; (pool = pzone_pools_at(pools, i)); i++)
		if (pool->enabled)
			return true;
	return false;
}

static enum reconcile_result carry_out(virDomainPtr dom, const struct policy_plan *plan,
				       char *why, size_t why_len)
{
	enum reconcile_result result = plan->again ? RECONCILE_AGAIN : RECONCILE_DONE;
	const char *who = virDomainGetName(dom);

	for (size_t i = 0; i < plan->nr; i++) {
		struct pzone_error err;

		if (!act(dom, &plan->actions[i], &err)) {
			log_action(who, &plan->actions[i]);
			continue;
		}
		if (err.code == PZONE_ERR_NOT_RUNNING)
			return RECONCILE_GONE;
		/* The others may still succeed: one bad class holds up no other. */
		append(why, why_len, err.message);
		result = RECONCILE_RETRY;
		if (err.code != PZONE_ERR_DEVICE)
			break;
	}
	return result;
}

static void log_order(const char *who, const struct elastic_order *o)
{
	char from[32], to[32], used[32];

	log_info("domain '%s': resized class '%s' of pool '%s' from %s to %s (uses %s), because %s",
		 who, o->name, o->pool, pzone_size_format(o->from_bytes, false, from, sizeof(from)),
		 pzone_size_format(o->to_bytes, false, to, sizeof(to)),
		 pzone_size_format(o->used_bytes, true, used, sizeof(used)),
		 balance_reason_text(o->reason));
}

/*
 * What the policy for elastic classes decided. A failure is not worth a word: the
 * next look finds out what is, and the next round decides again.
 */
static enum reconcile_result follow_orders(virDomainPtr dom, const char *uuid)
{
	enum reconcile_result result = RECONCILE_DONE;
	const char *who = virDomainGetName(dom);
	struct elastic_order *orders;
	size_t nr = elastic_take(uuid, &orders);

	for (size_t i = 0; i < nr; i++) {
		const struct elastic_order *o = &orders[i];
		struct pzone_error err;

		if (o->reclaim_bytes &&
		    pzone_live_reclaim(dom, o->pool, o->name, o->reclaim_bytes, &err))
			log_debug("domain '%s': %s", who, err.message);
		if (o->to_bytes == o->from_bytes)
			continue;
		if (!pzone_live_resize(dom, o->pool, o->name, o->to_bytes, &err)) {
			log_order(who, o);
			continue;
		}
		log_debug("domain '%s': %s", who, err.message);
		result = RECONCILE_AGAIN;
	}
	free(orders);
	return result;
}

enum reconcile_result reconcile_domain(virConnectPtr conn, const char *uuid, char *why,
				       size_t why_len)
{
	enum reconcile_result result;
	struct pzone_defs *defs = NULL;
	struct pzone_pools *pools = NULL;
	struct pzone_live *live = NULL;
	struct policy_plan plan = { 0 };
	struct pzone_error err = { 0 };
	bool any_pool = true;		/* till we know */
	virDomainPtr dom;

	why[0] = '\0';
	dom = virDomainLookupByUUIDString(conn, uuid);
	if (!dom) {
		virErrorPtr last = virGetLastError();

		if (last && last->code == VIR_ERR_NO_DOMAIN) {
			elastic_forget(uuid);
			return RECONCILE_GONE;
		}
		append(why, why_len, virGetLastErrorMessage());
		return RECONCILE_RETRY;
	}
	/*
	 * The XML first, so that a domain that has nothing to do with pzone never
	 * gets a monitor command (libvirt marks a domain that got one).
	 */
	if (pzone_pools_get(dom, VIR_DOMAIN_AFFECT_LIVE, &pools, &err) ||
	    pzone_config_get(dom, VIR_DOMAIN_AFFECT_LIVE, &defs, &err)) {
		result = failed(&err, why, why_len);
		goto out;
	}
	any_pool = any_enabled(pools);
	if (!any_pool) {
		result = RECONCILE_DONE;
		if (pzone_defs_count(defs) > 0) {
			pzone_defs_check(defs, pools, virDomainGetName(dom), &err);
			result = failed(&err, why, why_len);
		}
		goto out;
	}
	if (pzone_live_query(dom, &live, &err)) {
		result = failed(&err, why, why_len);
		goto out;
	}
	if (policy_make(defs, live, &plan)) {
		append(why, why_len, "out of memory");
		result = RECONCILE_RETRY;
		goto out;
	}
	if (!confirm_plan(dom, &plan)) {
		result = RECONCILE_AGAIN;
		goto out;
	}
	snprintf(why, why_len, "%s", plan.why);
	result = carry_out(dom, &plan, why, why_len);
	if (plan.nr) {
		/* What it said is not true any more: balance what the next look finds. */
		if (result == RECONCILE_DONE)
			result = RECONCILE_AGAIN;
		goto out;
	}
	policy_free(&plan);	/* points into live */
	if (!elastic_update(uuid, virDomainGetName(dom), defs, pools, live) &&
	    follow_orders(dom, uuid) == RECONCILE_AGAIN && result == RECONCILE_DONE)
		result = RECONCILE_AGAIN;
	live = NULL;
out:
	if (result == RECONCILE_GONE || !any_pool)
		elastic_forget(uuid);
	policy_free(&plan);
	pzone_live_free(live);
	pzone_pools_free(pools);
	pzone_defs_free(defs);
	virDomainFree(dom);
	return result;
}
