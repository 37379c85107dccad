/* SPDX-License-Identifier: MIT */
/*
 * bench_kill DIR KEYS CACHE_MIB ROUNDS - kill a load, then see what is there
 *
 * A process loads keys in random order, in durable batches, and is killed
 * somewhere between a third and the whole of it. Then: how long does the next
 * open take, is every batch there that had returned, and none in part? Prints a
 * line a round; BANYAN_SEED says where the kills come.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "meter.h"
#include "values.h"

#define VALUE_SIZE 100

struct job {
	struct set_up how;
	char *file;
	uint64_t batches;
	_Atomic uint64_t *returned; /* batches, shared with the process */
	uint64_t seed;
};

__attribute__((noreturn)) static void load(const struct job *job)
{
	const struct engine *e = &engine_banyan;
	void *store = e->open(&job->how);
	char key[KEY_SIZE], value[VALUE_SIZE];

	for (uint64_t n = 0; n < job->batches; n++) {
		e->begin(store);
		for (uint64_t i = n * BATCH; i < (n + 1) * BATCH; i++) {
			make_key(key, false, i);
			make_value(value, sizeof(value), key, 0);
			e->insert(store, key, value);
		}
		e->commit(store);
		atomic_store(job->returned, n + 1);
	}
	/* To be killed with all of it loaded is fine, too */
	for (;;)
		pause();
}

/* Begin a load and kill it: how many batches had returned */
static uint64_t kill_load(const struct job *job, uint64_t at)
{
	const struct timespec pause_a_little = { .tv_nsec = 50000 };
	pid_t child;
	int status;

	atomic_store(job->returned, 0);
	child = fork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child)
		load(job);
	while (atomic_load(job->returned) < at) {
		if (waitpid(child, &status, WNOHANG) != 0)
			die("the load ended by itself");
		nanosleep(&pause_a_little, NULL);
	}
	if (kill(child, SIGKILL) || waitpid(child, &status, 0) != child)
		die("kill: %s", strerror(errno));
	return atomic_load(job->returned);
}

static void play_round(const struct job *job, uint64_t at)
{
	const struct engine *e = &engine_banyan;
	struct check all = { .engine = e->name,
			     .value_size = VALUE_SIZE,
			     .with_values = true };
	struct check got = all;
	char key[KEY_SIZE];
	double began, took;
	void *store, *reader;
	uint64_t returned;

	if (unlink(job->file) && errno != ENOENT)
		die("%s: %s", job->file, strerror(errno));
	returned = kill_load(job, at);
	began = now();
	store = e->open(&job->how);
	took = now() - began;
	reader = e->reader(store);
	e->scan(reader, true, &all);
	if (all.count % BATCH)
		die("%" PRIu64 " keys: a batch is there in part", all.count);
	for (uint64_t i = 0; i < returned * BATCH; i++) {
		make_key(key, false, i);
		e->get(reader, key, &got);
	}
	e->reader_end(reader);
	e->close(store);
	printf("killed after %" PRIu64 " batches had returned: open took "
	       "%.0f ms, all of them are there, and %" PRIu64 " more\n",
	       returned, took * 1e3, all.count / BATCH - returned);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *seed = getenv("BANYAN_SEED");
	struct job job = { .seed = seed ? strtoull(seed, NULL, 0) : 1 };

	if (argc != 5)
		die("arguments: DIR KEYS CACHE_MIB ROUNDS");
	job.how = (struct set_up){ .dir = argv[1],
				   .value_size = VALUE_SIZE,
				   .cache = strtoull(argv[3], NULL, 10) << 20,
				   .durable = true };
	job.batches = strtoull(argv[2], NULL, 10) / BATCH;
	if (!job.batches)
		die("%s: not so many keys as a batch has", argv[2]);
	job.file = path_in(argv[1], "keys.banyan");
	job.returned = mmap(NULL, sizeof(*job.returned), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job.returned == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	values_init();
	printf("BANYAN_SEED=%" PRIu64 "\n", job.seed);
	for (unsigned long n = strtoul(argv[4], NULL, 10); n; n--) {
		uint64_t third = job.batches / 3;
		job.seed = mix(job.seed + 1);
		play_round(&job, job.batches - job.seed % (2 * third + 1));
	}
	unlink(job.file);
	free(job.file);
	return 0;
}
