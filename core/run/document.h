// The Document: all that the user made. It changes only by Commands (command.h). Saved as versioned JSON.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/result.h"
#include "core/probe/edits.h"
#include "core/run/sampler.h"

namespace glassbox {

inline constexpr uint64_t kMaxSeed = (uint64_t{1} << 53) - 1;  // what JSON keeps in every language
inline constexpr float kMinScale = 0.8f, kMaxScale = 2.5f;
inline constexpr int kStages = 8;

// One token of a run after the prompt. Node 0 of a run is the end of its prompt and has no token.
struct RunNode {
  int parent = -1;
  int32_t token = -1;
  uint32_t branch = 0;         // part of the draw's random number; children of a branch inherit it
  double u = 0;                // the number that chose it
  float prob = 0;              // its probability after the chain when it was drawn
  uint64_t sampler_hash = 0;   // the settings that it was drawn under
  uint64_t edits_hash = 0;     // the edits that it was drawn under
  bool by_hand = false;        // the user chose it; no draw
  bool operator==(const RunNode&) const = default;
};

// A prompt and the tree of what was generated after it.
struct Run {
  uint32_t id = 0;        // unique in its document, so that undo finds the run again
  std::string text;       // what was typed
  bool chat = false;      // wrapped in the model's template
  bool literal = false;   // special tokens in the text are taken as text
  uint64_t seed = 42;
  std::vector<int32_t> prompt;  // [T] token ids, template included
  std::vector<RunNode> nodes = {RunNode{}};  // [0] is the prompt's end
  int cursor = 0;               // the node that is shown
  int leaf = 0;                 // the end of the line that the timeline shows; cursor lies on the path to it
  uint32_t branches = 0;        // how many branches have been opened
  bool redraw = false;          // the next draw at the cursor opens a new branch (RedrawFromHere); cleared by moving
  bool operator==(const Run&) const = default;

  std::vector<int32_t> tokens(int node) const;  // prompt and generated tokens up to and with `node`
  std::vector<int> path(int node) const;        // nodes from 0 to `node`
  std::vector<int> children(int node) const;
  int depth(int node) const;                    // generated tokens up to `node`
  // The branch of the next draw at the cursor: the cursor's own, or branches + 1 after RedrawFromHere.
  uint32_t draw_branch() const;
  bool on_path(int node, int end) const;        // `node` is `end` or one of its ancestors
  int line_end(int node) const;                 // from `node` along the youngest children to a node that has none
  bool generated() const { return nodes.size() > 1; }
};

struct Cell {
  int query = 0, key = 0;
  bool operator==(const Cell&) const = default;
};

enum class NearBy : uint8_t { cosine, dot, euclid };
enum class ThemeKind : uint8_t { dark, light };
enum class ProbabilityMap : uint8_t { glassbox, viridis, cividis };

struct Selection {
  int position = -1;           // a token of the shown step; −1: the last one
  int layer = 24, head = 4;    // the chosen head
  std::optional<Cell> cell;    // the opened cell of its pattern
  int piece = -1;              // stage 1: the pre-tokeniser piece whose merges are shown; see chosen_piece
  int merge_step = -1;         // of that piece's merges; −1: the end
  int vector_layer = -1;       // stage 2: −1 embedding, l: resid_post of layer l
  bool operator==(const Selection&) const = default;
};

// What the user made of a lesson.
struct LessonProgress {
  std::set<std::string> goals;                    // ids of goals reached; a goal once reached stays
  std::map<std::string, std::string> predictions; // question id → chosen answer id
  bool operator==(const LessonProgress&) const = default;
};

struct Document {
  // the work
  std::string text;       // the prompt bar
  bool chat = false, literal = false;
  uint64_t seed = 42;     // ≤ kMaxSeed
  SamplerSettings sampler;
  std::vector<Edit> edits;
  Selection selection;
  std::vector<Run> runs;  // the last one is current, there is always one; the older ones have
                          // generated text, or were left for another by ShowRun
  uint32_t runs_made = 0; // the id of the newest run; never counted down
  // the window
  int stage = 3;          // 1 … 8
  std::map<std::string, bool> panels;        // panel id → open; absent: as its stage's layout has it
  std::map<std::string, std::string> docking;  // stage → saved dock layout ("" = the stage's own)
  ThemeKind theme = ThemeKind::dark;
  float scale = 1.0f;     // 0.8 … 2.5
  bool motion = true;
  ProbabilityMap map = ProbabilityMap::glassbox;
  bool log_map = false;   // pattern colours by logarithm
  bool show_ids = true, show_bytes = true;
  // lessons
  std::string lesson;     // id of the open lesson, may be empty
  std::map<std::string, LessonProgress> progress;  // by lesson id
  std::string model_path; // what it was made with; "" the default model

  bool operator==(const Document&) const = default;
  Run& run() { return runs.back(); }
  const Run& run() const { return runs.back(); }
  std::vector<int32_t> shown_tokens() const { return run().tokens(run().cursor); }
  // The selection is kept as it was made and clamped where it is read, so that it comes back when the text or the line
  // grows again.
  int shown_position() const;  // selection.position, clamped to the shown tokens; −1 when there are none
  std::optional<Cell> shown_cell() const;  // selection.cell, clamped to the shown tokens and to key ≤ query
};

inline constexpr int kDocumentVersion = 1;
Document make_document();  // the first-minute document: the default prompt, stage 3
nlohmann::json to_json(const Document& document);
// A key that is absent has its default ("version", and in a run "prompt", "nodes", and in a node "parent", "token" must be
// there). Errors (bad_file) name the JSON path, e.g. runs[0].nodes[3].parent: unknown keys, wrong types, values out of
// range, trees that are none; another version is refused with its number.
Result<Document> document_from_json(const nlohmann::json& json);
// Writes a temporary file, syncs and renames; on an error the old file is whole.
Result<void> save_document(const Document& document, const std::string& path);
// Errors (bad_file): cannot be read, is no JSON (with the byte offset), is no document (with the JSON path).
Result<Document> open_document(const std::string& path);

}  // namespace glassbox
