/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.h: each format's rows, good and bad. A row is shown as one line of text, so that
 * a test is an input and what should come of it.
 */
#include "tests/unit/format/input_unit.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "common/format/rows.h"

#define LIST(...)                                                                        \
    {                                                                                    \
        (const char *const[]){__VA_ARGS__},                                              \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)            \
    }

/* "0@2 url=... file=... hash=... [caption|caption] {name=value}" or "1@3 bad: ..." */
static void show(struct cpv_buf *b, const struct cpv_row *row)
{
    cpv_buf_printf(b, "%llu@%llu", (unsigned long long)row->number,
                   (unsigned long long)row->line);
    if (row->bad) {
        cpv_buf_printf(b, " bad: %s\n", row->bad);
        assert_null(row->url);
        assert_int_equal(row->captions.count, 0);
        return;
    }
    if (row->url)
        cpv_buf_printf(b, " url=%s", row->url);
    if (row->file)
        cpv_buf_printf(b, " file=%s", row->file);
    if (row->hash)
        cpv_buf_printf(b, " hash=%s", row->hash);
    for (size_t i = 0; i < row->captions.count; i++)
        cpv_buf_printf(b, "%s%s%s", i ? "|" : " [", row->captions.at[i],
                       i + 1 == row->captions.count ? "]" : "");
    for (size_t i = 0; i < row->n_extra; i++)
        cpv_buf_printf(b, " {%s%s%s}", row->extra[i].name, row->extra[i].json ? ":" : "=",
                       row->extra[i].value);
    cpv_buf_byte(b, '\n');
}

/* All rows, or "error: ..." */
static const char *read_all(const struct cpv_rows_params *p)
{
    static struct cpv_buf shown;
    struct cpv_err err = {0};
    struct cpv_row row;
    cpv_arena *mem;
    cpv_rows *r;
    int rc = cpv_rows_open(&r, p, &err);

    cpv_buf_clear(&shown);
    assert_int_equal(cpv_arena_open(&mem, 0, NULL), 0);
    while (!rc && (rc = cpv_rows_next(r, mem, &row, &err)) == 1) {
        show(&shown, &row);
        cpv_arena_reset(mem);
        rc = 0;
    }
    if (rc < 0) {
        assert_int_equal(rc, err.code);
        assert_null(strchr(err.text, '\n'));
        cpv_buf_printf(&shown, "error: %s\n", err.text);
    }
    cpv_rows_close(&r);
    assert_null(r);
    cpv_arena_close(&mem);
    return cpv_buf_cstr(&shown);
}

static void expect(const struct cpv_rows_params *p, const char *rows)
{
    assert_string_equal(read_all(p), rows);
}

/* ---- tables ---- */

static void tsv_with_a_header(void **state)
{
    const struct cpv_rows_params p = {.path = make_text("a.tsv",
                                                        "caption\turl\tid\n"
                                                        "a \"cat\"\thttp://x/1\t7\n"
                                                        "  two   words \t http://x/2 \t\n"
                                                        "\thttp://x/3\t9\n"
                                                        "no url\t\t1\n"
                                                        "short\n"
                                                        "\n"
                                                        "a\tb\tc\td\n"
                                                        "last\thttp://x/4\t5"),
                                      .captions = LIST("caption"),
                                      .extra = LIST("id")};

    (void)state;
    expect(&p, "0@2 url=http://x/1 [a \"cat\"] {id=7}\n"
               "1@3 url=http://x/2 [two words] {id=}\n"
               "2@4 url=http://x/3 {id=9}\n"
               "3@5 bad: line 5: no url\n"
               "4@6 bad: line 6: expected 3 columns, found 1\n"
               "5@7 bad: line 7: expected 3 columns, found 1\n"
               "6@8 bad: line 8: expected 3 columns, found 4\n"
               "7@9 url=http://x/4 [last] {id=5}\n");
}

