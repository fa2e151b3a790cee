/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the Hugging Face hub, or of a mirror that speaks like it: metadata and
 * files over HTTP, one request at a time, blocking.
 *
 *     open
 *     get         a small document: `/api/models/NAME/revision/REV`
 *     head        what `/NAME/resolve/COMMIT/FILE` is: digest, size, commit
 *     fetch       its bytes, appended to a file that may hold their beginning already
 *     close
 *
 * Unlike http.h this trusts the host that it is pointed at (private addresses are fine:
 * mirrors have them) and asks for one large file rather than for millions of small ones.
 *
 *  (1) The token goes to the endpoint's own origin (scheme, host and port) only: every
 *      redirect is judged here, none by libcurl. From https nothing is redirected to
 *      http. Credentials of .netrc or in URLs are never used.
 *  (2) What may pass (a dropped or stalled connection, no name service, 408, 429, 5xx
 *      but 501) is tried again `retries` times with doubling waits, or after the time
 *      that Retry-After asks for; a transfer that moved by PROGRESS_MIN bytes counts
 *      anew. When that is used up: CPV_E_STOPPED, "run it again".
 *  (3) SIGINT and SIGTERM (stop.h) end a transfer or a wait within a second or so.
 *  (4) A digest is 40 or 64 hexadecimal digits or is refused, so it can name a file.
 *  (5) A file never grows beyond the size that head told; a server that sends more is
 *      cut off.
 *
 * Proxies of the environment (https_proxy) are used, as Python's client does.
 *
 * Sources: huggingface_hub file_download.py (get_hf_file_metadata, http_get), utils
 * _http.py (hf_raise_for_status: X-Error-Code).
 */
#ifndef CPV_NET_HUB_H
#define CPV_NET_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_HUB_DIGEST = 65,             /* hexadecimal, with its terminator */
    CPV_HUB_PROGRESS_MIN = 1 << 20,  /* bytes */
    CPV_HUB_RETRY_AFTER_MAX = 300000 /* ms; a longer one is cut to it */
};

/* Strings are copied by open. */
struct cpv_hub_params {
    const char *endpoint; /* "https://huggingface.co"; a slash at its end is dropped */
    const char *token;    /* NULL or "": none */
    const char *ca_file;  /* NULL: the system's */
    int retries;          /* after the first attempt */
    int backoff_ms;       /* before the first retry, doubling up to a minute */
    int connect_timeout_ms;
    int stall_ms; /* without a byte for so long, the connection counts as dropped */
    /* One line, without a stop, for the log: a retry and why. May be NULL. */
    void (*note)(void *ctx, const char *text);
    /* Bytes that fetch wrote. May be NULL. */
    void (*moved)(void *ctx, uint64_t bytes);
    void *ctx;
};

/* retries 5, backoff 1 s, connect 10 s, stall 30 s; the public hub without a token */
void cpv_hub_defaults(struct cpv_hub_params *p);

typedef struct cpv_hub cpv_hub;

CPV_MUST_CHECK int cpv_hub_open(cpv_hub **out, const struct cpv_hub_params *p,
                                struct cpv_err *err);
void cpv_hub_close(cpv_hub **h);

/* What messages call the other side: "huggingface.co". */
const char *cpv_hub_host(const cpv_hub *h);

/*
 * GET of `path`, which begins with a slash and is percent-encoded already, appended to
 * `out`; more than `max` bytes is CPV_E_INPUT. `what` is the subject of messages
 * ("model 'org/name'"). CPV_E_INPUT too where the hub says no: no such model, revision
 * or file, or none for this token; the line says which and what to do.
 */
CPV_MUST_CHECK int cpv_hub_get(cpv_hub *h, const char *path, const char *what, size_t max,
                               struct cpv_buf *out, struct cpv_err *err);

struct cpv_hub_file {
    char digest[CPV_HUB_DIGEST]; /* lower case: sha256 of 64 digits, git's of 40 */
    bool sha256;                 /* else that of cpv_git_blob_of */
    char commit[41];             /* "" if the hub did not say */
    int64_t size;                /* -1 if it did not say */
};

CPV_MUST_CHECK int cpv_hub_head(cpv_hub *h, const char *path, const char *what,
                                struct cpv_hub_file *out, struct cpv_err *err);

/*
 * The bytes of `path` from *at on, written to `fd` (opened for writing, *at bytes long,
 * positioned by us). *at follows what was written, also in failure: calling again goes
 * on from there. If the server cannot resume, the file is emptied and begun anew.
 * `size` as head told it, -1 if it is not known. Done when the answer has ended and, if
 * known, `size` is reached. `name` is the file's for messages. The digest is the
 * caller's to check. CPV_E_CORRUPT: more bytes came than `size`.
 */
CPV_MUST_CHECK int cpv_hub_fetch(cpv_hub *h, const char *path, const char *what,
                                 int64_t size, int fd, const char *name, uint64_t *at,
                                 struct cpv_err *err);

/*
 * `s` percent-encoded for a path: letters, digits and "-._~" stay, and slashes if they
 * are to.
 */
void cpv_hub_escape(struct cpv_buf *out, const char *s, bool keep_slashes);

#ifdef __cplusplus
}
#endif
#endif
