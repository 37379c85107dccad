/* SPDX-License-Identifier: MIT */
/*
 * Threads that do all there is to do, to a few keys, with values that are written
 * once only: for what each of them saw there must be one order in which all of
 * it happened (linear.h). The redo table's limit is that of a few rows, so that
 * tables are swapped and merged all the time.
 *
 * It goes window by window, so that the search stays small: the threads do a few
 * operations each, and when all are done what there is now is looked at, in
 * which the order must end, and the next window begins.
 *
 * BANYAN_SEED gives the operations, not how the threads come to run.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../store/db.h"
#include "clock.h"
#include "linear.h"
#include "random.h"
#include "slow_file.h"
#include "temp.h"

#define THREADS_MAX 8u
#define TABLE_SMALL 10000u /* an empty one takes about half of it */
#define TABLE_CROWDED 100000u /* some hundred rows, in several blocks */
#define CROWD 1000u /* other keys */
#define SHORT_MS 900u /* a form may take; what is begun is finished */
#define LONG_MS 40000u
#define VALUE_MAX 20000u

struct form {
	unsigned threads;
	unsigned operations; /* of a thread in a window */
	bool local; /* a file on the disk, with read-only opens beside */
	bool crowded; /* other keys come and go, and tables are larger */
	struct slow slow;
};

