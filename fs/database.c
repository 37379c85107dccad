/* SPDX-License-Identifier: MIT */
#include "database.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "message.h"
#include "mountpoint.h"
#include "rlimits.h"
#include "steady.h"
#include "supervisor.h"

#define MEMORY ":memory:"

/*
 * What the library tells while it opens a file: why it fails, or what was
 * mended. There is one database in a process.
 */
static struct {
	pthread_mutex_t lock;
	char line[400];
	bool opened;
} report = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void take_report(void *arg, const char *line)
{
	(void)arg;
	pthread_mutex_lock(&report.lock);
	if (report.opened)
		message("%s", line);
	else
		snprintf(report.line, sizeof(report.line), "%s", line);
	pthread_mutex_unlock(&report.lock);
}

void database_opened(void)
{
	pthread_mutex_lock(&report.lock);
	report.opened = true;
	if (*report.line)
		message("%s", report.line);
	pthread_mutex_unlock(&report.lock);
}

/* ---- where it is ------------------------------------------------------ */

/* Of a file that is still to be created: its directory's name and its own */
static char *resolve_new(const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	char *dir, *absolute, *path = NULL;

	dir = slash ? strndup(file, (size_t)(slash - file + 1)) : strdup(".");
	if (!dir)
		return NULL;
	absolute = realpath(dir, NULL);
	if (absolute &&
	    asprintf(&path, "%s/%s", strcmp(absolute, "/") != 0 ? absolute : "",
		     base) < 0)
		path = NULL;
	free(absolute);
	free(dir);
	return path;
}

char *database_resolve(const struct options *o)
{
	const char *file = o->file;
	struct stat st;
	char *path;

	if (!strcmp(file, MEMORY))
		return strdup(file);
	path = realpath(file, NULL);
	if (!path && errno == ENOENT && o->create)
		path = resolve_new(file);
	if (!path) {
		if (errno == ENOENT && !o->create)
			message_about(file,
				      "no such file; create it with "
				      "banyan create, or mount with -o create");
		else if (errno == ENOENT)
			message_about(file,
				      "no such directory to create it in");
		else
			message_about(file, "%s", strerror(errno));
		return NULL;
	}
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		message_about(file, "not a regular file; give FILE, then DIR");
		free(path);
		return NULL;
	}
	return path;
}

/* ---- until it is closed ------------------------------------------------ */

#define WAIT_MS 30000 /* an unmount freezes: seconds, where the disk is slow */
#define WAIT_SILENT_MS 1000
#define PAUSE_MS 10

/* The process that has it open, or -1, while it is worth waiting for that */
static pid_t closing(const char *file)
{
	pid_t pid = banyan_holder(file);
	char *dir = pid > 0 || pid == -1 ? mountpoint_of(file) : NULL;

	if (dir)
		pid = 0;
	free(dir);
	return pid < -1 ? 0 : pid; /* other errors are for banyan_open() */
}

void database_wait(const struct options *o, const char *file)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000 };
	int64_t began = steady_ms();
	bool said = false;
	pid_t pid;

	while (!o->read_only && steady_ms() < began + WAIT_MS &&
	       (pid = closing(file))) {
		if (!said && steady_ms() >= began + WAIT_SILENT_MS) {
			said = true;
			if (pid > 0)
				message("waiting for process %ld to close it",
					(long)pid);
			else
				message("waiting for another process to close "
					"it");
		}
		nanosleep(&pause, NULL);
	}
}

/* ---- why it does not open --------------------------------------------- */

static void explain_busy(const char *file)
{
	char *dir = mountpoint_of(file);
	pid_t pid = banyan_holder(file);

	if (dir)
		message("already mounted on %s; use it there, or unmount it",
			dir);
	else if (pid > 0)
		message("open by process %ld; wait until it has closed it",
			(long)pid);
	else
		message("open by another process; wait until it has closed it");
	free(dir);
}

static void explain(const char *file, int rc)
{
	const char *detail = report.line;
	const char *colon = *detail ? ": " : "";

	switch (rc) {
	case -EBUSY:
		explain_busy(file);
		break;
	case -EMEDIUMTYPE:
		message("not a Banyan database; give a file that banyan "
			"create made");
		break;
	case -EPROTONOSUPPORT:
		message("written by a newer version of Banyan; upgrade this "
			"one (%s)",
			BANYAN_VERSION);
		break;
	case -EUCLEAN:
	case -EBADMSG:
		message("damaged%s%s; see banyan check, or restore a copy",
			colon, detail);
		break;
	case -EACCES:
	case -EPERM:
		message("permission denied; become its owner, or mount with "
			"-o ro if you may read it");
		break;
	case -EROFS:
		message("on a read-only file system; mount with -o ro");
		break;
	case -ENOSPC:
	case -EDQUOT:
		message("no space left; make room and mount again");
		break;
	case -EAGAIN:
		message("cannot start: %s", rlimits_strerror(rc));
		break;
	default:
		message("cannot open: %s%s%s", banyan_strerror(rc), colon,
			detail);
	}
}

static void keep(void *arg, int fd, bool settled)
{
	(void)arg;
	supervisor_keep_file(fd, settled);
}

/* The name that the file has now which the daemon before had open; else NULL */
static char *name_now(int fd)
{
	struct stat st, named;
	char link[32];
	char *path;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	path = realpath(link, NULL);
	if (path && !fstat(fd, &st) && !stat(path, &named) &&
	    st.st_dev == named.st_dev && st.st_ino == named.st_ino)
		return path;
	free(path);
	return NULL;
}

/* Of two files that are kept, a vacuum has put the newer one in the other's place, or
 * has not */
static char *name_of_kept(const struct banyan_keeper *keeper)
{
	char *path = NULL;

	for (size_t i = 0; i < keeper->file_count && !path; i++)
		path = name_now(keeper->files[i]);
	return path;
}

int database_open(const struct options *o, const char *file,
		  struct lasting *lasting, banyan **db)
{
	struct banyan_note *notes[LASTING_REQUESTS_MAX];
	struct banyan_keeper keeper = {
		.notes = notes,
		.note_count = lasting->requests,
		.unsure = &lasting->unsure,
		.keep = keep,
	};
	struct banyan_options options = {
		.cache_bytes = o->cache_bytes,
		.report = take_report,
		.keeper = &keeper,
	};
	char *kept;
	int rc;

	for (unsigned i = 0; i < lasting->requests; i++)
		notes[i] = &lasting->request[i].note;
	keeper.files = supervisor_files(&keeper.file_count);
	kept = name_of_kept(&keeper);
	if (o->create && !keeper.file_count)
		options.flags |= BANYAN_CREATE;
	if (o->read_only)
		options.flags |= BANYAN_READ_ONLY;
	rc = banyan_open(kept ? kept : file, &options, db);
	if (rc)
		explain(file, rc);
	supervisor_close_files();
	free(kept);
	return rc;
}
