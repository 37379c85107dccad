/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "lasting.h"

/* After so many FORGETs it is looked at how many Data are held */
#define FORGETS_A_LOOK 4096u

/* Fewer are no matter: 7 MiB */
#define TRIM_FROM 65536u

int nodes_start(struct fs *fs)
{
	struct banyan_stat stat = { 0 };
	int rc = banyan_get_stat(fs->db, &stat);

	if (!rc)
		memcpy(&fs->generation, stat.uuid, sizeof(fs->generation));
	return rc;
}

/*
 * malloc() keeps what is freed. So if half of the nodes have gone, as when the kernel
 * drops its caches, it is told to give memory back. That takes up to 0.1 s where a
 * million were held, hence not each time that some thousand go.
 */
static void trim(struct fs *fs)
{
	struct banyan_stat stat = { 0 };
	uint64_t most = atomic_load(&fs->forget.most);

	if (banyan_get_stat(fs->db, &stat))
		return;
	if (stat.held > most)
		atomic_store(&fs->forget.most, stat.held);
	/* Of several threads that see it one does it */
	else if (most >= TRIM_FROM && stat.held < most / 2 &&
		 atomic_compare_exchange_strong(&fs->forget.most, &most,
						stat.held))
		malloc_trim(0);
}

int nodes_tell(fuse_ino_t ino)
{
	return nodes_is_counted(ino) ? lasting_tell(ino) : 0;
}

void nodes_untell(fuse_ino_t ino)
{
	if (nodes_is_counted(ino))
		lasting_untell(ino);
}

void nodes_forget(struct fs *fs, fuse_ino_t ino, uint64_t times)
{
	nodes_drop(fs, ino, times);
	if (atomic_fetch_add(&fs->forget.served, 1) % FORGETS_A_LOOK == 0)
		trim(fs);
}

/* The root, which the kernel does not count */
static int root_entry(struct fs *fs, struct fuse_entry_param *e)
{
	struct banyan_attr attr;
	int rc = banyan_get_attr(banyan_root(fs->db), &attr);

	if (rc)
		return rc;
	fs_fill_entry(fs, &attr, e);
	e->generation = 0;
	return 0;
}

static int find(struct fs *fs, fuse_ino_t ino, const char *name,
		struct fuse_entry_param *e)
{
	uint64_t id = ino;
	banyan_data *data = NULL;
	int rc = 0;

	if (hidden_is(ino))
		return -ESTALE;
	if (!strcmp(name, ".."))
		rc = banyan_parent(fs_data(fs, ino), &id);
	if (!rc && id == BANYAN_ROOT_ID)
		return root_entry(fs, e);
	if (!rc)
		rc = banyan_find_id(fs->db, id, &data);
	return rc ? rc : fs_make_entry(fs, data, NULL, e);
}

void nodes_lookup_handle(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fuse_entry_param e;
	int rc = find(fs_of(req), ino, name, &e);

	if (rc)
		fs_reply_error(req, rc);
	else
		fs_reply_entry(req, &e);
}
