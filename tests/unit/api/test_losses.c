/* SPDX-License-Identifier: MIT */
/* banyan_vacuum_losses(): what a vacuum would drop, but for freezes */
#include <sys/stat.h>

#include "history_fixture.h"

#include "tests/support/random.h"
#include "tests/support/temp.h"

#define TEXT_ALL (1u << 20)

struct losses {
	char text[TEXT_ALL];
	size_t len;
	unsigned freezes;
};

static struct losses found;

/* A deleted key is -PATH:SIZE, a version PATH:EVENT SIZE */
static int note_loss(void *arg, const struct banyan_loss *loss)
{
	struct losses *l = arg;
	char *to = l->text + l->len;
	if (loss->kind == BANYAN_LOSS_FREEZE) {
		assert_null(loss->path);
		l->freezes++;
		return 0;
	}
	assert_true(l->len + strlen(loss->path) + 60 < sizeof(l->text));
	if (loss->kind == BANYAN_LOSS_KEY)
		l->len += (size_t)sprintf(to, "-%s%s:%llu ", loss->path,
					  S_ISDIR(loss->type) ? "/" : "",
					  (unsigned long long)loss->size);
	else
		l->len += (size_t)sprintf(to, "%s%s:%c%llu ", loss->path,
					  S_ISDIR(loss->type) ? "/" : "",
					  event_sign(loss->event),
					  (unsigned long long)loss->size);
	return 0;
}

static const char *losses_of(banyan *db, uint64_t keep)
{
	const struct banyan_vacuum_options o = { .keep = keep };
	found.len = 0;
	found.freezes = 0;
	*found.text = '\0';
	OK(banyan_vacuum_losses(db, &o, note_loss, &found));
	return found.text;
}

static void assert_losses(banyan *db, const char *wanted)
{
	assert_string_equal(losses_of(db, 0), wanted);
}

static void snapshot(banyan *db, const char *name)
{
	OK(banyan_snapshot(db, name, strlen(name)));
}

static void deleted_keys_and_earlier_versions(void **state)
{
	banyan *db = open_memory();
	(void)state;
	assert_losses(db, "");
	put(db, "a", "1");
	put(db, "d/b", "22");
	assert_losses(db, "");
	put(db, "a", "333");
	put(db, "gone", "4444");
	OK(banyan_remove(db, "gone"));
	assert_losses(db, "-gone:4 a:n1 ");
	put(db, "d/b", "");
	OK(banyan_remove(db, "a"));
	put(db, "a", "55555");
	assert_losses(db, "-gone:4 a:n1 a:c3 d/b:n2 ");
	OK(banyan_vacuum(db, NULL, NULL));
	assert_losses(db, "");
	put(db, "a", "6");
	assert_losses(db, "a:k5 ");
	OK(banyan_close(db));
}

static void what_a_snapshot_has_is_not_told(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	put(db, "b", "1");
	snapshot(db, "s");
	assert_losses(db, "");
	put(db, "a", "22");
	OK(banyan_remove(db, "b"));
	assert_losses(db, "");
	put(db, "a", "333");
	put(db, "b", "4444");
	OK(banyan_remove(db, "b"));
	assert_losses(db, "-b:4 a:c2 ");
	snapshot(db, "t");
	put(db, "a", "");
	assert_losses(db, "-b:4 a:c2 ");
	/* After a vacuum the way from one snapshot to the next is one step */
	OK(banyan_vacuum(db, NULL, NULL));
	assert_losses(db, "");
	put(db, "a", "55555");
	assert_losses(db, "a:c0 ");
	OK(banyan_snapshot_drop(db, "t", 1));
	assert_losses(db, "a:c3 a:c0 ");
	OK(banyan_snapshot_drop(db, "s", 1));
	assert_losses(db, "-b:1 a:k1 a:c3 a:c0 ");
	OK(banyan_close(db));
}

