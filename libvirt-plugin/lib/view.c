// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * view.c: what the XML says and what the device says of a domain's classes, side
 * by side.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

struct pzone_views {
	struct pzone_view *views;
	size_t nr;
	/* The views' strings belong to these. */
	struct pzone_defs *config, *metadata;
	struct pzone_live *live;
	struct pzone_pools *pools;
	struct pzone_error why;
	char *domain;
	bool active;
};

struct pzone_views *pzone_views_free(struct pzone_views *views)
{
	if (views) {
		pzone_defs_free(views->config);
		pzone_defs_free(views->metadata);
		pzone_live_free(views->live);
		pzone_pools_free(views->pools);
		free(views->views);
		free(views->domain);
		free(views);
	}
	return NULL;
}

static enum pzone_state view_state(const struct pzone_views *views,
				   const struct pzone_view *view)
{
	const struct pzone_live_class *cls = view->live;
	const struct pzone_live_pool *pool;

	if (!views->active)
		return PZONE_STATE_NOT_RUNNING;
	if (!cls && !view->in_metadata)
		return PZONE_STATE_NEXT_START;
	if (!views->live)
		return PZONE_STATE_UNSEEN;
	if (!cls)
		return PZONE_STATE_NOT_APPLIED;
	pool = pzone_live_pool_find(views->live, cls->pool);
	if (pool && pool->guest == PZONE_GUEST_PLAIN)
		return PZONE_STATE_PLAIN_GUEST;
	if (cls->state == PZONE_STATE_WAITING)
		return PZONE_STATE_NO_GUEST;
	return cls->state;
}

static struct pzone_view *find_or_add(struct pzone_views *views, const char *name)
{
	struct pzone_view *view;

	for (size_t i = 0; i < views->nr; i++)
		if (!strcmp(views->views[i].name, name))
			return &views->views[i];
	view = &views->views[views->nr++];	/* room was made for all */
	view->name = name;
	view->weight = PZONE_WEIGHT_DEFAULT;
	return view;
}

static void add_defs(struct pzone_views *views, const struct pzone_defs *defs, bool config)
{
	const struct pzone_def *def;

	for (size_t i = 0; defs && (def = pzone_defs_get(defs, i)); i++) {
		struct pzone_view *view = find_or_add(views, def->name);

		if (config)
			view->in_config = true;
		else
			view->in_metadata = true;
		/* The running metadata speaks for the running domain; sizes at the
		 * next start come from the persistent one. */
		if (!view->pool || !config) {
			view->pool = def->pool;
			view->guarantee_bytes = def->guarantee_bytes;
			view->limit_bytes = def->limit_bytes;
			view->weight = def->weight;
		}
		if (config || !view->in_config)
			view->config_size_bytes = def->size_bytes;
	}
}

static void add_live(struct pzone_views *views)
{
	const struct pzone_live_class *cls;
	const struct pzone_live_pool *pool;

	for (size_t p = 0; views->live && (pool = pzone_live_pool_at(views->live, p)); p++)
		for (size_t c = 0; (cls = pzone_live_class_at(views->live, p, c)); c++) {
			struct pzone_view *view = find_or_add(views, cls->name);

			if (view->in_device && view->live->state != PZONE_STATE_DESTROYING)
				continue;
			view->in_device = true;
			view->live = cls;
			view->pool = cls->pool;
			view->guarantee_bytes = cls->guarantee_bytes;
			view->limit_bytes = cls->limit_bytes;
			view->used_known = cls->report && pool->guest == PZONE_GUEST_READY;
			if (view->used_known && cls->actual_bytes > cls->report->free_bytes)
				view->used_bytes = cls->actual_bytes - cls->report->free_bytes;
		}
}

static int by_pool_and_name(const void *a, const void *b)
{
	const struct pzone_view *x = a, *y = b;
	int pools = strcmp(x->pool, y->pool);

	return pools ? pools : strcmp(x->name, y->name);
}

static bool has_pool(const struct pzone_pools *pools)
{
	const struct pzone_pool *pool;

	for (size_t i = 0; pools && (pool = pzone_pools_at(pools, i)); i++)
		if (pool->enabled)
			return true;
	return false;
}

