// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pool.c: one pool of a domain: the core's books, the domain's memory, the store.
 *
 * A request of the guest is handled in this order, so that we can be killed
 * between any two steps and find the way from there:
 *   1. what is about to be plugged or unplugged is written down ("pending");
 *   2. the hypervisor does it;
 *   3. one transaction writes the core's state, the new layout and the reply, and
 *      removes "pending".
 * Who starts and finds "pending" empties those blocks: a plug that was not answered
 * is undone, an unplug is done (again). Then the request, which still has no reply,
 * is handled as if it had just come.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store.h"
#include "xend.h"

/* What a guest may make us look at its reports: this often, not more. */
#define REPORT_MS	100

/* And this often, not more, may its events fill the log. */
#define EVENT_US	(2 * G_USEC_PER_SEC)

static uint64_t kib(const struct pool *pool, uint32_t blocks)
{
	return blocks * (pool->block_size >> 10);
}

uint32_t pool_blocks(const struct pool *pool, uint64_t bytes)
{
	return bytes / pool->block_size;
}

/* --- what the core asks for --- */

/* Says it, too: once, not each time the guest asks again. */
static void set_error(struct pool *pool, uint32_t first, const char *error)
{
	for (uint32_t i = 0; i < pool->nr_doing; i++) {
		void *id = GUINT_TO_POINTER(pool->doing[i].class_id);

		if (pool->doing[i].first != first)
			continue;
		if (g_strcmp0(g_hash_table_lookup(pool->errors, id), error))
			say("%s: %s\n", pool->domain->name, error);
		g_hash_table_insert(pool->errors, id, g_strdup(error));
	}
}

static void clear_error(struct pool *pool, uint32_t first)
{
	for (uint32_t i = 0; i < pool->nr_doing; i++)
		if (pool->doing[i].first == first)
			g_hash_table_remove(pool->errors,
					    GUINT_TO_POINTER(pool->doing[i].class_id));
}

/* Of a PV domain only the maximum is ours to raise: see if the host has as much. */
static int populate(struct pool *pool, uint32_t first, uint64_t size, uint64_t *ret_free_kib)
{
	const struct domain *domain = pool->domain;

	if (!domain->pv)
		return memory_populate(domain->xend->xch, domain->id,
				       pool->addr + first * pool->block_size, size, ret_free_kib);
	*ret_free_kib = memory_host_free_kib(domain->xend->xch);
	return *ret_free_kib < size >> 10 ? -ENOMEM : 0;
}

static int op_plug(void *opaque, uint32_t first, uint32_t nr)
{
	struct pool *pool = opaque;
	struct domain *domain = pool->domain;
	const uint64_t size = nr * pool->block_size;
	uint64_t free_kib = 0;
	int rc;

	rc = domain_set_max(domain, size >> 10);
	if (!rc)
		rc = populate(pool, first, size, &free_kib);
	if (rc) {
		g_autofree char *why = g_strdup_printf("pool '%s': the host has no memory for %" PRIu64 " MiB more: %" PRIu64 " MiB are free",
						       pool->name, size >> 20, free_kib >> 10);

		domain_set_max(domain, 0);
		set_error(pool, first, why);
		return -ENOMEM;
	}
	pool->plugged_kib += size >> 10;
	clear_error(pool, first);
	return 0;
}

static int op_unplug(void *opaque, uint32_t first, uint32_t nr)
{
	struct pool *pool = opaque;
	struct domain *domain = pool->domain;
	const uint64_t size = nr * pool->block_size;

	pool->plugged_kib -= size >> 10;
	if (!domain->pv)
		memory_depopulate(domain->xend->xch, domain->id,
				  pool->addr + first * pool->block_size, size,
				  domain_max_kib(domain));
	domain_set_max(domain, 0);
	clear_error(pool, first);
	return 0;
}

static bool op_busy(void *opaque)
{
	const struct pool *pool = opaque;

	return pool->domain->shutdown;
}

static void op_event(void *opaque, uint32_t class_id, uint32_t kind, uint32_t wanted)
{
	struct pool *pool = opaque;
	struct pz_class_info class;

	if (pz_class_by_id(pool->core, class_id, &class) ||
	    g_get_monotonic_time() < pool->quiet_until_us)
		return;
	pool->quiet_until_us = g_get_monotonic_time() + EVENT_US;
	say("%s: class %s is %s and wants %" PRIu64 " MiB more\n", pool->domain->name, class.name,
	    kind == VIRTIO_PZONE_EVENT_OOM ? "out of memory" : "under pressure",
	    kib(pool, wanted) >> 10);
}

