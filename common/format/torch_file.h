/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What torch.save wrote: the zip form (since 1.6) and the legacy form, as tensors.
 *
 * Globals that mean something, the white list: collections.OrderedDict;
 * torch._utils._rebuild_tensor, _rebuild_tensor_v2, _rebuild_parameter,
 * _rebuild_parameter_with_state; torch._tensor._rebuild_from_type_v2 around one of
 * these; torch.FloatStorage and its kin (as data types, never as classes). All others
 * are inert: see checkpoint.h.
 *
 * Source: torch/serialization.py (_save, _load, _legacy_save, _legacy_load),
 * torch/_utils.py, torch/_tensor.py.
 */
#ifndef CPV_FORMAT_TORCH_FILE_H
#define CPV_FORMAT_TORCH_FILE_H

#include "common/format/checkpoint_internal.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_torch_form {
    CPV_TORCH_NONE, /* these bytes are not torch's */
    CPV_TORCH_ZIP,
    CPV_TORCH_LEGACY
} cpv_torch_form;

cpv_torch_form cpv_torch_form_of(struct cpv_bytes file); /* by its first bytes */

/*
 * Add the tensors of the state dict in `file`, views of it. `path` is for messages.
 * Nothing of `file` but its tensors is needed later; scratch memory is taken and given
 * back inside.
 */
CPV_MUST_CHECK int cpv_torch_read(struct cpv_ckpt_list *list, struct cpv_bytes file,
                                  const char *path, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
