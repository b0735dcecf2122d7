// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * core_fuzz.c: hv/core under a hostile guest, a busy host and broken migration
 * streams, all of them out of one input (libFuzzer; -DREPLAY: a program that runs
 * the files named).
 *
 * The input is a row of steps: one byte says which (enum step), the ones after it
 * are its arguments; where the input ends, zeroes follow until the step is done.
 * Half of the steps pass bytes to the request handler as they are; the other half
 * (STEP_CHANGE, STEP_CONVERGE) know what a sound request looks like, or no fuzzer
 * would ever get past the generation.
 *
 * The device keeps a model of its own: who has each block, and so what is discarded. It
 * is changed by the plug and unplug ops only. Asserted throughout:
 *   - no block is plugged that the wanted layout does not give at that moment to one
 *     class, that is plugged already, or that makes it more than `requested`;
 *   - none is unplugged that is not plugged for that class;
 *   - after each step pz_pool_check() holds, and the core's actual layout is the model.
 *
 * It is built with a low PZ_MAX_EXTENTS and PZ_MAX_WORK, so that a guest reaches them.
 */
#undef NDEBUG
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pz_core.h"
#include "virtio_pzone.h"

#define NR		128
#define BLOCK_BYTES	(2ull << 20)
#define MAX_STEPS	64
#define NOBODY		UINT32_MAX

enum step {
	STEP_RAW,		/* type, nr, room for the reply, bytes */
	STEP_CHANGE,		/* flags, extents */
	STEP_QUERY,		/* type, first, room */
	STEP_CONVERGE,		/* which runs are skipped */
	STEP_REPORT,
	STEP_EVENT,
	STEP_CREATE,		/* name, size, guarantee, limit */
	STEP_SET,
	STEP_RESIZE,
	STEP_DESTROY,
	STEP_RECLAIM,
	STEP_REQUESTED,
	STEP_RELOCATION,
	STEP_RESET,
	STEP_MOOD,		/* busy, what fails */
	STEP_MIGRATE,
	STEP_MIGRATE_BROKEN,	/* changes of bytes */
	STEP_LOAD,		/* all that is left, as it is */
	NR_STEPS
};

struct input {
	const uint8_t *at, *end;
};

struct device {
	struct pz_pool *pool;
	uint32_t owner[NR];	/* NOBODY: discarded */
	uint32_t nr_plugged;
	bool busy;
	uint8_t fails;		/* bits, taken in turns: 1 means that a call fails */
};

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Mostly small; 0xf0 and above stands for the ends of the range. */
static uint32_t number(struct input *in)
{
	uint8_t b = byte(in);

	return b < 0xf0 ? b : UINT32_MAX - (b - 0xf0);
}

/* In order: that of calls in an initializer is the compiler's choice. */
static void numbers(struct input *in, __le32 *ret, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		ret[i] = htole32(number(in));
}

/* --- the device --- */

static bool next_fails(struct device *device)
{
	bool fails = device->fails & 1;

	device->fails = device->fails >> 1 | device->fails << 7;
	return fails;
}

/* To whom does the wanted layout give all of these blocks? */
static uint32_t given_to(const struct pz_pool *pool, uint32_t first, uint32_t nr)
{
	struct pz_extent e;
	uint32_t i;

	for (i = 0; i < pz_pool_wanted(pool, i, &e, 1); i++)
		if (e.first <= first && first + nr <= e.first + e.nr)
			return e.class_id;
	return NOBODY;
}

static int change(struct device *device, uint32_t first, uint32_t nr, bool plug)
{
	const uint32_t owner = plug ? given_to(device->pool, first, nr) : device->owner[first];
	struct pz_pool_info info;
	uint32_t i;

	assert(!device->busy);
	assert(nr && first < NR && nr <= NR - first);
	for (i = first; i < first + nr; i++)
		assert(device->owner[i] == (plug ? NOBODY : owner));
	pz_pool_info(device->pool, &info);
	assert(owner != NOBODY && (!plug || device->nr_plugged + nr <= info.requested));
	if (next_fails(device))
		return next_fails(device) ? -ENOMEM : -EBUSY;
	for (i = first; i < first + nr; i++)
		device->owner[i] = plug ? owner : NOBODY;
	device->nr_plugged += plug ? nr : -nr;
	return 0;
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
	return ((struct device *)opaque)->busy;
}

/* What a device does in these: it looks. */
static void look(struct device *device, uint32_t class_id)
{
	struct pz_class_info class;
	struct pz_pool_info info;

	pz_pool_info(device->pool, &info);
	assert(info.nr_classes < PZ_MAX_CLASSES);
	if (!pz_class_by_id(device->pool, class_id, &class))
		assert(class.id == class_id);
	if (!pz_class_get(device->pool, 0, &class))
		assert(!pz_class_find(device->pool, class.name, &class));
}

