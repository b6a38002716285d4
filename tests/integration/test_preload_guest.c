/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that knows nothing of far memory; test_preload runs it under
 * libfar-preload.so with a limit below what it allocates.  It checks its own
 * results and leaves with 0, or with 1 and a line that names the claim.
 *	test_preload_guest family|storm|fork|exec|close|io|full|tree|drop
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define NR_BLOCKS 1024
#define BLOCK_SIZE ((size_t)64 << 10)

/* Reports without stdio, which the claims are about as well. */
static void require(bool ok, const char *claim)
{
	if (ok)
		return;
	(void)!write(STDERR_FILENO, "guest: not true: ", 17);
	(void)!write(STDERR_FILENO, claim, strlen(claim));
	(void)!write(STDERR_FILENO, "\n", 1);
	_exit(1);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	return x;
}

/* One word in four is noise, so that stores which compress have work. */
static void fill(void *mem, size_t len, uint64_t seed)
{
	uint64_t *word = mem;
	size_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		word[i] = i % 4 == 0 ? mix(seed + i) : seed;
}

static bool is_filled(const void *mem, size_t len, uint64_t seed)
{
	const uint64_t *word = mem;
	size_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		if (word[i] != (i % 4 == 0 ? mix(seed + i) : seed))
			return false;
	return true;
}

static bool is_zero(const void *mem, size_t len)
{
	const unsigned char *byte = mem;
	size_t i;

	for (i = 0; i < len; i++)
		if (byte[i])
			return false;
	return true;
}

/* 64 MiB in blocks of 64 KiB: four times the least limit. */
static void *blocks[NR_BLOCKS];

static void fill_blocks(uint64_t seed)
{
	unsigned i;

	for (i = 0; i < NR_BLOCKS; i++) {
		if (!blocks[i])
			blocks[i] = malloc(BLOCK_SIZE);
		require(blocks[i], "malloc of a block");
		fill(blocks[i], BLOCK_SIZE, seed + i);
	}
}

static void check_blocks(uint64_t seed, const char *claim)
{
	unsigned i;

	for (i = 0; i < NR_BLOCKS; i++)
		require(is_filled(blocks[i], BLOCK_SIZE, seed + i), claim);
}

