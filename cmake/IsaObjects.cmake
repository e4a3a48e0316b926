# One object of src/cpp/isa/isa.cpp for each instruction set of the target's architecture.
#
# refine_itr_isa_<name> is an object library. Link-time optimisation stays off for it: it would
# mix code compiled for different instruction sets again.
function(add_isa name)
  string(TOUPPER ${name} upper)
  add_library(refine_itr_isa_${name} OBJECT src/cpp/isa/isa.cpp)
  target_include_directories(refine_itr_isa_${name} PRIVATE src/cpp)
  target_compile_definitions(refine_itr_isa_${name}
    PRIVATE REFINE_ITR_ISA_NAME=${name} REFINE_ITR_ISA_${upper})
  target_compile_options(refine_itr_isa_${name}
    PRIVATE -fno-exceptions -fno-math-errno $<$<NOT:$<CONFIG:Debug>>:-O3> ${ARGN})
  target_link_libraries(refine_itr_isa_${name} PRIVATE refine_itr_flags)
  set_target_properties(refine_itr_isa_${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
endfunction()

# Compiles the instruction sets and adds them to `target`. refine_itr_isas builds their objects only.
function(target_add_isas target)
  add_isa(scalar)
  set(isas scalar)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    add_isa(avx2 -mavx2 -mfma)
    # GCC warns of uninitialised variables in its own avx512fintrin.h (its bug 105593).
    add_isa(avx512 -mavx2 -mfma -mavx512f -mavx512dq -mavx512bw -mavx512vl
            $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>
            $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    list(APPEND isas avx2 avx512)
    target_compile_definitions(${target} PRIVATE REFINE_ITR_X86)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    add_isa(neon)
    list(APPEND isas neon)
    target_compile_definitions(${target} PRIVATE REFINE_ITR_ARM64)
  endif()
  add_custom_target(refine_itr_isas)
  foreach(isa IN LISTS isas)
    add_dependencies(refine_itr_isas refine_itr_isa_${isa})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:refine_itr_isa_${isa}>)
  endforeach()
endfunction()
