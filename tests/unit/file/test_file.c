/* SPDX-License-Identifier: MIT */
/*
 * Files: what both kinds promise, then what only a local file does: the way a
 * new one gets its name, what may be opened, and reserved space.
 */
#include "file_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "tests/support/random.h"

static int set_up_memory(void **out)
{
	struct state *s = calloc(1, sizeof(*s));
	*out = s;
	return s && !enter_directory(s, TEMP_ON_DISK) ? file_memory(&s->f) : -1;
}

/* How many names the working directory has */
static unsigned names(void)
{
	unsigned n = 0;
	DIR *d = opendir(".");
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static void publish_new(const char *path)
{
	struct file *f = NULL;
	assert_int_equal(file_create(path, 0600, NULL, &f), 0);
	assert_int_equal(file_publish(f, false), 0);
	file_close(f);
}

/* ---- both kinds ------------------------------------------------------- */

static void reads_back_what_was_appended(void **in)
{
	struct state *s = *in;
	static uint8_t model[3u << 20];
	static uint8_t got[3u << 20];
	uint64_t random = test_seed();
	size_t size = 0;
	for (size_t i = 0; i < sizeof(model); i++)
		model[i] = (uint8_t)test_random(&random);
	while (size < sizeof(model)) {
		size_t n = test_below(&random, size > 5000 ? 300000 : 700);
		if (n > sizeof(model) - size)
			n = sizeof(model) - size;
		size += append_at(s->f, model + size, n, size);
		assert_int_equal(size_of(s->f), size);
		for (unsigned i = 0; i < 20; i++) {
			size_t at = test_below(&random, size + 1);
			size_t len = test_below(&random, size - at + 1);
			assert_int_equal(file_read(s->f, got, len, at), 0);
			assert_memory_equal(got, model + at, len);
		}
	}
	assert_int_equal(file_sync(s->f), 0);
	assert_int_equal(file_drop_cache(s->f, 5000), 0);
	assert_int_equal(file_read(s->f, got, size, 0), 0);
	assert_memory_equal(got, model, size);
}

static void nothing_can_be_read_beyond_the_end(void **in)
{
	struct state *s = *in;
	char got[20];
	assert_int_equal(file_read(s->f, got, 0, 0), 0);
	assert_int_equal(file_read(s->f, got, 1, 0), -ENODATA);
	append_at(s->f, "0123456789", 10, 0);
	assert_int_equal(file_read(s->f, got, 10, 0), 0);
	assert_int_equal(file_read(s->f, got, 11, 0), -ENODATA);
	assert_int_equal(file_read(s->f, got, 1, 10), -ENODATA);
	assert_int_equal(file_read(s->f, got, 1, INT64_MAX), -ENODATA);
	assert_int_equal(file_read(s->f, got, 1, UINT64_MAX), -ENODATA);
	assert_int_equal(file_read(s->f, got, 20, UINT64_MAX - 5), -ENODATA);
}

static void what_is_left_out_reads_as_zeros(void **in)
{
	struct state *s = *in;
	uint64_t far = ((uint64_t)5 << 20) + 17;
	char got[12];
	append_at(s->f, "begin", 5, 0);
	append_at(s->f, "end", 3, far);
	assert_int_equal(size_of(s->f), far + 3);
	assert_int_equal(file_read(s->f, got, 7, 0), 0);
	assert_memory_equal(got, "begin\0\0", 7);
	assert_int_equal(file_read(s->f, got, 9, far - 6), 0);
	assert_memory_equal(got, "\0\0\0\0\0\0end", 9);
	assert_int_equal(file_read(s->f, got, 5, (3u << 20) - 2), 0);
	assert_memory_equal(got, "\0\0\0\0\0", 5);
}

/* More than the kernel takes at once, empty ones at both ends and between */
static void appends_any_number_of_pieces(void **in)
{
	struct state *s = *in;
	enum { PIECES = 3000 };
	static char bytes[3 * PIECES];
	static struct iovec iov[PIECES];
	static char got[3 * PIECES];
	size_t size = 0;
	size_t written = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * i >> 3);
	for (size_t i = 0; i < PIECES; i++) {
		size_t len = i > 2 && i < PIECES - 2 ? i % 4 : 0;
		iov[i] = (struct iovec){ bytes + size, len };
		size += len;
	}
	assert_int_equal(file_append(s->f, iov, PIECES, 7, &written), 0);
	assert_int_equal(written, size);
	assert_int_equal(size_of(s->f), 7 + size);
	assert_int_equal(file_read(s->f, got, size, 7), 0);
	assert_memory_equal(got, bytes, size);
	written = 1;
	assert_int_equal(file_append(s->f, iov, 0, 7 + size, &written), 0);
	assert_int_equal(written, 0);
	assert_int_equal(size_of(s->f), 7 + size);
}

