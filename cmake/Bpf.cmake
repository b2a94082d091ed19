# add_bpf_object(SOURCE DIR RESULT [SUFFIX]): compiles SOURCE (NAME.bpf.c) to DIR/NAME.bpf.o with clang, for the
# processor of the build's target, and sets RESULT to the object's path and object_name to its name.
#
# Debug information is asked for since BTF is made from it; the rest of it is stripped again.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(BPF_TARGET_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(BPF_TARGET_ARCH arm64)
else()
  message(FATAL_ERROR "luaprobe does not know the processor ${CMAKE_SYSTEM_PROCESSOR} yet")
endif()

# <asm/types.h> and <asm/ptrace.h> lie in the multiarch directory, which clang does not search for -target bpf.
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-multiarch OUTPUT_VARIABLE BPF_MULTIARCH
                OUTPUT_STRIP_TRAILING_WHITESPACE)
set(BPF_FLAGS -target bpf -g -O2 -mcpu=v3 -D__TARGET_ARCH_${BPF_TARGET_ARCH} -Wall -Wextra -Wno-unused-parameter -Werror
    -I${CMAKE_SOURCE_DIR}/bpf/include -isystem /usr/include/${BPF_MULTIARCH})

function(add_bpf_object source dir result)
  get_filename_component(name ${source} NAME)
  string(REGEX REPLACE "\\.c$" ".o" name ${name})
  set(output ${dir}/${name})
  file(MAKE_DIRECTORY ${dir})
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CLANG} ${BPF_FLAGS} -MD -MF ${output}.d -c ${source} -o ${output}
    COMMAND ${LLVM_STRIP} -g ${output}
    DEPENDS ${source}
    DEPFILE ${output}.d
    VERBATIM)
  set(${result} ${output} PARENT_SCOPE)
  set(object_name ${name} PARENT_SCOPE)
endfunction()
