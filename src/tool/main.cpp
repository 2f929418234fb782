// The program `paceline`.
#include <iostream>

#include "tool/program.h"

int main(int argc, char** argv) {
  return paceline::tool::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
