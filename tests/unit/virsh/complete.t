#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion: the program's words, and the shell function around them."""
import signal

from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

def words(*typed, **kw):
    """What completion offers for these words, the last one being typed."""
    out, err, code, changes = run(["complete", "--", *typed], **kw)
    if err or code or changes:
        return (out, err, code, changes)
    return sorted(out.split())


CLASSES = ["batch", "db"]
ok(words("pzone-l") == ["pzone-list"], "a command", words("pzone-l"))
ok(len(words("pzone-")) >= 8, "all commands", words("pzone-"))
ok("complete" not in words(""), "the internal one is not offered", words(""))
ok(words("pzone-list", "") == ["bare", "broken", "demo", "mem", "off", "transient"], "domains",
   words("pzone-list", ""))
ok(words("pzone-info", "demo", "") == CLASSES, "classes", words("pzone-info", "demo", ""))
ok(words("pzone-info", "--class", "") == [], "classes of no domain yet")
ok(words("pzone-info", "--domain", "demo", "--class", "") == CLASSES, "classes, named options",
   words("pzone-info", "--domain", "demo", "--class", ""))
ok(words("pzone-list", "demo", "--pool", "") == ["ua-fast", "ua-slow"], "pools",
   words("pzone-list", "demo", "--pool", ""))
ok(words("pzone-list", "demo", "--format", "") == ["json", "text"], "formats")
ok(words("pzone-event", "--event", "") == ["changed", "nomem", "shortage"], "event types")
ok(words("pzone-stats", "demo", "") == CLASSES, "classes, where they are optional")
ok(words("pzone-list", "demo", "--") == ["--bytes", "--format", "--name", "--pool"],
   "options that were not given yet", words("pzone-list", "demo", "--"))
for command in words("pzone-"):
    wanted = sorted(re.findall(r"^    \[?(--[a-z-]+)", run(["help", command])[0], re.M))
    ok(words(command, "--") == wanted, command + ": all its options", "%s\n%s" % (words(command, "--"), wanted))
ok(words("pzone-list", "demo", "--by") == ["--bytes"], "part of an option")
ok(words("pzone-list", "demo", "") == ["--bytes", "--format", "--name", "--pool"],
   "options when nothing else can come", words("pzone-list", "demo", ""))
ok(words("pzone-define", "demo", "") == [], "a file name is left to the shell")
ok(words("pzone-info", "nosuch", "") == [], "an unknown domain: nothing, no error")
ok(words("pzone-nonsense", "") == [], "an unknown command: nothing, no error")
ok(words("pzone-list", "", uri="nosuch:///") == [], "no connection: nothing, no error")
ok(words("help", "pz") == ["pzone"] + ["pzone-" + c for c in (
    "define", "event", "info", "list", "map", "pool-add", "pool-list", "reclaim", "resize", "set",
    "stats", "top", "undefine")], "help",
   words("help", "pz"))

# through the front
out = run(["complete", "--", "pzone-i"], program=FRONT)[0].split()
ok(out == ["pzone-info"], "the front offers our commands", out)
out = run(["complete", "--", "pzone-info", "demo", ""], program=FRONT)[0].split()
ok(sorted(out) == CLASSES, "and their words", out)


# the shell functions, in a real bash with bash-completion
COMMON = "/usr/share/bash-completion/bash_completion"
OWN = os.path.join(ROOT, "libvirt-plugin", "virsh", "completion", "virsh-pzone.bash")
LIBVIRT = "/usr/share/bash-completion/completions/virsh"


def in_bash(script, function, line):
    """What bash offers when TAB is pressed behind line."""
    typed = line.split(" ")
    code = """
. %s; . %s
COMP_LINE=%s; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
COMP_WORDS=(%s); COMP_CWORD=%d
%s %s
printf '%%s\\n' "${COMPREPLY[@]}"
""" % (COMMON, script, "'" + line + "'", " ".join("'%s'" % w for w in typed), len(typed) - 1,
       function, typed[0])
    out, err, _, _ = run(["--norc", "-c", code], program="/bin/bash",
                         env={"PATH": BIN + ":" + os.environ["PATH"]})
    return sorted(out.split()) if not err else (out, err)


for script, function, program in ((OWN, "_virsh_pzone", "virsh-pzone"),
                                  (LIBVIRT, "_virsh_complete", "virsh")):
    if not os.path.exists(COMMON) or not os.path.exists(script):
        ok(True, "%s in bash # SKIP no bash-completion here" % program)
        continue
    got = in_bash(script, function, program + " pzone-inf")
    ok(got == ["pzone-info"], program + " in bash: a command", got)
    got = in_bash(script, function, program + " pzone-info demo ")
    ok(got == CLASSES, program + " in bash: classes", got)
    got = in_bash(script, function, program + " -r pzone-list de")
    ok(got == ["demo"], program + " in bash: behind a global option", got)


def zsh_lines(typed):
    """What these lines are after TAB in a real zsh, which prints them and runs none."""
    setup = ("PS1='> '; PATH=%s:$PATH; fpath=(%s $fpath); autoload -Uz compinit; compinit -D -u; "
             "show() { print -r \"GOT[$BUFFER]\"; zle kill-whole-line; zle reset-prompt }; "
             "zle -N show; bindkey '^T' show; echo READY\n" % (BIN, os.path.dirname(OWN)))
    cwd, env = prepare()
    with open(cwd + "/setup", "w", encoding="utf-8") as f:
        f.write(setup)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(shutil.which("zsh"), ["zsh", "-f", "-i"], env)
    shown = ""
    signal.alarm(60)    # it hangs: better dead

    def until(pattern, count=1):
        nonlocal shown
        while len(re.findall(pattern, shown)) < count:
            shown += os.read(fd, 4096).decode(errors="replace")
        return re.findall(pattern, shown)
    os.write(fd, b". ./setup\n")
    until("READY")
    for n, line in enumerate(typed):
        os.write(fd, line.encode() + b"\t\x14")
        got = until(r"GOT\[([^\]]*)\]", n + 1)
    os.write(fd, b"exit\n")
    os.close(fd)
    os.waitpid(pid, 0)
    signal.alarm(0)
    return got


if not shutil.which("zsh"):
    ok(True, "completion in zsh # SKIP no zsh here")
    done()
CASES = (("virsh-pzone pzone-inf", "pzone-info", "a command"),
         ("virsh-pzone pzone-list de", "demo", "a domain"),
         ("virsh-pzone pzone-info demo d", "db", "a class"),
         ("virsh-pzone pzone-list demo --pool ua-f", "ua-fast", "a pool"),
         ("virsh-pzone pzone-list demo --by", "--bytes", "an option"),
         ("virsh-pzone -r pzone-list tr", "transient", "behind a global option"),
         ("virsh pzone-info demo ba", "batch", "virsh: a class"),
         ("virsh pzone-sta", "pzone-stats", "virsh: a command"),
         ("virsh dominf", "dominfo", "virsh: a command of the system's"))
for (line, last, what), got in zip(CASES, zsh_lines([c[0] for c in CASES])):
    ok(got.split()[-1:] == [last] and got.split()[:-1] == line.split()[:-1], "in zsh: " + what, got)
done()
