// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-top.c - pzone-top: all classes of the host, live, and what pzoned does with them
 *
 * The figures are pzoned's (GET /v1/status on its socket), so that a screen that is
 * open costs no monitor command. Each refresh becomes a list of lines, which
 * curses shows on a terminal, and puts() in a pipe or with --once.
 */
#include "cmd-common.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <stdint.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <json-c/json.h>

#define TIMEOUT_MS	5000
#define INTERVAL_S	2
#define BAR_MIN		10
#define BAR_MAX		40
#define WIDTH		80	/* in a pipe */
/* domain, class, size, used, limit, pressure, last resize, and blanks between */
#define WIDTH_BUT_BAR	63
#define NAME_WIDTH	12

struct lines {
	char **text;
	size_t nr;
};

/* One answer of pzoned, and the one before, to tell how much was waited in between. */
struct sample {
	struct json_object *root;
	uint64_t when_us;
};

static void lines_clear(struct lines *l)
{
	for (size_t i = 0; i < l->nr; i++)
		free(l->text[i]);
	free(l->text);
	memset(l, 0, sizeof(*l));
}

static void add_line(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_line(struct lines *l, const char *fmt, ...)
{
	char **grown = realloc(l->text, (l->nr + 1) * sizeof(*grown));
	va_list ap;

	if (!grown)
		return;
	l->text = grown;
	va_start(ap, fmt);
	if (vasprintf(&grown[l->nr], fmt, ap) >= 0)
		l->nr++;
	va_end(ap);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t u64(struct json_object *obj, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(obj, key, &value) ? json_object_get_uint64(value) : 0;
}

static const char *str(struct json_object *obj, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(obj, key, &value) ? json_object_get_string(value) : "";
}

/* Element i of array key, NULL past its end. */
static struct json_object *at(struct json_object *obj, const char *key, size_t i)
{
	struct json_object *array;

	if (!json_object_object_get_ex(obj, key, &array) ||
	    i >= json_object_array_length(array))
		return NULL;
	return json_object_array_get_idx(array, i);
}

/* How many bytes the first columns of a text take; domains may have names in UTF-8. */
static size_t columns_bytes(const char *text, size_t columns, size_t *ret_columns)
{
	size_t n = 0, seen = 0;

	for (; text[n]; n++) {
		bool starts = ((unsigned char)text[n] & 0xc0) != 0x80;

		if (starts && seen == columns)
			break;
		seen += starts;
	}
	if (ret_columns)
		*ret_columns = seen;
	return n;
}

/* A name in a column of its own: cut, or filled up. */
static const char *name_column(const char *name, char buf[4 * NAME_WIDTH + 1])
{
	size_t columns, n = columns_bytes(name, NAME_WIDTH, &columns);

	if (n > 4 * NAME_WIDTH - (NAME_WIDTH - columns))
		n = 0;	/* no UTF-8 that anybody could show */
	snprintf(buf, 4 * NAME_WIDTH + 1, "%.*s%*s", (int)n, name,
		 (int)(n ? NAME_WIDTH - columns : NAME_WIDTH), "");
	return buf;
}

/* [####==--|  ]: used, had and free, wanted and not there yet, up to the limit */
static void bar(char *buf, int width, uint64_t used, uint64_t actual, uint64_t size, uint64_t limit)
{
	uint64_t full = limit > size ? limit : size;
	double scale = full ? (double)width / (double)full : 0;

	for (int i = 0; i < width; i++) {
		double middle = (i + 0.5) / (scale ? scale : 1);

		buf[i] = middle < (double)used ? '#' : middle < (double)actual ? '=' :
			 middle < (double)size ? '-' : ' ';
	}
	buf[width] = '\0';
}

/* How long ago, in three characters. */
static const char *ago(uint64_t when_ms, char buf[16])
{
	int64_t s = (int64_t)time(NULL) - (int64_t)(when_ms / 1000);

	if (s < 0)
		s = 0;
	if (s < 100)
		snprintf(buf, 16, "%ds", (int)s);
	else if (s < 100 * 60)
		snprintf(buf, 16, "%dm", (int)(s / 60));
	else if (s < 100 * 3600)
		snprintf(buf, 16, "%dh", (int)(s / 3600));
	else
		snprintf(buf, 16, "%dd", (int)(s / 86400 % 100000));
	return buf;
}

static void last_text(struct json_object *cls, char *buf, size_t len)
{
	struct json_object *last;
	uint64_t from, to;
	char by[16], when[16];

	snprintf(buf, len, "-");
	if (!json_object_object_get_ex(cls, "last-resize", &last))
		return;
	from = u64(last, "from");
	to = u64(last, "to");
	snprintf(buf, len, "%c%s %s", to > from ? '+' : '-',
		 show_brief(to > from ? to - from : from - to, by),
		 ago(u64(last, "when-ms"), when));
}

/* The same class in the answer before. Few enough to walk. */
static struct json_object *before(const struct sample *old, const char *domain, const char *pool,
				  const char *name)
{
	struct json_object *d, *p, *c;

	for (size_t i = 0; old->root && (d = at(old->root, "domains", i)); i++) {
		if (strcmp(str(d, "name"), domain))
			continue;
		for (size_t j = 0; (p = at(d, "pools", j)); j++) {
			if (strcmp(str(p, "name"), pool))
				continue;
			for (size_t k = 0; (c = at(p, "classes", k)); k++)
				if (!strcmp(str(c, "name"), name))
					return c;
		}
	}
	return NULL;
}

static void pressure_text(struct json_object *cls, struct json_object *old, uint64_t us, char *buf,
			  size_t len)
{
	uint64_t new_us = u64(cls, "pressure-us"), old_us = old ? u64(old, "pressure-us") : 0;

	if (!old || !us || new_us < old_us)
		snprintf(buf, len, "-");
	else
		snprintf(buf, len, "%.0f%%", 100.0 * (double)(new_us - old_us) / (double)us);
}

static void add_class(struct lines *l, int width, struct json_object *domain,
		      struct json_object *pool, struct json_object *cls, const struct sample *now,
		      const struct sample *old)
{
	uint64_t actual = u64(cls, "actual"), unused = u64(cls, "free");
	uint64_t used = actual > unused ? actual - unused : 0;
	int bar_len = width - WIDTH_BUT_BAR;
	char graph[BAR_MAX + 1], size[16], use[16], limit[16], last[48], pressure[32];
	char dom[4 * NAME_WIDTH + 1], name[4 * NAME_WIDTH + 1];
	struct json_object *was = before(old, str(domain, "name"), str(pool, "name"),
					 str(cls, "name"));

	bar_len = bar_len < BAR_MIN ? BAR_MIN : bar_len > BAR_MAX ? BAR_MAX : bar_len;
	bar(graph, bar_len, used, actual, u64(cls, "size"), u64(cls, "limit"));
	pressure_text(cls, was, now->when_us - old->when_us, pressure, sizeof(pressure));
	last_text(cls, last, sizeof(last));
	add_line(l, "%s %s %5s %5s %5s [%s] %5s %s", name_column(str(domain, "name"), dom),
		 name_column(str(cls, "name"), name), show_brief(u64(cls, "size"), size),
		 show_brief(used, use), show_brief(u64(cls, "limit"), limit), graph, pressure,
		 last);
}

static void add_budgets(struct lines *l, struct json_object *root)
{
	struct json_object *b, *is_short;
	char size[16], held[16], guaranteed[16];

	for (size_t i = 0; (b = at(root, "budgets", i)); i++)
		add_line(l, "budget %s: %s of %s held, %s guaranteed%s", str(b, "name"),
			 show_brief(u64(b, "held"), held), show_brief(u64(b, "size"), size),
			 show_brief(u64(b, "guaranteed"), guaranteed),
			 json_object_object_get_ex(b, "short", &is_short) &&
			 json_object_get_boolean(is_short) ? ", SHORT" : "");
}

static void make_lines(struct lines *l, int width, const struct sample *now,
		       const struct sample *old)
{
	struct json_object *d, *p, *c;
	int bar_len = width - WIDTH_BUT_BAR;
	time_t t = time(NULL);
	char clock[16];
	size_t domains = 0, classes = 0;

	bar_len = bar_len < BAR_MIN ? BAR_MIN : bar_len > BAR_MAX ? BAR_MAX : bar_len;
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&t));
	for (; (d = at(now->root, "domains", domains)); domains++)
		for (size_t j = 0; (p = at(d, "pools", j)); j++)
			for (size_t k = 0; at(p, "classes", k); k++)
				classes++;
	add_line(l, "pzone-top %s: %zu domain%s, %zu class%s   # used  = free  - on its way", clock,
		 domains, domains == 1 ? "" : "s", classes, classes == 1 ? "" : "es");
	add_budgets(l, now->root);
	add_line(l, "%-12s %-12s %5s %5s %5s %-*s %5s %s", "DOMAIN", "CLASS", "SIZE", "USED", "LIMIT",
		 bar_len + 2, " 0 .. limit", "PRESS", "LAST");
	for (size_t i = 0; (d = at(now->root, "domains", i)); i++)
		for (size_t j = 0; (p = at(d, "pools", j)); j++)
			for (size_t k = 0; (c = at(p, "classes", k)); k++)
				add_class(l, width, d, p, c, now, old);
}

