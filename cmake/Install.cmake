# The program, its man page and its completions (both printed by the program itself, from the
# definitions that parse its arguments), and a .deb by cpack.
include(GNUInstallDirs)

if(TARGET lantern)
  set(generated ${CMAKE_BINARY_DIR}/share)
  file(MAKE_DIRECTORY ${generated})
  add_custom_command(TARGET lantern POST_BUILD
    COMMAND $<TARGET_FILE:lantern> completion bash > ${generated}/lantern.bash
    COMMAND $<TARGET_FILE:lantern> completion zsh > ${generated}/_lantern
    COMMAND $<TARGET_FILE:lantern> completion fish > ${generated}/lantern.fish
    COMMAND $<TARGET_FILE:lantern> completion man > ${generated}/lantern.1
    VERBATIM)
  install(TARGETS lantern RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${generated}/lantern.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${generated}/lantern.bash
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME lantern)
  install(FILES ${generated}/_lantern DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
  install(FILES ${generated}/lantern.fish
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  # Beside the examples, not enabled: which account and rights a service has is the machine's to say.
  install(FILES ${CMAKE_SOURCE_DIR}/packaging/lantern.service
    ${CMAKE_SOURCE_DIR}/packaging/lantern-watch.service
    DESTINATION lib/systemd/system)
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md
    DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lantern)
set(CPACK_PACKAGE_CONTACT "Lantern maintainers <maintainers@lantern.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs open language models on this machine")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The default model comes through pip's client.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3-pip, ca-certificates")
set(CPACK_STRIP_FILES ON)
include(CPack)