static void layout_changed(void *opaque)
{
	look(opaque, 0);
}

static void reported(void *opaque, uint32_t class_id)
{
	look(opaque, class_id);
}

static void event(void *opaque, uint32_t class_id, uint32_t kind, uint32_t wanted)
{
	(void)wanted;
	assert(class_id && kind <= VIRTIO_PZONE_EVENT_OOM);
	look(opaque, class_id);
}

static const struct pz_ops ops = { plug, unplug, busy, layout_changed, reported, event };

static struct pz_pool *new_pool(struct device *device, uint32_t requested)
{
	struct pz_pool *pool;

	if (pz_pool_new(NR, BLOCK_BYTES, requested, &ops, device, &pool, NULL))
		abort();
	return pool;
}

static void owners(const struct pz_pool *pool, bool wanted, uint32_t *ret)
{
	struct pz_extent e;
	uint32_t i, b;

	memset(ret, 0xff, NR * sizeof(*ret));
	for (i = 0; i < (wanted ? pz_pool_wanted : pz_pool_actual)(pool, i, &e, 1); i++)
		for (b = e.first; b < e.first + e.nr; b++)
			ret[b] = e.class_id;
}

static void check(const struct device *device)
{
	uint32_t have[NR];

	pz_pool_check(device->pool);
	owners(device->pool, false, have);
	assert(!memcmp(have, device->owner, sizeof(have)));
}

/* --- the guest --- */

/* In buffers of exactly this size, for ASan. */
static void request(struct device *device, const void *from, size_t len, size_t room)
{
	uint8_t *req = malloc(len ? len : 1), *resp = malloc(room ? room : 1);
	struct pz_extent changes[VIRTIO_PZONE_MAX_ENTRIES];
	struct virtio_pzone_resp header;
	uint32_t foreseen;
	bool plugs;
	ssize_t rc;

	if (!req || !resp)
		abort();
	if (len)
		memcpy(req, from, len);
	foreseen = pz_pool_changes(device->pool, req, len, &plugs, changes);
	rc = pz_pool_handle_request(device->pool, req, len, resp, room);
	if (room < sizeof(header)) {
		assert(rc == -EINVAL);
	} else {
		assert(rc >= (ssize_t)sizeof(header) && rc <= (ssize_t)room);
		memcpy(&header, resp, sizeof(header));
		assert(le16toh(header.type) <= VIRTIO_PZONE_RESP_ERROR && !header.reserved);
		assert(header.type == VIRTIO_PZONE_RESP_ACK || !header.nr);
		/* NACK: the planner went on meanwhile. */
		if (foreseen && room >= sizeof(header) + 4 * foreseen)
			assert(le16toh(header.type) == VIRTIO_PZONE_RESP_NACK ||
			       le16toh(header.nr) == foreseen);
		assert(le16toh(header.nr) <= VIRTIO_PZONE_MAX_ENTRIES);
		assert(rc == (ssize_t)sizeof(header) || header.nr);
	}
	free(req);
	free(resp);
}

static struct virtio_pzone_req head(const struct device *device, uint16_t type, uint16_t nr)
{
	struct pz_pool_info info;

	pz_pool_info(device->pool, &info);
	return (struct virtio_pzone_req) {
		.type = htole16(type), .nr = htole16(nr), .generation = htole32(info.generation),
	};
}

static void step_raw(struct device *device, struct input *in)
{
	size_t len = byte(in), room = byte(in) * 4, left = in->end - in->at;

	if (len > left)
		len = left;
	request(device, in->at, len, room);
	in->at += len;
}

static void step_change(struct device *device, struct input *in)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_extent e[32]; } r;
	uint8_t flags = byte(in);
	uint32_t nr = flags & 7, i;

	if (nr == 7)
		nr = 32;
	r.h = head(device, flags & 8 ? VIRTIO_PZONE_REQ_PLUG : VIRTIO_PZONE_REQ_UNPLUG, nr);
	if ((flags & 0xf0) == 0x10)
		r.h.generation = htole32(le32toh(r.h.generation) + number(in));
	if ((flags & 0xf0) == 0x20)
		r.h.first = htole32(number(in));
	for (i = 0; i < nr; i++) {
		__le32 v[4] = { 0 };

		numbers(in, v, (flags & 0xf0) == 0x30 ? 4 : 3);
		r.e[i] = (struct virtio_pzone_extent) { v[0], v[1], v[2], v[3] };
	}
	request(device, &r, sizeof(r.h) + nr * sizeof(r.e[0]),
		sizeof(struct virtio_pzone_resp) + nr * 4 - ((flags & 0xf0) == 0x40));
}

