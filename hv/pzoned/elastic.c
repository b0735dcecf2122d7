// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * elastic.c: see elastic.h. One lock, one table of what the domains' devices said
 * last, by UUID. The policy itself is balance.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <glib.h>
#include "elastic.h"
#include "log.h"
#include "work.h"

/* From the hook's question to the first look at the domain that runs. */
#define ADMISSION_US	60000000

/* A domain without anything elastic is looked at for its figures only: seldom. */
#define IDLE_TICKS	5

/* No guest waits longer than this for what it asked for (its oom_wait_ms). */
#define EARLY_US	60000000

/* A class that has not followed for so long is worth a word. */
#define FOLLOW_US	30000000

/* What decides to which budget a pool belongs. */
struct place {
	int host_node;
	uint64_t page_bytes;
};

struct domain {
	char *uuid, *name;
	struct pzone_live *live;
	uint64_t looked_us;
	struct balance_pool *pools;	/* as live has them */
	struct balance_class *classes;	/* of all pools, as live has them */
	struct elastic_decision *last;	/* one for each class */
	uint64_t *behind_us;		/* since when each class has not what it should; 0: it has */
	struct elastic_order *orders;	/* one for each class at most */
	uint64_t *promised;		/* to each pool: memory map and guarantees */
	struct place *places;		/* of each pool */
	size_t nr_pools, nr_classes, nr_orders;
	bool has_elastic;
	bool presumed;			/* from its XML alone; live is empty */
};

/* What a guest said of a class that no look has shown yet. */
struct early {
	uint64_t at_us, bytes;
	bool oom;
};

/* A domain that was admitted and has not been seen running yet. */
struct admission {
	uint64_t until_us;
	uint64_t *promised;		/* by budget */
	size_t nr;			/* budgets; another number is from before a reload */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* all below: under lock */
static const struct config *config;
static GHashTable *domains;		/* uuid -> struct domain */
static GHashTable *admissions;		/* uuid -> struct admission */
static GHashTable *earlies;		/* "uuid/pool/class" -> struct early */
static struct balance_group *groups;	/* as config->budgets */
static bool *is_over;			/* likewise: more is held than there is, and we said so */
static struct elastic_counters counters;
static uint64_t nr_ticks;

/* Domains that run and were not looked at yet. Its lock is taken last of all. */
static pthread_mutex_t unseen_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *unseen;		/* set of uuid */

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void domain_free(void *opaque)
{
	struct domain *d = opaque;

	if (!d)
		return;
	pzone_live_free(d->live);
	free(d->uuid);
	free(d->name);
	free(d->pools);
	free(d->classes);
	free(d->last);
	free(d->behind_us);
	free(d->orders);
	free(d->promised);
	free(d->places);
	free(d);
}

static void admission_free(void *opaque)
{
	struct admission *a = opaque;

	free(a->promised);
	free(a);
}

static void set_groups(void)
{
	free(groups);
	free(is_over);
	groups = calloc(config->nr_budgets + 1, sizeof(*groups));
	is_over = calloc(config->nr_budgets + 1, sizeof(*is_over));
	if (!groups || !is_over)
		abort();	/* a few bytes at start or reload: nothing sane is left to do */
	for (size_t i = 0; i < config->nr_budgets; i++)
		groups[i].budget = config->budgets[i].bytes;
}

/* With the lock. */
static void find_budgets(struct domain *d)
{
	for (size_t p = 0; p < d->nr_pools; p++)
		d->pools[p].group = config_budget_of(config, d->places[p].host_node,
						     d->places[p].page_bytes);
}

void elastic_configure(const struct config *new_config)
{
	GHashTableIter iter;
	struct domain *d;

	pthread_mutex_lock(&lock);
	config = new_config;
	if (!domains) {
		domains = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, domain_free);
		admissions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, admission_free);
		earlies = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	}
	set_groups();
	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d))
		find_budgets(d);
	pthread_mutex_unlock(&lock);
}

