#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pzoned as a program: options, lock, signals, connection. With libvirt's test
# driver: no VM, no libvirtd. What it does to real domains: tests/e2e.

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../../build}
pzoned=$build/bin/pzoned
work=$(mktemp -d) || exit 1
run=$work/run
pid=
count=0 failed=0

cleanup() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# result STATUS-OF-A-TEST WHAT
result() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "$work/out" "$work/log" 2>/dev/null
		failed=1
	fi
}

# try STATUS PATTERN WHAT OPTION...: run to the end
try() {
	want=$1 pattern=$2 what=$3
	shift 3
	timeout 20 "$pzoned" "$@" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status -eq "$want" ] && grep -q -- "$pattern" "$work/out"
	result $? "$what"
}

# wait_for PATTERN: in the daemon's log, at most 10 s
wait_for() {
	n=0
	until grep -q -- "$1" "$work/log"; do
		n=$((n + 1))
		[ $n -lt 100 ] || return 1
		sleep 0.1
	done
}

start() {
	: >"$work/log"
	"$pzoned" --runtime-dir "$run" "$@" 2>"$work/log" </dev/null &
	pid=$!
}

# ended STATUS: the daemon is gone, with that status
ended() {
	n=0
	while kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do
		# a zombie of ours still takes signals
		[ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)" = Z ] && break
		n=$((n + 1))
		sleep 0.1
	done
	[ $n -lt 50 ] || return 1
	wait "$pid"
	status=$?
	pid=
	[ $status -eq "$1" ]
}

unset LIBVIRT_DEFAULT_URI
try 0 'Usage: pzoned' '--help' --help
try 0 '^pzoned [0-9]' '--version' --version
try 2 'pzoned --help' 'an unknown option is refused' --nonsense
try 2 'options only' 'an argument is refused' vm
try 1 "can't make runtime directory '/nonexistent/x'" 'a runtime directory that cannot be is named' \
	--runtime-dir /nonexistent/x --once -c test:///default
try 1 "can't connect to libvirt at nonsense:///x" '--once with a wrong URI fails and names it' \
	--runtime-dir "$run" --once -c nonsense:///x
"$pzoned" --runtime-dir "$run" --once -c test:///default >"$work/out" 2>&1
[ $? -eq 0 ] && [ ! -s "$work/out" ]
result $? '--once has nothing to say of a domain without classes'

# The test driver reads a file, anew for each connection (so the domains need
# fixed uuids): one domain with classes and no pool, one with rubbish.
cat >"$work/node.xml" <<'XML'
<node>
  <domain type='test'>
    <name>fine</name>
    <uuid>00000000-0000-4000-8000-000000000001</uuid>
    <memory>8388608</memory>
    <os><type>hvm</type></os>
  </domain>
  <domain type='test'>
    <name>no-pool</name>
    <uuid>00000000-0000-4000-8000-000000000002</uuid>
    <metadata>
      <pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'>
        <pzone:class name='db' pool='ua-fast'><pzone:size unit='MiB'>64</pzone:size></pzone:class>
      </pzone:pzones>
    </metadata>
    <memory>8388608</memory>
    <os><type>hvm</type></os>
  </domain>
  <domain type='test'>
    <name>rubbish</name>
    <uuid>00000000-0000-4000-8000-000000000003</uuid>
    <metadata>
      <pzone:pzones xmlns:pzone='urn:pzone:libvirt:domain:1.0'><pzone:klass/></pzone:pzones>
    </metadata>
    <memory>8388608</memory>
    <os><type>hvm</type></os>
  </domain>
</node>
XML
try 1 "domain 'no-pool': domain 'no-pool' has no pool" 'classes without a pool: says so' \
	--runtime-dir "$run" --once -c "test://$work/node.xml"
grep -q "domain 'rubbish': live metadata of domain 'rubbish':[0-9]*: <pzones> has no element <klass>" "$work/out"
result $? 'metadata that makes no sense: says where and what'
! grep -q "'fine'" "$work/out"
result $? 'nothing to say of the third domain'

start -c test:///default
wait_for 'connected to libvirt at test:///default, 1 domains run'
result $? 'connects and lists'
try 1 "another pzoned (process $pid)" 'a second one refuses to start, and names the first' \
	--runtime-dir "$run" -c test:///default
kill -HUP "$pid"
wait_for 'SIGHUP: reading the settings'
result $? 'SIGHUP makes it look again'
kill -TERM "$pid"
ended 0
result $? 'SIGTERM ends it with 0'

start -c test:///default
wait_for connected
kill -KILL "$pid"
ended 137
result $? 'SIGKILL ends it'
start -c test:///default
wait_for connected
result $? '... and leaves no lock behind'
kill -INT "$pid"
ended 0
result $? 'SIGINT ends it with 0'

start -v -c "qemu+unix:///system?socket=$work/nobody"
wait_for "can't connect to libvirt at qemu+unix:///system?socket=$work/nobody, trying on:" &&
	sleep 1.5 && kill -0 "$pid"
result $? 'without libvirt it waits'
[ "$(grep -c "can't connect" "$work/log")" -eq 1 ]
result $? '... and says so once'
kill -TERM "$pid"
ended 0
result $? '... and SIGTERM ends it while it waits'

LIBVIRT_DEFAULT_URI=test:///default
export LIBVIRT_DEFAULT_URI
start
wait_for 'connected to libvirt at test:///default'
result $? 'LIBVIRT_DEFAULT_URI is the default'
kill -TERM "$pid"
ended 0
result $? '... and SIGTERM ends that one too'

echo "1..$count"
exit $failed
