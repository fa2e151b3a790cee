/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usual JPEG, fast: baseline, 8 bits, one scan, Y Cb Cr or gray (ITU T.81).
 *
 * Most of the time of reading a photograph goes into Huffman codes, and most of that
 * into mispredicted branches. Here a table of 2^11 entries yields run, size and
 * length of a code with its value at once, two codes for each refill of 56 bits.
 * Whatever is not plain and flawless - another process, a marker
 * out of place, a code that does not exist, one bit too few - is "not for me", and
 * libjpeg decides from the beginning: it alone ever calls a file broken. What this
 * accepts has the samples that libjpeg would have made, to the bit.
 */
#include "common/base/sys.h"
#include "common/image/idct.h"
#include "common/image/private.h"

/* Into every caller, so that a caller's processor flags apply. */
#define INLINE inline __attribute__((always_inline))

enum { LOOK = 11, TABLES = 2, MCU_BLOCKS_MAX = 10 };

/*
 * What the next LOOK bits begin with, in bits: 0-4 the length of the code and of the
 * value behind it, 5-9 that of the code alone, 10-13 the size of the value, 14-17 the
 * run. 0: a code of more than LOOK bits, or none.
 */
static inline uint32_t entry_of(int length, uint8_t symbol)
{
    uint32_t size = symbol & 15u, run = symbol >> 4;

    return ((uint32_t)length + size) | (uint32_t)length << 5 | size << 10 | run << 14;
}

struct huffman {
    uint32_t look[1 << LOOK];
    uint32_t limit[17]; /* codes of n bits, left-aligned in 16, are below this */
    int32_t offset[17]; /* code - its place in symbols */
    uint8_t symbols[256];
    bool there;
};

struct component {
    int id, h, v, quant, dc, ac;
    int32_t last; /* DC */
};

struct bits {
    const uint8_t *at, *end;
    uint64_t ahead; /* left-aligned */
    int count;      /* of bits that count */
    int padded;     /* of them, zeros behind the end of the data */
};

struct cpv_jpeg_baseline {
    struct huffman dc[TABLES], ac[TABLES];
    bool quant_there[4];
    struct component k[3];
    int components, max_h, max_v;
    uint32_t width, height, restart;
    bool frame_there, jfif, adobe;
    struct bits bits;
    _Alignas(16) int16_t steps[4][64]; /* quantisation, natural order */
    _Alignas(16) int16_t block[64];
};

/* A run may lead beyond the block; all that is there is its last place (as in libjpeg).
 */
static const uint8_t natural_order[64 + 16] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33,
    40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

/* --- tables ---------------------------------------------------------------------- */

static bool build_huffman(struct huffman *t, const uint8_t counts[16])
{
    uint32_t code = 0, place = 0;

    memset(t->look, 0, sizeof t->look);
    for (int length = 1; length <= 16; length++, code <<= 1) {
        t->offset[length] = (int32_t)code - (int32_t)place;
        for (int i = 0; i < counts[length - 1]; i++, code++, place++) {
            if (code >= 1u << length)
                return false;
            for (uint32_t tail = 0; length <= LOOK && tail < 1u << (LOOK - length);
                 tail++)
                t->look[code << (LOOK - length) | tail] =
                    entry_of(length, t->symbols[place]);
        }
        t->limit[length] = code << (16 - length);
    }
    t->there = true;
    return true;
}

/* --- bits ------------------------------------------------------------------------ */

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* The end, a marker, or a stuffed byte is near. By value: see read_ac. */
__attribute__((noinline)) static struct bits refilled_slowly(struct bits b)
{
    for (; b.count <= 56; b.count += 8) {
        if (b.at < b.end && *b.at != 0xFF) {
            b.ahead |= (uint64_t)*b.at++ << (56 - b.count);
        } else if (b.end - b.at >= 2 && b.at[1] == 0) {
            b.ahead |= (uint64_t)0xFF << (56 - b.count);
            b.at += 2;
        } else {
            b.padded += 8;
        }
    }
    return b;
}

