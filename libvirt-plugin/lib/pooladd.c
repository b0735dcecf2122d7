// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pooladd.c: a domain's XML with one pool more.
 *
 * The XML is edited as a tree: what is not ours (foreign namespaces, comments,
 * elements that this version never heard of) stays as it is. What a pool needs
 * beside itself (room in maxMemory, a NUMA cell, ACPI) is added only where it is
 * missing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include "internal.h"

/* Linux adds memory in sections of this size on x86-64. */
#define SECTION_BYTES	(128ULL << 20)
#define BLOCK_BYTES	(2ULL << 20)		/* at least a pageblock of the guest */
#define FRAGMENT_MAX	1024

/* What is being done; name, node and the sizes are filled in on the way. */
struct edit {
	struct pzone_error *err;
	xmlDocPtr doc;
	xmlNodePtr root, devices;
	const char *who;		/* the domain's name */
	struct pzone_pool_new pool;
	char name[PZONE_POOL_MAX + 1];
	uint64_t cells_bytes;		/* memory without memory devices */
	uint64_t devices_bytes;		/* memory devices there are */
	unsigned int nr_devices;
};

/* --- the tree --- */

static bool is_blank(xmlNodePtr node)
{
	return node->type == XML_TEXT_NODE && xmlIsBlankNode(node);
}

static xmlNodePtr add_blank(xmlNodePtr before, xmlNodePtr parent, int depth)
{
	char text[32];
	xmlNodePtr node;

	snprintf(text, sizeof(text), "\n%*s", 2 * depth, "");
	node = xmlNewText(BAD_CAST text);
	return before ? xmlAddPrevSibling(before, node) : xmlAddChild(parent, node);
}

/* The elements of the text as children of parent, which is at that depth: before
 * that one, or (NULL) behind all there are. The text is indented already. */
