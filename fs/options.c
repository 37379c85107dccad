/* SPDX-License-Identifier: MIT */
/*
 * Options come in three kinds: ours, in a table; those of SELinux, which libfuse
 * hands on to mount(2); and those that mount(8) and fstab add, which are for
 * others or ask for what is so anyway, and are passed over. All others are
 * refused, also those that libfuse would take: each of them would be ignored,
 * or stop the mount from working.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "banyan.h"
#include "lasting.h"
#include "message.h"

#define COMMIT_DEFAULT 5 /* seconds, like ext4 */
#define COMMIT_MAX 86400
#define THREADS_DEFAULT 10 /* see workers.c */
#define THREADS_MAX LASTING_THREADS_MAX
#define TRIM_DEFAULT 10 /* percent */
#define WATCHDOG_MAX 86400 /* seconds */

#define SELINUX "/sys/fs/selinux"

static const char help[] =
	"Usage: banyanfs FILE DIR [-o OPTION[,OPTION...]]... [-f]\n"
	"Mount the Banyan database FILE on the directory DIR.\n"
	"\n"
	"  -f              stay in the foreground\n"
	"  -d              likewise, and show every request\n"
	"  -o create       create the database if there is none\n"
	"  -o ro           read-only: the state of this moment, for ever\n"
	"  -o cache=SIZE   limit of memory for nodes (K, M, G; default 256M)\n"
	"  -o commit=N     make changes durable after N seconds at the latest\n"
	"                  (default 5; 0: only at fsync and at the end)\n"
	"  -o threads=N    serve up to N requests at a time (default 10)\n"
	"  -o transport=uring, -o transport=workers\n"
	"                  how requests come: over io_uring, which root has to "
	"allow\n"
	"                  (fuse.enable_uring=Y; Linux 6.14), or by threads "
	"that read\n"
	"                  /dev/fuse (default: io_uring where that is "
	"possible)\n"
	"  -o survive, -o nosurvive\n"
	"                  go on when the daemon dies, or not (from Linux 6.9 "
	"on;\n"
	"                  default: yes over /dev/fuse, no over io_uring). "
	"survive:\n"
	"                  by /dev/fuse, which is faster then, unless\n"
	"                  transport=uring is given, too\n"
	"  -o watchdog=N   end a daemon that is at a request for N seconds, "
	"and "
	"go on with\n"
	"                  another one (default 0: wait)\n"
	"  -o trim=PERCENT let fstrim vacuum more than 1 GiB of live data only "
	"if\n"
	"                  so much of the file is reclaimable (default 10)\n"
	"  -o trim=punch   let fstrim give space back in place, as banyan "
	"vacuum\n"
	"                  --punch does\n"
	"  -o autovacuum=PERCENT\n"
	"                  vacuum as soon as so much of a file of 64 MiB or "
	"more is\n"
	"                  reclaimable (default: only when asked)\n"
	"  -o keep=DURATION\n"
	"                  let vacuums keep the freezes of the last time: 30s, "
	"5m, 2h,\n"
	"                  7d, 1w (default: none but those of snapshots)\n"
	"  -o fsname=NAME  show this instead of FILE as the source (df, "
	"mount)\n"
	"  -o subtype=NAME show fuse.NAME as the type (default "
	"fuse.banyanfs)\n"
	"  -o uid=N,gid=N  show one owner, one group for everything\n"
	"  -o allow_other, -o noallow_other\n"
	"                  let all users in, or only the one who mounts "
	"(default:\n"
	"                  all if root mounts)\n"
	"  -o acl, -o noacl\n"
	"                  support access control lists (default), or not: "
	"that "
	"spares\n"
	"                  requests of users who do not own what they open\n"
	"  -o allow_suid, -o allow_dev\n"
	"                  let set-id bits, device nodes work (mount(8) adds "
	"suid\n"
	"                  and dev by itself, so these two mean nothing here;\n"
	"                  nosuid and nodev take precedence)\n"
	"  -o remount      change ro or rw of what is mounted on DIR, add "
	"noexec,\n"
	"                  nosuid or nodev to it (root only)\n"
	"      --help      show this\n"
	"      --version   show the version\n"
	"\n"
	"noexec, noatime and the options that mount(8) and fstab add are "
	"accepted, too.\n"
	"Unmount with: banyan umount DIR\n";

/* ---- ours ------------------------------------------------------------- */

bool options_number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;
	unsigned long long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || n > max)
		return false;
	*value = n;
	return true;
}

