/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fuzz targets "virtio-mem-pzone" and, with prealloc=on (requests to plug take
 * their time then), "virtio-mem-pzone-prealloc": a virtio-mem device with memory
 * classes between a hostile guest and a busy host.
 *
 * Concepts
 *
 *   The generic fuzzer seldom gets a virtqueue going, so this target is a
 *   driver: it sets up the device and its two queues, and the input says what
 *   goes wrong from there on.
 *
 *   The input is a row of steps: a byte that selects one of steps[], then its
 *   arguments; where the input ends, zeroes follow until the step is done.  The
 *   guest's steps send requests (sound ones, with single mistakes, or any
 *   bytes), scribble over the rings or reset the device; the host's steps go
 *   through the QMP dispatcher.  Classes are named by their place in the table,
 *   because their ids differ from one input to the next: the device lives on,
 *   and only start_over() makes its state the same for each input.
 *
 *   After each step check() compares everything that says what is plugged: the
 *   core's books, virtio-mem's bitmap and size, what a RAM discard listener
 *   (as VFIO has one) was told, and the memory itself, which has to be zero
 *   where it was given back.
 */

#include "qemu/osdep.h"

#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "exec/memory.h"
#include "hw/virtio/virtio-mem.h"
#include "hw/virtio/virtio-mem-pzone.h"
#include "monitor/monitor-internal.h"
#include "qapi/qmp-registry.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "standard-headers/linux/virtio_pci.h"
#include "standard-headers/linux/virtio_ring.h"
#include "system/runstate.h"
#include "tests/qtest/libqtest.h"
#include "tests/qtest/libqos/pci-pc.h"
#include "tests/qtest/libqos/virtio-pci.h"
#include "hw/virtio/pzone-core/pz_core.h"
#include "fuzz.h"

#define SLOT 4
#define BLOCK_SIZE (2 * MiB)
#define NR_BLOCKS 128
#define REQUESTED 96
#define POOL_ADDR (4 * GiB)
#define MAX_STEPS 64

/* The guest's RAM: rings of each queue, then one buffer for requests. */
#define QUEUE_SIZE 16
#define RING_ADDR(queue) (0x100000 + (queue) * 0x10000)
#define AVAIL_OFFSET 0x1000
#define USED_OFFSET 0x2000
#define REQ_ADDR 0x200000
#define RESP_ADDR 0x280000
#define BUFFER_SIZE 0x10000

typedef struct Input {
    const uint8_t *at;
    const uint8_t *end;
} Input;

/* A request under construction. */
typedef struct Buffer {
    uint8_t data[BUFFER_SIZE];
    size_t len;
} Buffer;

static QTestState *qts;
static QVirtioPCIDevice *pci_dev;
static VirtIOMEM *vmem;
static Buffer request;

/* What the discard listener was told. */
static RamDiscardListener listener;
static bool populated[NR_BLOCKS];

/* A driver without the feature may have left blocks that no class owns. */
static bool unowned;

/*
 * Input
 */

