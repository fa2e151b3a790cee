/* SPDX-License-Identifier: Apache-2.0 */
/* See tar.h. Field positions: POSIX.1-1988 ustar; GNU tar manual, "Basic Tar Format". */
#include "common/format/tar.h"

#include <assert.h>
#include <stdio.h>

#include "common/base/size.h"

enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_DEVMAJOR = 329,
    AT_DEVMINOR = 337,
    AT_PREFIX = 345,
    AT_GNU_MORE = 482, /* of an 'S' header: extended headers follow */
    NAME_SIZE = 100,
    PREFIX_SIZE = 155,
    SUM_SIZE = 8
};

/* digits octal digits and a terminating NUL. */
static void put_octal(uint8_t *to, unsigned digits, uint64_t v)
{
    for (unsigned i = digits; i-- > 0; v >>= 3)
        to[i] = (uint8_t)('0' + (v & 7));
    to[digits] = '\0';
    assert(v == 0);
}

/* The sum of all bytes, those of the checksum itself taken as blanks. */
static uint32_t sum_block(const uint8_t *block)
{
    uint32_t sum = SUM_SIZE * ' ';

    for (unsigned i = 0; i < CPV_TAR_BLOCK; i++)
        sum += block[i];
    for (unsigned i = AT_SUM; i < AT_SUM + SUM_SIZE; i++)
        sum -= block[i];
    return sum;
}

/* The same of signed bytes, as some old programs had it. */
static int32_t sum_signed(const uint8_t *block)
{
    int32_t sum = SUM_SIZE * ' ';

    for (unsigned i = 0; i < CPV_TAR_BLOCK; i++)
        if (i < AT_SUM || i >= AT_SUM + SUM_SIZE)
            sum += (int8_t)block[i];
    return sum;
}

void cpv_tar_write(uint8_t out[CPV_TAR_BLOCK], const char *key, const char *ext,
                   uint64_t size)
{
    size_t key_size = strlen(key), ext_size = strlen(ext);

    assert(key_size + 1 + ext_size < NAME_SIZE);
    memset(out, 0, CPV_TAR_BLOCK);
    memcpy(out + AT_NAME, key, key_size);
    out[AT_NAME + key_size] = '.';
    memcpy(out + AT_NAME + key_size + 1, ext, ext_size);
    put_octal(out + AT_MODE, 7, 0444);
    put_octal(out + AT_UID, 7, 0);
    put_octal(out + AT_GID, 7, 0);
    put_octal(out + AT_SIZE, 11, size);
    put_octal(out + AT_MTIME, 11, 0);
    out[AT_TYPE] = '0';
    memcpy(out + AT_MAGIC,
           "ustar\0"
           "00",
           8);
    put_octal(out + AT_DEVMAJOR, 7, 0);
    put_octal(out + AT_DEVMINOR, 7, 0);
    put_octal(out + AT_SUM, 6, sum_block(out));
    out[AT_SUM + 7] = ' ';
}

