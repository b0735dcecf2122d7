/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-common.h - what the pzone commands share: the domain that they name, their
 * common options, completion, and the list of them all
 */
#ifndef PZONE_VIRSH_CMD_COMMON_H
#define PZONE_VIRSH_CMD_COMMON_H

#include "cmds.h"
#include "libpzone.h"
#include "progress.h"

#define LEFT_OUT UINT64_MAX	/* libpzone's word for "not given" */

/* ---- the commands, for the table in cmd-pzone.c ---- */

extern const struct cli_cmd_def def_list, def_info, def_pool_list;	/* cmd-show.c */
extern const struct cli_cmd_def def_pool_add;				/* cmd-pool.c */
extern const struct cli_cmd_def def_define, def_undefine, def_resize;	/* cmd-change.c */
extern const struct cli_cmd_def def_set, def_reclaim;
extern const struct cli_cmd_def def_stats;				/* cmd-stats.c */
extern const struct cli_cmd_def def_map;				/* cmd-map.c */
extern const struct cli_cmd_def def_event;				/* cmd-event.c */
extern const struct cli_cmd_def def_top;				/* cmd-top.c */

/* ---- the domain ---- */

/*
 * The domain that --domain names, by id, UUID or name; NULL after a message. From
 * here to free_domain() the watchdog runs: reading files comes before.
 */
virDomainPtr opt_domain(struct cli_ctl *ctl, const struct cli_cmd *cmd);
/* Takes NULL. */
void free_domain(virDomainPtr dom);

/* Domain and classes of a command that only looks. */
struct look {
	virDomainPtr dom;
	struct pzone_views *views;
	const char *class;	/* --class, or NULL */
	const char *pool;	/* --pool, or NULL; the domain has it */
	const struct pzone_view *view;	/* of class */
};

/* 0, or -errno after a message; then there is nothing to close. */
int look_open(struct cli_ctl *ctl, const struct cli_cmd *cmd, struct look *ret_look);
void look_close(struct look *look);
/* Ask again, for the same. On an error there is still the look to close. */
int look_again(struct cli_ctl *ctl, struct look *look);
/* Is the view one that --pool and --class leave? */
bool look_wants(const struct look *look, const struct pzone_view *view);
/* What a table can't show: one line each, on stderr. */
void look_notices(struct cli_ctl *ctl, const struct look *look);
/* The same for who has only parts: live is NULL if why says why. */
void device_notices(struct cli_ctl *ctl, virDomainPtr dom, const struct pzone_live *live,
		    const struct pzone_error *why);
/* The JSON of libpzone for what was looked at. */
int look_print_json(struct cli_ctl *ctl, const struct look *look);

/* ---- options ---- */

/* Prints the error; returns CLI_ERROR, so that a command can return it. */
int say(struct cli_ctl *ctl, const struct pzone_error *err);
int say_nomem(struct cli_ctl *ctl);
/* --live, --config, --current into libvirt's flags; -EINVAL after a message. */
int opt_affect(struct cli_ctl *ctl, const struct cli_cmd *cmd, unsigned int *ret_flags);
/*
 * --wait, --timeout, --verbose. *ret_wait says whether to wait at all; a timeout
 * means that somebody wants to wait, as in virsh.
 */
int opt_wait(struct cli_ctl *ctl, const struct cli_cmd *cmd, unsigned int flags,
	     bool *ret_wait, struct wait_opts *ret_opts);
/* --format text or json; -EINVAL after a message. */
int opt_json(struct cli_ctl *ctl, const struct cli_cmd *cmd, bool *ret_json);
/* What CURRENT means for this domain now. 1 live, 0 not, -errno after a message. */
int acts_live(struct cli_ctl *ctl, virDomainPtr dom, unsigned int flags);

/* A size in a column or behind a key: for people, or exact with --bytes. */
const char *show_size(uint64_t bytes, bool exact, char *buf);
/* The same where there is no room, five characters: "640M", "12.5G". */
const char *show_brief(uint64_t bytes, char buf[16]);

void complete_domains(struct cli_ctl *ctl, const struct cli_cmd *cmd);
void complete_classes(struct cli_ctl *ctl, const struct cli_cmd *cmd);
void complete_pools(struct cli_ctl *ctl, const struct cli_cmd *cmd);
void complete_formats(struct cli_ctl *ctl, const struct cli_cmd *cmd);

#define OPT_DOMAIN \
	{ "domain", CLI_OPT_DATA, true, "domain name, id or uuid", \
	  complete_domains }
#define OPT_CLASS \
	{ "class", CLI_OPT_DATA, true, "name of the memory class", \
	  complete_classes }
#define OPT_POOL(what) \
	{ "pool", CLI_OPT_STRING, false, what, complete_pools }
#define OPT_BYTES \
	{ "bytes", CLI_OPT_BOOL, false, "show sizes in bytes", NULL }
#define OPT_FORMAT \
	{ "format", CLI_OPT_STRING, false, "text (default) or json", complete_formats }
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

#endif
