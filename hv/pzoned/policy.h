/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy.h: what to do, given what the XML says and what the device says.
 *
 * No libvirt call, no clock, no memory of earlier rounds: the same two inputs
 * give the same plan, and when everything is as it should be the plan is empty.
 * That is what makes pzoned safe to kill at any time.
 */
#ifndef PZONED_POLICY_H
#define PZONED_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libpzone.h"

enum policy_verb {
	POLICY_DESTROY,		/* pool, name */
	POLICY_SET,		/* all of it */
	POLICY_CREATE,		/* all of it */
};

struct policy_action {
	enum policy_verb verb;
	const char *pool;	/* belongs to defs or live */
	const char *name;
	uint64_t size_bytes, guarantee_bytes, limit_bytes;
	uint64_t align_bytes;	/* 0: the pool's block */
	char cookie[PZONE_COOKIE_MAX + 1];
	const char *reason;	/* constant text */
};

struct policy_plan {
	struct policy_action *actions;	/* in the order to do them */
	size_t nr;
	/*
	 * What is not as wanted and can't be mended by an action: one sentence
	 * each, separated by "; ". Empty when all is well or on its way.
	 */
	char why[1024];
	bool again;		/* something has to go before the rest can be done */
};

/* 0 or -ENOMEM. The plan points into defs and live; free it with policy_free(). */
int policy_make(const struct pzone_defs *defs, const struct pzone_live *live,
		struct policy_plan *ret_plan);
void policy_free(struct policy_plan *plan);

#endif
