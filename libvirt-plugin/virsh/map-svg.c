// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * map-svg.c - a pool's map as SVG: lines of address space, colours for classes,
 * each range with its text as a tooltip
 */
#include "map.h"
#include "progress.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum {
	WIDTH = 960, MARGIN = 24, LEFT = 120,	/* LEFT: where the lines of memory begin */
	LINE_HEIGHT = 26, LINE_GAP = 8, TOP = 72, LEGEND_HEIGHT = 22,
	LINES = 8,
};
#define BAR_WIDTH (WIDTH - LEFT - MARGIN)

/* Told apart by people who do not see all colours, too (after Okabe and Ito). */
static const char *const colours[] = {
	"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#7b68ae",
};

#define NR_COLOURS (sizeof(colours) / sizeof(*colours))

/* Two classes have the same colour: then each has a number, too. */
static bool numbered(const struct map *map)
{
	return map->pool->nr_classes > NR_COLOURS;
}

static const char *colour(const struct pzone_map_range *r)
{
	return colours[r->class_index % NR_COLOURS];
}

/* Class names need no escaping; the domain's may. */
static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		default:
			fputc((unsigned char)*text < 0x20 ? ' ' : *text, out);
		}
}

static const char *kind_text(enum pzone_map_kind kind)
{
	switch (kind) {
	case PZONE_MAP_MEMMAP:
		return "memory map";
	case PZONE_MAP_WANTED:
		return "wanted, not yet there";
	case PZONE_MAP_LEAVING:
		return "to be given back";
	case PZONE_MAP_FREE:
		return "free";
	default:
		return "";
	}
}

static const struct pzone_live_class *class_of(const struct map *map,
					       const struct pzone_map_range *r)
{
	return r->kind < PZONE_MAP_CLASS ? NULL :
	       pzone_live_class_at(map->live, map->pool_index, r->class_index);
}

/* How a kind is painted: full, outlined, hatched. */
static void put_paint(FILE *out, const struct pzone_map_range *r)
{
	switch (r->kind) {
	case PZONE_MAP_MEMMAP:
		fputs("fill='#555'", out);
		break;
	case PZONE_MAP_CLASS:
		fprintf(out, "fill='%s'", colour(r));
		break;
	case PZONE_MAP_WANTED:
		fprintf(out, "fill='%s' fill-opacity='0.2' stroke='%s' stroke-dasharray='4 2'",
			colour(r), colour(r));
		break;
	case PZONE_MAP_LEAVING:
		fprintf(out, "fill='url(#leaving)' stroke='%s'", colour(r));
		break;
	default:
		fputs("fill='#eee'", out);
	}
}

static void put_tooltip(const struct map *map, const struct pzone_map_range *r, FILE *out)
{
	const struct pzone_live_class *c = class_of(map, r);
	char size[SIZE_TEXT];

	fprintf(out, "<title>%s%s%s, %s, 0x%" PRIx64 "-0x%" PRIx64 "</title>", c ? c->name : "",
		c && r->kind != PZONE_MAP_CLASS ? ", " : "", kind_text(r->kind),
		size_text(r->size_bytes, size, sizeof(size)), r->addr, r->addr + r->size_bytes - 1);
}

/* What there is room for: the name, or the number that the legend has of it. */
static void put_label(const struct map *map, const struct pzone_map_range *r, const char *name,
		      double x, int y, double room, FILE *out)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", r->class_index + 1);
	if (room <= 9.0 * (double)strlen(name)) {
		if (!numbered(map) || room <= 9.0 * (double)strlen(number))
			return;
		name = number;
	}
	fprintf(out, "<text x='%.2f' y='%d' fill='#fff' text-anchor='middle'>%s</text>\n", x, y,
		name);
}

/* The part of a range that is on one line. */
static void put_part(const struct map *map, const struct pzone_map_range *r, unsigned int line,
		     uint64_t line_bytes, FILE *out)
{
	uint64_t line_from = map->pool->addr + line * line_bytes;
	uint64_t from = r->addr > line_from ? r->addr - line_from : 0;
	uint64_t to = r->addr + r->size_bytes - line_from;
	const struct pzone_live_class *c = class_of(map, r);
	double x, w;
	int y = TOP + (int)line * (LINE_HEIGHT + LINE_GAP);

	if (to > line_bytes)
		to = line_bytes;
	x = LEFT + (double)from / (double)line_bytes * BAR_WIDTH;
	w = (double)(to - from) / (double)line_bytes * BAR_WIDTH;
	/* one block of a large pool is still to be seen */
	if (w < 0.75 && r->kind != PZONE_MAP_FREE)
		w = 0.75;
	fprintf(out, "<rect x='%.2f' y='%d' width='%.2f' height='%d' ", x, y, w, LINE_HEIGHT);
	put_paint(out, r);
	fputs(">", out);
	put_tooltip(map, r, out);
	fputs("</rect>\n", out);
	if (c && r->kind == PZONE_MAP_CLASS)
		put_label(map, r, c->name, x + w / 2, y + LINE_HEIGHT / 2 + 5, w, out);
}