static int gather(struct pzone_views *views, virDomainPtr dom, struct pzone_error *err)
{
	int active = virDomainIsActive(dom), persistent = virDomainIsPersistent(dom);
	int rc = 0;

	if (active < 0 || persistent < 0)
		return pzl_libvirt_error(err, dom, "get the state");
	views->active = active;
	if (persistent)
		rc = pzl_metadata_read(dom, VIR_DOMAIN_AFFECT_CONFIG, &views->config, err);
	if (!rc && active)
		rc = pzl_metadata_read(dom, VIR_DOMAIN_AFFECT_LIVE, &views->metadata, err);
	if (!rc)
		rc = pzone_pools_get(dom, VIR_DOMAIN_AFFECT_CURRENT, &views->pools, err);
	if (rc)
		return rc;
	if (active && pzone_live_query(dom, &views->live, &views->why))
		views->live = NULL;
	/* It may have stopped in between: then it is not running, and nothing is wrong. */
	if (active && !views->live && views->why.code == PZONE_ERR_NOT_RUNNING)
		views->active = false;
	if (!active)
		pzl_error(&views->why, 0, PZONE_ERR_NOT_RUNNING, "domain '%s' is not running",
			  virDomainGetName(dom));
	return 0;
}

/* Under Xen it is pzone-xend that knows why. */
static int no_pool(const struct pzone_views *views, virDomainPtr dom, struct pzone_error *err)
{
	bool xl;

	if (pzl_xen_is(dom, &xl) && views->active && !views->live)
		return pzl_error(err, -EREMOTEIO, views->why.code, "%s", views->why.message);
	return pzl_no_pool(err, virDomainGetName(dom), views->pools);
}

int pzone_domain_list(virDomainPtr dom, struct pzone_views **ret_views,
		      struct pzone_error *err)
{
	struct pzone_views *views = calloc(1, sizeof(*views));
	size_t room = 1;
	int rc;

	if (!views)
		return pzl_nomem(err);
	views->domain = strdup(virDomainGetName(dom));
	rc = views->domain ? gather(views, dom, err) : pzl_nomem(err);
	if (rc)
		goto out;
	room += views->config ? pzone_defs_count(views->config) : 0;
	room += views->metadata ? pzone_defs_count(views->metadata) : 0;
	for (size_t p = 0; views->live && p < pzone_live_pool_count(views->live); p++)
		room += pzone_live_pool_at(views->live, p)->nr_classes;
	views->views = calloc(room, sizeof(*views->views));
	if (!views->views) {
		rc = pzl_nomem(err);
		goto out;
	}
	add_defs(views, views->config, true);
	add_defs(views, views->metadata, false);
	add_live(views);
	for (size_t i = 0; i < views->nr; i++)
		views->views[i].state = view_state(views, &views->views[i]);
	qsort(views->views, views->nr, sizeof(*views->views), by_pool_and_name);
	if (views->nr == 0 && !has_pool(views->pools) &&
	    !(views->live && pzone_live_pool_count(views->live)))
		rc = no_pool(views, dom, err);
out:
	if (rc)
		pzone_views_free(views);
	else
		*ret_views = views;
	return rc;
}

size_t pzone_views_count(const struct pzone_views *views)
{
	return views->nr;
}

const struct pzone_view *pzone_views_at(const struct pzone_views *views, size_t index)
{
	return index < views->nr ? &views->views[index] : NULL;
}

const struct pzone_view *pzone_views_find(const struct pzone_views *views, const char *name)
{
	for (size_t i = 0; i < views->nr; i++)
		if (!strcmp(views->views[i].name, name))
			return &views->views[i];
	return NULL;
}

const struct pzone_live *pzone_views_live(const struct pzone_views *views)
{
	return views->live;
}

const struct pzone_error *pzone_views_why(const struct pzone_views *views)
{
	return &views->why;
}

const struct pzone_pools *pzone_views_pools(const struct pzone_views *views)
{
	return views->pools;
}

const char *pzl_views_domain(const struct pzone_views *views, bool *ret_active)
{
	*ret_active = views->active;
	return views->domain;
}
