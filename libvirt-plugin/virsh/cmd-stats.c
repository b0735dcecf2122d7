// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-stats.c - pzone-stats: what the guest says of its classes, once or again
 * and again
 */
#include "cmd-common.h"
#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Ctrl-C between two samples ends the command, and not in the middle of a line. */
static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* The counters of one class in the sample before. */
struct before {
	char name[PZONE_NAME_MAX + 1];
	uint64_t refaults, pressure_us, oom, oom_kill;
};

struct stats {
	struct cli_ctl *ctl;
	struct look look;
	bool json, raw;
	unsigned int interval_s;	/* 0: one sample, and the counters are totals */
	struct before *before;
	size_t nr_before;
	struct timespec then, now;	/* of the sample before, of this one */
};

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static const struct before *find_before(const struct stats *s, const char *name)
{
	for (size_t i = 0; i < s->nr_before; i++)
		if (!strcmp(s->before[i].name, name))
			return &s->before[i];
	return NULL;
}

static int remember(struct stats *s)
{
	size_t n = 0, room = pzone_views_count(s->look.views);
	const struct pzone_view *v;

	free(s->before);
	s->nr_before = 0;
	s->before = calloc(room + 1, sizeof(*s->before));
	if (!s->before)
		return -ENOMEM;
	for (size_t i = 0; (v = pzone_views_at(s->look.views, i)); i++) {
		const struct pzone_report *r = v->used_known ? v->live->report : NULL;

		if (!r)
			continue;
		snprintf(s->before[n].name, sizeof(s->before[n].name), "%s", v->name);
		s->before[n].refaults = r->refaults;
		s->before[n].pressure_us = r->pressure_us;
		s->before[n].oom = r->oom;
		s->before[n++].oom_kill = r->oom_kill;
	}
	s->nr_before = n;
	s->then = s->now;
	return 0;
}

/* A class that was made anew between two samples starts at 0 again. */
static uint64_t since(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

/* The four counters: totals, or what happened since the sample before. */
static void counters(const struct stats *s, const struct pzone_view *v, char cells[4][SIZE_TEXT])
{
	const struct before *b = s->interval_s ? find_before(s, v->name) : NULL;
	const struct pzone_report *r = v->live->report;
	double took = seconds_between(&s->then, &s->now);

	if (!s->interval_s) {
		snprintf(cells[0], SIZE_TEXT, "%" PRIu64, r->refaults);
		snprintf(cells[1], SIZE_TEXT, "%.1fs", (double)r->pressure_us / 1e6);
		snprintf(cells[2], SIZE_TEXT, "%" PRIu64, r->oom);
		snprintf(cells[3], SIZE_TEXT, "%" PRIu64, r->oom_kill);
	} else if (b) {
		snprintf(cells[0], SIZE_TEXT, "%.0f", (double)since(r->refaults, b->refaults) / took);
		snprintf(cells[1], SIZE_TEXT, "%.1f",
			 (double)since(r->pressure_us, b->pressure_us) / 1e4 / took);
		snprintf(cells[2], SIZE_TEXT, "%" PRIu64, since(r->oom, b->oom));
		snprintf(cells[3], SIZE_TEXT, "%" PRIu64, since(r->oom_kill, b->oom_kill));
	}
}

/* Brief, so that a line fits 80 columns; what is free is what is not used. */
static void stats_size(const struct stats *s, uint64_t bytes, char *cell)
{
	if (s->raw)
		show_size(bytes, true, cell);
	else
		show_brief(bytes, cell);
}

static int stats_row(const struct stats *s, struct cli_table *table, const struct pzone_view *v)
{
	char sizes[4][SIZE_TEXT] = { "-", "-", "-", "-" };
	char counts[4][SIZE_TEXT] = { "-", "-", "-", "-" };
	const char *cells[] = { v->name, sizes[0], sizes[1], sizes[2], sizes[3],
				counts[0], counts[1], counts[2], counts[3] };

	if (v->live && v->state != PZONE_STATE_PLAIN_GUEST)
		stats_size(s, v->live->actual_bytes, sizes[0]);
	if (v->used_known) {
		stats_size(s, v->used_bytes, sizes[1]);
		stats_size(s, v->live->report->anon_bytes, sizes[2]);
		stats_size(s, v->live->report->file_bytes, sizes[3]);
		counters(s, v, counts);
	}
	return cli_table_row(table, cells);
}

static int print_table(struct stats *s)
{
	static const char *const totals[] = { "Name", "Size", "Used", "Anon", "File",
					      "Refaults", "Stalled", "OOM", "Kills" };
	static const char *const rates[] = { "Name", "Size", "Used", "Anon", "File",
					     "Refault/s", "Stall%", "OOM", "Kills" };
	struct cli_table *table = cli_table_new(9, s->interval_s ? rates : totals);
	const struct pzone_view *v;
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && (v = pzone_views_at(s->look.views, i)); i++)
		if (look_wants(&s->look, v))
			r = stats_row(s, table, v);
	if (r == 0)
		cli_table_print(table, stdout, !s->ctl->quiet);
	cli_table_free(table);
	return r < 0 ? say_nomem(s->ctl) : CLI_OK;
}

