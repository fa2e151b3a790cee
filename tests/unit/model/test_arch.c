/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of architectures: the sums of their shapes are the published counts of
 * parameters; a checkpoint made from a table passes, and each way of spoiling it is
 * found.
 */
#include "common/base/file.h"
#include "common/base/size.h"
#include "common/model/arch.h"
#include "tests/unit/base/unit.h"

static cpv_arena *mem;
static struct cpv_err err;

/* ---- sizes ---- */

static int count(void *ctx, const struct cpv_arch_want *w, struct cpv_err *e)
{
    uint64_t *sum = ctx, n = 1;

    (void)e;
    for (uint32_t i = 0; i < w->rank; i++)
        n *= w->dim[i];
    if (w->entry->role == CPV_ARCH_NEEDED)
        sum[0] += n;
    else if (w->entry->role == CPV_ARCH_OPTIONAL)
        sum[1] += n;
    return CPV_OK;
}

static void read_model(struct cpv_arch_model *m, const char *arch, const char *json)
{
    cpv_hf_config *c = NULL;
    struct cpv_hf_object root;

    assert_ok(cpv_hf_config_parse(&c, cpv_bytes_str(json), "c", &err));
    root = cpv_hf_config_root(c);
    assert_ok(cpv_arch_read(m, cpv_arch_of_type(arch), &root, NULL, &err));
    m->config = "c";
    cpv_hf_config_close(&c);
}

static void expect_count(const char *arch, const char *json, uint64_t needed,
                         uint64_t optional)
{
    uint64_t sum[2] = {0, 0};
    struct cpv_arch_model m;

    read_model(&m, arch, json);
    assert_ok(cpv_arch_each(&m, count, sum, &err));
    assert_int_equal(sum[0], needed);
    assert_int_equal(sum[1], optional);
}

static const char TC_BIG[] =
    "{\"d_model\":1024,\"encoder_layers\":6,\"decoder_layers\":6,"
    "\"encoder_attention_heads\":16,\"decoder_attention_heads\":16,\"encoder_ffn_dim\":"
    "4096,\"decoder_ffn_dim\":4096,\"vocab_size\":54776,\"decoder_vocab_size\":54776,"
    "\"max_position_embeddings\":1024}";
static const char EN_HI[] =
    "{\"d_model\":512,\"encoder_layers\":6,\"decoder_layers\":6,"
    "\"encoder_attention_heads\":8,\"decoder_attention_heads\":8,\"encoder_ffn_dim\":"
    "2048,\"decoder_ffn_dim\":2048,\"vocab_size\":61950,"
    "\"max_position_embeddings\":512}";

/* What the hub says these have; see the sources that arch.h names. */
static void counts_are_the_published_ones(void **state)
{
    struct cpv_arch_model m;
    uint64_t sum[2] = {0, 0};

    (void)state;
    expect_count("marian", TC_BIG, 232502776 - 54776, 54776 + 2 * 1024 * 1024);
    expect_count("marian", EN_HI, 76443134 - 61950 - 2 * 512 * 512,
                 61950 + 2 * 512 * 512);
    /* the head may be the embedding */
    expect_count("blip", "{}", 247414076 - 30524 * 768, 30524 * 768);
    expect_count("blip",
                 "{\"vision_config\":{\"hidden_size\":1024,\"num_hidden_layers\":24,"
                 "\"num_attention_heads\":16,\"intermediate_size\":4096}}",
                 469732924 - 30524 * 768, 30524 * 768);
    expect_count("blip-2",
                 "{\"text_config\":{\"hidden_size\":2560,\"num_hidden_layers\":32,"
                 "\"num_attention_heads\":32,\"ffn_dim\":10240}}",
                 3744679936, 0);
    expect_count("blip-2",
                 "{\"vision_config\":{\"image_size\":364},\"text_config\":{"
                 "\"hidden_size\":2560,\"num_hidden_layers\":32,\"num_attention_heads\":"
                 "32,\"ffn_dim\":10240}}",
                 3745271296, 0);
    assert_int_equal(cpv_file_replace("bare.ckpt", cpv_bytes_str("x"), &err), CPV_OK);
    assert_ok(cpv_arch_open(&m, "bare.ckpt", mem, &err));
    assert_ptr_equal(m.arch, &cpv_arch_clip);
    assert_ok(cpv_arch_each(&m, count, sum, &err));
    assert_int_equal(sum[0], 366121473);
}

