// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd-self.c - commands about virsh-pzone itself: help, and the words for
 * shell completion
 */
#include "cmds.h"

#include <string.h>

static const struct cli_opt_def opts_help[] = {
	{ "command", CLI_OPT_DATA, false,
	  "Prints global help, command specific help, or help for a group of related commands",
	  NULL },
	{ 0 }
};

static int cmd_help(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	const char *name = cli_opt_raw(cmd, "command");
	const struct cli_cmd_def *def;
	const struct cli_group *group;

	if (!name) {
		printf("Grouped commands:\n\n");
		for (const struct cli_group *const *g = ctl->groups; *g; g++)
			cli_help_group(*g, true);
		return CLI_OK;
	}
	def = cli_find_cmd(ctl, name);
	if (def) {
		cli_help_cmd(def);
		return CLI_OK;
	}
	group = cli_find_group(ctl, name);
	if (group) {
		cli_help_group(group, true);
		return CLI_OK;
	}
	cli_error(ctl, "command or command group '%s' doesn't exist", name);
	return CLI_ERROR;
}

static void print_cmd_names(struct cli_ctl *ctl, const char *prefix)
{
	for (const struct cli_group *const *g = ctl->groups; *g; g++)
		for (const struct cli_cmd_def *const *c = (*g)->cmds; *c; c++)
			if (!(*c)->hidden && !strncmp((*c)->name, prefix, strlen(prefix)))
				printf("%s\n", (*c)->name);
}

static void print_opt_names(const struct cli_cmd *cmd, const char *prefix)
{
	char name[64];

	for (int i = 0; cmd->def->opts && cmd->def->opts[i].name; i++) {
		snprintf(name, sizeof(name), "--%s", cmd->def->opts[i].name);
		if (!cmd->seen[i] && !strncmp(name, prefix, strlen(prefix)))
			printf("%s\n", name);
	}
}

void complete_words(struct cli_ctl *ctl, size_t nwords,
		    const char *const *words)
{
	const char *last = nwords ? words[nwords - 1] : "";
	const struct cli_opt_def *pending;
	const struct cli_cmd_def *def;
	struct cli_cmd cmd;

	if (nwords < 2) {
		print_cmd_names(ctl, last);
		return;
	}
	if (!strcmp(words[0], "help")) {
		print_cmd_names(ctl, last);
		if (!strncmp(pzone_group.keyword, last, strlen(last)))
			printf("%s\n", pzone_group.keyword);
		return;
	}
	def = cli_find_cmd(ctl, words[0]);
	if (!def)
		return;
	cli_parse_partial(def, nwords - 2, words + 1, &cmd, &pending);
	/* after "--pool" only its value can come */
	if (*last == '-' && !(pending && pending->type == CLI_OPT_STRING))
		print_opt_names(&cmd, last);
	else if (pending && pending->completer)
		pending->completer(ctl, &cmd);
	else if (!pending && !*last)
		print_opt_names(&cmd, last);
	/* else nothing: the shell completes file names by itself */
}

static const struct cli_opt_def opts_complete[] = {
	{ "string", CLI_OPT_ARGV, false, "partial string to autocomplete", NULL },
	{ 0 }
};

static int cmd_complete(struct cli_ctl *ctl, const struct cli_cmd *cmd)
{
	complete_words(ctl, cmd->nargv, cmd->argv);
	return CLI_OK;
}

static const struct cli_cmd_def def_help = {
	"help", cmd_help, "print help",
	"Prints global help, command specific help, or help for a\n"
	"    group of related commands", opts_help, false
};
static const struct cli_cmd_def def_complete = {
	"complete", cmd_complete, "internal command for autocompletion",
	"internal use only", opts_complete, true
};

static const struct cli_cmd_def *const self_cmds[] = { &def_help, &def_complete, NULL };

const struct cli_group self_group = {
	"virsh-pzone itself", "virsh-pzone", self_cmds
};
