/* SPDX-License-Identifier: MIT */
/* payload.h - the payloads of records, read and verified */
#ifndef STORE_LOG_PAYLOAD_H
#define STORE_LOG_PAYLOAD_H

#include "file/file.h"
#include "log/log_scan.h"

/*
 * Read size bytes at start of a payload that lies at offset and has length
 * bytes, verified against sum (see struct log_place). -EBADMSG if they differ.
 */
int payload_read(struct file *file, uint64_t offset, uint32_t length,
		 uint32_t sum, uint32_t start, uint32_t size, uint8_t *buffer);

/* Read the whole payload of a record and compare: 0, -EBADMSG, or an error of
 * reading */
int payload_verify(struct file *file, const struct log_record *record);

#endif
