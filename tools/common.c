/* SPDX-License-Identifier: MIT */
#include "common.h"
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

const char *file_text(int error)
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
	case ELOOP:
		return "a symbolic link that leads to no file";
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
	case EFBIG:
		return "the file may not become so large (see 'ulimit -f')";
	case ENOTCONN:
		return "the daemon of the mount has died";
	default:
		return banyan_strerror(error);
	}
}

static const char *key_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "not found";
	case EPERM: /* immutable; in another's directory with the sticky bit */
		return "not permitted";
	case EISDIR:
		return "is a key space";
	case ENOTDIR:
		return "is not a key space";
	case ENOTEMPTY:
		return "is a key space with keys in it";
	case EXDEV:
		return "another file system is mounted there";
	case ENOSPC:
		return "no space left on the disk";
	case EINVAL:
		return banyan_strerror(error);
	default:
		return file_text(error);
	}
}

/* What keep_report() was told last */
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

void say_kept(const char *file)
{
	char line[sizeof(kept.line)];

	take_kept(line, sizeof(line));
	if (*line)
		complain("%s: %s", quote(file), line);
}

void keep_report(void *arg, const char *line)
{
	say_kept(arg);
	pthread_mutex_lock(&kept.lock);
	snprintf(kept.line, sizeof(kept.line), "%s", quote(line));
	pthread_mutex_unlock(&kept.lock);
}

static int complained; /* the error of the last complaint */

bool has_complained(int error)
{
	return complained == error;
}

/* Of damage its place says all; else what went wrong comes first */
static void complain_with(const char *subject, int error, const char *text)
{
	bool damage = error == -EUCLEAN || error == -EBADMSG;
	char line[sizeof(kept.line)];

	complained = error;
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

int fail_close(const char *file, int error)
{
	complain("%s: could not be closed properly, the last changes may be "
		 "lost: %s",
		 quote(file), file_text(error));
	return EXIT_FAILURE;
}

const char *process_text(pid_t pid)
{
	static char text[200];
	char name[32];

	if (pid <= 0)
		return "another process";
	if (process_name(pid, name, sizeof(name)))
		snprintf(text, sizeof(text), "process %ld (%s)", (long)pid,
			 quote(name));
	else
		snprintf(text, sizeof(text), "process %ld", (long)pid);
	return text;
}

/* A number in decimal at the beginning, without the signs and blanks that
 * strtoull() takes, too */
static bool take_digits(const char *argument, uint64_t *value, char **end)
{
	errno = 0;
	*value = strtoull(argument, end, 10);
	return !errno && *argument >= '0' && *argument <= '9';
}

int take_number(const char *command, const char *argument, const char *what,
		uint64_t least, uint64_t most, uint64_t *number)
{
	uint64_t value;
	char *end;

	if (!take_digits(argument, &value, &end) || *end || value < least ||
	    value > most) {
		complain("%s: '%s' is not %s", command, quote(argument), what);
		return EINVAL;
	}
	*number = value;
	return 0;
}

int take_size(const char *command, const char *argument, const char *what,
	      uint64_t least, uint64_t *number)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned shift = 0;
	uint64_t value;
	char *end;
	bool digits = take_digits(argument, &value, &end);

	unit = *end ? strchr(units, *end & ~0x20) : NULL; /* upper case */
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (!digits || *end || value > UINT64_MAX >> shift ||
	    value << shift < least) {
		complain("%s: '%s' is not %s", command, quote(argument), what);
		return EINVAL;
	}
	*number = value << shift;
	return 0;
}

int take_duration(const char *command, const char *argument, uint64_t *seconds)
{
	static const char units[] = "smhdw";
	static const unsigned lengths[] = { 1, 60, 3600, 86400, 604800 };
	const char *unit;
	uint64_t length = 1, value;
	char *end;
	bool digits = take_digits(argument, &value, &end);

	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		length = lengths[unit - units];
		end++;
	}
	if (!digits || *end || value > UINT64_MAX / length) {
		complain("%s: '%s' is not a duration such as 30s, 5m, 2h, 7d "
			 "or 1w",
			 command, quote(argument));
		return EINVAL;
	}
	*seconds = value * length;
	return 0;
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
