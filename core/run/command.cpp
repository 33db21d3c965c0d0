// What each command does to the document. Every one checks first and changes after, so that a refused command leaves
// the document as it was.
#include "core/run/command.h"

#include <algorithm>
#include <limits>

#include "core/model/model.h"
#include "core/run/prompt.h"
#include "core/text/unicode.h"

namespace glassbox {

namespace {

constexpr size_t kMaxNameBytes = 256;                // ids of panels, lessons, goals
constexpr size_t kMaxLayoutBytes = size_t{1} << 20;  // a docking layout takes a few KiB

Error refuse(std::string what, std::string where, std::string expected = "", std::string remedy = "") {
  return Error{ErrorKind::usage, std::move(what), std::move(where), std::move(expected), std::move(remedy)};
}

std::string range(int64_t low, int64_t high) {
  return std::to_string(low) + " to " + std::to_string(high);
}

Result<void> check_name(const std::string& name, const char* field) {
  if (name.empty()) return refuse("The name is empty.", field, "an id");
  if (name.size() > kMaxNameBytes) {
    return refuse("The name has " + std::to_string(name.size()) + " bytes.", field,
                  "at most " + std::to_string(kMaxNameBytes));
  }
  return check_utf8(name, field);
}

// The node's child of that token, on any branch or on one; −1: none. The youngest wins.
int find_child(const Run& run, int node, int32_t token, const uint32_t* branch) {
  for (int i = static_cast<int>(run.nodes.size()) - 1; i > node; --i) {
    const RunNode& child = run.nodes[static_cast<size_t>(i)];
    if (child.parent == node && child.token == token && (!branch || child.branch == *branch)) return i;
  }
  return -1;
}

bool same_site(const Edit& edit, int layer, int head) {
  return edit.kind == EditKind::zero && edit.tap == Tap::attn_z && edit.layer == layer && edit.head == head &&
         !edit.position_begin && !edit.position_end && !edit.index;
}

class Applier {
 public:
  Applier(Document& document, const Model* model) : document_(document), model_(model) {}

  // --- prompt

  Result<void> operator()(const cmd::SetText& c) { return set_prompt({c.text, document_.chat, document_.literal}); }
  Result<void> operator()(const cmd::SetChat& c) { return set_prompt({document_.text, c.chat, document_.literal}); }
  Result<void> operator()(const cmd::SetLiteral& c) { return set_prompt({document_.text, document_.chat, c.literal}); }
  Result<void> operator()(const cmd::SetSeed& c) {
    if (c.seed > kMaxSeed) {
      return refuse("The seed is " + std::to_string(c.seed) + ".", "seed", range(0, static_cast<int64_t>(kMaxSeed)));
    }
    document_.seed = document_.run().seed = c.seed;
    return {};
  }
  Result<void> operator()(const cmd::SetSampler& c) {
    if (Result<void> checked = check_sampler(c.settings); !checked) return checked;
    document_.sampler = c.settings;
    return {};
  }

  // --- transport

