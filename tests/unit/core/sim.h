/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.h: what the tests of hv/core share: a device that only keeps a map of its
 * blocks and fails on demand, and a guest that builds requests.
 *
 * Both stand in for QEMU and for the guest kernel; the core under test is real.
 */
#ifndef SIM_H
#define SIM_H

#include "pz_core.h"
#include "virtio_pzone.h"

#define SIM_BLOCK	(2ull << 20)

struct sim {
	struct pz_pool *pool;
	uint32_t nr_blocks;
	bool *plugged;		/* by block, as the device was told */
	bool busy;
	uint32_t pinned;	/* a block that sim_converge() can't give back */
	int fail;		/* what plug and unplug return; 0: they work */
	unsigned int fail_percent; /* fail at random instead; see sim_random() */
	uint64_t seed;
	/* what the core said since sim_forget_calls() */
	uint32_t blocks_plugged; /* in all */
	unsigned int requests;	/* PLUG and UNPLUG of sim_converge() */
	unsigned int layout_changed, reported, events, changes;
	int results[VIRTIO_PZONE_MAX_ENTRIES]; /* of the plugs and unplugs, in order */
	uint32_t event_class, event_kind, event_wanted, reported_last;
	struct pz_extent announced[VIRTIO_PZONE_MAX_ENTRIES]; /* by pz_pool_changes() */
	uint32_t nr_announced, next_announced;
	bool announced_plug;
	uint8_t resp[sizeof(struct virtio_pzone_resp) +
		     VIRTIO_PZONE_MAX_ENTRIES * sizeof(struct virtio_pzone_class)];
	ssize_t resp_len;
};

/* pz_class_create() of a class that may lie anywhere. */
int sim_create(struct pz_pool *pool, const char *name, uint32_t size, uint32_t guarantee,
	       uint32_t limit, const char *cookie, uint32_t *ret_id, struct pz_error *err);
void sim_open(struct sim *sim, uint32_t nr_blocks, uint32_t requested);
void sim_close(struct sim *sim);
void sim_forget_calls(struct sim *sim);
uint32_t sim_random(struct sim *sim, uint32_t below);

/* pz_pool_handle_request(), and that pz_pool_changes() had announced what it did. */
ssize_t sim_handle(struct sim *sim, const void *req, size_t req_len, void *resp, size_t resp_len);

/* Requests; each returns the reply's type. */
uint16_t sim_query(struct sim *sim, uint16_t type, uint32_t first, size_t resp_len);
uint16_t sim_change(struct sim *sim, uint16_t type, const struct pz_extent *extents, uint32_t nr);
uint16_t sim_change_at(struct sim *sim, uint16_t type, uint32_t generation,
		       const struct pz_extent *extents, uint32_t nr);
uint16_t sim_report(struct sim *sim, uint32_t generation, const struct virtio_pzone_report *reports,
		    uint32_t nr);
uint32_t sim_generation(const struct sim *sim);
uint32_t sim_status(const struct sim *sim, uint32_t i);
struct virtio_pzone_resp sim_header(const struct sim *sim);

/* One step of an honest guest: unplug what no one wants of it, then plug what it got.
 * Each extent is skipped with this probability. */
void sim_converge(struct sim *sim, unsigned int skip_percent);
/* The same with a REPORT of the layout that it has followed, which may start a relocation. */
void sim_follow(struct sim *sim, unsigned int skip_percent);
bool sim_settled(const struct sim *sim);

#endif
