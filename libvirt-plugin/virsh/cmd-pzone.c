// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-pzone.c - the commands for memory classes
 *
 * Thin over libpzone: each command reads its options, calls the library once
 * and prints. To add a command: its options, its function, a line in the
 * table at the end, a page in virsh-pzone.1, golden tests.
 */
#include "cmds.h"
#include "libpzone.h"
#include "progress.h"
#include "watchdog.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>

#define LEFT_OUT UINT64_MAX	/* libpzone's word for "not given" */

/* ---- shared by the commands ---- */

/* By id, UUID or name, as everywhere in virsh. NULL when there is none. */
static virDomainPtr lookup(virConnectPtr conn, const char *name)
{
	virDomainPtr dom = NULL;
	char *end;
	long id;

	if (isdigit((unsigned char)*name)) {
		errno = 0;
		id = strtol(name, &end, 10);
		if (!errno && !*end && id <= INT_MAX)
			dom = virDomainLookupByID(conn, id);
	}
	if (!dom && strlen(name) == VIR_UUID_STRING_BUFLEN - 1)
		dom = virDomainLookupByUUIDString(conn, name);
	if (!dom)
		dom = virDomainLookupByName(conn, name);
	return dom;
}

static virDomainPtr opt_domain(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	const char *name = NULL;
	virConnectPtr conn;
	virDomainPtr dom;

	if (cli_opt_string(ctl, cmd, "domain", &name) <= 0)
		return NULL;
	conn = ctl_connect(ctl);
	if (!conn)
		return NULL;
	/* from here on: connecting may ask a person for a password */
	watchdog_start(0);
	dom = lookup(conn, name);
	if (!dom) {
		watchdog_stop();
		cli_error(ctl, "failed to get domain '%s'", name);
		if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
			cli_error(ctl, "%s", virGetLastErrorMessage());
	}
	return dom;
}

/* The end of what opt_domain() began; takes NULL. */
static void free_domain(virDomainPtr dom)
{
	watchdog_stop();
	if (dom)
		virDomainFree(dom);
}

static int say(struct cli_ctl *ctl, const struct pzone_error *err)
{
	cli_error(ctl, "%s", err->message);
	return CLI_ERROR;
}

/* --live, --config, --current into libvirt's flags; -EINVAL with a message. */
static int opt_affect(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		      unsigned int *ret_flags)
{
	unsigned int flags = VIR_DOMAIN_AFFECT_CURRENT;

	if (cli_exclusive(ctl, cmd, "current", "live") < 0 ||
	    cli_exclusive(ctl, cmd, "current", "config") < 0)
		return -EINVAL;
	if (cli_opt_bool(cmd, "live"))
		flags |= VIR_DOMAIN_AFFECT_LIVE;
	if (cli_opt_bool(cmd, "config"))
		flags |= VIR_DOMAIN_AFFECT_CONFIG;
	*ret_flags = flags;
	return 0;
}

/*
 * --wait, --timeout, --verbose. *ret_wait says whether to wait at all; a
 * timeout means that somebody wants to wait, as in virsh.
 */
static int opt_wait(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		    unsigned int flags, bool *ret_wait,
		    struct wait_opts *ret_opts)
{
	struct wait_opts opts = { .verbose = cli_opt_bool(cmd, "verbose") };
	int r = cli_opt_seconds(ctl, cmd, "timeout", &opts.timeout_s);
	bool wait = cli_opt_bool(cmd, "wait") || r > 0;

	if (r < 0)
		return r;
	if (opts.verbose && !wait) {
		cli_error(ctl, "Option --wait is required by option --verbose");
		return -EINVAL;
	}
	if (wait && flags == VIR_DOMAIN_AFFECT_CONFIG) {
		cli_error(ctl, "Options --wait and --config are mutually exclusive without --live: there is nothing to wait for");
		return -EINVAL;
	}
	*ret_wait = wait;
	*ret_opts = opts;
	return 0;
}

/* What CURRENT means for this domain now. 1 live, 0 not, -errno after a message. */
static int acts_live(struct cli_ctl *ctl, virDomainPtr dom, unsigned int flags)
{
	int active;

	if (flags != VIR_DOMAIN_AFFECT_CURRENT)
		return !!(flags & VIR_DOMAIN_AFFECT_LIVE);
	active = virDomainIsActive(dom);
	if (active < 0) {
		cli_error(ctl, "%s", virGetLastErrorMessage());
		return -EIO;
	}
	return active;
}