/* A number of bytes with K, M or G behind it */
static bool parse_size(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	char digits[24];
	size_t len = strlen(text);
	const char *unit = NULL;
	unsigned shift;

	if (!len || len >= sizeof(digits))
		return false;
	unit = strchr(units, text[len - 1] & ~0x20); /* upper case */
	shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	memcpy(digits, text, len);
	digits[unit ? len - 1 : len] = '\0';
	if (!options_number(digits, UINT64_MAX >> shift, value))
		return false;
	*value <<= shift;
	return true;
}

static bool set_cache(struct options *o, const char *value)
{
	return parse_size(value, &o->cache_bytes) &&
	       o->cache_bytes >= BANYAN_CACHE_MIN;
}

static bool set_commit(struct options *o, const char *value)
{
	uint64_t n;

	if (!options_number(value, COMMIT_MAX, &n))
		return false;
	o->commit_seconds = (unsigned)n;
	return true;
}

static bool set_threads(struct options *o, const char *value)
{
	uint64_t n;

	if (!options_number(value, THREADS_MAX, &n) || !n)
		return false;
	o->threads = (unsigned)n;
	return true;
}

static bool set_watchdog(struct options *o, const char *value)
{
	uint64_t n;

	if (!options_number(value, WATCHDOG_MAX, &n))
		return false;
	o->watchdog_seconds = (unsigned)n;
	return true;
}

static bool set_transport(struct options *o, const char *value)
{
	if (!strcmp(value, "uring"))
		o->transport = TRANSPORT_URING;
	else if (!strcmp(value, "workers"))
		o->transport = TRANSPORT_WORKERS;
	else
		return false;
	return true;
}

static bool parse_percent(const char *text, unsigned *percent)
{
	uint64_t n;

	if (!options_number(text, 100, &n) || !n)
		return false;
	*percent = (unsigned)n;
	return true;
}

static bool set_trim(struct options *o, const char *value)
{
	o->trim_punch = !strcmp(value, "punch");
	if (!o->trim_punch)
		return parse_percent(value, &o->trim_percent);
	o->trim_percent = 0;
	return true;
}

static bool set_autovacuum(struct options *o, const char *value)
{
	return parse_percent(value, &o->autovacuum_percent);
}

bool options_duration(const char *text, uint64_t *seconds)
{
	static const char units[] = "smhdw";
	static const unsigned lengths[] = { 1, 60, 3600, 86400, 604800 };
	char digits[24];
	size_t len = strlen(text);
	const char *unit;
	uint64_t length;

	if (!len || len >= sizeof(digits))
		return false;
	unit = strchr(units, text[len - 1]);
	length = unit ? lengths[unit - units] : 1;
	memcpy(digits, text, len);
	digits[unit ? len - 1 : len] = '\0';
	if (!options_number(digits, UINT64_MAX / length, seconds))
		return false;
	*seconds *= length;
	return true;
}

static bool set_keep(struct options *o, const char *value)
{
	return options_duration(value, &o->keep_seconds);
}

static bool set_fsname(struct options *o, const char *value)
{
	free(o->fsname);
	o->fsname = *value && *value != '/' ? strdup(value) : NULL;
	return o->fsname;
}

static bool set_subtype(struct options *o, const char *value)
{
	free(o->subtype);
	o->subtype = *value ? strdup(value) : NULL;
	return o->subtype;
}

static bool set_uid(struct options *o, const char *value)
{
	uint64_t n;

	if (!options_number(value, UINT32_MAX - 1, &n))
		return false;
	o->uid = (uint32_t)n;
	o->has_uid = true;
	return true;
}

static bool set_gid(struct options *o, const char *value)
{
	uint64_t n;

	if (!options_number(value, UINT32_MAX - 1, &n))
		return false;
	o->gid = (uint32_t)n;
	o->has_gid = true;
	return true;
}

static const struct {
	const char *name;
	bool (*set)(struct options *o, const char *value);
	const char *form; /* what a value looks like */
} valued[] = {
	{ "cache=", set_cache, "a size such as 64M, of 1M at least" },
	{ "commit=", set_commit, "a number of seconds up to 86400" },
	{ "threads=", set_threads, "a number from 1 to 256" },
	{ "transport=", set_transport, "uring or workers" },
	{ "watchdog=", set_watchdog, "a number of seconds up to 86400" },
	{ "trim=", set_trim, "a percentage from 1 to 100, or punch" },
	{ "autovacuum=", set_autovacuum, "a percentage from 1 to 100" },
	{ "keep=", set_keep, "a duration such as 30s, 5m, 2h, 7d or 1w" },
	{ "fsname=", set_fsname, "a name that does not begin with /" },
	{ "subtype=", set_subtype, "a name" },
	{ "uid=", set_uid, "a user's number" },
	{ "gid=", set_gid, "a group's number" },
};

