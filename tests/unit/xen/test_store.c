// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_store.c: the texts in the Xen store, right ones and wrong ones.
 */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store.h"

#define BLOCK	(2u << 20)

static int parse(const char *text, struct store_request *ret)
{
	return store_parse_request(text, strlen(text), ret);
}

static struct virtio_pzone_req header(const struct store_request *request)
{
	struct virtio_pzone_req req;

	memcpy(&req, request->req, sizeof(req));
	return req;
}

static void test_request(void **state)
{
	struct store_request request;
	struct virtio_pzone_extent e;

	(void)state;
	assert_int_equal(parse("7 plug 12 1:0+64 4294967295:4294967295+1", &request), 0);
	assert_int_equal(request.seq, 7);
	assert_false(request.unplug_all);
	assert_int_equal(le16toh(header(&request).type), VIRTIO_PZONE_REQ_PLUG);
	assert_int_equal(le32toh(header(&request).generation), 12);
	assert_int_equal(le16toh(header(&request).nr), 2);
	assert_int_equal(header(&request).reserved, 0);
	assert_int_equal(request.req_len, sizeof(struct virtio_pzone_req) + 2 * sizeof(e));
	memcpy(&e, request.req + sizeof(struct virtio_pzone_req) + sizeof(e), sizeof(e));
	assert_int_equal(le32toh(e.class_id), UINT32_MAX);
	assert_int_equal(le32toh(e.first_block), UINT32_MAX);
	assert_int_equal(le32toh(e.nr_blocks), 1);
	assert_int_equal(e.reserved, 0);

	assert_int_equal(parse("4294967295 unplug 0 2:3+4", &request), 0);
	assert_int_equal(request.seq, UINT32_MAX);
	assert_int_equal(le16toh(header(&request).type), VIRTIO_PZONE_REQ_UNPLUG);
	assert_int_equal(parse("1 unplug-all", &request), 0);
	assert_true(request.unplug_all);
	/* Without extents it is well formed, and the core answers with ERROR. */
	assert_int_equal(parse("1 plug 5", &request), 0);
	assert_int_equal(le16toh(header(&request).nr), 0);
}

