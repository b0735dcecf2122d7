/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link.h: the thread that holds the connection on which libvirt's events come,
 * and opens it again, with back-off, whenever it breaks.
 */
#ifndef PZONED_LINK_H
#define PZONED_LINK_H

#include <stdbool.h>

/*
 * uri must stay. once: list the running domains, have each looked at, end.
 * done(status) is called from the thread when `once` is through (0 or 1). 0 or -1.
 */
int link_start(const char *uri, bool once, void (*done)(int status));

#endif
