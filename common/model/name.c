/* SPDX-License-Identifier: Apache-2.0 */
/* See name.h. */
#include "common/model/name.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 512, PATH_PARTS = 8 };

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '.';
}

/* What is wrong with n bytes as half of an id; NULL: nothing. */
static const char *fault_of_half(const char *s, size_t n)
{
    if (n == 0)
        return "an empty name";
    if (s[0] == '-' || s[0] == '.' || s[n - 1] == '-' || s[n - 1] == '.')
        return "a name that begins or ends with '-' or '.'";
    for (size_t i = 0; i < n; i++) {
        if (!is_word(s[i]))
            return "a character other than letters, digits and '-_.'";
        if (i > 0 && s[i] == s[i - 1] && (s[i] == '-' || s[i] == '.'))
            return "'--' or '..'";
    }
    return NULL;
}

static const char *fault_of_id(const char *s, size_t n)
{
    const char *slash = memchr(s, '/', n), *fault;
    size_t first = slash ? (size_t)(slash - s) : n;

    if (n >= CPV_MODEL_ID_MAX)
        return "more than 96 characters";
    fault = fault_of_half(s, first);
    if (fault || !slash)
        return fault;
    if (memchr(slash + 1, '/', n - first - 1))
        return "more than one '/'";
    return fault_of_half(slash + 1, n - first - 1);
}

static const char *fault_of_revision(const char *s)
{
    size_t n = strlen(s);

    if (n == 0)
        return "nothing behind the '@'";
    if (n >= CPV_MODEL_REVISION_MAX)
        return "a revision of more than 128 characters";
    if (!cpv_model_path_valid(s))
        return "a revision that is no path";
    for (size_t i = 0; i < n; i++) {
        if (!is_word(s[i]) && s[i] != '/')
            return "a revision with characters other than letters, digits and '-_./'";
        if (s[i] == '.' && (i == 0 || s[i - 1] == '/' || s[i - 1] == '.'))
            return "a revision with '..' or a part that begins with '.'";
    }
    return NULL;
}

bool cpv_model_id_valid(const char *id)
{
    return !fault_of_id(id, strlen(id));
}

bool cpv_model_commit_valid(const char *s)
{
    return strlen(s) == 40 && strspn(s, "0123456789abcdef") == 40;
}

int cpv_model_name_parse(struct cpv_model_name *out, const char *text,
                         struct cpv_err *err)
{
    const char *at = strchr(text, '@'), *fault;
    size_t n = at ? (size_t)(at - text) : strlen(text);

    fault = fault_of_id(text, n);
    if (!fault && at)
        fault = fault_of_revision(at + 1);
    if (fault)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s' is no model's name: expected org/name[@revision], found %s",
                        text, fault);
    memcpy(out->id, text, n);
    out->id[n] = '\0';
    (void)snprintf(out->revision, sizeof out->revision, "%s", at ? at + 1 : "main");
    return CPV_OK;
}

bool cpv_model_path_valid(const char *path)
{
    size_t n = strlen(path), parts = 0;

    if (n == 0 || n > PATH_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)path[i] < ' ' || path[i] == 0x7f || path[i] == '\\')
            return false;
    for (const char *p = path;; p++) {
        size_t part = strcspn(p, "/");

        if (part == 0 || (part == 1 && p[0] == '.') ||
            (part == 2 && p[0] == '.' && p[1] == '.') || ++parts > PATH_PARTS)
            return false;
        p += part;
        if (!*p)
            return true;
    }
}
