// Everything that can be done by name or by key: the command palette lists it, shortcuts start it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "imgui.h"

namespace glassbox {

class App;

struct Action {
  std::string name;                 // "Step: draw the next token"
  std::string keys;                 // as a person reads them: "Ctrl+O"; empty: none
  ImGuiKeyChord chord = 0;          // 0: no shortcut
  bool while_typing = true;         // the shortcut works while a text field has the keyboard
  std::function<void()> run;
  std::function<bool()> enabled = {};  // empty: always
};

std::vector<Action> make_actions(App& app);

}  // namespace glassbox
