/* SPDX-License-Identifier: MIT */
/*
 * What check finds, and that it goes on and comes to an end: damage of the file,
 * and rows that contradict each other with checksums that suit. Of the latter a
 * salvage must make something sound.
 */
#include "damage_fixture.h"

#include "engine/write.h"
#include "repair/check.h"

/* ---- sound files ------------------------------------------------------ */

static int64_t check_bytes(struct scene *s, const uint8_t *bytes, size_t size)
{
	write_whole(SOURCE, bytes, size);
	buf_reset(&s->notes);
	return check_path(s, SOURCE);
}

static void assert_found(struct scene *s, const char *text)
{
	if (!strstr(lines_of(&s->lines), text))
		print_error("no '%s' in:\n%s", text, lines_of(&s->lines));
	assert_non_null(strstr(lines_of(&s->lines), text));
}

static void a_sound_file_is_sound(void **in)
{
	struct scene *s = *in;
	assert_int_equal(check_bytes(s, s->bytes, s->size), 0);
	assert_int_equal(s->lines.len, 0);
}

/* ---- a file that was cut short ---------------------------------------- */

static void assert_noted(struct scene *s, const char *text)
{
	if (!strstr(lines_of(&s->notes), text))
		print_error("no '%s' in: %s", text, lines_of(&s->notes));
	assert_non_null(strstr(lines_of(&s->notes), text));
}

/* A record is not whole: it looks like what a crash has left, and both are said
 * to be possible */
static void a_cut_through_a_record_is_told(void **in)
{
	struct scene *s = *in;
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		if (r->header.seq <= s->replay)
			continue;
		for (unsigned n = 1; n < r->size; n += n + 7) {
			char line[64];
			assert_int_equal(
				check_bytes(s, s->bytes, r->offset + n), 0);
			assert_int_equal(s->end.offset, r->offset);
			assert_int_equal(s->end.tail_bytes, n);
			snprintf(line, sizeof(line),
				 "%u bytes behind offset %llu,", n,
				 (unsigned long long)r->offset);
			assert_noted(s, line);
			assert_noted(s, "the file was cut short");
			assert_int_equal(salvage_source_file(s, false), 0);
			assert_noted(s, line);
		}
	}
}

/* Then only what the file goes up to can be told, and that a closed one would
 * end otherwise */
static void a_cut_between_records_tells_how_far_it_is_sound(void **in)
{
	struct scene *s = *in;
	uint64_t freeze = 0;
	uint64_t operations = 0;
	bool closed = false;
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		enum record_type type = r->header.type;
		freeze += type == RECORD_FREEZE;
		if (type == RECORD_FREEZE)
			operations = 0;
		operations += type == RECORD_OPERATION;
		if (type != RECORD_MARK)
			closed = type == RECORD_FREEZE;
		int64_t damages = check_bytes(s, s->bytes, r->offset + r->size);
		if (!freeze) {
			assert_true(damages > 0);
			continue;
		}
		assert_int_equal(damages, 0);
		assert_int_equal(s->end.freeze, freeze);
		assert_true(s->end.freeze_time.sec > 0);
		assert_int_equal(s->end.operations, operations);
		assert_int_equal(s->end.operation_time.sec >=
					 s->end.freeze_time.sec,
				 operations > 0);
		assert_int_equal(s->end.offset, r->offset + r->size);
		assert_int_equal(s->end.tail_bytes, 0);
		assert_int_equal(s->end.closed, closed);
		assert_int_equal(s->notes.len == 0, closed);
		if (!closed)
			assert_noted(s, "the file was cut short");
	}
	assert_int_equal(freeze, 3);
	assert_true(operations > 1);
}

static void a_closed_file_needs_no_note(void **in)
{
	struct scene *s = *in;
	banyan *db = NULL;
	write_whole(SOURCE, s->bytes, s->size);
	assert_int_equal(banyan_open(SOURCE, NULL, &db), 0);
	assert_int_equal(banyan_put(db, "more", "m", 1, 0), 0);
	/* While it is open there is nothing to wonder about either */
	assert_int_equal(check_path(s, SOURCE), 0);
	assert_int_equal(s->notes.len, 0);
	assert_false(s->end.closed);
	assert_int_equal(banyan_close(db), 0);
	assert_int_equal(check_path(s, SOURCE), 0);
	assert_int_equal(s->notes.len, 0);
	assert_true(s->end.closed);
	assert_int_equal(s->end.operations, 0);
}

