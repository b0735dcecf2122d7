// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * request.c: the guest's requests. Everything in here may come from a guest that
 * lies: a request is measured, then checked as a whole by the validate_*() of its
 * type, and only then acted on. Work is bounded by VIRTIO_PZONE_MAX_ENTRIES and
 * by the number of extents there are.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pz_internal.h"
#include "virtio_pzone.h"

/* A request being handled: host byte order, sizes known to be right. */
struct request {
	uint16_t type;
	uint16_t nr;
	uint32_t generation;
	uint32_t first;
	const uint8_t *entries;
	uint8_t *reply;			/* behind the reply's header */
	size_t reply_room;		/* bytes there */
};

/* What goes into the reply's header. */
struct reply {
	uint16_t type;
	uint16_t nr;
	uint32_t total;
};

static struct virtio_pzone_extent get_extent(const struct request *request, uint32_t i)
{
	struct virtio_pzone_extent e;

	memcpy(&e, request->entries + i * sizeof(e), sizeof(e));
	e.class_id = le32toh(e.class_id);
	e.first_block = le32toh(e.first_block);
	e.nr_blocks = le32toh(e.nr_blocks);
	return e;
}

/* --- queries --- */

static bool validate_query(const struct request *request)
{
	return !request->nr;
}

/* How many entries of this size are asked for and fit. */
static uint32_t page(const struct request *request, uint32_t total, size_t entry_size)
{
	uint32_t n = request->first < total ? total - request->first : 0;

	if (n > VIRTIO_PZONE_MAX_ENTRIES)
		n = VIRTIO_PZONE_MAX_ENTRIES;
	if (n > request->reply_room / entry_size)
		n = request->reply_room / entry_size;
	return n;
}

static void put_class(const struct pz_class *class, uint8_t *to)
{
	struct virtio_pzone_class c = {
		.id = htole32(class->id),
		.flags = htole32(class->dying ? VIRTIO_PZONE_CLASS_F_DYING : 0),
		.wanted_blocks = htole32(class->size),
		.guarantee_blocks = htole32(class->guarantee),
		.limit_blocks = htole32(class->limit),
		.reclaim_seq = htole32(class->reclaim_seq),
		.reclaim_bytes = htole64(class->reclaim_bytes),
	};

	memcpy(c.name, class->name, strlen(class->name));
	memcpy(to, &c, sizeof(c));
}

/* memmap is the class with index 0. */
static struct reply query_classes(struct pz_pool *pool, const struct request *request)
{
	uint32_t total = pool->nr_classes + 1, n, i;

	n = page(request, total, sizeof(struct virtio_pzone_class));
	for (i = 0; i < n; i++) {
		uint32_t index = request->first + i;

		put_class(index ? &pool->classes[index - 1] : &pool->memmap,
			  request->reply + i * sizeof(struct virtio_pzone_class));
	}
	return (struct reply) { VIRTIO_PZONE_RESP_ACK, n, total };
}

static struct reply query_map(const struct pz_map *map, const struct request *request)
{
	uint32_t n = page(request, map->nr, sizeof(struct virtio_pzone_extent)), i;

	for (i = 0; i < n; i++) {
		const struct pz_extent *from = &map->e[request->first + i];
		struct virtio_pzone_extent e = {
			.class_id = htole32(from->class_id),
			.first_block = htole32(from->first),
			.nr_blocks = htole32(from->nr),
		};

		memcpy(request->reply + i * sizeof(e), &e, sizeof(e));
	}
	return (struct reply) { VIRTIO_PZONE_RESP_ACK, n, map->nr };
}

/* --- PLUG and UNPLUG --- */

static uint32_t min_blocks(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Is nothing plugged but the memory map? */
static bool only_memmap(const struct pz_pool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->nr_classes; i++)
		if (pool->classes[i].plugged)
			return false;
	return true;
}