static int print_sample(struct stats *s)
{
	return s->json ? look_print_json(s->ctl, &s->look) : print_table(s);
}

/* count 0: until Ctrl-C, or until the domain can't be asked any more. */
static int print_samples(struct stats *s, unsigned int count)
{
	for (unsigned int n = 1; ; n++) {
		int r = print_sample(s);

		/* a reader that has gone: nobody wants more */
		if (r != CLI_OK || fflush(stdout) != 0)
			return CLI_ERROR;
		if (n == 1)
			look_notices(s->ctl, &s->look);
		/* of a domain that is shut off nothing new will be said */
		if (n == count || remember(s) < 0 ||
		    pzone_views_why(s->look.views)->code == PZONE_ERR_NOT_RUNNING)
			return CLI_OK;
		watchdog_stop();
		if (!interrupted)
			nanosleep(&(struct timespec){ .tv_sec = s->interval_s }, NULL);
		if (interrupted)
			return CLI_OK;
		if (!s->json)
			cli_extra(s->ctl, "\n");
		watchdog_start(0);
		if (look_again(s->ctl, &s->look) < 0)
			return CLI_ERROR;
		if (pzone_views_why(s->look.views)->code == PZONE_ERR_NOT_RUNNING) {
			cli_error(s->ctl, "domain '%s' is not running any more",
				  virDomainGetName(s->look.dom));
			return CLI_ERROR;
		}
		clock_gettime(CLOCK_MONOTONIC, &s->now);
	}
}

static int opt_times(struct cli_ctl *ctl, const struct cli_cmd *cmd, unsigned int *ret_interval,
		     unsigned int *ret_count)
{
	unsigned int interval = 0, count = 0;
	int r, c;

	r = cli_opt_seconds(ctl, cmd, "interval", &interval);
	if (r < 0)
		return r;
	c = cli_opt_number(ctl, cmd, "count", UINT32_MAX, &count);
	if (c == -ERANGE)
		cli_error(ctl, "Numeric value '%s' for <count> option is malformed or out of range",
			  cli_opt_raw(cmd, "count"));
	if (c < 0)
		return c;
	/* "--count 5" alone: as vmstat has it, a second in between */
	if (c > 0 && !r)
		interval = count > 1;
	*ret_interval = interval;
	*ret_count = interval ? count : 1;
	return 0;
}

static int cmd_stats(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct sigaction stop = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND }, old;
	struct stats s = { .ctl = ctl, .raw = cli_opt_bool(cmd, "raw") };
	unsigned int count;
	int r;

	if (opt_json(ctl, cmd, &s.json) < 0 ||
	    opt_times(ctl, cmd, &s.interval_s, &count) < 0 || look_open(ctl, cmd, &s.look) < 0)
		return CLI_ERROR;
	clock_gettime(CLOCK_MONOTONIC, &s.now);
	interrupted = 0;
	if (s.interval_s)
		sigaction(SIGINT, &stop, &old);
	r = print_samples(&s, count);
	if (s.interval_s)
		sigaction(SIGINT, &old, NULL);
	free(s.before);
	look_close(&s.look);
	return r;
}

static const struct cli_opt_def opts_stats[] = {
	OPT_DOMAIN,
	{ "class", CLI_OPT_DATA, false, "only this memory class", complete_classes },
	OPT_POOL("only the classes of this pool"),
	{ "interval", CLI_OPT_INT, false, "print again every so many seconds", NULL },
	{ "count", CLI_OPT_INT, false, "stop after printing so many times", NULL },
	{ "raw", CLI_OPT_BOOL, false, "show sizes in bytes", NULL },
	OPT_FORMAT,
	{ 0 }
};

const struct cli_cmd_def def_stats = {
	"pzone-stats", cmd_stats, "statistics of a domain's memory classes",
	"Print what the guest says of its classes. Counters are totals; with --interval\n"
	"    they are what happened since the lines before.", opts_stats, false
};
