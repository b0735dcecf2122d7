# SPDX-License-Identifier: GPL-2.0-or-later
"""What the parts of the benchmark share: results that a later run goes on from,
progress, VMs for timing and for counting, and statistics.

A part measures *points*. Each run of a point is one row of build/bench/MODE/PART.csv,
written as soon as it is measured; a row that is there is not measured again.
"""
import csv
import ctypes
import filecmp
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, 'tests/guest'))

from vm import VM, VMError, Pool, QMPError, BUILD, MiB, SLOW, accel  # noqa: E402,F401

PEER_KERNEL = os.environ.get('PZONE_PEER_KERNEL') or os.path.join(BUILD, 'kernel-peer/bzImage')
PLUGIN_QEMU = os.path.join(BUILD, 'qemu-plugins/bin/qemu-system-x86_64')
PLUGIN = os.path.join(BUILD, 'bench/insn.so')
DISCARD = os.path.join(BUILD, 'bench/discard')
PR_SET_THP_DISABLE = 41


class Results:
    """One CSV file. The first columns are the key of a row, the rest was measured."""

    def __init__(self, path, keys, values):
        self.path, self.keys, self.columns = path, keys, keys + values
        self.rows = []
        if os.path.exists(path):
            with open(path, newline='') as f:
                reader = csv.DictReader(f)
                if reader.fieldnames != self.columns:
                    raise ValueError('%s has other columns than this version of the benchmark '
                                     'writes; move it away' % path)
                self.rows = list(reader)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', newline='') as f:
                csv.writer(f).writerow(self.columns)

    def key(self, row):
        return tuple(str(row[k]) for k in self.keys)

    def has(self, **key):
        return self.key(key) in {self.key(r) for r in self.rows}

    def add(self, **row):
        unknown = set(row) - set(self.columns)
        if unknown:
            raise ValueError('%s has no column %s' % (self.path, unknown))
        row = {c: fmt(row.get(c, '')) for c in self.columns}
        with open(self.path, 'a', newline='') as f:
            csv.writer(f).writerow([row[c] for c in self.columns])
        self.rows.append(row)

    def get(self, column, **where):
        """The figures of a column in the rows that match, without the empty ones."""
        return [float(r[column]) for r in self.rows
                if all(r[k] == str(v) for k, v in where.items()) and r[column] != '']


def fmt(value):
    return '%.4g' % value if isinstance(value, float) and abs(value) < 1000 else \
        '%.1f' % value if isinstance(value, float) else str(value)


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """Half the distance between the quartiles, in percent of the median."""
    if len(values) < 3 or not median(values):
        return None
    q = statistics.quantiles(values, n=4, method='inclusive')
    return 50 * (q[2] - q[0]) / median(values)


