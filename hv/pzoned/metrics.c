// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * metrics.c: see metrics.h. OpenMetrics wants all samples of one metric together, so
 * each metric is a walk of its own over a copy of the figures.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glib.h>
#include <json-c/json.h>
#include "elastic.h"
#include "metrics.h"
#include "work.h"

/* One class, pool or budget: its labels, escaped, and its figures. */
struct row {
	char *labels;
	uint64_t values[16];
};

struct table {
	GArray *classes, *pools, *budgets;	/* of struct row */
	const char *domain;
};

enum { CLASS_SIZE, CLASS_ACTUAL, CLASS_GUARANTEE, CLASS_LIMIT, CLASS_WANTED, CLASS_FREE, CLASS_ANON,
       CLASS_FILE, CLASS_PINNED, CLASS_WEIGHT, CLASS_REFAULTS, CLASS_OOM, CLASS_OOM_KILL,
       CLASS_PRESSURE_US };
enum { POOL_SIZE, POOL_REQUESTED, POOL_PLUGGED, POOL_AVAILABLE, POOL_MEMMAP, POOL_SHORT };
enum { BUDGET_SIZE, BUDGET_HELD, BUDGET_GUARANTEED, BUDGET_SHORT };

struct metric {
	int value;
	const char *name, *type, *unit, *help;
};

static const struct metric class_metrics[] = {
	{ CLASS_SIZE, "pzone_class_size_bytes", "gauge", "bytes", "Size that the host wants the class to have." },
	{ CLASS_ACTUAL, "pzone_class_actual_bytes", "gauge", "bytes", "Memory that the class has." },
	{ CLASS_GUARANTEE, "pzone_class_guarantee_bytes", "gauge", "bytes", "Lower bound of the size." },
	{ CLASS_LIMIT, "pzone_class_limit_bytes", "gauge", "bytes", "Upper bound of the size." },
	{ CLASS_WANTED, "pzone_class_wanted_bytes", "gauge", "bytes", "Size that the class could use, by the policy." },
	{ CLASS_FREE, "pzone_class_free_bytes", "gauge", "bytes", "Free memory, as the guest says." },
	{ CLASS_ANON, "pzone_class_anon_bytes", "gauge", "bytes", "Anonymous memory, as the guest says." },
	{ CLASS_FILE, "pzone_class_file_bytes", "gauge", "bytes", "Page cache, as the guest says." },
	{ CLASS_PINNED, "pzone_class_pinned_bytes", "gauge", "bytes", "Memory that refused to move at the last try." },
	{ CLASS_WEIGHT, "pzone_class_weight", "gauge", NULL, "Weight in sharing." },
	{ CLASS_REFAULTS, "pzone_class_refault_pages", "counter", NULL, "Pages read back after reclaim." },
	{ CLASS_OOM, "pzone_class_oom", "counter", NULL, "Times that the class ran out of memory." },
	{ CLASS_OOM_KILL, "pzone_class_oom_kill", "counter", NULL, "Processes killed for that." },
};

static const struct metric pool_metrics[] = {
	{ POOL_SIZE, "pzone_pool_size_bytes", "gauge", "bytes", "Size of the pool's region." },
	{ POOL_REQUESTED, "pzone_pool_requested_bytes", "gauge", "bytes", "What the VM may have of it." },
	{ POOL_PLUGGED, "pzone_pool_plugged_bytes", "gauge", "bytes", "What the VM has of it." },
	{ POOL_AVAILABLE, "pzone_pool_available_bytes", "gauge", "bytes", "Part of requested that no class was given." },
	{ POOL_MEMMAP, "pzone_pool_memmap_bytes", "gauge", "bytes", "Part of requested for the guest's memory map." },
	{ POOL_SHORT, "pzone_pool_short", "gauge", NULL, "1 if its classes want more than there is." },
};

static const struct metric budget_metrics[] = {
	{ BUDGET_SIZE, "pzoned_budget_bytes", "gauge", "bytes", "What the pools of this budget may have together." },
	{ BUDGET_HELD, "pzoned_budget_held_bytes", "gauge", "bytes", "What they have, or are about to get." },
	{ BUDGET_GUARANTEED, "pzoned_budget_guaranteed_bytes", "gauge", "bytes", "What they are promised." },
	{ BUDGET_SHORT, "pzoned_budget_short", "gauge", NULL, "1 if they want more than there is." },
};

