// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-pool.c - pzone-pool-add: a pool more for a domain
 *
 * libpzone writes the XML; what is here is for people: the difference before
 * anything is changed, a question on a terminal, and which QEMU it will be.
 */
#include "cmd-common.h"
#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the QEMU ---- */

/* Where it is when this program is in bin/: in the build tree, and installed. */
static const char *const emulators[] = {
	"qemu/bin/qemu-system-x86_64", "lib/pzone/qemu-system-x86_64"
};

/* The one that comes with this program; malloc'ed, NULL when there is none. */
static char *own_emulator(void)
{
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (len < 0)
		return NULL;
	self[len] = '\0';
	for (int up = 0; up < 2; up++) {
		slash = strrchr(self, '/');
		if (!slash)
			return NULL;
		*slash = '\0';
	}
	for (size_t i = 0; i < sizeof(emulators) / sizeof(emulators[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", self, emulators[i]);
		if (access(path, X_OK) == 0)
			return strdup(path);
	}
	return NULL;
}

static bool has_pool(virDomainPtr dom)
{
	unsigned int from = virDomainIsPersistent(dom) == 0 ? VIR_DOMAIN_AFFECT_LIVE :
							      VIR_DOMAIN_AFFECT_CONFIG;
	struct pzone_pools *pools = NULL;
	bool has = false;

	if (pzone_pools_get(dom, from, &pools, NULL) == 0)
		for (size_t i = 0; i < pzone_pools_count(pools); i++)
			has |= pzone_pools_at(pools, i)->enabled;
	pzone_pools_free(pools);
	return has;
}

/* A domain that has a pool has the right QEMU already. *ret_path NULL: keep it. */
static int choose_emulator(struct cli_ctl *ctl, const struct cli_cmd *cmd, virDomainPtr dom,
			   char **ret_path)
{
	const char *given = NULL;

	*ret_path = NULL;
	if (cli_opt_string(ctl, cmd, "emulator", &given) < 0)
		return -EINVAL;
	if (given && *given != '/') {
		cli_error(ctl, "'%s' is not the path of an emulator: it has to start with /", given);
		return -EINVAL;
	}
	if (!given && has_pool(dom))
		return 0;
	*ret_path = given ? strdup(given) : own_emulator();
	if (*ret_path)
		return 0;
	cli_error(ctl, "there is no QEMU with pools beside this program; use --emulator to say where the domain's host has it");
	return -ENOENT;
}

/* ---- the difference ---- */

static int memory_file(const char *text)
{
	int fd = memfd_create("pzone-xml", 0);
	size_t len = strlen(text);

	if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* By diff(1), as everybody knows it. */
static int print_diff(struct cli_ctl *ctl, const char *before, const char *after)
{
	char from[32], to[32];
	int a = memory_file(before), b = memory_file(after), status = -1;
	pid_t pid = -1;

	fflush(stdout);
	snprintf(from, sizeof(from), "/dev/fd/%d", a);
	snprintf(to, sizeof(to), "/dev/fd/%d", b);
	if (a >= 0 && b >= 0)
		pid = fork();
	if (pid == 0) {
		execlp("diff", "diff", "-u", "--label", "before", "--label", "after", from, to,
		       (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	/* 1: they differ */
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return 0;
	cli_error(ctl, "can't show the difference: diff(1) does not run");
	return -EIO;
}

/* ---- pzone-pool-add ---- */

static const struct cli_opt_def opts_pool_add[] = {
	OPT_DOMAIN,
	{ "size", CLI_OPT_INT, true,
	  "size of the pool, as scaled integer (default KiB)", NULL },
	{ "name", CLI_OPT_STRING, false,
	  "alias of the pool, ua-NAME (default: the first free ua-poolN)", NULL },
	{ "requested", CLI_OPT_INT, false,
	  "what the domain may have of it, as scaled integer (default: all)", NULL },
	{ "block", CLI_OPT_INT, false,
	  "unit in which it is given out (default: 2 MiB, or the huge page)", NULL },
	{ "node", CLI_OPT_INT, false, "guest NUMA node (default: the first)", NULL },
	{ "emulator", CLI_OPT_STRING, false,
	  "QEMU with pools (default: the one beside this program)", NULL },
	{ "print-xml", CLI_OPT_BOOL, false,
	  "print the new XML and change nothing", NULL },
	{ "print-diff", CLI_OPT_BOOL, false,
	  "print the difference and change nothing", NULL },
	{ "yes", CLI_OPT_BOOL, false, "don't ask on a terminal", NULL },
	OPTS_AFFECT,
	{ 0 }
};

static int opt_node(struct cli_ctl *ctl, const struct cli_cmd *cmd, int *ret_node)
{
	const char *text = NULL;
	char *end;
	long node;
	int r = cli_opt_string(ctl, cmd, "node", &text);

	if (r <= 0)
		return r;
	errno = 0;
	node = strtol(text, &end, 10);
	if (errno || *end || end == text || node < 0 || node > INT_MAX) {
		cli_error(ctl, "Numeric value '%s' for <node> option is malformed or out of range", text);
		return -EINVAL;
	}
	*ret_node = (int)node;
	return 1;
}

/* To the library 0 means "not said": who says it means something else. */
static int opt_size_not_0(struct cli_ctl *ctl, const struct cli_cmd *cmd, const char *name,
			  uint64_t *ret_bytes)
{
	int r = cli_opt_size(ctl, cmd, name, ret_bytes);

	if (r <= 0 || *ret_bytes)
		return r;
	cli_error(ctl, "%s of a pool can't be 0; leave --%s out for what is usual", name, name);
	return -EINVAL;
}

static int opt_pool_new(struct cli_ctl *ctl, const struct cli_cmd *cmd,
			struct pzone_pool_new *pool)
{
	memset(pool, 0, sizeof(*pool));
	pool->struct_bytes = sizeof(*pool);
	pool->node = -1;
	if (cli_opt_size(ctl, cmd, "size", &pool->size_bytes) <= 0 ||
	    cli_opt_string(ctl, cmd, "name", &pool->name) < 0 ||
	    opt_size_not_0(ctl, cmd, "requested", &pool->requested_bytes) < 0 ||
	    opt_size_not_0(ctl, cmd, "block", &pool->block_bytes) < 0 ||
	    opt_node(ctl, cmd, &pool->node) < 0 ||
	    cli_exclusive(ctl, cmd, "print-xml", "print-diff") < 0)
		return -EINVAL;
	return 0;
}

/*
 * A pool comes with QEMU's command line, which a running domain has already. And a
 * transient one has nothing else: its XML with a pool can only be shown.
 */
static int refuse_live(struct cli_ctl *ctl, const struct cli_cmd *cmd, virDomainPtr dom)
{
	bool shows = cli_opt_bool(cmd, "print-xml") || cli_opt_bool(cmd, "print-diff");
	unsigned int flags;
	int live;

	if (opt_affect(ctl, cmd, &flags) < 0)
		return -EINVAL;
	if (virDomainIsPersistent(dom) == 0) {
		if (shows && !flags)
			return 0;
		cli_error(ctl, "domain '%s' is transient and can't get a pool while it runs; --print-xml prints its XML with one, to create it anew from that",
			  virDomainGetName(dom));
		return -EINVAL;
	}
	if (flags == VIR_DOMAIN_AFFECT_CURRENT && !cli_opt_bool(cmd, "current"))
		return 0;
	live = acts_live(ctl, dom, flags);
	if (live <= 0)
		return live;
	cli_error(ctl, "a running domain can't get a pool, because libvirt applies <qemu:override> only when it starts QEMU; use --config and start domain '%s' anew",
		  virDomainGetName(dom));
	return -EINVAL;
}

/* True to go on. Asks only where somebody can answer. */
static bool confirmed(virDomainPtr dom, bool yes)
{
	char answer[16] = "";

	if (yes || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return true;
	watchdog_stop();		/* people take their time */
	printf("\nChange the definition of domain '%s'? [y/N] ", virDomainGetName(dom));
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin))
		printf("\n");
	watchdog_start(0);
	return answer[0] == 'y' || answer[0] == 'Y';
}

static void say_done(struct cli_ctl *ctl, virDomainPtr dom, const char *name, const char *xml)
{
	const struct pzone_pool *p = NULL;
	struct pzone_pools *pools = NULL;
	char usable[SIZE_TEXT], memmap[SIZE_TEXT];

	if (pzone_pools_parse(xml, &pools, NULL) == 0)
		p = pzone_pools_find(pools, name);
	if (p)
		cli_extra(ctl, "Pool '%s' added to domain '%s': %s for classes, %s for the guest's memory map\n",
			  name, virDomainGetName(dom),
			  show_size(p->requested_bytes - p->memmap_bytes, false, usable),
			  show_size(p->memmap_bytes, false, memmap));
	pzone_pools_free(pools);
	if (virDomainIsActive(dom) == 1)
		cli_extra(ctl, "Domain '%s' runs: it has the pool when it was shut down and started again\n",
			  virDomainGetName(dom));
}

static int add_pool(struct cli_ctl *ctl, const struct cli_cmd *cmd, virDomainPtr dom,
		    const struct pzone_pool_new *pool)
{
	char *before = NULL, *after = NULL, *name = NULL;
	struct pzone_error err = { 0 };
	int r = CLI_ERROR;

	if (pzone_domain_pool_plan(dom, pool, &before, &after, &name, &err) < 0)
		return say(ctl, &err);
	if (cli_opt_bool(cmd, "print-xml")) {
		printf("%s", after);
		r = CLI_OK;
		goto out;
	}
	if (!ctl->quiet || cli_opt_bool(cmd, "print-diff"))
		if (print_diff(ctl, before, after) < 0)
			goto out;
	if (cli_opt_bool(cmd, "print-diff")) {
		r = CLI_OK;
	} else if (!confirmed(dom, cli_opt_bool(cmd, "yes"))) {
		cli_error(ctl, "nothing was changed");
	} else if (pzone_domain_pool_apply(dom, before, after, &err) < 0) {
		say(ctl, &err);
	} else {
		cli_extra(ctl, "\n");
		say_done(ctl, dom, name, after);
		r = CLI_OK;
	}
out:
	free(before);
	free(after);
	free(name);
	return r;
}

static int cmd_pool_add(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	struct pzone_pool_new pool;
	char *emulator = NULL;
	virDomainPtr dom;
	int r = CLI_ERROR;

	if (opt_pool_new(ctl, cmd, &pool) < 0)
		return CLI_ERROR;
	dom = opt_domain(ctl, cmd);
	if (!dom)
		return CLI_ERROR;
	if (refuse_live(ctl, cmd, dom) == 0 && choose_emulator(ctl, cmd, dom, &emulator) == 0) {
		pool.emulator = emulator;
		r = add_pool(ctl, cmd, dom, &pool);
	}
	free(emulator);
	free_domain(dom);
	return r;
}

const struct cli_cmd_def def_pool_add = {
	"pzone-pool-add", cmd_pool_add, "give a domain a pool for memory classes",
	"Add a pool to the persistent definition of the domain, with what it needs:\n"
	"    a virtio-mem device, the property pzone, room in maxMemory, a NUMA cell and\n"
	"    the QEMU that knows pools. Shows the difference first; a running domain has\n"
	"    the pool from its next start on.", opts_pool_add, false
};
