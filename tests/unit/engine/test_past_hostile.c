/* SPDX-License-Identifier: MIT */
/*
 * The way back from freeze to freeze in files that lie about it: every checksum
 * is right, as in a file that somebody made on purpose. What lies behind the lie
 * is damage or not there; what comes before it, the present first of all, opens
 * as if nothing were; and nothing crashes or goes on for ever.
 *
 * BANYAN_SEED says which lies the random ones are.
 */
#include "past_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "log/format.h"
#include "tests/support/random.h"

#define FREEZES 6u /* that were asked for */
#define RECORDS_MAX 256u
#define SECONDS_MAX 100u /* then it hangs */

struct place {
	uint64_t offset;
	struct record_header header;
	struct freeze freeze; /* if it is one */
};

struct scene {
	struct past past;
	uint8_t *sound;
	uint8_t *bytes; /* a copy, in which lies are told */
	size_t size;
	uint64_t salt;
	struct place place[RECORDS_MAX];
	size_t places;
	size_t at[FREEZES + 1]; /* the place of freeze n; [0]: not used */
	uint64_t numbers[FREEZES + 1];
	char said[256];
};

/* ---- the file --------------------------------------------------------- */

static void hear(void *arg, const char *line)
{
	struct scene *s = arg;
	snprintf(s->said, sizeof(s->said), "%s", line);
}

static void read_file(struct scene *s)
{
	struct stat st;
	struct superblock sb;
	int fd = open(s->past.path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	s->size = (size_t)st.st_size;
	s->sound = malloc(s->size);
	s->bytes = malloc(s->size);
	assert_true(s->sound && s->bytes);
	assert_int_equal(read(fd, s->sound, s->size), st.st_size);
	close(fd);
	assert_int_equal(superblock_decode(&sb, s->sound, false), 0);
	s->salt = sb.salt;
}

/* All in one segment; as freeze n a round was made */
static void find_places(struct scene *s)
{
	uint64_t at = SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE;
	unsigned n = 0;
	assert_true(s->size < SEGMENT_SIZE);
	for (; at < s->size; s->places++) {
		struct place *p = &s->place[s->places];
		assert_true(s->places < RECORDS_MAX);
		assert_true(
			record_header_decode(&p->header, at, s->sound + at));
		p->offset = at;
		at += record_size(p->header.body_len, p->header.payload_len);
		if (p->header.type != RECORD_FREEZE)
			continue;
		assert_true(
			freeze_decode(&p->freeze, p->offset,
				      s->sound + p->offset + RECORD_HEADER_SIZE,
				      p->header.body_len));
		if (p->freeze.automatic)
			continue;
		s->at[++n] = s->places;
		s->numbers[n] = p->freeze.number;
	}
	assert_int_equal(n, FREEZES);
}

static int set_up(void **out)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct past *p = NULL;
	if (!s || set_up_past((void **)&p))
		return -1;
	s->past = *p;
	free(p);
	for (unsigned n = 1; n <= FREEZES; n++) {
		assert_int_equal(past_round(s->past.db, n), 0);
		assert_int_equal(banyan_freeze(s->past.db), 0);
	}
	assert_int_equal(banyan_close(s->past.db), 0);
	s->past.db = NULL;
	read_file(s);
	find_places(s);
	*out = s;
	alarm(SECONDS_MAX);
	return 0;
}

static int tear_down(void **in)
{
	struct scene *s = *in;
	struct past *p = malloc(sizeof(*p));
	alarm(0);
	*p = s->past;
	free(s->sound);
	free(s->bytes);
	free(s);
	return tear_down_past((void **)&p);
}

