// A block at work: its threads as fibers that take turns as the schedule says, and the places where they meet.
//
// A place where threads meet and that one of them cannot leave any more is a fault, found at the latest when no thread
// can go on; nothing here ever waits.
#include <signal.h>

#include <algorithm>
#include <array>
#include <bit>
#include <csignal>
#include <cstring>
#include <numeric>
#include <random>

#include "tests/gpu/emulator/emulated_device.h"
#include "tests/gpu/emulator/machine.h"

namespace glassbox::emulator {
namespace {

bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

const char* call_name(WarpCall call) {
  return call == WarpCall::sync ? "__syncwarp" : call == WarpCall::shuffle ? "a shuffle" : "a vote";
}

// The call in which a thread waits.
std::string describe_call(const Thread& thread) {
  char mask[16];
  std::snprintf(mask, sizeof mask, "%08x", thread.mask);
  return std::string(call_name(thread.call)) + " at " + describe(thread.where) + " with mask " + mask;
}

struct Warp {
  unsigned waiting = 0;  // lanes in a call
  unsigned gone = 0;     // lanes that have ended or never were
  // What __syncwarp orders: met[a][b] is the time up to which what lane b did comes before what lane a does now.
  uint32_t now = 0;
  std::array<std::array<uint32_t, kWarp>, kWarp> met{};
};

class Block {
 public:
  void run(const Launch& launch);
  void meet(bool predicate, const std::source_location& where);
  void meet_warp(WarpCall call, unsigned mask, const std::source_location& where);
  void begin_thread() { fiber_entered(host_); }
  [[noreturn]] void end_thread();
  [[noreturn]] void leave();

  unsigned size = 0;
  std::array<Thread, kMostThreads> threads;
  bool ordered(unsigned own, unsigned lane, uint32_t time) const {
    return warps_[own / kWarp].met[own % kWarp][lane] > time;
  }
  uint32_t time_of_warp(unsigned own) const { return warps_[own / kWarp].now; }

 private:
  [[noreturn]] void stop_at_mask(const Thread& own, unsigned gone);
  void finish_warp_call(WarpCall call, unsigned mask, unsigned first);
  void draw_order(uint32_t seed);
  int next_rank() const;
  void make_ready(Thread& thread);
  void wait(Thread::State state);
  void report_stuck();