static void sizes_that_do_not_fit_are_mistakes(void **state)
{
    static const struct {
        const char *arch, *json, *says;
    } bad[] = {
        {"marian", "{}", "d_model"},
        {"marian", "{\"d_model\":512,\"vocab_size\":0}", "vocab_size"},
        {"marian", "{\"d_model\":512,\"vocab_size\":9,\"encoder_layers\":100000}",
         "encoder_layers"},
        {"marian", "{\"d_model\":510,\"vocab_size\":9}", "divides the width 510"},
        {"marian", "{\"d_model\":512,\"vocab_size\":9,\"decoder_vocab_size\":8}",
         "decoder_vocab_size"},
        {"blip", "{\"vision_config\":{\"patch_size\":512}}", "vision_config.patch_size"},
        {"blip", "{\"text_config\":{\"num_attention_heads\":7}}",
         "text_config.num_attention_heads"},
        {"blip-2", "{\"text_config\":{\"model_type\":\"t5\"}}", "found 't5'"},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(bad); i++) {
        cpv_hf_config *c = NULL;
        struct cpv_arch_model m;
        struct cpv_hf_object root;

        assert_ok(cpv_hf_config_parse(&c, cpv_bytes_str(bad[i].json), "c", &err));
        root = cpv_hf_config_root(c);
        assert_int_equal(
            cpv_arch_read(&m, cpv_arch_of_type(bad[i].arch), &root, NULL, &err),
            CPV_E_INPUT);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s' does not say '%s'", err.text, bad[i].says);
        cpv_hf_config_close(&c);
    }
}

/* ---- checkpoints ---- */

static const char TINY_MARIAN[] =
    "{\"model_type\":\"marian\",\"d_model\":8,\"encoder_layers\":2,\"decoder_layers\":1,"
    "\"encoder_attention_heads\":2,\"decoder_attention_heads\":2,\"encoder_ffn_dim\":12,"
    "\"decoder_ffn_dim\":16,\"vocab_size\":10,\"max_position_embeddings\":6}";
static const char TINY_BLIP2[] =
    "{\"model_type\":\"blip-2\",\"num_query_tokens\":3,\"vision_config\":{\"hidden_"
    "size\":"
    "8,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":12,"
    "\"image_size\":8,\"patch_size\":4},\"qformer_config\":{\"hidden_size\":6,"
    "\"num_hidden_layers\":3,\"num_attention_heads\":2,\"intermediate_size\":10},"
    "\"text_config\":{\"hidden_size\":4,\"num_hidden_layers\":2,\"num_attention_heads\":"
    "2,"
    "\"ffn_dim\":8,\"vocab_size\":9,\"max_position_embeddings\":5}}";
static const char TINY_CLIP[] =
    "{\"model_cfg\":{\"embed_dim\":4,\"vision_cfg\":{\"image_size\":8,\"patch_size\":4,"
    "\"width\":8,\"layers\":2,\"head_width\":4},\"text_cfg\":{\"hf_model_name\":\"x\"}}}";
static const char TINY_XLMR[] =
    "{\"model_type\":\"xlm-roberta\",\"hidden_size\":8,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":2,\"intermediate_size\":12,\"vocab_size\":11,"
    "\"max_position_embeddings\":7}";

/* A safetensors file as a table wants it, spoilt on request. */
struct maker {
    const char *prefix;
    const char *leave_out; /* a tensor */
    const char *reshape;   /* a tensor: its first dimension is one more */
    const char *integer;   /* a tensor: of type I64 */
    bool ignored;          /* those that are not used, too */
    struct cpv_buf header;
    uint64_t at;
};

