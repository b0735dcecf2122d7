// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_policy.c: the rules of hv/pzoned/policy.c, without libvirt. What the
 * device says is given as the JSON that QEMU would answer.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "libpzone.h"
#include "policy.h"

#define MiB ((uint64_t)1 << 20)

static struct pzone_error err;

/* --- what there is --- */

struct cls {
	const char *pool, *name;
	uint64_t size_mib, actual_mib;
	const char *cookie;		/* "same": of `as` */
	const char *state;
	const char *as;			/* definition that it was made from */
};

static struct pzone_defs *parse(const char *xml)
{
	struct pzone_defs *defs = NULL;

	if (pzone_defs_parse(xml, strlen(xml), NULL, &defs, &err))
		fail_msg("%s", err.message);
	return defs;
}

static void cookie_of(const char *xml, char *cookie)
{
	struct pzone_defs *defs = parse(xml);

	pzone_def_cookie(pzone_defs_get(defs, 0), cookie);
	pzone_defs_free(defs);
}

/* pools a and b, driven by `guest`, with these classes (name NULL ends them) */
static struct pzone_live *device(const struct cls *classes, const char *guest)
{
	struct pzone_live *live = NULL;
	char *json, cookie[PZONE_COOKIE_MAX + 1];
	size_t len;
	FILE *out = open_memstream(&json, &len);
	int id = 0;

	fprintf(out, "[");
	for (const char *pool = "a"; pool; pool = *pool == 'a' ? "b" : NULL) {
		bool first = true;

		fprintf(out, "%s{\"id\":\"%s\",\"addr\":0,\"size\":0,\"block-size\":2097152,"
			"\"requested\":0,\"plugged\":0,\"memmap\":0,\"available\":0,\"generation\":1,"
			"\"guest-generation\":1,\"guest\":\"%s\",\"classes\":[",
			*pool == 'b' ? "," : "", pool, guest);
		for (const struct cls *c = classes; c && c->name; c++) {
			if (strcmp(c->pool, pool))
				continue;
			if (c->as)
				cookie_of(c->as, cookie);
			fprintf(out, "%s{\"id\":%d,\"name\":\"%s\",\"size\":%" PRIu64
				",\"actual\":%" PRIu64 ",\"guarantee\":0,\"limit\":0,\"cookie\":\"%s\","
				"\"state\":\"%s\",\"wanted-extents\":[],\"extents\":[]}",
				first ? "" : ",", ++id, c->name, c->size_mib * MiB,
				c->actual_mib * MiB, c->as ? cookie : c->cookie, c->state);
			first = false;
		}
		fprintf(out, "]}");
	}
	fprintf(out, "]");
	fclose(out);
	if (pzone_live_parse(json, "vm", &live, &err))
		fail_msg("%s", err.message);
	free(json);
	return live;
}

/* --- what is to be done, as text: "destroy a/x; set a/db 64; create b/y 32" --- */

static char result[2048];
static char result_why[1024];
static bool result_again;

static const char *plan_of(const char *xml, const struct cls *classes, const char *guest)
{
	static const char *const verbs[] = { "destroy", "set", "create" };
	struct pzone_defs *defs = parse(xml);
	struct pzone_live *live = device(classes, guest);
	struct policy_plan plan;
	size_t len = 0;

	assert_int_equal(policy_make(defs, live, &plan), 0);
	result[0] = '\0';
	for (size_t i = 0; i < plan.nr; i++) {
		const struct policy_action *a = &plan.actions[i];

		len += (size_t)snprintf(result + len, sizeof(result) - len, "%s%s %s/%s",
					i ? "; " : "", verbs[a->verb], a->pool, a->name);
		if (a->verb != POLICY_DESTROY) {
			char cookie[PZONE_COOKIE_MAX + 1];
			const struct pzone_def *def = pzone_defs_find(defs, a->name);

			len += (size_t)snprintf(result + len, sizeof(result) - len, " %" PRIu64,
						a->size_bytes / MiB);
			/* whatever is applied is all of the definition, and says so */
			pzone_def_cookie(def, cookie);
			assert_string_equal(a->cookie, cookie);
			assert_int_equal(a->size_bytes, def->size_bytes);
			assert_int_equal(a->guarantee_bytes, def->guarantee_bytes);
			assert_int_equal(a->limit_bytes, def->limit_bytes);
		}
		assert_non_null(a->reason);
	}
	strcpy(result_why, plan.why);
	result_again = plan.again;
	policy_free(&plan);
	pzone_live_free(live);
	pzone_defs_free(defs);
	return result;
}

#define DEF(name, pool, mib) \
	"<class name='" name "' pool='" pool "'><size unit='MiB'>" #mib "</size></class>"
#define DEFS(classes) "<pzones>" classes "</pzones>"

