// SPDX-License-Identifier: GPL-2.0
/*
 * The pzone half of the virtio-mem driver: carries the messages between a
 * virtio-mem device on which VIRTIO_MEM_F_PZONE was negotiated and mm/pzone.
 * The protocol is described in <uapi/linux/virtio_pzone.h>.
 *
 * Several requests may be on the queue at once (an out-of-memory event must not
 * wait for a long plug), each with a buffer and a completion of its own.
 */
#include <linux/acpi.h>
#include <linux/completion.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pzone_pool.h>
#include <linux/slab.h>
#include <linux/suspend.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mem.h>

#include <acpi/acpi_numa.h>

#include "virtio_mem_pzone.h"

/* Look at a queue that does not answer this often: is the device still there? */
#define RESPONSE_POLL	(5 * HZ)

/* More extents or classes than this are a mistake of the host's. */
#define MAX_LAYOUT	BIT(20)

struct virtio_mem_pzone {
	struct virtio_device *vdev;
	struct virtqueue *base_vq;	/* virtio-mem's own requests */
	struct virtqueue *vq;		/* ours */
	spinlock_t vq_lock;		/* both queues */
	unsigned int max_entries;
	struct pzone_pool *pool;
	struct notifier_block pm_notifier;
};

/* One request under way. Lives until the device has answered. */
struct request {
	struct completion done;
	unsigned int resp_len;		/* bytes that the device wrote */
};

static void response(struct virtqueue *vq)
{
	struct virtio_mem_pzone *vp = vq->vdev->priv;
	struct request *request;
	unsigned long flags;
	unsigned int len;

	spin_lock_irqsave(&vp->vq_lock, flags);
	while ((request = virtqueue_get_buf(vq, &len))) {
		request->resp_len = len;
		complete(&request->done);
	}
	spin_unlock_irqrestore(&vp->vq_lock, flags);
}

/* Send @out, wait for @in. Both are kmalloc'ed. Returns the bytes received. */
static int transact(struct virtio_mem_pzone *vp, struct virtqueue *vq,
		    void *out, size_t out_len, void *in, size_t in_len)
{
	struct request request = { };
	struct scatterlist out_sg, in_sg, *sgs[] = { &out_sg, &in_sg };
	unsigned long flags;
	int rc;

	init_completion(&request.done);
	sg_init_one(&out_sg, out, out_len);
	sg_init_one(&in_sg, in, in_len);
	spin_lock_irqsave(&vp->vq_lock, flags);
	rc = virtqueue_add_sgs(vq, sgs, 1, 1, &request, GFP_ATOMIC);
	if (!rc)
		virtqueue_kick(vq);
	spin_unlock_irqrestore(&vp->vq_lock, flags);
	if (rc)
		return virtqueue_is_broken(vq) ? -EIO : rc;
	/* The device may take its time over a plug, but it must not be gone. */
	while (!wait_for_completion_timeout(&request.done, RESPONSE_POLL)) {
		if (!virtqueue_is_broken(vq))
			continue;
		/* Nothing is taken off a broken queue; response() may just have. */
		spin_lock_irqsave(&vp->vq_lock, flags);
		rc = completion_done(&request.done) ? 0 : -EIO;
		spin_unlock_irqrestore(&vp->vq_lock, flags);
		if (rc)
			return rc;
		break;
	}
	return min_t(size_t, request.resp_len, in_len);
}

/* One request of ours; returns entries in the reply, or an errno. */
static int pzone_request(struct virtio_mem_pzone *vp, struct virtio_pzone_req *req,
			 size_t req_len, struct virtio_pzone_resp *resp, size_t resp_len,
			 size_t entry_size)
{
	int len = transact(vp, vp->vq, req, req_len, resp, resp_len);
	unsigned int nr;

	if (len < 0)
		return len;
	if (len < sizeof(*resp))
		return -EIO;
	switch (le16_to_cpu(resp->type)) {
	case VIRTIO_PZONE_RESP_ACK:
		break;
	case VIRTIO_PZONE_RESP_NACK:
		return -ESTALE;
	case VIRTIO_PZONE_RESP_BUSY:
		return -EBUSY;
	default:
		dev_err(&vp->vdev->dev, "the device refused request type %u of %u entries\n",
			le16_to_cpu(req->type), le16_to_cpu(req->nr));
		return -EIO;
	}
	nr = le16_to_cpu(resp->nr);
	if (nr * entry_size > len - sizeof(*resp))
		return -EIO;
	return nr;
}