/* A label's value, as OpenMetrics escapes it. */
static void add_label(GString *to, const char *name, const char *value)
{
	g_string_append_printf(to, "%s%s=\"", to->len ? "," : "", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			g_string_append_c(to, '\\');
		if (*value == '\n')
			g_string_append(to, "\\n");
		else
			g_string_append_c(to, *value);
	}
	g_string_append_c(to, '"');
}

static char *labels_of(const char *domain, const char *pool, const char *cls)
{
	GString *text = g_string_new(NULL);

	add_label(text, "domain", domain);
	add_label(text, "pool", pool);
	if (cls)
		add_label(text, "class", cls);
	return g_string_free(text, FALSE);
}

static void see_domain(void *opaque, const char *uuid, const char *name, int64_t age_ms)
{
	struct table *t = opaque;

	(void)uuid;
	(void)age_ms;
	t->domain = name;	/* until the next one; the visit holds it */
}

static void see_pool(void *opaque, const struct pzone_live_pool *pool, bool is_short)
{
	struct table *t = opaque;
	struct row row = { .labels = labels_of(t->domain, pool->name, NULL) };

	row.values[POOL_SIZE] = pool->size_bytes;
	row.values[POOL_REQUESTED] = pool->requested_bytes;
	row.values[POOL_PLUGGED] = pool->plugged_bytes;
	row.values[POOL_AVAILABLE] = pool->available_bytes;
	row.values[POOL_MEMMAP] = pool->memmap_bytes;
	row.values[POOL_SHORT] = is_short;
	g_array_append_val(t->pools, row);
}

static void see_class(void *opaque, const struct pzone_live_class *cls,
		      const struct balance_class *b, const struct elastic_decision *last)
{
	struct table *t = opaque;
	struct row row = { .labels = labels_of(t->domain, cls->pool, cls->name) };

	(void)last;
	row.values[CLASS_SIZE] = b->size;
	row.values[CLASS_ACTUAL] = cls->actual_bytes;
	row.values[CLASS_GUARANTEE] = cls->guarantee_bytes;
	row.values[CLASS_LIMIT] = cls->limit_bytes;
	row.values[CLASS_WANTED] = b->elastic ? b->want : b->size;
	row.values[CLASS_WEIGHT] = b->weight;
	if (cls->report) {
		row.values[CLASS_FREE] = cls->report->free_bytes;
		row.values[CLASS_ANON] = cls->report->anon_bytes;
		row.values[CLASS_FILE] = cls->report->file_bytes;
		row.values[CLASS_PINNED] = cls->report->pinned_bytes;
		row.values[CLASS_REFAULTS] = cls->report->refaults;
		row.values[CLASS_OOM] = cls->report->oom;
		row.values[CLASS_OOM_KILL] = cls->report->oom_kill;
		row.values[CLASS_PRESSURE_US] = cls->report->pressure_us;
	}
	g_array_append_val(t->classes, row);
}

static void see_budget(void *opaque, const struct config_budget *budget, uint64_t held_bytes,
		       uint64_t guaranteed_bytes, bool is_short)
{
	struct table *t = opaque;
	GString *text = g_string_new(NULL);
	struct row row = { 0 };

	add_label(text, "budget", budget->name);
	row.labels = g_string_free(text, FALSE);
	row.values[BUDGET_SIZE] = budget->bytes;
	row.values[BUDGET_HELD] = held_bytes;
	row.values[BUDGET_GUARANTEED] = guaranteed_bytes;
	row.values[BUDGET_SHORT] = is_short;
	g_array_append_val(t->budgets, row);
}

static void head(GString *text, const struct metric *m)
{
	g_string_append_printf(text, "# TYPE %s %s\n", m->name, m->type);
	if (m->unit)
		g_string_append_printf(text, "# UNIT %s %s\n", m->name, m->unit);
	g_string_append_printf(text, "# HELP %s %s\n", m->name, m->help);
}

