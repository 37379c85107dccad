/* SPDX-License-Identifier: MIT */
/*
 * linear_values.h - values that tell which they are: a number, and bytes that
 * follow from it, of one of four sizes, so that one that is torn, or a mixture
 * of two, is none.
 */
#ifndef TESTS_LINEAR_VALUES_H
#define TESTS_LINEAR_VALUES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LINEAR_VALUE_MAX 20000u /* bytes */

/* How long a value is: its number's two lowest bits say it, 3 is the longest */
size_t linear_value_size(uint32_t value);

/* Its bytes */
void linear_value_fill(char *bytes, uint32_t value);

/* Which value these bytes are: UINT32_MAX if they are none, or torn */
uint32_t linear_value_of(const void *bytes, ssize_t size);

#endif
