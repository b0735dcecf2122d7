// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-vmcore: how many pages with the test programs' pattern does a crash dump have?
 *
 * usage: pz-vmcore FILE ADDRESS BYTES
 *
 * FILE is an ELF core, the range one of physical memory. Says "pages N".
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>

#include "pz-util.h"

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
	if (argc != 4) {
		fprintf(stderr, "usage: pz-vmcore FILE ADDRESS BYTES\n");
		return EXIT_USAGE;
	}
	count(argv[1], strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
	return 0;
}
