/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs of `far trace`. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "cli/cli.h"

extern const struct cli_verb cli_verb_trace_record, cli_verb_trace_report,
	cli_verb_trace_export;

#endif
