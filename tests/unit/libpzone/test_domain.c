// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_domain.c: everything that takes a domain. The domain and its metadata are
 * those of libvirt's test driver, for real; the device behind it is a fake
 * (fake_qemu.h).
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
#include "fake_qemu.h"
#include "libpzone.h"

#define MiB (1024ULL * 1024)
#define LIVE VIR_DOMAIN_AFFECT_LIVE
#define CONFIG VIR_DOMAIN_AFFECT_CONFIG
#define CURRENT VIR_DOMAIN_AFFECT_CURRENT
#define FOREIGN "urn:somebody:else"

static struct pzone_error err;
static virConnectPtr conn;
static virDomainPtr dom;

#define assert_contains(text, part) \
	do { \
		if (!strstr(text, part)) \
			fail_msg("\"%s\" does not contain \"%s\"", text, part); \
	} while (0)
#define assert_fine(call) \
	do { \
		if (call) \
			fail_msg("%s: %s", #call, err.message); \
	} while (0)

static struct pzone_defs *parse(const char *xml)
{
	struct pzone_defs *defs = NULL;

	assert_fine(pzone_defs_parse(xml, strlen(xml), NULL, &defs, &err));
	return defs;
}

#define CLASS(name, mib) \
	"<class name='" name "' pool='ua-fast'><size unit='MiB'>" #mib "</size></class>"

static int define(const char *xml, unsigned int flags)
{
	struct pzone_defs *defs = parse(xml);
	int rc = pzone_domain_define(dom, defs, flags, &err);

	pzone_defs_free(defs);
	return rc;
}

/* Size in MiB of a class in the metadata; 0: not there. */
static unsigned int defined(const char *name, unsigned int target)
{
	const struct pzone_def *def;
	struct pzone_defs *defs;
	unsigned int mib;

	assert_fine(pzone_config_get(dom, target, &defs, &err));
	def = pzone_defs_find(defs, name);
	mib = def ? (unsigned int)(def->size_bytes / MiB) : 0;
	pzone_defs_free(defs);
	return mib;
}

static int setup_group(void **state)
{
	(void)state;
	conn = virConnectOpen("test:///default");
	dom = conn ? virDomainLookupByName(conn, "test") : NULL;
	return dom ? pzone_init(&err) : -1;
}

static int teardown_group(void **state)
{
	(void)state;
	virDomainFree(dom);
	return virConnectClose(conn) ? -1 : 0;
}

/* Running, persistent, no class anywhere. */
static int setup(void **state)
{
	(void)state;
	fake_reset();
	if (virDomainIsActive(dom) == 0 && virDomainCreate(dom))
		return -1;
	return virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, NULL, "pzone", PZONE_XML_NS,
				    LIVE | CONFIG);
}

static void test_config(void **state)
{
	struct pzone_defs *defs = parse("<pzones>" CLASS("db", 64) CLASS("web", 32) "</pzones>");
	struct pzone_defs *back;
	char *foreign;

	(void)state;
	assert_return_code(virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, "<x>1</x>", "y",
						FOREIGN, CONFIG), 0);
	assert_fine(pzone_config_get(dom, CONFIG, &back, &err));
	assert_int_equal(pzone_defs_count(back), 0);
	pzone_defs_free(back);
	assert_fine(pzone_config_set(dom, defs, CONFIG, &err));
	assert_fine(pzone_config_get(dom, CONFIG, &back, &err));
	assert_int_equal(pzone_defs_count(back), 2);
	assert_int_equal(pzone_defs_find(back, "web")->size_bytes, 32 * MiB);
	pzone_defs_free(back);
	assert_int_equal(defined("db", LIVE), 0);
	assert_fine(pzone_config_set(dom, defs, LIVE | CONFIG, &err));
	assert_int_equal(defined("db", LIVE), 64);
	assert_int_equal(pzone_config_get(dom, LIVE | CONFIG, &back, &err), -EINVAL);
	assert_int_equal(pzone_config_get(dom, 64, &back, &err), -EINVAL);
	pzone_defs_free(defs);
	/* an empty list takes the element away, and nothing else */
	assert_fine(pzone_defs_new(&defs, &err));
	assert_fine(pzone_config_set(dom, defs, LIVE | CONFIG, &err));
	pzone_defs_free(defs);
	assert_null(virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, PZONE_XML_NS, CONFIG));
	foreign = virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, FOREIGN, CONFIG);
	assert_non_null(foreign);
	assert_contains(foreign, "<x>1</x>");
	free(foreign);
	assert_int_equal(fake.commands, 0);
}

