// The verbs: one file and one line in the table of verbs.cpp each.
#pragma once

#include <span>

#include "app/cli/context.h"

namespace glassbox {

struct Verb {
  const char* name;
  const char* help;  // one line
  void (*add_options)(OptionList& list, Options& options);
  Result<void> (*run)(CliContext& context);
};

std::span<const Verb> all_verbs();

extern const Verb kInfoVerb, kTokenizeVerb, kGenerateVerb, kNextVerb, kLogprobsVerb, kInspectVerb, kNeighborsVerb,
    kBenchVerb, kLookVerb, kShotVerb, kLessonVerb;

}  // namespace glassbox
