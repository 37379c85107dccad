/* SPDX-License-Identifier: MIT */
#include "api/space_path.h"

#include <errno.h>
#include <string.h>

#include "model/row_lookup.h"

/* No path is deeper: the key spaces of a damaged file may form a circle */
#define DEPTH_MAX 1000000u

int space_path(const struct state *s, uint64_t space, struct buf *path)
{
	struct row_key link;
	buf_reset(path);
	for (unsigned depth = 0; space != BANYAN_ROOT_ID; depth++) {
		int rc = depth == DEPTH_MAX ? -ELOOP :
					      rows_first_link(s, space, &link);
		if (rc <= 0)
			return rc ? rc : 1;
		size_t n = link.len - ROW_LINK_LEN;
		uint8_t *to = buf_reserve(path, n + 1);
		if (!to)
			return -ENOMEM;
		if (path->len)
			memmove(path->data + n + 1, path->data, path->len);
		memcpy(path->data, link.bytes + ROW_LINK_LEN, n);
		path->data[n] = '/';
		path->len += n + 1;
		space = row_link_space(link.bytes);
	}
	return 0;
}
