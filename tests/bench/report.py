# SPDX-License-Identifier: GPL-2.0-or-later
"""The report: tables, targets and plots from the CSV files.

write() makes report.md and the plots beside the CSV files, and after a full run puts
both into docs/, between the markers of docs/benchmarks.md.
"""
import csv
import datetime
import os
import platform
import re
import shutil
import subprocess

from benchlib import BUILD, TOP, accel, median, spread

DOC = os.path.join(TOP, 'docs/benchmarks.md')
BEGIN, END = '<!-- bench-full writes from here -->', '<!-- to here -->'
PEERS = ['pzone', 'virtio-mem', 'balloon', 'balloon+fpr']
STATES = {'never': 'never touched', 'touched': 'touched and freed', 'half': 'half in use', 'cache': 'page cache'}
COLOURS = {'pzone': '#0060ad', 'virtio-mem': '#dd8800', 'balloon': '#888888', 'balloon+fpr': '#55aa55',
           'host': '#cc0000'}
CRITERIA = ['enforces memory limits', 'code overhead', 'storage overhead', 'runtime overhead',
            'resize at runtime', 'creation at runtime', 'recognizes page sharing', 'supports overcommit']
SCHOOLS = ['pzone', 'memcg', 'PSS', 'fake NUMA + cpuset']


class Data:
    """The rows of all CSV files of a run."""

    def __init__(self, directory):
        self.dir = directory
        self.files = {}
        for name in ('shrink', 'shrink-counts', 'faults', 'faults-counts', 'lifecycle', 'isolation', 'table'):
            path = os.path.join(directory, name + '.csv')
            self.files[name] = list(csv.DictReader(open(path, newline=''))) if os.path.exists(path) else []

    def rows(self, name, **where):
        return [r for r in self.files[name] if all(r[k] == str(v) for k, v in where.items())]

    def values(self, name, column, **where):
        return [float(r[column]) for r in self.rows(name, **where) if r[column] != '']

    def median(self, name, column, **where):
        return median(self.values(name, column, **where))

    def distinct(self, name, *columns):
        """Combinations of columns in the order of the file."""
        return list(dict.fromkeys(tuple(r[c] for c in columns) for r in self.files[name]))

    def notes(self, name):
        path = os.path.join(self.dir, name + '.txt')
        return open(path).read().splitlines() if os.path.exists(path) else []


def show(value, digits=3):
    if value is None:
        return '-'
    if value == 0:
        return '0'
    if abs(value) >= 1000:
        return '{:,.0f}'.format(value)
    return '%.*g' % (digits, value)


def with_spread(values):
    if not values:
        return '-'
    s = spread(values)
    return show(median(values)) + (' ±%.0f %%' % s if s is not None else '')


def ratio(a, b):
    return a / b if a is not None and b else None


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    return '\n'.join(lines + ['| ' + ' | '.join(str(c) for c in r) + ' |' for r in rows]) + '\n'


# --- sections ---

def command(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, cwd=TOP).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''


def circumstances():
    """When, on which code, and beside how much other work."""
    dirty = command('git', 'status', '--porcelain', '--untracked-files=no', '--', 'guest-kernel', 'hv', 'tests', 'include')
    return '%s, commit %s%s, load %s' % (
        datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        command('git', 'rev-parse', '--short=12', 'HEAD'), ' with changes' if dirty else '',
        open('/proc/loadavg').read().split()[0])


