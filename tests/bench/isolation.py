# SPDX-License-Identifier: GPL-2.0-or-later
"""Part 2: what neighbours do to a program that must answer fast.

redis (Debian's) with its own load generator, on CPU 0; on CPU 1 a memory hog that
wants more than there is, and a scanner that reads a file again and again. The guest
has the same memory in every mode, and swap on zram. So only memory is contended.
"""
import os
import re
import shutil
import subprocess
import time

from benchlib import BenchVM, Pool, Results, VMError, BUILD, HERE, MiB, accel

REDIS_MIB, OTHERS_MIB, BASE_MIB = 256, 384, 384
KEYS, VALUE = 100000, 1024          # about 130 MiB
HOG_MIB, SCAN_MIB = 512, 512
INITRAMFS = os.path.join(BUILD, 'bench/redis-initramfs.cpio.gz')
MODES = ['alone', 'unlimited', 'memcg max', 'memcg min+max', 'fake NUMA + cpuset', 'pzone']
VALUES = ['requests_per_s', 'p50_ms', 'p99_ms', 'p99_9_ms', 'max_ms', 'swapped_out_mib', 'others_killed']


def libraries(program):
    """What a program of the host needs to run in the guest."""
    text = subprocess.run(['ldd', program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r'(/\S+) \(0x', text)))


def make_initramfs():
    """The test guest's, and redis from the host behind it."""
    base = os.path.join(BUILD, 'guest/initramfs.cpio.gz')
    # the server by its other name, which is in redis-tools: the package redis-server would start one here
    names = {'redis-check-rdb': 'redis-server', 'redis-cli': 'redis-cli', 'redis-benchmark': 'redis-benchmark'}
    programs = {shutil.which(p): '/bin/' + name for p, name in names.items()}
    if None in programs:
        raise VMError('redis is missing; apt-get install redis-tools')
    # /usr leads to / in the test guest
    where = {l: re.sub('^/usr/', '/', l) for p in programs for l in libraries(p)} | programs
    dirs = sorted({d for w in where.values() for d in parents(w)} - {'/bin', '/sbin'})
    lines = ['dir %s 755' % d for d in dirs] + ['file %s %s 755' % (w, f) for f, w in where.items()]
    # compressed: the kernel takes an archive that is not only where its offset is a multiple of four
    extra = INITRAMFS + '.extra.gz'
    os.makedirs(os.path.dirname(extra), exist_ok=True)
    subprocess.run(['python3', os.path.join(HERE, '../guest/mkcpio.py'), extra], input='\n'.join(lines) + '\n',
                   text=True, check=True)
    with open(INITRAMFS, 'wb') as out:
        for part in (base, extra):
            with open(part, 'rb') as f:
                shutil.copyfileobj(f, out)
    os.unlink(extra)


def parents(path):
    out = []
    while os.path.dirname(path) != '/':
        path = os.path.dirname(path)
        out.append(path)
    return out


