// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * core_bench.c: what each call and request of hv/core costs in a large pool: 1 TiB
 * in 2 MiB blocks, 1,023 classes. First with a good guest, whose classes are one
 * extent each; then with one that has cut its memory into single blocks, which is
 * the worst that a guest can do to the host. CPU time; prints a table; not a test.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pz_core.h"
#include "virtio_pzone.h"

#define NR_BLOCKS	(1u << 19)
#define CLASSES		(PZ_MAX_CLASSES - 1)
#define SIZE		400u		/* blocks of a class; its limit is 500 */
#define ENTRIES		VIRTIO_PZONE_MAX_ENTRIES

static struct pz_pool *pool;
static uint64_t total_ns, worst_ns;
static uint32_t runs;

static uint64_t now_ns(void)
{
	struct timespec t;

	/* of this thread: the machine may have other work */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

#define TIME(what) do { \
	uint64_t from = now_ns(), took; \
	what; \
	took = now_ns() - from; \
	total_ns += took; \
	worst_ns = took > worst_ns ? took : worst_ns; \
	runs++; \
} while (0)

static void row(const char *name)
{
	printf("%-52s %8u %12.1f %12.1f\n", name, runs, runs ? total_ns / 1e3 / runs : 0,
	       worst_ns / 1e3);
	total_ns = worst_ns = runs = 0;
}

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "core_bench: %s failed\n", what);
		exit(1);
	}
}

static const char *name(uint32_t i)
{
	static char buf[16];

	snprintf(buf, sizeof(buf), "c%u", i);
	return buf;
}

static int create(const char *class, uint32_t size, uint32_t limit, uint32_t *ret_id)
{
	const struct pz_class_spec spec = { .name = class, .size = size, .limit = limit };

	return pz_class_create(pool, &spec, ret_id, NULL);
}

static uint8_t resp[sizeof(struct virtio_pzone_resp) + ENTRIES * sizeof(struct virtio_pzone_class)];

static struct virtio_pzone_resp request(uint16_t type, uint32_t first,
					const struct virtio_pzone_extent *e, uint32_t nr, bool time)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_extent e[ENTRIES]; } r;
	struct virtio_pzone_resp header;
	struct pz_pool_info info;
	ssize_t rc = 0;

	pz_pool_info(pool, &info);
	r.h = (struct virtio_pzone_req) {
		.type = htole16(type), .nr = htole16(nr), .first = htole32(first),
		.generation = htole32(info.generation),
	};
	if (nr)
		memcpy(r.e, e, nr * sizeof(*e));
	if (time)
		TIME(rc = pz_pool_handle_request(pool, &r, sizeof(r.h) + nr * sizeof(*e), resp, sizeof(resp)));
	else
		rc = pz_pool_handle_request(pool, &r, sizeof(r.h) + nr * sizeof(*e), resp, sizeof(resp));
	must(rc > 0, "request");
	memcpy(&header, resp, sizeof(header));
	must(le16toh(header.type) == VIRTIO_PZONE_RESP_ACK, "request");
	return header;
}

/* Plug what is wanted (and not plugged, if it is one run); memmap first. */
static void plug_all(uint32_t a_time, bool time)
{
	uint32_t nr = pz_pool_wanted(pool, 0, NULL, 0), i, n = 0;
	struct pz_extent *want = calloc(nr, sizeof(*want));
	struct virtio_pzone_extent e[ENTRIES];

	pz_pool_wanted(pool, 0, want, nr);
	for (i = nr - 1; i < nr; i--) {
		e[n++] = (struct virtio_pzone_extent) {
			htole32(want[i].class_id), htole32(want[i].first), htole32(want[i].nr), 0
		};
		if (i == nr - 1 || n == a_time || !i) {
			request(VIRTIO_PZONE_REQ_PLUG, 0, e, n, time && i != nr - 1);
			n = 0;
		}
	}
	free(want);
}

static void unplug_excess(bool time)
{
	uint32_t nr = pz_pool_actual(pool, 0, NULL, 0), i;
	struct pz_extent *have = calloc(nr, sizeof(*have));

	pz_pool_actual(pool, 0, have, nr);
	for (i = 0; i < nr; i++) {
		struct pz_class_info info;
		struct virtio_pzone_extent e;

		pz_class_by_id(pool, have[i].class_id, &info);
		if (info.plugged <= info.published)
			continue;
		e = (struct virtio_pzone_extent) {
			htole32(have[i].class_id),
			htole32(have[i].first + have[i].nr - (info.plugged - info.published)),
			htole32(info.plugged - info.published), 0
		};
		request(VIRTIO_PZONE_REQ_UNPLUG, 0, &e, 1, time);
	}
	free(have);
}

