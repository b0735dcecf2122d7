// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-huge: memory in small pages that the kernel's khugepaged may make huge later.
 *
 * usage: pz-huge MIB
 *
 * Says "pid N" and "holding" once it has filled small pages. SIGUSR1: allows huge
 * pages and says "allowed". SIGTERM: verifies and ends with status 0 and "ok".
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "pz-util.h"

#define HUGE_PAGE	(2 * MIB)

int main(int argc, char **argv)
{
	size_t bytes;
	char *mem;

	if (argc != 2) {
		fprintf(stderr, "usage: pz-huge MIB\n");
		return EXIT_USAGE;
	}
	take_signals();
	bytes = number(argv[1]) * MIB;
	mem = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	mem = (char *)(((uintptr_t)mem + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	madvise(mem, bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < bytes / PAGE; i++)
		page_fill(mem + i * PAGE, i + 1);
	say("pid %d", getpid());
	say("holding");
	while (!told_end) {
		wait_signal();
		if (!told_verify)
			continue;
		told_verify = 0;
		if (madvise(mem, bytes, MADV_HUGEPAGE))
			die("madvise");
		say("allowed");
	}
	for (size_t i = 0; i < bytes / PAGE; i++) {
		int bad = page_check(mem + i * PAGE, i + 1);

		if (bad >= 0)
			page_corrupt(mem + i * PAGE, i + 1, bad);
	}
	say("ok");
	return 0;
}
