#include "core/run/generate.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>

#include "core/model/failures.h"
#include "core/run/random.h"

namespace glassbox {
namespace {

// A token, and the hash of the logits that it was drawn from.
struct Next {
  int32_t token = 0;
  uint64_t logits_hash = 0;
  double seconds = 0;  // of the forward; 0 where the device ran ahead
};

// Where the tokens come from: run() and a draw on the host, or a device that draws.
class TokenSource {
 public:
  TokenSource(SessionStore& sessions, const GenerateRequest& request)
      : sessions_(sessions), request_(request), settings_(draw_settings(request.sampler)) {}

  // The token after `tokens`; more than `wanted` will not be asked for, this one included.
  Result<Next> next(const std::vector<int32_t>& tokens, int wanted, const StepProgress& progress) {
    const bool prompt = tokens.size() == request_.tokens.size();
    if (prompt || !sessions_.ops().draws() || edited() || no_room_) return draw_on_host(tokens, progress);
    if (progress && !progress(1.0)) return Error{ErrorKind::cancelled, "Cancelled.", "", "", ""};
    Result<std::optional<Next>> drawn = draw_beside(tokens, wanted);
    if (drawn && *drawn) return **drawn;
    // Where the device did not draw, or failed, the host has all that was drawn so far; what was on its way is lost.
    line_.reset();
    if (!drawn && !is_of_device(drawn.error())) return drawn.error();
    no_room_ = !drawn && drawn.error().kind == ErrorKind::device_memory;
    if (!drawn && !no_room_) {
      if (const Result<void> left = sessions_.leave_device(drawn.error()); !left) return left.error();
    }
    return draw_on_host(tokens, progress);
  }

 private:
  // None: the device left it to the host.
  Result<std::optional<Next>> draw_beside(const std::vector<int32_t>& tokens, int wanted) {
    if (!line_) {
      Result<std::unique_ptr<DrawnLine>> line = sessions_.draw_on(tokens, request_.precision);
      if (!line) return line.error();
      line_ = line.take();
    }
    const int most = std::min(DrawnLine::kMost, wanted), context = sessions_.model().config().context;
    while (line_->on_their_way() < most && line_->length() <= context) {
      if (const Result<void> sent = line_->send(settings_, uniform(line_->length())); !sent) return sent.error();
    }
    const Result<Drawn> drawn = line_->receive();
    if (!drawn) return drawn.error();
    if (drawn->decided == 0) return std::optional<Next>();
    return std::optional(Next{drawn->token, drawn->logits_hash});
  }
  bool edited() const {
    return std::any_of(request_.edits.begin(), request_.edits.end(), [](const Edit& edit) { return edit.enabled; });
  }
  double uniform(int position) const {
    return draw_uniform(request_.seed, request_.branch, static_cast<uint64_t>(position));
  }
  Result<Next> draw_on_host(const std::vector<int32_t>& tokens, const StepProgress& progress) {
    const Result<std::shared_ptr<const Step>> step =
        sessions_.run({tokens, request_.edits, request_.precision, {}}, progress);
    if (!step) return step.error();
    const double u = uniform(static_cast<int>(tokens.size()));
    return Next{draw_token((*step)->logits, request_.sampler, tokens, u), (*step)->logits_hash,
                (*step)->timing.seconds};
  }

  SessionStore& sessions_;
  const GenerateRequest& request_;
  DrawSettings settings_;
  std::unique_ptr<DrawnLine> line_;  // while the device draws
  bool no_room_ = false;             // for that
};

}  // namespace

std::string_view finish_name(Finish finish) {
  switch (finish) {
    case Finish::end:
      return "end";
    case Finish::length:
      return "length";
    case Finish::context:
      return "context";
    case Finish::stopped:
      return "stopped";
  }
  return {};
}

Result<Generation> generate(SessionStore& sessions, const GenerateRequest& request, const TokenSink& sink,
                            const StepProgress& progress) {
  using Clock = std::chrono::steady_clock;
  const Model& model = sessions.model();
  const int most = request.most < 0 ? std::numeric_limits<int>::max() : request.most;
  Generation made;
  std::vector<int32_t> tokens = request.tokens;
  TokenSource source(sessions, request);
  Clock::time_point prefilled;
  while (true) {
    const bool first = made.ids.empty();
    const Result<Next> next = source.next(tokens, most - static_cast<int>(made.ids.size()), progress);
    if (!next) return next.error();
    if (first) {
      made.prefill_seconds = next->seconds;
      prefilled = Clock::now();
    } else {
      ++made.decode_tokens;
      made.decode_seconds = std::chrono::duration<double>(Clock::now() - prefilled).count();
    }
    made.logits_hash = first ? next->logits_hash : join_hashes(made.logits_hash, next->logits_hash);
    made.finish = Finish::length;
    if (most == 0) break;
    made.ids.push_back(next->token);
    if (model.tokenizer().is_end(next->token) && !request.ignore_end) {
      made.finish = Finish::end;
      break;
    }
    if (!sink(next->token)) {
      made.finish = Finish::stopped;
      break;
    }
    if (static_cast<int>(made.ids.size()) >= most) break;
    if (static_cast<int>(tokens.size()) >= model.config().context) {
      made.finish = Finish::context;
      break;
    }
    tokens.push_back(next->token);
  }
  return made;
}

}  // namespace glassbox
