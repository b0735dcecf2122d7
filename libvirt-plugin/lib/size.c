// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * size.c: sizes with units as libvirt and virsh have them, and the rules of names.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "internal.h"

int pzl_scale(uint64_t value, const char *unit, uint64_t default_scale, uint64_t *ret_bytes)
{
	static const char letters[] = "kmgtpe";
	uint64_t scale = 1, base;
	const char *letter;

	if (!unit || !*unit) {
		scale = default_scale;
	} else if (strcasecmp(unit, "b") && strcasecmp(unit, "byte") && strcasecmp(unit, "bytes")) {
		letter = strchr(letters, tolower((unsigned char)unit[0]));
		if (!letter)
			return -EINVAL;
		if (!unit[1] || !strcasecmp(unit + 1, "ib"))
			base = 1024;
		else if (!strcasecmp(unit + 1, "b"))
			base = 1000;
		else
			return -EINVAL;
		for (const char *p = letters; p <= letter; p++)
			scale *= base;		/* at most 1024^6 */
	}
	if (value > UINT64_MAX / scale)
		return -ERANGE;
	value *= scale;
	/* INT64_MAX: what JSON and libvirt's own types carry safely. */
	if (value > INT64_MAX)
		return -ERANGE;
	*ret_bytes = value;
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int pzl_digits(const char *text, uint64_t *ret_value)
{
	uint64_t v = 0;

	while (blank(*text))
		text++;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		unsigned int d = *text - '0';

		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	while (blank(*text))
		text++;
	if (*text)
		return -EINVAL;
	*ret_value = v;
	return 0;
}

int pzone_size_parse(const char *text, uint64_t *ret_bytes, struct pzone_error *err)
{
	char digits[32];
	size_t n;
	uint64_t v;
	int rc;

	if (!text)
		return pzl_error(err, -EINVAL, PZONE_ERR_ARG, "no size was given");
	n = strspn(text, "0123456789");
	if (n == 0)
		goto invalid;
	if (n >= sizeof(digits))
		goto range;
	memcpy(digits, text, n);
	digits[n] = '\0';
	rc = pzl_digits(digits, &v);
	if (!rc)
		rc = pzl_scale(v, text + n, 1024, &v);
	if (rc == -ERANGE)
		goto range;
	if (rc)
		goto invalid;
	*ret_bytes = v;
	return 0;
range:
	return pzl_error(err, -ERANGE, PZONE_ERR_SIZE, "size '%s' is too large", text);
invalid:
	return pzl_error(err, -EINVAL, PZONE_ERR_SIZE,
			 "'%s' is not a size: write a whole number and a unit such as 512MiB, 1GiB or 2GB (no unit: KiB)",
			 text);
}

char *pzone_size_format(uint64_t bytes, bool round, char *buf, size_t buf_len)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int u = 0;
	uint64_t unit = 1;

	if (round) {
		while (u < 6 && bytes / unit >= 1024) {
			unit *= 1024;
			u++;
		}
	} else {
		while (bytes && u < 6 && bytes % (unit * 1024) == 0) {
			unit *= 1024;
			u++;
		}
	}
	if (bytes % unit == 0)
		snprintf(buf, buf_len, "%" PRIu64 " %s", bytes / unit, units[u]);
	else
		snprintf(buf, buf_len, "%.2f %s", (double)bytes / (double)unit, units[u]);
	return buf;
}

int pzone_name_check(const char *name, struct pzone_error *err)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
	static const char *const reserved[] = { "memmap", "none" };
	size_t len = name ? strlen(name) : 0;

	if (len == 0)
		return pzl_error(err, -EINVAL, PZONE_ERR_NAME, "a class needs a name");
	if (len > PZONE_NAME_MAX || !strchr(first, name[0]) || strspn(name, rest) != len)
		return pzl_error(err, -EINVAL, PZONE_ERR_NAME,
				 "'%.64s' is not a class name: use 1 to 31 of a-z 0-9 _ . - and start with a letter or digit",
				 name);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (!strcmp(name, reserved[i]))
			return pzl_error(err, -EINVAL, PZONE_ERR_NAME,
					 "class name '%s' is reserved: choose another one", name);
	return 0;
}

