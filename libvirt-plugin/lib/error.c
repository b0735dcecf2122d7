// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * error.c: filling in struct pzone_error, also from libvirt's last error.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include "internal.h"

/* One line, and nothing that could steer a terminal: messages quote user input. */
static void tidy(char *msg)
{
	size_t len;

	for (char *p = msg; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	len = strlen(msg);
	while (len > 0 && msg[len - 1] == ' ')
		msg[--len] = '\0';
}

int pzl_error(struct pzone_error *err, int errnum, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		char msg[sizeof(err->message)];

		/* An argument may be err->message itself. */
		va_start(ap, fmt);
		vsnprintf(msg, sizeof(msg), fmt, ap);
		va_end(ap);
		tidy(msg);
		memcpy(err->message, msg, sizeof(msg));
		err->code = code;
		err->libvirt_code = 0;
	}
	return errnum;
}

int pzl_nomem(struct pzone_error *err)
{
	return pzl_error(err, -ENOMEM, PZONE_ERR_NOMEM, "out of memory");
}

void pzl_error_at(struct pzone_error *err, const char *name, unsigned int line)
{
	char msg[sizeof(err->message)];

	if (!err)
		return;
	memcpy(msg, err->message, sizeof(msg));
	pzl_error(err, 0, err->code, "%s:%u: %s", name, line, msg);
}

int pzl_libvirt_error(struct pzone_error *err, virDomainPtr dom, const char *what)
{
	/* a copy: virDomainGetName() resets the last error */
	virErrorPtr last = virSaveLastError();
	const char *who = dom ? virDomainGetName(dom) : NULL;
	const char *text = last && last->message ? last->message : "unknown error";
	int vcode = last ? last->code : VIR_ERR_INTERNAL_ERROR;
	int code = PZONE_ERR_LIBVIRT, errnum = -EIO;

	if (!who)
		who = "?";
	switch (vcode) {
	case VIR_ERR_NO_MEMORY:
		errnum = pzl_nomem(err);
		goto out;
	case VIR_ERR_OPERATION_TIMEOUT:
		pzl_error(err, 0, PZONE_ERR_BUSY,
			  "domain '%s' is busy with another job, nothing was changed, try again later: %s",
			  who, text);
		errnum = -EBUSY;
		goto out;
	case VIR_ERR_NO_SUPPORT:
		code = PZONE_ERR_NO_SUPPORT;
		errnum = -EOPNOTSUPP;
		break;
	case VIR_ERR_OPERATION_DENIED:
		code = PZONE_ERR_READ_ONLY;
		errnum = -EACCES;
		break;
	case VIR_ERR_AUTH_FAILED:
	case VIR_ERR_AUTH_CANCELLED:
	case VIR_ERR_ACCESS_DENIED:
		errnum = -EACCES;
		break;
	case VIR_ERR_NO_DOMAIN:
		errnum = -ENOENT;
		break;
	}
	pzl_error(err, 0, code, "cannot %s of domain '%s': %s", what, who, text);
out:
	if (err)
		err->libvirt_code = vcode;
	virFreeError(last);
	return errnum;
}

unsigned int pzone_version(void)
{
	return 100;
}

int pzone_init(struct pzone_error *err)
{
	xmlInitParser();
	if (virInitialize() < 0)
		return pzl_error(err, -EIO, PZONE_ERR_LIBVIRT, "cannot initialize libvirt: %s",
				 virGetLastErrorMessage());
	return 0;
}
