// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-foreign: one task works on another's memory.
 *
 * usage: pz-foreign hold MIB	     maps memory, does not touch it, and holds it:
 *				     "pid N", "at ADDRESS"; SIGTERM ends it: "ok"
 *        pz-foreign uffd MIB	     the same, filled through a userfaultfd
 *        pz-foreign write PID ADDRESS MIB
 *				     writes there with process_vm_writev()
 *        pz-foreign move PID ADDRESS MIB NODE
 *				     move_pages() and migrate_pages() to NODE: says
 *				     "moved N" pages that move_pages() says are there
 *        pz-foreign bind MIB NODE   mbind(MPOL_BIND | MPOL_MF_MOVE) of memory of its own
 *				     that it touched: "pid N", "mbind ERRNO", holds
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "pz-util.h"

static char *map(size_t bytes)
{
	char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, bytes, MADV_NOHUGEPAGE);
	return mem;
}

static int hold(void)
{
	say("holding");
	while (!told_end)
		wait_signal();
	say("ok");
	return 0;
}

static void fill_by_uffd(char *mem, size_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)mem, bytes },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *page = map(PAGE);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		die("userfaultfd");
	memset(page, 'u', PAGE);
	for (size_t i = 0; i < bytes; i += PAGE) {
		struct uffdio_copy copy = { .dst = (uintptr_t)mem + i, .src = (uintptr_t)page,
					    .len = PAGE };

		if (ioctl(fd, UFFDIO_COPY, &copy))
			die("UFFDIO_COPY");
	}
}

static int write_to(int pid, uintptr_t address, size_t bytes)
{
	size_t step = MIB;
	char *mem = map(step);

	memset(mem, 'w', step);
	for (size_t i = 0; i < bytes; i += step) {
		struct iovec from = { mem, step }, to = { (void *)(address + i), step };

		if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t)step)
			die("process_vm_writev");
	}
	say("ok");
	return 0;
}

static int move_to(int pid, uintptr_t address, size_t bytes, int node)
{
	unsigned long pages = bytes / PAGE, there = 0, all = ~0UL, mask = 1UL << node;
	void **page = calloc(pages, sizeof(*page));
	int *nodes = calloc(pages, sizeof(*nodes)), *status = calloc(pages, sizeof(*status));

	for (unsigned long i = 0; i < pages; i++) {
		page[i] = (void *)(address + i * PAGE);
		nodes[i] = node;
		status[i] = -1;
	}
	syscall(SYS_move_pages, pid, pages, page, nodes, status, MPOL_MF_MOVE_ALL);
	syscall(SYS_migrate_pages, pid, 64, &all, &mask);
	syscall(SYS_move_pages, pid, pages, page, NULL, status, 0);
	for (unsigned long i = 0; i < pages; i++)
		there += status[i] == node;
	say("moved %lu", there);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	size_t bytes;
	char *mem;

	take_signals();
	if (!strcmp(what, "write") && argc == 5)
		return write_to(atoi(argv[2]), strtoul(argv[3], NULL, 0), number(argv[4]) * MIB);
	if (!strcmp(what, "move") && argc == 6)
		return move_to(atoi(argv[2]), strtoul(argv[3], NULL, 0), number(argv[4]) * MIB,
			       atoi(argv[5]));
	if (argc < 3) {
		fprintf(stderr, "usage: pz-foreign hold|uffd MIB | bind MIB NODE | write PID ADDRESS MIB | move PID ADDRESS MIB NODE\n");
		return EXIT_USAGE;
	}
	bytes = number(argv[2]) * MIB;
	mem = map(bytes);
	say("pid %d", getpid());
	say("at %p", (void *)mem);
	if (!strcmp(what, "uffd"))
		fill_by_uffd(mem, bytes);
	if (!strcmp(what, "bind") && argc == 4) {
		unsigned long mask = 1UL << atoi(argv[3]);

		memset(mem, 'b', bytes);
		say("mbind %d", syscall(SYS_mbind, mem, bytes, MPOL_BIND, &mask, 64,
					MPOL_MF_MOVE) ? errno : 0);
	}
	return hold();
}