static int unplug_all(void *priv)
{
	struct virtio_mem_pzone *vp = priv;
	struct virtio_mem_req *req = kzalloc(sizeof(*req), GFP_KERNEL);
	struct virtio_mem_resp *resp = kzalloc(sizeof(*resp), GFP_KERNEL);
	int rc = -ENOMEM;

	if (!req || !resp)
		goto out;
	req->type = cpu_to_virtio16(vp->vdev, VIRTIO_MEM_REQ_UNPLUG_ALL);
	rc = transact(vp, vp->base_vq, req, sizeof(*req), resp, sizeof(*resp));
	if (rc < 0)
		goto out;
	switch (virtio16_to_cpu(vp->vdev, resp->type)) {
	case VIRTIO_MEM_RESP_ACK:
		rc = 0;
		break;
	case VIRTIO_MEM_RESP_BUSY:
		rc = -EBUSY;
		break;
	default:
		rc = -EIO;
	}
out:
	kfree(resp);
	kfree(req);
	return rc;
}

/*
 * Read all entries of one kind. -ESTALE if the generation changed on the way;
 * the first reply sets *generation if @fix is false.
 */
static int query(struct virtio_mem_pzone *vp, u16 type, size_t entry_size, bool fix,
		 u32 *generation, void **ret_entries, u32 *ret_nr)
{
	const size_t resp_len = sizeof(struct virtio_pzone_resp) + vp->max_entries * entry_size;
	struct virtio_pzone_req *req = kzalloc(sizeof(*req), GFP_KERNEL);
	struct virtio_pzone_resp *resp = kzalloc(resp_len, GFP_KERNEL);
	void *entries = NULL;
	u32 nr = 0, total = 0;
	int rc = -ENOMEM;

	if (!req || !resp)
		goto out;
	do {
		req->type = cpu_to_le16(type);
		req->first = cpu_to_le32(nr);
		rc = pzone_request(vp, req, sizeof(*req), resp, resp_len, entry_size);
		if (rc < 0)
			goto out;
		if (!nr) {
			total = le32_to_cpu(resp->total);
			if (!fix)
				*generation = le32_to_cpu(resp->generation);
			if (total > MAX_LAYOUT) {
				rc = -EIO;
				goto out;
			}
			entries = kvcalloc(total ?: 1, entry_size, GFP_KERNEL);
			if (!entries) {
				rc = -ENOMEM;
				goto out;
			}
		}
		if (le32_to_cpu(resp->generation) != *generation ||
		    le32_to_cpu(resp->total) != total) {
			rc = -ESTALE;
			goto out;
		}
		if (rc > total - nr || (!rc && nr < total)) {
			rc = -EIO;
			goto out;
		}
		memcpy(entries + nr * entry_size, resp + 1, rc * entry_size);
		nr += rc;
	} while (nr < total);
	*ret_entries = entries;
	*ret_nr = nr;
	entries = NULL;
	rc = 0;
out:
	kvfree(entries);
	kfree(resp);
	kfree(req);
	return rc;
}

static int pull(void *priv, struct pzone_layout *layout)
{
	struct virtio_mem_pzone *vp = priv;
	struct virtio_pzone_class *classes = NULL;
	struct virtio_pzone_extent *extents = NULL;
	u32 i;
	int rc;

	rc = query(vp, VIRTIO_PZONE_REQ_CLASSES, sizeof(*classes), false,
		   &layout->generation, (void **)&classes, &layout->nr_classes);
	if (rc)
		goto out;
	rc = query(vp, VIRTIO_PZONE_REQ_LAYOUT, sizeof(*extents), true,
		   &layout->generation, (void **)&extents, &layout->nr_extents);
	if (rc)
		goto out;

	rc = -ENOMEM;
	layout->classes = kvcalloc(layout->nr_classes ?: 1, sizeof(*layout->classes), GFP_KERNEL);
	layout->extents = kvcalloc(layout->nr_extents ?: 1, sizeof(*layout->extents), GFP_KERNEL);
	if (!layout->classes || !layout->extents)
		goto out;
	for (i = 0; i < layout->nr_classes; i++) {
		struct pzone_layout_class *to = &layout->classes[i];

		to->id = le32_to_cpu(classes[i].id);
		to->dying = le32_to_cpu(classes[i].flags) & VIRTIO_PZONE_CLASS_F_DYING;
		to->wanted_blocks = le32_to_cpu(classes[i].wanted_blocks);
		to->guarantee_blocks = le32_to_cpu(classes[i].guarantee_blocks);
		to->limit_blocks = le32_to_cpu(classes[i].limit_blocks);
		to->reclaim_seq = le32_to_cpu(classes[i].reclaim_seq);
		to->reclaim_bytes = le64_to_cpu(classes[i].reclaim_bytes);
		memcpy(to->name, classes[i].name, VIRTIO_PZONE_NAME_MAX);
	}
	for (i = 0; i < layout->nr_extents; i++) {
		layout->extents[i].class_id = le32_to_cpu(extents[i].class_id);
		layout->extents[i].first_block = le32_to_cpu(extents[i].first_block);
		layout->extents[i].nr_blocks = le32_to_cpu(extents[i].nr_blocks);
	}
	rc = 0;
out:
	kvfree(classes);
	kvfree(extents);
	return rc;
}

