/* SPDX-License-Identifier: MIT */
/*
 * Read-only handles beside a writer: of the present, and of past freezes, in
 * this process and in another. test_past_hostile.c has the files that lie.
 *
 * BANYAN_SEED says which past states many readers look at.
 */
#include "past_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "tests/support/random.h"

#define FREEZES 12u

struct found {
	uint64_t numbers[FREEZES + 2];
	unsigned count;
};

static int note_freeze(void *arg, const struct banyan_freeze_info *info)
{
	struct found *f = arg;
	if (!info->automatic)
		f->numbers[f->count++] = info->number;
	return 0;
}

static void every_freeze_can_be_opened_beside_the_writer(void **in)
{
	struct past *s = *in;
	struct found f = { { 0 }, 0 };
	banyan *past[FREEZES];
	for (unsigned n = 1; n <= FREEZES; n++) {
		assert_int_equal(past_round(s->db, n), 0);
		assert_int_equal(banyan_freeze(s->db), 0);
	}
	/* Newest first */
	assert_int_equal(banyan_freezes(s->db, note_freeze, &f), 0);
	assert_int_equal(f.count, FREEZES);
	for (unsigned n = 1; n <= FREEZES; n++)
		assert_int_equal(
			past_open(s, f.numbers[FREEZES - n], &past[n - 1]), 0);
	/* They stay as they are while the writer goes on */
	for (unsigned n = FREEZES + 1; n < FREEZES + 4; n++) {
		assert_int_equal(past_round(s->db, n), 0);
		assert_int_equal(banyan_freeze(s->db), 0);
	}
	for (unsigned n = 1; n <= FREEZES; n++) {
		assert_true(past_is(past[n - 1], n));
		assert_int_equal(banyan_put(past[n - 1], "k", "v", 1, 0),
				 -EROFS);
		assert_int_equal(banyan_freeze(past[n - 1]), -EROFS);
		assert_int_equal(banyan_close(past[n - 1]), 0);
	}
	assert_true(past_is(s->db, FREEZES + 3));
}

/* ---- what is asked for wrongly ---------------------------------------- */

static void the_past_is_for_reading_only(void **in)
{
	static const unsigned flags[] = { 0, BANYAN_CREATE,
					  BANYAN_CREATE | BANYAN_EXCLUSIVE };
	struct past *s = *in;
	banyan *db = NULL;
	assert_int_equal(past_round(s->db, 1), 0);
	assert_int_equal(banyan_freeze(s->db), 0);
	uint64_t last = past_last_freeze(s->db);
	/* Also where nobody else writes, and where there is no file */
	for (unsigned i = 0; i < 9; i++) {
		struct banyan_options o = { .flags = flags[i % 3],
					    .freeze = last };
		const char *path = i < 6 ? s->path : s->out;
		if (i == 3) {
			assert_int_equal(banyan_close(s->db), 0);
			s->db = NULL;
		}
		assert_int_equal(banyan_open(path, &o, &db), -EINVAL);
		assert_null(db);
	}
	assert_int_equal(access(s->out, F_OK), -1);
	assert_int_equal(past_open(s, last, &db), 0);
	assert_true(past_is(db, 1));
	assert_int_equal(banyan_close(db), 0);
}

static void a_freeze_that_is_not_there_is_not_found(void **in)
{
	struct past *s = *in;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY, .freeze = 1 };
	banyan *db = NULL;
	assert_int_equal(past_round(s->db, 1), 0);
	assert_int_equal(banyan_freeze(s->db), 0);
	uint64_t last = past_last_freeze(s->db);
	assert_int_equal(past_open(s, last + 1, &db), -ENOENT);
	assert_int_equal(past_open(s, last + 2, &db), -ENOENT);
	assert_int_equal(past_open(s, INT64_MAX, &db), -ENOENT);
	assert_int_equal(past_open(s, UINT64_MAX, &db), -ENOENT);
	assert_int_equal(banyan_open(s->out, &o, &db), -ENOENT);
	assert_null(db);
	/* With the first one there was nothing yet */
	assert_int_equal(past_open(s, 1, &db), 0);
	assert_true(past_is(db, 0));
	assert_int_equal(past_last_freeze(db), 1);
	assert_int_equal(banyan_close(db), 0);
	/* It is there as soon as it is made */
	assert_int_equal(past_round(s->db, 2), 0);
	assert_int_equal(banyan_freeze(s->db), 0);
	assert_int_equal(past_open(s, last + 1, &db), 0);
	assert_true(past_is(db, 2));
	assert_int_equal(banyan_close(db), 0);
}

