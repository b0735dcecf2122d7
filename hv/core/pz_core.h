/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pz_core.h: the host's book-keeping of one pool, free of QEMU and of GLib.
 *
 * Concepts
 *
 *   A pool has nr_blocks blocks. Of each block the core knows two things: which
 *   class the *wanted* layout gives it to, and which class it is plugged for
 *   (the *actual* layout). A block is free when neither names it.
 *   The class table holds each class's size, guarantee and limit in blocks;
 *   class 0, "memmap", holds the guest's memory map and lies at the region's end.
 *
 *   The planner keeps these rules, and pz_pool_check() asserts them:
 *     - a block is wanted by at most one class and plugged for at most one class;
 *     - a block that is plugged for class A is never wanted by class B: it is
 *       promised again only after the guest has given it back;
 *     - memmap + the sizes of all classes <= requested;
 *     - the blocks published for a class are at most its size, and more only
 *       while it is relocated; they are fewer only while what is wanted or plugged
 *       already comes to `requested`, that is, while others have not given back
 *       yet what they are to give back, or while no free place has the class's
 *       alignment, or while a layout has PZ_MAX_EXTENTS. So the guest never has
 *       more than `requested` in its hands, not for a moment (except what it had
 *       when `requested` went down). What one call can't give out at a bounded
 *       cost, the next requests do;
 *     - each extent wanted for a class begins and ends on its alignment;
 *     - each layout has at most PZ_MAX_EXTENTS, whatever a guest does: so the cost
 *       of each call is bounded;
 *     - the end of the region is memmap's and holds nothing else.
 *
 * Where classes live (plan.c has the how)
 *
 *   A class that is settled and has something plugged moves only as a whole, to
 *   become one extent (relocate.c), whatever others do. Free means here: wanted by nobody, plugged for nobody.
 *   The bound on fragmentation, for a class that gets s more blocks while F blocks
 *   are free in G runs:
 *     - it is one extent if it had none and a free run holds s;
 *     - blocks of its own that it has not given back yet are taken first, as they
 *       lie: giving up on a shrink gives back exactly what was stuck;
 *     - of the rest, free neighbours of what it has cost no new extent, and what
 *       is left then takes the fewest free runs that can hold it, never more than
 *       ceil(s * G / F). With E extents laid out and all settled, G <= E + 1;
 *     - if nothing of it is plugged it counts as free itself: it may move as a
 *       whole where that makes it one extent;
 *     - while nothing of any class is plugged (before the guest's driver, after a
 *       reset), every class is one extent.
 *   A class that lacks blocks gets them as they come free, piece by piece.
 *   For an aligned class a run counts with what of it begins and ends on the alignment.
 *   A plugged class in several extents is brought back to one, in steps, where a run
 *   of free blocks and its own holds it (relocate.c).
 *
 *   The request half (pz_pool_handle_request) is what a guest can reach: it
 *   reads a private copy of the request, checks all of it, then acts.
 *
 * Units: blocks unless a name ends in _bytes. Errors: negative errno; a struct
 * pz_error then holds one sentence for a person that names the value. Nothing
 * here logs, and nothing is locked: the caller serialises.
 */
#ifndef PZ_CORE_H
#define PZ_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PZ_NAME_MAX	31	/* without NUL; same as VIRTIO_PZONE_NAME_MAX */
#define PZ_COOKIE_MAX	64	/* opaque text of the controller, without NUL */
#define PZ_MAX_CLASSES	1024	/* in one pool, memmap included */
#define PZ_MAX_ALIGN_BYTES (1ull << 30)
#ifndef PZ_MAX_EXTENTS		/* tests set a lower one */
#define PZ_MAX_EXTENTS	3072	/* of the wanted and of the actual layout, each */
#endif

struct pz_pool;

struct pz_error {
	char msg[256];
};

struct pz_extent {
	uint32_t class_id;
	uint32_t first;
	uint32_t nr;
};

/* What the guest last said of a class; zeroes until it said something. */
struct pz_report {
	bool valid;
	uint32_t state;			/* VIRTIO_PZONE_STATE_* */
	uint32_t nr_cgroups;
	uint32_t stuck_blocks;
	uint32_t reclaim_done_seq;
	uint64_t reclaimed_bytes;
	uint64_t free_bytes, anon_bytes, file_bytes, pinned_bytes;
	uint64_t refault_pages, pressure_us;
	uint64_t oom_events, oom_kills;
};

/* A class as the host wishes it. */
struct pz_class_spec {
	const char *name;
	uint32_t size, guarantee, limit;
	uint32_t align;			/* see pz_class_create(); 0: 1 */
	const char *cookie;		/* NULL: "" */
};