static void test_config_bad(void **state)
{
	struct pzone_defs *defs = parse(CLASS("db", 3));

	(void)state;
	assert_int_equal(pzone_config_set(dom, defs, CONFIG, &err), -EINVAL);
	assert_contains(err.message, "the nearest are 2 MiB and 4 MiB");
	assert_int_equal(defined("db", CONFIG), 0);
	pzone_defs_free(defs);
	/* somebody wrote rubbish with virsh metadata: it can be seen and replaced */
	assert_return_code(virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT,
						"<pzones><klass/></pzones>", "pzone",
						PZONE_XML_NS, CONFIG), 0);
	assert_int_equal(pzone_config_get(dom, CONFIG, &defs, &err), -EINVAL);
	assert_contains(err.message, "persistent metadata of domain 'test':");
	defs = parse(CLASS("db", 64));
	assert_fine(pzone_config_set(dom, defs, CONFIG, &err));
	assert_int_equal(defined("db", CONFIG), 64);
	pzone_defs_free(defs);
}

static void test_define(void **state)
{
	(void)state;
	assert_fine(define("<pzones>" CLASS("db", 64) CLASS("web", 32) "</pzones>", LIVE | CONFIG));
	assert_int_equal(defined("db", LIVE), 64);
	assert_int_equal(defined("web", CONFIG), 32);
	assert_int_equal(fake_find("db")->size, 64 * MiB);
	assert_true(pzone_cookie_is_ours(fake_find("web")->cookie));
	/* again: nothing to do, and the device is not bothered */
	fake.commands = 0;
	assert_fine(define(CLASS("db", 64), CURRENT));
	assert_int_equal(fake.commands, 0);
	/* another size replaces the class, the other one stays */
	assert_fine(define(CLASS("db", 128), LIVE));
	assert_int_equal(fake_find("db")->size, 128 * MiB);
	assert_int_equal(fake_find("db")->limit, 128 * MiB);
	assert_int_equal(defined("db", LIVE), 128);
	assert_int_equal(defined("db", CONFIG), 64);
	assert_int_equal(defined("web", LIVE), 32);
}

static void test_define_align(void **state)
{
	static const char *const how[] = { "<align unit='MiB'>4</align>", "<align unit='MiB'>8</align>", "" };
	struct pzone_live *live;
	char xml[256];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(xml, sizeof(xml), "<class name='db' pool='ua-fast'><size unit='MiB'>64</size>%s</class>",
			 how[i]);
		assert_int_equal(define(xml, LIVE), i == 0 ? 0 : -EEXIST);
		assert_int_equal(fake.commands, 1);
		if (i > 0)
			assert_contains(err.message, i == 1 ? "class 'db' has align 4 MiB and can't get 8 MiB while" :
					"can't get 2 MiB while");
	}
	assert_int_equal(fake_find("db")->align, 4 * MiB);
	assert_fine(pzone_live_query(dom, &live, &err));
	assert_int_equal(pzone_live_class_find(live, "db")->align_bytes, 4 * MiB);
	pzone_live_free(live);
	/* align is kept by a resize, and its size has to be a multiple of it */
	assert_int_equal(pzone_domain_resize(dom, "db", 60 * MiB, CONFIG | LIVE, &err), -ENOENT);
	assert_fine(define("<class name='db' pool='ua-fast'><size unit='MiB'>64</size>"
			   "<align unit='MiB'>4</align><weight>7</weight></class>", CONFIG | LIVE));
	assert_int_equal(pzone_domain_resize(dom, "db", 62 * MiB, CONFIG, &err), -EINVAL);
	assert_contains(err.message, "size 62 MiB of class 'db' is no multiple of its align 4 MiB");
	assert_int_equal(pzone_domain_resize(dom, "db", 62 * MiB, LIVE, &err), -EINVAL);
	assert_contains(err.message, "its align 4 MiB");
	assert_fine(pzone_domain_resize(dom, "db", 60 * MiB, CONFIG | LIVE, &err));
	assert_int_equal(define("<class name='new' pool='ua-fast'><size unit='MiB'>64</size>"
				"<align unit='MiB'>1</align></class>", LIVE), -EINVAL);
	assert_contains(err.message, "align 1 MiB of class 'new' is below the 2 MiB blocks of pool 'ua-fast'");
}

