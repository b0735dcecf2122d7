// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * progress.c - waits for classes and shows how it goes; see progress.h
 */
#include "progress.h"
#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* Ctrl-C ends the wait; a second one the program, in case that does not help. */
struct handlers {
	struct sigaction sigint, sigterm;
};

static void handlers_set(struct handlers *old)
{
	struct sigaction stop = { .sa_handler = on_signal,
				  .sa_flags = SA_RESETHAND };

	interrupted = 0;
	sigaction(SIGINT, &stop, &old->sigint);
	sigaction(SIGTERM, &stop, &old->sigterm);
}

static void handlers_restore(const struct handlers *old)
{
	sigaction(SIGINT, &old->sigint, NULL);
	sigaction(SIGTERM, &old->sigterm, NULL);
}

char *size_text(uint64_t bytes, char *buf, size_t buf_len)
{
	static const struct {
		uint64_t unit;
		const char *name;
	} u[] = {
		{ 1ull << 40, "TiB" }, { 1ull << 30, "GiB" },
		{ 1ull << 20, "MiB" }, { 1ull << 10, "KiB" },
	};

	/* a whole number first: "1536 MiB" says more than "1.5 GiB" */
	for (size_t i = 0; i < 4; i++) {
		if (bytes < u[i].unit)
			continue;
		if (bytes % u[i].unit == 0)
			snprintf(buf, buf_len, "%" PRIu64 " %s",
				 bytes / u[i].unit, u[i].name);
		else if (i < 2 && bytes < 64 * u[i].unit &&
			 bytes % u[i + 1].unit == 0)
			snprintf(buf, buf_len, "%" PRIu64 " %s",
				 bytes / u[i + 1].unit, u[i + 1].name);
		else
			snprintf(buf, buf_len, "%.1f %s",
				 (double)bytes / u[i].unit, u[i].name);
		return buf;
	}
	snprintf(buf, buf_len, "%" PRIu64 " B", bytes);
	return buf;
}

/* What one wait knows; the last answer is kept for the final message. */
struct wait {
	const char *name;
	enum wait_goal goal;
	uint64_t start_bytes;
	bool tty;
	bool verbose;
	bool shown;
	bool have_last;
	uint64_t size_bytes;
	uint64_t actual_bytes;
	uint64_t pinned_bytes;
	uint64_t stuck_bytes;
	enum pzone_state state;
	char word[32];
};

/* Rounded down: 100 means done. */
static int percent(const struct wait *w)
{
	uint64_t target = w->goal == WAIT_FOR_END ? 0 : w->size_bytes;
	double whole = (double)target - (double)w->start_bytes;
	double done = (double)w->actual_bytes - (double)w->start_bytes;
	double p = whole ? done / whole * 100 : 100;

	return p < 0 ? 0 : p > 100 ? 100 : p;
}

static void show(struct wait *w, const char *state)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

	if (!w->tty && !w->verbose)
		return;
	fflush(stdout);
	if (w->tty)
		fprintf(stderr, "\r\033[K");
	fprintf(stderr, "%s: [%3d %%] %s -> %s, %s", w->name, percent(w),
		size_text(w->actual_bytes, a, sizeof(a)),
		size_text(w->goal == WAIT_FOR_END ? 0 : w->size_bytes, b,
			  sizeof(b)), state);
	if (!w->tty)
		fputc('\n', stderr);
	fflush(stderr);
	w->shown = true;
}

static int on_answer(const struct pzone_live_class *cls, void *opaque)
{
	struct wait *w = opaque;
	bool changed;

	if (!cls) {
		w->actual_bytes = 0;
		return interrupted;
	}
	changed = !w->have_last || w->actual_bytes != cls->actual_bytes ||
		  w->size_bytes != cls->size_bytes || w->state != cls->state;
	w->have_last = true;
	w->size_bytes = cls->size_bytes;
	w->actual_bytes = cls->actual_bytes;
	w->state = cls->state;
	w->pinned_bytes = cls->report ? cls->report->pinned_bytes : 0;
	w->stuck_bytes = cls->report ? cls->report->stuck_bytes : 0;
	if (changed)
		show(w, pzone_state_text(cls->state));
	return interrupted;
}

