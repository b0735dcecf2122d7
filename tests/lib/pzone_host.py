# SPDX-License-Identifier: GPL-2.0-or-later
"""pzone_host: a private libvirt host for the demo and the end-to-end tests.

run(main) calls main(host) inside mount, process and network namespaces of its
own. There the distribution's stock libvirtd runs on fresh, empty directories,
so a libvirtd of the user's (its domains, sockets, networks, firewall rules) is
neither seen nor touched. Whatever main() starts lives in the process
namespace: when its first process ends, for whatever reason (the end of main(),
Ctrl-C, SIGTERM, kill -9 of the outer process), the kernel ends all of it.

  outer process      waits, forwards signals, removes the temporary directory
    init (pid 1)     reaps orphans; libvirt takes a zombie for a living process
      main(host)     the test or demo
      libvirtd, QEMU, pzoned, ...

As root this is libvirt's system instance (qemu:///system); for anybody else,
in a user namespace, it is a session instance (qemu:///session).

second_host() gives a host beside the first, to migrate to: a libvirtd with
directories, a host name and a UUID of its own.
"""
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class HostError(Exception):
    """The private host can't be set up; the text is for people."""


def _libc(name, *args):
    """Call a libc function; raise OSError when it returns non-zero."""
    if getattr(libc, name)(*args):
        err = ctypes.get_errno()
        raise OSError(err, "%s: %s" % (name, os.strerror(err)))


def _mount(source, target, fstype=None, flags=0, data=None):
    def enc(s):
        return None if s is None else s.encode()
    _libc("mount", enc(source), enc(target), enc(fstype), ctypes.c_ulong(flags), enc(data))


def accelerator():
    """("kvm" or "tcg", why): KVM only where it can really work.

    There are machines whose /dev/kvm opens and then hangs an ordinary guest;
    they show neither vmx nor svm. PZONE_ACCEL=kvm or tcg overrides.
    """
    choice = os.environ.get("PZONE_ACCEL", "")
    if choice in ("kvm", "tcg"):
        return choice, "PZONE_ACCEL=%s says so" % choice
    if choice:
        raise HostError("PZONE_ACCEL is '%s'; it must be kvm or tcg, or be left out" % choice)
    with open("/proc/cpuinfo") as f:
        flags = re.search(r"^flags\s*:(.*)$", f.read(), re.M)
    if not flags or not {"vmx", "svm"} & set(flags.group(1).split()):
        return "tcg", "the CPU shows neither vmx nor svm"
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as e:
        return "tcg", "/dev/kvm does not open: %s" % e.strerror
    return "kvm", "/dev/kvm opens and the CPU shows vmx or svm"


