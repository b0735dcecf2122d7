// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * json.c: what is known of a domain's pools and classes, as JSON for programs.
 * Members are added, never renamed: virsh-pzone(1) lists them.
 */
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include "internal.h"

/* json-c takes over what is added; NULL (no memory) becomes null, found at the end. */
static void add(json_object *obj, const char *key, json_object *value)
{
	json_object_object_add(obj, key, value);
}

static void add_text(json_object *obj, const char *key, const char *text)
{
	add(obj, key, text ? json_object_new_string(text) : NULL);
}

static void add_number(json_object *obj, const char *key, uint64_t value)
{
	add(obj, key, json_object_new_uint64(value));
}

static void add_bool(json_object *obj, const char *key, bool value)
{
	add(obj, key, json_object_new_boolean(value));
}

static json_object *extents(const struct pzone_extent *list, size_t nr)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < nr; i++) {
		json_object *one = json_object_new_object();

		add_number(one, "addr", list[i].addr);
		add_number(one, "size", list[i].size_bytes);
		json_object_array_add(array, one);
	}
	return array;
}

static json_object *report(const struct pzone_report *r)
{
	json_object *obj = json_object_new_object();

	add_number(obj, "cgroups", r->cgroups);
	add_number(obj, "free", r->free_bytes);
	add_number(obj, "anon", r->anon_bytes);
	add_number(obj, "file", r->file_bytes);
	add_number(obj, "stuck", r->stuck_bytes);
	add_number(obj, "pinned", r->pinned_bytes);
	add_number(obj, "refaults", r->refaults);
	add_number(obj, "pressure_us", r->pressure_us);
	add_number(obj, "oom", r->oom);
	add_number(obj, "oom_kill", r->oom_kill);
	add_number(obj, "reclaimed", r->reclaimed_bytes);
	return obj;
}

/* What only the device knows. */
static void add_live(json_object *obj, const struct pzone_live_class *c)
{
	add_number(obj, "id", c->id);
	add_number(obj, "size", c->size_bytes);
	add_number(obj, "actual", c->actual_bytes);
	if (c->align_bytes)
		add_number(obj, "align", c->align_bytes);
	add_text(obj, "cookie", c->cookie);
	add(obj, "extents", extents(c->extents, c->nr_extents));
	add(obj, "wanted_extents", extents(c->wanted, c->nr_wanted));
	add_number(obj, "nr_extents", c->nr_extents_total);
	add_number(obj, "nr_wanted_extents", c->nr_wanted_total);
	if (c->last_error)
		add_text(obj, "last_error", c->last_error);
	if (c->report)
		add(obj, "report", report(c->report));
}

static json_object *class_object(const struct pzone_view *v)
{
	json_object *obj = json_object_new_object();

	add_text(obj, "name", v->name);
	add_text(obj, "pool", v->pool);
	add_text(obj, "state", v->live && v->state == PZONE_STATE_UNKNOWN ?
		 v->live->state_word : pzone_state_text(v->state));
	add_bool(obj, "persistent", v->in_config);
	add_bool(obj, "in_live_xml", v->in_metadata);
	add_bool(obj, "in_device", v->in_device);
	if (v->config_size_bytes)
		add_number(obj, "start_size", v->config_size_bytes);
	add_number(obj, "guarantee", v->guarantee_bytes);
	add_number(obj, "limit", v->limit_bytes);
	add_number(obj, "weight", v->weight);
	if (v->live)
		add_live(obj, v->live);
	if (v->used_known)
		add_number(obj, "used", v->used_bytes);
	return obj;
}

static json_object *pool_object(const struct pzone_pool *p, const struct pzone_live_pool *live)
{
	json_object *obj = json_object_new_object();

	add_text(obj, "name", p->name);
	add_bool(obj, "enabled", p->enabled);
	add_number(obj, "size", live ? live->size_bytes : p->size_bytes);
	add_number(obj, "block", live ? live->block_bytes : p->block_bytes);
	add_number(obj, "requested", live ? live->requested_bytes : p->requested_bytes);
	if (p->enabled)
		add_number(obj, "memmap", live ? live->memmap_bytes : p->memmap_bytes);
	if (p->node >= 0)
		add_number(obj, "node", (uint64_t)p->node);
	if (live) {
		add_number(obj, "addr", live->addr);
		add_number(obj, "plugged", live->plugged_bytes);
		add_number(obj, "available", live->available_bytes);
		add_number(obj, "generation", live->generation);
		add_number(obj, "guest_generation", live->guest_generation);
		add_text(obj, "guest", pzone_guest_text(live->guest));
	}
	return obj;
}

/* What both documents start with. */
static json_object *new_root(const char *domain, bool running, const struct pzone_live *live)
{
	json_object *root = json_object_new_object();

	add_text(root, "domain", domain);
	add_bool(root, "running", running);
	add_bool(root, "device", live);
	return root;
}

/* The text, and the end of root. */
static int finish(json_object *root, char **ret_json, struct pzone_error *err)
{
	const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);

	*ret_json = text ? strdup(text) : NULL;
	json_object_put(root);
	return *ret_json ? 0 : pzl_nomem(err);
}

int pzone_pools_json(const struct pzone_pools *pools, const struct pzone_live *live,
		     const char *domain, bool running, bool all, char **ret_json,
		     struct pzone_error *err)
{
	json_object *root = new_root(domain, running, live);
	json_object *array = json_object_new_array();
	const struct pzone_pool *p;

	for (size_t i = 0; (p = pzone_pools_at(pools, i)); i++)
		if (p->enabled || all)
			json_object_array_add(array, pool_object(p, live && p->enabled ?
				pzone_live_pool_find(live, p->name) : NULL));
	add(root, "pools", array);
	return finish(root, ret_json, err);
}

static bool chosen(const char *wanted, const char *name)
{
	return !wanted || !strcmp(wanted, name);
}

int pzone_views_json(const struct pzone_views *views, const char *pool, const char *class_name,
		     char **ret_json, struct pzone_error *err)
{
	const struct pzone_view *cls = class_name ? pzone_views_find(views, class_name) : NULL;
	json_object *pools = json_object_new_array(), *classes = json_object_new_array();
	const struct pzone_live *live = pzone_views_live(views);
	const struct pzone_pool *p;
	const struct pzone_view *v;
	json_object *root;
	const char *domain;
	bool active;

	if (cls && !pool)
		pool = cls->pool;
	domain = pzl_views_domain(views, &active);
	root = new_root(domain, active, live);
	for (size_t i = 0; (p = pzone_pools_at(pzone_views_pools(views), i)); i++)
		if (p->enabled && chosen(pool, p->name))
			json_object_array_add(pools, pool_object(p, live ?
				pzone_live_pool_find(live, p->name) : NULL));
	for (size_t i = 0; (v = pzone_views_at(views, i)); i++)
		if (chosen(pool, v->pool) && chosen(class_name, v->name))
			json_object_array_add(classes, class_object(v));
	add(root, "pools", pools);
	add(root, "classes", classes);
	return finish(root, ret_json, err);
}
