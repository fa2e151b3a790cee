/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every option of the fetch stage. img2dataset's spellings work as aliases. What is
 * PINNED changes the bytes of the column and may not change between runs.
 */
#include "stages/fetch/fetch.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct fetch_settings, field)

#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define LETTERS LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

/* ---- checks ---- */

/* [a-z]{2,8}(-[A-Za-z0-9]{1,8})*: it is part of a key of the sample's JSON. */
static const char *check_language(const void *value)
{
    static const char WANTED[] = "a language such as en or pt-BR";
    const char *s = value;
    size_t n = strspn(s, LOWER);

    if (n < 2 || n > 8 || strlen(s) > 32)
        return WANTED;
    for (s += n; *s == '-'; s += n) {
        n = strspn(++s, LETTERS DIGITS);
        if (n < 1 || n > 8)
            return WANTED;
    }
    return *s ? WANTED : NULL;
}

static const char *check_hash(const void *value)
{
    const struct cpv_texts *t = value;

    if (t->count == 0 ||
        (t->count == 2 && *t->at[0] &&
         (strcmp(t->at[1], "sha256") == 0 || strcmp(t->at[1], "md5") == 0)))
        return NULL;
    return "a column and its kind, sha256 or md5";
}

/* What goes into a header of every request must not begin another one. */
static const char *check_header(const void *value)
{
    for (const unsigned char *s = value; *s; s++)
        if (*s < 0x20 || *s == 0x7f)
            return "a text without control characters";
    return NULL;
}

/* Compared with what stands before a colon in X-Robots-Tag, and in robots.txt. */
static const char *check_token(const void *value)
{
    const char *s = value;
    size_t n = strspn(s, LETTERS DIGITS "_-.");

    return n > 0 && s[n] == '\0' ? NULL : "a word of letters, digits, _, - and .";
}

/* ---- tables ---- */

static const char *const formats[] = {"auto",  "tsv",   "csv",    "txt",
                                      "jsonl", "coco",  "folder", "webdataset",
                                      "cc3m",  "cc12m", NULL};
static const char *const headers[] = {"auto", "yes", "no", NULL};
static const char *const modes[] = {
    "no", "border", "keep_ratio", "keep_ratio_largest", "center_crop", NULL};
static const char *const filters[] = {"area", "bicubic", "lanczos", NULL};

static const struct cpv_opt input_options[] = {
    {.name = "input",
     .key = "path",
     .aliases = "url_list",
     .kind = CPV_OPT_TEXT,
     .offset = AT(path),
     .arg = "PATH",
     .help =
         "List of URLs or files, folder of images, or tars (braces: {00000..00266}.tar). "
         "Lists may be .gz or .zst.",
     .flags = CPV_OPT_PATH},
    {.name = "input-format",
     .key = "format",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(format),
     .fallback = "auto",
     .choices = formats,
     .help =
         "What the input is; auto tells by its name. cc3m and cc12m are the headerless "
         "lists of these data sets.",
     .flags = CPV_OPT_PINNED},
    {.name = "url-col",
     .key = "url",
     .kind = CPV_OPT_TEXT,
     .offset = AT(url),
     .arg = "COLUMN",
     .help = "Column with the URL: a name, or a number from 1. Default: url.",
     .flags = CPV_OPT_PINNED},
    {.name = "file-col",
     .key = "file",
     .kind = CPV_OPT_TEXT,
     .offset = AT(file),
     .arg = "COLUMN",
     .help = "Column with the path of a local image under --root, instead of a URL.",
     .flags = CPV_OPT_PINNED},
    {.name = "root",
     .key = "root",
     .kind = CPV_OPT_TEXT,
     .offset = AT(root),
     .arg = "DIR",
     .help = "Folder of the local images.",
     .flags = CPV_OPT_PATH},
    {.name = "caption-col",
     .key = "captions",
     .kind = CPV_OPT_LIST,
     .offset = AT(captions),
     .arg = "COLUMNS",
     .help = "Columns with captions; several make several captions of one image.",
     .flags = CPV_OPT_PINNED},
    {.name = "language",
     .key = "language",
     .kind = CPV_OPT_TEXT,
     .offset = AT(language),
     .fallback = "en",
     .arg = "L",
     .help = "Language of the captions: they are stored as captions-L.",
     .flags = CPV_OPT_PINNED,
     .check = check_language},
    {.name = "save-additional-columns",
     .key = "extra",
     .kind = CPV_OPT_LIST,
     .offset = AT(extra),
     .arg = "COLUMNS",
     .help = "Further columns to keep in the sample's JSON; all: every other one.",
     .flags = CPV_OPT_PINNED},
    {.name = "verify-hash",
     .key = "hash",
     .kind = CPV_OPT_LIST,
     .offset = AT(hash),
     .arg = "COLUMN,KIND",
     .help = "Column with the digest of the original file, and its kind (sha256 or md5); "
             "files that differ are failures.",
     .flags = CPV_OPT_PINNED,
     .check = check_hash},
    {.name = "header",
     .key = "header",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(header),
     .fallback = "auto",
     .choices = headers,
     .help = "Does the first line of a table name its columns?",
     .flags = CPV_OPT_PINNED},
    {.name = "salvage",
     .key = "salvage",
     .kind = CPV_OPT_FLAG,
     .offset = AT(salvage),
     .fallback = "true",
     .help =
         "Take the complete samples of a tar whose end is cut off (they are counted).",
     .flags = CPV_OPT_PINNED},
    {.kind = CPV_OPT_END},
};

