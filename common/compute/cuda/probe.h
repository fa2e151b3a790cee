/* SPDX-License-Identifier: Apache-2.0 */
/* Launchers of probe.cu. Addresses are the device's; only cuda/ includes this. */
#ifndef CPV_COMPUTE_CUDA_PROBE_H
#define CPV_COMPUTE_CUDA_PROBE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* data[i] = cpv_mix32(data[i] ^ seed) for i < n. A cudaError_t; queued, not awaited. */
int cpv_cuda_probe_mix(uint32_t *data, int64_t n, uint32_t seed);

#ifdef __cplusplus
}
#endif
#endif
