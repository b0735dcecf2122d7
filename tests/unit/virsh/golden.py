# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden tests of virsh-pzone and the virsh front, as TAP.

Each case runs one command line in an empty directory and compares output,
error output, exit status and what it would have changed with a file in
expected/. The hypervisor is libvirt's test driver; fake-domain.c, loaded in
front of libvirt, adds the little that it lacks and says what that is.

To write the expected files anew: UPDATE=1 FILE.t; then read the difference.
"""
import atexit
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
from tap import done, ok        # noqa: E402,F401

BUILD = os.environ.get("PZONE_BUILD") or os.environ.get("BUILD") or os.path.join(ROOT, "build")
BIN = os.path.join(BUILD, "bin")
VIRSH_PZONE = os.path.join(BIN, "virsh-pzone")
FRONT = os.path.join(BIN, "virsh")
NODE = os.path.join(HERE, "data", "node.xml")
POOLS = "ua-fast ua-slow"
MIB = 1 << 20

_work = tempfile.mkdtemp(prefix="pzone-virsh-")
atexit.register(shutil.rmtree, _work, ignore_errors=True)
_fake = os.path.join(_work, "fake-domain.so")


def _build_fake():
    flags = subprocess.run(["pkg-config", "--cflags", "libvirt"], check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-Wall", "-o", _fake,
                    os.path.join(HERE, "fake-domain.c"), *flags, "-ldl"], check=True)


def _prepare(files, qmp, refuse, fake, pools, uri, env):
    """A new directory with files and fake answers; returns it and the environment."""
    if fake and not os.path.exists(_fake):
        _build_fake()
    cwd = tempfile.mkdtemp(dir=_work)
    for name, text in (files or {}).items():
        with open(os.path.join(cwd, name), "w", encoding="utf-8") as f:
            f.write(text)
    e = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": cwd, "TERM": "xterm",
         "VIRSH_DEFAULT_CONNECT_URI": uri, "FAKE_LOG": os.path.join(cwd, ".log")}
    if fake:
        e["LD_PRELOAD"] = _fake
        # with a sanitizer build the fake comes first on purpose
        e["ASAN_OPTIONS"] = "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")
    if pools is not None:
        e["FAKE_POOLS"] = pools
    if qmp is not None:
        e["FAKE_QMP"] = os.path.join(cwd, ".qmp")
        os.mkdir(e["FAKE_QMP"])
        for i, answer in enumerate(qmp):
            with open("%s/%d.json" % (e["FAKE_QMP"], i + 1), "w", encoding="utf-8") as f:
                json.dump(answer, f)
        if refuse:
            with open(e["FAKE_QMP"] + "/refuse", "w", encoding="utf-8") as f:
                f.write(refuse)
    e.update(env or {})
    return cwd, e


def prepare():
    """An empty directory and the environment of a case, for who runs it otherwise."""
    return _prepare(None, None, None, True, POOLS, "test://" + NODE, None)


def run(args, *, program=VIRSH_PZONE, files=None, qmp=None, refuse=None, stdin="", env=None,
        fake=True, pools=POOLS, uri="test://" + NODE, timeout=60):
    """Run one command line; returns (stdout, stderr, status, changes)."""
    cwd, e = _prepare(files, qmp, refuse, fake, pools, uri, env)
    p = subprocess.run([program, *args], cwd=cwd, env=e, input=stdin, capture_output=True,
                       text=True, errors="replace", timeout=timeout, check=False)
    changes = ""
    if os.path.exists(e["FAKE_LOG"]):
        with open(e["FAKE_LOG"], encoding="utf-8") as f:
            changes = f.read()
    return p.stdout, p.stderr, p.returncode, changes


def on_terminal(args, *, program=VIRSH_PZONE, typed="", interrupt_at=None, qmp=None):
    """Run on a terminal of its own; returns (what it shows, status).

    typed is typed at once; Ctrl-C is typed when interrupt_at shows up.
    """
    cwd, env = _prepare(None, qmp, None, True, POOLS, "test://" + NODE, None)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(program, [program, *args], env)
    # Ctrl-C would throw away what is on its way to us, the last message among it
    mode = termios.tcgetattr(fd)
    mode[3] |= termios.NOFLSH
    termios.tcsetattr(fd, termios.TCSANOW, mode)
    os.write(fd, typed.encode())
    shown = b""
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:         # the last one closed the terminal
            break
        shown += data
        if interrupt_at and interrupt_at.encode() in shown:
            interrupt_at = None
            os.write(fd, b"\x03")
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def golden(name, args, status=0, changed=False, **kw):
    """Run and compare with expected/NAME; status and changed are checked apart,
    so that a wrong expected file can't hide them."""
    try:
        out, err, code, changes = run(args, **kw)
    except subprocess.TimeoutExpired:
        ok(False, name, "it hangs")
        return
    shown = " ".join("'%s'" % a if not a or set(a) & set(" ;'\"") else a for a in args)
    text = "$ %s %s\n" % (os.path.basename(kw.get("program", VIRSH_PZONE)), shown)
    text += "--- stdout\n%s--- stderr\n%s--- exit %d\n" % (out, err, code)
    if changes:
        text += "--- changes\n" + changes
    # libxml2's own words change from version to version
    text = re.sub(r"(malformed XML: ).*", r"\1(libxml2's words)", text)
    path = os.path.join(HERE, "expected", name)
    if os.environ.get("UPDATE"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    try:
        with open(path, encoding="utf-8") as f:
            want = f.read()
    except FileNotFoundError:
        want = "(there is no %s)\n" % path
    problems = []
    if code != status:
        problems.append("exit status is %d, should be %d" % (code, status))
    if bool(changes) != changed:
        problems.append("it %s something" % ("changed" if changes else "did not change"))
    if text != want:
        with tempfile.NamedTemporaryFile("w", dir=_work, suffix=".got") as f:
            f.write(text)
            f.flush()
            problems.append(subprocess.run(["diff", "-u", path, f.name], capture_output=True,
                                           text=True, check=False).stdout)
    ok(not problems, name, "\n".join(problems))


def refused(name, args, **kw):
    """A golden case that has to fail, with one sentence and without changes."""
    golden(name, args, status=1, **kw)
    kw.pop("status", None)
    _, err, _, _ = run(args, **kw)
    lines = err.splitlines()
    ok(len(lines) == 1 and lines[0].startswith("error: "), name + ": one sentence", err)


# ---- what a device answers ----

def device_class(name, size, *, actual=None, state="settled", ident=1, addr=0x120000000,
                 extents=None, wanted=None, guarantee=None, limit=None, cookie="", reclaim_seq=None, last_error=None, nr_extents=None, **report):
    """A class in an answer of query-pzone; sizes in MiB."""
    actual = size if actual is None else actual

    def ext(list_):
        return [{"addr": a, "size": s * MIB} for a, s in list_]
    c = {"id": ident, "name": name, "size": size * MIB, "actual": actual * MIB,
         "guarantee": (size if guarantee is None else guarantee) * MIB,
         "limit": (size if limit is None else limit) * MIB, "cookie": cookie, "state": state,
         "wanted-extents": ext(wanted if wanted is not None else [(addr, size)]),
         "extents": ext(extents if extents is not None else [(addr, actual)] if actual else [])}
    for key, value in (("reclaim-seq", reclaim_seq), ("last-error", last_error),
                       ("nr-extents", nr_extents)):
        if value is not None:
            c[key] = value
    if report:
        r = {"cgroups": 0, "free": 0, "anon": 0, "file": 0, "stuck": 0, "pinned": 0,
             "refaults": 0, "pressure-us": 0, "oom": 0, "oom-kill": 0, "reclaimed": 0}
        for key, value in report.items():
            r[key.replace("_", "-")] = value * MIB if key in (
                "free", "anon", "file", "stuck", "pinned", "reclaimed") else value
        c["report"] = r
    return c


def device_pool(classes, *, ident="ua-fast", guest="ready", size=2048, requested=1024,
                addr=0x100000000):
    """A pool in an answer of query-pzone; sizes in MiB."""
    memmap = size // 64
    used = sum(c["size"] for c in classes)
    return {"id": ident, "addr": addr, "size": size * MIB, "block-size": 2 * MIB,
            "requested": requested * MIB,
            "plugged": memmap * MIB + sum(c["actual"] for c in classes), "memmap": memmap * MIB,
            "available": max(0, (requested - memmap) * MIB - used), "generation": 7,
            "guest-generation": 7, "guest": guest, "classes": classes}
