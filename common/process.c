/* SPDX-License-Identifier: MIT */
#include "common/process.h"

#include <stdio.h>
#include <string.h>

bool process_name(pid_t pid, char *name, size_t size)
{
	char path[40];
	FILE *file;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, (int)size, file))
		name[0] = '\0';
	fclose(file);
	name[strcspn(name, "\n")] = '\0';
	return *name != '\0';
}
