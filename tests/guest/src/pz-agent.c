/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pz-agent: runs shell commands in the guest for a test on the host.
 *
 * Concepts
 *
 *   port     the virtio-serial port "org.pzone.agent.0". There is no udev, so
 *            it is found through /sys/class/virtio-ports/<port>/name. Or the
 *            terminal that is named as argument (a Xen guest's console).
 *   request  one line and its payload:
 *              R <id> <len>\n<len bytes: a command for /bin/sh -c>
 *              K <id>\n              kill the command's process group
 *              S <nonce>\n           here is a (new) client, see below
 *   answer   likewise:
 *              O <id> <len>\n<bytes> what it wrote to stdout
 *              E <id> <len>\n<bytes> what it wrote to stderr
 *              X <id> <status>\n     it ended; 128 + signal if it was killed
 *              S <nonce>\n           in step with that client
 *              H <boot id>\n         an agent has just started
 *              F <id> <errno>\n      the command could not be started
 *
 * A client can go away in the middle of anything: it is killed, or the whole
 * VM is saved and restored under another QEMU. Requests are UTF-8, which never
 * holds the byte 0xff, so 0xff means "forget the half request that you have".
 * Every S and H answer has a 0xff before it, for the same reason. A client
 * starts with 0xff and S with a nonce of its own and throws away everything
 * up to the answer. Commands of an earlier client run on, and what they
 * write is dropped.
 *
 * Every command has a process of its own, so one that hangs holds up nobody.
 * A command is done when its shell has ended: a process that it left in the
 * background may keep the pipes, but what it writes later is lost.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PORT_NAME	"org.pzone.agent.0"
#define MAX_COMMANDS	32		/* at a time */
#define MAX_REQUEST	(256 * 1024)	/* bytes of one command */
#define MAX_LINE	80		/* of a request's first line */
#define OUT_HIGH	(1024 * 1024)	/* stop reading commands' output here */
#define CHUNK		16384

struct command {
	bool used;
	bool orphan;		/* its client is gone: drop what it writes */
	unsigned long id;
	pid_t pid;		/* also its process group */
	int fd[2];		/* read ends for stdout and stderr, or -1 */
	bool ended;
	int status;
};

static struct command commands[MAX_COMMANDS];

static int port = -1;
static bool host_there;

/* request being read */
static char *in;
static size_t in_bytes;

/* answers not written yet: out[out_start .. out_end) */
static char *out;
static size_t out_start, out_end, out_room;

static void die(const char *what)
{
	fprintf(stderr, "pz-agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void out_put(const void *data, size_t bytes)
{
	if (out_start == out_end)
		out_start = out_end = 0;
	if (out_end + bytes > out_room) {
		memmove(out, out + out_start, out_end - out_start);
		out_end -= out_start;
		out_start = 0;
		while (out_end + bytes > out_room)
			out_room = out_room ? out_room * 2 : 65536;
		out = realloc(out, out_room);
		if (!out)
			die("realloc");
	}
	memcpy(out + out_end, data, bytes);
	out_end += bytes;
}

static void out_line(const char *fmt, ...)
{
	char line[128];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	out_put(line, n);
}

static void say_hello(void)
{
	char id[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, id, sizeof(id) - 1);
		close(fd);
	}
	id[n > 0 ? strcspn(id, "\n") : 0] = '\0';
	out_line("\xffH %s\n", id[0] ? id : "?");
}

/* Return the port's fd, or -1 if the VM has no such port (yet). */
static int port_open(void)
{
	static const char dir[] = "/sys/class/virtio-ports";
	char path[600], name[64];
	struct dirent *de;
	int found = -1;
	ssize_t n;
	DIR *d;
	int fd;

	d = opendir(dir);
	if (!d)
		return -1;
	while (found < 0 && (de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/name", dir, de->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, name, sizeof(name) - 1);
		close(fd);
		if (n <= 0)
			continue;
		name[n] = '\0';
		name[strcspn(name, "\n")] = '\0';
		if (strcmp(name, PORT_NAME))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", de->d_name);
		found = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	closedir(d);
	return found;
}

static int tty_open(const char *path)
{
	struct termios raw;
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &raw))
		die(path);
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw))
		die(path);
	return fd;
}