def poll(what, timeout_s, check, step_s=0.1):
    """Wait until check() is true and return its value.

    TimeoutError names @what, so a test that waits in vain says for what.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError("%s: not within %g s" % (what, timeout_s))
        time.sleep(step_s)


class Host:
    """The private host, seen from inside."""

    def __init__(self, work, name=None):
        self.work = work            # temporary directory, removed at the end
        self.name = name            # of a second host; None: the first
        self.system = os.geteuid() == 0
        if self.system:
            # what this host has there instead of the machine's own
            self.conf_dir = os.path.join(work, "root/etc/libvirt")
            self.run_dir = os.path.join(work, "root/run/libvirt")
            self.pid_dir = os.path.join(self.run_dir, "qemu")
        else:
            self.conf_dir = os.path.join(work, "config/libvirt")
            self.run_dir = os.path.join(work, "run/libvirt")
            self.pid_dir = os.path.join(self.run_dir, "qemu/run")
        kind = "system" if self.system else "session"
        self.address = "qemu+unix:///%s?socket=%s/libvirt-sock" % (kind, self.run_dir)  # from any host
        self.uri = self.address if name else "qemu:///" + kind
        self.accel, self.accel_why = accelerator()
        self.libvirtd = None
        self.pzoned = None
        self.env = dict(os.environ)
        self.env["PATH"] = os.path.join(BUILD, "bin") + os.pathsep + \
            self.env.get("PATH", "") + ":/usr/sbin:/sbin"
        self.env["LC_ALL"] = "C.UTF-8"
        self.env["LIBVIRT_DEFAULT_URI"] = self.uri
        # the user's own libvirt and session bus have no say in here
        self.env["HOME"] = work
        for variable, directory in (("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config"),
                                    ("XDG_CACHE_HOME", "cache"), ("XDG_DATA_HOME", "data"),
                                    ("XDG_STATE_HOME", "state")):
            self.env[variable] = os.path.join(work, directory)
            os.makedirs(self.env[variable], mode=0o700)
        self.env.pop("DBUS_SESSION_BUS_ADDRESS", None)
        os.makedirs(self.conf_dir, exist_ok=True)

    def second_host(self, name="second"):
        """A host beside this one; libvirtd and pzoned are to be started."""
        work = os.path.join(self.work, name)
        os.makedirs(work)
        return Host(work, name)

    def _become(self):
        """Make the calling process (libvirtd to be) one of the second host."""
        _libc("unshare", CLONE_NEWNS | CLONE_NEWUTS)
        socket.sethostname(self.name)
        _private_directories(self.work)

    # --- daemons ---

    def start_libvirtd(self, socket_mode="0700", access_driver=None, socket_group=None):
        """Start the distribution's libvirtd and wait until it answers."""
        with open(os.path.join(self.conf_dir, "libvirtd.conf"), "w") as f:
            f.write('auth_unix_ro = "none"\nauth_unix_rw = "none"\n'
                    'unix_sock_rw_perms = "%s"\n'
                    # two hosts must not be taken for one
                    'host_uuid = "%s"\n'
                    'log_outputs = "2:file:%s/libvirtd.log"\n' % (socket_mode, uuid.uuid4(), self.work))
            if socket_group:
                f.write('unix_sock_group = "%s"\n' % socket_group)
            if access_driver:
                f.write('access_drivers = [ "%s" ]\n' % access_driver)
        with open(os.path.join(self.conf_dir, "qemu.conf"), "w") as f:
            f.write('security_driver = "none"\nsecurity_default_confined = 0\n'
                    'namespaces = []\ncgroup_controllers = []\n'
                    'stdio_handler = "file"\n')
            if self.system:
                # dynamic_ownership: the kernel and the initramfs under build/
                # must keep their owner
                f.write('user = "root"\ngroup = "root"\n'
                        'dynamic_ownership = 0\nremember_owner = 0\n'
                        'clear_emulator_capabilities = 0\n')
        program = shutil.which("libvirtd", path=self.env["PATH"])
        if not program:
            raise HostError("libvirtd is not installed; run 'make deps'")
        # A copy: where AppArmor confines /usr/sbin/libvirtd, that profile does
        # not let it start an emulator from a build directory. It goes by path.
        copy = os.path.join(self.work, "libvirtd")
        shutil.copy2(program, copy)
        with open(os.path.join(self.work, "libvirtd.out"), "ab") as out:
            def start(path):
                return subprocess.Popen([path, "-f", os.path.join(self.conf_dir, "libvirtd.conf")],
                                        env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=out, stderr=out, cwd="/",
                                        preexec_fn=self._become if self.name else None)
            try:
                self.libvirtd = start(copy)
            except PermissionError:     # a temporary directory mounted noexec
                self.libvirtd = start(program)

        def answers():
            if self.libvirtd.poll() is not None:
                raise HostError("libvirtd ended with %d at its start:\n%s" %
                                (self.libvirtd.returncode, self.log_tail("libvirtd")))
            return os.path.exists(os.path.join(self.run_dir, "libvirt-sock")) and \
                self.run(["/usr/bin/virsh", "-q", "uri"]).returncode == 0
        try:
            poll("libvirtd answers", 60, answers)
        except TimeoutError:
            raise HostError("libvirtd did not answer within 60 s:\n" + self.log_tail("libvirtd"))

    def stop_libvirtd(self):
        if self.libvirtd:
            self.libvirtd.terminate()
            self.libvirtd.wait(30)
            self.libvirtd = None

    def start_pzoned(self, *args):
        """Start pzoned; its log goes to WORK/pzoned.log."""
        with open(os.path.join(self.work, "pzoned.log"), "ab") as out:
            self.pzoned = subprocess.Popen([os.path.join(BUILD, "bin/pzoned"), "--connect", self.uri,
                                            "--runtime-dir", os.path.join(self.work, "pzoned"), *args],
                                           env=self.env, stdin=subprocess.DEVNULL,
                                           stdout=out, stderr=out, cwd="/")
        time.sleep(0.3)
        if self.pzoned.poll() is not None:
            raise HostError("pzoned ended with %d at its start:\n%s" %
                            (self.pzoned.returncode, self.log_tail("pzoned")))

    def stop_pzoned(self, sig=signal.SIGTERM):
        """End pzoned with @sig; returns its exit status."""
        proc, self.pzoned = self.pzoned, None
        proc.send_signal(sig)
        return proc.wait(30)

    def ask_pzoned(self, url):
        """What pzoned answers to a GET on its socket; None: it is not up."""
        conn = http.client.HTTPConnection("pzoned", timeout=10)
        conn.sock = socket.socket(socket.AF_UNIX)
        try:
            conn.sock.connect(os.path.join(self.work, "pzoned/pzoned.sock"))
            conn.request("GET", url)
            return conn.getresponse().read().decode()
        except OSError:
            return None
        finally:
            conn.close()

    def log_tail(self, name, lines=20):
        out = []
        for suffix in (".log", ".out"):
            try:
                with open(os.path.join(self.work, name + suffix), errors="replace") as f:
                    out += f.readlines()[-lines:]
            except FileNotFoundError:
                pass
        return "".join(out) or "(%s said nothing)\n" % name

    # --- commands ---

    def run(self, argv, timeout_s=180, **kwargs):
        """Run a command to its end; returns CompletedProcess with text."""
        return subprocess.run(argv, env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=timeout_s, **kwargs)

    def virsh(self, *args, timeout_s=180):
        """Run our virsh front with @args."""
        return self.run(["virsh", *[str(a) for a in args]], timeout_s=timeout_s)

    def qmp(self, domain, command, **arguments):
        """Send a QMP command to a running domain; returns its value."""
        text = json.dumps({"execute": command, "arguments": arguments})
        r = self.run(["/usr/bin/virsh", "-q", "qemu-monitor-command", domain, text])
        if r.returncode:
            raise RuntimeError("%s: %s" % (command, r.stderr.strip()))
        reply = json.loads(r.stdout)
        if "error" in reply:
            raise RuntimeError("%s: %s" % (command, reply["error"].get("desc")))
        return reply["return"]

    def domain_state(self, domain):
        r = self.run(["/usr/bin/virsh", "-q", "domstate", domain])
        return r.stdout.strip() if r.returncode == 0 else None

    def qemu_pid(self, domain):
        with open(os.path.join(self.pid_dir, domain + ".pid")) as f:
            return int(f.read())

    def qemu_rss_bytes(self, domain):
        """Resident memory of the domain's QEMU, as the host counts it."""
        with open("/proc/%d/status" % self.qemu_pid(domain)) as f:
            return 1024 * int(re.search(r"^VmRSS:\s+(\d+) kB", f.read(), re.M).group(1))

    def pool_rss_bytes(self, domain, size_bytes):
        """Resident memory of the domain's pool of that size: its mapping's."""
        found = []
        with open("/proc/%d/smaps" % self.qemu_pid(domain)) as f:
            size = 0
            for line in f:
                if line.startswith("Size:"):
                    size = 1024 * int(line.split()[1])
                elif line.startswith("Rss:") and size == size_bytes:
                    found.append(1024 * int(line.split()[1]))
        if len(found) != 1:
            raise RuntimeError("QEMU has %d mappings of %d bytes, not one" % (len(found), size_bytes))
        return found[0]


