#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""make install and uninstall: into a directory of its own, and from there it works."""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(TOP, "tests/lib"))
from tap import done, ok        # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))

WANTED = """
etc/libvirt/hooks/qemu.d/pzone
usr/bin/pzone-exec
usr/bin/virsh-pzone
usr/include/libpzone.h
usr/lib/libpzone.a
usr/lib/libpzone.so
usr/lib/libpzone.so.0
usr/lib/pkgconfig/libpzone.pc
usr/lib/pzone/bin/virsh
usr/lib/pzone/bin/virsh-pzone
usr/lib/systemd/system/pzoned.service
usr/sbin/pzone-hook
usr/sbin/pzoned
usr/share/bash-completion/completions/virsh-pzone
usr/share/doc/pzone/pzoned.conf.example
usr/share/man/man1/pzone-exec.1
usr/share/man/man1/virsh-pzone.1
usr/share/man/man5/pzoned.conf.5
usr/share/man/man7/pzone.7
usr/share/man/man8/pzone-hook.8
usr/share/man/man8/pzoned.8
usr/share/pzone/schema/pzone.rng
""".split()


def run(argv, **env):
    # the outer make's own variables would make this one a part of it
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
    return subprocess.run(argv, env=dict(clean, **env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=180)


def make(*args):
    return run(["make", "-s", "-C", TOP, "BUILD=" + BUILD, "DESTDIR=" + root, *args])


def files():
    return {os.path.relpath(os.path.join(d, f), root) for d, _dirs, names in os.walk(root) for f in names}


def tests():
    r = make("install-tools", "install-guest", "prefix=/usr")
    ok(r.returncode == 0 and not r.stderr, "install", r.stdout, r.stderr)
    ok(files() >= set(WANTED), "all that should be there is", sorted(set(WANTED) - files()))
    ok(not os.path.exists(usr + "/bin/virsh"), "nothing is called virsh where the distribution's is")

    r = run([usr + "/bin/virsh-pzone", "--version"])
    ok(r.returncode == 0, "virsh-pzone finds its library beside it", r.stderr)
    # only the system's directories in PATH, where no virsh-pzone of ours is
    front = dict(PATH=usr + "/lib/pzone/bin:/usr/bin:/bin")
    r = run(["sh", "-c", "virsh -c test:///default pzone-list test; virsh -c test:///default list --name"], **front)
    ok(r.stdout.strip() == "test" and "'test' has no pool" in r.stderr, "the front hands over to both", r.stdout, r.stderr)
    r = run([usr + "/sbin/pzoned", "--version"])
    ok(r.returncode == 0, "pzoned runs", r.stderr)
    with open(usr + "/lib/systemd/system/pzoned.service", encoding="utf-8") as f:
        ok("\nExecStart=/usr/sbin/pzoned\n" in f.read(), "the unit names it without DESTDIR")
    with open(root + "/etc/libvirt/hooks/qemu.d/pzone", encoding="utf-8") as f:
        ok("/usr/sbin/pzone-hook" in f.read() and os.access(f.name, os.X_OK), "so does the hook")

    # a program of somebody else's
    pc = dict(PKG_CONFIG_LIBDIR=usr + "/lib/pkgconfig:" + run(["pkg-config", "--variable", "pc_path", "pkg-config"]).stdout.strip())
    flags = run(["pkg-config", "--define-variable=prefix=" + usr, "--define-variable=libdir=" + usr + "/lib",
                 "--define-variable=includedir=" + usr + "/include", "--cflags", "--libs", "libpzone"], **pc)
    with open(root + "/p.c", "w", encoding="utf-8") as f:
        f.write("#include <libpzone.h>\nint main(void) { return pzone_version() == 0; }\n")
    r = run(["gcc", "-o", root + "/p", root + "/p.c", *flags.stdout.split(), "-Wl,-rpath," + usr + "/lib"])
    ok(r.returncode == 0 and run([root + "/p"]).returncode == 0, "pkg-config libpzone is all that a program needs",
       flags.stderr, r.stderr)
    ok(run(["pkg-config", "--variable=libdir", "libpzone"], **pc).stdout == "/usr/lib\n", "it names prefix, without DESTDIR")

    emulator = BUILD + "/qemu/bin/qemu-system-x86_64"
    if os.path.exists(emulator):
        r = make("install-qemu", "prefix=/usr")
        ok(r.returncode == 0 and not r.stderr, "install-qemu", r.stderr)
        # BIOS and option ROMs are loaded before the first command is read
        r = run(["sh", "-c", "echo quit | %s/lib/pzone/qemu-system-x86_64 -M q35 -display none -S -monitor stdio "
                 "-device virtio-mem-pci,help" % usr])
        ok(r.returncode == 0 and "pzone=" in r.stdout, "it knows pools", r.stdout, r.stderr)
        r = run(["sh", "-c", "echo quit | %s/lib/pzone/qemu-system-x86_64 -M q35 -nodefaults -display none -S "
                 "-monitor stdio" % usr])
        ok(r.returncode == 0 and not r.stderr, "it finds its firmware", r.stdout, r.stderr)

    open(usr + "/lib/pzone/theirs", "w", encoding="utf-8").close()
    r = make("uninstall", "prefix=/usr")
    ok(r.returncode == 0 and not r.stderr, "uninstall", r.stderr)
    ok(files() == {"p", "p.c", "usr/lib/pzone/theirs"}, "takes away what was ours, and leaves what was not", files())
    os.remove(usr + "/lib/pzone/theirs")
    make("uninstall", "prefix=/usr")
    ok(not os.path.exists(usr + "/lib/pzone") and not os.path.exists(usr + "/share/pzone"), "and our own directories")
    r = make("install-tools", "prefix=/opt/pz", "hookdir=/opt/pz/hooks")
    ok(r.returncode == 0 and not os.path.exists(root + "/etc/libvirt/hooks/qemu.d/pzone") and
       os.path.exists(root + "/opt/pz/bin/virsh-pzone"), "another prefix, another place for the hook", r.stderr)
    with open(root + "/opt/pz/lib/pkgconfig/libpzone.pc", encoding="utf-8") as f:
        ok("prefix=/opt/pz\n" in f.read(), "its libpzone.pc has that prefix")


root = tempfile.mkdtemp(prefix="pzone-install-")
usr = root + "/usr"
try:
    tests()
finally:
    shutil.rmtree(root)
done()