struct run {
	const struct form *form;
	banyan *db;
	banyan_data *space[2]; /* the root, and "s" in it */
	struct file *below; /* of the slow file; NULL: it is on the disk */
	char directory[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	uint64_t seed;
	unsigned window;
	bool stop;
	_Atomic bool crowd_stop;
	uint64_t start; /* of the window, when all have come */
	pthread_barrier_t barrier;
	_Atomic unsigned failures;
	struct linear_op ops[LINEAR_OPS];
	struct linear_row rows[LINEAR_KEYS]; /* when the window began */
	size_t operations;
	size_t overlaps;
};

struct worker {
	struct run *run;
	unsigned number;
	uint64_t random;
	uint32_t values; /* given out so far */
	unsigned count; /* operations in this window */
	char bytes[VALUE_MAX + 1];
	pthread_t thread;
};

static const struct key {
	const char *path;
	const char *name;
	unsigned space;
} keys[LINEAR_KEYS] = {
	{ "k0", "k0", 0 },   { "k1", "k1", 0 },	  { "k2", "k2", 0 },
	{ "s/k3", "k3", 1 }, { "s/k4", "k4", 1 },
};

static unsigned number(struct worker *w, unsigned below)
{
	return (unsigned)test_below(&w->random, below);
}

static void wrong(struct run *r, const char *what, long long rc)
{
	if (atomic_fetch_add(&r->failures, 1) < 10)
		fprintf(stderr, "window %u: %s: %lld (%s)\n", r->window, what,
			rc, rc < 0 ? banyan_strerror((int)rc) : "");
}

/* ---- values ----------------------------------------------------------- */

/* In the row, in an extent, in two chunks */
static size_t size_of(uint32_t value)
{
	static const size_t sizes[] = { 8, 200, 600, VALUE_MAX };
	return sizes[value % 4];
}

static void fill(char *bytes, uint32_t value)
{
	for (size_t i = 0; i < size_of(value); i += sizeof(value)) {
		uint32_t word = i ? value * (uint32_t)(i + 1) : value;
		memcpy(bytes + i, &word, sizeof(word));
	}
}

/* Which value these bytes are: UINT32_MAX if they are none, or torn */
static uint32_t value_of(const void *bytes, ssize_t size)
{
	char want[VALUE_MAX];
	uint32_t value = 0;
	if (size < (ssize_t)sizeof(value))
		return UINT32_MAX;
	memcpy(&value, bytes, sizeof(value));
	if ((size_t)size != size_of(value))
		return UINT32_MAX;
	fill(want, value);
	return memcmp(want, bytes, (size_t)size) == 0 ? value : UINT32_MAX;
}

static uint32_t new_value(struct worker *w, unsigned class)
{
	uint32_t n = ++w->values * THREADS_MAX + w->number;
	return n * 4 + class;
}

/* ---- steps ------------------------------------------------------------ */

static banyan_data *space_of(const struct run *r, unsigned key)
{
	return r->space[keys[key].space];
}

static void get(struct worker *w, struct linear_step *t)
{
	const struct key *k = &keys[t->key];
	ssize_t n = 0;
	if (number(w, 2)) {
		void *bytes = NULL;
		size_t size = 0;
		t->rc = banyan_get(w->run->db, k->path, &bytes, &size);
		n = t->rc ? t->rc : (ssize_t)size;
		t->value = t->rc ? 0 : value_of(bytes, n);
		free(bytes);
		return;
	}
	n = banyan_fetch(space_of(w->run, t->key), k->name, 2, w->bytes,
			 VALUE_MAX + 1);
	t->rc = n < 0 ? (int)n : 0;
	t->value = n < 0 ? 0 : value_of(w->bytes, n);
}

static void put(struct worker *w, struct linear_step *t)
{
	t->value = new_value(w, number(w, 4));
	fill(w->bytes, t->value);
	t->rc = banyan_put(w->run->db, keys[t->key].path, w->bytes,
			   size_of(t->value), 0);
}

/* data NULL: nobody is interested, and the id is learnt from others */
static void insert(struct worker *w, struct linear_step *t, banyan_data **data)
{
	t->value = new_value(w, number(w, 4));
	fill(w->bytes, t->value);
	struct banyan_new make = { .mode = S_IFREG | 0600,
				   .value = w->bytes,
				   .size = size_of(t->value) };
	t->rc = banyan_insert(space_of(w->run, t->key), keys[t->key].name, 2,
			      &make, data);
	if (!t->rc && data)
		t->id = banyan_id(*data);
}

static void delete_key(struct worker *w, struct linear_step *t,
		       banyan_data **data)
{
	t->rc = data ? banyan_delete(space_of(w->run, t->key),
				     keys[t->key].name, 2, 0, data) :
		       banyan_remove(w->run->db, keys[t->key].path);
	if (!t->rc && data)
		t->id = banyan_id(*data);
}

static void rename_key(struct worker *w, struct linear_step *t)
{
	static const unsigned flags[] = { 0, 0, BANYAN_NO_REPLACE,
					  BANYAN_EXCHANGE };
	t->flags = flags[number(w, 4)];
	t->rc = banyan_move(space_of(w->run, t->key), keys[t->key].name, 2,
			    space_of(w->run, t->to), keys[t->to].name, 2,
			    t->flags);
}

/* One of the steps that a batch can have, too */
static void do_step(struct worker *w, struct linear_step *t)
{
	static const enum linear_kind kinds[] = {
		LINEAR_GET,    LINEAR_GET,    LINEAR_GET,    LINEAR_PUT,
		LINEAR_PUT,    LINEAR_INSERT, LINEAR_REMOVE, LINEAR_RENAME,
		LINEAR_RENAME, LINEAR_ALIAS,
	};
	t->kind = kinds[number(w, sizeof(kinds) / sizeof(*kinds))];
	t->key = number(w, LINEAR_KEYS);
	t->to = number(w, LINEAR_KEYS);
	if (t->kind == LINEAR_GET)
		get(w, t);
	else if (t->kind == LINEAR_PUT)
		put(w, t);
	else if (t->kind == LINEAR_INSERT)
		insert(w, t, NULL);
	else if (t->kind == LINEAR_REMOVE)
		delete_key(w, t, NULL);
	else if (t->kind == LINEAR_RENAME)
		rename_key(w, t);
	else
		t->rc = banyan_alias(w->run->db, keys[t->key].path,
				     keys[t->to].path);
}

static void breathe(struct worker *w)
{
	if (number(w, 4) == 0)
		sched_yield();
	if (number(w, 64) == 0)
		usleep(number(w, 300));
}

/* ---- operations ------------------------------------------------------- */

/* The next operation of this window, begun; its one step is made ready */
static struct linear_op *begin(struct worker *w)
{
	struct run *r = w->run;
	unsigned at = w->number * r->form->operations + w->count++;
	struct linear_op *op = &r->ops[at];
	breathe(w);
	*op = (struct linear_op){ .thread = w->number, .count = 1 };
	op->begin = test_now();
	return op;
}

static bool room(const struct worker *w)
{
	return w->count < w->run->form->operations;
}

static void end(struct worker *w, struct linear_op *op)
{
	op->end = test_now();
	for (unsigned i = 0; i < op->count; i++) {
		int rc = op->step[i].rc;
		if (rc && rc != -ENOENT && rc != -EEXIST)
			wrong(w->run, "an operation", rc);
		if (op->step[i].value == UINT32_MAX)
			wrong(w->run, "a torn value", 0);
	}
}

static void batch(struct worker *w)
{
	struct linear_op *op = begin(w);
	int rc = banyan_begin(w->run->db);
	if (rc)
		wrong(w->run, "a batch", rc);
	op->count = 2 + number(w, LINEAR_STEPS - 1);
	op->aborted = number(w, 4) == 0;
	for (unsigned i = 0; i < op->count; i++) {
		do_step(w, &op->step[i]);
		breathe(w);
	}
	if (op->aborted)
		banyan_abort(w->run->db);
	else
		rc = banyan_commit(w->run->db);
	if (rc)
		wrong(w->run, "a commit", rc);
	end(w, op);
}

/* One thing that is done to a Data that is held */
static void use(struct worker *w, banyan_data *d)
{
	struct banyan_attr attr = { 0 };
	struct linear_op *op = begin(w);
	struct linear_step *t = &op->step[0];
	t->id = banyan_id(d);
	t->kind = LINEAR_READ + number(w, 4);
	if (t->kind == LINEAR_READ) {
		ssize_t n = banyan_read(d, w->bytes, VALUE_MAX + 1, 0);
		t->rc = n < 0 ? (int)n : 0;
		t->value = n < 0 ? 0 : value_of(w->bytes, n);
	} else if (t->kind == LINEAR_WRITE) {
		/* The longest, so that nothing is left of another */
		t->value = new_value(w, 3);
		fill(w->bytes, t->value);
		t->rc = banyan_write(d, w->bytes, VALUE_MAX, 0, 0, NULL);
	} else if (t->kind == LINEAR_LINKS) {
		t->rc = banyan_get_attr(d, &attr);
		t->links = attr.nlink;
	} else {
		t->to = number(w, LINEAR_KEYS);
		t->rc = banyan_insert_data(space_of(w->run, t->to),
					   keys[t->to].name, 2, d);
	}
	end(w, op);
}

/* Come to hold a Data, use it, let it go */
static void hold(struct worker *w)
{
	static const enum linear_kind kinds[] = { LINEAR_SEARCH, LINEAR_SEARCH,
						  LINEAR_INSERT,
						  LINEAR_REMOVE };
	banyan_data *d = NULL;
	struct linear_op *op = begin(w);
	struct linear_step *t = &op->step[0];
	t->kind = kinds[number(w, 4)];
	t->key = number(w, LINEAR_KEYS);
	if (t->kind == LINEAR_INSERT)
		insert(w, t, &d);
	else if (t->kind == LINEAR_REMOVE)
		delete_key(w, t, &d);
	else
		t->rc = banyan_search(space_of(w->run, t->key),
				      keys[t->key].name, 2, &d);
	if (t->kind == LINEAR_SEARCH && !t->rc)
		t->id = banyan_id(d);
	end(w, op);
	for (unsigned n = number(w, 4); d && n && room(w); n--)
		use(w, d);
	banyan_release(d, 1);
}

/* ---- scans ------------------------------------------------------------ */

static void add_row(struct run *r, struct linear_row *rows,
		    const struct banyan_entry *e)
{
	for (unsigned k = 0; k < LINEAR_KEYS; k++) {
		if (strcmp(keys[k].name, e->name) != 0)
			continue;
		if (rows[k].value)
			wrong(r, "a key twice in a scan", k);
		rows[k].value = value_of(e->value, (ssize_t)e->attr.size);
		rows[k].id = e->attr.id;
		rows[k].links = e->attr.nlink;
		if (rows[k].value == UINT32_MAX)
			wrong(r, "a torn value in a scan", k);
	}
}

/* w NULL: at once. Else the cursor is made, and others go on; *made: when. */
static void scan_space(struct run *r, struct worker *w, banyan_data *space,
		       struct linear_row *rows, uint64_t *made)
{
	struct banyan_range range = { .values = true,
				      .reverse = w && number(w, 2) };
	banyan_cursor *cursor = NULL;
	struct banyan_entry e;
	int rc = banyan_scan(space, &range, &cursor);
	*made = test_now();
	while (!rc) {
		if (w)
			breathe(w);
		rc = banyan_next(cursor, &e);
		if (!rc && e.len == 2)
			add_row(r, rows, &e);
	}
	if (rc < 0)
		wrong(r, "a scan", rc);
	banyan_scan_end(cursor);
}

static unsigned keys_in(unsigned space)
{
	unsigned bits = 0;
	for (unsigned k = 0; k < LINEAR_KEYS; k++)
		bits |= (unsigned)(keys[k].space == space) << k;
	return bits;
}

static void scan(struct worker *w)
{
	struct linear_op *op = begin(w);
	unsigned space = number(w, 2);
	op->step[0].kind = LINEAR_SCAN;
	op->keys = keys_in(space);
	scan_space(w->run, w, w->run->space[space], op->rows, &op->end);
}

/* All keys, of a database that nobody changes any more */
static void scan_all(struct run *r, banyan *db, struct linear_row *rows)
{
	banyan_data *s = NULL;
	uint64_t made = 0;
	memset(rows, 0, sizeof(*rows) * LINEAR_KEYS);
	int rc = banyan_find(db, "s", &s);
	if (rc)
		wrong(r, "the key space", rc);
	if (rc)
		return;
	scan_space(r, NULL, banyan_root(db), rows, &made);
	scan_space(r, NULL, s, rows, &made);
	banyan_release(s, 1);
}

/*
 * What a further open, to read only, finds beside the writers. It may see what
 * the writer has written and those who read beside it see a moment later.
 */
static void open_beside(struct worker *w)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY,
				    .cache_bytes = BANYAN_CACHE_MIN };
	banyan *db = NULL;
	struct linear_op *op = begin(w);
	op->step[0].kind = LINEAR_SCAN;
	op->keys = (1u << LINEAR_KEYS) - 1;
	op->beside = true;
	int rc = banyan_open(w->run->path, &o, &db);
	op->end = test_now();
	if (rc)
		wrong(w->run, "a read-only open", rc);
	if (!rc)
		scan_all(w->run, db, op->rows);
	banyan_close(db);
}

