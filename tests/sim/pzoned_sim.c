// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pzoned_sim: pzoned's policy for elastic classes (hv/pzoned/balance.c, the very
 * code) against a simulated host. A fake, for what no test machine holds:
 * thousands of VMs. What is simulated, and how coarsely:
 *
 *   guest    each class has a need, in bytes, that changes once a second. It uses
 *            its need as far as it has memory, and stalls for the part that it lacks;
 *            it loses what it is told to give back within --lag seconds, unless it
 *            is in use: then it gives back what it can and stalls more.
 *   load     made up, from a seed: a day that rises and falls with a phase of its own
 *            for each VM, and bursts; or read from a trace (--trace), the same that
 *            tests/sim/real runs in VMs.
 *   device   a pool never has more plugged than its capacity.
 *   host     one budget for all.
 *
 * One round of the policy each simulated second. Prints a summary as JSON;
 * --csv FILE has a line for each second, --sizes FILE one for each class and second.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "balance.h"

#define MiB	((uint64_t)1 << 20)
#define BLOCK	(2 * MiB)
#define SECOND	1000000ull

struct load {
	double base, swing, phase;	/* MiB, MiB, part of a day */
	double burst_rate;		/* a second */
	double burst_len;		/* seconds, mean */
	double burst_mib;		/* mean */
	double burst_until, burst_now;
};

struct guest {
	uint64_t need, peak_need;
	uint64_t give_from;		/* when it began to give back */
	double stalled, lacked;		/* seconds; MiB * seconds */
};

static struct {
	unsigned int vms, classes, seconds, day, lag;
	unsigned int budget_percent;
	uint64_t seed;
	const char *csv, *sizes, *trace;
} opt = { .vms = 2000, .classes = 16, .seconds = 1800, .day = 900, .lag = 2,
	  .budget_percent = 33, .seed = 1 };

static struct balance_class *classes;
static struct balance_pool *pools;
static struct load *loads;
static struct guest *guests;
static struct balance_group group;
static size_t nr_classes;

/* need in MiB by second and class, when there is a trace */
static double *trace;

static void die(const char *what, const char *value)
{
	fprintf(stderr, "pzoned_sim: %s '%s'%s%s\n", what, value, errno ? ": " : "",
		errno ? strerror(errno) : "");
	exit(2);
}

/* xorshift64*: the same run for the same seed, everywhere */
static double uniform(void)
{
	opt.seed ^= opt.seed >> 12;
	opt.seed ^= opt.seed << 25;
	opt.seed ^= opt.seed >> 27;
	return (double)((opt.seed * 2685821657736338717ull) >> 11) / 9007199254740992.0;
}

static double exponential(double mean)
{
	return -mean * log(1.0 - uniform());
}

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "pzoned_sim: out of memory\n");
		exit(2);
	}
	return p;
}

/* --- the world --- */

static uint64_t blocks(double mib)
{
	return (uint64_t)(mib / 2.0) * BLOCK;
}

static void make_vm(size_t vm)
{
	double phase = 0.35 * uniform();	/* most of them live in one time zone */

	pools[vm].classes = &classes[vm * opt.classes];
	pools[vm].nr_classes = opt.classes;
	pools[vm].memmap = 64 * MiB;
	for (size_t i = vm * opt.classes; i < (vm + 1) * opt.classes; i++) {
		double guarantee = 32 + 96 * uniform();
		bool diurnal = uniform() < 0.5;

		classes[i] = (struct balance_class){
			.name = "class", .guarantee = blocks(guarantee),
			.limit = blocks(guarantee * 8), .unit = BLOCK, .elastic = true,
			.weight = uniform() < 0.2 ? 300 : 100,
		};
		classes[i].size = classes[i].actual = classes[i].guarantee;
		loads[i] = (struct load){
			.base = guarantee * (0.3 + 0.7 * uniform()),
			.swing = diurnal ? guarantee * 3 * uniform() : 0,
			.phase = phase + 0.1 * uniform(),
			.burst_rate = diurnal ? 1.0 / 600 : 1.0 / 200,
			.burst_len = 20 + 60 * uniform(),
			.burst_mib = guarantee * 3,
		};
		pools[vm].capacity += classes[i].guarantee;
	}
	/* All that a VM may have: half as much again as it could use at its busiest hour. */
	pools[vm].capacity = pools[vm].capacity * 4;
}

