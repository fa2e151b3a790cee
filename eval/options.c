/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line takes. */
#include <string.h>

#include "common/stage/model.h"
#include "eval/eval.h"

#define AT(field) offsetof(struct eval_settings, field)

static const char *const weights[] = CPV_MODEL_WEIGHTS;
static const char *const tasks[] = {"auto", "retrieval", "classification", NULL};

const struct cpv_opt eval_model_options[] = {
    {.name = "model",
     .kind = CPV_OPT_TEXT,
     .offset = AT(model),
     .arg = "FOLDER|FILE",
     .help = "OpenCLIP model: a folder, a checkpoint file, or org/name in the cache."},
    {.name = "adapter",
     .kind = CPV_OPT_TEXT,
     .offset = AT(adapter),
     .arg = "DIR",
     .help = "PEFT adapter on the model's text tower. A merged model is a --model."},
    {.name = "tokenizer",
     .kind = CPV_OPT_TEXT,
     .offset = AT(tokenizer),
     .arg = "FILE",
     .help = "sentencepiece.bpe.model. Default: the model's own."},
    {.name = "weights",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(weights),
     .fallback = "f32",
     .choices = weights,
     .help = "How matrices are kept on the device."},
    {.name = "device",
     .kind = CPV_OPT_TEXT,
     .offset = AT(device),
     .fallback = "auto",
     .arg = "auto|cpu|cuda[:N]",
     .help = "Where the model runs."},
    {.name = "threads",
     .kind = CPV_OPT_INT,
     .offset = AT(threads),
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .help = "Threads; 0: one for each processor. Never changes a number."},
    {.name = "batch",
     .kind = CPV_OPT_INT,
     .offset = AT(batch),
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .help = "Images in one batch; 0: a good number."},
    {.kind = CPV_OPT_END},
};

const struct cpv_opt eval_set_options[] = {
    {.name = "set",
     .kind = CPV_OPT_LIST,
     .offset = AT(set),
     .arg = "DIR|TAR",
     .help = "Test set: a packed set (CORPUS/shards/NAME), tars of img2dataset or "
             "CLIP_benchmark, a folder of them, a folder of images, or one folder for "
             "each class. May be repeated.",
     .flags = CPV_OPT_REPEAT},
    {.name = "images",
     .kind = CPV_OPT_TEXT,
     .offset = AT(images),
     .arg = "DIR",
     .help = "Folder of images that --list speaks of."},
    {.name = "list",
     .kind = CPV_OPT_TEXT,
     .offset = AT(list),
     .arg = "FILE",
     .help = "Captions of --images: TSV, CSV, JSON Lines, COCO or Karpathy JSON; {lang} "
             "in the name stands for the language."},
    {.name = "format",
     .kind = CPV_OPT_TEXT,
     .offset = AT(format),
     .arg = "NAME",
     .help = "Format of --list: tsv, csv, jsonl, coco. Default: by its name."},
    {.name = "file-col",
     .kind = CPV_OPT_TEXT,
     .offset = AT(file_col),
     .arg = "NAME",
     .help = "Column of --list with the image's file, its name or its number from 1. "
             "Default: the first there is of file, image, filename, filepath, path."},
    {.name = "lang",
     .kind = CPV_OPT_LIST,
     .offset = AT(lang),
     .arg = "L[,L...]",
     .help = "Languages, a row of the table for each. Default: en. May be repeated.",
     .flags = CPV_OPT_REPEAT},
    {.name = "captions",
     .kind = CPV_OPT_TEXT,
     .offset = AT(captions),
     .arg = "KEY",
     .help = "Key of the JSON, or column of the list, with the captions; {lang} stands "
             "for the language. Default: captions-{lang}, in a list also {lang}; without "
             "such, KEY.txt (a caption a line) or `caption`."},
    {.name = "originals",
     .kind = CPV_OPT_INT,
     .offset = AT(originals),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .arg = "N",
     .help = "Only the first N captions of each image; 0: all."},
    {.name = "pick",
     .kind = CPV_OPT_TEXT,
     .offset = AT(pick),
     .arg = "START:STOP:STEP",
     .help = "Which captions of each image, as a slice in Python: 1::2 takes the second, "
             "fourth ..."},
    {.name = "embeddings",
     .kind = CPV_OPT_FLAG,
     .offset = AT(embeddings),
     .help = "Take images as KEY.clip.npy has them instead of their pixels. They must be "
             "the same model's."},
    {.name = "max-pixels",
     .kind = CPV_OPT_INT,
     .offset = AT(max_pixels),
     .fallback = "100000000",
     .min = 1,
     .max = 4e9,
     .help = "Pictures of more pixels are skipped."},
    {.kind = CPV_OPT_END},
};

