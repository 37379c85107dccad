/* SPDX-License-Identifier: MIT */
#include "requests.h"

#include "kernel.h"
#include "lasting.h"

static _Thread_local uint32_t opcode;
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

void requests_process(struct fuse_session *session, struct fuse_buf *buf)
{
	struct fuse_in_header *h = buf->mem;

	opcode = h->opcode;
	h->opcode = known(opcode);
	was_made = (h->unique & KERNEL_RESENT) &&
		   lasting_was_made(h->unique & ~KERNEL_RESENT);
	fuse_session_process_buf(session, buf);
}

bool requests_was_made(void)
{
	return was_made;
}

uint32_t requests_opcode(void)
{
	return opcode;
}
