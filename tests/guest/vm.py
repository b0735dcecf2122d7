# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a test guest in our QEMU, without libvirt.

    with VM(pools=[Pool('fast', size='2G', requested='1G')]) as vm:
        vm.create('fast', 'db', '256M')         # QMP pzone-create
        vm.settle()                             # wait until the guest followed
        print(vm.sh('cat /sys/kernel/mm/pzone/class/db/size'))

Leaving the block takes the VM down and fails if the guest's kernel complained
(see COMPLAINTS). Environment:
    PZONE_KERNEL   bzImage to boot    (default build/kernel/bzImage)
    PZONE_QEMU     QEMU               (default build/qemu/bin/qemu-system-x86_64)
    PZONE_ACCEL    kvm or tcg         (default: kvm where it works)
    PZONE_MEM      base memory, if not the test's own choice (a KASAN kernel: 1536M)
    PZONE_SLOW     factor for all time limits (a loaded machine, a debug kernel)
    PZONE_KEEP     keep the VM's directory with console.log
Only the QEMU process that was started here is ever killed.
"""
import atexit
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from agent import Agent, AgentError

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('PZONE_BUILD', os.path.join(TOP, 'build'))
SLOW = float(os.environ.get('PZONE_SLOW', '1'))

# A guest kernel that says any of this has a bug.
COMPLAINTS = re.compile(
    r'BUG:|BUG at|WARNING:|Oops|general protection|INFO: task|INFO: rcu|'
    r'possible circular locking|possible recursive locking|inconsistent lock state|'
    r'possible irq lock inversion|soft lockup|hard LOCKUP|Kernel panic|'
    r'Bad page|bad page state|KASAN:|UBSAN:|unreferenced object|'
    r'refcount_t:|list_(add|del) corruption|page dumped because|'
    r'Call Trace:|unable to handle|double fault|nobody cared')
# ... but a process killed for lack of memory also leaves a call trace.
OOM_START = re.compile(r'invoked oom-killer|page allocation failure')
OOM_FAILED = re.compile(r'page allocation failure')

MiB = 1 << 20
GiB = 1 << 30


class VMError(Exception):
    """The VM, its QEMU or a QMP command failed."""


class QMPError(VMError):
    """QEMU refused a QMP command."""

    def __init__(self, command, error):
        super().__init__('%s: %s' % (command, error.get('desc', error)))
        self.desc = error.get('desc', '')


def size(value):
    """'256M' -> bytes; numbers stay as they are."""
    if isinstance(value, int):
        return value
    unit = {'K': 1 << 10, 'M': MiB, 'G': GiB}.get(value[-1].upper())
    return int(value[:-1]) * unit if unit else int(value)


def kvm_works():
    """KVM that opens is not enough: there are machines where it hangs guests."""
    try:
        with open('/proc/cpuinfo') as f:
            if not re.search(r'^flags.*\b(vmx|svm)\b', f.read(), re.M):
                return False
        os.close(os.open('/dev/kvm', os.O_RDWR))
        return True
    except OSError:
        return False


def accel():
    return os.environ.get('PZONE_ACCEL') or ('kvm' if kvm_works() else 'tcg')


def product(variable, path):
    """The file that a variable names, or else a product of the build."""
    path = os.environ.get(variable) or os.path.join(BUILD, path)
    if not os.path.exists(path):
        raise VMError('%s does not exist; build it first, or set %s' % (path, variable))
    return os.path.abspath(path)


class Pool:
    """A virtio-mem device."""

    def __init__(self, ident, size='2G', requested='1G', block='2M', pzone=True,
                 backend='memory-backend-ram', node=0, props=''):
        self.ident = ident
        self.size = globals()['size'](size)
        self.requested = globals()['size'](requested)
        self.block = globals()['size'](block)
        self.pzone = pzone
        self.backend = backend
        self.node = node
        self.props = props

    def args(self):
        return ['-object', '%s,id=mem-%s,size=%d%s' % (
                    self.backend, self.ident, self.size,
                    '' if 'memfd' in self.backend else ',reserve=off'),
                '-device', 'virtio-mem-pci,id=%s,memdev=mem-%s,requested-size=%d,block-size=%d,'
                           'node=%d%s%s' % (self.ident, self.ident, self.requested, self.block,
                                            self.node, ',pzone=on' if self.pzone else '',
                                            self.props and ',' + self.props)]


class QMP:
    """A QMP connection."""

    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.buf = b''
        self.events = []
        self.ident = 0
        self._message(timeout)
        self.command('qmp_capabilities')

    def _message(self, timeout):
        end = time.monotonic() + timeout
        while b'\n' not in self.buf:
            if not select.select([self.sock], [], [], max(end - time.monotonic(), 0))[0]:
                return None
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b''
            if not data:
                raise VMError('QEMU closed its QMP socket')
            self.buf += data
        line, _, self.buf = self.buf.partition(b'\n')
        return json.loads(line)

    def command(self, execute, timeout=60, **arguments):
        """Run a command; '_' in an argument's name stands for '-'."""
        self.ident += 1
        request = {'execute': execute, 'id': self.ident}
        if arguments:
            request['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        self.sock.sendall(json.dumps(request).encode() + b'\n')
        while True:
            m = self._message(timeout * SLOW)
            if m is None:
                raise VMError('QEMU did not answer %s in %g s' % (execute, timeout * SLOW))
            if 'event' in m:
                self.events.append(m)
            elif m.get('id') == self.ident:
                if 'error' in m:
                    raise QMPError(execute, m['error'])
                return m['return']

    def wait_event(self, name, timeout=30, match=lambda data: True):
        """Return (and remove) the first event of that name."""
        end = time.monotonic() + timeout * SLOW
        while True:
            for i, e in enumerate(self.events):
                if e['event'] == name and match(e.get('data', {})):
                    return self.events.pop(i)
            m = self._message(max(end - time.monotonic(), 0))
            if m is None:
                raise VMError('no event %s in %g s' % (name, timeout * SLOW))
            if 'event' in m:
                self.events.append(m)

    def close(self):
        self.sock.close()


def end_qemu(proc):
    """End a QEMU that was started here, if it runs."""
    if not proc or proc.poll() is not None:
        return
    proc.send_signal(signal.SIGTERM)
    try:
        proc.wait(5)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


class VM:
    """A running test guest. See the head of this file."""

    def __init__(self, pools=(), mem='512M', cpus=2, cmdline='', disk=None, reboot=False,
                 args=(), kernel=None, boot_timeout=60, agent=True,
                 backend='memory-backend-ram', nodes=1):
        self.backend = backend      # of the base memory
        self.pools = list(pools)
        self.mem = size(os.environ.get('PZONE_MEM') or mem)
        self.cpus = cpus
        self.nodes = nodes          # NUMA nodes that share the memory; CPUs go round
        self.cmdline = cmdline
        self.disk = disk and size(disk)
        self.reboot = reboot
        self.extra = list(args)
        self.kernel = kernel
        self.boot_timeout = boot_timeout
        self.want_agent = agent
        self.proc = self.qmp = self.agent = self.dir = None
        self.expected = []          # complaints that a test provokes
        self.checked = 0            # console bytes already looked at
        self.killed = set()         # pids that ran out of memory
        self.boot_seconds = None
        self.stalled_at_boot = False

    # --- life ---

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, tb):
        try:
            if kind is None:
                self.check_console()
        except VMError:
            kind = VMError
            raise
        finally:
            if kind is not None:
                self.show_console()
            self.stop()

    def path(self, name):
        return os.path.join(self.dir, name)

    def command_line(self):
        kernel = self.kernel or product('PZONE_KERNEL', 'kernel/bzImage')
        qemu = product('PZONE_QEMU', 'qemu/bin/qemu-system-x86_64')
        initramfs = product('PZONE_INITRAMFS', 'guest/initramfs.cpio.gz')
        maxmem = self.mem + sum(p.size + GiB for p in self.pools) + GiB
        cmd = [qemu, '-nodefaults', '-no-user-config', '-display', 'none',
               '-machine', 'q35,accel=%s,usb=off' % accel(),
               '-cpu', 'host' if accel() == 'kvm' else 'max',
               # Linux complains of a socket that is in two nodes
               '-smp', '%d,sockets=%d' % (self.cpus, self.cpus if self.nodes > 1 else 1),
               '-m', 'size=%dk,slots=8,maxmem=%dk' % (self.mem >> 10, maxmem >> 10)]
        for n in range(self.nodes):
            own = ''.join(',cpus=%d' % c for c in range(n, self.cpus, self.nodes))
            cmd += ['-object', '%s,id=ram%d,size=%d' % (self.backend, n, self.mem // self.nodes),
                    '-numa', 'node,nodeid=%d,memdev=ram%d%s' % (n, n, own)]
        cmd += ['-kernel', kernel, '-initrd', initramfs,
                # under TCG on a busy host the kernel takes the timer for broken, and panics
                '-append', 'console=ttyS0 panic=-1 no_timer_check %s' % self.cmdline,
                '-chardev', 'file,id=con,path=%s' % self.path('console.log'),
                '-serial', 'chardev:con',
                '-qmp', 'unix:%s,server=on,wait=off' % self.path('qmp.sock'),
                '-device', 'virtio-serial-pci,id=vser',
                '-chardev', 'socket,id=agent,path=%s,server=on,wait=off' % self.path('agent.sock'),
                '-device', 'virtserialport,bus=vser.0,chardev=agent,name=org.pzone.agent.0',
                '-device', 'virtio-rng-pci']
        if not self.reboot:
            cmd += ['-no-reboot']
        if self.disk:
            with open(self.path('disk.raw'), 'wb') as f:
                f.truncate(self.disk)
            cmd += ['-blockdev', 'driver=file,node-name=d0,filename=%s' % self.path('disk.raw'),
                    '-device', 'virtio-blk-pci,drive=d0']
        cmd += self.extra       # first: a pool may be on a bus of these
        for p in self.pools:
            cmd += p.args()
        return cmd

    def start(self):
        """Boot; once more if the guest's kernel came to a halt before it got anywhere.

        Seen three times in some 350 boots on a busy host with TCG (November 2026): one CPU's timer never ticks, RCU
        stalls, and init waits for ever. It is said, so that it does not pass for nothing.
        """
        try:
            self._start()
        except VMError as e:
            if not self.stalled_at_boot:
                raise
            print('# %s: its kernel says that RCU stalls; booting again' % e, flush=True)
            print('# booted twice: %s' % e, file=sys.stderr, flush=True)
            self._start()

    def _start(self):
        self.dir = tempfile.mkdtemp(prefix='pzone-vm.')
        atexit.register(self.stop)
        began = time.monotonic()
        try:
            cmd = self.command_line()
            with open(self.path('command'), 'w') as f:
                f.write(' '.join(cmd) + '\n')
            with open(self.path('qemu.log'), 'wb') as log:
                self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log)
            self._connect_qmp()
            if self.want_agent:
                self.connect()
            self.boot_seconds = time.monotonic() - began
        except BaseException:
            self.stalled_at_boot = self.want_agent and not self.agent and \
                'rcu_sched detected stalls' in self.console()
            self.show_console()
            self.stop()
            raise

    def _connect_qmp(self):
        end = time.monotonic() + 20 * SLOW
        while not self.qmp:
            try:
                self.qmp = QMP(self.path('qmp.sock'))
                return
            except OSError:
                pass
            if self.proc.poll() is not None or time.monotonic() > end:
                with open(self.path('qemu.log')) as f:
                    raise VMError('QEMU did not start: %s' % f.read().strip()[-2000:])
            time.sleep(0.02)

    def connect(self):
        """Wait until the guest's agent answers."""
        end = time.monotonic() + self.boot_timeout * SLOW
        while True:
            try:
                self.agent = Agent(self.path('agent.sock'), 1)
                return
            except AgentError as e:
                if self.proc.poll() is not None:
                    raise VMError('QEMU ended while the guest booted') from e
                if time.monotonic() > end:
                    raise VMError('the guest did not boot in %g s' %
                                  (self.boot_timeout * SLOW)) from e

    def stop(self):
        if self.agent:
            self.agent.close()
        if self.qmp:
            self.qmp.close()
        end_qemu(self.proc)
        self.agent = self.qmp = self.proc = None
        if self.dir:
            if os.environ.get('PZONE_KEEP'):
                print('# kept %s' % self.dir, file=sys.stderr)
            else:
                shutil.rmtree(self.dir, ignore_errors=True)
        self.dir = None

    def wait_exit(self, timeout=30):
        """Wait for QEMU to end by itself (the guest powered off)."""
        try:
            return self.proc.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise VMError('QEMU still runs after %g s' % (timeout * SLOW)) from None

    def wait_reboot(self, timeout=60):
        """Wait until the rebooted guest's agent answers."""
        self.agent.wait_hello(self.agent.hellos + 1, timeout * SLOW)

    # --- the console ---

    def console(self):
        try:
            with open(self.path('console.log'), 'rb') as f:
                return f.read().decode('utf-8', 'replace').replace('\r', '')
        except (OSError, TypeError):
            return ''

    def show_console(self, lines=40):
        """Print the console's end; all of it goes to build/guest/failed/."""
        try:
            if self.proc:
                self.proc.wait(0.3)     # it may be about to die
        except subprocess.TimeoutExpired:
            pass
        text = self.console()
        for line in text.splitlines()[-lines:]:
            print('# console: %s' % line, file=sys.stderr)
        keep = os.path.join(BUILD, 'guest', 'failed',
                            '%s.%d.console' % (os.path.basename(sys.argv[0] or 'python'), os.getpid()))
        os.makedirs(os.path.dirname(keep), exist_ok=True)
        with open(keep, 'w') as f:
            f.write(text)
        print('# all of the console: %s' % keep, file=sys.stderr)
        if self.proc and self.proc.poll() is not None:
            print('# QEMU has ended with %d' % self.proc.returncode, file=sys.stderr)
            try:
                with open(self.path('qemu.log')) as f:
                    for line in f.read().splitlines()[-20:]:
                        print('# qemu: %s' % line, file=sys.stderr)
            except OSError:
                pass

    def complaints(self):
        """New lines of the console in which the kernel reports a bug.

        Out-of-memory kills are no bug; their reports carry a call trace. Nor is
        a failed allocation of a process that is being killed for it.
        """
        text = self.console()
        bad = []
        report = None       # lines of the report that we are in, if it may be harmless
        for line in text[self.checked:].splitlines():
            self.killed.update(re.findall(r'Killed process (\d+)', line))
            if OOM_START.search(line):
                report = [line] if OOM_FAILED.search(line) else []
                continue
            if report:
                # an allocation failed: whose?
                pid = re.search(r'\bPID: (\d+) Comm', line)
                if pid:
                    if pid.group(1) not in self.killed and \
                            not any(re.search(e, report[0]) for e in self.expected):
                        bad += report
                    report = []
                continue
            if report is not None and 'Mem-Info:' in line:
                report = None
            if COMPLAINTS.search(line) and not any(re.search(e, line) for e in self.expected):
                if report is None or 'Call Trace:' not in line:
                    bad.append(line)
        self.checked = len(text)
        return bad

    def check_console(self):
        bad = self.complaints()
        if bad:
            raise VMError("the guest's kernel complains: " + ' | '.join(bad[:5]))
        if self.proc and self.proc.poll() not in (None, 0):
            raise VMError('QEMU has ended with %d' % self.proc.returncode)

    # --- the guest ---

    def sh(self, command, timeout=30, check=True):
        """stdout of a guest command, without its last newline."""
        return self.agent.run(command, timeout * SLOW, check).out.rstrip('\n')

    def run(self, command, timeout=30):
        """Result of a guest command, whatever its status."""
        return self.agent.run(command, timeout * SLOW, check=False)

    def bg(self, command, until=None, timeout=30):
        """Start a guest command; with until, wait until it has written that."""
        job = self.agent.start(command)
        if until is not None:
            job.wait_output(until, timeout * SLOW)
        return job

    def wait(self, condition, what, timeout=30, step=0.05):
        """Wait until condition() is true (and return what it returned)."""
        end = time.monotonic() + timeout * SLOW
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise VMError('%s: not within %g s' % (
                    what() if callable(what) else what, timeout * SLOW))
            time.sleep(step)

    # --- classes ---

    def create(self, pool, name, size_, **more):
        for k in ('guarantee', 'limit'):
            if k in more:
                more[k] = size(more[k])
        return self.qmp.command('pzone-create', pool=pool, name=name, size=size(size_), **more)

    def resize(self, pool, name, size_):
        return self.qmp.command('pzone-resize', pool=pool, name=name, size=size(size_))

    def destroy(self, pool, name):
        return self.qmp.command('pzone-destroy', pool=pool, name=name)

    def pool(self, ident):
        for p in self.qmp.command('query-pzone'):
            if p['id'] == ident:
                return p
        raise VMError('QEMU knows no pool %s' % ident)

    def classes(self):
        """name -> PzoneClass of all pools."""
        return {c['name']: c for p in self.qmp.command('query-pzone') for c in p['classes']}

    def settle(self, timeout=30, partial=False):
        """Wait until the guest did all that the host wants (or, with partial,
        what it can)."""
        good = ('settled', 'partial') if partial else ('settled',)

        def settled():
            pools = self.qmp.command('query-pzone')
            for p in pools:
                for c in p['classes']:
                    if c['name'] != 'memmap' and c['state'] not in good:
                        return None
                    if not partial and c['actual'] != c['size']:
                        return None
                if not partial and p['guest-generation'] != p['generation']:
                    return None
            return pools

        return self.wait(settled, lambda: 'classes did not settle: ' + ', '.join(
            '%s %s %d/%d MiB' % (c['name'], c['state'], c['actual'] >> 20, c['size'] >> 20)
            for c in self.classes().values()), timeout)

    # --- migration ---

    def capabilities(self, *names):
        """Switch migration capabilities on; all others are off."""
        all_ = [c['capability'] for c in self.qmp.command('query-migrate-capabilities')]
        self.qmp.command('migrate-set-capabilities', capabilities=[
            {'capability': c, 'state': c in names} for c in sorted(all_, key=lambda c: c in names)])

    def migration(self):
        return self.qmp.command('query-migrate').get('status')

    def wait_migration(self, *wanted, timeout=60):
        """Wait until a migration has come to one of these states; returns it."""
        def reached():
            now = self.migration()
            if now == 'failed' and 'failed' not in wanted:
                raise VMError('migration: %s' % self.qmp.command('query-migrate'))
            return now if now in wanted else None
        return self.wait(reached, lambda: 'migration is %s, not %s' % (self.migration(), ' or '.join(wanted)),
                         timeout)

    def expect(self, uri):
        """In a VM that was started with -incoming defer: wait for one to come in."""
        self.qmp.command('migrate-incoming', uri=uri)

    def arrive(self, timeout=60):
        """Wait until what came in runs, and the guest's agent answers."""
        self.wait(lambda: self.qmp.command('query-status')['status'] not in ('inmigrate', 'restore-vm'),
                  'the state is read', timeout)
        if not self.qmp.command('query-status')['running']:
            self.qmp.command('cont')
        self.connect()

    def memfd_bytes(self, ident):
        """Memory that the host has for a pool with a memory-backend-memfd."""
        found = []
        directory = '/proc/%d/fd' % self.proc.pid
        for fd in os.listdir(directory):
            link = os.path.join(directory, fd)
            if 'memfd:memory-backend-memfd' in os.readlink(link):
                st = os.stat(link)
                if st.st_size == next(p.size for p in self.pools if p.ident == ident):
                    found.append(512 * st.st_blocks)
        if len(found) != 1:
            raise VMError('pool %s: %d memfds of its size' % (ident, len(found)))
        return found[0]
