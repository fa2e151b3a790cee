/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-train: packed captions and image embeddings into an adapter. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/stop.h"
#include "trainer/loop.h"

static int print_settings(const struct settings_table *t, struct cpv_err *err)
{
    struct cpv_buf out = {0};
    int rc;

    settings_print(t, &out);
    rc = out.failed
             ? cpv_fail_memory(err)
             : cpv_file_put(STDOUT_FILENO, out.data, out.size, "standard output", err);
    cpv_buf_release(&out);
    return rc;
}

int main(int argc, char **argv)
{
    struct settings set = {0};
    struct settings_table table;
    struct cpv_err err = {0};
    cpv_arena *mem = NULL;
    cpv_log *log = NULL;
    enum cpv_cli_ask ask = CPV_ASK_NOTHING;
    cpv_log_level level;
    int rc = cpv_arena_open(&mem, 0, &err);

    settings_table(&table, &set);
    if (!rc)
        rc = settings_read(&table, &set, argc, argv, mem, &ask, &err);
    if (!rc && ask != CPV_ASK_NOTHING) {
        rc = cpv_program_print(&table.program, ask);
        cpv_arena_close(&mem);
        return rc;
    }
    level = set.run.quiet     ? CPV_LOG_WARNING
            : set.run.verbose ? CPV_LOG_DEBUG
                              : CPV_LOG_INFO;
    if (!rc)
        rc = cpv_log_open(&log, "capivara-train", level, STDERR_FILENO, &err);
    if (!rc && set.run.print_config)
        rc = print_settings(&table, &err);
    else if (!rc) {
        rc = cpv_stop_install(&err);
        if (!rc)
            rc = loop_run(&table, &set, mem, log, &err);
    }
    if (rc && log)
        cpv_log_err(log, &err);
    else if (rc)
        fprintf(stderr, "capivara-train: error: %s\n", err.text);
    cpv_log_close(&log);
    cpv_arena_close(&mem);
    return cpv_exit_status(rc);
}
