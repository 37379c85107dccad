/* SPDX-License-Identifier: MIT */
/*
 * The golden files: databases that earlier versions have written. Each must open
 * and hold what its listing says, for ever, for readers and for writers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "image_text.h"
#include "listing.h"
#include "tests/support/temp.h"

#define DIRECTORY "tests/golden"
#define FILES_MAX 64

struct golden {
	char *names[FILES_MAX];
	size_t count;
	char directory[TEMP_MAX]; /* for copies */
	char path[TEMP_FILE_MAX];
};

/* ---- the files -------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_files(struct golden *g)
{
	DIR *d = opendir(DIRECTORY);
	if (!d)
		return -1;
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		char *dot = strrchr(e->d_name, '.');
		if (!dot || strcmp(dot, ".image") != 0 || g->count == FILES_MAX)
			continue;
		*dot = '\0';
		g->names[g->count++] = strdup(e->d_name);
	}
	closedir(d);
	qsort(g->names, g->count, sizeof(*g->names), by_name);
	return g->count ? 0 : -1;
}

static int set_up(void **out)
{
	struct golden *g = calloc(1, sizeof(*g));
	*out = g;
	if (!g || find_files(g))
		return -1;
	if (temp_directory(g->directory, TEMP_ON_DISK))
		return -1;
	temp_path(g->path, g->directory, "copy");
	return 0;
}

static int tear_down(void **in)
{
	struct golden *g = *in;
	(void)unlink(g->path);
	int rc = rmdir(g->directory);
	for (size_t i = 0; i < g->count; i++)
		free(g->names[i]);
	free(g);
	return rc;
}

static FILE *open_text(const char *name, const char *kind)
{
	char path[320];
	snprintf(path, sizeof(path), DIRECTORY "/%s.%s", name, kind);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	return f;
}

static void read_image(const char *name, struct image *image)
{
	FILE *f = open_text(name, "image");
	assert_int_equal(image_text_read(f, image), 0);
	fclose(f);
}

/* The listing; *numbers is where its last line begins, which is not of a key */
static char *read_list(const char *name, char **numbers)
{
	char *text = calloc(1, 1 << 16);
	FILE *f = open_text(name, "list");
	assert_non_null(text);
	size_t n = fread(text, 1, (1 << 16) - 1, f);
	assert_true(n > 0 && n < (1 << 16) - 1 && text[n - 1] == '\n');
	fclose(f);
	text[n - 1] = '\0';
	char *end = strrchr(text, '\n');
	assert_non_null(end);
	text[n - 1] = '\n';
	*numbers = end + 1;
	return text;
}

static void write_copy(const struct golden *g, const struct image *image)
{
	uint8_t bytes[1 << 16];
	static const uint8_t zeros[1 << 16];
	(void)unlink(g->path);
	int fd = open(g->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)image->size), 0);
	for (uint64_t at = 0; at < image->size; at += sizeof(bytes)) {
		size_t n = sizeof(bytes);
		if (n > image->size - at)
			n = (size_t)(image->size - at);
		image_read(image, bytes, n, at);
		if (memcmp(bytes, zeros, n) != 0)
			assert_int_equal(pwrite(fd, bytes, n, (off_t)at), n);
	}
	assert_int_equal(close(fd), 0);
}

/* The copy still begins with all that was in it; longer: it may have grown */
static void assert_kept(const struct golden *g, const struct image *image,
			bool longer)
{
	uint8_t was[1 << 14];
	uint8_t is[1 << 14];
	int fd = open(g->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (uint64_t at = 0; at < image->size; at += sizeof(was)) {
		size_t n = sizeof(was);
		if (n > image->size - at)
			n = (size_t)(image->size - at);
		image_read(image, was, n, at);
		assert_int_equal(pread(fd, is, n, (off_t)at), n);
		assert_memory_equal(was, is, n);
	}
	off_t end = lseek(fd, 0, SEEK_END);
	assert_int_equal((uint64_t)end > image->size, longer);
	close(fd);
}

/* ---- what must hold --------------------------------------------------- */

static void found(void *arg, const char *line)
{
	printf("%s: %s\n", (const char *)arg, line);
}

static void assert_sound(struct golden *g)
{
	struct banyan_check check = { .found = found, .arg = g->path };
	assert_int_equal(banyan_check(g->path, &check), 0);
}

/* Tell the first line that differs, rather than two walls of text */
static void assert_same_lines(const char *want, const char *is)
{
	while (*want || *is) {
		size_t n = strcspn(want, "\n");
		size_t m = strcspn(is, "\n");
		if (n != m || memcmp(want, is, n) != 0)
			fail_msg("expected: %.*s\nis:       %.*s", (int)n, want,
				 (int)m, is);
		want += n + (want[n] == '\n');
		is += m + (is[m] == '\n');
	}
}

/* `of` keys or of numbers: what a function says is what the listing says */
static void assert_lists(banyan *db, int (*of)(banyan *, struct buf *),
			 const char *want)
{
	struct buf text = BUF_INIT;
	assert_int_equal(of(db, &text), 0);
	assert_same_lines(want, (const char *)text.data);
	buf_free(&text);
}

static void reads(struct golden *g, const char *name)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct image image = { 0 };
	banyan *db = NULL;
	char *numbers = NULL;
	char *list = read_list(name, &numbers);
	read_image(name, &image);
	write_copy(g, &image);
	assert_sound(g);
	assert_int_equal(banyan_open(g->path, &o, &db), 0);
	assert_lists(db, listing_numbers, numbers);
	*numbers = '\0';
	assert_lists(db, listing, list);
	assert_int_equal(banyan_close(db), 0);
	assert_kept(g, &image, false);
	image_free(&image);
	free(list);
}

