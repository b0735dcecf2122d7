// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xs.c: reading and writing keys of the Xen store.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "store.h"
#include "xend.h"

char *xs_get(struct xend *xend, xs_transaction_t t, const char *dir, const char *key)
{
	g_autofree char *path = g_strdup_printf("%s/%s", dir, key);
	unsigned int len;
	char *data = xs_read(xend->xs, t, path, &len), *text;

	if (!data)
		return NULL;
	/* A NUL in the middle ends it: what a guest wrote behind it is not there. */
	text = g_strndup(data, len);
	free(data);
	return text;
}

bool xs_put(struct xend *xend, xs_transaction_t t, const char *dir, const char *key,
	    const char *value)
{
	g_autofree char *path = g_strdup_printf("%s/%s", dir, key);

	return xs_write(xend->xs, t, path, value, strlen(value));
}

bool xs_del(struct xend *xend, xs_transaction_t t, const char *dir, const char *key)
{
	g_autofree char *path = g_strdup_printf("%s/%s", dir, key);

	return xs_rm(xend->xs, t, path) || errno == ENOENT;
}

bool xs_get_u64(struct xend *xend, const char *dir, const char *key, uint64_t *ret)
{
	g_autofree char *text = xs_get(xend, XBT_NULL, dir, key);

	return text && !store_parse_number(text, strlen(text), UINT64_MAX, ret);
}

GStrv xs_list(struct xend *xend, const char *dir)
{
	g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
	unsigned int nr = 0;
	char **names = xs_directory(xend->xs, XBT_NULL, dir, &nr);

	for (unsigned int i = 0; names && i < nr; i++)
		g_strv_builder_add(builder, names[i]);
	free(names);
	return g_strv_builder_end(builder);
}
