/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress.h - waits for classes and shows how it goes
 *
 * On a terminal one line on stderr is rewritten until the end, and then wiped,
 * so that what stays on the screen is the result. In a pipe nothing is shown,
 * unless the user asks for it: then one line per change.
 */
#ifndef PZONE_VIRSH_PROGRESS_H
#define PZONE_VIRSH_PROGRESS_H

#include "cli.h"
#include "libpzone.h"

/* A wait that nobody bounded ends after this: nothing hangs on the guest. */
enum { WAIT_DEFAULT_SECONDS = 300 };

enum wait_goal {
	WAIT_FOR_SIZE,		/* the class has what is wanted */
	WAIT_FOR_END,		/* the class has gone */
};

struct wait_opts {
	unsigned int timeout_s;	/* 0: none given */
	bool verbose;
};

/*
 * Waits for one class and says how it ended.
 * start_bytes: what the class had before, to tell a shrink from a grow.
 * Returns an exit code.
 */
int wait_for_class(struct cli_ctl *ctl, virDomainPtr dom, const char *name,
		   enum wait_goal goal, uint64_t start_bytes,
		   const struct wait_opts *opts);

/* The same for an order to reclaim that pzone_domain_reclaim() gave. */
int wait_for_reclaim(struct cli_ctl *ctl, virDomainPtr dom, const char *name, uint32_t seq,
		     uint64_t asked_bytes, const struct wait_opts *opts);

/* "512 MiB", "1.5 MiB", "12 KiB", "0 B": short and as exact as reads well. */
char *size_text(uint64_t bytes, char *buf, size_t buf_len);
enum { SIZE_TEXT = 32 };

#endif
