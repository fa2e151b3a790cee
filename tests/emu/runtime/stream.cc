/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: work waits in queues until somebody synchronises, so that what is read or
 * overwritten too early shows. Which stream goes on is drawn among those that can. The
 * stream NULL waits for all blocking streams and they for it, as on a device.
 */
#include <chrono>
#include <memory>

#include "internal.h"

namespace emu
{

struct queue;

/* `count` pieces of work of a queue are done. */
struct need {
    std::shared_ptr<queue> of;
    uint64_t count;
};

struct work {
    std::function<void()> run;
    std::vector<need> needs;
};

typedef std::vector<std::function<void()>> recording;

struct queue {
    std::deque<work> waiting;
    uint64_t queued, done;
    bool blocking;
    std::unique_ptr<recording> capture;
    std::vector<need> next; /* of cudaStreamWaitEvent, for what is queued next */
};

struct event {
    need recorded; /* of == NULL: never recorded, which counts as done */
    std::shared_ptr<std::chrono::steady_clock::time_point> time;
    bool timed;
};

typedef std::shared_ptr<queue> queue_ref;

static std::vector<queue_ref> &all()
{
    static auto *queues = new std::vector<queue_ref>{queue_ref(new queue())};
    return *queues;
}

static const queue_ref &find(cudaStream_t stream)
{
    for (const queue_ref &q : all())
        if (stream ? reinterpret_cast<queue *>(stream) == q.get() : q == all()[0])
            return q;
    fail(nullptr, "%p is not a stream", static_cast<void *>(stream));
}

static bool is_ready(const queue_ref &q)
{
    if (q->waiting.empty())
        return false;
    for (const need &n : q->waiting.front().needs)
        if (n.of->done < n.count)
            return false;
    return true;
}

static void append(const queue_ref &q, std::function<void()> op)
{
    work w = {std::move(op), std::move(q->next)};

    q->next.clear();
    if (q == all()[0]) {
        for (const queue_ref &other : all())
            if (other->blocking)
                w.needs.push_back({other, other->queued});
    } else if (q->blocking) {
        w.needs.push_back({all()[0], all()[0]->queued});
    }
    q->queued++;
    q->waiting.push_back(std::move(w));
}

void enqueue(cudaStream_t stream, std::function<void()> op)
{
    const queue_ref &q = find(stream);

    if (q->capture)
        q->capture->push_back(std::move(op));
    else
        append(q, std::move(op));
}

/* Do one piece of anybody's work; false: there is none. */
static bool step()
{
    std::vector<queue_ref> ready;
    bool waiting = false;

    for (const queue_ref &q : all()) {
        waiting = waiting || !q->waiting.empty();
        if (is_ready(q))
            ready.push_back(q);
    }
    if (ready.empty() && waiting)
        fail(nullptr, "streams wait for each other");
    if (ready.empty())
        return false;
    queue_ref q = ready[random_below(static_cast<unsigned>(ready.size()))];
    work w = std::move(q->waiting.front());
    q->waiting.pop_front();
    w.run();
    q->done++;
    check_guards();
    return true;
}

template <class Until> static void run(Until until)
{
    device_open o;

    if (self())
        fail(nullptr, "a kernel calls the CUDA runtime");
    while (!until() && step()) {
    }
}

void synchronise_all()
{
    run([] { return false; });
}

void synchronise(cudaStream_t stream)
{
    queue_ref q = find(stream);
    uint64_t count = q->queued;

    if (q->capture)
        fail(nullptr, "a stream is synchronised while it is captured");
    run([q, count] { return q->done >= count; });
}

/* The rules of cudaMemcpyKind; cudaMemcpyDefault goes by the addresses. */
static void check_copy(const void *to, const void *from, size_t n, cudaMemcpyKind kind)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ||
                     (kind == cudaMemcpyDefault && is_device(to));
    bool from_device = kind == cudaMemcpyDeviceToHost ||
                       kind == cudaMemcpyDeviceToDevice ||
                       (kind == cudaMemcpyDefault && is_device(from));

    if (to_device)
        need_device(to, n, "a copy's destination");
    else if (n && is_device(to))
        fail(nullptr, "a copy's destination is device memory, its kind says host");
    if (from_device)
        need_device(from, n, "a copy's source");
    else if (n && is_device(from))
        fail(nullptr, "a copy's source is device memory, its kind says host");
}

static void copy_async(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                       cudaStream_t stream)
{
    bool captured = find(stream)->capture != nullptr;

    check_copy(to, from, n, kind);
    if (!is_device(from) && !is_pinned(from) && !captured) {
        /* Pageable memory is read before the call returns, as CUDA documents. */
        auto bytes = std::make_shared<std::vector<char>>(n);
        if (n)
            memcpy(bytes->data(), from, n);
        enqueue(stream, [to, bytes] { memcpy(to, bytes->data(), bytes->size()); });
        return;
    }
    enqueue(stream, [to, from, n] { memmove(to, from, n); });
    if (!is_device(to) && !is_pinned(to) && !captured)
        synchronise(stream);
}

