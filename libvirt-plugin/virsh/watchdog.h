/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watchdog.h - no command waits for ever for a QEMU that does not answer
 *
 * libvirt waits for the monitor without a limit, and a call into it can't be
 * taken back. So a timer ends the program with a message when a domain has not
 * answered for WATCHDOG_SECONDS ($PZONE_MONITOR_TIMEOUT); libvirt's own limit
 * for a domain that is busy with something else, 30 seconds, comes first.
 */
#ifndef PZONE_VIRSH_WATCHDOG_H
#define PZONE_VIRSH_WATCHDOG_H

enum { WATCHDOG_SECONDS = 90 };

/* Starts it anew; extra_s: how long the command itself means to take. */
void watchdog_start(unsigned int extra_s);
void watchdog_stop(void);

#endif