/* A punch ends the past in front of which snapshots lie */
static void what_a_snapshot_has_from_before_a_punch(void **state)
{
	char path[TEMP_FILE_MAX], dir[TEMP_MAX];
	struct banyan_options o = { .flags = BANYAN_CREATE };
	banyan *db = NULL;
	(void)state;
	assert_int_equal(temp_directory(dir, TEMP_IN_MEMORY), 0);
	temp_path(path, dir, "db");
	OK(banyan_open(path, &o, &db));
	for (const char *k = "abcef"; *k; k++)
		put(db, (char[]){ *k, '\0' }, "1");
	put(db, "d/x", "1");
	OK(banyan_alias(db, "e", "e2"));
	OK(banyan_alias(db, "f", "f2"));
	snapshot(db, "r");
	put(db, "c", "22");
	put(db, "f", "22");
	put(db, "g", "22");
	snapshot(db, "s");
	put(db, "a", "333");
	put(db, "g", "333");
	put(db, "h", "333");
	OK(banyan_vacuum_punch(db, NULL, NULL));
	assert_losses(db, "");
	/* c, e and f have not changed since the last snapshot, b since both. But
	 * what has lost an alias has changed. */
	for (const char *k = "abcefgh"; *k; k++)
		OK(banyan_remove(db, (char[]){ *k, '\0' }));
	OK(banyan_remove(db, "e2"));
	OK(banyan_remove(db, "f2"));
	OK(banyan_remove(db, "d/x"));
	OK(banyan_remove(db, "d"));
	assert_losses(db, "-f2:2 -e2:1 -h:3 -g:3 -a:3 ");
	for (const char *k = "abc"; *k; k++)
		put(db, (char[]){ *k, '\0' }, "4444");
	assert_losses(db, "-f2:2 -e2:1 -h:3 -g:3 a:k3 ");
	OK(banyan_close(db));
	OK(unlink(path));
	OK(rmdir(dir));
}

static void freezes_that_are_young_enough_are_kept(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	OK(banyan_freeze(db));
	put(db, "a", "22");
	put(db, "a", "333");
	assert_string_equal(losses_of(db, 3600), "a:c2 ");
	assert_int_equal(found.freezes, 0);
	assert_string_equal(losses_of(db, 0), "a:n1 a:c2 ");
	assert_int_equal(found.freezes, 2);
	snapshot(db, "s");
	assert_string_equal(losses_of(db, 0), "a:n1 a:c2 ");
	assert_int_equal(found.freezes, 2);
	OK(banyan_close(db));
}

static void what_was_moved_is_not_lost(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	OK(banyan_rename(db, "a", "b", 0));
	assert_losses(db, "");
	put(db, "a", "22");
	OK(banyan_rename(db, "a", "b", BANYAN_EXCHANGE));
	assert_losses(db, "");
	OK(banyan_rename(db, "a", "b", 0)); /* as an editor saves */
	assert_losses(db, "b:r2 ");
	put(db, "s/k", "333");
	put(db, "s/k", "4444");
	OK(banyan_rename(db, "s", "t", 0));
	assert_losses(db, "b:r2 t/k:n3 ");
	OK(banyan_close(db));
}

static void what_lives_on_is_not_lost(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "a", "1");
	OK(banyan_alias(db, "a", "b"));
	assert_losses(db, "a:n1 "); /* it had one key */
	snapshot(db, "s");
	OK(banyan_remove(db, "a"));
	put(db, "a", "22");
	assert_losses(db, "b:n1 ");
	put(db, "b", "333"); /* one key, and then new contents */
	assert_losses(db, "b:n1 b:a1 ");
	put(db, "c", "4444");
	OK(banyan_rename(db, "c", "b", 0));
	assert_losses(db, "b:c3 b:n1 b:a1 ");
	OK(banyan_close(db));
}

static void attributes_are_versions(void **state)
{
	banyan *db = open_memory();
	const struct banyan_attr mode = { .mode = 0700 };
	(void)state;
	put(db, "a", "1");
	OK(banyan_make_space(db, "d", 0));
	put(db, "d/x", "y"); /* changes its times only */
	assert_losses(db, "");
	banyan_data *a = find(db, "a"), *d = find(db, "d");
	OK(banyan_set_attr(a, &mode, BANYAN_SET_MODE, NULL));
	OK(banyan_set_attr(d, &mode, BANYAN_SET_MODE, NULL));
	assert_losses(db, "a:n1 d/:n0 ");
	OK(banyan_set_xattr(a, "user.x", "1", 1, 0));
	OK(banyan_set_xattr(d, "user.x", "1", 1, 0));
	OK(banyan_set_attr(banyan_root(db), &mode, BANYAN_SET_MODE, NULL));
	assert_losses(db, "a:n1 a:a1 /:k0 d/:n0 d/:a0 ");
	banyan_release(a, 1);
	banyan_release(d, 1);
	OK(banyan_close(db));
}

