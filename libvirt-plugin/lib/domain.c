// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * domain.c: define, undefine, resize and set, on the running domain, on its
 * persistent definition, or on both.
 *
 * Each works in the same order: look at everything that can refuse, then write
 * the metadata, then tell the device, and put the metadata back if the device
 * refuses after all. Metadata goes first because pzoned destroys a class whose
 * cookie is ours and that no metadata names. pzoned may also be quicker than we
 * are, so "it has been done already" is a success.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"

/* What a change of both copies of the metadata needs. */
struct change {
	virDomainPtr dom;
	unsigned int targets;
	struct pzone_defs *old_config, *old_live;	/* NULL: not a target */
	struct pzone_defs *new_config, *new_live;
	struct pzone_live *live;			/* before the change; NULL: not asked */
	bool wrote_config, wrote_live;
};

/* Does the change need to read the running metadata? */
enum live_metadata { LIVE_AS_IT_SHOULD, LIVE_MAY_BE_BROKEN };

static int change_open(struct change *c, virDomainPtr dom, unsigned int flags,
		       enum live_metadata broken, struct pzone_error *err)
{
	int rc;

	memset(c, 0, sizeof(*c));
	c->dom = dom;
	rc = pzl_targets(dom, flags, &c->targets, err);
	if (!rc && (c->targets & VIR_DOMAIN_AFFECT_CONFIG))
		rc = pzl_xen_can_define(dom, err);
	if (!rc && (c->targets & VIR_DOMAIN_AFFECT_CONFIG)) {
		rc = pzl_metadata_read(dom, VIR_DOMAIN_AFFECT_CONFIG, &c->old_config, err);
		if (!rc)
			rc = pzl_defs_copy(c->old_config, &c->new_config, err);
	}
	if (!rc && (c->targets & VIR_DOMAIN_AFFECT_LIVE)) {
		rc = pzl_metadata_read(dom, VIR_DOMAIN_AFFECT_LIVE, &c->old_live, err);
		if (!rc)
			rc = pzl_defs_copy(c->old_live, &c->new_live, err);
		else if (rc == -EINVAL && broken == LIVE_MAY_BE_BROKEN)
			rc = 0;
	}
	return rc;
}

static int change_write(struct change *c, bool config, bool live, struct pzone_error *err)
{
	int rc = 0;

	if (config && c->new_config) {
		rc = pzl_metadata_write(c->dom, VIR_DOMAIN_AFFECT_CONFIG, c->new_config, err);
		c->wrote_config = !rc;
	}
	if (!rc && live && c->new_live) {
		rc = pzl_metadata_write(c->dom, VIR_DOMAIN_AFFECT_LIVE, c->new_live, err);
		c->wrote_live = !rc;
	}
	return rc;
}

/*
 * The end of every change; returns rc. On an error the metadata is put back, best
 * effort: what was refused is being reported already.
 */
static int change_close(struct change *c, int rc)
{
	if (rc && c->wrote_live)
		pzl_metadata_write(c->dom, VIR_DOMAIN_AFFECT_LIVE, c->old_live, NULL);
	if (rc && c->wrote_config)
		pzl_metadata_write(c->dom, VIR_DOMAIN_AFFECT_CONFIG, c->old_config, NULL);
	pzone_live_free(c->live);
	pzone_defs_free(c->old_config);
	pzone_defs_free(c->old_live);
	pzone_defs_free(c->new_config);
	pzone_defs_free(c->new_live);
	return rc;
}

static int check_against_pools(virDomainPtr dom, unsigned int target,
			       const struct pzone_defs *defs, struct pzone_error *err)
{
	struct pzone_pools *pools = NULL;
	int rc;

	rc = pzone_pools_get(dom, target, &pools, err);
	if (!rc)
		rc = pzone_defs_check(defs, pools, virDomainGetName(dom), err);
	pzone_pools_free(pools);
	return rc;
}

/* Does the host have room for what the changed definitions guarantee? */
static int check_budgets(const struct change *c, struct pzone_error *err)
{
	int rc = 0;

	if (c->new_config)
		rc = pzl_admit(c->dom, VIR_DOMAIN_AFFECT_CONFIG, c->old_config, c->new_config, err);
	if (!rc && c->new_live)
		rc = pzl_admit(c->dom, VIR_DOMAIN_AFFECT_LIVE, c->old_live, c->new_live, err);
	return rc;
}

