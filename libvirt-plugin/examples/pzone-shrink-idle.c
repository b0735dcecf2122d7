// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pzone-shrink-idle.c: an example of libpzone. Shows the classes of a domain, and
 * with --shrink takes from each what it does not use, down to its guarantee.
 *
 *   cc pzone-shrink-idle.c $(pkg-config --cflags --libs libpzone libvirt) -o pzone-shrink-idle
 *   ./pzone-shrink-idle [-c URI] [--shrink] DOMAIN
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <libpzone.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* libvirt prints errors itself until it is told not to. */
static void no_output(void *opaque, virErrorPtr err)
{
	(void)opaque;
	(void)err;
}

static int complain(const struct pzone_error *err)
{
	fprintf(stderr, "error: %s\n", err->message);
	return 1;
}

/* What the class can go down to now: used or guaranteed, in whole aligns. */
static uint64_t target_bytes(const struct pzone_view *v)
{
	uint64_t target = v->used_bytes > v->guarantee_bytes ? v->used_bytes : v->guarantee_bytes;
	uint64_t align = v->live->align_bytes ? v->live->align_bytes : 2 << 20;

	return (target + align - 1) / align * align;
}

static int shrink(virDomainPtr dom, const struct pzone_view *v)
{
	struct pzone_error err;
	char size[32];

	/* without a report nobody knows what is used */
	if (!v->used_known || target_bytes(v) >= v->live->size_bytes)
		return 0;
	if (pzone_domain_resize(dom, v->name, target_bytes(v), VIR_DOMAIN_AFFECT_LIVE, &err) < 0)
		return complain(&err);
	printf("%s: to %s\n", v->name, pzone_size_format(target_bytes(v), false, size, sizeof(size)));
	return 0;
}

static int work(virDomainPtr dom, bool do_shrink)
{
	const struct pzone_view *v;
	struct pzone_views *views;
	struct pzone_error err;
	char size[32];
	int rc = 0;

	if (pzone_domain_list(dom, &views, &err) < 0)
		return complain(&err);
	for (size_t i = 0; (v = pzone_views_at(views, i)); i++) {
		printf("%s %s %s\n", v->name, pzone_state_text(v->state),
		       pzone_size_format(v->live ? v->live->actual_bytes : v->config_size_bytes, false,
					 size, sizeof(size)));
		if (do_shrink && v->live)
			rc |= shrink(dom, v);
	}
	pzone_views_free(views);
	return rc;
}

int main(int argc, char **argv)
{
	const char *uri = NULL, *name = NULL;
	struct pzone_error err;
	bool do_shrink = false;
	virConnectPtr conn;
	virDomainPtr dom;
	int rc = 1;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-c") && i + 1 < argc)
			uri = argv[++i];
		else if (!strcmp(argv[i], "--shrink"))
			do_shrink = true;
		else
			name = argv[i];
	}
	if (!name) {
		fprintf(stderr, "usage: %s [-c URI] [--shrink] DOMAIN\n", argv[0]);
		return 1;
	}
	virSetErrorFunc(NULL, no_output);
	if (pzone_init(&err) < 0)
		return complain(&err);
	conn = virConnectOpen(uri);
	dom = conn ? virDomainLookupByName(conn, name) : NULL;
	if (dom)
		rc = work(dom, do_shrink);
	else
		fprintf(stderr, "error: %s\n", virGetLastErrorMessage());
	if (dom)
		virDomainFree(dom);
	if (conn)
		virConnectClose(conn);
	return rc;
}
