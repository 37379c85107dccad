/* SPDX-License-Identifier: MIT */
/* iso_time.h - a time as people write it, for the programs */
#ifndef COMMON_ISO_TIME_H
#define COMMON_ISO_TIME_H

#include <stdbool.h>

#include "banyan.h"

/*
 * A date as ISO 8601 has it, with a time or without, with fractions of a second
 * and a zone or without: 2026-05-31T12:00:00.5+02:00. Without a zone it is local
 * time. All of the text; false: it is none.
 */
bool iso_time_parse(const char *text, struct banyan_time *time);

#endif