/* --- who was not seen yet --- */

void elastic_expect(const char *uuid)
{
	pthread_mutex_lock(&unseen_lock);
	if (!unseen)
		unseen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_hash_table_add(unseen, g_strdup(uuid));
	pthread_mutex_unlock(&unseen_lock);
}

void elastic_seen(const char *uuid)
{
	pthread_mutex_lock(&unseen_lock);
	if (unseen)
		g_hash_table_remove(unseen, uuid);
	pthread_mutex_unlock(&unseen_lock);
}

static bool anybody_unseen(void)
{
	bool any;

	pthread_mutex_lock(&unseen_lock);
	any = unseen && g_hash_table_size(unseen);
	pthread_mutex_unlock(&unseen_lock);
	return any;
}

/* --- what a look found --- */

/* The class is as its definition made it, its size may float, and its guest says how it is. */
static bool is_elastic(const struct pzone_live_class *cls, const struct pzone_live_pool *pool,
		       const struct pzone_def *def)
{
	return config->elastic && def && !strcmp(def->pool, cls->pool) &&
	       pzone_cookie_is_ours(cls->cookie) && cls->guarantee_bytes < cls->limit_bytes &&
	       cls->state != PZONE_STATE_DESTROYING && pool->guest == PZONE_GUEST_READY &&
	       cls->report;
}

static struct balance_class *find_class(struct domain *d, const char *pool, const char *name,
					size_t *ret_index)
{
	const struct pzone_live_class *cls;
	size_t index = 0;

	for (size_t p = 0; p < d->nr_pools; p++)
		for (size_t c = 0; (cls = pzone_live_class_at(d->live, p, c)); c++, index++)
			if (!strcmp(cls->name, name) && !strcmp(cls->pool, pool)) {
				*ret_index = index;
				return &d->classes[index];
			}
	return NULL;
}

static void fill_class(struct balance_class *to, const struct pzone_live_class *cls,
		       const struct pzone_live_pool *pool, const struct pzone_def *def,
		       uint64_t sampled_us)
{
	*to = (struct balance_class){
		.name = cls->name,
		.guarantee = cls->guarantee_bytes,
		.limit = cls->limit_bytes,
		.size = cls->size_bytes,
		.actual = cls->actual_bytes,
		.may_have = cls->size_bytes,
		.unit = MAX(MAX(pool->block_bytes, cls->align_bytes), 1),
		.weight = def ? def->weight : BALANCE_WEIGHT_DEFAULT,
		.elastic = is_elastic(cls, pool, def),
		.sampled_us = sampled_us,
	};
	if (!cls->report)
		return;
	to->free = cls->report->free_bytes;
	to->stall_us = cls->report->pressure_us;
	to->refaults = cls->report->refaults;
	to->oom = cls->report->oom;
}

/* Orders that nobody fetched yet stand, unless somebody else resized the class. */
static void inherit_orders(struct domain *d, const struct domain *old)
{
	for (size_t i = 0; i < old->nr_orders; i++) {
		const struct elastic_order *order = &old->orders[i];
		size_t index;
		struct balance_class *cls = find_class(d, order->pool, order->name, &index);

		if (!cls || !cls->elastic || cls->size != order->from_bytes ||
		    order->to_bytes < cls->guarantee || order->to_bytes > cls->limit)
			continue;
		d->orders[d->nr_orders++] = *order;
		cls->size = order->to_bytes;
		cls->may_have = MAX(cls->may_have, cls->size);
	}
}

/* What the domain's last sample knew that the device does not tell. */
static void inherit(struct domain *d, struct domain *old)
{
	const struct pzone_live_class *cls;
	struct balance_class *before;
	size_t from, to = 0;

	for (size_t p = 0; p < d->nr_pools; p++)
		for (size_t c = 0; (cls = pzone_live_class_at(d->live, p, c)); c++, to++) {
			before = find_class(old, cls->pool, cls->name, &from);
			if (!before)
				continue;
			d->classes[to].memory = before->memory;
			d->classes[to].shortage = before->shortage;
			d->classes[to].dying = before->dying;
			d->last[to] = old->last[from];
			if (cls->actual_bytes != cls->size_bytes && old->behind_us[from])
				d->behind_us[to] = old->behind_us[from];
		}
	inherit_orders(d, old);
}

