// Quantities: the closed list of what goals and lesson texts measure. Each is a number of the Document and the shown
// view; none asks whether something was clicked.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/base/result.h"
#include "core/run/workbench.h"

namespace glassbox {

enum class QuantityKind : uint8_t {
  // the text
  tokens,            // of the shown text
  words,             // runs of non-space characters in the prompt
  characters,        // Unicode characters of the prompt
  bytes,             // of the prompt
  contains,          // 1 when the prompt contains `text`
  character_tokens,  // the most tokens that one character of the prompt is spread over
  piece_tokens,      // tokens of the chosen piece
  piece_characters,  // characters of the chosen piece, without a space at its start
  best_single,       // characters of the longest word of the prompt that is one token
  worst_split,       // the most tokens of a word of the prompt that has fewer characters than best_single
  merges,            // merges of the chosen piece
  merges_shown,      // how many of them the merge panel shows
  merges_left,       // how many it does not show yet
  forged_markers,    // control tokens written out in the prompt's text
  special_tokens,    // control tokens among the shown tokens
  chat,              // 1 when the chat template is on
  // embeddings
  norm,              // ‖e‖ of the selected token
  neighbour_cosine,  // greatest cosine of another token to the selected one
  dot_differs,       // 1 when the nearest by dot product is none of the ten nearest by cosine
  pair_cosine,       // greatest cosine between two different tokens of the prompt at the chosen layer
  token_cosine,      // cosine between the prompt's tokens `text` and `text2` at the chosen layer
  twin_cosine,       // smallest cosine between two places of one token in the prompt at the chosen layer
  vector_layer,      // chosen layer of stage 2; −1 the embedding
  // attention
  prob,             // the model's probability of the token `text` as the next one
  prob_baseline,    // the same without the edits
  prob_change,      // prob − prob_baseline; 0 without edits
  heads_off,        // how many heads are switched off
  off_head_weight,  // greatest weight, without edits, that a switched-off head gives to a token `text` at the last
                    // position
  previous_score,   // mean weight on the token before, of the chosen head
  induction_score,  // of the chosen head, on the random sequence
  cell_weight,      // softmax weight of the opened cell
  cell_distance,    // query − key of the opened cell
  cell_key,         // position of its key
  cell_score,       // q·k/√D of the opened cell, before the softmax
  masked_cells,     // keys after the query that get weight in the chosen head: 0 in a causal model
  edges_cut,        // attention edges cut by edits
  // inference
  temperature,     // as set
  top_p,           // as set
  kept,            // candidates left after the stage `text` of the chain
  survivors,       // candidates left after the last stage before the draw
  top1_prob,       // greatest probability after the chain
  top_gap,         // probability of the model's first choice less that of its second
  entropy,         // bits, of the model's distribution
  drawn_rank,      // rank of the drawn token, 0 the likeliest
  generated,       // tokens after the prompt, at the cursor
  branches,        // lines of the current run's tree
  loop_tokens,     // length of the shown text's end that repeats, token by token, what stood just before it
  same_lines,      // most tokens that two lines of the tree, drawn apart from one place, have in common from there
  order_of_top_p,  // place of top_p in the order of the chain, 0 first
  // lessons
  predicted,  // 1 when the question `text` of this lesson has been answered
};

struct Quantity {
  QuantityKind kind = QuantityKind::tokens;
  std::string text, text2;  // where the kind takes one
};

std::string_view quantity_name(QuantityKind kind);
// True for what tokeniser or model decide, false for what the user alone set or wrote.
bool is_measured(QuantityKind kind);
// {"measure": "prob", "text": " Mary"}. Errors name what is wrong.
Result<Quantity> quantity_from_json(const nlohmann::json& json);

// What is needed besides the Document to measure it; add it to the panels' needs while a lesson is open.
Needs quantity_needs(const Quantity& quantity, const Document& document, const ModelConfig& config);

struct MeasureContext {
  const Document& document;
  const View& view;             // of the document as it is; stale views measure nothing
  const Model* model;           // may be null
  std::string_view lesson;
  // The trace of the document's text once a quantity has needed it, for those who measure several in one state.
  std::optional<EncodeTrace>* trace = nullptr;
};
// Nothing when it cannot be measured (yet): no step, no selection, no such token.
std::optional<double> measure(const Quantity& quantity, const MeasureContext& context);

}  // namespace glassbox
