/* SPDX-License-Identifier: MIT */
#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "device.h"
#include "holder.h"
#include "message.h"
#include "restart.h"
#include "rlimits.h"
#include "steady.h"

/* Half a minute */
#define FORK_TRIES 300
#define FORK_PAUSE_NS 100000000

/* How often the watchdog looks, and for a thread that cannot die */
#define WATCH_MS 500
#define NOTIFIER_MS 50

/* So many daemons that die one after the other before they serve are enough */
#define FRUITLESS_MAX 20

/* The file that is locked, and the one that is about to take its place */
#define FILES 2

enum what {
	KEEP_DEVICE, /* without a descriptor: keep none */
	KEEP_FILE,
	KEEP_ONLY_FILE,
	SERVES,
	SERVES_AWAY,
	NOTIFIES,
	HOLD_RINGS,
};

static struct {
	int out; /* of the worker's end; -1: there is no supervisor */
	int in; /* of the supervisor's */
	int device; /* -1: none */
	int file[FILES];
	size_t files;
	unsigned fruitless; /* daemons that did not come to serve */
	struct lasting *lasting;
	struct rings *rings; /* to be held; NULL: none */
	pid_t holder; /* 0: none */
	int orders, obeys; /* a pipe to it; -1: there is none */
} kept = { .out = -1, .in = -1, .device = -1, .orders = -1, .obeys = -1 };