static void free_blocks(void)
{
	unsigned i;

	for (i = 0; i < NR_BLOCKS; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

static void run_children(unsigned nr, void (*child)(unsigned))
{
	pid_t pids[8];
	unsigned i;
	int status;

	for (i = 0; i < nr; i++) {
		pids[i] = fork();
		require(pids[i] >= 0, "fork");
		if (pids[i] == 0) {
			child(i);
			_exit(0);
		}
	}
	for (i = 0; i < nr; i++) {
		require(waitpid(pids[i], &status, 0) == pids[i], "waitpid");
		require(status == 0, "a child leaves with 0");
	}
}

/* The malloc family at its edges. */
static volatile size_t no_size; /* hidden from the compiler */
static volatile size_t too_much = (size_t)1 << 62;
static void *(*volatile call_realloc)(void *, size_t) = realloc;
static void *(*volatile call_reallocarray)(void *, size_t,
					   size_t) = reallocarray;

static void check_zero_sizes(void)
{
	void *a = malloc(no_size), *b = calloc(no_size, 8);
	void *c = realloc(NULL, no_size);

	require(a && b && c && a != b && b != c, "size 0 gives a block");
	require(malloc_usable_size(NULL) == 0, "usable size of NULL is 0");
	free(a);
	free(b);
	free(c);
	free(NULL);
}

static void check_failures(void)
{
	volatile size_t half = SIZE_MAX / 2 + 1;
	void *ptr = malloc(100), *none = NULL;

	fill(ptr, 96, 5);
	errno = 0;
	require(!malloc(too_much) && errno == ENOMEM, "huge malloc: ENOMEM");
	errno = 0;
	require(!calloc(half, 2) && errno == ENOMEM, "calloc overflow: ENOMEM");
	errno = 0;
	require(!call_reallocarray(ptr, half, 2) && errno == ENOMEM,
		"reallocarray overflow: ENOMEM");
	errno = 0;
	require(!call_realloc(ptr, too_much) && errno == ENOMEM,
		"huge realloc: ENOMEM");
	require(is_filled(ptr, 96, 5), "a failed realloc leaves the block");
	require(posix_memalign(&none, 3, 8) == EINVAL && !none,
		"posix_memalign refuses 3");
	require(posix_memalign(&none, 64, too_much) == ENOMEM && !none,
		"posix_memalign: ENOMEM is returned");
	free(ptr);
}

static void check_alignment(void)
{
	size_t align, usable;
	void *ptr;

	for (align = sizeof(void *); align <= 4 * MIB; align *= 2) {
		require(posix_memalign(&ptr, align, align + 1) == 0 &&
				(uintptr_t)ptr % align == 0,
			"posix_memalign aligns");
		memset(ptr, 1, align + 1);
		free(ptr);
		ptr = aligned_alloc(align, 3 * align);
		require(ptr && (uintptr_t)ptr % align == 0,
			"aligned_alloc aligns");
		usable = malloc_usable_size(ptr);
		require(usable >= 3 * align, "usable size is at least asked");
		memset(ptr, 2, usable);
		free(ptr);
		ptr = memalign(align, 1);
		require(ptr && (uintptr_t)ptr % align == 0, "memalign aligns");
		free(ptr);
	}
	ptr = valloc(5);
	require(ptr && (uintptr_t)ptr % 4096 == 0, "valloc aligns");
	free(ptr);
	ptr = pvalloc(5);
	require(ptr && (uintptr_t)ptr % 4096 == 0 &&
			malloc_usable_size(ptr) >= 4096,
		"pvalloc gives whole pages");
	free(ptr);
	require(malloc_trim(0) == 1, "malloc_trim works");
}

static void check_realloc(void)
{
	size_t len = 64, old;
	void *ptr = malloc(len);

	fill(ptr, len, 9);
	while (len < 32 * MIB) {
		old = len;
		len *= 2;
		ptr = realloc(ptr, len);
		require(ptr && is_filled(ptr, old, 9), "realloc grows");
		fill(ptr, len, 9);
	}
	while (len > 64) {
		len /= 4;
		ptr = realloc(ptr, len);
		require(ptr && is_filled(ptr, len, 9), "realloc shrinks");
	}
	ptr = realloc(ptr, no_size);
	free(ptr);
}

static void check_calloc(void)
{
	static const size_t sizes[] = {8, 100, 4096, 70000, 3 * MIB, 24 * MIB};
	unsigned i, round;
	void *ptr;

	for (round = 0; round < 3; round++)
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			ptr = malloc(sizes[i]);
			memset(ptr, 0xa5, sizes[i]);
			free(ptr);
			if (round == 1)
				malloc_trim(0);
			ptr = calloc(1, sizes[i]);
			require(ptr && is_zero(ptr, sizes[i]), "calloc zeroes");
			memset(ptr, 0x5a, sizes[i]);
			free(ptr);
		}
}

static void *free_given(void *arg)
{
	void **given = arg;
	unsigned i;

	for (i = 0; i < NR_BLOCKS; i++)
		free(given[i]);
	return NULL;
}

static void check_foreign_free(void)
{
	static void *given[NR_BLOCKS];
	pthread_t thread;
	unsigned i, round;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < NR_BLOCKS; i++) {
			given[i] = malloc(16 + i * 7);
			memset(given[i], 3, 16 + i * 7);
		}
		require(!pthread_create(&thread, NULL, free_given, given),
			"pthread_create");
		pthread_join(thread, NULL);
	}
}

static void run_family(void)
{
	check_zero_sizes();
	check_failures();
	fill_blocks(1);
	check_alignment();
	check_realloc();
	check_calloc();
	check_foreign_free();
	check_blocks(1, "blocks survive the family");
	errno = 4711;
	free_blocks();
	require(errno == 4711, "free keeps errno");
}

/* Hundreds of short threads that pass blocks to each other. */
#define STORM_THREADS 8
#define STORM_ROUNDS 50
#define STORM_BLOCKS 64

static _Atomic(void *) mailbox[256];

struct letter {
	uint64_t len, seed;
	uint64_t body[];
};

