/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: one table makes the parser, the help, the man page, the shell
 * completion and the configuration keys of a program.
 *
 *     parse             collects what the command line says, applies nothing
 *     defaults          every field gets its fallback
 *     (configuration)   find_key, assign, by whoever reads the file
 *     apply             what the command line said, so that it wins
 *
 * On the command line: `--name value`, `--name=value`; an alias of one letter also with
 * one dash, `-o value`; flags `--name`, `--no-name`,
 * `--name=true|false`, and `--name True|False` as two words (only these two words are
 * taken). Every name may be spelled with - or with _. `--` ends the options. A list is
 * comma separated or a flow sequence, '["a","b"]'. Built in: --help -h --version --man
 * --completion.
 *
 * Numbers are strict: all of the text or nothing. A SIZE may end in K, M or G (powers
 * of 1024); a REAL may be `inf` or `-inf`, never NaN; a TEXT may be empty.
 *
 * Texts that end up in fields live in the arena given. All messages are CPV_E_USAGE.
 */
#ifndef CPV_BASE_CLI_H
#define CPV_BASE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The type of the field at `offset`. */
typedef enum cpv_opt_kind {
    CPV_OPT_END = 0, /* the last entry of a table */
    CPV_OPT_FLAG,    /* bool */
    CPV_OPT_INT,     /* int64_t */
    CPV_OPT_SIZE,    /* int64_t */
    CPV_OPT_REAL,    /* double */
    CPV_OPT_TEXT,    /* const char * */
    CPV_OPT_CHOICE,  /* int, the index of the word in `choices` */
    CPV_OPT_LIST     /* struct cpv_texts */
} cpv_opt_kind;

enum {
    CPV_OPT_PINNED = 1, /* changes the bytes of the output */
    CPV_OPT_HIDDEN = 2, /* works, but no help, man page or completion shows it */
    CPV_OPT_REPEAT = 4, /* LIST on the command line: each use appends its text as one */
    CPV_OPT_PATH = 8    /* TEXT: a path; in a configuration, relative to its `base` */
};

struct cpv_texts {
    const char *const *at;
    size_t count;
};

struct cpv_opt {
    const char *name; /* "image-size"; NULL: not on the command line */
    const char *key;  /* "image_size", in the group's section; NULL: not configurable */
    const char *aliases; /* more names, space separated, without dashes; NULL: none */
    cpv_opt_kind kind;
    size_t offset;              /* of the field in the group's `into` */
    const char *fallback;       /* as a user would spell it; NULL: false, 0, NULL, empty;
                                   a CHOICE then starts at its first word */
    double min, max;            /* INT, SIZE, REAL, inclusive; both 0: any */
    const char *const *choices; /* CHOICE: words, ends with NULL */
    const char *arg;            /* "PIXELS"; NULL: a word for the kind */
    const char *help;           /* one or two sentences */
    unsigned flags;
    /* May be NULL. TEXT: gets a const char *; LIST: a const struct cpv_texts *. NULL if
     * it will do, else what was expected: "a language such as en or pt-BR". */
    const char *(*check)(const void *value);
};

struct cpv_opt_group {
    const char *title;   /* "Input": the heading in the help */
    const char *section; /* "fetch": key "fetch.image_size"; "" or NULL: top level */
    const struct cpv_opt *opts;
    void *into; /* the struct that holds the fields */
};

struct cpv_program {
    const char *name;        /* "capivara-fetch" */
    const char *version;     /* "0.1.0" */
    const char *summary;     /* one line, lower case, no full stop */
    const char *usage;       /* "[options] FILE..." */
    const char *description; /* paragraphs parted by "\n\n"; NULL: none */
    const struct cpv_opt_group *groups;
    size_t n_groups;
};

struct cpv_cli_assign {
    const struct cpv_opt_group *group;
    const struct cpv_opt *opt;
    const char *spelled; /* "--image_size", as the user wrote it */
    const char *value;   /* "256"; of a flag "true" or "false" */
};

enum cpv_cli_ask {
    CPV_ASK_NOTHING,
    CPV_ASK_HELP,
    CPV_ASK_VERSION,
    CPV_ASK_MAN,
    CPV_ASK_COMPLETION
};

struct cpv_cli {
    enum cpv_cli_ask
        ask; /* the first that was asked; the rest is then parsed no further */
    struct cpv_cli_assign *assign; /* in the order of the command line */
    size_t n_assign;
    const char **rest; /* words that are no options; a lone "-" is one of them */
    size_t n_rest;
};

/* Words keep pointing into argv. argv[0] is skipped; argc 0 is an empty command line. */
CPV_MUST_CHECK int cpv_cli_parse(const struct cpv_program *p, int argc, char **argv,
                                 cpv_arena *mem, struct cpv_cli *out,
                                 struct cpv_err *err);

CPV_MUST_CHECK int cpv_opts_defaults(const struct cpv_program *p, cpv_arena *mem,
                                     struct cpv_err *err);
CPV_MUST_CHECK int cpv_cli_apply(const struct cpv_cli *cli, cpv_arena *mem,
                                 struct cpv_err *err);

/*
 * Check a text and store it. where: "'--image-size'", or "'c.yaml' line 3 column 9:
 * 'fetch.image_size'"; it begins the message. The last of several assignments wins, but
 * a REPEAT list grows; cpv_cli_apply starts those anew first. A failed assignment leaves
 * the field as it was.
 */
CPV_MUST_CHECK int cpv_opts_assign(const struct cpv_opt_group *g, const struct cpv_opt *o,
                                   const char *value, const char *where, cpv_arena *mem,
                                   struct cpv_err *err);
/* The same for the items of a sequence; they replace the list. Only LISTs take one. */
CPV_MUST_CHECK int cpv_opts_assign_list(const struct cpv_opt_group *g,
                                        const struct cpv_opt *o,
                                        const char *const *values, size_t n,
                                        const char *where, cpv_arena *mem,
                                        struct cpv_err *err);

/* "fetch.image_size"; NULL if there is none. group may be NULL. */
const struct cpv_opt *cpv_opts_find_key(const struct cpv_program *p, const char *full_key,
                                        const struct cpv_opt_group **group);
/* What the user may have meant, in full; NULL if nothing is near, or without memory. */
const char *cpv_opts_nearest_key(const struct cpv_program *p, const char *full_key,
                                 cpv_arena *mem);
/* The same among any words; the list ends with NULL. */
const char *cpv_opts_nearest_word(const char *word, const char *const *words);

/*
 * The value of the field as a YAML flow value on one line, quoted where a YAML parser
 * would otherwise read another text or no text at all. Assigning what was parsed gives
 * the same field. An unset TEXT is `null`, an infinite REAL `.inf`.
 */
void cpv_opts_value(const struct cpv_opt_group *g, const struct cpv_opt *o,
                    struct cpv_buf *out);

void cpv_program_help(const struct cpv_program *p, struct cpv_buf *out);
/* troff, without a date, so that it is the same each time; date_free_section: "1". */
void cpv_program_man(const struct cpv_program *p, const char *date_free_section,
                     struct cpv_buf *out);
/* For bash: to be sourced. Of a program "a b" only the function _a_b. */
void cpv_program_completion(const struct cpv_program *p, struct cpv_buf *out);
/* Whichever of these was asked for, or "NAME VERSION\n"; nothing for ASK_NOTHING. */
void cpv_program_answer(const struct cpv_program *p, enum cpv_cli_ask ask,
                        struct cpv_buf *out);
/* The same on standard output; the exit status. */
int cpv_program_print(const struct cpv_program *p, enum cpv_cli_ask ask);

#ifdef __cplusplus
}
#endif
#endif
