/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * work.h: which domains need a look, and the threads that take it.
 *
 * A look is calls to libvirt, and each can take as long as a QEMU likes: libvirt has
 * no way to give one up. So each look has a thread and a connection to itself,
 * one domain is looked at by one thread at a time, and a look that takes longer than
 * a second makes room for another one. Only all that may wait at once is bounded
 * (work_configure()), because each also keeps a thread of libvirtd's.
 * All calls may come from any thread.
 */
#ifndef PZONED_WORK_H
#define PZONED_WORK_H

#include <stdbool.h>

/* libvirtd serves 20 calls at once by default: leave some to other people. */
#define WORK_CALLS_DEFAULT	16
#define WORK_DOMAINS_MAX	8192

/* uri must stay. once: never try again, count failures. */
void work_init(const char *uri, bool once);
/* Start the timers; the event implementation must be registered. period_ms: of
 * elastic_tick(). 0 or -1. */
int work_start(unsigned int period_ms);
/* calls_max: looks that may be under way at once. */
void work_configure(unsigned int period_ms, unsigned int calls_max);

enum work_mark {
	WORK_SAMPLE,		/* its figures are wanted, from the next work_begin() on */
	WORK_CHANGED,		/* its device or guest has news: look soon */
	WORK_XML,		/* its XML may have changed: at once, forget earlier failures */
	WORK_URGENT,		/* its guest waits: at once, before all others */
};
void work_mark(const char *uuid, const char *name, enum work_mark mark);
void work_begin(void);
/* All domains that are known, as with WORK_XML. */
void work_mark_all(void);

/* Wait until nothing is left to do, at most timeout_ms (-1: no limit); true if so. */
bool work_wait_idle(int timeout_ms);
/* Domains that failed since work_init(). */
unsigned int work_failures(void);
/* Looks that have had no answer for long. */
unsigned int work_hanging(void);
/* Start nothing more. */
void work_stop(void);

#endif
