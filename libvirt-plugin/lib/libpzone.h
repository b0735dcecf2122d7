/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libpzone.h: memory classes of libvirt domains, for programs.
 *
 * Concepts
 *
 *   definition  what the domain's XML says of a class: name, pool, size,
 *               guarantee, limit. Lives in the domain's <metadata>, in the
 *               persistent ("config") and the running ("live") copy of it.
 *   pool        a <memory model='virtio-mem'> device with an alias and the
 *               property pzone on. Its name is the alias.
 *   live        what the device of a running domain says of its classes.
 *   view        both, merged by class name: what `virsh pzone-list` shows.
 *   cookie      a hash of a definition that the device keeps with the class,
 *               so that anybody can tell which definition was last applied.
 *
 * Rules
 *
 *   Functions that can fail return 0 or a negative errno, and then fill in the
 *   struct pzone_error if there is one (it may be NULL). `ret_*` is written
 *   only on success. Nothing is logged. *_free() takes NULL and returns NULL.
 *   Strings that a ret_* hands over are freed with free().
 *
 *   ABI: every struct below except struct pzone_error and struct pzone_pool_new
 *   is made by the library only, and grows only at its end; never put one into a
 *   struct or an array of your own. Symbols are versioned (LIBPZONE_0).
 *
 *   Threads: the library keeps no state of its own. Different objects may be
 *   used in different threads at once; one object by one thread at a time, or
 *   by many that only read. libvirt keeps a last error per thread: libpzone
 *   leaves it alone. Call pzone_init() once before the second thread starts.
 *   libvirt prints every error to stderr until a program installs a handler of
 *   its own with virSetErrorFunc(): do that, libpzone must not do it for you.
 *
 *   Sizes are bytes. Flags of functions that take a domain are libvirt's own
 *   VIR_DOMAIN_AFFECT_CURRENT (0), _LIVE and _CONFIG.
 */
#ifndef LIBPZONE_H
#define LIBPZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libvirt/libvirt.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PZONE_XML_NS		"urn:pzone:libvirt:domain:1.0"
#define PZONE_XML_PREFIX	"pzone"
#define PZONE_NAME_MAX		31		/* class name, without NUL */
#define PZONE_POOL_MAX		31		/* pool name, without NUL: the device takes no more */
#define PZONE_COOKIE_MAX	64		/* without NUL */
#define PZONE_CLASSES_MAX	1024		/* in one domain */
#define PZONE_XML_MAX_BYTES	(1024 * 1024)	/* of a document of classes */
#define PZONE_ALIGN_MAX_BYTES	(1024ULL * 1024 * 1024)
#define PZONE_WEIGHT_DEFAULT	100		/* as of cgroup v2's cpu.weight */
#define PZONE_WEIGHT_MAX	10000

/* --- errors --- */

enum pzone_error_code {
	PZONE_ERR_NONE = 0,
	PZONE_ERR_NOMEM,	/* this program is out of memory */
	PZONE_ERR_INTERNAL,	/* a bug, or an answer that makes no sense */
	PZONE_ERR_ARG,		/* a wrong argument, e.g. flags */
	PZONE_ERR_IO,		/* a file can't be read */
	PZONE_ERR_XML,		/* malformed, or not what the schema says */
	PZONE_ERR_NAME,		/* a class name that is not allowed */
	PZONE_ERR_SIZE,		/* not a size, or no multiple of the block */
	PZONE_ERR_BOUNDS,	/* not guarantee <= size <= limit */
	PZONE_ERR_EXISTS,	/* there is such a class already */
	PZONE_ERR_NO_CLASS,	/* there is no such class */
	PZONE_ERR_NO_POOL,	/* no such pool, or no pool at all */
	PZONE_ERR_NO_SPACE,	/* more than the pool's requested size */
	PZONE_ERR_NOT_RUNNING,	/* the domain is shut off */
	PZONE_ERR_NO_SUPPORT,	/* this QEMU or hypervisor knows no pzone */
	PZONE_ERR_BUSY,		/* the domain's job or the device is busy: try again */
	PZONE_ERR_DEVICE,	/* the device said no; the message is QEMU's */
	PZONE_ERR_LIBVIRT,	/* libvirt said no; the message is libvirt's */
	PZONE_ERR_CANCELLED,	/* the caller's callback asked to stop */
	PZONE_ERR_READ_ONLY,	/* needs a read-write connection */
};

