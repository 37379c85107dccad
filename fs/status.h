/* SPDX-License-Identifier: MIT */
/*
 * status.h - .banyan/status for people and .banyan/status.json for programs.
 *
 * Each LOOKUP makes a new node with the text of that moment, and the kernel is
 * told to look the name up again each time. So a file has its exact size, and
 * what is read from one open file is of one moment. (One node would not do:
 * without OPEN the kernel shows what it has read first, for ever.)
 */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include "fs.h"

#define STATUS_NAME "status"
#define STATUS_JSON_NAME "status.json"

/* Answer a LOOKUP with a new node */
void status_reply(fuse_req_t req, bool json);

/* The handlers of such nodes */
void status_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops);

/* At the end, when no request is served any more: nodes that the kernel knows */
void status_free(void);

#endif
