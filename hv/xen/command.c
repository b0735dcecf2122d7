// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command.c: the commands of hv/qemu/files/qapi/pzone.json for the domains of a Xen
 * host. Same names, arguments, answers and words as QEMU's, so that libpzone needs
 * not know which of the two it talks to. A request names its domain:
 *
 *	{ "execute": "query-pzone", "domain": "demo", "arguments": { ... } }
 *
 * "domain" is a name, an id or a UUID. One command is ours: query-domains.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "virtio_pzone.h"
#include "xend.h"

/* Extents of a class that query-pzone lists if it is not told. */
#define MAX_EXTENTS	64

/* --- looking --- */

static void add_u64(json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void add_text(json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

/* Both layouts, looked at once for all classes. */
struct view {
	const struct pool *pool;
	struct pz_pool_info info;
	struct pz_extent *wanted, *actual;
	uint32_t nr_wanted, nr_actual;
	uint32_t max_extents;
	GHashTable *misplaced;		/* class id -> blocks */
};

static json_object *list_extents(const struct view *view, const struct pz_extent *all,
				 uint32_t nr, uint32_t id, uint32_t *ret_total)
{
	json_object *list = json_object_new_array();

	*ret_total = 0;
	for (uint32_t i = 0; i < nr; i++) {
		json_object *extent;

		if (all[i].class_id != id || (*ret_total)++ >= view->max_extents)
			continue;
		extent = json_object_new_object();
		add_u64(extent, "addr", view->pool->addr + all[i].first * view->pool->block_size);
		add_u64(extent, "size", all[i].nr * view->pool->block_size);
		json_object_array_add(list, extent);
	}
	return list;
}

/* As in pzone.json. */
static const char *const state_words[] = {
	[PZ_CLASS_SETTLED] = "settled",
	[PZ_CLASS_GROWING] = "growing",
	[PZ_CLASS_SHRINKING] = "shrinking",
	[PZ_CLASS_PARTIAL] = "partial",
	[PZ_CLASS_DESTROYING] = "destroying",
	[PZ_CLASS_WAITING] = "waiting",
};

static const char *class_state(const struct view *view, const struct pz_class_info *class,
			       bool failed)
{
	const void *misplaced = g_hash_table_lookup(view->misplaced, GUINT_TO_POINTER(class->id));

	return state_words[pz_class_state(&view->info, class, GPOINTER_TO_UINT(misplaced),
					  !strcmp(pool_guest(view->pool), "ready"), failed)];
}

static json_object *report(const struct pool *pool, const struct pz_class_info *class)
{
	const struct pz_report *r = &class->report;
	const uint64_t plugged = class->plugged * pool->block_size;
	json_object *to = json_object_new_object();

	add_u64(to, "cgroups", r->nr_cgroups);
	add_u64(to, "free", MIN(r->free_bytes, plugged));
	add_u64(to, "used", plugged - MIN(r->free_bytes, plugged));
	add_u64(to, "anon", r->anon_bytes);
	add_u64(to, "file", r->file_bytes);
	add_u64(to, "stuck", r->stuck_blocks * pool->block_size);
	add_u64(to, "pinned", r->pinned_bytes);
	add_u64(to, "refaults", r->refault_pages);
	add_u64(to, "pressure-us", r->pressure_us);
	add_u64(to, "oom", r->oom_events);
	add_u64(to, "oom-kill", r->oom_kills);
	add_u64(to, "reclaimed", r->reclaimed_bytes);
	add_u64(to, "reclaim-done-seq", r->reclaim_done_seq);
	return to;
}

static void add_error(const struct view *view, const struct pz_class_info *class,
		      const char *state, const char *error, json_object *to)
{
	const uint64_t stuck = class->report.stuck_blocks * view->pool->block_size;
	g_autofree char *text = NULL;

	if (!error && !strcmp(state, "partial") && stuck)
		text = g_strdup_printf("pool '%s': the guest still uses %" PRIu64 " MiB that class '%s' is to give back",
				       view->pool->name, stuck >> 20, class->name);
	if (error || text)
		add_text(to, "last-error", error ? error : text);
}

static json_object *query_class(const struct view *view, const struct pz_class_info *class)
{
	const struct pool *pool = view->pool;
	const uint64_t block = pool->block_size;
	const char *error = class->plugged == class->size ? NULL :
		g_hash_table_lookup(pool->errors, GUINT_TO_POINTER(class->id));
	const char *state = class_state(view, class, error != NULL);
	json_object *to = json_object_new_object();
	uint32_t total;

	add_u64(to, "id", class->id);
	add_text(to, "name", class->name);
	add_u64(to, "size", class->size * block);
	add_u64(to, "actual", class->plugged * block);
	add_u64(to, "guarantee", class->guarantee * block);
	add_u64(to, "limit", class->limit * block);
	add_u64(to, "align", class->align * block);
	add_text(to, "cookie", class->cookie);
	add_text(to, "state", state);
	json_object_object_add(to, "relocating", json_object_new_boolean(class->relocating));
	add_error(view, class, state, error, to);
	add_u64(to, "reclaim-seq", class->reclaim_seq);
	json_object_object_add(to, "wanted-extents", list_extents(view, view->wanted,
			       view->nr_wanted, class->id, &total));
	add_u64(to, "nr-wanted-extents", total);
	json_object_object_add(to, "extents", list_extents(view, view->actual,
			       view->nr_actual, class->id, &total));
	add_u64(to, "nr-extents", total);
	if (class->report.valid)
		json_object_object_add(to, "report", report(pool, class));
	return to;
}

static void add_misplaced(void *opaque, uint32_t class_id, uint32_t blocks)
{
	const struct view *view = opaque;
	void *id = GUINT_TO_POINTER(class_id), *old = g_hash_table_lookup(view->misplaced, id);

	g_hash_table_insert(view->misplaced, id, GUINT_TO_POINTER(GPOINTER_TO_UINT(old) + blocks));
}

static void view_init(struct view *view, const struct pool *pool, uint32_t max_extents)
{
	*view = (struct view) { .pool = pool, .max_extents = max_extents };
	pz_pool_info(pool->core, &view->info);
	view->nr_wanted = pz_pool_wanted(pool->core, 0, NULL, 0);
	view->nr_actual = pz_pool_actual(pool->core, 0, NULL, 0);
	view->wanted = g_new(struct pz_extent, view->nr_wanted + 1);
	view->actual = g_new(struct pz_extent, view->nr_actual + 1);
	pz_pool_wanted(pool->core, 0, view->wanted, view->nr_wanted);
	pz_pool_actual(pool->core, 0, view->actual, view->nr_actual);
	view->misplaced = g_hash_table_new(NULL, NULL);
	pz_misplaced(view->wanted, view->nr_wanted, view->actual, view->nr_actual, add_misplaced,
		     view);
}

json_object *command_query(const struct pool *pool, uint32_t max_extents)
{
	const uint64_t block = pool->block_size;
	json_object *to = json_object_new_object(), *classes = json_object_new_array();
	struct pz_class_info class;
	struct view view;

	view_init(&view, pool, max_extents);
	add_text(to, "id", pool->name);
	add_u64(to, "addr", pool->addr);
	add_u64(to, "size", pool->size);
	add_u64(to, "block-size", block);
	add_u64(to, "requested", view.info.requested * block);
	add_u64(to, "plugged", view.info.plugged * block);
	add_u64(to, "memmap", view.info.memmap * block);
	add_u64(to, "available", view.info.requested > view.info.allocated ?
		(view.info.requested - view.info.allocated) * block : 0);
	add_u64(to, "generation", view.info.generation);
	add_u64(to, "guest-generation", view.info.guest_generation);
	add_text(to, "guest", pool_guest(pool));
	json_object_object_add(to, "busy", json_object_new_boolean(pool->domain->shutdown));
	for (uint32_t i = 0; !pz_class_get(pool->core, i, &class); i++)
		json_object_array_add(classes, query_class(&view, &class));
	json_object_object_add(to, "classes", classes);
	g_free(view.wanted);
	g_free(view.actual);
	g_hash_table_unref(view.misplaced);
	return to;
}

/* --- arguments --- */

static const char *get_text(json_object *args, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(args, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/* 1: there; 0: not there; -EINVAL with *why. */
static int get_bytes(json_object *args, const char *key, uint64_t *ret, char **why)
{
	json_object *value;

	if (!json_object_object_get_ex(args, key, &value))
		return 0;
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0) {
		*why = g_strdup_printf("'%s' must be a number of bytes, not %s", key,
				       json_object_to_json_string(value));
		return -EINVAL;
	}
	*ret = json_object_get_uint64(value);
	return 1;
}

/* Bytes into blocks of the pool; as get_bytes(). */
static int get_blocks(const struct pool *pool, json_object *args, const char *key,
		      uint32_t *ret, char **why)
{
	uint64_t bytes, below;
	int rc = get_bytes(args, key, &bytes, why);

	if (rc <= 0)
		return rc;
	below = bytes / pool->block_size * pool->block_size;
	if (bytes > pool->size)
		*why = g_strdup_printf("%s %" PRIu64 " is more than the whole pool '%s' has (%" PRIu64 ")",
				       key, bytes, pool->name, pool->size);
	else if (bytes != below)
		*why = g_strdup_printf("%s %" PRIu64 " is no multiple of the block size %" PRIu64 "; the nearest are %" PRIu64 " and %" PRIu64,
				       key, bytes, pool->block_size, below, below + pool->block_size);
	if (*why)
		return -EINVAL;
	*ret = bytes / pool->block_size;
	return 1;
}

/* --- changing --- */

static int create(struct pool *pool, json_object *args, const char *name, char **why,
		  struct pz_error *err)
{
	struct pz_class_spec spec = { .name = name, .align = 1, .cookie = get_text(args, "cookie") };
	const struct domain *domain = pool->domain;
	struct pz_class_info info;
	uint32_t id;

	if (get_blocks(pool, args, "size", &spec.size, why) != 1) {
		if (!*why)
			*why = g_strdup("pzone-create needs 'size'");
		return -EINVAL;
	}
	spec.guarantee = spec.limit = spec.size;
	if (get_blocks(pool, args, "guarantee", &spec.guarantee, why) < 0 ||
	    get_blocks(pool, args, "limit", &spec.limit, why) < 0 ||
	    get_blocks(pool, args, "align", &spec.align, why) < 0)
		return -EINVAL;
	for (unsigned int i = 0; i < domain->pools->len; i++) {
		struct pool *other = g_ptr_array_index(domain->pools, i);

		if (other != pool && !pz_class_find(other->core, name, &info)) {
			*why = g_strdup_printf("class '%s' exists already, in pool '%s'", name,
					       other->name);
			return -EEXIST;
		}
	}
	return pz_class_create(pool->core, &spec, &id, err);
}

static int set(struct pool *pool, json_object *args, const char *name, char **why,
	       struct pz_error *err)
{
	struct pz_class_info info;

	if (pz_class_find(pool->core, name, &info)) {
		*why = g_strdup_printf("there is no class '%s' in pool '%s'", name, pool->name);
		return -ENOENT;
	}
	if (get_blocks(pool, args, "size", &info.size, why) < 0 ||
	    get_blocks(pool, args, "guarantee", &info.guarantee, why) < 0 ||
	    get_blocks(pool, args, "limit", &info.limit, why) < 0)
		return -EINVAL;
	return pz_class_set(pool->core, name, info.size, info.guarantee, info.limit,
			    get_text(args, "cookie"), err);
}

static int resize(struct pool *pool, json_object *args, const char *name, char **why,
		  struct pz_error *err)
{
	uint32_t size;

	if (get_blocks(pool, args, "size", &size, why) != 1) {
		if (!*why)
			*why = g_strdup("pzone-resize needs 'size'");
		return -EINVAL;
	}
	return pz_class_resize(pool->core, name, size, err);
}

static int destroy(struct pool *pool, json_object *args, const char *name, char **why,
		   struct pz_error *err)
{
	(void)args;
	(void)why;
	return pz_class_destroy(pool->core, name, err);
}

static int reclaim(struct pool *pool, json_object *args, const char *name, char **why,
		   struct pz_error *err)
{
	uint64_t bytes;

	if (get_bytes(args, "size", &bytes, why) != 1) {
		if (!*why)
			*why = g_strdup("pzone-reclaim needs 'size'");
		return -EINVAL;
	}
	return pz_class_reclaim(pool->core, name, bytes, err);
}

static const struct {
	const char *verb;
	int (*run)(struct pool *pool, json_object *args, const char *name, char **why,
		   struct pz_error *err);
} verbs[] = {
	{ "pzone-create", create },
	{ "pzone-resize", resize },
	{ "pzone-set", set },
	{ "pzone-destroy", destroy },
	{ "pzone-reclaim", reclaim },
};

static char *no_pool(const struct domain *domain, const char *name)
{
	g_autoptr(GString) known = g_string_new(NULL);

	for (unsigned int i = 0; i < domain->pools->len; i++)
		g_string_append_printf(known, "%s'%s'", i ? ", " : "",
				       ((struct pool *)g_ptr_array_index(domain->pools, i))->name);
	if (!domain->pools->len)
		return g_strdup_printf("domain '%s' has no pool: %s", domain->name,
				       domain->why ? domain->why : "pzone-xend's log says why");
	return g_strdup_printf("there is no pool '%s'; the pools are: %s", name, known->str);
}

char *command_class(struct domain *domain, const char *verb, json_object *args)
{
	const char *pool_name = get_text(args, "pool"), *name = get_text(args, "name");
	struct pz_error err = { "" };
	struct pool *pool;
	char *why = NULL;
	int rc;

	if (!pool_name || !name)
		return g_strdup_printf("%s needs 'pool' and 'name'", verb);
	pool = domain_pool(domain, pool_name);
	if (!pool)
		return no_pool(domain, pool_name);
	if (domain_is_shut_down(domain))
		return g_strdup_printf("domain '%s' is being saved or shut down", domain->name);
	for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
		if (strcmp(verb, verbs[i].verb))
			continue;
		rc = verbs[i].run(pool, args, name, &why, &err);
		if (!rc) {
			pool_commit(pool);
			return NULL;
		}
		return why ? why : g_strdup_printf("pool '%s': %s", pool->name, err.msg);
	}
	return g_strdup_printf("there is no command '%s'", verb);
}

/* --- the whole --- */

static json_object *refuse(const char *class, const char *desc)
{
	json_object *reply = json_object_new_object(), *error = json_object_new_object();

	add_text(error, "class", class);
	add_text(error, "desc", desc);
	json_object_object_add(reply, "error", error);
	return reply;
}

static json_object *add_domain(json_object *list, uint32_t id, const char *name,
			       const char *uuid, uint64_t max_kib)
{
	json_object *to = json_object_new_object();

	add_text(to, "name", name);
	add_text(to, "uuid", uuid);
	add_u64(to, "id", id);
	add_u64(to, "memory", max_kib << 10);
	json_object_array_add(list, to);
	return to;
}

/* Also those that are left alone: who asks for one of them is to be told why. */
static json_object *query_domains(struct xend *xend)
{
	json_object *list = json_object_new_array(), *to;
	const struct refusal *refusal;
	GHashTableIter iter;
	void *id;

	for (unsigned int i = 0; i < xend->domains->len; i++) {
		const struct domain *domain = g_ptr_array_index(xend->domains, i);

		to = add_domain(list, domain->id, domain->name, domain->uuid, domain->base_kib);
		if (domain->classes)
			add_text(to, "classes", domain->classes);
	}
	g_hash_table_iter_init(&iter, xend->refused);
	while (g_hash_table_iter_next(&iter, &id, (void **)&refusal))
		add_domain(list, GPOINTER_TO_UINT(id), refusal->name, refusal->uuid,
			   refusal->max_kib);
	return list;
}

static json_object *query(struct domain *domain, json_object *args, char **why)
{
	const char *name = get_text(args, "pool");
	json_object *list = json_object_new_array();
	uint64_t max_extents = MAX_EXTENTS;

	if (!domain->pools->len || (name && !domain_pool(domain, name)))
		*why = no_pool(domain, name);
	else if (get_bytes(args, "max-extents", &max_extents, why) >= 0)
		for (unsigned int i = 0; i < domain->pools->len; i++) {
			struct pool *pool = g_ptr_array_index(domain->pools, i);

			if (!name || !strcmp(pool->name, name))
				json_object_array_add(list, command_query(pool, max_extents));
		}
	return list;
}

json_object *command_run(struct xend *xend, json_object *request)
{
	const char *verb = get_text(request, "execute"), *who = get_text(request, "domain");
	json_object *args = NULL, *reply, *value = NULL;
	g_autofree char *why = NULL;
	struct domain *domain;

	json_object_object_get_ex(request, "arguments", &args);
	if (!verb)
		return refuse("GenericError", "a request has a member 'execute'");
	if (!strcmp(verb, "query-domains")) {
		value = query_domains(xend);
	} else if (!who) {
		return refuse("GenericError", "a request has a member 'domain': a name, an id or a UUID");
	} else {
		domain = domain_find(xend, who);
		if (!domain && domain_refused(xend, who))
			why = g_strdup_printf("domain '%s': %s", who, domain_refused(xend, who));
		else if (!domain)
			why = g_strdup_printf("no running domain '%s' has memory classes: there is no configuration %s/%s.conf, or pzone-xend's log says what is wrong with it",
					      who, xend->conf_dir, who);
		else if (!strcmp(verb, "query-pzone"))
			value = query(domain, args, &why);
		else
			why = command_class(domain, verb, args);
		if (why) {
			json_object_put(value);
			return refuse("GenericError", why);
		}
	}
	reply = json_object_new_object();
	json_object_object_add(reply, "return", value ? value : json_object_new_object());
	return reply;
}
