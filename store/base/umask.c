/* SPDX-License-Identifier: MIT */
#include "base/umask.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* umask(2) can only set: while it is changed and put back, other threads would
 * create files without a mask */
mode_t process_umask(void)
{
	char text[512];
	mode_t mask = 022;
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mask;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0) {
		text[n] = '\0';
		const char *line = strstr(text, "\nUmask:");
		if (line)
			mask = (mode_t)strtoul(line + 7, NULL, 8) & 0777;
	}
	return mask;
}

mode_t new_file_mode(mode_t wanted)
{
	return wanted ? wanted & 07777 : 0644 & ~process_umask();
}
