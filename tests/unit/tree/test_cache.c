/* SPDX-License-Identifier: MIT */
#include "tests/support/tree_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define ROWS 100000
#define ROWS_A_LEAF 250 /* not more than lie in one */
#define LEAF_COST_MAX 12000 /* what one leaf takes in the cache, at most */

struct state {
	struct test_file file;
	struct cache *cache;
	struct tree tree;
	uint64_t seed;
};

static int set_up(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	test_file_init(&s->file);
	if (cache_new(64u << 20, &s->cache))
		return -1;
	s->tree = test_numbers(s->cache, &s->file, ROWS);
	s->seed = test_seed();
	*out = s;
	return 0;
}

static int tear_down(void **in)
{
	struct state *s = *in;
	cache_free(s->cache);
	test_file_free(&s->file);
	free(s);
	return 0;
}

static struct cache_stat stat_of(struct state *s)
{
	struct cache_stat stat;
	cache_get_stat(s->cache, &stat);
	return stat;
}

static int look_up(struct state *s, uint64_t i, struct row_value *value)
{
	uint8_t key[TEST_NUMBER_KEY];
	put_be64(key, 10 * i);
	return btree_lookup(s->cache, &s->tree, key, sizeof(key), value);
}

static void look_up_all(struct state *s)
{
	struct row_value value;
	for (uint64_t i = 0; i < ROWS; i += 50) {
		assert_int_equal(look_up(s, i, &value), 0);
		assert_int_equal(get_le32(value.bytes), i);
	}
}

static const struct node *get_root(struct state *s)
{
	const struct node *root;
	assert_int_equal(cache_get(s->cache, &s->file.file, &s->tree.root,
				   s->tree.height - 1, &root),
			 0);
	return root;
}

static void a_node_is_loaded_once(void **in)
{
	struct state *s = *in;
	cache_set_limit(s->cache, 0);
	cache_set_limit(s->cache, 64u << 20);
	uint64_t before = stat_of(s).misses;
	look_up_all(s);
	uint64_t after = stat_of(s).misses;
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	assert_int_equal(after - before,
			 shape.nodes[0] + shape.nodes[1] + shape.nodes[2]);
	uint64_t hits = stat_of(s).hits;
	look_up_all(s);
	assert_int_equal(stat_of(s).misses, after);
	assert_int_equal(stat_of(s).hits, hits + ROWS / 50 * s->tree.height);
}

static void the_same_node_is_the_same_pointer(void **in)
{
	struct state *s = *in;
	const struct node *a = get_root(s);
	const struct node *b = get_root(s);
	assert_ptr_equal(a, b);
	cache_put(s->cache, a);
	cache_put(s->cache, b);
}

static void counts_more_than_the_bytes_of_nodes(void **in)
{
	struct state *s = *in;
	look_up_all(s);
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	assert_true(stat_of(s).bytes > shape.bytes[0] + shape.bytes[1] +
					       shape.bytes[2] + 6 * ROWS);
}

static void the_limit_holds(void **in)
{
	struct state *s = *in;
	for (uint64_t limit = 4u << 20; limit > 10000; limit /= 2) {
		cache_set_limit(s->cache, limit);
		assert_int_equal(stat_of(s).limit, limit);
		assert_true(stat_of(s).bytes <= limit);
		look_up_all(s);
		assert_true(stat_of(s).bytes <= limit);
	}
	cache_set_limit(s->cache, 0);
	assert_int_equal(stat_of(s).bytes, 0);
	look_up_all(s);
	assert_int_equal(stat_of(s).bytes, 0);
}

static void nodes_in_use_are_not_evicted(void **in)
{
	struct state *s = *in;
	const struct node *root = get_root(s);
	const struct node *child;
	assert_int_equal(cache_get_child(s->cache, root, 0, &child), 0);
	cache_set_limit(s->cache, 0);
	assert_true(stat_of(s).bytes > 0);
	uint64_t misses = stat_of(s).misses;
	const struct node *again = get_root(s);
	assert_ptr_equal(root, again);
	assert_int_equal(stat_of(s).misses, misses);
	assert_int_equal(root->count > 0, 1);
	cache_put(s->cache, again);
	cache_put(s->cache, child);
	cache_put(s->cache, root);
	assert_int_equal(stat_of(s).bytes, 0);
	cache_put(s->cache, NULL);
}

