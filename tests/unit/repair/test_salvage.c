/* SPDX-License-Identifier: MIT */
/*
 * Salvage of damaged files: each kind of record, all of its bytes or one. What
 * is not told as lost must be there, equal in everything; the new file must be
 * sound; the old one must not change.
 */
#include "damage_fixture.h"

/* ---- what must hold --------------------------------------------------- */

static void assert_out_is_sound(struct scene *s)
{
	struct buf lines = s->lines;
	s->lines = (struct buf)BUF_INIT;
	int64_t damages = check_path(s, OUT);
	if (damages)
		print_error("%lld: %s%s\n", (long long)damages,
			    lines_of(&s->lines), lines_of(&lines));
	assert_int_equal(damages, 0);
	buf_free(&s->lines);
	s->lines = lines;
}

static void print_lines(struct scene *s)
{
	print_error("lost:\n%snotes:\n%s", lines_of(&s->lines),
		    lines_of(&s->notes));
}

/* Salvage these bytes: the losses; the new file is sound */
static int64_t salvage(struct scene *s, const uint8_t *bytes, size_t size)
{
	write_whole(SOURCE, bytes, size);
	int64_t losses = salvage_source_file(s, false);
	size_t now = 0;
	uint8_t *after = read_whole(SOURCE, &now);
	assert_int_equal(now, size);
	assert_memory_equal(after, bytes, size);
	free(after);
	if (losses >= 0)
		assert_out_is_sound(s);
	assert_int_equal(files_here(), losses >= 0 ? 2 : 1);
	return losses;
}

static void assert_state(struct scene *s, const char *want)
{
	char *got = dump_file(OUT);
	bool equal = strcmp(got, want) == 0;
	if (!equal) {
		size_t at = 0;
		while (got[at] == want[at])
			at++;
		while (at && want[at - 1] != '\n')
			at--;
		print_lines(s);
		print_error("%.200s\nis not\n%.200s\n", got + at, want + at);
	}
	assert_true(equal);
	free(got);
}

static const char *last_state(const struct scene *s)
{
	return s->state[s->states - 1];
}

static void assert_nothing_lost(struct scene *s, const uint8_t *bytes)
{
	int64_t losses = salvage(s, bytes, s->size);
	if (losses)
		print_lines(s);
	assert_int_equal(losses, 0);
	assert_state(s, last_state(s));
}

static void assert_told(struct scene *s, const char *text)
{
	if (!strstr(lines_of(&s->lines), text))
		print_lines(s);
	assert_non_null(strstr(lines_of(&s->lines), text));
}

/* All keys but those that are told of are equal to what they were */
static void assert_rest_is_equal(struct scene *s)
{
	char *got = dump_file(OUT);
	const char *lines = lines_of(&s->lines);
	size_t len = 0;
	size_t got_len = 0;
	const char *at = strchr(last_state(s), '\n') + 1;
	for (; *at; at += len + 1) {
		char path[300];
		size_t n = strcspn(at, "\t");
		dump_line(at, at, n, &len);
		snprintf(path, sizeof(path), "key %.*s:", (int)n, at);
		const char *line = dump_line(got, at, n, &got_len);
		if (strstr(lines, path)) {
			/* An attribute may be lost alone */
			assert_true(!line || strstr(lines, "attribute"));
			continue;
		}
		if (!line || len != got_len || memcmp(line, at, len) != 0)
			print_error("%.*s\n", (int)len, at);
		assert_non_null(line);
		assert_int_equal(len, got_len);
		assert_memory_equal(line, at, len);
	}
	free(got);
}

/* ---- sound files ------------------------------------------------------ */

static void a_sound_file_is_copied_whole(void **in)
{
	struct scene *s = *in;
	assert_nothing_lost(s, s->bytes);
	/* One that is not closed: more than this may have been there */
	assert_non_null(strstr(lines_of(&s->notes), "the file was cut short"));
}

