// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_xml.c: sizes, names, the XML of definitions, its schema, and pools.
 *
 * DATA is the directory of the corpus, SCHEMA the RelaxNG file:
 *   good/      parser and schema accept
 *   bad/       both refuse
 *   semantic/  the schema can't see what is wrong, the parser refuses
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include "libpzone.h"

#define MiB (1024ULL * 1024)
#define GiB (1024 * MiB)

static struct pzone_error err;

#define assert_contains(text, part) \
	do { \
		if (!strstr(text, part)) \
			fail_msg("\"%s\" does not contain \"%s\"", text, part); \
	} while (0)

static void assert_parse_fails(const char *xml, int code, const char *part)
{
	struct pzone_defs *defs = (void *)0x1;

	memset(&err, 0, sizeof(err));
	assert_int_not_equal(pzone_defs_parse(xml, strlen(xml), "f.xml", &defs, &err), 0);
	assert_ptr_equal(defs, (void *)0x1);	/* untouched */
	assert_int_equal(err.code, code);
	assert_contains(err.message, part);
	assert_null(strchr(err.message, '\n'));
}

static void test_sizes(void **state)
{
	static const struct { const char *text; uint64_t bytes; } good[] = {
		{ "0", 0 }, { "1", 1024 }, { "512M", 512 * MiB }, { "512MiB", 512 * MiB },
		{ "512mib", 512 * MiB }, { "1GiB", GiB }, { "1GB", 1000000000 }, { "7b", 7 },
		{ "7bytes", 7 }, { "2KB", 2000 }, { "3k", 3072 }, { "1T", 1024 * GiB },
		{ "7E", 7 * GiB * GiB },
	};
	static const char *const bad[] = {
		"", "x", "1.5G", "-1", "+1", "1 GiB", "1X", "1MiBs", "GiB", "0x10", " 1",
	};
	static const char *const large[] = { "8E", "18446744073709551615", "18446744073709551616",
					     "99999999999999999999999999999999999999999" };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(pzone_size_parse(good[i].text, &bytes, &err), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	bytes = 42;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pzone_size_parse(bad[i], &bytes, &err), -EINVAL);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		assert_int_equal(pzone_size_parse(large[i], &bytes, &err), -ERANGE);
	assert_int_equal(pzone_size_parse(NULL, &bytes, NULL), -EINVAL);
	assert_int_equal(bytes, 42);
	assert_int_equal(err.code, PZONE_ERR_SIZE);
}

static void test_size_format(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(pzone_size_format(0, false, buf, sizeof(buf)), "0 bytes");
	assert_string_equal(pzone_size_format(1536 * MiB, false, buf, sizeof(buf)), "1536 MiB");
	assert_string_equal(pzone_size_format(1536 * MiB, true, buf, sizeof(buf)), "1.50 GiB");
	assert_string_equal(pzone_size_format(2 * GiB, true, buf, sizeof(buf)), "2 GiB");
	assert_string_equal(pzone_size_format(4097, false, buf, sizeof(buf)), "4097 bytes");
	assert_string_equal(pzone_size_format(UINT64_MAX, false, buf, sizeof(buf)),
			    "18446744073709551615 bytes");
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "0", "db", "a_b.c-d", "shared",
					    "abcdefghijklmnopqrstuvwxyz01234" };
	static const char *const bad[] = { "", "A", "_a", ".a", "-a", "a b", "a/b", "none",
					   "memmap", "abcdefghijklmnopqrstuvwxyz012345",
					   "a\n", "\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(pzone_name_check(good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pzone_name_check(bad[i], &err), -EINVAL);
		assert_int_equal(err.code, PZONE_ERR_NAME);
		assert_null(strchr(err.message, '\n'));
	}
	assert_int_equal(pzone_name_check(NULL, NULL), -EINVAL);
}