static uint8_t get_byte(Input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* Mostly small; 0xf0 and above stand for the far end of the range. */
static uint32_t get_number(Input *in)
{
    const uint8_t b = get_byte(in);

    return b < 0xf0 ? b : UINT32_MAX - (b - 0xf0);
}

static uint16_t get_u16(Input *in)
{
    const uint8_t lo = get_byte(in);

    return lo | get_byte(in) << 8;
}

/*
 * The guest's side: PCI, rings, requests
 */

static bool pzone_negotiated(void)
{
    return virtio_vdev_has_feature(VIRTIO_DEVICE(vmem), VIRTIO_MEM_F_PZONE);
}

static void common_write(size_t offset, uint32_t value, int size)
{
    const uint64_t at = pci_dev->common_cfg_offset + offset;

    if (size == 1) {
        qpci_io_writeb(pci_dev->pdev, pci_dev->bar, at, value);
    } else if (size == 2) {
        qpci_io_writew(pci_dev->pdev, pci_dev->bar, at, value);
    } else {
        qpci_io_writel(pci_dev->pdev, pci_dev->bar, at, value);
    }
}

#define COMMON_WRITE(field, value) \
    common_write(offsetof(struct virtio_pci_common_cfg, field), value, \
                 sizeof_field(struct virtio_pci_common_cfg, field))

static void set_status(uint8_t status)
{
    COMMON_WRITE(device_status, status);
}

static void set_queue(uint16_t queue)
{
    static const uint8_t zeroes[USED_OFFSET + 0x1000];
    const uint64_t ring = RING_ADDR(queue);

    qtest_memwrite(qts, ring, zeroes, sizeof(zeroes));
    COMMON_WRITE(queue_select, queue);
    COMMON_WRITE(queue_size, QUEUE_SIZE);
    COMMON_WRITE(queue_desc_lo, ring);
    COMMON_WRITE(queue_desc_hi, 0);
    COMMON_WRITE(queue_avail_lo, ring + AVAIL_OFFSET);
    COMMON_WRITE(queue_avail_hi, 0);
    COMMON_WRITE(queue_used_lo, ring + USED_OFFSET);
    COMMON_WRITE(queue_used_hi, 0);
    COMMON_WRITE(queue_enable, 1);
}

static void set_features(uint64_t features)
{
    COMMON_WRITE(guest_feature_select, 0);
    COMMON_WRITE(guest_feature, features);
    COMMON_WRITE(guest_feature_select, 1);
    COMMON_WRITE(guest_feature, features >> 32);
}

static void start_driver(bool pzone, bool indirect)
{
    uint64_t features = BIT_ULL(VIRTIO_F_VERSION_1) |
                        BIT_ULL(VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
    uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    if (pzone) {
        features |= BIT_ULL(VIRTIO_MEM_F_PZONE);
    }
    if (indirect) {
        features |= BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC);
    }
    set_status(0);
    set_status(status);
    set_features(features);
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    set_status(status);
    set_queue(0);
    set_queue(1);
    status |= VIRTIO_CONFIG_S_DRIVER_OK;
    set_status(status);
}

static void kick(uint16_t queue)
{
    qpci_io_writew(pci_dev->pdev, pci_dev->bar, pci_dev->notify_cfg_offset +
                   queue * pci_dev->notify_off_multiplier, queue);
    /* With an ioeventfd the device learns of it from the main loop. */
    flush_events(qts);
}

static void set_desc(uint16_t queue, uint16_t index, uint64_t addr,
                     uint32_t len, uint16_t flags, uint16_t next)
{
    const struct vring_desc desc = {
        .addr = cpu_to_le64(addr),
        .len = cpu_to_le32(len),
        .flags = cpu_to_le16(flags),
        .next = cpu_to_le16(next),
    };

    qtest_memwrite(qts, RING_ADDR(queue) + (index % QUEUE_SIZE) * sizeof(desc),
                   &desc, sizeof(desc));
}

/* Make chains available that all start at descriptor @head. */
static void add_avail(uint16_t queue, uint16_t head, uint16_t nr)
{
    const uint64_t avail = RING_ADDR(queue) + AVAIL_OFFSET;
    uint16_t idx = qtest_readw(qts, avail + 2);

    while (nr--) {
        qtest_writew(qts, avail + 4 + 2 * (idx % QUEUE_SIZE), head);
        idx++;
    }
    qtest_writew(qts, avail + 2, idx);
}

/* Send what is in @request, cut into @pieces, @times times with one kick. */
static void send_request(uint16_t queue, size_t resp_len, uint16_t pieces,
                         uint16_t times)
{
    const size_t piece = request.len / MAX(pieces, 1) + 1;
    size_t at = 0;
    uint16_t i = 0;

    qtest_memwrite(qts, REQ_ADDR, request.data, request.len);
    do {
        set_desc(queue, i, REQ_ADDR + at, MIN(piece, request.len - at),
                 VRING_DESC_F_NEXT, i + 1);
        at += piece;
        i++;
    } while (at < request.len);
    set_desc(queue, i, RESP_ADDR, resp_len, VRING_DESC_F_WRITE, 0);
    add_avail(queue, 0, MAX(times, 1));
    kick(queue);
}

static void put(const void *data, size_t len)
{
    len = MIN(len, BUFFER_SIZE - request.len);
    memcpy(request.data + request.len, data, len);
    request.len += len;
}

static void begin(uint16_t type, uint16_t nr, uint32_t generation,
                  uint32_t first, uint32_t reserved)
{
    const struct virtio_pzone_req req = {
        .type = cpu_to_le16(type),
        .nr = cpu_to_le16(nr),
        .generation = cpu_to_le32(generation),
        .first = cpu_to_le32(first),
        .reserved = cpu_to_le32(reserved),
    };

    request.len = 0;
    put(&req, sizeof(req));
}

static void put_extent(uint32_t class_id, uint32_t first, uint32_t nr,
                       uint32_t reserved)
{
    const struct virtio_pzone_extent extent = {
        .class_id = cpu_to_le32(class_id),
        .first_block = cpu_to_le32(first),
        .nr_blocks = cpu_to_le32(nr),
        .reserved = cpu_to_le32(reserved),
    };

    put(&extent, sizeof(extent));
}

static uint32_t generation(void)
{
    struct pz_pool_info info;

    pz_pool_info(vmem->pz->core, &info);
    return info.generation;
}

static uint32_t get_class_id(Input *in)
{
    const uint8_t b = get_byte(in);
    struct pz_class_info class;

    if (b < 0xe0 && !pz_class_get(vmem->pz->core, b % 8, &class)) {
        return class.id;
    }
    return b < 0xf0 ? 0 : get_number(in);
}

typedef uint32_t (*ExtentList)(const struct pz_pool *pool, uint32_t from,
                               struct pz_extent *ret, uint32_t max);

/* An extent of a layout, whole or less of it; or any numbers. */
static void put_any_extent(Input *in)
{
    const uint8_t how = get_byte(in);
    const ExtentList list = how & 1 ? pz_pool_actual : pz_pool_wanted;
    const uint32_t nr = list(vmem->pz->core, 0, NULL, 0);
    struct pz_extent ext = {};
    uint32_t cut;

    if (how & 0x80 || !nr) {
        ext.class_id = get_class_id(in);
        ext.first = get_number(in);
        ext.nr = get_number(in);
    } else {
        list(vmem->pz->core, get_byte(in) % nr, &ext, 1);
    }
    if (how & 2) {
        cut = get_byte(in) % MAX(ext.nr, 1);
        ext.first += cut;
        ext.nr -= cut;
    }
    if (how & 4) {
        ext.nr -= get_byte(in) % MAX(ext.nr, 1);
    }
    if (how & 8) {
        ext.class_id = get_class_id(in);
    }
    put_extent(ext.class_id, ext.first, ext.nr, how & 0x10 ? get_byte(in) : 0);
}

static void put_report(Input *in)
{
    struct virtio_pzone_report report;

    memset(&report, get_byte(in), sizeof(report));
    report.class_id = cpu_to_le32(get_class_id(in));
    report.state = cpu_to_le32(get_number(in));
    report.reserved = 0;
    put(&report, sizeof(report));
}

static void put_event(Input *in)
{
    const uint32_t class_id = get_class_id(in);
    const uint32_t kind = get_number(in);

    put_extent(class_id, kind, get_number(in), 0);
}

/* A request on queue 1 that is sound but for what its flags say. */
static void step_request(Input *in)
{
    const uint16_t type = get_byte(in) % 8;
    const uint8_t flags = get_byte(in);
    uint16_t nr = type < VIRTIO_PZONE_REQ_PLUG ? 0 : get_byte(in) % 8;
    size_t resp_len = BUFFER_SIZE;
    uint16_t pieces = 1;
    uint16_t i;

    begin(type, flags & 1 ? get_byte(in) : nr,
          flags & 2 ? get_number(in) : generation(),
          flags & 4 ? get_number(in) : 0,
          flags & 8 ? get_byte(in) : 0);
    for (i = 0; i < nr; i++) {
        if (type == VIRTIO_PZONE_REQ_REPORT) {
            put_report(in);
        } else if (type == VIRTIO_PZONE_REQ_EVENT) {
            put_event(in);
        } else {
            put_any_extent(in);
        }
    }
    if (flags & 0x10) {
        request.len -= get_byte(in) % (request.len + 1);
    }
    if (flags & 0x20) {
        request.len += get_byte(in);
    }
    if (flags & 0x40) {
        resp_len = get_u16(in);
    }
    if (flags & 0x80) {
        pieces = get_byte(in) % (QUEUE_SIZE - 1);
    }
    send_request(1, resp_len, pieces, 1);
}

/* Many entries, up to and beyond the most that there may be. */
static void step_long_request(Input *in)
{
    const uint16_t type = get_byte(in) % 7;
    const uint16_t nr = get_u16(in) % 300;
    const uint8_t first = get_byte(in);
    uint16_t i;

    begin(type, nr, generation(), 0, 0);
    for (i = 0; i < nr; i++) {
        if (type == VIRTIO_PZONE_REQ_REPORT) {
            put_report(in);
        } else {
            put_extent(get_class_id(in), first + i, 1, 0);
        }
    }
    send_request(1, BUFFER_SIZE, 1, 1);
}

/* Any bytes on either queue, once or again and again. */
static void step_bytes(Input *in)
{
    const uint8_t how = get_byte(in);
    const size_t resp_len = get_u16(in);
    size_t given;

    request.len = get_u16(in) % BUFFER_SIZE;
    given = MIN(request.len, in->end - in->at);
    given = MIN(given, 64);
    memset(request.data, how, request.len);
    memcpy(request.data, in->at, given);
    in->at += given;
    send_request(how & 1, resp_len, (how >> 1) % (QUEUE_SIZE - 1), how >> 4);
}

/* A request of virtio-mem itself, on queue 0. */
static void step_mem_request(Input *in)
{
    const uint16_t type = get_byte(in) % 5;
    const uint8_t block = get_byte(in);
    const uint8_t nr = get_byte(in);
    struct virtio_mem_req req = {
        .type = cpu_to_le16(type),
    };

    /* The three types with a range have it in the same place. */
    req.u.plug.addr = cpu_to_le64(POOL_ADDR + block * BLOCK_SIZE);
    req.u.plug.nb_blocks = cpu_to_le16(nr);
    request.len = 0;
    put(&req, sizeof(req));
    send_request(0, BUFFER_SIZE, 1, 1);
}

static uint64_t get_addr(Input *in)
{
    static const uint64_t places[] = {
        REQ_ADDR, RESP_ADDR, RING_ADDR(0), RING_ADDR(1), POOL_ADDR,
        POOL_ADDR + (NR_BLOCKS - 1) * BLOCK_SIZE, 0xe0000000, UINT64_MAX - 64,
    };
    const uint8_t b = get_byte(in);

    return places[b % ARRAY_SIZE(places)] + (b / ARRAY_SIZE(places)) * 16;
}

/* Descriptors that make no sense: loops, tables in tables, far addresses. */
static void step_rings(Input *in)
{
    const uint16_t queue = get_byte(in) & 1;
    uint8_t nr = get_byte(in) % QUEUE_SIZE;
    uint16_t index;
    uint64_t addr;
    uint32_t len;
    uint8_t b;

    while (nr--) {
        index = get_byte(in);
        addr = get_addr(in);
        len = get_number(in);
        b = get_byte(in);
        set_desc(queue, index, addr, len * (b & 0x80 ? 1 : 16), b & 7, b >> 3);
    }
    b = get_byte(in);
    add_avail(queue, b & 0x1f, b >> 5);
    kick(queue);
}

/* Any byte in the rings or in the buffers. */
static void step_poke(Input *in)
{
    const uint8_t where = get_byte(in);
    const uint16_t offset = get_u16(in);
    const uint64_t base = where & 2 ? (where & 1 ? REQ_ADDR : RESP_ADDR)
                                    : RING_ADDR(where & 1);

    qtest_writew(qts, base + offset % 0x3000, get_u16(in));
    kick(where & 1);
}

/* Until the device is through with a request that takes its time. */
static void wait_for_request(void)
{
    int i;

    for (i = 0; i < 100 && vmem->pz->elem && runstate_is_running(); i++) {
        main_loop_wait(false);
    }
}

/* What a good driver does, except for the extents that the mask names. */
static void step_converge(Input *in)
{
    const uint8_t skip = get_byte(in);
    const struct pz_pool *pool = vmem->pz->core;
    struct pz_extent ext;
    uint32_t i;

    if (!(skip & 1)) {
        begin(VIRTIO_PZONE_REQ_UNPLUG, 0, generation(), 0, 0);
        for (i = 0; i < 32 && i < pz_pool_actual(pool, 0, NULL, 0); i++) {
            pz_pool_actual(pool, i, &ext, 1);
            if (ext.class_id && !(skip >> (1 + i % 7) & 1)) {
                put_extent(ext.class_id, ext.first, ext.nr, 0);
            }
        }
        stw_le_p(request.data + offsetof(struct virtio_pzone_req, nr),
                 request.len / sizeof(struct virtio_pzone_extent) - 1);
        send_request(1, BUFFER_SIZE, 1, 1);
    }
    for (i = 0; i < 32 && i < pz_pool_wanted(pool, 0, NULL, 0); i++) {
        /* The memory map comes first, and it is the last in the list. */
        pz_pool_wanted(pool, pz_pool_wanted(pool, 0, NULL, 0) - 1 - i, &ext, 1);
        if (!(skip >> (1 + i % 7) & 1)) {
            begin(VIRTIO_PZONE_REQ_PLUG, 1, generation(), 0, 0);
            put_extent(ext.class_id, ext.first, ext.nr, 0);
            send_request(1, BUFFER_SIZE, 1, 1);
            wait_for_request();
        }
    }
    begin(VIRTIO_PZONE_REQ_REPORT, 0, generation(), 0, 0);
    send_request(1, BUFFER_SIZE, 1, 1);
}

/* Another driver takes over, or one that leaves out a step. */
static void step_driver(Input *in)
{
    const uint8_t how = get_byte(in);

    if (how & 0x80) {
        set_status(how & 0x40 ? get_byte(in) : how & 0xf);
        return;
    }
    start_driver(how & 1, how & 2);
}

/* Any value anywhere in the transport's registers, or in config space. */
static void step_transport(Input *in)
{
    const uint8_t offset = get_byte(in);
    const uint16_t value = get_u16(in);

    if (offset < sizeof(struct virtio_pci_common_cfg)) {
        common_write(offset, value, 2);
    } else {
        qpci_io_readl(pci_dev->pdev, pci_dev->bar,
                      pci_dev->device_cfg_offset + offset);
        qpci_io_writew(pci_dev->pdev, pci_dev->bar,
                       pci_dev->device_cfg_offset + offset, value);
    }
}

/*
 * The host's side
 */

/* Whether the command was carried out; takes over @arguments. */
static bool qmp_run(const char *command, QDict *arguments)
{
    QDict *req = qdict_new();
    QDict *rsp;
    bool ok;

    qdict_put_str(req, "execute", command);
    qdict_put(req, "arguments", arguments);
    rsp = qmp_dispatch(&qmp_commands, QOBJECT(req), false, NULL);
    ok = rsp && qdict_haskey(rsp, "return");
    qobject_unref(rsp);
    qobject_unref(req);
    return ok;
}

static QDict *class_arguments(const char *name)
{
    QDict *args = qdict_new();

    qdict_put_str(args, "pool", "p0");
    qdict_put_str(args, "name", name);
    return args;
}

/* Blocks as bytes; with the highest numbers not a multiple, or too many. */
static void put_size(QDict *args, const char *key, Input *in)
{
    const uint32_t nr = get_number(in);

    qdict_put_int(args, key, nr < NR_BLOCKS * 2 ? nr * BLOCK_SIZE : nr);
}

static void put_size_if(bool given, QDict *args, const char *key, Input *in)
{
    if (given) {
        put_size(args, key, in);
    }
}

static const char *get_name(Input *in)
{
    static const char *const names[] = {
        "a", "b", "c", "d", "e", "f", "shared", "memmap", "no/name",
    };

    return names[get_byte(in) % ARRAY_SIZE(names)];
}

static void step_create(Input *in)
{
    QDict *args = class_arguments(get_name(in));
    const uint8_t how = get_byte(in);

    put_size(args, "size", in);
    put_size_if(how & 1, args, "guarantee", in);
    put_size_if(how & 2, args, "limit", in);
    if (how & 4) {
        qdict_put_int(args, "align", BLOCK_SIZE << get_byte(in) % 8);
    }
    qmp_run("pzone-create", args);
}

static void step_set(Input *in)
{
    QDict *args = class_arguments(get_name(in));
    const uint8_t how = get_byte(in);

    put_size_if(how & 1, args, "size", in);
    put_size_if(how & 2, args, "guarantee", in);
    put_size_if(how & 4, args, "limit", in);
    if (how & 8) {
        qdict_put_str(args, "cookie", "cookie");
    }
    qmp_run("pzone-set", args);
}

static void step_resize(Input *in)
{
    QDict *args = class_arguments(get_name(in));

    put_size(args, "size", in);
    qmp_run("pzone-resize", args);
}

static void step_reclaim(Input *in)
{
    QDict *args = class_arguments(get_name(in));

    put_size(args, "size", in);
    qmp_run("pzone-reclaim", args);
}

static void step_destroy(Input *in)
{
    qmp_run("pzone-destroy", class_arguments(get_name(in)));
}

static bool set_requested(uint64_t size)
{
    QDict *args = qdict_new();

    qdict_put_str(args, "path", "/machine/peripheral/p0");
    qdict_put_str(args, "property", "requested-size");
    qdict_put_int(args, "value", size);
    return qmp_run("qom-set", args);
}

static void step_requested(Input *in)
{
    set_requested(get_number(in) * BLOCK_SIZE);
}

static void step_query(Input *in)
{
    QDict *args = qdict_new();

    wait_for_request();
    g_assert(qmp_run("query-pzone", qdict_new()));
    qdict_put_str(args, "command-line", "info pzone");
    g_assert(qmp_run("human-monitor-command", args));
}

static void step_stop_or_go_on(Input *in)
{
    if (runstate_is_running()) {
        vm_stop(RUN_STATE_PAUSED);
    } else {
        vm_start();
    }
}

/* The reset takes the addresses of the BARs away. */
static void find_device(void)
{
    QPCIBus *bus = qpci_new_pc(qts, NULL);

    if (pci_dev) {
        g_free(pci_dev->pdev);
        g_free(pci_dev);
    }
    pci_dev = virtio_pci_new(bus, &(QPCIAddress) {
        .devfn = QPCI_DEVFN(SLOT, 0),
    });
    g_assert(pci_dev);
    qvirtio_pci_device_enable(pci_dev);
}

static void step_system_reset(Input *in)
{
    fuzz_reset(qts);
    g_assert(!vmem->size);
    find_device();
    start_driver(!(get_byte(in) & 1), false);
}

/*
 * What has to be true
 */

/* Owner of each block, UINT32_MAX for none; returns how many have one. */
static uint32_t mark_extents(ExtentList list, uint32_t *owner)
{
    const uint32_t nr = list(vmem->pz->core, 0, NULL, 0);
    struct pz_extent ext;
    uint32_t i, b, sum = 0;

    memset(owner, 0xff, NR_BLOCKS * sizeof(*owner));
    for (i = 0; i < nr; i++) {
        list(vmem->pz->core, i, &ext, 1);
        for (b = ext.first; b < ext.first + ext.nr; b++) {
            g_assert(b < NR_BLOCKS && owner[b] == UINT32_MAX);
            owner[b] = ext.class_id;
        }
        sum += ext.nr;
    }
    return sum;
}

static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *section)
{
    const uint32_t first = section->offset_within_region / BLOCK_SIZE;
    const uint32_t end = first + int128_get64(section->size) / BLOCK_SIZE;
    uint8_t *ram = memory_region_get_ram_ptr(section->mr);
    uint32_t wanted[NR_BLOCKS];
    uint32_t i;

    mark_extents(pz_pool_wanted, wanted);
    for (i = first; i < end; i++) {
        g_assert(!populated[i]);
        g_assert(wanted[i] != UINT32_MAX || !pzone_negotiated());
        populated[i] = true;
        memset(ram + i * BLOCK_SIZE, 0xa5, 64);
    }
    return 0;
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *section)
{
    const uint32_t first = section->offset_within_region / BLOCK_SIZE;
    const uint32_t end = first + int128_get64(section->size) / BLOCK_SIZE;
    uint32_t i;

    for (i = first; i < end; i++) {
        populated[i] = false;
    }
}

