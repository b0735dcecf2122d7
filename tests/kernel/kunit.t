#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# The KUnit tests of mm/pzone run while a kernel boots that has them (guest-kernel/config/
# kunit.config), before its first program. Their results are in its log, as TAP.
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../guest'))
from guest_test import run  # noqa: E402

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../guest-kernel/files/mm/pzone/tests')


def cases_in_sources():
    """suite -> number of its cases."""
    found = {}
    for name in os.listdir(SOURCES):
        with open(os.path.join(SOURCES, name)) as f:
            text = f.read()
        found[re.search(r'\.name = "(pzone-[^"]+)"', text).group(1)] = len(re.findall(r'KUNIT_CASE\(', text))
    return found


def test(t, vm):
    vm.wait(lambda: 'Run /init' in vm.console(), 'the kernel has booted', 120, 1)
    log = [re.sub(r'^\[ *[\d.]+\] ', '', line) for line in vm.console().splitlines()]
    passed = {}
    suite = None
    for n, line in enumerate(log):
        m = re.match(r'\s*# Subtest: (\S+)', line)
        suite = m.group(1) if m else suite
        m = re.match(r'\s+(not )?ok \d+ (\S+)( # SKIP.*)?', line)
        if m and suite:
            t.ok(not m.group(1), '%s: %s%s' % (suite, m.group(2), m.group(3) or ''), *log[max(0, n - 12):n])
            passed[suite] = passed.get(suite, 0) + (not m.group(1) and not m.group(3))
    # a suite that did not run, or was cut short, must not pass for nothing
    t.equal(passed, cases_in_sources(), 'all that is in the sources ran and passed')


run(test, agent=False)
