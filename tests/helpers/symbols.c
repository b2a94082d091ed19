/*
 * symbols.c: a shared library with every sort of symbol that the resolver must tell apart: a function, a variable, two
 * local functions of one name (with symbols_twin.c), an indirect function, two versions of one function.
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