static void a_copy_can_be_written_and_salvaged_again(void **in)
{
	struct scene *s = *in;
	banyan *db = NULL;
	assert_nothing_lost(s, s->bytes);
	assert_int_equal(banyan_open(OUT, NULL, &db), 0);
	put_random(db, "later", 20000, 70);
	char *want = dump_db(db);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(rename(OUT, SOURCE), 0);
	assert_int_equal(salvage_source_file(s, false), 0);
	assert_state(s, want);
	free(want);
}

static void what_exists_is_not_overwritten(void **in)
{
	struct scene *s = *in;
	struct banyan_salvage how = { .arg = NULL };
	write_whole(SOURCE, s->bytes, s->size);
	write_whole(OUT, (const uint8_t *)"mine", 4);
	assert_int_equal(banyan_salvage(SOURCE, OUT, &how), -EEXIST);
	assert_int_equal(banyan_salvage(SOURCE, SOURCE, &how), -EEXIST);
	size_t n = 0;
	uint8_t *bytes = read_whole(OUT, &n);
	assert_int_equal(n, 4);
	free(bytes);
	assert_int_equal(files_here(), 2);
}

static int appear(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	if (done > total / 4)
		write_whole(OUT, (const uint8_t *)"mine", 4);
	return 0;
}

/* It was not there when the salvage began */
static void what_comes_to_exist_is_not_overwritten(void **in)
{
	struct scene *s = *in;
	struct banyan_salvage how = { .progress = appear };
	write_whole(SOURCE, s->bytes, s->size);
	assert_int_equal(banyan_salvage(SOURCE, OUT, &how), -EEXIST);
	size_t n = 0;
	uint8_t *bytes = read_whole(OUT, &n);
	assert_int_equal(n, 4);
	free(bytes);
	assert_int_equal(files_here(), 2);
}

struct seen {
	uint64_t done;
	uint64_t total;
	unsigned steps[3]; /* of each third of the work */
};

static int look_at_progress(void *arg, uint64_t done, uint64_t total)
{
	struct seen *seen = arg;
	assert_true(done >= seen->done && done <= total);
	if (done > seen->done && total == seen->total)
		seen->steps[(done - 1) * 3 / total]++;
	seen->done = done;
	seen->total = total;
	return 0;
}

static int64_t salvage_looking(struct seen *seen)
{
	struct banyan_salvage how = { .progress = look_at_progress,
				      .arg = seen };
	*seen = (struct seen){ 0 };
	(void)unlink(OUT);
	return banyan_salvage(SOURCE, OUT, &how);
}

static void assert_steps(const struct seen *seen, unsigned least)
{
	print_message("%u %u %u steps\n", seen->steps[0], seen->steps[1],
		      seen->steps[2]);
	for (unsigned i = 0; i < 3; i++)
		assert_true(seen->steps[i] >= least);
}

/* Of many keys and of one that is large, in the tree or in the log */
static void progress_is_made_all_the_time(void **in)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	struct seen seen;
	banyan *db = NULL;
	char path[32];
	(void)in;
	assert_int_equal(banyan_open(SOURCE, &o, &db), 0);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "key-%u", i);
		assert_int_equal(banyan_put(db, path, "x", 1, 0), 0);
	}
	assert_int_equal(banyan_sync(db), 0);
	assert_int_equal(salvage_looking(&seen), 0);
	assert_steps(&seen, 4);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(salvage_looking(&seen), 0);
	assert_steps(&seen, 4);

	assert_int_equal(unlink(SOURCE), 0);
	assert_int_equal(banyan_open(SOURCE, &o, &db), 0);
	put_random(db, "large", 30000000, 3);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(salvage_looking(&seen), 0);
	assert_steps(&seen, 3);
}