static int put_all(struct pzone_defs *into, const struct pzone_defs *defs,
		   struct pzone_error *err)
{
	const struct pzone_def *def;
	int rc = 0;

	for (size_t i = 0; !rc && (def = pzone_defs_get(defs, i)); i++)
		rc = pzl_defs_put_def(into, def, true, err);
	return rc;
}

/* --- define --- */

static int check_same_align(const struct pzone_def *def, const struct pzone_live_class *cls,
			    uint64_t block_bytes, struct pzone_error *err)
{
	uint64_t wanted = def->align_bytes ? def->align_bytes : block_bytes;
	char now[32], then[32];

	if (cls->align_bytes == 0 || cls->align_bytes == wanted)
		return 0;
	return pzl_error(err, -EEXIST, PZONE_ERR_EXISTS,
			 "class '%s' has align %s and can't get %s while the domain runs: undefine it first",
			 def->name, pzone_size_format(cls->align_bytes, false, now, sizeof(now)),
			 pzone_size_format(wanted, false, then, sizeof(then)));
}

/* Do the sizes and limits of those of defs that are this pool's fit it? */
static int check_live_pool(const struct pzone_defs *defs, const struct pzone_live *live,
			   const struct pzone_live_pool *pool, struct pzone_error *err)
{
	uint64_t more = 0, freed = pool->available_bytes;
	const struct pzone_live_class *cls;
	const struct pzone_def *def;
	char a[32], b[32];
	int rc = 0;

	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++) {
		if (strcmp(def->pool, pool->name))
			continue;
		cls = pzone_live_class_find(live, def->name);
		freed += cls ? cls->size_bytes : 0;
		more = def->size_bytes > UINT64_MAX - more ? UINT64_MAX : more + def->size_bytes;
	}
	/* said first: a limit may follow its size */
	if (more > freed)
		return pzl_error(err, -ENOSPC, PZONE_ERR_NO_SPACE,
				 "the new sizes take %s of pool '%s' and only %s are left for them: make them or other classes smaller",
				 pzone_size_format(more, false, a, sizeof(a)), pool->name,
				 pzone_size_format(freed, false, b, sizeof(b)));
	for (size_t i = 0; !rc && (def = pzone_defs_get(defs, i)); i++)
		if (!strcmp(def->pool, pool->name))
			rc = pzl_check_limit_fits(def->name, def->limit_bytes, pool->name,
						  pool->size_bytes, err);
	return rc;
}

/* Would the device take all of defs? The device's own sizes count here, not the
 * metadata's: they may have been resized since. */
static int check_live(const struct pzone_defs *defs, const struct pzone_live *live,
		      virDomainPtr dom, struct pzone_error *err)
{
	const char *who = virDomainGetName(dom);
	const struct pzone_live_class *cls;
	const struct pzone_live_pool *pool;
	const struct pzone_def *def;
	int rc = 0;

	if (pzone_live_pool_count(live) == 0) {
		struct pzone_pools *pools = NULL;

		rc = pzone_pools_get(dom, VIR_DOMAIN_AFFECT_LIVE, &pools, NULL);
		rc = pzl_no_pool(err, who, rc ? NULL : pools);
		pzone_pools_free(pools);
		return rc;
	}
	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++) {
		pool = pzone_live_pool_find(live, def->pool);
		if (!pool)
			return pzl_error(err, -ENOENT, PZONE_ERR_NO_POOL,
					 "class '%s' names pool '%s', and running domain '%s' has no such pool",
					 def->name, def->pool, who);
		cls = pzone_live_class_find(live, def->name);
		if (cls && strcmp(cls->pool, def->pool))
			return pzl_error(err, -EEXIST, PZONE_ERR_EXISTS,
					 "class '%s' lives in pool '%s' and can't move to pool '%s' while the domain runs: undefine it first",
					 def->name, cls->pool, def->pool);
		if (cls && cls->state == PZONE_STATE_DESTROYING)
			return pzl_error(err, -EBUSY, PZONE_ERR_BUSY,
					 "an older class '%s' is still being destroyed: try again when it has gone",
					 def->name);
		rc = pzl_check_def_blocks(def, pool->name, pool->block_bytes, err);
		if (!rc && cls)
			rc = check_same_align(def, cls, pool->block_bytes, err);
		if (rc)
			return rc;
	}
	for (size_t p = 0; !rc && (pool = pzone_live_pool_at(live, p)); p++)
		rc = check_live_pool(defs, live, pool, err);
	return rc;
}