static const char design_example[] =
	"<pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'>\n"
	"  <pzone:class name='db' pool='ua-fast'>\n"
	"    <pzone:size unit='GiB'>2</pzone:size>\n"
	"    <pzone:guarantee unit='GiB'>1</pzone:guarantee>\n"
	"    <pzone:limit unit='GiB'>4</pzone:limit>\n"
	"  </pzone:class>\n"
	"  <pzone:class name='batch' pool='ua-fast'>\n"
	"    <pzone:size unit='MiB'>512</pzone:size>\n"
	"    <pzone:align unit='MiB'>64</pzone:align>\n"
	"    <pzone:weight>200</pzone:weight>\n"
	"  </pzone:class>\n"
	"</pzone:pzones>\n";

static void test_parse(void **state)
{
	const struct pzone_def *def;
	struct pzone_defs *defs = NULL;
	char *xml = NULL;

	(void)state;
	assert_int_equal(pzone_defs_parse(design_example, strlen(design_example), NULL, &defs,
					  &err), 0);
	assert_int_equal(pzone_defs_count(defs), 2);
	def = pzone_defs_get(defs, 0);
	assert_string_equal(def->name, "db");
	assert_string_equal(def->pool, "ua-fast");
	assert_int_equal(def->size_bytes, 2 * GiB);
	assert_int_equal(def->guarantee_bytes, GiB);
	assert_int_equal(def->limit_bytes, 4 * GiB);
	assert_true(def->has_guarantee && def->has_limit);
	assert_int_equal(def->align_bytes, 0);
	assert_int_equal(def->weight, 100);
	assert_false(def->has_weight);
	assert_int_equal(def->line, 2);
	def = pzone_defs_find(defs, "batch");
	assert_int_equal(def->guarantee_bytes, 512 * MiB);
	assert_int_equal(def->limit_bytes, 512 * MiB);
	assert_false(def->has_guarantee || def->has_limit);
	assert_int_equal(def->align_bytes, 64 * MiB);
	assert_int_equal(def->weight, 200);
	assert_true(def->has_weight);
	assert_null(pzone_defs_get(defs, 2));
	assert_null(pzone_defs_find(defs, "x"));
	/* written, it is what was read */
	assert_int_equal(pzone_defs_format(defs, &xml, &err), 0);
	assert_string_equal(xml, design_example);
	free(xml);
	pzone_defs_free(defs);
}

static void test_messages(void **state)
{
	(void)state;
	assert_parse_fails("", PZONE_ERR_XML, "f.xml:1: malformed XML: ");
	assert_parse_fails("<pzones>\n<class\n", PZONE_ERR_XML, "f.xml:3: malformed XML: ");
	assert_parse_fails("<pzones>\n\n <class name='db' pool='p'>\n  <sise>1</sise>\n </class></pzones>",
			   PZONE_ERR_XML, "f.xml:4: <class> has no element <sise>");
	assert_parse_fails("<class name='db' pool='p' x='1'><size>1</size></class>",
			   PZONE_ERR_XML, "f.xml:1: <class> has no attribute 'x'");
	assert_parse_fails("<class name='db' pool='p'>\n<size unit='MiX'>1</size></class>",
			   PZONE_ERR_XML, "f.xml:2: 'MiX' of <size> is not a unit");
	assert_parse_fails("<class name='db' pool='p'>\n<size>1.5</size></class>",
			   PZONE_ERR_XML, "f.xml:2: '1.5' in <size> is not a whole number");
	assert_parse_fails("<pzones>\n<class name='Db' pool='p'><size>1</size></class></pzones>",
			   PZONE_ERR_NAME, "f.xml:2: 'Db' is not a class name");
	assert_parse_fails("<pzones>\n<class name='a' pool='p'><size>1</size></class>\n"
			   "<class name='a' pool='p'><size>1</size></class></pzones>",
			   PZONE_ERR_EXISTS, "f.xml:3: class 'a' is there twice, first in line 2");
	assert_parse_fails("<class name='a' pool='p'><size>1</size><guarantee>2</guarantee></class>",
			   PZONE_ERR_BOUNDS,
			   "f.xml:1: size 1 KiB of class 'a' is below its guarantee 2 KiB");
	assert_parse_fails("<class name='a' pool='p'><size>2</size><limit>1</limit></class>",
			   PZONE_ERR_BOUNDS, "size 2 KiB of class 'a' is above its limit 1 KiB");
	assert_parse_fails("<class name='a' pool='p'><size unit='MiB'>6</size><align unit='MiB'>3</align></class>",
			   PZONE_ERR_SIZE, "f.xml:1: align 3 MiB of class 'a' is no power of two up to 1 GiB");
	assert_parse_fails("<class name='a' pool='p'><size unit='MiB'>6</size><align unit='MiB'>4</align></class>",
			   PZONE_ERR_SIZE, "f.xml:1: size 6 MiB of class 'a' is no multiple of its align 4 MiB: the nearest are 4 MiB and 8 MiB");
	assert_parse_fails("<class name='a' pool='p'><size>2</size><weight>0</weight></class>",
			   PZONE_ERR_BOUNDS, "f.xml:1: weight 0 of class 'a' is not one of 1 to 10000");
	assert_parse_fails("<!DOCTYPE a [<!ENTITY e 'x'>]><pzones/>", PZONE_ERR_XML,
			   "document type declaration");
	assert_parse_fails("<x:y xmlns:x='u'/>", PZONE_ERR_XML, "starts with <y>");
}

