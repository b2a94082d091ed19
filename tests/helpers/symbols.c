/*
 * symbols.c: a shared library with every sort of symbol that the resolver must tell apart: a function, a variable, two
 * local functions of one name (with symbols_twin.c), an indirect function, two versions of one function; and functions
 * whose instructions are known.
 */
int variable = 7;
int version_old(int a);
int version_new(int a);
int chosen(int a);
int call_twin(int a);

__asm__(".symver version_old, versioned@LP_1.0");
__asm__(".symver version_new, versioned@@LP_2.0");

__attribute__((noinline)) int plain(int a)
{
    return a + variable;
}

__attribute__((noinline)) int version_old(int a)
{
    return a + 1;
}

__attribute__((noinline)) int version_new(int a)
{
    return a + 2;
}

static int implementation(int a)
{
    return a + 3;
}

static int (*resolve_chosen(void))(int)
{
    return implementation;
}

int chosen(int a) __attribute__((ifunc("resolve_chosen")));

__attribute__((noinline)) static int twin(int a)
{
    __asm__ volatile("");
    return a + 4;
}

int call_twin(int a)
{
    return twin(a) + twin(a + 1);
}

#ifdef __x86_64__
/* Of 2, 5, 4, 6, 11, 1, and, behind what no decoder knows, 2 and 1 bytes. */
__asm__(".globl instructions, labelled, unsized\n"
        ".type instructions, @function\n"
        "instructions: push %r12\n"
        "mov $1, %eax\n"
        "endbr64\n"
        "vmovups (%rdi), %zmm0\n"
        "movq $1, %fs:0x10(,%rax,1)\n"
        "ret\n"
        ".byte 0x06\n"
        "pop %r12\n"
        "ret\n"
        ".size instructions, . - instructions\n"
        /* Data that seems to begin a longer instruction, and a label behind it. */
        ".type labelled, @function\n"
        "labelled: jmp behind_data\n"
        ".byte 0xb8\n"
        "behind_data: push %r12\n"
        "ret\n"
        ".size labelled, . - labelled\n"
        "unsized: push %r12\n"
        "ret\n");
#endif