/* Alone and among small ones, each with more than one call takes */
static void appends_large_pieces(void **in)
{
	struct state *s = *in;
	static const size_t len[] = { 3,      700000, 0,      131072, 5,
				      131071, 9,      131073, 1,      262144 };
	enum { PIECES = sizeof(len) / sizeof(len[0]) };
	static char bytes[1500000];
	static char got[sizeof(bytes)];
	struct iovec iov[PIECES];
	size_t size = 0;
	size_t written = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * i >> 5);
	for (size_t i = 0; i < PIECES; i++) {
		iov[i] = (struct iovec){ bytes + size, len[i] };
		size += len[i];
	}
	assert_int_equal(file_append(s->f, iov, PIECES, 11, &written), 0);
	assert_int_equal(written, size);
	assert_int_equal(size_of(s->f), 11 + size);
	assert_int_equal(file_read(s->f, got, size, 11), 0);
	assert_memory_equal(got, bytes, size);
}

struct beside {
	struct file *f;
	_Atomic uint64_t end; /* what was appended so far */
	_Atomic bool failed;
};

#define BESIDE_SIZE (6u << 20)

static uint8_t beside_byte(uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) + (at >> 20));
}

static void *read_beside(void *arg)
{
	struct beside *b = arg;
	uint64_t random = 1;
	uint64_t end = 0;
	uint8_t got[5000];
	while (end < BESIDE_SIZE) {
		end = atomic_load(&b->end);
		size_t n = end < sizeof(got) ? (size_t)end : sizeof(got);
		uint64_t at = end - n;
		if (test_below(&random, 2))
			at = test_below(&random, at + 1);
		bool bad = file_read(b->f, got, n, at) != 0;
		for (size_t i = 0; i < n && !bad; i++)
			bad = got[i] != beside_byte(at + i);
		if (bad)
			atomic_store(&b->failed, true);
	}
	return NULL;
}

static void reads_may_run_beside_an_append(void **in)
{
	struct state *s = *in;
	struct beside b = { .f = s->f };
	uint64_t random = test_seed();
	uint8_t piece[9000];
	pthread_t threads[2];
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_beside, &b), 0);
	for (uint64_t end = 0; end < BESIDE_SIZE; atomic_store(&b.end, end)) {
		size_t n = 1 + test_below(&random, sizeof(piece));
		if (n > BESIDE_SIZE - end)
			n = BESIDE_SIZE - end;
		for (size_t i = 0; i < n; i++)
			piece[i] = beside_byte(end + i);
		end += append_at(s->f, piece, n, end);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_false(b.failed);
}

/* ---- a new file ------------------------------------------------------- */

static void a_new_file_is_hidden_until_it_is_published(void **in)
{
	struct state *s = *in;
	char got[5];
	assert_false(exists("a"));
	assert_int_equal(try_open("a", true), -ENOENT);
	append_at(s->f, "hello", 5, 0);
	assert_int_equal(file_publish(s->f, false), 0);
	assert_true(exists("a"));
	assert_int_equal(names(), 1);
	file_close(s->f);
	assert_int_equal(file_open("a", true, NULL, &s->f), 0);
	assert_int_equal(file_read(s->f, got, 5, 0), 0);
	assert_memory_equal(got, "hello", 5);
}

static void an_unpublished_file_goes_when_it_is_closed(void **in)
{
	struct state *s = *in;
	file_close(s->f);
	s->f = NULL;
	assert_int_equal(names(), 0);
}

