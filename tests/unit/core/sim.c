// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sim.c: see sim.h.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

/* xorshift64*: the same numbers everywhere for the same seed. */
uint32_t sim_random(struct sim *sim, uint32_t below)
{
	sim->seed ^= sim->seed >> 12;
	sim->seed ^= sim->seed << 25;
	sim->seed ^= sim->seed >> 27;
	return below ? (sim->seed * 2685821657736338717ull >> 32) % below : 0;
}

static int change(struct sim *sim, uint32_t first, uint32_t nr, bool plug)
{
	int rc = sim->fail;
	uint32_t i;

	assert_true(nr && first < sim->nr_blocks && nr <= sim->nr_blocks - first);
	assert_false(sim->busy);
	/* In order; what `requested` has no room for is announced and left out. */
	assert_true(sim->announced_plug == plug);
	while (sim->next_announced < sim->nr_announced &&
	       sim->announced[sim->next_announced].first != first)
		sim->next_announced++;
	assert_true(sim->next_announced < sim->nr_announced);
	assert_int_equal(sim->announced[sim->next_announced++].nr, nr);
	for (i = first; i < first + nr; i++)
		assert_true(sim->plugged[i] != plug);
	if (sim_random(sim, 100) < sim->fail_percent)
		rc = sim_random(sim, 2) ? -ENOMEM : -EBUSY;
	for (i = first; !rc && i < first + nr; i++)
		sim->plugged[i] = plug;
	sim->blocks_plugged += plug && !rc ? nr : 0;
	sim->results[sim->changes++] = rc;
	return rc;
}

static int plug(void *opaque, uint32_t first, uint32_t nr)
{
	return change(opaque, first, nr, true);
}

static int unplug(void *opaque, uint32_t first, uint32_t nr)
{
	return change(opaque, first, nr, false);
}

static bool busy(void *opaque)
{
	return ((struct sim *)opaque)->busy;
}

static void layout_changed(void *opaque)
{
	((struct sim *)opaque)->layout_changed++;
}

static void reported(void *opaque, uint32_t class_id)
{
	struct sim *sim = opaque;

	sim->reported++;
	sim->reported_last = class_id;
}

static void event(void *opaque, uint32_t class_id, uint32_t kind, uint32_t wanted)
{
	struct sim *sim = opaque;

	sim->events++;
	sim->event_class = class_id;
	sim->event_kind = kind;
	sim->event_wanted = wanted;
}

static const struct pz_ops ops = { plug, unplug, busy, layout_changed, reported, event };

int sim_create(struct pz_pool *pool, const char *name, uint32_t size, uint32_t guarantee,
	       uint32_t limit, const char *cookie, uint32_t *ret_id, struct pz_error *err)
{
	const struct pz_class_spec spec = {
		.name = name, .size = size, .guarantee = guarantee, .limit = limit,
		.cookie = cookie,
	};

	return pz_class_create(pool, &spec, ret_id, err);
}

void sim_open(struct sim *sim, uint32_t nr_blocks, uint32_t requested)
{
	struct pz_error err;

	*sim = (struct sim) { .nr_blocks = nr_blocks, .pinned = UINT32_MAX, .seed = 88172645463325252ull };
	sim->plugged = calloc(nr_blocks, sizeof(*sim->plugged));
	assert_non_null(sim->plugged);
	assert_int_equal(pz_pool_new(nr_blocks, SIM_BLOCK, requested, &ops, sim, &sim->pool, &err), 0);
	pz_pool_check(sim->pool);
}

void sim_close(struct sim *sim)
{
	sim->pool = pz_pool_free(sim->pool);
	free(sim->plugged);
}

void sim_forget_calls(struct sim *sim)
{
	sim->layout_changed = sim->reported = sim->events = sim->changes = 0;
}

struct virtio_pzone_resp sim_header(const struct sim *sim)
{
	struct virtio_pzone_resp resp;

