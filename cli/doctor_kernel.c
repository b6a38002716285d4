/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "cli/doctor.h"
#include "libfar/base/memlimit.h"
#include "libfar/base/size.h"
#include "libfar/uffd/uffd.h"

#define UFFD_FIX                                                               \
	"as root: " FAR_UFFD_ALLOW ", or sysctl "                              \
	"vm.unprivileged_userfaultfd=1; in a container pass "                  \
	"--device /dev/userfaultfd"
#define MEMLOCK_ENOUGH (UINT64_C(8) << 20)

/* The first line of a small file, without its newline; "" if unreadable. */
static const char *read_line(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, len - 1);

	if (fd >= 0)
		(void)close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

void check_kernel(const char *spec, struct check_result *r)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	(void)spec;
	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		check_set(r, CHECK_FAIL, NULL, "cannot tell the version");
		return;
	}
	if (strcmp(u.machine, "x86_64") != 0 ||
	    sysconf(_SC_PAGESIZE) != (long)FAR_PAGE_SIZE)
		check_set(r, CHECK_FAIL, "use x86-64 with pages of 4 KiB",
			  "Linux %s on %s, pages of %ld bytes", u.release,
			  u.machine, sysconf(_SC_PAGESIZE));
	else if (major < 5 || (major == 5 && minor < 10))
		check_set(r, CHECK_FAIL, "install Linux 5.10 or newer",
			  "Linux %s is too old", u.release);
	else if (major < 6 || (major == 6 && minor < 8))
		check_set(r, CHECK_WARN,
			  "install Linux 6.8 or newer for UFFDIO_MOVE",
			  "Linux %s works, without the newest calls",
			  u.release);
	else
		check_set(r, CHECK_OK, NULL, "Linux %s on %s", u.release,
			  u.machine);
}

/* Does either way of opening see the kernel's own faults? */
static bool uffd_works(struct far_uffd_info *info)
{
	int fd = far_uffd_open(false, info);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static enum check_status way_status(void)
{
	struct far_uffd_info info;

	/* One way is enough; the other one then does not matter. */
	return uffd_works(&info) ? CHECK_NONE : CHECK_WARN;
}

void check_uffd_device(const char *spec, struct check_result *r)
{
	static const char path[] = "/dev/userfaultfd";
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int err = errno;
	struct stat st;

	(void)spec;
	if (fd >= 0) {
		(void)close(fd);
		check_set(r, CHECK_OK, NULL, "%s can be opened", path);
		return;
	}
	if (stat(path, &st) < 0)
		check_set(r, way_status(),
			  "Linux 6.1 or newer has it; in a container pass "
			  "--device /dev/userfaultfd",
			  "%s: %s", path, strerror(errno));
	else
		check_set(r, way_status(), "as root: " FAR_UFFD_ALLOW,
			  "%s: %s (mode %03o, owner %u, group %u; you are "
			  "user %u)",
			  path, strerror(err), st.st_mode & 0777U,
			  (unsigned)st.st_uid, (unsigned)st.st_gid,
			  (unsigned)geteuid());
}

void check_uffd_syscall(const char *spec, struct check_result *r)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int err = errno;
	char sysctl[32];

	(void)spec;
	(void)read_line("/proc/sys/vm/unprivileged_userfaultfd", sysctl,
			sizeof(sysctl));
	if (fd >= 0) {
		(void)close((int)fd);
		check_set(r, CHECK_OK, NULL,
			  "userfaultfd(2) is allowed "
			  "(vm.unprivileged_userfaultfd=%s, user %u)",
			  *sysctl ? sysctl : "?", (unsigned)geteuid());
		return;
	}
	check_set(r, way_status(),
		  "as root: sysctl vm.unprivileged_userfaultfd=1",
		  "userfaultfd(2): %s (vm.unprivileged_userfaultfd=%s, "
		  "user %u without CAP_SYS_PTRACE)",
		  strerror(err), *sysctl ? sysctl : "?", (unsigned)geteuid());
}

