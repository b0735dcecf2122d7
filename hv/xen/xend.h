/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xend.h: the parts of pzone-xend, the daemon that is for the domains of a Xen host
 * what QEMU's device is for a KVM guest.
 *
 *   domain   one that has a configuration: it has pools
 *   pool     a guest-physical range behind the domain's memory, and the core's books
 *            of it (hv/core)
 *
 * Everything that must survive us is in the Xen store, changed in the same
 * transaction as what the guest sees: so we can be killed at any time.
 *
 *   /local/domain/<id>/pzone/<pool>/   what the guest sees (store.h)
 *   /tool/pzone/<uuid>/                our own: the domain's ordinary memory, and in
 *                                      pool/<pool>/ the core's state and what is being
 *                                      done just now
 */
#ifndef PZONE_XEN_XEND_H
#define PZONE_XEN_XEND_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <json-c/json.h>
#include <xenctrl.h>
#include <xenstore.h>
#include "libpzone.h"
#include "memory.h"
#include "pz_core.h"

struct xend {
	struct xs_handle *xs;
	xc_interface *xch;
	const char *conf_dir;
	GPtrArray *domains;		/* struct domain */
	GHashTable *refused;		/* domain id -> struct refusal */
	GHashTable *raised;		/* id of one being restored -> maximum it had before */
	guint hurry;			/* timer of hurry(), or 0 */
};

/* A domain that could have classes, if something was not wrong. It is left alone. */
struct refusal {
	char *name, *why;
	char uuid[37];
	uint64_t max_kib;
};

struct domain {
	struct xend *xend;
	uint32_t id;
	char *name;
	char uuid[37];
	char *own_dir;			/* /tool/pzone/<uuid> */
	bool pv;			/* it populates and empties its pools itself */
	uint64_t base_kib;		/* its maximum without pools */
	uint64_t max_kib;		/* what we have set it to; 0: nothing yet */
	bool suspended, shutdown;
	GPtrArray *pools;		/* struct pool */
	char *classes;			/* the definitions, as they were read last */
	char *why;			/* what of the configuration is not so, as last logged */
};

struct pool {
	struct domain *domain;
	char *name;
	uint64_t addr, size, block_size;	/* bytes */
	struct pz_pool *core;
	char *dir, *own_dir;
	uint64_t plugged_kib;		/* as the hypervisor has it now */
	GHashTable *published;		/* layout keys -> values, as in the store */
	uint32_t published_generation;
	unsigned int nr_chunks;		/* of the state in the store */
	char *reply;			/* to the last request, NULL before the first */
	uint32_t reply_seq;
	struct pz_extent *pending;	/* was being changed when we were killed; while loading */
	uint32_t nr_pending;
	GHashTable *errors;		/* class id -> why the host could not do it */
	GHashTable *event_seqs;		/* class id -> number of its last event */
	guint report_timer;
	gint64 quiet_until_us;		/* no event is logged before */
	/* While a request is handled: its extents, for the messages. */
	const struct pz_extent *doing;
	uint32_t nr_doing;
};

/* A configuration file, conf.c. */
struct conf_pool {
	char *name;
	uint64_t size, requested;	/* bytes */
};

struct conf {
	GArray *pools;			/* struct conf_pool */
	struct pzone_defs *defs;	/* NULL: no file says which classes there are */
};

#define POOL_BLOCK	(2ull << 20)
#define POOL_SECTION	(128ull << 20)

/* --- conf.c --- */
/* NULL without *err: the domain has none. */
struct conf *conf_load(const char *dir, const char *domain, char **err);
void conf_free(struct conf *conf);

/* --- pool.c --- */
struct pool *pool_new(struct domain *domain, const struct conf_pool *conf, uint64_t addr,
		      char **err);
/*
 * From what is in the store under our own keys; NULL with *err. Changes nothing: if
 * all of a domain's pools can be loaded, pool_go_on() makes them work.
 */
struct pool *pool_load(struct domain *domain, const char *name, char **err);
/* For a restored domain: is there memory where the books say it, and nowhere else? */
bool pool_matches_memory(const struct pool *pool, char **err);
void pool_go_on(struct pool *pool, bool restored);
void pool_free(struct pool *pool);
/* Make what the core says the store's; after every change of the core. */
void pool_commit(struct pool *pool);
/* The guest wrote below guest/: path is relative to that. */
void pool_guest_wrote(struct pool *pool, const char *path);
const char *pool_guest(const struct pool *pool);
uint32_t pool_blocks(const struct pool *pool, uint64_t bytes);

/* --- domain.c --- */
void domains_init(struct xend *xend);
/* True: look again very soon, because a domain is being restored. */
bool domains_update(struct xend *xend);
void domains_keep(struct xend *xend);
struct domain *domain_find(struct xend *xend, const char *name_id_or_uuid);
/* Why it is not found; NULL if there is nothing to be said. */
const char *domain_refused(struct xend *xend, const char *name_id_or_uuid);
struct pool *domain_pool(const struct domain *domain, const char *name);
/* Without pools, and what is plugged. */
uint64_t domain_max_kib(const struct domain *domain);
/* Bring the maximum in line: after more_kib were plugged, or before. */
int domain_set_max(struct domain *domain, int64_t more_kib);
/* Or being saved. Looks again before it says so: it may run on by now ('xl save -c'). */
bool domain_is_shut_down(struct domain *domain);
void domain_apply_conf(struct domain *domain);
void domain_guest_wrote(struct xend *xend, const char *path);

/* --- command.c --- */
/* The answer to a QMP-like command; never NULL. */
json_object *command_run(struct xend *xend, json_object *request);
json_object *command_query(const struct pool *pool, uint32_t max_extents);
/* NULL, or why not. */
char *command_class(struct domain *domain, const char *verb, json_object *args);

/* --- server.c --- */
int server_start(struct xend *xend, const char *path, GError **err);

/* --- xend.c --- */
#define say(...) g_printerr(__VA_ARGS__)

/* --- store access, xs.c --- */
char *xs_get(struct xend *xend, xs_transaction_t t, const char *dir, const char *key);
bool xs_put(struct xend *xend, xs_transaction_t t, const char *dir, const char *key,
	    const char *value);
bool xs_del(struct xend *xend, xs_transaction_t t, const char *dir, const char *key);
bool xs_get_u64(struct xend *xend, const char *dir, const char *key, uint64_t *ret);
GStrv xs_list(struct xend *xend, const char *dir);

#endif