/* A size in a column or behind a key: for people, or exact with --bytes. */
static const char *show_size(uint64_t bytes, bool exact, char *buf)
{
	if (exact)
		snprintf(buf, SIZE_TEXT, "%" PRIu64, bytes);
	else
		size_text(bytes, buf, SIZE_TEXT);
	return buf;
}

/* What the device has of the class now; 0 when that can't be known. */
static uint64_t actual_now(virDomainPtr dom, const char *name)
{
	const struct pzone_live_class *cls;
	struct pzone_live *live;
	uint64_t bytes;

	if (pzone_live_query(dom, &live, NULL) < 0)
		return 0;
	cls = pzone_live_class_find(live, name);
	bytes = cls ? cls->actual_bytes : 0;
	pzone_live_free(live);
	return bytes;
}

/* ---- completion ---- */

static virDomainPtr complete_domain(struct cli_ctl *ctl,
				    const struct cli_cmd *cmd)
{
	const char *name = cli_opt_raw(cmd, "domain");
	virConnectPtr conn = name ? ctl_connect_quietly(ctl) : NULL;

	return conn ? lookup(conn, name) : NULL;
}

static void complete_domains(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	virConnectPtr conn = ctl_connect_quietly(ctl);
	virDomainPtr *doms;
	int n;

	(void)cmd;
	n = conn ? virConnectListAllDomains(conn, &doms, 0) : -1;
	for (int i = 0; i < n; i++) {
		printf("%s\n", virDomainGetName(doms[i]));
		virDomainFree(doms[i]);
	}
	if (n >= 0)
		free(doms);
}

/* From the XML alone: no key press may hang on a QEMU that does not answer. */
static void complete_classes(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	virDomainPtr dom = complete_domain(ctl, cmd);
	struct pzone_defs *defs = NULL;

	if (dom && pzone_config_get(dom, 0, &defs, NULL) == 0)
		for (size_t i = 0; i < pzone_defs_count(defs); i++)
			printf("%s\n", pzone_defs_get(defs, i)->name);
	pzone_defs_free(defs);
	free_domain(dom);
}

static void complete_pools(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	virDomainPtr dom = complete_domain(ctl, cmd);
	struct pzone_pools *pools = NULL;

	if (dom && pzone_pools_get(dom, 0, &pools, NULL) == 0)
		for (size_t i = 0; i < pzone_pools_count(pools); i++)
			if (pzone_pools_at(pools, i)->enabled)
				printf("%s\n", pzone_pools_at(pools, i)->name);
	pzone_pools_free(pools);
	free_domain(dom);
}

/* ---- options that many commands have ---- */

#define OPT_DOMAIN \
	{ "domain", CLI_OPT_DATA, true, "domain name, id or uuid", \
	  complete_domains }
#define OPT_CLASS \
	{ "class", CLI_OPT_DATA, true, "name of the memory class", \
	  complete_classes }
#define OPT_BYTES \
	{ "bytes", CLI_OPT_BOOL, false, "show sizes in bytes", NULL }
#define OPTS_AFFECT \
	{ "config", CLI_OPT_BOOL, false, "affect next boot", NULL }, \
	{ "live", CLI_OPT_BOOL, false, "affect running domain", NULL }, \
	{ "current", CLI_OPT_BOOL, false, "affect current domain", NULL }
#define OPTS_WAIT \
	{ "wait", CLI_OPT_BOOL, false, \
	  "wait until the guest has followed", NULL }, \
	{ "timeout", CLI_OPT_INT, false, \
	  "with --wait, stop waiting after this many seconds", NULL }, \
	{ "verbose", CLI_OPT_BOOL, false, \
	  "with --wait, display the progress also in a pipe", NULL }

/* ---- pzone-list ---- */

/* Whether what the device says of the class's memory means anything. */
static bool has_memory_figures(const struct pzone_view *v)
{
	return v->live && v->state != PZONE_STATE_PLAIN_GUEST &&
	       v->state != PZONE_STATE_NO_GUEST &&
	       v->state != PZONE_STATE_WAITING;
}