static int add_xml(struct edit *e, xmlNodePtr parent, xmlNodePtr before, int depth,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static int add_xml(struct edit *e, xmlNodePtr parent, xmlNodePtr before, int depth,
		   const char *fmt, ...)
{
	xmlNodePtr last = parent->last, list = NULL;
	char text[FRAGMENT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (xmlParseInNodeContext(parent, text, (int)strlen(text), XML_PARSE_NONET, &list) ||
	    !list)
		return pzl_error(e->err, -EINVAL, PZONE_ERR_INTERNAL, "cannot make <%.64s...", text);
	if (before) {
		xmlAddPrevSibling(before, list);
		add_blank(before, parent, depth + 1);
		return 0;
	}
	/* the blanks in front of the parent's end tag serve the new element */
	if (last && is_blank(last)) {
		xmlUnlinkNode(last);
		xmlFreeNode(last);
	}
	add_blank(NULL, parent, depth + 1);
	xmlAddChild(parent, list);
	add_blank(NULL, parent, depth);
	return 0;
}

static xmlNodePtr next_element(xmlNodePtr node)
{
	do
		node = node ? node->next : NULL;
	while (node && node->type != XML_ELEMENT_NODE);
	return node;
}

static xmlNodePtr first_element(xmlNodePtr parent)
{
	xmlNodePtr node = parent ? parent->children : NULL;

	return node && node->type != XML_ELEMENT_NODE ? next_element(node) : node;
}

static bool is_named(xmlNodePtr node, const char *name)
{
	return !node->ns && !strcmp((const char *)node->name, name);
}

static bool attr_number(xmlNodePtr node, const char *attr, uint64_t *ret_value)
{
	xmlChar *text = xmlGetNoNsProp(node, BAD_CAST attr);
	bool ok = text && !pzl_digits((const char *)text, ret_value);

	xmlFree(text);
	return ok;
}

static void set_number(xmlNodePtr node, const char *attr, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	xmlSetProp(node, BAD_CAST attr, BAD_CAST text);
}

/* As libvirt writes it: whole KiB. */
static void set_size(xmlNodePtr node, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, bytes / 1024);
	xmlSetProp(node, BAD_CAST "unit", BAD_CAST "KiB");
	xmlNodeSetContent(node, BAD_CAST text);
}

/* --- what the domain has --- */

static int look_at_domain(struct edit *e)
{
	xmlNodePtr os = pzl_xml_child(e->root, "os", NULL);
	xmlNodePtr type = pzl_xml_child(os, "type", NULL);
	xmlChar *kind = xmlGetNoNsProp(e->root, BAD_CAST "type");
	xmlChar *arch = type ? xmlGetNoNsProp(type, BAD_CAST "arch") : NULL;
	int rc = 0;

	e->devices = pzl_xml_child(e->root, "devices", NULL);
	if (!kind || (xmlStrcmp(kind, BAD_CAST "kvm") && xmlStrcmp(kind, BAD_CAST "qemu")))
		rc = pzl_error(e->err, -EINVAL, PZONE_ERR_NO_SUPPORT,
			       "domain '%s' is of type '%.32s': only QEMU (kvm or qemu) has pools",
			       e->who, kind ? (const char *)kind : "");
	else if (arch && xmlStrcmp(arch, BAD_CAST "x86_64"))
		rc = pzl_error(e->err, -EINVAL, PZONE_ERR_NO_SUPPORT,
			       "domain '%s' is of architecture '%.32s': only x86_64 has pools",
			       e->who, arch);
	else if (!e->devices)
		rc = pzl_error(e->err, -EINVAL, PZONE_ERR_XML, "domain '%s' has no <devices>",
			       e->who);
	xmlFree(kind);
	xmlFree(arch);
	return rc;
}

static void look_at_memory_devices(struct edit *e)
{
	for (xmlNodePtr n = first_element(e->devices); n; n = next_element(n)) {
		if (!is_named(n, "memory"))
			continue;
		e->devices_bytes += pzl_xml_size(pzl_xml_child(n, "target", NULL), "size");
		e->nr_devices++;
	}
}

/* --- the pool's name --- */

static bool alias_taken(struct edit *e, const char *name)
{
	for (xmlNodePtr n = first_element(e->devices); n; n = next_element(n)) {
		xmlNodePtr alias = pzl_xml_child(n, "alias", NULL);

		if (alias && pzl_xml_attr_is(alias, "name", name))
			return true;
	}
	return false;
}

/* A left-over override must not give a new device what it did not ask for. */
static bool override_taken(struct edit *e, const char *name)
{
	xmlNodePtr override = pzl_xml_child(e->root, "override", PZL_QEMU_NS);

	for (xmlNodePtr n = first_element(override); n; n = next_element(n))
		if (pzl_xml_attr_is(n, "alias", name))
			return true;
	return false;
}

static int choose_name(struct edit *e)
{
	const char *name = e->pool.name;

	if (!name) {
		for (unsigned int i = 0; !i || alias_taken(e, e->name) ||
					 override_taken(e, e->name); i++)
			snprintf(e->name, sizeof(e->name), "ua-pool%u", i);
		return 0;
	}
	if (!pzl_pool_name_ok(name) || strncmp(name, "ua-", 3) || !name[3])
		return pzl_error(e->err, -EINVAL, PZONE_ERR_NAME,
				 "'%.64s' can't be the alias of a pool: it starts with ua-, as libvirt wants it of a user's alias, and has at most %d of A-Z a-z 0-9 _ -",
				 name, PZONE_POOL_MAX);
	if (alias_taken(e, name))
		return pzl_error(e->err, -EEXIST, PZONE_ERR_EXISTS,
				 "domain '%s' has a device with the alias '%s' already: choose another name, or leave it out",
				 e->who, name);
	if (override_taken(e, name))
		return pzl_error(e->err, -EEXIST, PZONE_ERR_EXISTS,
				 "domain '%s' has a <qemu:override> for '%s', which is no device of it: remove it, or choose another name",
				 e->who, name);
	strcpy(e->name, name);		/* its length was checked */
	return 0;
}

/* --- its sizes --- */

/* "0-3,^2,5" as libvirt writes it; later words win. Absent: every node. */
static bool nodeset_has(const char *set, unsigned long node)
{
	bool has = !set;

	while (set && *set) {
		bool but = *set == '^';
		char *end;
		unsigned long first = strtoul(set + but, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (node >= first && node <= last)
			has = !but;
		set = *end == ',' ? end + 1 : "";
	}
	return has;
}

/* Of the memory behind the pool's node; 0: no huge pages. */
static uint64_t huge_page_bytes(struct edit *e)
{
	xmlNodePtr backing = pzl_xml_child(e->root, "memoryBacking", NULL);
	xmlNodePtr huge = pzl_xml_child(backing, "hugepages", NULL);
	xmlNodePtr page = first_element(huge);
	uint64_t bytes = 0;

	if (huge && !page)
		return BLOCK_BYTES;	/* the host's default, which is not in the XML */
	for (; page; page = next_element(page)) {
		xmlChar *nodeset = xmlGetNoNsProp(page, BAD_CAST "nodeset");
		xmlChar *unit = xmlGetNoNsProp(page, BAD_CAST "unit");
		uint64_t size;

		if (attr_number(page, "size", &size) &&
		    !pzl_scale(size, (const char *)unit, 1024, &size) &&
		    nodeset_has((const char *)nodeset, (unsigned long)e->pool.node))
			bytes = size;
		xmlFree(nodeset);
		xmlFree(unit);
	}
	return bytes;
}

static int bad_size(struct edit *e, const char *what, uint64_t bytes, const char *why, ...)
	__attribute__((format(printf, 4, 5)));

static int bad_size(struct edit *e, const char *what, uint64_t bytes, const char *why, ...)
{
	char size[32], reason[256];
	va_list ap;

	va_start(ap, why);
	vsnprintf(reason, sizeof(reason), why, ap);
	va_end(ap);
	return pzl_error(e->err, -EINVAL, PZONE_ERR_SIZE, "%s %s of pool '%s' %s", what,
			 pzone_size_format(bytes, false, size, sizeof(size)), e->name, reason);
}

static int choose_sizes(struct edit *e)
{
	uint64_t page = huge_page_bytes(e), memmap, step;
	struct pzone_pool_new *p = &e->pool;
	char text[32];

	if (!p->block_bytes)
		p->block_bytes = page > BLOCK_BYTES ? page : BLOCK_BYTES;
	if (p->block_bytes < BLOCK_BYTES || (p->block_bytes & (p->block_bytes - 1)))
		return bad_size(e, "block", p->block_bytes, "is no power of two from 2 MiB on");
	if (p->block_bytes < page)
		return bad_size(e, "block", p->block_bytes,
				"is smaller than the %s pages behind node %d",
				pzone_size_format(page, false, text, sizeof(text)), p->node);
	step = p->block_bytes > SECTION_BYTES ? p->block_bytes : SECTION_BYTES;
	if (!p->size_bytes || p->size_bytes % step)
		return bad_size(e, "size", p->size_bytes,
				p->size_bytes ? "is no multiple of %s" : "is less than %s",
				pzone_size_format(step, false, text, sizeof(text)));
	/* far from where sums could wrap, and more than any machine has */
	if (p->size_bytes > 1ULL << 52)
		return bad_size(e, "size", p->size_bytes, "is too large");
	if (!p->requested_bytes)
		p->requested_bytes = p->size_bytes;
	if (p->requested_bytes > p->size_bytes)
		return bad_size(e, "requested", p->requested_bytes, "is more than its size %s",
				pzone_size_format(p->size_bytes, false, text, sizeof(text)));
	if (p->requested_bytes % p->block_bytes)
		return bad_size(e, "requested", p->requested_bytes,
				"is no multiple of its block %s",
				pzone_size_format(p->block_bytes, false, text, sizeof(text)));
	memmap = pzl_memmap_bytes(p->size_bytes, p->block_bytes);
	if (p->requested_bytes <= memmap)
		return bad_size(e, "requested", p->requested_bytes,
				"leaves nothing for classes: the guest's memory map takes %s of it",
				pzone_size_format(memmap, false, text, sizeof(text)));
	return 0;
}

/* --- what it needs beside itself --- */

static int choose_node(struct edit *e, xmlNodePtr numa)
{
	unsigned int index = 0;
	bool found = false;

	for (xmlNodePtr c = first_element(numa); c; c = next_element(c)) {
		uint64_t id = index, memory = 0;
		xmlChar *unit;

		if (!is_named(c, "cell"))
			continue;
		attr_number(c, "id", &id);
		unit = xmlGetNoNsProp(c, BAD_CAST "unit");
		if (attr_number(c, "memory", &memory) &&
		    !pzl_scale(memory, (const char *)unit, 1024, &memory))
			e->cells_bytes += memory;
		xmlFree(unit);
		if (e->pool.node < 0)
			e->pool.node = (int)id;
		found |= id == (uint64_t)e->pool.node;
		index++;
	}
	if (!found)
		return pzl_error(e->err, -ENOENT, PZONE_ERR_ARG,
				 "domain '%s' has no NUMA node %d for the pool: its <numa> has %u cells",
				 e->who, e->pool.node, index);
	return 0;
}

/* One cell with all there is: memory devices need a node to be in. */
static int make_numa(struct edit *e, xmlNodePtr cpu)
{
	uint64_t memory = pzl_xml_size(e->root, "memory"), vcpus = 1;
	xmlNodePtr vcpu = pzl_xml_child(e->root, "vcpu", NULL);
	xmlChar *text = vcpu ? xmlNodeGetContent(vcpu) : NULL;
	char cpus[48];
	int rc = 0;

	if (text)
		pzl_digits((const char *)text, &vcpus);
	xmlFree(text);
	if (e->pool.node > 0)
		return pzl_error(e->err, -ENOENT, PZONE_ERR_ARG,
				 "domain '%s' has no NUMA node %d for the pool: it has one node, 0",
				 e->who, e->pool.node);
	e->pool.node = 0;
	e->cells_bytes = memory > e->devices_bytes ? memory - e->devices_bytes : 0;
	if (vcpus > 1)
		snprintf(cpus, sizeof(cpus), "0-%" PRIu64, vcpus - 1);
	else
		strcpy(cpus, "0");
	if (!cpu) {
		rc = add_xml(e, e->root, e->devices, 0, "<cpu/>");
		cpu = pzl_xml_child(e->root, "cpu", NULL);
	}
	return rc ? rc :
	       add_xml(e, cpu, NULL, 1,
		       "<numa>\n      <cell id='0' cpus='%s' memory='%" PRIu64
		       "' unit='KiB'/>\n    </numa>", cpus, e->cells_bytes / 1024);
}

static int need_numa(struct edit *e)
{
	xmlNodePtr cpu = pzl_xml_child(e->root, "cpu", NULL);
	xmlNodePtr numa = pzl_xml_child(cpu, "numa", NULL);

	return numa ? choose_node(e, numa) : make_numa(e, cpu);
}

/* maxMemory has room and slots for all devices; memory is the sum of all. */
static int need_room(struct edit *e)
{
	uint64_t total = e->cells_bytes + e->devices_bytes + e->pool.size_bytes;
	uint64_t slots = e->nr_devices + 1, has = 0;
	xmlNodePtr memory = pzl_xml_child(e->root, "memory", NULL);
	xmlNodePtr max = pzl_xml_child(e->root, "maxMemory", NULL);
	xmlNodePtr tune = pzl_xml_child(e->root, "memtune", NULL);
	uint64_t hard = pzl_xml_size(tune, "hard_limit");
	char a[32], b[32];
	int rc = 0;

	if (!memory)
		return pzl_error(e->err, -EINVAL, PZONE_ERR_XML, "domain '%s' has no <memory>",
				 e->who);
	if (hard && hard < total)
		return pzl_error(e->err, -ENOSPC, PZONE_ERR_NO_SPACE,
				 "domain '%s' would have %s with the pool, and the <hard_limit> of its <memtune> is %s: raise that first (virsh memtune)",
				 e->who, pzone_size_format(total, false, a, sizeof(a)),
				 pzone_size_format(hard, false, b, sizeof(b)));
	if (!max) {
		rc = add_xml(e, e->root, memory, 0, "<maxMemory/>");
		max = pzl_xml_child(e->root, "maxMemory", NULL);
	}
	if (rc)
		return rc;
	if (!attr_number(max, "slots", &has) || has < slots)
		set_number(max, "slots", slots);
	if (pzl_xml_size(e->root, "maxMemory") < total)
		set_size(max, total);
	set_size(memory, total);
	return 0;
}

/* Without it libvirt tells QEMU not to offer ACPI, and the guest sees no device. */
static int need_acpi(struct edit *e)
{
	xmlNodePtr features = pzl_xml_child(e->root, "features", NULL);
	xmlNodePtr cpu = pzl_xml_child(e->root, "cpu", NULL);

	if (!features)
		return add_xml(e, e->root, cpu ? cpu : e->devices, 0,
			       "<features>\n    <acpi/>\n  </features>");
	if (pzl_xml_child(features, "acpi", NULL))
		return 0;
	return add_xml(e, features, NULL, 1, "<acpi/>");
}

static int set_emulator(struct edit *e)
{
	xmlNodePtr node = pzl_xml_child(e->devices, "emulator", NULL);
	xmlChar *text;
	int rc;

	if (!e->pool.emulator)
		return 0;
	if (!node) {
		rc = add_xml(e, e->devices, first_element(e->devices), 1, "<emulator/>");
		if (rc)
			return rc;
		node = pzl_xml_child(e->devices, "emulator", NULL);
	}
	/* what is set is taken for XML */
	text = xmlEncodeSpecialChars(e->doc, BAD_CAST e->pool.emulator);
	if (!text)
		return pzl_nomem(e->err);
	xmlNodeSetContent(node, text);
	xmlFree(text);
	return 0;
}

/* --- the pool itself --- */

static void size_xml(const char *name, uint64_t bytes, char *buf, size_t buf_len)
{
	char text[32], *unit;

	pzone_size_format(bytes, false, text, sizeof(text));
	unit = strchr(text, ' ');
	*unit++ = '\0';
	snprintf(buf, buf_len, "<%s unit='%s'>%s</%s>", name, unit, text, name);
}

static int add_device(struct edit *e)
{
	char size[96], block[96], requested[96];

	size_xml("size", e->pool.size_bytes, size, sizeof(size));
	size_xml("block", e->pool.block_bytes, block, sizeof(block));
	size_xml("requested", e->pool.requested_bytes, requested, sizeof(requested));
	return add_xml(e, e->devices, NULL, 1,
		       "<memory model='virtio-mem'>\n"
		       "      <target>\n"
		       "        %s\n"
		       "        <node>%d</node>\n"
		       "        %s\n"
		       "        %s\n"
		       "      </target>\n"
		       "      <alias name='%s'/>\n"
		       "    </memory>", size, e->pool.node, block, requested, e->name);
}

/* The prefix of QEMU's namespace, declared if need be. */
static const char *qemu_prefix(struct edit *e)
{
	xmlNsPtr ns = xmlSearchNsByHref(e->doc, e->root, BAD_CAST PZL_QEMU_NS);

	if (!ns)
		ns = xmlNewNs(e->root, BAD_CAST PZL_QEMU_NS, BAD_CAST "qemu");
	return ns && ns->prefix ? (const char *)ns->prefix : NULL;
}

static int add_override(struct edit *e)
{
	xmlNodePtr override = pzl_xml_child(e->root, "override", PZL_QEMU_NS);
	const char *q = qemu_prefix(e);
	int rc = 0;

	if (!q)
		return pzl_error(e->err, -EINVAL, PZONE_ERR_XML,
				 "the XML of domain '%s' uses the prefix qemu for something else",
				 e->who);
	if (!override) {
		rc = add_xml(e, e->root, NULL, 0, "<%s:override/>", q);
		override = pzl_xml_child(e->root, "override", PZL_QEMU_NS);
	}
	return rc ? rc :
	       add_xml(e, override, NULL, 1,
		       "<%s:device alias='%s'>\n"
		       "      <%s:frontend>\n"
		       "        <%s:property name='pzone' type='bool' value='true'/>\n"
		       "      </%s:frontend>\n"
		       "    </%s:device>", q, e->name, q, q, q, q);
}

/* --- all of it --- */

static int write_xml(struct edit *e, char **ret_xml)
{
	xmlBufferPtr buf = xmlBufferCreate();
	int rc = 0;

	if (buf && xmlNodeDump(buf, e->doc, e->root, 0, 0) > 0 && !xmlBufferCat(buf, BAD_CAST "\n"))
		*ret_xml = strdup((const char *)xmlBufferContent(buf));
	if (!*ret_xml)
		rc = pzl_nomem(e->err);
	if (buf)
		xmlBufferFree(buf);
	return rc;
}

/* The caller's struct may be an older, shorter one. */
static int take_pool(struct edit *e, const struct pzone_pool_new *pool)
{
	size_t bytes = pool->struct_bytes;

	if (bytes < sizeof(pool->struct_bytes) || bytes > sizeof(*pool))
		return pzl_error(e->err, -EINVAL, PZONE_ERR_ARG,
				 "struct_bytes of struct pzone_pool_new is %zu, and this library's is %zu",
				 bytes, sizeof(*pool));
	memcpy(&e->pool, pool, bytes);
	return 0;
}

static int edit(struct edit *e)
{
	int rc = look_at_domain(e);

	if (rc)
		return rc;
	look_at_memory_devices(e);
	rc = choose_name(e);
	if (!rc)
		rc = need_acpi(e);
	if (!rc)
		rc = need_numa(e);
	if (!rc)
		rc = choose_sizes(e);
	if (!rc)
		rc = need_room(e);
	if (!rc)
		rc = set_emulator(e);
	if (!rc)
		rc = add_device(e);
	if (!rc)
		rc = add_override(e);
	return rc;
}

int pzone_pool_add_xml(const char *domain_xml, const struct pzone_pool_new *pool,
		       char **ret_old_xml, char **ret_new_xml, char **ret_name,
		       struct pzone_error *err)
{
	char *old_xml = NULL, *new_xml = NULL, *name = NULL;
	struct edit e = { .err = err, .pool.node = -1 };
	xmlChar *who = NULL;
	int rc;

	rc = take_pool(&e, pool);
	if (!rc)
		rc = pzl_domain_xml_read(domain_xml, &e.doc, err);
	if (rc)
		return rc;
	e.root = xmlDocGetRootElement(e.doc);
	who = xmlNodeGetContent(pzl_xml_child(e.root, "name", NULL));
	e.who = who ? (const char *)who : "";
	rc = write_xml(&e, &old_xml);
	if (!rc)
		rc = edit(&e);
	if (!rc)
		rc = write_xml(&e, &new_xml);
	if (!rc) {
		name = strdup(e.name);
		rc = name ? 0 : pzl_nomem(err);
	}
	xmlFree(who);
	xmlFreeDoc(e.doc);
	if (rc) {
		free(old_xml);
		free(new_xml);
		return rc;
	}
	*ret_old_xml = old_xml;
	*ret_new_xml = new_xml;
	*ret_name = name;
	return 0;
}

/* --- of a domain --- */

/* The persistent definition; of a transient domain, what it could be created from anew. */
static int read_config(virDomainPtr dom, char **ret_xml, struct pzone_error *err)
{
	virErrorPtr last;

	/* With its passwords, or defining it would lose them. */
	*ret_xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
	last = virGetLastError();
	if (!*ret_xml && last && (last->code == VIR_ERR_OPERATION_DENIED ||
				  last->code == VIR_ERR_ACCESS_DENIED))
		*ret_xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
	return *ret_xml ? 0 : pzl_libvirt_error(err, dom, "read the XML");
}

int pzone_domain_pool_plan(virDomainPtr dom, const struct pzone_pool_new *pool,
			   char **ret_old_xml, char **ret_new_xml, char **ret_name,
			   struct pzone_error *err)
{
	char *xml = NULL;
	int rc = read_config(dom, &xml, err);

	if (!rc)
		rc = pzone_pool_add_xml(xml, pool, ret_old_xml, ret_new_xml, ret_name, err);
	free(xml);
	return rc;
}

/* Is the persistent definition still what it was, in the same writer's words? */
static int check_unchanged(virDomainPtr dom, const char *old_xml, struct pzone_error *err)
{
	struct edit e = { .err = err };
	char *xml = NULL, *now = NULL;
	int rc = read_config(dom, &xml, err);

	if (!rc)
		rc = pzl_domain_xml_read(xml, &e.doc, err);
	if (!rc) {
		e.root = xmlDocGetRootElement(e.doc);
		rc = write_xml(&e, &now);
		xmlFreeDoc(e.doc);
	}
	if (!rc && strcmp(now, old_xml))
		rc = pzl_error(err, -EBUSY, PZONE_ERR_BUSY,
			       "somebody else changed the definition of domain '%s' meanwhile: nothing was changed, try again",
			       virDomainGetName(dom));
	free(xml);
	free(now);
	return rc;
}

int pzone_domain_pool_apply(virDomainPtr dom, const char *old_xml, const char *new_xml,
			    struct pzone_error *err)
{
	virDomainPtr defined;
	int rc;

	/* defining it would make a persistent domain of it, which nobody asked for */
	if (virDomainIsPersistent(dom) == 0)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG,
				 "domain '%s' is transient: it has no definition that a pool could be added to",
				 virDomainGetName(dom));
	rc = check_unchanged(dom, old_xml, err);
	if (rc)
		return rc;
	defined = virDomainDefineXML(virDomainGetConnect(dom), new_xml);
	if (!defined)
		return pzl_libvirt_error(err, dom, "change the definition");
	virDomainFree(defined);
	return 0;
}
