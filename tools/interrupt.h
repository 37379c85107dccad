/* SPDX-License-Identifier: MIT */
/*
 * interrupt.h - Ctrl-C for commands that have something to take back: the
 * signal is only noted, and the command ends itself by it when it has tidied up.
 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <stdbool.h>

/*
 * From now on SIGINT, SIGTERM and SIGHUP are noted, unless they are ignored, and
 * make a read that waits fail with EINTR.
 */
void catch_interrupts(void);

bool interrupted(void);

/* End the process by the signal that was noted, if one was */
void end_if_interrupted(void);

#endif
