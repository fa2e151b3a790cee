/* SPDX-License-Identifier: Apache-2.0 */
/* Which pictures are whose. */
#include "stages/caption/caption.h"

int64_t engine_share(int64_t left, int workers)
{
    int64_t share = (left + workers - 1) / workers;

    return share > 1 ? share : 1;
}
