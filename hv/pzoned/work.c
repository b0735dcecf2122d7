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
#include <sys/queue.h>
#include <time.h>
#include <glib.h>
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
#define QUICK_MAX	6		/* looks at once, but for those that take long */
#define QUICK_URGENT	10		/* the same, with the urgent ones */
#define SLOW_MS		1000		/* this long: others may go on */
#define WELL_MS		20000		/* this long, a guest did what it did not do */
#define HANGS_MS	5000		/* and this long is worth a line in the log */
#define CONNECTIONS_MAX	4		/* kept open for the next looks */

struct entry {
	TAILQ_ENTRY(entry) link;
	char uuid[VIR_UUID_STRING_BUFLEN];
	char *name;			/* for the log */
	bool dirty;			/* wants a look */
	bool busy;			/* a thread has it */
	bool urgent;			/* somebody waits: no pause before the next look */
	bool xml_changed;		/* what we know of its XML may be wrong */
	bool slow, hangs;		/* of the look under way */
	uint64_t began_ms;		/* the look under way */
	uint64_t not_before_ms;
	unsigned int retry_ms;		/* the last back-off; 0: it went well */
	struct reconcile_xml xml;	/* its thread's while busy */
	char why[WHY_LEN];		/* logged last */
	bool failed;			/* that was an error */
	uint64_t well_since_ms;		/* it does not hold any more; 0: it does */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
/* all below: under lock */
static TAILQ_HEAD(entry_list, entry) entries = TAILQ_HEAD_INITIALIZER(entries);	/* whose turn is next */
static GHashTable *by_uuid;		/* the same entries */
static unsigned int nr_entries, nr_threads, nr_slow, nr_hangs, nr_failures;
static unsigned int calls_max = WORK_CALLS_DEFAULT;
static virConnectPtr connections[CONNECTIONS_MAX];	/* not in use */
static unsigned int nr_connections;
static bool stopped, full_logged, calls_logged;
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
	g_hash_table_remove(by_uuid, e->uuid);
	TAILQ_REMOVE(&entries, e, link);
	nr_entries--;
	reconcile_xml_free(&e->xml);
	free(e->name);
	free(e);
}

/* --- what came of a look --- */

/* Where a size ends that begins at text: "12 MiB", "0 bytes"; text if none does. */
static const char *after_size(const char *text)
{
	size_t digits = strspn(text, "0123456789.");

	if (!digits || text[digits] != ' ')
		return text;
	text += digits + 1;
	return text + strcspn(text, " ,;)");
}

/* The same sentences, be it with other sizes? */
static bool same_reason(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++) {
		/* From what stands before it: a digit in a name is none of a size. */
		if (*a == ' ' || *a == '(') {
			a = after_size(a + 1) - 1;
			b = after_size(b + 1) - 1;
		}
	}
	return *a == *b;
}

/*
 * Say each reason once, not at every try, and say when it is over; of what the guest has
 * to do only when it has been for a while, because it comes and goes. With the lock.
 */
static void log_reason(struct entry *e, bool failed, const char *why)
{
	uint64_t now = now_ms();

	if (!*why && *e->why) {
		if (!e->well_since_ms)
			e->well_since_ms = now;
		if (!e->failed && now - e->well_since_ms < WELL_MS)
			return;
		log_info("domain '%s': is as its XML wants it again", e->name);
	} else if (!same_reason(e->why, why)) {
		log_line(failed ? LOG_L_ERR : LOG_L_WARN, "domain '%s': %s", e->name, why);
	}
	e->failed = failed;
	e->well_since_ms = 0;
	if (why != e->why)
		snprintf(e->why, sizeof(e->why), "%s", why);
}

/* The look has ended, at last. With the lock. */
static void end_look(struct entry *e)
{
	e->busy = false;
	nr_threads--;
	if (e->slow)
		nr_slow--;
	if (e->hangs) {
		nr_hangs--;
		log_info("domain '%s': answered after %u s", e->name,
			 (unsigned int)((now_ms() - e->began_ms) / 1000));
	}
	e->slow = e->hangs = false;
}

/* When to look again. Called with the lock; e may be gone afterwards. */
static void settle(struct entry *e, enum reconcile_result result, const char *why)
{
	bool failed = result == RECONCILE_RETRY || result == RECONCILE_WRONG;

	end_look(e);
	e->not_before_ms = now_ms() + (e->dirty && e->urgent ? 0 : PAUSE_MS);
	if (failed)
		nr_failures++;
	if (result == RECONCILE_GONE) {
		if (!e->dirty)
			drop(e);
		return;
	}
	log_reason(e, failed, why);
	if (result == RECONCILE_RETRY && !work_once) {
		e->retry_ms = e->retry_ms ? e->retry_ms * 2 : RETRY_MIN_MS;
		if (e->retry_ms > RETRY_MAX_MS)
			e->retry_ms = RETRY_MAX_MS;
		e->not_before_ms = now_ms() + e->retry_ms;
		e->dirty = e->xml_changed = true;
		log_debug("domain '%s': next try in %u ms", e->name, e->retry_ms);
	} else if (result == RECONCILE_AGAIN && !work_once) {
		e->retry_ms = 0;
		e->not_before_ms = now_ms() + AGAIN_MS;
		e->dirty = true;
	} else {
		e->retry_ms = 0;
	}
}

