/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input lists, read row by row: TSV, CSV, plain lists of URLs, JSON lines, COCO
 * captions, folders of images; text formats also gzipped or zstd-compressed.
 *
 *     open, next ..., close
 *
 *  (1) A row is one URL or local file with its captions. Rows are numbered from 0
 *      in the whole input; bad ones count, so a number never depends on what is
 *      wrong with others.
 *  (2) A bad row is data: it comes with a reason and reading goes on behind it.
 *      Only an input that cannot be read (damaged .gz, no such column, I/O) is
 *      an error.
 *  (3) Text formats take constant memory (a few MiB) for any number of rows.
 *      COCO holds its images and captions, a folder its sorted list of names.
 *  (4) Strings are valid UTF-8 (invalid bytes become U+FFFD), except `file`, which
 *      is bytes as the file system has them. URLs are trimmed; in captions every
 *      run of white space is one space, and none stands at the ends.
 *
 * Formats
 *
 *  tsv      strict: no quoting, `"` is a letter; as many fields in each row as in
 *           the first line, else a bad row. LF or CRLF.
 *  csv      RFC 4180: quoted fields with commas, doubled quotes, line breaks. A row
 *           whose quoting is broken is bad; reading goes on at the next line.
 *  txt      a URL (or, if only `file` is set, a path) in each line; empty lines
 *           are not rows.
 *  jsonl    an object in each line; a caption column may hold a list of strings.
 *  coco     `images` and `annotations`, in any order; also Karpathy's splits
 *           (`images[].sentences[].raw`). Captions in the order of the file. An
 *           annotation of no image is a bad row behind the images.
 *  folder   regular files below it with the extension of an image, sorted bytewise
 *           by path; a .txt beside it with the same stem has captions, one per
 *           line. Names that begin with a dot are skipped.
 *  cc3m     headerless tsv: caption, url.      cc12m: headerless tsv: url, caption.
 *  webdataset  tars; recognised here, read by the fetch stage.
 */
#ifndef CPV_FORMAT_ROWS_H
#define CPV_FORMAT_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_rows_format {
    CPV_ROWS_AUTO, /* by name: cpv_rows_guess */
    CPV_ROWS_TSV,
    CPV_ROWS_CSV,
    CPV_ROWS_TXT,
    CPV_ROWS_JSONL,
    CPV_ROWS_COCO,
    CPV_ROWS_FOLDER,
    CPV_ROWS_WEBDATASET,
    CPV_ROWS_CC3M,
    CPV_ROWS_CC12M,
    CPV_ROWS_FORMATS /* how many */
} cpv_rows_format;

typedef enum cpv_rows_header {
    CPV_ROWS_HEADER_AUTO, /* yes with named columns; with numbered ones: yes if what
                             should be a URL in the first line has no "://" */
    CPV_ROWS_HEADER_YES,
    CPV_ROWS_HEADER_NO
} cpv_rows_header;

typedef enum cpv_rows_hash { CPV_ROWS_HASH_SHA256, CPV_ROWS_HASH_MD5 } cpv_rows_hash;

/*
 * A column is its name in the header, or its number from 1. jsonl: a key.
 * Zeroes and NULLs ask for the defaults in brackets. Strings must outlive the
 * reader. coco, folder and the presets ignore the columns.
 */
struct cpv_rows_params {
    const char *path;
    cpv_rows_format format;
    const char *url;           /* column ["url", unless `file` is set] */
    const char *file;          /* column with a path under `root` [none] */
    const char *root;          /* folder of local files; for a folder: itself */
    struct cpv_texts captions; /* several columns: several captions of one row */
    struct cpv_texts extra;    /* columns to keep; "all": all that are not used above */
    const char *hash_column;   /* hexadecimal digest of the original file [none] */
    cpv_rows_hash hash_kind;
    cpv_rows_header header;
    size_t max_line; /* bytes of a line, CSV record or JSON element [1 MiB] */
};

struct cpv_row_extra {
    const char *name; /* lives as long as the reader */
    const char *value;
    bool json; /* value is canonical JSON (jsonl, coco), not text */
};

/* Everything but names of extras lives in the arena that was passed to next. */
struct cpv_row {
    uint64_t number; /* from 0 in the whole input */
    uint64_t line;   /* from 1; 0 where there are no lines */
    const char *bad; /* NULL, or why it is unusable: one line, deterministic */
    const char *url; /* url, file: at least one of them unless bad */
    const char *file;
    struct cpv_texts captions; /* those that are not empty */
    const char *hash;          /* lower-case hexadecimal, or NULL */
    const struct cpv_row_extra *extra;
    size_t n_extra;
};

typedef struct cpv_rows cpv_rows;

/* CPV_E_INPUT, naming the columns there are, for one that is not among them;
 * CPV_E_USAGE for params that cannot be meant. */
CPV_MUST_CHECK int cpv_rows_open(cpv_rows **out, const struct cpv_rows_params *params,
                                 struct cpv_err *err);

/* 1: a row. 0: the end. Below 0: an error. */
CPV_MUST_CHECK int cpv_rows_next(cpv_rows *r, cpv_arena *mem, struct cpv_row *out,
                                 struct cpv_err *err);
void cpv_rows_close(cpv_rows **r);

/* What AUTO and the presets came to: one of TSV to FOLDER. */
cpv_rows_format cpv_rows_kind(const cpv_rows *r);

/* By name alone, but a folder by looking: AUTO if nothing is known about it. */
cpv_rows_format cpv_rows_guess(const char *path);

/* "tsv", "coco", ...: as in configurations. NULL outside the enum. */
const char *cpv_rows_format_name(cpv_rows_format f);
bool cpv_rows_format_parse(const char *name, cpv_rows_format *out);

#ifdef __cplusplus
}
#endif
#endif
