/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "command.h"
#include "quote.h"

/* ---- complaints ------------------------------------------------------- */

/* A line of progress on the terminal is not to be mixed with a complaint */
void complain(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	va_start(arguments, format);
	flockfile(stderr);
	fputs("banyan: ", stderr);
	vfprintf(stderr, format, arguments);
	putc('\n', stderr);
	funlockfile(stderr);
	va_end(arguments);
}

static const char *file_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "no such file ('banyan create' makes one)";
	case EEXIST:
		return "exists already";
	case EACCES:
	case EPERM:
		return "permission denied";
	case EINVAL:
		return "not a regular file";
	case EMEDIUMTYPE:
		return "not a Banyan database";
	case EPROTONOSUPPORT:
		return "written by a newer version of Banyan "
		       "than " BANYAN_VERSION;
	case EUCLEAN:
		return "damaged: its structure makes no sense";
	case EBADMSG:
		return "damaged: wrong checksum";
	case EROFS:
		return "read-only file system";
	default:
		return banyan_strerror(error);
	}
}

static const char *key_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "not found";
	case EEXIST:
		return "exists already";
	case EISDIR:
		return "is a key space";
	case ENOTDIR:
		return "is not a key space";
	case ENOTEMPTY:
		return "is a key space with keys in it";
	case EUCLEAN:
		return "damaged: its structure makes no sense";
	case EBADMSG:
		return "damaged: wrong checksum";
	case ENOSPC:
		return "no space left on the disk; nothing was changed";
	default:
		return banyan_strerror(error);
	}
}

/*
 * What the library reports usually is the place of the damage that it is about
 * to return an error for. It is kept until that error is complained about, for
 * both to be one line.
 */
static struct {
	pthread_mutex_t lock;
	char line[400]; /* quoted; empty: none */
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void take_kept(char *line, size_t size)
{
	pthread_mutex_lock(&kept.lock);
	snprintf(line, size, "%s", kept.line);
	kept.line[0] = '\0';
	pthread_mutex_unlock(&kept.lock);
}

static void say_kept(const char *file)
{
	char line[sizeof(kept.line)];

	take_kept(line, sizeof(line));
	if (*line)
		complain("%s: %s", quote(file), line);
}

/* arg: the file as people know it. Called from any thread. */
static void keep_report(void *arg, const char *line)
{
	say_kept(arg);
	pthread_mutex_lock(&kept.lock);
	snprintf(kept.line, sizeof(kept.line), "%s", quote(line));
	pthread_mutex_unlock(&kept.lock);
}

/* Of damage its place says all; else what went wrong comes first */
static void complain_with(const char *subject, int error, const char *text)
{
	bool damage = error == -EUCLEAN || error == -EBADMSG;
	char line[sizeof(kept.line)];

	take_kept(line, sizeof(line));
	if (*line && damage)
		complain("%s: %s", subject, line);
	else if (*line)
		complain("%s: %s: %s", subject, text, line);
	else
		complain("%s: %s", subject, text);
}

int fail_file(const char *file, int error)
{
	complain_with(quote(file), error, file_text(error));
	return EXIT_FAILURE;
}

int fail_key(const char *file, const char *key, int error)
{
	char subject[900];

	snprintf(subject, sizeof(subject), "%s: key '%s'", quote(file),
		 quote(key));
	complain_with(subject, error, key_text(error));
	return EXIT_FAILURE;
}

int fail_create(const char *file, int error)
{
	if (error != -ENOENT)
		return fail_file(file, error);
	complain("%s: the directory to create it in does not exist",
		 quote(file));
	return EXIT_FAILURE;
}

const char *process_text(pid_t pid)
{
	static char text[200];
	char path[40], name[32] = "";
	FILE *file;

	if (pid <= 0)
		return "another process";
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = '\0';
		fclose(file);
	}
	name[strcspn(name, "\n")] = '\0';
	if (*name)
		snprintf(text, sizeof(text), "process %ld (%s)", (long)pid,
			 quote(name));
	else
		snprintf(text, sizeof(text), "process %ld", (long)pid);
	return text;
}

/* ---- standard streams ------------------------------------------------- */

static int output_error; /* errno of the first failed write, once known */
static int output_status = EXIT_FAILURE; /* what to exit with then */

void output_exits_with(int status)
{
	output_status = status;
}

