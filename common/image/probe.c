/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is this file? Signatures, then the headers of the three formats that we
 * decode: JPEG (ITU T.81 annex B), PNG (ISO 15948 section 5), WebP (RFC 9649).
 * Walks markers and chunks with range checks; decodes nothing, allocates nothing.
 */
#include "common/image/image.h"
#include "common/image/private.h"

const char *cpv_image_status_name(enum cpv_image_status status)
{
    static const char *const names[] = {
        [CPV_IMAGE_OK] = "ok",
        [CPV_IMAGE_EMPTY] = "empty",
        [CPV_IMAGE_NOT_IMAGE] = "not_image",
        [CPV_IMAGE_UNSUPPORTED] = "unsupported_format",
        [CPV_IMAGE_BROKEN] = "decode",
        [CPV_IMAGE_BOMB] = "bomb",
        [CPV_IMAGE_TOO_SMALL] = "too_small",
        [CPV_IMAGE_TOO_LARGE_AREA] = "too_large_area",
        [CPV_IMAGE_ASPECT] = "aspect",
    };

    return (size_t)status < CPV_COUNT(names) ? names[status] : "unknown";
}

const char *cpv_image_kind_name(enum cpv_image_kind kind)
{
    static const char *const names[] = {
        [CPV_IMAGE_UNKNOWN] = "unknown", [CPV_IMAGE_JPEG] = "jpeg",
        [CPV_IMAGE_PNG] = "png",         [CPV_IMAGE_WEBP] = "webp",
        [CPV_IMAGE_GIF] = "gif",         [CPV_IMAGE_BMP] = "bmp",
        [CPV_IMAGE_TIFF] = "tiff",       [CPV_IMAGE_AVIF] = "avif",
        [CPV_IMAGE_JXL] = "jxl",         [CPV_IMAGE_JP2] = "jp2",
        [CPV_IMAGE_ICO] = "ico",         [CPV_IMAGE_PSD] = "psd",
        [CPV_IMAGE_SVG] = "svg",         [CPV_IMAGE_HTML] = "html",
    };

    return (size_t)kind < CPV_COUNT(names) ? names[kind] : "unknown";
}

/* --- signatures ------------------------------------------------------------------ */

static bool has(struct cpv_bytes f, size_t at, const char *what, size_t n)
{
    return cpv_range_in(at, n, f.size) && memcmp(f.data + at, what, n) == 0;
}

/* ISO media: a picture if the major or a compatible brand says so. */
static bool is_heif(struct cpv_bytes f)
{
    static const char brands[][5] = {"avif", "avis", "mif1", "msf1", "heic",
                                     "heix", "heif", "heim", "hevc"};
    size_t end;

    if (f.size < 16 || !has(f, 4, "ftyp", 4))
        return false;
    end = cpv_image_be32(f.data);
    if (end > f.size)
        end = f.size;
    for (size_t at = 8; at + 4 <= end && at < 128; at += at == 8 ? 8 : 4)
        for (size_t i = 0; i < CPV_COUNT(brands); i++)
            if (has(f, at, brands[i], 4))
                return true;
    return false;
}

/* Does the text at `at` start with `word` (lower case), whatever its case is? */
static bool word_at(struct cpv_bytes f, size_t at, const char *word)
{
    size_t n = strlen(word);

    if (!cpv_range_in(at, n, f.size))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = f.data[at + i];

        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
            return false;
    }
    return true;
}

/* Markup, looked for in the first KiB: SVG wins over HTML, and any other text
 * that begins with a tag counts as HTML (error pages come in many shapes). */
static enum cpv_image_kind text_kind(struct cpv_bytes f)
{
    size_t at = has(f, 0, "\xEF\xBB\xBF", 3) ? 3 : 0;
    size_t end = f.size < 1024 ? f.size : 1024;

    while (at < end && (f.data[at] == ' ' || (f.data[at] >= 9 && f.data[at] <= 13)))
        at++;
    if (at + 1 >= end || f.data[at] != '<')
        return CPV_IMAGE_UNKNOWN;
    if (f.data[at + 1] != '!' && f.data[at + 1] != '?' &&
        !((f.data[at + 1] | 32) >= 'a' && (f.data[at + 1] | 32) <= 'z'))
        return CPV_IMAGE_UNKNOWN;
    if (!word_at(f, at, "<!doctype html") && !word_at(f, at, "<html"))
        for (size_t i = at; i < end; i++)
            if (word_at(f, i, "<svg"))
                return CPV_IMAGE_SVG;
    return CPV_IMAGE_HTML;
}

