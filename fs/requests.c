/* SPDX-License-Identifier: MIT */
#include "requests.h"

#include "kernel.h"

static _Thread_local uint32_t opcode;
static _Thread_local uint64_t number;
static _Thread_local bool was_made;

/* The request by which libfuse is to serve it */
static uint32_t known(uint32_t code)
{
	switch (code) {
	case FUSE_TMPFILE:
		return FUSE_CREATE;
	case KERNEL_STATX:
		return FUSE_GETATTR;
	case KERNEL_COPY_FILE_RANGE_64:
		return FUSE_COPY_FILE_RANGE;
	default:
		return code;
	}
}

void requests_process(struct fuse_session *session,
		      struct lasting_request *open, struct fuse_buf *buf,
		      bool again)
{
	struct fuse_in_header *h = buf->mem;
	uint64_t unique = h->unique & ~KERNEL_RESENT;

	opcode = h->opcode;
	h->opcode = known(opcode);
	number = unique;
	was_made = (again || unique != h->unique) && lasting_was_made(unique);
	lasting_begin(open, unique);
	fuse_session_process_buf(session, buf);
	lasting_end(open);
}

uint64_t requests_number(void)
{
	return number;
}

bool requests_was_made(void)
{
	return was_made;
}

uint32_t requests_opcode(void)
{
	return opcode;
}
