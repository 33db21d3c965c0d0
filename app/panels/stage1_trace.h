// What the panels of stage 1 show of the prompt: its text, pieces and tokens, and the merges of one piece. Made from the
// document and the model's tokenizer alone, so that it is there at the keystroke and waits for no forward pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/panels/panel.h"
#include "core/text/tokenizer.h"

namespace glassbox {

struct ShownToken {
  int32_t id = 0;
  uint32_t start = 0, end = 0;  // byte offsets into TextTrace::text
  int32_t piece = -1;           // of TextTrace::pieces; −1: drawn by the model, or put in front by the tokenizer
  bool special = false;         // parsed as a special token, or one that the model drew
  bool generated = false;       // after the prompt
};

// A stretch of characters whose bytes are spread over several tokens.
struct SplitCharacters {
  int first = 0, last = 0;  // tokens
  std::string text;         // UTF-8
  int count = 1;            // characters; more than one where neighbours share a token
};

struct TextTrace {
  std::string text;                // the prompt as it was tokenised (in a chat the whole template), then what was generated
  std::vector<ShownToken> tokens;  // of the shown step
  std::vector<Piece> pieces;       // offsets into text and tokens
  std::vector<SplitCharacters> splits;
  std::vector<uint32_t> dropped;   // bytes of the prompt that the vocabulary has no token for
  size_t prompt_bytes = 0;
  size_t characters = 0;
  uint64_t version = 0;            // equal versions are equal traces

  std::string_view bytes(uint32_t start, uint32_t end) const { return std::string_view(text).substr(start, end - start); }
  // The split that a token takes part in; null for most.
  const SplitCharacters* find_split(int token) const;
};

// Null while there is no model.
std::shared_ptr<const TextTrace> shown_trace(const FrameContext& context);
// The pure part: the tokens of `run` up to its cursor.
TextTrace make_text_trace(const Model& model, const Run& run);

// The piece whose merges are shown: the one under the pointer, else the selected one. −1: there is none.
int shown_piece(const FrameContext& context, const TextTrace& trace);
// The selected piece, whatever the pointer is on.
int selected_piece(const FrameContext& context, const TextTrace& trace);
// Selects a piece and shows the end of its merges.
void select_piece(FrameContext& context, int piece);

struct PieceMerges {
  int piece = -1;                   // of the trace
  std::string bytes;
  bool special = false;
  int first_token = 0;              // of the trace: the chips' colours
  std::optional<MergeTrace> merges; // absent for a special token and for a piece that is too long
  int steps() const { return merges ? static_cast<int>(merges->steps.size()) : 0; }
  // The symbols after a step; step 0: the bytes. Preconditions: merges, 0 ≤ step ≤ steps().
  const std::vector<Symbol>& symbols_after(int step) const {
    return step == 0 ? merges->bytes : merges->steps[static_cast<size_t>(step - 1)].symbols;
  }
};
// Of shown_piece(); null when there is none.
std::shared_ptr<const PieceMerges> shown_merges(const FrameContext& context);
PieceMerges make_piece_merges(const Tokenizer& tokenizer, const TextTrace& trace, int piece);
// 0 (bytes) … steps(): of the document; of another piece than the selected one its end.
int shown_merge_step(const FrameContext& context, const PieceMerges& merges);

// "e8 8d 89"
std::string hex_bytes(std::string_view bytes);

// As `glassbox tokenize --json` prints them.
nlohmann::json tokens_json(const Tokenizer& tokenizer, const TextTrace& trace);

}  // namespace glassbox
