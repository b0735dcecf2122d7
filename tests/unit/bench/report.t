#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# The benchmark's results and report, from figures made up here: a run goes on where
# it was, targets are judged as the medians say, the document keeps what is not generated.
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../bench'))
sys.path.insert(0, os.path.join(HERE, '../../guest'))
import benchlib                     # noqa: E402
import report                       # noqa: E402
import shrink                       # noqa: E402
from guest_test import Tap          # noqa: E402

t = Tap()


def make_shrink(directory, figures):
    """figures: (state, peer) -> milliseconds of three runs."""
    r = benchlib.Results(os.path.join(directory, 'shrink.csv'),
                         ['backend', 'state', 'size_mib', 'peer', 'run'], shrink.TIMES)
    for (state, peer), runs in figures.items():
        for n, ms in enumerate(runs):
            r.add(backend='thp', state=state, size_mib=256, peer=peer, run=n, shrink_ms=float(ms),
                  grow_ms=1.0, back_mib=256, ended=1)
    return r


def rows(text, start):
    return [line for line in text.splitlines() if line.startswith('| ' + start)]


with tempfile.TemporaryDirectory() as d:
    make_shrink(d, {
        ('never', 'host'): (0, 0, 0), ('never', 'pzone'): (2, 2, 9), ('never', 'virtio-mem'): (30, 31, 32),
        ('never', 'balloon'): (70, 100, 130), ('touched', 'host'): (10, 10, 10),
        ('touched', 'pzone'): (11, 11, 11), ('touched', 'virtio-mem'): (50, 50, 50),
        ('half', 'pzone'): (50, 50, 50), ('half', 'virtio-mem'): (100, 100, 100)})
    again = benchlib.Results(os.path.join(d, 'shrink.csv'), ['backend', 'state', 'size_mib', 'peer', 'run'],
                             shrink.TIMES)
    key = {'backend': 'thp', 'state': 'never', 'size_mib': 256, 'peer': 'pzone'}
    t.ok(again.has(run=2, **key) and not again.has(run=3, **key), 'a later run knows what is measured')
    t.equal(again.get('shrink_ms', **key), [2, 2, 9], 'and has the figures')
    try:
        benchlib.Results(os.path.join(d, 'shrink.csv'), ['backend'], ['other'])
        t.ok(False, 'a file with other columns is refused')
    except ValueError as e:
        t.ok('shrink.csv' in str(e) and 'move it away' in str(e), 'a file with other columns is refused', e)
    try:
        again.add(wrong=1)
        t.ok(False, 'an unknown column is refused')
    except ValueError as e:
        t.ok('wrong' in str(e), 'an unknown column is refused', e)

    data = report.Data(d)
    text = report.targets(data)
    t.ok('| 1.1 x |' in rows(text, 'shrink, touched')[0] and rows(text, 'shrink, touched')[0].endswith('met |'),
         '1.1 times the bare discard meets 1.2', text)
    t.ok(rows(text, 'shrink, never')[0].endswith('| met |'), '100 ms against a median of 2 is more than 40 times', text)
    t.ok('15.5 x' in rows(text, 'all but')[0], "virtio-mem's overhead is set against ours", text)
    t.ok(rows(text, 'shrink, half')[0].endswith('**missed** |'), 'twice is not three times', text)
    t.ok(rows(text, "guest's instructions")[0].endswith('| - |'), 'what was not measured is not judged', text)
    whole = report.text(data, [], '.')
    t.ok('### Targets' in whole and '### Shrink and grow' in whole, 'what was measured has a section')
    t.ok('### Isolation' not in whole and re.search('Not run: .*isolation', whole), 'what was not is named', whole)
    t.ok('100 ±15 %' in whole, 'the spread is half the interquartile range', whole)

old = 'head\n%s\nold\n%s\ntail\n' % (report.BEGIN, report.END)
new = report.between_markers(old, 'NEW')
t.ok('head\n' in new and 'tail\n' in new and 'NEW' in new and 'old' not in new, 'only what is between the markers changes')
t.equal(report.between_markers(new, 'NEW'), new, 'and the same again changes nothing')
try:
    report.between_markers('no markers', 'NEW')
    t.ok(False, 'a document without markers is refused')
except SystemExit as e:
    t.ok('benchmarks.md' in str(e), 'a document without markers is refused, by name', e)

t.equal(report.show_number(None), '?', 'a missing value is a gap in a plot')
t.equal((report.show(12345.6), report.show(0.1234), report.show(None)), ('12,346', '0.123', '-'), 'numbers are short')
t.done()