static const struct pz_ops ops = {
	.plug = op_plug,
	.unplug = op_unplug,
	.busy = op_busy,
	.event = op_event,
};

/* --- the store --- */

static bool put_state(struct pool *pool, xs_transaction_t t, unsigned int *ret_nr_chunks)
{
	struct xend *xend = pool->domain->xend;
	g_autofree char *text = NULL;
	uint8_t *blob = NULL;
	unsigned int n = 0;
	size_t len;
	bool good = true;

	if (pz_pool_save(pool->core, &blob, &len))
		return false;
	text = g_base64_encode(blob, len);
	free(blob);
	for (const char *at = text; good && *at; n++) {
		g_autofree char *key = g_strdup_printf("state-%u", n);
		g_autofree char *chunk = g_strndup(at, STORE_CHUNK);

		at += strlen(chunk);
		good = xs_put(xend, t, pool->own_dir, key, chunk);
	}
	/* Longer ones of before would be read as a part of it. */
	for (unsigned int i = n; good && i < pool->nr_chunks; i++) {
		g_autofree char *key = g_strdup_printf("state-%u", i);

		good = xs_del(xend, t, pool->own_dir, key);
	}
	*ret_nr_chunks = n;
	return good && (!pool->reply || xs_put(xend, t, pool->own_dir, "reply", pool->reply)) &&
	       xs_del(xend, t, pool->own_dir, "pending");
}

/* Write what is new or different of keys, remove what is gone, forget an empty class. */
static bool put_layout(struct pool *pool, xs_transaction_t t, GHashTable *keys)
{
	struct xend *xend = pool->domain->xend;
	const char *key, *value;
	GHashTableIter iter;

	g_hash_table_iter_init(&iter, keys);
	while (g_hash_table_iter_next(&iter, (void **)&key, (void **)&value)) {
		const char *old = g_hash_table_lookup(pool->published, key);

		if ((!old || strcmp(old, value)) && !xs_put(xend, t, pool->dir, key, value))
			return false;
	}
	g_hash_table_iter_init(&iter, pool->published);
	while (g_hash_table_iter_next(&iter, (void **)&key, NULL)) {
		if (g_hash_table_contains(keys, key) || !xs_del(xend, t, pool->dir, key))
			continue;
		if (g_str_has_suffix(key, "/name")) {
			g_autofree char *class = g_path_get_dirname(key);

			xs_del(xend, t, pool->dir, class);
		}
	}
	return true;
}

static bool try_commit(struct pool *pool, GHashTable *keys, uint32_t generation)
{
	struct xend *xend = pool->domain->xend;
	g_autofree char *number = g_strdup_printf("%" PRIu32, generation);
	unsigned int nr_chunks;
	xs_transaction_t t;
	bool good;

	errno = 0;
	t = xs_transaction_start(xend->xs);
	if (!t)
		return false;
	good = put_state(pool, t, &nr_chunks) && put_layout(pool, t, keys) &&
	       (!pool->reply || xs_put(xend, t, pool->dir, "reply", pool->reply)) &&
	       (generation == pool->published_generation ||
		xs_put(xend, t, pool->dir, "generation", number));
	if (!xs_transaction_end(xend->xs, t, !good) || !good)
		return false;
	pool->nr_chunks = nr_chunks;
	return true;
}

void pool_commit(struct pool *pool)
{
	GHashTable *keys = store_layout(pool->core);
	struct pz_pool_info info;

	pz_pool_info(pool->core, &info);
	while (!try_commit(pool, keys, info.generation)) {
		/* Somebody else changed the store meanwhile. */
		if (errno == EAGAIN)
			continue;
		/* The domain is going away; what is not written is not promised. */
		say("%s: pool %s: can't write to the store: %s\n", pool->domain->name, pool->name,
		    g_strerror(errno));
		g_hash_table_unref(keys);
		return;
	}
	g_hash_table_unref(pool->published);
	pool->published = keys;
	pool->published_generation = info.generation;
}

/* --- requests --- */

static void set_reply(struct pool *pool, uint32_t seq, char *text)
{
	g_free(pool->reply);
	pool->reply = text;
	pool->reply_seq = seq;
}

