// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * balance.c: the policy for elastic classes. It reads from top to bottom.
 *
 *   1. judge()   What could each class use, looking at it alone? Pressed: more than it
 *                has, in steps that double as long as the pressure lasts, because a
 *                task that waits for memory costs more than memory lent for a while.
 *                Calm, and something was never in use for calm_us: less by a part of
 *                that, slowly, because taking back and giving again costs the guest
 *                faults and the host pages.
 *                Else: what it has.
 *   2. offer()   Where the wishes exceed what there is, what a calm class has free goes
 *                at once: nobody misses it.
 *   3. share()   What is still too much is shared: guarantees first, then the rest by
 *                weighted max-min fairness. Raise a level from zero; each class gets
 *                weight * level above its guarantee until it has what it wants; stop
 *                when the pool is used up, and all pools of a group when the budget is.
 *                It is the one rule under which nobody can get more without taking
 *                from somebody who has less for its weight.
 *   4. settle()  Sizes from shares. Shrinking comes first. What grows in a group with a
 *                budget gets only what is really back at the host: a guest that does not
 *                give back delays the others, but can't make them exceed the budget.
 *                (Inside a pool the device sees to that.)
 *   5. probe()   If somebody is still short, ask the calm ones above their guarantee to
 *                reclaim a little. A cache that was of use is read back (pressed, ends
 *                it); one that was not is free memory at the next round.
 *
 * A little less is not worth the guest's work: see worth_it().
 */
#include <string.h>
#include "balance.h"

#define PAGE_BYTES	4096

const struct balance_tunables balance_defaults = {
	.pressure_permille = 10,	/* a hundredth of its time: what a user begins to feel */
	.refault_permille = 10,		/* so that all of it is read anew in less than two minutes */
	.grow_percent = 10,		/* four steps are more than double */
	.headroom_percent = 10,		/* what the first step would be */
	.headroom_bytes = 16ull << 20,	/* watermarks and per-CPU lists of a small class */
	.quiet_us = 3000000,		/* a few of the guest's reports, which come once a second */
	.calm_us = 30000000,		/* longer than most pauses of a load that goes on */
	.give_percent = 25,		/* nine tenths are back in eight rounds */
	.probe_percent = 2,		/* an idle cache is found in a minute, a hot one hardly hurt */
};

