// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * config.c: see config.h. Every key is in the table below; what is in the file and
 * not in the table is an error, because a misspelt key that does nothing is worse.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glib.h>
#include "config.h"
#include "work.h"

#define BUDGET_PREFIX	"budget "

struct number_key {
	const char *group, *name;
	uint64_t min, max;
	uint64_t scale;			/* from the unit of the file to that of the field */
	size_t offset;			/* of an unsigned int (scale 0) or uint64_t in struct config */
};

#define UINT(field)	.scale = 0, .offset = offsetof(struct config, field)
#define U64(s, field)	.scale = (s), .offset = offsetof(struct config, field)

static const struct number_key number_keys[] = {
	{ "daemon", "calls", 4, 1000, UINT(calls) },
	{ "elastic", "period-ms", 100, 60000, UINT(period_ms) },
	{ "elastic", "pressure-permille", 1, 1000, UINT(tunables.pressure_permille) },
	{ "elastic", "refault-permille", 1, 1000, UINT(tunables.refault_permille) },
	{ "elastic", "grow-percent", 1, 100, UINT(tunables.grow_percent) },
	{ "elastic", "headroom-percent", 0, 100, UINT(tunables.headroom_percent) },
	{ "elastic", "headroom-mib", 0, 1 << 20, U64(1 << 20, tunables.headroom_bytes) },
	{ "elastic", "calm-seconds", 1, 86400, U64(1000000, tunables.calm_us) },
	{ "elastic", "give-percent", 1, 100, UINT(tunables.give_percent) },
	{ "elastic", "probe-percent", 0, 100, UINT(tunables.probe_percent) },
};

struct reader {
	GKeyFile *file;
	const char *path;
	struct config *config;
	struct pzone_error *err;
};

static int fail(struct pzone_error *err, int errnum, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct pzone_error *err, int errnum, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		memset(err, 0, sizeof(*err));
		err->code = code;
		va_start(ap, fmt);
		g_vsnprintf(err->message, sizeof(err->message), fmt, ap);
		va_end(ap);
	}
	return errnum;
}

static int bad_value(const struct reader *r, const char *group, const char *key,
		     const char *allowed)
{
	g_autofree char *value = g_key_file_get_value(r->file, group, key, NULL);

	return fail(r->err, -EINVAL, PZONE_ERR_ARG, "%s: [%s] %s=%s: it must be %s", r->path,
		    group, key, value ? value : "", allowed);
}

static int read_number(const struct reader *r, const struct number_key *key)
{
	g_autofree char *text = g_key_file_get_value(r->file, key->group, key->name, NULL);
	g_autofree char *allowed = NULL;
	guint64 value;

	if (!text)
		return 0;
	if (!g_ascii_string_to_unsigned(g_strstrip(text), 10, key->min, key->max, &value, NULL)) {
		allowed = g_strdup_printf("a whole number from %" G_GUINT64_FORMAT " to %"
					  G_GUINT64_FORMAT, key->min, key->max);
		return bad_value(r, key->group, key->name, allowed);
	}
	if (key->scale)
		*(uint64_t *)((char *)r->config + key->offset) = value * key->scale;
	else
		*(unsigned int *)((char *)r->config + key->offset) = (unsigned int)value;
	return 0;
}

/* A string that is absolute path or address as `check` says. */
static int read_string(const struct reader *r, const char *key, bool (*check)(const char *),
		       const char *allowed, char **ret)
{
	char *text = g_key_file_get_string(r->file, "daemon", key, NULL);

	if (!text)
		return 0;
	if (!check(text)) {
		g_free(text);
		return bad_value(r, "daemon", key, allowed);
	}
	*ret = text;
	return 0;
}

static bool is_socket_path(const char *text)
{
	return text[0] == '/' && strlen(text) < 108;	/* sun_path */
}

static bool is_loopback(const char *text)
{
	static const char *const prefixes[] = { "127.0.0.1:", "[::1]:" };
	guint64 port;

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(text, prefixes[i]) &&
		    g_ascii_string_to_unsigned(text + strlen(prefixes[i]), 10, 1, 65535, &port,
					       NULL))
			return true;
	return false;
}

static int read_elastic(const struct reader *r)
{
	GError *error = NULL;
	gboolean on;
	int rc = 0;

	if (g_key_file_has_key(r->file, "elastic", "enabled", NULL)) {
		on = g_key_file_get_boolean(r->file, "elastic", "enabled", &error);
		if (error) {
			g_error_free(error);
			return bad_value(r, "elastic", "enabled", "true or false");
		}
		r->config->elastic = on;
	}
	for (size_t i = 0; !rc && i < G_N_ELEMENTS(number_keys); i++)
		rc = read_number(r, &number_keys[i]);
	return rc;
}

