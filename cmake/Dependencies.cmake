# The libraries, all from the distribution and found with pkg-config. Each is linked from its static archive where the
# distribution ships one, so that the binary needs only libc where it runs.
find_package(PkgConfig REQUIRED)
pkg_check_modules(LUAJIT_PC REQUIRED luajit)
pkg_check_modules(LIBBPF REQUIRED libbpf>=1.1)
pkg_check_modules(LIBELF REQUIRED libelf)
pkg_check_modules(ZLIB REQUIRED zlib)
pkg_check_modules(LIBEDIT REQUIRED libedit)
pkg_check_modules(LIBMD REQUIRED libmd)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  pkg_check_modules(CAPSTONE REQUIRED capstone>=4.0)
endif()

find_program(LUAJIT NAMES luajit REQUIRED)
find_program(CLANG NAMES clang REQUIRED)
find_program(LLVM_STRIP NAMES llvm-strip llvm-strip-19 llvm-strip-18 llvm-strip-14 REQUIRED)
find_file(ARGPARSE_LUA argparse.lua PATHS /usr/share/lua/5.1 /usr/local/share/lua/5.1 NO_DEFAULT_PATH REQUIRED)

# The path of lib<name>.a, or -l<name> where there is no archive. libc's own parts stay shared.
function(prefer_static name result)
  if(NOT name MATCHES "^(c|m|dl|rt|pthread)$")
    find_library(ARCHIVE_${name} lib${name}.a)
    mark_as_advanced(ARCHIVE_${name})
  endif()
  if(ARCHIVE_${name})
    set(${result} ${ARCHIVE_${name}} PARENT_SCOPE)
  else()
    set(${result} ${name} PARENT_SCOPE)
  endif()
endfunction()

include(CheckCSourceCompiles)

# Links libelf from its archive if that is whole: Debian 13's refers to functions that are in no archive it ships.
function(check_static_libelf libraries)
  set(CMAKE_REQUIRED_LIBRARIES ${libraries})
  check_c_source_compiles("#include <libelf.h>
    int main(void) { return elf_end(elf_begin(0, ELF_C_READ, 0)); }" STATIC_LIBELF_WORKS)
endfunction()

# libelf's list holds what it uses itself (zlib, on newer systems zstd); the order is the linker's.
foreach(name IN LISTS LIBELF_STATIC_LIBRARIES)
  prefer_static(${name} library)
  list(APPEND libelf ${library})
endforeach()
check_static_libelf("${libelf}")
if(NOT STATIC_LIBELF_WORKS)
  message(STATUS "libelf.a cannot be linked: luaprobe will need libelf.so where it runs")
  set(libelf elf)
endif()

# libedit's own list names libraries as they were called once (termcap); these are what its archive refers to.
foreach(name edit tinfo bsd md)
  prefer_static(${name} library)
  list(APPEND libedit ${library})
endforeach()

function(check_static_libedit libraries)
  set(CMAKE_REQUIRED_LIBRARIES ${libraries})
  check_c_source_compiles("#include <histedit.h>
    int main(void) { el_end(0); return 0; }" STATIC_LIBEDIT_WORKS)
endfunction()

check_static_libedit("${libedit}")
if(NOT STATIC_LIBEDIT_WORKS)
  message(STATUS "libedit.a cannot be linked: luaprobe will need libedit.so where it runs")
  set(libedit edit)
endif()

# Of capstone only x86's decoder is needed, but its archive's entry refers to those of all processors, 5 MB of them. Nor
# are its symbols for others: a script may load a whole capstone.
if(CAPSTONE_FOUND)
  prefer_static(capstone capstone)
  set(only_x86 ${CMAKE_SOURCE_DIR}/cmake/capstone.ld ${capstone} -Wl,--exclude-libs,libcapstone.a)
  set(CMAKE_REQUIRED_LIBRARIES ${only_x86})
  check_c_source_compiles("#include <capstone/capstone.h>
    int main(void) { csh handle; return cs_open(CS_ARCH_X86, CS_MODE_64, &handle); }" CAPSTONE_OF_X86_WORKS)
  unset(CMAKE_REQUIRED_LIBRARIES)
  if(ARCHIVE_capstone AND CAPSTONE_OF_X86_WORKS)
    set(capstone ${only_x86})
  endif()
endif()

add_library(luaprobe_dependencies INTERFACE)
prefer_static(bpf libbpf)
prefer_static(z zlib)
prefer_static(md libmd)
target_link_libraries(luaprobe_dependencies INTERFACE ${libbpf} ${libelf} ${zlib} ${libmd} ${libedit})

# Apart from the others, which the tests' helpers link as well.
add_library(luaprobe_decoder INTERFACE)
target_link_libraries(luaprobe_decoder INTERFACE ${capstone})

# All of LuaJIT is kept, also what only the C modules of other packages call.
add_library(luaprobe_luajit INTERFACE)
target_include_directories(luaprobe_luajit SYSTEM INTERFACE ${LUAJIT_PC_INCLUDE_DIRS})
prefer_static(luajit-5.1 library)
target_link_libraries(luaprobe_luajit INTERFACE -Wl,--whole-archive ${library} -Wl,--no-whole-archive m dl)
