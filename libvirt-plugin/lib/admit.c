// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * admit.c: has the host room for new guarantees? pzoned knows its budgets and what
 * they are promised to. It is asked when a definition guarantees more than before; where
 * none answers there is no budget to keep, and nothing is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxml/uri.h>
#include "internal.h"

#define TIMEOUT_MS	2000

/* What the classes of that pool are guaranteed. */
static uint64_t guaranteed(const struct pzone_defs *defs, const char *pool)
{
	const struct pzone_def *def;
	uint64_t sum = 0;

	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++)
		if (!strcmp(def->pool, pool))
			sum += def->guarantee_bytes;
	return sum;
}

static bool guarantees_more(const struct pzone_defs *defs, const struct pzone_defs *old)
{
	const struct pzone_def *def;

	for (size_t i = 0; (def = pzone_defs_get(defs, i)); i++)
		if (guaranteed(defs, def->pool) > guaranteed(old, def->pool))
			return true;
	return false;
}

/* Where the pzoned of this connection's host answers; false: nowhere that we can reach. */
static bool find_socket(virConnectPtr conn, char *path, size_t len)
{
	const char *type = virConnectGetType(conn), *user_dir = getenv("XDG_RUNTIME_DIR");
	char *text = virConnectGetURI(conn);
	xmlURIPtr uri = text ? xmlParseURI(text) : NULL;
	bool found = false;

	if (uri && type && !strcmp(type, "QEMU") && (!uri->server || !*uri->server)) {
		if (!uri->path || strcmp(uri->path, "/session"))
			found = snprintf(path, len, "%s", PZONE_DAEMON_SOCKET) < (int)len;
		else if (user_dir && *user_dir)
			found = snprintf(path, len, "%s/pzone/pzoned.sock", user_dir) < (int)len;
	}
	xmlFreeURI(uri);
	free(text);
	return found;
}

/* What grows comes last, so that it is what a refusal names. */
static int sorted(const struct pzone_defs *defs, const struct pzone_defs *old,
		  struct pzone_defs **ret_defs, struct pzone_error *err)
{
	const struct pzone_def *def, *before;
	int rc = pzone_defs_new(ret_defs, err);

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; !rc && (def = pzone_defs_get(defs, i)); i++) {
			before = pzone_defs_find(old, def->name);
			if ((before && def->guarantee_bytes <= before->guarantee_bytes) ==
			    (pass == 0))
				rc = pzl_defs_put_def(*ret_defs, def, false, err);
		}
	return rc;
}

/* Put the definitions into the domain's XML, in place of those that it has. */
static int put_into(xmlDocPtr doc, const struct pzone_defs *defs, struct pzone_error *err)
{
	xmlNodePtr root = xmlDocGetRootElement(doc), metadata, old, fresh = NULL;
	xmlDocPtr part = NULL;
	char *xml = NULL;
	int rc = pzl_defs_format(defs, false, &xml, err);

	if (!rc)
		rc = pzl_xml_read(xml, strlen(xml), 16u << 20, "definitions", &part, err);
	free(xml);
	if (rc)
		return rc;
	metadata = pzl_xml_child(root, "metadata", NULL);
	if (!metadata)
		metadata = xmlNewChild(root, NULL, BAD_CAST "metadata", NULL);
	old = pzl_xml_child(metadata, "pzones", PZONE_XML_NS);
	if (old) {
		xmlUnlinkNode(old);
		xmlFreeNode(old);
	}
	if (metadata)
		fresh = xmlDocCopyNode(xmlDocGetRootElement(part), doc, 1);
	xmlFreeDoc(part);
	if (!fresh)
		return pzl_nomem(err);
	xmlAddChild(metadata, fresh);
	return 0;
}

/* The domain's XML as it would be; xmlFree() it. */
static int new_xml(virDomainPtr dom, unsigned int target, const struct pzone_defs *defs,
		   xmlChar **ret_xml, struct pzone_error *err)
{
	char *xml = virDomainGetXMLDesc(dom, target & VIR_DOMAIN_AFFECT_CONFIG ?
					VIR_DOMAIN_XML_INACTIVE : 0);
	xmlDocPtr doc = NULL;
	int rc, len;

	if (!xml)
		return pzl_libvirt_error(err, dom, "read the XML");
	rc = pzl_domain_xml_read(xml, &doc, err);
	free(xml);
	if (rc)
		return rc;
	rc = put_into(doc, defs, err);
	if (!rc) {
		xmlDocDumpMemory(doc, ret_xml, &len);
		rc = *ret_xml ? 0 : pzl_nomem(err);
	}
	xmlFreeDoc(doc);
	return rc;
}

int pzl_admit(virDomainPtr dom, unsigned int target, const struct pzone_defs *old,
	      const struct pzone_defs *defs, struct pzone_error *err)
{
	struct pzone_defs *order = NULL;
	xmlChar *xml = NULL;
	char path[256];
	int rc;

	if (!guarantees_more(defs, old) ||
	    !find_socket(virDomainGetConnect(dom), path, sizeof(path)))
		return 0;
	rc = sorted(defs, old, &order, err);
	if (!rc)
		rc = new_xml(dom, target, order, &xml, err);
	if (!rc) {
		rc = pzl_daemon_fits(path, (const char *)xml, TIMEOUT_MS, err);
		/* Only a clear no counts. */
		rc = rc == -ENOSPC ? rc : 0;
	}
	xmlFree(xml);
	pzone_defs_free(order);
	return rc;
}
