// SPDX-License-Identifier: GPL-2.0
/*
 * Pseudo-zones: what memory cgroups keep for each node.
 *
 * A memory cgroup has an LRU, statistics and shrinker bitmaps for each possible node,
 * some 5 KiB. For a spare node id they are made when the first class (or pool) takes it,
 * for all the cgroups that there are, and from then on with each new one.
 *
 * cgroup_mutex keeps cgroups from coming and going meanwhile. One that has left the tree
 * gets nothing: nobody uses it for a node that it has no data for, and what ends it
 * skips such nodes (for_each_memcg_node()).
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "internal.h"

/* Spare ids that memory cgroups have data for; cgroup_mutex. */
static nodemask_t nodes_with_data;

/* Does a new memory cgroup need data for this node? */
bool pzone_memcg_needs(int nid)
{
	/* cgroup v1's soft limit looks at all nodes. */
	return !node_is_spare(nid) || IS_ENABLED(CONFIG_MEMCG_V1) ||
	       node_isset(nid, nodes_with_data);
}

static void free_shrinkers(struct shrinker_info *info)
{
	int i;

	for (i = 0; i < DIV_ROUND_UP(info->map_nr_max, SHRINKER_UNIT_BITS); i++)
		kfree(info->unit[i]);
	kvfree(info);
}

/* As many bits as the memory cgroup has for its other nodes. */
static struct shrinker_info *alloc_shrinkers(struct mem_cgroup *memcg)
{
	const struct shrinker_info *like =
		rcu_dereference_protected(memcg->nodeinfo[first_memory_node]->shrinker_info,
					  lockdep_is_held(&shrinker_mutex));
	const int units = DIV_ROUND_UP(like->map_nr_max, SHRINKER_UNIT_BITS);
	struct shrinker_info *info;
	int i;

	info = kvzalloc(struct_size(info, unit, units), GFP_KERNEL);
	if (!info)
		return NULL;
	info->map_nr_max = like->map_nr_max;
	for (i = 0; i < units; i++) {
		info->unit[i] = kzalloc(sizeof(*info->unit[i]), GFP_KERNEL);
		if (!info->unit[i]) {
			free_shrinkers(info);
			return NULL;
		}
	}
	return info;
}

static int add_node(struct mem_cgroup *memcg, int nid)
{
	struct shrinker_info *info;

	if (memcg->nodeinfo[nid])
		return 0;
	info = alloc_shrinkers(memcg);
	if (!info)
		return -ENOMEM;
	if (!pzone_memcg_alloc(memcg, nid)) {
		free_shrinkers(info);
		return -ENOMEM;
	}
	rcu_assign_pointer(memcg->nodeinfo[nid]->shrinker_info, info);
	lru_gen_online_memcg(memcg);
	return 0;
}

/**
 * pzone_memcg_add_node - give all memory cgroups what they need for a node
 * @nid: a spare node id that is not online yet
 *
 * May be called again, also after a failure. Returns 0 or -ENOMEM.
 */
int pzone_memcg_add_node(int nid)
{
	struct cgroup_subsys_state *css;
	int rc = 0;

	cgroup_lock();
	mutex_lock(&shrinker_mutex);
	/* Parents first, so that on failure no child has data where its parent has none. */
	css_for_each_descendant_pre(css, &root_mem_cgroup->css) {
		rc = add_node(mem_cgroup_from_css(css), nid);
		if (rc)
			break;
	}
	if (!rc)
		node_set(nid, nodes_with_data);
	mutex_unlock(&shrinker_mutex);
	cgroup_unlock();
	return rc;
}