struct pz_class_info {
	uint32_t id;
	char name[PZ_NAME_MAX + 1];
	char cookie[PZ_COOKIE_MAX + 1];
	bool dying;
	uint32_t size;			/* wanted by the host; 0 when dying */
	uint32_t guarantee, limit;
	uint32_t align;			/* at least 1 */
	uint32_t published;		/* blocks in the wanted layout now */
	uint32_t plugged;		/* blocks in the actual layout now */
	uint32_t extents;		/* of the wanted layout */
	bool relocating;		/* on its way to one extent: may have more than size */
	uint32_t reclaim_seq;
	uint64_t reclaim_bytes;
	struct pz_report report;
};

struct pz_pool_info {
	uint32_t nr_blocks;
	uint64_t block_bytes;
	uint32_t requested;
	uint32_t memmap;		/* blocks of class 0 */
	uint32_t allocated;		/* memmap + sizes of all classes */
	uint32_t plugged;		/* of all classes */
	uint32_t nr_classes;		/* without memmap, dying ones included */
	uint32_t generation;		/* of the wanted layout */
	uint32_t guest_generation;	/* that the guest last finished */
	bool relocation;		/* see pz_pool_set_relocation() */
};

/* What the core asks of the device around it. Called only from inside
 * pz_pool_handle_request() (plug, unplug, busy, event, reported), from any call
 * that changes the wanted layout (layout_changed), and from those that make a class
 * go or unplug it (reported). They may look at the pool, but not change it; plug
 * and unplug see the actual layout as it was before the request. Any may be NULL. */
struct pz_ops {
	/* Make blocks usable by the guest. 0; -ENOMEM no host memory; -EBUSY try again. */
	int (*plug)(void *opaque, uint32_t first, uint32_t nr);
	/* Give blocks back to the host. 0; -EBUSY try again. */
	int (*unplug)(void *opaque, uint32_t first, uint32_t nr);
	/* True while memory must not change (migration). */
	bool (*busy)(void *opaque);
	/* The generation moved: tell the guest. */
	void (*layout_changed)(void *opaque);
	/* A class's plugged size, report or existence changed (class_id 0: pool). When
	 * a dying class has gone, this is called after it left the table. */
	void (*reported)(void *opaque, uint32_t class_id);
	/* The guest says that a class is short of memory. */
	void (*event)(void *opaque, uint32_t class_id, uint32_t kind, uint32_t wanted);
};

/* --- life --- */

/*
 * A pool of nr_blocks blocks of block_bytes (a power of two >= 1 MiB) whose last
 * memmap blocks (pz_memmap_blocks()) are class 0's. With requested < memmap
 * nothing is wanted and the pool takes no classes until it is raised. -EINVAL
 */
int pz_pool_new(uint32_t nr_blocks, uint64_t block_bytes, uint32_t requested,
		const struct pz_ops *ops, void *opaque,
		struct pz_pool **ret_pool, struct pz_error *err);
struct pz_pool *pz_pool_free(struct pz_pool *pool);	/* takes NULL; returns NULL */

/* Blocks that the memory map of a region takes: 64 bytes per 4 KiB page. */
uint32_t pz_memmap_blocks(uint32_t nr_blocks, uint64_t block_bytes);

/* --- the host's wishes --- */

/* -EINVAL name, cookie or align; -ERANGE not guarantee <= size <= limit, or one of them
 * no multiple of align; -EEXIST, also while a class of this name is dying; -ENOSPC no
 * room in requested; -E2BIG too many classes.
 * A limit may be more than the pool has: it is a bound, not a promise.
 * align is a power of two of blocks, at most PZ_MAX_ALIGN_BYTES, for good: each extent
 * wanted for the class starts and ends on a multiple of it, counted from the region's
 * start. It may be that no such place is free: then the class lacks blocks until one is. */
int pz_class_create(struct pz_pool *pool, const struct pz_class_spec *spec,
		    uint32_t *ret_id, struct pz_error *err);
/* -ENOENT; -ERANGE outside guarantee..limit; -ENOSPC; -EBUSY dying */
int pz_class_resize(struct pz_pool *pool, const char *name, uint32_t size, struct pz_error *err);
/* Change size, bounds and cookie (NULL keeps it) in one step, or nothing;
 * guarantee <= size <= limit must hold. Errors as for create and resize. */
int pz_class_set(struct pz_pool *pool, const char *name, uint32_t size, uint32_t guarantee,
		 uint32_t limit, const char *cookie, struct pz_error *err);
/* Size 0 and dying; forgotten, and its name free again, when nothing of it is
 * plugged: at once if nothing is. Again for a dying class: nothing. -ENOENT */
int pz_class_destroy(struct pz_pool *pool, const char *name, struct pz_error *err);
/* Order a directed reclaim of `bytes`, under a new reclaim_seq; an order that is
 * open when everything is unplugged lapses (bytes become 0). -ENOENT; -EBUSY dying */