static void compressed_crlf_and_bom_change_nothing(void **state)
{
    struct cpv_rows_params p = {.format = CPV_ROWS_TSV, .captions = LIST("caption")};
    const char *expected = "0@2 url=http://x/1 [one]\n"
                           "1@3 bad: line 3: expected 2 columns, found 1\n"
                           "2@4 url=http://x/2 [two]\n";
    static const char lf[] = "url\tcaption\nhttp://x/1\tone\nbad\nhttp://x/2\ttwo\n";
    static const char crlf[] = "\xEF\xBB\xBFurl\tcaption\r\nhttp://x/1\tone\r\nbad\r\n"
                               "http://x/2\ttwo\r\n";

    (void)state;
    p.path = make_text("lf", lf);
    expect(&p, expected);
    p.path = make_text("crlf", crlf);
    expect(&p, expected);
    p.path = make_gzip("gz", crlf);
    expect(&p, expected);
    p.path = make_zstd("zst", lf);
    expect(&p, expected);
}

static void numbered_columns_work_with_and_without_a_header(void **state)
{
    struct cpv_rows_params p = {.format = CPV_ROWS_TSV,
                                .url = "2",
                                .captions = LIST("1", "3"),
                                .extra = LIST("all")};

    (void)state;
    p.path = make_text("a", "one\thttp://x/1\tuno\t5\n");
    expect(&p, "0@1 url=http://x/1 [one|uno] {column_4=5}\n");
    p.path = make_text("b", "en\turl\tpt\tn\none\thttp://x/1\tuno\t5\n");
    expect(&p, "0@2 url=http://x/1 [one|uno] {n=5}\n");
    p.header = CPV_ROWS_HEADER_NO;
    expect(
        &p,
        "0@1 url=url [en|pt] {column_4=n}\n1@2 url=http://x/1 [one|uno] {column_4=5}\n");
    p.path = make_text("c", "one\ttwo\n");
    expect(&p, "error: 'c': no column 3, there are 2\n");
}

static void presets_know_their_columns(void **state)
{
    struct cpv_rows_params p = {.format = CPV_ROWS_CC3M, .url = "ignored"};

    (void)state;
    p.path = make_text("a", "a dog 's ear\thttp://x/1\n");
    expect(&p, "0@1 url=http://x/1 [a dog 's ear]\n");
    p.format = CPV_ROWS_CC12M;
    p.path = make_text("b", "http://x/1\t<PERSON> and a dog\n");
    expect(&p, "0@1 url=http://x/1 [<PERSON> and a dog]\n");
}

static void a_missing_column_is_named(void **state)
{
    struct cpv_rows_params p = {.captions = LIST("captoin")};

    (void)state;
    p.path = make_text("a.tsv", "url\tcaption\nx\ty\n");
    expect(&p, "error: 'a.tsv': no column 'captoin'; did you mean 'caption'? there are: "
               "'url', 'caption'\n");
    p.path = make_text("b.tsv", "");
    expect(&p, "error: 'b.tsv': empty; expected a header line\n");
    p.path = make_text("c.tsv", "url\turl\ncaption\tx\n");
    expect(&p, "error: 'c.tsv': two columns are called 'url'; expected a number\n");
    p.header = CPV_ROWS_HEADER_NO;
    expect(&p, "error: 'c.tsv': column 'url' is a name, but there is no header; expected "
               "a number from 1 to 2\n");
    p = (struct cpv_rows_params){.path = make_text("d.xyz", "")};
    assert_non_null(strstr(read_all(&p), "its name does not tell the format"));
}

