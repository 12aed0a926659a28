// A context: a stack and a place on it. By hand for x86-64 (some 3 ns a switch), elsewhere through ucontext.
#pragma once

#include <ucontext.h>

#include <cstddef>

namespace host {

constexpr size_t STACK_BYTES = 64 * 1024 + 64;  // the odd 64 keeps the stacks out of each other's cache sets

#if defined(__x86_64__) && !defined(HOST_UCONTEXT)
struct Context {
    void* stack_pointer;
};

// Saves the registers that a call must preserve, changes stacks, restores them.
__attribute__((naked, noipa)) static void switch_context(Context*, Context*) {
    asm("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, (%rdi)\n movq (%rsi), %rsp\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
}

static void prepare_context(Context* context, char* stack, void (*entry)()) {
    void** top = reinterpret_cast<void**>((reinterpret_cast<size_t>(stack) + STACK_BYTES) & ~size_t(15));
    top[-1] = nullptr;  // where `entry` would return to, which it never does
    top[-2] = reinterpret_cast<void*>(entry);
    context->stack_pointer = top - 8;  // six registers below
}
#else
using Context = ucontext_t;

static void switch_context(Context* from, Context* to) { swapcontext(from, to); }

static void prepare_context(Context* context, char* stack, void (*entry)()) {
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK_BYTES;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
}
#endif

}  // namespace host
