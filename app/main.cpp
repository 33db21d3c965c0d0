// The program: a verb is the command line's; without one the window opens.
#include "app/cli/cli.h"

int main(int argc, char** argv) { return glassbox::run_cli(argc, argv); }
