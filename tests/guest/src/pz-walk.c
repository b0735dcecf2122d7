// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-walk: the truth about where pages are, page by page. It believes only
 * /proc/kpageflags, kpagecgroup, kpagecount and PID/pagemap, and takes the
 * places from the extents that sysfs shows.
 *
 * usage: pz-walk            all of the machine's memory
 *        pz-walk -c         that of classes
 *        pz-walk -p PID...  the pages that processes have mapped
 *
 * Without -p, one line for each combination that exists:
 *	page PLACE KIND CGROUP PAGES
 * with -p, for each process:
 *	pid PID PLACE anon|file PAGES
 *	pid PID swap - PAGES
 *
 * PLACE   the class in whose extents the page lies; "pool:NAME" for the rest of
 *         a pool (memory map, memory of no class); "base" for all else
 * KIND    free anon file shmem slab pgtable offline reserved hugetlb
 *         unmapped: anonymous, and nobody has it mapped: in the swap cache, or the
 *                rest of a huge page
 *         quiet: no flag at all: on a processor's free list, or an unmarked page
 *                of the kernel
 *         kernel: anything else
 * CGROUP  the control group that is charged, "-" if none is
 *
 * The zero pages are left out: everybody maps them. A page that comes or goes at
 * this moment looks like a leak (its flags are there and its control group is
 * not, or the other way round), so a page in a pool that should not be what it
 * is counts only if it still is after several looks.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/kernel-page-flags.h>
#include <sys/stat.h>

#include "pz-util.h"

#define SYSFS		"/sys/kernel/mm/pzone"
#define CGROUP		"/sys/fs/cgroup"
#define CHUNK		8192		/* pages looked at per read */
#define MAX_PLACES	600
#define MAX_RANGES	20000
#define MAX_GROUPS	4096
#define MAX_ROWS	8192
#define MAX_SUSPECTS	65536
#define LOOKS		4
#define LOOK_US		20000

#define F(bit)		(1ULL << (bit))

struct range {
	uint64_t first, end;	/* page frames */
	int place;
};

static char place_name[MAX_PLACES][48] = { "base" };
static int nr_places = 1;
static struct range ranges[MAX_RANGES];
static int nr_ranges;

static struct { uint64_t ino; char *path; } groups[MAX_GROUPS];
static int nr_groups;

enum kind {
	FREE, ANON, UNMAPPED, FILE_, SHMEM, SLAB, PGTABLE, OFFLINE, RESERVED, HUGETLB, QUIET, KERNEL,
	NOT_THERE
};
static const char *const kind_name[] = {
	"free", "anon", "unmapped", "file", "shmem", "slab", "pgtable", "offline", "reserved", "hugetlb",
	"quiet", "kernel",
};

static struct { int place; enum kind kind; uint64_t ino, pages; } rows[MAX_ROWS];
static int nr_rows;

static int place_add(const char *prefix, const char *name)
{
	if (nr_places == MAX_PLACES)
		die("more than %d classes and pools", MAX_PLACES);
	snprintf(place_name[nr_places], sizeof(place_name[0]), "%s%.40s", prefix, name);
	return nr_places++;
}

static void range_add(int place, uint64_t addr, uint64_t bytes)
{
	if (nr_ranges == MAX_RANGES)
		die("more than %d extents", MAX_RANGES);
	ranges[nr_ranges++] = (struct range){ addr / PAGE, (addr + bytes) / PAGE, place };
}

static uint64_t read_number(const char *dir, const char *name, const char *file)
{
	char path[PATH_MAX], text[64];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die("%s", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		die("%s", path);
	close(fd);
	text[n] = '\0';
	return strtoull(text, NULL, 0);
}

/* A name in a directory of sysfs that may not exist (an unpatched guest). */
static bool next_name(DIR **d, const char *dir, char *name, size_t room)
{
	struct dirent *de;

	if (!*d)
		*d = opendir(dir);
	while (*d && (de = readdir(*d))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(name, room, "%s", de->d_name);
		return true;
	}
	if (*d)
		closedir(*d);
	*d = NULL;
	return false;
}

static void load_places(void)
{
	char name[256], path[PATH_MAX];
	unsigned long long addr, bytes;
	DIR *d = NULL;
	int place;
	FILE *f;

	/* classes first: the first range that fits a page is taken */
	while (next_name(&d, SYSFS "/class", name, sizeof(name))) {
		place = place_add("", name);
		snprintf(path, sizeof(path), SYSFS "/class/%s/extents", name);
		f = fopen(path, "r");
		if (!f)
			die("%s", path);
		while (fscanf(f, "%llx %llu", &addr, &bytes) == 2)
			range_add(place, addr, bytes);
		if (!feof(f))
			die("%s: lines of '0xADDR SIZE' expected", path);
		fclose(f);
	}
	while (next_name(&d, SYSFS "/pool", name, sizeof(name))) {
		place = place_add("pool:", name);
		range_add(place, read_number(SYSFS "/pool", name, "addr"),
			  read_number(SYSFS "/pool", name, "size"));
	}
}

static int place_of(uint64_t pfn)
{
	static int last;

	if (last < nr_ranges && pfn >= ranges[last].first && pfn < ranges[last].end &&
	    strncmp(place_name[ranges[last].place], "pool:", 5))
		return ranges[last].place;
	for (int i = 0; i < nr_ranges; i++) {
		if (pfn >= ranges[i].first && pfn < ranges[i].end) {
			last = i;
			return ranges[i].place;
		}
	}
	return 0;
}

static int group_add(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)ftw;
	if (flag == FTW_D && nr_groups < MAX_GROUPS) {
		groups[nr_groups].ino = st->st_ino;
		groups[nr_groups].path = strdup(path[sizeof(CGROUP) - 1] ?
						path + sizeof(CGROUP) - 1 : "/");
		nr_groups++;
	}
	return 0;
}