static void test_define_order(void **state)
{
	(void)state;
	/* 1024 MiB: web can grow only after db has shrunk */
	assert_fine(define("<pzones>" CLASS("web", 24) CLASS("db", 1000) "</pzones>", LIVE));
	assert_fine(define("<pzones>" CLASS("web", 1000) CLASS("db", 24) "</pzones>", LIVE));
	assert_int_equal(fake_find("web")->size, 1000 * MiB);
	assert_int_equal(fake_find("db")->size, 24 * MiB);
}

static void test_define_refused(void **state)
{
	(void)state;
	assert_fine(define(CLASS("db", 64), LIVE | CONFIG));
	fake.commands = 0;
	/* seen beforehand */
	assert_int_equal(define(CLASS("web", 962), LIVE | CONFIG), -ENOSPC);
	assert_int_equal(define(CLASS("web", 3), LIVE), -EINVAL);
	assert_int_equal(define("<class name='web' pool='ua-x'><size unit='MiB'>2</size></class>",
				LIVE), -ENOENT);
	assert_contains(err.message, "'ua-x'");
	/* the device's sizes count, not the metadata's */
	fake_find("db")->size = fake_find("db")->limit = 128 * MiB;
	fake.available -= 64 * MiB;
	assert_int_equal(define(CLASS("web", 960), LIVE), -ENOSPC);
	assert_contains(err.message, "take 960 MiB of pool 'ua-fast' and only 896 MiB are left");
	assert_int_equal(fake.commands, 0);
	/* by the device, in the middle: everything is put back */
	fake.refuse = "web";
	assert_int_equal(define("<pzones>" CLASS("db", 32) CLASS("new", 16) CLASS("web", 16)
				"</pzones>", LIVE | CONFIG), -EREMOTEIO);
	assert_string_equal(err.message, "the fake refuses this class");
	assert_int_equal(err.code, PZONE_ERR_DEVICE);
	assert_int_equal(fake_find("db")->size, 128 * MiB);
	assert_int_equal(fake_find("db")->guarantee, 64 * MiB);
	assert_null(fake_find("new"));
	assert_int_equal(defined("db", LIVE), 64);
	assert_int_equal(defined("db", CONFIG), 64);
	assert_int_equal(defined("new", LIVE) + defined("web", CONFIG), 0);
}

static void test_undefine(void **state)
{
	(void)state;
	assert_fine(define("<pzones>" CLASS("db", 64) CLASS("web", 32) "</pzones>", LIVE | CONFIG));
	assert_fine(pzone_domain_undefine(dom, "db", LIVE, &err));
	assert_null(fake_find("db"));
	assert_int_equal(defined("db", LIVE), 0);
	assert_int_equal(defined("db", CONFIG), 64);
	assert_int_equal(defined("web", LIVE), 32);
	assert_int_equal(pzone_domain_undefine(dom, "db", LIVE, &err), -ENOENT);
	assert_int_equal(err.code, PZONE_ERR_NO_CLASS);
	assert_fine(pzone_domain_undefine(dom, "db", CONFIG, &err));
	assert_int_equal(pzone_domain_undefine(dom, "db", CONFIG, &err), -ENOENT);
	/* made by hand: only the device has it */
	fake_add("hand", 16 * MiB, "");
	assert_fine(pzone_domain_undefine(dom, "hand", CURRENT, &err));
	assert_null(fake_find("hand"));
}

