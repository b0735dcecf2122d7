// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * store.c: see store.h.
 */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "store.h"

/* What is left of a text that is being parsed; it need not end in NUL. */
struct cursor {
	const char *at, *end;
};

static bool at_end(const struct cursor *c)
{
	return c->at == c->end;
}

static bool take_char(struct cursor *c, char want)
{
	if (at_end(c) || *c->at != want)
		return false;
	c->at++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len))
		return false;
	c->at += len;
	return true;
}

/* Decimal digits and nothing else: no sign, no blank, no more than max. */
static bool take_number(struct cursor *c, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (at_end(c) || !isdigit((unsigned char)*c->at))
		return false;
	for (; !at_end(c) && isdigit((unsigned char)*c->at); c->at++) {
		unsigned int digit = *c->at - '0';

		if (value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

static bool take_u32(struct cursor *c, uint32_t *ret)
{
	uint64_t value;

	if (!take_number(c, UINT32_MAX, &value))
		return false;
	*ret = value;
	return true;
}

int store_parse_number(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
	struct cursor c = { text, text + len };

	return take_number(&c, max, ret) && at_end(&c) ? 0 : -EINVAL;
}

/* " class:first+nr" */
static bool take_extent(struct cursor *c, struct virtio_pzone_extent *ret)
{
	uint32_t class_id, first, nr;

	if (!take_char(c, ' ') || !take_u32(c, &class_id) || !take_char(c, ':') ||
	    !take_u32(c, &first) || !take_char(c, '+') || !take_u32(c, &nr))
		return false;
	*ret = (struct virtio_pzone_extent) {
		.class_id = htole32(class_id),
		.first_block = htole32(first),
		.nr_blocks = htole32(nr),
	};
	return true;
}

int store_parse_request(const char *text, size_t len, struct store_request *ret)
{
	struct cursor c = { text, text + len };
	struct virtio_pzone_req req = { 0 };
	uint8_t *entries = ret->req + sizeof(req);
	uint32_t generation;
	unsigned int nr = 0;

	ret->unplug_all = false;
	if (!take_u32(&c, &ret->seq))
		return -ENOENT;
	if (take_word(&c, " unplug-all")) {
		ret->unplug_all = true;
		return at_end(&c) ? 0 : -EINVAL;
	}
	if (take_word(&c, " plug "))
		req.type = htole16(VIRTIO_PZONE_REQ_PLUG);
	else if (take_word(&c, " unplug "))
		req.type = htole16(VIRTIO_PZONE_REQ_UNPLUG);
	else
		return -EINVAL;
	if (!take_u32(&c, &generation))
		return -EINVAL;
	for (; !at_end(&c); nr++) {
		struct virtio_pzone_extent e;

		if (nr == VIRTIO_PZONE_MAX_ENTRIES || !take_extent(&c, &e))
			return -EINVAL;
		memcpy(entries + nr * sizeof(e), &e, sizeof(e));
	}
	req.generation = htole32(generation);
	req.nr = htole16(nr);
	memcpy(ret->req, &req, sizeof(req));
	ret->req_len = sizeof(req) + nr * sizeof(struct virtio_pzone_extent);
	return 0;
}

/* The members of a report that are 64 bits wide, and those that are 32. */
static const struct { const char *key; size_t at; bool wide; } report_keys[] = {
#define KEY(key, member, wide) { key, offsetof(struct virtio_pzone_report, member), wide }
	KEY("state=", state, false),
	KEY("cgroups=", nr_cgroups, false),
	KEY("stuck=", stuck_blocks, false),
	KEY("reclaim-done-seq=", reclaim_done_seq, false),
	KEY("reclaimed=", reclaimed_bytes, true),
	KEY("free=", free_bytes, true),
	KEY("anon=", anon_bytes, true),
	KEY("file=", file_bytes, true),
	KEY("pinned=", pinned_bytes, true),
	KEY("refaults=", refault_pages, true),
	KEY("pressure-us=", pressure_us, true),
	KEY("oom=", oom_events, true),
	KEY("oom-kill=", oom_kills, true),
#undef KEY
};

static bool take_report_key(struct cursor *c, struct virtio_pzone_report *ret)
{
	for (size_t i = 0; i < G_N_ELEMENTS(report_keys); i++) {
		uint8_t *to = (uint8_t *)ret + report_keys[i].at;
		uint64_t value;

		if (!take_word(c, report_keys[i].key))
			continue;
		if (!take_number(c, report_keys[i].wide ? UINT64_MAX : UINT32_MAX, &value))
			return false;
		if (report_keys[i].wide) {
			uint64_t le = htole64(value);

			memcpy(to, &le, sizeof(le));
		} else {
			uint32_t le = htole32(value);

			memcpy(to, &le, sizeof(le));
		}
		return true;
	}
	return false;
}

int store_parse_report(const char *text, size_t len, uint32_t class_id,
		       struct virtio_pzone_report *ret)
{
	struct cursor c = { text, text + len };

	memset(ret, 0, sizeof(*ret));
	ret->class_id = htole32(class_id);
	do {
		if (!take_report_key(&c, ret))
			return -EINVAL;
	} while (take_char(&c, ' '));
	return at_end(&c) ? 0 : -EINVAL;
}

int store_parse_event(const char *text, size_t len, uint32_t class_id, uint32_t *ret_seq,
		      struct virtio_pzone_event *ret)
{
	struct cursor c = { text, text + len };
	uint32_t kind, wanted;

	if (!take_u32(&c, ret_seq))
		return -EINVAL;
	if (take_word(&c, " oom "))
		kind = VIRTIO_PZONE_EVENT_OOM;
	else if (take_word(&c, " pressure "))
		kind = VIRTIO_PZONE_EVENT_PRESSURE;
	else
		return -EINVAL;
	if (!take_u32(&c, &wanted) || !at_end(&c))
		return -EINVAL;
	*ret = (struct virtio_pzone_event) {
		.class_id = htole32(class_id),
		.kind = htole32(kind),
		.wanted_blocks = htole32(wanted),
	};
	return 0;
}

static const char *const reply_words[] = {
	[VIRTIO_PZONE_RESP_ACK] = "ack",
	[VIRTIO_PZONE_RESP_NACK] = "nack",
	[VIRTIO_PZONE_RESP_BUSY] = "busy",
	[VIRTIO_PZONE_RESP_ERROR] = "error",
};

char *store_reply_word(uint32_t seq, const char *word, uint32_t generation)
{
	return g_strdup_printf("%" PRIu32 " %s %" PRIu32, seq, word, generation);
}

char *store_reply(uint32_t seq, const void *resp, size_t resp_len)
{
	const uint8_t *entries = (const uint8_t *)resp + sizeof(struct virtio_pzone_resp);
	struct virtio_pzone_resp header;
	GString *text = g_string_new(NULL);
	unsigned int i;

	memcpy(&header, resp, sizeof(header));
	g_assert(le16toh(header.type) < G_N_ELEMENTS(reply_words));
	g_assert(resp_len == sizeof(header) + le16toh(header.nr) * sizeof(uint32_t));
	/* Status by status, the generation last: the guest reads them in this order. */
	g_string_printf(text, "%" PRIu32 " %s", seq, reply_words[le16toh(header.type)]);
	for (i = 0; i < le16toh(header.nr); i++) {
		uint32_t status;

		memcpy(&status, entries + i * sizeof(status), sizeof(status));
		g_string_append_printf(text, " %" PRIu32, le32toh(status));
	}
	g_string_append_printf(text, " %" PRIu32, le32toh(header.generation));
	return g_string_free(text, FALSE);
}

/* --- the layout --- */

static void put(GHashTable *keys, uint32_t id, const char *key, const char *fmt, ...)
	G_GNUC_PRINTF(4, 5);

static void put(GHashTable *keys, uint32_t id, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	g_hash_table_insert(keys, g_strdup_printf("class/%" PRIu32 "/%s", id, key),
			    g_strdup_vprintf(fmt, ap));
	va_end(ap);
}

static void put_extent_list(GHashTable *keys, uint32_t id, unsigned int n, const char *text)
{
	g_autofree char *key = g_strdup_printf("extents/%u", n);

	put(keys, id, key, "%s", text);
}

/* A long list goes on in the next key. */
static void put_extents(GHashTable *keys, uint32_t id, const struct pz_extent *all, uint32_t nr)
{
	g_autoptr(GString) text = g_string_new(NULL);
	unsigned int n = 0;

	for (uint32_t i = 0; i < nr; i++) {
		if (all[i].class_id != id)
			continue;
		if (text->len > STORE_CHUNK - 24) {
			put_extent_list(keys, id, n++, text->str);
			g_string_truncate(text, 0);
		}
		g_string_append_printf(text, "%s%" PRIu32 "+%" PRIu32, text->len ? " " : "",
				       all[i].first, all[i].nr);
	}
	put_extent_list(keys, id, n, text->str);
}

static void put_class(GHashTable *keys, const struct pz_class_info *class)
{
	const uint32_t id = class->id;

	put(keys, id, "name", "%s", class->name);
	put(keys, id, "wanted", "%" PRIu32, class->size);
	put(keys, id, "guarantee", "%" PRIu32, class->guarantee);
	put(keys, id, "limit", "%" PRIu32, class->limit);
	put(keys, id, "dying", "%d", class->dying);
	put(keys, id, "reclaim-seq", "%" PRIu32, class->reclaim_seq);
	put(keys, id, "reclaim-bytes", "%" PRIu64, class->reclaim_bytes);
}

GHashTable *store_layout(const struct pz_pool *pool)
{
	GHashTable *keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	const uint32_t nr = pz_pool_wanted(pool, 0, NULL, 0);
	g_autofree struct pz_extent *all = g_new(struct pz_extent, nr + 1);
	struct pz_class_info class;
	struct pz_pool_info info;

	pz_pool_wanted(pool, 0, all, nr);
	pz_pool_info(pool, &info);
	put_class(keys, &(struct pz_class_info) {
		.id = VIRTIO_PZONE_CLASS_MEMMAP, .name = "memmap", .size = info.memmap,
		.guarantee = info.memmap, .limit = info.memmap });
	put_extents(keys, VIRTIO_PZONE_CLASS_MEMMAP, all, nr);
	for (uint32_t i = 0; !pz_class_get(pool, i, &class); i++) {
		put_class(keys, &class);
		put_extents(keys, class.id, all, nr);
	}
	return keys;
}

/* --- extents of our own --- */

char *store_extents(const struct pz_extent *extents, uint32_t nr)
{
	GString *text = g_string_new(NULL);

	for (uint32_t i = 0; i < nr; i++)
		g_string_append_printf(text, "%s%" PRIu32 "+%" PRIu32, i ? " " : "",
				       extents[i].first, extents[i].nr);
	return g_string_free(text, FALSE);
}

int store_parse_extents(const char *text, struct pz_extent *ret, uint32_t max)
{
	struct cursor c = { text, text + strlen(text) };
	uint32_t nr = 0;

	if (at_end(&c))
		return 0;
	do {
		if (nr == max || !take_u32(&c, &ret[nr].first) || !take_char(&c, '+') ||
		    !take_u32(&c, &ret[nr].nr))
			return -EINVAL;
		nr++;
	} while (take_char(&c, ' '));
	return at_end(&c) ? (int)nr : -EINVAL;
}
