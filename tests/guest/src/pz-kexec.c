// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-kexec: go on with another kernel at once, or have it ready for a crash.
 *
 * usage: pz-kexec [-p] KERNEL INITRD CMDLINE
 *   -p  only load it: it takes over in a crash (needs crashkernel=)
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/reboot.h>
#include <sys/syscall.h>

#include "pz-util.h"

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	bool crash = argc == 5 && !strcmp(argv[1], "-p");
	char **arg = argv + 1 + crash;

	if (argc != 4 + crash) {
		fprintf(stderr, "usage: pz-kexec [-p] KERNEL INITRD CMDLINE\n");
		return EXIT_USAGE;
	}
	if (syscall(SYS_kexec_file_load, open_file(arg[0]), open_file(arg[1]), strlen(arg[2]) + 1,
		    arg[2], crash ? KEXEC_FILE_ON_CRASH : 0))
		die("kexec_file_load");
	if (crash)
		return 0;
	sync();
	reboot(LINUX_REBOOT_CMD_KEXEC);
	die("reboot");
}
