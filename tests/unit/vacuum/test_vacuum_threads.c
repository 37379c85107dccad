/* SPDX-License-Identifier: MIT */
/*
 * Vacuums beside writers and readers. Each writer has a key space of its own and
 * does the same to a database that is never vacuumed: both are the same in the
 * end. Readers see whole operations at all times, and no error.
 */
#include "vacuum_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "api/handle.h"

#define WRITERS 3u
#define READERS 2u
#define KEYS 60u

struct scene {
	struct place *p;
	banyan *twin;
	_Atomic bool stop;
	_Atomic unsigned wrong;
	_Atomic unsigned reads;
	_Atomic unsigned writes;
};

struct writer {
	struct scene *s;
	unsigned number;
	uint64_t random;
};

static void note_wrong(struct scene *s, const char *what, int rc)
{
	print_message("%s: %d\n", what, rc);
	atomic_fetch_add(&s->wrong, 1);
}

/* ---- writers ---------------------------------------------------------- */

static void some_path(struct writer *w, char path[32])
{
	sprintf(path, "w%u/k%u", w->number,
		(unsigned)test_below(&w->random, KEYS));
}

static int write_pieces(banyan *db, const char *path, const uint8_t *bytes)
{
	banyan_data *data = NULL;
	int rc = banyan_find(db, path, &data);
	if (rc)
		return rc;
	rc = banyan_write(data, bytes, 700, 0, BANYAN_APPEND, NULL);
	if (!rc)
		rc = banyan_write(data, bytes, 300, 20000, 0, NULL);
	if (!rc)
		rc = banyan_set_xattr(data, "user.x", bytes, 400, 0);
	banyan_release(data, 1);
	return rc;
}

static int clone_value(banyan *db, const char *from, const char *to)
{
	banyan_data *a = NULL, *b = NULL;
	int rc = banyan_find(db, from, &a);
	if (!rc)
		rc = banyan_find(db, to, &b);
	if (!rc && a != b)
		rc = (int)(banyan_clone(a, 0, b, 100, 30000) < 0);
	banyan_release(a, 1);
	banyan_release(b, 1);
	return rc;
}

/* Both keys or none; the sum of a pair is what readers look at */
static int put_pair(banyan *db, unsigned number, const uint8_t *bytes)
{
	char path[32];
	banyan *batch = NULL;
	int rc = banyan_begin(db, &batch);
	if (rc)
		return rc;
	sprintf(path, "w%u/pair1", number);
	rc = banyan_put(batch, path, bytes, 300, 0);
	sprintf(path, "w%u/pair2", number);
	if (!rc)
		rc = banyan_put(batch, path, bytes, 300, 0);
	if (!rc)
		return banyan_commit(batch);
	banyan_abort(batch);
	return rc;
}

static int do_one(const struct writer *w, banyan *db, unsigned kind,
		  const char *a, const char *b, const uint8_t *bytes,
		  size_t size)
{
	switch (kind) {
	case 0:
		return banyan_remove(db, a);
	case 1:
		return banyan_rename(db, a, b, 0);
	case 2:
		return banyan_alias(db, a, b);
	case 3:
		return write_pieces(db, a, bytes);
	case 4:
		return clone_value(db, a, b);
	case 5:
		return put_pair(db, w->number, bytes);
	default:
		return banyan_put(db, a, bytes, size, 0);
	}
}

static void *write_beside(void *arg)
{
	static const size_t sizes[] = { 10, 100, 300, 3000, 40000 };
	struct writer *w = arg;
	uint8_t *bytes = malloc(40000);
	while (bytes && !w->s->stop) {
		char a[32], b[32];
		unsigned kind = (unsigned)test_below(&w->random, 12);
		size_t size = sizes[test_below(&w->random, 5)];
		some_path(w, a);
		some_path(w, b);
		fill(bytes, 40000, w->random);
		int rc = do_one(w, w->s->p->db, kind, a, b, bytes, size);
		int said = do_one(w, w->s->twin, kind, a, b, bytes, size);
		if (rc != said)
			note_wrong(w->s, "a writer", rc);
		atomic_fetch_add(&w->s->writes, 1);
	}
	free(bytes);
	return NULL;
}

