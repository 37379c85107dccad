/* SPDX-License-Identifier: MIT */
#include "cpus.h"

#include <stdio.h>
#include <stdlib.h>

#define CPUS "/sys/devices/system/cpu/"

/* A list such as "0-3" or "0,2-3". How many; 0: not known, or some do not fit into
 * the set. */
static unsigned read_list(const char *path, cpu_set_t *set)
{
	FILE *f = fopen(path, "re");
	char line[4096] = "", *at = line;

	CPU_ZERO(set);
	if (f && !fgets(line, sizeof(line), f))
		*line = '\0';
	if (f)
		fclose(f);
	while (*at >= '0' && *at <= '9') {
		unsigned long from = strtoul(at, &at, 10), to = from;

		if (*at == '-')
			to = strtoul(at + 1, &at, 10);
		if (to >= CPU_SETSIZE)
			return 0;
		for (; from <= to; from++)
			CPU_SET(from, set);
		at += *at == ',';
	}
	return (unsigned)CPU_COUNT(set);
}

unsigned cpus_possible(void)
{
	cpu_set_t set;

	return read_list(CPUS "possible", &set);
}

unsigned cpus_online(cpu_set_t *set)
{
	return read_list(CPUS "online", set);
}

void cpus_bind(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}
