// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * work.c: see work.h. The table is a memory aid only: losing it costs a look at
 * every domain and nothing else.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include "elastic.h"
#include "log.h"
#include "reconcile.h"
#include "work.h"

#define PAUSE_MS	200		/* between two looks at one domain */
#define AGAIN_MS	1000
#define RETRY_MIN_MS	1000
#define RETRY_MAX_MS	60000
#define PERIOD_MS	30000		/* look at all, in case an event got lost */
#define WHY_LEN		1600

struct entry {
	struct entry *next;
	char uuid[VIR_UUID_STRING_BUFLEN];
	char *name;			/* for the log */
	bool dirty;			/* wants a look */
	bool busy;			/* a thread has it */
	bool urgent;			/* somebody waits: no pause before the next look */
	uint64_t not_before_ms;
	unsigned int retry_ms;		/* the last back-off; 0: it went well */
	char why[WHY_LEN];		/* logged last */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
/* all below: under lock */
static struct entry *entries;
static unsigned int nr_entries, nr_threads, nr_failures;
static bool stopped, full_logged, threads_logged;
static uint64_t next_period_ms;
/* set before threads start */
static const char *work_uri;
static bool work_once;
static int timer = -1, tick_timer = -1;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void pump(void);

/* Forget a domain that nobody wants a look at. Called with the lock. */
static void drop(struct entry *e)
{
	struct entry **p = &entries;

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	nr_entries--;
	free(e->name);
	free(e);
}

/* What came of a look. Called with the lock; e may be gone afterwards. */
static void settle(struct entry *e, enum reconcile_result result, const char *why)
{
	bool failed = result == RECONCILE_RETRY || result == RECONCILE_WRONG;

	e->busy = false;
	e->not_before_ms = now_ms() + (e->dirty && e->urgent ? 0 : PAUSE_MS);
	if (failed)
		nr_failures++;
	if (result == RECONCILE_GONE) {
		if (!e->dirty)
			drop(e);
		return;
	}
	/* Say each reason once, not at every try, and say when it is over. */
	if (strcmp(e->why, why)) {
		if (*why)
			log_line(failed ? LOG_L_ERR : LOG_L_WARN, "domain '%s': %s", e->name, why);
		else
			log_info("domain '%s': is as its XML wants it again", e->name);
		snprintf(e->why, sizeof(e->why), "%s", why);
	}
	if (result == RECONCILE_RETRY && !work_once) {
		e->retry_ms = e->retry_ms ? e->retry_ms * 2 : RETRY_MIN_MS;
		if (e->retry_ms > RETRY_MAX_MS)
			e->retry_ms = RETRY_MAX_MS;
		e->not_before_ms = now_ms() + e->retry_ms;
		e->dirty = true;
		log_debug("domain '%s': next try in %u ms", e->name, e->retry_ms);
	} else if (result == RECONCILE_AGAIN && !work_once) {
		e->retry_ms = 0;
		e->not_before_ms = now_ms() + AGAIN_MS;
		e->dirty = true;
	} else {
		e->retry_ms = 0;
	}
}

static void *look(void *opaque)
{
	struct entry *e = opaque;	/* ours while busy; uuid never changes */
	enum reconcile_result result = RECONCILE_RETRY;
	char why[WHY_LEN];
	virConnectPtr conn;

	conn = virConnectOpen(work_uri);
	if (conn) {
		result = reconcile_domain(conn, e->uuid, why, sizeof(why));
		virConnectClose(conn);
	} else {
		snprintf(why, sizeof(why), "can't connect to libvirt at %s: %s", work_uri,
			 virGetLastErrorMessage());
	}
	pthread_mutex_lock(&lock);
	nr_threads--;
	settle(e, result, why);
	pump();
	pthread_cond_broadcast(&idle);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static bool start_thread(struct entry *e)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, look, e);
	pthread_attr_destroy(&attr);
	if (rc)
		log_err("can't start a thread for domain '%s': %s", e->name, strerror(rc));
	return rc == 0;
}

