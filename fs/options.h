/* SPDX-License-Identifier: MIT */
/*
 * options.h - what the command line asks for.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#define FUSE_USE_VERSION 312
#include <fuse_opt.h>

#include <stdbool.h>
#include <stdint.h>

/* How requests are to come (transport.h) */
enum transport_wish { TRANSPORT_ANY, TRANSPORT_URING, TRANSPORT_WORKERS };

struct options {
	const char *file; /* as given */
	const char *dir;
	char *fsname; /* of malloc: shown as the source; NULL: the file */
	char *subtype; /* of malloc: the type is fuse.NAME; NULL: banyanfs */
	bool foreground;
	bool debug;
	bool read_only;
	bool create;
	bool allow_other;
	bool acl; /* access control lists */
	bool allow_suid;
	bool allow_dev;
	bool no_suid, no_dev; /* whatever is allowed */
	bool no_exec;
	bool remount; /* change the flags of what is mounted on dir */
	char *of_kernel; /* of malloc: an option that only a remount may have */
	bool has_uid, has_gid; /* show one owner for all */
	uint32_t uid, gid;
	uint64_t cache_bytes; /* 0: the library's default */
	unsigned commit_seconds;
	unsigned threads;
	unsigned threads_most; /* of the transport, by the limits of memory */
	enum transport_wish transport;
	bool survive; /* the death of the daemon, whatever it costs */
	bool no_survive;
	unsigned watchdog_seconds; /* 0: off */
	/* Of the file that has to be reclaimable: for FITRIM to vacuum a large
	 * database; for the daemon to do so by itself, 0: never */
	unsigned trim_percent;
	bool trim_punch;
	unsigned autovacuum_percent;
	uint64_t keep_seconds; /* vacuums keep the freezes of the last so many */
	struct fuse_args args; /* left for libfuse */
};

/* options_parse() says: go on. Everything else is an exit status. */
#define OPTIONS_RUN (-1)

/*
 * Parse. What is wrong has been said on standard error, help on standard
 * output. Strings point into argv, which must stay.
 */
int options_parse(struct options *o, int argc, char **argv);

/*
 * Add what this file system always wants of libfuse, with source, the absolute
 * name of the database file, as the name of the device. -ENOMEM.
 */
int options_complete(struct options *o, const char *source);

void options_free(struct options *o);

/* A number of seconds, or of what follows it: s, m, h, d or w; false: neither */
bool options_duration(const char *text, uint64_t *seconds);

/* All of the text as a number in decimal; false: it is none, or more than max */
bool options_number(const char *text, uint64_t max, uint64_t *value);

#endif
