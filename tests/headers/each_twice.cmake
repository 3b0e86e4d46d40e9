include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
file(GLOB_RECURSE headers RELATIVE ${INCLUDE_DIR} ${INCLUDE_DIR}/fanfold/${FOLDER}/*.hpp)
foreach(header IN LISTS headers)
  string(MAKE_C_IDENTIFIER twice_${header} name)
  # The second include goes by another spelling of the path, as with two copies of an include directory.
  must_compile(${name} "#include \"${header}\"\n#include \"fanfold/../${header}\"\n")
endforeach()
list(LENGTH headers count)
message("${count} headers of ${FOLDER}")
