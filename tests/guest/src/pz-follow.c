// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-follow: has as much memory in use as a trace says, second by second.
 *
 * usage: pz-follow FILE MIB...
 *
 * The n-th MIB is what it uses n seconds after it first ran with this FILE: that moment is
 * kept there, so that one that was killed goes on where the trace is by then. What it has
 * it reads once a second, so that all of it is in use. Ends with the trace, and says "ok N"
 * (most MiB that it had).
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <time.h>

#include "pz-util.h"

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static double begin(const char *path)
{
	FILE *f = fopen(path, "r");
	double t = now_s();

	if (f) {
		if (fscanf(f, "%lf", &t) != 1)
			die("%s has no time in it", path);
	} else {
		f = fopen(path, "w");
		if (!f)
			die("%s", path);
		fprintf(f, "%f\n", t);
	}
	fclose(f);
	return t;
}

/* Until the second is over; may take longer where memory has to be swapped in. */
static void use(const char *mem, unsigned long mib, double began, int second)
{
	for (unsigned long i = 0; i < mib * MIB && (int)(now_s() - began) == second; i += PAGE)
		*(volatile const char *)(mem + i);
	while ((int)(now_s() - began) == second)
		usleep(20000);
}

int main(int argc, char **argv)
{
	unsigned long max = 0, has = 0, most = 0, want;
	double began;
	char *mem;

	if (argc < 3) {
		fprintf(stderr, "usage: pz-follow FILE MIB...\n");
		return EXIT_USAGE;
	}
	for (int i = 2; i < argc; i++)
		max = number(argv[i]) > max ? number(argv[i]) : max;
	mem = mmap(NULL, (max + 2) * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap of %lu MiB", max);
	began = begin(argv[1]);
	say("pid %d", getpid());
	for (;;) {
		int second = (int)(now_s() - began);

		if (second + 2 >= argc)
			break;
		want = number(argv[second + 2]);
		if (has == want) {
			use(mem, has, began, second);
		} else if (has < want) {
			/* one MiB, then look at the clock: this may take long */
			memset(mem + has * MIB, (int)has, MIB);
			has++;
			most = has > most ? has : most;
		} else {
			if (madvise(mem + want * MIB, (has - want) * MIB, MADV_DONTNEED))
				die("madvise");
			has = want;
		}
	}
	say("ok %lu", most);
	return 0;
}