bool output_failed(void)
{
	int error = errno;

	if (!ferror(stdout))
		return false;
	if (!output_error)
		output_error = error;
	return true;
}

int fail_output(int error)
{
	if (error != EPIPE)
		complain("standard output: %s",
			 error ? strerror(error) : "cannot be written");
	return EXIT_FAILURE;
}

static void close_output(void)
{
	bool failed = output_failed();

	if (fclose(stdout) != 0) {
		failed = true;
		if (!output_error)
			output_error = errno;
	}
	if (!failed)
		return;
	fail_output(output_error);
	_exit(output_status);
}

void guard_streams(void)
{
	/* Opened the wrong way round: using a closed one stays an error */
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) != -1)
			continue;
		if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_FAILURE);
	}
	atexit(close_output);
}

/* ---- databases -------------------------------------------------------- */

/* The daemon of a mount that nobody serves any more is not "there" */
static bool is_dead(const struct target *target)
{
	struct statfs info;

	return statfs(target->point, &info) != 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

int refuse_mounted(const struct target *target)
{
	const char *file, *mount;

	if (!target->mount)
		return 0;
	file = quote(target->shown);
	mount = quote(target->mount);
	if (is_dead(target))
		complain("%s is mounted on %s, but its daemon has died: "
			 "'banyan umount %s' first",
			 file, mount, mount);
	else if (target->read_only)
		complain("%s is mounted read-only on %s: 'banyan umount %s' "
			 "first",
			 file, mount, mount);
	else
		complain("%s is mounted on %s: work there", file, mount);
	return EXIT_FAILURE;
}

static int fail_open(const struct store *store, unsigned flags, int error)
{
	const char *name = store->name;

	if (error == -EBUSY) {
		complain("%s: is open in %s", quote(name),
			 process_text(banyan_holder(store->target.file)));
		return EXIT_FAILURE;
	}
	return flags & BANYAN_CREATE ? fail_create(name, error) :
				       fail_file(name, error);
}

int fail_freeze(const struct target *target, uint64_t freeze, int error)
{
	/* Of the file it would say the same */
	if (error != -ENOENT || !freeze || access(target->file, F_OK) != 0)
		return fail_file(target->shown, error);
	complain("%s: has no freeze %" PRIu64 " ('banyan freezes' lists them)",
		 quote(target->shown), freeze);
	return EXIT_FAILURE;
}

int take_at(const char *command, const char *argument, uint64_t *freeze)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(argument, &end, 10);
	/* strtoull() takes signs and blanks, and 0 is the present */
	if (errno || *argument < '0' || *argument > '9' || *end || !number) {
		complain("%s: '%s' is not the number of a freeze", command,
			 quote(argument));
		return EINVAL;
	}
	*freeze = number;
	return 0;
}

static int open_target(struct store *store, unsigned flags, uint64_t freeze)
{
	struct banyan_options options = {
		.flags = flags,
		.freeze = freeze,
		.report = keep_report,
		.report_arg = store->target.shown,
	};
	int error;

	store->name = store->target.shown;
	error = banyan_open(store->target.file, &options, &store->db);
	if (!error)
		say_kept(store->name); /* what recovery did */
	else if (freeze)
		return fail_freeze(&store->target, freeze, error);
	return error ? fail_open(store, flags, error) : 0;
}

static int open_argument(struct store *store, const char *argument,
			 unsigned flags, uint64_t freeze)
{
	int status;

	memset(store, 0, sizeof(*store));
	status = target_find(&store->target, argument);
	if (status)
		return status;
	if (!(flags & BANYAN_READ_ONLY))
		status = refuse_mounted(&store->target);
	if (!status)
		status = open_target(store, flags, freeze);
	if (status)
		target_free(&store->target);
	return status;
}

int store_open_reading(struct store *store, const char *argument,
		       uint64_t freeze)
{
	return open_argument(store, argument, BANYAN_READ_ONLY, freeze);
}

int store_open_writing(struct store *store, const char *argument,
		       unsigned flags)
{
	return open_argument(store, argument, flags, 0);
}

int store_close(struct store *store, int status)
{
	int error = banyan_close(store->db);

	say_kept(store->name);
	if (error) {
		complain("%s: could not be closed properly, the last changes "
			 "may be lost: %s",
			 quote(store->name), file_text(error));
		status = EXIT_FAILURE;
	}
	target_free(&store->target);
	return status;
}
