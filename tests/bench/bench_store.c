/* SPDX-License-Identifier: MIT */
/*
 * bench_store - the same workload on Banyan, LMDB, SQLite, RocksDB and Berkeley
 * DB, in one table.
 *
 * workload.c has what is done, engine_*.c how each engine is set up and why.
 * Every engine runs every plan in a process of its own, so that its memory and
 * what it writes can be told apart, and in turns, so that what else the machine
 * does meets all of them alike.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awake.h"
#include "meter.h"
#include "report.h"
#include "values.h"
#include "workload.h"

static const struct engine *const all_engines[] = {
	&engine_banyan,	 &engine_lmdb, &engine_sqlite,
	&engine_rocksdb, &engine_bdb,
};
#define MOST (1ull << 40) /* of anything */
#define ALL_ENGINES (sizeof(all_engines) / sizeof(all_engines[0]))

struct settings {
	struct amounts amounts;
	unsigned rounds;
	unsigned engines; /* a bit for each of all_engines */
	unsigned plans;
	const char *dir;
	const char *csv; /* NULL: none */
	bool awake;
};

static pid_t main_process;
static char *work_dir; /* removed at the end, whatever it is */
static volatile sig_atomic_t interrupted;

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench_store: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	if (work_dir && getpid() == main_process)
		remove_directory(work_dir);
	_exit(1);
}

/* ---- one engine, one plan --------------------------------------------- */

__attribute__((noreturn)) static void run_child(const struct settings *s,
						const struct engine *engine,
						const struct plan *plan,
						const char *dir, int answer)
{
	double figures[TASKS];

	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	run_plan(engine, plan, &s->amounts, dir, figures);
	if (write(answer, figures, sizeof(figures)) != sizeof(figures))
		die("pipe: %s", strerror(errno));
	_exit(0);
}

static void run_in_process(const struct settings *s,
			   const struct engine *engine, const struct plan *plan,
			   double figures[TASKS])
{
	const size_t size = TASKS * sizeof(figures[0]);
	char *dir = path_in(work_dir, engine->name);
	int ends[2], status;
	ssize_t got;
	pid_t pid;

	if (mkdir(dir, 0700) < 0 || pipe(ends) < 0)
		die("%s: %s", dir, strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0) {
		close(ends[0]);
		run_child(s, engine, plan, dir, ends[1]);
	}
	close(ends[1]);
	got = read(ends[0], figures, size);
	close(ends[0]);
	if (interrupted)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (interrupted)
		die("interrupted");
	if (got != (ssize_t)size || status != 0)
		die("%s failed in %s", engine->name, plan->name);
	remove_directory(dir);
	free(dir);
}

/* ---- all of them ------------------------------------------------------ */

static void run_round(const struct settings *s, struct report *report,
		      unsigned round)
{
	double figures[TASKS];

	for (unsigned plan = 0; plan < PLANS; plan++) {
		for (unsigned i = 0; i < report->engine_count; i++) {
			unsigned n = (i + round) % report->engine_count;
			double began = now();

			if (s->plans & 1u << plan) {
				sync(); /* what came before is not its to do */
				run_in_process(s, report->engines[n],
					       &plans[plan], figures);
				fprintf(stderr, "round %u, %s, %s: %.0f s\n",
					round + 1, plans[plan].name,
					report->engines[n]->name,
					now() - began);
			} else {
				for (int task = 0; task < TASKS; task++)
					figures[task] = (double)NAN;
			}
			report_add(report, round, plan, n, figures);
		}
	}
}

static void run(const struct settings *s)
{
	static struct report report;

	for (unsigned n = 0; n < ALL_ENGINES; n++)
		if (s->engines & 1u << n)
			report.engines[report.engine_count++] = all_engines[n];
	report_begin(&report, s->csv);
	for (unsigned round = 0; round < s->rounds; round++) {
		run_round(s, &report, round);
		report.rounds = round + 1;
	}
	report_print(&report, &s->amounts);
}

/* ---- options ---------------------------------------------------------- */

static const char help[] =
	"usage: bench_store [OPTION]...\n"
	"Load, read and change many small keys: Banyan and others.\n\n"
	"  -n, --keys N          so many keys (1000000)\n"
	"  -s, --value-size BYTES\n"
	"                        of each value (100)\n"
	"  -r, --rounds N        the median of so many rounds (3)\n"
	"  -d, --dir DIR         files are made below DIR (.)\n"
	"  -e, --engines A,B     only these: banyan, lmdb, sqlite, rocksdb, "
	"bdb\n"
	"  -p, --plans A,B       only these: in-order, random, "
	"in-order-nosync,\n"
	"                        random-nosync\n"
	"  -t, --tasks A,B       show only these: probe, load, load-writes,\n"
	"                        load-size, load-memory, open-first, open, "
	"get,\n"
	"                        get-threads, scan, scan-keys, single, "
	"overwrite,\n"
	"                        delete, memory, memory-anon\n"
	"  -c, --cache BYTES     of each engine that has one (256M)\n"
	"  -m, --most N          random reads, overwrites, deletes (1000000)\n"
	"      --singles N       single durable inserts (4000)\n"
	"      --threads N       threads that read (4)\n"
	"      --csv FILE        every single figure, too\n"
	"      --awake           processors do not sleep meanwhile: on a "
	"virtual\n"
	"                        machine syncs may take much longer if they "
	"do\n"
	"  -h, --help\n\n"
	"A number may end with K, M or G: in BYTES they mean powers of 1024, "
	"else of\n"
	"1000.\n";