/* ---- windows ---------------------------------------------------------- */

static void disturb(struct worker *w)
{
	banyan *db = w->run->db;
	int rc = number(w, 6) ? banyan_sync(db) : banyan_freeze(db);
	if (rc)
		wrong(w->run, "a sync or a freeze", rc);
}

static void do_operation(struct worker *w)
{
	unsigned dice = number(w, 100);
	if (dice < 4) {
		disturb(w);
	} else if (dice < 14) {
		batch(w);
	} else if (dice < 26) {
		scan(w);
	} else if (dice < 28 && w->run->form->local) {
		open_beside(w);
	} else if (dice < 50) {
		hold(w);
	} else {
		struct linear_op *op = begin(w);
		do_step(w, &op->step[0]);
		end(w, op);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct run *r = w->run;
	for (;;) {
		pthread_barrier_wait(&r->barrier);
		if (r->stop)
			return NULL;
		w->random = r->seed + r->window * 1000003ull + w->number * 7919;
		w->count = 0;
		/* They do not wake up at once, and are done in no time */
		while (test_now() < r->start)
			sched_yield();
		while (room(w))
			do_operation(w);
		pthread_barrier_wait(&r->barrier);
	}
}

/*
 * All the time keys that nobody asks for come between those that count, and go:
 * the blocks of the redo table are shifted and split under those who read.
 */
static void *crowd(void *arg)
{
	struct run *r = arg;
	uint64_t random = r->seed;
	while (!r->crowd_stop) {
		char path[32] = "";
		int rc = banyan_begin(r->db);
		for (unsigned i = 0; i < 30 && !rc; i++) {
			unsigned n = (unsigned)test_below(&random, CROWD);
			snprintf(path, sizeof(path), "%s-%u",
				 keys[n % LINEAR_KEYS].path, n);
			rc = test_below(&random, 3) ?
				     banyan_put(r->db, path, path, 9, 0) :
				     banyan_remove(r->db, path);
			rc = rc == -ENOENT ? 0 : rc;
		}
		if (!rc)
			rc = banyan_commit(r->db);
		if (rc) {
			wrong(r, "the crowd", rc);
			break;
		}
		/* The lock is not fair: let others have it, too */
		usleep(200);
	}
	return NULL;
}

/* How many operations were not alone */
static size_t overlaps(const struct linear_op *ops, size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++) {
		bool alone = true;
		for (size_t j = 0; j < count; j++)
			if (j != i && ops[j].begin <= ops[i].end &&
			    ops[i].begin <= ops[j].end)
				alone = false;
		n += !alone;
	}
	return n;
}