static void test_nothing(void **state)
{
	(void)state;
	assert_string_equal(plan_of(DEFS(), NULL, "ready"), "");
	assert_string_equal(result_why, "");
	assert_false(result_again);
}

static void test_create(void **state)
{
	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 64) DEF("web", "b", 32)), NULL, "ready"),
			    "create a/db 64; create b/web 32");
	/* a guest that is not there yet finds its layout when it comes */
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 64)), NULL, "none"), "create a/db 64");
	assert_string_equal(result_why, "");
}

static void test_settled(void **state)
{
	const struct cls classes[] = {
		{ "a", "db", 64, 64, NULL, "settled", DEF("db", "a", 64) }, { 0 },
	};

	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 64)), classes, "ready"), "");
	assert_string_equal(result_why, "");
}

static void test_size_is_adopted(void **state)
{
	/* resized with --live since: a restart of pzoned must not undo it */
	const struct cls classes[] = {
		{ "a", "db", 256, 256, NULL, "settled", DEF("db", "a", 64) }, { 0 },
	};

	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 64)), classes, "ready"), "");
}

static void test_edit_takes_effect(void **state)
{
	const struct cls classes[] = {
		{ "a", "db", 256, 256, NULL, "settled", DEF("db", "a", 64) }, { 0 },
	};

	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 66)), classes, "ready"), "set a/db 66");
	/* only a bound was edited: that is an edit as well */
	assert_string_equal(plan_of(DEFS("<class name='db' pool='a'><size unit='MiB'>64</size>"
					 "<limit unit='GiB'>1</limit></class>"), classes, "ready"),
			    "set a/db 64");
}

static void test_destroy(void **state)
{
	const struct cls classes[] = {
		{ "a", "db", 64, 64, NULL, "settled", DEF("db", "a", 64) },
		{ "a", "hand", 64, 64, "", "settled", NULL },
		{ "a", "theirs", 64, 64, "some other controller's", "settled", NULL },
		{ "b", "going", 0, 32, NULL, "destroying", DEF("going", "b", 64) },
		{ 0 },
	};

	(void)state;
	assert_string_equal(plan_of(DEFS(), classes, "ready"), "destroy a/db");
	assert_string_equal(result_why, "");
}

static void test_takes_over(void **state)
{
	const struct cls classes[] = { { "a", "db", 64, 64, "", "settled", NULL }, { 0 } };

	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 64)), classes, "ready"), "set a/db 64");
}

static void test_order(void **state)
{
	/* everything that frees memory comes before what takes it */
	const struct cls classes[] = {
		{ "a", "grows", 32, 32, NULL, "settled", DEF("grows", "a", 32) },
		{ "a", "shrinks", 64, 64, NULL, "settled", DEF("shrinks", "a", 64) },
		{ "a", "goes", 64, 64, NULL, "settled", DEF("goes", "a", 64) },
		{ "b", "too", 64, 64, NULL, "settled", DEF("too", "b", 64) },
		{ 0 },
	};

	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("new", "a", 8) DEF("grows", "a", 64)
					 DEF("shrinks", "a", 32)), classes, "ready"),
			    "destroy a/goes; destroy b/too; set a/shrinks 32; set a/grows 64; create a/new 8");
}

static void test_same_name_is_going(void **state)
{
	const struct cls classes[] = {
		{ "a", "db", 0, 64, NULL, "destroying", DEF("db", "a", 64) }, { 0 },
	};

	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "a", 64)), classes, "ready"), "");
	assert_true(result_again);
	assert_non_null(strstr(result_why, "'db'"));
}

static void test_other_pool(void **state)
{
	const struct cls before[] = {
		{ "a", "db", 64, 64, NULL, "settled", DEF("db", "a", 64) }, { 0 },
	};
	const struct cls going[] = {
		{ "a", "db", 0, 64, NULL, "destroying", DEF("db", "a", 64) }, { 0 },
	};
	const struct cls hand[] = { { "a", "db", 64, 64, "", "settled", NULL }, { 0 } };
	const char *xml = DEFS(DEF("db", "b", 64));

	(void)state;
	assert_string_equal(plan_of(xml, before, "ready"), "destroy a/db");
	assert_true(result_again);
	assert_string_equal(plan_of(xml, going, "ready"), "");
	assert_true(result_again);
	assert_string_equal(plan_of(xml, NULL, "ready"), "create b/db 64");
	assert_false(result_again);
	/* one made by hand in another pool is in the way, and is left alone */
	assert_string_equal(plan_of(xml, hand, "ready"), "");
	assert_non_null(strstr(result_why, "'a'"));
	assert_false(result_again);
}

static void test_unknown_pool(void **state)
{
	(void)state;
	assert_string_equal(plan_of(DEFS(DEF("db", "c", 64) DEF("web", "a", 32)), NULL, "ready"),
			    "create a/web 32");
	assert_non_null(strstr(result_why, "class 'db' names pool 'c'"));
	assert_false(result_again);
}

