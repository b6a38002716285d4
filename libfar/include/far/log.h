/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log messages.  A message is one line, without a newline, in the form
 * "what: why; fix: how".  The library itself never writes to a stream unless
 * the caller asks for it; the default sink of far_open() is standard error.
 */
#ifndef FAR_LOG_H
#define FAR_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum far_log_level {
	FAR_LOG_ERR = 0,
	FAR_LOG_WARN = 1,
	FAR_LOG_INFO = 2,
	FAR_LOG_DEBUG = 3,
};

/**
 * far_log_fn - receives one message
 * @ctx: as given in struct far_open_attr
 * @level: how bad
 * @msg: NUL-terminated, one line, valid during the call only
 *
 * Context: any thread of the library, never one that serves a page fault.
 * It must not touch far memory.
 */
typedef void (*far_log_fn)(void *ctx, enum far_log_level level,
			   const char *msg);

#ifdef __cplusplus
}
#endif

#endif