/*
 * What nothing may take from a pool's classes: those that are defined, be they
 * there already or not, and those that somebody made by hand.
 */
static uint64_t promised_to(const char *pool, uint64_t memmap, const struct pzone_defs *defs,
			    const struct domain *d, size_t index)
{
	const struct pzone_live_class *cls;
	const struct pzone_def *def;
	uint64_t sum = memmap;

	for (size_t i = 0; defs && (def = pzone_defs_get(defs, i)); i++)
		if (!strcmp(def->pool, pool))
			sum += def->guarantee_bytes;
	for (size_t c = 0; d && (cls = pzone_live_class_at(d->live, index, c)); c++)
		if (!defs || !pzone_defs_find(defs, cls->name))
			sum += cls->guarantee_bytes;
	return sum;
}

/* With room for so many pools and classes; all zeroes. */
static struct domain *domain_alloc(const char *uuid, const char *name, size_t nr_pools,
				   size_t nr_classes)
{
	struct domain *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->nr_pools = nr_pools;
	d->nr_classes = nr_classes;
	d->looked_us = now_us();
	d->uuid = strdup(uuid);
	d->name = strdup(name);
	d->pools = calloc(nr_pools + 1, sizeof(*d->pools));
	d->classes = calloc(nr_classes + 1, sizeof(*d->classes));
	d->last = calloc(nr_classes + 1, sizeof(*d->last));
	d->behind_us = calloc(nr_classes + 1, sizeof(*d->behind_us));
	d->orders = calloc(nr_classes + 1, sizeof(*d->orders));
	d->promised = calloc(nr_pools + 1, sizeof(*d->promised));
	d->places = calloc(nr_pools + 1, sizeof(*d->places));
	if (d->uuid && d->name && d->pools && d->classes && d->last && d->behind_us &&
	    d->orders && d->promised && d->places)
		return d;
	domain_free(d);
	return NULL;
}

static struct place place_of(const struct pzone_pool *pool)
{
	struct place nowhere = { .host_node = -1 };

	return pool ? (struct place){ pool->host_node, pool->page_bytes } : nowhere;
}

/* One pool of a look, with its classes, which begin at d->classes[first]. */
static void fill_pool(struct domain *d, size_t index, const struct pzone_live_pool *pool,
		      const struct pzone_pool *xml, const struct pzone_defs *defs, size_t first)
{
	const struct pzone_live_class *cls;

	d->pools[index] = (struct balance_pool){
		.capacity = pool->requested_bytes > pool->memmap_bytes ?
				    pool->requested_bytes - pool->memmap_bytes : 0,
		.memmap = pool->memmap_bytes,
		.classes = &d->classes[first],
		.nr_classes = pool->nr_classes,
	};
	d->places[index] = place_of(xml);
	d->promised[index] = promised_to(pool->name, pool->memmap_bytes, defs, d, index);
	for (size_t c = 0; (cls = pzone_live_class_at(d->live, index, c)); c++) {
		struct balance_class *b = &d->classes[first + c];

		fill_class(b, cls, pool, pzone_defs_find(defs, cls->name), d->looked_us);
		d->has_elastic |= b->elastic;
		d->behind_us[first + c] = b->actual != b->size ? d->looked_us : 0;
	}
}

