// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * link.c: see link.h. Callbacks come in the main thread's event loop and only
 * mark domains: a libvirt call from in there could wait for an answer that the
 * same loop has to read.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <json-c/json.h>
#include "elastic.h"
#include "libpzone.h"
#include "link.h"
#include "log.h"
#include "work.h"

#define BACKOFF_MAX_S		30
#define KEEPALIVE_S		5
#define KEEPALIVE_COUNT		3

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closed_cond = PTHREAD_COND_INITIALIZER;
static bool closed;			/* under lock */
static const char *link_uri;
static bool link_once;
static void (*link_done)(int status);

static void mark(virDomainPtr dom, enum work_mark how)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (!virDomainGetUUIDString(dom, uuid))
		work_mark(uuid, virDomainGetName(dom), how);
}

/* --- callbacks --- */

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail,
			void *opaque)
{
	(void)conn;
	(void)opaque;
	log_debug("domain '%s': lifecycle event %d/%d", virDomainGetName(dom), event, detail);
	mark(dom, WORK_XML);
	return 0;
}

static void on_metadata(virConnectPtr conn, virDomainPtr dom, int type, const char *uri,
			void *opaque)
{
	(void)conn;
	(void)opaque;
	if (type != VIR_DOMAIN_METADATA_ELEMENT || (uri && strcmp(uri, PZONE_XML_NS)))
		return;
	log_debug("domain '%s': its classes' metadata changed", virDomainGetName(dom));
	mark(dom, WORK_XML);
}

/* device-added and device-removed have the same signature */
static void on_device(virConnectPtr conn, virDomainPtr dom, const char *alias, void *opaque)
{
	(void)conn;
	(void)opaque;
	log_debug("domain '%s': device '%s' came or went", virDomainGetName(dom), alias);
	mark(dom, WORK_XML);
}

static void on_memory(virConnectPtr conn, virDomainPtr dom, const char *alias,
		      unsigned long long size, void *opaque)
{
	(void)conn;
	(void)alias;
	(void)size;
	(void)opaque;
	mark(dom, WORK_CHANGED);
}

/* A guest waits for memory: remember how much, and have it looked at now. */
static void on_shortage(virDomainPtr dom, const char *details)
{
	struct json_object *data = details ? json_tokener_parse(details) : NULL;
	struct json_object *pool, *name, *oom, *wanted;
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (data && json_object_object_get_ex(data, "pool", &pool) &&
	    json_object_object_get_ex(data, "name", &name) &&
	    json_object_object_get_ex(data, "oom", &oom) &&
	    json_object_object_get_ex(data, "wanted", &wanted) &&
	    !virDomainGetUUIDString(dom, uuid))
		elastic_shortage(uuid, json_object_get_string(pool), json_object_get_string(name),
				 (uint64_t)json_object_get_int64(wanted),
				 json_object_get_boolean(oom));
	json_object_put(data);
}

static void on_monitor(virConnectPtr conn, virDomainPtr dom, const char *event,
		       long long seconds, unsigned int micros, const char *details,
		       void *opaque)
{
	bool shortage = !strcmp(event, "PZONE_SHORTAGE");

	(void)conn;
	(void)seconds;
	(void)micros;
	(void)opaque;
	log_debug("domain '%s': %s %s", virDomainGetName(dom), event, details ? details : "");
	if (shortage)
		on_shortage(dom, details);
	mark(dom, shortage ? WORK_URGENT : WORK_CHANGED);
}

static void on_close(virConnectPtr conn, int reason, void *opaque)
{
	(void)conn;
	(void)opaque;
	log_warn("the connection to libvirt broke (reason %d)", reason);
	pthread_mutex_lock(&lock);
	closed = true;
	pthread_cond_signal(&closed_cond);
	pthread_mutex_unlock(&lock);
}

/* --- the thread --- */

static const struct {
	int id;
	virConnectDomainEventGenericCallback cb;
	bool needed;
} events[] = {
	{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), true },
	{ VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata), true },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device), false },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device), false },
	{ VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_memory),
	  false },
};
#define NR_EVENTS	(sizeof(events) / sizeof(events[0]))

struct registrations {
	int ids[NR_EVENTS];		/* -1: not registered */
	int monitor;
};

