// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_elastic.c: what hv/pzoned/elastic.c keeps between looks, without libvirt and
 * without work.c, whose marks are counted here instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "elastic.h"
#include "work.h"

#define MiB		((uint64_t)1 << 20)
#define UUID		"c7a5fdbd-edaf-9455-926a-d65c16db1809"

void work_mark(const char *uuid, const char *name, enum work_mark mark)
{
	(void)uuid;
	(void)name;
	(void)mark;
}

void work_begin(void)
{
}

static const char domain_xml[] =
	"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
	"<name>vm</name><uuid>" UUID "</uuid><memory unit='MiB'>512</memory>"
	"<maxMemory slots='2' unit='GiB'>4</maxMemory><os><type>hvm</type></os>"
	"<devices><memory model='virtio-mem'><target><size unit='GiB'>1</size><node>0</node>"
	"<block unit='MiB'>2</block><requested unit='GiB'>1</requested></target>"
	"<alias name='ua-a'/></memory></devices>"
	"<qemu:override><qemu:device alias='ua-a'><qemu:frontend>"
	"<qemu:property name='pzone' type='bool' value='true'/>"
	"</qemu:frontend></qemu:device></qemu:override></domain>";

static const char classes_xml[] =
	"<pzones xmlns='urn:pzone:libvirt:domain:1.0'><class name='db' pool='ua-a'>"
	"<size unit='MiB'>128</size><guarantee unit='MiB'>64</guarantee><limit unit='MiB'>512</limit>"
	"</class></pzones>";

/* One pool with class db, of 128 MiB, settled and full. */
static const char device_json[] =
	"[{\"id\":\"ua-a\",\"addr\":0,\"size\":1073741824,\"block-size\":2097152,"
	"\"requested\":1073741824,\"plugged\":134217728,\"memmap\":16777216,\"available\":922746880,"
	"\"generation\":1,\"guest-generation\":1,\"guest\":\"ready\",\"classes\":[{\"id\":1,"
	"\"name\":\"db\",\"size\":134217728,\"actual\":134217728,\"guarantee\":67108864,"
	"\"limit\":536870912,\"cookie\":\"pz1-00000000000000000000000000000000\",\"state\":\"settled\",\"wanted-extents\":[],"
	"\"extents\":[],\"report\":{\"cgroups\":1,\"stuck\":0,\"reclaimed\":0,\"free\":0,\"anon\":0,\"file\":0,\"pinned\":0,\"refaults\":0,"
	"\"pressure-us\":0,\"oom\":0,\"oom-kill\":0}}]}]";

static struct pzone_error err;

static void look(void)
{
	struct pzone_defs *defs = NULL;
	struct pzone_pools *pools = NULL;
	struct pzone_live *live = NULL;
	char why[256] = "";

	if (pzone_defs_parse(classes_xml, strlen(classes_xml), NULL, &defs, &err) ||
	    pzone_pools_parse(domain_xml, &pools, &err) ||
	    pzone_live_parse(device_json, "vm", &live, &err))
		fail_msg("%s", err.message);
	assert_int_equal(elastic_update(UUID, "vm", defs, pools, live, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	pzone_defs_free(defs);
	pzone_pools_free(pools);
}

/* The size that db is to have, in MiB, if its guest is about to kill; 0: nothing is asked. */
static uint64_t urgent_mib(void)
{
	struct elastic_order *orders = NULL;
	uint64_t mib = 0;

	if (elastic_take(UUID, true, &orders)) {
		assert_string_equal(orders[0].name, "db");
		assert_int_equal(orders[0].from_bytes, 128 * MiB);
		mib = orders[0].to_bytes / MiB;
	}
	free(orders);
	return mib;
}

static int start_over(void **state)
{
	static struct config *config;
	char path[] = "/tmp/test_elastic.XXXXXX";	/* empty: all defaults */
	int fd;

	(void)state;
	if (!config) {
		fd = mkstemp(path);
		if (fd < 0 || config_load(path, &config, &err))
			fail_msg("%s: %s", path, err.message);
		close(fd);
		unlink(path);
	}
	elastic_configure(config);
	elastic_forget(UUID);
	return 0;
}

static void known(void **state)
{
	(void)state;
	look();
	assert_int_equal(urgent_mib(), 0);
	elastic_shortage(UUID, "ua-a", "db", 8 * MiB, true);
	assert_true(urgent_mib() > 128);
}

/* A class is made, filled and short before anybody has looked. */
static void before_the_first_look(void **state)
{
	(void)state;
	elastic_shortage(UUID, "ua-a", "db", 8 * MiB, true);
	assert_int_equal(urgent_mib(), 0);
	look();
	assert_true(urgent_mib() > 128);
	/* It was said once, and helps once. */
	look();
	assert_int_equal(urgent_mib(), 0);
}

/* What was said of another class, or of a domain that is gone, helps nobody. */
static void not_for_others(void **state)
{
	(void)state;
	elastic_shortage(UUID, "ua-a", "batch", 8 * MiB, true);
	elastic_shortage(UUID, "ua-b", "db", 8 * MiB, true);
	look();
	assert_int_equal(urgent_mib(), 0);
	elastic_forget(UUID);
	elastic_shortage(UUID, "ua-a", "db", 8 * MiB, true);
	elastic_forget(UUID);
	look();
	assert_int_equal(urgent_mib(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(known, start_over),
		cmocka_unit_test_setup(before_the_first_look, start_over),
		cmocka_unit_test_setup(not_for_others, start_over),
	};

	return cmocka_run_group_tests_name("between looks", tests, NULL, NULL);
}
