// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pzone-exec - run a command in a memory class (pzone)
 *
 * A class holds the tasks of the control groups that name it. This makes a
 * control group below the caller's own, so that every limit that the caller is
 * under stays in force, names the class in it, enters it and becomes the
 * command: same process, same terminal, same parent. Nothing stays behind that
 * could remove the group afterwards; it is called after the class, so that the
 * next call finds it again, and systemd removes it along with the unit or the
 * session that it is in.
 *
 * With --self there is no new group and no command: the class is given to the
 * control group that the caller is in, which in ExecStartPre= is the service's.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SYSFS	"/sys/kernel/mm/pzone"

/* as env(1), nice(1) and the like; the command's own status is any other */
enum { EXIT_OURS = 125, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

static char own_group[PATH_MAX];	/* the directory that we started in */
static char new_group[PATH_MAX];	/* that we run the command in; "": none */
static bool made_group, entered_group;

static int put(const char *group, const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd, err = 0;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%s", group, file) >= (int)sizeof(path))
		return ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		err = errno;
	close(fd);
	return err;
}

/* Say it and end, leaving no control group behind. */
static void __attribute__((format(printf, 2, 3), noreturn)) fail(int status, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "pzone-exec: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (entered_group)
		put(own_group, "cgroup.procs", "0");
	if (made_group)
		rmdir(new_group);
	exit(status);
}

/* ---- which control group is ours ---- */

static void find_mount(char *ret_dir, size_t len)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;

	if (!f)
		fail(EXIT_OURS, "/proc/self/mounts can't be read: %s; is /proc mounted?", strerror(errno));
	while ((m = getmntent(f))) {
		if (!strcmp(m->mnt_type, "cgroup2")) {
			snprintf(ret_dir, len, "%s", m->mnt_dir);
			endmntent(f);
			return;
		}
	}
	fail(EXIT_OURS, "no cgroup v2 hierarchy is mounted; mount -t cgroup2 none /sys/fs/cgroup");
}

static void find_own_group(void)
{
	char mount[PATH_MAX], line[PATH_MAX];
	FILE *f;

	find_mount(mount, sizeof(mount));
	f = fopen("/proc/self/cgroup", "re");
	if (!f)
		fail(EXIT_OURS, "/proc/self/cgroup can't be read: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		/* "/../x": a namespace that began elsewhere */
		if (!strncmp(line + 3, "/..", 3))
			fail(EXIT_OURS, "this process is in control group '%s', outside of its namespace", line + 3);
		fclose(f);
		if (snprintf(own_group, sizeof(own_group), "%s%s", mount,
			     strcmp(line + 3, "/") ? line + 3 : "") >= (int)sizeof(own_group))
			fail(EXIT_OURS, "the path of this process's control group is too long");
		return;
	}
	fail(EXIT_OURS, "/proc/self/cgroup names no cgroup v2 group");
}

/* ---- is there such a class ---- */

/* "none" and "" (as the parent) are settings, no classes: always there. */
static bool class_is_there(const char *name)
{
	char path[PATH_MAX];

	if (!*name || !strcmp(name, "none"))
		return true;
	snprintf(path, sizeof(path), SYSFS "/class/%s", name);
	return access(path, F_OK) == 0;
}

static bool wait_for_class(const char *name, unsigned int seconds)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (;;) {
		if (class_is_there(name))
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
			return false;
		nanosleep(&pause, NULL);
	}
}

static void check_class(const char *name, unsigned int wait_seconds, bool later)
{
	if (strchr(name, '/'))		/* would be another directory of sysfs */
		fail(EXIT_OURS, "'%s' is not a name of a class", name);
	if (access(SYSFS, F_OK))
		fail(EXIT_OURS, "this kernel has no pzone support ("SYSFS" is not there): boot one that has, without pzone=off");
	if (!wait_for_class(name, wait_seconds) && !later)
		fail(EXIT_OURS, "there is no class '%s'; 'ls "SYSFS"/class' shows those there are, --later takes one that is still to come",
		     name);
}