static void test_limits(void **state)
{
	size_t len = PZONE_XML_MAX_BYTES + 1;
	struct pzone_defs *defs = NULL;
	char *xml = malloc(len), name[32];
	int rc = 0;

	(void)state;
	memset(xml, ' ', len);
	assert_int_equal(pzone_defs_parse(xml, len, "f.xml", &defs, &err), -E2BIG);
	assert_contains(err.message, "f.xml");
	/* deep nesting is libxml2's business, and it refuses */
	for (size_t i = 0; i + 3 < len; i += 3)
		memcpy(xml + i, "<a>", 3);
	assert_int_equal(pzone_defs_parse(xml, len - 1, "f.xml", &defs, &err), -EINVAL);
	free(xml);

	assert_int_equal(pzone_defs_new(&defs, &err), 0);
	for (int i = 0; i < PZONE_CLASSES_MAX && !rc; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		rc = pzone_defs_put(defs, name, "p", MiB, UINT64_MAX, UINT64_MAX, false, &err);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(pzone_defs_put(defs, "more", "p", MiB, UINT64_MAX, UINT64_MAX, false, &err),
			 -E2BIG);
	assert_int_equal(pzone_defs_put(defs, "c5", "p", 2 * MiB, UINT64_MAX, UINT64_MAX, false,
					&err), -EEXIST);
	assert_int_equal(pzone_defs_put(defs, "c5", "p", 2 * MiB, UINT64_MAX, UINT64_MAX, true,
					&err), 0);
	assert_int_equal(pzone_defs_find(defs, "c5")->size_bytes, 2 * MiB);
	assert_int_equal(pzone_defs_remove(defs, "c5", &err), 0);
	assert_int_equal(pzone_defs_remove(defs, "c5", &err), -ENOENT);
	assert_int_equal(pzone_defs_count(defs), PZONE_CLASSES_MAX - 1);
	assert_null(pzone_defs_free(defs));
}

/* What a replacement and a setter change, and what they leave. */
static void test_change(void **state)
{
	const struct pzone_def *def;
	struct pzone_defs *defs;

	(void)state;
	assert_int_equal(pzone_defs_parse(design_example, strlen(design_example), NULL, &defs,
					  &err), 0);
	assert_int_equal(pzone_defs_put(defs, "batch", "ua-slow", 256 * MiB, UINT64_MAX, GiB, true,
					&err), 0);
	def = pzone_defs_find(defs, "batch");
	assert_string_equal(def->pool, "ua-slow");
	assert_int_equal(def->align_bytes, 64 * MiB);
	assert_int_equal(def->weight, 200);
	/* which it has to fit */
	assert_int_equal(pzone_defs_put(defs, "batch", "ua-slow", 34 * MiB, UINT64_MAX, GiB, true,
					&err), -EINVAL);
	assert_int_equal(pzone_defs_set_align(defs, "batch", 512 * MiB, &err), -EINVAL);
	assert_int_equal(pzone_defs_set_align(defs, "nobody", 4 * MiB, &err), -ENOENT);
	assert_int_equal(pzone_defs_set_weight(defs, "nobody", 4, &err), -ENOENT);
	assert_int_equal(pzone_defs_set_weight(defs, "batch", 0, &err), -EINVAL);
	assert_int_equal(pzone_defs_set_weight(defs, "batch", 10001, &err), -EINVAL);
	assert_int_equal(pzone_defs_find(defs, "batch")->weight, 200);
	assert_int_equal(pzone_defs_set_weight(defs, "batch", 10000, &err), 0);
	assert_int_equal(pzone_defs_set_align(defs, "batch", 0, &err), 0);
	def = pzone_defs_find(defs, "batch");
	assert_int_equal(def->weight, 10000);
	assert_int_equal(def->align_bytes, 0);
	assert_int_equal(def->size_bytes, 256 * MiB);
	pzone_defs_free(defs);
}

static void test_parse_file(void **state)
{
	struct pzone_defs *defs = NULL;

	(void)state;
	assert_int_equal(pzone_defs_parse_file("/nonexistent/x.xml", &defs, &err), -ENOENT);
	assert_contains(err.message, "/nonexistent/x.xml");
	assert_int_equal(pzone_defs_parse_file("/", &defs, &err), -EISDIR);
	assert_int_equal(pzone_defs_parse_file(DATA "/bad/unknown-element.xml", &defs, &err),
			 -EINVAL);
	assert_contains(err.message, "unknown-element.xml:3: <class> has no element <priority>");
	assert_null(defs);
}

static void test_cookie(void **state)
{
	/* the weight is nothing to the device */
	static const char same[] = "<class name='db' pool='p'><size unit='MiB'>1024</size>"
				   "<guarantee unit='GiB'>1</guarantee><weight>7</weight></class>";
	static const char *const other[] = {
		"<class name='d' pool='p'><size unit='GiB'>1</size></class>",
		"<class name='db' pool='q'><size unit='GiB'>1</size></class>",
		"<class name='db' pool='p'><size unit='GiB'>2</size></class>",
		"<class name='db' pool='p'><size unit='GiB'>1</size><guarantee>0</guarantee></class>",
		"<class name='db' pool='p'><size unit='GiB'>1</size><limit unit='GiB'>2</limit></class>",
		"<class name='db' pool='p'><size unit='GiB'>1</size><align unit='GiB'>1</align></class>",
	};
	char a[PZONE_COOKIE_MAX + 1], b[PZONE_COOKIE_MAX + 1];
	struct pzone_defs *defs;

	(void)state;
	assert_int_equal(pzone_defs_new(&defs, &err), 0);
	assert_int_equal(pzone_defs_put(defs, "db", "p", GiB, UINT64_MAX, UINT64_MAX, false, &err), 0);
	pzone_def_cookie(pzone_defs_get(defs, 0), a);
	pzone_defs_free(defs);
	assert_true(pzone_cookie_is_ours(a));
	/* the value is part of what devices keep: it must never change */
	assert_string_equal(a, COOKIE_DB_P_1GIB);
	assert_int_equal(pzone_defs_parse(same, strlen(same), NULL, &defs, &err), 0);
	pzone_def_cookie(pzone_defs_get(defs, 0), b);
	assert_string_equal(a, b);
	pzone_defs_free(defs);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		assert_int_equal(pzone_defs_parse(other[i], strlen(other[i]), NULL, &defs, &err), 0);
		pzone_def_cookie(pzone_defs_get(defs, 0), b);
		assert_string_not_equal(a, b);
		pzone_defs_free(defs);
	}
	assert_false(pzone_cookie_is_ours(""));
	assert_false(pzone_cookie_is_ours(NULL));
	assert_false(pzone_cookie_is_ours("pz1-short"));
	assert_false(pzone_cookie_is_ours("somebody else's"));
}

