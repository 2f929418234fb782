// Built for the sake of the header that all tests read (CMakeLists.txt).
int main() {}
