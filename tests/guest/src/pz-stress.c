// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-stress: random memory operations with every page's content checked against
 * a model. The same seed gives the same operations.
 *
 * usage: pz-stress [-s SEED] [-t SECONDS] [-n OPERATIONS] [-m MIB] [-j WORKERS] [-k]
 *   -m   most memory of one worker (default 16)
 *   -j   workers (default 2)
 *   -k   a worker that is killed (out of memory) is started again, not an error
 *
 * A call that fails for lack of memory is left out, as with fault injection.
 *
 * Operations: mmap, munmap, write, verify, madvise(DONTNEED, HUGEPAGE,
 * NOHUGEPAGE, COLD, PAGEOUT), mremap (grow, shrink, move), fork with
 * copy-on-write in parent and child, a shared anonymous mapping between them.
 *
 * Runs at low priority, so that the rest of a test gets a CPU. Says "ok ops N
 * killed N" at the end; a wrong word is "CORRUPT" and status 2.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "pz-util.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define MAX_REGIONS	24

struct region {
	char *mem;
	unsigned long pages;
	uint64_t *key;		/* of each page; 0: zeros */
	bool shared;
};

static struct region regions[MAX_REGIONS];
static unsigned long total_pages, max_pages;
static uint64_t rnd_state, key_next;

static unsigned long rnd(unsigned long below)
{
	rnd_state = mix(rnd_state);
	return rnd_state % below;
}

static void check(struct region *r, unsigned long first, unsigned long pages)
{
	for (unsigned long i = first; i < first + pages; i++) {
		int bad = page_check(r->mem + i * PAGE, r->key[i]);

		if (bad >= 0)
			page_corrupt(r->mem + i * PAGE, r->key[i], bad);
	}
}

static void scribble(struct region *r, unsigned long first, unsigned long pages)
{
	for (unsigned long i = first; i < first + pages; i++) {
		r->key[i] = ++key_next;
		page_fill(r->mem + i * PAGE, r->key[i]);
	}
}

static void op_map(struct region *r)
{
	unsigned long pages = 1 + rnd(rnd(4) ? 64 : 1024);

	if (total_pages + pages > max_pages)
		return;
	r->shared = !rnd(5);
	r->mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS |
		      (r->shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	r->key = calloc(pages, sizeof(*r->key));
	if (r->mem == MAP_FAILED || !r->key) {
		if (errno != ENOMEM && errno != ENOSPC)		/* ENOSPC: a shared one */
			die("mmap");
		if (r->mem != MAP_FAILED)
			munmap(r->mem, pages * PAGE);
		free(r->key);
		r->mem = NULL;
		r->key = NULL;
		return;
	}
	r->pages = pages;
	total_pages += pages;
}

static void op_unmap(struct region *r)
{
	check(r, 0, r->pages);
	while (munmap(r->mem, r->pages * PAGE))
		if (errno != ENOMEM)	/* it has to split a mapping */
			die("munmap");
	free(r->key);
	total_pages -= r->pages;
	memset(r, 0, sizeof(*r));
}

static void op_advise(struct region *r, unsigned long first, unsigned long pages)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_PAGEOUT,
	};
	int a = advice[rnd(5)];

	if (a == MADV_HUGEPAGE || a == MADV_NOHUGEPAGE) {
		/* all of it: mremap takes no mapping that was split */
		first = 0;
		pages = r->pages;
	}
	/* of shared memory DONTNEED drops the mapping, not the content */
	if (!madvise(r->mem + first * PAGE, pages * PAGE, a) && a == MADV_DONTNEED && !r->shared)
		memset(r->key + first, 0, pages * sizeof(*r->key));
}

