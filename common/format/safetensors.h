/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors: the length of a JSON header, the header, then the tensors, row-major and
 * little-endian. As in the reference implementation the tensors must cover what follows
 * the header: no overlap, no gap, nothing behind, so a file cut short is noticed.
 * Stricter: a header has at most 16 MiB, there 100 MB; more than 8 dimensions and types
 * that checkpoint.h does not list are refused, by name.
 *
 * Source: huggingface/safetensors README "Format", safetensors/src/tensor.rs.
 */
#ifndef CPV_FORMAT_SAFETENSORS_H
#define CPV_FORMAT_SAFETENSORS_H

#include "common/format/checkpoint_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A length that fits the file and a brace behind it. */
bool cpv_safetensors_is(struct cpv_bytes file);

/* Add all tensors of `file`, views of it. `path` is for messages. */
CPV_MUST_CHECK int cpv_safetensors_read(struct cpv_ckpt_list *list, struct cpv_bytes file,
                                        const char *path, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
