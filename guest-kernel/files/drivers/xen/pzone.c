// SPDX-License-Identifier: GPL-2.0
/*
 * Memory classes from the Xen store: carries the messages between the control
 * domain and mm/pzone. Section 12 of the project's docs/protocol.md describes the
 * keys, which are those of
 *
 *	/local/domain/<this one>/pzone/<pool>/
 *
 * The control domain writes all of them but those below guest/, which are ours. It
 * also plugs and unplugs: only in a PV domain this driver makes memory hypercalls. A
 * request waits for the reply of its number; everything else is written and forgotten.
 */
#define pr_fmt(fmt) "xen-pzone: " fmt

#include <linux/completion.h>
#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pzone_pool.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <xen/mem-reservation.h>
#include <xen/page.h>
#include <xen/xen.h>
#include <xen/xenbus.h>

#include <asm/tlbflush.h>
#include <asm/xen/hypercall.h>

#define DIR		"pzone"

/* Look for a reply this often, should a watch have got lost. */
#define REPLY_POLL	(5 * HZ)

/* More classes or extents than this are a mistake of the host's. */
#define MAX_LAYOUT	BIT(16)

/* The store takes no longer value from a guest. */
#define MAX_VALUE	2048

/* An extent in a request: three 32-bit numbers and what parts them. */
#define MAX_EXTENT_TEXT	34
#define MAX_ENTRIES	((MAX_VALUE - 64) / MAX_EXTENT_TEXT)

struct xen_pzone {
	struct list_head list;
	char name[VIRTIO_PZONE_NAME_MAX + 1];
	char dir[sizeof(DIR) + 1 + VIRTIO_PZONE_NAME_MAX + 1];
	u64 addr, size, block_size;
	bool lost;			/* what is in the store now is another pool */
	struct pzone_pool *pool;
	struct mutex request_mutex;	/* one request at a time; keeps what follows */
	u32 seq;			/* of the last request */
	struct completion replied;	/* or worth looking whether it is */
	atomic_t event_seq;
};

/* Only the watch's thread adds to it, and nothing is ever taken off. */
static LIST_HEAD(pools);

/* --- reading --- */

static char *read_key(const char *dir, const char *key)
{
	return xenbus_read(XBT_NIL, dir, key, NULL);
}

/* A number that has to be there. */
static int read_u64(const char *dir, const char *key, u64 *ret)
{
	char *text = read_key(dir, key);
	int rc;

	if (IS_ERR(text))
		return PTR_ERR(text);
	rc = kstrtou64(text, 10, ret);
	kfree(text);
	return rc;
}

static int read_u32(const char *dir, const char *key, u32 *ret)
{
	u64 value;
	int rc = read_u64(dir, key, &value);

	if (!rc && value > U32_MAX)
		rc = -ERANGE;
	if (!rc)
		*ret = value;
	return rc;
}

/* The next number of *text, which moves behind it and any blanks. */
static int next_number(char **text, u32 *ret)
{
	const size_t len = strspn(*text, "0123456789");
	char number[sizeof("4294967295")];
	int rc;

	if (len >= sizeof(number))
		return -ERANGE;
	memcpy(number, *text, len);
	number[len] = '\0';
	rc = kstrtou32(number, 10, ret);
	if (!rc)
		*text = skip_spaces(*text + len);
	return rc;
}

/* "first+nr first+nr ..." */
static int add_extents(struct pzone_layout *layout, u32 class_id, char *text)
{
	struct pzone_extent *extents;
	u32 n = 1, first, nr;
	const char *p;
	int rc;

	for (p = text; *p; p++)
		n += !!isspace(*p);
	if (layout->nr_extents + n > MAX_LAYOUT)
		return -E2BIG;
	extents = kvmalloc_array(layout->nr_extents + n, sizeof(*extents), GFP_KERNEL);
	if (!extents)
		return -ENOMEM;
	if (layout->nr_extents)
		memcpy(extents, layout->extents, layout->nr_extents * sizeof(*extents));
	kvfree(layout->extents);
	layout->extents = extents;
	for (text = skip_spaces(text); *text;) {
		rc = next_number(&text, &first);
		if (rc || *text++ != '+')
			return -EINVAL;
		rc = next_number(&text, &nr);
		if (rc)
			return rc;
		extents[layout->nr_extents++] = (struct pzone_extent) { class_id, first, nr };
	}
	return 0;
}