static double made_up_need(struct load *load, double t)
{
	double day = load->swing * 0.5 * (1 + sin(2 * M_PI * (t / opt.day + load->phase)));

	if (t >= load->burst_until) {
		load->burst_now = 0;
		if (uniform() < load->burst_rate) {
			load->burst_until = t + exponential(load->burst_len);
			load->burst_now = exponential(load->burst_mib);
		}
	}
	return load->base + day + load->burst_now;
}

/* One second in a class: what it needs, has, lacks, gives back and reports. */
static void live(size_t i, unsigned int t)
{
	struct balance_class *cls = &classes[i];
	struct guest *g = &guests[i];
	double need = trace ? trace[(size_t)t * nr_classes + i] : made_up_need(&loads[i], t);
	uint64_t uses;

	g->need = (uint64_t)(need * (double)MiB);
	if (g->need > cls->limit)
		g->need = cls->limit;
	if (g->need > g->peak_need)
		g->peak_need = g->need;
	uses = g->need < cls->actual ? g->need : cls->actual;
	if (cls->actual < cls->size) {
		cls->actual = cls->size;	/* the device checks the capacity */
	} else if (cls->actual > cls->size) {
		if (!g->give_from)
			g->give_from = t;
		/* Reclaim makes room even of what is in use, at the price of a stall. */
		if (t - g->give_from >= opt.lag) {
			cls->actual = cls->size;
			g->give_from = 0;
		}
	}
	if (uses > cls->actual)
		uses = cls->actual;
	cls->free = cls->actual - uses;
	if (g->need > uses) {
		double lack = (double)(g->need - uses) / (double)g->need;

		cls->stall_us += (uint64_t)(lack * (double)SECOND);
		g->stalled += lack;
		g->lacked += (double)(g->need - uses) / (double)MiB;
		/* A guest that lacks a tenth of what it needs says so at once. */
		if (lack > 0.1)
			cls->shortage = BLOCK;
	}
	cls->sampled_us = (t + 1) * SECOND;
}

/*
 * --- a trace: "budget MIB"; for each VM "vm N CAPACITY MEMMAP" and its classes, "class NAME
 * GUARANTEE LIMIT WEIGHT"; "needs"; then a line of MiB, one for each class, each second ---
 */

static char *next_line(FILE *f, char *line, int len)
{
	do {
		if (!fgets(line, len, f))
			return NULL;
	} while (line[0] == '#' || line[0] == '\n');
	return line;
}

static void read_trace(void)
{
	FILE *f = fopen(opt.trace, "r");
	unsigned int vm, last_vm = 0, guarantee, limit, weight;
	static char line[65536];

	if (!f)
		die("can't open trace", opt.trace);
	errno = 0;
	opt.vms = 0;
	classes = must(calloc(4096, sizeof(*classes)));
	pools = must(calloc(4096, sizeof(*pools)));
	while (next_line(f, line, sizeof(line)) && strcmp(line, "needs\n")) {
		unsigned int capacity, memmap;

		if (sscanf(line, "budget %u", &capacity) == 1) {
			group.budget = capacity * MiB;
			continue;
		}
		if (sscanf(line, "vm %u %u %u", &vm, &capacity, &memmap) == 3) {
			if (vm != opt.vms || vm >= 4096)
				die("VMs must be numbered from 0:", line);
			pools[opt.vms].memmap = memmap * MiB;
			pools[opt.vms++].capacity = capacity * MiB;
			last_vm = vm;
			pools[vm].classes = &classes[nr_classes];
			continue;
		}
		if (sscanf(line, "class %*s %u %u %u", &guarantee, &limit, &weight) != 3 || !opt.vms ||
		    nr_classes >= 4096)
			die("not a line of a trace:", line);
		classes[nr_classes] = (struct balance_class){
			.name = "class", .guarantee = guarantee * MiB, .limit = limit * MiB,
			.size = guarantee * MiB, .actual = guarantee * MiB, .unit = BLOCK,
			.weight = weight, .elastic = true,
		};
		nr_classes++;
		pools[last_vm].nr_classes++;
	}
	if (!nr_classes)
		die("no class in trace", opt.trace);
	opt.seconds = 0;
	while (next_line(f, line, sizeof(line))) {
		char *at = line, *end;

		trace = must(realloc(trace, (opt.seconds + 1) * nr_classes * sizeof(*trace)));
		for (size_t i = 0; i < nr_classes; i++, at = end) {
			trace[opt.seconds * nr_classes + i] = strtod(at, &end);
			if (end == at)
				die("a second with fewer needs than classes:", line);
		}
		opt.seconds++;
	}
	fclose(f);
}