static void publishing_spares_a_file_that_is_there(void **in)
{
	struct state *s = *in;
	struct stat before, after;
	touch("a");
	assert_int_equal(stat("a", &before), 0);
	assert_int_equal(file_publish(s->f, false), -EEXIST);
	assert_int_equal(stat("a", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	append_at(s->f, "new", 3, 0);
	assert_int_equal(file_publish(s->f, true), 0);
	assert_int_equal(stat("a", &after), 0);
	assert_int_equal(after.st_size, 3);
	assert_int_equal(names(), 1);
}

static void the_mode_is_the_one_asked_for(void **in)
{
	struct file *f = NULL;
	struct stat st;
	(void)in;
	mode_t mask = umask(077);
	assert_int_equal(file_create("b", 0664, NULL, &f), 0);
	umask(mask);
	assert_int_equal(file_publish(f, false), 0);
	file_close(f);
	assert_int_equal(stat("b", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
}

static void the_directory_is_found_again_after_chdir(void **in)
{
	struct state *s = *in;
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(chdir(s->directory), 0);
	assert_true(exists("a"));
}

static void the_longest_name_can_be_made(void **in)
{
	char name[257];
	(void)in;
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	assert_int_equal(try_open(name, true), -ENAMETOOLONG);
	name[255] = 0;
	memcpy(name + 237, "\xc3\xa4", 2); /* where the name is cut */
	publish_new(name);
	assert_true(exists(name));
	assert_int_equal(try_open(name, true), 0);
}

static void a_symbolic_link_is_followed(void **in)
{
	struct state *s = *in;
	struct file *f = NULL;
	struct stat st;
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(symlink("a", "link"), 0);
	assert_int_equal(try_open("link", true), -EBUSY);
	assert_int_equal(file_create("link", 0600, NULL, &f), 0);
	append_at(f, "new", 3, 0);
	assert_int_equal(file_publish(f, true), 0);
	file_close(f);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat("a", &st), 0);
	assert_int_equal(st.st_size, 3);
}

/* Of this name, not locked; whoever is at work on one keeps it */
static void what_a_crash_left_goes_at_the_next_open(void **in)
{
	struct state *s = *in;
	struct file *busy = NULL;
	assert_int_equal(file_publish(s->f, false), 0);
	file_close(s->f);
	s->f = NULL;
	assert_int_equal(file_create("a", 0600, NULL, &busy), 0);
	touch(".a.banyan-0123abcd");
	assert_int_equal(link("a", ".a.banyan-00000000"), 0);
	touch(".a.banyan-0123abcx");
	touch(".a.banyan-0123abcd0");
	touch(".b.banyan-0123abcd");
	assert_int_equal(names(), 7);
	assert_int_equal(try_open("a", false), 0);
	assert_int_equal(names(), 7);
	assert_int_equal(try_open("a", true), 0);
	assert_int_equal(names(), 5);
	assert_false(exists(".a.banyan-0123abcd"));
	assert_false(exists(".a.banyan-00000000"));
	assert_int_equal(file_publish(busy, true), 0);
	file_close(busy);
	assert_int_equal(names(), 4);
}

/* ---- opening ---------------------------------------------------------- */

static void opens_regular_files_only(void **in)
{
	(void)in;
	alarm(20); /* opening a FIFO would wait for ever */
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("directory", 0700), 0);
	for (int writable = 0; writable < 2; writable++) {
		assert_int_equal(try_open("fifo", writable), -EINVAL);
		assert_int_equal(try_open("/dev/null", writable), -EINVAL);
		assert_int_equal(try_open("directory", writable), -EISDIR);
		assert_int_equal(try_open("directory/", writable), -EISDIR);
		assert_int_equal(try_open(".", writable), -EISDIR);
		assert_int_equal(try_open("/", writable), -EISDIR);
		assert_int_equal(try_open("", writable), -ENOENT);
		assert_int_equal(try_open("none", writable), -ENOENT);
		assert_int_equal(try_open("none/a", writable), -ENOENT);
		assert_int_equal(try_open("fifo/a", writable), -ENOTDIR);
	}
	alarm(0);
}

static void creates_only_where_a_file_can_be(void **in)
{
	struct file *f = NULL;
	(void)in;
	assert_int_equal(file_create("none/a", 0600, NULL, &f), -ENOENT);
	assert_int_equal(file_create("", 0600, NULL, &f), -ENOENT);
	assert_int_equal(file_create("new/", 0600, NULL, &f), -ENOENT);
	assert_null(f);
	assert_int_equal(names(), 1);
}

static void a_file_opened_to_read_takes_no_bytes(void **in)
{
	struct state *s = *in;
	struct file *f = NULL;
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	size_t written = 1;
	assert_int_equal(file_publish(s->f, false), 0);
	assert_int_equal(file_open("a", false, NULL, &f), 0);
	assert_int_equal(file_append(f, &iov, 1, 0, &written), -EBADF);
	assert_int_equal(written, 0);
	file_close(f);
}

/* ---- space ------------------------------------------------------------ */

static uint64_t allocated(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void reserves_space_without_changing_the_size(void **in)
{
	struct state *s = *in;
	char got[6];
	assert_int_equal(file_publish(s->f, false), 0);
	append_at(s->f, "before", 6, 0);
	int rc = file_reserve(s->f, 8u << 20);
	if (rc == -EOPNOTSUPP) {
		assert_int_equal(file_reserve(s->f, 1), -EOPNOTSUPP);
		assert_int_equal(file_reserve(s->f, 0), 0);
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(size_of(s->f), 6);
	assert_true(allocated("a") >= 8u << 20);
	uint64_t most = allocated("a");
	assert_int_equal(file_reserve(s->f, 5000), 0);
	assert_int_equal(allocated("a"), most);
	append_at(s->f, "after", 5, 6);
	assert_int_equal(file_reserve(s->f, 0), 0);
	assert_true(allocated("a") < 1u << 20);
	assert_int_equal(size_of(s->f), 11);
	assert_int_equal(file_read(s->f, got, 5, 6), 0);
	assert_memory_equal(got, "after", 5);
	assert_int_equal(file_reserve(s->f, 8u << 20), 0);
	assert_true(allocated("a") >= 8u << 20);
}

static void says_that_there_is_not_so_much_space(void **in)
{
	struct state *s = *in;
	int rc = file_reserve(s->f, (uint64_t)1 << 60);
	assert_true(rc == -ENOSPC || rc == -EFBIG || rc == -EOPNOTSUPP);
	assert_int_equal(file_reserve(s->f, UINT64_MAX) < 0, 1);
	assert_int_equal(size_of(s->f), 0);
}

/* A limit on the size of files is the only full disk that is always at hand */
static void tells_how_much_a_failed_append_wrote(void **in)
{
	struct state *s = *in;
	static char bytes[4000];
	struct iovec iov[3] = { { bytes, 1000 },
				{ bytes + 1000, 1000 },
				{ bytes + 2000, 2000 } };
	struct rlimit before, limit;
	size_t written = 0;
	char got[1];
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 2500;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	int rc = file_append(s->f, iov, 3, 100, &written);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(rc, -EFBIG);
	assert_int_equal(written, 2400);
	assert_int_equal(size_of(s->f), 2500);
	assert_int_equal(file_read(s->f, got, 1, 2499), 0);
	assert_int_equal(got[0], 'x');
}

#define BOTH(name)                                                    \
	{ #name " (memory)", name, set_up_memory, tear_down, NULL },  \
	{                                                             \
#name " (local)", name, set_up_local, tear_down, NULL \
	}
#define LOCAL(name) \
	cmocka_unit_test_setup_teardown(name, set_up_local, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(reads_back_what_was_appended),
		BOTH(nothing_can_be_read_beyond_the_end),
		BOTH(what_is_left_out_reads_as_zeros),
		BOTH(appends_any_number_of_pieces),
		BOTH(appends_large_pieces),
		BOTH(reads_may_run_beside_an_append),
		LOCAL(a_new_file_is_hidden_until_it_is_published),
		LOCAL(an_unpublished_file_goes_when_it_is_closed),
		LOCAL(publishing_spares_a_file_that_is_there),
		LOCAL(the_mode_is_the_one_asked_for),
		LOCAL(the_directory_is_found_again_after_chdir),
		LOCAL(the_longest_name_can_be_made),
		LOCAL(a_symbolic_link_is_followed),
		LOCAL(what_a_crash_left_goes_at_the_next_open),
		LOCAL(opens_regular_files_only),
		LOCAL(creates_only_where_a_file_can_be),
		LOCAL(a_file_opened_to_read_takes_no_bytes),
		LOCAL(reserves_space_without_changing_the_size),
		LOCAL(says_that_there_is_not_so_much_space),
		LOCAL(tells_how_much_a_failed_append_wrote),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