/* Start what is due, and set the timer for what is due next. With the lock. */
static void pump(void)
{
	uint64_t now = now_ms(), next = next_period_ms;

	for (struct entry *e = entries; e && !stopped; e = e->next) {
		if (!e->dirty || e->busy)
			continue;
		if (e->not_before_ms > now) {
			if (e->not_before_ms < next)
				next = e->not_before_ms;
			continue;
		}
		if (nr_threads >= WORK_THREADS_MAX) {
			if (!threads_logged)
				log_warn("%d domains are being looked at and do not answer: others wait for them",
					 WORK_THREADS_MAX);
			threads_logged = true;
			break;		/* the thread that ends first calls again */
		}
		if (!start_thread(e)) {
			e->not_before_ms = now + RETRY_MIN_MS;
			continue;
		}
		e->dirty = false;
		e->urgent = false;
		e->busy = true;
		nr_threads++;
	}
	if (nr_threads < WORK_THREADS_MAX / 2)
		threads_logged = false;
	if (timer >= 0)
		virEventUpdateTimeout(timer, stopped ? -1 : next > now ? (int)(next - now) : 0);
}

static void on_timer(int id, void *opaque)
{
	uint64_t now = now_ms();

	(void)id;
	(void)opaque;
	pthread_mutex_lock(&lock);
	if (now >= next_period_ms) {
		next_period_ms = now + PERIOD_MS;
		for (struct entry *e = entries; e; e = e->next)
			e->dirty = true;
	}
	pump();
	pthread_mutex_unlock(&lock);
}

static void on_tick(int id, void *opaque)
{
	(void)id;
	(void)opaque;
	elastic_tick();
}

void work_set_period(unsigned int period_ms)
{
	virEventUpdateTimeout(tick_timer, (int)period_ms);
}

void work_init(const char *uri, bool once)
{
	work_uri = uri;
	work_once = once;
	next_period_ms = now_ms() + PERIOD_MS;
}

int work_start(unsigned int period_ms)
{
	timer = virEventAddTimeout(PERIOD_MS, on_timer, NULL, NULL);
	tick_timer = work_once ? -1 : virEventAddTimeout((int)period_ms, on_tick, NULL, NULL);
	return timer < 0 || (tick_timer < 0 && !work_once) ? -1 : 0;
}

/* With the lock. NULL: no room. */
static struct entry *find_or_add(const char *uuid, const char *name)
{
	struct entry *e;

	for (e = entries; e; e = e->next)
		if (!strcmp(e->uuid, uuid))
			return e;
	if (nr_entries >= WORK_DOMAINS_MAX) {
		if (!full_logged)
			log_err("domain '%s' is one too many: pzoned takes care of %d", name,
				WORK_DOMAINS_MAX);
		full_logged = true;
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (e)
		e->name = strdup(name);
	if (!e || !e->name) {
		log_err("out of memory: domain '%s' is not taken care of", name);
		free(e);
		return NULL;
	}
	snprintf(e->uuid, sizeof(e->uuid), "%s", uuid);
	e->next = entries;
	entries = e;
	nr_entries++;
	return e;
}

void work_mark(const char *uuid, const char *name, bool urgent)
{
	struct entry *e;

	pthread_mutex_lock(&lock);
	e = find_or_add(uuid, name);
	if (e) {
		e->dirty = true;
		if (urgent) {
			e->urgent = true;
			e->retry_ms = 0;
			e->not_before_ms = 0;
		}
		pump();
	}
	pthread_mutex_unlock(&lock);
}

void work_mark_all(void)
{
	pthread_mutex_lock(&lock);
	for (struct entry *e = entries; e; e = e->next) {
		e->dirty = true;
		e->retry_ms = 0;
		e->not_before_ms = 0;
	}
	pump();
	pthread_mutex_unlock(&lock);
}

/* With the lock. */
static bool anything_left(void)
{
	if (nr_threads)
		return true;
	for (struct entry *e = entries; e && !stopped; e = e->next)
		if (e->dirty)
			return true;
	return false;
}

bool work_wait_idle(int timeout_ms)
{
	struct timespec until;
	bool left;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&lock);
	while ((left = anything_left()) && !rc) {
		if (timeout_ms < 0)
			pthread_cond_wait(&idle, &lock);
		else
			rc = pthread_cond_timedwait(&idle, &lock, &until);
	}
	pthread_mutex_unlock(&lock);
	return !left;
}

unsigned int work_failures(void)
{
	unsigned int nr;

	pthread_mutex_lock(&lock);
	nr = nr_failures;
	pthread_mutex_unlock(&lock);
	return nr;
}

void work_stop(void)
{
	pthread_mutex_lock(&lock);
	stopped = true;
	pthread_mutex_unlock(&lock);
}