static void make_world(void)
{
	uint64_t sum = 0;

	nr_classes = (size_t)opt.vms * opt.classes;
	classes = must(calloc(nr_classes, sizeof(*classes)));
	loads = must(calloc(nr_classes, sizeof(*loads)));
	pools = must(calloc(opt.vms, sizeof(*pools)));
	for (size_t vm = 0; vm < opt.vms; vm++)
		make_vm(vm);
	/* Static sizing gives each class what it needs at its own peak; a budget is part of that.
	 * The peaks are known only afterwards, so take what the load's parts come to. */
	for (size_t i = 0; i < nr_classes; i++) {
		double peak = loads[i].base + loads[i].swing + 2 * loads[i].burst_mib;

		if (blocks(peak) > classes[i].limit)
			sum += classes[i].limit;
		else
			sum += blocks(peak);
	}
	group.budget = sum / 100 * opt.budget_percent;
	sum = 0;
	for (size_t i = 0; i < nr_classes; i++)
		sum += classes[i].guarantee;
	sum += (uint64_t)opt.vms * 64 * MiB;
	if (group.budget < sum)
		group.budget = sum;
}

/* --- what came of it --- */

static struct {
	uint64_t resizes, broken_guarantees, broken_limits, broken_budget, broken_pools;
	uint64_t held, held_max, short_seconds;
	double cpu_s, cpu_max_s, jain_sum, jain_min;
	uint64_t jain_rounds;
} sum = { .jain_min = 1 };

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t held_bytes(void)
{
	uint64_t held = 0;

	for (size_t vm = 0; vm < opt.vms; vm++)
		held += pools[vm].memmap;
	for (size_t i = 0; i < nr_classes; i++)
		held += classes[i].size > classes[i].actual ? classes[i].size : classes[i].actual;
	return held;
}

static void check(void)
{
	uint64_t held;

	for (size_t i = 0; i < nr_classes; i++) {
		sum.broken_guarantees += classes[i].new_size < classes[i].guarantee ||
					 classes[i].actual < classes[i].guarantee;
		sum.broken_limits += classes[i].new_size > classes[i].limit;
		sum.resizes += classes[i].new_size != classes[i].size;
		classes[i].size = classes[i].new_size;
	}
	for (size_t vm = 0; vm < opt.vms; vm++) {
		uint64_t sizes = 0;

		for (size_t i = 0; i < pools[vm].nr_classes; i++)
			sizes += pools[vm].classes[i].size;
		sum.broken_pools += sizes > pools[vm].capacity;
	}
	held = held_bytes();
	sum.held += held / MiB;
	if (held > sum.held_max)
		sum.held_max = held;
	sum.broken_budget += held > group.budget;
}

/*
 * Jain's index of what those that are short got above their guarantee, for their
 * weight: 1 is even. Only where the budget binds: with room nobody is compared.
 */
static double jain(void)
{
	double s = 0, s2 = 0;
	size_t n = 0;

	for (size_t i = 0; i < nr_classes; i++) {
		const struct balance_class *cls = &classes[i];
		double x;

		if (cls->want < cls->size + 8 * BLOCK || cls->size >= cls->limit)
			continue;
		x = (double)(cls->size - cls->guarantee) / cls->weight;
		s += x;
		s2 += x * x;
		n++;
	}
	return n < 2 || s2 == 0 ? -1 : s * s / ((double)n * s2);
}

static void run(void)
{
	FILE *csv = opt.csv ? fopen(opt.csv, "w") : NULL;
	FILE *sizes = opt.sizes ? fopen(opt.sizes, "w") : NULL;

	if ((opt.csv && !csv) || (opt.sizes && !sizes))
		die("can't write", opt.csv && !csv ? opt.csv : opt.sizes);
	if (csv)
		fprintf(csv, "second,need_mib,held_mib,budget_mib,lacking_mib,resizes,short,jain,round_us\n");
	for (unsigned int t = 0; t < opt.seconds; t++) {
		uint64_t before = sum.resizes, need = 0, lack = 0;
		double began, took, j;

		for (size_t i = 0; i < nr_classes; i++) {
			live(i, t);
			need += guests[i].need;
			if (guests[i].need > classes[i].actual)
				lack += guests[i].need - classes[i].actual;
		}
		began = cpu_s();
		balance_round(pools, opt.vms, &group, 1, &balance_defaults, (t + 1) * SECOND);
		took = cpu_s() - began;
		sum.cpu_s += took;
		if (took > sum.cpu_max_s)
			sum.cpu_max_s = took;
		check();
		sum.short_seconds += group.is_short;
		j = group.is_short ? jain() : -1;
		if (j >= 0) {
			sum.jain_sum += j;
			sum.jain_rounds++;
			if (j < sum.jain_min)
				sum.jain_min = j;
		}
		if (csv)
			fprintf(csv, "%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d,%.4f,%.0f\n",
				t, need / MiB, held_bytes() / MiB, group.budget / MiB, lack / MiB,
				sum.resizes - before, group.is_short, j, took * 1e6);
		for (size_t i = 0; sizes && i < nr_classes; i++)
			fprintf(sizes, "%u,%zu,%" PRIu64 ",%" PRIu64 "\n", t, i, guests[i].need / MiB,
				classes[i].size / MiB);
	}
	if (csv)
		fclose(csv);
	if (sizes)
		fclose(sizes);
}

