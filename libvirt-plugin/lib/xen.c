// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xen.c: domains of Xen. Their classes are pzone-xend's (hv/xen), which takes the
 * commands of QEMU's monitor over a unix socket, one JSON object a line.
 *
 * The domain itself is libvirt's, by its driver for Xen. A host that has only xl has
 * no libvirtd, but what we need of one is little: who runs, and how it is defined.
 * So "xl:///" is a connection to libvirt's test driver, which lives in this process,
 * with the domains that pzone-xend names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <json-c/json.h>
#include <libxml/tree.h>
#include "internal.h"

#define DEFAULT_SOCKET	"/run/pzone/xend.sock"
#define NODE_PREFIX	"/tmp/pzone-xl."
#define TIMEOUT_S	30
#define REPLY_MAX	(64u << 20)

static const char *socket_path(void)
{
	const char *path = getenv("PZONE_XEN_SOCKET");

	return path && *path ? path : DEFAULT_SOCKET;
}

static bool is_xl(virConnectPtr conn)
{
	char *uri = virConnectGetURI(conn);
	bool xl = uri && strstr(uri, NODE_PREFIX);

	free(uri);
	return xl;
}

bool pzl_xen_is(virDomainPtr dom, bool *ret_xl)
{
	virConnectPtr conn = virDomainGetConnect(dom);
	const char *type = conn ? virConnectGetType(conn) : NULL;

	*ret_xl = type && !strcmp(type, "TEST") && is_xl(conn);
	return *ret_xl || (type && !strcmp(type, "Xen"));
}

int pzl_xen_can_define(virDomainPtr dom, struct pzone_error *err)
{
	const char *who = virDomainGetName(dom);
	bool xl;

	if (!pzl_xen_is(dom, &xl) || !xl)
		return 0;
	return pzl_error(err, -EOPNOTSUPP, PZONE_ERR_NO_SUPPORT,
			 "with xl, the definitions of domain '%s' are a file of pzone-xend's: edit it (/etc/pzone/xen.d/%s.xml) and send pzone-xend SIGHUP",
			 who, who);
}

/* --- the socket --- */

static int open_socket(struct pzone_error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	const char *path = socket_path();
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return pzl_error(err, -EINVAL, PZONE_ERR_IO, "socket '%s' has too long a path", path);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) &&
	    !connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	pzl_error(err, -errno, PZONE_ERR_IO, "can't reach pzone-xend on '%s': %s; does it run?", path,
		  strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

static bool send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		text += n;
		len -= n;
	}
	return true;
}

/* All up to the newline; NULL with errno. */
static char *receive_line(int fd)
{
	size_t len = 0, room = 65536;
	char *text = malloc(room), *grown;

	while (text) {
		ssize_t n = recv(fd, text + len, room - len - 1, 0);

		if (n <= 0) {
			/* EAGAIN is how SO_RCVTIMEO says that its time is over. */
			errno = !n ? ECONNRESET : errno == EAGAIN ? ETIMEDOUT : errno;
			break;
		}
		len += n;
		text[len] = '\0';
		if (text[len - 1] == '\n')
			return text;
		if (room - len > 1)
			continue;
		room *= 2;
		errno = EMSGSIZE;
		grown = room <= REPLY_MAX ? realloc(text, room) : NULL;
		if (!grown)
			break;
		text = grown;
	}
	free(text);
	return NULL;
}

int pzl_xen_command(const char *who, json_object *request, char **ret_text,
		    struct pzone_error *err)
{
	const char *text;
	int fd, rc = 0;

	if (who)
		json_object_object_add(request, "domain", json_object_new_string(who));
	text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
	fd = open_socket(err);
	if (fd < 0)
		return fd;
	*ret_text = send_all(fd, text, strlen(text)) && send_all(fd, "\n", 1) ?
		    receive_line(fd) : NULL;
	if (!*ret_text)
		rc = pzl_error(err, -EIO, PZONE_ERR_IO, "pzone-xend on '%s' gave no answer: %s",
			       socket_path(), strerror(errno));
	close(fd);
	return rc;
}

/* --- xl:/// --- */

static const char *text_of(json_object *obj, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(obj, key, &value) ? json_object_get_string(value) : "";
}

static xmlNodePtr add(xmlNodePtr parent, const char *name, const char *text)
{
	return xmlNewTextChild(parent, NULL, BAD_CAST name, text ? BAD_CAST text : NULL);
}

/* The definitions, as the daemon has read them, go where libvirt keeps them. */
static void add_metadata(xmlNodePtr domain, const char *xml)
{
	xmlDocPtr doc = *xml ? xmlReadMemory(xml, strlen(xml), "classes", NULL, XML_PARSE_NONET) :
			NULL;
	xmlNodePtr root = doc ? xmlDocGetRootElement(doc) : NULL;

	if (root)
		xmlAddChild(add(domain, "metadata", NULL), xmlDocCopyNode(root, domain->doc, 1));
	xmlFreeDoc(doc);
}

static void add_domain(xmlNodePtr node, json_object *from)
{
	xmlNodePtr domain = add(node, "domain", NULL), memory;
	json_object *bytes = NULL;
	char text[32];

	xmlSetProp(domain, BAD_CAST "type", BAD_CAST "test");
	add(domain, "name", text_of(from, "name"));
	add(domain, "uuid", text_of(from, "uuid"));
	add_metadata(domain, text_of(from, "classes"));
	json_object_object_get_ex(from, "memory", &bytes);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)json_object_get_uint64(bytes));
	memory = add(domain, "memory", text);
	xmlSetProp(memory, BAD_CAST "unit", BAD_CAST "bytes");
	add(add(domain, "os", NULL), "type", "hvm");
}

static int write_node(json_object *domains, char *path, struct pzone_error *err)
{
	xmlDocPtr doc = xmlNewDoc(BAD_CAST "1.0");
	xmlNodePtr node = xmlNewDocNode(doc, NULL, BAD_CAST "node", NULL);
	int fd = mkstemp(path), rc = 0;
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

	xmlDocSetRootElement(doc, node);
	for (size_t i = 0; i < json_object_array_length(domains); i++)
		add_domain(node, json_object_array_get_idx(domains, i));
	if (!file || xmlDocDump(file, doc) < 0)
		rc = pzl_error(err, -EIO, PZONE_ERR_IO, "can't write %s: %s", path, strerror(errno));
	if (file)
		fclose(file);
	if (rc && fd >= 0)
		unlink(path);
	xmlFreeDoc(doc);
	return rc;
}

virConnectPtr pzone_xl_open(struct pzone_error *err)
{
	char path[] = NODE_PREFIX "XXXXXX", uri[64], *text = NULL;
	json_object *request = json_object_new_object(), *reply = NULL, *domains = NULL;
	virConnectPtr conn = NULL;

	json_object_object_add(request, "execute", json_object_new_string("query-domains"));
	if (pzl_xen_command(NULL, request, &text, err))
		goto out;
	reply = json_tokener_parse(text);
	if (!json_object_object_get_ex(reply, "return", &domains) ||
	    !json_object_is_type(domains, json_type_array)) {
		pzl_error(err, -EPROTO, PZONE_ERR_INTERNAL, "pzone-xend's answer makes no sense");
		goto out;
	}
	if (write_node(domains, path, err))
		goto out;
	snprintf(uri, sizeof(uri), "test://%s", path);
	conn = virConnectOpen(uri);
	if (!conn)
		pzl_libvirt_error(err, NULL, "describe the domains of xl");
	unlink(path);
out:
	free(text);
	json_object_put(reply);
	json_object_put(request);
	return conn;
}
