// Quantities of the Document and of its text.
#include <algorithm>
#include <cmath>
#include <set>

#include "core/run/prompt.h"
#include "core/text/unicode.h"
#include "lessons/quantity_parts.h"

namespace glassbox {
namespace {

struct Word {
  std::string_view text;
  uint32_t start, end;
};

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  uint32_t start = 0;
  bool inside = false;
  for (size_t at = 0; at <= text.size();) {
    const bool end = at == text.size();
    const Utf8Char c = end ? Utf8Char{U' ', 1, true} : decode_utf8(text, at);
    const bool space = char_class(c.code) == CharClass::space;
    if (!space && !inside) start = static_cast<uint32_t>(at);
    if (space && inside) words.push_back({text.substr(start, at - start), start, static_cast<uint32_t>(at)});
    inside = !space;
    at += c.length;
  }
  return words;
}

int count_characters(std::string_view text) {
  int count = 0;
  for (size_t at = 0; at < text.size(); at += decode_utf8(text, at).length) ++count;
  return count;
}

// Tokens whose bytes reach into [start, end).
int tokens_over(std::span<const Token> tokens, uint32_t start, uint32_t end) {
  // In the order of the text, so that neither their starts nor their ends go back.
  const auto first = std::partition_point(tokens.begin(), tokens.end(), [&](const Token& token) { return token.end <= start; });
  const auto last = std::partition_point(first, tokens.end(), [&](const Token& token) { return token.start < end; });
  return static_cast<int>(last - first);
}

// The longest end of the tokens that is made of repetitions: it equals, token by token, what stands `period` places
// before, at least once over.
int loop_length(std::span<const int32_t> tokens) {
  const size_t count = tokens.size();
  size_t longest = 0;
  for (size_t period = 1; period <= count / 2; ++period) {
    size_t same = 0;
    while (same + period < count && tokens[count - 1 - same] == tokens[count - 1 - same - period]) ++same;
    if (same >= period) longest = std::max(longest, same);
  }
  return static_cast<int>(longest);
}

// Of two lines that part at one place though their first tokens are equal: how far they go on alike.
int same_lines(const Run& run) {
  int longest = 0;
  // Pairs of nodes at equal depth whose texts from the parting on are equal; they grow towards the leaves.
  std::vector<std::pair<std::pair<int, int>, int>> open;
  const auto add_pairs = [&](int a, int b, int length) {
    for (const int left : run.children(a)) {
      for (const int right : run.children(b)) {
        const bool alike = run.nodes[static_cast<size_t>(left)].token == run.nodes[static_cast<size_t>(right)].token;
        if (alike && (a == b ? left < right : true)) open.push_back({{left, right}, length + 1});
      }
    }
  };
  for (int node = 0; node < static_cast<int>(run.nodes.size()); ++node) add_pairs(node, node, 0);
  while (!open.empty()) {
    const auto [pair, length] = open.back();
    open.pop_back();
    longest = std::max(longest, length);
    add_pairs(pair.first, pair.second, length);
  }
  return longest;
}

}  // namespace