static void test_resize(void **state)
{
	(void)state;
	assert_fine(define("<pzones><class name='db' pool='ua-fast'><size unit='MiB'>64</size>"
			   "<guarantee unit='MiB'>32</guarantee><limit unit='MiB'>128</limit></class>"
			   CLASS("fix", 32) "</pzones>", LIVE | CONFIG));
	assert_fine(pzone_domain_resize(dom, "db", 100 * MiB, CURRENT, &err));
	assert_int_equal(fake_find("db")->size, 100 * MiB);
	assert_int_equal(fake_find("db")->limit, 128 * MiB);
	assert_int_equal(defined("db", LIVE), 64);	/* the size at start */
	assert_int_equal(pzone_domain_resize(dom, "db", 130 * MiB, LIVE, &err), -EINVAL);
	assert_string_equal(err.message, "size 130 MiB of class 'db' is above its limit 128 MiB");
	assert_int_equal(pzone_domain_resize(dom, "db", 30 * MiB, LIVE, &err), -EINVAL);
	assert_int_equal(pzone_domain_resize(dom, "db", 65 * MiB, LIVE, &err), -EINVAL);
	assert_contains(err.message, "the nearest are 64 MiB and 66 MiB");
	assert_int_equal(pzone_domain_resize(dom, "db", 130 * MiB, CONFIG, &err), -EINVAL);
	assert_int_equal(pzone_domain_resize(dom, "nope", 130 * MiB, CONFIG, &err), -ENOENT);
	assert_int_equal(pzone_domain_resize(dom, "nope", 130 * MiB, LIVE, &err), -ENOENT);
	assert_int_equal(fake_find("db")->size, 100 * MiB);
	/* bounds that are left out follow */
	assert_fine(pzone_domain_resize(dom, "fix", 48 * MiB, LIVE | CONFIG, &err));
	assert_int_equal(fake_find("fix")->guarantee, 48 * MiB);
	assert_int_equal(fake_find("fix")->limit, 48 * MiB);
	assert_int_equal(defined("fix", CONFIG), 48);
	assert_int_equal(defined("fix", LIVE), 32);
	/* refused by the device: the persistent definition goes back */
	fake.refuse = "fix";
	assert_int_equal(pzone_domain_resize(dom, "fix", 64 * MiB, LIVE | CONFIG, &err), -EREMOTEIO);
	assert_int_equal(defined("fix", CONFIG), 48);
	/* by hand: its bounds are the device's */
	fake_add("hand", 16 * MiB, "")->limit = 32 * MiB;
	assert_fine(pzone_domain_resize(dom, "hand", 20 * MiB, LIVE, &err));
	assert_int_equal(pzone_domain_resize(dom, "hand", 40 * MiB, LIVE, &err), -EINVAL);
	/* defined and not applied */
	fake.nr = 0;
	assert_int_equal(pzone_domain_resize(dom, "db", 64 * MiB, LIVE, &err), -ENOENT);
	assert_contains(err.message, "is pzoned running?");
}

static void test_set(void **state)
{
	struct pzone_defs *defs;
	char cookie[PZONE_COOKIE_MAX + 1];

	(void)state;
	assert_fine(define(CLASS("db", 64), LIVE | CONFIG));
	assert_fine(pzone_domain_set(dom, "db", 32 * MiB, 128 * MiB, 0, LIVE | CONFIG, &err));
	assert_int_equal(fake_find("db")->size, 64 * MiB);
	assert_int_equal(fake_find("db")->guarantee, 32 * MiB);
	assert_int_equal(fake_find("db")->limit, 128 * MiB);
	/* metadata and cookie belong together, or pzoned would set the size back */
	assert_fine(pzone_config_get(dom, LIVE, &defs, &err));
	pzone_def_cookie(pzone_defs_get(defs, 0), cookie);
	assert_string_equal(fake_find("db")->cookie, cookie);
	pzone_defs_free(defs);
	assert_int_equal(pzone_domain_set(dom, "db", 80 * MiB, UINT64_MAX, 0, LIVE, &err), -EINVAL);
	assert_int_equal(pzone_domain_set(dom, "db", 80 * MiB, UINT64_MAX, 0, CONFIG, &err), -EINVAL);
	assert_int_equal(pzone_domain_set(dom, "db", UINT64_MAX, 129 * MiB, 0, LIVE, &err), -EINVAL);
	assert_fine(pzone_domain_set(dom, "db", UINT64_MAX, 256 * MiB, 0, LIVE, &err));
	assert_int_equal(fake_find("db")->guarantee, 32 * MiB);
	assert_int_equal(fake_find("db")->limit, 256 * MiB);
}

