/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "message.h"
#include "mountpoint.h"
#include "rlimits.h"
#include "route.h"
#include "supervisor.h"
#include "takeover.h"
#include "transport.h"

/* libfuse takes what it knows out of the list, hence a copy */
static struct fuse_session *create(struct fs *fs)
{
	const struct fuse_args *all = &fs->options->args;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops ops = { 0 };
	struct fuse_session *session = NULL;
	int rc = 0;

	transport_ops(&ops);
	route_ops(&ops);
	for (int i = 0; i < all->argc && !rc; i++)
		rc = fuse_opt_add_arg(&args, all->argv[i]);
	if (!rc)
		session = fuse_session_new(&args, &ops, sizeof(ops), fs);
	fuse_opt_free_args(&args);
	return session;
}

int session_new(struct fs *fs, struct options *o, const char *file)
{
	fs_ops_name(&fs->live);
	fs_ops_attr(&fs->live);
	fs_ops_xattr(&fs->live);
	fs_ops_data(&fs->live);
	fs_ops_dir(&fs->live);
	fs_ops_control(&fs->live);
	if (options_complete(o, file)) {
		message("%s", strerror(ENOMEM));
		return 1;
	}
	fs->options = o;
	fs->acl = o->acl;
	fs->session = create(fs);
	if (fs->session)
		return 0;
	message_about(NULL, "%s; see banyanfs --help", message_libfuse_said());
	return 2;
}

static void say_no_rings(int rc)
{
	if (rc == -EOPNOTSUPP)
		message("the kernel does not offer io_uring for FUSE; as root "
			"write Y to /sys/module/fuse/parameters/enable_uring "
			"(from Linux 6.14 on), or leave transport=uring out");
	else
		message("io_uring cannot be used: %s; leave transport=uring "
			"out",
			strerror(-rc));
}

static int mount_and_serve(struct fs *fs, const char *dir,
			   enum transport_wish wish, void (*ended)(void *arg),
			   void *arg)
{
	bool first = !takeover_is_one(fs->lasting);
	int rc = first ? mountpoint_attach(fs->session, dir) : 0;

	if (rc)
		return rc; /* explained */
	if (first)
		supervisor_keep_device(fuse_session_fd(fs->session));
	rc = transport_new(
		fs, first ? fuse_session_fd(fs->session) : supervisor_device(),
		wish);
	if (!rc)
		rc = transport_negotiate(fs->transport);
	if (!rc && !first)
		takeover_serve(fs);
	if (!rc)
		rc = transport_start(fs->transport, fs->options->threads, ended,
				     arg);
	if (rc == -ESTALE)
		return rc;
	if (rc == -EOPNOTSUPP && wish == TRANSPORT_URING)
		say_no_rings(transport_uring_error(fs->transport));
	else if (rc)
		message("cannot serve requests: %s", rlimits_strerror(rc));
	else if (first)
		mountpoint_tune(dir);
	return rc;
}

int session_serve(struct fs *fs, const char *dir, void (*ended)(void *arg),
		  void *arg)
{
	enum transport_wish wish = fs->options->transport;
	int rc = mount_and_serve(fs, dir, wish, ended, arg);

	if (rc != -ESTALE)
		return rc;
	if (session_is_unmounted(fs)) { /* that is why */
		ended(arg);
		return 0;
	}
	message("io_uring failed: %s%s",
		strerror(-transport_uring_error(fs->transport)),
		takeover_is_one(fs->lasting) ? "" :
		wish == TRANSPORT_URING	     ? "; leave transport=uring out" :
					       "; going on by /dev/fuse");
	if (wish == TRANSPORT_URING || takeover_is_one(fs->lasting))
		return rc;
	transport_stop(fs->transport);
	supervisor_keep_device(-1);
	session_end(fs, dir, false);
	transport_free(fs->transport);
	fs->transport = NULL;
	fs->session = create(fs);
	return fs->session ?
		       mount_and_serve(fs, dir, TRANSPORT_WORKERS, ended, arg) :
		       -ENOMEM;
}

bool session_is_unmounted(const struct fs *fs)
{
	return device_is_unmounted(fuse_session_fd(fs->session));
}

/*
 * Whoever still has files open there is cut off. In the device's place comes a
 * pipe that nobody reads; it looks to poll(2) like a device that was unmounted.
 */
static void cut_off(struct fs *fs)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return;
	close(fds[0]);
	supervisor_keep_device(-1);
	dup3(fds[1], fuse_session_fd(fs->session), O_CLOEXEC);
	close(fds[1]);
}

/*
 * libfuse unmounts by the directory's name, unless it sees that this has
 * happened; then something else may be mounted there already.
 */
void session_end(struct fs *fs, const char *dir, bool detached)
{
	if (!fs->session)
		return;
	if (!detached && fs->transport && !session_is_unmounted(fs))
		detached = !mountpoint_detach(dir);
	if (detached && !session_is_unmounted(fs))
		cut_off(fs);
	fuse_session_unmount(fs->session);
	fuse_session_destroy(fs->session);
	fs->session = NULL;
}