	memcpy(&resp, sim->resp, sizeof(resp));
	return (struct virtio_pzone_resp) {
		le16toh(resp.type), le16toh(resp.nr), le32toh(resp.generation),
		le32toh(resp.total), resp.reserved
	};
}

ssize_t sim_handle(struct sim *sim, const void *req, size_t req_len, void *resp, size_t resp_len)
{
	struct virtio_pzone_resp header;
	ssize_t rc;

	sim->changes = 0;
	sim->next_announced = 0;
	sim->nr_announced = pz_pool_changes(sim->pool, req, req_len, &sim->announced_plug,
					    sim->announced);
	rc = pz_pool_handle_request(sim->pool, req, req_len, resp, resp_len);
	if (sim->nr_announced &&
	    resp_len >= sizeof(header) + sim->nr_announced * sizeof(uint32_t)) {
		memcpy(&header, resp, sizeof(header));
		assert_int_equal(le16toh(header.type), VIRTIO_PZONE_RESP_ACK);
		assert_int_equal(le16toh(header.nr), sim->nr_announced);
	}
	return rc;
}

/* From a buffer of exactly this size, so that a sanitizer sees one byte too many. */
static uint16_t request(struct sim *sim, const struct virtio_pzone_req *header, const void *entries,
			size_t entries_len, size_t resp_len)
{
	uint8_t *req = malloc(sizeof(*header) + entries_len), *resp = malloc(resp_len);

	assert_true(req && resp && resp_len <= sizeof(sim->resp));
	memcpy(req, header, sizeof(*header));
	if (entries_len)
		memcpy(req + sizeof(*header), entries, entries_len);
	sim->resp_len = sim_handle(sim, req, sizeof(*header) + entries_len, resp, resp_len);
	assert_true(sim->resp_len >= (ssize_t)sizeof(struct virtio_pzone_resp));
	assert_true(sim->resp_len <= (ssize_t)resp_len);
	memcpy(sim->resp, resp, sim->resp_len);
	free(req);
	free(resp);
	pz_pool_check(sim->pool);
	return sim_header(sim).type;
}

uint16_t sim_query(struct sim *sim, uint16_t type, uint32_t first, size_t resp_len)
{
	struct virtio_pzone_req req = { .type = htole16(type), .first = htole32(first) };

	return request(sim, &req, NULL, 0, resp_len);
}

uint16_t sim_change_at(struct sim *sim, uint16_t type, uint32_t generation,
		       const struct pz_extent *extents, uint32_t nr)
{
	struct virtio_pzone_req req = {
		.type = htole16(type), .nr = htole16(nr), .generation = htole32(generation)
	};
	struct virtio_pzone_extent e[VIRTIO_PZONE_MAX_ENTRIES];
	uint32_t i;

	assert_true(nr <= VIRTIO_PZONE_MAX_ENTRIES);
	for (i = 0; i < nr; i++)
		e[i] = (struct virtio_pzone_extent) {
			htole32(extents[i].class_id), htole32(extents[i].first),
			htole32(extents[i].nr), 0
		};
	return request(sim, &req, e, nr * sizeof(*e),
		       sizeof(struct virtio_pzone_resp) + nr * sizeof(uint32_t));
}

uint32_t sim_generation(const struct sim *sim)
{
	struct pz_pool_info info;

	pz_pool_info(sim->pool, &info);
	return info.generation;
}

uint16_t sim_change(struct sim *sim, uint16_t type, const struct pz_extent *extents, uint32_t nr)
{
	return sim_change_at(sim, type, sim_generation(sim), extents, nr);
}

uint16_t sim_report(struct sim *sim, uint32_t generation, const struct virtio_pzone_report *reports,
		    uint32_t nr)
{
	struct virtio_pzone_req req = {
		.type = htole16(VIRTIO_PZONE_REQ_REPORT), .nr = htole16(nr),
		.generation = htole32(generation)
	};

	return request(sim, &req, reports, nr * sizeof(*reports), sizeof(struct virtio_pzone_resp));
}