/* ---- in another process ----------------------------------------------- */

/* All that there is to say of a key: the bytes of its value, too */
struct dump {
	banyan *db;
	struct buf text;
};

static int dump_key(void *arg, const char *path, const struct banyan_entry *e)
{
	struct dump *d = arg;
	void *value = NULL;
	size_t size = 0;
	int rc = banyan_get(d->db, path, &value, &size);
	if (rc && rc != -EISDIR)
		return rc;
	buf_add(&d->text, path, strlen(path) + 1);
	buf_add(&d->text, &e->attr, sizeof(e->attr));
	buf_add(&d->text, value, size);
	free(value);
	return 0;
}

static int dump_freeze(void *arg, const struct banyan_freeze_info *info)
{
	struct dump *d = arg;
	uint64_t numbers[] = { info->number, info->offset, info->keys,
			       info->live_bytes };
	buf_add(&d->text, numbers, sizeof(numbers));
	return 0;
}

/* The same bytes for the same state. Appends; 0 or an error. */
static int dump_all(banyan *db, struct buf *text)
{
	struct dump d = { db, *text };
	struct banyan_stat st = { .keys = 0 };
	int rc = banyan_get_stat(db, &st);
	uint64_t numbers[] = { st.keys, st.live_bytes, st.next_id };
	buf_add(&d.text, numbers, sizeof(numbers));
	if (!rc)
		rc = banyan_walk(db, "", NULL, true, dump_key, &d);
	if (!rc)
		rc = banyan_freezes(db, dump_freeze, &d);
	*text = d.text;
	return rc ? rc : text->failed ? -ENOMEM : 0;
}

static int send_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;
	for (ssize_t sent = 0; n; n -= (size_t)sent, at += sent)
		if ((sent = write(fd, at, n)) <= 0)
			return -EIO;
	return 0;
}

static int get_all(int fd, void *bytes, size_t n)
{
	char *at = bytes;
	for (ssize_t got = 0; n; n -= (size_t)got, at += got)
		if ((got = read(fd, at, n)) <= 0)
			return -EIO;
	return 0;
}

static int send_dump(int fd, banyan *db)
{
	struct buf text = BUF_INIT;
	int rc = dump_all(db, &text);
	uint64_t size = text.len;
	if (!rc)
		rc = send_all(fd, &size, sizeof(size));
	if (!rc)
		rc = send_all(fd, text.data, text.len);
	buf_free(&text);
	return rc;
}

/*
 * The other process: is told the number of a freeze, opens it, and whenever it is
 * told anything says what it sees: by that handle, and by one opened now.
 */
static int show_past(const struct past *s, int from, int to)
{
	banyan *past = NULL;
	uint64_t number = 0;
	char go;
	int rc = get_all(from, &number, sizeof(number));
	if (!rc)
		rc = past_open(s, number, &past);
	while (!rc && read(from, &go, 1) == 1) {
		banyan *again = NULL;
		rc = past_open(s, number, &again);
		if (!rc)
			rc = send_dump(to, past);
		if (!rc)
			rc = send_dump(to, again);
		banyan_close(again);
	}
	banyan_close(past);
	return rc;
}

struct other {
	pid_t pid;
	int to;
	int from;
};

/* There must be no threads */
static void start_other(struct other *o, const struct past *s)
{
	int down[2];
	int up[2];
	assert_int_equal(pipe(down), 0);
	assert_int_equal(pipe(up), 0);
	fflush(NULL);
	o->pid = fork();
	assert_true(o->pid >= 0);
	if (o->pid == 0) {
		close(down[1]);
		close(up[0]);
		_exit(show_past(s, down[0], up[1]) ? 1 : 0);
	}
	close(down[0]);
	close(up[1]);
	o->to = down[1];
	o->from = up[0];
}

static void assert_shows(const struct other *o, const struct buf *want)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t size = 0;
		assert_int_equal(get_all(o->from, &size, sizeof(size)), 0);
		uint8_t *text = malloc(size + 1);
		assert_non_null(text);
		assert_int_equal(get_all(o->from, text, size), 0);
		assert_int_equal(size, want->len);
		assert_memory_equal(text, want->data, size);
		free(text);
	}
}

