#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The virsh front: pzone-* to virsh-pzone, everything else to the system's virsh."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

SYSTEM = shutil.which("virsh", path=os.pathsep.join(
    d for d in os.environ["PATH"].split(os.pathsep)
    if not os.path.exists(os.path.join(d, "virsh-pzone"))))
ok(SYSTEM is not None, "there is a system's virsh", os.environ["PATH"])


def front(args, **kw):
    """The front with the same environment as the others."""
    return run(args, program=FRONT, **kw)


def same(name, args, **kw):
    """The front and the system's virsh say and return the same."""
    a, b = front(args, **kw), run(args, program=SYSTEM, **kw)
    ok(a == b, name, "%s\n%s" % (a, b))


same("list", ["list", "--all"])
same("-q list", ["-q", "list"])
same("a string", ["list; domstate off"])
same("an exit code", ["domstate", "nosuch"])
same("an unknown command", ["nonsense"])
same("an unknown option", ["--nonsense", "list"])
same("a missing argument", ["-c"])
same("--version", ["--version"])
same("-V", ["-V"])
same("help list", ["help", "list"])
same("help domain", ["help", "domain"])
same("help of nothing", ["help", "nonsense"])
same("commands on standard input", [], stdin="list --all\ndomstate off\n")
same("no command there", [])
same("-q, connect, cd, pwd, a mistake", ["-q"],
     stdin="connect test:///default; list --name\ncd /usr\npwd # x\nnonsense\ndomstate test")
same("quit in the middle", [], stdin="domstate off; quit; domstate demo\nlist\n")
same("arguments with blanks and quotes", ["desc", "demo", "it's; pzone-list \"x\""])
same("completion", ["complete", "--", "dom"])

ok(front(["pzone-list", "off"]) == run(["pzone-list", "off"]), "pzone-list")
ok(front(["-c", "test://" + NODE, "-q", "pzone-list", "off"], uri="test:///default") ==
   run(["-q", "pzone-list", "off"]), "global options before pzone-list")
ok(front(["--connect=test://" + NODE, "pzone-list", "off"], uri="test:///default") ==
   run(["pzone-list", "off"]), "--connect=URI")
ok(front(["-d", "0", "-k5", "--log=/dev/null", "--no-pkttyagent", "pzone-list", "off"]) ==
   run(["pzone-list", "off"]), "virsh's other global options")
ok(front(["pzone-list", "nosuch"]) == run(["pzone-list", "nosuch"]), "its exit code")
ok(front(["pzone-nonsense"])[2] == 1, "an unknown pzone command")
ok(front(["help", "pzone"]) == run(["help", "pzone"]), "help pzone")
ok(front(["help", "pzone-list"]) == run(["help", "pzone-list"]), "help pzone-list")
ok(front(["help", "--command=pzone-list"]) == run(["help", "pzone-list"]), "help --command=")
ok(front(["help pzone"]) == run(["help", "pzone"]), "'help pzone' as a string")
for args in (["help"], ["--help"], ["-q", "help"]):
    ours, theirs = front(args), run(args, program=SYSTEM)
    missing = [line for line in theirs[0].splitlines() if line not in ours[0].splitlines()]
    ok(not missing and ours[0].count("(help keyword 'pzone')") == 1 and ours[1:] == theirs[1:],
       "virsh %s has everything of both" % " ".join(args), missing)

# strings with both kinds
a = front(["domstate off; pzone-list off --name; domstate demo"])
ok(a[0].split() == ["shut", "off", "db", "running"] and a[2] == 0, "a mixed string", a)
a = front(["domstate off;pzone-list nosuch"])
ok(a[0].startswith("shut off") and a[2] == 1, "the last command's status counts", a)
a = front(["pzone-list nosuch; domstate off"])
ok("shut off" in a[0] and a[2] == 0, "also the other way round", a)
a = front(["desc off 'x; pzone-list'; pzone-list off --name"])
ok("db" in a[0] and a[1] == "" and a[2] == 0, "';' in quotes separates nothing", a)
a = front(["domstate off; quit; pzone-list off --name"])
ok("db" not in a[0] and a[2] == 0, "quit ends it", a)
a = front(["pzone-list off --name\ndomstate off # ; pzone-nonsense\n"])
ok(a[0].split() == ["db", "shut", "off"] and a[2] == 0, "line breaks and comments", a)
golden("front-connect", ["connect test:///default; pzone-list off"], status=1, program=FRONT)
golden("front-cd", ["cd /; pzone-define off x.xml"], status=1, program=FRONT)

