/* SPDX-License-Identifier: MIT */
/*
 * make_golden DIR - write the golden files: databases of today's format, which
 * every later version must open and find to hold the same (test_golden.c). For
 * each a DIR/NAME.image (see image_text.h) and a DIR/NAME.list (listing.h).
 *
 * Not run by any check. Once a version has been given out its files stay as they
 * are; a new format gets files of other names beside them.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/fuzz/image_file.h"
#include "api/handle.h"
#include "image_text.h"
#include "listing.h"

static const char *top;

static void fail(const char *what)
{
	fprintf(stderr, "make_golden: %s\n", what);
	exit(1);
}

/* Here nothing is expected to go wrong */
static void must(int64_t rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "make_golden: %s: %s\n", what,
		banyan_strerror((int)rc));
	exit(1);
}

#define MUST(call) must((call), #call)

/* ---- files ------------------------------------------------------------ */

/* A database that can be looked at from below: as a crash would leave it */
struct golden {
	banyan *db;
	struct file *file;
};

static void open_golden(struct golden *g, const struct image *image)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	MUST(image_file(image, NULL, &g->file));
	MUST(handle_open_file(g->file, &o, image == NULL, &g->db));
}

static FILE *open_text(const char *name, const char *kind)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s.%s", top, name, kind);
	FILE *f = fopen(path, "w");
	if (!f)
		fail(path);
	return f;
}

static void write_text(const char *name, const struct buf *text)
{
	FILE *f = open_text(name, "list");
	if (fwrite(text->data, 1, text->len, f) != text->len || fclose(f))
		fail("cannot write");
}

/* What the file is now, without a word to the database */
static void take(const struct golden *g, struct image *image)
{
	MUST(image_file_now(g->file, image));
}

/*
 * Write the image down, with what a reader is to find in it: this text, and the
 * numbers that a read-only handle tells.
 */
static void write_golden(const char *name, const struct image *image,
			 struct buf *text)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct file *file = NULL;
	banyan *db = NULL;
	MUST(image_file(image, NULL, &file));
	MUST(handle_open_file(file, &o, false, &db));
	MUST(listing_numbers(db, text));
	MUST(banyan_close(db));
	write_text(name, text);
	FILE *f = open_text(name, "image");
	fprintf(f, "# Made by tests/golden/make_golden.c\n");
	MUST(image_text_write(f, image));
	if (fclose(f))
		fail("cannot write");
	buf_free(text);
}

static void list_now(const struct golden *g, struct buf *text)
{
	*text = (struct buf)BUF_INIT;
	MUST(listing(g->db, text));
}

/* What the writer shows now, and the file as it is after a clean close */
static void close_golden(struct golden *g, const char *name)
{
	struct buf text = BUF_INIT;
	struct image image = { 0 };
	list_now(g, &text);
	MUST(banyan_freeze(g->db));
	take(g, &image);
	MUST(banyan_close(g->db));
	write_golden(name, &image, &text);
	image_free(&image);
}

/* ---- what is put in --------------------------------------------------- */

static banyan_data *find(banyan *db, const char *path)
{
	banyan_data *d = NULL;
	MUST(banyan_find(db, path, &d));
	return d;
}

/* size times the same byte, so that the image is short */
static void put(banyan *db, const char *path, char byte, size_t size)
{
	char *bytes = malloc(size + 1);
	if (!bytes)
		fail("no memory");
	memset(bytes, byte, size);
	MUST(banyan_put(db, path, bytes, size, BANYAN_PARENTS));
	free(bytes);
}

/* An extent each, with holes between them */
static void put_pieces(banyan *db, const char *path, unsigned count,
		       size_t size)
{
	char bytes[4096];
	put(db, path, 'p', 0);
	banyan_data *d = find(db, path);
	for (unsigned i = 0; i < count; i++) {
		memset(bytes, 'A' + (int)i, size);
		MUST(banyan_write(d, bytes, size, i * 5000ull, 0, NULL));
	}
	banyan_release(d, 1);
}

