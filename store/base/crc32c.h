/* SPDX-License-Identifier: MIT */
/*
 * crc32c.h - CRC-32C (Castagnoli; RFC 3720, B.4), by the processor's
 * instruction where it has one (SSE4.2, ARMv8), else by table.
 *
 * crc32c(0, p, n) is the checksum of n bytes; crc32c(crc32c(0, a), b) that of
 * a followed by b.
 */
#ifndef STORE_BASE_CRC32C_H
#define STORE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);

/* The table form, for tests to hold the other against */
uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t n);

#endif
