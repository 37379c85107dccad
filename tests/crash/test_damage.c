/* SPDX-License-Identifier: MIT */
/*
 * Files that are cut off anywhere and files with bytes that are not those once
 * written: the first open as they once were, or not at all; in the others the
 * damage is detected, its place is told, and it is never returned as data nor
 * taken for a torn tail.
 *
 * Every byte counts. Where damage may go unnoticed is for damage_map.c to say,
 * and why. BANYAN_SEED says what is in the files. With BANYAN_LONG it is every
 * bit of every byte, in more files, and samples of files of some segments.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "crash.h"
#include "damage_map.h"
#include "tests/support/random.h"
#include "tests/support/steady_main.h"
#include "tests/support/temp.h"

enum ending {
	ENDS_SYNCED, /* the last mark says that all of it is durable */
	ENDS_CLOSED,
	ENDS_OPEN, /* with operations that nobody has synced */
	ENDINGS,
};

/* A sound file, in memory and at a path, where it is damaged and mended */
struct sample {
	struct scene scene;
	struct history history;
	uint8_t *bytes;
	uint64_t size;
	struct damage_map map;
	char path[TEMP_MAX];
	int fd;
	uint64_t random;
	unsigned tries;
	unsigned unnoticed;
};

static void write_out(struct sample *s)
{
	s->fd = temp_file(s->path, TEMP_IN_MEMORY);
	assert_true(s->fd >= 0);
	assert_int_equal(pwrite(s->fd, s->bytes, s->size, 0), s->size);
}

static void take_bytes(struct sample *s, struct file *f)
{
	struct file *after = NULL;
	assert_int_equal(fault_file_after_cut(f, fault_file_events(f),
					      FAULT_KEEP, 0, &after),
			 0);
	s->size = fault_file_size(after);
	s->bytes = malloc(s->size);
	assert_non_null(s->bytes);
	assert_int_equal(file_read(after, s->bytes, s->size, 0), 0);
	fault_file_free(after);
}

/* As the file is now, and its history */
static void sample_take(struct sample *s, const struct workload *w)
{
	take_bytes(s, w->file);
	s->history = w->history;
	damage_map_make(&s->map, s->bytes, s->size);
	assert_int_equal(s->map.end, s->size);
	write_out(s);
}

static struct sample *sample_new(uint64_t seed, bool big, unsigned operations,
				 enum ending ending)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct workload w = {
		.seed = seed, .big = big, .tiny = !big, .stays = true
	};
	assert_non_null(s);
	s->random = seed;
	scene_start(&s->scene, &w);
	s->scene.file = NULL;
	workload_run(&w, 0, operations);
	while (big && fault_file_size(w.file) < SEGMENT_SIZE)
		workload_run(&w, operations++, 1);
	size_t begin = fault_file_events(w.file);
	assert_int_equal(banyan_put(w.db, "last", "x", 1, 0), 0);
	workload_note(&w, begin, false);
	if (ending == ENDS_SYNCED)
		assert_int_equal(banyan_sync(w.db), 0);
	if (ending == ENDS_CLOSED)
		assert_int_equal(banyan_close(w.db), 0);
	sample_take(s, &w);
	if (ending != ENDS_CLOSED)
		scene_die(w.file, w.db);
	fault_file_free(w.file);
	return s;
}

static void sample_free(struct sample *s)
{
	close(s->fd);
	unlink(s->path);
	damage_map_free(&s->map);
	history_free(&s->history);
	free(s->bytes);
	free(s);
}

static void wrong(struct sample *s, uint64_t at, const char *what, long long n)
{
	const struct region *r = damage_map_at(&s->map, at);
	uint64_t durable_to = damage_map_durable(&s->map, at, at + 1);
	unlink(s->path);
	fail_msg("%s (%lld) at %" PRIu64 ", region of kind %d from %" PRIu64
		 " to %" PRIu64 " of the record at %" PRIu64 ", type %d, "
		 "of %" PRIu64 " bytes durable to %" PRIu64 "\n%s"
		 "again: BANYAN_SEED=%" PRIu64,
		 what, n, at, (int)r->kind, r->start, r->end, r->record,
		 (int)r->type, s->size, durable_to, s->scene.said,
		 s->scene.seed);
}

