// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pools.c: which virtio-mem devices of a domain's XML are pools, and whether a
 * list of definitions fits into them.
 *
 * A device is a pool when QEMU will give it pzone=on: by a <qemu:override> for
 * its alias, or by -global in <qemu:commandline>, which means all of them. It
 * needs an alias in the XML, because definitions name the pool by it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>
#include "internal.h"

/* More than any sane domain; libvirt itself stops at 4 MiB strings. */
#define DOMAIN_XML_MAX	(16 * 1024 * 1024)

struct pool {
	struct pzone_pool pub;
	char *name;
};

struct pzone_pools {
	struct pool *pools;
	size_t nr;
	char *uuid;
};

xmlNodePtr pzl_xml_child(xmlNodePtr parent, const char *name, const char *ns)
{
	for (xmlNodePtr n = parent ? parent->children : NULL; n; n = n->next) {
		if (n->type != XML_ELEMENT_NODE || strcmp((const char *)n->name, name))
			continue;
		if (ns ? n->ns && !strcmp((const char *)n->ns->href, ns) : !n->ns)
			return n;
	}
	return NULL;
}

bool pzl_xml_attr_is(xmlNodePtr node, const char *attr, const char *value)
{
	xmlChar *text = xmlGetNoNsProp(node, BAD_CAST attr);
	bool same = text && !strcmp((const char *)text, value);

	xmlFree(text);
	return same;
}

uint64_t pzl_xml_size(xmlNodePtr parent, const char *name)
{
	xmlNodePtr node = pzl_xml_child(parent, name, NULL);
	xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
	xmlChar *unit = node ? xmlGetNoNsProp(node, BAD_CAST "unit") : NULL;
	uint64_t v, bytes = 0;

	if (text && !pzl_digits((const char *)text, &v) &&
	    pzl_scale(v, (const char *)unit, 1024, &bytes))
		bytes = 0;
	xmlFree(text);
	xmlFree(unit);
	return bytes;
}

/* <qemu:device alias=A><qemu:frontend><qemu:property name='pzone' value='true'/> */
static bool override_on(xmlNodePtr override, const char *alias)
{
	bool on = false;

	for (xmlNodePtr dev = override ? override->children : NULL; dev; dev = dev->next) {
		xmlNodePtr frontend;

		if (dev->type != XML_ELEMENT_NODE || strcmp((const char *)dev->name, "device") ||
		    !pzl_xml_attr_is(dev, "alias", alias))
			continue;
		frontend = pzl_xml_child(dev, "frontend", PZL_QEMU_NS);
		for (xmlNodePtr p = frontend ? frontend->children : NULL; p; p = p->next)
			if (p->type == XML_ELEMENT_NODE && pzl_xml_attr_is(p, "name", "pzone"))
				on = pzl_xml_attr_is(p, "type", "bool") && pzl_xml_attr_is(p, "value", "true");
	}
	return on;
}

/* -global virtio-mem.pzone=on (or -pci, which QEMU hands down just the same) */
static bool global_on(xmlNodePtr commandline)
{
	static const char *const keys[] = { "virtio-mem.pzone=", "virtio-mem-pci.pzone=" };
	static const char *const yes[] = { "on", "true", "yes", "y" };
	bool after_global = false, on = false;

	for (xmlNodePtr arg = commandline ? commandline->children : NULL; arg; arg = arg->next) {
		xmlChar *value;

		if (arg->type != XML_ELEMENT_NODE || strcmp((const char *)arg->name, "arg"))
			continue;
		value = xmlGetNoNsProp(arg, BAD_CAST "value");
		for (size_t k = 0; value && after_global && k < 2; k++) {
			size_t len = strlen(keys[k]);

			if (strncmp((const char *)value, keys[k], len))
				continue;
			on = false;
			for (size_t y = 0; y < 4; y++)
				if (!strcmp((const char *)value + len, yes[y]))
					on = true;
		}
		after_global = value && (!strcmp((const char *)value, "-global") ||
					 !strcmp((const char *)value, "--global"));
		xmlFree(value);
	}
	return on;
}

