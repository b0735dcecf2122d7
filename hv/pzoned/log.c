// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * log.c: see log.h. No time stamps: whoever keeps the log adds them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "log.h"

static bool log_verbose, log_prefix;

void log_init(bool verbose)
{
	log_verbose = verbose;
	/* Set by systemd when stderr goes to the journal. */
	log_prefix = getenv("JOURNAL_STREAM") != NULL;
}

void log_line(int level, const char *fmt, ...)
{
	char line[2048];
	size_t len = 0;
	va_list ap;
	int n;

	if (level == LOG_L_DEBUG && !log_verbose)
		return;
	if (log_prefix)
		len = (size_t)snprintf(line, sizeof(line), "<%d>", level);
	else
		len = (size_t)snprintf(line, sizeof(line), "pzoned: ");
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	len = strlen(line);
	line[len++] = '\n';
	/* One write: lines of several threads stay whole. Nobody to tell if it fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
