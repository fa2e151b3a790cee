/* SPDX-License-Identifier: Apache-2.0 */
/* Inside pull: pull.c decides which files, pull_blob.c brings the bytes of one. */
#ifndef CPV_MODEL_PULL_IMPL_H
#define CPV_MODEL_PULL_IMPL_H

#include "common/model/pull.h"

struct pull_file {
    const char *name;         /* on the hub */
    const char *as;           /* in the snapshot */
    const char *what;         /* "'config.json' of 'org/name'", for messages */
    const char *url;          /* "/org/name/resolve/COMMIT/config.json" */
    const char *commit;       /* of its model */
    struct cpv_hub_file meta; /* once `asked` */
    bool asked;
    bool here; /* its blob is complete and its link made */
};

struct pull {
    const struct cpv_pull_params *p;
    const struct cpv_model_name *name;
    cpv_arena *mem;
    const char *repo;     /* ROOT/models--ORG--NAME */
    const char *locks;    /* ROOT/.locks/models--ORG--NAME */
    const char *snapshot; /* REPO/snapshots/COMMIT */
    struct pull_file *files;
    size_t count, room;
    uint64_t fetched;
};

/* REPO/blobs/DIGEST; NULL without memory. */
const char *pull_blob_path(struct pull *p, const struct pull_file *f);
/* Is the blob there, of the right size? */
bool pull_blob_here(struct pull *p, const struct pull_file *f);
/* Bytes that are still to come. */
uint64_t pull_blob_left(struct pull *p, const struct pull_file *f);
/* Bring it, or find it there. */
int pull_blob(struct pull *p, const struct pull_file *f, struct cpv_err *err);

#endif