int pz_class_reclaim(struct pz_pool *pool, const char *name, uint64_t bytes, struct pz_error *err);
/* -ENOSPC when below what is laid out: err names both values. -EINVAL more than the
 * region. 0 is allowed while there is no class: the memory map goes then, too. */
int pz_pool_set_requested(struct pz_pool *pool, uint32_t requested, struct pz_error *err);

/* May classes in pieces be brought back to one extent (relocate.c)? Yes, unless said
 * otherwise; it is the pool's own setting and does not travel with its state. Switched
 * off, a relocation under way ends where it is. */
void pz_pool_set_relocation(struct pz_pool *pool, bool on);

/* --- looking --- */

/* A look costs O(classes), or, where it counts a class's extents, O(extents). */
void pz_pool_info(const struct pz_pool *pool, struct pz_pool_info *ret);
/* Class by index 0..nr_classes-1 in order of creation. -ENOENT past the end. */
int pz_class_get(const struct pz_pool *pool, uint32_t index, struct pz_class_info *ret);
int pz_class_find(const struct pz_pool *pool, const char *name, struct pz_class_info *ret);
int pz_class_by_id(const struct pz_pool *pool, uint32_t id, struct pz_class_info *ret);
/* Copy at most max extents, from index `from`, sorted by first block; returns how many there are in all. */
uint32_t pz_pool_wanted(const struct pz_pool *pool, uint32_t from, struct pz_extent *ret, uint32_t max);
uint32_t pz_pool_actual(const struct pz_pool *pool, uint32_t from, struct pz_extent *ret, uint32_t max);
bool pz_name_valid(const char *name);	/* [a-z0-9][a-z0-9_.-]{0,30}, not reserved */

/* What a class is up to, as people are told it. */
enum pz_class_state {
	PZ_CLASS_SETTLED,		/* it has what it should have */
	PZ_CLASS_GROWING,
	PZ_CLASS_SHRINKING,		/* also: it has blocks that it should not have */
	PZ_CLASS_PARTIAL,		/* guest or host could not do all of it, and go on trying */
	PZ_CLASS_DESTROYING,
	PZ_CLASS_WAITING,		/* no guest driver follows the layout */
};

/* Call add for plugged blocks outside what is wanted for their class, in pieces; both
 * lists as pz_pool_wanted() and pz_pool_actual() give them. O(extents) */
void pz_misplaced(const struct pz_extent *wanted, uint32_t nr_wanted,
		  const struct pz_extent *actual, uint32_t nr_actual,
		  void (*add)(void *opaque, uint32_t class_id, uint32_t blocks), void *opaque);
/* misplaced: blocks of the class that pz_misplaced() found; guest_ready: a driver follows
 * the layout; failed: the host could not plug or unplug something of the class. */
enum pz_class_state pz_class_state(const struct pz_pool_info *pool,
				   const struct pz_class_info *class, uint32_t misplaced,
				   bool guest_ready, bool failed);

/* --- the guest's requests --- */

/*
 * Decode, check and carry out one request of queue 1 from a private copy.
 * Writes the reply and returns its length; resp_len must hold at least
 * struct virtio_pzone_resp, else -EINVAL and nothing is done (the caller breaks
 * the ring). A wrong request is answered with ERROR, not with an errno.
 */
ssize_t pz_pool_handle_request(struct pz_pool *pool, const void *req, size_t req_len,
			       void *resp, size_t resp_len);

/*
 * What pz_pool_handle_request() would hand to the ops for this request now: the extents
 * of a PLUG or UNPLUG that is in order, in its order; 0 for any other. So the device can
 * make memory ready before. `ret` has room for VIRTIO_PZONE_MAX_ENTRIES.
 */
uint32_t pz_pool_changes(struct pz_pool *pool, const void *req, size_t req_len, bool *ret_plug,
			 struct pz_extent *ret);

/*
 * Everything was unplugged behind the core's back (system reset, UNPLUG_ALL): the
 * actual layout is empty, dying classes are gone, what classes lacked they are
 * given, what the guest said of them is forgotten, and the generation moves.
 */
void pz_pool_all_unplugged(struct pz_pool *pool);

/* --- migration --- */

/*
 * The whole state as an array of bytes in a fixed, versioned, little-endian
 * format; malloc'ed. Loading checks all rules and refuses, naming the block or
 * class; the pool is untouched then. The pool must have the same nr_blocks and
 * block size. The actual layout, `requested` and the guest's reports travel with
 * it; no op is called by loading.
 */
int pz_pool_save(const struct pz_pool *pool, uint8_t **ret_buf, size_t *ret_len);
int pz_pool_load(struct pz_pool *pool, const uint8_t *buf, size_t len, struct pz_error *err);

/* Abort if a rule of this file's top is broken; for tests and fuzzers. */
void pz_pool_check(const struct pz_pool *pool);

#endif