/* Also payloads that are cut at the end of a segment of the new file */
static void shared_bytes_are_copied_once(void **in)
{
	struct scene *s = *in;
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	char path[32];
	assert_int_equal(banyan_open("shared.banyan", &o, &db), 0);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "source-%u", i);
		put_random(db, path, 1500000, i);
		banyan_data *from = hold_key(db, path);
		for (unsigned k = 0; k < 3; k++) {
			snprintf(path, sizeof(path), "clone-%u-%u", i, k);
			assert_int_equal(banyan_put(db, path, "", 0, 0), 0);
			banyan_data *d = hold_key(db, path);
			assert_int_equal(banyan_clone(from, k * 5000, d,
						      k * 7000, 1400000),
					 1400000);
			banyan_release(d, 1);
		}
		banyan_release(from, 1);
	}
	/* Goes first in the new file: segments end elsewhere there */
	put_random(db, "a", 700000, 99);
	char *want = dump_db(db);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(rename("shared.banyan", SOURCE), 0);
	assert_int_equal(salvage_source_file(s, false), 0);
	assert_out_is_sound(s);
	assert_state(s, want);
	struct stat old;
	struct stat new;
	assert_int_equal(stat(SOURCE, &old), 0);
	assert_int_equal(stat(OUT, &new), 0);
	assert_true(new.st_size < old.st_size + (1 << 20));
	free(want);
}

static void what_is_no_database_is_refused(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = calloc(1, s->size);
	assert_int_equal(salvage(s, bytes, s->size), -EMEDIUMTYPE);
	assert_int_equal(salvage(s, bytes, 0), -EMEDIUMTYPE);
	assert_int_equal(salvage(s, s->bytes, 100), -EBADMSG);
	memcpy(bytes, s->bytes, SUPERBLOCK_SIZE);
	put_le32(bytes + 8, 2);
	put_le32(bytes + 4092, crc32c(0, bytes, 4092));
	assert_int_equal(salvage(s, bytes, s->size), -EPROTONOSUPPORT);
	free(bytes);
}

static void nothing_is_left_of_one_that_was_cancelled(void **in)
{
	struct scene *s = *in;
	write_whole(SOURCE, s->bytes, s->size);
	assert_int_equal(salvage_source_file(s, false), 0);
	long calls = s->calls;
	assert_true(calls > 50);
	for (long i = 1; i <= calls; i += 1 + calls / 40) {
		s->cancel_at = i;
		int64_t rc = salvage_source_file(s, false);
		assert_int_equal(rc, -ECANCELED);
		assert_int_equal(s->calls, i);
		assert_int_equal(files_here(), 1);
	}
	s->cancel_at = 0;
}

/* ---- the superblock --------------------------------------------------- */

static void no_byte_of_the_superblock_is_needed(void **in)
{
	struct scene *s = *in;
	static const unsigned offsets[] = { 0,	8,  12, 16, 24,	 32,  40,
					    72, 80, 84, 88, 100, 4092 };
	uint8_t *bytes = sound_copy(s);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		bytes[offsets[i]] ^= 0x11;
		assert_nothing_lost(s, bytes);
		assert_true(s->notes.len > 0);
		bytes[offsets[i]] ^= 0x11;
	}
	memset(bytes, 0, SUPERBLOCK_SIZE);
	assert_nothing_lost(s, bytes);
	memset(bytes, 0xff, SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE);
	assert_int_equal(salvage(s, bytes, s->size), -EMEDIUMTYPE);
	free(bytes);
}

static void the_first_segment_header_is_not_needed(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	memset(bytes + SUPERBLOCK_SIZE, 0, SEGMENT_HEADER_SIZE);
	assert_nothing_lost(s, bytes);
	/* With another byte of the superblock */
	bytes[200] = 1;
	assert_nothing_lost(s, bytes);
	free(bytes);
}

/* ---- records ---------------------------------------------------------- */

