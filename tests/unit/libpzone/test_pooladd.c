// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_pooladd.c: a pool more in a domain's XML. That libvirt and QEMU take what
 * comes out is tested in tests/e2e; here it is what changes and what does not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include "libpzone.h"

#define MiB (1024ULL * 1024)
#define GiB (1024 * MiB)
#define NAME "<name>vm</name>"
#define HVM "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
/* What a domain needs at least; the rest is up to the test. */
#define DOMAIN(head, tail) \
	"<domain type='kvm'>\n  " NAME "\n  <memory unit='GiB'>1</memory>\n  <vcpu>4</vcpu>\n  " HVM \
	"\n" head "  <devices>\n" tail "  </devices>\n</domain>\n"

static struct pzone_error err;
static char *before, *after, *name;

static int add(const char *xml, const struct pzone_pool_new *pool)
{
	free(before);
	free(after);
	free(name);
	before = after = name = NULL;
	memset(&err, 0, sizeof(err));
	return pzone_pool_add_xml(xml, pool, &before, &after, &name, &err);
}

static struct pzone_pool_new new_pool(uint64_t size)
{
	struct pzone_pool_new pool = { .struct_bytes = sizeof(pool), .size_bytes = size, .node = -1 };

	return pool;
}

#define assert_has(text, part) \
	do { \
		if (!strstr(text, part)) \
			fail_msg("\"%s\" does not contain \"%s\"", text, part); \
	} while (0)
#define assert_adds(xml, pool) \
	do { \
		if (add(xml, pool)) \
			fail_msg("%s", err.message); \
	} while (0)
#define assert_refuses(xml, pool, rc, part) \
	do { \
		assert_int_equal(add(xml, pool), rc); \
		assert_has(err.message, part); \
		assert_null(after); \
	} while (0)

/* Line by line: each of before is in after, in order, but for those that start with
 * one of changed ("|memory|maxMemory|"). */
static void assert_kept(const char *changed)
{
	const char *from = after;
	char *copy = strdup(before), *rest = copy, *line;

	while ((line = strsep(&rest, "\n"))) {
		char tag[64], key[80];
		const char *found;

		if (sscanf(line, " <%63[A-Za-z:]", tag) == 1) {
			snprintf(key, sizeof(key), "|%s|", tag);
			if (strstr(changed, key))
				continue;
		}
		found = strstr(from, line);
		if (!found)
			fail_msg("\"%s\" is gone from \"%s\"", line, from);
		from = found + strlen(line);
	}
	free(copy);
}

static void test_plain(void **state)
{
	struct pzone_pool_new pool = new_pool(2 * GiB);
	const struct pzone_pool *p;
	struct pzone_pools *pools;

	(void)state;
	pool.emulator = "/opt/a & b/qemu";
	assert_adds(DOMAIN("", "    <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"), &pool);
	assert_string_equal(name, "ua-pool0");
	assert_has(after, "<domain xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\" type=\"kvm\">");
	assert_has(after, "\n  <maxMemory slots=\"1\" unit=\"KiB\">3145728</maxMemory>\n  <memory unit=\"KiB\">3145728</memory>\n");
	assert_has(after, "\n  <features>\n    <acpi/>\n  </features>\n");
	assert_has(after, "\n  <cpu>\n    <numa>\n      <cell id=\"0\" cpus=\"0-3\" memory=\"1048576\" unit=\"KiB\"/>\n    </numa>\n  </cpu>\n  <devices>\n");
	assert_has(after, "\n    <emulator>/opt/a &amp; b/qemu</emulator>\n");
	assert_has(after, "\n    <memory model=\"virtio-mem\">\n      <target>\n        <size unit=\"GiB\">2</size>\n        <node>0</node>\n"
		   "        <block unit=\"MiB\">2</block>\n        <requested unit=\"GiB\">2</requested>\n      </target>\n"
		   "      <alias name=\"ua-pool0\"/>\n    </memory>\n  </devices>\n  <qemu:override>\n    <qemu:device alias=\"ua-pool0\">\n");
	assert_kept("|memory|emulator|domain|");
	assert_int_equal(pzone_pools_parse(after, &pools, &err), 0);
	p = pzone_pools_find(pools, name);
	assert_true(p && p->enabled);
	assert_int_equal(p->size_bytes, 2 * GiB);
	assert_int_equal(p->requested_bytes, 2 * GiB);
	pzone_pools_free(pools);
}