/* ---- from the worker to the supervisor ---------------------------------- */

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_to_supervisor(enum what what, int fd)
{
	union control control = { .header = { 0 } };
	struct iovec iov = { &what, sizeof(what) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (kept.out < 0)
		return;
	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	while (sendmsg(kept.out, &m, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

int supervisor_device(void)
{
	return kept.device;
}

const int *supervisor_files(size_t *count)
{
	*count = kept.files;
	return kept.file;
}

void supervisor_close_files(void)
{
	while (kept.files)
		close(kept.file[--kept.files]);
}

static void keep_file(int fd, bool only)
{
	if (only)
		supervisor_close_files();
	else if (kept.files == FILES)
		close(kept.file[--kept.files]);
	kept.file[kept.files++] = fd;
}

void supervisor_goes_on(const struct restart *r)
{
	kept.device = r->device;
	keep_file(r->file, true);
	kept.orders = r->orders;
	kept.holder = r->holder;
}

void supervisor_keep_device(int fd)
{
	send_to_supervisor(KEEP_DEVICE, fd);
}

void supervisor_keep_file(int fd, bool settled)
{
	send_to_supervisor(settled ? KEEP_ONLY_FILE : KEEP_FILE, fd);
}

void supervisor_serves(bool away)
{
	send_to_supervisor(away ? SERVES_AWAY : SERVES, -1);
}

void supervisor_notifies(void)
{
	send_to_supervisor(NOTIFIES, -1);
}

void supervisor_hold_rings(void)
{
	send_to_supervisor(HOLD_RINGS, -1);
}

/* ---- the process that holds the rings ------------------------------------ */

/* It has what it needs, and no lock of the database */
_Noreturn static void hold(void)
{
	close(kept.in);
	close(kept.out);
	close(kept.orders);
	supervisor_close_files();
	lasting_leave(kept.lasting);
	_exit(holder_run(kept.rings, kept.device, kept.obeys));
}

static void start_holder(void)
{
	if (kept.holder || !kept.rings || kept.obeys < 0)
		return;
	kept.holder = fork();
	if (!kept.holder)
		hold();
	if (kept.holder < 0) {
		rings_reach(kept.rings, RINGS_FAILED, -errno);
		kept.holder = 0;
	}
	close(kept.obeys);
	kept.obeys = -1;
}

/* The mount is cut off, or made once more */
static void end_holder(void)
{
	if (kept.holder)
		kill(kept.holder, SIGKILL);
	kept.holder = 0;
}

/* ---- the supervisor ------------------------------------------------------ */

static void obey(enum what what, int fd)
{
	switch (what) {
	case KEEP_DEVICE:
		if (kept.device >= 0)
			close(kept.device);
		kept.device = fd;
		if (fd < 0)
			end_holder();
		return;
	case KEEP_FILE:
	case KEEP_ONLY_FILE:
		if (fd >= 0)
			keep_file(fd, what == KEEP_ONLY_FILE);
		return;
	case SERVES_AWAY:
		daemon_detach();
		if (kept.holder)
			holder_detach(kept.orders);
		kept.fruitless = 0;
		break;
	case NOTIFIES:
		break;
	case SERVES:
		kept.fruitless = 0;
		break;
	case HOLD_RINGS:
		start_holder();
		break;
	}
	if (fd >= 0)
		close(fd);
}

/* All that the worker has sent so far */
static void listen_to_worker(void)
{
	for (;;) {
		union control control;
		enum what what;
		struct iovec iov = { &what, sizeof(what) };
		struct msghdr m = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control.bytes,
				    .msg_controllen = sizeof(control.bytes) };
		ssize_t n =
			recvmsg(kept.in, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		const struct cmsghdr *c;
		int fd = -1;

		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(what))
			return;
		c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_RIGHTS &&
		    c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
		obey(what, fd);
	}
}

/* A worker that does not get on with a request is not to be waited for any longer */
static void watch_requests(struct lasting *l, pid_t worker)
{
	int64_t now = steady_ns();

	/* But for the one beside those that threads read, which may take long */
	for (unsigned i = 0; l->watchdog && i + 1 < l->requests; i++) {
		const struct lasting_request *r = &l->request[i];
		uint64_t unique = atomic_load(&r->unique);
		int64_t began = atomic_load(&r->began);

		if (!unique ||
		    now - began < l->watchdog * INT64_C(1000000000) ||
		    atomic_load(&r->unique) != unique)
			continue;
		if (!l->hung)
			message("a request takes longer than %u s; ending the "
				"daemon",
				l->watchdog);
		/* For a core file; then for sure */
		kill(worker, l->hung ? SIGKILL : SIGABRT);
		l->hung = true;
		return;
	}
}

/* Text of a file in /proc; nothing if there is none */
static void read_text(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void read_text(char *text, size_t size, const char *format, ...)
{
	char path[64];
	ssize_t n = -1;
	va_list args;
	int fd;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

static bool is_notifier(const struct lasting *l, long thread)
{
	return thread == atomic_load(&l->notifier[0]) ||
	       thread == atomic_load(&l->notifier[1]);
}

/* Threads, but for these, that are not dead, nor as good as that while a core file is
 * written. -1: that is not known. */
static int count_others(const struct lasting *l, pid_t process)
{
	char path[32], text[256];
	struct dirent *e;
	int count = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)process);
	tasks = opendir(path);
	if (!tasks)
		return -1;
	while ((e = readdir(tasks))) {
		const char *state;

		if (*e->d_name == '.' ||
		    is_notifier(l, strtol(e->d_name, NULL, 10)))
			continue;
		read_text(text, sizeof(text), "/proc/%ld/task/%.20s/stat",
			  (long)process, e->d_name);
		state = strrchr(text, ')');
		count += state && !strchr("ZXI", state[2]);
	}
	closedir(tasks);
	return count;
}

static bool is_notified(const struct lasting *l)
{
	return atomic_load(&l->notifier[0]) || atomic_load(&l->notifier[1]);
}

/*
 * A thread that tells the kernel of a name that has come back waits there for the lock
 * of the directory. Who holds that may wait for an answer of this mount: then the thread
 * cannot die before there is another worker. It does nothing more here, so it is not
 * waited for if such threads are all that is left, or beside them the one that is to
 * write a core file. The signal, or 0.
 */
static int is_as_good_as_dead(const struct lasting *l, pid_t worker)
{
	char text[4096];
	bool dumps;

	if (!is_notified(l))
		return 0;
	read_text(text, sizeof(text), "/proc/%ld/status", (long)worker);
	dumps = strstr(text, "\nCoreDumping:\t1\n");
	if (!dumps && !strstr(text, "\nState:\tZ"))
		return 0;
	if (count_others(l, worker) != dumps)
		return 0;
	return dumps ? SIGABRT : SIGKILL;
}

static int patience(const struct lasting *l)
{
	if (is_notified(l))
		return NOTIFIER_MS;
	return l->watchdog ? WATCH_MS : -1;
}

/* Nobody fetches requests any more. If nobody did yet, they come by /dev/fuse. */
static void lose_holder(struct lasting *l, pid_t worker, int *ending)
{
	bool served = atomic_load(&kept.rings->stage) == RINGS_SERVED;

	kept.holder = 0;
	if (!served && atomic_load(&kept.rings->stage) != RINGS_FAILED)
		rings_reach(kept.rings, RINGS_FAILED, -EPIPE);
	if (!served)
		return;
	if (kept.device < 0 || device_is_unmounted(kept.device) || *ending ||
	    atomic_load(&l->ending))
		return;
	message("the process that holds the rings died: the mount ends");
	*ending = SIGTERM;
	kill(worker, *ending);
}

/* The worker's, or 0. Others that are dead: one that could not die when it was given up,
 * and the holder. */
static pid_t bury(struct lasting *l, pid_t worker, int *status, int *ending)
{
	pid_t dead;

	while ((dead = waitpid(-1, status, WNOHANG)) > 0 && dead != worker)
		if (dead == kept.holder)
			lose_holder(l, worker, ending);
	return dead > 0 ? dead : 0;
}

/* Wait until the worker is dead, and hand on signals to it. Its status. */
static int watch(struct lasting *l, pid_t worker, int signals, int *ending)
{
	struct pollfd p[] = { { .fd = signals, .events = POLLIN },
			      { .fd = kept.in, .events = POLLIN } };
	int status;

	for (;;) {
		struct signalfd_siginfo s;
		pid_t dead = bury(l, worker, &status, ending);

		listen_to_worker();
		if (dead)
			return status;
		if (poll(p, 2, patience(l)) <= 0) {
			status = is_as_good_as_dead(l, worker);
			if (status)
				return status;
			watch_requests(l, worker);
			continue;
		}
		if (!(p[0].revents & POLLIN) ||
		    read(signals, &s, sizeof(s)) != (ssize_t)sizeof(s) ||
		    s.ssi_signo == SIGCHLD)
			continue;
		*ending = (int)s.ssi_signo;
		kill(worker, *ending);
	}
}

/* In the child. The signals are blocked, as main() wants them. */
static int work_in_child(pid_t supervisor, int signals, int (*work)(void *arg),
			 void *arg)
{
	sigset_t child;

	close(signals);
	close(kept.in);
	kept.in = -1;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &child, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor)
		raise(SIGTERM);
	return work(arg);
}

static void note_death(struct lasting *l, int status)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	l->died = (struct banyan_time){ (int64_t)now.tv_sec,
					(uint64_t)now.tv_nsec };
	l->died_ns = (uint64_t)steady_ns();
	l->signal = WTERMSIG(status);
	l->core = WCOREDUMP(status);
	l->restarts++;
	message("the daemon died: %s%s; another one goes on",
		strsignal(WTERMSIG(status)),
		WCOREDUMP(status) ? " (core dumped)" : "");
}

/* Become the new program, with the one file that there is after a clean end. Here
 * again if that is not possible. */
static void restart(struct lasting *l)
{
	const struct restart r = {
		.device = kept.device,
		.file = kept.file[kept.files - 1],
		.rings = kept.holder ? kept.rings->fd : -1,
		.orders = kept.holder ? kept.orders : -1,
		.holder = kept.holder,
	};

	l->died_ns = (uint64_t)steady_ns();
	restart_run(&r, l);
	l->kept++;
	l->last_kept = true;
}

/* Is another worker to be started after one that ended so? */
static bool goes_on(struct lasting *l, int status, int ending)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == RESTART_STATUS &&
	    !ending) {
		restart(l);
		return true;
	}
	if (!WIFSIGNALED(status))
		return false;
	if (ending || atomic_load(&l->ending) || !atomic_load(&l->survives) ||
	    kept.device < 0 || device_is_unmounted(kept.device)) {
		message("the daemon died%s: %s",
			l->served ? "" : " while starting",
			strsignal(WTERMSIG(status)));
		return false;
	}
	if (kept.fruitless++ == FRUITLESS_MAX) {
		message("%d daemons died before they served, the last one: %s; "
			"the mount ends",
			FRUITLESS_MAX, strsignal(WTERMSIG(status)));
		return false;
	}
	note_death(l, status);
	return true;
}

