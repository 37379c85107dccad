/* SPDX-License-Identifier: MIT */
/*
 * awake.h - keep the processors from sleeping while others are measured.
 *
 * A virtual processor that has nothing to do is taken away by its host, and on
 * many hosts it takes 0.3 to 0.6 ms to come back: with more than 0.1 ms of
 * computing between them, syncs of a fast disk then take four times as long,
 * and the engine that computes a little more is punished for the machine. So
 * here threads of the lowest kind compute nothing in particular: they run only
 * where nobody else wants to.
 */
#ifndef BENCH_AWAKE_H
#define BENCH_AWAKE_H

/* One thread a processor, until the process ends */
void keep_awake(void);

#endif
