/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - which CPUs there are.
 */
#ifndef FS_CPUS_H
#define FS_CPUS_H

#include <sched.h>

/* How many CPUs the machine could have. 0: not known, or more than CPU_SETSIZE.
 */
unsigned cpus_possible(void);

/* Those that are online. How many; 0: not known. */
unsigned cpus_online(cpu_set_t *set);

/* Keep the calling thread on one. It may fail, where that is offline or not for
 * us; then it runs where it may. */
void cpus_bind(unsigned cpu);

#endif
