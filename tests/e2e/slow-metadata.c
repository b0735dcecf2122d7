// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slow-metadata.c - loaded in front of libvirt, for 05-pzoned.t: a pzone-set that is slow
 * between its two steps. Waits 200 ms before metadata is written, and writes to
 * $SLOW_LOG how many milliseconds have gone by then since the device was last told.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>

static struct timespec told;

int virDomainQemuMonitorCommand(virDomainPtr dom, const char *cmd, char **result,
				unsigned int flags)
{
	int (*real)(virDomainPtr, const char *, char **, unsigned int) =
		dlsym(RTLD_NEXT, "virDomainQemuMonitorCommand");

	if (strstr(cmd, "\"pzone-set\""))
		clock_gettime(CLOCK_MONOTONIC, &told);
	return real(dom, cmd, result, flags);
}

int virDomainSetMetadata(virDomainPtr dom, int type, const char *metadata, const char *key,
			 const char *uri, unsigned int flags)
{
	int (*real)(virDomainPtr, int, const char *, const char *, const char *, unsigned int) =
		dlsym(RTLD_NEXT, "virDomainSetMetadata");
	struct timespec now;
	FILE *log;
	int r;

	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	r = real(dom, type, metadata, key, uri, flags);
	clock_gettime(CLOCK_MONOTONIC, &now);
	log = fopen(getenv("SLOW_LOG"), "w");
	if (log) {
		fprintf(log, "%ld\n", (now.tv_sec - told.tv_sec) * 1000 +
			(now.tv_nsec - told.tv_nsec) / 1000000);
		fclose(log);
	}
	return r;
}
