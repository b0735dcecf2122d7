// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: /sys/kernel/mm/pzone/. One value per file, bytes, decimal.
 * Documented in Documentation/ABI/testing/sysfs-kernel-mm-pzone.
 */
#include <linux/ctype.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>

#include "internal.h"

static struct kobject *pzone_kobj, *class_dir, *pool_dir;

/*
 * A directory and what it shows. The object outlives the directory's readers:
 * sysfs waits for them when the directory goes.
 */
struct pzone_dir {
	struct kobject kobj;
	void *object;
};

struct pzone_attr {
	struct attribute attr;
	ssize_t (*show)(void *object, char *buf);
	/* Only in files that can be written. */
	ssize_t (*store)(void *object, const char *buf, size_t count);
};

static ssize_t dir_show(struct kobject *kobj, struct attribute *attr, char *buf)
{
	const struct pzone_dir *dir = container_of(kobj, struct pzone_dir, kobj);

	return container_of(attr, struct pzone_attr, attr)->show(dir->object, buf);
}

static ssize_t dir_store(struct kobject *kobj, struct attribute *attr, const char *buf,
			 size_t count)
{
	const struct pzone_dir *dir = container_of(kobj, struct pzone_dir, kobj);

	return container_of(attr, struct pzone_attr, attr)->store(dir->object, buf, count);
}

static void dir_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct pzone_dir, kobj));
}

static const struct sysfs_ops dir_ops = { .show = dir_show, .store = dir_store };