static void add_values(banyan *db)
{
	put(db, "empty", 'e', 0);
	put(db, "one", '1', 1);
	put(db, "in-the-row", 'r', 256);
	put(db, "one-extent", 'x', 257);
	put(db, "chunk", 'c', 16384);
	put(db, "two-chunks", '2', 16385);
	put(db, "many-chunks", 'm', 100000);
	put_pieces(db, "four-extents", 4, 1000);
	put_pieces(db, "extent-rows", 9, 1000);

	banyan_data *d = find(db, "extent-rows");
	MUST(banyan_punch(d, 5100, 300, true));
	MUST(banyan_write(d, "over", 4, 10500, 0, NULL));
	MUST(banyan_truncate(d, 40500));
	banyan_release(d, 1);

	put(db, "all-hole", 'h', 0);
	put(db, "far-away", 'f', 0);
	d = find(db, "all-hole");
	MUST(banyan_truncate(d, 1ull << 40));
	banyan_release(d, 1);
	d = find(db, "far-away");
	MUST(banyan_write(d, "end", 3, (1ull << 40) - 3, 0, NULL));
	banyan_release(d, 1);
}

static void add_shared(banyan *db)
{
	banyan_data *few = find(db, "two-chunks");
	banyan_data *rows = find(db, "extent-rows");
	put(db, "copy", ' ', 0);
	put(db, "copies", ' ', 0);
	MUST(banyan_clone(few, 0, find(db, "copy"), 0, 16385));
	banyan_release(find(db, "copy"), 2);
	MUST(banyan_clone(rows, 300, find(db, "copies"), 100, 35000));
	banyan_release(find(db, "copies"), 2);
	MUST(banyan_remove(db, "two-chunks"));
	banyan_release(few, 1);
	banyan_release(rows, 1);
}

static void add_kind(banyan *db, const char *name, mode_t mode, uint64_t rdev)
{
	struct banyan_new make = {
		.mode = mode, .uid = 1000, .gid = 4294967294u, .rdev = rdev
	};
	if (S_ISLNK(mode)) {
		make.value = "../in-the-row";
		make.size = 13;
	}
	MUST(banyan_insert(banyan_root(db), name, strlen(name), &make, NULL,
			   NULL));
}

static void add_kinds(banyan *db)
{
	add_kind(db, "fifo", S_IFIFO | 0600, 0);
	add_kind(db, "socket", S_IFSOCK | 0755, 0);
	add_kind(db, "character-device", S_IFCHR | 0666, makedev(1, 3));
	add_kind(db, "block-device", S_IFBLK | 0660, makedev(4095, 1048575));
	add_kind(db, "link", S_IFLNK | 0777, 0);
	add_kind(db, "set-id", S_IFREG | 07755, 0);
	add_kind(db, "sticky-space", S_IFDIR | 01777, 0);
}

static void add_names(banyan *db)
{
	char name[BANYAN_NAME_MAX + 1];
	memset(name, 'n', BANYAN_NAME_MAX);
	name[BANYAN_NAME_MAX] = '\0';
	put(db, name, 'l', 3);
	put(db, "with space and \xc3\xa4\xc3\xb6\xc3\xbc", 'u', 3);
	put(db, "\x01\xff%\n", 'b', 3);
	put(db, "space/in space/deep/er", 'd', 4);
	put(db, "space/key", 'k', 300);
	MUST(banyan_alias(db, "space/key", "space/in space/alias"));
	MUST(banyan_alias(db, "space/key", "alias"));
	put(db, "was-alias", 'w', 10);
	MUST(banyan_alias(db, "was-alias", "gone"));
	MUST(banyan_remove(db, "gone"));
	MUST(banyan_make_space(db, "space/empty", 0));
}

