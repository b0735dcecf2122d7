// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * domain.c: which domains there are, which of them have pools, and what their
 * configuration wants of the classes.
 *
 * A domain is known by its UUID: it keeps it, and with it our books of its pools,
 * when it is saved and restored. A new domain with the UUID of one that is gone is
 * told from a restored one by its memory: only the latter has some in the pool.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "policy.h"
#include "store.h"
#include "xend.h"

#define TOOL_DIR	"/tool/pzone"
#define BATCH		64

/* Pools begin at a multiple of this: room for huge pages of any size. */
#define POOL_ALIGN	(1ull << 30)
/* Below 4 GiB a PVH or HVM domain has holes for devices. */
#define POOL_LOWEST	(4ull << 30)

static uint64_t all_plugged_kib(const struct domain *domain)
{
	uint64_t kib = 0;

	for (unsigned int i = 0; i < domain->pools->len; i++)
		kib += ((struct pool *)g_ptr_array_index(domain->pools, i))->plugged_kib;
	return kib;
}

uint64_t domain_max_kib(const struct domain *domain)
{
	return domain->base_kib + all_plugged_kib(domain);
}

static void write_own(struct domain *domain);

/* The maximum is ours to keep; what somebody else (xl mem-set) made of it is the base. */
static void notice_max(struct domain *domain, uint64_t max_kib)
{
	if (max_kib == domain->max_kib)
		return;
	say("%s: its maximum was set to %" PRIu64 " MiB, which is taken for memory without pools\n",
	    domain->name, max_kib >> 10);
	domain->base_kib = max_kib;
	write_own(domain);
}

int domain_set_max(struct domain *domain, int64_t more_kib)
{
	struct memory_domain now;
	uint64_t max_kib;
	int rc;

	if (domain->max_kib && !memory_domain(domain->xend->xch, domain->id, &now))
		notice_max(domain, now.max_kib);
	max_kib = domain_max_kib(domain) + more_kib;
	rc = memory_set_max(domain->xend->xch, domain->id, max_kib);
	if (!rc)
		domain->max_kib = max_kib;
	return rc;
}

struct pool *domain_pool(const struct domain *domain, const char *name)
{
	for (unsigned int i = 0; i < domain->pools->len; i++) {
		struct pool *pool = g_ptr_array_index(domain->pools, i);

		if (!strcmp(pool->name, name))
			return pool;
	}
	return NULL;
}

struct domain *domain_find(struct xend *xend, const char *name)
{
	for (unsigned int i = 0; i < xend->domains->len; i++) {
		struct domain *domain = g_ptr_array_index(xend->domains, i);
		g_autofree char *id = g_strdup_printf("%u", domain->id);

		if (!strcmp(domain->name, name) || !strcmp(domain->uuid, name) || !strcmp(id, name))
			return domain;
	}
	return NULL;
}

const char *domain_refused(struct xend *xend, const char *name)
{
	const struct refusal *refusal;
	GHashTableIter iter;
	void *key;

	g_hash_table_iter_init(&iter, xend->refused);
	while (g_hash_table_iter_next(&iter, &key, (void **)&refusal)) {
		g_autofree char *id = g_strdup_printf("%u", GPOINTER_TO_UINT(key));

		if (!strcmp(refusal->name, name) || !strcmp(refusal->uuid, name) ||
		    !strcmp(id, name))
			return refusal->why;
	}
	return NULL;
}

static struct domain *find_id(struct xend *xend, uint32_t id)
{
	for (unsigned int i = 0; i < xend->domains->len; i++) {
		struct domain *domain = g_ptr_array_index(xend->domains, i);

		if (domain->id == id)
			return domain;
	}
	return NULL;
}

static void domain_free(gpointer data)
{
	struct domain *domain = data;

	g_ptr_array_unref(domain->pools);
	g_free(domain->name);
	g_free(domain->own_dir);
	g_free(domain->why);
	free(domain->classes);
	g_free(domain);
}

static void refusal_free(gpointer data)
{
	struct refusal *refusal = data;

	g_free(refusal->name);
	g_free(refusal->why);
	g_free(refusal);
}

