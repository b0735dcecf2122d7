// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-common.c - what the pzone commands share; see cmd-common.h
 */
#include "cmd-common.h"
#include "watchdog.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>

/* ---- domain and options ---- */

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

virDomainPtr opt_domain(struct cli_ctl *ctl, const struct cli_cmd *cmd)
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

void free_domain(virDomainPtr dom)
{
	watchdog_stop();
	if (dom)
		virDomainFree(dom);
}

int say(struct cli_ctl *ctl, const struct pzone_error *err)
{
	cli_error(ctl, "%s", err->message);
	return CLI_ERROR;
}

int opt_affect(struct cli_ctl *ctl, const struct cli_cmd *cmd,
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

int opt_wait(struct cli_ctl *ctl, const struct cli_cmd *cmd,
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

int acts_live(struct cli_ctl *ctl, virDomainPtr dom, unsigned int flags)
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

const char *show_size(uint64_t bytes, bool exact, char *buf)
{
	if (exact)
		snprintf(buf, SIZE_TEXT, "%" PRIu64, bytes);
	else
		size_text(bytes, buf, SIZE_TEXT);
	return buf;
}

const char *show_brief(uint64_t bytes, char buf[16])
{
	static const char units[] = "KMGTPE";
	double v = (double)bytes / 1024;
	size_t u = 0;

	while (v >= 999.5 && u < sizeof(units) - 2) {
		v /= 1024;
		u++;
	}
	if (!bytes)
		strcpy(buf, "0");
	else
		snprintf(buf, 16, v < 99.95 && u > 1 ? "%.1f%c" : "%.0f%c", v, units[u]);
	return buf;
}

int say_nomem(struct cli_ctl *ctl)
{
	cli_error(ctl, "out of memory");
	return CLI_ERROR;
}

int opt_json(struct cli_ctl *ctl, const struct cli_cmd *cmd, bool *ret_json)
{
	const char *format = "text";

	if (cli_opt_string(ctl, cmd, "format", &format) < 0)
		return -EINVAL;
	*ret_json = !strcmp(format, "json");
	if (*ret_json || !strcmp(format, "text"))
		return 0;
	cli_error(ctl, "format '%s' is neither text nor json", format);
	return -EINVAL;
}

/* ---- looking ---- */

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

static int check_class(struct cli_ctl *ctl, struct look *look)
{
	if (!look->class)
		return 0;
	look->view = pzone_views_find(look->views, look->class);
	if (look->view && look_wants(look, look->view))
		return 0;
	if (look->view) {
		cli_error(ctl, "class '%s' of domain '%s' is in pool '%s', not in '%s'", look->class,
			  virDomainGetName(look->dom), look->view->pool, look->pool);
		return -ENOENT;
	}
	cli_error(ctl, "domain '%s' has no memory class '%s'; virsh pzone-list shows its classes",
		  virDomainGetName(look->dom), look->class);
	return -ENOENT;
}

int look_again(struct cli_ctl *ctl, struct look *look)
{
	struct pzone_error err = { 0 };
	int r;

	look->views = pzone_views_free(look->views);
	r = pzone_domain_list(look->dom, &look->views, &err);
	if (r < 0) {
		say(ctl, &err);
		return r;
	}
	r = check_pool(ctl, look->dom, look->pool, pzone_views_pools(look->views));
	return r < 0 ? r : check_class(ctl, look);
}

int look_open(struct cli_ctl *ctl, const struct cli_cmd *cmd, struct look *ret_look)
{
	struct look look = { 0 };

	if (cli_opt_string(ctl, cmd, "class", &look.class) < 0 ||
	    cli_opt_string(ctl, cmd, "pool", &look.pool) < 0)
		return -EINVAL;
	look.dom = opt_domain(ctl, cmd);
	if (!look.dom)
		return -ENOENT;
	if (look_again(ctl, &look) < 0) {
		look_close(&look);
		return -EINVAL;
	}
	*ret_look = look;
	return 0;
}

void look_close(struct look *look)
{
	pzone_views_free(look->views);
	free_domain(look->dom);
}

bool look_wants(const struct look *look, const struct pzone_view *view)
{
	return (!look->pool || !strcmp(look->pool, view->pool)) &&
	       (!look->class || !strcmp(look->class, view->name));
}

void device_notices(struct cli_ctl *ctl, virDomainPtr dom,
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

void look_notices(struct cli_ctl *ctl, const struct look *look)
{
	device_notices(ctl, look->dom, pzone_views_live(look->views),
		       pzone_views_why(look->views));
}

int look_print_json(struct cli_ctl *ctl, const struct look *look)
{
	struct pzone_error err = { 0 };
	char *json;

	if (pzone_views_json(look->views, look->pool, look->class, &json, &err) < 0)
		return say(ctl, &err);
	puts(json);
	free(json);
	return CLI_OK;
}

/* ---- completion ---- */

static virDomainPtr complete_domain(struct cli_ctl *ctl,
				    const struct cli_cmd *cmd)
{
	const char *name = cli_opt_raw(cmd, "domain");
	virConnectPtr conn = name ? ctl_connect_quietly(ctl) : NULL;

	return conn ? lookup(conn, name) : NULL;
}

void complete_domains(struct cli_ctl *ctl, const struct cli_cmd *cmd)
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
void complete_classes(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	virDomainPtr dom = complete_domain(ctl, cmd);
	struct pzone_defs *defs = NULL;

	if (dom && pzone_config_get(dom, 0, &defs, NULL) == 0)
		for (size_t i = 0; i < pzone_defs_count(defs); i++)
			printf("%s\n", pzone_defs_get(defs, i)->name);
	pzone_defs_free(defs);
	free_domain(dom);
}

void complete_pools(struct cli_ctl *ctl, const struct cli_cmd *cmd)
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

void complete_formats(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	(void)ctl;
	(void)cmd;
	puts("json\ntext");
}
