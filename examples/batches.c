/* SPDX-License-Identifier: MIT */
/*
 * batches FILE - move money between two accounts: both change, or none.
 */
#include <string.h>

#include "example.h"

static long balance(banyan *db, const char *account)
{
	void *text;
	size_t size;
	long amount;

	MUST(banyan_get(db, account, &text, &size));
	amount = strtol(text, NULL, 10);
	banyan_free(text);
	return amount;
}

static void set_balance(banyan *db, const char *account, long amount)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "%ld", amount);

	MUST(banyan_put(db, account, text, (size_t)size, BANYAN_PARENTS));
}

/* All that is done through the batch is committed as one, or not at all */
static int transfer(banyan *db, const char *from, const char *to, long amount)
{
	banyan *batch;

	MUST(banyan_begin(db, &batch));
	set_balance(batch, from, balance(batch, from) - amount);
	set_balance(batch, to, balance(batch, to) + amount);
	if (balance(batch, from) < 0) {
		banyan_abort(batch);
		return -1;
	}
	/* Nobody else sees any of it before this */
	MUST(banyan_commit(batch));
	/* It survives kill -9 now, and loss of power after a sync */
	MUST(banyan_sync(db));
	return 0;
}

int main(int argc, char **argv)
{
	banyan *db = open_database(argc, argv);

	set_balance(db, "accounts/ada", 100);
	set_balance(db, "accounts/grace", 0);
	if (transfer(db, "accounts/ada", "accounts/grace", 70))
		printf("ada cannot pay 70\n");
	if (transfer(db, "accounts/ada", "accounts/grace", 70))
		printf("ada cannot pay 70 again\n");
	printf("ada %ld, grace %ld\n", balance(db, "accounts/ada"),
	       balance(db, "accounts/grace"));
	return banyan_close(db) != 0;
}