static void test_troubles(void **state)
{
	struct pzone_live *live;

	(void)state;
	fake.trouble = FAKE_NO_COMMAND;
	assert_int_equal(define(CLASS("db", 64), LIVE), -EOPNOTSUPP);
	assert_int_equal(err.code, PZONE_ERR_NO_SUPPORT);
	assert_contains(err.message, "'test'");
	assert_contains(err.message, "<emulator>");
	fake.trouble = FAKE_BUSY;
	assert_int_equal(define(CLASS("db", 64), LIVE), -EBUSY);
	assert_int_equal(err.code, PZONE_ERR_BUSY);
	assert_int_equal(err.libvirt_code, VIR_ERR_OPERATION_TIMEOUT);
	fake.trouble = FAKE_READ_ONLY;
	assert_int_equal(pzone_live_query(dom, &live, &err), -EACCES);
	assert_int_equal(err.code, PZONE_ERR_READ_ONLY);
	fake.trouble = FAKE_NONSENSE;
	assert_int_equal(pzone_live_query(dom, &live, &err), -EPROTO);
	assert_int_equal(defined("db", LIVE), 0);
	fake.trouble = FAKE_FINE;
	fake.no_pool = true;
	assert_int_equal(define(CLASS("db", 64), LIVE), -ENOENT);
	assert_int_equal(err.code, PZONE_ERR_NO_POOL);
	assert_int_equal(define(CLASS("db", 64), CONFIG), -ENOENT);
	assert_int_equal(pzone_domain_resize(dom, "db", 64 * MiB, LIVE, &err), -ENOENT);
	assert_int_equal(err.code, PZONE_ERR_NO_POOL);
	/* NULL for the error is fine everywhere */
	assert_int_equal(pzone_domain_resize(dom, "db", 64 * MiB, LIVE, NULL), -ENOENT);
	assert_int_equal(fake.commands, 0);
}

static void test_shut_off(void **state)
{
	struct pzone_live *live;

	(void)state;
	assert_fine(define(CLASS("db", 64), CONFIG));
	assert_return_code(virDomainDestroy(dom), 0);
	assert_int_equal(define(CLASS("web", 64), LIVE), -ENOTCONN);
	assert_int_equal(err.code, PZONE_ERR_NOT_RUNNING);
	assert_contains(err.message, "domain 'test' is not running");
	assert_int_equal(define(CLASS("web", 64), LIVE | CONFIG), -ENOTCONN);
	assert_int_equal(pzone_domain_resize(dom, "db", 32 * MiB, LIVE, &err), -ENOTCONN);
	assert_int_equal(pzone_live_query(dom, &live, &err), -ENOTCONN);
	assert_fine(define(CLASS("web", 64), CURRENT));
	assert_fine(pzone_domain_resize(dom, "db", 32 * MiB, CURRENT, &err));
	assert_int_equal(defined("db", CONFIG), 32);
	assert_fine(pzone_domain_undefine(dom, "web", CURRENT, &err));
	assert_int_equal(defined("web", CONFIG), 0);
	assert_int_equal(fake.commands, 0);
}

static enum pzone_state state_of(const char *name)
{
	const struct pzone_view *view;
	struct pzone_views *views;
	enum pzone_state state;

	assert_fine(pzone_domain_list(dom, &views, &err));
	view = pzone_views_find(views, name);
	assert_non_null(view);
	state = view->state;
	pzone_views_free(views);
	return state;
}

