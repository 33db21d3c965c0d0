#include "core/text/chat_template.h"

namespace glassbox {

namespace {

// ChatML: each message is <|im_start|>role⏎content<|im_end|>⏎. The known templates differ in what stands before the
// first message. `source` is what the file must hold, byte for byte.
struct KnownTemplate {
  std::string_view source;
  std::string_view name;
  std::string_view default_system;
};

constexpr KnownTemplate kKnownTemplates[] = {
    {"{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou "
     "are a "
     "helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
     "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
     "'<|im_start|>assistant\n' }}{% endif %}",
     "ChatML with SmolLM2's default system message",
     "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
     "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
     "ChatML", ""},
};

constexpr std::string_view kStartMarker = "<|im_start|>";
constexpr std::string_view kEndMarker = "<|im_end|>";
constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

// Collects text between markers and tokenises it in one go when the next marker comes: pieces may reach across the seam
// of role, line break and content ("user\n\n" has one piece of two line breaks), as they do when the whole text is
// tokenised.
class Renderer {
 public:
  explicit Renderer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void plain(ChatPart part, int32_t message, std::string_view text) {
    if (text.empty()) return;
    add_span(part, message, text);
  }

  void marker(int32_t id) {
    flush();
    const uint32_t start = size();
    add_span(ChatPart::marker, -1, tokenizer_.bytes_of(id));
    out_.tokens.push_back({id, start, size(), true});
    flushed_ = size();
  }

  ChatRendering finish() {
    flush();
    return std::move(out_);
  }

 private:
  uint32_t size() const { return static_cast<uint32_t>(out_.text.size()); }

  void add_span(ChatPart part, int32_t message, std::string_view text) {
    const uint32_t start = size();
    out_.text += text;
    out_.spans.push_back({part, message, start, size()});
  }

  void flush() {
    const std::string_view text = std::string_view(out_.text).substr(flushed_);
    for (Token token : tokenizer_.encode(text, false)) {
      token.start += flushed_;
      token.end += flushed_;
      out_.tokens.push_back(token);
    }
    flushed_ = size();
  }

  const Tokenizer& tokenizer_;
  ChatRendering out_;
  uint32_t flushed_ = 0;  // how much of the text has its tokens
};

}  // namespace

std::vector<int32_t> ChatRendering::ids() const {
  std::vector<int32_t> out;
  out.reserve(tokens.size());
  for (const Token& token : tokens) out.push_back(token.id);
  return out;
}

Result<ChatTemplate> ChatTemplate::make(std::string_view source, const Tokenizer& tokenizer) {
  const std::string where = "metadata \"" + std::string(kTemplateKey) + "\"";
  for (const KnownTemplate& known : kKnownTemplates) {
    if (known.source != source) continue;
    ChatTemplate made;
    made.name_ = known.name;
    made.default_system_ = known.default_system;
    made.start_id_ = tokenizer.find_special(kStartMarker);
    made.end_id_ = tokenizer.find_special(kEndMarker);
    if (made.start_id_ < 0 || made.end_id_ < 0) {
      std::string expected(kStartMarker);
      expected.append(" and ").append(kEndMarker).append(" as special tokens");
      return Error{ErrorKind::bad_file, "the vocabulary lacks the markers of the model's chat template", where, expected,
                   "type the prompt without the chat template"};
    }
    return made;
  }
  std::string known_names;
  for (const KnownTemplate& known : kKnownTemplates) {
    known_names += (known_names.empty() ? "" : "; ") + std::string(known.name);
  }
  return Error{ErrorKind::bad_file, "this model's chat template is none of those that Glassbox knows", where,
               known_names, "type the prompt with its markers by hand: special tokens in the text are parsed"};
}

Result<ChatTemplate> ChatTemplate::make_from_gguf(const Gguf& gguf, const Tokenizer& tokenizer) {
  auto source = gguf.find_string(kTemplateKey);
  if (!source) return source.error();
  if (!*source) {
    return Error{ErrorKind::bad_file, "this model's file has no chat template", gguf.path(),
                 "the metadata key \"" + std::string(kTemplateKey) + "\"",
                 "type the prompt without the chat template, or choose an instruct model"};
  }
  auto made = make(**source, tokenizer);
  if (made) return made;
  Error error = made.error();
  error.where = gguf.path() + ", " + error.where;
  return error;
}

ChatRendering ChatTemplate::apply(std::span<const ChatMessage> messages, bool add_generation_prompt,
                                  const Tokenizer& tokenizer) const {
  Renderer out(tokenizer);
  if (!default_system_.empty() && !messages.empty() && messages[0].role != "system") {
    out.marker(start_id_);
    out.plain(ChatPart::scaffold, -1, "system\n");
    out.plain(ChatPart::scaffold, -1, default_system_);
    out.marker(end_id_);
    out.plain(ChatPart::scaffold, -1, "\n");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto index = static_cast<int32_t>(i);
    out.marker(start_id_);
    out.plain(ChatPart::role, index, messages[i].role);
    out.plain(ChatPart::scaffold, -1, "\n");
    out.plain(ChatPart::content, index, messages[i].content);
    out.marker(end_id_);
    out.plain(ChatPart::scaffold, -1, "\n");
  }
  if (add_generation_prompt) {
    out.marker(start_id_);
    out.plain(ChatPart::scaffold, -1, "assistant\n");
  }
  return out.finish();
}

}  // namespace glassbox
