/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h: what stands in the keys of the Xen store, as text, and what it means.
 *
 * No call to Xen in here: it is tested without one. Everything that is parsed may
 * have been written by a guest that lies. The parsers give structures of
 * pzone/virtio_pzone.h, so that the core's validators decide about the content, as
 * they do for a virtio device. docs/protocol.md, section 12, describes the keys.
 */
#ifndef PZONE_XEN_STORE_H
#define PZONE_XEN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include "pz_core.h"
#include "virtio_pzone.h"

#define STORE_CHUNK		3000	/* longest value that we write */
#define STORE_REQ_ROOM		(sizeof(struct virtio_pzone_req) + \
				 VIRTIO_PZONE_MAX_ENTRIES * sizeof(struct virtio_pzone_extent))
#define STORE_RESP_ROOM		(sizeof(struct virtio_pzone_resp) + \
				 VIRTIO_PZONE_MAX_ENTRIES * sizeof(uint32_t))

struct store_request {
	uint32_t seq;
	bool unplug_all;		/* else: */
	uint8_t req[STORE_REQ_ROOM];	/* as on a virtio queue */
	size_t req_len;
};

/* 0; -ENOENT without even a number; -EINVAL when only ret->seq is known. */
int store_parse_request(const char *text, size_t len, struct store_request *ret);
/* -EINVAL */
int store_parse_report(const char *text, size_t len, uint32_t class_id,
		       struct virtio_pzone_report *ret);
int store_parse_event(const char *text, size_t len, uint32_t class_id, uint32_t *ret_seq,
		      struct virtio_pzone_event *ret);
int store_parse_number(const char *text, size_t len, uint64_t max, uint64_t *ret);

/* The reply to request seq: what the core answered. g_free() it. */
char *store_reply(uint32_t seq, const void *resp, size_t resp_len);
char *store_reply_word(uint32_t seq, const char *word, uint32_t generation);

/* The keys of the wanted layout below the pool's directory -> their values. */
GHashTable *store_layout(const struct pz_pool *pool);

/* Extents as "first+nr first+nr", for what is under way when we are killed. */
char *store_extents(const struct pz_extent *extents, uint32_t nr);
/* Number of extents, at most max, or -EINVAL. */
int store_parse_extents(const char *text, struct pz_extent *ret, uint32_t max);

#endif