def need(*paths):
    """Fail with one clear sentence if something was not built."""
    for path in paths:
        full = os.path.join(BUILD, path)
        if not os.path.exists(full):
            raise HostError("%s is missing; run 'make all' first" % full)


def _private_directories(work):
    """Fresh directories over everything that libvirt's system instance uses."""
    if os.geteuid() != 0:
        return      # a session instance goes by environment variables
    # /run hides the system bus too: nobody's systemd-machined or polkit is asked
    for path in ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"):
        if not os.path.isdir(path):
            raise HostError("%s is missing: libvirt-daemon-system is not installed; run 'make deps'" % path)
        own = os.path.join(work, "root" + path)
        os.makedirs(own, mode=0o755, exist_ok=True)
        _mount(own, path, None, MS_BIND)
    os.makedirs("/run/lock", exist_ok=True)


def _init(main, work):
    """Process 1 of the namespace: sets up, starts main, reaps; never returns."""
    status = 1
    try:
        _libc("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()     # Ctrl-C reaches us through the outer process only
        _mount("none", "/", None, MS_REC | MS_PRIVATE)
        _mount("proc", "/proc", "proc")
        if os.geteuid() == 0:
            # the devices of the new network namespace; no cgroups, none are needed
            _mount("sysfs", "/sys", "sysfs")
        _private_directories(work)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                # SIGTERM and SIGHUP end main() the way Ctrl-C does
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                signal.signal(signal.SIGHUP, signal.default_int_handler)
                code = _call(main, work)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

        def forward(sig, _frame):
            os.kill(child, sig)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, forward)
        while True:
            pid, raw = os.wait()
            if pid == child:
                status = os.waitstatus_to_exitcode(raw)
                break
    except (HostError, OSError) as e:
        print("pzone_host: %s" % e, file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status if 0 <= status < 256 else 1)