/* A request that carries @nr entries of @size bytes, and room for the reply's. */
static struct virtio_pzone_req *new_request(u16 type, u32 generation, unsigned int nr,
					    size_t size, size_t *ret_len)
{
	struct virtio_pzone_req *req;

	*ret_len = sizeof(*req) + nr * size;
	req = kzalloc(*ret_len, GFP_KERNEL);
	if (req) {
		req->type = cpu_to_le16(type);
		req->nr = cpu_to_le16(nr);
		req->generation = cpu_to_le32(generation);
	}
	return req;
}

static int change(struct virtio_mem_pzone *vp, u16 type, u32 generation,
		  const struct pzone_extent *extents, unsigned int nr, u32 *status)
{
	const size_t resp_len = sizeof(struct virtio_pzone_resp) + nr * sizeof(__le32);
	struct virtio_pzone_resp *resp = kzalloc(resp_len, GFP_KERNEL);
	struct virtio_pzone_extent *to;
	struct virtio_pzone_req *req;
	unsigned int i;
	size_t req_len;
	int rc = -ENOMEM;

	req = new_request(type, generation, nr, sizeof(*to), &req_len);
	if (!req || !resp)
		goto out;
	to = (void *)(req + 1);
	for (i = 0; i < nr; i++) {
		to[i].class_id = cpu_to_le32(extents[i].class_id);
		to[i].first_block = cpu_to_le32(extents[i].first_block);
		to[i].nr_blocks = cpu_to_le32(extents[i].nr_blocks);
	}
	rc = pzone_request(vp, req, req_len, resp, resp_len, sizeof(__le32));
	if (rc < 0)
		goto out;
	if (rc != nr) {
		rc = -EIO;
		goto out;
	}
	for (i = 0; i < nr; i++)
		status[i] = le32_to_cpu(((__le32 *)(resp + 1))[i]);
	rc = 0;
out:
	kfree(req);
	kfree(resp);
	return rc;
}

static int plug(void *priv, u32 generation, const struct pzone_extent *extents,
		unsigned int nr, u32 *status)
{
	return change(priv, VIRTIO_PZONE_REQ_PLUG, generation, extents, nr, status);
}

static int unplug(void *priv, u32 generation, const struct pzone_extent *extents,
		  unsigned int nr, u32 *status)
{
	return change(priv, VIRTIO_PZONE_REQ_UNPLUG, generation, extents, nr, status);
}

/* Send a request whose reply has no entries, and free it. */
static int tell(struct virtio_mem_pzone *vp, struct virtio_pzone_req *req, size_t req_len)
{
	struct virtio_pzone_resp *resp = kzalloc(sizeof(*resp), GFP_KERNEL);
	int rc = -ENOMEM;

	if (req && resp)
		rc = pzone_request(vp, req, req_len, resp, sizeof(*resp), 0);
	kfree(resp);
	kfree(req);
	return min(rc, 0);
}

