/* SPDX-License-Identifier: MIT */
/*
 * message.h - what the daemon has to say.
 *
 * One line a message: "banyanfs: FILE: what is wrong; what to do". It goes to
 * standard error while somebody reads that, and to the system's log once the
 * daemon is on its own. What libfuse says is kept, so that it can be made part
 * of such a line.
 */
#ifndef FS_MESSAGE_H
#define FS_MESSAGE_H

/* subject: what messages are about from now on, the database file, or NULL */
void message_start(const char *subject);

/* From now on to the system's log */
void message_to_system(void);

/* Say a line about the subject */
__attribute__((format(printf, 1, 2))) void message(const char *format, ...);

/* Say a line about something else */
__attribute__((format(printf, 2, 3))) void
message_about(const char *subject, const char *format, ...);

/* The last thing that libfuse complained about, without a newline, or "" */
const char *message_libfuse_said(void);

/* Let libfuse talk to standard error by itself (option debug) */
void message_libfuse_free(void);

#endif
