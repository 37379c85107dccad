/* SPDX-License-Identifier: MIT */
/* Who may open a local file, who holds it, and what others inherit. */
#include "file_fixture.h"

#include <sys/wait.h>

/* Where a sync takes no time, so that races are run often */
static int set_up_quick(void **out)
{
	return set_up_in(out, TEMP_IN_MEMORY);
}

/* Run in a process of its own; fails if it says anything but 0 */
static void in_child(int (*run)(void *arg), void *arg)
{
	int status = -1;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run(arg));
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int can_read_but_not_write(void *arg)
{
	struct file *f = NULL;
	(void)arg;
	if (file_open("a", true, NULL, &f) != -EBUSY)
		return 1;
	if (file_open("a", false, NULL, &f))
		return 2;
	file_close(f);
	return 0;
}

static int can_write(void *arg)
{
	struct file *f = NULL;
	(void)arg;
	if (file_open("a", true, NULL, &f))
		return 1;
	file_close(f);
	return 0;
}

static void one_writer_keeps_others_out_and_readers_not(void **in)
{
	struct state *s = *in;
	assert_int_equal(file_publish(s->f, false), 0);
	in_child(can_read_but_not_write, NULL);
	assert_int_equal(try_open("a", true), -EBUSY);
	/* Closing other descriptors of the file has not taken the lock away */
	assert_int_equal(try_open("a", false), 0);
	in_child(can_read_but_not_write, NULL);
	file_close(s->f);
	s->f = NULL;
	in_child(can_write, NULL);
	assert_int_equal(file_open("a", true, NULL, &s->f), 0);
	assert_int_equal(try_open("a", false), 0);
	in_child(can_read_but_not_write, NULL);
}

static int holder_is_the_parent(void *arg)
{
	struct file *f = arg;
	if (file_holder("a") != getppid())
		return 1;
	/* It is inherited, but the pid that it carries is not mine to change */
	return file_claim(f) == -EBUSY ? 0 : 2;
}

static int claims_after_its_parent(void *arg)
{
	return file_claim(arg) || file_holder("a") != getpid();
}

static void tells_who_holds_a_file(void **in)
{
	struct state *s = *in;
	assert_int_equal(file_holder("a"), -ENOENT);
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(file_holder("a"), -1);
	/* As a daemon does: its parent never claimed */
	in_child(claims_after_its_parent, s->f);
	assert_int_equal(file_holder("a"), -1);
	assert_int_equal(file_claim(s->f), 0);
	assert_int_equal(file_claim(s->f), 0);
	in_child(holder_is_the_parent, s->f);
	file_close(s->f);
	s->f = NULL;
	assert_int_equal(file_holder("a"), 0);
}

static void only_a_locked_local_file_is_claimed(void **in)
{
	struct state *s = *in;
	struct file *f = NULL;
	assert_int_equal(file_memory(&f), 0);
	assert_int_equal(file_claim(f), 0);
	file_close(f);
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(file_open("a", false, NULL, &f), 0);
	assert_int_equal(file_claim(f), 0);
	assert_int_equal(file_holder("a"), -1);
	file_close(f);
}

/* The new file's lock is taken before it has its name */
static void a_replaced_file_is_held_without_a_gap(void **in)
{
	struct state *s = *in;
	struct file *next = NULL;
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(file_create("a", 0600, NULL, &next), 0);
	assert_int_equal(file_publish(next, true), 0);
	file_close(s->f);
	s->f = next;
	in_child(can_read_but_not_write, NULL);
}

/* As a vacuum does it: with the locks of the old file and of the new one */
static int replace_once(void)
{
	struct file *old = NULL;
	struct file *new = NULL;
	int rc = file_open("a", true, NULL, &old);
	if (rc == -EBUSY)
		return 0;
	if (!rc)
		rc = file_create("a", 0600, NULL, &new);
	if (!rc)
		rc = file_publish(new, true);
	file_close(old);
	file_close(new);
	return rc;
}

static int replace_on_and_on(void)
{
	int rc = 0;
	alarm(30); /* whatever becomes of the parent */
	while (!rc && !exists("stop"))
		rc = replace_once();
	return rc;
}

/* What I write to a file that I have locked can be seen under its name */
static bool is_the_named_one(struct file *f)
{
	struct stat st;
	uint64_t end = size_of(f);
	append_at(f, "x", 1, end);
	assert_int_equal(stat("a", &st), 0);
	return (uint64_t)st.st_size == end + 1;
}

static void never_locks_a_file_that_was_swapped_away(void **in)
{
	struct state *s = *in;
	unsigned opened = 0;
	unsigned wrong = 0;
	int status = -1;
	assert_int_equal(file_publish(s->f, false), 0);
	file_close(s->f);
	s->f = NULL;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(replace_on_and_on() != 0);
	for (unsigned i = 0; i < 200000 && opened < 20000; i++) {
		struct file *f = NULL;
		int rc = file_open("a", true, NULL, &f);
		wrong += rc != 0 && rc != -EBUSY;
		if (rc)
			continue;
		wrong += !is_the_named_one(f);
		file_close(f);
		opened++;
	}
	touch("stop");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(wrong, 0);
	assert_true(opened > 0);
}

/* How many descriptors there are of the test's directory and files in it */
static unsigned descriptors(const struct state *s, bool *inherited)
{
	unsigned found = 0;
	for (int fd = 3; fd < 64; fd++) {
		char link[64];
		char path[300];
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		if (n < 0)
			continue;
		path[n] = 0;
		if (strncmp(path, s->directory, strlen(s->directory)) != 0)
			continue;
		found++;
		if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			*inherited = true;
	}
	return found;
}

static void descriptors_are_closed_and_not_inherited(void **in)
{
	struct state *s = *in;
	bool inherited = false;
	/* The file and its directory */
	assert_int_equal(descriptors(s, &inherited), 2);
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(descriptors(s, &inherited), 2);
	file_close(s->f);
	assert_int_equal(descriptors(s, &inherited), 0);
	assert_int_equal(file_open("a", true, NULL, &s->f), 0);
	assert_int_equal(try_open("a", true), -EBUSY);
	assert_int_equal(file_holder("a"), -1);
	assert_int_equal(descriptors(s, &inherited), 2);
	assert_false(inherited);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_writer_keeps_others_out_and_readers_not,
			set_up_local, tear_down),
		cmocka_unit_test_setup_teardown(tells_who_holds_a_file,
						set_up_local, tear_down),
		cmocka_unit_test_setup_teardown(
			only_a_locked_local_file_is_claimed, set_up_local,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_replaced_file_is_held_without_a_gap, set_up_local,
			tear_down),
		cmocka_unit_test_setup_teardown(
			never_locks_a_file_that_was_swapped_away, set_up_quick,
			tear_down),
		cmocka_unit_test_setup_teardown(
			descriptors_are_closed_and_not_inherited, set_up_local,
			tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
