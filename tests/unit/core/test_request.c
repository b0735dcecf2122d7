// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_request.c: each request of the guest, the right ones and every wrong one.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sim.h"

#define ACK	VIRTIO_PZONE_RESP_ACK
#define NACK	VIRTIO_PZONE_RESP_NACK
#define BUSY	VIRTIO_PZONE_RESP_BUSY
#define ERROR	VIRTIO_PZONE_RESP_ERROR
#define PLUG	VIRTIO_PZONE_REQ_PLUG
#define UNPLUG	VIRTIO_PZONE_REQ_UNPLUG

/* 128 blocks; memmap 126+2; class 1 "a" 0+20, class 2 "b" 20+30; nothing plugged. */
static void open_ab(struct sim *sim)
{
	struct pz_error err;

	sim_open(sim, 128, 128);
	assert_int_equal(sim_create(sim->pool, "a", 20, 5, 20, NULL, NULL, &err), 0);
	assert_int_equal(sim_create(sim->pool, "b", 30, 0, 40, NULL, NULL, &err), 0);
	sim_forget_calls(sim);
}

static uint32_t generation(const struct sim *sim)
{
	struct pz_pool_info info;

	pz_pool_info(sim->pool, &info);
	return info.generation;
}

/* Send raw bytes; the reply's type. */
static int raw(struct sim *sim, const void *req, size_t len, size_t resp_len)
{
	uint8_t *copy = malloc(len ? len : 1), *resp = malloc(resp_len ? resp_len : 1);
	ssize_t rc;

	memcpy(copy, req, len);
	rc = sim_handle(sim, copy, len, resp, resp_len);
	if (rc > 0) {
		assert_true(rc >= (ssize_t)sizeof(struct virtio_pzone_resp) && rc <= (ssize_t)resp_len);
		memcpy(sim->resp, resp, rc < (ssize_t)sizeof(sim->resp) ? rc : (ssize_t)sizeof(sim->resp));
		sim->resp_len = rc;
		rc = sim_header(sim).type;
	}
	free(copy);
	free(resp);
	pz_pool_check(sim->pool);
	return rc;
}

static void framing(void **state)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_extent e[2]; } r;
	struct sim sim;
	size_t len;
	int type;

	(void)state;
	open_ab(&sim);
	memset(&r, 0, sizeof(r));
	/* No room for a reply's header: the caller breaks the ring. */
	for (len = 0; len < 16; len++)
		assert_int_equal(raw(&sim, &r, 16, len), -EINVAL);
	/* Cut short. */
	for (len = 0; len < 16; len++)
		assert_int_equal(raw(&sim, &r, len, 1024), ERROR);
	/* Types that there are not. */
	for (type = 7; type < 65536; type += 97) {
		r.h.type = htole16(type);
		assert_int_equal(raw(&sim, &r, 16, 1024), ERROR);
	}
	/* reserved */
	for (type = 0; type < 7; type++) {
		memset(&r, 0, sizeof(r));
		r.h.type = htole16(type);
		r.h.reserved = htole32(1u << 31);
		assert_int_equal(raw(&sim, &r, 16, 1024), ERROR);
	}
	/* Queries carry nothing. */
	for (type = 0; type < 3; type++) {
		memset(&r, 0, sizeof(r));
		r.h.type = htole16(type);
		assert_int_equal(raw(&sim, &r, 16, 1024), ACK);
		assert_int_equal(raw(&sim, &r, 17, 1024), ERROR);
		r.h.nr = htole16(1);
		assert_int_equal(raw(&sim, &r, 16, 1024), ERROR);
		assert_int_equal(raw(&sim, &r, 32, 1024), ERROR);
	}
	/* Length and nr disagree; more than there may be. */
	memset(&r, 0, sizeof(r));
	r.h.type = htole16(PLUG);
	r.h.generation = htole32(generation(&sim));
	r.h.nr = htole16(1);
	r.e[0].first_block = htole32(126);
	r.e[0].nr_blocks = htole32(2);
	assert_int_equal(raw(&sim, &r, 31, 1024), ERROR);
	assert_int_equal(raw(&sim, &r, 33, 1024), ERROR);
	assert_int_equal(raw(&sim, &r, 48, 1024), ERROR);
	r.h.nr = htole16(2);
	assert_int_equal(raw(&sim, &r, 32, 1024), ERROR);
	r.h.nr = htole16(65535);
	assert_int_equal(raw(&sim, &r, 32, 1024), ERROR);
	r.h.nr = 0;
	assert_int_equal(raw(&sim, &r, 16, 1024), ERROR);
	/* No room for the statuses: nothing is done. */
	r.h.nr = htole16(1);
	assert_int_equal(raw(&sim, &r, 32, 19), ERROR);
	r.h.first = htole32(1);
	assert_int_equal(raw(&sim, &r, 32, 1024), ERROR);
	r.h.first = 0;
	assert_int_equal(sim.changes, 0);
	assert_int_equal(raw(&sim, &r, 32, 20), ACK);
	assert_int_equal(sim.resp_len, 20);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	sim_close(&sim);
}

