/* SPDX-License-Identifier: MIT */
#include "linear_values.h"

#include <string.h>

/* In the row, in an extent, in two chunks */
size_t linear_value_size(uint32_t value)
{
	static const size_t sizes[] = { 8, 200, 600, LINEAR_VALUE_MAX };
	return sizes[value % 4];
}

void linear_value_fill(char *bytes, uint32_t value)
{
	for (size_t i = 0; i < linear_value_size(value); i += sizeof(value)) {
		uint32_t word = i ? value * (uint32_t)(i + 1) : value;
		memcpy(bytes + i, &word, sizeof(word));
	}
}

uint32_t linear_value_of(const void *bytes, ssize_t size)
{
	char want[LINEAR_VALUE_MAX];
	uint32_t value = 0;
	if (size < (ssize_t)sizeof(value))
		return UINT32_MAX;
	memcpy(&value, bytes, sizeof(value));
	if ((size_t)size != linear_value_size(value))
		return UINT32_MAX;
	linear_value_fill(want, value);
	return memcmp(want, bytes, (size_t)size) == 0 ? value : UINT32_MAX;
}