  Result<void> operator()(const cmd::Append& c) {
    Run& run = document_.run();
    if (!(c.u >= 0 && c.u < 1)) return refuse("The random number is outside [0, 1).", "u", "a number in [0, 1)");
    if (Result<void> checked = check_token(run, run.cursor, c.token, c.prob); !checked) return checked;
    const uint32_t branch = run.draw_branch();
    run.branches = std::max(run.branches, branch);
    const int child = find_child(run, run.cursor, c.token, &branch);
    RunNode node;
    node.parent = run.cursor;
    node.token = c.token;
    node.branch = branch;
    node.u = c.u;
    node.prob = c.prob;
    node.sampler_hash = hash_sampler(document_.sampler);
    node.edits_hash = hash_edits(document_.edits);
    node.by_hand = c.by_hand;
    if (child < 0) return add_node(run, node);
    run.nodes[static_cast<size_t>(child)] = node;
    move_to(run, child);
    return {};
  }
  Result<void> operator()(const cmd::Branch& c) {
    Run& run = document_.run();
    if (Result<void> checked = check_node(run, c.node); !checked) return checked;
    if (Result<void> checked = check_token(run, c.node, c.token, c.prob); !checked) return checked;
    if (const int child = find_child(run, c.node, c.token, nullptr); child >= 0) {
      move_to(run, child);
      return {};
    }
    RunNode node;
    node.parent = c.node;
    node.token = c.token;
    node.branch = ++run.branches;
    node.prob = c.prob;
    node.sampler_hash = hash_sampler(document_.sampler);
    node.edits_hash = hash_edits(document_.edits);
    node.by_hand = true;
    return add_node(run, node);
  }
  Result<void> operator()(const cmd::MoveCursor& c) {
    Run& run = document_.run();
    if (Result<void> checked = check_node(run, c.node); !checked) return checked;
    move_to(run, c.node);
    return {};
  }
  Result<void> operator()(const cmd::ResetRun&) {
    Run& run = document_.run();
    run.nodes = {RunNode{}};
    run.cursor = run.leaf = 0;
    run.branches = 0;
    run.redraw = false;
    return {};
  }
  Result<void> operator()(const cmd::RedrawFromHere&) {
    Run& run = document_.run();
    run.redraw = true;
    run.leaf = run.cursor;
    return {};
  }
  Result<void> operator()(const cmd::ShowRun& c) {
    const int count = static_cast<int>(document_.runs.size());
    if (c.run < 0 || c.run >= count) {
      return refuse("There is no run " + std::to_string(c.run) + ".", "run", range(0, count - 1));
    }
    const auto at = document_.runs.begin() + c.run;
    if (const int32_t stranger = find_unknown_token(*at); stranger >= 0) {
      return refuse("The run holds the token " + std::to_string(stranger) + ", which this model does not have.", "run",
                    range(0, model_->config().vocab - 1), "Open the model that the run was made with.");
    }
    const bool drop_current = c.run != count - 1 && document_.text.empty() && !document_.run().generated();
    std::rotate(at, at + 1, document_.runs.end());
    if (drop_current) document_.runs.erase(document_.runs.end() - 2);
    const Run& run = document_.run();
    document_.text = run.text;
    document_.chat = run.chat;
    document_.literal = run.literal;
    document_.seed = run.seed;
    return {};
  }

  // --- selection

  Result<void> operator()(const cmd::SelectPosition& c) {
    if (c.position < -1) return refuse("The position is negative.", "position", "-1 (the last) or more");
    document_.selection.position = std::min(c.position, shown_count() - 1);
    return {};
  }
  Result<void> operator()(const cmd::SelectHead& c) {
    if (Result<void> checked = check_head(c.layer, c.head); !checked) return checked;
    document_.selection.layer = c.layer;
    document_.selection.head = c.head;
    return {};
  }
  Result<void> operator()(const cmd::OpenCell& c) {
    if (c.query < 0 || c.key < 0) return refuse("A position is negative.", "query, key", "0 or more");
    if (c.key > c.query) {
      return refuse("Key " + std::to_string(c.key) + " stands after query " + std::to_string(c.query) +
                        ": the causal mask hides it.",
                    "key", range(0, c.query));
    }
    const int count = shown_count();
    if (count > 0 && c.query >= count) {
      return refuse("There is no position " + std::to_string(c.query) + ".", "query", range(0, count - 1));
    }
    document_.selection.cell = Cell{c.query, c.key};
    return {};
  }
  Result<void> operator()(const cmd::CloseCell&) {
    document_.selection.cell.reset();
    return {};
  }
  Result<void> operator()(const cmd::SelectPiece& c) {
    if (c.piece < -1) return refuse("The piece is negative.", "piece", "-1 (the last) or more");
    document_.selection.piece = c.piece;
    return {};
  }
  Result<void> operator()(const cmd::SetMergeStep& c) {
    if (c.step < -1) return refuse("The step is negative.", "step", "-1 (the end) or more");
    document_.selection.merge_step = c.step;
    return {};
  }
  Result<void> operator()(const cmd::SetVectorLayer& c) {
    const int last = model_ ? model_->config().layer_count() - 1 : std::numeric_limits<int>::max();
    if (c.layer < -1 || c.layer > last) {
      return refuse("There is no layer " + std::to_string(c.layer) + ".", "layer",
                    "-1 (the embedding) to " + std::to_string(last));
    }
    document_.selection.vector_layer = c.layer;
    return {};
  }

  // --- edits