const struct cpv_opt eval_class_options[] = {
    {.name = "task",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(task),
     .fallback = "auto",
     .choices = tasks,
     .help = "auto: classification where there are class names, else retrieval."},
    {.name = "classnames",
     .kind = CPV_OPT_TEXT,
     .offset = AT(classnames),
     .arg = "FILE",
     .help = "Names of the classes: one a line, a JSON list, or Babel-ImageNet's JSON; "
             "{lang} stands for the language. Default: DIR/classnames.txt, or the names "
             "of the folders."},
    {.name = "templates",
     .kind = CPV_OPT_TEXT,
     .offset = AT(templates),
     .arg = "FILE",
     .help = "Prompts with {c} or {} for the name, one a line or a JSON list; {lang} "
             "stands for the language. Default: "
             "DIR/zeroshot_classification_templates.txt, else the name alone."},
    {.name = "parity",
     .kind = CPV_OPT_FLAG,
     .offset = AT(parity),
     .help = "As the reference's script for ImageNet: prompts are averaged as the tower "
             "gives them, and a single one is not normalised either."},
    {.kind = CPV_OPT_END},
};

const struct cpv_opt eval_query_options[] = {
    {.name = "query",
     .kind = CPV_OPT_TEXT,
     .offset = AT(query),
     .arg = "TEXT",
     .help = "Show the images of the set that are nearest to a text."},
    {.name = "top",
     .kind = CPV_OPT_INT,
     .offset = AT(top),
     .fallback = "10",
     .min = 1,
     .max = 1000000,
     .arg = "N",
     .help = "So many of them."},
    {.kind = CPV_OPT_END},
};

const struct cpv_opt eval_out_options[] = {
    {.name = "json",
     .kind = CPV_OPT_TEXT,
     .offset = AT(json),
     .arg = "FILE",
     .help = "All numbers, settings and digests; - is standard output, then without the "
             "table."},
    {.name = "ranks",
     .kind = CPV_OPT_TEXT,
     .offset = AT(ranks),
     .arg = "FILE",
     .help = "The rank of every query: lines of language, direction (t2i, i2t), query "
             "(KEY#INDEX of a text, KEY of an image) and rank."},
    {.name = "verbose",
     .kind = CPV_OPT_FLAG,
     .offset = AT(verbose),
     .help = "Name every image that is skipped."},
    {.name = "quiet",
     .kind = CPV_OPT_FLAG,
     .offset = AT(quiet),
     .help = "Say nothing but warnings and errors."},
    {.kind = CPV_OPT_END},
};

char *eval_with_lang(const char *text, const char *lang, cpv_arena *mem)
{
    struct cpv_buf b = {0};
    const char *mark;
    char *out;

    for (; (mark = strstr(text, "{lang}")); text = mark + strlen("{lang}")) {
        cpv_buf_add(&b, text, (size_t)(mark - text));
        cpv_buf_str(&b, lang);
    }
    cpv_buf_str(&b, text);
    out = b.failed ? NULL : cpv_arena_str(mem, cpv_buf_view(&b));
    cpv_buf_release(&b);
    return out;
}
