/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h: a domain's memory, by the hypervisor's calls.
 *
 * Two bounds are kept. The guest-physical range of the pool is populated and
 * emptied from here, never by the guest. And the domain's maximum (max_pages) is
 * always its ordinary memory plus what is plugged, so that the guest can't populate
 * anything in addition. For a PV domain, which fetches the pool's memory itself, it is
 * the only bound.
 */
#ifndef PZONE_XEN_MEMORY_H
#define PZONE_XEN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <xenctrl.h>

/* A domain as the hypervisor sees it. */
struct memory_domain {
	uint32_t id;
	bool hvm;		/* HVM or PVH: the hypervisor translates its addresses */
	bool shutdown;		/* also: suspended to be saved, or dying */
	bool suspended;		/* shut down to be saved */
	uint64_t max_kib, now_kib;
	uint8_t uuid[16];
};

/* All domains but dom0, at most max of them from first_id on; their number or -errno. */
int memory_domains(xc_interface *xch, uint32_t first_id, struct memory_domain *ret, int max);
/* -ENOENT */
int memory_domain(xc_interface *xch, uint32_t id, struct memory_domain *ret);

/* First byte behind everything that the domain has, in guest-physical addresses. */
int memory_end(xc_interface *xch, uint32_t id, uint64_t *ret_addr);
/* Let the hypervisor have page tables for this much more of the domain. 0 or -errno. */
int memory_grow_tables(xc_interface *xch, uint32_t id, uint64_t bytes);
int memory_set_max(xc_interface *xch, uint32_t id, uint64_t kib);
/* What the host could give somebody now. */
uint64_t memory_host_free_kib(xc_interface *xch);
/* ret[i]: has the domain a page at addr + i * step? 0 or -errno. */
int memory_present(uint32_t id, uint64_t addr, uint64_t step, uint32_t nr, bool *ret);

/*
 * Populate [addr, addr + size), in pieces of 2 MiB where the host has them. 0, or
 * -ENOMEM and nothing of it is populated; ret_free_kib is what the host has left.
 */
int memory_populate(xc_interface *xch, uint32_t id, uint64_t addr, uint64_t size,
		    uint64_t *ret_free_kib);
/*
 * Empty [addr, addr + size). Parts of it may be empty already: the guest can do that.
 * Ends early when the domain has no more than enough_kib.
 */
void memory_depopulate(xc_interface *xch, uint32_t id, uint64_t addr, uint64_t size,
		       uint64_t enough_kib);

#endif