  Result<void> operator()(const cmd::AddEdit& c) {
    if (model_) {
      if (Result<void> checked = check_edit(c.edit, model_->config()); !checked) return checked;
    }
    document_.edits.push_back(c.edit);
    return {};
  }
  Result<void> operator()(const cmd::RemoveEdit& c) {
    if (Result<void> checked = check_edit_index(c.index); !checked) return checked;
    document_.edits.erase(document_.edits.begin() + c.index);
    return {};
  }
  Result<void> operator()(const cmd::EnableEdit& c) {
    if (Result<void> checked = check_edit_index(c.index); !checked) return checked;
    Edit& edit = document_.edits[static_cast<size_t>(c.index)];
    if (c.enabled && model_) {
      if (Result<void> checked = check_edit(edit, model_->config()); !checked) return checked;
    }
    edit.enabled = c.enabled;
    return {};
  }
  Result<void> operator()(const cmd::ClearEdits&) {
    document_.edits.clear();
    return {};
  }
  Result<void> operator()(const cmd::ToggleHead& c) {
    if (Result<void> checked = check_head(c.layer, c.head); !checked) return checked;
    std::vector<Edit>& edits = document_.edits;
    const bool was_off = std::any_of(edits.begin(), edits.end(), [&c](const Edit& edit) {
      return edit.enabled && same_site(edit, c.layer, c.head);
    });
    std::erase_if(edits, [&c](const Edit& edit) { return same_site(edit, c.layer, c.head); });
    if (was_off) return {};
    Edit edit;
    edit.layer = c.layer;
    edit.head = c.head;
    edits.push_back(std::move(edit));
    return {};
  }

  // --- window

  Result<void> operator()(const cmd::SetStage& c) {
    if (c.stage < 1 || c.stage > kStages) {
      return refuse("There is no stage " + std::to_string(c.stage) + ".", "stage", range(1, kStages));
    }
    document_.stage = c.stage;
    return {};
  }
  Result<void> operator()(const cmd::ShowPanel& c) {
    if (Result<void> checked = check_name(c.panel, "panel"); !checked) return checked;
    document_.panels[c.panel] = c.open;
    return {};
  }
  Result<void> operator()(const cmd::SetDocking& c) {
    if (Result<void> checked = check_name(c.stage, "stage"); !checked) return checked;
    if (c.layout.size() > kMaxLayoutBytes) {
      return refuse("The layout has " + std::to_string(c.layout.size()) + " bytes.", "layout",
                    "at most " + std::to_string(kMaxLayoutBytes));
    }
    if (Result<void> checked = check_utf8(c.layout, "layout"); !checked) return checked;
    document_.docking[c.stage] = c.layout;
    return {};
  }
  Result<void> operator()(const cmd::SetTheme& c) {
    document_.theme = c.theme;
    return {};
  }
  Result<void> operator()(const cmd::SetScale& c) {
    if (!(c.scale >= kMinScale && c.scale <= kMaxScale)) {
      return refuse("The scale is out of range.", "scale", "0.8 to 2.5");
    }
    document_.scale = c.scale;
    return {};
  }
  Result<void> operator()(const cmd::SetMotion& c) {
    document_.motion = c.motion;
    return {};
  }
  Result<void> operator()(const cmd::SetMap& c) {
    document_.map = c.map;
    return {};
  }
  Result<void> operator()(const cmd::SetLogMap& c) {
    document_.log_map = c.log;
    return {};
  }
  Result<void> operator()(const cmd::SetShowIds& c) {
    document_.show_ids = c.show;
    return {};
  }
  Result<void> operator()(const cmd::SetShowBytes& c) {
    document_.show_bytes = c.show;
    return {};
  }

  // --- lessons

