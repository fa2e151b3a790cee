/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command of the driver: one entry of the table in commands.c, one file cmd_*.c.
 *
 * main.c turns an entry into a program with options, help, man page and completion,
 * parses, opens the log, calls run, and prints the error and the exit status. What a
 * command prints on standard output goes through stdio; main checks that it arrived.
 */
#ifndef CPV_PIPELINE_COMMAND_H
#define CPV_PIPELINE_COMMAND_H

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/error.h"
#include "common/base/log.h"

/* A command at work. */
struct cpv_call {
    const void *options;      /* the command's struct, filled */
    const char *const *names; /* operands */
    size_t n_names;
    bool quiet, verbose;
    const struct cpv_cli *cli; /* for passing options on */
    cpv_arena *mem;
    cpv_log *log;
    int status; /* the exit status of a child that becomes ours; 0: cpv_err decides */
};

struct cpv_command {
    const char *name;
    const char *summary; /* lower case, no full stop */
    const char *usage;
    const char *words; /* what its first operand may be, for completion; NULL: anything */
    const char *description;       /* for help and man page; NULL: none */
    const struct cpv_opt *options; /* NULL: none of its own */
    size_t options_size;           /* of the struct that they fill */
    size_t least, most;            /* operands */
    int (*run)(struct cpv_call *call, struct cpv_err *err);
};

/* The options that every command has, and what they fill. */
struct cpv_common {
    bool quiet, verbose;
};
extern const struct cpv_opt cpv_common_options[];

const struct cpv_command *const *cpv_commands(void); /* ends with NULL */

extern const struct cpv_command cpv_command_run, cpv_command_status, cpv_command_inspect,
    cpv_command_cat, cpv_command_verify, cpv_command_export, cpv_command_index,
    cpv_command_gc, cpv_command_import, cpv_command_models, cpv_command_report;

/* --help, --man and --completion of `capivara` itself; the last does not look at p. */
void cpv_driver_answer(const struct cpv_program *p, enum cpv_cli_ask ask,
                       struct cpv_buf *out);

#endif
