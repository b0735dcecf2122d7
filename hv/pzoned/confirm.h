/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confirm.h: is what was planned what a second look asks for, too?
 */
#ifndef PZONED_CONFIRM_H
#define PZONED_CONFIRM_H

#include <stdbool.h>
#include <libvirt/libvirt.h>
#include "policy.h"

/* Takes its time if the plan sets a class that is there. False: plan anew, of a fresh XML. */
bool confirm_plan(virDomainPtr dom, const struct policy_plan *plan);

#endif
