// Chat templates: messages → the text and the tokens that a model was trained to see.
//
// A GGUF carries its template as a Jinja program. It is not run: the templates that this program knows are recognised
// by their exact text, and for any other one there is a reason instead of a guess.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/text/tokenizer.h"

namespace glassbox {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"; put in as it is
  std::string content;
};

enum class ChatPart : uint8_t {
  marker,    // a control token
  scaffold,  // text that the template puts in: line breaks, the default system message, "assistant"
  role,      // of a message
  content,   // of a message
};

struct ChatSpan {
  ChatPart part = ChatPart::scaffold;
  int32_t message = -1;         // index of the message that a role or content belongs to; −1: the template's own
  uint32_t start = 0, end = 0;  // byte offsets into the rendered text
};

struct ChatRendering {
  std::string text;
  std::vector<ChatSpan> spans;  // they tile the text
  std::vector<Token> tokens;    // offsets into the text; `special` only for the template's markers

  std::vector<int32_t> ids() const;
};

class ChatTemplate {
 public:
  // By the exact text of the template. Errors (bad_file): a template that is not known, or known and the vocabulary
  // lacks its markers. The error's `what` is the sentence that a switched-off chat toggle shows.
  static Result<ChatTemplate> make(std::string_view source, const Tokenizer& tokenizer);
  // From `tokenizer.chat_template`; also an error when the file has none.
  static Result<ChatTemplate> make_from_gguf(const Gguf& gguf, const Tokenizer& tokenizer);

  std::string_view name() const { return name_; }  // e.g. "ChatML with SmolLM2's default system message"
  // What the template says when the first message is not the system's; empty when it says nothing.
  std::string_view default_system() const { return default_system_; }

  // With `add_generation_prompt` the text ends where the assistant's answer begins. `tokenizer` is the one of make().
  // Equal to rendering the Jinja template and tokenising the result, except that messages are always plain text: what
  // looks like a control token in a role or content is tokenised as its letters.
  ChatRendering apply(std::span<const ChatMessage> messages, bool add_generation_prompt,
                      const Tokenizer& tokenizer) const;

 private:
  ChatTemplate() = default;
  std::string_view name_, default_system_;  // of static tables
  int32_t start_id_ = -1, end_id_ = -1;     // <|im_start|>, <|im_end|>
};

}  // namespace glassbox