static void csv_follows_rfc_4180(void **state)
{
    struct cpv_rows_params p = {.captions = LIST("text"), .extra = LIST("n")};

    (void)state;
    p.path = make_text("a.csv", "url,text,n\r\n"
                                "http://x/1,\"a, \"\"b\"\"\r\nand c\",\"1\"\r\n"
                                "\"http://x/2\",plain,\"\"\n"
                                "http://x/3,stray\"quote,2\n"
                                "http://x/4,\"text\"behind,2\n"
                                "http://x/5,short\n"
                                "http://x/6,\"\n\n\",\"a\nb\"\n"
                                "http://x/7,\"never closed,7\n"
                                "http://x/8,fine,8");
    expect(&p, "0@2 url=http://x/1 [a, \"b\" and c] {n=1}\n"
               "1@4 url=http://x/2 [plain] {n=}\n"
               "2@5 bad: line 5: a quotation mark inside a field\n"
               "3@6 bad: line 6: a quotation mark inside a field\n"
               "4@7 bad: line 7: expected 3 columns, found 2\n"
               "5@8 url=http://x/6 {n=a\nb}\n"
               "6@12 bad: line 12: a quotation mark that is not closed within 1048576 "
               "bytes\n"
               "7@13 url=http://x/8 [fine] {n=8}\n");
}

static void csv_records_are_bounded(void **state)
{
    struct cpv_rows_params p = {.url = "1",
                                .captions = LIST("2"),
                                .format = CPV_ROWS_CSV,
                                .header = CPV_ROWS_HEADER_NO,
                                .max_line = 24};

    (void)state;
    p.path = make_text("a", "a,\"34567890\n23456789012\"\n"  /* 24 bytes */
                            "b,\"34567890\n234567890123\"\n" /* 25 */
                            "c,d\n");
    expect(&p, "0@1 url=a [34567890 23456789012]\n"
               "1@3 bad: line 3: a quotation mark that is not closed within 24 bytes\n"
               "2@4 bad: line 4: a quotation mark inside a field\n"
               "3@5 url=c [d]\n");
    /* what is wrong beyond the bound is not looked at: it might not be there yet */
    p.path = make_text("b", "a,\"34567890\n2345678901234567890\"x\n");
    expect(&p, "0@1 bad: line 1: a quotation mark that is not closed within 24 bytes\n"
               "1@2 bad: line 2: a quotation mark inside a field\n");
}

/* Lines around the bound and around the reader's window, one of which is hurt. */
static void long_lines_and_nuls_cost_one_row_each(void **state)
{
    enum { MAX = 1 << 20, LINES = 9 };
    static const size_t sizes[LINES] = {10,      MAX - 1,     MAX,     MAX + 1, 20,
                                        2 * MAX, 5 * MAX + 3, MAX + 2, 30};
    struct cpv_rows_params p = {.format = CPV_ROWS_TXT};

    (void)state;
    for (int crlf = 0; crlf < 2; crlf++) {
        struct cpv_buf b = {0}, want = {0};
        struct cpv_err err = {0};
        struct cpv_row row;
        cpv_arena *mem;
        cpv_rows *r;

        for (int i = 0; i < LINES; i++) {
            uint8_t *to = cpv_buf_reserve(&b, sizes[i]);

            memset(to, 'a' + i, sizes[i]);
            if (i == 4)
                to[5] = 0;
            b.size += sizes[i];
            cpv_buf_str(&b, i == LINES - 1 ? "" : crlf ? "\r\n" : "\n");
        }
        p.path = make_file("lines", b.data, b.size);
        assert_ok(cpv_arena_open(&mem, 0, &err));
        assert_ok(cpv_rows_open(&r, &p, &err));
        for (int i = 0; i < LINES; i++) {
            assert_int_equal(cpv_rows_next(r, mem, &row, &err), 1);
            assert_int_equal(row.line, i + 1);
            cpv_buf_clear(&want);
            if (sizes[i] > MAX)
                cpv_buf_printf(&want, "line %d: longer than 1048576 bytes", i + 1);
            if (i == 4)
                cpv_buf_printf(&want, "line %d: a NUL byte in it", i + 1);
            if (want.size) {
                assert_string_equal(row.bad, cpv_buf_cstr(&want));
            } else {
                assert_null(row.bad);
                assert_int_equal(strlen(row.url), sizes[i]);
                assert_int_equal(row.url[sizes[i] - 1], 'a' + i);
            }
        }
        assert_int_equal(cpv_rows_next(r, mem, &row, &err), 0);
        cpv_rows_close(&r);
        cpv_arena_close(&mem);
        cpv_buf_release(&b);
        cpv_buf_release(&want);
    }
}

