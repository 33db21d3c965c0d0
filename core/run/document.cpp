#include "core/run/document.h"

#include <algorithm>

namespace glassbox {

std::vector<int> Run::path(int node) const {
  std::vector<int> nodes_up;
  for (int at = node; at >= 0; at = nodes[static_cast<size_t>(at)].parent) nodes_up.push_back(at);
  std::reverse(nodes_up.begin(), nodes_up.end());
  return nodes_up;
}

std::vector<int32_t> Run::tokens(int node) const {
  std::vector<int32_t> all = prompt;
  for (const int at : path(node)) {
    if (at > 0) all.push_back(nodes[static_cast<size_t>(at)].token);
  }
  return all;
}

std::vector<int> Run::children(int node) const {
  std::vector<int> found;
  for (size_t i = static_cast<size_t>(node) + 1; i < nodes.size(); ++i) {
    if (nodes[i].parent == node) found.push_back(static_cast<int>(i));
  }
  return found;
}

int Run::depth(int node) const {
  int steps = 0;
  for (int at = nodes[static_cast<size_t>(node)].parent; at >= 0; at = nodes[static_cast<size_t>(at)].parent) ++steps;
  return steps;
}

uint32_t Run::draw_branch() const {
  return redraw ? branches + 1 : nodes[static_cast<size_t>(cursor)].branch;
}

bool Run::on_path(int node, int end) const {
  int at = end;
  while (at > node) at = nodes[static_cast<size_t>(at)].parent;  // parents have smaller indices
  return at == node;
}

int Run::line_end(int node) const {
  // Children stand after their parents, so one walk forward finds the youngest child of each node.
  std::vector<int> youngest(nodes.size(), -1);
  for (size_t i = 1; i < nodes.size(); ++i) youngest[static_cast<size_t>(nodes[i].parent)] = static_cast<int>(i);
  int at = node;
  while (youngest[static_cast<size_t>(at)] >= 0) at = youngest[static_cast<size_t>(at)];
  return at;
}

int Document::shown_position() const {
  const int last = static_cast<int>(run().prompt.size()) + run().depth(run().cursor) - 1;
  return selection.position < 0 ? last : std::min(selection.position, last);
}

std::optional<Cell> Document::shown_cell() const {
  const int last = static_cast<int>(run().prompt.size()) + run().depth(run().cursor) - 1;
  if (!selection.cell || last < 0) return std::nullopt;
  const int query = std::min(selection.cell->query, last);
  return Cell{query, std::min(selection.cell->key, query)};
}

Document make_document() {
  Document document;
  document.text = "When Mary and John went to the shop, John gave the bag to";
  document.stage = 3;
  document.selection.layer = 24;
  document.selection.head = 4;
  document.selection.cell = Cell{13, 1};  // how much ·to, the last token, looks at ·Mary
  // T = 1 leaves the model's own probabilities to be seen first. The cuts are usual ones, and each of them has
  // something to show on the first prompt; without them a small model's long tail spoils a text within a few dozen
  // tokens.
  document.sampler.temperature = 1.0f;
  document.sampler.top_k = 40;
  document.sampler.top_p = 0.95f;
  document.sampler.min_p = 0.05f;
  Run run;
  run.id = document.runs_made = 1;
  run.text = document.text;
  run.seed = document.seed;
  document.runs.push_back(std::move(run));
  return document;
}

}  // namespace glassbox