static void test_bad_request(void **state)
{
	static const char *const no_number[] = {
		"", " 1 unplug-all", "-1 plug 1", "x", "4294967296 unplug-all", "+1 unplug-all",
		"99999999999999999999999 unplug-all",
	};
	static const char *const bad[] = {
		"1", "1 ", "1 unplug-all ", "1 unplug-allx", "1 plug", "1 plug ", "1 plug x",
		"1 plug 1 ", "1 plug 1 1", "1 plug 1 1:", "1 plug 1 1:2", "1 plug 1 1:2+",
		"1 plug 1 1:2+3 ", "1 plug 1  1:2+3", "1 plug 1 1:2+3,", "1 plug 1 1:2-3",
		"1 plug 1 -1:2+3", "1 plug 1 1:4294967296+3", "1 plug 1 1:2+3\n", "1 PLUG 1 1:2+3",
		"1 plug 1 1: 2+3", "1 plug 0x1 1:2+3", "1 resize 1 1:2+3",
	};
	struct store_request request;

	(void)state;
	for (size_t i = 0; i < G_N_ELEMENTS(no_number); i++)
		if (parse(no_number[i], &request) != -ENOENT)
			fail_msg("'%s' is taken for a request", no_number[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (parse(bad[i], &request) != -EINVAL || request.seq != 1)
			fail_msg("'%s' is taken for a request", bad[i]);
	/* A NUL is a byte like any other. */
	assert_int_equal(store_parse_request("1 unplug-all\0", 13, &request), -EINVAL);
}

static void test_many_extents(void **state)
{
	g_autoptr(GString) text = g_string_new("1 plug 1");
	struct store_request request;

	(void)state;
	for (int i = 0; i < VIRTIO_PZONE_MAX_ENTRIES; i++)
		g_string_append_printf(text, " 1:%d+1", i);
	assert_int_equal(parse(text->str, &request), 0);
	assert_int_equal(le16toh(header(&request).nr), VIRTIO_PZONE_MAX_ENTRIES);
	g_string_append(text, " 1:9999+1");
	assert_int_equal(parse(text->str, &request), -EINVAL);
}

/* Whatever the bytes are: no crash, and what is accepted fits its buffer. */
static void test_noise(void **state)
{
	static const char alphabet[] = "0123456789 :+-plugunal=statefrm\n\0x";
	struct virtio_pzone_report report;
	struct virtio_pzone_event event;
	struct store_request request;
	char text[200];
	uint32_t seq;

	(void)state;
	srandom(8);
	for (int n = 0; n < 200000; n++) {
		size_t len = random() % sizeof(text);
		const char *start[] = { "", "3 plug 1 ", "3 unplug 7 1:", "state=1 ", "5 oom " };
		const char *from = start[random() % G_N_ELEMENTS(start)];

		for (size_t i = 0; i < len; i++)
			text[i] = i < strlen(from) ? from[i] : alphabet[random() % sizeof(alphabet)];
		if (!store_parse_request(text, len, &request))
			assert_true(request.unplug_all || request.req_len <= sizeof(request.req));
		store_parse_report(text, len, 1, &report);
		store_parse_event(text, len, 1, &seq, &event);
	}
}

static void test_report(void **state)
{
	const char *text = "state=2 cgroups=3 stuck=4 reclaim-done-seq=5 reclaimed=6 free=18446744073709551615 anon=8 file=9 pinned=10 refaults=11 pressure-us=12 oom=13 oom-kill=14";
	static const char *const bad[] = {
		"", "state", "state=", "state=1 ", " state=1", "state=1  free=2", "state=-1",
		"state=4294967296", "free=18446744073709551616", "size=1", "state=1,free=2",
	};
	struct virtio_pzone_report report;

	(void)state;
	assert_int_equal(store_parse_report(text, strlen(text), 42, &report), 0);
	assert_int_equal(le32toh(report.class_id), 42);
	assert_int_equal(le32toh(report.state), 2);
	assert_int_equal(le32toh(report.nr_cgroups), 3);
	assert_int_equal(le32toh(report.stuck_blocks), 4);
	assert_int_equal(le32toh(report.reclaim_done_seq), 5);
	assert_true(le64toh(report.free_bytes) == UINT64_MAX);
	assert_int_equal(le64toh(report.pressure_us), 12);
	assert_int_equal(le64toh(report.oom_events), 13);
	assert_int_equal(le64toh(report.oom_kills), 14);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (store_parse_report(bad[i], strlen(bad[i]), 1, &report) != -EINVAL)
			fail_msg("'%s' is taken for a report", bad[i]);
}

static void test_event(void **state)
{
	static const char *const bad[] = { "", "1", "1 oom", "1 oom ", "1 oom x", "1 oom 1 ",
					   "1 kill 1", "oom 1", "1 oom 4294967296" };
	struct virtio_pzone_event event;
	uint32_t seq;

	(void)state;
	assert_int_equal(store_parse_event("9 oom 2", 7, 3, &seq, &event), 0);
	assert_int_equal(seq, 9);
	assert_int_equal(le32toh(event.class_id), 3);
	assert_int_equal(le32toh(event.kind), VIRTIO_PZONE_EVENT_OOM);
	assert_int_equal(le32toh(event.wanted_blocks), 2);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (store_parse_event(bad[i], strlen(bad[i]), 1, &seq, &event) != -EINVAL)
			fail_msg("'%s' is taken for an event", bad[i]);
}

static struct pz_pool *new_pool(uint32_t nr_blocks)
{
	struct pz_pool *pool;
	struct pz_error err;

	if (pz_pool_new(nr_blocks, BLOCK, nr_blocks, NULL, NULL, &pool, &err))
		fail_msg("%s", err.msg);
	return pool;
}

static void create(struct pz_pool *pool, const char *name, uint32_t size)
{
	struct pz_class_spec spec = { .name = name, .size = size, .limit = MAX(size, 512) };
	struct pz_error err;
	uint32_t id;

	if (pz_class_create(pool, &spec, &id, &err))
		fail_msg("%s", err.msg);
}

static char *ask(struct pz_pool *pool, const char *text)
{
	uint8_t resp[STORE_RESP_ROOM];
	struct store_request request;
	ssize_t len;

	assert_int_equal(parse(text, &request), 0);
	len = pz_pool_handle_request(pool, request.req, request.req_len, resp, sizeof(resp));
	assert_true(len > 0);
	return store_reply(request.seq, resp, len);
}

/* From the text of a request to the text of its reply, with the real core between. */
static void test_reply(void **state)
{
	struct pz_pool *pool = new_pool(512);
	g_autofree char *stale = NULL, *map = NULL, *twice = NULL, *both = NULL, *foreign = NULL;
	g_autofree char *plug_map = NULL, *plug_db = NULL, *plug_foreign = NULL, *want = NULL;
	struct pz_pool_info info;

	(void)state;
	create(pool, "db", 100);
	pz_pool_info(pool, &info);
	stale = ask(pool, "1 plug 4000 0:504+8");
	assert_true(g_str_has_prefix(stale, "1 nack "));
	plug_map = g_strdup_printf("2 plug %u 0:%u+%u", info.generation, 512 - info.memmap,
				   info.memmap);
	map = ask(pool, plug_map);
	want = g_strdup_printf("2 ack 0 %u", info.generation);
	assert_string_equal(map, want);
	twice = ask(pool, plug_map);
	assert_true(g_str_has_prefix(twice, "2 error "));
	plug_db = g_strdup_printf("3 plug %u 1:0+50 1:50+50", info.generation);
	both = ask(pool, plug_db);
	assert_true(g_str_has_prefix(both, "3 ack 0 0 "));
	plug_foreign = g_strdup_printf("4 plug %u 1:200+1", info.generation);
	foreign = ask(pool, plug_foreign);
	assert_true(g_str_has_prefix(foreign, "4 error "));
	pz_pool_check(pool);
	pz_pool_free(pool);
}

static void test_layout(void **state)
{
	struct pz_pool *pool = new_pool(512);
	GHashTable *keys;

	(void)state;
	create(pool, "db", 100);
	create(pool, "batch", 28);
	keys = store_layout(pool);
	assert_string_equal(g_hash_table_lookup(keys, "class/0/name"), "memmap");
	assert_string_equal(g_hash_table_lookup(keys, "class/0/extents/0"), "504+8");
	assert_string_equal(g_hash_table_lookup(keys, "class/1/name"), "db");
	assert_string_equal(g_hash_table_lookup(keys, "class/1/wanted"), "100");
	assert_string_equal(g_hash_table_lookup(keys, "class/1/limit"), "512");
	assert_string_equal(g_hash_table_lookup(keys, "class/1/dying"), "0");
	assert_string_equal(g_hash_table_lookup(keys, "class/2/name"), "batch");
	assert_non_null(g_hash_table_lookup(keys, "class/2/extents/0"));
	assert_null(g_hash_table_lookup(keys, "class/2/extents/1"));
	g_hash_table_unref(keys);
	pz_pool_free(pool);
}

/* Ask for all of the extents, as many in one request as go into it. */
static void change(struct pz_pool *pool, const char *verb, const struct pz_extent *all, uint32_t nr)
{
	struct pz_pool_info info;

	for (uint32_t i = 0; i < nr; ) {
		g_autoptr(GString) text = g_string_new(NULL);
		g_autofree char *reply = NULL;

		pz_pool_info(pool, &info);
		g_string_printf(text, "1 %s %u", verb, info.generation);
		for (int n = 0; n < VIRTIO_PZONE_MAX_ENTRIES && i < nr; n++, i++)
			g_string_append_printf(text, " %u:%u+%u", all[i].class_id, all[i].first,
					       all[i].nr);
		reply = ask(pool, text->str);
		if (!g_str_has_prefix(reply, "1 ack 0"))
			fail_msg("%.60s: %.60s", text->str, reply);
	}
}

/* A class that fills the places of 500 others has a list that no value can hold. */
static void test_long_layout(void **state)
{
	enum { NR = 1000, SIZE = 2 };
	struct pz_pool *pool = new_pool(NR * SIZE + 32);
	struct pz_extent all[NR + 1], gone[NR / 2], got[NR];
	g_autoptr(GString) joined = g_string_new(NULL);
	struct pz_class_info big;
	struct pz_error err;
	GHashTable *keys;
	uint32_t nr;

	(void)state;
	for (int i = 0; i < NR; i++) {
		g_autofree char *name = g_strdup_printf("c%d", i);

		create(pool, name, SIZE);
	}
	nr = pz_pool_wanted(pool, 0, all, NR + 1);
	assert_int_equal(nr, NR + 1);
	assert_int_equal(all[NR].class_id, VIRTIO_PZONE_CLASS_MEMMAP);
	change(pool, "plug", &all[NR], 1);
	change(pool, "plug", all, NR);
	for (int i = 0; i < NR / 2; i++) {
		struct pz_class_info info;

		gone[i] = all[2 * i];
		assert_int_equal(pz_class_by_id(pool, gone[i].class_id, &info), 0);
		assert_int_equal(pz_class_destroy(pool, info.name, &err), 0);
	}
	change(pool, "unplug", gone, NR / 2);
	create(pool, "big", NR / 2 * SIZE);
	assert_int_equal(pz_class_find(pool, "big", &big), 0);
	keys = store_layout(pool);
	for (int n = 0; ; n++) {
		g_autofree char *key = g_strdup_printf("class/%u/extents/%d", big.id, n);
		const char *value = g_hash_table_lookup(keys, key);

		if (!value)
			break;
		assert_true(strlen(value) <= STORE_CHUNK);
		g_string_append_printf(joined, "%s%s", n ? " " : "", value);
	}
	assert_true(joined->len > STORE_CHUNK);
	assert_int_equal(store_parse_extents(joined->str, got, NR), NR / 2);
	for (int i = 0; i < NR / 2; i++) {
		assert_int_equal(got[i].first, gone[i].first);
		assert_int_equal(got[i].nr, SIZE);
	}
	g_hash_table_unref(keys);
	pz_pool_free(pool);
}

static void test_extents(void **state)
{
	struct pz_extent in[3] = { { 1, 0, 5 }, { 2, 7, 1 }, { 3, 4000000000u, 9 } }, out[3];
	g_autofree char *text = store_extents(in, 3);

	(void)state;
	assert_string_equal(text, "0+5 7+1 4000000000+9");
	assert_int_equal(store_parse_extents(text, out, 3), 3);
	assert_int_equal(out[2].first, 4000000000u);
	assert_int_equal(out[2].nr, 9);
	assert_int_equal(store_parse_extents(text, out, 2), -EINVAL);
	assert_int_equal(store_parse_extents("", out, 3), 0);
	assert_int_equal(store_parse_extents("1+", out, 3), -EINVAL);
	assert_int_equal(store_parse_extents("1+2 ", out, 3), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_bad_request),
		cmocka_unit_test(test_many_extents),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_long_layout),
		cmocka_unit_test(test_extents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
