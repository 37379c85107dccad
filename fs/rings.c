/* SPDX-License-Identifier: MIT */
#include "rings.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs.h"

/* An entry: what we know of it; the header, and room where the parts of a request are
 * put together; the payload */
#define OWN 4096u
#define FRONT 4096u
#define STRIDE (OWN + FRONT + FS_MAX_TRANSFER)

_Static_assert(sizeof(struct rings_entry) <= OWN, "an entry has its page");

static size_t head_size(unsigned queues)
{
	size_t size =
		sizeof(struct rings) + queues * sizeof(struct rings_queue);

	return (size + OWN - 1) / OWN * OWN;
}

static void *map(int fd, size_t size)
{
	int protection = fd < 0 ? PROT_NONE : PROT_READ | PROT_WRITE;
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *memory = mmap(NULL, size, protection, flags, fd, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Of an idle entry one page in a MiB is in use */
	(void)madvise(memory, size, MADV_NOHUGEPAGE);
	return memory;
}

static struct rings *make(int fd, unsigned queues, size_t size)
{
	void *memory = map(fd, size);
	int error;

	if (!memory)
		return NULL;
	if (fd < 0 &&
	    mprotect(memory, head_size(queues), PROT_READ | PROT_WRITE)) {
		error = errno;
		munmap(memory, size);
		errno = error;
		return NULL;
	}
	return memory;
}

struct rings *rings_new(unsigned queues, unsigned most, bool held)
{
	size_t size = head_size(queues) + (size_t)most * STRIDE;
	int fd = held ? memfd_create("banyanfs-rings", MFD_CLOEXEC) : -1;
	struct rings *r = NULL;

	if (!held || (fd >= 0 && !ftruncate(fd, (off_t)size)))
		r = make(fd, queues, size);
	if (!r) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	r->layout = RINGS_LAYOUT;
	r->held = held;
	r->fd = fd;
	r->size = size;
	r->queues = queues;
	r->most = most;
	return r;
}

struct rings *rings_map(int fd)
{
	struct rings *r = NULL;
	struct stat st;

	if (!fstat(fd, &st))
		r = map(fd, (size_t)st.st_size);
	if (r && r->layout != RINGS_LAYOUT) {
		munmap(r, (size_t)st.st_size);
		errno = EPROTO;
		return NULL;
	}
	if (r)
		r->fd = fd; /* in that process, too: they have the same */
	return r;
}

void rings_free(struct rings *r)
{
	if (!r)
		return;
	if (r->held)
		close(r->fd);
	munmap(r, r->size);
}

unsigned rings_affordable(unsigned queues)
{
	uint64_t most = (uint64_t)queues * RINGS_THREADS_MAX;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (most > limit.rlim_cur / 2)
		most = limit.rlim_cur / 2;
	if (most > SIZE_MAX / 4 / STRIDE) /* of an address space of 32 bits */
		most = SIZE_MAX / 4 / STRIDE;
	return most < UINT_MAX ? (unsigned)most : UINT_MAX;
}

static void *place(const struct rings *r, unsigned index)
{
	return (char *)(uintptr_t)r + head_size(r->queues) +
	       (size_t)index * STRIDE;
}

int rings_open_entry(struct rings *r, unsigned index, unsigned queue)
{
	struct rings_entry *e = place(r, index);

	if (!r->held && mprotect(e, STRIDE, PROT_READ | PROT_WRITE))
		return -errno;
	e->index = index;
	e->queue = queue;
	return 0;
}

struct rings_entry *rings_entry(const struct rings *r, unsigned index)
{
	return place(r, index);
}

static void *at(struct rings_entry *e, size_t offset)
{
	return (char *)e + offset;
}

struct kernel_uring_header *rings_header(struct rings_entry *e)
{
	return at(e, OWN);
}

char *rings_payload(struct rings_entry *e)
{
	return at(e, OWN + FRONT);
}

void rings_drop_payload(const struct rings *r, struct rings_entry *e)
{
	madvise(rings_payload(e), FS_MAX_TRANSFER,
		r->held ? MADV_REMOVE : MADV_DONTNEED);
}

/* ---- between processes --------------------------------------------------- */

/* The order of what is stored matters to who comes after our death, on any CPU: a
 * compiler keeps to it */
static void in_this_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

void rings_save(struct rings_entry *e)
{
	if (e->saved)
		return;
	e->saved_bytes = 0;
	e->saved_header = *rings_header(e);
	in_this_order();
	e->saved = true;
	in_this_order();
}

void rings_save_payload(struct rings_entry *e, size_t bytes)
{
	uint32_t n = e->saved_header.payload_size;

	if (n > bytes)
		n = (uint32_t)bytes;
	if (n > RINGS_SAVED_MAX)
		n = RINGS_SAVED_MAX;
	if (n <= e->saved_bytes)
		return;
	/* What is saved already may have been written over */
	memcpy(e->saved_payload + e->saved_bytes,
	       rings_payload(e) + e->saved_bytes, n - e->saved_bytes);
	in_this_order();
	e->saved_bytes = n;
	in_this_order();
}

void rings_restore(struct rings_entry *e)
{
	if (!e->saved)
		return;
	*rings_header(e) = e->saved_header;
	memcpy(rings_payload(e), e->saved_payload, e->saved_bytes);
}

const struct fuse_in_header *rings_asked(struct rings_entry *e)
{
	const struct kernel_uring_header *h;

	/* Only then the rest is not about to change */
	if (atomic_load(&e->state) != RINGS_ASKED)
		return NULL;
	h = e->saved ? &e->saved_header : rings_header(e);
	return (const void *)h->in_out;
}

bool rings_has(const struct rings *r, uint64_t unique)
{
	for (unsigned i = 0; i < atomic_load(&r->entries); i++) {
		const struct fuse_in_header *h = rings_asked(rings_entry(r, i));

		if (h && h->unique == unique)
			return true;
	}
	return false;
}

void rings_reach(struct rings *r, enum rings_stage stage, int rc)
{
	atomic_store(&r->error, rc);
	atomic_store(&r->stage, rc ? RINGS_FAILED : stage);
	rings_wake(&r->stage);
}

void rings_wait(_Atomic uint32_t *word, uint32_t value,
		const struct timespec *limit)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, limit, NULL, 0);
}

void rings_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
