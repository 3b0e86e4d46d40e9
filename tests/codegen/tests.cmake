# tests/codegen/*.cu: what the device compiler makes of the kernels, without a device; check.cmake says what the files may ask for.
# tests/codegen/refused/*.cu: what the check must not let pass.
if(fanfold_has_cuda)
  foreach(folder . refused)
    file(GLOB codegen_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/${folder}/*.cu)
    foreach(file IN LISTS codegen_files)
      get_filename_component(name ${file} NAME_WE)
      set(test codegen.${name})
      if(folder STREQUAL refused)
        set(test codegen.refused.${name})
      endif()
      add_test(NAME ${test}
        COMMAND ${CMAKE_COMMAND} -D FILE=${file} -D NVCC=${CMAKE_CUDA_COMPILER}
          -D INCLUDE_DIRS=${PROJECT_SOURCE_DIR}/include:${CMAKE_CURRENT_SOURCE_DIR} -D WORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/${test}
          -P ${CMAKE_CURRENT_LIST_DIR}/check.cmake)
      set_tests_properties(${test} PROPERTIES LABELS "cuda;codegen" TIMEOUT 300)
      if(folder STREQUAL refused)
        set_tests_properties(${test} PROPERTIES PASS_REGULAR_EXPRESSION "Local memory used|no '.*' in|registers, at most")
      endif()
    endforeach()
  endforeach()
endif()