static int read_budget(const struct reader *r, const char *group)
{
	g_autofree char *bytes = g_key_file_get_string(r->file, group, "size", NULL);
	g_autofree char *page = g_key_file_get_string(r->file, group, "page-size", NULL);
	g_autofree char *node = g_key_file_get_value(r->file, group, "node", NULL);
	struct config_budget budget = { .node = -1 };
	guint64 number;

	if (!bytes)
		return fail(r->err, -EINVAL, PZONE_ERR_ARG,
			    "%s: [%s] has no size=; write for example size=64GiB", r->path, group);
	if (pzone_size_parse(bytes, &budget.bytes, NULL))
		return bad_value(r, group, "size", "a size such as 64GiB");
	if (page && (pzone_size_parse(page, &budget.page_bytes, NULL) || !budget.page_bytes))
		return bad_value(r, group, "page-size", "a page size such as 2MiB");
	if (node) {
		if (!g_ascii_string_to_unsigned(g_strstrip(node), 10, 0, 1023, &number, NULL))
			return bad_value(r, group, "node", "the number of a NUMA node of this host");
		budget.node = (int)number;
	}
	budget.name = g_strdup(group + strlen(BUDGET_PREFIX));
	r->config->budgets = g_renew(struct config_budget, r->config->budgets,
				     r->config->nr_budgets + 1);
	r->config->budgets[r->config->nr_budgets++] = budget;
	return 0;
}

static bool is_known(const char *group, const char *key)
{
	static const char *const others[][2] = {
		{ "daemon", "socket" }, { "daemon", "metrics-address" }, { "elastic", "enabled" },
		{ BUDGET_PREFIX, "size" }, { BUDGET_PREFIX, "node" },
		{ BUDGET_PREFIX, "page-size" },
	};

	if (g_str_has_prefix(group, BUDGET_PREFIX))
		group = BUDGET_PREFIX;
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (!strcmp(group, others[i][0]) && !strcmp(key, others[i][1]))
			return true;
	for (size_t i = 0; i < G_N_ELEMENTS(number_keys); i++)
		if (!strcmp(group, number_keys[i].group) && !strcmp(key, number_keys[i].name))
			return true;
	return false;
}

static int read_group(const struct reader *r, const char *group)
{
	g_auto(GStrv) keys = g_key_file_get_keys(r->file, group, NULL, NULL);
	bool budget = g_str_has_prefix(group, BUDGET_PREFIX) && group[strlen(BUDGET_PREFIX)];

	if (!budget && strcmp(group, "daemon") && strcmp(group, "elastic"))
		return fail(r->err, -EINVAL, PZONE_ERR_ARG,
			    "%s: there is no group [%s]; there are [daemon], [elastic] and [budget NAME]",
			    r->path, group);
	for (size_t i = 0; keys && keys[i]; i++)
		if (!is_known(group, keys[i]))
			return fail(r->err, -EINVAL, PZONE_ERR_ARG,
				    "%s: [%s] has no key '%s'; see pzoned.conf(5)", r->path, group,
				    keys[i]);
	return budget ? read_budget(r, group) : 0;
}

static struct config *defaults(void)
{
	struct config *config = g_new0(struct config, 1);

	config->elastic = true;
	config->period_ms = 1000;
	config->calls = WORK_CALLS_DEFAULT;
	config->tunables = balance_defaults;
	return config;
}

static int read_all(const struct reader *r)
{
	g_auto(GStrv) groups = g_key_file_get_groups(r->file, NULL);
	int rc = 0;

	for (size_t i = 0; !rc && groups[i]; i++)
		rc = read_group(r, groups[i]);
	if (!rc)
		rc = read_elastic(r);
	if (!rc)
		rc = read_string(r, "socket", is_socket_path,
				 "an absolute path of at most 107 characters", &r->config->socket);
	if (!rc)
		rc = read_string(r, "metrics-address", is_loopback,
				 "127.0.0.1:PORT or [::1]:PORT", &r->config->metrics_address);
	return rc;
}

int config_load(const char *path, struct config **ret_config, struct pzone_error *err)
{
	struct reader r = { .path = path ? path : CONFIG_PATH_DEFAULT, .err = err };
	GError *error = NULL;
	int rc;

	if (!path && access(CONFIG_PATH_DEFAULT, F_OK) && errno == ENOENT) {
		*ret_config = defaults();
		return 0;
	}
	r.file = g_key_file_new();
	r.config = defaults();
	if (g_key_file_load_from_file(r.file, r.path, G_KEY_FILE_NONE, &error)) {
		rc = read_all(&r);
	} else {
		rc = error->domain == G_KEY_FILE_ERROR ? -EINVAL : -EIO;
		fail(err, rc, rc == -EIO ? PZONE_ERR_IO : PZONE_ERR_ARG, "%s: %s", r.path,
		     error->message);
		g_error_free(error);
	}
	g_key_file_free(r.file);
	if (rc)
		config_free(r.config);
	else
		*ret_config = r.config;
	return rc;
}

struct config *config_free(struct config *config)
{
	if (config) {
		for (size_t i = 0; i < config->nr_budgets; i++)
			g_free(config->budgets[i].name);
		g_free(config->budgets);
		g_free(config->socket);
		g_free(config->metrics_address);
		g_free(config);
	}
	return NULL;
}

size_t config_budget_of(const struct config *config, int host_node, uint64_t page_bytes)
{
	for (size_t i = 0; i < config->nr_budgets; i++) {
		const struct config_budget *b = &config->budgets[i];

		if ((b->node < 0 || b->node == host_node) &&
		    (!b->page_bytes || b->page_bytes == page_bytes))
			return i;
	}
	return BALANCE_NO_GROUP;
}