bool cpv_tar_is_zero(const uint8_t *data, size_t n)
{
    return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

/* Octal with leading blanks, ended by a blank or a NUL; all blank is 0. */
static bool get_octal(const uint8_t *at, size_t n, uint64_t *out)
{
    size_t i = 0;
    uint64_t v = 0;

    while (i < n && at[i] == ' ')
        i++;
    for (; i < n && at[i] != ' ' && at[i] != '\0'; i++) {
        if (at[i] < '0' || at[i] > '7' || v >> 61)
            return false;
        v = v << 3 | (uint64_t)(at[i] - '0');
    }
    *out = v;
    return true;
}

/* Octal, or GNU's base-256: a first byte of 0x80, then big-endian. NULL or why not. */
static const char *get_size(const uint8_t *at, size_t n, uint64_t *out)
{
    uint64_t v = 0;

    if (at[0] == 0xff)
        return "a negative size";
    if (!(at[0] & 0x80))
        return get_octal(at, n, out) ? NULL : "a size that is no number";
    for (size_t i = 0; i < n; i++) {
        if (v >> 54)
            return "an absurd size";
        v = v << 8 | (i == 0 ? at[0] & 0x7f : at[i]);
    }
    *out = v;
    return NULL;
}

static enum cpv_tar_kind kind_of(uint8_t type)
{
    switch (type) {
    case '0':
    case '\0':
    case '7': /* contiguous: a file like any other */
        return CPV_TAR_FILE;
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
        return CPV_TAR_OTHER;
    case 'S':
        return CPV_TAR_SPARSE;
    case 'L':
        return CPV_TAR_LONG_NAME;
    case 'K':
        return CPV_TAR_LONG_LINK;
    case 'x':
    case 'X': /* Solaris */
        return CPV_TAR_PAX;
    case 'g':
        return CPV_TAR_PAX_GLOBAL;
    default:
        return CPV_TAR_OTHER_DATA;
    }
}

/* Only POSIX headers have a prefix; GNU keeps times in that place. */
static void join_name(struct cpv_tar_head *out, const uint8_t *block)
{
    size_t prefix = 0, name = strnlen((const char *)block + AT_NAME, NAME_SIZE);

    if (memcmp(block + AT_MAGIC, "ustar\0", 6) == 0)
        prefix = strnlen((const char *)block + AT_PREFIX, PREFIX_SIZE);
    memcpy(out->name, block + AT_PREFIX, prefix);
    if (prefix)
        out->name[prefix++] = '/';
    memcpy(out->name + prefix, block + AT_NAME, name);
    out->name[prefix + name] = '\0';
}

const char *cpv_tar_read(struct cpv_tar_head *out, const uint8_t block[CPV_TAR_BLOCK])
{
    uint64_t said;
    const char *why;
    size_t n;

    if (!get_octal(block + AT_SUM, SUM_SIZE, &said))
        return "no tar header";
    if (said != sum_block(block) && (int64_t)said != sum_signed(block))
        return "a tar header with a wrong checksum";
    if ((why = get_size(block + AT_SIZE, 12, &out->size)))
        return why;
    out->kind = kind_of(block[AT_TYPE]);
    out->more = out->kind == CPV_TAR_SPARSE && block[AT_GNU_MORE];
    join_name(out, block);
    /* Before there was a type for folders, they were files with a slash. */
    n = strlen(out->name);
    if (block[AT_TYPE] != '7' && out->kind == CPV_TAR_FILE && n &&
        out->name[n - 1] == '/')
        out->kind = CPV_TAR_OTHER;
    if (out->kind == CPV_TAR_OTHER)
        out->size = 0;
    return NULL;
}

/* All of it decimal digits. */
static bool get_decimal(struct cpv_bytes s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.size == 0)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9' || v > (UINT64_MAX >> 3) / 10)
            return false;
        v = v * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out = v;
    return true;
}

static bool is_key(struct cpv_bytes key, const char *name)
{
    return cpv_bytes_equal(key, cpv_bytes_str(name));
}

static const char *take_record(struct cpv_tar_pax *out, struct cpv_bytes key,
                               struct cpv_bytes value)
{
    if (is_key(key, "path")) {
        out->path = value.size ? value : cpv_bytes_of(NULL, 0);
        if (value.size && memchr(value.data, '\0', value.size))
            return "a PAX path with a NUL byte";
    } else if (is_key(key, "size")) {
        out->has_size = value.size > 0;
        if (out->has_size && !get_decimal(value, &out->size))
            return "a PAX size that is no number";
    } else if (key.size > 11 && memcmp(key.data, "GNU.sparse.", 11) == 0) {
        out->sparse = true;
    }
    return NULL;
}

/* "LENGTH KEY=VALUE\n", the length counting all of it. */
const char *cpv_tar_read_pax(struct cpv_tar_pax *out, struct cpv_bytes records)
{
    const uint8_t *at = records.data, *end = at + records.size;

    while (at < end) {
        const uint8_t *space = memchr(at, ' ', (size_t)(end - at)), *stop, *equals;
        uint64_t length;
        const char *why;

        if (!space || !get_decimal(cpv_bytes_of(at, (size_t)(space - at)), &length) ||
            length > (uint64_t)(end - at) || length < (uint64_t)(space - at) + 3)
            return "a PAX record of a wrong length";
        stop = at + length - 1;
        equals = memchr(space + 1, '=', (size_t)(stop - space - 1));
        if (*stop != '\n' || !equals)
            return "a PAX record that is not key=value";
        why = take_record(out, cpv_bytes_of(space + 1, (size_t)(equals - space - 1)),
                          cpv_bytes_of(equals + 1, (size_t)(stop - equals - 1)));
        if (why)
            return why;
        at = stop + 1;
    }
    return NULL;
}