static int read_class(struct xen_pzone *xp, const char *id, struct pzone_layout *layout)
{
	struct pzone_layout_class *to = &layout->classes[layout->nr_classes];
	char dir[sizeof(xp->dir) + sizeof("/class/") + 16], key[32];
	u32 dying = 0, i;
	char *text;
	int rc;

	rc = kstrtou32(id, 10, &to->id);
	if (rc)
		return rc;
	snprintf(dir, sizeof(dir), "%s/class/%u", xp->dir, to->id);
	text = read_key(dir, "name");
	if (IS_ERR(text))
		return PTR_ERR(text);
	rc = strscpy(to->name, text);
	kfree(text);
	if (rc <= 0)
		return -EINVAL;
	rc = read_u32(dir, "wanted", &to->wanted_blocks) ?:
	     read_u32(dir, "guarantee", &to->guarantee_blocks) ?:
	     read_u32(dir, "limit", &to->limit_blocks) ?:
	     read_u32(dir, "dying", &dying) ?:
	     read_u32(dir, "reclaim-seq", &to->reclaim_seq) ?:
	     read_u64(dir, "reclaim-bytes", &to->reclaim_bytes);
	if (rc)
		return rc;
	to->dying = dying;
	/* A long list goes on in the next key, until one is not there. */
	for (i = 0; i < MAX_LAYOUT; i++) {
		snprintf(key, sizeof(key), "extents/%u", i);
		text = read_key(dir, key);
		if (IS_ERR(text))
			return PTR_ERR(text) == -ENOENT && i ? 0 : PTR_ERR(text);
		rc = add_extents(layout, to->id, text);
		kfree(text);
		if (rc)
			return rc;
	}
	return -E2BIG;
}

/*
 * The host changes everything and the generation in one transaction, so what
 * was read belongs together if the generation is the same before and after.
 */
static int pull(void *priv, struct pzone_layout *layout)
{
	struct xen_pzone *xp = priv;
	unsigned int nr, i;
	u32 generation;
	char **ids;
	int rc;

	rc = read_u32(xp->dir, "generation", &layout->generation);
	if (rc)
		return rc == -ENOENT ? -EBUSY : -EIO;
	ids = xenbus_directory(XBT_NIL, xp->dir, "class", &nr);
	if (IS_ERR(ids))
		return -EIO;
	layout->classes = kvcalloc(nr ?: 1, sizeof(*layout->classes), GFP_KERNEL);
	rc = layout->classes ? 0 : -ENOMEM;
	for (i = 0; !rc && i < nr; i++) {
		rc = read_class(xp, ids[i], layout);
		if (!rc)
			layout->nr_classes++;
	}
	kfree(ids);
	if (read_u32(xp->dir, "generation", &generation))
		return -EIO;
	if (generation != layout->generation)
		return -ESTALE;
	if (rc && rc != -ENOMEM) {
		pr_err("%s: can't read layout %u: %d\n", xp->name, generation, rc);
		return -EIO;
	}
	return rc;
}

/* --- requests --- */

/* The reply to the last request; -EAGAIN: not there yet. */
static int read_reply(struct xen_pzone *xp, u32 *status, unsigned int nr)
{
	char *reply = read_key(xp->dir, "reply"), *text, *word;
	unsigned int i;
	u32 seq;
	int rc = -EAGAIN;

	if (IS_ERR(reply))
		return -EAGAIN;
	text = reply;
	if (next_number(&text, &seq) || seq != xp->seq)
		goto out;
	word = strsep(&text, " ");
	if (!strcmp(word, "nack"))
		rc = -ESTALE;
	else if (!strcmp(word, "busy"))
		rc = -EBUSY;
	else if (!strcmp(word, "ack"))
		rc = 0;
	else
		rc = -EIO;
	for (i = 0; !rc && i < nr; i++)
		rc = text ? next_number(&text, &status[i]) : -EIO;
out:
	kfree(reply);
	return rc;
}

