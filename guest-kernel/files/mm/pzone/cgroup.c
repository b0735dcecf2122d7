// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: the cgroup v2 controller that gives tasks their class.
 *
 * Implicit and threaded: its files are in every cgroup without any set-up. A
 * cgroup's setting is a name; a name that no class has yet is kept and binds
 * when the class appears. What the allocator reads is route.zonelist, of the pzone in
 * effect, which is recomputed for the whole tree whenever a setting or the set
 * of classes changes; both are rare.
 *
 * cgroup_name_mutex keeps the settings and pzones constant. It nests outside
 * pzone_mutex and inside cgroup_mutex.
 */
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "internal.h"

static DEFINE_MUTEX(cgroup_name_mutex);
static struct pzone_css *pzone_root;

static struct pzone_css *css_to_pzone(const struct cgroup_subsys_state *css)
{
	return container_of(css, struct pzone_css, css);
}

static int nid_of(const struct pzone_node *node)
{
	return node ? node->nid : NUMA_NO_NODE;
}

/* The pzone in effect for a cgroup. */
static struct pzone_node *css_node(const struct cgroup_subsys_state *css)
{
	return READ_ONCE(css_to_pzone(css)->node);
}

/* The node id in effect for a cgroup. */
int pzone_css_nid(const struct cgroup_subsys_state *css)
{
	return css ? nid_of(css_node(css)) : NUMA_NO_NODE;
}

int pzone_task_nid(struct task_struct *task)
{
	int nid;

	rcu_read_lock();
	nid = pzone_css_nid(task_css(task, pzone_cgrp_id));
	rcu_read_unlock();
	return nid;
}

/*
 * Act for the owner of an address space. Where that is not known (without CONFIG_MEMCG,
 * or in fork) for the running task.
 */
unsigned int __pzone_act_for_owner(struct mm_struct *mm)
{
	int nid = pzone_task_nid(current);
#ifdef CONFIG_MEMCG
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	if (owner && READ_ONCE(owner->mm) == mm)
		nid = pzone_task_nid(owner);
	rcu_read_unlock();
#endif
	return pzone_act(PZONE_ACT_NODE + nid);
}

/* vma_alloc_folio() on behalf of the owner of the address space. */
struct folio *pzone_vma_alloc_folio(gfp_t gfp, int order, struct vm_area_struct *vma,
				    unsigned long addr, bool hugepage)
{
	const unsigned int acting = __pzone_act_for_owner(vma->vm_mm);
	struct folio *folio = vma_alloc_folio_noprof(gfp, order, vma, addr, hugepage);

	pzone_act_end(acting);
	return folio;
}

/* The name set: the nearest one from here up. */
static const char *nearest_name(struct pzone_css *pz)
{
	lockdep_assert_held(&cgroup_name_mutex);
	while (!pz->name[0] && pz->css.parent)
		pz = css_to_pzone(pz->css.parent);
	return pz->name[0] ? pz->name : "none";
}

static int name_to_nid(const char *name)
{
	struct pzone_class *class;
	int nid = NUMA_NO_NODE;

	mutex_lock(&pzone_mutex);
	class = pzone_find_class(name);
	if (class && class->node && READ_ONCE(class->node->live))
		nid = class->node->nid;
	mutex_unlock(&pzone_mutex);
	return nid;
}

/*
 * The node id in effect: that of the nearest setting from here up whose class exists.
 * So a cgroup whose class is destroyed, or not there yet, is in its parent's and does
 * not get out of it. *@ret_name is the class's name, or "none".
 */
static int effective_nid(struct pzone_css *pz, const char **ret_name)
{
	lockdep_assert_held(&cgroup_name_mutex);
	for (;; pz = css_to_pzone(pz->css.parent)) {
		int nid = pz->name[0] ? name_to_nid(pz->name) : NUMA_NO_NODE;

		if (nid != NUMA_NO_NODE) {
			*ret_name = pz->name;
			return nid;
		}
		if (!strcmp(pz->name, "none") || !pz->css.parent)
			break;
	}
	*ret_name = "none";
	return NUMA_NO_NODE;
}

/*
 * A class that goes away is out of effect by this: allocations that are on their way go
 * to it still, before its memory is taken.
 */
static void set_node(struct pzone_css *pz, struct pzone_node *node)
{
	lockdep_assert_held(&cgroup_name_mutex);
	WRITE_ONCE(pz->node, node);
	WRITE_ONCE(pz->route.zonelist, node ? node->zonelist : NULL);
}