# finding the system's virsh
path = BIN + ":" + os.environ["PATH"]
ok(front(["-v"], env={"PATH": path}) == run(["-v"], program=SYSTEM), "it passes over itself")
copy = os.path.join(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")), "virsh")
shutil.copy(FRONT, copy)
both = "%s:%s:%s" % (BIN, os.path.dirname(copy), os.environ["PATH"])
ok(front(["-v"], env={"PATH": both}) == run(["-v"], program=SYSTEM), "and over a copy of itself")
a = front(["help"], env={"PATH": both})
ok(a[0].count("(help keyword 'pzone')") == 1, "with a copy the group is there once", a[0][-800:])
ok(front(["-v"], env={"VIRSH": FRONT}) == run(["-v"], program=SYSTEM), "$VIRSH naming itself")
shutil.rmtree(os.path.dirname(copy))
script = "#!/bin/sh\necho mine \"$@\"\nexit 7\n"
d = tempfile.mkdtemp()
with open(d + "/myvirsh", "w", encoding="utf-8") as f:
    f.write(script)
os.chmod(d + "/myvirsh", 0o755)
ok(front(["list", "a b"], env={"VIRSH": d + "/myvirsh"})[::2] == ("mine list a b\n", 7),
   "$VIRSH, arguments and exit code pass through")
shutil.rmtree(d)
golden("front-no-virsh", ["list"], status=1, program=FRONT, env={"PATH": BIN})

def in_shell(*args, typed):
    """What the shell shows, without what readline does to the terminal."""
    shown, status = on_terminal(list(args), program=FRONT, typed=typed)
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|[\r\x07]", "", shown), status


# without a command on a terminal: one shell with both kinds of commands
text, code = in_shell(typed="pzone-list off --name; domstate off\n"
                      "connect test:///default\nlist --all --name\npwd\npzone-nonsense\nquit\n")
ok(code == 0 and "Welcome to virsh" in text, "the shell", text)
ok("\ndb\n" in text and "shut off" in text, "... knows both kinds, also in one line", text)
ok("\ntest\n" in text, "... and connect", text)
ok("unknown command: 'pzone-nonsense'" in text, "... and goes on after a mistake", text)
text, code = in_shell("-q", typed="quit\n")
ok("Welcome" not in text and code == 0, "not with -q", text)
text, code = in_shell(typed="pzone-inf\tdemo ba\t\nquit\n")
ok("pzone-info demo batch" in text and "Pool:           ua-fast" in text, "TAB in the shell", text)
text, code = in_shell(typed="dominf\tdemo\nquit\n")
ok("dominfo demo" in text and "UUID:" in text, "... for virsh's commands, too", text)
text, code = in_shell(typed="help\nquit\n")
ok(text.count("(help keyword 'pzone')") == 1 and "(help keyword 'domain')" in text, "... and help", text)
# both kinds from a pipe: the system's virsh up to the first of ours, its state carried over
out, err, code, _ = front([], stdin="pzone-list off --name\n")
ok((out, err, code) == ("db\n\n", "", 0), "echo pzone-list | virsh", out + err)
out, err, code, changes = front(["-q"], stdin="domstate off\ncd /\npzone-list off --name; pwd\ndomstate demo\n")
ok(out.split("virsh # ")[-1].split() == ["db", "/", "running"] and "shut off" in out and not err and code == 0,
   "a script with both, cd in it", out + err)
for script in ("cd /usr\ncd share\n", "cd /; cd usr\ncd share; ", "cd /usr\npwd; cd share; cd ../share; "):
    out, err, _, _ = front(["-q"], stdin=script + "pzone-list off --name; pwd\n")
    ok(out.split()[-2:] == ["db", "/usr/share"] and not err, "cd upon cd: " + repr(script), out + err)
out, err, code, _ = front([], stdin="connect test:///default\nlist --name\npzone-list test\ndomstate nosuch\n")
ok("error: domain 'test' has no pool" in err and code == 1, "connect in it, the last one's status", out + err)
out, err, code, _ = front([], stdin="pzone-define off - --config\n<class name='web' pool='ua-fast'>"
                          "<size unit='MiB'>64</size></class>")
ok("Class 'web' of domain 'off' defined" in out and not err and code == 0, "a file behind its command", out + err)
out, err, code, _ = front([], stdin="list --name\nhelp\n")
ok(out.count("(help keyword 'pzone')") == 1 and "(help keyword 'domain')" in out, "help there has all", out + err)
ok(front([], stdin="list --name\nquit; pzone-list off\n")[0].count("db") == 0, "quit in front of ours")
# virsh-pzone reads both kinds from a pipe as well
out, err, code, _ = run([], stdin="pzone-list off --name\ndomstate off # x\n\n# only this\n")
ok(out.split() == ["db", "shut", "off"] and not err and code == 0, "commands from a pipe", out + err)
out, err, code, _ = run([], stdin="domstate off\npzone-list nosuch\nquit\ndomstate off\n")
ok(out.count("shut off") == 1 and code == 1, "... to quit, with the last one's status", out + err)
done()