def machine(data):
    cpu = re.search(r'model name\s*: (.*)', open('/proc/cpuinfo').read())
    mem = int(re.search(r'MemTotal:\s+(\d+)', open('/proc/meminfo').read()).group(1)) / (1 << 20)
    rows = [('machine', '%s, %d CPUs, %.0f GiB, Linux %s' % (cpu.group(1) if cpu else platform.machine(),
                                                             os.cpu_count(), mem, platform.release())),
            ('accelerator', accel()),
            ('QEMU', command(os.path.join(BUILD, 'qemu/bin/qemu-system-x86_64'), '--version').split('\n')[0]),
            ('guest kernel', command('dpkg-query', '-W', '-f', 'linux-source-6.12 ${Version}', 'linux-source-6.12'))]
    rows += [('measured', line) for line in data.notes('measured')] + [('this report', circumstances())]
    out = '### The run\n\n' + table(('', ''), rows)
    standin = data.notes('stand-in')
    absent = [n for n in ('shrink', 'shrink-counts', 'faults', 'lifecycle', 'isolation', 'table') if not data.files[n]]
    if absent:
        out += '\nNot run: %s.\n' % ', '.join(absent)
    if standin:
        out += '\nPeers did not run an unpatched kernel but the patched one with `pzone=off` in: %s.\n' % ', '.join(standin)
    for name, words in (('left-out', 'Left out'), ('failed', 'Not measured, because it failed')):
        for line in data.notes(name):
            out += '\n%s: %s\n' % (words, line)
    return out


def shrink_times(data):
    out = ('### Shrink and grow\n\nMilliseconds, median and half the interquartile range; "least" of all shrinks. "host" is the bare discard of '
           'the same range. "guest" is the CPU time of the vCPU threads, "QEMU" that of its others, for the shrink.\n\n')
    rows = []
    for backend, state, size in data.distinct('shrink', 'backend', 'state', 'size_mib'):
        for peer in ['host'] + PEERS:
            where = {'backend': backend, 'state': state, 'size_mib': size, 'peer': peer}
            v = data.values('shrink', 'shrink_ms', **where)
            n = len(data.rows('shrink', **where))
            if not n:
                continue
            ended = sum(data.values('shrink', 'ended', **where))
            rows.append((backend, STATES[state], size, peer, with_spread(v), show(min(v)) if v else '-',
                         '' if peer == 'host' else with_spread(data.values('shrink', 'grow_ms', **where)),
                         '' if peer == 'host' else show(data.median('shrink', 'shrink_vcpu_ms', **where)),
                         '' if peer == 'host' else show(data.median('shrink', 'shrink_qemu_ms', **where)),
                         show(data.median('shrink', 'back_mib', **where)), '%d/%d' % (ended, n)))
    return out + table(('pages', 'memory is', 'MiB', 'by', 'shrink', 'least', 'grow', 'guest', 'QEMU', 'MiB back', 'ended'), rows)


def shrink_counts(data):
    out = ('### The same, counted\n\nOne guest with an instruction-counting plugin under TCG, on any host. Instructions are '
           "the guest's, of all vCPUs; discards are madvise and fallocate calls of QEMU; notifications are kicks of any queue.\n\n")
    rows = []
    for backend, state, size in data.distinct('shrink-counts', 'backend', 'state', 'size_mib'):
        for peer in PEERS:
            where = {'backend': backend, 'state': state, 'size_mib': size, 'peer': peer}
            if not data.rows('shrink-counts', **where):
                continue
            m = lambda c: data.median('shrink-counts', c, **where)
            rows.append((backend, STATES[state], '%s of %s' % (show(m('taken_mib')), size), peer, show(m('shrink_insn')),
                         show(m('grow_insn')), show(ratio(m('grow_insn'), (m('taken_mib') or 0) / 2)),
                         show(m('shrink_notify')), show(m('shrink_discards')), show(m('shrink_syscalls'))))
    return out + table(('pages', 'memory is', 'MiB', 'by', 'instructions, shrink', 'grow', 'grow, per 2 MiB',
                        'notifications', 'discards', 'system calls'), rows)