/*
 * A restored domain may find a pool of this name that is another one, because the host
 * has lost what it knew. To ask for blocks of that one would be to use memory that is
 * not there.
 */
static bool other_pool(const struct xen_pzone *xp)
{
	u64 addr, size;

	return (!read_u64(xp->dir, "addr", &addr) && addr != xp->addr) ||
	       (!read_u64(xp->dir, "size", &size) && size != xp->size);
}

/* A restored domain has a new store, which the host may not have furnished yet. */
static int write_request(struct xen_pzone *xp, const char *text)
{
	int rc;

	if (READ_ONCE(xp->lost) || other_pool(xp))
		return -EIO;
	rc = xenbus_write(XBT_NIL, xp->dir, "guest/request", text);
	return rc == -EACCES || rc == -ENOENT ? 0 : rc;
}

/* Write a request and wait for its reply, however long the host takes. */
static int send_request(struct xen_pzone *xp, const char *what, u32 *status, unsigned int nr)
{
	char *text, *there;
	int rc;

	mutex_lock(&xp->request_mutex);
	text = kasprintf(GFP_KERNEL, "%u %s", ++xp->seq, what);
	if (!text) {
		mutex_unlock(&xp->request_mutex);
		return -ENOMEM;
	}
	reinit_completion(&xp->replied);
	rc = write_request(xp, text);
	while (!rc) {
		rc = read_reply(xp, status, nr);
		if (rc != -EAGAIN)
			break;
		rc = 0;
		wait_for_completion_timeout(&xp->replied, REPLY_POLL);
		reinit_completion(&xp->replied);
		there = read_key(xp->dir, "guest/request");
		if (READ_ONCE(xp->lost) || IS_ERR(there) || strcmp(there, text))
			rc = write_request(xp, text);
		if (!IS_ERR(there))
			kfree(there);
	}
	kfree(text);
	mutex_unlock(&xp->request_mutex);
	if (rc == -EIO && !READ_ONCE(xp->lost))
		pr_err("%s: the host refused \"%.60s\"\n", xp->name, what);
	return rc;
}

static int unplug_all(void *priv)
{
	return send_request(priv, "unplug-all", NULL, 0);
}

/* --- the memory of a PV domain --- */

#ifdef CONFIG_XEN_PV
/*
 * A PV domain keeps itself the table that says which frame of the machine is at a page
 * (p2m), so nobody else can put memory in its place. With the reply to a plug the host
 * has raised the domain's maximum, and we fetch the frames; after the reply to an
 * unplug we give them back. Pages without a frame are in the direct mapping without one.
 */
#define PV_CHUNK	512UL

static xen_pfn_t frames[PV_CHUNK];
static DEFINE_MUTEX(frames_mutex);

static void pv_set(unsigned long pfn, unsigned long mfn)
{
	const bool none = mfn == INVALID_P2M_ENTRY;

	WARN_ON(HYPERVISOR_update_va_mapping((unsigned long)__va(PFN_PHYS(pfn)),
					     none ? __pte_ma(0) : mfn_pte(mfn, PAGE_KERNEL), 0));
	WARN_ON(!set_phys_to_machine(pfn, mfn));
}

/* All of it or nothing. Done before (the domain was restored): nothing to do. */
static int pv_fill_chunk(unsigned long pfn)
{
	unsigned long i;
	int rc;

	if (pfn_to_mfn(pfn) != INVALID_P2M_ENTRY)
		return 0;
	for (i = 0; i < PV_CHUNK; i++)
		frames[i] = pfn + i;
	rc = xenmem_reservation_increase(PV_CHUNK, frames);
	if (rc < (int)PV_CHUNK) {
		if (rc > 0)
			WARN_ON(xenmem_reservation_decrease(rc, frames) != rc);
		return -ENOMEM;
	}
	for (i = 0; i < PV_CHUNK; i++)
		pv_set(pfn + i, frames[i]);
	return 0;
}

