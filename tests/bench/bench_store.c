/* SPDX-License-Identifier: MIT */
/*
 * bench_store - load and read many small keys: Banyan beside LMDB.
 *
 * Both load the same keys in batches, in files side by side in one directory,
 * in turns; the figures are medians over the rounds. Reads follow a close and
 * an open, with the file in the system's cache. A value begins with its key,
 * and every read is compared.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

#define BATCH 1000
#define MOST_ROUNDS 25

enum task { LOAD, GET_RANDOM, SCAN_KEYS, SCAN_VALUES, FILE_SIZE, TASKS };

static const char *const task_names[TASKS] = {
	"load",
	"read, random order",
	"scan, keys",
	"scan, keys and values",
	"file, bytes a key",
};

/* How the keys come in, and what commit promises */
struct plan {
	const char *name;
	bool ordered;
	bool durable;
};

static const struct plan plans[] = {
	{ "in order", true, true },
	{ "random order", false, true },
	{ "in order", true, false },
	{ "random order", false, false },
};
#define PLANS (sizeof(plans) / sizeof(plans[0]))

static const struct engine *const engines[] = { &engine_banyan, &engine_lmdb };
#define ENGINES (sizeof(engines) / sizeof(engines[0]))

static double figures[PLANS][TASKS][ENGINES][MOST_ROUNDS];

struct settings {
	uint64_t keys;
	unsigned rounds;
	const char *dir;
	const char *csv; /* NULL: none */
};

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench_store: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

uint64_t sum_value(const void *value)
{
	const unsigned char *bytes = value;
	uint64_t sum = 0;

	for (size_t i = 0; i < VALUE_SIZE; i++)
		sum += bytes[i];
	return sum;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A bijection (the finish of splitmix64): distinct numbers stay distinct */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The i-th key to come in */
static void make_key(char *key, const struct plan *plan, uint64_t i)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t n = plan->ordered ? i : mix(i);

	for (int at = KEY_SIZE - 1; at >= 0; at--) {
		key[at] = digits[n & 15];
		n >>= 4;
	}
}

static void make_value(char *value, const char *key)
{
	memcpy(value, key, KEY_SIZE);
	for (size_t at = KEY_SIZE; at < VALUE_SIZE; at++)
		value[at] = (char)(value[at - KEY_SIZE] * 31 + (char)at);
}

static double load(const struct engine *e, const char *path,
		   const struct plan *plan, uint64_t keys)
{
	char key[KEY_SIZE], value[VALUE_SIZE];
	double began = now();
	void *store = e->open(path, plan->durable, plan->ordered);

	for (uint64_t i = 0; i < keys; i += BATCH) {
		e->begin(store);
		for (uint64_t j = i; j < i + BATCH && j < keys; j++) {
			make_key(key, plan, j);
			make_value(value, key);
			e->insert(store, key, value);
		}
		e->commit(store);
	}
	e->close(store);
	return now() - began;
}

static double get_random(const struct engine *e, void *store,
			 const struct plan *plan, uint64_t keys)
{
	char key[KEY_SIZE], expected[VALUE_SIZE], value[VALUE_SIZE];
	double began = now();

	e->read_begin(store);
	for (uint64_t i = 0; i < keys; i++) {
		make_key(key, plan, mix(i + 12345) % keys);
		make_value(expected, key);
		e->get(store, key, value);
		if (memcmp(value, expected, VALUE_SIZE) != 0)
			die("%s: a wrong value", e->name);
	}
	e->read_end(store);
	return now() - began;
}

static double scan(const struct engine *e, void *store, uint64_t keys,
		   bool values)
{
	double began = now();
	uint64_t sum = 0, count;

	e->read_begin(store);
	count = e->scan(store, values, &sum);
	e->read_end(store);
	if (count != keys || sum == 0)
		die("%s: %ju keys instead of %ju", e->name, (uintmax_t)count,
		    (uintmax_t)keys);
	return now() - began;
}

static char *join(const char *a, const char *b, const char *c)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", a, b, c) < 0)
		die("no memory");
	return joined;
}

/* The store's file and, of LMDB's, the lock beside it */
static void remove_files(const char *path)
{
	char *lock = join(path, "-lock", "");

	unlink(path);
	unlink(lock);
	free(lock);
}

