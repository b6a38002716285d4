/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's data plane.  Pages go to the socket from the caller's memory
 * and, when one is waited for, from the socket into the caller's memory: the
 * receive call is laid out for the reply that is expected next.  No
 * allocation, no log, no lock.
 */
#include "pool/client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libfar/base/crc32c.h"

static struct pool_queue *as_queue(struct far_queue *fq)
{
	return (struct pool_queue *)(void *)fq;
}

static struct pool_frame *frame_at(struct pool_queue *q, uint64_t nr)
{
	return &q->ring[nr % CLIENT_RING];
}

/* ---- completions ---- */

static void push_done(struct pool_queue *q, struct far_io *io, int res)
{
	io->res = res;
	io->next = NULL;
	*q->done_end = io;
	q->done_end = &io->next;
	q->nr_ios--;
}

/* The oldest frame is answered; @statuses: one for each of its requests. */
static void finish_head(struct pool_queue *q, int res, const uint8_t *statuses)
{
	struct pool_frame *f = frame_at(q, q->head);
	struct far_io *io = f->ios, *next;
	unsigned i;

	for (i = 0; i < f->nr; i++) {
		next = io->next;
		push_done(q, io,
			  statuses ? wire_get_status(statuses + 4 * i) : res);
		io = next;
	}
	q->head++;
}

static void lose(struct pool_queue *q)
{
	struct epoll_event ev = {0};

	if (q->is_lost)
		return;
	q->is_lost = true;
	/* or the hang-up would keep event_fd() readable for ever */
	(void)epoll_ctl(q->epoll_fd, EPOLL_CTL_DEL, q->sock.fd, &ev);
	/* the server need not wait for the queue's end to free what is ours */
	(void)shutdown(q->sock.fd, SHUT_RDWR);
	while (q->head != q->tail)
		finish_head(q, -EHOSTDOWN, NULL);
	q->rx_io = NULL;
	q->sent = q->tail;
}

/* ---- sending ---- */

static const void *frame_payload(const struct pool_frame *f)
{
	return f->type == WIRE_WRITE ? f->ios->buf : (const void *)f->ranges;
}

static size_t frame_len(const struct pool_frame *f)
{
	return WIRE_HEADER_LEN + f->length;
}

static void iov_set(struct iovec *iov, const void *base, size_t len)
{
	/* struct iovec has no const; nothing is written through it */
	memcpy(&iov->iov_base, &base, sizeof(base));
	iov->iov_len = len;
}

/* Everything that is not sent, in order; returns how many pieces. */
static unsigned gather(struct pool_queue *q, size_t *ret_len)
{
	size_t skip = q->sent_bytes, total = 0;
	unsigned nr = 0;
	uint64_t i;

	for (i = q->sent; i != q->tail; i++) {
		const struct pool_frame *f = frame_at(q, i);

		total += frame_len(f) - skip;
		if (skip < WIRE_HEADER_LEN) {
			iov_set(&q->iov[nr++], f->header + skip,
				WIRE_HEADER_LEN - skip);
			skip = WIRE_HEADER_LEN;
		}
		skip -= WIRE_HEADER_LEN;
		if (f->length)
			iov_set(&q->iov[nr++],
				(const char *)frame_payload(f) + skip,
				f->length - skip);
		skip = 0;
	}
	*ret_len = total;
	return nr;
}

static void advance_sent(struct pool_queue *q, size_t len)
{
	len += q->sent_bytes;
	while (q->sent != q->tail && len >= frame_len(frame_at(q, q->sent))) {
		len -= frame_len(frame_at(q, q->sent));
		q->sent++;
	}
	q->sent_bytes = len;
}

