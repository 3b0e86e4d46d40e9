# Every header compiles on its own, twice, without warnings, beside a user's macros, within a size budget, and is tested; all of them link twice.

# For users of the build tree: `cmake --build . --target all_verify_interface_header_sets`.
set_target_properties(fanfold PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)

set(include_dir ${PROJECT_SOURCE_DIR}/include)
set(work_dir ${CMAKE_CURRENT_BINARY_DIR}/headers)
set(header_compiler -D COMPILER=${CMAKE_CXX_COMPILER} "-D FLAGS=${CMAKE_CXX_FLAGS}" -D INCLUDE_DIR=${include_dir} -D WORK_DIR=${work_dir})

file(GLOB header_folders LIST_DIRECTORIES true RELATIVE ${include_dir}/fanfold CONFIGURE_DEPENDS ${include_dir}/fanfold/*)
foreach(folder IN LISTS header_folders)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${include_dir}/fanfold/${folder}/*.hpp)
  if(IS_DIRECTORY ${include_dir}/fanfold/${folder} AND found)
    set(library_flags)
    if(folder STREQUAL adapt)  # compiles where the library is: tests/adapt/tests.cmake has looked for it
      if(NOT cblas_include)
        continue()
      endif()
      set(library_flags "-D LIBRARY_INCLUDE=${cblas_include}")
    endif()
    list(APPEND header_checks ${folder})
    add_test(NAME headers.${folder}
      COMMAND ${CMAKE_COMMAND} ${header_compiler} ${library_flags} -D FOLDER=${folder} -P ${CMAKE_CURRENT_LIST_DIR}/each_twice.cmake)
  endif()
endforeach()
add_test(NAME headers.macros COMMAND ${CMAKE_COMMAND} ${header_compiler} -P ${CMAKE_CURRENT_LIST_DIR}/macros.cmake)
add_test(NAME headers.budget COMMAND ${CMAKE_COMMAND} ${header_compiler} -P ${CMAKE_CURRENT_LIST_DIR}/budget.cmake)
add_test(NAME headers.umbrella COMMAND ${CMAKE_COMMAND} -D INCLUDE_DIR=${include_dir} -P ${CMAKE_CURRENT_LIST_DIR}/umbrella.cmake)
add_test(NAME headers.mirrored COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -P ${CMAKE_CURRENT_LIST_DIR}/mirrored.cmake)
list(TRANSFORM header_checks PREPEND headers.)
set_tests_properties(${header_checks} headers.macros headers.budget headers.umbrella headers.mirrored PROPERTIES LABELS "tooling;headers" TIMEOUT 600)

# Two translation units that include everything link together: nothing is defined twice.
file(GLOB_RECURSE everything RELATIVE ${include_dir} CONFIGURE_DEPENDS ${include_dir}/fanfold/*.hpp)
list(FILTER everything EXCLUDE REGEX "/adapt/")
list(TRANSFORM everything REPLACE "(.+)" "#include \"\\1\"")
list(JOIN everything "\n" everything)
file(CONFIGURE OUTPUT ${work_dir}/everything.hpp CONTENT "${everything}\n" @ONLY)
add_executable(test_odr ${CMAKE_CURRENT_LIST_DIR}/odr_first.cpp ${CMAKE_CURRENT_LIST_DIR}/odr_second.cpp)
target_link_libraries(test_odr PRIVATE test_main)
target_include_directories(test_odr PRIVATE ${work_dir})
add_test(NAME headers.odr COMMAND test_odr)
set_tests_properties(headers.odr PROPERTIES LABELS "tooling;headers")
