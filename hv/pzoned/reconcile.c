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

/* As libvirt counts it, from the last command that has no answer. */
#define MONITOR_HANGS_MS	5000

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

	if (*text)
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
static enum reconcile_result follow_orders(virDomainPtr dom, const char *uuid, bool urgent)
{
	enum reconcile_result result = RECONCILE_DONE;
	const char *who = virDomainGetName(dom);
	struct elastic_order *orders;
	size_t nr = elastic_take(uuid, urgent, &orders);

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

/* --- one look --- */

struct look {
	virDomainPtr dom;
	const char *uuid;
	struct reconcile_xml *xml;
	char *why;
	size_t why_len;
};

void reconcile_xml_free(struct reconcile_xml *xml)
{
	pzone_defs_free(xml->defs);
	pzone_pools_free(xml->pools);
	memset(xml, 0, sizeof(*xml));
}

/*
 * A monitor that is busy for long would hold us up, and a thread of libvirtd's. Only
 * asked where we have not just had an answer. (libvirt's test driver can't say.)
 */
static bool monitor_hangs(virDomainPtr dom)
{
	virDomainControlInfo info;

	if (virDomainGetControlInfo(dom, &info, 0) < 0) {
		virResetLastError();
		return false;
	}
	return info.state == VIR_DOMAIN_CONTROL_OCCUPIED && info.stateTime >= MONITOR_HANGS_MS;
}

/* DONE: go on. Whatever comes of it, the domain's memory is counted from now on. */
static enum reconcile_result read_xml(const struct look *l)
{
	struct pzone_error err = { 0 };
	int rc;

	reconcile_xml_free(l->xml);
	if (pzone_pools_get(l->dom, VIR_DOMAIN_AFFECT_LIVE, &l->xml->pools, &err))
		return failed(&err, l->why, l->why_len);
	rc = pzone_config_get(l->dom, VIR_DOMAIN_AFFECT_LIVE, &l->xml->defs, &err);
	if (!any_enabled(l->xml->pools)) {
		elastic_forget(l->uuid);
		if (!rc && pzone_defs_count(l->xml->defs) > 0)
			rc = pzone_defs_check(l->xml->defs, l->xml->pools,
					      virDomainGetName(l->dom), &err);
		return rc ? failed(&err, l->why, l->why_len) : RECONCILE_DONE;
	}
	elastic_presume(l->uuid, virDomainGetName(l->dom), l->xml->defs, l->xml->pools);
	if (rc)
		return failed(&err, l->why, l->why_len);
	if (!monitor_hangs(l->dom))
		return RECONCILE_DONE;
	append(l->why, l->why_len, "its QEMU has not answered its monitor for long, and is not asked anything more");
	return RECONCILE_RETRY;
}

/* What the device lacks to be as its XML says. */
static enum reconcile_result follow_xml(const struct look *l, const struct policy_plan *plan)
{
	enum reconcile_result result;

	if (!confirm_plan(l->dom, plan)) {
		reconcile_xml_free(l->xml);
		return RECONCILE_AGAIN;
	}
	result = carry_out(l->dom, plan, l->why, l->why_len);
	/* What the device said is not true any more: balance what the next look finds. */
	return result == RECONCILE_DONE ? RECONCILE_AGAIN : result;
}

/* Steals live. */
static enum reconcile_result follow_policy(const struct look *l, struct pzone_live *live)
{
	if (elastic_update(l->uuid, virDomainGetName(l->dom), l->xml->defs, l->xml->pools, live,
			   l->why, l->why_len))
		return RECONCILE_DONE;
	return follow_orders(l->dom, l->uuid, false);
}

static enum reconcile_result look_at(const struct look *l)
{
	enum reconcile_result result = RECONCILE_DONE;
	struct pzone_live *live = NULL;
	struct policy_plan plan = { 0 };
	struct pzone_error err = { 0 };

	if (!l->xml->defs)
		result = read_xml(l);
	if (result != RECONCILE_DONE || !any_enabled(l->xml->pools))
		return result;
	if (pzone_live_query(l->dom, &live, &err))
		return failed(&err, l->why, l->why_len);
	if (policy_make(l->xml->defs, live, &plan)) {
		pzone_live_free(live);
		append(l->why, l->why_len, "out of memory");
		return RECONCILE_RETRY;
	}
	append(l->why, l->why_len, plan.why);
	if (plan.nr) {
		result = follow_xml(l, &plan);
		pzone_live_free(live);
	} else {
		result = follow_policy(l, live);
	}
	if (plan.again && result == RECONCILE_DONE)
		result = RECONCILE_AGAIN;
	policy_free(&plan);
	return result;
}

enum reconcile_result reconcile_domain(virConnectPtr conn, const char *uuid,
				       struct reconcile_xml *xml, char *why, size_t why_len)
{
	struct look l = { .uuid = uuid, .xml = xml, .why = why, .why_len = why_len };
	enum reconcile_result result;

	why[0] = '\0';
	l.dom = virDomainLookupByUUIDString(conn, uuid);
	if (l.dom) {
		/* A guest that waits for memory does not wait for us to look around first. */
		follow_orders(l.dom, uuid, true);
		result = look_at(&l);
		virDomainFree(l.dom);
	} else {
		virErrorPtr last = virGetLastError();

		result = last && last->code == VIR_ERR_NO_DOMAIN ? RECONCILE_GONE : RECONCILE_RETRY;
		append(why, why_len, virGetLastErrorMessage());
	}
	if (result == RECONCILE_GONE)
		elastic_forget(uuid);
	return result;
}