def faults(data):
    out = ('### The price of a page\n\nInstructions of the kernel per 4 KiB page, or of an open() and close() (counted), and nanoseconds '
           '(timed, as noisy as the machine). "class" is a task in a class; "other class" a task outside while there is one.\n\n')
    rows = []
    base = {}
    for path, variant in data.distinct('faults-counts', 'path', 'variant'):
        where = {'path': path, 'variant': variant}
        n = data.median('faults-counts', 'insn_per_page', **where)
        base.setdefault(path, {})[variant] = n
    for path in base:
        for variant, n in base[path].items():
            where = {'path': path, 'variant': variant}
            ref = base[path].get('unpatched, memcg' if 'memcg' in variant else 'unpatched')
            rows.append((path, variant, '%.2f' % n, '%+.2f %%' % (100 * (n / ref - 1)) if ref else '-',
                         show(data.median('faults-counts', 'free_insn_per_page', **where), 4),
                         with_spread(data.values('faults', 'ns_per_page', **where))))
    return out + table(('path', 'kernel and task', 'instructions', 'against unpatched', 'free', 'ns'), rows)


def lifecycle(data):
    rows = []
    for kind, number in data.distinct('lifecycle', 'kind', 'number'):
        where = {'kind': kind, 'number': number}
        rows.append((kind, number, len(data.values('lifecycle', 'create_ms', **where)),
                     with_spread(data.values('lifecycle', 'create_ms', **where)),
                     with_spread(data.values('lifecycle', 'destroy_ms', **where)),
                     show(data.median('lifecycle', 'create_insn', **where)),
                     show(data.median('lifecycle', 'destroy_insn', **where))))
    return ('### Create and destroy\n\n128 MiB each where it does not say otherwise. Milliseconds until the guest can use it, and until it is gone; '
            "instructions of the guest's kernel.\n\n" +
            table(('what', 'how many', 'runs', 'create', 'destroy', 'instructions, create', 'destroy'), rows))


def isolation(data):
    rows = []
    for (mode,) in data.distinct('isolation', 'mode'):
        m = lambda c: data.median('isolation', c, mode=mode)
        rows.append((mode, len(data.rows('isolation', mode=mode)), with_spread(data.values('isolation', 'requests_per_s', mode=mode)),
                     *(show(m(c)) for c in ('p50_ms', 'p99_ms', 'p99_9_ms', 'max_ms', 'swapped_out_mib', 'others_killed'))))
    return ('### Isolation\n\nredis GET, 4 clients, 100,000 keys of 1 KiB; a hog and a file scanner beside it on the other '
            'CPU. Milliseconds.\n\n' +
            table(('neighbours', 'runs', 'requests/s', 'p50', 'p99', 'p99.9', 'max', 'swapped out, MiB', 'hogs killed'), rows))


# --- targets ---

def all_but_discard(data, peer, **where):
    """Guest and protocol: what remains of the total without the host's discard."""
    total = data.median('shrink', 'shrink_ms', peer=peer, **where)
    bare = data.median('shrink', 'shrink_ms', peer='host', **where)
    return None if total is None or bare is None else max(total - bare, 0)


