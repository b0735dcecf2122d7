// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-exec: runs a command in a class.
 *
 * usage: pz-exec [-g CGROUP] CLASS COMMAND [ARGUMENT...]
 *   CLASS   written to pzone.class of the control group; "-" writes nothing
 *   -g      the control group, made if it is not there, below /sys/fs/cgroup
 *           (default: CLASS)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "pz-util.h"

#define ROOT "/sys/fs/cgroup"

static void put(const char *group, const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), ROOT "/%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("write of '%s' to %s", text, path);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *group = NULL, *class;
	char path[PATH_MAX];
	int opt;

	while ((opt = getopt(argc, argv, "+g:")) != -1) {
		if (opt != 'g')
			return EXIT_USAGE;
		group = optarg;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: pz-exec [-g CGROUP] CLASS COMMAND [ARGUMENT...]\n");
		return EXIT_USAGE;
	}
	class = argv[optind];
	if (!group)
		group = class;
	snprintf(path, sizeof(path), ROOT "/%s", group);
	if (mkdir(path, 0755) && errno != EEXIST)
		die("mkdir %s", path);
	if (strcmp(class, "-"))
		put(group, "pzone.class", class);
	put(group, "cgroup.procs", "0");
	execvp(argv[optind + 1], argv + optind + 1);
	die("%s", argv[optind + 1]);
}
