/* SPDX-License-Identifier: Apache-2.0 */
/*
 * softmax(scale q k^T) v for each head, over packed sequences or over slots, in f32.
 *
 * A block has some queries of one head of one sequence, a warp ROWS of them. Keys come in
 * tiles of 32 from the sequence's first on, a key a lane, and the softmax is carried from
 * tile to tile (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135).
 * What a row goes through is a chain of operations that depends on its keys alone: not on
 * ROWS, on the row's place in the block, nor on who else is in the batch; each product
 * and sum whose contraction could be chosen differently is written as fmaf. Hence a step
 * of decoding gives the bits of the same row in a whole sequence.
 *
 * Keys that a row does not see are passed over rather than multiplied by 0: what is there
 * may be infinite.
 */
#include "common/compute/cuda/kernel.cuh"

enum { WARPS = 4, KEYS = CPV_WARP };

template <class T> struct job {
    cpv_view<T> out, q, k, v;
    float *lse; /* [n, heads], or NULL */
    int64_t lse_stride;
    const int32_t *offset;    /* of queries, on the device */
    const int32_t *kv_offset; /* of keys; NULL: slots */
    cpv_view<int32_t> source; /* sequence of keys, or slot; no data: the same number */
    const int32_t *length, *table; /* of slots; table NULL: contiguous */
    int32_t capacity, tiles, heads, head;
    float scale;
    bool causal;
};

/* Where the keys of a sequence are. */
struct keys {
    int64_t first;        /* row of the first, if they are contiguous */
    const int32_t *table; /* or who wrote each of them */
    int32_t count;
};

template <class T> __device__ static keys keys_of(const job<T> &a, int32_t sequence)
{
    int32_t from = a.source.data ? *a.source.row(sequence) : sequence;
    keys k;

    k.table = NULL;
    if (a.kv_offset) {
        k.first = a.kv_offset[from];
        k.count = a.kv_offset[from + 1] - a.kv_offset[from];
        return k;
    }
    k.first = (int64_t)from * a.capacity;
    k.count = a.length[from];
    if (a.table)
        k.table = a.table + k.first;
    return k;
}

/* Floats from one key to the next in shared memory: a multiple of 4 that is odd in units
 * of 4, so that 8 lanes reading 16 bytes each meet no bank twice. */
__host__ __device__ static inline int key_stride(int head)
{
    int quads = (head + 3) / 4;

    return 4 * (quads | 1);
}

/* A tile of keys or values: a warp a row, converted to f32, zeros where there are none.
 */
template <class T>
__device__ static void load_tile(float *to, int stride, int width, const job<T> &a,
                                 const cpv_view<T> &from, const keys &k, int32_t first,
                                 int column)
{
    int warp = (int)threadIdx.x / CPV_WARP, lane = (int)threadIdx.x % CPV_WARP;

    for (int j = warp; j < KEYS; j += WARPS) {
        int32_t t = first + j;
        bool there = t < k.count;
        int64_t row = 0;

        if (there)
            row = k.table ? (int64_t)k.table[t] * a.capacity + t : k.first + t;
        for (int c = lane; c < width; c += CPV_WARP)
            to[j * stride + c] =
                there && c < a.head ? cpv_to_float(from.row(row)[column + c]) : 0;
    }
}

/* Scores of this lane's key with each of the warp's rows. */
template <int ROWS>
__device__ static void score(float *s, const float *q, const float *key, int width)
{
    for (int r = 0; r < ROWS; r++)
        s[r] = 0;
    for (int c = 0; c < width; c += 4) {
        float4 b = *reinterpret_cast<const float4 *>(key + c);

        for (int r = 0; r < ROWS; r++) {
            float4 f = *reinterpret_cast<const float4 *>(q + r * width + c);

            s[r] = fmaf(f.x, b.x, s[r]);
            s[r] = fmaf(f.y, b.y, s[r]);
            s[r] = fmaf(f.z, b.z, s[r]);
            s[r] = fmaf(f.w, b.w, s[r]);
        }
    }
}

/* What a lane carries from tile to tile: for each of the warp's rows the largest score,
 * the sum of exponentials relative to it, and its columns of the result. */
template <int ROWS, int COLS> struct carried {
    float most[ROWS], sum[ROWS], acc[ROWS][COLS];
    int32_t sees[ROWS]; /* keys 0 ... sees - 1 */
};