static const struct cpv_opt image_options[] = {
    {.name = "rows-per-part",
     .key = "rows_per_part",
     .aliases = "number_sample_per_shard",
     .kind = CPV_OPT_INT,
     .offset = AT(rows_per_part),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .arg = "N",
     .help = "Rows of the input that make one part (tars: each is a part).",
     .flags = CPV_OPT_PINNED},
    {.name = "image-size",
     .key = "image_size",
     .kind = CPV_OPT_INT,
     .offset = AT(image_size),
     .fallback = "256",
     .min = 1,
     .max = 16384,
     .arg = "PIXELS",
     .help = "Size to bring images to, as --resize-mode says.",
     .flags = CPV_OPT_PINNED},
    {.name = "resize-mode",
     .key = "resize_mode",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(resize_mode),
     .fallback = "keep_ratio",
     .choices = modes,
     .help =
         "no: as they are. border: longest side, padded to a square. keep_ratio: "
         "shortest side. keep_ratio_largest: longest side. center_crop: shortest side, "
         "then the middle square.",
     .flags = CPV_OPT_PINNED},
    {.name = "resize-only-if-bigger",
     .key = "resize_only_if_bigger",
     .kind = CPV_OPT_FLAG,
     .offset = AT(only_if_bigger),
     .help = "Never enlarge an image.",
     .flags = CPV_OPT_PINNED},
    {.name = "downscale-interpolation",
     .key = "downscale",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(downscale),
     .fallback = "area",
     .choices = filters,
     .help = "Filter for making images smaller.",
     .flags = CPV_OPT_PINNED},
    {.name = "upscale-interpolation",
     .key = "upscale",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(upscale),
     .fallback = "lanczos",
     .choices = filters,
     .help = "Filter for making images larger.",
     .flags = CPV_OPT_PINNED},
    {.name = "encode-quality",
     .key = "quality",
     .kind = CPV_OPT_INT,
     .offset = AT(quality),
     .fallback = "95",
     .min = 1,
     .max = 100,
     .arg = "N",
     .help = "Quality of the JPEGs written.",
     .flags = CPV_OPT_PINNED},
    {.name = "skip-reencode",
     .key = "skip_reencode",
     .kind = CPV_OPT_FLAG,
     .offset = AT(skip_reencode),
     .help = "Keep the original bytes of a JPEG that needs no change.",
     .flags = CPV_OPT_PINNED},
    {.name = "pass-through",
     .key = "pass_through",
     .aliases = "disable_all_reencoding",
     .kind = CPV_OPT_FLAG,
     .offset = AT(pass_through),
     .help = "Keep the original bytes of every image; it is still decoded as a check.",
     .flags = CPV_OPT_PINNED},
    {.name = "accept-truncated",
     .key = "accept_truncated",
     .kind = CPV_OPT_FLAG,
     .offset = AT(accept_truncated),
     .help = "Take what a damaged image still shows.",
     .flags = CPV_OPT_PINNED},
    {.name = "min-image-size",
     .key = "min_size",
     .kind = CPV_OPT_INT,
     .offset = AT(min_size),
     .fallback = "0",
     .min = 0,
     .max = 65500,
     .arg = "PIXELS",
     .help = "Leave out images whose smaller side is below.",
     .flags = CPV_OPT_PINNED},
    {.name = "max-image-area",
     .key = "max_area",
     .kind = CPV_OPT_REAL,
     .offset = AT(max_area),
     .fallback = "inf",
     .min = 1,
     .max = __builtin_inf(),
     .arg = "PIXELS",
     .help = "Leave out images of a larger area.",
     .flags = CPV_OPT_PINNED},
    {.name = "max-aspect-ratio",
     .key = "max_aspect",
     .kind = CPV_OPT_REAL,
     .offset = AT(max_aspect),
     .fallback = "inf",
     .min = 1,
     .max = __builtin_inf(),
     .arg = "RATIO",
     .help = "Leave out images that are longer than so many times their width.",
     .flags = CPV_OPT_PINNED},
    {.name = "max-pixels",
     .key = "max_pixels",
     .kind = CPV_OPT_INT,
     .offset = AT(max_pixels),
     .fallback = "100000000",
     .min = 1,
     .max = 4e9,
     .arg = "N",
     .help = "An image of more pixels is taken for a decompression bomb.",
     .flags = CPV_OPT_PINNED},
    {.name = "max-bytes",
     .key = "max_bytes",
     .kind = CPV_OPT_SIZE,
     .offset = AT(max_bytes),
     .fallback = "25M",
     .min = 1,
     .max = 1073741824.0,
     .arg = "BYTES",
     .help = "Largest file to fetch or read.",
     .flags = CPV_OPT_PINNED},
    {.kind = CPV_OPT_END},
};