class Progress:
    """Says what is measured and how far it is: a line that is rewritten on a terminal."""

    def __init__(self):
        self.total = self.done = 0
        self.began = time.monotonic()
        self.tty = sys.stdout.isatty()

    def expect(self, steps):
        self.total += steps

    def step(self, what):
        self.done += 1
        took = time.monotonic() - self.began
        line = '[%d:%02d] %d/%d %s' % (took // 60, took % 60, self.done, self.total, what)
        print('\r\033[K' + line if self.tty else line, end='' if self.tty else '\n', flush=True)

    def say(self, text):
        print(('\r\033[K' if self.tty else '') + text, flush=True)


def thp(on):
    """Whether processes that are started from here on may get huge pages."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_THP_DISABLE, 0 if on else 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), 'prctl(PR_SET_THP_DISABLE)')


class BenchVM(VM):
    """A guest that is timed, or with counting=True one whose instructions are counted.

    The latter runs under TCG on any host: counts do not depend on the accelerator.
    """

    def __init__(self, peer=False, counting=False, marks=False, huge=True, profile=False, **more):
        self.counting, self.marks, self.huge, self.profile = counting, marks, huge, profile
        if peer:
            more['kernel'] = PEER_KERNEL
            # it may be a patched one, for want of another; the word is unknown to others
            more['cmdline'] = more.get('cmdline', '') + ' pzone=off'
        super().__init__(**more)
        self.expected.append('.')   # a benchmark is no test of the kernel

    def command_line(self):
        old = {k: os.environ.get(k) for k in ('PZONE_ACCEL', 'PZONE_QEMU')}
        if self.counting:
            os.environ.update(PZONE_ACCEL='tcg', PZONE_QEMU=PLUGIN_QEMU)
        try:
            cmd = super().command_line()
        finally:
            for k, v in old.items():
                os.environ.pop(k, None)
                if v is not None:
                    os.environ[k] = v
        if self.counting:
            cmd += ['-plugin', '%s,socket=%s%s%s' % (
                PLUGIN, self.path('insn.sock'), ',marks=' + self.path('marks') if self.marks else '',
                ',profile=' + self.path('profile') if self.profile else '')]
        return cmd

    def start(self):
        thp(self.huge)
        try:
            super().start()
        finally:
            thp(True)
        # Linux turns it off in a guest this small
        self.run('echo madvise > /sys/kernel/mm/transparent_hugepage/enabled')

    # --- what it cost ---

    def instructions(self):
        """(kernel, user) that the guest has executed, without string instructions."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(self.path('insn.sock'))
            return tuple(int(x) for x in s.makefile().read().split()[:2])

    def cpu_ms(self):
        """CPU time of the vCPU threads, and of QEMU's others."""
        vcpus = {str(c['thread-id']) for c in self.qmp.command('query-cpus-fast')}
        took = [0, 0]
        for tid in os.listdir('/proc/%d/task' % self.proc.pid):
            try:
                with open('/proc/%d/task/%s/schedstat' % (self.proc.pid, tid)) as f:
                    took[tid not in vcpus] += int(f.read().split()[0]) / 1e6
            except FileNotFoundError:
                pass
        return took

    def held_mib(self, size):
        """Memory that the host has given: of the memfd of this size, or of the process."""
        directory = '/proc/%d/fd' % self.proc.pid
        for fd in os.listdir(directory):
            link = os.path.join(directory, fd)
            try:
                st = os.stat(link)
                if 'memfd:' in os.readlink(link) and st.st_size == size:
                    return st.st_blocks / 2048
            except FileNotFoundError:
                pass
        with open('/proc/%d/statm' % self.proc.pid) as f:
            return int(f.read().split()[1]) / 256

    def log_from_here(self):
        """A function that returns what QEMU logs from now on."""
        at = os.path.getsize(self.path('qemu.log'))

        def lines():
            with open(self.path('qemu.log'), errors='replace') as log:
                log.seek(at)
                return log.read().splitlines()
        return lines

    def in_group(self, group, cls, command):
        """A guest command line that runs in a control group, and a class if there is one."""
        return 'pz-exec -g %s %s %s' % (group, cls or '-', command)


class Syscalls:
    """Counts the system calls of a process: with Syscalls(pid) as s: ...; s.count"""

    def __init__(self, pid):
        self.pid = pid
        self.count = {}

    def _traced(self):
        for tid in os.listdir('/proc/%d/task' % self.pid):
            try:
                with open('/proc/%d/task/%s/status' % (self.pid, tid)) as f:
                    if 'TracerPid:\t0\n' in f.read():
                        return False
            except FileNotFoundError:
                pass
        return True

    def __enter__(self):
        self.file = '/tmp/pzone-strace.%d' % self.pid
        self.strace = subprocess.Popen(['strace', '-f', '-c', '-U', 'calls,name', '-o', self.file, '-p', str(self.pid)],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not self._traced():
            if self.strace.poll() is not None or time.monotonic() > end:
                raise VMError('strace does not attach to %d; is it installed, and are you root?' % self.pid)
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(30)
        with open(self.file) as f:
            for m in re.finditer(r'^\s*(\d+)\s+(\w+)$', f.read(), re.M):
                if m.group(2) != 'total':
                    self.count[m.group(2)] = int(m.group(1))
        os.unlink(self.file)


def peers_are_patched():
    """Whether PZONE_PEER_KERNEL is our own kernel, which then runs with pzone=off."""
    return os.path.exists(PEER_KERNEL) and filecmp.cmp(PEER_KERNEL, os.path.join(BUILD, 'kernel/bzImage'))


def missing():
    """What a run needs and is not there."""
    lack = [f for f in (PEER_KERNEL, PLUGIN_QEMU, PLUGIN, DISCARD,
                        os.path.join(BUILD, 'kernel/bzImage'),
                        os.path.join(BUILD, 'qemu/bin/qemu-system-x86_64'),
                        os.path.join(BUILD, 'guest/initramfs.cpio.gz')) if not os.path.exists(f)]
    return lack + [p for p in ('strace', 'gnuplot') if not shutil.which(p)]
