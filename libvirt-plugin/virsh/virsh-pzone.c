// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virsh-pzone.c - memory classes of libvirt domains, in virsh's manner
 *
 * Global options, connection, and the choice of what to run. The commands are
 * in cmd-*.c, what virsh's command line is like in cli.c.
 */
#include "cmds.h"
#include "libpzone.h"
#include "run.h"
#include "shell.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <libvirt/virterror.h>

static const struct cli_group *const groups[] = {
	&pzone_group, &self_group, NULL
};

/* ---- connection ---- */

/* libvirt would print on stderr by itself otherwise. */
static void no_output(void *opaque, virErrorPtr err)
{
	(void)opaque;
	(void)err;
}

virConnectPtr ctl_connect_quietly(struct cli_ctl *ctl)
{
	struct pzone_error err;

	if (ctl->conn)
		return ctl->conn;
	*ctl->why = '\0';
	if (ctl->uri && !strcmp(ctl->uri, "xl:///")) {
		ctl->conn = pzone_xl_open(&err);
		if (!ctl->conn)
			snprintf(ctl->why, sizeof(ctl->why), "%s", err.message);
		return ctl->conn;
	}
	ctl->conn = virConnectOpenAuth(ctl->uri, virConnectAuthPtrDefault,
				       ctl->readonly ? VIR_CONNECT_RO : 0);
	return ctl->conn;
}

virConnectPtr ctl_connect(struct cli_ctl *ctl)
{
	if (!ctl_connect_quietly(ctl)) {
		cli_error(ctl, "failed to connect to the hypervisor");
		cli_error(ctl, "%s", *ctl->why ? ctl->why : virGetLastErrorMessage());
	}
	return ctl->conn;
}

/* ---- global options ---- */

static void usage(const struct cli_ctl *ctl)
{
	printf("\n%s [options]... [<command_string>]\n"
	       "%s [options]... <command> [args...]\n\n"
	       "  options:\n"
	       "    -c | --connect=URI      hypervisor connection URI\n"
	       "    -h | --help             this help\n"
	       "    -q | --quiet            quiet mode\n"
	       "    -r | --readonly         connect readonly\n"
	       "    -t | --timing           print timing information\n"
	       "    -v                      short version\n"
	       "    -V                      long version\n"
	       "         --version[=TYPE]   version, TYPE is short or long (default short)\n"
	       "  commands (non interactive mode):\n\n", ctl->prog, ctl->prog);
	for (const struct cli_group *const *g = groups; *g; g++)
		cli_help_group(*g, false);
	printf("\n  (specify help <group> for details about the commands in the group)\n"
	       "\n  (specify help <command> for details about the command)\n\n");
}

static void short_version(void)
{
	unsigned int v = pzone_version();

	printf("%u.%u.%u\n", v / 10000, v / 100 % 100, v % 100);
}

static void long_version(void)
{
	unsigned int v = pzone_version();
	unsigned long lv = 0;

	virGetVersion(&lv, NULL, NULL);
	printf("virsh-pzone of pzone %u.%u.%u, with libvirt %lu.%lu.%lu\n",
	       v / 10000, v / 100 % 100, v % 100,
	       lv / 1000000, lv / 1000 % 1000, lv % 1000);
}

static const char *long_name(int c)
{
	for (const struct option *o = global_options_of_virsh; o->name; o++)
		if (o->val == c)
			return o->name;
	return "";
}

static int bad_option(struct cli_ctl *ctl, int c, char **argv)
{
	if (c == ':')
		cli_error(ctl, "option '-%c'/'--%s' requires an argument",
			  optopt, long_name(optopt));
	else if (optopt)
		cli_error(ctl, "unsupported option '-%c'. See --help.", optopt);
	else
		cli_error(ctl, "unsupported option '%s'. See --help.",
			  argv[optind - 1]);
	return -EINVAL;
}

/*
 * Returns 1 when that was all (help, version), 0 to go on, -EINVAL after a
 * message. virsh's options that mean nothing here (-d -e -k -K -l) are taken,
 * so that the virsh front can pass on what people type.
 */
static int global_options(struct cli_ctl *ctl, int argc, char **argv)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, GLOBAL_SHORT_OPTIONS, global_options_of_virsh,
				NULL)) != -1) {
		switch (c) {
		case 'c':
			ctl->uri = optarg;
			break;
		case 'h':
			usage(ctl);
			return 1;
		case 'q':
			ctl->quiet = true;
			break;
		case 'r':
			ctl->readonly = true;
			break;
		case 't':
			ctl->timing = true;
			break;
		case 'v':
			if (!optarg || !strcmp(optarg, "short")) {
				short_version();
				return 1;
			}
			if (strcmp(optarg, "long")) {
				cli_error(ctl, "version TYPE '%s' is neither short nor long",
					  optarg);
				return -EINVAL;
			}
			long_version();
			return 1;
		case 'V':
			long_version();
			return 1;
		case ':':
		case '?':
			return bad_option(ctl, c, argv);
		default:
			break;
		}
	}
	return 0;
}

static int run(struct cli_ctl *ctl, int argc, char **argv)
{
	struct cli_line line = { 0 };
	int r;

	if (argc == 0)
		return shell_run(ctl);
	if (argc == 1)
		r = cli_parse_string(ctl, argv[0], &line);
	else
		r = cli_parse_argv(ctl, argc, argv, &line);
	if (r == -ENOMEM)
		cli_error(ctl, "out of memory");
	if (r < 0)
		return CLI_ERROR;
	r = cli_run_line(ctl, &line);
	cli_line_clear(&line);
	return r;
}

int main(int argc, char **argv)
{
	struct cli_ctl ctl = {
		.prog = "virsh-pzone",
		.argv = argv,
		.groups = groups,
		.uri = getenv("VIRSH_DEFAULT_CONNECT_URI"),
	};
	struct pzone_error err;
	int r;

	virSetErrorFunc(NULL, no_output);
	r = global_options(&ctl, argc, argv);
	if (r != 0)
		return r < 0 ? CLI_ERROR : CLI_OK;
	if (pzone_init(&err) < 0) {
		cli_error(&ctl, "%s", err.message);
		return CLI_ERROR;
	}
	/* before the first connection, or pzone-event hears nothing */
	if (virEventRegisterDefaultImpl() < 0) {
		cli_error(&ctl, "%s", virGetLastErrorMessage());
		return CLI_ERROR;
	}
	r = run(&ctl, argc - optind, argv + optind);
	if (ctl.conn)
		virConnectClose(ctl.conn);
	/* a full disk or a closed pipe must not look like success */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_error(&ctl, "can't write the output: %s", strerror(errno));
		return CLI_ERROR;
	}
	return r;
}
