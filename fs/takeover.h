/* SPDX-License-Identifier: MIT */
/*
 * takeover.h - a worker goes on where another one has died.
 *
 * What the kernel has sent and nobody has answered it is asked to send once more
 * (FUSE_NOTIFY_RESEND). All of that is read before anything is served: the requests
 * that come again were not answered, so what their answers would have told is taken
 * back from the kernel's counts; all others were.
 */
#ifndef FS_TAKEOVER_H
#define FS_TAKEOVER_H

#include "fs.h"
#include "lasting.h"

/* Is there somebody to take over from? */
static inline bool takeover_is_one(const struct lasting *l)
{
	return l->served;
}

/*
 * Find out what the kernel knows and has asked for, and hold what it remembers. The
 * database has just been opened. 0 or a negative errno value, explained.
 */
int takeover_begin(struct fs *fs);

/*
 * Count what is left of the FORGETs that threads have read and not served: by a worker
 * that has died, or by this one, whose threads have ended. (libfuse drops a message that
 * it reads when the session is to end. The kernel sends requests again, but no FORGET.)
 */
void takeover_forget(struct lasting *l);

/*
 * Serve what came again, one request after the other, before anybody else is served: if
 * this daemon dies again it is known of which. Such a request is answered with EIO when
 * it has killed DEATHS daemons in a row.
 */
#define TAKEOVER_DEATHS 3
void takeover_serve(struct fs *fs);

/* It serves: how long did it take? */
void takeover_end(struct fs *fs);

#endif