static void write_file(struct scene *s, const uint8_t *bytes, size_t size)
{
	int fd = open(s->past.path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

/*
 * Write the file with the freezes as they are in s->place by now: each record is
 * chained to the one before, and each freeze says so of where its replay starts.
 */
static void write_lies(struct scene *s)
{
	uint32_t crc[RECORDS_MAX + 1] = { 0 }; /* of record n */
	memcpy(s->bytes, s->sound, s->size);
	for (size_t i = 0; i < s->places; i++) {
		struct record_header h = s->place[i].header;
		uint8_t *at = s->bytes + s->place[i].offset;
		uint8_t *body = at + RECORD_HEADER_SIZE;
		struct freeze f = s->place[i].freeze;
		assert_int_equal(h.seq, i + 1);
		f.replay.chain = crc[f.replay.seq ? f.replay.seq - 1 : 0];
		if (h.type == RECORD_FREEZE)
			freeze_encode(&f, body);
		h.chain = crc[i];
		record_header_encode(&h, at);
		h.crc = record_crc(s->salt, s->place[i].offset, at, body,
				   h.body_len, body + h.body_len,
				   4 * (size_t)chunk_count(h.payload_len));
		record_header_encode(&h, at);
		crc[i + 1] = h.crc;
	}
	write_file(s, s->bytes, s->size);
}

/* ---- what must hold --------------------------------------------------- */

static int open_at(struct scene *s, uint64_t number, banyan **db)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .freeze = number,
				    .report = hear,
				    .report_arg = s };
	*s->said = '\0';
	return banyan_open(s->past.path, &o, db);
}

static int ignore(void *arg, const struct banyan_freeze_info *info)
{
	unsigned *seen = arg;
	assert_true(info->number > 0);
	return ++*seen > FREEZES * 4 ? 1 : 0; /* more than there are */
}

/* It opens, in its state; what the way back from there says */
static int assert_opens(struct scene *s, uint64_t number, unsigned round)
{
	banyan *db = NULL;
	unsigned seen = 0;
	assert_int_equal(open_at(s, number, &db), 0);
	assert_true(past_is(db, round));
	int rc = banyan_freezes(db, ignore, &seen);
	assert_true(rc <= 0); /* 1: there is no end to it */
	assert_true(number == 0 || seen > 0);
	assert_int_equal(banyan_close(db), 0);
	return rc;
}

static void assert_fails(struct scene *s, uint64_t number, int rc)
{
	banyan *db = NULL;
	assert_int_equal(open_at(s, number, &db), rc);
	assert_null(db);
	/* Damage has a place */
	assert_int_equal(strstr(s->said, "at offset ") != NULL, rc != -ENOENT);
}

/* A check of a past state comes to an end, and finds what is damaged */
static void assert_check(struct scene *s, uint64_t number, int rc)
{
	struct banyan_check how = { .found = hear, .arg = s, .freeze = number };
	int64_t n = banyan_check(s->past.path, &how);
	if (rc == 0 || rc == -ENOENT)
		assert_int_equal(n, rc);
	else
		assert_int_equal(n, 1);
}

/* With the last tree damaged a salvage goes the same way back */
static void assert_salvage_ends(struct scene *s)
{
	struct banyan_salvage how = { .arg = s };
	const struct place *last = &s->place[s->at[FREEZES]];
	s->bytes[last->freeze.root.offset + 9] ^= 1;
	write_file(s, s->bytes, s->size);
	int64_t n = banyan_salvage(s->past.path, s->past.out, &how);
	assert_true(n >= 0);
	assert_int_equal(unlink(s->past.out), 0);
	s->bytes[last->freeze.root.offset + 9] ^= 1;
	write_file(s, s->bytes, s->size);
}

/*
 * The freezes from number n on open, and so does the present; those before it
 * say rc, and so does the way back from the present.
 */
static void assert_broken_before(struct scene *s, unsigned n, int rc)
{
	write_lies(s);
	int way = assert_opens(s, 0, FREEZES);
	assert_int_equal(way, rc == -ENOENT ? 0 : rc);
	for (unsigned k = 1; k <= FREEZES; k++) {
		if (k < n)
			assert_fails(s, s->numbers[k], rc);
		else
			assert_int_equal(assert_opens(s, s->numbers[k], k),
					 way);
		assert_check(s, s->numbers[k], k < n ? rc : 0);
	}
	assert_salvage_ends(s);
	/* Who writes does not care */
	assert_int_equal(banyan_open(s->past.path, NULL, &s->past.db), 0);
	assert_int_equal(past_round(s->past.db, FREEZES + 1), 0);
	assert_int_equal(banyan_freeze(s->past.db), 0);
	assert_int_equal(banyan_close(s->past.db), 0);
	s->past.db = NULL;
	assert_int_equal(assert_opens(s, 0, FREEZES + 1), way);
}

