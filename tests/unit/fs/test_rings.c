/* SPDX-License-Identifier: MIT */
/* The memory of FUSE over io_uring, as one process after another has it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fs/fs.h"
#include "fs/rings.h"

#define QUEUES 2
#define MOST 5

static struct rings *rings;

static int setup(void **state)
{
	(void)state;
	rings = rings_new(QUEUES, MOST, true);
	return rings ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	rings_free(rings);
	return 0;
}

/* A request with a payload, as the kernel puts it there */
static struct rings_entry *ask(unsigned i, uint64_t unique, const char *name)
{
	struct rings_entry *e = rings_entry(rings, i);
	struct kernel_uring_header *h = rings_header(e);
	struct fuse_in_header *in = (void *)h->in_out;

	assert_int_equal(rings_open_entry(rings, i, 1), 0);
	in->unique = unique;
	h->payload_size = (uint32_t)strlen(name) + 1;
	strcpy(h->op_in, "argument");
	strcpy(rings_payload(e), name);
	e->saved = false;
	atomic_store(&e->state, RINGS_ASKED);
	if (atomic_load(&rings->entries) <= i)
		atomic_store(&rings->entries, i + 1);
	return e;
}

static void a_request_is_there_for_the_next_one(void **state)
{
	/* As another process has it: at another address */
	struct rings *other = rings_map(rings->fd);

	(void)state;
	assert_non_null(other);
	assert_ptr_not_equal(other, rings);
	ask(1, 7, "name");
	ask(3, 9, "other");
	assert_true(rings_has(other, 7) && rings_has(other, 9));
	assert_false(rings_has(other, 8));
	assert_null(rings_asked(rings_entry(other, 0)));
	assert_int_equal(rings_asked(rings_entry(other, 3))->unique, 9);
	assert_string_equal(rings_payload(rings_entry(other, 3)), "other");
	atomic_store(&rings_entry(rings, 3)->state, RINGS_ANSWERED);
	assert_false(rings_has(other, 9));
	munmap(other, other->size);
}

/* Whatever of the answer was written */
static void half_an_answer_does_not_hurt_it(void **state)
{
	struct rings_entry *e = ask(0, 11, "a name of some length");
	struct kernel_uring_header *h = rings_header(e);
	const struct fuse_in_header *in = (const void *)h->in_out;

	(void)state;
	for (size_t size = 0; size < 100; size += 10) {
		rings_save(e);
		rings_save_payload(e, size);
		memset(h->in_out, 'x', sizeof(h->in_out));
		memset(h->op_in, 'y', sizeof(h->op_in));
		h->payload_size = (uint32_t)size;
		memset(rings_payload(e), 'z', size);
		assert_int_equal(rings_asked(e)->unique, 11);
		rings_restore(e);
		assert_int_equal(in->unique, 11);
		assert_int_equal(h->payload_size, 22);
		assert_string_equal(h->op_in, "argument");
		assert_string_equal(rings_payload(e), "a name of some length");
		/* the next request that comes into the entry */
		e = ask(0, 11, "a name of some length");
	}
}

/* The answers of two that died, the second longer */
static void nor_do_halves_of_two(void **state)
{
	struct rings_entry *e = ask(0, 11, "a name of some length");

	(void)state;
	rings_save(e);
	rings_save_payload(e, 5);
	memset(rings_payload(e), 'x', 5);
	rings_restore(e);
	rings_save_payload(e, 15);
	memset(rings_payload(e), 'y', 15);
	rings_restore(e);
	assert_string_equal(rings_payload(e), "a name of some length");
}

/* A worker that dies while it saves, and one that has answered what it was to answer */
static void what_was_saved_before_is_kept(void **state)
{
	struct rings_entry *e = ask(0, 12, "first");

	(void)state;
	rings_save(e);
	strcpy(rings_header(e)->op_in, "changed");
	rings_save(e);
	rings_restore(e);
	assert_string_equal(rings_header(e)->op_in, "argument");
	ask(0, 13, "second");
	assert_int_equal(rings_asked(e)->unique, 13);
	rings_save(e);
	assert_string_equal(e->saved_header.op_in, "argument");
	rings_restore(e);
	assert_string_equal(rings_payload(e), "second");
}

static void a_payload_that_nobody_needs_takes_no_memory(void **state)
{
	struct rings *own = rings_new(QUEUES, MOST, false);
	struct rings *all[2];

	(void)state;
	assert_non_null(own);
	all[0] = own;
	all[1] = rings;
	for (int i = 0; i < 2; i++) {
		struct rings_entry *e = rings_entry(all[i], MOST - 1);

		assert_int_equal(rings_open_entry(all[i], MOST - 1, 0), 0);
		memset(rings_payload(e), 'x', FS_MAX_TRANSFER);
		rings_drop_payload(all[i], e);
		assert_int_equal(rings_payload(e)[0], 0);
		assert_int_equal(rings_payload(e)[FS_MAX_TRANSFER - 1], 0);
	}
	rings_free(own);
}

static void a_failure_is_told(void **state)
{
	(void)state;
	rings_reach(rings, RINGS_MADE, 0);
	assert_int_equal(atomic_load(&rings->stage), RINGS_MADE);
	rings_reach(rings, RINGS_SERVED, -12);
	assert_int_equal(atomic_load(&rings->stage), RINGS_FAILED);
	assert_int_equal(atomic_load(&rings->error), -12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_request_is_there_for_the_next_one, setup, teardown),
		cmocka_unit_test_setup_teardown(half_an_answer_does_not_hurt_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(nor_do_halves_of_two, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_was_saved_before_is_kept,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_payload_that_nobody_needs_takes_no_memory, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_failure_is_told, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