/* Takes live over, but not if it fails. */
static struct domain *domain_new(const char *uuid, const char *name, const struct pzone_defs *defs,
				 const struct pzone_pools *pools, struct pzone_live *live)
{
	size_t nr_pools = pzone_live_pool_count(live), nr_classes = 0, first = 0;
	struct domain *d;

	for (size_t p = 0; p < nr_pools; p++)
		nr_classes += pzone_live_pool_at(live, p)->nr_classes;
	d = domain_alloc(uuid, name, nr_pools, nr_classes);
	if (!d)
		return NULL;
	d->live = live;
	for (size_t p = 0; p < nr_pools; p++) {
		const struct pzone_live_pool *pool = pzone_live_pool_at(live, p);

		fill_pool(d, p, pool, pzone_pools_find(pools, pool->name), defs, first);
		first += pool->nr_classes;
	}
	find_budgets(d);
	return d;
}

/* All that a pool has, or is promised, is a block that nobody may touch. */
static struct domain *domain_presume(const char *uuid, const char *name,
				     const struct pzone_defs *defs, const struct pzone_pools *pools)
{
	struct domain *d = domain_alloc(uuid, name, pzone_pools_count(pools), 0);

	if (!d || pzone_live_parse("[]", name, &d->live, NULL)) {
		domain_free(d);
		return NULL;
	}
	d->presumed = true;
	for (size_t p = 0; p < d->nr_pools; p++) {
		const struct pzone_pool *pool = pzone_pools_at(pools, p);

		if (!pool->enabled)
			continue;
		d->places[p] = place_of(pool);
		d->promised[p] = promised_to(pool->name, pool->memmap_bytes, defs, NULL, 0);
		d->pools[p].memmap = MAX(d->promised[p], pool->current_bytes);
	}
	find_budgets(d);
	return d;
}

/* Classes that their guest has not brought to their size for long; names only, so that it
 * is the same text each time. */
static void say_behind(const struct domain *d, char *why, size_t why_len)
{
	const struct pzone_live_class *cls;
	size_t index = 0, len;

	for (size_t p = 0; p < d->nr_pools; p++)
		for (size_t c = 0; (cls = pzone_live_class_at(d->live, p, c)); c++, index++) {
			/* Of a partial one policy.c says more. */
			if (!d->behind_us[index] || cls->state == PZONE_STATE_PARTIAL ||
			    d->looked_us - d->behind_us[index] < FOLLOW_US)
				continue;
			len = strlen(why);
			snprintf(why + len, why_len - len,
				 "%sclass '%s' should have another size for long, and its guest does nothing about it (%s)",
				 len ? "; " : "", cls->name, pzone_state_text(cls->state));
		}
}

/* --- rounds --- */

/* A class's order, from what the last round said of it. */
static bool make_order(const struct domain *d, const struct pzone_live_class *cls, size_t index,
		       struct elastic_order *order)
{
	struct balance_class *b = &d->classes[index];

	if (b->new_size == b->size && !b->reclaim)
		return false;
	*order = (struct elastic_order){
		.from_bytes = b->size,
		.to_bytes = b->new_size,
		.used_bytes = b->actual > b->free ? b->actual - b->free : 0,
		.reclaim_bytes = b->reclaim,
		.reason = b->reason,
	};
	g_strlcpy(order->pool, cls->pool, sizeof(order->pool));
	g_strlcpy(order->name, cls->name, sizeof(order->name));
	if (b->new_size != b->size) {
		d->last[index] = (struct elastic_decision){
			.when_ms = wall_ms(), .from_bytes = b->size, .to_bytes = b->new_size,
			.reason = b->reason,
		};
		counters.decisions[b->reason]++;
		/* As good as done: the next round must not give the same room twice. */
		b->size = b->new_size;
		b->may_have = MAX(b->may_have, b->new_size);
	}
	counters.reclaims += b->reclaim != 0;
	b->reclaim = 0;
	return true;
}

static void collect_orders(struct domain *d)
{
	const struct pzone_live_class *cls;
	size_t index = 0;

	for (size_t p = 0; p < d->nr_pools; p++)
		for (size_t c = 0; (cls = pzone_live_class_at(d->live, p, c)); c++, index++) {
			struct elastic_order order;

			if (!make_order(d, cls, index, &order))
				continue;
			/* The later word on a class replaces the earlier one. */
			for (size_t i = 0; i < d->nr_orders; i++)
				if (!strcmp(d->orders[i].name, order.name) &&
				    !strcmp(d->orders[i].pool, order.pool)) {
					order.from_bytes = d->orders[i].from_bytes;
					d->orders[i] = order;
					goto next;
				}
			d->orders[d->nr_orders++] = order;
next:;
		}
}