static void most_entries(void **state)
{
	const uint32_t nr = VIRTIO_PZONE_MAX_ENTRIES;
	struct virtio_pzone_req *req = calloc(1, 16 + (nr + 1) * 16);
	struct virtio_pzone_extent *e = (void *)(req + 1);
	struct pz_error err;
	struct sim sim;
	uint32_t i;

	(void)state;
	sim_open(&sim, 1024, 1024);
	assert_int_equal(sim_create(sim.pool, "a", 1000, 0, 1000, NULL, NULL, &err), 0);
	e[0] = (struct virtio_pzone_extent) { 0, htole32(1008), htole32(16), 0 };
	req->type = htole16(PLUG);
	req->nr = htole16(1);
	req->generation = htole32(generation(&sim));
	assert_int_equal(raw(&sim, req, 32, 1024 * 8), ACK);
	for (i = 0; i <= nr; i++)	/* every third block, from behind */
		e[i] = (struct virtio_pzone_extent) { htole32(1), htole32(3 * (nr - i)), htole32(1), 0 };
	req->nr = htole16(nr + 1);
	assert_int_equal(raw(&sim, req, 16 + (nr + 1) * 16, 1024 * 8), ERROR);
	req->nr = htole16(nr);
	assert_int_equal(raw(&sim, req, 16 + nr * 16, 1024 * 8), ACK);
	assert_int_equal(sim_header(&sim).nr, nr);
	assert_int_equal(pz_pool_actual(sim.pool, 0, NULL, 0), nr + 1);
	/* STATE comes in pages of at most so many. */
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_STATE, 0, sizeof(sim.resp)), ACK);
	assert_int_equal(sim_header(&sim).nr, nr);
	assert_int_equal(sim_header(&sim).total, nr + 1);
	req->type = htole16(UNPLUG);
	assert_int_equal(raw(&sim, req, 16 + nr * 16, 1024 * 8), ACK);
	assert_int_equal(pz_pool_actual(sim.pool, 0, NULL, 0), 1);
	free(req);
	sim_close(&sim);
}

