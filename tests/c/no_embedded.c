/* no_embedded.c: the C tests carry no embedded files. */
#include "bytes.h"

const struct lp_embedded lp_embedded_files[] = {{0, 0, 0}};
