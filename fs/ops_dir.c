/* SPDX-License-Identifier: MIT */
/*
 * Handlers for listings.
 *
 * A listing is read in pieces, and the kernel goes on behind any entry that it
 * has been given, by the entry's *cookie*: a number that must find its place
 * although keys were made and deleted meanwhile. Ours is a hash of the name. A
 * counter would not do: the kernel keeps listings (cache_readdir) and may go on
 * in one open directory from a cookie that it got in another.
 *
 * To find the name of a cookie, an open directory remembers the names that it
 * has handed out, the last REMEMBERED of them at least. This is what lets
 * `rm -r` go on behind a name that it has deleted. For a cookie from another open
 * directory, or from the daemon before this one, there is a list of the last names that
 * any directory has handed out (lasting.h). An older one is looked for by listing the
 * names; if its key is gone too, the listing starts over, so that names may come twice
 * but none is missed. No cursor is kept between two calls: each call scans from the
 * name.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "commit.h"
#include "fs.h"
#include "lasting.h"
#include "nodes.h"
#include "numbers.h"
#include "stale.h"
#include "transport.h"

#define REMEMBERED 32768u

/* Cookies below COOKIE_NAMES are not of names */
enum { COOKIE_START = 0, COOKIE_DOT = 1, COOKIE_DOTDOT = 2, COOKIE_NAMES = 16 };

struct memory {
	uint64_t cookie;
	size_t at; /* of the name in names */
	size_t len;
};

/* An open directory; the lock protects it, held for a whole call */
struct listing {
	struct numbered numbered;
	pthread_mutex_t lock;
	struct memory *entry; /* in the order they were handed out */
	size_t entries, entry_room;
	char *names;
	size_t names_used, names_room;
	struct listing *before, *after; /* in the list of all */
};

