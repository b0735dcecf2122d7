/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.h: pzoned.conf(5), read with GLib's key file parser.
 */
#ifndef PZONED_CONFIG_H
#define PZONED_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "balance.h"
#include "libpzone.h"

#define CONFIG_PATH_DEFAULT	"/etc/pzone/pzoned.conf"

/* [budget NAME]: what the pools that match may have together. */
struct config_budget {
	char *name;
	uint64_t bytes;
	int node;			/* host NUMA node of the pools; -1: any */
	uint64_t page_bytes;		/* page size of the pools' memory; 0: any */
};

struct config {
	bool elastic;
	unsigned int period_ms;
	unsigned int calls;		/* of libvirt, at once */
	struct balance_tunables tunables;
	struct config_budget *budgets;	/* a pool belongs to the first that matches */
	size_t nr_budgets;
	char *socket;			/* path; NULL: default in the runtime directory */
	char *metrics_address;		/* "127.0.0.1:PORT" or NULL: only on the socket */
};

/*
 * path NULL: CONFIG_PATH_DEFAULT if it is there, else all defaults. -EINVAL: err names
 * file, group, key and value, and what is allowed; -EIO, -ENOMEM.
 */
int config_load(const char *path, struct config **ret_config, struct pzone_error *err);
struct config *config_free(struct config *config);

/* Index of the budget that a pool with such memory belongs to, or BALANCE_NO_GROUP. */
size_t config_budget_of(const struct config *config, int host_node, uint64_t page_bytes);

#endif
