// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * insn: a TCG plugin that counts the guest's instructions, kernel and user apart.
 *
 *   -plugin insn.so,socket=PATH[,marks=FILE][,profile=FILE]
 *
 * Whoever connects to the unix socket PATH gets one line "KERNEL USER REP", the sums
 * of all vCPUs by now. A user program that executes the marker (xchg %bx,%bx, which
 * does nothing) makes a line "KERNEL USER REP" of its own vCPU in FILE: what lies
 * between two marks is counted without the rest of the guest.
 *
 * profile=FILE: each connection also writes FILE anew: of every BUCKET bytes of kernel
 * text, how many instructions in them were executed, as an array of uint64_t.
 * tests/bench/profile makes functions of them.
 *
 * String instructions with a rep prefix are counted apart (REP), in the lines' third column,
 * because how often they count depends on how QEMU translates them: once for each repetition
 * with -icount, less often without. One that faults counts again when it is executed again.
 */
#include <glib.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

#define KERNEL_START 0xffff800000000000ULL
#define TEXT_START 0xffffffff81000000ULL	/* without KASLR */
#define TEXT_BYTES (16UL << 20)
#define BUCKET 16
#define BUCKETS (TEXT_BYTES / BUCKET)

struct count {
	uint64_t kernel, user, rep;
};

static struct qemu_plugin_scoreboard *counts;
static qemu_plugin_u64 kernel, user, rep;
static struct qemu_plugin_scoreboard *buckets;
static const char *profile;
static FILE *marks;
static int listener = -1;

static void on_mark(unsigned int vcpu, void *data)
{
	(void)data;
	fprintf(marks, "%llu %llu %llu\n", (unsigned long long)qemu_plugin_u64_get(kernel, vcpu),
		(unsigned long long)qemu_plugin_u64_get(user, vcpu),
		(unsigned long long)qemu_plugin_u64_get(rep, vcpu));
	fflush(marks);
}

static int is_marker(struct qemu_plugin_insn *insn)
{
	static const unsigned char marker[] = { 0x66, 0x87, 0xdb };
	unsigned char bytes[sizeof(marker)];

	return qemu_plugin_insn_size(insn) == sizeof(marker) &&
	       qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) == sizeof(bytes) &&
	       !memcmp(bytes, marker, sizeof(marker));
}

/* rep movs, stos and the like: F2 or F3, perhaps REX, A4 to A7 or AA to AF. */
static int is_rep(struct qemu_plugin_insn *insn)
{
	unsigned char b[4] = { 0 };
	size_t n = qemu_plugin_insn_data(insn, b, sizeof(b)), op;

	if (n < 2 || (b[0] != 0xf2 && b[0] != 0xf3))
		return 0;
	op = (b[1] & 0xf0) == 0x40 ? 2 : 1;
	return op < n && ((b[op] >= 0xa4 && b[op] <= 0xa7) || (b[op] >= 0xaa && b[op] <= 0xaf));
}

static void count_in_bucket(struct qemu_plugin_insn *insn, uint64_t vaddr)
{
	qemu_plugin_u64 bucket = { buckets, (vaddr - TEXT_START) / BUCKET * sizeof(uint64_t) };

	if (vaddr >= TEXT_START && vaddr < TEXT_START + TEXT_BYTES)
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64,
								    bucket, 1);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t vaddr = qemu_plugin_insn_vaddr(insn);
		int in_kernel = vaddr >= KERNEL_START;

		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
			insn, QEMU_PLUGIN_INLINE_ADD_U64,
			is_rep(insn) ? rep : in_kernel ? kernel : user, 1);
		if (profile && !is_rep(insn))
			count_in_bucket(insn, vaddr);
		if (marks && !in_kernel && is_marker(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

static void write_profile(void)
{
	FILE *f = fopen(profile, "w");

	if (!f) {
		perror(profile);
		return;
	}
	for (uint64_t i = 0; i < BUCKETS; i++) {
		qemu_plugin_u64 bucket = { buckets, i * sizeof(uint64_t) };
		uint64_t n = qemu_plugin_u64_sum(bucket);

		fwrite(&n, sizeof(n), 1, f);
	}
	fclose(f);
}

static void *serve(void *unused)
{
	char line[96];
	int fd, n;

	(void)unused;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (profile)
			write_profile();
		n = snprintf(line, sizeof(line), "%llu %llu %llu\n",
			     (unsigned long long)qemu_plugin_u64_sum(kernel),
			     (unsigned long long)qemu_plugin_u64_sum(user),
			     (unsigned long long)qemu_plugin_u64_sum(rep));
		if (write(fd, line, n) != n)
			perror("insn: write");
		close(fd);
	}
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	pthread_t thread;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "insn: the socket's path is too long: %s\n", path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 4) || pthread_create(&thread, NULL, serve, NULL)) {
		perror(path);
		return -1;
	}
	return 0;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
					   int argc, char **argv)
{
	(void)info;
	counts = qemu_plugin_scoreboard_new(sizeof(struct count));
	kernel = qemu_plugin_scoreboard_u64_in_struct(counts, struct count, kernel);
	user = qemu_plugin_scoreboard_u64_in_struct(counts, struct count, user);
	rep = qemu_plugin_scoreboard_u64_in_struct(counts, struct count, rep);
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "socket=", 7)) {
			if (listen_at(argv[i] + 7))
				return -1;
		} else if (!strncmp(argv[i], "marks=", 6)) {
			marks = fopen(argv[i] + 6, "w");
			if (!marks) {
				perror(argv[i] + 6);
				return -1;
			}
		} else if (!strncmp(argv[i], "profile=", 8)) {
			profile = g_strdup(argv[i] + 8);
			buckets = qemu_plugin_scoreboard_new(BUCKETS * sizeof(uint64_t));
		} else {
			fprintf(stderr, "insn: '%s' is neither socket=PATH, marks=FILE nor profile=FILE\n",
				argv[i]);
			return -1;
		}
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
