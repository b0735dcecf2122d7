/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metrics.h: what elastic.c knows, as text. malloc'ed; NULL without memory.
 */
#ifndef PZONED_METRICS_H
#define PZONED_METRICS_H

char *metrics_text(void);	/* OpenMetrics, with its # EOF */
char *metrics_status(void);	/* JSON */

#endif