static void write_rows(GString *text, const GArray *rows, const struct metric *metrics, size_t nr)
{
	for (size_t m = 0; m < nr; m++) {
		head(text, &metrics[m]);
		for (guint r = 0; r < rows->len; r++) {
			const struct row *row = &g_array_index(rows, struct row, r);

			g_string_append_printf(text, "%s%s{%s} %" PRIu64 "\n", metrics[m].name,
					       strcmp(metrics[m].type, "counter") ? "" : "_total",
					       row->labels, row->values[metrics[m].value]);
		}
	}
}

static void write_pressure(GString *text, const GArray *classes)
{
	static const struct metric m = { 0, "pzone_class_pressure_seconds", "counter", "seconds",
		"Time that tasks of the class waited for reclaim." };

	head(text, &m);
	for (guint r = 0; r < classes->len; r++) {
		const struct row *row = &g_array_index(classes, struct row, r);
		uint64_t us = row->values[CLASS_PRESSURE_US];

		g_string_append_printf(text, "%s_total{%s} %" PRIu64 ".%06u\n", m.name, row->labels,
				       us / 1000000, (unsigned int)(us % 1000000));
	}
}

static void write_counters(GString *text)
{
	static const struct metric decisions = { 0, "pzoned_resizes", "counter", NULL,
		"Sizes that the policy changed, by reason." };
	static const struct metric rounds = { 0, "pzoned_rounds", "counter", NULL,
		"Times that all classes were balanced." };
	static const struct metric seconds = { 0, "pzoned_round_seconds", "counter", "seconds",
		"Time spent on that." };
	static const struct metric reclaims = { 0, "pzoned_reclaims", "counter", NULL,
		"Directed reclaims ordered to find idle memory." };
	static const struct metric hanging = { 0, "pzoned_domains_hanging", "gauge", NULL,
		"Domains whose QEMU, or libvirt, has not answered for long." };
	static const char *const reasons[] = {
		[BALANCE_OOM] = "oom", [BALANCE_PRESSED] = "pressed", [BALANCE_REGAIN] = "regain",
		[BALANCE_IDLE] = "idle", [BALANCE_OFFERED] = "offered", [BALANCE_SHARED] = "shared",
	};
	struct elastic_counters c;

	elastic_counters(&c);
	head(text, &decisions);
	for (size_t i = BALANCE_KEEP + 1; i < G_N_ELEMENTS(reasons); i++)
		g_string_append_printf(text, "pzoned_resizes_total{reason=\"%s\"} %" PRIu64 "\n",
				       reasons[i], c.decisions[i]);
	head(text, &rounds);
	g_string_append_printf(text, "pzoned_rounds_total %" PRIu64 "\n", c.rounds);
	head(text, &seconds);
	g_string_append_printf(text, "pzoned_round_seconds_total %" PRIu64 ".%06u\n",
			       c.round_us / 1000000, (unsigned int)(c.round_us % 1000000));
	head(text, &reclaims);
	g_string_append_printf(text, "pzoned_reclaims_total %" PRIu64 "\n", c.reclaims);
	head(text, &hanging);
	g_string_append_printf(text, "pzoned_domains_hanging %u\n", work_hanging());
}

static void clear_row(void *row)
{
	g_free(((struct row *)row)->labels);
}

static GArray *new_rows(void)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct row));

	g_array_set_clear_func(rows, clear_row);
	return rows;
}

char *metrics_text(void)
{
	static const struct elastic_visitor visitor = { see_domain, see_pool, see_class, see_budget };
	struct table t = { new_rows(), new_rows(), new_rows(), NULL };
	GString *text = g_string_new(NULL);

	elastic_visit(&visitor, &t);
	write_rows(text, t.classes, class_metrics, G_N_ELEMENTS(class_metrics));
	write_pressure(text, t.classes);
	write_rows(text, t.pools, pool_metrics, G_N_ELEMENTS(pool_metrics));
	write_rows(text, t.budgets, budget_metrics, G_N_ELEMENTS(budget_metrics));
	write_counters(text);
	g_string_append(text, "# EOF\n");
	g_array_unref(t.classes);
	g_array_unref(t.pools);
	g_array_unref(t.budgets);
	return g_string_free(text, FALSE);
}

