/* SPDX-License-Identifier: MIT */
/* snapshot.h - what the public functions on freezes and snapshots share. */
#ifndef STORE_API_SNAPSHOT_H
#define STORE_API_SNAPSHOT_H

#include "banyan.h"
#include "log/format.h"

/* What is told of the freeze whose record is at offset */
struct banyan_freeze_info freeze_info(const struct freeze *f, uint64_t offset);

#endif
