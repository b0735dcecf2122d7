// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-map.c - pzone-map: where the classes of a pool are, as a picture
 */
#include "cmd-common.h"
#include "map.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* 64 cells and their address fit into 80 columns; 16 lines onto any screen. */
enum { CELLS_PER_LINE = 64, LINES_MAX = 16 };
/* More extents of one class do not show in so many cells; see query-pzone. */
enum { EXTENTS_MAX = 4096 };

uint64_t map_bytes(const struct map *map, enum pzone_map_kind kind, size_t class_index)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < map->nr; i++)
		if (map->ranges[i].kind == kind &&
		    (class_index == SIZE_MAX || map->ranges[i].class_index == class_index))
			sum += map->ranges[i].size_bytes;
	return sum;
}

/* A letter of its name, the first that is not taken; else any; else '@'. */
static char choose_letter(const char *name, bool *taken)
{
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *lists[] = { name, all };

	for (size_t i = 0; i < 2; i++)
		for (const char *p = lists[i]; *p; p++) {
			int c = toupper((unsigned char)*p);

			if (c < 'A' || c > 'Z' || taken[c - 'A'])
				continue;
			taken[c - 'A'] = true;
			return (char)c;
		}
	return '@';
}

static int choose_letters(struct map *map)
{
	const struct pzone_live_class *cls;
	bool taken[26] = { false };

	map->letters = malloc(map->pool->nr_classes + 1);
	if (!map->letters)
		return -ENOMEM;
	for (size_t i = 0; (cls = pzone_live_class_at(map->live, map->pool_index, i)); i++)
		map->letters[i] = choose_letter(cls->name, taken);
	return 0;
}

/* ---- text ---- */

static char range_char(const struct map *map, const struct pzone_map_range *r)
{
	switch (r->kind) {
	case PZONE_MAP_MEMMAP:
		return '#';
	case PZONE_MAP_CLASS:
		return map->letters[r->class_index];
	case PZONE_MAP_WANTED:
		return (char)tolower((unsigned char)map->letters[r->class_index]);
	case PZONE_MAP_LEAVING:
		return '~';
	default:
		return '.';
	}
}

/* What has most of the cell; what is free shows only where nothing else is. */
static char cell_char(const struct map *map, size_t *first, uint64_t from, uint64_t to)
{
	uint64_t most = 0;
	char best = '.';

	while (*first < map->nr &&
	       map->ranges[*first].addr + map->ranges[*first].size_bytes <= from)
		++*first;
	for (size_t i = *first; i < map->nr && map->ranges[i].addr < to; i++) {
		const struct pzone_map_range *r = &map->ranges[i];
		uint64_t start = r->addr > from ? r->addr : from;
		uint64_t end = r->addr + r->size_bytes < to ? r->addr + r->size_bytes : to;

		if (r->kind != PZONE_MAP_FREE && end - start > most) {
			most = end - start;
			best = range_char(map, r);
		}
	}
	return best;
}

/* The smallest power of two of blocks with which the pool fits onto the screen. */
static uint64_t cell_bytes(const struct pzone_live_pool *pool)
{
	uint64_t bytes = pool->block_bytes;

	while (bytes * CELLS_PER_LINE * LINES_MAX < pool->size_bytes)
		bytes *= 2;
	return bytes;
}

static void print_cells(const struct map *map)
{
	uint64_t cell = cell_bytes(map->pool), end = map->pool->addr + map->pool->size_bytes;
	size_t first = 0, n = 0;

	for (uint64_t at = map->pool->addr; at < end; at += cell, n++) {
		if (n % CELLS_PER_LINE == 0)
			printf("%s %#12" PRIx64 "  ", n ? "\n" : "", at);
		putchar(cell_char(map, &first, at, at + cell < end ? at + cell : end));
	}
	printf("\n\n");
}

