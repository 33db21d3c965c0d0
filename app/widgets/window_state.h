// Small numbers that a window keeps for itself and that are no part of the work: a scroll, a zoom, a marked row. They
// live in Dear ImGui's storage of the window in which the object was made, so its child windows can use them too.
#pragma once

#include "imgui.h"
#include "imgui_internal.h"

namespace glassbox {

class WindowState {
 public:
  WindowState() : storage_(ImGui::GetStateStorage()) {}
  int get(const char* name, int initial = 0) const { return storage_->GetInt(ImHashStr(name), initial); }
  void set(const char* name, int value) { storage_->SetInt(ImHashStr(name), value); }

 private:
  ImGuiStorage* storage_;  // of the window; it lives as long as the context
};

}  // namespace glassbox