/* All that are open, as at an unmount the kernel closes none of them */
static struct {
	pthread_mutex_t lock;
	struct listing *first;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Protects the list of names that all have handed out */
static pthread_mutex_t handed_out = PTHREAD_MUTEX_INITIALIZER;

/* One reply in the making */
struct page {
	fuse_req_t req;
	const struct fs_space *space;
	struct listing *listing;
	bool plus; /* entries with attributes, each a hold for the kernel */
	char *buffer;
	size_t size, used;
	fuse_ino_t *held; /* one for each entry of this reply, if plus */
	size_t holds, held_room;
};

static uint64_t cookie_of(const struct fs *fs, const char *name, size_t len)
{
	uint64_t h = fs->lasting->seed ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	h = (h ^ (h >> 29)) >> 1; /* off_t is signed */
	return h < COOKIE_NAMES ? h + COOKIE_NAMES : h;
}

/* ---- what an open directory remembers --------------------------------- */

/* Make room for one more; *room counts elements of size bytes */
static int reserve(void *array, size_t *room, size_t need, size_t size)
{
	size_t n = *room ? *room : 64;
	void **p = array;
	void *bigger;

	if (need <= *room)
		return 0;
	while (n < need)
		n *= 2;
	bigger = realloc(*p, n * size);
	if (!bigger)
		return -ENOMEM;
	*p = bigger;
	*room = n;
	return 0;
}

static int remember(struct listing *l, uint64_t cookie, const char *name,
		    size_t len)
{
	struct memory *e;
	int rc = reserve(&l->entry, &l->entry_room, l->entries + 1,
			 sizeof(*l->entry));

	if (!rc)
		rc = reserve(&l->names, &l->names_room, l->names_used + len, 1);
	if (rc)
		return rc;
	e = &l->entry[l->entries++];
	*e = (struct memory){ cookie, l->names_used, len };
	memcpy(l->names + l->names_used, name, len);
	l->names_used += len;
	return 0;
}

/* Between two replies: forget the oldest if there are too many */
static void trim(struct listing *l)
{
	size_t drop, bytes;

	if (l->entries < 2 * REMEMBERED)
		return;
	drop = l->entries - REMEMBERED;
	bytes = l->entry[drop].at;
	l->entries -= drop;
	memmove(l->entry, l->entry + drop, l->entries * sizeof(*l->entry));
	for (size_t i = 0; i < l->entries; i++)
		l->entry[i].at -= bytes;
	l->names_used -= bytes;
	memmove(l->names, l->names + bytes, l->names_used);
}

/* The name of a cookie, newest first: the kernel goes on near the end */
static bool recall(const struct listing *l, uint64_t cookie, char *name,
		   size_t *len)
{
	for (size_t i = l->entries; i-- > 0;) {
		const struct memory *e = &l->entry[i];

		if (e->cookie != cookie)
			continue;
		memcpy(name, l->names + e->at, e->len);
		*len = e->len;
		return true;
	}
	return false;
}

static void remember_for_others(struct lasting *l, uint64_t cookie,
				const char *name, size_t len)
{
	struct lasting_name *n;

	pthread_mutex_lock(&handed_out);
	n = &l->name[l->names++ % LASTING_NAMES];
	n->cookie = cookie;
	n->len = len;
	memcpy(n->bytes, name, len);
	pthread_mutex_unlock(&handed_out);
}

/* From whichever open directory the cookie is */
static bool recall_of_others(const struct fs *fs, uint64_t cookie, char *name,
			     size_t *len)
{
	const struct lasting *l = fs->lasting;
	bool found = false;

	pthread_mutex_lock(&handed_out);
	for (uint64_t i = 0; i < LASTING_NAMES && !found; i++) {
		const struct lasting_name *n =
			&l->name[(l->names - 1 - i) % LASTING_NAMES];

		found = n->cookie == cookie && n->len <= BANYAN_NAME_MAX &&
			cookie_of(fs, n->bytes, n->len) == cookie;
		if (!found)
			continue;
		memcpy(name, n->bytes, n->len);
		*len = n->len;
	}
	pthread_mutex_unlock(&handed_out);
	return found;
}

/* Look for a cookie's key among all. 1: there is none. */
static int look_for(const struct fs *fs, banyan_data *space, uint64_t cookie,
		    char *name, size_t *len)
{
	struct banyan_range range = { .names_only = true };
	struct banyan_entry entry;
	banyan_cursor *cursor;
	int rc = banyan_scan(space, &range, &cursor);

	if (rc)
		return rc;
	while (!(rc = banyan_next(cursor, &entry)))
		if (cookie_of(fs, entry.name, entry.len) == cookie)
			break;
	if (!rc) {
		memcpy(name, entry.name, entry.len);
		*len = entry.len;
	}
	banyan_scan_end(cursor);
	return rc;
}

/* Where to go on: the name behind which, or none for the beginning */
static int find_place(const struct page *p, uint64_t cookie, char *name,
		      struct banyan_range *range)
{
	int rc;