/* A whole number in an element, -1 for anything else ("0-1", nothing). */
static int number_of(xmlNodePtr parent, const char *name)
{
	xmlNodePtr node = pzl_xml_child(parent, name, NULL);
	xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
	int number = -1;
	uint64_t v;

	if (text && !pzl_digits((const char *)text, &v) && v < 65536)
		number = (int)v;
	xmlFree(text);
	return number;
}

/* Room for one more, named and else empty; NULL: no memory. */
static struct pool *grow(struct pzone_pools *pools, const char *name)
{
	struct pool *grown = realloc(pools->pools, (pools->nr + 1) * sizeof(*grown)), *pool;

	if (!grown)
		return NULL;
	pools->pools = grown;
	pool = &grown[pools->nr];
	*pool = (struct pool) { .name = strdup(name) };
	if (!pool->name)
		return NULL;
	pools->nr++;
	return pool;
}

static int add_pool(struct pzone_pools *pools, xmlNodePtr memory, xmlNodePtr override,
		    bool all_on, struct pzone_error *err)
{
	xmlNodePtr target = pzl_xml_child(memory, "target", NULL);
	xmlNodePtr alias = pzl_xml_child(memory, "alias", NULL);
	xmlNodePtr source = pzl_xml_child(memory, "source", NULL);
	struct pool *pool;
	xmlChar *text;

	text = alias ? xmlGetNoNsProp(alias, BAD_CAST "name") : NULL;
	pool = grow(pools, text ? (const char *)text : "");
	xmlFree(text);
	if (!pool)
		return pzl_nomem(err);
	pool->pub.size_bytes = pzl_xml_size(target, "size");
	pool->pub.block_bytes = pzl_xml_size(target, "block");
	pool->pub.requested_bytes = pzl_xml_size(target, "requested");
	pool->pub.current_bytes = pzl_xml_size(target, "current");
	pool->pub.memmap_bytes = pzl_memmap_bytes(pool->pub.size_bytes, pool->pub.block_bytes);
	pool->pub.node = number_of(target, "node");
	pool->pub.host_node = number_of(source, "nodemask");
	pool->pub.page_bytes = pzl_xml_size(source, "pagesize");
	pool->pub.enabled = *pool->name && (all_on || override_on(override, pool->name));
	return 0;
}

int pzl_domain_xml_read(const char *domain_xml, xmlDocPtr *ret_doc, struct pzone_error *err)
{
	xmlNodePtr root;
	int rc;

	rc = pzl_xml_read(domain_xml, strlen(domain_xml), DOMAIN_XML_MAX, "domain XML", ret_doc,
			  err);
	if (rc)
		return rc;
	root = xmlDocGetRootElement(*ret_doc);
	if (!strcmp((const char *)root->name, "domain"))
		return 0;
	rc = pzl_error(err, -EINVAL, PZONE_ERR_XML,
		       "domain XML:1: it starts with <%.64s>, not with <domain>", root->name);
	xmlFreeDoc(*ret_doc);
	*ret_doc = NULL;
	return rc;
}

int pzone_defs_parse_domain(const char *domain_xml, struct pzone_defs **ret_defs,
			    struct pzone_error *err)
{
	xmlNodePtr metadata;
	xmlDocPtr doc;
	int rc;

	rc = pzl_domain_xml_read(domain_xml, &doc, err);
	if (rc)
		return rc;
	metadata = pzl_xml_child(xmlDocGetRootElement(doc), "metadata", NULL);
	rc = pzl_defs_read(pzl_xml_child(metadata, "pzones", PZONE_XML_NS), "domain XML", ret_defs,
			   err);
	xmlFreeDoc(doc);
	return rc;
}

/* The array has stopped moving: let the public halves point into it. */
static void publish(struct pzone_pools *pools)
{
	for (size_t i = 0; i < pools->nr; i++)
		pools->pools[i].pub.name = pools->pools[i].name;
}

int pzone_pools_parse(const char *domain_xml, struct pzone_pools **ret_pools,
		      struct pzone_error *err)
{
	struct pzone_pools *pools = NULL;
	xmlNodePtr root, devices, override;
	xmlDocPtr doc = NULL;
	bool all_on;
	xmlChar *uuid;
	int rc;

