/* SPDX-License-Identifier: MIT */
#include "xattrs.h"

#include <errno.h>

#include "nodes.h"

static atomic_uint changes;

unsigned xattrs_count(void)
{
	return atomic_load(&changes);
}

void xattrs_changed(banyan_data *data)
{
	atomic_fetch_add(&changes, 1);
	nodes_set(data, NODES_BARE, false);
}

void xattrs_none(banyan_data *data, unsigned count)
{
	nodes_set(data, NODES_BARE, true);
	if (xattrs_count() != count)
		nodes_set(data, NODES_BARE, false);
}

ssize_t xattrs_get(banyan_data *data, const char *name, void *value,
		   size_t size)
{
	return nodes_is(data, NODES_BARE) ?
		       -ENODATA :
		       banyan_get_xattr(data, name, value, size);
}

ssize_t xattrs_list(banyan_data *data, char *names, size_t size)
{
	unsigned count = xattrs_count();
	ssize_t n;

	if (nodes_is(data, NODES_BARE))
		return 0;
	n = banyan_list_xattr(data, names, size);
	if (!n)
		xattrs_none(data, count);
	return n;
}

int xattrs_set(banyan_data *data, const char *name, const void *value,
	       size_t size, unsigned flags)
{
	int rc = banyan_set_xattr(data, name, value, size, flags);

	xattrs_changed(data);
	return rc;
}
