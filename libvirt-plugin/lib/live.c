// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * live.c: the device of a running domain, over QMP through libvirt's monitor
 * call, which opens no second monitor and obeys libvirt's locks and access rules.
 * A domain of Xen has pzone-xend for that, which takes the same commands (xen.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include "internal.h"

/* What an answer may hold at most; QEMU's own limits are far below. */
#define POOLS_MAX	64
#define CLASSES_MAX	4096
#define EXTENTS_MAX	(1u << 20)

struct live_class {
	struct pzone_live_class pub;
	struct pzone_report report;
	char *name, *cookie, *word, *last_error;
	struct pzone_extent *wanted, *extents;
};

struct live_pool {
	struct pzone_live_pool pub;
	char *name;
	struct live_class *classes;
};

struct pzone_live {
	struct live_pool *pools;
	size_t nr;
};

/* --- words --- */

static const char *const state_words[] = {
	[PZONE_STATE_UNKNOWN] = "unknown",
	[PZONE_STATE_SETTLED] = "settled",
	[PZONE_STATE_GROWING] = "growing",
	[PZONE_STATE_SHRINKING] = "shrinking",
	[PZONE_STATE_PARTIAL] = "partial",
	[PZONE_STATE_DESTROYING] = "destroying",
	[PZONE_STATE_WAITING] = "waiting",
	[PZONE_STATE_PLAIN_GUEST] = "plain guest",
	[PZONE_STATE_NO_GUEST] = "no guest",
	[PZONE_STATE_NOT_RUNNING] = "not running",
	[PZONE_STATE_NOT_APPLIED] = "not applied",
	[PZONE_STATE_UNSEEN] = "unseen",
	[PZONE_STATE_NEXT_START] = "next start",
};

static const char *const guest_words[] = {
	[PZONE_GUEST_UNKNOWN] = "unknown",
	[PZONE_GUEST_NONE] = "none",
	[PZONE_GUEST_PLAIN] = "plain",
	[PZONE_GUEST_READY] = "ready",
};

const char *pzone_state_text(enum pzone_state state)
{
	if ((size_t)state >= sizeof(state_words) / sizeof(state_words[0]))
		state = PZONE_STATE_UNKNOWN;
	return state_words[state];
}

const char *pzone_guest_text(enum pzone_guest guest)
{
	if ((size_t)guest >= sizeof(guest_words) / sizeof(guest_words[0]))
		guest = PZONE_GUEST_UNKNOWN;
	return guest_words[guest];
}

/* --- reading the answer --- */

/*
 * Getters of one object that remember the first member that is not there or of
 * another type, so that the many members of a class need one check at the end.
 */
struct members {
	json_object *obj;
	const char *missing;
};

static json_object *member(struct members *m, const char *key, json_type type)
{
	json_object *value = NULL;

	if (json_object_object_get_ex(m->obj, key, &value) && json_object_is_type(value, type))
		return value;
	if (!m->missing)
		m->missing = key;
	return NULL;
}

static uint64_t number(struct members *m, const char *key)
{
	json_object *value = member(m, key, json_type_int);

	/* json-c turns a negative number into 0 here, which no member can be hurt by */
	return value ? json_object_get_uint64(value) : 0;
}

/* A member that older QEMUs do not have; a wrong type is missed all the same. */
static uint64_t number_or(struct members *m, const char *key, uint64_t otherwise)
{
	return json_object_object_get_ex(m->obj, key, NULL) ? number(m, key) : otherwise;
}

static char *string(struct members *m, const char *key)
{
	json_object *value = member(m, key, json_type_string);
	char *copy = value ? strdup(json_object_get_string(value)) : NULL;

	if (value && !copy && !m->missing)
		m->missing = key;
	return copy;
}

static struct pzone_extent *extents(struct members *m, const char *key, size_t *ret_nr)
{
	json_object *array = member(m, key, json_type_array);
	size_t nr = array ? json_object_array_length(array) : 0;
	struct pzone_extent *list;

	if (!array)
		return NULL;
	list = nr <= EXTENTS_MAX ? calloc(nr + 1, sizeof(*list)) : NULL;
	if (!list) {
		if (!m->missing)
			m->missing = key;
		return NULL;
	}
	for (size_t i = 0; i < nr; i++) {
		struct members e = { .obj = json_object_array_get_idx(array, i) };

		list[i].addr = number(&e, "addr");
		list[i].size_bytes = number(&e, "size");
		if (e.missing && !m->missing)
			m->missing = key;
	}
	*ret_nr = nr;
	return list;
}

static const char *read_report(json_object *obj, struct pzone_report *report)
{
	struct members m = { .obj = obj };

	report->cgroups = (unsigned int)number(&m, "cgroups");
	report->free_bytes = number(&m, "free");
	report->anon_bytes = number(&m, "anon");
	report->file_bytes = number(&m, "file");
	report->stuck_bytes = number(&m, "stuck");
	report->pinned_bytes = number(&m, "pinned");
	report->refaults = number(&m, "refaults");
	report->pressure_us = number(&m, "pressure-us");
	report->oom = number(&m, "oom");
	report->oom_kill = number(&m, "oom-kill");
	report->reclaimed_bytes = number(&m, "reclaimed");
	report->reclaim_done_seq = (uint32_t)number_or(&m, "reclaim-done-seq", 0);
	return m.missing;
}

static const char *read_class(json_object *obj, struct live_class *cls, const char *pool)
{
	struct members m = { .obj = obj };
	json_object *report = NULL;
	struct pzone_live_class *pub = &cls->pub;

	cls->name = string(&m, "name");
	cls->cookie = string(&m, "cookie");
	cls->word = string(&m, "state");
	pub->name = cls->name;
	pub->pool = pool;
	pub->cookie = cls->cookie;
	pub->state_word = cls->word;
	pub->id = (unsigned int)number(&m, "id");
	pub->size_bytes = number(&m, "size");
	pub->actual_bytes = number(&m, "actual");
	pub->guarantee_bytes = number(&m, "guarantee");
	pub->limit_bytes = number(&m, "limit");
	pub->align_bytes = number_or(&m, "align", 0);
	for (int s = PZONE_STATE_SETTLED; cls->word && s <= PZONE_STATE_WAITING; s++)
		if (!strcmp(cls->word, state_words[s]))
			pub->state = s;
	cls->wanted = extents(&m, "wanted-extents", &pub->nr_wanted);
	cls->extents = extents(&m, "extents", &pub->nr_extents);
	pub->wanted = cls->wanted;
	pub->extents = cls->extents;
	pub->nr_wanted_total = number_or(&m, "nr-wanted-extents", pub->nr_wanted);
	pub->nr_extents_total = number_or(&m, "nr-extents", pub->nr_extents);
	pub->reclaim_known = json_object_object_get_ex(obj, "reclaim-seq", NULL);
	pub->reclaim_seq = (uint32_t)number_or(&m, "reclaim-seq", 0);
	if (json_object_object_get_ex(obj, "last-error", NULL))
		cls->last_error = string(&m, "last-error");
	pub->last_error = cls->last_error;
	if (json_object_object_get_ex(obj, "report", &report)) {
		const char *missing = read_report(report, &cls->report);

		pub->report = &cls->report;
		if (missing && !m.missing)
			m.missing = missing;
	}
	return m.missing;
}

/* NULL, or the member that is missing. The pool is complete enough to be freed. */
static const char *read_pool(json_object *obj, struct live_pool *pool)
{
	struct members m = { .obj = obj };
	struct pzone_live_pool *pub = &pool->pub;
	char *guest = string(&m, "guest");
	json_object *classes = member(&m, "classes", json_type_array);
	size_t nr = classes ? json_object_array_length(classes) : 0;

	for (int g = PZONE_GUEST_NONE; guest && g <= PZONE_GUEST_READY; g++)
		if (!strcmp(guest, guest_words[g]))
			pub->guest = g;
	free(guest);
	pool->name = string(&m, "id");
	pub->name = pool->name;
	pub->addr = number(&m, "addr");
	pub->size_bytes = number(&m, "size");
	pub->block_bytes = number(&m, "block-size");
	pub->requested_bytes = number(&m, "requested");
	pub->plugged_bytes = number(&m, "plugged");
	pub->memmap_bytes = number(&m, "memmap");
	pub->available_bytes = number(&m, "available");
	pub->generation = (uint32_t)number(&m, "generation");
	pub->guest_generation = (uint32_t)number(&m, "guest-generation");
	if (m.missing)
		return m.missing;
	pool->classes = nr <= CLASSES_MAX ? calloc(nr + 1, sizeof(*pool->classes)) : NULL;
	if (!pool->classes)
		return "classes";
	for (size_t i = 0; i < nr; i++) {
		const char *missing;

		pub->nr_classes = i + 1;
		missing = read_class(json_object_array_get_idx(classes, i), &pool->classes[i],
				     pool->name);
		if (missing)
			return missing;
	}
	return NULL;
}

struct pzone_live *pzone_live_free(struct pzone_live *live)
{
	if (!live)
		return NULL;
	for (size_t p = 0; p < live->nr; p++) {
		struct live_pool *pool = &live->pools[p];

		for (size_t c = 0; c < pool->pub.nr_classes; c++) {
			free(pool->classes[c].name);
			free(pool->classes[c].cookie);
			free(pool->classes[c].word);
			free(pool->classes[c].last_error);
			free(pool->classes[c].wanted);
			free(pool->classes[c].extents);
		}
		free(pool->classes);
		free(pool->name);
	}
	free(live->pools);
	free(live);
	return NULL;
}

/* Who is asked about which domain. */
struct peer {
	const char *name, *domain;
};

static int read_live(json_object *pools, const struct peer *peer, struct pzone_live **ret_live,
		     struct pzone_error *err)
{
	struct pzone_live *live = calloc(1, sizeof(*live));
	const char *missing = "return";
	size_t nr;

	if (!live)
		return pzl_nomem(err);
	if (!json_object_is_type(pools, json_type_array))
		goto odd;
	nr = json_object_array_length(pools);
	if (nr > POOLS_MAX)
		goto odd;
	live->pools = calloc(nr + 1, sizeof(*live->pools));
	if (!live->pools) {
		pzone_live_free(live);
		return pzl_nomem(err);
	}
	for (size_t i = 0; i < nr; i++) {
		live->nr = i + 1;
		missing = read_pool(json_object_array_get_idx(pools, i), &live->pools[i]);
		if (missing)
			goto odd;
	}
	*ret_live = live;
	return 0;
odd:
	pzone_live_free(live);
	return pzl_error(err, -EPROTO, PZONE_ERR_INTERNAL,
			 "%s's answer about the pools of domain '%s' makes no sense: member '%s' is missing or wrong",
			 peer->name, peer->domain, missing);
}

size_t pzone_live_pool_count(const struct pzone_live *live)
{
	return live->nr;
}

const struct pzone_live_pool *pzone_live_pool_at(const struct pzone_live *live, size_t pool)
{
	return pool < live->nr ? &live->pools[pool].pub : NULL;
}

const struct pzone_live_pool *pzone_live_pool_find(const struct pzone_live *live,
						   const char *name)
{
	for (size_t i = 0; i < live->nr; i++)
		if (!strcmp(live->pools[i].name, name))
			return &live->pools[i].pub;
	return NULL;
}

const struct pzone_live_class *pzone_live_class_at(const struct pzone_live *live, size_t pool,
						   size_t index)
{
	if (pool >= live->nr || index >= live->pools[pool].pub.nr_classes)
		return NULL;
	return &live->pools[pool].classes[index].pub;
}

/* One that stays, before one of the same name that is on its way out elsewhere. */
const struct pzone_live_class *pzone_live_class_find(const struct pzone_live *live,
						     const char *name)
{
	const struct pzone_live_class *cls, *found = NULL;

	for (size_t p = 0; p < live->nr; p++)
		for (size_t c = 0; (cls = pzone_live_class_at(live, p, c)); c++)
			if (!strcmp(cls->name, name) &&
			    (!found || found->state == PZONE_STATE_DESTROYING))
				found = cls;
	return found;
}

/* --- QMP --- */

/* The "return" value of a reply, or why there is none. *ret_value is borrowed. */
static int take_reply(json_object *reply, const char *command, const struct peer *peer,
		      json_object **ret_value, struct pzone_error *err)
{
	json_object *value = NULL, *error = NULL;
	const char *class, *desc;

	if (json_object_object_get_ex(reply, "return", &value)) {
		*ret_value = value;
		return 0;
	}
	if (!json_object_object_get_ex(reply, "error", &error))
		return pzl_error(err, -EPROTO, PZONE_ERR_INTERNAL,
				 "%s's answer to %s of domain '%s' makes no sense", peer->name,
				 command, peer->domain);
	class = json_object_get_string(json_object_object_get(error, "class"));
	desc = json_object_get_string(json_object_object_get(error, "desc"));
	if (class && !strcmp(class, "CommandNotFound"))
		return pzl_error(err, -EOPNOTSUPP, PZONE_ERR_NO_SUPPORT,
				 "the QEMU of domain '%s' knows no pzone: set <emulator> in its XML to the pzone build of qemu-system-x86_64, then shut it off and start it",
				 peer->domain);
	if (!desc)
		return pzl_error(err, -EREMOTEIO, PZONE_ERR_DEVICE, "%s refused without a reason",
				 peer->name);
	return pzl_error(err, -EREMOTEIO, PZONE_ERR_DEVICE, "%s", desc);
}

static struct peer peer_of(virDomainPtr dom)
{
	bool xl;

	return (struct peer) { pzl_xen_is(dom, &xl) ? "pzone-xend" : "QEMU", virDomainGetName(dom) };
}

/* Steals args (may be NULL). *ret_root owns *ret_value. */
static int qmp(virDomainPtr dom, const char *command, json_object *args,
	       json_object **ret_root, json_object **ret_value, struct pzone_error *err)
{
	const struct peer peer = peer_of(dom);
	const char *who = peer.domain;
	json_object *request = json_object_new_object(), *reply = NULL;
	char *text = NULL;
	int rc;
	bool xl;

	if (!request) {
		json_object_put(args);
		return pzl_nomem(err);
	}
	json_object_object_add(request, "execute", json_object_new_string(command));
	if (args)
		json_object_object_add(request, "arguments", args);
	if (pzl_xen_is(dom, &xl)) {
		if (virDomainIsActive(dom) == 0)
			goto not_running;
		rc = pzl_xen_command(who, request, &text, err);
		if (rc)
			goto out;
	} else if (virDomainQemuMonitorCommand(dom, json_object_to_json_string(request), &text,
					       0) < 0) {
		rc = pzl_libvirt_error(err, dom, "ask the QEMU");
		/* Whatever libvirt says of it: asked only now, because most domains run. */
		if (virDomainIsActive(dom) == 0)
			goto not_running;
		goto out;
	}
	reply = json_tokener_parse(text);
	if (!reply) {
		rc = pzl_error(err, -EPROTO, PZONE_ERR_INTERNAL,
			       "%s's answer to %s of domain '%s' is no JSON", peer.name, command,
			       who);
		goto out;
	}
	rc = take_reply(reply, command, &peer, ret_value, err);
	if (!rc) {
		*ret_root = reply;
		reply = NULL;
	}
	goto out;
not_running:
	rc = pzl_error(err, -ENOTCONN, PZONE_ERR_NOT_RUNNING, "domain '%s' is not running", who);
out:
	free(text);
	json_object_put(reply);
	json_object_put(request);
	return rc;
}

int pzone_live_parse(const char *json, const char *who, struct pzone_live **ret_live,
		     struct pzone_error *err)
{
	json_object *root = json_tokener_parse(json), *value = NULL;
	const struct peer peer = { "QEMU", who };
	int rc = 0;

	if (!root)
		return pzl_error(err, -EPROTO, PZONE_ERR_INTERNAL,
				 "QEMU's answer about the pools of domain '%s' is no JSON", who);
	if (json_object_is_type(root, json_type_object))
		rc = take_reply(root, "query-pzone", &peer, &value, err);
	else
		value = root;
	if (!rc)
		rc = read_live(value, &peer, ret_live, err);
	json_object_put(root);
	return rc;
}

/* Steals args. */
static int query(virDomainPtr dom, json_object *args, struct pzone_live **ret_live,
		 struct pzone_error *err)
{
	const struct peer peer = peer_of(dom);
	json_object *root, *value;
	int rc;

	rc = qmp(dom, "query-pzone", args, &root, &value, err);
	if (rc)
		return rc;
	rc = read_live(value, &peer, ret_live, err);
	json_object_put(root);
	return rc;
}

int pzone_live_query(virDomainPtr dom, struct pzone_live **ret_live, struct pzone_error *err)
{
	return query(dom, NULL, ret_live, err);
}

int pzone_live_query_extents(virDomainPtr dom, const char *pool, unsigned int max_extents,
			     struct pzone_live **ret_live, struct pzone_error *err)
{
	json_object *args = json_object_new_object();
	int rc;

	if (!args)
		return pzl_nomem(err);
	if (pool)
		json_object_object_add(args, "pool", json_object_new_string(pool));
	json_object_object_add(args, "max-extents", json_object_new_int64(max_extents));
	rc = query(dom, args, ret_live, err);
	/* An older device has no such arguments, and gives all that there is. */
	return rc == -EREMOTEIO ? query(dom, NULL, ret_live, err) : rc;
}

static void add_number(json_object *args, const char *key, uint64_t value)
{
	if (value != PZL_LEFT_OUT)
		json_object_object_add(args, key, json_object_new_uint64(value));
}

/* The pool of a class that the caller named without one; malloc'ed. */
static int find_pool(virDomainPtr dom, const char *name, char **ret_pool,
		     struct pzone_error *err)
{
	const struct pzone_live_class *cls;
	struct pzone_live *live = NULL;
	const char *who = virDomainGetName(dom);
	int rc;

	rc = pzone_live_query(dom, &live, err);
	if (rc)
		return rc;
	cls = pzone_live_class_find(live, name);
	if (cls) {
		*ret_pool = strdup(cls->pool);
		rc = *ret_pool ? 0 : pzl_nomem(err);
	} else if (live->nr == 0) {
		rc = pzl_no_pool(err, who, NULL);
	} else {
		rc = pzl_error(err, -ENOENT, PZONE_ERR_NO_CLASS,
			       "running domain '%s' has no class '%s'", who, name);
	}
	pzone_live_free(live);
	return rc;
}

static int command(virDomainPtr dom, const char *verb, const char *pool, const char *name,
		   uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		   uint64_t align_bytes, const char *cookie, struct pzone_error *err)
{
	json_object *args, *root, *value;
	char *found = NULL;
	int rc = 0;

	if (!pool) {
		rc = find_pool(dom, name, &found, err);
		if (rc)
			return rc;
		pool = found;
	}
	args = json_object_new_object();
	if (!args) {
		rc = pzl_nomem(err);
		goto out;
	}
	json_object_object_add(args, "pool", json_object_new_string(pool));
	json_object_object_add(args, "name", json_object_new_string(name));
	add_number(args, "size", size_bytes);
	add_number(args, "guarantee", guarantee_bytes);
	add_number(args, "limit", limit_bytes);
	add_number(args, "align", align_bytes);
	if (cookie)
		json_object_object_add(args, "cookie", json_object_new_string(cookie));
	rc = qmp(dom, verb, args, &root, &value, err);
	if (!rc)
		json_object_put(root);
out:
	free(found);
	return rc;
}

int pzone_live_create(virDomainPtr dom, const char *pool, const char *name,
		      uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		      uint64_t align_bytes, const char *cookie, struct pzone_error *err)
{
	int rc = pzone_name_check(name, err);

	if (rc)
		return rc;
	if (!pool)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG, "a new class '%s' needs a pool",
				 name);
	return command(dom, "pzone-create", pool, name, size_bytes, guarantee_bytes, limit_bytes,
		       align_bytes ? align_bytes : PZL_LEFT_OUT, cookie, err);
}