void check_uffd_faults(const char *spec, struct check_result *r)
{
	struct far_uffd_info info;
	int fd;

	(void)spec;
	if (uffd_works(&info)) {
		check_set(r, CHECK_OK, NULL,
			  "faults of programs and of system calls, by %s",
			  info.way == FAR_UFFD_DEVICE ? "/dev/userfaultfd"
						      : "userfaultfd(2)");
		return;
	}
	fd = far_uffd_open(true, &info);
	if (fd >= 0) {
		(void)close(fd);
		check_set(r, CHECK_FAIL, UFFD_FIX,
			  "faults of user mode only: read(2) into far memory "
			  "would fail, so far run refuses");
		return;
	}
	check_set(r, CHECK_FAIL, UFFD_FIX,
		  "userfaultfd cannot be opened in any way");
}

static void check_feature(enum far_uffd_feature feature,
			  enum check_status missing, const char *what,
			  const char *without, const char *fix,
			  struct check_result *r)
{
	struct far_uffd_info info;
	int fd = far_uffd_open(true, &info);

	if (fd >= 0)
		(void)close(fd);
	if (info.way == FAR_UFFD_NONE)
		check_set(r, CHECK_NONE, NULL,
			  "cannot be asked: userfaultfd cannot be opened");
	else if (info.features & feature)
		check_set(r, CHECK_OK, NULL, "%s", what);
	else
		check_set(r, missing, fix, "missing: %s", without);
}

void check_uffd_protect(const char *spec, struct check_result *r)
{
	(void)spec;
	check_feature(FAR_UFFD_WP, CHECK_FAIL, "writes to clean pages are seen",
		      "writes to clean pages cannot be seen",
		      "install Linux 5.10 or newer", r);
}

void check_uffd_move(const char *spec, struct check_result *r)
{
	(void)spec;
	check_feature(FAR_UFFD_MOVE, CHECK_WARN,
		      "pages that the kernel has pinned are respected",
		      "pages that the kernel has pinned cannot be told",
		      "install Linux 6.8 or newer", r);
}

void check_uffd_poison(const char *spec, struct check_result *r)
{
	(void)spec;
	check_feature(FAR_UFFD_POISON, CHECK_WARN,
		      "a lost page ends in SIGBUS for who touches it",
		      "a lost page cannot be marked in the kernel",
		      "install Linux 6.6 or newer", r);
}

void check_uffd_sigbus(const char *spec, struct check_result *r)
{
	struct far_uffd_info info;
	int fd = far_uffd_open_signal(&info);

	(void)spec;
	if (fd >= 0) {
		(void)close(fd);
		check_set(r, CHECK_OK, NULL,
			  "memory of far_map_inline() is served in the thread "
			  "that faults");
	} else if (info.way == FAR_UFFD_NONE) {
		check_set(r, CHECK_NONE, NULL,
			  "cannot be asked: userfaultfd cannot be opened");
	} else {
		check_set(r, CHECK_WARN, "install Linux 5.10 or newer",
			  "missing: memory of far_map_inline() is served by "
			  "monitor threads: %s",
			  strerror(-fd));
	}
}

void check_uring(const char *spec, struct check_result *r)
{
	struct io_uring_params p;
	char sysctl[32];
	long fd;
	int err;

	(void)spec;
	memset(&p, 0, sizeof(p));
	fd = syscall(SYS_io_uring_setup, 4, &p);
	err = errno;
	if (fd >= 0) {
		(void)close((int)fd);
		check_set(r, CHECK_OK, NULL, "io_uring can be used");
		return;
	}
	(void)read_line("/proc/sys/kernel/io_uring_disabled", sysctl,
			sizeof(sysctl));
	check_set(r, CHECK_WARN,
		  "as root: sysctl kernel.io_uring_disabled=0; in a "
		  "container allow io_uring in its seccomp profile",
		  "io_uring_setup: %s (kernel.io_uring_disabled=%s); file: "
		  "uses plain reads and writes",
		  strerror(err), *sysctl ? sysctl : "none");
}

