/*
 * interrupt.c: Ctrl-C ends what was typed at the prompt, and nothing else.
 *
 * A signal handler can set a hook, which raises an error at the next instruction of Lua code that is interpreted. That
 * instruction must not be one of the prompt's own: so what was typed is called from here, and the hook is gone before
 * anything else runs.
 */
#include "interrupt.h"

#include <lauxlib.h>
#include <signal.h>

#include "luaprobe.h"
#include "stop.h"

static lua_State *state;
static volatile sig_atomic_t guarding, interrupted, cleaning;

/* The hook stays, and raises again behind each pcall until all that was typed is over. */
static void raise_interrupted(lua_State *lua, lua_Debug *unused)
{
    (void)unused;
    luaL_error(lua, "interrupted");
}

/*
 * Lua allows lua_sethook in a signal handler. Instructions are what is counted, not calls: a message handler that is
 * written in C gets through.
 */
static void interrupt_lua(int signal)
{
    if (!guarding) {
        lp_stop_note(signal);
        return;
    }
    interrupted = 1;
    if (!cleaning)
        lua_sethook(state, raise_interrupted, LUA_MASKCOUNT, 1);
}

void lp_stop_interrupt_lua(bool on)
{
    lp_stop_on_interrupt(on ? interrupt_lua : NULL);
}

/*
 * guard(fn, ...): as pcall, but Ctrl-C ends it: false and "interrupted", also where a C function that waited took the
 * signal for an error of its own, or the code caught it.
 */
static int guard(lua_State *lua)
{
    int status;

    luaL_checkany(lua, 1);
    interrupted = 0;
    guarding = 1;
    status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
    guarding = 0;
    lua_sethook(lua, NULL, 0, 0);
    lp_stop_release(); /* what was interrupted may not have got to it */
    if (interrupted) {
        lua_settop(lua, 0);
        lua_pushboolean(lua, 0);
        lua_pushliteral(lua, "interrupted");
        return 2;
    }
    luaL_checkstack(lua, 1, "too many results");
    lua_pushboolean(lua, status == 0);
    lua_insert(lua, 1);
    return lua_gettop(lua);
}

/*
 * attempt(fn, cleanup): calls fn. Where that fails, or is interrupted, cleanup runs before the error goes on, and runs
 * to its end: between a pcall of Lua's and what follows it the hook would raise again.
 */
static int attempt(lua_State *lua)
{
    bool was_cleaning = cleaning;

    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    lua_pushvalue(lua, 1);
    if (lua_pcall(lua, 0, LUA_MULTRET, 0) == 0)
        return lua_gettop(lua) - 2;
    cleaning = 1;
    lua_sethook(lua, NULL, 0, 0);
    lua_pushvalue(lua, 2);
    if (lua_pcall(lua, 0, 0, 0) != 0)
        lua_pop(lua, 1); /* what went wrong first is told */
    cleaning = was_cleaning;
    if (guarding && interrupted && !cleaning)
        lua_sethook(lua, raise_interrupted, LUA_MASKCOUNT, 1);
    return lua_error(lua);
}

static int load(lua_State *lua)
{
    lua_pushvalue(lua, lua_upvalueindex(1));
    return 1;
}

/* Makes a function a module; package.preload is on top of the stack. */
static void preload(lua_State *lua, const char *name, lua_CFunction function)
{
    lua_pushcfunction(lua, function);
    lua_pushcclosure(lua, load, 1);
    lua_setfield(lua, -2, name);
}

void lp_interrupt_open(lua_State *lua)
{
    state = lua;
    lua_getglobal(lua, "package");
    lua_getfield(lua, -1, "preload");
    preload(lua, "luaprobe.guard", guard);
    preload(lua, "luaprobe.attempt", attempt);
    lua_pop(lua, 2);
}
