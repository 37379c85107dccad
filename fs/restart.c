/* SPDX-License-Identifier: MIT */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counts.h"
#include "message.h"

#define VARIABLE "BANYANFS_RESTART"

extern char **environ;

static struct {
	char program[PATH_MAX];
	char **argv;
} again;

/* ---- what is handed on ---------------------------------------------------- */

#define STATE_MAGIC UINT64_C(0x0131545341594e42) /* "BNYAST1", 1 */

/* In the bytes of this machine. The counts follow; then, but not from each program, the
 * number of names that listings remember (64 bits) and the names, oldest first. */
struct state {
	uint64_t magic;
	uint64_t seed;
	uint64_t number;
	uint64_t restarts, replaced, kept, answered;
	uint64_t ended_ns; /* the worker before, by the steady clock */
	uint32_t unsure;
	uint32_t init_size;
	char init[256];
	uint64_t counts;
};

#define QUESTION "--can-go-on"

static void print_format(char *format, size_t size)
{
	snprintf(format, size, "%" PRIx64 ",%x", STATE_MAGIC, RINGS_LAYOUT);
}

struct state_name {
	uint64_t cookie;
	uint64_t len;
	char bytes[256];
};

static int write_all(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_all(int fd, void *bytes, size_t size)
{
	char *at = bytes;

	while (size) {
		ssize_t n = read(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

#define NAMES_AT_ONCE 64u

static int save_names(int fd, const struct lasting *l)
{
	uint64_t count = l->names < LASTING_NAMES ? l->names : LASTING_NAMES;
	uint64_t at = l->names - count;
	int rc = write_all(fd, &count, sizeof(count));

	while (at < l->names && !rc) {
		struct state_name some[NAMES_AT_ONCE] = { 0 };
		size_t n = 0;

		for (; n < NAMES_AT_ONCE && at < l->names; n++, at++) {
			const struct lasting_name *from =
				&l->name[at % LASTING_NAMES];

			/* A worker may have died while it wrote it */
			if (from->len > BANYAN_NAME_MAX)
				continue;
			some[n].cookie = from->cookie;
			some[n].len = from->len;
			memcpy(some[n].bytes, from->bytes, from->len);
		}
		rc = write_all(fd, some, n * sizeof(*some));
	}
	return rc;
}

/* A file in memory with the state. Its descriptor or an error. */
static int save(const struct lasting *l)
{
	struct state s = {
		.magic = STATE_MAGIC,
		.seed = l->seed,
		.number = atomic_load(&l->number),
		.restarts = l->restarts,
		.replaced = l->replaced + 1,
		.kept = l->kept,
		.answered = atomic_load(&l->answered),
		.ended_ns = l->died_ns,
		.unsure = l->unsure,
		.init_size = (uint32_t)l->init.size,
	};
	struct banyan_holds *holds = NULL;
	size_t count = 0;
	int rc = counts_all(l->counts, &holds, &count);
	int fd = rc ? rc : memfd_create("banyanfs", 0);

	if (fd < 0) {
		free(holds);
		return rc ? rc : -errno;
	}
	memcpy(s.init, l->init.bytes, l->init.size);
	s.counts = count;
	rc = write_all(fd, &s, sizeof(s));
	if (!rc)
		rc = write_all(fd, holds, count * sizeof(*holds));
	free(holds);
	if (!rc)
		rc = save_names(fd, l);
	if (!rc && lseek(fd, 0, SEEK_SET) < 0)
		rc = -errno;
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

#define HOLDS_AT_ONCE 256u

static int load_counts(int fd, struct counts *counts, uint64_t count)
{
	uint32_t progress = 0;
	int rc = 0;

	for (uint64_t i = 0; i < count && !rc; i += HOLDS_AT_ONCE) {
		struct banyan_holds h[HOLDS_AT_ONCE] = { 0 };
		uint64_t left = count - i;
		uint64_t n = left < HOLDS_AT_ONCE ? left : HOLDS_AT_ONCE;

		rc = read_all(fd, h, (size_t)n * sizeof(*h));
		for (uint64_t j = 0; j < n && !rc; j++)
			rc = counts_add(counts, h[j].id, (int64_t)h[j].times,
					&progress, 0);
	}
	return rc;
}

static int load_names(int fd, struct lasting *l)
{
	uint64_t count = 0;
	int rc = read_all(fd, &count, sizeof(count));

	if (rc == -ENODATA)
		return 0;
	for (; count && !rc; count--) {
		struct lasting_name *to = &l->name[l->names % LASTING_NAMES];
		struct state_name one;

		rc = read_all(fd, &one, sizeof(one));
		if (rc || one.len > BANYAN_NAME_MAX)
			continue;
		to->cookie = one.cookie;
		to->len = one.len;
		memcpy(to->bytes, one.bytes, one.len);
		l->names++;
	}
	return rc;
}

static int load(int fd, struct lasting *l)
{
	struct state s;
	int rc = read_all(fd, &s, sizeof(s));

	if (!rc && (s.magic != STATE_MAGIC || s.init_size > sizeof(s.init)))
		rc = -EPROTONOSUPPORT;
	if (rc)
		return rc;
	l->served = true;
	atomic_store(&l->survives, true);
	l->seed = s.seed;
	atomic_store(&l->number, s.number);
	l->restarts = s.restarts;
	l->replaced = s.replaced;
	l->kept = s.kept;
	atomic_store(&l->answered, s.answered);
	l->died_ns = s.ended_ns;
	l->unsure = s.unsure;
	l->init.size = s.init_size;
	memcpy(l->init.bytes, s.init, s.init_size);
	rc = load_counts(fd, l->counts, s.counts);
	return rc ? rc : load_names(fd, l);
}

/* ---- before --------------------------------------------------------------- */

int restart_prepare(char **argv, const char *given_file, const char *file,
		    const char *given_dir, const char *dir)
{
	const char *deleted = " (deleted)";
	size_t count = 0, n;
	ssize_t len;

	len = readlink("/proc/self/exe", again.program,
		       sizeof(again.program) - 1);
	n = len > 0 ? (size_t)len : 0;
	again.program[n] = '\0';
	if (n > strlen(deleted) &&
	    !strcmp(again.program + n - strlen(deleted), deleted))
		again.program[n - strlen(deleted)] = '\0';
	while (argv[count])
		count++;
	again.argv = calloc(count + 1, sizeof(char *));
	if (!again.argv)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *arg = argv[i];

		if (arg == given_file)
			arg = file;
		else if (arg == given_dir)
			arg = dir;
		again.argv[i] = strdup(arg);
		if (!again.argv[i])
			return -ENOMEM;
	}
	return 0;
}

/* Once we are that program there is no way back: does it know what we hand on? */
static bool can_go_on(void)
{
	char question[] = QUESTION, format[64];
	char *argv[] = { again.program, question, format, NULL };
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid;

	print_format(format, sizeof(format));
	if (posix_spawn_file_actions_init(&actions))
		return false;
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
					 O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
					 O_WRONLY, 0);
	if (!posix_spawn(&pid, again.program, &actions, NULL, argv, environ))
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	posix_spawn_file_actions_destroy(&actions);
	return status == 0;
}

int restart_answer(int argc, char **argv)
{
	char format[64];

	if (argc != 3 || strcmp(argv[1], QUESTION) != 0)
		return -1;
	print_format(format, sizeof(format));
	return strcmp(argv[2], format) ? 1 : 0;
}

/* The descriptors, whichever there are */
static void pass_on(const struct restart *r, bool on)
{
	const int fd[] = { r->device, r->file, r->rings, r->orders };

	for (size_t i = 0; i < sizeof(fd) / sizeof(*fd); i++)
		if (fd[i] >= 0)
			fcntl(fd[i], F_SETFD, on ? 0 : FD_CLOEXEC);
}

void restart_run(const struct restart *r, const struct lasting *l)
{
	char value[128];
	int state = can_go_on() ? save(l) : -ENOEXEC;

	if (state < 0) {
		message_about(
			again.program,
			"cannot be run: %s; going on with the old program",
			strerror(-state));
		return;
	}
	snprintf(value, sizeof(value), "%d,%d,%d,%d,%d,%d", state, r->device,
		 r->file, r->rings, r->orders, (int)r->holder);
	setenv(VARIABLE, value, 1);
	pass_on(r, true);
	/* Signals stay blocked: one that comes now is for the next one to obey */
	execv(again.program, again.argv);
	message_about(again.program,
		      "cannot be run: %s; going on with the old program",
		      strerror(errno));
	unsetenv(VARIABLE);
	pass_on(r, false);
	close(state);
}

/* ---- after ---------------------------------------------------------------- */

bool restart_is_one(void)
{
	return getenv(VARIABLE);
}

static bool is_open(int fd)
{
	return fd > STDERR_FILENO && fcntl(fd, F_GETFD) >= 0;
}

static int explain(int rc)
{
	message("cannot go on where the program before stopped: %s; "
		"unset " VARIABLE " to start",
		strerror(-rc));
	return rc;
}

int restart_take(struct restart *r)
{
	const char *value = getenv(VARIABLE);
	int number[6] = { -1, -1, -1, -1, -1, 0 };

	for (int i = 0; i < 6 && value; i++) {
		char *end = NULL;

		number[i] = (int)strtol(value, &end, 10);
		value = *end == ',' ? end + 1 : NULL;
	}
	unsetenv(VARIABLE);
	*r = (struct restart){
		.state = number[0],
		.device = number[1],
		.file = number[2],
		.rings = number[3],
		.orders = number[4],
		.holder = number[5],
	};
	if (!is_open(r->state) || !is_open(r->device) || !is_open(r->file) ||
	    (r->holder && (!is_open(r->rings) || !is_open(r->orders))))
		return explain(-EBADF);
	/* What else the program before had open its exec(2) has closed */
	pass_on(r, false);
	return 0;
}

int restart_load(const struct restart *r, struct lasting *l)
{
	int rc = load(r->state, l);

	close(r->state);
	return rc ? explain(rc) : 0;
}
