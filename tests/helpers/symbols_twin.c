/* symbols_twin.c: the other function of the name twin, see symbols.c. */
int call_other_twin(int a);

__attribute__((noinline)) static int twin(int a)
{
    __asm__ volatile("");
    return a + 5;
}

int call_other_twin(int a)
{
    return twin(a) + twin(a + 2);
}