const char *balance_reason_text(enum balance_reason reason)
{
	switch (reason) {
	case BALANCE_KEEP:
		return "nothing to do";
	case BALANCE_OOM:
		return "it runs out of memory";
	case BALANCE_PRESSED:
		return "it reclaims hard";
	case BALANCE_REGAIN:
		return "it is below its guarantee";
	case BALANCE_IDLE:
		return "it has not needed this for a while";
	case BALANCE_OFFERED:
		return "it has this free and others are short";
	case BALANCE_SHARED:
		return "it is above its share and others are short";
	}
	return "?";
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t round_down(uint64_t bytes, uint64_t unit)
{
	return bytes - bytes % unit;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return round_down(bytes > UINT64_MAX - unit ? UINT64_MAX - unit : bytes + unit - 1, unit);
}

/* In this order of operations nothing overflows below 2^57 bytes. */
static uint64_t percent(uint64_t bytes, unsigned int percent)
{
	return bytes / 100 * percent + bytes % 100 * percent / 100;
}

static uint64_t bounded(const struct balance_class *cls, uint64_t bytes)
{
	return max64(cls->guarantee, min64(cls->limit, bytes));
}

/* Of its group's budget: nothing that it had, or may have fetched meanwhile, is free yet. */
static uint64_t held(const struct balance_class *cls)
{
	return max64(cls->new_size, max64(cls->actual, cls->may_have));
}

static uint64_t used(const struct balance_class *cls)
{
	return cls->actual > cls->free ? cls->actual - cls->free : 0;
}

/* The size at which it would not miss anything, if this is what it uses. */
static uint64_t needed(const struct balance_class *cls, uint64_t uses,
		       const struct balance_tunables *t)
{
	uint64_t headroom = max64(t->headroom_bytes, percent(uses, t->headroom_percent));

	return bounded(cls, round_up(uses + headroom, cls->unit));
}

/* Also more than what hand_out() may have given it, or it would come and go. */
static bool worth_it(const struct balance_class *cls, uint64_t bytes)
{
	return bytes >= max64(2 * cls->unit, cls->size / 64);
}

/* --- 1. what could it use? --- */

static uint64_t since(uint64_t now, uint64_t before)
{
	/* A guest that was reset starts to count anew. */
	return now >= before ? now - before : now;
}

static bool is_pressed(const struct balance_class *cls, const struct balance_tunables *t)
{
	const struct balance_memory *m = &cls->memory;
	uint64_t us = cls->sampled_us - m->seen_us, refaults;

	if (cls->dying)
		return true;
	/* What waits now may wait for the shrink that is under way; somebody wanted that. */
	if (cls->actual > cls->size)
		return false;
	if (cls->shortage)
		return true;
	if (!m->seen_us || !us)
		return false;
	if (since(cls->oom, m->oom))
		return true;
	if (since(cls->stall_us, m->stall_us) * 1000 >= us * t->pressure_permille)
		return true;
	refaults = since(cls->refaults, m->refaults);
	return refaults && refaults * 1000000 / us * 1000 >=
			   cls->actual / PAGE_BYTES * t->refault_permille;
}

/* The most that it used in the last calm_us, and up to twice that back. */
static uint64_t recent_peak(struct balance_class *cls, const struct balance_tunables *t,
			    uint64_t now_us)
{
	struct balance_memory *m = &cls->memory;

	if (!m->window_us || now_us - m->window_us >= t->calm_us) {
		m->used_max_before = m->window_us ? m->used_max : cls->size;
		m->used_max = 0;
		m->window_us = now_us;
	}
	m->used_max = max64(m->used_max, used(cls));
	return max64(m->used_max, m->used_max_before);
}

static bool is_calm(const struct balance_class *cls)
{
	return cls->memory.calm_since_us != 0;
}

/* Grow by steps that double, unless what is on its way may well be enough. */
static void press(struct balance_class *cls, const struct balance_tunables *t)
{
	struct balance_memory *m = &cls->memory;
	/* At its end it waits for a moment only, and may not get to ask twice. */
	uint64_t first = max64(percent(cls->size, cls->dying ? 50 : t->grow_percent), cls->unit);

	cls->reason = cls->dying ? BALANCE_OOM : BALANCE_PRESSED;
	if (cls->actual < cls->size && cls->shortage <= cls->size - cls->actual)
		return;
	m->step_bytes = min64(max64(first, m->step_bytes * 2), cls->limit);
	cls->want = cls->size + max64(m->step_bytes, cls->shortage);
}

/* Give back a part of what was not in use for long. */
static void relax(struct balance_class *cls, const struct balance_tunables *t, uint64_t peak)
{
	uint64_t need = needed(cls, peak, t);
	uint64_t surplus = cls->size > need ? cls->size - need : 0;
	uint64_t give = max64(percent(surplus, t->give_percent), cls->unit);

	/* One at a time: the guest may still be at the last. */
	if (!worth_it(cls, surplus) || cls->actual > cls->size)
		return;
	cls->want = cls->size - round_down(give, cls->unit);
	cls->reason = BALANCE_IDLE;
}

static void judge(struct balance_class *cls, const struct balance_tunables *t, uint64_t now_us)
{
	struct balance_memory *m = &cls->memory;
	uint64_t peak;

	cls->want = cls->new_size = cls->size;
	cls->reclaim = 0;
	cls->reason = BALANCE_KEEP;
	if (!cls->elastic) {
		memset(m, 0, sizeof(*m));
		return;
	}
	peak = recent_peak(cls, t, now_us);
	if (is_pressed(cls, t)) {
		m->pressed_us = now_us;
		m->calm_since_us = 0;
		press(cls, t);
	} else if (!m->pressed_us || now_us - m->pressed_us >= t->quiet_us) {
		m->step_bytes = 0;
		if (!m->calm_since_us)
			m->calm_since_us = now_us;
		if (now_us - m->calm_since_us >= t->calm_us)
			relax(cls, t, peak);
	}
	cls->want = bounded(cls, round_up(cls->want, cls->unit));
	m->seen_us = cls->sampled_us;
	m->stall_us = cls->stall_us;
	m->refaults = cls->refaults;
	m->oom = cls->oom;
	cls->shortage = 0;
	cls->dying = false;
}

/* --- 2. is it too much? --- */

/* What nothing may take from it. */
static uint64_t floor_of(const struct balance_class *cls)
{
	return cls->elastic ? min64(cls->guarantee, cls->want) : cls->size;
}

static uint64_t extra_of(const struct balance_class *cls)
{
	return cls->want - floor_of(cls);
}

static uint64_t wanted(const struct balance_pool *pool)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pool->nr_classes; i++)
		sum += pool->classes[i].want;
	return sum;
}

static void find_shortage(struct balance_pool *pools, size_t nr_pools,
			  struct balance_group *groups, size_t nr_groups)
{
	for (size_t g = 0; g < nr_groups; g++) {
		uint64_t sum = 0;

		for (size_t p = 0; p < nr_pools; p++)
			if (pools[p].group == g)
				sum += pools[p].memmap + min64(wanted(&pools[p]), pools[p].capacity);
		groups[g].is_short = sum > groups[g].budget;
	}
	for (size_t p = 0; p < nr_pools; p++)
		pools[p].is_short = wanted(&pools[p]) > pools[p].capacity;
}

