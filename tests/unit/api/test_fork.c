/* SPDX-License-Identifier: MIT */
/*
 * A child of the process that has a database open: every call says -ECHILD and
 * writes nothing, a close returns and frees, and the parent goes on as if there
 * was no child, whatever its threads were about when it was made.
 */
#include "all_calls.h"
#include "api_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/handle.h"
#include "engine/freeze.h"
#include "model/held_data.h"
#include "tests/support/clock.h"
#include "tests/support/random.h"
#include "tests/support/slow_file.h"
#include "tests/support/temp.h"

#define CHILD_SECONDS 20

/* The thread sanitizer does not support threads that begin in a child, such as
 * that of a database which it opens */
#ifdef __SANITIZE_THREAD__
#define NEEDS_THREADS_IN_A_CHILD() skip()
#else
#define NEEDS_THREADS_IN_A_CHILD()
#endif

struct fixture {
	char dir[TEMP_MAX];
	char path[TEMP_FILE_MAX];
	banyan *db;
	struct subject s;
};

static int set_up(void **state)
{
	struct banyan_options o = { .flags = BANYAN_CREATE };
	struct fixture *x = calloc(1, sizeof(*x));
	*state = x;
	if (!x || temp_directory(x->dir, TEMP_IN_MEMORY))
		return -1;
	temp_path(x->path, x->dir, "db");
	if (banyan_open(x->path, &o, &x->db))
		return -1;
	subject_make(x->db);
	subject_take(&x->s, x->db);
	return 0;
}

/* What the parent does ends well, and the file is sound */
static int tear_down(void **state)
{
	struct fixture *x = *state;
	subject_give_back(&x->s);
	put(x->db, "last", "by the parent");
	int rc = banyan_close(x->db);
	if (!rc)
		rc = (int)banyan_check(x->path, NULL);
	if (!rc)
		rc = banyan_open(x->path, NULL, &x->db);
	if (!rc) {
		assert_key(x->db, "file", "a file");
		assert_key(x->db, "space/k", "in it");
		assert_key(x->db, "put", NULL);
		assert_key(x->db, "last", "by the parent");
		rc = banyan_close(x->db);
	}
	unlink(x->path);
	rmdir(x->dir);
	free(x);
	return rc;
}

/* ---- children --------------------------------------------------------- */

/* What it returns is what the child ends with; it must not take for ever */
static pid_t start_child(int (*run)(void *arg), void *arg)
{
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(CHILD_SECONDS);
	_exit(run(arg));
}

static bool child_ends_well(pid_t pid)
{
	int status = 0;
	if (waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status))
		print_error("the child ended by signal %d\n", WTERMSIG(status));
	else if (status)
		print_error("the child ended with %d\n", WEXITSTATUS(status));
	return status == 0;
}

static void expect_child(pid_t pid)
{
	assert_true(child_ends_well(pid));
}

static void in_child(int (*run)(void *arg), void *arg)
{
	expect_child(start_child(run, arg));
}

/* How many calls say something else */
static int try_calls(const struct subject *s)
{
	int wrong = 0;
	for (size_t i = 0; i < ALL_CALLS; i++) {
		int64_t rc = all_calls[i].run(s);
		if (rc == -ECHILD)
			continue;
		fprintf(stderr, "%s says %lld in a child\n", all_calls[i].name,
			(long long)rc);
		wrong++;
	}
	/* What says nothing, and what needs no database */
	char text[16];
	banyan_hold(s->file);
	banyan_release(s->file, 1);
	wrong += banyan_id(s->file) == 0;
	wrong += banyan_db(s->file) != s->db;
	wrong += banyan_root(s->db) == NULL;
	wrong += banyan_last_error(s->db, text, sizeof(text)) != 0;
	(void)banyan_read_only(s->db);
	return wrong;
}

static int call_all(void *arg)
{
	return try_calls(arg);
}

static int call_all_and_close(void *arg)
{
	struct subject *s = arg;
	int wrong = try_calls(s);
	banyan_scan_end(s->cursor);
	banyan_release(s->file, 1);
	banyan_release(s->space, 1);
	return wrong + (banyan_close(s->db) != 0);
}

struct bytes {
	uint8_t *p;
	size_t size;
	struct stat st;
};

static struct bytes bytes_of(const char *path)
{
	struct bytes b = { 0 };
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	OK(fstat(fd, &b.st));
	b.size = (size_t)b.st.st_size;
	b.p = malloc(b.size + 1);
	assert_non_null(b.p);
	assert_int_equal(read(fd, b.p, b.size + 1), b.size);
	close(fd);
	return b;
}