/* At least 56 bits ahead. Bits beyond `count` are those of *at: or-ing them again
 * later does no harm. */
static INLINE void refill(struct bits *b)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);

    if (b->end - b->at >= 8) {
        uint64_t v = load_be64(b->at);

        if (!((~v - ones) & v & ones << 7)) { /* no byte of 0xFF */
            b->ahead |= v >> b->count;
            b->at += (63 - b->count) >> 3;
            b->count |= 56;
            return;
        }
    }
    *b = refilled_slowly(*b);
}

/* The entry of a code of more than LOOK bits; 0 if there is none. */
__attribute__((noinline)) static uint32_t long_entry(uint64_t ahead,
                                                     const struct huffman *t)
{
    uint32_t next = (uint32_t)(ahead >> 48);

    for (int length = LOOK + 1; length <= 16; length++)
        if (next < t->limit[length]) {
            int32_t place = (int32_t)(next >> (16 - length)) - t->offset[length];

            return place >= 0 && place < 256 ? entry_of(length, t->symbols[place]) : 0;
        }
    return 0;
}

static INLINE uint32_t next_entry(const struct bits *b, const struct huffman *t)
{
    uint32_t entry = t->look[b->ahead >> (64 - LOOK)];

    return __builtin_expect(entry != 0, 1) ? entry : long_entry(b->ahead, t);
}

/* The value behind a code, and past both: T.81 figure F.12 without a branch. */
static INLINE int32_t take_value(struct bits *b, uint32_t entry)
{
    /* what to add if the top bit is 0: 1 - 2^size */
    static const int16_t bias[16] = {0,     -1,    -3,     -7,    -15,   -31,
                                     -63,   -127,  -255,   -511,  -1023, -2047,
                                     -4095, -8191, -16383, -32767};
    uint32_t size = entry >> 10 & 15;
    uint64_t from = b->ahead << (entry >> 5 & 31);
    int32_t negative = ~(int32_t)((int64_t)from >> 63);

    b->ahead <<= entry & 31;
    b->count -= (int)(entry & 31);
    return (int32_t)(from >> (64 - size)) + (bias[size] & negative);
}

static INLINE bool read_dc(struct bits *b, const struct huffman *t, struct component *k)
{
    uint32_t entry = next_entry(b, t);

    if (entry == 0)
        return false;
    if (entry >> 10 & 15) {
        k->last += take_value(b, entry);
    } else {
        b->ahead <<= entry & 31;
        b->count -= (int)(entry & 31);
    }
    return k->last >= -32768 && k->last <= 32767;
}

/* One AC code: 1: go on; 0: the block ends here; -1: there is no such code. */
static INLINE int read_one(struct bits *b, const struct huffman *t, int16_t *block,
                           uint32_t *at)
{
    uint32_t entry = next_entry(b, t);

    *at += entry >> 14;
    if ((entry >> 10 & 15) == 0) {
        b->ahead <<= entry & 31;
        b->count -= (int)(entry & 31);
        *at += 1;
        return entry == 0 ? -1 : entry >> 14 == 15;
    }
    block[natural_order[(*at)++]] = (int16_t)take_value(b, entry);
    return 1;
}

/*
 * The 63 others. The bits stay in registers: nothing that is not inlined may see their
 * address. Two codes with values need at most 2 * 26 of 56 bits; long ones up to 31,
 * hence the second look at the count.
 */
static INLINE bool read_ac(struct bits *b, const struct huffman *t, int16_t *block)
{
    struct bits here = *b;
    uint32_t at = 1;
    int more = 1;

    while (at < 64) {
        refill(&here);
        more = read_one(&here, t, block, &at);
        if (more <= 0 || at >= 64)
            break;
        if (__builtin_expect(here.count < 31, 0))
            refill(&here);
        more = read_one(&here, t, block, &at);
        if (more <= 0)
            break;
    }
    *b = here;
    return more >= 0;
}

