// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * defs.c: the list of class definitions: building it, reading it from XML,
 * writing it as XML, and the cookie of a definition.
 *
 * The parser refuses what it does not know, by name and line: a typing error in
 * a bound must not silently give a class another bound.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include "internal.h"

/* name and pool of a struct pzone_def point into the same entry */
struct entry {
	struct pzone_def def;
	char name[PZONE_NAME_MAX + 1];
	char pool[PZONE_POOL_MAX + 1];
};

struct pzone_defs {
	struct entry **entries;		/* each its own allocation: pointers stay good */
	size_t nr, room;
};

int pzone_defs_new(struct pzone_defs **ret_defs, struct pzone_error *err)
{
	struct pzone_defs *defs = calloc(1, sizeof(*defs));

	if (!defs)
		return pzl_nomem(err);
	*ret_defs = defs;
	return 0;
}

struct pzone_defs *pzone_defs_free(struct pzone_defs *defs)
{
	if (defs) {
		for (size_t i = 0; i < defs->nr; i++)
			free(defs->entries[i]);
		free(defs->entries);
		free(defs);
	}
	return NULL;
}

size_t pzone_defs_count(const struct pzone_defs *defs)
{
	return defs->nr;
}

const struct pzone_def *pzone_defs_get(const struct pzone_defs *defs, size_t index)
{
	return index < defs->nr ? &defs->entries[index]->def : NULL;
}

const struct pzone_def *pzone_defs_find(const struct pzone_defs *defs, const char *name)
{
	for (size_t i = 0; i < defs->nr; i++)
		if (!strcmp(defs->entries[i]->name, name))
			return &defs->entries[i]->def;
	return NULL;
}

static int check_weight(const char *name, uint64_t weight, struct pzone_error *err)
{
	if (weight >= 1 && weight <= PZONE_WEIGHT_MAX)
		return 0;
	return pzl_error(err, -EINVAL, PZONE_ERR_BOUNDS,
			 "weight %" PRIu64 " of class '%.64s' is not one of 1 to %d (without one it is %d)",
			 weight, name, PZONE_WEIGHT_MAX, PZONE_WEIGHT_DEFAULT);
}

int pzl_defs_put_def(struct pzone_defs *defs, const struct pzone_def *def, bool replace,
		     struct pzone_error *err)
{
	struct entry *entry, **slot = NULL;
	int rc;

	rc = pzone_name_check(def->name, err);
	if (rc)
		return rc;
	if (!pzl_pool_name_ok(def->pool))
		return pzl_error(err, -EINVAL, PZONE_ERR_NO_POOL,
				 "'%.64s' of class '%s' is not a pool name: a pool is called as the alias of its virtio-mem device, 1 to %d of A-Z a-z 0-9 _ -",
				 def->pool ? def->pool : "", def->name, PZONE_POOL_MAX);
	rc = pzl_check_bounds(def->name, def->size_bytes, def->guarantee_bytes,
			      def->limit_bytes, err);
	if (!rc)
		rc = pzl_check_def_align(def, err);
	if (!rc)
		rc = check_weight(def->name, def->weight, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < defs->nr; i++)
		if (!strcmp(defs->entries[i]->name, def->name))
			slot = &defs->entries[i];
	if (slot && !replace) {
		if ((*slot)->def.line)
			return pzl_error(err, -EEXIST, PZONE_ERR_EXISTS,
					 "class '%s' is there twice, first in line %u",
					 def->name, (*slot)->def.line);
		return pzl_error(err, -EEXIST, PZONE_ERR_EXISTS, "there is a class '%s' already",
				 def->name);
	}
	if (!slot && defs->nr >= PZONE_CLASSES_MAX)
		return pzl_error(err, -E2BIG, PZONE_ERR_ARG,
				 "class '%s' is one too many: a domain can have %d", def->name,
				 PZONE_CLASSES_MAX);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return pzl_nomem(err);
	entry->def = *def;
	strcpy(entry->name, def->name);		/* lengths were checked above */
	strcpy(entry->pool, def->pool);
	entry->def.name = entry->name;
	entry->def.pool = entry->pool;
	if (slot) {
		free(*slot);
		*slot = entry;
		return 0;
	}
	if (defs->nr == defs->room) {
		size_t room = defs->room ? defs->room * 2 : 8;
		struct entry **grown = realloc(defs->entries, room * sizeof(*grown));

		if (!grown) {
			free(entry);
			return pzl_nomem(err);
		}
		defs->entries = grown;
		defs->room = room;
	}
	defs->entries[defs->nr++] = entry;
	return 0;
}

