// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fake-domain.c - what libvirt's test driver lacks for the golden tests
 *
 * The tests of virsh-pzone run against test:///FILE, libvirt's own fake driver.
 * It keeps metadata and virtio-mem devices, but it drops <qemu:override> (and
 * <qemu:commandline>) and has no QEMU monitor. This library is loaded in front
 * of libvirt with LD_PRELOAD and is a FAKE of just these two things:
 *
 *   virDomainGetXMLDesc            puts back the <qemu:override> of the aliases
 *                                  in $FAKE_POOLS (blank-separated), and with $FAKE_KVM
 *                                  set says type='kvm' ("test" is as long)
 *   virDomainQemuMonitorCommand    with $FAKE_QMP set: answers query-pzone with
 *                                  the files $FAKE_QMP/1.json, 2.json, ..., each
 *                                  once and the last one for ever, and every
 *                                  other command with {}, or with the text of
 *                                  $FAKE_QMP/refuse as an error; with
 *                                  $FAKE_HANG set it never returns
 *
 *   virConnectDomainQemuMonitorEventRegister   with $FAKE_EVENTS set: hands out the
 *                                  lines of that file, "DOMAIN EVENT DETAILS", one
 *                                  in each turn of the event loop, to whom they concern
 *
 * Besides, it writes what would change something to $FAKE_LOG: each
 * virDomainSetMetadata that went through and each monitor command that is no
 * query. "Nothing was
 * changed" means that this file stays empty: a stronger check than comparing
 * metadata, since it sees a change and its undoing too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>

static void log_change(const char *fmt, ...)
{
	const char *path = getenv("FAKE_LOG");
	FILE *f = path ? fopen(path, "a") : NULL;
	va_list ap;

	if (!f)
		return;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fclose(f);
}

