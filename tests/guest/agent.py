#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""Client of pz-agent, the test guest's command agent.

As a module:

    with Agent('/path/to/agent.sock', timeout=60) as a:
        r = a.run('cat /proc/meminfo')          # Result(out, err, status)
        a.run('exit 3', check=False).status     # 3
        job = a.start('pz-hog --hold 100')      # runs beside other commands
        job.wait_output('holding', 30)
        job.kill()

As a program:  agent.py [-t SECONDS] SOCKET COMMAND
(prints what the command wrote, exits with its status; 125: no agent, 124: too
late.)

The socket is the host's end of the virtio-serial port org.pzone.agent.0: a
QEMU chardev socket or the path of a libvirt <channel type='unix'>. One client
at a time; a new one does not stop the commands of the one before it.
The protocol is described in src/pz-agent.c.
"""
import collections
import os
import select
import shlex
import socket
import sys
import time

Result = collections.namedtuple('Result', 'out err status')


class AgentError(Exception):
    """Base of all errors below."""


class AgentLost(AgentError):
    """The other end closed the socket, or the guest's agent started anew."""


class AgentTimeout(AgentError):
    """No answer in time."""


class CommandFailed(AgentError):
    """A command ended with a status other than 0, and check was on."""

    def __init__(self, command, result):
        super().__init__('guest command %r ended with %d: %s' % (
            command, result.status, (result.err + result.out).strip()[-2000:]))
        self.command = command
        self.result = result


class Job:
    """A command in the guest. out and err grow while it runs."""

    def __init__(self, agent, ident, command):
        self.agent = agent
        self.ident = ident
        self.command = command
        self.out = b''
        self.err = b''
        self.status = None      # None: still runs
        self.error = None       # why it will never get a status

    def done(self):
        """Has it ended? Looks at what has come in, does not wait."""
        self.agent._pump(lambda: False, 0)
        return self.status is not None or self.error is not None

    def wait(self, timeout=30, check=False):
        """Wait for its end. On a timeout it is killed in the guest, too."""
        if not self.agent._pump(
                lambda: self.status is not None or self.error, timeout):
            self.kill()
            raise AgentTimeout('guest command %r still ran after %g s; it said: %s' % (
                self.command, timeout, self.text()[-2000:]))
        if self.error:
            raise AgentLost('guest command %r: %s' % (self.command, self.error))
        result = Result(self.out.decode('utf-8', 'replace'),
                        self.err.decode('utf-8', 'replace'), self.status)
        if check and self.status:
            raise CommandFailed(self.command, result)
        return result

    def wait_output(self, text, timeout=30):
        """Wait until `text` stands in its stdout."""
        want = text.encode()
        ended = lambda: self.status is not None or self.error
        self.agent._pump(lambda: want in self.out or ended(), timeout)
        if want not in self.out:
            raise AgentTimeout('guest command %r %s without saying %r; it said: %s' % (
                self.command, 'ended' if ended() else 'ran %g s' % timeout,
                text, self.text()[-2000:]))

    def text(self):
        return (self.out + self.err).decode('utf-8', 'replace')

    def kill(self):
        """Kill the command's process group."""
        if self.status is None and not self.error:
            self.agent._send(b'K %d\n' % self.ident)


