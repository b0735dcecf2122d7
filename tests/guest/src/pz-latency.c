// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-latency: how long a class that is out of memory waits until it has more.
 *
 * usage: pz-latency CLASS COUNT
 *
 * Watches the class's figures from outside, every 0.2 ms, and says for each of COUNT
 * events "oom" and the milliseconds from there until its size is larger, or that a
 * process was killed instead: "event 1: 23.4 ms", "event 2: killed after 101.0 ms".
 */
#include <fcntl.h>
#include <time.h>

#include "pz-util.h"

#define STEP_US	200

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static int open_figure(const char *class, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/pzone/class/%s/%s", class, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die("%s", path);
	return fd;
}

static void read_figure(int fd, char *buf, size_t len)
{
	ssize_t n = pread(fd, buf, len - 1, 0);

	if (n <= 0)
		die("the class is gone");
	buf[n] = '\0';
}

struct figures {
	unsigned long long size, oom, killed;
};

static struct figures look(int size_fd, int events_fd)
{
	struct figures f;
	char buf[128];

	read_figure(events_fd, buf, sizeof(buf));
	if (sscanf(buf, "oom %llu oom_kill %llu", &f.oom, &f.killed) != 2)
		die("'events' is not what it was: %s", buf);
	read_figure(size_fd, buf, sizeof(buf));
	f.size = strtoull(buf, NULL, 10);
	return f;
}

int main(int argc, char **argv)
{
	struct figures now, before;
	int size_fd, events_fd;
	unsigned long count;

	if (argc != 3) {
		fprintf(stderr, "usage: pz-latency CLASS COUNT\n");
		return EXIT_USAGE;
	}
	count = number(argv[2]);
	size_fd = open_figure(argv[1], "size");
	events_fd = open_figure(argv[1], "events");
	before = look(size_fd, events_fd);
	say("watching");
	for (unsigned long n = 1; n <= count; n++) {
		double began;

		do {
			usleep(STEP_US);
			now = look(size_fd, events_fd);
			if (now.oom == before.oom)
				before = now;	/* resized by hand, in between */
		} while (now.oom == before.oom);
		began = now_ms();
		while (now.size <= before.size && now.killed == before.killed) {
			usleep(STEP_US);
			now = look(size_fd, events_fd);
		}
		say(now.size > before.size ? "event %lu: %.1f ms" : "event %lu: killed after %.1f ms",
		    n, now_ms() - began);
		before = now;
	}
	return 0;
}