static struct command *command_find(unsigned long id)
{
	for (int i = 0; i < MAX_COMMANDS; i++)
		if (commands[i].used && !commands[i].orphan && commands[i].id == id)
			return &commands[i];
	return NULL;
}

static void child(const char *text, int fd_out, int fd_err)
{
	static const char *const env[] = {
		"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=dumb", NULL,
	};
	sigset_t none;
	int fd;

	setsid();
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fd = open("/dev/null", O_RDONLY);
	if (fd < 0 || dup2(fd, 0) < 0 || dup2(fd_out, 1) < 0 || dup2(fd_err, 2) < 0)
		_exit(127);
	/* the agent itself is not to be killed for lack of memory; this is */
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "0", 1) != 1)
		_exit(127);
	execle("/bin/sh", "sh", "-c", text, NULL, env);
	_exit(127);
}

static void command_start(unsigned long id, const char *text)
{
	int o[2] = { -1, -1 }, e[2] = { -1, -1 };
	struct command *c = NULL;
	int err = 0;

	for (int i = 0; i < MAX_COMMANDS && !c; i++)
		if (!commands[i].used)
			c = &commands[i];
	if (!c || command_find(id)) {
		err = c ? EEXIST : EAGAIN;
		goto out;
	}
	if (pipe2(o, O_CLOEXEC) || pipe2(e, O_CLOEXEC)) {
		err = errno;
		goto out;
	}
	c->pid = fork();
	if (c->pid < 0) {
		err = errno;
		goto out;
	}
	if (!c->pid)
		child(text, o[1], e[1]);
	c->used = true;
	c->orphan = c->ended = false;
	c->id = id;
	c->fd[0] = o[0];
	c->fd[1] = e[0];
	/* not before the fork: the child wants its ends to block */
	fcntl(o[0], F_SETFL, O_NONBLOCK);
	fcntl(e[0], F_SETFL, O_NONBLOCK);
	o[0] = e[0] = -1;
out:
	for (int i = 0; i < 2; i++) {
		if (o[i] >= 0)
			close(o[i]);
		if (e[i] >= 0)
			close(e[i]);
	}
	if (err)
		out_line("F %lu %d\n", id, err);
}

/* Pass on what the command has written so far. */
static void command_read(struct command *c, int which)
{
	char buf[CHUNK];
	ssize_t n;

	while (c->fd[which] >= 0 && out_end - out_start < OUT_HIGH) {
		n = read(c->fd[which], buf, sizeof(buf));
		if (n > 0) {
			if (!c->orphan) {
				out_line("%c %lu %zd\n", which ? 'E' : 'O', c->id, n);
				out_put(buf, n);
			}
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		close(c->fd[which]);
		c->fd[which] = -1;
	}
}

/* Report a command whose shell has ended, once all that it wrote is passed on. */
static void command_finish(struct command *c)
{
	int status = WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) :
					      WEXITSTATUS(c->status);

	command_read(c, 0);
	command_read(c, 1);
	if (out_end - out_start >= OUT_HIGH)
		return;
	if (!c->orphan)
		out_line("X %lu %d\n", c->id, status);
	for (int i = 0; i < 2; i++) {
		if (c->fd[i] >= 0)
			close(c->fd[i]);
		c->fd[i] = -1;
	}
	c->used = false;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < MAX_COMMANDS; i++) {
			if (commands[i].used && !commands[i].ended &&
			    commands[i].pid == pid) {
				commands[i].ended = true;
				commands[i].status = status;
			}
		}
	}
}

static void client_new(const char *nonce)
{
	for (int i = 0; i < MAX_COMMANDS; i++)
		commands[i].orphan = true;
	out_start = out_end = 0;
	out_line("\xffS %s\n", nonce);
}

/*
 * Obey the requests that are complete. A line that makes no sense is dropped:
 * the client's own time limit finds out.
 */