int pzone_live_resize(virDomainPtr dom, const char *pool, const char *name,
		      uint64_t size_bytes, struct pzone_error *err)
{
	return command(dom, "pzone-resize", pool, name, size_bytes, PZL_LEFT_OUT, PZL_LEFT_OUT,
		       PZL_LEFT_OUT, NULL, err);
}

int pzone_live_set(virDomainPtr dom, const char *pool, const char *name,
		   uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		   const char *cookie, struct pzone_error *err)
{
	return command(dom, "pzone-set", pool, name, size_bytes, guarantee_bytes, limit_bytes,
		       PZL_LEFT_OUT, cookie, err);
}

int pzone_live_destroy(virDomainPtr dom, const char *pool, const char *name,
		       struct pzone_error *err)
{
	return command(dom, "pzone-destroy", pool, name, PZL_LEFT_OUT, PZL_LEFT_OUT, PZL_LEFT_OUT,
		       PZL_LEFT_OUT, NULL, err);
}

int pzone_live_reclaim(virDomainPtr dom, const char *pool, const char *name,
		       uint64_t bytes, struct pzone_error *err)
{
	return command(dom, "pzone-reclaim", pool, name, bytes, PZL_LEFT_OUT, PZL_LEFT_OUT,
		       PZL_LEFT_OUT, NULL, err);
}
