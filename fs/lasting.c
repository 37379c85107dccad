/* SPDX-License-Identifier: MIT */
#include "lasting.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>

#include "counts.h"
#include "steady.h"

static _Thread_local struct lasting *lasting;
static _Thread_local struct lasting_request *current;

static size_t size_of(unsigned requests)
{
	return sizeof(struct lasting) +
	       requests * sizeof(struct lasting_request);
}

struct lasting *lasting_new(unsigned threads, struct rings *rings)
{
	unsigned entries = rings ? rings->most : 0;
	unsigned requests = threads ? threads + entries + 1 : 0;
	size_t size = size_of(requests);
	struct lasting *l = mmap(NULL, size, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				 0);

	if (l == MAP_FAILED)
		return NULL;
	l->counts = counts_new();
	if (!l->counts) {
		munmap(l, size);
		return NULL;
	}
	l->rings = rings;
	l->threads = threads;
	l->requests = requests;
	return l;
}

void lasting_leave(struct lasting *l)
{
	counts_free(l->counts);
	munmap(l, size_of(l->requests));
}

void lasting_free(struct lasting *l)
{
	rings_free(l->rings);
	lasting_leave(l);
}

/*
 * The buffer is touched, and locked if the limit allows it: a fatal signal while the
 * kernel fetches a page of it in read(2) would end the request with EIO.
 */
static void touch(struct lasting_request *r)
{
	for (size_t at = 0; at < sizeof(r->buffer); at += 4096) {
		volatile char *byte = &r->buffer[at];

		*byte = *byte;
	}
	(void)mlock(r->buffer, sizeof(r->buffer));
}

/* Such a request comes into the entry, not into the buffer */
static bool is_of_entry(const struct lasting *l,
			const struct lasting_request *r)
{
	return r >= l->request + l->threads && r + 1 < l->request + l->requests;
}

void lasting_use(struct lasting *l, struct lasting_request *r)
{
	if (r && !is_of_entry(l, r))
		touch(r);
	lasting = l;
	current = r;
	banyan_set_note(r ? &r->note : NULL);
}

struct lasting_request *lasting_of_entry(struct lasting *l, unsigned entry)
{
	return &l->request[l->threads + entry];
}

struct lasting_request *lasting_beside(struct lasting *l)
{
	return l->requests ? &l->request[l->requests - 1] : NULL;
}

void lasting_clear(struct lasting_request *r)
{
	struct fuse_in_header *h = (void *)r->buffer;

	*(volatile uint32_t *)&h->len = 0;
	atomic_signal_fence(memory_order_seq_cst);
	r->forgotten = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

void lasting_begin(struct lasting_request *r, uint64_t unique)
{
	if (!r)
		return;
	r->note.made = 0;
	lasting_renew(r);
	atomic_store_explicit(&r->unique, unique, memory_order_release);
}

void lasting_renew(struct lasting_request *r)
{
	if (r && lasting && lasting->watchdog)
		atomic_store(&r->began, steady_ns());
}

void lasting_end(struct lasting_request *r)
{
	if (!r)
		return;
	/* With no number the others mean nothing */
	atomic_store_explicit(&r->unique, 0, memory_order_release);
	r->told = 0;
	lasting_clear(r);
}

bool lasting_has_made(const struct lasting *l, uint64_t unique)
{
	for (uint32_t i = 0; i < l->made.count; i++)
		if (l->made.unique[i] == unique)
			return true;
	return false;
}

bool lasting_was_made(uint64_t unique)
{
	if (!lasting || !lasting_has_made(lasting, unique))
		return false;
	atomic_fetch_add(&lasting->answered, 1);
	return true;
}

int lasting_tell(uint64_t id)
{
	struct lasting_request *r = current;

	if (!r)
		return 0;
	if (r->told == LASTING_TOLD_MAX)
		return -ENOMEM;
	r->id[r->told] = id;
	return counts_add(lasting->counts, id, 1, &r->told, r->told + 1);
}

void lasting_untell(uint64_t id)
{
	struct lasting_request *r = current;

	if (r)
		(void)counts_add(lasting->counts, id, -1, &r->told,
				 r->told - 1);
}

void lasting_forget(uint64_t id, uint64_t times)
{
	struct lasting_request *r = current;

	if (!r)
		return;
	if (id)
		(void)counts_add(lasting->counts, id, -(int64_t)times,
				 &r->forgotten, r->forgotten + 1);
	else
		r->forgotten++;
}
