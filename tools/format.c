/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* clang-format off */
static const struct type {
	mode_t bits;
	char letter;
	const char *name;
} types[] = {
	{ S_IFREG, '-', "file" },
	{ S_IFDIR, 'd', "key_space" },
	{ S_IFLNK, 'l', "symlink" },
	{ S_IFIFO, 'p', "fifo" },
	{ S_IFSOCK, 's', "socket" },
	{ S_IFCHR, 'c', "character_device" },
	{ S_IFBLK, 'b', "block_device" },
	{ 0, '?', "unknown" },
};
/* clang-format on */

static const struct type *find_type(uint32_t mode)
{
	const struct type *type = types;

	while (type->bits && type->bits != (mode & S_IFMT))
		type++;
	return type;
}

const char *format_type(uint32_t mode)
{
	return find_type(mode)->name;
}

/* The letter of an execute bit that shares its place with a special one */
static char special(uint32_t mode, uint32_t bit, uint32_t execute, char letter)
{
	if (mode & bit)
		return mode & execute ? letter : (char)(letter - 'a' + 'A');
	return mode & execute ? 'x' : '-';
}

void format_mode(uint32_t mode, char text[11])
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = find_type(mode)->letter;
	for (unsigned i = 0; i < 9; i++)
		text[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
	text[3] = special(mode, S_ISUID, S_IXUSR, 's');
	text[6] = special(mode, S_ISGID, S_IXGRP, 's');
	text[9] = special(mode, S_ISVTX, S_IXOTH, 't');
	text[10] = '\0';
}

void format_minute(struct banyan_time time, char *text, size_t size)
{
	time_t seconds = (time_t)time.sec;
	struct tm local;

	if (!localtime_r(&seconds, &local) ||
	    !strftime(text, size, "%Y-%m-%d %H:%M", &local))
		snprintf(text, size, "%" PRId64, time.sec);
}

void format_time(struct banyan_time time, char *text, size_t size)
{
	char day[40], zone[16];
	time_t seconds = (time_t)time.sec;
	struct tm local;

	if (!localtime_r(&seconds, &local) ||
	    !strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &local) ||
	    !strftime(zone, sizeof(zone), "%z", &local))
		snprintf(text, size, "%" PRId64 ".%09" PRIu64, time.sec,
			 time.nsec);
	else
		snprintf(text, size, "%s.%09" PRIu64 " %s", day, time.nsec,
			 zone);
}

void format_bytes(uint64_t bytes, char *text, size_t size)
{
	static const char *const units[] = { "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, size, "%" PRIu64 " bytes", bytes);
		return;
	}
	for (; value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(*units);
	     unit++)
		value /= 1024;
	snprintf(text, size, "%" PRIu64 " bytes (%.1f %s)", bytes, value,
		 units[unit]);
}

void format_uuid(const uint8_t uuid[16], char text[37])
{
	size_t at = 0;

	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		snprintf(text + at, 3, "%02x", uuid[i]);
		at += 2;
	}
}

/* Most keys of a listing have the owner of the one before: ask only once */
struct owner {
	uint32_t id;
	char name[64]; /* empty: nothing asked yet */
};

static const char *remember(struct owner *owner, uint32_t id, const char *name)
{
	owner->id = id;
	if (name)
		snprintf(owner->name, sizeof(owner->name), "%s", name);
	else
		snprintf(owner->name, sizeof(owner->name), "%" PRIu32, id);
	return owner->name;
}

const char *format_user(uint32_t uid)
{
	static struct owner last;
	const struct passwd *user;

	if (last.name[0] && last.id == uid)
		return last.name;
	user = getpwuid(uid);
	return remember(&last, uid, user ? user->pw_name : NULL);
}

const char *format_group(uint32_t gid)
{
	static struct owner last;
	const struct group *group;

	if (last.name[0] && last.id == gid)
		return last.name;
	group = getgrgid(gid);
	return remember(&last, gid, group ? group->gr_name : NULL);
}

const char *format_event(enum banyan_event event)
{
	switch (event) {
	case BANYAN_KEPT:
		return "kept";
	case BANYAN_MADE:
		return "made";
	case BANYAN_CHANGED:
		return "changed";
	case BANYAN_ATTRIBUTES:
		return "attributes";
	case BANYAN_REPLACED:
		return "replaced";
	case BANYAN_MOVED:
		return "moved away";
	case BANYAN_DELETED:
		return "deleted";
	default:
		return "?";
	}
}