static int take_sample(const char *socket, struct sample *ret, struct pzone_error *err)
{
	char *text;
	int rc;

	rc = pzone_daemon_request(socket, "GET", "/v1/status", NULL, TIMEOUT_MS, &text, err);
	if (rc)
		return rc;
	ret->root = json_tokener_parse(text);
	ret->when_us = now_us();
	free(text);
	if (ret->root)
		return 0;
	snprintf(err->message, sizeof(err->message), "pzoned's answer makes no sense");
	return -EIO;
}

static void shift(struct sample *old, struct sample *now)
{
	json_object_put(old->root);
	*old = *now;
	memset(now, 0, sizeof(*now));
}

/* ---- in a pipe ---- */

static int print_once(struct cli_ctl *ctl, const char *socket, unsigned int interval_s)
{
	struct sample now = { 0 }, old = { 0 };
	struct pzone_error err;
	struct lines l = { 0 };
	int rc = take_sample(socket, &old, &err);

	if (!rc) {
		sleep(interval_s);
		rc = take_sample(socket, &now, &err);
	}
	if (rc) {
		say(ctl, &err);
	} else {
		make_lines(&l, WIDTH, &now, &old);
		for (size_t i = 0; i < l.nr; i++)
			puts(l.text[i]);
	}
	lines_clear(&l);
	json_object_put(now.root);
	json_object_put(old.root);
	return rc ? CLI_ERROR : CLI_OK;
}