struct pzone_error {
	int code;		/* enum pzone_error_code */
	int libvirt_code;	/* virErrorNumber, 0 when libvirt has no part in it */
	char message[1016];	/* one sentence for a person, no newline */
};

/* Library version, e.g. 100 for 0.1.0 (major * 10000 + minor * 100 + patch). */
unsigned int pzone_version(void);

/* Prepare libxml2 and libvirt for threads; may be called more than once. */
int pzone_init(struct pzone_error *err);

/*
 * The running domains of a Xen host that has xl and no libvirtd, as pzone-xend knows
 * them (environment PZONE_XEN_SOCKET, default /run/pzone/xend.sock). Good for the
 * live functions below and for reading definitions; NULL with err. Close it with
 * virConnectClose(). Domains of libvirt's own driver for Xen need no such thing.
 */
virConnectPtr pzone_xl_open(struct pzone_error *err);

/* --- sizes and names --- */

/*
 * A scaled size as virsh takes it: "512M", "512MiB", "1GB" (10^9), plain number
 * = KiB. Units are libvirt's: b, bytes, KB, k/KiB, ..., any case. -EINVAL, -ERANGE
 */
int pzone_size_parse(const char *text, uint64_t *ret_bytes, struct pzone_error *err);

/* Write "512 MiB" (largest binary unit that divides it) or, with `round`,
 * "1.50 GiB". Returns buf. buf of 32 bytes is always enough. */
char *pzone_size_format(uint64_t bytes, bool round, char *buf, size_t buf_len);

/* [a-z0-9][a-z0-9_.-]{0,30}, and not one of the reserved memmap, none.
 * -EINVAL */
int pzone_name_check(const char *name, struct pzone_error *err);

/* --- definitions --- */

struct pzone_def {
	const char *name;
	const char *pool;
	uint64_t size_bytes;
	uint64_t guarantee_bytes;	/* size_bytes when left out */
	uint64_t limit_bytes;		/* size_bytes when left out */
	bool has_guarantee;		/* said, not left out */
	bool has_limit;
	unsigned int line;		/* in its document; 0: none */
	uint64_t align_bytes;		/* of each extent; 0: left out, the pool's block */
	unsigned int weight;		/* for pzoned's sharing; 100 when left out */
	bool has_weight;
};

struct pzone_defs;			/* a list of them; names are unique */

int pzone_defs_new(struct pzone_defs **ret_defs, struct pzone_error *err);
struct pzone_defs *pzone_defs_free(struct pzone_defs *defs);

/*
 * Read <pzones> or a single <class>, in the namespace PZONE_XML_NS or in none,
 * from len bytes. name is what messages call the document ("NAME:LINE: ..."),
 * NULL for "XML". No network, no DTD, at most PZONE_XML_MAX_BYTES.
 * -EINVAL what the document says; -E2BIG too long.
 */
int pzone_defs_parse(const char *xml, size_t len, const char *name,
		     struct pzone_defs **ret_defs, struct pzone_error *err);
/* The same from a file; "-" is standard input. */
int pzone_defs_parse_file(const char *path, struct pzone_defs **ret_defs,
			  struct pzone_error *err);
/* The same from a whole domain XML; an empty list when it has no <pzone:pzones>. */
int pzone_defs_parse_domain(const char *domain_xml, struct pzone_defs **ret_defs,
			    struct pzone_error *err);
/* The canonical <pzone:pzones> element, indented, with a newline at its end. */
int pzone_defs_format(const struct pzone_defs *defs, char **ret_xml, struct pzone_error *err);

size_t pzone_defs_count(const struct pzone_defs *defs);
/* NULL past the end. Valid until the list changes. */
const struct pzone_def *pzone_defs_get(const struct pzone_defs *defs, size_t index);
const struct pzone_def *pzone_defs_find(const struct pzone_defs *defs, const char *name);

/*
 * Add a class, or replace the one of that name (replace true; else -EEXIST).
 * guarantee or limit UINT64_MAX: left out. A replaced class keeps its align and
 * weight, a new one has them left out.
 */
int pzone_defs_put(struct pzone_defs *defs, const char *name, const char *pool,
		   uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		   bool replace, struct pzone_error *err);
/* Change one thing of a class that is there. -ENOENT; -EINVAL a value that can't be.
 * align_bytes 0: left out. */
int pzone_defs_set_align(struct pzone_defs *defs, const char *name, uint64_t align_bytes,
			 struct pzone_error *err);
