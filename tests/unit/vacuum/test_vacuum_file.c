/* SPDX-License-Identifier: MIT */
/* The file that takes the place of another: what it inherits, what is refused */
#include "vacuum_fixture.h"

#include <sys/xattr.h>

/* What the kernel keeps of:
 * user::rw-,user:1234:r--,group::---,mask::r--,other::--- */
static const uint8_t acl[] = {
	2,    0,    0,	  0,	1,    0,    6,	  0,	0xff, 0xff, 0xff,
	0xff, 2,    0,	  4,	0,    0xd2, 0x04, 0,	0,    4,    0,
	0,    0,    0xff, 0xff, 0xff, 0xff, 16,	  0,	4,    0,    0xff,
	0xff, 0xff, 0xff, 32,	0,    0,    0,	  0xff, 0xff, 0xff, 0xff,
};
#define ACL "system.posix_acl_access"

static void it_has_mode_owner_and_attributes_of_the_old_one(void **state)
{
	struct place *p = *state;
	struct stat was, is;
	char large[2000], got[2000];
	bool root = geteuid() == 0;
	memset(large, 'x', sizeof(large));
	open_at(p, 0);
	put(p->db, "a", "b");
	if (root)
		OK(chown(p->path, 1234, 4321));
	OK(chmod(p->path, 06610));
	bool xattrs = !setxattr(p->path, "user.small", "y", 1, 0) &&
		      !setxattr(p->path, "user.large", large, 2000, 0);
	bool acls = !setxattr(p->path, ACL, acl, sizeof(acl), 0);
	OK(stat(p->path, &was));
	OK(banyan_vacuum(p->db, NULL, NULL));
	OK(stat(p->path, &is));
	assert_int_not_equal(was.st_ino, is.st_ino);
	assert_int_equal(was.st_mode, is.st_mode);
	assert_int_equal(was.st_uid, is.st_uid);
	assert_int_equal(was.st_gid, is.st_gid);
	print_message("%sroot, %sxattrs, %sACLs\n", root ? "" : "not ",
		      xattrs ? "" : "no ", acls ? "" : "no ");
	if (xattrs) {
		assert_int_equal(getxattr(p->path, "user.small", got, 10), 1);
		assert_int_equal(getxattr(p->path, "user.large", got, 2000),
				 2000);
		assert_memory_equal(got, large, 2000);
	}
	if (acls) {
		assert_int_equal(getxattr(p->path, ACL, got, sizeof(got)),
				 sizeof(acl));
		assert_memory_equal(got, acl, sizeof(acl));
	}
}

static void refused(struct place *p, int why)
{
	struct stat was, is;
	uint64_t print = print_of(p->db);
	unsigned files = files_in(p);
	OK(stat(p->path, &was));
	assert_int_equal(banyan_vacuum(p->db, NULL, NULL), why);
	OK(stat(p->path, &is));
	assert_int_equal(was.st_ino, is.st_ino);
	assert_int_equal(files_in(p), files);
	assert_true(print == print_of(p->db));
	put(p->db, "written", "afterwards");
	OK(banyan_sync(p->db));
}

static void other_path(const struct place *p, char other[TEMP_FILE_MAX])
{
	temp_path(other, p->dir, "other");
}

static void a_file_with_other_names_is_left_alone(void **state)
{
	struct place *p = *state;
	char other[TEMP_FILE_MAX];
	other_path(p, other);
	open_at(p, 0);
	put(p->db, "a", "b");
	OK(link(p->path, other));
	refused(p, -EMLINK);
	OK(unlink(other));
	OK(banyan_vacuum(p->db, NULL, NULL));
}