def _call(main, work):
    host = None
    try:
        host = Host(work)
        return main(host) or 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except HostError as e:
        print("pzone_host: %s" % e, file=sys.stderr)
        return 1
    except Exception:
        import traceback
        traceback.print_exc()
        return 1


def _own_user_namespace(uid, gid):
    with open("/proc/self/setgroups", "w") as f:
        f.write("deny")
    with open("/proc/self/uid_map", "w") as f:
        f.write("%d %d 1" % (uid, uid))
    with open("/proc/self/gid_map", "w") as f:
        f.write("%d %d 1" % (gid, gid))


def run(main):
    """Run main(host) on a private host and exit with what it returns."""
    work = tempfile.mkdtemp(prefix="pzone-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    os.chmod(work, 0o755)
    status = 1
    try:
        flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET
        uid, gid = os.geteuid(), os.getegid()
        if uid != 0:
            flags |= CLONE_NEWUSER
        try:
            _libc("unshare", flags)
            if uid != 0:
                _own_user_namespace(uid, gid)
        except OSError as e:
            print("pzone_host: cannot get namespaces of our own (%s); run as root" % e, file=sys.stderr)
            sys.exit(1)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _init(main, work)

        hits = []

        def forward(sig, _frame):
            # the second one does not ask any more
            os.kill(child, signal.SIGKILL if len(hits) else sig)
            hits.append(sig)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, forward)
        _pid, raw = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(raw)
        status = code if code >= 0 else 128 - code
    finally:
        if status and os.environ.get("PZONE_KEEP"):
            print("pzone_host: logs are kept in %s" % work, file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(status)
