/* SPDX-License-Identifier: MIT */
/* Coming to terms with a kernel that is played here, over a socket */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/fuse.h>

#include "fs/lasting.h"
#include "fs/message.h"
#include "fs/transport.h"

struct init_request {
	struct fuse_in_header header;
	struct fuse_init_in init;
};

struct kernel {
	struct fs fs;
	int fd;
};

static void connect_to(struct kernel *k)
{
	char name[] = "test";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_lowlevel_ops ops = { 0 };
	char device[32];
	int fds[2];

	memset(k, 0, sizeof(*k));
	message_start(NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	k->fd = fds[0];
	transport_ops(&ops);
	k->fs.session = fuse_session_new(&args, &ops, sizeof(ops), &k->fs);
	fuse_opt_free_args(&args);
	assert_non_null(k->fs.session);
	snprintf(device, sizeof(device), "/dev/fd/%d", fds[1]);
	assert_int_equal(fuse_session_mount(k->fs.session, device), 0);
	k->fs.lasting = lasting_new(0, NULL);
	assert_non_null(k->fs.lasting);
	assert_int_equal(transport_new(&k->fs, fuse_session_fd(k->fs.session),
				       TRANSPORT_ANY),
			 0);
}

static void disconnect(struct kernel *k)
{
	transport_free(k->fs.transport);
	lasting_free(k->fs.lasting);
	fuse_session_destroy(k->fs.session);
	close(k->fd);
}

static void offer(const struct kernel *k, uint32_t major)
{
	struct init_request request = {
		.header = { .len = sizeof(request),
			    .opcode = FUSE_INIT,
			    .unique = 2 },
		.init = { .major = major,
			  .minor = FUSE_KERNEL_MINOR_VERSION,
			  .max_readahead = 1 << 17,
			  .flags = FUSE_PARALLEL_DIROPS },
	};

	assert_int_equal(write(k->fd, &request, sizeof(request)),
			 sizeof(request));
}

static void asks_for_what_libfuse_does_not(void **state)
{
	struct {
		struct fuse_out_header header;
		struct fuse_init_out init;
	} answer = { 0 };
	struct kernel k;

	(void)state;
	connect_to(&k);
	offer(&k, FUSE_KERNEL_VERSION);
	assert_int_equal(transport_negotiate(k.fs.transport), 0);
	assert_true(read(k.fd, &answer, sizeof(answer)) > 0);
	assert_int_equal(answer.header.error, 0);
	assert_true(answer.init.flags & FUSE_PARALLEL_DIROPS);
	disconnect(&k);
}

/* It would wait for ever for a request that never comes */
static void an_init_that_is_refused_ends_the_start(void **state)
{
	struct kernel k;

	(void)state;
	connect_to(&k);
	offer(&k, FUSE_KERNEL_VERSION - 1);
	alarm(20);
	assert_int_equal(transport_negotiate(k.fs.transport), -EPROTO);
	alarm(0);
	disconnect(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_what_libfuse_does_not),
		cmocka_unit_test(an_init_that_is_refused_ends_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
