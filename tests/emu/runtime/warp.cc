/* SPDX-License-Identifier: Apache-2.0 */
/* Meetings of lanes, and what comes of them. */
#include "internal.h"
#include "matrix.h"
#include "sanitizer.h"

namespace emu
{

static const unsigned WARPS = 32, LANES = 32, TOKENS = 256;

/* Lanes that wait for each other. A warp has as many as it has diverged into. */
struct meeting {
    unsigned mask, arrived; /* mask 0: not in use */
    warp_op op;
    site at;
    void *arguments[LANES];
    char *token;
};

static struct {
    meeting meetings[LANES];
    unsigned present, exited;
    char tokens[TOKENS]; /* one a meeting, used again long after */
    unsigned used;
} warps[WARPS];

static const char *name_of(warp_op op)
{
    static const char *const names[] = {
        "__syncwarp",        "a shuffle",         "a vote",
        "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync",
        "__reduce_and_sync", "__reduce_or_sync",  "__reduce_xor_sync",
        "__match_any_sync",  "wmma::mma_sync"};
    return names[static_cast<int>(op)];
}

void warps_reset(unsigned n)
{
    for (unsigned w = 0; w * LANES < n; w++) {
        unsigned rest = n - w * LANES;
        warps[w].exited = 0;
        warps[w].present = rest >= LANES ? ~0u : (1u << rest) - 1;
    }
}

void warp_thread_exits(task *t)
{
    unsigned bit = 1u << t->lane;

    warps[t->warp].exited |= bit;
    for (const meeting &m : warps[t->warp].meetings)
        if (m.mask & bit)
            fail(&m.at,
                 "a thread exits while its warp waits for it in %s: mask %08x, arrived "
                 "%08x",
                 name_of(m.op), m.mask, m.arrived);
}

static void shuffle_all(const meeting &m)
{
    for (unsigned l = 0; l < LANES; l++) {
        if (!(m.mask >> l & 1))
            continue;
        lane_value *mine = static_cast<lane_value *>(m.arguments[l]);
        unsigned from = static_cast<unsigned>(mine->source) & 31;
        if (!(m.mask >> from & 1))
            fail(&m.at, "a shuffle outside its mask: lane %u reads lane %u, mask %08x", l,
                 from, m.mask);
        mine->out = static_cast<const lane_value *>(m.arguments[from])->in;
    }
}

static uint64_t combine(warp_op op, uint64_t a, uint64_t b, bool is_signed)
{
    uint32_t x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b);
    bool less = is_signed ? static_cast<int32_t>(x) < static_cast<int32_t>(y) : x < y;

    switch (op) {
    case warp_op::reduce_add:
        return x + y;
    case warp_op::reduce_min:
        return less ? x : y;
    case warp_op::reduce_max:
        return less ? y : x;
    case warp_op::reduce_and:
        return x & y;
    case warp_op::reduce_or:
        return x | y;
    case warp_op::reduce_xor:
        return x ^ y;
    default:
        fail(nullptr, "a warp operation that the emulator does not know");
    }
}

static void reduce_all(const meeting &m)
{
    const lane_value *first = nullptr;
    uint64_t sum = 0;

    if (config().sm < 80)
        fail(&m.at, "%s needs sm_80, the emulated device is sm_%d", name_of(m.op),
             config().sm);
    for (unsigned l = 0; l < LANES; l++) {
        if (!(m.mask >> l & 1))
            continue;
        const lane_value *v = static_cast<const lane_value *>(m.arguments[l]);
        sum = first ? combine(m.op, sum, v->in, v->is_signed) : v->in;
        first = v;
    }
    for (unsigned l = 0; l < LANES; l++)
        if (m.mask >> l & 1)
            static_cast<lane_value *>(m.arguments[l])->out = sum;
}

/* A vote is the set of lanes whose value is not 0, a match of those that have mine. */
static void match_all(const meeting &m)
{
    for (unsigned l = 0; l < LANES; l++) {
        if (!(m.mask >> l & 1))
            continue;
        lane_value *mine = static_cast<lane_value *>(m.arguments[l]);
        mine->out = 0;
        for (unsigned k = 0; k < LANES; k++) {
            if (!(m.mask >> k & 1))
                continue;
            uint64_t in = static_cast<const lane_value *>(m.arguments[k])->in;
            if (m.op == warp_op::ballot ? in != 0 : in == mine->in)
                mine->out |= 1u << k;
        }
    }
}

static void conclude(const meeting &m)
{
    switch (m.op) {
    case warp_op::sync:
        break;
    case warp_op::shuffle:
        shuffle_all(m);
        break;
    case warp_op::ballot:
    case warp_op::match_any:
        match_all(m);
        break;
    case warp_op::multiply:
        multiply_tiles(m.arguments);
        break;
    default:
        reduce_all(m);
    }
}

static meeting *join(unsigned mask, warp_op op, const site &at)
{
    auto &w = warps[self()->warp];
    meeting *found = nullptr;

    for (meeting &m : w.meetings) {
        if (m.mask == mask) {
            if (m.op != op || !same_site(m.at, at))
                fail(&at,
                     "the lanes of mask %08x meet in %s, but others wait in %s at %s:%d",
                     mask, name_of(op), name_of(m.op), m.at.file, m.at.line);
            return &m;
        }
        if (!m.mask && !found)
            found = &m;
    }
    found->mask = mask;
    found->arrived = 0;
    found->op = op;
    found->at = at;
    found->token = &w.tokens[w.used++ % TOKENS];
    return found;
}

void meet(unsigned mask, warp_op op, void *argument, const site &at)
{
    task *t = self();
    unsigned bit = 1u << t->lane;
    bool orders = op == warp_op::sync;
    meeting *m;
    char *token;

    if (!(mask & bit))
        fail(&at, "%s outside its mask: the calling lane %u is not in %08x", name_of(op),
             t->lane, mask);
    mask &= warps[t->warp].present;
    if (mask & warps[t->warp].exited)
        fail(&at, "%s names lanes that have exited: mask %08x, exited %08x", name_of(op),
             mask, warps[t->warp].exited);
    m = join(mask, op, at);
    token = m->token;
    m->arguments[t->lane] = argument;
    m->arrived |= bit;
    if (orders)
        release(token);
    if (m->arrived == mask) {
        conclude(*m);
        m->mask = 0;
        for (unsigned l = 0; l < LANES; l++)
            if ((mask >> l & 1) && l != t->lane)
                wake(task_at(t->warp * LANES + l));
        wake(t);
        t->where = at;
    } else {
        t->is = state::in_warp;
        t->where = at;
    }
    yield_to_others();
    if (orders)
        acquire(token);
}

uint64_t exchange(unsigned mask, warp_op op, uint64_t in, int source, bool is_signed,
                  const site &at)
{
    lane_value v = {in, 0, source, is_signed};

    meet(mask, op, &v, at);
    return v.out;
}

} /* namespace emu */
