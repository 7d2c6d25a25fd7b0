// Fibers: threads of a block that wait for each other, as at a barrier, take turns.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch,@function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

namespace {
constexpr size_t stack_size_ = 128 * 1024;
struct Fiber {
  void* top = nullptr;
  char* stack = nullptr;
  int state = 0;  // 0 runs, 1 waits for its block, 2 for its warp, 3 has ended
};
std::vector<Fiber> fibers_;
void* scheduler_;
unsigned fiber_;
void (*body_)(unsigned);

void fiber_main() {
  body_(fiber_);
  fibers_[fiber_].state = 3;
  emulator_switch(&fibers_[fiber_].top, scheduler_);
  abort();
}
}  // namespace

extern "C" {
unsigned cuda_on_cpu_thread() { return fiber_; }
void cuda_on_cpu_wait(int what) {  // 1: for all threads of the block, 2: of the warp
  unsigned self = fiber_;
  fibers_[self].state = what;
  emulator_switch(&fibers_[self].top, scheduler_);
}
// Runs body(thread) for each thread of a block; 0, or an error if the threads wait for ever.
int cuda_on_cpu_block(unsigned threads, void (*body)(unsigned)) {
  if (fibers_.size() < threads) fibers_.resize(threads);
  body_ = body;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& fiber = fibers_[i];
    if (!fiber.stack)
      fiber.stack = static_cast<char*>(mmap(nullptr, stack_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    auto** top = reinterpret_cast<void**>(fiber.stack + stack_size_ - 64);
    *--top = nullptr;                                  // where fiber_main would return to
    *--top = reinterpret_cast<void*>(&fiber_main);
    for (int k = 0; k < 6; ++k) *--top = nullptr;
    fiber.top = top;
    fiber.state = 0;
  }
  for (;;) {
    bool has_run = false, is_over = true;
    for (unsigned i = 0; i < threads; ++i) {
      if (fibers_[i].state == 0) {
        fiber_ = i;
        has_run = true;
        emulator_switch(&scheduler_, fibers_[i].top);
      }
      is_over &= fibers_[i].state == 3;
    }
    if (is_over) return 0;
    bool is_released = false;
    for (unsigned warp = 0; warp < threads; warp += 32) {  // those that wait for their warp
      unsigned end = std::min(warp + 32, threads);
      bool all = true, any = false;
      for (unsigned i = warp; i < end; ++i) all &= fibers_[i].state >= 2, any |= fibers_[i].state == 2;
      if (all && any)
        for (unsigned i = warp; i < end; ++i)
          if (fibers_[i].state == 2) fibers_[i].state = 0, is_released = true;
    }
    if (is_released) continue;
    bool all = true;
    for (unsigned i = 0; i < threads; ++i) all &= fibers_[i].state == 1 || fibers_[i].state == 3;
    if (all) {
      for (unsigned i = 0; i < threads; ++i)
        if (fibers_[i].state == 1) fibers_[i].state = 0;
      continue;
    }
    if (!has_run) return 719;
  }
}
}