/* Each record but values and the last operations: one byte of it, or all */
static void records_that_were_frozen_are_not_needed(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	unsigned tried = 0;
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		if (r->header.type == RECORD_EXTENT ||
		    (r->header.type == RECORD_OPERATION &&
		     r->header.seq >= s->replay))
			continue;
		for (unsigned k = 0; k < 4; k += test_one_in(4)) {
			static const unsigned at[] = { 1, 9, 12, 20 };
			bytes[r->offset + at[k]] ^= 0x40;
			assert_nothing_lost(s, bytes);
			bytes[r->offset + at[k]] ^= 0x40;
		}
		memset(bytes + r->offset, 0, r->size);
		/* All zeros: nobody can tell that it was no operation */
		bool redo = r->header.seq >= s->replay;
		if (!redo)
			assert_nothing_lost(s, bytes);
		else
			assert_true(salvage(s, bytes, s->size) >= 0);
		memcpy(bytes + r->offset, s->bytes + r->offset, r->size);
		tried++;
	}
	assert_true(tried > 20);
	free(bytes);
}

static void a_damaged_operation_ends_the_redo(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	unsigned n = 0;
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		char line[64];
		if (r->header.type != RECORD_OPERATION ||
		    r->header.seq < s->replay)
			continue;
		bytes[r->offset + 30] ^= 1;
		int64_t losses = salvage(s, bytes, s->size);
		bytes[r->offset + 30] ^= 1;
		/* Behind the last one there is only a mark */
		assert_int_equal(losses, 1);
		snprintf(line, sizeof(line), "the log from offset %llu to ",
			 (unsigned long long)r->offset);
		assert_told(s, line);
		assert_state(s, s->state[n++]);
	}
	assert_int_equal(n + 1, s->states);
	free(bytes);
}

static void a_damaged_chunk_costs_the_keys_of_its_value(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	unsigned lost = 0;
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		if (r->header.type != RECORD_EXTENT)
			continue;
		bytes[r->payload + r->header.payload_len / 2] ^= 0x80;
		int64_t losses = salvage(s, bytes, s->size);
		assert_true(losses >= 0);
		assert_rest_is_equal(s);
		lost += losses > 0;
		bytes[r->payload + r->header.payload_len / 2] ^= 0x80;
	}
	/* Dead ones cost nothing: the first of space/long is overwritten */
	assert_true(lost >= 10);
	free(bytes);
}

static void the_damaged_bytes_of_a_value_are_told(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	/* The last long value: 60000 bytes */
	int i = record_of(s, RECORD_EXTENT, s->replay);
	const struct at_record *r = &s->record[i];
	assert_int_equal(r->header.payload_len, 60000);
	bytes[r->payload + 20000] ^= 1;
	bytes[r->payload + 59999] ^= 1;
	assert_int_equal(salvage(s, bytes, s->size), 2);
	assert_string_equal(lines_of(&s->lines),
			    "key space/redo-long: bytes 16384 to 20479 of "
			    "60000 are damaged\n"
			    "key space/redo-long: bytes 57344 to 59999 of "
			    "60000 are damaged\n");
	assert_rest_is_equal(s);
	free(bytes);
}

static void damaged_bytes_can_be_kept_as_zeros(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	void *value = NULL;
	size_t n = 0;
	int i = record_of(s, RECORD_EXTENT, s->replay);
	const struct at_record *r = &s->record[i];
	bytes[r->payload + 20000] ^= 1;
	write_whole(SOURCE, bytes, s->size);
	assert_int_equal(salvage_source_file(s, true), 1);
	assert_out_is_sound(s);
	banyan *db = NULL;
	assert_int_equal(banyan_open(OUT, NULL, &db), 0);
	assert_int_equal(banyan_get(db, "space/redo-long", &value, &n), 0);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(n, 60000);
	memset(bytes + r->payload + 16384, 0, 4096);
	assert_memory_equal(value, bytes + r->payload, n);
	free(value);
	free(bytes);
}

