/* SPDX-License-Identifier: MIT */
#include "repair/log_end.h"

#include <inttypes.h>
#include <stdio.h>

#include "table/redo.h"

static int visit_record(void *arg, const struct log_record *rec)
{
	struct banyan_log_end *end = arg;
	struct redo_reader r;
	struct operation op;
	if (rec->header.type == RECORD_MARK)
		return 0;
	end->closed = rec->header.type == RECORD_FREEZE;
	if (rec->header.type != RECORD_OPERATION)
		return 0;
	end->operations++;
	if (redo_open(&r, rec->body, rec->header.body_len, &op) == 0)
		end->operation_time = op.time;
	return 0;
}

int log_end_find(const struct log_walk *w, const struct log_state *st,
		 struct banyan_log_end *end)
{
	*end = (struct banyan_log_end){
		.freeze = st->freeze.number,
		.freeze_time = st->freeze.time,
		.offset = st->end.offset,
		.tail_bytes = st->size - st->end.offset,
	};
	return log_walk_visit(w, st->freeze.replay.seq, st->end.seq, NULL,
			      visit_record, end);
}

bool log_end_text(const struct banyan_log_end *end, bool in_use,
		  char text[LOG_END_TEXT])
{
	const char *why = in_use ? "a write is under way" :
				   "this is a copy of an open database, its "
				   "writer was killed, or the file was cut "
				   "short";
	if (end->tail_bytes)
		snprintf(text, LOG_END_TEXT,
			 "%" PRIu64 " bytes behind offset %" PRIu64
			 ", where the log ends, are not a whole record: %s",
			 end->tail_bytes, end->offset, why);
	else if (!end->closed && !in_use)
		snprintf(text, LOG_END_TEXT,
			 "the log ends at offset %" PRIu64
			 ", without the freeze of a close: %s",
			 end->offset, why);
	else
		return false;
	return true;
}