/* ---- on a terminal ---- */

static void draw(const struct lines *l, size_t first)
{
	size_t fixed = 0, rows = LINES > 1 ? (size_t)LINES - 1 : 0, row = 0;

	/* The header stays while the classes scroll. */
	while (fixed < l->nr && strncmp(l->text[fixed], "DOMAIN", 6))
		fixed++;
	fixed++;
	erase();
	for (size_t i = 0; i < l->nr && row < rows; i++) {
		if (i >= fixed && i < fixed + first)
			continue;
		if (i + 1 == fixed)
			attron(A_REVERSE);
		mvaddnstr((int)row++, 0, l->text[i],
			  (int)columns_bytes(l->text[i], (size_t)COLS, NULL));
		if (i + 1 == fixed)
			attroff(A_REVERSE);
	}
	mvaddnstr(LINES - 1, 0, "q quit, up and down scroll", COLS);
	refresh();
}

/* Milliseconds to wait for a key: till the next sample. */
static int wait_ms(const struct sample *old, unsigned int interval_s)
{
	uint64_t next = old->when_us + (uint64_t)interval_s * 1000000, now = now_us();

	return next > now ? (int)((next - now) / 1000) + 1 : 0;
}

static int watch(struct cli_ctl *ctl, const char *socket, unsigned int interval_s)
{
	struct sample now = { 0 }, old = { 0 };
	struct pzone_error err;
	struct lines l = { 0 };
	size_t first = 0;
	int key = 0, rc = take_sample(socket, &old, &err);

	if (rc)
		return say(ctl, &err);
	setlocale(LC_CTYPE, "");
	if (!initscr()) {
		cli_error(ctl, "this terminal can't be used; try --once");
		return CLI_ERROR;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	while (key != 'q') {
		lines_clear(&l);
		/* now and old the same at first: there is no pressure yet */
		make_lines(&l, COLS, now.root ? &now : &old, &old);
		draw(&l, first);
		if (now.root)
			shift(&old, &now);
		timeout(wait_ms(&old, interval_s));
		key = getch();
		if (key == KEY_DOWN && first + 1 < l.nr)
			first++;
		else if (key == KEY_UP && first)
			first--;
		if (key != ERR)
			continue;
		rc = take_sample(socket, &now, &err);
		if (rc)
			break;
	}
	endwin();
	if (rc)
		say(ctl, &err);
	lines_clear(&l);
	json_object_put(now.root);
	json_object_put(old.root);
	return rc ? CLI_ERROR : CLI_OK;
}

static int cmd_top(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	unsigned int interval_s = INTERVAL_S;
	const char *socket = NULL;

	if (cli_opt_seconds(ctl, cmd, "interval", &interval_s) < 0 ||
	    cli_opt_string(ctl, cmd, "socket", &socket) < 0)
		return CLI_ERROR;
	if (cli_opt_bool(cmd, "once") || !isatty(STDOUT_FILENO))
		return print_once(ctl, socket, interval_s);
	return watch(ctl, socket, interval_s);
}

static const struct cli_opt_def opts_top[] = {
	{ "interval", CLI_OPT_INT, false, "seconds between two looks (default: 2)", NULL },
	{ "once", CLI_OPT_BOOL, false, "print one screen and end, as in a pipe", NULL },
	{ "socket", CLI_OPT_STRING, false, "socket of pzoned (default: " PZONE_DAEMON_SOCKET ")", NULL },
	{ NULL, CLI_OPT_BOOL, false, NULL, NULL }
};

const struct cli_cmd_def def_top = {
	"pzone-top", cmd_top, "show all memory classes of this host, live",
	"Show all memory classes of this host, as pzoned sees them: size, use, share of\n"
	"    the time that tasks waited for memory, and what pzoned last did.", opts_top, false
};