	if (cookie < COOKIE_NAMES)
		return 0;
	if (!recall(p->listing, cookie, name, &range->from_len) &&
	    !recall_of_others(p->space->fs, cookie, name, &range->from_len)) {
		rc = look_for(p->space->fs, p->space->data, cookie, name,
			      &range->from_len);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	range->from = name;
	range->after = true;
	return 0;
}

/* ---- a reply ---------------------------------------------------------- */

/* Put an entry into the reply: false if there is no room */
static bool put(struct page *p, const char *name,
		const struct fuse_entry_param *e, uint64_t cookie)
{
	size_t room = p->size - p->used;
	char *to = p->buffer + p->used;
	size_t n;

	if (p->plus)
		n = fuse_add_direntry_plus(p->req, to, room, name, e,
					   (off_t)cookie);
	else
		n = fuse_add_direntry(p->req, to, room, name, &e->attr,
				      (off_t)cookie);
	if (n > room)
		return false;
	p->used += n;
	return true;
}

/* "." or "..", of which the kernel holds nothing */
static bool put_dot(struct page *p, const char *name, uint64_t id,
		    uint64_t cookie)
{
	struct fuse_entry_param e = {
		.attr = { .st_ino = id, .st_mode = S_IFDIR },
	};

	return put(p, name, &e, cookie);
}

/* The dots that are still to come. 1: no room. */
static int put_dots(struct page *p, uint64_t cookie)
{
	uint64_t parent;
	int rc;

	if (cookie == COOKIE_START &&
	    !put_dot(p, ".", p->space->ino, COOKIE_DOT))
		return 1;
	if (cookie < COOKIE_DOTDOT) {
		rc = p->space->parent(p->space, &parent);
		if (rc)
			return rc;
		if (!put_dot(p, "..", parent, COOKIE_DOTDOT))
			return 1;
	}
	return 0;
}

/* 0: put. 1: no room. -ESTALE: gone. */
static int put_entry(struct page *p, banyan_cursor *cursor,
		     const struct banyan_entry *entry)
{
	uint64_t cookie = cookie_of(p->space->fs, entry->name, entry->len);
	struct fuse_entry_param e;
	int rc = 0;

	if (p->plus) {
		if (fuse_add_direntry_plus(p->req, NULL, 0, entry->name, NULL,
					   0) > p->size - p->used)
			return 1; /* before anything is held */
		rc = reserve(&p->held, &p->held_room, p->holds + 1,
			     sizeof(*p->held));
	}
	if (!rc)
		rc = p->space->fill(p->space, p->plus ? cursor : NULL, entry,
				    &e);
	if (rc)
		return rc;
	if (p->plus)
		p->held[p->holds++] = e.ino;
	if (!put(p, entry->name, &e, cookie))
		return 1;
	remember_for_others(p->space->fs->lasting, cookie, entry->name,
			    entry->len);
	return remember(p->listing, cookie, entry->name, entry->len);
}

static int fill(struct page *p, uint64_t cookie)
{
	char name[BANYAN_NAME_MAX];
	struct banyan_range range = {
		.names_only = !p->plus && p->space->names_only,
	};
	struct banyan_entry entry;
	banyan_cursor *cursor = NULL;
	int rc = put_dots(p, cookie);

	if (!rc)
		rc = find_place(p, cookie, name, &range);
	if (!rc)
		rc = banyan_scan(p->space->data, &range, &cursor);
	while (!rc) {
		rc = banyan_next(cursor, &entry);
		if (!rc)
			rc = put_entry(p, cursor, &entry);
		if (rc == -ESTALE)
			rc = 0;
	}
	banyan_scan_end(cursor);
	return rc < 0 ? rc : 0;
}

/* The kernel does not get the reply, of which so many have been told */
static void drop_holds(struct page *p, size_t told)
{
	while (p->holds) {
		fuse_ino_t ino = p->held[--p->holds];

		if (p->holds < told)
			nodes_untell(ino);
		p->space->drop(p->space, ino);
	}
}

static void reply(struct page *p)
{
	size_t told = 0;

	while (told < p->holds && !nodes_tell(p->held[told]))
		told++;
	if (told < p->holds) {
		fuse_reply_err(p->req, ENOMEM);
		drop_holds(p, told);
	} else if (fuse_reply_buf(p->req, p->buffer, p->used)) {
		drop_holds(p, told);
	}
}

static struct listing *listing_new(void)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_lock(&all.lock);
	l->after = all.first;
	if (all.first)
		all.first->before = l;
	all.first = l;
	pthread_mutex_unlock(&all.lock);
	return l;
}

static void listing_free(struct listing *l)
{
	numbers_remove(&l->numbered);
	pthread_mutex_lock(&all.lock);
	if (l->before)
		l->before->after = l->after;
	else
		all.first = l->after;
	if (l->after)
		l->after->before = l->before;
	pthread_mutex_unlock(&all.lock);
	pthread_mutex_destroy(&l->lock);
	free(l->entry);
	free(l->names);
	free(l);
}

/*
 * The listing of an open directory. If a daemon before this one opened it, what it
 * remembered is lost. (The kernel lets one thread at a time read an open directory.)
 * NULL: no memory.
 */
static struct listing *listing_of(const struct fuse_file_info *fi)
{
	struct listing *l = (struct listing *)numbers_find(fi->fh);