static void in_key_spaces_that_were_replaced(void **state)
{
	banyan *db = open_memory();
	(void)state;
	put(db, "d/e/k", "1");
	put(db, "d/e/l", "1");
	put(db, "d/e/k", "22");
	remove_tree(db, "d");
	assert_losses(db, "-d/:0 -d/e/:0 -d/e/k:2 -d/e/l:1 ");
	put(db, "d/e/k", "333");
	assert_losses(db, "-d/e/l:1 d/:n0 d/e/:n0 d/e/k:n1 d/e/k:c2 ");
	OK(banyan_close(db));
}

/* ---- as banyan_log() has it ------------------------------------------- */

struct one_key {
	struct banyan_version version[400]; /* newest first */
	unsigned count;
};

static int collect_version(void *arg, const struct banyan_version *version)
{
	struct one_key *k = arg;
	assert_true(k->count < 400);
	k->version[k->count++] = *version;
	return 0;
}

struct comparison {
	banyan *db;
	const char *snapshot; /* NULL: there is none */
	char text[TEXT_ALL];
	size_t len;
};

static bool in_snapshot(const struct comparison *c, const char *path,
			const struct banyan_attr *attr)
{
	banyan *view = NULL;
	banyan_data *data = NULL;
	bool same = false;
	if (!c->snapshot)
		return false;
	OK(banyan_view_snapshot(c->db, c->snapshot, strlen(c->snapshot),
				&view));
	if (!banyan_find(view, path, &data)) {
		struct banyan_attr then = attr_of(data);
		same = then.id == attr->id &&
		       (S_ISDIR(attr->mode) ||
			(then.ctime.sec == attr->ctime.sec &&
			 then.ctime.nsec == attr->ctime.nsec));
		banyan_release(data, 1);
	}
	OK(banyan_close(view));
	return same;
}

/* Lost is each version but the last, and those that were moved away */
static void expect_key(struct comparison *c, const char *path)
{
	static struct one_key k;
	k.count = 0;
	OK(banyan_log(c->db, path, collect_version, &k));
	for (unsigned i = k.count; i-- > 1;) {
		const struct banyan_version *v = &k.version[i];
		if (v->event == BANYAN_MOVED || v->event == BANYAN_DELETED ||
		    v[-1].event == BANYAN_MOVED ||
		    in_snapshot(c, path, &v->attr))
			continue;
		c->len += (size_t)sprintf(c->text + c->len, "%s%s:%c%llu ",
					  path,
					  S_ISDIR(v->attr.mode) ? "/" : "",
					  event_sign(v->event),
					  (unsigned long long)v->attr.size);
		assert_true(c->len + 400 < sizeof(c->text));
	}
}

