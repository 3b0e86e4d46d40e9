# Shared by the header checks: the compile command of a demanding consumer.
separate_arguments(FLAGS UNIX_COMMAND "${FLAGS}")
set(consumer_flags -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror -I${INCLUDE_DIR} ${FLAGS})
if(LIBRARY_INCLUDE)
  list(APPEND consumer_flags -isystem ${LIBRARY_INCLUDE})
endif()
file(MAKE_DIRECTORY ${WORK_DIR})

# Compiles TEXT without generating code; fails the test with the compiler's words.
function(must_compile name text)
  set(source ${WORK_DIR}/${name}.cpp)
  file(WRITE ${source} "${text}")
  execute_process(COMMAND ${COMPILER} ${consumer_flags} ${ARGN} -fsyntax-only ${source} RESULT_VARIABLE result ERROR_VARIABLE errors)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${name} does not compile:\n${errors}")
  endif()
endfunction()

# Bytes of TEXT after preprocessing, without comments.
function(preprocessed_size name text result_variable)
  set(source ${WORK_DIR}/${name}.cpp)
  file(WRITE ${source} "${text}")
  execute_process(COMMAND ${COMPILER} -std=c++20 -I${INCLUDE_DIR} -E -P ${source} -o ${source}.ii COMMAND_ERROR_IS_FATAL ANY)
  file(SIZE ${source}.ii size)
  set(${result_variable} ${size} PARENT_SCOPE)
endfunction()