void domains_init(struct xend *xend)
{
	xend->domains = g_ptr_array_new_with_free_func(domain_free);
	xend->refused = g_hash_table_new_full(NULL, NULL, NULL, refusal_free);
	xend->raised = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

/* --- classes as configured --- */

static void complain(struct domain *domain, const char *why)
{
	/* Each thing once, not each second. */
	if (!g_strcmp0(domain->why, why))
		return;
	g_free(domain->why);
	domain->why = g_strdup(why);
	if (*why)
		say("%s: %s\n", domain->name, why);
}

static struct pzone_live *look(struct domain *domain)
{
	json_object *list = json_object_new_array();
	struct pzone_live *live = NULL;
	struct pzone_error perr;

	for (unsigned int i = 0; i < domain->pools->len; i++)
		json_object_array_add(list, command_query(g_ptr_array_index(domain->pools, i), 1));
	if (pzone_live_parse(json_object_to_json_string(list), domain->name, &live, &perr))
		complain(domain, perr.message);
	json_object_put(list);
	return live;
}

static char *act(struct domain *domain, const struct policy_action *action)
{
	static const char *const verbs[] = {
		[POLICY_DESTROY] = "pzone-destroy",
		[POLICY_SET] = "pzone-set",
		[POLICY_CREATE] = "pzone-create",
	};
	json_object *args = json_object_new_object();
	char *why;

	json_object_object_add(args, "pool", json_object_new_string(action->pool));
	json_object_object_add(args, "name", json_object_new_string(action->name));
	if (action->verb != POLICY_DESTROY) {
		json_object_object_add(args, "size", json_object_new_uint64(action->size_bytes));
		json_object_object_add(args, "guarantee",
				       json_object_new_uint64(action->guarantee_bytes));
		json_object_object_add(args, "limit", json_object_new_uint64(action->limit_bytes));
		json_object_object_add(args, "cookie", json_object_new_string(action->cookie));
	}
	if (action->verb == POLICY_CREATE && action->align_bytes)
		json_object_object_add(args, "align", json_object_new_uint64(action->align_bytes));
	why = command_class(domain, verbs[action->verb], args);
	json_object_put(args);
	return why;
}

static void apply_classes(struct domain *domain, const struct conf *conf)
{
	struct pzone_live *live = look(domain);
	g_autoptr(GString) why = g_string_new(NULL);
	struct policy_plan plan;

	if (!live || policy_make(conf->defs, live, &plan)) {
		pzone_live_free(live);
		return;
	}
	g_string_append(why, plan.why);
	for (size_t i = 0; i < plan.nr; i++) {
		const struct policy_action *action = &plan.actions[i];
		g_autofree char *bad = act(domain, action);

		if (bad)
			g_string_append_printf(why, "%s%s", why->len ? "; " : "", bad);
		else
			say("%s: class %s: %s\n", domain->name, action->name, action->reason);
	}
	complain(domain, why->str);
	policy_free(&plan);
	pzone_live_free(live);
}

static void apply_requested(struct domain *domain, const struct conf_pool *conf)
{
	struct pool *pool = domain_pool(domain, conf->name);
	struct pz_pool_info info;
	struct pz_error perr;

	if (!pool)
		return;
	pz_pool_info(pool->core, &info);
	if (conf->size != pool->size)
		say("%s: pool %s keeps its size until the domain is created anew\n", domain->name,
		    pool->name);
	if (info.requested == pool_blocks(pool, conf->requested))
		return;
	if (pz_pool_set_requested(pool->core, pool_blocks(pool, conf->requested), &perr))
		say("%s: pool %s: %s\n", domain->name, pool->name, perr.msg);
	else
		pool_commit(pool);
}

void domain_apply_conf(struct domain *domain)
{
	g_autofree char *err = NULL;
	struct conf *conf = conf_load(domain->xend->conf_dir, domain->name, &err);

	if (!conf) {
		complain(domain, err ? err : "its configuration is gone");
		return;
	}
	free(domain->classes);
	domain->classes = NULL;
	if (conf->defs && pzone_defs_count(conf->defs))
		pzone_defs_format(conf->defs, &domain->classes, NULL);
	for (unsigned int i = 0; i < conf->pools->len; i++)
		apply_requested(domain, &g_array_index(conf->pools, struct conf_pool, i));
	if (conf->defs)
		apply_classes(domain, conf);
	conf_free(conf);
}

/* --- coming and going --- */

static void write_own(struct domain *domain)
{
	struct xs_permissions private[] = { { 0, XS_PERM_NONE } };
	g_autofree char *base = g_strdup_printf("%" PRIu64, domain->base_kib);
	g_autofree char *id = g_strdup_printf("%u", domain->id);

	xs_mkdir(domain->xend->xs, XBT_NULL, domain->own_dir);
	xs_set_permissions(domain->xend->xs, XBT_NULL, domain->own_dir, private, 1);
	xs_put(domain->xend, XBT_NULL, domain->own_dir, "base-kib", base);
	xs_put(domain->xend, XBT_NULL, domain->own_dir, "domid", id);
	xs_del(domain->xend, XBT_NULL, domain->own_dir, "saved");
}

/*
 * Of a pool that is in use the memory map at its end is plugged, at least: a domain
 * without memory there has not been restored, it begins. 1, 0, or -EINVAL with *why.
 */
static int has_memory_in(struct xend *xend, const char *dir, const GStrv pools, uint64_t end,
			 char **why)
{
	int found = 0;

	for (unsigned int i = 0; pools[i]; i++) {
		g_autofree char *pool = g_strdup_printf("%s/%s", dir, pools[i]);
		uint64_t addr;

		if (!xs_get_u64(xend, pool, "addr", &addr)) {
			*why = g_strdup_printf("pool %s: addr is no number", pools[i]);
			return -EINVAL;
		}
		found |= addr < end;
	}
	return found;
}

/* All pools, or none. */
static bool load_all(struct domain *domain, const GStrv names, bool restored, char **why)
{
	for (unsigned int i = 0; names[i]; i++) {
		g_autofree char *err = NULL;
		struct pool *pool = pool_load(domain, names[i], &err);

		if (pool)
			g_ptr_array_add(domain->pools, pool);
		if (pool && (!restored || pool_matches_memory(pool, &err)))
			continue;
		*why = g_strdup_printf("pool %s: %s", names[i], err);
		g_ptr_array_set_size(domain->pools, 0);
		return false;
	}
	return true;
}

/*
 * Pools that the store knows. 0; -ENOENT: there are none, or they are of another life;
 * -EINVAL with *why: it makes no sense, and nothing was changed.
 */
static int load_pools(struct domain *domain, uint64_t end, char **why)
{
	struct xend *xend = domain->xend;
	g_autofree char *pools = g_strdup_printf("%s/pool", domain->own_dir);
	g_auto(GStrv) names = xs_list(xend, pools);
	uint64_t id, base_kib;
	bool same;
	int rc;

	if (!names[0])
		return -ENOENT;
	if (!xs_get_u64(xend, domain->own_dir, "domid", &id) ||
	    !xs_get_u64(xend, domain->own_dir, "base-kib", &base_kib)) {
		*why = g_strdup("domid and base-kib are not two numbers");
		return -EINVAL;
	}
	same = id == domain->id;
	rc = same ? 1 : has_memory_in(xend, pools, names, end, why);
	if (rc <= 0)
		return rc ? rc : -ENOENT;
	if (!load_all(domain, names, !same, why))
		return -EINVAL;
	domain->base_kib = base_kib;
	for (unsigned int i = 0; i < domain->pools->len; i++)
		pool_go_on(g_ptr_array_index(domain->pools, i), !same);
	say("%s: found again%s, with %u pool%s\n", domain->name, same ? "" : ", restored",
	    domain->pools->len, domain->pools->len == 1 ? "" : "s");
	return 0;
}

static void make_pools(struct domain *domain, const struct conf *conf, uint64_t end)
{
	uint64_t addr = MAX(POOL_LOWEST, (end + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN);

	xs_rm(domain->xend->xs, XBT_NULL, domain->own_dir);
	write_own(domain);
	for (unsigned int i = 0; i < conf->pools->len; i++) {
		const struct conf_pool *from = &g_array_index(conf->pools, struct conf_pool, i);
		g_autofree char *err = NULL;
		struct pool *pool = pool_new(domain, from, addr, &err);

		if (!pool) {
			say("%s: pool %s: %s\n", domain->name, from->name, err);
			continue;
		}
		g_ptr_array_add(domain->pools, pool);
		say("%s: pool %s at 0x%" PRIx64 ", %" PRIu64 " MiB\n", domain->name, pool->name,
		    addr, pool->size >> 20);
		addr += (pool->size + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
	}
}

static char *format_uuid(const uint8_t *uuid, char *ret)
{
	char *to = ret;

	for (int i = 0; i < 16; i++)
		to += g_snprintf(to, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
				 uuid[i]);
	return ret;
}

static struct domain *domain_new(struct xend *xend, const struct memory_domain *from,
				 const char *name)
{
	struct domain *domain = g_new0(struct domain, 1);

	domain->xend = xend;
	domain->id = from->id;
	domain->name = g_strdup(name);
	format_uuid(from->uuid, domain->uuid);
	domain->own_dir = g_strdup_printf(TOOL_DIR "/%s", domain->uuid);
	domain->pv = !from->hvm;
	domain->base_kib = from->max_kib;
	domain->shutdown = from->shutdown;
	domain->pools = g_ptr_array_new_with_free_func((GDestroyNotify)pool_free);
	return domain;
}

/* The size of all pools that the store knows of the domain with this directory. */
static uint64_t all_pools_kib(struct xend *xend, const char *dir)
{
	g_autofree char *pools = g_strdup_printf("%s/pool", dir);
	g_auto(GStrv) names = xs_list(xend, pools);
	uint64_t kib = 0, size;

	for (unsigned int i = 0; names[i]; i++) {
		g_autofree char *pool = g_strdup_printf("%s/%s", pools, names[i]);

		if (xs_get_u64(xend, pool, "size", &size))
			kib += size >> 10;
	}
	return kib;
}

/*
 * A domain that is being restored gets the maximum that it was created with, and
 * then, from its file, also the memory of its pools: make room for it in time, for all
 * that can be in the file. Its builder sets the maximum once more, so look until it
 * is through. The right maximum is set when it is adopted.
 */
static bool restoring(struct xend *xend, const struct memory_domain *from)
{
	char uuid[37];
	g_autofree char *dir = g_strdup_printf(TOOL_DIR "/%s", format_uuid(from->uuid, uuid));
	uint64_t base_kib, enough_kib;

	if (from->shutdown || xs_is_domain_introduced(xend->xs, from->id) ||
	    !xs_get_u64(xend, dir, "base-kib", &base_kib))
		return false;
	enough_kib = base_kib + all_pools_kib(xend, dir);
	if (from->max_kib && from->max_kib < enough_kib) {
		/* If it only has the UUID of an earlier one, this is what it shall have. */
		g_hash_table_insert(xend->raised, GUINT_TO_POINTER(from->id),
				    g_memdup2(&from->max_kib, sizeof(from->max_kib)));
		memory_set_max(xend->xch, from->id, enough_kib);
	}
	return true;
}

/* What is wrong with it is said once, though it is looked at each second. */
static void refuse(struct xend *xend, const struct memory_domain *from, const char *name,
		   const char *why)
{
	void *id = GUINT_TO_POINTER(from->id);
	struct refusal *refusal = g_hash_table_lookup(xend->refused, id);

	if (!why || (refusal && !strcmp(refusal->why, why)))
		return;
	say("%s: %s\n", name, why);
	refusal = g_new0(struct refusal, 1);
	refusal->name = g_strdup(name);
	refusal->why = g_strdup(why);
	refusal->max_kib = from->max_kib;
	format_uuid(from->uuid, refusal->uuid);
	g_hash_table_insert(xend->refused, id, refusal);
}

static gboolean is_gone(gpointer id, gpointer unused, gpointer there)
{
	(void)unused;
	return !g_hash_table_contains(there, id);
}

/* Give the domain pools: those it had, or new ones. */
static bool furnish(struct domain *domain, const struct memory_domain *from,
		    const struct conf *conf, uint64_t end)
{
	const uint64_t *max_kib = g_hash_table_lookup(domain->xend->raised,
						      GUINT_TO_POINTER(from->id));
	g_autofree char *why = NULL, *said = NULL;
	int rc = load_pools(domain, end, &why);

	if (rc == -EINVAL) {
		said = g_strdup_printf("left alone, for what the store says of it in %s makes no sense (%s); mend it, or destroy the domain, 'xenstore-rm %s', and create it anew",
				       domain->own_dir, why, domain->own_dir);
		refuse(domain->xend, from, domain->name, said);
		return false;
	}
	if (!rc) {
		write_own(domain);
		domain_set_max(domain, 0);
		return true;
	}
	if (max_kib) {
		domain->base_kib = *max_kib;
		domain_set_max(domain, 0);
	}
	make_pools(domain, conf, end);
	return true;
}

/* A domain that we do not know yet: has it a configuration? */
static void adopt(struct xend *xend, const struct memory_domain *from)
{
	g_autofree char *path = g_strdup_printf("/local/domain/%u", from->id);
	g_autofree char *name = xs_get(xend, XBT_NULL, path, "name");
	g_autofree char *err = NULL;
	struct domain *domain;
	struct conf *conf;
	uint64_t end;

	/* Its memory is there only when its builder is through. */
	if (!name || from->shutdown || strchr(name, '/') ||
	    !xs_is_domain_introduced(xend->xs, from->id) || memory_end(xend->xch, from->id, &end))
		return;
	conf = conf_load(xend->conf_dir, name, &err);
	if (!conf) {
		refuse(xend, from, name, err);
		return;
	}
	domain = domain_new(xend, from, name);
	if (!furnish(domain, from, conf, end)) {
		conf_free(conf);
		domain_free(domain);
		return;
	}
	conf_free(conf);
	g_hash_table_remove(xend->refused, GUINT_TO_POINTER(from->id));
	g_ptr_array_add(xend->domains, domain);
	if (domain->pools->len)
		domain_apply_conf(domain);
}

static void update_max(struct domain *domain, uint64_t max_kib)
{
	if (!domain->pools->len)
		return;
	if (!domain->max_kib)
		domain->max_kib = domain_max_kib(domain);
	if (max_kib != domain->max_kib)
		domain_set_max(domain, 0);
}

static void update(struct domain *domain, const struct memory_domain *now)
{
	domain->shutdown = now->shutdown;
	if (now->suspended && !domain->suspended) {
		domain->suspended = true;
		xs_put(domain->xend, XBT_NULL, domain->own_dir, "saved", "1");
	}
	if (domain->suspended && !now->shutdown) {
		/* Saving failed, or it was only a checkpoint. */
		domain->suspended = false;
		xs_del(domain->xend, XBT_NULL, domain->own_dir, "saved");
	}
	if (!now->shutdown)
		update_max(domain, now->max_kib);
}

bool domain_is_shut_down(struct domain *domain)
{
	struct memory_domain now;

	if (domain->shutdown && !memory_domain(domain->xend->xch, domain->id, &now))
		update(domain, &now);
	return domain->shutdown;
}

/*
 * When we start, a domain that the store knows and Xen does not was saved or has ended:
 * who could say? What the store knows of it is kept. If its UUID comes again, its memory
 * tells which of the two it is (load_pools()).
 */
void domains_keep(struct xend *xend)
{
	g_auto(GStrv) uuids = xs_list(xend, TOOL_DIR);

	for (unsigned int i = 0; uuids[i]; i++) {
		g_autofree char *dir = g_strdup_printf(TOOL_DIR "/%s", uuids[i]);
		g_autofree char *saved = xs_get(xend, XBT_NULL, dir, "saved");

		if (!saved && !domain_find(xend, uuids[i]) && !domain_refused(xend, uuids[i]))
			say("%s is kept: its domain went while no pzone-xend ran, and may have been saved; if it was not, 'xenstore-rm %s'\n",
			    dir, dir);
	}
}

/* A domain is gone. Its books go, too, unless it was saved or is there again. */
static void drop(struct xend *xend, unsigned int index)
{
	struct domain *domain = g_ptr_array_steal_index(xend->domains, index);

	say("%s: is gone%s\n", domain->name, domain->suspended ? ", saved" : "");
	if (!domain->suspended && !domain_find(xend, domain->uuid) &&
	    !domain_refused(xend, domain->uuid))
		xs_rm(xend->xs, XBT_NULL, domain->own_dir);
	domain_free(domain);
}

bool domains_update(struct xend *xend)
{
	struct memory_domain list[BATCH];
	g_autoptr(GHashTable) there = g_hash_table_new(NULL, NULL);
	bool hurry = false;
	uint32_t first = 1;
	int nr;

	do {
		nr = memory_domains(xend->xch, first, list, BATCH);
		for (int i = 0; i < nr; i++) {
			struct domain *domain = find_id(xend, list[i].id);

			g_hash_table_add(there, GUINT_TO_POINTER(list[i].id));
			if (domain)
				update(domain, &list[i]);
			else if (restoring(xend, &list[i]))
				hurry = true;
			else
				adopt(xend, &list[i]);
			first = list[i].id + 1;
		}
	} while (nr == BATCH);
	if (nr < 0)
		return hurry;
	g_hash_table_foreach_remove(xend->refused, is_gone, there);
	g_hash_table_foreach_remove(xend->raised, is_gone, there);
	for (unsigned int i = xend->domains->len; i-- > 0;) {
		struct domain *domain = g_ptr_array_index(xend->domains, i);

		if (!g_hash_table_contains(there, GUINT_TO_POINTER(domain->id)))
			drop(xend, i);
	}
	return hurry;
}

void domain_guest_wrote(struct xend *xend, const char *path)
{
	g_auto(GStrv) part = g_strsplit(path, "/", 8);
	struct domain *domain;
	struct pool *pool;

	/* "/local/domain/<id>/pzone/<pool>/guest/<path>" */
	if (g_strv_length(part) < 7)
		return;
	domain = find_id(xend, strtoul(part[3], NULL, 10));
	pool = domain ? domain_pool(domain, part[5]) : NULL;
	if (!pool)
		return;
	/* The directory itself: our watch is new, or the guest has removed it. */
	pool_guest_wrote(pool, part[7] ? part[7] : "request");
	if (!part[7])
		pool_guest_wrote(pool, "done");
}