/* ---- readers ---------------------------------------------------------- */

static bool same_values(banyan *db, const char *a, const char *b)
{
	void *x = NULL, *y = NULL;
	size_t n = 0, m = 0;
	int rc = banyan_get(db, a, &x, &n);
	if (!rc)
		rc = banyan_get(db, b, &y, &m);
	bool same = !rc && n == m && memcmp(x, y, n) == 0;
	banyan_free(x);
	banyan_free(y);
	return same;
}

static int nothing(void *arg, const char *path, const struct banyan_entry *e)
{
	(void)arg;
	(void)path;
	(void)e;
	return 0;
}

/* A view is a moment: the pair is the same, and the counters are its own */
static void *read_beside(void *arg)
{
	struct scene *s = arg;
	banyan_data *held = NULL;
	uint64_t prints[2] = { 0 };
	uint8_t bytes[300];
	int rc = banyan_find(s->p->db, "w0/pair1", &held);
	for (unsigned n = 0; !rc && !s->stop; n++) {
		banyan *view = NULL;
		rc = banyan_view(s->p->db, &view);
		if (!rc && !same_values(view, "w1/pair1", "w1/pair2"))
			rc = -1000;
		if (!rc)
			rc = fingerprint(view, &prints[0]);
		if (!rc && banyan_read(held, bytes, sizeof(bytes), 0) != 300)
			rc = -1001;
		if (!rc)
			rc = banyan_walk(s->p->db, "w2", NULL, true, nothing,
					 NULL);
		if (!rc)
			rc = fingerprint(view, &prints[1]);
		if (!rc && prints[0] != prints[1])
			rc = -1002;
		banyan_close(view);
		atomic_fetch_add(&s->reads, 1);
	}
	banyan_release(held, 1);
	if (rc)
		note_wrong(s, "a reader", rc);
	return NULL;
}

static void *sync_beside(void *arg)
{
	struct scene *s = arg;
	for (unsigned n = 0; !s->stop; n++) {
		int rc = n % 3 ? banyan_sync(s->p->db) :
				 banyan_freeze(s->p->db);
		if (rc)
			note_wrong(s, "a sync", rc);
		usleep(2000);
	}
	return NULL;
}

/* ---- snapshots -------------------------------------------------------- */

#define KEPT 4u

struct kept_state {
	char name[32];
	uint64_t print;
};

static int look_at(banyan *db, const struct kept_state *k, uint64_t *print)
{
	banyan *view = NULL;
	int rc = banyan_view_snapshot(db, k->name, strlen(k->name), &view);
	if (!rc)
		rc = fingerprint(view, print);
	banyan_close(view);
	return rc;
}

/* Does it show what it has shown when it was taken? */
static int compare_kept(banyan *db, const struct kept_state *k)
{
	uint64_t print = 0;
	int rc = look_at(db, k, &print);
	return !rc && print != k->print ? -1003 : rc;
}

static int replace_kept(banyan *db, struct kept_state *k, unsigned n)
{
	char name[32];
	int rc = banyan_snapshot_drop(db, k->name, strlen(k->name));
	sprintf(name, "t%u", n);
	if (!rc || (rc == -ENOENT && !k->name[0]) || rc == -EINVAL)
		rc = banyan_snapshot(db, name, strlen(name));
	sprintf(k->name, "s%u", n);
	if (!rc)
		rc = banyan_snapshot_rename(db, name, strlen(name), k->name,
					    strlen(k->name));
	return rc ? rc : look_at(db, k, &k->print);
}