static uint64_t view_size(const struct pzone_view *v)
{
	if (has_memory_figures(v))
		return v->live->actual_bytes;
	return v->live ? v->live->size_bytes : v->config_size_bytes;
}

static void range_text(const struct pzone_extent *e, char *buf, size_t len)
{
	/* both ends belong to it, as in /proc/iomem */
	snprintf(buf, len, "0x%" PRIx64 "-0x%" PRIx64, e->addr,
		 e->addr + e->size_bytes - 1);
}

static void view_range(const struct pzone_view *v, char *buf, size_t len)
{
	size_t n = v->live ? v->live->nr_extents : 0;

	if (!n) {
		snprintf(buf, len, "-");
		return;
	}
	range_text(&v->live->extents[0], buf, len);
	if (n > 1)
		snprintf(buf + strlen(buf), len - strlen(buf), " +%zu", n - 1);
}

static void view_state(const struct pzone_view *v, bool bytes, char *buf,
		       size_t len)
{
	char size[SIZE_TEXT];
	const char *text = pzone_state_text(v->state);

	if (v->live && v->state == PZONE_STATE_UNKNOWN)
		text = v->live->state_word;
	if (has_memory_figures(v) && v->state != PZONE_STATE_DESTROYING &&
	    v->live->actual_bytes != v->live->size_bytes)
		snprintf(buf, len, "%s, %s wanted", text,
			 show_size(v->live->size_bytes, bytes, size));
	else
		snprintf(buf, len, "%s", text);
}

static int list_row(struct cli_table *table, const struct pzone_view *v,
		    bool bytes)
{
	char size[SIZE_TEXT], used[SIZE_TEXT], range[80], state[96];
	const char *cells[] = { v->name, v->pool, size, used, range, state };

	show_size(view_size(v), bytes, size);
	if (v->used_known && has_memory_figures(v))
		show_size(v->used_bytes, bytes, used);
	else
		strcpy(used, "-");
	view_range(v, range, sizeof(range));
	view_state(v, bytes, state, sizeof(state));
	return cli_table_row(table, cells);
}

/* What a table can't show: one line each, on stderr. */
static void notices(struct cli_ctl *ctl, virDomainPtr dom,
		    const struct pzone_live *live, const struct pzone_error *why)
{
	const char *name = virDomainGetName(dom);
	const struct pzone_live_pool *p;

	for (size_t i = 0; live && i < pzone_live_pool_count(live); i++) {
		p = pzone_live_pool_at(live, i);
		if (p->guest == PZONE_GUEST_PLAIN)
			cli_notice(ctl, "notice: the guest kernel of domain '%s' has no pzone support: pool '%s' is ordinary memory and its classes isolate nothing",
				   name, p->name);
	}
	if (live || why->code == PZONE_ERR_NONE ||
	    why->code == PZONE_ERR_NOT_RUNNING)
		return;
	if (why->code == PZONE_ERR_READ_ONLY)
		cli_notice(ctl, "notice: a read-only connection can't ask the device: this is what the XML of domain '%s' says",
			   name);
	else
		cli_notice(ctl, "notice: this is what the XML says: %s",
			   why->message);
}

static int print_list(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		      const struct pzone_views *views)
{
	static const char *const titles[] = {
		"Name", "Pool", "Size", "Used", "Guest-physical range", "State"
	};
	bool bytes = cli_opt_bool(cmd, "bytes");
	bool names = cli_opt_bool(cmd, "name");
	const char *pool = cli_opt_raw(cmd, "pool");
	struct cli_table *table = cli_table_new(6, titles);
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < pzone_views_count(views); i++) {
		const struct pzone_view *v = pzone_views_at(views, i);

		if (pool && strcmp(pool, v->pool))
			continue;
		if (names)
			printf("%s\n", v->name);
		else
			r = list_row(table, v, bytes);
	}
	if (r == 0 && !names)
		cli_table_print(table, stdout, !ctl->quiet);
	cli_table_free(table);
	if (r < 0)
		cli_error(ctl, "out of memory");
	return r < 0 ? CLI_ERROR : CLI_OK;
}

