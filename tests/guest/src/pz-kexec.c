// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pz-kexec: go on with another kernel at once. (pz-vmcore loads one for a crash.)
 *
 * usage: pz-kexec KERNEL INITRD CMDLINE
 */
#include <fcntl.h>
#include <linux/reboot.h>
#include <sys/reboot.h>
#include <sys/syscall.h>

#include "pz-util.h"

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: pz-kexec KERNEL INITRD CMDLINE\n");
		return EXIT_USAGE;
	}
	if (syscall(SYS_kexec_file_load, open_file(argv[1]), open_file(argv[2]), strlen(argv[3]) + 1,
		    argv[3], 0))
		die("kexec_file_load");
	sync();
	reboot(LINUX_REBOOT_CMD_KEXEC);
	die("reboot");
}