def targets(data):
    rows = []

    def target(what, wanted, got, met, least=None, form=lambda r: show(r) + ' x'):
        rows.append((what, wanted, got, '-' if least is None else form(least),
                     '-' if met is None else 'met' if met else '**missed**'))

    def percent_more(r):
        return '-' if r is None else '%+.2f %%' % (100 * (r - 1))

    for backend, state, size in data.distinct('shrink', 'backend', 'state', 'size_mib'):
        where = {'backend': backend, 'state': state, 'size_mib': size}
        name = '%s, %s, %s MiB' % (STATES[state], backend, size)
        t = {p: data.median('shrink', 'shrink_ms', peer=p, **where) for p in PEERS + ['host']}
        least = {p: min(data.values('shrink', 'shrink_ms', peer=p, **where) or [0]) for p in t}
        if state == 'touched':
            r = ratio(t['pzone'], t['host'])
            target('shrink, ' + name, 'at most 1.2 x the bare discard', show(r) + ' x', None if r is None else r <= 1.2,
                   ratio(least['pzone'], least['host']))
        if state == 'never':
            r = ratio(t['balloon'], t['pzone'])
            target('shrink, ' + name, '40 x faster than the balloon', show(r) + ' x', None if r is None else r >= 40,
                   ratio(least['balloon'], least['pzone']))
            r = ratio(all_but_discard(data, 'virtio-mem', **where), all_but_discard(data, 'pzone', **where))
            target('all but the discard, ' + name, "10 x less than virtio-mem's", show(r) + ' x', None if r is None else r >= 10,
                   ratio(least['virtio-mem'], least['pzone']))
        if state == 'half':
            r = ratio(t['virtio-mem'], t['pzone'])
            target('shrink, ' + name, '3 x faster than virtio-mem', show(r) + ' x', None if r is None else r >= 3,
                   ratio(least['virtio-mem'], least['pzone']))
            runs = data.rows('shrink', peer='pzone', **where)
            target('it ends, ' + name, 'always', '%d of %d' % (sum(r['ended'] == '1' for r in runs), len(runs)),
                   all(r['ended'] == '1' for r in runs) if runs else None)
    for state in ('never', 'touched'):
        insn = {p: data.median('shrink-counts', 'shrink_insn', state=state, size_mib=256, peer=p) for p in PEERS}
        r = ratio(insn['virtio-mem'], insn['pzone'])
        target("guest's instructions, %s, 256 MiB" % STATES[state], "10 x less than virtio-mem's", show(r) + ' x', None if r is None else r >= 10)
    for path in dict.fromkeys(p for p, _ in data.distinct('faults-counts', 'path', 'variant')):
        variants = [v for (p, v) in data.distinct('faults-counts', 'path', 'variant') if p == path]
        n = {v: data.median('faults-counts', 'insn_per_page', path=path, variant=v) for v in variants}
        least = {v: min(data.values('faults-counts', 'insn_per_page', path=path, variant=v)) for v in variants}
        if path == 'open':      # nobody asked for a bound
            continue
        for what, a, b, percent in (('patched, no pool', 'no pool', 'unpatched', 0.1), ('in a class against no class', 'class', 'no pool', 1),
                                    ('in a class against a memcg limit', 'class', 'no pool, memcg', 0)):
            r = ratio(n.get(a), n.get(b))
            target('%s: %s' % (path, what), 'at most +%g %%' % percent if percent else 'cheaper', percent_more(r),
                   None if r is None else 100 * (r - 1) <= percent, ratio(least.get(a), least.get(b)), percent_more)
    return ('### Targets\n\nMeasured by the medians, and the same ratio of the least values of both.\n\n' +
            table(('what', 'wanted', 'measured', 'by least', ''), rows))


def software_zones(data):
    cells = {(r['criterion'], r['school']): (r['cell'], r['method']) for r in data.files['table']}
    n = {v: data.median('faults-counts', 'insn_per_page', path='fault', variant=v)
         for (_, v) in data.distinct('faults-counts', 'path', 'variant')}
    run = 'runtime overhead'
    for school, a, b in (('pzone', 'class', 'unpatched'), ('memcg', 'unpatched, memcg', 'unpatched'),
                         ('fake NUMA + cpuset', 'fake NUMA + cpuset', 'unpatched')):
        r = ratio(n.get(a), n.get(b))
        if r is not None:
            cells[run, school] = ('%+.1f %% of a page fault' % (100 * (r - 1)), "the kernel's instructions, part \"The price of a page\"")
    ms = data.median('lifecycle', 'create_ms', kind='class', number=1)
    gone = data.median('lifecycle', 'destroy_ms', kind='class', number=1)
    if ms is not None:
        cells['creation at runtime', 'pzone'] = ('yes: %s ms, %s ms its end' % (show(ms), show(gone)), '128 MiB, by QMP until usable')
    empty = ('-', '')
    rows = [[c] + [cells.get((c, s), empty)[0] for s in SCHOOLS] for c in CRITERIA]
    out = '### The SoftwareZones table\n\n' + table(['', 'pzone', 'static ownership (memcg)', 'partial ownership (PSS)',
                                                       'fake NUMA + cpuset'], rows)
    out += '\nHow each cell was found:\n\n'
    for c in CRITERIA:
        out += '- %s: %s\n' % (c, '; '.join('%s: %s' % (s, cells[c, s][1]) for s in SCHOOLS if (c, s) in cells))
    return out