/* --pool has to name a pool of the domain, or an empty list would lie. */
static int check_pool(struct cli_ctl *ctl, virDomainPtr dom, const char *pool,
		      const struct pzone_pools *pools)
{
	const struct pzone_pool *p = pool ? pzone_pools_find(pools, pool) : NULL;

	if (!pool || (p && p->enabled))
		return 0;
	cli_error(ctl, "domain '%s' has no pool '%s'; virsh pzone-pool-list shows its pools",
		  virDomainGetName(dom), pool);
	return -ENOENT;
}

static const struct cli_opt_def opts_list[] = {
	OPT_DOMAIN,
	{ "pool", CLI_OPT_STRING, false, "list only the classes of this pool",
	  complete_pools },
	{ "name", CLI_OPT_BOOL, false, "list class names only", NULL },
	OPT_BYTES,
	{ 0 }
};

static int cmd_list(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_views *views = NULL;
	struct pzone_error err = { 0 };
	const char *pool = NULL;
	virDomainPtr dom;
	int r = CLI_ERROR;

	if (cli_exclusive(ctl, cmd, "name", "bytes") < 0 ||
	    cli_opt_string(ctl, cmd, "pool", &pool) < 0)
		return CLI_ERROR;
	dom = opt_domain(ctl, cmd);
	if (!dom)
		return CLI_ERROR;
	if (pzone_domain_list(dom, &views, &err) < 0) {
		say(ctl, &err);
		goto out;
	}
	if (check_pool(ctl, dom, pool, pzone_views_pools(views)) < 0)
		goto out;
	r = print_list(ctl, cmd, views);
	notices(ctl, dom, pzone_views_live(views),
		pzone_views_why(views));
out:
	pzone_views_free(views);
	free_domain(dom);
	return r;
}

/* ---- pzone-info ---- */