#define CLASS_ATTR(_name, _fmt, _value)						\
static ssize_t class_##_name##_show(void *object, char *buf)			\
{										\
	struct pzone_class *class = object;					\
										\
	return sysfs_emit(buf, _fmt "\n", _value);				\
}										\
static struct pzone_attr class_##_name##_attr = {				\
	.attr = { .name = #_name, .mode = 0444 }, .show = class_##_name##_show }

static u64 class_size(struct pzone_class *class)
{
	return pzone_bytes(class->pool, READ_ONCE(class->given_blocks));
}

static u64 class_counter(struct pzone_class *class, size_t offset)
{
	struct pzone_class_report report;

	pzone_class_report(class, &report);
	return *(u64 *)((char *)&report + offset);
}

static const char *class_state(struct pzone_class *class)
{
	if (class->dying)
		return "destroying";
	if (!class->node)
		return "no-node";
	if (READ_ONCE(class->given_blocks) == READ_ONCE(class->wanted_blocks))
		return "settled";
	if (READ_ONCE(class->state) == VIRTIO_PZONE_STATE_PARTIAL)
		return "partial";
	return "converging";
}

#define COUNTER(_field)	class_counter(class, offsetof(struct pzone_class_report, _field))

CLASS_ATTR(id, "%u", class->id);
CLASS_ATTR(node, "%d", class->node ? class->node->nid : NUMA_NO_NODE);
CLASS_ATTR(pool, "%s", class->pool->name);
CLASS_ATTR(state, "%s", class_state(class));
CLASS_ATTR(size, "%llu", class_size(class));
CLASS_ATTR(wanted, "%llu", pzone_bytes(class->pool, READ_ONCE(class->wanted_blocks)));
CLASS_ATTR(guarantee, "%llu", pzone_bytes(class->pool, READ_ONCE(class->guarantee_blocks)));
CLASS_ATTR(limit, "%llu", pzone_bytes(class->pool, READ_ONCE(class->limit_blocks)));
CLASS_ATTR(free, "%llu", pzone_class_free_bytes(class));
CLASS_ATTR(anon, "%llu", COUNTER(anon_bytes));
CLASS_ATTR(file, "%llu", COUNTER(file_bytes));
CLASS_ATTR(refault, "%llu", COUNTER(refault_pages));
CLASS_ATTR(stall_us, "%llu", COUNTER(pressure_us));
CLASS_ATTR(stuck, "%llu", pzone_bytes(class->pool, READ_ONCE(class->stuck_blocks)));
CLASS_ATTR(pinned, "%llu", COUNTER(pinned_bytes));

static ssize_t class_reclaim_show(void *object, char *buf)
{
	const struct pzone_class *class = object;

	return sysfs_emit(buf, "%llu\n", READ_ONCE(class->user_reclaimed_bytes));
}

/* As memory.reclaim of a memory cgroup: EAGAIN when it got less than was asked for. */
static ssize_t class_reclaim_store(void *object, const char *buf, size_t count)
{
	struct pzone_class *class = object;
	u64 bytes, got;
	char *end;

	bytes = memparse(buf, &end);
	/* To memparse() a lone "M" is 0. */
	if (!isdigit(*buf) || *skip_spaces(end))
		return -EINVAL;
	got = class->node ? pzone_reclaim(class->node, bytes, NULL) : 0;
	WRITE_ONCE(class->user_reclaimed_bytes, got);
	if (got >= bytes)
		return count;
	return signal_pending(current) ? -EINTR : -EAGAIN;
}

static struct pzone_attr class_reclaim_attr = {
	.attr = { .name = "reclaim", .mode = 0644 },
	.show = class_reclaim_show, .store = class_reclaim_store };

static ssize_t class_move_memory_show(void *object, char *buf)
{
	const struct pzone_class *class = object;

	return sysfs_emit(buf, "%d\n", class->node && READ_ONCE(class->node->move_memory));
}

static ssize_t class_move_memory_store(void *object, const char *buf, size_t count)
{
	struct pzone_class *class = object;
	bool move;
	int rc = kstrtobool(buf, &move);

	if (rc)
		return rc;
	if (!class->node)
		return -ENODEV;
	WRITE_ONCE(class->node->move_memory, move);
	return count;
}

static struct pzone_attr class_move_memory_attr = {
	.attr = { .name = "move_memory", .mode = 0644 },
	.show = class_move_memory_show, .store = class_move_memory_store };

static ssize_t class_used_show(void *object, char *buf)
{
	struct pzone_class *class = object;
	u64 size = class_size(class), free = pzone_class_free_bytes(class);

	return sysfs_emit(buf, "%llu\n", size > free ? size - free : 0);
}

static struct pzone_attr class_used_attr = {
	.attr = { .name = "used", .mode = 0444 }, .show = class_used_show };

/* One line per extent: guest-physical address and size. As many as fit, all whole. */
static ssize_t class_extents_show(void *object, char *buf)
{
	struct pzone_class *class = object;
	struct pzone_pool *pool = class->pool;
	ssize_t len = 0;
	u32 i = 0, first;

	while (i < pool->nr_blocks &&
	       len < PAGE_SIZE - sizeof("0x0123456789abcdef 18446744073709551615\n")) {
		for (first = i; i < pool->nr_blocks &&
		     READ_ONCE(pool->state[i]) == PZONE_BLOCK_GIVEN &&
		     READ_ONCE(pool->owner[i]) == class->id; i++)
			;
		if (i > first)
			len += sysfs_emit_at(buf, len, "0x%llx %llu\n",
					     pool->addr + pzone_bytes(pool, first),
					     pzone_bytes(pool, i - first));
		else
			i++;
	}
	return len;
}

static struct pzone_attr class_extents_attr = {
	.attr = { .name = "extents", .mode = 0444 }, .show = class_extents_show };

/* Poisoned memory among the class's; in use by nobody, and of no use. */
static u64 class_poisoned(struct pzone_class *class)
{
	struct pzone_pool *pool = class->pool;
	const u64 end = pool->addr + pool->size;
	u64 addr = pool->addr, bytes = 0;

	while ((addr = pzone_next_poisoned(pool, addr, class)) < end) {
		bytes += PAGE_SIZE;
		addr += PAGE_SIZE;
	}
	return bytes;
}

CLASS_ATTR(poisoned, "%llu", class_poisoned(class));

static ssize_t class_events_show(void *object, char *buf)
{
	struct pzone_class *class = object;

	return sysfs_emit(buf, "oom %llu\noom_kill %llu\n",
			  COUNTER(oom_events), COUNTER(oom_kills));
}

static struct pzone_attr class_events_attr = {
	.attr = { .name = "events", .mode = 0444 }, .show = class_events_show };

static struct attribute *class_attrs[] = {
	&class_id_attr.attr, &class_node_attr.attr, &class_pool_attr.attr,
	&class_state_attr.attr, &class_size_attr.attr, &class_wanted_attr.attr,
	&class_guarantee_attr.attr, &class_limit_attr.attr, &class_free_attr.attr,
	&class_used_attr.attr, &class_anon_attr.attr, &class_file_attr.attr,
	&class_extents_attr.attr, &class_events_attr.attr, &class_refault_attr.attr,
	&class_stall_us_attr.attr, &class_stuck_attr.attr, &class_pinned_attr.attr,
	&class_reclaim_attr.attr, &class_move_memory_attr.attr,
	&class_poisoned_attr.attr, NULL
};
ATTRIBUTE_GROUPS(class);

static const struct kobj_type class_ktype = {
	.release = dir_release, .sysfs_ops = &dir_ops, .default_groups = class_groups };

#define POOL_ATTR(_name, _fmt, _value)						\
static ssize_t pool_##_name##_show(void *object, char *buf)			\
{										\
	struct pzone_pool *pool = object;					\
										\
	return sysfs_emit(buf, _fmt "\n", _value);				\
}										\
static struct pzone_attr pool_##_name##_attr = {				\
	.attr = { .name = #_name, .mode = 0444 }, .show = pool_##_name##_show }

POOL_ATTR(addr, "0x%llx", pool->addr);
POOL_ATTR(size, "%llu", pool->size);
POOL_ATTR(block_size, "%llu", pool->block_size);
POOL_ATTR(memmap, "%llu", pzone_bytes(pool, READ_ONCE(pool->memmap_blocks)));
POOL_ATTR(plugged, "%llu", pzone_bytes(pool, READ_ONCE(pool->plugged_blocks)));
POOL_ATTR(node, "%d", pool->nid);
POOL_ATTR(generation, "%u", READ_ONCE(pool->generation));

/* One line per page: its guest-physical address. As many as fit. */
static ssize_t pool_poisoned_show(void *object, char *buf)
{
	struct pzone_pool *pool = object;
	const u64 end = pool->addr + pool->size;
	u64 addr = pool->addr;
	ssize_t len = 0;

	/* Half an address would be another one. */
	while (len < PAGE_SIZE - sizeof("0x0123456789abcdef\n") &&
	       (addr = pzone_next_poisoned(pool, addr, NULL)) < end) {
		len += sysfs_emit_at(buf, len, "0x%llx\n", addr);
		addr += PAGE_SIZE;
	}
	return len;
}

static struct pzone_attr pool_poisoned_attr = {
	.attr = { .name = "poisoned", .mode = 0444 }, .show = pool_poisoned_show };

static struct attribute *pool_attrs[] = {
	&pool_addr_attr.attr, &pool_size_attr.attr, &pool_block_size_attr.attr,
	&pool_memmap_attr.attr, &pool_plugged_attr.attr, &pool_node_attr.attr,
	&pool_generation_attr.attr, &pool_poisoned_attr.attr, NULL
};
ATTRIBUTE_GROUPS(pool);

static const struct kobj_type pool_ktype = {
	.release = dir_release, .sysfs_ops = &dir_ops, .default_groups = pool_groups };

static struct kobject *add_dir(const struct kobj_type *type, struct kobject *parent,
			       const char *name, void *object)
{
	struct pzone_dir *dir;

	if (!parent)
		return NULL;
	dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	if (!dir)
		return NULL;
	dir->object = object;
	if (kobject_init_and_add(&dir->kobj, type, parent, "%s", name)) {
		kobject_put(&dir->kobj);
		return NULL;
	}
	return &dir->kobj;
}

static void del_dir(struct kobject *kobj)
{
	if (!kobj)
		return;
	kobject_del(kobj);
	kobject_put(kobj);
}

int pzone_sysfs_add_pool(struct pzone_pool *pool)
{
	pool->kobj = add_dir(&pool_ktype, pool_dir, pool->name, pool);
	return pool->kobj ? 0 : -ENOMEM;
}

void pzone_sysfs_del_pool(struct pzone_pool *pool)
{
	del_dir(pool->kobj);
}

int pzone_sysfs_add_class(struct pzone_class *class)
{
	class->kobj = add_dir(&class_ktype, class_dir, class->name, class);
	return class->kobj ? 0 : -ENOMEM;
}

void pzone_sysfs_del_class(struct pzone_class *class)
{
	del_dir(class->kobj);
}

static ssize_t oom_wait_ms_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(pzone_oom_wait_ms));
}

