#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pzoned.service, as far as systemd's own tools can judge it without a systemd that runs.

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../../build}
if ! command -v systemd-analyze >/dev/null; then
	echo '1..0 # SKIP systemd-analyze is not installed'
	exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unit=$work/pzoned.service
sed "s|@sbindir@|$build/bin|" "$here/../../../hv/pzoned/pzoned.service.in" >"$unit"
count=0 failed=0

# result STATUS WHAT
result() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "$work/out"
		failed=1
	fi
}

systemd-analyze verify --man=no "$unit" >"$work/out" 2>&1 && ! grep -q pzoned.service "$work/out"
result $? 'systemd-analyze verify has nothing to say of the unit'
# 0 is the best, 100 the worst; what is left is that it is root, and may speak AF_UNIX
systemd-analyze security --offline=true --no-pager --threshold=10 "$unit" >"$work/out" 2>&1
result $? 'systemd-analyze security: exposure of 1.0 or less'
sed 's/^Type=/User=pzoned\n&/' "$unit" >"$work/user.service"
systemd-analyze security --offline=true --no-pager --threshold=6 "$work/user.service" >"$work/out" 2>&1
result $? '... and of 0.6 or less with User='
echo "1..$count"
exit $failed