static void good_guest(void)
{
	struct pz_class_info info;
	struct pz_pool_info pi;
	uint8_t *state;
	size_t len;
	uint32_t i, first;
	int rc;

	for (i = 0; i < CLASSES; i++) {
		TIME(rc = create(name(i), SIZE, SIZE + 100, NULL));
		must(!rc, "create");
	}
	row("create (nothing plugged)");
	plug_all(1, true);
	row("PLUG, one extent");
	pz_pool_all_unplugged(pool);
	plug_all(ENTRIES, true);
	row("PLUG, 256 extents");
	for (first = 0; first < CLASSES + 1; first += ENTRIES)
		request(VIRTIO_PZONE_REQ_LAYOUT, first, NULL, 0, true);
	row("LAYOUT, 256 extents");
	for (first = 0; first < CLASSES + 1; first += ENTRIES)
		request(VIRTIO_PZONE_REQ_CLASSES, first, NULL, 0, true);
	row("CLASSES, 256 classes");
	for (i = 0; i < CLASSES; i++) {
		TIME(rc = pz_class_find(pool, name(i), &info));
		must(!rc && info.extents == 1, "one extent each");
	}
	row("look at a class");
	TIME(pz_pool_info(pool, &pi));
	row("look at the pool");
	for (i = 0; i < CLASSES; i++) {
		TIME(rc = pz_class_resize(pool, name(i), SIZE - 100, NULL));
		must(!rc, "shrink");
	}
	row("shrink");
	unplug_excess(true);
	row("UNPLUG, one extent");
	for (i = 0; i < CLASSES; i++) {
		TIME(rc = pz_class_resize(pool, name(i), SIZE + 100, NULL));
		must(!rc, "grow");
	}
	row("grow");
	for (i = 0; i < CLASSES; i++)
		must(!pz_class_resize(pool, name(i), SIZE - 100, NULL), "shrink");
	/* A class that goes and one that comes while all others are plugged. */
	for (i = 0; i < CLASSES; i += 2) {
		TIME(rc = pz_class_destroy(pool, name(i), NULL));
		must(!rc, "destroy");
	}
	row("destroy (still plugged)");
	unplug_excess(true);
	row("UNPLUG, the last of a class");
	for (i = 0; i < CLASSES; i += 2) {
		TIME(rc = create(name(i), SIZE, SIZE + 100, NULL));
		must(!rc, "create");
	}
	row("create (others plugged)");
	for (i = 0; i < CLASSES; i += 2) {
		TIME(rc = pz_class_destroy(pool, name(i), NULL));
		must(!rc, "destroy");
	}
	row("destroy (not plugged yet)");
	TIME(rc = pz_pool_save(pool, &state, &len));
	must(!rc, "save");
	row("save");
	TIME(rc = pz_pool_load(pool, state, len, NULL));
	must(!rc, "load");
	row("load");
	free(state);
	TIME(pz_pool_all_unplugged(pool));
	row("reset");
}

/* One class has half the pool, in single blocks with holes between them; 500
 * others would like to have the rest of it. */
static void bad_guest(void)
{
	const uint32_t most = NR_BLOCKS - pz_memmap_blocks(NR_BLOCKS, 2 << 20) - 1000;
	struct virtio_pzone_extent e[ENTRIES] = {
		{ 0, htole32(NR_BLOCKS - pz_memmap_blocks(NR_BLOCKS, 2 << 20)),
		  htole32(pz_memmap_blocks(NR_BLOCKS, 2 << 20)), 0 }
	};
	uint32_t i, n = 0, id, pieces;
	struct pz_extent at;
	int rc;

	must(!create("bad", most, most, &id), "create");
	pz_pool_wanted(pool, 0, &at, 1);
	request(VIRTIO_PZONE_REQ_PLUG, 0, e, 1, false);
	for (i = 0; i + 1 < most; i += 2) {
		e[n++] = (struct virtio_pzone_extent) {
			htole32(id), htole32(at.first + i), htole32(1), 0
		};
		if (n == ENTRIES) {
			request(VIRTIO_PZONE_REQ_PLUG, 0, e, n, i > most - 40000);
			n = 0;
		}
	}
	row("PLUG, 256 single blocks among 250,000");
	TIME(rc = pz_class_resize(pool, "bad", 1000, NULL));
	must(!rc, "shrink");
	row("shrink a class of 250,000 pieces");
	TIME(rc = pz_class_resize(pool, "bad", most / 2, NULL));
	must(!rc, "grow");
	row("grow it again by 250,000 pieces");
	must(!pz_class_resize(pool, "bad", 1000, NULL), "shrink");
	/* Which has room for the others only as it gives back. */
	must(!pz_pool_set_requested(pool, pz_memmap_blocks(NR_BLOCKS, 2 << 20) + 1000 + 1022 * 100, NULL),
	     "requested");
	for (i = 0; i < CLASSES - 1; i++) {
		TIME(rc = create(name(i), 100, 100, NULL));
		must(!rc, "create");
	}
	row("create, with nothing left to take");
	pieces = pz_pool_actual(pool, 0, NULL, 0);
	for (i = 0, n = 0; i + 1 < most && pieces; i += 2) {
		struct pz_extent have;

		/* from behind: those in front are wanted */
		pz_pool_actual(pool, pieces - 2 - i / 2, &have, 1);
		if (have.class_id != id || i > 160000 * 2)
			break;
		e[n++] = (struct virtio_pzone_extent) {
			htole32(id), htole32(have.first), htole32(1), 0
		};
		if (n == ENTRIES || i == 0) {
			request(VIRTIO_PZONE_REQ_UNPLUG, 0, e, n, i == 0 || i > 155000 * 2);
			pieces = pz_pool_actual(pool, 0, NULL, 0) + i / 2 + 1;
			n = 0;
		}
	}
	row("UNPLUG, 256 of them, while 1,022 classes wait");
}

int main(void)
{
	printf("%-52s %8s %12s %12s\n", "1 TiB of 2 MiB blocks, 1,023 classes", "runs", "mean us", "worst us");
	must(!pz_pool_new(NR_BLOCKS, 2 << 20, NR_BLOCKS, NULL, NULL, &pool, NULL), "new");
	good_guest();
	pz_pool_free(pool);
	printf("\nthe same pool, a guest that cuts its memory into pieces\n");
	must(!pz_pool_new(NR_BLOCKS, 2 << 20, NR_BLOCKS, NULL, NULL, &pool, NULL), "new");
	bad_guest();
	pool = pz_pool_free(pool);
	return 0;
}
