/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneDNN's matmul as the one to beat: its weight packed once, in the layout that it likes
 * best. One product at a time. Without the library every open says no.
 */
#ifndef CPV_BENCH_COMPUTE_PEER_DNNL_H
#define CPV_BENCH_COMPUTE_PEER_DNNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;

/* C[m, n] = A[m, k] W^T, W [n, k] in rows; a and c are used by each run, w only here. */
struct peer *peer_open_f32(size_t m, size_t n, size_t k, float *a, float *w, float *c);
/* The same with unsigned a, signed w and int32 c. */
struct peer *peer_open_u8s8(size_t m, size_t n, size_t k, uint8_t *a, int8_t *w,
                            int32_t *c);
void peer_run(void *peer);
void peer_close(struct peer *p);

#endif