/* Queries of the warp into its own shared memory, scaled; nothing carried yet. */
template <class T, int ROWS, int COLS>
__device__ static void begin_rows(carried<ROWS, COLS> &s, float *q, const job<T> &a,
                                  int64_t begin, int32_t first, int32_t n, int32_t keys,
                                  int column)
{
    int width = (a.head + 3) / 4 * 4, lane = (int)threadIdx.x % CPV_WARP;

    for (int r = 0; r < ROWS; r++) {
        int32_t j = first + r;

        s.most[r] = -INFINITY;
        s.sum[r] = 0;
        for (int i = 0; i < COLS; i++)
            s.acc[r][i] = 0;
        s.sees[r] = j >= n ? 0 : a.causal ? keys - n + j + 1 : keys;
        for (int c = lane; c < width; c += CPV_WARP)
            q[r * width + c] =
                j < n && c < a.head
                    ? cpv_to_float(a.q.row(begin + j)[column + c]) * a.scale
                    : 0;
    }
}

/* The scores of a tile of keys from t on, a key a lane, become factors p. */
template <int ROWS, int COLS>
__device__ static void take_scores(carried<ROWS, COLS> &s, const float *score, float *p,
                                   int32_t t)
{
    int lane = (int)threadIdx.x % CPV_WARP;

    for (int r = 0; r < ROWS; r++) {
        bool seen = t + lane < s.sees[r];
        float now = fmaxf(s.most[r], cpv_warp_max(seen ? score[r] : -INFINITY));
        /* No finite score so far: nothing to carry over, and no difference of infinities
         * to take. */
        float shift = now == -INFINITY ? 0 : now;
        float keep = expf(s.most[r] - shift);
        float e = seen ? expf(score[r] - shift) : 0;

        p[r * KEYS + lane] = e;
        s.sum[r] = fmaf(s.sum[r], keep, cpv_warp_sum(e));
        s.most[r] = now;
        for (int i = 0; i < COLS; i++)
            s.acc[r][i] *= keep;
    }
}

template <int ROWS, int COLS>
__device__ static void add_values(carried<ROWS, COLS> &s, const float *p,
                                  const float *values, int32_t t)
{
    int lane = (int)threadIdx.x % CPV_WARP;

    for (int j = 0; j < KEYS; j++) {
        float value[COLS];

        for (int i = 0; i < COLS; i++)
            value[i] = values[(j * COLS + i) * CPV_WARP + lane];
        for (int r = 0; r < ROWS; r++)
            if (t + j < s.sees[r])
                for (int i = 0; i < COLS; i++)
                    s.acc[r][i] = fmaf(p[r * KEYS + j], value[i], s.acc[r][i]);
    }
}

/* Rows from `row` on, of which `left` are there. */
template <class T, int ROWS, int COLS>
__device__ static void put_rows(const carried<ROWS, COLS> &s, const job<T> &a,
                                int64_t row, int32_t left, int head)
{
    int lane = (int)threadIdx.x % CPV_WARP;

    for (int r = 0; r < ROWS && r < left; r++) {
        for (int i = 0; i < COLS; i++) {
            int c = i * CPV_WARP + lane;

            if (c < a.head)
                a.out.row(row + r)[head * a.head + c] =
                    cpv_from_float<T>(s.sees[r] > 0 ? s.acc[r][i] / s.sum[r] : 0);
        }
        if (a.lse && lane == 0)
            a.lse[(row + r) * a.lse_stride + head] = s.most[r] + logf(s.sum[r]);
    }
}

/* ROWS queries a warp, at most COLS * 32 channels a head. With ONE_TILE keys and values
 * take turns in the same shared memory. */
