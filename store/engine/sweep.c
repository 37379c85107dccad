/* SPDX-License-Identifier: MIT */
#include "engine/sweep.h"

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
	if (!rc)
		rc = merged_cursor_within(cursor, key.bytes, 1);
	if (!rc)
		rc = merged_cursor_seek(cursor, key.bytes, key.len);
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

/* Sweep in the operation that was begun, and end it */
static int sweep(struct store *store, struct txn *txn, uint64_t id)
{
	int more = 0;
	int removed = txn_remove(txn, id);
	if (removed > 0)
		more = names_sweep(txn, id);
	else if (removed < 0)
		more = removed;
	int rc = store_write_end(store, more < 0 ? more : 0);
	return rc ? rc : more;
}

int store_sweep_data(struct store *store, uint64_t id)
{
	struct txn *txn = NULL;
	int rc = store_write_begin(store, OPERATION_SWEEP, true, &txn);
	return rc ? rc : sweep(store, txn, id);
}

void store_sweep_released(struct store *store, uint64_t id)
{
	struct txn *txn = NULL;
	int rc = store_write_begin_soon(store, OPERATION_SWEEP, true, &txn);
	if (!rc)
		rc = sweep(store, txn, id);
	if (rc)
		atomic_store(&store->orphans, true);
}

int store_sweep(struct store *store)
{
	uint64_t id = 0;
	int rc = 0;
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