static void queries(void **state)
{
	struct virtio_pzone_class c;
	struct virtio_pzone_extent e;
	struct pz_error err;
	struct sim sim;

	(void)state;
	open_ab(&sim);
	assert_int_equal(pz_class_reclaim(sim.pool, "b", 12345678901ull, &err), 0);
	sim_converge(&sim, 0);
	assert_int_equal(pz_class_destroy(sim.pool, "a", &err), 0);

	/* Room for one and a half. */
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_CLASSES, 0, 16 + 96), ACK);
	assert_int_equal(sim_header(&sim).nr, 1);
	assert_int_equal(sim_header(&sim).total, 3);
	assert_int_equal(sim_header(&sim).generation, generation(&sim));
	assert_int_equal(sim.resp_len, 16 + 64);
	memcpy(&c, sim.resp + 16, sizeof(c));
	assert_int_equal(c.id, 0);
	assert_string_equal((char *)c.name, "memmap");
	assert_int_equal(le32toh(c.wanted_blocks), 2);

	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_CLASSES, 1, sizeof(sim.resp)), ACK);
	assert_int_equal(sim_header(&sim).nr, 2);
	memcpy(&c, sim.resp + 16, sizeof(c));
	assert_int_equal(le32toh(c.id), 1);
	assert_int_equal(le32toh(c.flags), VIRTIO_PZONE_CLASS_F_DYING);
	assert_int_equal(c.wanted_blocks, 0);
	memcpy(&c, sim.resp + 16 + 64, sizeof(c));
	assert_int_equal(le32toh(c.id), 2);
	assert_int_equal(c.flags, 0);
	assert_int_equal(le32toh(c.wanted_blocks), 30);
	assert_int_equal(le32toh(c.guarantee_blocks), 0);
	assert_int_equal(le32toh(c.limit_blocks), 40);
	assert_int_equal(le32toh(c.reclaim_seq), 1);
	assert_int_equal(le64toh(c.reclaim_bytes), 12345678901ull);
	assert_string_equal((char *)c.name, "b");

	/* Past the end there is nothing, and no harm. */
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_CLASSES, 3, sizeof(sim.resp)), ACK);
	assert_int_equal(sim_header(&sim).nr, 0);
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_CLASSES, UINT32_MAX, sizeof(sim.resp)), ACK);
	assert_int_equal(sim_header(&sim).nr, 0);
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_LAYOUT, 0, 16), ACK);
	assert_int_equal(sim_header(&sim).nr, 0);
	assert_int_equal(sim_header(&sim).total, 2);

	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_LAYOUT, 0, sizeof(sim.resp)), ACK);
	assert_int_equal(sim_header(&sim).nr, 2);
	memcpy(&e, sim.resp + 16, sizeof(e));
	assert_int_equal(le32toh(e.class_id), 2);
	assert_int_equal(le32toh(e.first_block), 20);
	assert_int_equal(le32toh(e.nr_blocks), 30);
	assert_int_equal(e.reserved, 0);
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_STATE, 0, sizeof(sim.resp)), ACK);
	assert_int_equal(sim_header(&sim).nr, 3);
	sim_close(&sim);
}