static const char *group_path(uint64_t ino)
{
	static char gone[40];

	if (!ino)
		return "-";
	for (int i = 0; i < nr_groups; i++)
		if (groups[i].ino == ino)
			return groups[i].path;
	snprintf(gone, sizeof(gone), "inode:%llu", (unsigned long long)ino);
	return gone;
}

static enum kind kind_of(uint64_t flags, uint64_t ino, uint64_t mapped)
{
	if (flags & F(KPF_NOPAGE))
		return NOT_THERE;
	if (flags & F(KPF_ZERO_PAGE))
		return NOT_THERE;
	if (flags & F(KPF_BUDDY))
		return FREE;
	if (flags & F(KPF_OFFLINE))
		return OFFLINE;
	if (flags & F(KPF_SLAB))
		return SLAB;
	if (flags & F(KPF_PGTABLE))
		return PGTABLE;
	if (flags & F(KPF_HUGE))
		return HUGETLB;
	if (flags & F(KPF_ANON))
		return mapped ? ANON : UNMAPPED;
	if (flags & (F(KPF_LRU) | F(KPF_UPTODATE) | F(KPF_SWAPBACKED) | F(KPF_MMAP)))
		return flags & F(KPF_SWAPBACKED) ? SHMEM : FILE_;
	/* after the LRU kinds: Xen and others mark in-use pages reserved */
	if (flags & F(32))	/* KPF_RESERVED, not in the uapi header */
		return RESERVED;
	return flags || ino ? KERNEL : QUIET;
}

static void row_add(int place, enum kind kind, uint64_t ino)
{
	static int last;

	if (last < nr_rows && rows[last].place == place && rows[last].kind == kind &&
	    rows[last].ino == ino) {
		rows[last].pages++;
		return;
	}
	for (last = 0; last < nr_rows; last++) {
		if (rows[last].place == place && rows[last].kind == kind &&
		    rows[last].ino == ino) {
			rows[last].pages++;
			return;
		}
	}
	if (nr_rows == MAX_ROWS)
		die("more than %d lines", MAX_ROWS);
	rows[nr_rows].place = place;
	rows[nr_rows].kind = kind;
	rows[nr_rows].ino = ino;
	rows[nr_rows].pages = 1;
	last = nr_rows++;
}

static uint64_t suspects[MAX_SUSPECTS];
static unsigned int nr_suspects;

/* Does this look like a leak? */
static bool suspect(int place, enum kind kind, uint64_t ino)
{
	switch (kind) {
	case FREE: case QUIET: case OFFLINE: case RESERVED:
		return false;
	case ANON: case UNMAPPED: case FILE_: case SHMEM:
		return place && !ino;
	default:
		return place;
	}
}

/* /proc/kpage...; there is no kpagecgroup without memory cgroups. */
struct files { int flags, cgroup, count; };

static void look_again(const struct files *f)
{
	uint64_t flags, ino, mapped;

	for (int look = 0; look < LOOKS && nr_suspects; look++) {
		unsigned int left = 0;

		usleep(LOOK_US);
		for (unsigned int i = 0; i < nr_suspects; i++) {
			uint64_t pfn = suspects[i];
			int place = place_of(pfn);
			enum kind kind;

			ino = 0;
			if (pread(f->flags, &flags, 8, pfn * 8) != 8)
				die("/proc/kpageflags");
			if (f->cgroup >= 0 && pread(f->cgroup, &ino, 8, pfn * 8) != 8)
				die("/proc/kpagecgroup");
			if (pread(f->count, &mapped, 8, pfn * 8) != 8)
				die("/proc/kpagecount");
			kind = kind_of(flags, ino, mapped);
			if (look < LOOKS - 1 && suspect(place, kind, ino))
				suspects[left++] = pfn;
			else if (kind != NOT_THERE)
				row_add(place, kind, ino);
		}
		nr_suspects = left;
	}
}

