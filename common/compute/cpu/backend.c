/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/host.h"
const struct cpv_backend cpv_backend_cpu = {.name = "cpu"};