/* --- corpus --- */

static xmlRelaxNGPtr schema;

static void no_message(void *ctx, const char *fmt, ...)
{
	(void)ctx;
	(void)fmt;
}

static bool schema_accepts(const char *path)
{
	xmlRelaxNGValidCtxtPtr ctxt = xmlRelaxNGNewValidCtxt(schema);
	xmlDocPtr doc = xmlReadFile(path, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR |
				    XML_PARSE_NOWARNING);
	bool ok = doc && xmlRelaxNGValidateDoc(ctxt, doc) == 0;

	xmlFreeDoc(doc);
	xmlRelaxNGFreeValidCtxt(ctxt);
	return ok;
}

static void check_corpus(const char *sub, bool parser, bool by_schema, int at_least)
{
	char dir[1024], path[2048];
	struct pzone_defs *defs;
	struct dirent *ent;
	int files = 0;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/%s", DATA, sub);
	d = opendir(dir);
	assert_non_null(d);
	while ((ent = readdir(d))) {
		bool ok;

		if (ent->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name);
		ok = !pzone_defs_parse_file(path, &defs, &err);
		if (ok)
			pzone_defs_free(defs);
		if (ok != parser)
			fail_msg("%s: the parser %s it: %s", path, ok ? "takes" : "refuses",
				 ok ? "" : err.message);
		if (!ok && strncmp(err.message, path, strlen(path)))
			fail_msg("%s: the message does not name it: %s", path, err.message);
		if (schema_accepts(path) != by_schema)
			fail_msg("%s: the schema %s it", path, by_schema ? "refuses" : "takes");
		files++;
	}
	closedir(d);
	assert_true(files >= at_least);
}