static void test_list(void **state)
{
	const struct pzone_view *view;
	struct pzone_views *views;
	struct fake_class *c;

	(void)state;
	assert_fine(define("<pzones>" CLASS("web", 32) CLASS("db", 64) "</pzones>", LIVE | CONFIG));
	c = fake_find("db");
	c->has_report = true;
	c->actual = 64 * MiB;
	c->free_bytes = 16 * MiB;
	c->state = "settled";
	fake_add("hand", 16 * MiB, "");
	assert_fine(define(CLASS("later", 2), CONFIG));
	assert_fine(pzone_domain_list(dom, &views, &err));
	assert_int_equal(pzone_views_count(views), 4);
	view = pzone_views_at(views, 0);
	assert_string_equal(view->name, "db");
	assert_true(view->in_config && view->in_metadata && view->in_device && view->used_known);
	assert_int_equal(view->used_bytes, 48 * MiB);
	assert_int_equal(view->config_size_bytes, 64 * MiB);
	assert_int_equal(view->live->nr_extents, 1);
	assert_int_equal(view->live->report->oom_kill, 6);
	assert_int_equal(view->state, PZONE_STATE_SETTLED);
	view = pzone_views_find(views, "hand");
	assert_false(view->in_config || view->in_metadata || view->used_known);
	assert_null(pzone_views_find(views, "nope"));
	assert_int_equal(pzone_views_why(views)->code, PZONE_ERR_NONE);
	assert_non_null(pzone_views_live(views));
	pzone_views_free(views);
	assert_int_equal(state_of("web"), PZONE_STATE_GROWING);
	assert_int_equal(state_of("later"), PZONE_STATE_NEXT_START);
	fake.guest = "plain";
	assert_int_equal(state_of("db"), PZONE_STATE_PLAIN_GUEST);
	fake.guest = "none";
	c->state = "waiting";
	assert_int_equal(state_of("db"), PZONE_STATE_NO_GUEST);
	fake.nr = 0;
	assert_int_equal(state_of("db"), PZONE_STATE_NOT_APPLIED);
	fake.trouble = FAKE_READ_ONLY;
	assert_int_equal(state_of("db"), PZONE_STATE_UNSEEN);
	assert_fine(pzone_domain_list(dom, &views, &err));
	assert_int_equal(pzone_views_why(views)->code, PZONE_ERR_READ_ONLY);
	pzone_views_free(views);
	assert_return_code(virDomainDestroy(dom), 0);
	assert_int_equal(state_of("db"), PZONE_STATE_NOT_RUNNING);
	fake_reset();
	fake.no_pool = true;
	assert_int_equal(pzone_domain_undefine(dom, "db", CONFIG, &err), 0);
	assert_int_equal(pzone_domain_undefine(dom, "web", CONFIG, &err), 0);
	assert_int_equal(pzone_domain_undefine(dom, "later", CONFIG, &err), 0);
	assert_int_equal(pzone_domain_list(dom, &views, &err), -ENOENT);
	assert_int_equal(err.code, PZONE_ERR_NO_POOL);
}

static int count_calls(const struct pzone_live_class *cls, void *opaque)
{
	(void)cls;
	return ++*(int *)opaque == 3 && fake.polls_to_settle == 0 ? 1 : 0;
}

static void test_wait(void **state)
{
	enum pzone_wait_result result;
	struct fake_class *c;
	uint64_t actual;
	int calls = 0;

	(void)state;
	c = fake_add("db", 64 * MiB, "");
	c->actual = 0;
	c->state = "growing";
	fake.polls_to_settle = 3;
	assert_fine(pzone_domain_wait(dom, "db", 5000, 0, count_calls, &calls, &result, &actual, &err));
	assert_int_equal(result, PZONE_WAIT_SETTLED);
	assert_int_equal(actual, 64 * MiB);
	assert_int_equal(calls, 3);
	/* partial of an older layout is not the end */
	c->state = "partial";
	c->actual = 32 * MiB;
	fake.generation = 7;
	fake.guest_generation = 6;
	assert_fine(pzone_domain_wait(dom, "db", 150, 0, NULL, NULL, &result, NULL, &err));
	assert_int_equal(result, PZONE_WAIT_PARTIAL);	/* by time-out */
	fake.guest_generation = 7;
	assert_fine(pzone_domain_wait(dom, "db", 0, 0, NULL, NULL, &result, &actual, &err));
	assert_int_equal(result, PZONE_WAIT_PARTIAL);
	assert_int_equal(actual, 32 * MiB);
	c->state = "shrinking";
	assert_fine(pzone_domain_wait(dom, "db", 150, 0, NULL, NULL, &result, NULL, &err));
	assert_int_equal(result, PZONE_WAIT_TIMEOUT);
	calls = 0;
	assert_int_equal(pzone_domain_wait(dom, "db", 0, 0, count_calls, &calls, &result, NULL, &err),
			 -ECANCELED);
	fake.guest = "plain";
	assert_fine(pzone_domain_wait(dom, "db", 0, 0, NULL, NULL, &result, NULL, &err));
	assert_int_equal(result, PZONE_WAIT_PLAIN);
	fake.nr = 0;
	assert_fine(pzone_domain_wait(dom, "db", 0, 0, NULL, NULL, &result, NULL, &err));
	assert_int_equal(result, PZONE_WAIT_GONE);
}

