/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elastic.h: between the looks at domains (reconcile.c) and the policy for elastic
 * classes (balance.c). Keeps what each domain's devices said last, has all of it
 * balanced once a period and when a guest runs short, and hands out the orders
 * that come of it.
 *
 * All of it is a memory aid: after a restart the next looks fill it again. All calls
 * may come from any thread; none blocks for longer than a round takes.
 */
#ifndef PZONED_ELASTIC_H
#define PZONED_ELASTIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libvirt/libvirt.h>
#include "balance.h"
#include "config.h"
#include "libpzone.h"

/* What a class is to be told. */
struct elastic_order {
	char pool[PZONE_POOL_MAX + 1];
	char name[PZONE_NAME_MAX + 1];
	uint64_t from_bytes, to_bytes;	/* different: resize */
	uint64_t used_bytes;		/* for the log */
	uint64_t reclaim_bytes;		/* > 0: reclaim */
	enum balance_reason reason;
};

/* config must stay until the next call. Again on a reload: what is known is kept. */
void elastic_configure(const struct config *config);

/*
 * This domain runs: no round before it was seen, or before that proved impossible, because
 * nobody knows what it has of the budgets. Any thread may say either, with any lock.
 */
void elastic_expect(const char *uuid);
void elastic_seen(const char *uuid);

/*
 * What a look at a domain found. Takes `live` over. Runs a round at once if one of
 * its classes is short. why gets what is to be said of it. 0 or -ENOMEM (then the
 * domain is not balanced).
 */
int elastic_update(const char *uuid, const char *name, const struct pzone_defs *defs,
		   const struct pzone_pools *pools, struct pzone_live *live, char *why,
		   size_t why_len);
/*
 * What its XML says of a domain of which no look has found more: its pools hold what
 * libvirt says that they have, or what they are promised (defs may be NULL: not known).
 */
void elastic_presume(const char *uuid, const char *name, const struct pzone_defs *defs,
		     const struct pzone_pools *pools);
void elastic_forget(const char *uuid);

/*
 * A guest says that a class needs more memory, and if oom, that it is about to kill: then
 * a round is run with what is known, because a look takes longer than the guest may wait.
 */
void elastic_shortage(const char *uuid, const char *pool, const char *name, uint64_t bytes,
		      bool oom);

/* One round over all domains; marks (work.h) those that have orders or need a new look. */
void elastic_tick(void);

/*
 * The orders of a domain, all or only those for classes that are about to kill; each is
 * handed out once and counts as carried out. free() the array. If one fails, a new look
 * at the domain puts things right.
 */
size_t elastic_take(const char *uuid, bool urgent, struct elastic_order **ret_orders);

/* --- looking, for metrics and status --- */

struct elastic_decision {
	int64_t when_ms;		/* CLOCK_REALTIME; 0: none yet */
	uint64_t from_bytes, to_bytes;
	enum balance_reason reason;
};

struct elastic_visitor {
	void (*domain)(void *opaque, const char *uuid, const char *name, int64_t age_ms);
	/* Not for a domain that is only presumed: of that nothing is known. */
	void (*pool)(void *opaque, const struct pzone_live_pool *pool, bool is_short);
	void (*cls)(void *opaque, const struct pzone_live_class *cls,
		    const struct balance_class *balance, const struct elastic_decision *last);
	void (*budget)(void *opaque, const struct config_budget *budget, uint64_t held_bytes,
		       uint64_t guaranteed_bytes, bool is_short);
};
void elastic_visit(const struct elastic_visitor *visitor, void *opaque);

struct elastic_counters {
	uint64_t rounds, round_us;	/* since the start; round_us: time spent in them */
	uint64_t decisions[BALANCE_SHARED + 1];	/* by reason */
	uint64_t reclaims;
};
void elastic_counters(struct elastic_counters *ret);

/*
 * May a domain with this XML start, as far as the host's budgets go? Its pools'
 * guarantees (fixed classes: sizes) and memory maps against what the running domains
 * are promised. -ENOSPC: err names class or domain, wanted and available. A domain
 * that is running counts once. Other errors are those of parsing the XML. remember: it
 * is about to, and what it is promised counts from now on, for a minute.
 */
int elastic_admit(const char *domain_xml, bool remember, struct pzone_error *err);

#endif
