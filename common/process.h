/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What a process is called; false if nobody knows */
bool process_name(pid_t pid, char *name, size_t size);

/* The process that has started it; 0: nobody knows */
pid_t process_parent(pid_t pid);

#endif
