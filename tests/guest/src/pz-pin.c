// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-pin: memory that can't be migrated, for a shrink that can't finish.
 *
 * usage: pz-pin [-l] [-e N] MIB
 *   -e N  pin one page of every N only (default 1: all of them)
 *   -l    pin for the long term instead (io_uring's registered buffers)
 *
 * A pin that movable memory must put up with is a short-term one: vmsplice()
 * takes a plain reference (FOLL_GET) on each page and the pipe keeps it for as
 * long as nobody reads. Migration sees a reference that no page table explains
 * and gives up on the page. Long-term pins (FOLL_LONGTERM: RDMA, VFIO, io_uring
 * buffers) are another case: the kernel first moves the page out of
 * ZONE_MOVABLE and then pins the copy; that is what -l shows. mlock() is no pin
 * at all: locked pages migrate. O_DIRECT to a stalled device would do as well,
 * but needs a device that stalls.
 *
 * Says "pid N", "pinned N" (pages), then holds until SIGTERM and verifies: status
 * 2 and "CORRUPT" if the memory changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "pz-util.h"

#define PIPE_PAGES	256		/* slots of a pipe of 1 MiB */

static unsigned long pinned;
static int pipe_fd[2];
static unsigned long pipe_left;

/* Hold a reference on one page. */
static void pin_short(void *page)
{
	struct iovec iov = { .iov_base = page, .iov_len = PAGE };

	if (!pipe_left) {
		if (pipe(pipe_fd))
			die("pipe");
		if (fcntl(pipe_fd[1], F_SETPIPE_SZ, PIPE_PAGES * PAGE) < 0)
			die("F_SETPIPE_SZ");
		pipe_left = PIPE_PAGES;
	}
	if (vmsplice(pipe_fd[1], &iov, 1, SPLICE_F_NONBLOCK) != (ssize_t)PAGE)
		die("vmsplice after %lu pages", pinned);
	pipe_left--;
	pinned++;
}

static void pin_long(void *mem, size_t bytes)
{
	struct io_uring_params params = { 0 };
	struct iovec iov = { .iov_base = mem, .iov_len = bytes };
	int fd;

	fd = syscall(SYS_io_uring_setup, 4, &params);
	if (fd < 0)
		die("io_uring_setup");
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		die("register of %zu bytes", bytes);
	pinned += bytes / PAGE;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	unsigned long pages, every = 1;
	bool long_term = false;
	uint64_t seed;
	char *mem;
	int opt, bad;

	while ((opt = getopt(argc, argv, "le:")) != -1) {
		switch (opt) {
		case 'l': long_term = true; break;
		case 'e': every = number(optarg); break;
		default: return EXIT_USAGE;
		}
	}
	if (optind != argc - 1 || !every) {
		fprintf(stderr, "usage: pz-pin [-l] [-e N] MIB\n");
		return EXIT_USAGE;
	}
	pages = number(argv[optind]) * (MIB / PAGE);
	seed = mix(getpid()) << 24;
	take_signals();
	say("pid %d", getpid());
	setrlimit(RLIMIT_NOFILE, &files);

	mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	/* with huge pages one pin would hold 512 */
	madvise(mem, pages * PAGE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < pages; i++)
		page_fill(mem + i * PAGE, seed + i);
	if (long_term)
		pin_long(mem, pages * PAGE);
	else
		for (unsigned long i = 0; i < pages; i += every)
			pin_short(mem + i * PAGE);
	say("pinned %lu", pinned);
	while (!told_end) {
		told_verify = 0;
		wait_signal();
	}
	for (unsigned long i = 0; i < pages; i++) {
		bad = page_check(mem + i * PAGE, seed + i);
		if (bad >= 0)
			page_corrupt(mem + i * PAGE, seed + i, bad);
	}
	say("ok");
	return 0;
}
