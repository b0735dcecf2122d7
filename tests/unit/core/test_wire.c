// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_wire.c: the wire format has the sizes and places that guests were built
 * with. The figures are written out on purpose: a change here breaks guests.
 */
#include <stddef.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "virtio_pzone.h"

static void sizes(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct virtio_mem_pzone_config), 48);
	assert_int_equal(sizeof(struct virtio_pzone_req), 16);
	assert_int_equal(sizeof(struct virtio_pzone_resp), 16);
	assert_int_equal(sizeof(struct virtio_pzone_class), 64);
	assert_int_equal(sizeof(struct virtio_pzone_extent), 16);
	assert_int_equal(sizeof(struct virtio_pzone_report), 96);
	assert_int_equal(sizeof(struct virtio_pzone_event), 16);
}

#define AT(type, member, place) \
	assert_int_equal(offsetof(struct virtio_ ## type, member), place)

static void places(void **state)
{
	(void)state;
	AT(mem_pzone_config, generation, 0);
	AT(mem_pzone_config, max_classes, 4);
	AT(mem_pzone_config, max_entries, 8);
	AT(mem_pzone_config, reserved, 12);
	AT(mem_pzone_config, pool, 16);

	AT(pzone_req, type, 0);
	AT(pzone_req, nr, 2);
	AT(pzone_req, generation, 4);
	AT(pzone_req, first, 8);
	AT(pzone_req, reserved, 12);

	AT(pzone_resp, type, 0);
	AT(pzone_resp, nr, 2);
	AT(pzone_resp, generation, 4);
	AT(pzone_resp, total, 8);
	AT(pzone_resp, reserved, 12);

	AT(pzone_class, id, 0);
	AT(pzone_class, flags, 4);
	AT(pzone_class, wanted_blocks, 8);
	AT(pzone_class, guarantee_blocks, 12);
	AT(pzone_class, limit_blocks, 16);
	AT(pzone_class, reclaim_seq, 20);
	AT(pzone_class, reclaim_bytes, 24);
	AT(pzone_class, name, 32);

	AT(pzone_extent, class_id, 0);
	AT(pzone_extent, first_block, 4);
	AT(pzone_extent, nr_blocks, 8);
	AT(pzone_extent, reserved, 12);

	AT(pzone_report, class_id, 0);
	AT(pzone_report, state, 4);
	AT(pzone_report, nr_cgroups, 8);
	AT(pzone_report, stuck_blocks, 12);
	AT(pzone_report, reclaim_done_seq, 16);
	AT(pzone_report, reserved, 20);
	AT(pzone_report, reclaimed_bytes, 24);
	AT(pzone_report, free_bytes, 32);
	AT(pzone_report, anon_bytes, 40);
	AT(pzone_report, file_bytes, 48);
	AT(pzone_report, pinned_bytes, 56);
	AT(pzone_report, refault_pages, 64);
	AT(pzone_report, pressure_us, 72);
	AT(pzone_report, oom_events, 80);
	AT(pzone_report, oom_kills, 88);

	AT(pzone_event, class_id, 0);
	AT(pzone_event, kind, 4);
	AT(pzone_event, wanted_blocks, 8);
	AT(pzone_event, reserved, 12);
}

static void numbers(void **state)
{
	(void)state;
	assert_int_equal(VIRTIO_MEM_F_PZONE, 20);
	assert_int_equal(VIRTIO_PZONE_NAME_MAX, 31);
	assert_int_equal(VIRTIO_PZONE_MAX_ENTRIES, 256);
	assert_int_equal(VIRTIO_PZONE_REQ_CLASSES, 0);
	assert_int_equal(VIRTIO_PZONE_REQ_LAYOUT, 1);
	assert_int_equal(VIRTIO_PZONE_REQ_STATE, 2);
	assert_int_equal(VIRTIO_PZONE_REQ_PLUG, 3);
	assert_int_equal(VIRTIO_PZONE_REQ_UNPLUG, 4);
	assert_int_equal(VIRTIO_PZONE_REQ_REPORT, 5);
	assert_int_equal(VIRTIO_PZONE_REQ_EVENT, 6);
	assert_int_equal(VIRTIO_PZONE_RESP_ACK, 0);
	assert_int_equal(VIRTIO_PZONE_RESP_NACK, 1);
	assert_int_equal(VIRTIO_PZONE_RESP_BUSY, 2);
	assert_int_equal(VIRTIO_PZONE_RESP_ERROR, 3);
	assert_int_equal(VIRTIO_PZONE_CLASS_F_DYING, 1);
	assert_int_equal(VIRTIO_PZONE_OK, 0);
	assert_int_equal(VIRTIO_PZONE_NOMEM, 1);
	assert_int_equal(VIRTIO_PZONE_AGAIN, 2);
	assert_int_equal(VIRTIO_PZONE_STATE_SETTLED, 0);
	assert_int_equal(VIRTIO_PZONE_STATE_CONVERGING, 1);
	assert_int_equal(VIRTIO_PZONE_STATE_PARTIAL, 2);
	assert_int_equal(VIRTIO_PZONE_EVENT_PRESSURE, 0);
	assert_int_equal(VIRTIO_PZONE_EVENT_OOM, 1);
	assert_int_equal(VIRTIO_PZONE_CLASS_MEMMAP, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes), cmocka_unit_test(places), cmocka_unit_test(numbers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("wire format", tests, NULL, NULL);
}
