/* SPDX-License-Identifier: MIT */
/*
 * store.h - the database that a command works on.
 *
 * Reading is done with the library, beside a mount, too. Writing is done with
 * the library unless the database is mounted, and then with file calls through
 * the mount, whose daemon is the only process that may write to the file. The
 * operations here have a form for each, store_library.c and store_mount.c, with
 * the same arguments and the same errors: negative errno values.
 */
#ifndef TOOLS_STORE_H
#define TOOLS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "banyan.h"
#include "target.h"
#include "when.h"

struct store_ops;

struct store {
	struct target target;
	const char *name; /* of the file, for messages; lives in target */
	const struct store_ops *ops;
	banyan *db; /* NULL: through the mount */
	banyan *present; /* of which db is a view; NULL: of none */
	int root; /* through the mount: its root directory */
};

/* What a key points to */
struct key_info {
	uint64_t id;
	uint32_t mode; /* with the type, as in stat(2) */
};

/* A value that is written piece by piece before a key gets it */
struct draft {
	banyan_data *data; /* with the library: without a key */
	int fd, dir; /* through the mount: a temporary file in a directory */
	char name[40]; /* of it there */
};

/* Keys that are made or deleted in one key space, with the library at once */
struct batch {
	banyan *db; /* with the library: what the batch is done with */
	banyan_data *space;
	uint32_t mode; /* of a new key */
	int dir; /* through the mount */
};

/* Keys are paths that check_key() takes; flags are those of the library. */
struct store_ops {
	int (*find)(const struct store *store, const char *key,
		    struct key_info *info);

	/*
	 * As banyan_put(). Through the mount a value of up to PUT_MAX bytes
	 * replaces one that is not longer at once, and of a new key it is there
	 * at once; a longer old value is cut afterwards.
	 */
	int (*put)(const struct store *store, const char *key,
		   const void *value, size_t size, unsigned flags);

	/*
	 * Begin a value that key is to get, write its next bytes, put it, and
	 * end it, put or not. A draft through the mount replaces a value as put
	 * does, whatever its size.
	 */
	int (*draft_begin)(const struct store *store, const char *key,
			   unsigned flags, struct draft *draft);
	int (*draft_write)(struct draft *draft, const void *bytes, size_t size,
			   uint64_t offset);
	int (*draft_put)(const struct store *store, struct draft *draft,
			 const char *key, unsigned flags);
	void (*draft_end)(struct draft *draft);

	/* As banyan_alias(), banyan_rename() and so on */
	int (*alias)(const struct store *store, const char *key,
		     const char *alias);
	int (*rename)(const struct store *store, const char *key,
		      const char *new_key, unsigned flags);
	int (*make_space)(const struct store *store, const char *key,
			  unsigned flags);
	int (*remove)(const struct store *store, const char *key);

	/* Remove all that is in the key space at key, at any depth */
	int (*empty)(const struct store *store, const char *key);

	/*
	 * Begin a batch in the key space at key, insert and delete keys, and
	 * end it. -E2BIG: this key does not fit in, commit and begin another.
	 * Through the mount each key is made or deleted by itself: abort
	 * returns true to say that they stay.
	 */
	int (*batch_begin)(const struct store *store, const char *key,
			   struct batch *batch);
	int (*batch_insert)(struct batch *batch, const char *name, size_t len,
			    const void *value, size_t size);
	int (*batch_delete)(struct batch *batch, const char *name, size_t len);
	int (*batch_commit)(struct batch *batch);
	bool (*batch_abort)(struct batch *batch);

	/* As banyan_snapshot() and so on. -EOPNOTSUPP: the daemon does not know
	 * them. */
	int (*snapshot)(const struct store *store, const char *name);
	int (*snapshot_drop)(const struct store *store, const char *name);
	int (*snapshot_rename)(const struct store *store, const char *name,
			       const char *new_name);

	/* Make all durable, and release store->db or store->root */
	int (*close)(struct store *store);
};

extern const struct store_ops store_library, store_mount;

#define PUT_MAX (1u << 20)

/* Of a mounted target: set ops and root. -EAGAIN: it is mounted no longer. */
int store_open_mount(struct store *store);

/*
 * Find and open the database that an argument means. 0, or an exit status after
 * saying why: there is nothing to close then. For reading db is always set;
 * when: NULL: the present.
 */
int store_open_reading(struct store *store, const char *argument,
		       const struct when *when);

/*
 * The same, of the present. What was deleted last the daemon of a mount removes when it
 * is asked for figures, so it is asked first: a reader beside it would take that for live.
 */
int store_open_swept(struct store *store, const char *argument);

/*
 * For writing. flags: BANYAN_CREATE, BANYAN_EXCLUSIVE. Waits for another process
 * to close it, for as long as store_wait() said.
 */
int store_open_writing(struct store *store, const char *argument,
		       unsigned flags);

/* The same for what cannot be done through a mount: refused then */
int store_open_unmounted(struct store *store, const char *argument,
			 unsigned flags);

/*
 * Close it: returns status, or EXIT_FAILURE if closing failed, which means that
 * what was written may be lost.
 */
int store_close(struct store *store, int status);

/*
 * How long to wait for another process, in seconds: --wait, an option of all
 * commands that write, which command.c takes.
 */
#define WAIT_DEFAULT 5
void store_wait(uint64_t seconds);

/* An error about a file opened at a freeze (0: the present). EXIT_FAILURE. */
int fail_freeze(const struct target *target, uint64_t freeze, int error);
int fail_when(const struct target *target, const struct when *when, int error);
int fail_no_snapshot(const char *file, const char *name);

#endif
