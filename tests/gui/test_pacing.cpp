// When the window draws, told by times alone.
#include <catch2/catch_test_macros.hpp>

#include "app/shell/pacing.h"

using glassbox::FramePacer;

TEST_CASE("input and news are drawn at once, and then the window sleeps", "[pacing]") {
  FramePacer pacer;
  CHECK(pacer.wait(10, false, false) <= 0);  // the first frame
  for (int i = 0; i < FramePacer::kAfterNews; ++i) pacer.drawn(10 + i);
  CHECK(pacer.wait(20, false, false) == FramePacer::kNever);

  pacer.news();
  for (int i = 0; i < FramePacer::kAfterNews; ++i) {
    CHECK(pacer.wait(21 + i, false, true) <= 0);
    pacer.drawn(21 + i);
  }
  CHECK(pacer.wait(30, false, true) == FramePacer::kNever);

  pacer.input(31);
  CHECK(pacer.wait(31, false, true) <= 0);
  pacer.drawn(31);
  CHECK(pacer.wait(31.2, false, false) <= 0);  // a tooltip may wait for the pointer to rest
  CHECK(pacer.wait(31 + FramePacer::kAfterInput + 0.01, false, false) == FramePacer::kNever);
}

TEST_CASE("what moves by itself keeps the screen's pace, and a slower one beside a busy engine", "[pacing]") {
  FramePacer pacer;
  for (int i = 0; i < FramePacer::kAfterNews; ++i) pacer.drawn(1);
  CHECK(pacer.wait(1.001, true, false) > 0);
  CHECK(pacer.wait(1 + FramePacer::kPace + 0.001, true, false) <= 0);
  CHECK(pacer.wait(1 + FramePacer::kPace + 0.001, true, true) > 0);
  CHECK(pacer.wait(1 + FramePacer::kBusyPace + 0.001, true, true) <= 0);
}
