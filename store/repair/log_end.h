/* SPDX-License-Identifier: MIT */
/*
 * log_end.h - where the log of a file ends, and what is to be said of that.
 *
 * Nothing in a file tells of what comes behind it: whether a part was cut off
 * shows only where the cut goes through a record, or where the log lacks the
 * freeze with which a close ends it. A crash leaves the same.
 */
#ifndef STORE_REPAIR_LOG_END_H
#define STORE_REPAIR_LOG_END_H

#include "banyan.h"
#include "log/log_walk.h"

/* st: what log_recover() has found; w has the same log */
int log_end_find(const struct log_walk *w, const struct log_state *st,
		 struct banyan_log_end *end);

/* In words: false if there is nothing to be said. in_use: somebody has the file
 * open for writing. */
#define LOG_END_TEXT 240
bool log_end_text(const struct banyan_log_end *end, bool in_use,
		  char text[LOG_END_TEXT]);

#endif