static void reply_word(struct pool *pool, uint32_t seq, const char *word)
{
	struct pz_pool_info info;

	pz_pool_info(pool->core, &info);
	set_reply(pool, seq, store_reply_word(seq, word, info.generation));
}

/* False: what is not written down must not be done. */
static bool write_pending(struct pool *pool, const struct pz_extent *extents, uint32_t nr)
{
	g_autofree char *text = store_extents(extents, nr);

	return !nr || xs_put(pool->domain->xend, XBT_NULL, pool->own_dir, "pending", text);
}

static void unplug_all(struct pool *pool, uint32_t seq)
{
	const uint32_t nr = pz_pool_actual(pool->core, 0, NULL, 0);
	g_autofree struct pz_extent *all = g_new(struct pz_extent, nr + 1);
	/* A list of all extents might be longer than a value may be. */
	const struct pz_extent region = { .nr = pool_blocks(pool, pool->size) };

	pz_pool_actual(pool->core, 0, all, nr);
	if (op_busy(pool) || !write_pending(pool, &region, MIN(nr, 1))) {
		reply_word(pool, seq, "busy");
		return;
	}
	for (uint32_t i = 0; i < nr; i++)
		op_unplug(pool, all[i].first, all[i].nr);
	pz_pool_all_unplugged(pool->core);
	g_hash_table_remove_all(pool->errors);
	reply_word(pool, seq, "ack");
}

static void change(struct pool *pool, const struct store_request *request)
{
	struct pz_extent extents[VIRTIO_PZONE_MAX_ENTRIES];
	uint8_t resp[STORE_RESP_ROOM];
	bool plug;
	uint32_t nr;
	ssize_t len;

	nr = pz_pool_changes(pool->core, request->req, request->req_len, &plug, extents);
	if (!write_pending(pool, extents, nr)) {
		reply_word(pool, request->seq, "busy");
		return;
	}
	pool->doing = extents;
	pool->nr_doing = nr;
	len = pz_pool_handle_request(pool->core, request->req, request->req_len, resp,
				     sizeof(resp));
	pool->nr_doing = 0;
	set_reply(pool, request->seq, store_reply(request->seq, resp, len));
}

static void handle_request(struct pool *pool)
{
	g_autofree char *text = xs_get(pool->domain->xend, XBT_NULL, pool->dir, "guest/request");
	struct store_request request;
	int rc;

	if (!text)
		return;
	rc = store_parse_request(text, strlen(text), &request);
	if (rc == -ENOENT || (pool->reply && request.seq == pool->reply_seq))
		return;
	if (rc) {
		reply_word(pool, request.seq, "error");
	} else if (request.unplug_all) {
		unplug_all(pool, request.seq);
	} else {
		change(pool, &request);
	}
	pool_commit(pool);
}

/* --- reports and events --- */

/* Hand entries to the core, as if they had come in a virtqueue. */
static void tell_core(struct pool *pool, uint16_t type, uint32_t generation, const void *entries,
		      uint16_t nr, size_t entry_size)
{
	g_autofree uint8_t *req = g_malloc(sizeof(struct virtio_pzone_req) + nr * entry_size);
	struct virtio_pzone_req header = {
		.type = htole16(type), .nr = htole16(nr), .generation = htole32(generation) };
	uint8_t resp[sizeof(struct virtio_pzone_resp)];

	memcpy(req, &header, sizeof(header));
	memcpy(req + sizeof(header), entries, nr * entry_size);
	pz_pool_handle_request(pool->core, req, sizeof(header) + nr * entry_size, resp,
			       sizeof(resp));
}

/* Of the classes that there are; what else the guest wrote is not even looked at. */
static void read_reports(struct pool *pool)
{
	struct xend *xend = pool->domain->xend;
	struct virtio_pzone_report reports[VIRTIO_PZONE_MAX_ENTRIES];
	g_autofree char *done = xs_get(xend, XBT_NULL, pool->dir, "guest/done");
	struct pz_class_info class;
	uint64_t generation = 0;
	unsigned int nr = 0;

	if (!done || store_parse_number(done, strlen(done), UINT32_MAX, &generation))
		return;
	for (uint32_t i = 0; !pz_class_get(pool->core, i, &class); i++) {
		g_autofree char *key = g_strdup_printf("guest/report/%" PRIu32, class.id);
		g_autofree char *text = xs_get(xend, XBT_NULL, pool->dir, key);

		if (!text || store_parse_report(text, strlen(text), class.id, &reports[nr]))
			continue;
		if (++nr < VIRTIO_PZONE_MAX_ENTRIES)
			continue;
		tell_core(pool, VIRTIO_PZONE_REQ_REPORT, generation, reports, nr, sizeof(*reports));
		nr = 0;
	}
	tell_core(pool, VIRTIO_PZONE_REQ_REPORT, generation, reports, nr, sizeof(*reports));
}