static int report(void *priv, u32 generation, const struct pzone_class_report *reports,
		  unsigned int nr)
{
	struct virtio_pzone_report *to;
	struct virtio_pzone_req *req;
	unsigned int i;
	size_t req_len;

	req = new_request(VIRTIO_PZONE_REQ_REPORT, generation, nr, sizeof(*to), &req_len);
	if (!req)
		return -ENOMEM;
	to = (void *)(req + 1);
	for (i = 0; i < nr; i++) {
		to[i].class_id = cpu_to_le32(reports[i].class_id);
		to[i].state = cpu_to_le32(reports[i].state);
		to[i].nr_cgroups = cpu_to_le32(reports[i].nr_cgroups);
		to[i].stuck_blocks = cpu_to_le32(reports[i].stuck_blocks);
		to[i].reclaim_done_seq = cpu_to_le32(reports[i].reclaim_done_seq);
		to[i].reclaimed_bytes = cpu_to_le64(reports[i].reclaimed_bytes);
		to[i].free_bytes = cpu_to_le64(reports[i].free_bytes);
		to[i].anon_bytes = cpu_to_le64(reports[i].anon_bytes);
		to[i].file_bytes = cpu_to_le64(reports[i].file_bytes);
		to[i].pinned_bytes = cpu_to_le64(reports[i].pinned_bytes);
		to[i].refault_pages = cpu_to_le64(reports[i].refault_pages);
		to[i].pressure_us = cpu_to_le64(reports[i].pressure_us);
		to[i].oom_events = cpu_to_le64(reports[i].oom_events);
		to[i].oom_kills = cpu_to_le64(reports[i].oom_kills);
	}
	return tell(priv, req, req_len);
}

static int event(void *priv, u32 class_id, u32 kind, u32 wanted_blocks)
{
	struct virtio_pzone_event *to;
	struct virtio_pzone_req *req;
	size_t req_len;

	req = new_request(VIRTIO_PZONE_REQ_EVENT, 0, 1, sizeof(*to), &req_len);
	if (!req)
		return -ENOMEM;
	to = (void *)(req + 1);
	to->class_id = cpu_to_le32(class_id);
	to->kind = cpu_to_le32(kind);
	to->wanted_blocks = cpu_to_le32(wanted_blocks);
	return tell(priv, req, req_len);
}

static const struct pzone_transport virtio_mem_pzone_transport = {
	.unplug_all = unplug_all,
	.pull = pull,
	.plug = plug,
	.unplug = unplug,
	.report = report,
	.event = event,
};

static int find_vqs(struct virtio_mem_pzone *vp)
{
	struct virtqueue_info info[] = {
		{ "guest-request", response },
		{ "pzone-request", response },
	};
	struct virtqueue *vqs[ARRAY_SIZE(info)];
	int rc;

	rc = virtio_find_vqs(vp->vdev, ARRAY_SIZE(info), vqs, info, NULL);
	if (rc)
		return rc;
	vp->base_vq = vqs[0];
	vp->vq = vqs[1];
	return 0;
}

/* The image would hold memory that is not plugged when it is restored. */
static int pm_notifier_cb(struct notifier_block *nb, unsigned long action, void *arg)
{
	struct virtio_mem_pzone *vp = container_of(nb, struct virtio_mem_pzone, pm_notifier);

	if (action != PM_HIBERNATION_PREPARE && action != PM_RESTORE_PREPARE)
		return NOTIFY_OK;
	dev_err(&vp->vdev->dev, "hibernation is not possible with memory classes\n");
	return NOTIFY_BAD;
}

/* A kernel without node ids for pzones drives the device as plain virtio-mem. */
int virtio_mem_pzone_validate(struct virtio_device *vdev)
{
	if (!pzone_available())
		__virtio_clear_bit(vdev, VIRTIO_MEM_F_PZONE);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_pzone_validate);