static void flush(struct pool_queue *q)
{
	struct msghdr msg = {.msg_iov = q->iov};
	size_t len;
	ssize_t n;

	while (!q->is_lost && q->sent != q->tail) {
		msg.msg_iovlen = gather(q, &len);
		n = sendmsg(q->sock.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			advance_sent(q, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			lose(q);
	}
}

/* ---- receiving ---- */

static size_t staged(const struct pool_queue *q)
{
	return q->stage_tail - q->stage_head;
}

static void finish_read(struct pool_queue *q)
{
	struct far_io *io = q->rx_io;
	bool is_good = far_crc32c(0, io->buf, io->len) == q->rx_crc;

	q->rx_io = NULL;
	finish_head(q, is_good ? 0 : -EBADMSG, NULL);
}

/* Staged bytes of the page that is coming go where they belong. */
static void take_data(struct pool_queue *q)
{
	size_t n = far_min_u64(staged(q), q->rx_io->len - q->rx_got);

	memcpy((char *)q->rx_io->buf + q->rx_got, q->stage + q->stage_head, n);
	q->stage_head += n;
	q->rx_got += (uint32_t)n;
	if (q->rx_got == q->rx_io->len)
		finish_read(q);
}

/* 1: taken; 0: its payload is not all there; -EPROTO. */
static int take_statuses(struct pool_queue *q, const struct wire_msg *head)
{
	struct wire_msg msg;
	size_t len = WIRE_HEADER_LEN + head->length;

	if (head->length != 4 * frame_at(q, q->head)->nr)
		return -EPROTO;
	if (staged(q) < len)
		return 0;
	if (wire_decode(q->stage + q->stage_head, len, &msg) != WIRE_GOT_FRAME)
		return -EPROTO;
	finish_head(q, 0, msg.payload);
	q->stage_head += len;
	return 1;
}

/* A whole header is staged.  1: taken; 0: wait for more; -errno: give up. */
static int take_header(struct pool_queue *q)
{
	const struct pool_frame *f = frame_at(q, q->head);
	struct wire_msg msg;
	int got;

	got = wire_decode(q->stage + q->stage_head, WIRE_HEADER_LEN, &msg);
	if (got < 0)
		return got;
	if (msg.type == WIRE_ERROR)
		return msg.status;
	if (q->head == q->sent || msg.id != q->head ||
	    msg.type != (f->type | WIRE_REPLY))
		return -EPROTO;
	if (f->type == WIRE_DISCARD && msg.status)
		return take_statuses(q, &msg);
	if (f->type == WIRE_READ && !msg.status) {
		if (msg.length != f->ios->len)
			return -EPROTO;
		q->rx_io = f->ios;
		q->rx_got = 0;
		q->rx_crc = msg.payload_crc;
	} else {
		finish_head(q, msg.status, NULL);
	}
	q->stage_head += WIRE_HEADER_LEN;
	return 1;
}

static void parse(struct pool_queue *q)
{
	int got = 1;

	while (got > 0 && !q->is_lost) {
		if (q->rx_io) {
			take_data(q);
			got = !q->rx_io;
		} else if (staged(q) >= WIRE_HEADER_LEN) {
			got = take_header(q);
		} else {
			got = 0;
		}
	}
	if (got < 0)
		lose(q);
}

/* The READ whose reply comes next, or NULL. */
static struct far_io *expected_read(struct pool_queue *q)
{
	const struct pool_frame *f = frame_at(q, q->head);

	return q->head != q->sent && f->type == WIRE_READ ? f->ios : NULL;
}

/*
 * Pieces for the next receive.  With *@ret_guess the stage is laid out as if
 * the data lay in it: header, room for the data, what follows; a wrong guess
 * is put right by copying the data into that room.
 */
static unsigned lay_out(struct pool_queue *q, struct far_io **ret_guess,
			size_t *ret_len)
{
	size_t have = staged(q), end = have + CLIENT_AHEAD;
	struct far_io *guess = NULL;
	unsigned nr = 0, i;

	memmove(q->stage, q->stage + q->stage_head, have);
	q->stage_head = 0;
	q->stage_tail = have;
	if (q->rx_io) { /* then nothing is staged */
		iov_set(&q->iov[nr++], (char *)q->rx_io->buf + q->rx_got,
			q->rx_io->len - q->rx_got);
	} else if (have < WIRE_HEADER_LEN) {
		guess = expected_read(q);
	}
	if (guess) {
		iov_set(&q->iov[nr++], q->stage + have, WIRE_HEADER_LEN - have);
		iov_set(&q->iov[nr++], guess->buf, guess->len);
		have = WIRE_HEADER_LEN + guess->len;
		end = have + CLIENT_AHEAD;
	}
	iov_set(&q->iov[nr++], q->stage + have, end - have);
	*ret_guess = guess;
	*ret_len = 0;
	for (i = 0; i < nr; i++)
		*ret_len += q->iov[i].iov_len;
	return nr;
}

/* The staged header announces the data of the READ that is waited for. */
static bool is_guess_right(struct pool_queue *q, const struct far_io *guess,
			   uint32_t *ret_crc)
{
	struct wire_msg msg;

	if (wire_decode(q->stage, WIRE_HEADER_LEN, &msg) != WIRE_GOT_HEADER ||
	    msg.type != (WIRE_READ | WIRE_REPLY) || msg.id != q->head ||
	    msg.length != guess->len)
		return false;
	*ret_crc = msg.payload_crc;
	return true;
}

/* @n bytes came into what lay_out() made: say where they are. */
static void account(struct pool_queue *q, struct far_io *guess, size_t n)
{
	size_t part;

	if (q->rx_io) {
		part = far_min_u64(n, q->rx_io->len - q->rx_got);
		q->rx_got += (uint32_t)part;
		q->stage_tail += n - part;
		return;
	}
	q->stage_tail += n;
	if (!guess || q->stage_tail <= WIRE_HEADER_LEN)
		return;
	part = far_min_u64(q->stage_tail - WIRE_HEADER_LEN, guess->len);
	if (is_guess_right(q, guess, &q->rx_crc)) {
		q->rx_io = guess;
		q->rx_got = (uint32_t)part;
		q->stage_head = WIRE_HEADER_LEN + part;
	} else {
		memcpy(q->stage + WIRE_HEADER_LEN, guess->buf, part);
	}
}

static void receive(struct pool_queue *q)
{
	struct msghdr msg = {.msg_iov = q->iov};
	struct far_io *guess;
	size_t len;
	ssize_t n;

	do {
		msg.msg_iovlen = lay_out(q, &guess, &len);
		n = recvmsg(q->sock.fd, &msg, MSG_DONTWAIT);
		if (n > 0) {
			account(q, guess, (size_t)n);
			parse(q);
		} else if (!n || (errno != EAGAIN && errno != EINTR)) {
			lose(q);
		}
		/* fewer than asked for: there is no more at present */
	} while (!q->is_lost && n == (ssize_t)len);
}

/* ---- waking ---- */

/* event_fd() is readable exactly while poll() has something to do. */
static void update_events(struct pool_queue *q)
{
	bool is_blocked = !q->is_lost && q->sent != q->tail;
	struct epoll_event ev = {.events = EPOLLIN};
	uint64_t count = 1;

	if (is_blocked)
		ev.events |= EPOLLOUT;
	if (!q->is_lost && is_blocked != q->is_blocked)
		(void)epoll_ctl(q->epoll_fd, EPOLL_CTL_MOD, q->sock.fd, &ev);
	q->is_blocked = is_blocked;
	if (q->is_kicked == (q->done != NULL))
		return;
	/* neither can fail or block: the counter goes between 0 and 1 */
	if (q->done)
		(void)!write(q->kick_fd, &count, sizeof(count));
	else
		(void)!read(q->kick_fd, &count, sizeof(count));
	q->is_kicked = q->done;
}

/* ---- operations ---- */

static void seal(struct pool_queue *q, uint64_t nr, const struct far_io *io)
{
	struct pool_frame *f = frame_at(q, nr);
	struct wire_msg msg;

	memset(&msg, 0, offsetof(struct wire_msg, payload));
	msg.type = f->type;
	msg.id = nr;
	msg.off = f->type == WIRE_DISCARD ? 0 : io->off;
	msg.len = f->type == WIRE_DISCARD ? 0 : io->len;
	msg.length = f->length;
	msg.payload_crc = far_crc32c(0, frame_payload(f), f->length);
	wire_encode_header(&msg, f->header);
}

static struct pool_frame *frame_begin(struct pool_queue *q, uint8_t type)
{
	struct pool_frame *f = frame_at(q, q->tail++);

	f->ios = NULL;
	f->ios_end = &f->ios;
	f->nr = 0;
	f->type = type;
	f->length = 0;
	return f;
}

static void frame_add(struct pool_frame *f, struct far_io *io)
{
	io->next = NULL;
	*f->ios_end = io;
	f->ios_end = &io->next;
	f->nr++;
}

/* Joins the DISCARD frame before it, if that is of the same list. */
static void add_discard(struct pool_queue *q, uint64_t first, struct far_io *io)
{
	struct pool_frame *f = NULL;

	if (q->tail != first)
		f = frame_at(q, q->tail - 1);
	if (!f || f->type != WIRE_DISCARD || f->nr == CLIENT_BATCH)
		f = frame_begin(q, WIRE_DISCARD);
	wire_put_range(f->ranges + f->nr * WIRE_RANGE_LEN, io->off, io->len);
	frame_add(f, io);
	f->length += WIRE_RANGE_LEN;
}

static void add_io(struct pool_queue *q, uint64_t first, struct far_io *io)
{
	struct pool_frame *f;

	q->nr_ios++;
	if (io->op == FAR_IO_DISCARD) {
		add_discard(q, first, io);
		return;
	}
	f = frame_begin(q, io->op == FAR_IO_WRITE ? WIRE_WRITE : WIRE_READ);
	if (f->type == WIRE_WRITE)
		f->length = io->len;
	frame_add(f, io);
}

int pool_queue_submit(struct far_queue *fq, struct far_io *list, unsigned nr)
{
	struct pool_queue *q = as_queue(fq);
	uint64_t i, first = q->tail;
	struct far_io *next;
	unsigned n;

	if (q->is_lost)
		return -EHOSTDOWN;
	for (n = 0; n < nr && list && q->nr_ios < fq->depth; n++) {
		if (!list->len || list->len > WIRE_MAX_LEN ||
		    list->op > FAR_IO_DISCARD) {
			if (!n)
				return -EINVAL;
			break;
		}
		next = list->next;
		add_io(q, first, list);
		list = next;
	}
	if (!n)
		return nr ? -EAGAIN : 0;
	for (i = first; i != q->tail; i++)
		seal(q, i, frame_at(q, i)->ios);
	flush(q);
	update_events(q);
	return (int)n;
}

int pool_queue_poll(struct far_queue *fq, struct far_io **ret_done,
		    unsigned max)
{
	struct pool_queue *q = as_queue(fq);
	unsigned n;

	flush(q);
	if (!q->done && !q->is_lost)
		receive(q);
	for (n = 0; n < max && q->done; n++) {
		ret_done[n] = q->done;
		q->done = q->done->next;
		if (!q->done)
			q->done_end = &q->done;
	}
	update_events(q);
	return (int)n;
}

int pool_queue_event_fd(struct far_queue *fq)
{
	return as_queue(fq)->epoll_fd;
}
