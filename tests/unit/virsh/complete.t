#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion: the program's words, and the shell function around them."""
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
ok(words("pzone-list", "demo", "--by") == ["--bytes"], "part of an option")
ok(words("pzone-list", "demo", "") == ["--bytes", "--format", "--name", "--pool"],
   "options when nothing else can come", words("pzone-list", "demo", ""))
ok(words("pzone-define", "demo", "") == [], "a file name is left to the shell")
ok(words("pzone-info", "nosuch", "") == [], "an unknown domain: nothing, no error")
ok(words("pzone-nonsense", "") == [], "an unknown command: nothing, no error")
ok(words("pzone-list", "", uri="nosuch:///") == [], "no connection: nothing, no error")
ok(words("help", "pz") == ["pzone"] + ["pzone-" + c for c in (
    "define", "event", "info", "list", "map", "pool-add", "pool-list", "reclaim", "resize", "set",
    "stats", "undefine")], "help",
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
done()
