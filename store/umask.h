/* SPDX-License-Identifier: MIT */
/* umask.h - the file mode creation mask of this process, without changing it. */
#ifndef STORE_UMASK_H
#define STORE_UMASK_H

#include <sys/types.h>

/* As /proc tells it; 022 where it does not */
mode_t process_umask(void);

#endif