/* All threads are done: does an order lead to what there is now? */
static void judge(struct run *r)
{
	size_t count = (size_t)r->form->threads * r->form->operations;
	struct linear_op *last = &r->ops[count];
	*last = (struct linear_op){ .thread = r->form->threads, .count = 1 };
	last->step[0].kind = LINEAR_SCAN;
	last->keys = (1u << LINEAR_KEYS) - 1;
	last->begin = test_now();
	scan_all(r, r->db, last->rows);
	last->end = test_now();
	enum linear_verdict v =
		linear_check(r->rows, r->ops, count + 1, stderr);
	if (v != LINEAR_YES)
		wrong(r, v == LINEAR_NO ? "no order" : "too long a search", 0);
	memcpy(r->rows, last->rows, sizeof(r->rows));
	r->operations += count;
	r->overlaps += overlaps(r->ops, count);
}

static void run_windows(struct run *r)
{
	struct worker *w = calloc(r->form->threads, sizeof(*w));
	pthread_t other;
	uint64_t limit = getenv("BANYAN_LONG") ? LONG_MS : SHORT_MS;
	limit *= test_one_in(3); /* the other way round: it is slow there */
	uint64_t until = test_now() + limit * TEST_MS;
	assert_non_null(w);
	pthread_barrier_init(&r->barrier, NULL, r->form->threads + 1);
	for (unsigned i = 0; i < r->form->threads; i++) {
		w[i].run = r;
		w[i].number = i;
		assert_int_equal(
			pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	if (r->form->crowded)
		assert_int_equal(pthread_create(&other, NULL, crowd, r), 0);
	while (!r->failures && (test_now() < until || r->window < 5)) {
		r->start = test_now() + r->form->threads * 20000;
		pthread_barrier_wait(&r->barrier);
		pthread_barrier_wait(&r->barrier);
		judge(r);
		r->window++;
	}
	r->stop = true;
	pthread_barrier_wait(&r->barrier);
	for (unsigned i = 0; i < r->form->threads; i++)
		pthread_join(w[i].thread, NULL);
	r->crowd_stop = true;
	if (r->form->crowded)
		pthread_join(other, NULL);
	pthread_barrier_destroy(&r->barrier);
	free(w);
}

/* ---- the database ----------------------------------------------------- */

/* Its file, slowed down; of memory, it outlives the database */
static struct file *get_file(struct run *r, bool fresh)
{
	struct file *below = r->below;
	struct file *f = NULL;
	struct slow slow = r->form->slow;
	if (r->form->local && fresh)
		assert_int_equal(file_create(r->path, 0600, &below), 0);
	else if (r->form->local)
		assert_int_equal(file_open(r->path, true, &below), 0);
	else if (fresh)
		assert_int_equal(file_memory(&below), 0);
	if (!r->form->local)
		r->below = below;
	slow.seed = r->seed;
	assert_int_equal(slow_file_new(below, r->form->local, &slow, &f), 0);
	return f;
}

static void open_database(struct run *r, bool fresh)
{
	struct banyan_options o = { .cache_bytes = BANYAN_CACHE_MIN };
	assert_int_equal(db_open_file(get_file(r, fresh), &o, fresh, &r->db),
			 0);
	r->db->table_limit = r->form->crowded ? TABLE_CROWDED : TABLE_SMALL;
	if (fresh)
		assert_int_equal(banyan_make_space(r->db, "s", 0), 0);
	r->space[0] = banyan_root(r->db);
	assert_int_equal(banyan_find(r->db, "s", &r->space[1]), 0);
}

static void close_database(struct run *r)
{
	banyan_release(r->space[1], 1);
	assert_int_equal(banyan_close(r->db), 0);
	r->db = NULL;
}

static void set_up(struct run *r, const struct form *form)
{
	*r = (struct run){ .form = form, .seed = test_seed() };
	if (!form->local)
		return;
	assert_int_equal(temp_directory(r->directory, TEMP_ON_DISK), 0);
	temp_path(r->path, r->directory, "db");
}

static void tear_down(struct run *r)
{
	file_close(r->below);
	if (!r->form->local)
		return;
	struct banyan_check check = { 0 };
	assert_int_equal(banyan_check(r->path, &check), 0);
	unlink(r->path);
	rmdir(r->directory);
}

static void run(const struct form *form)
{
	struct run r;
	struct banyan_stat stat;
	struct linear_row rows[LINEAR_KEYS];
	set_up(&r, form);
	open_database(&r, true);
	run_windows(&r);
	assert_int_equal(banyan_get_stat(r.db, &stat), 0);
	close_database(&r);
	assert_int_equal(r.failures, 0);
	open_database(&r, false);
	scan_all(&r, r.db, rows);
	close_database(&r);
	assert_int_equal(r.failures, 0);
	assert_memory_equal(rows, r.rows, sizeof(rows));
	tear_down(&r);
	print_message("%u threads: %u windows, %zu operations, %zu of them at "
		      "the same time as others, %llu freezes\n",
		      form->threads, r.window, r.operations, r.overlaps,
		      (unsigned long long)stat.freezes);
	/* Or else this has not shown much */
	assert_true(stat.freezes > r.window / 10);
	assert_true(r.overlaps > r.operations / 50);
}

/* ---- tests ------------------------------------------------------------ */

static void two_threads_in_memory(void **state)
{
	(void)state;
	run(&(struct form){ .threads = 2, .operations = 25 });
}

static void four_threads_in_memory(void **state)
{
	(void)state;
	run(&(struct form){ .threads = 4, .operations = 12 });
}

static void eight_threads_in_memory(void **state)
{
	(void)state;
	run(&(struct form){ .threads = 8, .operations = 6 });
}

static void four_threads_in_a_crowd(void **state)
{
	(void)state;
	run(&(struct form){ .threads = 4, .operations = 12, .crowded = true });
}

static void three_threads_on_a_disk(void **state)
{
	(void)state;
	run(&(struct form){ .threads = 3, .operations = 16, .local = true });
}

static void five_threads_on_a_slow_disk(void **state)
{
	(void)state;
	run(&(struct form){
		.threads = 5,
		.operations = 10,
		.local = true,
		.slow = { .append = 200, .read = 200, .sync = 2000 } });
}

static void eight_threads_in_slow_memory(void **state)
{
	(void)state;
	run(&(struct form){
		.threads = 8,
		.operations = 6,
		.slow = { .append = 300, .read = 300, .sync = 3000 } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_in_memory),
		cmocka_unit_test(four_threads_in_memory),
		cmocka_unit_test(eight_threads_in_memory),
		cmocka_unit_test(four_threads_in_a_crowd),
		cmocka_unit_test(three_threads_on_a_disk),
		cmocka_unit_test(five_threads_on_a_slow_disk),
		cmocka_unit_test(eight_threads_in_slow_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
