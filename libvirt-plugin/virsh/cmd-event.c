// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-event.c - pzone-event: like "virsh event", for what happens to classes
 */
#include "cmd-common.h"
#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <libvirt/virterror.h>

struct listener {
	struct cli_ctl *ctl;
	enum pzone_event_kind kind;	/* PZONE_EVENT_LAST: all */
	bool loop, timestamp, json;
	unsigned int count;
	bool done, lost;
};

/* The event loop sleeps in poll(2): a signal wakes it through this pipe. */
static int wake[2] = { -1, -1 };

static void on_signal(int sig)
{
	ssize_t r = write(wake[1], "", 1);

	(void)sig;
	(void)r;
}

static void on_wake(int watch, int fd, int events, void *opaque)
{
	struct listener *l = opaque;

	(void)watch;
	(void)fd;
	(void)events;
	l->done = true;
}

static void on_timeout(int timer, void *opaque)
{
	struct listener *l = opaque;

	(void)timer;
	if (!l->done && !l->json)
		cli_extra(l->ctl, "event loop timed out\n");
	l->done = true;
}

static void on_close(virConnectPtr conn, int reason, void *opaque)
{
	struct listener *l = opaque;

	(void)conn;
	(void)reason;
	l->lost = l->done = true;
}

/* What an event says, as one sentence behind its name and domain. */
static void print_text(const struct pzone_event *e)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

	printf("event '%s' for domain '%s': ",
	       e->kind == PZONE_EVENT_OTHER ? e->qemu_name : pzone_event_text(e->kind), e->domain);
	printf("class '%s' of pool '%s'", e->class_name ? e->class_name : "?",
	       e->pool ? e->pool : "?");
	size_text(e->actual_bytes, a, sizeof(a));
	switch (e->kind) {
	case PZONE_EVENT_CHANGED:
		if (e->gone)
			printf(" has gone");
		else if (e->actual_bytes == e->size_bytes)
			printf(" %s, has %s", e->state ? e->state : "?", a);
		else
			printf(" %s, has %s of %s", e->state ? e->state : "?", a,
			       size_text(e->size_bytes, b, sizeof(b)));
		break;
	case PZONE_EVENT_SHORTAGE:
		printf(" is %s, wants %s more",
		       e->oom ? "out of memory" : "short of memory",
		       size_text(e->wanted_bytes, b, sizeof(b)));
		break;
	case PZONE_EVENT_NOMEM:
		printf(" has %s, the host could not back %s more: %s", a,
		       size_text(e->wanted_bytes, b, sizeof(b)), e->error ? e->error : "no reason");
		break;
	default:
		break;
	}
	putchar('\n');
}