/* With the lock. Marks all domains that have orders, but not `except`. */
static void run_round(const char *except)
{
	struct balance_pool *pools;
	uint64_t began = now_us();
	GHashTableIter iter;
	struct domain *d;
	size_t nr = 0;

	if (anybody_unseen())
		return;		/* what is free, nobody knows */
	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d))
		nr += d->nr_pools;
	pools = calloc(nr + 1, sizeof(*pools));
	if (!pools)
		return;		/* the next round may do better */
	nr = 0;
	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d)) {
		memcpy(&pools[nr], d->pools, d->nr_pools * sizeof(*pools));
		nr += d->nr_pools;
	}
	balance_round(pools, nr, groups, config->nr_budgets, &config->tunables, began);
	nr = 0;
	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d)) {
		for (size_t p = 0; p < d->nr_pools; p++)
			d->pools[p].is_short = pools[nr++].is_short;
		collect_orders(d);
		if (d->nr_orders && (!except || strcmp(except, d->uuid)))
			work_mark(d->uuid, d->name, WORK_URGENT);
	}
	free(pools);
	counters.rounds++;
	counters.round_us += now_us() - began;
}

static char *early_key(const char *uuid, const char *pool, const char *name)
{
	return g_strdup_printf("%s/%s/%s", uuid, pool, name);
}

/* With the lock. Between two looks a class can be made, filled, and be short. */
static void keep_early(const char *uuid, const char *pool, const char *name, uint64_t bytes,
		       bool oom)
{
	char *key = early_key(uuid, pool, name);
	struct early *e = g_hash_table_lookup(earlies, key);

	if (!e) {
		e = g_new0(struct early, 1);
		g_hash_table_insert(earlies, g_strdup(key), e);
	}
	*e = (struct early) { now_us(), MAX(e->bytes, bytes), e->oom || oom };
	g_free(key);
}

static gboolean is_of(gpointer key, gpointer value, gpointer uuid)
{
	(void)value;
	return g_str_has_prefix(key, uuid);
}

static gboolean is_late(gpointer key, gpointer value, gpointer opaque)
{
	const struct early *e = value;
	const uint64_t *now = opaque;

	(void)key;
	return *now - e->at_us > EARLY_US;
}

/* With the lock. The look has come. */
static void take_early(struct domain *d)
{
	const struct pzone_live_class *cls;
	uint64_t now = now_us();
	size_t index = 0;

	g_hash_table_foreach_remove(earlies, is_late, &now);
	for (size_t p = 0; p < d->nr_pools; p++)
		for (size_t c = 0; (cls = pzone_live_class_at(d->live, p, c)); c++, index++) {
			char *key = early_key(d->uuid, cls->pool, cls->name);
			const struct early *e = g_hash_table_lookup(earlies, key);

			if (e) {
				d->classes[index].shortage = MAX(d->classes[index].shortage, e->bytes);
				d->classes[index].dying |= e->oom;
				g_hash_table_remove(earlies, key);
			}
			g_free(key);
		}
}

static bool anybody_short(const struct domain *d)
{
	for (size_t i = 0; i < d->nr_classes; i++)
		if (d->classes[i].elastic && d->classes[i].shortage)
			return true;
	return false;
}