static int load_schema(void **state)
{
	xmlRelaxNGParserCtxtPtr ctxt;

	(void)state;
	xmlSetGenericErrorFunc(NULL, no_message);
	ctxt = xmlRelaxNGNewParserCtxt(SCHEMA);
	schema = xmlRelaxNGParse(ctxt);
	xmlRelaxNGFreeParserCtxt(ctxt);
	return schema ? 0 : -1;
}

static int free_schema(void **state)
{
	(void)state;
	xmlRelaxNGFree(schema);
	return 0;
}

static void test_corpus_good(void **state)
{
	(void)state;
	check_corpus("good", true, true, 15);
	check_corpus("../../../../libvirt-plugin/schema/examples", true, true, 2);
}

static void test_corpus_bad(void **state)
{
	(void)state;
	check_corpus("bad", false, false, 50);
}

static void test_corpus_semantic(void **state)
{
	(void)state;
	check_corpus("semantic", false, true, 8);
}

/* --- pools --- */

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *buf = calloc(1, 65536);

	assert_non_null(f);
	assert_true(fread(buf, 1, 65535, f) > 0);
	fclose(f);
	return buf;
}

static void test_pools(void **state)
{
	char *xml = slurp(DATA "/domain/pools.xml");
	const struct pzone_pool *pool;
	struct pzone_pools *pools;

	(void)state;
	assert_int_equal(pzone_pools_parse(xml, &pools, &err), 0);
	assert_int_equal(pzone_pools_count(pools), 3);	/* the dimm is none */
	pool = pzone_pools_find(pools, "ua-fast");
	assert_true(pool->enabled);
	assert_int_equal(pool->size_bytes, 2 * GiB);
	assert_int_equal(pool->block_bytes, 2 * MiB);
	assert_int_equal(pool->requested_bytes, GiB);
	assert_int_equal(pool->memmap_bytes, 32 * MiB);
	assert_int_equal(pool->node, 1);
	pool = pzone_pools_find(pools, "ua-plain");
	assert_false(pool->enabled);
	assert_int_equal(pool->memmap_bytes, 16 * MiB);
	assert_int_equal(pool->node, -1);
	pool = pzone_pools_at(pools, 2);
	assert_string_equal(pool->name, "");
	assert_false(pool->enabled);
	assert_int_equal(pool->memmap_bytes, 2 * MiB);
	assert_null(pzone_pools_find(pools, ""));
	assert_null(pzone_pools_at(pools, 3));
	pzone_pools_free(pools);
	free(xml);
}