/* What a past state must not feel: longer and shorter values, other names */
static void do_more(banyan *db, unsigned n)
{
	static char bytes[70000];
	char path[64];
	banyan_data *d = NULL;
	memset(bytes, (int)n, sizeof(bytes));
	assert_int_equal(banyan_put(db, "long", bytes, 1000 * (n % 60), 0), 0);
	sprintf(path, "space/%u/key", n % 7);
	assert_int_equal(banyan_put(db, path, &n, sizeof(n), BANYAN_PARENTS),
			 0);
	assert_int_equal(banyan_put(db, "more", &n, sizeof(n), 0), 0);
	sprintf(path, "space/%u/moved", n % 5);
	assert_int_equal(banyan_put(db, path, "", 0, BANYAN_PARENTS), 0);
	assert_int_equal(banyan_rename(db, "more", path, 0), 0);
	assert_int_equal(banyan_find(db, path, &d), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(banyan_write(d, bytes, 300 + n, 0,
					      BANYAN_APPEND, NULL),
				 0);
	banyan_release(d, 1);
}

static void another_process_sees_the_past_unchanged_for_ever(void **in)
{
	struct past *s = *in;
	struct other o;
	struct buf want = BUF_INIT;
	int status = 0;
	assert_int_equal(banyan_close(s->db), 0);
	s->db = NULL;
	start_other(&o, s);
	assert_int_equal(banyan_open(s->path, NULL, &s->db), 0);
	for (unsigned n = 1; n <= 5; n++) {
		assert_int_equal(past_round(s->db, n), 0);
		do_more(s->db, n);
		assert_int_equal(banyan_freeze(s->db), 0);
	}
	assert_int_equal(dump_all(s->db, &want), 0);
	uint64_t number = past_last_freeze(s->db);
	assert_int_equal(send_all(o.to, &number, sizeof(number)), 0);
	for (unsigned n = 6; n < 31; n++) {
		/* It looks while this goes on, freeze included */
		assert_int_equal(send_all(o.to, "", 1), 0);
		assert_int_equal(past_round(s->db, n), 0);
		do_more(s->db, n);
		assert_int_equal(banyan_freeze(s->db), 0);
		assert_shows(&o, &want);
	}
	assert_true(past_last_freeze(s->db) >= number + 25);
	close(o.to);
	close(o.from);
	assert_int_equal(waitpid(o.pid, &status, 0), o.pid);
	assert_int_equal(status, 0);
	buf_free(&want);
}

/* ---- many at once ----------------------------------------------------- */

#define THREADS 8u
#define HANDLES 5u /* of each thread */
#define ROUNDS 150u
#define ROUNDS_MAX 3000u

struct crowd {
	const struct past *s;
	_Atomic unsigned round; /* done by the writer */
	_Atomic unsigned frozen; /* of these, a round and a freeze each: */
	unsigned rounds[ROUNDS_MAX];
	uint64_t numbers[ROUNDS_MAX];
	_Atomic bool stop;
	_Atomic unsigned opened[2]; /* present, past */
	_Atomic unsigned wrong;
	_Atomic uint64_t random;
};

struct look {
	banyan *db;
	unsigned round;
};

/* One that shows the present: a state between those before and after */
static int open_present(struct crowd *c, struct look *l)
{
	unsigned before = c->round;
	int rc = past_open(c->s, 0, &l->db);
	unsigned after = c->round + 1;
	if (rc)
		return rc;
	l->round = past_round_of(l->db);
	c->opened[0]++;
	return l->round < before || l->round > after ? -EUCLEAN : 0;
}

static int open_past(struct crowd *c, uint64_t *random, struct look *l)
{
	unsigned which = (unsigned)test_below(random, c->frozen);
	l->round = c->rounds[which];
	c->opened[1]++;
	return past_open(c->s, c->numbers[which], &l->db);
}

/* Whatever a handle has shown it shows for ever */
static void *open_and_look(void *arg)
{
	struct crowd *c = arg;
	struct look looks[HANDLES] = { { NULL, 0 } };
	uint64_t random = atomic_fetch_add(&c->random, 1);
	while (!c->stop && !c->wrong) {
		struct look *l = &looks[test_below(&random, HANDLES)];
		int rc = 0;
		if (!l->db)
			rc = c->frozen && test_below(&random, 3) ?
				     open_past(c, &random, l) :
				     open_present(c, l);
		if (rc || !past_is(l->db, l->round))
			c->wrong++;
		if (test_below(&random, 4) == 0) {
			banyan_close(l->db);
			l->db = NULL;
		}
	}
	for (unsigned i = 0; i < HANDLES; i++)
		banyan_close(looks[i].db);
	return NULL;
}

static void write_and_freeze(struct crowd *c)
{
	unsigned least = ROUNDS / test_one_in(10);
	for (unsigned n = 1; n < ROUNDS_MAX && !c->wrong; n++) {
		if (n > least && c->opened[0] > least && c->opened[1] > least)
			break;
		assert_int_equal(past_round(c->s->db, n), 0);
		c->round = n;
		if (n % 3)
			continue;
		assert_int_equal(banyan_freeze(c->s->db), 0);
		c->rounds[c->frozen] = n;
		c->numbers[c->frozen] = past_last_freeze(c->s->db);
		c->frozen++;
	}
	c->stop = true;
}

static void many_readers_of_many_states_beside_a_writer(void **in)
{
	struct crowd *c = calloc(1, sizeof(*c));
	pthread_t threads[THREADS];
	assert_non_null(c);
	c->s = *in;
	c->random = test_seed();
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, open_and_look, c), 0);
	write_and_freeze(c);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	print_message("%u rounds, %u freezes; opened: %u present, %u past\n",
		      c->round, c->frozen, c->opened[0], c->opened[1]);
	assert_int_equal(c->wrong, 0);
	assert_true(past_is(c->s->db, c->round));
	free(c);
}