/* Again and again: names go on, sums grow, nothing is there twice. */
static void test_second(void **state)
{
	struct pzone_pool_new pool = new_pool(GiB);
	char *xml;

	(void)state;
	assert_adds(DOMAIN("", ""), &pool);
	xml = strdup(after);
	assert_adds(xml, &pool);
	assert_string_equal(name, "ua-pool1");
	assert_has(after, "<maxMemory slots=\"2\" unit=\"KiB\">3145728</maxMemory>");
	assert_has(after, "<memory unit=\"KiB\">3145728</memory>");
	assert_has(after, "<qemu:device alias=\"ua-pool0\">");
	assert_has(after, "<qemu:device alias=\"ua-pool1\">");
	assert_null(strstr(strstr(after, "<numa>") + 1, "<numa>"));
	assert_null(strstr(strstr(after, "<acpi/>") + 1, "<acpi/>"));
	assert_null(strstr(strstr(after, "<qemu:override>") + 1, "<qemu:override>"));
	assert_kept("|memory|maxMemory|");
	pool.name = "ua-pool1";
	free(xml);
	xml = strdup(after);
	assert_refuses(xml, &pool, -EEXIST, "domain 'vm' has a device with the alias 'ua-pool1' already");
	free(xml);
}

/* A domain that has everything already, and much that is nobody's business here. */
static const char rich[] =
	"<domain type='qemu' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
	"  " NAME "\n  <!-- a comment -->\n"
	"  <metadata>\n    <f:x xmlns:f='urn:foreign' a=\"1\">  text <f:y/>\n <![CDATA[<raw>]]></f:x>\n"
	"    <pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'/>\n  </metadata>\n"
	"  <maxMemory slots='16' unit='GiB'>64</maxMemory>\n"
	"  <memory unit='KiB'>5242880</memory>\n  <currentMemory unit='KiB'>4194304</currentMemory>\n"
	"  <memoryBacking>\n    <hugepages>\n      <page size='2048' unit='KiB' nodeset='0'/>\n"
	"      <page size='1' unit='GiB' nodeset='1-3,^2'/>\n    </hugepages>\n    <source type='memfd'/>\n  </memoryBacking>\n"
	"  <vcpu>2</vcpu>\n  " HVM "\n"
	"  <features>\n    <acpi/>\n    <apic/>\n  </features>\n"
	"  <cpu mode='host-passthrough' check='none'>\n    <topology sockets='1' dies='1' cores='2' threads='1'/>\n    <numa>\n"
	"      <cell id='0' cpus='0' memory='2' unit='GiB'/>\n      <cell id='1' cpus='1' memory='2097152'/>\n"
	"      <cell id='2' memory='0'/>\n    </numa>\n  </cpu>\n"
	"  <new-in-2030 with='attributes'/>\n"
	"  <devices>\n    <disk type='file'><alias name='ua-pool0'/></disk>\n"
	"    <memory model='dimm'><target><size unit='GiB'>1</size><node>0</node></target></memory>\n  </devices>\n"
	"  <q:override>\n    <q:device alias='ua-pool1'>\n      <q:frontend/>\n    </q:device>\n  </q:override>\n"
	"  <q:commandline>\n    <q:arg value='-global'/>\n    <q:arg value='x.y=z'/>\n  </q:commandline>\n"
	"  <seclabel type='none'/>\n</domain>\n";

static void test_rich(void **state)
{
	struct pzone_pool_new pool = new_pool(4 * GiB);

	(void)state;
	pool.requested_bytes = 2 * GiB;
	assert_adds(rich, &pool);
	assert_string_equal(name, "ua-pool2");		/* both others are taken */
	assert_kept("|memory|");
	assert_has(after, "<maxMemory slots=\"16\" unit=\"GiB\">64</maxMemory>");
	assert_has(after, "<memory unit=\"KiB\">9437184</memory>");
	assert_has(after, "<node>0</node>\n        <block unit=\"MiB\">2</block>\n        <requested unit=\"GiB\">2</requested>");
	assert_has(after, "    </q:device>\n    <q:device alias=\"ua-pool2\">\n      <q:frontend>");
	assert_null(strstr(after, "xmlns:qemu"));
	pool.node = 1;
	assert_adds(rich, &pool);		/* its pages decide */
	assert_has(after, "<node>1</node>\n        <block unit=\"GiB\">1</block>");
	pool.block_bytes = 2 * MiB;
	assert_refuses(rich, &pool, -EINVAL, "block 2 MiB of pool 'ua-pool2' is smaller than the 1 GiB pages behind node 1");
	pool.node = 2;
	assert_adds(rich, &pool);		/* has none */
	pool.node = 3;
	assert_refuses(rich, &pool, -ENOENT, "domain 'vm' has no NUMA node 3 for the pool: its <numa> has 3 cells");
	pool.node = -1;
	pool.block_bytes = 0;
	pool.requested_bytes = 0;
	pool.size_bytes = 60 * GiB;		/* 64 are not enough now */
	assert_adds(rich, &pool);
	assert_has(after, "<maxMemory slots=\"16\" unit=\"KiB\">68157440</maxMemory>");
}