static struct freeze *freeze_of(struct scene *s, unsigned n)
{
	return &s->place[s->at[n]].freeze;
}

static uint64_t offset_of(const struct scene *s, unsigned n)
{
	return s->place[s->at[n]].offset;
}

static void forget_lies(struct scene *s)
{
	memset(s->place, 0, sizeof(s->place));
	s->places = 0;
	find_places(s);
}

/* ---- tests ------------------------------------------------------------ */

/* The encoders above lie only when asked to */
static void without_a_lie_every_freeze_opens(void **in)
{
	struct scene *s = *in;
	write_lies(s);
	assert_memory_equal(s->bytes, s->sound, s->size);
	assert_broken_before(s, 1, -ENOENT);
}

static void a_freeze_that_leads_to_itself_is_damaged(void **in)
{
	struct scene *s = *in;
	freeze_of(s, 3)->previous = offset_of(s, 3);
	assert_broken_before(s, 4, -EBADMSG);
}

static void a_freeze_that_leads_forward_is_damaged(void **in)
{
	struct scene *s = *in;
	const uint64_t forward[] = {
		offset_of(s, 3) + 8, offset_of(s, 4), offset_of(s, FREEZES),
		s->size - 8,	     s->size,	      s->size + 4096,
		INT64_MAX,	     UINT64_MAX - 7,  UINT64_MAX,
	};
	for (size_t i = 0; i < sizeof(forward) / sizeof(*forward); i++) {
		freeze_of(s, 3)->previous = forward[i];
		assert_broken_before(s, 4, -EBADMSG);
	}
}

/* Two that lead to each other */
static void a_circle_of_freezes_is_damaged(void **in)
{
	struct scene *s = *in;
	freeze_of(s, 2)->previous = offset_of(s, 4);
	assert_broken_before(s, 3, -EBADMSG);
}

static void what_is_no_freeze_is_damaged(void **in)
{
	struct scene *s = *in;
	uint64_t nodes = 0;
	uint64_t operation = 0;
	for (size_t i = 0; i < s->at[3]; i++) {
		if (s->place[i].header.type == RECORD_NODES)
			nodes = s->place[i].offset;
		if (s->place[i].header.type == RECORD_OPERATION)
			operation = s->place[i].offset;
	}
	const uint64_t garbage[] = {
		nodes,
		operation,
		freeze_of(s, 2)->root.offset,
		offset_of(s, 2) + 8,
		offset_of(s, 2) + 1,
		offset_of(s, 2) - 8,
		offset_of(s, 3) - 8,
		SUPERBLOCK_SIZE,
		SUPERBLOCK_SIZE + SEGMENT_HEADER_SIZE - 8,
		8,
		1,
	};
	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		freeze_of(s, 3)->previous = garbage[i];
		assert_broken_before(s, 3, -EBADMSG);
	}
}

static void numbers_that_do_not_fall_are_damage(void **in)
{
	struct scene *s = *in;
	const uint64_t numbers[] = { s->numbers[3], s->numbers[4],
				     s->numbers[FREEZES] + 1, INT64_MAX - 1 };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		banyan *db = NULL;
		freeze_of(s, 2)->number = numbers[i];
		assert_broken_before(s, 3, -EUCLEAN);
		/* Nor is it found by the number that it claims */
		if (numbers[i] > s->numbers[FREEZES] + 1)
			assert_int_equal(open_at(s, numbers[i], &db), -ENOENT);
	}
	/* No number at all: no freeze */
	freeze_of(s, 2)->number = 0;
	assert_broken_before(s, 3, -EBADMSG);
	freeze_of(s, 2)->number = UINT64_MAX;
	assert_broken_before(s, 3, -EBADMSG);
}

static void what_the_way_back_leaves_out_is_not_there(void **in)
{
	struct scene *s = *in;
	freeze_of(s, 4)->previous = offset_of(s, 2);
	write_lies(s);
	assert_int_equal(assert_opens(s, 0, FREEZES), 0);
	for (unsigned n = 1; n <= FREEZES; n++)
		if (n != 3)
			assert_int_equal(assert_opens(s, s->numbers[n], n), 0);
	assert_fails(s, s->numbers[3], -ENOENT);
	/* It ends too soon */
	freeze_of(s, 4)->previous = 0;
	assert_broken_before(s, 4, -ENOENT);
}