uint32_t sim_status(const struct sim *sim, uint32_t i)
{
	uint32_t status;

	memcpy(&status, sim->resp + sizeof(struct virtio_pzone_resp) + i * sizeof(status),
	       sizeof(status));
	return le32toh(status);
}

/* Owner of each block, UINT32_MAX for none; malloc'ed. */
static uint32_t *owners(const struct sim *sim, bool wanted)
{
	uint32_t (*get)(const struct pz_pool *, uint32_t, struct pz_extent *, uint32_t) =
		wanted ? pz_pool_wanted : pz_pool_actual;
	uint32_t *map = malloc(sim->nr_blocks * sizeof(*map)), i, b;
	struct pz_extent e;

	assert_non_null(map);
	memset(map, 0xff, sim->nr_blocks * sizeof(*map));
	for (i = 0; i < get(sim->pool, i, &e, 1); i++)
		for (b = e.first; b < e.first + e.nr; b++)
			map[b] = e.class_id;
	return map;
}

bool sim_settled(const struct sim *sim)
{
	uint32_t *wanted = owners(sim, true), *actual = owners(sim, false);
	bool same = !memcmp(wanted, actual, sim->nr_blocks * sizeof(*wanted));

	free(wanted);
	free(actual);
	return same;
}

/* Send what differs in one direction. `only`: this class, or all but memmap. */
static void send(struct sim *sim, uint16_t type, bool memmap, unsigned int skip_percent)
{
	const bool plugging = type == VIRTIO_PZONE_REQ_PLUG;
	uint32_t *wanted = owners(sim, true), *actual = owners(sim, false);
	struct pz_extent e[VIRTIO_PZONE_MAX_ENTRIES];
	uint32_t nr = 0, b, from;

	for (b = 0; b < sim->nr_blocks && nr < VIRTIO_PZONE_MAX_ENTRIES; b = from) {
		uint32_t id = plugging ? wanted[b] : actual[b];

		for (from = b + 1; from < sim->nr_blocks && wanted[from] == wanted[b] &&
				   actual[from] == actual[b]; from++)
			;
		if (wanted[b] == actual[b] || id == UINT32_MAX || (id == 0) != memmap ||
		    sim_random(sim, 100) < skip_percent)
			continue;
		if (skip_percent && from - b > 1 && sim_random(sim, 100) < skip_percent)
			from = b + 1 + sim_random(sim, from - b - 1);
		if (!plugging && b <= sim->pinned && sim->pinned < from) {
			from = b == sim->pinned ? b + 1 : sim->pinned;
			if (from > sim->pinned)
				continue;
		}
		e[nr++] = (struct pz_extent) { id, b, from - b };
	}
	sim->requests += !!nr;
	if (nr) {
		uint32_t generation = sim_generation(sim);
		uint16_t reply = sim_change(sim, type, e, nr);

		/* The planner may have gone on with what it left over. */
		if (reply == VIRTIO_PZONE_RESP_NACK)
			assert_int_not_equal(sim_header(sim).generation, generation);
		else
			assert_int_equal(reply, sim->busy ? VIRTIO_PZONE_RESP_BUSY :
					 VIRTIO_PZONE_RESP_ACK);
	}
	free(wanted);
	free(actual);
}

void sim_converge(struct sim *sim, unsigned int skip_percent)
{
	struct pz_class_info info;

	assert_int_equal(pz_class_by_id(sim->pool, 0, &info), 0);
	send(sim, VIRTIO_PZONE_REQ_UNPLUG, false, skip_percent);
	send(sim, VIRTIO_PZONE_REQ_PLUG, true, skip_percent);
	assert_int_equal(pz_class_by_id(sim->pool, 0, &info), 0);
	if (info.plugged && info.plugged == info.published)
		send(sim, VIRTIO_PZONE_REQ_PLUG, false, skip_percent);
}

void sim_follow(struct sim *sim, unsigned int skip_percent)
{
	sim_converge(sim, skip_percent);
	assert_int_equal(sim_report(sim, sim_generation(sim), NULL, 0), VIRTIO_PZONE_RESP_ACK);
}
