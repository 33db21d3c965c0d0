// Commands: the only way in which the Document changes. They are data, so that the palette, the command line, lessons,
// tests and undo use the same ones. JSON: {"command": "set_text", "text": …}: the name is the struct's in snake_case, and
// the keys are its fields. Fields with a default here may be left out.
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/run/document.h"

namespace glassbox {

class Tokenizer;
class ChatTemplate;
class Model;

namespace cmd {
// A new root; a run with generated text is kept in the list. Nothing happens when the prompt is the same as before. Refused
// (usage): invalid UTF-8 (with the byte offset), more tokens than the model's context (with both numbers).
struct SetText { std::string text; };
struct SetChat { bool chat; };
struct SetLiteral { bool literal; };
struct SetSeed { uint64_t seed; };                // also of the current run: its later draws use it
struct SetSampler { SamplerSettings settings; };
// transport (not undone by Ctrl+Z)
// After the cursor, which moves there; a child of the same token and branch is reused, and then counts as drawn anew.
struct Append { int32_t token; double u = 0; float prob = 0; bool by_hand = false; };
// Another token in the place after `node`, by hand; a child of that token is reused, a new one opens a branch, so that
// what is drawn after it uses new random numbers.
struct Branch { int node; int32_t token; float prob = 0; };
struct MoveCursor { int node; };                 // any node of the current run; the shown line changes only if it must
struct ResetRun {};                              // forgets what was generated, cursor to the prompt's end, branch 0
struct RedrawFromHere {};                        // the next Append at the cursor opens a branch: later draws use new numbers
struct ShowRun { int run; };                     // brings an older run to the front, with its text, chat, literal and seed
// selection
struct SelectPosition { int position; };          // −1: the last; beyond the last token: the last token
struct SelectHead { int layer, head; };
struct OpenCell { int query, key; };
struct CloseCell {};
struct SelectPiece { int piece; };
struct SetMergeStep { int step; };
struct SetVectorLayer { int layer; };
// edits
struct AddEdit { Edit edit; };
struct RemoveEdit { int index; };
struct EnableEdit { int index; bool enabled; };
struct ClearEdits {};
struct ToggleHead { int layer, head; };          // adds or removes zero:attn_z of that head
// window
struct SetStage { int stage; };
struct ShowPanel { std::string panel; bool open; };
struct SetDocking { std::string stage, layout; };
struct SetTheme { ThemeKind theme; };
struct SetScale { float scale; };
struct SetMotion { bool motion; };
struct SetMap { ProbabilityMap map; };
struct SetLogMap { bool log; };
struct SetShowIds { bool show; };
struct SetShowBytes { bool show; };
// lessons
struct OpenLesson { std::string lesson; };
struct Predict { std::string lesson, question, answer; };
struct ReachGoal { std::string lesson, goal; };  // by the goal checker only
struct ResetLesson { std::string lesson; };
}  // namespace cmd

using Command = std::variant<cmd::SetText, cmd::SetChat, cmd::SetLiteral, cmd::SetSeed, cmd::SetSampler, cmd::Append,
                             cmd::Branch, cmd::MoveCursor, cmd::ResetRun, cmd::RedrawFromHere, cmd::ShowRun,
                             cmd::SelectPosition, cmd::SelectHead, cmd::OpenCell, cmd::CloseCell, cmd::SelectPiece,
                             cmd::SetMergeStep, cmd::SetVectorLayer, cmd::AddEdit, cmd::RemoveEdit, cmd::EnableEdit,
                             cmd::ClearEdits, cmd::ToggleHead, cmd::SetStage, cmd::ShowPanel, cmd::SetDocking,
                             cmd::SetTheme, cmd::SetScale, cmd::SetMotion, cmd::SetMap, cmd::SetLogMap, cmd::SetShowIds,
                             cmd::SetShowBytes, cmd::OpenLesson, cmd::Predict, cmd::ReachGoal, cmd::ResetLesson>;

std::string_view command_name(const Command& command);
nlohmann::json to_json(const Command& command);
Result<Command> command_from_json(const nlohmann::json& json);

// What a command needs to know of the model in use. A null model leaves prompts untokenised (empty).
struct CommandContext {
  const Model* model = nullptr;
};

// Changes the document, or refuses with the reason and leaves it as it was.
Result<void> apply(Document& document, const Command& command, const CommandContext& context);

// Tokenises the current text again (after a model was changed). A prompt that cannot be tokenised or does not fit the
// context is an error and leaves the run as it was. Where the tokens stay the same nothing changes; else the run is
// replaced, or kept in the list if it has generated text. Call it after undo() too when the model may have changed.
Result<void> retokenise(Document& document, const CommandContext& context);

// Undo and redo of all that the user did to the document; transport and goals are not undone. Undo brings back what the
// command changed and nothing else: tokens generated since stay, in the list of runs when another text comes back.
// Commands of one gesture (typing in one go, dragging a slider) are one entry: the same kind, each at most kMergeSeconds
// after the one before. Entries hold no generated text; the oldest go when there are more than kMaxBytes of them.
class History {
 public:
  static constexpr double kMergeSeconds = 0.8;
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  // Call after an apply that succeeded, with the document from before it and `now_seconds` of any steady clock. Commands
  // that are not undoable, and those that changed nothing, are left out.
  void record(const Document& before, const Document& after, const Command& command, double now_seconds);
  // The whole document was replaced (opened from a file). Undo brings back the whole one from before.
  void record_replacement(const Document& before, const Document& after);
  bool can_undo() const { return !past_.empty(); }
  bool can_redo() const { return !future_.empty(); }
  // Nothing happens when there is nothing to undo or redo.
  void undo(Document& document);
  void redo(Document& document);
  std::string undo_label() const;  // "Undo: set text"; empty when there is nothing
  std::string redo_label() const;  // "Redo: set text"

 private:
  struct Entry {
    Document before, after;  // of the runs only the current one's prompt, unless the whole document was replaced
    std::string kind;        // what may merge: the command's name and the settings it changed
    std::string label;       // "set text"
    double seconds;
    bool whole = false;
  };
  void push(Entry entry);
  std::vector<Entry> past_, future_;
  size_t past_bytes_ = 0;
  bool may_merge_ = false;  // false after undo, redo and what must stay an entry of its own
};
// False for transport (Append … ShowRun) and ReachGoal.
bool is_undoable(const Command& command);

}  // namespace glassbox
