#include "core/run/start_sessions.h"

#include <utility>

#include "core/model/failures.h"

namespace glassbox {
namespace {

std::string note_of(const Error& failure) {
  if (failure.kind == ErrorKind::device_memory) return "On the CPU, because the GPU's memory is full.";
  return "On the CPU, because the GPU has failed: " + failure.where + ".";
}

}  // namespace

Result<StartedSessions> start_sessions(const std::shared_ptr<const Model>& model, const SessionStart& start) {
  Result<OpenDevice> opened = start.open_device(start.device, start.cpu, *model);
  if (!opened) return opened.error();
  StartedSessions started{nullptr, std::move(opened->found), std::move(opened->note), opened->index};
  const auto place = [&](const std::shared_ptr<Ops>& ops) {
    return report_failures([&]() -> Result<void> {
      started.sessions = std::make_unique<SessionStore>(model, ops);
      return {};
    });
  };
  const OtherOps cpu = [open = start.open_device, options = start.cpu, model]() -> Result<std::shared_ptr<Ops>> {
    const Result<OpenDevice> other = open({DeviceChoice::Kind::cpu}, options, *model);
    if (!other) return other.error();
    return other->ops;
  };
  Result<void> placed = place(opened->ops);
  const bool insist = start.insist && start.device.kind == DeviceChoice::Kind::cuda;
  if (!placed && is_of_device(placed.error()) && !insist) {
    opened->ops.reset();
    const Result<std::shared_ptr<Ops>> ops = cpu();
    if (!ops) return ops.error();
    started.note = note_of(placed.error());
    started.index = -1;
    placed = place(*ops);
  }
  if (!placed) return placed.error();
  if (!started.sessions->ops().on_host()) {
    started.sessions->go_on_with(cpu, [left = start.left](const Error& failure) {
      if (left) left(note_of(failure));
    });
  }
  return started;
}

}  // namespace glassbox
