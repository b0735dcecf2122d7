#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
# Two pools through a guest's life: its driver lets go of one and takes it again,
# it reboots, is reset in the middle of a resize, sleeps, and a pool is taken
# out of the running machine and put in again.
from guest_test import run, Pool, MiB
from vm import QMPError

FAST = Pool('fast', size='1G', requested='1G')
SPARE = Pool('spare', size='512M', requested='256M', props='bus=rp0')
SLOTS = ('pcie-root-port,id=rp0,chassis=1,slot=1', 'pcie-root-port,id=rp1,chassis=2,slot=2')


def sizes(vm):
    return {n: (c['actual'] // MiB, c['state']) for n, c in vm.classes().items() if n != 'memmap'}


def settled(t, vm, want, what):
    vm.settle(60)
    t.equal(sizes(vm), {n: (mib, 'settled') for n, mib in want.items()}, what)


def driver(vm, pool, verb):
    """Write to the virtio-mem driver's bind or unbind."""
    vm.sh("dev=$(dmesg | sed -n 's/.*virtio_mem \\(virtio[0-9]*\\): pzone pool %s: .*/\\1/p' | tail -n 1); "
          "echo $dev > /sys/bus/virtio/drivers/virtio_mem/%s" % (pool, verb))


def rebind(t, vm):
    job = t.start('db', 'pz-verify 20', 'filled')
    driver(vm, 'spare', 'unbind')
    t.equal((t.class_names(), vm.pool('spare')['guest'], sizes(vm)['web']), (['db'], 'none', (64, 'waiting')),
            'without its driver a pool has no classes in the guest, and the device waits')
    vm.resize('spare', 'web', '96M')
    vm.resize('fast', 'db', '192M')
    vm.wait(lambda: sizes(vm)['db'] == (192, 'settled'), 'the other pool goes on')
    driver(vm, 'spare', 'bind')
    settled(t, vm, {'db': 192, 'web': 96}, 'bound again it has them, with what was asked for meanwhile')
    t.agrees('sysfs, QEMU and arithmetic agree')
    t.ends_well(job, 'and the program in the other pool noticed nothing')


def restart(vm, do):
    seen = vm.agent.hellos
    do()
    vm.agent.wait_hello(seen + 1, 60)


def reset(t, vm):
    """The guest is busy moving pages when the machine is reset."""
    for how, do in (('reboot', lambda: vm.bg('reboot -f')), ('system reset', lambda: vm.qmp.command('system_reset'))):
        t.leave('db', 'db', 'pz-hog 100', 'holding')
        vm.resize('fast', 'db', '112M')
        vm.resize('spare', 'web', '128M')
        restart(vm, do)
        settled(t, vm, {'db': 112, 'web': 128}, 'after a %s in the middle of a resize' % how)
        t.equal((t.cls('db').size, t.cls('web').size), (112 * MiB, 128 * MiB), '... the guest has what was asked for')
        vm.resize('fast', 'db', '192M')
        vm.resize('spare', 'web', '96M')
        vm.settle()
    t.agrees('sysfs, QEMU and arithmetic agree after that')


def has(vm, option):
    return vm.run('zcat /proc/config.gz | grep -q ^CONFIG_%s=y' % option).status == 0


def sleep(t, vm):
    """Suspend to RAM: the driver resets the device and goes on with its books."""
    if 'deep' not in vm.run('cat /sys/power/mem_sleep').out:
        t.skip('suspend to RAM', 'this guest kernel or machine has none')
        return
    t.leave('db', 'db', 'pz-verify 20', 'filled')
    vm.bg('sleep 1; echo mem > /sys/power/state')
    vm.qmp.wait_event('SUSPEND', 60)
    vm.resize('fast', 'db', '224M')
    t.equal(vm.classes()['db']['actual'], 192 * MiB, 'in suspend to RAM a wish is taken down')
    vm.qmp.command('system_wakeup')
    vm.qmp.wait_event('WAKEUP', 60)
    settled(t, vm, {'db': 224, 'new': 64}, 'awake, all is there, with what was asked for meanwhile')
    t.left_well('db')
    vm.resize('fast', 'db', '192M')
    settled(t, vm, {'db': 192, 'new': 64}, 'and it goes on as before')


def refused_while_in_use(t, vm):
    for what, parts in (('device_del', {'id': 'spare'}),):
        try:
            vm.qmp.command(what, **parts)
            t.ok(False, 'a pool with classes is not unplugged')
        except QMPError as e:
            t.ok('plugged' in str(e) or 'requested' in str(e), 'a pool with classes is not unplugged, and says why', e)
    try:
        vm.qmp.command('qom-set', path='/machine/peripheral/spare', property='requested-size', value=0)
        t.ok(False, 'nor can it be emptied by requested-size alone')
    except QMPError as e:
        t.ok("'spare'" in str(e), 'nor can it be emptied by requested-size alone', e)


def hot_unplug(t, vm):
    refused_while_in_use(t, vm)
    vm.destroy('spare', 'web')
    vm.settle()
    vm.qmp.command('qom-set', path='/machine/peripheral/spare', property='requested-size', value=0)
    # gives back the memory map, as protocol.md says
    driver(vm, 'spare', 'unbind')
    driver(vm, 'spare', 'bind')
    vm.wait(lambda: vm.pool('spare')['plugged'] == 0, 'the memory map is given back')
    if not has(vm, 'HOTPLUG_PCI_ACPI'):
        t.skip('hot-unplug', 'this guest kernel has no CONFIG_HOTPLUG_PCI_ACPI')
        return
    vm.qmp.command('device_del', id='spare')
    vm.qmp.wait_event('DEVICE_DELETED', 30, lambda data: data.get('device') == 'spare')
    t.equal(sorted(p['id'] for p in vm.qmp.command('query-pzone')), ['fast', 'late'], 'an empty pool is unplugged')


def hot_plug(t, vm):
    vm.qmp.command('object-add', qom_type='memory-backend-ram', id='mem-late', size=256 * MiB, reserve=False)
    vm.qmp.command('device_add', driver='virtio-mem-pci', id='late', memdev='mem-late', bus='rp1', node=0,
                   requested_size=256 * MiB, block_size=2 * MiB, pzone=True)
    if not has(vm, 'HOTPLUG_PCI_ACPI'):
        vm.sh('echo 1 > /sys/bus/pci/rescan')       # such a kernel has to be told
    vm.create('late', 'new', '64M')
    settled(t, vm, {'db': 192, 'web': 96, 'new': 64}, 'a pool is plugged into the running guest')
    t.ends_well(t.start('new', 'pz-hog 40', 'holding'), 'and can be used')
    t.agrees('sysfs, QEMU and arithmetic agree after hot-plug')


def test(t, vm):
    vm.create('fast', 'db', '128M', limit='512M', guarantee='2M')
    vm.create('spare', 'web', '64M', limit='128M', guarantee='2M')
    try:
        vm.create('spare', 'db', '2M')
        t.ok(False, 'a class name is unique in the VM')
    except QMPError as e:
        t.ok("'fast'" in str(e), 'a class name is unique in the VM, and the error names the other pool', e)
    settled(t, vm, {'db': 128, 'web': 64}, 'two pools, a class in each')
    rebind(t, vm)
    reset(t, vm)
    hot_plug(t, vm)
    hot_unplug(t, vm)
    sleep(t, vm)   # last: after it this machine's firmware tells of no more hot-plug


run(test, pools=[FAST, SPARE], reboot=True,
    args=[word for slot in SLOTS for word in ('-device', slot)])