/* The state that the file at the path shows: 0 or an error */
static int show(struct sample *s, uint64_t *print, bool *opened)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN,
				    .report = scene_hear,
				    .report_arg = &s->scene };
	banyan *db = NULL;
	s->scene.said[0] = '\0';
	int rc = banyan_open(s->path, &o, &db);
	*opened = rc == 0;
	if (!rc)
		rc = fingerprint(db, print);
	int closed = banyan_close(db);
	return rc ? rc : closed;
}

/* Likewise, opened for writing, which must leave a file that it refuses alone */
static int show_writable(struct sample *s, uint64_t size, uint64_t *print,
			 bool *opened)
{
	struct workload w = { .report = scene_hear, .report_arg = &s->scene };
	uint64_t put = 0;
	assert_int_equal(fault_file_new(s->bytes, size, &w.file), 0);
	s->scene.said[0] = '\0';
	int rc = workload_open(&w, false);
	*opened = rc == 0;
	if (rc) {
		assert_int_equal(fault_file_size(w.file), size);
		workload_free(&w);
		return rc;
	}
	rc = fingerprint(w.db, print);
	if (!rc && banyan_put(w.db, "late", "x", 1, 0) == 0) {
		assert_int_equal(fingerprint(w.db, &put), 0);
		assert_int_not_equal(put, *print);
	}
	scene_die(w.file, w.db);
	workload_free(&w);
	return rc;
}

/* The last moment whose operation lies in the first so many bytes */
static size_t moment_at(const struct sample *s, uint64_t size)
{
	size_t i = 0;
	while (i + 1 < s->history.count &&
	       s->history.moment[i + 1].size <= size)
		i++;
	return i;
}

/* ---- files that are cut off ------------------------------------------- */

static void cut_off(struct sample *s, uint64_t size, bool writable)
{
	uint64_t print = 0;
	bool opened = false;
	size_t low = moment_at(s, size);
	size_t high = low + 1 < s->history.count ? low + 1 : low;
	int rc = writable ? show_writable(s, size, &print, &opened) :
			    show(s, &print, &opened);
	s->tries++;
	if (size >= s->map.first_freeze_end) {
		if (rc)
			wrong(s, size, "a file that is cut off here opens", rc);
		if (history_find(&s->history, print, low, high) == SIZE_MAX)
			wrong(s, size, "cut off: another state",
			      (long long)low);
		return;
	}
	if (opened || (rc != -EUCLEAN && rc != -EBADMSG && rc != -EMEDIUMTYPE))
		wrong(s, size, "there is no database yet", rc);
	/* The magic is 8 bytes: less is anything */
	if ((rc == -EMEDIUMTYPE) != (size < 8))
		wrong(s, size, "is it a Banyan file?", rc);
	if (rc != -EMEDIUMTYPE && !s->scene.said[0])
		wrong(s, size, "nobody says why", rc);
}

static void cut_off_everywhere(uint64_t seed, unsigned operations)
{
	unsigned tries = 0;
	unsigned step = test_one_in(16);
	for (int ending = 0; ending < ENDINGS; ending++) {
		struct sample *s = sample_new(seed + (uint64_t)ending, false,
					      operations, (enum ending)ending);
		for (uint64_t size = s->size + 1; size-- > 0;) {
			if (size % step)
				continue;
			assert_int_equal(ftruncate(s->fd, (off_t)size), 0);
			cut_off(s, size, false);
			if (crash_long() || size % 7 == 0)
				cut_off(s, size, true);
		}
		tries += s->tries;
		sample_free(s);
	}
	print_message("%u cut off files, seeds from %llu\n", tries,
		      (unsigned long long)seed);
}

