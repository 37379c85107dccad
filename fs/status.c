/* SPDX-License-Identifier: MIT */
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hidden.h"
#include "lasting.h"
#include "options.h"
#include "transport.h"
#include "vacuum.h"
#include "views.h"

#define TEXT_MAX 4096

struct status_node {
	struct hidden_node head;
	struct status_node *before, *after; /* in the list of all */
	uint64_t holds; /* of the kernel */
	struct timespec time;
	size_t len;
	char text[TEXT_MAX];
};

/* The nodes that the kernel knows; the lock protects list and holds */
static struct {
	pthread_mutex_t lock;
	struct status_node *first;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the text -------------------------------------------------------------- */

struct text {
	char *at;
	size_t room;
	bool json;
	bool begun;
};

__attribute__((format(printf, 2, 3))) static void
append(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->at, t->room, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->room)
		return; /* TEXT_MAX is too small */
	t->at += n;
	t->room -= (size_t)n;
}

/* The beginning of a line. label NULL: for programs only. False: not put. */
static bool begin(struct text *t, const char *label, const char *key)
{
	if (!t->json && !label)
		return false;
	if (!t->json)
		append(t, "%-16s ", label);
	else
		append(t, "%s  \"%s\": ", t->begun ? ",\n" : "{\n", key);
	t->begun = true;
	return true;
}

static void put_number(struct text *t, const char *label, const char *key,
		       uint64_t value, const char *unit)
{
	if (!begin(t, label, key))
		return;
	append(t, "%" PRIu64, value);
	if (!t->json)
		append(t, "%s\n", unit);
}

static void put_bytes(struct text *t, const char *label, const char *key,
		      uint64_t value)
{
	put_number(t, label, key, value, " bytes");
}

/* A fixed word, in which nothing has to be escaped */
static void put_word(struct text *t, const char *label, const char *key,
		     const char *word)
{
	if (begin(t, label, key))
		append(t, t->json ? "\"%s\"" : "%s\n", word);
}

static void put_time(struct text *t, const char *label, const char *key_sec,
		     const char *key_nsec, struct banyan_time time)
{
	time_t sec = (time_t)time.sec;
	char date[40];
	struct tm tm;

	if (t->json) {
		if (begin(t, label, key_sec))
			append(t, "%" PRId64, time.sec);
		put_number(t, label, key_nsec, time.nsec, "");
	} else if (localtime_r(&sec, &tm) && begin(t, label, "")) {
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		append(t, "%s.%09" PRIu64, date, time.nsec);
		strftime(date, sizeof(date), "%z", &tm);
		append(t, " %s\n", date);
	}
}

/* ---- what there is to tell -------------------------------------------------- */

static int take_newest(void *arg, const struct banyan_freeze_info *freeze)
{
	*(struct banyan_freeze_info *)arg = *freeze;
	return 1;
}

static void put_file(struct text *t, const struct banyan_stat *stat)
{
	uint64_t dead = stat->file_bytes > stat->live_bytes ?
				stat->file_bytes - stat->live_bytes :
				0;

	put_number(t, "generation", "generation", stat->generation, "");
	put_bytes(t, "size", "file_bytes", stat->file_bytes);
	put_bytes(t, "live", "live_bytes", stat->live_bytes);
	put_bytes(t, "index and dead", "dead_bytes", dead);
	put_bytes(t, "reclaimable", "reclaimable_bytes",
		  stat->reclaimable_bytes);
	put_number(t, "keys", "keys", stat->keys, "");
	put_bytes(t, "durable to", "durable_to", stat->durable_to);
}

static void put_history(struct text *t, struct fs *fs,
			const struct banyan_stat *stat)
{
	struct banyan_freeze_info newest = { 0 };

	put_number(t, "freezes", "freezes", stat->freezes, "");
	if (banyan_freezes(fs->db, take_newest, &newest) == 1) {
		put_number(t, "last freeze", "last_freeze", newest.number, "");
		put_time(t, "last freeze at", "last_freeze_sec",
			 "last_freeze_nsec", newest.time);
	}
	put_bytes(t, "redo since", "redo_bytes", stat->redo_bytes);
	put_number(t, "open views", "open_views", views_awake(fs->views), "");
}

static void put_vacuum(struct text *t, const struct fs *fs)
{
	struct vacuum_report r;

	if (!fs->vacuum) {
		put_word(t, "vacuum", "vacuum", "read-only");
		return;
	}
	vacuum_get(fs->vacuum, &r);
	put_word(t, "vacuum", "vacuum", r.state);
	if (r.total) {
		put_bytes(t, "vacuum done", "vacuum_done", r.done);
		put_bytes(t, "vacuum of about", "vacuum_total", r.total);
	}
	if (r.before) {
		put_bytes(t, "vacuum before", "vacuum_bytes_before", r.before);
		put_bytes(t, "vacuum after", "vacuum_bytes_after", r.after);
		put_number(t, "freezes dropped", "vacuum_freezes_dropped",
			   r.dropped, "");
		put_number(t, "freezes kept", "vacuum_freezes_kept", r.kept,
			   "");
	}
	if (r.error) {
		put_number(t, NULL, "vacuum_errno", (uint64_t)-r.error, "");
		if (!t->json)
			put_word(t, "vacuum error", "",
				 banyan_strerror(r.error));
		put_bytes(t, "vacuum needs", "vacuum_needed", r.needed);
		put_bytes(t, "vacuum has", "vacuum_free", r.room);
	}
	if (r.trim) {
		put_word(t, "last fstrim", "fstrim", r.trim);
		put_time(t, "last fstrim at", "fstrim_sec", "fstrim_nsec",
			 r.trim_time);
	}
}