/* True: the request may be carried out. Else *ret_type is the answer. */
static bool validate_change(struct pz_pool *pool, const struct request *request, bool plug,
			    uint16_t *ret_type)
{
	uint32_t i, j;

	*ret_type = VIRTIO_PZONE_RESP_ERROR;
	if (!request->nr || request->first ||
	    request->reply_room < request->nr * sizeof(uint32_t))
		return false;
	/* Before the extents are looked at: they are right only in their layout. */
	if (request->generation != pool->generation) {
		*ret_type = VIRTIO_PZONE_RESP_NACK;
		return false;
	}
	for (i = 0; i < request->nr; i++) {
		struct virtio_pzone_extent e = get_extent(request, i);
		const struct pz_class *class = pz_class_id(pool, e.class_id);

		if (!class || e.reserved || !e.nr_blocks || e.first_block >= pool->nr_blocks ||
		    e.nr_blocks > pool->nr_blocks - e.first_block)
			return false;
		for (j = 0; j < i; j++) {
			struct virtio_pzone_extent f = get_extent(request, j);

			if (e.first_block < f.first_block + f.nr_blocks &&
			    f.first_block < e.first_block + e.nr_blocks)
				return false;
		}
		if (!plug) {
			if (!pz_map_covers(&pool->actual, e.class_id, e.first_block, e.nr_blocks))
				return false;
			/* The memory map goes last. */
			if (class == &pool->memmap && !only_memmap(pool))
				return false;
			continue;
		}
		if (!pz_map_covers(&pool->wanted, e.class_id, e.first_block, e.nr_blocks) ||
		    !pz_map_empty(&pool->actual, e.first_block, e.nr_blocks))
			return false;
		/* The memory map comes first. */
		if (class != &pool->memmap && pool->memmap.plugged != pool->memmap_blocks)
			return false;
	}
	if (pool->ops && pool->ops->busy && pool->ops->busy(pool->opaque)) {
		*ret_type = VIRTIO_PZONE_RESP_BUSY;
		return false;
	}
	return true;
}

/* What a request has done so far; the layout itself follows at its end. */
struct progress {
	uint32_t plugged, extents;	/* of the pool; extents: at most */
};

static uint32_t change_extent(struct pz_pool *pool, const struct virtio_pzone_extent *e, bool plug,
			      struct progress *progress)
{
	const uint32_t plugged = progress->plugged;
	int more = plug ? pz_map_join(&pool->actual, e->class_id, e->first_block, e->nr_blocks) :
		   pz_map_split(&pool->actual, e->first_block, e->nr_blocks);
	int rc = 0;

	/* A guest can't cut its memory into so many pieces that it costs the host. */
	if (more > 0 && progress->extents >= PZ_MAX_EXTENTS)
		return VIRTIO_PZONE_AGAIN;

	/* After `requested` went down the guest has to give back first. */
	if (plug && e->nr_blocks > pool->requested - min_blocks(plugged, pool->requested))
		return VIRTIO_PZONE_AGAIN;
	if (pool->ops && plug && pool->ops->plug)
		rc = pool->ops->plug(pool->opaque, e->first_block, e->nr_blocks);
	if (pool->ops && !plug && pool->ops->unplug)
		rc = pool->ops->unplug(pool->opaque, e->first_block, e->nr_blocks);
	if (rc)
		return rc == -ENOMEM ? VIRTIO_PZONE_NOMEM : VIRTIO_PZONE_AGAIN;
	progress->extents += more;
	progress->plugged += plug ? e->nr_blocks : -e->nr_blocks;
	return VIRTIO_PZONE_OK;
}

static int compare_first(const void *a, const void *b)
{
	const struct pz_extent *x = a, *y = b;

	return x->first < y->first ? -1 : 1;
}

/* Carry out each extent; the books are brought up to date for all of them at
 * once, which must not fail: room is made before anything is done. */
static struct reply change(struct pz_pool *pool, const struct request *request, bool plug)
{
	struct pz_extent done[VIRTIO_PZONE_MAX_ENTRIES];
	struct pz_map edits = { .e = done };
	struct progress progress = { pz_pool_plugged(pool), pool->actual.nr };
	uint32_t i, status, last = PZ_NOBODY;
	struct reply reply = { 0 };

	if (!validate_change(pool, request, plug, &reply.type))
		return reply;
	if (pz_map_prepare(&pool->actual, request->nr))
		return (struct reply) { VIRTIO_PZONE_RESP_BUSY, 0, 0 };
	for (i = 0; i < request->nr; i++) {
		struct virtio_pzone_extent e = get_extent(request, i);

		status = change_extent(pool, &e, plug, &progress);
		if (status == VIRTIO_PZONE_OK) {
			struct pz_class *class = pz_class_id(pool, e.class_id);

			class->plugged += plug ? e.nr_blocks : -e.nr_blocks;
			done[edits.nr++] = (struct pz_extent) {
				plug ? e.class_id : PZ_EMPTY, e.first_block, e.nr_blocks
			};
		}
		status = htole32(status);
		memcpy(request->reply + i * sizeof(status), &status, sizeof(status));
	}
	qsort(done, edits.nr, sizeof(*done), compare_first);
	pz_map_apply(&pool->actual, &edits);
	/* What was given back may be what another class waits for. */
	if (!plug)
		pz_pool_replan(pool, false);
	for (i = 0; pool->ops && pool->ops->reported && i < request->nr; i++) {
		uint32_t id = get_extent(request, i).class_id;

		if (id != last)
			pool->ops->reported(pool->opaque, id);
		last = id;
	}
	if (!plug)
		pz_pool_forget(pool);
	return (struct reply) { VIRTIO_PZONE_RESP_ACK, request->nr, 0 };
}