/* Not written to, nor shortened by what was allocated behind its end */
static void assert_bytes(struct bytes *was, const char *path)
{
	struct bytes now = bytes_of(path);
	assert_int_equal(now.size, was->size);
	assert_memory_equal(now.p, was->p, was->size);
	assert_int_equal(now.st.st_blocks, was->st.st_blocks);
	assert_int_equal(now.st.st_mtim.tv_sec, was->st.st_mtim.tv_sec);
	assert_int_equal(now.st.st_mtim.tv_nsec, was->st.st_mtim.tv_nsec);
	free(was->p);
	free(now.p);
}

/* ---- what a child is told --------------------------------------------- */

static void every_call_says_so_and_nothing_is_written(void **state)
{
	struct fixture *x = *state;
	struct bytes was = bytes_of(x->path);
	in_child(call_all, &x->s);
	in_child(call_all_and_close, &x->s);
	assert_bytes(&was, x->path);
	assert_key(x->db, "file", "a file");
}

static void so_it_does_of_views_and_of_what_is_read_only(void **state)
{
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	struct fixture *x = *state;
	struct subject s;
	banyan *handle = NULL;
	OK(banyan_view(x->db, &handle));
	subject_take(&s, handle);
	in_child(call_all_and_close, &s);
	subject_give_back(&s);
	OK(banyan_close(handle));
	OK(banyan_open(x->path, &o, &handle));
	subject_take(&s, handle);
	in_child(call_all_and_close, &s);
	subject_give_back(&s);
	OK(banyan_close(handle));
	OK(banyan_open(":memory:", NULL, &handle));
	subject_make(handle);
	subject_take(&s, handle);
	in_child(call_all_and_close, &s);
	subject_give_back(&s);
	OK(banyan_close(handle));
}

static int commit_it(void *arg)
{
	struct subject *s = arg;
	return try_calls(s) + (banyan_commit(s->db) != -ECHILD);
}

static int abort_it(void *arg)
{
	struct subject *s = arg;
	banyan_abort(s->db);
	return 0;
}

static int close_database(void *arg)
{
	struct fixture *x = arg;
	return banyan_close(x->db) != 0;
}

/* The batch is the parent's, who commits it */
static void an_open_batch_stays_as_it_is(void **state)
{
	struct fixture *x = *state;
	struct subject s;
	banyan *batch = NULL;
	OK(banyan_begin(x->db, &batch));
	put(batch, "in batch", "value");
	subject_take(&s, batch);
	struct bytes was = bytes_of(x->path);
	in_child(call_all, &s);
	in_child(call_all_and_close, &s);
	in_child(commit_it, &s);
	in_child(abort_it, &s);
	in_child(close_database, x);
	assert_bytes(&was, x->path);
	subject_give_back(&s);
	put(batch, "in batch too", "value");
	assert_key(x->db, "in batch", NULL);
	OK(banyan_commit(batch));
	assert_key(x->db, "in batch", "value");
}

static int call_all_in_a_grandchild(void *arg)
{
	int status = 0;
	pid_t pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0)
		_exit(call_all_and_close(arg));
	if (waitpid(pid, &status, 0) != pid || status)
		return 1;
	return call_all_and_close(arg);
}

static void a_grandchild_is_told_the_same(void **state)
{
	struct fixture *x = *state;
	in_child(call_all_in_a_grandchild, &x->s);
}

/* 500 values of the child's were appended at the parent's end of the log */
static int put_many(void *arg)
{
	struct fixture *x = arg;
	char value[200] = { 0 };
	int wrong = 0;
	for (unsigned i = 0; i < 500; i++)
		wrong += banyan_put(x->db, "put", value, sizeof(value), 0) !=
			 -ECHILD;
	wrong += banyan_sync(x->db) != -ECHILD;
	return wrong > 255 ? 255 : wrong;
}

static void the_parent_writes_on(void **state)
{
	struct fixture *x = *state;
	for (unsigned i = 0; i < 3; i++) {
		char path[16];
		in_child(put_many, x);
		for (unsigned n = 0; n < 5; n++) {
			sprintf(path, "p%u-%u", i, n);
			put(x->db, path, "of the parent");
		}
		OK(banyan_freeze(x->db));
	}
}

/* ---- who has the file ------------------------------------------------- */

static int close_and_try_to_open(void *arg)
{
	struct fixture *x = arg;
	struct banyan_options o = { .flags = BANYAN_READ_ONLY };
	banyan *db = NULL;
	int wrong = banyan_close(x->db) != 0;
	/* The parent has it still; but who only reads may come in */
	wrong += banyan_open(x->path, NULL, &db) != -EBUSY;
	wrong += banyan_holder(x->path) != getppid();
	if (banyan_open(x->path, &o, &db))
		return wrong + 1;
	wrong += banyan_put(db, "put", "x", 1, 0) != -EROFS;
	return wrong + (banyan_close(db) != 0);
}

