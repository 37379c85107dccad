/* SPDX-License-Identifier: MIT */
/*
 * Undelete beside vacuums: what comes back is what was deleted, or it is gone;
 * never bytes at a place of another file.
 */
#include "vacuum_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define ROUNDS 60u

struct scene {
	struct place *p;
	_Atomic bool stop;
	_Atomic unsigned vacuums;
	_Atomic int failed;
};

static void *vacuum(void *arg)
{
	struct scene *s = arg;
	while (!atomic_load(&s->stop)) {
		int rc = banyan_vacuum(s->p->db, NULL, NULL);
		if (rc)
			atomic_store(&s->failed, rc);
		atomic_fetch_add(&s->vacuums, 1);
	}
	return NULL;
}

static void round_of(banyan *db, unsigned round, unsigned *back)
{
	static uint8_t bytes[40000];
	void *got = NULL;
	size_t size = 0;
	fill(bytes, sizeof(bytes), round);
	OK(banyan_put(db, "s/k", bytes, sizeof(bytes), BANYAN_PARENTS));
	put(db, "noise", "x");
	OK(banyan_remove(db, "s/k"));
	OK(banyan_remove(db, "s"));
	int rc = banyan_undelete(db, "s", NULL, NULL, NULL);
	if (rc == -ENODATA)
		return;
	OK(rc);
	++*back;
	/* A vacuum may have come between the two deletions */
	rc = banyan_get(db, "s/k", &got, &size);
	if (rc != -ENOENT) {
		OK(rc);
		assert_int_equal(size, sizeof(bytes));
		assert_memory_equal(got, bytes, size);
	}
	banyan_free(got);
}

static void beside_vacuums(void **state)
{
	struct scene s = { .p = *state };
	pthread_t thread;
	unsigned back = 0;
	open_at(s.p, 0);
	OK(pthread_create(&thread, NULL, vacuum, &s));
	for (unsigned i = 0; i < ROUNDS || s.vacuums < 20; i++)
		round_of(s.p->db, i, &back);
	atomic_store(&s.stop, true);
	OK(pthread_join(thread, NULL));
	OK(s.failed);
	assert_true(back > 0);
	OK(banyan_close(s.p->db));
	expect_sound(s.p->path);
	unlink(s.p->path);
	rmdir(s.p->dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(beside_vacuums, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
