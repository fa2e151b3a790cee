/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pickles as data. Nothing is imported and nothing is called: a global is its two
 * names, a call (REDUCE, NEWOBJ) keeps what would be called and with what, a persistent
 * id keeps its tuple. Who reads the tree decides which of them mean something.
 *
 * Protocols 0 to 5 are told apart by their opcodes. Taken are those that pickles of
 * protocol 2 and later consist of; text opcodes of protocol 0 (but I and L, which
 * Python 2 writes for large integers), extension codes and out-of-band buffers are
 * refused.
 *
 * One exception to "nothing is called": collections.OrderedDict is a dict at once.
 * BUILD is dropped, and so is what is put into an object that a call would make.
 *
 * Memory: values lie in the caller's arena, texts and bytes in the pickle. A pickle may
 * have 64 MiB, 2 million values and 8 million places in lists, tuples and dicts, so
 * that it never takes more than 300 MB; usual ones take some 30 bytes a byte. The tree
 * may contain itself (a list in its own list): do not walk it without a bound.
 *
 * Source: CPython Lib/pickletools.py, Modules/_pickle.c.
 */
#ifndef CPV_FORMAT_PICKLE_H
#define CPV_FORMAT_PICKLE_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_PICKLE_SIZE_MAX = 64 << 20,
    CPV_PICKLE_VALUES_MAX = 2 << 20, /* also: memo entries, depth of the stack */
    CPV_PICKLE_PLACES_MAX = 8 << 20,
};

typedef enum cpv_pickle_kind {
    CPV_PICKLE_NONE,
    CPV_PICKLE_BOOL,      /* integer: 0 or 1 */
    CPV_PICKLE_INT,       /* integer */
    CPV_PICKLE_LONG,      /* bytes: two's complement, little-endian, more than 8 */
    CPV_PICKLE_REAL,      /* real */
    CPV_PICKLE_TEXT,      /* bytes: UTF-8 as it stands there, unchecked */
    CPV_PICKLE_BYTES,     /* bytes */
    CPV_PICKLE_TUPLE,     /* list */
    CPV_PICKLE_LIST,      /* list */
    CPV_PICKLE_SET,       /* list */
    CPV_PICKLE_DICT,      /* list: key, value, key, value, ... as they came */
    CPV_PICKLE_GLOBAL,    /* global */
    CPV_PICKLE_CALL,      /* call */
    CPV_PICKLE_PERSISTENT /* id */
} cpv_pickle_kind;

struct cpv_pickle_value;
typedef const struct cpv_pickle_value *cpv_pickle_ref;

struct cpv_pickle_list {
    cpv_pickle_ref *at;
    uint32_t count, capacity;
};

struct cpv_pickle_global {
    struct cpv_bytes module, name;
};

struct cpv_pickle_value {
    cpv_pickle_kind kind;
    union {
        int64_t integer;
        double real;
        struct cpv_bytes bytes;
        struct cpv_pickle_list list;
        const struct cpv_pickle_global *global;
        struct {
            cpv_pickle_ref what, with;
        } call;
        cpv_pickle_ref id;
    };
};

struct cpv_pickle {
    cpv_pickle_ref root;
    struct cpv_pickle_list persistent; /* all persistent ids, wherever they stand */
};

/*
 * One pickle that begins at file.data[*at]; *at is then behind its STOP. `path` is for
 * messages, which give the byte in `file`. CPV_E_INPUT where it is none.
 */
CPV_MUST_CHECK int cpv_pickle_read(struct cpv_pickle *out, struct cpv_bytes file,
                                   size_t *at, const char *path, cpv_arena *mem,
                                   struct cpv_err *err);

/* A dict's last value under this key; NULL if there is none or it is no dict. */
cpv_pickle_ref cpv_pickle_get(cpv_pickle_ref dict, const char *key);
bool cpv_pickle_is_text(cpv_pickle_ref v, const char *text);
bool cpv_pickle_is_global(cpv_pickle_ref v, const char *module, const char *name);

/* For messages: "an integer", "global 'os.system'", "a call of global 'os.system'". */
struct cpv_pickle_words {
    char text[256];
};
struct cpv_pickle_words cpv_pickle_describe(cpv_pickle_ref v);

#ifdef __cplusplus
}
#endif
#endif