static int apply_one(virDomainPtr dom, const struct pzone_def *def,
		     const struct pzone_live_class *before, struct pzone_error *err)
{
	char cookie[PZONE_COOKIE_MAX + 1];
	const struct pzone_live_class *now;
	struct pzone_live *live = NULL;
	int rc;

	pzone_def_cookie(def, cookie);
	if (before && !strcmp(before->cookie, cookie) && before->size_bytes == def->size_bytes)
		return 0;
	if (before)
		return pzone_live_set(dom, def->pool, def->name, def->size_bytes,
				      def->guarantee_bytes, def->limit_bytes, cookie, err);
	rc = pzone_live_create(dom, def->pool, def->name, def->size_bytes, def->guarantee_bytes,
			       def->limit_bytes, def->align_bytes, cookie, err);
	if (!rc || pzone_live_query(dom, &live, NULL))
		return rc;
	/* Refused because pzoned did it a moment ago? */
	now = pzone_live_class_find(live, def->name);
	if (now && !strcmp(now->cookie, cookie) && now->state != PZONE_STATE_DESTROYING)
		rc = 0;
	pzone_live_free(live);
	return rc;
}

/* What is made smaller first makes room for what follows. */
static bool shrinks(const struct pzone_def *def, const struct pzone_live_class *before)
{
	return before && def->size_bytes <= before->size_bytes;
}

