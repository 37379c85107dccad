/* SPDX-License-Identifier: MIT */
/*
 * file_posix.h - a local file: what its bytes (file_posix.c), its name
 * (file_name.c) and the watch over both (file_verify.c) share.
 *
 * Threads: `temporary` belongs to the one thread that appends, which alone
 * changes `reserved` and `end`; reading, syncing and verifying may run beside
 * it.
 */
#ifndef STORE_FILE_FILE_POSIX_H
#define STORE_FILE_FILE_POSIX_H

#include <stdatomic.h>

#include "file/file.h"

struct posix_file {
	struct file file;
	int fd;
	int dir; /* O_PATH: the directory of name */
	char *name; /* within dir, no symbolic link when opened */
	char *temporary; /* within dir; NULL once published */
	bool writable;
	pid_t owner; /* not a child that has a copy of this */
	struct banyan_keeper keeper; /* of its lock */
	bool cannot_reserve;
	_Atomic uint64_t reserved; /* allocated by us up to here; 0: nothing */
	_Atomic uint64_t end; /* the size that appends have left */
	_Atomic bool reported; /* what somebody else has done to the file */
	/* Its place is taken by one that was made beside it */
	_Atomic bool superseded;
	/* Whose place it is to take; NULL: nobody's */
	struct posix_file *replaces;
	dev_t replaces_dev;
	ino_t replaces_ino;
};

static inline struct posix_file *posix_of(struct file *f)
{
	return (struct posix_file *)f;
}

/* The calls of a struct file */
extern const struct file_ops posix_ops;
int posix_size(struct file *f, uint64_t *size);
int posix_publish(struct file *f, bool replace);
int posix_beside(struct file *f, struct file **fresh);
int posix_sync_name(struct file *f);
int posix_exclude(struct file *f, bool on);

/* Let others lock the file, though a child may have the descriptor open */
void posix_unlock(struct file *f);

/* Around a sync, for who keeps the lock */
void posix_sync_begins(struct posix_file *p);
void posix_sync_ends(struct posix_file *p);
void posix_sync_failed(struct posix_file *p);

/* -EIO unless the file ends where the last append ended */
int posix_check_end(struct posix_file *p);
int posix_verify(struct file *f);

#endif
