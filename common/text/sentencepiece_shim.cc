/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only C++ of the host: SentencePiece's classes behind the functions of
 * sentencepiece_impl.h. Whatever the library throws ends here.
 */
#include "common/text/sentencepiece_impl.h"

#include <new>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

struct cpv_spm {
    sentencepiece::SentencePieceProcessor processor;
};

static absl::string_view view(struct cpv_bytes b)
{
    return absl::string_view(reinterpret_cast<const char *>(b.data), b.size);
}

/* One line of what the library says, control characters made blanks. */
static void explain(char why[CPV_SPM_WHY], const char *text)
{
    int n = 0;

    for (; text[n] && n < CPV_SPM_WHY - 1; n++)
        why[n] = static_cast<unsigned char>(text[n]) < ' ' ? ' ' : text[n];
    why[n] = '\0';
}

/* Runs f, which returns a status, and turns every way out into a code. */
template <typename F> static int guarded(char why[CPV_SPM_WHY], F f)
{
    try {
        const sentencepiece::util::Status status = f();

        if (status.ok())
            return CPV_SPM_OK;
        explain(why, status.error_message());
        return CPV_SPM_REFUSED;
    } catch (const std::bad_alloc &) {
        return CPV_SPM_MEMORY;
    } catch (const std::exception &e) {
        explain(why, e.what());
    } catch (...) {
        explain(why, "no reason given");
    }
    return CPV_SPM_REFUSED;
}

extern "C" {

int cpv_spm_load(struct cpv_spm **out, struct cpv_bytes model, char why[CPV_SPM_WHY])
{
    struct cpv_spm *m = nullptr;
    int rc = guarded(why, [&] {
        m = new cpv_spm;
        return m->processor.LoadFromSerializedProto(view(model));
    });

    if (rc)
        cpv_spm_free(m);
    *out = rc ? nullptr : m;
    return rc;
}

void cpv_spm_free(struct cpv_spm *m)
{
    delete m;
}

int cpv_spm_encode(const struct cpv_spm *m, struct cpv_bytes text,
                   cpv_sentencepiece_take *take, void *user, char why[CPV_SPM_WHY])
{
    return guarded(why, [&] {
        sentencepiece::ImmutableSentencePieceText spt;
        auto status = m->processor.Encode(view(text), spt.mutable_proto());

        for (size_t i = 0; status.ok() && i < spt.pieces_size(); i++) {
            const auto piece = spt.pieces(static_cast<int>(i));

            take(user, static_cast<int32_t>(piece.id()),
                 cpv_bytes_of(piece.piece().data(), piece.piece().size()));
        }
        return status;
    });
}

int cpv_spm_decode(const struct cpv_spm *m, const struct cpv_bytes *pieces, size_t n,
                   struct cpv_buf *out, char why[CPV_SPM_WHY])
{
    return guarded(why, [&] {
        std::vector<absl::string_view> views;
        std::string text;

        views.reserve(n);
        for (size_t i = 0; i < n; i++)
            views.push_back(view(pieces[i]));
        auto status = m->processor.Decode(views, &text);
        if (status.ok())
            cpv_buf_add(out, text.data(), text.size());
        return status;
    });
}

int32_t cpv_spm_count(const struct cpv_spm *m)
{
    return m->processor.GetPieceSize();
}

int32_t cpv_spm_unknown(const struct cpv_spm *m)
{
    return m->processor.unk_id();
}

int32_t cpv_spm_id(const struct cpv_spm *m, struct cpv_bytes piece)
{
    return m->processor.PieceToId(view(piece));
}

struct cpv_bytes cpv_spm_piece(const struct cpv_spm *m, int32_t id)
{
    const std::string &text = m->processor.IdToPiece(id);

    return cpv_bytes_of(text.data(), text.size());
}

int cpv_spm_is_byte(const struct cpv_spm *m, int32_t id)
{
    return m->processor.IsByte(id);
}
}
