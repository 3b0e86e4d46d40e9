# Code blocks of README.md and docs/*.md are cut from the examples; this compares them.
add_test(NAME docs.snippets COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -P ${CMAKE_CURRENT_LIST_DIR}/snippets.cmake)
# Links between the pages, and to files of the repository, lead somewhere.
add_test(NAME docs.links COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -P ${CMAKE_CURRENT_LIST_DIR}/links.cmake)
set_tests_properties(docs.snippets docs.links PROPERTIES LABELS "tooling;docs")
