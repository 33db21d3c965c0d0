// Runs the gesture tests off screen, and the real window where there is a display. Arguments: words that a test's group or
// name must hold. Prints "N passed, N failed" last; exit code 1 when one failed.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "app/shell/offscreen.h"
#include "app/shell/window.h"
#include "imgui_te_engine.h"
#include "imgui_te_context.h"
#include "tests/gui/engine/gui_testing.h"
#include "tests/gui/engine/machine.h"
#include "tests/gui/engine/window_smoke.h"
#include "tests/support/model_path.h"

namespace glassbox::test {
namespace {

struct Current {
  App* app = nullptr;
  TextCheck text;
};

void run_registered(ImGuiTestContext* context) {
  const auto* test = static_cast<const Registered*>(context->Test->UserData);
  auto* current = static_cast<Current*>(context->Engine ? ImGui::GetIO().UserData : nullptr);
  Gui gui(context, *current->app, current->text);
  context->Yield(2);
  current->app->bench().cancel();
  current->app->bench().clear_errors();
  current->app->bench().replace_document(make_document());
  gui.engine.KeyPress(ImGuiKey_Escape);
  gui.engine.MouseMoveToPos({4, 4});
  gui.settle(120);
  if (context->IsError()) return;
  try {
    test->run(gui);
  } catch (const std::exception& thrown) {  // JSON that has not what the test reads, a number that is none
    IM_ERRORF("%s", thrown.what());
  }
}

bool matches(const Registered& test, const std::vector<std::string>& words) {
  const std::string name = std::string(test.group) + " " + test.name;
  for (const std::string& word : words)
    if (name.find(word) == std::string::npos) return false;
  return true;
}

struct Count {
  int passed = 0, failed = 0;
};

// What machine() has.
Result<OpenDevice> open_among_gpus(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model) {
  if (choice.kind == DeviceChoice::Kind::cuda) {
    return Error{ErrorKind::failed, "The GPU does not start: out of order.", "--device " + to_string(choice), "", ""};
  }
  Result<OpenDevice> device = open_device({DeviceChoice::Kind::cpu}, cpu, model);
  if (!device) return device;
  if (choice.kind == DeviceChoice::Kind::automatic) {
    device->found = machine().gpus;
    device->note = machine().note;
  }
  return device;
}

Count run_gestures(const std::vector<std::string>& words) {
  Count count;
  AppOptions options;
  options.model_path = model_path();
  options.bench.precision = Precision::fast;
  options.bench.open_device = open_among_gpus;
  // Two positions of a real desktop would be too few pixels for panels side by side.
  Result<std::unique_ptr<Offscreen>> made = Offscreen::make(std::move(options), 1600, 1000);
  if (!made) {
    std::printf("%s\n", made.error().message().c_str());
    count.failed = 1;
    return count;
  }
  Offscreen& view = **made;
  view.draw_one_in(8);  // pixels cost most of a frame here; what the tests read is there before
  if (!view.settle(120) || !view.app().bench().model()) {
    const auto& error = view.app().bench().load_error();
    std::printf("the default model is not there: %s\n", error ? error->message().c_str() : "it did not load in time");
    count.failed = 1;
    return count;
  }

  ImGuiTestEngine* engine = ImGuiTestEngine_CreateContext();
  ImGuiTestEngineIO& io = ImGuiTestEngine_GetIO(engine);
  io.ConfigVerboseLevel = ImGuiTestVerboseLevel_Error;
  io.ConfigVerboseLevelOnError = ImGuiTestVerboseLevel_Info;
  io.ConfigLogToTTY = true;
  io.ConfigRunSpeed = ImGuiTestRunSpeed_Fast;
  io.ConfigSavedSettings = false;
  io.ConfigNoThrottle = true;
  io.ConfigStopOnError = false;
  io.ConfigBreakOnError = false;
  Current current{&view.app(), {}};
  ImGui::GetIO().UserData = &current;
  for (Registered& test : registered_tests()) {
    if (!matches(test, words)) continue;
    ImGuiTest* registered = ImGuiTestEngine_RegisterTest(engine, test.group, test.name, test.file, test.line);
    registered->UserData = &test;
    registered->TestFunc = run_registered;
  }
  ImGuiTestEngine_Start(engine, ImGui::GetCurrentContext());
  view.before_swap = [engine, &current] {
    if (current.text.wanted) current.text.report = read_text(*ImGui::GetDrawData()), current.text.wanted = false;
    ImGuiTestEngine_PreSwap(engine);
  };
  view.after_swap = [engine] { ImGuiTestEngine_PostSwap(engine); };
  for (int i = 0; i < 2; ++i) view.frame();  // the engine wants to have seen the context work
  ImGuiTestEngine_QueueTests(engine, ImGuiTestGroup_Tests, nullptr, ImGuiTestRunFlags_RunFromCommandLine);
  while (!ImGuiTestEngine_IsTestQueueEmpty(engine)) view.frame();
  ImVector<ImGuiTest*> tests;
  ImGuiTestEngine_GetTestList(engine, &tests);
  for (const ImGuiTest* test : tests) {
    const bool passed = test->Output.Status == ImGuiTestStatus_Success;
    std::printf("%s %s: %s\n", passed ? "ok    " : "FAILED", test->Category.c_str(), test->Name.c_str());
    ++(passed ? count.passed : count.failed);
  }
  ImGuiTestEngine_Stop(engine);
  view.before_swap = view.after_swap = nullptr;
  made->reset();  // also the context of Dear ImGui, which must go before the engine's
  ImGuiTestEngine_DestroyContext(engine);
  return count;
}

}  // namespace
}  // namespace glassbox::test

int main(int argc, char** argv) {
  using namespace glassbox::test;
  const std::vector<std::string> words(argv + 1, argv + argc);
  Count count = run_gestures(words);
  if (words.empty() || words.front() == "window") {
    if (std::getenv("DISPLAY")) {
      const auto report = [&](const char* name, const std::string& wrong) {
        std::printf("%s window: %s\n", wrong.empty() ? "ok    " : "FAILED", name);
        if (!wrong.empty()) std::printf("       %s\n", wrong.c_str());
        ++(wrong.empty() ? count.passed : count.failed);
      };
      report("opens, draws, sleeps when nothing moves", run_window_smoke());
      report("a broken file and a model are dropped on it", run_window_drop());
      if (std::getenv("XDG_STATE_HOME")) report("the last session is restored, a broken one is put aside", run_window_restore());
      else std::printf("not run: the last session is restored (no XDG_STATE_HOME of the tests' own)\n");
    } else {
      std::printf("not run: the real window (no DISPLAY)\n");
    }
  }
  std::printf("%d passed, %d failed\n", count.passed, count.failed);
  return count.failed > 0 ? 1 : 0;
}