int elastic_update(const char *uuid, const char *name, const struct pzone_defs *defs,
		   const struct pzone_pools *pools, struct pzone_live *live, char *why,
		   size_t why_len)
{
	struct domain *d, *old;

	pthread_mutex_lock(&lock);
	d = domain_new(uuid, name, defs, pools, live);
	if (!d) {
		pzone_live_free(live);
		pthread_mutex_unlock(&lock);
		return -ENOMEM;
	}
	old = g_hash_table_lookup(domains, uuid);
	if (old)
		inherit(d, old);
	take_early(d);
	say_behind(d, why, why_len);
	g_hash_table_replace(domains, d->uuid, d);
	g_hash_table_remove(admissions, uuid);
	if (anybody_short(d))
		run_round(uuid);
	pthread_mutex_unlock(&lock);
	return 0;
}

void elastic_presume(const char *uuid, const char *name, const struct pzone_defs *defs,
		     const struct pzone_pools *pools)
{
	struct domain *d;

	pthread_mutex_lock(&lock);
	d = g_hash_table_lookup(domains, uuid);
	if (!d || d->presumed) {
		d = domain_presume(uuid, name, defs, pools);
		if (d)
			g_hash_table_replace(domains, d->uuid, d);
		g_hash_table_remove(admissions, uuid);
	}
	pthread_mutex_unlock(&lock);
}

void elastic_forget(const char *uuid)
{
	pthread_mutex_lock(&lock);
	g_hash_table_remove(domains, uuid);
	g_hash_table_foreach_remove(earlies, is_of, (gpointer)uuid);
	pthread_mutex_unlock(&lock);
}

/*
 * With the lock. A class that is about to kill: give it what it may have by what is
 * known. If that is nothing, what it said stands for the next look, which knows more.
 */
static void save(const char *uuid, struct balance_class *cls)
{
	uint64_t size = cls->size, shortage = cls->shortage;

	run_round(uuid);
	if (cls->size > size)
		return;
	cls->shortage = shortage;
	cls->dying = true;
}

void elastic_shortage(const char *uuid, const char *pool, const char *name, uint64_t bytes,
		      bool oom)
{
	struct balance_class *cls;
	struct domain *d;
	size_t index;

	bytes = MAX(bytes, 1);
	pthread_mutex_lock(&lock);
	d = g_hash_table_lookup(domains, uuid);
	cls = d ? find_class(d, pool, name, &index) : NULL;
	if (cls) {
		cls->shortage = MAX(cls->shortage, bytes);
		cls->dying |= oom;
	} else {
		keep_early(uuid, pool, name, bytes, oom);
	}
	if (cls && cls->elastic && cls->dying)
		save(uuid, cls);
	pthread_mutex_unlock(&lock);
}

struct held {
	uint64_t bytes, guaranteed;
};

/* With the lock. What the pools of a budget hold, and what they are promised. */
static struct held held_of(size_t group, const char *without_uuid)
{
	struct held held = { 0 };
	GHashTableIter iter;
	struct domain *d;

	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d)) {
		if (without_uuid && !strcmp(without_uuid, d->uuid))
			continue;
		for (size_t p = 0; p < d->nr_pools; p++) {
			const struct balance_pool *pool = &d->pools[p];

			if (pool->group != group)
				continue;
			held.bytes += pool->memmap;
			held.guaranteed += d->promised[p];
			for (size_t i = 0; i < pool->nr_classes; i++) {
				const struct balance_class *cls = &pool->classes[i];

				held.bytes += MAX(MAX(cls->size, cls->actual), cls->may_have);
			}
		}
	}
	return held;
}

/*
 * With the lock. By a decision of ours no budget is exceeded, but by hand, by a start past
 * the hook, by smaller settings, and while a device brings a class together it can be. Then
 * nothing grows there until it fits.
 */
static void check_budgets(void)
{
	for (size_t g = 0; g < config->nr_budgets; g++) {
		uint64_t held = held_of(g, NULL).bytes, bytes = config->budgets[g].bytes;
		char has[32], may[32];

		if ((held > bytes) == is_over[g])
			continue;
		is_over[g] = held > bytes;
		pzone_size_format(held, true, has, sizeof(has));
		pzone_size_format(bytes, false, may, sizeof(may));
		if (is_over[g])
			log_warn("budget '%s': its pools hold %s and may have %s: nothing grows there until they give back",
				 config->budgets[g].name, has, may);
		else
			log_info("budget '%s': its pools hold %s, and may have %s again",
				 config->budgets[g].name, has, may);
	}
}