	rc = pzl_domain_xml_read(domain_xml, &doc, err);
	if (rc)
		goto out;
	root = xmlDocGetRootElement(doc);
	pools = calloc(1, sizeof(*pools));
	if (!pools) {
		rc = pzl_nomem(err);
		goto out;
	}
	uuid = xmlNodeGetContent(pzl_xml_child(root, "uuid", NULL));
	pools->uuid = strdup(uuid ? (const char *)uuid : "");
	xmlFree(uuid);
	if (!pools->uuid) {
		rc = pzl_nomem(err);
		goto out;
	}
	devices = pzl_xml_child(root, "devices", NULL);
	override = pzl_xml_child(root, "override", PZL_QEMU_NS);
	all_on = global_on(pzl_xml_child(root, "commandline", PZL_QEMU_NS));
	for (xmlNodePtr n = devices ? devices->children : NULL; !rc && n; n = n->next)
		if (n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, "memory") &&
		    pzl_xml_attr_is(n, "model", "virtio-mem"))
			rc = add_pool(pools, n, override, all_on, err);
	publish(pools);
out:
	if (rc)
		pzone_pools_free(pools);
	else
		*ret_pools = pools;
	if (doc)
		xmlFreeDoc(doc);
	return rc;
}

/*
 * Under Xen pools are no devices of the XML: a domain has those that pzone-xend has made
 * for it, and while it does not run nobody can say which.
 */
static int add_xen_pools(struct pzone_pools *pools, virDomainPtr dom, struct pzone_error *err)
{
	const struct pzone_live_pool *from;
	struct pzone_live *live = NULL;
	int rc = 0;

	if (virDomainIsActive(dom) != 1 || pzone_live_query(dom, &live, NULL))
		return 0;
	for (size_t i = 0; !rc && (from = pzone_live_pool_at(live, i)); i++) {
		struct pool *pool = grow(pools, from->name);

		if (!pool) {
			rc = pzl_nomem(err);
			break;
		}
		pool->pub = (struct pzone_pool) {
			.enabled = true, .node = -1, .host_node = -1,
			.size_bytes = from->size_bytes, .block_bytes = from->block_bytes,
			.requested_bytes = from->requested_bytes,
			.memmap_bytes = from->memmap_bytes, .current_bytes = from->plugged_bytes,
		};
	}
	publish(pools);
	pzone_live_free(live);
	return rc;
}

int pzone_pools_get(virDomainPtr dom, unsigned int flags, struct pzone_pools **ret_pools,
		    struct pzone_error *err)
{
	unsigned int targets;
	char *xml;
	bool xl;
	int rc;

	if ((flags & PZL_AFFECT) == PZL_AFFECT)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG,
				 "pools are read from the live or from the persistent XML, not from both");
	rc = pzl_targets(dom, flags, &targets, err);
	if (rc)
		return rc;
	xml = virDomainGetXMLDesc(dom, targets & VIR_DOMAIN_AFFECT_CONFIG ?
				       VIR_DOMAIN_XML_INACTIVE : 0);
	if (!xml)
		return pzl_libvirt_error(err, dom, "read the XML");
	rc = pzone_pools_parse(xml, ret_pools, err);
	free(xml);
	if (!rc && pzl_xen_is(dom, &xl)) {
		rc = add_xen_pools(*ret_pools, dom, err);
		if (rc)
			*ret_pools = pzone_pools_free(*ret_pools);
	}
	return rc;
}

struct pzone_pools *pzone_pools_free(struct pzone_pools *pools)
{
	if (pools) {
		for (size_t i = 0; i < pools->nr; i++)
			free(pools->pools[i].name);
		free(pools->pools);
		free(pools->uuid);
		free(pools);
	}
	return NULL;
}

const char *pzone_pools_uuid(const struct pzone_pools *pools)
{
	return pools->uuid;
}

size_t pzone_pools_count(const struct pzone_pools *pools)
{
	return pools->nr;
}

const struct pzone_pool *pzone_pools_at(const struct pzone_pools *pools, size_t index)
{
	return index < pools->nr ? &pools->pools[index].pub : NULL;
}

const struct pzone_pool *pzone_pools_find(const struct pzone_pools *pools, const char *name)
{
	if (!*name)
		return NULL;
	for (size_t i = 0; i < pools->nr; i++)
		if (!strcmp(pools->pools[i].name, name))
			return &pools->pools[i].pub;
	return NULL;
}