# --- plots ---

HEAD = """set terminal svg size 820,460 font 'sans,13' background 'white'
set output '%s'
set title "%s"
set grid ytics
set key outside right
set bmargin 4
"""


def gnuplot(path, title, script):
    try:
        subprocess.run(['gnuplot'], input=HEAD % (path, title) + script, text=True, check=True, timeout=60)
    except subprocess.SubprocessError:
        if os.path.exists(path):
            os.unlink(path)         # half a plot
        raise
    with open(path) as f:
        lines = [line.rstrip() for line in f]
    lines.insert(1, '<!-- SPDX-License-Identifier: GPL-2.0-or-later -->')    # as every file of the tree
    with open(path, 'w') as f:
        f.write('\n'.join(lines) + '\n')


def plot_sizes(data, directory, state):
    """Time over size, huge pages of the host."""
    blocks, plots = '', []
    for peer in PEERS + ['host']:
        points = []
        for b, s, size in data.distinct('shrink', 'backend', 'state', 'size_mib'):
            v = data.values('shrink', 'shrink_ms', backend=b, state=s, size_mib=size, peer=peer)
            if b == 'thp' and s == state and v:
                points.append('%s %g %g %g' % (size, median(v), min(v), max(v)))
        if points:
            blocks += '$d%d << E\n%s\nE\n' % (len(plots), '\n'.join(points))
            plots.append("$d%d using 1:2:3:4 with yerrorlines lw 2 pt 7 ps 0.6 lc rgb '%s' title '%s'" % (
                len(plots), COLOURS[peer], 'bare discard' if peer == 'host' else peer))
    if plots:
        gnuplot(os.path.join(directory, 'shrink-%s.svg' % state), 'Shrink of memory that was %s' % STATES[state].replace('touched and freed', 'touched and freed (host: huge pages)'),
                blocks + "set logscale xy\nset xlabel 'MiB taken'\nset ylabel 'ms (median, least, most)'\n"
                "set xtics (256, 512, 1024, 2048, 4096)\nset xrange [200:5200]\nplot " + ', '.join(plots) + '\n')


def bars(data, path, title, ylabel, groups, series, value, log=True):
    """Clustered bars; a missing value leaves a gap."""
    colours = {s: COLOURS[s] for s in series if s in COLOURS}
    others = [c for c in [*COLOURS.values(), '#aa44aa', '#00aaaa', '#333333', '#bbbb00'] if c not in colours.values()]
    colours.update(zip([s for s in series if s not in colours], others, strict=False))
    lines = ['"%s" %s' % (g, ' '.join(show_number(value(g, s)) for s in series)) for g in groups]
    plot = ', '.join("$d using %d:xtic(1) lc rgb '%s' title '%s'" % (i + 2, colours[s], s)
                     for i, s in enumerate(series))
    gnuplot(path, title, 'set bmargin %d\n' % (1 + max(g.count('\\n') + 2 for g in groups)) +
            '$d << E\n%s\nE\nset datafile missing "?"\nset style data histogram\n'
            "set style histogram clustered gap 1\nset style fill solid 0.9\nset ylabel '%s'\n%sset xtics scale 0\nplot %s\n" % (
                '\n'.join(lines), ylabel, 'set logscale y\n' if log else 'set yrange [0:*]\n', plot))


def show_number(v):
    return '?' if v is None or v <= 0 else '%g' % v