static void a_file_cut_off_anywhere_is_an_earlier_one(void **state)
{
	uint64_t seed = test_seed();
	(void)state;
	for (unsigned i = 0; i < (crash_long() ? 10 : 1); i++)
		cut_off_everywhere(seed + 10 * i, crash_long() ? 60 : 25);
}

/* ---- damaged bytes ---------------------------------------------------- */

struct found {
	struct sample *s;
	uint64_t from; /* the damage, */
	uint64_t to;
	bool located; /* and whether a line names a place of it */
	char lines[1024];
};

/* Does the line say "offset N"? */
static bool names(const char *line, uint64_t offset)
{
	char words[40];
	int n = sprintf(words, "offset %" PRIu64, offset);
	for (const char *at = line; (at = strstr(at, words)); at++)
		if (at[n] < '0' || at[n] > '9')
			return true;
	return false;
}

static void note_line(void *arg, const char *line)
{
	struct found *f = arg;
	const struct damage_map *m = &f->s->map;
	size_t len = strlen(f->lines);
	snprintf(f->lines + len, sizeof(f->lines) - len, "  %s\n", line);
	const struct region *r = damage_map_at(m, f->from);
	for (; r < m->regions + m->count && r->start < f->to; r++) {
		if (r->kind == REGION_SUPERBLOCK)
			f->located |= strstr(line, "superblock") != NULL;
		else if (r->kind == REGION_SEGMENT && r->record < SEGMENT_SIZE)
			f->located |= strstr(line, "segment header") != NULL;
		else if (r->kind == REGION_SEGMENT)
			f->located |= names(line, r->prev);
		f->located |= names(line, r->record);
	}
}

/* Is there anything in the damage that must be noticed? */
static bool unread(const struct sample *s, uint64_t from, uint64_t to)
{
	uint64_t durable_to = damage_map_durable(&s->map, from, to);
	for (uint64_t at = from; at < to; at++) {
		const struct region *r = damage_map_at(&s->map, at);
		if (!region_unread(r, durable_to))
			return false;
		at = r->end - 1;
	}
	return true;
}

static bool refuses(int rc)
{
	return rc == -EBADMSG || rc == -EUCLEAN;
}

/* Before anything else: what a superblock may be taken for */
static bool another_kind(uint64_t from, int rc)
{
	return (rc == -EMEDIUMTYPE && from < 8) ||
	       (rc == -EPROTONOSUPPORT && from < 12);
}

static void expect_found(struct sample *s, uint64_t from, uint64_t to)
{
	struct found f = { .s = s, .from = from, .to = to };
	struct banyan_check check = { .found = note_line,
				      .arg = &f,
				      .cache_bytes = BANYAN_CACHE_MIN };
	int64_t damages = banyan_check(s->path, &check);
	strcpy(s->scene.said, f.lines);
	if (another_kind(from, (int)damages))
		return;
	if (damages < 0)
		wrong(s, from, "the check has not run", damages);
	if (damages == 0) {
		s->unnoticed++;
		if (!unread(s, from, to))
			wrong(s, from, "damage not found", (long long)to);
	} else if (!f.located && !unread(s, from, to)) {
		wrong(s, from, "damage found at another place", damages);
	}
}

/*
 * The state at the end, or where the log ends at a damaged record that is not
 * known to be durable
 */
static bool could_be(const struct sample *s, uint64_t print, uint64_t from,
		     uint64_t to)
{
	const struct history *h = &s->history;
	const struct region *r = damage_map_at(&s->map, from);
	uint64_t durable_to = damage_map_durable(&s->map, from, to);
	if (print == h->moment[h->count - 1].print)
		return true;
	for (; r < s->map.regions + s->map.count && r->start < to; r++)
		if (region_log_end(r) >= durable_to &&
		    print == h->moment[moment_at(s, region_log_end(r))].print)
			return true;
	return false;
}