static void aliases_are_lost_with_their_value(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.payload_len == 9000)
			bytes[s->record[i].payload] ^= 1;
	assert_int_equal(salvage(s, bytes, s->size), 2);
	assert_string_equal(lines_of(&s->lines),
			    "key one-chunk: bytes 0 to 8999 of 9000 are "
			    "damaged\nkey space/alias: its value is the "
			    "damaged one of key one-chunk\n");
	assert_rest_is_equal(s);
	free(bytes);
}

static void a_damaged_attribute_does_not_cost_the_key(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	char value[8];
	banyan *db = NULL;
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.payload_len == 3000 &&
		    memcmp(bytes + s->record[i].payload, "attribute", 9) == 0)
			bytes[s->record[i].payload] ^= 1;
	assert_int_equal(salvage(s, bytes, s->size), 1);
	assert_string_equal(lines_of(&s->lines),
			    "key short: its attribute user.long is damaged\n");
	assert_int_equal(banyan_open(OUT, NULL, &db), 0);
	banyan_data *d = hold_key(db, "short");
	assert_int_equal(banyan_get_xattr(d, "user.short", value, 8), 1);
	assert_int_equal(banyan_get_xattr(d, "user.long", value, 8), -ENODATA);
	banyan_release(d, 1);
	assert_int_equal(banyan_close(db), 0);
	free(bytes);
}

/* ---- more than one ---------------------------------------------------- */

static void zero_all(const struct scene *s, uint8_t *bytes,
		     enum record_type type)
{
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == type)
			memset(bytes + s->record[i].payload, 0,
			       s->record[i].header.payload_len);
}

static void the_log_makes_up_for_all_trees(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	zero_all(s, bytes, RECORD_NODES);
	assert_nothing_lost(s, bytes);
	assert_non_null(strstr(lines_of(&s->notes), "damaged node at offset"));
	free(bytes);
}

static void no_freeze_record_is_needed(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == RECORD_FREEZE)
			bytes[s->record[i].offset + 30] ^= 1;
	assert_nothing_lost(s, bytes);
	zero_all(s, bytes, RECORD_NODES);
	memset(bytes, 0, SUPERBLOCK_SIZE);
	assert_nothing_lost(s, bytes);
	free(bytes);
}

/* Where the operations are missing too, the rows of a node are lost */
static void a_node_is_lost_with_what_made_it(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	zero_all(s, bytes, RECORD_NODES);
	int i = record_of(s, RECORD_OPERATION, s->replay / 2);
	assert_true(s->record[i].header.seq < s->replay);
	bytes[s->record[i].offset + 40] ^= 1;
	assert_true(salvage(s, bytes, s->size) > 0);
	assert_told(s, "rows from the first row up to the last row: "
		       "damaged node at offset ");
	free(bytes);
}

/* Everything that was before the last freeze is damaged, but its tree */
static uint8_t *only_the_last_tree(const struct scene *s)
{
	uint8_t *bytes = sound_copy(s);
	int last = -1;
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		bool freeze = r->header.type == RECORD_FREEZE;
		if (freeze && last >= 0)
			bytes[s->record[last].offset + 30] ^= 1;
		if (freeze)
			last = (int)i;
		if (r->header.type == RECORD_OPERATION &&
		    r->header.seq < s->replay)
			bytes[r->offset + 30] ^= 1;
	}
	return bytes;
}

static void a_key_comes_back_by_its_link(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = only_the_last_tree(s);
	unsigned back = 0;
	assert_nothing_lost(s, bytes);
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		if (r->header.type != RECORD_NODES)
			continue;
		for (uint32_t at = 0; at < r->header.payload_len; at += 700) {
			bytes[r->payload + at] ^= 1;
			assert_true(salvage(s, bytes, s->size) >= 0);
			back += strstr(lines_of(&s->notes), "by its link") !=
				NULL;
			bytes[r->payload + at] ^= 1;
		}
	}
	assert_true(back > 0);
	free(bytes);
}

