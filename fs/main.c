/* SPDX-License-Identifier: MIT */
/*
 * banyanfs - mount a Banyan database as a directory.
 *
 * The order of the start: look at the arguments, at FILE and at DIR; wait until
 * FILE is closed; fork; open the database (a handle cannot be used after a
 * fork); mount; come to terms with the kernel; start the threads; tell the
 * parent that the mount serves. The end, after an unmount or a signal, is
 * the same backwards, and closing the database freezes it.
 *
 * The main thread only waits: for a signal that says end, or for ENDED, by
 * which the transport says that the file system was unmounted. All other
 * threads have these signals blocked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "acl.h"
#include "commit.h"
#include "daemon.h"
#include "database.h"
#include "fs.h"
#include "hidden.h"
#include "lasting.h"
#include "message.h"
#include "mountpoint.h"
#include "nodes.h"
#include "numbers.h"
#include "options.h"
#include "past.h"
#include "remount.h"
#include "restart.h"
#include "rlimits.h"
#include "session.h"
#include "supervisor.h"
#include "takeover.h"
#include "transport.h"
#include "undelete.h"
#include "uring.h"
#include "vacuum.h"
#include "views.h"

#define ENDED SIGUSR1

/* How long an unmount may take after which the rest is cut off */
#define PATIENCE_SECONDS 1

/* What is frozen before the program is replaced: more of it would take longer than to
 * read it again */
#define QUICK_BYTES (8u << 20)

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, ENDED);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* In the supervisor, too, whose files are in memory */
static void ignore_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL); /* the write says EFBIG then */
}

static void signal_ended(void *arg)
{
	pthread_kill(*(pthread_t *)arg, ENDED);
}

/* Everything that needs the database, up to a mount that is being served */
static int start(struct fs *fs, const char *file, const char *dir,
		 pthread_t *self)
{
	const struct options *o = fs->options;
	struct lasting *l = fs->lasting;
	int rc = database_open(o, file, l, &fs->db);

	if (!rc && takeover_is_one(l))
		rc = takeover_begin(fs);
	if (rc)
		return rc; /* explained */
	acl_start(fs);
	if (!l->seed && getrandom(&l->seed, sizeof(l->seed), 0) < 0)
		l->seed = (uint64_t)time(NULL);
	numbers_start(&l->number);
	rc = nodes_start(fs);
	if (!rc)
		rc = commit_start(fs->db, o->commit_seconds, &fs->commit);
	if (!rc)
		rc = views_new(fs, &fs->views);
	if (!rc)
		rc = past_new(fs, &fs->past);
	if (!rc)
		rc = hidden_new(fs, &fs->hidden);
	if (!rc && !o->read_only)
		rc = vacuum_start(fs, &fs->vacuum);
	if (!rc && !o->read_only)
		rc = undelete_start(fs, &fs->undelete);
	if (rc) {
		message("cannot start: %s", rlimits_strerror(rc));
		return rc;
	}
	return session_serve(fs, dir, signal_ended, self);
}

/* All that was begun is answered, and nothing is any more */
static void stop_serving(struct fs *fs)
{
	vacuum_end(fs->vacuum);
	undelete_stop(fs->undelete);
	if (fs->transport)
		transport_stop(fs->transport);
	vacuum_stop(fs->vacuum);
	commit_stop(fs->commit);
}

/* The reverse of start(), from whatever point it reached */
static int stop(struct fs *fs, const char *dir, bool detached)
{
	int rc = 0;

	stop_serving(fs);
	session_end(fs, dir, detached);
	transport_free(fs->transport);
	fs_free_listings();
	hidden_free(fs->hidden);
	past_free(fs->past);
	views_free(fs->views);
	if (fs->db)
		rc = banyan_close(fs->db);
	if (rc)
		message("cannot close the database: %s; what was written last "
			"may be lost",
			banyan_strerror(rc));
	return rc;
}

enum end { UNMOUNTED, DETACHED, RESTART };

/* Until the end. DETACHED: by a signal, and nobody sees the mount any more. */
static enum end wait_for_end(struct fs *fs, const char *dir,
			     const sigset_t *set)
{
	struct timespec patience = { .tv_sec = PATIENCE_SECONDS };
	int signal, rc;

	if (sigwait(set, &signal) || signal == ENDED)
		return atomic_load(&fs->restart) ? RESTART : UNMOUNTED;
	vacuum_end(fs->vacuum); /* who waits for it has files open there */
	/* First make durable what is there, then make sure that no more comes
	 */
	rc = fs->options->read_only ? 0 : banyan_sync(fs->db);
	if (rc)
		message("cannot sync: %s", banyan_strerror(rc));
	rc = mountpoint_detach(dir);
	if (rc)
		message_about(dir, "cannot unmount: %s", strerror(-rc));
	else /* ends at once, unless files are open there */
		while (sigtimedwait(set, NULL, &patience) > 0 || errno == EINTR)
			if (session_is_unmounted(fs))
				break;
	return rc ? UNMOUNTED : DETACHED;
}

/*
 * End for another program, which goes on: all that was begun is answered, and durable.
 * What the kernel holds stays held, so the database is not closed.
 */
_Noreturn static void make_way(struct fs *fs)
{
	struct banyan_stat stat = { 0 };

	stop_serving(fs);
	/* The next program gets the counts, not what was read */
	takeover_forget(fs->lasting);
	/* If it fails, the next one meets it again */
	if (!banyan_get_stat(fs->db, &stat) && stat.redo_bytes < QUICK_BYTES)
		(void)banyan_freeze(fs->db);
	(void)banyan_sync(fs->db);
	_exit(RESTART_STATUS);
}