/* Extents that PLUG and UNPLUG do not take. Nothing of such a request is done. */
static void change_errors(void **state)
{
	static const struct {
		const char *what;
		uint16_t type;
		struct pz_extent e[2];
		uint32_t nr;
	} rows[] = {
		/* a's first half is plugged, and memmap; b is not */
		{ "not its class", PLUG, { { 1, 20, 1 } }, 1 },
		{ "nobody's", PLUG, { { 1, 60, 1 } }, 1 },
		{ "a class that is not there", PLUG, { { 9, 0, 1 } }, 1 },
		{ "UINT32_MAX as class", PLUG, { { UINT32_MAX, 60, 1 } }, 1 },
		{ "UINT32_MAX - 1 as class", PLUG, { { UINT32_MAX - 1, 60, 1 } }, 1 },
		{ "too long", PLUG, { { 2, 20, 31 } }, 1 },
		{ "starts before", PLUG, { { 2, 19, 2 } }, 1 },
		{ "plugged already", PLUG, { { 1, 0, 10 } }, 1 },
		{ "half plugged already", PLUG, { { 1, 5, 10 } }, 1 },
		{ "no blocks", PLUG, { { 2, 20, 0 } }, 1 },
		{ "past the end", PLUG, { { 2, 128, 1 } }, 1 },
		{ "over the end", PLUG, { { 0, 126, 3 } }, 1 },
		{ "wraps", PLUG, { { 2, 20, UINT32_MAX } }, 1 },
		{ "wraps to 0", PLUG, { { 2, 20, UINT32_MAX - 19 } }, 1 },
		{ "far out", PLUG, { { 2, UINT32_MAX, 1 } }, 1 },
		{ "twice the same", PLUG, { { 2, 20, 5 }, { 2, 20, 5 } }, 2 },
		{ "overlap", PLUG, { { 2, 20, 5 }, { 2, 24, 5 } }, 2 },
		{ "inside", PLUG, { { 2, 20, 9 }, { 2, 22, 2 } }, 2 },
		{ "second one wrong", PLUG, { { 2, 20, 5 }, { 2, 50, 1 } }, 2 },
		{ "not plugged", UNPLUG, { { 2, 20, 1 } }, 1 },
		{ "half plugged", UNPLUG, { { 1, 5, 10 } }, 1 },
		{ "not its class", UNPLUG, { { 2, 0, 1 } }, 1 },
		{ "memmap under a class", UNPLUG, { { 0, 126, 2 } }, 1 },
		{ "memmap, and the class", UNPLUG, { { 1, 0, 10 }, { 0, 126, 2 } }, 2 },
		{ "overlap", UNPLUG, { { 1, 0, 6 }, { 1, 5, 5 } }, 2 },
		{ "no blocks", UNPLUG, { { 1, 0, 0 } }, 1 },
		{ "second one wrong", UNPLUG, { { 1, 0, 5 }, { 1, 15, 1 } }, 2 },
		{ "second one wraps", UNPLUG, { { 1, 0, 5 }, { 1, 5, UINT32_MAX - 4 } }, 2 },
	};
	struct { struct virtio_pzone_req h; struct virtio_pzone_extent e; } r = { 0 };
	const struct pz_extent memmap = { 0, 126, 2 }, half = { 1, 0, 10 }, b = { 2, 20, 30 };
	struct sim sim;
	size_t i;

	(void)state;
	open_ab(&sim);
	/* The memory map comes first, in a request of its own. */
	assert_int_equal(sim_change(&sim, PLUG, &half, 1), ERROR);
	{
		const struct pz_extent part = { 0, 126, 1 }, both[2] = { memmap, half };

		assert_int_equal(sim_change(&sim, PLUG, both, 2), ERROR);
		assert_int_equal(sim_change(&sim, PLUG, &part, 1), ACK);
		assert_int_equal(sim_change(&sim, PLUG, &half, 1), ERROR);
		assert_int_equal(sim_change(&sim, UNPLUG, &part, 1), ACK);
	}
	assert_int_equal(sim_change(&sim, PLUG, &memmap, 1), ACK);
	assert_int_equal(sim_change(&sim, PLUG, &half, 1), ACK);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (sim_change(&sim, rows[i].type, rows[i].e, rows[i].nr) != ERROR || sim.changes)
			fail_msg("%s", rows[i].what);
		assert_int_equal(sim_header(&sim).nr, 0);
	}
	/* reserved of an extent */
	r.h.type = htole16(PLUG);
	r.h.nr = htole16(1);
	r.h.generation = htole32(generation(&sim));
	r.e = (struct virtio_pzone_extent) { htole32(2), htole32(20), htole32(30), htole32(1) };
	assert_int_equal(raw(&sim, &r, sizeof(r), 20), ERROR);
	/* Stale, and newer than there is; BUSY. */
	assert_int_equal(sim_change_at(&sim, PLUG, generation(&sim) - 1, &b, 1), NACK);
	assert_int_equal(sim_change_at(&sim, PLUG, generation(&sim) + 1, &b, 1), NACK);
	assert_int_equal(sim_change_at(&sim, UNPLUG, generation(&sim) - 1, &half, 1), NACK);
	assert_int_equal(sim.changes, 0);
	sim.busy = true;
	assert_int_equal(sim_change(&sim, PLUG, &b, 1), BUSY);
	assert_int_equal(sim_change(&sim, UNPLUG, &half, 1), BUSY);
	assert_int_equal(sim_query(&sim, VIRTIO_PZONE_REQ_STATE, 0, 1024), ACK);
	sim.busy = false;
	assert_int_equal(sim_change(&sim, PLUG, &b, 1), ACK);
	sim_close(&sim);
}