/* The bytes at the path from `from` to `to` are damaged: what is to be seen? */
static void expect_noticed(struct sample *s, uint64_t from, uint64_t to)
{
	const struct region *r = damage_map_at(&s->map, from);
	uint64_t print = 0;
	bool opened = false;
	int rc = s->tries++ % 8 ? show(s, &print, &opened) :
				  show_writable(s, s->size, &print, &opened);
	if (!rc && !could_be(s, print, from, to))
		wrong(s, from, "damage was returned", (long long)to);
	if (rc && !refuses(rc) && !another_kind(from, rc))
		wrong(s, from, "another error", rc);
	if (r->kind == REGION_SUPERBLOCK && opened)
		wrong(s, from, "a damaged superblock is not seen", rc);
	expect_found(s, from, to);
}

static void put_bytes(struct sample *s, uint64_t from, const uint8_t *bytes,
		      size_t size)
{
	assert_int_equal(pwrite(s->fd, bytes, size, (off_t)from), size);
	memcpy(s->bytes + from, bytes, size);
}

/* Let bytes be others for as long as it takes to look */
static void damage(struct sample *s, uint64_t at, const uint8_t *bytes,
		   size_t size)
{
	uint8_t old[512];
	uint64_t from = at;
	uint64_t to = at + size;
	while (from < to && s->bytes[from] == bytes[from - at])
		from++;
	while (from < to && s->bytes[to - 1] == bytes[to - 1 - at])
		to--;
	if (from == to)
		return;
	memcpy(old, s->bytes + at, size);
	put_bytes(s, at, bytes, size);
	expect_noticed(s, from, to);
	put_bytes(s, at, old, size);
}

static void damage_byte(struct sample *s, uint64_t at)
{
	uint8_t was = s->bytes[at];
	for (unsigned bit = 0; bit < 8; bit++) {
		uint8_t byte = (uint8_t)(was ^ 1u << bit);
		if (crash_long() || bit == at % 8)
			damage(s, at, &byte, 1);
	}
	for (unsigned i = 0; i < 2 && crash_long(); i++) {
		uint8_t byte = i ? 0xff : 0;
		damage(s, at, &byte, 1);
	}
}

/* A sector is lost, or has what belongs elsewhere */
static void damage_sector(struct sample *s, uint64_t at)
{
	uint8_t bytes[512] = { 0 };
	size_t size = s->size - at < 512 ? (size_t)(s->size - at) : 512;
	damage(s, at, bytes, size);
	uint64_t sectors = s->size / 512;
	uint64_t from = 512 * test_below(&s->random, sectors);
	if (from + size <= s->size) {
		memcpy(bytes, s->bytes + from, size);
		damage(s, at, bytes, size);
	}
}

static void tell(const struct sample *s)
{
	print_message("%u damaged files of %" PRIu64
		      " bytes, %u where it needs no notice, seed %" PRIu64 "\n",
		      s->tries, s->size, s->unnoticed, s->scene.seed);
	assert_true(s->unnoticed < s->tries);
}

static void no_damaged_byte_goes_unnoticed(void **state)
{
	uint64_t seed = test_seed();
	(void)state;
	for (unsigned i = 0; i < (crash_long() ? 9 : 3); i++) {
		struct sample *s = sample_new(seed + i, false, 25,
					      (enum ending)(i % ENDINGS));
		for (uint64_t at = 0; at < s->size; at += test_one_in(17))
			damage_byte(s, at);
		for (uint64_t at = 0; at < s->size; at += 512)
			damage_sector(s, at);
		tell(s);
		sample_free(s);
	}
}

/* Some bytes of every header, body, array and payload */
static void nor_does_one_in_a_file_of_segments(void **state)
{
	uint64_t seed = test_seed();
	unsigned step = crash_long() ? 7 : 29;
	(void)state;
	for (unsigned i = 0; i < (crash_long() ? 3 : 1); i++) {
		struct sample *s = sample_new(
			seed + i, true, 20, i % 2 ? ENDS_SYNCED : ENDS_CLOSED);
		assert_true(s->size > SEGMENT_SIZE);
		for (size_t k = 0; k < s->map.count; k++) {
			const struct region *r = &s->map.regions[k];
			bool few = r->end - r->start > 8192;
			for (uint64_t at = r->start; at < r->end;
			     at +=
			     few ? 1 + test_below(&s->random, 4096 * step) :
				   step)
				damage_byte(s, at);
		}
		tell(s);
		sample_free(s);
	}
}