/* ---- damage of the file ----------------------------------------------- */

/* Also where it can still be opened, or where it cannot */
static void every_record_is_checked(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	for (size_t i = 0; i < s->records; i++) {
		const struct at_record *r = &s->record[i];
		char line[64];
		bytes[r->offset + 5] ^= 8;
		int64_t damages = check_bytes(s, bytes, s->size);
		bytes[r->offset + 5] ^= 8;
		/* The last mark is the tail: nothing says it was durable */
		if (i + 1 == s->records) {
			assert_int_equal(damages, 0);
			snprintf(line, sizeof(line), "bytes behind offset %llu",
				 (unsigned long long)r->offset);
			assert_non_null(strstr(lines_of(&s->notes), line));
			continue;
		}
		assert_true(damages > 0);
		snprintf(line, sizeof(line), "damaged record at offset %llu",
			 (unsigned long long)r->offset);
		assert_found(s, line);
		if (!r->header.payload_len)
			continue;
		bytes[r->payload] ^= 8;
		damages = check_bytes(s, bytes, s->size);
		bytes[r->payload] ^= 8;
		assert_true(damages > 0);
		snprintf(line, sizeof(line),
			 "record at offset %llu: damaged payload",
			 (unsigned long long)r->offset);
		assert_found(s, line);
	}
	free(bytes);
}

static void all_damages_are_found_and_not_only_the_first(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	int first = record_of(s, RECORD_OPERATION, 3);
	int last = record_of(s, RECORD_OPERATION, s->replay);
	int value = record_of(s, RECORD_EXTENT, s->replay);
	char line[64];
	bytes[100] ^= 1;
	bytes[SUPERBLOCK_SIZE] ^= 1;
	bytes[s->record[first].offset] ^= 1;
	bytes[s->record[last].offset] ^= 1;
	bytes[s->record[value].payload] ^= 1;
	assert_int_equal(check_bytes(s, bytes, s->size), 5);
	assert_found(s, "damaged superblock at offset 0");
	assert_found(s, "damaged segment header at offset 4096");
	snprintf(line, sizeof(line), "damaged record at offset %llu",
		 (unsigned long long)s->record[first].offset);
	assert_found(s, line);
	free(bytes);
}

static void a_damaged_value_is_told_by_key_and_bytes(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	int i = record_of(s, RECORD_EXTENT, s->replay);
	bytes[s->record[i].payload + 20000] ^= 1;
	assert_int_equal(check_bytes(s, bytes, s->size), 2);
	assert_found(s, "damaged value of key space/redo-long: bytes 16384 to "
			"20479 of 60000");
	free(bytes);
}

/* A leaf is damaged, and a value whose row lies in another */
static void rows_beside_a_damaged_node_are_checked(void **in)
{
	struct scene *s = *in;
	unsigned both = 0;
	int i = record_of(s, RECORD_EXTENT, s->replay);
	uint8_t *bytes = sound_copy(s);
	bytes[s->record[i].payload + 20000] ^= 1;
	for (size_t k = 0; k < s->records; k++) {
		const struct at_record *r = &s->record[k];
		if (r->header.type != RECORD_NODES)
			continue;
		for (uint32_t at = 0; at < r->header.payload_len; at += 900) {
			bytes[r->payload + at] ^= 1;
			assert_true(check_bytes(s, bytes, s->size) > 0);
			const char *lines = lines_of(&s->lines);
			both += strstr(lines, "damaged node at offset") &&
				strstr(lines, "value of key space/redo-long");
			bytes[r->payload + at] ^= 1;
		}
	}
	assert_true(both > 2);
	free(bytes);
}

static void what_cannot_be_opened_is_told_with_its_place(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	for (size_t cut = 1; cut < s->size; cut += 4999) {
		struct banyan_options o = { .flags = BANYAN_READ_ONLY };
		banyan *db = NULL;
		int64_t damages = check_bytes(s, s->bytes, cut);
		int rc = banyan_open(SOURCE, &o, &db);
		assert_int_equal(banyan_close(db), 0);
		assert_true(damages >= 0 || damages == -EMEDIUMTYPE);
		assert_int_equal(rc != 0, damages != 0);
	}
	memset(bytes, 0, 8192);
	assert_int_equal(check_bytes(s, bytes, s->size), -EMEDIUMTYPE);
	free(bytes);
}

