/* SPDX-License-Identifier: MIT */
/*
 * vacuum_load [-o] [-s STEP] [-c MIB] COMMAND FILE [KEYS [SIZE [COUNT [CHANGES]]]]
 * - what bench_vacuum.sh does with a database, other than by the programs
 *
 *   load       make a database with KEYS keys, with values of SIZE bytes
 *   delete     delete every second key
 *   overwrite  give every second key another value
 *   change     give COUNT keys another value; prints the numbers of the freezes
 *              before and after
 *   snapshots  take COUNT snapshots, each after CHANGES changes; prints the
 *              median of the milliseconds that each took
 *   vacuum     prints seconds, the peak of resident memory and the size of the
 *              new file (both in bytes), the freezes that were kept
 *   read       all values in order of the keys; prints seconds
 *   verify     compare each value with what it has to be after load or overwrite
 *   look       likewise values through some of the snapshots
 *   rewrite    of a mount FILE: write the values of load again, each to its file
 *   calls      make, write, read, stat, rename and remove files in the directory
 *              FILE until SIGTERM; prints the milliseconds of the longest call,
 *              its name, and the number of files
 *
 * The keys are the numbers below KEYS that are multiples of STEP, in scattered
 * order, or with -o ascending. MIB is the limit of memory of the database.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "banyan.h"
#include "engine.h"
#include "meter.h"
#include "values.h"

#define BATCH_BYTES \
	(16u << 20) /* of values between begin and commit, at most */
#define FILE_SIZE 4096 /* of the files of calls */
#define LOOKED 20 /* snapshots that are looked into */
#define LOOKED_KEYS 1000 /* in each, beside those that were changed for it */

struct job {
	const char *file;
	uint64_t keys;
	uint64_t size; /* of each value */
	uint64_t count;
	uint64_t changes;
	bool ordered;
	uint64_t step;
	uint64_t cache; /* bytes; 0: the default */
	banyan *db;
	banyan *batch; /* NULL: none is open */
	uint64_t in_batch; /* operations */
	char *value;
};

static void check(int64_t rc, const char *what)
{
	if (rc < 0)
		die("%s: %s", what, banyan_strerror((int)rc));
}

/* ---- changes ---------------------------------------------------------- */

static void open_database(struct job *job, unsigned flags)
{
	struct banyan_options options = { .flags = flags,
					  .cache_bytes = job->cache };

	check(banyan_open(job->file, &options, &job->db), job->file);
}

static void close_database(struct job *job)
{
	check(banyan_close(job->db), "close");
}

static void commit(struct job *job)
{
	if (job->batch)
		check(banyan_commit(job->batch), "commit");
	job->batch = NULL;
	job->in_batch = 0;
}

/* What the next operation is made through */
static banyan *batch_of(struct job *job)
{
	if (job->in_batch == BATCH || job->in_batch * job->size >= BATCH_BYTES)
		commit(job);
	if (!job->batch)
		check(banyan_begin(job->db, &job->batch), "begin");
	job->in_batch++;
	return job->batch;
}

static void put(struct job *job, uint64_t n, unsigned version)
{
	char path[KEY_SIZE + 1] = "";

	make_key(path, job->ordered, n);
	make_value(job->value, job->size, path, version);
	check(banyan_put(batch_of(job), path, job->value, job->size, 0), "put");
}

/* Not by banyan_put(), which asks the system for owner and umask each time */
static void insert(struct job *job, uint64_t n)
{
	struct banyan_new make = { .mode = 0644,
				   .value = job->value,
				   .size = job->size };
	char key[KEY_SIZE];

	make_key(key, job->ordered, n);
	make_value(job->value, job->size, key, 0);
	check(banyan_insert(banyan_root(batch_of(job)), key, KEY_SIZE, &make,
			    NULL, NULL),
	      "insert");
}

static void load(struct job *job)
{
	open_database(job, BANYAN_CREATE | BANYAN_EXCLUSIVE);
	for (uint64_t n = 0; n < job->keys; n += job->step)
		insert(job, n);
	commit(job);
	close_database(job);
}

static void delete_half(struct job *job)
{
	char path[KEY_SIZE + 1] = "";

	open_database(job, 0);
	for (uint64_t n = 1; n < job->keys; n += 2) {
		make_key(path, job->ordered, n);
		check(banyan_remove(batch_of(job), path), "remove");
	}
	commit(job);
	close_database(job);
}

static void overwrite_half(struct job *job)
{
	open_database(job, 0);
	for (uint64_t n = 1; n < job->keys; n += 2)
		put(job, n, 1);
	commit(job);
	close_database(job);
}

static int take_number(void *arg, const struct banyan_freeze_info *freeze)
{
	uint64_t *number = arg;

	*number = freeze->number;
	return 1; /* the newest comes first */
}

