# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
# The install tree: headers, libraries, the command, find_package(nibble) and pkg-config.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nibble)
install(DIRECTORY runtime/include/nibble DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS nibble EXPORT nibbleTargets)
install(TARGETS nibble-cuda-emulator)
if(TARGET nibble-cli)
  install(TARGETS nibble-cli)
endif()
install(EXPORT nibbleTargets NAMESPACE nibble:: DESTINATION ${package_dir})
configure_package_config_file(.cmake/nibbleConfig.cmake.in ${PROJECT_BINARY_DIR}/nibbleConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nibbleConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
# Found from the file's own place, so that the tree can be installed with any --prefix and moved.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(.cmake/nibble.pc.in ${PROJECT_BINARY_DIR}/nibble.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nibbleConfig.cmake ${PROJECT_BINARY_DIR}/nibbleConfigVersion.cmake
  DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/nibble.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
