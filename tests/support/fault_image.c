/* SPDX-License-Identifier: MIT */
#include "fault_image.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 16384u

struct page {
	_Atomic unsigned refs;
	uint8_t bytes[PAGE];
};

static void page_unref(struct page *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1)
		free(p);
}

void image_free(struct image *m)
{
	for (size_t i = 0; i < m->count; i++)
		page_unref(m->pages[i]);
	free(m->pages);
	*m = (struct image){ 0 };
}

/* See to it that there is a place for the page */
static int make_room(struct image *m, uint64_t number)
{
	if (number < m->count)
		return 0;
	size_t count = (size_t)number + 1 + m->count / 2;
	struct page **pages = realloc(m->pages, count * sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	memset(pages + m->count, 0, (count - m->count) * sizeof(*pages));
	m->pages = pages;
	m->count = count;
	return 0;
}

/* A page that nobody else has */
static uint8_t *own_page(struct image *m, uint64_t number)
{
	if (make_room(m, number))
		return NULL;
	struct page *was = m->pages[number];
	if (was && atomic_load(&was->refs) == 1)
		return was->bytes;
	struct page *p = was ? malloc(sizeof(*p)) : calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (was)
		memcpy(p->bytes, was->bytes, PAGE);
	atomic_init(&p->refs, 1);
	page_unref(was);
	m->pages[number] = p;
	return p->bytes;
}

int image_write(struct image *m, const uint8_t *from, size_t size,
		uint64_t offset)
{
	while (size) {
		size_t skip = (size_t)(offset % PAGE);
		size_t n = size < PAGE - skip ? size : PAGE - skip;
		uint8_t *page = own_page(m, offset / PAGE);
		if (!page)
			return -ENOMEM;
		memcpy(page + skip, from, n);
		from += n;
		offset += n;
		size -= n;
	}
	return 0;
}

int image_zero(struct image *m, size_t size, uint64_t offset)
{
	static const uint8_t zeros[PAGE];
	while (size) {
		size_t n = size < PAGE ? size : PAGE;
		int rc = image_write(m, zeros, n, offset);
		if (rc)
			return rc;
		offset += n;
		size -= n;
	}
	return 0;
}

static const struct page *page_at(const struct image *m, uint64_t number)
{
	return number < m->count ? m->pages[number] : NULL;
}

void image_read(const struct image *m, uint8_t *to, size_t size,
		uint64_t offset)
{
	while (size) {
		size_t skip = (size_t)(offset % PAGE);
		size_t n = size < PAGE - skip ? size : PAGE - skip;
		const struct page *page = page_at(m, offset / PAGE);
		if (page)
			memcpy(to, page->bytes + skip, n);
		else
			memset(to, 0, n);
		to += n;
		offset += n;
		size -= n;
	}
}

static int share_page(struct image *to, const struct image *from,
		      uint64_t number)
{
	struct page *p = number < from->count ? from->pages[number] : NULL;
	if (!p && number >= to->count)
		return 0;
	int rc = make_room(to, number);
	if (rc)
		return rc;
	if (p)
		atomic_fetch_add(&p->refs, 1);
	page_unref(to->pages[number]);
	to->pages[number] = p;
	return 0;
}

int image_take(struct image *to, const struct image *from, uint64_t size,
	       uint64_t offset)
{
	int rc = 0;
	while (size && !rc) {
		uint8_t bytes[PAGE];
		size_t skip = (size_t)(offset % PAGE);
		size_t n = size < PAGE - skip ? (size_t)size : PAGE - skip;
		if (n == PAGE) {
			rc = share_page(to, from, offset / PAGE);
		} else {
			image_read(from, bytes, n, offset);
			rc = image_write(to, bytes, n, offset);
		}
		offset += n;
		size -= n;
	}
	return rc;
}

int image_copy(struct image *to, const struct image *from)
{
	int rc = 0;
	for (uint64_t i = 0; i * PAGE < from->size && !rc; i++)
		rc = share_page(to, from, i);
	to->size = from->size;
	return rc;
}