/* The device's answers become statuses, extent by extent. */
static void statuses(void **state)
{
	const struct pz_extent memmap = { 0, 126, 2 };
	const struct pz_extent ab[2] = { { 2, 20, 30 }, { 1, 0, 20 } };
	struct pz_class_info info;
	struct sim sim;

	(void)state;
	open_ab(&sim);
	assert_int_equal(sim_change(&sim, PLUG, &memmap, 1), ACK);
	sim.fail = -ENOMEM;
	assert_int_equal(sim_change(&sim, PLUG, ab, 2), ACK);
	assert_int_equal(sim_header(&sim).nr, 2);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_NOMEM);
	assert_int_equal(sim_status(&sim, 1), VIRTIO_PZONE_NOMEM);
	sim.fail = -EBUSY;
	assert_int_equal(sim_change(&sim, PLUG, ab, 2), ACK);
	assert_int_equal(sim_status(&sim, 1), VIRTIO_PZONE_AGAIN);
	sim.fail = -EIO;
	assert_int_equal(sim_change(&sim, PLUG, ab, 2), ACK);
	assert_int_equal(sim_status(&sim, 1), VIRTIO_PZONE_AGAIN);
	assert_int_equal(pz_class_find(sim.pool, "a", &info), 0);
	assert_int_equal(info.plugged, 0);
	sim.fail = 0;
	sim_forget_calls(&sim);
	assert_int_equal(sim_change(&sim, PLUG, ab, 2), ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	assert_int_equal(sim_status(&sim, 1), VIRTIO_PZONE_OK);
	assert_int_equal(sim.reported, 2);
	assert_int_equal(sim.layout_changed, 0);
	assert_int_equal(pz_class_find(sim.pool, "a", &info), 0);
	assert_int_equal(info.plugged, 20);
	sim.fail = -EBUSY;
	assert_int_equal(sim_change(&sim, UNPLUG, ab, 2), ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_AGAIN);
	assert_int_equal(pz_class_find(sim.pool, "b", &info), 0);
	assert_int_equal(info.plugged, 30);
	sim_close(&sim);
}

static void reports(void **state)
{
	struct virtio_pzone_report r[3] = {
		{
			.class_id = htole32(1), .state = htole32(VIRTIO_PZONE_STATE_PARTIAL),
			.nr_cgroups = htole32(2), .stuck_blocks = htole32(3),
			.reclaim_done_seq = htole32(4), .reclaimed_bytes = htole64(5),
			.free_bytes = htole64(6), .anon_bytes = htole64(7), .file_bytes = htole64(8),
			.pinned_bytes = htole64(9), .refault_pages = htole64(10),
			.pressure_us = htole64(11), .oom_events = htole64(12),
			.oom_kills = htole64(1ull << 40),
		},
		{ .class_id = htole32(99) },	/* just gone */
		{ .class_id = htole32(2) },
	};
	struct pz_class_info info;
	struct pz_pool_info pool;
	struct sim sim;

	(void)state;
	open_ab(&sim);
	assert_int_equal(sim_report(&sim, 2, r, 3), ACK);
	pz_pool_info(sim.pool, &pool);
	assert_int_equal(pool.guest_generation, 2);
	assert_int_equal(pz_class_by_id(sim.pool, 1, &info), 0);
	assert_true(info.report.valid);
	assert_int_equal(info.report.state, VIRTIO_PZONE_STATE_PARTIAL);
	assert_int_equal(info.report.nr_cgroups, 2);
	assert_int_equal(info.report.stuck_blocks, 3);
	assert_int_equal(info.report.reclaim_done_seq, 4);
	assert_int_equal(info.report.reclaimed_bytes, 5);
	assert_int_equal(info.report.free_bytes, 6);
	assert_int_equal(info.report.anon_bytes, 7);
	assert_int_equal(info.report.file_bytes, 8);
	assert_int_equal(info.report.pinned_bytes, 9);
	assert_int_equal(info.report.refault_pages, 10);
	assert_int_equal(info.report.pressure_us, 11);
	assert_int_equal(info.report.oom_events, 12);
	assert_int_equal(info.report.oom_kills, 1ull << 40);
	assert_int_equal(sim.reported, 3);	/* a, b and the pool */
	assert_int_equal(sim_report(&sim, 3, NULL, 0), ACK);
	pz_pool_info(sim.pool, &pool);
	assert_int_equal(pool.guest_generation, 3);
	r[2].reserved = htole32(1);
	assert_int_equal(sim_report(&sim, 4, r, 3), ERROR);
	r[2].reserved = 0;
	r[2].state = htole32(3);
	assert_int_equal(sim_report(&sim, 4, r, 3), ERROR);
	pz_pool_info(sim.pool, &pool);
	assert_int_equal(pool.guest_generation, 3);
	sim_close(&sim);
}

