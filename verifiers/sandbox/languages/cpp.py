"""C++, by GCC."""

from verifiers.sandbox.languages.base import BINARY, Language

LANGUAGE = Language(
    name="cpp",
    file_name="main.cpp",
    compile=("g++", "-std=c++17", "-O2", "-pipe", "-w", "-o", BINARY, "main.cpp"),
    run=(f"./{BINARY}",),
    self_test="""\
#include <iostream>
#include <string>
int main() {
    std::string line;
    std::getline(std::cin, line);
    std::cout << line << "\\n" << line << "\\n";
}
""",
)