static bool is_zero(const uint8_t *ram, uint32_t block)
{
    return buffer_is_zero(ram + block * BLOCK_SIZE, 64);
}

static void check(uint64_t old_size)
{
    const uint8_t *ram = memory_region_get_ram_ptr(&vmem->memdev->mr);
    uint32_t wanted[NR_BLOCKS], actual[NR_BLOCKS];
    uint32_t b, nr_wanted;

    pz_pool_check(vmem->pz->core);
    nr_wanted = mark_extents(pz_pool_wanted, wanted);
    mark_extents(pz_pool_actual, actual);
    g_assert(nr_wanted * BLOCK_SIZE <= vmem->requested_size);

    for (b = 0; b < NR_BLOCKS; b++) {
        const bool plugged = test_bit(b, vmem->bitmap);

        g_assert(plugged == populated[b]);
        g_assert(plugged != is_zero(ram, b));
        if (actual[b] != UINT32_MAX) {
            g_assert(plugged);
            g_assert(wanted[b] == UINT32_MAX || wanted[b] == actual[b]);
        } else {
            g_assert(!plugged || unowned);
        }
    }
    g_assert(vmem->size == BLOCK_SIZE *
             bitmap_count_one(vmem->bitmap, NR_BLOCKS));
    g_assert(vmem->size <= old_size || vmem->size <= vmem->requested_size);
}

