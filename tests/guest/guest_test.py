# SPDX-License-Identifier: GPL-2.0-or-later
"""TAP for the guest tests.

    from guest_test import run, Pool

    def test(t, vm):
        vm.create('fast', 'db', '256M')
        vm.settle()
        t.equal(t.cls('db').size, 256 << 20, 'the class has its size')

    run(test, pools=[Pool('fast')])

run() boots a VM (see vm.py for its arguments), calls test(), and fails if it
raises, takes longer than PZONE_TEST_TIMEOUT seconds, or the guest's kernel
complains.
"""
import os
import re
import signal
import sys
import time
import traceback

from vm import VM, VMError, Pool, MiB, GiB, SLOW, accel, size  # noqa: F401

PAGE = 4096
SYSFS = '/sys/kernel/mm/pzone'
TIMEOUT_S = int(float(os.environ.get('PZONE_TEST_TIMEOUT', '180')) * SLOW)

# kinds of pz-walk that hold somebody's data, and those that nobody owns
USER = ('anon', 'unmapped', 'file', 'shmem')
IDLE = ('free', 'quiet')


class Figures(dict):
    """Files of a sysfs directory: numbers where they are numbers."""
    __getattr__ = dict.__getitem__


class Tap:
    """The results of one test program."""

    def __init__(self, vm=None):
        self.vm = vm
        self.parent = None
        self.count = 0
        self.failed = 0

    def on(self, vm):
        """The same results, looking at another VM."""
        other = Tap(vm)
        other.parent = self
        return other

    def diag(self, text):
        for line in str(text).rstrip('\n').splitlines():
            print('# ' + line, flush=True)

    def ok(self, good, what, *details):
        """One result; details are shown when it is bad."""
        if self.parent:
            return self.parent.ok(good, what, *details)
        self.count += 1
        print('%s %d - %s' % ('ok' if good else 'not ok', self.count, what), flush=True)
        if not good:
            self.failed += 1
            # to stderr: prove shows only that
            for d in ('%d - %s' % (self.count, what),) + details:
                for line in str(d).rstrip('\n').splitlines():
                    print('# ' + line, file=sys.stderr, flush=True)
        return bool(good)

    def skip(self, what, why):
        if self.parent:
            return self.parent.skip(what, why)
        self.count += 1
        print('ok %d - %s # SKIP %s' % (self.count, what, why), flush=True)

    def equal(self, got, want, what):
        return self.ok(got == want, what, 'got:    %r' % (got,), 'wanted: %r' % (want,))

    def between(self, got, low, high, what):
        return self.ok(low <= got <= high, what,
                       'got: %s, wanted: %s to %s' % (got, low, high))

    def fails(self, call, pattern, what):
        """call() must raise a VMError whose text matches."""
        try:
            call()
        except VMError as e:
            return self.ok(re.search(pattern, str(e)), what, 'it said: %s' % e)
        return self.ok(False, what, 'it did not fail')

    def done(self):
        print('1..%d' % self.count, flush=True)
        sys.exit(1 if self.failed or not self.count else 0)

    # --- what the guest's sysfs says ---

    def figures(self, directory):
        """All files of a directory in one go, or None if there is none."""
        text = self.vm.sh('cd %s 2>/dev/null && for f in *; do [ -f $f ] && [ -r $f ] && '
                          'echo "== $f" && cat $f; done; true' % directory)
        if not text:
            return None
        out = Figures()
        for part in re.split(r'^== ', text, flags=re.M)[1:]:
            name, _, value = part.partition('\n')
            value = value.rstrip('\n')
            out[name] = int(value, 0) if re.fullmatch(r'-?\d+|0x[0-9a-f]+', value) else value
        return out

    def cls(self, name):
        f = self.figures('%s/class/%s' % (SYSFS, name))
        if f:
            f['extents'] = [(int(a, 16), int(n)) for a, n in
                            (line.split() for line in f['extents'].splitlines())]
        return f

    def pool(self, name):
        return self.figures('%s/pool/%s' % (SYSFS, name))

    def class_names(self):
        return sorted(self.vm.sh('ls %s/class' % SYSFS).split())

    # --- what the pages say ---

    def walk(self, option=''):
        """Rows (place, kind, cgroup, pages) of pz-walk."""
        rows = []
        for line in self.vm.sh('pz-walk ' + option, 60).splitlines():
            _, place, kind, group, pages = line.split()
            rows.append((place, kind, group, int(pages)))
        return rows

    def walk_pid(self, pid):
        """(place, 'anon' | 'file') -> pages, of a process."""
        out = {}
        for line in self.vm.sh('pz-walk -p %s' % pid, 60).splitlines():
            _, _, place, kind, pages = line.split()
            out[place, kind] = int(pages)
        return out

    def no_owners(self, what):
        """True, and said, where nobody can tell pages apart: by the memory cgroup they are charged to."""
        if not hasattr(self, 'memcg'):
            self.memcg = self.vm.run('test -e /proc/kpagecgroup').status == 0
        if not self.memcg:
            self.skip(what, 'a kernel without memory cgroups does not know whose a page is')
        return not self.memcg

    def no_leak_in(self, allowed, what, rows=None):
        """Nothing lies in a class's extents but pages of its own cgroups.

        allowed: class -> its cgroups. Pages without any flag are not judged
        here: they sit on a processor's free list (or are leaks that show when
        the class is taken away).
        """
        if self.no_owners(what):
            return True
        bad = [r for r in rows or self.walk()
               if r[0] in allowed and r[1] not in IDLE
               and not (r[1] in USER and r[2] in allowed[r[0]])]
        return self.ok(not bad, what, *['%s: %s of %s, %d pages' % r for r in bad])

    def no_leak_out(self, allowed, what, rows=None, unmovable=0):
        """No movable page of a class's cgroup lies outside its extents.

        unmovable: so many pages of page cache may, where a file system is used.
        """
        if self.no_owners(what):
            return True
        home = {g: c for c, groups in allowed.items() for g in groups}
        bad = [r for r in rows or self.walk()
               if r[2] in home and r[1] in USER and r[0] != home[r[2]]
               and not (r[0] == 'base' and r[1] == 'file' and r[3] <= unmovable)]
        return self.ok(not bad, what, *['%s: %s of %s, %d pages' % r for r in bad])

    def agrees(self, what):
        """The guest's sysfs, QEMU and arithmetic say the same; quiet VM only."""
        for _ in range(10):
            bad = self._disagreements()
            if not bad:
                break
            time.sleep(0.3)     # the figures were read one after the other
        return self.ok(not bad, what, *bad)

    def _disagreements(self):
        bad = []
        for p in self.vm.qmp.command('query-pzone'):
            g = self.pool(p['id'])
            total = p['memmap']
            if g.addr != p['addr'] or g.size != p['size'] or g.block_size != p['block-size']:
                bad.append('pool %s: guest %s, QEMU %s' % (p['id'], dict(g), p))
            for c in p['classes']:
                if c['name'] == 'memmap':
                    continue
                f = self.cls(c['name'])
                total += c['actual']
                if f is None:
                    bad.append('class %s is not in sysfs' % c['name'])
                    continue
                ext = [(e['addr'], e['size']) for e in c['extents']]
                if f.size != c['actual'] or sorted(f.extents) != sorted(ext) or \
                        sum(e[1] for e in ext) != f.size:
                    bad.append('class %s: guest %d %s, QEMU %d %s' % (
                        c['name'], f.size, f.extents, c['actual'], ext))
                if abs(f.free + f.used - f.size) > MiB:
                    bad.append('class %s: free %d + used %d is not %d' % (
                        c['name'], f.free, f.used, f.size))
            if g.plugged != p['plugged'] or p['plugged'] != total:
                bad.append('pool %s: plugged %d in the guest, %d in QEMU, sum of the parts %d' % (
                    p['id'], g.plugged, p['plugged'], total))
        return bad

    def meminfo(self, key):
        """A line of /proc/meminfo in bytes."""
        return int(re.search(r'^%s:\s+(\d+) kB' % key, self.vm.sh('cat /proc/meminfo'),
                             re.M).group(1)) * 1024

    def base_free(self):
        """Free bytes of ordinary memory (node 0)."""
        text = self.vm.sh('cat /sys/devices/system/node/node0/meminfo')
        return int(re.search(r'MemFree:\s+(\d+) kB', text).group(1)) * 1024

    # --- programs in a class ---

    def start(self, cls, command, until=None, group=None, timeout=30):
        """Start a program in a class (None: in no class) and wait for a word."""
        if cls is not None or group is not None:
            command = 'exec pz-exec %s %s %s' % ('-g ' + group if group else '', cls or '-',
                                                 command)
        else:
            command = 'exec ' + command
        job = self.vm.bg(command, until, timeout)
        m = re.search(r'^pid (\d+)', job.text(), re.M)
        job.pid = int(m.group(1)) if m else None
        return job

    def ends_well(self, job, what, signal_first=True, timeout=60):
        """Tell a test program to verify and end; it must find no fault."""
        if signal_first and job.status is None:
            self.vm.run('kill %d' % job.pid)
        r = job.wait(timeout * SLOW)
        last = r.out.strip().splitlines()[-1:] or ['']
        return self.ok(r.status == 0 and last[0].startswith('ok'), what,
                       'status %d: %s %s' % (r.status, r.out[-300:], r.err[-300:]))

    def leave(self, cls, name, command, until):
        """Start a program that outlives the agent's client, with a log of its own."""
        self.vm.sh('setsid pz-exec %s %s >/tmp/%s.log 2>&1 </dev/null & '
                   'until grep -q %s /tmp/%s.log; do usleep 100000; done' % (cls, command, name, until, name), 60)

    def left_well(self, *names):
        """Tell such programs to verify and end; they must find no fault."""
        for name in names:
            said = self.vm.sh("pid=$(sed -n 's/^pid //p' /tmp/%s.log); kill $pid; while [ -d /proc/$pid ]; "
                              "do usleep 100000; done; tail -n 1 /tmp/%s.log" % (name, name), 60)
            self.ok(said.startswith('ok'), 'memory of %s is what was written' % name, said)

    def events(self, group):
        """pzone.events of a cgroup."""
        text = self.vm.sh('cat /sys/fs/cgroup/%s/pzone.events' % group)
        return {k: int(v) for k, v in (line.split() for line in text.splitlines())}


def _timeout(_sig, _frame):
    raise TimeoutError('the test took longer than %d s' % TIMEOUT_S)


def run(test, **vm_args):
    t = Tap()
    signal.signal(signal.SIGALRM, _timeout)
    signal.alarm(TIMEOUT_S)
    try:
        with VM(**vm_args) as vm:
            t.vm = vm
            t.diag('%s, booted in %.1f s' % (accel(), vm.boot_seconds))
            test(t, vm)
            bad = vm.complaints()
            t.ok(not bad, 'the guest kernel has nothing to complain of', *bad[:10])
            if bad or t.failed:
                vm.show_console()
            vm.expected.append('.')     # said already
    except Exception:
        t.ok(False, 'the test runs to its end', traceback.format_exc())
    signal.alarm(0)
    t.done()
