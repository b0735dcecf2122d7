/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli.h - the command line of virsh, rebuilt small
 *
 * People who know virsh must need no new habits, so the grammar (options in
 * any order, "[--domain] <string>" that works with and without its name,
 * "--" for data only, quotes, ';' between commands), the help layout, the
 * table layout and the wording of the errors are virsh's.
 *
 * Concepts
 *   option    one thing that a command takes; see enum cli_opt_type
 *   command   name, help, options and the function that does it
 *   group     commands under one keyword ("virsh help pzone")
 *   line      what was typed: one or more parsed commands
 *
 * A line is parsed as a whole before anything of it runs, as in virsh: a
 * mistake anywhere in it means that nothing was done.
 */
#ifndef PZONE_VIRSH_CLI_H
#define PZONE_VIRSH_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <libvirt/libvirt.h>

/* Documented exit codes (virsh-pzone(1)). */
enum {
	CLI_OK = 0,
	CLI_ERROR = 1,
	CLI_PARTIAL = 3,	/* a shrink got a part of what was asked for */
};

enum { CLI_MAX_OPTS = 32, CLI_MAX_TOKENS = 1024 };

enum cli_opt_type {
	CLI_OPT_BOOL,		/* --verbose */
	CLI_OPT_STRING,		/* --pool NAME, never positional */
	CLI_OPT_INT,		/* --timeout N; positional when required */
	CLI_OPT_DATA,		/* positional, may be named: [--domain] NAME */
	CLI_OPT_ARGV,		/* the rest of the line */
};

struct cli_ctl;
struct cli_cmd;

/*
 * Prints the values that an option can have, one per line, for completion.
 * Has to be quiet about errors.
 */
typedef void (*cli_completer)(struct cli_ctl *ctl, const struct cli_cmd *cmd);

struct cli_opt_def {
	const char *name;
	enum cli_opt_type type;
	bool required;
	const char *help;
	cli_completer completer;
};

struct cli_cmd_def {
	const char *name;
	/* returns one of the exit codes above; messages are already out */
	int (*run)(struct cli_ctl *ctl, const struct cli_cmd *cmd);
	const char *help;	/* one line */
	const char *desc;	/* "" to leave the paragraph out */
	const struct cli_opt_def *opts;	/* ends with a NULL name; or NULL */
	bool hidden;
};

struct cli_group {
	const char *title;
	const char *keyword;
	const struct cli_cmd_def *const *cmds;	/* ends with NULL */
};

/* One parsed command. Values belong to the line that it came from. */
struct cli_cmd {
	const struct cli_cmd_def *def;
	bool seen[CLI_MAX_OPTS];
	const char *value[CLI_MAX_OPTS];
	const char **argv;	/* of the one CLI_OPT_ARGV option */
	size_t nargv;
	struct cli_cmd *next;
};

struct cli_line {
	struct cli_cmd *cmds;
	char **strings;		/* owns what the values point to */
	size_t nstrings;
};

struct cli_ctl {
	const char *prog;
	const char *uri;
	char **argv;		/* what this program was called with */
	const struct cli_group *const *groups;	/* ends with NULL */
	virConnectPtr conn;	/* opened when the first command needs it */
	bool readonly;
	bool quiet;
	bool timing;
	char why[1024];		/* that conn is NULL, where libvirt does not know it */
};

/* ---- what was typed ---- */

/* Both print the error themselves and return -EINVAL (or -ENOMEM). */
int cli_parse_string(struct cli_ctl *ctl, const char *text,
		     struct cli_line *ret_line);
int cli_parse_argv(struct cli_ctl *ctl, int argc, char **argv,
		   struct cli_line *ret_line);
void cli_line_clear(struct cli_line *line);
/* Runs all commands; the last one's exit code counts, as in virsh. */
int cli_run_line(struct cli_ctl *ctl, const struct cli_line *line);

/*
 * Parses as far as it makes sense, without messages, for completion.
 * ret_pending is the option whose value comes next, or NULL.
 */
void cli_parse_partial(const struct cli_cmd_def *def, size_t nwords,
		       const char *const *words, struct cli_cmd *ret_cmd,
		       const struct cli_opt_def **ret_pending);

/* ---- options of a command ---- */

bool cli_opt_bool(const struct cli_cmd *cmd, const char *name);
/* NULL when the option was not given. */
const char *cli_opt_raw(const struct cli_cmd *cmd, const char *name);
/*
 * The getters below print what is wrong. They return 1 and the value, 0 when
 * the option was not given (*ret_* stays as it was), or -EINVAL.
 */
int cli_opt_string(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		   const char *name, const char **ret_value);
/* Scaled as everywhere in virsh: a plain number is in KiB. */
int cli_opt_size(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		 const char *name, uint64_t *ret_bytes);
int cli_opt_seconds(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		    const char *name, unsigned int *ret_seconds);
/* A whole number from 1 to max; -ERANGE without a message when it is none. */
int cli_opt_number(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		   const char *name, unsigned int max, unsigned int *ret_number);
/* -EINVAL with the message if both are given. */
int cli_exclusive(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		  const char *a, const char *b);

/* ---- messages ---- */

/* "error: ..." on stderr. */
void cli_error(struct cli_ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line on stderr that is no error, silenced by --quiet. */
void cli_notice(struct cli_ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* On stdout, silenced by --quiet. */
void cli_extra(struct cli_ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- help ---- */

const struct cli_cmd_def *cli_find_cmd(struct cli_ctl *ctl, const char *name);
const struct cli_group *cli_find_group(struct cli_ctl *ctl, const char *name);
void cli_help_cmd(const struct cli_cmd_def *def);
/* colon: "help" prints one behind the title, "--help" does not */
void cli_help_group(const struct cli_group *group, bool colon);

/* ---- tables ---- */

struct cli_table;
struct cli_table *cli_table_new(size_t ncols, const char *const *titles);
/* Copies the cells. -ENOMEM when there is no memory. */
int cli_table_row(struct cli_table *table, const char *const *cells);
/* header: without it (--quiet) only the rows are printed, packed */
void cli_table_print(const struct cli_table *table, FILE *out, bool header);
struct cli_table *cli_table_free(struct cli_table *table);

#endif