static void events(void **state)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_event e[2]; } r = { 0 };
	struct sim sim;

	(void)state;
	open_ab(&sim);
	r.h.type = htole16(VIRTIO_PZONE_REQ_EVENT);
	r.h.nr = htole16(2);
	r.e[0] = (struct virtio_pzone_event) { htole32(1), htole32(VIRTIO_PZONE_EVENT_PRESSURE), htole32(4), 0 };
	r.e[1] = (struct virtio_pzone_event) { htole32(2), htole32(VIRTIO_PZONE_EVENT_OOM), htole32(8), 0 };
	assert_int_equal(raw(&sim, &r, sizeof(r), 16), ACK);
	assert_int_equal(sim.events, 2);
	assert_int_equal(sim.event_class, 2);
	assert_int_equal(sim.event_kind, VIRTIO_PZONE_EVENT_OOM);
	assert_int_equal(sim.event_wanted, 8);
	/* One bad one, and none is passed on. */
	r.e[1].kind = htole32(2);
	assert_int_equal(raw(&sim, &r, sizeof(r), 16), ERROR);
	r.e[1].kind = 0;
	r.e[1].reserved = htole32(1);
	assert_int_equal(raw(&sim, &r, sizeof(r), 16), ERROR);
	r.e[1].reserved = 0;
	r.e[1].class_id = 0;
	assert_int_equal(raw(&sim, &r, sizeof(r), 16), ERROR);
	assert_int_equal(sim.events, 2);
	/* But that a class has just gone is nobody's fault. */
	r.e[1].class_id = htole32(3);
	assert_int_equal(raw(&sim, &r, sizeof(r), 16), ACK);
	assert_int_equal(sim.events, 3);
	assert_int_equal(sim.event_class, 1);
	sim_close(&sim);
}

/* A guest can't cut its memory into more pieces than PZ_MAX_EXTENTS; it can always
 * give back whole ones, and parts at an end. */
