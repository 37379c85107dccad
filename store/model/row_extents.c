/* SPDX-License-Identifier: MIT */
#include "model/row_extents.h"

#include "model/rows.h"
#include "model/xattr.h"

struct visitor {
	int (*visit)(void *arg, const struct extent *e);
	void *arg;
};

static int visit_data(const struct visitor *v, const struct data *d)
{
	int rc = 0;
	if (d->contents != CONTENTS_EXTENTS)
		return 0;
	for (uint32_t i = 0; !rc && i < d->extents; i++)
		rc = v->visit(v->arg, &d->extent[i].e);
	return rc;
}

static int visit_name(const struct visitor *v, const uint8_t *value, size_t len)
{
	struct name_row name;
	struct data d;
	int rc = name_row_decode(&name, &d, value, len);
	return rc || !name.embedded ? rc : visit_data(v, &d);
}

static int visit_xattr(const struct visitor *v, const uint8_t *value,
		       size_t len)
{
	struct extent e[XATTR_EXTENTS_MAX];
	int count = xattr_extents(value, len, e);
	int rc = count < 0 ? count : 0;
	for (int i = 0; !rc && i < count; i++)
		rc = v->visit(v->arg, &e[i]);
	return rc;
}

int row_extents(const uint8_t *key, size_t key_len, const uint8_t *value,
		size_t value_len,
		int (*visit)(void *arg, const struct extent *e), void *arg)
{
	const struct visitor v = { visit, arg };
	struct extent e;
	struct data d;
	int rc;
	switch (key_len ? key[0] : 0) {
	case ROW_NAME:
		return visit_name(&v, value, value_len);
	case ROW_DATA:
		rc = data_decode(&d, value, value_len);
		return rc ? rc : visit_data(&v, &d);
	case ROW_EXTENT:
		rc = extent_row_decode(&e, value, value_len);
		return rc ? rc : visit(arg, &e);
	case ROW_XATTR:
		return visit_xattr(&v, value, value_len);
	default:
		return 0;
	}
}