static void test_reasons(void **state)
{
	const struct cls classes[] = {
		{ "a", "db", 64, 80, NULL, "partial", DEF("db", "a", 64) },
		{ "a", "web", 32, 16, NULL, "growing", DEF("web", "a", 32) },
		{ 0 },
	};
	const char *xml = DEFS(DEF("db", "a", 64) DEF("web", "a", 32));

	(void)state;
	assert_string_equal(plan_of(xml, classes, "ready"), "");
	assert_non_null(strstr(result_why, "class 'db' has 80 MiB and should have 64 MiB"));
	assert_null(strstr(result_why, "web"));
	assert_string_equal(plan_of(xml, classes, "plain"), "");
	assert_non_null(strstr(result_why, "pool 'a' is driven by a guest kernel without pzone"));
}

static void test_many_reasons(void **state)
{
	char *xml;
	size_t len;
	FILE *out = open_memstream(&xml, &len);

	(void)state;
	fprintf(out, "<pzones>");
	for (int i = 0; i < 500; i++)
		fprintf(out, DEF("c%d", "nope", 2), i);
	fprintf(out, "</pzones>");
	fclose(out);
	assert_string_equal(plan_of(xml, NULL, "ready"), "");
	assert_true(strlen(result_why) < sizeof(((struct policy_plan *)0)->why));
	free(xml);
}

/*
 * Carrying a plan out and planning again gives an empty plan: what makes it safe
 * to be killed in between. Random definitions against random devices.
 */
static void test_converges(void **state)
{
	static const char *const names[] = { "c0", "c1", "c2", "c3", "c4", "c5" };
	static char made[6][160];

	(void)state;
	srand(20061124);
	for (int round = 0; round < 500; round++) {
		char xml[1024] = "<pzones>", one[160];
		struct cls classes[7] = { 0 };
		struct pzone_defs *defs;
		struct pzone_live *live;
		struct policy_plan plan;
		size_t nr = 0;

		for (int i = 0; i < 6; i++) {
			if (rand() % 2) {
				snprintf(one, sizeof(one), "<class name='%s' pool='%s'><size unit='MiB'>%d</size></class>",
					 names[i], rand() % 2 ? "a" : "b", 2 << rand() % 3);
				strcat(xml, one);
			}
			if (rand() % 2) {
				const char *pool = rand() % 2 ? "a" : "b";
				int mib = 2 << rand() % 3;

				snprintf(made[i], sizeof(made[i]), "<class name='%s' pool='%s'><size unit='MiB'>%d</size></class>",
					 names[i], pool, mib);
				classes[nr++] = (struct cls){ pool, names[i], (uint64_t)mib,
					(uint64_t)mib, "", "settled", rand() % 3 ? made[i] : NULL };
			}
		}
		strcat(xml, "</pzones>");
		defs = parse(xml);
		/* at most: destroy in the old pool, then create in the new one */
		for (int step = 0; ; step++) {
			char step_xml[6][160];
			struct cls next[13] = { 0 };
			size_t n = 0;

			assert_true(step < 3);
			live = device(classes, "ready");
			assert_int_equal(policy_make(defs, live, &plan), 0);
			if (plan.nr == 0)
				break;
			for (size_t c = 0; c < nr; c++) {
				bool keep = true;

				for (size_t a = 0; a < plan.nr; a++)
					if (!strcmp(plan.actions[a].name, classes[c].name))
						keep = false;
				if (keep)
					next[n++] = classes[c];
			}
			for (size_t a = 0; a < plan.nr; a++) {
				const struct policy_action *act = &plan.actions[a];
				int i = act->name[1] - '0';

				if (act->verb == POLICY_DESTROY)
					continue;
				snprintf(step_xml[i], sizeof(step_xml[i]), "<class name='%s' pool='%s'><size>%" PRIu64 "</size></class>",
					 act->name, act->pool, act->size_bytes / 1024);
				strcpy(made[i], step_xml[i]);
				next[n++] = (struct cls){ *act->pool == 'a' ? "a" : "b", names[i],
					act->size_bytes / MiB, act->size_bytes / MiB, "", "settled",
					made[i] };
			}
			assert_true(n <= 6);
			memcpy(classes, next, sizeof(classes));
			nr = n;
			policy_free(&plan);
			pzone_live_free(live);
		}
		policy_free(&plan);
		pzone_live_free(live);
		pzone_defs_free(defs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_size_is_adopted),
		cmocka_unit_test(test_edit_takes_effect),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_takes_over),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_same_name_is_going),
		cmocka_unit_test(test_other_pool),
		cmocka_unit_test(test_unknown_pool),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_many_reasons),
		cmocka_unit_test(test_converges),
	};

	return cmocka_run_group_tests_name("pzoned policy", tests, NULL, NULL);
}
