// Runs the threads of a CUDA block on one CPU thread, one after another, each switching away where it must wait.
//
// A thread runs straight through until it meets a barrier or a warp collective; only then does it need a stack of its
// own, and the next thread starts on a fresh one. A kernel without barriers is thus a plain loop of calls. Blocks with
// an odd index run their threads in reverse, so that a missing barrier cannot hide behind a lucky order.
//
// Reported as faults: threads of a block waiting at different barriers, or at one that others will never reach; what
// `fail` is called with elsewhere; wild pointers and divisions by zero, which end the launch and not the process.
// Shared memory holds garbage (0xCD) when a block begins.
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "contexts.h"

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

extern char __start_cuda_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_cuda_shared[] __attribute__((weak, visibility("hidden")));

namespace host {

constexpr int GARBAGE = 0xCD;
constexpr unsigned MAX_THREADS = 1024;

// ---- State of the running block ------------------------------------------------------------------------------------

enum class State : unsigned char { ready, at_barrier, at_collective, exited };
enum class Collective : unsigned char { sync, shuffle, ballot };

struct Thread {
    uint3 index;
    State state;
    Collective collective;
    int fiber;                   // whose stack it waits on
    int line;                    // of the source, where it waits
    unsigned mask;               // lanes that take part in the collective
    int source_lane;             // shuffle: whose value is wanted
    unsigned long long value;    // shuffle, ballot: given
    unsigned long long result;   // and received
};

static Thread threads[MAX_THREADS];
static unsigned num_threads;
static Thread* current;

static Context scheduler;
static Context fibers[MAX_THREADS];
static char* stacks;
static int free_fibers[MAX_THREADS], num_free, num_fibers, current_fiber;

static unsigned next_thread, end_of_warp;  // positions still to start
static bool reversed;
static void (*run_kernel)(void**);
static void** kernel_arguments;

static char message[1024];
static bool failed;

static char* dynamic_shared;
static size_t dynamic_bytes;

// Notes what went wrong, and where; the first fault of a launch counts.
template <class... T>
static void report(const char* format, T... values) {
    if (failed) return;
    failed = true;
    int used = snprintf(message, sizeof message, "block (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
    if (current)
        used += snprintf(message + used, sizeof message - used, ", thread (%u, %u, %u)", threadIdx.x, threadIdx.y,
                         threadIdx.z);
    used += snprintf(message + used, sizeof message - used, ": ");
    snprintf(message + used, sizeof message - used, format, values...);
}

// Ends the launch with an error. Inside a kernel it does not return.
template <class... T>
static void fail(const char* format, T... values) {
    report(format, values...);
    if (current) {
        current = nullptr;
        switch_context(&fibers[current_fiber], &scheduler);
    }
}

// ---- Fibers: stacks that run threads -------------------------------------------------------------------------------

static Thread& thread_at(unsigned position) {  // the order in which the threads of a block run
    return threads[reversed ? num_threads - 1 - position : position];
}

static void begin_thread(Thread& thread) {
    current = &thread;
    threadIdx = thread.index;
}

// Body of every fiber: run threads of this warp that have not begun; one that waits takes this stack with it.
static void fiber_body() {
    for (;;) {
        while (next_thread < end_of_warp) {
            begin_thread(thread_at(next_thread++));
            run_kernel(kernel_arguments);
            current->state = State::exited;
        }
        current = nullptr;
        free_fibers[num_free++] = current_fiber;
        switch_context(&fibers[current_fiber], &scheduler);
    }
}

static void resume(int fiber) {
    current_fiber = fiber;
    switch_context(&scheduler, &fibers[fiber]);
}

static int take_fiber() {
    if (num_free) return free_fibers[--num_free];
    prepare_context(&fibers[num_fibers], stacks + num_fibers * STACK_BYTES, fiber_body);
    return num_fibers++;
}

// Called by a thread: give way until the scheduler has made it ready again.
static void wait(State state, int line) {
    Thread* self = current;
    self->state = state;
    self->line = line;
    self->fiber = current_fiber;
    current = nullptr;
    switch_context(&fibers[current_fiber], &scheduler);
    begin_thread(*self);
}

// ---- Warp collectives ----------------------------------------------------------------------------------------------

static unsigned warp_begin(const Thread& thread) { return (&thread - threads) / warpSize * warpSize; }
static int lane_of(const Thread& thread) { return (&thread - threads) % warpSize; }

static unsigned long long collective(Collective kind, unsigned mask, unsigned long long value, int source_lane,
                                     int line) {
    Thread* self = current;
    if (!(mask >> lane_of(*self) & 1))
        fail("line %d: the mask %#x of a warp collective lacks its own lane", line, mask);
    self->collective = kind;
    self->mask = mask;
    self->value = value;
    self->source_lane = source_lane;
    wait(State::at_collective, line);
    return self->result;
}

// Completes the collectives of a warp whose lanes have all arrived. Exited lanes are not waited for.
static bool complete_collectives(unsigned begin, unsigned end) {
    bool any = false;
    for (unsigned i = begin; i < end; ++i) {
        const Thread& first = threads[i];
        if (first.state != State::at_collective) continue;
        bool complete = true;
        unsigned long long ballot = 0;
        for (unsigned j = begin; j < end; ++j) {
            const Thread& other = threads[j];
            if (!(first.mask >> (j - begin) & 1) || other.state == State::exited) continue;
            complete &= other.state == State::at_collective && other.collective == first.collective &&
                        other.mask == first.mask && other.line == first.line;
            ballot |= (unsigned long long)(other.value != 0) << (j - begin);
        }
        if (!complete) continue;
        any = true;
        const unsigned mask = first.mask;
        for (unsigned j = begin; j < end; ++j) {
            Thread& lane = threads[j];
            if (!(mask >> (j - begin) & 1) || lane.state == State::exited) continue;
            if (lane.collective == Collective::ballot) lane.result = ballot;
            if (lane.collective == Collective::shuffle) {
                const unsigned source = begin + lane.source_lane;
                const bool present =
                    source < end && (mask >> lane.source_lane & 1) && threads[source].state != State::exited;
                if (present) lane.result = threads[source].value;
                else memset(&lane.result, GARBAGE, sizeof lane.result);
            }
            lane.state = State::ready;
        }
    }
    return any;
}

// ---- Scheduling ----------------------------------------------------------------------------------------------------

// Runs a warp until each of its threads has exited or waits for another warp. Positions [begin, end) of the run order.
static void run_warp(unsigned begin, unsigned end, bool start) {
    if (start) {
        for (next_thread = begin, end_of_warp = end; next_thread < end && !failed;) resume(take_fiber());
    }
    const unsigned first = warp_begin(thread_at(begin));
    do {
        for (unsigned position = begin; position < end && !failed; ++position)
            if (thread_at(position).state == State::ready) resume(thread_at(position).fiber);
    } while (!failed && complete_collectives(first, first + (end - begin)));
}

// Calls run_warp for all warps, in the order of the block.
static void run_warps(bool start) {
    const unsigned partial = num_threads % warpSize;  // the last warp may be short; reversed, it comes first
    unsigned begin = 0;
    while (begin < num_threads && !failed) {
        unsigned length = reversed && begin == 0 && partial ? partial : warpSize;
        if (begin + length > num_threads) length = num_threads - begin;
        run_warp(begin, begin + length, start);
        begin += length;
    }
}

// What keeps a block from going on: some thread waits where another will not come.
static void report_divergence() {
    const Thread *waiting = nullptr, *other = nullptr;
    for (unsigned i = 0; i < num_threads; ++i)
        if (threads[i].state != State::exited) waiting = waiting ? waiting : &threads[i];
    for (unsigned i = 0; i < num_threads; ++i)
        if (threads[i].state != waiting->state || threads[i].line != waiting->line) other = other ? other : &threads[i];
    if (!other) other = waiting;  // same place, different masks
    const auto place = [](const Thread& thread) {
        return thread.state == State::at_barrier ? "waits at the barrier" : "waits at the warp collective";
    };
    char elsewhere[64] = "has exited";
    if (other->state != State::exited)
        snprintf(elsewhere, sizeof elsewhere, "%s of line %d", place(*other), other->line);
    fail("divergent threads: (%u, %u, %u) %s of line %d, (%u, %u, %u) %s", waiting->index.x, waiting->index.y,
         waiting->index.z, place(*waiting), waiting->line, other->index.x, other->index.y, other->index.z, elsewhere);
}

static void run_block() {
    if (__start_cuda_shared) memset(__start_cuda_shared, GARBAGE, __stop_cuda_shared - __start_cuda_shared);
    memset(dynamic_shared, GARBAGE, dynamic_bytes);
    run_warps(true);
    while (!failed) {
        unsigned exited = 0, at_barrier = 0;
        int line = -1;
        for (unsigned i = 0; i < num_threads; ++i) {
            const Thread& thread = threads[i];
            exited += thread.state == State::exited;
            if (thread.state == State::at_barrier && (line == -1 || line == thread.line)) {
                ++at_barrier;
                line = thread.line;
            }
        }
        if (exited == num_threads) return;
        if (at_barrier < num_threads) return report_divergence();
        for (unsigned i = 0; i < num_threads; ++i) threads[i].state = State::ready;
        run_warps(false);
    }
}

// ---- Signals: a fault in a kernel ends its launch --------------------------------------------------------------------

static sigjmp_buf before_the_grid;
static void on_signal(int number) { siglongjmp(before_the_grid, number); }

// While it lives, faults come back to `before_the_grid`. On a stack of its own, for the fault may be a lack of stack.
class SignalGuard {
    static constexpr int NUMBERS[3] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction old_actions[3];
    stack_t old_stack;

public:
    SignalGuard() {
        static char memory[64 * 1024];
        stack_t stack = {};
        stack.ss_sp = memory, stack.ss_size = sizeof memory;
        sigaltstack(&stack, &old_stack);
        struct sigaction action = {};
        action.sa_handler = on_signal, action.sa_flags = SA_ONSTACK;
        for (int i = 0; i < 3; ++i) sigaction(NUMBERS[i], &action, &old_actions[i]);
    }
    ~SignalGuard() {
        for (int i = 0; i < 3; ++i) sigaction(NUMBERS[i], &old_actions[i], nullptr);
        sigaltstack(&old_stack, nullptr);
    }
};

static void run_grid() {
    unsigned long long blocks = 0;
    for (blockIdx.z = 0; blockIdx.z < gridDim.z && !failed; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y && !failed; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x && !failed; ++blockIdx.x) {
                reversed = blocks++ % 2;
                run_block();
            }
}

// Runs a grid. Returns null, or what went wrong.
static const char* launch(void (*kernel)(void**), void** arguments, const unsigned* grid, const unsigned* block,
                          char* shared, size_t shared_bytes) {
    if (!stacks) {
        void* memory = mmap(nullptr, MAX_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return "no memory for the stacks of a block";
        stacks = static_cast<char*>(memory);
    }
    run_kernel = kernel, kernel_arguments = arguments;
    dynamic_shared = shared, dynamic_bytes = shared_bytes;
    gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
    num_threads = 0;
    for (unsigned z = 0; z < block[2]; ++z)
        for (unsigned y = 0; y < block[1]; ++y)
            for (unsigned x = 0; x < block[0]; ++x) threads[num_threads++].index = {x, y, z};
    num_free = num_fibers = 0;  // also forgets the fibers that a failed launch left
    failed = false, current = nullptr;
    SignalGuard guard;
    if (const int number = sigsetjmp(before_the_grid, 1)) report("%s", strsignal(number));
    else run_grid();
    return failed ? message : nullptr;
}

// ---- Kernels as seen from Python: arguments by address, and a signature to check them against ------------------------

template <class... T, size_t... I>
static void call(void (*kernel)(T...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<T>*>(arguments[I])...);
}

// One argument: "*" or "&" for a pointer to mutable or constant elements, then kind and bytes: "*f4", "&u1", "i8".
template <class T>
static char* describe(char* text) {
    if constexpr (std::is_pointer_v<T>) {
        using Element = std::remove_pointer_t<T>;
        *text++ = std::is_const_v<Element> ? '&' : '*';
        return describe<std::remove_cv_t<Element>>(text);
    } else {
        constexpr char integer = std::is_signed_v<T> ? 'i' : 'u';
        constexpr char kind = std::is_floating_point_v<T> ? 'f' : std::is_integral_v<T> ? integer : 'V';
        return text + sprintf(text, "%c%d,", kind, int(sizeof(T)));
    }
}

template <class... T>
static void signature(void (*)(T...), char* text) {
    ((text = describe<T>(text)), ...);
}

template <class... T>
static void unpack(void (*kernel)(T...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<T...>{});
}

}  // namespace host

#define HOST_KERNEL(name)                                                                                        \
    extern "C" void name##__signature(char* text) { host::signature(name, text); }                               \
    extern "C" const char* name##__launch(void** arguments, const unsigned* grid, const unsigned* block,         \
                                          char* shared, size_t shared_bytes) {                                   \
        return host::launch([](void** values) { host::unpack(name, values); }, arguments, grid, block, shared,   \
                            shared_bytes);                                                                       \
    }