/* --- REPORT and EVENT --- */

static struct virtio_pzone_report get_report(const struct request *request, uint32_t i)
{
	struct virtio_pzone_report r;

	memcpy(&r, request->entries + i * sizeof(r), sizeof(r));
	return r;
}

static bool validate_report(const struct request *request)
{
	uint32_t i;

	if (request->first)
		return false;
	for (i = 0; i < request->nr; i++) {
		struct virtio_pzone_report r = get_report(request, i);

		if (r.reserved || le32toh(r.state) > VIRTIO_PZONE_STATE_PARTIAL)
			return false;
	}
	return true;
}

/* The figures are the guest's own and are shown as such; nothing relies on them. */
static struct reply report(struct pz_pool *pool, const struct request *request)
{
	uint32_t i;

	if (!validate_report(request))
		return (struct reply) { VIRTIO_PZONE_RESP_ERROR, 0, 0 };
	pool->guest_generation = request->generation;
	for (i = 0; i < request->nr; i++) {
		struct virtio_pzone_report r = get_report(request, i);
		uint32_t id = le32toh(r.class_id);
		struct pz_class *class = pz_class_id(pool, id);

		if (!class)
			continue;	/* it has just gone */
		class->report = (struct pz_report) {
			.valid = true,
			.state = le32toh(r.state),
			.nr_cgroups = le32toh(r.nr_cgroups),
			.stuck_blocks = le32toh(r.stuck_blocks),
			.reclaim_done_seq = le32toh(r.reclaim_done_seq),
			.reclaimed_bytes = le64toh(r.reclaimed_bytes),
			.free_bytes = le64toh(r.free_bytes),
			.anon_bytes = le64toh(r.anon_bytes),
			.file_bytes = le64toh(r.file_bytes),
			.pinned_bytes = le64toh(r.pinned_bytes),
			.refault_pages = le64toh(r.refault_pages),
			.pressure_us = le64toh(r.pressure_us),
			.oom_events = le64toh(r.oom_events),
			.oom_kills = le64toh(r.oom_kills),
		};
		if (pool->ops && pool->ops->reported)
			pool->ops->reported(pool->opaque, id);
	}
	if (pool->ops && pool->ops->reported)
		pool->ops->reported(pool->opaque, VIRTIO_PZONE_CLASS_MEMMAP);
	if (request->generation == pool->generation)
		pz_reloc_reported(pool);
	return (struct reply) { VIRTIO_PZONE_RESP_ACK, 0, 0 };
}

static struct virtio_pzone_event get_event(const struct request *request, uint32_t i)
{
	struct virtio_pzone_event e;

	memcpy(&e, request->entries + i * sizeof(e), sizeof(e));
	return e;
}

static bool validate_event(const struct request *request)
{
	uint32_t i;

	if (!request->nr || request->first)
		return false;
	for (i = 0; i < request->nr; i++) {
		struct virtio_pzone_event e = get_event(request, i);

		if (e.reserved || le32toh(e.class_id) == VIRTIO_PZONE_CLASS_MEMMAP ||
		    le32toh(e.kind) > VIRTIO_PZONE_EVENT_OOM)
			return false;
	}
	return true;
}

static struct reply event(struct pz_pool *pool, const struct request *request)
{
	uint32_t i;

	if (!validate_event(request))
		return (struct reply) { VIRTIO_PZONE_RESP_ERROR, 0, 0 };
	for (i = 0; pool->ops && pool->ops->event && i < request->nr; i++) {
		struct virtio_pzone_event e = get_event(request, i);
		uint32_t id = le32toh(e.class_id);

		if (!pz_class_id(pool, id))
			continue;	/* it has just gone */
		pool->ops->event(pool->opaque, id, le32toh(e.kind), le32toh(e.wanted_blocks));
	}
	return (struct reply) { VIRTIO_PZONE_RESP_ACK, 0, 0 };
}

/* --- all of them --- */