static const struct option options[] = {
	{ "keys", required_argument, NULL, 'n' },
	{ "value-size", required_argument, NULL, 's' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "dir", required_argument, NULL, 'd' },
	{ "engines", required_argument, NULL, 'e' },
	{ "plans", required_argument, NULL, 'p' },
	{ "tasks", required_argument, NULL, 't' },
	{ "cache", required_argument, NULL, 'c' },
	{ "most", required_argument, NULL, 'm' },
	{ "singles", required_argument, NULL, 1 },
	{ "threads", required_argument, NULL, 2 },
	{ "csv", required_argument, NULL, 3 },
	{ "awake", no_argument, NULL, 4 },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* kilo: what K stands for */
static uint64_t number(const char *text, unsigned kilo, uint64_t least,
		       uint64_t most)
{
	static const char units[] = "KMG";
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, toupper(*end)) : NULL;

	if (end == text || (*end && (!unit || end[1])) || n > most)
		die("%s: not a number", text);
	for (const char *u = units; unit && u <= unit && n <= most; u++)
		n *= kilo;
	if (n < least || n > most)
		die("%s: not from %ju to %ju", text, (uintmax_t)least,
		    (uintmax_t)most);
	return n;
}

static uint64_t amount(const char *text, uint64_t most)
{
	return number(text, 1000, 1, most);
}

static const char *engine_name(unsigned n)
{
	return n < ALL_ENGINES ? all_engines[n]->name : NULL;
}

static const char *plan_name(unsigned n)
{
	return n < PLANS ? plans[n].name : NULL;
}

static const char *task_name(unsigned n)
{
	return n < TASKS ? task_types[n].name : NULL;
}

/* The bits of those whose names are in a list with commas */
static unsigned choose(const char *list, const char *(*name)(unsigned n))
{
	unsigned chosen = 0, n;
	char *words = strdup(list), *rest = words, *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		for (n = 0; name(n); n++)
			if (strcasecmp(name(n), word) == 0)
				break;
		if (!name(n))
			die("%s: not known; see --help", word);
		chosen |= 1u << n;
	}
	free(words);
	return chosen;
}

static void apply(struct settings *s, int option, const char *arg)
{
	switch (option) {
	case 'n':
		s->amounts.keys = amount(arg, MOST);
		break;
	case 's':
		s->amounts.value_size =
			number(arg, 1024, VALUE_LEAST, VALUE_MOST);
		break;
	case 'r':
		s->rounds = (unsigned)amount(arg, ROUNDS_MOST);
		break;
	case 'd':
		s->dir = arg;
		break;
	case 'e':
		s->engines = choose(arg, engine_name);
		break;
	case 'p':
		s->plans = choose(arg, plan_name);
		break;
	case 't':
		s->amounts.tasks = choose(arg, task_name);
		break;
	case 'c':
		s->amounts.cache = number(arg, 1024, 1 << 20, MOST);
		break;
	case 'm':
		s->amounts.most = amount(arg, MOST);
		break;
	case 1:
		s->amounts.singles = amount(arg, MOST);
		break;
	case 2:
		s->amounts.threads = (unsigned)amount(arg, 1000);
		break;
	case 3:
		s->csv = arg;
		break;
	case 4:
		s->awake = true;
		break;
	case 'h':
		fputs(help, stdout);
		exit(0);
	default:
		fputs(help, stderr);
		exit(1);
	}
}

static void parse(struct settings *s, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "n:s:r:d:e:p:t:c:m:h", options,
				     NULL)) != -1)
		apply(s, option, optarg);
	if (optind < argc)
		apply(s, '?', NULL);
}

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = interrupt };
	struct settings s = {
		.amounts = { .keys = 1000000,
			     .most = 1000000,
			     .singles = 4000,
			     .threads = 4,
			     .value_size = 100,
			     .cache = 256u << 20,
			     .tasks = ~0u },
		.rounds = 3,
		.engines = ~0u,
		.plans = ~0u,
		.dir = ".",
	};

	parse(&s, argc, argv);
	main_process = getpid();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	work_dir = path_in(s.dir, "bench_store.XXXXXX");
	if (!mkdtemp(work_dir)) {
		free(work_dir);
		work_dir = NULL;
		die("%s: %s", s.dir, strerror(errno));
	}
	values_init();
	if (s.awake)
		keep_awake();
	run(&s);
	remove_directory(work_dir);
	return 0;
}