	if (l)
		return l;
	l = listing_new();
	if (l)
		numbers_add_as(&l->numbered, fi->fh);
	return l;
}

void fs_list(fuse_req_t req, const struct fs_space *space, size_t size,
	     off_t offset, struct fuse_file_info *fi, bool plus)
{
	struct listing *l = listing_of(fi);
	struct page p = {
		.req = req,
		.space = space,
		.listing = l,
		.plus = plus,
		.buffer = transport_buffer(size),
		.size = size,
	};
	int rc = p.buffer ? 0 : -ENOMEM;

	if (!l) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_lock(&l->lock);
	if (offset == COOKIE_START)
		l->entries = l->names_used = 0;
	trim(l);
	if (!rc)
		rc = fill(&p, (uint64_t)offset);
	pthread_mutex_unlock(&l->lock);

	/* What came before an error goes out; the next call meets it again */
	if (rc && !p.used)
		fs_reply_error(req, rc);
	else
		reply(&p);
	free(p.held);
}

/* ---- key spaces of now ------------------------------------------------- */

static int live_parent(const struct fs_space *space, uint64_t *ino)
{
	int rc = banyan_parent(space->data, ino);

	if (rc == -ESTALE || rc == -ENOENT) { /* deleted, but open */
		*ino = space->ino;
		rc = 0;
	}
	return rc;
}

/* -ESTALE if the key is gone meanwhile */
static int live_fill(const struct fs_space *space, banyan_cursor *cursor,
		     const struct banyan_entry *entry,
		     struct fuse_entry_param *e)
{
	struct fs *fs = space->fs;
	banyan_data *data;
	int rc;

	if (cursor) {
		rc = banyan_entry_data(cursor, &data);
		if (rc)
			return rc;
		if (data == banyan_root(fs->db))
			return -EUCLEAN;
	}
	fs_fill_entry(fs, &entry->attr, e);
	if (cursor)
		stale_entry(space->ino, data);
	return 0;
}

static void live_drop(const struct fs_space *space, fuse_ino_t ino)
{
	nodes_drop(space->fs, ino, 1);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fs_of(req);
	banyan_data *data = fs_data(fs, ino);
	const struct fs_space space = {
		.fs = fs,
		.data = data,
		.ino = banyan_id(data),
		.names_only = true,
		.parent = live_parent,
		.fill = live_fill,
		.drop = live_drop,
	};

	if (offset == COOKIE_START)
		stale_begin(space.ino);
	fs_list(req, &space, size, offset, fi, plus);
}

static void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size,
		       off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, false);
}

static void fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, true);
}

/* ---- open and close --------------------------------------------------- */

static void fs_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct listing *l = listing_new();

	if (!l) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	numbers_add(&l->numbered);
	fi->fh = l->numbered.number;
	fi->cache_readdir = 1;
	fi->keep_cache = !stale_is(ino);
	if (fuse_reply_open(req, fi))
		listing_free(l); /* no RELEASEDIR will come */
}

static void fs_releasedir(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	struct listing *l = (struct listing *)numbers_find(fi->fh);

	(void)ino;
	if (l)
		listing_free(l);
	fuse_reply_err(req, 0);
}

static void fs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only,
			struct fuse_file_info *fi)
{
	(void)ino;
	(void)data_only;
	(void)fi;
	commit_request(fs_of(req)->commit, req);
}

void fs_free_listings(void)
{
	while (all.first)
		listing_free(all.first);
}

void fs_ops_dir(struct fuse_lowlevel_ops *ops)
{
	ops->opendir = fs_opendir;
	ops->readdir = fs_readdir;
	ops->readdirplus = fs_readdirplus;
	ops->releasedir = fs_releasedir;
	ops->fsyncdir = fs_fsyncdir;
}
