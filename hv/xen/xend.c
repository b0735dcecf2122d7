// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xend.c: pzone-xend, memory classes for the domains of a Xen host. Runs in dom0.
 * One thread: whatever happens (a key of the store, a client, the clock) is handled
 * to its end before the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib-unix.h>
#include "xend.h"

#define CONF_DIR	"/etc/pzone/xen.d"
#define RUN_DIR		"/run/pzone"

/* Domains and their maximum are looked at this often, besides the store's word. */
#define TICK_MS		1000

/* And this often while one is being restored. */
#define HURRY_MS	2

/* Keys that are looked at before clients and timers have their turn. */
#define KEYS_AT_ONCE	64

static gboolean hurry(gpointer data)
{
	struct xend *xend = data;

	if (domains_update(xend))
		return G_SOURCE_CONTINUE;
	xend->hurry = 0;
	return G_SOURCE_REMOVE;
}

static void look_at_domains(struct xend *xend)
{
	if (domains_update(xend) && !xend->hurry)
		xend->hurry = g_timeout_add(HURRY_MS, hurry, xend);
}

static gboolean store_changed(gint fd, GIOCondition condition, gpointer data)
{
	struct xend *xend = data;
	char **event;

	(void)fd;
	(void)condition;
	for (int i = 0; i < KEYS_AT_ONCE; i++) {
		event = xs_check_watch(xend->xs);
		if (!event && errno == EAGAIN)
			break;
		if (!event) {
			/* Who starts us again finds everything as it is. */
			say("pzone-xend: lost the Xen store: %s\n", g_strerror(errno));
			exit(1);
		}
		if (event[XS_WATCH_PATH][0] == '@' || g_str_has_prefix(event[XS_WATCH_PATH], "/libxl"))
			look_at_domains(xend);
		else
			domain_guest_wrote(xend, event[XS_WATCH_PATH]);
		free(event);
	}
	return G_SOURCE_CONTINUE;
}

static gboolean tick(gpointer data)
{
	look_at_domains(data);
	return G_SOURCE_CONTINUE;
}

static gboolean reload(gpointer data)
{
	struct xend *xend = data;

	say("reading the configuration of all domains again\n");
	domains_update(xend);
	for (unsigned int i = 0; i < xend->domains->len; i++) {
		struct domain *domain = g_ptr_array_index(xend->domains, i);

		if (domain->pools->len)
			domain_apply_conf(domain);
	}
	return G_SOURCE_CONTINUE;
}

static gboolean quit(gpointer data)
{
	g_main_loop_quit(data);
	return G_SOURCE_CONTINUE;
}

/* Two of us would undo each other's work. The lock goes when we do. */
static bool lock(const char *run_dir)
{
	g_autofree char *path = g_strdup_printf("%s/xend.lock", run_dir);
	int fd;

	if (g_mkdir_with_parents(run_dir, 0755))
		return false;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
		say("pzone-xend: can't lock %s: %s; is another one running?\n", path,
		    g_strerror(errno));
		return false;
	}
	return true;
}

static bool connect_xen(struct xend *xend)
{
	xend->xs = xs_open(0);
	if (!xend->xs) {
		say("pzone-xend: can't reach the Xen store: %s; is this dom0, and does xenstored run?\n",
		    g_strerror(errno));
		return false;
	}
	xend->xch = xc_interface_open(NULL, NULL, 0);
	if (!xend->xch) {
		say("pzone-xend: can't speak to the hypervisor: %s; this must be root of dom0\n",
		    g_strerror(errno));
		return false;
	}
	if (xs_watch(xend->xs, "@introduceDomain", "domains") &&
	    xs_watch(xend->xs, "@releaseDomain", "domains") &&
	    /* Changes when libxl has made a domain, long before it is introduced. */
	    xs_watch(xend->xs, "/libxl", "domains"))
		return true;
	say("pzone-xend: can't watch domains come and go: %s\n", g_strerror(errno));
	return false;
}

int main(int argc, char **argv)
{
	g_autofree char *conf_dir = NULL, *run_dir = NULL;
	const GOptionEntry options[] = {
		{ "config", 'c', 0, G_OPTION_ARG_FILENAME, &conf_dir,
		  "where NAME.conf and NAME.xml of each domain lie (" CONF_DIR ")", "DIR" },
		{ "run", 'r', 0, G_OPTION_ARG_FILENAME, &run_dir,
		  "where the socket and the lock lie (" RUN_DIR ")", "DIR" },
		{ 0 },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- memory classes for Xen domains");
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) err = NULL;
	g_autofree char *socket_path = NULL;
	struct xend xend = { 0 };
	struct pzone_error perr;

	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &err) || argc > 1) {
		say("pzone-xend: %s; see pzone-xend --help\n", err ? err->message : "no argument is taken");
		return 2;
	}
	xend.conf_dir = conf_dir ? conf_dir : CONF_DIR;
	if (!run_dir)
		run_dir = g_strdup(RUN_DIR);
	socket_path = g_strdup_printf("%s/xend.sock", run_dir);
	signal(SIGPIPE, SIG_IGN);
	if (pzone_init(&perr)) {
		say("pzone-xend: %s\n", perr.message);
		return 1;
	}
	if (!lock(run_dir) || !connect_xen(&xend))
		return 1;
	domains_init(&xend);
	look_at_domains(&xend);
	domains_keep(&xend);
	if (server_start(&xend, socket_path, &err)) {
		say("pzone-xend: %s: %s\n", socket_path, err->message);
		return 1;
	}
	g_unix_fd_add(xs_fileno(xend.xs), G_IO_IN, store_changed, &xend);
	g_unix_signal_add(SIGHUP, reload, &xend);
	g_unix_signal_add(SIGTERM, quit, loop);
	g_unix_signal_add(SIGINT, quit, loop);
	g_timeout_add(TICK_MS, tick, &xend);
	say("pzone-xend is ready, %u domains with pools\n", xend.domains->len);
	g_main_loop_run(loop);
	return 0;
}
