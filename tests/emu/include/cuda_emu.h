/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The emulator, as common/compute/cuda/portable.cuh sees it: CUDA's device side for the
 * host's C++ compiler. CUDA's own headers, which portable.cuh includes before this one,
 * give the types and the conversions of fp16 and bf16; what they leave to nvcc is here.
 * docs/architecture.md, "CUDA without a GPU", says what this covers.
 */
#ifndef CUDA_EMU_H
#define CUDA_EMU_H

#include "emu/thread.h"
#include "emu/warp.h"
#include "emu/atomic.h"
#include "emu/copy.h"
#include "emu/math.h"

#endif
