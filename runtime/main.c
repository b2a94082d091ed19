/*
 * main.c: starts the host.
 *
 * It makes a Lua state whose `require` finds the modules embedded in the binary, calls the Lua side of the host
 * (lua/luaprobe/host.lua) with the command line, and turns what comes back into an exit status. All else is Lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "interrupt.h"
#include "luaprobe.h"
#include "output.h"
#include "stop.h"

int lp_abi(void)
{
    return LP_ABI;
}

const char *lp_version(void)
{
    return LUAPROBE_VERSION;
}

/*
 * A descriptor below 3 that is closed would be reused by the next file or map that is opened, and what the script
 * prints would go there. /dev/null takes its place; write-only for standard input and read-only for the outputs, so
 * that using them still fails.
 */
static bool claim_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}

/*
 * The modules of luaprobe have a copy of the globals for themselves: a script or a session that sets `pcall` to nil
 * breaks its own chunks, and not what shall tell of it.
 */
static const char OWN_GLOBALS[] = "luaprobe.globals";

static void copy_globals(lua_State *lua)
{
    lua_newtable(lua);
    lua_pushnil(lua);
    while (lua_next(lua, LUA_GLOBALSINDEX) != 0) {
        lua_pushvalue(lua, -2);
        lua_insert(lua, -2);
        lua_rawset(lua, -4);
    }
    lua_setfield(lua, LUA_REGISTRYINDEX, OWN_GLOBALS);
}

/* package.loaders entry: a module embedded as "lua/NAME.luac". */
static int load_embedded(lua_State *lua)
{
    const char *name = luaL_checkstring(lua, 1);
    char path[256];
    struct lp_bytes code;

    snprintf(path, sizeof(path), "lua/%s.luac", name);
    if (!lp_bytes_embedded(path, &code)) {
        lua_pushfstring(lua, "\n\tno module '%s' inside luaprobe", name);
        return 1;
    }
    if (luaL_loadbuffer(lua, code.data, code.size, name) != 0)
        return lua_error(lua);
    lua_getfield(lua, LUA_REGISTRYINDEX, OWN_GLOBALS);
    lua_setfenv(lua, -2);
    return 1;
}

/* Puts our loader before those that look at files, so that no file can take the place of an embedded module. */
static void add_loader(lua_State *lua)
{
    lua_getglobal(lua, "package");
    lua_getfield(lua, -1, "loaders");
    for (int i = (int)lua_objlen(lua, -1); i >= 2; i--) {
        lua_rawgeti(lua, -1, i);
        lua_rawseti(lua, -2, i + 1);
    }
    lua_pushcfunction(lua, load_embedded);
    lua_rawseti(lua, -2, 2);
    lua_pop(lua, 2);
}

/* Pushes the host's function and the command line, argv[0] at index 0. */
static int push_host(lua_State *lua, int argc, char **argv)
{
    lua_getglobal(lua, "require");
    lua_pushliteral(lua, "luaprobe.host");
    if (lua_pcall(lua, 1, 1, 0) != 0)
        return -1;
    lua_createtable(lua, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(lua, argv[i]);
        lua_rawseti(lua, -2, i);
    }
    return 0;
}

/* A wildcard may need a perf event for each of thousands of functions; the usual soft limit is 1,024. */
static void allow_many_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    int status = EXIT_FAILURE;
    lua_State *lua;

    if (!claim_standard_descriptors() || atexit(lp_output_check) != 0)
        return EXIT_FAILURE;
    /* `luaprobe opensnoop | head` shall end quietly even if the parent ignores SIGPIPE. */
    lp_stop_watch_output();
    allow_many_descriptors();
    lua = luaL_newstate();
    if (!lua) {
        fputs("luaprobe: no memory for LuaJIT\n", stderr);
        return EXIT_FAILURE;
    }
    luaL_openlibs(lua);
    /* A tool that runs for days shall not double in memory before it cleans up. Its heap is small, and so the work. */
    (void)lua_gc(lua, LUA_GCSETPAUSE, 150);
    copy_globals(lua);
    add_loader(lua);
    lp_interrupt_open(lua);
    if (push_host(lua, argc, argv) == 0 && lua_pcall(lua, 1, 1, 0) == 0 && lua_isnumber(lua, -1))
        status = (int)lua_tointeger(lua, -1);
    else
        fprintf(stderr, "luaprobe: %s\n", lua_isstring(lua, -1) ? lua_tostring(lua, -1) : "the host failed");
    /* Runs the finalizers: whatever is still attached is detached here. */
    lua_close(lua);
    return status;
}
