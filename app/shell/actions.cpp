#include "app/shell/actions.h"

#include "app/shell/app.h"

namespace glassbox {

namespace {
constexpr const char* kStageNames[] = {"Tokenization", "Embeddings", "Attention and the transformer", "Training",
                                       "Fine-tuning and alignment", "Inference", "Agents", "Evals"};
}

std::vector<Action> make_actions(App& app) {
  std::vector<Action> actions;
  const auto add = [&](std::string name, std::string keys, ImGuiKeyChord chord, std::function<void()> run,
                       std::function<bool()> enabled = {}, bool while_typing = true) {
    actions.push_back({std::move(name), std::move(keys), chord, while_typing, std::move(run), std::move(enabled)});
  };
  Workbench& bench = app.bench();
  const auto ready = [&bench] { return bench.model() && !bench.document().shown_tokens().empty(); };
  const auto generated = [&bench] { return bench.document().run().nodes.size() > 1; };

  add("Command palette", "Ctrl+P", ImGuiMod_Ctrl | ImGuiKey_P, [&app] { app.show_palette(); });
  // transport
  add("Step: draw the next token", "F6", ImGuiKey_F6, [&bench] { bench.forward_one(); }, ready);
  add("Play or pause", "Space", ImGuiKey_Space, [&bench] { bench.playing() ? bench.pause() : bench.play(); }, ready, false);
  add("Back one token", "←", ImGuiKey_LeftArrow, [&bench] { bench.back(); },
      [&bench] { return bench.document().run().cursor > 0; }, false);
  add("Forward one token", "→", ImGuiKey_RightArrow, [&bench] { bench.forward_one(); }, ready, false);
  add("Reset the run to its prompt", "", 0, [&app] { app.run(cmd::ResetRun{}); }, generated);
  add("Redraw from here", "", 0, [&app, &bench] { app.run(cmd::RedrawFromHere{}), bench.step_tokens(1); }, ready);
  add("Stop what is being computed", "", 0, [&bench] { bench.cancel(); }, [&bench] { return bench.busy(); });
  // text and document
  add("Edit the prompt", "Ctrl+L", ImGuiMod_Ctrl | ImGuiKey_L, [&app] { app.focus_prompt(); });
  add("Undo", "Ctrl+Z", ImGuiMod_Ctrl | ImGuiKey_Z, [&bench] { bench.undo(); }, [&bench] { return bench.can_undo(); });
  add("Redo", "Ctrl+Y", ImGuiMod_Ctrl | ImGuiKey_Y, [&bench] { bench.redo(); }, [&bench] { return bench.can_redo(); });
  add("Open a model or a document …", "Ctrl+O", ImGuiMod_Ctrl | ImGuiKey_O, [&app] { app.ask_open(); });
  add("Save the document", "Ctrl+S", ImGuiMod_Ctrl | ImGuiKey_S, [&app] { app.ask_save(false); });
  add("Save the document as …", "Ctrl+Shift+S", ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_S, [&app] { app.ask_save(true); });
  add("Chat: wrap the prompt in the model's template, or not", "", 0,
      [&app] { app.run(cmd::SetChat{!app.document().chat}); },
      [&bench] { return bench.model() && (bench.model()->chat_template() || bench.document().chat); });
  add("Literal: take special tokens as text, or not", "", 0, [&app] { app.run(cmd::SetLiteral{!app.document().literal}); });
  add("Switch all edits of the model off", "", 0, [&app] { app.run(cmd::ClearEdits{}); },
      [&app] { return !app.document().edits.empty(); });
  add("Sampler: greedy", "", 0, [&app] {
    SamplerSettings settings = app.document().sampler;
    settings.temperature = 0;
    app.run(cmd::SetSampler{settings});
  });
  // window
  for (int stage = 1; stage <= 8; ++stage)
    add("Stage " + std::to_string(stage) + ": " + kStageNames[stage - 1], "Ctrl+" + std::to_string(stage),
        ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage), [&app, stage] { app.run(cmd::SetStage{stage}); });
  add("Larger", "Ctrl++", ImGuiMod_Ctrl | ImGuiKey_Equal, [&app] { app.step_scale(1); });
  add("Smaller", "Ctrl+-", ImGuiMod_Ctrl | ImGuiKey_Minus, [&app] { app.step_scale(-1); });
  add("Scale: 100 %", "Ctrl+0", ImGuiMod_Ctrl | ImGuiKey_0, [&app] { app.step_scale(0); });
  add("Theme: dark", "", 0, [&app] { app.run(cmd::SetTheme{ThemeKind::dark}); });
  add("Theme: light", "", 0, [&app] { app.run(cmd::SetTheme{ThemeKind::light}); });
  add("Colours of probabilities: Glassbox", "", 0, [&app] { app.run(cmd::SetMap{ProbabilityMap::glassbox}); });
  add("Colours of probabilities: viridis", "", 0, [&app] { app.run(cmd::SetMap{ProbabilityMap::viridis}); });
  add("Colours of probabilities: cividis", "", 0, [&app] { app.run(cmd::SetMap{ProbabilityMap::cividis}); });
  add("Motion on or off", "", 0, [&app] { app.run(cmd::SetMotion{!app.document().motion}); });
  add("Lesson pane: show or hide", "", 0, [&app] {
    const auto it = app.document().panels.find("lesson");
    app.run(cmd::ShowPanel{"lesson", it != app.document().panels.end() && !it->second});
  });
  for (const Panel& panel : all_panels())
    add("Panel: " + std::string(panel.title) + " (stage " + std::to_string(panel.stage) + "), show or hide", "", 0,
        [&app, id = std::string(panel.id)] {
          const auto it = app.document().panels.find(id);
          app.run(cmd::ShowPanel{id, it != app.document().panels.end() && !it->second});
        },
        [&app, stage = panel.stage] { return app.document().stage == stage; });
  add("Reset layout: put this stage's panels back", "", 0, [&app] { app.reset_layout(); });
  add("About Glassbox and its parts", "", 0, [&app] { app.show_about(); });
  add("Close the window", "Ctrl+Q", ImGuiMod_Ctrl | ImGuiKey_Q, [&app] { app.close(); });
  return actions;
}

}  // namespace glassbox
