// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-poison: fills memory, tells the kernel that one page of it is bad, and holds
 * the rest.
 *
 * usage: pz-poison hard|soft MIB
 *   hard  as an error that the processor reports: the page is lost
 *   soft  as one that could be corrected: the page's content moves
 *
 * Says "pid N", then "poisoned ADDRESS" (physical) and "holding". SIGTERM: verifies
 * all pages that must have lived, and ends with status 0 and "ok".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "pz-util.h"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif

static sigjmp_buf lost;
static volatile sig_atomic_t looking;

static void on_bus(int sig)
{
	(void)sig;
	/* The kernel also tells who has the page mapped, before anybody looks. */
	if (looking)
		siglongjmp(lost, 1);
}

static uint64_t physical(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8) != 8)
		die("/proc/self/pagemap");
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* Does a look at the page end in a signal, as it should? */
static bool is_lost(volatile char *p)
{
	bool is = sigsetjmp(lost, 1);

	looking = 1;
	if (!is)
		(void)*p;
	looking = 0;
	return is;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_bus };
	bool hard = argc == 3 && !strcmp(argv[1], "hard");
	unsigned long pages, bad_page;
	uint64_t address;
	char *mem;

	if (argc != 3 || (!hard && strcmp(argv[1], "soft"))) {
		fprintf(stderr, "usage: pz-poison hard|soft MIB\n");
		return EXIT_USAGE;
	}
	take_signals();
	sigaction(SIGBUS, &sa, NULL);
	pages = number(argv[2]) * MIB / PAGE;
	bad_page = pages / 2 + 1;
	mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, pages * PAGE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < pages; i++)
		page_fill(mem + i * PAGE, i + 1);
	say("pid %d", getpid());
	address = physical(mem + bad_page * PAGE);
	if (madvise(mem + bad_page * PAGE, PAGE, hard ? MADV_HWPOISON : MADV_SOFT_OFFLINE))
		die("madvise");
	if (hard && !is_lost(mem + bad_page * PAGE))
		die("the page that was poisoned can still be read");
	if (!hard && physical(mem + bad_page * PAGE) == address)
		die("the page that was taken offline is still in use");
	say("poisoned %#llx", (unsigned long long)address);
	say("holding");
	while (!told_end)
		wait_signal();
	for (unsigned long i = 0; i < pages; i++) {
		int bad = hard && i == bad_page ? -1 : page_check(mem + i * PAGE, i + 1);

		if (bad >= 0)
			page_corrupt(mem + i * PAGE, i + 1, bad);
	}
	say("ok");
	return 0;
}