static void put_lines(const struct map *map, unsigned int lines, uint64_t line_bytes, FILE *out)
{
	for (unsigned int line = 0; line < lines; line++) {
		uint64_t from = map->pool->addr + line * line_bytes;

		fprintf(out, "<text x='%d' y='%d' text-anchor='end' class='addr'>0x%" PRIx64
			"</text>\n", LEFT - 8,
			TOP + (int)line * (LINE_HEIGHT + LINE_GAP) + LINE_HEIGHT / 2 + 4, from);
		for (size_t i = 0; i < map->nr; i++)
			if (map->ranges[i].addr < from + line_bytes &&
			    map->ranges[i].addr + map->ranges[i].size_bytes > from)
				put_part(map, &map->ranges[i], line, line_bytes, out);
	}
}

static void put_legend_line(const struct map *map, const struct pzone_map_range *sample,
			    const char *name, uint64_t bytes, int y, FILE *out)
{
	char size[SIZE_TEXT];

	if (*name && numbered(map))
		fprintf(out, "<text x='%d' y='%d' text-anchor='end'>%zu</text>\n", LEFT - 8, y,
			sample->class_index + 1);
	fprintf(out, "<rect x='%d' y='%d' width='18' height='14' ", LEFT, y - 12);
	put_paint(out, sample);
	fprintf(out, "/><text x='%d' y='%d'>%s%s%s: %s</text>\n", LEFT + 28, y, name,
		*name && *kind_text(sample->kind) ? ", " : "", kind_text(sample->kind),
		size_text(bytes, size, sizeof(size)));
}

/* One line for each class and kind that the pool has; returns how many. */
static int legend_lines(const struct map *map, int y, FILE *out)
{
	const struct pzone_live_class *c;
	struct pzone_map_range sample = { 0 };
	int lines = 0;

	for (size_t i = 0; (c = pzone_live_class_at(map->live, map->pool_index, i)); i++)
		for (int kind = PZONE_MAP_CLASS; kind <= PZONE_MAP_LEAVING; kind++) {
			uint64_t bytes = map_bytes(map, kind, i);

			sample = (struct pzone_map_range){ .kind = kind, .class_index = i };
			if (bytes && out)
				put_legend_line(map, &sample, c->name, bytes,
						y + lines * LEGEND_HEIGHT, out);
			lines += bytes != 0;
		}
	for (int kind = PZONE_MAP_FREE; kind <= PZONE_MAP_MEMMAP; kind++) {
		sample = (struct pzone_map_range){ .kind = kind };
		if (out)
			put_legend_line(map, &sample, "", map_bytes(map, kind, SIZE_MAX),
					y + lines * LEGEND_HEIGHT, out);
		lines++;
	}
	return lines;
}

void map_write_svg(const struct map *map, FILE *out)
{
	const struct pzone_live_pool *p = map->pool;
	uint64_t blocks = p->size_bytes / p->block_bytes;
	unsigned int lines = blocks < LINES * 8 ? 1 : LINES;
	uint64_t line_bytes = (blocks + lines - 1) / lines * p->block_bytes;
	int legend_y = TOP + (int)lines * (LINE_HEIGHT + LINE_GAP) + 28;
	int height = legend_y + legend_lines(map, 0, NULL) * LEGEND_HEIGHT + MARGIN / 2;
	char size[SIZE_TEXT], line[SIZE_TEXT];

	fprintf(out, "<?xml version='1.0' encoding='UTF-8'?>\n"
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d'>\n"
		"<defs><pattern id='leaving' width='6' height='6' patternUnits='userSpaceOnUse' "
		"patternTransform='rotate(45)'><rect width='6' height='6' fill='#fff'/>"
		"<rect width='3' height='6' fill='#999'/></pattern></defs>\n"
		"<style>text { font: 13px sans-serif } .addr { font: 12px monospace; fill: #444 } "
		".head { font-size: 17px }</style>\n"
		"<rect width='100%%' height='100%%' fill='#fff'/>\n",
		WIDTH, height, WIDTH, height);
	fprintf(out, "<text x='%d' y='30' class='head'>Pool %s of domain ", MARGIN, p->name);
	put_escaped(out, map->domain);
	fprintf(out, "</text>\n<text x='%d' y='52'>%s, guest-physical 0x%" PRIx64 "-0x%" PRIx64
		", a line is %s</text>\n", MARGIN, size_text(p->size_bytes, size, sizeof(size)), p->addr,
		p->addr + p->size_bytes - 1, size_text(line_bytes, line, sizeof(line)));
	put_lines(map, lines, line_bytes, out);
	legend_lines(map, legend_y, out);
	fputs("</svg>\n", out);
}
