// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * discard: what it costs this host to take a range of memory back from a process,
 * and nothing else. The limit of every way to shrink a guest.
 *
 * usage: discard anon|thp|memfd|hugetlb MIB [untouched]
 *
 * Maps the range as QEMU maps a memory backend, touches it (unless "untouched"), and
 * discards it by the calls that QEMU's ram_block_discard_range() makes for it. Says
 * "touch_us N discard_us N back_mib N": the last from the kernel's own count of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024UL * 1024)
#define ALIGN (2 * MIB)
#define PAGE 4096UL

static void die(const char *what)
{
	fprintf(stderr, "discard: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* of the file, or of the process */
static unsigned long held_mib(int fd)
{
	unsigned long pages = 0;
	struct stat st;
	FILE *f;

	if (fd >= 0) {
		if (fstat(fd, &st))
			die("fstat");
		return st.st_blocks * 512UL / MIB;
	}
	f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		die("/proc/self/statm");
	fclose(f);
	return pages * PAGE / MIB;
}

static char *map(const char *kind, size_t bytes, int *fd)
{
	char *mem;

	if (!strcmp(kind, "memfd") || !strcmp(kind, "hugetlb")) {
		*fd = memfd_create("discard", !strcmp(kind, "hugetlb") ? MFD_HUGETLB : 0);
		if (*fd < 0 || ftruncate(*fd, bytes))
			die("memfd_create");
		mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
		if (mem == MAP_FAILED)
			die("mmap (are there enough free huge pages?)");
		return mem;
	}
	mem = mmap(NULL, bytes + ALIGN, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	mem = (char *)(((unsigned long)mem + ALIGN - 1) & ~(ALIGN - 1));
	if (madvise(mem, bytes, !strcmp(kind, "thp") ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		die("madvise for huge pages");
	return mem;
}

int main(int argc, char **argv)
{
	double start, touch_us, discard_us;
	unsigned long before;
	size_t bytes;
	char *mem;
	int fd = -1;

	if (argc < 3 || argc > 4 || !strstr(" anon thp memfd hugetlb ", argv[1]) || atol(argv[2]) <= 0 ||
	    (argc == 4 && strcmp(argv[3], "untouched"))) {
		fprintf(stderr, "usage: discard anon|thp|memfd|hugetlb MIB [untouched]\n");
		return 64;
	}
	bytes = atol(argv[2]) * MIB;
	mem = map(argv[1], bytes, &fd);
	start = now_us();
	for (size_t i = 0; argc < 4 && i < bytes; i += PAGE)
		mem[i] = 1;
	touch_us = now_us() - start;
	before = held_mib(fd);

	start = now_us();
	if (fd >= 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes))
		die("fallocate");
	if (strcmp(argv[1], "hugetlb") && madvise(mem, bytes, MADV_DONTNEED))
		die("madvise");
	discard_us = now_us() - start;
	printf("touch_us %.0f discard_us %.1f back_mib %lu\n", touch_us, discard_us,
	       before - held_mib(fd));
	return 0;
}
