// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * event.c: QEMU's pzone events, as libvirt passes them on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include "internal.h"

static const char *const words[] = {
	[PZONE_EVENT_OTHER] = "other",
	[PZONE_EVENT_CHANGED] = "changed",
	[PZONE_EVENT_SHORTAGE] = "shortage",
	[PZONE_EVENT_NOMEM] = "nomem",
};

static const char *const qemu_names[] = {
	[PZONE_EVENT_OTHER] = "",
	[PZONE_EVENT_CHANGED] = "PZONE_CHANGED",
	[PZONE_EVENT_SHORTAGE] = "PZONE_SHORTAGE",
	[PZONE_EVENT_NOMEM] = "PZONE_NOMEM",
};

const char *pzone_event_text(enum pzone_event_kind kind)
{
	return words[kind < PZONE_EVENT_LAST ? kind : PZONE_EVENT_OTHER];
}

enum pzone_event_kind pzone_event_from_text(const char *text)
{
	int kind = PZONE_EVENT_OTHER;

	while (kind < PZONE_EVENT_LAST && strcmp(words[kind], text))
		kind++;
	return kind;
}

struct registration {
	pzone_event_cb cb;
	virFreeCallback free_cb;
	void *opaque;
};

static void registration_free(void *opaque)
{
	struct registration *reg = opaque;

	if (reg->free_cb)
		reg->free_cb(reg->opaque);
	free(reg);
}

/* Members are optional: an event may get new ones, and lose none that matter here. */
static json_object *get(json_object *data, const char *key, json_type type)
{
	json_object *value = NULL;

	return json_object_object_get_ex(data, key, &value) && json_object_is_type(value, type) ?
	       value : NULL;
}

static const char *text(json_object *data, const char *key)
{
	json_object *value = get(data, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

static uint64_t number(json_object *data, const char *key)
{
	json_object *value = get(data, key, json_type_int);

	return value ? json_object_get_uint64(value) : 0;
}

static bool truth(json_object *data, const char *key)
{
	json_object *value = get(data, key, json_type_boolean);

	return value && json_object_get_boolean(value);
}

static void on_event(virConnectPtr conn, virDomainPtr dom, const char *event, long long seconds,
		     unsigned int micros, const char *details, void *opaque)
{
	json_object *data = details ? json_tokener_parse(details) : NULL;
	struct registration *reg = opaque;
	struct pzone_event e = {
		.qemu_name = event,
		.domain = virDomainGetName(dom),
		.pool = text(data, "pool"),
		.class_name = text(data, "name"),
		.size_bytes = number(data, "size"),
		.actual_bytes = number(data, "actual"),
		.wanted_bytes = number(data, "wanted"),
		.state = text(data, "state"),
		.gone = truth(data, "gone"),
		.oom = truth(data, "oom"),
		.error = text(data, "error"),
		.seconds = seconds,
		.microseconds = micros,
	};

	for (int kind = PZONE_EVENT_CHANGED; kind < PZONE_EVENT_LAST; kind++)
		if (!strcmp(event, qemu_names[kind]))
			e.kind = kind;
	reg->cb(conn, dom, &e, reg->opaque);
	json_object_put(data);
}

int pzone_event_register(virConnectPtr conn, virDomainPtr dom, pzone_event_cb cb, void *opaque,
			 virFreeCallback free_cb, struct pzone_error *err)
{
	struct registration *reg = malloc(sizeof(*reg));
	int id;

	if (!reg) {
		if (free_cb)
			free_cb(opaque);
		return pzl_nomem(err);
	}
	*reg = (struct registration){ cb, free_cb, opaque };
	id = virConnectDomainQemuMonitorEventRegister(conn, dom, "^PZONE_", on_event, reg,
			registration_free, VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX);
	if (id >= 0)
		return id;
	registration_free(reg);
	return pzl_error(err, -EIO, virGetLastErrorCode() == VIR_ERR_OPERATION_DENIED ?
			 PZONE_ERR_READ_ONLY : PZONE_ERR_LIBVIRT, "cannot listen to events: %s",
			 virGetLastErrorMessage());
}

int pzone_event_deregister(virConnectPtr conn, int id, struct pzone_error *err)
{
	if (virConnectDomainQemuMonitorEventDeregister(conn, id) < 0)
		return pzl_error(err, -EIO, PZONE_ERR_LIBVIRT, "cannot stop listening: %s",
				 virGetLastErrorMessage());
	return 0;
}

static void add(json_object *obj, const char *key, const char *value)
{
	if (value)
		json_object_object_add(obj, key, json_object_new_string(value));
}

static void add_size(json_object *obj, const char *key, uint64_t bytes)
{
	json_object_object_add(obj, key, json_object_new_uint64(bytes));
}

int pzone_event_json(const struct pzone_event *e, char **ret_json, struct pzone_error *err)
{
	json_object *obj = json_object_new_object();
	const char *line;

	add(obj, "event", e->kind == PZONE_EVENT_OTHER ? e->qemu_name : pzone_event_text(e->kind));
	add(obj, "domain", e->domain);
	add_size(obj, "seconds", (uint64_t)e->seconds);
	add_size(obj, "microseconds", e->microseconds);
	add(obj, "pool", e->pool);
	add(obj, "class", e->class_name);
	if (e->kind == PZONE_EVENT_CHANGED || e->kind == PZONE_EVENT_NOMEM) {
		add_size(obj, "size", e->size_bytes);
		add_size(obj, "actual", e->actual_bytes);
	}
	if (e->kind == PZONE_EVENT_SHORTAGE || e->kind == PZONE_EVENT_NOMEM)
		add_size(obj, "wanted", e->wanted_bytes);
	add(obj, "state", e->state);
	add(obj, "error", e->error);
	if (e->kind == PZONE_EVENT_CHANGED)
		json_object_object_add(obj, "gone", json_object_new_boolean(e->gone));
	if (e->kind == PZONE_EVENT_SHORTAGE)
		json_object_object_add(obj, "oom", json_object_new_boolean(e->oom));
	line = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	*ret_json = line ? strdup(line) : NULL;
	json_object_put(obj);
	return *ret_json ? 0 : pzl_nomem(err);
}
