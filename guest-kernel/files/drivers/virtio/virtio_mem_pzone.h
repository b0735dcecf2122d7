/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pzone half of the virtio-mem driver; see virtio_mem_pzone.c. virtio_mem.c
 * hands a device to it when VIRTIO_MEM_F_PZONE was negotiated.
 */
#ifndef _VIRTIO_MEM_PZONE_H
#define _VIRTIO_MEM_PZONE_H

#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_pzone.h>

#ifdef CONFIG_PZONE

/* Is this a device of ours? */
static inline bool virtio_mem_is_pzone(struct virtio_device *vdev)
{
	return virtio_has_feature(vdev, VIRTIO_MEM_F_PZONE);
}

int virtio_mem_pzone_validate(struct virtio_device *vdev);
int virtio_mem_pzone_probe(struct virtio_device *vdev);
void virtio_mem_pzone_remove(struct virtio_device *vdev);
void virtio_mem_pzone_config_changed(struct virtio_device *vdev);
int virtio_mem_pzone_freeze(struct virtio_device *vdev);
int virtio_mem_pzone_restore(struct virtio_device *vdev);

#else

static inline bool virtio_mem_is_pzone(struct virtio_device *vdev)
{
	return false;
}

static inline int virtio_mem_pzone_probe(struct virtio_device *vdev)
{
	return -EOPNOTSUPP;
}

static inline void virtio_mem_pzone_remove(struct virtio_device *vdev)
{
}

static inline void virtio_mem_pzone_config_changed(struct virtio_device *vdev)
{
}

static inline int virtio_mem_pzone_freeze(struct virtio_device *vdev)
{
	return -EOPNOTSUPP;
}

static inline int virtio_mem_pzone_restore(struct virtio_device *vdev)
{
	return -EOPNOTSUPP;
}

#endif /* CONFIG_PZONE */
#endif /* _VIRTIO_MEM_PZONE_H */