/* Let n leaves from leaf i on pass through the cache; the misses on the way */
static uint64_t touch_leaves(struct state *s, unsigned from, unsigned n)
{
	struct row_value value;
	uint64_t before = stat_of(s).misses;

	for (unsigned i = from; i < from + n; i++)
		assert_int_equal(look_up(s, (uint64_t)i * ROWS_A_LEAF % ROWS,
					 &value),
				 0);
	return stat_of(s).misses - before;
}

static struct node_ref leaf_ref(struct state *s, uint64_t row)
{
	uint8_t key[TEST_NUMBER_KEY];
	struct node_ref ref = s->tree.root;

	put_be64(key, 10 * row);
	for (unsigned level = s->tree.height - 1; level > 0; level--) {
		const struct node *node;
		assert_int_equal(cache_get(s->cache, &s->file.file, &ref, level,
					   &node),
				 0);
		int i = node_search_child(node, key, sizeof(key));
		node_child(node, (unsigned)i, &ref);
		cache_put(s->cache, node);
	}
	return ref;
}

/* A few turns of the hand, during which only leaves are asked for */
static void leaves_go_before_inner_nodes(void **in)
{
	struct state *s = *in;
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	struct node_ref *leaves = calloc(shape.nodes[0], sizeof(*leaves));
	size_t count = 0;

	assert_non_null(leaves);
	for (uint64_t row = 0; row < ROWS; row++) {
		struct node_ref ref = leaf_ref(s, row);
		if (!count || leaves[count - 1].offset != ref.offset)
			leaves[count++] = ref;
	}
	assert_int_equal(count, shape.nodes[0]);
	cache_set_limit(s->cache, shape.bytes[0] / 2);
	leaf_ref(s, 0);
	leaf_ref(s, ROWS - 1);
	for (size_t i = 0; i < count; i++) {
		const struct node *node;
		assert_int_equal(cache_get(s->cache, &s->file.file, &leaves[i],
					   0, &node),
				 0);
		cache_put(s->cache, node);
	}
	free(leaves);
	uint64_t before = stat_of(s).misses;
	leaf_ref(s, 0);
	leaf_ref(s, ROWS - 1);
	assert_int_equal(stat_of(s).misses, before);
}

static void a_scan_displaces_little_that_is_in_use(void **in)
{
	struct state *s = *in;
	struct test_shape shape = test_shape_of(s->cache, &s->tree);
	uint64_t misses = 0;

	cache_set_limit(s->cache, shape.bytes[0] / 4);
	for (unsigned i = 0; i < ROWS / ROWS_A_LEAF; i++) {
		touch_leaves(s, i, 1);
		if (i % 10 == 0)
			misses += touch_leaves(s, 100, 5);
	}
	/* Five leaves to begin with, and some while the cache fills */
	assert_true(misses < 10);
}

static void errors_of_the_file_come_back(void **in)
{
	struct state *s = *in;
	const struct node *node = NULL;
	unsigned level = s->tree.height - 1;
	cache_set_limit(s->cache, 0);
	atomic_store(&s->file.fail_read_in, 1);
	assert_int_equal(cache_get(s->cache, &s->file.file, &s->tree.root,
				   level, &node),
			 -EIO);
	struct node_ref ref = s->tree.root;
	ref.crc ^= 1;
	assert_int_equal(cache_get(s->cache, &s->file.file, &ref, level, &node),
			 -EBADMSG);
	ref = s->tree.root;
	ref.offset = UINT64_MAX - 10;
	assert_int_equal(cache_get(s->cache, &s->file.file, &ref, level, &node),
			 -EUCLEAN);
	assert_null(node);
	assert_int_equal(stat_of(s).bytes, 0);
}

/* A reference that lies gets nothing because an honest one was there before */
static void a_reference_is_checked_on_a_hit_too(void **in)
{
	struct state *s = *in;
	const struct node *root = get_root(s);
	const struct node *node = NULL;
	unsigned level = s->tree.height - 1;
	struct node_ref ref = s->tree.root;
	ref.crc ^= 1;
	assert_int_equal(cache_get(s->cache, &s->file.file, &ref, level, &node),
			 -EBADMSG);
	ref = s->tree.root;
	ref.length--;
	assert_int_equal(cache_get(s->cache, &s->file.file, &ref, level, &node),
			 -EBADMSG);
	assert_int_equal(cache_get(s->cache, &s->file.file, &s->tree.root,
				   level + 1, &node),
			 -EUCLEAN);
	assert_null(node);
	cache_put(s->cache, root);
}