static void read_letter(struct letter *l)
{
	if (!l)
		return;
	require(is_filled(l->body, l->len, l->seed), "a letter arrives whole");
	free(l);
}

static void *storm_thread(void *arg)
{
	uint64_t seed = mix((uintptr_t)arg + 1);
	struct letter *l;
	unsigned i;
	size_t len;

	for (i = 0; i < STORM_BLOCKS; i++) {
		seed = mix(seed + i + 1);
		len = (seed % 40000 + 8) & ~(size_t)7;
		l = malloc(sizeof(*l) + len);
		require(l, "malloc in a thread");
		l->len = len;
		l->seed = seed;
		fill(l->body, len, seed);
		read_letter(atomic_exchange(&mailbox[seed >> 32 & 255], l));
	}
	return NULL;
}

static void run_storm(void)
{
	pthread_t threads[STORM_THREADS];
	uintptr_t turn = 0;
	unsigned i, round;

	fill_blocks(2);
	for (round = 0; round < STORM_ROUNDS; round++) {
		for (i = 0; i < STORM_THREADS; i++)
			require(!pthread_create(&threads[i], NULL, storm_thread,
						(void *)turn++),
				"pthread_create");
		for (i = 0; i < STORM_THREADS; i++)
			pthread_join(threads[i], NULL);
	}
	for (i = 0; i < 256; i++)
		read_letter(atomic_exchange(&mailbox[i], NULL));
	check_blocks(2, "blocks survive the storm");
}

/* Children that inherit memory of which most is not local. */
#define NR_STREAMS 24
#define NR_KEYS 48

static FILE *streams[NR_STREAMS];
static pthread_key_t keys[NR_KEYS];
static volatile bool is_over;

static void open_streams(void)
{
	char text[64];
	unsigned i;

	for (i = 0; i < NR_STREAMS; i++) {
		streams[i] = tmpfile();
		require(streams[i], "tmpfile");
		snprintf(text, sizeof(text), "stream %u\n", i);
		fputs(text, streams[i]);
		fflush(streams[i]);
	}
}

static void check_streams(void)
{
	char text[64], line[64];
	unsigned i;
	int len;

	for (i = 0; i < NR_STREAMS; i++) {
		len = snprintf(text, sizeof(text), "stream %u\n", i);
		require(pread(fileno(streams[i]), line, (size_t)len, 0) ==
					len &&
				!memcmp(text, line, (size_t)len),
			"a stream's file is as it was");
		require(fputs("more\n", streams[i]) >= 0 &&
				fflush(streams[i]) == 0,
			"a stream still works");
	}
}

/*
 * Values of keys beyond 31 live in a block of 512 bytes for each thread.
 * fork() clears those of other threads in the child, before any handler of
 * ours has run: what shares their pages must not suffer.
 */
#define KEY_BLOCK 512
#define NR_NEIGHBOURS 16
#define NR_BUSY 2

static void *neighbours[NR_BUSY][NR_NEIGHBOURS];
static _Atomic unsigned nr_busy_ready;

static void check_neighbours(void)
{
	unsigned i, j;

	for (i = 0; i < NR_BUSY; i++)
		for (j = 0; j < NR_NEIGHBOURS; j++)
			require(is_filled(neighbours[i][j], KEY_BLOCK, i + j),
				"what lies beside a thread's keys is whole");
}

static void use_keys(void)
{
	unsigned i;

	for (i = 0; i < NR_KEYS; i++)
		pthread_setspecific(keys[i], &keys[i]);
}

static void keep_neighbours(void **mine)
{
	uint64_t seed =
		(uint64_t)((void *(*)[NR_NEIGHBOURS])(void *)mine - neighbours);
	unsigned i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		if (i == NR_NEIGHBOURS / 2)
			use_keys();
		mine[i] = malloc(KEY_BLOCK);
		require(mine[i], "malloc of a neighbour");
		fill(mine[i], KEY_BLOCK, seed + i);
	}
	atomic_fetch_add(&nr_busy_ready, 1);
}