static INLINE bool read_block(struct cpv_jpeg_baseline *j, struct component *k)
{
    memset(j->block, 0, sizeof j->block);
    refill(&j->bits);
    if (!read_dc(&j->bits, &j->dc[k->dc], k))
        return false;
    j->block[0] = (int16_t)k->last;
    return read_ac(&j->bits, &j->ac[k->ac], j->block);
}

/* --- headers --------------------------------------------------------------------- */

static bool read_quant(struct cpv_jpeg_baseline *j, struct cpv_bytes s)
{
    for (; s.size >= 65; s.data += 65, s.size -= 65) {
        if (s.data[0] > 3) /* 16-bit steps, or no such table */
            return false;
        for (int i = 0; i < 64; i++)
            j->steps[s.data[0]][natural_order[i]] = s.data[1 + i];
        j->quant_there[s.data[0]] = true;
    }
    return s.size == 0;
}

static bool read_huffman(struct cpv_jpeg_baseline *j, struct cpv_bytes s)
{
    while (s.size >= 17) {
        struct huffman *t =
            s.data[0] >> 4 ? &j->ac[s.data[0] & 1] : &j->dc[s.data[0] & 1];
        size_t total = 0;

        for (int i = 1; i <= 16; i++)
            total += s.data[i];
        if ((s.data[0] & ~0x11) != 0 || total > 256 || s.size - 17 < total)
            return false;
        memset(t->symbols, 0, sizeof t->symbols);
        memcpy(t->symbols, s.data + 17, total);
        if (!build_huffman(t, s.data + 1))
            return false;
        for (size_t i = 0; i < total && s.data[0] < 0x10; i++)
            if (t->symbols[i] > 11)
                return false;
        s.data += 17 + total;
        s.size -= 17 + total;
    }
    return s.size == 0;
}

static bool read_frame(struct cpv_jpeg_baseline *j, struct cpv_bytes s)
{
    int blocks = 0;

    if (j->frame_there || s.size < 6 || s.data[0] != 8)
        return false;
    j->components = s.data[5];
    if ((j->components != 1 && j->components != 3) ||
        s.size != 6 + 3 * (size_t)j->components)
        return false;
    j->height = cpv_image_be16(s.data + 1);
    j->width = cpv_image_be16(s.data + 3);
    j->max_h = j->max_v = 1;
    for (int i = 0; i < j->components; i++) {
        const uint8_t *p = s.data + 6 + 3 * i;
        struct component k = {p[0], p[1] >> 4, p[1] & 15, p[2], 0, 0, 0};

        if (k.h < 1 || k.h > 2 || k.v < 1 || k.v > 2 || k.quant > 3)
            return false;
        if (j->components == 1) /* alone, a component has blocks, not MCUs */
            k.h = k.v = 1;
        j->max_h = k.h > j->max_h ? k.h : j->max_h;
        j->max_v = k.v > j->max_v ? k.v : j->max_v;
        blocks += k.h * k.v;
        j->k[i] = k;
    }
    j->frame_there = true;
    return blocks <= MCU_BLOCKS_MAX;
}

static bool read_scan(struct cpv_jpeg_baseline *j, struct cpv_bytes s)
{
    size_t n = (size_t)j->components;

    if (!j->frame_there || s.size != 4 + 2 * n || s.data[0] != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct component *k = &j->k[i];
        uint8_t tables = s.data[2 + 2 * i];

        k->dc = tables >> 4;
        k->ac = tables & 15;
        if (s.data[1 + 2 * i] != k->id || k->dc >= TABLES || k->ac >= TABLES ||
            !j->dc[k->dc].there || !j->ac[k->ac].there || !j->quant_there[k->quant])
            return false;
    }
    return s.data[1 + 2 * n] == 0 && s.data[2 + 2 * n] == 63 && s.data[3 + 2 * n] == 0;
}

