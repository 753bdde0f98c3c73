include(GNUInstallDirs)
if(TARGET lantern)
  install(TARGETS lantern RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