static ssize_t oom_wait_ms_store(struct kobject *kobj, struct kobj_attribute *attr,
				 const char *buf, size_t count)
{
	unsigned int ms;
	int rc = kstrtouint(buf, 0, &ms);

	if (rc)
		return rc;
	if (ms > 60000)
		return -ERANGE;
	WRITE_ONCE(pzone_oom_wait_ms, ms);
	return count;
}

static struct kobj_attribute oom_wait_ms_attr = __ATTR_RW(oom_wait_ms);

static ssize_t move_memory_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(pzone_move_memory));
}

static ssize_t move_memory_store(struct kobject *kobj, struct kobj_attribute *attr,
				 const char *buf, size_t count)
{
	bool move;
	int rc = kstrtobool(buf, &move);

	if (rc)
		return rc;
	WRITE_ONCE(pzone_move_memory, move);
	return count;
}

static struct kobj_attribute move_memory_attr = __ATTR_RW(move_memory);

static const struct attribute *pzone_attrs[] = {
	&oom_wait_ms_attr.attr, &move_memory_attr.attr, NULL
};

static int __init pzone_sysfs_init(void)
{
	if (!pzone_available())
		return 0;
	pzone_kobj = kobject_create_and_add("pzone", mm_kobj);
	if (!pzone_kobj)
		return -ENOMEM;
	class_dir = kobject_create_and_add("class", pzone_kobj);
	pool_dir = kobject_create_and_add("pool", pzone_kobj);
	if (!class_dir || !pool_dir)
		return -ENOMEM;
	return sysfs_create_files(pzone_kobj, pzone_attrs);
}
fs_initcall(pzone_sysfs_init);

#include "tests/sysfs-kunit.h"