  Result<void> operator()(const cmd::OpenLesson& c) {
    if (!c.lesson.empty()) {
      if (Result<void> checked = check_name(c.lesson, "lesson"); !checked) return checked;
    }
    document_.lesson = c.lesson;
    return {};
  }
  Result<void> operator()(const cmd::Predict& c) {
    if (Result<void> checked = check_name(c.lesson, "lesson"); !checked) return checked;
    if (Result<void> checked = check_name(c.question, "question"); !checked) return checked;
    if (Result<void> checked = check_name(c.answer, "answer"); !checked) return checked;
    document_.progress[c.lesson].predictions[c.question] = c.answer;
    return {};
  }
  Result<void> operator()(const cmd::ReachGoal& c) {
    if (Result<void> checked = check_name(c.lesson, "lesson"); !checked) return checked;
    if (Result<void> checked = check_name(c.goal, "goal"); !checked) return checked;
    document_.progress[c.lesson].goals.insert(c.goal);
    return {};
  }
  Result<void> operator()(const cmd::ResetLesson& c) {
    if (Result<void> checked = check_name(c.lesson, "lesson"); !checked) return checked;
    document_.progress.erase(c.lesson);
    return {};
  }

 private:
  Result<void> set_prompt(const PromptText& prompt) {
    Result<std::vector<int32_t>> ids = tokenise_prompt(prompt, model_);
    if (!ids) return ids.error();
    show_prompt(document_, prompt, ids.take());
    return {};
  }

  int shown_count() const {
    const Run& run = document_.run();
    return static_cast<int>(run.prompt.size()) + run.depth(run.cursor);
  }

  static Result<void> check_node(const Run& run, int node) {
    const int count = static_cast<int>(run.nodes.size());
    if (node >= 0 && node < count) return {};
    return refuse("There is no node " + std::to_string(node) + " in this run.", "node", range(0, count - 1));
  }

  // A token that is to stand after `node`.
  Result<void> check_token(const Run& run, int node, int32_t token, float prob) const {
    const int64_t vocab = model_ ? model_->config().vocab : int64_t{std::numeric_limits<int32_t>::max()} + 1;
    if (token < 0 || token >= vocab) {
      return refuse("There is no token " + std::to_string(token) + ".", "token", range(0, vocab - 1));
    }
    if (!(prob >= 0 && prob <= 1)) return refuse("The probability is outside [0, 1].", "prob", "a number in [0, 1]");
    if (!model_) return {};
    const size_t length = run.prompt.size() + static_cast<size_t>(run.depth(node)) + 1;
    const int context = model_->config().context;
    if (length <= static_cast<size_t>(context)) return {};
    return refuse("With one more token the text has " + std::to_string(length) + ", and the model's context holds " +
                      std::to_string(context) + ".",
                  "token", "at most " + std::to_string(context) + " tokens",
                  "Go back, or start from a shorter prompt.");
  }

  Result<void> check_head(int layer, int head) const {
    const int layers = model_ ? model_->config().layer_count() : std::numeric_limits<int>::max();
    if (layer < 0 || layer >= layers) {
      return refuse("There is no layer " + std::to_string(layer) + ".", "layer", range(0, layers - 1));
    }
    const int heads =
        model_ ? model_->config().layers[static_cast<size_t>(layer)].heads : std::numeric_limits<int>::max();
    if (head >= 0 && head < heads) return {};
    return refuse("There is no head " + std::to_string(head) + ".", "head", range(0, heads - 1));
  }

  Result<void> check_edit_index(int index) const {
    const int count = static_cast<int>(document_.edits.size());
    if (index >= 0 && index < count) return {};
    return refuse("There is no edit " + std::to_string(index) + ".", "index",
                  count == 0 ? "there are no edits" : range(0, count - 1));
  }

  // A token of the run that the model's vocabulary lacks; −1: none.
  int32_t find_unknown_token(const Run& run) const {
    if (!model_) return -1;
    const int32_t vocab = model_->config().vocab;
    for (const int32_t token : run.prompt) {
      if (token >= vocab) return token;
    }
    for (const RunNode& node : run.nodes) {
      if (node.token >= vocab) return node.token;
    }
    return -1;
  }

  static Result<void> add_node(Run& run, const RunNode& node) {
    run.nodes.push_back(node);
    run.cursor = run.leaf = static_cast<int>(run.nodes.size()) - 1;
    run.redraw = false;
    return {};
  }

  static void move_to(Run& run, int node) {
    if (!run.on_path(node, run.leaf)) run.leaf = run.line_end(node);
    run.cursor = node;
    run.redraw = false;
  }

  Document& document_;
  const Model* model_;
};

}  // namespace

Result<void> apply(Document& document, const Command& command, const CommandContext& context) {
  return std::visit(Applier(document, context.model), command);
}

}  // namespace glassbox
