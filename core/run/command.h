// Commands: the only way in which the Document changes. They are data, so that the palette, the command line, lessons,
// tests and undo use the same ones. JSON: {"command": "set_text", …}; the names are those of the structs in snake_case.
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
struct SetText { std::string text; };            // a new root; a run with generated text is kept in the list
struct SetChat { bool chat; };
struct SetLiteral { bool literal; };
struct SetSeed { uint64_t seed; };
struct SetSampler { SamplerSettings settings; };
// transport (not undone by Ctrl+Z)
struct Append { int32_t token; double u = 0; float prob = 0; bool by_hand = false; };  // after the cursor; an equal child is reused
struct Branch { int node; int32_t token; float prob = 0; };  // another token in the place after `node`, by hand
struct MoveCursor { int node; };                 // any node of the current run
struct ResetRun {};                              // forgets what was generated, cursor to the prompt's end
struct RedrawFromHere {};                        // opens a new branch at the cursor: later draws use new numbers
struct ShowRun { int run; };                     // brings an older run to the front
// selection
struct SelectPosition { int position; };
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
// context is an error and leaves the run as it was.
Result<void> retokenise(Document& document, const CommandContext& context);

// Undo and redo of all that the user did to the document; transport and goals are not undone. Commands of one gesture
// (typing in one go, dragging a slider) are one entry: same kind within `kMergeSeconds`.
class History {
 public:
  // Call before and after an apply that succeeded.
  void record(const Document& before, const Document& after, const Command& command, double now_seconds);
  // The whole document was replaced (opened from a file); one entry of its own.
  void record_replacement(const Document& before, const Document& after);
  bool can_undo() const { return !past_.empty(); }
  bool can_redo() const { return !future_.empty(); }
  void undo(Document& document);
  void redo(Document& document);
  std::string undo_label() const;  // "Undo: set text"; empty when there is nothing

 private:
  struct Entry {
    Document before, after;
    std::string kind;
    double seconds;
  };
  std::vector<Entry> past_, future_;
};
bool is_undoable(const Command& command);

}  // namespace glassbox
