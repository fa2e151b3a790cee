/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names out of files of others, fit to stand in a message of one line: control
 * characters, quotes and broken UTF-8 become '?', what is long is cut.
 *
 *     cpv_fail(err, CPV_E_INPUT, "no entry '%s'", cpv_show(name).text);
 */
#ifndef CPV_FORMAT_SHOW_H
#define CPV_FORMAT_SHOW_H

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_shown {
    char text[100];
};

struct cpv_shown cpv_show(struct cpv_bytes s);

#ifdef __cplusplus
}
#endif
#endif
