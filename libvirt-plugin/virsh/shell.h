/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shell.h - virsh-pzone without a command: an interactive shell on a terminal, or
 * commands from a pipe
 */
#ifndef PZONE_VIRSH_SHELL_H
#define PZONE_VIRSH_SHELL_H

#include "cli.h"

/* Until "quit" or the end of the input. The last command's exit code. */
int shell_run(struct cli_ctl *ctl);

#endif
