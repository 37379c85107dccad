/* SPDX-License-Identifier: MIT */
/*
 * nodes.h - node ids: by which the kernel names Data.
 *
 * The node id of a Data is its id (the root's is 1 in the protocol, too): it means the
 * same Data in every mount of the database, and in any daemon. Ids of Data are below
 * 2^63; node ids of what is not in the database are above (hidden.h).
 *
 * Each answer that names a Data adds one to the kernel's count of it, and a FORGET
 * takes some back. The library's holds are that count: a hold is added before the
 * answer is sent, and released if the kernel does not get it. So
 *
 * - a Data is held for as long as the kernel remembers it. The kernel does not forget
 *   an inode while one of its requests is being served, hence fs_data() needs no hold
 *   of its own. After the answer the Data may be gone.
 * - it does not matter when a FORGET is served. With io_uring it comes by another way
 *   than the requests, and may lag behind: behind a LOOKUP that has named the Data
 *   again, it takes back no more than what the kernel had before, and one remains.
 *   There is no FORGET of what the kernel has not been told.
 *
 * If the daemon dies, the next one holds what the kernel remembers: so the kernel's
 * counts are kept in memory that outlives it, too (lasting.h).
 *
 * What is left at an unmount, when the kernel forgets everything without saying so,
 * banyan_close() releases.
 *
 * A *file handle* (name_to_handle_at(2), NFS) is made by the kernel of a node id and a
 * generation. If it remembers the node, it asks nothing. Otherwise it sends a LOOKUP
 * of "." in the node, which exists nowhere else; and of ".." in a key space that it
 * came to in this way.
 *
 * The generation is the same for all Data but the root (whose must be 0): it is made
 * of the database's UUID, so that a handle from another database is stale.
 */
#ifndef FS_NODES_H
#define FS_NODES_H

#include "fs.h"
#include "hidden.h"

/* Once, when the database has been opened. 0 or an error. */
int nodes_start(struct fs *fs);

/* The kernel gives back so many holds of a node of the database */
void nodes_forget(struct fs *fs, fuse_ino_t ino, uint64_t times);

/* Does the kernel count it, and is it in the database? Not the root, nor hidden nodes. */
static inline bool nodes_is_counted(fuse_ino_t ino)
{
	return !hidden_is(ino) && ino != BANYAN_ROOT_ID;
}

/* An answer that is about to be sent adds one to the kernel's count of a node, hidden
 * ones, too; if it does not get through, this is taken back, in the reverse order. 0 or
 * -ENOMEM. */
int nodes_tell(fuse_ino_t ino);
void nodes_untell(fuse_ino_t ino);

/* Likewise those that an answer has added which the kernel did not get */
static inline void nodes_drop(const struct fs *fs, fuse_ino_t ino,
			      uint64_t times)
{
	banyan_release(banyan_held(fs->db, ino), times);
}

/*
 * What the daemon knows of a Data. PLAIN: it has no set-id bits, and no capabilities
 * either if it is a file. All are cleared when the kernel forgets the Data.
 */
#define NODES_PLAIN ((uint8_t)1) /* see privileges.h */
#define NODES_BARE ((uint8_t)2) /* no extended attributes: see xattrs.h */
#define NODES_STALE ((uint8_t)4) /* see stale.h */

static inline bool nodes_is(const banyan_data *data, uint8_t what)
{
	return banyan_tag(data) & what;
}

static inline void nodes_set(banyan_data *data, uint8_t what, bool on)
{
	banyan_set_tag(data, what, on);
}

/* Is it the name in a LOOKUP for a file handle? */
static inline bool nodes_is_handle(const char *name)
{
	return name[0] == '.' &&
	       (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Serve it. ino may be any number: whoever may open file handles can make them up. */
void nodes_lookup_handle(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