static enum cpv_image_kind kind_of(struct cpv_bytes f)
{
    static const struct {
        char bytes[13];
        uint8_t n;
        enum cpv_image_kind kind;
    } signatures[] = {
        {"\xFF\xD8\xFF", 3, CPV_IMAGE_JPEG},
        {"\x89PNG\r\n\x1A\n", 8, CPV_IMAGE_PNG},
        {"GIF87a", 6, CPV_IMAGE_GIF},
        {"GIF89a", 6, CPV_IMAGE_GIF},
        {"II*\0", 4, CPV_IMAGE_TIFF},
        {"MM\0*", 4, CPV_IMAGE_TIFF},
        {"II+\0", 4, CPV_IMAGE_TIFF},
        {"MM\0+", 4, CPV_IMAGE_TIFF},
        {"\xFF\x0A", 2, CPV_IMAGE_JXL},
        {"\0\0\0\x0CJXL \r\n\x87\n", 12, CPV_IMAGE_JXL},
        {"\0\0\0\x0CjP  \r\n\x87\n", 12, CPV_IMAGE_JP2},
        {"\xFF\x4F\xFF\x51", 4, CPV_IMAGE_JP2},
        {"8BPS\0\x01", 6, CPV_IMAGE_PSD},
        {"\0\0\x01\0", 4, CPV_IMAGE_ICO},
    };

    for (size_t i = 0; i < CPV_COUNT(signatures); i++)
        if (has(f, 0, signatures[i].bytes, signatures[i].n))
            return signatures[i].kind;
    if (has(f, 0, "RIFF", 4) && has(f, 8, "WEBP", 4))
        return CPV_IMAGE_WEBP;
    /* two letters are a weak sign: the reserved words and the header size as well */
    if (has(f, 0, "BM", 2) && has(f, 6, "\0\0\0\0", 4) && f.size >= 26 &&
        cpv_load_u32(f.data + 14) >= 12 && cpv_load_u32(f.data + 14) <= 124)
        return CPV_IMAGE_BMP;
    if (is_heif(f))
        return CPV_IMAGE_AVIF;
    return text_kind(f);
}

/* --- JPEG ------------------------------------------------------------------------ */

static bool is_frame_header(int marker) /* SOF0..15 less DHT, JPG and DAC */
{
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 &&
           marker != 0xCC;
}

/* One marker segment. 1: the frame header is read; 0: go on; -1: nonsense. */
static int jpeg_segment(int marker, struct cpv_bytes s, struct cpv_image_info *out)
{
    if (marker == 0xE1 && out->exif.size == 0 && has(s, 0, "Exif\0", 5) && s.size > 6) {
        out->exif = cpv_bytes_of(s.data + 6, s.size - 6);
        return 0;
    }
    if (!is_frame_header(marker))
        return 0;
    if (s.size < 6)
        return -1;
    out->bits = s.data[0];
    out->height = cpv_image_be16(s.data + 1);
    out->width = cpv_image_be16(s.data + 3);
    out->channels = s.data[5];
    return out->width > 0 && out->height > 0 && out->channels > 0 ? 1 : -1;
}

static enum cpv_image_status probe_jpeg(struct cpv_bytes f, struct cpv_image_info *out)
{
    size_t at = 2;

    while (at < f.size) {
        int marker, verdict;
        size_t n;

        /* libjpeg skips garbage before a marker; so do we, and it will complain */
        if (f.data[at++] != 0xFF)
            continue;
        while (at < f.size && f.data[at] == 0xFF)
            at++;
        if (at >= f.size)
            break;
        marker = f.data[at++];
        if (marker == 0 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8))
            continue;
        if (marker == 0xD9 || marker == 0xDA || !cpv_range_in(at, 2, f.size))
            break;
        n = cpv_image_be16(f.data + at);
        if (n < 2 || !cpv_range_in(at, n, f.size))
            break;
        verdict = jpeg_segment(marker, cpv_bytes_of(f.data + at + 2, n - 2), out);
        if (verdict != 0)
            return verdict > 0 ? CPV_IMAGE_OK : CPV_IMAGE_BROKEN;
        at += n;
    }
    return CPV_IMAGE_BROKEN;
}

/* --- PNG ------------------------------------------------------------------------- */

static enum cpv_image_status probe_png(struct cpv_bytes f, struct cpv_image_info *out)
{
    static const uint8_t channels[7] = {1, 0, 3, 3, 2, 0, 4};
    size_t at = 8;
    bool data_seen = false;
    uint8_t type;