int pzl_no_pool(struct pzone_error *err, const char *who, const struct pzone_pools *pools)
{
	if (pools && pools->nr)
		return pzl_error(err, -ENOENT, PZONE_ERR_NO_POOL,
				 "domain '%s' has no pool: its virtio-mem device%s%s%s has no alias ua-NAME with the property pzone on (see <qemu:override>)",
				 who, *pools->pools[0].name ? " '" : "", pools->pools[0].name,
				 *pools->pools[0].name ? "'" : "");
	return pzl_error(err, -ENOENT, PZONE_ERR_NO_POOL,
			 "domain '%s' has no pool: virsh pzone-pool-add gives it one",
			 who);
}

/* The first class that no longer fits is the one that is named. */
static int check_pool_sum(const struct pzone_defs *defs, const struct pzone_pool *pool,
			  struct pzone_error *err)
{
	uint64_t sum = pool->memmap_bytes, left;
	const struct pzone_def *def, *misfit = NULL;
	char need[32], memmap[32], requested[32], wants[32], has[32];

	left = pool->requested_bytes > sum ? pool->requested_bytes - sum : 0;
	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++) {
		if (strcmp(def->pool, pool->name))
			continue;
		if (def->size_bytes > left && !misfit)
			misfit = def;
		if (!misfit)
			left -= def->size_bytes;
		sum = def->size_bytes > UINT64_MAX - sum ? UINT64_MAX : sum + def->size_bytes;
	}
	/* A pool without classes is nobody's problem here. */
	if (!misfit)
		return 0;
	return pzl_error(err, -ENOSPC, PZONE_ERR_NO_SPACE,
			 "the classes of pool '%s' need %s, %s for the guest's memory map included, and its <requested> is %s: class '%s' wants %s where %s are left; make classes smaller or <requested> larger",
			 pool->name, pzone_size_format(sum, false, need, sizeof(need)),
			 pzone_size_format(pool->memmap_bytes, false, memmap, sizeof(memmap)),
			 pzone_size_format(pool->requested_bytes, false, requested,
					   sizeof(requested)),
			 misfit->name, pzone_size_format(misfit->size_bytes, false, wants, sizeof(wants)),
			 pzone_size_format(left, false, has, sizeof(has)));
}

int pzone_defs_check_room(const struct pzone_defs *defs, const struct pzone_pools *pools,
			  struct pzone_error *err)
{
	for (size_t i = 0; i < pools->nr; i++) {
		int rc = check_pool_sum(defs, &pools->pools[i].pub, err);

		if (rc)
			return rc;
	}
	return 0;
}

int pzone_defs_check(const struct pzone_defs *defs, const struct pzone_pools *pools,
		     const char *who, struct pzone_error *err)
{
	const struct pzone_pool *pool;
	const struct pzone_def *def;
	bool any = false;
	int rc;

	for (size_t i = 0; i < pools->nr; i++)
		any |= pools->pools[i].pub.enabled;
	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++) {
		if (!any)
			return pzl_no_pool(err, who, pools);
		pool = pzone_pools_find(pools, def->pool);
		if (!pool)
			return pzl_error(err, -ENOENT, PZONE_ERR_NO_POOL,
					 "class '%s' names pool '%s', and domain '%s' has no virtio-mem device with that alias",
					 def->name, def->pool, who);
		if (!pool->enabled)
			return pzl_error(err, -ENOENT, PZONE_ERR_NO_POOL,
					 "class '%s' names '%s', which is a plain virtio-mem device of domain '%s': turn the property pzone on for it with <qemu:override>",
					 def->name, def->pool, who);
		rc = pzl_check_def_blocks(def, pool->name, pool->block_bytes, err);
		if (rc)
			return rc;
	}
	/* a size that is too large is said first: its limit may follow it */
	rc = pzone_defs_check_room(defs, pools, err);
	for (size_t i = 0; !rc && (def = pzone_defs_get(defs, i)); i++) {
		pool = pzone_pools_find(pools, def->pool);
		rc = pzl_check_limit_fits(def->name, def->limit_bytes, pool->name,
					  pool->size_bytes, err);
	}
	return rc;
}
