/*
 * prompt.c: the line that is being edited at the prompt, by libedit.
 *
 * libedit is used as its callback interface is: unbuffered, so that el_gets takes what a key means and comes back. The
 * one loop that waits is Lua's, which asks lp_prompt_wait what happened. Nothing here calls Lua: keys that mean more
 * than editing, Tab for example, leave a note of what Lua shall do.
 */
#include "prompt.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "error.h"
#include "fatal.h"
#include "luaprobe.h"

enum {
    REST_OF_KEY_MS = 50, /* how long the rest of an escape sequence, or of a character, may take */
    LONGEST = 16000      /* characters of a line: as UTF-8 they are less than what Lua has room for */
};

static EditLine *editor;
static History *lines;        /* typed before */
static struct termios before; /* how the terminal was set */
static const char *prompt_text = "";
static bool editing; /* a line is on the screen */
static int noted;    /* what the last key asks Lua for */
static bool first_byte_is_there, input_is_over;
static bool is_too_long; /* something was typed that found no room in the line */
static bool is_dumb;     /* the terminal cannot move its cursor */
static volatile sig_atomic_t resized, continued;

static char *show_prompt(EditLine *unused)
{
    (void)unused;
    return (char *)prompt_text;
}

/* One byte; the first of a key is known to be there, so only what may never come is waited for with a limit. */
static bool next_byte(char *out)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t got;

    if (!first_byte_is_there && poll(&input, 1, REST_OF_KEY_MS) <= 0)
        return false;
    first_byte_is_there = false;
    got = read(STDIN_FILENO, out, 1);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
        input_is_over = true;
    return got == 1;
}

/*
 * A whole character, for libedit. What is no UTF-8 becomes a question mark; NUL is left out: it is a Ctrl-D that came,
 * behind other text, while the terminal was not being edited on, or Ctrl-Space, and libedit takes it for a line's end.
 */
static int next_character(EditLine *el, wchar_t *out)
{
    const LineInfoW *line = el_wline(el);
    mbstate_t state = {0};
    char byte;

    while (next_byte(&byte)) {
        size_t used = mbrtowc(out, &byte, 1, &state);

        if (used == (size_t)-2)
            continue;
        if (used == 0)
            break;
        if (used == (size_t)-1)
            *out = L'?';
        if (line->lastchar - line->buffer < LONGEST || *out < L' ' || *out == 0x7f)
            return 1;
        is_too_long = true;
        state = (mbstate_t){0};
    }
    return 0;
}

static unsigned char on_tab(EditLine *unused, int key)
{
    (void)unused;
    (void)key;
    noted = LP_PROMPT_COMPLETE;
    return CC_NORM;
}

/* Ctrl-D ends the session on an empty line, and deletes a character on others. */
static unsigned char on_end(EditLine *el, int key)
{
    const LineInfo *line = el_line(el);

    (void)key;
    if (line->buffer == line->lastchar) {
        noted = LP_PROMPT_END;
        return CC_NORM;
    }
    if (line->cursor == line->lastchar)
        return CC_ERROR;
    el_cursor(el, 1);
    el_deletestr(el, 1);
    return CC_REFRESH;
}

static void on_resize(int unused)
{
    (void)unused;
    resized = 1;
}

static void on_continue(int unused)
{
    (void)unused;
    continued = 1;
}

/* Text is UTF-8, whatever the environment says; an empty locale would make libedit show bytes as \ooo. */
static void choose_characters(void)
{
    if ((!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) && !setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "C");
}