class Agent:
    """A connection. Raises AgentTimeout if no agent answers within timeout."""

    def __init__(self, path, timeout=60):
        self.path = path
        self.hellos = 0         # times that an agent said it has just started
        self.sock = None
        self.jobs = {}
        self.last_ident = 0
        self.connect(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def connect(self, timeout=60):
        """(Re)connect; commands started before can no longer be waited for."""
        end = time.monotonic() + timeout
        self.close()
        while True:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(self.path)
                break
            except OSError as e:
                sock.close()
                if time.monotonic() > end:
                    raise AgentTimeout('no agent at %s: %s' % (self.path, e)) from e
                time.sleep(0.05)
        sock.setblocking(False)
        self.sock = sock
        nonce = os.urandom(8).hex().encode()
        answer = b'\xffS ' + nonce + b'\n'
        buf = b''
        next_try = 0
        try:
            while answer not in buf:
                now = time.monotonic()
                if now > end:
                    raise AgentTimeout('nobody answers at %s after %g s; does the guest run '
                                       'pz-agent?' % (self.path, timeout))
                if now >= next_try:
                    # again and again: a guest that is just rebooting loses some
                    self._send(b'\xffS ' + nonce + b'\n')
                    next_try = now + 1
                if select.select([sock], [], [], min(next_try, end) - now + 0.01)[0]:
                    data = sock.recv(65536)
                    if not data:
                        raise AgentLost('%s was closed' % self.path)
                    buf += data
        except OSError as e:
            self.close()
            raise AgentLost('%s: %s' % (self.path, e)) from e
        except AgentError:
            self.close()
            raise
        self.buf = buf[buf.index(answer) + len(answer):]

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None
        self._fail('the connection was closed')

    def start(self, command):
        """Start a command (text for /bin/sh, or a list of words)."""
        if not isinstance(command, str):
            command = ' '.join(shlex.quote(str(w)) for w in command)
        data = command.encode()
        self.last_ident += 1
        job = Job(self, self.last_ident, command)
        self.jobs[job.ident] = job
        self._send(b'R %d %d\n' % (job.ident, len(data)) + data)
        return job

    def run(self, command, timeout=30, check=True):
        """Run a command to its end; with check, a bad status raises."""
        return self.start(command).wait(timeout, check)

    def out(self, command, timeout=30):
        """What a command writes, without the last newline."""
        return self.run(command, timeout).out.rstrip('\n')

    def read(self, path, timeout=30):
        return self.out(['cat', path], timeout)

    def wait_hello(self, count=1, timeout=60):
        """Wait until the guest's agent has started anew (a reboot)."""
        if not self._pump(lambda: self.hellos >= count, timeout):
            raise AgentTimeout('the agent did not start again in %g s' % timeout)

    # --- the wire ---

    def _fail(self, why):
        for job in self.jobs.values():
            job.error = why
        self.jobs.clear()

    def _send(self, data):
        end = time.monotonic() + 30
        while data:
            if not self.sock:
                raise AgentLost('not connected to %s' % self.path)
            try:
                data = data[self.sock.send(data):]
            except BlockingIOError:
                if time.monotonic() > end:
                    raise AgentTimeout('the agent takes no more requests') from None
                select.select([], [self.sock], [], 1)
            except OSError as e:
                raise AgentLost('%s: %s' % (self.path, e)) from e

    def _pump(self, until, timeout):
        """Take in answers until until() is true; False if the time is over."""
        end = time.monotonic() + timeout
        while True:
            self._parse()
            if until():
                return True
            left = end - time.monotonic()
            if not self.sock:
                return bool(until())
            if not select.select([self.sock], [], [], max(left, 0))[0]:
                if left <= 0:
                    return False
                continue
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b''
            if not data:
                self.close()
                self._fail('the guest is gone')
            self.buf += data

    def _parse(self):
        """Take the complete answers off the buffer."""
        while True:
            start = 0
            if self.buf[:1] == b'\xff':
                start = 1
            line, nl, rest = self.buf[start:].partition(b'\n')
            if not nl:
                return
            word = line.split()
            if not word or word[0] not in (b'O', b'E', b'X', b'F', b'S', b'H'):
                # the agent died in the middle of an answer: find the next one
                at = self.buf.find(b'\xff', 1)
                self.buf = self.buf[at:] if at > 0 else b''
                continue
            kind = word[0]
            if kind == b'H':
                self.hellos += 1
                self._fail('the agent has started anew')
            elif kind != b'S':
                job = self.jobs.get(int(word[1]))
                if kind in b'OE':
                    size = int(word[2])
                    hello = rest[:size].find(b'\xffH ')
                    if len(rest) < size and hello < 0:
                        return
                    if len(rest) < size:
                        self.buf = rest[hello:]     # cut off by a reboot
                        continue
                    if job and kind == b'O':
                        job.out += rest[:size]
                    elif job:
                        job.err += rest[:size]
                    rest = rest[size:]
                elif job and kind == b'X':
                    job.status = int(word[2])
                    del self.jobs[job.ident]
                elif job:
                    job.error = 'could not be started: ' + os.strerror(int(word[2]))
                    del self.jobs[job.ident]
            self.buf = rest


def main():
    args = sys.argv[1:]
    timeout = 60.0
    if len(args) > 1 and args[0] == '-t':
        timeout = float(args[1])
        args = args[2:]
    if len(args) != 2:
        sys.exit('usage: agent.py [-t SECONDS] SOCKET COMMAND')
    try:
        with Agent(args[0], timeout) as agent:
            result = agent.run(args[1], timeout, check=False)
    except AgentError as e:
        print('agent.py: %s' % e, file=sys.stderr)
        sys.exit(124 if isinstance(e, AgentTimeout) else 125)
    sys.stdout.write(result.out)
    sys.stderr.write(result.err)
    sys.exit(result.status)


if __name__ == '__main__':
    main()