static gboolean report_due(gpointer data)
{
	struct pool *pool = data;
	struct pz_pool_info info;

	pool->report_timer = 0;
	read_reports(pool);
	/* A relocation goes on when the guest says that it is through. */
	pz_pool_info(pool->core, &info);
	if (info.generation != pool->published_generation)
		pool_commit(pool);
	return G_SOURCE_REMOVE;
}

static void read_event(struct pool *pool, const char *name)
{
	g_autofree char *key = g_strdup_printf("guest/event/%s", name);
	g_autofree char *text = NULL;
	struct virtio_pzone_event event;
	uint64_t class_id;
	uint32_t seq;
	void *known;

	if (store_parse_number(name, strlen(name), UINT32_MAX, &class_id))
		return;
	text = xs_get(pool->domain->xend, XBT_NULL, pool->dir, key);
	if (!text || store_parse_event(text, strlen(text), class_id, &seq, &event))
		return;
	/* A restored domain's store, and ours after a restart, tell it again: no harm. */
	if (g_hash_table_lookup_extended(pool->event_seqs, GUINT_TO_POINTER(class_id), NULL,
					 &known) && GPOINTER_TO_UINT(known) == seq)
		return;
	if (g_hash_table_size(pool->event_seqs) >= PZ_MAX_CLASSES)
		g_hash_table_remove_all(pool->event_seqs);
	g_hash_table_insert(pool->event_seqs, GUINT_TO_POINTER(class_id), GUINT_TO_POINTER(seq));
	tell_core(pool, VIRTIO_PZONE_REQ_EVENT, 0, &event, 1, sizeof(event));
}

void pool_guest_wrote(struct pool *pool, const char *path)
{
	if (!strcmp(path, "request")) {
		handle_request(pool);
	} else if (g_str_has_prefix(path, "event/")) {
		read_event(pool, path + strlen("event/"));
	} else if (!pool->report_timer) {
		pool->report_timer = g_timeout_add(REPORT_MS, report_due, pool);
	}
}

const char *pool_guest(const struct pool *pool)
{
	return pool->reply ? "ready" : "none";
}

/* --- life --- */

static struct pool *pool_alloc(struct domain *domain, const char *name)
{
	struct pool *pool = g_new0(struct pool, 1);

	pool->domain = domain;
	pool->name = g_strdup(name);
	pool->block_size = POOL_BLOCK;
	pool->dir = g_strdup_printf("/local/domain/%u/pzone/%s", domain->id, name);
	pool->own_dir = g_strdup_printf("%s/pool/%s", domain->own_dir, name);
	pool->published = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	pool->errors = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	pool->event_seqs = g_hash_table_new(NULL, NULL);
	return pool;
}

void pool_free(struct pool *pool)
{
	g_autofree char *guest = g_strdup_printf("%s/guest", pool->dir);

	xs_unwatch(pool->domain->xend->xs, guest, "guest");
	if (pool->report_timer)
		g_source_remove(pool->report_timer);
	pz_pool_free(pool->core);
	g_hash_table_unref(pool->published);
	g_hash_table_unref(pool->errors);
	g_hash_table_unref(pool->event_seqs);
	g_free(pool->name);
	g_free(pool->dir);
	g_free(pool->own_dir);
	g_free(pool->reply);
	g_free(pool->pending);
	g_free(pool);
}

static void make_dir(struct pool *pool, const char *dir, struct xs_permissions *who, unsigned int nr)
{
	struct xs_handle *xs = pool->domain->xend->xs;

	xs_mkdir(xs, XBT_NULL, dir);
	xs_set_permissions(xs, XBT_NULL, dir, who, nr);
}

