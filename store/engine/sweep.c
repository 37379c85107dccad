/* SPDX-License-Identifier: MIT */
#include "engine/sweep.h"

#include <string.h>

#include "engine/read_txn.h"
#include "engine/write.h"
#include "model/names.h"

/* The first orphan after id: 0, 1 if there is none, or an error */
static int next_orphan(struct store *store, uint64_t *id)
{
	struct read_txn rtxn;
	struct row_key key;
	struct merged_cursor *cursor = NULL;
	size_t len = 0;
	read_txn_begin_pinned(store, &rtxn);
	row_key_orphan(&key, *id + 1);
	int rc = merged_cursor_new(&rtxn.state.merged, &cursor);
	if (!rc) {
		merged_cursor_within(cursor, key.bytes, 1);
		rc = merged_cursor_seek(cursor, key.bytes, key.len);
	}
	if (!rc) {
		const uint8_t *row = merged_cursor_key(cursor, &len);
		if (len == ROW_ID_LEN && row[0] == ROW_ORPHAN)
			*id = get_be64(row + 1);
		else
			rc = 1;
	}
	merged_cursor_free(cursor);
	read_txn_end(&rtxn);
	return rc;
}

/* In the operation that was begun: 0, 1 if some of its rows are left, or an error */
static int remove_orphan(struct txn *txn, uint64_t id)
{
	int rc = txn_remove(txn, id);
	return rc > 0 ? names_sweep(txn, id) : rc;
}

/* End the operation in which that was the result */
static int end(struct store *store, int left)
{
	int rc = store_write_end(store, left < 0 ? left : 0);
	return rc ? rc : left;
}

int store_sweep_data(struct store *store, uint64_t id)
{
	struct txn *txn = NULL;
	int rc = store_write_begin(store, OPERATION_SWEEP, true, &txn);
	return rc ? rc : end(store, remove_orphan(txn, id));
}

/* So much in the record that an orphan with very many rows still has room */
#define GROUP_BYTES (64u << 10)

/* In the operation that was begun: 0, 1 if some are left, or an error */
static int remove_group(struct txn *txn, const struct released *group)
{
	int left = 0;
	for (unsigned i = 0; i < group->count; i++) {
		if (txn->encoded > GROUP_BYTES)
			return 1;
		int rc = remove_orphan(txn, group->id[i]);
		if (rc < 0)
			return rc;
		left |= rc;
	}
	return left;
}

/* As remove_group(), by one operation */
static int sweep_group(struct store *store, const struct released *group)
{
	struct txn *txn = NULL;
	if (!group->count)
		return 0;
	int rc = store_write_begin_soon(store, OPERATION_SWEEP, true, &txn);
	if (!rc)
		rc = end(store, remove_group(txn, group));
	if (rc)
		atomic_store(&store->orphans, true);
	return rc;
}

/* Those that wait, if there are so many; now there are none */
static void take_group(struct store *store, unsigned least,
		       struct released *group)
{
	struct released *r = &store->released;
	group->count = 0;
	if (r->count < least)
		return;
	group->count = r->count;
	memcpy(group->id, r->id, r->count * sizeof(r->id[0]));
	r->count = 0;
}

void store_sweep_released(struct store *store, uint64_t id)
{
	struct released group;
	pthread_mutex_lock(&store->released.lock);
	store->released.id[store->released.count++] = id;
	take_group(store, RELEASED_MAX, &group);
	pthread_mutex_unlock(&store->released.lock);
	sweep_group(store, &group);
}

void store_sweep_waiting(struct store *store)
{
	struct released group;
	pthread_mutex_lock(&store->released.lock);
	take_group(store, 1, &group);
	pthread_mutex_unlock(&store->released.lock);
	while (sweep_group(store, &group) > 0)
		;
}

int store_sweep(struct store *store)
{
	uint64_t id = 0;
	int rc = 0;
	store_sweep_waiting(store);
	if (!atomic_exchange(&store->orphans, false))
		return 0;
	while (rc == 0 && (rc = next_orphan(store, &id)) == 0) {
		do {
			rc = store_sweep_data(store, id);
		} while (rc > 0);
	}
	if (rc < 0)
		atomic_store(&store->orphans, true);
	return rc < 0 ? rc : 0;
}
