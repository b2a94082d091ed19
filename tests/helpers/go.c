/* go.c: makes a program look as if the Go compiler had made it. */
extern const char go_build_information[];

__attribute__((section(".go.buildinfo"), used)) const char go_build_information[] = "\xff Go buildinf:";