    if (!has(f, 8, "\0\0\0\x0DIHDR", 8) || f.size < 33)
        return CPV_IMAGE_BROKEN;
    out->width = cpv_image_be32(f.data + 16);
    out->height = cpv_image_be32(f.data + 20);
    out->bits = f.data[24];
    type = f.data[25];
    out->channels = type < 7 ? channels[type] : 0;
    if (out->width == 0 || out->height == 0 || out->width > INT32_MAX ||
        out->height > INT32_MAX || out->channels == 0)
        return CPV_IMAGE_BROKEN;
    while (cpv_range_in(at, 12, f.size)) {
        uint32_t n = cpv_image_be32(f.data + at);

        if (has(f, at + 4, "IDAT", 4))
            data_seen = true;
        else if (has(f, at + 4, "acTL", 4) && !data_seen)
            out->animated = true;
        else if (has(f, at + 4, "eXIf", 4) && cpv_range_in(at + 8, n, f.size))
            out->exif = cpv_bytes_of(f.data + at + 8, n);
        if (has(f, at + 4, "IEND", 4) || !cpv_range_in(at + 12, n, f.size))
            break;
        at += 12 + (size_t)n;
    }
    return CPV_IMAGE_OK;
}

/* --- WebP ------------------------------------------------------------------------ */

static uint32_t le24(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* The size in a bare VP8 (RFC 6386 section 9.1) or VP8L chunk. */
static bool webp_stream(struct cpv_bytes s, bool lossless, struct cpv_image_info *out)
{
    uint32_t bits;

    if (lossless) {
        if (s.size < 5 || s.data[0] != 0x2F)
            return false;
        bits = cpv_load_u32(s.data + 1);
        out->width = (bits & 0x3FFF) + 1;
        out->height = (bits >> 14 & 0x3FFF) + 1;
        out->channels = bits >> 28 & 1 ? 4 : 3;
        return true;
    }
    if (s.size < 10 || !has(s, 3, "\x9D\x01\x2A", 3))
        return false;
    out->width = cpv_load_u16(s.data + 6) & 0x3FFF;
    out->height = cpv_load_u16(s.data + 8) & 0x3FFF;
    out->channels = 3;
    return out->width > 0 && out->height > 0;
}

static void webp_exif(struct cpv_bytes s, struct cpv_image_info *out)
{
    if (has(s, 0, "Exif\0\0", 6)) /* not by the standard, but common */
        s = cpv_bytes_of(s.data + 6, s.size - 6);
    out->exif = s;
}

static enum cpv_image_status probe_webp(struct cpv_bytes f, struct cpv_image_info *out)
{
    size_t at = 12;

    out->bits = 8;
    while (cpv_range_in(at, 8, f.size)) {
        size_t n = cpv_load_u32(f.data + at + 4);
        size_t here = f.size - at - 8 < n ? f.size - at - 8 : n;
        struct cpv_bytes s = cpv_bytes_of(f.data + at + 8, here);

        if (has(f, at, "VP8X", 4) && here >= 10) {
            out->animated = s.data[0] & 0x02;
            out->channels = s.data[0] & 0x10 ? 4 : 3;
            out->width = le24(s.data + 4) + 1;
            out->height = le24(s.data + 7) + 1;
        } else if (out->width == 0 && (has(f, at, "VP8 ", 4) || has(f, at, "VP8L", 4))) {
            if (!webp_stream(s, f.data[at + 3] == 'L', out))
                return CPV_IMAGE_BROKEN;
        } else if (has(f, at, "EXIF", 4) && here == n) {
            webp_exif(s, out);
        }
        if (!cpv_range_in(at + 8, (uint64_t)n + (n & 1), f.size))
            break;
        at += 8 + n + (n & 1);
    }
    return out->width > 0 ? CPV_IMAGE_OK : CPV_IMAGE_BROKEN;
}

enum cpv_image_status cpv_image_probe(struct cpv_bytes file, struct cpv_image_info *out)
{
    enum cpv_image_status status;

    memset(out, 0, sizeof *out);
    out->orientation = 1;
    if (file.size == 0)
        return CPV_IMAGE_EMPTY;
    out->kind = kind_of(file);
    switch (out->kind) {
    case CPV_IMAGE_JPEG:
        status = probe_jpeg(file, out);
        break;
    case CPV_IMAGE_PNG:
        status = probe_png(file, out);
        break;
    case CPV_IMAGE_WEBP:
        status = probe_webp(file, out);
        break;
    case CPV_IMAGE_UNKNOWN:
    case CPV_IMAGE_HTML:
        return CPV_IMAGE_NOT_IMAGE;
    default:
        return CPV_IMAGE_UNSUPPORTED;
    }
    out->orientation = cpv_image_exif_orientation(out->exif);
    return status;
}