static cudaError_t make_stream(cudaStream_t *out, bool blocking)
{
    guard g(lock());
    queue_ref q(new queue());

    q->blocking = blocking;
    all().push_back(q);
    *out = reinterpret_cast<cudaStream_t>(q.get());
    return cudaSuccess;
}

static event *of(cudaEvent_t e)
{
    return reinterpret_cast<event *>(e);
}

static bool is_done(const event *e)
{
    return !e->recorded.of || e->recorded.of->done >= e->recorded.count;
}

} /* namespace emu */

using namespace emu;

extern "C" {

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    guard g(lock());

    copy_async(to, from, n, kind, stream);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n, cudaMemcpyKind kind)
{
    guard g(lock());

    copy_async(to, from, n, kind, nullptr);
    synchronise(nullptr);
    return cudaSuccess;
}

/* Row by row: what lies between them is not touched, and need not be there. */
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from,
                              size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream)
{
    guard g(lock());

    if (width > to_pitch || width > from_pitch)
        return keep_error(cudaErrorInvalidPitchValue);
    for (size_t row = 0; row < height; row++)
        copy_async(static_cast<char *>(to) + row * to_pitch,
                   static_cast<const char *>(from) + row * from_pitch, width, kind,
                   stream);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t stream)
{
    guard g(lock());

    need_device(p, n, "cudaMemset");
    enqueue(stream, [p, value, n] { memset(p, value, n); });
    return cudaSuccess;
}

cudaError_t cudaMemset(void *p, int value, size_t n)
{
    return cudaMemsetAsync(p, value, n, nullptr);
}

cudaError_t cudaDeviceSynchronize(void)
{
    guard g(lock());

    synchronise_all();
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *out)
{
    return make_stream(out, true);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return make_stream(out, flags != cudaStreamNonBlocking);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    guard g(lock());
    queue_ref q = find(stream);

    synchronise(stream);
    for (size_t i = 1; i < all().size(); i++)
        if (all()[i] == q) {
            all().erase(all().begin() + static_cast<long>(i));
            return cudaSuccess;
        }
    return keep_error(cudaErrorInvalidResourceHandle); /* the stream NULL */
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    guard g(lock());

    synchronise(stream);
    return cudaSuccess;
}

/* Looking makes a little progress, so that a loop around it ends. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    guard g(lock());
    queue_ref q = find(stream);

    if (q->waiting.empty())
        return cudaSuccess;
    device_open o;
    (void)step();
    return cudaErrorNotReady;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
    guard g(lock());

    enqueue(stream, [function, data] { function(data); });
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    *out = reinterpret_cast<cudaEvent_t>(
        new event{{}, {}, !(flags & cudaEventDisableTiming)});
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    guard g(lock());

    delete of(e);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream)
{
    guard g(lock());
    const queue_ref &q = find(stream);
    auto time = std::make_shared<std::chrono::steady_clock::time_point>();

    if (q->capture)
        return keep_error(cudaErrorStreamCaptureUnsupported);
    append(q, [time] { *time = std::chrono::steady_clock::now(); });
    of(e)->recorded = {q, q->queued};
    of(e)->time = time;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t e, unsigned)
{
    guard g(lock());
    const queue_ref &q = find(stream);

    if (q->capture)
        return keep_error(cudaErrorStreamCaptureUnsupported);
    if (of(e)->recorded.of)
        q->next.push_back(of(e)->recorded);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t e)
{
    guard g(lock());

    if (is_done(of(e)))
        return cudaSuccess;
    device_open o;
    (void)step();
    return cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    guard g(lock());
    const event *ev = of(e);

    run([ev] { return is_done(ev); });
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    guard g(lock());

    if (!of(from)->timed || !of(to)->timed || !of(from)->time || !of(to)->time)
        return keep_error(cudaErrorInvalidResourceHandle);
    if (!is_done(of(from)) || !is_done(of(to)))
        return keep_error(cudaErrorNotReady);
    *ms =
        std::chrono::duration<float, std::milli>(*of(to)->time - *of(from)->time).count();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    guard g(lock());
    const queue_ref &q = find(stream);

    if (!stream || q->capture)
        return keep_error(cudaErrorStreamCaptureUnsupported);
    q->capture.reset(new recording);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    guard g(lock());
    const queue_ref &q = find(stream);

    if (!q->capture)
        return keep_error(cudaErrorIllegalState);
    *out = reinterpret_cast<cudaGraph_t>(q->capture.release());
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                 unsigned long long)
{
    *out = reinterpret_cast<cudaGraphExec_t>(
        new recording(*reinterpret_cast<recording *>(graph)));
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    guard g(lock());

    for (const auto &op : *reinterpret_cast<recording *>(graph))
        enqueue(stream, op);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete reinterpret_cast<recording *>(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    delete reinterpret_cast<recording *>(graph);
    return cudaSuccess;
}

} /* extern "C" */
