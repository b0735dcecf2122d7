// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-lock: maps files and locks them in memory.
 *
 * usage: pz-lock [-m] FILE...
 *   -m  map and read them only, do not lock
 *
 * Says "pid N", "locked MIB" and "holding"; SIGTERM ends it: "ok".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "pz-util.h"

static size_t map(const char *path, bool lock)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	char *mem;

	if (fd < 0 || fstat(fd, &st))
		die("%s", path);
	mem = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		die("mmap of %s", path);
	if (lock && mlock(mem, st.st_size))
		die("mlock of %s", path);
	for (off_t i = 0; i < st.st_size; i += PAGE)
		*(volatile char *)(mem + i);
	close(fd);
	return st.st_size;
}

int main(int argc, char **argv)
{
	bool lock = argc < 2 || strcmp(argv[1], "-m");
	int i = lock ? 1 : 2;
	size_t sum = 0;

	if (argc <= i) {
		fprintf(stderr, "usage: pz-lock [-m] FILE...\n");
		return EXIT_USAGE;
	}
	take_signals();
	say("pid %d", getpid());
	for (; i < argc; i++)
		sum += map(argv[i], lock);
	say("locked %zu", sum / MIB);
	say("holding");
	while (!told_end)
		wait_signal();
	say("ok");
	return 0;
}
