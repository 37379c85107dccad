/* SPDX-License-Identifier: MIT */
/* model_compare.h - does a database hold what the model says? */
#ifndef TESTS_MODEL_COMPARE_H
#define TESTS_MODEL_COMPARE_H

#include "banyan.h"
#include "model.h"

#define MODEL_PATH_MAX 8192u

/* The path of a key, or of the first key of an object; "" of the root */
void model_key_path(const struct model *m, size_t key, char *path);
bool model_path(const struct model *m, uint32_t object, char *path);

/* The name of extended attribute number `which` */
const char *model_xattr_name(unsigned which);

/* The functions below fail the test (cmocka) if anything differs */

/* One object: attributes, contents, extended attributes. Learns ids. */
void model_compare_object(struct model *m, uint32_t object, banyan_data *data);

/* All that can be reached from the root, in the order of a walk */
void model_compare_all(struct model *m, banyan *db);

/* The rest of a cursor that was opened on the range when all was as in m */
void model_compare_cursor(const struct model *m, uint32_t space,
			  const struct banyan_range *range,
			  banyan_cursor *cursor);

#endif
