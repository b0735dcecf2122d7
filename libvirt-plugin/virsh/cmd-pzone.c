// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-pzone.c - the commands for memory classes
 *
 * Each is thin over libpzone: it reads its options, calls the library and prints.
 * To add one: its definition in the cmd-*.c of its theme, a line here and in
 * cmd-common.h, an entry in virsh-pzone.1, golden tests.
 */
#include "cmd-common.h"

static const struct cli_cmd_def *const pzone_cmds[] = {
	&def_define,
	&def_event,
	&def_info,
	&def_list,
	&def_map,
	&def_pool_add,
	&def_pool_list,
	&def_reclaim,
	&def_resize,
	&def_set,
	&def_stats,
	&def_top,
	&def_undefine,
	NULL
};

const struct cli_group pzone_group = {
	"Memory Classes", "pzone", pzone_cmds
};
