// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front.c - a virsh that also knows pzone-*
 *
 * libvirt has no plugins for virsh. So this program is called virsh, stands
 * earlier in PATH, hands pzone-* to virsh-pzone and everything else, unchanged,
 * to the system's virsh: found in PATH behind this one, or named by $VIRSH.
 *
 * What it adds to the system's output is the pzone group in "help" and
 * "--help", and pzone words in "complete" (which virsh's own bash completion
 * calls). Without a command it starts virsh-pzone's shell, which knows both kinds
 * (and in a pipe gives all to the system's virsh up to the first pzone-*).
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

#define OURS		"virsh-pzone"
#define PREFIX		"pzone-"
/*
 * Fronts that this command line went through already, "dev:ino," each. Two
 * copies of this program in PATH would find each other for ever otherwise.
 */
#define SEEN_ENV	"PZONE_VIRSH_SEEN"

enum { EXIT_FRONT = 1 };

static bool nested;	/* another front called this one: it adds to the help */
static char self_dir[PATH_MAX];
static char ours_path[PATH_MAX];
static char system_path[PATH_MAX];

static int die(const char *what, const char *value, const char *then)
{
	fflush(stdout);
	fprintf(stderr, "error: %s%s%s\n", what, value, then);
	return EXIT_FRONT;
}

/* ---- finding the two programs ---- */

static void mark_seen(const struct stat *st)
{
	const char *old = getenv(SEEN_ENV);
	char buf[1024];

	if (!old || strlen(old) > 512)
		old = "";
	snprintf(buf, sizeof(buf), "%s%ju:%ju,", old, (uintmax_t)st->st_dev,
		 (uintmax_t)st->st_ino);
	setenv(SEEN_ENV, buf, 1);
}

static bool was_seen(const struct stat *st)
{
	const char *seen = getenv(SEEN_ENV);
	char one[64];
	const char *p;

	snprintf(one, sizeof(one), "%ju:%ju,", (uintmax_t)st->st_dev,
		 (uintmax_t)st->st_ino);
	for (p = seen; p && (p = strstr(p, one)); p++)
		if (p == seen || p[-1] == ',')
			return true;
	return false;
}

/* A program that can be run and is no front. */
static bool usable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0 && !was_seen(&st);
}

/* Looks along PATH; "" in it is the current directory, as for any shell. */
static bool find_in_path(const char *name, char *ret_path)
{
	const char *p = getenv("PATH");
	char buf[PATH_MAX];
	size_t n;

	if (!p)
		p = "/usr/local/bin:/usr/bin:/bin";
	for (;;) {
		n = strcspn(p, ":");
		if (snprintf(buf, sizeof(buf), "%.*s/%s", (int)n, n ? p : ".",
			     name) < (int)sizeof(buf) && n < sizeof(buf) &&
		    usable(buf)) {
			strcpy(ret_path, buf);
			return true;
		}
		if (!p[n])
			return false;
		p += n + 1;
	}
}

static bool find_system(void)
{
	const char *v = getenv("VIRSH");

	if (v && strchr(v, '/') && strlen(v) < sizeof(system_path) &&
	    usable(v)) {
		strcpy(system_path, v);
		return true;
	}
	if (v && *v && !strchr(v, '/') && find_in_path(v, system_path))
		return true;
	return find_in_path("virsh", system_path);
}

/* Beside this program first, so that a build tree and an install work. */
static bool find_ours(void)
{
	if (snprintf(ours_path, sizeof(ours_path), "%s/%s", self_dir, OURS) <
	    (int)sizeof(ours_path) && usable(ours_path))
		return true;
	return find_in_path(OURS, ours_path);
}

static void find_self(void)
{
	char path[PATH_MAX];
	struct stat st;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	nested = getenv(SEEN_ENV) != NULL;
	if (n <= 0)
		return;
	path[n] = '\0';
	if (stat(path, &st) == 0)
		mark_seen(&st);
	*strrchr(path, '/') = '\0';
	strcpy(self_dir, path);
}

/* ---- running them ---- */

static int exec_system(char **argv)
{
	if (!*system_path && !find_system())
		return die("there is no virsh in PATH besides this front; install libvirt-clients, or name it in $VIRSH",
			   "", "");
	execv(system_path, argv);
	return die("can't run ", system_path, strerror(errno));
}

static int exec_ours(char **argv)
{
	if (!*ours_path && !find_ours())
		return die(OURS " is not beside this program and not in PATH; install it",
			   "", "");
	execv(ours_path, argv);
	return die("can't run ", ours_path, strerror(errno));
}

/* ---- help ---- */

/* The text, and one empty line behind it however many it had. */
static void put_with_one_blank(const char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == '\n')
		n--;
	fwrite(text, 1, n, stdout);
	fputs("\n\n", stdout);
}

static int help_all(char **argv, bool quiet)
{
	char *ours[] = { (char *)OURS, (char *)"-q", (char *)"help",
			 (char *)"pzone", NULL };
	int r = EXIT_FRONT;
	char *text;

	if (nested)
		return exec_system(argv);
	text = capture_program(exec_system, argv, &r);
	if (text && r == 0)
		put_with_one_blank(text);
	else if (text)
		fputs(text, stdout);
	free(text);
	if (r != 0)
		return r;
	r = run_program(exec_ours, ours);
	if (!quiet)
		putchar('\n');
	return r;
}