static void what_is_missing_is_refused(void **in)
{
	struct scene *s = *in;
	struct banyan_check check = { .arg = NULL };
	struct banyan_salvage salvage = { .arg = NULL };
	write_whole(SOURCE, s->bytes, s->size);
	assert_int_equal(banyan_check(NULL, &check), -EINVAL);
	assert_int_equal(banyan_salvage(NULL, OUT, &salvage), -EINVAL);
	assert_int_equal(banyan_salvage(SOURCE, NULL, &salvage), -EINVAL);
	assert_int_not_equal(access(OUT, F_OK), 0);
	/* But nobody needs to be told */
	assert_int_equal(banyan_check(SOURCE, &check), 0);
	assert_int_equal(banyan_check(SOURCE, NULL), 0);
	assert_int_equal(banyan_salvage(SOURCE, OUT, &salvage), 0);
	assert_int_equal(unlink(OUT), 0);
	assert_int_equal(banyan_salvage(SOURCE, OUT, NULL), 0);
}

static void it_can_be_cancelled_at_every_read(void **in)
{
	struct scene *s = *in;
	assert_int_equal(check_bytes(s, s->bytes, s->size), 0);
	long calls = s->calls;
	/* A value of 100000 bytes alone is several */
	assert_true(calls > 50);
	for (long i = 1; i <= calls; i++) {
		s->cancel_at = i;
		assert_int_equal(check_path(s, SOURCE), -ECANCELED);
		assert_int_equal(s->calls, i);
	}
	s->cancel_at = 0;
}

/* ---- segments --------------------------------------------------------- */

#define BIG_SEGMENTS 5

/* A file of several segments, each begun by a header */
static void make_segments(struct scene *s)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	char path[32];
	assert_int_equal(banyan_open("big.banyan", &o, &db), 0);
	for (unsigned i = 0; i < BIG_SEGMENTS * 4; i++) {
		snprintf(path, sizeof(path), "key-%02u", i);
		put_random(db, path, 1 << 20, i);
		if (i % 7 == 6)
			assert_int_equal(banyan_freeze(db), 0);
	}
	keep_state(s, db);
	assert_int_equal(banyan_close(db), 0);
	free(s->bytes);
	s->bytes = read_whole("big.banyan", &s->size);
	assert_int_equal(unlink("big.banyan"), 0);
	assert_true(s->size > BIG_SEGMENTS * (size_t)SEGMENT_SIZE);
}

static void a_damaged_segment_header_is_told_and_passed(void **in)
{
	struct scene *s = *in;
	make_segments(s);
	uint8_t *bytes = sound_copy(s);
	for (unsigned i = 1; i <= BIG_SEGMENTS; i++) {
		char line[64];
		memset(bytes + (size_t)i * SEGMENT_SIZE, 0,
		       SEGMENT_HEADER_SIZE);
		snprintf(line, sizeof(line),
			 "damaged segment header at offset %u",
			 i * SEGMENT_SIZE);
		assert_int_equal(check_bytes(s, bytes, s->size), 1);
		assert_found(s, line);
		assert_int_equal(salvage_source_file(s, false), 0);
		char *got = dump_file(OUT);
		assert_string_equal(got, s->state[s->states - 1]);
		free(got);
		memcpy(bytes + (size_t)i * SEGMENT_SIZE,
		       s->bytes + (size_t)i * SEGMENT_SIZE,
		       SEGMENT_HEADER_SIZE);
	}
	/* All of them, and the superblock */
	for (unsigned i = 0; i <= BIG_SEGMENTS; i++)
		memset(bytes + (size_t)i * SEGMENT_SIZE + (i ? 0 : 4096), 0,
		       SEGMENT_HEADER_SIZE);
	bytes[9] ^= 1;
	assert_int_equal(check_bytes(s, bytes, s->size), BIG_SEGMENTS + 2);
	assert_int_equal(salvage_source_file(s, false), 0);
	char *got = dump_file(OUT);
	assert_string_equal(got, s->state[s->states - 1]);
	free(got);
	free(bytes);
}

/* A hostile file that says at every place that a record of 3 MiB begins there,
 * behind a break: it took time for each */