/* One store through one plan; each time becomes thousands of keys a second */
static void measure(const struct settings *s, size_t p, size_t n,
		    unsigned round)
{
	const struct plan *plan = &plans[p];
	const struct engine *e = engines[n];
	double keys = (double)s->keys;
	double seconds[TASKS];
	char *path = join(s->dir, "/bench_store.", e->name);
	struct stat st;
	void *store;

	remove_files(path);
	sync(); /* what came before is not this one's to write */
	seconds[LOAD] = load(e, path, plan, s->keys);

	store = e->open(path, plan->durable, plan->ordered);
	seconds[GET_RANDOM] = get_random(e, store, plan, s->keys);
	seconds[SCAN_KEYS] = scan(e, store, s->keys, false);
	seconds[SCAN_VALUES] = scan(e, store, s->keys, true);
	e->close(store);

	for (int task = 0; task < FILE_SIZE; task++)
		figures[p][task][n][round] = keys / seconds[task] / 1000;
	if (stat(path, &st) < 0)
		die("%s: %s", path, strerror(errno));
	figures[p][FILE_SIZE][n][round] = (double)st.st_blocks * 512 / keys;
	remove_files(path);
	free(path);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] :
			   (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void print(const struct settings *s)
{
	FILE *csv = s->csv ? fopen(s->csv, "w") : NULL;

	if (s->csv && !csv)
		die("%s: %s", s->csv, strerror(errno));
	printf("%ju keys of %d + %d bytes, batches of %d, median of %u\n",
	       (uintmax_t)s->keys, KEY_SIZE, VALUE_SIZE, BATCH, s->rounds);
	for (size_t n = 0; n < ENGINES; n++)
		printf("%-7s %s\n", engines[n]->name, engines[n]->settings);
	printf("Thousands of keys a second, but for the size of the file. "
	       "Loading includes closing.\n\n");
	printf("%-13s %-12s %-22s %9s %9s %7s\n", "keys came", "each batch",
	       "task", engines[0]->name, engines[1]->name, "ratio");
	if (csv)
		fprintf(csv, "order,batch,task,%s,%s,ratio\n", engines[0]->name,
			engines[1]->name);
	for (size_t p = 0; p < PLANS; p++) {
		for (int task = 0; task < TASKS; task++) {
			const char *sync = plans[p].durable ? "synced" :
							      "not synced";
			double a = median(figures[p][task][0], s->rounds);
			double b = median(figures[p][task][1], s->rounds);

			printf("%-13s %-12s %-22s %9.0f %9.0f %7.2f\n",
			       plans[p].name, sync, task_names[task], a, b,
			       a / b);
			if (csv)
				fprintf(csv, "%s,%s,\"%s\",%.1f,%.1f,%.3f\n",
					plans[p].name, sync, task_names[task],
					a, b, a / b);
		}
	}
	if (csv && fclose(csv) != 0)
		die("%s: %s", s->csv, strerror(errno));
}

static void usage(FILE *to)
{
	fputs("usage: bench_store [-n KEYS] [-r ROUNDS] [-d DIR] [-c FILE]\n"
	      "  -n KEYS    so many keys (1000000)\n"
	      "  -r ROUNDS  the median of so many rounds (3)\n"
	      "  -d DIR     where the files are made (.)\n"
	      "  -c FILE    write the figures to FILE, too, as CSV\n",
	      to);
}

/* A number from 1 to most */
static uint64_t number(const char *text, uint64_t most)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end || end == text || n < 1 || n > most)
		die("%s: not a number from 1 to %ju", text, (uintmax_t)most);
	return n;
}

static void parse(struct settings *s, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:r:d:c:h")) != -1) {
		switch (option) {
		case 'n':
			s->keys = number(optarg, 1u << 30);
			break;
		case 'r':
			s->rounds = (unsigned)number(optarg, MOST_ROUNDS);
			break;
		case 'd':
			s->dir = optarg;
			break;
		case 'c':
			s->csv = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct settings s = { .keys = 1000000, .rounds = 3, .dir = "." };

	parse(&s, argc, argv);
	for (unsigned round = 0; round < s.rounds; round++) {
		for (size_t p = 0; p < PLANS; p++) {
			for (size_t n = 0; n < ENGINES; n++) {
				fprintf(stderr, "round %u of %u: %s, %s, %s\n",
					round + 1, s.rounds, engines[n]->name,
					plans[p].name,
					plans[p].durable ? "synced" :
							   "not synced");
				measure(&s, p, n, round);
			}
		}
	}
	print(&s);
	return 0;
}
