/* SPDX-License-Identifier: MIT */
/*
 * What is answered when something fails after the store has made a key. libfuse
 * is played here: the last answer is kept. banyan_get_attr() and banyan_delete()
 * fail when they are told to.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/commit.h"
#include "fs/fs.h"
#include "fs/options.h"

static struct {
	struct options options;
	struct fs fs;
	struct fuse_lowlevel_ops ops;
	struct fuse_ctx ctx;
	int error; /* the last answer; -1: none, 0: an entry */
	int send_error; /* what sending an entry says */
	bool attr_fails, delete_fails;
} w;

#define REQ ((fuse_req_t)&w)

void *__wrap_fuse_req_userdata(fuse_req_t req);
const struct fuse_ctx *__wrap_fuse_req_ctx(fuse_req_t req);
int __wrap_fuse_reply_err(fuse_req_t req, int error);
int __wrap_fuse_reply_entry(fuse_req_t req, const struct fuse_entry_param *e);
int __wrap_fuse_reply_create(fuse_req_t req, const struct fuse_entry_param *e,
			     const struct fuse_file_info *fi);
int __wrap_banyan_get_attr(banyan_data *data, struct banyan_attr *attr);
int __real_banyan_get_attr(banyan_data *data, struct banyan_attr *attr);
int __wrap_banyan_delete(banyan_data *space, const char *name, size_t len,
			 unsigned flags, banyan_data **data);
int __real_banyan_delete(banyan_data *space, const char *name, size_t len,
			 unsigned flags, banyan_data **data);

void *__wrap_fuse_req_userdata(fuse_req_t req)
{
	(void)req;
	return &w.fs;
}

const struct fuse_ctx *__wrap_fuse_req_ctx(fuse_req_t req)
{
	(void)req;
	return &w.ctx;
}

int __wrap_fuse_reply_err(fuse_req_t req, int error)
{
	(void)req;
	assert_int_equal(w.error, -1); /* exactly one answer */
	w.error = error;
	return 0;
}

int __wrap_fuse_reply_entry(fuse_req_t req, const struct fuse_entry_param *e)
{
	assert_true(e->ino != 0);
	__wrap_fuse_reply_err(req, 0);
	return w.send_error;
}

int __wrap_fuse_reply_create(fuse_req_t req, const struct fuse_entry_param *e,
			     const struct fuse_file_info *fi)
{
	assert_true(fi->keep_cache);
	return __wrap_fuse_reply_entry(req, e);
}

int __wrap_banyan_get_attr(banyan_data *data, struct banyan_attr *attr)
{
	return w.attr_fails ? -ENOMEM : __real_banyan_get_attr(data, attr);
}

int __wrap_banyan_delete(banyan_data *space, const char *name, size_t len,
			 unsigned flags, banyan_data **data)
{
	return w.delete_fails ?
		       -EIO :
		       __real_banyan_delete(space, name, len, flags, data);
}

/* ---- the calls -------------------------------------------------------- */

static void make_space(const char *name)
{
	w.ops.mkdir(REQ, FUSE_ROOT_ID, name, 0755);
}

static void make_node(const char *name)
{
	w.ops.mknod(REQ, FUSE_ROOT_ID, name, S_IFIFO | 0644, 0);
}

static void make_link(const char *name)
{
	w.ops.symlink(REQ, "target", FUSE_ROOT_ID, name);
}

static void create(const char *name)
{
	struct fuse_file_info fi = { 0 };

	w.ops.create(REQ, FUSE_ROOT_ID, name, 0644, &fi);
}

static void make_alias(const char *name)
{
	banyan_data *root = banyan_root(w.fs.db), *data;

	assert_int_equal(banyan_search(root, "old", 3, &data, NULL), 0);
	w.ops.link(REQ, banyan_id(data), FUSE_ROOT_ID, name);
	banyan_release(data, 1);
}

static void (*const makers[])(const char *name) = {
	make_space, make_node, make_link, create, make_alias,
};

#define EACH(make)                                           \
	for (void (*const *make)(const char *name) = makers; \
	     make < makers + sizeof(makers) / sizeof(makers[0]); make++)

static int answer(void (*make)(const char *name), const char *name)
{
	w.error = -1;
	make(name);
	assert_true(w.error >= 0);
	return w.error;
}

static bool exists(const char *name)
{
	banyan_data *data;
	int rc = banyan_search(banyan_root(w.fs.db), name, strlen(name), &data,
			       NULL);

	if (!rc)
		banyan_release(data, 1);
	else
		assert_int_equal(rc, -ENOENT);
	return !rc;
}

static bool is_held(const char *name)
{
	banyan_data *data;
	uint64_t id;

	assert_int_equal(banyan_find(w.fs.db, name, &data), 0);
	id = banyan_id(data);
	banyan_release(data, 1);
	return banyan_held(w.fs.db, id);
}

static int open_all(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.fs.options = &w.options;
	fs_ops_name(&w.ops);
	return banyan_open(":memory:", NULL, &w.fs.db) ||
	       commit_start(w.fs.db, 0, &w.fs.commit) ||
	       banyan_put(w.fs.db, "old", "x", 1, 0);
}

static int close_all(void **state)
{
	(void)state;
	commit_stop(w.fs.commit);
	return banyan_close(w.fs.db);
}

/* ---- the tests -------------------------------------------------------- */

/* The kernel may have the name as absent, for ever */
static void what_cannot_be_told_is_not_made(void **state)
{
	(void)state;
	EACH(make)
	{
		w.attr_fails = true;
		/* What is known of the space spares a look at it */
		banyan_set_tag(banyan_root(w.fs.db), UINT8_MAX, false);
		assert_int_equal(answer(*make, "new"), ENOMEM);
		assert_false(exists("new"));
		w.attr_fails = false;
		assert_int_equal(answer(*make, "new"), 0);
		assert_true(exists("new"));
		assert_int_equal(banyan_remove(w.fs.db, "new"), 0);
	}
	assert_true(exists("old"));
}

/* This makes the kernel forget what it knows of the name */
static void or_it_is_said_to_exist(void **state)
{
	(void)state;
	w.attr_fails = w.delete_fails = true;
	assert_int_equal(answer(make_alias, "new"), EEXIST);
	assert_true(exists("new"));
}

static void an_answer_that_is_lost_leaves_no_hold(void **state)
{
	(void)state;
	EACH(make)
	{
		w.send_error = make == makers ? -EIO : -ENOENT;
		answer(*make, "new");
		assert_false(is_held("new"));
		assert_int_equal(banyan_remove(w.fs.db, "new"), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_cannot_be_told_is_not_made,
						open_all, close_all),
		cmocka_unit_test_setup_teardown(or_it_is_said_to_exist,
						open_all, close_all),
		cmocka_unit_test_setup_teardown(
			an_answer_that_is_lost_leaves_no_hold, open_all,
			close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
