/* SPDX-License-Identifier: MIT */
/*
 * bench_held - how reads of Data that are held scale with threads
 *
 * 1000 values of 100 bytes in a database in memory, read in random order by one
 * thread and by two, in turns. Prints a line for each kind of read: medians of
 * the rounds in millions a second, and the median of their ratios.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "banyan.h"
#include "engine.h"
#include "meter.h"

#define COUNT 1000u
#define ROUNDS 7
#define ROUND_NS 300000000

static banyan *db;
static banyan_data *data[COUNT];
static char names[COUNT][8];
static _Atomic bool stop;

static void read_attr(unsigned i)
{
	struct banyan_attr attr;

	if (banyan_get_attr(data[i], &attr))
		die("get_attr failed");
}

static void read_value(unsigned i)
{
	char value[100];

	if (banyan_read(data[i], value, sizeof(value), 0) < 0)
		die("read failed");
}

static void fetch_value(unsigned i)
{
	char value[100];

	if (banyan_fetch(banyan_root(db), names[i], 7, value, sizeof(value)) <
	    0)
		die("fetch failed");
}

static void search(unsigned i)
{
	banyan_data *found;

	if (banyan_search(banyan_root(db), names[i], 7, &found, NULL))
		die("search failed");
	banyan_release(found, 1);
}

static const struct kind {
	const char *name;
	void (*read)(unsigned i);
} kinds[] = {
	{ "get_attr", read_attr },
	{ "read", read_value },
	{ "fetch", fetch_value },
	{ "search and release", search },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

struct reader {
	pthread_t thread;
	const struct kind *kind;
	unsigned seed;
	uint64_t reads;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	unsigned random = r->seed;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (unsigned n = 0; n < 100; n++) {
			random = random * 1664525 + 1013904223;
			r->kind->read((random >> 8) % COUNT);
		}
		r->reads += 100;
	}
	return NULL;
}

/* Millions of reads a second */
static double measure(const struct kind *kind, unsigned threads)
{
	const struct timespec pause = { .tv_nsec = ROUND_NS };
	struct reader r[2];
	uint64_t reads = 0;
	double began = now();

	atomic_store(&stop, false);
	for (unsigned i = 0; i < threads; i++) {
		r[i] = (struct reader){ .kind = kind, .seed = i + 1 };
		if (pthread_create(&r[i].thread, NULL, read_all, &r[i]))
			die("no thread");
	}
	nanosleep(&pause, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(r[i].thread, NULL);
		reads += r[i].reads;
	}
	return (double)reads / (now() - began) / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

static void set_up(void)
{
	char value[100] = "value";

	if (banyan_open(":memory:", NULL, &db))
		die("cannot open");
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "key%04u", i);
		if (banyan_put(db, names[i], value, sizeof(value), 0))
			die("cannot put");
	}
	if (banyan_freeze(db))
		die("cannot freeze");
	for (unsigned i = 0; i < COUNT; i++)
		if (banyan_find(db, names[i], &data[i]))
			die("cannot find");
}

int main(void)
{
	set_up();
	printf("reads of held Data, in millions a second\n");
	printf("%-20s %10s %10s %6s\n", "", "1 thread", "2 threads", "ratio");
	for (size_t k = 0; k < KINDS; k++) {
		double one[ROUNDS], two[ROUNDS], ratio[ROUNDS];

		for (int i = 0; i < ROUNDS; i++) {
			one[i] = measure(&kinds[k], 1);
			two[i] = measure(&kinds[k], 2);
			ratio[i] = two[i] / one[i];
		}
		printf("%-20s %10.2f %10.2f %6.2f\n", kinds[k].name,
		       median(one), median(two), median(ratio));
	}
	for (unsigned i = 0; i < COUNT; i++)
		banyan_release(data[i], 1);
	return banyan_close(db) != 0;
}