static int expect_entry(void *arg, const char *path,
			const struct banyan_entry *entry)
{
	(void)entry;
	expect_key(arg, path);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Words in order of their bytes. Where all of the way to a key was replaced over a
 * gap, the log says that the key was replaced, too: that is as good as made. */
static void sort_words(char *text)
{
	for (char *at = text; (at = strstr(at, ":r"));)
		at[1] = 'n';
	static char *word[20000];
	static char sorted[TEXT_ALL];
	size_t count = 0, len = 0;
	for (char *at = strtok(text, " "); at; at = strtok(NULL, " "))
		word[count++] = at;
	assert_true(count < 20000);
	qsort(word, count, sizeof(*word), by_text);
	*sorted = '\0';
	for (size_t i = 0; i < count; i++)
		len += (size_t)sprintf(sorted + len, "%s ", word[i]);
	strcpy(text, sorted);
}

static void one_operation(banyan *db, uint64_t *seed)
{
	static const char *const paths[] = { "a", "b", "d/a", "d/b", "e/a" };
	static char bytes[200000];
	const char *path = paths[test_below(seed, 5)];
	const char *other = paths[test_below(seed, 5)];
	const struct banyan_attr mode = { .mode = 0600 | (uint32_t)test_below(
								 seed, 64) };
	banyan_data *data = NULL;
	switch (test_below(seed, 12)) {
	case 0:
		if (has_key(db, "d"))
			remove_tree(db, "d");
		break;
	case 1:
	case 2:
		(void)banyan_remove(db, path);
		break;
	case 3:
	case 4:
		(void)banyan_rename(db, path, other, 0);
		break;
	case 5:
		if (banyan_find(db, path, &data))
			break;
		OK(banyan_set_attr(data, &mode, BANYAN_SET_MODE, NULL));
		banyan_release(data, 1);
		break;
	case 6:
		if (banyan_find(db, path, &data))
			break;
		OK(banyan_write(data, "piece", 5, test_below(seed, 20) * 65536,
				0, NULL));
		banyan_release(data, 1);
		break;
	case 7:
		OK(banyan_freeze(db));
		break;
	default:
		memset(bytes, (int)test_below(seed, 256), sizeof(bytes));
		OK(banyan_put(db, path, bytes,
			      test_below(seed, 3) ? test_below(seed, 600) :
						    test_below(seed, 200000),
			      BANYAN_PARENTS));
	}
}

static void compare_with_logs(banyan *db, const char *name)
{
	static struct comparison c;
	c = (struct comparison){ .db = db, .snapshot = name };
	OK(banyan_walk(db, "", NULL, true, expect_entry, &c));
	char *text = (char *)(uintptr_t)losses_of(db, 0);
	const char *at = text;
	char *to = text;
	/* Deleted keys have tests of their own */
	for (const char *next; *at; at = next) {
		size_t len = strcspn(at, " ") + 1;
		next = at + len;
		if (*at == '-')
			continue;
		memmove(to, at, len);
		to += len;
	}
	*to = '\0';
	sort_words(text);
	sort_words(c.text);
	assert_string_equal(text, c.text);
}

static void as_the_logs_of_all_keys_have_it(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 60 / test_one_in(4); round++) {
		uint64_t seed = round;
		banyan *db = open_memory();
		for (unsigned i = 0; i < 60; i++)
			one_operation(db, &seed);
		compare_with_logs(db, NULL);
		if (round % 2)
			OK(banyan_vacuum(db, NULL, NULL));
		snapshot(db, "s");
		for (unsigned i = 0; i < 60; i++)
			one_operation(db, &seed);
		compare_with_logs(db, "s");
		OK(banyan_vacuum(db, NULL, NULL));
		for (unsigned i = 0; i < 30; i++)
			one_operation(db, &seed);
		compare_with_logs(db, "s");
		OK(banyan_close(db));
	}
}

/* ---- the call --------------------------------------------------------- */

static int end_it(void *arg, const struct banyan_loss *loss)
{
	(void)loss;
	return ++*(int *)arg == 2 ? 7 : 0;
}

static void a_visit_can_end_it(void **state)
{
	banyan *db = open_memory();
	banyan *view = NULL;
	int calls = 0;
	(void)state;
	put(db, "a", "1");
	put(db, "a", "22");
	put(db, "a", "333");
	assert_int_equal(banyan_vacuum_losses(db, NULL, end_it, &calls), 7);
	assert_int_equal(calls, 2);
	assert_int_equal(banyan_vacuum_losses(db, NULL, NULL, NULL), -EINVAL);
	OK(banyan_view(db, &view));
	assert_int_equal(banyan_vacuum_losses(view, NULL, end_it, &calls),
			 -EINVAL);
	OK(banyan_close(view));
	OK(banyan_close(db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleted_keys_and_earlier_versions),
		cmocka_unit_test(what_a_snapshot_has_is_not_told),
		cmocka_unit_test(what_a_snapshot_has_from_before_a_punch),
		cmocka_unit_test(freezes_that_are_young_enough_are_kept),
		cmocka_unit_test(what_was_moved_is_not_lost),
		cmocka_unit_test(what_lives_on_is_not_lost),
		cmocka_unit_test(attributes_are_versions),
		cmocka_unit_test(in_key_spaces_that_were_replaced),
		cmocka_unit_test(as_the_logs_of_all_keys_have_it),
		cmocka_unit_test(a_visit_can_end_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
