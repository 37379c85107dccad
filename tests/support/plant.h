/* SPDX-License-Identifier: MIT */
/* plant.h - rows that no call of this version makes */
#ifndef TESTS_PLANT_H
#define TESTS_PLANT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/handle.h"
#include "engine/write.h"

/* The name of attribute number i, as long as one can be */
static inline void plant_name(char name[BANYAN_NAME_MAX + 1], unsigned i)
{
	sprintf(name, "user.%u", i * 2654435761u);
	memset(name + strlen(name), 'x', BANYAN_NAME_MAX - strlen(name));
	name[BANYAN_NAME_MAX] = '\0';
}

/* More attributes than can be set: such as a file has from before there was a
 * limit to the length of their list */
static inline void plant_attributes(banyan *db, uint64_t id, unsigned count)
{
	char name[BANYAN_NAME_MAX + 1];
	struct row_key key;
	struct buf value = BUF_INIT;
	struct txn *txn = NULL;
	for (unsigned i = 0; i < count; i++) {
		if (i % 1000 == 0)
			assert_int_equal(store_write_begin(db->store,
							   OPERATION_XATTR,
							   false, &txn),
					 0);
		plant_name(name, i);
		row_key_xattr(&key, id, name, strlen(name));
		assert_int_equal(buf_set(&value, "\0v", 2), 0);
		assert_int_equal(txn_put(txn, &key, &value), 0);
		if (i % 1000 == 999 || i + 1 == count)
			assert_int_equal(store_write_end(db->store, 0), 0);
	}
	buf_free(&value);
}

#endif
