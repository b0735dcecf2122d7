// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-change.c - pzone-define, -undefine, -resize, -set, -reclaim: what changes
 * a class or asks something of it
 */
#include "cmd-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the options of such a command say, and the domain that they are about. */
struct change {
	const char *class;	/* --class, or NULL */
	unsigned int flags;
	bool wait;		/* and there is something to wait for */
	struct wait_opts wait_opts;
	bool live;		/* the running domain is meant, also by CURRENT */
	virDomainPtr dom;
	const char *name;	/* of the domain */
};

/* First the options alone, so that a file may be read before the domain is looked up. */
static int change_options(struct cli_ctl *ctl, const struct cli_cmd *cmd, struct change *ret)
{
	struct change c = { 0 };

	if (opt_affect(ctl, cmd, &c.flags) < 0 ||
	    opt_wait(ctl, cmd, c.flags, &c.wait, &c.wait_opts) < 0 ||
	    cli_opt_string(ctl, cmd, "class", &c.class) < 0)
		return -EINVAL;
	*ret = c;
	return 0;
}

static int change_domain(struct cli_ctl *ctl, const struct cli_cmd *cmd, struct change *c)
{
	int live;

	c->dom = opt_domain(ctl, cmd);
	if (!c->dom)
		return -ENOENT;
	live = acts_live(ctl, c->dom, c->flags);
	if (live < 0) {
		free_domain(c->dom);
		return live;
	}
	c->live = live;
	c->wait = c->wait && live;
	c->name = virDomainGetName(c->dom);
	return 0;
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

/* ---- pzone-define ---- */

/* Sizes before the change, so that waiting can tell a shrink from a grow. */
static uint64_t *sizes_before(virDomainPtr dom, const struct pzone_defs *defs)
{
	size_t n = pzone_defs_count(defs);
	uint64_t *sizes = calloc(n + 1, sizeof(*sizes));

	for (size_t i = 0; sizes && i < n; i++)
		sizes[i] = actual_now(dom, pzone_defs_get(defs, i)->name);
	return sizes;
}

static int wait_for_defs(struct cli_ctl *ctl, const struct change *c,
			 const struct pzone_defs *defs, const uint64_t *before)
{
	int worst = CLI_OK, r;

	for (size_t i = 0; i < pzone_defs_count(defs); i++) {
		r = wait_for_class(ctl, c->dom, pzone_defs_get(defs, i)->name,
				   WAIT_FOR_SIZE, before[i], &c->wait_opts);
		/* an error outweighs a partial result */
		if (worst != CLI_ERROR && r != CLI_OK)
			worst = r;
	}
	return worst;
}

static int define(struct cli_ctl *ctl, const struct change *c, const struct pzone_defs *defs,
		  const char *file)
{
	struct pzone_error err = { 0 };
	uint64_t *before = c->wait ? sizes_before(c->dom, defs) : NULL;
	int r = CLI_OK;

	if (c->wait && !before)
		return say_nomem(ctl);
	if (pzone_domain_define(c->dom, defs, c->flags, &err) < 0) {
		free(before);
		return say(ctl, &err);
	}
	for (size_t i = 0; i < pzone_defs_count(defs); i++)
		cli_extra(ctl, "Class '%s' of domain '%s' defined from %s\n",
			  pzone_defs_get(defs, i)->name, c->name, file);
	if (c->wait)
		r = wait_for_defs(ctl, c, defs, before);
	free(before);
	return r;
}

static int cmd_define(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_defs *defs = NULL;
	struct pzone_error err = { 0 };
	const char *file = NULL;
	struct change c;
	int r = CLI_ERROR;

	if (change_options(ctl, cmd, &c) < 0 || cli_opt_string(ctl, cmd, "file", &file) <= 0)
		return CLI_ERROR;
	if (pzone_defs_parse_file(file, &defs, &err) < 0)
		return say(ctl, &err);
	if (!strcmp(file, "-"))
		file = "stdin";
	if (change_domain(ctl, cmd, &c) < 0)
		goto out;
	if (pzone_defs_count(defs))
		r = define(ctl, &c, defs, file);
	else
		cli_error(ctl, "'%s' defines no memory class; pzone-undefine removes classes",
			  file);
	free_domain(c.dom);
out:
	pzone_defs_free(defs);
	return r;
}

static const struct cli_opt_def opts_define[] = {
	OPT_DOMAIN,
	{ "file", CLI_OPT_DATA, true,
	  "file with one <class> or a whole <pzones> element, - for stdin", NULL },
	OPTS_AFFECT,
	OPTS_WAIT,
	{ 0 }
};

const struct cli_cmd_def def_define = {
	"pzone-define", cmd_define, "define memory classes of a domain from an XML file",
	"Define new memory classes or change existing ones. In a running domain\n"
	"    they are created or resized at once.", opts_define, false
};

/* ---- pzone-undefine ---- */

static int cmd_undefine(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_error err = { 0 };
	uint64_t before = 0;
	struct change c;
	int r = CLI_OK;

	if (change_options(ctl, cmd, &c) < 0 || change_domain(ctl, cmd, &c) < 0)
		return CLI_ERROR;
	if (c.wait)
		before = actual_now(c.dom, c.class);
	if (pzone_domain_undefine(c.dom, c.class, c.flags, &err) < 0) {
		r = say(ctl, &err);
		goto out;
	}
	cli_extra(ctl, "Class '%s' of domain '%s' has been undefined\n", c.class, c.name);
	if (c.wait)
		r = wait_for_class(ctl, c.dom, c.class, WAIT_FOR_END, before, &c.wait_opts);
out:
	free_domain(c.dom);
	return r;
}

static const struct cli_opt_def opts_undefine[] = {
	OPT_DOMAIN, OPT_CLASS, OPTS_AFFECT, OPTS_WAIT, { 0 }
};

const struct cli_cmd_def def_undefine = {
	"pzone-undefine", cmd_undefine, "undefine a memory class",
	"Remove a memory class from the domain. In a running domain it gives back\n"
	"    its memory and is destroyed.", opts_undefine, false
};

/* ---- pzone-resize ---- */

/* Without a flag a resize means the running domain; see virsh-pzone(1). */
static int resize_needs_running(struct cli_ctl *ctl, const struct cli_cmd *cmd,
				const struct change *c)
{
	if (c->live || (c->flags & VIR_DOMAIN_AFFECT_CONFIG) || cli_opt_bool(cmd, "current"))
		return 0;
	cli_error(ctl, "domain '%s' is shut off, so that there is no class to resize; use --config to change the size that it starts with",
		  c->name);
	return -ENODEV;
}

static int resize(struct cli_ctl *ctl, const struct change *c, uint64_t size)
{
	uint64_t before = c->wait ? actual_now(c->dom, c->class) : 0;
	struct pzone_error err = { 0 };
	char text[SIZE_TEXT];

	if (pzone_domain_resize(c->dom, c->class, size, c->flags, &err) < 0)
		return say(ctl, &err);
	size_text(size, text, sizeof(text));
	if (c->flags & VIR_DOMAIN_AFFECT_CONFIG || !c->live)
		cli_extra(ctl, "Class '%s' of domain '%s' will start with %s\n", c->class,
			  c->name, text);
	if (c->wait)
		return wait_for_class(ctl, c->dom, c->class, WAIT_FOR_SIZE, before,
				      &c->wait_opts);
	if (c->live)
		cli_extra(ctl, "Class '%s' of domain '%s' is being resized to %s\n", c->class,
			  c->name, text);
	return CLI_OK;
}

static int cmd_resize(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	uint64_t size = 0;
	struct change c;
	int r = CLI_ERROR;

	if (change_options(ctl, cmd, &c) < 0 || cli_opt_size(ctl, cmd, "size", &size) <= 0 ||
	    change_domain(ctl, cmd, &c) < 0)
		return CLI_ERROR;
	if (resize_needs_running(ctl, cmd, &c) == 0)
		r = resize(ctl, &c, size);
	free_domain(c.dom);
	return r;
}

static const struct cli_opt_def opts_resize[] = {
	OPT_DOMAIN,
	OPT_CLASS,
	{ "size", CLI_OPT_INT, true, "new size, as scaled integer (default KiB)", NULL },
	OPTS_AFFECT,
	OPTS_WAIT,
	{ 0 }
};

const struct cli_cmd_def def_resize = {
	"pzone-resize", cmd_resize, "resize a memory class",
	"Change the size of a memory class of the running domain, or with --config\n"
	"    the size that it starts with. Exits with 3 if --wait ends with a shrink\n"
	"    that the guest could follow only in part.", opts_resize, false
};

/* ---- pzone-set ---- */

/* 1 and the weight, 0 when it was not given, -EINVAL after a message. */
static int opt_weight(struct cli_ctl *ctl, const struct cli_cmd *cmd, unsigned int *ret_weight)
{
	int r = cli_opt_number(ctl, cmd, "weight", PZONE_WEIGHT_MAX, ret_weight);

	if (r == -ERANGE)
		cli_error(ctl, "weight '%s' is no whole number from 1 to %d",
			  cli_opt_raw(cmd, "weight"), PZONE_WEIGHT_MAX);
	return r;
}

static int cmd_set(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	uint64_t guarantee = LEFT_OUT, limit = LEFT_OUT;
	struct pzone_error err = { 0 };
	unsigned int weight = 0;
	struct change c;
	int r = CLI_OK;

	if (change_options(ctl, cmd, &c) < 0 ||
	    cli_opt_size(ctl, cmd, "guarantee", &guarantee) < 0 ||
	    cli_opt_size(ctl, cmd, "limit", &limit) < 0 || opt_weight(ctl, cmd, &weight) < 0)
		return CLI_ERROR;
	if (guarantee == LEFT_OUT && limit == LEFT_OUT && !weight) {
		cli_error(ctl, "command 'pzone-set' requires --guarantee, --limit or --weight");
		return CLI_ERROR;
	}
	if (change_domain(ctl, cmd, &c) < 0)
		return CLI_ERROR;
	if (pzone_domain_set(c.dom, c.class, guarantee, limit, weight, c.flags, &err) < 0)
		r = say(ctl, &err);
	else
		cli_extra(ctl, "%s of class '%s' of domain '%s' changed\n",
			  guarantee == LEFT_OUT && limit == LEFT_OUT ? "Weight" :
			  weight ? "Bounds and weight" : "Bounds", c.class, c.name);
	free_domain(c.dom);
	return r;
}

static const struct cli_opt_def opts_set[] = {
	OPT_DOMAIN,
	OPT_CLASS,
	{ "guarantee", CLI_OPT_INT, false,
	  "what nothing may take from the class, as scaled integer (default KiB)", NULL },
	{ "limit", CLI_OPT_INT, false,
	  "what the class may ever have, as scaled integer (default KiB)", NULL },
	{ "weight", CLI_OPT_INT, false,
	  "share when pzoned divides memory, 1 to 10000", NULL },
	OPTS_AFFECT,
	{ 0 }
};

const struct cli_cmd_def def_set = {
	"pzone-set", cmd_set, "set guarantee, limit and weight of a memory class",
	"Change the bounds that the size of a memory class keeps to, and its weight.",
	opts_set, false
};

/* ---- pzone-reclaim ---- */

static int cmd_reclaim(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_error err = { 0 };
	char text[SIZE_TEXT];
	uint64_t size = 0;
	struct change c;
	uint32_t seq;
	int r = CLI_OK;

	/* No copy of the XML has a part in it: it is an order for now. */
	if (change_options(ctl, cmd, &c) < 0 || cli_opt_size(ctl, cmd, "size", &size) <= 0)
		return CLI_ERROR;
	c.flags = VIR_DOMAIN_AFFECT_LIVE;
	if (change_domain(ctl, cmd, &c) < 0)
		return CLI_ERROR;
	if (pzone_domain_reclaim(c.dom, c.class, size, c.wait ? &seq : NULL, &err) < 0)
		r = say(ctl, &err);
	else if (c.wait)
		r = wait_for_reclaim(ctl, c.dom, c.class, seq, size, &c.wait_opts);
	else
		cli_extra(ctl, "Class '%s' of domain '%s' has been asked to reclaim %s\n",
			  c.class, c.name, size_text(size, text, sizeof(text)));
	free_domain(c.dom);
	return r;
}

static const struct cli_opt_def opts_reclaim[] = {
	OPT_DOMAIN,
	OPT_CLASS,
	{ "size", CLI_OPT_INT, true, "how much to free, as scaled integer (default KiB)", NULL },
	OPTS_WAIT,
	{ 0 }
};

const struct cli_cmd_def def_reclaim = {
	"pzone-reclaim", cmd_reclaim, "make a memory class free memory inside itself",
	"Ask the guest to reclaim memory of a class, as if it were short of it. The\n"
	"    class keeps its size. Exits with 3 if --wait ends with less than asked for.",
	opts_reclaim, false
};