static void print_timestamp(const struct pzone_event *e)
{
	time_t t = e->seconds;
	struct tm tm;
	char buf[32];

	/* as virsh prints it */
	gmtime_r(&t, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%03u+0000: ", buf, e->microseconds / 1000);
}

static void on_event(virConnectPtr conn, virDomainPtr dom, const struct pzone_event *e,
		     void *opaque)
{
	struct listener *l = opaque;
	char *json;

	(void)conn;
	(void)dom;
	if (l->done || (l->kind != PZONE_EVENT_LAST && l->kind != e->kind))
		return;
	if (l->json && pzone_event_json(e, &json, NULL) == 0) {
		puts(json);
		free(json);
	} else if (!l->json) {
		if (l->timestamp)
			print_timestamp(e);
		print_text(e);
	}
	l->count++;
	/* a reader that has gone: nobody wants more */
	if (fflush(stdout) != 0 || !l->loop)
		l->done = true;
}

static int listen_until_done(struct listener *l, virConnectPtr conn, unsigned int timeout_s)
{
	struct sigaction stop = { .sa_handler = on_signal }, old_int, old_term;
	int watch, timer = -1, r = 0;

	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	watch = virEventAddHandle(wake[0], VIR_EVENT_HANDLE_READABLE, on_wake, l, NULL);
	if (timeout_s)
		timer = virEventAddTimeout((int)timeout_s * 1000, on_timeout, l, NULL);
	virConnectRegisterCloseCallback(conn, on_close, l, NULL);
	sigaction(SIGINT, &stop, &old_int);
	sigaction(SIGTERM, &stop, &old_term);
	while (!l->done && r == 0)
		r = virEventRunDefaultImpl();
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	virConnectUnregisterCloseCallback(conn, on_close);
	if (timer >= 0)
		virEventRemoveTimeout(timer);
	virEventRemoveHandle(watch);
	close(wake[0]);
	close(wake[1]);
	return r;
}

static int opt_kind(struct cli_ctl *ctl, const struct cli_cmd *cmd, enum pzone_event_kind *ret_kind)
{
	const char *word = NULL;

	*ret_kind = PZONE_EVENT_LAST;
	if (cli_exclusive(ctl, cmd, "event", "all") < 0 ||
	    cli_opt_string(ctl, cmd, "event", &word) < 0)
		return -EINVAL;
	if (word)
		*ret_kind = pzone_event_from_text(word);
	if (word && *ret_kind == PZONE_EVENT_LAST) {
		cli_error(ctl, "unknown event type %s", word);
		return -EINVAL;
	}
	if (!word && !cli_opt_bool(cmd, "all")) {
		cli_error(ctl, "one of --list, --all, or --event <type> is required");
		return -EINVAL;
	}
	return 0;
}

static void complete_events(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	(void)ctl;
	(void)cmd;
	for (int kind = PZONE_EVENT_CHANGED; kind < PZONE_EVENT_LAST; kind++)
		puts(pzone_event_text(kind));
}

static int listen_to(struct listener *l, virConnectPtr conn, virDomainPtr dom,
		     unsigned int timeout_s)
{
	struct pzone_error err = { 0 };
	int id = pzone_event_register(conn, dom, on_event, l, NULL, &err), r;

	if (id < 0)
		return say(l->ctl, &err);
	r = listen_until_done(l, conn, timeout_s);
	if (!l->lost)
		pzone_event_deregister(conn, id, NULL);
	if (r < 0 || l->lost) {
		cli_error(l->ctl, l->lost ? "the connection to the hypervisor was closed" :
			  "the event loop failed");
		return CLI_ERROR;
	}
	if (!l->json)
		cli_extra(l->ctl, "events received: %u\n", l->count);
	/* as virsh: nothing received is a failure */
	return l->count ? CLI_OK : CLI_ERROR;
}

static int cmd_event(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct listener l = { .ctl = ctl, .loop = cli_opt_bool(cmd, "loop"),
			      .timestamp = cli_opt_bool(cmd, "timestamp") };
	unsigned int timeout_s = 0;
	virDomainPtr dom = NULL;
	virConnectPtr conn;
	int r;

	if (cli_opt_bool(cmd, "list")) {
		complete_events(ctl, cmd);
		return CLI_OK;
	}
	if (opt_kind(ctl, cmd, &l.kind) < 0 || opt_json(ctl, cmd, &l.json) < 0 ||
	    cli_opt_seconds(ctl, cmd, "timeout", &timeout_s) < 0)
		return CLI_ERROR;
	conn = ctl_connect(ctl);
	if (conn && cli_opt_bool(cmd, "domain")) {
		dom = opt_domain(ctl, cmd);
		watchdog_stop();
		if (!dom)
			return CLI_ERROR;
	}
	if (!conn)
		return CLI_ERROR;
	r = listen_to(&l, conn, dom, timeout_s);
	free_domain(dom);
	return r;
}

static const struct cli_opt_def opts_event[] = {
	{ "domain", CLI_OPT_STRING, false, "filter by domain name, id or uuid", complete_domains },
	{ "event", CLI_OPT_STRING, false, "which event type to wait for", complete_events },
	{ "all", CLI_OPT_BOOL, false, "wait for all events instead of just one type", NULL },
	{ "loop", CLI_OPT_BOOL, false, "loop until timeout or interrupt, rather than one-shot", NULL },
	{ "timeout", CLI_OPT_INT, false, "timeout seconds", NULL },
	{ "list", CLI_OPT_BOOL, false, "list valid event types", NULL },
	{ "timestamp", CLI_OPT_BOOL, false, "show timestamp for each printed event", NULL },
	OPT_FORMAT,
	{ 0 }
};

const struct cli_cmd_def def_event = {
	"pzone-event", cmd_event, "Memory Class Events",
	"List event types, or wait for events of memory classes to occur", opts_event, false
};
