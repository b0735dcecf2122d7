// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pzoned.c: the controller daemon. Carries the classes of domain XMLs to the
 * devices of running domains.
 *
 * It keeps no state: what should be is in the XML, what is is in the device,
 * and policy.c compares the two. So it may be killed at any time, and starting
 * it again makes it look at everything.
 *
 * Threads: this one runs libvirt's event loop and the signals; one holds the
 * event connection (link.c); each domain that needs a look has one (work.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include "config.h"
#include "elastic.h"
#include "libpzone.h"
#include "link.h"
#include "log.h"
#include "server.h"
#include "work.h"

#define DEFAULT_URI		"qemu:///system"
#define DEFAULT_RUNTIME_DIR	"/run/pzone"
#define GRACE_MS		1000	/* for looks that are under way at the end */

static atomic_int exit_status = -1;	/* -1: go on */
static const char *config_path;		/* NULL: the default */
static struct config *config;
static int wake_pipe[2] = { -1, -1 };

static const char usage[] =
	"Usage: pzoned [OPTION]...\n"
	"Apply the memory classes (pzones) of libvirt domain XMLs to running domains.\n"
	"\n"
	"  -c, --connect URI      libvirt to work with (default: $LIBVIRT_DEFAULT_URI,\n"
	"                         else " DEFAULT_URI ")\n"
	"      --runtime-dir DIR  where the lock is (default: " DEFAULT_RUNTIME_DIR ";\n"
	"                         for other users than root $XDG_RUNTIME_DIR/pzone)\n"
	"  -f, --config FILE      settings (default: " CONFIG_PATH_DEFAULT " if it is there)\n"
	"      --once             look at every running domain once, then exit:\n"
	"                         0 if all are in order, 1 if not\n"
	"  -v, --verbose          log events and retries too\n"
	"      --version          print the version and exit\n"
	"  -h, --help             print this and exit\n"
	"\n"
	"SIGHUP: read the settings and look at all domains again.  SIGTERM, SIGINT: exit.\n";

static void ignore_libvirt_errors(void *opaque, virErrorPtr error)
{
	(void)opaque;
	(void)error;
}

static void finish(int status)
{
	exit_status = status;
	/* Any byte ends poll(); a full pipe does so too. */
	if (write(wake_pipe[1], "x", 1) < 0)
		return;
}

static void on_wake(int watch, int fd, int events, void *opaque)
{
	char byte;

	(void)watch;
	(void)events;
	(void)opaque;
	if (read(fd, &byte, 1) < 0)
		return;
}

/* With a mistake in the new file the old settings stay. */
static void reload(void)
{
	struct config *fresh, *old = config;
	struct pzone_error err;

	if (config_load(config_path, &fresh, &err)) {
		log_err("%s; the old settings stay in force", err.message);
		return;
	}
	config = fresh;
	elastic_configure(config);
	work_configure(config->period_ms, config->calls);
	config_free(old);
}

static void on_signal(int watch, int fd, int events, void *opaque)
{
	struct signalfd_siginfo info;

	(void)watch;
	(void)events;
	(void)opaque;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		log_info("SIGHUP: reading the settings, and looking at all domains");
		reload();
		work_mark_all();
		return;
	}
	log_info("%s: leaving the domains as they are", strsignal((int)info.ssi_signo));
	exit_status = 0;
}

static const char *default_runtime_dir(char *buf, size_t len)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 || !xdg || !*xdg ||
	    (size_t)snprintf(buf, len, "%s/pzone", xdg) >= len)
		return DEFAULT_RUNTIME_DIR;
	return buf;
}