/* Then it is not the last: the one before is, with what was done since */
static void the_present_opens_without_the_last_freeze(void **in)
{
	struct scene *s = *in;
	const uint64_t lies[] = { offset_of(s, FREEZES), s->size, UINT64_MAX };
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		for (size_t k = s->at[FREEZES]; k < s->places; k++)
			s->place[k].freeze.previous = lies[i];
		write_lies(s);
		assert_int_equal(assert_opens(s, 0, FREEZES), 0);
		for (unsigned n = 1; n < FREEZES; n++)
			assert_int_equal(assert_opens(s, s->numbers[n], n), 0);
		assert_fails(s, s->numbers[FREEZES], -ENOENT);
	}
}

/* Wherever it is cut off: its freezes are there, the later ones are not */
static void a_file_that_is_cut_off_has_the_past_before_it(void **in)
{
	struct scene *s = *in;
	for (size_t size = s->size; size > offset_of(s, 1); size--) {
		unsigned whole = 0;
		banyan *db = NULL;
		if (size % 8 && size % (61 * test_one_in(10)))
			continue;
		for (unsigned n = 1; n <= FREEZES; n++)
			whole += offset_of(s, n) +
					 record_size(FREEZE_BODY_SIZE, 0) <=
				 size;
		assert_int_equal(truncate(s->past.path, (off_t)size), 0);
		/* The round may be there whose freeze is not */
		assert_int_equal(open_at(s, 0, &db), 0);
		assert_true(past_is(db, whole) ||
			    (whole < FREEZES && past_is(db, whole + 1)));
		assert_int_equal(banyan_close(db), 0);
		unsigned n = 1 + (unsigned)(size / 8 % FREEZES);
		if (n <= whole)
			assert_int_equal(assert_opens(s, s->numbers[n], n), 0);
		else
			assert_fails(s, s->numbers[n], -ENOENT);
	}
}

static unsigned any_freeze(uint64_t *random)
{
	return 1 + (unsigned)test_below(random, FREEZES);
}

/* Any lies: a state that opens is the one that belongs to the number */
static void no_lie_leads_to_a_wrong_state(void **in)
{
	struct scene *s = *in;
	uint64_t random = test_seed();
	const char *text = getenv("BANYAN_ROUNDS");
	unsigned long rounds = 300 * (text ? strtoul(text, NULL, 10) : 1);
	unsigned opened = 0;
	unsigned refused = 0;
	for (rounds /= test_one_in(10); rounds; rounds--) {
		for (uint64_t k = 1 + test_below(&random, 3); k; k--) {
			unsigned n = any_freeze(&random);
			unsigned to = any_freeze(&random);
			freeze_of(s, n)->previous =
				test_below(&random, 3) ?
					offset_of(s, to) :
					test_below(&random, s->size * 2);
		}
		write_lies(s);
		(void)assert_opens(s, 0, FREEZES);
		for (unsigned n = 1; n <= FREEZES; n++) {
			banyan *db = NULL;
			int rc = open_at(s, s->numbers[n], &db);
			if (rc)
				assert_true(rc == -ENOENT || rc == -EBADMSG ||
					    rc == -EUCLEAN);
			else
				assert_true(past_is(db, n));
			banyan_close(db);
			opened += rc == 0;
			refused += rc != 0;
		}
		forget_lies(s);
	}
	print_message("%u opened, %u refused\n", opened, refused);
	assert_true(opened && refused);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_lie_every_freeze_opens),
		TEST(a_freeze_that_leads_to_itself_is_damaged),
		TEST(a_freeze_that_leads_forward_is_damaged),
		TEST(a_circle_of_freezes_is_damaged),
		TEST(what_is_no_freeze_is_damaged),
		TEST(numbers_that_do_not_fall_are_damage),
		TEST(what_the_way_back_leaves_out_is_not_there),
		TEST(the_present_opens_without_the_last_freeze),
		TEST(a_file_that_is_cut_off_has_the_past_before_it),
		TEST(no_lie_leads_to_a_wrong_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