static int prepare_holder(struct lasting *l)
{
	int fds[2];

	kept.lasting = l;
	kept.rings = l->rings;
	if (!kept.rings || kept.holder)
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	kept.obeys = fds[0];
	kept.orders = fds[1];
	return 0;
}

static int prepare(int *signals)
{
	sigset_t set;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	kept.in = fds[0];
	kept.out = fds[1];
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *signals < 0 ? -errno : 0;
}

/* As the worker would have done at its end: what was written to a mount that is gone does
 * not wait for the kernel to write it */
static void sync_files(void)
{
	for (size_t i = 0; i < kept.files; i++)
		if (fdatasync(kept.file[i]))
			message("cannot sync: %s", strerror(errno));
}

/* Nobody serves any more what it fetches */
static void await_holder(void)
{
	if (!kept.holder)
		return;
	kill(kept.holder, SIGKILL);
	while (waitpid(kept.holder, NULL, 0) < 0 && errno == EINTR)
		;
}

/* For want of memory or processes a mount that serves has not to end at once */
static pid_t fork_patiently(const struct lasting *l)
{
	const struct timespec pause = { .tv_nsec = FORK_PAUSE_NS };
	pid_t pid = fork();

	for (int i = 0; pid < 0 && l->served && i < FORK_TRIES; i++) {
		nanosleep(&pause, NULL);
		pid = fork();
	}
	return pid;
}

int supervisor_run(struct lasting *l, int ready, int (*work)(void *arg),
		   void *arg)
{
	pid_t self = getpid();
	int signals = -1, ending = 0, status;
	int rc = prepare(&signals);

	if (!rc)
		rc = prepare_holder(l);
	if (rc) {
		message("cannot start: %s", strerror(-rc));
		return 1;
	}
	do {
		pid_t worker = fork_patiently(l);

		if (!worker)
			return work_in_child(self, signals, work, arg);
		if (worker < 0) {
			message("cannot start: %s", rlimits_strerror(-errno));
			return 1;
		}
		if (ready >= 0)
			close(ready);
		ready = -1;
		if (ending)
			kill(worker, ending);
		status = watch(l, worker, signals, &ending);
	} while (goes_on(l, status, ending));
	if (WIFSIGNALED(status))
		sync_files();
	await_holder();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