  Context host_;
  std::array<Warp, kMostThreads / kWarp> warps_;
  unsigned waiting_ = 0, first_waiting_ = 0;  // at the barrier
  unsigned ended_ = 0;
  int last_rank_ = -1;
  std::array<unsigned, kMostThreads> order_{}, rank_{};  // thread of a rank, rank of a thread
  std::array<uint64_t, kMostThreads / 64> ready_{};      // by rank
};

Block& block() {
  static Block state;
  return state;
}

void enter_thread();

void Block::draw_order(uint32_t seed) {
  std::iota(order_.begin(), order_.begin() + size, 0u);
  const auto end = order_.begin() + size;
  if (schedule().order == Order::backwards) std::reverse(order_.begin(), end);
  if (schedule().order == Order::priorities) {
    std::mt19937 random(seed);
    std::shuffle(order_.begin(), end, random);
    if (random() % 2 != 0) {  // warp by warp, the threads of each in the order that was drawn
      std::array<unsigned, kMostThreads / kWarp> warps{};
      std::iota(warps.begin(), warps.end(), 0u);
      std::shuffle(warps.begin(), warps.end(), random);
      std::stable_sort(order_.begin(), end,
                       [&](unsigned a, unsigned b) { return warps[a / kWarp] < warps[b / kWarp]; });
    }
  }
  for (unsigned rank = 0; rank < size; ++rank) rank_[order_[rank]] = rank;
}

// The rank that goes on: the next one in turn, or the highest one; -1 if none can.
int Block::next_rank() const {
  const auto first_from = [&](unsigned from) {
    for (unsigned word = from / 64; word < ready_.size(); ++word) {
      const uint64_t bits = word == from / 64 ? ready_[word] & (~uint64_t{0} << (from % 64)) : ready_[word];
      if (bits != 0) return static_cast<int>(word * 64) + std::countr_zero(bits);
    }
    return -1;
  };
  if (schedule().order == Order::priorities || last_rank_ + 1 >= static_cast<int>(size)) return first_from(0);
  const int later = first_from(static_cast<unsigned>(last_rank_ + 1));
  return later >= 0 ? later : first_from(0);
}

void Block::make_ready(Thread& thread) {
  thread.state = Thread::State::ready;
  const unsigned rank = rank_[thread.number];
  ready_[rank / 64] |= uint64_t{1} << (rank % 64);
}

void Block::run(const Launch& launch) {
  Running& now = running();
  size = launch.block.x * launch.block.y * launch.block.z;
  waiting_ = ended_ = 0;
  last_rank_ = -1;
  now.block_segment = ++now.segment;
  draw_order(schedule().seed + now.segment);
  ready_ = {};
  for (unsigned first = 0; first < size; first += kWarp) {
    warps_[first / kWarp].waiting = 0;
    warps_[first / kWarp].gone = size - first < kWarp ? ~0u << (size - first) : 0;
  }
  for (unsigned i = 0; i < size; ++i) {
    Thread& thread = threads[i];
    thread.number = i;
    thread.waited = !launch.early;
    thread.index = {i % launch.block.x, i / launch.block.x % launch.block.y, i / launch.block.x / launch.block.y};
    prepare_fiber(thread.context, i, enter_thread);
    make_ready(thread);
  }
  for (int rank = next_rank(); rank >= 0; rank = next_rank()) {
    last_rank_ = rank;
    Thread& thread = threads[order_[static_cast<unsigned>(rank)]];
    now.thread = &thread;
    threadIdx = thread.index;
    switch_fiber(host_, thread.context);
    if (now.failed) break;
  }
  if (!now.failed && ended_ < size) report_stuck();
  if (now.failed) {
    for (unsigned i = 0; i < size; ++i) forget_stack(i);
  }
  now.thread = nullptr;
}

void Block::wait(Thread::State state) {
  Thread& thread = *running().thread;
  thread.state = state;
  const unsigned rank = rank_[thread.number];
  ready_[rank / 64] &= ~(uint64_t{1} << (rank % 64));
}

void Block::end_thread() {
  const unsigned number = running().thread->number;
  wait(Thread::State::ended);
  warps_[number / kWarp].gone |= 1u << (number % kWarp);
  ++ended_;
  leave();
}

void Block::leave() {
  for (;;) switch_fiber(running().thread->context, host_);
}

void Block::meet(bool predicate, const std::source_location& where) {
  Thread& thread = *running().thread;
  thread.where = where;
  thread.result = predicate ? 1 : 0;
  if (waiting_ == 0) first_waiting_ = thread.number;
  const std::source_location& other = threads[first_waiting_].where;
  if (!same_place(other, where)) {
    stop_launch(FaultKind::barrier, "it reaches the barrier at " + describe(where) + " while " +
                                        describe_thread(first_waiting_) + " waits at another, at " + describe(other));
  }
  wait(Thread::State::at_barrier);
  if (++waiting_ == size) {
    waiting_ = 0;
    unsigned votes = 0;
    for (unsigned i = 0; i < size; ++i) votes += threads[i].result;
    for (unsigned i = 0; i < size; ++i) threads[i].result = votes;
    ++running().segment;
    for (unsigned i = 0; i < size; ++i) make_ready(threads[i]);
  }
  switch_fiber(thread.context, host_);
}

void Block::meet_warp(WarpCall call, unsigned mask, const std::source_location& where) {
  Thread& own = *running().thread;
  const unsigned first = own.number / kWarp * kWarp, own_bit = 1u << (own.number % kWarp);
  Warp& warp = warps_[first / kWarp];
  own.where = where;
  own.call = call;
  own.mask = mask;
  if ((mask & own_bit) == 0 || (mask & warp.gone) != 0) stop_at_mask(own, mask & warp.gone);
  // All that wait were compared with the first of them when they came; the last one looks at all once more, because
  // they may have come with other masks.
  const unsigned waiting = mask & warp.waiting;
  const bool complete = (waiting | own_bit) == mask;
  for (unsigned lanes = waiting; lanes != 0; lanes &= complete ? lanes - 1 : 0) {
    const Thread& other = threads[first + static_cast<unsigned>(std::countr_zero(lanes))];
    if (other.mask != mask && (other.mask & own_bit) == 0 && !complete) continue;  // it waits for others first
    if (other.mask != mask || other.call != call || (call != WarpCall::sync && !same_place(other.where, where))) {
      stop_launch(FaultKind::warp, describe_call(own) + " names the lane of " + describe_thread(other.number) +
                                       ", which waits in " + describe_call(other));
    }
  }
  wait(Thread::State::in_warp);
  warp.waiting |= own_bit;
  if (complete) finish_warp_call(call, mask, first);
  switch_fiber(own.context, host_);
}

void Block::stop_at_mask(const Thread& own, unsigned gone) {
  std::string text = describe_call(own);
  if (gone == 0) {
    text += " does not name the thread itself";
  } else {
    const auto lane = static_cast<unsigned>(std::countr_zero(gone));
    text += " names lane " + std::to_string(lane) + ", which " +
            (own.number / kWarp * kWarp + lane < size ? "has ended" : "the block does not have");
  }
  stop_launch(FaultKind::warp, text);
}

// All lanes of the mask are there: each gets what it came for.
void Block::finish_warp_call(WarpCall call, unsigned mask, unsigned first) {
  unsigned ballot = 0;
  Warp& warp = warps_[first / kWarp];
  std::array<uint32_t, kWarp> met{};
  if (call == WarpCall::sync) ++warp.now;
  for (unsigned lanes = mask; lanes != 0; lanes &= lanes - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(lanes));
    Thread& thread = threads[first + lane];
    ballot |= thread.result << lane;
    if (call == WarpCall::shuffle) {
      std::memcpy(thread.received, threads[first + thread.source_lane].value, thread.value_bytes);
    }
    for (unsigned other = 0; other < kWarp && call == WarpCall::sync; ++other) {
      met[other] = (mask >> other & 1) != 0 ? warp.now : std::max(met[other], warp.met[lane][other]);
    }
  }
  for (unsigned lanes = mask; lanes != 0; lanes &= lanes - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(lanes));
    if (call == WarpCall::sync) warp.met[lane] = met;
    threads[first + lane].result = ballot;
    make_ready(threads[first + lane]);
  }
  warp.waiting &= ~mask;
}

