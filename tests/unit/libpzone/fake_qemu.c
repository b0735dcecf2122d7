// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fake_qemu.c: see fake_qemu.h. A fake.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include "fake_qemu.h"

int __wrap_virDomainQemuMonitorCommand(virDomainPtr dom, const char *cmd, char **result,
				       unsigned int flags);
char *__wrap_virDomainGetXMLDesc(virDomainPtr dom, unsigned int flags);
char *__wrap_virDomainGetMetadata(virDomainPtr dom, int type, const char *uri, unsigned int flags);
char *__real_virDomainGetMetadata(virDomainPtr dom, int type, const char *uri, unsigned int flags);
virErrorPtr __wrap_virGetLastError(void);
virErrorPtr __real_virGetLastError(void);
virErrorPtr __wrap_virSaveLastError(void);
virErrorPtr __real_virSaveLastError(void);

struct fake_qemu fake;
/* What virGetLastError() says while there is trouble; code 0: the real one. */
static virError fake_error;

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.guest = "ready";
	fake.available = 1ULL << 30;
}

struct fake_class *fake_find(const char *name)
{
	for (unsigned int i = 0; i < fake.nr; i++)
		if (!strcmp(fake.classes[i].name, name))
			return &fake.classes[i];
	return NULL;
}

struct fake_class *fake_add(const char *name, uint64_t size, const char *cookie)
{
	struct fake_class *c = &fake.classes[fake.nr++];

	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->cookie, sizeof(c->cookie), "%s", cookie);
	c->size = c->actual = c->guarantee = c->limit = size;
	c->state = "settled";
	fake.available -= size;
	return c;
}

static void query(FILE *out)
{
	if (fake.no_pool) {
		fprintf(out, "{\"return\":[]}");
		return;
	}
	fprintf(out, "{\"return\":[{\"id\":\"ua-fast\",\"addr\":4294967296,\"size\":2147483648,"
		"\"block-size\":2097152,\"requested\":1107296256,\"plugged\":0,\"memmap\":33554432,"
		"\"available\":%" PRIu64 ",\"generation\":%u,\"guest-generation\":%u,"
		"\"guest\":\"%s\",\"classes\":[", fake.available, fake.generation,
		fake.guest_generation, fake.guest);
	for (unsigned int i = 0; i < fake.nr; i++) {
		struct fake_class *c = &fake.classes[i];

		if (fake.polls_to_settle && --fake.polls_to_settle == 0) {
			c->actual = c->size;
			c->state = "settled";
		}
		fprintf(out, "%s{\"id\":%u,\"name\":\"%s\",\"size\":%" PRIu64 ",\"actual\":%" PRIu64
			",\"guarantee\":%" PRIu64 ",\"limit\":%" PRIu64 ",\"cookie\":\"%s\","
			"\"state\":\"%s\",\"wanted-extents\":[],\"extents\":[{\"addr\":4294967296,"
			"\"size\":%" PRIu64 "}]", i ? "," : "", i + 1, c->name, c->size, c->actual,
			c->guarantee, c->limit, c->cookie, c->state, c->actual);
		if (c->align)
			fprintf(out, ",\"align\":%" PRIu64, c->align);
		if (c->has_report)
			fprintf(out, ",\"report\":{\"cgroups\":1,\"free\":%" PRIu64 ",\"anon\":1,"
				"\"file\":2,\"stuck\":0,\"pinned\":4096,\"refaults\":3,"
				"\"pressure-us\":4,\"oom\":5,\"oom-kill\":6,\"reclaimed\":7}",
				c->free_bytes);
		fprintf(out, "}");
	}
	fprintf(out, "]}]}");
}

static uint64_t arg(json_object *args, const char *key, uint64_t otherwise)
{
	json_object *v;

	return json_object_object_get_ex(args, key, &v) ? json_object_get_uint64(v) : otherwise;
}

