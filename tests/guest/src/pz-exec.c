// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-exec: runs a command in a class.
 *
 * usage: pz-exec [-g CGROUP] [-u UID] CLASS COMMAND [ARGUMENT...]
 *   CLASS   written to pzone.class of the control group; "-" writes nothing
 *   -g      the control group, made if it is not there, below /sys/fs/cgroup
 *           (default: CLASS)
 *   -u      run the command as this user, without any capability
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
	unsigned long uid = 0;
	int opt;

	while ((opt = getopt(argc, argv, "+g:u:")) != -1) {
		switch (opt) {
		case 'g': group = optarg; break;
		case 'u': uid = number(optarg); break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: pz-exec [-g CGROUP] [-u UID] CLASS COMMAND [ARGUMENT...]\n");
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
	if (uid && (setgid(uid) || setuid(uid)))
		die("uid %lu", uid);
	execvp(argv[optind + 1], argv + optind + 1);
	die("%s", argv[optind + 1]);
}
