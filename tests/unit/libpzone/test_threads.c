// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_threads.c: what libpzone.h promises to threads, under ThreadSanitizer:
 * different objects at once, and one object that many read.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libpzone.h"

#define ROUNDS 100

static const char classes[] = "<pzones><class name='db' pool='ua-p'><size unit='GiB'>1</size></class>"
			      "<class name='web' pool='ua-p'><size unit='MiB'>64</size></class></pzones>";
static const char domain[] = "<domain type='kvm'><name>vm</name><memory unit='GiB'>1</memory>"
			     "<vcpu>2</vcpu><os><type>hvm</type></os><devices/></domain>";

static struct pzone_defs *shared;
static struct pzone_pools *shared_pools;

/* One round of everything that needs no domain; 0, or what went wrong. */
static int one_round(void)
{
	struct pzone_pool_new pool = { .struct_bytes = sizeof(pool), .size_bytes = 1 << 30, .node = -1 };
	char *before = NULL, *after = NULL, *name = NULL, *xml = NULL, cookie[PZONE_COOKIE_MAX + 1];
	struct pzone_defs *defs = NULL;
	struct pzone_pools *pools = NULL;
	struct pzone_error err;
	int rc;

	rc = pzone_defs_parse(classes, sizeof(classes) - 1, NULL, &defs, &err);
	rc = rc ? rc : pzone_defs_set_weight(defs, "db", 7, &err);
	rc = rc ? rc : pzone_defs_format(defs, &xml, &err);
	rc = rc ? rc : pzone_pool_add_xml(domain, &pool, &before, &after, &name, &err);
	rc = rc ? rc : pzone_pools_parse(after, &pools, &err);
	if (!rc && pzone_defs_check(defs, pools, "vm", &err) == 0)
		rc = -1;	/* it has no pool ua-p */
	/* many read one */
	pzone_def_cookie(pzone_defs_find(shared, "db"), cookie);
	if (!rc && (!pzone_cookie_is_ours(cookie) || pzone_defs_check(shared, shared_pools, "vm", &err) == 0))
		rc = -1;
	free(xml);
	free(before);
	free(after);
	free(name);
	pzone_defs_free(defs);
	pzone_pools_free(pools);
	return rc;
}

static void *work(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		if (one_round())
			*(int *)arg = 1;
	return NULL;
}

int main(void)
{
	pthread_t threads[4];
	int bad[4] = { 0 }, any = 0;

	if (pzone_init(NULL) || pzone_defs_parse(classes, sizeof(classes) - 1, NULL, &shared, NULL) ||
	    pzone_pools_parse(domain, &shared_pools, NULL))
		return 1;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, &bad[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		any |= bad[i];
	}
	pzone_defs_free(shared);
	pzone_pools_free(shared_pools);
	printf("%s 1 - four threads, one library\n1..1\n", any ? "not ok" : "ok");
	return any;
}
