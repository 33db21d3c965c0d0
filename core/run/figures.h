// The figures' data as JSON: what the command line prints with --json and what a panel copies, made in one place so
// that the two are equal.
//
// f32 values are the shortest decimals that read back as the same f32; what is not finite (the score of a masked key is
// −∞) has no form in JSON and is written as null. `text` is UTF-8 with U+FFFD where bytes are none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/model/config.h"
#include "core/run/analysis.h"
#include "core/run/sampler.h"
#include "core/run/step.h"
#include "core/text/tokenizer.h"

namespace glassbox {

// Stage 1. {id, text, bytes, start, end, special}; start and end are byte offsets into the input.
nlohmann::json figure_token(const Tokenizer& tokenizer, const Token& token);
nlohmann::json figure_tokens(const Tokenizer& tokenizer, std::span<const Token> tokens);
// {text, start, end, first_token, token_count, special}; `text` is the whole input.
nlohmann::json figure_piece(std::string_view text, const Piece& piece);
// One symbol on the way from bytes to tokens, {id, text, bytes, start, end}; offsets from the start of the piece.
nlohmann::json figure_symbol(const Tokenizer& tokenizer, const Symbol& symbol);
// {bytes: [symbol], whole_piece, steps: [{index, left, right, rank, id, text, pairs, symbols}]}: at each step the
// symbols number `index` and `index` + 1, with the ids `left` and `right`, became the token `id`; `pairs` are the ranks
// of all pairs that competed (null: no merge), `symbols` the ids after the step.
nlohmann::json figure_merges(const Tokenizer& tokenizer, const MergeTrace& trace);

// Stage 6. {candidates: [{id, text, logit, penalised, prob_model, prob_heated, prob, cut_by}], stages: [{kind, params,
// active, kept, mass, entropy_bits}], entropy_bits, vocab, u, drawn: {id, text, prob}}. The first `count` candidates in
// the chain's order, −1: all. `cut_by` is the kind of the stage that cut the candidate, null when it was kept. Without
// a tokenizer `text` is null. With `change`, the model's distribution before and after the edits: also
// entropy_before_bits, kl_nats, and each candidate's prob_before.
nlohmann::json figure_next(const ChainResult& chain, const Tokenizer* tokenizer, int count,
                           const DistributionChange* change = nullptr);

// Any tap. {tap, layer, head, position, axes, shape, data}: data in nested arrays along the axes, T first. An axis that
// is fixed by `head` or `position` is left out; `layer` is null for taps of the model, head and position when not
// fixed. The key axis S is as long as the step; keys after the query are 0 in a pattern and null in scores.
struct TapSlice {
  Tap tap = Tap::resid_post;
  int layer = 0;
  std::optional<int> head, position;
};
// Null when the step lacks a page. Precondition: the model has the tap, layer, head, and the step the position.
nlohmann::json figure_tap(const Step& step, const ModelConfig& config, const TapSlice& slice);

// Stage 2. {token: {id, text} or null, norm, cosine: […], dot: […], euclid: […]}, each a list of {id, text, cosine,
// dot, distance}, nearest first, at most `count`.
nlohmann::json figure_neighbours(const Neighbours& neighbours, const Tokenizer& tokenizer, int count);
// {layer, axes: ["T", "T"], shape, cosine, dot, norms}; layer −1 is the embedding.
nlohmann::json figure_cosines(const CosineMatrix& matrix);

// Stage 3. [{layer, head, previous, induction, best_weight, best_key, direct_logit, badges}] of all heads, layer by
// layer; `badges` are letters, null is what was not measured.
nlohmann::json figure_heads(const HeadTable& table);

// A list of f32.
nlohmann::json json_numbers(std::span<const float> values);

}  // namespace glassbox