/* Make a node id's pzone the one in effect for a cgroup. Its tasks take their memory along. */
static void bind(struct pzone_css *pz, int nid)
{
	const int old = nid_of(pz->node);
	struct css_task_iter it;
	struct task_struct *task;

	if (nid == old)
		return;
	set_node(pz, pzone_node_of(nid));
	css_task_iter_start(&pz->css, CSS_TASK_ITER_PROCS, &it);
	while ((task = css_task_iter_next(&it)))
		pzone_move_task(task, old, nid);
	css_task_iter_end(&it);
	pzone_oom_moved(old);
}

static void bind_subtree(struct pzone_css *top)
{
	struct cgroup_subsys_state *css;
	const char *name;

	lockdep_assert_held(&cgroup_name_mutex);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &top->css) {
		struct pzone_css *pz = css_to_pzone(css);

		if (!css_tryget(css))
			continue;
		rcu_read_unlock();
		bind(pz, effective_nid(pz, &name));
		rcu_read_lock();
		css_put(css);
	}
	rcu_read_unlock();
}

/* The set of classes changed. Call without pzone_mutex. */
void pzone_rebind_cgroups(void)
{
	mutex_lock(&cgroup_name_mutex);
	WRITE_ONCE(pzone_shared_nid, name_to_nid("shared"));
	if (pzone_root)
		bind_subtree(pzone_root);
	mutex_unlock(&cgroup_name_mutex);
}

/* How many cgroups name this class, themselves or by inheritance? */
unsigned int pzone_count_cgroups(const char *name)
{
	struct cgroup_subsys_state *css;
	unsigned int n = 0;

	mutex_lock(&cgroup_name_mutex);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &pzone_root->css)
		n += !strcmp(nearest_name(css_to_pzone(css)), name);
	rcu_read_unlock();
	mutex_unlock(&cgroup_name_mutex);
	return n;
}

static struct cgroup_subsys_state *pzone_css_alloc(struct cgroup_subsys_state *parent)
{
	struct pzone_css *pz = kzalloc(sizeof(*pz), GFP_KERNEL);

	if (!pz)
		return ERR_PTR(-ENOMEM);
	if (!parent)
		pzone_root = pz;
	return &pz->css;
}

static int pzone_css_online(struct cgroup_subsys_state *css)
{
	mutex_lock(&cgroup_name_mutex);
	if (css->parent)
		set_node(css_to_pzone(css), css_node(css->parent));
	mutex_unlock(&cgroup_name_mutex);
	return 0;
}

/*
 * The cgroup that the tasks of a migration come from, and its class before; cgroup_mutex.
 * As in cpuset, all of them come from one cgroup.
 */
static struct cgroup_subsys_state *attach_css;
static int attach_from;

static int pzone_can_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task = cgroup_taskset_first(tset, &css);

	/* If that cgroup's class is being changed, its tasks have heard of it, these included. */
	mutex_lock(&cgroup_name_mutex);
	rcu_read_lock();
	attach_css = task_css(task, pzone_cgrp_id);
	rcu_read_unlock();
	attach_from = pzone_css_nid(attach_css);
	mutex_unlock(&cgroup_name_mutex);
	return 0;
}

static void pzone_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task, *leader;
	int now;

	mutex_lock(&cgroup_name_mutex);
	/* Changed since: these tasks may have heard of it, or not. */
	now = pzone_css_nid(attach_css);
	cgroup_taskset_for_each(task, css, tset) {
		/* A leader that has ended is not among them, any thread stands for it. */
		leader = task->group_leader;
		if (task != leader && !(leader->flags & PF_EXITING))
			continue;
		pzone_move_task(leader, attach_from, pzone_css_nid(css));
		if (now != attach_from)
			pzone_move_task(leader, now, pzone_css_nid(css));
	}
	mutex_unlock(&cgroup_name_mutex);
	pzone_oom_moved(attach_from);
	if (now != attach_from)
		pzone_oom_moved(now);
}

static void pzone_css_free(struct cgroup_subsys_state *css)
{
	kfree(css_to_pzone(css));
}

/* [a-z0-9][a-z0-9_.-]{0,30}; the host's rule, see hv/core of the pzone project. */
static bool valid_name(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= PZONE_NAME_LEN)
		return false;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != len)
		return false;
	return !strchr("_.-", name[0]) && strcmp(name, "shared") && strcmp(name, "memmap");
}

static int class_show(struct seq_file *sf, void *v)
{
	mutex_lock(&cgroup_name_mutex);
	seq_printf(sf, "%s\n", css_to_pzone(seq_css(sf))->name);
	mutex_unlock(&cgroup_name_mutex);
	return 0;
}

/*
 * A container's root could write itself into another tenant's class, so this
 * takes CAP_SYS_RESOURCE in the initial user namespace, of whoever opened the
 * file. "none" (also "" to inherit) is the name of no class.
 */