int pzone_defs_set_weight(struct pzone_defs *defs, const char *name, unsigned int weight,
			  struct pzone_error *err);
/* -ENOENT */
int pzone_defs_remove(struct pzone_defs *defs, const char *name, struct pzone_error *err);

/* The cookie of a definition, "pz1-" and 32 hex digits; equal for equal meaning to
 * the device, so the weight has no part in it. */
void pzone_def_cookie(const struct pzone_def *def, char ret_cookie[PZONE_COOKIE_MAX + 1]);
/* True for a cookie that pzone_def_cookie() makes: the class is kept by a definition. */
bool pzone_cookie_is_ours(const char *cookie);

/* --- pools of a domain's XML --- */

struct pzone_pool {
	const char *name;		/* alias; "" when it has none */
	bool enabled;			/* pzone=on, has an alias: a pool */
	uint64_t size_bytes;
	uint64_t block_bytes;
	uint64_t requested_bytes;
	uint64_t memmap_bytes;		/* part of requested for the guest's memory map */
	int node;			/* guest NUMA node, -1 unknown */
	int host_node;			/* NUMA node its <source> binds it to, -1 none or several */
	uint64_t page_bytes;		/* <pagesize> of its <source>; 0: none given */
	uint64_t current_bytes;		/* that libvirt knows to be plugged; 0: not said */
};

struct pzone_pools;			/* all virtio-mem devices, pools or not */

int pzone_pools_parse(const char *domain_xml, struct pzone_pools **ret_pools,
		      struct pzone_error *err);
/* Of the running XML (LIVE), of the persistent one (CONFIG), or CURRENT. */
int pzone_pools_get(virDomainPtr dom, unsigned int flags, struct pzone_pools **ret_pools,
		    struct pzone_error *err);
struct pzone_pools *pzone_pools_free(struct pzone_pools *pools);
/* <uuid> of that domain XML, "" when it has none. */
const char *pzone_pools_uuid(const struct pzone_pools *pools);
size_t pzone_pools_count(const struct pzone_pools *pools);
const struct pzone_pool *pzone_pools_at(const struct pzone_pools *pools, size_t index);
const struct pzone_pool *pzone_pools_find(const struct pzone_pools *pools, const char *name);

/*
 * Check definitions against pools: each pool exists and is enabled, sizes are
 * multiples of the block, no align is below it, no limit above the pool's size, memmap +
 * sizes <= requested. who is what messages call the domain. -EINVAL, -ENOENT, -ENOSPC
 */
int pzone_defs_check(const struct pzone_defs *defs, const struct pzone_pools *pools,
		     const char *who, struct pzone_error *err);

/* The last of these checks alone: memmap + sizes <= requested, in each pool. Classes of
 * pools that are not there are left out. -ENOSPC */
int pzone_defs_check_room(const struct pzone_defs *defs, const struct pzone_pools *pools,
			  struct pzone_error *err);

/* --- a new pool in a domain's XML --- */

/* Set struct_bytes to sizeof(struct pzone_pool_new), and the rest to 0, NULL or -1 for
 * what is said behind it. This is the one struct that is yours to make. */
struct pzone_pool_new {
	size_t struct_bytes;
	const char *name;		/* NULL: the first free one of ua-pool0, ua-pool1, ... */
	uint64_t size_bytes;		/* a multiple of 128 MiB and of the block */
	uint64_t requested_bytes;	/* 0: all of it */
	uint64_t block_bytes;		/* 0: 2 MiB, or the size of the huge pages behind it */
	const char *emulator;		/* NULL: the domain keeps the one it has */
	int node;			/* guest NUMA node; -1: the first */
};

/*
 * Write the XML of a domain with one pool more: the virtio-mem device, the
 * <qemu:override> that makes it a pool, and, where it is missing, what they
 * need: room and slots in <maxMemory>, a NUMA cell, ACPI. All else stays as it is.
 * *ret_old_xml is what was given, from the same writer, for a comparison by lines;
 * *ret_name is the pool's name. -EINVAL, -EEXIST, -ENOENT, -ENOSPC
 */
int pzone_pool_add_xml(const char *domain_xml, const struct pzone_pool_new *pool,
		       char **ret_old_xml, char **ret_new_xml, char **ret_name,
		       struct pzone_error *err);
/* The same from the persistent definition of a domain; of a transient one, from the XML that
 * it could be created from again. Changes nothing. */
