/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"

void daemon_fill_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* The parent: what became of the child? */
static int await_child(int fd, pid_t child)
{
	char byte;
	int status;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
	message("the daemon died while starting: %s",
		strsignal(WTERMSIG(status)));
	return 1;
}

int daemon_fork(void)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	child = fork();
	if (child < 0) {
		int rc = -errno;

		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	if (child) {
		close(fds[1]);
		_exit(await_child(fds[0], child));
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

int daemon_detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	message_to_system();
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	return chdir("/") ? -errno : 0;
}

int daemon_ready(int fd)
{
	int rc = daemon_detach();

	if (write(fd, "", 1) != 1)
		rc = -errno;
	close(fd);
	return rc;
}