static void *snapshots_beside(void *arg)
{
	struct scene *s = arg;
	struct kept_state kept[KEPT] = { 0 };
	banyan *db = s->p->db;
	int rc = 0;
	for (unsigned n = 0; !rc && !s->stop; n++) {
		rc = replace_kept(db, &kept[n % KEPT], n);
		for (unsigned i = 0; !rc && i < KEPT; i++)
			if (kept[i].name[0])
				rc = compare_kept(db, &kept[i]);
		usleep(3000);
	}
	for (unsigned i = 0; !rc && i < KEPT; i++)
		if (kept[i].name[0])
			rc = compare_kept(db, &kept[i]);
	/* The twin has none */
	for (unsigned i = 0; !rc && i < KEPT; i++)
		if (kept[i].name[0])
			rc = banyan_snapshot_drop(db, kept[i].name,
						  strlen(kept[i].name));
	if (rc)
		note_wrong(s, "a snapshot", rc);
	return NULL;
}

/* ---- all of them ------------------------------------------------------ */

static unsigned vacuum_on(struct scene *s)
{
	unsigned vacuums = 0;
	unsigned wanted = getenv("BANYAN_LONG") ? 400 : 15;
	uint64_t freezes = 0;
	for (; vacuums < wanted / test_one_in(3) && !s->wrong; vacuums++) {
		unsigned before = s->writes;
		int rc = banyan_vacuum(s->p->db, NULL, NULL);
		if (rc)
			note_wrong(s, "a vacuum", rc);
		uint64_t now = stat_of(s->p->db).freezes;
		if (now <= freezes)
			note_wrong(s, "numbers of freezes", (int)now);
		freezes = now;
		while (s->writes < before + 300 && !s->wrong)
			usleep(500);
	}
	return vacuums;
}

static void start(struct scene *s, struct writer *w)
{
	static const uint8_t bytes[300];
	for (unsigned i = 0; i < WRITERS; i++) {
		char path[32];
		sprintf(path, "w%u", i);
		w[i] = (struct writer){ s, i, test_seed() + i };
		OK(banyan_make_space(s->p->db, path, 0));
		OK(banyan_make_space(s->twin, path, 0));
		OK(put_pair(s->p->db, i, bytes));
		OK(put_pair(s->twin, i, bytes));
	}
}

static void run(struct place *p, uint64_t cache_bytes, uint64_t table_limit)
{
	struct scene s = { .p = p, .twin = open_memory() };
	struct writer w[WRITERS];
	pthread_t thread[WRITERS + READERS + 2];
	unsigned n = 0;
	open_at(p, cache_bytes);
	if (table_limit)
		p->db->store->table_limit = table_limit;
	start(&s, w);
	for (unsigned i = 0; i < WRITERS; i++)
		OK(pthread_create(&thread[n++], NULL, write_beside, &w[i]));
	for (unsigned i = 0; i < READERS; i++)
		OK(pthread_create(&thread[n++], NULL, read_beside, &s));
	OK(pthread_create(&thread[n++], NULL, sync_beside, &s));
	OK(pthread_create(&thread[n++], NULL, snapshots_beside, &s));
	unsigned vacuums = vacuum_on(&s);
	s.stop = true;
	while (n)
		OK(pthread_join(thread[--n], NULL));
	print_message("%u vacuums, %u writes, %u reads\n", vacuums, s.writes,
		      s.reads);
	assert_int_equal(s.wrong, 0);
	assert_true(print_of(p->db) == print_of(s.twin));
	OK(banyan_close(p->db));
	expect_sound(p->path);
	open_at(p, 0);
	assert_true(print_of(p->db) == print_of(s.twin));
	OK(banyan_close(s.twin));
}

static void nothing_is_lost_beside_writers(void **state)
{
	run(*state, 0, 0);
}

/* Freezes all the time, in both files, and nodes that are read again */
static void nor_with_little_memory(void **state)
{
	run(*state, BANYAN_CACHE_MIN, 50000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_lost_beside_writers),
		TEST(nor_with_little_memory),
	};
#undef TEST
	return cmocka_run_group_tests(tests, NULL, NULL);
}
