# SPDX-License-Identifier: GPL-2.0-or-later
"""A host with Xen, inside QEMU: Xen and dom0 boot under TCG, and guests of that
Xen under both.

    with XenHost() as host:
        host.sh('xl list')                      # in dom0
        demo = host.create('demo', memory=256)  # xl create
        demo.sh('cat /proc/meminfo')            # in the guest

Needs what tests/xen/fetch and tests/xen/build leave in build/xen. Environment:
    PZONE_QEMU      QEMU (default: Debian's, which tests/xen/fetch has unpacked)
    PZONE_XEN_CPU   its -cpu (default: qemu64,+svm,+npt)
    PZONE_SLOW      factor for all time limits
    PZONE_XEN_DIR   keep sockets and logs in this directory
As a program, `xenhost.py DIR`: boots and stays until it is killed, with its
sockets in DIR (dom0.sock, guest.N.sock: see tests/guest/agent.py), for people.
"""
import base64
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests/guest'))
from agent import Agent, AgentError  # noqa: E402
import vm  # noqa: E402

BUILD = os.environ.get('PZONE_BUILD', os.path.join(TOP, 'build'))
SLOW = float(os.environ.get('PZONE_SLOW', '1'))
MiB = 1 << 20

# Dom0's own memory; the rest of the machine is for guests.
HOST_MIB = 2304
DOM0_MIB = 896

# Domains whose agents can be talked to at a time: each needs a port of dom0.
PORTS = 4


class XenError(Exception):
    """The nested host, or something in it, failed."""


class Guest:
    """A domain of the nested Xen. Its console is the way in."""

    def __init__(self, host, name):
        self.host = host
        self.name = name
        self.agent = self.port = None
        # for complaints()
        self.expected = []
        self.checked = 0
        self.killed = set()
        self.log = ''

    def domid(self):
        return int(self.host.sh('xl domid %s' % self.name))

    def connect(self, timeout=90):
        """Lead the guest's console to our socket, and wait for its agent."""
        self.close()
        if not self.host.ports:
            raise XenError('no port is left for the console of %s' % self.name)
        self.port = self.host.ports.pop()
        # A domain that has just been made has no tty for a moment.
        self.host.sh('for i in $(seq 300); do '
                     'tty=$(xenstore-read /local/domain/%d/console/tty 2>/dev/null) && break; usleep 100000; done; '
                     '[ "$tty" ] || exit 1; '
                     'setsid pz-relay org.pzone.guest.%d $tty </dev/null >/tmp/relay.%d.log 2>&1 & '
                     'echo $! >/tmp/relay.%d.pid' % (self.domid(), *[self.port] * 3), 60)
        self.agent = Agent(self.host.path('guest.%d.sock' % self.port), timeout * SLOW)

    def close(self):
        """Let go of its console."""
        if self.agent:
            self.agent.close()
            self.agent = None
        if self.port is not None:
            self.host.sh('kill $(cat /tmp/relay.%d.pid) 2>/dev/null' % self.port, check=False)
            self.host.ports.append(self.port)
            self.port = None

    def destroy(self):
        self.close()
        self.host.sh('xl destroy %s' % self.name)

    def sh(self, command, timeout=30, check=True):
        return self.agent.run(command, timeout * SLOW, check).out.rstrip('\n')

    def run(self, command, timeout=30):
        return self.agent.run(command, timeout * SLOW, False)

    def bg(self, command, until=None, timeout=30):
        """Start a command and wait for a word of it."""
        job = self.agent.start(command)
        if until:
            job.wait_output(until, timeout * SLOW)
        return job

    def console(self):
        """All that its kernel has said; the console itself is the agent's."""
        self.log += self.sh('dmesg -c') + '\n'
        return self.log

    complaints = vm.VM.complaints


