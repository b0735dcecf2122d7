// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * server.c: commands over a unix socket: one JSON object a line, one answer a line.
 * Who may open the socket may do everything; it is made for root alone.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include "xend.h"

/* A client that sends more in one line is not one of ours. */
#define MAX_LINE	65536

struct client {
	struct xend *xend;
	GSocketConnection *connection;
	GDataInputStream *in;
};

static void client_free(struct client *client)
{
	g_object_unref(client->in);
	g_object_unref(client->connection);
	g_free(client);
}

static bool answer(struct client *client, const char *line)
{
	GOutputStream *out = g_io_stream_get_output_stream(G_IO_STREAM(client->connection));
	json_object *request = json_tokener_parse(line), *reply;
	g_autofree char *text = NULL;
	bool good;

	reply = command_run(client->xend, request);
	text = g_strdup_printf("%s\n", json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
	good = g_output_stream_write_all(out, text, strlen(text), NULL, NULL, NULL);
	json_object_put(reply);
	json_object_put(request);
	return good;
}

static void read_next(struct client *client);

static void line_read(GObject *source, GAsyncResult *result, gpointer data)
{
	struct client *client = data;
	g_autofree char *line = NULL;
	gsize len;

	(void)source;
	line = g_data_input_stream_read_line_finish_utf8(client->in, result, &len, NULL);
	if (!line || len > MAX_LINE || !answer(client, line))
		client_free(client);
	else
		read_next(client);
}

static void read_next(struct client *client)
{
	g_data_input_stream_read_line_async(client->in, G_PRIORITY_DEFAULT, NULL, line_read,
					    client);
}

static gboolean incoming(GSocketService *service, GSocketConnection *connection,
			 GObject *source, gpointer data)
{
	struct client *client = g_new0(struct client, 1);

	(void)service;
	(void)source;
	client->xend = data;
	client->connection = g_object_ref(connection);
	/* One that does not read its answer must not hold us up. */
	g_socket_set_timeout(g_socket_connection_get_socket(connection), 5);
	client->in = g_data_input_stream_new(
		g_io_stream_get_input_stream(G_IO_STREAM(connection)));
	read_next(client);
	return TRUE;
}

int server_start(struct xend *xend, const char *path, GError **err)
{
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
	GSocketService *service = g_socket_service_new();
	const mode_t old = umask(0177);
	bool good;

	unlink(path);
	good = g_socket_listener_add_address(G_SOCKET_LISTENER(service), address,
					     G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
					     NULL, err);
	umask(old);
	if (!good)
		return -1;
	g_signal_connect(service, "incoming", G_CALLBACK(incoming), xend);
	g_socket_service_start(service);
	return 0;
}