int pzone_domain_pool_plan(virDomainPtr dom, const struct pzone_pool_new *pool,
			   char **ret_old_xml, char **ret_new_xml, char **ret_name,
			   struct pzone_error *err);
/* Define what was planned; a domain that runs has the pool from its next start on.
 * -EBUSY: the definition is no longer the old one. -EINVAL: a transient domain has none. */
int pzone_domain_pool_apply(virDomainPtr dom, const char *old_xml, const char *new_xml,
			    struct pzone_error *err);

/* --- definitions of a domain (its metadata) --- */

/* An empty list when the domain has no <pzone:pzones>. */
int pzone_config_get(virDomainPtr dom, unsigned int flags, struct pzone_defs **ret_defs,
		     struct pzone_error *err);
/* Check against the pools, then write; foreign metadata stays. An empty list
 * removes the element. Changes nothing in the device: pzoned follows. */
int pzone_config_set(virDomainPtr dom, const struct pzone_defs *defs, unsigned int flags,
		     struct pzone_error *err);

/* --- the device of a running domain --- */

enum pzone_state {
	PZONE_STATE_UNKNOWN = 0,	/* a word that this library does not know */
	PZONE_STATE_SETTLED,
	PZONE_STATE_GROWING,
	PZONE_STATE_SHRINKING,
	PZONE_STATE_PARTIAL,
	PZONE_STATE_DESTROYING,
	PZONE_STATE_WAITING,		/* device: no guest driver follows */
	/* of a view only: */
	PZONE_STATE_PLAIN_GUEST,	/* a guest kernel without pzone: isolates nothing */
	PZONE_STATE_NO_GUEST,		/* no guest driver (yet): boots, or has none */
	PZONE_STATE_NOT_RUNNING,	/* the domain is shut off */
	PZONE_STATE_NOT_APPLIED,	/* defined, and the device has it not */
	PZONE_STATE_UNSEEN,		/* running, and the device can't be asked */
	PZONE_STATE_NEXT_START,		/* only the persistent definition has it */
};
/* "settled", ..., "plain guest", "no guest", "not running", "not applied",
 * "unseen", "next start" */
const char *pzone_state_text(enum pzone_state state);

enum pzone_guest {
	PZONE_GUEST_UNKNOWN = 0,
	PZONE_GUEST_NONE,
	PZONE_GUEST_PLAIN,
	PZONE_GUEST_READY,
};
const char *pzone_guest_text(enum pzone_guest guest);	/* "none", "plain", "ready" */

struct pzone_extent {
	uint64_t addr;			/* guest-physical */
	uint64_t size_bytes;
};

struct pzone_report {
	unsigned int cgroups;
	uint64_t free_bytes, anon_bytes, file_bytes, stuck_bytes, pinned_bytes;
	uint64_t refaults, pressure_us, oom, oom_kill, reclaimed_bytes;
	uint32_t reclaim_done_seq;	/* last order to reclaim that was carried out */
};

struct pzone_live_class {
	unsigned int id;
	const char *name;
	const char *pool;
	const char *cookie;
	uint64_t size_bytes;		/* that the host wants */
	uint64_t actual_bytes;		/* that it has */
	uint64_t guarantee_bytes;
	uint64_t limit_bytes;
	enum pzone_state state;
	const char *state_word;		/* QEMU's own word */
	const struct pzone_extent *wanted;
	size_t nr_wanted;
	const struct pzone_extent *extents;
	size_t nr_extents;
	const struct pzone_report *report;	/* NULL: the guest said nothing */
	uint64_t align_bytes;		/* of each extent; 0: the device does not say */
	/* The lists may stop short of these; see pzone_live_query_extents(). */
	uint64_t nr_wanted_total, nr_extents_total;
	const char *last_error;		/* why it has not its size; NULL: no reason known */
	bool reclaim_known;		/* the device says the following */
	uint32_t reclaim_seq;		/* of the last order to reclaim; 0: none yet */
};

struct pzone_live_pool {
	const char *name;
	uint64_t addr;
	uint64_t size_bytes;
	uint64_t block_bytes;
	uint64_t requested_bytes;
	uint64_t plugged_bytes;
	uint64_t memmap_bytes;
	uint64_t available_bytes;	/* of requested, given to no class */
	uint32_t generation;
	uint32_t guest_generation;
	enum pzone_guest guest;
	size_t nr_classes;
};

struct pzone_live;			/* one answer of query-pzone */

