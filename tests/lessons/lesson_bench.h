// What the tests of lessons share: the committed lessons, and a workbench on the real model that opens them.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "lessons/lesson.h"
#include "tests/support/model_path.h"

namespace glassbox::test {

inline std::string lesson_folder() {
  return std::string(GLASSBOX_SOURCE_DIR) + "/lessons";
}

inline const std::vector<Lesson>& committed_lessons() {
  static const std::vector<Lesson> lessons = [] {
    auto loaded = load_lessons(lesson_folder());
    if (!loaded) FAIL(loaded.error().message());
    return loaded.take();
  }();
  return lessons;
}

// A workbench with the default model in fast precision, loaded once; each lesson opens on a fresh document.
class LessonBench {
 public:
  LessonBench() : bench_({.threads = 2}) {
    bench_.load_model(model_path());
    REQUIRE(bench_.settle());
    if (bench_.load_error()) FAIL(bench_.load_error()->message());
  }

  Workbench& bench() { return bench_; }

  void start(const Lesson& lesson) {
    bench_.replace_document(make_document());
    lesson_ = &lesson;
    apply({cmd::OpenLesson{lesson.id}});
    apply(lesson.start);
    rest();
  }
  void apply(const std::vector<Command>& commands) {
    for (const Command& command : commands) {
      const Result<void> done = bench_.apply(command);
      INFO(to_json(command).dump());
      if (!done) FAIL(done.error().message());
    }
  }
  void right(const Solution::Part& part) {
    need();
    if (const Result<void> done = replay_right(bench_, part); !done) FAIL(done.error().message());
    rest();
  }
  void wrong(const Solution::Part& part) {
    need();
    if (const Result<void> done = replay_wrong(bench_, part); !done) FAIL(done.error().message());
    rest();
  }
  // Until everything that the lesson measures is there; what it needs may change with the document.
  void rest() {
    need();
    REQUIRE(bench_.settle());
    if (bench_.error()) FAIL(bench_.error()->message());
    REQUIRE_FALSE(bench_.view().stale);
  }

  MeasureContext context() const {
    return {bench_.document(), bench_.view(), bench_.model().get(), lesson_->id};
  }
  bool reached(const Goal& goal) const { return is_reached(goal, context()); }
  // For a failing test: the goal's conditions as they stand.
  std::string values(const Goal& goal) const {
    std::string text = lesson_->id + ", " + goal.id + ":";
    for (const Condition& condition : goal.conditions) {
      const auto value = measure(condition.quantity, context());
      text += " " + std::string(quantity_name(condition.quantity.kind)) + " = " +
              (value ? std::to_string(*value) : std::string("nothing"));
    }
    return text;
  }

 private:
  void need() { bench_.set_needs(lesson_needs(*lesson_, bench_.document(), bench_.model()->config())); }

  Workbench bench_;
  const Lesson* lesson_ = nullptr;
};

inline LessonBench& lesson_bench() {
  static LessonBench bench;
  return bench;
}

}  // namespace glassbox::test