static int no_class(const char *name, struct pzone_error *err)
{
	return pzl_error(err, -ENOENT, PZONE_ERR_NO_CLASS, "there is no class '%s'", name);
}

int pzone_defs_put(struct pzone_defs *defs, const char *name, const char *pool,
		   uint64_t size_bytes, uint64_t guarantee_bytes, uint64_t limit_bytes,
		   bool replace, struct pzone_error *err)
{
	const struct pzone_def *old = pzone_defs_find(defs, name);
	struct pzone_def def = { .weight = PZONE_WEIGHT_DEFAULT };

	if (old)
		def = *old;
	def.name = name;
	def.pool = pool;
	def.size_bytes = size_bytes;
	def.has_guarantee = guarantee_bytes != PZL_LEFT_OUT;
	def.has_limit = limit_bytes != PZL_LEFT_OUT;
	def.line = 0;
	def.guarantee_bytes = def.has_guarantee ? guarantee_bytes : size_bytes;
	def.limit_bytes = def.has_limit ? limit_bytes : size_bytes;
	return pzl_defs_put_def(defs, &def, replace, err);
}

static int changed_def(struct pzone_defs *defs, const char *name, struct pzone_def *ret_def,
		       struct pzone_error *err)
{
	const struct pzone_def *def = pzone_defs_find(defs, name);

	if (!def)
		return no_class(name, err);
	*ret_def = *def;
	return 0;
}

int pzone_defs_set_align(struct pzone_defs *defs, const char *name, uint64_t align_bytes,
			 struct pzone_error *err)
{
	struct pzone_def def;
	int rc = changed_def(defs, name, &def, err);

	def.align_bytes = align_bytes;
	return rc ? rc : pzl_defs_put_def(defs, &def, true, err);
}

int pzone_defs_set_weight(struct pzone_defs *defs, const char *name, unsigned int weight,
			  struct pzone_error *err)
{
	struct pzone_def def;
	int rc = changed_def(defs, name, &def, err);

	def.weight = weight;
	def.has_weight = true;
	return rc ? rc : pzl_defs_put_def(defs, &def, true, err);
}

int pzone_defs_remove(struct pzone_defs *defs, const char *name, struct pzone_error *err)
{
	for (size_t i = 0; i < defs->nr; i++) {
		if (strcmp(defs->entries[i]->name, name))
			continue;
		free(defs->entries[i]);
		memmove(&defs->entries[i], &defs->entries[i + 1],
			(defs->nr - i - 1) * sizeof(defs->entries[0]));
		defs->nr--;
		return 0;
	}
	return no_class(name, err);
}

int pzl_defs_copy(const struct pzone_defs *defs, struct pzone_defs **ret_defs,
		  struct pzone_error *err)
{
	struct pzone_defs *copy = NULL;
	int rc;

	rc = pzone_defs_new(&copy, err);
	for (size_t i = 0; !rc && i < defs->nr; i++)
		rc = pzl_defs_put_def(copy, &defs->entries[i]->def, false, err);
	if (rc) {
		pzone_defs_free(copy);
		return rc;
	}
	*ret_defs = copy;
	return 0;
}

/* --- reading --- */

