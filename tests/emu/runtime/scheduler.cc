/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grids and blocks. Blocks run one after the other in shuffled order, the threads of a
 * block as fibers; who runs next is drawn from those that can.
 *
 * What the race detector is told: a thread begins after what the host did, the host goes
 * on after all threads, a barrier orders what its threads did. Blocks are not ordered
 * among each other; a thread is put on another fiber in each block, so that thread 0 of
 * one block races with thread 0 of the next. (Barriers of a block do order what ran on
 * the same fiber in blocks before: some races between blocks stay hidden.)
 */
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "internal.h"
#include "sanitizer.h"

namespace emu
{

thread *current;
uint3 block_index;
dim3 block_dim, grid_dim;

static const unsigned MOST_THREADS = 1024, TOKENS = 4096;

static struct {
    const launch_shape *shape; /* NULL between grids */
    const char *last;          /* kernel that ran */
    const std::function<void()> *body;
    fiber *host;
    task *tasks;
    unsigned n, live;
    task *runnable[MOST_THREADS]; /* not a vector: the race detector knows malloc */
    unsigned ready;
    unsigned long serial;

    /* the barrier */
    unsigned arrived, generation;
    site where;
    vote how;
    int result, last_result;
} now;

/* Addresses that stand for an order between threads. */
static char starts, ends, fences, barriers[TOKENS][2];

task *self()
{
    return static_cast<task *>(current);
}

task *task_at(unsigned linear)
{
    return &now.tasks[linear];
}

unsigned block_size()
{
    return now.n;
}

unsigned long block_serial()
{
    return now.serial;
}

void wake(task *t)
{
    t->is = state::runnable;
    now.runnable[now.ready++] = t;
}

void describe_place(char *out, size_t size)
{
    const task *t = self();

    if (size)
        *out = '\0';
    if (now.shape && t)
        (void)snprintf(out, size, "\n    kernel '%s' block (%u,%u,%u) thread (%u,%u,%u)",
                       now.shape->name, block_index.x, block_index.y, block_index.z,
                       t->index.x, t->index.y, t->index.z);
    else if (now.shape)
        (void)snprintf(out, size, "\n    kernel '%s' block (%u,%u,%u)", now.shape->name,
                       block_index.x, block_index.y, block_index.z);
    else if (now.last)
        (void)snprintf(out, size, "\n    after kernel '%s'", now.last);
}

[[noreturn]] static void fail_stuck()
{
    std::map<std::string, unsigned> places;
    std::string text;
    char line[512];

    for (unsigned i = 0; i < now.n; i++) {
        const task *t = &now.tasks[i];
        if (t->is == state::exited) {
            places["have exited"]++;
            continue;
        }
        (void)snprintf(line, sizeof line, "wait in %s at %s:%d",
                       t->is == state::at_barrier ? "__syncthreads" : "a warp operation",
                       t->where.file, t->where.line);
        places[line]++;
    }
    for (const auto &p : places)
        text += "\n    " + std::to_string(p.second) + " threads " + p.first;
    fail(nullptr, "deadlock: the threads of a block wait for each other%s", text.c_str());
}

/* Give the processor to somebody; comes back when this thread is chosen again. */
static void next()
{
    fiber *from = self()->on;
    unsigned n = now.ready, i = 0;
    task *chosen;

    if (!n) {
        if (now.live)
            fail_stuck();
        current = nullptr;
        fiber_switch(from, now.host);
        return;
    }
    switch (config().how) {
    case order::shuffled:
        i = random_below(n);
        break;
    case order::lifo:
        i = n - 1;
        break;
    case order::fifo:
        break;
    }
    chosen = now.runnable[i];
    now.ready--;
    if (config().how == order::fifo)
        for (; i < now.ready; i++)
            now.runnable[i] = now.runnable[i + 1];
    else
        now.runnable[i] = now.runnable[now.ready];
    current = chosen;
    fiber_switch(from, chosen->on);
}

void maybe_yield()
{
    if (!self() || random_below(4))
        return;
    wake(self());
    if (config().how == order::lifo) /* or the same one would be next for ever */
        std::swap(now.runnable[0], now.runnable[now.ready - 1]);
    next();
}

void yield_to_others()
{
    next();
}

static void open_barrier()
{
    now.arrived = 0;
    now.generation++;
    now.last_result = now.result;
    for (unsigned i = 0; i < now.n; i++)
        if (now.tasks[i].is == state::at_barrier)
            wake(&now.tasks[i]);
}

int barrier(const site &at, int predicate, vote how)
{
    char *token = &barriers[now.serial % TOKENS][now.generation & 1];
    task *t = self();

    release(token);
    if (!now.arrived) {
        now.where = at;
        now.how = how;
        now.result = how == vote::all;
    } else if (!same_site(at, now.where) || how != now.how) {
        fail(&at, "divergent __syncthreads: other threads of the block wait at %s:%d",
             now.where.file, now.where.line);
    }
    if (how == vote::count)
        now.result += predicate != 0;
    else if (how == vote::all)
        now.result &= predicate != 0;
    else
        now.result |= predicate != 0;
    t->is = state::at_barrier;
    t->where = at;
    if (++now.arrived == now.live)
        open_barrier();
    next();
    acquire(token);
    return now.last_result;
}

void fence()
{
    acquire(&fences);
    release(&fences);
}

/* The life of a fiber: the thread that is put on it, in one block after the other. */
void run_thread()
{
    for (;;) {
        acquire(&starts);
        (*now.body)();
        release(&ends);

        task *t = self();
        copies_end_thread(t);
        t->is = state::exited;
        now.live--;
        warp_thread_exits(t);
        if (now.live && now.arrived == now.live)
            open_barrier();
        next();
    }
}

static void run_block(dim3 block)
{
    unsigned turn = random_below(now.n);

    now.serial++;
    now.live = now.n;
    now.arrived = 0;
    now.ready = 0;
    warps_reset(now.n);
    shared_begin_block(now.shape->bytes, now.shape->limit);
    for (unsigned i = 0; i < now.n; i++) {
        task *t = &now.tasks[i];
        t->index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
        t->linear = i;
        t->lane = i % 32;
        t->warp = i / 32;
        t->on = fiber_at((i + turn) % now.n);
        wake(t);
    }
    release(&starts);

    /* The host's stack waits here, as a task of its own, until all have exited. */
    task host = {};
    host.on = now.host;
    current = &host;
    next();
    shared_end_block();
}

void run_grid(const launch_shape &shape, const std::function<void()> &body)
{
    static task tasks[MOST_THREADS];
    uint64_t blocks = static_cast<uint64_t>(shape.grid.x) * shape.grid.y * shape.grid.z;
    std::vector<uint32_t> turn(blocks);

    now.shape = &shape;
    now.body = &body;
    now.host = fiber_of_host();
    now.tasks = tasks;
    now.n = shape.block.x * shape.block.y * shape.block.z;
    grid_dim = shape.grid;
    block_dim = shape.block;
    for (uint32_t i = 0; i < blocks; i++)
        turn[i] = i;
    if (config().how == order::shuffled)
        for (uint32_t i = static_cast<uint32_t>(blocks); i > 1; i--)
            std::swap(turn[i - 1], turn[random_below(i)]);
    for (uint32_t i : turn) {
        block_index.x = i % shape.grid.x;
        block_index.y = i / shape.grid.x % shape.grid.y;
        block_index.z = i / shape.grid.x / shape.grid.y;
        run_block(shape.block);
    }
    acquire(&ends);
    now.shape = nullptr;
    now.last = shape.name;
}

} /* namespace emu */
