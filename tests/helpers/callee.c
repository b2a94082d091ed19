/*
 * callee.c: what the specs attach uprobes and USDT probes to.
 *
 *   callee    reads numbers, a line each, and for each calls callee(3, 40) that many times and prints the sum of what
 *             it returned; and callee_too(0, 0) and nested(5) once
 */
#include <stdio.h>
#include <stdlib.h>

/* A USDT probe "luaprobe_test:called" with two arguments, as <sys/sdt.h> would write its note. */
#ifdef __x86_64__
#define PROBE_ARGUMENTS "-4@%%edi 8@%%rsi"
#else
#define PROBE_ARGUMENTS "-4@w0 8@x1"
#endif

__attribute__((noinline, noclone)) long callee(int a, long b);

__attribute__((noinline, noclone)) long callee(int a, long b)
{
    register int first __asm__(
#ifdef __x86_64__
        "edi"
#else
        "w0"
#endif
        ) = a;
    register long second __asm__(
#ifdef __x86_64__
        "rsi"
#else
        "x1"
#endif
        ) = b;

    __asm__ volatile("990: nop\n"
                     ".pushsection .note.stapsdt,\"\",\"note\"\n"
                     ".balign 4\n"
                     ".4byte 992f-991f, 994f-993f, 3\n"
                     "991: .asciz \"stapsdt\"\n"
                     "992: .balign 4\n"
                     "993: .8byte 990b\n"
                     ".8byte _.stapsdt.base\n"
                     ".8byte 0\n"
                     ".asciz \"luaprobe_test\"\n"
                     ".asciz \"called\"\n"
                     ".asciz \"" PROBE_ARGUMENTS "\"\n"
                     "994: .balign 4\n"
                     ".popsection\n"
                     ".ifndef _.stapsdt.base\n"
                     ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
                     ".weak _.stapsdt.base\n"
                     ".hidden _.stapsdt.base\n"
                     "_.stapsdt.base: .space 1\n"
                     ".size _.stapsdt.base, 1\n"
                     ".popsection\n"
                     ".endif\n"
                     : "+r"(first), "+r"(second));
    return first + second;
}

__attribute__((noinline, noclone)) long callee_too(int a, long b);

__attribute__((noinline, noclone)) long callee_too(int a, long b)
{
    __asm__ volatile(""); /* so that calls of it are not merged */
    return a + b;
}

__attribute__((noinline, noclone)) long nested(int depth);

/* Calls itself, for what joins entries with returns: the sum of the numbers up to the depth. */
__attribute__((noinline, noclone)) long nested(int depth)
{
    volatile long below = depth > 0 ? nested(depth - 1) : 0;

    return below + depth;
}

long mangled(int a) __asm__("_ZN2ns3Foo3barEi");

/* ns::Foo::bar(int), as a C++ compiler names it. */
__attribute__((noinline, noclone, used)) long mangled(int a)
{
    return a;
}

int main(void)
{
    char line[16];

    while (fgets(line, sizeof(line), stdin)) {
        long sum = 0;

        for (int i = atoi(line); i > 0; i--)
            sum += callee(3, 40);
        sum += callee_too(0, 0);
        nested(5);
        printf("%ld\n", sum);
        fflush(stdout);
    }
    return 0;
}
