/* SPDX-License-Identifier: MIT */
/*
 * Salvages and checks that run out of memory: each is tried with its first call
 * for memory failing, then with a later one, and so on; with that one, or with
 * all from there on. It says -ENOMEM, and of a salvage no file is left; or it
 * could do without, and has told and made the very same as with memory. Neither
 * is a shortage ever told as damage or as a loss.
 *
 * BANYAN_SEED says which calls, BANYAN_LONG asks for all of them.
 */
#include "damage_fixture.h"
#include "tests/support/no_memory_main.h"

#define TRIES 120u /* of a form */

struct run {
	int64_t rc;
	uint64_t calls; /* for memory */
	char *told;
	char *noted;
};

static bool every_call(void)
{
	return getenv("BANYAN_LONG") != NULL;
}

typedef struct run do_run(struct scene *s, uint64_t nth, bool lasting);

static int open_files(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- lines, for which there is always memory -------------------------- */

static void hear_anyway(void *arg, const char *line)
{
	bool on = atomic_exchange(&no_memory.on, false);
	hear_line(arg, line);
	atomic_store(&no_memory.on, on);
}

static void note_anyway(void *arg, const char *line)
{
	bool on = atomic_exchange(&no_memory.on, false);
	hear_note(arg, line);
	atomic_store(&no_memory.on, on);
}

static struct run end_run(struct scene *s, int64_t rc)
{
	struct run r = { .rc = rc,
			 .calls = atomic_load(&no_memory.calls),
			 .told = strdup(lines_of(&s->lines)),
			 .noted = strdup(lines_of(&s->notes)) };
	return r;
}

static void begin_run(struct scene *s, uint64_t nth, bool lasting)
{
	buf_reset(&s->lines);
	buf_reset(&s->notes);
	(void)unlink(OUT);
	no_memory_on(nth, lasting);
}

static void free_run(struct run *r)
{
	free(r->told);
	free(r->noted);
}

static struct run run_check(struct scene *s, uint64_t nth, bool lasting)
{
	struct banyan_check how = { .found = hear_anyway,
				    .arg = s,
				    .cache_bytes = BANYAN_CACHE_MIN };
	begin_run(s, nth, lasting);
	int64_t rc = banyan_check(SOURCE, &how);
	no_memory_off();
	assert_int_equal(files_here(), 1);
	return end_run(s, rc);
}

static struct run salvage(struct scene *s, uint64_t nth, bool lasting,
			  bool zeros)
{
	struct banyan_salvage how = { .lost = hear_anyway,
				      .note = note_anyway,
				      .arg = s,
				      .zeros = zeros,
				      .cache_bytes = BANYAN_CACHE_MIN };
	begin_run(s, nth, lasting);
	int64_t rc = banyan_salvage(SOURCE, OUT, &how);
	no_memory_off();
	assert_int_equal(files_here(), rc >= 0 ? 2 : 1);
	struct run r = end_run(s, rc);
	if (rc >= 0) {
		struct banyan_check check = { .found = hear_line, .arg = s };
		assert_int_equal(banyan_check(OUT, &check), 0);
	}
	return r;
}

static struct run run_salvage(struct scene *s, uint64_t nth, bool lasting)
{
	return salvage(s, nth, lasting, false);
}

static struct run run_with_zeros(struct scene *s, uint64_t nth, bool lasting)
{
	return salvage(s, nth, lasting, true);
}

/* ---- with and without ------------------------------------------------- */

/* Times that are made up are the only thing that may differ */
static bool makes_times_up(const struct run *r)
{
	return strstr(r->told, "lost+found") || strstr(r->told, "times of");
}

static char *dump_of(const struct run *r)
{
	bool there = r->rc >= 0 && access(OUT, F_OK) == 0;
	return there && !makes_times_up(r) ? dump_file(OUT) : NULL;
}

static void try_one(struct scene *s, do_run *run, const struct run *want,
		    const char *state, uint64_t nth, bool lasting)
{
	int files = open_files();
	struct run r = run(s, nth, lasting);
	bool met = atomic_load(&no_memory.failed) > 0;
	char *dump = NULL;
	bool ok = r.rc == -ENOMEM || (r.rc == -EAGAIN && met); /* no thread */
	if (r.rc >= 0) {
		dump = dump_of(&r);
		ok = r.rc == want->rc && strcmp(r.told, want->told) == 0 &&
		     strcmp(r.noted, want->noted) == 0 &&
		     (!dump || strcmp(dump, state) == 0);
	} else if (*r.told) {
		/* What was told before is true */
		ok = ok && strncmp(want->told, r.told, strlen(r.told)) == 0;
	}
	if (!ok || (r.rc < 0 && !met))
		fail_msg("%lld, call %llu%s of %llu:\n%s%swith memory "
			 "%lld:\n%s%s",
			 (long long)r.rc, (unsigned long long)nth,
			 lasting ? " and all after it" : "",
			 (unsigned long long)want->calls, r.told, r.noted,
			 (long long)want->rc, want->told, want->noted);
	assert_int_equal(open_files(), files);
	free(dump);
	free_run(&r);
}

static void try_all(struct scene *s, const uint8_t *bytes, do_run *run)
{
	uint64_t random = test_seed();
	write_whole(SOURCE, bytes, s->size);
	struct run want = run(s, UINT64_MAX, false);
	char *state = dump_of(&want);
	uint64_t tries = every_call() ? want.calls : TRIES / test_one_in(10);
	assert_true(want.rc >= 0 && want.calls > 20);
	print_message("%lld, %llu calls for memory\n", (long long)want.rc,
		      (unsigned long long)want.calls);
	/* The first ones and the last ones are of many kinds */
	for (uint64_t i = 0; i < tries; i++) {
		uint64_t nth = every_call() || i < tries / 4 ?
				       i + 1 :
				       1 + test_below(&random, want.calls);
		if (!every_call() && i >= tries * 3 / 4)
			nth = want.calls - (i - tries * 3 / 4);
		try_one(s, run, &want, state, nth, i % 4 == 3);
	}
	free(state);
	free_run(&want);
}

/* ---- what has happened to the file ------------------------------------ */

static void spoil_freezes(const struct scene *s, uint8_t *bytes)
{
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == RECORD_FREEZE)
			bytes[s->record[i].offset + 30] ^= 1;
}

