/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The statistics page: a small file in the runtime directory that the process
 * writes ten times a second and anybody may read.  A courtesy: without it all
 * else works.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libfar/base/clock.h"
#include "libfar/base/process.h"
#include "libfar/pager/pager.h"

static void read_command(char *buf, size_t len)
{
	ssize_t n;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	buf[0] = '\0';
	if (fd < 0)
		return;
	n = read(fd, buf, len - 1);
	(void)close(fd);
	for (ssize_t i = 0; i + 1 < n; i++)
		if (!buf[i])
			buf[i] = ' ';
	buf[n > 0 ? n : 0] = '\0';
}

/* Statistics are a courtesy: without a page all else works. */
void stat_page_open(struct far_pager *p)
{
	static _Atomic unsigned serial;
	char dir[96];
	struct far_stat_page *sp;
	unsigned nr = atomic_fetch_add(&serial, 1);
	int fd;

	if (far_runtime_subdir("stat", dir, sizeof(dir)) < 0)
		return;
	(void)snprintf(p->stat_path, sizeof(p->stat_path),
		       nr ? "%s/%d.%u" : "%s/%d", dir, (int)getpid(), nr);
	(void)unlink(p->stat_path);
	fd = open(p->stat_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || posix_fallocate(fd, 0, (off_t)sizeof(*sp)) != 0)
		goto out;
	sp = mmap(NULL, sizeof(*sp), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sp == MAP_FAILED)
		goto out;
	(void)madvise(sp, sizeof(*sp), MADV_DONTFORK);
	sp->pid = (uint64_t)getpid();
	(void)far_process_start(getpid(), &sp->start_ticks);
	read_command(sp->command, sizeof(sp->command));
	(void)snprintf(sp->far_spec, sizeof(sp->far_spec), "%.255s",
		       p->cfg.far);
	sp->magic = FAR_STAT_PAGE_MAGIC;
	p->stat_page = sp;
out:
	if (fd >= 0)
		(void)close(fd);
	if (!p->stat_page) {
		(void)unlink(p->stat_path);
		p->stat_path[0] = '\0';
	}
}

void stat_page_write(struct far_pager *p)
{
	struct far_stat_page *sp = p->stat_page;
	struct far_stats st = {.size = sizeof(st)};
	uint64_t octaves[FAR_STAT_OCTAVES];
	const char *state;

	if (!sp || pthread_mutex_trylock(&p->stat_lock) != 0)
		return;
	pager_stats(p, &st, octaves);
	state = st.lost_pages	    ? "lost pages"
		: st.write_errors   ? "backend refuses pages"
		: pager_is_armed(p) ? "armed"
				    : "local";
	atomic_fetch_add(&sp->seq, 1);
	sp->stats = st;
	memcpy(sp->fault_octaves, octaves, sizeof(octaves));
	sp->updated_ns = far_now_ns();
	(void)snprintf(sp->state, sizeof(sp->state), "%s", state);
	(void)snprintf(sp->fault_mode, sizeof(sp->fault_mode), "%s",
		       p->inline_servers ? "monitor+inline" : "monitor");
	(void)snprintf(sp->takeout_mode, sizeof(sp->takeout_mode), "%s",
		       p->space.use_move ? "move" : "dontneed");
	atomic_fetch_add(&sp->seq, 1);
	(void)pthread_mutex_unlock(&p->stat_lock);
}

void stat_page_close(struct far_pager *p)
{
	if (!p->stat_page)
		return;
	(void)munmap(p->stat_page, sizeof(*p->stat_page));
	p->stat_page = NULL;
	(void)unlink(p->stat_path);
}