static ssize_t class_write(struct kernfs_open_file *of, char *buf, size_t nbytes, loff_t off)
{
	struct pzone_css *pz = css_to_pzone(of_css(of));
	char *name = strstrip(buf);

	if (!file_ns_capable(of->file, &init_user_ns, CAP_SYS_RESOURCE))
		return -EPERM;
	if (*name && !valid_name(name))
		return -EINVAL;
	mutex_lock(&cgroup_name_mutex);
	strscpy_pad(pz->name, name, sizeof(pz->name));
	bind_subtree(pz);
	mutex_unlock(&cgroup_name_mutex);
	return nbytes;
}

static int effective_show(struct seq_file *sf, void *v)
{
	struct pzone_css *pz = css_to_pzone(seq_css(sf));

	const char *name;

	mutex_lock(&cgroup_name_mutex);
	effective_nid(pz, &name);
	seq_printf(sf, "%s\n", name);
	mutex_unlock(&cgroup_name_mutex);
	return 0;
}

static u64 current_read(struct cgroup_subsys_state *css, struct cftype *cft)
{
	const struct pzone_node *node = css_node(css);
	u64 size = 0, free = 0;

	mutex_lock(&pzone_mutex);
	if (node && node->class) {
		free = pzone_class_free_bytes(node->class);
		size = pzone_bytes(node->class->pool, READ_ONCE(node->class->given_blocks));
	}
	mutex_unlock(&pzone_mutex);
	return size > free ? size - free : 0;
}

static int stat_show(struct seq_file *sf, void *v)
{
	const struct pzone_node *node = css_node(seq_css(sf));
	struct pzone_class_report report = {};
	u64 size = 0, stuck = 0;

	mutex_lock(&pzone_mutex);
	if (node && node->class) {
		pzone_class_report(node->class, &report);
		size = pzone_bytes(node->class->pool, READ_ONCE(node->class->given_blocks));
		stuck = pzone_bytes(node->class->pool, report.stuck_blocks);
	}
	mutex_unlock(&pzone_mutex);
	seq_printf(sf, "size %llu\nfree %llu\nanon %llu\nfile %llu\nrefault %llu\n",
		   size, report.free_bytes, report.anon_bytes, report.file_bytes,
		   report.refault_pages);
	seq_printf(sf, "stall_us %llu\nstuck %llu\npinned %llu\n", report.pressure_us, stuck,
		   report.pinned_bytes);
	seq_printf(sf, "move %lld\nmove_pending %d\nmove_failed %lld\n",
		   node ? atomic64_read(&node->moves) : 0LL,
		   node ? atomic_read(&node->moves_pending) : 0,
		   node ? atomic64_read(&node->move_failed) : 0LL);
	return 0;
}

/*
 * What static and what partial ownership would charge. It takes a walk of the page tables
 * of all that is in the class, so not everybody may ask.
 */
static int ownership_show(struct seq_file *sf, void *v)
{
	const struct pzone_node *node = css_node(seq_css(sf));
	const struct kernfs_open_file *of = sf->private;
	u64 stat = 0, partial = 0;
	int rc = 0;

	if (!file_ns_capable(of->file, &init_user_ns, CAP_SYS_RESOURCE))
		return -EPERM;
	if (node)
		rc = pzone_ownership(node, current_read(seq_css(sf), NULL), &stat, &partial);
	if (!rc)
		seq_printf(sf, "static %llu\npartial %llu\n", stat, partial);
	return rc;
}

static int events_show(struct seq_file *sf, void *v)
{
	const struct pzone_node *node = css_node(seq_css(sf));

	seq_printf(sf, "oom %lld\noom_kill %lld\n",
		   node ? atomic64_read(&node->oom_events) : 0LL,
		   node ? atomic64_read(&node->oom_kills) : 0LL);
	return 0;
}

static struct cftype pzone_files[] = {
	{
		.name = "class",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = class_show,
		.write = class_write,
	},
	{
		.name = "class.effective",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = effective_show,
	},
	{
		.name = "current",
		.flags = CFTYPE_NOT_ON_ROOT,
		.read_u64 = current_read,
	},
	{
		.name = "stat",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = stat_show,
	},
	{
		.name = "ownership",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = ownership_show,
	},
	{
		.name = "events",
		.flags = CFTYPE_NOT_ON_ROOT,
		.seq_show = events_show,
	},
	{ }
};

struct cgroup_subsys pzone_cgrp_subsys = {
	.css_alloc = pzone_css_alloc,
	.css_online = pzone_css_online,
	.css_free = pzone_css_free,
	.can_attach = pzone_can_attach,
	.attach = pzone_attach,
	.dfl_cftypes = pzone_files,
	.implicit_on_dfl = true,
	.threaded = true,
};

#include "tests/cgroup-kunit.h"
