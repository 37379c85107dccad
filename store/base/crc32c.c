/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C is linear: the checksum of a sum (XOR) is the sum of the checksums.
 * Both fast forms live on that. The table form looks up eight bytes on their
 * own, each with what it turns into when it is shifted to the end of the eight,
 * and adds up. The form for processors with the instruction, which takes three
 * clocks to answer but can be asked again each clock, runs through three parts
 * of the buffer side by side and then moves the checksums of the first two to
 * the end of the third.
 *
 * Measured (Xeon, 4 KiB): one stream 6 GB/s, three 20 GB/s; the tables 1.4 GB/s.
 */
#include "base/crc32c.h"

#include "base/bytes.h"

/* ---- by table --------------------------------------------------------- */

/*
 * A table of 256 entries from those of the eight bits a to h, from the lowest
 * one up: entry n is the sum of those whose bit is set in n.
 */
#define SUMS1(x, a) (x), (x) ^ (a)
#define SUMS2(x, a, b) SUMS1(x, a), SUMS1((x) ^ (b), a)
#define SUMS3(x, a, b, c) SUMS2(x, a, b), SUMS2((x) ^ (c), a, b)
#define SUMS4(x, a, b, c, d) SUMS3(x, a, b, c), SUMS3((x) ^ (d), a, b, c)
#define SUMS6(x, a, b, c, d, e, f)                          \
	SUMS4(x, a, b, c, d), SUMS4((x) ^ (e), a, b, c, d), \
		SUMS4((x) ^ (f), a, b, c, d),               \
		SUMS4((x) ^ (e) ^ (f), a, b, c, d)
#define SUMS8(a, b, c, d, e, f, g, h)                                    \
	{                                                                \
		SUMS6(0u, a, b, c, d, e, f), SUMS6(g, a, b, c, d, e, f), \
			SUMS6(h, a, b, c, d, e, f),                      \
			SUMS6((g) ^ (h), a, b, c, d, e, f)               \
	}

/* slices[i][b]: the byte b with i bytes of zeros behind it */
static const uint32_t slices[8][256] = {
	SUMS8(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f,
	      0x20bd8ede, 0x417b1dbc, 0x82f63b78),
	SUMS8(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181,
	      0x7f8be302, 0xff17c604, 0xfbc3faf9),
	SUMS8(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a,
	      0xe144fb14, 0xc76580d9, 0x8b277743),
	SUMS8(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d,
	      0xd725148b, 0xaba65fe7, 0x52a0c93f),
	SUMS8(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3,
	      0x1ba8b557, 0x37516aae, 0x6ea2d55c),
	SUMS8(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e,
	      0x85f4168d, 0x0e045beb, 0x1c08b7d6),
	SUMS8(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6,
	      0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
	SUMS8(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4,
	      0x0d006599, 0x1a00cb32, 0x34019664),
};

uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = get_le64(p) ^ crc;
		crc = slices[7][v & 255] ^ slices[6][v >> 8 & 255] ^
		      slices[5][v >> 16 & 255] ^ slices[4][v >> 24 & 255] ^
		      slices[3][v >> 32 & 255] ^ slices[2][v >> 40 & 255] ^
		      slices[1][v >> 48 & 255] ^ slices[0][v >> 56];
	}
	while (n--)
		crc = crc >> 8 ^ slices[0][(crc ^ *p++) & 255];
	return ~crc;
}

/* ---- by instruction --------------------------------------------------- */

#if defined(__x86_64__)

#include <immintrin.h>

/* crc is neither here nor below the complement that callers see */
__attribute__((target("sse4.2"))) static uint32_t
one_stream(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t c = crc;
	for (; n >= 8; n -= 8, p += 8)
		c = _mm_crc32_u64(c, get_le64(p));
	uint32_t c32 = (uint32_t)c;
	while (n--)
		c32 = _mm_crc32_u8(c32, *p++);
	return c32;
}

/*
 * Three parts of `part` bytes each. To move a checksum n bytes on is to multiply
 * it by x^8n modulo the polynomial. The carry-less product of two bit-reversed
 * numbers comes out times x, and the instruction that reduces it multiplies by
 * x^32, so once and twice are x^(8 part - 33) and x^(16 part - 33).
 */
struct parts {
	size_t part;
	uint32_t once;
	uint32_t twice;
};

__attribute__((target("sse4.2,pclmul"))) static uint32_t
three_streams(uint32_t crc, const uint8_t *p, const struct parts *by)
{
	uint64_t a = crc;
	uint64_t b = 0;
	uint64_t c = 0;
	for (const uint8_t *end = p + by->part; p < end; p += 8) {
		a = _mm_crc32_u64(a, get_le64(p));
		b = _mm_crc32_u64(b, get_le64(p + by->part));
		c = _mm_crc32_u64(c, get_le64(p + 2 * by->part));
	}
	__m128i moved = _mm_xor_si128(
		_mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a),
				     _mm_cvtsi32_si128((int)by->twice), 0),
		_mm_clmulepi64_si128(_mm_cvtsi32_si128((int)b),
				     _mm_cvtsi32_si128((int)by->once), 0));
	uint64_t sum = (uint64_t)_mm_cvtsi128_si64(moved);
	return (uint32_t)(_mm_crc32_u64(0, sum) ^ c);
}

static uint32_t crc32c_instruction(uint32_t crc, const void *bytes, size_t n)
{
	/* A block of 4 KiB with little left over, and the rest of one */
	static const struct parts parts[] = {
		{ 1360, 0x3f70cc6f, 0x5aa1f3cf },
		{ 336, 0xa60ce07b, 0xcec3662e },
	};
	const uint8_t *p = bytes;
	crc = ~crc;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (n < 3 * parts[i].part || !__builtin_cpu_supports("pclmul"))
			continue;
		for (; n >= 3 * parts[i].part; n -= 3 * parts[i].part) {
			crc = three_streams(crc, p, &parts[i]);
			p += 3 * parts[i].part;
		}
	}
	return ~one_stream(crc, p, n);
}

static int has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#elif defined(__ARM_FEATURE_CRC32) || \
	(defined(__aarch64__) && !defined(__clang__))

#include <arm_acle.h>
#include <sys/auxv.h>

#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1ul << 7)
#endif

#ifndef __ARM_FEATURE_CRC32
__attribute__((target("+crc")))
#endif
static uint32_t
crc32c_instruction(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8)
		crc = __crc32cd(crc, get_le64(p));
	while (n--)
		crc = __crc32cb(crc, *p++);
	return ~crc;
}

static int has_instruction(void)
{
#ifdef __ARM_FEATURE_CRC32
	return 1;
#else
	return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
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
