/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matrix unit. Which element of a tile lies with which lane is not documented for a
 * device; here it is drawn from the seed, so that a kernel which relies on it fails.
 */
#include <algorithm>

#include "internal.h"
#include "matrix.h"

#include "emu/wmma.h"

namespace emu
{

static const int LANES = 32, MOST = 512;

/* place[size][lane * per lane + i] = row * columns + column. */
static const unsigned short *places(int size)
{
    static unsigned short tables[3][MOST];
    static bool ready;

    if (!ready) {
        for (int t = 0; t < 3; t++) {
            int n = 128 << t;
            for (int i = 0; i < n; i++)
                tables[t][i] = static_cast<unsigned short>(i);
            for (int i = n; i > 1; i--)
                std::swap(tables[t][i - 1],
                          tables[t][random_below(static_cast<unsigned>(i))]);
        }
        ready = true;
    }
    return tables[size == 128 ? 0 : size == 256 ? 1 : 2];
}

int tile_place(int size, int i)
{
    int per_lane = size / LANES;

    return places(size)[static_cast<int>(current->lane) * per_lane + i];
}

static void gather(void *const *lanes, const float *tile_lane::*which, int size,
                   float *out)
{
    const unsigned short *place = places(size);
    int per_lane = size / LANES;

    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < per_lane; i++)
            out[place[l * per_lane + i]] =
                (static_cast<tile_lane *>(lanes[l])->*which)[i];
}

void multiply_tiles(void *const *lanes)
{
    const tile_lane *one = static_cast<const tile_lane *>(lanes[0]);
    int m = one->m, n = one->n, k = one->k, per_lane = m * n / LANES;
    const unsigned short *place = places(m * n);
    float a[MOST], b[MOST];

    gather(lanes, &tile_lane::a, m * k, a);
    gather(lanes, &tile_lane::b, k * n, b);
    for (int l = 0; l < LANES; l++) {
        const tile_lane *mine = static_cast<const tile_lane *>(lanes[l]);
        for (int i = 0; i < per_lane; i++) {
            int row = place[l * per_lane + i] / n, column = place[l * per_lane + i] % n;
            double sum = mine->c[i];
            for (int j = 0; j < k; j++)
                sum += static_cast<double>(a[row * k + j]) * b[j * n + column];
            mine->d[i] = static_cast<float>(sum);
        }
    }
}

} /* namespace emu */