void elastic_tick(void)
{
	GHashTableIter iter;
	struct domain *d;

	pthread_mutex_lock(&lock);
	nr_ticks++;
	if (config->elastic)
		run_round(NULL);
	if (!anybody_unseen())
		check_budgets();
	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d))
		if ((d->has_elastic && config->elastic) ||
		    (nr_ticks % IDLE_TICKS == 0 && !d->presumed))
			work_mark(d->uuid, d->name, WORK_SAMPLE);
	pthread_mutex_unlock(&lock);
	work_begin();
}

/* With the lock. Those that are meant come first in the array; returns how many they are. */
static size_t sort_urgent(struct elastic_order *orders, size_t nr)
{
	size_t urgent = 0;

	for (size_t i = 0; i < nr; i++)
		if (orders[i].reason == BALANCE_OOM) {
			struct elastic_order order = orders[i];

			orders[i] = orders[urgent];
			orders[urgent++] = order;
		}
	return urgent;
}

size_t elastic_take(const char *uuid, bool urgent, struct elastic_order **ret_orders)
{
	struct elastic_order *orders = NULL;
	struct domain *d;
	size_t nr = 0;

	pthread_mutex_lock(&lock);
	d = g_hash_table_lookup(domains, uuid);
	if (d && d->nr_orders)
		nr = urgent ? sort_urgent(d->orders, d->nr_orders) : d->nr_orders;
	if (nr)
		orders = calloc(nr, sizeof(*orders));
	if (orders) {
		memcpy(orders, d->orders, nr * sizeof(*orders));
		d->nr_orders -= nr;
		memmove(d->orders, d->orders + nr, d->nr_orders * sizeof(*orders));
	}
	pthread_mutex_unlock(&lock);
	*ret_orders = orders;
	return orders ? nr : 0;
}

/* --- has the host room for it? --- */

/* With the lock. What was admitted lately and does not run yet. */
static uint64_t admitted_to(size_t group, const char *without_uuid)
{
	uint64_t now = now_us(), sum = 0;
	struct admission *a;
	GHashTableIter iter;
	const char *uuid;

	g_hash_table_iter_init(&iter, admissions);
	while (g_hash_table_iter_next(&iter, (void **)&uuid, (void **)&a)) {
		if (a->until_us <= now || a->nr != config->nr_budgets)
			g_hash_table_iter_remove(&iter);
		else if (!without_uuid || strcmp(without_uuid, uuid))
			sum += a->promised[group];
	}
	return sum;
}

static int no_room(const char *what, uint64_t need, uint64_t left,
		   const struct config_budget *budget, struct pzone_error *err)
{
	char want[32], has[32], size[32];

	err->code = PZONE_ERR_NO_SPACE;
	snprintf(err->message, sizeof(err->message),
		 "%s needs %s, and budget '%s' of this host has %s left of %s: lower guarantees, stop a domain, or raise size= in pzoned.conf",
		 what, pzone_size_format(need, true, want, sizeof(want)), budget->name,
		 pzone_size_format(left, true, has, sizeof(has)),
		 pzone_size_format(budget->bytes, false, size, sizeof(size)));
	return -ENOSPC;
}

