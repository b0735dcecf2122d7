// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-show.c - pzone-list, pzone-info, pzone-pool-list: what there is
 */
#include "cmd-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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
	uint64_t n = v->live && v->live->nr_extents ? v->live->nr_extents_total : 0;

	if (!n) {
		snprintf(buf, len, "-");
		return;
	}
	range_text(&v->live->extents[0], buf, len);
	if (n > 1)
		snprintf(buf + strlen(buf), len - strlen(buf), " +%" PRIu64, n - 1);
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

static int print_list(struct cli_ctl *ctl, const struct cli_cmd *cmd, const struct look *look)
{
	static const char *const titles[] = {
		"Name", "Pool", "Size", "Used", "Guest-physical range", "State"
	};
	bool bytes = cli_opt_bool(cmd, "bytes"), names = cli_opt_bool(cmd, "name");
	struct cli_table *table = cli_table_new(6, titles);
	const struct pzone_view *v;
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && (v = pzone_views_at(look->views, i)); i++) {
		if (!look_wants(look, v))
			continue;
		if (names)
			printf("%s\n", v->name);
		else
			r = list_row(table, v, bytes);
	}
	if (r == 0 && !names)
		cli_table_print(table, stdout, !ctl->quiet);
	cli_table_free(table);
	return r < 0 ? say_nomem(ctl) : CLI_OK;
}

static int cmd_list(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct look look;
	bool json;
	int r;

	if (cli_exclusive(ctl, cmd, "name", "bytes") < 0 ||
	    cli_exclusive(ctl, cmd, "name", "format") < 0 ||
	    opt_json(ctl, cmd, &json) < 0 || look_open(ctl, cmd, &look) < 0)
		return CLI_ERROR;
	r = json ? look_print_json(ctl, &look) : print_list(ctl, cmd, &look);
	look_notices(ctl, &look);
	look_close(&look);
	return r;
}

static const struct cli_opt_def opts_list[] = {
	OPT_DOMAIN,
	OPT_POOL("list only the classes of this pool"),
	{ "name", CLI_OPT_BOOL, false, "list class names only", NULL },
	OPT_BYTES,
	OPT_FORMAT,
	{ 0 }
};

const struct cli_cmd_def def_list = {
	"pzone-list", cmd_list, "list memory classes of a domain",
	"Returns list of the domain's memory classes.", opts_list, false
};

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

/* total: there may be more of them than the answer has room for */
static void info_extents(const char *key, const struct pzone_extent *e,
			 size_t n, uint64_t total, bool exact)
{
	char range[80], size[SIZE_TEXT];

	for (size_t i = 0; i < n; i++) {
		range_text(&e[i], range, sizeof(range));
		line(key, "%s %s", range,
		     show_size(e[i].size_bytes, exact, size));
	}
	if (total > n)
		line(key, "and %" PRIu64 " more", total - n);
}

static bool same_extents(const struct pzone_live_class *c)
{
	if (c->nr_wanted_total != c->nr_extents_total)
		return false;
	for (size_t i = 0; i < c->nr_wanted && i < c->nr_extents; i++)
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
	if (c->last_error)
		line("Last error", "%s", c->last_error);
	if (v->used_known)
		line_size("Used", v->used_bytes, exact);
	if (c->report)
		info_report(c->report, exact);
	info_extents("Range", c->extents, c->nr_extents, c->nr_extents_total, exact);
	if (!same_extents(c))
		info_extents("Wanted range", c->wanted, c->nr_wanted, c->nr_wanted_total,
			     exact);
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
	if (v->live && v->live->align_bytes)
		line_size("Align", v->live->align_bytes, exact);
	line("Weight", "%u", v->weight);
	line("Persistent", "%s", v->in_config ? "yes" : "no");
	line("In live XML", "%s", v->in_metadata ? "yes" : "no");
	line("In device", "%s", v->in_device ? "yes" : "no");
	if (v->live)
		info_live(v, exact);
}

static int cmd_info(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct look look;
	int r = CLI_OK;
	bool json;

	if (opt_json(ctl, cmd, &json) < 0 || look_open(ctl, cmd, &look) < 0)
		return CLI_ERROR;
	if (json)
		r = look_print_json(ctl, &look);
	else
		print_info(look.view, cli_opt_bool(cmd, "bytes"));
	look_notices(ctl, &look);
	look_close(&look);
	return r;
}

static const struct cli_opt_def opts_info[] = {
	OPT_DOMAIN, OPT_CLASS, OPT_BYTES, OPT_FORMAT, { 0 }
};

const struct cli_cmd_def def_info = {
	"pzone-info", cmd_info, "memory class information",
	"Returns all that is known of a memory class of the domain.", opts_info, false
};

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
	return r < 0 ? say_nomem(ctl) : CLI_OK;
}

static int print_pools_json(struct cli_ctl *ctl, const struct cli_cmd *cmd, virDomainPtr dom,
			    const struct pzone_pools *pools, const struct pzone_live *live,
			    bool active)
{
	struct pzone_error err = { 0 };
	char *json;

	if (pzone_pools_json(pools, live, virDomainGetName(dom), active, cli_opt_bool(cmd, "all"),
			     &json, &err) < 0)
		return say(ctl, &err);
	puts(json);
	free(json);
	return CLI_OK;
}

static bool any_enabled_pool(const struct pzone_pools *pools)
{
	for (size_t i = 0; i < pzone_pools_count(pools); i++)
		if (pzone_pools_at(pools, i)->enabled)
			return true;
	return false;
}

static int cmd_pool_list(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_pools *pools = NULL;
	struct pzone_live *live = NULL;
	struct pzone_error err = { 0 };
	int r = CLI_ERROR, active;
	virDomainPtr dom;
	bool any, json;

	if (opt_json(ctl, cmd, &json) < 0)
		return CLI_ERROR;
	dom = opt_domain(ctl, cmd);
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
		cli_error(ctl, "domain '%s' has no pool; --all shows its virtio-mem devices, pzone-pool-add gives it one",
			  virDomainGetName(dom));
		goto out;
	}
	/* the XML is enough for a table; a notice says when it is all there is */
	if (active && any)
		pzone_live_query(dom, &live, &err);
	r = json ? print_pools_json(ctl, cmd, dom, pools, live, active) :
		   print_pools(ctl, cmd, pools, live, active);
	if (active && any)
		device_notices(ctl, dom, live, &err);
out:
	pzone_live_free(live);
	pzone_pools_free(pools);
	free_domain(dom);
	return r;
}

static const struct cli_opt_def opts_pool_list[] = {
	OPT_DOMAIN,
	{ "all", CLI_OPT_BOOL, false,
	  "list also virtio-mem devices that are no pools", NULL },
	OPT_BYTES,
	OPT_FORMAT,
	{ 0 }
};

const struct cli_cmd_def def_pool_list = {
	"pzone-pool-list", cmd_pool_list, "list the pools that memory classes live in",
	"Returns list of the domain's pools.", opts_pool_list, false
};