static void the_lock_is_the_parents(void **state)
{
	struct fixture *x = *state;
	in_child(close_and_try_to_open, x);
	banyan *db = NULL;
	assert_int_equal(banyan_open(x->path, NULL, &db), -EBUSY);
}

struct gate {
	struct fixture *x;
	int pipe[2];
};

static int close_when_told(void *arg)
{
	struct gate *g = arg;
	char byte = 0;
	close(g->pipe[1]);
	if (read(g->pipe[0], &byte, 1) != 0)
		return 1;
	return call_all_and_close(&g->x->s);
}

/* Others may write to the file by then; they are not disturbed either */
static void a_child_may_close_after_the_parent(void **state)
{
	struct fixture *x = *state;
	struct gate g = { .x = x };
	OK(pipe(g.pipe));
	pid_t pid = start_child(close_when_told, &g);
	subject_give_back(&x->s);
	OK(banyan_close(x->db));
	OK(banyan_open(x->path, NULL, &x->db));
	put(x->db, "behind", "the close");
	struct bytes was = bytes_of(x->path);
	close(g.pipe[1]); /* that tells it */
	close(g.pipe[0]);
	expect_child(pid);
	assert_bytes(&was, x->path);
	banyan *second = NULL;
	assert_int_equal(banyan_open(x->path, NULL, &second), -EBUSY);
	assert_key(x->db, "behind", "the close");
	subject_take(&x->s, x->db);
}

/* As a program that becomes a daemon does it */
static int open_it_itself(void *arg)
{
	struct gate *g = arg;
	struct banyan_options o = { .flags = BANYAN_CREATE };
	char path[TEMP_FILE_MAX];
	banyan *db = NULL;
	temp_path(path, g->x->dir, "own");
	if (banyan_open(path, &o, &db))
		return 1;
	if (banyan_put(db, "a", "value", 5, 0) || banyan_freeze(db))
		return 2;
	if (banyan_put(g->x->db, "put", "x", 1, 0) != -ECHILD)
		return 3;
	if (banyan_close(g->x->db) || banyan_put(db, "b", "value", 5, 0) ||
	    banyan_close(db))
		return 4;
	return 0;
}

static void a_child_may_open_another_one(void **state)
{
	struct fixture *x = *state;
	struct gate g = { .x = x };
	char path[TEMP_FILE_MAX];
	banyan *db = NULL;
	NEEDS_THREADS_IN_A_CHILD();
	in_child(open_it_itself, &g);
	temp_path(path, x->dir, "own");
	OK(banyan_open(path, NULL, &db));
	assert_key(db, "a", "value");
	assert_key(db, "b", "value");
	OK(banyan_close(db));
	OK(unlink(path));
}