static void put_tensor(struct maker *k, const char *name, const char *type, uint32_t rank,
                       const uint64_t *dim)
{
    uint64_t bytes = strcmp(type, "I64") == 0 ? 8 : 4;

    cpv_buf_printf(&k->header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[",
                   k->header.size > 1 ? "," : "", k->prefix, name, type);
    for (uint32_t i = 0; i < rank; i++) {
        cpv_buf_printf(&k->header, "%s%llu", i ? "," : "", (unsigned long long)dim[i]);
        bytes *= dim[i];
    }
    cpv_buf_printf(&k->header, "],\"data_offsets\":[%llu,%llu]}",
                   (unsigned long long)k->at, (unsigned long long)(k->at + bytes));
    k->at += bytes;
}

static int put_want(void *ctx, const struct cpv_arch_want *w, struct cpv_err *e)
{
    struct maker *k = ctx;
    uint64_t dim[4];
    bool integer = k->integer && strcmp(k->integer, w->name) == 0;

    (void)e;
    memcpy(dim, w->dim, sizeof dim);
    if ((k->leave_out && strcmp(k->leave_out, w->name) == 0) ||
        (w->entry->role == CPV_ARCH_IGNORED && !k->ignored))
        return CPV_OK;
    if (k->reshape && strcmp(k->reshape, w->name) == 0)
        dim[0]++;
    put_tensor(k, w->name, integer ? "I64" : "F32", w->rank, dim);
    return CPV_OK;
}

static void make(const struct cpv_arch_model *m, struct maker *k, const char *path)
{
    struct cpv_buf file = {0};
    uint8_t *data;

    if (!k->prefix)
        k->prefix = "";
    cpv_buf_byte(&k->header, '{');
    assert_ok(cpv_arch_each(m, put_want, k, &err));
    cpv_buf_byte(&k->header, '}');
    cpv_buf_u64(&file, k->header.size);
    cpv_buf_add(&file, k->header.data, k->header.size);
    data = cpv_buf_reserve(&file, (size_t)k->at + 1);
    assert_non_null(data);
    memset(data, 0, (size_t)k->at);
    file.size += (size_t)k->at;
    assert_ok(cpv_file_replace(path, cpv_buf_view(&file), &err));
    cpv_buf_release(&file);
    cpv_buf_release(&k->header);
}

static void put_config(const char *path, const char *json)
{
    assert_ok(cpv_file_replace(path, cpv_bytes_str(json), &err));
}

static void check(const struct cpv_arch_model *model, const char *path,
                  struct cpv_arch_report *r)
{
    struct cpv_arch_model m = *model;
    cpv_checkpoint *c = NULL;

    assert_ok(cpv_checkpoint_open(&c, path, &err));
    cpv_arch_prefix(&m, c);
    assert_ok(cpv_arch_check(&m, c, mem, r, &err));
    cpv_checkpoint_close(&c);
}

static void open_tiny(struct cpv_arch_model *m, const char *which)
{
    assert_int_equal(shell("rm -rf m && mkdir -p m/text"), 0);
    if (which == TINY_CLIP) {
        put_config("m/open_clip_config.json", TINY_CLIP);
        put_config("m/text/config.json", TINY_XLMR);
    } else {
        put_config("m/config.json", which);
    }
    assert_ok(cpv_arch_open(m, "m", mem, &err));
}

static void a_checkpoint_of_the_table_s_own_shapes_passes(void **state)
{
    static const char *const all[] = {TINY_MARIAN, TINY_BLIP2, TINY_CLIP,
                                      "{\"model_type\":\"blip\",\"vision_config\":{"
                                      "\"num_hidden_layers\":1},\"text_config\":{"
                                      "\"num_hidden_layers\":1,\"vocab_size\":7}}"};

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(all); i++) {
        struct maker k = {0};
        struct cpv_arch_model m;
        struct cpv_arch_report r;

        open_tiny(&m, all[i]);
        make(&m, &k, "m/model.safetensors");
        check(&m, "m/model.safetensors", &r);
        assert_int_equal(r.missing.count + r.wrong.count + r.unused.count, 0);
        assert_true(r.tensors > 50);
        assert_int_equal(r.parameters * 4, k.at);
    }
}