int pzl_xml_read(const char *xml, size_t len, size_t max, const char *name,
		 xmlDocPtr *ret_doc, struct pzone_error *err)
{
	/* No NOENT, DTDLOAD or HUGE: entities stay unexpanded, limits stay on. */
	const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
			    XML_PARSE_BIG_LINES;
	xmlParserCtxtPtr ctxt;
	xmlDocPtr doc;
	int rc = 0;

	if (len > max)
		return pzl_error(err, -E2BIG, PZONE_ERR_XML,
				 "%s: %zu bytes are more than the %zu that are allowed",
				 name, len, max);
	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		return pzl_nomem(err);
	doc = xmlCtxtReadMemory(ctxt, xml, (int)len, NULL, NULL, options);
	if (!doc) {
		const xmlError *last = xmlCtxtGetLastError(ctxt);

		if (last && last->code == XML_ERR_NO_MEMORY)
			rc = pzl_nomem(err);
		else
			rc = pzl_error(err, -EINVAL, PZONE_ERR_XML, "%s:%d: malformed XML: %s",
				       name, last && last->line > 0 ? last->line : 1,
				       last && last->message ? last->message : "no reason given");
	} else if (doc->intSubset || doc->extSubset) {
		rc = pzl_error(err, -EINVAL, PZONE_ERR_XML,
			       "%s:1: a document type declaration is not allowed here", name);
		xmlFreeDoc(doc);
	} else {
		*ret_doc = doc;
	}
	xmlFreeParserCtxt(ctxt);
	return rc;
}

struct reader {
	const char *name;		/* of the document */
	struct pzone_error *err;
};

static int bad(struct reader *r, xmlNodePtr node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int bad(struct reader *r, xmlNodePtr node, const char *fmt, ...)
{
	char msg[512];
	va_list ap;
	long line = xmlGetLineNo(node);

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return pzl_error(r->err, -EINVAL, PZONE_ERR_XML, "%s:%ld: %s", r->name,
			 line > 0 ? line : 1, msg);
}

/* In our namespace or in none: libvirt hands metadata out without namespaces. */
static bool is_element(xmlNodePtr node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name) &&
	       (!node->ns || !strcmp((const char *)node->ns->href, PZONE_XML_NS));
}

static const char *const unit_words =
	"bytes, KiB, MiB, GiB, TiB, KB, MB, GB and their like";

/* The attributes of node may be only those of allowed (NULL-terminated). */
static int check_attributes(struct reader *r, xmlNodePtr node, const char *const *allowed)
{
	for (xmlAttrPtr attr = node->properties; attr; attr = attr->next) {
		const char *const *a = allowed;

		while (*a && (attr->ns || strcmp(*a, (const char *)attr->name)))
			a++;
		if (!*a)
			return bad(r, node, "<%s> has no attribute '%s%s%.64s'", node->name,
				   attr->ns && attr->ns->prefix ?
				   (const char *)attr->ns->prefix : "",
				   attr->ns && attr->ns->prefix ? ":" : "", attr->name);
	}
	return 0;
}

/* Between elements only blanks, comments and processing instructions. */
static int check_filler(struct reader *r, xmlNodePtr parent, xmlNodePtr node)
{
	switch (node->type) {
	case XML_COMMENT_NODE:
	case XML_PI_NODE:
		return 0;
	case XML_TEXT_NODE:
	case XML_CDATA_SECTION_NODE:
		if (!node->content || xmlIsBlankNode(node) ||
		    strspn((const char *)node->content, " \t\r\n") ==
		    strlen((const char *)node->content))
			return 0;
		return bad(r, node, "<%s> holds text where only elements are allowed",
			   parent->name);
	case XML_ELEMENT_NODE:
		return bad(r, node, "<%s> has no element <%s%s%.64s>%s", parent->name,
			   node->ns && node->ns->prefix ? (const char *)node->ns->prefix : "",
			   node->ns && node->ns->prefix ? ":" : "", node->name,
			   node->ns && strcmp((const char *)node->ns->href, PZONE_XML_NS) ?
			   " of that namespace" : "");
	default:
		return bad(r, node, "<%s> holds something that is not allowed here",
			   parent->name);
	}
}

