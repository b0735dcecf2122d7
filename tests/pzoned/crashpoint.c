// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crashpoint: kills pzoned at a chosen step. Loaded into it with LD_PRELOAD; stands between
 * it and libvirt, so that pzoned itself has no code for it.
 *
 * A step is a call that leaves the process: each is counted just before it is made, and
 * a QMP command that changes something once more when it has been answered: done, and
 * pzoned does not know.
 *
 *   CRASH_AT=N      SIGKILL at step N; 0 or not set: never
 *   CRASH_LOG=FILE  append a line for each step ("12 before query-pzone"), and one for each
 *                   command that was carried out ("0 did VM {...}")
 *   CRASH_ARM=FILE  count only while this file exists
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>

static atomic_uint steps;

static void log_line(const char *fmt, unsigned int n, const char *what)
{
	const char *path = getenv("CRASH_LOG");
	char line[4096];
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	int len = snprintf(line, sizeof(line), fmt, n, what);

	if (fd < 0)
		return;
	if (write(fd, line, (size_t)len) != len)
		abort();	/* a test that can't see is no test */
	close(fd);
}

static void step(const char *fmt, const char *what)
{
	const char *at = getenv("CRASH_AT"), *arm = getenv("CRASH_ARM");
	unsigned int n;

	if (arm && access(arm, F_OK))
		return;
	n = atomic_fetch_add(&steps, 1) + 1;
	log_line(fmt, n, what);
	if (at && n == (unsigned int)atoi(at))
		kill(getpid(), SIGKILL);
}

static void *real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		abort();
	return f;
}

/* The command's name, for people. */
static const char *name_of(const char *json, char *buf, size_t len)
{
	const char *at = strstr(json, "\"execute\"");

	if (!at || sscanf(at, "\"execute\": \"%63[^\"]", buf) != 1)
		snprintf(buf, len, "?");
	return buf;
}

int virDomainQemuMonitorCommand(virDomainPtr dom, const char *cmd, char **result,
				unsigned int flags)
{
	int (*call)(virDomainPtr, const char *, char **, unsigned int) =
		real("virDomainQemuMonitorCommand");
	char buf[64], line[3072];
	const char *name = name_of(cmd, buf, sizeof(buf));
	int rc;

	step("%u before %s\n", name);
	rc = call(dom, cmd, result, flags);
	if (rc || !*result || strstr(*result, "\"error\"") || !strncmp(name, "query-", 6))
		return rc;
	snprintf(line, sizeof(line), "%s %s", virDomainGetName(dom), cmd);
	log_line("%u did %s\n", 0, line);
	step("%u after %s\n", name);
	return rc;
}

#define COUNTED(type, name, params, args)				\
	type name params						\
	{								\
		type (*call) params = real(#name);			\
									\
		step("%u before %s\n", #name);				\
		return call args;					\
	}

COUNTED(virConnectPtr, virConnectOpen, (const char *uri), (uri))
COUNTED(virDomainPtr, virDomainLookupByUUIDString, (virConnectPtr conn, const char *uuid),
	(conn, uuid))
COUNTED(char *, virDomainGetXMLDesc, (virDomainPtr dom, unsigned int flags), (dom, flags))
COUNTED(char *, virDomainGetMetadata, (virDomainPtr dom, int type, const char *uri, unsigned int flags),
	(dom, type, uri, flags))
COUNTED(int, virDomainIsActive, (virDomainPtr dom), (dom))
COUNTED(int, virDomainIsPersistent, (virDomainPtr dom), (dom))
COUNTED(int, virDomainGetControlInfo, (virDomainPtr dom, virDomainControlInfoPtr info, unsigned int flags),
	(dom, info, flags))
COUNTED(int, virConnectListAllDomains, (virConnectPtr conn, virDomainPtr **domains, unsigned int flags),
	(conn, domains, flags))
COUNTED(int, virConnectDomainEventRegisterAny, (virConnectPtr conn, virDomainPtr dom, int id,
						virConnectDomainEventGenericCallback cb, void *opaque,
						virFreeCallback free_cb),
	(conn, dom, id, cb, opaque, free_cb))
COUNTED(int, virConnectDomainQemuMonitorEventRegister,
	(virConnectPtr conn, virDomainPtr dom, const char *event,
	 virConnectDomainQemuMonitorEventCallback cb, void *opaque, virFreeCallback free_cb,
	 unsigned int flags), (conn, dom, event, cb, opaque, free_cb, flags))