/* ---- cuts and random damage ------------------------------------------- */

static bool is_state(const struct scene *s, const char *dump)
{
	for (size_t i = 0; i < s->states; i++)
		if (strcmp(s->state[i], dump) == 0)
			return true;
	return false;
}

static void a_file_cut_off_has_an_earlier_state(void **in)
{
	struct scene *s = *in;
	size_t freeze = 0;
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == RECORD_FREEZE)
			freeze = s->record[i].offset + s->record[i].size;
	for (size_t cut = freeze; cut < s->size; cut += 997) {
		int64_t losses = salvage(s, s->bytes, cut);
		assert_true(losses >= 0);
		char *got = dump_file(OUT);
		if (!is_state(s, got))
			print_lines(s);
		/* A value may be cut off with the operation still to come */
		assert_true(is_state(s, got) || losses > 0);
		free(got);
	}
	for (size_t cut = 0; cut < freeze; cut += 9973)
		(void)salvage(s, s->bytes, cut);
}

static void spoil(uint64_t *random, uint8_t *bytes, size_t size)
{
	unsigned n = 1 + (unsigned)test_below(random, 4);
	while (n--) {
		size_t at = test_below(random, size);
		size_t len = test_below(random, 2) ?
				     1 :
				     1 + test_below(random, 9000);
		if (len > size - at)
			len = size - at;
		switch (test_below(random, 3)) {
		case 0:
			memset(bytes + at, 0, len);
			break;
		case 1:
			fill(bytes + at, len, *random);
			break;
		default: /* from elsewhere */
			memmove(bytes + at,
				bytes + test_below(random, size - len + 1),
				len);
		}
	}
}

static void no_damage_is_silent(void **in)
{
	struct scene *s = *in;
	uint64_t random = test_seed();
	const char *text = getenv("BANYAN_ROUNDS");
	unsigned long rounds = 150 * (text ? strtoul(text, NULL, 10) : 1);
	const struct at_record *last =
		&s->record[record_of(s, RECORD_FREEZE, s->replay)];
	while (rounds--) {
		uint8_t *bytes = sound_copy(s);
		spoil(&random, bytes, s->size);
		int64_t losses = salvage(s, bytes, s->size);
		/* Behind the last freeze a break may be taken for the tail of a
		 * crash, where nothing says any more that it was durable */
		if (losses == 0 &&
		    memcmp(bytes + last->offset, s->bytes + last->offset,
			   s->size - last->offset) == 0)
			assert_state(s, last_state(s));
		free(bytes);
	}
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up_scene, tear_down_scene)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_file_is_copied_whole),
		TEST(a_copy_can_be_written_and_salvaged_again),
		TEST(what_exists_is_not_overwritten),
		TEST(progress_is_made_all_the_time),
		TEST(what_comes_to_exist_is_not_overwritten),
		TEST(shared_bytes_are_copied_once),
		TEST(what_is_no_database_is_refused),
		TEST(nothing_is_left_of_one_that_was_cancelled),
		TEST(no_byte_of_the_superblock_is_needed),
		TEST(the_first_segment_header_is_not_needed),
		TEST(records_that_were_frozen_are_not_needed),
		TEST(a_damaged_operation_ends_the_redo),
		TEST(a_damaged_chunk_costs_the_keys_of_its_value),
		TEST(the_damaged_bytes_of_a_value_are_told),
		TEST(damaged_bytes_can_be_kept_as_zeros),
		TEST(aliases_are_lost_with_their_value),
		TEST(a_damaged_attribute_does_not_cost_the_key),
		TEST(the_log_makes_up_for_all_trees),
		TEST(no_freeze_record_is_needed),
		TEST(a_node_is_lost_with_what_made_it),
		TEST(a_key_comes_back_by_its_link),
		TEST(a_file_cut_off_has_an_earlier_state),
		TEST(no_damage_is_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
