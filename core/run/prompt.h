// From what was typed to the tokens of a run.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/run/document.h"
#include "core/text/tokenizer.h"

namespace glassbox {

class Model;

// What decides the tokens of a prompt.
struct PromptText {
  std::string text;
  bool chat = false;     // wrapped in the model's template as a user's message, which never becomes a control token
  bool literal = false;  // special tokens in the text are plain text
};

// Longest text taken at all. Far above any context; it bounds what undo keeps and what a paste by accident costs.
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

// The prompt's ids, with the token that the model expects at the start; empty without a model. In a chat the template
// alone decides what stands at the start, as in Hugging Face's apply_chat_template. Errors (usage): invalid UTF-8, a
// text of more than kMaxTextBytes, more tokens than the model's context, a chat on a model without a known template.
Result<std::vector<int32_t>> tokenise_prompt(const PromptText& prompt, const Model* model);

// How a prompt became its tokens.
struct TracedPrompt {
  std::string text;   // as it was tokenised: in a chat the rendered template
  EncodeTrace trace;  // offsets into `text`; the token that the model expects at the start belongs to no piece
};
// The same tokens as tokenise_prompt, with the pieces on the way. Precondition: that one accepts the prompt (its length
// apart).
TracedPrompt trace_prompt(PromptText prompt, const Model& model);

// Makes a run of the prompt the current one, unless the current one has this very prompt. The run that was current
// stays in the list if it has generated text.
void show_prompt(Document& document, const PromptText& prompt, std::vector<int32_t> ids);

// The piece that a selection means, or −1 where there are none. Without a selection (< 0) it is the last one that is
// longer than a byte and no special token, so that there is something to merge; else the last.
int chosen_piece(std::span<const Piece> pieces, int selected);

}  // namespace glassbox