static void add_xattrs(banyan *db, const char *path)
{
	static char bytes[BANYAN_XATTR_MAX];
	banyan_data *d = find(db, path);
	memset(bytes, 'X', sizeof(bytes));
	MUST(banyan_set_xattr(d, "user.empty", "", 0, 0));
	MUST(banyan_set_xattr(d, "user.short", "short", 5, 0));
	MUST(banyan_set_xattr(d, "user.in-row", bytes, 1024, 0));
	MUST(banyan_set_xattr(d, "user.in-log", bytes, 1025, 0));
	MUST(banyan_set_xattr(d, "security.most", bytes, sizeof(bytes), 0));
	MUST(banyan_set_xattr(d, "user.gone", bytes, 10, 0));
	MUST(banyan_remove_xattr(d, "user.gone"));
	banyan_release(d, 1);
}

static void set_attrs(banyan *db)
{
	struct banyan_attr a = { .mode = 0400,
				 .uid = 4294967294u,
				 .gid = 1,
				 .atime = { .sec = INT64_MAX },
				 .mtime = { .sec = INT64_MIN } };
	banyan_data *d = find(db, "one");
	MUST(banyan_set_attr(d, &a,
			     BANYAN_SET_MODE | BANYAN_SET_UID | BANYAN_SET_GID |
				     BANYAN_SET_ATIME | BANYAN_SET_MTIME,
			     NULL));
	banyan_release(d, 1);
	put(db, "append-only", 'a', 3);
	d = find(db, "append-only");
	a.flags = BANYAN_APPEND_ONLY | BANYAN_NO_DUMP;
	MUST(banyan_set_attr(d, &a, BANYAN_SET_FLAGS, NULL));
	banyan_release(d, 1);
}

static void move_about(banyan *db)
{
	put(db, "moved-from", 'm', 20);
	put(db, "replaced", 'r', 2000);
	put(db, "a", 'a', 5);
	put(db, "b", 'b', 500);
	MUST(banyan_rename(db, "moved-from", "space/moved-to", 0));
	MUST(banyan_rename(db, "one-extent", "replaced", 0));
	MUST(banyan_rename(db, "a", "b", BANYAN_EXCHANGE));
	MUST(banyan_make_space(db, "other", 0));
	MUST(banyan_rename(db, "space/empty", "other/empty", 0));
}

static void batch(banyan *db, const char *prefix)
{
	char name[64];
	banyan *to = NULL;
	MUST(banyan_begin(db, &to));
	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "%s%u", prefix, i);
		put(to, name, 'x', i * 60);
	}
	MUST(banyan_commit(to));
}

static void fill(banyan *db)
{
	add_values(db);
	add_kinds(db);
	add_names(db);
	MUST(banyan_sync(db)); /* a mark */
	MUST(banyan_freeze(db));
	add_shared(db);
	add_xattrs(db, "one");
	add_xattrs(db, "space");
	set_attrs(db);
	MUST(banyan_freeze(db));
	move_about(db);
	batch(db, "batch");
}

/* ---- the files -------------------------------------------------------- */

static void make_empty(void)
{
	struct golden g;
	open_golden(&g, NULL);
	close_golden(&g, "empty");
}

static void make_full(void)
{
	struct golden g;
	open_golden(&g, NULL);
	fill(g.db);
	close_golden(&g, "full");
}

/* Two levels of nodes; keys that share much, and are long */
static void make_tree(void)
{
	char name[150];
	struct golden g;
	banyan *to = NULL;
	open_golden(&g, NULL);
	MUST(banyan_begin(g.db, &to));
	for (unsigned i = 0; i < 31; i++) {
		memset(name, 'k', sizeof(name));
		snprintf(name, sizeof(name), "key%03u", i * 7 % 31);
		name[strlen(name)] = '-';
		name[sizeof(name) - 1] = '\0';
		MUST(banyan_put(to, name, name, i, 0));
	}
	MUST(banyan_commit(to));
	MUST(banyan_freeze(g.db));
	/* A part of the tree is written anew, the rest is shared */
	MUST(banyan_put(g.db, "zzz", "last", 4, 0));
	close_golden(&g, "tree");
}