void check_memlock(const char *spec, struct check_result *r)
{
	struct rlimit lim;
	char text[16];

	(void)spec;
	if (getrlimit(RLIMIT_MEMLOCK, &lim) < 0 ||
	    lim.rlim_cur == RLIM_INFINITY)
		check_set(r, CHECK_OK, NULL, "no limit on locked memory");
	else
		check_set(r,
			  lim.rlim_cur < MEMLOCK_ENOUGH ? CHECK_WARN : CHECK_OK,
			  lim.rlim_cur < MEMLOCK_ENOUGH
				  ? "ulimit -l 8192 or more"
				  : NULL,
			  "%s may be locked",
			  far_size_format(lim.rlim_cur, text, sizeof(text)));
}

/* Who is SCHED_IDLE cannot always leave that again.  Tried on a child that
 * sleeps, so that it needs no core to come back. */
static int leave_idle_class(void)
{
	const struct sched_param none = {0};
	pid_t pid = fork();
	int err = 0;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)pause();
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	if (sched_setscheduler(pid, SCHED_IDLE, &none) < 0 ||
	    sched_setscheduler(pid, SCHED_OTHER, &none) < 0)
		err = -errno;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return err;
}

void check_scheduling(const char *spec, struct check_result *r)
{
	int err = leave_idle_class();

	(void)spec;
	if (err == 0)
		check_set(r, CHECK_OK, NULL,
			  "fault threads can stand back for the program");
	else if (err != -EPERM)
		check_set(r, CHECK_NONE, NULL, "cannot be tried: %s",
			  strerror(-err));
	else
		check_set(r, CHECK_WARN,
			  "ulimit -e 20 (limits.conf: nice 0; systemd: "
			  "LimitNICE=+0), or CAP_SYS_NICE",
			  "fault threads cannot stand back: a thread that "
			  "faults is moved from core to core");
}

void check_overcommit(const char *spec, struct check_result *r)
{
	char mode[16];

	(void)spec;
	(void)read_line("/proc/sys/vm/overcommit_memory", mode, sizeof(mode));
	if (strcmp(mode, "2") == 0)
		check_set(r, CHECK_WARN,
			  "as root: sysctl vm.overcommit_memory=0, or give "
			  "a small --va",
			  "strict (2): reserving address space may be "
			  "refused");
	else
		check_set(r, CHECK_OK, NULL, "vm.overcommit_memory=%s",
			  *mode ? mode : "?");
}

void check_huge_pages(const char *spec, struct check_result *r)
{
	char mode[64];

	(void)spec;
	(void)read_line("/sys/kernel/mm/transparent_hugepage/enabled", mode,
			sizeof(mode));
	if (strstr(mode, "[always]"))
		check_set(r, CHECK_WARN,
			  "as root: echo madvise >"
			  "/sys/kernel/mm/transparent_hugepage/enabled",
			  "transparent huge pages are always on: memory "
			  "beside the far mappings grows by 2 MiB steps");
	else
		check_set(r, CHECK_OK, NULL, "transparent huge pages: %s",
			  *mode ? mode : "none");
}

void check_memory(const char *spec, struct check_result *r)
{
	struct far_memory_limit limit;
	char text[16];

	(void)spec;
	far_memory_limit("", &limit);
	(void)far_size_format(limit.bytes, text, sizeof(text));
	if (limit.bytes == UINT64_MAX)
		check_set(r, CHECK_WARN, "mount /proc; give --local a size",
			  "cannot tell how much memory there is");
	else if (limit.cgroup_version)
		check_set(r, CHECK_OK, NULL, "%s by cgroup v%d, %s", text,
			  limit.cgroup_version, limit.path);
	else
		check_set(r, CHECK_OK, NULL,
			  "%s, the machine's (no cgroup limit below it)", text);
}

void check_swap(const char *spec, struct check_result *r)
{
	char line[256];
	unsigned nr = 0;
	FILE *f = fopen("/proc/swaps", "re");

	(void)spec;
	while (f && fgets(line, sizeof(line), f))
		nr++;
	if (f)
		(void)fclose(f);
	if (nr > 1) /* the first line is the heading */
		check_set(r, CHECK_WARN,
			  "as root: swapoff -a, or memory.swap.max=0 for the "
			  "cgroup",
			  "%u swap areas: the kernel may swap our pages out, "
			  "and Rss no longer tells what is local",
			  nr - 1);
	else
		check_set(r, CHECK_OK, NULL, "no swap");
}