/* All page frames from first to end, or to the end of memory. */
static void walk_frames(const struct files *f, uint64_t first, uint64_t end)
{
	static uint64_t flags[CHUNK], ino[CHUNK], mapped[CHUNK];
	ssize_t n;

	for (uint64_t pfn = first; pfn < end; pfn += n) {
		n = pread(f->flags, flags, (end - pfn < CHUNK ? end - pfn : CHUNK) * 8, pfn * 8);
		if (n < 0)
			die("/proc/kpageflags");
		n /= 8;
		if (!n)
			break;
		if (f->cgroup < 0 || pread(f->cgroup, ino, n * 8, pfn * 8) != n * 8)
			memset(ino, 0, sizeof(ino));
		if (pread(f->count, mapped, n * 8, pfn * 8) != n * 8)
			die("/proc/kpagecount");
		for (ssize_t i = 0; i < n; i++) {
			enum kind kind = kind_of(flags[i], ino[i], mapped[i]);

			if (kind == NOT_THERE)
				continue;
			if (nr_suspects < MAX_SUSPECTS &&
			    suspect(place_of(pfn + i), kind, ino[i]))
				suspects[nr_suspects++] = pfn + i;
			else
				row_add(place_of(pfn + i), kind, ino[i]);
		}
	}
}

static void walk_machine(bool classes_only)
{
	const struct files f = {
		open("/proc/kpageflags", O_RDONLY), open("/proc/kpagecgroup", O_RDONLY),
		open("/proc/kpagecount", O_RDONLY),
	};

	if (f.flags < 0)
		die("/proc/kpageflags");
	if (f.count < 0)
		die("/proc/kpagecount");
	if (!classes_only)
		walk_frames(&f, 0, UINT64_MAX);
	else
		for (int i = 0; i < nr_ranges; i++)
			if (strncmp(place_name[ranges[i].place], "pool:", 5))
				walk_frames(&f, ranges[i].first, ranges[i].end);
	look_again(&f);
	for (int i = 0; i < nr_rows; i++)
		printf("page %s %s %s %llu\n", place_name[rows[i].place],
		       kind_name[rows[i].kind], group_path(rows[i].ino),
		       (unsigned long long)rows[i].pages);
}

static void walk_process(const char *pid)
{
	static uint64_t pages[MAX_PLACES][2], entry[CHUNK];
	unsigned long long start, end;
	uint64_t swapped = 0, flags;
	char path[PATH_MAX], line[1024];
	int fp, ff;
	FILE *maps;

	memset(pages, 0, sizeof(pages));
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%s/pagemap", pid);
	fp = open(path, O_RDONLY);
	ff = open("/proc/kpageflags", O_RDONLY);
	if (!maps || fp < 0 || ff < 0)
		die("process %s", pid);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx", &start, &end) != 2 || strstr(line, "[vsyscall]") ||
		    strstr(line, "[vvar") || strstr(line, "[vdso]"))
			continue;
		for (start /= PAGE, end /= PAGE; start < end; ) {
			uint64_t want = end - start < CHUNK ? end - start : CHUNK;
			ssize_t n = pread(fp, entry, want * 8, start * 8) / 8;

			if (n <= 0)
				break;
			for (ssize_t i = 0; i < n; i++) {
				uint64_t pfn = entry[i] & ((1ULL << 55) - 1);
				int place;

				if (entry[i] & F(62))
					swapped++;
				if (!(entry[i] & F(63)) || !pfn)
					continue;
				place = place_of(pfn);
				if (!place && pread(ff, &flags, 8, pfn * 8) == 8 &&
				    (flags & F(KPF_ZERO_PAGE)))
					continue;
				pages[place][!!(entry[i] & F(61))]++;
			}
			start += n;
		}
	}
	for (int i = 0; i < nr_places; i++) {
		for (int k = 0; k < 2; k++)
			if (pages[i][k])
				printf("pid %s %s %s %llu\n", pid, place_name[i],
				       k ? "file" : "anon", (unsigned long long)pages[i][k]);
	}
	printf("pid %s swap - %llu\n", pid, (unsigned long long)swapped);
	fclose(maps);
	close(fp);
	close(ff);
}

int main(int argc, char **argv)
{
	bool classes_only = argc == 2 && !strcmp(argv[1], "-c");

	errno = 0;
	load_places();
	if (argc > 1 && strcmp(argv[1], "-p") && !classes_only) {
		fprintf(stderr, "usage: pz-walk [-c | -p PID...]\n");
		return EXIT_USAGE;
	}
	if (argc > 1 && !classes_only) {
		for (int i = 2; i < argc; i++)
			walk_process(argv[i]);
		return 0;
	}
	nftw(CGROUP, group_add, 16, FTW_PHYS);
	walk_machine(classes_only);
	return 0;
}