static void pv_empty_chunk(unsigned long pfn)
{
	unsigned long i;

	if (pfn_to_mfn(pfn) == INVALID_P2M_ENTRY)
		return;
	for (i = 0; i < PV_CHUNK; i++) {
		frames[i] = pfn_to_mfn(pfn + i);
		pv_set(pfn + i, INVALID_P2M_ENTRY);
	}
	flush_tlb_all();
	WARN_ON(xenmem_reservation_decrease(PV_CHUNK, frames) != PV_CHUNK);
}

/*
 * The blocks that the protocol has for the memory map never get frames: the memory map is
 * in ordinary memory, because x86 can't put it elsewhere without huge pages.
 */
static void pv_empty(const struct xen_pzone *xp, const struct pzone_extent *extent)
{
	unsigned long pfn = PFN_DOWN(xp->addr + extent->first_block * xp->block_size);
	const unsigned long end = pfn + PFN_DOWN(extent->nr_blocks * xp->block_size);

	if (extent->class_id == VIRTIO_PZONE_CLASS_MEMMAP)
		return;
	mutex_lock(&frames_mutex);
	for (; pfn < end; pfn += PV_CHUNK)
		pv_empty_chunk(pfn);
	mutex_unlock(&frames_mutex);
}

static int pv_fill(const struct xen_pzone *xp, const struct pzone_extent *extent)
{
	unsigned long pfn = PFN_DOWN(xp->addr + extent->first_block * xp->block_size);
	const unsigned long end = pfn + PFN_DOWN(extent->nr_blocks * xp->block_size);
	int rc = 0;

	if (extent->class_id == VIRTIO_PZONE_CLASS_MEMMAP)
		return 0;
	mutex_lock(&frames_mutex);
	for (; !rc && pfn < end; pfn += PV_CHUNK)
		rc = pv_fill_chunk(pfn);
	mutex_unlock(&frames_mutex);
	return rc;
}

/* Let the pool's pages have no frames, before anything is mapped. */
static int pv_prepare(const struct xen_pzone *xp)
{
	unsigned long pfn = PFN_DOWN(xp->addr);
	const unsigned long end = pfn + PFN_DOWN(xp->size);

	if (end > xen_p2m_size) {
		pr_err("pool %s: this kernel keeps no frames of pages that far up; it was built without CONFIG_XEN_BALLOON_MEMORY_HOTPLUG\n",
		       xp->name);
		return -E2BIG;
	}
	for (; pfn < end; pfn++)
		if (!set_phys_to_machine(pfn, INVALID_P2M_ENTRY))
			return -ENOMEM;
	return 0;
}
#else
static void pv_empty(const struct xen_pzone *xp, const struct pzone_extent *extent) {}
static int pv_fill(const struct xen_pzone *xp, const struct pzone_extent *extent)
{
	return 0;
}

static int pv_prepare(const struct xen_pzone *xp)
{
	return 0;
}
#endif

/* --- requests about memory --- */

static int change(struct xen_pzone *xp, const char *verb, u32 generation,
		  const struct pzone_extent *extents, unsigned int nr, u32 *status)
{
	char *text = kmalloc(MAX_VALUE, GFP_KERNEL);
	unsigned int i;
	int len, rc;

	if (!text)
		return -ENOMEM;
	len = scnprintf(text, MAX_VALUE, "%s %u", verb, generation);
	for (i = 0; i < nr; i++)
		len += scnprintf(text + len, MAX_VALUE - len, " %u:%u+%u", extents[i].class_id,
				 extents[i].first_block, extents[i].nr_blocks);
	rc = send_request(xp, text, status, nr);
	kfree(text);
	return rc;
}

/* The host let us have frames that somebody else has taken before us: say so. */
static int not_plugged(struct xen_pzone *xp, const struct pzone_extent *extent)
{
	u32 generation, status;
	int rc;

	pv_empty(xp, extent);
	do {
		rc = read_u32(xp->dir, "generation", &generation) ?:
		     change(xp, "unplug", generation, extent, 1, &status);
		if (rc == -EBUSY || (!rc && status != VIRTIO_PZONE_OK))
			msleep(100);
	} while (rc == -ESTALE || rc == -EBUSY || (!rc && status != VIRTIO_PZONE_OK));
	return rc;
}

