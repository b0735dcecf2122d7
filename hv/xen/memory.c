// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory.c: see memory.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <glib.h>
/* First: it lets Xen's headers say what the others need. */
#include "memory.h"
#include <xenforeignmemory.h>

#define PAGE_BITS	12
#define BIG_ORDER	9		/* 2 MiB */
#define BIG_PAGES	(1u << BIG_ORDER)
#define BATCH		64		/* extents in one call */

static void fill(const xc_domaininfo_t *from, struct memory_domain *to)
{
	const unsigned int reason = (from->flags >> XEN_DOMINF_shutdownshift) &
				    XEN_DOMINF_shutdownmask;

	*to = (struct memory_domain) {
		.id = from->domain,
		.hvm = from->flags & XEN_DOMINF_hvm_guest,
		.shutdown = from->flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying),
		.suspended = (from->flags & XEN_DOMINF_shutdown) && reason == SHUTDOWN_suspend,
		.max_kib = from->max_pages << (PAGE_BITS - 10),
		.now_kib = from->tot_pages << (PAGE_BITS - 10),
	};
	memcpy(to->uuid, from->handle, sizeof(to->uuid));
}

int memory_domains(xc_interface *xch, uint32_t first_id, struct memory_domain *ret, int max)
{
	g_autofree xc_domaininfo_t *list = g_new(xc_domaininfo_t, max);
	int nr = xc_domain_getinfolist(xch, first_id, max, list);

	if (nr < 0)
		return -errno;
	for (int i = 0; i < nr; i++)
		fill(&list[i], &ret[i]);
	return nr;
}

int memory_domain(xc_interface *xch, uint32_t id, struct memory_domain *ret)
{
	int nr = memory_domains(xch, id, ret, 1);

	if (nr < 0)
		return nr;
	return nr == 1 && ret->id == id ? 0 : -ENOENT;
}

int memory_end(xc_interface *xch, uint32_t id, uint64_t *ret_addr)
{
	xen_pfn_t nr;

	if (xc_domain_nr_gpfns(xch, id, &nr))
		return -errno;
	*ret_addr = (uint64_t)nr << PAGE_BITS;
	return 0;
}

int memory_grow_tables(xc_interface *xch, uint32_t id, uint64_t bytes)
{
	/* One page for each 2 MiB, as long as they are not one piece, and what is above. */
	const uint64_t more = (bytes >> (PAGE_BITS + BIG_ORDER)) * 9 / 8 + 16;
	unsigned int mib;

	if (xc_shadow_control(xch, id, XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION, &mib, 0))
		return -errno;
	mib += (more >> (20 - PAGE_BITS)) + 1;
	if (xc_shadow_control(xch, id, XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, &mib, 0))
		return -errno;
	return 0;
}

int memory_set_max(xc_interface *xch, uint32_t id, uint64_t kib)
{
	return xc_domain_setmaxmem(xch, id, kib) ? -errno : 0;
}

/* A page that can be mapped is there. */
static int present_batch(xenforeignmemory_handle *fmem, uint32_t id, uint64_t addr, uint64_t step,
			 uint32_t nr, bool *ret)
{
	xen_pfn_t list[BATCH];
	int err[BATCH];
	void *map;

	for (uint32_t i = 0; i < nr; i++)
		list[i] = (addr + i * step) >> PAGE_BITS;
	map = xenforeignmemory_map(fmem, id, PROT_READ, nr, list, err);
	if (!map)
		return -errno;
	for (uint32_t i = 0; i < nr; i++)
		ret[i] = !err[i];
	xenforeignmemory_unmap(fmem, map, nr);
	return 0;
}

int memory_present(uint32_t id, uint64_t addr, uint64_t step, uint32_t nr, bool *ret)
{
	xenforeignmemory_handle *fmem = xenforeignmemory_open(NULL, 0);
	int rc = 0;

	if (!fmem)
		return -errno;
	for (uint32_t i = 0; !rc && i < nr; i += BATCH)
		rc = present_batch(fmem, id, addr + i * step, step, MIN(nr - i, BATCH), ret + i);
	xenforeignmemory_close(fmem);
	return rc;
}