/* ---- threads ---------------------------------------------------------- */

#define THREADS 8

struct worker {
	struct state *state;
	uint64_t random;
	uint64_t most; /* bytes seen in the cache */
	unsigned wrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct row_value value;

	for (unsigned n = 0; n < 4000; n++) {
		uint64_t i = test_below(&w->random, ROWS);
		if (look_up(w->state, i, &value) || get_le32(value.bytes) != i)
			w->wrong++;
		struct cache_stat stat = stat_of(w->state);
		if (stat.bytes > w->most)
			w->most = stat.bytes;
	}
	return NULL;
}

static void run_threads(struct state *s, uint64_t limit)
{
	pthread_t threads[THREADS];
	struct worker workers[THREADS];

	cache_set_limit(s->cache, limit);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ s, s->seed + i, 0, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, work,
						&workers[i]),
				 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].wrong, 0);
		/* Each has two nodes in use and one on its way */
		assert_true(workers[i].most <=
			    limit + THREADS * 3 * LEAF_COST_MAX);
	}
	assert_true(stat_of(s).bytes <= limit);
}

static void the_limit_holds_while_many_threads_look_up(void **in)
{
	struct state *s = *in;
	run_threads(s, 600000);
	run_threads(s, 100000);
	run_threads(s, 0);
	run_threads(s, 64u << 20);
}

struct passer {
	struct state *s;
	_Atomic bool stop;
	_Atomic bool failed;
	_Atomic uint64_t looked;
};

static void *pass_by(void *arg)
{
	struct passer *p = arg;
	struct row_value value;
	for (uint64_t i = 0; !p->stop; i = (i + 997) % ROWS) {
		if (look_up(p->s, i, &value))
			p->failed = true;
		p->looked++;
	}
	return NULL;
}

static void who_stays_does_not_make_others_fill_the_memory(void **in)
{
	struct state *s = *in;
	struct passer p = { .s = s };
	pthread_t thread;
	cache_set_limit(s->cache, 0);
	unsigned slot = cache_enter(s->cache);
	assert_int_equal(pthread_create(&thread, NULL, pass_by, &p), 0);
	usleep(300000);
	uint64_t waiting = stat_of(s).waiting;
	uint64_t looked = p.looked;
	cache_leave(s->cache, slot);
	while (p.looked < looked + 1000 && !p.failed)
		usleep(1000);
	p.stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(p.failed);
	print_message("%ju bytes waited, after %ju reads\n", (uintmax_t)waiting,
		      (uintmax_t)looked);
	assert_true(looked > 0);
	assert_true(waiting > 0 && waiting < 4u << 20);
	assert_int_equal(stat_of(s).waiting, 0);
}

/* One node that is evicted whenever nobody has it, which is all the time */
static void *get_and_put(void *arg)
{
	struct state *s = arg;
	for (unsigned i = 0; i < 60000 / test_one_in(10); i++) {
		const struct node *root = NULL;
		if (cache_get(s->cache, &s->file.file, &s->tree.root,
			      s->tree.height - 1, &root))
			return NULL;
		bool whole = root->ref.offset == s->tree.root.offset &&
			     root->level + 1u == s->tree.height;
		cache_put(s->cache, root);
		if (!whole)
			return NULL;
	}
	return arg;
}

static void who_has_a_node_keeps_it_while_it_is_evicted(void **in)
{
	struct state *s = *in;
	pthread_t threads[THREADS];
	void *ok = NULL;
	cache_set_limit(s->cache, 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, get_and_put, s), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &ok), 0);
		assert_non_null(ok);
	}
	assert_int_equal(stat_of(s).bytes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_node_is_loaded_once),
		TEST(the_same_node_is_the_same_pointer),
		TEST(counts_more_than_the_bytes_of_nodes),
		TEST(the_limit_holds),
		TEST(nodes_in_use_are_not_evicted),
		TEST(leaves_go_before_inner_nodes),
		TEST(a_scan_displaces_little_that_is_in_use),
		TEST(errors_of_the_file_come_back),
		TEST(a_reference_is_checked_on_a_hit_too),
		TEST(the_limit_holds_while_many_threads_look_up),
		TEST(who_stays_does_not_make_others_fill_the_memory),
		TEST(who_has_a_node_keeps_it_while_it_is_evicted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