static int subscribe(virConnectPtr conn, struct registrations *regs)
{
	for (size_t i = 0; i < NR_EVENTS; i++) {
		regs->ids[i] = virConnectDomainEventRegisterAny(conn, NULL, events[i].id,
								events[i].cb, NULL, NULL);
		if (regs->ids[i] < 0 && events[i].needed) {
			log_err("libvirt at %s gives no event %d: %s", link_uri, events[i].id,
				virGetLastErrorMessage());
			return -1;
		}
	}
	regs->monitor = virConnectDomainQemuMonitorEventRegister(conn, NULL, "^PZONE_", on_monitor,
			NULL, NULL, VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX);
	if (regs->monitor < 0)
		log_info("libvirt at %s passes on no QEMU events, so looks are taken less often: %s",
			 link_uri, virGetLastErrorMessage());
	return 0;
}

static void unsubscribe(virConnectPtr conn, const struct registrations *regs)
{
	for (size_t i = 0; i < NR_EVENTS; i++)
		if (regs->ids[i] >= 0)
			virConnectDomainEventDeregisterAny(conn, regs->ids[i]);
	if (regs->monitor >= 0)
		virConnectDomainQemuMonitorEventDeregister(conn, regs->monitor);
}

static int list_running(virConnectPtr conn)
{
	virDomainPtr *doms = NULL;
	int nr = virConnectListAllDomains(conn, &doms, VIR_CONNECT_LIST_DOMAINS_ACTIVE);

	if (nr < 0) {
		log_err("can't list the domains of libvirt at %s: %s", link_uri,
			virGetLastErrorMessage());
		return -1;
	}
	for (int i = 0; i < nr; i++) {
		char uuid[VIR_UUID_STRING_BUFLEN];

		if (!virDomainGetUUIDString(doms[i], uuid))
			elastic_expect(uuid);
	}
	for (int i = 0; i < nr; i++) {
		mark(doms[i], WORK_XML);
		virDomainFree(doms[i]);
	}
	free(doms);
	return nr;
}

/* Until the connection breaks. 0: it had worked; -1: it never did. */
static int one_connection(virConnectPtr conn)
{
	struct registrations regs = { .monitor = -1 };
	int rc, nr;

	memset(regs.ids, 0xff, sizeof(regs.ids));
	pthread_mutex_lock(&lock);
	closed = false;
	pthread_mutex_unlock(&lock);
	/* The test driver has neither; then nothing can break. */
	virConnectRegisterCloseCallback(conn, on_close, NULL, NULL);
	virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT);
	/* Events first: what starts in between is seen twice, not never. */
	rc = subscribe(conn, &regs);
	nr = rc ? -1 : list_running(conn);
	if (nr >= 0) {
		log_info("connected to libvirt at %s, %d domains run", link_uri, nr);
		work_mark_all();
		pthread_mutex_lock(&lock);
		while (!closed)
			pthread_cond_wait(&closed_cond, &lock);
		pthread_mutex_unlock(&lock);
	}
	unsubscribe(conn, &regs);
	virConnectUnregisterCloseCallback(conn, on_close);
	return nr < 0 ? -1 : 0;
}

static void run_once(virConnectPtr conn)
{
	int status = 1;

	if (list_running(conn) >= 0 && work_wait_idle(-1))
		status = work_failures() ? 1 : 0;
	virConnectClose(conn);
	link_done(status);
}

static void *link_thread(void *opaque)
{
	unsigned int wait_s = 0;
	bool said = false;

	(void)opaque;
	for (;;) {
		virConnectPtr conn = virConnectOpen(link_uri);

		if (link_once && !conn) {
			log_err("can't connect to libvirt at %s: %s", link_uri,
				virGetLastErrorMessage());
			link_done(1);
			return NULL;
		}
		if (link_once) {
			run_once(conn);
			return NULL;
		}
		if (conn) {
			said = false;
			wait_s = one_connection(conn) ? wait_s : 0;
			virConnectClose(conn);
		} else if (!said) {
			log_err("can't connect to libvirt at %s, trying on: %s", link_uri,
				virGetLastErrorMessage());
			said = true;
		}
		wait_s = wait_s ? wait_s * 2 : 1;
		if (wait_s > BACKOFF_MAX_S)
			wait_s = BACKOFF_MAX_S;
		sleep(wait_s);
	}
}

int link_start(const char *uri, bool once, void (*done)(int status))
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	link_uri = uri;
	link_once = once;
	link_done = done;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, link_thread, NULL);
	pthread_attr_destroy(&attr);
	return rc ? -1 : 0;
}
