/* SPDX-License-Identifier: MIT */
/*
 * timestamp.h - a time as rows, records and the inside of the store have it.
 *
 * A timestamp counts nanoseconds since 2^31 seconds before 1970, which is the
 * earliest time that ext4 has: from 1901-12-13 20:45:52 to 2486-07-02 20:20:25
 * UTC. Each number of 64 bits is a time, so a reader has none to refuse, times
 * compare as integers, and the difference of two, modulo 2^64, gives either
 * from the other.
 */
#ifndef STORE_BASE_TIMESTAMP_H
#define STORE_BASE_TIMESTAMP_H

#include <stdint.h>

#include "banyan.h"

typedef uint64_t timestamp;

#define TIMESTAMP_MAX UINT64_MAX
#define NSEC_PER_SEC UINT64_C(1000000000)

/* The nearest timestamp: 0 for earlier times, TIMESTAMP_MAX for later ones.
 * time.nsec must be below NSEC_PER_SEC. */
static inline timestamp timestamp_of(struct banyan_time time)
{
	if (time.sec < BANYAN_TIME_MIN)
		return 0;
	if (time.sec > BANYAN_TIME_MAX ||
	    (time.sec == BANYAN_TIME_MAX &&
	     time.nsec > TIMESTAMP_MAX % NSEC_PER_SEC))
		return TIMESTAMP_MAX;
	return (uint64_t)(time.sec - BANYAN_TIME_MIN) * NSEC_PER_SEC +
	       time.nsec;
}

static inline struct banyan_time timestamp_split(timestamp t)
{
	return (struct banyan_time){
		.sec = (int64_t)(t / NSEC_PER_SEC) + BANYAN_TIME_MIN,
		.nsec = t % NSEC_PER_SEC,
	};
}

#endif
