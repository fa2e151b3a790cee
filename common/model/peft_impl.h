/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of peft.h share: PEFT's way to choose modules by target_modules. */
#ifndef CPV_MODEL_PEFT_IMPL_H
#define CPV_MODEL_PEFT_IMPL_H

#include "common/format/hf_config.h"
#include "common/model/peft.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Module of target i inside a layer: "attention.self.query". */
const char *cpv_peft_module(int i);

/*
 * Sets out->lora.targets and .layers from target_modules, layers_to_transform and
 * layers_pattern; out->projection has been read. Mistakes are kept by the configuration.
 */
void cpv_peft_match(struct cpv_peft *out, const struct cpv_hf_object *o,
                    const struct cpv_peft_shape *shape);

#ifdef __cplusplus
}
#endif
#endif
