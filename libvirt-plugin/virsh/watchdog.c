// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * watchdog.c - no command waits for ever; see watchdog.h
 */
#include "watchdog.h"
#include "cli.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static bool on_terminal;

static void on_alarm(int sig)
{
	/* the first character ends a line of progress */
	static const char text[] =
		"\nerror: the domain's QEMU does not answer; what was asked for may still happen when it does\n";
	const char *from = on_terminal ? text : text + 1;
	ssize_t r;

	(void)sig;
	r = write(STDERR_FILENO, from, text + sizeof(text) - 1 - from);
	(void)r;
	_exit(CLI_ERROR);
}

static unsigned int limit_s(void)
{
	const char *env = getenv("PZONE_MONITOR_TIMEOUT");
	char *end;
	unsigned long n;

	if (!env)
		return WATCHDOG_SECONDS;
	n = strtoul(env, &end, 10);
	return *end || n == 0 || n > INT_MAX / 2 ? WATCHDOG_SECONDS : n;
}

void watchdog_start(unsigned int extra_s)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	on_terminal = isatty(STDERR_FILENO);
	sigaction(SIGALRM, &sa, NULL);
	alarm(limit_s() + extra_s);
}

void watchdog_stop(void)
{
	alarm(0);
}