/* ---- doing it ---- */

static void set_class(const char *group, const char *class)
{
	/* a write of nothing would not reach the kernel */
	int err = put(group, "pzone.class", *class ? class : "\n");

	switch (err) {
	case 0:
		return;
	case EINVAL:
		fail(EXIT_OURS, "'%s' is not a name of a class", class);
	case EPERM:
	case EACCES:
		fail(EXIT_OURS, "not allowed to set the class of %s: that takes root (CAP_SYS_RESOURCE), outside of any container",
		     group);
	case ENOENT:
		fail(EXIT_OURS, "%s has no pzone.class: the root of all control groups has no class, nor has any of a kernel without pzone support",
		     group);
	default:
		fail(EXIT_OURS, "the class '%s' can't be written to %s/pzone.class: %s", class, group, strerror(err));
	}
}

static void enter_group(const char *class)
{
	int err;

	if (snprintf(new_group, sizeof(new_group), "%s/pzone-%s", own_group, class) >=
	    (int)sizeof(new_group))
		fail(EXIT_OURS, "the path of a control group below %s is too long", own_group);
	made_group = mkdir(new_group, 0755) == 0;
	if (!made_group && errno != EEXIST)
		fail(EXIT_OURS, "can't make the control group %s: %s%s", new_group, strerror(errno),
		     errno == EACCES || errno == EPERM ? "; run it as root" : "");
	set_class(new_group, class);
	err = put(new_group, "cgroup.procs", "0");
	if (err)
		fail(EXIT_OURS, "can't enter the control group %s: %s", new_group, strerror(err));
	entered_group = true;
}

static unsigned int seconds_of(const char *text)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v > 86400)
		fail(EXIT_OURS, "'%s' is not a number of seconds from 0 to 86400", text);
	return v;
}

static const char usage[] =
	"usage: pzone-exec [-l] [-w SECONDS] CLASS COMMAND [ARGUMENT...]\n"
	"       pzone-exec --self [-l] [-w SECONDS] CLASS\n"
	"\n"
	"Run COMMAND with all its memory from the memory class CLASS.\n"
	"\n"
	"  -s, --self          run nothing: give the class to the control group that\n"
	"                      this is in, for ExecStartPre=+ of a systemd service\n"
	"  -w, --wait SECONDS  wait so long for a class that is not there\n"
	"  -l, --later         go on if it is still not there: ordinary memory is used\n"
	"                      until it comes\n"
	"  -h, --help          this help\n"
	"\n"
	"CLASS 'none' means no class. Classes are in " SYSFS "/class.\n";

int main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "self", no_argument, NULL, 's' },
		{ "later", no_argument, NULL, 'l' },
		{ "wait", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	bool self = false, later = false;
	unsigned int wait_seconds = 0;
	const char *class;
	int opt, n, err;

	while ((opt = getopt_long(argc, argv, "+slw:h", longopts, NULL)) != -1) {
		switch (opt) {
		case 's':
			self = true;
			break;
		case 'l':
			later = true;
			break;
		case 'w':
			wait_seconds = seconds_of(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fail(EXIT_OURS, "--help says how it is used");
		}
	}
	n = argc - optind;
	class = n ? argv[optind] : "";
	if (n < 1)
		fail(EXIT_OURS, "no class is named; --help says how it is used");
	if (self ? n > 1 : n < 2)
		fail(EXIT_OURS, self ? "--self takes no command, and there is '%s'" : "no command is named, only the class '%s'",
		     argv[optind + self]);
	if (!self && !*class)
		fail(EXIT_OURS, "the class has an empty name; 'none' means no class");
	find_own_group();
	check_class(class, wait_seconds, later);
	if (self) {
		set_class(own_group, class);
		return 0;
	}
	enter_group(class);
	execvp(argv[optind + 1], argv + optind + 1);
	err = errno;
	fail(err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN, "%s: %s", argv[optind + 1], strerror(err));
}