static void test_pools_global(void **state)
{
	static const char fmt[] =
		"<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices>"
		"<memory model='virtio-mem'><alias name='ua-a'/></memory></devices>"
		"<q:commandline><q:arg value='%s'/><q:arg value='%s'/></q:commandline></domain>";
	static const struct { const char *a, *b; bool on; } cases[] = {
		{ "-global", "virtio-mem.pzone=on", true },
		{ "-global", "virtio-mem-pci.pzone=true", true },
		{ "-global", "virtio-mem.pzone=off", false },
		{ "-global", "virtio-mem.other=on", false },
		{ "-device", "virtio-mem.pzone=on", false },
	};
	struct pzone_pools *pools;
	char xml[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(xml, sizeof(xml), fmt, cases[i].a, cases[i].b);
		assert_int_equal(pzone_pools_parse(xml, &pools, &err), 0);
		assert_int_equal(pzone_pools_find(pools, "ua-a")->enabled, cases[i].on);
		pzone_pools_free(pools);
	}
	assert_int_equal(pzone_pools_parse("<x/>", &pools, &err), -EINVAL);
	assert_int_equal(pzone_pools_parse("<domain>", &pools, &err), -EINVAL);
}

static void assert_domain(const char *metadata, int rc, size_t count)
{
	struct pzone_defs *defs;
	char *xml;

	assert_true(asprintf(&xml, "<domain><name>vm</name>%s<devices/></domain>", metadata) > 0);
	assert_int_equal(pzone_defs_parse_domain(xml, &defs, &err), rc);
	free(xml);
	if (rc)
		return;
	assert_int_equal(pzone_defs_count(defs), count);
	pzone_defs_free(defs);
}

#define PZONES(inner) "<metadata><p:pzones xmlns:p='" PZONE_XML_NS "'>" inner "</p:pzones></metadata>"

/* the definitions in a whole domain's XML, as the hook gets it */
static void test_domain_defs(void **state)
{
	struct pzone_defs *defs;

	(void)state;
	assert_domain("", 0, 0);
	assert_domain("<metadata/>", 0, 0);
	assert_domain("<metadata><pzones xmlns='urn:other'><class/></pzones></metadata>", 0, 0);
	assert_domain(PZONES(""), 0, 0);
	assert_domain(PZONES("<p:class name='a' pool='ua-x'><p:size unit='MiB'>2</p:size></p:class>"
			     "<p:class name='b' pool='ua-x'><p:size unit='MiB'>2</p:size></p:class>"), 0, 2);
	assert_domain(PZONES("<p:class name='A' pool='ua-x'><p:size>2</p:size></p:class>"), -EINVAL, 0);
	assert_contains(err.message, "domain XML:1: ");
	assert_int_equal(pzone_defs_parse_domain("<pzones/>", &defs, &err), -EINVAL);
	assert_contains(err.message, "not with <domain>");
}

