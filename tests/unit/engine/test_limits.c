/* SPDX-License-Identifier: MIT */
/*
 * What is as long, as large or as far as it may be comes back, now, after a
 * freeze and after opening again; what is a byte more is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/handle.h"
#include "tests/support/fault_file.h"

#define END ((uint64_t)INT64_MAX)

struct fixture {
	struct file *file;
	banyan *db;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct banyan_options o = { 0 };
	*state = x;
	return !x || fault_file_new(NULL, 0, &x->file) ||
	       handle_open_file(x->file, &o, true, &x->db);
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	int rc = banyan_close(x->db);
	fault_file_free(x->file);
	free(x);
	return rc;
}

/* As it is, then frozen, then after the process has died, then closed */
#define WAYS 4
static void go_on(struct fixture *x, unsigned way)
{
	struct banyan_options o = { 0 };
	struct file *after = NULL;
	if (way == 1)
		assert_int_equal(banyan_freeze(x->db), 0);
	if (way < 2)
		return;
	size_t events = fault_file_events(x->file);
	assert_int_equal(banyan_close(x->db), 0);
	if (way == 3)
		events = fault_file_events(x->file);
	assert_int_equal(fault_file_after_cut(x->file, events, FAULT_KEEP, 0,
					      &after),
			 0);
	fault_file_free(x->file);
	x->file = after;
	assert_int_equal(handle_open_file(x->file, &o, false, &x->db), 0);
}

static void attributes_of_any_length(void **state)
{
	static const size_t size[] = { 0,    1,	    1023,  1024,
				       1025, 16384, 16385, BANYAN_XATTR_MAX };
	static uint8_t value[BANYAN_XATTR_MAX + 1];
	static uint8_t back[BANYAN_XATTR_MAX + 1];
	struct fixture *x = *state;
	banyan_data *d = NULL;
	char name[300] = "user.";
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(banyan_put(x->db, "k", "v", 1, 0), 0);
	for (unsigned way = 0; way < WAYS; way++) {
		assert_int_equal(banyan_find(x->db, "k", &d), 0);
		for (unsigned i = 0; i < sizeof(size) / sizeof(*size); i++) {
			sprintf(name, "user.%zu", size[i]);
			if (way == 0)
				assert_int_equal(banyan_set_xattr(d, name,
								  value,
								  size[i], 0),
						 0);
			assert_int_equal(banyan_get_xattr(d, name, back,
							  sizeof(back)),
					 size[i]);
			assert_memory_equal(back, value, size[i]);
		}
		assert_int_equal(banyan_set_xattr(d, "user.more", value,
						  sizeof(value), 0),
				 -E2BIG);
		memset(name, 'n', sizeof(name));
		name[BANYAN_NAME_MAX] = '\0';
		assert_int_equal(banyan_set_xattr(d, name, "x", 1, 0), 0);
		assert_int_equal(banyan_get_xattr(d, name, back, 1), 1);
		name[BANYAN_NAME_MAX] = 'n';
		name[BANYAN_NAME_MAX + 1] = '\0';
		assert_int_equal(banyan_set_xattr(d, name, "x", 1, 0), -ERANGE);
		banyan_release(d, 1);
		go_on(x, way);
	}
}

/* One byte many times: is it a name? */
static bool make_name(unsigned byte, size_t len, char *name)
{
	memset(name, (int)byte, len);
	return byte != 0 && byte != '/' && !(byte == '.' && len < 3);
}

