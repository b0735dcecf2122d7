/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.h - a picture of a pool: what cmd-map.c (text) and map-svg.c draw
 */
#ifndef PZONE_VIRSH_MAP_H
#define PZONE_VIRSH_MAP_H

#include <stdio.h>
#include "libpzone.h"

/* One pool of one domain at one moment. */
struct map {
	const char *domain;
	const struct pzone_live *live;
	size_t pool_index;
	const struct pzone_live_pool *pool;
	struct pzone_map_range *ranges;
	size_t nr;
	char *letters;		/* of each class, '@' where there are no more */
};

/* Bytes of a kind, of one class or (SIZE_MAX) of all. */
uint64_t map_bytes(const struct map *map, enum pzone_map_kind kind, size_t class_index);

/* The picture as SVG. It is a document of its own and needs no fonts of ours. */
void map_write_svg(const struct map *map, FILE *out);

#endif