static void txt_is_a_url_a_line(void **state)
{
    struct cpv_rows_params p = {.path = make_text("a.txt", "\n http://x/1 \r\n \t\n"
                                                           "http://x/2\n\n")};

    (void)state;
    expect(&p, "0@2 url=http://x/1\n1@4 url=http://x/2\n");
    p.path = make_text("b.txt", "");
    expect(&p, "");
    p.file = "file";
    p.path = make_text("c.txt", "a/b.jpg\n/etc/passwd\na/../../b.jpg\n..\na..b/c\n");
    expect(&p, "0@1 file=a/b.jpg\n"
               "1@2 bad: line 2: '/etc/passwd': not a path below the root\n"
               "2@3 bad: line 3: 'a/../../b.jpg': not a path below the root\n"
               "3@4 bad: line 4: '..': not a path below the root\n"
               "4@5 file=a..b/c\n");
}

static void texts_become_valid_and_tidy(void **state)
{
    const struct cpv_rows_params p = {
        .path =
            make_text("a.tsv", "url\tc\n"
                               "http://x/\xFF\tbad \xE2\x82 utf\xC2\xA0\xE2\x80\xA8 8\v\n"
                               "http://x/ y\t\xE3\x80\x80 \n"),
        .captions = LIST("c")};

    (void)state;
    expect(&p, "0@2 url=http://x/\xEF\xBF\xBD [bad \xEF\xBF\xBD utf 8]\n"
               "1@3 url=http://x/ y\n");
}

static void hashes_are_checked_for_their_form(void **state)
{
    struct cpv_rows_params p = {.hash_column = "md5", .hash_kind = CPV_ROWS_HASH_MD5};

    (void)state;
    p.path = make_text("a.tsv", "url\tmd5\n"
                                "http://x/1\t 0123456789ABCDEF0123456789abcdef \n"
                                "http://x/2\t0123456789ABCDEF0123456789abcde\n"
                                "http://x/3\t\n");
    expect(&p, "0@2 url=http://x/1 hash=0123456789abcdef0123456789abcdef\n"
               "1@3 bad: line 3: expected a hash of 32 hexadecimal digits\n"
               "2@4 bad: line 4: expected a hash of 32 hexadecimal digits\n");
}

/* ---- JSON ---- */

static void jsonl_takes_an_object_a_line(void **state)
{
    const struct cpv_rows_params p = {
        .path = make_text(
            "a.jsonl",
            "{\"url\":\"http://x/1\",\"c\":\"one\",\"n\":1.5,\"o\":{\"b\":NaN}}\n"
            "\n"
            "{\"url\":\"http://x/2\",\"c\":[\"a\",null,\" b  c \",\"\"]}\n"
            "{\"url\":null}\n"
            "{\"url\":5}\n"
            "{\"url\":\n"
            "[1]\n"
            "{\"url\":\"x\",\"c\":[1]}\n"
            "{\"url\":\"a\\u0000b\"}\n"
            "{\"url\":\"http://x/9\",\"c\":\"a\\u0000b\"}\n"),
        .captions = LIST("c"),
        .extra = LIST("all")};

    (void)state;
    expect(&p, "0@1 url=http://x/1 [one] {n:1.5} {o:{\"b\":null}}\n"
               "1@3 url=http://x/2 [a|b c]\n"
               "2@4 bad: line 4: no url\n"
               "3@5 bad: line 5: 'url': expected a string\n"
               "4@6 bad: line 6: column 8: not JSON: unexpected token near end of "
               "file\n"
               "5@7 bad: line 7: expected a JSON object\n"
               "6@8 bad: line 8: 'c': expected strings\n"
               "7@9 bad: line 9: a NUL byte in the url\n"
               "8@10 url=http://x/9 [a b]\n");
}