static void test_live_parse(void **state)
{
	static const char *const bad[] = {
		"{\"return\":{}}", "{\"return\":[1]}", "{}", "1", "{\"return\":[{\"id\":\"a\"}]}",
		"{\"return\":[{\"id\":\"a\",\"addr\":1,\"size\":\"x\"}]}",
		"[{\"id\":\"p\",\"addr\":0,\"size\":1,\"block-size\":1,\"requested\":1,\"plugged\":1,"
		"\"memmap\":1,\"available\":1,\"generation\":1,\"guest-generation\":1,"
		"\"guest\":\"ready\",\"classes\":[{\"id\":1,\"name\":\"a\"}]}]",
	};
	struct pzone_live *live = (void *)0x1;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pzone_live_parse(bad[i], "vm", &live, &err), -EPROTO);
		assert_ptr_equal(live, (void *)0x1);
		assert_contains(err.message, "'vm'");
	}
	assert_fine(pzone_live_parse("{\"return\":[]}", "vm", &live, &err));
	assert_int_equal(pzone_live_pool_count(live), 0);
	assert_null(pzone_live_free(live));
	assert_string_equal(pzone_state_text(12345), "unknown");
	assert_string_equal(pzone_state_text(PZONE_STATE_PLAIN_GUEST), "plain guest");
	assert_string_equal(pzone_guest_text(PZONE_GUEST_READY), "ready");
}

static void ignore(void *opaque, virErrorPtr e)
{
	(void)opaque;
	(void)e;
}

/* Metadata that somebody broke: the device knows the bounds. */
static void test_resize_broken_metadata(void **state)
{
	struct fake_class *c;

	(void)state;
	assert_fine(define(CLASS("db", 64), LIVE));
	assert_return_code(virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT,
						"<pzones><class name='Bad!'/></pzones>", "pzone",
						PZONE_XML_NS, LIVE), 0);
	/* three equal figures: bounds that were left out, they follow */
	assert_fine(pzone_domain_resize(dom, "db", 96 * MiB, LIVE, &err));
	c = fake_find("db");
	assert_int_equal(c->size, 96 * MiB);
	assert_int_equal(c->limit, 96 * MiB);
	c->guarantee = 32 * MiB;
	c->limit = 128 * MiB;
	assert_fine(pzone_domain_resize(dom, "db", 64 * MiB, LIVE, &err));
	assert_int_equal(c->limit, 128 * MiB);
	assert_int_equal(pzone_domain_resize(dom, "db", 130 * MiB, LIVE, &err), -EINVAL);
	assert_int_equal(pzone_domain_resize(dom, "web", 64 * MiB, LIVE, &err), -ENOENT);
	/* the other changes would have to write what can't be read */
	assert_int_equal(pzone_domain_set(dom, "db", UINT64_MAX, 256 * MiB, 0, LIVE, &err), -EINVAL);
}

static void test_set_weight(void **state)
{
	unsigned int commands;
	struct pzone_defs *defs;

	(void)state;
	assert_fine(define(CLASS("db", 64), LIVE | CONFIG));
	commands = fake.commands;
	assert_fine(pzone_domain_set(dom, "db", UINT64_MAX, UINT64_MAX, 300, LIVE | CONFIG, &err));
	assert_int_equal(fake.commands, commands);
	assert_fine(pzone_config_get(dom, LIVE, &defs, &err));
	assert_int_equal(pzone_defs_find(defs, "db")->weight, 300);
	assert_false(pzone_defs_find(defs, "db")->has_limit);
	pzone_defs_free(defs);
	assert_fine(pzone_domain_set(dom, "db", UINT64_MAX, 128 * MiB, 0, CONFIG, &err));
	assert_fine(pzone_config_get(dom, CONFIG, &defs, &err));
	assert_int_equal(pzone_defs_find(defs, "db")->weight, 300);
	pzone_defs_free(defs);
	assert_int_equal(pzone_domain_set(dom, "db", UINT64_MAX, UINT64_MAX, 10001, CONFIG, &err),
			 -EINVAL);
	/* a class that only the device has can't have a weight */
	fake_add("own", 32 * MiB, "");
	assert_int_equal(pzone_domain_set(dom, "own", UINT64_MAX, UINT64_MAX, 5, LIVE, &err),
			 -ENOENT);
}

