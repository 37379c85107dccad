/* SPDX-License-Identifier: MIT */
#include "common/process.h"

#include <stdio.h>
#include <stdlib.h>
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

pid_t process_parent(pid_t pid)
{
	char path[40], line[512];
	const char *at = NULL;
	long parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* The name, in parentheses, may have any of them in it */
	if (fgets(line, sizeof(line), file))
		at = strrchr(line, ')');
	fclose(file);
	/* A space, the state, a space */
	if (at && strlen(at) > 4)
		parent = strtol(at + 4, NULL, 10);
	return (pid_t)parent;
}
