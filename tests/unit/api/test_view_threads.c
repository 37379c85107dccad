/* SPDX-License-Identifier: MIT */
/*
 * Views that are made, used and closed by some threads while others write and
 * freeze: each shows whole operations, the same for as long as it is open, with
 * the counters of this moment. Also if a thread is stopped at any instruction.
 */
#include "api_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "api/handle.h"
#include "tests/support/random.h"

#define SUM_KEYS 40u
#define SUM 4000

struct scene {
	banyan *db;
	_Atomic bool stop;
	_Atomic unsigned wrong;
	_Atomic unsigned views;
};

static void *write_beside(void *arg)
{
	struct scene *s = arg;
	uint64_t random = 1;
	int numbers[SUM_KEYS];
	char path[16];
	for (unsigned i = 0; i < SUM_KEYS; i++)
		numbers[i] = SUM / SUM_KEYS;
	for (unsigned n = 1; !s->stop; n++) {
		unsigned from = (unsigned)test_below(&random, SUM_KEYS);
		unsigned to = (unsigned)test_below(&random, SUM_KEYS);
		banyan *batch = NULL;
		numbers[from]--;
		numbers[to]++;
		int rc = banyan_begin(s->db, &batch);
		if (rc)
			break;
		sprintf(path, "n%u", from);
		rc |= banyan_put(batch, path, &numbers[from], sizeof(int), 0);
		sprintf(path, "n%u", to);
		rc |= banyan_put(batch, path, &numbers[to], sizeof(int), 0);
		/* One key more or less, and the bytes of its value */
		if (n % 2)
			rc |= banyan_put(batch, "odd", "odd", 3, 0);
		else
			rc |= banyan_remove(batch, "odd");
		rc |= banyan_commit(batch);
		/* By itself, so that few operations go by between two views */
		rc |= banyan_rename(s->db, n % 2 ? "x" : "y", n % 2 ? "y" : "x",
				    0);
		if (rc)
			atomic_fetch_add(&s->wrong, 1);
	}
	return NULL;
}

static void *freeze_beside(void *arg)
{
	struct scene *s = arg;
	while (!s->stop) {
		if (banyan_freeze(s->db))
			atomic_fetch_add(&s->wrong, 1);
		usleep(3000);
	}
	return NULL;
}

/* The same each time: the sum, one of x and y, as many keys as are counted */
static bool look_at_view(banyan *view)
{
	struct banyan_range range = { .values = true };
	struct banyan_stat st = { 0 };
	struct banyan_entry e;
	banyan_cursor *c = NULL;
	unsigned keys = 0, moving = 0;
	uint64_t bytes = 0, last_id = 0;
	int sum = 0;
	if (banyan_scan(banyan_root(view), &range, &c))
		return false;
	while (banyan_next(c, &e) == 0) {
		int number = 0;
		keys++;
		bytes += e.attr.size;
		last_id = e.attr.id > last_id ? e.attr.id : last_id;
		moving += e.name[0] == 'x' || e.name[0] == 'y';
		if (e.name[0] == 'n')
			memcpy(&number, e.value, sizeof(number));
		sum += number;
	}
	banyan_scan_end(c);
	return sum == SUM && moving == 1 && !banyan_get_stat(view, &st) &&
	       st.keys == keys && st.live_bytes == bytes &&
	       st.next_id > last_id;
}

static void *view_beside(void *arg)
{
	struct scene *s = arg;
	while (!s->stop) {
		banyan *view = NULL;
		banyan *again = NULL;
		banyan_data *held = NULL;
		bool well = !banyan_view(s->db, &view);
		well = well && !banyan_view(view, &again);
		well = well && look_at_view(view) && look_at_view(again);
		well = well && (!banyan_find(again, "x", &held) ||
				!banyan_find(again, "y", &held));
		banyan_close(view);
		well = well && banyan_read(held, &view, 8, 0) == 1;
		well = well && look_at_view(again);
		banyan_release(held, 1);
		banyan_close(again);
		if (!well)
			atomic_fetch_add(&s->wrong, 1);
		atomic_fetch_add(&s->views, 1);
	}
	return NULL;
}