/* The directories that only we can write. */
static void make_our_dirs(struct pool *pool)
{
	struct xs_permissions ours[] = { { 0, XS_PERM_NONE }, { pool->domain->id, XS_PERM_READ } };
	struct xs_permissions private[] = { { 0, XS_PERM_NONE } };
	g_autofree char *parent = g_path_get_dirname(pool->dir);

	make_dir(pool, parent, ours, G_N_ELEMENTS(ours));
	make_dir(pool, pool->dir, ours, G_N_ELEMENTS(ours));
	make_dir(pool, pool->own_dir, private, G_N_ELEMENTS(private));
}

static void put_number(struct pool *pool, const char *key, uint64_t value)
{
	g_autofree char *text = g_strdup_printf("%" PRIu64, value);

	xs_put(pool->domain->xend, XBT_NULL, pool->dir, key, text);
	xs_put(pool->domain->xend, XBT_NULL, pool->own_dir, key, text);
}

static void start(struct pool *pool)
{
	struct xs_permissions theirs[] = { { pool->domain->id, XS_PERM_NONE } };
	g_autofree char *guest = g_strdup_printf("%s/guest", pool->dir);

	make_our_dirs(pool);
	put_number(pool, "addr", pool->addr);
	put_number(pool, "size", pool->size);
	put_number(pool, "block-size", pool->block_size);
	/* Now: a guest that could write sooner might ask before it sees whose pool this is. */
	make_dir(pool, guest, theirs, G_N_ELEMENTS(theirs));
	pool_commit(pool);
	/* Fires at once: what the guest wrote while nobody looked is found. */
	xs_watch(pool->domain->xend->xs, guest, "guest");
}

static void grow_tables(struct pool *pool)
{
	const struct domain *domain = pool->domain;
	const int rc = domain->pv ? 0 :
		       memory_grow_tables(domain->xend->xch, domain->id, pool->size);

	if (rc)
		say("%s: pool %s: can't have more memory for page tables: %s\n", domain->name,
		    pool->name, g_strerror(-rc));
}

struct pool *pool_new(struct domain *domain, const struct conf_pool *conf, uint64_t addr,
		      char **err)
{
	struct pool *pool = pool_alloc(domain, conf->name);
	struct pz_error perr;

	pool->addr = addr;
	pool->size = conf->size;
	grow_tables(pool);
	if (pz_pool_new(pool_blocks(pool, conf->size), pool->block_size,
			pool_blocks(pool, conf->requested), &ops, pool, &pool->core, &perr)) {
		*err = g_strdup(perr.msg);
		pool_free(pool);
		return NULL;
	}
	start(pool);
	return pool;
}

/* NULL when there is none. */
static char *read_state(struct pool *pool)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (pool->nr_chunks = 0; ; pool->nr_chunks++) {
		g_autofree char *key = g_strdup_printf("state-%u", pool->nr_chunks);
		g_autofree char *chunk = xs_get(pool->domain->xend, XBT_NULL, pool->own_dir, key);

		if (!chunk)
			break;
		g_string_append(text, chunk);
	}
	return text->len ? g_strdup(text->str) : NULL;
}

/* What was being done when we were killed: empty these blocks. */
static void undo_pending(struct pool *pool)
{
	struct domain *domain = pool->domain;

	/* A PV domain has not changed them: it waits for the reply. */
	for (uint32_t i = 0; !domain->pv && i < pool->nr_pending; i++) {
		const struct pz_extent *e = &pool->pending[i];

		say("%s: pool %s: blocks %u+%u were being changed when pzone-xend ended\n",
		    domain->name, pool->name, e->first, e->nr);
		memory_depopulate(domain->xend->xch, domain->id,
				  pool->addr + e->first * pool->block_size,
				  e->nr * pool->block_size, 0);
	}
	g_clear_pointer(&pool->pending, g_free);
	pool->nr_pending = 0;
}

static bool load_pending(struct pool *pool, char **err)
{
	g_autofree char *text = xs_get(pool->domain->xend, XBT_NULL, pool->own_dir, "pending");
	const uint32_t end = pool_blocks(pool, pool->size);
	int nr;

	if (!text)
		return true;
	pool->pending = g_new(struct pz_extent, VIRTIO_PZONE_MAX_ENTRIES);
	nr = store_parse_extents(text, pool->pending, VIRTIO_PZONE_MAX_ENTRIES);
	for (int i = 0; i < nr; i++)
		if (pool->pending[i].first >= end || pool->pending[i].nr > end - pool->pending[i].first)
			nr = -EINVAL;
	if (nr < 0) {
		*err = g_strdup_printf("pending = '%s' is no list of its %u blocks", text, end);
		return false;
	}
	pool->nr_pending = nr;
	return true;
}