static void op_remap(struct region *r)
{
	unsigned long pages = 1 + rnd(r->pages * 2);
	uint64_t *key;
	char *mem;

	if (r->shared || total_pages - r->pages + pages > max_pages)
		return;
	key = calloc(pages, sizeof(*key));
	if (!key)
		return;
	mem = mremap(r->mem, r->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
	if (mem == MAP_FAILED) {
		free(key);
		if (errno != EFAULT && errno != ENOMEM)		/* EFAULT: split after all */
			die("mremap");
		return;
	}
	memcpy(key, r->key, (pages < r->pages ? pages : r->pages) * sizeof(*key));
	free(r->key);
	total_pages += pages - r->pages;
	*r = (struct region){ mem, pages, key, false };
}

/* The child sees what we had, writes its own, and must not disturb us. */
static void op_fork(void)
{
	pid_t pid;
	int status, n = 0;

	pid = fork();
	if (pid < 0)
		return;		/* out of memory for a task: not what is tested here */
	if (!pid) {
		for (int i = 0; i < MAX_REGIONS; i++) {
			struct region *r = &regions[i];

			if (!r->mem || r->shared || n++ > 3)
				continue;
			check(r, 0, r->pages);
			scribble(r, 0, 1 + rnd(r->pages));
			check(r, 0, r->pages);
		}
		_exit(0);
	}
	for (int i = 0; i < MAX_REGIONS; i++) {
		struct region *r = &regions[i];

		if (r->mem && !r->shared && rnd(2))
			scribble(r, 0, 1 + rnd(r->pages));
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

static unsigned long work(uint64_t seed, time_t end, unsigned long ops)
{
	unsigned long done;

	rnd_state = seed;
	key_next = mix(seed) << 20;
	for (done = 0; done < ops && !told_end && (!end || time(NULL) < end); done++) {
		struct region *r = &regions[rnd(MAX_REGIONS)];
		unsigned long first, pages;

		if (!r->mem) {
			op_map(r);
			continue;
		}
		first = rnd(r->pages);
		pages = 1 + rnd(r->pages - first);
		switch (rnd(20)) {
		case 0: case 1: op_unmap(r); break;
		case 2: case 3: case 4: op_advise(r, first, pages); break;
		case 5: case 6: op_remap(r); break;
		case 7: op_fork(); break;
		case 8: case 9: case 10: case 11: check(r, first, pages); break;
		default: scribble(r, first, pages);
		}
	}
	for (int i = 0; i < MAX_REGIONS; i++)
		if (regions[i].mem)
			op_unmap(&regions[i]);
	return done;
}

int main(int argc, char **argv)
{
	unsigned long seconds = 0, ops = ULONG_MAX, mib = 16, workers = 2, killed = 0;
	unsigned long *count;	/* operations of each worker, shared with them */
	bool kill_ok = false;
	uint64_t seed = 1;
	time_t end = 0;
	int opt, status, result = 0;
	pid_t pid, pids[64];

	while ((opt = getopt(argc, argv, "s:t:n:m:j:k")) != -1) {
		switch (opt) {
		case 's': seed = number(optarg); break;
		case 't': seconds = number(optarg); break;
		case 'n': ops = number(optarg); break;
		case 'm': mib = number(optarg); break;
		case 'j': workers = number(optarg); break;
		case 'k': kill_ok = true; break;
		default: return EXIT_USAGE;
		}
	}
	if (optind != argc || !workers || workers > 64) {
		fprintf(stderr, "usage: pz-stress [-s SEED] [-t SECONDS] [-n OPERATIONS] [-m MIB] [-j 1..64] [-k]\n");
		return EXIT_USAGE;
	}
	max_pages = mib * (MIB / PAGE);
	if (seconds)
		end = time(NULL) + seconds;
	take_signals();
	count = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (count == MAP_FAILED)
		die("mmap");
	memset(count, 0, PAGE);
	errno = 0;
	if (nice(10) == -1 && errno)
		die("nice");
	say("pid %d", getpid());
	for (unsigned long i = 0; i < workers; i++) {
		pid = fork();
		if (pid < 0)
			die("fork");
		if (!pid) {
			count[i] += work(mix(seed + i + killed * 1000), end, ops);
			_exit(0);
		}
		pids[i] = pid;
	}
	for (;;) {
		pid = wait(&status);
		if (pid < 0 && errno == EINTR) {
			for (unsigned long i = 0; i < workers; i++)
				if (pids[i])
					kill(pids[i], SIGTERM);
			continue;
		}
		if (pid < 0)
			break;
		for (unsigned long i = 0; i < workers; i++) {
			if (pids[i] != pid)
				continue;
			pids[i] = 0;
			if (WIFSIGNALED(status)) {
				killed++;
				if (kill_ok && !told_end && (!end || time(NULL) < end)) {
					/* the one that was killed, again */
					pid = fork();
					if (!pid) {
						count[i] += work(mix(seed + i + killed * 1000),
								 end, ops);
						_exit(0);
					}
					pids[i] = pid > 0 ? pid : 0;
				} else if (!kill_ok) {
					result = 3;
				}
			} else if (WEXITSTATUS(status)) {
				result = WEXITSTATUS(status);
			}
		}
	}
	ops = 0;
	for (unsigned long i = 0; i < workers; i++)
		ops += count[i];
	say("%s ops %lu killed %lu", result ? "FAILED" : "ok", ops, killed);
	return result;
}
