/* SPDX-License-Identifier: MIT */
/*
 * file.h - the seam between the store and what holds its bytes.
 *
 * A struct file is an append-only object: bytes are written at or beyond its
 * end, in order, and never change afterwards, but for holes that are punched
 * where nobody reads any more. Three implementations: a local
 * file (file_posix.c, file_name.c), memory (file_memory.c), and the
 * fault-injecting one of the tests. All return 0 or a negative errno value;
 * short transfers and EINTR stay inside. Reads may run beside an append;
 * appends, sync aside, come from one thread at a time.
 */
#ifndef STORE_FILE_FILE_H
#define STORE_FILE_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "banyan.h"

struct file;

struct file_ops {
	/* Exactly size bytes at offset, or -ENODATA if the file ends before */
	int (*read)(struct file *f, void *buffer, size_t size, uint64_t offset);
	/*
	 * Write all of iov (which may be changed) at offset, at or beyond the
	 * end; what lies between reads as zeros. On failure *written, never
	 * NULL, tells how many bytes reached the file. -EIO, too, if somebody
	 * else has changed the size of the file since the last append.
	 */
	int (*append)(struct file *f, struct iovec *iov, int count,
		      uint64_t offset, size_t *written);
	/* Make all that was appended durable, then verify as below. Never try
	 * again after failure. */
	int (*sync)(struct file *f);
	/*
	 * 0, or -EIO if somebody else has cut, deleted or replaced the file.
	 * NULL: nobody can.
	 */
	int (*verify)(struct file *f);
	int (*size)(struct file *f, uint64_t *size);
	/* What the disk has for the bytes up to the end, which is less than the
	 * size if there are holes; NULL: the size */
	int (*allocated)(struct file *f, uint64_t *bytes);
	/*
	 * See to it that the bytes up to `to` can be written without running
	 * out of space: 0, -ENOSPC, or -EOPNOTSUPP where nobody can know.
	 * The size stays. to = 0 gives back what is reserved beyond the end.
	 */
	int (*reserve)(struct file *f, uint64_t to);
	/* Forget cached pages from offset on, after a failed sync */
	int (*drop_cache)(struct file *f, uint64_t offset);
	/* Put a new file, made durable, in its place: see file_create() */
	int (*publish)(struct file *f, bool replace);
	/* Make its name durable: whoever gave it the file may have been killed
	 * before. NULL: nothing is to be done. */
	int (*sync_name)(struct file *f);
	/* Keep those out who open it to read: -EBUSY if there are any. on =
	 * false: let them in again. NULL: nobody else can read it. */
	int (*exclude)(struct file *f, bool on);
	/* Give the blocks in [from, to) back to the disk: they read as zeros.
	 * NULL: that cannot be done. */
	int (*punch)(struct file *f, uint64_t from, uint64_t to);
	/* The bytes in [from, to) will be read soon; NULL: nothing comes of it */
	void (*will_need)(struct file *f, uint64_t from, uint64_t to);
	/* What was appended in [from, to) is to be on its way to the disk, which a
	 * sync waits for; NULL: nothing comes of it */
	void (*write_out)(struct file *f, uint64_t from, uint64_t to);
	/* A new file that can take the place of this one: see file_beside().
	 * NULL: there can be none. */
	int (*beside)(struct file *f, struct file **fresh);
	/* A descriptor of it by O_PATH, of the caller's; NULL: there is none */
	int (*describe)(struct file *f);
	/* Let others write to it, as nothing is appended any more; NULL: there is
	 * no lock */
	void (*unlock)(struct file *f);
	void (*trust)(struct file *f);
	void (*close)(struct file *f); /* drops an unpublished file */
};

struct file {
	const struct file_ops *ops;
	/* Gets a line if another program has changed the file. May be NULL. */
	void (*report)(void *arg, const char *line);
	void *report_arg;
	bool published; /* it has its name */
	/* Who had it open before has died, and saw no sync fail: see struct
	 * banyan_keeper */
	bool trusted;
	/* Nobody relies on it when the disk is full: nothing is kept allocated
	 * beyond the end */
	bool temporary;
};

static inline int file_read(struct file *f, void *buffer, size_t size,
			    uint64_t offset)
{
	return f->ops->read(f, buffer, size, offset);
}

static inline int file_append(struct file *f, struct iovec *iov, int count,
			      uint64_t offset, size_t *written)
{
	return f->ops->append(f, iov, count, offset, written);
}

static inline int file_sync(struct file *f)
{
	return f->ops->sync(f);
}