static const struct {
	const char *name;
	size_t offset; /* of a bool */
	bool value;
} switches[] = {
	{ "ro", offsetof(struct options, read_only), true },
	{ "rw", offsetof(struct options, read_only), false },
	{ "create", offsetof(struct options, create), true },
	{ "allow_other", offsetof(struct options, allow_other), true },
	{ "noallow_other", offsetof(struct options, allow_other), false },
	{ "acl", offsetof(struct options, acl), true },
	{ "noacl", offsetof(struct options, acl), false },
	{ "allow_suid", offsetof(struct options, allow_suid), true },
	{ "allow_dev", offsetof(struct options, allow_dev), true },
	{ "nosuid", offsetof(struct options, no_suid), true },
	{ "nodev", offsetof(struct options, no_dev), true },
	{ "noexec", offsetof(struct options, no_exec), true },
	{ "exec", offsetof(struct options, no_exec), false },
	{ "remount", offsetof(struct options, remount), true },
	{ "survive", offsetof(struct options, survive), true },
	{ "nosurvive", offsetof(struct options, no_survive), true },
};

/* ---- those of others -------------------------------------------------- */

/* In these lists what ends with '=' or '-' is the beginning of an option */

/* Handed on where the kernel has SELinux; it refuses them elsewhere */
static const char *const contexts[] = {
	"context=", "fscontext=", "defcontext=", "rootcontext=", NULL,
};

/* Reading never changes the time of access, and each mount says so (noatime):
 * norelatime and strictatime are not among these */
static const char *const passed_over[] = {
	"defaults",
	"auto",
	"noauto",
	"user",
	"nouser",
	"users",
	"nousers",
	"owner",
	"noowner",
	"group",
	"nogroup",
	"nofail",
	"_netdev",
	"dev",
	"suid",
	"atime",
	"diratime",
	"nodiratime",
	"relatime",
	"nostrictatime",
	"noatime",
	"lazytime",
	"nolazytime",
	"async",
	"silent",
	"loud",
	"noiversion",
	"nomand",
	"default_permissions",
	"x-",
	"X-",
	"comment=",
	"user=",
	"helper=",
	"uhelper=",
	NULL,
};

/* mount(8) has these from the kernel's list when it asks for a remount */
static const char *const of_kernel[] = {
	"user_id=", "group_id=", "max_read=", "blksize=", NULL,
};

static bool is_among(const char *arg, const char *const *names)
{
	for (; *names; names++) {
		size_t n = strlen(*names);
		bool begins = strchr("=-", (*names)[n - 1]);

		if (begins ? !strncmp(arg, *names, n) : !strcmp(arg, *names))
			return true;
	}
	return false;
}

static int refuse(const char *arg)
{
	message_about(NULL, "option %s: not supported; see banyanfs --help",
		      arg);
	return -1;
}

/* 1: left for libfuse, 0: passed over, -1: refused, and said so */
static int take_others(struct options *o, const char *arg)
{
	if (is_among(arg, contexts) && !access(SELINUX, F_OK))
		return 1;
	if (is_among(arg, of_kernel)) {
		free(o->of_kernel);
		o->of_kernel = strdup(arg);
		return o->of_kernel ? 0 : refuse(arg);
	}
	if (*arg && !is_among(arg, passed_over))
		return refuse(arg);
	return 0;
}

/* ---- parsing ---------------------------------------------------------- */

/* 1: left for libfuse, 0: done, -1: wrong, and said so */
static int take_option(struct options *o, const char *arg)
{
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		if (!strcmp(arg, switches[i].name)) {
			*(bool *)((char *)o + switches[i].offset) =
				switches[i].value;
			return 0;
		}
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
		size_t n = strlen(valued[i].name);

		if (strncmp(arg, valued[i].name, n) != 0)
			continue;
		if (valued[i].set(o, arg + n))
			return 0;
		message_about(NULL, "option %s: give %s", arg, valued[i].form);
		return -1;
	}
	return take_others(o, arg);
}

static int take_argument(struct options *o, const char *arg)
{
	if (!o->file)
		o->file = arg;
	else if (!o->dir)
		o->dir = arg;
	else {
		message_about(arg,
			      "one argument too many; see banyanfs --help");
		return -1;
	}
	return 0;
}