static void coco_joins_captions_that_are_anywhere(void **state)
{
    struct cpv_rows_params p = {
        .path = make_gzip(
            "captions.json.gz",
            "{\"info\":{\"x\":[\"]}\"]},\n \"annotations\":["
            "{\"image_id\":2,\"id\":1,\"caption\":\"two a\\n\"},"
            "{\"image_id\":1,\"id\":2,\"caption\":\" one  a\"},"
            "{\"image_id\":9,\"id\":3,\"caption\":\"of none\"},"
            "{\"image_id\":2,\"id\":4,\"caption\":\"two b\\\"]}\"},"
            "{\"image_id\":1,\"caption\":\"one b\"},{\"id\":6},"
            "{\"image_id\":-8,\"caption\":\"of none\"}],"
            "\"images\":[{\"id\":2,\"file_name\":\"2.jpg\",\"coco_url\":\"http://c/2\","
            "\"flickr_url\":\"http://f/2\",\"license\":4},"
            "{\"id\":3,\"file_name\":\"3.jpg\"},7,"
            "{\"id\":1,\"file_name\":\"../1.jpg\",\"flickr_url\":\"http://f/1\"},"
            "{\"id\":1,\"flickr_url\":\"http://f/1\"}]}\n")};

    (void)state;
    expect(&p, "0@0 url=http://c/2 [two a|two b\"]}] {image_id:2} {file_name:\"2.jpg\"} "
               "{license:4}\n"
               "1@0 bad: no url\n"
               "2@0 bad: images[2]: expected an object\n"
               "3@0 url=http://f/1 [one a|one b] {image_id:1} {file_name:\"../1.jpg\"}\n"
               "4@0 url=http://f/1 [one a|one b] {image_id:1}\n"
               "5@0 bad: annotations[5]: expected an integer 'image_id' and a string "
               "'caption'\n"
               "6@0 bad: annotations[2]: no image 9\n"
               "7@0 bad: annotations[6]: no image -8\n");
    p.root = ".";
    assert_non_null(strstr(read_all(&p), "1@0 file=3.jpg {image_id:3}"));
    assert_non_null(
        strstr(read_all(&p), "3@0 bad: '../1.jpg': not a path below the root"));
}

static void karpathy_splits_have_captions_inside(void **state)
{
    const struct cpv_rows_params p = {
        .path = make_text(
            "dataset_coco.json",
            "{\"images\": [{\"filepath\": \"val2014\", \"sentids\": [1, 2], "
            "\"filename\": "
            "\"a.jpg\", \"imgid\": 0, \"split\": \"test\", \"sentences\": [{\"tokens\": "
            "[\"a\"], \"raw\": \"A man .\", \"sentid\": 1}, {\"raw\": \"A dog.\"}], "
            "\"cocoid\": 391895}], \"dataset\": \"coco\"}"),
        .root = "images"};

    (void)state;
    expect(&p, "0@0 file=val2014/a.jpg [A man .|A dog.] {cocoid:391895} {imgid:0} "
               "{filepath:\"val2014\"} {filename:\"a.jpg\"} {split:\"test\"}\n");
}

static void json_that_is_not_coco_is_an_error(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "error: 'c.json' byte 0: expected '{'; COCO captions are one object\n"},
        {"[1,2]", "error: 'c.json' byte 0: expected '{'; COCO captions are one object\n"},
        {"{\"a\":1}",
         "error: 'c.json': no 'images'; expected COCO captions or a Karpathy "
         "split\n"},
        {"{\"images\":[{}", "error: 'c.json' byte 13: expected ',' or ']'\n"},
        {"{\"images\":[{", "error: 'c.json' byte 12: expected a value\n"},
        {"{\"images\":[\"", "error: 'c.json' byte 12: expected the end of a string\n"},
        {"{\"images\":{}}", "error: 'c.json' byte 10: expected an array\n"},
        {"{\"images\":[,]}", "error: 'c.json' byte 11: expected a value\n"},
        {"{\"images\":[]} x", "error: 'c.json' byte 14: expected nothing behind the "
                              "object\n"},
        {"{\"images\":[],\"annotations\":[{\"image_id\":1,\"bbox\":[]}]}",
         "error: 'c.json': no annotation has a caption; expected COCO captions\n"},
        {"{\"images\":[]}", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct cpv_rows_params p = {.path = make_text("c.json", cases[i].text)};

        expect(&p, cases[i].error);
    }
}