/* --- looking --- */

/* To open one costs more than a look does. */
static virConnectPtr take_connection(void)
{
	virConnectPtr conn = NULL;

	pthread_mutex_lock(&lock);
	while (!conn && nr_connections) {
		conn = connections[--nr_connections];
		pthread_mutex_unlock(&lock);
		/* Does not ask: it is whether the socket is open still. */
		if (virConnectIsAlive(conn) != 1) {
			virConnectClose(conn);
			conn = NULL;
		}
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return conn ? conn : virConnectOpen(work_uri);
}

static void put_connection(virConnectPtr conn, bool good)
{
	pthread_mutex_lock(&lock);
	if (good && nr_connections < CONNECTIONS_MAX) {
		connections[nr_connections++] = conn;
		conn = NULL;
	}
	pthread_mutex_unlock(&lock);
	if (conn)
		virConnectClose(conn);
}

static void *look(void *opaque)
{
	struct entry *e = opaque;	/* ours while busy; uuid never changes */
	enum reconcile_result result = RECONCILE_RETRY;
	bool link_broke = true;
	char why[WHY_LEN];
	virConnectPtr conn;

	conn = take_connection();
	if (conn) {
		result = reconcile_domain(conn, e->uuid, &e->xml, why, sizeof(why));
		link_broke = result == RECONCILE_RETRY && virConnectIsAlive(conn) != 1;
		put_connection(conn, result != RECONCILE_RETRY);
	} else {
		snprintf(why, sizeof(why), "can't connect to libvirt at %s: %s", work_uri,
			 virGetLastErrorMessage());
	}
	if (!link_broke)
		elastic_seen(e->uuid);
	pthread_mutex_lock(&lock);
	/* That is no domain's own trouble: link.c says it, once for all. */
	settle(e, result, link_broke && !work_once ? e->why : why);
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

/* --- whose turn it is --- */

/* With the lock. Looks that take long are counted apart; when that has to be done next. */
static uint64_t find_slow(uint64_t now)
{
	uint64_t next = UINT64_MAX;
	struct entry *e;

	TAILQ_FOREACH(e, &entries, link) {
		uint64_t after = e->slow ? HANGS_MS : SLOW_MS;

		if (!e->busy || e->hangs)
			continue;
		if (now - e->began_ms < after) {
			if (e->began_ms + after < next)
				next = e->began_ms + after;
		} else if (!e->slow) {
			e->slow = true;
			nr_slow++;
			elastic_seen(e->uuid);	/* as far as it can be seen */
		} else {
			e->hangs = true;
			nr_hangs++;
			log_warn("domain '%s': its QEMU, or libvirt, has not answered for %d s; the call can't be given up, and nothing else is asked of this domain until it ends",
				 e->name, HANGS_MS / 1000);
		}
	}
	return next;
}

/* With the lock. May this look begin now? */
static bool has_room(const struct entry *e)
{
	if (nr_threads >= calls_max) {
		if (!calls_logged && nr_hangs)
			log_err("%u calls of libvirt have no answer, %u of them for long, and more are not made: other domains have to wait. End the domains that hang, or raise max_workers in libvirtd.conf and calls= in pzoned.conf",
				nr_threads, nr_hangs);
		calls_logged |= nr_hangs > 0;
		return false;
	}
	return nr_threads - nr_slow < (e->urgent ? QUICK_URGENT : QUICK_MAX);
}

/* With the lock. False: wait, there is no room. */
static bool begin_look(struct entry *e, uint64_t now)
{
	if (!has_room(e))
		return false;
	if (e->xml_changed)
		reconcile_xml_free(&e->xml);
	e->busy = true;
	if (!start_thread(e)) {
		e->busy = false;
		e->not_before_ms = now + RETRY_MIN_MS;
		return true;
	}
	e->dirty = e->urgent = e->xml_changed = false;
	e->began_ms = now;
	nr_threads++;
	/* The others first, before it is this one's turn again. */
	TAILQ_REMOVE(&entries, e, link);
	TAILQ_INSERT_TAIL(&entries, e, link);
	return true;
}

/* With the lock. Begin what is due; returns when the next is. */
static uint64_t begin_due(bool urgent, uint64_t now)
{
	struct entry *e, *after, *last = TAILQ_LAST(&entries, entry_list);
	uint64_t next = UINT64_MAX;

	for (e = TAILQ_FIRST(&entries); e && !stopped; e = after) {
		after = e == last ? NULL : TAILQ_NEXT(e, link);
		if (!e->dirty || e->busy || e->urgent != urgent)
			continue;
		if (e->not_before_ms > now) {
			if (e->not_before_ms < next)
				next = e->not_before_ms;
		} else if (!begin_look(e, now)) {
			break;		/* the look that ends first, or gets slow, calls again */
		}
	}
	return next;
}

/* Start what is due, and set the timer for what is due next. With the lock. */
static void pump(void)
{
	uint64_t now = now_ms(), next = next_period_ms, due;

	due = find_slow(now);
	next = due < next ? due : next;
	for (int urgent = 1; urgent >= 0; urgent--) {
		due = begin_due(urgent, now);
		next = due < next ? due : next;
	}
	if (nr_threads < calls_max / 2)
		calls_logged = false;
	/* What was begun just now may get slow. */
	if (nr_threads > nr_slow && now + SLOW_MS < next)
		next = now + SLOW_MS;
	if (timer >= 0)
		virEventUpdateTimeout(timer, stopped ? -1 : next > now ? (int)(next - now) : 0);
}

static void on_timer(int id, void *opaque)
{
	uint64_t now = now_ms();
	struct entry *e;

	(void)id;
	(void)opaque;
	pthread_mutex_lock(&lock);
	if (now >= next_period_ms) {
		next_period_ms = now + PERIOD_MS;
		TAILQ_FOREACH(e, &entries, link)
			e->dirty = e->xml_changed = true;
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

void work_configure(unsigned int period_ms, unsigned int new_calls_max)
{
	pthread_mutex_lock(&lock);
	calls_max = new_calls_max;
	pthread_mutex_unlock(&lock);
	if (tick_timer >= 0)
		virEventUpdateTimeout(tick_timer, (int)period_ms);
}

void work_init(const char *uri, bool once)
{
	work_uri = uri;
	work_once = once;
	by_uuid = g_hash_table_new(g_str_hash, g_str_equal);
	next_period_ms = now_ms() + PERIOD_MS;
}

int work_start(unsigned int period_ms)
{
	timer = virEventAddTimeout(PERIOD_MS, on_timer, NULL, NULL);
	tick_timer = work_once ? -1 : virEventAddTimeout((int)period_ms, on_tick, NULL, NULL);
	return timer < 0 || (tick_timer < 0 && !work_once) ? -1 : 0;
}

/* --- marking --- */

/* With the lock. NULL: no room. */
static struct entry *find_or_add(const char *uuid, const char *name)
{
	struct entry *e = g_hash_table_lookup(by_uuid, uuid);

	if (e)
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
	TAILQ_INSERT_TAIL(&entries, e, link);
	g_hash_table_insert(by_uuid, e->uuid, e);
	nr_entries++;
	return e;
}

void work_mark(const char *uuid, const char *name, enum work_mark mark)
{
	struct entry *e;

	pthread_mutex_lock(&lock);
	e = find_or_add(uuid, name);
	if (!e || e->slow)
		elastic_seen(uuid);	/* what can be known of it is */
	if (e) {
		e->dirty = true;
		e->xml_changed |= mark == WORK_XML;
		e->urgent |= mark == WORK_URGENT;
		if (mark == WORK_XML || mark == WORK_URGENT) {
			e->retry_ms = 0;
			e->not_before_ms = 0;
		}
		if (mark != WORK_SAMPLE)
			pump();
	}
	pthread_mutex_unlock(&lock);
}

void work_begin(void)
{
	pthread_mutex_lock(&lock);
	pump();
	pthread_mutex_unlock(&lock);
}

void work_mark_all(void)
{
	struct entry *e;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(e, &entries, link) {
		e->dirty = e->xml_changed = true;
		e->retry_ms = 0;
		e->not_before_ms = 0;
	}
	pump();
	pthread_mutex_unlock(&lock);
}

/* --- the end --- */

/* With the lock. */
static bool anything_left(void)
{
	struct entry *e;

	if (nr_threads)
		return true;
	if (!stopped)
		TAILQ_FOREACH(e, &entries, link)
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

static unsigned int read_counter(const unsigned int *counter)
{
	unsigned int nr;

	pthread_mutex_lock(&lock);
	nr = *counter;
	pthread_mutex_unlock(&lock);
	return nr;
}

unsigned int work_failures(void)
{
	return read_counter(&nr_failures);
}

unsigned int work_hanging(void)
{
	return read_counter(&nr_hangs);
}

void work_stop(void)
{
	pthread_mutex_lock(&lock);
	stopped = true;
	pthread_mutex_unlock(&lock);
}