static bool others_are_short(const struct balance_pool *pool, const struct balance_group *groups)
{
	return pool->is_short || (pool->group != BALANCE_NO_GROUP && groups[pool->group].is_short);
}

static void offer(struct balance_pool *pool, const struct balance_tunables *t)
{
	for (size_t i = 0; i < pool->nr_classes; i++) {
		struct balance_class *cls = &pool->classes[i];

		uint64_t need = needed(cls, used(cls), t);

		if (!cls->elastic || !is_calm(cls) || need >= cls->want)
			continue;
		cls->want = need;
		cls->reason = BALANCE_OFFERED;
	}
}

/* --- 3. sharing --- */

static uint64_t share_of(const struct balance_class *cls, uint64_t level)
{
	uint64_t extra = extra_of(cls);

	if (level >= extra / cls->weight + 1)
		return extra;
	return min64(extra, cls->weight * level);
}

static uint64_t sum_at(const struct balance_pool *pool, uint64_t level)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pool->nr_classes; i++)
		sum += share_of(&pool->classes[i], level);
	return sum;
}

static uint64_t floors(const struct balance_pool *pool)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pool->nr_classes; i++)
		sum += floor_of(&pool->classes[i]);
	return sum;
}

/* At this level every class of the pool has what it wants. */
static uint64_t top_level(const struct balance_pool *pool)
{
	uint64_t top = 0;

	for (size_t i = 0; i < pool->nr_classes; i++)
		top = max64(top, extra_of(&pool->classes[i]) / pool->classes[i].weight + 1);
	return top;
}

/* The highest level at which the pool has room. */
static uint64_t pool_level(const struct balance_pool *pool)
{
	uint64_t taken = floors(pool), room, low = 0, high = top_level(pool);

	if (taken >= pool->capacity)
		return 0;
	room = pool->capacity - taken;
	if (sum_at(pool, high) <= room)
		return high;
	while (high - low > 1) {	/* fits at low, does not at high */
		uint64_t mid = low + (high - low) / 2;

		if (sum_at(pool, mid) <= room)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static uint64_t group_sum_at(const struct balance_pool *pools, size_t nr_pools, size_t group,
			     uint64_t level)
{
	uint64_t sum = 0;

	for (size_t p = 0; p < nr_pools; p++)
		if (pools[p].group == group)
			sum += sum_at(&pools[p], min64(level, pools[p].level));
	return sum;
}

/* Lower the levels of a group's pools to one at which the budget has room. */
static void group_level(struct balance_pool *pools, size_t nr_pools, size_t group, uint64_t budget)
{
	uint64_t taken = 0, room, low = 0, high = 0;

	for (size_t p = 0; p < nr_pools; p++)
		if (pools[p].group == group) {
			taken += pools[p].memmap + floors(&pools[p]);
			high = max64(high, pools[p].level);
		}
	room = budget > taken ? budget - taken : 0;
	if (group_sum_at(pools, nr_pools, group, high) <= room)
		return;
	while (high - low > 1) {
		uint64_t mid = low + (high - low) / 2;

		if (group_sum_at(pools, nr_pools, group, mid) <= room)
			low = mid;
		else
			high = mid;
	}
	for (size_t p = 0; p < nr_pools; p++)
		if (pools[p].group == group)
			pools[p].level = min64(pools[p].level, low);
}

static void share(struct balance_pool *pools, size_t nr_pools, const struct balance_group *groups,
		  size_t nr_groups)
{
	for (size_t p = 0; p < nr_pools; p++)
		pools[p].level = pool_level(&pools[p]);
	for (size_t g = 0; g < nr_groups; g++)
		if (groups[g].is_short)
			group_level(pools, nr_pools, g, groups[g].budget);
}

static uint64_t target_of(const struct balance_pool *pool, const struct balance_class *cls)
{
	return round_down(floor_of(cls) + share_of(cls, pool->level), cls->unit);
}

/* --- 4. from shares to sizes --- */

static void shrink(struct balance_pool *pool)
{
	for (size_t i = 0; i < pool->nr_classes; i++) {
		struct balance_class *cls = &pool->classes[i];
		uint64_t target = target_of(pool, cls);

		if (!cls->elastic || target >= cls->size || !worth_it(cls, cls->size - target))
			continue;
		if (target < cls->want)
			cls->reason = BALANCE_SHARED;
		cls->new_size = target;
	}
}

static uint64_t left_in_pool(const struct balance_pool *pool)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pool->nr_classes; i++)
		sum += pool->classes[i].new_size;
	return pool->capacity > sum ? pool->capacity - sum : 0;
}