static void *busy_thread(void *arg)
{
	unsigned char *ptr;
	size_t len;

	if (arg)
		keep_neighbours(arg);
	for (len = 16; !is_over; len = len < MIB ? len * 3 : 16) {
		ptr = malloc(len);
		require(ptr, "malloc beside fork");
		ptr[0] = 1;
		ptr[len - 1] = 1;
		free(ptr);
	}
	return NULL;
}

static unsigned child_index;

static void grandchild(unsigned i)
{
	(void)i;
	check_blocks(100 + child_index,
		     "a grandchild inherits what its parent wrote");
}

static void fork_child(unsigned i)
{
	check_neighbours();
	check_blocks(3, "a child inherits the blocks");
	if (i == 0)
		check_streams();
	fill_blocks(100 + i);
	child_index = i;
	run_children(1, grandchild);
	check_blocks(100 + i, "a child keeps what it wrote");
	free_blocks();
	fill_blocks(200 + i);
	check_blocks(200 + i, "a child allocates anew");
}

static void run_fork(void)
{
	pthread_t busy[NR_BUSY];
	unsigned i;

	/* Its data is read at the start of every thread. */
	require(setlocale(LC_ALL, "C.UTF-8"), "setlocale");
	for (i = 0; i < NR_KEYS; i++)
		require(!pthread_key_create(&keys[i], NULL), "key_create");
	use_keys();
	open_streams();
	for (i = 0; i < NR_BUSY; i++)
		require(!pthread_create(&busy[i], NULL, busy_thread,
					neighbours[i]),
			"pthread_create");
	while (atomic_load(&nr_busy_ready) < NR_BUSY)
		sched_yield();
	fill_blocks(3);
	run_children(2, fork_child);
	check_blocks(3, "the parent's blocks are untouched");
	check_neighbours();
	check_streams();
	is_over = true;
	for (i = 0; i < NR_BUSY; i++)
		pthread_join(busy[i], NULL);
	/* What the children are asked next must not be what they evicted. */
	fill_blocks(4);
	check_blocks(4, "the parent goes on");
}

/* fork() at a high rate, with little to check, beside busy threads. */
static void leaf_child(unsigned i)
{
	require(is_filled(blocks[i], BLOCK_SIZE, 8 + i), "a block at random");
	free(malloc(100000));
}

static void run_tree(void)
{
	pthread_t busy[3];
	unsigned i;

	require(setlocale(LC_ALL, "C.UTF-8"), "setlocale");
	for (i = 0; i < 3; i++)
		require(!pthread_create(&busy[i], NULL, busy_thread, NULL),
			"pthread_create");
	fill_blocks(8);
	for (i = 0; i < 10; i++)
		run_children(2, leaf_child);
	is_over = true;
	for (i = 0; i < 3; i++)
		pthread_join(busy[i], NULL);
	check_blocks(8, "blocks survive many forks");
}

static void exec_child(unsigned i)
{
	char self[] = "/proc/self/exe", mode[] = "family";
	char *args[] = {self, mode, NULL};

	(void)i;
	check_blocks(5, "a child inherits the blocks");
	execv(self, args);
	require(false, "execv");
}

static void run_exec(void)
{
	fill_blocks(5);
	run_children(2, exec_child);
	check_blocks(5, "blocks survive exec of children");
}

static void close_child(unsigned i)
{
	(void)i;
	check_blocks(7, "a child inherits the blocks");
}

/* What daemons do: every descriptor they do not know is closed. */
static void run_close(void)
{
	fill_blocks(6);
	closefrom(3);
	check_blocks(6, "blocks survive closefrom(3)");
	fill_blocks(7);
	check_blocks(7, "paging goes on after closefrom(3)");
	run_children(1, close_child);
}

/* System calls on memory that is not local: the kernel's own faults. */
static void io_through(int in, int out)
{
	char *copy = malloc(BLOCK_SIZE);
	unsigned i;

	for (i = 0; i < NR_BLOCKS; i++)
		require(write(out, blocks[i], BLOCK_SIZE) ==
				(ssize_t)BLOCK_SIZE,
			"write from far memory");
	check_blocks(9, "write changes nothing");
	for (i = 0; i < NR_BLOCKS; i++)
		memset(blocks[i], 0, BLOCK_SIZE);
	for (i = 0; i < NR_BLOCKS; i++)
		require(pread(in, blocks[i], BLOCK_SIZE,
			      (off_t)(i * BLOCK_SIZE)) == (ssize_t)BLOCK_SIZE,
			"read into far memory");
	check_blocks(9, "read fills far memory");
	require(pread(in, copy, BLOCK_SIZE, 0) == (ssize_t)BLOCK_SIZE &&
			!memcmp(copy, blocks[0], BLOCK_SIZE),
		"both are the same");
	free(copy);
}

