/* SPDX-License-Identifier: MIT */
/*
 * route.h - which handlers a request is for: those of the database or of a kind
 * of node below .banyan.
 */
#ifndef FS_ROUTE_H
#define FS_ROUTE_H

#include "fs.h"

/* The handlers that libfuse calls, for fs->live and what is hidden */
void route_ops(struct fuse_lowlevel_ops *ops);

#endif