static void bind_keys(void)
{
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_ADDFN, "luaprobe-complete", "Complete", on_tab);
    el_set(editor, EL_ADDFN, "luaprobe-end", "Delete, or leave", on_end);
    el_set(editor, EL_BIND, "^I", "luaprobe-complete", NULL);
    el_set(editor, EL_BIND, "^D", "luaprobe-end", NULL);
    /* Commands to libedit itself: an empty one, or one that is not ended, makes it read where nothing is. */
    el_set(editor, EL_BIND, "\\ex", "ed-unassigned", NULL);
    el_set(editor, EL_BIND, "\\eX", "ed-unassigned", NULL);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(editor, EL_BIND, "\\e[1~", "ed-move-to-beg", NULL);
    el_set(editor, EL_BIND, "\\e[4~", "ed-move-to-end", NULL);
    el_set(editor, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
    el_set(editor, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
    el_set(editor, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
}

/* Called from a signal handler. */
static void restore_terminal(void)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

int lp_prompt_open(const char *history_path)
{
    const char *up = NULL;

    if (tcgetattr(STDIN_FILENO, &before) == 0)
        lp_fatal_catch(restore_terminal);
    choose_characters();
    editor = el_init("luaprobe", stdin, stdout, stderr);
    lines = editor ? lp_history_open(history_path) : NULL;
    if (!lines) {
        lp_prompt_close();
        return lp_error_set(ENOMEM, "prompt", "the terminal cannot be prepared for editing");
    }
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_PROMPT, show_prompt);
    el_set(editor, EL_GETCFN, next_character);
    el_set(editor, EL_HIST, history, lines);
    bind_keys();
    is_dumb = el_get(editor, EL_GETTC, "up", &up) != 0 || !up || up[0] == '\0';
    /* What is being written shall be; poll is interrupted all the same. */
    (void)sigaction(SIGWINCH, &(struct sigaction){.sa_handler = on_resize, .sa_flags = SA_RESTART}, NULL);
    (void)sigaction(SIGCONT, &(struct sigaction){.sa_handler = on_continue, .sa_flags = SA_RESTART}, NULL);
    return 0;
}

void lp_prompt_close(void)
{
    lp_prompt_end();
    if (editor)
        el_end(editor);
    lp_history_close(lines);
    editor = NULL;
    lines = NULL;
}

/*
 * Lets libedit believe in a terminal that any line fits in: with a line of more rows than there are it loses its place
 * (terminal_move_to_line, re_fastputc), and writes outside of its copy of the screen. What scrolled away is not edited
 * nicely, but it is there.
 */
static void give_room(void)
{
    char rows[16];

    snprintf(rows, sizeof(rows), "%d",
             2 * (LONGEST + 8) / lp_prompt_width() + 2); /* characters have up to two columns */
    el_set(editor, EL_SETTC, "li", rows, NULL);
    lp_prompt_hide();
    lp_prompt_show(); /* it has forgotten what is on the screen */
}

/*
 * Whether Ctrl-D was typed while a chunk ran: the terminal is still as chunks have it, by lines, and what can be read
 * then without a byte to it is an end.
 */
static bool end_was_typed(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int bytes = 0;
    char nothing;

    return poll(&input, 1, 0) > 0 && ioctl(STDIN_FILENO, FIONREAD, &bytes) == 0 && bytes == 0 &&
           read(STDIN_FILENO, &nothing, 1) == 0;
}

void lp_prompt_begin(const char *text)
{
    lp_output_flush();
    input_is_over = input_is_over || end_was_typed();
    prompt_text = text;
    editing = true;
    is_too_long = false;
    el_set(editor, EL_UNBUFFERED, 1); /* the terminal becomes raw, the prompt is shown */
    give_room();
}

void lp_prompt_end(void)
{
    if (!editing)
        return;
    editing = false;
    el_set(editor, EL_UNBUFFERED, 0); /* the terminal is as it was */
    /* Ctrl-C can interrupt a write, which is no reason to complain at exit; a terminal that is gone fails again. */
    clearerr(stdout);
}

void lp_prompt_remember(const char *line)
{
    lp_history_add(lines, line);
}

const char *lp_prompt_unremembered(void)
{
    return lp_history_problem();
}

/* ---- the line --------------------------------------------------------------------------------------------------- */

size_t lp_prompt_line(char *out, size_t size, size_t *cursor)
{
    const LineInfo *line = el_line(editor);
    size_t length = (size_t)(line->lastchar - line->buffer);

    if (length >= size)
        length = size - 1;
    memcpy(out, line->buffer, length);
    out[length] = '\0';
    *cursor = (size_t)(line->cursor - line->buffer);
    return length;
}

/* How many columns a text takes; control characters are shown as ^X. */
static size_t columns_of(const char *text, size_t length)
{
    mbstate_t state = {0};
    size_t columns = 0;

    while (length > 0) {
        wchar_t character;
        size_t used = mbrtowc(&character, text, length, &state);
        int width;

        if (used == 0 || used == (size_t)-1 || used == (size_t)-2)
            return columns;
        width = wcwidth(character);
        columns += width < 0 ? 2 : (size_t)width;
        text += used;
        length -= used;
    }
    return columns;
}

int lp_prompt_width(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80; /* libedit's own rule */
}

void lp_prompt_hide(void)
{
    const LineInfo *line = el_line(editor);
    size_t columns =
        columns_of(prompt_text, strlen(prompt_text)) + columns_of(line->buffer, (size_t)(line->cursor - line->buffer));
    size_t rows = columns / (size_t)lp_prompt_width();

    if (!editing)
        return;
    if (is_dumb) {
        fputs(line->lastchar > line->buffer ? "\n" : "\r", stdout);
        return;
    }
    fputs("\r", stdout);
    if (rows > 0)
        fprintf(stdout, "\033[%zuA", rows);
    fputs("\033[J", stdout);
}

void lp_prompt_show(void)
{
    if (!editing)
        return;
    lp_output_flush();
    el_set(editor, EL_REFRESH);
}

/* EL_REFRESH draws from where the cursor is, so the line is taken away before. */
void lp_prompt_insert(const char *text)
{
    lp_prompt_hide();
    el_insertstr(editor, text);
    lp_prompt_show();
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void follow_terminal(void)
{
    if (continued) {
        continued = 0;
        el_set(editor, EL_PREP_TERM, 1);
        el_set(editor, EL_REFRESH);
    }
    if (resized) {
        resized = 0;
        el_resize(editor);
        give_room();
    }
}

/* Text can also be put into the line again and again (Ctrl-Y). */
static void cut_line(void)
{
    const LineInfoW *line = el_wline(editor);
    int beyond = (int)(line->lastchar - line->buffer) - LONGEST - 1; /* Enter */

    if (beyond <= 0)
        return;
    is_too_long = true;
    lp_prompt_hide();
    el_cursor(editor, (int)(line->lastchar - line->cursor));
    el_deletestr(editor, beyond);
    lp_prompt_show();
}

/* Lets libedit take one key. */
static int take_key(void)
{
    const wchar_t *line;
    int length = 0;

    first_byte_is_there = true;
    noted = LP_PROMPT_NOTHING;
    line = el_wgets(editor, &length); /* el_gets would convert all of it, for each key */
    first_byte_is_there = false;
    cut_line();
    if (line && length > 0 && (line[length - 1] == L'\n' || line[length - 1] == L'\r'))
        return is_too_long ? LP_PROMPT_TOO_LONG : LP_PROMPT_LINE;
    return input_is_over ? LP_PROMPT_END : noted;
}

int lp_prompt_wait(int timeout_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready;

    lp_output_flush();
    if (input_is_over)
        return LP_PROMPT_END;
    ready = poll(&input, 1, timeout_ms);
    follow_terminal();
    if (lp_stop_pending())
        return lp_stop_pending() == SIGINT ? LP_PROMPT_INTERRUPT : LP_PROMPT_END;
    return ready > 0 ? take_key() : LP_PROMPT_NOTHING;
}

/* ---- input that is no terminal ----------------------------------------------------------------------------------- */

bool lp_prompt_is_terminal(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

int lp_prompt_read(char *out, size_t size, int timeout_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t got;

    lp_output_flush();
    if (poll(&input, 1, timeout_ms) <= 0)
        return 0;
    got = read(STDIN_FILENO, out, size);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    return got == 0 ? -1 : (int)got;
}
