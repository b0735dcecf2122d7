// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * shell.c - the interactive shell; see shell.h
 *
 * It looks and feels as virsh's does, shares its history, and knows all commands:
 * pzone-*, connect, cd, pwd and quit are done here, and each other command by the
 * system's virsh ($VIRSH, or from PATH), one process and one connection each.
 *
 * For the front ("pzone-list vm" in a pipe to virsh) the lines go to one system's
 * virsh as long as none of them has a pzone-* command, so that without one all is
 * as if the front were not there. From the first that has, it is this shell.
 */
#include "shell.h"
#include "cmds.h"
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <readline/history.h>
#include <readline/readline.h>

enum { HISTORY_DEFAULT = 500 };	/* as virsh; $VIRSH_HISTSIZE */

static struct cli_ctl *shell_ctl;	/* readline's callbacks take no argument */
static char *own_uri;			/* that "connect" set */

/* ---- other programs ---- */

static int exec_virsh(char **argv)
{
	const char *virsh = getenv("VIRSH");

	/* a front in PATH: it has nothing to add to what we say */
	setenv("PZONE_VIRSH_SEEN", "shell,", 0);
	execvp(virsh && *virsh ? virsh : "virsh", argv);
	fprintf(stderr, "error: can't run virsh: %s\n", strerror(errno));
	return CLI_ERROR;
}

/* What goes wrong while a word is completed must not get into the line. */
static void no_stderr(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
}

static int exec_virsh_quietly(char **argv)
{
	no_stderr();
	return exec_virsh(argv);
}

static int exec_self_quietly(char **argv)
{
	no_stderr();
	execv("/proc/self/exe", argv);
	return CLI_ERROR;
}

/* The global options that this shell has, and then the given words. */
static void make_argv(const struct cli_ctl *ctl, char **argv, size_t room, char **words)
{
	size_t n = 0;

	argv[n++] = (char *)"virsh";
	if (ctl->uri) {
		argv[n++] = (char *)"-c";
		argv[n++] = (char *)ctl->uri;
	}
	if (ctl->readonly)
		argv[n++] = (char *)"-r";
	if (ctl->quiet)
		argv[n++] = (char *)"-q";
	if (ctl->timing)
		argv[n++] = (char *)"-t";
	while (n + 1 < room && *words)
		argv[n++] = *words++;
	argv[n] = NULL;
}

static int run_virsh(struct cli_ctl *ctl, char *command)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	char *argv[12], *words[] = { command, NULL };
	int r;

	make_argv(ctl, argv, 12, words);
	/* Ctrl-C is the command's, not ours */
	sigaction(SIGINT, &ignore, &old);
	r = run_program(exec_virsh, argv);
	sigaction(SIGINT, &old, NULL);
	return r;
}

/* ---- what is done here ---- */

static int shell_connect(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	const char *uri = NULL;

	if (cli_opt_string(ctl, cmd, "name", &uri) < 0)
		return CLI_ERROR;
	if (ctl->conn)
		virConnectClose(ctl->conn);
	ctl->conn = NULL;
	free(own_uri);
	own_uri = uri ? strdup(uri) : NULL;
	ctl->uri = own_uri;
	ctl->readonly = cli_opt_bool(cmd, "readonly");
	return ctl_connect(ctl) ? CLI_OK : CLI_ERROR;
}

static int shell_cd(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	const char *dir = getenv("HOME");

	if (cli_opt_string(ctl, cmd, "dir", &dir) < 0)
		return CLI_ERROR;
	if (chdir(dir ? dir : "/") == 0)
		return CLI_OK;
	cli_error(ctl, "cd: %s: %s", dir ? dir : "/", strerror(errno));
	return CLI_ERROR;
}

static int shell_pwd(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	char dir[PATH_MAX];

	(void)cmd;
	if (!getcwd(dir, sizeof(dir))) {
		cli_error(ctl, "pwd: cannot get current directory: %s", strerror(errno));
		return CLI_ERROR;
	}
	puts(dir);
	return CLI_OK;
}

