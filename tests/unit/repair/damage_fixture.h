/* SPDX-License-Identifier: MIT */
/*
 * damage_fixture.h - what the tests of check and salvage share: a database with
 * some of everything, its bytes, where each record lies, a dump to compare, and
 * the lines that were told.
 */
#ifndef TESTS_DAMAGE_FIXTURE_H
#define TESTS_DAMAGE_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "api/handle.h"
#include "tests/support/random.h"
#include "tests/support/temp.h"

#define SOURCE "source.banyan"
#define OUT "out.banyan"
#define RECORDS_MAX 512
#define STATES_MAX 16

struct at_record {
	uint64_t offset;
	uint64_t size;
	uint64_t payload;
	struct record_header header;
};

struct scene {
	char directory[TEMP_MAX];
	uint8_t *bytes; /* of the sound file */
	size_t size;
	struct at_record record[RECORDS_MAX];
	size_t records;
	uint64_t replay; /* sequence number at which the last freeze begins */
	char *state[STATES_MAX]; /* dumps: at the last freeze, after each op */
	size_t states;
	struct buf lines; /* what was told, '\n' behind each */
	struct buf notes;
	struct banyan_log_end end; /* as the last check has found it */
	long calls; /* of progress */
	long cancel_at; /* 0: never */
};

/* ---- lines ------------------------------------------------------------ */

static inline void add_line(struct buf *to, const char *line)
{
	buf_add(to, line, strlen(line));
	buf_add_u8(to, '\n');
}

static inline const char *lines_of(struct buf *b)
{
	buf_add_u8(b, 0);
	assert_false(b->failed);
	b->len--;
	return (const char *)b->data;
}

static inline void hear_line(void *arg, const char *line)
{
	add_line(&((struct scene *)arg)->lines, line);
}

static inline void hear_note(void *arg, const char *line)
{
	add_line(&((struct scene *)arg)->notes, line);
}

static inline int count_progress(void *arg, uint64_t done, uint64_t total)
{
	struct scene *s = arg;

	assert_true(done <= total);
	return ++s->calls == s->cancel_at;
}

/* ---- files ------------------------------------------------------------ */

static inline uint8_t *read_whole(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	close(fd);
	*size = (size_t)st.st_size;
	return bytes;
}

static inline void write_whole(const char *path, const uint8_t *bytes,
			       size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

static inline int files_here(void)
{
	int n = 0;
	DIR *d = opendir(".");

	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
	closedir(d);
	return n;
}

/* ---- dumps ------------------------------------------------------------ */

struct dump {
	banyan *db;
	struct buf text;
};

static inline uint32_t value_sum(banyan_data *d, uint64_t size)
{
	static char piece[1 << 20];
	uint32_t sum = 0;

	for (uint64_t at = 0; at < size;) {
		ssize_t n = banyan_read(d, piece, sizeof(piece), at);
		assert_true(n > 0);
		sum = crc32c(sum, piece, (size_t)n);
		at += (uint64_t)n;
	}
	return sum;
}

static inline uint32_t xattr_sum(banyan_data *d)
{
	static char value[BANYAN_XATTR_MAX];
	char names[1024];
	uint32_t sum = 0;
	ssize_t n = banyan_list_xattr(d, names, sizeof(names));

	assert_true(n >= 0);
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t len = banyan_get_xattr(d, name, value, sizeof(value));
		assert_true(len >= 0);
		sum = crc32c(sum, name, strlen(name));
		sum = crc32c(sum, value, (size_t)len);
	}
	return sum;
}

/* A line a key: path, then all that there is to say of it */
static inline int dump_key(void *arg, const char *path,
			   const struct banyan_entry *e)
{
	struct dump *out = arg;
	char line[512];
	banyan_data *d = NULL;

	assert_int_equal(banyan_find(out->db, path, &d), 0);
	bool file = S_ISREG(e->attr.mode);
	snprintf(line, sizeof(line),
		 "%s\t%llu %o %u %u %u %llu %llu %llu %llu %llu %llu %x %x",
		 path, (unsigned long long)e->attr.id, e->attr.mode,
		 e->attr.uid, e->attr.gid, e->attr.nlink,
		 (unsigned long long)e->attr.size,
		 (unsigned long long)e->attr.stored,
		 (unsigned long long)timestamp_of(e->attr.birth),
		 (unsigned long long)timestamp_of(e->attr.atime),
		 (unsigned long long)timestamp_of(e->attr.mtime),
		 (unsigned long long)timestamp_of(e->attr.ctime),
		 file ? value_sum(d, e->attr.size) : 0, xattr_sum(d));
	add_line(&out->text, line);
	banyan_release(d, 1);
	return 0;
}

