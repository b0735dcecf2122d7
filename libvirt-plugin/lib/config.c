// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * config.c: a domain's definitions, which live in its <metadata>.
 *
 * libvirt keeps one element per namespace and takes and gives it without the
 * namespace, so that foreign metadata is out of reach by construction. libvirt
 * 9.0 even refuses text that declares the namespace itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>
#include "internal.h"

int pzl_targets(virDomainPtr dom, unsigned int flags, unsigned int *ret_targets,
		struct pzone_error *err)
{
	const char *who = virDomainGetName(dom);
	int active, persistent;

	if (flags & ~PZL_AFFECT)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG, "flags %#x are not known",
				 flags & ~PZL_AFFECT);
	active = virDomainIsActive(dom);
	persistent = virDomainIsPersistent(dom);
	if (active < 0 || persistent < 0)
		return pzl_libvirt_error(err, dom, "get the state");
	if (!flags)
		flags = active ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CONFIG;
	if ((flags & VIR_DOMAIN_AFFECT_LIVE) && !active)
		return pzl_error(err, -ENOTCONN, PZONE_ERR_NOT_RUNNING,
				 "domain '%s' is not running: start it, or change its persistent definition with --config",
				 who);
	if ((flags & VIR_DOMAIN_AFFECT_CONFIG) && !persistent)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG,
				 "domain '%s' is transient and has no persistent definition: use --live",
				 who);
	*ret_targets = flags;
	return 0;
}

int pzl_metadata_read(virDomainPtr dom, unsigned int target, struct pzone_defs **ret_defs,
		      struct pzone_error *err)
{
	const char *who = virDomainGetName(dom);
	char name[128];
	char *xml;
	int rc;

	xml = virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, PZONE_XML_NS, target);
	if (!xml) {
		virErrorPtr last = virGetLastError();

		if (last && last->code == VIR_ERR_NO_DOMAIN_METADATA) {
			virResetLastError();
			return pzone_defs_new(ret_defs, err);
		}
		return pzl_libvirt_error(err, dom, "read the metadata");
	}
	snprintf(name, sizeof(name), "%s metadata of domain '%s'",
		 target & VIR_DOMAIN_AFFECT_CONFIG ? "persistent" : "live", who ? who : "?");
	rc = pzone_defs_parse(xml, strlen(xml), name, ret_defs, err);
	free(xml);
	return rc;
}

int pzl_metadata_write(virDomainPtr dom, unsigned int target, const struct pzone_defs *defs,
		       struct pzone_error *err)
{
	char *xml = NULL;
	int rc;

	rc = pzl_xen_can_define(dom, err);
	if (rc)
		return rc;
	if (pzone_defs_count(defs) > 0)
		rc = pzl_defs_format(defs, true, &xml, err);
	if (rc)
		return rc;
	if (virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, xml, PZONE_XML_PREFIX,
				 PZONE_XML_NS, target) < 0)
		rc = pzl_libvirt_error(err, dom, "change the metadata");
	free(xml);
	return rc;
}

int pzone_config_get(virDomainPtr dom, unsigned int flags, struct pzone_defs **ret_defs,
		     struct pzone_error *err)
{
	unsigned int target;
	int rc;

	if ((flags & PZL_AFFECT) == PZL_AFFECT)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG,
				 "definitions are read from the live or from the persistent XML, not from both");
	rc = pzl_targets(dom, flags, &target, err);
	if (rc)
		return rc;
	return pzl_metadata_read(dom, target, ret_defs, err);
}

int pzone_config_set(virDomainPtr dom, const struct pzone_defs *defs, unsigned int flags,
		     struct pzone_error *err)
{
	static const unsigned int order[] = { VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE };
	struct pzone_defs *old[2] = { NULL };
	unsigned int targets;
	int rc, done = 0;

	rc = pzl_targets(dom, flags, &targets, err);
	if (rc)
		return rc;
	for (int i = 0; !rc && i < 2; i++) {
		struct pzone_pools *pools = NULL;
		struct pzone_error why;

		if (!(targets & order[i]))
			continue;
		rc = pzone_pools_get(dom, order[i], &pools, err);
		if (!rc)
			rc = pzone_defs_check(defs, pools, virDomainGetName(dom), err);
		pzone_pools_free(pools);
		if (rc)
			break;
		/* What can't be parsed can still be replaced; it just can't come back. */
		rc = pzl_metadata_read(dom, order[i], &old[i], &why);
		if (rc == -EINVAL)
			rc = 0;
		if (rc && err)
			*err = why;
	}
	for (; !rc && done < 2; done++)
		if (targets & order[done])
			rc = pzl_metadata_write(dom, order[done], defs, err);
	if (rc && done == 2 && old[0])
		pzl_metadata_write(dom, order[0], old[0], NULL);
	pzone_defs_free(old[0]);
	pzone_defs_free(old[1]);
	return rc;
}