static void so_is_one_that_was_moved(void **state)
{
	struct place *p = *state;
	char other[TEMP_FILE_MAX];
	other_path(p, other);
	open_at(p, 0);
	put(p->db, "a", "b");
	OK(rename(p->path, other));
	assert_int_equal(banyan_vacuum(p->db, NULL, NULL), -ESTALE);
	OK(link(other, p->path));
	OK(unlink(other));
	OK(banyan_vacuum(p->db, NULL, NULL));
	OK(rename(p->path, other));
	int fd = open(p->path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	OK(close(fd));
	refused(p, -ESTALE);
	OK(rename(other, p->path));
	OK(banyan_vacuum(p->db, NULL, NULL));
}

static void move_away(struct amid *a)
{
	OK(rename(a->p->path, a->arg));
}

static void link_it(struct amid *a)
{
	OK(link(a->p->path, a->arg));
}

static void also_if_it_happens_meanwhile(void **state)
{
	struct place *p = *state;
	char other[TEMP_FILE_MAX];
	struct amid move = { .p = p, .call = move_away, .arg = other };
	struct amid twice = { .p = p, .call = link_it, .arg = other };
	other_path(p, other);
	open_at(p, 0);
	put(p->db, "a", "b");
	assert_int_equal(vacuum_amid(&move), -ESTALE);
	assert_int_equal(access(p->path, F_OK), -1);
	assert_int_equal(files_in(p), 1);
	OK(rename(other, p->path));
	assert_int_equal(vacuum_amid(&twice), -EMLINK);
	assert_int_equal(files_in(p), 2);
	OK(unlink(other));
	put(p->db, "c", "d");
	OK(banyan_vacuum(p->db, NULL, NULL));
}

static void through_a_link_the_file_is_replaced_and_the_link_stays(void **state)
{
	struct place *p = *state;
	char other[TEMP_FILE_MAX];
	struct banyan_options o = { 0 };
	struct stat st;
	banyan *db = NULL;
	other_path(p, other);
	open_at(p, 0);
	put(p->db, "a", "b");
	OK(banyan_close(p->db));
	OK(symlink("db", other));
	OK(banyan_open(other, &o, &p->db));
	OK(banyan_vacuum(p->db, NULL, NULL));
	OK(lstat(other, &st));
	assert_true(S_ISLNK(st.st_mode));
	/* It is locked by the one who has vacuumed it */
	assert_int_equal(banyan_open(p->path, &o, &db), -EBUSY);
	assert_int_equal(banyan_vacuum(p->db, NULL, NULL), 0);
	assert_key(p->db, "a", "b");
	OK(unlink(other));
}

#define TEXT "what somebody overwrites"

/* Where TEXT is in the file, other bytes */
static void overwrite(const struct place *p, const char *with)
{
	size_t size = (size_t)size_at(p->path);
	uint8_t *all = malloc(size);
	int fd = open(p->path, O_RDWR);
	assert_true(fd >= 0 && all);
	assert_int_equal(pread(fd, all, size, 0), size);
	const uint8_t *found = memmem(all, size, TEXT, strlen(TEXT));
	if (!found)
		found = memmem(all, size, "WHAT", 4);
	assert_non_null(found);
	assert_int_equal(pwrite(fd, with, strlen(with), found - all),
			 strlen(with));
	OK(close(fd));
	free(all);
}

/* Nothing of it is taken for what it was, and the old file stays */
static void a_damaged_value_is_not_copied(void **state)
{
	struct place *p = *state;
	struct stat was, is;
	char value[4000];
	open_at(p, 0);
	memset(value, 'x', sizeof(value));
	memcpy(value + 2000, TEXT, strlen(TEXT));
	OK(banyan_put(p->db, "bad", value, sizeof(value), 0));
	put(p->db, "good", "value");
	overwrite(p, "WHAT");
	OK(stat(p->path, &was));
	assert_int_equal(banyan_vacuum(p->db, NULL, NULL), -EBADMSG);
	OK(stat(p->path, &is));
	assert_int_equal(was.st_ino, is.st_ino);
	assert_int_equal(files_in(p), 1);
	put(p->db, "another", "value");
	assert_key(p->db, "good", "value");
	overwrite(p, TEXT);
	OK(banyan_vacuum(p->db, NULL, NULL));
	assert_key(p->db, "another", "value");
	OK(banyan_remove(p->db, "bad"));
	OK(banyan_vacuum(p->db, NULL, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_has_mode_owner_and_attributes_of_the_old_one),
		TEST(a_file_with_other_names_is_left_alone),
		TEST(so_is_one_that_was_moved),
		TEST(also_if_it_happens_meanwhile),
		TEST(through_a_link_the_file_is_replaced_and_the_link_stays),
		TEST(a_damaged_value_is_not_copied),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
