# What is installed, and the Debian package that CPack makes of it: cmake --install build --prefix DIR; cpack -G DEB.
include(GNUInstallDirs)

# The manual page and the completions, written by the luaprobe that was just built.
set(manual_dir ${CMAKE_BINARY_DIR}/manual)
file(MAKE_DIRECTORY ${manual_dir})
set(manual ${manual_dir}/luaprobe.1 ${manual_dir}/luaprobe.bash ${manual_dir}/_luaprobe)
add_custom_command(
  OUTPUT ${manual}
  COMMAND luaprobe ${CMAKE_SOURCE_DIR}/cmake/manual.lua ${manual_dir}
  DEPENDS luaprobe ${CMAKE_SOURCE_DIR}/cmake/manual.lua
  VERBATIM)
add_custom_target(manual ALL DEPENDS ${manual})

install(TARGETS luaprobe RUNTIME)
install(FILES ${manual_dir}/luaprobe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${manual_dir}/luaprobe.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME luaprobe)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Below /usr zsh looks where Debian's packages put theirs, below other prefixes into site-functions.
install(CODE "
  if(CMAKE_INSTALL_PREFIX MATCHES \"/usr$\")
    set(zsh_dir vendor-completions)
  else()
    set(zsh_dir site-functions)
  endif()
  file(INSTALL \"${manual_dir}/_luaprobe\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/share/zsh/\${zsh_dir}\")")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The luaprobe authors <luaprobe@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trace a running Linux with Lua scripts")
set(CPACK_PACKAGE_DESCRIPTION "luaprobe runs Lua scripts that trace the kernel and programs by way of precompiled BPF
 programs. One binary holds the host, the library, the tools and their BPF objects: neither a compiler nor kernel
 headers are needed where it runs.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
# What the binary is linked with; libc alone where the distribution's archives are whole.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Only writing scripts needs these.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "clang, libbpf-dev, linux-libc-dev")
include(CPack)