static const struct cli_opt_def opts_connect[] = {
	{ "name", CLI_OPT_DATA, false, "hypervisor connection URI", NULL },
	{ "readonly", CLI_OPT_BOOL, false, "read-only connection", NULL },
	{ 0 }
};
static const struct cli_opt_def opts_cd[] = {
	{ "dir", CLI_OPT_DATA, false, "directory to switch to (default: home or else root)", NULL },
	{ 0 }
};
static const struct cli_cmd_def def_connect = {
	"connect", shell_connect, "(re)connect to hypervisor",
	"Connect to local hypervisor. This is built-in command after shell start up.",
	opts_connect, false
};
static const struct cli_cmd_def def_cd = {
	"cd", shell_cd, "change the current directory", "Change the current directory.", opts_cd, false
};
static const struct cli_cmd_def def_pwd = {
	"pwd", shell_pwd, "print the current directory", "Print the current directory.", NULL, false
};
static const struct cli_cmd_def *const shell_cmds[] = { &def_connect, &def_cd, &def_pwd, NULL };
static const struct cli_group shell_group = { "Shell", "shell", shell_cmds };

static int run_own(struct cli_ctl *ctl, const char *command)
{
	struct cli_line line = { 0 };
	int r;

	if (cli_parse_string(ctl, command, &line) < 0)
		return CLI_ERROR;
	r = cli_run_line(ctl, &line);
	cli_line_clear(&line);
	return r;
}

/* ---- lines ---- */

static bool is_own(const char *p, const char *end)
{
	static const char *const own[] = { "pzone-", "connect", "cd", "pwd" };

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (command_starts_with(p, end, own[i]))
			return true;
	if (!command_starts_with(p, end, "help"))
		return false;
	p = strstr(p, "help") + 4;
	return command_starts_with(p, end, "pzone") || command_starts_with(p, end, "pzone-");
}

/* "help" alone: both lists. */
static bool is_help_all(const char *p, const char *end)
{
	if (!command_starts_with(p, end, "help"))
		return false;
	p = strstr(p, "help") + 4;
	return strspn(p, " \t") >= (size_t)(end - p);
}

/* One after the other, as they stand. Returns true at "quit". */
static bool run_line(struct cli_ctl *ctl, const char *text, int *ret_code)
{
	const char *end;

	for (const char *p = text; ; p = end + 1) {
		char *command;

		end = command_end(p);
		if (command_starts_with(p, end, "quit") || command_starts_with(p, end, "exit"))
			return true;
		if (strspn(p, " \t") < (size_t)(end - p) && p[strspn(p, " \t")] != '#') {
			command = strndup(p, (size_t)(end - p));
			if (!command)
				return true;
			*ret_code = is_own(p, end) ? run_own(ctl, command) :
						     run_virsh(ctl, command);
			if (is_help_all(p, end))
				run_own(ctl, "help pzone");
			free(command);
		}
		if (!*end)
			return false;
	}
}

/* ---- completion ---- */

/* malloc'ed, one word in a line; NULL: none */
static char *complete_by(int (*exec_it)(char **), char **words)
{
	char *argv[CLI_MAX_OPTS + 12];
	int r;

	make_argv(shell_ctl, argv, sizeof(argv) / sizeof(*argv), words);
	return capture_program(exec_it, argv, &r);
}

/* Adds the words that begin with text to found, behind found[*nr]. */
static void add_matches(char *words, const char *text, char **found, size_t *nr)
{
	char *save;

	for (char *w = words ? strtok_r(words, "\n", &save) : NULL; w;
	     w = strtok_r(NULL, "\n", &save))
		if (!strncmp(w, text, strlen(text)))
			found[++*nr] = strdup(w);
}

/* What readline wants in front of the matches: what they have in common. */
static char *common_prefix(char **found, size_t nr)
{
	size_t same = strlen(found[1]);

	for (size_t i = 2; i <= nr; i++)
		while (strncmp(found[i], found[1], same))
			same--;
	return strndup(found[1], same);
}