struct run {
	struct fs *fs;
	const char *file, *dir;
	int ready; /* for daemon_ready(); -1: we stay in the foreground */
};

/* It serves: tell everybody who waits for that */
static void serves(struct run *r)
{
	struct lasting *l = r->fs->lasting;

	if (takeover_is_one(l)) {
		takeover_end(r->fs);
		supervisor_serves(false);
		return;
	}
	l->served = true;
	supervisor_serves(r->ready >= 0);
	if (r->ready >= 0 && daemon_ready(r->ready))
		raise(SIGTERM);
	database_opened();
	atomic_store(&l->survives, l->filled);
}

/* The daemon's life, from the database to the end of the mount */
static int work(void *arg)
{
	struct run *r = arg;
	struct fs *fs = r->fs;
	pthread_t self = pthread_self();
	enum end end = UNMOUNTED;
	sigset_t set;
	int rc;

	block_signals(&set);
	fs->end = signal_ended;
	fs->end_arg = &self;
	rc = start(fs, r->file, r->dir, &self);
	if (!rc) {
		serves(r);
		end = wait_for_end(fs, r->dir, &set);
	}
	if (end == RESTART)
		make_way(fs);
	atomic_store(&fs->lasting->ending, true);
	if (stop(fs, r->dir, end == DETACHED))
		rc = 1;
	return rc ? 1 : 0;
}

/* What a daemon shows that is opened again, and what has no name, is not the same */
static bool may_survive(const struct options *o, const char *file)
{
	return !o->no_survive && !o->read_only && *file == '/';
}

/* Rings that another process holds, or is going to. 0, or an error that is explained. */
static int find_rings(const struct options *o, const struct restart *before,
		      struct rings **rings)
{
	if (before) {
		int error;

		*rings = before->holder ? rings_map(before->rings) : NULL;
		if (*rings || !before->holder)
			return 0;
		error = errno;
		message("cannot go on with the rings: %s", strerror(error));
		return -error;
	}
	/* They are slower than /dev/fuse, so somebody has to want them */
	if (o->survive && o->transport == TRANSPORT_URING)
		*rings = uring_rings_to_hold(o);
	return 0;
}

static int supervise(struct run *r)
{
	struct fs *fs = r->fs;
	const struct options *o = fs->options;
	bool survive = may_survive(o, r->file), again = restart_is_one();
	struct rings *rings = NULL;
	struct restart before;
	unsigned threads;

	if (again && restart_take(&before))
		return 1;
	if (survive && find_rings(o, again ? &before : NULL, &rings))
		return 1;
	threads = o->threads > WORKERS_BESIDE_RINGS ? o->threads :
						      WORKERS_BESIDE_RINGS;
	fs->lasting = lasting_new(survive ? threads : 0, rings);
	if (!fs->lasting && rings && !again) { /* too much for us */
		rings_free(rings);
		fs->lasting = lasting_new(threads, NULL);
	}
	if (!fs->lasting) {
		message("cannot start: %s", strerror(ENOMEM));
		return 1;
	}
	fs->lasting->watchdog = o->watchdog_seconds;
	if (again) {
		if (restart_load(&before, fs->lasting))
			return 1;
		supervisor_goes_on(&before);
	}
	return survive ? supervisor_run(fs->lasting, r->ready, work, r) :
			 work(r);
}

static int run(struct fs *fs, const char *file, const char *dir)
{
	const struct options *o = fs->options;
	struct run r = { fs, file, dir, -1 };
	int status;

	if (restart_is_one()) {
		if (!o->foreground)
			daemon_detach();
	} else {
		/* The caller's files, with their locks and pipes, are not ours to
		 * keep */
		closefrom(STDERR_FILENO + 1);
		database_wait(o, file);
		if (!o->foreground) {
			r.ready = daemon_fork();
			if (r.ready < 0) {
				message("cannot fork: %s", strerror(-r.ready));
				return 1;
			}
		}
	}
	status = supervise(&r);
	if (fs->session) /* the supervisor's, which it has not used */
		fuse_session_destroy(fs->session);
	return status;
}

int main(int argc, char **argv)
{
	struct fs fs = { 0 };
	struct options o;
	char *file = NULL, *dir = NULL;
	int status;

	status = restart_answer(argc, argv);
	if (status >= 0)
		return status;
	daemon_fill_streams();
	ignore_signals();
	message_start(NULL);
	status = options_parse(&o, argc, argv);
	if (status != OPTIONS_RUN)
		goto out;
	if (o.remount) {
		status = remount(&o);
		goto out;
	}
	status = 1;
	/* A mount that goes on has both, and nobody serves it now */
	file = restart_is_one() ? strdup(o.file) : database_resolve(&o);
	if (!file)
		goto out;
	message_start(o.file);
	dir = restart_is_one() ? strdup(o.dir) :
				 mountpoint_prepare(o.dir, file);
	if (!dir || restart_prepare(argv, o.file, file, o.dir, dir) ||
	    rlimits_start(&o))
		goto out;
	status = session_new(&fs, &o, file);
	if (!status)
		status = run(&fs, file, dir);
out:
	free(file);
	free(dir);
	options_free(&o);
	return status;
}
