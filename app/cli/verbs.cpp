#include "app/cli/verbs.h"

namespace glassbox {

std::span<const Verb> all_verbs() {
  // Copies: the order in which other files' constants are made is not known before main.
  static const Verb verbs[] = {kInfoVerb,      kTokenizeVerb, kGenerateVerb, kNextVerb, kLogprobsVerb, kInspectVerb,
                               kNeighborsVerb, kBenchVerb,    kLookVerb,     kShotVerb, kLessonVerb};
  return verbs;
}

}  // namespace glassbox