std::optional<double> measure_text(const Quantity& quantity, const MeasureContext& context) {
  const Document& document = context.document;
  const std::string& text = document.text;
  const Tokenizer& tokenizer = context.model->tokenizer();
  const bool special = !document.literal && !document.chat;
  std::optional<EncodeTrace> own;
  std::optional<EncodeTrace>& kept = context.trace ? *context.trace : own;
  if (!kept) kept = tokenizer.trace(text, special);
  const EncodeTrace& trace = *kept;
  const std::vector<int32_t> shown = document.shown_tokens();
  const auto words = words_of(text);
  switch (quantity.kind) {
    case QuantityKind::tokens:
      return static_cast<double>(trace.tokens.size());
    case QuantityKind::special_tokens:
      return static_cast<double>(
          std::count_if(shown.begin(), shown.end(), [&](int32_t id) { return tokenizer.is_special(id); }));
    case QuantityKind::forged_markers: {
      // Written out in the text, whether or not they were parsed as what they say.
      double count = 0;
      for (const Token& token : tokenizer.encode(text, true)) count += token.special;
      return count;
    }
    case QuantityKind::character_tokens: {
      int most = 0;
      for (size_t at = 0; at < text.size();) {
        const uint32_t length = decode_utf8(text, at).length;
        most = std::max(most, tokens_over(trace.tokens, static_cast<uint32_t>(at), static_cast<uint32_t>(at) + length));
        at += length;
      }
      return most;
    }
    case QuantityKind::best_single:
    case QuantityKind::worst_split: {
      int best = 0, worst = 0;
      for (const Word& word : words) {
        if (tokens_over(trace.tokens, word.start, word.end) == 1) best = std::max(best, count_characters(word.text));
      }
      if (quantity.kind == QuantityKind::best_single) return best;
      for (const Word& word : words) {
        if (count_characters(word.text) < best)
          worst = std::max(worst, tokens_over(trace.tokens, word.start, word.end));
      }
      return worst;
    }
    default:
      break;
  }
  if (trace.pieces.empty()) return std::nullopt;
  const Piece& piece = trace.pieces[static_cast<size_t>(chosen_piece(trace.pieces, document.selection.piece))];
  std::string_view bytes = std::string_view(text).substr(piece.start, piece.end - piece.start);
  if (quantity.kind == QuantityKind::piece_tokens) return piece.token_count;
  if (quantity.kind == QuantityKind::piece_characters) {
    if (bytes.starts_with(' ') && bytes.size() > 1) bytes.remove_prefix(1);
    return count_characters(bytes);
  }
  const Result<MergeTrace> merges = tokenizer.trace_merges(bytes);
  if (piece.special || !merges) return std::nullopt;
  const int count = static_cast<int>(merges->steps.size());
  if (quantity.kind == QuantityKind::merges) return count;
  const int shown_steps = document.selection.merge_step < 0 ? count : std::min(document.selection.merge_step, count);
  return quantity.kind == QuantityKind::merges_left ? count - shown_steps : shown_steps;
}

std::optional<double> measure_document(const Quantity& quantity, const MeasureContext& context) {
  const Document& document = context.document;
  switch (quantity.kind) {
    case QuantityKind::words:
      return static_cast<double>(words_of(document.text).size());
    case QuantityKind::characters:
      return count_characters(document.text);
    case QuantityKind::bytes:
      return static_cast<double>(document.text.size());
    case QuantityKind::contains:
      return document.text.find(quantity.text) == std::string::npos ? 0.0 : 1.0;
    case QuantityKind::chat:
      return document.chat ? 1.0 : 0.0;
    case QuantityKind::vector_layer:
      return document.selection.vector_layer;
    case QuantityKind::heads_off:
      return static_cast<double>(std::count_if(document.edits.begin(), document.edits.end(), is_head_off));
    case QuantityKind::cell_distance:
    case QuantityKind::cell_key: {
      const std::optional<Cell> cell = document.shown_cell();
      if (!cell) return std::nullopt;
      return quantity.kind == QuantityKind::cell_key ? cell->key : cell->query - cell->key;
    }
    case QuantityKind::edges_cut:
      return static_cast<double>(std::count_if(document.edits.begin(), document.edits.end(), [](const Edit& edit) {
        return edit.enabled && (edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight);
      }));
    case QuantityKind::temperature:
      return document.sampler.temperature;
    case QuantityKind::top_p:
      return document.sampler.top_p;
    case QuantityKind::generated:
      return document.run().depth(document.run().cursor);
    case QuantityKind::branches: {
      std::set<int> parents;
      for (const RunNode& node : document.run().nodes) parents.insert(node.parent);
      return static_cast<double>(document.run().nodes.size()) - static_cast<double>(parents.size()) +
             1;  // nodes without children
    }
    case QuantityKind::loop_tokens:
      return loop_length(document.shown_tokens());
    case QuantityKind::same_lines:
      return same_lines(document.run());
    case QuantityKind::order_of_top_p: {
      const auto& order = document.sampler.order;
      return static_cast<double>(std::find(order.begin(), order.end(), SamplerStage::top_p) - order.begin());
    }
    case QuantityKind::predicted: {
      const auto found = document.progress.find(std::string(context.lesson));
      return found != document.progress.end() && found->second.predictions.contains(quantity.text) ? 1.0 : 0.0;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace glassbox