static const struct cpv_opt net_options[] = {
    {.name = "connections",
     .key = "connections",
     .aliases = "thread_count",
     .kind = CPV_OPT_INT,
     .offset = AT(connections),
     .fallback = "256",
     .min = 1,
     .max = 16384,
     .arg = "N",
     .help = "Downloads at once."},
    {.name = "per-host",
     .key = "per_host",
     .kind = CPV_OPT_INT,
     .offset = AT(per_host),
     .fallback = "4",
     .min = 1,
     .max = 16384,
     .arg = "N",
     .help = "Downloads at once from one host."},
    {.name = "per-host-rate",
     .key = "per_host_rate",
     .kind = CPV_OPT_REAL,
     .offset = AT(per_host_rate),
     .fallback = "8",
     .min = 0,
     .max = 1e6,
     .arg = "N",
     .help = "Requests a second to one host; 0: no limit."},
    {.name = "timeout",
     .key = "timeout",
     .kind = CPV_OPT_REAL,
     .offset = AT(timeout),
     .fallback = "20",
     .min = 0.05,
     .max = 3600,
     .arg = "SECONDS",
     .help = "For a whole download."},
    {.name = "connect-timeout",
     .key = "connect_timeout",
     .kind = CPV_OPT_REAL,
     .offset = AT(connect_timeout),
     .fallback = "5",
     .min = 0.05,
     .max = 600,
     .arg = "SECONDS",
     .help = "For reaching a server."},
    {.name = "retries",
     .key = "retries",
     .kind = CPV_OPT_INT,
     .offset = AT(retries),
     .fallback = "3",
     .min = 0,
     .max = 20,
     .arg = "N",
     .help = "Further tries of what failed for a passing reason, with growing waits."},
    {.name = "backoff",
     .key = "backoff",
     .kind = CPV_OPT_REAL,
     .offset = AT(backoff),
     .fallback = "1",
     .min = 0,
     .max = 600,
     .arg = "SECONDS",
     .help = "Wait before the first further try; it doubles each time."},
    {.name = "retry-after-max",
     .key = "retry_after_max",
     .kind = CPV_OPT_REAL,
     .offset = AT(retry_after_max),
     .fallback = "600",
     .min = 0,
     .max = 86400,
     .arg = "SECONDS",
     .help = "Longest wait that a server may ask for."},
    {.name = "max-redirects",
     .key = "redirects",
     .kind = CPV_OPT_INT,
     .offset = AT(redirects),
     .fallback = "5",
     .min = 0,
     .max = 50,
     .arg = "N",
     .help = "Redirects to follow; each hop is checked like a URL of the list."},
    {.name = "host-down-after",
     .key = "host_down_after",
     .kind = CPV_OPT_INT,
     .offset = AT(host_down_after),
     .fallback = "20",
     .min = 0,
     .max = 100000,
     .arg = "N",
     .help = "Failures in a row after which a host is left alone for a while; 0: never."},
    {.name = "dns-pause-max",
     .key = "dns_pause_max",
     .kind = CPV_OPT_REAL,
     .offset = AT(dns_pause_max),
     .fallback = "600",
     .min = 0,
     .max = 86400,
     .arg = "SECONDS",
     .help = "How long to wait for the name service to come back before names count as "
             "failed."},
    {.name = "resolver-threads",
     .key = "resolver_threads",
     .kind = CPV_OPT_INT,
     .offset = AT(resolver_threads),
     .fallback = "64",
     .min = 1,
     .max = 1024,
     .arg = "N",
     .help = "Look-ups of names at once."},
    {.name = "memory",
     .key = "memory",
     .kind = CPV_OPT_SIZE,
     .offset = AT(memory),
     .fallback = "512M",
     .min = 1048576,
     .max = 1099511627776.0,
     .arg = "BYTES",
     .help = "For images under way; downloads pause above it."},
    {.name = "user-agent",
     .key = "user_agent",
     .kind = CPV_OPT_TEXT,
     .offset = AT(user_agent),
     .arg = "TEXT",
     .help = "Default: capivara-fetch/VERSION, and the contact if there is one.",
     .check = check_header},
    {.name = "user-agent-token",
     .key = "user_agent_token",
     .kind = CPV_OPT_TEXT,
     .offset = AT(user_agent_token),
     .arg = "WORD",
     .help = "Name under which X-Robots-Tag and robots.txt may address us. Default: "
             "capivara-fetch.",
     .flags = CPV_OPT_PINNED,
     .check = check_token},
    {.name = "contact",
     .key = "contact",
     .kind = CPV_OPT_TEXT,
     .offset = AT(contact),
     .arg = "URL",
     .help =
         "Page or address that a server's operator can turn to; sent in the User-Agent.",
     .check = check_header},
    {.name = "respect-optout",
     .key = "respect_optout",
     .kind = CPV_OPT_FLAG,
     .offset = AT(respect_optout),
     .fallback = "true",
     .help = "Leave out images whose server says no with X-Robots-Tag.",
     .flags = CPV_OPT_PINNED},
    {.name = "disallowed-header-directives",
     .key = "directives",
     .kind = CPV_OPT_LIST,
     .offset = AT(directives),
     .fallback = "noai,noimageai,noindex,noimageindex,noml",
     .arg = "WORDS",
     .help = "What counts as no in X-Robots-Tag.",
     .flags = CPV_OPT_PINNED},
    {.name = "robots",
     .key = "robots",
     .kind = CPV_OPT_FLAG,
     .offset = AT(robots),
     .help = "Obey robots.txt (RFC 9309).",
     .flags = CPV_OPT_PINNED},
    {.name = "allow-private",
     .key = "allow_private",
     .kind = CPV_OPT_FLAG,
     .offset = AT(allow_private),
     .help = "Fetch from private and local addresses and any port, too. For tests."},
    {.name = "insecure-tls",
     .key = "insecure_tls",
     .aliases = "ignore_ssl_certificate",
     .kind = CPV_OPT_FLAG,
     .offset = AT(insecure_tls),
     .help = "Do not check certificates."},
    {.name = "ca-file",
     .key = "ca_file",
     .kind = CPV_OPT_TEXT,
     .offset = AT(ca_file),
     .arg = "FILE",
     .help = "Certificates to trust instead of the system's.",
     .flags = CPV_OPT_PATH},
    {.name = "proxy",
     .key = "proxy",
     .kind = CPV_OPT_TEXT,
     .offset = AT(proxy),
     .arg = "URL",
     .help = "Proxy; those of the environment are not used."},
    {.name = "refetch",
     .kind = CPV_OPT_TEXT,
     .offset = AT(refetch),
     .arg = "transient|all|STATUS",
     .help =
         "Try rows again that failed for passing reasons, for any, or with this status. "
         "Parts that hold some are made anew as a further revision; what they have is "
         "copied."},
    {.kind = CPV_OPT_END},
};