/* All of an open database in words; to be freed */
static inline char *dump_db(banyan *db)
{
	struct dump out = { .db = db };
	struct banyan_stat st = { 0 };
	char line[128];

	assert_int_equal(banyan_get_stat(db, &st), 0);
	snprintf(line, sizeof(line), "\tkeys %llu live %llu next %llu",
		 (unsigned long long)st.keys, (unsigned long long)st.live_bytes,
		 (unsigned long long)st.next_id);
	add_line(&out.text, line);
	assert_int_equal(banyan_walk(db, "", NULL, true, dump_key, &out), 0);
	char *text = strdup(lines_of(&out.text));
	buf_free(&out.text);
	return text;
}

static inline char *dump_file(const char *path)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN };
	banyan *db = NULL;

	assert_int_equal(banyan_open(path, &o, &db), 0);
	char *text = dump_db(db);
	assert_int_equal(banyan_close(db), 0);
	return text;
}

/* The line of a key in a dump, its length; NULL if there is none */
static inline const char *dump_line(const char *dump, const char *path,
				    size_t path_len, size_t *len)
{
	for (const char *at = dump; *at; at = strchr(at, '\n') + 1) {
		*len = (size_t)(strchr(at, '\n') - at);
		if (*len > path_len && at[path_len] == '\t' &&
		    memcmp(at, path, path_len) == 0)
			return at;
	}
	return NULL;
}

/* ---- a database with some of everything ------------------------------- */

static inline void fill(uint8_t *bytes, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(test_random(&seed) >> 11);
}

static inline void put_random(banyan *db, const char *path, size_t n,
			      uint64_t seed)
{
	uint8_t *bytes = malloc(n + 1);

	fill(bytes, n, seed);
	assert_int_equal(banyan_put(db, path, bytes, n, BANYAN_PARENTS), 0);
	free(bytes);
}

static inline banyan_data *hold_key(banyan *db, const char *path)
{
	banyan_data *d = NULL;

	assert_int_equal(banyan_find(db, path, &d), 0);
	return d;
}

static inline void make_values(banyan *db)
{
	uint8_t piece[3000];

	put_random(db, "short", 5, 1);
	put_random(db, "empty", 0, 2);
	put_random(db, "one-chunk", 9000, 3);
	put_random(db, "space/long", 100000, 4);
	put_random(db, "space/below/deep", 700, 5);
	put_random(db, "clone-source", 50000, 6);
	put_random(db, "pieces", 1, 7);
	banyan_data *d = hold_key(db, "pieces");
	for (unsigned i = 0; i < 7; i++) {
		fill(piece, sizeof(piece), 100 + i);
		assert_int_equal(banyan_write(d, piece, sizeof(piece),
					      i * 10000ull, 0, NULL),
				 0);
	}
	banyan_release(d, 1);
	assert_int_equal(banyan_put(db, "clone", "", 0, 0), 0);
	d = hold_key(db, "clone");
	banyan_data *from = hold_key(db, "clone-source");
	assert_int_equal(banyan_clone(from, 1000, d, 0, 40000), 40000);
	assert_int_equal(banyan_truncate(d, 45000), 0);
	banyan_release(d, 1);
	banyan_release(from, 1);
}

static inline void make_database(banyan *db)
{
	static const char bytes[3000] = "attribute";
	struct banyan_new link = { .mode = S_IFLNK | 0777,
				   .value = "space/long",
				   .size = 10 };
	char path[32];
	banyan *batch = NULL;

	make_values(db);
	assert_int_equal(banyan_alias(db, "one-chunk", "space/alias"), 0);
	assert_int_equal(banyan_make_space(db, "hollow", 0), 0);
	assert_int_equal(banyan_insert(banyan_root(db), "symlink", 7, &link,
				       NULL, NULL),
			 0);
	banyan_data *d = hold_key(db, "short");
	assert_int_equal(banyan_set_xattr(d, "user.short", "x", 1, 0), 0);
	assert_int_equal(
		banyan_set_xattr(d, "user.long", bytes, sizeof(bytes), 0), 0);
	banyan_release(d, 1);
	d = hold_key(db, "space/below");
	assert_int_equal(banyan_set_xattr(d, "user.of", "a space", 7, 0), 0);
	banyan_release(d, 1);
	/* Enough for a tree of two levels */
	assert_int_equal(banyan_begin(db, &batch), 0);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "many/key-%03u", i);
		put_random(batch, path, 40, 1000 + i);
	}
	assert_int_equal(banyan_commit(batch), 0);
}

static inline void keep_state(struct scene *s, banyan *db)
{
	assert_true(s->states < STATES_MAX);
	s->state[s->states++] = dump_db(db);
}