def plot_states(data, directory):
    groups = {}
    for b, s, size in data.distinct('shrink', 'backend', 'state', 'size_mib'):
        groups.setdefault('%s, %s' % (STATES[s], b), (b, s, size))
    if not groups:
        return

    def value(g, peer):
        b, s, size = groups[g]
        taken = {'never': 1, 'touched': 1, 'half': 3 / 8, 'cache': 1 / 2}[s] * int(size) / 1024
        return ratio(data.median('shrink', 'shrink_ms', backend=b, state=s, size_mib=size, peer=peer), taken)
    # a word a line, or the names of seven groups lie upon each other
    names = {g: g.replace(', ', '\\n').replace(' ', '\\n') for g in groups}
    short = {v: k for k, v in names.items()}
    bars(data, os.path.join(directory, 'states.svg'), 'Shrink, by state of the memory and kind of host page',
         'ms per GiB', list(short), PEERS + ['host'], lambda g, p: value(short[g], p))


def plot_faults(data, directory):
    pairs = data.distinct('faults-counts', 'path', 'variant')
    variants = list(dict.fromkeys(v for _, v in pairs))
    paths = [p for p in dict.fromkeys(p for p, _ in pairs) if p not in ('fault-thp', 'open')]
    if pairs:
        bars(data, os.path.join(directory, 'faults.svg'), 'Kernel instructions per page', 'instructions', paths, variants,
             lambda p, v: data.median('faults-counts', 'insn_per_page', path=p, variant=v), log=False)


def plot_isolation(data, directory):
    modes = [m for (m,) in data.distinct('isolation', 'mode')]
    if modes:
        bars(data, os.path.join(directory, 'isolation.svg'), 'redis GET beside a hog and a scanner', 'ms',
             ['p50', 'p99', 'p99.9', 'max'], modes,
             lambda p, m: data.median('isolation', {'p50': 'p50_ms', 'p99': 'p99_ms', 'p99.9': 'p99_9_ms', 'max': 'max_ms'}[p], mode=m))


def plots(bench, data):
    directory = bench.dir
    os.makedirs(directory, exist_ok=True)
    for draw, *more in ((plot_sizes, 'never'), (plot_sizes, 'touched'), (plot_states,), (plot_faults,), (plot_isolation,)):
        try:
            draw(data, directory, *more)
        except Exception as e:      # tables are worth having without it
            bench.failed(' '.join([draw.__name__, *more]), e)
    return sorted(f for f in os.listdir(directory) if f.endswith('.svg'))


def text(data, images, where):
    out = machine(data) + '\n' + targets(data) + '\n'
    if data.files['table']:
        out += software_zones(data) + '\n'
    for name, section in (('shrink', shrink_times), ('shrink-counts', shrink_counts), ('faults-counts', faults),
                          ('lifecycle', lifecycle), ('isolation', isolation)):
        if data.files[name]:
            out += section(data) + '\n'
            for i in images:
                if i.split('.')[0].split('-')[0] in ({'shrink': ('shrink', 'states')}.get(name, (name.split('-')[0],))) and \
                        name != 'shrink-counts':
                    out += '![%s](%s/%s)\n\n' % (i[:-4], where, i)
    return out


def between_markers(old, new):
    """The document with what is between its markers replaced."""
    if BEGIN not in old or END not in old.split(BEGIN, 1)[1]:
        raise SystemExit('%s has no lines "%s" and "%s"' % (DOC, BEGIN, END))
    head, rest = old.split(BEGIN, 1)
    return head + BEGIN + '\n\n' + new + '\n' + END + rest.split(END, 1)[1]


def write(bench):
    data = Data(bench.dir)
    images = plots(bench, data)
    path = os.path.join(bench.dir, 'report.md')
    with open(path, 'w') as f:
        f.write('# Benchmark\n\n' + text(data, images, '.'))
    bench.progress.say('bench: %s' % path)
    if bench.full:
        place = os.path.join(TOP, 'docs/benchmarks')
        os.makedirs(place, exist_ok=True)
        for i in images:
            shutil.copy(os.path.join(bench.dir, i), place)
        with open(DOC) as f:
            old = f.read()
        with open(DOC, 'w') as f:
            f.write(between_markers(old, text(data, images, 'benchmarks')))
        bench.progress.say('bench: %s' % DOC)
