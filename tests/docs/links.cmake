# Every relative link of a page names a file that exists.
cmake_path(ABSOLUTE_PATH SOURCE_DIR)
file(GLOB_RECURSE pages ${SOURCE_DIR}/docs/*.md ${SOURCE_DIR}/examples/*.md)
file(GLOB top ${SOURCE_DIR}/*.md)
foreach(page IN LISTS pages top)
  cmake_path(GET page PARENT_PATH folder)
  file(READ ${page} text)
  string(REGEX REPLACE "```[^`]*```" "" text "${text}")  # code has such brackets too
  string(REPLACE "](" "<link>" text "${text}")  # brackets and semicolons have a meaning in lists
  string(REGEX REPLACE "[][;]" " " text "${text}")
  string(REGEX MATCHALL "<link>[^)#:\n]+[)#]" links "${text}")
  foreach(link IN LISTS links)
    string(REGEX REPLACE "^<link>|[)#]$" "" target "${link}")
    if(NOT EXISTS ${folder}/${target})
      message(SEND_ERROR "${page}: no file ${target}")
    endif()
  endforeach()
endforeach()