/* ---- values ----------------------------------------------------------- */

#define LONG_VALUE 40000u /* bytes: some chunks */

/* The nth payload of that length; its record and its array come before it */
static const struct region *long_payload(const struct sample *s, unsigned n)
{
	for (size_t i = 0; i < s->map.count; i++) {
		const struct region *r = &s->map.regions[i];
		if (r->kind == REGION_PAYLOAD &&
		    r->end - r->start == LONG_VALUE && n-- == 0)
			return r;
	}
	fail();
	return NULL;
}

static void put_value(struct workload *w, const char *path, int byte,
		      size_t size)
{
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	memset(bytes, byte, size);
	assert_int_equal(banyan_put(w->db, path, bytes, size, 0), 0);
	free(bytes);
}

/* Chunks and their checksums that are right, and another value's */
static void a_value_is_not_taken_for_another(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct workload w = { .seed = crash_seed() };
	(void)state;
	assert_non_null(s);
	scene_start(&s->scene, &w);
	s->scene.file = NULL;
	put_value(&w, "a", 'a', LONG_VALUE);
	put_value(&w, "b", 'b', LONG_VALUE);
	/* A segment that is not the last, before the last freeze: or else the
	 * records would be read again, with their checksums */
	put_value(&w, "c", 'c', SEGMENT_SIZE);
	assert_int_equal(banyan_freeze(w.db), 0);
	workload_note(&w, 0, true);
	sample_take(s, &w);
	scene_die(w.file, w.db);
	fault_file_free(w.file);
	const struct region *a = long_payload(s, 0);
	const struct region *b = long_payload(s, 1);
	uint64_t array = a->start - (a->record + RECORD_HEADER_SIZE);
	put_bytes(s, a->start - array, s->bytes + b->start - array,
		  (size_t)array + LONG_VALUE);
	for (unsigned i = 0; i < 8; i++)
		expect_noticed(s, a->start - array, a->end);
	sample_free(s);
}

static void put_second(void *arg)
{
	struct workload *w = arg;
	if (++w->beside == 2)
		put_value(w, "beside", 'x', 1);
}

static void spoil(struct sample *s, uint64_t at)
{
	uint8_t byte = (uint8_t)~s->bytes[at];
	put_bytes(s, at, &byte, 1);
}

/* A mark that lies behind the end of the log still says what was durable */
static void a_bad_payload_below_a_mark_is_no_torn_one(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));
	struct workload w = { .seed = crash_seed() };
	uint64_t print = 0;
	bool opened = false;
	(void)state;
	assert_non_null(s);
	scene_start(&s->scene, &w);
	s->scene.file = NULL;
	put_value(&w, "a", 'a', LONG_VALUE);
	uint64_t durable_to = fault_file_size(w.file);
	fault_file_at_sync(w.file, put_second, &w);
	assert_int_equal(banyan_sync(w.db), 0);
	fault_file_at_sync(w.file, NULL, NULL);
	sample_take(s, &w);
	scene_die(w.file, w.db);
	fault_file_free(w.file);
	assert_int_equal(damage_map_durable(&s->map, 0, 0), durable_to);
	spoil(s, long_payload(s, 0)->start);
	spoil(s, durable_to);
	assert_int_equal(show(s, &print, &opened), -EBADMSG);
	assert_int_equal(show_writable(s, s->size, &print, &opened), -EBADMSG);
	sample_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_cut_off_anywhere_is_an_earlier_one),
		cmocka_unit_test(no_damaged_byte_goes_unnoticed),
		cmocka_unit_test(nor_does_one_in_a_file_of_segments),
		cmocka_unit_test(a_value_is_not_taken_for_another),
		cmocka_unit_test(a_bad_payload_below_a_mark_is_no_torn_one),
	};
	/* Files are made and dropped by the thousand: keep their memory */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
