/* SPDX-License-Identifier: MIT */
/*
 * banyan umount. The kernel answers umount(2) before the daemon has written
 * its last state: who copies or moves the file afterwards wants to know when
 * it is closed, so this waits for the lock on it.
 */
#include <errno.h>
#include <mntent.h>
#include <poll.h>
#include <pwd.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "quote.h"
#include "users.h"

#define TIMEOUT_DEFAULT 60 /* seconds */
#define TIMEOUT_MAX (365L * 24 * 3600)
#define PAUSE_MAX 50 /* ms between two looks at the lock */

/* ---- unmounting ------------------------------------------------------- */

static int fail_busy(const struct target *target)
{
	char *users = users_of(target->point);

	complain("%s is busy%s%s", quote(target->mount),
		 users ? ": in use by " : "", users ? users : "");
	free(users);
	return EXIT_FAILURE;
}

static int fail_unmount(const struct target *target, const char *why)
{
	complain("%s: cannot be unmounted: %s", quote(target->mount), why);
	return EXIT_FAILURE;
}

/* Run fusermount3; its standard error goes to fd. An errno value on failure. */
static int spawn_helper(char *point, int fd, pid_t *pid)
{
	char program[] = "fusermount3", unmount[] = "-u", end[] = "--";
	char *arguments[] = { program, unmount, end, point, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	error = posix_spawn_file_actions_init(&actions);
	if (error)
		return error;
	error = posix_spawn_file_actions_adddup2(&actions, fd, STDERR_FILENO);
	if (!error)
		error = posix_spawnp(pid, program, &actions, NULL, arguments,
				     environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* What a helper has to say, its first line; and its exit status */
static int listen_to(pid_t pid, int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t got;
	int status;

	do {
		got = read(fd, text + len, size - 1 - len);
		if (got > 0)
			len += (size_t)got;
	} while ((got > 0 && len < size - 1) || (got < 0 && errno == EINTR));
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* As a user, by the help of fusermount3, which may unmount what is ours */
static int unmount_by_helper(const struct target *target)
{
	char text[512] = "";
	int fds[2], error, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return fail_unmount(target, strerror(errno));
	error = spawn_helper(target->point, fds[1], &pid);
	close(fds[1]);
	status = error ? -1 : listen_to(pid, fds[0], text, sizeof(text));
	close(fds[0]);

	if (status == 0)
		return 0;
	if (error == ENOENT)
		return fail_unmount(target, "the program fusermount3 is "
					    "missing (Debian: fuse3)");
	if (error)
		return fail_unmount(target, strerror(error));
	if (strstr(text, strerror(EBUSY)))
		return fail_busy(target);
	return fail_unmount(target, *text ? quote(text) : "fusermount3 failed");
}

/* The user who has mounted it, from the options of the mount; -1: unknown */
static uid_t owner_of(const struct target *target)
{
	FILE *list = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;
	const char *option;
	uid_t owner = (uid_t)-1;

	while (list && (mount = getmntent(list))) {
		if (strcmp(mount->mnt_dir, target->point) != 0)
			continue;
		option = hasmntopt(mount, "user_id");
		owner = option ? (uid_t)strtoul(strchr(option, '=') + 1, NULL,
						10) :
				 (uid_t)-1;
	}
	if (list)
		endmntent(list);
	return owner;
}

static int fail_foreign(const struct target *target, uid_t owner)
{
	const struct passwd *user = getpwuid(owner);
	char name[64], why[128];

	snprintf(name, sizeof(name), "%lu", (unsigned long)owner);
	snprintf(why, sizeof(why), "not permitted; user %.64s has mounted it",
		 user ? user->pw_name : name);
	return fail_unmount(target, why);
}

static int unmount(const struct target *target)
{
	uid_t owner;

	if (umount2(target->point, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EPERM) {
		owner = owner_of(target);
		return owner == getuid() || owner == (uid_t)-1 ?
			       unmount_by_helper(target) :
			       fail_foreign(target, owner);
	}
	if (errno == EBUSY)
		return fail_busy(target);
	return fail_unmount(target, strerror(errno));
}

/* ---- waiting ---------------------------------------------------------- */

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Has the one who held it before let go? Others may have come since. */
static bool is_closed(pid_t holder, pid_t before)
{
	return holder == 0 || holder == -ENOENT ||
	       (holder > 0 && before > 0 && holder != before);
}

static int fail_wait(const struct target *target, pid_t holder, long timeout)
{
	if (holder < -1)
		return fail_file(target->shown, holder);
	complain("%s: unmounted, but still open in %s after %ld s",
		 quote(target->shown), process_text(holder), timeout);
	return EXIT_FAILURE;
}

static int wait_closed(const struct target *target, pid_t before, long timeout)
{
	const int64_t deadline = now() + timeout * 1000;
	int pause = 1;

	for (;;) {
		pid_t holder = banyan_holder(target->file);

		if (is_closed(holder, before))
			return EXIT_SUCCESS;
		if (holder < -1 || now() >= deadline)
			return fail_wait(target, holder, timeout);
		poll(NULL, 0, pause);
		pause = pause * 2 < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
	}
}

/* ---- the command ------------------------------------------------------ */

static int take_option(void *choices, int key, const char *argument)
{
	long *timeout = choices, seconds;
	char *end;

	if (key != 't')
		return ARGP_ERR_UNKNOWN;
	errno = 0;
	seconds = strtol(argument, &end, 10);
	if (errno || end == argument || *end || seconds < 0 ||
	    seconds > TIMEOUT_MAX) {
		complain("umount: '%s' is not a number of seconds",
			 quote(argument));
		return EINVAL;
	}
	*timeout = seconds;
	return 0;
}

static int unmount_and_wait(const struct target *target, const char *argument,
			    long timeout)
{
	pid_t before;
	int status;

	if (!target->mount) {
		complain("%s is not mounted", quote(argument));
		return EXIT_FAILURE;
	}
	before = banyan_holder(target->file);
	status = unmount(target);
	/* Read-only it has no lock; if there is one, it is somebody else's */
	if (status || target->read_only)
		return status;
	return wait_closed(target, before, timeout);
}

static int run(int argc, char **argv)
{
	long timeout = TIMEOUT_DEFAULT;
	struct target target;
	char **operands;
	int count, status;

	count = parse_arguments(&command_umount, argc, argv, &timeout,
				&operands);
	if (count < 0)
		return EXIT_MISUSE;
	status = target_find(&target, operands[0]);
	if (status)
		return status;
	status = unmount_and_wait(&target, operands[0], timeout);
	target_free(&target);
	return status;
}

static const struct argp_option options[] = {
	{ "timeout", 't', "SECONDS", 0,
	  "Wait at most so long for the database to be closed (default 60)",
	  0 },
	{ 0 },
};

const struct command command_umount = {
	.name = "umount",
	.operands = "DIR",
	.summary = "unmount, and wait until the database is closed",
	.help = "Unmount the database that is mounted on DIR (or is the file "
		"DIR), and wait until its daemon has written everything and "
		"closed it: then it can be copied, moved or opened. If the "
		"mount is in use, or the wait takes too long, it says by whom.",
	.least = 1,
	.most = 1,
	.options = options,
	.option = take_option,
	.run = run,
};