/* --- JSON --- */

struct status {
	struct json_object *domains, *pools, *classes, *budgets;
};

static void add_u64(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static struct json_object *add_array(struct json_object *to, const char *key)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(to, key, array);
	return array;
}

static void status_domain(void *opaque, const char *uuid, const char *name, int64_t age_ms)
{
	struct json_object *domain = json_object_new_object();
	struct status *s = opaque;

	json_object_object_add(domain, "name", json_object_new_string(name));
	json_object_object_add(domain, "uuid", json_object_new_string(uuid));
	json_object_object_add(domain, "age-ms", json_object_new_int64(age_ms));
	s->pools = add_array(domain, "pools");
	json_object_array_add(s->domains, domain);
}

static void status_pool(void *opaque, const struct pzone_live_pool *pool, bool is_short)
{
	struct json_object *to = json_object_new_object();
	struct status *s = opaque;

	json_object_object_add(to, "name", json_object_new_string(pool->name));
	add_u64(to, "requested", pool->requested_bytes);
	add_u64(to, "plugged", pool->plugged_bytes);
	add_u64(to, "available", pool->available_bytes);
	json_object_object_add(to, "short", json_object_new_boolean(is_short));
	s->classes = add_array(to, "classes");
	json_object_array_add(s->pools, to);
}

static void status_class(void *opaque, const struct pzone_live_class *cls,
			 const struct balance_class *b, const struct elastic_decision *last)
{
	struct json_object *to = json_object_new_object(), *decision;
	struct status *s = opaque;

	json_object_object_add(to, "name", json_object_new_string(cls->name));
	json_object_object_add(to, "state", json_object_new_string(pzone_state_text(cls->state)));
	json_object_object_add(to, "elastic", json_object_new_boolean(b->elastic));
	add_u64(to, "size", b->size);
	add_u64(to, "actual", cls->actual_bytes);
	add_u64(to, "guarantee", cls->guarantee_bytes);
	add_u64(to, "limit", cls->limit_bytes);
	add_u64(to, "wanted", b->elastic ? b->want : b->size);
	add_u64(to, "weight", b->weight);
	if (cls->report) {
		add_u64(to, "free", cls->report->free_bytes);
		add_u64(to, "anon", cls->report->anon_bytes);
		add_u64(to, "file", cls->report->file_bytes);
		add_u64(to, "pinned", cls->report->pinned_bytes);
		add_u64(to, "refaults", cls->report->refaults);
		add_u64(to, "pressure-us", cls->report->pressure_us);
		add_u64(to, "oom", cls->report->oom);
		add_u64(to, "oom-kill", cls->report->oom_kill);
	}
	if (last->when_ms) {
		decision = json_object_new_object();
		json_object_object_add(decision, "when-ms", json_object_new_int64(last->when_ms));
		add_u64(decision, "from", last->from_bytes);
		add_u64(decision, "to", last->to_bytes);
		json_object_object_add(decision, "reason",
				       json_object_new_string(balance_reason_text(last->reason)));
		json_object_object_add(to, "last-resize", decision);
	}
	json_object_array_add(s->classes, to);
}

static void status_budget(void *opaque, const struct config_budget *budget, uint64_t held_bytes,
			  uint64_t guaranteed_bytes, bool is_short)
{
	struct json_object *to = json_object_new_object();
	struct status *s = opaque;

	json_object_object_add(to, "name", json_object_new_string(budget->name));
	add_u64(to, "size", budget->bytes);
	add_u64(to, "held", held_bytes);
	add_u64(to, "guaranteed", guaranteed_bytes);
	json_object_object_add(to, "short", json_object_new_boolean(is_short));
	json_object_array_add(s->budgets, to);
}

char *metrics_status(void)
{
	static const struct elastic_visitor visitor = { status_domain, status_pool, status_class,
							status_budget };
	struct json_object *root = json_object_new_object();
	struct status s = { 0 };
	char *text;

	s.domains = add_array(root, "domains");
	s.budgets = add_array(root, "budgets");
	elastic_visit(&visitor, &s);
	text = strdup(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	return text;
}