/* ": 12 MiB pinned", or what else is known of why memory does not come. */
static void why_text(const struct wait *w, char *buf, size_t len)
{
	char a[SIZE_TEXT];

	if (w->state == PZONE_STATE_WAITING)
		snprintf(buf, len, ": no guest driver follows");
	else if (w->pinned_bytes)
		snprintf(buf, len, ": %s pinned",
			 size_text(w->pinned_bytes, a, sizeof(a)));
	else if (w->stuck_bytes)
		snprintf(buf, len, ": %s still in use",
			 size_text(w->stuck_bytes, a, sizeof(a)));
	else
		snprintf(buf, len, ": the guest has not said why");
}

/* The class is not where it should be: say what was got, and what stays. */
static int say_short(struct cli_ctl *ctl, const struct wait *w,
		     const char *when)
{
	uint64_t target = w->goal == WAIT_FOR_END ? 0 : w->size_bytes;
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], why[96];
	bool shrink = w->actual_bytes > target;
	uint64_t gap = shrink ? w->actual_bytes - target :
				target - w->actual_bytes;
	bool moved = w->actual_bytes != w->start_bytes;

	why_text(w, why, sizeof(why));
	size_text(w->actual_bytes, a, sizeof(a));
	size_text(gap, b, sizeof(b));
	size_text(target, c, sizeof(c));
	if (w->goal == WAIT_FOR_END)
		cli_error(ctl, "Class '%s' still has %s%s%s; it goes when that is free",
			  w->name, a, when, why);
	else if (!moved)
		cli_error(ctl, "Class '%s' still has %s%s instead of %s%s; stays wanted",
			  w->name, a, when, c, why);
	else
		cli_error(ctl, "Class '%s' %s %s%s, %s short of %s%s; stays wanted",
			  w->name, shrink ? "shrunk to" : "grew to", a, when, b,
			  c, why);
	return shrink ? CLI_PARTIAL : CLI_ERROR;
}

static int say_result(struct cli_ctl *ctl, const struct wait *w,
		      enum pzone_wait_result result, unsigned int timeout_s)
{
	char a[SIZE_TEXT], when[32];

	size_text(w->actual_bytes, a, sizeof(a));
	snprintf(when, sizeof(when), " after %u s", timeout_s);
	switch (result) {
	case PZONE_WAIT_SETTLED:
		if (w->goal == WAIT_FOR_END) {
			cli_error(ctl, "Class '%s' is there again with %s: somebody created it anew",
				  w->name, a);
			return CLI_ERROR;
		}
		cli_extra(ctl, "Class '%s' has %s\n", w->name, a);
		return CLI_OK;
	case PZONE_WAIT_GONE:
		if (w->goal == WAIT_FOR_END) {
			cli_extra(ctl, "Class '%s' is gone\n", w->name);
			return CLI_OK;
		}
		cli_error(ctl, "Class '%s' was destroyed by somebody else meanwhile",
			  w->name);
		return CLI_ERROR;
	case PZONE_WAIT_PARTIAL:
		return say_short(ctl, w, "");
	case PZONE_WAIT_PLAIN:
		cli_error(ctl, "Class '%s' isolates nothing: the guest's kernel has no pzone support, so that no memory will move; boot a kernel with CONFIG_PZONE",
			  w->name);
		return CLI_ERROR;
	case PZONE_WAIT_TIMEOUT:
		return say_short(ctl, w, when);
	}
	return CLI_ERROR;
}

/* Around a wait: Ctrl-C, the watchdog, the line of progress. */
static unsigned int wait_begin(const struct wait_opts *opts, struct handlers *old)
{
	unsigned int timeout_s = opts->timeout_s ? opts->timeout_s : WAIT_DEFAULT_SECONDS;

	handlers_set(old);
	watchdog_start(timeout_s);
	return timeout_s;
}

