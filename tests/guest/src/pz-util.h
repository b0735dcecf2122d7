/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test programs share: the pattern that they fill memory with, and
 * how they speak. Each line on stdout is flushed at once, because a test on the
 * host waits for it.
 */
#ifndef PZ_UTIL_H
#define PZ_UTIL_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	4096UL
#define MIB	(1024UL * 1024)
#define WORDS	(PAGE / sizeof(uint64_t))

/* exit statuses of all test programs */
#define EXIT_USAGE	64	/* wrong arguments */
#define EXIT_SYSTEM	1	/* a system call failed */
#define EXIT_CORRUPT	2	/* memory did not hold what was written */

static inline __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	/* one write: processes that share the pipe do not mix their lines */
	if (write(1, line, n) != n)
		_exit(EXIT_SYSTEM);
}

static inline __attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(EXIT_SYSTEM);
}

/* Asks for huge pages or for none; a kernel that has no such pages has nothing to be asked. */
static inline void huge_pages(void *mem, unsigned long bytes, int advice)
{
	if (madvise(mem, bytes, advice) && !(errno == EINVAL && access("/sys/kernel/mm/transparent_hugepage", F_OK)))
		die("madvise");
}

/* A number from the command line. */
static inline unsigned long number(const char *text)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 0);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "not a number: '%s'\n", text);
		exit(EXIT_USAGE);
	}
	return v;
}

/* splitmix64's finisher: neighbouring inputs give unlike outputs */
static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Fill a page with what only this key gives. */
static inline void page_fill(void *page, uint64_t key)
{
	uint64_t *w = page, v = mix(key);

	for (unsigned long i = 0; i < WORDS; i++)
		w[i] = v + i * 0x9e3779b97f4a7c15ULL;
}

/* Return the first wrong word's index, or -1. A key of 0 means a page of zeros. */
static inline int page_check(const void *page, uint64_t key)
{
	const uint64_t *w = page;
	uint64_t v = key ? mix(key) : 0, step = key ? 0x9e3779b97f4a7c15ULL : 0;

	for (unsigned long i = 0; i < WORDS; i++)
		if (w[i] != v + i * step)
			return i;
	return -1;
}

static inline void page_corrupt(const void *page, uint64_t key, int word)
{
	const uint64_t *w = page;

	say("CORRUPT pid %d addr %p word %d is %#llx wants %#llx", getpid(), page, word,
	    (unsigned long long)w[word],
	    (unsigned long long)(key ? mix(key) + word * 0x9e3779b97f4a7c15ULL : 0));
	_exit(EXIT_CORRUPT);
}

/* Signals that a program is told with: looked at between two pages. */
static volatile sig_atomic_t told_end, told_verify;

static inline void on_signal(int sig)
{
	if (sig == SIGUSR1)
		told_verify = 1;
	else
		told_end = 1;
}

static inline void take_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
}

/* Sleep until a signal comes, without losing one that came just before. */
static inline void wait_signal(void)
{
	sigset_t block, old;

	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	while (!told_end && !told_verify)
		sigsuspend(&old);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

#endif /* PZ_UTIL_H */