static void a_trainers_prefix_is_found(void **state)
{
    static const char *const prefixes[] = {"model.model.", "module.", "model."};
    struct cpv_arch_model m;

    (void)state;
    open_tiny(&m, TINY_CLIP);
    for (size_t i = 0; i < CPV_COUNT(prefixes); i++) {
        struct maker k = {.prefix = prefixes[i]};
        struct cpv_arch_report r;

        make(&m, &k, "prefixed");
        check(&m, "prefixed", &r);
        assert_int_equal(r.missing.count + r.wrong.count + r.unused.count, 0);
    }
}

static void spoilt_checkpoints_are_told_apart(void **state)
{
    static const char NAME[] = "model.encoder.layers.1.fc1.weight";
    struct maker k = {.leave_out = NAME};
    struct cpv_arch_model m;
    struct cpv_arch_report r;

    (void)state;
    open_tiny(&m, TINY_MARIAN);
    make(&m, &k, "f");
    check(&m, "f", &r);
    assert_int_equal(r.missing.count, 1);
    assert_string_equal(r.missing.at[0].name, NAME);
    assert_string_equal(r.missing.at[0].text, "[12, 8]");

    k = (struct maker){.reshape = NAME};
    make(&m, &k, "f");
    check(&m, "f", &r);
    assert_int_equal(r.missing.count, 0);
    assert_int_equal(r.wrong.count, 1);
    assert_string_equal(r.wrong.at[0].text, "f32 [13, 8], expected [12, 8]");

    k = (struct maker){.integer = NAME};
    make(&m, &k, "f");
    check(&m, "f", &r);
    assert_int_equal(r.wrong.count, 1);
    assert_string_equal(r.wrong.at[0].text, "i64 [12, 8], expected [12, 8]");

    /* One layer more in the file than the configuration says. */
    k = (struct maker){0};
    m.dim[CPV_MARIAN_ENC_LAYERS]++;
    make(&m, &k, "f");
    m.dim[CPV_MARIAN_ENC_LAYERS]--;
    check(&m, "f", &r);
    assert_int_equal(r.missing.count + r.wrong.count, 0);
    assert_int_equal(r.unused.count, 16);
}

static void a_stored_head_is_noted_and_compared(void **state)
{
    struct maker k = {.ignored = true};
    struct cpv_arch_model m;
    struct cpv_arch_report r;
    bool seen = false;

    (void)state;
    open_tiny(&m, TINY_MARIAN);
    make(&m, &k, "f");
    check(&m, "f", &r);
    assert_int_equal(r.unused.count, 0);
    assert_int_equal(r.notes.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(r.notes.at[i].text, "; equal to model.shared.weight"));

    k = (struct maker){.ignored = true, .reshape = "lm_head.weight"};
    make(&m, &k, "f");
    check(&m, "f", &r);
    assert_int_equal(r.wrong.count, 0);
    for (size_t i = 0; i < r.notes.count; i++)
        seen |= strcmp(r.notes.at[i].name, "lm_head.weight") == 0 &&
                strstr(r.notes.at[i].text, "DIFFERS from model.shared.weight");
    assert_true(seen);
}

/* ---- binding ---- */

struct seen {
    int calls, crosses, biases;
};

static int take(void *ctx, const struct cpv_arch_bound *b, struct cpv_err *e)
{
    struct seen *s = ctx;

    (void)e;
    s->calls++;
    s->biases += b->bias != NULL;
    if (strstr(b->entry->name, "crossattention.attention.key")) {
        s->crosses++;
        assert_true(b->layer % 2 == 0);
        assert_int_equal(b->weight->dim[0], 6);
        assert_int_equal(b->weight->dim[1], 8);
        assert_int_equal(b->bias->dim[0], 6);
    }
    return CPV_OK;
}