/* What the group's pools have now, or will have. */
static uint64_t left_in_group(const struct balance_pool *pools, size_t nr_pools, size_t group,
			      uint64_t budget)
{
	uint64_t sum = 0;

	for (size_t p = 0; p < nr_pools; p++) {
		if (pools[p].group != group)
			continue;
		sum += pools[p].memmap;
		for (size_t i = 0; i < pools[p].nr_classes; i++)
			sum += held(&pools[p].classes[i]);
	}
	return budget > sum ? budget - sum : 0;
}

static bool is_urgent(const struct balance_class *cls)
{
	return cls->reason == BALANCE_OOM || cls->size < cls->guarantee;
}

/* Up to `target`, as far as pool and group have it left. */
static void grow(struct balance_pool *pool, uint64_t *left, struct balance_class *cls,
		 uint64_t target)
{
	uint64_t has = held(cls), counted, room;

	if (!cls->elastic || target <= cls->new_size)
		return;
	/* What it has not given back yet is in the group's sum already. */
	counted = has - cls->new_size;
	room = min64(pool->left, *left > UINT64_MAX - counted ? *left : *left + counted);
	room = round_down(min64(target - cls->new_size, room), cls->unit);
	cls->new_size += room;
	pool->left -= room;
	if (cls->new_size > has)
		*left -= cls->new_size - has;
	if (cls->size < cls->guarantee)
		cls->reason = BALANCE_REGAIN;
}

static void grow_some(struct balance_pool *pool, uint64_t *left, bool urgent)
{
	for (size_t i = 0; i < pool->nr_classes; i++)
		if (is_urgent(&pool->classes[i]) == urgent)
			grow(pool, left, &pool->classes[i], target_of(pool, &pool->classes[i]));
}

/* Shares are rounded down: what is left over goes to who still wants, unit by unit. */
static void hand_out(struct balance_pool *pool, uint64_t *left)
{
	for (size_t i = 0; i < pool->nr_classes; i++) {
		struct balance_class *cls = &pool->classes[i];

		if (cls->new_size >= cls->size && cls->want >= cls->new_size + cls->unit &&
		    cls->new_size < target_of(pool, cls) + cls->unit)
			grow(pool, left, cls, cls->new_size + cls->unit);
	}
}

static void settle(struct balance_pool *pools, size_t nr_pools, const struct balance_group *groups,
		   size_t nr_groups)
{
	for (size_t p = 0; p < nr_pools; p++) {
		shrink(&pools[p]);
		pools[p].left = left_in_pool(&pools[p]);
	}
	for (size_t g = 0; g <= nr_groups; g++) {
		bool grouped = g < nr_groups;
		uint64_t left = grouped ? left_in_group(pools, nr_pools, g, groups[g].budget) :
					  UINT64_MAX;

		for (int pass = 0; pass < 3; pass++)
			for (size_t p = 0; p < nr_pools; p++) {
				if (pools[p].group != (grouped ? g : BALANCE_NO_GROUP))
					continue;
				if (pass < 2)
					grow_some(&pools[p], &left, pass == 0);
				else
					hand_out(&pools[p], &left);
			}
	}
	for (size_t p = 0; p < nr_pools; p++)
		for (size_t i = 0; i < pools[p].nr_classes; i++)
			if (pools[p].classes[i].new_size == pools[p].classes[i].size)
				pools[p].classes[i].reason = BALANCE_KEEP;
}

/* --- 5. what is idle, and nobody knows it? --- */

static void probe(struct balance_pool *pool, const struct balance_tunables *t, uint64_t now_us)
{
	for (size_t i = 0; i < pool->nr_classes; i++) {
		struct balance_class *cls = &pool->classes[i];

		if (!cls->elastic || !is_calm(cls) || cls->new_size != cls->size ||
		    cls->size <= cls->guarantee ||
		    now_us - cls->memory.calm_since_us < t->calm_us / 4)
			continue;
		cls->reclaim = min64(percent(cls->size, t->probe_percent),
				     cls->size - cls->guarantee);
	}
}

void balance_round(struct balance_pool *pools, size_t nr_pools, struct balance_group *groups,
		   size_t nr_groups, const struct balance_tunables *t, uint64_t now_us)
{
	for (size_t p = 0; p < nr_pools; p++)
		for (size_t i = 0; i < pools[p].nr_classes; i++)
			judge(&pools[p].classes[i], t, now_us);
	find_shortage(pools, nr_pools, groups, nr_groups);
	for (size_t p = 0; p < nr_pools; p++)
		if (others_are_short(&pools[p], groups))
			offer(&pools[p], t);
	find_shortage(pools, nr_pools, groups, nr_groups);
	share(pools, nr_pools, groups, nr_groups);
	settle(pools, nr_pools, groups, nr_groups);
	for (size_t p = 0; p < nr_pools; p++)
		if (others_are_short(&pools[p], groups))
			probe(&pools[p], t, now_us);
}