/* Three components are Y, Cb, Cr if JFIF says so, or if nobody says otherwise. */
static bool has_known_colours(const struct cpv_jpeg_baseline *j)
{
    return j->components == 1 || j->jfif ||
           (!j->adobe && j->k[0].id == 1 && j->k[1].id == 2 && j->k[2].id == 3);
}

/* 1: the scan begins at *at; 0: go on; -1: not for us. */
static int read_segment(struct cpv_jpeg_baseline *j, uint8_t marker, struct cpv_bytes s)
{
    switch (marker) {
    case 0xDB:
        return read_quant(j, s) ? 0 : -1;
    case 0xC4:
        return read_huffman(j, s) ? 0 : -1;
    case 0xC0:
        return read_frame(j, s) ? 0 : -1;
    case 0xDA:
        return read_scan(j, s) && has_known_colours(j) ? 1 : -1;
    case 0xDD:
        j->restart = s.size == 2 ? cpv_image_be16(s.data) : 0;
        return s.size == 2 ? 0 : -1;
    case 0xE0:
        if (s.size >= 12 && memcmp(s.data, "JFIF", 5) == 0)
            j->jfif = true;
        return 0;
    case 0xEE:
        j->adobe = true;
        return 0;
    default: /* other applications' data, and comments */
        return (marker >= 0xE1 && marker <= 0xEF) || marker == 0xFE ? 0 : -1;
    }
}

static bool read_headers(struct cpv_jpeg_baseline *j, struct cpv_bytes f)
{
    size_t at = 2, n;
    int verdict = 0;

    j->components = 0;
    j->restart = 0;
    j->frame_there = j->jfif = j->adobe = false;
    memset(j->quant_there, 0, sizeof j->quant_there);
    for (int i = 0; i < TABLES; i++)
        j->dc[i].there = j->ac[i].there = false;
    while (verdict == 0) {
        if (!cpv_range_in(at, 4, f.size) || f.data[at] != 0xFF)
            return false;
        n = cpv_image_be16(f.data + at + 2);
        if (n < 2 || !cpv_range_in(at + 2, n, f.size))
            return false;
        verdict = read_segment(j, f.data[at + 1], cpv_bytes_of(f.data + at + 4, n - 2));
        at += 2 + n;
    }
    j->bits = (struct bits){f.data + at, f.data + f.size, 0, 0, 0};
    return verdict > 0;
}

/* --- the scan -------------------------------------------------------------------- */

/* Fewer than 8 bits are left before `marker`, and none was invented. */
static bool ends_with(struct cpv_jpeg_baseline *j, uint8_t marker)
{
    struct bits *b = &j->bits;
    int left;

    *b = refilled_slowly(*b);
    left = b->count - b->padded;
    return left >= 0 && left < 8 && b->end - b->at >= 2 && b->at[0] == 0xFF &&
           b->at[1] == marker;
}

static bool pass_restart(struct cpv_jpeg_baseline *j, uint64_t mcu)
{
    uint8_t marker = (uint8_t)(0xD0 + (mcu / j->restart - 1) % 8);

    if (!ends_with(j, marker))
        return false;
    j->bits.at += 2;
    j->bits.ahead = 0;
    j->bits.count = j->bits.padded = 0;
    for (int i = 0; i < j->components; i++)
        j->k[i].last = 0;
    return true;
}

/* One MCU; c: NULL where only the codes are of interest. */
static INLINE bool read_mcu(struct cpv_jpeg_baseline *j, struct cpv_canvas *c,
                            uint32_t mcu_x, uint8_t *rows[3][16])
{
    for (int i = 0; i < j->components; i++) {
        struct component *k = &j->k[i];

        for (int v = 0; v < k->v; v++)
            for (int h = 0; h < k->h; h++) {
                if (!read_block(j, k))
                    return false;
                if (c && !cpv_idct(j->block, j->steps[k->quant], rows[i] + 8 * v,
                                   (mcu_x * (uint32_t)k->h + (uint32_t)h) * 8))
                    return false;
            }
    }
    return true;
}