class XenHost:
    def __init__(self, directory=None):
        self.keep = directory or os.environ.get('PZONE_XEN_DIR')
        self.dir = self.proc = self.agent = None
        self.ports = list(range(PORTS))
        self.uri = 'xl:///'

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.stop()

    def path(self, name):
        return os.path.join(self.dir, name)

    def command_line(self):
        out = os.path.join(BUILD, 'xen')
        ports = []
        for i in self.ports:
            ports += ['-chardev', 'socket,id=guest%d,server=on,wait=off,path=%s' % (
                          i, self.path('guest.%d.sock' % i)),
                      '-device', 'virtserialport,bus=vser.0,chardev=guest%d,name=org.pzone.guest.%d' % (
                          i, i)]
        return [os.environ.get('PZONE_QEMU', os.path.join(out, 'root/usr/bin/qemu-system-x86_64')),
                '-L', '/usr/share/qemu', '-L', '/usr/share/seabios', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                '-machine', 'pc,accel=tcg', '-cpu', os.environ.get('PZONE_XEN_CPU', 'qemu64,+svm,+npt'), '-smp', '1',
                '-m', str(HOST_MIB),
                '-kernel', os.path.join(out, 'xen.elf'),
                '-append', 'console=com1 com1=115200,8n1 dom0_mem=%dM,max:%dM loglvl=warning '
                           'guest_loglvl=all sync_console=0' % (DOM0_MIB, DOM0_MIB),
                '-initrd', '%s/vmlinuz console=hvc0 loglevel=5 panic=-1,%s/dom0.cpio' % (out, out),
                '-chardev', 'file,id=con,path=' + self.path('console.log'),
                '-serial', 'chardev:con',
                '-device', 'virtio-serial-pci,id=vser',
                '-chardev', 'socket,id=dom0,server=on,wait=off,path=' + self.path('dom0.sock'),
                '-device', 'virtserialport,bus=vser.0,chardev=dom0,name=org.pzone.agent.0',
                *ports]

    @staticmethod
    def env():
        lib = os.path.join(BUILD, 'xen/root')
        return dict(os.environ, LD_LIBRARY_PATH='%s/usr/lib/x86_64-linux-gnu:%s/lib/x86_64-linux-gnu' %
                    (lib, lib))

    def start(self, timeout=300):
        self.dir = self.keep or tempfile.mkdtemp(prefix='pzone-xen.')
        os.makedirs(self.dir, exist_ok=True)
        began = time.monotonic()
        try:
            with open(self.path('qemu.log'), 'wb') as log:
                self.proc = subprocess.Popen(self.command_line(), stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, env=self.env())
            end = began + timeout * SLOW
            while not self.agent:
                try:
                    self.agent = Agent(self.path('dom0.sock'), 5)
                except AgentError as e:
                    if self.proc.poll() is not None or time.monotonic() > end:
                        raise XenError('Xen or dom0 did not come up: %s' % self.log_tail()) from e
        except BaseException:
            self.stop()
            raise
        self.boot_seconds = time.monotonic() - began

    def stop(self):
        if self.agent:
            self.agent.close()
        vm.end_qemu(self.proc)
        self.proc = self.agent = None
        if self.dir and not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def log_tail(self, lines=30):
        text = ''
        for name in ('qemu.log', 'console.log'):
            try:
                with open(self.path(name), 'rb') as f:
                    text += f.read().decode('utf-8', 'replace').replace('\r', '')
            except OSError:
                pass
        return '\n'.join(text.splitlines()[-lines:])

    def sh(self, command, timeout=60, check=True):
        """Run a command in dom0; its output without the last newline."""
        return self.agent.run(self.ENV + command, timeout * SLOW, check).out.rstrip('\n')

    def run(self, command, timeout=60):
        return self.agent.run(self.ENV + command, timeout * SLOW, False)

    ENV = 'export PATH=$PATH:/usr/lib/xen-4.17/bin; '

    # --- pzone-xend and its commands ---

    def configure(self, name, pools, classes=None):
        """pools: {name: (size, requested)}; classes: text of <class> elements."""
        conf = ''.join('[pool %s]\nsize = %s\nrequested = %s\n' % (pool, *sizes)
                       for pool, sizes in pools.items())
        self.sh('mkdir -p /etc/pzone/xen.d')
        self.put('/etc/pzone/xen.d/%s.conf' % name, conf.encode(), '644')
        if classes is not None:
            self.put('/etc/pzone/xen.d/%s.xml' % name,
                     ("<pzones xmlns='urn:pzone:libvirt:domain:1.0'>%s</pzones>" % classes).encode(),
                     '644')

    def start_xend(self):
        self.sh('setsid pzone-xend </dev/null >>/tmp/xend.log 2>&1 & echo $! >/tmp/xend.pid; '
                'for i in $(seq 100); do [ -S /run/pzone/xend.sock ] && '
                'virsh-pzone -c xl:/// pzone-list none 2>&1 | grep -qv reach && exit 0; '
                'usleep 100000; done; tail -n 5 /tmp/xend.log >&2; exit 1')

    def start_libvirt(self):
        """libvirtd with its driver for Xen, and pzoned with it. From here on virsh() uses them."""
        self.uri = 'xen:///system'
        self.sh('mkdir -p /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt')
        self.put('/etc/libvirt/libvirtd.conf',
                 b'auth_unix_rw="none"\nlog_outputs="2:file:/tmp/libvirtd.log"\n', '644')
        self.sh('setsid libvirtd </dev/null >>/tmp/libvirtd.out 2>&1 & '
                'for i in $(seq 300); do virsh -q -c xen:///system list >/dev/null 2>&1 && exit 0; '
                'usleep 200000; done; tail -n 5 /tmp/libvirtd.log >&2; exit 1', 90)
        self.sh('setsid pzoned --connect xen:///system </dev/null >>/tmp/pzoned.log 2>&1 & true')

    def kill_xend(self, sig='KILL'):
        self.sh('kill -%s $(cat /tmp/xend.pid); while [ -d /proc/$(cat /tmp/xend.pid) ]; '
                'do usleep 20000; done; rm -f /run/pzone/xend.sock' % sig)

    def virsh(self, *args):
        return self.run('virsh-pzone -c %s ' % self.uri + ' '.join(map(str, args)), 120)

    def classes(self, name):
        """class -> what pzone-list says of it."""
        r = self.virsh('pzone-list', name, '--format json')
        if r.status:
            raise XenError('pzone-list %s: %s' % (name, r.err))
        return {c['name']: c for c in json.loads(r.out)['classes']}

    def settle(self, name, timeout=60):
        """Wait until all classes have what they should have; returns them."""
        end = time.monotonic() + timeout * SLOW
        while True:
            late = time.monotonic() > end
            try:
                now = self.classes(name)
            except XenError:
                # pzone-xend looks for domains that it does not know once a second
                if late:
                    raise
                now = None
            if now is not None and all(c['state'] == 'settled' for c in now.values()):
                return now
            if late:
                raise XenError('classes of %s did not settle: %s; %s' % (
                    name, {c: now[c]['state'] for c in now}, self.sh('tail -n 5 /tmp/xend.log')))
            time.sleep(0.3)

    def free_mib(self):
        """What xl info says that the host has free."""
        return int(self.sh("xl info | sed -n 's/^free_memory *: //p'"))

    def mem_mib(self, name):
        """What xl list says that a domain has."""
        return int(self.sh("xl list %s | awk 'END { print $3 }'" % name))

    def put(self, path, data, mode='755'):
        """Write a file in dom0."""
        text = base64.b64encode(gzip.compress(data)).decode()
        self.sh('rm -f %s.b64' % path)
        for i in range(0, len(text), 100000):
            self.agent.run('printf %%s %s >> %s.b64' % (text[i:i + 100000], path), 60 * SLOW)
        self.sh('base64 -d %s.b64 | gzip -dc > %s.new && chmod %s %s.new && mv %s.new %s; rm %s.b64' %
                (path, path, mode, path, path, path, path))

    def create(self, name, memory=256, kind='pvh', cmdline='', config='', wait=True,
               kernel='/guest/bzImage', ramdisk='/guest/initramfs.cpio.gz', patience=90):
        """xl create; with wait, until the guest's agent answers."""
        self.put('/tmp/%s.cfg' % name, (
            'name="%s"\ntype="%s"\nkernel="%s"\n%smemory=%d\nvcpus=1\n'
            'extra="console=hvc0 loglevel=4 panic=-1 %s"\non_crash="destroy"\n%s\n' % (
                name, kind, kernel, 'ramdisk="%s"\n' % ramdisk if ramdisk else '', memory,
                cmdline, config)).encode(), '644')
        self.sh('xl create /tmp/%s.cfg' % name, 300)
        guest = Guest(self, name)
        if wait:
            guest.connect(patience)
        return guest


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    host = XenHost(sys.argv[1])
    host.start()
    print('booted in %.0f s; sockets in %s' % (host.boot_seconds, host.dir), flush=True)
    host.agent.close()
    signal.signal(signal.SIGTERM, lambda *unused: host.stop())
    host.proc.wait()


if __name__ == '__main__':
    main()
