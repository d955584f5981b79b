/* SPDX-License-Identifier: MIT */
#include <stdio.h>

int main(void)
{
    puts("l7 " L7_VERSION);
    return 0;
}
