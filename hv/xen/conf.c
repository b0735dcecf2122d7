// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * conf.c: a domain's configuration: DIR/NAME.conf says which pools it has,
 *
 *	[pool ua-fast]
 *	size = 1GiB
 *	requested = 512MiB
 *
 * and DIR/NAME.xml, which classes: the same XML as libvirt's metadata. Without that file
 * classes come and go by commands only: where there is libvirt, by pzoned's.
 */
#include <string.h>
#include "xend.h"

static bool get_size(GKeyFile *file, const char *group, const char *key, uint64_t *ret,
		     char **err)
{
	g_autofree char *text = g_key_file_get_string(file, group, key, NULL);
	struct pzone_error perr;

	if (!text)
		return true;
	if (pzone_size_parse(text, ret, &perr)) {
		*err = g_strdup_printf("[%s] %s: %s", group, key, perr.message);
		return false;
	}
	if (!*ret || *ret % POOL_BLOCK) {
		*err = g_strdup_printf("[%s] %s = %s: not a multiple of 2 MiB", group, key, text);
		return false;
	}
	return true;
}

static bool read_pool(GKeyFile *file, const char *group, struct conf_pool *pool, char **err)
{
	const char *name = group + strlen("pool ");
	g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

	for (unsigned int i = 0; keys && keys[i]; i++) {
		if (strcmp(keys[i], "size") && strcmp(keys[i], "requested")) {
			*err = g_strdup_printf("[%s] %s: a pool has size and requested, nothing else",
					       group, keys[i]);
			return false;
		}
	}
	*pool = (struct conf_pool) { 0 };
	if (!get_size(file, group, "size", &pool->size, err))
		return false;
	pool->requested = pool->size;
	if (!get_size(file, group, "requested", &pool->requested, err))
		return false;
	if (!pool->size || pool->size % POOL_SECTION) {
		*err = g_strdup_printf("[%s] size = %" G_GUINT64_FORMAT ": a pool's size is a multiple of 128 MiB",
				       group, pool->size);
		return false;
	}
	if (pool->requested > pool->size) {
		*err = g_strdup_printf("[%s] requested = %" G_GUINT64_FORMAT " is more than size = %" G_GUINT64_FORMAT,
				       group, pool->requested, pool->size);
		return false;
	}
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
	    strlen(name) || !*name || strlen(name) > PZ_NAME_MAX) {
		*err = g_strdup_printf("[%s]: a pool is called 1 to %d of A-Z a-z 0-9 _ -", group,
				       PZ_NAME_MAX);
		return false;
	}
	pool->name = g_strdup(name);
	return true;
}

static bool read_pools(struct conf *conf, GKeyFile *file, char **err)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

	for (unsigned int i = 0; groups[i]; i++) {
		struct conf_pool pool;

		if (!g_str_has_prefix(groups[i], "pool ")) {
			*err = g_strdup_printf("[%s]: the only sections are [pool NAME]", groups[i]);
			return false;
		}
		if (!read_pool(file, groups[i], &pool, err))
			return false;
		g_array_append_val(conf->pools, pool);
	}
	if (!conf->pools->len)
		*err = g_strdup("there is no section [pool NAME]");
	return conf->pools->len;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	for (unsigned int i = 0; i < conf->pools->len; i++)
		g_free(g_array_index(conf->pools, struct conf_pool, i).name);
	g_array_free(conf->pools, TRUE);
	pzone_defs_free(conf->defs);
	g_free(conf);
}

struct conf *conf_load(const char *dir, const char *domain, char **err)
{
	g_autofree char *pools = g_strdup_printf("%s/%s.conf", dir, domain);
	g_autofree char *classes = g_strdup_printf("%s/%s.xml", dir, domain);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) gerr = NULL;
	struct conf *conf = g_new0(struct conf, 1);
	struct pzone_error perr;
	char *why = NULL;
	int rc;

	*err = NULL;
	conf->pools = g_array_new(FALSE, FALSE, sizeof(struct conf_pool));
	if (!g_key_file_load_from_file(file, pools, G_KEY_FILE_NONE, &gerr)) {
		if (!g_error_matches(gerr, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			*err = g_strdup_printf("%s: %s", pools, gerr->message);
		goto bad;
	}
	if (!read_pools(conf, file, &why)) {
		*err = g_strdup_printf("%s: %s", pools, why);
		g_free(why);
		goto bad;
	}
	rc = g_file_test(classes, G_FILE_TEST_EXISTS) ?
	     pzone_defs_parse_file(classes, &conf->defs, &perr) : 0;
	if (!rc)
		return conf;
	*err = g_strdup(perr.message);
bad:
	conf_free(conf);
	return NULL;
}