/* What happens, and has happened, if the daemon dies */
static void put_survival(struct text *t, const struct lasting *l)
{
	put_word(t, "if it dies", "survives",
		 atomic_load(&l->survives) ? "goes on" : "ends");
	put_number(t, l->replaced ? "replaced" : NULL, "replaced", l->replaced,
		   "");
	if (!l->restarts)
		return;
	put_number(t, "died so often", "restarts", l->restarts, "");
	put_time(t, "last at", "died_sec", "died_nsec",
		 (struct banyan_time){ l->died.sec, l->died.nsec });
	put_word(t, "of", "died_of", strsignal(l->signal));
	put_word(t, "core file", "core_file", l->core ? "written" : "none");
	put_number(t, "pause", "pause_ns", l->pause_ns, " ns");
	put_number(t, "answered again", "answered_again",
		   atomic_load(&l->answered), "");
}

/* The memory of the daemon, and its work */
static void put_daemon(struct text *t, const struct fs *fs,
		       const struct banyan_stat *stat)
{
	put_bytes(t, "cache", "cache_bytes", stat->cache_bytes);
	put_bytes(t, "cache limit", "cache_limit", stat->cache_limit);
	put_number(t, "cache hits", "cache_hits", stat->cache_hits, "");
	put_number(t, "cache misses", "cache_misses", stat->cache_misses, "");
	put_number(t, "inodes", "inodes", stat->held, "");
	put_word(t, "transport", "transport", transport_name(fs->transport));
	put_number(t, "requests", "requests", transport_served(fs->transport),
		   "");
	put_survival(t, fs->lasting);
}

static int render(struct fs *fs, bool json, struct status_node *n)
{
	struct text t = { .at = n->text, .room = TEXT_MAX, .json = json };
	struct banyan_stat stat = { 0 };
	int rc = banyan_get_stat(fs->db, &stat);

	if (rc)
		return rc;
	put_word(&t, "version", "version", BANYAN_VERSION);
	put_file(&t, &stat);
	put_history(&t, fs, &stat);
	put_vacuum(&t, fs);
	put_daemon(&t, fs, &stat);
	if (json)
		append(&t, "\n}\n");
	n->len = (size_t)(t.at - n->text);
	return 0;
}

/* ---- nodes ------------------------------------------------------------------ */

static struct status_node *node_of(fuse_ino_t ino)
{
	return (struct status_node *)hidden_node(ino);
}

static void fill_stat(const struct fs *fs, const struct status_node *n,
		      struct stat *st)
{
	const struct options *o = fs->options;

	*st = (struct stat){
		.st_ino = n->head.ino,
		.st_mode = S_IFREG | 0444,
		.st_nlink = 1,
		.st_uid = o->has_uid ? o->uid : geteuid(),
		.st_gid = o->has_gid ? o->gid : getegid(),
		.st_size = (off_t)n->len,
		.st_blocks = TEXT_MAX / 512,
		.st_blksize = TEXT_MAX,
		.st_atim = n->time,
		.st_mtim = n->time,
		.st_ctim = n->time,
	};
}

static void get_attr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	fill_stat(fs_of(req), node_of(ino), &st);
	fs_reply_stat(req, &st, NULL);
}

static void read_text(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	const struct status_node *n = node_of(ino);
	size_t at = (size_t)offset < n->len ? (size_t)offset : n->len;

	(void)fi;
	if (size > n->len - at)
		size = n->len - at;
	fuse_reply_buf(req, n->text + at, size);
}

static void free_node(struct status_node *n)
{
	if (n->before)
		n->before->after = n->after;
	else
		all.first = n->after;
	if (n->after)
		n->after->before = n->before;
	numbers_remove(&n->head.numbered);
	free(n);
}

static void forget(struct hidden_node *node, uint64_t times)
{
	struct status_node *n = (struct status_node *)node;

	pthread_mutex_lock(&all.lock);
	n->holds -= times < n->holds ? times : n->holds;
	if (!n->holds)
		free_node(n);
	pthread_mutex_unlock(&all.lock);
}

void status_reply(fuse_req_t req, bool json)
{
	struct fs *fs = fs_of(req);
	struct status_node *n = calloc(1, sizeof(*n));
	struct fuse_entry_param e = { .attr_timeout = FS_FOREVER };
	int rc = n ? render(fs, json, n) : -ENOMEM;

	if (rc) {
		free(n);
		fs_reply_error(req, rc);
		return;
	}
	hidden_text(fs->hidden, &n->head);
	n->head.forget = forget;
	n->head.ino =
		hidden_fixed_ino(json ? HIDDEN_STATUS_JSON : HIDDEN_STATUS);
	clock_gettime(CLOCK_REALTIME, &n->time);
	n->holds = 1;
	numbers_add(&n->head.numbered);
	e.ino = hidden_id(&n->head);
	fill_stat(fs, n, &e.attr);
	pthread_mutex_lock(&all.lock);
	n->after = all.first;
	if (all.first)
		all.first->before = n;
	all.first = n;
	pthread_mutex_unlock(&all.lock);
	if (fuse_reply_entry(req, &e))
		forget(&n->head, 1);
}

void status_ops(const struct fs *fs, struct fuse_lowlevel_ops *ops)
{
	hidden_ops(fs, ops);
	ops->getattr = get_attr;
	ops->read = read_text;
}

void status_free(void)
{
	for (struct status_node *n = all.first, *after; n; n = after) {
		after = n->after;
		numbers_remove(&n->head.numbered);
		free(n);
	}
	all.first = NULL;
}
