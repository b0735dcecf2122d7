/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.h: what pzoned tells others, over HTTP on a unix socket (and the metrics on
 * a loopback port, if the settings name one):
 *
 *   GET  /metrics     OpenMetrics text
 *   GET  /v1/status   JSON: every class, and what was last done with it
 *   POST /v1/admit    body: a domain's XML. JSON {"admit": true}, or {"admit": false,
 *                     "error": "..."} when the host's budgets have no room for it; if they
 *                     have, it is kept for the domain, which is about to start
 *   POST /v1/fits     the same, and nothing is kept
 */
#ifndef PZONED_SERVER_H
#define PZONED_SERVER_H

/* socket_path; metrics_address "127.0.0.1:PORT", "[::1]:PORT" or NULL. Logs why. 0 or -1. */
int server_start(const char *socket_path, const char *metrics_address);
void server_stop(void);

#endif
