// The command line: `glassbox VERB`. It knows nothing of the window; what draws is called through drawing.h.
#pragma once

namespace glassbox {

// Runs the program. Returns the exit code: 0 done, 1 failed, 2 usage, 3 bad file, 130 cancelled by Ctrl+C.
int run_cli(int argc, char** argv);

}  // namespace glassbox
