// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pzone-hook - libvirt's hook for domains with memory classes
 *
 * libvirt calls it as "pzone-hook DOMAIN prepare begin -" with the domain's XML
 * on standard input before it starts QEMU, and does not start it when this ends
 * with another status than 0; what it says on stderr is part of the error that
 * the user sees. Status 1 is kept for the one veto: classes that can't fit into
 * their pools, with which the VM would start and quietly lack some of them, or whose
 * guarantees have no room in the host's budgets, if pzoned runs and says so. For
 * everything else the answer is 0: at "reconnect" any other would end a VM that
 * runs, and what is wrong in another way pzoned says and `virsh pzone-list`
 * shows, with the VM up.
 *
 * It must not call libvirt, which waits for it. It needs the XML, and asks pzoned.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libpzone.h"

/* libvirt's own XML is far smaller; a pipe that never ends must not hold up a start */
#define XML_MAX		(16 * 1024 * 1024)

/* libvirt waits for us, and the user for libvirt. */
#define DAEMON_TIMEOUT_MS	2000

static char *read_all(FILE *file)
{
	char *buf = malloc(XML_MAX + 1);
	size_t len;

	if (!buf)
		return NULL;
	len = fread(buf, 1, XML_MAX + 1, file);
	if (len > XML_MAX || ferror(file)) {
		free(buf);
		return NULL;
	}
	buf[len] = '\0';
	return buf;
}

/* 0 or the status that vetoes. What can't be read is no veto. */
static int admit(const char *domain, const char *xml)
{
	struct pzone_defs *defs = NULL;
	struct pzone_pools *pools = NULL;
	struct pzone_error err;
	int status = 0;

	if (pzone_defs_parse_domain(xml, &defs, &err) || pzone_pools_parse(xml, &pools, &err)) {
		fprintf(stderr, "pzone: domain '%s' is not judged: %s\n", domain, err.message);
		goto out;
	}
	/* Only a clear no counts: a pzoned that is not there or slow is no reason to refuse. */
	if (pzone_defs_check_room(defs, pools, &err) == -ENOSPC ||
	    (pzone_defs_count(defs) > 0 &&
	     pzone_daemon_admit(NULL, xml, DAEMON_TIMEOUT_MS, &err) == -ENOSPC)) {
		fprintf(stderr, "pzone: domain '%s' is not started: %s\n", domain, err.message);
		status = 1;
	}
out:
	pzone_defs_free(defs);
	pzone_pools_free(pools);
	return status;
}

int main(int argc, char **argv)
{
	char *xml;
	int status;

	if (argc < 4) {
		printf("usage: pzone-hook DOMAIN OPERATION SUB-OPERATION [EXTRA] < DOMAIN-XML\n"
		       "Called by libvirt from hooks/qemu.d; see pzone-hook(8).\n");
		return 0;
	}
	if (strcmp(argv[2], "prepare") || strcmp(argv[3], "begin"))
		return 0;
	xml = read_all(stdin);
	if (!xml) {
		fprintf(stderr, "pzone: domain '%s' is not judged: its XML can't be read\n", argv[1]);
		return 0;
	}
	status = admit(argv[1], xml);
	free(xml);
	return status;
}
