// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-vmcore: the two ends of a crash dump.
 *
 * usage: pz-vmcore load KERNEL INITRD CMDLINE
 *		    loads the kernel that takes over in a crash
 *        pz-vmcore count FILE ADDRESS BYTES
 *		    how many pages with the test programs' pattern does the ELF core
 *		    FILE have in this range of physical memory? says "pages N"
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <sys/syscall.h>

#include "pz-util.h"

static void load(char **argv)
{
	int kernel = open(argv[0], O_RDONLY), initrd = open(argv[1], O_RDONLY);

	if (kernel < 0 || initrd < 0)
		die("%s, %s", argv[0], argv[1]);
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1, argv[2],
		    KEXEC_FILE_ON_CRASH))
		die("kexec_file_load");
	say("ok");
}

/* A page that page_fill() wrote, whatever the key. */
static bool is_ours(const uint64_t *w)
{
	for (unsigned long i = 1; i < WORDS; i++)
		if (w[i] - w[i - 1] != 0x9e3779b97f4a7c15ULL)
			return false;
	return true;
}

static void count(const char *path, uint64_t address, uint64_t bytes)
{
	unsigned long pages = 0;
	int fd = open(path, O_RDONLY);
	uint64_t page[WORDS];
	Elf64_Ehdr head;
	Elf64_Phdr part;

	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head))
		die("%s", path);
	for (int i = 0; i < head.e_phnum; i++) {
		if (pread(fd, &part, sizeof(part), head.e_phoff + i * head.e_phentsize) != sizeof(part))
			die("program header %d of %s", i, path);
		if (part.p_type != PT_LOAD)
			continue;
		for (uint64_t a = address; a < address + bytes; a += PAGE) {
			if (a < part.p_paddr || a + PAGE > part.p_paddr + part.p_filesz)
				continue;
			if (pread(fd, page, PAGE, part.p_offset + a - part.p_paddr) != (ssize_t)PAGE)
				die("page at %#llx", (unsigned long long)a);
			pages += is_ours(page);
		}
	}
	say("pages %lu", pages);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "load") && argc == 5) {
		load(argv + 2);
	} else if (!strcmp(what, "count") && argc == 5) {
		count(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	} else {
		fprintf(stderr, "usage: pz-vmcore load KERNEL INITRD CMDLINE | count FILE ADDRESS BYTES\n");
		return EXIT_USAGE;
	}
	return 0;
}
