#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages: well-formed, and complete as far as help goes."""
from golden import *  # noqa: F401,F403 pylint: disable=wildcard-import,unused-wildcard-import
import re

MAN = os.path.join(ROOT, "libvirt-plugin", "virsh", "man")
PAGES = ("virsh-pzone.1", "pzone.7")


def page(name):
    """The page's text without its escapes."""
    with open(os.path.join(MAN, name), encoding="utf-8") as f:
        return f.read().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")


for name in PAGES:
    path = os.path.join(MAN, name)
    for tool, args in (("groff", ["-man", "-ww", "-z", "-Kutf8"]),
                       ("mandoc", ["-Tlint", "-Wwarning"])):
        if not shutil.which(tool):
            ok(True, "%s %s # SKIP no %s here" % (tool, name, tool))
            continue
        p = subprocess.run([tool, *args, path], capture_output=True, text=True, check=False)
        ok(p.returncode == 0 and not p.stderr and not p.stdout, "%s %s" % (tool, name),
           p.stdout + p.stderr)

text = page("virsh-pzone.1")
commands = re.findall(r"^    (pzone-\S+)", run(["help", "pzone"])[0], re.M)
ok(len(commands) >= 8, "commands", commands)
common = text[text.index(".SH OPTIONS THAT MANY"):text.index(".SH COMMANDS")]
for command in commands:
    entry = re.search(r"^(%s .*)\n((?:.*\n)*?)(?=\.TP\n(?:pzone-|help)|\.SH)" % command, text, re.M)
    options = re.findall(r"^    (\[?)--([a-z-]+)\]?", run(["help", command])[0], re.M)
    missing = [o for _, o in options if not entry or not re.search(r"(\\fI|--)%s\b" % o, entry[1])]
    ok(not missing, command + ": the page has its options", missing)
    # what has to be typed with its name is explained by its name
    missing = [o for data, o in options if not data and not re.search(r"--%s\b" % o, common + (entry[2] if entry else ""))]
    ok(not missing, command + ": ... and says what they do", missing)
# for each command there is a golden test of its output (of pzone-top's: top.t) and of an error
first_lines = []
for name in os.listdir(os.path.join(HERE, "expected")):
    with open(os.path.join(HERE, "expected", name), encoding="utf-8") as f:
        text_of = f.read()
    first_lines.append((text_of.split("\n", 1)[0], "--- exit 0\n" in text_of))
for command in commands:
    mine = [good for line, good in first_lines if re.search(r" %s( |$)" % command, line) and " help " not in line]
    ok((True in mine or command == "pzone-top") and False in mine, command + ": golden tests of output and error", mine)
for number in ("0", "1", "3"):
    ok(re.search(r"^\.B %s$" % number, text, re.M), "exit status " + number)

# the examples are what the program takes: define the page's classes for real
seven = page("pzone.7").replace("\\(aq", "'")
xml = re.search(r"<pzones.*?</pzones>", seven, re.S).group(0)
out, err, code, changes = run(["pzone-define", "off", "classes.xml", "--config"],
                              files={"classes.xml": xml})
ok(code == 0 and "metadata config" in changes, "the example of pzone(7) can be defined", err)
done()
