/* SPDX-License-Identifier: MIT */
#include "crc32c.h"

#include <string.h>

#include "bytes.h"

/* x^32 + ... bit-reversed: the Castagnoli polynomial */
#define POLYNOMIAL 0x82f63b78u

/*
 * The table for one nibble. A table for bytes or for eight bytes at a time
 * would have to be built at run time (no globals here) or be long to read; this
 * form only serves processors without the instruction.
 */
static const uint32_t nibbles[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	crc = ~crc;
	while (n--) {
		crc ^= *p++;
		crc = crc >> 4 ^ nibbles[crc & 15];
		crc = crc >> 4 ^ nibbles[crc & 15];
	}
	return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t
crc32c_instruction(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t c = ~crc;
	while (n >= 8) {
		c = _mm_crc32_u64(c, get_le64(p));
		p += 8;
		n -= 8;
	}
	uint32_t c32 = (uint32_t)c;
	while (n--)
		c32 = _mm_crc32_u8(c32, *p++);
	return ~c32;
}

static int has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#elif defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

static uint32_t crc32c_instruction(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint32_t c = ~crc;
	while (n >= 8) {
		c = __crc32cd(c, get_le64(p));
		p += 8;
		n -= 8;
	}
	while (n--)
		c = __crc32cb(c, *p++);
	return ~c;
}

static int has_instruction(void)
{
	return 1;
}

#else

static uint32_t crc32c_instruction(uint32_t crc, const void *bytes, size_t n)
{
	return crc32c_table(crc, bytes, n);
}

static int has_instruction(void)
{
	return 0;
}

#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t n)
{
	return has_instruction() ? crc32c_instruction(crc, bytes, n) :
				   crc32c_table(crc, bytes, n);
}