static void add_a_key(struct golden *g)
{
	banyan *db = NULL;
	void *value = NULL;
	size_t size = 0;
	assert_int_equal(banyan_open(g->path, NULL, &db), 0);
	assert_int_equal(banyan_put(db, "golden/new", "new", 3, BANYAN_PARENTS),
			 0);
	assert_int_equal(banyan_freeze(db), 0);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(banyan_open(g->path, NULL, &db), 0);
	assert_int_equal(banyan_get(db, "golden/new", &value, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(value, "new", 3);
	free(value);
	assert_int_equal(banyan_close(db), 0);
}

static void writes(struct golden *g, const char *name)
{
	struct image image = { 0 };
	banyan *db = NULL;
	char *numbers = NULL;
	char *list = read_list(name, &numbers);
	*numbers = '\0';
	read_image(name, &image);
	write_copy(g, &image);
	assert_int_equal(banyan_open(g->path, NULL, &db), 0);
	assert_lists(db, listing, list);
	assert_int_equal(banyan_close(db), 0);
	add_a_key(g);
	assert_sound(g);
	assert_kept(g, &image, true);
	image_free(&image);
	free(list);
}

static void each(struct golden *g, void (*run)(struct golden *, const char *))
{
	for (size_t i = 0; i < g->count; i++) {
		printf("%s\n", g->names[i]);
		run(g, g->names[i]);
	}
}

static void readers_find_what_was_there(void **in)
{
	each(*in, reads);
}

static void writers_find_what_was_there_and_go_on(void **in)
{
	each(*in, writes);
}

/* ---- do the files have one of everything? ----------------------------- */

struct kinds {
	unsigned records; /* bits */
	unsigned operations;
	unsigned rows;
	unsigned contents;
	unsigned height;
	bool exit; /* the log leaves a segment */
	bool redo;
};

static void see_records(const struct golden *g, struct kinds *k)
{
	struct file *f = NULL;
	struct log_state st = { 0 };
	struct log_scan s;
	struct log_record rec;
	struct log_position at = {
		.offset = SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE, .seq = 1
	};
	unsigned last = 0;
	assert_int_equal(file_open(g->path, false, NULL, &f), 0);
	assert_int_equal(log_recover(f, false, &st, NULL, NULL), 0);
	assert_int_equal(log_scan_open(&s, f, st.sb.salt, st.end.offset, &at),
			 0);
	while (log_scan_next(&s, &rec) == 0) {
		last = rec.header.type;
		k->records |= 1u << last;
		if (last == RECORD_OPERATION)
			k->operations |= 1u << (rec.body[0] & 15);
	}
	k->redo |= last == RECORD_OPERATION;
	k->exit |= s.at.offset > SEGMENT_SIZE;
	assert_int_equal(s.at.offset, st.end.offset);
	log_scan_close(&s);
	file_close(f);
	if (k->height < st.freeze.height)
		k->height = st.freeze.height;
}

static void see_row(struct kinds *k, const uint8_t *key, const uint8_t *value,
		    size_t len)
{
	struct data d;
	k->rows |= 1u << key[0];
	if ((key[0] == ROW_NAME || key[0] == ROW_DATA) && value[0] == 1) {
		assert_int_equal(data_decode(&d, value, len), 0);
		k->contents |= 1u << d.contents;
	}
}

static void see_rows(const struct golden *g, struct kinds *k)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct read_txn s;
	struct merged_cursor *c = NULL;
	banyan *db = NULL;
	assert_int_equal(banyan_open(g->path, &o, &db), 0);
	read_txn_begin(db->store, &s);
	assert_int_equal(merged_cursor_new(&s.state.merged, &c), 0);
	for (int rc = merged_cursor_seek(c, "", 0); rc == 0;
	     rc = merged_cursor_next(c)) {
		size_t key_len = 0;
		size_t len = 0;
		const uint8_t *key = merged_cursor_key(c, &key_len);
		const uint8_t *value = merged_cursor_value(c, &len);
		see_row(k, key, value, len);
	}
	merged_cursor_free(c);
	read_txn_end(&s);
	assert_int_equal(banyan_close(db), 0);
}

/* Bits from one on */
static unsigned ones(unsigned first, unsigned last)
{
	return (2u << last) - (1u << first);
}

static void the_files_have_one_of_everything(void **in)
{
	struct golden *g = *in;
	struct kinds k = { 0 };
	for (size_t i = 0; i < g->count; i++) {
		struct image image = { 0 };
		read_image(g->names[i], &image);
		write_copy(g, &image);
		see_records(g, &k);
		see_rows(g, &k);
		image_free(&image);
	}
	assert_int_equal(k.records, ones(RECORD_OPERATION, RECORD_MARK));
	assert_int_equal(k.operations, ones(OPERATION_BATCH, OPERATION_SWEEP));
	assert_int_equal(k.rows, ones(ROW_NAME, ROW_SNAPSHOT));
	assert_int_equal(k.contents, ones(CONTENTS_NONE, CONTENTS_ROWS));
	assert_true(k.height >= 2);
	assert_true(k.exit);
	assert_true(k.redo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(readers_find_what_was_there,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			writers_find_what_was_there_and_go_on, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			the_files_have_one_of_everything, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
