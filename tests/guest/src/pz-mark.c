// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-mark: marked pages, and how many of them a crash dump holds.
 *
 * usage: pz-mark WORD MIB		take so much memory, write WORD and a number into each
 *					page, say "marked", and wait
 *        pz-mark -c WORD ADDR SIZE	in /proc/vmcore: of the physical range, say "marked N
 *					missing M": pages of WORD with distinct numbers, and
 *					pages that the dump does not have
 */
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "pz-util.h"

struct mark {
	char word[32];
	uint64_t number;
};

static void fill(const char *word, unsigned long mib)
{
	struct mark mark = { .number = 0 };
	unsigned long i;
	char *mem = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap of %lu MiB", mib);
	snprintf(mark.word, sizeof(mark.word), "%s", word);
	for (i = 0; i < mib * (MIB / PAGE); i++) {
		mark.number = i;
		memcpy(mem + i * PAGE, &mark, sizeof(mark));
	}
	say("marked");
	pause();
}

/* Where in the dump a physical address is; -1 if nowhere. */
static off_t place(const Elf64_Phdr *ph, unsigned int nr, uint64_t addr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (ph[i].p_type == PT_LOAD && addr >= ph[i].p_paddr &&
		    addr + PAGE <= ph[i].p_paddr + ph[i].p_memsz)
			return ph[i].p_offset + (addr - ph[i].p_paddr);
	return -1;
}

static void count(const char *word, uint64_t addr, uint64_t size)
{
	unsigned long marked = 0, missing = 0, nr_pages = size / PAGE;
	bool *seen = calloc(nr_pages, sizeof(*seen));
	int fd = open("/proc/vmcore", O_RDONLY);
	Elf64_Ehdr eh;
	Elf64_Phdr *ph;
	uint64_t at;

	if (fd < 0 || pread(fd, &eh, sizeof(eh), 0) != sizeof(eh))
		die("/proc/vmcore");
	ph = calloc(eh.e_phnum, sizeof(*ph));
	if (!ph || !seen)
		die("calloc");
	if (pread(fd, ph, eh.e_phnum * sizeof(*ph), eh.e_phoff) != (ssize_t)(eh.e_phnum * sizeof(*ph)))
		die("/proc/vmcore: headers");
	for (at = addr; at < addr + size; at += PAGE) {
		off_t offset = place(ph, eh.e_phnum, at);
		struct mark mark;

		if (offset < 0 || pread(fd, &mark, sizeof(mark), offset) != sizeof(mark)) {
			missing++;
			continue;
		}
		mark.word[sizeof(mark.word) - 1] = '\0';
		if (strcmp(mark.word, word) || mark.number >= nr_pages || seen[mark.number])
			continue;
		seen[mark.number] = true;
		marked++;
	}
	say("marked %lu missing %lu", marked, missing);
}

int main(int argc, char **argv)
{
	if (argc == 3 && argv[1][0] != '-')
		fill(argv[1], number(argv[2]));
	else if (argc == 5 && !strcmp(argv[1], "-c"))
		count(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	else {
		fprintf(stderr, "usage: pz-mark WORD MIB | pz-mark -c WORD ADDR SIZE\n");
		return EXIT_USAGE;
	}
	return 0;
}