static int plug(void *priv, u32 generation, const struct pzone_extent *extents,
		unsigned int nr, u32 *status)
{
	int rc = change(priv, "plug", generation, extents, nr, status);
	unsigned int i;

	for (i = 0; xen_pv_domain() && !rc && i < nr; i++) {
		if (status[i] != VIRTIO_PZONE_OK || !pv_fill(priv, &extents[i]))
			continue;
		status[i] = VIRTIO_PZONE_NOMEM;
		rc = not_plugged(priv, &extents[i]);
	}
	return rc;
}

static int unplug(void *priv, u32 generation, const struct pzone_extent *extents,
		  unsigned int nr, u32 *status)
{
	int rc = change(priv, "unplug", generation, extents, nr, status);
	unsigned int i;

	for (i = 0; xen_pv_domain() && !rc && i < nr; i++)
		if (status[i] == VIRTIO_PZONE_OK)
			pv_empty(priv, &extents[i]);
	return rc;
}

/* --- what needs no reply --- */

static int send_report(void *priv, u32 generation, const struct pzone_class_report *reports,
		       unsigned int nr)
{
	struct xen_pzone *xp = priv;
	char key[32];
	unsigned int i;
	int rc = 0;

	for (i = 0; !rc && i < nr; i++) {
		const struct pzone_class_report *r = &reports[i];

		snprintf(key, sizeof(key), "guest/report/%u", r->class_id);
		rc = xenbus_printf(XBT_NIL, xp->dir, key,
				   "state=%u cgroups=%u stuck=%u reclaim-done-seq=%u reclaimed=%llu free=%llu anon=%llu file=%llu pinned=%llu refaults=%llu pressure-us=%llu oom=%llu oom-kill=%llu",
				   r->state, r->nr_cgroups, r->stuck_blocks, r->reclaim_done_seq,
				   r->reclaimed_bytes, r->free_bytes, r->anon_bytes,
				   r->file_bytes, r->pinned_bytes, r->refault_pages,
				   r->pressure_us, r->oom_events, r->oom_kills);
	}
	/* After what belongs to it. */
	if (!rc)
		rc = xenbus_printf(XBT_NIL, xp->dir, "guest/done", "%u", generation);
	return rc ? -EIO : 0;
}

static int send_event(void *priv, u32 class_id, u32 kind, u32 wanted_blocks)
{
	struct xen_pzone *xp = priv;
	char key[32];

	snprintf(key, sizeof(key), "guest/event/%u", class_id);
	return xenbus_printf(XBT_NIL, xp->dir, key, "%u %s %u",
			     (u32)atomic_inc_return(&xp->event_seq),
			     kind == VIRTIO_PZONE_EVENT_OOM ? "oom" : "pressure",
			     wanted_blocks) ? -EIO : 0;
}

static const struct pzone_transport xen_pzone_transport = {
	.unplug_all = unplug_all,
	.pull = pull,
	.plug = plug,
	.unplug = unplug,
	.report = send_report,
	.event = send_event,
};

/* --- pools come --- */

static struct xen_pzone *find_pool(const char *name, size_t len)
{
	struct xen_pzone *xp;

	list_for_each_entry(xp, &pools, list)
		if (strlen(xp->name) == len && !strncmp(xp->name, name, len))
			return xp;
	return NULL;
}