int pzone_live_query(virDomainPtr dom, struct pzone_live **ret_live, struct pzone_error *err);
/*
 * The same with up to max_extents in each of a class's lists (pzone_live_query(): 64)
 * and, with a pool, of this pool alone. A device that can't choose gives all.
 */
int pzone_live_query_extents(virDomainPtr dom, const char *pool, unsigned int max_extents,
			     struct pzone_live **ret_live, struct pzone_error *err);
/* The same from the JSON text of a QMP reply or of its "return" value; who names
 * the domain in messages. */
int pzone_live_parse(const char *json, const char *who, struct pzone_live **ret_live,
		     struct pzone_error *err);
struct pzone_live *pzone_live_free(struct pzone_live *live);
size_t pzone_live_pool_count(const struct pzone_live *live);
const struct pzone_live_pool *pzone_live_pool_at(const struct pzone_live *live, size_t pool);
const struct pzone_live_pool *pzone_live_pool_find(const struct pzone_live *live,
						   const char *name);
/* class < pool's nr_classes; NULL past the end */
const struct pzone_live_class *pzone_live_class_at(const struct pzone_live *live, size_t pool,
						   size_t index);
const struct pzone_live_class *pzone_live_class_find(const struct pzone_live *live,
						     const char *name);

/*
 * One QMP command each. pool NULL: look the class up. A refusal of the device
 * is PZONE_ERR_DEVICE with QEMU's text. guarantee, limit: UINT64_MAX is left
 * out (create) or unchanged (set), as is size in set; cookie NULL likewise.
 * align_bytes 0: the pool's block; it can't be changed later.
 */
int pzone_live_create(virDomainPtr dom, const char *pool, const char *name,
		      uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		      uint64_t align_bytes, const char *cookie, struct pzone_error *err);
int pzone_live_resize(virDomainPtr dom, const char *pool, const char *name,
		      uint64_t size_bytes, struct pzone_error *err);
int pzone_live_set(virDomainPtr dom, const char *pool, const char *name,
		   uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		   const char *cookie, struct pzone_error *err);
int pzone_live_destroy(virDomainPtr dom, const char *pool, const char *name,
		       struct pzone_error *err);
int pzone_live_reclaim(virDomainPtr dom, const char *pool, const char *name,
		       uint64_t bytes, struct pzone_error *err);

/* --- what the virsh commands do --- */

/*
 * Define the classes of `defs`: new ones are added, those there are replaced.
 *   CONFIG  writes the persistent metadata.
 *   LIVE    writes the running metadata and creates or sets the classes in the
 *           device itself, with their cookies, so that it needs no pzoned and
 *           one that runs has nothing left to do.
 *   CURRENT LIVE if the domain runs, else CONFIG.
 * All is checked first, for all targets, and a refusal changes nothing.
 */
int pzone_domain_define(virDomainPtr dom, const struct pzone_defs *defs, unsigned int flags,
			struct pzone_error *err);
/* Remove a class, the same way. A class that only the device knows is destroyed
 * by LIVE. It is -ENOENT only when no target has it. */
int pzone_domain_undefine(virDomainPtr dom, const char *name, unsigned int flags,
			  struct pzone_error *err);
/*
 * LIVE tells the device and leaves the metadata (whose <size> is the size at
 * start); CONFIG changes <size>. A guarantee or limit that the definition
 * leaves out follows the size; one that it gives is a bound.
 */
int pzone_domain_resize(virDomainPtr dom, const char *name, uint64_t size_bytes,
			unsigned int flags, struct pzone_error *err);
/* Change guarantee and limit (UINT64_MAX leaves one) and weight (0 leaves it). LIVE
 * changes device and running metadata, CONFIG the persistent one; weight is metadata only. */
int pzone_domain_set(virDomainPtr dom, const char *name, uint64_t guarantee_bytes,
		     uint64_t limit_bytes, unsigned int weight, unsigned int flags,
		     struct pzone_error *err);
/*
 * Ask a class of the running domain to free `bytes` inside itself; its size stays.
 * Returns when the guest has been asked. *ret_seq (may be NULL) is the number of the
 * order for pzone_domain_reclaim_wait(). -EAGAIN when no guest listens.
 */
int pzone_domain_reclaim(virDomainPtr dom, const char *name, uint64_t bytes, uint32_t *ret_seq,
			 struct pzone_error *err);

/* --- view: definitions and device side by side --- */

