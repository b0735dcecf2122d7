// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-hog: takes memory in steps, says how far it got, and holds it.
 *
 * usage: pz-hog [options] MIB
 *   -s MIB    size of a step (default 8)
 *   -f FILE   take page cache instead of anonymous memory: write FILE
 *   -F FILE   the same, but read a FILE that is there
 *   -m        map FILE shared and touch it through the mapping
 *   -T        ask for transparent huge pages    -N  ask for none
 *   -d MS     wait between two steps
 *   -x        do not hold: verify once and end
 *   -H        hold a page of the hugetlb pool besides
 *   -L        the thread that main() began with ends, another one holds
 *   -c FILE   when holding, write the pid of a child made by vfork(), which has this
 *             memory, too, to FILE, and say "child N"; it ends by a signal
 *
 * Says "pid N", "took N" (MiB so far) after each step, then "holding". SIGUSR1:
 * verifies everything and says "verified N". SIGTERM: verifies and ends with
 * status 0, or 2 and a line "CORRUPT" if a page was not what it should be.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "pz-util.h"

static char *mem;		/* anonymous, or the mapped file */
static char *buffer;		/* one page, for read and write */
static int fd = -1;
static uint64_t seed;
static unsigned long done_mib;
static char *pool;		/* a page of the hugetlb pool */

static uint64_t key(unsigned long page)
{
	return seed + page + 1;
}

static void verify(unsigned long pages)
{
	int bad;

	for (unsigned long i = 0; i < pages; i++) {
		char *p = buffer;

		if (mem)
			p = mem + i * PAGE;
		else if (pread(fd, p, PAGE, i * PAGE) != (ssize_t)PAGE)
			die("read of page %lu", i);
		bad = page_check(p, key(i));
		if (bad >= 0)
			page_corrupt(p, key(i), bad);
	}
}

static void take(unsigned long first, unsigned long pages, bool read_only)
{
	for (unsigned long i = first; i < first + pages; i++) {
		if (read_only) {
			if (mem)
				*(volatile char *)(mem + i * PAGE);
			else if (pread(fd, buffer, PAGE, i * PAGE) != (ssize_t)PAGE)
				die("read of page %lu", i);
		} else if (mem) {
			page_fill(mem + i * PAGE, key(i));
		} else {
			page_fill(buffer, key(i));
			if (pwrite(fd, buffer, PAGE, i * PAGE) != (ssize_t)PAGE)
				die("write of page %lu", i);
		}
	}
}

static void *huge_page(void)
{
	char *p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		       -1, 0);

	if (p == MAP_FAILED)
		die("no page in the hugetlb pool");
	page_fill(p, key(~0UL / 2));
	return p;
}

/* The caller goes on when the child has ended. */
static void child_of_vfork(const char *file)
{
	char pid[16];
	int fd = open(file, O_WRONLY);

	if (fd < 0)
		die("%s", file);
	if (vfork() == 0) {
		ssize_t len = snprintf(pid, sizeof(pid), "%d", getpid());

		if (write(fd, pid, len) != len)
			say("child: %s: %s", file, strerror(errno));
		say("child %s", pid);
		wait_signal();
		_exit(0);
	}
	close(fd);
}

static void hold(void)
{
	say("holding");
	while (!told_end) {
		wait_signal();
		if (told_verify) {
			told_verify = 0;
			verify(done_mib * (MIB / PAGE));
			say("verified %lu", done_mib);
		}
	}
}

/* The end of every program that has lost nothing. */
static void finish(void)
{
	verify(done_mib * (MIB / PAGE));
	if (pool && page_check(pool, key(~0UL / 2)) >= 0)
		page_corrupt(pool, key(~0UL / 2), page_check(pool, key(~0UL / 2)));
	say("ok %lu", done_mib);
	exit(0);
}

static void *outlive(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	hold();
	finish();
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long step_mib = 8, mib, delay_ms = 0;
	bool shared = false, read_only = false, holds = true, leader_ends = false, huge = false;
	const char *file = NULL, *child = NULL;
	static pthread_t self, other;		/* main() ends before they do */
	int opt, advice = 0;

	while ((opt = getopt(argc, argv, "s:f:F:mTNd:xHLc:")) != -1) {
		switch (opt) {
		case 's': step_mib = number(optarg); break;
		case 'F': read_only = true; /* fall through */
		case 'f': file = optarg; break;
		case 'm': shared = true; break;
		case 'T': advice = MADV_HUGEPAGE; break;
		case 'N': advice = MADV_NOHUGEPAGE; break;
		case 'd': delay_ms = number(optarg); break;
		case 'x': holds = false; break;
		case 'H': huge = true; break;
		case 'L': leader_ends = true; break;
		case 'c': child = optarg; break;
		default: return EXIT_USAGE;
		}
	}
	if (optind != argc - 1 || !step_mib) {
		fprintf(stderr, "usage: pz-hog [-s MIB] [-f FILE|-F FILE] [-m] [-T|-N] [-d MS] [-x] [-H] [-L] [-c FILE] MIB\n");
		return EXIT_USAGE;
	}
	mib = number(argv[optind]);
	/* the same for all that touch one file, another for each private memory */
	seed = file ? 1ULL << 40 : mix(getpid()) << 24;
	take_signals();
	say("pid %d", getpid());

	buffer = aligned_alloc(PAGE, PAGE);
	if (!buffer)
		die("no memory");
	if (file) {
		fd = open(file, read_only ? O_RDONLY : O_RDWR | O_CREAT, 0600);
		if (fd < 0)
			die("%s", file);
		if (!read_only && ftruncate(fd, mib * MIB))
			die("%s", file);
	}
	if (!file || shared) {
		size_t bytes = mib * MIB, align = 2 * MIB;

		mem = mmap(NULL, bytes + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem == MAP_FAILED)
			die("mmap of %lu MiB", mib);
		mem = (char *)(((uintptr_t)mem + align - 1) & ~(align - 1));
		if (mmap(mem, bytes, PROT_READ | (read_only ? 0 : PROT_WRITE), MAP_FIXED |
			 (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), fd, 0) != mem)
			die("mmap of %lu MiB", mib);
		if (advice)
			huge_pages(mem, bytes, advice);
	}

	while (done_mib < mib && !told_end) {
		unsigned long now = step_mib < mib - done_mib ? step_mib : mib - done_mib;

		take(done_mib * (MIB / PAGE), now * (MIB / PAGE), read_only);
		done_mib += now;
		say("took %lu", done_mib);
		if (delay_ms)
			usleep(delay_ms * 1000);
	}
	if (huge)
		pool = huge_page();
	if (child) {
		say("holding");
		child_of_vfork(child);
	} else if (leader_ends) {
		self = pthread_self();
		if (pthread_create(&other, NULL, outlive, &self))
			die("no thread");
		pthread_exit(NULL);
	} else if (holds) {
		hold();
	}
	finish();
}