// No thread can go on, and some have not ended.
void Block::report_stuck() {
  const Thread *at_barrier = nullptr, *in_warp = nullptr, *ended = nullptr;
  for (unsigned i = 0; i < size; ++i) {
    const Thread& thread = threads[i];
    const Thread*& first = thread.state == Thread::State::at_barrier ? at_barrier
                           : thread.state == Thread::State::in_warp  ? in_warp
                                                                     : ended;
    if (first == nullptr) first = &thread;
  }
  running().thread = &threads[in_warp != nullptr ? in_warp->number : at_barrier->number];
  std::string text;
  if (in_warp != nullptr) {
    text = "it waits for ever in " + describe_call(*in_warp);
  } else {
    text = "it waits for ever at the barrier at " + describe(at_barrier->where);
  }
  if (in_warp != nullptr && at_barrier != nullptr) {
    text += "; " + describe_thread(at_barrier->number) + " waits at the barrier at " + describe(at_barrier->where);
  }
  if (ended != nullptr) {
    text += "; " + std::to_string(ended_) + " threads have ended, " + describe_thread(ended->number) + " first";
  }
  note_fault(in_warp != nullptr ? FaultKind::warp : FaultKind::barrier, text);
}

void enter_thread() {
  block().begin_thread();
  const Launch& launch = *running().launch;
  launch.invoke(launch.call->data());
  if (!running().thread->waited) {
    stop_launch(FaultKind::early, "it ends and has not waited for the launches before");
  }
  block().end_thread();
}