static void report(void)
{
	uint64_t peaks = (uint64_t)opt.vms * pools[0].memmap;
	double stalled = 0;

	for (size_t i = 0; i < nr_classes; i++) {
		peaks += guests[i].peak_need > classes[i].guarantee ? guests[i].peak_need :
								      classes[i].guarantee;
		stalled += guests[i].stalled;
	}
	printf("{\n");
	printf("  \"vms\": %u, \"classes\": %zu, \"seconds\": %u, \"budget-mib\": %" PRIu64 ",\n", opt.vms,
	       nr_classes, opt.seconds, group.budget / MiB);
	printf("  \"resizes-per-second\": %.1f,\n", (double)sum.resizes / opt.seconds);
	printf("  \"round-cpu-ms\": %.3f, \"round-cpu-ms-max\": %.3f, \"cpu-percent-at-1s\": %.2f,\n",
	       sum.cpu_s / opt.seconds * 1e3, sum.cpu_max_s * 1e3, sum.cpu_s / opt.seconds * 100);
	printf("  \"guarantee-violations\": %" PRIu64 ", \"limit-violations\": %" PRIu64
	       ", \"pool-violations\": %" PRIu64 ", \"budget-violations\": %" PRIu64 ",\n",
	       sum.broken_guarantees, sum.broken_limits, sum.broken_pools, sum.broken_budget);
	printf("  \"static-mib\": %" PRIu64 ", \"held-mean-mib\": %" PRIu64 ", \"held-max-mib\": %" PRIu64
	       ", \"saved-percent\": %.1f,\n", peaks / MiB, sum.held / opt.seconds, sum.held_max / MiB,
	       100.0 - 100.0 * (double)sum.held_max / (double)peaks);
	printf("  \"stalled-percent\": %.3f, \"short-seconds\": %" PRIu64 ",\n",
	       100 * stalled / ((double)nr_classes * opt.seconds), sum.short_seconds);
	printf("  \"jain-mean\": %.4f, \"jain-min\": %.4f, \"jain-rounds\": %" PRIu64 "\n",
	       sum.jain_rounds ? sum.jain_sum / (double)sum.jain_rounds : 1, sum.jain_min,
	       sum.jain_rounds);
	printf("}\n");
}

static unsigned int number(const char *name, const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	errno = 0;
	if (*end || end == text || v < min || v > max)
		die(name, text);
	return (unsigned int)v;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "vms", 1, NULL, 'v' }, { "classes", 1, NULL, 'c' }, { "seconds", 1, NULL, 's' },
		{ "day", 1, NULL, 'd' }, { "lag", 1, NULL, 'l' }, { "budget-percent", 1, NULL, 'b' },
		{ "seed", 1, NULL, 'r' }, { "csv", 1, NULL, 'o' }, { "sizes", 1, NULL, 'z' },
		{ "trace", 1, NULL, 't' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'v': opt.vms = number("--vms", optarg, 1, 100000); break;
		case 'c': opt.classes = number("--classes", optarg, 1, 1000); break;
		case 's': opt.seconds = number("--seconds", optarg, 1, 1000000); break;
		case 'd': opt.day = number("--day", optarg, 1, 1000000); break;
		case 'l': opt.lag = number("--lag", optarg, 0, 1000); break;
		case 'b': opt.budget_percent = number("--budget-percent", optarg, 1, 1000); break;
		case 'r': opt.seed = number("--seed", optarg, 1, UINT32_MAX); break;
		case 'o': opt.csv = optarg; break;
		case 'z': opt.sizes = optarg; break;
		case 't': opt.trace = optarg; break;
		default: return 2;
		}
	}
	group.budget = BALANCE_NO_BUDGET;
	if (opt.trace)
		read_trace();
	else
		make_world();
	guests = must(calloc(nr_classes, sizeof(*guests)));
	run();
	report();
	return sum.broken_guarantees || sum.broken_limits || sum.broken_pools || sum.broken_budget;
}
