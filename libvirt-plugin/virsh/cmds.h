/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmds.h - the command groups of virsh-pzone and what they share
 */
#ifndef PZONE_VIRSH_CMDS_H
#define PZONE_VIRSH_CMDS_H

#include "cli.h"

extern const struct cli_group pzone_group;	/* cmd-pzone.c */
extern const struct cli_group self_group;	/* cmd-self.c */

/* The connection, opened now if need be; NULL after a message. */
virConnectPtr ctl_connect(struct cli_ctl *ctl);
/* The same without a message. */
virConnectPtr ctl_connect_quietly(struct cli_ctl *ctl);

/* Completion: values for the last of nwords words (cmd-self.c). */
void complete_words(struct cli_ctl *ctl, size_t nwords,
		    const char *const *words);

#endif