bool pzl_pool_name_ok(const char *name)
{
	static const char set[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t len = name ? strlen(name) : 0;

	return len > 0 && len <= PZONE_POOL_MAX && strspn(name, set) == len;
}

int pzl_check_bounds(const char *name, uint64_t size_bytes, uint64_t guarantee_bytes,
		     uint64_t limit_bytes, struct pzone_error *err)
{
	char a[32], b[32];

	if (guarantee_bytes > size_bytes)
		return pzl_error(err, -EINVAL, PZONE_ERR_BOUNDS,
				 "size %s of class '%s' is below its guarantee %s",
				 pzone_size_format(size_bytes, false, a, sizeof(a)), name,
				 pzone_size_format(guarantee_bytes, false, b, sizeof(b)));
	if (size_bytes > limit_bytes)
		return pzl_error(err, -EINVAL, PZONE_ERR_BOUNDS,
				 "size %s of class '%s' is above its limit %s",
				 pzone_size_format(size_bytes, false, a, sizeof(a)), name,
				 pzone_size_format(limit_bytes, false, b, sizeof(b)));
	if (limit_bytes == 0)
		return pzl_error(err, -EINVAL, PZONE_ERR_BOUNDS,
				 "class '%s' could never have memory: give it a size or a limit above 0",
				 name);
	return 0;
}

/* of is what size_bytes has to be a multiple of, in words. */
static int check_multiple(const char *what, const char *name, uint64_t size_bytes,
			  const char *of, uint64_t unit_bytes, struct pzone_error *err)
{
	char size[32], lo[32], hi[32];
	uint64_t down;

	if (unit_bytes == 0 || size_bytes % unit_bytes == 0)
		return 0;
	down = size_bytes - size_bytes % unit_bytes;
	return pzl_error(err, -EINVAL, PZONE_ERR_SIZE,
			 "%s %s of class '%s' is no multiple of %s: the nearest are %s and %s",
			 what, pzone_size_format(size_bytes, false, size, sizeof(size)), name, of,
			 pzone_size_format(down, false, lo, sizeof(lo)),
			 pzone_size_format(down + unit_bytes, false, hi, sizeof(hi)));
}

int pzl_check_block(const char *what, const char *name, uint64_t size_bytes,
		    const char *pool, uint64_t block_bytes, struct pzone_error *err)
{
	char of[PZONE_POOL_MAX + 64], block[32];

	snprintf(of, sizeof(of), "the %s blocks of pool '%.*s'",
		 pzone_size_format(block_bytes, false, block, sizeof(block)), PZONE_POOL_MAX, pool);
	return check_multiple(what, name, size_bytes, of, block_bytes, err);
}

int pzl_check_aligned(const char *what, const char *name, uint64_t size_bytes,
		      uint64_t align_bytes, struct pzone_error *err)
{
	char of[64], align[32];

	snprintf(of, sizeof(of), "its align %s",
		 pzone_size_format(align_bytes, false, align, sizeof(align)));
	return check_multiple(what, name, size_bytes, of, align_bytes, err);
}

int pzl_check_def_align(const struct pzone_def *def, struct pzone_error *err)
{
	uint64_t align_bytes = def->align_bytes;
	char align[32];
	int rc;

	if ((align_bytes & (align_bytes - 1)) != 0 || align_bytes > PZONE_ALIGN_MAX_BYTES)
		return pzl_error(err, -EINVAL, PZONE_ERR_SIZE,
				 "align %s of class '%s' is no power of two up to 1 GiB, such as 2 MiB, 64 MiB or 1 GiB",
				 pzone_size_format(align_bytes, false, align, sizeof(align)),
				 def->name);
	rc = pzl_check_aligned("size", def->name, def->size_bytes, align_bytes, err);
	if (!rc)
		rc = pzl_check_aligned("guarantee", def->name, def->guarantee_bytes, align_bytes,
				       err);
	if (!rc)
		rc = pzl_check_aligned("limit", def->name, def->limit_bytes, align_bytes, err);
	return rc;
}

int pzl_check_limit_fits(const char *name, uint64_t limit_bytes, const char *pool,
			 uint64_t pool_bytes, struct pzone_error *err)
{
	char limit[32], size[32];

	if (limit_bytes <= pool_bytes)
		return 0;
	return pzl_error(err, -EINVAL, PZONE_ERR_BOUNDS,
			 "limit %s of class '%s' is more than pool '%s' has in all, %s",
			 pzone_size_format(limit_bytes, false, limit, sizeof(limit)), name, pool,
			 pzone_size_format(pool_bytes, false, size, sizeof(size)));
}

int pzl_check_def_blocks(const struct pzone_def *def, const char *pool, uint64_t block_bytes,
			 struct pzone_error *err)
{
	char align[32], block[32];
	int rc;

	rc = pzl_check_block("size", def->name, def->size_bytes, pool, block_bytes, err);
	if (!rc)
		rc = pzl_check_block("guarantee", def->name, def->guarantee_bytes, pool, block_bytes,
				     err);
	if (!rc)
		rc = pzl_check_block("limit", def->name, def->limit_bytes, pool, block_bytes, err);
	if (rc || def->align_bytes == 0 || def->align_bytes >= block_bytes)
		return rc;
	return pzl_error(err, -EINVAL, PZONE_ERR_SIZE,
			 "align %s of class '%s' is below the %s blocks of pool '%s': leave it out, or make it larger",
			 pzone_size_format(def->align_bytes, false, align, sizeof(align)), def->name,
			 pzone_size_format(block_bytes, false, block, sizeof(block)), pool);
}

uint64_t pzl_memmap_bytes(uint64_t region_bytes, uint64_t block_bytes)
{
	uint64_t bytes = region_bytes / 64 + (region_bytes % 64 != 0);

	if (block_bytes == 0)
		return bytes;
	return (bytes / block_bytes + (bytes % block_bytes != 0)) * block_bytes;
}
