// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-relay: connects a virtio-serial port of dom0 with the console of a domain,
 * so that a test outside can talk to the domain's agent.
 *
 *   pz-relay PORT-NAME TTY
 *
 * Bytes only; both ends know how to get in step again. Ends when the tty does.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int port_open(const char *want)
{
	static const char dir[] = "/sys/class/virtio-ports";
	char path[600], name[64];
	struct dirent *de;
	DIR *d = opendir(dir);
	int found = -1;

	while (d && found < 0 && (de = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s/name", dir, de->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%63s", name) == 1 && !strcmp(name, want)) {
			snprintf(path, sizeof(path), "/dev/%s", de->d_name);
			found = open(path, O_RDWR | O_NONBLOCK);
		}
		fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

static void write_all(int fd, const char *buf, ssize_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, buf, n);

		if (done < 0 && errno == EAGAIN) {
			poll(&(struct pollfd) { .fd = fd, .events = POLLOUT }, 1, 100);
			continue;
		}
		if (done <= 0)
			return;		/* nobody there: it is lost, as on a wire */
		buf += done;
		n -= done;
	}
}

int main(int argc, char **argv)
{
	struct termios raw;
	struct pollfd p[2];
	char buf[4096];
	ssize_t n;

	if (argc != 3)
		errx(2, "usage: pz-relay PORT-NAME TTY");
	/* Only one at a time may have it: the one before us may still be ending. */
	for (int i = 0; i < 100 && (p[0].fd = port_open(argv[1])) < 0; i++)
		usleep(50000);
	if (p[0].fd < 0)
		err(1, "port %s", argv[1]);
	p[1].fd = open(argv[2], O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (p[1].fd < 0 || tcgetattr(p[1].fd, &raw))
		err(1, "%s", argv[2]);
	cfmakeraw(&raw);
	tcsetattr(p[1].fd, TCSANOW, &raw);
	for (;;) {
		p[0].events = p[1].events = POLLIN;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			err(1, "poll");
		if (p[0].revents & POLLIN) {
			n = read(p[0].fd, buf, sizeof(buf));
			if (n > 0)
				write_all(p[1].fd, buf, n);
		} else if (p[0].revents & POLLHUP) {
			usleep(50000);	/* nobody is connected outside */
		}
		if (p[1].revents & POLLIN) {
			n = read(p[1].fd, buf, sizeof(buf));
			if (n <= 0 && errno != EAGAIN)
				return 0;
			write_all(p[0].fd, buf, n);
		} else if (p[1].revents & (POLLHUP | POLLERR)) {
			return 0;
		}
	}
}
