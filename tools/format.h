/* SPDX-License-Identifier: MIT */
/* format.h - numbers, times, modes and owners as people read them */
#ifndef TOOLS_FORMAT_H
#define TOOLS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "banyan.h"

/* "-rw-r--r--" as ls -l has it */
void format_mode(uint32_t mode, char text[11]);

/* "file", "key_space", "symlink", ...: never NULL */
const char *format_type(uint32_t mode);

/* In local time: to the minute, or in full */
void format_minute(struct banyan_time time, char *text, size_t size);
void format_time(struct banyan_time time, char *text, size_t size);

/* "1536 bytes (1.5 KiB)" */
void format_bytes(uint64_t bytes, char *text, size_t size);

/* 00112233-4455-6677-8899-aabbccddeeff */
void format_uuid(const uint8_t uuid[16], char text[37]);

/* The name of a user or group, or the number; valid until the next call */
const char *format_user(uint32_t uid);
const char *format_group(uint32_t gid);

/* What became of a key, as 'banyan log' shows it; never NULL */
const char *format_event(enum banyan_event event);

#endif
