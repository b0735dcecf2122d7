// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * daemon.c: asking pzoned, over HTTP on its unix socket (hv/pzoned/server.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <curl/curl.h>
#include <json-c/json.h>
#include "internal.h"

/* pzoned's own answers are a few hundred bytes a class. */
#define REPLY_MAX	(64u << 20)

struct reply {
	char *text;
	size_t len;
};

static size_t collect(char *data, size_t size, size_t nmemb, void *opaque)
{
	struct reply *r = opaque;
	size_t len = size * nmemb;
	char *grown;

	if (len > REPLY_MAX - r->len)
		return 0;
	grown = realloc(r->text, r->len + len + 1);
	if (!grown)
		return 0;
	memcpy(grown + r->len, data, len);
	r->text = grown;
	r->len += len;
	grown[r->len] = '\0';
	return len;
}

static int failed(CURLcode code, const char *socket_path, unsigned int timeout_ms,
		  struct pzone_error *err)
{
	if (code == CURLE_OPERATION_TIMEDOUT)
		return pzl_error(err, -ETIMEDOUT, PZONE_ERR_IO,
				 "pzoned did not answer on '%s' within %u ms", socket_path,
				 timeout_ms);
	if (code == CURLE_COULDNT_CONNECT)
		return pzl_error(err, -ENOENT, PZONE_ERR_IO,
				 "can't reach pzoned on '%s': %s", socket_path,
				 access(socket_path, F_OK) ? "there is no such socket; does it run?" :
				 access(socket_path, W_OK) ? "permission denied" :
				 "nobody listens there; does it run?");
	return pzl_error(err, -EIO, PZONE_ERR_IO, "asking pzoned on '%s' failed: %s", socket_path,
			 curl_easy_strerror(code));
}

int pzone_daemon_request(const char *socket_path, const char *method, const char *path,
			 const char *body, unsigned int timeout_ms, char **ret_reply,
			 struct pzone_error *err)
{
	struct reply reply = { 0 };
	long status = 0;
	char url[256];
	CURL *curl;
	CURLcode code;

	if (!socket_path)
		socket_path = PZONE_DAEMON_SOCKET;
	curl = curl_easy_init();
	if (!curl)
		return pzl_nomem(err);
	snprintf(url, sizeof(url), "http://pzoned%s", path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
	if (!strcmp(method, "POST")) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	code = curl_easy_perform(curl);
	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	if (code != CURLE_OK || status != 200 || !reply.text) {
		free(reply.text);
		if (code != CURLE_OK)
			return failed(code, socket_path, timeout_ms, err);
		return pzl_error(err, -EIO, PZONE_ERR_IO, "pzoned on '%s' answered %s with status %ld",
				 socket_path, path, status);
	}
	*ret_reply = reply.text;
	return 0;
}

static int ask_room(const char *socket_path, const char *path, const char *domain_xml,
		    unsigned int timeout_ms, struct pzone_error *err)
{
	struct json_object *root, *admit, *why;
	char *text;
	int rc;

	rc = pzone_daemon_request(socket_path, "POST", path, domain_xml, timeout_ms, &text, err);
	if (rc)
		return rc;
	root = json_tokener_parse(text);
	free(text);
	if (!root || !json_object_object_get_ex(root, "admit", &admit))
		rc = pzl_error(err, -EIO, PZONE_ERR_INTERNAL,
			       "pzoned's answer on admission makes no sense");
	else if (!json_object_get_boolean(admit))
		rc = pzl_error(err, -ENOSPC, PZONE_ERR_NO_SPACE, "%s",
			       json_object_object_get_ex(root, "error", &why) ?
			       json_object_get_string(why) : "this host has no room for it");
	json_object_put(root);
	return rc;
}

int pzone_daemon_admit(const char *socket_path, const char *domain_xml, unsigned int timeout_ms,
		       struct pzone_error *err)
{
	return ask_room(socket_path, "/v1/admit", domain_xml, timeout_ms, err);
}

int pzl_daemon_fits(const char *socket_path, const char *domain_xml, unsigned int timeout_ms,
		    struct pzone_error *err)
{
	return ask_room(socket_path, "/v1/fits", domain_xml, timeout_ms, err);
}