static char *read_file(const char *dir, const char *name)
{
	char path[4096], *text = NULL;
	size_t len = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return NULL;
	if (getdelim(&text, &len, '\0', f) < 0) {
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

static void say_kvm(char *xml)
{
	char *type = xml ? strstr(xml, "<domain type='test'") : NULL;

	if (type && getenv("FAKE_KVM"))
		memcpy(type, "<domain type='kvm' ", strlen("<domain type='test'"));
}

char *virDomainGetXMLDesc(virDomainPtr dom, unsigned int flags)
{
	static const char end[] = "</domain>";
	static const char ns[] = "http://libvirt.org/schemas/domain/qemu/1.0";
	char *(*real)(virDomainPtr, unsigned int) =
		dlsym(RTLD_NEXT, "virDomainGetXMLDesc");
	const char *pools = getenv("FAKE_POOLS");
	char *xml = real(dom, flags), *at = xml ? strstr(xml, end) : NULL;
	char *list, *out = NULL;
	size_t len;
	FILE *f;

	say_kvm(xml);
	if (!at || !pools)
		return xml;
	list = strdup(pools);
	f = open_memstream(&out, &len);
	fprintf(f, "%.*s<qemu:override xmlns:qemu='%s'>", (int)(at - xml), xml, ns);
	for (char *p = strtok(list, " "); p; p = strtok(NULL, " "))
		fprintf(f, "<qemu:device alias='%s'><qemu:frontend>"
			"<qemu:property name='pzone' type='bool' value='true'/>"
			"</qemu:frontend></qemu:device>", p);
	fprintf(f, "</qemu:override>%s", at);
	fclose(f);
	free(list);
	free(xml);
	return out;
}

int virDomainSetMetadata(virDomainPtr dom, int type, const char *metadata,
			 const char *key, const char *uri, unsigned int flags)
{
	int (*real)(virDomainPtr, int, const char *, const char *, const char *,
		    unsigned int) = dlsym(RTLD_NEXT, "virDomainSetMetadata");
	int r = real(dom, type, metadata, key, uri, flags);

	if (r < 0)
		return r;
	log_change("metadata%s%s:\n%s\n",
		   flags & VIR_DOMAIN_AFFECT_LIVE ? " live" : "",
		   flags & VIR_DOMAIN_AFFECT_CONFIG ? " config" : "",
		   metadata ? metadata : "(removed)");
	return r;
}

static char *answer_query(const char *dir)
{
	static int n;
	char name[32], *text;

	snprintf(name, sizeof(name), "%d.json", n + 1);
	text = read_file(dir, name);
	if (text) {
		n++;
		return text;
	}
	snprintf(name, sizeof(name), "%d.json", n);
	return read_file(dir, name);
}

int virDomainQemuMonitorCommand(virDomainPtr dom, const char *cmd, char **result,
				unsigned int flags)
{
	int (*real)(virDomainPtr, const char *, char **, unsigned int) =
		dlsym(RTLD_NEXT, "virDomainQemuMonitorCommand");
	const char *dir = getenv("FAKE_QMP");
	char *body = NULL;

	while (getenv("FAKE_HANG"))
		pause();
	if (!dir)
		return real(dom, cmd, result, flags);
	if (strstr(cmd, "\"query-pzone\"")) {
		body = answer_query(dir);
		if (!body || asprintf(result, "{\"return\":%s,\"id\":\"libvirt-1\"}",
				      body) < 0)
			return -1;
	} else {
		log_change("monitor: %s\n", cmd);
		body = read_file(dir, "refuse");
		if (body)
			body[strcspn(body, "\n")] = '\0';
		if (asprintf(result, body ? "{\"id\":\"libvirt-2\",\"error\":"
			     "{\"class\":\"GenericError\",\"desc\":\"%s\"}}" :
			     "{\"return\":{},\"id\":\"libvirt-2\"}%s",
			     body ? body : "") < 0)
			return -1;
	}
	free(body);
	return 0;
}

/* ---- events ---- */

static struct {
	virConnectPtr conn;
	virDomainPtr dom;
	virConnectDomainQemuMonitorEventCallback cb;
	void *opaque;
	FILE *file;
} listener;

static void next_event(int timer, void *opaque)
{
	char *line = NULL, *event, *details;
	size_t len = 0;
	virDomainPtr dom;

	(void)opaque;
	if (getline(&line, &len, listener.file) <= 0) {
		virEventRemoveTimeout(timer);
		free(line);
		return;
	}
	line[strcspn(line, "\n")] = '\0';
	event = strchr(line, ' ');
	*event++ = '\0';
	details = strchr(event, ' ');
	*details++ = '\0';
	dom = virDomainLookupByName(listener.conn, line);
	if (!listener.dom || !strcmp(virDomainGetName(listener.dom), line))
		listener.cb(listener.conn, dom, event, 1588168529, 201316, details,
			    listener.opaque);
	virDomainFree(dom);
	free(line);
}

int virConnectDomainQemuMonitorEventRegister(virConnectPtr conn, virDomainPtr dom,
					     const char *event,
					     virConnectDomainQemuMonitorEventCallback cb,
					     void *opaque, virFreeCallback freecb,
					     unsigned int flags)
{
	int (*real)(virConnectPtr, virDomainPtr, const char *,
		    virConnectDomainQemuMonitorEventCallback, void *, virFreeCallback,
		    unsigned int) = dlsym(RTLD_NEXT, "virConnectDomainQemuMonitorEventRegister");
	const char *path = getenv("FAKE_EVENTS");

	if (!path)
		return real(conn, dom, event, cb, opaque, freecb, flags);
	listener.conn = conn;
	listener.dom = dom;
	listener.cb = cb;
	listener.opaque = opaque;
	listener.file = fopen(path, "r");
	if (!listener.file)
		return -1;
	virEventAddTimeout(0, next_event, NULL, NULL);
	return 7;
}

int virConnectDomainQemuMonitorEventDeregister(virConnectPtr conn, int id)
{
	int (*real)(virConnectPtr, int) =
		dlsym(RTLD_NEXT, "virConnectDomainQemuMonitorEventDeregister");

	return getenv("FAKE_EVENTS") ? 0 : real(conn, id);
}
