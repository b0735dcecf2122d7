/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * internal.h: what the files of libpzone share. Nothing here is exported.
 */
#ifndef PZONE_INTERNAL_H
#define PZONE_INTERNAL_H

#include <libxml/tree.h>
#include "libpzone.h"

#define PZL_LEFT_OUT	UINT64_MAX	/* a guarantee or limit that nobody gave */
#define PZL_QEMU_NS	"http://libvirt.org/schemas/domain/qemu/1.0"
#define PZL_AFFECT	(VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG)

/*
 * Fill in err (may be NULL) and return errnum, so that a function can fail in
 * one statement. Line breaks and control characters become spaces.
 */
int pzl_error(struct pzone_error *err, int errnum, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int pzl_nomem(struct pzone_error *err);
/* From libvirt's last error; what says what was tried ("read the XML"). */
int pzl_libvirt_error(struct pzone_error *err, virDomainPtr dom, const char *what);
/* Put "NAME:LINE: " before what err says. */
void pzl_error_at(struct pzone_error *err, const char *name, unsigned int line);

/* value * unit; unit NULL or "": default_scale. -EINVAL unknown unit, -ERANGE. */
int pzl_scale(uint64_t value, const char *unit, uint64_t default_scale, uint64_t *ret_bytes);
/* Decimal digits only, blanks around them allowed. -EINVAL, -ERANGE */
int pzl_digits(const char *text, uint64_t *ret_value);

bool pzl_pool_name_ok(const char *name);

/* Bytes of `size` rounded down and up to blocks, and the sentence about it. */
int pzl_check_block(const char *what, const char *name, uint64_t size_bytes,
		    const char *pool, uint64_t block_bytes, struct pzone_error *err);
/* Is it a multiple of the class's align? 0: of none in particular. */
int pzl_check_aligned(const char *what, const char *name, uint64_t size_bytes,
		      uint64_t align_bytes, struct pzone_error *err);
/* The same of all of a definition, and the align itself. */
int pzl_check_def_align(const struct pzone_def *def, struct pzone_error *err);
/* The device refuses more. */
int pzl_check_limit_fits(const char *name, uint64_t limit_bytes, const char *pool,
			 uint64_t pool_bytes, struct pzone_error *err);
/* Size, guarantee and limit are blocks of the pool, and align is one at least. */
int pzl_check_def_blocks(const struct pzone_def *def, const char *pool, uint64_t block_bytes,
			 struct pzone_error *err);
int pzl_check_bounds(const char *name, uint64_t size_bytes, uint64_t guarantee_bytes,
		     uint64_t limit_bytes, struct pzone_error *err);
/* Part of a region that holds its memory map: 64 bytes per 4 KiB, in blocks. */
uint64_t pzl_memmap_bytes(uint64_t region_bytes, uint64_t block_bytes);

/* Parse with all the precautions. *ret_doc is the caller's to xmlFreeDoc(). */
int pzl_xml_read(const char *xml, size_t len, size_t max, const char *name,
		 xmlDocPtr *ret_doc, struct pzone_error *err);

/* A whole <domain>, the same way. */
int pzl_domain_xml_read(const char *domain_xml, xmlDocPtr *ret_doc, struct pzone_error *err);
/* The first child of that name in the namespace (NULL: in none); takes and returns NULL. */
xmlNodePtr pzl_xml_child(xmlNodePtr parent, const char *name, const char *ns);
bool pzl_xml_attr_is(xmlNodePtr node, const char *attr, const char *value);
/* A child <NAME unit='KiB'>N</NAME> of libvirt's own; 0 when absent or odd. */
uint64_t pzl_xml_size(xmlNodePtr parent, const char *name);

/* From <pzones> or <class>; no root, no definitions. */
int pzl_defs_read(xmlNodePtr root, const char *name, struct pzone_defs **ret_defs,
		  struct pzone_error *err);
int pzl_defs_copy(const struct pzone_defs *defs, struct pzone_defs **ret_defs,
		  struct pzone_error *err);
int pzl_defs_put_def(struct pzone_defs *defs, const struct pzone_def *def, bool replace,
		     struct pzone_error *err);
/* Without namespace: the form in which libvirt's metadata calls take it. */
int pzl_defs_format(const struct pzone_defs *defs, bool bare, char **ret_xml,
		    struct pzone_error *err);

/*
 * Turn flags into the targets they mean (LIVE and/or CONFIG), refusing LIVE of a
 * domain that is shut off and CONFIG of a transient one.
 */
int pzl_targets(virDomainPtr dom, unsigned int flags, unsigned int *ret_targets,
		struct pzone_error *err);
/* One target each. */
int pzl_metadata_read(virDomainPtr dom, unsigned int target, struct pzone_defs **ret_defs,
		      struct pzone_error *err);
int pzl_metadata_write(virDomainPtr dom, unsigned int target, const struct pzone_defs *defs,
		       struct pzone_error *err);

/* The class in the device, one that can be changed; defs (may be NULL) tell "not
 * applied" from "not there". */
int pzl_find_live(virDomainPtr dom, const char *name, const struct pzone_live *live,
		  const struct pzone_defs *defs, const struct pzone_live_class **ret_cls,
		  struct pzone_error *err);

/* The domain's name, and whether it ran. */
const char *pzl_views_domain(const struct pzone_views *views, bool *ret_active);

/* Is it a domain of Xen (ret_xl: of a host without libvirtd)? */
bool pzl_xen_is(virDomainPtr dom, bool *ret_xl);
/* Not with xl: there the definitions are a file. -EOPNOTSUPP */
int pzl_xen_can_define(virDomainPtr dom, struct pzone_error *err);
/* Send request to pzone-xend, for the domain who (NULL: for none); *ret_text is malloc'ed. */
struct json_object;
int pzl_xen_command(const char *who, struct json_object *request, char **ret_text,
		    struct pzone_error *err);
/* As pzone_daemon_admit(), from somebody who does not start the domain now. */
int pzl_daemon_fits(const char *socket_path, const char *domain_xml, unsigned int timeout_ms,
		    struct pzone_error *err);
/*
 * Have the host's budgets room for what `defs` guarantees and `old` did not? Asks
 * pzoned, if one answers for the host of this domain. 0 or -ENOSPC.
 */
int pzl_admit(virDomainPtr dom, unsigned int target, const struct pzone_defs *old,
	      const struct pzone_defs *defs, struct pzone_error *err);

/* "domain 'NAME' has no pool ..." */
int pzl_no_pool(struct pzone_error *err, const char *who, const struct pzone_pools *pools);

#endif
