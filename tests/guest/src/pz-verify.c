// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-verify: memory that is read and rewritten all the time, while a test does
 * things to it from outside.
 *
 * usage: pz-verify [-t SECONDS] [-T] [-r PERCENT] MIB
 *   -t   end after so long (default: run until SIGTERM)
 *   -T   ask for transparent huge pages
 *   -r   how many of the pages each pass rewrites (default 25)
 *
 * Runs at low priority and naps between two passes, so that the rest of a test
 * gets a CPU. Says "pid N", "filled" once, "ok passes N" at the end. A wrong word ends
 * it with a line "CORRUPT" and status 2. SIGUSR1: says "passes N".
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <time.h>

#include "pz-util.h"

int main(int argc, char **argv)
{
	unsigned long mib, pages, seconds = 0, percent = 25, passes = 0;
	uint32_t *version;	/* of each page's content */
	uint64_t seed, rnd;
	bool huge = false;
	time_t end;
	char *mem;
	int opt, bad;

	while ((opt = getopt(argc, argv, "t:Tr:")) != -1) {
		switch (opt) {
		case 't': seconds = number(optarg); break;
		case 'T': huge = true; break;
		case 'r': percent = number(optarg); break;
		default: return EXIT_USAGE;
		}
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: pz-verify [-t SECONDS] [-T] [-r PERCENT] MIB\n");
		return EXIT_USAGE;
	}
	mib = number(argv[optind]);
	pages = mib * (MIB / PAGE);
	seed = mix(getpid()) << 24;
	rnd = seed;
	take_signals();
	errno = 0;
	if (nice(10) == -1 && errno)
		die("nice");
	say("pid %d", getpid());

	mem = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	version = calloc(pages, sizeof(*version));
	if (mem == MAP_FAILED || !version)
		die("mmap of %lu MiB", mib);
	if (huge)
		huge_pages(mem, mib * MIB, MADV_HUGEPAGE);
	for (unsigned long i = 0; i < pages; i++)
		page_fill(mem + i * PAGE, mix(seed + i));
	say("filled");

	end = time(NULL) + seconds;
	while (!told_end && (!seconds || time(NULL) < end)) {
		for (unsigned long i = 0; i < pages && !told_end; i++) {
			char *p = mem + i * PAGE;

			bad = page_check(p, mix(seed + i + ((uint64_t)version[i] << 32)));
			if (bad >= 0)
				page_corrupt(p, mix(seed + i + ((uint64_t)version[i] << 32)), bad);
			rnd = mix(rnd);
			if (rnd % 100 < percent) {
				version[i]++;
				page_fill(p, mix(seed + i + ((uint64_t)version[i] << 32)));
			}
		}
		passes++;
		usleep(20 * 1000);
		if (told_verify) {
			told_verify = 0;
			say("passes %lu", passes);
		}
	}
	say("ok passes %lu", passes);
	return 0;
}