static void views_beside_writers_show_whole_operations(void **state)
{
	struct scene s = { .db = open_memory() };
	void *(*const work[])(void *) = { write_beside, freeze_beside,
					  view_beside, view_beside,
					  view_beside };
	pthread_t thread[5];
	int number = SUM / SUM_KEYS;
	(void)state;
	for (unsigned i = 0; i < SUM_KEYS; i++) {
		char path[16];
		sprintf(path, "n%u", i);
		OK(banyan_put(s.db, path, &number, sizeof(number), 0));
	}
	put(s.db, "x", "m");
	for (unsigned i = 0; i < 5; i++)
		OK(pthread_create(&thread[i], NULL, work[i], &s));
	usleep(getenv("BANYAN_LONG") ? 20000000 : 1500000);
	s.stop = true;
	for (unsigned i = 0; i < 5; i++)
		OK(pthread_join(thread[i], NULL));
	print_message("%u views\n", s.views);
	assert_int_equal(s.wrong, 0);
	assert_true(s.views > 100 / test_one_in(20));
	OK(banyan_close(s.db));
}

/* ---- stopped anywhere ------------------------------------------------- */

static void nap(int signal)
{
	const struct timespec pause = { .tv_nsec = 1500000 };
	(void)signal;
	nanosleep(&pause, NULL);
}

static void *swap_on(void *arg)
{
	struct scene *s = arg;
	int rc = 0;
	for (unsigned n = 0; !rc && !s->stop; n++) {
		rc = banyan_rename(s->db, n % 2 ? "b" : "a", n % 2 ? "a" : "b",
				   0);
		if (!rc)
			rc = n % 2 ? banyan_remove(s->db, "odd") :
				     banyan_put(s->db, "odd", "x", 1, 0);
	}
	if (rc)
		atomic_fetch_add(&s->wrong, 1);
	return NULL;
}

/* A view, and what is held of the database: both with the same steps */
static void *look_on(void *arg)
{
	struct scene *s = arg;
	banyan_data *held = NULL;
	struct banyan_attr attr;
	if (banyan_find(s->db, "a", &held))
		return NULL;
	while (!s->stop) {
		banyan *view = NULL;
		banyan_cursor *c = NULL;
		struct banyan_entry e;
		struct banyan_stat st = { 0 };
		unsigned keys = 0;
		bool well = !banyan_view(s->db, &view) &&
			    !banyan_get_stat(view, &st) &&
			    !banyan_scan(banyan_root(view), NULL, &c);
		while (well && banyan_next(c, &e) == 0)
			keys++;
		banyan_scan_end(c);
		banyan_close(view);
		for (unsigned i = 0; well && i < 20; i++)
			well = !banyan_get_attr(held, &attr);
		if (!well || st.keys != keys)
			atomic_fetch_add(&s->wrong, 1);
		atomic_fetch_add(&s->views, 1);
	}
	banyan_release(held, 1);
	return NULL;
}

/*
 * As on a busy machine, where a thread loses its processor in the middle of
 * something. Each operation swaps the redo tables, or waits for that: there is
 * time for it while the thread is stopped.
 */
static void a_thread_may_be_stopped_anywhere(void **state)
{
	struct scene s = { .db = open_memory() };
	struct sigaction stop = { .sa_handler = nap, .sa_flags = SA_RESTART };
	pthread_t writer, reader;
	unsigned stops = getenv("BANYAN_LONG") ? 12000 : 1200;
	(void)state;
	OK(sigaction(SIGUSR1, &stop, NULL));
	put(s.db, "a", "value");
	OK(pthread_create(&reader, NULL, look_on, &s));
	while (!s.views)
		usleep(1000);
	s.db->store->table_limit = 1;
	OK(pthread_create(&writer, NULL, swap_on, &s));
	for (unsigned i = 0; i < stops; i++) {
		OK(pthread_kill(reader, SIGUSR1));
		usleep(1700);
	}
	s.stop = true;
	OK(pthread_join(writer, NULL));
	OK(pthread_join(reader, NULL));
	print_message("%u views, %llu freezes\n", s.views,
		      (unsigned long long)stat_of(s.db).freezes);
	assert_int_equal(s.wrong, 0);
	assert_true(s.views > 100);
	OK(banyan_close(s.db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_beside_writers_show_whole_operations),
		cmocka_unit_test(a_thread_may_be_stopped_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