/* With the lock. Does a pool fit its budget, on top of what this domain's others take? */
static int admit_pool(const struct pzone_pool *pool, const struct pzone_defs *defs,
		      const char *uuid, uint64_t *promised, struct pzone_error *err)
{
	size_t g = config_budget_of(config, pool->host_node, pool->page_bytes);
	const struct config_budget *budget;
	const struct pzone_def *def;
	char what[128];
	uint64_t left;

	if (!pool->enabled || g == BALANCE_NO_GROUP)
		return 0;
	budget = &config->budgets[g];
	left = held_of(g, uuid).guaranteed + admitted_to(g, uuid) + promised[g];
	left = budget->bytes > left ? budget->bytes - left : 0;
	promised[g] += promised_to(pool->name, pool->memmap_bytes, defs, NULL, 0);
	if (pool->memmap_bytes > left) {
		snprintf(what, sizeof(what), "the memory map of pool '%s'", pool->name);
		return no_room(what, pool->memmap_bytes, left, budget, err);
	}
	left -= pool->memmap_bytes;
	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++) {
		if (strcmp(def->pool, pool->name))
			continue;
		snprintf(what, sizeof(what), "the guarantee of class '%s' in pool '%s'", def->name,
			 pool->name);
		if (def->guarantee_bytes > left)
			return no_room(what, def->guarantee_bytes, left, budget, err);
		left -= def->guarantee_bytes;
	}
	return 0;
}

/* With the lock. Takes promised over. */
static void remember_admission(const char *uuid, uint64_t *promised)
{
	struct admission *a = g_new0(struct admission, 1);

	a->until_us = now_us() + ADMISSION_US;
	a->promised = promised;
	a->nr = config->nr_budgets;
	g_hash_table_replace(admissions, g_strdup(uuid), a);
}

int elastic_admit(const char *domain_xml, bool remember, struct pzone_error *err)
{
	struct pzone_pools *pools = NULL;
	struct pzone_defs *defs = NULL;
	const struct pzone_pool *pool;
	uint64_t *promised = NULL;
	char uuid[VIR_UUID_STRING_BUFLEN] = "";
	int rc;

	rc = pzone_pools_parse(domain_xml, &pools, err);
	if (!rc)
		rc = pzone_defs_parse_domain(domain_xml, &defs, err);
	if (rc)
		goto out;
	snprintf(uuid, sizeof(uuid), "%s", pzone_pools_uuid(pools));
	pthread_mutex_lock(&lock);
	promised = g_new0(uint64_t, config->nr_budgets + 1);
	for (size_t i = 0; !rc && (pool = pzone_pools_at(pools, i)); i++)
		rc = admit_pool(pool, defs, uuid, promised, err);
	if (!rc && remember && *uuid && !g_hash_table_contains(domains, uuid)) {
		remember_admission(uuid, promised);
		promised = NULL;
	}
	pthread_mutex_unlock(&lock);
out:
	g_free(promised);
	pzone_pools_free(pools);
	pzone_defs_free(defs);
	return rc;
}

/* --- looking --- */

void elastic_visit(const struct elastic_visitor *visitor, void *opaque)
{
	const struct pzone_live_class *cls;
	GHashTableIter iter;
	struct domain *d;

	pthread_mutex_lock(&lock);
	g_hash_table_iter_init(&iter, domains);
	while (g_hash_table_iter_next(&iter, NULL, (void **)&d)) {
		size_t index = 0;

		if (visitor->domain)
			visitor->domain(opaque, d->uuid, d->name,
					(int64_t)(now_us() - d->looked_us) / 1000);
		for (size_t p = 0; p < d->nr_pools; p++) {
			if (visitor->pool && !d->presumed)
				visitor->pool(opaque, pzone_live_pool_at(d->live, p),
					      d->pools[p].is_short);
			for (size_t c = 0; (cls = pzone_live_class_at(d->live, p, c)); c++, index++)
				if (visitor->cls)
					visitor->cls(opaque, cls, &d->classes[index],
						     &d->last[index]);
		}
	}
	for (size_t g = 0; visitor->budget && g < config->nr_budgets; g++) {
		struct held held = held_of(g, NULL);

		visitor->budget(opaque, &config->budgets[g], held.bytes, held.guaranteed,
				groups[g].is_short);
	}
	pthread_mutex_unlock(&lock);
}

void elastic_counters(struct elastic_counters *ret)
{
	pthread_mutex_lock(&lock);
	*ret = counters;
	pthread_mutex_unlock(&lock);
}