static size_t entry_size(uint16_t type)
{
	switch (type) {
	case VIRTIO_PZONE_REQ_PLUG:
	case VIRTIO_PZONE_REQ_UNPLUG:
		return sizeof(struct virtio_pzone_extent);
	case VIRTIO_PZONE_REQ_REPORT:
		return sizeof(struct virtio_pzone_report);
	case VIRTIO_PZONE_REQ_EVENT:
		return sizeof(struct virtio_pzone_event);
	default:
		return 0;
	}
}

/* Measure: header there, entries as many as it says, no byte more. */
static bool decode(const void *buf, size_t len, struct request *request)
{
	struct virtio_pzone_req req;

	if (len < sizeof(req))
		return false;
	memcpy(&req, buf, sizeof(req));
	request->type = le16toh(req.type);
	request->nr = le16toh(req.nr);
	request->generation = le32toh(req.generation);
	request->first = le32toh(req.first);
	request->entries = (const uint8_t *)buf + sizeof(req);
	return !req.reserved && request->nr <= VIRTIO_PZONE_MAX_ENTRIES &&
	       len - sizeof(req) == request->nr * entry_size(request->type);
}

static struct reply dispatch(struct pz_pool *pool, const struct request *request)
{
	const struct reply error = { VIRTIO_PZONE_RESP_ERROR, 0, 0 };

	switch (request->type) {
	case VIRTIO_PZONE_REQ_CLASSES:
		return validate_query(request) ? query_classes(pool, request) : error;
	case VIRTIO_PZONE_REQ_LAYOUT:
		return validate_query(request) ? query_map(&pool->wanted, request) : error;
	case VIRTIO_PZONE_REQ_STATE:
		return validate_query(request) ? query_map(&pool->actual, request) : error;
	case VIRTIO_PZONE_REQ_PLUG:
		return change(pool, request, true);
	case VIRTIO_PZONE_REQ_UNPLUG:
		return change(pool, request, false);
	case VIRTIO_PZONE_REQ_REPORT:
		return report(pool, request);
	case VIRTIO_PZONE_REQ_EVENT:
		return event(pool, request);
	default:
		return error;
	}
}

/* Bytes of an entry of the reply. */
static size_t reply_size(uint16_t type)
{
	switch (type) {
	case VIRTIO_PZONE_REQ_CLASSES:
		return sizeof(struct virtio_pzone_class);
	case VIRTIO_PZONE_REQ_LAYOUT:
	case VIRTIO_PZONE_REQ_STATE:
		return sizeof(struct virtio_pzone_extent);
	default:
		return sizeof(uint32_t);
	}
}

ssize_t pz_pool_handle_request(struct pz_pool *pool, const void *req, size_t req_len,
			       void *resp, size_t resp_len)
{
	struct reply reply = { VIRTIO_PZONE_RESP_ERROR, 0, 0 };
	struct virtio_pzone_resp header;
	struct request request;

	if (resp_len < sizeof(header))
		return -EINVAL;
	pz_pool_go_on(pool);
	request.reply = (uint8_t *)resp + sizeof(header);
	request.reply_room = resp_len - sizeof(header);
	if (decode(req, req_len, &request))
		reply = dispatch(pool, &request);
	header = (struct virtio_pzone_resp) {
		.type = htole16(reply.type),
		.nr = htole16(reply.nr),
		.generation = htole32(pool->generation),
		.total = htole32(reply.total),
	};
	memcpy(resp, &header, sizeof(header));
	if (!reply.nr)
		return sizeof(header);
	return sizeof(header) + reply.nr * reply_size(request.type);
}

uint32_t pz_pool_changes(struct pz_pool *pool, const void *req, size_t req_len, bool *ret_plug,
			 struct pz_extent *ret)
{
	struct request request = { .reply_room = SIZE_MAX };
	uint16_t type;
	uint32_t i;

	pz_pool_go_on(pool);
	if (!decode(req, req_len, &request) ||
	    (request.type != VIRTIO_PZONE_REQ_PLUG && request.type != VIRTIO_PZONE_REQ_UNPLUG))
		return 0;
	*ret_plug = request.type == VIRTIO_PZONE_REQ_PLUG;
	if (!validate_change(pool, &request, *ret_plug, &type))
		return 0;
	for (i = 0; i < request.nr; i++) {
		struct virtio_pzone_extent e = get_extent(&request, i);

		ret[i] = (struct pz_extent) { e.class_id, e.first_block, e.nr_blocks };
	}
	return request.nr;
}