/* Before the last freeze and behind it: taken, renamed, dropped */
static void make_snapshots(void)
{
	struct golden g;
	open_golden(&g, NULL);
	put(g.db, "kept", 'k', 3000);
	put(g.db, "changed", 'c', 300);
	MUST(banyan_snapshot(g.db, "first", 5));
	put(g.db, "changed", 'C', 100);
	MUST(banyan_alias(g.db, "kept", "alias"));
	MUST(banyan_snapshot(g.db, "dropped", 7));
	add_xattrs(g.db, "kept");
	MUST(banyan_snapshot(g.db, "second \xc3\xa4", 9));
	MUST(banyan_snapshot_drop(g.db, "dropped", 7));
	MUST(banyan_remove(g.db, "changed"));
	MUST(banyan_freeze(g.db));
	MUST(banyan_snapshot_rename(g.db, "first", 5, "renamed", 7));
	close_golden(&g, "snapshots");
}

/*
 * As kill -9 leaves a file: operations behind the last freeze, a Data whose
 * last key is gone, one that never had any.
 */
static void make_redo(struct image *image)
{
	struct banyan_new make = { .mode = S_IFREG | 0600,
				   .value = "unnamed",
				   .size = 7 };
	struct golden g;
	struct buf text;
	banyan_data *unnamed = NULL;
	open_golden(&g, NULL);
	put(g.db, "before/kept", 'k', 300);
	put(g.db, "before/changed", 'c', 300);
	put(g.db, "before/deleted", 'd', 300);
	put(g.db, "before/held", 'h', 300);
	MUST(banyan_freeze(g.db));
	MUST(banyan_remove(g.db, "before/deleted"));
	put(g.db, "before/changed", 'C', 20);
	put(g.db, "after/new", 'n', 17000);
	MUST(banyan_alias(g.db, "before/kept", "after/alias"));
	batch(g.db, "after/batch");
	put_pieces(g.db, "after/pieces", 6, 300);
	banyan_data *held = find(g.db, "before/held");
	add_xattrs(g.db, "before/held");
	MUST(banyan_remove(g.db, "before/held"));
	MUST(banyan_insert_unnamed(g.db, &make, &unnamed, NULL));
	MUST(banyan_sync(g.db));
	MUST(banyan_rename(g.db, "after/new", "last", 0));
	list_now(&g, &text);
	take(&g, image);
	banyan_release(held, 1);
	banyan_release(unnamed, 1);
	MUST(banyan_close(g.db));
	write_golden("redo", image, &text);
}

/* Cut within the last operation: all before it is there. name may be NULL. */
static void make_torn(const char *name, const struct image *from,
		      const char *path, struct image *image)
{
	struct golden g;
	struct buf text;
	open_golden(&g, from);
	put(g.db, "sound", 's', 10);
	MUST(banyan_sync(g.db));
	list_now(&g, &text);
	put(g.db, path, 't', 400);
	take(&g, image);
	MUST(banyan_close(g.db));
	image->size -= 9;
	struct image cut = { 0 };
	MUST(image_take(&cut, image, image->size, 0));
	cut.size = image->size;
	image_free(image);
	*image = cut;
	if (name)
		write_golden(name, image, &text);
	buf_free(&text);
}

/* What is written after it goes to the next segment; it and again */
static void make_continued(const struct image *redo)
{
	struct golden g;
	struct image torn = { 0 };
	struct image twice = { 0 };
	make_torn("torn", redo, "torn", &torn);
	make_torn(NULL, &torn, "torn-again", &twice);
	open_golden(&g, &twice);
	put(g.db, "again", 'a', 1000);
	close_golden(&g, "continued");
	image_free(&torn);
	image_free(&twice);
}

int main(int argc, char **argv)
{
	struct image redo = { 0 };
	if (argc != 2)
		fail("usage: make_golden DIR");
	top = argv[1];
	make_empty();
	make_full();
	make_tree();
	make_snapshots();
	make_redo(&redo);
	make_continued(&redo);
	image_free(&redo);
	return 0;
}