static const char *change(const char *verb, json_object *args)
{
	const char *name = json_object_get_string(json_object_object_get(args, "name"));
	const char *cookie = json_object_get_string(json_object_object_get(args, "cookie"));
	struct fake_class *c = fake_find(name), next;

	fake.commands++;
	if (strcmp(json_object_get_string(json_object_object_get(args, "pool")), "ua-fast"))
		return "no such pool";
	if (fake.refuse && !strcmp(fake.refuse, name) && strcmp(verb, "pzone-destroy"))
		return "the fake refuses this class";
	if (!strcmp(verb, "pzone-create")) {
		if (c)
			return "class exists";
		memset(&next, 0, sizeof(next));
		snprintf(next.name, sizeof(next.name), "%s", name);
		next.size = arg(args, "size", 0);
		next.guarantee = next.limit = next.size;
		next.align = arg(args, "align", 0);
	} else if (!c) {
		return "no such class";
	} else {
		next = *c;
	}
	if (!strcmp(verb, "pzone-destroy")) {
		fake.available += c->size;
		*c = fake.classes[--fake.nr];
		return NULL;
	}
	next.size = arg(args, "size", next.size);
	next.guarantee = arg(args, "guarantee", next.guarantee);
	next.limit = arg(args, "limit", next.limit);
	if (cookie)
		snprintf(next.cookie, sizeof(next.cookie), "%s", cookie);
	if (next.size < next.guarantee || next.size > next.limit)
		return "out of bounds";
	if (next.size > fake.available + (c ? c->size : 0))
		return "does not fit";
	fake.available += c ? c->size : 0;
	fake.available -= next.size;
	next.state = next.size > next.actual ? "growing" :
		     next.size < next.actual ? "shrinking" : "settled";
	if (!c)
		c = &fake.classes[fake.nr++];
	*c = next;
	return NULL;
}

static int fail(int code, const char *message)
{
	fake_error.code = code;
	fake_error.message = (char *)message;
	return -1;
}

virErrorPtr __wrap_virGetLastError(void)
{
	return fake.trouble != FAKE_FINE && fake_error.code ? &fake_error :
							      __real_virGetLastError();
}

/* The caller frees it with virFreeError(). */
virErrorPtr __wrap_virSaveLastError(void)
{
	virErrorPtr copy;

	if (fake.trouble == FAKE_FINE || !fake_error.code)
		return __real_virSaveLastError();
	copy = calloc(1, sizeof(*copy));
	copy->code = fake_error.code;
	copy->message = strdup(fake_error.message);
	return copy;
}

int __wrap_virDomainQemuMonitorCommand(virDomainPtr dom, const char *cmd, char **result,
				       unsigned int flags)
{
	json_object *root, *args = NULL;
	const char *verb, *why = NULL;
	size_t len;
	FILE *out;

	fake_error.code = 0;
	if (virDomainIsActive(dom) == 0)
		return fail(VIR_ERR_OPERATION_INVALID, "domain is not running");
	if (flags != 0)
		return fail(VIR_ERR_INVALID_ARG, "the fake speaks QMP only");
	switch (fake.trouble) {
	case FAKE_BUSY:
		return fail(VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock");
	case FAKE_READ_ONLY:
		return fail(VIR_ERR_OPERATION_DENIED, "read only access prevents it");
	case FAKE_NO_COMMAND:
		*result = strdup("{\"id\":\"libvirt-9\",\"error\":{\"class\":\"CommandNotFound\","
				 "\"desc\":\"The command query-pzone has not been found\"}}");
		return 0;
	case FAKE_NONSENSE:
		*result = strdup("What?");
		return 0;
	case FAKE_FINE:
		break;
	}
	root = json_tokener_parse(cmd);
	verb = json_object_get_string(json_object_object_get(root, "execute"));
	json_object_object_get_ex(root, "arguments", &args);
	out = open_memstream(result, &len);
	if (!strcmp(verb, "query-pzone")) {
		query(out);
	} else {
		why = change(verb, args);
		if (why)
			fprintf(out, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"%s\"}}", why);
		else
			fprintf(out, "{\"return\":{},\"id\":\"libvirt-7\"}");
	}
	fclose(out);
	json_object_put(root);
	return 0;
}

/* The real one, whose error takes the place of an earlier one of the fake. */
char *__wrap_virDomainGetMetadata(virDomainPtr dom, int type, const char *uri, unsigned int flags)
{
	fake_error.code = 0;
	return __real_virDomainGetMetadata(dom, type, uri, flags);
}

/* The same for the running and the persistent domain. */
char *__wrap_virDomainGetXMLDesc(virDomainPtr dom, unsigned int flags)
{
	(void)dom;
	(void)flags;
	if (fake.no_pool)
		return strdup("<domain type='test'><devices/></domain>");
	return strdup("<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
		      "<devices><memory model='virtio-mem'><target><size unit='GiB'>2</size>"
		      "<node>0</node><block unit='MiB'>2</block>"
		      "<requested unit='MiB'>1056</requested></target><alias name='ua-fast'/>"
		      "</memory></devices><qemu:override><qemu:device alias='ua-fast'>"
		      "<qemu:frontend><qemu:property name='pzone' type='bool' value='true'/>"
		      "</qemu:frontend></qemu:device></qemu:override></domain>");
}