static char **complete(const char *text, int start, int end)
{
	char *words[CLI_MAX_OPTS] = { (char *)"complete", (char *)"--" };
	char **found, *line, *from, *ours = NULL, *theirs = NULL, *save;
	size_t n = 2, nr = 0;

	(void)end;
	line = strndup(rl_line_buffer, (size_t)start);
	if (!line)
		return NULL;
	from = strrchr(line, ';') ? strrchr(line, ';') + 1 : line;
	for (char *w = strtok_r(from, " \t", &save); w && n + 2 < CLI_MAX_OPTS;
	     w = strtok_r(NULL, " \t", &save))
		words[n++] = w;
	words[n++] = (char *)text;
	if (n == 3 || !strncmp(words[2], "pzone-", 6))
		ours = complete_by(exec_self_quietly, words);
	if (n == 3 || strncmp(words[2], "pzone-", 6))
		theirs = complete_by(exec_virsh_quietly, words);
	/* a word has a character and a line break at least */
	found = calloc((ours ? strlen(ours) : 0) + (theirs ? strlen(theirs) : 0) + 3, sizeof(*found));
	if (found) {
		add_matches(ours, text, found, &nr);
		add_matches(theirs, text, found, &nr);
	}
	if (nr == 1) {
		found[0] = found[1];
		found[1] = NULL;
	} else if (nr) {
		found[0] = common_prefix(found, nr);
	} else {
		free(found);
		found = NULL;
	}
	free(ours);
	free(theirs);
	free(line);
	return found;
}

/* ---- history ---- */

/* virsh's own file; "" when there is no place for it. */
static void history_path(char *path, size_t len)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	static const char *const parts[] = { "/libvirt", "/virsh" };

	if (cache && *cache)
		snprintf(path, len, "%s", cache);
	else
		snprintf(path, len, "%s/.cache", home ? home : "");
	mkdir(path, 0700);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path + strlen(path), len - strlen(path), "%s", parts[i]);
		mkdir(path, 0700);
	}
	snprintf(path + strlen(path), len - strlen(path), "/history");
}

static int history_size(void)
{
	const char *env = getenv("VIRSH_HISTSIZE");
	long n = env ? strtol(env, NULL, 10) : HISTORY_DEFAULT;

	return n >= 0 && n <= INT_MAX ? (int)n : HISTORY_DEFAULT;
}

/* ---- the shell ---- */

static int shell_terminal(struct cli_ctl *ctl)
{
	char path[PATH_MAX], *line;
	bool quit = false;
	int r = CLI_OK;

	rl_readline_name = "virsh";
	rl_attempted_completion_function = complete;
	rl_basic_word_break_characters = " \t\n;";
	history_path(path, sizeof(path));
	stifle_history(history_size());
	read_history(path);
	cli_extra(ctl, "Welcome to virsh, with pzone's commands for memory classes.\n\n"
		  "Type:  'help' for help with commands\n"
		  "       'quit' to quit\n\n");
	while (!quit && (line = readline(ctl->readonly ? "virsh > " : "virsh # "))) {
		if (*line) {
			add_history(line);
			quit = run_line(ctl, line, &r);
		}
		free(line);
	}
	if (!quit)
		putchar('\n');
	write_history(path);
	return CLI_OK;
}

/* r: the last command's status so far. */
static int shell_pipe(struct cli_ctl *ctl, int r)
{
	char *line = NULL;
	bool quit = false;
	size_t room = 0;

	while (!quit && getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		quit = run_line(ctl, line, &r);
	}
	free(line);
	return r;
}

/* ---- the front's pipe ---- */

/* The system's virsh that reads what is written to fd; all 0: there is none. */
struct feed {
	pid_t pid;
	int fd;
	char *connect;		/* the last such command that it got */
	char **cds;		/* all of these: each may start where the last one went */
	size_t nr_cds;
};

static int feed_start(struct feed *feed, char **argv)
{
	int fds[2];

	fflush(stdout);
	feed->pid = pipe2(fds, O_CLOEXEC) < 0 ? -1 : fork();
	if (feed->pid < 0)
		return fprintf(stderr, "error: can't start virsh: %s\n", strerror(errno)), CLI_ERROR;
	if (feed->pid == 0) {
		dup2(fds[0], STDIN_FILENO);
		signal(SIGPIPE, SIG_DFL);
		_exit(exec_virsh(argv));
	}
	close(fds[0]);
	feed->fd = fds[1];
	return CLI_OK;
}

/* Its end: with what is in the pipe, or with its "quit" before. */
static int feed_end(struct feed *feed)
{
	if (feed->pid <= 0)
		return feed->pid ? CLI_ERROR : CLI_OK;
	close(feed->fd);
	return wait_program(feed->pid);
}

