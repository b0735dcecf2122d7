// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * server.c: see server.h. libmicrohttpd speaks HTTP, in one thread of its own for
 * each listener; what is said is made by metrics.c from elastic.c's table.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <json-c/json.h>
#include <microhttpd.h>
#include "elastic.h"
#include "log.h"
#include "metrics.h"
#include "server.h"

#define BODY_MAX	(16u << 20)	/* libvirt's own XML is far smaller */
#define TIMEOUT_S	10
#define CONNECTIONS_MAX	64
#define TYPE_METRICS	"application/openmetrics-text; version=1.0.0; charset=utf-8"
#define TYPE_JSON	"application/json"

struct request {
	char *body;
	size_t len;
	bool too_long;
};

static struct MHD_Daemon *on_socket, *on_port;
static char *bound_path;

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned int status, const char *type,
			     char *text)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", type);
	result = MHD_queue_response(conn, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *conn, unsigned int status, const char *text)
{
	return reply(conn, status, "text/plain; charset=utf-8", strdup(text));
}

static char *admit_text(const struct request *req, bool remember)
{
	struct json_object *root = json_object_new_object();
	struct pzone_error err = { 0 };
	int rc = elastic_admit(req->body ? req->body : "", remember, &err);
	char *text;

	/* XML that makes no sense is somebody else's to complain of. */
	json_object_object_add(root, "admit", json_object_new_boolean(rc != -ENOSPC));
	if (rc)
		json_object_object_add(root, "error", json_object_new_string(err.message));
	text = strdup(json_object_to_json_string_ext(root, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	return text;
}

/* A body comes in pieces before the answer is asked for. */
static enum MHD_Result collect(struct request *req, const char *data, size_t len)
{
	char *grown;

	if (req->too_long || len > BODY_MAX - req->len) {
		req->too_long = true;
		return MHD_YES;
	}
	grown = realloc(req->body, req->len + len + 1);
	if (!grown)
		return MHD_NO;
	memcpy(grown + req->len, data, len);
	req->body = grown;
	req->len += len;
	grown[req->len] = '\0';
	return MHD_YES;
}

static enum MHD_Result handle(void *opaque, struct MHD_Connection *conn, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_len, void **ret_req)
{
	bool only_metrics = opaque != NULL, get = !strcmp(method, "GET");
	bool starts = !strcmp(url, "/v1/admit");
	struct request *req = *ret_req;

	(void)version;
	if (!req) {
		*ret_req = calloc(1, sizeof(*req));
		return *ret_req ? MHD_YES : MHD_NO;
	}
	if (*data_len) {
		enum MHD_Result result = collect(req, data, *data_len);

		*data_len = 0;
		return result;
	}
	if (!strcmp(url, "/metrics"))
		return get ? reply(conn, MHD_HTTP_OK, TYPE_METRICS, metrics_text()) :
			     refuse(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	if (!only_metrics && !strcmp(url, "/v1/status"))
		return get ? reply(conn, MHD_HTTP_OK, TYPE_JSON, metrics_status()) :
			     refuse(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	/* The same question from who is about to start it, and from who only wants to know. */
	if (!only_metrics && (starts || !strcmp(url, "/v1/fits"))) {
		if (strcmp(method, "POST"))
			return refuse(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "POST only\n");
		if (req->too_long)
			return refuse(conn, MHD_HTTP_CONTENT_TOO_LARGE, "16 MiB at most\n");
		return reply(conn, MHD_HTTP_OK, TYPE_JSON, admit_text(req, starts));
	}
	return refuse(conn, MHD_HTTP_NOT_FOUND, "there are /metrics, /v1/status, /v1/admit and /v1/fits\n");
}

static void completed(void *opaque, struct MHD_Connection *conn, void **ret_req,
		      enum MHD_RequestTerminationCode code)
{
	struct request *req = *ret_req;

	(void)opaque;
	(void)conn;
	(void)code;
	if (req)
		free(req->body);
	free(req);
	*ret_req = NULL;
}

/* We hold the lock of the runtime directory, so a socket that is there is a dead one's. */
static int listen_unix(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		log_err("the name of socket '%.64s...' is too long: %zu characters at most", path,
			sizeof(addr.sun_path) - 1);
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && (!unlink(path) || errno == ENOENT) &&
	    !bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !chmod(path, 0660) &&
	    !listen(fd, 16))
		return fd;
	log_err("can't listen on socket '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* config.c let only loopback addresses with a port through. */
static int listen_port(const char *address)
{
	bool v6 = address[0] == '[';
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	in_port_t port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a4.sin_port = a6.sin6_port = port;
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    !bind(fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4,
		  v6 ? sizeof(a6) : sizeof(a4)) && !listen(fd, 16))
		return fd;
	log_err("can't listen on '%s': %s", address, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct MHD_Daemon *serve(int fd, bool only_metrics)
{
	struct MHD_Daemon *daemon;

	if (fd < 0)
		return NULL;
	daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | MHD_USE_ITC, 0,
				  NULL, NULL, handle, only_metrics ? &on_port : NULL,
				  MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				  MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
				  MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
	if (!daemon) {
		log_err("can't start the HTTP server");
		close(fd);
	}
	return daemon;
}

int server_start(const char *socket_path, const char *metrics_address)
{
	on_socket = serve(listen_unix(socket_path), false);
	if (!on_socket)
		return -1;
	bound_path = strdup(socket_path);
	if (!metrics_address)
		return 0;
	on_port = serve(listen_port(metrics_address), true);
	return on_port ? 0 : -1;
}

void server_stop(void)
{
	if (on_port)
		MHD_stop_daemon(on_port);
	if (on_socket)
		MHD_stop_daemon(on_socket);
	if (bound_path)
		unlink(bound_path);
	free(bound_path);
	bound_path = NULL;
	on_port = on_socket = NULL;
}