static INLINE bool read_scan_data(struct cpv_jpeg_baseline *j, struct cpv_canvas *c)
{
    uint32_t across = (j->width + 8 * (uint32_t)j->max_h - 1) / (8 * (uint32_t)j->max_h);
    uint32_t down = (j->height + 8 * (uint32_t)j->max_v - 1) / (8 * (uint32_t)j->max_v);
    uint8_t *rows[3][16] = {{NULL}};
    uint64_t mcu = 0;

    for (uint32_t y = 0; y < down; y++) {
        for (int i = 0; i < j->components && c; i++)
            for (int r = 0; r < 8 * j->k[i].v; r++)
                rows[i][r] = cpv_scaler_row(&c->scaler[i], (uint32_t)r);
        for (uint32_t x = 0; x < across; x++, mcu++) {
            if (j->restart > 0 && mcu > 0 && mcu % j->restart == 0 &&
                !pass_restart(j, mcu))
                return false;
            if (!read_mcu(j, c, x, rows))
                return false;
        }
        for (int i = 0; i < j->components && c; i++)
            cpv_scaler_push(&c->scaler[i], 8 * (uint32_t)j->k[i].v);
    }
    return ends_with(j, 0xD9);
}

#if defined(__x86_64__)
/* Shifts by a variable are three times as fast in BMI2. */
__attribute__((target("bmi2"))) static bool read_bmi2(struct cpv_jpeg_baseline *j,
                                                      struct cpv_canvas *c)
{
    return read_scan_data(j, c);
}
#endif

static bool read_pixels(struct cpv_jpeg_baseline *j, struct cpv_canvas *c)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("bmi2"))
        return read_bmi2(j, c);
#endif
    return read_scan_data(j, c);
}

static int begin_planes(struct cpv_jpeg_baseline *j, struct cpv_canvas *c,
                        struct cpv_err *err)
{
    struct cpv_plane_shape shapes[3];

    for (int i = 0; i < j->components; i++) {
        uint32_t h = (uint32_t)j->k[i].h, v = (uint32_t)j->k[i].v;
        uint32_t max_h = (uint32_t)j->max_h, max_v = (uint32_t)j->max_v;

        shapes[i] = (struct cpv_plane_shape){
            (j->width * h + max_h - 1) / max_h, (j->height * v + max_v - 1) / max_v,
            (double)j->width * h / max_h, (double)j->height * v / max_v, 8 * v};
    }
    return cpv_canvas_begin(c, shapes, j->components, err);
}

int cpv_jpeg_baseline_open(struct cpv_jpeg_baseline **out, struct cpv_err *err)
{
    *out = cpv_calloc(1, sizeof **out);
    return *out ? CPV_OK : cpv_fail_memory(err);
}

void cpv_jpeg_baseline_close(struct cpv_jpeg_baseline **j)
{
    cpv_free(*j);
    *j = NULL;
}

int cpv_jpeg_baseline_to_canvas(struct cpv_jpeg_baseline *j,
                                const struct cpv_image_source *s, struct cpv_canvas *c,
                                bool *done, struct cpv_err *err)
{
    int rc = CPV_OK;

    *done = false;
    if (!read_headers(j, s->file) || j->width != s->info->width ||
        j->height != s->info->height)
        return CPV_OK;
    if (!c->check_only && cpv_canvas_jpeg_scale(c, j->width, j->height) != 8)
        return CPV_OK;
    if (!c->check_only)
        rc = begin_planes(j, c, err);
    if (rc == CPV_OK)
        *done = read_pixels(j, c->check_only ? NULL : c);
    return rc;
}