static uint64_t last_freeze(const struct job *job)
{
	uint64_t number = 0;

	check(banyan_freezes(job->db, take_number, &number), "freezes");
	return number;
}

static void change(struct job *job)
{
	uint64_t part = job->keys / job->count;
	uint64_t before;

	if (!part)
		die("not so many keys");
	open_database(job, 0);
	before = last_freeze(job);
	/* One at random in each part, so that no key comes twice */
	for (uint64_t i = 0; i < job->count; i++)
		put(job, i * part + mix(i + 1) % part, 1);
	commit(job);
	check(banyan_freeze(job->db), "freeze");
	printf("%" PRIu64 " %" PRIu64 "\n", before, last_freeze(job));
	close_database(job);
}

/* ---- snapshots -------------------------------------------------------- */

/* Snapshot s, from 1 on, is taken after these have got values of version s */
static uint64_t changed_key(const struct job *job, uint64_t s, uint64_t i)
{
	return mix(s * job->changes + i) % job->keys;
}

static size_t snapshot_name(uint64_t s, char name[24])
{
	return (size_t)snprintf(name, 24, "s%06" PRIu64, s);
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

static void take_snapshots(struct job *job)
{
	double *took = make_zeroed(job->count * sizeof(*took));
	char name[24];

	open_database(job, 0);
	for (uint64_t s = 1; s <= job->count; s++) {
		size_t len = snapshot_name(s, name);
		double began;

		for (uint64_t i = 0; i < job->changes; i++)
			put(job, changed_key(job, s, i), (unsigned)s);
		commit(job);
		began = now();
		check(banyan_snapshot(job->db, name, len), "snapshot");
		took[s - 1] = now() - began;
	}
	close_database(job);
	qsort(took, job->count, sizeof(*took), compare);
	printf("%.3f\n", took[job->count / 2] * 1e3);
	free(took);
}

/* ---- a vacuum, and what is there then --------------------------------- */

static void vacuum(struct job *job)
{
	struct banyan_vacuum_result result = { 0 };
	double began;

	open_database(job, 0);
	began = now();
	check(banyan_vacuum(job->db, NULL, &result), "vacuum");
	printf("%.3f", now() - began);
	close_database(job);
	printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", peak_get().resident,
	       result.bytes_after, result.freezes_kept);
}

/* Is the value of key n of this version? */
static void expect(struct job *job, banyan *state, uint64_t n, unsigned version)
{
	struct check expected = { .engine = job->file,
				  .value_size = job->size,
				  .version = version };
	char key[KEY_SIZE];
	ssize_t size;

	make_key(key, job->ordered, n);
	size = banyan_fetch(banyan_root(state), key, KEY_SIZE, job->value,
			    job->size);
	check(size, "fetch");
	check_value(&expected, key, job->value, (size_t)size);
}

static void verify(struct job *job)
{
	struct banyan_stat stat = { .struct_size = sizeof(stat) };
	uint64_t count = 0;

	open_database(job, BANYAN_READ_ONLY);
	for (uint64_t n = 0; n < job->keys; n += job->step, count++)
		expect(job, job->db, n, n & 1);
	check(banyan_get_stat(job->db, &stat), "stat");
	if (stat.keys != count)
		die("%s: %" PRIu64 " keys instead of %" PRIu64, job->file,
		    stat.keys, count);
	close_database(job);
}

/* All of a value is copied, but only its key compared: what is timed is the
 * database */
static void read_in_order(struct job *job)
{
	struct banyan_range range = { .values = true };
	struct banyan_entry entry;
	banyan_cursor *cursor;
	double began = now();
	int rc;

	open_database(job, BANYAN_READ_ONLY);
	check(banyan_scan(banyan_root(job->db), &range, &cursor), "scan");
	while ((rc = banyan_next(cursor, &entry)) == 0) {
		if (!entry.value || entry.attr.size != job->size ||
		    memcmp(entry.value, entry.name, KEY_SIZE) != 0)
			die("%s: %s: a wrong value", job->file, entry.name);
	}
	check(rc, "next");
	banyan_scan_end(cursor);
	close_database(job);
	printf("%.3f\n", now() - began);
}

static void look_into(struct job *job, uint64_t s, const unsigned *version)
{
	char name[24];
	size_t len = snapshot_name(s, name);
	banyan *view;
	uint64_t n;

	check(banyan_view_snapshot(job->db, name, len, &view), name);
	for (uint64_t i = 0; i < job->changes; i++) {
		n = changed_key(job, s, i);
		expect(job, view, n, version[n]);
	}
	for (uint64_t i = 0; i < LOOKED_KEYS; i++) {
		n = mix(mix(s) + i) % job->keys;
		expect(job, view, n, version[n]);
	}
	check(banyan_close(view), "close");
}

