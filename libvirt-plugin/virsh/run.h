/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.h - what the front and the shell share: running another program, and finding
 * the commands in a line without understanding them; virsh's global options
 */
#ifndef PZONE_VIRSH_RUN_H
#define PZONE_VIRSH_RUN_H

#include <getopt.h>
#include <stdbool.h>
#include <sys/types.h>

/* virsh's own, for getopt_long(); "+": they come before the command. */
extern const struct option global_options_of_virsh[];
#define GLOBAL_SHORT_OPTIONS "+:c:d:e:hk:K:l:qrtvV"

/* Waits for the end of a child; returns what a shell would say of it. */
int wait_program(pid_t pid);
/* exec_it runs argv in a child and returns, if it fails, the exit status. */
int run_program(int (*exec_it)(char **), char **argv);
/* Its output in memory; NULL when that does not work. *ret_code is set. */
char *capture_program(int (*exec_it)(char **), char **argv, int *ret_code);

/* The end of the command that starts here: its ';', newline or NUL. */
const char *command_end(const char *p);
/* Is the first word of this command the given one? One that ends in '-' is a prefix. */
bool command_starts_with(const char *p, const char *end, const char *word);

#endif