/* ---- the present, opened again and again ------------------------------ */

struct openers {
	const struct past *s;
	_Atomic unsigned round; /* done by the writer */
	_Atomic bool stop;
	_Atomic unsigned opened;
	_Atomic unsigned wrong;
};

/* A handle shows a state between those before and after it was opened */
static void *open_and_look_thrice(void *arg)
{
	struct openers *c = arg;
	while (!c->stop) {
		void *value = NULL;
		size_t size = 0;
		banyan *db = NULL;
		unsigned before = c->round;
		if (past_open(c->s, 0, &db)) {
			c->wrong++;
			break;
		}
		unsigned after = c->round + 1;
		for (unsigned look = 0; look < 3; look++) {
			unsigned seen = 0;
			int rc = banyan_get(db, "round", &value, &size);
			if (rc == 0) {
				memcpy(&seen, value, sizeof(seen));
				free(value);
			}
			if (seen < before || seen > after)
				c->wrong++;
			before = after = seen; /* for ever */
		}
		banyan_close(db);
		c->opened++;
	}
	return NULL;
}

static void many_readers_open_beside_a_writer(void **in)
{
	struct openers c = { .s = *in };
	pthread_t threads[4];
	char bytes[20000] = { 0 };
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						open_and_look_thrice, &c),
				 0);
	for (unsigned n = 1; !c.wrong && (n <= 1500 || c.opened < 100); n++) {
		banyan *batch = NULL;
		assert_int_equal(banyan_begin(c.s->db, &batch), 0);
		assert_int_equal(banyan_put(batch, "round", &n, sizeof(n), 0),
				 0);
		assert_int_equal(banyan_put(batch, "bytes", bytes,
					    n % sizeof(bytes), 0),
				 0);
		assert_int_equal(banyan_commit(batch), 0);
		c.round = n;
		if (n % 100 == 0)
			assert_int_equal(banyan_freeze(c.s->db), 0);
	}
	c.stop = true;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	print_message("%u read-only opens beside the writer\n", c.opened);
}

static void what_is_in_memory_has_no_past(void **in)
{
	const struct banyan_options o = { .flags = BANYAN_READ_ONLY,
					  .freeze = 1 };
	banyan *db = NULL;
	(void)in;
	assert_int_equal(banyan_open(":memory:", &o, &db), -ENOENT);
	assert_null(db);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up_past, tear_down_past)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_freeze_can_be_opened_beside_the_writer),
		TEST(the_past_is_for_reading_only),
		TEST(a_freeze_that_is_not_there_is_not_found),
		cmocka_unit_test(what_is_in_memory_has_no_past),
		TEST(another_process_sees_the_past_unchanged_for_ever),
		TEST(many_readers_of_many_states_beside_a_writer),
		TEST(many_readers_open_beside_a_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