static uint64_t host_free_pages(xc_interface *xch)
{
	xc_physinfo_t info = { 0 };

	if (xc_physinfo(xch, &info))
		return 0;
	return info.free_pages > info.outstanding_pages ?
	       info.free_pages - info.outstanding_pages : 0;
}

uint64_t memory_host_free_kib(xc_interface *xch)
{
	return host_free_pages(xch) << (PAGE_BITS - 10);
}

/* Returns how many of the nr extents from pfn on were populated. */
static uint64_t populate_run(xc_interface *xch, uint32_t id, uint64_t pfn, uint64_t nr,
			     unsigned int order)
{
	xen_pfn_t list[BATCH];
	uint64_t done = 0;
	int rc;

	while (done < nr) {
		const unsigned int n = MIN(nr - done, BATCH);

		for (unsigned int i = 0; i < n; i++)
			list[i] = pfn + ((done + i) << order);
		rc = xc_domain_populate_physmap(xch, id, n, order, 0, list);
		if (rc > 0)
			done += rc;
		if (rc != (int)n)
			break;
	}
	return done;
}

int memory_populate(xc_interface *xch, uint32_t id, uint64_t addr, uint64_t size,
		    uint64_t *ret_free_kib)
{
	const uint64_t first = addr >> PAGE_BITS, end = first + (size >> PAGE_BITS);
	uint64_t pfn = first, free_pages = host_free_pages(xch), done;

	*ret_free_kib = free_pages << (PAGE_BITS - 10);
	if (free_pages < end - first)
		return -ENOMEM;
	while (pfn < end) {
		pfn += populate_run(xch, id, pfn, (end - pfn) >> BIG_ORDER, BIG_ORDER)
		       << BIG_ORDER;
		if (pfn == end)
			break;
		/* The host has no 2 MiB in one piece: this one in small pages. */
		done = populate_run(xch, id, pfn, BIG_PAGES, 0);
		pfn += done;
		if (done < BIG_PAGES) {
			memory_depopulate(xch, id, addr, (pfn - first) << PAGE_BITS, 0);
			*ret_free_kib = host_free_pages(xch) << (PAGE_BITS - 10);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Remove page by page what is there of [pfn, end). */
static void depopulate_pages(xc_interface *xch, uint32_t id, uint64_t pfn, uint64_t end)
{
	xen_pfn_t list[BIG_PAGES];
	int rc;

	while (pfn < end) {
		const unsigned int n = MIN(end - pfn, BIG_PAGES);

		for (unsigned int i = 0; i < n; i++)
			list[i] = pfn + i;
		rc = xc_domain_decrease_reservation(xch, id, n, 0, list);
		/* It stops at the first page that is not there. */
		pfn += rc < 0 ? 1 : (unsigned int)rc < n ? (unsigned int)rc + 1 : n;
	}
}

void memory_depopulate(xc_interface *xch, uint32_t id, uint64_t addr, uint64_t size,
		       uint64_t enough_kib)
{
	const uint64_t end = (addr + size) >> PAGE_BITS;
	uint64_t pfn = addr >> PAGE_BITS, next;
	struct memory_domain now;
	xen_pfn_t list[BATCH];
	int rc;

	while (end - pfn >= BIG_PAGES) {
		const unsigned int n = MIN((end - pfn) >> BIG_ORDER, BATCH);

		for (unsigned int i = 0; i < n; i++)
			list[i] = pfn + ((uint64_t)i << BIG_ORDER);
		rc = xc_domain_decrease_reservation(xch, id, n, BIG_ORDER, list);
		pfn += (uint64_t)MAX(rc, 0) << BIG_ORDER;
		if (rc == (int)n)
			continue;
		/* The guest was here before: does it have too much at all? */
		if (memory_domain(xch, id, &now) || now.now_kib <= enough_kib)
			return;
		next = MIN(pfn + BIG_PAGES, end);
		depopulate_pages(xch, id, pfn, next);
		pfn = next;
	}
	depopulate_pages(xch, id, pfn, end);
}