static bool load_reply(struct pool *pool, char **err)
{
	uint64_t seq;

	pool->reply = xs_get(pool->domain->xend, XBT_NULL, pool->own_dir, "reply");
	if (!pool->reply)
		return true;
	if (store_parse_number(pool->reply, strcspn(pool->reply, " "), UINT32_MAX, &seq)) {
		*err = g_strdup_printf("reply = '%s' does not begin with a number", pool->reply);
		return false;
	}
	pool->reply_seq = seq;
	return true;
}

static bool load_place(struct pool *pool, char **err)
{
	struct xend *xend = pool->domain->xend;

	if (xs_get_u64(xend, pool->own_dir, "addr", &pool->addr) &&
	    xs_get_u64(xend, pool->own_dir, "size", &pool->size) &&
	    pool->size && !(pool->addr % POOL_SECTION) && !(pool->size % POOL_SECTION) &&
	    pool->size / pool->block_size <= UINT32_MAX && pool->addr <= UINT64_MAX - pool->size)
		return true;
	*err = g_strdup("addr and size are no place in a domain's memory");
	return false;
}

static bool load_state(struct pool *pool, char **err)
{
	g_autofree char *text = read_state(pool);
	g_autofree uint8_t *blob = NULL;
	struct pz_pool_info info;
	struct pz_error perr;
	gsize len;

	if (!text) {
		*err = g_strdup("state-0 is missing");
		return false;
	}
	blob = g_base64_decode(text, &len);
	if (pz_pool_new(pool_blocks(pool, pool->size), pool->block_size,
			pool_blocks(pool, pool->size), &ops, pool, &pool->core, &perr) ||
	    pz_pool_load(pool->core, blob, len, &perr)) {
		*err = g_strdup_printf("state: %s", perr.msg);
		return false;
	}
	pz_pool_info(pool->core, &info);
	pool->plugged_kib = kib(pool, info.plugged);
	return true;
}

struct pool *pool_load(struct domain *domain, const char *name, char **err)
{
	struct pool *pool = pool_alloc(domain, name);

	if (load_place(pool, err) && load_state(pool, err) && load_pending(pool, err) &&
	    load_reply(pool, err))
		return pool;
	pool_free(pool);
	return NULL;
}

/* Let there[] be true for each block of these. */
static void mark(bool *there, const struct pz_extent *extents, uint32_t nr, bool value)
{
	for (uint32_t i = 0; i < nr; i++)
		for (uint32_t b = 0; b < extents[i].nr; b++)
			there[extents[i].first + b] = value;
}

bool pool_matches_memory(const struct pool *pool, char **err)
{
	const uint32_t nr = pool_blocks(pool, pool->size);
	const uint32_t nr_actual = pz_pool_actual(pool->core, 0, NULL, 0);
	g_autofree struct pz_extent *actual = g_new(struct pz_extent, nr_actual + 1);
	g_autofree bool *there = g_new(bool, nr), *known = g_new0(bool, nr);
	uint32_t b = 0;
	int rc;

	/* A PV domain's memory is where it says; what it has already it does not fetch again. */
	if (pool->domain->pv)
		return true;
	rc = memory_present(pool->domain->id, pool->addr, pool->block_size, nr, there);
	if (rc) {
		*err = g_strdup_printf("can't look at the domain's memory: %s", g_strerror(-rc));
		return false;
	}
	pz_pool_actual(pool->core, 0, actual, nr_actual);
	mark(known, actual, nr_actual, true);
	/* Of these nobody knows, and they will be emptied. */
	mark(known, pool->pending, pool->nr_pending, false);
	mark(there, pool->pending, pool->nr_pending, false);
	while (b < nr && there[b] == known[b])
		b++;
	if (b < nr)
		*err = g_strdup_printf("the domain has %s at block %u, the store says the opposite: the file it was restored from is of another time",
				       there[b] ? "memory" : "no memory", b);
	return b == nr;
}

void pool_go_on(struct pool *pool, bool restored)
{
	undo_pending(pool);
	if (restored)
		grow_tables(pool);
	start(pool);
}
