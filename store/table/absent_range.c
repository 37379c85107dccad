/* SPDX-License-Identifier: MIT */
#include "table/absent_range.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

#define USED_LEAST 8u
#define WAIT_MAX 1024u

bool absent_range_has(struct absent_range *g, const void *key, size_t len)
{
	if (!g->known || compare_bytes(key, len, g->low, g->low_len) < 0 ||
	    (!g->endless && compare_bytes(key, len, g->high, g->high_len) >= 0))
		return false;
	g->used++;
	return true;
}

bool absent_range_wanted(struct absent_range *g)
{
	if (g->known) {
		g->known = false;
		if (g->used >= USED_LEAST)
			g->next_wait = 0;
		else if (g->next_wait < WAIT_MAX)
			g->next_wait = 2 * g->next_wait + 1;
		g->wait = g->next_wait;
	}
	if (!g->wait)
		return true;
	g->wait--;
	return false;
}

void absent_range_set(struct absent_range *g, const void *low, size_t low_len,
		      const void *high, size_t high_len)
{
	assert(low_len <= ROW_KEY_MAX && high_len <= ROW_KEY_MAX);
	memcpy(g->low, low, low_len);
	g->low_len = low_len;
	g->endless = !high;
	if (high)
		memcpy(g->high, high, high_len);
	g->high_len = high_len;
	g->used = 0;
	g->known = true;
}

void absent_range_forget(struct absent_range *g)
{
	g->known = false;
	g->wait = 0;
	g->next_wait = 0;
}