static void step_query(struct device *device, struct input *in)
{
	struct virtio_pzone_req h = head(device, byte(in) % 3, 0);

	h.first = htole32(number(in));
	request(device, &h, sizeof(h), byte(in) * 2);
}

/* Send what differs between the layouts, run by run, except where a bit says no. */
static void converge(struct device *device, bool plugging, bool memmap, uint32_t skip)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_extent e[NR]; } r;
	uint32_t want[NR], have[NR], nr = 0, i, end, runs = 0;

	owners(device->pool, true, want);
	owners(device->pool, false, have);
	for (i = 0; i < NR; i = end) {
		uint32_t id = plugging ? want[i] : have[i];

		for (end = i + 1; end < NR && want[end] == want[i] && have[end] == have[i]; end++)
			;
		if (want[i] == have[i] || id == UINT32_MAX || !id != memmap)
			continue;
		if (skip >> (runs++ % 8) & 1) {
			if (!(skip >> (runs % 8) & 1))
				continue;
			end = i + (end - i + 1) / 2;
		}
		r.e[nr++] = (struct virtio_pzone_extent) {
			htole32(id), htole32(i), htole32(end - i), 0
		};
	}
	r.h = head(device, plugging ? VIRTIO_PZONE_REQ_PLUG : VIRTIO_PZONE_REQ_UNPLUG, nr);
	request(device, &r, sizeof(r.h) + nr * sizeof(r.e[0]),
		sizeof(struct virtio_pzone_resp) + nr * 4);
	check(device);
}

static void step_converge(struct device *device, struct input *in)
{
	uint32_t skip = byte(in);
	struct virtio_pzone_req h;

	converge(device, false, false, skip);
	converge(device, true, true, 0);
	converge(device, true, false, skip);
	if (skip & 1)
		return;
	/* Done, it says: the planner may have a class relocated now. */
	h = head(device, VIRTIO_PZONE_REQ_REPORT, 0);
	request(device, &h, sizeof(h), sizeof(struct virtio_pzone_resp));
}

static void step_report(struct device *device, struct input *in)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_report r[3]; } r = { 0 };
	uint32_t nr = byte(in) & 3, i;

	r.h = head(device, VIRTIO_PZONE_REQ_REPORT, nr);
	for (i = 0; i < nr; i++) {
		r.r[i].class_id = htole32(number(in));
		r.r[i].state = htole32(number(in));
		r.r[i].oom_kills = htole64(number(in));
	}
	request(device, &r, sizeof(r.h) + nr * sizeof(r.r[0]), sizeof(struct virtio_pzone_resp));
}

static void step_event(struct device *device, struct input *in)
{
	struct { struct virtio_pzone_req h; struct virtio_pzone_event e[3]; } r = { 0 };
	uint32_t nr = byte(in) & 3, i;

	r.h = head(device, VIRTIO_PZONE_REQ_EVENT, nr);
	for (i = 0; i < nr; i++) {
		__le32 v[3];

		numbers(in, v, 3);
		r.e[i] = (struct virtio_pzone_event) { v[0], v[1], v[2], 0 };
	}
	request(device, &r, sizeof(r.h) + nr * sizeof(r.e[0]), sizeof(struct virtio_pzone_resp));
}

/* --- the host --- */

static const char *name(struct input *in, char buf[48])
{
	uint8_t b = byte(in);
	uint32_t i;

	if (b < 0xf0) {
		snprintf(buf, 48, "c%u", b % 12);
	} else {		/* as it comes */
		for (i = 0; i < 3 * (b & 15u); i++)
			buf[i] = byte(in);
		buf[i] = 0;
	}
	return buf;
}

static const char *cookie(struct input *in, char buf[PZ_COOKIE_MAX + 8])
{
	uint32_t len = byte(in) % (PZ_COOKIE_MAX + 8);

	if (!len)
		return NULL;
	memset(buf, 'k', len - 1);
	buf[len - 1] = 0;
	return buf;
}