struct pzone_view {
	const char *name;
	const char *pool;
	bool in_config;			/* persistent metadata has it */
	bool in_metadata;		/* running metadata has it */
	bool in_device;
	uint64_t config_size_bytes;	/* of the persistent XML, else of the running one; 0 none */
	uint64_t guarantee_bytes;	/* device, else metadata */
	uint64_t limit_bytes;
	enum pzone_state state;
	const struct pzone_live_class *live;	/* NULL when !in_device */
	bool used_known;		/* the guest reported */
	uint64_t used_bytes;		/* actual - free */
	unsigned int weight;		/* of the metadata; the default where that has none */
};

struct pzone_views;

/*
 * All classes of a domain, by pool and name. Works on a domain that is shut
 * off and on a read-only connection (then state is "unseen", and
 * pzone_views_why() says why the device was not asked).
 */
int pzone_domain_list(virDomainPtr dom, struct pzone_views **ret_views,
		      struct pzone_error *err);
struct pzone_views *pzone_views_free(struct pzone_views *views);
size_t pzone_views_count(const struct pzone_views *views);
const struct pzone_view *pzone_views_at(const struct pzone_views *views, size_t index);
const struct pzone_view *pzone_views_find(const struct pzone_views *views, const char *name);
/* The device's answer, or NULL; belongs to the views. */
const struct pzone_live *pzone_views_live(const struct pzone_views *views);
/* Why there is no answer; code PZONE_ERR_NONE when there is one. */
const struct pzone_error *pzone_views_why(const struct pzone_views *views);
/* Pools of the running XML, or of the persistent one when it is shut off. */
const struct pzone_pools *pzone_views_pools(const struct pzone_views *views);

/*
 * One line of JSON, for programs: {"domain", "running", "pools": [...], "classes":
 * [...]}, sizes and addresses in bytes; members are listed in virsh-pzone(1). With a
 * pool or a class (NULL: all) only what belongs to it. ret_json is free()d.
 */
int pzone_views_json(const struct pzone_views *views, const char *pool, const char *class_name,
		     char **ret_json, struct pzone_error *err);

/*
 * The same of pools alone: {"domain", "running", "device", "pools": [...]}, with what
 * the device says (live, NULL: it was not asked). all: also the virtio-mem devices that
 * are no pools ("enabled": false).
 */
int pzone_pools_json(const struct pzone_pools *pools, const struct pzone_live *live,
		     const char *domain, bool running, bool all, char **ret_json,
		     struct pzone_error *err);

/* --- waiting --- */

enum pzone_wait_result {
	PZONE_WAIT_SETTLED = 1,	/* has what it should */
	PZONE_WAIT_PARTIAL,	/* the guest could not give back all; it goes on trying */
	PZONE_WAIT_GONE,	/* no longer there */
	PZONE_WAIT_TIMEOUT,
	PZONE_WAIT_PLAIN,	/* the guest's kernel has no pzone: nothing will move */
};

/* Keep waiting in state partial until it settles or time is up (then the result
 * is PARTIAL). */
#define PZONE_WAIT_F_THROUGH_PARTIAL	1u

/* cls is NULL when it has gone. Return non-zero to stop (-ECANCELED). */
typedef int (*pzone_wait_cb)(const struct pzone_live_class *cls, void *opaque);

/*
 * Ask the device every 100 ms until the class is settled, partial or gone.
 * timeout_ms 0: no limit. cb may be NULL; it is called after every answer.
 * *ret_actual_bytes (may be NULL) is what the class has at the end.
 */
int pzone_domain_wait(virDomainPtr dom, const char *name, unsigned int timeout_ms,
		      unsigned int flags, pzone_wait_cb cb, void *opaque,
		      enum pzone_wait_result *ret_result, uint64_t *ret_actual_bytes,
		      struct pzone_error *err);

/*
 * The same for an order to reclaim: SETTLED when the guest has carried it out, and
 * *ret_bytes is what it got. -EOPNOTSUPP when this QEMU does not say. A reset of the
 * guest loses the order; then this ends by timeout_ms.
 */
int pzone_domain_reclaim_wait(virDomainPtr dom, const char *name, uint32_t seq,
			      unsigned int timeout_ms, pzone_wait_cb cb, void *opaque,
			      enum pzone_wait_result *ret_result, uint64_t *ret_bytes,
			      struct pzone_error *err);

/* --- map: a pool's guest-physical layout --- */