static void add_pool(const char *name)
{
	struct pzone_pool_params params = {
		.max_entries = MAX_ENTRIES,
		.ordinary_memmap = xen_pv_domain(),
	};
	struct xen_pzone *xp;
	char *reply, *text;
	u32 generation;
	int rc;

	if (strlen(name) > VIRTIO_PZONE_NAME_MAX)
		return;
	xp = kzalloc(sizeof(*xp), GFP_KERNEL);
	if (!xp)
		return;
	strscpy(xp->name, name);
	snprintf(xp->dir, sizeof(xp->dir), DIR "/%s", name);
	mutex_init(&xp->request_mutex);
	init_completion(&xp->replied);
	/* Written last: without it the pool is still being made. */
	if (read_u32(xp->dir, "generation", &generation)) {
		kfree(xp);
		return;
	}
	rc = read_u64(xp->dir, "addr", &params.addr) ?:
	     read_u64(xp->dir, "size", &params.size) ?:
	     read_u64(xp->dir, "block-size", &params.block_size);
	if (rc) {
		pr_err("pool %s has no good addr, size or block-size: %d\n", name, rc);
		kfree(xp);
		return;
	}
	xp->addr = params.addr;
	xp->size = params.size;
	xp->block_size = params.block_size;
	params.name = xp->name;
	params.nid = memory_add_physaddr_to_nid(params.addr);
	/* An earlier kernel of this domain may have used the channel. */
	reply = read_key(xp->dir, "reply");
	if (!IS_ERR(reply)) {
		text = reply;
		if (next_number(&text, &xp->seq))
			xp->seq = 0;
		kfree(reply);
	}
	pr_info("pool %s: [mem %#llx-%#llx], blocks of %llu bytes\n", name, params.addr,
		params.addr + params.size - 1, params.block_size);
	/* Before the pool's worker can wait for a reply. */
	list_add_tail(&xp->list, &pools);
	rc = xen_pv_domain() ? pv_prepare(xp) : 0;
	xp->pool = rc ? ERR_PTR(rc) : pzone_pool_register(&params, &xen_pzone_transport, xp);
	if (IS_ERR(xp->pool)) {
		pr_err("pool %s: %ld\n", name, PTR_ERR(xp->pool));
		xp->pool = NULL;	/* and it stays known, or we would try for ever */
	}
}

/* The classes stay as they are, with the memory that they have. */
static void give_up(struct xen_pzone *xp)
{
	pr_err("pool %s: the host has lost what it knew of it; its classes keep their memory and can't be changed until this system is started anew\n",
	       xp->name);
	WRITE_ONCE(xp->lost, true);
	complete(&xp->replied);
	if (xp->pool)
		pzone_pool_stop(xp->pool);
}

static void scan(void)
{
	struct xen_pzone *xp;
	unsigned int nr, i;
	char **names = xenbus_directory(XBT_NIL, DIR, "", &nr);

	if (IS_ERR(names))
		return;
	for (i = 0; i < nr; i++)
		if (!find_pool(names[i], strlen(names[i])))
			add_pool(names[i]);
	kfree(names);
	/* After a restore everything may be different. */
	list_for_each_entry(xp, &pools, list) {
		if (!xp->lost && other_pool(xp))
			give_up(xp);
		complete(&xp->replied);
		if (xp->pool && !xp->lost)
			pzone_pool_kick(xp->pool);
	}
}

/* "/reply" of "pzone/ua/reply"; NULL for what is no pool's key. */
static const char *pool_key(const char *path)
{
	const char *name = strchr(path, '/');

	return name ? strchr(name + 1, '/') : NULL;
}

/* Our own answers are no news. (A pool may be called "guest", too.) */
static bool will_handle(struct xenbus_watch *watch, const char *path, const char *token)
{
	const char *key = pool_key(path);

	return !key || !str_has_prefix(key, "/guest");
}

static void changed(struct xenbus_watch *watch, const char *path, const char *token)
{
	const char *name = path + strlen(DIR) + 1, *key = pool_key(path);
	struct xen_pzone *xp = key ? find_pool(name, key - name) : NULL;

	if (!xp)
		scan();
	else if (!strcmp(key, "/reply"))
		complete(&xp->replied);
	else if (!strcmp(key, "/addr") || !strcmp(key, "/size"))
		scan();
	else if (!strcmp(key, "/generation") && xp->pool && !xp->lost)
		pzone_pool_kick(xp->pool);
}

static struct xenbus_watch watch = {
	.node = DIR,
	.will_handle = will_handle,
	.callback = changed,
};

static int store_ready(struct notifier_block *nb, unsigned long event, void *data)
{
	int rc = register_xenbus_watch(&watch);

	if (rc)
		pr_err("can't watch " DIR " in the store: %d\n", rc);
	return NOTIFY_DONE;
}

static struct notifier_block store_notifier = { .notifier_call = store_ready };

static int __init xen_pzone_init(void)
{
	if (!xen_domain() || !pzone_available())
		return -ENODEV;
	register_xenstore_notifier(&store_notifier);
	return 0;
}
late_initcall(xen_pzone_init);
