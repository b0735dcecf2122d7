#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""virsh-pzone: help and the command line itself, in virsh's manner."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import

COMMANDS = ["define", "event", "info", "list", "map", "pool-add", "pool-list", "reclaim", "resize",
            "set", "stats", "top", "undefine"]

ok(re.findall(r"^    pzone-(\S+)", run(["help", "pzone"])[0], re.M) == COMMANDS, "no command is missing here")
golden("help", ["help"])
golden("help-pzone", ["help", "pzone"])
golden("help-quiet", ["-q", "help", "pzone"])
for command in COMMANDS:
    golden("help-" + command, ["help", "pzone-" + command])
golden("usage", ["--help"])

# "X --help" is "help X", whatever else was typed
_, _, _, _ = want = run(["help", "pzone-resize"])
ok(run(["pzone-resize", "--help"]) == want, "pzone-resize --help is help pzone-resize")
ok(run(["pzone-resize", "demo", "--wait", "--help"]) == want, "also among other arguments")
ok(run(["help", "--command", "pzone-resize"]) == want, "help --command")

out, err, code, _ = run(["--version"])
ok(code == 0 and err == "" and out.count(".") == 2, "--version", out + err)
ok(run(["-v"])[0] == out, "-v is --version")
ok(out.strip() in run(["-V"])[0], "-V has the version too")

refused("help-unknown", ["help", "pzone-nonsense"])
refused("cmd-unknown", ["pzone-nonsense", "demo"])
golden("cmd-none", [])
refused("global-unknown-long", ["--nonsense", "pzone-list", "demo"])
refused("global-unknown-short", ["-x", "pzone-list", "demo"])
refused("global-no-uri", ["-c"])
refused("global-bad-version", ["--version=nonsense"])
refused("missing-domain", ["pzone-list"])
refused("missing-class", ["pzone-info", "demo"])
refused("missing-size", ["pzone-resize", "demo", "db"])
refused("missing-value", ["pzone-list", "demo", "--pool"])
refused("missing-number", ["pzone-resize", "demo", "db", "256MiB", "--timeout"])
refused("option-unknown", ["pzone-list", "demo", "--nonsense"])
refused("option-twice", ["pzone-list", "demo", "--bytes", "--bytes"])
refused("option-bool-value", ["pzone-list", "demo", "--bytes=yes"])
refused("option-of-other-cmd", ["pzone-list", "demo", "--wait"])
refused("data-too-much", ["pzone-list", "demo", "db"])
refused("data-after-dashes", ["pzone-list", "demo", "--", "--bytes"])
refused("empty-domain", ["pzone-list", ""])
refused("quote-open", ["pzone-list 'demo"])
refused("quote-open-double", ['pzone-list "demo'])
# nothing of the string runs when a later command is wrong
refused("string-later-wrong", ["pzone-set demo db --limit 1GiB --config; pzone-lisst demo"])

golden("string-two", ["pzone-list demo --name; pzone-list off --name"])
golden("string-comment", ["pzone-list demo --name # what a comment says; pzone-nonsense"])
golden("string-quotes", ["pzone-list --name 'demo' ; pzone-list \"off\" --name;;"])
golden("string-last-counts", ["pzone-list nosuch; pzone-list off --name"], files={})
golden("string-last-fails", ["pzone-list off --name; pzone-list nosuch"], status=1)
golden("named-options", ["pzone-info", "--class=batch", "--domain", "demo"])
golden("by-uuid", ["pzone-list", "11111111-1111-4111-8111-111111111111", "--name"])
golden("by-id", ["pzone-list", "1", "--name"])
out = run(["-t", "pzone-list", "demo", "--name"])[0]
ok("(Time: " in out, "-t prints the time", out)
done()