/* virsh --help: the group goes in front of the closing hints. */
static int usage_all(char **argv)
{
	static const char hint[] = "\n  (specify help <group>";
	char *ours[] = { (char *)OURS, (char *)"-q", (char *)"help",
			 (char *)"pzone", NULL };
	int r = EXIT_FRONT;
	char *text, *at;

	if (nested)
		return exec_system(argv);
	text = capture_program(exec_system, argv, &r);
	at = text ? strstr(text, hint) : NULL;
	if (r != 0 || !text) {
		if (text)
			fputs(text, stdout);
		free(text);
		return r;
	}
	if (at)
		fwrite(text, 1, at - text, stdout);
	else
		fputs(text, stdout);
	r = run_program(exec_ours, ours);
	if (at)
		fputs(at, stdout);
	free(text);
	return r;
}

static bool is_ours(const char *word)
{
	return !strncmp(word, PREFIX, strlen(PREFIX));
}

/* "help pzone", "help --command pzone-list": what comes behind "help". */
static bool help_is_ours(int n, char **words)
{
	for (int i = 0; i < n; i++) {
		const char *w = words[i];

		if (!strncmp(w, "--command=", 10))
			w += 10;
		if (!strcmp(w, "pzone") || is_ours(w))
			return true;
	}
	return false;
}

/* "complete -- words...": both when a command name is being typed. */
static int complete_all(char **argv, int n, char **words)
{
	if (n && !strcmp(words[0], "--")) {
		n--;
		words++;
	}
	if (n > 1 && is_ours(words[0]))
		return exec_ours(argv);
	if (n == 1 || (n == 2 && !strcmp(words[0], "help"))) {
		int r = run_program(exec_system, argv);

		/* its "help" is in the system's list already */
		if (n == 2 || !strncmp(words[0], "pz", 2) ||
		    !strncmp(PREFIX, words[0], strlen(words[0])))
			run_program(exec_ours, argv);
		return r;
	}
	return exec_system(argv);
}

/* ---- command strings: virsh 'list; pzone-list vm' ---- */

static bool command_is_ours(const char *p, const char *end)
{
	if (command_starts_with(p, end, PREFIX))
		return true;
	if (!command_starts_with(p, end, "help"))
		return false;
	p = strstr(p, "help") + 4;
	return command_starts_with(p, end, "pzone") || command_starts_with(p, end, PREFIX);
}

enum string_kind { ALL_SYSTEM, ALL_OURS, MIXED };

static enum string_kind string_kind(const char *text)
{
	bool ours = false, theirs = false;
	const char *p = text, *end;

	for (;; p = end + 1) {
		end = command_end(p);
		if (command_is_ours(p, end))
			ours = true;
		else if (strspn(p, " \t") < (size_t)(end - p))
			theirs = true;
		if (!*end)
			break;
	}
	return ours && theirs ? MIXED : ours ? ALL_OURS : ALL_SYSTEM;
}

/*
 * One program per run of neighbours of one kind. State inside one virsh does
 * not reach the next one, so the commands that make such state are refused
 * instead of doing something else than what was typed.
 */
static int run_mixed(char **argv, int string_index, const char *text)
{
	static const char *const stateful[] = { "connect", "cd" };
	const char *p, *end, *from = text;
	int r = 0;

	for (p = text; ; p = end + 1) {
		end = command_end(p);
		for (size_t i = 0; i < 2; i++)
			if (command_starts_with(p, end, stateful[i]))
				return die("'", stateful[i], "' and pzone-* commands can't be mixed in one command string; use -c URI, full paths, or two calls of virsh");
		if (!*end)
			break;
	}
	for (p = text; ; p = end + 1) {
		const char *next;
		bool ours, quit;

		end = command_end(p);
		ours = command_is_ours(p, end);
		quit = command_starts_with(p, end, "quit") || command_starts_with(p, end, "exit");
		next = *end ? end + 1 : NULL;
		if (!next || quit ||
		    command_is_ours(next, command_end(next)) != ours) {
			char *piece = strndup(from, end - from);

			if (!piece)
				return die("out of memory", "", "");
			argv[string_index] = piece;
			r = run_program(ours ? exec_ours : exec_system, argv);
			free(piece);
			from = next;
		}
		if (!next || quit)
			return r;
	}
}

static int command_string(char **argv, int index, bool quiet)
{
	const char *text = argv[index];

	if (!strcmp(text, "help"))
		return help_all(argv, quiet);
	switch (string_kind(text)) {
	case ALL_OURS:
		return exec_ours(argv);
	case MIXED:
		return run_mixed(argv, index, text);
	case ALL_SYSTEM:
		break;
	}
	return exec_system(argv);
}

/* ---- global options: only to find where the command starts ---- */

int main(int argc, char **argv)
{
	bool quiet = false;
	int c, n;

	find_self();
	opterr = 0;
	while ((c = getopt_long(argc, argv, GLOBAL_SHORT_OPTIONS, global_options_of_virsh,
				NULL)) != -1) {
		if (c == 'h')
			return usage_all(argv);
		if (c == 'q')
			quiet = true;
		/* whatever is wrong or ends here, virsh itself says it best */
		if (c == '?' || c == ':' || c == 'v' || c == 'V')
			return exec_system(argv);
	}
	n = argc - optind;
	if (n == 0 && !nested && find_system()) {
		/* its shell hands back to the system's virsh what is not its own */
		setenv("VIRSH", system_path, 1);
		return exec_ours(argv);
	}
	if (n == 0)
		return exec_system(argv);
	if (n == 1)
		return command_string(argv, optind, quiet);
	if (is_ours(argv[optind]))
		return exec_ours(argv);
	if (!strcmp(argv[optind], "help") &&
	    help_is_ours(n - 1, argv + optind + 1))
		return exec_ours(argv);
	if (!strcmp(argv[optind], "complete"))
		return complete_all(argv, n - 1, argv + optind + 1);
	return exec_system(argv);
}