/* Operations before the last freeze: what is damaged of the tree is lost */
static void spoil_operations(const struct scene *s, uint8_t *bytes)
{
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == RECORD_OPERATION &&
		    s->record[i].header.seq < s->replay)
			bytes[s->record[i].offset + 30] ^= 1;
}

static void spoil_nodes(const struct scene *s, uint8_t *bytes, uint32_t at)
{
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == RECORD_NODES)
			for (uint32_t k = at;
			     k < s->record[i].header.payload_len; k += 9000)
				bytes[s->record[i].payload + k] ^= 1;
}

/* The middle of each value and of the long attribute */
static void spoil_values(const struct scene *s, uint8_t *bytes)
{
	for (size_t i = 0; i < s->records; i++)
		if (s->record[i].header.type == RECORD_EXTENT)
			bytes[s->record[i].payload +
			      s->record[i].header.payload_len / 2] ^= 1;
}

static void spoil_redo(const struct scene *s, uint8_t *bytes)
{
	int i = record_of(s, RECORD_OPERATION, s->replay + 4);
	bytes[s->record[i].offset + 30] ^= 1;
}

/* ---- tests ------------------------------------------------------------ */

static void a_sound_file_is_checked_or_not(void **in)
{
	struct scene *s = *in;
	try_all(s, s->bytes, run_check);
}

static void damage_is_found_or_not_told_of(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	spoil_nodes(s, bytes, 0);
	spoil_values(s, bytes);
	try_all(s, bytes, run_check);
	bytes[200] ^= 1;
	try_all(s, bytes, run_check);
	spoil_redo(s, bytes);
	try_all(s, bytes, run_check);
	free(bytes);
}

static void a_sound_file_is_salvaged_or_not(void **in)
{
	struct scene *s = *in;
	try_all(s, s->bytes, run_salvage);
}

static void damaged_values_are_told_or_nothing_is_made(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	bytes[200] ^= 1;
	spoil_values(s, bytes);
	spoil_redo(s, bytes);
	try_all(s, bytes, run_salvage);
	try_all(s, bytes, run_with_zeros);
	free(bytes);
}

static void lost_rows_are_told_or_nothing_is_made(void **in)
{
	struct scene *s = *in;
	for (uint32_t at = 0; at < 9000; at += 2500) {
		uint8_t *bytes = sound_copy(s);
		spoil_operations(s, bytes);
		spoil_nodes(s, bytes, at);
		try_all(s, bytes, run_salvage);
		free(bytes);
	}
}

static void a_log_without_freezes_is_read_or_not(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	spoil_freezes(s, bytes);
	try_all(s, bytes, run_salvage);
	spoil_redo(s, bytes);
	try_all(s, bytes, run_salvage);
	free(bytes);
}

/* Where the log ends depends on what else there is */
static void a_torn_tail_is_told_from_damage_or_nothing_is_made(void **in)
{
	struct scene *s = *in;
	uint8_t *bytes = sound_copy(s);
	size_t size = s->size;
	/* Two are torn, and nothing says that they were durable */
	int i = record_of(s, RECORD_OPERATION, s->replay);
	bytes[s->record[i].offset + 30] ^= 1;
	bytes[s->record[i + 2].offset + 9] ^= 1;
	s->size = s->record[record_of(s, RECORD_MARK, s->replay)].offset;
	try_all(s, bytes, run_salvage);
	try_all(s, bytes, run_check);
	s->size = size;
	free(bytes);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up_scene, tear_down_scene)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_file_is_checked_or_not),
		TEST(damage_is_found_or_not_told_of),
		TEST(a_sound_file_is_salvaged_or_not),
		TEST(damaged_values_are_told_or_nothing_is_made),
		TEST(lost_rows_are_told_or_nothing_is_made),
		TEST(a_log_without_freezes_is_read_or_not),
		TEST(a_torn_tail_is_told_from_damage_or_nothing_is_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