/*
 * The target
 */

static void start_over(void)
{
    struct virtio_mem_req req = {
        .type = cpu_to_le16(VIRTIO_MEM_REQ_UNPLUG_ALL),
    };
    struct pz_class_info class;
    uint32_t i;

    if (!runstate_is_running()) {
        vm_start();
    }
    for (i = 0; !pz_class_get(vmem->pz->core, i, &class); i++) {
        /* A class without memory is gone at once: look at this place again. */
        qmp_run("pzone-destroy", class_arguments(class.name));
        if (pz_class_find(vmem->pz->core, class.name, &class)) {
            i--;
        }
    }
    start_driver(true, false);
    request.len = 0;
    put(&req, sizeof(req));
    send_request(0, BUFFER_SIZE, 1, 1);
    unowned = false;
    g_assert(!vmem->size && pz_class_get(vmem->pz->core, 0, &class));

    g_assert(set_requested(REQUESTED * BLOCK_SIZE));
    for (i = 0; i < 2; i++) {
        QDict *args = class_arguments(i ? "b" : "a");

        qdict_put_int(args, "size", 16 * BLOCK_SIZE);
        qdict_put_int(args, "guarantee", 0);
        qdict_put_int(args, "limit", 64 * BLOCK_SIZE);
        g_assert(qmp_run("pzone-create", args));
    }
}