static int apply_all(virDomainPtr dom, const struct pzone_defs *defs,
		     const struct pzone_live *before, struct pzone_error *err)
{
	const struct pzone_live_class *cls;
	const struct pzone_def *def;
	int rc = 0;

	for (int pass = 0; !rc && pass < 2; pass++)
		for (size_t i = 0; !rc && (def = pzone_defs_get(defs, i)); i++) {
			cls = pzone_live_class_find(before, def->name);
			if (shrinks(def, cls) == (pass == 0))
				rc = apply_one(dom, def, cls, err);
		}
	if (!rc)
		return 0;
	/* Back to what was: first the new ones away, then the old ones as they were. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++) {
			cls = pzone_live_class_find(before, def->name);
			if (!cls && pass == 0)
				pzone_live_destroy(dom, def->pool, def->name, NULL);
			else if (cls && shrinks(def, cls) == (pass == 1))
				pzone_live_set(dom, cls->pool, cls->name, cls->size_bytes,
					       cls->guarantee_bytes, cls->limit_bytes,
					       cls->cookie, NULL);
		}
	return rc;
}

int pzone_domain_define(virDomainPtr dom, const struct pzone_defs *defs, unsigned int flags,
			struct pzone_error *err)
{
	struct change c;
	int rc;

	rc = change_open(&c, dom, flags, LIVE_AS_IT_SHOULD, err);
	if (!rc && c.new_config)
		rc = put_all(c.new_config, defs, err);
	if (!rc && c.new_config)
		rc = check_against_pools(dom, VIR_DOMAIN_AFFECT_CONFIG, c.new_config, err);
	if (!rc && c.new_live)
		rc = put_all(c.new_live, defs, err);
	if (!rc && c.new_live)
		rc = pzone_live_query(dom, &c.live, err);
	if (!rc && c.new_live)
		rc = check_live(defs, c.live, dom, err);
	if (!rc)
		rc = check_budgets(&c, err);
	if (!rc)
		rc = change_write(&c, true, true, err);
	if (!rc && c.live)
		rc = apply_all(dom, defs, c.live, err);
	return change_close(&c, rc);
}

/* --- undefine --- */

/* Destroy it; that somebody did so a moment ago is a success. */
static int destroy_one(virDomainPtr dom, const struct pzone_live_class *cls,
		       struct pzone_error *err)
{
	const struct pzone_live_class *now;
	struct pzone_live *live = NULL;
	int rc = pzone_live_destroy(dom, cls->pool, cls->name, err);

	if (rc != -EREMOTEIO || pzone_live_query(dom, &live, NULL))
		return rc;
	now = pzone_live_class_find(live, cls->name);
	if (!now || now->state == PZONE_STATE_DESTROYING)
		rc = 0;
	pzone_live_free(live);
	return rc;
}

int pzone_domain_undefine(virDomainPtr dom, const char *name, unsigned int flags,
			  struct pzone_error *err)
{
	const struct pzone_live_class *cls = NULL;
	bool in_config = false, in_live = false, ends;
	struct change c;
	int rc;

	rc = change_open(&c, dom, flags, LIVE_AS_IT_SHOULD, err);
	if (!rc) {
		in_config = c.new_config && !pzone_defs_remove(c.new_config, name, NULL);
		in_live = c.new_live && !pzone_defs_remove(c.new_live, name, NULL);
	}
	if (!rc && (c.targets & VIR_DOMAIN_AFFECT_LIVE)) {
		rc = pzone_live_query(dom, &c.live, err);
		/* Without a device that knows classes, there is just the metadata. */
		if (rc == -EOPNOTSUPP && (in_live || in_config))
			rc = 0;
		cls = c.live ? pzone_live_class_find(c.live, name) : NULL;
	}
	if (!rc && !in_config && !in_live && !cls)
		rc = pzl_error(err, -ENOENT, PZONE_ERR_NO_CLASS, "domain '%s' has no class '%s'%s",
			       virDomainGetName(dom), name,
			       c.targets == VIR_DOMAIN_AFFECT_CONFIG ?
			       " in its persistent definition" : "");
	/* Asked twice, it is on its way out already. */
	ends = cls && cls->state == PZONE_STATE_DESTROYING;
	if (!rc && (in_config || in_live))
		rc = change_write(&c, in_config, in_live, err);
	if (!rc && cls && !ends)
		rc = destroy_one(dom, cls, err);
	return change_close(&c, rc);
}

/* --- resize and set --- */

static int no_class(virDomainPtr dom, const char *name, unsigned int target,
		    struct pzone_error *err)
{
	return pzl_error(err, -ENOENT, PZONE_ERR_NO_CLASS, "%s domain '%s' has no class '%s'",
			 target == VIR_DOMAIN_AFFECT_LIVE ? "running" :
			 "the persistent definition of", virDomainGetName(dom), name);
}

int pzl_find_live(virDomainPtr dom, const char *name, const struct pzone_live *live,
		  const struct pzone_defs *defs, const struct pzone_live_class **ret_cls,
		  struct pzone_error *err)
{
	const struct pzone_live_class *cls = pzone_live_class_find(live, name);

	if (!cls && pzone_live_pool_count(live) == 0)
		return pzl_no_pool(err, virDomainGetName(dom), NULL);
	if (!cls && defs && pzone_defs_find(defs, name))
		return pzl_error(err, -ENOENT, PZONE_ERR_NO_CLASS,
				 "class '%s' of domain '%s' is defined and not applied yet: is pzoned running?",
				 name, virDomainGetName(dom));
	if (!cls)
		return no_class(dom, name, VIR_DOMAIN_AFFECT_LIVE, err);
	if (cls->state == PZONE_STATE_DESTROYING)
		return pzl_error(err, -EBUSY, PZONE_ERR_BUSY, "class '%s' is being destroyed",
				 name);
	*ret_cls = cls;
	return 0;
}

/* The class in the device, and its pool, for a change. */
static int open_live(struct change *c, const char *name, const struct pzone_live_class **ret_cls,
		     const struct pzone_live_pool **ret_pool, struct pzone_error *err)
{
	int rc = pzone_live_query(c->dom, &c->live, err);

	if (!rc)
		rc = pzl_find_live(c->dom, name, c->live, c->old_live, ret_cls, err);
	if (!rc)
		*ret_pool = pzone_live_pool_find(c->live, (*ret_cls)->pool);
	return rc;
}

static int resize_config(struct change *c, const char *name, uint64_t size_bytes,
			 struct pzone_error *err)
{
	const struct pzone_def *def = pzone_defs_find(c->new_config, name);
	int rc;

	if (!def)
		return no_class(c->dom, name, VIR_DOMAIN_AFFECT_CONFIG, err);
	rc = pzone_defs_put(c->new_config, def->name, def->pool, size_bytes,
			    def->has_guarantee ? def->guarantee_bytes : PZL_LEFT_OUT,
			    def->has_limit ? def->limit_bytes : PZL_LEFT_OUT, true, err);
	return rc ? rc : check_against_pools(c->dom, VIR_DOMAIN_AFFECT_CONFIG, c->new_config, err);
}

/*
 * Bounds that nobody wrote down are no bounds: they follow the size. Which those
 * are the running metadata says. Where that can't be read (defs NULL), the device's
 * bounds count, except for three equal figures, which is what left-out bounds look like.
 */
static void following_bounds(const struct pzone_live_class *cls, const struct pzone_defs *defs,
			     uint64_t size_bytes, uint64_t *ret_guarantee, uint64_t *ret_limit)
{
	const struct pzone_def *def = defs ? pzone_defs_find(defs, cls->name) : NULL;
	bool fixed = cls->guarantee_bytes == cls->size_bytes && cls->limit_bytes == cls->size_bytes;
	bool left_out = pzone_cookie_is_ours(cls->cookie) && (defs ? !!def : fixed);

	*ret_guarantee = left_out && !(def && def->has_guarantee) ? size_bytes : PZL_LEFT_OUT;
	*ret_limit = left_out && !(def && def->has_limit) ? size_bytes : PZL_LEFT_OUT;
}

static uint64_t given_or(uint64_t bytes, uint64_t otherwise)
{
	return bytes == PZL_LEFT_OUT ? otherwise : bytes;
}

/* Metadata that somebody broke is no reason not to resize: it stays as it is. */
int pzone_domain_resize(virDomainPtr dom, const char *name, uint64_t size_bytes,
			unsigned int flags, struct pzone_error *err)
{
	uint64_t guarantee = PZL_LEFT_OUT, limit = PZL_LEFT_OUT;
	const struct pzone_live_class *cls = NULL;
	const struct pzone_live_pool *pool;
	struct change c;
	int rc;

	rc = change_open(&c, dom, flags, LIVE_MAY_BE_BROKEN, err);
	if (!rc && c.new_config)
		rc = resize_config(&c, name, size_bytes, err);
	if (!rc && (c.targets & VIR_DOMAIN_AFFECT_LIVE)) {
		rc = open_live(&c, name, &cls, &pool, err);
		if (!rc)
			rc = pzl_check_block("size", name, size_bytes, pool->name,
					     pool->block_bytes, err);
		if (!rc)
			rc = pzl_check_aligned("size", name, size_bytes, cls->align_bytes, err);
	}
	if (!rc && cls) {
		following_bounds(cls, c.old_live, size_bytes, &guarantee, &limit);
		rc = pzl_check_bounds(name, size_bytes, given_or(guarantee, cls->guarantee_bytes),
				      given_or(limit, cls->limit_bytes), err);
	}
	if (!rc)
		rc = change_write(&c, true, false, err);
	if (!rc && cls && guarantee == PZL_LEFT_OUT && limit == PZL_LEFT_OUT)
		rc = pzone_live_resize(dom, cls->pool, name, size_bytes, err);
	else if (!rc && cls)
		rc = pzone_live_set(dom, cls->pool, name, size_bytes, guarantee, limit, NULL, err);
	return change_close(&c, rc);
}

/* What pzone_domain_set() was asked for. */
struct bounds {
	uint64_t guarantee, limit;	/* PZL_LEFT_OUT: stays */
	unsigned int weight;		/* 0: stays */
};

static int put_bounds(virDomainPtr dom, struct pzone_defs *defs, unsigned int target,
		      const char *name, const struct bounds *b, struct pzone_error *err)
{
	const struct pzone_def *def = pzone_defs_find(defs, name);
	int rc;

	if (!def)
		return no_class(dom, name, target, err);
	rc = pzone_defs_put(defs, def->name, def->pool, def->size_bytes,
			    given_or(b->guarantee, def->has_guarantee ? def->guarantee_bytes :
							       PZL_LEFT_OUT),
			    given_or(b->limit, def->has_limit ? def->limit_bytes : PZL_LEFT_OUT),
			    true, err);
	return rc || !b->weight ? rc : pzone_defs_set_weight(defs, name, b->weight, err);
}

static int check_bounds_live(const struct pzone_live_class *cls, const struct pzone_live_pool *pool,
			     const struct bounds *b, struct pzone_error *err)
{
	int rc = 0;

	if (b->guarantee != PZL_LEFT_OUT)
		rc = pzl_check_block("guarantee", cls->name, b->guarantee, pool->name,
				     pool->block_bytes, err);
	if (!rc && b->limit != PZL_LEFT_OUT)
		rc = pzl_check_block("limit", cls->name, b->limit, pool->name, pool->block_bytes,
				     err);
	if (!rc && b->limit != PZL_LEFT_OUT)
		rc = pzl_check_limit_fits(cls->name, b->limit, pool->name, pool->size_bytes, err);
	return rc ? rc : pzl_check_bounds(cls->name, cls->size_bytes,
					  given_or(b->guarantee, cls->guarantee_bytes),
					  given_or(b->limit, cls->limit_bytes), err);
}

int pzone_domain_set(virDomainPtr dom, const char *name, uint64_t guarantee_bytes,
		     uint64_t limit_bytes, unsigned int weight, unsigned int flags,
		     struct pzone_error *err)
{
	const struct bounds b = { guarantee_bytes, limit_bytes, weight };
	const struct pzone_live_class *cls = NULL;
	const struct pzone_live_pool *pool;
	char cookie[PZONE_COOKIE_MAX + 1];
	bool in_live = false;
	struct change c;
	int rc;

	rc = change_open(&c, dom, flags, LIVE_AS_IT_SHOULD, err);
	if (!rc && c.new_config)
		rc = put_bounds(dom, c.new_config, VIR_DOMAIN_AFFECT_CONFIG, name, &b, err);
	if (!rc && c.new_config)
		rc = check_against_pools(dom, VIR_DOMAIN_AFFECT_CONFIG, c.new_config, err);
	/* The device knows no weight, so that there is nothing to ask it for one alone. */
	if (!rc && c.new_live && (guarantee_bytes != PZL_LEFT_OUT || limit_bytes != PZL_LEFT_OUT)) {
		rc = open_live(&c, name, &cls, &pool, err);
		if (!rc)
			rc = check_bounds_live(cls, pool, &b, err);
	}
	if (!rc && c.new_live) {
		in_live = pzone_defs_find(c.new_live, name);
		/* A class that only the device has takes bounds, and has no weight. */
		if (in_live || weight)
			rc = put_bounds(dom, c.new_live, VIR_DOMAIN_AFFECT_LIVE, name, &b, err);
	}
	if (!rc)
		rc = check_budgets(&c, err);
	if (rc)
		return change_close(&c, rc);
	if (in_live)
		pzone_def_cookie(pzone_defs_find(c.new_live, name), cookie);
	/*
	 * The device first here: with the new cookie in it, pzoned finds nothing to
	 * apply when it hears of the metadata, and the class keeps its size. Then the
	 * running metadata: any change of the persistent one makes pzoned look too,
	 * and what it saw there of old would undo what the device was just told.
	 */
	if (cls)
		rc = pzone_live_set(dom, cls->pool, name, PZL_LEFT_OUT, guarantee_bytes,
				    limit_bytes, in_live ? cookie : NULL, err);
	if (!rc)
		rc = change_write(&c, false, in_live, err);
	if (!rc)
		rc = change_write(&c, true, false, err);
	if (rc && cls)
		pzone_live_set(dom, cls->pool, name, PZL_LEFT_OUT, cls->guarantee_bytes,
			       cls->limit_bytes, cls->cookie, NULL);
	return change_close(&c, rc);
}