template <class T, int ROWS, int COLS, bool ONE_TILE>
static __global__ void __launch_bounds__(WARPS *CPV_WARP, 4) attention_kernel(job<T> a)
{
    CPV_DYN_SHARED(float, shared);
    const int v_width = COLS * CPV_WARP;
    int warp = (int)threadIdx.x / CPV_WARP, lane = (int)threadIdx.x % CPV_WARP;
    int head = (int)(blockIdx.x / (unsigned)a.tiles % (unsigned)a.heads);
    int32_t sequence = (int32_t)(blockIdx.x / ((unsigned)a.tiles * (unsigned)a.heads));
    int32_t first = (int32_t)(blockIdx.x % (unsigned)a.tiles) * WARPS * ROWS;
    int32_t begin = a.offset[sequence], n = a.offset[sequence + 1] - begin;
    int width = (a.head + 3) / 4 * 4, stride = key_stride(a.head), column = head * a.head;
    float *v_tile = ONE_TILE ? shared : shared + KEYS * stride;
    float *q = v_tile + KEYS * (ONE_TILE ? max(stride, v_width) : v_width);
    float *p = q + WARPS * ROWS * width + warp * ROWS * KEYS;
    carried<ROWS, COLS> s;
    int32_t last;
    keys k;

    if (first >= n)
        return;
    k = keys_of(a, sequence);
    last = min(first + WARPS * ROWS, n);
    last = a.causal ? k.count - n + last : k.count; /* keys that any row here sees */
    first += warp * ROWS;
    q += warp * ROWS * width;
    begin_rows(s, q, a, begin, first, n, k.count, column);
    for (int32_t t = 0; t < last; t += KEYS) {
        float scores[ROWS];

        __syncthreads(); /* nobody reads the tile before */
        load_tile(shared, stride, width, a, a.k, k, t, column);
        if (!ONE_TILE)
            load_tile(v_tile, v_width, v_width, a, a.v, k, t, column);
        __syncthreads();
        score<ROWS>(scores, q, shared + lane * stride, width);
        take_scores(s, scores, p, t);
        if (ONE_TILE) {
            __syncthreads(); /* nobody reads the keys any more */
            load_tile(v_tile, v_width, v_width, a, a.v, k, t, column);
            __syncthreads();
        } else {
            __syncwarp(); /* p is complete */
        }
        add_values(s, p, v_tile, t);
    }
    put_rows(s, a, (int64_t)begin + first, n - first, head);
}

template <class T, int ROWS, int COLS, bool ONE_TILE>
static int start(cpv_stream s, job<T> a, int64_t sequences, int32_t longest)
{
    int stride = key_stride(a.head), width = (a.head + 3) / 4 * 4;
    int v_width = COLS * CPV_WARP;
    int tile = ONE_TILE ? (stride > v_width ? stride : v_width) : stride + v_width;
    size_t bytes = sizeof(float) *
                   (size_t)(KEYS * tile + WARPS * ROWS * width + WARPS * ROWS * KEYS);

    a.tiles = (longest + WARPS * ROWS - 1) / (WARPS * ROWS);
    CPV_LAUNCH((attention_kernel<T, ROWS, COLS, ONE_TILE>),
               (unsigned)(sequences * a.heads * a.tiles), WARPS * CPV_WARP, bytes, s, a);
    return cudaGetLastError();
}

/* Steps of decoding have a query or two a sequence: four more rows a warp would idle. */
template <class T, int COLS>
static int by_rows(cpv_stream s, const job<T> &a, int64_t sequences, int32_t longest)
{
    return longest <= WARPS ? start<T, 1, COLS, false>(s, a, sequences, longest)
                            : start<T, 4, COLS, false>(s, a, sequences, longest);
}

template <class T>
static int launch(cpv_stream s, const struct cpv_op_attention *op,
                  const struct cpv_cuda_slots *slots)
{
    job<T> a = {};
    int64_t sequences = op->rows.count;
    int32_t longest = op->rows.longest;

    a.out = cpv_view_of<T>(op->out);
    a.q = cpv_view_of<T>(op->q);
    a.k = cpv_view_of<T>(slots ? slots->k : op->k);
    a.v = cpv_view_of<T>(slots ? slots->v : op->v);
    a.lse = static_cast<float *>(op->lse.data);
    a.lse_stride = op->lse.stride;
    a.offset = op->rows.on_device;
    a.heads = op->heads;
    a.head = (int32_t)(op->q.cols / op->heads);
    a.scale = op->scale;
    a.causal = op->causal;
    if (slots) {
        a.source = cpv_view_of<int32_t>(op->slots.on_device);
        a.length = slots->length;
        a.table = slots->fixed ? NULL : slots->table;
        a.capacity = slots->capacity;
    } else {
        a.kv_offset = op->kv_rows.on_device;
        a.source = cpv_view_of<int32_t>(op->source);
    }
    if (a.head <= 64)
        return by_rows<T, 2>(s, a, sequences, longest);
    if (a.head <= 128)
        return by_rows<T, 4>(s, a, sequences, longest);
    if (a.head <= CPV_CUDA_HEAD)
        return start<T, 2, 8, true>(s, a, sequences, longest);
    return cudaErrorInvalidValue;
}

extern "C" int cpv_cuda_attention(cpv_stream s, const struct cpv_op_attention *op,
                                  const struct cpv_cuda_slots *slots)
{
    return CPV_BY_DTYPE(op->q.dtype, launch, s, op, slots);
}