/* One pzoned per runtime directory; the kernel lets go of the lock for a dead one. */
static int take_lock(const char *dir)
{
	char path[4096], pid[32] = "?";
	ssize_t n;
	int fd;

	if (mkdir(dir, 0755) && errno != EEXIST) {
		log_err("can't make runtime directory '%s': %s", dir, strerror(errno));
		return -1;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/pzoned.lock", dir) >= sizeof(path)) {
		log_err("the name of runtime directory '%.64s...' is too long", dir);
		return -1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		log_err("can't open '%s': %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		n = read(fd, pid, sizeof(pid) - 1);
		if (n > 0)
			pid[strcspn(pid, "\n")] = '\0';
		log_err("another pzoned (process %s) works with runtime directory '%s': end it first, or give this one its own with --runtime-dir",
			pid, dir);
		close(fd);
		return -1;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
		log_warn("can't write the process id to '%s': %s", path, strerror(errno));
	return fd;
}

static int setup_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	/* Before any thread exists, so that none ever takes them. */
	return sigprocmask(SIG_BLOCK, set, NULL);
}

static int setup_loop(const sigset_t *signals)
{
	int fd;

	if (virEventRegisterDefaultImpl() < 0 || pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK))
		return -1;
	fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 ||
	    virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, on_signal, NULL, NULL) < 0 ||
	    virEventAddHandle(wake_pipe[0], VIR_EVENT_HANDLE_READABLE, on_wake, NULL, NULL) < 0)
		return -1;
	return work_start(config->period_ms);
}

/* Not with --once: that one may run beside the daemon. */
static int start_server(const char *runtime_dir)
{
	g_autofree char *path = g_strdup_printf("%s/pzoned.sock", runtime_dir);

	return server_start(config->socket ? config->socket : path, config->metrics_address);
}

static int bad_usage(const char *what)
{
	fprintf(stderr, "pzoned: %s; see pzoned --help\n", what);
	return 2;
}

int main(int argc, char **argv)
{
	enum { OPT_RUNTIME_DIR = 256, OPT_ONCE, OPT_VERSION };
	static const struct option options[] = {
		{ "connect", required_argument, NULL, 'c' },
		{ "runtime-dir", required_argument, NULL, OPT_RUNTIME_DIR },
		{ "config", required_argument, NULL, 'f' },
		{ "once", no_argument, NULL, OPT_ONCE },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *uri = getenv("LIBVIRT_DEFAULT_URI"), *runtime_dir = NULL;
	char user_dir[4096];
	bool verbose = false, once = false;
	struct pzone_error err;
	sigset_t signals;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:f:vh", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			uri = optarg;
			break;
		case 'f':
			config_path = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		case OPT_RUNTIME_DIR:
			runtime_dir = optarg;
			break;
		case OPT_ONCE:
			once = true;
			break;
		case OPT_VERSION:
			printf("pzoned %u.%u.%u\n", pzone_version() / 10000,
			       pzone_version() / 100 % 100, pzone_version() % 100);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return bad_usage("wrong option");
		}
	}
	if (optind < argc)
		return bad_usage("it takes options only");

	log_init(verbose);
	if (!uri || !*uri)
		uri = DEFAULT_URI;
	if (!runtime_dir)
		runtime_dir = default_runtime_dir(user_dir, sizeof(user_dir));
	if (setup_signals(&signals)) {
		log_err("can't block signals: %s", strerror(errno));
		return 1;
	}
	/* The descriptor stays open, and with it the lock, until we end. */
	if (take_lock(runtime_dir) < 0)
		return 1;
	virSetErrorFunc(NULL, ignore_libvirt_errors);
	if (pzone_init(&err)) {
		log_err("%s", err.message);
		return 1;
	}
	if (config_load(config_path, &config, &err)) {
		log_err("%s", err.message);
		return 1;
	}
	elastic_configure(config);
	work_init(uri, once);
	work_configure(config->period_ms, config->calls);
	if (!once && start_server(runtime_dir))
		return 1;
	if (setup_loop(&signals) || link_start(uri, once, finish)) {
		log_err("can't set up the event loop: %s", strerror(errno));
		return 1;
	}
	while (exit_status < 0)
		if (virEventRunDefaultImpl() < 0) {
			log_err("the event loop failed: %s", virGetLastErrorMessage());
			exit_status = 1;
		}
	work_stop();
	server_stop();
	if (!work_wait_idle(GRACE_MS))
		log_info("not waiting for domains that do not answer");
	/* Threads may still hold connections: end without tearing anything down. */
	_exit(exit_status);
}