/* ---- folders ---- */

static void a_folder_is_sorted_and_has_captions_beside(void **state)
{
    const struct cpv_rows_params p = {.path = "photos"};

    (void)state;
    assert_int_equal(mkdir("photos", 0700) | mkdir("photos/b", 0700) |
                         mkdir("photos/.hidden", 0700),
                     0);
    (void)make_text("photos/b/2.JPG", "");
    (void)make_text("photos/b.png", "");
    (void)make_text("photos/b.txt", "\xEF\xBB\xBFone\r\n\r\n two  words");
    (void)make_text("photos/B.jpeg", "");
    (void)make_text("photos/.dot.jpg", "");
    (void)make_text("photos/.hidden/x.jpg", "");
    (void)make_text("photos/notes.md", "");
    (void)make_text("photos/jpg", "");
    (void)make_text("photos/phone.HEIC", ""); /* to be counted as unsupported */
    assert_int_equal(symlink("b.png", "photos/link.webp"), 0);
    assert_int_equal(symlink("nowhere", "photos/dangling.jpg"), 0);
    assert_int_equal(symlink("..", "photos/b/round.jpg"), 0);
    assert_int_equal(mkfifo("photos/pipe.jpg", 0600), 0);
    expect(&p, "0@0 file=B.jpeg\n"
               "1@0 file=b.png [one|two words]\n"
               "2@0 file=b/2.JPG\n"
               "3@0 file=link.webp\n"
               "4@0 file=phone.HEIC\n");
}

/* ---- formats and whole files ---- */

static void names_tell_formats(void **state)
{
    static const struct {
        const char *path;
        cpv_rows_format format;
    } cases[] = {{"a.tsv", CPV_ROWS_TSV},
                 {"a.csv.gz", CPV_ROWS_CSV},
                 {"a.b.txt.zst", CPV_ROWS_TXT},
                 {"a.jsonl", CPV_ROWS_JSONL},
                 {"a.json", CPV_ROWS_COCO},
                 {"x/{00..09}.tar", CPV_ROWS_WEBDATASET},
                 {"a.tar.zst", CPV_ROWS_WEBDATASET},
                 {"a.tgz", CPV_ROWS_WEBDATASET},
                 {"a.parquet", CPV_ROWS_AUTO},
                 {"/", CPV_ROWS_FOLDER},
                 {"tsv", CPV_ROWS_AUTO}};
    cpv_rows_format back;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(cpv_rows_guess(cases[i].path), cases[i].format);
    for (int f = 0; f < CPV_ROWS_FORMATS; f++) {
        assert_true(
            cpv_rows_format_parse(cpv_rows_format_name((cpv_rows_format)f), &back));
        assert_int_equal(back, f);
    }
    assert_false(cpv_rows_format_parse("parquet", &back));
    assert_null(cpv_rows_format_name(CPV_ROWS_FORMATS));
}

static void damage_is_an_error_behind_what_could_be_read(void **state)
{
    struct cpv_buf text = {0}, gz = {0};
    struct cpv_rows_params p = {.format = CPV_ROWS_TXT};
    const char *got;

    (void)state;
    for (int i = 0; i < 300000; i++)
        cpv_buf_printf(&text, "http://x/%ld\n", i * 7919L % 300007);
    add_gzip(&gz, text.data, text.size);
    p.path = make_file("cut.gz", gz.data, gz.size * 3 / 4);
    got = read_all(&p);
    assert_memory_equal(got, "0@1 url=http://x/0\n1@2 url=http://x/7919\n", 41);
    assert_non_null(strstr(got, "error: 'cut.gz': cut off at byte "));
    cpv_buf_release(&text);
    cpv_buf_release(&gz);
}

