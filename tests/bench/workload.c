/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meter.h"
#include "values.h"

#define MIB (1 << 20)
#define OPENS 5 /* the median of so many */
#define PROBES 200
#define SAMPLE_EVERY 64 /* batches */

const struct task_type task_types[TASKS] = {
	[PROBE] = { "probe", "the disk: append, sync", "ms", false },
	[LOAD] = { "load", "load", "kop/s", true },
	[LOAD_WRITES] = { "load-writes", "load: bytes written", "/byte",
			  false },
	[LOAD_SIZE] = { "load-size", "load: files", "/byte", false },
	[LOAD_MEMORY] = { "load-memory", "load: peak memory", "MiB", false },
	[OPEN_FIRST] = { "open-first", "open and read, first", "ms", false },
	[OPEN_AGAIN] = { "open", "open and read, again", "ms", false },
	[GET] = { "get", "random reads", "kop/s", true },
	[GET_THREADS] = { "get-threads", "random reads, threads", "kop/s",
			  true },
	[SCAN] = { "scan", "scan, keys and values", "kop/s", true },
	[SCAN_KEYS] = { "scan-keys", "scan, keys", "kop/s", true },
	[SINGLE] = { "single", "single durable inserts", "kop/s", true },
	[OVERWRITE] = { "overwrite", "overwrite, random", "kop/s", true },
	[DELETE] = { "delete", "delete, random", "kop/s", true },
	[MEMORY] = { "memory", "peak memory", "MiB", false },
	[MEMORY_ANONYMOUS] = { "memory-anon", "  of it anonymous", "MiB",
			       false },
};

#define LOAD_TASKS                                                        \
	(1u << PROBE | 1u << LOAD | 1u << LOAD_WRITES | 1u << LOAD_SIZE | \
	 1u << LOAD_MEMORY)
#define READ_TASKS                                                             \
	(1u << OPEN_FIRST | 1u << OPEN_AGAIN | 1u << GET | 1u << GET_THREADS | \
	 1u << SCAN | 1u << SCAN_KEYS | 1u << MEMORY | 1u << MEMORY_ANONYMOUS)
#define WRITE_TASKS (1u << SINGLE | 1u << OVERWRITE | 1u << DELETE)

const struct plan plans[PLANS] = {
	{ "in-order", "Loaded in key order, each batch durable", true, true,
	  LOAD_TASKS | READ_TASKS },
	{ "random", "Loaded in random order, each batch durable", false, true,
	  LOAD_TASKS | READ_TASKS | WRITE_TASKS },
	{ "in-order-nosync", "Loaded in key order, batches not durable", true,
	  false, LOAD_TASKS },
	{ "random-nosync", "Loaded in random order, batches not durable", false,
	  false, LOAD_TASKS },
};

struct run {
	const struct engine *e;
	const struct plan *plan;
	const struct amounts *a;
	struct set_up how;
	unsigned tasks;
	void *store; /* NULL while it is closed */
	char *value; /* to be stored */
	uint64_t batches;
	double *figures;
};

static bool wanted(const struct run *r, enum task task)
{
	return r->tasks & 1u << task;
}

/* count operations since began, as thousands a second */
static void set_rate(struct run *r, enum task task, uint64_t count,
		     double began)
{
	if (wanted(r, task))
		r->figures[task] = (double)count / (now() - began) / 1000;
}

static void open_store(struct run *r)
{
	r->store = r->e->open(&r->how);
}