static void look(struct job *job)
{
	unsigned *version = make_zeroed(job->keys * sizeof(*version));
	uint64_t each = job->count > LOOKED ? job->count / LOOKED : 1;

	open_database(job, BANYAN_READ_ONLY);
	for (uint64_t s = 1; s <= job->count; s++) {
		for (uint64_t i = 0; i < job->changes; i++)
			version[changed_key(job, s, i)] = (unsigned)s;
		if (s == 1 || s % each == 0)
			look_into(job, s, version);
	}
	close_database(job);
	free(version);
}

/* ---- programs in a mount ---------------------------------------------- */

static void rewrite(struct job *job)
{
	char path[KEY_SIZE + 1] = "";

	if (chdir(job->file))
		die("%s: %s", job->file, strerror(errno));
	for (uint64_t n = 0; n < job->keys; n += job->step) {
		int fd;

		make_key(path, job->ordered, n);
		make_value(job->value, job->size, path, 0);
		fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
		if (fd < 0 ||
		    write(fd, job->value, job->size) != (ssize_t)job->size ||
		    close(fd))
			die("%s/%s: %s", job->file, path, strerror(errno));
	}
}

static struct {
	double took;
	const char *call;
} longest;

static void called(const char *call, double began, bool well)
{
	double took = now() - began;

	if (!well)
		die("%s: %s", call, strerror(errno));
	if (took > longest.took) {
		longest.took = took;
		longest.call = call;
	}
}

static void use_a_file(const char *bytes, char *found)
{
	struct stat st;
	double began = now();
	int fd = open("new", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);

	called("create", began, fd >= 0);
	began = now();
	called("write", began, write(fd, bytes, FILE_SIZE) == FILE_SIZE);
	began = now();
	called("read", began, pread(fd, found, FILE_SIZE, 0) == FILE_SIZE);
	began = now();
	called("close", began, close(fd) == 0);
	began = now();
	called("stat", began, stat("new", &st) == 0);
	began = now();
	called("rename", began, rename("new", "moved") == 0);
	began = now();
	called("unlink", began, unlink("moved") == 0);
	if (st.st_size != FILE_SIZE || memcmp(bytes, found, FILE_SIZE) != 0)
		die("a file is not what was written");
}

/* The signal stays blocked: no call is interrupted by it */
static void call(struct job *job)
{
	const struct timespec at_once = { 0 };
	char bytes[FILE_SIZE], found[FILE_SIZE];
	uint64_t files = 0;
	sigset_t end;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	if (chdir(job->file))
		die("%s: %s", job->file, strerror(errno));
	while (sigtimedwait(&end, NULL, &at_once) < 0) {
		files++;
		memset(bytes, (int)(files & 127), sizeof(bytes));
		use_a_file(bytes, found);
	}
	printf("%.3f %s %" PRIu64 "\n", longest.took * 1e3,
	       longest.call ? longest.call : "-", files);
}

/* ---- the command line ------------------------------------------------- */

static const struct command {
	const char *name;
	int arguments;
	void (*run)(struct job *job);
} commands[] = {
	{ "load", 3, load },
	{ "delete", 3, delete_half },
	{ "overwrite", 3, overwrite_half },
	{ "change", 4, change },
	{ "snapshots", 5, take_snapshots },
	{ "vacuum", 1, vacuum },
	{ "read", 3, read_in_order },
	{ "verify", 3, verify },
	{ "look", 5, look },
	{ "rewrite", 3, rewrite },
	{ "calls", 1, call },
};

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*end || end == text || n < least || n > most)
		die("%s: not a fit number", text);
	return n;
}

static const struct command *find_command(const char *name, int arguments)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0 &&
		    commands[i].arguments == arguments)
			return &commands[i];
	}
	die("%s: no such command, or not its arguments", name);
}

static void take_arguments(struct job *job, int arguments, char **argument)
{
	job->file = argument[0];
	if (arguments > 1)
		job->keys = number(argument[1], 1, UINT32_MAX);
	if (arguments > 2)
		job->size = number(argument[2], VALUE_LEAST, VALUE_MOST);
	if (arguments > 3)
		job->count = number(argument[3], 1, 999999);
	if (arguments > 4)
		job->changes = number(argument[4], 1, UINT32_MAX);
}

int main(int argc, char **argv)
{
	struct job job = { .step = 1 };
	const struct command *command;
	int option;

	while ((option = getopt(argc, argv, "os:c:")) != -1) {
		if (option == 'o')
			job.ordered = true;
		else if (option == 's')
			job.step = number(optarg, 1, UINT32_MAX);
		else if (option == 'c')
			job.cache = number(optarg, 1, 1u << 20) << 20;
		else
			return 2;
	}
	if (argc - optind < 2)
		die("see the head of its source");
	command = find_command(argv[optind], argc - optind - 1);
	take_arguments(&job, command->arguments, argv + optind + 1);
	values_init();
	job.value = make_zeroed(VALUE_MOST);
	command->run(&job);
	free(job.value);
	return 0;
}
