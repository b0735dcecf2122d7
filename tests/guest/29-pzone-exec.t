#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# pzone-exec: the command, and nothing else, runs in the class; what is wrong is said,
# with status 125 as of env or nice, and leaves no control group behind.
import re

from guest_test import run, Pool

CG = '/sys/fs/cgroup'


def test(t, vm):
    vm.create('fast', 'db', '64M')
    vm.create('fast', 'batch', '64M')
    vm.settle()

    def places(job):
        return {place for (place, kind), n in t.walk_pid(job.pid).items()
                if kind == 'anon' and place != 'swap' and n > 64}

    def hog(command, want, what):
        job = t.start(None, command + ' pz-hog 8', 'holding')
        t.equal(places(job), want, what)
        return job

    def group_of(job):
        return vm.sh('cat /proc/%d/cgroup' % job.pid).strip()

    def groups():
        return vm.sh('cd %s; find . -type d | sort' % CG).split()

    def refused(command, pattern, what, status=125):
        before = groups()
        r = vm.run(command)
        t.ok(r.status == status and re.search(pattern, r.err) and r.out == '' and r.err.count('\n') == 1,
             what, 'status %d, wanted %d and one line like /%s/: %s%s' % (r.status, status, pattern, r.out, r.err))
        t.equal(groups(), before, '... and leaves no control group')

    # what it is for
    job = hog('pzone-exec db', {'db'}, 'the command has its memory from the class')
    t.equal(group_of(job), '0::/pzone-db', 'in a control group that is called after it')
    t.ends_well(job, 'it gets the signals: it is the same process')
    t.equal(vm.run("pzone-exec db sh -c 'exit 7'").status, 7, "the command's own status")
    r = vm.run('sh -c \'echo $$; exec pzone-exec db sh -c "echo \\$\\$; cat"\' < /proc/version')
    lines = r.out.splitlines()
    t.ok(len(lines) == 3 and lines[0] == lines[1] and 'Linux' in lines[2], 'same process id, same standard input', r)
    t.equal(groups().count('./pzone-db'), 1, 'the next one finds the same group')
    vm.sh('rmdir %s/pzone-db' % CG)

    # below the caller's own group, so that its limits hold
    vm.sh('mkdir %s/m; echo 16M > %s/m/memory.max' % (CG, CG))
    r = vm.run('pz-exec -g m - pzone-exec db cat /proc/self/cgroup')
    t.equal(r.out.strip(), '0::/m/pzone-db', "the group is below the caller's own")
    r = vm.run('pz-exec -g m - pzone-exec db pz-hog -s 4 32')
    t.equal(r.status, 137, "and the caller's memory.max holds in it")
    job = hog('pz-exec -g m - pzone-exec db pzone-exec batch', {'batch'}, 'one in the other: the inner one counts')
    t.ends_well(job, 'and ends well')
    job = hog('pz-exec -g m - pzone-exec db pzone-exec none', {'base'}, "'none' gets out of a class")
    t.ends_well(job, 'and ends well')

    # the class of a control group: what a systemd service does before it starts
    vm.sh('mkdir %s/svc' % CG)
    t.equal(vm.run('pz-exec -g svc - pzone-exec --self db').status, 0, '--self needs no command')
    t.equal(vm.sh('cat %s/svc/pzone.class' % CG).strip(), 'db', 'it sets the class of the group that it is in')
    t.equal(vm.sh('ls -d %s/svc/*/ 2>/dev/null || true' % CG), '', 'and makes no other')
    job = hog('pz-exec -g svc -', {'db'}, 'what then runs there, without any privilege or tool, is in the class')
    t.ends_well(job, 'and ends well')
    t.equal(vm.run("pz-exec -g svc - pzone-exec --self ''").status, 0, '--self with an empty name ...')
    t.equal(vm.sh('cat %s/svc/pzone.class' % CG).strip(), '', "... goes back to the parent's class")

    # a class that is not there
    refused('pzone-exec dbb echo ran', r"no class 'dbb'.*--later", 'a class that is not there, which may be a typing error')
    refused('pzone-exec -w 1 dbb echo ran', r"no class 'dbb'", '... nor comes in the time given')
    job = hog('pzone-exec --later soon', {'base'}, '--later: starts, in ordinary memory')
    waits = t.start(None, 'pzone-exec --wait 60 soon pz-hog 8')
    vm.create('fast', 'soon', '32M')
    vm.settle()
    waits.wait_output('holding', 30)
    waits.pid = int(re.search(r'^pid (\d+)', waits.text(), re.M).group(1))
    t.equal(places(waits), {'soon'}, '--wait: starts when the class is there')
    vm.wait(lambda: places(job) == {'soon'}, '', 15)
    t.ok(True, '--later: its memory moves in when the class comes')
    t.ends_well(job, 'and it ends well')
    t.ends_well(waits, 'so does the one that waited')

    # who may, and where
    vm.sh('mkdir %s/u' % CG)
    refused('pz-exec -g u -u 1000 - pzone-exec db echo ran', r'run it as root', 'a user may not make a control group')
    vm.sh('chown -R 1000 %s/u' % CG)
    refused('pz-exec -g u -u 1000 - pzone-exec db echo ran', r'not allowed to set the class.*CAP_SYS_RESOURCE',
            'a user who may (a delegated one) may not set a class')
    refused("unshare -U -r pzone-exec db echo ran", r'not allowed to set the class.*CAP_SYS_RESOURCE',
            'nor may root of a user namespace')
    refused('pzone-exec --self db', r'no pzone.class', 'the root group has no class')
    refused('unshare -m sh -c "umount %s; exec pzone-exec db echo ran"' % CG, r'no cgroup v2.*mount -t cgroup2',
            'no cgroup v2')
    refused('unshare -m sh -c "umount /sys/fs/cgroup; mount -t cgroup2 none /mnt; umount -l /sys; exec pzone-exec db echo ran"',
            r'no pzone support', 'no kernel support (no sysfs looks the same)')
    r = vm.run('unshare -m sh -c "umount %s; mount -t cgroup2 none /mnt; exec pzone-exec db cat /proc/self/cgroup"' % CG)
    t.equal(r.out.strip(), '0::/pzone-db', 'a hierarchy that is mounted elsewhere is found')
    vm.sh('rmdir %s/pzone-db' % CG)

    # bad input
    refused('pzone-exec', r'no class is named.*--help', 'no arguments')
    refused('pzone-exec db', r"no command is named.*'db'", 'no command')
    refused('pzone-exec --self db echo ran', r"--self takes no command.*'echo'", '--self with a command')
    refused("pzone-exec '' echo ran", r"empty name.*'none'", 'an empty name')
    refused('pzone-exec -w soon db echo ran', r"'soon' is not a number of seconds", 'a time that is none')
    refused('pzone-exec --later Db echo ran', r"'Db' is not a name", 'a name that no class can have')
    refused('pzone-exec ../pool/fast echo ran', r"'../pool/fast' is not a name", 'a name with a slash')
    refused('pzone-exec db /nowhere', r'/nowhere: No such file', 'a command that is not there: 127', 127)
    refused('pzone-exec db /etc', r'/etc: Permission denied', 'a command that is none: 126', 126)
    r = vm.run('pzone-exec --help')
    t.ok(r.status == 0 and r.out.startswith('usage: pzone-exec') and '--later' in r.out and not r.err,
         '--help goes to standard output', r)


run(test, pools=[Pool('fast')])