static inline int file_verify(struct file *f)
{
	return f->ops->verify ? f->ops->verify(f) : 0;
}

static inline int file_size(struct file *f, uint64_t *size)
{
	return f->ops->size(f, size);
}

static inline int file_allocated(struct file *f, uint64_t *bytes)
{
	return f->ops->allocated ? f->ops->allocated(f, bytes) :
				   f->ops->size(f, bytes);
}

static inline int file_reserve(struct file *f, uint64_t to)
{
	return f->temporary ? -EOPNOTSUPP : f->ops->reserve(f, to);
}

static inline int file_drop_cache(struct file *f, uint64_t offset)
{
	return f->ops->drop_cache(f, offset);
}

static inline int file_sync_name(struct file *f)
{
	return f->ops->sync_name ? f->ops->sync_name(f) : 0;
}

static inline int file_publish(struct file *f, bool replace)
{
	return f->ops->publish(f, replace);
}

/*
 * Alone with the file, its writer may punch holes into it. A read-only file_open()
 * waits until others are let in again. -EBUSY: somebody reads it.
 */
static inline int file_exclude(struct file *f, bool on)
{
	return f->ops->exclude ? f->ops->exclude(f, on) : 0;
}

#define FILE_BLOCK 4096u /* holes begin and end at multiples of it */

/* The bytes need not survive, not even if this fails. -EOPNOTSUPP. */
static inline int file_punch(struct file *f, uint64_t from, uint64_t to)
{
	return f->ops->punch ? f->ops->punch(f, from, to) : -EOPNOTSUPP;
}

/* Have the bytes in [from, to) written to the disk while other things are done */
static inline void file_write_out(struct file *f, uint64_t from, uint64_t to)
{
	if (f->ops->write_out)
		f->ops->write_out(f, from, to);
}

/* Fetch the bytes in [from, to) from the disk while other things are done */
static inline void file_will_need(struct file *f, uint64_t from, uint64_t to)
{
	if (f->ops->will_need)
		f->ops->will_need(f, from, to);
}

/*
 * A new file, locked and nowhere to be seen, that file_publish() with `replace`
 * puts in the place of f, which is to be open until then, if f is still there:
 * else -ESTALE. It has the mode, the owner, the ACL and the other attributes of
 * f. -ESTALE: f has been moved away; -EMLINK: it has another name as well;
 * -EOPNOTSUPP; or why there can be no file there.
 */
static inline int file_beside(struct file *f, struct file **fresh)
{
	return f->ops->beside ? f->ops->beside(f, fresh) : -EOPNOTSUPP;
}

static inline int file_describe(struct file *f)
{
	return f->ops->describe ? f->ops->describe(f) : -EOPNOTSUPP;
}

/* What is in the file has been synced and read again */
static inline void file_trust(struct file *f)
{
	if (f->ops->trust)
		f->ops->trust(f);
}

static inline void file_unlock(struct file *f)
{
	if (f->ops->unlock)
		f->ops->unlock(f);
}

static inline void file_close(struct file *f)
{
	if (f)
		f->ops->close(f);
}

/*
 * A local file. Opened for writing it is locked: -EBUSY if somebody else has
 * it. -EISDIR for a directory, -EINVAL for anything else but a regular file.
 * keeper (NULL: nobody) keeps the lock, as banyan.h has it, and is copied.
 */
int file_open(const char *path, bool writable,
	      const struct banyan_keeper *keeper, struct file **f);

/*
 * A new local file, locked, that is nowhere to be seen (an unnamed or a hidden
 * temporary beside path) until file_publish() puts it at path: -EEXIST if there
 * is one already and `replace` is not set. Publishing syncs the file before and
 * the directory afterwards.
 */
int file_create(const char *path, mode_t mode,
		const struct banyan_keeper *keeper, struct file **f);

/*
 * A new file that is never published, beside another one; where none can be
 * made there, in the directory for temporary files ($TMPDIR, else /tmp).
 */
int file_scratch(struct file *beside, struct file **fresh);

/* A file in memory, empty, published from the beginning */
int file_memory(struct file **f);

/* Who has the local file at path locked; see banyan_holder() */
pid_t file_holder(const char *path);

/* Has somebody, who may be this process, the local file at path locked? */
static inline bool file_in_use(const char *path)
{
	pid_t holder = file_holder(path);
	return holder > 0 || holder == -1;
}

/* Leave this process' pid with a locked local file; 0 on any other file */
int file_claim(struct file *f);

#endif