static void too_many_pieces(void **state)
{
	const uint32_t nr = 8192, memmap = pz_memmap_blocks(nr, SIM_BLOCK);
	struct pz_extent e = { 0, nr - memmap, memmap };
	struct pz_class_info info;
	struct sim sim;
	uint32_t i, id;

	(void)state;
	sim_open(&sim, nr, nr);
	assert_int_equal(sim_create(sim.pool, "a", 7000, 0, 7000, NULL, &id, NULL), 0);
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_PLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	for (i = 0; i < PZ_MAX_EXTENTS; i++) {
		e = (struct pz_extent) { id, 2 * i, 1 };
		assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_PLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
		assert_int_equal(sim_status(&sim, 0), i + 1 < PZ_MAX_EXTENTS ? VIRTIO_PZONE_OK :
				 VIRTIO_PZONE_AGAIN);
	}
	assert_int_equal(sim.changes, 0);
	assert_int_equal(pz_pool_actual(sim.pool, 0, NULL, 0), PZ_MAX_EXTENTS);
	/* Between two that are there, and behind the last: no new piece. */
	e = (struct pz_extent) { id, 1, 1 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_PLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	e = (struct pz_extent) { id, 2 * PZ_MAX_EXTENTS - 3, 100 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_PLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	e = (struct pz_extent) { id, 2 * PZ_MAX_EXTENTS + 200, 100 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_PLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	/* A hole: refused. An end, the whole: not. */
	e = (struct pz_extent) { id, 2 * PZ_MAX_EXTENTS + 210, 10 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_AGAIN);
	e = (struct pz_extent) { id, 2 * PZ_MAX_EXTENTS + 290, 10 };
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	for (i = 0; i < 40; i++)
		sim_converge(&sim, 0);
	assert_true(sim_settled(&sim));
	pz_class_by_id(sim.pool, id, &info);
	assert_int_equal(info.plugged, 7000);
	sim_close(&sim);
}

/* 1,000 classes wait for one that goes: they get it in a few requests each. */
static void many_wait(void **state)
{
	struct pz_extent e = { 0, 1, 16000 };
	struct pz_class_info info;
	struct sim sim;
	uint32_t i, steps;
	char name[16];

	(void)state;
	sim_open(&sim, 16384, 16384);
	assert_int_equal(sim_create(sim.pool, "stays", 1, 0, 1, NULL, NULL, NULL), 0);
	assert_int_equal(sim_create(sim.pool, "big", 16000, 0, 16000, NULL, NULL, NULL), 0);
	sim_converge(&sim, 0);
	assert_int_equal(pz_class_destroy(sim.pool, "big", NULL), 0);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(sim_create(sim.pool, name, 16, 0, 16, NULL, NULL, NULL), 0);
	}
	/* Not all of them in the request that gives it back: that would take too long. */
	pz_class_find(sim.pool, "big", &info);
	e.class_id = info.id;
	assert_int_equal(sim_change(&sim, VIRTIO_PZONE_REQ_UNPLUG, &e, 1), VIRTIO_PZONE_RESP_ACK);
	assert_int_equal(sim_status(&sim, 0), VIRTIO_PZONE_OK);
	pz_class_find(sim.pool, name, &info);
	assert_int_equal(info.published, 0);
	for (steps = 0; steps < 2000 && !(sim_settled(&sim) && info.plugged == 16); steps++) {
		sim_converge(&sim, 0);
		pz_class_find(sim.pool, name, &info);
	}
	print_message("# %u rounds\n", steps);
	for (i = 1; i <= 1000; i++) {
		assert_int_equal(pz_class_get(sim.pool, i, &info), 0);
		assert_int_equal(info.plugged, 16);
		assert_int_equal(info.extents, 1);
	}
	sim_close(&sim);
}

/* A shrink by 1 GiB of free memory is one request and one call of the device. */
static void shrink_cost(void **state)
{
	const uint32_t gib = (1ull << 30) / SIM_BLOCK;
	struct sim sim;

	(void)state;
	sim_open(&sim, 4096, 4096);
	assert_int_equal(sim_create(sim.pool, "a", 3 * gib, 0, 4 * gib, NULL, NULL, NULL), 0);
	assert_int_equal(sim_create(sim.pool, "b", gib, 0, gib, NULL, NULL, NULL), 0);
	sim_converge(&sim, 0);
	assert_int_equal(pz_class_resize(sim.pool, "a", 2 * gib, NULL), 0);
	sim_forget_calls(&sim);
	sim.requests = 0;
	sim_converge(&sim, 0);
	assert_true(sim_settled(&sim));
	assert_int_equal(sim.requests, 1);
	assert_int_equal(sim.changes, 1);
	/* Nor does growing by it, whatever its size. */
	assert_int_equal(pz_class_resize(sim.pool, "a", 4 * gib, NULL), 0);
	sim_converge(&sim, 0);
	assert_int_equal(sim.requests, 2);
	assert_int_equal(sim.changes, 1);
	sim_close(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(framing), cmocka_unit_test(most_entries), cmocka_unit_test(queries),
		cmocka_unit_test(change_errors), cmocka_unit_test(statuses), cmocka_unit_test(reports),
		cmocka_unit_test(events),
		cmocka_unit_test(too_many_pieces), cmocka_unit_test(many_wait),
		cmocka_unit_test(shrink_cost),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