static void run_io(void)
{
	FILE *file = tmpfile();
	int fd;

	require(file, "tmpfile");
	fd = fileno(file);
	fill_blocks(9);
	io_through(fd, fd);
	fclose(file);
}

/* A store that is too small: malloc() says so, what is there stays. */
static void run_full(void)
{
	size_t nr = 0, i;
	void **got = calloc(4096, sizeof(*got));

	require(got, "calloc");
	errno = 0;
	while (nr < 4096 && (got[nr] = malloc(MIB)) != NULL) {
		fill(got[nr], MIB, nr);
		nr++;
	}
	require(nr > 0 && nr < 4096, "malloc fails in the end");
	require(errno == ENOMEM, "it fails with ENOMEM");
	for (i = 0; i < nr; i++)
		require(is_filled(got[i], MIB, i), "full: contents stay");
	for (i = 0; i < nr; i++)
		free(got[i]);
	for (i = 0; i < nr / 2; i++) {
		got[i] = malloc(MIB);
		require(got[i], "after free() there is room again");
		fill(got[i], MIB, i + 7);
	}
	for (i = 0; i < nr / 2; i++)
		require(is_filled(got[i], MIB, i + 7), "room can be used");
}

/* Pages that are far are dropped like those that are here. */
static void drop_inside(unsigned char *block)
{
	unsigned char *from =
		(unsigned char *)(((uintptr_t)block + 4095) & ~(uintptr_t)4095);
	unsigned char *to = (unsigned char *)((uintptr_t)(block + BLOCK_SIZE) &
					      ~(uintptr_t)4095);
	unsigned char first = block[0], last = block[BLOCK_SIZE - 1];

	require(madvise(from, (size_t)(to - from), MADV_DONTNEED) == 0,
		"madvise");
	require(is_zero(from, (size_t)(to - from)),
		"what madvise() drops reads as zeros");
	require((from == block || block[0] == first) &&
			(to == block + BLOCK_SIZE ||
			 block[BLOCK_SIZE - 1] == last),
		"what lies beside it stays");
	memset(from, 0x77, (size_t)(to - from));
}

static void drop_child(unsigned i)
{
	(void)i;
	drop_inside(blocks[1]);
}

static void run_drop(void)
{
	unsigned char *plain = mmap(NULL, BLOCK_SIZE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned i;

	fill_blocks(10);
	for (i = 0; i < NR_BLOCKS; i += 2)
		drop_inside(blocks[i]);
	run_children(1, drop_child);
	for (i = 1; i < NR_BLOCKS; i += 2)
		require(is_filled(blocks[i], BLOCK_SIZE, 10 + i),
			"a block beside one that was dropped");
	require(madvise((char *)blocks[1] + 1, 4096, MADV_DONTNEED) == -1 &&
			errno == EINVAL,
		"madvise() of half pages is refused");
	require(plain != MAP_FAILED, "mmap");
	memset(plain, 1, BLOCK_SIZE);
	require(madvise(plain, BLOCK_SIZE, MADV_DONTNEED) == 0 &&
			is_zero(plain, BLOCK_SIZE),
		"other memory is dropped, too");
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{"family", run_family}, {"storm", run_storm}, {"fork", run_fork},
	{"tree", run_tree},	{"exec", run_exec},   {"close", run_close},
	{"io", run_io},		{"full", run_full},   {"drop", run_drop},
};

int main(int argc, char **argv)
{
	size_t i;

	alarm(50); /* a hang is a failure */
	for (i = 0; argc == 2 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[1], modes[i].name)) {
			modes[i].run();
			return 0;
		}
	require(false, "the argument names a mode");
	return 1;
}