static void a_segment_full_of_records_costs_no_more_than_others(void **in)
{
	struct scene *s = *in;
	make_segments(s);
	uint8_t *bytes = sound_copy(s);
	struct file *f = NULL;
	struct log_state st = { 0 };
	write_whole(SOURCE, bytes, s->size);
	assert_int_equal(file_open(SOURCE, false, NULL, &f), 0);
	assert_int_equal(log_recover(f, false, &st, NULL, NULL), 0);
	file_close(f);
	struct record_header h = { .type = RECORD_OPERATION,
				   .body_len = BODY_MAX / 2,
				   .seq = 5 };
	for (size_t at = SEGMENT_SIZE / 8; at < SEGMENT_SIZE; at += 24) {
		h.seq = 40 + at % 4000;
		record_header_encode(&h, bytes + at);
	}
	assert_true(check_bytes(s, bytes, s->size) > 0);
	assert_true(s->calls < 10000);
	assert_true(salvage_source_file(s, false) > 0);
	free(bytes);
}

/* ---- rows that contradict each other ---------------------------------- */

static void put(struct txn *c, const struct row_key *key, const void *value,
		size_t len)
{
	struct buf v = BUF_INIT;
	assert_int_equal(buf_set(&v, value, len), 0);
	assert_int_equal(len ? txn_put(c, key, &v) : txn_put_empty(c, key), 0);
	buf_free(&v);
}

static banyan *open_source(struct scene *s, struct txn **c)
{
	banyan *db = NULL;
	write_whole(SOURCE, s->bytes, s->size);
	assert_int_equal(banyan_open(SOURCE, NULL, &db), 0);
	assert_int_equal(store_write_begin(db->store, OPERATION_BATCH, true, c),
			 0);
	return db;
}

static uint64_t id_of(banyan *db, const char *path)
{
	banyan_data *d = hold_key(db, path);
	uint64_t id = banyan_id(d);
	banyan_release(d, 1);
	return id;
}

static void end_source(banyan *db)
{
	assert_int_equal(store_write_end(db->store, 0), 0);
	assert_int_equal(banyan_close(db), 0);
}

/* What it finds; then a salvage, whose result must be sound */
static void assert_damage(struct scene *s, const char *found, const char *lost)
{
	assert_true(check_path(s, SOURCE) > 0);
	assert_found(s, found);
	assert_true(salvage_source_file(s, false) >= 0);
	if (lost)
		assert_found(s, lost);
	assert_int_equal(check_path(s, OUT), 0);
}

static void rows_without_an_owner_are_found(void **in)
{
	struct scene *s = *in;
	struct txn *c = NULL;
	struct row_key key;
	struct buf v = BUF_INIT;
	banyan *db = open_source(s, &c);
	struct extent e = { .payload = s->record[0].offset,
			    .payload_len = 1,
			    .length = 1 };
	row_key_xattr(&key, 100000, "user.stray", 10);
	put(c, &key, "\0x", 2);
	extent_encode(&e, &v);
	row_key_extent(&key, 100000, 0);
	put(c, &key, v.data, v.len);
	row_key_extent(&key, 100000, 10);
	put(c, &key, v.data, v.len);
	end_source(db);
	assert_int_equal(check_path(s, SOURCE), 2);
	assert_found(s, "XATTR rows of Data 100000, which is not there");
	assert_damage(s, "EXTENT rows of Data 100000, which has no contents",
		      NULL);
	buf_free(&v);
}

static void a_data_in_two_places_is_found(void **in)
{
	struct scene *s = *in;
	struct txn *c = NULL;
	struct row_key key;
	struct row_value v;
	uint8_t copy[ROW_VALUE_MAX];
	banyan *db = open_source(s, &c);
	row_key_name(&key, BANYAN_ROOT_ID, "short", 5);
	assert_int_equal(state_get(&c->state, &key, &v), 0);
	memcpy(copy, v.bytes, v.len);
	row_key_name(&key, BANYAN_ROOT_ID, "twice", 5);
	put(c, &key, copy, v.len);
	c->op.keys++;
	end_source(db);
	assert_damage(s, "at key twice is also elsewhere",
		      "key twice: its Data is another key's");
}

