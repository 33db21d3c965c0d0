#include "core/model/drawn_steps.h"

#include <cstring>
#include <vector>

#include "core/model/failures.h"

namespace glassbox {

DrawnSteps::DrawnSteps(const PlacedModel& model, Ops& ops, Precision precision, Workspace& workspace)
    : model_(model), ops_(ops), precision_(precision), workspace_(workspace), generation_(fresh_number()) {
  const auto vocab = static_cast<size_t>(model.config().vocab), context = static_cast<size_t>(model.config().context);
  size_t bytes = 0;
  const auto place = [&bytes](size_t wanted) {
    const size_t at = bytes;
    bytes += (wanted + 15) / 16 * 16;
    return at;
  };
  // The tokens first, so that begin() sends them in one copy; one more than the context, for what the last step draws.
  const size_t next = place(sizeof(int32_t)), history = place((context + 1) * sizeof(int32_t)),
               results = place(kMost * sizeof(Drawn)), counts = place(vocab * sizeof(int32_t)),
               penalised = place(vocab * sizeof(float));
  memory_ = ops.allocate(bytes);
  host_results_ = ops.allocate_staging(kMost * sizeof(Drawn));
  std::byte* const first = memory_.data();
  row_.next = reinterpret_cast<int32_t*>(first + next);
  row_.history = reinterpret_cast<int32_t*>(first + history);
  row_.counts = reinterpret_cast<int32_t*>(first + counts);
  row_.penalised = reinterpret_cast<float*>(first + penalised);
  results_ = reinterpret_cast<Drawn*>(first + results);
  const std::vector<int32_t> zeros(vocab, 0);
  ops.upload(zeros.data(), vocab * sizeof(int32_t), row_.counts);
  ops.wait();
}

DrawnSteps::~DrawnSteps() {
  (void)begin({});
}

Result<void> DrawnSteps::begin(std::span<const int32_t> tokens) {
  return report_failures([&]() -> Result<void> {
    sent_ = received_ = 0;
    ops_.wait();
    length_ = static_cast<int>(tokens.size());
    if (tokens.empty()) return {};
    ops_.upload(tokens.data(), tokens.size_bytes(), row_.history);
    ops_.upload(&tokens.back(), sizeof(int32_t), row_.next);
    ops_.wait();
    return {};
  });
}

Result<void> DrawnSteps::send(KvSequence& sequence, const DrawSettings& settings, double u) {
  const auto slot = static_cast<int>(sent_ % kMost);
  row_.settings = settings;
  row_.u = u;
  row_.length = length_;
  row_.result = results_ + slot;
  const DrawCall draw{row_.next, row_, generation_};
  const ForwardRow rows[] = {{-1, 0, length_ - 1, true}};
  KvSequence* const sequences[] = {&sequence};
  return report_failures([&]() -> Result<void> {
    send_forward(model_, ops_, precision_, workspace_, {rows, sequences, nullptr, {}, {}, &draw});
    ops_.download(row_.result, sizeof(Drawn), host_results_.data() + static_cast<size_t>(slot) * sizeof(Drawn));
    ops_.mark(slot);
    ++sent_;
    ++length_;
    return {};
  });
}

Result<Drawn> DrawnSteps::receive() {
  const auto slot = static_cast<int>(received_ % kMost);
  Drawn drawn{};
  const Result<void> there = report_failures([&]() -> Result<void> {
    ops_.wait_for(slot);
    std::memcpy(&drawn, host_results_.data() + static_cast<size_t>(slot) * sizeof drawn, sizeof drawn);
    ++received_;
    return {};
  });
  if (!there) return there.error();
  return drawn;
}

}  // namespace glassbox