static void wait_end(const struct wait *w, const struct handlers *old)
{
	watchdog_start(0);
	handlers_restore(old);
	if (w->tty && w->shown)
		fprintf(stderr, "\r\033[K");
}

int wait_for_class(struct cli_ctl *ctl, virDomainPtr dom, const char *name,
		   enum wait_goal goal, uint64_t start_bytes,
		   const struct wait_opts *opts)
{
	struct wait w = {
		.name = name,
		.goal = goal,
		.start_bytes = start_bytes,
		.tty = isatty(STDERR_FILENO) && !ctl->quiet,
		.verbose = opts->verbose,
	};
	enum pzone_wait_result result;
	struct pzone_error err = { 0 };
	unsigned int timeout_s;
	struct handlers old;
	char a[SIZE_TEXT];
	int r;

	timeout_s = wait_begin(opts, &old);
	r = pzone_domain_wait(dom, name, timeout_s * 1000,
			      opts->timeout_s ? PZONE_WAIT_F_THROUGH_PARTIAL : 0,
			      on_answer, &w, &result, NULL, &err);
	wait_end(&w, &old);
	if (r == -ECANCELED) {
		cli_error(ctl, "Stopped waiting: class '%s' has %s, and what is wanted stays wanted",
			  name, size_text(w.actual_bytes, a, sizeof(a)));
		return CLI_ERROR;
	}
	if (r < 0) {
		cli_error(ctl, "%s", err.message);
		return CLI_ERROR;
	}
	return say_result(ctl, &w, result, timeout_s);
}

/* The guest says nothing on the way: there is no percentage to show. */
static int on_reclaim_answer(const struct pzone_live_class *cls, void *opaque)
{
	struct wait *w = opaque;
	char a[SIZE_TEXT];

	(void)cls;
	if (!w->shown && (w->tty || w->verbose)) {
		fflush(stdout);
		fprintf(stderr, "%s: reclaiming %s%s", w->name,
			size_text(w->size_bytes, a, sizeof(a)), w->tty ? "" : "\n");
		fflush(stderr);
		w->shown = true;
	}
	return interrupted;
}

int wait_for_reclaim(struct cli_ctl *ctl, virDomainPtr dom, const char *name, uint32_t seq,
		     uint64_t asked_bytes, const struct wait_opts *opts)
{
	struct wait w = {
		.name = name,
		.size_bytes = asked_bytes,
		.tty = isatty(STDERR_FILENO) && !ctl->quiet,
		.verbose = opts->verbose,
	};
	enum pzone_wait_result result;
	struct pzone_error err = { 0 };
	char a[SIZE_TEXT], b[SIZE_TEXT];
	unsigned int timeout_s;
	struct handlers old;
	uint64_t got = 0;
	int r;

	timeout_s = wait_begin(opts, &old);
	r = pzone_domain_reclaim_wait(dom, name, seq, timeout_s * 1000, on_reclaim_answer, &w,
				      &result, &got, &err);
	wait_end(&w, &old);
	size_text(asked_bytes, a, sizeof(a));
	if (r == -ECANCELED) {
		cli_error(ctl, "Stopped waiting: class '%s' goes on reclaiming up to %s", name, a);
		return CLI_ERROR;
	}
	if (r < 0) {
		cli_error(ctl, "%s", err.message);
		return CLI_ERROR;
	}
	if (result == PZONE_WAIT_TIMEOUT) {
		cli_error(ctl, "Class '%s' has not finished reclaiming %s after %u s; it goes on",
			  name, a, timeout_s);
		return CLI_ERROR;
	}
	if (result != PZONE_WAIT_SETTLED)
		return say_result(ctl, &w, result, timeout_s);
	size_text(got, b, sizeof(b));
	if (got < asked_bytes) {
		cli_error(ctl, "Class '%s' reclaimed %s of %s: no more could be freed", name, b, a);
		return CLI_PARTIAL;
	}
	cli_extra(ctl, "Class '%s' reclaimed %s\n", name, b);
	return CLI_OK;
}
