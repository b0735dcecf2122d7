/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h: one line per decision to stderr, whole lines from any thread.
 */
#ifndef PZONED_LOG_H
#define PZONED_LOG_H

#include <stdbool.h>

/* syslog's numbers; systemd's journal takes them as "<N>" at a line's start */
enum { LOG_L_ERR = 3, LOG_L_WARN = 4, LOG_L_INFO = 6, LOG_L_DEBUG = 7 };

void log_init(bool verbose);
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)	log_line(LOG_L_ERR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_L_WARN, __VA_ARGS__)
#define log_info(...)	log_line(LOG_L_INFO, __VA_ARGS__)
#define log_debug(...)	log_line(LOG_L_DEBUG, __VA_ARGS__)

#endif