static void lone_datas_and_spaces_are_found(void **in)
{
	struct scene *s = *in;
	struct txn *c = NULL;
	struct row_key key;
	banyan *db = open_source(s, &c);
	uint64_t space = id_of(db, "space");
	uint64_t alias = id_of(db, "one-chunk");
	/* Both keys of a Data, and the only one of a key space */
	row_key_name(&key, BANYAN_ROOT_ID, "one-chunk", 9);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_link(&key, alias, BANYAN_ROOT_ID, "one-chunk", 9);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_name(&key, space, "alias", 5);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_link(&key, alias, space, "alias", 5);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_name(&key, BANYAN_ROOT_ID, "space", 5);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_link(&key, space, BANYAN_ROOT_ID, "space", 5);
	assert_int_equal(txn_delete(c, &key), 0);
	end_source(db);
	assert_damage(s, "says that it has 2 links, it has 0",
		      "which is in lost+found now");
	char *got = dump_file(OUT);
	char path[64];
	size_t len = 0;
	snprintf(path, sizeof(path), "lost+found/%llu/long",
		 (unsigned long long)space);
	assert_non_null(dump_line(got, path, strlen(path), &len));
	snprintf(path, sizeof(path), "lost+found/%llu",
		 (unsigned long long)alias);
	assert_non_null(dump_line(got, path, strlen(path), &len));
	free(got);
}

static void a_space_without_its_row_is_made_anew(void **in)
{
	struct scene *s = *in;
	struct txn *c = NULL;
	struct row_key key;
	banyan *db = open_source(s, &c);
	row_key_data(&key, id_of(db, "space"));
	assert_int_equal(txn_delete(c, &key), 0);
	end_source(db);
	assert_damage(s, "key space refers to Data ",
		      "mode, owner and times of key space key space");
	char *got = dump_file(OUT);
	size_t len = 0;
	assert_non_null(dump_line(got, "space/long", 10, &len));
	free(got);
}

static void key_spaces_in_a_circle_are_found(void **in)
{
	struct scene *s = *in;
	struct txn *c = NULL;
	struct row_key key;
	struct buf v = BUF_INIT;
	banyan *db = open_source(s, &c);
	uint64_t space = id_of(db, "space");
	uint64_t hollow = id_of(db, "hollow");
	/* space lies in hollow, hollow in space */
	row_key_name(&key, BANYAN_ROOT_ID, "space", 5);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_link(&key, space, BANYAN_ROOT_ID, "space", 5);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_name(&key, BANYAN_ROOT_ID, "hollow", 6);
	assert_int_equal(txn_delete(c, &key), 0);
	row_key_link(&key, hollow, BANYAN_ROOT_ID, "hollow", 6);
	assert_int_equal(txn_delete(c, &key), 0);
	assert_int_equal(reference_encode(space, S_IFDIR, &v), 0);
	row_key_name(&key, hollow, "space", 5);
	put(c, &key, v.data, v.len);
	row_key_link(&key, space, hollow, "space", 5);
	put(c, &key, "", 0);
	assert_int_equal(reference_encode(hollow, S_IFDIR, &v), 0);
	row_key_name(&key, space, "hollow", 6);
	put(c, &key, v.data, v.len);
	row_key_link(&key, hollow, space, "hollow", 6);
	put(c, &key, "", 0);
	end_source(db);
	assert_damage(s, "lies below itself", "which is in lost+found now");
	buf_free(&v);
}

/* Many keys that embed the same Data of many extents: each was read for each */
static void one_value_under_many_keys_is_read_once(void **in)
{
	struct scene *s = *in;
	struct txn *c = NULL;
	struct row_key key;
	struct row_value v;
	char name[16];
	uint8_t copy[ROW_VALUE_MAX];
	banyan *db = open_source(s, &c);
	row_key_name(&key, BANYAN_ROOT_ID, "pieces", 6);
	assert_int_equal(state_get(&c->state, &key, &v), 0);
	memcpy(copy, v.bytes, v.len);
	for (unsigned i = 0; i < 3000; i++) {
		int n = snprintf(name, sizeof(name), "same-%u", i);
		row_key_name(&key, BANYAN_ROOT_ID, name, (size_t)n);
		put(c, &key, copy, v.len);
	}
	end_source(db);
	assert_true(check_path(s, SOURCE) >= 3000);
	assert_true(s->calls < 2000);
	assert_int_equal(salvage_source_file(s, false), 3000);
	assert_int_equal(check_path(s, OUT), 0);
}

/* ---- anything --------------------------------------------------------- */

struct all_rows {
	struct row_key key[600];
	struct buf value[600];
	size_t count;
};