/* Operations behind the last freeze, the state after each */
static inline void make_redo(struct scene *s, banyan *db)
{
	keep_state(s, db);
	put_random(db, "redo-short", 10, 50);
	keep_state(s, db);
	put_random(db, "space/redo-long", 60000, 51);
	keep_state(s, db);
	assert_int_equal(banyan_remove(db, "many/key-100"), 0);
	keep_state(s, db);
	assert_int_equal(banyan_rename(db, "space/below", "moved", 0), 0);
	keep_state(s, db);
	assert_int_equal(banyan_sync(db), 0); /* a mark */
	put_random(db, "redo-last", 300, 52);
	keep_state(s, db);
	assert_int_equal(banyan_sync(db), 0);
}

static inline void find_records(struct scene *s)
{
	struct file *f = NULL;
	struct log_state st = { 0 };
	struct log_scan scan;
	struct log_record rec;
	struct log_position start = { SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE, 1,
				      0 };

	assert_int_equal(file_open(SOURCE, false, NULL, &f), 0);
	assert_int_equal(log_recover(f, false, &st, NULL, NULL), 0);
	s->replay = st.freeze.replay.seq;
	assert_int_equal(log_scan_open(&scan, f, st.sb.salt, st.size, &start),
			 0);
	while (log_scan_next(&scan, &rec) == 0) {
		assert_true(s->records < RECORDS_MAX);
		s->record[s->records++] =
			(struct at_record){ rec.offset, rec.size, rec.payload,
					    rec.header };
	}
	assert_int_equal(scan.at.seq, st.end.seq);
	log_scan_close(&scan);
	file_close(f);
}

static inline int set_up_scene(void **out)
{
	struct scene *s = calloc(1, sizeof(*s));
	banyan *db = NULL;
	struct banyan_options o = { .flags = BANYAN_CREATE,
				    .cache_bytes = BANYAN_CACHE_MIN };

	/* Salvages sync, and there are a thousand of them */
	assert_int_equal(temp_directory(s->directory, TEMP_IN_MEMORY), 0);
	assert_int_equal(chdir(s->directory), 0);
	assert_int_equal(banyan_open("live.banyan", &o, &db), 0);
	make_database(db);
	assert_int_equal(banyan_freeze(db), 0);
	put_random(db, "space/long", 90000, 60);
	put_random(db, "many/key-200", 41, 61);
	assert_int_equal(banyan_freeze(db), 0);
	make_redo(s, db);
	/* A copy of a living database: it has operations behind the freeze */
	s->bytes = read_whole("live.banyan", &s->size);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(unlink("live.banyan"), 0);
	write_whole(SOURCE, s->bytes, s->size);
	find_records(s);
	*out = s;
	return 0;
}

static inline int tear_down_scene(void **in)
{
	struct scene *s = *in;

	(void)unlink(SOURCE);
	(void)unlink(OUT);
	for (size_t i = 0; i < s->states; i++)
		free(s->state[i]);
	buf_free(&s->lines);
	buf_free(&s->notes);
	free(s->bytes);
	assert_int_equal(chdir("/"), 0);
	int rc = rmdir(s->directory);
	free(s);
	return rc;
}

/* ---- what is done to it, and said of it ------------------------------- */

/* The sound file again, ready to be damaged */
static inline uint8_t *sound_copy(const struct scene *s)
{
	uint8_t *bytes = malloc(s->size);

	assert_non_null(bytes);
	memcpy(bytes, s->bytes, s->size);
	return bytes;
}

static inline int64_t check_path(struct scene *s, const char *path)
{
	struct banyan_check how = { .found = hear_line,
				    .note = hear_note,
				    .progress = count_progress,
				    .arg = s,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .end = &s->end };

	buf_reset(&s->lines);
	s->calls = 0;
	return banyan_check(path, &how);
}

static inline int64_t salvage_source_file(struct scene *s, bool zeros)
{
	struct banyan_salvage how = { .lost = hear_line,
				      .note = hear_note,
				      .progress = count_progress,
				      .arg = s,
				      .zeros = zeros,
				      .cache_bytes = BANYAN_CACHE_MIN };

	buf_reset(&s->lines);
	buf_reset(&s->notes);
	s->calls = 0;
	(void)unlink(OUT);
	return banyan_salvage(SOURCE, OUT, &how);
}

/* The first record of a type, from the sequence number on; -1: none */
static inline int record_of(const struct scene *s, enum record_type type,
			    uint64_t from)
{
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == type &&
		    s->record[i].header.seq >= from)
			return (int)i;
	return -1;
}

#endif