static void host(struct device *device, enum step step, struct input *in)
{
	struct pz_pool_info before, after;
	struct pz_error err = { "" };
	char n[48], c[PZ_COOKIE_MAX + 8];
	uint32_t v[3], align = 1, id = 0;
	int rc = 0;

	pz_pool_info(device->pool, &before);
	if (step != STEP_REQUESTED)
		name(in, n);
	v[0] = v[1] = v[2] = 0;
	if (step != STEP_DESTROY)
		v[0] = number(in);
	if (step == STEP_CREATE)
		align = 1u << byte(in) % 8;
	if (step == STEP_CREATE || step == STEP_SET) {
		v[1] = number(in);
		v[2] = number(in);
	}
	if (step == STEP_CREATE)
		rc = pz_class_create(device->pool, &(struct pz_class_spec) {
			.name = n, .size = v[0], .guarantee = v[1], .limit = v[2],
			.align = align, .cookie = cookie(in, c)
		}, &id, &err);
	else if (step == STEP_SET)
		rc = pz_class_set(device->pool, n, v[0], v[1], v[2], cookie(in, c), &err);
	else if (step == STEP_RESIZE)
		rc = pz_class_resize(device->pool, n, v[0], &err);
	else if (step == STEP_DESTROY)
		rc = pz_class_destroy(device->pool, n, &err);
	else if (step == STEP_RECLAIM)
		rc = pz_class_reclaim(device->pool, n, v[0], &err);
	else
		rc = pz_pool_set_requested(device->pool, v[0], &err);
	assert(rc <= 0 && !rc == !*err.msg);
	pz_pool_info(device->pool, &after);
	if (rc)		/* and nothing has changed */
		assert(before.generation == after.generation && before.allocated == after.allocated &&
		       before.requested == after.requested);
}

static void migrate(struct device *device, struct input *in, bool broken)
{
	struct pz_error err = { "" };
	uint8_t *buf, *again;
	struct pz_pool *to;
	uint32_t i, nr;
	size_t len, again_len;

	if (pz_pool_save(device->pool, &buf, &len))
		abort();
	for (nr = broken ? 1 + byte(in) % 8 : 0; nr; nr--) {
		size_t at = byte(in);

		at = (at | byte(in) << 8) % len;
		buf[at] ^= byte(in);
	}
	to = new_pool(device, byte(in) % (NR + 1));
	if (pz_pool_load(to, buf, len, &err)) {
		assert(broken && *err.msg);
		pz_pool_check(to);
		pz_pool_free(to);
		free(buf);
		return;
	}
	pz_pool_free(device->pool);
	device->pool = to;
	if (!broken) {
		if (pz_pool_save(to, &again, &again_len))
			abort();
		assert(len == again_len && !memcmp(buf, again, len));
		free(again);
	}
	/* A device plugs what the stream says. */
	owners(to, false, device->owner);
	for (i = 0, device->nr_plugged = 0; i < NR; i++)
		device->nr_plugged += device->owner[i] != NOBODY;
	free(buf);
}

static void load(struct device *device, struct input *in)
{
	struct pz_pool *to = new_pool(device, NR);
	size_t len = in->end - in->at;
	uint8_t *buf = malloc(len ? len : 1);

	if (!buf)
		abort();
	if (len)
		memcpy(buf, in->at, len);
	in->at = in->end;
	pz_pool_load(to, buf, len, NULL);
	pz_pool_check(to);
	pz_pool_free(to);
	free(buf);
}

static void run(struct device *device, struct input *in)
{
	enum step step = byte(in) % NR_STEPS;

	switch (step) {
	case STEP_RAW:
		return step_raw(device, in);
	case STEP_CHANGE:
		return step_change(device, in);
	case STEP_QUERY:
		return step_query(device, in);
	case STEP_CONVERGE:
		return step_converge(device, in);
	case STEP_REPORT:
		return step_report(device, in);
	case STEP_EVENT:
		return step_event(device, in);
	case STEP_RELOCATION:
		return pz_pool_set_relocation(device->pool, byte(in) & 1);
	case STEP_RESET:
		memset(device->owner, 0xff, sizeof(device->owner));
		device->nr_plugged = 0;
		return pz_pool_all_unplugged(device->pool);
	case STEP_MOOD:
		device->busy = byte(in) & 1;
		device->fails = byte(in);
		return;
	case STEP_MIGRATE:
	case STEP_MIGRATE_BROKEN:
		return migrate(device, in, step == STEP_MIGRATE_BROKEN);
	case STEP_LOAD:
		return load(device, in);
	default:
		return host(device, step, in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = { data, data + len };
	struct device device = { 0 };
	int i;

	memset(device.owner, 0xff, sizeof(device.owner));
	device.pool = new_pool(&device, NR);
	for (i = 0; i < MAX_STEPS && in.at < in.end; i++) {
		run(&device, &in);
		check(&device);
	}
	pz_pool_free(device.pool);
	return 0;
}

#ifdef REPLAY
int main(int argc, char **argv)
{
	static uint8_t buf[1 << 20];
	int i;

	for (i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t len;

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		len = fread(buf, 1, sizeof(buf), f);
		fclose(f);
		LLVMFuzzerTestOneInput(buf, len);
		printf("%s: %zu bytes, nothing found\n", argv[i], len);
	}
	return 0;
}
#endif
