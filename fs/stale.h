/* SPDX-License-Identifier: MIT */
/*
 * stale.h - when the kernel should list a key space again although it has the listing.
 *
 * After a READ or a WRITE the kernel takes some attributes of the inode for unknown,
 * and sends GETATTR when a program wants them. READDIRPLUS brings the attributes of all
 * keys along; a listing from the kernel's cache brings none. So `du` after `grep -r`
 * sent a GETATTR for each file, where one READDIRPLUS would bring the attributes of up
 * to 140 files.
 *
 * A Data is stale (NODES_STALE) from such a request until its attributes are sent to the
 * kernel. For each key space the daemon counts the Data in it that have become stale
 * since it was last listed. If many have, OPENDIR makes the kernel drop its listing.
 *
 * The counts are estimates, which only affects speed: a Data whose attributes were sent
 * by GETATTR stays counted, one that has or had several keys is not counted, and of two
 * key spaces that share a slot of the table only the one listed last is counted.
 */
#ifndef FS_STALE_H
#define FS_STALE_H

#include "fs.h"

/* The kernel has dropped attributes of the Data; it is being sent all of them */
void stale_note(banyan_data *data);
void stale_told(banyan_data *data);

/* A listing of the key space begins; it has come to a key of this Data */
void stale_begin(uint64_t space);
void stale_entry(uint64_t space, banyan_data *data);

/* Should the kernel list the key space again? */
bool stale_is(uint64_t space);

#endif