static void (*const steps[])(Input *in) = {
    step_request,
    step_long_request,
    step_bytes,
    step_mem_request,
    step_rings,
    step_poke,
    step_converge,
    step_driver,
    step_transport,
    step_create,
    step_set,
    step_resize,
    step_reclaim,
    step_destroy,
    step_requested,
    step_query,
    step_stop_or_go_on,
    step_system_reset,
};

static void pzone_fuzz(QTestState *s, const unsigned char *data, size_t size)
{
    Input in = { .at = data, .end = data + size };
    uint64_t old_size;
    int i;

    start_over();
    for (i = 0; i < MAX_STEPS && in.at < in.end; i++) {
        old_size = vmem->size;
        steps[get_byte(&in) % ARRAY_SIZE(steps)](&in);
        flush_events(s);
        unowned = vmem->size && (unowned || !pzone_negotiated());
        check(old_size);
    }
}

static void pzone_pre_fuzz(QTestState *s)
{
    MemoryRegionSection section;

    qts = s;
    vmem = QLIST_FIRST(&virtio_mem_pzone_pools)->vmem;
    section = (MemoryRegionSection) {
        .mr = &vmem->memdev->mr,
        .size = int128_make64(NR_BLOCKS * BLOCK_SIZE),
    };
    ram_discard_listener_init(&listener, on_populate, on_discard, true);
    ram_discard_manager_register_listener(
        memory_region_get_ram_discard_manager(section.mr), &listener, &section);
    find_device();
}