/* A whole number and nothing else. */
static int read_number(struct reader *r, xmlNodePtr node, uint64_t *ret_value)
{
	xmlChar *text;
	int rc;

	for (xmlNodePtr child = node->children; child; child = child->next)
		if (child->type == XML_ELEMENT_NODE)
			return check_filler(r, node, child);
	text = xmlNodeGetContent(node);
	if (!text)
		return pzl_nomem(r->err);
	rc = pzl_digits((const char *)text, ret_value);
	if (rc)
		rc = bad(r, node, rc == -EINVAL ? "'%.64s' in <%s> is not a whole number" :
			 "'%.64s' in <%s> is too large", text, node->name);
	xmlFree(text);
	return rc;
}

/* A number and perhaps a unit. */
static int read_size(struct reader *r, xmlNodePtr node, uint64_t *ret_bytes)
{
	static const char *const allowed[] = { "unit", NULL };
	xmlChar *unit;
	uint64_t value;
	int rc;

	rc = check_attributes(r, node, allowed);
	if (!rc)
		rc = read_number(r, node, &value);
	if (rc)
		return rc;
	unit = xmlGetNoNsProp(node, BAD_CAST "unit");
	rc = unit && !*unit ? -EINVAL : pzl_scale(value, (const char *)unit, 1024, ret_bytes);
	if (rc == -EINVAL)
		rc = bad(r, node, "'%.64s' of <%s> is not a unit: there are %s", unit,
			 node->name, unit_words);
	else if (rc)
		rc = bad(r, node, "'%" PRIu64 "' in <%s> is too large", value, node->name);
	xmlFree(unit);
	return rc;
}

static int read_weight(struct reader *r, xmlNodePtr node, uint64_t *ret_weight)
{
	static const char *const allowed[] = { NULL };
	int rc = check_attributes(r, node, allowed);

	return rc ? rc : read_number(r, node, ret_weight);
}

/* What a class holds, each once at most. */
enum part { SIZE, GUARANTEE, LIMIT, ALIGN, WEIGHT, NR_PARTS };

static const struct {
	const char *name;
	int (*read)(struct reader *r, xmlNodePtr node, uint64_t *ret_value);
} parts[NR_PARTS] = {
	[SIZE] = { "size", read_size },
	[GUARANTEE] = { "guarantee", read_size },
	[LIMIT] = { "limit", read_size },
	[ALIGN] = { "align", read_size },
	[WEIGHT] = { "weight", read_weight },
};

static int read_class(struct reader *r, xmlNodePtr node, struct pzone_defs *defs)
{
	static const char *const allowed[] = { "name", "pool", NULL };
	uint64_t values[NR_PARTS] = { [WEIGHT] = PZONE_WEIGHT_DEFAULT };
	bool seen[NR_PARTS] = { false };
	xmlChar *name = NULL, *pool = NULL;
	struct pzone_def def = { 0 };
	int rc;

	rc = check_attributes(r, node, allowed);
	if (rc)
		goto out;
	name = xmlGetNoNsProp(node, BAD_CAST "name");
	pool = xmlGetNoNsProp(node, BAD_CAST "pool");
	if (!name || !pool) {
		rc = bad(r, node, "<class> needs an attribute '%s'", name ? "pool" : "name");
		goto out;
	}
	for (xmlNodePtr child = node->children; child; child = child->next) {
		size_t p = 0;

		while (p < NR_PARTS && !is_element(child, parts[p].name))
			p++;
		if (p == NR_PARTS) {
			rc = check_filler(r, node, child);
		} else if (seen[p]) {
			rc = bad(r, child, "<%s> of class '%.64s' is there twice", parts[p].name,
				 name);
		} else {
			rc = parts[p].read(r, child, &values[p]);
			seen[p] = true;
		}
		if (rc)
			goto out;
	}
	if (!seen[SIZE]) {
		rc = bad(r, node, "class '%.64s' has no <size>", name);
		goto out;
	}
	/* These two would be taken for "left out", or cut, further on. */
	rc = check_weight((const char *)name, values[WEIGHT], r->err);
	if (!rc && seen[ALIGN] && values[ALIGN] == 0)
		rc = pzl_error(r->err, -EINVAL, PZONE_ERR_SIZE,
			       "align 0 of class '%.64s' is no size: leave it out for the pool's block",
			       name);
	if (rc)
		goto out_line;
	def.name = (const char *)name;
	def.pool = (const char *)pool;
	def.size_bytes = values[SIZE];
	def.has_guarantee = seen[GUARANTEE];
	def.has_limit = seen[LIMIT];
	def.guarantee_bytes = seen[GUARANTEE] ? values[GUARANTEE] : values[SIZE];
	def.limit_bytes = seen[LIMIT] ? values[LIMIT] : values[SIZE];
	def.align_bytes = values[ALIGN];
	def.weight = (unsigned int)values[WEIGHT];
	def.has_weight = seen[WEIGHT];
	def.line = (unsigned int)xmlGetLineNo(node);
	rc = pzl_defs_put_def(defs, &def, false, r->err);
out_line:
	if (rc && rc != -ENOMEM) {
		pzl_error_at(r->err, r->name, (unsigned int)xmlGetLineNo(node));
		rc = -EINVAL;
	}
out:
	xmlFree(name);
	xmlFree(pool);
	return rc;
}