enum pzone_map_kind {
	PZONE_MAP_FREE = 0,	/* nobody's */
	PZONE_MAP_MEMMAP,	/* the guest's memory map of the pool */
	PZONE_MAP_CLASS,	/* a class has it, and should */
	PZONE_MAP_WANTED,	/* meant for a class that has it not yet */
	PZONE_MAP_LEAVING,	/* a class has it still, and should not */
};

struct pzone_map_range {
	uint64_t addr, size_bytes;
	enum pzone_map_kind kind;
	size_t class_index;	/* of the class in its pool; not for FREE and MEMMAP */
};

/*
 * The ranges of a pool from its first to its last address, without gaps and overlaps:
 * *ret_ranges[0 .. *ret_nr - 1], free()d by the caller. Only as complete as the lists
 * in live are; see pzone_live_query_extents(). -ENOENT
 */
int pzone_live_map(const struct pzone_live *live, const char *pool,
		   struct pzone_map_range **ret_ranges, size_t *ret_nr, struct pzone_error *err);

/* --- events --- */

enum pzone_event_kind {
	PZONE_EVENT_OTHER = 0,	/* one that this library does not know */
	PZONE_EVENT_CHANGED,	/* a class's memory, state or report; or it has gone */
	PZONE_EVENT_SHORTAGE,	/* a class is short of memory */
	PZONE_EVENT_NOMEM,	/* the host could not back a class's memory */
	PZONE_EVENT_LAST
};
/* "changed", "shortage", "nomem", "other" */
const char *pzone_event_text(enum pzone_event_kind kind);
/* The kind of that word; PZONE_EVENT_LAST: there is none. */
enum pzone_event_kind pzone_event_from_text(const char *text);

/* Members that an event does not have are 0, false or NULL. */
struct pzone_event {
	enum pzone_event_kind kind;
	const char *qemu_name;		/* "PZONE_CHANGED", ... */
	const char *domain;
	const char *pool;
	const char *class_name;
	uint64_t size_bytes;		/* wanted by the host (changed, nomem) */
	uint64_t actual_bytes;		/* that the class has (changed, nomem) */
	uint64_t wanted_bytes;		/* shortage: that it asks for on top; nomem: not backed */
	const char *state;		/* changed: QEMU's word */
	bool gone;			/* changed: the class is no longer there */
	bool oom;			/* shortage: a process is about to be killed */
	const char *error;		/* nomem: why */
	int64_t seconds;		/* since 1970, when QEMU saw it */
	unsigned int microseconds;
};

typedef void (*pzone_event_cb)(virConnectPtr conn, virDomainPtr dom,
			       const struct pzone_event *event, void *opaque);

/*
 * Call cb for each pzone event of dom, NULL: of all domains. Returns a number for
 * pzone_event_deregister(), or -errno. free_cb (may be NULL) gets opaque at the end,
 * also when this fails. As with all of libvirt's events: register an event loop before
 * the connection is opened, and run it; cb is called from there.
 */
int pzone_event_register(virConnectPtr conn, virDomainPtr dom, pzone_event_cb cb, void *opaque,
			 virFreeCallback free_cb, struct pzone_error *err);
int pzone_event_deregister(virConnectPtr conn, int id, struct pzone_error *err);
/* One line of JSON; free()d by the caller. */
int pzone_event_json(const struct pzone_event *event, char **ret_json, struct pzone_error *err);

/* --- pzoned --- */

#define PZONE_DAEMON_SOCKET	"/run/pzone/pzoned.sock"

/*
 * Ask pzoned: GET /v1/status (JSON), GET /metrics, POST /v1/admit. socket_path NULL:
 * PZONE_DAEMON_SOCKET. body is for POST. -ENOENT nobody listens there, -ETIMEDOUT,
 * -EIO anything else but an answer with status 200.
 */
int pzone_daemon_request(const char *socket_path, const char *method, const char *path,
			 const char *body, unsigned int timeout_ms, char **ret_reply,
			 struct pzone_error *err);
/*
 * Does a domain with this XML fit the host's budgets? 0 yes, -ENOSPC no: err says which
 * class, how much it is guaranteed and what is left. Everything else: it could not
 * be asked (as above), which is no reason to refuse anything.
 */
int pzone_daemon_admit(const char *socket_path, const char *domain_xml, unsigned int timeout_ms,
		       struct pzone_error *err);

#ifdef __cplusplus
}
#endif

#endif /* LIBPZONE_H */