def boot(mode):
    total = REDIS_MIB + OTHERS_MIB + BASE_MIB
    args = {'cpus': 2, 'mem': '%dM' % total}
    if mode == 'pzone':
        size = (REDIS_MIB + OTHERS_MIB + 127) // 128 * 128 + 128
        args.update(mem='%dM' % BASE_MIB, pools=[Pool('p', size='%dM' % size, requested='%dM' % size)])
    if mode == 'fake NUMA + cpuset':
        # nodes of the three sizes, of 128 MiB each
        args.update(peer=True, nodes=total // 128)
    vm = BenchVM(**args)
    vm.start()
    vm.sh('echo 768M > /sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0')
    vm.sh('mke2fs -F /dev/ram0 >/dev/null 2>&1 && mount -t ext4 /dev/ram0 /mnt && truncate -s %dM /mnt/hole' % SCAN_MIB)
    vm.sh('cd /sys/fs/cgroup && mkdir redis others && echo 0 > redis/cpuset.cpus && echo 1 > others/cpuset.cpus')
    limit(vm, mode)
    return vm


def limit(vm, mode):
    group = lambda name, file, value: vm.sh('echo %s > /sys/fs/cgroup/%s/%s' % (value, name, file))
    if mode.startswith('memcg'):
        group('others', 'memory.max', '%dM' % OTHERS_MIB)
    if mode == 'memcg min+max':
        group('redis', 'memory.min', '%dM' % REDIS_MIB)
    if mode == 'fake NUMA + cpuset':
        nodes = len(vm.sh('ls -d /sys/devices/system/node/node[0-9]*').split())
        a, b = REDIS_MIB // 128, OTHERS_MIB // 128
        if nodes < a + b + 1:
            raise VMError('the guest has %d nodes only' % nodes)
        # the last ones: kernel and initramfs are in the first
        group('redis', 'cpuset.mems', '%d-%d' % (nodes - a, nodes - 1))
        group('others', 'cpuset.mems', '%d-%d' % (nodes - a - b, nodes - a - 1))
    if mode == 'pzone':
        vm.create('p', 'redis', REDIS_MIB * MiB)
        vm.create('p', 'others', OTHERS_MIB * MiB)
        vm.settle()
        group('redis', 'pzone.class', 'redis')
        group('others', 'pzone.class', 'others')


def start_redis(vm):
    vm.bg('pz-exec -g redis - redis-server --save "" --appendonly no --port 0 --unixsocket /tmp/r.sock --loglevel warning')
    vm.wait(lambda: vm.run('redis-cli -s /tmp/r.sock ping').out.startswith('PONG'), 'redis answers', 60)
    vm.sh("redis-cli -s /tmp/r.sock eval \"for i = 0, %d do redis.call('set', string.format('key:%%012d', i), "
          "string.rep('x', %d)) end\" 0" % (KEYS - 1, VALUE), 300)


def start_others(vm):
    # a hog that is killed starts again, as a service would
    hog = vm.bg('while :; do pz-exec -g others - pz-verify %d || echo killed; sleep 1; done' % HOG_MIB)
    scan = vm.bg('while :; do pz-exec -g others - pz-touch -f /mnt/hole %d; done' % SCAN_MIB)
    time.sleep(20)          # they have taken what they can get by then
    return hog, scan


PERCENTILES = re.compile(r'^\s*([\d.]+)% <= ([\d.]+) milliseconds \(cumulative', re.M)


def percentile(text, wanted):
    """Of redis-benchmark's distribution: the first step at or above."""
    for share, ms in PERCENTILES.findall(text):
        if float(share) >= wanted:
            return float(ms)
    raise VMError('redis-benchmark said no percentiles: %s' % text[-500:])


def load(vm, requests):
    out = vm.sh('pz-exec -g redis - redis-benchmark -s /tmp/r.sock -c 4 -n %d -r %d -t get --precision 3' % (
        requests, KEYS), 900)
    return {'requests_per_s': float(re.search(r'throughput summary: ([\d.]+)', out).group(1)),
            'p50_ms': percentile(out, 50), 'p99_ms': percentile(out, 99),
            'p99_9_ms': percentile(out, 99.9), 'max_ms': percentile(out, 100)}


def swapped(vm):
    return int(re.search(r'pswpout (\d+)', vm.sh('cat /proc/vmstat')).group(1)) / 256


def run(bench):
    results = Results(bench.csv('isolation'), ['mode', 'run'], VALUES)
    runs, requests = (3, 100000) if bench.full else (1, 20000)
    if accel() == 'tcg':
        requests //= 2
    make_initramfs()
    os.environ['PZONE_INITRAMFS'] = INITRAMFS
    bench.progress.expect(len(MODES) * runs)
    try:
        for r in range(runs):
            for mode in MODES:
                if results.has(mode=mode, run=r):
                    continue
                bench.progress.step('isolation: %s, run %d' % (mode, r + 1))
                try:
                    results.add(mode=mode, run=r, **once(mode, requests))
                except Exception as e:
                    bench.failed('isolation: ' + mode, e)
                    if mode == 'alone':     # nothing to compare with, and no hope for the rest
                        return
    finally:
        del os.environ['PZONE_INITRAMFS']


def once(mode, requests):
    vm = boot(mode)
    try:
        start_redis(vm)
        jobs = () if mode == 'alone' else start_others(vm)
        before = swapped(vm)
        row = load(vm, requests)
        row['swapped_out_mib'] = swapped(vm) - before
        row['others_killed'] = sum(j.text().count('killed') for j in jobs)
        return row
    finally:
        vm.stop()
