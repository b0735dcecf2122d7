// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * wait.c: waiting until a guest has done what the device was told, and asking it to
 * reclaim.
 */
#include <errno.h>
#include <time.h>
#include "internal.h"

#define POLL_MS		100

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* What is waited for. */
struct goal {
	/* 0: not there yet. cls and pool are there, and the guest has pzone. */
	enum pzone_wait_result (*judge)(const struct pzone_live_class *cls,
					const struct pzone_live_pool *pool,
					const struct goal *goal);
	/* The figure to hand back. */
	uint64_t (*figure)(const struct pzone_live_class *cls);
	unsigned int flags;
	uint32_t seq;
};

static int poll_device(virDomainPtr dom, const char *name, const struct goal *goal,
		unsigned int timeout_ms, pzone_wait_cb cb, void *opaque,
		enum pzone_wait_result *ret_result, uint64_t *ret_figure, struct pzone_error *err)
{
	const uint64_t start = now_ms();
	const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };

	for (;;) {
		enum pzone_wait_result result = PZONE_WAIT_GONE, late = PZONE_WAIT_TIMEOUT;
		const struct pzone_live_class *cls;
		const struct pzone_live_pool *pool;
		struct pzone_live *live;
		uint64_t figure;
		bool stop;
		int rc;

		rc = pzone_live_query(dom, &live, err);
		if (rc)
			return rc;
		cls = pzone_live_class_find(live, name);
		if (cls) {
			pool = pzone_live_pool_find(live, cls->pool);
			result = pool->guest == PZONE_GUEST_PLAIN ? PZONE_WAIT_PLAIN :
								    goal->judge(cls, pool, goal);
			if (cls->state == PZONE_STATE_PARTIAL)
				late = PZONE_WAIT_PARTIAL;
		}
		figure = cls ? goal->figure(cls) : 0;
		stop = cb && cb(cls, opaque);
		pzone_live_free(live);
		if (!result && timeout_ms && now_ms() - start >= timeout_ms)
			result = late;
		if (result) {
			*ret_result = result;
			if (ret_figure)
				*ret_figure = figure;
			return 0;
		}
		if (stop)
			return pzl_error(err, -ECANCELED, PZONE_ERR_CANCELLED,
					 "stopped waiting for class '%s'", name);
		nanosleep(&nap, NULL);
	}
}

/* --- for a size --- */

static enum pzone_wait_result judge_size(const struct pzone_live_class *cls,
					 const struct pzone_live_pool *pool,
					 const struct goal *goal)
{
	if (cls->state == PZONE_STATE_SETTLED)
		return PZONE_WAIT_SETTLED;
	/* "partial" of an older layout says nothing about this one */
	if (cls->state == PZONE_STATE_PARTIAL && pool->generation == pool->guest_generation &&
	    !(goal->flags & PZONE_WAIT_F_THROUGH_PARTIAL))
		return PZONE_WAIT_PARTIAL;
	return 0;
}

static uint64_t actual(const struct pzone_live_class *cls)
{
	return cls->actual_bytes;
}

int pzone_domain_wait(virDomainPtr dom, const char *name, unsigned int timeout_ms,
		      unsigned int flags, pzone_wait_cb cb, void *opaque,
		      enum pzone_wait_result *ret_result, uint64_t *ret_actual_bytes,
		      struct pzone_error *err)
{
	const struct goal goal = { .judge = judge_size, .figure = actual, .flags = flags };

	return poll_device(dom, name, &goal, timeout_ms, cb, opaque, ret_result, ret_actual_bytes, err);
}

/* --- reclaim --- */

int pzone_domain_reclaim(virDomainPtr dom, const char *name, uint64_t bytes, uint32_t *ret_seq,
			 struct pzone_error *err)
{
	const struct pzone_live_class *cls;
	const struct pzone_live_pool *pool;
	struct pzone_live *live;
	int rc;

	if (!bytes)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG,
				 "there is nothing to reclaim: the size is 0");
	rc = pzone_live_query(dom, &live, err);
	if (rc)
		return rc;
	rc = pzl_find_live(dom, name, live, NULL, &cls, err);
	pool = rc ? NULL : pzone_live_pool_find(live, cls->pool);
	if (pool && pool->guest == PZONE_GUEST_PLAIN)
		rc = pzl_error(err, -EOPNOTSUPP, PZONE_ERR_NO_SUPPORT,
			       "the guest kernel of domain '%s' has no pzone support: nobody there can reclaim in class '%s'",
			       virDomainGetName(dom), name);
	else if (pool && pool->guest == PZONE_GUEST_NONE)
		rc = pzl_error(err, -EAGAIN, PZONE_ERR_BUSY,
			       "no guest driver listens in pool '%s' (yet): class '%s' can't be asked to reclaim",
			       pool->name, name);
	if (!rc)
		rc = pzone_live_reclaim(dom, pool->name, name, bytes, err);
	pzone_live_free(live);
	if (rc || !ret_seq)
		return rc;
	rc = pzone_live_query(dom, &live, err);
	if (rc)
		return rc;
	/* Somebody's later order is as good: it is carried out after ours. */
	cls = pzone_live_class_find(live, name);
	*ret_seq = cls ? cls->reclaim_seq : 0;
	pzone_live_free(live);
	return 0;
}

static enum pzone_wait_result judge_reclaim(const struct pzone_live_class *cls,
					    const struct pzone_live_pool *pool,
					    const struct goal *goal)
{
	(void)pool;
	/* by difference: the numbers may wrap */
	return cls->report && (int32_t)(cls->report->reclaim_done_seq - goal->seq) >= 0 ?
	       PZONE_WAIT_SETTLED : 0;
}

static uint64_t reclaimed(const struct pzone_live_class *cls)
{
	return cls->report ? cls->report->reclaimed_bytes : 0;
}

int pzone_domain_reclaim_wait(virDomainPtr dom, const char *name, uint32_t seq,
			      unsigned int timeout_ms, pzone_wait_cb cb, void *opaque,
			      enum pzone_wait_result *ret_result, uint64_t *ret_bytes,
			      struct pzone_error *err)
{
	const struct goal goal = { .judge = judge_reclaim, .figure = reclaimed, .seq = seq };
	int rc;

	if (!seq)
		return pzl_error(err, -EOPNOTSUPP, PZONE_ERR_NO_SUPPORT,
				 "the QEMU of domain '%s' does not say when a reclaim is done: the order stands, and `virsh pzone-info` shows what it got",
				 virDomainGetName(dom));
	rc = poll_device(dom, name, &goal, timeout_ms, cb, opaque, ret_result, ret_bytes, err);
	/* A size that is partial is another matter. */
	if (!rc && *ret_result == PZONE_WAIT_PARTIAL)
		*ret_result = PZONE_WAIT_TIMEOUT;
	return rc;
}
