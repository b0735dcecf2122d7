// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-touch: brings memory into the states that the benchmark shrinks it in.
 *
 * usage: pz-touch [-T] MIB        touch it and free it again
 *        pz-touch -H MIB          touch it, free every second page by chance, hold the rest
 *        pz-touch -f FILE MIB     read FILE (a hole will do) into the page cache
 *        pz-touch -m [-f FILE] [-c PAGES] MIB
 *                                 the same for counting: between two markers of the
 *                                 plugin tests/bench/insn.c lie PAGES pages
 *        pz-touch -m -o FILE [-c OPENS] MIB
 *                                 open and close FILE once for each page of MIB
 *   -T   ask for transparent huge pages: fast
 *
 * Says "touched_us N" (and with -m "freed_us N"), with -H then "holding" until SIGTERM. With -m
 * it also says "chunk_us N..." with the time of each chunk.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#include "pz-util.h"

#define BUFFER	(128 * 1024UL)	/* of a read */

static bool marked;
static unsigned long chunk = 512;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static inline void mark(void)
{
	if (marked)
		asm volatile("xchg %%bx, %%bx" ::: "memory");
}

static char *map(unsigned long bytes, int advice)
{
	char *mem = mmap(NULL, bytes + 2 * MIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap of %lu MiB", bytes / MIB);
	mem = (char *)(((uintptr_t)mem + 2 * MIB - 1) & ~(2 * MIB - 1));
	if (advice)
		huge_pages(mem, bytes, advice);
	return mem;
}

static char chunks[500] = "chunk_us";

/* A marker, and the time that the chunk took, if the line has room for it. */
static void chunk_ends(double start)
{
	size_t len = strlen(chunks);

	mark();
	if (len < sizeof(chunks) - 20)
		snprintf(chunks + len, sizeof(chunks) - len, " %.0f", now_us() - start);
}

static void read_file(const char *name, unsigned long bytes)
{
	char *buffer = aligned_alloc(PAGE, BUFFER);
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		die("%s", name);
	memset(buffer, 1, BUFFER);
	mark();
	for (unsigned long at = 0; at < bytes;) {
		double start = now_us();

		for (unsigned long end = at + chunk * PAGE; at < end && at < bytes; at += BUFFER)
			if (pread(fd, buffer, BUFFER, at) != (ssize_t)BUFFER)
				die("read of %s at %lu", name, at);
		chunk_ends(start);
	}
}

static void open_file(const char *name, unsigned long times)
{
	mark();
	for (unsigned long i = 0; i < times;) {
		double start = now_us();

		for (unsigned long end = i + chunk; i < end && i < times; i++) {
			int fd = open(name, O_RDONLY);

			if (fd < 0)
				die("%s", name);
			close(fd);
		}
		chunk_ends(start);
	}
}

static void touch(char *mem, unsigned long bytes)
{
	mark();
	for (unsigned long at = 0; at < bytes;) {
		double start = now_us();

		for (unsigned long end = at + chunk * PAGE; at < end && at < bytes; at += PAGE)
			mem[at] = 1;
		chunk_ends(start);
	}
}

/* Which of two ranges a page goes to is chance; one of them is freed. */
static void half(unsigned long bytes)
{
	char *kept = map(bytes, MADV_NOHUGEPAGE), *freed = map(bytes, MADV_NOHUGEPAGE);

	for (unsigned long i = 0; i < bytes / PAGE; i++)
		(mix(i) & 1 ? kept : freed)[i * PAGE] = 1;
	if (munmap(freed, bytes))
		die("munmap");
}

int main(int argc, char **argv)
{
	unsigned long bytes;
	const char *file = NULL, *opened = NULL;
	bool hold = false;
	int opt, advice = MADV_NOHUGEPAGE;
	double start;
	char *mem = NULL;

	while ((opt = getopt(argc, argv, "THf:o:mc:")) != -1) {
		switch (opt) {
		case 'T': advice = MADV_HUGEPAGE; break;
		case 'H': hold = true; break;
		case 'f': file = optarg; break;
		case 'o': opened = optarg; break;
		case 'm': marked = true; break;
		case 'c': chunk = number(optarg); break;
		default: return EXIT_USAGE;
		}
	}
	if (optind != argc - 1 || !chunk) {
		fprintf(stderr, "usage: pz-touch [-T|-H|-f FILE|-o FILE] [-m] [-c PAGES] MIB\n");
		return EXIT_USAGE;
	}
	bytes = number(argv[optind]) * MIB;
	take_signals();
	say("pid %d", getpid());

	start = now_us();
	if (opened) {
		open_file(opened, bytes / PAGE);
	} else if (file) {
		read_file(file, bytes);
	} else if (hold) {
		half(bytes);
	} else {
		mem = map(bytes, advice);
		touch(mem, bytes);
	}
	say("touched_us %.0f", now_us() - start);
	if (marked)
		say("%s", chunks);
	if (mem) {
		start = now_us();
		mark();
		munmap(mem, bytes);
		mark();
		say("freed_us %.0f", now_us() - start);
	}
	if (hold) {
		say("holding");
		while (!told_end)
			wait_signal();
	}
	return 0;
}