/* Looks at each command of a line: is one ours, does one end it all? */
static void look_at_line(const char *text, bool *ret_ours, bool *ret_quit)
{
	const char *end;

	*ret_ours = *ret_quit = false;
	for (const char *p = text; ; p = end + 1) {
		end = command_end(p);
		if (is_help_all(p, end) ||
		    (is_own(p, end) && !command_starts_with(p, end, "pwd") &&
		     !command_starts_with(p, end, "connect") && !command_starts_with(p, end, "cd")))
			*ret_ours = true;
		if (command_starts_with(p, end, "quit") || command_starts_with(p, end, "exit"))
			*ret_quit = true;
		if (!*end || *ret_ours)
			return;
	}
}

/* Of a line that the other virsh got: where it is now, and at which connection. */
static void remember(struct feed *feed, const char *text)
{
	const char *end;

	for (const char *p = text; ; p = end + 1) {
		end = command_end(p);
		if (command_starts_with(p, end, "connect")) {
			free(feed->connect);
			feed->connect = strndup(p, (size_t)(end - p));
		} else if (command_starts_with(p, end, "cd")) {
			feed->cds = reallocarray(feed->cds, feed->nr_cds + 1, sizeof(*feed->cds));
			if (!feed->cds)
				abort();	/* nobody would know where it goes on */
			feed->cds[feed->nr_cds++] = strndup(p, (size_t)(end - p));
		}
		if (!*end)
			return;
	}
}

/* There this shell goes, too. */
static void take_over(struct cli_ctl *ctl, struct feed *feed)
{
	bool quiet = ctl->quiet;

	ctl->quiet = true;
	for (size_t i = 0; i < feed->nr_cds; i++)
		run_own(ctl, feed->cds[i]);
	if (feed->connect)
		run_own(ctl, feed->connect);
	ctl->quiet = quiet;
}

static void feed_free(struct feed *feed)
{
	for (size_t i = 0; i < feed->nr_cds; i++)
		free(feed->cds[i]);
	free(feed->cds);
	free(feed->connect);
}

static bool feed_line(struct feed *feed, const char *line, size_t len)
{
	while (len) {
		ssize_t n = write(feed->fd, line, len);

		if (n < 0 && errno != EINTR)
			return false;	/* it has ended */
		line += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Up to the first line with a command of ours, which *line then is; true: there is one. */
static bool feed_lines(struct feed *feed, char **argv, char **line)
{
	bool ours = false, quit = false;
	size_t room = 0;
	ssize_t len;

	while (!quit && (len = getline(line, &room, stdin)) > 0) {
		look_at_line(*line, &ours, &quit);
		if (ours || (!feed->pid && feed_start(feed, argv) != CLI_OK))
			return ours;
		quit |= !feed_line(feed, *line, (size_t)len);
		remember(feed, *line);
	}
	/* also without a line there are its greeting and its good-bye */
	if (!feed->pid)
		feed_start(feed, argv);
	return false;
}

static int shell_front(struct cli_ctl *ctl)
{
	struct feed feed = { 0 };
	char *line = NULL;
	bool ours;
	int r;

	signal(SIGPIPE, SIG_IGN);
	ours = feed_lines(&feed, ctl->argv, &line);
	r = feed_end(&feed);
	signal(SIGPIPE, SIG_DFL);
	if (ours) {
		take_over(ctl, &feed);
		line[strcspn(line, "\n")] = '\0';
		if (!run_line(ctl, line, &r))
			r = shell_pipe(ctl, r);
	}
	feed_free(&feed);
	free(line);
	return r;
}

/* The front leaves its own name in argv[0]. */
static bool called_by_front(const struct cli_ctl *ctl)
{
	const char *slash = strrchr(ctl->argv[0], '/');

	return !strcmp(slash ? slash + 1 : ctl->argv[0], "virsh");
}

int shell_run(struct cli_ctl *ctl)
{
	static const struct cli_group *groups[8] = { &shell_group };
	size_t n = 1;
	int r;

	for (const struct cli_group *const *g = ctl->groups; *g && n < 7; g++)
		groups[n++] = *g;
	ctl->groups = groups;
	shell_ctl = ctl;
	/* what a command reads (pzone-define -) must not be eaten before by stdio */
	setvbuf(stdin, NULL, _IONBF, 0);
	if (isatty(STDIN_FILENO))
		r = shell_terminal(ctl);
	else
		r = called_by_front(ctl) ? shell_front(ctl) : shell_pipe(ctl, CLI_OK);
	free(own_uri);
	ctl->uri = NULL;
	return r;
}