static int leave_a_child(void *arg)
{
	struct gate *g = arg;
	struct fixture *x = g->x;
	char path[TEMP_FILE_MAX];
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	temp_path(path, x->dir, "own");
	if (banyan_open(path, &o, &db) || banyan_put(db, "a", "value", 5, 0))
		return 1;
	pid_t pid = fork();
	if (pid)
		return pid < 0; /* and is gone, without a close */
	alarm(CHILD_SECONDS);
	banyan_close(db);
	pid = getpid();
	if (write(g->pipe[1], &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	pause(); /* until it is killed */
	_exit(0);
}

/* The parent has died, so nobody else can give back the lock but the child: it
 * does with its close, and need not end for that */
static void a_child_that_has_closed_keeps_nobody_out(void **state)
{
	struct fixture *x = *state;
	struct gate g = { .x = x };
	char path[TEMP_FILE_MAX];
	banyan *db = NULL;
	pid_t pid = 0;
	NEEDS_THREADS_IN_A_CHILD();
	OK(pipe(g.pipe));
	in_child(leave_a_child, &g);
	assert_int_equal(read(g.pipe[0], &pid, sizeof(pid)), sizeof(pid));
	temp_path(path, x->dir, "own");
	OK(banyan_open(path, NULL, &db));
	assert_key(db, "a", "value");
	OK(banyan_close(db));
	OK(unlink(path));
	OK(kill(pid, SIGKILL));
	close(g.pipe[0]);
	close(g.pipe[1]);
}

/* ---- beside threads of the parent ------------------------------------- */

struct busy {
	struct fixture *x;
	_Atomic bool stop;
	_Atomic unsigned wrong;
};

static void *write_on(void *arg)
{
	struct busy *b = arg;
	uint64_t random = 1;
	while (!b->stop) {
		char path[16];
		char value[300] = { 0 };
		sprintf(path, "w%u", (unsigned)test_below(&random, 500));
		int rc = test_below(&random, 4) ?
				 banyan_put(b->x->db, path, value,
					    test_below(&random, 300), 0) :
				 banyan_remove(b->x->db, path);
		if (rc && rc != -ENOENT)
			b->wrong++;
	}
	return NULL;
}

static void *sync_on(void *arg)
{
	struct busy *b = arg;
	while (!b->stop)
		if (banyan_sync(b->x->db))
			b->wrong++;
	return NULL;
}

static void *read_on(void *arg)
{
	struct busy *b = arg;
	while (!b->stop) {
		banyan_data *d = NULL;
		banyan_cursor *c = NULL;
		struct banyan_entry e;
		banyan *view = NULL;
		if (banyan_find(b->x->db, "space/k", &d) ||
		    banyan_view(b->x->db, &view) ||
		    banyan_scan(banyan_root(view), NULL, &c) ||
		    banyan_next(c, &e))
			b->wrong++;
		banyan_scan_end(c);
		banyan_close(view);
		banyan_release(d, 1);
	}
	return NULL;
}

/* Locks that threads of the parent have at that moment are nobody's business */
static void nothing_that_threads_are_about_stops_a_child(void **state)
{
	void *(*const work[])(void *) = { write_on, write_on, sync_on, sync_on,
					  read_on };
	struct fixture *x = *state;
	struct busy b = { .x = x };
	pthread_t thread[5];
	x->db->store->table_limit = 20000; /* the freezer has much to do */
	for (unsigned i = 0; i < 5; i++)
		OK(pthread_create(&thread[i], NULL, work[i], &b));
	unsigned rounds = 150 / test_one_in(10);
	bool well = true;
	for (unsigned i = 0; well && i < rounds; i++) {
		well = child_ends_well(start_child(call_all_and_close, &x->s));
		usleep(2000);
	}
	b.stop = true;
	for (unsigned i = 0; i < 5; i++)
		OK(pthread_join(thread[i], NULL));
	print_message("%llu freezes beside %u children\n",
		      (unsigned long long)stat_of(x->db).freezes, rounds);
	assert_true(well);
	assert_int_equal(b.wrong, 0);
	for (unsigned i = 0; i < 500; i++) {
		char path[16];
		sprintf(path, "w%u", i);
		(void)banyan_remove(x->db, path);
	}
}

static void *sync_once(void *arg)
{
	return banyan_sync(arg) ? NULL : arg;
}

static int close_it(void *arg)
{
	return banyan_close(arg) != 0;
}

/* Two threads sync: one of them waits for the other */
static void a_child_may_close_while_a_thread_waits_for_a_sync(void **state)
{
	const struct slow slow = { .sync_always = 700000 };
	struct banyan_options o = { 0 };
	struct file *below = NULL, *f = NULL;
	pthread_t thread[3];
	banyan *db = NULL;
	(void)state;
	OK(file_memory(&below));
	OK(slow_file_new(below, true, &slow, &f));
	OK(handle_open_file(f, &o, true, &db));
	put(db, "a", "value");
	for (unsigned i = 0; i < 3; i++)
		OK(pthread_create(&thread[i], NULL, sync_once, db));
	usleep(200000);
	bool well = child_ends_well(start_child(close_it, db));
	for (unsigned i = 0; i < 3; i++)
		OK(pthread_join(thread[i], NULL));
	assert_true(well);
	OK(banyan_close(db));
}

static void *find_it(void *arg)
{
	banyan_data *d = NULL;
	int rc = banyan_find(arg, "space/k", &d);
	banyan_release(d, 1);
	return rc ? NULL : arg;
}

/* A thread waits to hold what is just being deleted */
static void nor_need_it_wait_for_one_that_waits_for_a_delete(void **state)
{
	struct fixture *x = *state;
	struct held_table *t = &x->db->store->held;
	pthread_t thread;
	void *found = NULL;
	banyan_data *d = find(x->db, "space/k");
	uint64_t id = banyan_id(d);
	banyan_release(d, 1);
	assert_int_equal(held_close(t, id), 1);
	OK(pthread_create(&thread, NULL, find_it, x->db));
	usleep(100000);
	bool well = child_ends_well(start_child(close_database, x));
	held_reopen(t, id, 0, false);
	OK(test_join(thread, &found, 10));
	assert_true(well);
	assert_non_null(found);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_call_says_so_and_nothing_is_written),
		TEST(so_it_does_of_views_and_of_what_is_read_only),
		TEST(an_open_batch_stays_as_it_is),
		TEST(a_grandchild_is_told_the_same),
		TEST(the_parent_writes_on),
		TEST(the_lock_is_the_parents),
		TEST(a_child_may_close_after_the_parent),
		TEST(a_child_may_open_another_one),
		TEST(a_child_that_has_closed_keeps_nobody_out),
		TEST(nothing_that_threads_are_about_stops_a_child),
		TEST(nor_need_it_wait_for_one_that_waits_for_a_delete),
		cmocka_unit_test(
			a_child_may_close_while_a_thread_waits_for_a_sync),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