static void binding_hands_out_each_tensor_or_names_the_first_fault(void **state)
{
    static const char NAME[] =
        "qformer.encoder.layer.2.crossattention.attention.key.bias";
    struct maker k = {0};
    struct cpv_arch_model m;
    struct seen s = {0};
    cpv_checkpoint *c = NULL;

    (void)state;
    open_tiny(&m, TINY_BLIP2);
    make(&m, &k, "f");
    assert_ok(cpv_checkpoint_open(&c, "f", &err));
    assert_ok(cpv_arch_bind(&m, c, take, &s, &err));
    assert_int_equal(s.crosses, 2); /* layers 0 and 2 of 3 */
    assert_int_equal(s.calls + s.biases, cpv_checkpoint_count(c));
    cpv_checkpoint_close(&c);

    k = (struct maker){.leave_out = NAME};
    make(&m, &k, "f");
    assert_ok(cpv_checkpoint_open(&c, "f", &err));
    assert_int_equal(cpv_arch_bind(&m, c, take, &s, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, NAME));
    cpv_checkpoint_close(&c);

    k = (struct maker){.reshape = NAME};
    make(&m, &k, "f");
    assert_ok(cpv_checkpoint_open(&c, "f", &err));
    assert_int_equal(cpv_arch_bind(&m, c, take, &s, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, NAME));
    assert_non_null(strstr(err.text, "[7]"));
    assert_non_null(strstr(err.text, "[6]"));
    cpv_checkpoint_close(&c);
}

/* safetensors keep one of the names of a shared tensor. */
static void another_name_of_the_shared_embedding_will_do(void **state)
{
    struct maker k = {.ignored = true, .leave_out = "model.shared.weight"};
    struct cpv_arch_model m;
    struct cpv_arch_report r;
    struct seen s = {0};
    cpv_checkpoint *c = NULL;

    (void)state;
    open_tiny(&m, TINY_MARIAN);
    make(&m, &k, "f");
    check(&m, "f", &r);
    assert_int_equal(r.missing.count, 0);
    assert_ok(cpv_checkpoint_open(&c, "f", &err));
    assert_ok(cpv_arch_bind(&m, c, take, &s, &err));
    cpv_checkpoint_close(&c);
}

/* ---- which architecture ---- */

static void the_configuration_decides(void **state)
{
    struct cpv_arch_model m;

    (void)state;
    open_tiny(&m, TINY_BLIP2);
    assert_string_equal(m.arch->name, "blip-2");
    assert_string_equal(m.config, "m/config.json");
    put_config("m/config.json", "{\"model_type\":\"llama\"}");
    assert_int_equal(cpv_arch_open(&m, "m", mem, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "'llama' is none that we know"));
    put_config("m/open_clip_config.json", TINY_CLIP);
    assert_int_equal(cpv_arch_open(&m, "m", mem, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "text/config.json"));
    put_config("m/text/config.json", TINY_XLMR);
    assert_ok(cpv_arch_open(&m, "m", mem, &err));
    assert_string_equal(m.arch->name, "open_clip");
    put_config("m/open_clip_config.json",
               "{\"model_cfg\":{\"embed_dim\":4,\"text_cfg\":{\"width\":8}}}");
    assert_int_equal(cpv_arch_open(&m, "m", mem, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "hf_model_name"));
    assert_int_equal(shell("rm -rf m && mkdir m"), 0);
    assert_int_equal(cpv_arch_open(&m, "m", mem, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "neither config.json nor"));
}

static int start(void **state)
{
    return cpv_arena_open(&mem, 0, NULL) ? -1 : enter_scratch(state);
}

static int stop(void **state)
{
    cpv_arena_close(&mem);
    return leave_scratch(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_published_ones),
        cmocka_unit_test(sizes_that_do_not_fit_are_mistakes),
        cmocka_unit_test(a_checkpoint_of_the_table_s_own_shapes_passes),
        cmocka_unit_test(a_trainers_prefix_is_found),
        cmocka_unit_test(spoilt_checkpoints_are_told_apart),
        cmocka_unit_test(a_stored_head_is_noted_and_compared),
        cmocka_unit_test(binding_hands_out_each_tensor_or_names_the_first_fault),
        cmocka_unit_test(another_name_of_the_shared_embedding_will_do),
        cmocka_unit_test(the_configuration_decides),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