static void legend(char sign, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void legend(char sign, const char *what, const char *fmt, ...)
{
	va_list ap;

	printf(" %c  %-*s  ", sign, PZONE_NAME_MAX < 24 ? PZONE_NAME_MAX : 24, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void class_legend(const struct map *map, size_t i, const struct pzone_live_class *c)
{
	uint64_t coming = map_bytes(map, PZONE_MAP_WANTED, i);
	uint64_t leaving = map_bytes(map, PZONE_MAP_LEAVING, i);
	char a[SIZE_TEXT], b[SIZE_TEXT], more[80] = "", pieces[32] = "";

	if (c->nr_extents_total > 1)
		snprintf(pieces, sizeof(pieces), " in %" PRIu64 " pieces", c->nr_extents_total);
	if (coming)
		snprintf(more, sizeof(more), ", %s not yet there ('%c')",
			 size_text(coming, b, sizeof(b)), tolower((unsigned char)map->letters[i]));
	if (leaving)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s to give back",
			 size_text(leaving, b, sizeof(b)));
	legend(map->letters[i], c->name, "%s%s%s", size_text(c->actual_bytes, a, sizeof(a)), pieces,
	       more);
}

static void print_map(const struct map *map)
{
	const struct pzone_live_pool *p = map->pool;
	char a[SIZE_TEXT], b[SIZE_TEXT];
	const struct pzone_live_class *c;
	uint64_t leaving = map_bytes(map, PZONE_MAP_LEAVING, SIZE_MAX);
	uint64_t unused = map_bytes(map, PZONE_MAP_FREE, SIZE_MAX);
	/* what is to be given back counts as available before it is free */
	uint64_t may = p->available_bytes < unused ? p->available_bytes : unused;

	printf("Pool '%s' of domain '%s': %s, blocks of %s\n", p->name, map->domain,
	       size_text(p->size_bytes, a, sizeof(a)), size_text(p->block_bytes, b, sizeof(b)));
	printf("Guest-physical 0x%" PRIx64 "-0x%" PRIx64 ", each character is %s\n\n", p->addr,
	       p->addr + p->size_bytes - 1, size_text(cell_bytes(p), a, sizeof(a)));
	print_cells(map);
	for (size_t i = 0; (c = pzone_live_class_at(map->live, map->pool_index, i)); i++)
		class_legend(map, i, c);
	legend('#', "memory map", "%s", size_text(p->memmap_bytes, a, sizeof(a)));
	if (leaving)
		legend('~', "to be given back", "%s", size_text(leaving, a, sizeof(a)));
	legend('.', "free", "%s, classes may get %s of it",
	       size_text(unused, a, sizeof(a)), size_text(may, b, sizeof(b)));
}

/* ---- the command ---- */

/* A pool's map, printed or drawn; CLI_OK or after a message. */
static int show_pool(struct cli_ctl *ctl, struct map *map, FILE *svg)
{
	struct pzone_error err = { 0 };
	int r = CLI_OK;

	if (pzone_live_map(map->live, map->pool->name, &map->ranges, &map->nr, &err) < 0)
		return say(ctl, &err);
	if (choose_letters(map) < 0)
		r = say_nomem(ctl);
	else if (svg)
		map_write_svg(map, svg);
	else
		print_map(map);
	free(map->letters);
	free(map->ranges);
	return r;
}

static int show_pools(struct cli_ctl *ctl, const struct look *look, const struct pzone_live *live)
{
	struct map map = { .domain = virDomainGetName(look->dom), .live = live };
	int r = CLI_OK;

	for (bool any = false; r == CLI_OK &&
	     (map.pool = pzone_live_pool_at(live, map.pool_index)); map.pool_index++) {
		if (look->pool && strcmp(look->pool, map.pool->name))
			continue;
		if (any)
			putchar('\n');
		any = true;
		r = show_pool(ctl, &map, NULL);
	}
	return r;
}

/* An SVG holds one pool: which, has to be said if there are several. */
static int write_svg(struct cli_ctl *ctl, const struct look *look, const struct pzone_live *live,
		     const char *path)
{
	struct map map = { .domain = virDomainGetName(look->dom), .live = live };
	FILE *out;
	int r;

	if (!look->pool && pzone_live_pool_count(live) > 1) {
		cli_error(ctl, "domain '%s' has %zu pools and an SVG shows one: name it with --pool",
			  map.domain, pzone_live_pool_count(live));
		return CLI_ERROR;
	}
	while ((map.pool = pzone_live_pool_at(live, map.pool_index)) && look->pool &&
	       strcmp(look->pool, map.pool->name))
		map.pool_index++;
	if (!map.pool) {
		cli_error(ctl, "pool '%s' of domain '%s' has gone", look->pool, map.domain);
		return CLI_ERROR;
	}
	if (!strcmp(path, "-"))
		return show_pool(ctl, &map, stdout);
	out = fopen(path, "w");
	if (!out) {
		cli_error(ctl, "can't write '%s': %s", path, strerror(errno));
		return CLI_ERROR;
	}
	r = show_pool(ctl, &map, out);
	/* a full disk may show only now */
	if (ferror(out) | fclose(out)) {
		cli_error(ctl, "can't write '%s': %s", path, strerror(errno));
		return CLI_ERROR;
	}
	if (r == CLI_OK)
		cli_extra(ctl, "Map of pool '%s' of domain '%s' written to %s\n", map.pool->name,
			  map.domain, path);
	return r;
}

static int cmd_map(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_live *live = NULL;
	struct pzone_error err = { 0 };
	const char *svg = NULL;
	struct look look;
	int r = CLI_ERROR;

	if (cli_opt_string(ctl, cmd, "svg", &svg) < 0 || look_open(ctl, cmd, &look) < 0)
		return CLI_ERROR;
	if (pzone_live_query_extents(look.dom, look.pool, EXTENTS_MAX, &live, &err) < 0) {
		if (err.code == PZONE_ERR_NOT_RUNNING)
			cli_error(ctl, "domain '%s' is not running: classes have a place only while it runs",
				  virDomainGetName(look.dom));
		else
			say(ctl, &err);
		goto out;
	}
	r = svg ? write_svg(ctl, &look, live, svg) : show_pools(ctl, &look, live);
	look_notices(ctl, &look);
out:
	pzone_live_free(live);
	look_close(&look);
	return r;
}

static const struct cli_opt_def opts_map[] = {
	OPT_DOMAIN,
	OPT_POOL("only this pool"),
	{ "svg", CLI_OPT_STRING, false, "write the picture as SVG to this file, - for stdout", NULL },
	{ 0 }
};

const struct cli_cmd_def def_map = {
	"pzone-map", cmd_map, "picture of where memory classes are",
	"Show the guest-physical layout of the running domain's pools: who lives where,\n"
	"    what is free, and what is wanted and not there yet.", opts_map, false
};
