// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * core_bench.c: what each call and request of hv/core costs in a large pool: 1 TiB
 * in 2 MiB blocks, 1,023 classes. First with a guest whose classes are one extent each;
 * then with guests that have cut their memory into as many pieces as they may
 * (PZ_MAX_EXTENTS) and make the host lay out others in the gaps; then with all classes
 * waiting for what one gives back; then with classes that are brought together. The guests obey or refuse; what the device does beside
 * the core (discards, interrupts) is not in it. Median and worst; a table, not a test: on
 * a busy machine the worst one also shows who else was running.
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
#define NOBODY		UINT32_MAX	/* owner of a block that nobody has */

static struct pz_pool *pool;
static uint64_t *samples, slowest_ns;
static uint32_t runs, room;

static uint64_t now_ns(void)
{
	struct timespec t;

	/* of this thread: the machine may have other work */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void sample(uint64_t ns)
{
	if (runs == room) {
		room = room ? 2 * room : 1024;
		samples = realloc(samples, room * sizeof(*samples));
		if (!samples)
			abort();
	}
	samples[runs++] = ns;
}

#define TIME(what) do { \
	uint64_t from = now_ns(); \
	what; \
	sample(now_ns() - from); \
} while (0)

static int compare_ns(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Print what was measured since the last one; without a title: forget it. */
static void row(const char *title)
{
	if (title && runs) {
		qsort(samples, runs, sizeof(*samples), compare_ns);
		printf("%-52s %8u %12.1f %12.1f\n", title, runs, samples[runs / 2] / 1e3,
		       samples[runs - 1] / 1e3);
		if (samples[runs - 1] > slowest_ns)
			slowest_ns = samples[runs - 1];
	}
	runs = 0;
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

#define MOST		(PZ_MAX_EXTENTS / ENTRIES * ENTRIES)
#define MEMMAP		pz_memmap_blocks(NR_BLOCKS, 2 << 20)
#define STRIDE		((NR_BLOCKS - MEMMAP) / (PZ_MAX_EXTENTS - 1))

static void plug_memmap(void)
{
	struct virtio_pzone_extent e = { 0, htole32(NR_BLOCKS - MEMMAP), htole32(MEMMAP), 0 };

	request(VIRTIO_PZONE_REQ_PLUG, 0, &e, 1, false);
}

/* A block of class `id` in each stride from `first` on, 256 in one request. */
static void pieces(uint16_t type, uint32_t id, uint32_t first, uint32_t nr, const char *title)
{
	struct virtio_pzone_extent e[ENTRIES];
	uint32_t i, n = 0;

	for (i = 0; i < nr; i++) {
		e[n++] = (struct virtio_pzone_extent) {
			htole32(id), htole32((first + i) * STRIDE), htole32(1), 0
		};
		if (n == ENTRIES) {
			request(type, 0, e, n, true);
			n = 0;
		}
	}
	row(title);
}

/* All that looks, and that changes nothing. */
static void queries(void)
{
	struct pz_extent *all = calloc(PZ_MAX_EXTENTS, sizeof(*all));
	struct pz_class_info info;
	struct pz_pool_info pi;
	uint32_t i, first;
	uint8_t *state;
	size_t len;
	int rc;

	for (first = 0; first < PZ_MAX_EXTENTS; first += ENTRIES)
		request(VIRTIO_PZONE_REQ_LAYOUT, first, NULL, 0, true);
	row("LAYOUT, 256 extents");
	for (first = 0; first < PZ_MAX_EXTENTS; first += ENTRIES)
		request(VIRTIO_PZONE_REQ_STATE, first, NULL, 0, true);
	row("STATE, 256 extents");
	for (first = 0; first < CLASSES + 1; first += ENTRIES)
		request(VIRTIO_PZONE_REQ_CLASSES, first, NULL, 0, true);
	row("CLASSES, 256 classes");
	for (i = 0; i < CLASSES; i++)
		TIME(pz_class_get(pool, i, &info));
	row("look at a class");
	for (i = 0; i < 100; i++)
		TIME(pz_pool_info(pool, &pi));
	row("look at the pool");
	for (i = 0; i < 100; i++)
		TIME(pz_pool_wanted(pool, 0, all, PZ_MAX_EXTENTS));
	row("copy the wanted layout");
	for (i = 0; i < 20; i++)
		request(VIRTIO_PZONE_REQ_REPORT, 0, NULL, 0, true);
	row("REPORT of the current generation");
	for (i = 0; i < 20; i++) {
		TIME(rc = pz_pool_save(pool, &state, &len));
		must(!rc, "save");
		free(state);
	}
	row("save (migration)");
	must(!pz_pool_save(pool, &state, &len), "save");
	for (i = 0; i < 20; i++) {
		TIME(rc = pz_pool_load(pool, state, len, NULL));
		must(!rc, "load");
	}
	row("load (migration)");
	free(state);
	free(all);
}

static void good_guest(void)
{
	struct pz_class_info info;
	uint32_t i;
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
	for (i = 0; i < CLASSES; i++) {
		TIME(rc = pz_class_find(pool, name(i), &info));
		must(!rc && info.extents == 1, "one extent each");
	}
	row("find a class by name");
	queries();
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
	TIME(pz_pool_all_unplugged(pool));
	row("reset");
}

/* The guest has as many pieces of one class as it may, evenly spread, and holds on to
 * them; then 1,022 others are laid out in what is left, in as many pieces. */
static void scattered(void)
{
	const uint32_t most = NR_BLOCKS - MEMMAP;
	uint32_t id, i;
	int rc;

	must(!create("bad", most, most, &id), "create");
	plug_memmap();
	pieces(VIRTIO_PZONE_REQ_PLUG, id, 0, MOST - ENTRIES, "PLUG, 256 single blocks");
	pieces(VIRTIO_PZONE_REQ_PLUG, id, MOST - ENTRIES, ENTRIES, "PLUG, 256 single blocks, up to the limit");
	TIME(rc = pz_class_resize(pool, "bad", 0, NULL));
	must(!rc, "shrink");
	row("shrink a class of 3,071 pieces to nothing");
	TIME(rc = pz_class_resize(pool, "bad", most, NULL));
	must(!rc, "grow");
	row("grow it again around 3,071 pieces");
	must(!pz_class_resize(pool, "bad", 0, NULL), "shrink");
	for (i = 0; i < CLASSES - 1; i++) {
		TIME(rc = create(name(i), 350, 450, NULL));
		must(!rc, "create");
	}
	row("create, of 3 pieces");
	for (i = 0; i < CLASSES - 1; i++) {
		TIME(rc = pz_class_resize(pool, name(i), 100, NULL));
		must(!rc, "shrink");
	}
	row("shrink");
	for (i = 0; i < CLASSES - 1; i++) {
		TIME(rc = pz_class_resize(pool, name(i), 450, NULL));
		must(!rc, "grow");
	}
	row("grow, by 3 pieces");
	queries();
	pieces(VIRTIO_PZONE_REQ_UNPLUG, id, 0, MOST - ENTRIES, "UNPLUG, 256 single blocks");
	for (i = 0; i < CLASSES - 1; i++) {
		TIME(rc = pz_class_destroy(pool, name(i), NULL));
		must(!rc, "destroy");
	}
	row("destroy");
	TIME(pz_pool_all_unplugged(pool));
	row("reset");
}

/* 1,022 classes wait for what the guest holds, and get it all at once; the guest has
 * cut the rest into pieces (or not). */
static void waiting(uint32_t nr_pieces)
{
	const uint32_t size = 200, all = size * (CLASSES - 1), most = NR_BLOCKS - MEMMAP;
	const uint32_t at = nr_pieces * STRIDE;
	struct virtio_pzone_extent e;
	struct pz_class_info last;
	uint32_t id, i;
	int rc;

	must(!create("bad", most, most, &id), "create");
	plug_memmap();
	pieces(VIRTIO_PZONE_REQ_PLUG, id, 0, nr_pieces, NULL);
	e = (struct virtio_pzone_extent) { htole32(id), htole32(at), htole32(all), 0 };
	request(VIRTIO_PZONE_REQ_PLUG, 0, &e, 1, false);
	must(!pz_class_resize(pool, "bad", 0, NULL), "shrink");
	must(!pz_pool_set_requested(pool, MEMMAP + all + nr_pieces, NULL), "requested");
	for (i = 0; i < CLASSES - 1; i++) {
		TIME(rc = create(name(i), size, size, NULL));
		must(!rc, "create");
	}
	row("create, with nothing left to take");
	request(VIRTIO_PZONE_REQ_UNPLUG, 0, &e, 1, true);
	row("UNPLUG of what 1,022 classes wait for");
	for (i = 0; i < 2 * CLASSES; i++) {
		request(VIRTIO_PZONE_REQ_LAYOUT, 0, NULL, 0, true);
		pz_class_find(pool, name(CLASSES - 2), &last);
		if (last.published)
			break;
	}
	row("requests until all have their places");
	pieces(VIRTIO_PZONE_REQ_UNPLUG, id, 0, nr_pieces, nr_pieces ? "UNPLUG, 256 single blocks" : NULL);
}

/* Send what makes `todo` of `other`, block by block the owners of two layouts. */
static void send_difference(uint16_t type, const uint32_t *todo, const uint32_t *other)
{
	struct virtio_pzone_extent e[ENTRIES];
	uint32_t n = 0, first, end;

	for (first = 0; first < NR_BLOCKS; first = end) {
		end = first + 1;
		if (todo[first] == NOBODY || todo[first] == other[first])
			continue;
		while (end < NR_BLOCKS && todo[end] == todo[first] && other[end] != todo[first])
			end++;
		e[n++] = (struct virtio_pzone_extent) {
			htole32(todo[first]), htole32(first), htole32(end - first), 0
		};
		if (n == ENTRIES) {
			request(type, 0, e, n, false);
			n = 0;
		}
	}
	if (n)
		request(type, 0, e, n, false);
}

static void owners(uint32_t *ret, uint32_t (*get)(const struct pz_pool *, uint32_t,
						  struct pz_extent *, uint32_t))
{
	static struct pz_extent all[PZ_MAX_EXTENTS];
	uint32_t nr = get(pool, 0, all, PZ_MAX_EXTENTS), i, j;

	memset(ret, 0xff, NR_BLOCKS * sizeof(*ret));
	for (i = 0; i < nr; i++)
		for (j = 0; j < all[i].nr; j++)
			ret[all[i].first + j] = all[i].class_id;
}

static uint32_t wanted[NR_BLOCKS], actual[NR_BLOCKS];

static void unplug_unwanted(void)
{
	owners(wanted, pz_pool_wanted);
	owners(actual, pz_pool_actual);
	send_difference(VIRTIO_PZONE_REQ_UNPLUG, actual, wanted);
}

static void plug_wanted(void)
{
	owners(wanted, pz_pool_wanted);
	owners(actual, pz_pool_actual);
	send_difference(VIRTIO_PZONE_REQ_PLUG, wanted, actual);
}

/* A guest that follows. */
static void follow(void)
{
	unplug_unwanted();
	plug_wanted();
}

/* Classes of two pieces with a block between them, which is free now: each is brought
 * together, one after the other. */
static void relocating(void)
{
	const uint32_t nr_classes = 511, nr_pieces = 1024, most = NR_BLOCKS - MEMMAP;
	struct pz_class_info info;
	uint32_t id, i, in_one = 0;

	must(!create("bad", most, most, &id), "create");
	plug_memmap();
	for (i = 0; i < nr_pieces; i++) {
		struct virtio_pzone_extent e = {
			htole32(id), htole32((i + 1) * (most / (nr_pieces + 1))), htole32(1), 0
		};

		request(VIRTIO_PZONE_REQ_PLUG, 0, &e, 1, false);
	}
	must(!pz_class_resize(pool, "bad", 0, NULL), "shrink");
	for (i = 0; i < nr_classes; i++)
		must(!create(name(i), 700, 700, NULL), "create");
	must(!pz_class_destroy(pool, "bad", NULL), "destroy");
	plug_wanted();
	unplug_unwanted();
	must(!pz_class_find(pool, name(1), &info) && info.extents > 1, "a class in pieces");
	for (i = 0; i < 4 * nr_classes; i++) {
		request(VIRTIO_PZONE_REQ_REPORT, 0, NULL, 0, true);
		follow();
	}
	row("REPORT that takes a relocation on");
	for (i = 0; i < nr_classes; i++)
		in_one += !pz_class_find(pool, name(i), &info) && info.extents == 1;
	must(in_one == nr_classes, "bringing all classes together");
}

/* Classes in pieces that fit nowhere as one: what looking in vain costs. */
static void nowhere(void)
{
	const uint32_t small = 250, nr_small = CLASSES - 1, left = 100;
	struct pz_class_info info;
	uint32_t i;

	for (i = 0; i < nr_small; i++)
		must(!create(name(i), small, small, NULL), "create");
	i = NR_BLOCKS - MEMMAP - nr_small * small - left;
	must(!create("rest", i, i, NULL), "create");
	plug_memmap();
	follow();
	for (i = 0; i < nr_small; i += 2)
		must(!pz_class_destroy(pool, name(i), NULL), "destroy");
	follow();
	for (i = 0; i < nr_small / 4; i++)
		must(!create(name(2 * i), 2 * small, 2 * small, NULL), "create");
	follow();
	must(!pz_class_find(pool, name(2), &info) && info.extents > 1, "a class in pieces");
	for (i = 0; i < 300; i++)
		request(VIRTIO_PZONE_REQ_REPORT, 0, NULL, 0, true);
	row("REPORT that looks for a relocation in vain");
}

static void with_pool(void (*run)(void), const char *title)
{
	printf("\n%-52s %8s %12s %12s\n", title, "runs", "median us", "worst us");
	must(!pz_pool_new(NR_BLOCKS, 2 << 20, NR_BLOCKS, NULL, NULL, &pool, NULL), "new");
	run();
	pool = pz_pool_free(pool);
}

static void waiting_in_one(void)
{
	waiting(0);
}

static void waiting_in_pieces(void)
{
	waiting(7 * ENTRIES);
}

int main(void)
{
	printf("1 TiB of 2 MiB blocks, 1,023 classes; CPU time of the calling thread\n");
	with_pool(good_guest, "one extent per class");
	with_pool(waiting_in_one, "all classes wait for one extent");
	with_pool(scattered, "as many pieces as a guest may have");
	with_pool(waiting_in_pieces, "all classes wait, among 1,792 pieces");
	with_pool(relocating, "511 classes in pieces, brought together");
	with_pool(nowhere, "255 classes in pieces that fit nowhere as one");
	printf("\nslowest call: %.0f us\n", slowest_ns / 1e3);
	return 0;
}
