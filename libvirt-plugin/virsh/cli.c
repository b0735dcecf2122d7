// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cli.c - the command line of virsh, rebuilt small; see cli.h
 */
#include "cli.h"
#include "libpzone.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- messages ---- */

static void message(const char *prefix, const char *fmt, va_list ap)
{
	/* stdout first, or a pipe shows the two in the wrong order */
	fflush(stdout);
	fputs(prefix, stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void cli_error(struct cli_ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	(void)ctl;
	va_start(ap, fmt);
	message("error: ", fmt, ap);
	va_end(ap);
}

void cli_notice(struct cli_ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	if (ctl->quiet)
		return;
	va_start(ap, fmt);
	message("", fmt, ap);
	va_end(ap);
}

void cli_extra(struct cli_ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	if (ctl->quiet)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

/* ---- commands and help ---- */

const struct cli_cmd_def *cli_find_cmd(struct cli_ctl *ctl, const char *name)
{
	for (const struct cli_group *const *g = ctl->groups; *g; g++)
		for (const struct cli_cmd_def *const *c = (*g)->cmds; *c; c++)
			if (!strcmp((*c)->name, name))
				return *c;
	return NULL;
}

const struct cli_group *cli_find_group(struct cli_ctl *ctl, const char *name)
{
	for (const struct cli_group *const *g = ctl->groups; *g; g++)
		if (!strcmp((*g)->keyword, name))
			return *g;
	return NULL;
}

void cli_help_group(const struct cli_group *group, bool colon)
{
	printf(" %s (help keyword '%s')%s\n", group->title, group->keyword,
	       colon ? ":" : "");
	for (const struct cli_cmd_def *const *c = group->cmds; *c; c++)
		if (!(*c)->hidden)
			printf("    %-30s %s\n", (*c)->name, (*c)->help);
	printf("\n");
}

static bool opt_positional(const struct cli_opt_def *o)
{
	return o->type == CLI_OPT_DATA || o->type == CLI_OPT_ARGV ||
	       (o->type == CLI_OPT_INT && o->required);
}

static void synopsis_opt(const struct cli_opt_def *o)
{
	switch (o->type) {
	case CLI_OPT_BOOL:
		printf(" [--%s]", o->name);
		break;
	case CLI_OPT_INT:
		printf(o->required ? " <%s>" : " [--%s <number>]", o->name);
		break;
	case CLI_OPT_STRING:
		printf(o->required ? " --%s <string>" : " [--%s <string>]",
		       o->name);
		break;
	case CLI_OPT_DATA:
		printf(o->required ? " <%s>" : " [<%s>]", o->name);
		break;
	case CLI_OPT_ARGV:
		printf(" [<%s>]...", o->name);
		break;
	}
}

static void option_line(const struct cli_opt_def *o)
{
	char buf[64];

	switch (o->type) {
	case CLI_OPT_BOOL:
		snprintf(buf, sizeof(buf), "--%s", o->name);
		break;
	case CLI_OPT_INT:
		snprintf(buf, sizeof(buf),
			 o->required ? "[--%s] <number>" : "--%s <number>",
			 o->name);
		break;
	case CLI_OPT_STRING:
		snprintf(buf, sizeof(buf), "--%s <string>", o->name);
		break;
	case CLI_OPT_DATA:
		snprintf(buf, sizeof(buf), "[--%s] <string>", o->name);
		break;
	case CLI_OPT_ARGV:
		snprintf(buf, sizeof(buf), "<%s>", o->name);
		break;
	}
	printf("    %-15s  %s\n", buf, o->help);
}

void cli_help_cmd(const struct cli_cmd_def *def)
{
	const struct cli_opt_def *o;

	printf("  NAME\n    %s - %s\n", def->name, def->help);
	printf("\n  SYNOPSIS\n    %s", def->name);
	for (o = def->opts; o && o->name; o++)
		synopsis_opt(o);
	printf("\n");
	if (*def->desc)
		printf("\n  DESCRIPTION\n    %s\n", def->desc);
	if (def->opts && def->opts->name) {
		printf("\n  OPTIONS\n");
		for (o = def->opts; o->name; o++)
			option_line(o);
	}
	printf("\n");
}

/* ---- from text to tokens ---- */

struct tokens {
	/* NULL entries separate commands; the others go over to the line */
	char *tok[CLI_MAX_TOKENS];
	size_t n;
};

static void tokens_clear(struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->tok[i]);
	t->n = 0;
}

static int tokens_add(struct cli_ctl *ctl, struct tokens *t, char *tok)
{
	if (t->n == CLI_MAX_TOKENS) {
		cli_error(ctl, "more than %d words in one command line",
			  CLI_MAX_TOKENS);
		return -EINVAL;
	}
	t->tok[t->n++] = tok;
	return 0;
}

/* One word with virsh's quoting. Returns behind it, or NULL on error. */
static const char *read_word(struct cli_ctl *ctl, const char *p, char *out)
{
	bool dquote = false;

	for (; *p; p++) {
		if (!dquote && (*p == ' ' || *p == '\t' || *p == '\n' || *p == ';'))
			break;
		if (!dquote && *p == '\'') {
			for (p++; *p && *p != '\''; p++)
				*out++ = *p;
			if (!*p) {
				cli_error(ctl, "missing '");
				return NULL;
			}
		} else if (*p == '"') {
			dquote = !dquote;
		} else if (*p == '\\') {
			if (!*++p) {
				cli_error(ctl, "dangling \\");
				return NULL;
			}
			*out++ = *p;
		} else {
			*out++ = *p;
		}
	}
	if (dquote) {
		cli_error(ctl, "missing \"");
		return NULL;
	}
	*out = '\0';
	return p;
}

static int tokenize(struct cli_ctl *ctl, const char *p, struct tokens *t)
{
	char *word;
	int r;

	while (*p) {
		word = NULL;
		if (*p == ' ' || *p == '\t') {
			p++;
			continue;
		}
		if (*p == '\\' && p[1] == '\n') {
			p += 2;
			continue;
		}
		if (*p == '#') {
			p += strcspn(p, "\n");
			continue;
		}
		if (*p == ';' || *p == '\n') {
			p++;
		} else {
			word = malloc(strlen(p) + 1);
			if (!word)
				return -ENOMEM;
			p = read_word(ctl, p, word);
			if (!p) {
				free(word);
				return -EINVAL;
			}
		}
		r = tokens_add(ctl, t, word);
		if (r < 0) {
			free(word);
			return r;
		}
	}
	return 0;
}

/* ---- from tokens to commands ---- */

static int opt_index(const struct cli_cmd_def *def, const char *name)
{
	for (int i = 0; def->opts && def->opts[i].name; i++)
		if (!strcmp(def->opts[i].name, name))
			return i;
	return -1;
}

/* The next option that a bare word fills, or -1. */
static int next_data(const struct cli_cmd *cmd)
{
	for (int i = 0; cmd->def->opts && cmd->def->opts[i].name; i++) {
		const struct cli_opt_def *o = &cmd->def->opts[i];

		if (opt_positional(o) &&
		    (o->type == CLI_OPT_ARGV || !cmd->seen[i]))
			return i;
	}
	return -1;
}

static int set_value(struct cli_cmd *cmd, int i, const char *value)
{
	const char **argv;

	cmd->seen[i] = true;
	if (cmd->def->opts[i].type != CLI_OPT_ARGV) {
		cmd->value[i] = value;
		return 0;
	}
	argv = realloc(cmd->argv, (cmd->nargv + 1) * sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	argv[cmd->nargv++] = value;
	cmd->argv = argv;
	return 0;
}

static int check_required(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	for (int i = 0; cmd->def->opts && cmd->def->opts[i].name; i++) {
		const struct cli_opt_def *o = &cmd->def->opts[i];

		if (!o->required || cmd->seen[i])
			continue;
		if (o->type == CLI_OPT_DATA || o->type == CLI_OPT_ARGV)
			cli_error(ctl, "command '%s' requires <%s> option",
				  cmd->def->name, o->name);
		else
			cli_error(ctl, "command '%s' requires --%s option",
				  cmd->def->name, o->name);
		return -EINVAL;
	}
	return 0;
}

/* Turns "X ... --help" into "help X". */
static void become_help(struct cli_ctl *ctl, struct cli_cmd *cmd)
{
	const char *name = cmd->def->name;

	free(cmd->argv);
	*cmd = (struct cli_cmd){ .def = cli_find_cmd(ctl, "help") };
	cmd->seen[0] = true;
	cmd->value[0] = name;
}

/* The option that "--name" or "--name=value" means; -1 with a message. */
static int named_opt(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		     char *name, char **ret_value)
{
	char *eq = strchr(name, '=');
	int i;

	if (eq)
		*eq = '\0';
	i = opt_index(cmd->def, name);
	if (i < 0) {
		cli_error(ctl, "command '%s' doesn't support option --%s",
			  cmd->def->name, name);
	} else if (cmd->seen[i] && cmd->def->opts[i].type != CLI_OPT_ARGV) {
		cli_error(ctl, "option --%s already seen", name);
		i = -1;
	} else if (eq && cmd->def->opts[i].type == CLI_OPT_BOOL) {
		cli_error(ctl, "invalid '=' after option --%s", name);
		i = -1;
	}
	*ret_value = eq ? eq + 1 : NULL;
	return i;
}

static int parse_cmd(struct cli_ctl *ctl, char **tok, size_t n,
		     struct cli_cmd *cmd)
{
	bool data_only = false, help = false;
	char *value;
	int i;

	cmd->def = cli_find_cmd(ctl, tok[0]);
	if (!cmd->def) {
		cli_error(ctl, "unknown command: '%s'", tok[0]);
		return -EINVAL;
	}
	for (size_t t = 1; t < n; t++) {
		value = tok[t];
		if (!data_only && !strcmp(value, "--")) {
			data_only = true;
			continue;
		}
		if (!data_only && !strcmp(value, "--help")) {
			help = true;
			continue;
		}
		if (!data_only && !strncmp(value, "--", 2) &&
		    isalnum((unsigned char)value[2])) {
			i = named_opt(ctl, cmd, tok[t] + 2, &value);
			if (i < 0)
				return -EINVAL;
			if (cmd->def->opts[i].type == CLI_OPT_BOOL) {
				cmd->seen[i] = true;
				continue;
			}
			if (!value && t + 1 == n) {
				cli_error(ctl, "expected syntax: --%s <%s>",
					  cmd->def->opts[i].name,
					  cmd->def->opts[i].type == CLI_OPT_INT ?
					  "number" : "string");
				return -EINVAL;
			}
			if (!value)
				value = tok[++t];
		} else {
			i = next_data(cmd);
			if (i < 0) {
				cli_error(ctl, "unexpected data '%s'", value);
				return -EINVAL;
			}
		}
		i = set_value(cmd, i, value);
		if (i < 0)
			return i;
	}
	if (help) {
		become_help(ctl, cmd);
		return 0;
	}
	return check_required(ctl, cmd);
}

static int parse_tokens(struct cli_ctl *ctl, struct tokens *t,
			struct cli_line *ret_line)
{
	struct cli_line line = { 0 };
	struct cli_cmd **tail = &line.cmds;
	size_t start = 0;
	int r = 0;

	line.strings = calloc(t->n + 1, sizeof(*line.strings));
	if (!line.strings)
		return -ENOMEM;
	for (size_t i = 0; i <= t->n && r == 0; i++) {
		if (i < t->n && t->tok[i])
			continue;
		if (i > start) {
			*tail = calloc(1, sizeof(**tail));
			r = *tail ? parse_cmd(ctl, t->tok + start, i - start,
					      *tail) : -ENOMEM;
			if (*tail)
				tail = &(*tail)->next;
		}
		start = i + 1;
	}
	memcpy(line.strings, t->tok, t->n * sizeof(*line.strings));
	line.nstrings = t->n;
	t->n = 0;
	if (r < 0)
		cli_line_clear(&line);
	else
		*ret_line = line;
	return r;
}

int cli_parse_string(struct cli_ctl *ctl, const char *text,
		     struct cli_line *ret_line)
{
	struct tokens *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = tokenize(ctl, text, t);
	if (r == 0)
		r = parse_tokens(ctl, t, ret_line);
	tokens_clear(t);
	free(t);
	return r;
}

int cli_parse_argv(struct cli_ctl *ctl, int argc, char **argv,
		   struct cli_line *ret_line)
{
	struct tokens *t = calloc(1, sizeof(*t));
	char *copy;
	int r = t ? 0 : -ENOMEM;

	for (int i = 0; i < argc && r == 0; i++) {
		copy = strdup(argv[i]);
		r = copy ? tokens_add(ctl, t, copy) : -ENOMEM;
		if (r < 0)
			free(copy);
	}
	if (r == 0)
		r = parse_tokens(ctl, t, ret_line);
	if (t)
		tokens_clear(t);
	free(t);
	return r;
}

void cli_line_clear(struct cli_line *line)
{
	while (line->cmds) {
		struct cli_cmd *next = line->cmds->next;

		free(line->cmds->argv);
		free(line->cmds);
		line->cmds = next;
	}
	for (size_t i = 0; i < line->nstrings; i++)
		free(line->strings[i]);
	free(line->strings);
	*line = (struct cli_line){ 0 };
}

int cli_run_line(struct cli_ctl *ctl, const struct cli_line *line)
{
	struct timespec a, b;
	int r = CLI_OK;

	for (const struct cli_cmd *c = line->cmds; c; c = c->next) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		r = c->def->run(ctl, c);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if (ctl->timing)
			printf("\n(Time: %.3f ms)\n\n",
			       (b.tv_sec - a.tv_sec) * 1e3 +
			       (b.tv_nsec - a.tv_nsec) / 1e6);
		else if (!c->def->hidden)
			cli_extra(ctl, "\n");
		fflush(stdout);
	}
	return r;
}

void cli_parse_partial(const struct cli_cmd_def *def, size_t nwords,
		       const char *const *words, struct cli_cmd *ret_cmd,
		       const struct cli_opt_def **ret_pending)
{
	struct cli_cmd cmd = { .def = def };
	bool data_only = false;
	int pending = -1;

	for (size_t t = 0; t < nwords; t++) {
		const char *w = words[t];

		if (pending >= 0) {
			cmd.value[pending] = w;
			pending = -1;
		} else if (!data_only && !strcmp(w, "--")) {
			data_only = true;
		} else if (!data_only && !strncmp(w, "--", 2)) {
			char name[64];
			const char *eq = strchr(w, '=');
			int i;

			snprintf(name, sizeof(name), "%.*s",
				 (int)(eq ? eq - w : (long)strlen(w)) - 2, w + 2);
			i = opt_index(def, name);
			if (i < 0)
				continue;
			cmd.seen[i] = true;
			if (def->opts[i].type == CLI_OPT_BOOL)
				continue;
			if (eq)
				cmd.value[i] = eq + 1;
			else
				pending = i;
		} else {
			int i = next_data(&cmd);

			if (i < 0)
				continue;
			cmd.seen[i] = true;
			cmd.value[i] = w;
		}
	}
	if (pending < 0 && next_data(&cmd) >= 0)
		*ret_pending = &def->opts[next_data(&cmd)];
	else
		*ret_pending = pending >= 0 ? &def->opts[pending] : NULL;
	*ret_cmd = cmd;
}

/* ---- options of a command ---- */

bool cli_opt_bool(const struct cli_cmd *cmd, const char *name)
{
	int i = opt_index(cmd->def, name);

	return i >= 0 && cmd->seen[i];
}

const char *cli_opt_raw(const struct cli_cmd *cmd, const char *name)
{
	int i = opt_index(cmd->def, name);

	return i >= 0 && cmd->seen[i] ? cmd->value[i] : NULL;
}

int cli_opt_string(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		   const char *name, const char **ret_value)
{
	const char *v = cli_opt_raw(cmd, name);

	if (!v)
		return 0;
	if (!*v) {
		cli_error(ctl, "Failed to get option '%s': Option argument is empty",
			  name);
		return -EINVAL;
	}
	*ret_value = v;
	return 1;
}

int cli_opt_size(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		 const char *name, uint64_t *ret_bytes)
{
	uint64_t bytes;
	const char *v;
	int r = cli_opt_string(ctl, cmd, name, &v);

	if (r <= 0)
		return r;
	if (pzone_size_parse(v, &bytes, NULL) < 0) {
		cli_error(ctl, "Scaled numeric value '%s' for <%s> option is malformed or out of range; write it like 512MiB or 2GiB",
			  v, name);
		return -EINVAL;
	}
	*ret_bytes = bytes;
	return 1;
}

int cli_opt_number(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		   const char *name, unsigned int max, unsigned int *ret_number)
{
	const char *v;
	unsigned long n;
	char *end;
	int r = cli_opt_string(ctl, cmd, name, &v);

	if (r <= 0)
		return r;
	errno = 0;
	n = strtoul(v, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*v) || n == 0 || n > max)
		return -ERANGE;
	*ret_number = n;
	return 1;
}

int cli_opt_seconds(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		    const char *name, unsigned int *ret_seconds)
{
	/* the same bound as virsh: milliseconds have to fit into an int */
	int r = cli_opt_number(ctl, cmd, name, INT_MAX / 1000, ret_seconds);

	if (r != -ERANGE)
		return r;
	cli_error(ctl, "Numeric value '%s' for <%s> option is malformed or out of range",
		  cli_opt_raw(cmd, name), name);
	return -EINVAL;
}

int cli_exclusive(struct cli_ctl *ctl, const struct cli_cmd *cmd,
		  const char *a, const char *b)
{
	if (!cli_opt_bool(cmd, a) || !cli_opt_bool(cmd, b))
		return 0;
	cli_error(ctl, "Options --%s and --%s are mutually exclusive", a, b);
	return -EINVAL;
}

/* ---- tables ---- */

struct cli_table {
	size_t ncols;
	size_t nrows;		/* the first row holds the titles */
	char **cells;
};

/* Columns that text takes on a terminal; class names may come in UTF-8. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

struct cli_table *cli_table_new(size_t ncols, const char *const *titles)
{
	struct cli_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ncols = ncols;
	if (cli_table_row(t, titles) < 0)
		return cli_table_free(t);
	return t;
}

int cli_table_row(struct cli_table *t, const char *const *cells)
{
	size_t n = t->nrows * t->ncols;
	char **all = realloc(t->cells, (n + t->ncols) * sizeof(*all));
	bool ok = true;

	if (!all)
		return -ENOMEM;
	t->cells = all;
	for (size_t c = 0; c < t->ncols; c++) {
		all[n + c] = strdup(cells[c]);
		ok = ok && all[n + c];
	}
	t->nrows++;
	return ok ? 0 : -ENOMEM;
}

void cli_table_print(const struct cli_table *t, FILE *out, bool header)
{
	size_t width[t->ncols], line = 0;

	memset(width, 0, sizeof(width));
	for (size_t r = header ? 0 : 1; r < t->nrows; r++)
		for (size_t c = 0; c < t->ncols; c++) {
			size_t w = text_width(t->cells[r * t->ncols + c]);

			if (w > width[c])
				width[c] = w;
		}
	for (size_t r = header ? 0 : 1; r < t->nrows; r++) {
		for (size_t c = 0; c < t->ncols; c++) {
			const char *s = t->cells[r * t->ncols + c];

			fprintf(out, " %s", s);
			if (c + 1 < t->ncols)
				fprintf(out, "%*s",
					(int)(width[c] - text_width(s) + 2), "");
		}
		fputc('\n', out);
		if (r == 0) {
			for (size_t c = 0; c < t->ncols; c++)
				line += width[c] + 3;
			while (line--)
				fputc('-', out);
			fputc('\n', out);
		}
	}
}

struct cli_table *cli_table_free(struct cli_table *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < t->nrows * t->ncols; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
	return NULL;
}
