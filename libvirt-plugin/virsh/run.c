// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * run.c - what the front and the shell share; see run.h
 */
#include "run.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* without a letter; virsh has it in newer versions */
enum { OPT_NO_PKTTYAGENT = 256 };

const struct option global_options_of_virsh[] = {
	{ "connect", required_argument, NULL, 'c' },
	{ "debug", required_argument, NULL, 'd' },
	{ "escape", required_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ "keepalive-interval", required_argument, NULL, 'k' },
	{ "keepalive-count", required_argument, NULL, 'K' },
	{ "log", required_argument, NULL, 'l' },
	{ "no-pkttyagent", no_argument, NULL, OPT_NO_PKTTYAGENT },
	{ "quiet", no_argument, NULL, 'q' },
	{ "readonly", no_argument, NULL, 'r' },
	{ "timing", no_argument, NULL, 't' },
	{ "version", optional_argument, NULL, 'v' },
	{ 0 }
};

/* The exit code as a shell sees it. */
int wait_program(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

int run_program(int (*exec_it)(char **), char **argv)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return fprintf(stderr, "error: can't start another program: %s\n",
			       strerror(errno)), 1;
	if (pid == 0)
		_exit(exec_it(argv));
	return wait_program(pid);
}

char *capture_program(int (*exec_it)(char **), char **argv, int *ret_code)
{
	size_t len = 0, size = 0;
	char *buf = NULL, *more;
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (pipe(fds) < 0)
		return NULL;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		_exit(exec_it(argv));
	}
	close(fds[1]);
	while (pid > 0) {
		if (size - len < 4096) {
			more = realloc(buf, size + 65536);
			if (!more)
				break;
			buf = more;
			size += 65536;
		}
		n = read(fds[0], buf + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	close(fds[0]);
	*ret_code = pid > 0 ? wait_program(pid) : 1;
	if (buf)
		buf[len] = '\0';
	return buf;
}

const char *command_end(const char *p)
{
	bool dquote = false, word = false;

	for (; *p; p++) {
		if (!dquote && (*p == ';' || *p == '\n'))
			return p;
		if (!dquote && !word && *p == '#') {
			p += strcspn(p, "\n");
			return p;
		}
		if (!dquote && *p == '\'') {
			p += 1 + strcspn(p + 1, "'");
			if (!*p)
				return p;
		} else if (*p == '"') {
			dquote = !dquote;
		} else if (*p == '\\' && p[1]) {
			p++;
		}
		word = dquote || !isspace((unsigned char)*p);
	}
	return p;
}

bool command_starts_with(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return (size_t)(end - p) >= n && !strncmp(p, word, n) &&
	       (word[n - 1] == '-' || p + n == end ||
		isspace((unsigned char)p[n]));
}
