# Three projects as users write them, each configured, built and run from nothing.
foreach(way fetch_content add_subdirectory find_package)
  add_test(NAME package.${way}
    COMMAND ${CMAKE_COMMAND} -D WAY=${way} -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -D WORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/package/${way}
            -D COMPILER=${CMAKE_CXX_COMPILER} -D GENERATOR=${CMAKE_GENERATOR} -D VERSION=${PROJECT_VERSION}
            -P ${CMAKE_CURRENT_LIST_DIR}/consume.cmake)
  set_tests_properties(package.${way} PROPERTIES LABELS "tooling;package" TIMEOUT 600)
endforeach()
