/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * work.h: which domains need a look, and the threads that take it.
 *
 * A domain's monitor can block for as long as its QEMU likes. So each look has
 * a thread and a libvirt connection of its own: nobody waits for another
 * domain, unless WORK_THREADS_MAX of them block at once. One domain is looked
 * at by one thread at a time. All calls may come from any thread.
 */
#ifndef PZONED_WORK_H
#define PZONED_WORK_H

#include <stdbool.h>

/* libvirtd serves 20 calls at once by default: leave some to other people. */
#define WORK_THREADS_MAX	12
#define WORK_DOMAINS_MAX	8192

/* uri must stay. once: never try again, count failures. */
void work_init(const char *uri, bool once);
/* Start the timers; the event implementation must be registered. period_ms: of
 * elastic_tick(). 0 or -1. */
int work_start(unsigned int period_ms);
void work_set_period(unsigned int period_ms);

/* The domain may have changed. urgent: at once, and
 * forget the back-off of earlier failures. */
void work_mark(const char *uuid, const char *name, bool urgent);
/* All domains that are known. */
void work_mark_all(void);

/* Wait until nothing is left to do, at most timeout_ms (-1: no limit); true if so. */
bool work_wait_idle(int timeout_ms);
/* Domains that failed since work_init(). */
unsigned int work_failures(void);
/* Start nothing more. */
void work_stop(void);

#endif
