/* nearest.c: "did you mean …?": the names that differ from a given one by the fewest letters. */
#include "nearest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 128 };

/* Levenshtein's distance, or `limit` when it is not below that. */
static int distance(const char *a, size_t a_length, const char *b, size_t b_length, int limit)
{
    int row[LONGEST + 1];

    for (size_t j = 0; j <= b_length; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        int best = row[0] = (int)i;

        for (size_t j = 1; j <= b_length; j++) {
            int replaced = diagonal + (a[i - 1] != b[j - 1]);
            int shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
            best = row[j] < best ? row[j] : best;
        }
        if (best >= limit)
            return limit;
    }
    return row[b_length] < limit ? row[b_length] : limit;
}

void lp_nearest_begin(struct lp_nearest *nearest, const char *name, const char **found, int max)
{
    *nearest = (struct lp_nearest){
        .name = name,
        .length = strlen(name),
        .found = found,
        .max = max < LP_NEAREST_MAX ? max : LP_NEAREST_MAX,
    };
}

static bool is_known(const struct lp_nearest *nearest, const char *name)
{
    for (int i = 0; i < nearest->count; i++) {
        if (strcmp(name, nearest->found[i]) == 0)
            return true;
    }
    return false;
}

void lp_nearest_offer(struct lp_nearest *nearest, const char *name)
{
    int limit = (int)nearest->length / 3 + 2; /* farther off it is another name */
    size_t length = strlen(name);
    int place;
    int d;

    if (nearest->count == nearest->max && nearest->distance[nearest->count - 1] < limit)
        limit = nearest->distance[nearest->count - 1];
    if (length > LONGEST || nearest->length > LONGEST || abs((int)length - (int)nearest->length) >= limit)
        return;
    d = distance(nearest->name, nearest->length, name, length, limit);
    if (d >= limit || is_known(nearest, name))
        return;
    if (nearest->count < nearest->max)
        nearest->count++;
    for (place = nearest->count - 1; place > 0 && nearest->distance[place - 1] > d; place--) {
        nearest->distance[place] = nearest->distance[place - 1];
        nearest->found[place] = nearest->found[place - 1];
    }
    nearest->distance[place] = d;
    nearest->found[place] = name;
}
