// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pzone-hook - libvirt's hook for domains with memory classes
 *
 * libvirt calls it as "pzone-hook DOMAIN prepare begin -" with the domain's XML
 * on standard input before it starts QEMU, and does not start it when this ends
 * with another status than 0; what it says on stderr is part of the error that
 * the user sees. Status 1 is kept for the one veto: classes that can't fit into
 * their pools, with which the VM would start and quietly lack some of them. For
 * everything else the answer is 0: at "reconnect" any other would end a VM that
 * runs, and what is wrong in another way pzoned says and `virsh pzone-list`
 * shows, with the VM up.
 *
 * It must not call libvirt, which waits for it. It needs nothing but the XML.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libpzone.h"

/* libvirt's own XML is far smaller; a pipe that never ends must not hold up a start */
#define XML_MAX		(16 * 1024 * 1024)

/*
 * What may refuse a start, asked in this order; -ENOSPC is a no, and anything
 * else no reason to refuse. A controller with a say in it (a budget of the
 * host's, over its socket and with a timeout) is one more line here.
 */
typedef int (*admit_fn)(const struct pzone_defs *defs, const struct pzone_pools *pools,
			struct pzone_error *err);
static const admit_fn admissions[] = { pzone_defs_check_room };

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
	for (size_t i = 0; !status && i < sizeof(admissions) / sizeof(*admissions); i++) {
		if (admissions[i](defs, pools, &err) && err.code == PZONE_ERR_NO_SPACE) {
			fprintf(stderr, "pzone: domain '%s' is not started: %s\n", domain, err.message);
			status = 1;
		}
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
