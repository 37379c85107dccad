/* SPDX-License-Identifier: MIT */
/* umask.h - the file mode creation mask of this process, without changing it. */
#ifndef STORE_BASE_UMASK_H
#define STORE_BASE_UMASK_H

#include <sys/types.h>

/* As /proc tells it; 022 where it does not */
mode_t process_umask(void);

/* The mode of a new database file: as wanted, or, if that is 0, as the mask has
 * it */
mode_t new_file_mode(mode_t wanted);

#endif