/*
 * What img2dataset's command lines have besides, so that they can be pasted. Where only
 * one of its words is what we do, that one is taken and the others are refused; numbers
 * that tune its processes mean nothing here.
 */
static const char *const only_webdataset[] = {"webdataset", NULL};
static const char *const only_jpg[] = {"jpg", NULL};
static const char *const only_sha256[] = {"sha256", NULL};
static const char *const only_incremental[] = {"incremental", NULL};
static const char *const only_five[] = {"5", NULL};
static const char *const distributors[] = {"multiprocessing", NULL};

#define FOREIGN_WORD(n, words)                                                           \
    {                                                                                    \
        .name = n, .kind = CPV_OPT_CHOICE, .offset = AT(foreign_word), .choices = words, \
        .flags = CPV_OPT_HIDDEN                                                          \
    }
#define FOREIGN_NUMBER(n)                                                                \
    {                                                                                    \
        .name = n, .kind = CPV_OPT_INT, .offset = AT(foreign_number),                    \
        .flags = CPV_OPT_HIDDEN                                                          \
    }

static const struct cpv_opt foreign_options[] = {
    FOREIGN_WORD("output-format", only_webdataset),
    FOREIGN_WORD("encode-format", only_jpg),
    FOREIGN_WORD("compute-hash", only_sha256),
    FOREIGN_WORD("incremental-mode", only_incremental),
    FOREIGN_WORD("oom-shard-count", only_five),
    FOREIGN_WORD("distributor", distributors),
    FOREIGN_NUMBER("subjob-size"),
    FOREIGN_NUMBER("max-shard-retry"),
    {.name = "enable-wandb",
     .kind = CPV_OPT_FLAG,
     .offset = AT(wandb),
     .flags = CPV_OPT_HIDDEN},
    {.name = "wandb-project",
     .kind = CPV_OPT_TEXT,
     .offset = AT(foreign_text),
     .flags = CPV_OPT_HIDDEN},
    {.name = "extract-exif",
     .kind = CPV_OPT_FLAG,
     .offset = AT(exif),
     .flags = CPV_OPT_HIDDEN},
    {.kind = CPV_OPT_END},
};

const struct cpv_stage_group fetch_groups[] = {
    {"Input", "input", input_options},
    {"Images", NULL, image_options},
    {"Network", NULL, net_options},
    {"Of img2dataset", NULL, foreign_options},
};
const size_t fetch_n_groups = sizeof fetch_groups / sizeof *fetch_groups;