#define EXT(addr, size) "{\"addr\":" #addr ",\"size\":" #size "}"

static void test_map(void **state)
{
	/* 64 bytes of pool, the last 8 memory map; what is odd must not kill anybody */
	static const char json[] =
		"[{\"id\":\"p\",\"addr\":64,\"size\":64,\"block-size\":2,\"requested\":64,\"plugged\":0,"
		"\"memmap\":8,\"available\":0,\"generation\":1,\"guest-generation\":1,\"guest\":\"ready\","
		"\"classes\":[{\"id\":1,\"name\":\"a\",\"size\":16,\"actual\":16,\"guarantee\":0,\"limit\":16,"
		"\"cookie\":\"\",\"state\":\"settled\",\"nr-extents\":7,\"last-error\":\"no pages\","
		"\"wanted-extents\":[" EXT(72, 16) "],\"extents\":[" EXT(64, 16) "]},"
		"{\"id\":2,\"name\":\"b\",\"size\":4,\"actual\":4,\"guarantee\":0,\"limit\":4,\"cookie\":\"\","
		"\"state\":\"settled\",\"reclaim-seq\":5,\"wanted-extents\":[" EXT(88, 4) "],"
		"\"extents\":[" EXT(88, 4) "," EXT(4, 8) "," EXT(200, 8) "]}]}]";
	static const struct pzone_map_range want[] = {
		{ 64, 8, PZONE_MAP_LEAVING, 0 }, { 72, 8, PZONE_MAP_CLASS, 0 },
		{ 80, 8, PZONE_MAP_WANTED, 0 }, { 88, 4, PZONE_MAP_CLASS, 1 },
		{ 92, 28, PZONE_MAP_FREE, 0 }, { 120, 8, PZONE_MAP_MEMMAP, 0 },
	};
	struct pzone_map_range *ranges;
	struct pzone_live *live;
	size_t nr;

	(void)state;
	assert_fine(pzone_live_parse(json, "d", &live, &err));
	assert_int_equal(pzone_live_class_find(live, "a")->nr_extents_total, 7);
	assert_string_equal(pzone_live_class_find(live, "a")->last_error, "no pages");
	assert_false(pzone_live_class_find(live, "a")->reclaim_known);
	assert_int_equal(pzone_live_class_find(live, "b")->nr_extents_total, 3);
	assert_null(pzone_live_class_find(live, "b")->last_error);
	assert_int_equal(pzone_live_class_find(live, "b")->reclaim_seq, 5);
	assert_fine(pzone_live_map(live, "p", &ranges, &nr, &err));
	assert_int_equal(nr, sizeof(want) / sizeof(*want));
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(ranges[i].addr, want[i].addr);
		assert_int_equal(ranges[i].size_bytes, want[i].size_bytes);
		assert_int_equal(ranges[i].kind, want[i].kind);
		assert_int_equal(ranges[i].class_index, want[i].class_index);
	}
	free(ranges);
	assert_int_equal(pzone_live_map(live, "q", &ranges, &nr, &err), -ENOENT);
	pzone_live_free(live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_config, setup),
		cmocka_unit_test_setup(test_config_bad, setup),
		cmocka_unit_test_setup(test_define, setup),
		cmocka_unit_test_setup(test_define_align, setup),
		cmocka_unit_test_setup(test_define_order, setup),
		cmocka_unit_test_setup(test_define_refused, setup),
		cmocka_unit_test_setup(test_undefine, setup),
		cmocka_unit_test_setup(test_resize, setup),
		cmocka_unit_test_setup(test_set, setup),
		cmocka_unit_test_setup(test_troubles, setup),
		cmocka_unit_test_setup(test_shut_off, setup),
		cmocka_unit_test_setup(test_list, setup),
		cmocka_unit_test_setup(test_wait, setup),
		cmocka_unit_test_setup(test_live_parse, setup),
		cmocka_unit_test_setup(test_resize_broken_metadata, setup),
		cmocka_unit_test_setup(test_set_weight, setup),
		cmocka_unit_test_setup(test_map, setup),
	};

	virSetErrorFunc(NULL, ignore);
	return cmocka_run_group_tests_name("libpzone domains", tests, setup_group, teardown_group);
}
