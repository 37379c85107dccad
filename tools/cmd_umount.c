/* SPDX-License-Identifier: MIT */
/*
 * banyan umount. The kernel answers umount(2) before the daemon has written
 * its last state: who copies or moves the file afterwards wants to know when
 * it is closed, so this waits for the lock on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "quote.h"
#include "users.h"
#include "wait.h"

#define TIMEOUT_DEFAULT 60 /* seconds */

/* ---- unmounting ------------------------------------------------------- */

static int fail_busy(const struct target *target)
{
	char *users = users_of(target->point, 0);

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

static int fail_foreign(const struct target *target)
{
	const struct passwd *user = getpwuid(target->owner);
	char name[64], why[128];

	snprintf(name, sizeof(name), "%lu", (unsigned long)target->owner);
	snprintf(why, sizeof(why), "not permitted; user %.64s has mounted it",
		 user ? user->pw_name : name);
	return fail_unmount(target, why);
}

/* holder: the process that has the file open, or as process_text() takes it */
static int fail_mute(const struct target *target, pid_t holder)
{
	complain("%s: cannot be unmounted: its daemon does not answer, in %s",
		 quote(target->mount), process_text(holder));
	return EXIT_FAILURE;
}

static int unmount(const struct target *target, bool mute, pid_t holder)
{
	if (umount2(target->point, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno == EPERM && target->owner != (uid_t)-1 &&
	    target->owner != getuid())
		return fail_foreign(target);
	if (errno == EPERM)
		return unmount_by_helper(target);
	if (errno == EBUSY && mute)
		return fail_mute(target, holder);
	if (errno == EBUSY)
		return fail_busy(target);
	return fail_unmount(target, strerror(errno));
}

/* ---- waiting ---------------------------------------------------------- */

/* What the kernel has, then what the daemon has. An errno value. */
static int sync_mount(const struct target *target)
{
	int fd = open(target->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat info;

	/* Without permission to read the root, close() has to do it */
	if (fd < 0 || fstat(fd, &info) != 0 || info.st_dev != target->device)
		return 0;
	if (syncfs(fd) == 0 && fsync(fd) == 0)
		return 0;
	/* A daemon that has died has nothing left to write */
	return errno == ENOTCONN || errno == ECONNABORTED ? 0 : errno;
}

/*
 * Have all written before: later nobody is left to be told that it could not
 * be. In a process of its own, as a daemon that does not answer would hold up
 * this one. 0 or a negative errno value. mute: the daemon has taken a request and
 * does not answer it, so the mount stays in use.
 */
static int sync_before(const struct target *target, struct wait *wait,
		       bool *mute)
{
	pid_t done, child = fork();
	int status = 0;

	if (child == 0)
		_exit(sync_mount(target));
	if (child < 0)
		return 0;
	do
		done = waitpid(child, &status, WNOHANG);
	while (done == 0 && wait_more(wait));
	if (done == 0) { /* wait_closed() tells */
		kill(child, SIGKILL);
		wait_begin(wait, 1);
		do
			done = waitpid(child, NULL, WNOHANG);
		while (done == 0 && wait_more(wait));
		*mute = done == 0;
		return 0;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

/* Has the one who held it before let go? Others may have come since. */
static bool is_closed(pid_t holder, pid_t before)
{
	return holder == 0 || holder == -ENOENT ||
	       (holder > 0 && before > 0 && holder != before);
}

static int wait_closed(const struct target *target, pid_t before,
		       struct wait *wait, uint64_t timeout)
{
	pid_t holder;

	wait->pause = 1;
	do {
		holder = banyan_holder(target->file);
		if (is_closed(holder, before))
			return EXIT_SUCCESS;
		if (holder < -1)
			return fail_file(target->shown, holder);
	} while (wait_more(wait));
	complain("%s: unmounted, but still open in %s after %" PRIu64 " s",
		 quote(target->shown), process_text(holder), timeout);
	return EXIT_FAILURE;
}

/* ---- the command ------------------------------------------------------ */

static int take_option(void *choices, int key, const char *argument)
{
	return key == 't' ?
		       take_number("umount", argument, "a number of seconds", 0,
				   WAIT_MAX, choices) :
		       ARGP_ERR_UNKNOWN;
}

static int unmount_and_wait(const struct target *target, const char *argument,
			    uint64_t timeout)
{
	struct wait wait;
	bool mute = false;
	pid_t before;
	int status, rc;

	wait_begin(&wait, timeout);
	if (!target->mount) {
		complain("%s is not mounted", quote(argument));
		return EXIT_FAILURE;
	}
	rc = target->read_only ? 0 : sync_before(target, &wait, &mute);
	before = banyan_holder(target->file);
	status = unmount(target, mute, before);
	/* Read-only it has no lock; if there is one, it is somebody else's */
	if (!status && !target->read_only)
		status = wait_closed(target, before, &wait, timeout);
	if (!rc)
		return status;
	return fail_close(target->shown, rc);
}

static int run(int argc, char **argv)
{
	uint64_t timeout = TIMEOUT_DEFAULT;
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
