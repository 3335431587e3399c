# SPDX-License-Identifier: BSL-1.0
# cmake -D README=FILE -D PROGRAM=FILE -P check_readme.cmake: the README shows the program to the letter.
file(READ "${README}" readme)
file(READ "${PROGRAM}" program)
string(FIND "${readme}" "${program}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "${README} does not show ${PROGRAM} as it is")
endif()
