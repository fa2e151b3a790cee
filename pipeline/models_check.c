/* SPDX-License-Identifier: Apache-2.0 */
/* capivara models check. */
#include "pipeline/models.h"
int cpv_models_check(struct cpv_call *call, const char *name, struct cpv_err *err)
{
    (void)call;
    return cpv_fail(err, CPV_E_BUG, "'%s': not yet", name);
}
