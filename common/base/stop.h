/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asked to stop: SIGINT, SIGTERM and SIGUSR1 set a flag and make a descriptor readable;
 * a second one leaves at once with status 75. SIGPIPE is ignored, so that writing to a
 * closed connection or pipe is an error like others.
 *
 * Signals belong to the process: this is the one module with static state.
 */
#ifndef CPV_BASE_STOP_H
#define CPV_BASE_STOP_H

#include <stdbool.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once, from main, before there are threads; a second call changes nothing. */
CPV_MUST_CHECK int cpv_stop_install(struct cpv_err *err);
bool cpv_stop_requested(void);
/* Readable once asked, and stays so (do not read it); -1 before install. */
int cpv_stop_fd(void);

#ifdef __cplusplus
}
#endif
#endif