static void test_bad(void **state)
{
	struct pzone_pool_new pool = new_pool(100 * MiB);
	static const struct { const char *name, *why; } names[] = {
		{ "fast", "'fast' can't be the alias of a pool: it starts with ua-" },
		{ "ua-", "'ua-' can't be" },
		{ "ua-a b", "'ua-a b' can't be" },
		{ "ua-0123456789012345678901234567890", "at most 31" },
	};

	(void)state;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "size 100 MiB of pool 'ua-pool0' is no multiple of 128 MiB");
	pool.size_bytes = 0;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "size 0 bytes");
	pool.size_bytes = (1ULL << 62);
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "is too large");
	pool.size_bytes = GiB;
	pool.block_bytes = 3 * MiB;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "block 3 MiB of pool 'ua-pool0' is no power of two from 2 MiB on");
	pool.block_bytes = 0;
	pool.requested_bytes = 2 * GiB;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "requested 2 GiB of pool 'ua-pool0' is more than its size 1 GiB");
	pool.requested_bytes = 5 * MiB;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "is no multiple of its block 2 MiB");
	pool.requested_bytes = 16 * MiB;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "leaves nothing for classes: the guest's memory map takes 16 MiB of it");
	pool.requested_bytes = 0;
	pool.node = 1;
	assert_refuses(DOMAIN("", ""), &pool, -ENOENT, "has no NUMA node 1 for the pool: it has one node, 0");
	pool.node = -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pool.name = names[i].name;
		assert_refuses(DOMAIN("", ""), &pool, -EINVAL, names[i].why);
	}
	pool.name = "ua-pool1";
	assert_refuses(rich, &pool, -EEXIST, "has a <qemu:override> for 'ua-pool1', which is no device of it");
	pool.name = NULL;
	assert_refuses(DOMAIN("  <memtune><hard_limit unit='GiB'>1</hard_limit></memtune>\n", ""), &pool, -ENOSPC,
		       "would have 2 GiB with the pool, and the <hard_limit> of its <memtune> is 1 GiB");
	assert_refuses("<domain type='lxc'>" NAME "</domain>", &pool, -EINVAL, "domain 'vm' is of type 'lxc'");
	assert_refuses("<domain type='qemu'>" NAME "<os><type arch='aarch64'>hvm</type></os></domain>", &pool,
		       -EINVAL, "is of architecture 'aarch64'");
	assert_refuses("<domain type='qemu'>" NAME "</domain>", &pool, -EINVAL, "has no <devices>");
	assert_refuses("<domain type='qemu'>" NAME "<devices/></domain>", &pool, -EINVAL, "has no <memory>");
	assert_refuses("<x/>", &pool, -EINVAL, "not with <domain>");
	assert_refuses("<domain", &pool, -EINVAL, "malformed");
	pool.struct_bytes = sizeof(pool) + 1;
	assert_refuses(DOMAIN("", ""), &pool, -EINVAL, "struct_bytes of struct pzone_pool_new is");
}

/* libvirt's test driver is no QEMU: that is said; so is what a changed definition means. */
static void test_domain(void **state)
{
	struct pzone_pool_new pool = new_pool(GiB);
	virConnectPtr conn = virConnectOpen("test:///default");
	virDomainPtr dom = virDomainLookupByName(conn, "test");
	char *a, *b, *n;

	(void)state;
	assert_int_equal(pzone_domain_pool_plan(dom, &pool, &a, &b, &n, &err), -EINVAL);
	assert_has(err.message, "domain 'test' is of type 'test'");
	assert_int_equal(pzone_domain_pool_apply(dom, "<domain/>\n", "<domain/>", &err), -EBUSY);
	assert_has(err.message, "somebody else changed the definition of domain 'test' meanwhile");
	virDomainFree(dom);
	virConnectClose(conn);
}

static int teardown_group(void **state)
{
	(void)state;
	free(before);
	free(after);
	free(name);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_second),
		cmocka_unit_test(test_rich),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_domain),
	};

	virSetErrorFunc(NULL, NULL);
	return cmocka_run_group_tests_name("libpzone pool-add", tests, NULL, teardown_group);
}