static void requests(void)
{
	unsigned long id, len;
	struct command *c;
	char nonce[MAX_LINE];
	size_t used = 0;
	char *line, *end, *text;
	int body;

	for (;;) {
		line = in + used;
		end = memchr(line, '\n', in_bytes - used);
		if (!end) {
			if (in_bytes - used > MAX_LINE)
				used = in_bytes;
			break;
		}
		*end = '\0';
		body = 0;
		if (sscanf(line, "R %lu %lu", &id, &len) == 2 && len <= MAX_REQUEST) {
			if (in_bytes - (end + 1 - in) < len) {
				*end = '\n';
				break;
			}
			text = strndup(end + 1, len);
			if (!text)
				die("strndup");
			command_start(id, text);
			free(text);
			body = len;
		} else if (sscanf(line, "K %lu", &id) == 1) {
			c = command_find(id);
			if (c && !c->ended)
				kill(-c->pid, SIGKILL);
		} else if (sscanf(line, "S %78[0-9a-zA-Z]", nonce) == 1) {
			client_new(nonce);
		}
		used = end + 1 - in + body;
	}
	memmove(in, in + used, in_bytes - used);
	in_bytes -= used;
}

static void port_read(void)
{
	ssize_t n;
	char *ff;

	n = read(port, in + in_bytes, MAX_REQUEST + MAX_LINE + 1 - in_bytes);
	if (n <= 0) {
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die("port");
		return;
	}
	in_bytes += n;
	/* what stands before the last 0xff is finished or forgotten */
	ff = memrchr(in + in_bytes - n, 0xff, n);
	if (ff) {
		in_bytes -= ff + 1 - in;
		memmove(in, ff + 1, in_bytes);
	}
	requests();
}

static void port_write(void)
{
	ssize_t n = write(port, out + out_start, out_end - out_start);

	if (n > 0)
		out_start += n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("port");
}

static void loop(int sig)
{
	struct pollfd p[2 + 2 * MAX_COMMANDS];
	struct signalfd_siginfo info;
	int nr, timeout_ms;

	for (;;) {
		/*
		 * With nobody connected the port polls as hung up all the time:
		 * look only now and then.
		 */
		p[0].fd = host_there ? port : -1;
		p[0].events = POLLIN | (out_end > out_start ? POLLOUT : 0);
		p[1].fd = sig;
		p[1].events = POLLIN;
		timeout_ms = host_there ? -1 : 50;
		nr = 2;
		for (int i = 0; i < MAX_COMMANDS; i++) {
			struct command *c = &commands[i];

			for (int k = 0; k < 2; k++) {
				p[nr].fd = -1;
				p[nr].revents = 0;
				p[nr].events = POLLIN;
				if (c->used && out_end - out_start < OUT_HIGH)
					p[nr].fd = c->fd[k];
				nr++;
			}
		}
		if (poll(p, nr, timeout_ms) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents & POLLIN) {
			if (read(sig, &info, sizeof(info)) > 0)
				reap();
		}
		for (int i = 0; i < MAX_COMMANDS; i++) {
			struct command *c = &commands[i];

			for (int k = 0; k < 2; k++)
				if (c->used && p[2 + 2 * i + k].revents)
					command_read(c, k);
			if (c->used && c->ended)
				command_finish(c);
		}
		p[0].fd = port;
		p[0].events = POLLIN | POLLOUT;
		if (poll(p, 1, 0) < 0)
			continue;
		/* data may wait although its sender has left already */
		if (p[0].revents & POLLIN)
			port_read();
		host_there = !(p[0].revents & POLLHUP);
		if (host_there && (p[0].revents & POLLOUT) && out_end > out_start)
			port_write();
		if (!host_there && out_end - out_start >= OUT_HIGH)
			out_start = out_end = 0;
	}
}

int main(int argc, char **argv)
{
	sigset_t set;
	int fd, sig;

	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "-1000", 5) != 5)
		die("oom_score_adj");
	close(fd);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sig = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	in = malloc(MAX_REQUEST + MAX_LINE + 2);
	if (sig < 0 || !in)
		die("start");
	if (argc > 1)
		port = tty_open(argv[1]);
	while (port < 0 && (port = port_open()) < 0)
		usleep(200 * 1000);
	say_hello();
	loop(sig);
	return 0;
}
