#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# What virsh-pzone -c xl:/// says of answers that make no sense, and of refusals.
# The other end of the socket is a fake, named so: pzone-xend itself needs Xen
# (tests/xen).
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get('PZONE_BUILD', os.path.join(TOP, 'build'))
sys.path.insert(0, os.path.join(TOP, 'tests/guest'))
from guest_test import Tap  # noqa: E402

DOMAINS = {'return': [{'name': 'demo', 'uuid': '6036c370-d5e1-457d-a2a8-f96fc88c3aba', 'id': 3,
                       'memory': 256 << 20}]}


class FakeXend(threading.Thread):
    """Answers query-domains, and all else with one text (None: closes)."""

    def __init__(self, path, answer, domains=DOMAINS):
        super().__init__(daemon=True)
        self.answer, self.domains = answer, domains
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        self.start()

    def run(self):
        while True:
            client, _ = self.socket.accept()
            request = json.loads(client.makefile().readline())
            text = self.answer
            if request['execute'] == 'query-domains':
                text = json.dumps(self.domains)
            if text is not None:
                client.sendall(text.encode() + b'\n')
            client.close()


class Test(Tap):
    def says(self, what, answer, words, *args, domains=DOMAINS):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'xend.sock')
            if answer != 'nobody':
                FakeXend(path, answer, domains)
            r = subprocess.run([os.path.join(BUILD, 'bin/virsh-pzone'), '-c', 'xl:///', *args],
                               env=dict(os.environ, PZONE_XEN_SOCKET=path), timeout=60,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.ok(r.returncode and words in r.stderr, what, r.returncode, r.stdout, r.stderr)


def main():
    t = Test()
    show, resize = ('pzone-list', 'demo'), ('pzone-resize', 'demo', 'db', '64MiB')
    t.says('nobody listens', 'nobody', 'does it run?', *show)
    t.says('no list of domains', '', "pzone-xend's answer makes no sense", *show, domains={})
    t.says('an unknown domain', '', "'other'", 'pzone-list', 'other')
    for args in (show, resize):
        t.says('no JSON', 'hello', "pzone-xend's answer to query-pzone of domain 'demo' is no JSON",
               *args)
        t.says('neither answer nor error', '{}', "pzone-xend's answer to query-pzone", *args)
        t.says('a strange answer', '{"return": [{}]}',
               "pzone-xend's answer about the pools of domain 'demo' makes no sense: member", *args)
        t.says('an error without words', '{"error": {"class": "GenericError"}}',
               'pzone-xend refused without a reason', *args)
        t.says('a refusal', '{"error": {"class": "GenericError", "desc": "left alone, for"}}',
               'error: left alone, for', *args)
        t.says('the connection closed', None, 'gave no answer', *args)
    t.done()


main()