/* 100,000 rows of 1 KB: memory must not follow. */
static void memory_is_constant(void **state)
{
    struct cpv_rows_params p = {.path = "big", .format = CPV_ROWS_TXT};
    struct cpv_err err = {0};
    struct rusage before, after;
    struct cpv_row row;
    uint64_t n = 0;
    cpv_arena *mem;
    cpv_rows *r;
    char line[1024];
    FILE *f = fopen("big", "wb");

    (void)state;
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < 100000; i++)
        assert_int_equal(fwrite(line, 1, sizeof line, f), sizeof line);
    assert_int_equal(fclose(f), 0);
    assert_ok(cpv_arena_open(&mem, 0, &err));
    (void)getrusage(RUSAGE_SELF, &before);
    assert_ok(cpv_rows_open(&r, &p, &err));
    while (cpv_rows_next(r, mem, &row, &err) == 1) {
        n++;
        cpv_arena_reset(mem);
    }
    (void)getrusage(RUSAGE_SELF, &after);
    assert_int_equal(n, 100000);
    assert_true(after.ru_maxrss - before.ru_maxrss < 8 * 1024); /* KiB */
    cpv_rows_close(&r);
    cpv_arena_close(&mem);
}

static void real_captions_are_read_in_full(void **state)
{
    const char *data = getenv("CAPIVARA_TEST_DATA");
    struct cpv_rows_params p = {.format = CPV_ROWS_TSV,
                                .file = "1",
                                .captions = LIST("1"),
                                .header = CPV_ROWS_HEADER_NO};
    struct cpv_err err = {0};
    struct cpv_row row;
    uint64_t n = 0;
    cpv_arena *mem;
    cpv_rows *r;
    char path[500];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/captions/multi30k/train.en.gz",
                   data ? data : "");
    if (!data || access(path, R_OK))
        skip();
    p.path = path;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_rows_open(&r, &p, &err));
    while (cpv_rows_next(r, mem, &row, &err) == 1) {
        if (n == 0)
            assert_string_equal(row.captions.at[0],
                                "Two young, White males are outside near many bushes.");
        n += row.bad == NULL;
        cpv_arena_reset(mem);
    }
    assert_int_equal(n, 29000);
    cpv_rows_close(&r);
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tsv_with_a_header),
        cmocka_unit_test(compressed_crlf_and_bom_change_nothing),
        cmocka_unit_test(numbered_columns_work_with_and_without_a_header),
        cmocka_unit_test(presets_know_their_columns),
        cmocka_unit_test(a_missing_column_is_named),
        cmocka_unit_test(csv_follows_rfc_4180),
        cmocka_unit_test(csv_records_are_bounded),
        cmocka_unit_test(long_lines_and_nuls_cost_one_row_each),
        cmocka_unit_test(txt_is_a_url_a_line),
        cmocka_unit_test(texts_become_valid_and_tidy),
        cmocka_unit_test(hashes_are_checked_for_their_form),
        cmocka_unit_test(jsonl_takes_an_object_a_line),
        cmocka_unit_test(coco_joins_captions_that_are_anywhere),
        cmocka_unit_test(karpathy_splits_have_captions_inside),
        cmocka_unit_test(json_that_is_not_coco_is_an_error),
        cmocka_unit_test(a_folder_is_sorted_and_has_captions_beside),
        cmocka_unit_test(names_tell_formats),
        cmocka_unit_test(damage_is_an_error_behind_what_could_be_read),
        cmocka_unit_test(memory_is_constant),
        cmocka_unit_test(real_captions_are_read_in_full),
    };

    return cmocka_run_group_tests_name("rows", tests, enter_scratch, leave_scratch);
}