static void names_of_any_byte_and_length(void **state)
{
	static const size_t length[] = { 1, 2, 7, 8, 254, 255 };
	struct fixture *x = *state;
	struct banyan_new make = { .mode = 0100644, .size = 1, .value = "v" };
	char name[300];
	char back[8];
	for (unsigned way = 0; way < WAYS; way++) {
		banyan_data *root = banyan_root(x->db);
		for (unsigned i = 0; i < 6; i++)
			for (unsigned byte = 0; byte < 256; byte++) {
				int rc = make_name(byte, length[i], name) ?
						 0 :
						 -EINVAL;
				if (way == 0)
					assert_int_equal(
						banyan_insert(root, name,
							      length[i], &make,
							      NULL, NULL),
						rc);
				if (!rc)
					assert_int_equal(
						banyan_fetch(root, name,
							     length[i], back,
							     sizeof(back)),
						1);
			}
		memset(name, 'a', sizeof(name));
		assert_int_equal(banyan_insert(root, name, 256, &make, NULL,
					       NULL),
				 -ENAMETOOLONG);
		assert_int_equal(banyan_insert(root, name, 0, &make, NULL,
					       NULL),
				 -EINVAL);
		assert_int_equal(banyan_fetch(root, name, 256, back, 8),
				 -ENAMETOOLONG);
		assert_int_equal(banyan_fetch(root, name, 0, back, 8), -ENOENT);
		go_on(x, way);
	}
}

static void look_at_the_end(banyan_data *d)
{
	char back[8] = "";
	struct banyan_attr attr;
	assert_int_equal(banyan_get_attr(d, &attr), 0);
	assert_int_equal(attr.size, END);
	assert_int_equal(banyan_read(d, back, 8, END - 4), 4);
	assert_memory_equal(back, "last", 4);
	assert_int_equal(banyan_read(d, back, 8, END - 12), 8);
	assert_memory_equal(back, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(banyan_read(d, back, 8, END), 0);
	assert_int_equal(banyan_read(d, back, 8, UINT64_MAX), 0);
	assert_int_equal(banyan_seek_data(d, 0), 0);
	assert_int_equal(banyan_seek_hole(d, 0), 600);
	assert_int_equal(banyan_seek_data(d, 600), END - 4);
	assert_int_equal(banyan_seek_hole(d, END - 1), END);
	assert_int_equal(banyan_seek_hole(d, END), -ENXIO);
}

static void values_as_large_as_can_be(void **state)
{
	static char first[600];
	struct fixture *x = *state;
	banyan_data *d = NULL;
	banyan_data *e = NULL;
	assert_int_equal(banyan_put(x->db, "k", first, sizeof(first), 0), 0);
	assert_int_equal(banyan_put(x->db, "e", "", 0, 0), 0);
	for (unsigned way = 0; way < WAYS; way++) {
		assert_int_equal(banyan_find(x->db, "k", &d), 0);
		assert_int_equal(banyan_find(x->db, "e", &e), 0);
		assert_int_equal(banyan_write(d, "last", 4, END - 4, 0, NULL),
				 0);
		look_at_the_end(d);
		assert_int_equal(banyan_write(d, "x", 1, END, 0, NULL), -EFBIG);
		assert_int_equal(banyan_write(d, "xy", 2, END - 1, 0, NULL),
				 -EFBIG);
		assert_int_equal(banyan_write(d, "x", 1, UINT64_MAX, 0, NULL),
				 -EFBIG);
		assert_int_equal(banyan_write(d, "x", 1, 0, BANYAN_APPEND,
					      NULL),
				 -EFBIG);
		assert_int_equal(banyan_truncate(d, END + 1), -EFBIG);
		assert_int_equal(banyan_truncate(d, END), 0);
		assert_int_equal(banyan_punch(d, END - 8, 4, false), 0);
		assert_int_equal(banyan_punch(d, END - 4, 5, false), -EFBIG);
		look_at_the_end(d);
		assert_int_equal(banyan_clone(d, 0, e, 0, END), END);
		look_at_the_end(e);
		assert_int_equal(banyan_clone(d, 0, e, 1, END), -EFBIG);
		assert_int_equal(banyan_truncate(e, 0), 0);
		banyan_release(d, 1);
		banyan_release(e, 1);
		go_on(x, way);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(attributes_of_any_length),
		TEST(names_of_any_byte_and_length),
		TEST(values_as_large_as_can_be),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