static void close_store(struct run *r)
{
	r->e->close(r->store);
	r->store = NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct check expect(const struct run *r, unsigned version)
{
	return (struct check){ .engine = r->e->name,
			       .value_size = r->a->value_size,
			       .version = version };
}

/* ---- writing ---------------------------------------------------------- */

static void insert(struct run *r, const char *key)
{
	make_value(r->value, r->a->value_size, key, 0);
	r->e->insert(r->store, key, r->value);
}

static void update(struct run *r, const char *key)
{
	make_value(r->value, r->a->value_size, key, 1);
	r->e->update(r->store, key, r->value);
}

static void delete (struct run *r, const char *key)
{
	r->e->remove(r->store, key);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* A step that visits each of count numbers, scattered, before one again */
static uint64_t scattering_step(uint64_t count)
{
	uint64_t step = (uint64_t)((double)count * 0.618) + 1;

	while (common_divisor(count, step) != 1)
		step++;
	return step;
}

/* Change each of the first count keys, in batches, in the order of loading or
 * one that has nothing to do with it */
static void change(struct run *r, uint64_t count, bool scatter,
		   void (*one)(struct run *r, const char *key))
{
	uint64_t step = scatter ? scattering_step(count) : 1;
	uint64_t n = 0;
	char key[KEY_SIZE];

	for (uint64_t i = 0; i < count; i += BATCH) {
		r->e->begin(r->store);
		for (uint64_t j = i; j < i + BATCH && j < count; j++) {
			make_key(key, r->plan->ordered, n);
			one(r, key);
			n = (n + step) % count;
		}
		r->e->commit(r->store);
		if (++r->batches % SAMPLE_EVERY == 0)
			peak_sample();
	}
}

/*
 * How long a small durable append takes by itself. Where this differs between
 * engines it was not they who were slow, but something else was busy.
 */
static void probe_disk(struct run *r)
{
	static const char block[4096];
	char *path = path_in(r->how.dir, "probe");
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	double began = now();

	for (int i = 0; i < PROBES; i++)
		if (write(fd, block, sizeof(block)) != sizeof(block) ||
		    fdatasync(fd) < 0)
			die("%s: %s", path, strerror(errno));
	r->figures[PROBE] = (now() - began) * 1000 / PROBES;
	close(fd);
	unlink(path);
	free(path);
}

/* All counts from open to close, as only then all have done their work */
static void load(struct run *r)
{
	double bytes = (double)(r->a->keys * (KEY_SIZE + r->a->value_size));
	uint64_t before = bytes_written();
	double began = now();

	open_store(r);
	change(r, r->a->keys, false, insert);
	close_store(r);
	set_rate(r, LOAD, r->a->keys, began);

	r->figures[LOAD_WRITES] = (double)(bytes_written() - before) / bytes;
	r->figures[LOAD_SIZE] = (double)size_of_files(r->how.dir) / bytes;
	r->figures[LOAD_MEMORY] = (double)peak_get().resident / MIB;
}

/* Are these keys there, with values of this version? Not measured. */
static void verify(struct run *r, uint64_t first, uint64_t count, uint64_t step,
		   unsigned version)
{
	struct check check = expect(r, version);
	void *reader = r->e->reader(r->store);
	char key[KEY_SIZE];

	for (uint64_t i = 0; i < count; i += step) {
		make_key(key, r->plan->ordered, first + i);
		r->e->get(reader, key, &check);
	}
	r->e->reader_end(reader);
}

static void insert_singly(struct run *r)
{
	char key[KEY_SIZE];
	double began = now();

	for (uint64_t i = 0; i < r->a->singles; i++) {
		make_key(key, r->plan->ordered, r->a->keys + i);
		make_value(r->value, r->a->value_size, key, 0);
		r->e->single(r->store, key, r->value);
	}
	set_rate(r, SINGLE, r->a->singles, began);
	verify(r, r->a->keys, r->a->singles, 1, 0);
}

/* Both count to the end of close */
static void overwrite(struct run *r)
{
	uint64_t count = least(r->a->keys, r->a->most);
	double began = now();

	change(r, count, true, update);
	close_store(r);
	set_rate(r, OVERWRITE, count, began);
	open_store(r);
	verify(r, 0, count, 7, 1);
}

static uint64_t scan(struct run *r, bool values);

static void delete_keys(struct run *r)
{
	uint64_t count = least(r->a->keys, r->a->most);
	uint64_t left = r->a->keys - count;
	double began = now();

	if (wanted(r, SINGLE))
		left += r->a->singles;
	change(r, count, true, delete);
	close_store(r);
	set_rate(r, DELETE, count, began);
	open_store(r);
	if (scan(r, false) != left)
		die("%s: keys are left, or too many gone", r->e->name);
}

/* ---- reading ---------------------------------------------------------- */

struct thread {
	pthread_t id;
	pthread_barrier_t *start;
	struct run *run;
	uint64_t seed;
	uint64_t count;
};

static void read_random(struct run *r, void *reader, uint64_t seed,
			uint64_t count)
{
	struct check check = expect(r, 0);
	char key[KEY_SIZE];

	for (uint64_t i = 0; i < count; i++) {
		make_key(key, r->plan->ordered, mix(seed + i) % r->a->keys);
		r->e->get(reader, key, &check);
	}
	if (check.count != count)
		die("%s: %ju values instead of %ju", r->e->name,
		    (uintmax_t)check.count, (uintmax_t)count);
}

static void *read_in_thread(void *arg)
{
	struct thread *t = arg;
	void *reader = t->run->e->reader(t->run->store);

	/* A reader may have a cache, or a map of the file, of its own */
	read_random(t->run, reader, t->seed, t->count);
	pthread_barrier_wait(t->start);
	read_random(t->run, reader, t->seed, t->count);
	t->run->e->reader_end(reader);
	return NULL;
}

static void get_in_threads(struct run *r)
{
	uint64_t share = least(r->a->keys, r->a->most) / r->a->threads;
	struct thread *threads = make_zeroed(r->a->threads * sizeof(*threads));
	pthread_barrier_t start;
	double began;

	pthread_barrier_init(&start, NULL, r->a->threads + 1);
	for (unsigned i = 0; i < r->a->threads; i++) {
		threads[i] = (struct thread){ .start = &start,
					      .run = r,
					      .seed = (i + 2ull) << 40,
					      .count = share };
		if (pthread_create(&threads[i].id, NULL, read_in_thread,
				   &threads[i]) != 0)
			die("cannot make threads");
	}
	pthread_barrier_wait(&start);
	began = now();
	for (unsigned i = 0; i < r->a->threads; i++)
		pthread_join(threads[i].id, NULL);
	set_rate(r, GET_THREADS, share * r->a->threads, began);
	pthread_barrier_destroy(&start);
	free(threads);
}

static void get(struct run *r)
{
	uint64_t count = least(r->a->keys, r->a->most);
	void *reader = r->e->reader(r->store);
	double began;

	/* To be warm is to have been read once, by the same means */
	read_random(r, reader, 1ull << 40, count);
	began = now();
	read_random(r, reader, 1ull << 40, count);
	set_rate(r, GET, count, began);
	r->e->reader_end(reader);
}

static uint64_t scan(struct run *r, bool values)
{
	struct check check = expect(r, 0);
	void *reader = r->e->reader(r->store);

	check.with_values = values;
	r->e->scan(reader, values, &check);
	r->e->reader_end(reader);
	return check.count;
}

static void scan_all(struct run *r, enum task task)
{
	double began = now();
	uint64_t count = scan(r, task == SCAN);

	set_rate(r, task, count, began);
	if (count != r->a->keys)
		die("%s: a scan has %ju keys instead of %ju", r->e->name,
		    (uintmax_t)count, (uintmax_t)r->a->keys);
}

/* Some put off to the first read what others do in open */
static double open_and_read(struct run *r)
{
	double began = now(), took;
	struct check check = expect(r, 0);
	char key[KEY_SIZE];
	void *reader;

	open_store(r);
	reader = r->e->reader(r->store);
	make_key(key, r->plan->ordered, r->a->keys / 2);
	r->e->get(reader, key, &check);
	took = now() - began;
	r->e->reader_end(reader);
	return took * 1000;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void open_again(struct run *r)
{
	double took[OPENS];

	for (int i = 0; i < OPENS; i++) {
		close_store(r);
		took[i] = open_and_read(r);
	}
	qsort(took, OPENS, sizeof(took[0]), compare);
	r->figures[OPEN_AGAIN] = took[OPENS / 2];
}

/* ---- all of it -------------------------------------------------------- */

static void run_tasks(struct run *r)
{
	r->figures[OPEN_FIRST] = open_and_read(r);
	if (wanted(r, OPEN_AGAIN))
		open_again(r);
	if (wanted(r, GET))
		get(r);
	if (wanted(r, GET_THREADS))
		get_in_threads(r);
	if (wanted(r, SCAN))
		scan_all(r, SCAN);
	if (wanted(r, SCAN_KEYS))
		scan_all(r, SCAN_KEYS);
	if (wanted(r, SINGLE))
		insert_singly(r);
	if (wanted(r, OVERWRITE))
		overwrite(r);
	if (wanted(r, DELETE))
		delete_keys(r);
	close_store(r);
}

void run_plan(const struct engine *engine, const struct plan *plan,
	      const struct amounts *amounts, const char *dir,
	      double figures[TASKS])
{
	struct run r = {
		.e = engine,
		.plan = plan,
		.a = amounts,
		.how = { .dir = dir,
			 .value_size = amounts->value_size,
			 .cache = amounts->cache,
			 .durable = plan->durable,
			 .ordered = plan->ordered },
		.tasks = plan->tasks & amounts->tasks,
		.value = make_zeroed(amounts->value_size),
		.figures = figures,
	};
	struct peak peak;

	for (int task = 0; task < TASKS; task++)
		figures[task] = (double)NAN;
	probe_disk(&r);
	peak_reset();
	load(&r);
	if (r.tasks & ~LOAD_TASKS)
		run_tasks(&r);
	peak = peak_get();
	figures[MEMORY] = (double)peak.resident / MIB;
	figures[MEMORY_ANONYMOUS] = (double)peak.anonymous / MIB;
	for (int task = 0; task < TASKS; task++)
		if (!wanted(&r, task))
			figures[task] = (double)NAN;
	free(r.value);
}