// An access that the processor itself refuses: a null pointer, an overflow of the stack, a misaligned vector.
void handle_crash(int signal, siginfo_t* information, void*) {
  if (running().thread == nullptr) {  // the host's own
    std::signal(signal, SIG_DFL);
    return;
  }
  char place[32];
  std::snprintf(place, sizeof place, "%p", information->si_addr);
  note_fault(FaultKind::bounds, "the processor refuses an access at " + std::string(place));
  block().leave();
}

// While it lives, a crash of a kernel is a fault of its launch.
class CrashesCaught {
 public:
  CrashesCaught() {
    static std::vector<std::byte> stack(64 << 10);  // the fiber's own may be full
    stack_t own{};
    own.ss_sp = stack.data();
    own.ss_size = stack.size();
    sigaltstack(&own, &old_stack_);
    struct sigaction action {};
    action.sa_sigaction = handle_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &old_[0]);
    sigaction(SIGBUS, &action, &old_[1]);
  }
  ~CrashesCaught() {
    sigaction(SIGSEGV, &old_[0], nullptr);
    sigaction(SIGBUS, &old_[1], nullptr);
    sigaltstack(&old_stack_, nullptr);
  }
  CrashesCaught(const CrashesCaught&) = delete;
  CrashesCaught& operator=(const CrashesCaught&) = delete;

 private:
  stack_t old_stack_{};
  struct sigaction old_[2]{};
};

}  // namespace

void run_launch(const Launch& launch) {
  const CrashesCaught caught;
  Running& now = running();
  now.launch = &launch;
  now.launch_segment = ++now.segment;
  gridDim = launch.grid;
  blockDim = launch.block;
  std::vector<uint64_t> blocks(uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z);
  std::iota(blocks.begin(), blocks.end(), uint64_t{0});
  if (schedule().order == Order::backwards) std::reverse(blocks.begin(), blocks.end());
  if (schedule().order == Order::priorities) {
    std::mt19937 random(schedule().seed + now.segment);
    std::shuffle(blocks.begin(), blocks.end(), random);
  }
  for (const uint64_t i : blocks) {
    now.block = {static_cast<unsigned>(i % launch.grid.x), static_cast<unsigned>(i / launch.grid.x % launch.grid.y),
                 static_cast<unsigned>(i / launch.grid.x / launch.grid.y)};
    blockIdx = now.block;
    shared_memory().begin_block(launch.shared_bytes);
    block().run(launch);
    shared_memory().end_block();
    if (now.failed) break;
  }
  now.failed = false;
  now.launch = nullptr;
}

void stop_launch(FaultKind kind, const std::string& text, const void* address) {
  note_fault(kind, text, address);
  block().leave();
}

bool ordered_in_warp(unsigned lane, uint32_t time) {
  const unsigned own = running().thread->number;
  return block().ordered(own, lane, time);
}
uint32_t warp_time() {
  return block().time_of_warp(running().thread->number);
}

// What a kernel calls (emulated_device.h).

unsigned meet_block(bool predicate, const std::source_location& where) {
  block().meet(predicate, where);
  return running().thread->result;
}

unsigned meet_warp(WarpCall call, unsigned mask, bool predicate, const std::source_location& where) {
  running().thread->result = predicate ? 1 : 0;
  block().meet_warp(call, mask, where);
  return running().thread->result;
}

unsigned own_lane() {
  return running().thread->number % kWarp;
}

void exchange(unsigned mask, unsigned source, void* value, size_t bytes, const std::source_location& where) {
  Thread& own = *running().thread;
  if ((mask >> source & 1) == 0) {
    own.where = where;
    own.call = WarpCall::shuffle;
    own.mask = mask;
    stop_launch(FaultKind::warp,
                describe_call(own) + " reads from lane " + std::to_string(source) + ", which the mask does not name");
  }
  own.source_lane = source;
  own.value_bytes = bytes;
  own.result = 0;
  std::memcpy(own.value, value, bytes);
  block().meet_warp(WarpCall::shuffle, mask, where);
  std::memcpy(value, own.received, bytes);
}

void wait_for_launches() {
  running().thread->waited = true;
}

void* shared_variable(const void* key, size_t bytes, const char* name) {
  return shared_memory().variable(key, bytes, name);
}
void* dynamic_shared_memory() {
  return shared_memory().dynamic();
}

}  // namespace glassbox::emulator
