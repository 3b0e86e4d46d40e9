# Each file of this folder must be refused with the words that its `// expect-error: regex` lines name, and must compile
# without the part between `#ifdef MISTAKE` and `#endif`.
file(GLOB cases CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
foreach(source IN LISTS cases)
  cmake_path(GET source STEM name)
  add_test(NAME compile_fail.${name}
    COMMAND ${CMAKE_COMMAND} -D COMPILER=${CMAKE_CXX_COMPILER} -D INCLUDE_DIR=${PROJECT_SOURCE_DIR}/include -D SOURCE=${source}
            -P ${CMAKE_CURRENT_LIST_DIR}/check.cmake)
  set_tests_properties(compile_fail.${name} PROPERTIES LABELS "tooling" TIMEOUT 300)
endforeach()
