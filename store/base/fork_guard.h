/* SPDX-License-Identifier: MIT */
/*
 * fork_guard.h - is this the process in which an object was made, or a child
 * that fork(2) has copied it to?
 *
 * A page that the kernel wipes in a child (MADV_WIPEONFORK, Linux 4.14) answers
 * that with one load. Where the kernel cannot do so, process ids are compared.
 */
#ifndef STORE_BASE_FORK_GUARD_H
#define STORE_BASE_FORK_GUARD_H

#include <stdbool.h>

struct fork_guard;

struct fork_guard *fork_guard_new(void); /* NULL: no memory */
void fork_guard_free(struct fork_guard *g); /* NULL is fine */

/* False in a child of the process that made the guard */
bool fork_guard_is_owner(const struct fork_guard *g);

#endif
