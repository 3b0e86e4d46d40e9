# All headers compile after a user's short macros. Standard headers come first: they need not stand such macros.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
file(GLOB_RECURSE headers RELATIVE ${INCLUDE_DIR} ${INCLUDE_DIR}/fanfold/*.hpp)
list(FILTER headers EXCLUDE REGEX "/adapt/")
foreach(header IN LISTS headers)
  file(STRINGS ${INCLUDE_DIR}/${header} lines REGEX "^#include <")
  list(APPEND system ${lines})
endforeach()
list(REMOVE_DUPLICATES system)
list(FILTER system EXCLUDE REGEX "<(omp|sanitizer/.*)\\.h>")
list(JOIN system "\n" text)
string(APPEND text "
#define min(a, b) (a < b ? macro of the user)
#define max(a, b) (a > b ? macro of the user)
#define I macro of the user
#define small macro of the user
")
foreach(header IN LISTS headers)
  string(APPEND text "#include \"${header}\"\n")
endforeach()
must_compile(macros "${text}")
