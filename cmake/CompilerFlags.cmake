# refine_itr_flags: warnings, and the sanitizers if asked for.
add_library(refine_itr_flags INTERFACE)
target_compile_options(refine_itr_flags INTERFACE -Wall -Wextra)
if(REFINE_ITR_SANITIZE)
  set(sanitize -fsanitize=${REFINE_ITR_SANITIZE} -fno-sanitize-recover=all)
  target_compile_options(refine_itr_flags INTERFACE ${sanitize} -fno-omit-frame-pointer)
  target_link_options(refine_itr_flags INTERFACE ${sanitize})
endif()
