/* SPDX-License-Identifier: MIT */
/*
 * The corpus: inputs that once broke something or lead far into the code, run
 * through what is fuzzed (tests/fuzz/). A target that finds a fault ends the
 * process; the last file that was named is the one.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "targets.h"

#define DIRECTORY "tests/fuzz/corpus"
#define INPUT_MAX (1u << 20)

static void run_file(const struct fuzz_entry *t, const char *name)
{
	char path[600];
	uint8_t *input = malloc(INPUT_MAX);
	snprintf(path, sizeof(path), DIRECTORY "/%s/%s", t->name, name);
	/* Before it is run, and at once: it may be the last thing we say */
	printf("%s\n", path);
	fflush(stdout);
	FILE *f = fopen(path, "rb");
	assert_non_null(input);
	assert_non_null(f);
	size_t n = fread(input, 1, INPUT_MAX, f);
	assert_true(!ferror(f) && n < INPUT_MAX);
	fclose(f);
	t->run(input, n);
	free(input);
}

static void run_folder(const struct fuzz_entry *t)
{
	char path[128];
	unsigned count = 0;
	snprintf(path, sizeof(path), DIRECTORY "/%s", t->name);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == '.')
			continue;
		run_file(t, e->d_name);
		count++;
	}
	closedir(d);
	assert_true(count > 0);
}

static void run_target(void **in)
{
	const struct fuzz_entry *t = *in;
	t->run(NULL, 0);
	run_folder(t);
}

int main(void)
{
	struct CMUnitTest tests[16];
	size_t count = 0;
	for (; fuzz_targets[count].name; count++) {
		static char names[16][64];
		snprintf(names[count], sizeof(names[count]),
			 "the_corpus_of_%s_does_no_harm",
			 fuzz_targets[count].name);
		tests[count] = (struct CMUnitTest){
			.name = names[count],
			.test_func = run_target,
			.initial_state =
				(void *)(uintptr_t)&fuzz_targets[count],
		};
	}
	return _cmocka_run_group_tests("corpus", tests, count, NULL, NULL);
}
