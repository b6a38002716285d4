/* SPDX-License-Identifier: BSD-3-Clause */
/* far stat --faults: how long faults take, and where the time goes. */
#ifndef CLI_STAT_FAULTS_H
#define CLI_STAT_FAULTS_H

#include "libfar/base/stats.h"

/** stat_print_faults() - the histogram and the stages of one process */
void stat_print_faults(const struct far_stat_page *p);

#endif