static GString *pzone_cmdline(FuzzTarget *t)
{
    GString *line = g_string_new(TARGET_NAME);

    g_string_append_printf(line, " -display none -nodefaults"
        " -machine pc,accel=qtest -m 64M,maxmem=8G,slots=1"
        " -object memory-backend-ram,id=m0,size=%" PRIu64 ",reserve=off"
        " -device virtio-mem-pci,id=p0,memdev=m0,pzone=on,memaddr=0x%" PRIx64
        ",block-size=%" PRIu64 ",requested-size=%" PRIu64 ",addr=%d%s",
        NR_BLOCKS * BLOCK_SIZE, POOL_ADDR, BLOCK_SIZE, REQUESTED * BLOCK_SIZE,
        SLOT, (const char *)t->opaque);
    return line;
}

static void add_target(const char *name, const char *properties)
{
    fuzz_add_target(&(FuzzTarget) {
        .name = name,
        .description = "Fuzz the queues of a virtio-mem device with memory"
                       " classes, and the QMP commands that change them",
        .get_init_cmdline = pzone_cmdline,
        .pre_fuzz = pzone_pre_fuzz,
        .fuzz = pzone_fuzz,
        .opaque = (void *)properties,
    });
}

static void register_pzone_fuzz_targets(void)
{
    add_target("virtio-mem-pzone", "");
    add_target("virtio-mem-pzone-prealloc", ",prealloc=on");
}

fuzz_target_init(register_pzone_fuzz_targets);