static void assert_check(const struct pzone_pools *pools, const char *class, int rc,
			 const char *part)
{
	struct pzone_defs *defs;

	assert_int_equal(pzone_defs_parse(class, strlen(class), NULL, &defs, &err), 0);
	assert_int_equal(pzone_defs_check(defs, pools, "vm", &err), rc);
	if (rc)
		assert_contains(err.message, part);
	pzone_defs_free(defs);
}

/* the sums alone: what else is wrong is not asked */
static void assert_room(const struct pzone_pools *pools, const char *class, int rc)
{
	struct pzone_defs *defs;

	assert_int_equal(pzone_defs_parse(class, strlen(class), NULL, &defs, &err), 0);
	assert_int_equal(pzone_defs_check_room(defs, pools, &err), rc);
	pzone_defs_free(defs);
}

static void test_check(void **state)
{
	char *xml = slurp(DATA "/domain/pools.xml");
	struct pzone_pools *pools, *none;

	(void)state;
	assert_int_equal(pzone_pools_parse(xml, &pools, &err), 0);
	assert_int_equal(pzone_pools_parse("<domain/>", &none, &err), 0);
	/* 992 MiB + 32 MiB memmap are all of requested */
	assert_check(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>992</size></class>", 0, "");
	assert_check(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>994</size></class>",
		     -ENOSPC, "'ua-fast' need 1026 MiB, 32 MiB for the guest's memory map included, and its <requested> is 1 GiB: class 'a' wants 994 MiB where 992 MiB are left");
	assert_check(pools, "<pzones><class name='a' pool='ua-fast'><size unit='MiB'>992</size></class>"
		     "<class name='b' pool='ua-fast'><size unit='MiB'>2</size></class></pzones>",
		     -ENOSPC, "1026 MiB");
	/* the class that is named is the first that no longer fits, smaller ones after it or not */
	assert_check(pools, "<pzones><class name='a' pool='ua-fast'><size unit='MiB'>900</size></class>"
		     "<class name='b' pool='ua-fast'><size unit='MiB'>100</size></class>"
		     "<class name='c' pool='ua-fast'><size unit='MiB'>2</size></class></pzones>",
		     -ENOSPC, "need 1034 MiB");
	assert_contains(err.message, "class 'b' wants 100 MiB where 92 MiB are left");
	assert_check(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>3</size></class>",
		     -EINVAL, "size 3 MiB of class 'a' is no multiple of the 2 MiB blocks of pool 'ua-fast': the nearest are 2 MiB and 4 MiB");
	assert_check(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>2</size><limit unit='MiB'>5</limit></class>",
		     -EINVAL, "limit 5 MiB");
	assert_check(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>2</size><guarantee unit='MiB'>1</guarantee></class>",
		     -EINVAL, "guarantee 1 MiB");
	assert_check(pools, "<class name='a' pool='ua-x'><size unit='MiB'>2</size></class>",
		     -ENOENT, "names pool 'ua-x', and domain 'vm'");
	assert_check(pools, "<class name='a' pool='ua-plain'><size unit='MiB'>4</size></class>",
		     -ENOENT, "'ua-plain', which is a plain virtio-mem device");
	assert_check(none, "<class name='a' pool='ua-fast'><size unit='MiB'>2</size></class>",
		     -ENOENT, "domain 'vm' has no pool");
	assert_check(none, "<pzones/>", 0, "");
	assert_room(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>994</size></class>", -ENOSPC);
	assert_room(pools, "<class name='a' pool='ua-x'><size unit='MiB'>994</size></class>", 0);
	assert_room(pools, "<class name='a' pool='ua-fast'><size unit='MiB'>3</size></class>", 0);
	pzone_pools_free(none);
	pzone_pools_free(pools);
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_size_format),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_parse_file),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_corpus_good),
		cmocka_unit_test(test_corpus_bad),
		cmocka_unit_test(test_corpus_semantic),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_pools_global),
		cmocka_unit_test(test_domain_defs),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests_name("libpzone XML", tests, load_schema, free_schema);
}
