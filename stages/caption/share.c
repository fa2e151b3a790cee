/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows are whose samples', and which pictures whose. */
#include "stages/caption/caption.h"

void rows_of_samples(const struct cpv_record *input, uint64_t *rows, uint32_t n)
{
    uint64_t row = input->row_begin, f = 0;

    for (uint32_t i = 0; i < n; i++, row++) {
        while (f < input->n_failures && input->failures[f].row <= row) {
            row += input->failures[f].row == row;
            f++;
        }
        rows[i] = row;
    }
}

int64_t engine_share(int64_t left, int workers)
{
    int64_t share = (left + workers - 1) / workers;

    return share > 1 ? share : 1;
}
