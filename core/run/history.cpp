// Undo and redo. An entry is the user's part of the document before and after a gesture. Undoing compares the two, and
// brings back only what differs, so that what happened since without the user's hand (generated text, goals) stays.
#include <algorithm>
#include <type_traits>

#include "core/run/command.h"

namespace glassbox {

namespace {

// The document without what was generated: of the runs, only the current one's prompt.
Document user_part(const Document& document) {
  Document part = document;
  Run prompt;
  const Run& run = document.run();
  prompt.id = run.id;
  prompt.text = run.text;
  prompt.chat = run.chat;
  prompt.literal = run.literal;
  prompt.seed = run.seed;
  prompt.prompt = run.prompt;
  part.runs.clear();
  part.runs.push_back(std::move(prompt));
  part.runs_made = 0;       // only counts up
  part.model_path.clear();  // follows the model in use, not the user's hand
  return part;
}

// A generous guess of an entry's memory, from what can be large.
size_t count_bytes(const Document& document) {
  size_t bytes = sizeof(Document) + document.text.size();
  for (const Run& run : document.runs) {
    bytes += sizeof(Run) + run.text.size() + run.prompt.size() * sizeof(int32_t) + run.nodes.size() * sizeof(RunNode);
  }
  for (const auto& [stage, layout] : document.docking) bytes += 100 + stage.size() + layout.size();
  for (const auto& [panel, open] : document.panels) bytes += 100 + panel.size();
  for (const auto& [lesson, progress] : document.progress) {
    bytes += 200 + 100 * (progress.goals.size() + progress.predictions.size());
  }
  for (const Edit& edit : document.edits) {
    bytes += sizeof(Edit) + 4 * (edit.vector.size() + edit.patch_tokens.size());
  }
  return bytes;
}

// Gestures: commands that come in streams. What is done by one click each is one entry each.
template <class C>
inline constexpr bool kStreams =
    std::is_same_v<C, cmd::SetText> || std::is_same_v<C, cmd::SetSeed> || std::is_same_v<C, cmd::SetSampler> ||
    std::is_same_v<C, cmd::SetScale> || std::is_same_v<C, cmd::SetDocking> || std::is_same_v<C, cmd::SelectPosition> ||
    std::is_same_v<C, cmd::SelectHead> || std::is_same_v<C, cmd::OpenCell> || std::is_same_v<C, cmd::SelectPiece> ||
    std::is_same_v<C, cmd::SetMergeStep> || std::is_same_v<C, cmd::SetVectorLayer>;

bool streams(const Command& command) {
  return std::visit([](const auto& c) { return kStreams<std::decay_t<decltype(c)>>; }, command);
}

// Two sliders of the sampler are two gestures: the kind names the settings that changed.
std::string kind_of(const Command& command, const Document& before, const Document& after) {
  std::string kind(command_name(command));
  if (!std::holds_alternative<cmd::SetSampler>(command)) return kind;
  const nlohmann::json old_settings = to_json(before.sampler), new_settings = to_json(after.sampler);
  for (const auto& item : new_settings.items()) {
    if (old_settings[item.key()] != item.value()) kind += ":" + item.key();
  }
  return kind;
}

std::string label_of(const Command& command) {
  std::string label(command_name(command));
  std::replace(label.begin(), label.end(), '_', ' ');
  return label;
}

template <class T>
void restore(T& now, const T& from, const T& to) {
  if (from != to) now = to;
}

// The run of `to` comes to the front: the one in the list, with all that was generated in it, or a new one. The run
// that was shown leaves the list if nothing was generated in it.
void restore_prompt(Document& now, const Document& to) {
  const Run& wanted = to.runs.back();
  now.text = to.text;
  now.chat = to.chat;
  now.literal = to.literal;
  if (now.run().id == wanted.id && now.run().prompt == wanted.prompt) return;
  if (!now.run().generated()) now.runs.pop_back();
  // A run's id, text and prompt never change once it is made.
  const auto at =
      std::find_if(now.runs.begin(), now.runs.end(), [&wanted](const Run& run) { return run.id == wanted.id; });
  if (at != now.runs.end()) {
    std::rotate(at, at + 1, now.runs.end());
  } else {
    now.runs.push_back(wanted);
  }
  now.run().seed = now.seed;
}

// Predictions are the user's. Goals are reached by measuring and stay, but for a lesson's reset, which takes and,
// undone, gives back those that there were then.
void restore_progress(Document& now, const Document& from, const Document& to) {
  if (from.progress == to.progress) return;
  const auto progress_in = [](const Document& document, const std::string& lesson) {
    const auto at = document.progress.find(lesson);
    return at == document.progress.end() ? LessonProgress{} : at->second;
  };
  std::set<std::string> lessons;
  for (const auto& [lesson, progress] : from.progress) lessons.insert(lesson);
  for (const auto& [lesson, progress] : to.progress) lessons.insert(lesson);
  for (const std::string& lesson : lessons) {
    const LessonProgress was = progress_in(from, lesson), will = progress_in(to, lesson);
    if (was == will) continue;
    LessonProgress& progress = now.progress[lesson];
    restore(progress.predictions, was.predictions, will.predictions);
    for (const std::string& goal : was.goals) {
      if (!will.goals.contains(goal)) progress.goals.erase(goal);
    }
    progress.goals.insert(will.goals.begin(), will.goals.end());
    if (progress == LessonProgress{}) now.progress.erase(lesson);
  }
}

// Changes in `now` what differs between `from` and `to`.
void travel(Document& now, const Document& from, const Document& to) {
  if (from.seed != to.seed) now.seed = now.run().seed = to.seed;
  if (from.runs.back().id != to.runs.back().id) restore_prompt(now, to);
  restore(now.sampler, from.sampler, to.sampler);
  restore(now.edits, from.edits, to.edits);
  restore(now.selection, from.selection, to.selection);
  restore(now.stage, from.stage, to.stage);
  restore(now.panels, from.panels, to.panels);
  restore(now.docking, from.docking, to.docking);
  restore(now.theme, from.theme, to.theme);
  restore(now.scale, from.scale, to.scale);
  restore(now.motion, from.motion, to.motion);
  restore(now.map, from.map, to.map);
  restore(now.log_map, from.log_map, to.log_map);
  restore(now.show_ids, from.show_ids, to.show_ids);
  restore(now.show_bytes, from.show_bytes, to.show_bytes);
  restore(now.lesson, from.lesson, to.lesson);
  restore_progress(now, from, to);
}

}  // namespace

bool is_undoable(const Command& command) {
  return std::visit(
      [](const auto& c) {
        using C = std::decay_t<decltype(c)>;
        return !(std::is_same_v<C, cmd::Append> || std::is_same_v<C, cmd::Branch> ||
                 std::is_same_v<C, cmd::MoveCursor> || std::is_same_v<C, cmd::ResetRun> ||
                 std::is_same_v<C, cmd::RedrawFromHere> || std::is_same_v<C, cmd::ShowRun> ||
                 std::is_same_v<C, cmd::ReachGoal>);
      },
      command);
}

void History::push(Entry entry) {
  future_.clear();
  past_bytes_ += count_bytes(entry.before) + count_bytes(entry.after);
  past_.push_back(std::move(entry));
  while (past_bytes_ > kMaxBytes && past_.size() > 1) {
    past_bytes_ -= count_bytes(past_.front().before) + count_bytes(past_.front().after);
    past_.erase(past_.begin());
  }
}

void History::record(const Document& before, const Document& after, const Command& command, double now_seconds) {
  if (!is_undoable(command)) return;
  Entry entry{user_part(before), user_part(after), kind_of(command, before, after), label_of(command), now_seconds};
  if (entry.before == entry.after) return;
  const bool follows = may_merge_ && !past_.empty() && past_.back().kind == entry.kind &&
                       now_seconds - past_.back().seconds <= kMergeSeconds;
  if (!follows) {
    push(std::move(entry));
    may_merge_ = streams(command);
    return;
  }
  Entry& last = past_.back();
  past_bytes_ -= count_bytes(last.after);
  past_bytes_ += count_bytes(entry.after);
  last.after = std::move(entry.after);
  last.seconds = now_seconds;
  future_.clear();
}

void History::record_replacement(const Document& before, const Document& after) {
  if (before == after) return;
  push(Entry{before, after, "replace", "open document", 0, true});
  may_merge_ = false;
}

void History::undo(Document& document) {
  if (past_.empty()) return;
  Entry entry = std::move(past_.back());
  past_.pop_back();
  past_bytes_ -= count_bytes(entry.before) + count_bytes(entry.after);
  may_merge_ = false;
  if (entry.whole) {
    entry.after = std::move(document);  // redo brings back what was generated since, too
    document = entry.before;
  } else {
    travel(document, entry.after, entry.before);
  }
  future_.push_back(std::move(entry));
}

void History::redo(Document& document) {
  if (future_.empty()) return;
  Entry entry = std::move(future_.back());
  future_.pop_back();
  may_merge_ = false;
  if (entry.whole) {
    entry.before = std::move(document);
    document = entry.after;
  } else {
    travel(document, entry.before, entry.after);
  }
  past_bytes_ += count_bytes(entry.before) + count_bytes(entry.after);
  past_.push_back(std::move(entry));
}

std::string History::undo_label() const {
  return past_.empty() ? "" : "Undo: " + past_.back().label;
}
std::string History::redo_label() const {
  return future_.empty() ? "" : "Redo: " + future_.back().label;
}

}  // namespace glassbox