static int read_root(struct reader *r, xmlNodePtr root, struct pzone_defs *defs)
{
	static const char *const none[] = { NULL };
	int rc;

	if (is_element(root, "class"))
		return read_class(r, root, defs);
	if (!is_element(root, "pzones"))
		return bad(r, root,
			   "the document starts with <%.64s>, not with <pzones> or <class> of namespace %s",
			   root->name, PZONE_XML_NS);
	rc = check_attributes(r, root, none);
	for (xmlNodePtr child = root->children; !rc && child; child = child->next)
		rc = is_element(child, "class") ? read_class(r, child, defs) :
						  check_filler(r, root, child);
	return rc;
}

int pzl_defs_read(xmlNodePtr root, const char *name, struct pzone_defs **ret_defs,
		  struct pzone_error *err)
{
	struct reader r = { .name = name, .err = err };
	struct pzone_defs *defs;
	int rc;

	rc = pzone_defs_new(&defs, err);
	if (!rc && root)
		rc = read_root(&r, root, defs);
	if (rc)
		pzone_defs_free(defs);
	else
		*ret_defs = defs;
	return rc;
}

int pzone_defs_parse(const char *xml, size_t len, const char *name,
		     struct pzone_defs **ret_defs, struct pzone_error *err)
{
	xmlDocPtr doc;
	int rc;

	if (!name)
		name = "XML";
	rc = pzl_xml_read(xml, len, PZONE_XML_MAX_BYTES, name, &doc, err);
	if (rc)
		return rc;
	rc = pzl_defs_read(xmlDocGetRootElement(doc), name, ret_defs, err);
	xmlFreeDoc(doc);
	return rc;
}

int pzone_defs_parse_file(const char *path, struct pzone_defs **ret_defs,
			  struct pzone_error *err)
{
	bool is_stdin = !strcmp(path, "-");
	char *buf = NULL;
	FILE *file;
	size_t len;
	int rc;

	file = is_stdin ? stdin : fopen(path, "re");
	if (!file) {
		rc = -errno;
		return pzl_error(err, rc, PZONE_ERR_IO, "cannot read '%s': %s", path,
				 strerror(-rc));
	}
	/* One byte more than allowed, so that too long is seen as too long. */
	buf = malloc(PZONE_XML_MAX_BYTES + 1);
	if (!buf) {
		rc = pzl_nomem(err);
		goto out;
	}
	errno = 0;
	len = fread(buf, 1, PZONE_XML_MAX_BYTES + 1, file);
	if (ferror(file)) {
		rc = errno ? -errno : -EIO;
		pzl_error(err, rc, PZONE_ERR_IO, "cannot read '%s': %s", path, strerror(-rc));
		goto out;
	}
	rc = pzone_defs_parse(buf, len, is_stdin ? "stdin" : path, ret_defs, err);
out:
	free(buf);
	if (!is_stdin)
		fclose(file);
	return rc;
}

