// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dew/version.hpp>

int main() { std::puts(dew::version.data()); }