enum { KEY_FOREGROUND, KEY_DEBUG, KEY_HELP, KEY_VERSION, KEY_SHORT_RO };

struct parse {
	struct options *o;
	bool help, version;
};

static int take(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct parse *p = data;

	(void)out;
	switch (key) {
	case FUSE_OPT_KEY_NONOPT:
		return take_argument(p->o, arg);
	case KEY_FOREGROUND:
		p->o->foreground = true;
		return 0;
	case KEY_DEBUG:
		p->o->foreground = p->o->debug = true;
		return 1;
	case KEY_HELP:
		p->help = true;
		return 0;
	case KEY_VERSION:
		p->version = true;
		return 0;
	case KEY_SHORT_RO:
		p->o->read_only = true;
		return 0;
	default:
		return take_option(p->o, arg);
	}
}

/* FUSE_OPT_KEY(), the conversion said: clang warns of it */
#define OWN_KEY(text, key)                    \
	{                                     \
		text, (unsigned long)-1U, key \
	}

int options_parse(struct options *o, int argc, char **argv)
{
	static const struct fuse_opt own[] = {
		OWN_KEY("-f", KEY_FOREGROUND),
		OWN_KEY("-d", KEY_DEBUG),
		OWN_KEY("debug", KEY_DEBUG),
		OWN_KEY("--debug", KEY_DEBUG),
		OWN_KEY("-h", KEY_HELP),
		OWN_KEY("--help", KEY_HELP),
		OWN_KEY("-V", KEY_VERSION),
		OWN_KEY("--version", KEY_VERSION),
		OWN_KEY("-r", KEY_SHORT_RO),
		FUSE_OPT_END,
	};
	struct parse p = { .o = o };

	*o = (struct options){
		.commit_seconds = COMMIT_DEFAULT,
		.threads = THREADS_DEFAULT,
		.trim_percent = TRIM_DEFAULT,
		.allow_other = geteuid() == 0,
		.acl = true,
		.args = FUSE_ARGS_INIT(argc, argv),
	};
	if (fuse_opt_parse(&o->args, &p, own, take) == -1) {
		if (*message_libfuse_said())
			message_about(NULL, "%s; see banyanfs --help",
				      message_libfuse_said());
		return 2;
	}
	if (p.help) {
		fputs(help, stdout);
		return fflush(stdout) ? 1 : 0;
	}
	if (p.version) {
		printf("banyanfs %s\n", BANYAN_VERSION);
		return fflush(stdout) ? 1 : 0;
	}
	if (o->of_kernel && !o->remount) {
		refuse(o->of_kernel);
		return 2;
	}
	if (!o->file || !o->dir) {
		message_about(NULL, "give FILE and DIR; see banyanfs --help");
		return 2;
	}
	if (o->debug)
		message_libfuse_free();
	return OPTIONS_RUN;
}

int options_complete(struct options *o, const char *source)
{
	bool suid = o->allow_suid && !o->no_suid;
	bool dev = o->allow_dev && !o->no_dev;
	char *list = NULL, *name = NULL, *type = NULL;
	int rc = -ENOMEM;

	if (asprintf(&type, "subtype=%s",
		     o->subtype ? o->subtype : "banyanfs") < 0) {
		type = NULL;
		goto out;
	}
	if (fuse_opt_add_opt_escaped(&list, type) ||
	    fuse_opt_add_opt(&list, "default_permissions") ||
	    fuse_opt_add_opt(&list, "noatime") ||
	    fuse_opt_add_opt(&list, o->read_only ? "ro" : "rw") ||
	    fuse_opt_add_opt(&list, suid ? "suid" : "nosuid") ||
	    fuse_opt_add_opt(&list, dev ? "dev" : "nodev") ||
	    fuse_opt_add_opt(&list, o->no_exec ? "noexec" : "exec"))
		goto out;
	if (o->allow_other && fuse_opt_add_opt(&list, "allow_other"))
		goto out;
	if (asprintf(&name, "fsname=%s", o->fsname ? o->fsname : source) < 0) {
		name = NULL;
		goto out;
	}
	if (fuse_opt_add_opt_escaped(&list, name) ||
	    fuse_opt_add_arg(&o->args, "-o") ||
	    fuse_opt_add_arg(&o->args, list))
		goto out;
	rc = 0;
out:
	free(list);
	free(name);
	free(type);
	return rc;
}

void options_free(struct options *o)
{
	fuse_opt_free_args(&o->args);
	free(o->fsname);
	free(o->subtype);
	free(o->of_kernel);
}
