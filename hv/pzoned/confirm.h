/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confirm.h: is what was planned still to be done a moment later?
 */
#ifndef PZONED_CONFIRM_H
#define PZONED_CONFIRM_H

#include <stdbool.h>
#include <libvirt/libvirt.h>
#include "policy.h"

/* Takes no time unless the plan sets a class that is there. False: plan anew. */
bool confirm_plan(virDomainPtr dom, const struct policy_plan *plan);

#endif