int virtio_mem_pzone_probe(struct virtio_device *vdev)
{
	const unsigned int config = sizeof(struct virtio_mem_config);
	struct pzone_pool_params params = { .nid = NUMA_NO_NODE };
	struct virtio_mem_pzone_config pzone_config;
	struct virtio_mem_pzone *vp;
	int rc;

	BUILD_BUG_ON(sizeof(struct virtio_pzone_req) != 16);
	BUILD_BUG_ON(sizeof(struct virtio_pzone_resp) != 16);
	BUILD_BUG_ON(sizeof(struct virtio_pzone_class) != 64);
	BUILD_BUG_ON(sizeof(struct virtio_pzone_extent) != 16);
	BUILD_BUG_ON(sizeof(struct virtio_pzone_report) != 96);
	BUILD_BUG_ON(sizeof(struct virtio_pzone_event) != 16);

	vp = kzalloc(sizeof(*vp), GFP_KERNEL);
	if (!vp)
		return -ENOMEM;
	vp->vdev = vdev;
	vdev->priv = vp;
	spin_lock_init(&vp->vq_lock);
	rc = find_vqs(vp);
	if (rc)
		goto err_free;

	virtio_cread_le(vdev, struct virtio_mem_config, addr, &params.addr);
	virtio_cread_le(vdev, struct virtio_mem_config, region_size, &params.size);
	virtio_cread_le(vdev, struct virtio_mem_config, block_size, &params.block_size);
	if (virtio_has_feature(vdev, VIRTIO_MEM_F_ACPI_PXM)) {
		u16 pxm;

		virtio_cread_le(vdev, struct virtio_mem_config, node_id, &pxm);
		params.nid = pxm_to_node(pxm);
	}
	if (params.nid == NUMA_NO_NODE)
		params.nid = memory_add_physaddr_to_nid(params.addr);
	virtio_cread_bytes(vdev, config, &pzone_config, sizeof(pzone_config));
	params.max_entries = clamp_t(u32, le32_to_cpu(pzone_config.max_entries), 1,
				     VIRTIO_PZONE_MAX_ENTRIES);
	vp->max_entries = params.max_entries;
	pzone_config.pool[VIRTIO_PZONE_NAME_MAX] = '\0';
	params.name = pzone_config.pool[0] && !strchr(pzone_config.pool, '/') ?
		      (const char *)pzone_config.pool : dev_name(&vdev->dev);
	dev_info(&vdev->dev, "pzone pool %s: [mem %#llx-%#llx], blocks of %llu bytes\n",
		 params.name, params.addr, params.addr + params.size - 1, params.block_size);

	vp->pm_notifier.priority = INT_MAX;
	vp->pm_notifier.notifier_call = pm_notifier_cb;
	rc = register_pm_notifier(&vp->pm_notifier);
	if (rc)
		goto err_vqs;
	virtio_device_ready(vdev);
	vp->pool = pzone_pool_register(&params, &virtio_mem_pzone_transport, vp);
	if (IS_ERR(vp->pool)) {
		rc = PTR_ERR(vp->pool);
		virtio_reset_device(vdev);
		unregister_pm_notifier(&vp->pm_notifier);
		goto err_vqs;
	}
	return 0;

err_vqs:
	vdev->config->del_vqs(vdev);
err_free:
	kfree(vp);
	vdev->priv = NULL;
	return rc;
}
EXPORT_SYMBOL_GPL(virtio_mem_pzone_probe);

void virtio_mem_pzone_remove(struct virtio_device *vdev)
{
	struct virtio_mem_pzone *vp = vdev->priv;

	pzone_pool_stop(vp->pool);
	/* If it fails it has said so, and never calls us again. */
	pzone_pool_unregister(vp->pool);
	unregister_pm_notifier(&vp->pm_notifier);
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
	kfree(vp);
	vdev->priv = NULL;
}
EXPORT_SYMBOL_GPL(virtio_mem_pzone_remove);

void virtio_mem_pzone_config_changed(struct virtio_device *vdev)
{
	struct virtio_mem_pzone *vp = vdev->priv;

	/* An interrupt may come between device-ready and the end of probe. */
	if (!IS_ERR_OR_NULL(vp->pool))
		pzone_pool_kick(vp->pool);
}
EXPORT_SYMBOL_GPL(virtio_mem_pzone_config_changed);

#ifdef CONFIG_PM_SLEEP
/* As virtio-mem: what is plugged must survive, or we refuse to sleep. */
int virtio_mem_pzone_freeze(struct virtio_device *vdev)
{
	struct virtio_mem_pzone *vp = vdev->priv;

	if (pm_suspend_target_state != PM_SUSPEND_TO_IDLE &&
	    !virtio_has_feature(vdev, VIRTIO_MEM_F_PERSISTENT_SUSPEND)) {
		dev_err(&vdev->dev, "suspending with plugged memory is not supported\n");
		return -EPERM;
	}
	pzone_pool_stop(vp->pool);
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_pzone_freeze);

int virtio_mem_pzone_restore(struct virtio_device *vdev)
{
	struct virtio_mem_pzone *vp = vdev->priv;
	int rc = find_vqs(vp);

	if (rc)
		return rc;
	virtio_device_ready(vdev);
	pzone_pool_resume(vp->pool);
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_mem_pzone_restore);
#endif

MODULE_DESCRIPTION("Virtio-mem driver: memory classes");
MODULE_LICENSE("GPL");