/* --- writing --- */

static void write_size(FILE *out, const char *prefix, const char *name, uint64_t bytes)
{
	char text[32], *unit;

	pzone_size_format(bytes, false, text, sizeof(text));
	unit = strchr(text, ' ');
	*unit++ = '\0';
	fprintf(out, "    <%s%s unit='%s'>%s</%s%s>\n", prefix, name, unit, text, prefix, name);
}

/* Nothing is escaped: names are checked when they enter a list. */
int pzl_defs_format(const struct pzone_defs *defs, bool bare, char **ret_xml,
		    struct pzone_error *err)
{
	const char *p = bare ? "" : PZONE_XML_PREFIX ":";
	char *buf = NULL;
	size_t len;
	FILE *out = open_memstream(&buf, &len);

	if (!out)
		return pzl_nomem(err);
	if (bare)
		fprintf(out, "<pzones>\n");
	else
		fprintf(out, "<%spzones xmlns:%s='%s'>\n", p, PZONE_XML_PREFIX, PZONE_XML_NS);
	for (size_t i = 0; i < defs->nr; i++) {
		const struct pzone_def *def = &defs->entries[i]->def;

		fprintf(out, "  <%sclass name='%s' pool='%s'>\n", p, def->name, def->pool);
		write_size(out, p, "size", def->size_bytes);
		if (def->has_guarantee)
			write_size(out, p, "guarantee", def->guarantee_bytes);
		if (def->has_limit)
			write_size(out, p, "limit", def->limit_bytes);
		if (def->align_bytes)
			write_size(out, p, "align", def->align_bytes);
		if (def->has_weight)
			fprintf(out, "    <%sweight>%u</%sweight>\n", p, def->weight, p);
		fprintf(out, "  </%sclass>\n", p);
	}
	fprintf(out, "</%spzones>\n", p);
	if (fclose(out)) {
		free(buf);
		return pzl_nomem(err);
	}
	*ret_xml = buf;
	return 0;
}

int pzone_defs_format(const struct pzone_defs *defs, char **ret_xml, struct pzone_error *err)
{
	return pzl_defs_format(defs, false, ret_xml, err);
}

/* --- cookie --- */

/*
 * FNV-1a with 128 bits: it tells an edited definition from the one applied
 * before; it is no protection against somebody who makes collisions in his own
 * domain's XML.
 */
void pzone_def_cookie(const struct pzone_def *def, char ret_cookie[PZONE_COOKIE_MAX + 1])
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	unsigned __int128 hash = ((unsigned __int128)0x6c62272e07bb0142ULL << 64) |
				 0x62b821756295c58dULL;
	char text[PZONE_NAME_MAX + PZONE_POOL_MAX + 128];
	int len;

	len = snprintf(text, sizeof(text), "%s %s %" PRIu64 " %" PRIu64 " %" PRIu64, def->name,
		       def->pool, def->size_bytes, def->guarantee_bytes, def->limit_bytes);
	/* Left out it leaves no trace: the cookies of older versions stay good. */
	if (def->align_bytes)
		snprintf(text + len, sizeof(text) - len, " align %" PRIu64, def->align_bytes);
	for (const char *p = text; *p; p++)
		hash = (hash ^ (unsigned char)*p) * prime;
	snprintf(ret_cookie, PZONE_COOKIE_MAX + 1, "pz1-%016" PRIx64 "%016" PRIx64,
		 (uint64_t)(hash >> 64), (uint64_t)hash);
}

bool pzone_cookie_is_ours(const char *cookie)
{
	return cookie && !strncmp(cookie, "pz1-", 4) && strlen(cookie) == 4 + 32 &&
	       strspn(cookie + 4, "0123456789abcdef") == 32;
}