static void line(const char *key, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void line(const char *key, const char *fmt, ...)
{
	char buf[32];
	va_list ap;

	snprintf(buf, sizeof(buf), "%s:", key);
	printf("%-16s", buf);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void line_size(const char *key, uint64_t bytes, bool exact)
{
	char buf[SIZE_TEXT];

	line(key, "%s", show_size(bytes, exact, buf));
}

static void info_extents(const char *key, const struct pzone_extent *e,
			 size_t n, bool exact)
{
	char range[80], size[SIZE_TEXT];

	for (size_t i = 0; i < n; i++) {
		range_text(&e[i], range, sizeof(range));
		line(key, "%s %s", range,
		     show_size(e[i].size_bytes, exact, size));
	}
}

static bool same_extents(const struct pzone_live_class *c)
{
	if (c->nr_wanted != c->nr_extents)
		return false;
	for (size_t i = 0; i < c->nr_wanted; i++)
		if (c->wanted[i].addr != c->extents[i].addr ||
		    c->wanted[i].size_bytes != c->extents[i].size_bytes)
			return false;
	return true;
}

static void info_report(const struct pzone_report *r, bool exact)
{
	line_size("Free", r->free_bytes, exact);
	line_size("Anonymous", r->anon_bytes, exact);
	line_size("Page cache", r->file_bytes, exact);
	line_size("Stuck", r->stuck_bytes, exact);
	line_size("Pinned", r->pinned_bytes, exact);
	line("Cgroups", "%u", r->cgroups);
	line("Refaults", "%" PRIu64, r->refaults);
	line("Pressure", "%.6fs", r->pressure_us / 1e6);
	line("Out of memory", "%" PRIu64, r->oom);
	line("OOM kills", "%" PRIu64, r->oom_kill);
	line_size("Last reclaim", r->reclaimed_bytes, exact);
}

static void info_live(const struct pzone_view *v, bool exact)
{
	const struct pzone_live_class *c = v->live;

	line_size("Size", c->actual_bytes, exact);
	line_size("Wanted", c->size_bytes, exact);
	if (v->used_known)
		line_size("Used", v->used_bytes, exact);
	if (c->report)
		info_report(c->report, exact);
	info_extents("Range", c->extents, c->nr_extents, exact);
	if (!same_extents(c))
		info_extents("Wanted range", c->wanted, c->nr_wanted, exact);
	line("Cookie", "%s", *c->cookie ? c->cookie : "none");
}

static void print_info(const struct pzone_view *v, bool exact)
{
	char state[96];

	view_state(v, exact, state, sizeof(state));
	line("Name", "%s", v->name);
	if (v->live)
		line("Id", "%u", v->live->id);
	line("Pool", "%s", v->pool);
	line("State", "%s", state);
	if (v->config_size_bytes)
		line_size("Start size", v->config_size_bytes, exact);
	line_size("Guarantee", v->guarantee_bytes, exact);
	line_size("Limit", v->limit_bytes, exact);
	line("Persistent", "%s", v->in_config ? "yes" : "no");
	line("In live XML", "%s", v->in_metadata ? "yes" : "no");
	line("In device", "%s", v->in_device ? "yes" : "no");
	if (v->live)
		info_live(v, exact);
}

static const struct cli_opt_def opts_info[] = {
	OPT_DOMAIN, OPT_CLASS, OPT_BYTES, { 0 }
};

static int cmd_info(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_views *views = NULL;
	const struct pzone_view *v;
	struct pzone_error err = { 0 };
	const char *name = NULL;
	virDomainPtr dom;
	int r = CLI_ERROR;

	if (cli_opt_string(ctl, cmd, "class", &name) <= 0)
		return CLI_ERROR;
	dom = opt_domain(ctl, cmd);
	if (!dom)
		return CLI_ERROR;
	if (pzone_domain_list(dom, &views, &err) < 0) {
		say(ctl, &err);
		goto out;
	}
	v = pzone_views_find(views, name);
	if (!v) {
		cli_error(ctl, "domain '%s' has no memory class '%s'; virsh pzone-list shows its classes",
			  virDomainGetName(dom), name);
		goto out;
	}
	print_info(v, cli_opt_bool(cmd, "bytes"));
	notices(ctl, dom, pzone_views_live(views),
		pzone_views_why(views));
	r = CLI_OK;
out:
	pzone_views_free(views);
	free_domain(dom);
	return r;
}

/* ---- pzone-pool-list ---- */

static const char *pool_state(const struct pzone_pool *p,
			      const struct pzone_live_pool *live, bool active)
{
	if (!p->enabled)
		return "no pool: pzone is off";
	if (live && live->guest == PZONE_GUEST_READY)
		return "ready";
	if (live && live->guest == PZONE_GUEST_PLAIN)
		return "plain guest";
	if (live && live->guest == PZONE_GUEST_NONE)
		return "no guest";
	return active ? "unseen" : "not running";
}

static int pool_row(struct cli_table *table, const struct pzone_pool *p,
		    const struct pzone_live_pool *live, bool active, bool bytes)
{
	char size[SIZE_TEXT], req[SIZE_TEXT], block[SIZE_TEXT];
	char memmap[SIZE_TEXT] = "-", avail[SIZE_TEXT] = "-";
	const char *cells[] = {
		*p->name ? p->name : "-", size, block, req, memmap, avail,
		pool_state(p, live, active)
	};

	show_size(live ? live->size_bytes : p->size_bytes, bytes, size);
	show_size(live ? live->block_bytes : p->block_bytes, bytes, block);
	show_size(live ? live->requested_bytes : p->requested_bytes, bytes, req);
	if (p->enabled)
		show_size(live ? live->memmap_bytes : p->memmap_bytes, bytes,
			  memmap);
	if (live)
		show_size(live->available_bytes, bytes, avail);
	return cli_table_row(table, cells);
}

static int print_pools(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		       const struct pzone_pools *pools,
		       const struct pzone_live *live, bool active)
{
	static const char *const titles[] = {
		"Name", "Size", "Block", "Requested", "Memmap", "Available",
		"State"
	};
	bool all = cli_opt_bool(cmd, "all"), bytes = cli_opt_bool(cmd, "bytes");
	struct cli_table *table = cli_table_new(7, titles);
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < pzone_pools_count(pools); i++) {
		const struct pzone_pool *p = pzone_pools_at(pools, i);

		if (p->enabled || all)
			r = pool_row(table, p,
				     live && *p->name ?
				     pzone_live_pool_find(live, p->name) : NULL,
				     active, bytes);
	}
	if (r == 0)
		cli_table_print(table, stdout, !ctl->quiet);
	cli_table_free(table);
	if (r < 0)
		cli_error(ctl, "out of memory");
	return r < 0 ? CLI_ERROR : CLI_OK;
}

static bool any_enabled_pool(const struct pzone_pools *pools)
{
	for (size_t i = 0; i < pzone_pools_count(pools); i++)
		if (pzone_pools_at(pools, i)->enabled)
			return true;
	return false;
}

static const struct cli_opt_def opts_pool_list[] = {
	OPT_DOMAIN,
	{ "all", CLI_OPT_BOOL, false,
	  "list also virtio-mem devices that are no pools", NULL },
	OPT_BYTES,
	{ 0 }
};

static int cmd_pool_list(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	virDomainPtr dom = opt_domain(ctl, cmd);
	struct pzone_pools *pools = NULL;
	struct pzone_live *live = NULL;
	struct pzone_error err = { 0 };
	int r = CLI_ERROR, active;
	bool any;

	if (!dom)
		return CLI_ERROR;
	active = acts_live(ctl, dom, VIR_DOMAIN_AFFECT_CURRENT);
	if (active < 0)
		goto out;
	if (pzone_pools_get(dom, VIR_DOMAIN_AFFECT_CURRENT, &pools, &err) < 0) {
		say(ctl, &err);
		goto out;
	}
	any = any_enabled_pool(pools);
	if (!any && !cli_opt_bool(cmd, "all")) {
		cli_error(ctl, "domain '%s' has no pool; --all shows its virtio-mem devices, pzone(7) how to make one a pool",
			  virDomainGetName(dom));
		goto out;
	}
	/* the XML is enough for a table; a notice says when it is all there is */
	if (active && any)
		pzone_live_query(dom, &live, &err);
	r = print_pools(ctl, cmd, pools, live, active);
	if (active && any)
		notices(ctl, dom, live, &err);
out:
	pzone_live_free(live);
	pzone_pools_free(pools);
	free_domain(dom);
	return r;
}

/* ---- pzone-define ---- */

static const struct cli_opt_def opts_define[] = {
	OPT_DOMAIN,
	{ "file", CLI_OPT_DATA, true,
	  "file with one <class> or a whole <pzones> element, - for stdin", NULL },
	OPTS_AFFECT,
	OPTS_WAIT,
	{ 0 }
};

/* Sizes before the change, so that waiting can tell a shrink from a grow. */
static uint64_t *sizes_before(virDomainPtr dom, const struct pzone_defs *defs)
{
	size_t n = pzone_defs_count(defs);
	uint64_t *sizes = calloc(n + 1, sizeof(*sizes));

	for (size_t i = 0; sizes && i < n; i++)
		sizes[i] = actual_now(dom, pzone_defs_get(defs, i)->name);
	return sizes;
}

static int wait_for_defs(struct cli_ctl *ctl, virDomainPtr dom,
			 const struct pzone_defs *defs, const uint64_t *before,
			 const struct wait_opts *opts)
{
	int worst = CLI_OK, r;

	for (size_t i = 0; i < pzone_defs_count(defs); i++) {
		r = wait_for_class(ctl, dom, pzone_defs_get(defs, i)->name,
				   WAIT_FOR_SIZE, before[i], opts);
		/* an error outweighs a partial result */
		if (worst != CLI_ERROR && r != CLI_OK)
			worst = r;
	}
	return worst;
}

static int cmd_define(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_defs *defs = NULL;
	struct wait_opts wait_opts;
	struct pzone_error err = { 0 };
	const char *file = NULL;
	uint64_t *before = NULL;
	virDomainPtr dom = NULL;
	unsigned int flags;
	int r = CLI_ERROR, live;
	bool wait;

	if (opt_affect(ctl, cmd, &flags) < 0 ||
	    opt_wait(ctl, cmd, flags, &wait, &wait_opts) < 0 ||
	    cli_opt_string(ctl, cmd, "file", &file) <= 0)
		return CLI_ERROR;
	if (pzone_defs_parse_file(file, &defs, &err) < 0)
		return say(ctl, &err);
	dom = opt_domain(ctl, cmd);
	if (!dom)
		goto out;
	live = acts_live(ctl, dom, flags);
	if (live < 0)
		goto out;
	if (!pzone_defs_count(defs)) {
		cli_error(ctl, "'%s' defines no memory class; pzone-undefine removes classes",
			  strcmp(file, "-") ? file : "stdin");
		goto out;
	}
	wait = wait && live;
	if (wait) {
		before = sizes_before(dom, defs);
		if (!before) {
			cli_error(ctl, "out of memory");
			goto out;
		}
	}
	if (pzone_domain_define(dom, defs, flags, &err) < 0) {
		say(ctl, &err);
		goto out;
	}
	for (size_t i = 0; i < pzone_defs_count(defs); i++)
		cli_extra(ctl, "Class '%s' of domain '%s' defined from %s\n",
			  pzone_defs_get(defs, i)->name, virDomainGetName(dom),
			  strcmp(file, "-") ? file : "stdin");
	r = wait ? wait_for_defs(ctl, dom, defs, before, &wait_opts) : CLI_OK;
out:
	free(before);
	pzone_defs_free(defs);
	free_domain(dom);
	return r;
}

/* ---- pzone-undefine ---- */

static const struct cli_opt_def opts_undefine[] = {
	OPT_DOMAIN, OPT_CLASS, OPTS_AFFECT, OPTS_WAIT, { 0 }
};

static int cmd_undefine(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct wait_opts wait_opts;
	struct pzone_error err = { 0 };
	const char *name = NULL;
	uint64_t before = 0;
	virDomainPtr dom;
	unsigned int flags;
	int r = CLI_ERROR, live;
	bool wait;

	if (opt_affect(ctl, cmd, &flags) < 0 ||
	    opt_wait(ctl, cmd, flags, &wait, &wait_opts) < 0 ||
	    cli_opt_string(ctl, cmd, "class", &name) <= 0)
		return CLI_ERROR;
	dom = opt_domain(ctl, cmd);
	if (!dom)
		return CLI_ERROR;
	live = acts_live(ctl, dom, flags);
	if (live < 0)
		goto out;
	wait = wait && live;
	if (wait)
		before = actual_now(dom, name);
	if (pzone_domain_undefine(dom, name, flags, &err) < 0) {
		say(ctl, &err);
		goto out;
	}
	cli_extra(ctl, "Class '%s' of domain '%s' has been undefined\n", name,
		  virDomainGetName(dom));
	r = wait ? wait_for_class(ctl, dom, name, WAIT_FOR_END, before,
				  &wait_opts) : CLI_OK;
out:
	free_domain(dom);
	return r;
}

/* ---- pzone-resize ---- */

static const struct cli_opt_def opts_resize[] = {
	OPT_DOMAIN,
	OPT_CLASS,
	{ "size", CLI_OPT_INT, true,
	  "new size, as scaled integer (default KiB)", NULL },
	OPTS_AFFECT,
	OPTS_WAIT,
	{ 0 }
};

/* Without a flag a resize means the running domain; see virsh-pzone(1). */
static int resize_needs_running(struct cli_ctl *ctl, const struct cli_cmd *cmd,
				virDomainPtr dom, unsigned int flags, int live)
{
	if (live || (flags & VIR_DOMAIN_AFFECT_CONFIG) ||
	    cli_opt_bool(cmd, "current"))
		return 0;
	cli_error(ctl, "domain '%s' is shut off, so that there is no class to resize; use --config to change the size that it starts with",
		  virDomainGetName(dom));
	return -ENODEV;
}

static int cmd_resize(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct wait_opts wait_opts;
	struct pzone_error err = { 0 };
	const char *name = NULL;
	uint64_t size = 0, before = 0;
	char text[SIZE_TEXT];
	virDomainPtr dom;
	unsigned int flags;
	int r = CLI_ERROR, live;
	bool wait;

	if (opt_affect(ctl, cmd, &flags) < 0 ||
	    opt_wait(ctl, cmd, flags, &wait, &wait_opts) < 0 ||
	    cli_opt_string(ctl, cmd, "class", &name) <= 0 ||
	    cli_opt_size(ctl, cmd, "size", &size) <= 0)
		return CLI_ERROR;
	dom = opt_domain(ctl, cmd);
	if (!dom)
		return CLI_ERROR;
	live = acts_live(ctl, dom, flags);
	if (live < 0 || resize_needs_running(ctl, cmd, dom, flags, live) < 0)
		goto out;
	wait = wait && live;
	if (wait)
		before = actual_now(dom, name);
	if (pzone_domain_resize(dom, name, size, flags, &err) < 0) {
		say(ctl, &err);
		goto out;
	}
	size_text(size, text, sizeof(text));
	r = CLI_OK;
	if (flags & VIR_DOMAIN_AFFECT_CONFIG || !live)
		cli_extra(ctl, "Class '%s' of domain '%s' will start with %s\n",
			  name, virDomainGetName(dom), text);
	if (wait)
		r = wait_for_class(ctl, dom, name, WAIT_FOR_SIZE, before,
				   &wait_opts);
	else if (live)
		cli_extra(ctl, "Class '%s' of domain '%s' is being resized to %s\n",
			  name, virDomainGetName(dom), text);
out:
	free_domain(dom);
	return r;
}

/* ---- pzone-set ---- */

static const struct cli_opt_def opts_set[] = {
	OPT_DOMAIN,
	OPT_CLASS,
	{ "guarantee", CLI_OPT_INT, false,
	  "what nothing may take from the class, as scaled integer (default KiB)",
	  NULL },
	{ "limit", CLI_OPT_INT, false,
	  "what the class may ever have, as scaled integer (default KiB)", NULL },
	OPTS_AFFECT,
	{ 0 }
};

static int cmd_set(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	uint64_t guarantee = LEFT_OUT, limit = LEFT_OUT;
	struct pzone_error err = { 0 };
	const char *name = NULL;
	virDomainPtr dom;
	unsigned int flags;
	int r = CLI_ERROR;

	if (opt_affect(ctl, cmd, &flags) < 0 ||
	    cli_opt_string(ctl, cmd, "class", &name) <= 0 ||
	    cli_opt_size(ctl, cmd, "guarantee", &guarantee) < 0 ||
	    cli_opt_size(ctl, cmd, "limit", &limit) < 0)
		return CLI_ERROR;
	if (guarantee == LEFT_OUT && limit == LEFT_OUT) {
		cli_error(ctl, "command 'pzone-set' requires --guarantee or --limit");
		return CLI_ERROR;
	}
	dom = opt_domain(ctl, cmd);
	if (!dom)
		return CLI_ERROR;
	if (pzone_domain_set(dom, name, guarantee, limit, flags, &err) < 0) {
		say(ctl, &err);
	} else {
		cli_extra(ctl, "Bounds of class '%s' of domain '%s' changed\n",
			  name, virDomainGetName(dom));
		r = CLI_OK;
	}
	free_domain(dom);
	return r;
}

/* ---- the table ---- */

static const struct cli_cmd_def pzone_cmds[] = {
	{ "pzone-define", cmd_define,
	  "define memory classes of a domain from an XML file",
	  "Define new memory classes or change existing ones. In a running domain\n"
	  "    they are created or resized at once.", opts_define, false },
	{ "pzone-info", cmd_info, "memory class information",
	  "Returns all that is known of a memory class of the domain.",
	  opts_info, false },
	{ "pzone-list", cmd_list, "list memory classes of a domain",
	  "Returns list of the domain's memory classes.", opts_list, false },
	{ "pzone-pool-list", cmd_pool_list,
	  "list the pools that memory classes live in",
	  "Returns list of the domain's pools.", opts_pool_list, false },
	{ "pzone-resize", cmd_resize, "resize a memory class",
	  "Change the size of a memory class of the running domain, or with --config\n"
	  "    the size that it starts with. Exits with 3 if --wait ends with a shrink\n"
	  "    that the guest could follow only in part.", opts_resize, false },
	{ "pzone-set", cmd_set, "set guarantee and limit of a memory class",
	  "Change the bounds that the size of a memory class keeps to.",
	  opts_set, false },
	{ "pzone-undefine", cmd_undefine, "undefine a memory class",
	  "Remove a memory class from the domain. In a running domain it gives back\n"
	  "    its memory and is destroyed.", opts_undefine, false },
	{ 0 }
};

const struct cli_group pzone_group = {
	"Memory Classes", "pzone", pzone_cmds
};