static void collect(struct all_rows *all, const struct state *st)
{
	struct merged_cursor *c = NULL;
	all->count = 0;
	assert_int_equal(merged_cursor_new(&st->merged, &c), 0);
	for (int rc = merged_cursor_seek(c, "", 0); rc == 0 && all->count < 600;
	     rc = merged_cursor_next(c)) {
		size_t len = 0;
		struct row_key *k = &all->key[all->count];
		const uint8_t *p = merged_cursor_key(c, &k->len);
		memcpy(k->bytes, p, k->len);
		p = merged_cursor_value(c, &len);
		assert_int_equal(buf_set(&all->value[all->count++], p, len), 0);
	}
	merged_cursor_free(c);
}

static void spoil_row(uint64_t *random, struct txn *c,
		      const struct all_rows *all)
{
	/* Those of "many" are all alike: half of the time another */
	size_t i = test_below(random, all->count);
	for (unsigned k = 0; k < 4 && all->key[i].bytes[0] == ROW_NAME; k++)
		i = test_below(random, all->count);
	struct row_key key = all->key[i];
	const struct buf *v = &all->value[test_below(random, all->count)];
	uint8_t value[ROW_VALUE_MAX];
	size_t len = all->value[i].len;
	if (len)
		memcpy(value, all->value[i].data, len);
	switch (test_below(random, 5)) {
	case 0:
		assert_int_equal(txn_delete(c, &key), 0);
		return;
	case 1:
		key.bytes[test_below(random, key.len)] ^=
			(uint8_t)(1u << test_below(random, 8));
		break;
	case 2:
		len = v->len;
		if (len)
			memcpy(value, v->data, len);
		break;
	case 3:
		key.bytes[0] = (uint8_t)(1 + test_below(random, 7));
		break;
	default:
		if (len)
			value[test_below(random, len)] ^=
				(uint8_t)(1u << test_below(random, 8));
	}
	put(c, &key, value, len);
}

static void whatever_the_rows_say_a_salvage_is_sound(void **in)
{
	struct scene *s = *in;
	uint64_t random = test_seed();
	const char *text = getenv("BANYAN_ROUNDS");
	unsigned long rounds = 150 * (text ? strtoul(text, NULL, 10) : 1);
	struct all_rows *all = calloc(1, sizeof(*all));
	assert_non_null(all);
	while (rounds--) {
		struct txn *c = NULL;
		banyan *db = open_source(s, &c);
		collect(all, &c->state);
		for (uint64_t n = 1 + test_below(&random, 6); n; n--)
			spoil_row(&random, c, all);
		assert_int_equal(store_write_end(db->store, 0), 0);
		/* As it is, neither swept nor frozen */
		log_poison(db->store->volume->log);
		(void)banyan_close(db);
		int64_t damages = check_path(s, SOURCE);
		int64_t losses = salvage_source_file(s, false);
		assert_true(damages >= 0);
		assert_true(losses >= 0);
		struct buf lines = s->lines;
		s->lines = (struct buf)BUF_INIT;
		if (check_path(s, OUT))
			print_error("%s\n%s\n", lines_of(&lines),
				    lines_of(&s->lines));
		assert_int_equal(check_path(s, OUT), 0);
		buf_free(&lines);
	}
	for (size_t i = 0; i < 600; i++)
		buf_free(&all->value[i]);
	free(all);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up_scene, tear_down_scene)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_file_is_sound),
		TEST(a_cut_through_a_record_is_told),
		TEST(a_cut_between_records_tells_how_far_it_is_sound),
		TEST(a_closed_file_needs_no_note),
		TEST(every_record_is_checked),
		TEST(all_damages_are_found_and_not_only_the_first),
		TEST(a_damaged_value_is_told_by_key_and_bytes),
		TEST(rows_beside_a_damaged_node_are_checked),
		TEST(what_cannot_be_opened_is_told_with_its_place),
		TEST(what_is_missing_is_refused),
		TEST(it_can_be_cancelled_at_every_read),
		TEST(a_damaged_segment_header_is_told_and_passed),
		TEST(a_segment_full_of_records_costs_no_more_than_others),
		TEST(rows_without_an_owner_are_found),
		TEST(a_data_in_two_places_is_found),
		TEST(lone_datas_and_spaces_are_found),
		TEST(a_space_without_its_row_is_made_anew),
		TEST(key_spaces_in_a_circle_are_found),
		TEST(one_value_under_many_keys_is_read_once),
		TEST(whatever_the_rows_say_a_salvage_is_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
